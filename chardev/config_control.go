package chardev

import "chardevd/channel"

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
	return loadSome(path, func(l *loader, t *table) {
		l.state(t)
		l.control(t)
	})
}
