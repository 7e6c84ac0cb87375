package main

import (
	"context"
	"fmt"
	"log/slog"

	"chardevd/chardev"
	"chardevd/cmd/chardevd/internal/systemd"
)

// A managed daemon is one whose service manager hears how it is. What the manager does
// not hear is in the log.
type managed struct {
	*systemd.Service
	server *chardev.Server
	log    *slog.Logger
}

// takeSockets gives the daemon the sockets that were passed.
func (m managed) takeSockets() {
	if err := m.server.Inherit(m.Sockets); err != nil {
		m.log.Error("what was passed to listen on", "error", err)
	}
}

// status is the line of "systemctl status".
func status(up, all int) string { return fmt.Sprintf("%d of %d consoles up", up, all) }

func (m managed) ready() { m.told(m.Ready(status(m.server.Up()))) }

// follow keeps that line true until ctx ends.
func (m managed) follow(ctx context.Context) {
	if m.Hears() {
		m.server.Follow(ctx, func(up, all int) { m.told(m.Status(status(up, all))) })
	}
}

func (m managed) stopping() { m.told(m.Stopping()) }

// reload reads the config again, and tells the manager when that begins and is over.
func (m managed) reload() {
	m.told(m.Reloading())
	m.server.Reload() // which tells the log what came of it
	m.ready()
}

func (m managed) told(err error) {
	if err != nil {
		m.log.Warn("service manager", "error", err)
	}
}
