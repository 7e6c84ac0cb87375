package channeltest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chardevd/channel"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broken is a channel with one promise broken: what is not nil replaces a method.
type broken struct {
	*channel.PipeEnd
	hang          *channel.PipeEnd // reading it waits until the test is over
	read          func(p []byte) (int, error)
	writev        func(bufs [][]byte) (int64, error)
	tryWritev     func(bufs [][]byte) (int64, error)
	close         func() error
	closeWrite    func() error
	readDeadline  func(time.Time) error
	writeDeadline func(time.Time) error
	remote        func() net.Addr
}

func (c *broken) Read(p []byte) (int, error) {
	if c.read != nil {
		return c.read(p)
	}
	return c.PipeEnd.Read(p)
}

func (c *broken) Write(p []byte) (int, error) {
	n, err := c.Writev([][]byte{p})
	return int(n), err
}

func (c *broken) Writev(bufs [][]byte) (int64, error) {
	if c.writev != nil {
		return c.writev(bufs)
	}
	return c.PipeEnd.Writev(bufs)
}

func (c *broken) TryWritev(bufs [][]byte) (int64, error) {
	if c.tryWritev != nil {
		return c.tryWritev(bufs)
	}
	return c.PipeEnd.TryWritev(bufs)
}

func (c *broken) Close() error {
	if c.close != nil {
		return c.close()
	}
	return c.PipeEnd.Close()
}

func (c *broken) CloseWrite() error {
	if c.closeWrite != nil {
		return c.closeWrite()
	}
	return c.PipeEnd.CloseWrite()
}

func (c *broken) SetReadDeadline(t time.Time) error {
	if c.readDeadline != nil {
		return c.readDeadline(t)
	}
	return c.PipeEnd.SetReadDeadline(t)
}

func (c *broken) SetWriteDeadline(t time.Time) error {
	if c.writeDeadline != nil {
		return c.writeDeadline(t)
	}
	return c.PipeEnd.SetWriteDeadline(t)
}

func (c *broken) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *broken) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote()
	}
	return c.PipeEnd.RemoteAddr()
}

// A manner is how a fault shows: the check says what is wrong, or never ends and
// the watchdog says so.
type manner time.Duration

const (
	fails = manner(30 * time.Second) // and not by the watchdog, which has this long
	hangs = manner(time.Second)
)

