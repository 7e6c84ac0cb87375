package transcript

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chardevd/chardev/internal/journal"
)

// inUTC makes local time UTC for a test.
func inUTC(t *testing.T) {
	zone := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = zone })
}

func place(t testing.TB, s string) Since {
	t.Helper()
	p, err := ParseSince(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestShow(t *testing.T) {
	inUTC(t)
	plain := &memory{data: []byte("one\r\ntwo\nthree\r\r\n\nfour"), marks: []mark{{0, 1000}, {5, 2000}, {7, 2500}, {9, 3004}}}
	holed := &memory{data: []byte("one\ntwo\nthree\nfour\n"), oldest: 1, holes: []hole{{5, 10}}, marks: []mark{{0, 1000}, {10, 2000}}}
	killed := &memory{data: []byte("one\ntwo\nthree\nfour\n"), holes: []hole{{4, 15}}, killed: journal.Holes{{From: 5, To: 15}}, marks: []mark{{0, 1000}, {15, 2000}}}
	odd := &memory{data: []byte("\x1b[1;31mred\x1b[0m \x1b[2J\a\xff\u00e9\u009b\u202e\tx\x7f\rok \x1b[32mgreen\nplain\n")}
	busy := &memory{data: []byte("one\ntwo\n"), marks: []mark{{0, 1000}}, events: []journal.Event{
		{Offset: 0, Time: time.UnixMilli(900), Kind: "up", Text: "tcp"},
		{Offset: 4, Time: time.UnixMilli(1500), Kind: "attach", Text: "me\x1b[2J"},
		{Offset: 6, Time: time.UnixMilli(1600), Kind: "break", Text: "x"},
		{Offset: 8, Time: time.UnixMilli(1700), Kind: "down", Text: "eof"}}}
	search := &memory{data: []byte("a1\nb2\nc3\nd4\ne5\nf6\ng3\nh8\n")}
	until := place(t, "7")
	for name, c := range map[string]struct {
		src  *memory
		q    Query
		want string
	}{
		"text":          {plain, Query{}, "one\ntwo\nthree\n\nfour\n"},
		"raw":           {plain, Query{Format: Raw}, string(plain.data)},
		"range":         {plain, Query{Since: place(t, "1"), Until: &until}, "ne\ntw\n"},
		"raw range":     {plain, Query{Format: Raw, Since: place(t, "1"), Until: &until}, "ne\r\ntw"},
		"lines":         {plain, Query{Lines: 2}, "\nfour\n"},
		"times":         {plain, Query{Timestamps: true}, "1970-01-01T00:00:01.000Z one\n1970-01-01T00:00:02.000Z two\n1970-01-01T00:00:03.004Z three\n1970-01-01T00:00:03.004Z \n1970-01-01T00:00:03.004Z four\n"},
		"prefixes":      {plain, Query{Timestamps: true, Offsets: true, Names: true, Name: "vm", Lines: 1}, "vm:18 1970-01-01T00:00:03.004Z four\n"},
		"json":          {plain, Query{Format: JSON, Name: "vm", Lines: 1}, `{"chardev":"vm","offset":18,"time":"1970-01-01T00:00:03.004Z","line":"four"}` + "\n"},
		"gaps":          {holed, Query{Since: place(t, "0"), Timestamps: true}, "1970-01-01T00:00:01.000Z [gap: at most 1 bytes are missing at offset 0]\n1970-01-01T00:00:01.000Z ne\n1970-01-01T00:00:01.000Z t\n1970-01-01T00:00:02.000Z [gap: at most 5 bytes are missing at offset 5]\n1970-01-01T00:00:02.000Z ree\n1970-01-01T00:00:02.000Z four\n"},
		"raw gaps":      {holed, Query{Since: place(t, "0"), Format: Raw}, "ne\ntree\nfour\n"},
		"json gaps":     {holed, Query{Since: place(t, "4"), Format: JSON}, `{"offset":4,"time":"1970-01-01T00:00:01.000Z","line":"t"}` + "\n" + `{"offset":5,"gap":5}` + "\n" + `{"offset":10,"time":"1970-01-01T00:00:02.000Z","line":"ree"}` + "\n" + `{"offset":14,"time":"1970-01-01T00:00:02.000Z","line":"four"}` + "\n"},
		"no time":       {&memory{data: []byte("x\n")}, Query{Timestamps: true}, "- x\n"},
		"safe":          {odd, Query{}, `red ^[[2J^G\xffé\u009b\u202e` + "\tx^?^Mok green\nplain\n"},
		"safe, colour":  {odd, Query{Colour: true}, "\x1b[1;31mred\x1b[0m " + `^[[2J^G\xffé\u009b\u202e` + "\tx^?^Mok \x1b[32mgreen\x1b[0m\nplain\n"},
		"json is exact": {odd, Query{Format: JSON}, `{"offset":0,"line":"\u001b[1;31mred\u001b[0m \u001b[2J\u0007` + "\uFFFDé" + `\u009b\u202e\tx\u007f\rok \u001b[32mgreen","base64":"G1sxOzMxbXJlZBtbMG0gG1sySgf/w6nCm+KArgl4fw1vayAbWzMybWdyZWVu"}` + "\n" + `{"offset":46,"line":"plain"}` + "\n"},
		"events":        {busy, Query{Events: true}, "[up: tcp]\none\n[attach: me^[[2J]\ntw\n[break: x]\no\n[down: eof]\n"},
		"event times":   {busy, Query{Events: true, Timestamps: true, Since: place(t, "8")}, "1970-01-01T00:00:01.700Z [down: eof]\n"},
		"json events":   {busy, Query{Events: true, Format: JSON, Since: place(t, "4")}, `{"offset":4,"time":"1970-01-01T00:00:01.500Z","event":"attach","text":"me\u001b[2J"}` + "\n" + `{"offset":4,"time":"1970-01-01T00:00:01.000Z","line":"tw","cut":true}` + "\n" + `{"offset":6,"time":"1970-01-01T00:00:01.600Z","event":"break","text":"x"}` + "\n" + `{"offset":6,"time":"1970-01-01T00:00:01.000Z","line":"o"}` + "\n" + `{"offset":8,"time":"1970-01-01T00:00:01.700Z","event":"down","text":"eof"}` + "\n"},
		"event search":  {busy, Query{Events: true, Grep: regexp.MustCompile("^o|down")}, "one\n[down: eof]\n"},
		"grep":          {search, Query{Grep: regexp.MustCompile("3|5$")}, "c3\ne5\ng3\n"},
		"grep literal":  {search, Query{Grep: regexp.MustCompile("3")}, "c3\ng3\n"},
		"grep context":  {search, Query{Grep: regexp.MustCompile("3"), Context: 1, Names: true, Name: "n"}, "n-b2\nn:c3\nn-d4\n--\nn-f6\nn:g3\nn-h8\n"},
		"grep joined":   {search, Query{Grep: regexp.MustCompile("[36]"), Context: 1}, "b2\nc3\nd4\ne5\nf6\ng3\nh8\n"},
		"grep lines":    {search, Query{Grep: regexp.MustCompile("[1-5]"), Lines: 2}, "e5\ng3\n"},
		"grep raw":      {plain, Query{Grep: regexp.MustCompile("o"), Format: Raw}, "one\r\ntwo\nfour\n"},
		"grep end":      {plain, Query{Grep: regexp.MustCompile("^three$")}, "three\n"},
		"grep colours":  {odd, Query{Grep: regexp.MustCompile("ok green$")}, `red ^[[2J^G\xffé\u009b\u202e` + "\tx^?^Mok green\n"},
		"grep json":     {search, Query{Grep: regexp.MustCompile("b"), Context: 1, Format: JSON}, `{"offset":0,"line":"a1","context":true}` + "\n" + `{"offset":3,"line":"b2"}` + "\n" + `{"offset":6,"line":"c3","context":true}` + "\n"},
		"killed":        {killed, Query{Since: place(t, "-8")}, "ne\n[gap: at most 1 bytes are missing at offset 4]\n[gap: at most 10 bytes are missing at offset 5: the daemon was killed or crashed]\nour\n"},
		"raw killed":    {killed, Query{Since: place(t, "-8"), Format: Raw}, "ne\nour\n"},
		"json killed":   {killed, Query{Since: place(t, "6"), Format: JSON}, `{"offset":6,"gap":9,"why":"the daemon was killed or crashed"}` + "\n" + `{"offset":15,"time":"1970-01-01T00:00:02.000Z","line":"our"}` + "\n"},
		"grep gaps":     {holed, Query{Grep: regexp.MustCompile("ree"), Context: 2}, "[gap: at most 5 bytes are missing at offset 5]\nree\nfour\n"},
		"nothing":       {&memory{}, Query{}, ""},
		"a recording":   {odd, Query{Format: Asciicast, Cols: 80, Rows: 24, Until: &until}, `{"version":2,"width":80,"height":24}` + "\n" + `[0.000,"o","\u001b[1;31m"]` + "\n"},
		"recorded events": {busy, Query{Format: Asciicast, Cols: 80, Rows: 24, Events: true, Name: "vm"}, `{"version":2,"width":80,"height":24,"timestamp":0,"title":"vm"}` + "\n" +
			`[0.000,"m","up: tcp"]` + "\n" + `[0.100,"o","one\n"]` + "\n" + `[0.600,"m","attach: me\u001b[2J"]` + "\n" + `[0.600,"o","tw"]` + "\n" + `[0.700,"m","break: x"]` + "\n" + `[0.700,"o","o\n"]` + "\n" + `[0.800,"m","down: eof"]` + "\n"},
		"recorded gaps": {holed, Query{Format: Asciicast, Cols: 1, Rows: 2, Since: place(t, "4")}, `{"version":2,"width":1,"height":2,"timestamp":1}` + "\n" + `[0.000,"o","t"]` + "\n" + `[1.000,"m","gap: at most 5 bytes are missing at offset 5"]` + "\n" + `[1.000,"o","ree\nfour\n"]` + "\n"},
		"no recording":  {&memory{}, Query{Format: Asciicast, Cols: 1, Rows: 2}, `{"version":2,"width":1,"height":2}` + "\n"},
	} {
		for _, most := range []int{0, 1} {
			if most == 1 && c.q.Format == Asciicast {
				continue // an array for each part
			}
			c.src.most = most
			if got, _ := show(t, c.q, c.src); got != c.want {
				t.Errorf("%s: shown is\n%s\nwant\n%s", name, got, c.want)
			}
			c.src.most = 0
		}
	}
	if _, r := show(t, Query{Since: place(t, "0"), Grep: regexp.MustCompile("e")}, holed); r != (Result{Next: 19, Lost: 6, Found: 2}) {
		t.Errorf("the result is %+v", r)
	}
}

func TestContradictions(t *testing.T) {
	src := &memory{data: []byte("abc")}
	one, start := place(t, "1"), place(t, "start")
	q := Query{Until: &start, Follow: true, Format: Asciicast, Grep: regexp.MustCompile("x")}
	if err := q.Check(); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not all is told: %v", err)
	}
	q = Query{Since: place(t, "2"), Until: &one}
	if err := q.Check(); err != nil {
		t.Error(err)
	}
	if _, _, err := q.Range(t.Context(), src, time.Now()); err == nil || !strings.Contains(err.Error(), "until=1 (offset 1) stands before since=2 (offset 2)") {
		t.Errorf("a range that goes back: %v", err)
	}
}

// Long lines are cut in the same places, whatever the parts in which they come.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", maxLine/16)
	src := &memory{data: []byte(long + "\n" + long + "x\n" + long + long + "needle\n" + long + long)}
	var want strings.Builder
	told := func(at int) { fmt.Fprintf(&want, "[cut: the line goes on at offset %d]\n", at) }
	fmt.Fprintf(&want, "%s\n%s\n", long, long)
	told(2*maxLine + 1)
	fmt.Fprintf(&want, "x\n%s\n", long)
	told(3*maxLine + 3)
	fmt.Fprintf(&want, "%s\n", long)
	told(4*maxLine + 3)
	fmt.Fprintf(&want, "needle\n%s\n", long)
	told(5*maxLine + 10)
	fmt.Fprintf(&want, "%s\n", long)
	for _, most := range []int{0, 777, maxLine - 1, maxLine, maxLine + 1, 2*maxLine + 1} {
		src.most = most
		if got, _ := show(t, Query{}, src); got != want.String() {
			t.Errorf("in parts of %d: %d bytes are shown, want %d", most, len(got), want.Len())
		}
		if got, _ := show(t, Query{Grep: regexp.MustCompile("needle")}, src); got != "needle\n" {
			t.Errorf("in parts of %d: %d bytes are found", most, len(got))
		}
	}
}

