package chardev

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"chardevd/channel"
)

// Chardevs that are added while the daemon runs, are replaced or removed. Each is kept in
// a file of its own beside the config file, which nobody else writes.

// keptFolder is where these files are, beside the config file.
const keptFolder = "conf.d"

// keptFirst is the first line of a file that the daemon keeps: one without it is somebody
// else's.
const keptFirst = "# kept by chardevd: \"chardevd replace\" and \"chardevd remove\" change it; without this line it is yours\n"

// add has one more chardev, and keeps it.
func (s *Server) add(by actor, want ChardevRequest) (Changes, error) {
	return s.change(by, "add "+want.Name, func(now *Config) (*Config, error) {
		if at := chardevAt(now, want.Name); at >= 0 {
			return nil, fmt.Errorf("a chardev %q is there already, at %s: replace it, or give this one another name", want.Name, now.Chardevs[at].Pos)
		}
		file, err := s.keptFile(want.Name)
		if err != nil {
			return nil, err
		}
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is there already: reload the config, or remove the file", file)
		}
		return s.keep(now, file, want)
	})
}

// replace has another chardev in place of the one of its name, and keeps it.
func (s *Server) replace(by actor, want ChardevRequest) (Changes, error) {
	return s.change(by, "replace "+want.Name, func(now *Config) (*Config, error) {
		file, err := s.ownFile(now, want.Name)
		if err != nil {
			return nil, err
		}
		return s.keep(now, file, want)
	})
}

// remove has a chardev no more: one that was added so, or that was found and is gone. Its
// journal stays where it is.
func (s *Server) remove(by actor, name string) (Changes, error) {
	return s.change(by, "remove "+name, func(now *Config) (*Config, error) {
		if next, found, err := s.discovery.forget(now, name); found {
			return next, err
		}
		if at := chardevAt(now, name); at >= 0 && now.Chardevs[at].passed != nil {
			return without(now, at), nil
		}
		file, err := s.ownFile(now, name)
		if err != nil {
			return nil, err
		}
		if _, _, err := loadInstead(s.file, file, ""); err != nil {
			return nil, fmt.Errorf("without %s the config would be wrong: %w", name, err)
		}
		if err := os.Remove(file); err != nil {
			return nil, fmt.Errorf("%s is not removed: %w", name, err)
		}
		if err := syncFolder(filepath.Dir(file)); err != nil {
			return nil, err
		}
		return without(now, chardevAt(now, name)), nil
	})
}

// without is a config that lacks the chardev at a place in it.
func without(now *Config, at int) *Config {
	next := *now
	next.Chardevs = slices.Delete(slices.Clone(now.Chardevs), at, at+1)
	return &next
}

// with is a config that has one chardev more, or in place of the one of its name.
func with(now *Config, one *ChardevConfig) *Config {
	next := *now
	next.Chardevs = slices.Clone(now.Chardevs)
	if at := chardevAt(now, one.Name); at >= 0 {
		next.Chardevs[at] = *one
	} else {
		next.Chardevs = append(next.Chardevs, *one)
	}
	return &next
}

// chardevAt is which chardev of a config has a name, -1: none.
func chardevAt(cfg *Config, name string) int {
	return slices.IndexFunc(cfg.Chardevs, func(c ChardevConfig) bool { return c.Name == name })
}

// keptFile is the file in which a chardev is kept, absolute.
func (s *Server) keptFile(name string) (string, error) {
	if !isName(name) {
		return "", fmt.Errorf("name: want %s, have %q", nameForm, name)
	}
	main, err := filepath.Abs(s.file)
	return filepath.Join(filepath.Dir(main), keptFolder, name+".toml"), err
}

