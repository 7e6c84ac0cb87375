package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A namespace is a network or a tree of files of its own.
type namespace struct {
	*prog
	t    testing.TB
	kind string // as unshare(1) and nsenter(1) call it
}

// newNamespace makes a network that has a loopback and nothing else.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	program(t, "ip")
	return unshared(t, "net", "ip link set lo up")
}

// unshared makes a namespace: as root, or in a user namespace where the kernel
// allows. The script sets it up.
func unshared(t testing.TB, kind, script string) *namespace {
	t.Helper()
	flags := []string{"--" + kind}
	if os.Geteuid() != 0 {
		flags = append(flags, "--user", "--map-root-user")
	}
	n := &namespace{t: t, kind: kind}
	n.prog = start(t, program(t, "unshare"), append(flags, "sh", "-c", `PATH=$PATH:/usr/sbin:/sbin; `+script+` && echo up && exec cat`)...)
	n.sees(t, "up")
	return n
}

// enter is the command line that runs something inside.
func (n *namespace) enter() []string {
	n.t.Helper()
	file := map[string]string{"net": "net", "mount": "mnt"}[n.kind] // namespaces(7)
	enter := []string{program(n.t, "nsenter"), fmt.Sprintf("--%s=/proc/%d/ns/%s", n.kind, n.cmd.Process.Pid, file)}
	if os.Geteuid() != 0 {
		enter = append(enter, fmt.Sprintf("--user=/proc/%d/ns/user", n.cmd.Process.Pid), "--preserve-credentials")
	}
	return enter
}

func (n *namespace) run(name string, args ...string) {
	n.t.Helper()
	enter := append(n.enter(), append([]string{program(n.t, name)}, args...)...)
	run(n.t, enter[0], enter[1:]...)
}

// TCP peers that are dead without a word: cut off by a packet filter, on a busy
// console and on an idle one. Each is noticed and its client is gone; the others are not
// touched, and nor is a process that was stopped and reads no more: it is there.
func TestDeadPeer(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	d := newDaemon(t, folder(t), `
[[chardev]]
name = "busy"
device = "exec:while sleep 0.2; do echo a line; done"
frontends = ["tcp://127.0.0.1:7001", "unix:busy"]
[[chardev]]
name = "idle"
device = "exec:cat"
frontends = ["tcp://127.0.0.1:7002", "unix:idle"]
[[chardev]]
name = "flood"
device = "exec:while sleep 0.01; do head -c 20000 /dev/zero; done"
frontends = ["tcp://127.0.0.1:7003", "unix:flood"]
`, nil)
	d.prefix = n.enter()
	d.serve()
	names := []string{"busy", "idle", "flood"}
	alive := map[string]*wire{}
	var socats []*prog
	for i, name := range names {
		alive[name] = dial(t, "unix", d.path(name))
		enter := append(n.enter(), program(t, "socat"), "-u", fmt.Sprintf("TCP:127.0.0.1:%d", 7001+i), "OPEN:/dev/null")
		p := startCmd(t, exec.Command(enter[0], enter[1:]...))
		socats = append(socats, p)
		d.has(name, 2)
	}

	t0 := time.Now()
	socats[2].signal(t, syscall.SIGSTOP)
	// At the receiving side: what is dropped on its way out is told to the sender.
	n.run("nft", "add table inet t")
	n.run("nft", "add chain inet t in { type filter hook input priority 0 ; }")
	n.run("nft", "add rule inet t in tcp dport { 7001, 7002 } drop")
	n.run("nft", "add rule inet t in tcp sport { 7001, 7002 } drop")

	for _, name := range names[:2] {
		d.hasWithin(90*time.Second, name, 1)
		t.Logf("%s: noticed %v after", name, time.Since(t0).Round(time.Second))
		if c := d.clients(name); len(c) != 1 || !strings.Contains(c[0].Frontend, "unix") {
			t.Errorf("%s: the wrong one is gone: %+v", name, c)
		}
	}
	d.has("flood", 2)
	socats[2].signal(t, syscall.SIGCONT)
	socats[2].kill()
	d.has("flood", 1)
	alive["idle"].echoes(t, "still here")
	alive["busy"].sees(t, "a line")
}
