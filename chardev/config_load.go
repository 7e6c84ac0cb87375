package chardev

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/tomlpos"
)

// maxConfig is how large a config file may be, in bytes.
const maxConfig = mib

// Load reads the config file and those that it includes, and checks all that
// can be checked without opening an endpoint: the files that it names are
// opened, addresses are parsed, names and ports are compared. Nothing is
// created. Any error is a *ConfigError with every mistake that was found; a
// mistake of TOML itself (a key given twice is one) hides the others of its file.
//
// The environment variables STATE_DIRECTORY and RUNTIME_DIRECTORY, as set by
// systemd.exec(5), give the defaults of state and control.
func Load(path string) (*Config, error) {
	text, err := readConfig(path)
	if err != nil {
		return nil, &ConfigError{[]Mistake{{File: path, Message: err.Error()}}}
	}
	return load(path, text, new(instead))
}

// loadInstead is Load as if an included file, by its absolute path, had another text, ""
// if it were not there. read says whether any include is for it.
func loadInstead(path, file, text string) (cfg *Config, read bool, err error) {
	main, err := readConfig(path)
	if err != nil {
		return nil, false, &ConfigError{[]Mistake{{File: path, Message: err.Error()}}}
	}
	other := instead{file: file, text: text}
	cfg, err = load(path, main, &other)
	return cfg, other.read, err
}

// loadBeside is Load with one more chardev, which may have the name of another one: it
// is the last, and checked like those in the files. beyond says that what its address fd:
// names leads to other hosts.
func loadBeside(path, text string, beyond bool) (*ChardevConfig, error) {
	main, err := readConfig(path)
	if err != nil {
		return nil, &ConfigError{[]Mistake{{File: path, Message: err.Error()}}}
	}
	cfg, err := load(path, main, &instead{beside: text, beyond: beyond})
	if err != nil {
		return nil, err
	}
	return &cfg.Chardevs[len(cfg.Chardevs)-1], nil
}

// An instead is what is read besides what is on the disk. The zero one is nothing.
type instead struct {
	file, text string // a file that is read as if it had another text
	read       bool   // it was

	beside string // a chardev, see loadBeside
	beyond bool
}

// besideName is what the messages call the chardev of loadBeside.
const besideName = "request"

// readConfig reads a file of at most maxConfig bytes; of a larger one it
// returns one byte more.
func readConfig(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the config file cannot be opened: %w", cause(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return "", fmt.Errorf("the config file cannot be read: %w", cause(err))
	}
	return string(text), nil
}

// cause is the error without the path, which the message tells already.
func cause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// A loader is one Load.
type loader struct {
	cfg      *Config
	instead  *instead
	sources  int
	notes    []note // the mistakes
	warnings []note

	defaults    ChardevConfig  // of [defaults], else built in
	frontend    FrontendConfig // the same for frontends
	credentials map[string]*credentials
	names       map[string]spot // of chardevs
	uses        []*use
	total       *value // max_total of [journal], if it is given
	rules       []access.Rule
	ons         []*value // of which chardevs the rules are
	numbered    int      // chardevs that others have numbers up to
	globs       []string // of include, and the main file
	holes       bool     // chardevs may be missing, because something could not be read
	grows       bool     // chardevs may come in files that are not there yet
}

func (l *loader) mistake(at spot, format string, args ...any) {
	l.notes = append(l.notes, at.notef(format, args...))
}

func (l *loader) warn(at spot, format string, args ...any) {
	l.warnings = append(l.warnings, at.notef(format, args...))
}

// loadSome has read take what it wants of a config file, if that is TOML; the mistakes
// are in the loader. An error is of a file that can not be read at all.
func loadSome(path string, read func(*loader, *table)) (*loader, error) {
	return loadPart(path, func(text string) string { return text }, read)
}

// loadPart is loadSome of a part of the file's text.
func loadPart(path string, part func(text string) string, read func(*loader, *table)) (*loader, error) {
	text, err := readConfig(path)
	var abs string
	if err == nil {
		abs, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, &ConfigError{[]Mistake{{File: path, Message: err.Error()}}}
	}
	text = part(text)
	l := &loader{cfg: &Config{File: path}}
	if t, ok := l.parse(path, filepath.Dir(abs), text); ok {
		read(l, t)
	}
	return l, nil
}

// load is Load of a file whose text is known.
func load(path, text string, other *instead) (*Config, error) {
	l := &loader{
		instead:     other,
		cfg:         &Config{File: path, Credentials: map[string]*CredentialsConfig{}},
		defaults:    builtinChardev,
		frontend:    builtinFrontend,
		credentials: map[string]*credentials{},
		names:       map[string]spot{},
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &ConfigError{[]Mistake{{File: path, Message: err.Error()}}}
	}
	if t, ok := l.parse(path, filepath.Dir(abs), text); ok {
		l.main(t)
		l.beside(filepath.Dir(abs))
		l.cfg.Access = access.New(l.rules)
		l.check()
		l.samples()
		l.folders()
		l.named()
		l.exposed()
	}
	if len(l.notes) > 0 {
		return nil, &ConfigError{mistakes(l.notes)}
	}
	for _, w := range mistakes(l.warnings) {
		l.cfg.Warnings = append(l.cfg.Warnings, w.String())
	}
	l.slim()
	return l.cfg, nil
}

