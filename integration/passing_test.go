package integration

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ends makes both ends of a UNIX stream socket.
func ends(t testing.TB) (conn net.Conn, other *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours := os.NewFile(uintptr(pair[0]), "ours")
	defer ours.Close()
	other = os.NewFile(uintptr(pair[1]), "theirs")
	t.Cleanup(func() { other.Close() })
	if conn, err = net.FileConn(ours); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn, other
}

// passes runs a command with f, which it closes, as descriptor 3.
func (d *daemon) passes(f *os.File, args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	defer f.Close()
	cmd := d.command(append(args, "--control", "unix:"+d.path(d.control))...)
	cmd.ExtraFiles = []*os.File{f}
	return execute(d.t, cmd)
}

// mustPass is passes of what must be done, and returns what that prints.
func (d *daemon) mustPass(f *os.File, args ...string) string {
	d.t.Helper()
	out, stderr, code := d.passes(f, args...)
	if code != 0 {
		d.t.Fatalf("%q: %d, %s", args, code, stderr)
	}
	return out
}

// says has one end write, and what the other one reads be that.
func says(t testing.TB, from, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, len(text))
	if _, err := io.ReadFull(to, p); err != nil || string(p) != text {
		t.Fatalf("%q came, %v; want %q", p, err, text)
	}
}

// keepsNone waits until the daemon has no more of what is passed than before. It needs other descriptors itself now and then: of files, epoll(7) and the
// like, which are told if some of those came that were not to.
func (d *daemon) keepsNone(before []string) {
	d.t.Helper()
	eventually(d.t, patience, func() error {
		now := d.open()
		if passable(now) > passable(before) {
			return fmt.Errorf("it had %q, and has %q", before, now)
		}
		return nil
	})
}

// passable is how many of the descriptors may have been passed.
func passable(open []string) (n int) {
	for _, what := range open {
		if strings.HasPrefix(what, "socket:") || strings.HasPrefix(what, "pipe:") || what == os.DevNull {
			n++
		}
	}
	return n
}

// open is what the daemon's descriptors are, sorted.
func (d *daemon) open() (all []string) {
	d.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd/", d.cmd.Process.Pid)
	list, err := os.ReadDir(dir)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range list {
		if to, err := os.Readlink(dir + e.Name()); err == nil { // else it is closed by now
			all = append(all, to)
		}
	}
	slices.Sort(all)
	return all
}

const passingConfig = `
[[chardev]]
name = "vm"
device = "sim:echo"
`

// A device, a client and a socket that clients come to are passed, and a client is given
// back. What is not there any more ends, the chardev does not; a reload and an upgrade
// change nothing about all that.
func TestPassed(t *testing.T) {
	d := startDaemon(t, passingConfig, nil)
	before := d.open()
	guest, its := ends(t)
	d.mustPass(its, "add-device", "vm9", "--fd", "3")
	user, its := ends(t)
	d.mustPass(its, "add-frontend", "vm9", "--fd", "fd:3", "--replay", "1KiB")
	says(t, guest, user, "printed")
	says(t, user, guest, "typed")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listening, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	d.mustPass(listening, "add-frontend", "vm9", "--fd", "3", "--read-only", "--replay", "1KiB")
	watcher, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	watcher.SetDeadline(time.Now().Add(patience))
	p := make([]byte, len("printed"))
	if _, err := io.ReadFull(watcher, p); err != nil || string(p) != "printed" {
		t.Fatalf("%q, %v", p, err)
	}
	out, stderr, code := d.cliWith([]string{"attach-fd", "vm9", "--replay", "1KiB"}, "sh", "-c", "head -c 7 <&3; echo ' and typed' >&3; exit 5")
	if code != 5 || out != "printed" {
		t.Errorf("attach-fd: %d, %q, %s", code, out, stderr)
	}
	p = make([]byte, len(" and typed\n"))
	if _, err := io.ReadFull(guest, p); err != nil || string(p) != " and typed\n" {
		t.Fatalf("%q, %v", p, err)
	}
	d.has("vm9", 2) // the one that was opened is gone

	if out, stderr, code := d.cli("reload"); code != 0 || strings.TrimSpace(out) != "nothing has changed" {
		t.Errorf("reload: %d, %s%s", code, out, stderr)
	}
	offset := d.info("vm9").Offset
	if _, stderr, code := d.cli("upgrade"); code != 0 {
		t.Fatal(stderr)
	}
	says(t, guest, user, "after the upgrade")
	says(t, user, guest, "and typed")
	p = make([]byte, len("after the upgrade"))
	if _, err := io.ReadFull(watcher, p); err != nil || string(p) != "after the upgrade" {
		t.Fatalf("%q, %v", p, err)
	}
	another, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	another.Close()

	// The guest goes, and comes again: the same chardev, further on.
	guest.Close()
	d.is("vm9", "down")
	guest, its = ends(t)
	d.mustPass(its, "add-device", "vm9", "--fd", "3")
	d.is("vm9", "up")
	says(t, guest, user, "again")
	if now := d.info("vm9").Offset; now != offset+int64(len("after the upgrade")+len("again")) {
		t.Errorf("offset %d, and %d before the upgrade", now, offset)
	}
	user.Close()
	d.has("vm9", 1)
	if n := len(d.info("vm9").Frontends); n != 1 {
		t.Errorf("%d frontends are there, of which one was to stay", n)
	}
	if _, stderr, code := d.cli("remove", "vm9"); code != 0 {
		t.Error(stderr)
	}
	if p, err := io.ReadAll(watcher); err != nil || string(p) != "again" {
		t.Errorf("%q, %v", p, err)
	}
	d.keepsNone(before)
}

