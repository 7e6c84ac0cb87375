package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

var errNoPassword = errors.New("no password is on stdin: give it as a line there, or run this on a terminal")

// newPassword asks for the new password of a user: on a terminal twice, without an
// echo, else it is the first line of in.
func newPassword(in io.Reader, prompts io.Writer, user string) (string, error) {
	tty, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(tty.Fd())) {
		// Whoever has more to say than a line of passwords says it to nobody.
		line, err := bufio.NewReader(io.LimitReader(in, 4<<10)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", fmt.Errorf("stdin: %w", err)
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" {
			return "", errNoPassword
		}
		return line, nil
	}
	once, err := hidden(tty, prompts, "new password for "+user+": ")
	if err != nil {
		return "", err
	}
	twice, err := hidden(tty, prompts, "again: ")
	if err != nil {
		return "", err
	}
	if once != twice {
		return "", errors.New("the two passwords are not the same: nothing was changed")
	}
	return once, nil
}

// hidden reads a line that is not echoed. Who ends the program meanwhile gets the
// terminal back as it was.
func hidden(tty *os.File, prompts io.Writer, prompt string) (string, error) {
	fd := int(tty.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	restore := func() {
		unix.IoctlSetTermios(fd, unix.TCSETS, was)
		fmt.Fprintln(prompts)
	}
	signals, over, watched := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// The mode is set once, before the prompt: who ends the program at the prompt (and
	// term.ReadPassword sets it after that) would leave the terminal without an echo.
	silent := *was
	silent.Iflag |= unix.ICRNL
	silent.Lflag = silent.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		signal.Stop(signals)
		return "", fmt.Errorf("terminal: %w", err)
	}
	go func() {
		defer close(watched)
		select {
		case <-signals: // the read cannot be interrupted
			restore()
			os.Exit(exitFailed)
		case <-over:
		}
	}()
	fmt.Fprint(prompts, prompt)
	line, err := bufio.NewReader(tty).ReadString('\n') // the terminal gives one at a time
	if err == io.EOF && line != "" {
		err = nil
	}
	signal.Stop(signals)
	close(over)
	<-watched
	restore()
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}
