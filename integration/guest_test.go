package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A guest is a QEMU whose first serial port is the chardev "c0". It starts
// paused, so that nothing it prints is lost before somebody is connected: go
// on with cont.
type guest struct {
	*prog
	t       testing.TB
	args    []string
	files   []*os.File // descriptors that it gets, from 4 on; they are closed here
	monitor net.Conn
	replies *bufio.Reader
}

// startGuest starts a guest from an image with c0 as the given backend, like
// "socket,path=/x,server=on,wait=off", and returns when it is set up.
func startGuest(t testing.TB, image, backend string, more ...string) *guest {
	t.Helper()
	g := newGuest(t, image, backend, more...)
	g.start()
	return g
}

// newGuest is startGuest of one that is not started.
func newGuest(t testing.TB, image, backend string, more ...string) *guest {
	kind, options, _ := strings.Cut(backend, ",")
	if options != "" {
		options = "," + options
	}
	return &guest{t: t, args: append([]string{
		"-nodefaults", "-no-user-config", "-display", "none",
		// Never KVM: where there is one it may be unusable. A 486 on an ISA bus
		// needs no set-up of an interrupt controller.
		"-accel", "tcg", "-M", "isapc", "-cpu", "486", "-m", "2", "-S",
		"-drive", "file=" + image + ",format=raw,if=ide,snapshot=on",
		"-chardev", "socket,id=monitor,fd=3", "-mon", "chardev=monitor,mode=control",
		"-chardev", kind + ",id=c0" + options, "-serial", "chardev:c0",
	}, more...)}
}

func (g *guest) start() {
	t := g.t
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, its := os.NewFile(uintptr(fds[0]), "monitor"), os.NewFile(uintptr(fds[1]), "monitor")
	defer ours.Close()
	defer its.Close()
	cmd := exec.Command(program(t, "qemu-system-x86_64"), g.args...)
	cmd.ExtraFiles = append([]*os.File{its}, g.files...)
	g.prog = startCmd(t, cmd)
	for _, f := range g.files {
		f.Close()
	}
	if g.monitor, err = net.FileConn(ours); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.monitor.Close() })
	g.replies = bufio.NewReader(g.monitor)
	its.Close()
	g.reply("QMP") // the greeting: all is set up, sockets listen
	g.qmp("qmp_capabilities", nil)
}

// restart starts it again, as it was started, after kill.
func (g *guest) restart() {
	g.t.Helper()
	g.monitor.Close()
	g.start()
}

// qmp executes a command and returns what it returns.
func (g *guest) qmp(command string, args map[string]any) json.RawMessage {
	g.t.Helper()
	request := map[string]any{"execute": command}
	if args != nil {
		request["arguments"] = args
	}
	if err := json.NewEncoder(g.monitor).Encode(request); err != nil {
		g.t.Fatalf("qmp %s: %v\n%s", command, err, g.stderr.text())
	}
	return g.reply("return")
}

// reply reads up to the message that has the key and returns its value.
func (g *guest) reply(key string) json.RawMessage {
	g.t.Helper()
	g.monitor.SetReadDeadline(time.Now().Add(patience))
	for {
		line, err := g.replies.ReadBytes('\n')
		var m map[string]json.RawMessage
		if err == nil {
			err = json.Unmarshal(line, &m)
		}
		if err != nil {
			g.t.Fatalf("qmp: %v\n%s%s", err, g.stderr.text(), g.ended())
		}
		if e, ok := m["error"]; ok {
			g.t.Fatalf("qmp: %s", e)
		}
		if v, ok := m[key]; ok {
			return v
		}
	}
}

// ended says how QEMU ended, if it did: it may crash.
func (g *guest) ended() string {
	if _, ok := g.out.ends(time.Second); ok {
		return "QEMU ended: " + g.cmd.ProcessState.String()
	}
	return ""
}

// cont lets the guest run, pause stops it between two instructions.
func (g *guest) cont()  { g.t.Helper(); g.qmp("cont", nil) }
func (g *guest) pause() { g.t.Helper(); g.qmp("stop", nil) }

// where returns what QEMU made of c0: a pty's path, or host:port for TCP.
func (g *guest) where() string {
	g.t.Helper()
	var chardevs []struct{ Label, Filename string }
	if err := json.Unmarshal(g.qmp("query-chardev", nil), &chardevs); err != nil {
		g.t.Fatal(err)
	}
	for _, c := range chardevs {
		if c.Label != "c0" {
			continue
		}
		name := strings.TrimPrefix(c.Filename, "disconnected:")
		_, name, _ = strings.Cut(name, ":")
		name, _, _ = strings.Cut(name, ",")
		return name
	}
	g.t.Fatalf("no c0 in %v", chardevs)
	return ""
}

// unixGuest starts a guest that listens on the UNIX socket at path.
func unixGuest(t testing.TB, image, path string) *guest {
	t.Helper()
	return startGuest(t, image, fmt.Sprintf("socket,path=%s,server=on,wait=off", path))
}
