package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"chardevd/chardev"
)

// followTime is how long a program may take to say whether it can follow.
const followTime = 10 * time.Second

// program is where the program was when it was first asked, which serveOn does at once: by
// that its successor is found, as an upgrade has put another file there.
var program = sync.OnceValues(os.Executable)

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
