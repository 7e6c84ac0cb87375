package transcript

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"chardevd/chardev/internal/journal"
)

// shown is what a query writes of a source.
func shown(t *testing.T, q Query, src Source) string {
	t.Helper()
	from, to, err := q.Range(t.Context(), src, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var w bytes.Buffer
	if _, err := q.Write(t.Context(), src, from, to, &w); err != nil {
		t.Fatal(err)
	}
	return w.String()
}

func TestSSE(t *testing.T) {
	src := &memory{data: []byte("one\r\ntwo"), holes: []hole{{5, 6}}, marks: []mark{{0, 1000}, {6, 2000}},
		events: []journal.Event{{Offset: 3, Time: time.UnixMilli(1500), Kind: "up", Text: "x"}, {Offset: 8, Kind: "a"}, {Offset: 8, Kind: "b"}}}
	for name, c := range map[string]struct {
		q    Query
		want string
	}{
		"bytes": {Query{Format: SSE}, "" +
			"id: 5\ndata: {\"offset\":0,\"time\":\"1970-01-01T00:00:01.000Z\",\"base64\":\"b25lDQo=\"}\n\n" +
			"event: gap\nid: 6\ndata: {\"offset\":5,\"gap\":1}\n\n" +
			"id: 8\ndata: {\"offset\":6,\"time\":\"1970-01-01T00:00:02.000Z\",\"base64\":\"d28=\"}\n\n"},
		"events": {Query{Format: SSE, Events: true, Epoch: "E"}, "" +
			"id: 3@E\ndata: {\"offset\":0,\"time\":\"1970-01-01T00:00:01.000Z\",\"base64\":\"b25l\"}\n\n" +
			"event: event\nid: 3+1@E\ndata: {\"offset\":3,\"time\":\"1970-01-01T00:00:01.500Z\",\"event\":\"up\",\"text\":\"x\"}\n\n" +
			"id: 5@E\ndata: {\"offset\":3,\"time\":\"1970-01-01T00:00:01.000Z\",\"base64\":\"DQo=\"}\n\n" +
			"event: gap\nid: 6@E\ndata: {\"offset\":5,\"gap\":1}\n\n" +
			"id: 8@E\ndata: {\"offset\":6,\"time\":\"1970-01-01T00:00:02.000Z\",\"base64\":\"d28=\"}\n\n" +
			"event: event\nid: 8+1@E\ndata: {\"offset\":8,\"event\":\"a\",\"text\":\"\"}\n\n" +
			"event: event\nid: 8+2@E\ndata: {\"offset\":8,\"event\":\"b\",\"text\":\"\"}\n\n"},
		"lines": {Query{Format: SSELines}, "" +
			"id: 5\ndata: {\"offset\":0,\"time\":\"1970-01-01T00:00:01.000Z\",\"line\":\"one\"}\n\n" +
			"event: gap\nid: 6\ndata: {\"offset\":5,\"gap\":1}\n\n" +
			"id: 8\ndata: {\"offset\":6,\"time\":\"1970-01-01T00:00:02.000Z\",\"line\":\"wo\"}\n\n"},
		"grep": {Query{Format: SSELines, Grep: regexp.MustCompile("^o")},
			"id: 5\ndata: {\"offset\":0,\"time\":\"1970-01-01T00:00:01.000Z\",\"line\":\"one\"}\n\nevent: gap\nid: 6\ndata: {\"offset\":5,\"gap\":1}\n\n"},
	} {
		if have := shown(t, c.q, src); have != c.want {
			t.Errorf("%s: it is\n%swant\n%s", name, have, c.want)
		}
	}
}

// replayed puts together what events say: runs of bytes, gaps and what happened.
func replayed(t *testing.T, text string) (all []string) {
	t.Helper()
	at := int64(-1)
	var run []byte
	for _, event := range strings.Split(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		_, data, _ := strings.Cut(event, "data: ")
		var o struct {
			Offset      int64
			Base64      []byte
			Gap         int64
			Event, Text string
		}
		if err := json.Unmarshal([]byte(data), &o); err != nil {
			t.Fatalf("%q: %v", event, err)
		}
		if o.Base64 != nil {
			if len(run) > 0 && o.Offset == at+int64(len(run)) {
				run = append(run, o.Base64...)
				continue
			}
			if len(run) > 0 {
				all = append(all, fmt.Sprint(at, string(run)))
			}
			at, run = o.Offset, o.Base64
			continue
		}
		if len(run) > 0 {
			all = append(all, fmt.Sprint(at, string(run)))
			run = nil
		}
		all = append(all, data)
	}
	if len(run) > 0 {
		all = append(all, fmt.Sprint(at, string(run)))
	}
	return all
}

// Whoever is cut behind any event and goes on at its ID gets all the others and none
// twice.
func TestSSEResumes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		src := &memory{most: 1 + random.IntN(50)}
		for at := int64(0); at < 400; at++ {
			src.data = append(src.data, "abc\n\xff"[random.IntN(5)])
			for random.IntN(60) == 0 {
				src.events = append(src.events, journal.Event{Offset: at, Kind: fmt.Sprint("event ", len(src.events))})
			}
		}
		src.events = append(src.events, journal.Event{Offset: 400, Kind: "head"}, journal.Event{Offset: 400, Kind: "head again"})
		q := Query{Format: SSE, Events: true}
		if random.IntN(2) == 0 { // nothing happens in a gap
			q.Events = false
			from := random.Int64N(300)
			src.holes = []hole{{from, from + 1 + random.Int64N(99)}}
		}
		all := shown(t, q, src)
		events := strings.SplitAfter(strings.TrimSuffix(all, "\n\n"), "\n\n")
		cut := 1 + random.IntN(len(events))
		before := strings.Join(events[:cut], "")
		_, id, _ := strings.Cut(before[strings.LastIndex(before, "id: "):], "id: ")
		id, _, _ = strings.Cut(id, "\n")
		p, err := ParsePlace(id)
		if err != nil {
			t.Fatal(err)
		}
		q.Resume(p)
		have, want := replayed(t, strings.TrimSuffix(before, "\n\n")+"\n\n"+shown(t, q, src)), replayed(t, all)
		if strings.Join(have, "|") != strings.Join(want, "|") {
			t.Fatalf("cut behind %s it is\n%s\nwant\n%s", id, strings.Join(have, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestParsePlace(t *testing.T) {
	for text, want := range map[string]Place{
		"0": {}, "4096": {Offset: 4096}, "4096+2": {Offset: 4096, Events: 2}, "1@E": {Offset: 1, Epoch: "E"}, "1+3@E": {Offset: 1, Events: 3, Epoch: "E"},
	} {
		if p, err := ParsePlace(text); p != want || err != nil || string(p.append(nil)) != text {
			t.Errorf("%s is %+v, %v, written %s", text, p, err, p.append(nil))
		}
	}
	for _, text := range []string{"", "x", "-1", "1+", "+1", "1+-1", "1.5", "1 ", "99999999999999999999"} {
		if p, err := ParsePlace(text); err == nil {
			t.Errorf("%q is %+v", text, p)
		}
	}
}
