package chardev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"chardevd/channel"
)

// A device is the guest's side of a chardev: it is kept open, and what it says
// goes into the hub.
type device struct {
	supervisor
	hub *hub
}

func newDevice(h *hub, env *channel.Env, ep Endpoint) *device {
	d := &device{hub: h}
	d.supervisor = newSupervisor(env, ep, usualReconnect(ep), d.tellNews)
	return d
}

// run keeps the device open until ctx ends.
func (d *device) run(ctx context.Context) {
	if d.ep.Listen {
		d.await(ctx)
		return
	}
	d.open(ctx, d.hub.session)
}

// await listens for the guest to come. A newer guest replaces the older one.
func (d *device) await(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	leave := func(error) {}
	d.listen(ctx, func(ch channel.Channel) {
		leave(errReplaced)
		wg.Wait()
		var guest context.Context
		guest, leave = context.WithCancelCause(ctx)
		wg.Go(func() { d.guest(guest, ch) })
	})
	leave(nil)
}

var errReplaced = errors.New("a newer guest took its place")

// guest is one guest that came.
func (d *device) guest(ctx context.Context, ch channel.Channel) {
	d.hub.note(StateUp, "a guest came: "+peerName(ch))
	err := d.hub.session(ctx, ch)
	d.hub.note(StateDown, "the guest left: "+reason(err))
}

// state is how the device is. One that is listened for is up while a guest is
// there.
func (d *device) state() (state, err string, since time.Time) {
	state, err, since = d.status.get()
	if !d.ep.Listen || state != StateUp {
		return state, err, since
	}
	if s := d.hub.device.Load(); s != nil {
		return StateUp, "", s.since
	}
	return StateOpening, "waiting for the guest to connect", since
}

func (d *device) tellNews(state string, err error) {
	text := d.ep.Address.String()
	if err != nil {
		text += ": " + reason(err)
	}
	d.hub.note(state, text)
}

// session is the time from up to down: it moves bytes both ways until the
// device ends, and returns why. It owns dev.
func (h *hub) session(ctx context.Context, dev channel.Channel) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, _ := channel.As[*channel.Outbox](dev)
	s := &session{since: time.Now(), dev: dev, out: out, input: make(chan keys), gone: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { dev.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()

	h.device.Store(s)
	h.watchLine()
	h.tell(Message{Type: "device", State: StateUp})
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := h.writeDevice(ctx, s); ctx.Err() == nil {
			h.log.Warn("the device takes no input any more", "error", err)
		}
	})
	err := h.readDevice(ctx, dev)
	if ctx.Err() != nil {
		err = whyEnded(ctx)
	}
	h.device.Store(nil)
	cancel()
	writing.Wait()
	out.Abort() // what the device did not take until now it will not
	dev.Close()
	if err == io.EOF {
		err = endOf(dev)
	}
	h.tell(Message{Type: "device", State: StateDown, Text: reason(err)})
	return err
}

var (
	errDeviceEnded = errors.New("the device closed the connection")
	errHungUp      = errors.New("the serial port is gone: it was unplugged, or hung up")
)

// endOf is why a device's stream has ended in an orderly way.
func endOf(dev channel.Channel) error {
	if x, ok := channel.As[channel.Exiter](dev); ok {
		if status, ok := x.Exited(); ok {
			return fmt.Errorf("the command ended: %s", status)
		}
	}
	if p, ok := channel.As[channel.HangUpper](dev); ok && p.HungUp() {
		return errHungUp
	}
	return errDeviceEnded
}
