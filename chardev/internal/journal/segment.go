package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ready sees to it that there is a current segment and that its files are open.
func (j *Journal) ready() error {
	w := &j.w
	if w.closed {
		return fmt.Errorf("%s: %w: open it again", j.dir, os.ErrClosed)
	}
	if j.changed.Load() {
		if err := j.forsake(); err != nil {
			return err
		}
	}
	if w.seg != nil && w.idx == nil {
		if err := j.reopen(); err != nil {
			return err
		}
	}
	if w.trailed { // a sealing failed; nothing may come behind the trailer
		if err := j.seal(); err != nil {
			return err
		}
	}
	if w.seg == nil {
		if err := j.begin(); err != nil {
			return err
		}
	}
	if !w.opened {
		j.put(func(b []byte) []byte { return appendOpened(b, j.world.now().UnixMilli(), j.world.boot) })
		w.opened, w.barrier = true, true
	}
	j.mu.Lock()
	own := j.own
	j.own = nil
	j.mu.Unlock()
	for _, e := range own {
		j.put(func(b []byte) []byte { return appendEvent(b, e) })
	}
	return nil
}

const appending = os.O_WRONLY | os.O_APPEND

// nextExt is of the index of a new current segment before it has the name of one.
const nextExt = indexExt + tmpExt

// prepare makes the index of a new current segment, with its header: one under the
// current one's name always says whose it is. The segment begins at End.
func (j *Journal) prepare() (header, error) {
	w := &j.w
	h := header{epoch: j.epoch, base: j.end.Load(), made: j.world.now().UnixMilli(), counted: 1, reserve: w.reserve, boot: j.world.boot}
	f, err := j.world.fs.Open(j.path(stamp{}, nextExt), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return h, err
	}
	defer f.Close()
	// It may be there already, and is not to be without its header at any time.
	if err := f.WriteAt(h.bytes(), 0); err != nil {
		return h, err
	}
	return h, f.Truncate(headerSize)
}

// briefSegment is, in ms, how soon a segment must be full for the index of the next one to
// come to the disk only with what is due. Measured: of a device at full rate with segments of
// 4 MiB, 250 a second, to sync each costs a fifth of the rate. What the power takes then is
// the epoch.
const briefSegment = 1000

// begin makes a new current segment, whose first byte is the one at End.
func (j *Journal) begin() error {
	w := &j.w
	if err := j.world.fs.MkdirAll(j.dir); err != nil {
		return err
	}
	h, err := j.prepare()
	if err != nil {
		return err
	}
	// What lies there under the index's name was left by a failure of begin; Open
	// and forsake leave none.
	if err := j.world.fs.Rename(j.path(stamp{}, nextExt), j.path(stamp{}, indexExt)); err != nil {
		return err
	}
	idx, err := j.world.fs.Open(j.path(stamp{}, indexExt), appending)
	if err != nil {
		return err
	}
	data, err := j.empty()
	if err != nil {
		idx.Close()
		return err
	}
	w.idx, w.data = idx, data
	brief := h.made-w.made < briefSegment
	w.made = h.made
	w.first, w.size, w.gaps = w.last, 0, 0
	j.size.Store(0)
	w.opened, w.barrier = true, true
	j.mu.Lock()
	w.seg = &segment{base: h.base, index: headerSize, last: w.last}
	j.segments = append(j.segments, w.seg)
	j.tail = tail{seg: w.seg, flushed: headerSize, pending: j.tail.pending[:0], batch: -1}
	if w.last != 0 { // the segment may begin in the middle of a line
		j.tail.mark(Mark{h.base, w.last})
	}
	many := len(j.segments) > 1
	j.mu.Unlock()
	j.grew(headerSize)
	if !brief { // that it is there is all that says how far offsets were given out
		j.keeper.syncSoon(j)
	}
	if many { // there is one that was sealed
		j.keeper.sealed(j)
		j.trimSome()
	}
	return j.flush()
}

// errChanged is that somebody changed the files of the current segment: ready gives
// it up.
var errChanged = errors.New("is changed by somebody while it is written")

// notice takes note that the current segment is not what was written.
func (j *Journal) notice(ext string) error {
	j.changed.Store(true)
	return fmt.Errorf("%s %w", j.path(stamp{}, ext), errChanged)
}

// intact looks whether the data is as long as what was written: what is appended to a
// file that was cut is not where its offset says.
func (j *Journal) intact(size int64) error {
	is, err := j.w.data.Stat()
	if err == nil && is.size != size {
		return j.notice(dataExt)
	}
	return err
}

