package control

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"chardevd/channel"
)

// Only where nobody listens there is no daemon.
func TestWhatIsUnreachable(t *testing.T) {
	p := Place{Address: channel.MustParseAddress("unix:/run/x"), From: "y.toml"}
	for err, c := range map[error]struct {
		absent bool
		words  string
	}{
		syscall.ENOENT:       {true, "no daemon on unix:/run/x (from y.toml): "},
		syscall.ECONNREFUSED: {true, "no daemon on unix:/run/x (from y.toml): "},
		syscall.EACCES:       {false, "unix:/run/x (from y.toml) is not open to you: permission denied; run this as "},
		errors.New("tls"):    {false, "daemon on unix:/run/x (from y.toml): tls"},
	} {
		u := &Unreachable{p, err}
		if u.Absent() != c.absent || !strings.HasPrefix(u.Error(), c.words) {
			t.Errorf("%v: absent %v, %q", err, u.Absent(), u)
		}
	}
}
