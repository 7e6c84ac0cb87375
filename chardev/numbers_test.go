package chardev

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// numbers is a stream whose every eight bytes tell their own place.
func numbers(from, to int64) []byte { return appendNumbers(nil, from, to) }

// appendNumbers appends numbers to b, which must be empty. Nobody else has b: to
// watch each store for a race would cost most of the time of a big test.
//
//go:norace
func appendNumbers(b []byte, from, to int64) []byte {
	for at := from &^ 7; at < to; at += 8 {
		b = binary.BigEndian.AppendUint64(b, uint64(at))
	}
	return b[from&7:][:to-from]
}

// A follower follows numbers as one client gets them: every byte must be the
// stream's, in order. Where bytes are missing it finds by how many, from the
// numbers themselves; a person's must be missing only where a gap was told.
type follower struct {
	person bool

	at   atomic.Int64 // offset of the next byte that it expects
	got  int64        // bytes that came
	lost int64        // bytes that were missing between them
	torn []byte       // what came since the stream broke, too short to tell where it goes on
	err  error

	scratch [16<<10 + 16]byte // for as much as is taken at once, or more is allocated
}

// anchor is how many bytes tell their place: two whole numbers, wherever the
// first one begins.
const anchor = 24

// take takes the next piece of the stream.
func (f *follower) take(p []byte) {
	f.got += int64(len(p))
	for len(p) > 0 && f.err == nil {
		if f.torn != nil {
			p = f.mend(p)
			continue
		}
		n := f.same(p)
		f.at.Add(int64(n))
		if p = p[n:]; len(p) == 0 {
			return
		}
		if f.person {
			f.err = fmt.Errorf("a wrong byte at offset %d, and no gap was told", f.at.Load())
		}
		f.torn = make([]byte, 0, anchor)
	}
}

// same is how many bytes of p are those that come next.
func (f *follower) same(p []byte) int {
	at := f.at.Load()
	want := appendNumbers(f.scratch[:0], at, at+int64(len(p)))
	if bytes.Equal(p, want) {
		return len(p)
	}
	n := 0
	for p[n] == want[n] {
		n++
	}
	return n
}

// mend finds where the stream goes on, and returns what it does not need of p.
func (f *follower) mend(p []byte) []byte {
	n := min(len(p), anchor-len(f.torn))
	f.torn = append(f.torn, p[:n]...)
	if len(f.torn) < anchor {
		return p[n:]
	}
	for shift := range int64(8) {
		from := int64(binary.BigEndian.Uint64(f.torn[shift:])) - shift
		if from <= f.at.Load() || !bytes.Equal(f.torn, numbers(from, from+anchor)) {
			continue
		}
		f.lost += from - f.at.Load()
		f.at.Store(from + anchor)
		f.torn = nil
		return p[n:]
	}
	f.err = fmt.Errorf("at offset %d the stream goes on with %x: twice, or garbled", f.at.Load(), f.torn)
	return nil
}

// told takes a gap that a person was told, in order with the stream.
func (f *follower) told(m Message) {
	if at := f.at.Load(); m.Offset-m.Size != at && f.err == nil {
		f.err = fmt.Errorf("told of a gap of %d bytes before offset %d, and the stream is at %d", m.Size, m.Offset, at)
	}
	f.at.Store(m.Offset)
	f.lost += m.Size
}
