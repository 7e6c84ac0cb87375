package imports

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"chardevd/channel"
)

// Ser2net reads the configuration of ser2net, version 4 (ser2net.yaml(5), gensio(5)).
// Of each connection it makes the chardev that does the same. What is of no use here, or
// done by itself, is a notice; what can not be had is one of the *Mistakes that are
// returned then, all of them, and nothing is made. file is what they call the text.
//
// What the text does not say is as ser2net has it, not as chardevd does: 9600 bits per
// second, one user at a port, ports that are open to other hosts.
func Ser2net(file, text string) (*Config, error) {
	r := &ser2net{
		source:   source{file: file, text: text},
		aliases:  map[string]string{},
		defaults: map[string]map[string]option{},
		devices:  map[string]int{},
		names:    map[string]bool{},
		listens:  map[string]string{},
	}
	r.main()
	return r.result(&r.out)
}

// A ser2net is one Ser2net.
type ser2net struct {
	source
	aliases  map[string]string            // of define, and the names of connections
	defaults map[string]map[string]option // by class, "" for all, and name
	devices  map[string]int               // the chardev of each port
	names    map[string]bool              // of chardevs
	listens  map[string]string            // the connection at each place that users come to
	out      Config
}

// main reads the main level, where a key may stand any number of times.
func (r *ser2net) main() {
	if r.old() {
		return
	}
	loader, err := yaml.NewLoader(strings.NewReader(r.text))
	var doc, more yaml.Node
	if err == nil {
		err = loader.Load(&doc)
	}
	if err == nil && loader.Load(&more) == nil {
		r.mistake(r.at(&more), "ser2net reads one document, and here a second one begins")
		return
	}
	if bad, ok := errors.AsType[*yaml.LoadError](err); ok {
		r.mistake(place{bad.Mark.Line, bad.Mark.Column}, "%s", bad.Message)
		return
	}
	if err != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.mistake(r.at(&doc), "want a ser2net.yaml: connection: &NAME, with an accepter: and a connector: in it")
		return
	}
	for key, n := range pairs(doc.Content[0]) {
		switch name := strings.ToLower(key.Value); name {
		case "define":
			if v, ok := r.scalar(n); ok && n.Anchor != "" {
				r.aliases[n.Anchor] = v.text
			} else if ok {
				r.notice(r.at(n), "define: it has no &NAME, so nothing can use it")
			}
		case "default", "delete_default":
			r.setDefault(name, n)
		case "connection":
			r.connection(key, n)
		case "rotator":
			r.mistake(r.at(key), "rotator: here all users of a console share it, and none is sent to another one that is free; leave the rotator out")
		case "led":
			if r.named(n) {
				r.notice(r.at(key), "led: no LED tells of traffic here")
			}
		case "admin":
			r.notice(r.at(key), "admin: chardevd list, clients and kick do it, at the control socket or over [http]")
		case "include":
			r.mistake(r.at(key), "include: other files are not read; put them into this one (cat)")
		default:
			r.unknown(r.at(key), "key", key.Value, "define", "default", "delete_default", "connection", "rotator", "led", "admin", "include")
		}
	}
	if len(r.mistakes) == 0 && len(r.out.Chardevs) == 0 {
		r.mistake(place{1, 1}, "no connection is in it that can be a chardev")
	}
}

// oldLine is a port in the form of ser2net.conf, which version 3 read.
var oldLine = regexp.MustCompile(`(?m)^([^\s:#]+):(raw|rawlp|telnet|off):(\d+):([^\s:]+):?([^\r\n]*)`)

// old tells of a configuration in the form of version 3, and says whether it is one.
func (r *ser2net) old() bool {
	m := oldLine.FindStringSubmatchIndex(r.text)
	if m == nil {
		return false
	}
	part := func(i int) string { return strings.TrimSpace(r.text[m[2*i]:m[2*i+1]]) }
	layer := ""
	if part(2) == "telnet" {
		layer = "telnet,"
	}
	r.mistake(r.place(m[0]), "this is ser2net.conf, of version 3; write each line of it in YAML (man ser2net.yaml): connection: &port%s { accepter: %q, timeout: %s, connector: %q }",
		part(1), layer+"tcp,"+part(1), part(3), strings.TrimSuffix("serialdev,"+part(4)+","+part(5), ","))
	return true
}

// pairs yields the keys and values of a mapping.
func pairs(n *yaml.Node) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// named says whether what a key of the main level introduces is a mapping with a &NAME,
// and reads that name.
func (r *ser2net) named(n *yaml.Node) bool {
	switch {
	case n.Kind != yaml.MappingNode:
		r.mistake(r.at(n), "want a mapping here, with an &NAME before it")
		return false
	case n.Anchor == "":
		r.mistake(r.at(n), "it has no name: write &NAME before it")
		return false
	}
	r.aliases[n.Anchor] = n.Anchor
	return true
}

