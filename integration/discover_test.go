package integration

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// discovered are the names of all chardevs that there are.
func (d *daemon) discovered() (names []string, err error) {
	var all []info
	err = d.get("chardevs", &all)
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names, err
}

// only waits until these chardevs, sorted, are there and no others.
func (d *daemon) only(want ...string) {
	d.t.Helper()
	eventually(d.t, patience, func() error {
		have, err := d.discovered()
		if err == nil && !slices.Equal(have, want) {
			err = fmt.Errorf("there are %d chardevs %.200q, want %d %.200q\n%s", len(have), have, len(want), want, last([]byte(d.stderr.text()), 500))
		}
		return err
	})
}

// metric is what the daemon tells of one that has no labels, or these.
func (d *daemon) metric(name string) int {
	d.t.Helper()
	r, err := d.api.Get("http://localhost/metrics")
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		d.t.Fatalf("%s, %v", r.Status, err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)$`).FindSubmatch(page)
	if m == nil {
		d.t.Fatalf("no metric %s", name)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// A guestSocket is a socket that somebody listens on and takes who comes.
type guestSocket struct {
	l     net.Listener
	taken sync.WaitGroup
}

func newGuestSocket(t testing.TB, path string) *guestSocket {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	g := &guestSocket{l: l}
	g.taken.Go(func() {
		var all []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			all = append(all, c)
		}
		for _, c := range all {
			c.Close()
		}
	})
	return g
}

// close takes the socket away.
func (g *guestSocket) close() {
	g.l.Close()
	g.taken.Wait()
}

// Sockets appear and go at random under a glob: at the end there are the chardevs of
// those that are there, and when all are gone nothing is left.
func TestDiscoveryOfMany(t *testing.T) {
	n, span := 60, 2*time.Second
	if long {
		n, span = 1000, time.Minute
	}
	dir := folder(t)
	d := newDaemon(t, dir, "[[discover]]\nglob = \"g/*/serial\"\nname = \"vm{1}\"\nlinger = \"0s\"\nfrontends = [\"unix:front{1}\"]\n", nil)
	d.serve()
	sockets := map[int]*guestSocket{}
	t.Cleanup(func() {
		for _, g := range sockets {
			g.close()
		}
	})
	// Some folders go with their socket, others stay; all may be together.
	turn := func(i int) {
		t.Helper()
		if g := sockets[i]; g != nil {
			g.close()
			delete(sockets, i)
			if i%2 == 0 {
				if err := os.Remove(d.path(fmt.Sprintf("g/%d", i))); err != nil {
					t.Fatal(err)
				}
			}
			return
		}
		if err := os.MkdirAll(d.path(fmt.Sprintf("g/%d", i)), 0o700); err != nil {
			t.Fatal(err)
		}
		sockets[i] = newGuestSocket(t, d.path(fmt.Sprintf("g/%d/serial", i)))
	}
	settled := func() {
		t.Helper()
		var names []string
		for i := range sockets {
			names = append(names, fmt.Sprintf("vm%d", i))
		}
		slices.Sort(names)
		d.only(names...)
	}
	all := func(there bool) {
		t.Helper()
		for i := range n {
			if (sockets[i] != nil) != there {
				turn(i)
			}
		}
		settled()
	}
	all(true)
	all(false)
	fds, goroutines, resident := d.fds(), d.metric("go_goroutines"), d.resident()

	rnd, turns := rand.New(rand.NewPCG(uint64(n), 8)), 0
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for end := time.Now().Add(span); time.Now().Before(end); turns++ {
		turn(rnd.IntN(n))
		<-pace.C
	}
	settled()
	there := slices.Collect(maps.Keys(sockets))
	for _, i := range there {
		d.is(fmt.Sprintf("vm%d", i), "up")
	}
	if have := d.metric(`chardevd_discovered{state="there"}`); have != len(there) {
		t.Errorf("the metrics tell of %d, and %d are there", have, len(there))
	}
	all(false)
	eventually(t, patience, func() error {
		if f, g := d.fds(), d.metric("go_goroutines"); f > fds || g > goroutines+5 { // of the scrape, and of requests that end
			return fmt.Errorf("%d descriptors and %d goroutines, and %d and %d before", f, g, fds, goroutines)
		}
		return nil
	})
	t.Logf("%d turns of %d sockets, %d there at the end; then %d descriptors (%d before), %d goroutines (%d), %d KiB (%d)",
		turns, n, len(there), d.fds(), fds, d.metric("go_goroutines"), goroutines, d.resident()>>10, resident>>10)
	if have := d.resident(); have > resident+16<<20 && !raceEnabled {
		t.Errorf("%d bytes resident, and %d before", have, resident)
	}
}

// A guest of QEMU is stopped and started again: its chardev stays meanwhile, with who is
// attached, and the history goes on; an upgrade changes nothing of that.
func TestDiscoveredGuest(t *testing.T) {
	dir := folder(t)
	d := newDaemon(t, dir, "[[discover]]\nglob = \"q/*.serial\"\nfrontends = [\"unix:front.{name}\"]\n", nil)
	d.serve()
	d.only()
	if err := os.Mkdir(d.path("q"), 0o700); err != nil {
		t.Fatal(err)
	}
	g := unixGuest(t, pacedImage(t), d.path("q/vm1.serial"))
	d.only("vm1")
	d.is("vm1", "up")
	client := dialSilent(t, "unix", d.path("front.vm1"))
	d.has("vm1", 1)
	g.cont()
	grows := func() {
		t.Helper()
		from := d.info("vm1").Offset
		eventually(t, patience, func() error {
			if i := d.info("vm1"); i.Offset <= from {
				return fmt.Errorf("it is at %d, as before", i.Offset)
			}
			return nil
		})
	}
	grows()
	says := func(want string, args ...string) {
		t.Helper()
		if stdout, stderr, code := d.cli(args...); code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%q: %d\n%s%s\nwant %s", args, code, stdout, stderr, want)
		}
	}
	says("\n  from "+d.path("q/vm1.serial")+", by the [[discover]] at "+d.config+":3:1", "list", "-v")
	stdout, stderr, code := execute(t, d.command("check", "-c", d.config))
	if want := ":3:1: discover " + d.path("q/*.serial") + ": 1 now\n  " + d.path("q/vm1.serial") + ": chardev vm1\nok\n"; code != 0 || !strings.HasSuffix(stdout, want) {
		t.Errorf("check: %d\n%s%s\nwant %s", code, stdout, stderr, want)
	}
	g.kill()
	if err := os.Remove(d.path("q/vm1.serial")); err != nil { // which QEMU leaves behind when it is killed
		t.Fatal(err)
	}
	eventually(t, patience, func() error {
		if n, i := d.metric(`chardevd_discovered{state="gone"}`), d.info("vm1"); n != 1 || i.State == "up" {
			return fmt.Errorf("%d are gone, and vm1 is %s", n, i.State)
		}
		return nil
	})
	before := d.info("vm1")
	says("upgraded", "upgrade")
	d.only("vm1")
	d.has("vm1", 1)
	g.restart()
	d.is("vm1", "up")
	g.cont()
	grows()
	if i := d.info("vm1"); i.Epoch != before.Epoch || i.Offset <= before.Offset {
		t.Errorf("epoch %s, offset %d; before %s, %d", i.Epoch, i.Offset, before.Epoch, before.Offset)
	}
	d.has("vm1", 1)
	client.Close()
}
