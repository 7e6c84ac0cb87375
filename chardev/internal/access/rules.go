package access

import (
	"fmt"
	"slices"
	"strings"
)

// A Rule says what some may do on some chardevs.
type Rule struct {
	Who []Pattern   // for whom it is: for any of them
	May Permissions // what they may; None keeps them out
	On  []string    // globs of chardevs' names, for any of them
	Pos string      // file:line:column where it is written
}

// applies says whether the rule is for who and for a chardev, and by which pattern.
func (r *Rule) applies(who Identity, chardev string) (by Pattern, ok bool) {
	for _, g := range r.On {
		if !glob(g, chardev) {
			continue
		}
		for _, p := range r.Who {
			if p.matches(who) {
				return p, true
			}
		}
	}
	return Pattern{}, false
}

// ForAll says whether the rule is for everybody on every chardev, so that none below it is
// ever asked.
func (r Rule) ForAll() bool {
	return slices.Contains(r.On, "*") && slices.Contains(r.Who, Pattern{})
}

// Rules are what is in force. They are not changed once they are made, so many may
// ask them at once. The zero Rules permit nothing to anybody but the operator.
type Rules struct {
	list []Rule

	// of those that have no list
	may     Permissions // for everybody
	without string      // why
}

// New returns the rules of a config, in their order. If there are none at all then
// everybody may do what the config's other settings let them, but for Admin.
func New(list []Rule) *Rules {
	if len(list) == 0 {
		return &Rules{may: Read | Write | Control, without: "no [[access]] rule is given"}
	}
	return &Rules{list: list}
}

// Nobody returns rules that permit nothing to anybody but the operator, because of
// what why says.
func Nobody(why string) *Rules { return &Rules{without: why} }

// Len is how many rules there are.
func (r *Rules) Len() int { return len(r.list) }

// String are the rules without where they are written, a line each: two that are the same
// there decide the same.
func (r *Rules) String() string {
	var b strings.Builder
	for _, one := range r.list {
		fmt.Fprintf(&b, "%q may %s on %q\n", one.Who, one.May, one.On)
	}
	return b.String() + r.without
}

// A Decision is an answer of Rules, with its reason.
type Decision struct {
	Who     Identity
	Chardev string
	May     Permissions // all that who may do there
	Rule    *Rule       // what decided; nil: none of them

	by      Pattern // of Rule, what is for who
	without string  // what decided in place of a rule
}

// Decide says what who may do on a chardev, and why.
func (r *Rules) Decide(who Identity, chardev string) Decision {
	d := Decision{Who: who, Chardev: chardev, without: r.without}
	switch ended := who.Ended(); {
	case ended != "":
		d.without = ended
		return d
	case who.Operator:
		d.May, d.without = All, "the daemon's own user and root may do everything at the control socket"
		return d
	case r.without != "" && who.Guest && r.may != None:
		d.May, d.without = r.may&Read, r.without+", and then who has shown nothing over http may look only"
		return d
	case r.without != "":
		d.May = r.may
		return d
	}
	for i := range r.list {
		rule := &r.list[i]
		if by, ok := rule.applies(who, chardev); ok {
			d.May, d.Rule, d.by = rule.May, rule, by
			break
		}
	}
	return d
}

// Place is where the rule that decided is written, "" if none did.
func (d Decision) Place() string {
	if d.Rule == nil {
		return ""
	}
	return d.Rule.Pos
}

// Why is the reason of the decision, in words.
func (d Decision) Why() string {
	switch {
	case d.Rule != nil:
		return fmt.Sprintf("the rule at %s permits %s to %s", d.Rule.Pos, d.May, d.by)
	case d.without != "":
		return d.without
	}
	return fmt.Sprintf("no rule is for %s on %s", d.Who, d.Chardev)
}
