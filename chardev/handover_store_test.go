package chardev

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"chardevd/channel"
)

// pairOf is a socket that takes as much at once as it has room for, and its other end.
func pairOf(t *testing.T) (fd int, other *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	other = os.NewFile(uintptr(fds[1]), "other end")
	t.Cleanup(func() { other.Close() })
	return fds[0], other
}

// storing is Store into a map, as a manager has it for the next process.
func storing(t *testing.T, h *Handover, most int) (stored map[string]int, gone int) {
	t.Helper()
	stored = map[string]int{}
	gone, err := h.Store(most, func(name string, fd int) error {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		stored[name] = dup
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return stored, gone
}

// What a client takes at once before the store, and what it is given after it, are all that
// it was owed: first what was written already, then the history.
func TestWhatAStoredClientIsOwed(t *testing.T) {
	for _, room := range []int{1, 4 << 10, 1 << 20} {
		fd, other := pairOf(t)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, room); err != nil {
			t.Fatal(err)
		}
		window := make([]byte, 300<<10)
		for i := range window {
			window[i] = byte(i / 251)
		}
		const head, cursor = 1 << 30, 1<<30 - 200<<10
		unsent := bytes.Repeat([]byte("unsent "), 1000)
		h := &Handover{Version: handoverVersion, Consoles: []*consoleHandover{{
			Name: "a", Head: head, Window: len(window), window: window,
			Device:    endpointHandover{Address: "null:"},
			Frontends: []endpointHandover{{Address: "unix:/x", Clients: []*clientHandover{{Cursor: cursor, Got: 5, Parked: channel.Parked{FDs: []int{fd}, Unsent: unsent}}}}},
		}}}
		stored, gone := storing(t, h, 10)
		if gone != 0 || len(stored) != 2 {
			t.Fatalf("%d are gone, stored is %v", gone, stored)
		}
		h, err := FromStore(stored)
		if err != nil {
			t.Fatal(err)
		}
		cl := h.Consoles[0].Frontends[0].Clients[0]
		if cl.Got-5 != cl.Cursor-cursor {
			t.Errorf("it got %d, and moved by %d", cl.Got-5, cl.Cursor-cursor)
		}
		rest := append(cl.Parked.Unsent, h.Consoles[0].window[len(window)-int(head-cl.Cursor):]...)
		h.Drop()
		other.SetReadDeadline(time.Now().Add(20 * time.Second))
		had, err := io.ReadAll(other)
		if err != nil {
			t.Fatal(err)
		}
		if want := append(unsent, window[100<<10:]...); !bytes.Equal(append(had, rest...), want) {
			t.Errorf("room %d: %d bytes before and %d after are not the %d that it was owed", room, len(had), len(rest), len(want))
		}
		if len(had) == 0 || room == 1 && len(rest) == 0 {
			t.Errorf("room %d: %d bytes before, %d after", room, len(had), len(rest))
		}
	}
}

// Each descriptor is what it was, in its order, and where a store is small the clients go
// first, then devices.
func TestWhatAStoreHasRoomFor(t *testing.T) {
	inode := func(fd int) uint64 {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		return st.Ino
	}
	for most, want := range []int{0: 5, 1: 5, 2: 4, 3: 3, 4: 3, 5: 2, 6: 1, 7: 0} {
		if most == 0 {
			continue // there is no store
		}
		var was []uint64
		parked := func(n int) *channel.Parked {
			p := new(channel.Parked)
			for range n {
				fd, _ := pairOf(t)
				was = append(was, inode(fd))
				p.FDs = append(p.FDs, fd)
			}
			return p
		}
		h := &Handover{Version: handoverVersion, Listeners: []parkedListener{{Address: "control unix:/c", Parked: parked(1)}}, Consoles: []*consoleHandover{{
			Name:   "a",
			Device: endpointHandover{Address: "unix:/d", Channel: parked(1)},
			Frontends: []endpointHandover{
				{Address: "pty:/p", Listener: parked(2)},
				{Address: "unix:/x", Clients: []*clientHandover{{Parked: *parked(1)}, {Parked: *parked(1)}}},
			},
		}}}
		stored, gone := storing(t, h, most)
		if gone != want {
			t.Errorf("of room %d: %d are gone, want %d", most, gone, want)
		}
		h, err := FromStore(stored)
		if err != nil {
			t.Fatal(err)
		}
		var now []uint64
		for _, p := range h.parked() {
			for _, fd := range p.FDs {
				now = append(now, inode(fd))
			}
		}
		if most == 7 {
			for i := range was {
				if now[i] != was[i] {
					t.Errorf("the descriptors were %d and are %d", was, now)
					break
				}
			}
		}
		if len(now) > most-1 {
			t.Errorf("of room %d: %d descriptors", most, len(now))
		}
		h.Drop()
	}
}
