package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// oneGuest is the config of a chardev vm with one frontend, in the daemon's folder; its
// guest is to connect to vm.guest there.
const oneGuest = `
[[chardev]]
name = "vm"
device = { listen = "unix:vm.guest" }
frontends = ["unix:front"]
`

// watched has a guest of oneGuest print n bytes, of which one who is attached sees each.
func (d *daemon) watched(n int64) {
	d.t.Helper()
	live := dialSilent(d.t, "unix", d.path("front"))
	d.has("vm", 1)
	p := newPrinter(d.t, d, "vm")
	var seen pageChecker
	p.shows(d.t, n, 20<<20, live, &seen)
}

// segments are the sealed segments of a chardev's journal, in their order.
func (d *daemon) segments(name string) []string {
	d.t.Helper()
	all, err := filepath.Glob(filepath.Join(d.path("state"), name, name+"-*.log*"))
	if err != nil {
		d.t.Fatal(err)
	}
	slices.Sort(all) // "." is before "_": the first of a second before its others
	return all
}

// current is the file that a chardev's journal is written to.
func (d *daemon) current(name string) string {
	return filepath.Join(d.path("state"), name, name+".log")
}

// compressed waits until all sealed segments are, and there are at least n.
func (d *daemon) compressed(name string, n int) []string {
	d.t.Helper()
	var all []string
	eventually(d.t, 3*patience, func() error {
		all = d.segments(name)
		for _, s := range all {
			if !strings.HasSuffix(s, ".log.zst") {
				return fmt.Errorf("%s is not compressed", s)
			}
		}
		if len(all) < n {
			return fmt.Errorf("there are %d sealed segments, not %d", len(all), n)
		}
		return nil
	})
	return all
}

// stored is all that is in the files of a journal whose sealed segments are
// compressed, as anybody's tools read it.
func (d *daemon) stored(name string) string {
	d.t.Helper()
	var sealed string
	if all := d.segments(name); len(all) > 0 {
		sealed = run(d.t, program(d.t, "zstdcat"), all...)
	}
	current, err := os.ReadFile(d.current(name))
	if err != nil {
		d.t.Fatal(err)
	}
	return sealed + string(current)
}

// log asks the API for the log of a chardev. at is the offset of its first byte.
func (d *daemon) log(name string, query url.Values) (at int64, body []byte) {
	d.t.Helper()
	r, err := d.api.Get("http://localhost/api/v1/chardevs/" + name + "/log?" + query.Encode())
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err = io.ReadAll(r.Body); err != nil {
		d.t.Fatal(err)
	}
	if r.StatusCode != http.StatusOK {
		d.t.Fatalf("GET log?%s: %s: %s", query.Encode(), r.Status, body)
	}
	if at, err = strconv.ParseInt(r.Header.Get("Chardevd-Offset"), 10, 64); err != nil {
		d.t.Fatalf("GET log?%s: Chardevd-Offset: %v", query.Encode(), err)
	}
	return at, body
}

// resident is how many bytes of memory the daemon has (VmRSS, proc(5)).
func (d *daemon) resident() int64 {
	d.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kib), " kB"), 10, 64)
			if err != nil {
				d.t.Fatal(err)
			}
			return n << 10
		}
	}
	d.t.Fatalf("no VmRSS in %s", status)
	return 0
}

// at waits until the head of a chardev is at an offset.
func (d *daemon) at(name string, offset int64) {
	d.t.Helper()
	eventually(d.t, 3*patience, func() error {
		if i := d.info(name); i.Offset != offset {
			return fmt.Errorf("%s is at %d, not at %d", name, i.Offset, offset)
		}
		return nil
	})
}

// query is url.Values from pairs.
func query(pairs ...any) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(fmt.Sprint(pairs[i]), fmt.Sprint(pairs[i+1]))
	}
	return q
}
