package channel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sysfs makes a tree like that of sysfs, from ttys and the attributes of the
// devices above them.
func sysfs(t *testing.T, attributes map[string]string, ttys map[string]string) usbPorts {
	t.Helper()
	root := t.TempDir()
	for path, value := range attributes {
		file := filepath.Join(root, "devices", path)
		must(t, os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(value+"\n"), 0o600))
	}
	for name, device := range ttys {
		dir := filepath.Join(root, "class/tty", name)
		must(t, os.MkdirAll(dir, 0o700), os.MkdirAll(filepath.Join(root, "devices", device), 0o700))
		must(t, os.Symlink(filepath.Join(root, "devices", device), filepath.Join(dir, "device")))
	}
	must(t, os.MkdirAll(filepath.Join(root, "class/tty/console"), 0o700)) // no device at all
	return usbPorts{root, "/dev"}
}

func TestUSBPortsAreFound(t *testing.T) {
	u := sysfs(t, map[string]string{
		"usb1/1-1/idVendor": "0403", "usb1/1-1/idProduct": "6001", "usb1/1-1/serial": "A50285BI",
		"usb1/1-1/1-1:1.0/bInterfaceNumber": "00",
		"usb1/1-2/idVendor":                 "0403", "usb1/1-2/idProduct": "6010", "usb1/1-2/serial": "FT1",
		"usb1/1-2/1-2:1.0/bInterfaceNumber": "00",
		"usb1/1-2/1-2:1.1/bInterfaceNumber": "01",
		"usb1/1-3/idVendor":                 "2e8a", "usb1/1-3/idProduct": "000a", // no serial number
		"usb1/1-3/1-3:1.0/bInterfaceNumber": "0a",
		"usb1/idVendor":                     "1d6b", "usb1/idProduct": "0002", // the hub above all
		"platform/serial8250/uevent": "x",
	}, map[string]string{
		"ttyUSB0": "usb1/1-1/1-1:1.0/ttyUSB0",
		"ttyUSB1": "usb1/1-2/1-2:1.0/ttyUSB1",
		"ttyUSB2": "usb1/1-2/1-2:1.1/ttyUSB2",
		"ttyACM0": "usb1/1-3/1-3:1.0",
		"ttyS0":   "platform/serial8250",
	})
	for _, test := range []struct {
		want usbPort
		is   string
	}{
		{usbPort{vid: "0403", pid: "6001", serial: "A50285BI", iface: "0"}, "/dev/ttyUSB0"},
		{usbPort{serial: "A50285BI"}, "/dev/ttyUSB0"},
		{usbPort{vid: "0403", pid: "6010", iface: "1"}, "/dev/ttyUSB2"},
		{usbPort{vid: "2e8a", iface: "10"}, "/dev/ttyACM0"},
	} {
		if got, err := u.find(test.want); got != test.is || err != nil {
			t.Errorf("%v is %q, %v; want %s", test.want, got, err, test.is)
		}
	}
	for _, test := range []struct {
		want usbPort
		part string
	}{
		{usbPort{serial: "FT1"}, "several ports are serial=FT1: ttyUSB1 (vid=0403&pid=6010&serial=FT1&interface=0), ttyUSB2"},
		{usbPort{vid: "1d6b"}, "no port is vid=1d6b: there are"},
		{usbPort{serial: "A50285BX"}, "ttyUSB0 (vid=0403&pid=6001&serial=A50285BI&interface=0)"},
	} {
		if got, err := u.find(test.want); err == nil || !strings.Contains(err.Error(), test.part) {
			t.Errorf("%v is %q, %v; want an error with %q", test.want, got, err, test.part)
		}
	}
	none := sysfs(t, nil, nil)
	if _, err := none.find(usbPort{vid: "0403"}); err == nil || !strings.Contains(err.Error(), "no USB serial adapter is plugged in") {
		t.Errorf("without any adapter: %v", err)
	}
}
