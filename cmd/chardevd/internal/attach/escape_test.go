package attach

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// scan runs the scanner over pieces and writes what comes out: the data as it
// is, actions in <>.
func scan(s *Scanner, pieces ...[]byte) string {
	var out bytes.Buffer
	for _, p := range pieces {
		for len(p) > 0 {
			var data []byte
			var act Action
			data, act, p = s.Next(p)
			out.Write(data)
			if act != None {
				fmt.Fprintf(&out, "<%d>", act)
			}
		}
	}
	return out.String()
}

func TestScanner(t *testing.T) {
	for _, c := range []struct{ why, in, want string }{
		{"plain text is plain", "hello", "hello"},
		{"leave at the very start", "~.", "<1>"},
		{"leave behind CR", "ls\r~.", "ls\r<1>"},
		{"leave behind LF", "ls\n~.", "ls\n<1>"},
		{"not in the middle of a line", "a~.", "a~."},
		{"not at the end of a line", "a~\r.", "a~\r."},
		{"help, and what follows is still the start of a line", "~?~.", "<2><1>"},
		{"break, either case", "~b~B", "<3><3>"},
		{"the input: ask, seize, grant", "~w~W~g~G", "<4><5><6>~G"},
		{"break keeps the rest", "~bx~.", "<3>x~."},
		{"twice sends one, and the line has begun", "~~.", "~."},
		{"three at the start send two", "~~~.", "~~."},
		{"an unknown one sends both", "~x~.", "~x~."},
		{"an unknown one that ends the line", "~\r~.", "~\r<1>"},
		{"behind twice and a line end", "~~\r~.", "~\r<1>"},
		{"a lone one is held back", "\r~", "\r"},
		{"many lines", "\r\r\n~?\r~b", "\r\r\n<2>\r<3>"},
		{"bytes of all kinds", "\x00\xff~\xfe\r~.", "\x00\xff~\xfe\r<1>"},
	} {
		t.Run(c.why, func(t *testing.T) {
			if got := scan(NewScanner('~'), []byte(c.in)); got != c.want {
				t.Errorf("%q gives %q, want %q", c.in, got, c.want)
			}
			for i := range c.in { // cut once at every byte
				if got := scan(NewScanner('~'), []byte(c.in[:i]), []byte(c.in[i:])); got != c.want {
					t.Errorf("%q cut at %d gives %q, want %q", c.in, i, got, c.want)
				}
			}
			var single [][]byte // cut at every byte at once
			for i := range c.in {
				single = append(single, []byte{c.in[i]})
			}
			if got := scan(NewScanner('~'), single...); got != c.want {
				t.Errorf("%q byte by byte gives %q, want %q", c.in, got, c.want)
			}
		})
	}
}

// reference is the scanner's rule in its plainest form, a byte at a time.
func reference(in []byte, esc byte) string {
	var out bytes.Buffer
	start, pending := true, false
	for _, c := range in {
		if pending {
			pending = false
			if act := map[byte]Action{'.': Leave, '?': Help, 'b': Break, 'B': Break, 'w': Ask, 'W': Seize, 'g': Grant}[c]; act != None {
				fmt.Fprintf(&out, "<%d>", act)
				continue
			}
			if c != esc {
				out.WriteByte(esc)
			}
			out.WriteByte(c)
			start = c == '\r' || c == '\n'
			continue
		}
		if start && c == esc {
			pending = true
			continue
		}
		out.WriteByte(c)
		start = c == '\r' || c == '\n'
	}
	return out.String()
}

func TestScannerAgreesWithReferenceHoweverItIsCut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	letters := []byte("~~~\r\n.?bBx~")
	for range 20000 {
		in := make([]byte, rnd.IntN(24))
		for i := range in {
			in[i] = letters[rnd.IntN(len(letters))]
		}
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		if got, want := scan(NewScanner('~'), pieces...), reference(in, '~'); got != want {
			t.Fatalf("%q cut as %q gives %q, want %q", in, pieces, got, want)
		}
	}
}

func TestScannerAllocatesNothing(t *testing.T) {
	s, in := NewScanner('~'), []byte("some line\r~?~x another ~ line\r~~")
	n := testing.AllocsPerRun(100, func() {
		for p := in; len(p) > 0; {
			_, _, p = s.Next(p)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for each line, want none", n)
	}
}

func TestParseEscape(t *testing.T) {
	for _, c := range []struct {
		in   string
		char byte
		on   bool
		name string
	}{
		{"~", '~', true, "~"}, {"%", '%', true, "%"}, {"^]", 0x1d, true, "^]"}, {"^A", 1, true, "^A"},
		{"^a", 1, true, "^A"}, {"^@", 0, true, "^@"}, {"^?", 0x7f, true, "^?"}, {"^", '^', true, "^"},
		{"\x1d", 0x1d, true, "^]"}, {"none", 0, false, "^@"},
	} {
		char, on, err := ParseEscape(c.in)
		if err != nil || char != c.char || on != c.on {
			t.Errorf("ParseEscape(%q) = %#x, %v, %v; want %#x, %v", c.in, char, on, err, c.char, c.on)
		}
		if got := EscapeName(char); got != c.name {
			t.Errorf("EscapeName(%#x) = %q, want %q", char, got, c.name)
		}
	}
	for _, bad := range []string{"", "ab", "^1", "^^^", ".", "?", "b", "B", "\r", "\n", "^M", "^J", "None"} {
		if char, on, err := ParseEscape(bad); err == nil {
			t.Errorf("ParseEscape(%q) = %#x, %v; want an error", bad, char, on)
		}
	}
}
