package chardev

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
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
	log      *slog.Logger
	file     string // the config's
	state    string // folder
	epoch    string // of the offsets of chardevs without a journal: a new one each start, as nothing outlives it
	lull     lull
	crowd    atomic.Int32 // see reading
	board    board
	lock     *os.File
	keeper   *journal.Keeper
	gate     gate
	spare    *history.Spare // for what the journals are to write yet
	desks    desks
	audit    auditor
	auditLog atomic.Pointer[audit.Log]
	sessions *webSessions
	wrongs   flood // of secrets
	logins   [len(loginResults)]atomic.Int64
	scraping *scraping
	listing  *bulk       // of lists and events; another one than that of scraping, as it may wait for a disk
	posts    shares      // requests that type, of a person on a console
	opened   atomic.Bool // all that could be opened was open once

	// Pages serves what of [http] is not the API; nil: nothing. It is set before Run.
	Pages http.Handler

	// Version is what the metrics tell of the build. It is set before Run.
	Version string

	// Successor is what an upgrade needs; nil: there is none. It is set before Run.
	Successor *Successor
	upgrading sync.Mutex // held while the successor is asked

	keyring   *keyring
	accounts  *accountKeeper
	inherited channel.Inherited
	discovery discovery
	passing   passing

	sites    atomic.Pointer[sites]      // of [http]
	consoles atomic.Pointer[[]*console] // in the order of the config; changed with changing held, and never in its place

	doors   atomic.Pointer[[]*httpDoor] // likewise
	streams atomic.Pointer[[]*stream]   // likewise

	// changing is held by whoever changes what follows, the consoles and what is in them:
	// one at a time.
	changing sync.Mutex
	cfg      *Config  // what is in force
	ruled    bool     // there were access rules
	run      *running // nil: Run has not begun, or ends

	grace     time.Duration              // closeGrace; for tests
	openUntil time.Time                  // see openJournal
	journals  map[string]<-chan struct{} // of chardevs, that are being ended or opened yet; closed when they are

	control  *channel.Parked // the socket to go on with; nil: none
	inherits *Handover       // what the daemon before has left; nil: nothing
	leaving  chan struct{}   // has a value when a successor is to take over; capacity 1
	left     *Handover       // what Run has left; nil: nothing

	certMu sync.Mutex       // held while the file is made or read, so that it is one for all
	cert   *tls.Certificate // see selfSigned
}

// unwrittenMost is how many bytes that are not in the journals yet are held beyond the
// windows of all chardevs.
const unwrittenMost = 256 << 20

// NewServer takes the state folder, which one daemon at a time can have, and
// makes everything ready to Run.
func NewServer(cfg *Config, log *slog.Logger) (*Server, error) { return TakeOver(cfg, log, nil) }

// TakeOver is NewServer of a daemon that goes on with what another one has left, and owns
// that from the call on: what the config has no place for is closed.
func TakeOver(cfg *Config, log *slog.Logger, from *Handover) (*Server, error) {
	s, err := takeOver(cfg, log, from)
	if err != nil && from != nil {
		from.Drop()
	}
	return s, err
}

