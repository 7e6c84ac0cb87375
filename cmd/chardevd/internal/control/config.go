package control

import (
	"context"
	"net/http"
	"time"

	"chardevd/chardev"
)

// changeTime is how long a change of the config may take: who is cut by it is told, and
// journals are ended.
const changeTime = 30 * time.Second

// Reload has the daemon read its config again, and returns what that changed.
func (c *Client) Reload(ctx context.Context) (chardev.Changes, error) {
	return c.change(ctx, http.MethodPost, nil, "reload")
}

// Add adds a chardev.
func (c *Client) Add(ctx context.Context, want chardev.ChardevRequest) (chardev.Changes, error) {
	return c.change(ctx, http.MethodPost, want, "chardevs")
}

// Replace replaces a chardev that was added.
func (c *Client) Replace(ctx context.Context, want chardev.ChardevRequest) (chardev.Changes, error) {
	return c.change(ctx, http.MethodPut, want, "chardevs", want.Name)
}

// Remove removes a chardev that was added.
func (c *Client) Remove(ctx context.Context, name string) (chardev.Changes, error) {
	return c.change(ctx, http.MethodDelete, nil, "chardevs", name)
}

func (c *Client) change(ctx context.Context, method string, want any, path ...string) (chardev.Changes, error) {
	raw, err := c.send(ctx, changeTime, method, want, path...)
	if err != nil {
		return chardev.Changes{}, err
	}
	changes, _, err := decoded[chardev.Changes](c, raw)
	return changes, err
}
