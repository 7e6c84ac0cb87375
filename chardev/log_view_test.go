package chardev

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chardevd/chardev/internal/journal"
)

// What a journal has is shown from its files, while it is written and afterwards.
func TestViewJournal(t *testing.T) {
	state := filepath.Join(t.TempDir(), "of [all] *") // which means something to Glob
	keeper := journal.NewKeeper(0, 0, slog.New(slog.DiscardHandler))
	defer keeper.Close()
	j, err := journal.Open(filepath.Join(state, "vm1"), "vm1", journal.Options{MaxSize: 1 << 20, Keep: 4}, keeper)
	if err != nil {
		t.Fatal(err)
	}
	came := time.Date(2026, 11, 23, 1, 2, 3, 4e6, time.UTC)
	add := func(at int64, text string) {
		t.Helper()
		if _, err := j.Append(at, [][]byte{[]byte(text)}, []journal.Mark{{At: at, Time: came.UnixMilli()}}); err != nil {
			t.Fatal(err)
		}
	}
	add(0, "one\ntwo\n")
	if err := j.Note(journal.Event{Offset: 8, Time: came, Kind: "down", Text: "eof"}); err != nil {
		t.Fatal(err)
	}
	add(10, "three\n")
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(state, "other"), 0o700); err != nil {
		t.Fatal(err)
	}
	const stamp = `"time":"2026-11-23T01:02:03.004Z"`
	for _, closed := range []bool{false, true} {
		if closed {
			if err := j.Close(16); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			q    LogQuery
			want string
		}{
			{LogQuery{}, "one\ntwo\n[gap: at most 2 bytes are missing at offset 8]\nthree\n"},
			{LogQuery{Grep: "^t", Names: true}, "vm1:two\nvm1:[gap: at most 2 bytes are missing at offset 8]\nvm1:three\n"},
			{LogQuery{Since: "10", Epoch: j.Epoch()}, "three\n"},
			{LogQuery{Since: "2026-11-23T01:02:04Z"}, ""},
			{LogQuery{Since: "4", Until: "10", Events: true, Format: "json"}, `{"chardev":"vm1","offset":4,` + stamp + `,"line":"two"}` + "\n" +
				`{"chardev":"vm1","offset":8,"gap":2}` + "\n" + `{"chardev":"vm1","offset":8,` + stamp + `,"event":"down","text":"eof"}` + "\n"},
		} {
			var w strings.Builder
			if r, err := ViewJournal(t.Context(), state, "vm1", c.q, &w); err != nil || w.String() != c.want {
				t.Errorf("closed %v, %+v: %+v, %v\n%s\nwant\n%s", closed, c.q, r, err, w.String(), c.want)
			}
		}
	}
	for _, c := range []struct {
		state, name string
		q           LogQuery
		want        string
	}{
		{state, "vm2", LogQuery{}, "no journal \"vm2\" in " + state + "; did you mean \"vm1\"?"},
		{state, "other", LogQuery{}, "no journal \"other\" in " + state + "; there is vm1"},
		{state, "vm1", LogQuery{Follow: true}, "nothing comes while no daemon runs"},
		{state, "vm1", LogQuery{Since: "1", Epoch: "gone"}, "nothing is held of epoch gone"},
		{state, "vm1", LogQuery{Since: "x"}, "since: want an OFFSET"},
		{state, "vm1", LogQuery{Since: "5", Until: "3"}, "until=3 (offset 3) stands before"},
		{filepath.Join(state, "none"), "vm1", LogQuery{}, "state folder: open"},
	} {
		var w strings.Builder
		if _, err := ViewJournal(t.Context(), c.state, c.name, c.q, &w); err == nil || !strings.Contains(err.Error(), c.want) || w.Len() > 0 {
			t.Errorf("%s %+v: %v, %q; want an error with %q", c.name, c.q, err, w.String(), c.want)
		}
	}
}

// An attach begins at any place that a log does.
func TestAttachBegins(t *testing.T) {
	b := newBench(t, 64<<10, "shared")
	b.plug()
	con := &console{name: "vm1", hub: b.hub, epoch: "E"}
	b.print(1000)
	await(t, "it to be published", func() bool { return b.hub.hist.Head() == 1000 })
	anew := "chardevd was started anew"
	for _, c := range []struct {
		since, epoch string
		want         start
	}{
		{"", "", start{from: -1}},
		{"-0", "", start{from: -1}},
		{"end", "", start{from: -1}},
		{"-65536", "", start{from: -1, replay: 65536}},
		{"-64KiB", "", start{from: -1, replay: 65536}},
		{"-9GiB", "", start{from: -1, replay: 1<<31 - 1}},
		{"500", "", start{from: 500}},
		{"500", "E", start{from: 500}},
		{"5000", "E", start{from: 1000}},
		{"500", "D", start{from: 0, note: anew}},
		{"-5", "D", start{from: -1, replay: 5}},
		{"start", "D", start{from: 0}},
		{"1h", "", start{from: 0}},
		{"2100-01-01", "", start{from: 1000}},
		{"0lines", "", start{from: 1000}},
		{"9999lines", "", start{from: 0}},
	} {
		got, err := con.startAt(c.since, c.epoch)
		if err != nil || got.replay != c.want.replay || got.from != c.want.from || !strings.HasPrefix(got.note, c.want.note) || (got.note == "") != (c.want.note == "") {
			t.Errorf("since=%s of %q: %+v, %v; want %+v", c.since, c.epoch, got, err, c.want)
		}
	}
	if _, err := con.startAt("64KiB", ""); err == nil || err.Status != http.StatusBadRequest || !strings.Contains(err.Reason, `since=64KiB: want `+PlaceForms) {
		t.Errorf("a bad one: %v", err)
	}
}

// What keeps the place from being found is not the fault of who asks for it.
func TestAttachBeginsWhereNothingCanBeRead(t *testing.T) {
	n := newNotebook(t, roomy)
	b := n.full(4<<20, 64<<10)
	defer b.end()
	segments, err := filepath.Glob(filepath.Join(n.dir, "vm1-*.log"))
	if err != nil || len(segments) < 2 {
		t.Fatal(segments, err)
	}
	for _, s := range segments {
		defer unread(t, s)()
	}
	con := &console{name: "vm1", hub: b.hub, epoch: "E"}
	if _, err := con.startAt("9999999lines", ""); err == nil || err.Status != http.StatusInternalServerError || !strings.Contains(err.Reason, "since=9999999lines: ") {
		t.Errorf("%v", err)
	}
}
