package imports

import (
	"slices"
	"strings"
)

// A gensio is one of a stack: gensio(5).
type gensio struct {
	name    string
	at      place
	options []option
}

// filters are the gensios that stand on others and that can be had, and terminals those
// that others stand on.
var (
	filters   = []string{"telnet", "ssl", "keepopen", "conacc"}
	terminals = []string{"tcp", "udp", "unix", "serialdev", "pty", "stdio", "echo", "file", "dummy"}
)

// without says of gensios that can not be had what to do instead.
var without = map[string]string{
	"sctp":     "there is no SCTP here: use tcp",
	"ipmisol":  `give the chardev device = "exec:ipmitool -I lanplus -H HOST -U USER -f FILE sol activate"`,
	"certauth": "gtlssh and its protocol are not spoken here: use ssl with client certificates, or log in (login = true)",
	"mux":      "gensio's mux is not spoken here: give each console a port",
	"msgdelim": "gensio's message protocols are not spoken here",
	"relpkt":   "gensio's message protocols are not spoken here",
	"trace":    "leave it out: the log has what a console prints",
	"perf":     "leave it out",
	"mdns":     "give the address that mDNS leads to",
	"xlt":      "bytes are passed on as they are here",
}

// A stack is a gensio on others, the outermost first, and what stands behind the last.
type stack struct {
	layers []gensio
	last   gensio
	rest   string
	from   *value
}

// stack reads how an accepter or a connector is written.
func (r *ser2net) stack(v *value) (*stack, bool) {
	st := &stack{from: v}
	for rest := v.text; ; {
		rest = strings.TrimLeft(rest, blanks)
		if strings.HasPrefix(rest, "/") { // a device, as before there were gensios
			st.last, st.rest = gensio{name: "serialdev", at: v.find(rest[:1])}, rest
			return st, true
		}
		end := strings.IndexAny(rest, ",("+blanks)
		if end < 0 {
			end = len(rest)
		}
		g := gensio{name: rest[:end], at: v.find(rest[:end])}
		rest = strings.TrimLeft(rest[end:], blanks)
		if strings.HasPrefix(rest, "(") {
			words, after, ok := split(rest[1:], blanks+",", ")")
			if !ok {
				r.mistake(v.find("("), "%s( is not closed", g.name)
				return nil, false
			}
			for _, w := range words {
				g.options = append(g.options, w.option(v))
			}
			rest = strings.TrimLeft(after, blanks)
		}
		comma := strings.HasPrefix(rest, ",")
		rest = strings.TrimPrefix(rest, ",")
		switch {
		case slices.Contains(terminals, g.name):
			if !comma && rest != "" {
				r.mistake(v.find(rest), "want a comma behind %s", g.name)
				return nil, false
			}
			st.last, st.rest = g, strings.Trim(rest, blanks)
			return st, true
		case !slices.Contains(filters, g.name):
			if hint := without[g.name]; hint != "" {
				r.mistake(g.at, "%s: %s", g.name, hint)
			} else {
				r.unknown(g.at, "gensio", g.name, append(append([]string{}, filters...), terminals...)...)
			}
			return nil, false
		case !comma:
			r.mistake(g.at, "%s: want a comma, and what it stands on", g.name)
			return nil, false
		}
		st.layers = append(st.layers, g)
	}
}

// blanks are what separates words, for gensio.
const blanks = " \f\t\n\r\v"

// A gensioWord is one of a list: what it says, and as it is written.
type gensioWord struct{ text, raw string }

// option takes a word apart.
func (w gensioWord) option(v *value) option {
	name, val, given := strings.Cut(w.text, "=")
	return option{name: strings.ReplaceAll(name, "_", "-"), value: val, given: given, at: v.find(w.raw)}
}

// split takes a list of words apart at any of seps, up to one of end. Quotes, of either
// kind, and a backslash take a character's meaning from it. ok is false if a quote or the
// list does not end.
func split(s, seps, end string) (words []gensioWord, rest string, ok bool) {
	var b strings.Builder
	begin, quote, any := 0, byte(0), false
	flush := func(i int) {
		if any {
			words = append(words, gensioWord{b.String(), s[begin:i]})
		}
		b.Reset()
		any = false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !any {
			begin = i
		}
		switch {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
			any = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote, any = c, true
		case strings.IndexByte(end, c) >= 0:
			flush(i)
			return words, s[i+1:], true
		case strings.IndexByte(seps, c) >= 0:
			flush(i)
		default:
			b.WriteByte(c)
			any = true
		}
	}
	flush(len(s))
	return words, "", quote == 0 && end == ""
}
