package access

import "testing"

// Who stands on an account that has ended may nothing, by whatever else, and is told
// why; all who stand on others go on.
func TestAccountsEnd(t *testing.T) {
	rules := New([]Rule{rule(t, "anyone", "read write control admin", "*")})
	ci, bob := new(Account), new(Account)
	of := func(a *Account) Identity {
		return Identity{Names: []Name{{Token, "x", false}}, Accounts: []*Account{a}}
	}
	both := of(ci).And(Identity{Names: alice.Names, Operator: true}).And(of(bob))
	if !both.Operator || both.String() != "token:x" || len(both.Names) != 2+len(alice.Names) {
		t.Errorf("both are %v", both)
	}
	for _, r := range []*Rules{rules, New(nil)} {
		if d := r.Decide(both, "vm1"); !d.May.Has(Read) {
			t.Errorf("before the end: %s", d.Why())
		}
	}
	bob.End("token:x was revoked")
	bob.End("and again")
	for _, r := range []*Rules{rules, New(nil), Nobody("x")} {
		if d := r.Decide(both, "vm1"); d.May != None || d.Rule != nil || d.Why() != "token:x was revoked" {
			t.Errorf("after the end: %s, %s", d.May, d.Why())
		}
	}
	if d := rules.Decide(of(ci), "vm1"); d.May != All || d.Who.Ended() != "" {
		t.Errorf("somebody else: %s", d.Why())
	}
}
