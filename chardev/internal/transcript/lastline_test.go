package transcript

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLastLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"\r\n \r\n":                        "",
		"one\ntwo":                         "two",
		"one\r\r\ntwo\r\n\r\n":             "two",
		"vm login: ":                       "vm login:",
		"10 %\r20 %\r30 %":                 "30 %",
		"10 %\r20 %\r":                     "20 %",
		"a\tb":                             "a b",
		"\x1b[1;31mred\x1b[0m \x1b[K":      "red",
		"\x1b]0;title\aok":                 "ok",
		"\x1b]52;c;aGk=\x1b\\ok":           "ok",
		"\x1bP1$r\x1b\\ok":                 "ok",
		"\x1b(B\x1b=ok\x1b":                "ok",
		"ok\x1b[12;":                       "ok",
		"ok\x1b]0;never finished":          "ok",
		"a\x00\x07\x08b\x7fc":              "abc",
		"\xff\xfeé\u202eé":                 "\ufffd\ufffdé\ufffdé",
		"text\n\x1b[2J\x1b[H\x1b[?25h\r\n": "text",
	} {
		if have := LastLine([]byte(in)); have != want {
			t.Errorf("of %q it is %q, want %q", in, have, want)
		}
	}
	long := LastLine([]byte(strings.Repeat("é", 500)))
	if n := utf8.RuneCountInString(long); n != lastLineMax {
		t.Errorf("a long one has %d characters, want %d", n, lastLineMax)
	}
}

// Whatever a console prints, nothing in the text steers a terminal.
func FuzzLastLine(f *testing.F) {
	f.Add([]byte("a\x1b[2Jb\x1b]0;x\x07\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		text := LastLine(in)
		if !utf8.ValidString(text) || utf8.RuneCountInString(text) > lastLineMax {
			t.Fatalf("of %q it is %q", in, text)
		}
		for _, r := range text {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				t.Fatalf("of %q it is %q, with %U", in, text, r)
			}
		}
	})
}
