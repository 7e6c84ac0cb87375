package chardev

import (
	"cmp"
	"container/list"
	"net"
	"sync"
)

// waitingMost is how many connections of one way in may wait for somebody to say
// something: to log in, or to make a request that tells who makes it. For one more the one
// that waits for the longest is cut.
const waitingMost = 1024

// waitingConns are such connections. The zero value has none.
type waitingConns struct {
	most int // 0: waitingMost

	mu     sync.Mutex
	oldest *list.List // of net.Conn, the oldest first; nil: none waited yet
	where  map[net.Conn]*list.Element
}

// add notes that a connection waits from now on. If there are too many it returns another
// one, which is to be closed.
func (w *waitingConns) add(c net.Conn) (cut net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(c)
	if w.where == nil {
		w.oldest, w.where = list.New(), map[net.Conn]*list.Element{}
	}
	w.where[c] = w.oldest.PushBack(c)
	if w.oldest.Len() > cmp.Or(w.most, waitingMost) {
		cut = w.oldest.Front().Value.(net.Conn)
		w.forget(cut)
	}
	return cut
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
