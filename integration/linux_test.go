package integration

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A linux is a guest with Debian's kernel and a busybox shell on its first serial
// port: for what only a kernel with real serial drivers can show.
type linux struct {
	*guest
	shell *wire
	asked int // commands, so far
}

// kernelModules are what the guest loads, in this order: USB serial adapters, a network
// card, and sockets to itself by vsock. The driver of its UARTs is built in.
var kernelModules = []string{
	"usb-common", "usbcore", "xhci-hcd", "xhci-pci", "usbserial", "ftdi_sio",
	"virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "failover", "net_failover", "virtio_net",
	"vsock", "vmw_vsock_virtio_transport_common", "vsock_loopback",
}

// guestInit is the guest's first program. The network is QEMU's own (slirp), whose
// guests have this address.
const guestInit = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TERM=dumb
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /proc /sys /tmp /etc
mount -t devpts pts /dev/pts
mount -t proc proc /proc
mount -t sysfs sys /sys
for m in $(cat /modules/order); do insmod /modules/$m.ko || echo "insmod $m: $?"; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
dmesg -n 1
stty -echo
echo GUEST READY
exec setsid sh -c 'exec sh -i </dev/ttyS0 >/dev/ttyS0 2>&1'
`

// A kernel is what is taken from Debian's package.
type kernel struct {
	image   string // a file that QEMU boots
	modules map[string]file
}

// debianKernel unpacks the package that install.sh has fetched, once.
var debianKernel = sync.OnceValues(func() (kernel, error) {
	k := kernel{image: filepath.Join(built, "linux"), modules: map[string]file{}}
	cache, err := os.UserCacheDir()
	if err != nil {
		return k, err
	}
	deb := filepath.Join(cache, "chardevd", "linux-image.deb")
	if _, err := os.Stat(deb); err != nil {
		return k, fmt.Errorf("no kernel for the guest: %w (integration/install.sh fetches it)", err)
	}
	unpack := exec.Command("dpkg-deb", "--fsys-tarfile", deb)
	archive, err := unpack.StdoutPipe()
	if err != nil {
		return k, err
	}
	if err := unpack.Start(); err != nil {
		return k, err
	}
	err = errors.Join(k.take(tar.NewReader(archive)), unpack.Wait())
	if len(k.modules) != len(kernelModules) {
		err = errors.Join(err, fmt.Errorf("%s has %d of the modules %v", deb, len(k.modules), kernelModules))
	}
	k.modules["modules/order"] = file{[]byte(strings.Join(kernelModules, " ")), aPlainFile}
	return k, err
})

// take keeps what is wanted of the package.
func (k *kernel) take(archive *tar.Reader) error {
	want := map[string]bool{}
	for _, m := range kernelModules {
		want[m+".ko"] = true
	}
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Base(h.Name)
		isKernel := strings.HasPrefix(name, "vmlinuz-") && h.Typeflag == tar.TypeReg
		if !isKernel && !want[name] {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		if !isKernel {
			k.modules["modules/"+name] = file{data, aPlainFile}
		} else if err := os.WriteFile(k.image, unwrapped(data), 0o600); err != nil {
			return err
		}
	}
}

// unwrapped is the kernel proper, an ELF file that QEMU can enter as it is (PVH):
// unpacking itself takes an emulated CPU seconds. Where it lies in the image is
// told by the boot protocol's header (Documentation/arch/x86/boot.rst); one that is
// packed in another way than by xz stays as it is.
func unwrapped(image []byte) []byte {
	const setupSects, payloadOffset = 0x1f1, 0x248
	start := (int(image[setupSects])+1)*512 + int(binary.LittleEndian.Uint32(image[payloadOffset:]))
	end := start + int(binary.LittleEndian.Uint32(image[payloadOffset+4:]))
	const sizeBehind = 4 // of what is unpacked
	if end > len(image) || end-start < sizeBehind || !bytes.HasPrefix(image[start:], []byte("\xfd7zXZ\x00")) {
		return image
	}
	unpack := exec.Command("xz", "-dc")
	unpack.Stdin = bytes.NewReader(image[start : end-sizeBehind])
	elf, err := unpack.Output()
	if err != nil {
		return image
	}
	return elf
}

// staticProgram builds a program of this module for the guest, which has no C
// library, once.
func staticProgram(t testing.TB, pkg string) []byte {
	t.Helper()
	file := filepath.Join(built, "static-"+path.Base(pkg))
	if _, err := os.Stat(file); err != nil {
		cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", file, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if err := combined(cmd); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// startLinux boots a guest with more files in it and more devices, and waits for
// its shell.
func startLinux(t testing.TB, files map[string]file, devices ...string) *linux {
	t.Helper()
	console := folder(t) + "/c0"
	return bootLinux(t, files, "path="+console+",server=on,wait=off", console, devices...)
}

// bootLinux is startLinux of a guest whose console is the given socket chardev of
// QEMU's, and whose shell is reached at a UNIX socket.
func bootLinux(t testing.TB, files map[string]file, console, shell string, devices ...string) *linux {
	t.Helper()
	for _, p := range []string{"dpkg-deb", "xz", "busybox"} {
		program(t, p)
	}
	k, err := debianKernel()
	if err != nil {
		t.Fatal(err)
	}
	busybox, err := os.ReadFile(program(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]file{"bin/busybox": {busybox, aProgram}, "init": {[]byte(guestInit), aProgram}}
	for _, more := range []map[string]file{k.modules, files} {
		for name, f := range more {
			all[name] = f
		}
	}
	dir := folder(t)
	write(t, dir+"/initrd", string(cpio(all)))
	l := &linux{guest: &guest{t: t, args: append([]string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-accel", "tcg", "-M", "pc", "-cpu", "qemu64", "-m", "256", "-S",
		"-kernel", k.image, "-initrd", dir + "/initrd",
		"-append", "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr random.trust_cpu=on 8250.nr_uarts=8",
		"-chardev", "socket,id=monitor,fd=3", "-mon", "chardev=monitor,mode=control",
		"-chardev", "socket,id=c0," + console, "-serial", "chardev:c0",
	}, devices...)}}
	l.start()
	l.shell = dial(t, "unix", shell)
	l.shell.name = "the guest's shell"
	l.cont()
	if err := l.shell.out.sees(6*patience, "GUEST READY"); err != nil {
		t.Fatal(err)
	}
	l.sh("PS1=; PS2=")
	return l
}

// sh has the guest's shell run a command and returns what it printed.
func (l *linux) sh(command string) string {
	l.t.Helper()
	l.asked++
	begin, end := fmt.Sprintf("<%d>\r\n", l.asked), fmt.Sprintf("</%d>", l.asked)
	// The marks are written so that an echo of the command is not taken for them.
	l.shell.types(l.t, fmt.Sprintf("echo '<'%d'>'; %s\necho '</'%d'>'\n", l.asked, command, l.asked))
	l.shell.sees(l.t, end)
	_, text, _ := strings.Cut(l.shell.out.text(), begin)
	text, _, _ = strings.Cut(text, end)
	return strings.ReplaceAll(text, "\r", "")
}

// unplug takes a device out of the machine and waits until its chardev is free.
func (l *linux) unplug(id, chardev string) {
	l.t.Helper()
	l.qmp("device_del", map[string]any{"id": id})
	eventually(l.t, patience, func() error {
		var all []struct {
			Label string
			Open  bool `json:"frontend-open"`
		}
		if err := json.Unmarshal(l.qmp("query-chardev", nil), &all); err != nil {
			return err
		}
		for _, c := range all {
			if c.Label == chardev && c.Open {
				return fmt.Errorf("%s is still there", id)
			}
		}
		return nil
	})
}
