package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A recovery opens a journal that a run left, in whatever state.
type recovery struct {
	j      *Journal
	now    time.Time
	events []Event
	ended  bool  // the end and top are known
	top    int64 // offsets below it may have been given out
	clean  bool  // the last run ended cleanly
	fresh  bool  // the epoch is new: none were
}

// tell makes an event of the journal's own.
func (r *recovery) tell(at int64, kind, format string, args ...any) {
	r.events = append(r.events, Event{at, r.now, kind, fmt.Sprintf(format, args...)})
}

// A found is a segment as the folder has it.
type found struct {
	parts
	header
	known     bool  // the header is
	indexSize int64 // of the index
	within    int64 // gaps, if the index ends by saying how many; else -1
	size      int64 // of the data on disk
	out       bool  // it is of another journal
	modified  time.Time
}

func (r *recovery) run() error {
	j := r.j
	sealed, current, unfinished, err := j.list()
	if errors.Is(err, fs.ErrNotExist) {
		rand.Read(j.epoch[:])
		return nil
	}
	if err != nil {
		return err
	}
	if err := j.world.fs.Writable(j.dir); err != nil {
		return err
	}
	all := make([]*found, 0, len(sealed)+1)
	for _, p := range append(sealed, current) {
		f, err := r.find(p)
		if err != nil {
			return err
		}
		all = append(all, f)
	}
	for _, f := range all {
		if err := r.choose(f); err != nil {
			return err
		}
	}
	for _, name := range unfinished {
		if err := j.world.fs.Remove(filepath.Join(j.dir, name)); err != nil {
			return err
		}
	}
	cur, all := all[len(all)-1], all[:len(all)-1]
	begun := false
	if len(all) > 0 {
		newest := all[len(all)-1]
		j.newest = newest.stamp
		if begun, err = r.resume(newest, cur); err == nil && !begun {
			begun, err = r.sealing(newest, cur)
		}
		if err != nil {
			return err
		}
		if begun {
			cur = &found{}
		}
	}
	if cur.known && cur.next { // it would be taken for that of a later sealing
		if err := j.world.fs.Remove(j.path(stamp{}, nextExt)); err != nil {
			return err
		}
	}
	leaveOut(all, cur)
	sure, err := r.sure(all, cur, begun)
	if err != nil {
		return err
	}
	if err := r.chooseEpoch(all, cur, sure); err != nil {
		return err
	}
	for i, s := range all {
		if err := r.sealed(s, append(all[i+1:len(all):len(all)], cur)); err != nil {
			return err
		}
	}
	if err := r.current(cur); err != nil {
		return err
	}
	return r.conclude()
}

// resume ends a sealing that was cut short between its two renames. true: it was, and
// there is no current segment.
func (r *recovery) resume(newest, cur *found) (bool, error) {
	if !newest.data || newest.index || cur.data || !cur.known {
		return false, nil
	}
	from, to := r.j.path(stamp{}, indexExt), r.j.path(newest.stamp, indexExt)
	f, err := r.j.world.fs.Open(from, os.O_RDONLY)
	if err != nil {
		return false, err
	}
	t, kind, ok := readTrailer(f, cur.indexSize)
	f.Close()
	if !ok || kind != recSealed || t.size != newest.size {
		return false, nil
	}
	newest.index, newest.known, newest.header, newest.indexSize, newest.within = true, true, cur.header, cur.indexSize, t.gaps
	return true, r.j.world.fs.Rename(from, to)
}

