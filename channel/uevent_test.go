package channel

import (
	"strings"
	"testing"
)

const addedTTY = "add@/devices/pci0000:00/usb1/1-1/1-1:1.0/ttyUSB0/tty/ttyUSB0\x00ACTION=add\x00DEVPATH=/devices/pci0000:00/usb1/1-1/1-1:1.0/ttyUSB0/tty/ttyUSB0\x00SUBSYSTEM=tty\x00MAJOR=188\x00MINOR=0\x00DEVNAME=ttyUSB0\x00SEQNUM=2222\x00"

func TestUeventsAreParsed(t *testing.T) {
	for text, want := range map[string]uevent{
		addedTTY: {"add", "tty", "ttyUSB0"},
		"remove@/devices/x\x00ACTION=remove\x00SUBSYSTEM=usb\x00": {"remove", "usb", ""},
		"change@/x\x00":           {action: "change"},
		"add@/x\x00SUBSYSTEM":     {action: "add"},
		"add@/x\x00=\x00\x00=tty": {action: "add"},
	} {
		if u, ok := parseUevent([]byte(text)); !ok || u != want {
			t.Errorf("%q is %+v, %v; want %+v", text, u, ok, want)
		}
	}
	for _, text := range []string{"", "\x00", "add", "add@/x", "@/x\x00", "add@x\x00", "libudev\x00\xfe\xed\xca\xfeadd@/x\x00", "add\x00@/x"} {
		if u, ok := parseUevent([]byte(text)); ok {
			t.Errorf("%q is taken as %+v", text, u)
		}
	}
	for text, want := range map[string]bool{
		addedTTY: true,
		strings.Replace(addedTTY, "add@", "remove@", 1):                false,
		strings.Replace(addedTTY, "SUBSYSTEM=tty", "SUBSYSTEM=usb", 1): false,
	} {
		if u, _ := parseUevent([]byte(text)); u.bringsTTY() != want {
			t.Errorf("%+v brings a tty: %v, want %v", u, !want, want)
		}
	}
}

func FuzzUevent(f *testing.F) {
	f.Add([]byte(addedTTY))
	f.Add([]byte("libudev\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if u, ok := parseUevent(b); ok && (u.action == "" || strings.ContainsRune(u.action+u.subsystem+u.devname, 0)) {
			t.Errorf("%q is %+v", b, u)
		}
	})
}

// All watches share one socket, which is there while there is one of them.
func TestUeventsShareASocket(t *testing.T) {
	noLeaks(t)
	before := openFiles(t)
	var watches []*ueventWatch
	c := make(chan struct{}, 1)
	for range 10 {
		w, err := watchTTYs(c)
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, w)
	}
	if n := openFiles(t) - before; n != 1 {
		t.Errorf("10 watches have %d descriptors", n)
	}
	ueventer.running.tell()
	next(t, c)
	for _, w := range watches {
		w.Close()
		w.Close()
	}
}
