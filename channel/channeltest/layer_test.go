package channeltest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"chardevd/channel"
)

// A lined layer sends a greeting each way, then the bytes with an end mark: each
// byte behind a D, the end as an E. faulty says what it does wrong.
func lined(faulty string) channel.Layer {
	return func(ctx context.Context, under channel.Channel) (channel.Channel, error) {
		if faulty != "deaf to ctx" {
			stop := context.AfterFunc(ctx, func() { under.Close() })
			defer stop()
		}
		fail := func(err error) (channel.Channel, error) {
			if faulty != "leaves it open" {
				under.Close()
			}
			if ctx.Err() != nil && faulty != "another error" {
				err = ctx.Err()
			}
			return nil, err
		}
		if _, err := under.Write([]byte("hello")); err != nil {
			return fail(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(under, got); err != nil {
			return fail(err)
		}
		if string(got) != "hello" && faulty != "takes anything" {
			return fail(errors.New("no hello"))
		}
		c := &linedChannel{Channel: under, faulty: faulty, r: bufio.NewReaderSize(under, 16)}
		if faulty == "shows what is below" {
			return shownChannel{c}, nil
		}
		return c, nil
	}
}

// A shownChannel forgets NoFiles.
type shownChannel struct{ *linedChannel }

func (c shownChannel) Unwrap() channel.Channel { return c.Channel }

type linedChannel struct {
	channel.Channel
	faulty string
	r      *bufio.Reader
	reads  sync.Mutex
	marked bool // a D was read, its byte not yet
	ended  bool
}

func (c *linedChannel) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.reads.Lock()
	defer c.reads.Unlock()
	for !c.ended {
		b, err := c.r.ReadByte()
		switch {
		case err == io.EOF && c.faulty != "a cut is an end":
			return 0, io.ErrUnexpectedEOF
		case err != nil:
			if c.faulty == "forgets where it was" {
				c.marked = false
			}
			return 0, err
		case c.marked:
			c.marked = false
			p[0] = b
			return 1, nil
		case b == 'E':
			c.ended = true
		default:
			c.marked = true
		}
	}
	return 0, io.EOF
}

func (c *linedChannel) Writev(bufs [][]byte) (int64, error) {
	var out []byte
	for _, buf := range bufs {
		for _, b := range buf {
			out = append(out, 'D', b)
		}
	}
	n, err := c.Channel.Write(out)
	return int64(n / 2), err
}

func (c *linedChannel) Write(p []byte) (int, error) {
	n, err := c.Writev([][]byte{p})
	return int(n), err
}

func (c *linedChannel) Close() error {
	c.Channel.Write([]byte("E")) // there is room: these tests read everything
	return c.Channel.Close()
}

// TestLayerChecksFindFaults: each fault of a layer is found by the check that is
// about it, and a sound one passes all of them.
func TestLayerChecksFindFaults(t *testing.T) {
	checks := map[string]func(channel.Layer) error{
		"resumes": func(l channel.Layer) error { return layer{client: l, server: l}.resumes() },
		"failing": func(l channel.Layer) error { return layer{client: l, server: l}.failing() },
		"files":   func(l channel.Layer) error { return layer{client: l, server: l}.keepsFiles() },
	}
	for _, p := range badPeers {
		checks[p.name] = p.meet
	}
	for _, c := range []struct{ faulty, found string }{
		{"", ""},
		{"forgets where it was", "resumes"},
		{"a cut is an end", "failing"},
		{"shows what is below", "files"},
		{"leaves it open", "failing garbage end"},
		{"takes anything", "garbage text"},
		{"deaf to ctx", "silence"},
		{"another error", "silence"},
	} {
		for name, check := range checks {
			want := strings.Contains(c.found, name)
			if !want && c.faulty != "" {
				continue
			}
			if err := check(lined(c.faulty)); (err != nil) != want {
				t.Errorf("%q under %s: %.500v", c.faulty, name, err)
			}
		}
	}
}
