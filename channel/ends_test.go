package channel

import (
	"net"
	"reflect"
	"testing"
	"unsafe"
)

// What is asked for is what was kept.
func TestEndAddrs(t *testing.T) {
	tcp := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		must(t, err)
		return a
	}
	unix := func(s string) net.Addr { return &net.UnixAddr{Name: s, Net: "unix"} }
	for _, c := range [][2]net.Addr{
		{tcp("127.0.0.1:7001"), tcp("192.0.2.1:65535")},
		{tcp("[::1]:7001"), tcp("[fe80::1%lo]:1")},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1).To4(), Port: 2}},
		{tcp("127.0.0.1:7001"), addr{"tcp", "gone"}},
		{unix(""), unix("/run/x")},
		{unix("/run/y"), unix("@")},
		{unix("@abstract"), unix("@")},
		{unix("/run/x"), addr{"unix", "/run/x"}},
		{&net.UnixAddr{Name: "/run/x", Net: "unixpacket"}, &net.UnixAddr{Name: "@", Net: "unixpacket"}},
		{&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2}},
		{addr{"pty", "/dev/pts/1"}, addr{"pty", "/dev/pts/1"}},
		{addr{"command", ""}, addr{"command", "true"}},
	} {
		kept := endAddrsOf(c[0], c[1], "/run/x")
		for i, got := range [2]net.Addr{kept.local(), kept.remote()} {
			if reflect.TypeOf(got) != reflect.TypeOf(c[i]) || got.Network() != c[i].Network() || got.String() != c[i].String() {
				t.Errorf("%T %v, %v: asked for end %d it says %T %v", c[i], c[0], c[1], i, got, got)
			}
		}
	}
}

// A name that is known is not there twice.
func TestEndAddrsShareAName(t *testing.T) {
	known := "/run/a device's socket"
	kept := endAddrsOf(&net.UnixAddr{Net: "unix"}, &net.UnixAddr{Name: string([]byte(known)), Net: "unix"}, known)
	if name := kept.remote().(*net.UnixAddr).Name; unsafe.StringData(name) != unsafe.StringData(known) {
		t.Error("it has a copy")
	}
}

// A channel says where its ends were when it is closed.
func TestAClosedSocketHasAddresses(t *testing.T) {
	for _, at := range []string{"tcp://127.0.0.1:0", "unix:" + t.TempDir() + "/s"} {
		l, err := Listen(inTime(t), MustParseAddress(at))
		must(t, err)
		a := MustParseAddress(at)
		a.Where = l.Addr().String()
		far, err := Dial(inTime(t), a)
		must(t, err)
		near := accept(t, l)
		must(t, l.Close())
		local, remote := far.LocalAddr().String(), far.RemoteAddr().String()
		must(t, far.Close())
		must(t, near.Close())
		if a.Transport == "tcp" && (near.RemoteAddr().String() != local || near.LocalAddr().String() != remote || local == remote) {
			t.Errorf("%v and %v, but %v and %v", near.LocalAddr(), near.RemoteAddr(), local, remote)
		}
		if far.LocalAddr().String() != local || far.RemoteAddr().String() != remote {
			t.Errorf("%v and %v, and before Close %v and %v", far.LocalAddr(), far.RemoteAddr(), local, remote)
		}
	}
}

// What thousands have is in a small size class of the allocator.
func TestAnIdleSocketIsSmall(t *testing.T) {
	for what, c := range map[string]struct{ size, most uintptr }{
		"handle":      {unsafe.Sizeof(handle{}), 112},
		"TCP socket":  {unsafe.Sizeof(socket{}), 128},
		"UNIX socket": {unsafe.Sizeof(unixChannel{}), 128},
		"outbox":      {unsafe.Sizeof(Outbox{}), 128},
	} {
		if c.size > c.most {
			t.Errorf("a %s has %d bytes, and had %d", what, c.size, c.most)
		}
	}
}
