package channel

// A Watch tells when to try again to open an address, without polling.
type Watch struct {
	// C has a value when what the address names may have come, or may be opened
	// now, since the last receive. It may be told for nothing; it is never closed.
	C <-chan struct{}

	close func()
}

// Close ends the watch. It may be called more than once.
func (w *Watch) Close() { w.close() }

// Watch watches for what the address opens, which need not be there. The watch
// stands when it returns, so that nothing is missed by watching first, then
// trying, then waiting for C. It is nil where the system tells nothing.
func (a Address) Watch() (*Watch, error) {
	t, ok := transportNamed(a.Transport)
	switch {
	case !ok:
		return nil, nil
	case a.File() != "":
		paths := []string{a.File()}
		if t.nodes != nil {
			paths = t.nodes(a.File())
		}
		w, err := newPathWatch(appearMask, paths...)
		if err != nil {
			return nil, err
		}
		return &Watch{w.C, w.Close}, nil
	case t.watch != nil:
		return t.watch()
	}
	return nil, nil
}
