package chardev

import (
	"testing"
	"unsafe"
)

// What every console has, or every client, stays as small as it is: the classes of sizes
// in which Go gives memory (runtime/sizeclasses.go) are wide, and of more than 512 bytes
// 8 are its own. What only some have stands behind a pointer.
func TestWhatEveryConsoleHasIsSmall(t *testing.T) {
	for name, c := range map[string]struct{ size, class uintptr }{
		"client":    {unsafe.Sizeof(client{}), 640 - 8},
		"hub":       {unsafe.Sizeof(hub{}), 896 - 8},
		"frontend":  {unsafe.Sizeof(frontend{}), 320},
		"device":    {unsafe.Sizeof(device{}), 240},
		"session":   {unsafe.Sizeof(session{}), 224},
		"opener":    {unsafe.Sizeof(opener{}), 128},
		"listening": {unsafe.Sizeof(listening{}), 80},
	} {
		if c.size > c.class {
			t.Errorf("a %s has %d bytes, and takes more than %d", name, c.size, c.class)
		}
	}
}
