package channel

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A listener knows the process that has connected, with its groups: of this test the
// kernel says the same.
func TestPeerCred(t *testing.T) {
	at := Address{Transport: "unix", Where: filepath.Join(t.TempDir(), "s")}
	l, err := Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err := Dial(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	here, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	local, ok := As[Local](here)
	if !ok {
		t.Fatal("it does not know who is there")
	}
	have, err := local.PeerCred()
	if err != nil {
		t.Fatal(err)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	var told []int
	for _, g := range have.Groups {
		told = append(told, int(g))
	}
	slices.Sort(groups)
	slices.Sort(told)
	if have.PID != int32(os.Getpid()) || have.UID != uint32(os.Geteuid()) || have.GID != uint32(os.Getegid()) || !slices.Equal(told, groups) {
		t.Errorf("it is %+v; want the groups %v", have, groups)
	}
}

// Whether the other side takes what is written is known below all layers.
func TestUntaken(t *testing.T) {
	for _, address := range []string{"unix:" + t.TempDir() + "/s", "telnet+unix:" + t.TempDir() + "/s"} {
		l, err := Listen(t.Context(), MustParseAddress(address))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		a, err := Dial(t.Context(), MustParseAddress(address))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		b, err := l.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		u, ok := As[Untaken](a)
		if !ok {
			t.Fatalf("%s cannot tell", address)
		}
		if _, err := a.Write([]byte("typed")); err != nil {
			t.Fatal(err)
		}
		if !u.Untaken() {
			t.Errorf("%s: nobody has read, and it is taken", address)
		}
		if _, err := io.ReadFull(b, make([]byte, len("typed"))); err != nil {
			t.Fatal(err)
		}
		if address[0] == 'u' && u.Untaken() { // telnet has words of its own
			t.Errorf("%s: it is read, and not taken", address)
		}
	}
}
