package transcript

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// colours are the SGR sequences that may be in safe text.
var colours = regexp.MustCompile("\x1b\\[[0-9:;]{0,61}m")

// Whatever a console prints, what is shown of it steers no terminal: it is UTF-8 and
// has no control character but tabs, ends of lines and, where they are wanted,
// colours, which end with the line.
func FuzzSafe(f *testing.F) {
	for _, s := range []string{"plain\r\n", "\x1b[31mred\x1b[0m", "\x1b[1;", "\x1b[", "\x1b]0;title\a", "\xc2\x9b31m", "\xe2\x80\xae", "\xf0\x9f\x98\x80", "\xf0\x9f", "\x1b[38:2:1:2:3m\x1b\x1b[m", "\x1b[" + strings.Repeat("1;", 99) + "m"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, p []byte, cut uint8) {
		src := &memory{data: p, most: int(cut)}
		var w bytes.Buffer
		for _, colour := range []bool{false, true} {
			w.Reset()
			q := Query{Colour: colour}
			if _, err := q.Write(t.Context(), src, 0, src.Head(), &w); err != nil {
				t.Fatal(err)
			}
			check(t, w.Bytes(), colour)
			for shown := range bytes.Lines(w.Bytes()) {
				all := colours.FindAll(shown, -1)
				if k := len(all); k > 0 && string(all[k-1]) != sgrReset && string(all[k-1]) != "\x1b[m" {
					t.Fatalf("a colour of %q goes on behind %q", p, shown)
				}
			}
			// Shown bit by bit it is the same.
			line, _, _ := bytes.Cut(p, []byte("\n"))
			line = bytes.TrimRight(line, "\r")
			var bits []byte
			open, shown := false, 0
			for n := range len(line) + 1 {
				k := settled(line[:n])
				if n == len(line) {
					k = n
				}
				bits, open = appendSafe(bits, line[shown:k], colour, open)
				shown = k
			}
			if whole, _ := appendSafe(nil, line, colour, false); !bytes.Equal(bits, whole) {
				t.Fatalf("bit by bit %q is shown as %q, want %q", line, bits, whole)
			}
		}
		s, whole := appendString(nil, p)
		check(t, append(s, '\n'), false)
		var back string
		if err := json.Unmarshal(s, &back); err != nil || whole != utf8.Valid(p) || back != string(bytes.ToValidUTF8(p, []byte("\uFFFD"))) && whole {
			t.Fatalf("%q as JSON is %s, %v: %q", p, s, err, back)
		}
	})
}

func check(t *testing.T, shown []byte, colour bool) {
	t.Helper()
	if colour {
		shown = colours.ReplaceAll(shown, nil)
	}
	if !utf8.Valid(shown) {
		t.Fatalf("no UTF-8: %q", shown)
	}
	for _, r := range string(shown) {
		if r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f && r <= 0x9f || r == 0x202e) {
			t.Fatalf("%q steers a terminal: %q", r, shown)
		}
	}
}
