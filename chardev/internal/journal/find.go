package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// A place is a file that a segment may be in.
type place struct {
	stamp stamp
	ext   string
}

// places returns where the data of a segment may be, in the order in which it
// goes from one to the next.
func (j *Journal) places(s *segment) []place {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.zipped {
		return []place{{s.stamp, zstdExt}}
	}
	if s.stamp != (stamp{}) {
		return []place{{s.stamp, dataExt}, {s.stamp, zstdExt}}
	}
	if j.sealing != (stamp{}) {
		return []place{{stamp{}, dataExt}, {j.sealing, dataExt}}
	}
	return []place{{stamp{}, dataExt}}
}

// errGone says that a segment's file is not there any more.
var errGone = errors.New("gone")

// look opens a file of a segment, data or index, wherever it is by now, and says
// where that was. errGone is a segment that was removed.
func (j *Journal) look(s *segment, index bool) (file, place, error) {
	for {
		places := j.places(s)
		for _, p := range places {
			if index {
				p.ext = indexExt
			}
			f, err := j.world.fs.Open(j.path(p.stamp, p.ext), os.O_RDONLY)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, p, err
			}
			// Files with the current segment's name may be the next one's already. Its
			// data is made after its index, so data that was opened while the index there
			// is ours is ours, too.
			if err = j.belongs(s, p, f); err == nil {
				return f, p, nil
			}
			f.Close()
			if err != errGone {
				return nil, p, err
			}
		}
		if slices.Equal(places, j.places(s)) {
			return nil, place{}, errGone
		}
	}
}

// belongs says whether an open file is of a segment: nil, errGone, or why that can
// not be found out.
func (j *Journal) belongs(s *segment, p place, f file) error {
	if p.ext != indexExt {
		if p.stamp != (stamp{}) {
			return nil
		}
		idx, err := j.world.fs.Open(j.path(stamp{}, indexExt), os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			return errGone
		}
		if err != nil {
			return err
		}
		defer idx.Close()
		f = idx
	}
	h, err := readHeader(f)
	if errors.Is(err, errDamaged) || err == nil && (h.base != s.base || h.epoch != j.epoch) {
		return errGone
	}
	return err
}

// index opens the index of a segment.
func (j *Journal) index(s *segment) (*cursor, error) {
	f, _, err := j.look(s, true)
	if err != nil {
		return nil, err
	}
	c := &cursor{f: f, pos: headerSize}
	if j.keeper != nil {
		c.more = j.unwritten(s)
	}
	return c, nil
}

// A run is a part of a segment without a gap: the byte at position pos of the data
// is the one at an offset, and so on to the next run.
type run struct{ at, pos int64 }

// runs appends the runs that begin behind the gaps a cursor finds from where it is.
func (c *cursor) runs(to []run) ([]run, error) {
	for {
		ok, err := c.next()
		if !ok || err != nil {
			return to, err
		}
		if c.kind != recGap {
			continue
		}
		g, ok := parseGap(c.body)
		if !ok || !to[len(to)-1].leadsTo(g) {
			return to, fmt.Errorf("%w: a gap that can not be", errDamaged)
		}
		to = append(to, run{g.to, g.pos})
	}
}
