package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// read returns the lines of a file, each of which must be an object.
func read(t *testing.T, path string) []Record {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []Record
	for s := bufio.NewScanner(f); s.Scan(); {
		var r Record
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			t.Fatalf("%q: %v", s.Text(), err)
		}
		list = append(list, r)
	}
	return list
}

func closed(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(time.Minute); err != nil {
		t.Error(err)
	}
}

// until waits for what the goroutine does.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("still not: ", what)
		}
	}
}

// What is noted is in the file, in order, with all that was said, 0600, behind what
// was there; nothing in it acts on a terminal.
func TestLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for range 2 {
		l := Open(path, slog.New(slog.DiscardHandler))
		l.Note(Record{What: Attach, Who: []string{"unix:root", "group:root"}, Operator: true, Peer: "pid=7", Chardev: "vm", Frontend: "attach", Client: "3"})
		l.Note(Record{What: Detach, Text: "a\x1b[2J\u009b<&>\n" + strings.Repeat("ö", textMost), Seconds: 1.2345678, BytesIn: 1, BytesOut: 2, Rule: "x.toml:1:1"})
		closed(t, l)
		l.Note(Record{What: Attach}) // too late, and without harm
	}
	list := read(t, path)
	if len(list) != 4 {
		t.Fatalf("%d lines", len(list))
	}
	r := list[2]
	if r.What != Attach || strings.Join(r.Who, " ") != "unix:root group:root" || !r.Operator || r.Peer != "pid=7" || r.Chardev != "vm" || r.Frontend != "attach" || r.Client != "3" || time.Since(r.Time) > time.Hour {
		t.Errorf("%+v", r)
	}
	if r = list[3]; !strings.HasPrefix(r.Text, "a\ufffd[2J\ufffd<&>\ufffdö") || len(r.Text) > textMost+20 || r.Seconds != 1.234568 || r.BytesIn != 1 || r.BytesOut != 2 || r.Rule != "x.toml:1:1" {
		t.Errorf("%+v", r)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

// A file that is renamed, or removed, is left alone from the next line on; the new one
// begins with that line.
func TestRotated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	l := Open(path, slog.New(slog.DiscardHandler))
	defer closed(t, l)
	written := func(n int) func() bool {
		return func() bool {
			_, err := os.Stat(path)
			return err == nil && len(read(t, path)) == n
		}
	}
	for i := range 3 {
		l.Note(Record{What: Start, Text: fmt.Sprint(i)})
		until(t, "a line", written(1))
		l.Note(Record{What: Stop})
		until(t, "another", written(2))
		if list := read(t, path); list[0].Text != fmt.Sprint(i) {
			t.Errorf("file %d begins with %+v", i, list[0])
		}
		if i == 1 {
			os.Remove(path)
		} else {
			os.Rename(path, fmt.Sprint(path, ".", i))
		}
		if i == 0 { // as logrotate does with create
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if list := read(t, path+".0"); len(list) != 2 {
		t.Errorf("%d lines in the file that was renamed", len(list))
	}
}

// A disk takes so many bytes, and then none until it has room.
type disk struct {
	mu   sync.Mutex
	room int
	fail int // how often it was full
	*os.File
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(p), d.room)
	d.room -= n
	d.File.Write(p[:n])
	if n < len(p) {
		d.fail++
		return n, &fs.PathError{Op: "write", Path: d.Name(), Err: syscall.ENOSPC}
	}
	return n, nil
}

func (d *disk) is(full int) func() bool {
	return func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.fail > full
	}
}

func onDisk(t *testing.T, room int) (*Log, *disk, string) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	d := &disk{room: room}
	l := start(path, slog.New(slog.DiscardHandler), func(path string) (file, error) {
		var err error
		d.File, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		return d, err
	})
	return l, d, path
}

// What a full disk does not take waits; what is beyond the queue is counted, and that
// stands where it is missing. No line is written in part.
func TestFullDisk(t *testing.T) {
	const more = 100
	l, d, path := onDisk(t, 1000) // in the middle of a line
	n := 0
	note := func(count int) {
		for range count {
			l.Note(Record{What: Kick, Chardev: fmt.Sprint(n), Text: "so that it has some length"}) // each another one's
			n++
		}
	}
	note(100)
	until(t, "the disk is full", d.is(0))
	l.mu.Lock()
	waits := len(l.queue)
	l.mu.Unlock()
	note(queueMost - waits + more)
	d.mu.Lock()
	d.room = 1 << 30
	d.mu.Unlock()
	until(t, "it is written again", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.queue) == 0 && l.missing == 0
	})
	note(1)
	closed(t, l)
	list := read(t, path)
	at := len(list) - 2
	if list[at].What != Missing || list[at].Count != more {
		t.Fatalf("in place of %d records: %+v", more, list[at])
	}
	list[at].Chardev = fmt.Sprint(n - 2)
	for i, r := range list {
		if i == at {
			continue
		}
		want := i
		if i > at {
			want = n - 1
		}
		if r.Chardev != fmt.Sprint(want) {
			t.Fatalf("line %d is %+v", i, r)
		}
	}
	if len(list) != n-more+1 {
		t.Errorf("%d lines of %d records", len(list), n)
	}
}

// A disk that stays full is told of at the end, with the number of records; that of
// a file that is gone meanwhile has one more missing, whose beginning went with it.
func TestNeverWritten(t *testing.T) {
	l, d, _ := onDisk(t, 10)
	for range 5 {
		l.Note(Record{What: Kick})
	}
	until(t, "the disk is full", d.is(0))
	if err := l.Close(time.Minute); err == nil || !strings.Contains(err.Error(), "last 5 records") {
		t.Errorf("the end: %v", err)
	}

	l, d, path := onDisk(t, 10)
	l.Note(Record{What: Kick})
	until(t, "the disk is full", d.is(0))
	os.Remove(path)
	d.mu.Lock()
	d.room = 1 << 20
	d.mu.Unlock()
	l.Note(Record{What: Break})
	closed(t, l)
	if list := read(t, path); len(list) != 2 || list[0].What != Missing && list[1].What != Missing {
		t.Errorf("%+v", list)
	}
}

// A path where no file can be is told once, and tried again; Close says what was not
// written, in bounded time.
func TestNoFile(t *testing.T) {
	var mu sync.Mutex
	tries := 0
	l := start("nowhere", slog.New(slog.DiscardHandler), func(string) (file, error) {
		mu.Lock()
		defer mu.Unlock()
		tries++
		return nil, errors.New("not to be had")
	})
	l.Note(Record{What: Start})
	until(t, "it is tried again", func() bool { mu.Lock(); defer mu.Unlock(); return tries > 1 })
	if err := l.Close(time.Minute); err == nil {
		t.Error("nothing is missing")
	}
	if _, err := openFile(t.TempDir()); err == nil {
		t.Error("a folder was opened")
	}
	if _, err := openFile("/dev/null"); err == nil {
		t.Error("a device was opened")
	}
}

// A disk that hangs holds up nobody, Close neither.
func TestHungDisk(t *testing.T) {
	hangs := make(chan struct{})
	l := start("hung", slog.New(slog.DiscardHandler), func(string) (file, error) {
		<-hangs
		return nil, errors.New("gone")
	})
	for range 3 * queueMost {
		l.Note(Record{What: Kick})
	}
	if err := l.Close(time.Millisecond); err == nil {
		t.Error("it was written")
	}
	close(hangs)
	<-l.done
	var none *Log
	none.Note(Record{})
	if err := none.Close(0); err != nil {
		t.Error(err)
	}
}