// slim has the config hold nothing of how it was written but for what is discovered to
// be held against: with thousands of chardevs the trees of the files are a fifth of what
// the daemon needs when nothing happens.
func (l *loader) slim() {
	l.cfg.Chardevs = append([]ChardevConfig(nil), l.cfg.Chardevs...) // no larger than it is
	if len(l.cfg.Discover) == 0 {
		l.cfg.uses = nil
		for i := range l.cfg.Chardevs {
			l.cfg.Chardevs[i].uses = nil
		}
	}
	for _, u := range l.uses {
		u.value = nil
	}
}

// beside reads the chardev that is not in a file.
func (l *loader) beside(dir string) {
	if l.instead.beside == "" {
		return
	}
	l.names = map[string]spot{}
	if t, ok := l.parse(besideName, dir, l.instead.beside); ok {
		t.name, t.src.beyond = "the request", l.instead.beyond
		l.content(t)
		t.done()
	}
}

// parse reads a file's TOML.
func (l *loader) parse(name, dir, text string) (*table, bool) {
	src := &source{name: name, dir: dir, order: l.sources, text: strings.TrimPrefix(text, "\ufeff")}
	l.sources++
	if len(text) > maxConfig {
		l.mistake(spot{src, 0}, "the file is larger than 1 MiB; split it and include the parts")
		return nil, false
	}
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		l.mistake(spot{src, 0}, "the file is UTF-16; save it as UTF-8")
		return nil, false
	}
	if !utf8.ValidString(src.text) {
		valid := strings.ToValidUTF8(src.text, "\x00")
		at := 0
		for at < len(valid) && valid[at] == src.text[at] {
			at++
		}
		l.mistake(spot{src, at}, "byte 0x%02x is not UTF-8", src.text[at])
		return nil, false
	}
	root, err := tomlpos.Scan(src.text)
	if deep, ok := errors.AsType[*tomlpos.DeepError](err); ok {
		l.mistake(spot{src, deep.Offset}, "%s", deep)
		return nil, false
	}
	vals := map[string]any{}
	if _, err := toml.Decode(src.text, &vals); err != nil {
		at := spot{src, 0}
		message := strings.TrimPrefix(err.Error(), "toml: ")
		if pe, ok := errors.AsType[toml.ParseError](err); ok {
			at.offset, message = max(0, min(pe.Position.Start, len(src.text))), pe.Message
			if strings.HasPrefix(message, "expected value but found ") && !strings.HasPrefix(src.text[at.offset:], "\n") {
				message += `; a text stands in quotes, like "this"`
			}
		}
		l.mistake(at, "%s", message)
		return nil, false
	}
	return &table{l: l, src: src, name: "the file", vals: vals, node: root}, true
}

// main reads the main file, and then what it includes.
func (l *loader) main(t *table) {
	t.name = "the main file"
	l.state(t)
	l.control(t)
	l.http(t)
	l.journal(t)
	l.audit(t)
	if v, ok := t.get("defaults"); ok {
		if d, ok := v.table("[defaults]", "a table [defaults]"); ok {
			l.readChardev(d, &l.defaults)
			l.readFrontend(d, &l.frontend)
			d.done()
		}
	}
	include, including := t.get("include")
	l.content(t)
	for key := range t.vals {
		meant := channel.Nearest(key, []string{"chardev", "discover", "stream"}) != ""
		l.holes = l.holes || meant && !slices.Contains(t.known, key) // done tells of it
	}
	t.done()
	if including {
		l.include(include, func(t *table) {
			l.content(t)
			t.done()
		})
	}
	if len(l.cfg.Chardevs) == 0 && len(l.cfg.Discover) == 0 && len(l.cfg.Streams) == 0 && !l.holes && !l.grows {
		l.mistake(spot{t.src, 0}, `no [[chardev]] in the configuration: give one, with name = "…" and device = "…"`)
	}
}

// content reads what any file may hold: credentials, access rules, chardevs and what makes
// chardevs of what appears.
func (l *loader) content(t *table) {
	l.access(t)
	if v, ok := t.get("credentials"); ok {
		l.readCredentials(v)
	}
	if v, ok := t.get("chardev"); ok {
		const what = "a list of tables: each begins with [[chardev]]"
		_, list := v.v.([]map[string]any)
		_, inline := v.v.([]any)
		l.holes = l.holes || !list && !inline
		for _, e := range v.list(what) {
			if c, ok := e.table("[[chardev]]", what); ok {
				l.chardev(c)
			} else {
				l.holes = true
			}
		}
	}
	l.discover(t)
	l.streams(t)
}

