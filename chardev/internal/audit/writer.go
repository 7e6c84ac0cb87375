package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// chunkMost is how many bytes are given to the file at once.
const chunkMost = 64 << 10

// A writer appends records to the file. It belongs to Log.write.
type writer struct {
	path    string
	open    func(string) (file, error)
	file    file // nil: not open
	failing bool // and that was told

	list []Record     // to be encoded yet
	buf  bytes.Buffer // lines to be written yet
	held int          // how many records they are, the one that is written in part counted
	torn bool         // of the first of them a part is written
}

// flush writes all that is there. An error leaves the rest for the next time; missing is
// how many records can not be written any more: one whose beginning is in a file that is
// gone.
func (w *writer) flush() (missing int, err error) {
	for len(w.list) > 0 || w.buf.Len() > 0 {
		for len(w.list) > 0 && w.buf.Len() < chunkMost {
			w.list[0].appendTo(&w.buf)
			w.list = w.list[1:]
			w.held++
		}
		anew, err := w.reopen()
		if err != nil {
			return missing, err
		}
		if anew && w.torn {
			w.drop()
			missing++
		}
		if err := w.give(); err != nil {
			return missing, err
		}
	}
	w.list, w.buf = nil, bytes.Buffer{} // idle costs nothing
	return missing, nil
}

// drop forgets the rest of the line whose beginning is written.
func (w *writer) drop() {
	w.buf.Next(bytes.IndexByte(w.buf.Bytes(), '\n') + 1)
	w.held--
	w.torn = false
}

// give writes buf and keeps what of it was not taken.
func (w *writer) give() error {
	n, err := w.file.Write(w.buf.Bytes())
	if taken := w.buf.Next(max(n, 0)); len(taken) > 0 {
		w.held -= bytes.Count(taken, []byte{'\n'})
		w.torn = taken[len(taken)-1] != '\n'
	}
	return err
}

// reopen opens the file if it is not open, or is not the one at the path any more;
// anew says so.
func (w *writer) reopen() (anew bool, err error) {
	if w.file != nil {
		have, err := w.file.Stat()
		if err != nil {
			return false, err
		}
		there, err := os.Stat(w.path)
		if err == nil && os.SameFile(have, there) {
			return false, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		w.close()
	}
	w.file, err = w.open(w.path)
	return err == nil, err
}

func (w *writer) close() {
	if w.file != nil {
		w.file.Sync() // what is in the kernel is not lost by this process's end: an error changes nothing
		w.file.Close()
		w.file = nil
	}
}

// openFile opens the file at path for appending.
func openFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600) // a pipe does not make it wait
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file: give audit another path", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
