package channel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A usbPort is what tells a port of a USB adapter from others. What is "" is any.
type usbPort struct {
	vid, pid string // four hexadecimal digits, in small letters
	serial   string
	iface    string // bInterfaceNumber, as a decimal number
}

// usbOptions are the options of serial:usb.
var usbOptions = []string{"vid", "pid", "serial", "interface"}

func isUSBNumber(v string) error {
	if n, err := strconv.ParseUint(v, 16, 16); err != nil || fmt.Sprintf("%04x", n) != strings.ToLower(v) {
		return fmt.Errorf("want four hexadecimal digits like 0403, have %q", v)
	}
	return nil
}

// checkUSB sees that the options of serial:usb are there with usb, and only then.
func checkUSB(a Address) error {
	var given []string
	for _, o := range usbOptions {
		if a.Get(o) != "" {
			given = append(given, o)
		}
	}
	if a.Where == "usb" && given == nil {
		return errors.New("usb wants to know which adapter: say vid= and pid=, serial= or interface= (a file of that name is ./usb)")
	}
	if a.Where != "usb" && given != nil {
		return fmt.Errorf("option %s goes with serial:usb only, not with a path", given[0])
	}
	return nil
}

// wantedUSB is what the options of serial:usb say.
func wantedUSB(a Address) usbPort {
	return usbPort{strings.ToLower(a.Get("vid")), strings.ToLower(a.Get("pid")), a.Get("serial"), a.Get("interface")}
}

// serialName is what an address calls its port, with which settings ever.
func serialName(a Address) string {
	if a.Where != "usb" {
		return a.Where
	}
	return "usb?" + wantedUSB(a).String()
}

// serialDevice is the path of the port that an address names at the moment.
func serialDevice(a Address) (string, error) {
	if a.Where != "usb" {
		return a.Where, nil
	}
	return usbPorts{"/sys", "/dev"}.find(wantedUSB(a))
}

// usbPorts are the ports of all USB adapters, where sysfs(5) and the device nodes
// are mounted.
type usbPorts struct{ sys, dev string }

// find returns the path of the one port that is wanted. None, and more than one,
// are errors that say what there is.
func (u usbPorts) find(want usbPort) (string, error) {
	var all, found []string
	ttys, err := os.ReadDir(filepath.Join(u.sys, "class/tty"))
	if err != nil {
		return "", fmt.Errorf("looking for USB adapters: %w", err)
	}
	for _, tty := range ttys {
		is, ok := u.port(tty.Name())
		if !ok {
			continue
		}
		text := fmt.Sprintf("%s (%v)", tty.Name(), is)
		all = append(all, text)
		if want.matches(is) {
			found = append(found, text)
		}
	}
	switch {
	case len(found) == 1:
		name, _, _ := strings.Cut(found[0], " ")
		return filepath.Join(u.dev, name), nil
	case len(found) > 1:
		return "", fmt.Errorf("several ports are %v: %s; say more, or name one below /dev/serial/by-path", want, strings.Join(found, ", "))
	case all == nil:
		return "", fmt.Errorf("no port is %v: no USB serial adapter is plugged in", want)
	}
	return "", fmt.Errorf("no port is %v: there are %s", want, strings.Join(all, ", "))
}

// port reads what a tty is. It says false to one that is not on USB.
//
// The device of a tty is a port of a usb-serial driver, or the interface itself
// (cdc_acm); the interface has bInterfaceNumber, and the adapter above it idVendor.
func (u usbPorts) port(tty string) (usbPort, bool) {
	dir, err := filepath.EvalSymlinks(filepath.Join(u.sys, "class/tty", tty, "device"))
	if err != nil {
		return usbPort{}, false
	}
	iface, ok := attributeAbove(&dir, "bInterfaceNumber")
	n, err := strconv.ParseUint(iface, 16, 8)
	if !ok || err != nil {
		return usbPort{}, false
	}
	p := usbPort{iface: strconv.FormatUint(n, 10)}
	if p.vid, ok = attributeAbove(&dir, "idVendor"); !ok {
		return usbPort{}, false
	}
	p.pid = attribute(dir, "idProduct")
	p.serial = attribute(dir, "serial")
	return p, true
}

// usbDepth is how many folders an adapter's are above its tty at most.
const usbDepth = 4

// attributeAbove reads an attribute of the nearest device that has it, of *dir and
// those above; *dir is that device then.
func attributeAbove(dir *string, name string) (string, bool) {
	at := *dir
	for range usbDepth {
		if v := attribute(at, name); v != "" {
			*dir = at
			return v, true
		}
		at = filepath.Dir(at)
	}
	return "", false
}

func attribute(dir, name string) string {
	v, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(v))
}

func (p usbPort) matches(is usbPort) bool {
	return (p.vid == "" || p.vid == is.vid) && (p.pid == "" || p.pid == is.pid) &&
		(p.serial == "" || p.serial == is.serial) && (p.iface == "" || p.iface == is.iface)
}

// String is p as the options of an address.
func (p usbPort) String() string {
	var said []string
	for i, v := range []string{p.vid, p.pid, p.serial, p.iface} {
		if v != "" {
			said = append(said, usbOptions[i]+"="+v)
		}
	}
	return strings.Join(said, "&")
}

// watchUSB watches for adapters: the kernel's uevents tell when one comes, and
// where those do not come, as in containers, the folder of the device nodes does,
// also when udev has given a new node to its group.
func watchUSB() (*Watch, error) {
	c := make(chan struct{}, 1)
	events, eventErr := watchTTYs(c)
	nodes, nodeErr := watchInode("/dev", unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ATTRIB|unix.IN_ONLYDIR, "", c)
	if eventErr != nil && nodeErr != nil {
		return nil, errors.Join(eventErr, nodeErr)
	}
	return &Watch{c, func() {
		if eventErr == nil {
			events.Close()
		}
		if nodeErr == nil {
			nodes.Close()
		}
	}}, nil
}
