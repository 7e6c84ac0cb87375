// Package imports makes chardevs of what other programs are configured with: QEMU,
// libvirt, ser2net. An importer reads a text and returns a Config, or all the *Mistakes
// that keep it from that. Nothing is opened but the lists that QEMU is told to read.
package imports

import "chardevd/channel"

// A Config is what was made of a text: the part of a config file of chardevd that stands
// for it. What Write writes of it is a config file on its own as well.
type Config struct {
	Credentials []Credentials
	Access      []Access
	Chardevs    []Chardev
	Notices     []Notice // what of the text is of no use here, or is to be known
}

// Credentials are one [credentials.NAME]. Paths are as they were given.
type Credentials struct {
	Comments       []string `toml:"-"`
	Name           string   `toml:"-"`
	Dir            string   `toml:"dir,omitempty"`
	Cert           string   `toml:"cert,omitempty"`
	Key            string   `toml:"key,omitempty"`
	ClientCA       string   `toml:"client_ca,omitempty"`
	CA             string   `toml:"ca,omitempty"`
	CRL            string   `toml:"crl,omitempty"`
	PassphraseFile string   `toml:"passphrase_file,omitempty"`
}

// Access is one [[access]].
type Access struct {
	Comments []string `toml:"-"`
	Who      []string `toml:"who"`
	May      []string `toml:"may"`
	On       []string `toml:"on"`
}

// A Chardev is one [[chardev]]; "" and nil are what is usual.
type Chardev struct {
	Comments   []string // what to know about it, a line each
	Name       string
	Device     Endpoint
	Frontends  []Frontend
	History    string
	Input      string
	WriterIdle string
	Log        any // true, false, or a map of its keys
}

// An Endpoint is an address, and what is done with it.
type Endpoint struct {
	Address channel.Address
	Listen  bool // else dial or open
}

// A Frontend is one of a chardev. One that has an address alone, and is what its address
// usually is, is written as an address.
type Frontend struct {
	Endpoint
	Comments  []string
	Mode      string
	Replay    string
	OnLag     string
	HalfClose bool
	Login     bool
	Reconnect *Reconnect
}

// Reconnect is how long to wait between tries, as durations of a config file.
type Reconnect struct{ Min, Max string }

// Permit adds insecure=true to an address that would be refused without: one that leads
// beyond this host, without TLS. It says whether it did.
func Permit(a *channel.Address) bool {
	if !a.Network() || a.Loopback() || a.Has("tls") || a.Is("insecure") {
		return false
	}
	a.Options = append(a.Options, channel.Option{Key: "insecure", Value: "true"})
	return true
}
