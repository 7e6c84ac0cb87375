package control

import (
	"context"
	"net/http"
	"time"

	"chardevd/channel"
	"chardevd/chardev"
)

// Break has a chardev's device send a break and returns when it is over; 0 is the
// usual length.
func (c *Client) Break(ctx context.Context, name string, d time.Duration) error {
	if err := c.Known(ctx, name); err != nil {
		return err
	}
	var want chardev.BreakRequest
	if d != 0 {
		want.Duration = channel.FormatDuration(d)
	}
	_, err := c.send(ctx, d+answerTime, http.MethodPost, want, "chardevs", name, "break")
	return err
}

// Line returns how the serial line of a chardev's device is, and the JSON it came as.
func (c *Client) Line(ctx context.Context, name string) (chardev.LineInfo, []byte, error) {
	if err := c.Known(ctx, name); err != nil {
		return chardev.LineInfo{}, nil, err
	}
	return get[chardev.LineInfo](ctx, c, "chardevs", name, "line")
}

// SetLine changes the line, and returns how it is then, as Line does.
func (c *Client) SetLine(ctx context.Context, name string, want chardev.LineSettings) (chardev.LineInfo, []byte, error) {
	if err := c.Known(ctx, name); err != nil {
		return chardev.LineInfo{}, nil, err
	}
	raw, err := c.send(ctx, answerTime, http.MethodPatch, want, "chardevs", name, "line")
	if err != nil {
		return chardev.LineInfo{}, nil, err
	}
	return decoded[chardev.LineInfo](c, raw)
}
