package imports

import (
	"fmt"
	"slices"
	"strings"

	"chardevd/channel"
)

// Qemu reads options of QEMU's command line: its character devices, the objects that they
// name, and the devices that use them. What else stands in text is passed over, so it may
// be a whole command line, a script, or /proc/PID/cmdline. file is what messages call it.
// It makes the peer of each console, or what QEMU has itself if asWritten.
func Qemu(file, text string, asWritten bool) (*Config, error) {
	q := &qemu{
		guestImporter: guestImporter{
			source: source{file: file, text: text}, asWritten: asWritten, out: new(Config),
			comes: "-chardev socket,id=%s,path=%s,reconnect=1",
		},
		byID:    map[string]*qemuChardev{},
		uses:    map[string][]qemuUse{},
		objects: map[string]*qemuObject{},
		made:    map[string]bool{},
	}
	q.main()
	return q.finish("there is no character device of QEMU here: no -chardev, no -serial")
}

// A qemu is one Qemu.
type qemu struct {
	guestImporter
	chardevs []*qemuChardev // in their order
	byID     map[string]*qemuChardev
	uses     map[string][]qemuUse // by the id of a chardev
	objects  map[string]*qemuObject
	made     map[string]bool // credentials and rules that are in out
	named    []qemuName

	serials, parallels, monitors, debugs int // of each so far, for their names
}

// A qemuChardev is one of its character devices.
type qemuChardev struct {
	*optionList
	console
	id, backend string
	member      *qemuChardev   // the mux or hub that it is one of
	members     []*qemuChardev // of a mux or a hub
}

// A qemuUse is what uses a character device.
type qemuUse struct {
	what    string
	console bool
	at      int
}

// main reads all options, and then makes the chardevs.
func (q *qemu) main() {
	all := q.words()
	if len(q.mistakes) > 0 {
		return
	}
	for i := 0; i < len(all); i++ {
		name, ok := strings.CutPrefix(all[i].text, "-")
		if !ok {
			continue
		}
		name = strings.TrimPrefix(name, "-")
		read, ok := qemuOptions[name]
		if !ok {
			q.mistyped(all, i, name)
			continue
		}
		if i++; i == len(all) {
			q.mistake(q.place(all[i-1].at[0]), "-%s: its value is missing", name)
			break
		}
		if read != nil {
			if all[i].dollar >= 0 && name != "device" {
				q.mistake(q.place(all[i].dollar), "-%s: here stands a variable of the shell, whose value is not known: write it out", name)
				continue
			}
			read(q, "-"+name, all[i])
		}
	}
	q.checkNamed()
	q.joinMembers()
	for _, c := range q.chardevs {
		q.console(c)
	}
}

// qemuOptions are the options that are read, and nil for those whose value may begin with
// a dash and is passed over.
var qemuOptions = map[string]func(q *qemu, option string, w word){
	"chardev":    (*qemu).chardev,
	"object":     (*qemu).object,
	"device":     (*qemu).device,
	"name":       (*qemu).vmName,
	"mon":        (*qemu).mon,
	"serial":     (*qemu).serial,
	"parallel":   (*qemu).parallel,
	"debugcon":   (*qemu).debugcon,
	"monitor":    (*qemu).monitor,
	"qmp":        (*qemu).monitor,
	"qmp-pretty": (*qemu).monitor,
	"gdb":        (*qemu).gdb,
	"netdev":     (*qemu).other,
	"tpmdev":     (*qemu).other,
	"append":     nil,
}

// mistyped tells of an option that was probably meant to be one of a character device.
func (q *qemu) mistyped(all []word, i int, name string) {
	near := channel.Nearest(name, []string{"chardev", "serial", "parallel"})
	if near == "" || slices.Contains([]string{"chardevs", "trace", "seed"}, name) || i+1 == len(all) {
		return
	}
	q.mistake(q.place(all[i].at[0]), "unknown option -%s, did you mean -%s?", name, near)
}

// chardev reads -chardev.
func (q *qemu) chardev(option string, w word) {
	if strings.HasPrefix(w.text, "{") {
		q.mistake(q.place(w.at[0]), "-chardev: QEMU takes no JSON here: write backend,id=ID,key=value")
		return
	}
	l := q.options(option, w, "backend", chardevKeys)
	id := l.last("id")
	if id == nil {
		q.mistake(q.place(l.begin), "-chardev: id is missing")
		return
	}
	q.take(&qemuChardev{optionList: l, id: id.value, backend: l.get("backend"), console: console{what: "chardev " + id.value, name: id.value}}, id.at)
}

// take has one more character device, whose id stands at a place.
func (q *qemu) take(c *qemuChardev, at int) {
	c.at = q.place(c.begin)
	if _, dup := q.byID[c.id]; dup {
		q.mistake(q.place(at), "%s: id: there is one of that id already", c.what)
		return
	}
	if real, ok := qemuAliases[c.backend]; ok {
		c.backend = real
	}
	if backends[c.backend] == nil && backendNotHere[c.backend] == "" && !slices.Contains([]string{"mux", "hub"}, c.backend) {
		q.unknownBackend(c)
		return
	}
	q.byID[c.id] = c
	q.chardevs = append(q.chardevs, c)
}

func (q *qemu) unknownBackend(c *qemuChardev) {
	at := q.place(c.begin)
	if i := c.last("backend"); i != nil {
		at = q.place(i.at)
	}
	if c.backend == "" {
		q.mistake(at, "%s: backend: it is missing", c.what)
		return
	}
	known := []string{"mux", "hub"}
	for _, names := range []([]string){sortedKeys(backends), sortedKeys(backendNotHere), sortedKeys(qemuAliases)} {
		known = append(known, names...)
	}
	if near := channel.Nearest(c.backend, known); near != "" {
		q.mistake(at, "%s: backend: QEMU has no %s, did you mean %q?", c.what, quoted(c.backend), near)
		return
	}
	q.mistake(at, "%s: backend: QEMU has no %s", c.what, quoted(c.backend))
}

// console makes the chardev of one of QEMU's, if it is a console.
func (q *qemu) console(c *qemuChardev) {
	if c.member != nil {
		return // which its hub or mux makes
	}
	uses := q.uses[c.id]
	console := slices.ContainsFunc(uses, func(u qemuUse) bool { return u.console })
	var by []string
	for _, u := range uses {
		by = append(by, u.what)
	}
	if len(uses) > 0 && !console {
		q.skip(c.at, "%s is left out: it belongs to %s, which is no console", c.what, strings.Join(by, ", "))
		return
	}
	if why := backendNotHere[c.backend]; why != "" {
		q.skip(q.whereBackend(c), "%s is left out: %s %s", c.what, c.backend, why)
		return
	}
	c.comments = []string{fmt.Sprintf("%s of QEMU (%s)%s", c.id, c.backend, of(by))}
	switch {
	case c.backend == "mux" || c.backend == "hub":
		if q.group(c) {
			q.add(&c.console)
		}
	case q.ends(c):
		q.unused(c)
		q.add(&c.console)
	}
}

// of is by what something is used, for a comment.
func of(by []string) string {
	if len(by) == 0 {
		return ""
	}
	return ", of " + strings.Join(by, ", ")
}

func (q *qemu) whereBackend(c *qemuChardev) place {
	if i := c.last("backend"); i != nil {
		return q.place(i.at)
	}
	return c.at
}
