package chardev

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"chardevd/channel"
)

// Places to fill in, in the name and the addresses of [[discover]]:
//
//	{path}      where it was found
//	{address}   of a device only, at its beginning: unix:{path} for a socket, serial:{path} for a device node
//	{base}      its file name, without the extension that the glob ends in
//	{1}, {2} …  what the wildcards of the glob stand for
//	{ID_SERIAL} any udev property of a device node
//	{name}      in addresses: the chardev's name
//
// What is filled into an address is escaped. But for the first two it is one name of a path at
// most: who may make a socket, or a USB device with a serial number, does not choose a folder.

// usualDevice is the device of a [[discover]] that gives none.
const usualDevice = "{address}"

var (
	placePattern    = regexp.MustCompile(`\{([^{}]*)\}`)
	propertyPattern = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
)

// placesOf are the places of a text, each once.
func placesOf(text string) (names []string) {
	for _, m := range placePattern.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// place checks a place in a text of the key, and notes the udev property that it is.
func (d *DiscoverConfig) place(key, text, place string) error {
	scheme, _, _ := strings.Cut(text, ":")
	switch n, err := strconv.Atoi(place); {
	case key != "name" && place != "address" && strings.Contains(scheme, "{"):
		return errors.New("how it is reached must be written, like unix: before the first {")
	case key != "name" && (scheme == "exec" || scheme == "command"):
		return fmt.Errorf("nothing is filled into a command: who names what is found would choose what is run; leave out {%s}", place)
	case err == nil && n > d.Glob.Wildcards() || err == nil && n < 1:
		return fmt.Errorf("there is no {%s}: %s has %d wildcards", place, d.Glob, d.Glob.Wildcards())
	case err == nil, place == "path" && key != "name", place == "base", place == "name" && key != "name":
	case place == "address" && key == "device":
		if !strings.HasPrefix(text, "{address}") || strings.Count(text, "{address}") > 1 {
			return errors.New("{address} is for the beginning")
		}
	case propertyPattern.MatchString(place):
		d.wants[place] = true
	case key == "name":
		return unknownPlace{fmt.Errorf("unknown {%s}; want {base}, {1} and so on for what the wildcards stand for, or a udev property like {ID_SERIAL_SHORT}", place)}
	default:
		return unknownPlace{fmt.Errorf("unknown {%s}; want {path}, {base}, {name}, {1} and so on for what the wildcards stand for, or a udev property like {ID_SERIAL_SHORT}; a device may begin with {address}", place)}
	}
	return nil
}

// unknownPlace is the error of a place whose word is none.
type unknownPlace struct{ error }

// errNoProperty is of a udev property that a device node does not have, or not yet.
var errNoProperty = errors.New("it has no such udev property: udevadm info tells which it has")

// fill is the text with its places filled in.
func (f *found) fill(key, text string) (string, error) {
	var failed error
	filled := placePattern.ReplaceAllStringFunc(text, func(place string) string {
		v, err := f.fills(place[1 : len(place)-1])
		if err != nil {
			failed = fmt.Errorf("%s: %s: %w", key, place, err)
		}
		if key == "name" {
			return v
		}
		return addressEscape.Replace(v)
	})
	return filled, failed
}

// addressEscape is for what is filled into an address.
var addressEscape = strings.NewReplacer("%", "%25", "?", "%3F", "&", "%26")

// fills is what a place stands for.
func (f *found) fills(place string) (v string, err error) {
	switch n, err := strconv.Atoi(place); {
	case place == "path":
		return f.path, nil
	case place == "address" && f.kind == fs.ModeSocket:
		return "unix:" + f.path, nil
	case place == "address":
		return "serial:" + f.path, nil
	case place == "base":
		v = f.base
	case place == "name":
		v = f.name
	case err == nil:
		v = f.parts[n-1]
	default:
		var ok bool
		if v, ok = f.properties[place]; !ok {
			return "", errNoProperty
		}
	}
	if strings.ContainsAny(v, "/\x00") || v == "." || v == ".." {
		return "", fmt.Errorf("%q can be no name in a path", v)
	}
	return v, nil
}

// make makes the chardev, as if it were the only one in a file that base has read; it is
// then in the loader that is returned, with the mistakes about it. An error is of a place that
// can not be filled in.
func (f *found) make(base *loader, numbered int) (*loader, error) {
	l := &loader{
		cfg:         &Config{File: base.cfg.File, State: base.cfg.State, Control: base.cfg.Control, Audit: base.cfg.Audit, Journal: base.cfg.Journal, Access: base.cfg.Access},
		defaults:    base.defaults,
		frontend:    base.frontend,
		credentials: base.credentials,
		names:       map[string]spot{},
		numbered:    numbered,
	}
	d := f.from.table
	t := &table{l: l, src: d.src, name: d.name, vals: maps.Clone(d.vals), node: d.node, known: slices.Clone(d.known)}
	for _, key := range []string{"name", "device", "frontends", "frontend"} {
		v, given := t.vals[key]
		if !given {
			continue
		}
		var err error
		if t.vals[key], err = f.fillIn(key, v); err != nil {
			return nil, err
		}
		if text, ok := t.vals[key].(string); ok && key == "name" {
			f.name = text
		}
	}
	l.chardev(t)
	if len(l.notes) == 0 {
		for _, u := range l.uses {
			l.fits(u)
		}
		l.folders()
	}
	l.cfg.Chardevs[0].Found = f.path
	return l, nil
}

// fillIn is fill of all addresses in a value; what is none is left as it is.
func (f *found) fillIn(key string, v any) (_ any, err error) {
	switch v := v.(type) {
	case string:
		return f.fill(key, v)
	case map[string]any:
		v = maps.Clone(v)
		for _, side := range []string{"listen", "connect"} {
			if text, ok := v[side].(string); ok {
				if v[side], err = f.fill(key, text); err != nil {
					return nil, err
				}
			}
		}
		return v, nil
	case []any:
		v = slices.Clone(v)
		for i := range v {
			if v[i], err = f.fillIn(key, v[i]); err != nil {
				return nil, err
			}
		}
		return v, nil
	case []map[string]any:
		all := make([]any, len(v))
		for i := range v {
			if all[i], err = f.fillIn(key, v[i]); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return v, nil
}

// baseOf is what {base} stands for.
func baseOf(glob *channel.Glob, path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(glob.Tail()))
}
