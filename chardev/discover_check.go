package chardev

import (
	"fmt"
	"log/slog"
	"time"

	"chardevd/channel"
)

// Discovered tells of each [[discover]] what it would make of what is there now, in lines
// for people.
func (c *Config) Discovered() (lines []string) {
	var d discovery
	d.init(slog.New(slog.DiscardHandler), func(string) bool { return false })
	d.index(c)
	matches, err := channel.LookGlobs(globsOf(c))
	d.settle(c, matches, time.Now())
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
