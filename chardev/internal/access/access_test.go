package access

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// rule makes one from words; names in on and who are parted by blanks.
func rule(t testing.TB, who, may, on string) Rule {
	t.Helper()
	r := Rule{On: strings.Fields(on), Pos: "x.toml:1:1"}
	for _, w := range strings.Fields(who) {
		p, err := ParsePattern(w)
		if err != nil {
			t.Fatal(err)
		}
		r.Who = append(r.Who, p)
	}
	for _, w := range strings.Fields(may) {
		p, err := ParsePermission(w)
		if err != nil {
			t.Fatal(err)
		}
		r.May |= p
	}
	return r
}

// People of whom the tables speak.
var (
	stranger = Identity{}
	alice    = Identity{Names: []Name{{Unix, "alice", false}, {Unix, "1000", false}, {Group, "alice", false}, {Group, "dialout", false}}}
	bob      = Identity{Names: []Name{{Unix, "bob", false}, {Unix, "1001", false}, {Group, "bob", false}}}
	laptop   = Identity{Names: []Name{{Cert, `CN=laptop,OU=a\, b,O=office`, false}, {SAN, "laptop.example.org", true}, {SAN, "spiffe://example.org/Laptop", false}}}
	token    = Identity{Names: []Name{{Token, "ci", false}}}
	user     = Identity{Names: []Name{{User, "carol", false}, {Group, "ops", false}}}
	operator = Identity{Names: []Name{{Unix, "root", false}}, Operator: true}
)

func TestDecisions(t *testing.T) {
	rules := New([]Rule{
		rule(t, "unix:bob", "", "secret*"),
		rule(t, "group:dialout", "read write", "vm1 vm2"),
		rule(t, "unix:*", "read", "vm?"),
		rule(t, "cert:*,O=office", "read write control", "prod-*"),
		rule(t, "san:LAPTOP.example.org", "read", "lab"),
		rule(t, "san:spiffe://example.org/laptop", "admin", "*"),
		rule(t, "token:ci user:carol", "read write", "board"),
		rule(t, "group:ops", "admin", "*"),
		rule(t, "anyone", "read", "secret public"),
	})
	for _, c := range []struct {
		who  Identity
		on   string
		want Permissions
	}{
		{alice, "vm1", Read | Write},
		{alice, "vm3", Read},
		{alice, "vm10", None},
		{alice, "secret", Read},
		{bob, "vm1", Read},
		{bob, "secret", None}, // a rule that permits nothing decides as well
		{bob, "public", Read},
		{stranger, "vm1", None},
		{stranger, "public", Read},
		{stranger, "public2", None},
		{laptop, "prod-1", Read | Write | Control},
		{laptop, "prod", None},
		{laptop, "lab", Read}, // a host name in any case
		{laptop, "x", None},   // a URI only in its own
		{laptop, "vm1", None}, // is no unix user
		{token, "board", Read | Write},
		{user, "board", Read | Write}, // and no admin: the first rule decides alone
		{user, "x", Admin},
		{operator, "x", All},
		{operator, "secret", All},
		{Identity{Names: []Name{{Unix, "", false}}}, "vm1", Read},
		{Identity{Names: []Name{{Group, "bob", false}}}, "secret", Read}, // a group is no user
	} {
		d := rules.Decide(c.who, c.on)
		if d.May != c.want {
			t.Errorf("%s may %s on %s, want %s: %s", c.who, d.May, c.on, c.want, d.Why())
		}
		if d.Why() == "" || (d.Rule != nil) != strings.Contains(d.Why(), "x.toml:1:1") {
			t.Errorf("%s on %s: %q does not tell the rule", c.who, c.on, d.Why())
		}
	}
}

// Without a rule all but admin; with rules that cannot be known, and by the zero
// value, nothing. The operator may everything all the time.
func TestWithoutRules(t *testing.T) {
	for _, who := range []Identity{stranger, alice, laptop} {
		for _, c := range []struct {
			rules *Rules
			want  Permissions
		}{{New(nil), Read | Write | Control}, {Nobody("they are broken"), None}, {&Rules{}, None}} {
			if d := c.rules.Decide(who, "vm1"); d.May != c.want || d.Rule != nil || d.Why() == "" {
				t.Errorf("%s may %s, want %s: %q", who, d.May, c.want, d.Why())
			}
			if d := c.rules.Decide(operator, "vm1"); d.May != All {
				t.Errorf("the operator may only %s", d.May)
			}
		}
	}
}

