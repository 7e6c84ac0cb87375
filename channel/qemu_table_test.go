package channel_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// QEMU.md names only tests that there are, each as FOLDER.Test; and each of its rows has
// one, or says that it is not here, and why.
func TestQEMUTable(t *testing.T) {
	text, err := os.ReadFile("QEMU.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				there[filepath.Base(filepath.Dir(path))+"."+fn.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`([a-z0-9]+\\.(?:Test|Fuzz|Example|Benchmark)\\w+)`")
	rows := 0
	for n, line := range strings.Split(string(text), "\n") {
		named := name.FindAllStringSubmatch(line, -1)
		for _, m := range named {
			if !there[m[1]] {
				t.Errorf("QEMU.md:%d: there is no %s", n+1, m[1])
			}
		}
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| in QEMU |") {
			continue
		}
		rows++
		if len(named) == 0 && !strings.Contains(line, "| not here: ") {
			t.Errorf("QEMU.md:%d: the row has no test, nor says \"not here: \" and why:\n%s", n+1, line)
		}
	}
	if rows < 80 {
		t.Errorf("the tables have %d rows: they are not read as they are written", rows)
	}
}
