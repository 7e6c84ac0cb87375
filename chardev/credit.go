package chardev

import (
	"fmt"
	"math"
	"sync"

	"chardevd/channel"
)

// creditMost is how much credit a client can have, in bytes.
const creditMost = 1 << 40

// A metered outlet gives a client no more than it has said it will take: its credit.
// A page shows far less in a second than a guest can print, and what is sent to it
// waits in its memory; without credit it stays in the history. Until a client gives
// some it is given everything.
type metered struct {
	outlet

	mu   sync.Mutex
	on   bool          // the client gives credit
	left int64         // so many bytes, then
	more chan struct{} // closed when there is credit again, or the end has come; nil: nobody waits
	over bool          // after abort
}

// add gives credit. It returns an error that tells the client what it may be.
func (m *metered) add(n int64) error {
	if n < 1 || n > creditMost {
		return fmt.Errorf("credit: want 1 to %d bytes, have %d", int64(creditMost), n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = true
	m.left = min(m.left+n, creditMost)
	m.tell()
	return nil
}

// tell wakes who waits. Called with mu held.
func (m *metered) tell() {
	if m.more != nil {
		close(m.more)
		m.more = nil
	}
}

// may is how many bytes the client may be given now; math.MaxInt64: any number.
func (m *metered) may() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.on {
		return math.MaxInt64
	}
	return m.left
}

func (m *metered) give(bufs [][]byte) (int64, bool, error) {
	may, total := m.may(), channel.SizeOf(bufs)
	if may == 0 && total > 0 {
		return 0, false, nil
	}
	if may < total {
		var few [4][]byte
		bufs = channel.SlicesOf(few[:0], bufs, 0, may)
	}
	n, room, err := m.outlet.give(bufs)
	if may < math.MaxInt64 { // else it is of no credit, even if that has begun meanwhile
		m.mu.Lock()
		m.left -= n
		m.mu.Unlock()
	}
	return n, room && n == total, err
}

// await waits for credit, and then for room.
func (m *metered) await() bool {
	for {
		m.mu.Lock()
		if m.over || !m.on || m.left > 0 {
			m.mu.Unlock()
			return m.outlet.await()
		}
		if m.more == nil {
			m.more = make(chan struct{})
		}
		more := m.more
		m.mu.Unlock()
		<-more
	}
}

func (m *metered) abort() {
	m.mu.Lock()
	m.over = true
	m.tell()
	m.mu.Unlock()
	m.outlet.abort()
}
