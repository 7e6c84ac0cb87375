package channel

import (
	"context"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// interruptSignal frees a thread that waits in the kernel. It is one of those that
// nothing else uses; the Go runtime has a handler for it that does nothing.
const interruptSignal = syscall.Signal(44)

// interruptible runs call, a system call that waits, and has it fail with EINTR
// when ctx ends; then it returns ctx's error. A thread is held meanwhile.
//
// For calls that no descriptor can be polled for. Closing the descriptor does not
// free them, but a signal does, if its handler was set without SA_RESTART
// (signal(7)).
func interruptible(ctx context.Context, call func() error) error {
	if err := letSignalInterrupt(); err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := unix.Gettid()
	returned, kicked := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(kicked)
		kick(thread, returned)
	})
	err := call()
	close(returned)
	if !stop() {
		<-kicked // no signal comes later, into another call
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// kick signals a thread until its call has returned: one signal may have come just
// before the call began to wait.
func kick(thread int, returned <-chan struct{}) {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-returned:
			return
		default:
		}
		unix.Tgkill(os.Getpid(), thread, interruptSignal)
		select {
		case <-returned:
			return
		case <-again.C:
		}
	}
}

// letSignalInterrupt takes SA_RESTART from the signal's action and leaves the rest
// of it, the runtime's handler, as it is. os/signal would not do: the runtime sets
// all its handlers with SA_RESTART.
var letSignalInterrupt = sync.OnceValue(func() error {
	// struct sigaction as the kernel has it: the handler, the flags, a restorer and
	// the mask where the architecture has them so.
	var action [8]uintptr
	const maskSize = 8
	const restart = 0x10000000
	for _, set := range []bool{false, true} {
		var in, out unsafe.Pointer
		if set {
			action[1] &^= restart
			in = unsafe.Pointer(&action)
		} else {
			out = unsafe.Pointer(&action)
		}
		if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(interruptSignal), uintptr(in), uintptr(out), maskSize, 0, 0); errno != 0 {
			return os.NewSyscallError("rt_sigaction", errno)
		}
	}
	return nil
})
