package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// A logQueue writes log lines from a goroutine of its own, so that a log that
// nobody reads (a pipe that is full, a disk that hangs) stops no console. What
// does not fit is counted and told when there is room again.
type logQueue struct {
	lines   chan []byte
	flushed chan struct{} // has a value when what came before a nil line is written; capacity 1
	done    chan struct{}

	mu     sync.Mutex
	lost   int
	closed bool
}

// logQueueLines is how many lines wait at most.
const logQueueLines = 4096

func newLogQueue(w io.Writer) *logQueue {
	q := &logQueue{lines: make(chan []byte, logQueueLines), flushed: make(chan struct{}, 1), done: make(chan struct{})}
	go q.write(w)
	return q
}

// Write takes one line; it never waits.
func (q *logQueue) Write(line []byte) (int, error) {
	n := len(line)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return n, nil
	}
	if q.lost > 0 {
		line = fmt.Appendf(nil, "chardevd: %d log lines were lost, the log was not read fast enough\n%s", q.lost, line)
	} else {
		line = bytes.Clone(line)
	}
	select {
	case q.lines <- line:
		q.lost = 0
	default:
		q.lost++
	}
	return n, nil
}

// write is the goroutine; it ends when lines is closed.
func (q *logQueue) write(w io.Writer) {
	defer close(q.done)
	for line := range q.lines {
		if line != nil {
			w.Write(line)
			continue
		}
		select {
		case q.flushed <- struct{}{}:
		default: // nobody waits any more
		}
	}
}

// Flush gives what waits up to a second to be written. One calls it at a time.
func (q *logQueue) Flush() {
	late := time.After(time.Second) // the log is stuck
	select {
	case q.lines <- nil:
	case <-late:
		return
	}
	select {
	case <-q.flushed:
	case <-late:
	}
}

// Close gives what waits up to a second to be written.
func (q *logQueue) Close() {
	q.mu.Lock()
	q.closed = true
	close(q.lines)
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(time.Second): // the program ends; the log is stuck
	}
}
