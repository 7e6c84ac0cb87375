package chardev

import (
	"container/list"
	"net"
	"sync"
)

// waitingMost is how many connections of one way in may wait for somebody to say
// something: to log in, or to make a request. One more cuts the one that waits for the
// longest.
const waitingMost = 1024

// waitingConns are such connections.
type waitingConns struct {
	mu     sync.Mutex
	oldest *list.List // of net.Conn, the oldest first
	where  map[net.Conn]*list.Element
}

func newWaitingConns() *waitingConns {
	return &waitingConns{oldest: list.New(), where: map[net.Conn]*list.Element{}}
}

// add notes that a connection waits from now on, and cuts another one if there are too
// many.
func (w *waitingConns) add(c net.Conn) {
	w.mu.Lock()
	w.forget(c)
	w.where[c] = w.oldest.PushBack(c)
	var cut net.Conn
	if w.oldest.Len() > waitingMost {
		cut = w.oldest.Front().Value.(net.Conn)
		w.forget(cut)
	}
	w.mu.Unlock()
	if cut != nil {
		cut.Close()
	}
}

// remove notes that a connection waits no longer.
func (w *waitingConns) remove(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(c)
}

// forget is called with mu held.
func (w *waitingConns) forget(c net.Conn) {
	if e := w.where[c]; e != nil {
		w.oldest.Remove(e)
		delete(w.where, c)
	}
}
