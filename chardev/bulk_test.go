package chardev

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Whoever tells of all consoles waits while somebody else makes what tells of them; a
// stream of events stays alive meanwhile, and holds up nobody while it is sent or waits.
func TestListsAreMadeOneByOne(t *testing.T) {
	s := newEventRig(t).control.server
	if err := s.listing.turn.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := beginSSE(w, r, time.Hour)
		if err != nil {
			t.Error(err)
			return
		}
		defer out.end()
		out.quiet = 10 * time.Millisecond
		v := &overview{control: &control{server: s}, out: out, watcher: s.board.watch(printed)}
		defer v.leave()
		v.run()
	}))
	defer server.Close()
	a, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	events := bufio.NewReader(a.Body)
	want := "retry: 1000\n\n:\n\n:\n\n"
	have := make([]byte, len(want))
	if _, err := io.ReadFull(events, have); err != nil || string(have) != want {
		t.Fatalf("%q, %v", have, err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.listPage(gone, s.all()); !errors.Is(err, context.Canceled) {
		t.Errorf("a list was made: %v", err)
	}
	s.listing.turn.leave()
	for line := ""; !strings.HasPrefix(line, "event: snapshot"); {
		if line, err = events.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if page, err := s.listPage(t.Context(), s.all()); err != nil || !strings.Contains(page.String(), `"vm2"`) {
		t.Errorf("%v, %v", page, err)
	}
}
