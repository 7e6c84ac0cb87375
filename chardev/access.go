package chardev

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/audit"
)

// A gate holds the access rules that are in force, for all chardevs and the API. One
// that has none yet lets in nobody but the operator.
type gate struct{ rules atomic.Pointer[access.Rules] }

func (g *gate) decide(who access.Identity, chardev string) access.Decision {
	rules := g.rules.Load()
	if rules == nil {
		rules = new(access.Rules)
	}
	return rules.Decide(who, chardev)
}

// A notPermitted is why somebody is not let in, or is cut.
type notPermitted struct {
	what     access.Permissions
	decision access.Decision
}

// Error is what they are told, which leaves out how others are dealt with.
func (e *notPermitted) Error() string {
	if ended := e.decision.Who.Ended(); ended != "" {
		return ended
	}
	return fmt.Sprintf("%s may not %s %s", e.decision.Who, e.what, e.decision.Chardev)
}

// because is Error for the log.
func (e *notPermitted) because() string {
	if why := e.decision.Why(); why != e.Error() {
		return e.Error() + ": " + why
	}
	return e.Error()
}

// may says whether the client has a right, by the rules as they are now.
func (c *client) may(what access.Permissions) bool {
	return access.Permissions(c.rights.Load()).Has(what)
}

// admit gives c the rights that it has, and returns a *notPermitted if it may not read.
// Called with mu held, by attach, so that no change of the rules passes it by.
func (h *hub) admit(c *client) error {
	d := h.gate.decide(c.who, h.name)
	c.rights.Store(uint32(d.May))
	if !c.may(access.Read) {
		return &notPermitted{access.Read, d}
	}
	return nil
}

// turnAway is the end of a client who was not attached.
func (c *client) turnAway(err error) {
	defer func() { c.ended(err) }()
	defer c.tie.cut()
	why := err.Error()
	if e, ok := errors.AsType[*notPermitted](err); ok {
		why = e.because()
	}
	c.hub.noteSome(&c.hub.denied, "refused", c.peer+" on "+c.frontend+": "+why)
	c.hub.audit.didNot(c, "to attach", err)
	c.tell(Message{Type: "bye", Code: byeCode(err), Text: reason(err)})
	c.close(err)
}

var errRulesChanged = errors.New("this is permitted no longer: the access rules have changed, or the account is gone")

// review holds those who are attached against rules that have changed, or accounts that
// are gone: who may read no longer is cut, and gets no byte more; who may write no longer
// is told, and has lost the input. Requests that are permitted no longer end. It returns
// how many clients were cut.
func (h *hub) review() int {
	cut := map[*client]*notPermitted{}
	var requests []*request
	var silenced []*client
	h.withPen(func() (let writerEvent) {
		for _, c := range h.clients {
			wrote := c.may(access.Write)
			switch err := h.admit(c); {
			case err != nil:
				cut[c] = err.(*notPermitted)
			case wrote && !c.may(access.Write):
				silenced = append(silenced, c)
			}
			if wrote != c.may(access.Write) {
				h.oweWriter(c) // what it may have of the input
			}
			if !c.may(access.Read | access.Write) {
				if was := h.dropWriter(c, c.String()+" may no longer write"); was.by != nil {
					let = was // one at most has it
				}
			}
		}
		for v := range h.requests {
			if !h.gate.decide(v.who, h.name).May.Has(v.needs) {
				requests = append(requests, v)
			}
		}
		return let
	})
	for _, v := range requests {
		v.end(errRulesChanged)
	}
	for c, err := range cut {
		c.mu.Lock()
		c.mute.end()
		c.mu.Unlock()
		h.noteSome(&h.denied, "refused", c.String()+": "+err.because())
		h.audit.didNot(c, "cut, as the rules have changed", err)
		c.end(err)
	}
	for _, c := range silenced {
		c.mu.Lock() // behind its hello
		c.tell(Message{Type: "notice", Text: "the access rules have changed: you may no longer write"})
		c.mu.Unlock()
	}
	return len(cut)
}

// review is that of the hubs of all chardevs.
func (s *Server) review() (cut int) {
	for _, c := range s.all() {
		cut += c.hub.review()
	}
	for _, st := range s.allStreams() {
		cut += st.review()
	}
	s.board.raiseAll() // who watches may see others now
	return cut
}

// setRules puts rules in force, for those who are attached as well, and returns how many
// of them were cut. Called with changing held.
func (s *Server) setRules(rules *access.Rules, by actor) (cut int) {
	s.ruled = s.ruled || rules.Len() > 0
	s.gate.rules.Store(rules)
	cut = s.review()
	s.audit.did(by, audit.Rules, fmt.Sprintf("%d are in force since they were read again; %d clients were cut", rules.Len(), cut))
	s.log.Info("access rules reloaded", "rules", rules.Len(), "cut", cut)
	return cut
}

// checkRules reads the [[access]] rules of the config file again. Rules that are wrong are
// none: then nobody but the operator may do anything until they are right. So it is with a
// file that can not be read, or has none any more, if there were some, as a file that was
// emptied by mistake must not open the doors: to do without rules takes a restart. The
// error says what is wrong. Called with changing held.
func (s *Server) checkRules(by actor) error {
	rules, wrong, err := loadAccess(s.file)
	why := ""
	switch {
	case wrong, err != nil && s.ruled:
		why = "the access rules are broken, so nobody may anything until they are mended and read again"
	case err == nil && rules.Len() == 0 && s.ruled:
		err = fmt.Errorf("%s: no [[access]] rule is there any more: give one, or restart chardevd to do without", s.file)
		why = "the access rules are gone, so nobody may anything until there are some again, or chardevd is restarted"
	default:
		return nil // what else is wrong Load tells
	}
	rules = access.Nobody(why)
	now := *s.cfg
	now.Access = rules
	s.cfg = &now
	cut := s.setRules(rules, by)
	return fmt.Errorf("access rules: nobody may anything now but the operator at the control socket (%d clients were cut): %w", cut, err)
}

// Explain tells in lines for people what somebody may do on a chardev by the config's
// access rules, and which of them says so. who are names as rules have them, like
// unix:alice, all of one person; its groups are added to a user of this host, and to a
// token or a user of the state folder.
func (c *Config) Explain(who []string, chardev string) ([]string, error) {
	var names []string
	for _, one := range c.Chardevs {
		names = append(names, one.Name)
	}
	names = append(names, c.discoveredNames()...)
	for _, one := range c.Streams {
		names = append(names, one.Name)
	}
	if !slices.Contains(names, chardev) {
		return nil, unknownChardev(chardev, names)
	}
	identity, err := lookedUp(who)
	if err == nil {
		err = addGroups(&identity, Accounts{Dir: c.State})
	}
	if err != nil {
		return nil, err
	}
	d := c.Access.Decide(identity, chardev)
	var may, mayNot []string
	for i, word := range access.Words {
		if d.May.Has(1 << i) {
			may = append(may, word)
		} else {
			mayNot = append(mayNot, word)
		}
	}
	lines := []string{fmt.Sprintf("%s on %s", identity, chardev)}
	add := func(what string, words []string) {
		if len(words) > 0 {
			lines = append(lines, what+strings.Join(words, ", "))
		}
	}
	add("  may      ", may)
	add("  may not  ", mayNot)
	add("  because  ", []string{d.Why()})
	if len(identity.Names) > 1 {
		var also []string
		for _, n := range identity.Names[1:] {
			also = append(also, n.String())
		}
		add("  is also  ", also)
	}
	return lines, nil
}