// cliWith is cli of a command that runs another one.
func (d *daemon) cliWith(args []string, command ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	args = append(args, "--control", "unix:"+d.path(d.control), "--")
	return execute(d.t, d.command(append(args, command...)...))
}

// QEMU is given one end of a socket with its command line, and the daemon the other one.
func TestPassedGuest(t *testing.T) {
	d := startDaemon(t, passingConfig, nil)
	_, its := ends(t)
	guest, other := pair(t)
	its.Close()
	g := newGuest(t, counterImage(t), "socket,fd=4")
	g.files = []*os.File{guest}
	g.start()
	d.mustPass(other, "add-device", "counter", "--fd", "3")
	user, its := ends(t)
	d.mustPass(its, "add-frontend", "counter", "--fd", "3", "--replay", "1MiB")
	r := check(t, user)
	g.cont()
	r.gets(t, 1000)
	r.whole(t)
	if c := r.checker(); c.First != 0 {
		t.Errorf("the first line is %08x", c.First)
	}
}

// pair is both ends of a UNIX stream socket as files.
func pair(t testing.TB) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b = os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// A program without anything but a descriptor of a console gives it to QEMU (getfd,
// add_client), whose guest is then who types there.
func TestOpenedForAGuest(t *testing.T) {
	d := startDaemon(t, passingConfig, nil)
	monitor := d.path("monitor")
	g := startGuest(t, counterImage(t), "socket,path="+d.path("guest")+",server=on,wait=off", "-qmp", "unix:"+monitor+",server=on,wait=off")
	if out, stderr, code := d.cliWith([]string{"attach-fd", "vm"}, program(t, "/usr/bin/python3"), "passing.py", monitor); code != 0 {
		t.Fatal(code, out, stderr)
	}
	d.has("vm", 1) // the script's descriptor is gone, QEMU has it
	user, its := ends(t)
	d.mustPass(its, "add-frontend", "vm", "--fd", "3", "--replay", "1MiB", "--read-only")
	r := check(t, user)
	g.cont()
	r.gets(t, 1000) // typed by the guest, and echoed
	r.whole(t)
	g.kill()
	d.has("vm", 1)
}

// Over TLS the daemon is the server, whoever made the connection.
func TestPassedTLS(t *testing.T) {
	ca := newAuthority(t)
	d := startDaemon(t, passingConfig+ca.credentials(), nil)
	user, its := ends(t)
	d.mustPass(its, "add-frontend", "vm", "--fd", "tls+fd:3?credentials=test")
	c := tls.Client(user, &tls.Config{InsecureSkipVerify: true})
	if _, err := io.WriteString(c, "typed"); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 5)
	if _, err := io.ReadFull(c, p); err != nil || string(p) != "typed" {
		t.Fatalf("%q, %v", p, err)
	}
	// Who does not shake hands is refused, and the frontend with it.
	user, its = ends(t)
	d.mustPass(its, "add-frontend", "vm", "--fd", "tls+fd:3?credentials=test")
	io.WriteString(user, "no TLS at all, but many bytes of something else\n")
	if _, err := io.Copy(io.Discard, user); err != nil {
		t.Error(err)
	}
	eventually(t, patience, func() error {
		if n := len(d.info("vm").Frontends); n != 1 {
			return fmt.Errorf("%d frontends", n)
		}
		return nil
	})
}