// include has content read the files that the globs of include match. They hold
// chardevs, credentials and access rules; what is said once for the whole daemon,
// [defaults] among it, stays in the main file, so that the order of files matters
// for the rules only.
func (l *loader) include(v *value, content func(*table)) {
	seen := map[string]bool{} // by absolute path: globs may overlap
	if main, err := filepath.Abs(l.cfg.File); err == nil {
		seen[main] = true
		l.globs = append(l.globs, globQuoter.Replace(main))
	}
	mistakes := len(l.notes)
	defer func() { l.holes = l.holes || len(l.notes) > mistakes }()
	for _, e := range v.list(`a list of files, like ["conf.d/*.toml"]`) {
		pattern, ok := e.text(`a file or a pattern, like "conf.d/*.toml"`)
		if !ok {
			continue
		}
		files, err := l.match(pattern, e.t.src)
		if err != nil {
			e.failf("%q is no pattern: %s", pattern, err)
			continue
		}
		l.globs = append(l.globs, globOf(pattern, e.t.src))
		literal := !strings.ContainsAny(pattern, `*?[\`)
		l.grows = l.grows || !literal
		if literal && seen[files[0].path] {
			e.failf("%q is read already; include it once", pattern)
			continue
		}
		for _, f := range files {
			if seen[f.path] {
				continue
			}
			seen[f.path] = true
			text, err := l.text(f.path)
			if err != nil {
				e.failf("%s: %s", f.name, err)
				continue
			}
			if t, ok := l.parse(f.name, filepath.Dir(f.path), text); ok {
				t.name = "an included file"
				content(t)
			}
		}
	}
}

// text is that of an included file.
func (l *loader) text(path string) (string, error) {
	if l.instead != nil && path == l.instead.file {
		l.instead.read = true
		return l.instead.text, nil
	}
	return readRegular(path)
}

// An included file has its absolute path, and the name that messages call it by.
type included struct{ path, name string }

// match returns the files of a pattern, sorted; one without wildcards is its file.
func (l *loader) match(pattern string, src *source) ([]included, error) {
	rel := !filepath.IsAbs(pattern)
	paths := []string{filepath.Clean(pattern)}
	if rel {
		paths[0] = filepath.Join(src.dir, pattern)
	}
	if strings.ContainsAny(pattern, `*?[\`) {
		var err error
		glob := globOf(pattern, src)
		if paths, err = filepath.Glob(glob); err != nil {
			return nil, errors.New("a bracket is not closed or is empty")
		}
		paths = l.instead.among(paths, glob)
	}
	files := make([]included, len(paths))
	for i, p := range paths {
		files[i] = included{p, p}
		if r, err := filepath.Rel(src.dir, p); rel && err == nil {
			files[i].name = filepath.Join(filepath.Dir(src.name), r)
		}
	}
	return files, nil
}

// globOf is a pattern from the root on.
func globOf(pattern string, src *source) string {
	if filepath.IsAbs(pattern) {
		return filepath.Clean(pattern)
	}
	return filepath.Join(globQuoter.Replace(src.dir), pattern) // the folder's own name is no pattern
}

// isConfig says whether the config is read from a path, or would be if something were there,
// by whatever name its folder is called.
func (l *loader) isConfig(path string) bool {
	for _, glob := range l.globs {
		if ok, _ := filepath.Match(filepath.Base(glob), filepath.Base(path)); !ok {
			continue
		}
		here, err := os.Stat(filepath.Dir(path))
		if err != nil {
			return false
		}
		folders, _ := filepath.Glob(filepath.Dir(glob))
		for _, f := range folders {
			if there, err := os.Stat(f); err == nil && os.SameFile(here, there) {
				return true
			}
		}
	}
	return false
}

// among is the files of a pattern with the one that has another text, or without it if it
// has none.
func (i *instead) among(paths []string, glob string) []string {
	if i == nil || i.file == "" {
		return paths
	}
	paths = slices.DeleteFunc(paths, func(p string) bool { return p == i.file })
	if ok, _ := filepath.Match(glob, i.file); ok && i.text != "" {
		at, _ := slices.BinarySearch(paths, i.file)
		paths = slices.Insert(paths, at, i.file)
	}
	return paths
}

var globQuoter = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`)

// readRegular reads a file that a config names; a device or a pipe could block
// or never end.
func readRegular(path string) (string, error) {
	if err := checkRegular(path); err != nil {
		return "", err
	}
	return readConfig(path)
}

func checkRegular(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return cause(err)
	case info.IsDir():
		return errors.New("is a folder, not a file")
	case !info.Mode().IsRegular():
		return errors.New("is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return cause(err)
	}
	return f.Close()
}
