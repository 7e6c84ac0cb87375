package journal

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// current takes in the current segment. One that something is wrong with is
// sealed as it is: what comes then is not to depend on it.
func (r *recovery) current(cur *found) error {
	if !cur.known {
		return r.headless(cur)
	}
	j := r.j
	idx, err := j.world.fs.Open(j.path(stamp{}, indexExt), os.O_RDWR|os.O_APPEND)
	if err != nil {
		return err
	}
	defer idx.Close()
	s, err := surveyIndex(idx, cur.size)
	if err != nil {
		return err
	}
	var cut int64
	if none := [16]byte{}; cur.data && !s.clean && s.boot != j.world.boot && s.boot != none && j.world.boot != none {
		if cut, err = r.cutNULs(cur.size); err != nil {
			return err
		}
		if cut > 0 {
			r.tell(s.end-cut, KindJournal, "%d NUL bytes were cut from the end of %s%s: the power went before they were on the disk", cut, j.name, dataExt)
			cur.size -= cut
			if s, err = surveyIndex(idx, cur.size); err != nil {
				return err
			}
		}
	}
	if s.torn {
		r.tell(s.end, KindJournal, "%d torn bytes were cut from the end of %s%s", cur.indexSize-s.whole, j.name, indexExt)
		if err := idx.Truncate(s.whole); err != nil {
			return err
		}
		cur.indexSize = s.whole
	}
	r.top, r.clean = s.top, s.clean
	j.w.last = s.last
	j.end.Store(s.end)
	r.ended = true
	if s.hurt {
		r.tell(s.end, KindJournal, "%s%s is damaged: some events and times of lines are lost", j.name, indexExt)
	}
	if s.short {
		r.tell(s.end, KindJournal, "%s%s is shorter than it was: bytes before this are missing", j.name, dataExt)
	}
	if cut > 0 || s.hurt || s.short {
		return r.sealNow(cur, s, idx)
	}
	j.w = writer{
		seg:  &segment{base: s.base, index: cur.indexSize, last: s.last, gaps: s.gaps},
		size: cur.size, gaps: s.gaps, made: s.made, first: s.first, last: s.last,
	}
	j.size.Store(cur.size)
	j.tail = tail{seg: j.w.seg, flushed: cur.indexSize, batch: -1}
	j.segments = append(j.segments, j.w.seg)
	return nil
}

// sealNow seals the current segment, with its index open.
func (r *recovery) sealNow(cur *found, s survey, idx file) error {
	j := r.j
	sec := s.first / 1000
	if sec == 0 {
		sec = s.made / 1000
	}
	name := stamp{sec: sec}.after(j.newest)
	t := s.trailer
	t.head = max(s.top, s.end)
	t.reserve = t.head
	j.w.reserve = t.head
	if _, err := j.prepare(); err != nil { // as seal does
		return err
	}
	n, err := idx.Write(appendTrailer(nil, recSealed, t))
	if err != nil {
		return err
	}
	return r.rename(cur, name, &segment{
		base: s.base, data: cur.size, index: cur.indexSize + int64(n), last: s.last, gaps: t.gaps,
	})
}

// headless takes in a current segment that has no index which can be read.
func (r *recovery) headless(cur *found) error {
	if cur.size == 0 {
		return nil // as far as begin came; it begins anew
	}
	j := r.j
	cur.stamp = stamp{sec: cur.modified.Unix()}.after(j.newest)
	base, _, err := r.lastEnd()
	if err != nil {
		return err
	}
	if cur.index {
		if err := j.world.fs.Rename(j.path(stamp{}, indexExt), j.path(cur.stamp, indexExt)); err != nil {
			return err
		}
	}
	if err := r.rebuild(cur, base, cur.size); err != nil {
		return err
	}
	j.end.Store(base + cur.size)
	r.ended = true
	cur.index = false // it has its name
	return r.rename(cur, cur.stamp, &segment{
		base: base, data: cur.size, index: cur.indexSize, last: cur.modified.UnixMilli(),
	})
}

// rename gives the files of the current segment the name of a sealed one.
func (r *recovery) rename(cur *found, name stamp, s *segment) error {
	j := r.j
	for _, f := range []struct {
		is  bool
		ext string
	}{{cur.data, dataExt}, {cur.index, indexExt}} {
		if !f.is {
			continue
		}
		if err := j.world.fs.Rename(j.path(stamp{}, f.ext), j.path(name, f.ext)); err != nil {
			return err
		}
	}
	s.stamp, j.newest = name, name
	j.segments = append(j.segments, s)
	return nil
}

// conclude finds where the stream goes on.
func (r *recovery) conclude() error {
	j := r.j
	if !r.ended && len(j.segments) > 0 {
		end, top, err := r.lastEnd()
		if err != nil {
			return err
		}
		j.end.Store(end)
		r.top = max(r.top, top)
	}
	if len(j.segments) == 0 {
		return nil
	}
	j.holes = j.findHoles()
	end := j.end.Load()
	if r.fresh {
		r.top = end
	}
	j.start = max(r.top, end)
	if j.holed = j.start > end && !r.clean; j.holed {
		j.holes = j.holes.with(Hole{end, j.start})
	}
	j.w.reserve = j.start
	switch {
	case r.fresh:
		r.tell(end, KindJournal, "it is not known any more which offsets were given out: they are of a new epoch, %v, from the first on", j.epoch)
	case r.clean:
	case j.start > end:
		r.tell(end, KindGap, "the last run did not end cleanly: at most %d bytes are missing here", j.start-end)
	default:
		r.tell(end, KindJournal, "the last run did not end cleanly: no byte that was written is missing")
	}
	return nil
}

// cutNULs cuts the NUL bytes at the end of the current segment's data, which a
// file system leaves where bytes had not come to the disk when the power went.
func (r *recovery) cutNULs(size int64) (int64, error) {
	f, err := r.j.world.fs.Open(r.j.path(stamp{}, dataExt), os.O_RDWR)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	keep := size
	buf := make([]byte, 64<<10)
	for keep > 0 {
		from := max(keep-int64(len(buf)), 0)
		n, err := f.ReadAt(buf[:keep-from], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		left := len(bytes.TrimRight(buf[:n], "\x00"))
		keep = from + int64(left)
		if left > 0 {
			break
		}
	}
	if keep == size {
		return 0, nil
	}
	return size - keep, f.Truncate(keep)
}
