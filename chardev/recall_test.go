package chardev

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"chardevd/chardev/internal/journal"
)

// unread makes a segment one that can not be opened; mend undoes that.
func unread(t testing.TB, segment string) (mend func()) {
	t.Helper()
	if err := os.Rename(segment, segment+".kept"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(segment, segment); err != nil { // ELOOP
		t.Fatal(err)
	}
	return func() {
		if err := os.Rename(segment+".kept", segment); err != nil {
			t.Fatal(err)
		}
	}
}

// event waits for an event of a hub that begins so.
func (b *bench) event(begin string) {
	b.t.Helper()
	await(b.t, "the event "+begin, func() bool {
		b.hub.mu.Lock()
		defer b.hub.mu.Unlock()
		return slices.ContainsFunc(b.hub.events, func(e Event) bool { return strings.HasPrefix(e.Text, begin) })
	})
}

// What can not be read when a client catches up it gets when it can be; what can not
// be in some time is a gap of that and no more.
func TestWhatCanNotBeReadIsTriedAgain(t *testing.T) {
	n := newNotebook(t, roomy)
	const total = 4 << 20
	b := n.full(total, 64<<10)
	defer b.end()
	segments, err := filepath.Glob(filepath.Join(n.dir, "vm1-*.log"))
	if err != nil || len(segments) < 3 {
		t.Fatal(segments, err)
	}
	slices.Sort(segments) // "." is before "_"
	sizes := []int{}
	for _, s := range segments {
		info, err := os.Stat(s)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, int(info.Size()))
	}
	mend := unread(t, segments[1])
	far, c := b.attach(4<<10, total, nil)
	readNumbers(t, far, 0, sizes[0])
	b.event(fmt.Sprintf("%s waits for what can not be read now: ", c))
	mend()
	defer unread(t, segments[2])()
	at := int64(sizes[0])
	readNumbers(t, far, at, sizes[1])
	at += int64(sizes[1] + sizes[2])
	readNumbers(t, far, at, total-int(at))
	b.event(fmt.Sprintf("%s lacks %d bytes from offset %d on", c, sizes[2], at-int64(sizes[2])))
	if missed := c.missed.Load(); missed != int64(sizes[2]) {
		t.Errorf("missed %d bytes of a segment of %d", missed, sizes[2])
	}
}

// A disk that fails is tried for some time and then once each time; what others hold
// is waited for as long as it takes, and nothing by who is leaving.
func TestHowOftenItIsTried(t *testing.T) {
	tries := func(o *recall, err error) (n int, waited time.Duration) {
		for n < 100 && o.failed(err) {
			waited += o.wait
			n++
		}
		return n, waited
	}
	o := new(recall)
	for range 2 {
		if n, waited := tries(o, syscall.EIO); n < 3 || n > 10 || waited < time.Second || waited > 10*time.Second {
			t.Errorf("tried %d times in %v", n, waited)
		}
		if o.failed(syscall.EIO) {
			t.Error("tried longer than that")
		}
		o.failed(nil)
	}
	if n, _ := tries(o, &os.PathError{Err: syscall.EMFILE}); n != 100 {
		t.Errorf("a descriptor is waited for %d times", n)
	}
	var going, mute latch
	going.end()
	o.pause(&going, &mute)
	if o.failed(syscall.EMFILE) {
		t.Error("waits on for a client that leaves")
	}
}

// A client that is stalled while it catches up holds no file, and goes on where it was.
func TestAStalledClientHoldsNoFile(t *testing.T) {
	n := newNotebook(t, journal.Options{MaxSize: 256 << 10, Keep: 1000})
	b := n.bench(16 << 10)
	defer b.end()
	b.plug()
	const total = 4 << 20
	b.print(total)
	awaitWritten(t, b)
	far, c := b.attach(4<<10, total, nil)
	open := func() (count int) {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range all {
			if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, n.dir+"/vm1-") {
				count++
			}
		}
		return count
	}
	readNumbers(t, far, 0, 512<<10)
	await(t, "a sealed segment to be open", func() bool { return open() > 0 })
	await(t, "it to be let go", func() bool { return open() == 0 })
	readNumbers(t, far, 512<<10, total-512<<10)
	if missed := c.missed.Load(); missed != 0 {
		t.Errorf("missed %d bytes", missed)
	}
}