// ownFile is keptFile of a chardev that there is. One that is not kept there stands in a
// file of somebody else, which the error names.
func (s *Server) ownFile(now *Config, name string) (string, error) {
	at := chardevAt(now, name)
	if at < 0 {
		var names []string
		for _, c := range now.Chardevs {
			names = append(names, c.Name)
		}
		return "", unknownChardev(name, names)
	}
	file, err := s.keptFile(name)
	if err != nil {
		return "", err
	}
	text, err := readRegular(file)
	if err == nil && strings.HasPrefix(text, keptFirst) {
		return file, nil
	}
	if now.Chardevs[at].passed != nil {
		return "", errPassedChardev(name)
	}
	if found := now.Chardevs[at].Found; found != "" {
		return "", &foundError{name, found, now.Chardevs[at].Pos}
	}
	return "", fmt.Errorf("chardev %s stands at %s, in a file that chardevd does not keep: change it there, and reload", name, now.Chardevs[at].Pos)
}

// keep is now with a chardev that is wanted, which is checked with all that stands in the
// config files, and then written down.
func (s *Server) keep(now *Config, file string, want ChardevRequest) (*Config, error) {
	text, err := want.toml()
	if err != nil {
		return nil, err
	}
	text = keptFirst + text
	checked, read, err := loadInstead(s.file, file, text)
	if err != nil {
		return nil, err
	}
	if !read {
		return nil, fmt.Errorf("%s would not be read at the next start: add include = [%q] to the top of %s", file, keptFolder+"/*.toml", s.file)
	}
	one := checked.Chardevs[chardevAt(checked, want.Name)]
	if err := mayName(append(addressesOf(one.Frontends), one.Device.Address)); err != nil {
		return nil, err
	}
	if err := writeWhole(file, text); err != nil {
		return nil, fmt.Errorf("%s cannot be kept, so nothing was changed: %w", want.Name, err)
	}
	return with(now, &one), nil
}

// inFilesOnly are the transports that only who writes the config files may name: they run
// commands as the daemon's user, write its files, or take what was given to it.
var inFilesOnly = []string{"exec", "command", "file", "pipe", "stdio", "fd"}

// mayName refuses what is for the config files only.
func mayName(all []channel.Address) error {
	for _, a := range all {
		if slices.Contains(inFilesOnly, a.Transport) {
			return fmt.Errorf("%s: only a config file may have %s: add it there, and reload", a, a.Transport)
		}
	}
	return nil
}

func addressesOf(frontends []FrontendConfig) (all []channel.Address) {
	for i := range frontends {
		all = append(all, frontends[i].Address)
	}
	return all
}

// toml is the chardev as it is written in a file.
func (r ChardevRequest) toml() (string, error) {
	t := map[string]any{"name": r.Name}
	for key, v := range r.Settings {
		if slices.Contains([]string{"name", "device", "frontends", "frontend"}, key) {
			return "", fmt.Errorf("%s is no setting: it is given by itself", key)
		}
		t[key] = whole(v)
	}
	var plain []string
	var tables []any
	for _, f := range r.Frontends {
		if text, ok := f.(string); ok {
			plain = append(plain, text)
		} else {
			tables = append(tables, whole(f))
		}
	}
	if len(plain) > 0 {
		t["frontends"] = plain
	}
	if len(tables) > 0 {
		t["frontend"] = tables
	}
	if r.Device != nil {
		t["device"] = whole(r.Device)
	}
	for _, v := range append([]any{r.Device}, r.Frontends...) {
		if err := absolutePath(v); err != nil {
			return "", err
		}
	}
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(map[string]any{"chardev": []any{t}}); err != nil {
		return "", fmt.Errorf("this cannot be written as TOML: %w", err)
	}
	return text.String(), nil
}

// absolutePath refuses an address, or a table with one, whose path depends on where it is
// written: who wants it does not know the folder.
func absolutePath(v any) error {
	switch v := v.(type) {
	case string:
		a, err := channel.ParseAddress(v)
		if err == nil && a.In("/").String() != a.String() {
			return fmt.Errorf("%s: give the whole path, from / on", v)
		}
	case map[string]any:
		return errors.Join(absolutePath(v["listen"]), absolutePath(v["connect"]))
	}
	return nil
}

// whole makes the numbers of JSON, which have no other kind, whole ones where they are.
func whole(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	}
	return v
}

// writeWhole writes a file so that it is there whole or not at all, and on the disk.
func writeWhole(file, text string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(file)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
