package channel

import "sync"

// A Notifier tells what arrives beside the stream: a break and a parity error on a
// serial line, telnet's window size, a modem line that goes up.
type Notifier interface {
	// Notify has f called with every event of the kinds in want, from now on;
	// another call replaces both, and none in want ends it. Kinds that never
	// come are no error.
	//
	// A kind costs nothing while nobody wants it: modem lines are watched only
	// then. f is called from within Read where the event has a place in the
	// stream (all but modem lines): when the bytes before it were returned, and
	// before the next are. It is called with no lock held, by several goroutines
	// maybe, and may take as long as the reader can wait. Calls to f may still be
	// under way when Notify returns.
	Notify(want EventKind, f func(Event))
}

// An EventKind is a set of kinds of events.
type EventKind uint8

// The kinds.
const (
	EventBreak    EventKind = 1 << iota // a break was received: UART, telnet IAC BRK
	EventWindow                         // the peer's window has another size: telnet NAWS
	EventModem                          // modem lines changed
	EventErrors                         // bytes came damaged, or were lost
	EventTerminal                       // the peer named its terminal's type: telnet TTYPE
)

// An Event is something that arrived beside the stream. Only the fields of its
// kind are set.
type Event struct {
	Kind       EventKind  // one of them
	Cols, Rows int        // EventWindow: in characters; 0 is "not known"
	Modem      ModemLines // EventModem: the lines that are on now
	Changed    ModemLines // EventModem: the lines that changed, also if they are as before again
	Errors     LineErrors // EventErrors
	Terminal   string     // EventTerminal: a name like xterm, as the peer wrote it
}

// LineErrors is a set of what can go wrong with received bytes.
type LineErrors uint8

// The errors.
const (
	OverrunError LineErrors = 1 << iota // bytes were lost
	ParityError
	FramingError
)

// notifying is what a Notifier needs: who wants to know what.
type notifying struct {
	mu   sync.Mutex
	want EventKind
	f    func(Event)
}

func (n *notifying) set(want EventKind, f func(Event)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.want, n.f = want, f
}

func (n *notifying) wants(kind EventKind) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.want&kind != 0
}

// tell tells of e if somebody wants it. The caller holds no lock.
func (n *notifying) tell(e Event) {
	n.mu.Lock()
	f := n.f
	if n.want&e.Kind == 0 {
		f = nil
	}
	n.mu.Unlock()
	if f != nil {
		f(e)
	}
}
