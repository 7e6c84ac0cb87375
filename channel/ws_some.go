package channel

import "github.com/gobwas/ws"

// A SomeWriter stands on an Outbox, and gives the medium below it as much at once
// as it takes.
type SomeWriter interface {
	// WriteSome is Writev of a part of bufs: the front that the medium takes now, and
	// up to 64 KiB more, which the outbox keeps. It returns how much that is. A medium
	// that is not full takes all of it in one call.
	WriteSome(bufs [][]byte) (int64, error)
}

var (
	_ SomeWriter = (*Websocket)(nil)
	_ SomeWriter = (*telnet)(nil)
)

// wsFullHead is the head of every binary frame of wsMaxSend bytes.
var wsFullHead = append([]byte(nil), new(wsFrame).putHead(ws.OpBinary, nil, wsMaxSend)...)

// WriteSome sends a server's frames together. Of those that the medium does not take
// the outbox keeps the rest of one that has begun, and the others are not sent
// (measured: a third of the rate is that of a system call for each frame). Where
// frames do not go to an outbox as they are, it is Writev of up to 64 KiB.
func (c *Websocket) WriteSome(bufs [][]byte) (int64, error) {
	total := SizeOf(bufs)
	if c.out == nil || total <= wsMaxSend {
		var few [4][]byte
		return c.Writev(SlicesOf(few[:0], bufs, 0, min(total, wsMaxSend)))
	}
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.mayWrite(); err != nil {
		return 0, err
	}
	f := wsFrames.Get().(*wsFrame)
	defer f.release()
	f.iov = f.iov[:0]
	at := int64(0)
	for ; total-at >= wsMaxSend; at += wsMaxSend {
		f.iov = SlicesOf(append(f.iov, wsFullHead), bufs, at, wsMaxSend)
	}
	if at < total {
		f.iov = SlicesOf(append(f.iov, f.putHead(ws.OpBinary, nil, int(total-at))), bufs, at, total-at)
	}
	unit := int64(len(wsFullHead) + wsMaxSend)
	n, err := c.out.WriteUnits(f.iov, unit)
	if n == SizeOf(f.iov) {
		return total, c.wrote(err)
	}
	return n / unit * wsMaxSend, c.wrote(err)
}
