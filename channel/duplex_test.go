package channel

import (
	"errors"
	"net"
	"os"
	"testing"
)

// Who is closed learns that, and not what the peer did about it: a command whose output
// is closed first may end before its input is.
func TestDuplexWhileItCloses(t *testing.T) {
	in, far, err := os.Pipe()
	must(t, err)
	taken, out, err := os.Pipe()
	must(t, err)
	d, err := newDuplex(in, out, addr{}, addr{})
	must(t, err)
	defer d.Close()
	read, wrote := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := d.Read(make([]byte, 1))
		read <- err
	}()
	go func() {
		_, err := d.Write(make([]byte, 1<<20))
		wrote <- err
	}()
	one := make([]byte, 1)
	_, err = taken.Read(one) // so that the write has begun
	must(t, err)
	d.closed.Store(true)
	far.Close()
	taken.Close()
	for what, done := range map[string]chan error{"Read": read, "Write": wrote} {
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v, want %v", what, err, net.ErrClosed)
		}
	}
}
