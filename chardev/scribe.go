package chardev

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/history"
	"chardevd/chardev/internal/journal"
)

const (
	// scribeDelay is how long a scribe lets output gather, so that a console that
	// prints line by line, or echoes key by key, does not wake it for each.
	scribeDelay = 20 * time.Millisecond

	// scribeSoon is how much it does not let gather: a fast device's output is written
	// while it is still in the cache. Measured at 20 MB/s: with 64 KiB the wake-ups
	// cost as much CPU again as the writing.
	scribeSoon = 512 << 10

	// scribeHere is how much of a fast device's output the device's goroutine writes
	// itself, while it is in that core's cache. Measured: a goroutine woken for it costs
	// a fifth more CPU time.
	scribeHere = 128 << 10

	// scribeChunk is how much it writes at once, and holds while a disk takes its time.
	scribeChunk = 1 << 20

	// scribeIdle is after how long a silent console's files are closed.
	scribeIdle = time.Minute

	// A journal that failed is tried again after so long, doubling.
	scribeRetry, scribeRetryMost = time.Second, 30 * time.Second

	// The reserve is so many bytes ahead of what is printed, more for a console that
	// soon used it up.
	reserveLeast, reserveMost = 1 << 20, 256 << 20

	// scribeLag is how far a device may be ahead of a disk that keeps up: measured, what
	// is written while it is in the cache saves a sixth of the rate.
	scribeLag = 1 << 20

	// scribeGrace is how long a device waits for that, or for the reserve; then not any
	// more until all is written.
	scribeGrace = 100 * time.Millisecond

	// scribeStart is scribeGrace before the first reserve of a run: thousands of
	// consoles may start at once.
	scribeStart = 2 * time.Second
)

// What a scribe is doing.
const (
	scribeSilent  int32 = iota // nothing is to be written
	scribeWaiting              // for output to gather
	scribeWriting
	scribeFailed // waiting to try again
	scribeClosed
)

// A scribe writes a hub's history and events into its journal, in a goroutine that is
// there only while there is something to write; what a fast device prints the device's
// goroutine writes on the spot, see writeHere. The device waits for the disk only as
// long as that keeps up, and at most scribeGrace: in such a write, and when it would run
// ahead of what the journal has reserved, or by more than scribeLag.
type scribe struct {
	hub    *hub
	j      *journal.Journal
	append func(at int64, bufs [][]byte, marks []journal.Mark) (int64, error) // of j
	reader *history.Reader
	desks  desks

	cursor   atomic.Int64 // the next byte to write
	reserved atomic.Int64 // offsets below may be given out
	slow     atomic.Bool  // it is not waited for until it has written all
	blind    atomic.Bool  // nor for the reserve, until there is one again
	overdue  atomic.Bool  // the timer went off while the device's goroutine wrote
	news     bell         // the cursor or the reserve moved, or it does not

	lost   flood // events of bytes that the journal lacks
	unread flood // events of bytes that the journal has and does not give

	// guarded by hub.mu
	unwritten []Event // those that are not in the journal yet
	unkept    int     // those that never will be, as the disk took none for long; not told yet

	mu    sync.Mutex
	doing atomic.Int32 // changed under mu
	timer *time.Timer
	work  sync.WaitGroup // of write
	err   error          // why the journal takes nothing; nil: it does

	// owned by who writes: write, and close at the end
	marks   []journal.Mark
	step    int64 // of the reserve
	stepped time.Time
	retry   time.Duration
}

// desks bound how many scribes write at a time: each of them that waits for the disk
// holds a thread.
type desks chan struct{}

const deskCount = 16

// newScribe begins where the history does, which is where the journal goes on.
func newScribe(h *hub, j *journal.Journal, d desks) *scribe {
	at := h.hist.Head()
	s := &scribe{hub: h, j: j, append: j.Append, desks: d, reader: h.hist.Reader(), step: reserveLeast, retry: scribeRetry}
	s.cursor.Store(at)
	s.reserved.Store(at)
	h.hist.Keep(at)
	return s
}

// note takes an event that is to be written. Called with hub.mu held.
func (s *scribe) note(e Event) {
	s.unwritten = append(s.unwritten, e)
	if len(s.unwritten) > maxEvents { // the disk takes none
		s.unwritten = slices.Delete(s.unwritten, 0, 1)
		s.unkept++
	}
}

// printed tells that there is something to write, up to the head.
func (s *scribe) printed(head int64) {
	switch s.doing.Load() {
	case scribeSilent:
		s.mu.Lock()
		if s.doing.CompareAndSwap(scribeSilent, scribeWaiting) {
			s.after(scribeDelay)
		}
		s.mu.Unlock()
	case scribeWaiting:
		if head-s.cursor.Load() >= scribeSoon {
			s.begin(scribeWaiting)
		}
	}
}

