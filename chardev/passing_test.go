package chardev

import (
	"context"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"chardevd/channel"
)

// What is passed, and whose device or frontend ends before it is opened, is closed with it:
// nothing else knows of it any more.
func TestPassedAndNeverOpenedIsClosed(t *testing.T) {
	over, end := context.WithCancel(t.Context())
	end()
	for name, start := range map[string]func(h *hub, env *channel.Env, at channel.Address) *life{
		"a device": func(h *hub, env *channel.Env, at channel.Address) *life {
			d := newDevice(h, env, &Endpoint{Address: at})
			d.start(over)
			return &d.life
		},
		"a device that comes": func(h *hub, env *channel.Env, at channel.Address) *life {
			d := newDevice(h, env, &Endpoint{Address: at, Listen: true})
			d.start(over)
			return &d.life
		},
		"a frontend": func(h *hub, env *channel.Env, at channel.Address) *life {
			f := newFrontend(h, env, &FrontendConfig{Endpoint: Endpoint{Address: at, Listen: true}})
			f.start(over)
			return &f.life
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 4<<10, "shared")
			env := &channel.Env{Log: b.hub.log, Below: outboxes.Below, Passed: new(channel.Passed)}
			defer env.Passed.Close()
			at := channel.MustParseAddress("fd:" + channel.PassedPrefix + "1")
			ours, theirs, err := socketPair()
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			if _, _, err := env.Passed.Put(at, ours); err != nil {
				t.Fatal(err)
			}
			start(b.hub, env, at).work.Wait()
			if n, err := readNow(theirs); n != 0 || err != nil {
				t.Errorf("its other end reads %d, %v; want its end", n, err)
			}
		})
	}
}

// readNow reads what there is: nothing at all, with EAGAIN, if it had to wait.
func readNow(f *os.File) (int, error) {
	n, _, err := unix.Recvfrom(int(f.Fd()), make([]byte, 1), unix.MSG_DONTWAIT)
	if errors.Is(err, unix.EINTR) {
		return readNow(f)
	}
	return n, err
}
