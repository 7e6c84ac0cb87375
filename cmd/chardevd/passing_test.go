package main

import (
	"bufio"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// A command that is run gets the signals that are sent to chardevd, but not those of keys a
// second time.
func TestRunWithPassesSignalsOn(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	said, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := new(cobra.Command)
	cmd.SetOut(out)
	ended := make(chan error)
	go func() {
		ended <- runWith(cmd, []string{"sh", "-c", `trap 'echo key' INT QUIT
trap 'kill $!; echo term; exit 7' TERM
sleep 60 >&- & echo ready
while :; do wait; done`}, null)
		out.Close()
	}()
	text := bufio.NewReader(said)
	if line, err := text.ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; !isExit(err) || exitOf(err) != 7 {
		t.Errorf("it ended with %v", err)
	}
	if rest, err := io.ReadAll(text); string(rest) != "term\n" || err != nil {
		t.Errorf("the command said %q, %v", rest, err)
	}
}
