package journal

import (
	"errors"
	"io"
)

// A cursor walks over the records of one index, those that are not in its file
// yet too. It steps over what is damaged.
type cursor struct {
	f    file
	pos  int64  // of the next record
	buf  []byte // of the file, from off on
	off  int64
	more unwritten // what lies behind the file; nil: nothing
	hurt int       // runs of damaged bytes that were stepped over

	growing []byte // the batch behind the rest that still grows
	gave    bool   // it was the last record that next found
	kind    byte
	body    []byte // of the record that next found; until the next call
	at      int64  // where it is
}

const cursorRead = 16 << 10

// next finds the next record. Without an error false is the end, for now: what is
// at pos then is not (or not wholly) there.
func (c *cursor) next() (bool, error) {
	c.growing = nil
	if c.gave { // it is the last there is; another walk gets it anew, with what came since
		c.gave = false
		return false, nil
	}
	for {
		kind, body, size := parseRecord(c.rest())
		switch {
		case size > 0:
			c.kind, c.body, c.at = kind, body, c.pos
			c.pos += int64(size)
			return true, nil
		case size < 0:
			found, err := c.skip()
			if !found || err != nil {
				return false, err
			}
		default:
			n, err := c.fill()
			if err != nil {
				return false, err
			}
			if n > 0 {
				continue
			}
			if len(c.rest()) > 0 { // its length may be what is damaged
				found, err := c.skip()
				if !found || err != nil {
					return false, err
				}
				continue
			}
			if len(c.growing) == 0 {
				return false, nil
			}
			if c.kind, c.body, size = parseRecord(c.growing); size <= 0 {
				return false, nil
			}
			c.at, c.gave = c.pos, true // where it stays
			return true, nil
		}
	}
}

// rest is what is in hand from pos on.
func (c *cursor) rest() []byte {
	if i := c.pos - c.off; i >= 0 && i < int64(len(c.buf)) {
		return c.buf[i:]
	}
	return nil
}

// fill gets more of the index behind what is in hand, and says how much.
func (c *cursor) fill() (int, error) {
	rest := c.rest()
	if cap(c.buf) == 0 {
		c.buf = make([]byte, 0, cursorRead)
	}
	have := copy(c.buf[:cap(c.buf)], rest)
	c.off = c.pos
	if have == cap(c.buf) {
		c.buf = append(make([]byte, 0, 2*have), c.buf[:have]...)
	}
	for again := false; ; again = true {
		n, err := c.f.ReadAt(c.buf[have:cap(c.buf)], c.off+int64(have))
		c.buf = c.buf[:have+n]
		switch {
		case n > 0:
			return n, nil
		case err != nil && !errors.Is(err, io.EOF):
			return 0, err
		case c.more == nil || again:
			return 0, nil
		}
		var pending bool
		if c.buf, c.growing, pending = c.more(c.off+int64(have), c.buf); pending {
			return len(c.buf) - have, nil
		} // else it is in the file by now
	}
}

// skip steps over damaged bytes to the next record. If there is none, pos stays.
func (c *cursor) skip() (bool, error) {
	for { // there is no telling how far it is
		n, err := c.fill()
		if err != nil {
			return false, err
		}
		if n == 0 {
			break
		}
	}
	rest := c.rest()
	for i := 1; i < len(rest); i++ {
		if _, _, size := parseRecord(rest[i:]); size > 0 {
			c.pos += int64(i)
			c.hurt++
			return true, nil
		}
	}
	return false, nil
}

// seek goes to where a record begins.
func (c *cursor) seek(pos int64) { c.pos, c.gave = pos, false }

func (c *cursor) close() {
	if c.f != nil {
		c.f.Close()
		c.f = nil
	}
}

// unwritten gives what lies behind the file of an index, from a place on: the
// records that are complete are appended to some bytes, the batch that still grows
// comes by itself. pending is false if the place is in the file by now.
type unwritten func(from int64, to []byte) (all, growing []byte, pending bool)

// unwritten is that of a segment.
func (j *Journal) unwritten(s *segment) unwritten {
	return func(from int64, to []byte) (all, growing []byte, pending bool) {
		j.mu.Lock()
		defer j.mu.Unlock()
		t := &j.tail
		i := from - t.flushed
		if t.seg != s || i < 0 || i > int64(len(t.pending)) {
			return to, nil, false
		}
		whole := t.pending
		if t.batch >= 0 {
			whole = t.pending[:t.batch]
			growing = finish(append(growing, t.pending[t.batch:]...), 0)
		}
		if i < int64(len(whole)) {
			to = append(to, whole[i:]...)
		}
		return to, growing, true
	}
}

// readHeader reads how an open index begins.
func readHeader(f file) (header, error) {
	var b [headerSize]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return header{}, err
	}
	return parseHeader(b[:n])
}
