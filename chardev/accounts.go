package chardev

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
	"chardevd/chardev/internal/accounts"
	"chardevd/chardev/internal/audit"
)

// Accounts are the tokens and users in a state folder, for the commands that change
// them. LoadState tells the folder of a config file.
type Accounts = accounts.Folder

// TokensFile and UsersFile are where in the state folder they are.
const (
	TokensFile = accounts.TokensFile
	UsersFile  = accounts.UsersFile
)

// An accountKeeper follows the files of the tokens and users.
type accountKeeper struct {
	store  *accounts.Store
	review func() (cut int) // holds those who are there against what has changed
	audit  auditor
	log    *slog.Logger

	// owned by keep
	wrong string // what is wrong with the files: told, if not ""
}

// start reads the files, and follows them until ctx ends; wg counts it.
func (k *accountKeeper) start(ctx context.Context, wg *sync.WaitGroup) {
	watch, err := channel.WatchFiles(k.store.Paths()...)
	var changed <-chan struct{}
	if err != nil {
		k.log.Error("changes of tokens and users will not be noticed: remove the cause and restart chardevd", "error", err)
	} else {
		changed = watch.C
	}
	next, wrong := k.reload(false)
	wg.Go(func() {
		if watch != nil {
			defer watch.Close()
		}
		k.keep(ctx, changed, next, wrong)
	})
}

// keep reads the files when they have changed, and when a token expires. No timer runs
// for nothing.
func (k *accountKeeper) keep(ctx context.Context, changed <-chan struct{}, next time.Time, wrong bool) {
	for {
		var settled, expires <-chan time.Time
		if wrong {
			settled = time.After(replaceTime)
		}
		if !next.IsZero() {
			expires = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
			next, wrong = k.reload(false)
		case <-settled:
			next, wrong = k.reload(true)
		case <-expires:
			next, wrong = k.reload(true)
		}
	}
}

// reload reads the files again, and cuts those whose account is gone. With tell, it
// tells what is wrong; else it says whether there is something to be told that was not
// yet, as who writes a file by hand may not be done. It returns when the next token
// expires.
func (k *accountKeeper) reload(tell bool) (next time.Time, wrong bool) {
	news, err := k.store.Reload(time.Now())
	if len(news.Begun)+len(news.Ended) > 0 {
		cut := 0
		if len(news.Ended) > 0 {
			cut = k.review()
		}
		k.audit.did(theDaemon{}, audit.Account, changedAccounts(news.Begun, news.Ended, cut))
		k.log.Info("tokens and users", "new", strings.Join(news.Begun, " "), "gone", strings.Join(news.Ended, " "),
			"tokens", news.Tokens, "users", news.Users, "cut", cut)
	}
	switch {
	case err == nil:
		k.wrong = ""
	case err.Error() == k.wrong:
	case tell:
		k.wrong = err.Error()
		k.log.Error("a file of tokens or users is wrong: what it said before stays in force", "error", err)
	default:
		wrong = true
	}
	return news.Next, wrong
}

// changedAccounts tells which tokens and users came and went.
func changedAccounts(begun, ended []string, cut int) string {
	var parts []string
	if len(begun) > 0 {
		parts = append(parts, "new: "+strings.Join(begun, " "))
	}
	if len(ended) > 0 {
		parts = append(parts, fmt.Sprintf("gone: %s; %d clients were cut", strings.Join(ended, " "), cut))
	}
	return strings.Join(parts, "; ")
}

// addGroups adds the groups that tokens and users have in a folder. A name that is none
// of theirs has no groups there.
func addGroups(who *access.Identity, in Accounts) error {
	for _, n := range who.Names {
		groups, err := in.Groups(n)
		if err != nil {
			return fmt.Errorf("%q: its groups: %w", n, err)
		}
		for _, g := range groups {
			who.Names = append(who.Names, access.Name{Kind: access.Group, Text: g})
		}
	}
	return nil
}

// sourceOf is from where whoever is at the other end of a channel shows a secret: a
// user of this host, or an address of a network, or a guest, without its port.
func sourceOf(ch channel.Channel) accounts.Source {
	if l, ok := channel.As[channel.Local](ch); ok {
		if p, err := l.PeerCred(); err == nil {
			return accounts.FromUser(p.UID)
		}
	}
	a := ch.RemoteAddr()
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		if ip, err := netip.ParseAddr(host); err == nil {
			return accounts.FromIP(ip)
		}
		return accounts.FromPlace(host)
	}
	return accounts.FromPlace(a.Network())
}
