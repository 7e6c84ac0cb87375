package attach

import "sync"

// A queue holds what was typed until the daemon takes it. One goroutine puts,
// one takes. It is closed while nobody is there to take, so that keystrokes do
// not run stale after a reconnect.
type queue struct {
	max   int           // bytes held at most; then put waits
	ready chan struct{} // a signal: there may be something to take
	room  chan struct{} // a signal: there may be room

	mu     sync.Mutex
	closed bool
	data   []byte
	spare  []byte // the buffer of the batch before
	breaks int
	ops    []inputOp
	leave  bool
	eof    bool
}

// An inputOp is something to do about who has the input (chardev.WriterTake, …),
// between the keys: those before it are typed as before.
type inputOp struct {
	at int // in the data
	op string
}

// opsMax is how many of them a queue holds: more would be somebody asleep on the keys.
const opsMax = 16

// A batch is what a take found. Breaks go first: a break overtakes.
type batch struct {
	breaks int
	data   []byte    // valid until the next take
	ops    []inputOp // their places rise
	leave  bool      // behind data the user leaves
	eof    bool      // no data comes after this
}

func newQueue(max int) *queue {
	return &queue{max: max, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// signal leaves a signal in c, which holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put appends p, waiting for room until done. It returns false if not all of p
// was taken because the queue is closed.
func (q *queue) put(done <-chan struct{}, p []byte) bool {
	for len(p) > 0 {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return false
		}
		n := min(q.max-len(q.data), len(p))
		q.data = append(q.data, p[:n]...)
		q.mu.Unlock()
		p = p[n:]
		signal(q.ready)
		if len(p) == 0 {
			break
		}
		select {
		case <-q.room:
		case <-done:
			return true
		}
	}
	return true
}

// putBreak asks for a break; false if the queue is closed.
func (q *queue) putBreak() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.breaks++
	signal(q.ready)
	return true
}

// putOp asks for something about the input; false if the queue is closed or has too
// many of these.
func (q *queue) putOp(op string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.ops) == opsMax {
		return false
	}
	q.ops = append(q.ops, inputOp{len(q.data), op})
	signal(q.ready)
	return true
}

// putLeave says that the user leaves behind what was put; false if the queue is
// closed.
func (q *queue) putLeave() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leave = true
	signal(q.ready)
	return !q.closed
}

// putEOF says that nothing more is put. It stays true over reconnects.
func (q *queue) putEOF() {
	q.mu.Lock()
	q.eof = true
	q.mu.Unlock()
	signal(q.ready)
}

// take empties the queue.
func (q *queue) take() batch {
	q.mu.Lock()
	b := batch{breaks: q.breaks, data: q.data, ops: q.ops, leave: q.leave, eof: q.eof}
	q.data, q.spare, q.breaks, q.ops = q.spare[:0], q.data, 0, nil
	q.mu.Unlock()
	signal(q.room)
	return b
}

// open lets put put; close makes it refuse and drops what is held.
func (q *queue) open() {
	q.mu.Lock()
	q.closed = false
	q.mu.Unlock()
}

// close returns how many bytes it dropped.
func (q *queue) close() int {
	q.mu.Lock()
	n := len(q.data)
	q.closed, q.data, q.breaks, q.ops = true, q.data[:0], 0, nil
	q.mu.Unlock()
	signal(q.room)
	return n
}

// ended says whether the input has ended.
func (q *queue) ended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.eof
}
