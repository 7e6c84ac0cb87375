package chardev

import (
	"fmt"
	"strings"

	"chardevd/channel"
)

// LoadControl reads where the daemon of a config file has its control socket.
// Nothing else in the file needs to be right, and no file that it names is
// opened: whoever may use the socket need not be who may run the daemon. Any
// error is a *ConfigError.
func LoadControl(path string) (channel.Address, error) {
	l, err := loadPlaces(path)
	if err == nil && l.cfg.Control.Transport == "" {
		err = &ConfigError{mistakes(l.notes)}
	}
	if err != nil {
		return channel.Address{}, err
	}
	return l.cfg.Control, nil
}

// LoadState reads which folder a config file gives the daemon for what must outlive
// it, as LoadControl does.
func LoadState(path string) (string, error) {
	l, err := loadPlaces(path)
	if err == nil && l.cfg.State == "" {
		err = &ConfigError{mistakes(l.notes)}
	}
	if err != nil {
		return "", err
	}
	return l.cfg.State, nil
}

// loadPlaces reads what a config file says of state and control, as far as it can be
// read.
func loadPlaces(path string) (*loader, error) {
	read := func(l *loader, t *table) {
		l.state(t)
		l.control(t)
	}
	whole, err := loadSome(path, read)
	if err != nil || whole.cfg.Control.Transport != "" {
		return whole, err
	}
	// What is no TOML further down keeps nobody from the daemon that runs with the file as it
	// was: what is looked for stands before the first table.
	if top, err := loadPart(path, beforeTables, read); err == nil && top.cfg.Control.Transport != "" {
		return top, nil
	}
	return whole, nil
}

// beforeTables is what of a TOML file stands before its first table.
func beforeTables(text string) string {
	top := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, " \t"), "[") {
			break
		}
		top += len(line)
	}
	return text[:top]
}

// LoadCredentials reads [credentials.NAME] of a config file, or of one that it includes, and
// its files. Nothing else there needs to be right, as with LoadControl.
func LoadCredentials(path, name string) (*channel.Credentials, error) {
	var found *CredentialsConfig
	read := func(l *loader, t *table) {
		v, ok := t.get("credentials")
		if !ok || found != nil {
			return
		}
		const what = "tables, each of which begins with [credentials.NAME]"
		all, ok := v.table("[credentials]", what)
		if !ok {
			return
		}
		if v, ok = all.get(name); !ok {
			return
		}
		if one, ok := v.table("[credentials."+name+"]", what); ok {
			_, found = l.loadCredentials(one)
		}
	}
	l, err := loadSome(path, func(l *loader, t *table) {
		read(l, t)
		if include, ok := t.get("include"); ok && found == nil {
			l.include(include, func(t *table) { read(l, t) })
		}
	})
	switch {
	case err != nil:
		return nil, err
	case found != nil && found.Loaded != nil:
		return found.Loaded, nil
	case len(l.notes) > 0:
		return nil, &ConfigError{mistakes(l.notes)}
	}
	return nil, fmt.Errorf("there is no [credentials.%s] in %s", name, path)
}
