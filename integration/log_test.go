package integration

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// counting is the config of a console that counts to 300000 and then echoes, with a
// journal of small, compressed segments and a memory of less than one.
const counting = `
[[chardev]]
name = "vm"
device = "exec:stty raw -echo; seq 1 300000; exec cat"
history = "64KiB"
log = { max_size = "256KiB", keep = 100, compress = true }
`

// counted is what it prints.
func counted() []byte {
	var b bytes.Buffer
	for i := range 300000 {
		fmt.Fprintln(&b, i+1)
	}
	return b.Bytes()
}

// newCounting starts a daemon with it and returns when it has counted, and all
// segments but the current one are compressed.
func newCounting(t testing.TB) *daemon {
	t.Helper()
	d := startDaemon(t, counting, nil)
	d.counted(int64(len(counted())))
	return d
}

// counted waits for offset, and for compression.
func (d *daemon) counted(offset int64) {
	d.t.Helper()
	eventually(d.t, patience, func() error {
		if i := d.info("vm"); i.Offset != offset {
			return fmt.Errorf("it has printed %d bytes, want %d", i.Offset, offset)
		}
		plain, _ := filepath.Glob(d.path("state/vm/vm-*.log"))
		zipped, _ := filepath.Glob(d.path("state/vm/vm-*.zst"))
		if len(plain) > 0 || len(zipped) < 5 {
			return fmt.Errorf("%d segments are not compressed, %d are", len(plain), len(zipped))
		}
		return nil
	})
}

// offline runs one of chardevd's commands that finds the daemon, if one runs, and what it keeps by
// the config.
func (d *daemon) offline(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	return execute(d.t, d.command(append(args, "-c", d.config)...))
}

// What was printed is shown by the daemon and, when it has ended, from its files.
func TestLog(t *testing.T) {
	d := newCounting(t)
	all := string(counted())
	ask := d.cli
	said := ""
	for range 2 {
		for _, c := range []struct {
			args string
			code int
			want string
		}{
			{"log vm --raw", 0, all},
			{"log vm", 0, all},
			{"log vm -n 3", 0, "299998\n299999\n300000\n"},
			{"log vm --raw --since 4 --until 9", 0, all[4:9]},
			{"log vm --since -14B --offsets", 0, "1988881 299999\n1988888 300000\n"},
			{"log vm --grep ^7777$ -C 1", 0, "7776\n7777\n7778\n"},
			{"log vm --grep 99999$ -n 2", 0, "199999\n299999\n"},
			{"search ^123456$", 0, "vm:123456\n"},
			{"search ^123456$ --json", 0, `{"chardev":"vm","offset":753080,`},
			{"search 1234567", 1, ""},
			{"search zzz --since 1h --events", 1, ""},
		} {
			stdout, stderr, code := ask(strings.Fields(c.args)...)
			ok := stdout == c.want || strings.HasSuffix(c.args, "--json") && strings.HasPrefix(stdout, c.want)
			if code != c.code || !ok || stderr != said {
				t.Errorf("%s: exit %d, stderr %q, stdout %d bytes %.200q; want %.200q", c.args, code, stderr, len(stdout), stdout, c.want)
			}
		}
		if said == "" {
			d.stops()
		}
		ask, said = d.offline, "chardevd: no daemon runs: reading the journals in "+d.path("state")+"\n"
	}

	// The next daemon's offsets go on, and whoever comes back misses nothing.
	d.serve()
	d.counted(int64(2 * len(all)))
	if stdout, _, code := d.cli("log", "vm", "--raw", "--since", fmt.Sprint(len(all)-7)); code != 0 || stdout != "300000\n"+all {
		t.Errorf("exit %d, %d bytes, want %d", code, len(stdout), len(all)+7)
	}
	if stdout, _, code := d.cli("log", "vm", "--events", "--json", "--grep", "^up:"); code != 0 || strings.Count(stdout, `"event":"up"`) != 2 {
		t.Errorf("exit %d, events %s", code, stdout)
	}
}

