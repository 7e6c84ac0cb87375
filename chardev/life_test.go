package chardev

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var errOver = errors.New("over")

// isOver fails the test unless a context ends with its life, and because of why.
func isOver(t *testing.T, what string, ctx context.Context, why error) {
	t.Helper()
	<-ctx.Done()
	if ctx.Err() != context.Canceled || context.Cause(ctx) != why {
		t.Errorf("%s ended with %v because of %v, want %v", what, ctx.Err(), context.Cause(ctx), why)
	}
}

// A life is a context like any other, for whoever asks before it ends and after that.
func TestALifeIsAContext(t *testing.T) {
	var l life
	l.begin(t.Context())
	if l.Err() != nil || context.Cause(&l) != nil || l.std != nil {
		t.Errorf("it has ended from the beginning, or has made what nobody wants: %v, %v", l.Err(), context.Cause(&l))
	}
	soon, cancel := context.WithTimeout(&l, time.Hour)
	defer cancel()
	below, end := context.WithCancelCause(soon)
	defer end(nil)
	called := make(chan error, 1)
	context.AfterFunc(below, func() { called <- context.Cause(below) })
	keep := context.AfterFunc(&l, func() { t.Error("called for one who wanted that no longer") })
	if !keep() {
		t.Error("it was called already")
	}
	l.ask(errOver)
	l.ask(errors.New("a second time"))
	isOver(t, "the life", &l, errOver)
	isOver(t, "a context with a time limit", soon, errOver)
	isOver(t, "one below that", below, errOver)
	if why := <-called; why != errOver {
		t.Errorf("who waited for its end was told %v", why)
	}
	late, cancel := context.WithTimeout(&l, time.Hour)
	defer cancel()
	isOver(t, "one that comes late", late, errOver)

	var asked life // whose cause is the first that is asked for
	asked.begin(t.Context())
	asked.ask(errOver)
	if why := context.Cause(&asked); why != errOver {
		t.Errorf("its cause is %v", why)
	}
	var quiet life // of which nobody asked anything before
	quiet.begin(t.Context())
	quiet.ask(nil)
	if quiet.Err() != context.Canceled || quiet.std != nil {
		t.Errorf("it has ended with %v, and made what nobody asked for: %v", quiet.Err(), quiet.std)
	}
	isOver(t, "a life without a reason", &quiet, context.Canceled)
	if whyEnded(&quiet) != errShutdown {
		t.Errorf("and for people it ended because of %v", whyEnded(&quiet))
	}
}

// A life ends with what it was begun within, at once, and because of the same.
func TestALifeEndsWithItsParent(t *testing.T) {
	plain, end := context.WithCancelCause(t.Context())
	var root, child, grandchild, other life
	root.begin(plain)
	child.begin(&root)
	grandchild.begin(&child)
	other.begin(&root)
	other.ask(errKicked)
	if root.ties != &child.within {
		t.Error("who has ended is still known to the parent")
	}
	child.ask(errRemoved)
	if grandchild.Err() == nil {
		t.Error("the life of a child lasts after its parent's end")
	}
	isOver(t, "the grandchild", &grandchild, errRemoved)
	if root.Err() != nil {
		t.Errorf("the parent has ended with its child: %v", root.Err())
	}
	end(errOver)
	isOver(t, "the parent", &root, errOver)
	isOver(t, "who had ended before", &other, errKicked)
	var late, later life
	late.begin(&root)
	later.begin(plain)
	if late.Err() == nil || later.Err() == nil {
		t.Error("what is begun within what has ended lasts")
	}
	isOver(t, "who came late", &late, errOver)
	isOver(t, "who came late", &later, errOver)
}

// Who is tied to a life, or to any context, is told of its end, unless the tie was cut.
func TestATieTellsOfTheEndOnce(t *testing.T) {
	var l life
	l.begin(t.Context())
	plain, end := context.WithCancelCause(t.Context())
	for _, c := range []struct {
		name   string
		within context.Context
		end    func(error)
	}{
		{"a life", &l, l.ask},
		{"a context", plain, end},
	} {
		var ties [8]tie
		told := make(chan int, len(ties)+1)
		tell := func(i int) func(error) {
			return func(why error) {
				if why != errOver {
					t.Errorf("%s: told %v", c.name, why)
				}
				told <- i
			}
		}
		for i := range ties {
			ties[i].to(c.within, tell(i))
		}
		for _, i := range []int{0, 7, 2, 3, 5, 4} { // the first, the last, some between in either direction
			if !ties[i].cut() || ties[i].cut() {
				t.Errorf("%s: a tie is not cut once", c.name)
			}
		}
		ties[2].to(c.within, tell(2)) // again
		c.end(errOver)
		who := []int{<-told, <-told, <-told}
		slices.Sort(who)
		if !slices.Equal(who, []int{1, 2, 6}) {
			t.Errorf("%s: %v were told", c.name, who)
		}
		for i := range ties {
			if ties[i].cut() {
				t.Errorf("%s: a tie is cut after the end", c.name)
			}
		}
		var late tie
		late.to(c.within, tell(8))
		if who := <-told; who != 8 || late.cut() {
			t.Errorf("%s: %d was told, and not who is tied late; or that can be cut", c.name, who)
		}
		if len(told) > 0 {
			t.Errorf("%s: somebody was told twice, or in spite of having cut the tie", c.name)
		}
	}
	if new(tie).cut() {
		t.Error("what was never tied is cut")
	}
}

// However tying, cutting and the end meet: each is told or kept from that, never both.
func TestTiesAreToldOrCut(t *testing.T) {
	for range 300 {
		root, end := context.WithCancelCause(context.Background())
		var l life
		var told, cut atomic.Int32
		var all, callbacks sync.WaitGroup
		const ties = 8
		callbacks.Add(ties)
		all.Go(func() { l.begin(root) })
		for i := range ties {
			all.Go(func() {
				var t tie
				t.to(&l, func(why error) {
					if why == errOver {
						told.Add(1)
					}
					callbacks.Done()
				})
				if i%2 == 0 && t.cut() {
					cut.Add(1)
					callbacks.Done()
				}
			})
		}
		all.Go(func() {
			below, cancel := context.WithTimeout(&l, time.Hour)
			defer cancel()
			<-below.Done()
			if context.Cause(below) != errOver {
				t.Errorf("the cause was lost: %v", context.Cause(below))
			}
		})
		all.Go(func() { end(errOver) })
		all.Wait()
		callbacks.Wait()
		if n := told.Load() + cut.Load(); n != ties {
			t.Fatalf("of %d ties %d were told and %d cut", ties, told.Load(), cut.Load())
		}
	}
}
