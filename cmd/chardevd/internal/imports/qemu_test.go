package imports

import (
	"strings"
	"testing"
)

// written is what Qemu makes of a command line, as a config file.
func written(t *testing.T, text string, asWritten bool) string {
	t.Helper()
	c, err := Qemu("options", text, asWritten)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var b strings.Builder
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSocketsOfQemuAreMirrored(t *testing.T) {
	for text, want := range map[string]string{
		"-chardev socket,id=c0,path=/x,server=on,wait=off": `device = "unix:/x"`,
		"-chardev socket,id=c0,path=/x":                    `device = { listen = "unix:/x" }`,
	} {
		if got := written(t, text, false); !strings.Contains(got, want+"\n") {
			t.Errorf("%s: want %s, have\n%s", text, want, got)
		}
	}
}
