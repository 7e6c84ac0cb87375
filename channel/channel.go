package channel

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// A Channel is a reliable byte stream, whatever carries it. It is a net.Conn,
// so crypto/tls, net/http and x/crypto/ssh run on it unchanged, plus the two
// things that a wrapper must not lose: the vectored write and the half close.
//
// Beyond net.Conn every channel promises, and package channeltest checks:
//
//   - Read never returns 0, nil for a buffer that is not empty. After the peer
//     closed in an orderly way and all its bytes were read it returns io.EOF,
//     for ever; a stream that broke off returns another error.
//   - A deadline that passes gives an error that is a net.Error with Timeout()
//     true and matches os.ErrDeadlineExceeded. A read can go on after it and
//     has lost nothing. After any error of a write, a deadline included, the
//     write side is dead and every later write fails: nobody knows how much
//     of a record or frame is out.
//   - Close may be called from anywhere, any number of times; it frees blocked
//     reads and writes, which fail with net.ErrClosed, and it returns in bounded
//     time whatever the peer does.
//   - All methods may be called at the same time. Writes are never interleaved.
//   - A buffer passed to Write or Writev is the caller's again on return, and is
//     never changed.
type Channel interface {
	net.Conn

	// Writev writes all of bufs, in order, as one write: one system call where
	// the kernel takes it, one frame or record where a layer has such. It keeps
	// and changes nothing of bufs, neither the bytes nor the slice of slices.
	Writev(bufs [][]byte) (int64, error)

	// CloseWrite ends the stream towards the peer, who reads io.EOF after what
	// was written; reading goes on. Where the medium has no half close it
	// returns an error that matches errors.ErrUnsupported and changes nothing.
	CloseWrite() error
}

// A Listener hands out channels whose handshakes are done, by Accept or by Serve.
type Listener interface {
	// Accept waits for the next channel. It returns ctx's error when ctx ends
	// and one matching net.ErrClosed after Close.
	Accept(ctx context.Context) (Channel, error)

	// Serve gives each channel to use, which owns it and must not keep its
	// caller, until Close; it may be called at the same time by several
	// goroutines. Serve returns at once and nobody waits while nobody comes, where
	// the transport allows that. failed is called, once, if the transport accepts
	// no more by itself; Close is still to be called.
	Serve(use func(Channel), failed func(error))

	// Addr is where it listens, with the port that was chosen for port 0.
	Addr() net.Addr

	// Close stops listening, removes what the listener put into the file system
	// (if it is still the listener's), ends unfinished handshakes and waits for
	// them. Channels that were handed out live on.
	Close() error
}

// A Layer turns a channel into one that speaks through it. It owns under from
// the call on: on error it has closed it. ctx bounds the handshake only. A channel
// that shows under, by Unwrap, has NoFiles in it.
type Layer func(ctx context.Context, under Channel) (Channel, error)

// As finds the first of c and the channels under it that is a T: the way to the
// abilities that stand beside the stream. A wrapper shows what it wraps with
//
//	Unwrap() Channel
func As[T any](c Channel) (T, bool) {
	for c != nil {
		if t, ok := c.(T); ok {
			return t, true
		}
		u, ok := c.(interface{ Unwrap() Channel })
		if !ok {
			break
		}
		c = u.Unwrap()
	}
	var none T
	return none, false
}

// A TryWriter can write without waiting, and wait without writing: what it takes
// to serve many peers of whom none may hold up the others.
type TryWriter interface {
	// TryWritev writes as much of bufs as is taken at once and returns how much
	// that was; less than all with a nil error means that the medium is full.
	// Otherwise it is Writev, and as atomic against other writes.
	TryWritev(bufs [][]byte) (int64, error)

	// AwaitWrite waits until TryWritev may take something, or would fail. Other
	// writes wait while it does. It returns the error of a dead write side, of the
	// write deadline (which then is dead) or of Close.
	AwaitWrite() error
}

// A Patient TryWriter can be told to wait on its thread for a peer who is about
// to make room: a short wait there costs less than to come back.
type Patient interface {
	// SetPatience is how long a TryWritev waits at most, in all; 0, the default,
	// is not at all. It should be about a millisecond.
	SetPatience(d time.Duration)
}

// An Untaken channel knows whether the other side takes what is written.
type Untaken interface {
	// Untaken says whether some of what was written has not been taken by the other side
	// yet, or has not left, as far as this host's kernel knows.
	Untaken() bool
}

// A Buffered channel knows how much has come.
type Buffered interface {
	// Buffered is about how many bytes of the medium a Read would find at once; 0 if that
	// is not known. Layers may make more or less of them.
	Buffered() int
}

// A Breaker can send a break: the line held at space for longer than a character.
type Breaker interface {
	// SendBreak sends a break of about the given length, or of the usual one if d
	// is 0, and returns when it is over; a medium whose break has no length sends
	// its one. When ctx ends first it ends the break there and returns ctx's
	// error. Bytes that were written before and have not left may come behind it.
	SendBreak(ctx context.Context, d time.Duration) error
}

// A Resizer has a window size, in characters.
type Resizer interface {
	Resize(cols, rows int) error
}

// A Secured channel speaks TLS; the state is that of the finished handshake.
type Secured interface {
	ConnectionState() tls.ConnectionState
}

// PeerCred is who is at the other end of a UNIX socket, as the kernel saw it
// when the connection was made (SO_PEERCRED, unix(7)).
type PeerCred struct {
	PID      int32
	UID, GID uint32
	Groups   []uint32 // supplementary ones (SO_PEERGROUPS); none where the kernel does not tell
}

// An Admitted channel has let somebody in who was asked for a secret: its value is
// what Env.Admit has returned, nil if it was not asked.
type Admitted interface {
	Admitted() any
}

// A Local channel knows the process at its other end.
type Local interface {
	PeerCred() (PeerCred, error)
}
