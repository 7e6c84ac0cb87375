package main

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// moduleRoot is where go.mod is, from this folder.
const moduleRoot = "../.."

// mayImport says which folders of the module those below a folder may import; the
// longest name counts. So imports go one way: cmd to chardev to channel.
var mayImport = map[string][]string{
	"channel":                     {"channel"},
	"channel/channeltest":         {"channel"},
	"chardev":                     {"channel", "chardev"},
	"chardev/web":                 {"chardev/internal/coding"},
	"chardev/internal":            {"chardev/internal"},
	"chardev/internal/transcript": {"channel", "chardev/internal"}, // places are written as sizes and durations are
	"cmd":                         {"channel", "chardev", "cmd"},
	"integration":                 {"channel", "chardev", "integration"},
}

// maxLines is how long a file gets before it is two.
const maxLines = 500

// A sourceFile is one Go file of the module.
type sourceFile struct {
	name string // from the module's root
	text []byte
	ast  *ast.File
}

func (f sourceFile) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// sources reads all Go files of the module.
func sources(t *testing.T) []sourceFile {
	var all []sourceFile
	err := filepath.WalkDir(moduleRoot, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n != ".." && (strings.HasPrefix(n, ".") || n == "testdata" || n == "vendor" || n == "state") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(moduleRoot, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, sourceFile{filepath.ToSlash(name), text, parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files found below %s", len(all), moduleRoot)
	}
	return all
}

// within says whether a folder is another one or below it.
func within(dir, above string) bool { return dir == above || strings.HasPrefix(dir, above+"/") }

func TestImportsGoOneWay(t *testing.T) {
	for _, f := range sources(t) {
		dir, rule := path.Dir(f.name), ""
		for r := range mayImport {
			if within(dir, r) && len(r) > len(rule) {
				rule = r
			}
		}
		if rule == "" {
			t.Errorf("%s: there is no rule for its folder; say in mayImport what it may import", f.name)
			continue
		}
		for _, i := range f.ast.Imports {
			to, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "chardevd/")
			if !ours {
				continue
			}
			ok := false
			for _, may := range mayImport[rule] {
				ok = ok || within(to, may)
			}
			if within(to, "channel/channeltest") && !f.isTest() {
				ok = false
			}
			if !ok {
				t.Errorf("%s: %s may not import %s", f.name, rule, to)
			}
		}
	}
}

func TestEveryPackageSaysOnceWhatItIs(t *testing.T) {
	comments := map[string][]string{}
	for _, f := range sources(t) {
		if f.isTest() {
			continue
		}
		dir := path.Dir(f.name)
		in := comments[dir]
		if f.ast.Doc != nil {
			in = append(in, f.name)
		}
		comments[dir] = in // empty too
	}
	for dir, in := range comments {
		if len(in) != 1 {
			t.Errorf("%s: want one package comment, have %d: %v", dir, len(in), in)
		}
	}
}

func TestFilesAreInForm(t *testing.T) {
	for _, f := range sources(t) {
		if formed, err := format.Source(f.text); err != nil || !bytes.Equal(formed, f.text) {
			t.Errorf("%s: run gofmt -w on it (%v)", f.name, err)
		}
		if n := bytes.Count(f.text, []byte("\n")); n > maxLines && !f.isTest() {
			t.Errorf("%s: %d lines, want at most %d: make two files of it", f.name, n, maxLines)
		}
	}
}

// A replace would build something else than what users get, who fetch the module.
func TestNothingIsReplaced(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(moduleRoot, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 0 && words[0] == "replace" {
			t.Errorf("go.mod: %s", strings.TrimSpace(line))
		}
	}
}
