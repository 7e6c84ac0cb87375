package control

import (
	"context"
	"net/http"
	"time"

	"chardevd/chardev"
)

// upgradeTime is how long an upgrade may take, from the question to the successor's first
// answer: that one may wait for disks.
const upgradeTime = 30 * time.Second

// Upgrade has the daemon replaced by its program, and returns who answered before and
// who answers then.
func (c *Client) Upgrade(ctx context.Context) (was, now chardev.UpgradeInfo, err error) {
	if was, _, err = get[chardev.UpgradeInfo](ctx, c, "upgrade"); err != nil {
		return was, now, err
	}
	// The answer ends when the daemon leaves; the next one waits for who follows.
	if _, err = c.send(ctx, upgradeTime, http.MethodPost, nil, "upgrade"); err != nil {
		return was, now, err
	}
	raw, err := c.send(ctx, upgradeTime, http.MethodGet, nil, "upgrade")
	if err != nil {
		return was, now, err
	}
	now, _, err = decoded[chardev.UpgradeInfo](c, raw)
	return was, now, err
}
