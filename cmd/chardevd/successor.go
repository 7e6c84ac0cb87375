package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
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
	cmd.WaitDelay = time.Second // what it has started may keep its output
	var answer, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &answer, &complaint
	err = cmd.Run()
	switch words := strings.TrimSpace(complaint.String() + answer.String()); {
	case err != nil && len(words) > 0:
		return fmt.Errorf("%s can not follow: %s", path, words)
	case err != nil:
		return fmt.Errorf("%s can not follow: %w", path, err)
	case strings.TrimSpace(answer.String()) == followAnswer():
		return nil
	case len(words) > 0:
		return fmt.Errorf("%s can not follow: it is no chardevd that can: asked for %q, it answers %.200q", path, followAnswer(), words)
	}
	return fmt.Errorf("%s can not follow: it is no chardevd that can: asked for %q, it answers nothing", path, followAnswer())
}

// followAnswer is what a program that can follow says on its standard output, and nothing
// else. That it ends well says nothing: so does an empty script.
func followAnswer() string {
	return fmt.Sprintf("chardevd follows in version %d", chardev.HandoverVersion)
}
