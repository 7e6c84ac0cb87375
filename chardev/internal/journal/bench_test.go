package journal

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkAppend writes chunks as a fast device gives them, and lines.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{80, 186 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			k := NewKeeper(0, 0, nil)
			j, err := Open(filepath.Join(b.TempDir(), "vm1"), "vm1", Options{MaxSize: 64 << 20, Keep: 2}, k)
			if err != nil {
				b.Fatal(err)
			}
			bufs, marks := [][]byte{make([]byte, size)}, make([]Mark, 1)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			at := int64(0)
			for b.Loop() {
				marks[0] = Mark{at, at / 1000}
				if _, err := j.Append(at, bufs, marks); err != nil {
					b.Fatal(err)
				}
				at += int64(size)
			}
			b.StopTimer()
			if err := j.Close(at); err != nil {
				b.Fatal(err)
			}
			if err := k.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkOpen opens a journal of four segments, as at the start of a daemon.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "vm1")
	k := NewKeeper(0, 0, nil)
	defer k.Close()
	o := Options{MaxSize: 1 << 20, Keep: 4}
	j, err := Open(dir, "vm1", o, k)
	if err != nil {
		b.Fatal(err)
	}
	line := [][]byte{make([]byte, 80)}
	for at := int64(0); at < 6<<20; at += 80 {
		if _, err := j.Append(at, line, []Mark{{at, at}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Close(j.End()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		j, err := Open(dir, "vm1", o, k)
		if err != nil {
			b.Fatal(err)
		}
		k.forget(j)
	}
}

// BenchmarkSeek reads at random places of 1 GiB of compressed journal, each with a
// new reader, and asks for the time there.
func BenchmarkSeek(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "vm1")
	k := NewKeeper(0, 0, nil)
	defer k.Close()
	j, err := Open(dir, "vm1", Options{MaxSize: 100 << 20, Keep: 100, Compress: true}, k)
	if err != nil {
		b.Fatal(err)
	}
	const size, line = 1 << 30, 64
	chunk := make([]byte, 0, 64<<10)
	marks := make([]Mark, 0, cap(chunk)/line)
	for at := int64(0); at < size; at += int64(len(chunk)) {
		chunk, marks = chunk[:0], marks[:0]
		for len(chunk) < cap(chunk) {
			here := at + int64(len(chunk))
			marks = append(marks, Mark{here, here / line})
			chunk = append(chunk, fmt.Sprintf("[%12d] usb 1-1: a line of a log, number %020d\n", here, here)[:line]...)
		}
		if _, err := j.Append(at, [][]byte{chunk}, marks); err != nil {
			b.Fatal(err)
		}
	}
	settle(k, j)
	b.Run("", func(b *testing.B) {
		buf := make([]byte, 4<<10)
		var longest time.Duration
		for b.Loop() {
			at := rand.Int64N(size)
			began := time.Now()
			r := j.Reader()
			n, _, err := r.Read(at, buf)
			if n == 0 || err != nil {
				b.Fatal(n, err)
			}
			if when, _ := r.Time(at); when.UnixMilli() != at/line {
				b.Fatal("wrong time", when.UnixMilli(), at/line)
			}
			r.Close()
			longest = max(longest, time.Since(began))
		}
		b.ReportMetric(float64(longest.Microseconds()), "longest-µs")
	})
	if err := j.Close(size); err != nil {
		b.Fatal(err)
	}
}
