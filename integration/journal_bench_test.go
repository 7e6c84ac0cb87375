package integration

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// logLines are n bytes or a little more of lines that are all different.
func logLines(n int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	units := []string{"systemd[1]", "kernel", "sshd[812]", "NetworkManager[501]", "eth0", "usb 1-1", "audit", "CRON[2211]"}
	events := []string{"Started session", "link is up at 1000 Mbps", "Accepted publickey for root from", "new high-speed device number", "type=1400 pid", "timed out after", "state change: disconnected", "(root) CMD"}
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "[%5d.%06d] %s: %s %d 0x%08x\r\n", random.IntN(99999), random.IntN(1e6),
			units[random.IntN(len(units))], events[random.IntN(len(events))], random.IntN(1e5), random.Uint32())
	}
	return b.Bytes()
}

// BenchmarkLogGrep is what log --grep takes for a literal over 1 GiB of journal,
// all but 64 MiB of it compressed, beside zstdcat | grep over the same files in
// the same run:
//
//	go test -run '^$' -bench LogGrep -benchtime 3x ./integration
func BenchmarkLogGrep(b *testing.B) {
	const total, piece = 1 << 30, 16 << 20
	const rate = 150 << 20 // bytes a second; what a disk does not take would be a gap
	const needle = "needle 4711 in the haystack"
	d := startDaemon(b, `
[[chardev]]
name = "vm"
device = { listen = "unix:vm.guest" }
log = { max_size = "64MiB", keep = 100, compress = true }
`, nil)
	p := newPrinter(b, d, "vm")
	lines := append(logLines(piece-1024), needle+"\r\n"...)
	start, printed := time.Now(), int64(0)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for printed < total {
		for chunk := range slices.Chunk(lines, rate/200) {
			<-tick.C
			n, err := p.Write(chunk)
			printed += int64(n)
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Logf("%d MiB printed in %v", printed>>20, time.Since(start).Round(time.Second))
	d.at("vm", printed)
	sealed := d.compressed("vm", int(total/(64<<20))-1)
	count := strings.Count(d.grep("zstdcat \"$@\" | grep -F '"+needle+"'", append(sealed, d.current("vm"))...), needle)
	if want := int(printed / int64(len(lines))); count != want {
		b.Fatalf("%d lines are in the files, want %d", count, want)
	}

	var reference, ours time.Duration
	b.SetBytes(printed)
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		t0 := time.Now()
		d.grep("zstdcat \"$@\" | grep -F '"+needle+"'", append(sealed, d.current("vm"))...)
		reference += time.Since(t0)
		b.StartTimer()
		t0 = time.Now()
		said, stderr, code := d.cli("log", "vm", "--grep", needle)
		ours += time.Since(t0)
		if n := strings.Count(said, needle); code != 0 || n != count {
			b.Fatalf("log --grep: exit %d, %d lines, want %d: %s", code, n, count, stderr)
		}
	}
	b.ReportMetric(ours.Seconds()/float64(b.N), "s/grep")
	b.ReportMetric(reference.Seconds()/float64(b.N), "s/zstdcat|grep")
	b.ReportMetric(ours.Seconds()/reference.Seconds(), "ratio")
}

// grep runs a shell's pipeline over files.
func (d *daemon) grep(pipeline string, files ...string) string {
	d.t.Helper()
	program(d.t, "zstdcat")
	out, stderr, code := execute(d.t, exec.Command("sh", append([]string{"-c", pipeline, "sh"}, files...)...))
	if code != 0 {
		d.t.Fatalf("%s: exit %d: %s", pipeline, code, stderr)
	}
	return out
}
