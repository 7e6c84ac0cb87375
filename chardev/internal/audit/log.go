package audit

import (
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// queueMost is how many records wait to be written at most.
	queueMost = 4096

	// retryTime is how long to wait before a write that failed is tried again. Nothing
	// tells when a disk has room.
	retryTime = time.Second
)

// A Log is an audit log. Its methods may be called by many at once; those of a nil Log
// do nothing.
type Log struct {
	// fixed
	path string
	log  *slog.Logger
	open func(path string) (file, error)
	wake chan struct{} // there is something to do; capacity 1
	end  chan struct{} // closed by Close
	done chan struct{} // closed when write has ended
	once sync.Once     // of Close

	mu      sync.Mutex
	queue   []Record // the oldest first
	missing int      // records that were not taken since
	lost    int64    // that were not taken at all
	fold    fold
	closed  bool

	left int // records that were not written in the end; before done is closed
}

// Open begins to write to the file at path, which is made (0600) if it is not there.
// That may fail, now and later: the log is told, what comes meanwhile waits or is
// counted, and it is tried again.
func Open(path string, log *slog.Logger) *Log { return start(path, log, openFile) }

func start(path string, log *slog.Logger, open func(string) (file, error)) *Log {
	l := &Log{path: path, log: log, open: open, wake: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
	go l.write()
	return l
}

// Note has a record written, with the time of now. It does not wait, and keeps
// nothing of r.
func (l *Log) Note(r Record) {
	if l == nil {
		return
	}
	r.clip()
	r.Time = time.Now().UTC()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if !l.fold.take(&r) {
		return // whoever writes knows when the sum is due since it was begun
	}
	l.add(r)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// add puts a record into the queue. Called with mu held.
func (l *Log) add(r Record) {
	if len(l.queue) >= queueMost {
		l.lose(max(1, r.Count))
		return
	}
	l.queue = append(l.queue, r)
}

// lose counts records that are not written. Called with mu held.
func (l *Log) lose(n int) {
	l.missing += n
	l.lost += int64(n)
}

// Lost is how many records are not written, for good, since Open.
func (l *Log) Lost() int64 {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// take returns what waits, and when the next sum is due.
func (l *Log) take(all bool) (list []Record, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().UTC()
	sums := l.fold.ended(now, all)
	slices.SortFunc(sums, func(a, b Record) int { return a.Time.Compare(b.Time) })
	for _, s := range sums {
		l.add(s)
	}
	list, l.queue = l.queue, nil
	if l.missing > 0 {
		list = append(list, Record{Time: now, What: Missing, Count: l.missing})
		l.missing = 0
	}
	return list, l.fold.due
}

// write is the goroutine.
func (l *Log) write() {
	defer close(l.done)
	w := writer{path: l.path, open: l.open}
	defer w.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ending := false; !ending; {
		select {
		case <-l.wake:
		case <-timer.C:
		case <-l.end:
			ending = true
		}
		next := l.work(&w, ending)
		timer.Stop()
		if next > 0 {
			timer.Reset(next)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = len(w.list) + w.held + len(l.queue) + l.missing
}

// work writes what there is to write. It returns after how long there is something to
// do again; 0: when somebody wakes it.
func (l *Log) work(w *writer, ending bool) time.Duration {
	for {
		missing, err := w.flush()
		if missing > 0 {
			l.mu.Lock()
			l.lose(missing)
			l.mu.Unlock()
		}
		if err != nil {
			if !w.failing {
				l.log.Error("the audit log is not written: it is tried again, up to "+strconv.Itoa(queueMost)+" records wait, and more are counted", "file", l.path, "error", err)
			}
			w.failing = true
			return retryTime
		}
		if w.failing {
			w.failing = false
			l.log.Info("the audit log is written again", "file", l.path)
		}
		list, due := l.take(ending)
		if len(list) == 0 {
			if due.IsZero() {
				return 0
			}
			return max(time.Until(due), time.Millisecond)
		}
		if last := list[len(list)-1]; last.What == Missing {
			l.log.Error("the audit log lacks records that came while it could not be written, or faster", "file", l.path, "records", last.Count)
		}
		w.list = list
	}
}

// Close writes what waits and the sums, and syncs the file. It returns an error if that
// failed, or took longer than within; then the goroutine is left to itself.
func (l *Log) Close(within time.Duration) error {
	if l == nil {
		return nil
	}
	l.once.Do(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		close(l.end)
	})
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-l.done:
	case <-late.C:
		return fmt.Errorf("audit log %s: its disk took nothing for %v, so its end is not written", l.path, within)
	}
	if l.left > 0 {
		return fmt.Errorf("audit log %s: its last %d records could not be written", l.path, l.left)
	}
	return nil
}

// A file is what of an *os.File is used.
type file interface {
	Write([]byte) (int, error)
	Stat() (fs.FileInfo, error)
	Sync() error
	Close() error
}
