package chardev

import (
	"testing"

	"chardevd/channel"
)

// What was counted of a chardev's bytes goes on.
func TestASuccessorGoesOnCounting(t *testing.T) {
	was := newBench(t, 16<<10, "shared").hub
	for i := range was.refused {
		was.refused[i].Store(int64(10 + i))
	}
	for i := range was.dropped {
		was.dropped[i].Store(int64(20 + i))
	}
	con := &console{name: "vm", hub: was}
	con.device.Store(newDevice(was, nil, &Endpoint{Address: channel.MustParseAddress("null:")}))
	left := con.handOver()
	now := newBench(t, 16<<10, "shared").hub
	now.resume(left)
	for i := range now.refused {
		if n := now.refused[i].Load(); n != int64(10+i) {
			t.Errorf("refused as %d: %d", i, n)
		}
	}
	for i := range now.dropped {
		if n := now.dropped[i].Load(); n != int64(20+i) {
			t.Errorf("dropped as %d: %d", i, n)
		}
	}
}
