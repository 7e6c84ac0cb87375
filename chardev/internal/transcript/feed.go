package transcript

import (
	"context"
	"runtime"
	"sync"
)

// A part is the next of a stream: bytes at an offset, or how many are missing there.
// Neither: it is at its end.
type part struct {
	at      int64
	bytes   []byte // valid until the next part is asked for
	missing int64
}

// A feed gives a stream part by part.
type feed interface {
	next(ctx context.Context) (part, error)
	stop()
}

// A plainFeed reads when it is asked.
type plainFeed struct {
	src    Source
	at, to int64
	buf    []byte
}

func (f *plainFeed) next(context.Context) (part, error) {
	p := part{at: f.at}
	n, missing, err := f.src.Read(f.at, f.buf[:min(int64(len(f.buf)), f.to-f.at)])
	if err != nil {
		return p, err
	}
	p.bytes, p.missing = f.buf[:n], min(missing, f.to-f.at)
	f.at += int64(n) + p.missing
	return p, nil
}

func (f *plainFeed) stop() {}

// Reading compressed segments costs more than all that is done with them. So a long
// range is read ahead, in stripes, each by one of two goroutines in turn.
const (
	stripe     = 1 << 20 // bytes
	readAhead  = 2       // goroutines
	aheadRange = 4 << 20 // a range shorter than this is not worth it
)

// An aheadFeed reads ahead.
type aheadFeed struct {
	cancel  context.CancelFunc
	readers sync.WaitGroup
	stripes [readAhead]chan stripeRead // filled by its goroutine, in order
	free    [readAhead]chan []byte

	turn int        // whose stripe is next
	now  stripeRead // being given
	i    int        // of its parts
}

// A stripeRead is a stripe that was read.
type stripeRead struct {
	parts []part
	buf   []byte
	err   error // behind the parts
	ended bool  // so is the end of the stream
}

// newAheadFeed begins to read from one offset to another, with a source for each
// goroutine, which are the caller's again after stop.
func newAheadFeed(ctx context.Context, sources [readAhead]Source, from, to int64) *aheadFeed {
	f := &aheadFeed{}
	ctx, f.cancel = context.WithCancel(ctx)
	for i := range f.stripes {
		f.stripes[i] = make(chan stripeRead, 1)
		f.free[i] = make(chan []byte, 2)
		for range cap(f.free[i]) {
			f.free[i] <- make([]byte, stripe)
		}
		f.readers.Go(func() { f.read(ctx, sources[i], from+int64(i)*stripe, to, i) })
	}
	return f
}

// read reads every second stripe, from the one at from on.
func (f *aheadFeed) read(ctx context.Context, src Source, from, to int64, i int) {
	defer close(f.stripes[i])
	for ; from < to; from += readAhead * stripe {
		var buf []byte
		select {
		case buf = <-f.free[i]:
		case <-ctx.Done():
			return
		}
		s := readStripe(ctx, src, from, min(from+stripe, to), buf)
		select {
		case f.stripes[i] <- s:
		case <-ctx.Done():
			return
		}
		if s.err != nil || s.ended {
			return
		}
	}
}

// readStripe reads from one offset to another into buf.
func readStripe(ctx context.Context, src Source, at, to int64, buf []byte) stripeRead {
	s := stripeRead{buf: buf}
	for at < to && ctx.Err() == nil {
		n, missing, err := src.Read(at, buf[:min(scanBlock, to-at)])
		if err != nil {
			s.err = err
			return s
		}
		if n == 0 && missing == 0 {
			s.ended = true
			return s
		}
		missing = min(missing, to-at)
		s.parts = append(s.parts, part{at, buf[:n], missing})
		at, buf = at+int64(n)+missing, buf[n:]
		runtime.Gosched() // the consoles first
	}
	return s
}

func (f *aheadFeed) next(ctx context.Context) (part, error) {
	for f.i == len(f.now.parts) {
		if f.now.err != nil || f.now.ended {
			return part{}, f.now.err
		}
		if f.now.buf != nil {
			f.free[(f.turn+readAhead-1)%readAhead] <- f.now.buf // there is always room
		}
		s, ok := <-f.stripes[f.turn]
		if !ok { // the end, or ctx's
			return part{}, ctx.Err()
		}
		f.now, f.i = s, 0
		f.turn = (f.turn + 1) % readAhead
	}
	p := f.now.parts[f.i]
	f.i++
	return p, nil
}

func (f *aheadFeed) stop() {
	f.cancel()
	f.readers.Wait()
}
