package chardev

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// udevFolder is where udev keeps what it knows of devices, a file each: what libudev
// reads, too (systemd, src/libsystemd/sd-device).
const udevFolder = "/run/udev/data"

// udevOf is the file of the character device at path, "c" and its numbers; "" for what is
// none.
func udevOf(folder, path string) string {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return ""
	}
	return filepath.Join(folder, fmt.Sprintf("c%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))))
}

// udevProperties are those of wants that udev knows of the device node at path: in lines
// E:KEY=VALUE. There are none if it knows nothing, or not yet.
func udevProperties(folder, path string, wants map[string]bool) map[string]string {
	have := map[string]string{}
	text, err := readConfig(udevOf(folder, path))
	if err != nil {
		return have
	}
	for line := range strings.Lines(text) {
		line, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "E:")
		if !ok {
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && wants[key] {
			have[key] = value
		}
	}
	return have
}

// canDiscover says whether a chardev is made of what is of that type.
func canDiscover(kind fs.FileMode) bool {
	return kind == fs.ModeSocket || kind == fs.ModeDevice|fs.ModeCharDevice
}
