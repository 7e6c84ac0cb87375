package chardev

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Alive returns only when each console answers.
func TestAliveWaitsForAnAnswer(t *testing.T) {
	r := newEventRig(t)
	s := r.control.server
	s.Alive()
	hub := s.all()[1].hub
	hub.mu.Lock()
	answered := make(chan struct{})
	go func() {
		s.Alive()
		close(answered)
	}()
	select {
	case <-answered:
		t.Error("a console hangs, and the daemon says that it is alive")
	case <-time.After(50 * time.Millisecond):
	}
	hub.mu.Unlock()
	select {
	case <-answered:
	case <-time.After(20 * time.Second):
		t.Error("nothing hangs any more, and still it does not answer")
	}
}

// Follow tells at first, and when devices come up or go down; not of what they print.
func TestFollow(t *testing.T) {
	r := newEventRig(t)
	s := r.control.server
	type tally struct{ up, all int }
	told := make(chan tally, 10)
	next := func(want tally) {
		t.Helper()
		select {
		case have := <-told:
			if have != want {
				t.Errorf("told %+v, want %+v", have, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("not told %+v", want)
		}
	}
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan struct{})
	go func() {
		s.Follow(ctx, func(up, all int) { told <- tally{up, all} })
		close(done)
	}()
	next(tally{1, 2})
	con := s.all()[0]
	sign := s.board.add(con)
	for up, state := range []string{StateDown, StateUp} {
		con.device.Load().status.set(state, nil)
		sign.raise(happened)
		next(tally{up, 2})
	}
	cancel()
	<-done
	if n := s.board.watched.Load(); n != 0 {
		t.Errorf("%d watch", n)
	}
}

// A watcher of what happens is not woken by what is printed.
func TestWatchOfWhatHappens(t *testing.T) {
	var b board
	sign := b.add(nil)
	w := b.watch(happened)
	defer w.leave()
	w.clear()
	<-w.wake
	sign.raise(printed)
	if len(w.wake) != 0 || len(w.marks) != 0 {
		t.Error("it is woken by what is printed")
	}
	sign.raise(happened)
	<-w.wake
}

// A config that others add to may be without chardevs yet.
func TestConfigThatGrows(t *testing.T) {
	clearEnvironment(t)
	for text, right := range map[string]bool{
		"include = ['conf.d/*.toml']\n": true,
		"include = ['none.toml']\n":     false,
	} {
		cfg, err := Load(write(t, text, map[string]string{"none.toml": "# none\n"}))
		if (err == nil) != right {
			t.Errorf("%s: %+v, %v", text, cfg, err)
		}
	}
}

// What systemd passes is found in its folder, and where there is none that is told.
func TestPassedCredentials(t *testing.T) {
	clearEnvironment(t)
	cert, key := newPair(t, "host", year)
	text := "[credentials.c]\ncert = 'c.pem'\nkey = '$CREDENTIALS_DIRECTORY/server-key'\n" + good
	path := write(t, text, map[string]string{"c.pem": string(cert), "passed/server-key": string(key)})

	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if m := errorsOf(t, path); len(m) != 1 || m[0].Line != 3 || !strings.Contains(m[0].Message, "LoadCredential=server-key:") {
		t.Errorf("%v", m)
	}
	dir := filepath.Join(filepath.Dir(path), "passed")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if have := cfg.Credentials["c"].Files.Key; have != filepath.Join(dir, "server-key") {
		t.Errorf("key %q", have)
	}
}
