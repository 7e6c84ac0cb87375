package channel

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// decodeTelnet decodes src, cut at the given places, in the buffer it came in, and
// tells the data and the commands in their order.
func decodeTelnet(t testing.TB, d *telnetDecoder, src []byte, cuts ...int) (data []byte, story []string) {
	t.Helper()
	from := 0
	for _, to := range append(cuts, len(src)) {
		p := bytes.Clone(src[from:to])
		n := 0
		for used := 0; used < len(p); {
			m, u, ev := d.next(p[n:], p[used:])
			if m > u || u == 0 {
				t.Fatalf("%d bytes of data out of %d", m, u)
			}
			n += m
			used += u
			if ev.command != 0 {
				story = append(story, fmt.Sprintf("%d: %d %d %x", len(data)+n, ev.command, ev.option, ev.sub))
			}
		}
		data = append(data, p[:n]...)
		from = to
	}
	return data, story
}

func allBytes() []byte {
	var b []byte
	for i := range 256 {
		b = append(b, byte(i))
	}
	return append(b, "\r\n\r\r\n\x00\r\x00\n\xff\xff\r\xff\r"...)
}

// The four ways in which bytes travel: towards a server and from it, BINARY or not.
func telnetWays(f func(name string, enc telnetEncoder, dec telnetDecoder)) {
	for _, toServer := range []bool{true, false} {
		for _, binary := range []bool{true, false} {
			f(fmt.Sprintf("to_server_%v_binary_%v", toServer, binary),
				telnetEncoder{server: !toServer, binary: binary}, telnetDecoder{server: toServer, binary: binary})
		}
	}
}

func TestTelnetCarriesEveryByteCutAnywhere(t *testing.T) {
	want := allBytes()
	telnetWays(func(name string, enc telnetEncoder, dec telnetDecoder) {
		t.Run(name, func(t *testing.T) {
			first := enc
			wire := first.append(nil, want)
			for cut := range len(wire) + 1 {
				d := dec
				if got, story := decodeTelnet(t, &d, wire, cut); !bytes.Equal(got, want) || story != nil {
					t.Fatalf("cut at %d: %q and commands %v", cut, got, story)
				}
			}
			for cut := range len(want) + 1 {
				e, d := enc, dec
				parts := e.append(e.append(nil, want[:cut]), want[cut:])
				if got, _ := decodeTelnet(t, &d, parts); !bytes.Equal(got, want) {
					t.Fatalf("written in two at %d: %q", cut, got)
				}
			}
			for cut := range len(want) + 1 { // a command between two writes
				e, d := enc, dec
				wire := e.append(nil, want[:cut])
				wire = append(wire, e.command([]byte{telnetIAC, telnetNOP}, e.binary)...)
				wire = e.append(wire, want[cut:])
				if got, _ := decodeTelnet(t, &d, wire); !bytes.Equal(got, want) {
					t.Fatalf("a command at %d: %q", cut, got)
				}
			}
		})
	})
}

func TestTelnetDecodesCommands(t *testing.T) {
	long := bytes.Repeat([]byte{'x'}, telnetMaxSub+1)
	for _, c := range []struct {
		name, wire, data string
		story            []string
	}{
		{"NOP eats nothing", "a\xff\xf1b", "ab", []string{"1: 241 0 "}},
		{"break in its place", "ab\xff\xf3c", "abc", []string{"2: 243 0 "}},
		{"all four about options", "\xff\xfb\x01\xff\xfc\x02\xff\xfd\x03\xff\xfe\xff", "", []string{"0: 251 1 ", "0: 252 2 ", "0: 253 3 ", "0: 254 255 "}},
		{"a window is no data", "a\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0b", "ab", []string{"1: 250 31 00500018"}},
		{"a window of 255", "\xff\xfa\x1f\x00\xff\xff\x00\xff\xff\xff\xf0", "", []string{"0: 250 31 00ff00ff"}},
		{"an empty one is none", "a\xff\xfa\xff\xf0b", "ab", nil},
		{"one without parameters", "\xff\xfa\x2c\xff\xf0", "", []string{"0: 250 44 "}},
		{"a subnegotiation broken off", "\xff\xfa\x1f\x00\xff\xfb\x01x", "x", []string{"0: 251 1 "}},
		{"one in another", "\xff\xfa\x1f\x00\xff\xfa\x18\x01\xff\xf0x", "x", []string{"0: 250 24 01"}},
		{"the longest", "\xff\xfa" + string(long[:telnetMaxSub+1]) + "\xff\xf0", "", []string{fmt.Sprintf("0: 250 120 %x", long[:telnetMaxSub])}},
		{"one too long is skipped", "a\xff\xfa\x1f" + string(long) + "\xff\xf0b\xff\xfa\x1f\xff\xf0", "ab", []string{"2: 250 31 "}},
		{"SE alone", "a\xff\xf0b", "ab", []string{"1: 240 0 "}},
		{"what is no command", "a\xff\x07b", "ab", []string{"1: 7 0 "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for cut := range len(c.wire) + 1 {
				var d telnetDecoder
				data, story := decodeTelnet(t, &d, []byte(c.wire), cut)
				if string(data) != c.data || !slices.Equal(story, c.story) {
					t.Fatalf("cut at %d: %q, %v; want %q, %v", cut, data, story, c.data, c.story)
				}
			}
		})
	}
}

