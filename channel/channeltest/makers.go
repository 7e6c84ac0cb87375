package channeltest

import (
	"context"
	"testing"
	"time"

	"chardevd/channel"
)

// Pipe makes ends of an in-memory pipe of size bytes each way.
func Pipe(size int) Maker {
	return func(testing.TB) (a, b channel.Channel) {
		pa, pb := channel.Pipe(size)
		return pa, pb
	}
}

// Over listens on an address and dials it: a is the dialling end, b the one that
// was accepted. For "tcp://127.0.0.1:0" it dials the port that was chosen. Where
// an address must be new each time, give a function to OverFunc.
func Over(address string) Maker {
	return OverFunc(func(testing.TB) string { return address })
}

// OverFunc is Over for an address that is made for each pair, below t.TempDir
// for example.
func OverFunc(address func(t testing.TB) string) Maker {
	return func(t testing.TB) (a, b channel.Channel) {
		t.Helper()
		return Connect(t, new(channel.Env), address(t))
	}
}

// Connect listens on the address with env, dials it with env and accepts. The
// listener is closed when t ends.
func Connect(t testing.TB, env *channel.Env, address string) (dialled, accepted channel.Channel) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	at, err := channel.ParseAddress(address)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	l, err := env.Listen(ctx, at)
	if err != nil {
		t.Fatalf("listening on %s: %v", address, err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("closing the listener on %s: %v", address, err)
		}
	})
	to := at
	if at.Network() {
		to.Where = l.Addr().String()
	}
	dialling := async(func() error {
		var err error
		dialled, err = env.Dial(ctx, to)
		return err
	})
	accepted, err = l.Accept(ctx)
	if derr := <-dialling; derr != nil {
		t.Fatalf("dialling %s: %v", address, derr)
	}
	if err != nil {
		t.Fatalf("accepting on %s: %v", address, err)
	}
	return dialled, accepted
}

// Dialled makes channels that have no other end here, by dialling the address.
func Dialled(address string) Maker {
	return func(t testing.TB) (a, b channel.Channel) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		at, err := channel.ParseAddress(address)
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		if a, err = channel.Dial(ctx, at); err != nil {
			t.Fatalf("dialling %s: %v", address, err)
		}
		return a, nil
	}
}
