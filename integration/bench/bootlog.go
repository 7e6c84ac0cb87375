package main

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Many guests boot at once: each prints lines of lineSize at lineRate a second.
// A line tells which guest's it is, which one, and when it was printed.
const (
	lineSize = 64
	lineRate = 250
)

var lineText = []byte(" [    0.123456] pci 0000:00:1f.2: BAR\r\n")

// appendLine appends line number seq of a guest, printed at a time.
func appendLine(b []byte, guest, seq int, at int64) []byte {
	b = digits(b, int64(guest), 5)
	b = digits(b, int64(seq), 7)
	b = digits(b, at, lineSize-12-len(lineText))
	return append(b, lineText...)
}

func digits(b []byte, v int64, n int) []byte {
	for range n {
		b = append(b, '0')
	}
	for i := len(b) - 1; v > 0; i-- {
		b[i] = '0' + byte(v%10)
		v /= 10
	}
	return b
}

// fromDigits reads them.
func fromDigits(b []byte) (v int64) {
	for _, d := range b {
		v = v*10 + int64(d-'0')
	}
	return v
}

// A lineReader checks the lines of one guest and takes the time of each.
type lineReader struct {
	guest, lines int
	part, want   []byte
	times        []float64 // µs
	err          error
}

func (l *lineReader) take(p []byte) {
	now := clock()
	if l.lines == 0 && len(l.part) == 0 {
		p = bytes.TrimLeft(p, string(rune(preamble)))
	}
	l.part = append(l.part, p...)
	rest := l.part
	for len(rest) >= lineSize && l.err == nil {
		line := rest[:lineSize]
		at := fromDigits(line[12 : lineSize-len(lineText)])
		if l.want = appendLine(l.want[:0], l.guest, l.lines, at); !bytes.Equal(line, l.want) {
			l.err = fmt.Errorf("line %d of guest %d is %q", l.lines, l.guest, line)
			return
		}
		l.times = append(l.times, float64(now-at)/1e3)
		l.lines++
		rest = rest[lineSize:]
	}
	l.part = append(l.part[:0], rest...)
}

// bootLogs has all devices print at once.
func bootLogs(r *rig, s scale) (figures, error) {
	all := make([]*lineReader, len(r.consoles))
	for i, con := range r.consoles {
		l := &lineReader{guest: i, times: make([]float64, 0, int(s.boot.Seconds()*lineRate)+1)}
		all[i] = l
		c := con.clients[0]
		c.take = func(p []byte) {
			l.take(p)
			c.got.Store(int64(l.lines * lineSize))
			c.last.Store(clock())
		}
	}
	if err := r.read(); err != nil {
		return nil, err
	}
	u0, err := r.use()
	if err != nil {
		return nil, err
	}
	sent, err := r.boot(s.boot)
	if err != nil {
		return nil, errors.Join(err, r.err())
	}
	missing, err := settle(r.clients, int64(sent*lineSize), quietTime, r.gaps)
	if err != nil {
		return nil, errors.Join(err, r.err())
	}
	u1, err := r.use()
	if err != nil {
		return nil, err
	}
	told, err := r.gaps()
	if err != nil {
		return nil, err
	}
	r.readers.stop()
	r.readers = nil
	var times []float64
	for _, l := range all {
		if l.err != nil {
			return nil, wrongBytes{l.err}
		}
		times = append(times, l.times...)
	}
	slices.Sort(times)
	return figures{
		"p50 µs": quantile(times, 0.5), "p99 µs": quantile(times, 0.99),
		"CPU µs/line": (u1.cpu - u0.cpu).Seconds() * 1e6 / float64(sent),
		lostTold:      float64(min(told, missing)), lostUntold: float64(max(0, missing-told)),
	}, nil
}

// boot prints the lines, a few devices each millisecond, and returns how many.
func (r *rig) boot(d time.Duration) (sent int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n := len(r.consoles)
	perSecond := int64(n * lineRate)
	line := make([]byte, 0, lineSize)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	t0 := clock()
	for {
		<-tick.C
		now := clock() - t0
		if now >= int64(d) {
			return sent, nil
		}
		for due := int(now * perSecond / int64(time.Second)); sent < due; sent++ {
			line = appendLine(line[:0], sent%n, sent/n, clock())
			if _, err := r.consoles[sent%n].dev.write(line); err != nil {
				return sent, err
			}
		}
	}
}