// sealing says whether a sealing was cut short behind its two renames: there is no
// current segment, and there was none behind the newest one.
func (r *recovery) sealing(newest, cur *found) (bool, error) {
	if cur.index || cur.data || !cur.next || !newest.known {
		return false, nil
	}
	j := r.j
	next, err := j.world.fs.Open(j.path(stamp{}, nextExt), os.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer next.Close()
	h, err := readHeader(next)
	if errors.Is(err, errDamaged) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	idx, err := j.world.fs.Open(j.path(newest.stamp, indexExt), os.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer idx.Close()
	t, kind, ok := readTrailer(idx, newest.indexSize)
	if !ok || kind != recSealed || h.epoch != newest.epoch || h.base != t.end {
		return false, nil
	}
	r.top = h.reserve // it may have been raised since
	return true, nil
}

// leaveOut marks segments that do not come before those behind them: somebody put
// them there.
func leaveOut(sealed []*found, cur *found) {
	limit := int64(math.MaxInt64)
	if cur.known {
		limit = cur.base
	}
	for _, s := range slices.Backward(sealed) {
		if s.known && s.base > limit {
			s.out = true
		} else if s.known {
			limit = s.base
		}
	}
}

// sure says whether it is known of all bytes which offsets they have, and how far
// offsets were given out. That is so while there is a current segment whose index has
// all that it had of both, or a sealing was cut short; and indexes that are lost are those
// of segments that are just as long as what is missing between their neighbours.
func (r *recovery) sure(sealed []*found, cur *found, begun bool) (bool, error) {
	if !cur.known && !begun {
		return false, nil
	}
	if cur.known {
		s, err := r.survey(cur)
		if err != nil || s.lost {
			return false, err
		}
	}
	var before *found // the newest one whose index is there
	var lost int64    // bytes of those behind it
	for _, s := range append(sealed[:len(sealed):len(sealed)], cur) {
		switch {
		case s.out:
		case !s.known:
			size, err := r.length(s)
			if err != nil && !errors.Is(err, errDamaged) { // that one is left out
				return false, err
			}
			lost += size
		default:
			if before != nil && s.epoch != before.epoch { // somebody put it there, or not all got theirs
				return false, nil
			}
			if lost > 0 {
				end := int64(0)
				if before != nil {
					v, err := r.survey(before)
					if err != nil {
						return false, err
					}
					end = v.end
				}
				if end+lost != s.base {
					return false, nil
				}
			}
			before, lost = s, 0
		}
	}
	return lost == 0, nil
}

// length is that of a segment's data, not compressed.
func (r *recovery) length(s *found) (int64, error) {
	if s.zipped {
		return zippedSize(r.j.world.fs, r.j.path(s.stamp, zstdExt))
	}
	return s.size, nil
}

// survey surveys the index of a segment.
func (r *recovery) survey(s *found) (survey, error) {
	size, err := r.length(s)
	if err != nil && !errors.Is(err, errDamaged) {
		return survey{}, err
	}
	f, err := r.j.world.fs.Open(r.j.path(s.stamp, indexExt), os.O_RDONLY)
	if err != nil {
		return survey{}, err
	}
	defer f.Close()
	return surveyIndex(f, size)
}

// chooseEpoch keeps the epoch if it is sure that no offset is given twice, and to no
// other byte. Else no offset of before means anything any more, and all segments get
// a new one. What tells that it is not sure is left as it is until all have theirs.
func (r *recovery) chooseEpoch(sealed []*found, cur *found, sure bool) error {
	j := r.j
	all := append(sealed[:len(sealed):len(sealed)], cur)
	if sure {
		for _, s := range all {
			if s.known && !s.out {
				j.epoch = s.epoch
			}
		}
		return nil
	}
	rand.Read(j.epoch[:])
	r.fresh = true
	for _, s := range all {
		if !s.known || s.out {
			continue
		}
		if s == cur {
			v, err := r.survey(s)
			if err != nil {
				return err
			}
			s.counted = v.leaps + 1 // what is lost is lost
		}
		s.epoch = j.epoch
		if err := j.putHeader(s.stamp, s.header); err != nil {
			return err
		}
	}
	return nil
}

// putHeader writes the header of an index that is there, on the disk.
func (j *Journal) putHeader(s stamp, h header) error {
	f, err := j.world.fs.Open(j.path(s, indexExt), os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.WriteAt(h.bytes(), 0); err != nil {
		return err
	}
	return f.Sync()
}

// choose leaves a segment one file of data. If it has two that are the same, the
// compressed one was being put in place of the other, which is whole. Else the
// other is somebody's, who decompressed it there, or began to.
func (r *recovery) choose(s *found) error {
	if !s.data || !s.zipped {
		return nil
	}
	j := r.j
	log, zst := j.path(s.stamp, dataExt), j.path(s.stamp, zstdExt)
	size, err := zippedSize(j.world.fs, zst)
	if err == nil && size == s.size {
		s.zipped = false
		return j.world.fs.Remove(zst)
	}
	put := log
	switch {
	case errors.Is(err, errDamaged):
		put, s.zipped = zst, false
	case err != nil:
		return err
	default:
		info, err := j.world.fs.Stat(zst)
		if err != nil {
			return err
		}
		s.data, s.size, s.modified = false, info.size, info.modified
	}
	to, err := j.aside(put)
	if err == nil {
		r.tell(s.base, KindJournal, "%s is not what its segment has: it is now %s", filepath.Base(put), to)
	}
	return err
}

// find looks at the files of a segment.
func (r *recovery) find(p parts) (*found, error) {
	j, s := r.j, &found{parts: p}
	ext := dataExt
	if p.zipped && !p.data {
		ext = zstdExt
	}
	if p.data || p.zipped {
		info, err := j.world.fs.Stat(j.path(p.stamp, ext))
		if err != nil {
			return nil, err
		}
		s.size, s.modified = info.size, info.modified
	}
	if !p.index {
		return s, nil
	}
	f, err := j.world.fs.Open(j.path(p.stamp, indexExt), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s.indexSize = info.size
	s.header, err = readHeader(f)
	s.known = err == nil
	s.within = gapsIn(f, info.size)
	if errors.Is(err, errDamaged) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", j.path(p.stamp, indexExt), err)
	}
	return s, err
}
