package chardev

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// HandoverVersion is that of what a daemon leaves to its successor, which has to be of
// the same.
const HandoverVersion = handoverVersion

// handoverEnv names the descriptor that has the document.
const handoverEnv = "CHARDEVD_HANDOVER"

// write writes the document, in a line, and the windows behind it.
func (h *Handover) write(to io.Writer) error {
	w := bufio.NewWriterSize(to, 64<<10)
	if err := json.NewEncoder(w).Encode(h); err != nil {
		return err
	}
	for _, c := range h.Consoles {
		if _, err := w.Write(c.window); err != nil {
			return err
		}
	}
	return w.Flush()
}

// readHandover reads what write wrote.
func readHandover(from io.Reader) (*Handover, error) {
	r := bufio.NewReaderSize(from, 64<<10)
	line, err := r.ReadBytes('\n') // as long as there is much to know: it is of a daemon, and no stranger's
	if err != nil {
		return nil, err
	}
	h := new(Handover)
	if err := json.Unmarshal(line, h); err != nil {
		return nil, err
	}
	if h.Version != handoverVersion {
		return nil, fmt.Errorf("it is of version %d, and this chardevd knows %d", h.Version, handoverVersion)
	}
	for _, c := range h.Consoles {
		c.window = make([]byte, c.Window)
		if _, err := io.ReadFull(r, c.window); err != nil {
			return nil, fmt.Errorf("the history of %s: %w", c.Name, err)
		}
	}
	return h, nil
}

// document is a file in memory that has what write writes.
func (h *Handover) document() (*os.File, error) {
	fd, err := unix.MemfdCreate("chardevd-handover", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	doc := os.NewFile(uintptr(fd), "handover")
	if err = h.write(doc); err == nil {
		_, err = doc.Seek(0, io.SeekStart)
	}
	if err != nil {
		doc.Close()
		return nil, err
	}
	return doc, nil
}

// Exec replaces the process by a program that takes over; it returns only if that fails,
// and then h is as before. The server must be closed: nothing else of it may be going on.
func (h *Handover) Exec(program string, args []string) error {
	doc, err := h.document()
	if err != nil {
		return err
	}
	defer doc.Close()
	fd := int(doc.Fd())
	kept := []int{fd}
	for _, p := range h.parked() {
		kept = append(kept, p.FDs...)
	}
	defer setCloseOnExec(kept, unix.FD_CLOEXEC)
	if err := setCloseOnExec(kept, 0); err != nil {
		return err
	}
	// Whatever asks for one more upgrade, or a reload, before the program can hear it
	// must not kill it. Whoever asks for its end has that.
	signal.Ignore(unix.SIGHUP, unix.SIGUSR2)
	signal.Reset(unix.SIGTERM, unix.SIGINT)
	// What a service manager has passed is among what is left, as far as it is in use.
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "LISTEN_") })
	env = append(env, handoverEnv+"="+strconv.Itoa(fd))
	return fmt.Errorf("%s: %w", program, syscall.Exec(program, args, env))
}

func setCloseOnExec(fds []int, flag int) error {
	for _, fd := range fds {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	return nil
}

// Inherited is what the program that was replaced by this one has left, nil if there was
// none. It is to be called before anything is run, which would inherit all that too.
func Inherited() (*Handover, error) {
	text, ok := os.LookupEnv(handoverEnv)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(handoverEnv)
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("$%s: %q is no descriptor", handoverEnv, text)
	}
	unix.CloseOnExec(fd)
	doc := os.NewFile(uintptr(fd), "handover")
	defer doc.Close()
	h, err := readHandover(doc)
	if err != nil {
		return nil, fmt.Errorf("what the daemon before has left: %w", err)
	}
	for _, p := range h.parked() {
		if err := setCloseOnExec(p.FDs, unix.FD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("what the daemon before has left: %w", err)
		}
	}
	return h, nil
}
