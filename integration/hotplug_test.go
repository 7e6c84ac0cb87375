package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hotplug pulls the adapter out and puts it back, in every state that it may be in.
func (b *board) hotplug(t *testing.T, client, u0 *wire) {
	fds := b.descriptors()
	// Where no node is seen to come, the kernel's uevents tell of it.
	b.sh("unshare -m sh -c 'mount -t tmpfs none /dev; exec probe await usb?vid=0403' >/tmp/await & until grep -q waiting /tmp/await; do usleep 10000; done")
	b.replug(t, "/dev/ttyUSB0")
	eventually(t, patience, func() error {
		if told := b.sh("cat /tmp/await"); !strings.Contains(told, "told") {
			return fmt.Errorf("who waits for uevents says %q", told)
		}
		return nil
	})
	b.logged("down", "usb")
	b.logged("up", "usb")
	exchange(t, client, u0, 4<<10)

	// Its number is taken by somebody who does not let go: it is another one now.
	b.sh("exec 9<>/dev/ttyUSB0")
	b.replug(t, "/dev/ttyUSB1")
	exchange(t, client, u0, 4<<10)
	b.sh("exec 9>&-")

	// From here on the adapter comes and goes with who holds its other end: QEMU
	// does not survive a device_del while that sends.
	b.unplug("us0", "u0")
	down := b.usbIs("down", time.Time{})
	b.plug(false)
	up := b.usbIs("up", down)

	// Blocked: a client that takes nothing has the daemon wait before it reads on.
	// That the port is gone is seen when it does.
	u0.SetWriteDeadline(time.Now().Add(2 * time.Second))
	if n, err := u0.Write(make([]byte, 64<<20)); err == nil {
		t.Fatalf("%d bytes were taken by nobody", n)
	}
	u0.Close()
	u0 = b.holder(t)
	client.drain(client.Conn)
	u0.drain(u0.Conn)
	b.usbIs("up", up)
	b.finds(t, client, u0, "unblocked")

	// Under load, both ways until it goes: QEMU does not survive it either that who holds the
	// other end leaves while the guest sends (a segmentation fault in its usb-serial).
	still := make(chan struct{})
	var load, typing sync.WaitGroup
	loads := func(w *wire, stop chan struct{}) error {
		for {
			select {
			case <-stop:
				return nil
			default:
			}
			w.SetWriteDeadline(time.Now().Add(patience))
			if _, err := w.Write(bytes.Repeat([]byte("load"), 1<<10)); err != nil {
				return err
			}
		}
	}
	load.Go(func() { loads(u0, nil) }) // until it is closed
	typing.Go(func() {
		if err := loads(client, still); err != nil {
			t.Error("the client:", err)
		}
	})
	for _, w := range []*wire{client, u0} {
		w.sees(t, strings.Repeat("load", 8<<10)) // it flows
	}
	close(still)
	typing.Wait()
	client.types(t, "that is all")
	u0.sees(t, "that is all")
	u0.Close()
	down = b.usbIs("down", time.Time{})
	load.Wait()
	client.SetWriteDeadline(time.Time{})
	u0 = b.holder(t)
	u0.drain(u0.Conn)
	b.usbIs("up", down)
	b.finds(t, client, u0, "under load")

	n := 5
	if long {
		n = 50
	}
	for i := range n {
		b.replug(t, "/dev/ttyUSB0")
		b.finds(t, client, u0, fmt.Sprint("again ", i))
	}
	// A look for the port that is not there, and a client that had to wait lately, have
	// one for a while.
	eventually(t, patience, func() error {
		now := b.descriptors()
		if came := more(now, fds); len(came) > 0 {
			return fmt.Errorf("after %d unplugs there are the descriptors %q, and before there were not: %q", n, came, fds)
		}
		return nil
	})
	if n := b.count("task"); n > 20 {
		t.Errorf("the daemon has %d threads", n)
	}
}

// descriptors are what the daemon's lead to, as proc(5) names it: a socket and its
// duplicates have one name.
func (b *board) descriptors() []string {
	b.t.Helper()
	return strings.Fields(b.sh("for f in /proc/$(pidof chardevd)/fd/*; do readlink $f; done"))
}

// more is what there is more of than before.
func more(now, before []string) (came []string) {
	left := slices.Clone(before)
	for _, d := range now {
		if i := slices.Index(left, d); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			came = append(came, d)
		}
	}
	return came
}

// replug pulls the adapter out and puts it back, and sees that it is open soon
// after the node is there that the kernel makes for it.
func (b *board) replug(t *testing.T, node string) {
	t.Helper()
	b.unplug("us0", "u0")
	b.plugged = b.usbIs("down", b.plugged)
	b.plug(true)
	b.plugged = b.usbIs("up", b.plugged)
	made, err := time.Parse("2006-01-02 15:04:05.999999999 -0700", strings.TrimSpace(b.sh("stat -c %y "+node)))
	if err != nil {
		t.Fatal(err)
	}
	late := b.plugged.Sub(made)
	if long && late > time.Second { // else it is told, as a busy machine is late by itself
		t.Errorf("up %v after %s was there", late, node)
	}
	b.late = max(b.late, late)
}

// usbIs waits until the adapter is up or down since a time after the given one, and
// returns since when, by the guest's clock. The log would not do: it is silent about
// what comes and goes.
func (b *board) usbIs(state string, after time.Time) time.Time {
	b.t.Helper()
	var since time.Time
	eventually(b.t, patience, func() error {
		var all []info
		text := b.sh("chardevd list --json --control unix:/state/control")
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		for _, c := range all {
			if c.Name == "usb" && (c.State == "up") == (state == "up") && c.Since.After(after) {
				since = c.Since
				return nil
			}
		}
		return fmt.Errorf("it is not %s: %s", state, text)
	})
	return since
}

// finds sees that what is typed at either end comes to the other one.
func (b *board) finds(t *testing.T, client, u0 *wire, text string) {
	t.Helper()
	client.types(t, "<to the port, "+text+">")
	u0.sees(t, "<to the port, "+text+">")
	u0.types(t, "<from the port, "+text+">")
	client.sees(t, "<from the port, "+text+">")
}
