package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A Linux guest boots and logs at full rate through rotations, with compression:
// what is in the files is byte for byte what another reader of the console got,
// with every line of the guest's; tail -F of the current file has it all.
// (QEMU's own logfile= is no witness: 7.2 writes what it sends in two parts twice.)
func TestJournalOfLinux(t *testing.T) {
	segment, lines := 128<<10, 8000
	if long {
		segment, lines = 3<<20, 200_000 // minutes
	}
	d := startDaemon(t, oneGuest+`
log = { max_size = @segment@, keep = 1000, compress = true }
`, map[string]any{"segment": segment})
	socat := start(t, program(t, "socat"), "-u", "UNIX-CONNECT:"+d.path("front"), "CREATE:"+d.path("seen"))
	d.has("vm", 1)

	// The last -append counts: with the kernel's own words.
	l := bootLinux(t, nil, "path="+d.path("vm.guest"), d.path("front"),
		"-append", "console=ttyS0 loglevel=7 panic=-1 mitigations=off nokaslr random.trust_cpu=on")
	eventually(t, patience, func() error { _, err := os.Stat(d.current("vm")); return err })
	tail := start(t, program(t, "tail"), "-c", "+1", "-F", d.current("vm"))
	const line = "[%9d] eth0: link up, 1000 Mbps, session %x started"
	l.shell.types(t, `awk 'BEGIN { for (i = 0; i < `+fmt.Sprint(lines)+`; i++) printf "`+line+`\n", i, i*3; print "THE END" }'`+"\n")

	const end = "THE END\r\n"
	eventually(t, time.Duration(1+lines/10_000)*6*patience, func() error {
		f, err := os.Open(d.path("seen"))
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		last := make([]byte, len(end))
		if _, err := f.ReadAt(last, max(0, info.Size()-int64(len(end)))); err != nil || string(last) != end {
			return fmt.Errorf("the guest still prints, at %d", info.Size())
		}
		return nil
	})
	socat.kill()
	seen, err := os.ReadFile(d.path("seen"))
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range lines {
		want = fmt.Appendf(want, line+"\r\n", i, i*3)
	}
	if !bytes.Contains(seen, []byte("Linux version ")) || !bytes.Contains(seen, want) {
		t.Errorf("the guest's boot or some of its lines are missing: %q … %q", seen[:min(300, len(seen))], last(seen, 300))
	}
	alike := func(what string, have []byte) {
		t.Helper()
		if i := firstDifference(have, seen); i >= 0 {
			t.Errorf("%s has %d bytes, another reader of the console %d; they differ at %d: %q, %q", what, len(have), len(seen), i, last(have[:min(i+20, len(have))], 40), last(seen[:min(i+20, len(seen))], 40))
		}
	}
	eventually(t, patience, func() error {
		if info, err := os.Stat(d.current("vm")); err != nil || info.Size() == 0 {
			return fmt.Errorf("the current segment: %v, %w", info, err)
		}
		return nil
	})
	sealed := d.compressed("vm", 3)
	eventually(t, patience, func() error {
		if n := len(d.stored("vm")); n < len(seen) {
			return fmt.Errorf("%d of %d bytes are in the files", n, len(seen))
		}
		return nil
	})
	alike("the journal", []byte(d.stored("vm")))
	tail.out.until(patience, func(data []byte) bool { return len(data) >= len(seen) })
	alike("tail -F", []byte(tail.out.text()))
	raw, stderr, code := d.cli("log", "vm", "--raw")
	if code != 0 {
		t.Errorf("log --raw: exit %d: %s", code, stderr)
	}
	alike("log --raw", []byte(raw))
	for _, s := range sealed {
		index := s[:len(s)-len(".log.zst")] + ".idx"
		if _, err := os.Stat(index); err != nil {
			t.Errorf("%s has no index: %v", filepath.Base(s), err)
		}
	}
	t.Logf("%d bytes in %d segments; tail said %q", len(seen), len(sealed)+1, tail.stderr.text())
}
