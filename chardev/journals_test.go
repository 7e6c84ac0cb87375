package chardev

import (
	"os"
	"strings"
	"testing"
	"time"

	"chardevd/chardev/internal/journal"
)

// A disk that takes nothing holds up neither a change of the config nor the daemon's end;
// and no second journal is opened where one is being ended.
func TestAStuckDiskHoldsUpNoChange(t *testing.T) {
	clearEnvironment(t)
	const others = "[[chardev]]\nname = 'b'\ndevice = 'null:'\nlog = false\n"
	with := others + "[[chardev]]\nname = 'a'\ndevice = 'sim:counter'\nfrontends = ['unix:f']\n"
	path := write(t, with, nil)
	s := readyServer(t, path)
	s.grace = 20 * time.Millisecond
	stuck, written := make(chan struct{}), make(chan struct{}, 1)
	scribe := s.console("a").hub.scribe
	was := scribe.append
	scribe.append = func(at int64, bufs [][]byte, marks []journal.Mark) (int64, error) {
		select {
		case written <- struct{}{}:
		default:
		}
		<-stuck
		return was(at, bufs, marks)
	}
	end := begun(t, s)
	<-written
	change := func(text string) error {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.reload(theDaemon{})
		return err
	}
	if err := change(others); err == nil || !strings.Contains(err.Error(), "chardev a: the disk did not take the end") {
		t.Errorf("it is removed: %v", err)
	}
	if err := change(with); err != nil {
		t.Errorf("it comes again: %v", err)
	}
	if con := s.console("a"); con.noLog == nil || con.hub.scribe != nil {
		t.Errorf("it has a journal, of which another one is still being ended: %v", con.noLog)
	}
	if err := change(others); err != nil {
		t.Errorf("it goes again: %v", err)
	}
	s.changing.Lock()
	ended := s.journals["a"]
	s.changing.Unlock()
	close(stuck)
	<-ended
	if err := change(with); err != nil {
		t.Errorf("the disk takes something again: %v", err)
	}
	if con := s.console("a"); con.noLog != nil {
		t.Errorf("it has no journal: %v", con.noLog)
	}
	end()
}