// model is what a search is to show: what grep(1) would.
func model(stream string, re *regexp.Regexp, context int) string {
	lines := strings.Split(strings.TrimSuffix(stream, "\n"), "\n")
	if stream == "" {
		lines = nil
	}
	var out strings.Builder
	last := -1
	for i, l := range lines {
		near := re == nil
		for j := max(0, i-context); re != nil && j <= min(len(lines)-1, i+context); j++ {
			near = near || re.MatchString(lines[j])
		}
		if near {
			if last >= 0 && last != i-1 {
				out.WriteString("--\n")
			}
			out.WriteString(l + "\n")
			last = i
		}
	}
	return out.String()
}

// What is shown is the lines of the stream, whatever parts it comes in.
func TestShownIsTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"a", "b", "needle", "need", "ne\nedle", "\n", "\n\n", "xyz", "NEEd", "lE", "\u212aey", strings.Repeat("z", 5000)})
		stream := strings.Join(rapid.SliceOfN(word, 0, 60).Draw(t, "words"), "")
		src := &memory{data: []byte(stream), most: rapid.SampledFrom([]int{0, 1, 3, 100, 5000}).Draw(t, "most")}
		pattern := rapid.SampledFrom([]string{"", "needle", "need$", "(ne+dle|xyz)", "b.*needle", "a{2}", "^$", "(?i)NEEDLE", "(?i)key", "xyz|(?i)needle|a+b", "need|", "(?i)Y"}).Draw(t, "pattern")
		q := Query{Context: rapid.IntRange(0, 3).Draw(t, "context")}
		if pattern != "" {
			q.Grep = regexp.MustCompile(pattern)
		}
		var w bytes.Buffer
		if _, err := q.Write(context.Background(), src, 0, src.Head(), &w); err != nil {
			t.Fatal(err)
		}
		got := w.String()
		want := model(stream, q.Grep, q.Context)
		if q.Context == 0 {
			want = strings.ReplaceAll(want, "--\n", "")
		}
		if got != want {
			t.Fatalf("shown is %q, want %q", got, want)
		}
	})
}

