package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"chardevd/chardev"
)

// followTime is how long a program may take to say whether it can follow.
const followTime = 10 * time.Second

// program is where the program was when the process began, by which its successor is
// found: an upgrade has put another file there.
func program() (string, error) { return os.Executable() }

// askSuccessor asks the program whether it can follow, with the config of that file.
func askSuccessor(file string) error {
	path, err := program()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), followTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "upgrade", "--follow", strconv.Itoa(chardev.HandoverVersion), "-c", file)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if said := bytes.TrimSpace(out); len(said) > 0 {
		return fmt.Errorf("%s can not follow: %s", path, said)
	}
	return fmt.Errorf("%s can not follow: %w", path, err)
}
