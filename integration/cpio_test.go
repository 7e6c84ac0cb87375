package integration

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
)

// A file is one of an initial file system.
type file struct {
	data []byte
	mode uint32 // with the type, as stat(2) has it
}

const (
	aFolder     = 0o040755
	aProgram    = 0o100755
	aPlainFile  = 0o100644
	aCharDevice = 0o020600
)

// cpio writes an archive in the format that Linux unpacks as its first file
// system (newc: Documentation/driver-api/early-userspace/buffer-format.rst). The
// folders above each file are added.
func cpio(files map[string]file) []byte {
	all := maps.Clone(files)
	for name := range files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all[dir] = file{mode: aFolder}
			}
		}
	}
	var b bytes.Buffer
	entry := func(n int, name string, f file, major, minor int) {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			n, f.mode, 0, 0, 1, 0, len(f.data), 0, 0, major, minor, len(name)+1, 0)
		b.WriteString(name + "\x00")
		pad(&b)
		b.Write(f.data)
		pad(&b)
	}
	for i, name := range slices.Sorted(maps.Keys(all)) { // a folder before what is in it
		entry(i+1, name, all[name], 0, 0)
	}
	entry(len(all)+1, "dev/console", file{mode: aCharDevice}, 5, 1) // for the output of init
	entry(0, "TRAILER!!!", file{}, 0, 0)
	return b.Bytes()
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
