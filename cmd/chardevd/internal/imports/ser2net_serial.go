package imports

import (
	"slices"
	"strconv"
	"strings"
)

// A line is how a serial port is to be set.
type line struct {
	baud, parity, bits, stop string
	xonxoff, rtscts, hangup  bool
	local                    bool
	set                      [][2]string // dtr and rts, in their order
	rs485                    [][2]string
}

// serial reads DEVICE,PARAMETER… of a serialdev, whose parameters have defaults as its
// options have. It sets the options of the address, and returns the path.
func (e *end) serial(options []option, rest string) string {
	r := e.r
	path, parameters, _ := strings.Cut(rest, ",")
	path = strings.TrimSpace(path)
	words, _, ok := split(parameters, blanks+",", "")
	if !ok {
		r.mistake(e.stack.last.at, "serialdev: a quote is not closed in %q", parameters)
	}
	if path == "" {
		r.mistake(e.stack.last.at, "serialdev: want the path of a serial port")
	}
	given := slices.Clone(options)
	for _, w := range words {
		o := w.option(e.stack.from)
		if !o.given && new(line).speed(o.name) {
			o = option{name: "speed", value: w.text, given: true, at: o.at}
		}
		given = append(given, oldParameter(o))
	}
	l := line{baud: "9600", parity: "n", bits: "8", stop: "1"}
	for _, o := range r.with("serialdev", optionsOf["serialdev"], given) {
		e.parameter(&l, o)
	}
	e.set("baud", l.baud)
	if mode := l.bits + l.parity + l.stop; mode != "8n1" {
		e.set("mode", mode)
	}
	switch {
	case l.xonxoff && l.rtscts:
		r.mistake(e.stack.last.at, "xonxoff and rtscts: a port has one kind of flow control here; leave one out")
	case l.xonxoff:
		e.set("flow", "xonxoff")
	case l.rtscts:
		e.set("flow", "rtscts")
	}
	for _, kv := range append(l.set, l.rs485...) {
		e.set(kv[0], kv[1])
	}
	if !l.hangup {
		e.set("hangup", "false")
	}
	if !l.local {
		r.notice(e.stack.last.at, "serialdev: its modem lines end no connection here, as if local were said")
	}
	return path
}

// oldParameter is a parameter as it is written today: version 3 had others.
func oldParameter(o option) option {
	if o.given {
		return o
	}
	name := strings.ToLower(o.name)
	off := strings.HasPrefix(name, "-")
	switch name = strings.TrimPrefix(name, "-"); name {
	case "xonxoff", "rtscts", "local", "nobreak", "hangup-when-done", "wronly":
		o.name, o.value, o.given = name, "true", true
		if off {
			o.value = "false"
		}
	case "1stopbit", "2stopbits":
		o.name, o.value, o.given = "stop", name[:1], true
	case "5databits", "6databits", "7databits", "8databits":
		o.name, o.value, o.given = "bits", name[:1], true
	case "none", "even", "odd", "mark", "space":
		o.name, o.value, o.given = "parity", name[:1], true
	}
	return o
}

// speed reads SPEED, and what may stand behind it: parity, data bits, stop bits.
func (l *line) speed(s string) bool {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseUint(s[:digits], 10, 31)
	if err != nil || n == 0 {
		return false
	}
	more := strings.ToLower(s[digits:])
	for i, allowed := range []string{"neoms", "5678", "12"} {
		if i < len(more) && strings.IndexByte(allowed, more[i]) < 0 || len(more) > 3 {
			return false
		}
	}
	l.baud = strconv.FormatUint(n, 10)
	for i, p := range []*string{&l.parity, &l.bits, &l.stop} {
		if i < len(more) {
			*p = more[i : i+1]
		}
	}
	return true
}

// parameter reads one parameter, or option, of a serialdev.
func (e *end) parameter(l *line, o option) {
	r := e.r
	switch o.name {
	case "speed":
		if !l.speed(o.value) {
			r.mistake(o.at, "speed: want a speed like 9600 or 9600n81, have %q", o.value)
		}
	case "parity":
		l.parity = o.value
	case "bits":
		l.bits = o.value
	case "stop":
		l.stop = o.value
	case "xonxoff":
		l.xonxoff = r.flag(o)
	case "rtscts":
		l.rtscts = r.flag(o)
	case "local":
		l.local = r.flag(o)
	case "hangup-when-done":
		if l.hangup = r.flag(o); l.hangup {
			r.notice(o.at, "hangup-when-done: the port stays open when users leave; its lines are dropped when the daemon closes it")
		}
	case "wronly":
		if r.flag(o) {
			e.refuse(o, "a device is read here")
		}
	case "dtr", "rts":
		switch o.value {
		case "":
			o.value = "on"
		case "on", "off":
		default:
			e.refuse(o, "want on or off")
			return
		}
		l.set = append(slices.DeleteFunc(l.set, func(kv [2]string) bool { return kv[0] == o.name }), [2]string{o.name, o.value})
	case "rs485":
		e.rs485(l, o)
	default:
		r.leave(o)
	}
}

// rs485 reads BEFORE:AFTER[:CONF…], with the pauses in ms.
func (e *end) rs485(l *line, o option) {
	l.rs485 = nil
	if strings.EqualFold(o.value, "off") {
		return
	}
	parts := strings.Split(o.value, ":")
	if len(parts) < 2 {
		e.refuse(o, "want off or BEFORE:AFTER, in milliseconds, with more words between colons")
		return
	}
	mode, echo := "on", false
	var pauses [][2]string
	for i, name := range []string{"rs485_before", "rs485_after"} {
		n, err := strconv.ParseUint(parts[i], 10, 31)
		switch {
		case err != nil:
			e.refuse(o, "want the pauses before and after what is sent in milliseconds, have "+strconv.Quote(parts[i]))
			return
		case n > 100:
			e.r.notice(o.at, "rs485: a pause of %d ms is one of 100 ms, which is the longest that Linux makes", n)
			n = 100
		}
		if n > 0 {
			pauses = append(pauses, [2]string{name, strconv.FormatUint(n, 10) + "ms"})
		}
	}
	for _, word := range parts[2:] {
		switch word {
		case "rts_on_send":
			mode = "on"
		case "rts_after_send":
			if !slices.Contains(parts[2:], "rts_on_send") { // of both Linux takes this one
				mode = "inverted"
			}
		case "rx_during_tx":
			echo = true
		default:
			e.refuse(o, word+": there is no such setting here")
			return
		}
	}
	l.rs485 = append([][2]string{{"rs485", mode}}, pauses...)
	if echo {
		l.rs485 = append(l.rs485, [2]string{"rs485_echo", "true"})
	}
}