func takeOver(cfg *Config, log *slog.Logger, from *Handover) (*Server, error) {
	if err := os.MkdirAll(cfg.State, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	lock, err := lockState(cfg.State)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, file: cfg.File, state: cfg.State, log: log, epoch: rand.Text(), lock: lock,
		keeper: journal.NewKeeper(cfg.Journal.MaxTotal, cfg.Journal.Sync, log),
		spare:  history.NewSpare(unwrittenMost),
		desks:  make(desks, deskCount),

		grace:    closeGrace,
		journals: map[string]<-chan struct{}{},

		sessions: newWebSessions(),
		scraping: newScraping(),
		listing:  newBulk(listsMost),

		keyring: newKeyring(cfg.Credentials, log),

		inherits: from, leaving: make(chan struct{}, 1),
	}
	var left []foundHandover
	if from != nil {
		s.epoch, left = from.Epoch, from.Found
	}
	s.discovery.init(log, s.attended)
	s.cfg = s.discovery.first(s.regainPassed(cfg), left)
	cfg = s.cfg
	s.audit.log = &s.auditLog
	if cfg.Audit != "" {
		s.auditLog.Store(audit.Open(cfg.Audit, log))
	}
	s.audit.did(theDaemon{}, audit.Start, cfg.File)
	s.accounts = &accountKeeper{store: accounts.NewStore(cfg.State, s.lull.heave), review: s.review, audit: s.audit, log: log}
	s.sessions.keeping = keeping{folder: Accounts{Dir: cfg.State}, store: s.accounts.store, log: log}
	s.gate.rules.Store(cfg.Access)
	s.ruled = cfg.Access.Len() > 0
	var all []*console
	for i := range cfg.Chardevs {
		all = append(all, s.newConsole(&cfg.Chardevs[i]))
	}
	s.consoles.Store(&all)
	s.sites.Store(sitesOf(cfg.HTTP))
	var doors []*httpDoor
	for i := range cfg.HTTP.Listen {
		d := s.newHTTPDoor(&cfg.HTTP.Listen[i])
		d.inherited = from.listener(keyOf("http", d.ep.Address))
		doors = append(doors, d)
	}
	s.doors.Store(&doors)
	var streams []*stream
	for i := range cfg.Streams {
		streams = append(streams, s.newStream(&cfg.Streams[i]))
	}
	s.streams.Store(&streams)
	s.control = from.listener(keyOf("control", cfg.Control))
	from.endRest(s.newEnv(log))
	return s, nil
}

// Close ends the journals, for up to closeGrace, and gives the state folder back. Run
// must have returned. An error is of journals that are not ended: they go on behind a
// gap; or of an audit log whose end is not written.
func (s *Server) Close() error {
	s.audit.did(theDaemon{}, audit.Stop, "")
	s.passing.files.Close()
	done := make(chan error, 1)
	go func() { // left behind only if a disk takes nothing, at the end of the process
		unaudited := s.auditLog.Load().Close(closeGrace / 2)
		s.sessions.keep()
		done <- errors.Join(unaudited, s.closeJournals())
	}()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	var err error
	select {
	case err = <-done:
	case <-grace.C:
		err = fmt.Errorf("state folder %s: its disk did not take the end of the journals within %v: they go on behind a gap", s.state, closeGrace)
	}
	return errors.Join(err, s.lock.Close())
}

// closeGrace is how long the journals' end may take.
const closeGrace = 10 * time.Second

func (s *Server) closeJournals() error {
	var closing sync.WaitGroup
	all := s.all()
	failed := make([]error, len(all)+1)
	for i, con := range all {
		if con.hub.scribe != nil {
			closing.Go(func() { failed[i] = con.close() })
		}
	}
	closing.Wait()
	failed[len(all)] = s.keeper.Close()
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

// newEnv is what addresses of the config leave to the daemon.
func (s *Server) newEnv(log *slog.Logger) *channel.Env {
	return &channel.Env{
		Dir:         filepath.Dir(s.file),
		Credentials: s.credentials,
		SelfSigned:  s.selfSigned,
		Inherited:   &s.inherited,
		Passed:      &s.passing.files,
		Log:         log,
	}
}

func (s *Server) credentials(name string) (*channel.Credentials, error) {
	c, ok := s.keyring.named()[name]
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
		s.cert, err = channel.SelfSigned(s.state)
	}
	return s.cert, err
}

// all are the consoles that there are now, in the order of the config. The slice is not
// to be changed, and is of this moment: consoles come and go.
func (s *Server) all() []*console {
	if all := s.consoles.Load(); all != nil {
		return *all
	}
	return nil
}

