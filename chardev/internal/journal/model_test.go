package journal

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A model is what a journal must hold: each byte that was written, by its offset.
type model struct {
	t     *rapid.T
	dir   string
	o     Options
	clock *atomic.Int64 // Unix ms
	k     *Keeper
	j     *Journal

	is      []byte // what is at each offset
	known   []bool // a byte was written there
	times   []int64
	hole    []bool // there is no telling whether one was
	events  []Event
	reserve int64
	epoch   string
}

func (m *model) world() *world {
	w := *realWorld()
	w.now = func() time.Time { return time.UnixMilli(m.clock.Load()) }
	return &w
}

func (m *model) open() {
	m.k = newKeeper(m.world(), 0, 0, nil)
	j, err := open(filepath.Join(m.dir, "vm1"), "vm1", m.o, m.k)
	if err != nil {
		m.t.Fatal(err)
	}
	if m.epoch != "" && j.Epoch() != m.epoch {
		m.t.Fatalf("epoch %s, was %s", j.Epoch(), m.epoch)
	}
	m.j = j
	if j.Start() < int64(len(m.is)) || j.Start() < m.reserve {
		m.t.Fatalf("goes on at %d, but %d were given out (%v)", j.Start(), max(int64(len(m.is)), m.reserve), j.Found())
	}
	m.grow(j.Start())
}

// grow makes the model as long as an offset.
func (m *model) grow(to int64) {
	for int64(len(m.is)) < to {
		m.is, m.known, m.times, m.hole = append(m.is, 0), append(m.known, false), append(m.times, 0), append(m.hole, false)
	}
}

func (m *model) append(t *rapid.T) {
	at := m.j.next()
	if rapid.IntRange(0, 9).Draw(t, "gap") == 0 {
		at += rapid.Int64Range(1, 50).Draw(t, "by")
	}
	n := rapid.IntRange(1, 300).Draw(t, "size")
	if at+int64(n) > m.reserve {
		m.reserve = at + int64(n) + rapid.Int64Range(0, 500).Draw(t, "reserve")
		if err := m.j.Reserve(m.reserve); err != nil {
			t.Fatal(err)
		}
	}
	m.epoch = m.j.Epoch()
	m.grow(at)
	var bufs [][]byte
	var marks []Mark
	for n > 0 {
		b := make([]byte, rapid.IntRange(1, n).Draw(t, "buf"))
		marks = append(marks, Mark{int64(len(m.is)), m.clock.Add(rapid.Int64Range(0, 3).Draw(t, "ms"))})
		for i := range b {
			b[i] = byte(rand.Uint32()) | 1 // never NUL
			m.is, m.known, m.times = append(m.is, b[i]), append(m.known, true), append(m.times, m.clock.Load())
			m.hole = append(m.hole, false)
		}
		bufs = append(bufs, b)
		n -= len(b)
	}
	got, err := m.j.Append(at, bufs, marks)
	if err != nil || at+got != int64(len(m.is)) {
		t.Fatalf("Append: %d, %v", got, err)
	}
}

func (m *model) note(t *rapid.T) {
	e := Event{m.j.next(), time.UnixMilli(m.clock.Load()), "test", fmt.Sprint("event ", len(m.events))}
	if err := m.j.Note(e); err != nil {
		t.Fatal(err)
	}
	m.epoch = m.j.Epoch()
	m.events = append(m.events, e)
	m.grow(e.Offset)
}

func (m *model) close(t *rapid.T) {
	head := int64(len(m.is)) + rapid.Int64Range(0, 20).Draw(t, "ahead")
	if err := m.j.Close(head); err != nil {
		t.Fatal(err)
	}
	m.grow(head)
	m.reserve = head // a clean end: what was reserved beyond it was not given out
	if err := m.k.Close(); err != nil {
		t.Fatal(err)
	}
}

// lose cuts some of the current segment's data, as when the power went before it
// was on the disk.
func (m *model) lose(t *rapid.T) {
	lost := rapid.Int64Range(1, m.j.w.size).Draw(t, "lost")
	if err := os.Truncate(m.j.path(stamp{}, dataExt), m.j.w.size-lost); err != nil {
		t.Fatal(err)
	}
	for at := m.j.End() - 1; lost > 0; at-- {
		if m.known[at] {
			m.known[at] = false
			lost--
		}
	}
}

