package channel

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
)

// Passed are descriptors that somebody hands over while the process runs, each under a
// name, until an address fd: with that name is opened. Its zero value, and nil, has none.
//
// What is connected can be opened, as one that dials, and be listened on: then it is the
// one who comes, and its layers are those of a server.
type Passed struct {
	mu    sync.Mutex
	files map[string]passedFile
}

// A passedFile is one of the two.
type passedFile struct {
	listening *os.File
	ch        Channel
}

// PassedPrefix is what the names of descriptors that are passed begin with.
const PassedPrefix = "passed-"

// Put keeps f, which it owns from the call on, for an address, whose transport is fd and
// whose name no other one has had. It returns where the socket is listened on, or nil if
// it is connected; and what it is otherwise connected to, if that is no pipe and no
// terminal. What can be no channel, and what the address may not be, is closed.
func (p *Passed) Put(a Address, f *os.File) (listens, peer net.Addr, err error) {
	one := passedFile{}
	switch listens, err = listeningAddr(f); {
	case err == nil:
		if err := mayCross(listens, a); err != nil {
			f.Close()
			return nil, nil, err
		}
		one.listening = f
	default:
		if one.ch, err = givenChannel(f, a); err != nil {
			return nil, nil, err
		}
		listens, peer = nil, one.ch.RemoteAddr()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.files == nil {
		p.files = map[string]passedFile{}
	}
	p.files[a.Where] = one
	return listens, peer, nil
}

// Drop closes what was put there for an address, and nobody has opened.
func (p *Passed) Drop(a Address) {
	if one, ok := p.take(a.Where); ok {
		one.close()
	}
}

// Close closes all that nobody has opened.
func (p *Passed) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.files {
		one.close()
	}
	p.files = nil
}

func (p *Passed) take(name string) (passedFile, bool) {
	if p == nil {
		return passedFile{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.files[name]
	delete(p.files, name)
	return one, ok
}

func (one passedFile) close() {
	if one.listening != nil {
		one.listening.Close()
		return
	}
	one.ch.Close()
}

// errPassed is of a descriptor that was passed, and is over.
func errPassed(name string) error {
	return fmt.Errorf("the descriptor that was passed is over, and cannot be opened again (%s)", name)
}

func isPassed(name string) bool { return strings.HasPrefix(name, PassedPrefix) }

// Once says whether what the address names can be opened once only: nothing comes of
// trying again.
func (a Address) Once() bool {
	return a.Transport == "fd" && (isPassed(a.Where) || isNumber(a.Where))
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// An onlyOne is who comes to a listener that nobody else comes to.
type onlyOne struct {
	at     net.Addr
	closed chan struct{} // when it is

	mu   sync.Mutex
	ch   Channel // nil: it has come
	wake func()  // of who rests; nil: nobody does
	once sync.Once
}

func newOnlyOne(ch Channel, at net.Addr) *onlyOne {
	return &onlyOne{at: at, ch: ch, closed: make(chan struct{})}
}

func (o *onlyOne) take() Channel {
	o.mu.Lock()
	defer o.mu.Unlock()
	ch := o.ch
	o.ch = nil
	return ch
}

func (o *onlyOne) Accept() (Channel, error) {
	if ch := o.take(); ch != nil {
		return ch, nil
	}
	<-o.closed
	return nil, net.ErrClosed
}

// Rest makes it a Rester, who wakes for its end only.
func (o *onlyOne) Rest(wake func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.closed:
		return false
	default:
	}
	if o.ch != nil {
		return false
	}
	o.wake = wake
	return true
}

func (o *onlyOne) Addr() net.Addr { return o.at }

func (o *onlyOne) Close() error {
	o.once.Do(func() {
		if ch := o.take(); ch != nil {
			ch.Close()
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		close(o.closed)
		if o.wake != nil {
			go o.wake()
		}
	})
	return nil
}

// Park makes it a Parker, of which nothing is left: who has come is parked by himself.
func (o *onlyOne) Park() (*Parked, error) {
	o.Close()
	return &Parked{}, nil
}
