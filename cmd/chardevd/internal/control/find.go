package control

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"

	"chardevd/channel"
	"chardevd/chardev"
)

// DefaultConfigs are the config files that are looked for, in order, when none
// is named.
var DefaultConfigs = []string{"./chardev.toml", "/etc/chardevd/chardev.toml"}

// EnvControl is the environment variable that names the control socket.
const EnvControl = "CHARDEVD_CONTROL"

// EnvToken is the environment variable whose token is shown to a daemon that is
// reached otherwise than by a UNIX socket, at an address of its [http].
const EnvToken = "CHARDEVD_TOKEN"

// ConfigFile is the config file to use: the named one, else the first default
// one that is there.
func ConfigFile(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	for _, f := range DefaultConfigs {
		if _, err := os.Stat(f); !errors.Is(err, fs.ErrNotExist) {
			return f, nil
		}
	}
	return "", fmt.Errorf("neither %s is there; name a config file with -c FILE", strings.Join(DefaultConfigs, " nor "))
}

// A Place is where a daemon's control socket is, and who says so.
type Place struct {
	Address channel.Address
	From    string // "--control", a file, …; for messages
	Token   string // to be shown there; "": none

	file bool   // From is a config file
	url  string // as which Address was given; "": it was none
	site site
	env  channel.Env // to dial it
}

// A site is what a proxy tells by where requests go. The zero site is that of a daemon
// without one.
type site struct{ host, base string }

func (p Place) String() string { return p.named() + " (from " + p.From + ")" }

// named is the place as it was given.
func (p Place) named() string { return cmp.Or(p.url, p.Address.String()) }

// Nothing says that nothing is there that one may read.
func (p Place) Nothing() string { return "there is none at all that you may read" + p.shows() }

// doubt is what is added to an error that may be as no daemon's API is at the place: where
// the config file says that there is, it is.
func (p Place) doubt() string {
	if p.file {
		return ""
	}
	return "; is that a console's frontend? " + p.From + " wants the daemon's control socket, or an address of its [http]"
}

// shows is what is added for who is not known there, or sees nothing: what is shown, or
// would be.
func (p Place) shows() string {
	if p.Address.Transport == "unix" {
		return "" // nothing is shown there: see takeToken
	}
	if p.Token != "" {
		return "; the token in $" + EnvToken + " was shown"
	}
	return "; a token in $" + EnvToken + " would be shown"
}

// Find finds the control socket: by the address or path named, else by
// $CHARDEVD_CONTROL, else by the config file (the named one, else the default
// ones). A config file with mistakes is good enough if it tells the socket.
func Find(named, config string) (Place, error) {
	for _, s := range []struct{ value, from string }{{named, "--control"}, {os.Getenv(EnvControl), EnvControl}} {
		if s.value == "" {
			continue
		}
		a, at, err := parse(s.value)
		if err != nil {
			return Place{}, fmt.Errorf("%s: %q: %w", s.from, s.value, err)
		}
		p := Place{Address: a, From: s.from, site: at}
		if isURL(s.value) {
			p.url = s.value
		}
		if err := p.takeToken(); err != nil {
			return p, err
		}
		return p, p.prepare(config)
	}
	file, err := ConfigFile(config)
	if err != nil {
		return Place{}, fmt.Errorf("no way to find the daemon: %w, or its socket with --control", err)
	}
	a, err := chardev.LoadControl(file)
	if err != nil {
		return Place{}, fmt.Errorf("no way to find the daemon but --control: %w", err)
	}
	p := Place{Address: a, From: file, file: true}
	return p, p.prepare(file)
}

// prepare makes what the place is dialled with: the credentials that its address names are
// those of the config file.
func (p *Place) prepare(config string) error {
	p.env.Log = slog.New(&warnings{to: os.Stderr})
	name := p.Address.Get("credentials")
	if name == "" {
		return nil
	}
	file, err := ConfigFile(config)
	if err != nil {
		return fmt.Errorf("%s: no [credentials.%s]: %w", p.named(), name, err)
	}
	c, err := chardev.LoadCredentials(file, name)
	if err != nil {
		return fmt.Errorf("%s: %w", p.named(), err)
	}
	p.env.Credentials = func(string) (*channel.Credentials, error) { return c, nil }
	return nil
}

// takeToken takes the token of the environment, if there is one and the place is to
// see it.
func (p *Place) takeToken() error {
	token, a := os.Getenv(EnvToken), p.Address
	if token == "" || a.Transport == "unix" {
		return nil
	}
	if a.Network() && !a.Loopback() && !a.Has("tls") && !a.Is("insecure") {
		return fmt.Errorf("%s: the token of %s would be sent in the clear: put tls+ before the address, or give an https:// one, or say insecure=true", p.named(), EnvToken)
	}
	p.Token = token
	return nil
}

// header is what is sent with each request.
func (p Place) header() http.Header {
	h := http.Header{}
	if p.Token != "" {
		h.Set("Authorization", "Bearer "+p.Token)
	}
	return h
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// parse reads where a control socket is: an address, or the path of a UNIX
// socket as it is, or the URL of the pages; if that has a path there is a proxy.
func parse(s string) (a channel.Address, at site, err error) {
	for _, u := range []struct{ scheme, stands, port string }{{"https://", "tls://", "443"}, {"http://", "tcp://", "80"}} {
		if rest, ok := strings.CutPrefix(s, u.scheme); ok {
			rest, query, asks := strings.Cut(rest, "?")
			host, path, _ := strings.Cut(rest, "/")
			if path = strings.Trim(path, "/"); path != "" {
				at = site{host, "/" + path}
			}
			if _, _, err := net.SplitHostPort(host); err != nil {
				host += ":" + u.port
			}
			if s = u.stands + host; asks {
				s += "?" + query
			}
		}
	}
	if strings.HasPrefix(s, "/") || strings.HasPrefix(s, ".") || !strings.Contains(s, ":") {
		return channel.Address{Transport: "unix", Where: s}, at, nil
	}
	a, err = channel.ParseAddress(s)
	return a, at, err
}