// crash drops the journal as kill -9 does, and sometimes tears its index or cuts
// its data.
func (m *model) crash(t *rapid.T) {
	m.k.forget(m.j)
	if err := m.k.Close(); err != nil {
		t.Fatal(err)
	}
	m.j.shut()
	if m.j.w.size > 0 && rapid.Bool().Draw(t, "power") {
		m.lose(t)
	}
	if !rapid.Bool().Draw(t, "tear") || m.j.w.seg == nil {
		return
	}
	// What a write that was cut short leaves: the beginning of a record.
	f, err := os.OpenFile(m.j.path(stamp{}, indexExt), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := appendEvent(nil, Event{Text: "torn", Time: time.Now()})
	if _, err := f.Write(r[:rapid.IntRange(1, len(r)-1).Draw(t, "torn")]); err != nil {
		t.Fatal(err)
	}
}

// settle waits until the keeper has nothing to do for a journal.
func settle(k *Keeper, j *Journal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	busy := func() bool {
		for _, s := range []set{k.reserves, k.trims, k.syncs, k.packs} {
			if _, ok := s[j]; ok {
				return true
			}
		}
		return j.held > 0
	}
	for busy() {
		k.released.Wait()
	}
}

// check compares what a journal or a view of it says with the model.
func (m *model) check(t *rapid.T, j *Journal, from int64) {
	r := j.Reader()
	defer r.Close()
	buf := make([]byte, rapid.IntRange(1, 400).Draw(t, "read"))
	oldest, end := j.Oldest(), j.End()
	for at := from; at < end; {
		n, missing, err := r.Read(at, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && missing == 0 {
			t.Fatalf("nothing at %d of %d", at, end)
		}
		for i := range int64(n) {
			if !m.known[at+i] || m.is[at+i] != buf[i] {
				t.Fatalf("a wrong byte at %d", at+i)
			}
		}
		for i := at; i < at+missing; i++ {
			if m.known[i] && i >= oldest {
				t.Fatalf("the byte at %d of %d is missing", i, end)
			}
		}
		if missing > 0 && at+missing < end && !m.known[at+missing] {
			t.Fatalf("after a gap at %d comes %d, where there is none", at, at+missing)
		}
		for i := at; i < at+int64(n); {
			when, until := r.Time(i)
			if until <= i {
				t.Fatalf("the time at %d is until %d", i, until)
			}
			for ; i < min(until, at+int64(n)); i++ {
				if m.times[i] != when.UnixMilli() {
					t.Fatalf("the byte at %d came at %d, not %d", i, m.times[i], when.UnixMilli())
				}
			}
		}
		at += int64(n) + missing
	}
	holes := j.Holes()
	for at := oldest; at < end; at++ {
		if _, in := holes.Cut(at, 1); in != m.hole[at] {
			t.Fatalf("that %d is in a hole is %v (%v, %v)", at, in, holes, j.Found())
		}
	}
	if from <= end {
		if n, missing, err := r.Read(end, buf); n != 0 || missing != 0 || err != nil {
			t.Fatal("something at the end", n, missing, err)
		}
	}
}

func (m *model) find(t *rapid.T) {
	ms := m.clock.Load() - rapid.Int64Range(-2, 100).Draw(t, "ago")
	got, want := m.j.Find(time.UnixMilli(ms)), m.j.Oldest()
	for ; want < m.j.End(); want++ {
		if m.known[want] && m.times[want] >= ms {
			break
		}
	}
	for at := got; at < want && !m.known[at]; at++ { // where lost bytes were
		got++
	}
	if got != want {
		t.Fatalf("found %d, not %d", got, want)
	}
}

func (m *model) checkEvents(t *rapid.T, j *Journal) {
	var got []Event
	err := j.Events(0, j.End(), func(e Event) bool {
		if e.Kind == "test" {
			got = append(got, e)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []Event
	for _, e := range m.events {
		if e.Offset <= j.End() {
			want = append(want, e)
		}
	}
	if len(got) > len(want) {
		t.Fatalf("%d events, not %d", len(got), len(want))
	}
	want = want[len(want)-len(got):] // older ones went with their segments
	for i := range got {
		if got[i].Text != want[i].Text || got[i].Offset != want[i].Offset || !got[i].Time.Equal(want[i].Time) {
			t.Fatalf("event %v, not %v", got[i], want[i])
		}
	}
	if len(got) == 0 && len(want) > 0 && want[len(want)-1].Offset >= j.Oldest() {
		t.Fatal("the newest event is not there")
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "journal")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{t: rt, dir: dir, clock: new(atomic.Int64), o: Options{
			MaxSize: rapid.Int64Range(10, 2000).Draw(rt, "max size"), Keep: rapid.IntRange(1, 20).Draw(rt, "keep"),
			Compress: rapid.Bool().Draw(rt, "compress"),
		}}
		m.clock.Store(1_500_000_000_000)
		m.open()
		defer func() { m.k.Close() }()
		settled := func(f func(t *rapid.T)) func(t *rapid.T) {
			return func(t *rapid.T) { settle(m.k, m.j); f(t) }
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": m.append,
			"note":   m.note,
			"read": settled(func(t *rapid.T) {
				m.check(t, m.j, rapid.Int64Range(0, int64(len(m.is))).Draw(t, "from"))
			}),
			"find": settled(m.find),
			"flush": func(t *rapid.T) {
				if err := m.j.Flush(); err != nil {
					t.Fatal(err)
				}
			},
			"rest":   func(t *rapid.T) { m.j.Rest() },
			"events": settled(func(t *rapid.T) { m.checkEvents(t, m.j) }),
			"view": settled(func(t *rapid.T) {
				if err := m.j.Flush(); err != nil {
					t.Fatal(err)
				}
				v, err := view(m.world(), m.j.dir, "vm1")
				if os.IsNotExist(err) || m.epoch == "" {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if v.End() != m.j.End() || v.Epoch() != m.epoch {
					t.Fatalf("the view ends at %d, the journal at %d", v.End(), m.j.End())
				}
				m.check(t, v, v.Oldest())
				m.checkEvents(t, v)
			}),
			"restart": func(t *rapid.T) { m.close(t); m.open() },
			"crash": func(t *rapid.T) {
				if err := m.j.Flush(); err != nil { // what had gathered of the index would be lost
					t.Fatal(err)
				}
				known := slices.Clone(m.known)
				touched := m.j.w.opened // else it ended as the run before it did
				m.crash(t)
				m.open()
				if !touched && slices.Equal(known, m.known[:len(known)]) {
					return
				}
				for at := m.j.End(); at < m.j.Start(); at++ {
					m.hole[at] = true
				}
			},
		})
		m.close(rt)
	})
}
