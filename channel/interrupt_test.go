package channel

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A call that waits in the kernel ends with its context, also if that is over when
// it begins, and is left alone otherwise.
func TestCallsAreInterrupted(t *testing.T) {
	noLeaks(t)
	var pipe [2]int
	must(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	read := func() error { _, err := unix.Read(pipe[0], make([]byte, 1)); return err }
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%10)*100*time.Microsecond)
		if err := interruptible(ctx, read); err != ctx.Err() {
			t.Fatalf("interrupted: %v", err)
		}
		cancel()
	}
	unix.Write(pipe[1], []byte("x"))
	if err := interruptible(t.Context(), read); err != nil {
		t.Errorf("with something to read: %v", err)
	}
}
