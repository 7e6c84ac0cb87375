package tomlpos

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// find walks a path like chardev.1."a b".name down the tree.
func find(n *Node, path ...any) *Node {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			n = n.Keys[p]
		case int:
			if p >= len(n.Elems) {
				return nil
			}
			n = n.Elems[p]
		}
		if n == nil {
			return nil
		}
	}
	return n
}

func place(text string, off int) string {
	l, c := Line(text, off)
	return fmt.Sprintf("%d:%d", l, c)
}

func TestScan(t *testing.T) {
	type P = []any
	for _, c := range []struct {
		why, text  string
		path       P
		key, value string
	}{
		{"after a byte order mark", "\ufeffa=1", P{"a"}, "1:4", "1:6"},
		{"a plain key", "a = 1\n  b =\t2", P{"b"}, "2:3", "2:7"},
		{"a table's header", "\n\t[ a . b ]\nc=1", P{"a", "b"}, "2:8", "2:2"},
		{"a table known first by one below it", "[a.b]\nx=1\n[a]\ny=1", P{"a"}, "3:2", "3:1"},
		{"the second table of an array", "[[a]]\nx=1\n[[a]]\n  x=2", P{"a", 1, "x"}, "4:3", "4:5"},
		{"its header", "[[a]]\nx=1\n  [[a]]\n  x=2", P{"a", 1}, "3:5", "3:3"},
		{"the array itself", "[[a]]\nx=1\n[[a]]\n  x=2", P{"a"}, "1:3", "1:1"},
		{"a table below the last one", "[[a]]\n[[a.b]]\n[[a]]\n[[a.b]]\n[[a.b]]\nx=1", P{"a", 1, "b", 1, "x"}, "6:1", "6:3"},
		{"a dotted key", "a . \"b\" . 'c' = 1", P{"a", "b", "c"}, "1:11", "1:17"},
		{"an escaped key", `"\u0061\x62\"c" = 1`, P{`ab"c`}, "1:1", "1:19"},
		{"an inline table", "a = { b = 1, c = { d = 2 } }", P{"a", "c", "d"}, "1:20", "1:24"},
		{"an inline table over lines", "a = { # }\n  b = 1,\n}\nc = 1", P{"a", "b"}, "2:3", "2:7"},
		{"after it", "a = { # }\n  b = 1,\n}\nc = 1", P{"c"}, "4:1", "4:5"},
		{"an array's element", "a = [ 'x', # ]\n  'y',\n]", P{"a", 1}, "2:3", "2:3"},
		{"tables in an array", "a = [{x=1},\n{x=2}]", P{"a", 1, "x"}, "2:2", "2:4"},
		{"after quotes of many lines", "a = \"\"\"\n]\n\\\"\"\"\"\"\"\nb = 1", P{"b"}, "4:1", "4:5"},
		{"after literal quotes of many lines", "a = '''\nb = 2\n''\\'''\nb = 1", P{"b"}, "4:1", "4:5"},
		{"after quotes that end in quotes", `a = ["""x""""", "y"]`, P{"a", 1}, "1:17", "1:17"},
		{"after an empty string", "a = ['', \"\", '''''', \"y\"]", P{"a", 3}, "1:22", "1:22"},
		{"after a string with a hash", "a = \"#\" # x\r\nb = 'C:\\' \r\nc = 1", P{"c"}, "3:1", "3:5"},
		{"after a date with a space", "a = [1979-05-27 07:32:00, 2]", P{"a", 1}, "1:27", "1:27"},
	} {
		t.Run(c.why, func(t *testing.T) {
			var m map[string]any
			if _, err := toml.Decode(c.text, &m); err != nil {
				t.Fatalf("the example is no TOML: %v", err)
			}
			root, err := Scan(c.text)
			if err != nil {
				t.Fatal(err)
			}
			n := find(root, c.path...)
			if n == nil {
				t.Fatalf("%v not found in %q", c.path, c.text)
			}
			if k, v := place(c.text, n.Key), place(c.text, n.Value); k != c.key || v != c.value {
				t.Errorf("%v in %q: key at %s, value at %s; want %s and %s", c.path, c.text, k, v, c.key, c.value)
			}
		})
	}
}

func TestScanDeep(t *testing.T) {
	for _, text := range []string{
		"a = " + strings.Repeat("[", 1<<20),
		"a = " + strings.Repeat("{a=", 1<<18),
		strings.Repeat("a.", 1<<19) + "a = 1",
		"[" + strings.Repeat("a.", 1<<19) + "a]",
	} {
		_, err := Scan(text)
		if _, ok := errors.AsType[*DeepError](err); !ok {
			t.Errorf("%.10q…: %v, want a DeepError", text, err)
		}
	}
	if _, err := Scan("a = " + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)); err != nil {
		t.Error(err)
	}
}

func TestLine(t *testing.T) {
	const text = "ab\ncd\n"
	for off, want := range map[int]string{-1: "1:1", 0: "1:1", 2: "1:3", 3: "2:1", 5: "2:3", 6: "3:1", 99: "3:1"} {
		if got := place(text, off); got != want {
			t.Errorf("offset %d: %s, want %s", off, got, want)
		}
	}
}

// FuzzScan: whatever the text, no panic; and if it is TOML, every key that the
// decoder found has a place where that very key is written, and the other way round.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		"a = 1", "[a]\nb=[1,{c=2}]\n[[d]]\n[[d.e]]\n[d.f]\n", "a.b.\"c d\" = '''\n'''", "[a.b]\n[a]\nc={d=1,\n}",
		"'' = \"\"\"\\\"\"\"\"\"\"\n\"\\u00e9\" = [[], [1979-05-27 07:32:00]]", "x=[[[],{a=[{}]}]]# c\r\n\ty = {}", "\"\\", "a=\"\\", "[[", "a=\"\"\"\\",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			text = "" // the decoder leaves out marks of UTF-16; the configuration is UTF-8
		}
		root, err := Scan(text)
		if err != nil {
			return
		}
		var m map[string]any
		if _, err := toml.Decode(text, &m); err != nil {
			return
		}
		same(t, text, "", m, root)
	})
}

func same(t *testing.T, text, path string, v any, n *Node) {
	if n == nil {
		t.Fatalf("%s has no place in %q", path, text)
	}
	list := func(l int) {
		if len(n.Elems) != l {
			t.Fatalf("%s has %d elements, want %d in %q", path, len(n.Elems), l, text)
		}
	}
	if n.Value < 0 || n.Value >= len(text) && path != "" {
		t.Fatalf("%s: value at %d, beyond %q", path, n.Value, text)
	}
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			same(t, text, path+"."+k, e, n.Keys[k])
			s := &scanner{text: text, pos: n.Keys[k].Key}
			if got := s.key()[0].name; got != k {
				t.Fatalf("%s.%q is said to be at %d, where %q is, in %q", path, k, n.Keys[k].Key, got, text)
			}
		}
		if len(v) != len(n.Keys) {
			t.Fatalf("%s: %d keys, want %d in %q", path, len(n.Keys), len(v), text)
		}
	case []map[string]any:
		list(len(v))
		for i, e := range v {
			same(t, text, fmt.Sprint(path, ".", i), e, n.Elems[i])
		}
	case []any:
		list(len(v))
		for i, e := range v {
			same(t, text, fmt.Sprint(path, ".", i), e, n.Elems[i])
		}
	}
}
