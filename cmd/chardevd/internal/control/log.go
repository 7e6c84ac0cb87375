package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"chardevd/chardev"
)

// Log writes what is asked for of what a chardev printed, which the daemon is to have,
// on w, for as long as that takes. The result tells what it was, also with an error, as far as that is known.
func (c *Client) Log(ctx context.Context, name string, q chardev.LogQuery, w io.Writer) (result chardev.LogResult, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Place.site.url("chardevs", name, "log")+"?"+q.Values().Encode(), nil)
	if err != nil {
		return result, err
	}
	req.Header = c.Place.header()
	resp, err := c.http.Do(req)
	if err != nil {
		return result, c.plain(err, 0)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
		if err != nil {
			return result, fmt.Errorf("daemon on %v: %w", c.Place, err)
		}
		return result, c.refused(resp, text)
	}
	from := &reading{resp.Body, nil}
	if _, err := io.Copy(w, from); err != nil {
		if from.err != nil {
			err = fmt.Errorf("daemon on %v: %w", c.Place, from.err)
		}
		return result, err
	}
	for _, t := range []struct {
		name string
		to   *int64
	}{{chardev.TrailerNext, &result.Next}, {chardev.TrailerLost, &result.Lost}, {chardev.TrailerFound, &result.Found}} {
		*t.to, err = strconv.ParseInt(resp.Trailer.Get(t.name), 10, 64)
		if err != nil {
			return result, fmt.Errorf("daemon on %v: the answer ends without %s, so it is not known whether this is all; a proxy that drops trailers must pass them (nginx: proxy_pass_trailers, from 1.27.2 on)", c.Place, t.name)
		}
	}
	if why := resp.Trailer.Get(chardev.TrailerError); why != "" {
		return result, errors.New(why)
	}
	return result, nil
}

// A reading notes why reading ended, if that is an error.
type reading struct {
	io.Reader
	err error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != io.EOF {
		r.err = err
	}
	return n, err
}