// scalar is a text, with what *(NAME) stands for put in. An alias is its text, or its name
// if it is that of a mapping.
func (r *ser2net) scalar(n *yaml.Node) (*value, bool) {
	v := &value{at: r.at(n)}
	switch {
	case n.Kind == yaml.ScalarNode:
		v.text = n.Value
	case n.Kind == yaml.AliasNode:
		v.text = r.aliases[n.Value]
		return v, true
	default:
		r.mistake(v.at, "want a text")
		return nil, false
	}
	v.src, v.from = &r.source, r.offset(n)
	v.to = min(len(r.text), v.from+4*len(n.Value)+512)
	return v, r.substitute(v)
}

// substitute puts in what *(NAME) stands for. *(* and *{* are *( and *{ as they are.
func (r *ser2net) substitute(v *value) bool {
	var b strings.Builder
	rest := v.text
	for {
		before, after, ok := strings.Cut(rest, "*")
		b.WriteString(before)
		switch {
		case !ok:
			v.text = b.String()
			return true
		case strings.HasPrefix(after, "(*"), strings.HasPrefix(after, "{*"):
			b.WriteString("*" + after[:1])
			rest = after[2:]
		case strings.HasPrefix(after, "("):
			name, tail, closed := strings.Cut(after[1:], ")")
			text, known := r.aliases[name]
			if !closed || !known {
				r.mistake(v.find("*("), "*(%s: nothing of that name is defined before", name)
				return false
			}
			b.WriteString(text)
			rest = tail
		case strings.HasPrefix(after, "{"):
			r.mistake(v.find("*{"), "*{…}: the text of another file is not read; put it here")
			return false
		default:
			b.WriteByte('*')
			rest = after
		}
	}
}

// setDefault reads default: and delete_default:, which hold for what follows.
func (r *ser2net) setDefault(what string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.mistake(r.at(n), "%s: want a mapping with name, value and class", what)
		return
	}
	var name, class string
	def := option{at: r.at(n)}
	for key, n := range pairs(n) {
		v, ok := r.scalar(n)
		if !ok {
			return
		}
		switch k := strings.ToLower(key.Value); {
		case k == "name":
			name = strings.TrimSuffix(v.text, ",") // the manual's own example has one
		case k == "class":
			class = v.text
		case k == "value" && what == "default":
			def.value, def.at, def.given = v.text, v.at, true
		default:
			r.unknown(r.at(key), "key", key.Value, "name", "value", "class")
		}
	}
	name = strings.ReplaceAll(name, "_", "-")
	def.name = name
	switch {
	case name == "":
		r.mistake(r.at(n), "%s: it has no name", what)
	case what == "delete_default" && class == "":
		r.mistake(r.at(n), "delete_default: it has no class")
	case what == "delete_default":
		delete(r.defaults[class], name)
	case !isDefault(class, name):
		r.notice(def.at, "default %s: it is for nothing that can be imported", name)
	default:
		if r.defaults[class] == nil {
			r.defaults[class] = map[string]option{}
		}
		r.defaults[class][name] = def
	}
}

// with is options that are given with the defaults of a class before them.
func (r *ser2net) with(class string, known []string, given []option) []option {
	var all []option
	for _, name := range known {
		is := func(o option) bool { return o.name == name }
		if slices.ContainsFunc(given, is) {
			continue
		}
		if d, ok := r.defaults[class][name]; ok {
			all = append(all, d)
		} else if d, ok := r.defaults[""][name]; ok {
			all = append(all, d)
		}
	}
	all = append(all, given...)
	for i := range all {
		all[i].class = class
	}
	return all
}

// isDefault says whether something that is read can have a default of a name.
func isDefault(class, name string) bool {
	if class != "" {
		return slices.Contains(optionsOf[class], name)
	}
	for known := range maps.Values(optionsOf) {
		if slices.Contains(known, name) {
			return true
		}
	}
	return false
}

// unknown is the mistake of a word that is none of known.
func (r *ser2net) unknown(at place, what, word string, known ...string) {
	if near := channel.Nearest(word, known); near != "" {
		r.mistake(at, "unknown %s %q, did you mean %q?", what, word, near)
		return
	}
	r.mistake(at, "unknown %s %q", what, word)
}

// An option is a name=value, or a name that stands alone.
type option struct {
	name, value string
	given       bool // a value is
	class       string
	at          place
}