// inHeader changes the header of the current segment's index. It has its room on the
// disk already, and it is the one that the next run will find: it is looked for by its
// name. If a segment could not be begun, it is that of the next one.
func (j *Journal) inHeader(change func(*header)) error {
	w := &j.w
	name := j.path(stamp{}, indexExt)
	f, err := j.world.fs.Open(name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) && w.seg == nil {
		f, err = j.world.fs.Open(j.path(stamp{}, nextExt), os.O_RDWR)
	}
	var h header
	if err == nil {
		defer f.Close()
		h, err = readHeader(f)
	}
	var newer versionError
	switch {
	case errors.As(err, &newer), err == nil && (h.epoch != j.epoch || w.seg != nil && h.base != w.seg.base):
		err = errDamaged
	case err == nil:
		change(&h)
		return f.WriteAt(h.bytes(), 0)
	}
	if w.seg != nil && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged)) {
		return j.notice(indexExt)
	}
	return err
}

// empty opens the data file of a new segment. One that is there and not empty is
// somebody's, and so is what is no file: it is put aside.
func (j *Journal) empty() (file, error) {
	name := j.path(stamp{}, dataExt)
	for {
		f, err := j.world.fs.Open(name, appending|os.O_CREATE)
		if err == nil {
			var is info
			if is, err = f.Stat(); err == nil && is.size == 0 {
				return f, nil
			}
			f.Close()
		}
		if err == nil || errors.Is(err, errNoFile) {
			_, err = j.aside(name)
		}
		if err != nil {
			return nil, err
		}
	}
}

// aside renames a file of the folder so that it is not the journal's any more,
// and returns its new name.
func (j *Journal) aside(name string) (string, error) {
	for s := (stamp{j.world.now().Unix(), 1}); ; s.n++ {
		to := j.path(s, asideExt)
		if _, err := j.world.fs.Stat(to); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		return filepath.Base(to), j.world.fs.Rename(name, to)
	}
}

// reopen opens the files of the current segment after Rest or Open.
func (j *Journal) reopen() error {
	w := &j.w
	idx, err := j.world.fs.Open(j.path(stamp{}, indexExt), appending)
	if errors.Is(err, fs.ErrNotExist) {
		return j.forsake()
	}
	if err != nil {
		return err
	}
	flag := appending
	if w.size == 0 {
		flag |= os.O_CREATE
	}
	data, err := j.world.fs.Open(j.path(stamp{}, dataExt), flag)
	if err != nil {
		idx.Close()
		if errors.Is(err, fs.ErrNotExist) {
			return j.forsake()
		}
		return err
	}
	w.idx, w.data = idx, data
	di, err := data.Stat()
	if err == nil && di.size == w.size {
		var ii info
		if ii, err = idx.Stat(); err == nil && ii.size == j.tail.flushed {
			return nil
		}
	}
	if err != nil {
		j.shut()
		return err
	}
	return j.forsake()
}

// shut closes the files of the current segment. What a file system tells only at
// close, the keeper's sync told before or nobody can do anything about.
func (j *Journal) shut() {
	for _, f := range []file{j.w.idx, j.w.data} {
		if f != nil {
			f.Close()
		}
	}
	j.w.idx, j.w.data = nil, nil
}

// Rest closes the files until they are needed again: for a console that is
// silent. What has gathered of the index is written first; while that fails, or a
// sealing that failed is to go on, they stay open.
func (j *Journal) Rest() {
	if j.w.idx == nil || j.w.trailed || j.flush() != nil {
		return
	}
	j.shut()
	j.w.iov = nil
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tail.pending = nil
}

// seal ends the current segment. After a failure ready calls it again, and it goes
// on where it was.
func (j *Journal) seal() error {
	w := &j.w
	if !w.trailed {
		t := j.trailer(j.end.Load())
		j.put(func(b []byte) []byte { return appendTrailer(b, recSealed, t) })
		w.trailed = true
	}
	if err := j.flush(); err != nil {
		return err
	}
	// Without an index of the current segment nobody knows how far offsets were given
	// out. While there is none, this tells that there was no other one.
	if _, err := j.prepare(); err != nil {
		return j.maybeGone(err)
	}
	name := j.sealName()
	if !w.moved {
		// What is no file must not get the name of a segment: Open would not have the folder.
		data, err := j.world.fs.Open(j.path(stamp{}, dataExt), os.O_RDONLY)
		if err != nil {
			return j.maybeGone(err)
		}
		data.Close()
		if err := j.world.fs.Rename(j.path(stamp{}, dataExt), j.path(name, dataExt)); err != nil {
			return j.maybeGone(err)
		}
		w.moved = true
	}
	if err := j.world.fs.Rename(j.path(stamp{}, indexExt), j.path(name, indexExt)); err != nil {
		return j.maybeGone(err)
	}
	j.leave(name, w.size)
	j.happened(Event{j.end.Load(), j.world.now(), KindRotation, name.stem(j.name) + dataExt})
	return nil
}