// faults are ways to break a channel, with the properties that must notice.
var faults = []struct {
	name    string
	shows   manner
	noticed []property
	how     func(c, peer *channel.PipeEnd, b *broken)
}{
	{"a byte is lost", fails, []property{order, vectored}, func(c, _ *channel.PipeEnd, b *broken) {
		b.writev = func(bufs [][]byte) (int64, error) {
			n, err := c.Writev(bufs)
			if n > 10_000 {
				c.Close() // and with it the end of the stream
			}
			return n, err
		}
		lost := false
		b.read = func(p []byte) (int, error) {
			n, err := c.Read(p)
			if n > 100 && !lost {
				lost = true
				copy(p, p[1:n])
				n--
			}
			return n, err
		}
	}},
	{"a byte comes twice", fails, []property{order, buffersReturned}, func(c, _ *channel.PipeEnd, b *broken) {
		b.writev = func(bufs [][]byte) (int64, error) {
			n, err := c.Writev(bufs)
			if n > 1000 {
				c.Write([]byte{0})
			}
			return n, err
		}
	}},
	{"it waits for more", hangs, []property{pingPong}, func(c, _ *channel.PipeEnd, b *broken) {
		var held []byte
		b.writev = func(bufs [][]byte) (n int64, err error) {
			for _, x := range bufs {
				held = append(held, x...)
				n += int64(len(x))
			}
			if len(held) > 50 {
				_, err = c.Write(held)
				held = nil
			}
			return n, err
		}
	}},
	{"Read returns 0, nil", fails, []property{progress, order}, func(c, _ *channel.PipeEnd, b *broken) {
		calls := 0
		b.read = func(p []byte) (int, error) {
			if calls++; calls == 7 {
				return 0, nil
			}
			return c.Read(p)
		}
	}},
	{"Read(nil) waits", fails, []property{zeroLength}, func(c, _ *channel.PipeEnd, b *broken) {
		b.read = func(p []byte) (int, error) {
			if len(p) == 0 {
				n, err := c.Read(make([]byte, 1))
				return min(n, 0), err
			}
			return c.Read(p)
		}
	}},
	{"Write(nil) writes", fails, []property{zeroLength}, func(c, _ *channel.PipeEnd, b *broken) {
		b.writev = func(bufs [][]byte) (int64, error) {
			if len(bufs) == 1 && bufs[0] == nil {
				c.Write([]byte{0})
				return 0, nil
			}
			return c.Writev(bufs)
		}
	}},
	{"Writev of many slices stops at 1024", fails, []property{vectored}, func(c, _ *channel.PipeEnd, b *broken) {
		b.writev = func(bufs [][]byte) (int64, error) { return c.Writev(bufs[:min(len(bufs), 1024)]) }
	}},
	{"Writev consumes its argument", fails, []property{vectored}, func(c, _ *channel.PipeEnd, b *broken) {
		b.writev = func(bufs [][]byte) (n int64, err error) {
			for i := range bufs {
				k, err := c.Write(bufs[i])
				n += int64(k)
				if err != nil {
					return n, err
				}
				bufs[i] = nil
			}
			return n, nil
		}
	}},
	{"Writev masks its argument", fails, []property{vectored}, func(c, _ *channel.PipeEnd, b *broken) {
		b.writev = func(bufs [][]byte) (n int64, err error) {
			n, err = c.Writev(bufs)
			for _, x := range bufs {
				fill(x, 0)
			}
			return n, err
		}
	}},
	{"writes interleave", fails, []property{notInterleaved}, func(c, _ *channel.PipeEnd, b *broken) {
		b.writev = func(bufs [][]byte) (n int64, err error) {
			for _, x := range bufs {
				for len(x) > 0 && err == nil {
					var k int
					k, err = c.Write(x[:min(len(x), 100)])
					n, x = n+int64(k), x[k:]
				}
			}
			return n, err
		}
	}},
	{"the buffer is kept", fails, []property{buffersReturned}, func(c, _ *channel.PipeEnd, b *broken) {
		var kept [][]byte // sent with the next write
		b.writev = func(bufs [][]byte) (n int64, err error) {
			if _, err := c.Writev(kept); err != nil {
				return 0, err
			}
			kept = nil
			for _, x := range bufs {
				kept = append(kept, x)
				n += int64(len(x))
			}
			return n, nil
		}
	}},
	{"TryWritev waits", fails, []property{tryWrite}, func(c, _ *channel.PipeEnd, b *broken) { b.tryWritev = c.Writev }},
	{"TryWritev takes and drops", hangs, []property{tryWrite}, func(c, _ *channel.PipeEnd, b *broken) {
		b.tryWritev = func(bufs [][]byte) (n int64, err error) {
			taken, err := c.TryWritev(bufs)
			if taken == 0 {
				return 0, err
			}
			for _, x := range bufs {
				n += int64(len(x))
			}
			return n, err
		}
	}},
	{"read deadlines do nothing", hangs, []property{readDeadlines}, func(_, _ *channel.PipeEnd, b *broken) {
		b.readDeadline = func(time.Time) error { return nil }
	}},
	{"a read deadline loses a byte", hangs, []property{readDeadlines}, func(c, _ *channel.PipeEnd, b *broken) {
		var half []byte
		b.read = func(p []byte) (int, error) { // frames of 2 bytes; a cut one is dropped
			half = half[:0]
			for len(half) < 2 {
				one := make([]byte, 1)
				if _, err := c.Read(one); err != nil {
					return 0, err
				}
				half = append(half, one...)
			}
			return copy(p, half), nil
		}
	}},
	{"a timeout is not a net.Error", fails, []property{readDeadlines}, func(c, _ *channel.PipeEnd, b *broken) {
		b.read = func(p []byte) (int, error) {
			n, err := c.Read(p)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("read: %v", err)
			}
			return n, err
		}
	}},
	{"a Read that waits misses a new deadline", fails, []property{readDeadlines}, func(c, _ *channel.PipeEnd, b *broken) {
		var reading sync.Mutex
		b.read = func(p []byte) (int, error) {
			reading.Lock()
			defer reading.Unlock()
			return c.Read(p)
		}
		b.readDeadline = func(t time.Time) error {
			if reading.TryLock() {
				defer reading.Unlock()
				return c.SetReadDeadline(t)
			}
			return nil
		}
	}},
	{"write deadlines do nothing", fails, []property{writeDeadlines}, func(_, _ *channel.PipeEnd, b *broken) {
		b.writeDeadline = func(time.Time) error { return nil }
	}},
	{"writes work again after a deadline", fails, []property{writeDeadlines}, func(c, _ *channel.PipeEnd, b *broken) {
		var by time.Time
		b.writeDeadline = func(t time.Time) error { by = t; return nil }
		b.writev = func(bufs [][]byte) (int64, error) {
			if !by.IsZero() && time.Now().After(by) {
				return 0, stutterError{os.ErrDeadlineExceeded}
			}
			return c.Writev(bufs)
		}
	}},
	{"Close does not free a Read", fails, []property{closeFrees}, func(c, _ *channel.PipeEnd, b *broken) {
		b.close = c.CloseWrite
	}},
	{"Read after Close is io.EOF", fails, []property{closeFrees}, func(c, _ *channel.PipeEnd, b *broken) {
		b.read = func(p []byte) (int, error) {
			n, err := c.Read(p)
			if errors.Is(err, net.ErrClosed) {
				err = io.EOF
			}
			return n, err
		}
	}},
	{"the second Close fails", fails, []property{closeOnce}, func(c, _ *channel.PipeEnd, b *broken) {
		var once sync.Once
		b.close = func() error {
			err := errors.New("closed already")
			once.Do(func() { err = c.Close() })
			return err
		}
	}},
	{"Close waits for the peer", hangs, []property{closeBounded}, func(c, _ *channel.PipeEnd, b *broken) {
		b.close = func() error {
			_, err := c.Write([]byte("goodbye"))
			for err == nil {
				_, err = c.Read(make([]byte, 1))
			}
			return c.Close()
		}
	}},
	{"EIO instead of io.EOF", fails, []property{closeDrains, closeFrees}, func(c, _ *channel.PipeEnd, b *broken) {
		b.read = func(p []byte) (int, error) {
			n, err := c.Read(p)
			if err == io.EOF {
				err = syscall.EIO
			}
			return n, err
		}
	}},
	{"io.EOF only once", fails, []property{closeDrains}, func(c, _ *channel.PipeEnd, b *broken) {
		ends := 0
		b.read = func(p []byte) (int, error) {
			n, err := c.Read(p)
			if err == io.EOF {
				if ends++; ends > 1 {
					err = net.ErrClosed
				}
			}
			return n, err
		}
	}},
	{"Close throws away what is unread", fails, []property{closeDrains}, func(c, peer *channel.PipeEnd, b *broken) {
		b.close = func() error { peer.Discard(); return c.Close() }
	}},
	{"CloseWrite closes all", fails, []property{closeWrite}, func(c, _ *channel.PipeEnd, b *broken) { b.closeWrite = c.Close }},
	{"CloseWrite does nothing", fails, []property{closeWrite}, func(_, _ *channel.PipeEnd, b *broken) {
		b.closeWrite = func() error { return nil }
	}},
	{"CloseWrite is not supported, without a word", fails, []property{closeWrite}, func(_, _ *channel.PipeEnd, b *broken) {
		b.closeWrite = func() error { return errors.ErrUnsupported }
	}},
	{"an address is nil", fails, []property{addresses}, func(_, _ *channel.PipeEnd, b *broken) {
		b.remote = func() net.Addr { return nil }
	}},
	{"memory grows with what went through", fails, []property{littleMemory}, func(c, _ *channel.PipeEnd, b *broken) {
		var kept []byte
		b.read = func(p []byte) (int, error) {
			n, err := c.Read(p)
			kept = append(kept, p[:n]...)
			return n, err
		}
	}},
	{"methods wait for each other", hangs, []property{readDeadlines}, func(c, _ *channel.PipeEnd, b *broken) {
		var mu sync.Mutex
		b.read = func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return c.Read(p)
		}
		b.readDeadline = func(t time.Time) error {
			mu.Lock()
			defer mu.Unlock()
			return c.SetReadDeadline(t)
		}
	}},
	{"CloseWrite hangs", hangs, []property{allAtOnce}, func(_, _ *channel.PipeEnd, b *broken) {
		b.closeWrite = func() error {
			_, err := b.hang.Read(make([]byte, 1))
			return err
		}
	}},
}

