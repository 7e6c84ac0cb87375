package channel

import (
	"bytes"
	"testing"
)

// Marks, in a decoded stream of which every byte is a rune.
const (
	aBreak  = '⎍'
	anError = '✗'
)

// decodePieces decodes a stream that comes in pieces, each in a buffer of its own,
// as Read does it.
func decodePieces(pieces ...[]byte) string {
	var d parmrk
	var out []rune
	for _, p := range pieces {
		src := bytes.Clone(p)
		for len(src) > 0 {
			n, used, m := d.decode(src, src)
			for _, b := range src[:n] {
				out = append(out, rune(b))
			}
			switch m {
			case breakMark:
				out = append(out, aBreak)
			case errorMark:
				out = append(out, anError)
			}
			src = src[used:]
		}
	}
	return string(out)
}

func TestMarksAreDecoded(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"plain":                    "plain",
		"a\xff\xffb":               "aÿb",
		"a\xff\x00\x00b":           "a⎍b",
		"a\xff\x00xb":              "a✗xb",
		"\xff\x00\xff\xff\xff":     "✗ÿÿ", // the damaged byte is not doubled
		"\xff\x00\x00\xff\x00\x00": "⎍⎍",
		"a\x00b":                   "a\x00b",
		"\xff":                     "", // more is to come
		"\xffx":                    "x",
	} {
		if got := decodePieces([]byte(in)); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// Whatever comes and wherever it is cut, the bytes and the marks are the same, and
// they are no more than there were.
func FuzzMarks(f *testing.F) {
	f.Add([]byte("a\xff\xffb\xff\x00\x00\xff\x00\xff\xff\xff"), uint16(3))
	f.Add([]byte("\xff\x00\xff\x00\x00\x00"), uint16(2))
	f.Fuzz(func(t *testing.T, in []byte, at uint16) {
		whole := decodePieces(in)
		if n := len([]rune(whole)); n > len(in) {
			t.Fatalf("%q is %d bytes and marks", in, n)
		}
		cut := int(at) % (len(in) + 1)
		if got := decodePieces(in[:cut], in[cut:]); got != whole {
			t.Fatalf("%q cut at %d is %q, whole %q", in, cut, got, whole)
		}
		single := make([][]byte, len(in))
		for i := range in {
			single[i] = in[i : i+1]
		}
		if got := decodePieces(single...); got != whole {
			t.Fatalf("%q byte by byte is %q, whole %q", in, got, whole)
		}
	})
}
