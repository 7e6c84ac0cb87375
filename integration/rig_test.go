package integration

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// long asks for the full repetitions and asserts the rates.
var long = os.Getenv("CHARDEVD_LONG") != ""

// built is the folder of what the tests build: the daemon and the guests.
var built string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	// The parallel ones wait for deadlines of the daemon's and cost nothing
	// meanwhile: let them wait together. What needs a core is not parallel.
	if !given("test.parallel") {
		if err := flag.Set("test.parallel", "16"); err != nil {
			panic(err)
		}
	}
	var err error
	if built, err = os.MkdirTemp("", "chardevd-built"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(built)
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left:", err)
			code = 1
		}
	}
	return code
}

func given(name string) (yes bool) {
	flag.Visit(func(f *flag.Flag) { yes = yes || f.Name == name })
	return yes
}

// debian is the Debian package of each program that a test runs.
var debian = map[string]string{
	"as":                 "binutils",
	"ld":                 "binutils",
	"qemu-system-x86_64": "qemu-system-x86",
	"socat":              "socat",
	"strace":             "strace",
	"openssl":            "openssl",
	"picocom":            "picocom",
	"ncat":               "ncat",
	"nft":                "nftables",
	"ip":                 "iproute2",
	"unshare":            "util-linux",
	"nsenter":            "util-linux",
	"/usr/bin/python3":   "python3",
	"busybox":            "busybox-static",
	"dpkg-deb":           "dpkg",
	"xz":                 "xz-utils",
	"testssl":            "testssl.sh",
	"ser2net":            "ser2net",
	"telnet":             "inetutils-telnet",
	"kermit":             "ckermit",
	"zstdcat":            "zstd",
	"mount":              "mount",
	"tail":               "coreutils",
	"asciinema":          "asciinema",
	"chromium":           "chromium",
	"curl":               "curl",
	"systemd-analyze":    "systemd",
	"man":                "man-db",
	"debootstrap":        "debootstrap",
	"nginx":              "nginx-light",
	"websockify":         "websockify",
	"qemu-img":           "qemu-utils",
	"qemu-nbd":           "qemu-utils",
}

// program finds a program, or fails the test with the package that has it.
func program(t testing.TB, name string) string {
	t.Helper()
	pkg, ok := debian[name]
	if !ok {
		t.Fatalf("%s is not in the list of programs", name)
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: install the Debian package %s (integration/install.sh does)", name, pkg)
	return ""
}

// run runs a command to its end, which must be a success, and returns its output.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, stderr.Bytes())
	}
	return string(out)
}

// chardevd is the path of the daemon, built once: with the race detector if the
// tests are.
func chardevd(t testing.TB) string {
	t.Helper()
	if err := buildDaemon(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(built, "chardevd")
}

var buildDaemon = sync.OnceValue(func() error {
	args := []string{"build", "-buildvcs=false", "-o", filepath.Join(built, "chardevd")}
	if raceEnabled {
		args = append(args, "-race")
	}
	return combined(exec.Command("go", append(args, "../cmd/chardevd")...))
})

func combined(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// counterImage, pacedImage and echoImage are the disks of the guests, assembled once.
func counterImage(t testing.TB) string { return image(t, "counter", assembleCounter) }
func pacedImage(t testing.TB) string   { return image(t, "paced", assemblePaced) }
func echoImage(t testing.TB) string    { return image(t, "echo", assembleEcho) }

var (
	assembleCounter = sync.OnceValue(func() error { return assemble("counter") })
	assemblePaced   = sync.OnceValue(func() error { return assemble("paced", "--defsym", "PACED=1") })
	assembleEcho    = sync.OnceValue(func() error { return assemble("echo", "--defsym", "ECHO=1") })
)

func image(t testing.TB, name string, assemble func() error) string {
	t.Helper()
	program(t, "as")
	program(t, "ld")
	if err := assemble(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(built, name+".img")
}

func assemble(name string, flags ...string) error {
	o := filepath.Join(built, name+".o")
	if err := combined(exec.Command("as", append(flags, "--32", "-o", o, "guest/guest.S")...)); err != nil {
		return err
	}
	return combined(exec.Command("ld", "-m", "elf_i386", "-Ttext=0x7c00", "--oformat", "binary",
		"-o", filepath.Join(built, name+".img"), o))
}

// folder makes a folder for a test, with a path short enough for UNIX sockets
// (107 bytes), which t.TempDir does not promise.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freePort returns a TCP port of 127.0.0.1 on which nobody listens. Ports are
// taken one after the other from a range below the kernel's own choice (32768 on),
// so that neither another test nor an outgoing connection gets it meanwhile.
func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range ports.n {
		p := 12000 + (ports.next+os.Getpid()*97)%ports.n
		ports.next++
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p))
		if err != nil {
			continue
		}
		l.Close()
		return p
	}
	t.Fatal("no free TCP port from 12000 to 31999")
	return 0
}

var ports = struct {
	sync.Mutex
	next, n int
}{n: 20000}

// eventually waits until is says nil. It is for what can only be looked at
// (the daemon's list, /proc): whatever can be waited for itself is.
func eventually(t testing.TB, within time.Duration, is func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := is()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %v", within, err)
		}
		<-tick.C
	}
}

// expand puts values into a text with @name@ in it.
func expand(text string, values map[string]any) string {
	var pairs []string
	for k, v := range values {
		pairs = append(pairs, "@"+k+"@", fmt.Sprint(v))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
