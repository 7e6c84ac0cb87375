package chardev

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// waitingMost is how many connections of an address of [http] may be without a request
// that is served: new ones, half a head that never ends, and idle ones. One more cuts
// the one that waits for the longest.
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

// noteState is the ConnState of a http.Server.
func (w *waitingConns) noteState(c net.Conn, state http.ConnState) {
	if cut := w.note(c, state == http.StateNew || state == http.StateIdle); cut != nil {
		cut.Close()
	}
}

// note notes whether a connection waits, and returns one to be cut, or nil.
func (w *waitingConns) note(c net.Conn, waits bool) (cut net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.where[c]; e != nil {
		w.oldest.Remove(e)
		delete(w.where, c)
	}
	if !waits {
		return nil
	}
	w.where[c] = w.oldest.PushBack(c)
	if w.oldest.Len() <= waitingMost {
		return nil
	}
	cut = w.oldest.Remove(w.oldest.Front()).(net.Conn)
	delete(w.where, cut)
	return cut
}
