package chardev

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadControl(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("STATE_DIRECTORY", "")
	t.Setenv("RUNTIME_DIRECTORY", "")
	for _, c := range []struct{ why, text, want, err string }{
		{"the default", "", "unix:" + dir + "/state/control", ""},
		{"below a state folder", `state = "s"`, "unix:" + dir + "/s/control", ""},
		{"given", `control = "unix:run/x"`, "unix:" + dir + "/run/x", ""},
		{"among mistakes", "control = \"unix:/run/x\"\ncolour = 3\n[credentials.a]\ncert = \"none.pem\"\n[[chardev]]\nname = 5\n", "unix:/run/x", ""},
		{"a mistake itself", "control = 5\n", "", "chardev.toml:1:"},
		{"no TOML further down", "control = \"unix:/run/x\"\n[[chardev]]\nname = vm1\n", "unix:/run/x", ""},
		{"the default, no TOML further down", "[[chardev]]\nname = vm1\n", "unix:" + dir + "/state/control", ""},
		{"no TOML", "control = \n", "", "chardev.toml:1:"},
	} {
		file := filepath.Join(dir, "chardev.toml")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := LoadControl(file)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, %v; want an error with %q", c.why, a, err, c.err)
			}
		case err != nil || a.String() != c.want:
			t.Errorf("%s: %v, %v; want %s", c.why, a, err, c.want)
		}
	}
	if _, err := LoadControl(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there tells a socket")
	}
}
