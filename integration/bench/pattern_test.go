package main

import (
	"strings"
	"testing"
)

// pieces feeds a stream in pieces of odd sizes.
func pieces(c *checker, stream []byte) {
	for n := 1; len(stream) > 0; n = n*3%4093 + 1 {
		n = min(n, len(stream))
		c.feed(stream[:n])
		stream = stream[n:]
	}
}

func stream(from, to int64) (p []byte) {
	for from < to {
		n := int(min(to-from, chunkMax))
		p = append(p, streamAt(from, n)...)
		from += int64(n)
	}
	return p
}

func join(parts ...[]byte) (p []byte) {
	for _, q := range parts {
		p = append(p, q...)
	}
	return p
}

func TestChecker(t *testing.T) {
	const sent = 3*period + 100
	wrong := stream(0, sent)
	wrong[period+7]++
	garbled := stream(0, sent)
	copy(garbled[1000:], make([]byte, 500))
	for _, test := range []struct {
		name    string
		stream  []byte
		missing int64
		gaps    int
		err     string
	}{
		{"whole", stream(0, sent), 0, 0, ""},
		{"preamble", join([]byte("SSS"), stream(0, sent)), 0, 0, ""},
		{"preamble later", join(stream(0, 10), []byte("S"), stream(10, sent)), 0, 0, "garbled"},
		{"one missing", join(stream(0, 5000), stream(5001, sent)), 1, 1, ""},
		{"the first missing", join([]byte("S"), stream(1, sent)), 1, 1, ""},
		{"many missing", join(stream(0, 5000), stream(77777, 200000), stream(300000, sent)), 72777 + 100000, 2, ""},
		{"a period missing", join(stream(0, 5000), stream(5000+period, sent)), period, 0, ""},
		{"the end missing", stream(0, sent-50000), 50000, 0, ""},
		{"twice", join(stream(0, 5000), stream(4000, sent)), -1000, 1, "twice"},
		{"twice and missing", join(stream(0, 5000), stream(4000, 9000), stream(20000, sent)), 10000, 2, ""},
		{"wrong byte", wrong, 0, 1, "garbled"},
		{"garbled", garbled, 0, 1, "garbled"},
		{"broken off at a gap", join(stream(0, 5000), stream(6000, 6010)), sent - 5010, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c checker
			pieces(&c, test.stream)
			n, err := c.missing(sent)
			if err == nil && test.err != "" || err != nil && (test.err == "" || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			if test.err == "" && (n != test.missing || c.gaps != test.gaps) {
				t.Fatalf("%d missing in %d gaps, want %d in %d", n, c.gaps, test.missing, test.gaps)
			}
		})
	}
}

func TestPatternHasNoOtherPlace(t *testing.T) {
	seen := map[string]bool{}
	for i := range int64(period) {
		s := string(streamAt(i, anchor))
		if seen[s] {
			t.Fatalf("the %d bytes from %d on come twice in the pattern", anchor, i)
		}
		seen[s] = true
	}
}

func TestPreambleIsNotInThePattern(t *testing.T) {
	if i := strings.IndexByte(string(pattern), preamble); i >= 0 {
		t.Fatalf("the preamble is at %d", i)
	}
}
