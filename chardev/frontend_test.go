package chardev

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"chardevd/channel"
)

// outboxes is what a server puts below the layers.
var outboxes = &channel.Env{Below: func(c channel.Channel) channel.Channel { return channel.NewOutbox(c) }}

func socketPath(t *testing.T) channel.Address {
	return channel.MustParseAddress("unix:" + filepath.Join(t.TempDir(), "s"))
}

func TestAFrontendThatConnectsCountsItsClient(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	at := socketPath(t)
	l, err := channel.Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := newFrontend(b.hub, outboxes, &FrontendConfig{Endpoint: Endpoint{Address: at}})
	f.start(b.ctx)
	b.wg.Go(f.work.Wait)
	peer, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the client to be counted", func() bool { return f.info().Clients == 1 })
	peer.Close()
	await(t, "its end, in words", func() bool { return f.info().Error == "end of input" })
	peer, err = l.Accept(t.Context()) // it comes again
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	await(t, "one client and not two", func() bool { return f.info().Clients == 1 })
}

func TestMaxClientsMayBeLarge(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	at := channel.MustParseAddress("unix:" + filepath.Join(t.TempDir(), "s") + "?max_clients=3000000000")
	f := newFrontend(b.hub, outboxes, &FrontendConfig{Endpoint: Endpoint{Address: at, Listen: true}})
	f.start(b.ctx)
	b.wg.Go(f.work.Wait)
	<-f.status.tried()
	peer, err := channel.Dial(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	await(t, "the client to be served", func() bool { return f.info().Clients == 1 })
}

// What ends a guest's stay is told in words that mean something to people.
func TestANewerGuestReplacesTheOlder(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	at := socketPath(t)
	d := newDevice(b.hub, outboxes, &Endpoint{Address: at, Listen: true})
	d.start(b.ctx)
	b.wg.Go(d.work.Wait)
	<-d.status.tried()
	for range 2 {
		before := b.hub.device.Load()
		guest, err := channel.Dial(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		defer guest.Close()
		b.wg.Go(func() { // it talks all the time
			for err := error(nil); err == nil; {
				_, err = guest.Write(make([]byte, 1<<10))
			}
		})
		await(t, "the guest to be there", func() bool { s := b.hub.device.Load(); return s != nil && s != before })
	}
	d.ask(nil)
	await(t, "the second guest to be gone", func() bool { return b.hub.device.Load() == nil })
	var left []string
	await(t, "the events", func() bool {
		left = nil
		b.hub.mu.Lock()
		defer b.hub.mu.Unlock()
		for _, e := range b.hub.events {
			if why, ok := strings.CutPrefix(e.Text, "the guest left: "); ok {
				left = append(left, why)
			}
		}
		return len(left) == 2
	})
	if left[0] != errReplaced.Error() || left[1] != errShutdown.Error() {
		t.Errorf("the guests left because of %q", left)
	}
}

// A client that has shut down what it reads takes nothing any more, but its input
// goes on. Nobody waits for it, the device neither.
func TestAClientThatReadsNoMoreHoldsUpNobody(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	b.plug()
	at := socketPath(t)
	f := newFrontend(b.hub, outboxes, &FrontendConfig{Endpoint: Endpoint{Address: at, Listen: true}, OnLag: "block"})
	f.start(b.ctx)
	b.wg.Go(f.work.Wait)
	<-f.status.tried()
	peer, err := net.Dial("unix", at.Where)
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	await(t, "the client to be served", func() bool { return f.info().Clients == 1 })
	peer.(*net.UnixConn).CloseRead()
	b.wg.Go(func() { b.print(1 << 20) })
	await(t, "the device to be read", func() bool { return b.hub.hist.Head() == 1<<20 })
	io.WriteString(peer, "x")
	got := make([]byte, 1)
	if io.ReadFull(b.guest, got); string(got) != "x" {
		t.Errorf("the device got %q", got)
	}
}

// A client whose input has ended, and that then breaks off while nothing can be
// written to it, is gone.
func TestAHalfClosedClientThatBreaksOffEnds(t *testing.T) {
	b := newBench(t, 16<<10, "shared")
	b.plug()
	far, c := b.attach(1<<10, 0, func(c *client) { c.halfClose = true })
	b.print(8 << 10)
	far.CloseWrite()
	await(t, "the client to be full", func() bool {
		b.hub.mu.Lock()
		defer b.hub.mu.Unlock()
		return c.got.Load() == 1<<10 && b.hub.lagging == 1
	})
	far.Break()
	await(t, "the client to be gone", func() bool { return len(b.hub.clientInfos()) == 0 })
}
