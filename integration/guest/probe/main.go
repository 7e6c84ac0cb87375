// Probe runs in a guest and asks its serial ports, by package channel, what no
// stream shows: for the tests of package integration.
//
//	probe loop PORT   tie the UART's own lines together and move them
//	probe lines PORT  print the modem lines and the configuration
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"chardevd/channel"
)

// loopBack ties DTR to DSR and RTS to CTS within the UART (TIOCM_LOOP of
// asm-generic/termios.h).
const loopBack = 0x8000

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: probe loop|lines PORT")
		os.Exit(2)
	}
	ask := map[string]func(context.Context, string) error{"loop": loop, "lines": lines}[os.Args[1]]
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := ask(ctx, os.Args[2]); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// open opens a port and finds its abilities.
func open(ctx context.Context, port string) (channel.Channel, channel.Line, channel.Notifier, error) {
	a, err := channel.ParseAddress("serial:" + port)
	if err != nil {
		return nil, nil, nil, err
	}
	ch, err := channel.Dial(ctx, a)
	if err != nil {
		return nil, nil, nil, err
	}
	line, _ := channel.As[channel.Line](ch)
	notifier, _ := channel.As[channel.Notifier](ch)
	return ch, line, notifier, nil
}

func lines(ctx context.Context, port string) error {
	ch, line, _, err := open(ctx, port)
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

// loop moves the lines of this side and prints how the driver told of those of the
// other, which are the same ones.
func loop(ctx context.Context, port string) error {
	ch, line, notifier, err := open(ctx, port+"?exclusive=false")
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
	told := make(chan channel.Event, 10)
	notifier.Notify(channel.EventModem, func(e channel.Event) { told <- e })
	for _, move := range []struct{ set, clear channel.ModemLines }{{channel.DTR, 0}, {channel.RTS, 0}, {0, channel.DTR | channel.RTS}} {
		if err := line.SetModem(ctx, move.set, move.clear); err != nil {
			return err
		}
		select {
		case e := <-told:
			fmt.Printf("modem %v changed %v\n", e.Modem, e.Changed)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
