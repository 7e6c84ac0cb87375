package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

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

// takeStored is what a daemon before has left in the manager's store, nil if nothing. The
// store is emptied beside: as long as it has a descriptor too, nothing that is closed is
// seen to be closed. taken waits for that.
func takeStored(manager *systemd.Service, log *slog.Logger) (from *chardev.Handover, taken func()) {
	if len(manager.Stored) == 0 {
		return nil, func() {}
	}
	names := slices.Sorted(maps.Keys(manager.Stored))
	from, err := chardev.FromStore(manager.Stored)
	if err != nil {
		log.Error("devices and clients begin anew", "error", err)
	}
	// Its document first: without that the rest is nothing to who is started next.
	slices.Reverse(names)
	emptied := make(chan struct{})
	go func() {
		defer close(emptied)
		kept, err := manager.OpenStore()
		if err == nil {
			defer kept.Close()
			for _, name := range names {
				if err = kept.Remove(name); err != nil {
					break
				}
			}
			err = cmp.Or(err, kept.Await())
		}
		if err != nil {
			log.Error("what is closed may stay open at its other end until the service is stopped", "error", err)
		}
	}()
	if from == nil { // what is listened on anew must not be listened on there
		<-emptied
	}
	return from, func() { <-emptied }
}

// store leaves what is left to the manager's store, if there is one: the end may have come
// while the daemon was to be replaced.
func store(left *chardev.Handover, manager *systemd.Service, log *slog.Logger) {
	if manager.Room == 0 {
		left.End()
		return
	}
	gone, err := storeBy(left, manager)
	if err != nil {
		log.Error("the next start may begin anew", "error", err)
	} else if gone > 0 {
		log.Warn("not everything is left for the next start: raise FileDescriptorStoreMax= of the service, and FDSTORE in its Environment=", "closed", gone, "room", manager.Room)
	}
}

func storeBy(left *chardev.Handover, manager *systemd.Service) (gone int, err error) {
	kept, err := manager.OpenStore()
	if err != nil {
		left.End()
		return 0, err
	}
	defer kept.Close()
	if gone, err = left.Store(manager.Room, kept.Put); err != nil {
		return gone, err
	}
	return gone, kept.Await() // the manager must know whose they are: a process that is gone is of no service
}
