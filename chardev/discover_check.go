package chardev

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"chardevd/channel"
)

// Discovered tells of each [[discover]] what it would make of what is there now, in lines
// for people.
func (c *Config) Discovered() (lines []string) {
	d, matches, err := c.look()
	for i, one := range c.Discover {
		var below []string
		n := 0
		for _, m := range matches {
			if m.Glob != i {
				continue
			}
			switch f := d.found[m.Path]; {
			case !canDiscover(m.Type):
				below = append(below, fmt.Sprintf("  %s: no chardev: it is neither a socket nor a device", m.Path))
			case f.from != one:
				below = append(below, fmt.Sprintf("  %s: by the [[discover]] at %s already", m.Path, f.from.Pos))
			case f.config == nil:
				below = append(below, fmt.Sprintf("  %s: no chardev: %s", m.Path, oneLine.Replace(f.trouble)))
			default:
				n++
				below = append(below, fmt.Sprintf("  %s: chardev %s", m.Path, f.config.Name))
			}
		}
		lines = append(append(lines, fmt.Sprintf("%s: discover %s: %d now", one.Pos, one.Glob, n)), below...)
	}
	if err != nil {
		lines = append(lines, oneLine.Replace(err.Error()))
	}
	return lines
}

// look is what the globs of the config match now, and what would be made of that.
func (c *Config) look() (*discovery, []channel.GlobMatch, error) {
	d := new(discovery)
	d.init(slog.New(slog.DiscardHandler), func(string) bool { return false })
	d.index(c)
	matches, err := channel.LookGlobs(globsOf(c))
	d.settle(c, matches, time.Now())
	return d, matches, err
}

// discoveredNames are those of the chardevs that are discovered now, sorted.
func (c *Config) discoveredNames() (names []string) {
	if len(c.Discover) == 0 {
		return nil
	}
	d, _, _ := c.look() // what can not be looked at has no names
	for _, f := range d.found {
		if f.config != nil {
			names = append(names, f.config.Name)
		}
	}
	slices.Sort(names)
	return names
}
