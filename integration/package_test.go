package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// packages are the Debian package in two versions, built by the one command.
func packages(t *testing.T) (older, newer string) {
	t.Helper()
	program(t, "dpkg-deb")
	dist := folder(t)
	for _, version := range []string{"1.0", "2.0"} {
		run(t, "../cmd/chardevd/package/build.sh", dist, version)
	}
	all, err := filepath.Glob(filepath.Join(dist, "chardevd_?.0_*.deb"))
	if err != nil || len(all) != 2 {
		t.Fatalf("built %q, %v", all, err)
	}
	return all[0], all[1]
}

// A root is the root of a system of its own.
type root struct {
	*namespace
	t   *testing.T
	dir string
}

// newRoot makes one: as this machine is, without writing anything of it; or, in a long
// run, a Debian with the least that there can be.
func newRoot(t *testing.T) *root {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a package is installed as root only: run the tests as root")
	}
	dir := folder(t)
	script := `mount -t tmpfs tmpfs ` + dir + ` && cd ` + dir + ` && mkdir upper work root lower && `
	if long {
		run(t, program(t, "debootstrap"), "--variant=minbase", "--include=systemd-standalone-sysusers,systemd-standalone-tmpfiles,man-db",
			"bookworm", filepath.Join(dir, "debian"), "http://deb.debian.org/debian")
		script = `mount --bind ` + dir + `/debian /mnt && ` + script + `mount --move /mnt lower && `
	} else {
		script += `mount --bind / lower && `
	}
	script += `mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root &&
		mount -t proc proc root/proc && mount --rbind /dev root/dev && mount -t tmpfs tmpfs root/run && mount -t tmpfs tmpfs root/tmp && chmod 1777 root/tmp`
	return &root{unshared(t, "mount", script), t, filepath.Join(dir, "root")}
}

