package imports

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/BurntSushi/toml"
)

// Write writes the config as a config file has it, with its comments.
func (c *Config) Write(to io.Writer) error {
	w := new(writer)
	for _, one := range c.Credentials {
		w.table(one.Comments, map[string]any{"credentials": map[string]any{one.Name: one}})
	}
	for _, one := range c.Access {
		w.table(one.Comments, map[string]any{"access": []Access{one}})
	}
	for _, one := range c.Chardevs {
		w.chardev(one)
	}
	if w.err == nil {
		_, w.err = to.Write(w.text.Bytes())
	}
	return w.err
}

// A writer is one Write; after an error it writes nothing more.
type writer struct {
	text bytes.Buffer
	err  error
}

// table writes what a file of v alone would be, after a blank line and comments.
func (w *writer) table(comments []string, v any) {
	if w.err != nil {
		return
	}
	if w.text.Len() > 0 {
		w.text.WriteByte('\n')
	}
	for _, c := range comments {
		fmt.Fprintf(&w.text, "# %s\n", comment(c))
	}
	var one bytes.Buffer
	e := toml.NewEncoder(&one)
	e.Indent = ""
	w.err = e.Encode(v)
	// A table of tables has a header that is one too many: it may stand once in a file.
	text := bytes.TrimPrefix(bytes.TrimLeft(one.Bytes(), "\n"), []byte("[credentials]\n"))
	w.text.Write(bytes.TrimLeft(text, "\n"))
}

// comment is a text without what TOML has in no comment.
func comment(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// A chardevTable is a Chardev as it is encoded, in the order in which people read it.
type chardevTable struct {
	Name       string          `toml:"name"`
	Device     Endpoint        `toml:"device"`
	Frontends  []Endpoint      `toml:"frontends,omitempty"`
	History    string          `toml:"history,omitempty"`
	Input      string          `toml:"input,omitempty"`
	WriterIdle string          `toml:"writer_idle,omitempty"`
	Log        any             `toml:"log,omitempty"`
	Frontend   []frontendTable `toml:"frontend,omitempty"`
}

// A frontendTable is a Frontend as it is encoded.
type frontendTable struct {
	Listen    string     `toml:"listen,omitempty"`
	Connect   string     `toml:"connect,omitempty"`
	Mode      string     `toml:"mode,omitempty"`
	Replay    string     `toml:"replay,omitempty"`
	OnLag     string     `toml:"on_lag,omitempty"`
	HalfClose bool       `toml:"half_close,omitempty"`
	Login     bool       `toml:"login,omitempty"`
	Reconnect *Reconnect `toml:"reconnect,omitempty"`
}

// chardev writes a chardev. Comments of frontends stand above it with its own: those that
// are a list of addresses have no place for them.
func (w *writer) chardev(c Chardev) {
	t := chardevTable{Name: c.Name, Device: c.Device, History: c.History, Input: c.Input, WriterIdle: c.WriterIdle, Log: c.Log}
	comments := c.Comments
	for _, f := range c.Frontends {
		comments = append(comments[:len(comments):len(comments)], f.Comments...)
		one := frontendTable{Mode: f.Mode, Replay: f.Replay, OnLag: f.OnLag, HalfClose: f.HalfClose, Login: f.Login, Reconnect: f.Reconnect}
		if one == (frontendTable{}) && f.Listen == f.Address.CanListen() {
			t.Frontends = append(t.Frontends, Endpoint{Address: f.Address})
			continue
		}
		if one.Connect = f.Address.String(); f.Listen {
			one.Listen, one.Connect = one.Connect, ""
		}
		t.Frontend = append(t.Frontend, one)
	}
	w.table(comments, struct {
		Chardev []chardevTable `toml:"chardev"`
	}{[]chardevTable{t}})
}

// MarshalTOML is the address, or { listen = the address }.
func (e Endpoint) MarshalTOML() ([]byte, error) {
	text, err := toml.Marshal(map[string]string{"listen": e.Address.String()})
	if err != nil {
		return nil, err
	}
	one := bytes.TrimSpace(text)
	if e.Listen {
		return fmt.Appendf(nil, "{ %s }", one), nil
	}
	_, address, _ := bytes.Cut(one, []byte(" = "))
	return address, nil
}

// MarshalTOML is { min = …, max = … }.
func (r Reconnect) MarshalTOML() ([]byte, error) {
	return fmt.Appendf(nil, "{ min = %q, max = %q }", r.Min, r.Max), nil
}
