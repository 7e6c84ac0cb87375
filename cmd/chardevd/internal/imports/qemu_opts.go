package imports

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"chardevd/channel"
)

// The option strings of QEMU (util/qemu-option.c there): key=value,key=value, where ",,"
// stands for a comma, a key alone for key=on, and one that begins with "no" for =off.

// A keyKind is what the value of a key is.
type keyKind int

const (
	anyText keyKind = iota
	onOff
	aNumber
	aSize
)

// keys are those that an option has, by name; nil: any.
type keys map[string]keyKind

func (k keys) names() []string {
	names := make([]string, 0, len(k))
	for name := range k {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// An item is one key=value.
type item struct {
	key, value string
	keyAt      int // offset in the source; that of the value, if the key is not written
	at         int // of the value
	used       bool
}

// An optionList is an option string that was read.
type optionList struct {
	begin int // offset in the source
	items []*item
}

// last is the item of a key that counts: QEMU has the last of those of a name, but for id.
func (l *optionList) last(key string) *item {
	var found *item
	for _, i := range l.items {
		if i.key == key {
			i.used = true
			if found == nil || key != "id" {
				found = i
			}
		}
	}
	return found
}

// get is the value of a key, "" without.
func (l *optionList) get(key string) string {
	if i := l.last(key); i != nil {
		return i.value
	}
	return ""
}

func (l *optionList) has(key string) bool { return l.last(key) != nil }

// is says whether a boolean key is on; usual is what it is if it is not given.
func (l *optionList) is(key string, usual bool) bool {
	i := l.last(key)
	if i == nil {
		return usual
	}
	on, _ := parseOnOff(i.value)
	return on
}

// where is the offset of a key, or of the whole if it is not there.
func (l *optionList) where(key string) int {
	if i := l.last(key); i != nil {
		return i.keyAt
	}
	return l.begin
}

// parseOnOff reads a boolean as QEMU does (qapi_bool_parse).
func parseOnOff(text string) (on, ok bool) {
	switch text {
	case "on", "yes", "true", "y":
		return true, true
	case "off", "no", "false", "n":
		return false, true
	}
	return false, false
}

// parseNumber reads a number as QEMU does: decimal, 0x and 0 for octal ones.
func parseNumber(text string) (uint64, bool) {
	base, digits := 10, text
	switch lower := strings.ToLower(text); {
	case strings.HasPrefix(lower, "0x"):
		base, digits = 16, text[2:]
	case len(text) > 1 && text[0] == '0':
		base, digits = 8, text[1:]
	}
	n, err := strconv.ParseUint(digits, base, 64)
	return n, err == nil
}

// parseSize reads a size as QEMU does: a decimal number, which may have a fraction if it
// has a unit, or a hexadecimal one.
func parseSize(text string) (uint64, bool) {
	if strings.HasPrefix(strings.ToLower(text), "0x") {
		return parseNumber(text)
	}
	number, factor := text, uint64(1)
	if text != "" {
		if i := strings.IndexByte("BKMGTPE", strings.ToUpper(text)[len(text)-1]); i >= 0 {
			number, factor = text[:len(text)-1], 1<<(10*i)
		}
	}
	if number == "" || strings.Trim(number, "0123456789.") != "" {
		return 0, false
	}
	if !strings.Contains(number, ".") {
		n, err := strconv.ParseUint(number, 10, 64)
		return n * factor, err == nil && n <= math.MaxUint64/factor
	}
	f, err := strconv.ParseFloat(number, 64)
	if f *= float64(factor); err != nil || factor == 1 || f >= math.MaxUint64 {
		return 0, false
	}
	return uint64(f), true
}

// options reads an option string. first is the key of a first item that is a value alone,
// "" if there is no such; what is the option, for messages.
func (s *source) options(what string, w word, first string, known keys) *optionList {
	l := &optionList{begin: w.at[0]}
	text := w.text
	for i := 0; i < len(text); i++ { // over the comma
		end := i + strings.IndexAny(text[i:]+",", "=,")
		one := &item{keyAt: w.at[i], at: w.at[i]}
		switch {
		case end < len(text) && text[end] == '=':
			one.key, one.at = text[i:end], w.at[end+1]
			one.value, i = unescape(text, end+1)
		case i == 0 && first != "":
			one.key = first
			one.value, i = unescape(text, i)
		default:
			one.key, one.value = text[i:end], "on"
			i = end
			s.flag(what, one, known)
		}
		l.items = append(l.items, one)
		s.checkItem(what, one, known)
	}
	return l
}

// unescape reads a value that begins at i, up to a single comma, which is at end.
func unescape(text string, i int) (value string, end int) {
	var b strings.Builder
	for ; i < len(text); i++ {
		if text[i] == ',' {
			if i+1 == len(text) || text[i+1] != ',' {
				break
			}
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String(), i
}

// flag reads a key that stands alone.
func (s *source) flag(what string, one *item, known keys) {
	written := one.key
	if written == "" || written == "help" || written == "?" {
		return // checkItem tells
	}
	if off, ok := strings.CutPrefix(written, "no"); ok {
		one.key, one.value = off, "off"
	}
	if _, ok := known[one.key]; known != nil && !ok {
		one.key = written
		return
	}
	s.notice(s.place(one.keyAt), "%s: %s alone is out of use since QEMU 6.0: write %s=%s", what, written, one.key, one.value)
}

// checkItem holds an item against the keys that there are.
func (s *source) checkItem(what string, one *item, known keys) {
	at := s.place(one.at)
	kind, ok := known[one.key]
	switch {
	case one.key == "":
		s.mistake(s.place(one.keyAt), "%s: a key is missing here", what)
	case one.key == "id" && !wellFormed(one.value):
		s.mistake(at, "%s: id: want a letter, and then letters, digits and - . _, have %s", what, quoted(one.value))
	case one.key == "id" || known == nil:
	case !ok:
		if near := channel.Nearest(one.key, append(known.names(), "id")); near != "" {
			s.mistake(s.place(one.keyAt), "%s: unknown option %s, did you mean %q?", what, quoted(one.key), near)
		} else {
			s.mistake(s.place(one.keyAt), "%s: unknown option %s", what, quoted(one.key))
		}
	case kind == onOff:
		if _, ok := parseOnOff(one.value); !ok {
			s.mistake(at, "%s: %s: want on or off, have %s", what, one.key, quoted(one.value))
		}
	case kind == aNumber:
		if _, ok := parseNumber(one.value); !ok {
			s.mistake(at, "%s: %s: want a number, have %s", what, one.key, quoted(one.value))
		}
	case kind == aSize:
		if _, ok := parseSize(one.value); !ok {
			s.mistake(at, "%s: %s: want a size like 64K, have %s", what, one.key, quoted(one.value))
		}
	}
}

// quoted is a text for a message, which it does not drown.
func quoted(text string) string {
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	return strconv.Quote(text)
}

// wellFormed says whether QEMU takes an id (id_wellformed).
func wellFormed(id string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return id != "" && strings.IndexByte(letters, id[0]) >= 0 && strings.Trim(id, letters+"0123456789-._") == ""
}
