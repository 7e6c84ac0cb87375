package chardev

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/accounts"
	"chardevd/chardev/internal/audit"
)

// What somebody shows to be known: a token, or a user's name and password. A secret
// that is wrong is refused, on every way in: whoever shows one does not mean to be
// nobody.

// secretTime is how long it may take to look at a secret, with those that others have
// shown before.
const secretTime = 8 * time.Second

var errSecretLate = fmt.Errorf("too many log in at the same time: it was not looked at within %v; try again", secretTime)

// vouch tells who it is that shows a secret from a place. It costs time, of passwords.
func (s *Server) vouch(ctx context.Context, from place, user, password string) (who access.Identity, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, secretTime, errSecretLate)
	defer cancel()
	if user == accounts.TokenUser {
		who, err = s.accounts.store.Token(ctx, password, from.source)
	} else {
		who, err = s.accounts.store.Password(ctx, user, password, from.source)
	}
	s.logins[loginResult(err)].Add(1)
	if err == nil {
		s.audit.did(comer{who: who, peer: nameAt(who, from.name)}, audit.Login, "")
		return who, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	s.audit.didNot(comer{peer: from.name}, "to be "+user, err)
	if untold, ok := s.wrongs.pass(thisMoment()); ok {
		s.log.Warn("refused a secret"+untold, "user", user[:min(len(user), 64)], "peer", from.name, "error", err)
	}
	return access.Identity{}, err
}

// secretRefusal is why vouch refused, in the words of HTTP.
func secretRefusal(err error) *channel.HandshakeError {
	refusal := &channel.HandshakeError{Status: http.StatusServiceUnavailable, Reason: err.Error(), Header: http.Header{}}
	limited, isLimited := errors.AsType[*accounts.LimitedError](err)
	switch {
	case errors.Is(err, accounts.ErrWrong):
		refusal.Status = http.StatusUnauthorized
	case isLimited:
		refusal.Status = http.StatusTooManyRequests
		refusal.Header.Set("Retry-After", strconv.Itoa(limited.Seconds()))
	}
	return refusal
}

// authorized tells who an Authorization header shows its sender to be: Bearer has a
// token, and Basic a user and a password (RFC 6750 section 2.1, RFC 7617). Without one
// it is nobody.
func (s *Server) authorized(ctx context.Context, from place, r *http.Request) (access.Identity, *channel.HandshakeError) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return access.Identity{}, nil
	}
	unusable := &channel.HandshakeError{Status: http.StatusUnauthorized, Reason: "want one Authorization header, of the scheme Bearer or Basic", Header: http.Header{}}
	if len(values) > 1 {
		return access.Identity{}, unusable
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	user, password := accounts.TokenUser, strings.TrimSpace(secret)
	if !strings.EqualFold(scheme, "Bearer") {
		var ok bool
		if user, password, ok = r.BasicAuth(); !ok {
			return access.Identity{}, unusable
		}
	}
	who, err := s.vouch(ctx, from, user, password)
	if err != nil {
		return who, secretRefusal(err)
	}
	return who, nil
}

// admit is channel.Env's Admit, of frontends: it tells the access.Identity that a
// websocket's request shows. Who shows none may come as whoever it is else.
func (s *Server) admit(ctx context.Context, under channel.Channel, r *http.Request) (any, *channel.HandshakeError) {
	who, refusal := s.authorized(ctx, placeOf(under), r)
	if refusal != nil {
		if refusal.Status == http.StatusUnauthorized {
			refusal.Header["Www-Authenticate"] = []string{`Basic realm="chardevd", charset="UTF-8"`, `Bearer realm="chardevd"`}
		}
		return nil, refusal
	}
	return who, nil
}

// admitted is who the channel's request has shown somebody to be.
func admitted(ch channel.Channel) access.Identity {
	if a, ok := channel.As[channel.Admitted](ch); ok {
		if who, ok := a.Admitted().(access.Identity); ok {
			return who
		}
	}
	return access.Identity{}
}
