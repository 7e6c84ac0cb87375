package chardev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/accounts"
)

// login = true: whoever comes to a frontend says in its stream who that is, before
// anything else comes or goes there.

const (
	loginTime  = 60 * time.Second // for all of it
	loginTries = 3
	loginLine  = 256     // bytes
	loginMost  = 4 << 10 // bytes of all lines, with what was erased in them
)

var (
	errLoginLate = fmt.Errorf("nobody logged in within %v", loginTime)
	errLoginLong = fmt.Errorf("a line of a login is longer than %d bytes", loginLine)
	errLoginMuch = fmt.Errorf("more than %d bytes came for a login", loginMost)
	errLoginEnd  = fmt.Errorf("login: wrong %d times", loginTries)
	errLoginLeft = errors.New("login: given up")
)

// An arrival is a channel that is to be a client's, and what its login leaves.
type arrival struct {
	ch      channel.Channel
	shown   access.Identity
	guard   *requestGuard // has seen what came so far; nil: it need not
	lineEnd bool          // a line feed that comes first is the end of the last line
}

// logIn asks whoever is at the arrival's channel for a name and a password. It closes
// the channel when it returns false.
func (f *frontend) logIn(ctx context.Context, a *arrival) bool {
	ctx, cancel := context.WithTimeoutCause(ctx, loginTime, errLoginLate)
	defer cancel()
	a.ch = withOutbox(a.ch) // nobody is waited for who takes no prompt
	if cut := f.logins.add(a.ch); cut != nil {
		cut.Close()
	}
	stop := context.AfterFunc(ctx, func() { a.ch.SetReadDeadline(longAgo) })
	d := &dialog{arrival: a, vouch: f.vouch, echo: io.Discard}
	if f.ep.Address.Has("telnet") || f.ep.Address.Has("ws") {
		d.echo = a.ch // the other end is a terminal; behind a raw one is often a terminal's line, which shows itself
	}
	err := d.run(ctx)
	f.logins.remove(a.ch)
	if !stop() {
		err = whyEnded(ctx)
	}
	if err == nil {
		return true
	}
	f.hub.noteSome(&f.hub.denied, "refused", peerName(f.identify(a), a.ch)+" on "+f.ep.Address.String()+": "+reason(err))
	f.hub.audit.didNot(comer{frontend: f.ep.Address.String(), peer: addrText(a.ch.RemoteAddr())}, "to log in", err)
	io.WriteString(a.ch, "\r\n"+reason(err)+"\r\n") // whoever is gone does not read it
	closeWith(a.ch, err)
	return false
}

// A dialog is one login. What comes is read byte by byte, as what is behind the
// password's line is typed at the console.
type dialog struct {
	*arrival
	vouch func(ctx context.Context, from place, user, password string) (access.Identity, error)
	echo  io.Writer // gets what is typed, but for passwords
	came  int       // bytes
}

// run asks until somebody is known.
func (d *dialog) run(ctx context.Context) error {
	for range loginTries {
		user, err := d.ask("login: ", d.echo)
		if err != nil {
			return err
		}
		password, err := d.ask("password: ", io.Discard)
		if err != nil {
			return err
		}
		d.shown, err = d.vouch(ctx, placeOf(d.ch), user, password)
		if err == nil {
			io.WriteString(d.ch, "logged in\r\n") // a console that is silent would look like a hang
		}
		if !errors.Is(err, accounts.ErrWrong) {
			return err
		}
		io.WriteString(d.ch, "login incorrect\r\n")
	}
	return errLoginEnd
}

// ask reads a line. Keys erase in it as a terminal of POSIX does: BS and DEL the last
// character, ^U the line; ^C, and ^D at its begin, give up.
func (d *dialog) ask(prompt string, echo io.Writer) (string, error) {
	io.WriteString(d.ch, prompt) // a dead channel is told by reading it
	var line []byte
	for {
		c, err := d.next()
		if err != nil {
			return "", err
		}
		switch {
		case c == '\r' || c == '\n':
			io.WriteString(d.echo, "\r\n")
			return string(line), nil
		case c == '\b' || c == 0x7f:
			_, n := utf8.DecodeLastRune(line)
			line = line[:len(line)-n]
			io.WriteString(echo, strings.Repeat("\b \b", min(n, 1)))
		case c == 'U'&0x1f:
			io.WriteString(echo, strings.Repeat("\b \b", utf8.RuneCount(line)))
			line = line[:0]
		case c == 'C'&0x1f || c == 'D'&0x1f && len(line) == 0:
			return "", errLoginLeft
		case c < ' ': // nothing that a name or a password has
		case len(line) == loginLine:
			return "", errLoginLong
		default:
			line = append(line, c)
			echo.Write([]byte{c})
		}
	}
}

// next reads a byte. A line ends with CR, LF, both, or CR and NUL (RFC 854). As each
// costs a call, and keys that are none or erase what was typed make no line longer, there
// are only so many.
func (d *dialog) next() (byte, error) {
	var b [1]byte
	for {
		if _, err := io.ReadFull(d.ch, b[:]); err != nil {
			return 0, err
		}
		if d.came++; d.came > loginMost {
			return 0, errLoginMuch
		}
		if d.guard != nil && d.guard.isRequest(b[:]) {
			return 0, errHTTPRequest
		}
		if !d.lineEnd || b[0] != '\n' && b[0] != 0 {
			d.lineEnd = b[0] == '\r'
			return b[0], nil
		}
		d.lineEnd = false
	}
}

// afterLine is what was typed, without the end of the line before.
func afterLine(p []byte) []byte {
	if len(p) > 0 && (p[0] == '\n' || p[0] == 0) {
		return p[1:]
	}
	return p
}