// posts makes one request on the control socket, with descriptors beside its first byte.
func (d *daemon) posts(path, body string, fds ...int) (status int, answer string) {
	d.t.Helper()
	c, err := net.Dial("unix", d.path(d.control))
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, _, err := c.(*net.UnixConn).WriteMsgUnix(request(path, body), unix.UnixRights(fds...), nil); err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func request(path, body string) []byte {
	return fmt.Appendf(nil, "POST /api/v1/chardevs/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// What can not be passed is refused, with why, and closed.
func TestPassedRefused(t *testing.T) {
	ca := newAuthority(t)
	d := startDaemon(t, ca.credentials()+passingConfig+"\n[[access]]\nwho = [\"anyone\"]\non = [\"*\"]\nmay = [\"admin\"]\n[http]\nlisten = [\"tls+unix:tls?credentials=test\"]\n", nil)
	before := d.open()
	socket := func(domain, kind int) int {
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	udp, fresh := socket(unix.AF_INET, unix.SOCK_DGRAM), socket(unix.AF_UNIX, unix.SOCK_STREAM)
	packets, everywhere := socket(unix.AF_UNIX, unix.SOCK_SEQPACKET), socket(unix.AF_INET, unix.SOCK_STREAM)
	if err := unix.Listen(everywhere, 1); err != nil { // on all addresses
		t.Fatal(err)
	}
	file, err := os.Open(d.config)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	good, _ := pair(t)
	const kinds = "want a stream socket"
	for _, c := range []struct {
		path, body string
		fds        []int
		status     int
		why        string
	}{
		{"new/device", "", nil, 400, "no descriptor came"},
		{"vm/frontends", `{"frontends":["fd:3"]}`, nil, 400, "no descriptor came"},
		{"new/device", "", []int{udp, udp}, 400, "too many"},
		{"new/device", "", make17(udp), 400, "too many"},
		{"new/device", "", []int{udp}, 409, kinds},
		{"new/device", "", []int{packets}, 409, "not connected"},
		{"new/device", "", []int{int(file.Fd())}, 409, kinds},
		{"new/device", "", []int{fresh}, 409, "not connected"},
		{"vm/device", "", []int{int(good.Fd())}, 409, "has a device of its own"},
		{"new/device", `{"device":"unix:/x"}`, []int{int(good.Fd())}, 409, "must be fd"},
		{"new/device", `{"device":"fd:3","frontends":["exec:sh"]}`, []int{int(good.Fd())}, 409, "only a config file"},
		{"new/device", `{"device":"fd:3","settings":{"histroy":1}}`, []int{int(good.Fd())}, 422, "histroy"},
		{"-x/device", "", []int{int(good.Fd())}, 409, "name"},
		{"vm/frontends", `{"frontends":["fd:3"]}`, []int{everywhere}, 409, "without TLS"},
		{"vm/frontends", `{"frontends":["tls+fd:3"]}`, []int{everywhere}, 422, "credentials=NAME"},
		{"vm/frontends", `{"frontends":["tls+fd:3?credentials=none"]}`, []int{int(good.Fd())}, 422, "no [credentials.none]"},
		{"vm/frontends", `{"frontends":["fd:3","fd:4"]}`, []int{int(good.Fd())}, 409, "want one frontend"},
		{"none/frontends", `{"frontends":["fd:3"]}`, []int{int(good.Fd())}, 409, "no chardev"},
	} {
		if status, text := d.posts(c.path, c.body, c.fds...); status != c.status || !strings.Contains(text, c.why) {
			t.Errorf("%s %s: %d %s; want %d with %q", c.path, c.body, status, text, c.status, c.why)
		}
	}

	// Beside a layer nothing is passed, whatever is pushed below it.
	raw, err := net.Dial("unix", d.path("tls"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	cert, err := tls.LoadX509KeyPair(ca.file("client-cert.pem"), ca.file("client-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(pushing{raw.(*net.UnixConn), int(good.Fd())}, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}})
	if _, err := c.Write(request("new/device", "")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 400 || !bytes.Contains(text, []byte("without layers")) {
		t.Errorf("over TLS: %d %s", resp.StatusCode, text)
	}
	raw.Close()
	d.keepsNone(before)
}

func make17(fd int) (all []int) {
	for range 17 {
		all = append(all, fd)
	}
	return all
}

// A pushing connection has a descriptor with all that it writes.
type pushing struct {
	*net.UnixConn
	fd int
}

func (p pushing) Write(b []byte) (int, error) {
	n, _, err := p.WriteMsgUnix(b, unix.UnixRights(p.fd), nil)
	return n, err
}

// Whoever floods the control socket with descriptors, in whole requests, halves, and those
// that are broken off, leaves none in the daemon.
func TestPassedFlood(t *testing.T) {
	d := startDaemon(t, passingConfig, nil)
	before := d.open()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	rights := unix.UnixRights(make17(int(null.Fd()))[:16]...)
	most := 0
	for i := range 1000 {
		c, err := net.Dial("unix", d.path(d.control))
		if err != nil {
			t.Fatal(err)
		}
		u := c.(*net.UnixConn)
		u.SetDeadline(time.Now().Add(patience))
		text := request("vm/frontends", `{"frontends":["fd:3"]}`)
		switch i % 4 {
		case 0: // half of it
			u.WriteMsgUnix(text[:20], rights, nil)
		case 1: // all, and not waited for
			u.WriteMsgUnix(text, rights, nil)
		case 2: // with each part
			for part := text; len(part) > 0; part = part[min(len(part), 30):] {
				if _, _, err := u.WriteMsgUnix(part[:min(len(part), 30)], rights, nil); err != nil {
					break
				}
			}
			fallthrough
		default: // one that asks for nothing of that
			u.WriteMsgUnix([]byte("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"), rights, nil)
			u.Read(make([]byte, 1))
		}
		c.Close()
		if i%100 == 0 {
			most = max(most, d.fds())
		}
	}
	d.keepsNone(before)
	if n := len(d.info("vm").Frontends); n != 0 {
		t.Errorf("%d frontends are there", n)
	}
	t.Logf("at most %d while it went on", most)
}

// Of thousands of descriptors that were passed, each way, none is left. CHARDEVD_LONG=1
// makes them 10 000.
func TestPassedManyTimes(t *testing.T) {
	rounds := 150
	if long {
		rounds = 5000
	}
	d := startDaemon(t, passingConfig, nil)
	before := d.open()
	for range rounds {
		a, b := pair(t)
		if status, text := d.posts("vm/frontends", `{"frontends":["fd:3"]}`, int(b.Fd())); status != 200 {
			t.Fatal(status, text)
		}
		b.Close()
		a.Close()
		f := d.opens("vm")
		if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Fatal("it is not close-on-exec", err)
		}
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		says(t, c, c, "echo")
		c.Close()
	}
	d.keepsNone(before)
}

// opens has the daemon open a client, as any program can.
func (d *daemon) opens(name string) *os.File {
	d.t.Helper()
	c, err := net.Dial("unix", d.path(d.control))
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(request(name+"/open", "")); err != nil {
		d.t.Fatal(err)
	}
	text, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, size, _, _, err := c.(*net.UnixConn).ReadMsgUnix(text, control)
	if err != nil || !bytes.HasPrefix(text[:n], []byte("HTTP/1.1 200 ")) {
		d.t.Fatalf("%q, %v", text[:n], err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:size])
	if err != nil || len(messages) != 1 {
		d.t.Fatal(len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		d.t.Fatal(fds, err)
	}
	return os.NewFile(uintptr(fds[0]), "opened")
}

// A program in another language needs nothing but what it has for sockets.
func TestPassedByPython(t *testing.T) {
	d := startDaemon(t, passingConfig, nil)
	const script = `
import socket, sys
guest, its = socket.socketpair()
c = socket.socket(socket.AF_UNIX)
c.connect(sys.argv[1])
head = b"POST /api/v1/chardevs/vm9/device HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
socket.send_fds(c, [head], [its.fileno()])
its.close()
print(c.recv(1000).split(b"\r\n")[0].decode(), flush=True)
guest.sendall(b"printed by python")
print(guest.recv(100).decode(), flush=True)
`
	p := start(t, program(t, "/usr/bin/python3"), "-c", script, d.path(d.control))
	eventually(t, patience, func() error {
		if out, _, _ := d.cli("log", "vm9", "--raw"); out != "printed by python" {
			return fmt.Errorf("%q", out)
		}
		return nil
	})
	user, its := ends(t)
	d.mustPass(its, "add-frontend", "vm9", "--fd", "3")
	io.WriteString(user, "typed by go")
	p.sees(t, "HTTP/1.1 200 OK\ntyped by go\n")
}

// Whoever may read a console may have it opened, and may there what the rules permit; to
// pass something takes more. What the rules permit no more is cut.
func TestOpenedForWhoMayRead(t *testing.T) {
	d := startDaemon(t, passingConfig+`
[[access]]
who = ["unix:@uid@"]
may = ["read"]
on = "*"
[http]
listen = ["unix:api"]
`, map[string]any{"uid": os.Geteuid()})
	d.control = "api"
	f := d.opens("vm")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "not permitted"); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() error {
		if all := d.clients("vm"); len(all) != 1 || all[0].Refused != int64(len("not permitted")) {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	for _, path := range []string{"vm/frontends", "vm9/device"} {
		if status, text := d.posts(path, `{"frontends":["fd:3"]}`, int(must(pair(t)).Fd())); status != 403 {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	d.control = "control"
	write(t, d.config, strings.Replace(read(t, d.config), "unix:"+fmt.Sprint(os.Geteuid()), "user:nobody", 1))
	if _, stderr, code := d.cli("reload"); code != 0 {
		t.Fatal(stderr)
	}
	if p, err := io.ReadAll(c); err != nil || len(p) > 0 {
		t.Errorf("%q, %v", p, err)
	}
	d.control = "api"
	if status, text := d.posts("vm/open", ""); status != 404 {
		t.Errorf("%d %s", status, text)
	}
}

// must is the first of a pair.
func must(a, _ *os.File) *os.File { return a }

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