// TestSuiteFindsFaults: each fault is found by the properties that are about it,
// whichever of the ends has it. What hangs is set free afterwards by closing the
// pipe below, so that nothing is left here either.
func TestSuiteFindsFaults(t *testing.T) {
	for _, f := range faults {
		for _, pr := range f.noticed {
			t.Run(strings.ReplaceAll(f.name, " ", "_")+"/"+pr.name, func(t *testing.T) {
				found := false
				for _, swap := range []bool{false, true} {
					var pipes []*channel.PipeEnd
					make := func(testing.TB) (a, b channel.Channel) {
						pa, pb := channel.Pipe(64 << 10)
						pipes = append(pipes, pa, pb)
						hang, _ := channel.Pipe(1)
						pipes = append(pipes, hang)
						bad := &broken{PipeEnd: pa, hang: hang}
						f.how(pa, pb, bad)
						if swap {
							return pb, bad
						}
						return bad, pb
					}
					err := check(t, pr, make, Traits{}, time.Duration(f.shows))
					for _, p := range pipes {
						p.Close()
					}
					if err != nil {
						t.Logf("%.300s", err.Error())
						found = strings.Contains(err.Error(), "it hangs") == (f.shows == hangs)
						break
					}
				}
				if !found {
					t.Errorf("not noticed as it should; the property was: %s", pr.sentence)
				}
			})
		}
	}
}

