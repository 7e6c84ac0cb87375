package channel

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// REFERENCE.md tells of all options of addresses, with the values that the messages about
// wrong ones name, and of no others.
func TestOptionsAreToldOf(t *testing.T) {
	text, err := os.ReadFile("../chardev/REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ name, value string }
	var order []row
	of := map[row][]string{} // which transports and layers have it
	add := func(name string, defs []optionDef) {
		for _, d := range defs {
			r := row{d.name, valueOf(d)}
			if of[r] == nil {
				order = append(order, r)
			}
			of[r] = append(of[r], name)
		}
	}
	add("all", commonOptions)
	for _, l := range layers() {
		add(l.name, l.options)
	}
	for _, one := range transports() {
		add(one.name, one.options)
	}
	var want, rows []string
	for _, r := range order {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | ", r.name, strings.Join(of[r], ", "), r.value))
	}
	_, section, _ := strings.Cut(string(text), "\n## Options of addresses\n")
	section, _, _ = strings.Cut(section, "\n#")
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, line)
		}
	}
	if !slices.EqualFunc(rows, want, func(row, want string) bool {
		return strings.HasPrefix(row, want) && len(row) > len(want)+len(" |\n")
	}) {
		t.Errorf("it has other options or values than these, or does not say what they are:\n%s", strings.Join(want, "\n"))
	}
}

// valueOf is what an option wants, as the message about a value says it that none takes.
func valueOf(d optionDef) string {
	value := "text"
	if err := d.check("\x01"); err != nil {
		if want, ok := strings.CutPrefix(err.Error(), "want "); ok {
			value, _, _ = strings.Cut(want, ", have ")
		}
	}
	if d.repeat {
		value += "; may be given several times"
	}
	return value
}
