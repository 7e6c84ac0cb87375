package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// For systemd's journal each line begins with the priority of its level, and has no
// time of its own.
func TestLogForTheJournal(t *testing.T) {
	var out bytes.Buffer
	log := newLog(&out, "info", "journal", nil).With("chardev", "vm1").WithGroup("g")
	log.Debug("not this")
	log.Info("a\nb", "time", 1)
	log.Warn("w")
	log.Error("e")
	const want = "<6>level=INFO msg=\"a\\nb\" chardev=vm1 g.time=1\n<4>level=WARN msg=w chardev=vm1\n<3>level=ERROR msg=e chardev=vm1\n"
	if out.String() != want {
		t.Errorf("written is %q, want %q", out.String(), want)
	}
	out.Reset()
	newLog(&out, "debug", "journal", nil).Debug("d")
	if out.String() != "<7>level=DEBUG msg=d\n" {
		t.Errorf("written is %q", out.String())
	}
}

// The log is for the journal if $JOURNAL_STREAM names what stderr is, and not if stderr
// was led elsewhere.
func TestLogFindsTheJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	for stream, journal := range map[string]bool{
		fmt.Sprintf("%d:%d", st.Dev, st.Ino):   true,
		fmt.Sprintf("%d:%d", st.Dev, st.Ino+1): false,
		fmt.Sprintf("%d:%d", st.Dev+1, st.Ino): false,
		"":                                     false,
	} {
		t.Setenv("JOURNAL_STREAM", stream)
		for format, want := range map[string]bool{"auto": journal, "text": false, "journal": true} {
			var out bytes.Buffer
			newLog(&out, "info", format, f).Info("x")
			if got := bytes.HasPrefix(out.Bytes(), []byte("<6>")); got != want {
				t.Errorf("%s with JOURNAL_STREAM=%s: %q", format, stream, out.String())
			}
		}
		if isJournal(new(bytes.Buffer), stream) {
			t.Error("a buffer is the journal")
		}
	}
}
