package journal

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// syncReserve brings the index of the current segment to the disk. If that is just
// being sealed, the reserve is in one that has another name by now.
func (k *Keeper) syncReserve(j *Journal) {
	err := k.syncFile(j.path(stamp{}, indexExt))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.syncAll(j)
	case err != nil:
		k.failed(j, err)
	}
}

// syncAll brings all that a journal wrote to the disk.
func (k *Keeper) syncAll(j *Journal) {
	if err := j.sync(); err != nil {
		k.failed(j, err)
	}
}

// sync brings all that was written to the disk, and looks whether it is still there.
// The files are opened anew: the writer closes its own as it likes.
func (j *Journal) sync() error {
	j.unsynced.Store(false) // what is written from here on is for the next time
	j.mu.Lock()
	var todo []*segment
	names := false
	for i := len(j.segments) - 1; i >= 0; i-- {
		s := j.segments[i]
		if s.synced {
			break
		}
		todo = append(todo, s)
		names = names || s.stamp != (stamp{}) || s.base == j.segments[0].base
	}
	j.mu.Unlock()
	for _, s := range todo { // the newest first: old ones may be removed meanwhile
		if err := j.syncSegment(s); err != nil {
			return err
		}
	}
	if !names {
		return nil
	}
	return j.keeper.syncDir(j.dir)
}

func (j *Journal) syncSegment(s *segment) error {
	least := j.size.Load()
	f, p, err := j.look(s, false)
	switch {
	case errors.Is(err, errGone):
		j.gone(s)
		return nil
	case err != nil:
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.size < least && p.stamp == (stamp{}) {
		j.gone(s)
		return nil
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := j.keeper.syncFile(j.path(p.stamp, indexExt)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s.synced = p.stamp != (stamp{})
	return nil
}

// gone takes note that the data of a segment is not what was written. If it is
// the current one's, the writer sees to it.
func (j *Journal) gone(s *segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.tail.seg == s && j.sealing == (stamp{}) {
		j.changed.Store(true)
	}
}

// syncFile brings a file to the disk.
func (k *Keeper) syncFile(name string) error { return k.sync(name, os.O_RDONLY) }

// syncDir brings what a folder lists to the disk.
func (k *Keeper) syncDir(name string) error { return k.sync(name, os.O_RDONLY|unix.O_DIRECTORY) }

func (k *Keeper) sync(name string, flag int) error {
	f, err := k.world.fs.Open(name, flag)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// failed tells of an error of the disk: in the log, and to the journal's writer.
func (k *Keeper) failed(j *Journal, err error) {
	k.log.Error("journal", "chardev", j.name, "error", advise(err))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = err
}
