package integration

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// lines is what the guest prints from count a up to and without b.
func lines(a, b uint32) string {
	var s strings.Builder
	for ; a != b; a++ {
		fmt.Fprintf(&s, "%08x\r\n", a)
	}
	return s.String()
}

func TestChecker(t *testing.T) {
	whole := lines(0x1ff0, 0x2010)
	for _, test := range []struct {
		name, stream           string
		gaps, repeats, garbled int64
		typed, says            string
	}{
		{"a whole stream", whole, 0, 0, 0, "", ""},
		{"an unfinished last line", whole + "00002", 0, 0, 0, "", ""},
		{"nothing", "", 0, 0, 0, "", ""},
		{"over the top", lines(0xfffffffe, 3), 0, 0, 0, "", ""},
		{"typed bytes", lines(0, 3) + "+61\r\n+ff\r\n" + lines(3, 5), 0, 0, 0, "a\xff", ""},
		{"a typed byte first", "+61\r\n" + lines(3, 5), 0, 0, 0, "a", ""},
		{"begins within a line", whole[3:], 0, 0, 0, "", ""},
		{"begins with a line's end", whole[9:], 0, 0, 0, "", ""},
		{"begins within a typed line", "1\r\n" + lines(3, 5), 0, 0, 0, "", ""},
		{"begins within a line before a typed one", "002\r\n+61\r\n" + lines(3, 5), 0, 0, 0, "a", ""},
		{"begins with another line's end", "1f0\r\n" + whole, 0, 0, 1, "", `begins with "1f0\r\n"`},
		{"a line is missing", lines(0, 3) + lines(4, 6), 1, 0, 0, "", "before byte 40: gap: 1 lines missing, 00000004 follows 00000002"},
		{"a line comes twice", lines(0, 3) + lines(2, 6), 0, 1, 0, "", "repeat: 00000002 follows 00000002"},
		{"a byte is missing", whole[:44] + whole[45:], 0, 0, 1, "", "not the guest's"},
		{"a byte comes twice", whole[:44] + whole[43:], 0, 0, 1, "", "not the guest's"},
		{"a byte is another", whole[:44] + "x" + whole[45:], 0, 0, 1, "", "not the guest's"},
		{"a bit is another", whole[:47] + "f" + whole[48:], 1, 1, 0, "", "gap"},
		{"bytes over a line's end are missing", whole[:44] + whole[77:], 1, 0, 1, "", "not the guest's"},
		{"capitals", lines(9, 10) + "0000000A\r\n" + lines(11, 12), 0, 0, 1, "", `"0000000A\r\n"`},
		{"no line ends", lines(0, 2) + strings.Repeat("0", 200), 0, 0, 1, "", "not the guest's"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, size := range []int{1, 7, 1 << 20} {
				var c Checker
				for p := []byte(test.stream); len(p) > 0; {
					n, _ := c.Write(p[:min(size, len(p))])
					p = p[n:]
				}
				if c.Bytes != int64(len(test.stream)) {
					t.Errorf("pieces of %d: %d bytes counted of %d", size, c.Bytes, len(test.stream))
				}
				bad := func(have, want int64) bool { return have != want && !(test.name == "no line ends" && have > 0) }
				if bad(c.Gaps, test.gaps) || bad(c.Repeats, test.repeats) || bad(c.Garbled, test.garbled) {
					t.Errorf("pieces of %d: %d gaps, %d repeats, %d garbled; want %d, %d, %d: %v", size, c.Gaps, c.Repeats, c.Garbled, test.gaps, test.repeats, test.garbled, c.Err())
				}
				if string(c.Typed) != test.typed {
					t.Errorf("pieces of %d: typed %q, want %q", size, c.Typed, test.typed)
				}
				if err := c.Err(); (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
					t.Errorf("pieces of %d: says %v, want %q in it", size, err, test.says)
				}
			}
		})
	}
}

// Whatever run of bytes is cut out of a stream or put in twice, the checker
// notices.
func TestCheckerNotices(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	whole := []byte(lines(0xfff0, 0x10100))
	for range 1000 {
		at, n := 20+r.IntN(len(whole)-1200), 1+r.IntN(1000)
		var cut, twice Checker
		cut.Write(bytes.Join([][]byte{whole[:at], whole[at+n:]}, nil))
		twice.Write(bytes.Join([][]byte{whole[:at+n], whole[at:]}, nil))
		if cut.Err() == nil {
			t.Fatalf("bytes %d to %d are missing, not noticed", at, at+n)
		}
		if twice.Err() == nil {
			t.Fatalf("bytes %d to %d come twice, not noticed", at, at+n)
		}
	}
}