func TestPatterns(t *testing.T) {
	for s, want := range map[string]string{
		"user": "no name behind user", "alice": "anyone", "usr:alice": `unknown kind "usr"`, "unix:": "*", "": "unknown kind",
		":x": "unknown kind", "anyone:x": "unknown kind", "Anyone": "anyone", "*": "anyone",
	} {
		if p, err := ParsePattern(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, %v; want an error with %q", s, p, err, want)
		}
	}
	for _, s := range []string{"anyone", "unix:*", "cert:CN=a:b,O=c", "san:spiffe://x/y?z"} {
		if p, err := ParsePattern(s); err != nil || p.String() != s {
			t.Errorf("%q is %q, %v", s, p, err)
		}
	}
}

// somebody is an identity of few names, so that rules meet it.
var somebody = rapid.Custom(func(t *rapid.T) Identity {
	var i Identity
	for range rapid.IntRange(0, 3).Draw(t, "names") {
		i.Names = append(i.Names, Name{
			Kind: Kind(rapid.SampledFrom(Kinds).Draw(t, "kind")),
			Text: rapid.StringMatching("[ab]{0,3}").Draw(t, "name"),
		})
	}
	return i
})

var chardevs = rapid.StringMatching("[vw][12]{1,2}")

var anyRule = rapid.Custom(func(t *rapid.T) Rule {
	r := Rule{May: Permissions(rapid.IntRange(0, int(All)).Draw(t, "may")), Pos: "x.toml:1:1"}
	for range rapid.IntRange(1, 2).Draw(t, "whos") {
		p := Pattern{}
		if rapid.IntRange(0, 4).Draw(t, "anyone") > 0 {
			p = Pattern{Kind(rapid.SampledFrom(Kinds).Draw(t, "kind")), rapid.StringMatching("[ab*?]{1,3}").Draw(t, "glob")}
		}
		r.Who = append(r.Who, p)
	}
	for range rapid.IntRange(1, 2).Draw(t, "ons") {
		r.On = append(r.On, rapid.StringMatching("[vw*?][12*?]{0,2}").Draw(t, "on"))
	}
	return r
})

// A rule at the end takes nothing away, and changes nothing for whom a rule was
// there: it permits what it does to those that no other rule was for.
func TestARuleAtTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(anyRule, 1, 6).Draw(t, "rules")
		last := anyRule.Draw(t, "last")
		who, on := somebody.Draw(t, "who"), chardevs.Draw(t, "on")
		before, after := New(list).Decide(who, on), New(append(list, last)).Decide(who, on)
		_, applies := last.applies(who, on)
		switch {
		case after.May&before.May != before.May:
			t.Fatalf("from %s to %s: something is taken away", before.May, after.May)
		case before.Rule != nil && after.May != before.May:
			t.Fatalf("from %s to %s, though %s", before.May, after.May, before.Why())
		case before.Rule == nil && applies && after.May != last.May:
			t.Fatalf("%s, want %s", after.May, last.May)
		case before.Rule == nil && !applies && after.May != None:
			t.Fatalf("%s without a rule", after.May)
		}
	})
}

// A rule for one decides for that one as it does alone, wherever no earlier one is
// for him; and rules for others never matter.
func TestTheFirstRuleDecides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(anyRule, 1, 6).Draw(t, "rules")
		who, on := somebody.Draw(t, "who"), chardevs.Draw(t, "on")
		want := None
		for _, r := range list {
			if _, ok := r.applies(who, on); ok {
				want = r.May
				break
			}
		}
		if d := New(list).Decide(who, on); d.May != want {
			t.Fatalf("%s, want %s", d.May, want)
		}
	})
}

func TestGlob(t *testing.T) {
	var plain func(p, s string) bool
	plain = func(p, s string) bool {
		switch {
		case p == "":
			return s == ""
		case p[0] == '*':
			return plain(p[1:], s) || s != "" && plain(p, s[1:])
		}
		return s != "" && (p[0] == '?' || p[0] == s[0]) && plain(p[1:], s[1:])
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringMatching("[ab*?]{0,8}").Draw(t, "pattern")
		s := rapid.StringMatching("[ab*?]{0,10}").Draw(t, "text")
		if glob(p, s) != plain(p, s) {
			t.Fatalf("glob(%q, %q) is %v", p, s, glob(p, s))
		}
	})
	if glob(strings.Repeat("*a", 1000)+"b", strings.Repeat("a", 10000)) {
		t.Error("a b was found where there is none")
	}
}
