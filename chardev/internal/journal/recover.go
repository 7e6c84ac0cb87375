package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	unsure bool  // what said how far offsets were given out is lost
	fresh  bool  // the epoch is new: none were
}

// leap is added to the offsets where it is not known any more how far they were
// given out: it is more than a daemon has on the way to a disk.
const leap = 1 << 30

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
	gapless   bool
	size      int64 // of the data on disk
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
	if len(all) > 0 {
		j.newest = all[len(all)-1].stamp
		if cur, err = r.resume(all[len(all)-1], cur); err != nil {
			return err
		}
	}
	r.chooseEpoch(cur, all)
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

// resume ends a sealing that was cut short between its two renames, and returns
// what then is the current segment.
func (r *recovery) resume(newest, cur *found) (*found, error) {
	if !newest.data || newest.index || cur.data || !cur.known {
		return cur, nil
	}
	from, to := r.j.path(stamp{}, indexExt), r.j.path(newest.stamp, indexExt)
	f, err := r.j.world.fs.Open(from, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	t, kind, ok := readTrailer(f, cur.indexSize)
	f.Close()
	if !ok || kind != recSealed || t.size != newest.size {
		return cur, nil
	}
	newest.index, newest.known, newest.header, newest.indexSize = true, true, cur.header, cur.indexSize
	return &found{}, r.j.world.fs.Rename(from, to)
}

// chooseEpoch takes the epoch of the newest index that can be read. If there is
// none, no offset of before means anything any more.
func (r *recovery) chooseEpoch(cur *found, sealed []*found) {
	if cur.known {
		r.j.epoch = cur.epoch
		return
	}
	for i := len(sealed) - 1; i >= 0; i-- {
		if sealed[i].known {
			r.j.epoch = sealed[i].epoch
			return
		}
	}
	rand.Read(r.j.epoch[:])
	r.fresh = true
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
	s.gapless = s.known && gapless(f, info.size)
	if errors.Is(err, errDamaged) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", j.path(p.stamp, indexExt), err)
	}
	return s, err
}
