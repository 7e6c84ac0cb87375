package channel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// reach returns by what name to open what is at a path, until done is called: another one if
// Env.OwnLinks says that not every symbolic link may lead there.
func (e *Env) reach(path string) (name string, done func(), err error) {
	if e.OwnLinks == nil || !filepath.IsAbs(path) || !e.OwnLinks() {
		return path, func() {}, nil
	}
	fd, err := openByOwnLinks(path)
	if err != nil {
		return "", nil, err
	}
	return procFD(fd), func() { unix.Close(fd) }, nil
}

// procFD is a name of what a descriptor of this process is of (proc(5)), wherever the name by
// which it was opened leads now.
func procFD(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// openByOwnLinks looks up an absolute path step by step, so that nobody can change what was
// looked at, and returns a descriptor of what is there that is for its name only (O_PATH).
func openByOwnLinks(path string) (int, error) {
	at, err := openName(unix.AT_FDCWD, "/")
	var st unix.Stat_t
	var links []uint32 // whose they are
	for rest := path; err == nil; {
		var name string
		if name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/"); name == "" {
			break
		}
		var next int
		if next, err = openName(at, name); err != nil {
			break
		}
		if err = unix.Fstat(next, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			var target string
			if target, err = readLink(next); err == nil && len(links) == maxLinks {
				err = unix.ELOOP
			}
			unix.Close(next)
			links, rest = append(links, st.Uid), target+"/"+rest
			if next = at; err != nil || !filepath.IsAbs(target) {
				continue
			}
			if next, err = openName(unix.AT_FDCWD, "/"); err != nil {
				break
			}
		}
		unix.Close(at)
		at = next
	}
	for _, owner := range links {
		if err == nil && owner != 0 && owner != uint32(os.Geteuid()) && owner != st.Uid {
			err = fmt.Errorf("a symbolic link of the user %d leads there: it is followed if it is of root, of the user that this runs as, or of whoever has what it leads to", owner)
		}
	}
	if err != nil && at >= 0 {
		unix.Close(at)
	}
	return at, err
}

// openName opens what is in a folder, or a link itself, for its name only.
func openName(folder int, name string) (int, error) {
	return unix.Openat(folder, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// readLink is where a link leads.
func readLink(fd int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	return string(buf[:max(n, 0)]), err
}
