package transcript

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"chardevd/chardev/internal/journal"
)

// A reader of SSEText is who is cut again and again.
type textReader struct {
	shown string
	id    string
	part  int // of shown, since id
}

// reads takes the first events of a connection that begins at r.id.
func (r *textReader) reads(t *testing.T, events []string) {
	t.Helper()
	again := r.part
	for _, e := range events {
		head, data, _ := strings.Cut("\n"+e, "\ndata: ")
		var text string
		if err := json.Unmarshal([]byte(data), &text); err != nil {
			t.Fatalf("%q: %v", e, err)
		}
		known := min(again, len(text))
		if r.shown[len(r.shown)-again:][:known] != text[:known] {
			t.Fatalf("%q comes again as %q", r.shown[len(r.shown)-again:], text)
		}
		again -= known
		r.shown += text[known:]
		r.part += len(text) - known
		if _, id, has := strings.Cut(head, "\nid: "); has && id != r.id {
			r.id, r.part, again = id, 0, 0
		}
	}
}

func eventsOf(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n\n"), "\n\n")
}

// Text that is followed, cut behind any event, and gone on with at the last ID is what it
// would have been in one.
func TestSSETextResumes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		src := &memory{most: 1 + random.IntN(50)}
		for at := int64(0); at < 300; at++ {
			src.data = append(src.data, "abcü\n\x1b\r"[random.IntN(8)])
			if random.IntN(9) == 0 {
				src.marks = append(src.marks, mark{at, 1000 * at})
			}
		}
		src.data[299] = '\n' // else who follows waits for it
		q := Query{Format: Text, Name: "vm", Names: random.IntN(2) == 0, Offsets: random.IntN(2) == 0, Timestamps: random.IntN(2) == 0, Colour: random.IntN(2) == 0}
		switch random.IntN(3) {
		case 0:
			q.Grep, q.Context = regexp.MustCompile("ab|ca"), random.IntN(4)
		case 1:
			q.Events = true
			for n := range random.IntN(5) {
				src.events = append(src.events, journal.Event{Offset: int64(60 * n), Kind: fmt.Sprint("event ", n)}, journal.Event{Offset: int64(60 * n), Kind: "another"})
			}
		}
		want := shown(t, q, src)

		q.Format = SSEText
		all := src.data
		src.data = all[:random.IntN(len(all)+1)]
		steps := []func(){func() { src.data = all[:len(src.data)+random.IntN(len(all)-len(src.data)+1)] }, func() { src.data = all }}
		events := eventsOf(strings.Join(follow(t, q, src, steps...), ""))
		var r textReader
		for rounds := 0; ; rounds++ {
			n := len(events)
			if rounds < 5 { // a line came at least: before, nothing is known of what is near it
				n = min(n, 2+random.IntN(n))
			}
			r.reads(t, events[:n])
			if n == len(events) {
				break
			}
			again := q
			if r.id != "" {
				p, err := ParsePlace(r.id)
				if err != nil {
					t.Fatal(err)
				}
				again.Resume(p)
			}
			events = eventsOf(shown(t, again, src))
		}
		if r.shown != want {
			t.Fatalf("%+v: it is\n%q want\n%q", q, r.shown, want)
		}
	}
}
