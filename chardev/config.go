package chardev

import (
	"slices"
	"time"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// A Config is a checked configuration: nothing in it contradicts anything else.
type Config struct {
	File        string // the file it was read from
	State       string // folder of what the daemon keeps; absolute
	Control     channel.Address
	HTTP        HTTPConfig
	Credentials map[string]*CredentialsConfig
	Access      *access.Rules
	Audit       string // the file of the audit log, absolute; "": none is kept
	Journal     JournalConfig
	Chardevs    []ChardevConfig
	Discover    []*DiscoverConfig
	Streams     []StreamConfig
	Warnings    []string // file:line:column: what is accepted but odd, or not acted on

	uses []*use // the daemon's own
}

// Stdio says whether the daemon's standard input and output belong to an endpoint.
func (c *Config) Stdio() bool {
	is := func(e Endpoint) bool { return e.Address.Transport == "stdio" }
	return slices.ContainsFunc(c.Chardevs, func(c ChardevConfig) bool {
		return is(c.Device) || slices.ContainsFunc(c.Frontends, func(f FrontendConfig) bool { return is(f.Endpoint) })
	})
}

// An HTTPConfig is [http].
type HTTPConfig struct {
	Listen  []Endpoint
	Origins []string // sites whose pages may use the API, besides that which Host names
	Hosts   []string // names by which browsers may call it, besides localhost and addresses
	Base    string   // path below which it is for browsers: "" or like "/consoles"
	Proxies Proxies
}

// A CredentialsConfig is one [credentials.NAME].
type CredentialsConfig struct {
	Files  channel.CredentialFiles // absolute
	Loaded *channel.Credentials    // what was in them
}

// A ChardevConfig is one [[chardev]].
type ChardevConfig struct {
	Name       string
	Pos        string // file:line:column where it is written
	Device     Endpoint
	Frontends  []FrontendConfig
	History    int           // bytes
	Input      string        // shared, exclusive, off
	WriterIdle time.Duration // a writer who types nothing for so long loses an exclusive input; 0: never
	Log        LogConfig

	Found  string          // the path at which it was discovered; "": it is written in a file, or passed
	passed *ChardevRequest // what it was made of, by add-device; nil: it was not
	uses   []*use          // its endpoints
}

// An Endpoint is an address and what to do with it.
type Endpoint struct {
	Address channel.Address // paths in it are absolute
	Listen  bool            // else dial or open
	Pos     string          // file:line:column where it is written
}

// A FrontendConfig is one frontend.
type FrontendConfig struct {
	Endpoint
	Mode      string // read-write, read-only
	Replay    int    // bytes
	OnLag     string // catch-up, skip, close, block
	HalfClose bool
	Login     bool      // clients say who they are before anything else
	Reconnect Reconnect // of one that connects; zero: as it is usual
}

// Reconnect is how long to wait between tries.
type Reconnect struct{ Min, Max time.Duration }

// LogConfig is what the journal of a chardev keeps; zero where it keeps nothing.
type LogConfig struct {
	Enabled  bool
	MaxSize  int64         // bytes of a segment, which is sealed then
	MaxSpan  time.Duration // a segment is sealed when its first byte is that old; 0: no such limit
	Keep     int           // segments, the current one counted
	MaxAge   time.Duration // segments whose last byte is older are removed; 0: never
	MaxTotal int64         // bytes on disk of all its segments; 0: no limit
	Compress bool          // what is sealed
}

// JournalConfig is what holds for the journals of all chardevs together.
type JournalConfig struct {
	MaxTotal int64         // bytes on disk
	Sync     time.Duration // how long a byte may not be on disk yet; 0: until its segment is sealed
}
