package journal

// Of the index so much gathers before it is written by itself; and so much is kept
// at most while it can not be written.
const (
	flushAt     = 4 << 10
	mostPending = 64 << 10
)

// A tail is the end of the current segment's index, which is not in its file yet.
type tail struct {
	seg     *segment // whose; nil: there is no current segment
	flushed int64    // bytes in the file
	pending []byte   // those behind them
	batch   int      // where in pending the batch of marks is that still grows; -1: there is none
	last    Mark     // of that batch
}

// mark takes one more mark.
func (t *tail) mark(m Mark) {
	if t.batch >= 0 && (len(t.pending)-t.batch >= maxMarks || m.At < t.last.At) {
		t.finish()
	}
	if t.batch < 0 {
		if len(t.pending) >= mostPending {
			return // the file can not be written; its times get less exact
		}
		t.batch, t.last = len(t.pending), Mark{}
		t.pending = begin(t.pending, recMarks)
	}
	t.pending = appendMark(t.pending, t.last, m)
	t.last = m
}

// finish ends the batch, if there is one.
func (t *tail) finish() {
	if t.batch >= 0 {
		t.pending = finish(t.pending, t.batch)
		t.batch = -1
	}
}

// pending returns how much of the index is not in its file.
func (j *Journal) pending() int {
	return len(j.tail.pending) // only the writer, who asks, changes it
}

// put appends records to the index.
func (j *Journal) put(appendTo func([]byte) []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tail.finish()
	j.tail.pending = appendTo(j.tail.pending)
}

// flush writes what is pending of the index. What can not be written stays
// pending: the index is one run of bytes, whatever the writes are cut into.
func (j *Journal) flush() error {
	j.mu.Lock()
	j.tail.finish()
	pending := j.tail.pending
	j.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	n, err := j.w.idx.Write(pending)
	j.mu.Lock()
	t := &j.tail
	t.flushed += int64(n)
	t.pending = t.pending[:copy(t.pending, t.pending[n:])]
	j.w.seg.index = t.flushed
	j.mu.Unlock()
	j.grew(int64(n))
	if n > 0 {
		j.soil()
	}
	return err
}
