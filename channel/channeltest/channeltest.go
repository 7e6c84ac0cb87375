// Package channeltest holds every transport and layer to the promises of
// channel.Channel: one property, one subtest, one sentence, printed where it fails.
//
//	channeltest.Run(t, channeltest.Over("tcp://127.0.0.1:0"), channeltest.Traits{})
//
// Run tests channels that a Maker makes; RunLayer tests a layer over several
// channels, over itself, and over ones that fail. What a medium can not do is
// named in its Traits, each with the reason. OneByte, Scribble, Stutter and
// FailAfter are channels with faults, for these and other tests.
//
// After each property nothing may be left: no goroutine, no descriptor. So
// tests that use this package must not run in parallel with others.
package channeltest

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"

	"chardevd/channel"
)

// A Maker makes two connected channels: what is written to one is read from the
// other. Where the traits say that there is no other end, b is nil. The property
// under test closes both; whatever else it took to make them (a listener) is
// ended by t.Cleanup. It fails t if it can not.
type Maker func(t testing.TB) (a, b channel.Channel)

// Traits name what a channel does not do: a field that is not empty excludes
// what it says, and its text is the reason. The zero value excludes nothing.
type Traits struct {
	// NoPeer: there is no other end, b is nil; nothing comes, and nobody sees
	// what is written.
	NoPeer string

	// Echo: there is no other end, b is nil; what is written comes back.
	Echo string

	// NoHalfClose: CloseWrite is errors.ErrUnsupported and changes nothing.
	NoHalfClose string

	// LossyClose: Close throws away what the peer has not read yet.
	LossyClose string

	// NoEnd: that the other end was closed is not seen: it frees no read and no write.
	NoEnd string

	// Lossy: bytes are lost where more are under way than somebody has room for, so that
	// only a few are sent at a time.
	Lossy string

	// NeverFull: a write never has to wait.
	NeverFull string

	// NoTry: it is not a channel.TryWriter.
	NoTry string

	// Slow: properties that move many bytes move a sixteenth of them, and at most
	// 16 KiB at a time.
	Slow string

	// NoHandshake: a layer that is there at once, so that nothing can go wrong
	// while it is put on.
	NoHandshake string

	// NoEndMark: a layer that has no end of its own, so that it can not tell a
	// stream that was cut from one that ended.
	NoEndMark string
}

// lonely says whether there is no other end.
func (tr Traits) lonely() bool { return tr.NoPeer != "" || tr.Echo != "" }

// scaled is how much of n to move.
func (tr Traits) scaled(n int) int {
	if tr.Slow != "" {
		return min(n/16, 16<<10)
	}
	return n
}

// A property is one promise and the check that finds it broken.
type property struct {
	name     string
	sentence string              // printed when it fails
	excluded func(Traits) string // why it is not checked; nil: always is
	pairs    int                 // how many pairs check wants
	bothWays bool                // check treats both ends alike: no second run with the ends swapped
	check    func(p *pair) error // the channels are closed for it afterwards
}

// properties is the list; its order is that of the design's section 10.
func properties() []property {
	return []property{
		order, pingPong, progress, zeroLength, vectored, notInterleaved, buffersReturned, tryWrite,
		readDeadlines, writeDeadlines,
		closeFrees, closeOnce, closeBounded, closeDrains, closeWrite,
		allAtOnce, addresses, nothingLeft, littleMemory,
	}
}

// watchdog is how long one property may take before it counts as hanging.
const watchdog = 60 * time.Second

// Run checks every property that traits do not exclude, each in a subtest and
// with channels of its own; those that look at one end only, also with the ends
// swapped.
func Run(t *testing.T, make Maker, traits Traits) {
	t.Helper()
	for _, pr := range properties() {
		if pr.excluded != nil {
			if why := pr.excluded(traits); why != "" {
				t.Logf("%s is not checked: %s", pr.name, why)
				continue
			}
		}
		runProperty(t, pr.name, pr, make, traits)
		if !pr.bothWays && !traits.lonely() {
			runProperty(t, pr.name+"_swapped", pr, swapped(make), traits)
		}
	}
}

func runProperty(t *testing.T, name string, pr property, make Maker, traits Traits) {
	t.Helper()
	alone(t, name, func(t *testing.T) {
		if err := check(t, pr, make, traits, watchdog); err != nil {
			t.Errorf("%s\n%v", pr.sentence, err)
		}
	})
}

// alone runs a subtest and then sees that nothing of it is left, not even what
// its cleanups had to end.
func alone(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	before := takeStock()
	if t.Run(name, f) {
		if err := before.compare(); err != nil {
			t.Errorf("%s: %s\n%v", name, nothingLeft.sentence, err)
		}
	}
}

func swapped(make Maker) Maker {
	return func(t testing.TB) (a, b channel.Channel) {
		a, b = make(t)
		return b, a
	}
}

// check makes the channels, runs the check under a watchdog and closes the
// channels. What hangs is reported with all goroutines.
func check(t testing.TB, pr property, maker Maker, traits Traits, limit time.Duration) error {
	p := &pair{traits: traits, before: heap()}
	for range max(pr.pairs, 1) {
		a, b := maker(t)
		if isNil(a) || isNil(b) != traits.lonely() {
			return fmt.Errorf("the maker made %v and %v, which does not fit the traits", a, b)
		}
		if traits.lonely() {
			b = nil
		}
		p.ends = append(p.ends, ends{a, b})
	}
	p.a, p.b = p.ends[0].a, p.ends[0].b
	done := make(chan error, 1)
	go func() {
		err := pr.check(p)
		done <- errors.Join(err, p.closeAll())
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("it hangs: not done after %v\n%s", limit, stacks())
	}
}

// isNil finds also the nil pointer that a maker may have put into the interface.
func isNil(c channel.Channel) bool {
	if c == nil {
		return true
	}
	v := reflect.ValueOf(c)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

func stacks() []byte {
	buf := make([]byte, 1<<20)
	return buf[:runtime.Stack(buf, true)]
}
