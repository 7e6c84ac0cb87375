// Package systemd is how the daemon talks with systemd as its service manager: what
// that says in the environment, and what it is told (sd_notify(3), sd_listen_fds(3),
// sd_watchdog_enabled(3)). Elsewhere it does nothing.
package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Service is what the service manager said to this process. Its zero value is one
// that no manager has started.
type Service struct {
	notify   string        // the address of the socket for messages; "": nobody listens
	watchdog time.Duration // how long no message that it is alive may come; 0: any time

	// Sockets are the descriptors that were passed, each with its name
	// (FileDescriptorName= of its socket unit). They are the caller's.
	Sockets []*os.File

	// Stored are the descriptors that were passed because an earlier process of the
	// service has stored them, by their names. They are the caller's.
	Stored map[string]int

	// Room is how many descriptors the manager stores: its $FDSTORE.
	Room int
}

// firstDescriptor is the first of the passed ones (SD_LISTEN_FDS_START).
const firstDescriptor = 3

// FromEnvironment reads the variables, and takes the descriptors over, for which it
// must be called once only; stored says which of them are by their names. The variables
// stay: they name this process, so no child takes them for its own, and they hold on if
// it executes itself anew.
func FromEnvironment(stored func(name string) bool) (*Service, error) {
	s := &Service{notify: os.Getenv("NOTIFY_SOCKET")}
	if s.notify != "" && s.notify[0] != '/' && s.notify[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET=%s: want an absolute path or @name", s.notify)
	}
	if v := os.Getenv("WATCHDOG_USEC"); v != "" && forThisProcess("WATCHDOG_PID", true) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1 || n > int64(time.Duration(1<<63-1)/time.Microsecond) {
			return nil, fmt.Errorf("WATCHDOG_USEC=%s: want a number of microseconds", v)
		}
		s.watchdog = time.Duration(n) * time.Microsecond
	}
	if v := os.Getenv("FDSTORE"); v != "" && s.notify != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("FDSTORE=%s: want a number of descriptors", v)
		}
		s.Room = n
	}
	v := os.Getenv("LISTEN_FDS")
	if v == "" || !forThisProcess("LISTEN_PID", false) {
		return s, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 1<<20 {
		return nil, fmt.Errorf("LISTEN_FDS=%s: want a number of descriptors", v)
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		name := "unknown" // as sd_listen_fds_with_names(3) has it
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		fd := firstDescriptor + i
		unix.CloseOnExec(fd)
		if stored(name) {
			if s.Stored == nil {
				s.Stored = map[string]int{}
			}
			s.Stored[name] = fd
			continue
		}
		s.Sockets = append(s.Sockets, os.NewFile(uintptr(fd), name))
	}
	return s, nil
}

// forThisProcess says whether a variable names this process; other is the answer where
// there is none.
func forThisProcess(variable string, other bool) bool {
	v := os.Getenv(variable)
	if v == "" {
		return other
	}
	pid, err := strconv.Atoi(v)
	return err == nil && pid == os.Getpid()
}

// Hears says whether there is a manager who wants messages.
func (s *Service) Hears() bool { return s.notify != "" }

// Ready tells that the service has started, or reloaded, and what it does.
func (s *Service) Ready(status string) error { return s.tell("READY=1", "STATUS="+status) }

// Status tells what the service does, in a line.
func (s *Service) Status(status string) error { return s.tell("STATUS=" + status) }

// Reloading tells that a reload begins, whose end is told by Ready.
func (s *Service) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("clock_gettime: %w", err)
	}
	return s.tell("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
}

// Stopping tells that the service ends.
func (s *Service) Stopping() error { return s.tell("STOPPING=1", "STATUS=ending") }

// tellTime is how long the manager may take to take a message.
const tellTime = time.Second

// tell sends a message, of a variable a line.
func (s *Service) tell(variables ...string) error {
	if s.notify == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.notify, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("systemd is not told: %w", err)
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(tellTime))
	if _, err := c.Write([]byte(strings.Join(variables, "\n"))); err != nil {
		return fmt.Errorf("systemd is not told: %w", err)
	}
	return nil
}
