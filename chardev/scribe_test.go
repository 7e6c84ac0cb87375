package chardev

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"chardevd/chardev/internal/history"
	"chardevd/chardev/internal/journal"
)

// A notebook is a journal in a folder of the test's, opened again and again.
type notebook struct {
	t      testing.TB
	dir    string
	o      journal.Options
	keeper *journal.Keeper
}

func newNotebook(t testing.TB, o journal.Options) *notebook {
	n := &notebook{t: t, dir: filepath.Join(t.TempDir(), "vm1"), o: o, keeper: journal.NewKeeper(0, 0, slog.New(slog.DiscardHandler))}
	t.Cleanup(func() {
		if err := n.keeper.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// bench is a hub that goes on where the journal ends.
func (n *notebook) bench(size int) *bench {
	n.t.Helper()
	j, err := journal.Open(n.dir, "vm1", n.o, n.keeper)
	if err != nil {
		n.t.Fatal(err)
	}
	b := newBench(n.t, size, "shared")
	b.hub.hist = history.New(size, j.Start(), history.NewSpare(unwrittenMost))
	b.hub.first = j.Start()
	b.hub.scribe = newScribe(b.hub, j, make(desks, 1))
	b.printed = j.Start()
	return b
}

// full is bench with so many bytes in the journal, of which nothing is still to be done by
// the keeper: it would be told of what a test does to the files.
func (n *notebook) full(total, size int) *bench {
	n.t.Helper()
	b := n.bench(size)
	b.plug()
	b.print(total)
	awaitWritten(n.t, b)
	b.end()
	return n.bench(size)
}

// end is the daemon's orderly end.
func (b *bench) end() {
	b.t.Helper()
	b.stop()
	b.wg.Wait()
	if err := b.hub.scribe.close(); err != nil {
		b.t.Fatal(err)
	}
}

// A keptLog is what was logged.
type keptLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *keptLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *keptLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// keepLog keeps what the hub logs from its beginning.
func (b *bench) keepLog() *keptLog {
	l := new(keptLog)
	b.hub.log = slog.New(slog.NewTextHandler(l, nil))
	return l
}

// readPast reads what a console printed between two offsets, from memory or disk.
func readPast(t testing.TB, h *hub, from, to int64) []byte {
	t.Helper()
	p := h.past()
	defer p.Close()
	got := make([]byte, to-from)
	for at := from; at < to; {
		n, missing, err := p.Read(at, got[at-from:])
		if err != nil || n == 0 {
			t.Fatalf("at %d: %d bytes, %d missing, %v", at, n, missing, err)
		}
		at += int64(n)
	}
	return got
}

var roomy = journal.Options{MaxSize: 1 << 20, Keep: 1000}

// What a console printed is all there, whoever was attached and however often the
// daemon was started; its offsets go on.
func TestTheJournalHasAll(t *testing.T) {
	n := newNotebook(t, roomy)
	var from int64
	for range 3 {
		b := n.bench(64 << 10)
		if b.printed != from {
			t.Fatalf("goes on at %d, want %d", b.printed, from)
		}
		b.plug()
		b.print(3 << 20)
		await(t, "the output", func() bool { return b.hub.hist.Head() == b.printed })
		if got := readPast(t, b.hub, 0, b.printed); !bytes.Equal(got, numbers(0, b.printed)) {
			t.Fatal("something else was read than was printed")
		}
		from = b.printed
		b.end()
	}
}

// A client that stopped while the console printed far more than memory holds gets
// all of it afterwards, and the others nothing of that.
func TestAClientCatchesUpFromTheJournal(t *testing.T) {
	b := newNotebook(t, roomy).bench(64 << 10)
	defer b.end()
	b.plug()
	slow, sc := b.attach(4<<10, 0, nil)
	quick, _ := b.attach(64<<10, 0, func(c *client) { c.onLag = "close" })
	const total = 24 << 20
	var printing sync.WaitGroup
	printing.Go(func() { b.print(total) })
	readNumbers(t, quick, 0, total)
	printing.Wait()
	readNumbers(t, slow, 0, total)
	if missed := sc.missed.Load(); missed != 0 {
		t.Errorf("missed %d bytes", missed)
	}
	b.print(100)
	readNumbers(t, slow, total, 100)
	readNumbers(t, quick, total, 100)
}

// A device does not wait for somebody who reads what was long ago, though he takes
// nothing at all.
func TestADeviceDoesNotWaitForThePast(t *testing.T) {
	b := newNotebook(t, roomy).bench(64 << 10)
	defer b.end()
	b.plug()
	b.print(4 << 20)
	awaitWritten(t, b)
	b.attach(4<<10, 4<<20, nil)
	b.print(1 << 20)
	awaitWritten(t, b)
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.hub.pace != nil && b.hub.pace.waited > 0 {
		t.Errorf("the device waited for %v", b.hub.pace.waited)
	}
}

// What retention took is a gap of exactly that size.
func TestOnlyWhatRetentionTookIsAGap(t *testing.T) {
	n := newNotebook(t, journal.Options{MaxSize: 256 << 10, Keep: 2})
	b := n.bench(16 << 10)
	defer b.end()
	b.plug()
	var mu sync.Mutex
	var lost int64
	slow, sc := b.attach(1<<10, 0, func(c *client) {
		c.person = func(m Message) error {
			mu.Lock()
			defer mu.Unlock()
			lost += m.Size
			return nil
		}
	})
	quick, _ := b.attach(64<<10, 0, nil)
	const total = 4 << 20
	b.wg.Go(func() { b.print(total) })
	readNumbers(t, quick, 0, total)
	await(t, "retention to take what is old", func() bool { return b.hub.scribe.j.Oldest() > total/2 })
	told := func() int64 {
		mu.Lock()
		defer mu.Unlock()
		return lost
	}
	var got int64
	for buf := make([]byte, 64<<10); got+told() < total; { // told is behind counted
		k, err := slow.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += int64(k)
	}
	if lost := told(); lost == 0 || lost != sc.missed.Load() || got != total-lost {
		t.Errorf("got %d, told of %d lost, counted %d; of %d", got, lost, sc.missed.Load(), total)
	}
}

// A daemon that is killed gives no offset out again: who attached before sees it
// go on behind all it had seen.
func TestNoOffsetIsGivenOutTwice(t *testing.T) {
	n := newNotebook(t, roomy)
	var seen int64
	for range 5 {
		b := n.bench(64 << 10)
		if b.printed < seen {
			t.Fatalf("goes on at %d, and gave out all up to %d before", b.printed, seen)
		}
		b.plug()
		b.print(200_000)
		await(t, "the output", func() bool { return b.hub.hist.Head() == b.printed })
		seen = b.hub.hist.Head()
		b.stop() // and no end of the journal: it was killed
		b.wg.Wait()
		b.hub.scribe.stop()
	}
}

// A line's time is that of its first byte, in memory as on disk.
func TestTimesOfLines(t *testing.T) {
	var tm times
	at := int64(0)
	for i, line := range []string{"first ", "line\n", "second\nthird ", "goes on", " on\n", "fourth\n"} {
		tm.note(at, []byte(line), int64(1000+i))
		at += int64(len(line))
	}
	for _, want := range []struct{ at, ms int64 }{{0, 1000}, {11, 1002}, {18, 1002}, {35, 1005}} {
		if ms, _, ok := tm.at(want.at); !ok || ms != want.ms {
			t.Errorf("the line at %d came at %d, want %d", want.at, ms, want.ms)
		}
	}
	if at, ok := tm.find(1003); !ok || at != 35 {
		t.Errorf("from 1003 on: offset %d", at)
	}
	tm.drop(20)
	if ms, _, ok := tm.at(20); !ok || ms != 1002 {
		t.Errorf("the byte at 20 came at %d", ms)
	}
}

// Marks are bounded, and the newest are there.
func TestMarksAreBounded(t *testing.T) {
	var tm times
	for i := range int64(10 * maxMarks) {
		if tm.full() {
			tm.trim(0)
		}
		tm.note(2*i, []byte("x\n"), i+1)
	}
	if len(tm.marks) > 2*maxMarks {
		t.Errorf("%d marks", len(tm.marks))
	}
	if ms, _, _ := tm.at(20*maxMarks - 2); ms != 10*maxMarks {
		t.Errorf("the last line came at %d", ms)
	}
}

// A console whose disk fails runs on, says so, and is written down again when the
// disk works, with the gap stated.
func TestAFailingDiskIsFeltByNobody(t *testing.T) {
	n := newNotebook(t, roomy)
	b := n.bench(64 << 10)
	defer b.end()
	log := b.keepLog()
	b.plug()
	far, _ := b.attach(64<<10, 0, nil)
	printed := func(n int) {
		t.Helper()
		at := b.printed
		var printing sync.WaitGroup
		printing.Go(func() { b.print(n) })
		readNumbers(t, far, at, n)
		printing.Wait()
	}
	state := func() error { _, err := b.hub.scribe.state(); return err }
	printed(1 << 20)
	awaitWritten(t, b)

	aside := n.dir + ".aside"
	s := b.hub.scribe
	await(t, "the scribe to be silent", func() bool { return s.doing.Load() == scribeSilent })
	s.mu.Lock() // it does not begin
	s.j.Rest()
	if err := os.Rename(n.dir, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.mu.Unlock()
	kept := b.printed
	printed(20 << 20)
	await(t, "the failure to be told", func() bool { return state() != nil })
	printed(1 << 20)
	const happened = 2 * maxEvents
	for i := range happened {
		b.hub.note("test", fmt.Sprint(i))
	}

	os.Remove(n.dir)
	if err := os.Rename(aside, n.dir); err != nil {
		t.Fatal(err)
	}
	s.begin(scribeFailed) // now, and not in a second or more
	await(t, "the journal to be written again", func() bool { return state() == nil })
	printed(1 << 20)
	awaitWritten(t, b)
	lost := s.hub.dropped[droppedJournal].Load()
	if lost == 0 || lost > 22<<20-history.KeepMost+scribeChunk {
		t.Errorf("%d bytes were lost", lost)
	}
	if got := readPast(t, b.hub, 0, kept); !bytes.Equal(got, numbers(0, kept)) {
		t.Error("what was written before has changed")
	}
	p := b.hub.past()
	defer p.Close()
	if n, missing, err := p.Read(kept, make([]byte, 10)); n != 0 || missing != lost || err != nil {
		t.Errorf("at the gap: %d bytes, %d missing, %v; want %d missing", n, missing, err, lost)
	}
	if got := readPast(t, b.hub, kept+lost, b.printed); !bytes.Equal(got, numbers(kept+lost, b.printed)) {
		t.Error("behind the gap is something else than was printed")
	}
	if !strings.Contains(log.String(), "level=WARN msg=journal what=\"the console is not written down") {
		t.Error("that it is not written down is no warning in the log")
	}
	var noted, lacks int
	err := p.Events(0, b.printed+1, func(e journal.Event) bool {
		if e.Kind == "test" {
			noted++
		}
		if strings.Contains(e.Text, "events") {
			fmt.Sscanf(e.Text, "the journal lacks %d events", &lacks)
		}
		return true
	})
	if err != nil || noted == 0 || lacks == 0 || noted+lacks < happened || noted+lacks > happened+10 { // with those of the failure
		t.Errorf("%d of %d events are in the journal, and %d are told to be lost; %v", noted, happened, lacks, err)
	}
}

// A log that somebody removed while it was written is told, not only to who looks for
// it in the journal.
func TestALogThatIsRemovedIsTold(t *testing.T) {
	n := newNotebook(t, roomy)
	b := n.bench(64 << 10)
	defer b.end()
	log := b.keepLog()
	b.plug()
	b.print(1000)
	awaitWritten(t, b)
	await(t, "the scribe to be silent", func() bool { return b.hub.scribe.doing.Load() == scribeSilent })
	b.hub.scribe.mu.Lock()
	b.hub.scribe.j.Rest()
	if err := os.Remove(filepath.Join(n.dir, "vm1.log")); err != nil {
		t.Fatal(err)
	}
	b.hub.scribe.mu.Unlock()
	b.print(1000)
	await(t, "the event", func() bool {
		b.hub.mu.Lock()
		defer b.hub.mu.Unlock()
		return slices.ContainsFunc(b.hub.events, func(e Event) bool {
			return e.Kind == journal.KindJournal && e.Offset == 1000 && strings.Contains(e.Text, "vm1.log is gone: the 1000 bytes")
		})
	})
	await(t, "the warning", func() bool {
		return strings.Contains(log.String(), "level=WARN msg=journal what=\"vm1.log is gone")
	})
}

// A disk that hangs in the middle of a write holds up neither the console nor who
// watches, though it is the device's goroutine that writes; nothing is lost.
func TestAHangingDiskIsFeltByNobody(t *testing.T) {
	b := newNotebook(t, roomy).bench(64 << 10)
	defer b.end()
	s := b.hub.scribe
	hung, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.append = func(at int64, bufs [][]byte, marks []journal.Mark) (int64, error) {
		if by := string(debug.Stack()); strings.Contains(by, "writeHere") {
			once.Do(func() { close(hung); <-release })
		}
		return s.j.Append(at, bufs, marks)
	}
	b.plug()
	far, _ := b.attach(64<<10, 0, nil)
	const each = 4 << 20
	total := 0
	for stuck := false; !stuck; { // the device's goroutine writes only what it was quick to print
		var printing sync.WaitGroup
		printing.Go(func() { b.print(each) })
		readNumbers(t, far, int64(total), each)
		printing.Wait()
		total += each
		select {
		case <-hung:
			stuck = true
		default:
		}
	}
	var printing sync.WaitGroup
	printing.Go(func() { b.print(each) })
	readNumbers(t, far, int64(total), each)
	printing.Wait()
	close(release)
	awaitWritten(t, b)
	if got := readPast(t, b.hub, 0, b.printed); s.hub.dropped[droppedJournal].Load() > 0 || !bytes.Equal(got, numbers(0, b.printed)) {
		t.Errorf("%d bytes were lost, or others are there", s.hub.dropped[droppedJournal].Load())
	}
}

// A console whose journal takes no more, as the disk is full, runs on, and is never ahead of what
// no later run gives out again.
func TestAFullDiskHasTheReserve(t *testing.T) {
	const tries = 5 // a machine that stands still for scribeGrace is a disk that hangs
	for range tries {
		if printsOnAFullDisk(t) {
			return
		}
	}
	t.Errorf("the device was let go ahead of the reserve in each of %d runs", tries)
}

// printsOnAFullDisk returns false if the reserve was not waited for.
func printsOnAFullDisk(t *testing.T) bool {
	n := newNotebook(t, roomy)
	b := n.bench(64 << 10)
	s := b.hub.scribe
	s.append = func(int64, [][]byte, []journal.Mark) (int64, error) { return 0, syscall.ENOSPC }
	b.plug()
	far, _ := b.attach(64<<10, 0, nil)
	const each = 256 << 10
	waited := true
	for at := int64(0); at < 64*each && waited; at += each {
		var printing sync.WaitGroup
		printing.Go(func() { b.print(each) })
		readNumbers(t, far, at, each)
		printing.Wait()
		head := b.hub.hist.Head()
		waited = !s.blind.Load()
		if to := s.reserved.Load(); waited && head > to {
			t.Fatalf("offsets up to %d are given out, and %d are reserved", head, to)
		}
	}
	printed := b.printed
	b.stop()
	b.wg.Wait()
	s.stop() // and no more: it was killed

	b = n.bench(64 << 10)
	b.end()
	if waited && b.printed < printed {
		t.Errorf("the next run goes on at %d, and %d were given out", b.printed, printed)
	}
	return waited
}

// An event that is written down while somebody asks for events is told once.
func TestAnEventThatIsJustWrittenIsToldOnce(t *testing.T) {
	b := newNotebook(t, roomy).bench(4 << 10)
	defer b.end()
	s := b.hub.scribe
	b.hub.note("test", "first")
	await(t, "the first to be written", func() bool { return !s.behind() })
	s.desks <- struct{}{} // it does not write
	b.hub.note("test", "second")
	p := b.hub.past()
	defer p.Close()
	var told []string
	err := p.Events(0, 1, func(e journal.Event) bool {
		if told = append(told, e.Text); len(told) == 1 {
			<-s.desks
			await(t, "the second to be written", func() bool { return !s.behind() })
		}
		return true
	})
	if err != nil || !slices.Equal(told, []string{"first", "second"}) {
		t.Errorf("told %q, %v", told, err)
	}
}

// awaitWritten waits until the journal has all.
func awaitWritten(t testing.TB, b *bench) {
	t.Helper()
	await(t, "all to be written", func() bool { return b.hub.scribe.j.End() == b.printed && !b.hub.scribe.behind() })
}

// A daemon that was killed leaves offsets of which nobody knows. A client is told of
// them and misses nothing by them: they do not count as what it asked for, as dropped or
// as an end.
func TestAClientPassesOverAHole(t *testing.T) {
	n := newNotebook(t, roomy)
	b := n.bench(64 << 10)
	b.plug()
	b.print(10_000)
	awaitWritten(t, b)
	b.stop()
	b.wg.Wait()
	b.hub.scribe.stop() // and no more: it was killed
	printed := b.printed

	b = n.bench(64 << 10)
	defer b.end()
	b.plug()
	start := b.printed
	if start <= printed {
		t.Fatalf("it goes on at %d, and %d were printed", start, printed)
	}
	b.print(1000)
	await(t, "the bytes", func() bool { return b.hub.hist.Head() == start+1000 })
	told := make(chan Message, 10)
	far, c := b.attach(64<<10, 4000, func(c *client) {
		c.onLag = "close"
		c.person = func(m Message) error {
			if m.Type == "gap" {
				told <- m
			}
			return nil
		}
	})
	readNumbers(t, far, printed-3000, 3000)
	readNumbers(t, far, start, 1000)
	want := Message{Type: "gap", Offset: start, Size: start - printed, Text: journal.HoleWhy}
	if m := <-told; m != want || len(told) > 0 {
		t.Errorf("it is told %+v, and then %d more; want %+v", m, len(told), want)
	}
	if missed := c.missed.Load(); missed != 0 || b.hub.missed() != 0 {
		t.Errorf("it missed %d bytes, all together %d", missed, b.hub.missed())
	}
}
