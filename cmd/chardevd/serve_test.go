package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serving starts a daemon, with stdout and stderr as change leaves them, and
// returns the path of its control socket.
func serving(t *testing.T, change func(*exec.Cmd)) (cmd *exec.Cmd, control string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "c.toml")
	if err := os.WriteFile(config, []byte("state = 's'\n[[chardev]]\nname = 'n'\ndevice = 'null:'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(os.Args[0], "serve", "-c", config)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	change(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // fails if it has ended
		cmd.Wait()
	})
	return cmd, filepath.Join(dir, "s", "control")
}

// ask wants an answer of the daemon.
func ask(t *testing.T, control string) {
	t.Helper()
	c, err := net.Dial("unix", control)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(watchdog))
	fmt.Fprintf(c, "GET /api/v1/chardevs HTTP/1.0\r\n\r\n")
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		t.Errorf("the daemon does not answer: %v", err)
	}
}

// ends asks a daemon to end, which it must do by itself.
func ends(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Process.Signal(syscall.SIGTERM)
	dog := time.AfterFunc(watchdog, func() { t.Error("it does not end"); cmd.Process.Kill() })
	defer dog.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with: %v", err)
	}
}

// A daemon whose log's reader is gone goes on.
func TestServeOutlivesTheReaderOfItsLog(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var out *bufio.Reader
	cmd, control := serving(t, func(c *exec.Cmd) {
		c.Stderr = w
		p, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		out = bufio.NewReader(p)
	})
	w.Close()
	for line := ""; line != "ready\n"; {
		if line, err = out.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	cmd.Process.Signal(syscall.SIGHUP) // it logs that this does nothing
	for range 3 {
		ask(t, control)
	}
	ends(t, cmd)
}

// A daemon whose standard output nobody reads ends when it is told to.
func TestServeEndsWithItsOutputStuck(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.Write(make([]byte, 64<<10)); err != nil { // as much as a pipe holds
		t.Fatal(err)
	}
	var log *bufio.Reader
	cmd, control := serving(t, func(c *exec.Cmd) {
		c.Stdout = w
		p, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		log = bufio.NewReader(p)
	})
	w.Close()
	for line := ""; !strings.Contains(line, "msg=up"); {
		if line, err = log.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, control) // so that it gets to its ready
	ends(t, cmd)
}

// A daemon that can not write the end of a journal says so, and that it failed.
func TestServeFailsIfAJournalIsNotEnded(t *testing.T) {
	var log bytes.Buffer
	cmd, control := serving(t, func(c *exec.Cmd) { c.Stderr = &log })
	folder := filepath.Join(filepath.Dir(control), "n")
	for end := time.Now().Add(watchdog); ; time.Sleep(time.Millisecond) { // until it is begun
		if _, err := os.Stat(filepath.Join(folder, "n.log")); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(folder, folder+".aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	dog := time.AfterFunc(watchdog, func() { t.Error("it does not end"); cmd.Process.Kill() })
	defer dog.Stop()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(log.String(), "chardev n: the end of what it printed is not written down: ") {
		t.Errorf("it exits with %d and says %s", code, log.String())
	}
}
