package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWSReaderTakesFramesApart(t *testing.T) {
	var wire, want []byte
	for i, n := range []int{0, 1, 125, 126, 65535, 65536} {
		p := streamAt(int64(i*1000), n)
		want = append(want, p...)
		switch {
		case n < 126:
			wire = append(wire, 0x82, byte(n))
		case n < 1<<16:
			wire = binary.BigEndian.AppendUint16(append(wire, 0x82, 126), uint16(n))
		default:
			wire = binary.BigEndian.AppendUint64(append(wire, 0x82, 127), uint64(n))
		}
		wire = append(wire, p...)
		wire = append(wire, 0x89, 4, 'p', 'i', 'n', 'g')
	}
	for _, size := range []int{1, 7, len(wire)} {
		var w wsReader
		var got []byte
		for rest := wire; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if err := w.feed(rest[:min(size, len(rest))], func(p []byte) { got = append(got, p...) }); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("in pieces of %d: %d bytes came, want %d, the same", size, len(got), len(want))
		}
	}
	var w wsReader
	if err := w.feed([]byte{0x88, 0}, func([]byte) {}); err == nil {
		t.Fatal("no error at a close frame")
	}
}

func TestLineReaderFindsWhatIsWrong(t *testing.T) {
	boot := func(seqs ...int) (p []byte) {
		p = append(p, preamble)
		for _, seq := range seqs {
			p = appendLine(p, 7, seq, int64(1000+seq))
		}
		return p
	}
	for _, test := range []struct {
		name   string
		stream []byte
		lines  int
		bad    bool
	}{
		{"whole", boot(0, 1, 2), 3, false},
		{"unfinished", boot(0, 1, 2)[:150], 2, false},
		{"missing", boot(0, 2), 1, true},
		{"twice", boot(0, 0), 1, true},
		{"another guest's", appendLine(boot(0), 8, 1, 5), 1, true},
		{"cut", append(boot(0)[:60], boot(0, 1)...), 0, true},
	} {
		l := &lineReader{guest: 7}
		for _, b := range test.stream {
			l.take([]byte{b})
		}
		if l.lines != test.lines || (l.err != nil) != test.bad {
			t.Errorf("%s: %d lines, error %v; want %d, an error: %v", test.name, l.lines, l.err, test.lines, test.bad)
		}
	}
}

func TestGoalsAreJudgedByTheMedian(t *testing.T) {
	var limit, own result
	for _, v := range []float64{90, 100, 200} {
		limit.add(figures{"MB/s": v})
	}
	for _, v := range []float64{89, 91, 500} {
		own.add(figures{"MB/s": v, "kept": 0.94})
	}
	own.judge(&limit, []goal{atLeast(0.9, "MB/s"), noLess(0.95, "kept")})
	if s := own.metric("MB/s"); s.Ratio != 0.91 || s.OK == nil || !*s.OK {
		t.Errorf("%+v", s)
	}
	if s := own.metric("kept"); s.OK == nil || *s.OK {
		t.Errorf("%+v", s)
	}
	own.judge(&limit, []goal{atMost(0.9, "MB/s")})
	if s := own.metric("MB/s"); *s.OK {
		t.Errorf("%+v", s)
	}
}

func TestUntoldLossIsOursToAnswerFor(t *testing.T) {
	lost, keep := figures{lostUntold: 1}, figures{lostTold: 5}
	for _, test := range []struct {
		t   target
		j   job
		f   figures
		bad bool
	}{
		{daemon{label: "chardevd"}, job{}, lost, true},
		{daemon{label: "chardevd"}, job{lossy: true}, lost, true},
		{daemon{label: "chardevd"}, job{}, keep, false},
		{limit{}, job{}, lost, true},
		{limit{}, job{lossy: true}, lost, false},
	} {
		if err := untold(test.t, test.j, test.f); (err != nil) != test.bad {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestTheGapOfTheStoppedClientIsHeldToTheByte(t *testing.T) {
	for _, test := range []struct {
		lost, listed, events int64
		ok                   bool
	}{{5, 5, 5, true}, {5, 4, 5, false}, {5, 5, 6, false}, {0, 0, 0, false}} {
		if err := sameGap(test.lost, test.listed, test.events); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestTheShortTable(t *testing.T) {
	r := &report{Rounds: 1, peers: []string{"socat", "ser2net"}}
	measured := func(group, workload, target string, f figures, goals ...goal) {
		res := &result{Group: group, Workload: workload, Target: target}
		res.add(f)
		r.Results = append(r.Results, res)
		res.judge(r.result(group, workload, limitName), goals)
	}
	add := func(target string, rate, cpu float64, goals ...goal) {
		measured("Bulk, one device to one client", "bulk unix→tcp", target, figures{"MB/s": rate, "CPU-s/GB": cpu}, goals...)
	}
	idle := func(target string, kib float64, goals ...goal) {
		measured("Idle consoles with a client each", "idle 1000 tcp", target, figures{"KiB/console": kib}, goals...)
	}
	add(limitName, 2000, 0.5)
	add(ownName, 1900, 0.7, atLeast(0.9, "MB/s"), atMost(1.2, "CPU-s/GB"))
	add("before", 4000, 0.1) // another build is none of the others
	add("ser2net", 1700, 0.5)
	add("socat", 100, 0.5)
	idle(limitName, 0.5)
	idle(ownName, 11, noMore(14, "KiB/console"))
	idle("ser2net", 10)
	file := filepath.Join(t.TempDir(), "t.md")
	if err := r.readme(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	want := []string{
		"| bulk unix→tcp, MB/s | 2000 | ×0.95 | ≥×0.90 ok | ×1.40 | ≤×1.20 **short** | ×0.85 ser2net |",
		"| idle 1000 tcp, KiB/console | 0.50 | 11 | ≤14 ok |  |  | 10 ser2net |",
	}
	if len(lines) != 6 || !slices.Equal(lines[4:], want) {
		t.Errorf("%d lines:\n%s\nwant at last:\n%s", len(lines), text, strings.Join(want, "\n"))
	}
}

func TestTelnetReaderTakesTheStreamApart(t *testing.T) {
	wire := []byte("a\xff\xfb\x01b\xff\xffc\xff\xf1\xff\xfa\x18\x01\xff\xf0d")
	for _, size := range []int{1, 2, 3, len(wire)} {
		var r telnetReader
		var got []byte
		for rest := wire; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			r.feed(rest[:min(size, len(rest))], func(p []byte) { got = append(got, p...) })
		}
		if want := "ab\xffcd"; string(got) != want {
			t.Errorf("in pieces of %d: %q, want %q", size, got, want)
		}
	}
}
