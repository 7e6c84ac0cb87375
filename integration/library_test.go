package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A module of somebody else's, in which package channel is a library.

// otherModule is the folder of one, with these files and the dependencies of this
// module. Nothing is fetched for it.
func otherModule(t *testing.T, files ...string) (dir string) {
	t.Helper()
	dir = folder(t)
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(mod), "module chardevd\n", "module example.org/other\n\nrequire chardevd v0.0.0\n\nreplace chardevd => "+strconv.Quote(here)+"\n", 1)
	write(t, filepath.Join(dir, "go.mod"), other)
	for _, f := range append(files, "../go.sum") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, filepath.Base(f)), string(text))
	}
	return dir
}

// goIn is the go command in such a module.
func goIn(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOPROXY=off")
	return cmd
}

// The examples of package channel, a transport and a layer of one's own among them that
// are held to the suite of channeltest, need nothing that only this module has.
func TestChannelIsALibrary(t *testing.T) {
	t.Parallel()
	dir := otherModule(t, "../channel/example_test.go")
	if err := combined(goIn(dir, "test", "-count=1", ".")); err != nil {
		t.Fatal(err)
	}
}

// Three slices are one system call of every channel that has a descriptor, one frame of
// a websocket and one record of TLS, which is one system call as well. Much is full
// records, of which several go out together.
func TestSystemCallsOfAWritev(t *testing.T) {
	dir := otherModule(t, "testdata/library/main.go")
	if err := combined(goIn(dir, "build", "-o", "writes", ".")); err != nil {
		t.Fatal(err)
	}
	trace, work := filepath.Join(dir, "trace"), filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(t, "strace"), "-f", "-y", "-s", "64", "-e", "signal=none",
		"-e", "trace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,splice,vmsplice", "-o", trace, filepath.Join(dir, "writes"))
	cmd.Dir = work
	if err := combined(cmd); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	calls := markedCalls(string(text))

	const slices = `\{iov_base="first-", iov_len=6\}, \{iov_base="second-", iov_len=7\}, \{iov_base="third", iov_len=5\}`
	const plain = `^writev\(.*\[` + slices + `\], 3\) = 18$`
	const socket = `^sendmsg\(.*\[` + slices + `\].* = 18$`
	for kind, want := range map[string]string{
		"tcp dialled": socket, "tcp accepted": socket, "tcp boxed": socket, "unix dialled": socket, "unix accepted": socket, "fd": socket,
		"pty master": plain, "pty slave": plain, "serial": plain, "pipe dialled": plain, "pipe accepted": plain,
		"exec": plain, "command": plain, "file": plain, "net": plain,
		"telnet accepted": socket, "rfc2217 accepted": socket,
		"udp dialled": `^(writev|sendmsg)\(.*` + slices + `.* = 18$`,                                 // one datagram
		"ws accepted": `^sendmsg\(.*\[\{iov_base="\\202\\22", iov_len=2\}, ` + slices + `\].* = 20$`, // a binary frame of 18 bytes
		"ws dialled":  `^sendto\(.*"\\202\\222.* = 24$`,                                              // as it is masked, with a key of 4 bytes
		"tls":         `^sendto\(.*"\\27\\3\\3\\0#.* = 40$`,                                          // a record: a head of 5 bytes, the type, a tag of 16
		"ws on tls":   `^sendto\(.*"\\27\\3\\3\\0%.* = 42$`,
	} {
		if got := calls[kind]; len(got) != 1 || !regexp.MustCompile(want).MatchString(got[0]) {
			t.Errorf("%s: %d calls, want one like %s:\n%s", kind, len(got), want, strings.Join(got, "\n"))
		}
		delete(calls, kind)
	}

	const size = 256<<10 + len("between")
	const record, together, extra = 16 << 10, 62 << 10, 5 + 1 + 16
	sent, writes, left := 0, 0, 0
	for _, c := range calls["tls big"] {
		n := 0
		if _, err := fmt.Sscan(c[strings.LastIndex(c, "= ")+2:], &n); err != nil {
			t.Fatalf("%v: %s", err, c)
		}
		if n < 0 && strings.Contains(c, "EAGAIN") { // its reader is slower
			n = 0
		}
		if left == 0 { // else it is the rest of a write that did not go out whole
			writes++
			for _, part := range regexp.MustCompile(`, (\d+), MSG_`).FindAllStringSubmatch(c, -1) {
				size, _ := strconv.Atoi(part[1])
				left += size
			}
		}
		left = max(0, left-n)
		sent += n
	}
	records, rest := (sent-size)/extra, (sent-size)%extra
	t.Logf("%d bytes in 3 slices are %d records in %d writes", size, records, writes)
	// A write may end with a record that is not full, and so may a slice.
	if most := size/record + writes; rest != 0 || records > most {
		t.Errorf("%d bytes for %d are %d records and %d bytes, want at most %d", sent, size, records, rest, most)
	}
	if most := size/together + 3; writes > most {
		t.Errorf("%d writes for %d bytes, want at most %d:\n%s", writes, size, most, strings.Join(calls["tls big"], "\n"))
	}
	delete(calls, "tls big")
	if len(calls) > 0 {
		t.Errorf("nobody has said what is to be seen of %q", calls)
	}
}

// markedCalls are the calls that strace saw between the marks, by what is in these.
func markedCalls(trace string) map[string][]string {
	mark := regexp.MustCompile(`write\(1<.*"(begin|end) (.*)\\n"`)
	all, now := map[string][]string{}, ""
	for line := range strings.Lines(trace) {
		_, call, _ := strings.Cut(strings.TrimSpace(line), " ")
		call = strings.TrimSpace(call)
		switch m := mark.FindStringSubmatch(call); {
		case m != nil && m[1] == "begin":
			now = m[2]
			all[now] = nil
		case m != nil:
			now = ""
		case now == "" || strings.HasPrefix(call, "+++") || strings.Contains(call, "[eventfd]"): // Go's scheduler wakes its poller
		case strings.HasPrefix(call, "<... "): // the end of one that began; its result is that one's
			if i, j := strings.LastIndex(call, " = "), len(all[now])-1; i >= 0 && j >= 0 {
				all[now][j] = strings.Replace(all[now][j], " <unfinished ...>", call[strings.Index(call, "resumed>")+len("resumed>"):], 1)
			}
		default:
			all[now] = append(all[now], call)
		}
	}
	return all
}
