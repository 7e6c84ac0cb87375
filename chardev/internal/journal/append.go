package journal

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A writer is what the one who writes knows of the current segment. What is here
// beside the files lives on through Rest.
type writer struct {
	data, idx file     // nil at rest
	iov       [][]byte // scratch

	seg     *segment // nil: there is no current segment
	size    int64    // bytes of its data
	gaps    int64    // within it
	made    int64    // when it was begun (Unix ms)
	first   int64    // when its first byte came; 0: there is none, or it is not known
	last    int64    // the newest time of a mark in any segment; 0: not known
	reserve int64
	opened  bool // the current segment's index says that this run writes it
	barrier bool // what is pending of the index must be in its file before more data is
	leapt   bool // and on the disk, for there is a gap in it
	trailed bool // sealing: the trailer is in the index
	moved   bool // sealing: the data has its new name
	closed  bool
}

// Append writes bytes of the stream that begin at an offset. That is at End, or
// behind it: then the bytes between are a gap. marks are of these bytes, in
// order. A segment that is full is sealed first. On an error the first n bytes are
// in the journal all the same. bufs are the caller's again when it returns.
func (j *Journal) Append(at int64, bufs [][]byte, marks []Mark) (n int64, err error) {
	var left int64
	for _, b := range bufs {
		left += int64(len(b))
	}
	if end := j.end.Load(); at < end {
		return 0, fmt.Errorf("journal %s: offset %d is written already, the journal ends at %d: go on there", j.dir, at, end)
	}
	o := j.Options() // the same for all of it
	again := false
	for left > 0 {
		if err := j.room(left, o, marks); err != nil {
			return n, advise(err)
		}
		m, err := j.place(at, bufs, n, left, o)
		if errors.Is(err, errChanged) && !again { // then in a new segment
			again = true
			continue
		}
		at, n, left = at+m, n+m, left-m
		marks = j.mark(marks, at)
		if m > 0 {
			j.end.Store(at)
			j.wrote(m)
		}
		if err != nil {
			return n, advise(err)
		}
	}
	if j.pending() >= flushAt {
		return n, advise(j.flush())
	}
	return n, nil
}

// place writes what the current segment takes of left bytes at an offset, which are
// those of bufs from the skip-th on, and returns how many.
func (j *Journal) place(at int64, bufs [][]byte, skip, left int64, o Options) (n int64, err error) {
	if err := j.gap(at); err != nil {
		return 0, err
	}
	size := j.w.size
	if left > o.MaxSize { // only then is it cut
		left = o.MaxSize - size
	}
	n, err = j.write(bufs, skip, left)
	if err := j.intact(size + n); err != nil {
		return 0, err
	}
	return n, err
}

// room sees to it that the current segment is open and takes all of the next n
// bytes, or as much as a whole segment does.
func (j *Journal) room(n int64, o Options, marks []Mark) error {
	w := &j.w
	if err := j.ready(); err != nil {
		return err
	}
	full := w.size > 0 && w.size+n > o.MaxSize
	old := w.size > 0 && o.MaxSpan > 0 && len(marks) > 0 && marks[0].Time-w.first >= o.MaxSpan.Milliseconds()
	if !full && !old {
		return nil
	}
	if err := j.seal(); err != nil {
		return err
	}
	return j.ready()
}

// gap states that the stream goes on at an offset, if that is not the end, and
// puts what must be in the index before more data into its file.
func (j *Journal) gap(at int64) error {
	w := &j.w
	for end := j.end.Load(); end < at; end = j.end.Load() {
		// Nothing may lie before it that can not be written: attempts on a full disk
		// would pile up.
		if err := j.flush(); err != nil {
			return err
		}
		g := gap{from: end, to: at, pos: w.size}
		if j.holed && end < j.start {
			g.to, g.hole = min(at, j.start), true
		}
		j.put(func(b []byte) []byte { return appendGap(b, g) })
		w.gaps++
		w.barrier, w.leapt = true, true
		if w.size == 0 {
			w.first = 0 // what was known is of the byte before
		}
		j.mu.Lock()
		w.seg.gaps = w.gaps
		j.mu.Unlock()
		j.end.Store(g.to)
	}
	if !w.barrier {
		return nil
	}
	if err := j.flush(); err != nil {
		return err
	}
	if w.leapt {
		if err := j.inHeader(func(h *header) { h.counted = w.gaps + 1 }); err != nil {
			return err
		}
		// After a power failure the bytes must not be taken for others, so what says
		// whose they are is on the disk before them.
		if err := w.idx.Sync(); err != nil {
			return err
		}
	}
	w.barrier, w.leapt = false, false
	return nil
}

