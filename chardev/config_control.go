package chardev

import (
	"path/filepath"

	"chardevd/channel"
)

// LoadControl reads where the daemon of a config file has its control socket.
// Nothing else in the file needs to be right, and no file that it names is
// opened: whoever may use the socket need not be who may run the daemon. Any
// error is a *ConfigError.
func LoadControl(path string) (channel.Address, error) {
	text, err := readConfig(path)
	var abs string
	if err == nil {
		abs, err = filepath.Abs(path)
	}
	if err != nil {
		return channel.Address{}, &ConfigError{[]Mistake{{File: path, Message: err.Error()}}}
	}
	l := &loader{cfg: &Config{File: path}}
	if t, ok := l.parse(path, filepath.Dir(abs), text); ok {
		l.state(t)
		l.control(t)
	}
	if l.cfg.Control.Transport == "" {
		return channel.Address{}, &ConfigError{mistakes(l.notes)}
	}
	return l.cfg.Control, nil
}
