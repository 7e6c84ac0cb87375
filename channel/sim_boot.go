package channel

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// bootLog is what sim:boot prints: what happens and how many milliseconds it
// takes. The times add up to those that are printed, and to under a second.
var bootLog = []struct {
	takes int
	line  string
}{
	{0, "Demo kernel 1.0 for a simulated board, 1 processor, console on ttyS0"},
	{0, "Command line: console=ttyS0,115200 root=/dev/vda1 ro panic=5"},
	{0, "Memory map from the firmware:"},
	{0, "  0x00000000-0x0009ffff usable"},
	{0, "  0x00100000-0x07ffffff usable"},
	{2, "Memory: 125248 KiB free of 131072 KiB, the kernel has 4.2 MiB"},
	{3, "Clock: 24.000 MHz counter, resolution 41 ns, wraps in 178 s"},
	{8, "Delay loop calibrated: 48.00 MIPS (simulated)"},
	{2, "Interrupts: 64 lines, 1 controller"},
	{6, "Processor 0: little endian, hardware float, 32 KiB + 32 KiB caches"},
	{4, "Scheduler: ready, tick of 4 ms"},
	{5, "Random: seeded from the board's own noise, 256 bits"},
	{30, "Bus pci0: scanning"},
	{10, "Bus pci0: 00:01.0 block device, 00:02.0 network device, 00:03.0 timer"},
	{12, "Serial: ttyS0 at 0x3f8, irq 4, a 16550A with a FIFO of 16 bytes"},
	{3, "Serial: console is ttyS0, the early one is left"},
	{35, "Block: vda: 524288 sectors of 512 bytes (256 MiB)"},
	{6, "Block: vda: partitions: vda1 vda2"},
	{40, "Net: eth0: address 02:00:00:00:00:01"},
	{60, "Net: eth0: link is up, 1000 Mb/s, full duplex"},
	{4, "Clock: real time is set from the board"},
	{50, "Files: vda1 is mounted on / (read-only, clean)"},
	{10, "Kernel: 812 KiB of start-up code freed"},
	{15, "Starting the first process"},
	{50, "init: checking file systems ... clean"},
	{60, "init: / is writable"},
	{40, "init: loading settings ... 14 of them"},
	{80, "init: network is up: eth0 192.0.2.10/24"},
	{50, "init: time service started"},
	{60, "init: log service started"},
	{30, "init: everything is started"},
}

const banner = "\r\nThis is a simulated guest. Type help, and have a look around.\r\n\r\n"

const prompt = "demo# "

// boot is a machine that boots and then has somebody at its prompt.
func (g *guest) boot() error {
	for {
		if err := g.start(); err != nil {
			return err
		}
		err := g.shell()
		if err != errReboot {
			return err
		}
	}
}

// start prints the log, line by line as things happen.
func (g *guest) start() error {
	g.started = time.Now()
	g.line, g.wasCR = nil, false
	at := 0
	for _, l := range bootLog {
		at += l.takes
		if err := g.sleep(time.Until(g.started.Add(time.Duration(at) * time.Millisecond))); err != nil {
			return err
		}
		if err := g.print(fmt.Appendf(nil, "[%5d.%06d] %s\r\n", at/1000, at%1000*1000, l.line)); err != nil {
			return err
		}
	}
	return g.say(banner + prompt)
}

// sleep waits for d, or until the guest is switched off.
func (g *guest) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-g.off:
		return net.ErrClosed
	}
}

func (g *guest) say(s string) error { return g.print([]byte(s)) }

// shell reads keys and runs commands until the stream or the machine ends.
func (g *guest) shell() error {
	buf := make([]byte, 256)
	for {
		for len(g.input) > 0 {
			key := g.input[0]
			g.input = g.input[1:]
			if err := g.key(key); err != nil {
				return err
			}
		}
		n, err := g.end.Read(buf)
		if err != nil {
			return err
		}
		g.input = append(g.input, buf[:n]...)
	}
}