// httpDoors is all, of the addresses of [http].
func (s *Server) httpDoors() []*httpDoor {
	if doors := s.doors.Load(); doors != nil {
		return *doors
	}
	return nil
}

// console returns the one of a name, nil if there is none.
func (s *Server) console(name string) *console {
	for _, c := range s.all() {
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
	l, err := s.listenControl(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	defer s.lull.stop()

	run := new(running)
	run.front.begin(ctx)
	defer run.front.ask(nil)
	var endAPI context.CancelCauseFunc
	run.api, endAPI = context.WithCancelCause(&run.front)
	defer endAPI(nil)
	run.away.begin(context.WithoutCancel(ctx))
	defer run.away.ask(nil)
	s.begin(run)
	var failed error
	run.work.Go(func() {
		if failed = s.serveControl(run.api, l); failed != nil {
			s.log.Error("the control socket is served no longer: restart chardevd to have list and attach again", "error", failed)
		}
	})
	if s.awaitFirst(&run.front) {
		s.opened.Store(true)
		s.tellUnused()
		ready()
	}
	leaving := false
	select {
	case <-ctx.Done():
	case <-s.leaving:
		leaving = true
	}
	s.changing.Lock()
	s.run = nil // nothing comes any more
	s.changing.Unlock()
	if leaving {
		control := parkControl(l, s.config().Control, s.log)
		endAPI(errHandover)
		s.endUnparked(&run.work)
		s.parkDevices()
		run.front.ask(errHandover)
		s.left = &Handover{Version: handoverVersion, Epoch: s.epoch, Listeners: control, dir: filepath.Dir(s.file)}
	}
	run.work.Wait()
	for _, c := range s.all() { // clients first: they get what the devices said
		c.empty()
	}
	for _, st := range s.allStreams() {
		st.work.Wait()
	}
	run.away.ask(nil)
	for _, c := range s.all() {
		c.device.Load().work.Wait()
	}
	if leaving {
		s.handOver()
	}
	return failed
}

// begin opens all that there is.
func (s *Server) begin(run *running) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.run = run
	s.accounts.start(run.api, &run.work) // before anybody can show a secret
	s.sessions.resume(run.api)
	for _, c := range s.all() {
		c.start(run)
	}
	for _, d := range s.httpDoors() {
		d.start(run)
	}
	for _, st := range s.allStreams() {
		st.start(run)
	}
	s.keyring.start(run.api, &run.work)
	run.work.Go(func() { s.discover(run.api) })
}

// config is the configuration that is in force.
func (s *Server) config() *Config {
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.cfg
}

// endpoints are all that the config names, and what they are.
func (s *Server) endpoints() iter.Seq2[string, *supervisor] {
	return func(yield func(string, *supervisor) bool) {
		for _, d := range s.httpDoors() {
			if !yield("[http]", &d.supervisor) {
				return
			}
		}
		for _, st := range s.allStreams() {
			for _, d := range st.doors {
				if !yield("stream "+st.name, &d.supervisor) {
					return
				}
			}
		}
		for _, c := range s.all() {
			if !yield("chardev "+c.name+": device", &c.device.Load().supervisor) {
				return
			}
			for _, f := range c.frontends() {
				if !yield("chardev "+c.name+": frontend", &f.supervisor) {
					return
				}
			}
		}
	}
}

// awaitFirst waits until every endpoint was tried once: those that listen for as
// long as it takes, those that open, or listen by a name, only for a moment, as a network
// may be slow.
func (s *Server) awaitFirst(ctx context.Context) bool {
	moment := time.NewTimer(2 * time.Second)
	defer moment.Stop()
	var patience <-chan time.Time = moment.C
	await := func(sv *supervisor) bool {
		timeout := patience
		if sv.ep.Listen && !sv.ep.Address.Named() {
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
	for _, sv := range s.endpoints() {
		if !await(sv) {
			return false
		}
	}
	return true
}