func TestTelnetEnterIsOneCRAtAServer(t *testing.T) {
	for _, key := range []string{"\r\n", "\r\x00"} {
		d := telnetDecoder{server: true}
		if got, _ := decodeTelnet(t, &d, []byte("ls"+key+"x"), 3); string(got) != "ls\rx" {
			t.Errorf("Enter as %q is %q", key, got)
		}
	}
	d := telnetDecoder{}
	if got, _ := decodeTelnet(t, &d, []byte("ls\r\nx")); string(got) != "ls\r\nx" {
		t.Errorf("a server's new line is %q", got)
	}
}

func TestTelnetServerSendsTextAsItIs(t *testing.T) {
	e := telnetEncoder{server: true}
	if got := e.append(e.append(nil, []byte("one\r")), []byte("\ntwo\rthree")); string(got) != "one\r\ntwo\r\x00three" {
		t.Errorf("sent as %q", got)
	}
}

func TestTelnetCopiesOnlyWhatItMust(t *testing.T) {
	e := telnetEncoder{binary: true}
	f := new(telnetFrame)
	plain, special := []byte("plain\r\n"), []byte{1, 255, 2}
	out := f.encode(&e, [][]byte{plain, special, plain}, 17)
	if &out[0][0] != &plain[0] || &out[2][0] != &plain[0] || !bytes.Equal(out[1], []byte{1, 255, 255, 2}) {
		t.Errorf("sent as %q", out)
	}
}

// FuzzTelnetDecoder: what comes out does not depend on how the stream is cut, and
// is never more than what went in.
func FuzzTelnetDecoder(f *testing.F) {
	f.Add([]byte("a\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0b\r\n\r\x00\xff\xff\xff\xf1"), uint16(3), uint16(5), byte(0))
	f.Add([]byte("\xff\xfd\x00\xff\xfb\x00\xff\xfa\x2c\x01\x00\x01\xc2\x00\xff\xf0"), uint16(1), uint16(9), byte(1))
	f.Add([]byte("\r\xff\xf1\x00\xff\xfa\xff\xff\xff\xfb\xff"), uint16(2), uint16(2), byte(3))
	f.Fuzz(func(t *testing.T, src []byte, a, b uint16, way byte) {
		whole := telnetDecoder{server: way&1 != 0, binary: way&2 != 0}
		cut := whole
		cuts := []int{int(a) % (len(src) + 1), int(b) % (len(src) + 1)}
		slices.Sort(cuts)
		data, story := decodeTelnet(t, &whole, src)
		cutData, cutStory := decodeTelnet(t, &cut, src, cuts...)
		if !bytes.Equal(data, cutData) || !slices.Equal(story, cutStory) {
			t.Fatalf("whole: %q %v\ncut at %d: %q %v", data, story, cuts, cutData, cutStory)
		}
		if len(data) > len(src) || whole.state != cut.state || len(whole.sub) > telnetMaxSub+1 {
			t.Fatalf("%d bytes of data out of %d, %d kept", len(data), len(src), len(whole.sub))
		}
		telnetWays(func(name string, enc telnetEncoder, dec telnetDecoder) {
			wire := enc.append(enc.append(nil, src[:cuts[0]]), src[cuts[0]:])
			if len(wire) > 2*len(src)+1 {
				t.Fatalf("%s: %d bytes are sent as %d", name, len(src), len(wire))
			}
			if got, _ := decodeTelnet(t, &dec, wire, min(cuts[1], len(wire))); !bytes.Equal(got, src) {
				t.Fatalf("%s: %q arrives as %q", name, src, got)
			}
		})
	})
}
