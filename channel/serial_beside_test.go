package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A break and a damaged byte are told between the bytes that were around them, no
// matter how much is read at once.
func TestMarksAreToldWhereTheyStood(t *testing.T) {
	for _, size := range []int{1, 2, 3, 100} {
		d := newFakeDriver()
		p, pair, err := fakeSerial(t, "?mode=8e1", d)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		p.Notify(EventBreak|EventErrors, func(e Event) {
			fmt.Fprintf(&got, "<%d %d>", e.Kind, e.Errors)
		})
		unix.Write(pair.fd, []byte("ab\xff\x00\x00cd\xff\xff\xff\x00!\xff\x00\x00\xff\x00\x00e"))
		buf := make([]byte, size)
		for !strings.HasSuffix(got.String(), "e") {
			p.SetReadDeadline(time.Now().Add(watchdog))
			n, err := p.Read(buf)
			if err != nil || n == 0 {
				t.Fatalf("after %q: %d, %v", got.String(), n, err)
			}
			got.Write(buf[:n])
		}
		if s, want := got.String(), "ab<1 0>cd\xff<8 2>!<1 0><1 0>e"; s != want {
			t.Errorf("with reads of %d bytes: %q, want %q", size, s, want)
		}
		p.Close()
	}
}

// What was wrong with a byte is known by the counters.
func TestDamageIsNamed(t *testing.T) {
	d := newFakeDriver()
	p, pair, err := fakeSerial(t, "", d)
	if err != nil {
		t.Fatal(err)
	}
	c := events(t, p, EventErrors)
	for _, test := range []struct {
		count serialCounters
		want  LineErrors
	}{
		{serialCounters{Frame: 1}, FramingError},
		{serialCounters{Frame: 1, Parity: 1, Overrun: 1}, ParityError | OverrunError},
		{serialCounters{Frame: 1, Parity: 1, Overrun: 1, RX: 9}, FramingError}, // 8n1 has no parity
	} {
		d.mu.Lock()
		d.count = test.count
		d.mu.Unlock()
		unix.Write(pair.fd, []byte("\xff\x00x"))
		want(t, p, "x")
		if e := next(t, c); e.Errors != test.want {
			t.Errorf("%+v is told as %v, want %v", test.count, e.Errors, test.want)
		}
	}
}

// The kernel counts in 32 bits without a sign: 2 GiB are not less than nothing.
func TestCountersHaveNoSign(t *testing.T) {
	d := newFakeDriver()
	p := mustFakeSerial(t, "", d)
	count := serialCounters{RX: 1 << 31}
	d.move(0, count)
	if c, err := p.LineCounters(); err != nil || c.Received != int(count.RX) {
		t.Errorf("%d bytes were received, %v", c.Received, err)
	}
}

func TestBreakIsSent(t *testing.T) {
	d := newFakeDriver()
	p := mustFakeSerial(t, "", d)
	const long = 30 * time.Millisecond
	start := time.Now()
	if err := p.SendBreak(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < long {
		t.Errorf("a break of %v took %v", long, took)
	}
	if did := d.noted(); !slices.Equal(did, []string{"exclusive", "break", "no break"}) {
		t.Errorf("the driver was told %v", did)
	}
	next(t, d.began)
	// A context cuts it short, and so does Close; the line is at rest afterwards.
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.SendBreak(ctx, time.Hour) }()
	next(t, d.began)
	cancel()
	if err := next(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("a break that was given up: %v", err)
	}
	go func() { done <- p.SendBreak(t.Context(), time.Hour) }()
	next(t, d.began)
	p.Close()
	if err := next(t, done); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a break on a port that was closed: %v", err)
	}
	if did := d.noted(); did[len(did)-1] != "no break" {
		t.Errorf("at last the driver was told %v", did[len(did)-1])
	}
	if err := p.SendBreak(t.Context(), 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a break after Close: %v", err)
	}
}

// A line that is stopped by the other side sends no break; Close ends the wait.
func TestBreakOnAStoppedLine(t *testing.T) {
	d := newFakeDriver()
	d.stopped = true
	p := mustFakeSerial(t, "", d)
	done := make(chan error, 2)
	for range 2 { // the second waits for the first
		go func() { done <- p.SendBreak(t.Context(), time.Millisecond) }()
	}
	next(t, d.began)
	p.Close()
	for range 2 {
		if err := next(t, done); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
}

func TestModemLinesAtOpen(t *testing.T) {
	d := newFakeDriver()
	p := mustFakeSerial(t, "?dtr=off&rts=on", d)
	if m, err := p.Modem(t.Context()); err != nil || m != RTS|CTS {
		t.Errorf("with DTR off the lines are %v, %v", m, err)
	}
	if err := p.SetModem(t.Context(), DTR, RTS); err != nil {
		t.Error(err)
	}
	if m, _ := p.Modem(t.Context()); m != DTR|CTS {
		t.Errorf("with DTR raised and RTS dropped the lines are %v", m)
	}
	if err := p.SetModem(t.Context(), CTS, 0); !isUnsupported(err) {
		t.Errorf("raising CTS, which is the other side's: %v", err)
	}
}

// Modem lines are watched while somebody wants to know, and only then.
func TestModemLinesAreTold(t *testing.T) {
	noLeaks(t)
	d := newFakeDriver()
	p := mustFakeSerial(t, "", d)
	c := events(t, p, EventModem)
	next(t, d.waiting)
	d.move(unix.TIOCM_DTR|unix.TIOCM_RTS|unix.TIOCM_CD, serialCounters{})
	if e := next(t, c); e.Modem != DTR|RTS|DCD || e.Changed != CTS|DCD {
		t.Errorf("told as %v, changed %v", e.Modem, e.Changed)
	}
	next(t, d.waiting)
	d.move(unix.TIOCM_DTR|unix.TIOCM_RTS|unix.TIOCM_CD, serialCounters{RI: 2})
	if e := next(t, c); e.Modem != DTR|RTS|DCD || e.Changed != RI {
		t.Errorf("a ring that is over: told as %v, changed %v", e.Modem, e.Changed)
	}
	next(t, d.waiting)
	p.Notify(EventBreak, func(Event) {})
	c = events(t, p, EventModem)
	next(t, d.waiting)
	d.move(unix.TIOCM_DTR|unix.TIOCM_RTS, serialCounters{RI: 2})
	if e := next(t, c); e.Changed != DCD {
		t.Errorf("watched anew: changed %v", e.Changed)
	}
	next(t, d.waiting)
	p.Notify(0, nil)
	p.Close()
	p.Notify(EventModem, func(Event) {})
	if len(d.waiting) > 0 {
		t.Error("a closed port is watched")
	}
}