func TestSuiteFindsLeftovers(t *testing.T) {
	before := takeStock()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := before.compare(); err == nil || !strings.Contains(err.Error(), "pipe:") {
		t.Errorf("two descriptors were left and the finding is %v", err)
	}
	r.Close()
	w.Close()
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() { <-stop; close(stopped) }()
	if err := before.compare(); err == nil {
		t.Error("a goroutine was left and nobody noticed")
	}
	close(stop)
	<-stopped
	if err := before.compare(); err != nil {
		t.Errorf("nothing is left, but: %v", err)
	}
}

// TestFailAfter: what comes before the fault is carried.
func TestFailAfter(t *testing.T) {
	a, b := channel.Pipe(100)
	defer b.Close()
	boom := errors.New("boom")
	f := &FailAfter{Channel: a, Reads: 3, ReadErr: boom, Writes: 5, WriteErr: boom}
	if n, err := f.Writev([][]byte{[]byte("123"), []byte("4567")}); n != 5 || err != boom {
		t.Errorf("Writev: %d, %v", n, err)
	}
	got := make([]byte, 10)
	if n, err := b.Read(got); string(got[:n]) != "12345" || err != nil {
		t.Errorf("%q, %v", got[:n], err)
	}
	b.Write([]byte("abcde"))
	if got, err := io.ReadAll(f); string(got) != "abc" || err != boom {
		t.Errorf("%q, %v", got, err)
	}
	f.Close()
	if !f.Closed() {
		t.Error("closed, but it does not say so")
	}
}
