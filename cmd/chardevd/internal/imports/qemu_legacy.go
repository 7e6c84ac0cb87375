package imports

import (
	"fmt"
	"strings"
)

// The short forms of -serial, -parallel, -monitor, -qmp and -debugcon, where a character
// device stands at once (qemu_chr_parse_compat, chardev/char.c).

func (q *qemu) serial(option string, w word) {
	q.short(option, w, fmt.Sprintf("serial%d", q.serials), "a serial port", true)
	q.serials++
}

func (q *qemu) parallel(option string, w word) {
	q.short(option, w, fmt.Sprintf("parallel%d", q.parallels), "a parallel port", true)
	q.parallels++
}

func (q *qemu) debugcon(option string, w word) {
	q.short(option, w, "debugcon"+either(q.debugs == 0, "", fmt.Sprint(q.debugs)), "a debug console", true)
	q.debugs++
}

// monitor reads a monitor's: it is read, so that what is wrong with it is told.
func (q *qemu) monitor(option string, w word) {
	q.short(option, w, fmt.Sprintf("compat_monitor%d", q.monitors), "a monitor", false)
	q.monitors++
}

// gdb reads -gdb: of its forms that of a chardev only names one.
func (q *qemu) gdb(option string, w word) {
	if id, ok := strings.CutPrefix(w.text, "chardev:"); ok {
		q.uses[id] = append(q.uses[id], qemuUse{"gdb", false, w.at[len("chardev:")]})
	}
}

// short reads what stands for a character device with the id label.
func (q *qemu) short(option string, w word, label, use string, console bool) {
	used := func(id string, at int) {
		q.uses[id] = append(q.uses[id], qemuUse{use, console, at})
	}
	if id, ok := strings.CutPrefix(w.text, "chardev:"); ok {
		at := w.at[len("chardev:")]
		used(id, at)
		q.named = append(q.named, qemuName{option, id, at})
		return
	}
	if w.text == "none" {
		return
	}
	c := &qemuChardev{id: label, optionList: &optionList{begin: w.at[0]}, console: shortConsole(option, label)}
	set := func(key, value string, at int) {
		c.items = append(c.items, &item{key: key, value: value, keyAt: at, at: at})
	}
	if rest, ok := strings.CutPrefix(w.text, "mon:"); ok {
		set("mux", "on", w.at[0])
		w = w.from(len(w.text) - len(rest))
	}
	kind, rest, more := strings.Cut(w.text, ":")
	value := w.from(len(w.text) - len(rest))
	switch {
	case strings.HasPrefix(w.text, "/dev/parport"), strings.HasPrefix(w.text, "/dev/ppi"):
		c.backend = "parallel"
		set("path", w.text, w.at[0])
	case strings.HasPrefix(w.text, "/dev/"):
		c.backend = "serial"
		set("path", w.text, w.at[0])
	case !more:
		c.backend = w.text
	case kind == "vc":
		c.backend = "vc"
	case kind == "file" || kind == "pipe":
		c.backend = kind
		set("path", rest, value.at[0])
	case kind == "pty":
		c.backend = "pty"
		set("path", rest, value.at[0])
	case kind == "unix":
		c.backend = "socket"
		c.items = append(c.items, q.options(option, value, "path", chardevKeys).items...)
	case kind == "tcp" || kind == "telnet" || kind == "tn3270" || kind == "websocket":
		c.backend = "socket"
		if !q.hostAndPort(option, value, set, "host", "port", ",") {
			return
		}
		if comma := strings.IndexByte(rest, ','); comma >= 0 {
			c.items = append(c.items, q.options(option, value.from(comma+1), "", chardevKeys).items...)
		}
		if kind != "tcp" {
			set(kind, "on", w.at[0])
		}
	case kind == "udp":
		c.backend = "udp"
		remote, local, both := strings.Cut(rest, "@")
		if !q.hostAndPort(option, value.part(0, len(remote)), set, "host", "port", ",") {
			return
		}
		if both && !q.hostAndPort(option, value.from(len(rest)-len(local)), set, "localaddr", "localport", ",") {
			return
		}
		if comma := strings.IndexByte(rest, ','); comma >= 0 {
			q.mistake(q.place(value.at[comma]), "%s: udp: it has no options in this form: use -chardev udp", option)
			return
		}
	default:
		c.backend = kind
		if known := backends[kind] != nil || backendNotHere[kind] != ""; known {
			q.mistake(q.place(value.at[0]), "%s: %s: nothing stands behind it in this form: use -chardev %s", option, kind, kind)
			return
		}
	}
	c.items = append(c.items, &item{key: "backend", value: c.backend, keyAt: w.at[0], at: w.at[0], used: true})
	used(c.id, w.at[0])
	q.take(c, w.at[0])
}

// What one of these forms has at most (sscanf with %64 and %32 there).
const (
	mostHost = 64
	mostPort = 32
)

// hostAndPort reads [host]:port, up to one of the ends.
func (q *qemu) hostAndPort(option string, w word, set func(key, value string, at int), hostKey, portKey, ends string) bool {
	text := w.text
	if i := strings.IndexAny(text, ends); i >= 0 {
		text = text[:i]
	}
	host, port, ok := strings.Cut(text, ":")
	switch {
	case !ok || port == "":
		q.mistake(q.place(w.at[len(text)]), "%s: want host:port here, or :port", option)
	case strings.HasPrefix(host, "["):
		q.mistake(q.place(w.at[0]), "%s: %s: no IPv6 address fits into this form: use -chardev socket,host=…", option, hostKey)
	case len(host) > mostHost:
		q.mistake(q.place(w.at[0]), "%s: %s: it has %d letters, of at most %d", option, hostKey, len(host), mostHost)
	case len(port) > mostPort:
		q.mistake(q.place(w.at[len(host)+1]), "%s: %s: it has %d letters, of at most %d", option, portKey, len(port), mostPort)
	default:
		if host != "" {
			set(hostKey, host, w.at[0])
		}
		set(portKey, port, w.at[len(host)+1])
		return true
	}
	return false
}

func shortConsole(option, label string) console {
	return console{what: option + " (" + label + ")", name: label}
}