// sealName chooses what the current segment will be called, once. Readers know
// it before the files have it.
func (j *Journal) sealName() stamp {
	first := j.w.first
	if first == 0 {
		first = j.w.made
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.sealing == (stamp{}) {
		j.sealing = stamp{sec: first / 1000}.after(j.newest)
	}
	return j.sealing
}

// leave makes the current segment, with so many bytes of data under its new name,
// a sealed one.
func (j *Journal) leave(name stamp, data int64) {
	w := &j.w
	j.shut()
	j.mu.Lock()
	w.seg.stamp, w.seg.data, w.seg.index = name, data, j.tail.flushed
	if w.seg.last == 0 {
		w.seg.last = w.made
	}
	j.changed.Store(false)
	j.newest, j.sealing = name, stamp{}
	j.tail = tail{pending: j.tail.pending[:0], batch: -1}
	j.mu.Unlock()
	j.grew(data - w.size)
	j.size.Store(0)
	w.seg, w.size, w.trailed, w.moved = nil, 0, false, false
}

// maybeGone deals with an error of a rename: that files are not there is somebody
// else's doing.
func (j *Journal) maybeGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return j.forsake()
	}
	return err
}

// forsake gives up the current segment, whose files are not what was written: they
// were removed, renamed, cut or written to by somebody. What is there is put aside,
// and the index, which has the events, sealed without data. The stream goes on in
// a new segment.
func (j *Journal) forsake() error {
	w := &j.w
	if w.idx != nil {
		j.flush() // for the events in it; if not, they are lost with the rest
		j.shut()
	}
	text, data := "is gone", w.size
	if !w.moved {
		data = 0
		log := j.path(stamp{}, dataExt)
		info, err := j.world.fs.Stat(log)
		switch {
		case err == nil && info.size > 0:
			name, err := j.aside(log)
			if err != nil {
				return err
			}
			if text = "was changed, what is there is in " + name; info.size == w.size {
				text = "lost its index, what is there is in " + name
			}
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	name := j.sealName()
	if err := j.world.fs.Rename(j.path(stamp{}, indexExt), j.path(name, indexExt)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lost := w.size - data
	e := Event{j.end.Load(), j.world.now(), KindJournal,
		fmt.Sprintf("%s%s %s: the %d bytes before this are missing", j.name, dataExt, text, lost)}
	j.happened(e)
	j.mu.Lock()
	j.found = append(j.found, e)
	j.mu.Unlock()
	j.leave(name, data)
	return nil
}

// trailer is how the current segment ends, with offsets below head given out.
func (j *Journal) trailer(head int64) trailer {
	w := &j.w
	return trailer{
		end: j.end.Load(), head: head, reserve: max(w.reserve, head),
		size: w.size, gaps: w.gaps, first: w.first, last: w.last,
	}
}

// Close ends a run: offsets below head were given out, and the next run goes on
// there. Everything is on the disk when it returns without an error. The journal
// can still be read.
func (j *Journal) Close(head int64) error {
	w := &j.w
	if w.closed || j.keeper == nil {
		return nil
	}
	err := j.closing(max(head, j.next()))
	j.shut()
	w.closed = true
	w.iov = nil
	j.keeper.forget(j)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tail.pending = nil
	return advise(err)
}

// closing writes the trailer, unless this run changed nothing.
func (j *Journal) closing(head int64) error {
	w := &j.w
	j.mu.Lock()
	quiet := len(j.own) == 0
	j.mu.Unlock()
	if !w.opened && quiet && head == j.start {
		return nil
	}
	err := j.conclude(head)
	if errors.Is(err, errChanged) { // in a new segment
		err = j.conclude(head)
	}
	if err != nil {
		return err
	}
	return j.sync()
}

// conclude puts the trailer of a clean end into the index.
func (j *Journal) conclude(head int64) error {
	if err := j.ready(); err != nil {
		return err
	}
	if j.holed { // the next run can not tell it from what this one did not write
		if err := j.gap(j.start); err != nil {
			return err
		}
	}
	t := j.trailer(head)
	j.put(func(b []byte) []byte { return appendTrailer(b, recClosed, t) })
	if err := j.flush(); err != nil {
		return err
	}
	return j.inHeader(func(h *header) { h.reserve = head })
}
