package channel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// placeLink lets the symbolic link at path point to target, in one step
// (rename(2)): whoever opens path gets the old target or the new one. A link to a
// pty that is there, such as one left by a killed daemon, is replaced; anything
// else is left alone.
func placeLink(target, path string) error {
	fi, err := os.Lstat(path)
	if err == nil && fi.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("%s exists and is no symbolic link: move it away or choose another path", path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if old, err := os.Readlink(path); err == nil && filepath.Dir(old) != filepath.Dir(target) {
		return fmt.Errorf("%s is a link to %s, which is no pty: move it away or choose another path", path, old)
	}
	dir, name := filepath.Split(path)
	// The name is fixed so that one that was left by a kill in between is found
	// and not kept for ever.
	temp := dir + "." + name + ".new"
	if fi, err := os.Lstat(temp); err == nil && fi.Mode()&fs.ModeSymlink != 0 {
		os.Remove(temp)
	}
	if err := os.Symlink(target, temp); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("no folder %s for the link: make it first", filepath.Clean(dir))
		}
		return fmt.Errorf("link: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return fmt.Errorf("link: %w", err)
	}
	return nil
}

// removeLink removes the link at path if it still points to target. The caller
// holds target's pty, so that its number cannot be another's by now.
func removeLink(target, path string) {
	if now, err := os.Readlink(path); err == nil && now == target {
		os.Remove(path)
	}
}
