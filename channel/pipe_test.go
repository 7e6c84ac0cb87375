package channel_test

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"chardevd/channel"
	"chardevd/channel/channeltest"
)

func conformMemory(t *testing.T) {
	t.Run("64KiB", func(t *testing.T) { channeltest.Run(t, channeltest.Pipe(64<<10), channeltest.Traits{}) })
	t.Run("499B", func(t *testing.T) {
		channeltest.Run(t, channeltest.Pipe(499), channeltest.Traits{Slow: "499 bytes a step"})
	})
}

func TestPipeSizeIsExact(t *testing.T) {
	for _, size := range []int{1, 2, 10} {
		a, b := channel.Pipe(size)
		for range 7 { // goes around the ring
			n, err := a.TryWritev([][]byte{[]byte("0123"), []byte("456789ab")})
			if int(n) != size || err != nil || b.Buffered() != size {
				t.Fatalf("a pipe of %d took %d, %v and holds %d", size, n, err, b.Buffered())
			}
			got := make([]byte, 20)
			if n, err := b.Read(got); err != nil || string(got[:n]) != "0123456789"[:size] {
				t.Fatalf("a pipe of %d gave %q, %v", size, got[:n], err)
			}
		}
		a.Close()
		b.Close()
	}
}

func TestPipeStall(t *testing.T) {
	a, b := channel.Pipe(10)
	defer a.Close()
	defer b.Close()
	put := func(s string) int64 {
		n, err := a.TryWritev([][]byte{[]byte(s)})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	put("held")
	b.Stall()
	if n := put("more"); n != 0 {
		t.Errorf("%d bytes went towards a stalled end", n)
	}
	read := make(chan string)
	go func() {
		buf := make([]byte, 10)
		n, _ := b.Read(buf)
		read <- string(buf[:n])
	}()
	if _, err := b.Write([]byte("back")); err != nil { // the other way moves on
		t.Error(err)
	}
	if got, err := io.ReadAll(io.LimitReader(a, 4)); string(got) != "back" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	select {
	case got := <-read:
		t.Fatalf("a stalled end read %q", got)
	default:
	}
	b.Resume()
	if got := <-read; got != "held" {
		t.Errorf("after Resume: %q", got)
	}
	if n := put("more"); n != 4 {
		t.Errorf("after Resume %d of 4 bytes", n)
	}
}

func TestPipeBreakAfter(t *testing.T) {
	a, b := channel.Pipe(100)
	defer a.Close()
	defer b.Close()
	a.BreakAfter(5)
	if n, err := a.Write([]byte("1234567")); n != 5 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the write that goes too far: %d, %v", n, err)
	}
	if got, err := io.ReadAll(b); string(got) != "12345" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer reads %q, %v", got, err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer writes: %v", err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reading: %v", err)
	}
}

func TestPipeDiscard(t *testing.T) {
	a, b := channel.Pipe(1)
	defer b.Close()
	b.Discard()
	if n, err := a.Write([]byte(strings.Repeat("x", 1<<20))); n != 1<<20 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	a.Close()
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
}
