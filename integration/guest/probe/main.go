// Probe runs in a guest and asks its serial ports, by package channel, what no
// stream shows: for the tests of package integration.
//
//	probe lines PORT  print the modem lines and the configuration
//	probe loop PORT   tie the UART's own lines together, move them and print them
//	probe hold PORT   drop DTR, close the port, open it again and print the lines:
//	                  first without hold=true, then with it
//	probe await PORT  wait until something tells that the port may be there
//	probe watch PORT  watch the modem lines, and close the port while nothing happens
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"chardevd/channel"
)

// loopBack ties DTR to DSR and RTS to CTS within the UART (TIOCM_LOOP of
// asm-generic/termios.h).
const loopBack = 0x8000

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: probe lines|loop|hold|await|watch PORT")
		os.Exit(2)
	}
	ask, ok := map[string]func(context.Context, string) error{"lines": lines, "loop": loop, "hold": hold, "await": await, "watch": watch}[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "no question:", os.Args[1])
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := ask(ctx, os.Args[2]); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// open opens a port.
func open(ctx context.Context, port string) (channel.Channel, channel.Line, error) {
	a, err := channel.ParseAddress("serial:" + port)
	if err != nil {
		return nil, nil, err
	}
	ch, err := channel.Dial(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	line, _ := channel.As[channel.Line](ch)
	return ch, line, nil
}

func lines(ctx context.Context, port string) error {
	ch, line, err := open(ctx, port)
	if err != nil {
		return err
	}
	defer ch.Close()
	m, err := line.Modem(ctx)
	if err != nil {
		return err
	}
	c, err := line.Line(ctx)
	fmt.Printf("modem %v line %v\n", m, c)
	return err
}

func loop(ctx context.Context, port string) error {
	ch, line, err := open(ctx, port+"?exclusive=false")
	if err != nil {
		return err
	}
	defer ch.Close()
	fd, err := unix.Open(port, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCMSET, loopBack); err != nil {
		return err
	}
	for _, move := range []struct{ set, clear channel.ModemLines }{{0, 0}, {channel.DTR, 0}, {channel.RTS, 0}, {0, channel.DTR}} {
		if err := line.SetModem(ctx, move.set, move.clear); err != nil {
			return err
		}
		m, err := line.Modem(ctx)
		if err != nil {
			return err
		}
		fmt.Println(m)
	}
	return unix.IoctlSetPointerInt(fd, unix.TIOCMSET, 0)
}

func hold(ctx context.Context, port string) error {
	for _, held := range []string{"", "&hold=true"} {
		ch, _, err := open(ctx, port+"?dtr=off"+held)
		if err != nil {
			return err
		}
		if err := ch.Close(); err != nil {
			return err
		}
		again, line, err := open(ctx, port+"?baud=9600"+held)
		if err != nil {
			return err
		}
		m, err := line.Modem(ctx)
		again.Close()
		if err != nil {
			return err
		}
		fmt.Println(m & (channel.DTR | channel.RTS))
	}
	return nil
}

func await(ctx context.Context, port string) error {
	a, err := channel.ParseAddress("serial:" + port)
	if err != nil {
		return err
	}
	w, err := a.Watch()
	if err != nil {
		return err
	}
	defer w.Close()
	fmt.Println("waiting")
	select {
	case <-w.C:
		fmt.Println("told")
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch prints how many threads wait for the modem lines: before it watches them,
// while it does, and when Close has returned.
func watch(ctx context.Context, port string) error {
	ch, _, err := open(ctx, port)
	if err != nil {
		return err
	}
	defer ch.Close()
	fmt.Println(waiting())
	n, _ := channel.As[channel.Notifier](ch)
	n.Notify(channel.EventModem, func(channel.Event) {})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for waiting() == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	fmt.Println(waiting())
	err = ch.Close()
	fmt.Println(waiting())
	return err
}

// waiting is how many threads are in the system call that waits for modem lines,
// by proc(5): /proc/PID/task/TID/syscall begins with the call and its arguments.
func waiting() (n int) {
	calls, _ := filepath.Glob("/proc/self/task/*/syscall")
	for _, c := range calls {
		text, err := os.ReadFile(c)
		if f := strings.Fields(string(text)); err == nil && len(f) > 2 && f[2] == fmt.Sprintf("%#x", unix.TIOCMIWAIT) {
			n++
		}
	}
	return n
}
