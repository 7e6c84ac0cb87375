package imports

import (
	"encoding/json"
	"fmt"
	"strings"

	"chardevd/channel"
)

// A qemuObject is an -object.
type qemuObject struct {
	*optionList
	kind, id string
}

// object reads -object.
func (q *qemu) object(option string, w word) {
	l := q.properties(option, w, "qom-type")
	if l == nil {
		return
	}
	o := &qemuObject{optionList: l, kind: l.get("qom-type"), id: l.get("id")}
	q.others(o.kind, l)
	switch {
	case o.kind == "":
		q.mistake(q.place(l.begin), "-object: its type is missing")
	case o.id == "":
		q.mistake(q.place(l.begin), "-object %s: id is missing", o.kind)
	case q.objects[o.id] != nil:
		q.mistake(q.place(l.where("id")), "-object %s: id: there is an object %s already", o.kind, o.id)
	default:
		q.objects[o.id] = o
	}
}

// properties reads an option that may be JSON, too. It is nil after a mistake.
func (q *qemu) properties(option string, w word, first string) *optionList {
	if !strings.HasPrefix(w.text, "{") {
		before := len(q.mistakes)
		if l := q.options(option, w, first, nil); len(q.mistakes) == before {
			return l
		}
		return nil
	}
	l := &optionList{begin: w.at[0]}
	d := json.NewDecoder(strings.NewReader(w.text))
	d.UseNumber()
	if err := q.flatten(l, d, w, ""); err != nil {
		q.mistake(q.place(w.at[min(int(d.InputOffset()), len(w.text))]), "%s: this is no JSON: %s", option, err)
		return nil
	}
	return l
}

// flatten reads a value of JSON as the keys that it has without: a.b and a.0.
func (q *qemu) flatten(l *optionList, d *json.Decoder, w word, prefix string) error {
	begin := int(d.InputOffset())
	t, err := d.Token()
	if err != nil {
		return err
	}
	offset := func(i int) int { // of the next token
		for i < len(w.text) && strings.IndexByte(" \t\r\n:,", w.text[i]) >= 0 {
			i++
		}
		return w.at[i]
	}
	delim, nested := t.(json.Delim)
	if !nested {
		value := fmt.Sprint(t)
		if b, ok := t.(bool); ok {
			value = either(b, "on", "off")
		}
		l.items = append(l.items, &item{key: prefix, value: value, keyAt: offset(begin), at: offset(begin)})
		return nil
	}
	for n := 0; d.More(); n++ {
		key, at := fmt.Sprint(n), offset(int(d.InputOffset()))
		if delim == '{' {
			t, err := d.Token()
			if err != nil {
				return err
			}
			key = fmt.Sprint(t)
		}
		if prefix != "" {
			key = prefix + "." + key
		}
		from := len(l.items)
		if err := q.flatten(l, d, w, key); err != nil {
			return err
		}
		for _, i := range l.items[from:] {
			if i.key == key {
				i.keyAt = at
			}
		}
	}
	_, err = d.Token()
	return err
}

// consoleDevices are the drivers of -device that are consoles, by how they begin or end.
func isConsoleDevice(driver string) bool {
	return strings.Contains(driver, "serial") && driver != "virtio-serial" || strings.HasSuffix(driver, "console") || driver == "isa-debugcon" || driver == "spapr-vty" || driver == "isa-parallel"
}

// device reads -device, of those that have a chardev.
func (q *qemu) device(option string, w word) {
	if !strings.Contains(w.text, "chardev") {
		return
	}
	l := q.properties(option, w, "driver")
	if l == nil {
		return
	}
	driver := l.get("driver")
	if id := l.last("chardev"); id != nil {
		console := isConsoleDevice(driver)
		// The ports of agents carry their messages, for programs that ask by them.
		port := l.get("name")
		if port != "" {
			driver += " " + port
		}
		if port == "com.redhat.spice.0" || strings.HasPrefix(port, "org.qemu.guest_agent.") {
			console = false
		}
		q.uses[id.value] = append(q.uses[id.value], qemuUse{driver, console, id.at})
		q.named = append(q.named, qemuName{"-device " + driver, id.value, id.at})
	}
}

// other reads another option that may use a chardev.
func (q *qemu) other(option string, w word) {
	if l := q.properties(option, w, "type"); l != nil {
		q.others(option+" "+l.get("type"), l)
	}
}

// others notes that a chardev is used by what is no console.
func (q *qemu) others(what string, l *optionList) {
	if i := l.last("chardev"); i != nil {
		q.uses[i.value] = append(q.uses[i.value], qemuUse{what, false, i.at})
	}
}

// mon reads -mon.
func (q *qemu) mon(option string, w word) {
	q.others("a monitor", q.options(option, w, "chardev", keys{"chardev": anyText, "mode": anyText, "pretty": onOff}))
}

// vmName reads -name.
func (q *qemu) vmName(option string, w word) {
	q.machine = q.options(option, w, "guest", keys{"guest": anyText, "process": anyText, "debug-threads": onOff}).get("guest")
}

// A qemuName is where a chardev is named that should be there.
type qemuName struct {
	what, id string
	at       int
}

// checkNamed tells of chardevs that are named and not there.
func (q *qemu) checkNamed() {
	for _, n := range q.named {
		if q.byID[n.id] != nil {
			continue
		}
		if near := channel.Nearest(n.id, sortedKeys(q.byID)); near != "" {
			q.mistake(q.place(n.at), "%s: there is no chardev %s, did you mean %q?", n.what, quoted(n.id), near)
		} else {
			q.mistake(q.place(n.at), "%s: there is no chardev %s", n.what, quoted(n.id))
		}
	}
}