// What comes is followed, with prompts, and goes on within a line when the daemon was
// started again, after it was killed too: nothing is missing or there twice.
func TestLogFollow(t *testing.T) {
	d := startDaemon(t, strings.ReplaceAll(counting, "300000", "20000"), nil)
	follow := startCmd(t, d.command("log", "vm", "--follow", "--control", "unix:"+d.path("control")))
	if err := follow.out.sees(patience, "19999\n20000\n"); err != nil {
		t.Fatal(err)
	}
	in := startCmd(t, d.command("attach", "vm", "--since", "end", "--control", "unix:"+d.path("control")))
	for _, text := range []string{"login: ", "root\n", "\x1b[2J# "} {
		io.WriteString(in.stdin, text)
		if err := follow.out.sees(patience, strings.ReplaceAll(text, "\x1b", "^[")); err != nil {
			t.Fatal(err)
		}
	}
	in.kill()
	d.stops()
	d.serve() // the guest counts again
	if err := follow.out.sees(patience, "\n19999\n20000\n"); err != nil {
		t.Fatal(err)
	}
	offset := d.info("vm").Offset
	eventually(t, patience, func() error { // what is not in the journal is gone with a daemon that is killed
		if j := d.info("vm").Journal; j == nil || j.Behind > 0 {
			return fmt.Errorf("the journal: %+v", j)
		}
		return nil
	})
	d.cmd.Process.Kill()
	<-d.done
	d.serve()
	if err := follow.out.sees(patience, "\n19999\n20000\n"); err != nil {
		t.Fatal(err)
	}
	follow.kill()
	<-follow.done
	if n := d.info("vm").Offset; n <= offset {
		t.Errorf("it has printed %d bytes, and before the last start %d", n, offset)
	}
	want, _, _ := d.cli("log", "vm")
	have := follow.out.text()
	if begin, rest, _ := strings.Cut(have, "\n"); !strings.HasSuffix("\n"+want, "\n"+have) || rest == "" {
		want = want[max(0, len(want)-len(have)):]
		at := 0
		for at < len(want) && want[len(want)-1-at] == have[len(have)-1-at] {
			at++
		}
		t.Errorf("%d bytes from line %q on are followed; they are not the last of the log's but for the last %d: %.300q, want %.300q", len(have), begin, at, have[max(0, len(have)-at-100):], want[max(0, len(want)-at-100):])
	}
}

// A recording that follows is ended by ^C, and whole then.
func TestRecordFollows(t *testing.T) {
	d := newCounting(t)
	live := startCmd(t, d.command("record", "vm", "--follow", "--since", "5lines", "--control", "unix:"+d.path("control")))
	if err := live.out.sees(patience, "300000"); err != nil {
		t.Fatal(err)
	}
	live.signal(t, syscall.SIGINT)
	if code := live.exits(t, patience); code != 0 || !strings.HasSuffix(live.out.text(), "]\n") {
		t.Errorf("exit %d, %q, %q", code, live.out.text(), live.stderr.text())
	}
}

// The log of a console that is no more is shown beside those of others: by the one who may
// read the files.
func TestLogOfWhatIsGone(t *testing.T) {
	d := startDaemon(t, `
[[chardev]]
name = "stays"
device = "exec:echo the word of one; cat"
[[chardev]]
name = "goes"
device = "exec:echo the word of the other; cat"
`, nil)
	for _, name := range []string{"stays", "goes"} {
		eventually(t, patience, func() error {
			if out, _, _ := d.cli("log", name); !strings.Contains(out, "the word") {
				return fmt.Errorf("the log of %s has %q", name, out)
			}
			return nil
		})
	}
	text, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, d.config, strings.Split(string(text), "[[chardev]]\nname = \"goes\"")[0])
	if out, stderr, code := d.cli("reload"); code != 0 || !strings.Contains(out, "- chardev goes") {
		t.Fatalf("reload: %s%s", out, stderr)
	}
	if out, stderr, code := d.offline("log", "goes"); code != 0 || out != "the word of the other\n" || !strings.Contains(stderr, "goes is no console any more: reading its journal in "+d.path("state")) {
		t.Errorf("exit %d, %q, %q", code, out, stderr)
	}
	if out, stderr, code := d.offline("search", "word of"); code != 0 || stderr != "" || !strings.Contains(out, "stays:the word of one\n") || !strings.Contains(out, "goes:the word of the other\n") {
		t.Errorf("exit %d, %q, %q", code, out, stderr)
	}
	if out, stderr, code := d.offline("log", "none"); code != 1 || !strings.Contains(stderr, `no chardev "none"; there is stays`) {
		t.Errorf("exit %d, %q, %q", code, out, stderr)
	}
	if out, stderr, code := d.cli("log", "goes"); code != 1 || !strings.Contains(stderr, `no chardev "goes"`) { // by --control alone nobody knows where
		t.Errorf("exit %d, %q, %q", code, out, stderr)
	}
}
