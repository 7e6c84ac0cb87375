package channel

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A link leads to a socket or a port if it is root's, this process's user's, or of whoever
// has what it leads to; links to folders, and of links, count too.
func TestOwnLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make links of somebody else")
	}
	noLeaks(t)
	const me, other, another = 0, 12345, 12346
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.Mkdir(at("there"), 0o700))
	for name, owner := range map[string]int{"mine": me, "his": other} {
		l, err := net.Listen("unix", at("there/"+name))
		must(t, err, os.Lchown(at("there/"+name), owner, -1))
		defer l.Close()
	}
	link := func(name, to string, owner int) { must(t, os.Symlink(to, at(name)), os.Lchown(at(name), owner, -1)) }
	pair, slave, err := openPty()
	must(t, err)
	defer pair.close()
	defer slave.Close()
	link("tty", pair.name, other)
	link("mytty", pair.name, me)
	link("a", "there/mine", me)
	link("b", "there/mine", other)
	link("c", at("there/his"), other)
	link("d", "there/./../there//his", another)
	link("folder", "there", other)
	link("over", "b", me)
	link("loop", "loop", me)
	own := &Env{OwnLinks: func() bool { return true }}
	for where, want := range map[string]string{
		"unix:there/mine": "", "unix:a": "", "unix:c": "", "unix:folder/his": "", "serial:mytty": "",
		"unix:b": "of the user 12345", "unix:d": "of the user 12346", "unix:folder/mine": "of the user 12345",
		"unix:over": "of the user 12345", "serial:tty": "of the user 12345",
		"unix:loop": unix.ELOOP.Error(), "unix:none": unix.ENOENT.Error(), "unix:a/x": unix.ENOTDIR.Error(),
	} {
		a := MustParseAddress(where).In(dir)
		ch, err := own.Dial(t.Context(), a)
		if err == nil {
			ch.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", where, err, want)
		}
		if strings.HasPrefix(want, "of the user") {
			ch, err := Dial(t.Context(), a)
			if err != nil {
				t.Errorf("%s, whoever made the links: %v", where, err)
				continue
			}
			ch.Close()
		}
	}
}
