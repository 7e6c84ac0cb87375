package accounts

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writerFolder in the environment makes the test binary add tokens there and tell each.
const writerFolder = "CHARDEVD_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerFolder); dir != "" {
		for i := 0; ; i++ {
			name := fmt.Sprintf("t%d-%d", os.Getpid(), i)
			if _, err := (Folder{dir}).AddToken(name, nil, time.Time{}); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println(name)
		}
	}
	os.Exit(m.Run())
}

// Writers that are killed at any moment leave a file with every token that they have
// told of, and one more at most that they had no time to tell.
func TestAKilledWriterLosesNothing(t *testing.T) {
	s := newShop(t)
	told := map[string]bool{}
	const kills = 25
	for i := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerFolder+"="+s.Dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.StdoutPipe()
		s.must(err)
		s.must(cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if !strings.HasPrefix(lines.Text(), "t") {
				t.Errorf("a writer says %q", lines.Text())
			}
			told[lines.Text()] = true
			if n == i%7 {
				cmd.Process.Kill() // while it writes the next, wherever it is
			}
		}
		cmd.Wait()
		list, err := s.Tokens()
		s.must(err)
		there := map[string]bool{}
		for _, token := range list {
			there[token.Name] = true
		}
		for name := range told {
			if !there[name] {
				t.Fatalf("after kill %d the token %s is not there", i+1, name)
			}
		}
		if most := len(told) + i + 1; len(list) > most {
			t.Fatalf("after kill %d there are %d tokens, want %d at most", i+1, len(list), most)
		}
	}
	if _, err := s.AddToken("last", nil, time.Time{}); err != nil {
		t.Errorf("after all of them: %v", err)
	}
}
