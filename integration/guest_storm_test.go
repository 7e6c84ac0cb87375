package integration

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// Guests that come and go by the hundred, as one does that cannot boot, neither fill the log
// nor push all else out of the events.
func TestGuestsByTheHundred(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, `
[[chardev]]
name = "vm"
device = { listen = "unix:guest" }
`, nil)
	const guests = 300
	for range guests {
		c, err := net.Dial("unix", d.path("guest"))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	last := dialSilent(t, "unix", d.path("guest")) // behind all of them
	if _, err := last.Conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() error {
		if n := d.info("vm").Offset; n != 1 {
			return fmt.Errorf("the last guest printed %d bytes", n)
		}
		return nil
	})
	told := 0
	for _, e := range d.info("vm").Events {
		if strings.Contains(e.Text, "a guest came") {
			told++
		}
	}
	if told == 0 || told > guests/2 {
		t.Errorf("%d of %d guests are told of", told, guests)
	}
}
