package chardev

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"chardevd/channel"
	"chardevd/chardev/internal/accounts"
	"chardevd/chardev/internal/audit"
	"chardevd/chardev/internal/history"
	"chardevd/chardev/internal/journal"
)

// A Server is the daemon: all chardevs of a configuration, and the control
// socket.
type Server struct {
	cfg      *Config
	log      *slog.Logger
	epoch    string // of the offsets of chardevs without a journal: a new one each start, as nothing outlives it
	consoles []*console
	doors    []*httpDoor
	lull     lull
	board    board
	lock     *os.File
	keeper   *journal.Keeper
	gate     gate
	ruled    bool           // there were rules; owned by ReloadAccess
	spare    *history.Spare // for what the journals are to write yet
	desks    desks
	audit    auditor
	sessions *webSessions
	wrongs   flood // of secrets

	// Pages serves what of [http] is not the API; nil: nothing. It is set before Run.
	Pages http.Handler

	keyring  *keyring
	accounts *accountKeeper

	certMu sync.Mutex       // held while the file is made or read, so that it is one for all
	cert   *tls.Certificate // see selfSigned
}

// A console is one chardev at run time.
type console struct {
	name   string
	hub    *hub
	device *device
	fronts []*frontend
	epoch  string
	noLog  error // why it has no journal; nil: it has, or none is wanted
}

// unwrittenMost is how many bytes that are not in the journals yet are held beyond the
// windows of all chardevs.
const unwrittenMost = 256 << 20

// NewServer takes the state folder, which one daemon at a time can have, and
// makes everything ready to Run.
func NewServer(cfg *Config, log *slog.Logger) (*Server, error) {
	if err := os.MkdirAll(cfg.State, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	lock, err := lockState(cfg.State)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, log: log, epoch: rand.Text(), lock: lock,
		keeper: journal.NewKeeper(cfg.Journal.MaxTotal, cfg.Journal.Sync, log),
		spare:  history.NewSpare(unwrittenMost),
		desks:  make(desks, deskCount),

		sessions: newWebSessions(),

		keyring: newKeyring(cfg.Credentials, log),
	}
	if cfg.Audit != "" {
		s.audit.log = audit.Open(cfg.Audit, log)
	}
	s.audit.did(theDaemon{}, audit.Start, cfg.File)
	s.accounts = &accountKeeper{store: accounts.NewStore(cfg.State, s.lull.heave), review: s.review, audit: s.audit, log: log}
	s.sessions.keeping = keeping{folder: Accounts{Dir: cfg.State}, store: s.accounts.store, log: log}
	s.gate.rules.Store(cfg.Access)
	s.ruled = cfg.Access.Len() > 0
	for i := range cfg.Chardevs {
		s.consoles = append(s.consoles, s.newConsole(&cfg.Chardevs[i]))
	}
	for i := range cfg.HTTP.Listen {
		s.doors = append(s.doors, s.newHTTPDoor(&cfg.HTTP.Listen[i]))
	}
	return s, nil
}

// Close ends the journals, for up to closeGrace, and gives the state folder back. Run
// must have returned. An error is of journals that are not ended: they go on behind a
// gap; or of an audit log whose end is not written.
func (s *Server) Close() error {
	s.audit.did(theDaemon{}, audit.Stop, "")
	done := make(chan error, 1)
	go func() { // left behind only if a disk takes nothing, at the end of the process
		unaudited := s.audit.log.Close(closeGrace / 2)
		s.sessions.keep()
		done <- errors.Join(unaudited, s.closeJournals())
	}()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	var err error
	select {
	case err = <-done:
	case <-grace.C:
		err = fmt.Errorf("state folder %s: its disk did not take the end of the journals within %v: they go on behind a gap", s.cfg.State, closeGrace)
	}
	return errors.Join(err, s.lock.Close())
}

// closeGrace is how long the journals' end may take.
const closeGrace = 10 * time.Second

func (s *Server) closeJournals() error {
	var all sync.WaitGroup
	failed := make([]error, len(s.consoles)+1)
	for i, c := range s.consoles {
		if c.hub.scribe == nil {
			continue
		}
		all.Go(func() {
			if err := c.hub.scribe.close(); err != nil {
				failed[i] = fmt.Errorf("chardev %s: the end of what it printed is not written down: %w", c.name, err)
			}
		})
	}
	all.Wait()
	failed[len(s.consoles)] = s.keeper.Close()
	return errors.Join(failed...)
}

// lockFile is what a state folder is locked by.
const lockFile = "lock"

// lockState locks the folder by a file in it, which tells whose it is.
func lockState(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err := lockSoon(f); err != nil {
		whose, _ := io.ReadAll(io.LimitReader(f, 100))
		f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("state folder %s: lock: %w", dir, err)
		}
		return nil, fmt.Errorf("state folder %s is in use by another chardevd (%s): stop it, or give this one another folder with state =", dir, strings.TrimSpace(string(whose)))
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, fmt.Errorf("state folder %s: lock: %w", dir, err)
	}
	fmt.Fprintf(f, "pid %d\n", os.Getpid())
	return f, nil
}

// lockGrace is how long the lock may still be held by a daemon that was killed:
// the kernel gives it back when the last of the process is gone.
const lockGrace = 2 * time.Second

// lockSoon locks the file, and waits for it a little.
func lockSoon(f *os.File) error {
	for end := time.Now().Add(lockGrace); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) {
			return err
		}
		time.Sleep(20 * time.Millisecond) // flock(2) cannot wait with an end
	}
}

