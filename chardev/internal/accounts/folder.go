package accounts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// read returns the accounts of a file, which may be missing: then there are none.
func read[R record](path string) ([]R, error) {
	text, err := readText(path)
	if text == nil || err != nil {
		return nil, err
	}
	list, err := parse[R](text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// readText returns the text of a file that nobody else can have written; nil if there is
// none.
func readText(path string) ([]byte, error) {
	// A pipe of that name must not hold anybody up.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is no regular file", path)
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("%s: others can write it, and so make themselves anybody: chmod 600 it, and look at what is in it", path)
	}
	if err := ownedRightly(path, info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: is larger than %d MiB", path, maxFile>>20)
	}
	return text, nil
}

// ownedRightly refuses a file of a user who need not be trusted: one that is neither root,
// nor this one, nor has the folder. A folder that others can write lets anybody put a file
// there.
func ownedRightly(path string, file fs.FileInfo) error {
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	owner := file.Sys().(*syscall.Stat_t).Uid
	if owner == 0 || owner == uint32(os.Geteuid()) || owner == dir.Sys().(*syscall.Stat_t).Uid {
		return nil
	}
	return fmt.Errorf("%s: is of the user %d, who could so make himself anybody: look at what is in it, and chown it", path, owner)
}

// change replaces the file of a folder by what edit makes of its accounts. One change
// of a folder happens at a time. On any error the file is what it was, but for one
// of the disk's when the folder is synced, after the change was made.
func change[R record](dir, name string, edit func([]R) ([]R, error)) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	defer d.Close() // and the lock with it
	if err := lock(d); err != nil {
		return fmt.Errorf("state folder %s: lock: %w", dir, err)
	}
	path := filepath.Join(dir, name)
	list, err := read[R](path)
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if list, err = edit(list); err != nil {
		return err
	}
	text, err := format(list)
	if err == nil {
		_, err = parse[R](text) // what could not be read again must not be written
	}
	if err == nil {
		err = replace(d, path, text)
	}
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("state folder %s: what was changed may be lost when the power fails: %w", dir, err)
	}
	return nil
}

// lock waits until nobody else has the folder's lock.
func lock(d *os.File) error {
	for {
		if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

// replace puts a file with the text at path, whole: whoever opens it has the old one or
// the new one. The folder is locked.
func replace(d *os.File, path string, text []byte) error {
	// Who was killed here before left a file of this name.
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = giveTo(f, d)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		os.Remove(next)
	}
	return err
}

// giveTo makes the file that of whose the folder is: the daemon must read what root has
// written.
func giveTo(f, folder *os.File) error {
	var s unix.Stat_t
	if err := unix.Fstat(int(folder.Fd()), &s); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if os.Geteuid() != 0 || s.Uid == 0 {
		return nil
	}
	return f.Chown(int(s.Uid), int(s.Gid))
}