// begin begins to write if that is what the scribe was doing, or is about to. The
// timer may go off all the same and finds nothing to do.
func (s *scribe) begin(was ...int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(was, s.doing.Load()) {
		s.doing.Store(scribeWriting)
		s.work.Go(s.write)
	}
}

// after sets the timer. Called with mu held.
func (s *scribe) after(d time.Duration) {
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.due)
	} else {
		s.timer.Reset(d)
	}
}

// due is called by the timer: output has gathered, or a journal that failed is to be
// tried again, or the console has been silent for long.
func (s *scribe) due() {
	s.overdue.Store(true)
	s.begin(scribeWaiting, scribeFailed, scribeSilent)
}

// writeHere writes what a fast device printed in the device's goroutine, which calls
// it. If the disk makes it wait longer than scribeGrace, takeOver is called, in a
// goroutine of its own, to do what the device's goroutine does; that one goes on as the
// scribe's, and false is returned when the device has long been somebody else's.
func (s *scribe) writeHere(head int64, takeOver func()) (mine bool) {
	if head-s.cursor.Load() < scribeHere || s.slow.Load() || !s.claim() {
		return true
	}
	defer s.work.Done()
	guard := time.AfterFunc(scribeGrace, func() {
		s.slow.Store(true)
		takeOver()
	})
	_, err := s.some()
	<-s.desks
	switch {
	case err != nil:
		s.written(err, true)
	case s.overdue.Load() || !s.doing.CompareAndSwap(scribeWriting, scribeWaiting):
		s.write()
	case s.overdue.Load(): // it went off before that swap, and found no one waiting
		s.begin(scribeWaiting)
	}
	return guard.Stop()
}

