package journal

import (
	"errors"
	"fmt"
	"io"
	"sort"
)

// A Reader reads a journal at any offset, best at ascending ones: it keeps the
// files of one segment open. It belongs to one goroutine at a time.
type Reader struct {
	j *Journal

	// of the segment that was read last
	seg  *segment // nil: none
	data source   // nil: gone
	runs []run
	gaps *cursor // where to look for more of them; nil: there are no more
	have int64   // gaps of the segment that are in runs

	times times
}

// A source is the data of a segment.
type source interface {
	ReadAt(p []byte, pos int64) (int, error)
	Close() error
}

// Reader returns a new reader. Close it.
func (j *Journal) Reader() *Reader { return &Reader{j: j} }

// Close closes the files that the reader has open. It can be used again.
func (r *Reader) Close() error {
	r.leave()
	r.times.leave()
	return nil
}

func (r *Reader) leave() {
	if r.data != nil {
		r.data.Close()
	}
	if r.gaps != nil {
		r.gaps.close()
	}
	*r = Reader{j: r.j, runs: r.runs[:0], times: r.times}
}

// Read reads up to len(buf) bytes from an offset on. Where there is none, n is 0
// and missing says how many bytes are missing up to the next one that is held. At
// End (or beyond it) both are 0. With an error n is 0, and missing says of how many
// bytes the error is: another try may read them.
func (r *Reader) Read(at int64, buf []byte) (n int, missing int64, err error) {
	n, missing, err = r.read(at, buf)
	for more := missing; err == nil && more > 0; missing += more { // where one gap ends another may begin
		if _, more, err = r.read(at+missing, buf[:min(len(buf), 1)]); err != nil {
			return 0, missing, nil // the next call tells
		}
	}
	return n, missing, err
}

// read is Read with gaps in pieces.
func (r *Reader) read(at int64, buf []byte) (n int, missing int64, err error) {
	if at < 0 {
		return 0, 0, fmt.Errorf("journal %s: there is no offset %d", r.j.dir, at)
	}
	if at >= r.j.End() {
		if err := r.j.follow(); err != nil || at >= r.j.End() {
			return 0, 0, advise(err)
		}
	}
	next, err := r.turn(at)
	if err != nil {
		return 0, next - at, advise(err)
	}
	if r.data == nil {
		return 0, next - at, nil
	}
	i := sort.Search(len(r.runs), func(i int) bool { return r.runs[i].at > at }) - 1
	pos, most := r.runs[i].pos+at-r.runs[i].at, next-at
	if i+1 < len(r.runs) {
		next = r.runs[i+1].at
		if most = r.runs[i+1].pos - pos; most <= 0 {
			return 0, next - at, nil
		}
	}
	most = min(int64(len(buf)), most)
	n, err = r.data.ReadAt(buf[:most], pos)
	if n > 0 || len(buf) == 0 {
		return n, 0, nil
	}
	var damaged *damagedFrame
	switch {
	case errors.As(err, &damaged):
		return 0, min(damaged.left, next-at), nil
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, errDamaged):
		return 0, next - at, nil
	}
	return 0, most, advise(err)
}

// turn goes to the segment that an offset is in, and returns where the next one
// begins. Where there is nothing, data is nil.
func (r *Reader) turn(at int64) (next int64, err error) {
	for again := false; ; again = true {
		seg, next := r.j.locate(at)
		if seg == nil {
			r.leave()
			return next, nil
		}
		if r.seg == nil || seg.base != r.seg.base {
			if err := r.enter(seg); err != nil {
				return next, err
			}
			if r.data == nil && r.j.keeper == nil && !again { // it has another name by now
				r.leave()
				if err := r.j.reload(); err != nil {
					return next, err
				}
				continue
			}
		}
		return next, r.refresh(seg)
	}
}

// enter opens a segment in place of the one before.
func (r *Reader) enter(seg *segment) error {
	r.leave()
	f, p, err := r.j.look(seg, false)
	if errors.Is(err, errGone) {
		r.seg, r.runs = seg, append(r.runs, run{seg.base, 0})
		return nil
	}
	if err != nil {
		return err
	}
	r.data = f
	r.seg, r.runs = seg, append(r.runs, run{seg.base, 0})
	if p.ext == zstdExt {
		z, err := openZipped(f)
		if err != nil {
			f.Close()
			r.data = nil
		}
		if errors.Is(err, errDamaged) {
			return nil // its bytes are missing
		}
		if err != nil {
			r.leave()
			return err
		}
		r.data = z
	}
	return nil
}

// refresh gets the gaps of the segment that are not known yet.
func (r *Reader) refresh(seg *segment) error {
	r.j.mu.Lock()
	gaps := seg.gaps
	r.j.mu.Unlock()
	if gaps == r.have {
		return nil
	}
	if r.gaps == nil {
		c, err := r.j.index(seg)
		if errors.Is(err, errGone) {
			r.lose(gaps)
			return nil
		}
		if err != nil {
			return err
		}
		r.gaps = c
	}
	runs, err := r.gaps.runs(r.runs)
	r.runs = runs
	if err != nil && !errors.Is(err, errDamaged) {
		return err
	}
	r.have = int64(len(runs) - 1)
	least := gaps
	if gaps < 0 { // of an earlier run: sealed, so that is all
		h, err := readHeader(r.gaps.f)
		if err != nil && !errors.Is(err, errDamaged) {
			return err
		}
		least = h.counted - 1
		if err != nil || least < 0 && r.gaps.hurt > 0 { // it does not say
			least = r.have + 1
		}
	}
	if err != nil || r.have < least {
		r.lose(gaps)
	} else if gaps < 0 {
		r.have = -1
	}
	return nil
}

// lose takes the data of the segment for gone, as its index has lost a gap: there is no
// telling which offsets its bytes have.
func (r *Reader) lose(gaps int64) {
	if r.data != nil {
		r.data.Close()
		r.data = nil
	}
	r.have = gaps
}