// lineMax is how long a line may get; more is refused with a bell.
const lineMax = 1024

// key does what a terminal in line mode does with a key, the echo too.
func (g *guest) key(k byte) error {
	wasCR := g.wasCR
	g.wasCR = k == '\r'
	switch {
	case k == '\n' && wasCR: // CR LF is one end of line
		return nil
	case k == '\r' || k == '\n':
		line := string(g.line)
		g.line = g.line[:0]
		if err := g.say("\r\n"); err != nil {
			return err
		}
		err := g.command(line)
		if err == errInterrupted {
			err = g.say("^C\r\n")
		}
		if err != nil {
			return err
		}
		return g.say(prompt)
	case k == 0x08 || k == 0x7F: // backspace, delete
		return g.rubOut(1)
	case k == 0x15: // ^U
		return g.rubOut(len(g.line))
	case k == 0x03: // ^C
		g.line = g.line[:0]
		return g.say("^C\r\n" + prompt)
	case k < ' ':
		return nil
	case len(g.line) == lineMax:
		return g.say("\a")
	}
	g.line = append(g.line, k)
	return g.print([]byte{k})
}

// rubOut removes up to n characters of the line, from the screen too.
func (g *guest) rubOut(n int) error {
	var out []byte
	for ; n > 0 && len(g.line) > 0; n-- {
		_, size := utf8.DecodeLastRune(g.line)
		g.line = g.line[:len(g.line)-size]
		out = append(out, "\b \b"...)
	}
	return g.print(out)
}

var errReboot = errors.New("reboot")
var errUnplugged = errors.New("unplugged")

const help = "echo WORDS    prints them\r\n" +
	"uptime        how long the machine is up\r\n" +
	"date          what time it is\r\n" +
	"count N       N numbered lines\r\n" +
	"flood N       N KiB of letters; ^C ends it\r\n" +
	"utf8          letters of many alphabets\r\n" +
	"reboot        the boot log again\r\n" +
	"unplug        ends the stream, as if the cable was pulled\r\n"

const letters = "Grüße · Здравствуй · γειά · 你好 · こんにちは · 안녕 · שלום · مرحبا · ─┼╪█ · 🙂\r\n"

// command runs one line.
func (g *guest) command(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	switch name, args := words[0], words[1:]; name {
	case "help":
		return g.say(help)
	case "echo":
		return g.say(strings.Join(args, " ") + "\r\n")
	case "uptime":
		return g.say(fmt.Sprintf("up %v\r\n", time.Since(g.started).Round(time.Millisecond)))
	case "date":
		return g.say(time.Now().Format(time.RFC1123Z) + "\r\n")
	case "count", "flood":
		n, ok := amount(args)
		if !ok {
			return g.say(name + ": give it a number from 1 to 1000000000\r\n")
		}
		if name == "count" {
			return g.count(n, g.checkInterrupt)
		}
		return g.flood(n)
	case "utf8":
		return g.say(letters)
	case "reboot":
		if err := g.say("restarting\r\n\r\n"); err != nil {
			return err
		}
		return errReboot
	case "unplug":
		return errUnplugged
	default:
		return g.say(name + ": no such command; try help\r\n")
	}
}

// amount is the number that is a command's only argument.
func amount(args []string) (int64, bool) {
	if len(args) != 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(args[0], 10, 64)
	return n, err == nil && n >= 1 && n <= 1_000_000_000
}

// flood prints n KiB: lines of 64 bytes, letters and CR LF, shifted by one from
// line to line so that a hole shows.
func (g *guest) flood(n int64) error {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var kib []byte
	for i := range n {
		kib = kib[:0]
		for k := range 16 {
			at := int(i*16+int64(k)) % len(alphabet)
			kib = append(kib, alphabet[at:]...)
			kib = append(kib, alphabet[:at]...)
			kib = append(kib, '\r', '\n')
		}
		if err := g.print(kib); err != nil {
			return err
		}
		if err := g.checkInterrupt(); err != nil {
			return err
		}
	}
	return nil
}