func (s *Server) newConsole(cc *ChardevConfig) *console {
	log := s.log.With("chardev", cc.Name)
	con := &console{name: cc.Name, epoch: s.epoch}
	h := s.newHub(con, cc, log)
	h.writer.idle = cc.WriterIdle
	h.stir, h.name, h.gate, h.audit = s.lull.stir, cc.Name, &s.gate, auditor{s.audit.log, cc.Name}
	h.sign = s.board.add()
	env := s.newEnv(log)
	env.Below = func(c channel.Channel) channel.Channel { return channel.NewOutbox(c) }
	con.hub, con.device = h, newDevice(h, env, &cc.Device)
	front := *env
	front.Admit = s.admit
	for i := range cc.Frontends {
		con.fronts = append(con.fronts, newFrontend(h, &front, &cc.Frontends[i]))
		con.fronts[i].vouch = s.vouch
	}
	return con
}

// newEnv is what addresses of the config leave to the daemon.
func (s *Server) newEnv(log *slog.Logger) *channel.Env {
	return &channel.Env{
		Dir:         filepath.Dir(s.cfg.File),
		Credentials: s.credentials,
		SelfSigned:  s.selfSigned,
		Log:         log,
	}
}

// newHub returns the console's hub, which goes on where its journal ends.
func (s *Server) newHub(con *console, cc *ChardevConfig, log *slog.Logger) *hub {
	if !cc.Log.Enabled {
		return newHub(log, history.New(cc.History, 0, nil), cc.Input)
	}
	j, err := journal.Open(filepath.Join(s.cfg.State, cc.Name), cc.Name, journal.Options{
		MaxSize: cc.Log.MaxSize, MaxSpan: cc.Log.MaxSpan, Keep: cc.Log.Keep,
		MaxAge: cc.Log.MaxAge, MaxTotal: cc.Log.MaxTotal, Compress: cc.Log.Compress,
	}, s.keeper)
	if err != nil {
		log.Error("nothing will be written down of this chardev", "error", err)
		con.noLog = err
		return newHub(log, history.New(cc.History, 0, nil), cc.Input)
	}
	con.epoch = j.Epoch()
	h := newHub(log, history.New(cc.History, j.Start(), s.spare), cc.Input)
	h.scribe = newScribe(h, j, s.desks)
	h.found(j.Found())
	return h
}

func (s *Server) credentials(name string) (*channel.Credentials, error) {
	c, ok := s.keyring.byName[name]
	if !ok {
		return nil, fmt.Errorf("no [credentials.%s]", name)
	}
	return c.now.Load(), nil
}

// selfSigned is the certificate of tls frontends on loopback without credentials.
func (s *Server) selfSigned() (cert *tls.Certificate, err error) {
	s.certMu.Lock()
	defer s.certMu.Unlock()
	if s.cert == nil {
		s.cert, err = channel.SelfSigned(s.cfg.State)
	}
	return s.cert, err
}

func (s *Server) console(name string) *console {
	for _, c := range s.consoles {
		if c.name == name {
			return c
		}
	}
	return nil
}

// Run opens everything and keeps it open until ctx ends; then it lets clients
// have what was printed so far, for up to a second, and closes everything.
// ready is called once, when all that could be opened is open.
func (s *Server) Run(ctx context.Context, ready func()) error {
	l, err := new(channel.Env).Listen(ctx, s.cfg.Control)
	if err != nil {
		return fmt.Errorf("control socket %s: %w", s.cfg.Control, err)
	}
	defer l.Close()
	defer s.lull.stop()

	var fronts, devices sync.WaitGroup
	away, goAway := context.WithCancel(context.WithoutCancel(ctx))
	defer goAway()
	s.accounts.start(ctx, &fronts) // before anybody can show a secret
	s.sessions.resume(ctx)
	for _, c := range s.consoles {
		c.device.start(away, &devices)
		for _, f := range c.fronts {
			f.start(ctx, &fronts)
		}
	}
	for _, d := range s.doors {
		d.start(ctx, &fronts)
	}
	s.keyring.start(ctx, &fronts)
	var failed error
	fronts.Go(func() {
		if failed = s.serveControl(ctx, l); failed != nil {
			s.log.Error("the control socket is served no longer: restart chardevd to have list and attach again", "error", failed)
		}
	})
	if s.awaitFirst(ctx) {
		ready()
	}
	<-ctx.Done()
	fronts.Wait() // clients first: they get what the devices said
	for _, c := range s.consoles {
		c.hub.writer.timing.Wait() // nobody has an input any more
	}
	goAway()
	devices.Wait()
	return failed
}

// awaitFirst waits until every endpoint was tried once: those that listen for as
// long as it takes, those that open only for a moment, as a network may be slow.
func (s *Server) awaitFirst(ctx context.Context) bool {
	moment := time.NewTimer(2 * time.Second)
	defer moment.Stop()
	var patience <-chan time.Time = moment.C
	await := func(sv *supervisor) bool {
		timeout := patience
		if sv.ep.Listen {
			timeout = nil
		}
		select {
		case <-sv.status.tried():
		case <-timeout:
			moment.Reset(0) // the others have had their time too
		case <-ctx.Done():
			return false
		}
		return true
	}
	for _, d := range s.doors {
		if !await(&d.supervisor) {
			return false
		}
	}
	for _, c := range s.consoles {
		if !await(&c.device.supervisor) {
			return false
		}
		for _, f := range c.fronts {
			if !await(&f.supervisor) {
				return false
			}
		}
	}
	return true
}