// A recording can be played, wherever the stream is cut: each line is JSON and
// valid UTF-8, the times ascend, and together it is what was printed.
func TestRecordingIsValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "é", "€", "😀", "\x1b[2J", "\r\n", "\"", "\\", "\u2028", "\u009b"}), 0, 40).Draw(t, "text"), "")
		src := &memory{data: []byte(text), most: rapid.IntRange(0, 3).Draw(t, "most")}
		ms := int64(0)
		for at := int64(0); at < src.Head(); at += int64(rapid.IntRange(1, 5).Draw(t, "chunk")) {
			src.marks = append(src.marks, mark{at, 1_000_000 + ms})
			ms += int64(rapid.IntRange(-3, 1000).Draw(t, "ms"))
		}
		from := rapid.Int64Range(0, src.Head()).Draw(t, "from")
		to := rapid.Int64Range(from, src.Head()).Draw(t, "to")
		var w bytes.Buffer
		q := Query{Format: Asciicast, Cols: 80, Rows: 24}
		if _, err := q.Write(context.Background(), src, from, to, &w); err != nil {
			t.Fatal(err)
		}
		printed, err := play(w.Bytes())
		if err != nil {
			t.Fatalf("%v in\n%s", err, w.Bytes())
		}
		if want := strings.ToValidUTF8(text[from:to], "\uFFFD"); strings.ReplaceAll(printed, "\uFFFD\uFFFD", "\uFFFD") != strings.ReplaceAll(want, "\uFFFD\uFFFD", "\uFFFD") && from == 0 && to == src.Head() {
			t.Fatalf("printed is %q, want %q", printed, want)
		}
	})
}

// play checks a recording and returns all that it prints.
func play(recording []byte) (string, error) {
	lines := strings.Split(strings.TrimSuffix(string(recording), "\n"), "\n")
	if !bytes.Equal(recording, bytes.ToValidUTF8(recording, []byte("?"))) {
		return "", errors.New("no valid UTF-8")
	}
	var header struct{ Version, Width, Height int }
	if err := json.Unmarshal([]byte(lines[0]), &header); err != nil || header.Version != 2 || header.Width < 1 || header.Height < 1 {
		return "", fmt.Errorf("header %s: %v", lines[0], err)
	}
	var printed strings.Builder
	last := 0.0
	for _, l := range lines[1:] {
		var a []any
		if err := json.Unmarshal([]byte(l), &a); err != nil || len(a) != 3 {
			return "", fmt.Errorf("%s: %v", l, err)
		}
		at, code, data := a[0].(float64), a[1].(string), a[2].(string)
		if at < last || code != "o" && code != "m" || data == "" {
			return "", fmt.Errorf("%s", l)
		}
		if last = at; code == "o" {
			printed.WriteString(data)
		}
	}
	return printed.String(), nil
}
