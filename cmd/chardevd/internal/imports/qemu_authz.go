package imports

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// The objects that say who may come to a socket (authz/ of QEMU), as rules of [[access]].

// authorize makes the rules of the object that a chardev names.
func (q *qemu) authorize(c *qemuChardev) bool {
	by := c.last("tls-authz")
	if by == nil {
		return true
	}
	on := q.name(&c.console)
	o := q.objects[by.value]
	if o == nil {
		q.mistake(q.place(by.at), "%s: tls-authz: there is no -object authz-list,id=%s or another of its kind", c.what, by.value)
		return false
	}
	before := len(q.mistakes)
	var list authzList
	switch o.kind {
	case "authz-simple":
		if !o.has("identity") {
			q.mistake(q.place(o.begin), "-object authz-simple (%s): identity is missing", o.id)
		}
		list.rules = []authzRule{{match: o.get("identity"), policy: "allow", at: q.place(o.where("identity"))}}
	case "authz-list":
		list = q.authzList(o)
	case "authz-list-file":
		list = q.authzListFile(o)
	case "authz-pam":
		q.mistake(q.place(by.at), "%s: tls-authz: %s asks PAM, which nobody does here: name them in authz-list, or leave it out and write [[access]] rules", c.what, o.id)
	default:
		q.mistake(q.place(by.at), "%s: tls-authz: the object %s is a %s; want authz-list or another of its kind", c.what, o.id, o.kind)
	}
	for _, r := range list.rules {
		q.rule("-object "+o.kind+" ("+o.id+")", r, on)
	}
	if list.policy == "allow" { // everybody else whose certificate is one of the authority's
		q.rule("", authzRule{match: "*", format: "glob", policy: "allow"}, on)
	}
	if len(q.mistakes) > before {
		return false
	}
	c.comments = append(c.comments, "who may attach is in the [[access]] rules; they hold for the whole daemon, so nobody else may anything, on any chardev, that no rule permits")
	return true
}

// An authzList is what an object says.
type authzList struct {
	rules  []authzRule
	policy string // of who is in no rule; "" is deny
}

type authzRule struct {
	match, policy, format string
	at                    place
}

// rule makes one [[access]] of a rule. Both sides have RFC 4514 for a name.
func (q *qemu) rule(what string, r authzRule, on string) {
	may := []string{"read", "write"}
	switch {
	case r.policy == "deny":
		may = []string{}
	case r.policy != "allow":
		q.mistake(r.at, "%s: policy: want allow or deny, have %s", what, quoted(r.policy))
	}
	switch {
	case r.match == "":
		q.mistake(r.at, "%s: match is missing", what)
	case r.format != "" && r.format != "exact" && r.format != "glob":
		q.mistake(r.at, "%s: format: want exact or glob, have %s", what, quoted(r.format))
	case r.format != "glob" && strings.ContainsAny(r.match, "*?"):
		q.mistake(r.at, "%s: match: %s is exact there, and here its * and ? would stand for others", what, quoted(r.match))
	case strings.ContainsFunc(r.match, func(c rune) bool { return c < ' ' || c == '\uFFFD' }):
		q.mistake(r.at, "%s: match: %s is no name of a certificate", what, quoted(r.match))
	}
	q.out.Access = append(q.out.Access, Access{Who: []string{"cert:" + r.match}, May: may, On: []string{on}})
}

// authzList reads rules.N.match and so on.
func (q *qemu) authzList(o *qemuObject) authzList {
	list := authzList{policy: o.get("policy")}
	q.checkPolicy(o, list.policy, q.place(o.where("policy")))
	for n := 0; ; n++ {
		key := func(part string) string { return fmt.Sprintf("rules.%d.%s", n, part) }
		if !o.has(key("match")) && !o.has(key("policy")) {
			break
		}
		list.rules = append(list.rules, authzRule{o.get(key("match")), o.get(key("policy")), o.get(key("format")), q.place(o.where(key("match")))})
	}
	for _, i := range o.items {
		if strings.HasPrefix(i.key, "rules.") && !i.used {
			q.mistake(q.place(i.keyAt), "-object authz-list (%s): %s: rules are numbered from 0 on without a hole, and each has match, policy and perhaps format", o.id, i.key)
		}
	}
	return list
}

func (q *qemu) checkPolicy(o *qemuObject, policy string, at place) {
	if policy != "" && policy != "allow" && policy != "deny" {
		q.mistake(at, "-object %s (%s): policy: want allow or deny, have %s", o.kind, o.id, quoted(policy))
	}
}

// authzListFile reads the file that an authz-list-file names, as it is now.
func (q *qemu) authzListFile(o *qemuObject) (list authzList) {
	at := q.place(o.where("filename"))
	name := o.get("filename")
	if name == "" {
		q.mistake(at, "-object authz-list-file (%s): filename is missing", o.id)
		return list
	}
	var file struct {
		Policy string
		Rules  []struct{ Match, Policy, Format string }
	}
	text, err := readSmall(name)
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		q.mistake(at, "-object authz-list-file (%s): filename: %s", o.id, err)
		return list
	}
	q.notice(at, "-object authz-list-file (%s): the rules are what the file says now; changes to it are not followed", o.id)
	q.checkPolicy(o, file.Policy, at)
	list.policy = file.Policy
	for _, r := range file.Rules {
		list.rules = append(list.rules, authzRule{r.Match, r.Policy, r.Format, at})
	}
	return list
}

// readSmall reads a regular file of at most 1 MiB.
func readSmall(name string) ([]byte, error) {
	const most = 1 << 20
	if info, err := os.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s is larger than 1 MiB", name)
	}
	return text, err
}
