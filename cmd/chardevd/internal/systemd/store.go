package systemd

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Store is a conversation with the manager about descriptors that it keeps while the
// service is started anew (sd_pid_notify_with_fds(3); "File Descriptor Store" in
// systemd's documentation).
type Store struct{ c *net.UnixConn }

// OpenStore begins one, which is to be closed.
func (s *Service) OpenStore() (*Store, error) {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.notify, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("systemd's descriptor store: %w", err)
	}
	return &Store{c}, nil
}

func (s *Store) Close() error { return s.c.Close() }

// Put has a duplicate of a descriptor kept, whatever becomes of its other end. The manager
// does not answer: beyond its limit it drops what it gets.
func (s *Store) Put(name string, fd int) error {
	return s.tell("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, unix.UnixRights(fd))
}

// Remove has those with a name closed.
func (s *Store) Remove(name string) error { return s.tell("FDSTOREREMOVE=1\nFDNAME="+name, nil) }

// Await waits until the manager has done everything that it was told (sd_notify_barrier(3)).
func (s *Store) Await() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("systemd's descriptor store: %w", err)
	}
	defer r.Close()
	err = s.tell("BARRIER=1", unix.UnixRights(int(w.Fd())))
	w.Close()
	if err != nil {
		return err
	}
	r.SetReadDeadline(time.Now().Add(storeTime))
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("systemd's descriptor store: no answer: %w", err)
	}
	return nil
}

func (s *Store) tell(text string, rights []byte) error {
	s.c.SetWriteDeadline(time.Now().Add(storeTime))
	rc, err := s.c.SyscallConn()
	if err == nil {
		// Not WriteMsgUnix, which does not do it for a connected socket of datagrams.
		werr := rc.Write(func(fd uintptr) bool {
			err = unix.Sendmsg(int(fd), []byte(text), rights, nil, unix.MSG_NOSIGNAL)
			return err != unix.EAGAIN
		})
		if werr != nil {
			err = werr
		}
	}
	if err != nil {
		return fmt.Errorf("systemd's descriptor store: %w", err)
	}
	return nil
}

// storeTime is how long the manager may take to take one of many messages.
const storeTime = 10 * time.Second
