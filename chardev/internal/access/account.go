package access

import (
	"slices"
	"sync/atomic"
)

// An Account is what names stand on that were proven by a secret, a token or a
// password. It stands until End; an identity that was made of it permits nothing from
// then on, wherever it is kept. The methods may be called by many at once.
type Account struct{ ended atomic.Pointer[string] }

// End ends the account; why is what decisions say of it, like "token:ci was revoked".
// Only the first call counts.
func (a *Account) End(why string) { a.ended.CompareAndSwap(nil, &why) }

// Ended is why an account of the identity stands no longer, and with it all of the
// identity; "" if they all stand. Whoever keeps an identity for longer than one
// question asks it again.
func (i Identity) Ended() string {
	for _, a := range i.Accounts {
		if why := a.ended.Load(); why != nil {
			return *why
		}
	}
	return ""
}

// And is one who is both: i's names come first.
func (i Identity) And(also Identity) Identity {
	return Identity{
		Names:    slices.Concat(i.Names, also.Names),
		Accounts: slices.Concat(i.Accounts, also.Accounts),
		Guest:    (i.Guest || also.Guest) && len(i.Names)+len(also.Names) == 0,
		Operator: i.Operator || also.Operator,
	}
}