// write writes take bytes of bufs, from the skip-th on, and returns how many.
func (j *Journal) write(bufs [][]byte, skip, take int64) (n int64, err error) {
	w := &j.w
	w.iov = w.iov[:0]
	for _, b := range bufs {
		if skip >= int64(len(b)) {
			skip -= int64(len(b))
			continue
		}
		b = b[skip:]
		skip = 0
		if b = b[:min(int64(len(b)), take)]; len(b) > 0 {
			w.iov = append(w.iov, b)
			take -= int64(len(b))
		}
	}
	defer clear(w.iov)
	iov := w.iov
	for len(iov) > 0 && err == nil {
		var m int
		if len(iov) == 1 {
			m, err = w.data.Write(iov[0])
		} else {
			m, err = w.data.Writev(iov)
		}
		if m == 0 && err == nil {
			err = &os.PathError{Op: "write", Path: j.path(stamp{}, dataExt), Err: syscall.EIO}
		}
		n += int64(m)
		for len(iov) > 0 && m >= len(iov[0]) {
			m -= len(iov[0])
			iov = iov[1:]
		}
		if m > 0 {
			iov[0] = iov[0][m:]
		}
	}
	return n, err
}

// wrote counts n more bytes of data, and tells the keeper.
func (j *Journal) wrote(n int64) {
	j.w.size += n
	j.size.Store(j.w.size)
	j.grew(n)
	j.soil()
}

// mark takes the marks below an offset into the index, and returns the others.
func (j *Journal) mark(marks []Mark, below int64) []Mark {
	if len(marks) == 0 {
		return marks
	}
	w := &j.w
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(marks) > 0 && marks[0].At < below {
		if w.first == 0 || marks[0].At == w.seg.base {
			w.first = marks[0].Time
		}
		w.last = marks[0].Time
		j.tail.mark(marks[0])
		marks = marks[1:]
	}
	w.seg.last = w.last
	return marks
}

// Note keeps an event in the index. It is written with the next Flush, or when
// enough has gathered.
func (j *Journal) Note(e Event) error {
	if err := j.ready(); err != nil {
		return advise(err)
	}
	if j.pending() >= flushAt {
		if err := j.flush(); err != nil && j.pending() >= mostPending {
			return advise(err)
		}
	}
	j.put(func(b []byte) []byte { return appendEvent(b, e) })
	return nil
}

// Reserve says that offsets below to may be given out before their bytes are
// written here: no later run gives them out again. It is in the index's file when
// Reserve returns, and on the disk soon after; also where the disk has no room any more.
func (j *Journal) Reserve(to int64) error {
	if to <= j.w.reserve {
		return nil
	}
	if err := j.recordReserve(to); err != nil {
		return advise(err)
	}
	j.w.reserve = to
	j.keeper.syncSoon(j)
	return nil
}

// recordReserve puts the reserve into the header of the index.
func (j *Journal) recordReserve(to int64) error {
	for again := false; ; again = true {
		err := j.ready() // which may fail where there is an index all the same
		if j.w.closed {
			return err
		}
		failed := j.inHeader(func(h *header) { h.reserve = max(h.reserve, to) })
		switch {
		case failed == nil:
			return nil
		case again || !errors.Is(failed, errChanged):
			return cmp.Or(err, failed)
		}
	}
}

// next is where the stream goes on if nothing is left out: in a new run at Start.
func (j *Journal) next() int64 { return max(j.end.Load(), j.start) }

// Flush writes what has gathered of the index to its file. It also returns what
// the keeper found since: that something can not be synced.
func (j *Journal) Flush() error {
	j.mu.Lock()
	err := j.failed
	j.failed = nil
	j.mu.Unlock()
	if j.w.idx != nil { // at rest everything is written
		err = errors.Join(j.flush(), err)
	}
	return advise(err)
}

// soil tells the keeper that there is something to sync, if it does not know.
func (j *Journal) soil() {
	if !j.unsynced.Load() && !j.unsynced.Swap(true) {
		j.keeper.syncLater(j)
	}
}

// advise adds to an error what to do about it.
func advise(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("journal: %w: make room, or keep less of the log", err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("journal: %w: let the daemon's user write there", err)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("journal: %w: the disk fails, see the kernel's log", err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("journal: %w: let the daemon have more open files (LimitNOFILE=, ulimit -n)", err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("journal: %w: there must be a folder: move the file away", err)
	}
	return fmt.Errorf("journal: %w", err)
}
