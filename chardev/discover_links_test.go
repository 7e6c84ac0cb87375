package chardev

import (
	"os"
	"strings"
	"testing"
)

// Who may make a link where something is discovered has the daemon open nothing that is of
// somebody else; for what a file of the config says, any link will do.
func TestDiscoveredByTheLinkOfSomebodyElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make links of somebody else")
	}
	const discover = "[[discover]]\nglob = 'run/*'\nlog = false\n"
	r := newDiscoverRig(t, discover)
	r.sock("there/s")
	if err := os.Mkdir(r.at("run"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Symlink("../there/s", r.at("link")), os.Lchown(r.at("link"), 12345, -1), os.Rename(r.at("link"), r.at("run/vm1"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.has("vm1")
	is := func(want string) func() bool {
		return func() bool {
			state, err, _ := r.s.console("vm1").device.Load().state()
			return strings.Contains(state+" "+err, want)
		}
	}
	await(t, "the link not to be followed", is("a symbolic link of the user 12345 leads there"))
	r.reload("[[chardev]]\nname = 'vm1'\ndevice = 'unix:run/vm1'\nlog = false\n" + discover)
	await(t, "it to be followed for a file", is(StateUp))
}
