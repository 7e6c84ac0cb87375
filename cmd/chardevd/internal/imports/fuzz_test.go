package imports

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// within holds that every notice of an importer has a place in its text and one line.
func within(t *testing.T, text string, notices []Notice) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for _, n := range notices {
		if n.Line < 1 || n.Line > len(lines) || n.Column < 1 || n.Column > utf8.RuneCountInString(lines[n.Line-1])+1 {
			t.Errorf("%q: %s is nowhere in it", text, n)
		}
		if strings.ContainsAny(n.String(), "\n\r") {
			t.Errorf("%q: %q has more than one line", text, n)
		}
	}
}

// imported holds what an importer makes of a text against what it promises.
func imported(t *testing.T, l loader, text string, c *Config, err error) {
	t.Helper()
	if err != nil {
		mistakes, ok := errors.AsType[*Mistakes](err)
		if !ok || len(mistakes.List) == 0 || c != nil {
			t.Fatalf("%q: %v of no mistake", text, err)
		}
		within(t, text, mistakes.List)
		return
	}
	within(t, text, c.Notices)
	made := l.text(t, c)
	if wrong := l.load(t, made); wrong != "" && !tooLongHere(c) {
		t.Errorf("%q: what comes of it does not load: %s\n%s", text, wrong, made)
	}
}

// tooLongHere says whether a relative path has not room for the folder of the test.
func tooLongHere(c *Config) bool {
	for _, one := range c.Chardevs {
		for _, e := range one.endpoints() {
			if a := e.Address; a.Transport == "unix" && !strings.HasPrefix(a.Where, "/") && !strings.HasPrefix(a.Where, "@") && len(a.Where) > 60 {
				return true
			}
		}
	}
	return false
}

func FuzzOptions(f *testing.F) {
	for _, seed := range []string{"", "socket,id=c0,path=/r/a,,b,server,nowait", "a=b=c,,,d,", ",=,no", "ringbuf,size=1.5M,id=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := source{file: "options", text: text}
		at := make([]int, len(text)+1)
		for i := range at {
			at[i] = i
		}
		l := s.options("-chardev", word{text, at, -1}, "backend", chardevKeys)
		within(t, text, s.mistakes)
		within(t, text, s.notices)
		var again []string
		for n, i := range l.items {
			if i.keyAt < 0 || i.keyAt > i.at || i.at > len(text) {
				t.Errorf("%q: %q is at %d and %d", text, i.key, i.keyAt, i.at)
			}
			if n > 0 && i.keyAt <= l.items[n-1].keyAt && i.keyAt != i.at {
				t.Errorf("%q: %q is not behind %q", text, i.key, l.items[n-1].key)
			}
			again = append(again, i.key+"="+strings.ReplaceAll(i.value, ",", ",,"))
		}
		// What was read is read again as it is.
		text = strings.Join(again, ",")
		if strings.HasSuffix(text, "=") {
			text += "," // or else the last value's end would be the comma's of the next
		}
		s = source{file: "options", text: text}
		at = make([]int, len(text)+1)
		for i, one := range s.options("-chardev", word{text, at, -1}, "backend", chardevKeys).items {
			if i >= len(l.items) || one.key != l.items[i].key || one.value != l.items[i].value {
				t.Fatalf("%q is read as another one", text)
			}
		}
	})
}

func FuzzQemu(f *testing.F) {
	for _, form := range qemuForms {
		f.Add(form.text, false)
	}
	for _, m := range malformed() {
		f.Add(strings.Replace(m.text, "^", "", 1), true)
	}
	l := newLoader(f)
	f.Fuzz(func(t *testing.T, text string, asWritten bool) {
		if strings.Contains(text, "filename") {
			t.Skip() // files of this host
		}
		c, err := Qemu("options", text, asWritten)
		imported(t, l, text, c, err)
	})
}

func FuzzLibvirt(f *testing.F) {
	for _, d := range domains {
		f.Add("<domain><devices>"+d.text+"</devices></domain>", false)
	}
	l := newLoader(f)
	f.Fuzz(func(t *testing.T, text string, asWritten bool) {
		c, err := Libvirt("vm.xml", text, asWritten)
		imported(t, l, text, c, err)
	})
}
