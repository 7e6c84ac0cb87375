package journal

import (
	"errors"
	"os"
)

// sealed takes in a sealed segment; later ones are those behind it.
func (r *recovery) sealed(s *found, later []*found) error {
	j := r.j
	if !s.known {
		if !s.data && !s.zipped {
			return nil // a damaged index of nothing
		}
		if ok, err := r.orphan(s, later); !ok || err != nil {
			return err
		}
	}
	if s.out {
		r.tell(s.base, KindJournal, "%s%s is of another journal: it is left out", s.stamp.stem(j.name), indexExt)
		return nil
	}
	j.segments = append(j.segments, &segment{
		base: s.base, stamp: s.stamp, zipped: s.zipped, data: s.size, index: s.indexSize,
		last: s.modified.UnixMilli(), gaps: s.within,
	})
	return nil
}

// orphan makes an index for a segment that has none that can be read. It says
// whether the segment can be taken in.
func (r *recovery) orphan(s *found, later []*found) (bool, error) {
	j := r.j
	end, _, err := r.lastEnd()
	if err != nil {
		return false, err
	}
	size, err := r.length(s)
	if errors.Is(err, errDamaged) {
		r.tell(end, KindJournal, "%s%s is damaged and has no index: it is left out", s.stamp.stem(j.name), zstdExt)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	base, behind := end, size
	for _, l := range later {
		if l.out {
			continue
		}
		if !l.known {
			n, err := r.length(l)
			if err != nil && !errors.Is(err, errDamaged) {
				return false, err
			}
			behind += n
			continue
		}
		if base = l.base - behind; base >= end {
			break
		}
		ext := dataExt
		if s.zipped {
			ext = zstdExt
		}
		to, err := j.aside(j.path(s.stamp, ext))
		if err == nil {
			r.tell(end, KindJournal, "%s%s has no index, and more than is missing there: it is now %s", s.stamp.stem(j.name), ext, to)
		}
		return false, err
	}
	return true, r.rebuild(s, base, size)
}

// rebuild writes the index of a segment from nothing but its data's size and time.
func (r *recovery) rebuild(s *found, base, size int64) error {
	j := r.j
	name := j.path(s.stamp, indexExt)
	was := "had no index"
	if s.index {
		to, err := j.aside(name)
		if err != nil {
			return err
		}
		was = "had a damaged index, which is now " + to
	}
	s.known, s.index, s.within = true, true, 0
	s.header = header{epoch: j.epoch, base: base, made: s.stamp.sec * 1000, counted: 1, reserve: base + size, boot: j.world.boot}
	r.tell(base, KindJournal, "%s %s: it was made anew, without events and the times of lines", s.stamp.stem(j.name), was)
	t := trailer{
		end: base + size, head: base + size, reserve: base + size, size: size,
		first: s.made, last: max(s.made, s.modified.UnixMilli()),
	}
	text := s.header.bytes()
	at := len(text)
	text = begin(text, recMarks)
	first, last := Mark{base, t.first}, Mark{base + max(size-1, 0), t.last}
	text = finish(appendMark(appendMark(text, Mark{}, first), first, last), at)
	text = appendTrailer(text, recSealed, t)
	s.indexSize = int64(len(text))
	return j.world.replace(name, text)
}

// replace writes a file as a whole or not at all.
func (w *world) replace(name string, text []byte) error {
	f, err := w.fs.Open(name+tmpExt, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	f.Close()
	if err != nil {
		return err
	}
	return w.fs.Rename(name+tmpExt, name)
}

// lastEnd returns behind which byte the last segment that was taken in ends, and
// below which offset some may have been given out when it was sealed.
func (r *recovery) lastEnd() (end, top int64, err error) {
	j := r.j
	if len(j.segments) == 0 {
		return 0, 0, nil
	}
	s := j.segments[len(j.segments)-1]
	size := s.data
	if s.zipped {
		if size, err = zippedSize(j.world.fs, j.path(s.stamp, zstdExt)); err != nil && !errors.Is(err, errDamaged) {
			return 0, 0, err
		}
	}
	f, err := j.world.fs.Open(j.path(s.stamp, indexExt), os.O_RDONLY)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	v, err := surveyIndex(f, size)
	j.w.last = v.last
	return v.end, v.top, err
}
