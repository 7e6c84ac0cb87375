package channel

import (
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