// claim takes a desk and makes its caller the one who writes, if output was to gather.
func (s *scribe) claim() bool {
	if s.doing.Load() != scribeWaiting {
		return false
	}
	select {
	case s.desks <- struct{}{}:
	default:
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.doing.CompareAndSwap(scribeWaiting, scribeWriting) {
		<-s.desks
		return false
	}
	s.work.Add(1)
	return true
}

// write writes until nothing is left to.
func (s *scribe) write() {
	for more := true; more; {
		s.desks <- struct{}{}
		before := s.cursor.Load()
		err := s.drain()
		if s.cursor.Load() == before {
			s.j.Rest() // the console has been silent
		}
		<-s.desks
		more = s.written(err, s.cursor.Load() > before)
	}
}

// written says what the scribe does after it wrote all there was, or failed; true:
// it writes on.
func (s *scribe) written(err error, some bool) (more bool) {
	was, now := s.setError(err)
	switch {
	case now != nil && was == nil:
		s.hub.keep(slog.LevelWarn, "journal", fmt.Sprintf("the console is not written down: %v; it runs on, and this is tried again", now))
	case was != nil && now == nil:
		s.hub.note("journal", "the console is written down again")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.doing.Load() == scribeClosed:
		return false
	case err != nil:
		s.after(s.retry)
		s.retry = min(2*s.retry, scribeRetryMost)
		s.doing.Store(scribeFailed)
		return false
	case s.behind():
		return true
	}
	s.retry = scribeRetry
	if some {
		s.after(scribeIdle)
	}
	s.doing.Store(scribeSilent)
	if s.behind() { // printed may have seen that the scribe writes
		s.doing.Store(scribeWriting)
		return true
	}
	return false
}

// setError notes whether the journal takes what it is given, and tells those who wait
// for it.
func (s *scribe) setError(err error) (was, now error) {
	s.slow.Store(err != nil)
	if err != nil {
		s.tellNews()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was, s.err = s.err, err
	return was, err
}

func (s *scribe) tellNews() {
	s.news.ring()
}

// behind is whether there is something to write.
func (s *scribe) behind() bool {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hist.Head() > s.cursor.Load() || len(s.unwritten) > 0
}

// drain writes what there is.
func (s *scribe) drain() error {
	s.overdue.Store(false)
	for {
		if all, err := s.some(); err != nil {
			return err
		} else if all {
			return s.finish()
		}
	}
}

// some writes up to scribeChunk bytes; it returns true if there are none.
func (s *scribe) some() (all bool, err error) {
	h := s.hub
	head, at := h.hist.Head(), s.cursor.Load()
	if err := s.reserve(head); err != nil {
		return false, err
	}
	if at == head {
		return true, nil
	}
	bufs, missing := s.reader.Next(at, scribeChunk)
	if missing > 0 {
		s.reader.Release()
		s.lose(missing)
		return false, nil
	}
	h.mu.Lock()
	s.marks = h.times.between(s.marks[:0], at, at+channel.SizeOf(bufs))
	h.mu.Unlock()
	n, err := s.append(at, bufs, s.marks)
	s.reader.Release()
	s.cursor.Add(n)
	h.hist.Keep(at + n)
	s.tellNews()
	return false, err
}

// finish writes the events, of bytes that are all written, and the index.
func (s *scribe) finish() error {
	h := s.hub
	for {
		h.mu.Lock()
		if len(s.unwritten) == 0 {
			s.unwritten = nil
			unkept := s.unkept
			s.unkept = 0
			h.mu.Unlock()
			if unkept > 0 {
				h.keep(slog.LevelWarn, "journal", fmt.Sprintf("the journal lacks %d events: the disk took none for too long", unkept))
				continue
			}
			break
		}
		e := s.unwritten[0]
		h.mu.Unlock()
		if err := s.j.Note(e.kept()); err != nil {
			return err
		}
		h.mu.Lock() // only now, so that whoever asks finds it here or there
		if s.unwritten[0] == e {
			s.unwritten = s.unwritten[1:]
		} else {
			s.unkept-- // it was let go meanwhile, and is kept
		}
		h.mu.Unlock()
	}
	h.found(s.j.Found())
	if err := s.j.Flush(); err != nil {
		return err
	}
	h.mu.Lock()
	h.times.drop(s.cursor.Load())
	h.mu.Unlock()
	return nil
}

// lose passes over bytes that memory no longer has, because the disk did not take
// them in time. The journal states the gap at the next Append.
func (s *scribe) lose(missing int64) {
	at := s.cursor.Add(missing)
	s.hub.dropped[droppedJournal].Add(missing)
	s.hub.mu.Lock()
	s.hub.times.lose(at)
	s.hub.mu.Unlock()
	s.hub.keepSome(slog.LevelWarn, &s.lost, "journal", fmt.Sprintf("the journal lacks %d bytes before offset %d: the disk did not take them in time", missing, at))
}

// reserve has the journal note up to where offsets may be given out, before they are.
func (s *scribe) reserve(head int64) error {
	if head+s.step/2 <= s.reserved.Load() {
		s.blind.Store(false)
		return nil
	}
	now := time.Now()
	if now.Sub(s.stepped) < time.Second {
		s.step = min(2*s.step, reserveMost)
	} else {
		s.step = max(s.step/2, reserveLeast)
	}
	s.stepped = now
	if err := s.j.Reserve(head + s.step); err != nil {
		s.blind.Store(true)
		return err
	}
	s.reserved.Store(head + s.step)
	s.blind.Store(false)
	s.tellNews()
	return s.j.Flush()
}

// ready is whether offsets up to the given one may be given out now.
func (s *scribe) ready(to int64) bool {
	return s.inReserve(to) && (s.slow.Load() || to-s.cursor.Load() < scribeLag)
}

func (s *scribe) inReserve(to int64) bool { return to <= s.reserved.Load() || s.blind.Load() }

// await waits until offsets up to the given one may be given out. It returns errGone if
// going is closed before.
func (s *scribe) await(going *latch, to int64) error {
	if s.ready(to) {
		return nil
	}
	wait := scribeGrace
	if s.reserved.Load() == s.hub.first {
		wait = scribeStart
	}
	grace := time.NewTimer(wait)
	defer grace.Stop()
	for !s.ready(to) {
		if s.inReserve(to) {
			s.begin(scribeSilent, scribeWaiting)
		} else { // a disk without room for more has some for that
			s.begin(scribeSilent, scribeWaiting, scribeFailed)
		}
		select {
		case <-s.news.rung():
		case <-grace.C:
			s.slow.Store(true)
			s.blind.Store(true)
		case <-going.done():
			return errGone
		}
	}
	return nil
}

// stop waits until write has ended, which is not begun again.
func (s *scribe) stop() {
	s.mu.Lock()
	s.doing.Store(scribeClosed)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.work.Wait()
}

// close writes what is left and ends the journal. The hub must have no device any
// more.
func (s *scribe) close() error {
	s.stop()
	s.desks <- struct{}{}
	defer func() { <-s.desks }()
	drained := s.drain()
	return cmp.Or(s.j.Close(s.hub.hist.Head()), drained)
}

// state is how many bytes are to be written, and why the journal takes nothing.
func (s *scribe) state() (behind int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hub.hist.Head() - s.cursor.Load(), s.err
}