// command is one that runs there.
func (r *root) command(args ...string) *exec.Cmd {
	r.t.Helper()
	enter := append(r.enter(), "--root="+"/proc/"+strconv.Itoa(r.cmd.Process.Pid)+"/root"+r.dir, "--wd=/proc/"+strconv.Itoa(r.cmd.Process.Pid)+"/root"+r.dir)
	args = append(enter, args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	return cmd
}

// does runs a command there, which must be a success without a word of complaint.
func (r *root) does(args ...string) string {
	r.t.Helper()
	stdout, stderr, code := execute(r.t, r.command(args...))
	if code != 0 {
		r.t.Fatalf("%q: exit %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// dpkg runs dpkg there; what others do after it, as man-db, is left out.
func (r *root) dpkg(args ...string) {
	r.t.Helper()
	r.does(append([]string{"dpkg", "--force-unsafe-io", "--no-triggers"}, args...)...)
}

// gives puts a file there.
func (r *root) gives(path, text string) {
	r.t.Helper()
	cmd := r.command("tee", path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v: %s", path, err, out)
	}
}

// serves runs the installed daemon as its unit does, does what is to be done
// meanwhile, and ends it.
func (r *root) serves(meanwhile func()) {
	r.t.Helper()
	p := startCmd(r.t, r.command("setpriv", "--reuid=chardevd", "--regid=chardevd", "--init-groups", "--no-new-privs",
		"/usr/bin/chardevd", "serve", "-c", "/etc/chardevd/chardev.toml"))
	p.sees(r.t, "ready")
	meanwhile()
	p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.exits(r.t, patience); code != 0 {
		r.t.Errorf("it ends with %d:\n%s", code, p.stderr.text())
	}
}

// The package is installed, what is in it works, it is upgraded, removed and purged:
// what an operator wrote and the daemon keeps goes with the last only.
func TestDebianPackage(t *testing.T) {
	t.Parallel()
	older, newer := packages(t)
	checkConfigPage(t, older)
	r := newRoot(t)
	install := func(deb string) {
		t.Helper()
		text, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		r.gives("/tmp/chardevd.deb", string(text))
		r.dpkg("--install", "/tmp/chardevd.deb")
	}
	there := func(path string, want bool) {
		t.Helper()
		_, _, code := execute(t, r.command("test", "-e", path))
		if have := code == 0; have != want {
			t.Errorf("%s is there: %v, want %v", path, have, want)
		}
	}

	install(older)
	if v := r.does("chardevd", "version"); !strings.HasPrefix(v, "chardevd 1.0 ") {
		t.Errorf("version %q", v)
	}
	if g := r.does("id", "-Gn", "chardevd"); !strings.Contains(g, "chardevd") || !strings.Contains(g, "dialout") {
		t.Errorf("the user is in %q", g)
	}
	if s := r.does("stat", "-c", "%U:%a", "/var/lib/chardevd", "/var/log/chardevd", "/etc/chardevd/conf.d", "/run/chardevd"); s != "chardevd:700\nchardevd:700\nchardevd:750\nchardevd:755\n" {
		t.Errorf("folders: %q", s)
	}
	if s := r.does("chardevd", "check"); s != "ok\n" {
		t.Errorf("check of the config as it is installed: %q", s)
	}
	r.gives("/etc/chardevd/conf.d/vm1.toml", "[[chardev]]\nname = \"vm1\"\ndevice = \"sim:echo\"\nfrontends = [\"unix:/run/chardevd/vm1\"]\n")
	r.does("sh", "-c", `sed -i '/^state/i audit = "/var/log/chardevd/audit.jsonl"' /etc/chardevd/chardev.toml; echo '# mine' >>/etc/chardevd/chardev.toml; chardevd check`)
	r.serves(func() {
		r.does("sh", "-c", "echo before | chardevd attach vm1 --since start")
		if out := r.does("chardevd", "__complete", "attach", ""); !strings.Contains(out, "vm1\tup, sim:echo\n") {
			t.Errorf("completion: %q", out)
		}
		r.gives("/etc/chardevd/conf.d/vm2.toml", "[[chardev]]\nname = \"vm2\"\ndevice = \"null:\"\n")
		if out := r.does("setpriv", "--reuid=chardevd", "--regid=chardevd", "--init-groups", "chardevd", "reload"); !strings.Contains(out, "vm2") {
			t.Errorf("reload: %q", out)
		}
	})

	install(newer)
	if v := r.does("chardevd", "version"); !strings.HasPrefix(v, "chardevd 2.0 ") {
		t.Errorf("version after the upgrade: %q", v)
	}
	if s := r.does("tail", "-n", "1", "/etc/chardevd/chardev.toml"); s != "# mine\n" {
		t.Errorf("the operator's config ends with %q after the upgrade", s)
	}
	r.serves(func() {
		if out := r.does("chardevd", "log", "vm1"); !strings.Contains(out, "before") {
			t.Errorf("the log after the upgrade: %q", out)
		}
	})

	r.dpkg("--remove", "chardevd")
	there("/usr/bin/chardevd", false)
	there("/lib/systemd/system/chardevd.service", false)
	there("/etc/chardevd/chardev.toml", true)
	there("/var/lib/chardevd/vm1/vm1.log", true)
	there("/var/log/chardevd/audit.jsonl", true)
	r.dpkg("--purge", "chardevd")
	for _, path := range []string{"/etc/chardevd", "/var/lib/chardevd", "/var/log/chardevd", "/run/chardevd", "/usr/share/doc/chardevd"} {
		there(path, false)
	}
	if left := r.does("sh", "-c", "ls /etc/systemd/system /etc/systemd/system/*.wants /var/lib/systemd/deb-systemd-helper-* | grep chardevd || true"); left != "" {
		t.Errorf("left of the units: %q", left)
	}
}

// checkConfigPage holds the page chardev.toml(5) of a package against what is in it: it
// tells of all keys and options, and names only files that are there.
func checkConfigPage(t *testing.T, deb string) {
	t.Helper()
	dir := folder(t)
	run(t, "dpkg-deb", "-x", deb, dir)
	page := run(t, "zcat", filepath.Join(dir, "usr/share/man/man5/chardev.toml.5.gz"))
	for _, want := range []string{"on_lag", "rs485_before", "writer_idle"} {
		if !strings.Contains(page, `\fB`+want+"\\fR\n") {
			t.Errorf("chardev.toml(5) does not tell of %s", want)
		}
	}
	if at := strings.Index(page, `\[la]`); at >= 0 {
		t.Errorf("chardev.toml(5) has a link: %.80q", page[max(0, at-40):])
	}
	files := regexp.MustCompile(`/usr/share/doc/chardevd/[\w./]*\w`).FindAllString(page, -1)
	if len(files) < 3 {
		t.Errorf("chardev.toml(5) names the files %q", files)
	}
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Errorf("chardev.toml(5) names a file that is not there: %v", err)
		}
	}
}

// The man pages are such that man(1) has nothing to say of them.
func TestManPages(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	run(t, chardevd(t), "manual", dir)
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 15 {
		t.Fatalf("pages %q, %v", pages, err)
	}
	man := program(t, "man")
	for _, page := range pages {
		cmd := exec.Command(man, "--warnings", "--local-file", page)
		cmd.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8", "MAN_KEEP_FORMATTING=")
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil || complaints.Len() > 0 {
			t.Errorf("%s: %v: %s", page, err, complaints.String())
		}
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS"} {
			if !strings.Contains(string(out), "\n"+section+"\n") {
				t.Errorf("%s has no %s", page, section)
			}
		}
	}
}

// The units are right, and the hardened one is.
func TestUnits(t *testing.T) {
	t.Parallel()
	analyze := program(t, "systemd-analyze")
	dir := folder(t)
	for _, name := range []string{"chardevd.service", "chardevd-lab.service"} {
		text, err := os.ReadFile(filepath.Join("../cmd/chardevd/package", name))
		if err != nil {
			t.Fatal(err)
		}
		// Neither the program nor its man pages are installed here.
		unit := regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(strings.ReplaceAll(string(text), "/usr/bin/chardevd", chardevd(t)), "")
		write(t, filepath.Join(dir, name), unit)
	}
	for _, name := range []string{"chardevd.service", "chardevd-lab.service"} {
		out, err := exec.Command(analyze, "verify", "--recursive-errors=yes", filepath.Join(dir, name)).CombinedOutput()
		if err != nil || strings.Contains(string(out), "chardevd") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", "--no-pager", "../cmd/chardevd/package/chardevd.service").CombinedOutput()
	level := regexp.MustCompile(`Overall exposure level for chardevd.service: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || level == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if v, err := strconv.ParseFloat(string(level[1]), 64); err != nil || v > 2.0 {
		t.Errorf("exposure level %s, want at most 2.0\n%s", level[1], out)
	}
}
