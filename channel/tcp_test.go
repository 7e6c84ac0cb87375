package channel

import (
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Whichever way a connection came, a peer that is gone without a word is noticed.
func TestEachTCPConnectionIsProbed(t *testing.T) {
	at := MustParseAddress("tcp://127.0.0.1:0")
	l, err := Listen(inTime(t), at)
	must(t, err)
	defer l.Close()
	at.Where = l.Addr().String()
	dialled, err := Dial(inTime(t), at)
	must(t, err)
	defer dialled.Close()
	probed := func(how string, c Channel) {
		must(t, c.(*socket).handle.do(func(fd int) error {
			for _, o := range tcpOptions {
				if v, err := unix.GetsockoptInt(fd, o.level, o.name); err != nil || v != o.value {
					t.Errorf("one that was %s: option %d of level %d is %d (%v), want %d", how, o.name, o.level, v, err, o.value)
				}
			}
			return nil
		}))
	}
	accepted := accept(t, l)
	probed("dialled", dialled)
	probed("accepted", accepted)
	p, err := Park(accepted)
	must(t, err)
	must(t, unix.SetsockoptInt(p.FDs[0], unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0))
	adopted, err := new(Env).Adopt(at, p)
	must(t, err)
	defer adopted.Close()
	probed("adopted", adopted)
}

// The byte that telnet's Synch sends as urgent (RFC 854) is in the stream: without it the IAC
// or the DM is missing, and the other one is taken for data, or swallows what is typed next.
func TestUrgentBytesAreInTheStream(t *testing.T) {
	at := MustParseAddress("telnet+tcp://127.0.0.1:0")
	l, err := Listen(inTime(t), at)
	must(t, err)
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer far.Close()
	raw, err := far.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.Send(int(fd), []byte("a\xff"), unix.MSG_OOB) }))
	must(t, err)
	_, err = far.Write([]byte("\xf2b"))
	must(t, err)
	near := accept(t, l)
	defer near.Close()
	got := make([]byte, 2)
	if _, err := io.ReadFull(near, got); err != nil || string(got) != "ab" {
		t.Errorf("%q came, %v", got, err)
	}
}

// A client that speaks MPTCP, of whose connection the kernel takes fewer options, is let
// in.
func TestTCPListenerTakesMPTCP(t *testing.T) {
	l, err := Listen(inTime(t), MustParseAddress("tcp://127.0.0.1:0"))
	must(t, err)
	defer l.Close()
	var d net.Dialer
	d.SetMultipathTCP(true) // where the kernel has none it is TCP
	far, err := d.DialContext(inTime(t), "tcp", l.Addr().String())
	must(t, err)
	defer far.Close()
	near := accept(t, l)
	defer near.Close()
	_, err = near.Write([]byte("x"))
	must(t, err)
	if n, err := far.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
