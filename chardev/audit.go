package chardev

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/audit"
)

// What goes into the audit log, and how. Beside the events of a console, which are told
// with its output, it is about people: whoever makes somebody come, go, be refused or
// change something says so here, by one call. The log sums up what comes too often, so
// that callers need not.

// An actor is who does something.
type actor interface {
	String() string       // in an event
	record() audit.Record // of the audit, with who, peer and where filled in
}

// An auditor tells the audit log of one chardev, or with "" of the daemon. The zero one
// tells nobody.
type auditor struct {
	log     *atomic.Pointer[audit.Log] // which may be given another one
	chardev string
}

func (a auditor) note(r audit.Record) {
	if a.log != nil {
		a.log.Load().Note(r)
	}
}

// did has the audit log say that somebody did something. text says what exactly, and is
// "" where there is nothing more to say.
func (a auditor) did(by actor, what audit.What, text string) {
	r := by.record()
	r.What, r.Chardev, r.Text = what, a.chardev, text
	a.note(r)
}

// didNot is did for what was refused because of why. Of a *notPermitted the rule is told
// too.
func (a auditor) didNot(by actor, text string, why error) {
	r := by.record()
	r.What, r.Chardev, r.Text, r.Why = audit.Refused, a.chardev, text, why.Error()
	if e, ok := errors.AsType[*notPermitted](why); ok {
		r.Why, r.Rule = e.because(), e.decision.Place()
	}
	a.note(r)
}

// changed has the audit log say that somebody had the config changed, or that it was not
// because of why.
func (a auditor) changed(by actor, text string, why error) {
	r := by.record()
	r.What, r.Text = audit.Config, text
	if why != nil {
		r.Why = why.Error()
	}
	a.note(r)
}

// went has the audit log say that a client is gone, and what it had.
func (a auditor) went(c *client, why error) {
	r := c.record()
	r.What, r.Chardev, r.Why = audit.Detach, a.chardev, reason(why)
	r.Seconds = time.Since(c.since).Seconds()
	r.BytesIn, r.BytesOut = c.typed.Load(), c.got.Load()
	a.note(r)
}

// record is for what a client does, or is refused.
func (c *client) record() audit.Record {
	r := audit.Record{Who: namesOf(c.who), Operator: c.who.Operator, Peer: from(c.who, c.peer), Frontend: c.frontend}
	if c.id > 0 {
		r.Client = strconv.Itoa(c.id)
	}
	return r
}

// record is for what a caller of the API does, or is refused.
func (c caller) record() audit.Record {
	return audit.Record{Who: namesOf(c.who), Operator: c.who.Operator, Peer: from(c.who, c.peer), Frontend: "api"}
}

// The daemon does what nobody else did.
type theDaemon struct{}

func (theDaemon) String() string       { return "chardevd" }
func (theDaemon) record() audit.Record { return audit.Record{} }

// A comer is somebody who is neither a client nor a caller, or not yet.
type comer struct {
	frontend string // its address; "" where it is not known
	who      access.Identity
	peer     string // its peerName
}

func (c comer) String() string { return c.peer + " on " + c.frontend }

func (c comer) record() audit.Record {
	return audit.Record{Who: namesOf(c.who), Peer: from(c.who, c.peer), Frontend: c.frontend}
}

// namesOf are somebody's names as access rules have them.
func namesOf(who access.Identity) []string {
	var names []string
	for _, n := range who.Names {
		names = append(names, n.String())
	}
	return names
}

// from is a peerName without the name.
func from(who access.Identity, peer string) string {
	return strings.TrimPrefix(peer, who.String()+" ")
}

// audited says whether a request of the API is one for the audit: it changes
// something, or was given what a console printed. (An attach is told as one.)
func (rt *route) audited() bool {
	return !strings.HasPrefix(rt.pattern, "GET ") || strings.HasSuffix(rt.pattern, "/log")
}

// refusals is env for what listens at ep: those that are not let in there go into the
// audit, and the first of them into the log. stir is told of each, as a handshake leaves
// garbage as a client does.
func (a auditor) refusals(env *channel.Env, ep *Endpoint, stir func()) *channel.Env {
	if !ep.Listen || len(ep.Address.Layers) == 0 && ep.Address.Get("from") == "" {
		return env // which lets in whoever comes, so the thousands of them share it
	}
	told := flood{most: crowdMost}
	own := *env
	own.Refused = func(peer net.Addr, err error) {
		who := comer{frontend: ep.Address.String(), peer: addrText(peer)}
		a.didNot(who, "", err)
		if untold, ok := told.pass(thisMoment()); ok {
			own.Log.Info("not let in"+untold, "listener", who.frontend, "peer", who.peer, "error", err)
		}
		if stir != nil {
			stir()
		}
	}
	return &own
}

// whyNot is the error of what a client may not do for one of the reasons, of which
// what is the right that it lacks if the rules are.
func (h *hub) whyNot(c *client, what access.Permissions, why int) error {
	if why == refusedAccess {
		return &notPermitted{what, h.gate.decide(c.who, h.name)}
	}
	return errors.New(reasons[why])
}
