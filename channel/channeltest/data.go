package channeltest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"unsafe"

	"chardevd/channel"
)

func needsFlow(tr Traits) string { return tr.NoPeer }

// needsAll is for what sends much and wants all of it back.
func needsAll(tr Traits) string { return tr.NoPeer + tr.Lossy }

var order = property{
	name:     "order",
	sentence: "All bytes arrive, once and in order: 1 MiB each way at the same time, in writes and reads of random sizes.",
	excluded: needsAll,
	bothWays: true,
	check: func(p *pair) error {
		c := p.crew()
		for i, f := range p.flows() {
			b := data(uint64(i), p.traits.scaled(1<<20))
			c.do("sending "+f.name, func() error { return send(f.from, b, 40_000, random(uint64(i))) })
			c.do("receiving "+f.name, func() error { return receive(f.to, b, 50_000, random(uint64(10+i))) })
		}
		return c.wait()
	},
}

var pingPong = property{
	name:     "ping_pong",
	sentence: "What is written gets there without anything being written after it.",
	excluded: needsFlow,
	bothWays: true,
	check: func(p *pair) error {
		rnd := random(2)
		for i := range p.traits.scaled(1600) / 10 {
			for _, f := range p.flows() {
				if err := say(f, string(data(uint64(i), 1+rnd.IntN(64)))); err != nil {
					return fmt.Errorf("round %d: %w", i, err)
				}
			}
		}
		return nil
	},
}

var progress = property{
	name:     "progress",
	sentence: "Read never returns 0, nil: whatever the sizes of writes, empty ones too, it returns a byte, an end or an error.",
	excluded: needsAll,
	bothWays: true,
	check: func(p *pair) error {
		c := p.crew()
		for i, f := range p.flows() {
			b := data(uint64(i), 2000)
			c.do("sending "+f.name, func() error {
				for k := range b {
					if err := errors.Join(write(f.from, nil), write(f.from, b[k:k+1]), writev(f.from, [][]byte{{}, nil})); err != nil {
						return err
					}
				}
				return nil
			})
			c.do("receiving "+f.name, func() error { return receive(f.to, b, 1+6*i, random(uint64(i))) })
		}
		return c.wait()
	},
}

var zeroLength = property{
	name:     "zero_length",
	sentence: "Zero-length reads and writes do nothing and return 0, nil at once.",
	check: func(p *pair) error {
		nothing := func() error {
			for _, call := range []struct {
				name string
				f    func() (int64, error)
			}{
				{"Read(nil)", func() (int64, error) { n, err := p.a.Read(nil); return int64(n), err }},
				{"Write(nil)", func() (int64, error) { n, err := p.a.Write(nil); return int64(n), err }},
				{"Writev(nil)", func() (int64, error) { return p.a.Writev(nil) }},
				{"Writev of empty slices", func() (int64, error) { return p.a.Writev([][]byte{nil, {}, nil}) }},
			} {
				err, ok := ended(soon, async(func() error {
					if n, err := call.f(); n != 0 || err != nil {
						return fmt.Errorf("%s returned %d, %v", call.name, n, err)
					}
					return nil
				}))
				if !ok {
					return errors.New(call.name + " blocks")
				}
				if err != nil {
					return err
				}
			}
			return nil
		}
		if err := nothing(); err != nil {
			return err
		}
		for _, f := range p.flows() {
			if err := say(f, "first"); err != nil { // nothing came before it
				return err
			}
			if err := write(f.from, []byte("kept")); err != nil {
				return err
			}
			if err := nothing(); err != nil {
				return fmt.Errorf("with bytes under way: %w", err)
			}
			if err := receive(f.to, []byte("kept"), 4, random(1)); err != nil {
				return err
			}
		}
		return nil
	},
}

var vectored = property{
	name:     "writev",
	sentence: "Writev is Write of the concatenation, of nothing, empty slices, 3000 slices or one of 8 MiB, and leaves its arguments as they are.",
	excluded: needsAll,
	bothWays: true,
	check: func(p *pair) error {
		rnd := random(3)
		large := data(3, p.traits.scaled(8<<20))
		shapes := [][][]byte{
			nil,
			{},
			{nil, {}},
			{[]byte("one")},
			{nil, []byte("two"), {}, []byte("three"), nil},
			split(large[:min(100_000, len(large))], 3000, rnd),
			split(large[:3000], 3000, rnd),
			split(large[:len(large)/16], 2, rnd),
			{large},
		}
		for i, shape := range shapes {
			whole := bytes.Join(shape, nil)
			given := slices.Clone(shape)
			for _, f := range p.flows() {
				c := p.crew()
				c.do("sending", func() error { return writev(f.from, given) })
				c.do("receiving", func() error { return receive(f.to, whole, 64<<10, random(1)) })
				if err := c.wait(); err != nil {
					return fmt.Errorf("shape %d (%d slices, %d bytes), %s: %w", i, len(shape), len(whole), f.name, err)
				}
			}
			for k := range shape {
				if !sameSlice(shape[k], given[k]) {
					return fmt.Errorf("shape %d: slice %d of the argument was changed", i, k)
				}
			}
			if !bytes.Equal(whole, bytes.Join(shape, nil)) {
				return fmt.Errorf("shape %d: the bytes of the argument were changed", i)
			}
		}
		return nil
	},
}

func sameSlice(a, b []byte) bool {
	return unsafe.SliceData(a) == unsafe.SliceData(b) && len(a) == len(b) && cap(a) == cap(b)
}

// record makes what one write of notInterleaved holds: its writer, its length,
// then bytes that tell the writer.
func record(writer byte, n int) []byte {
	r := make([]byte, 5+n)
	r[0] = writer
	binary.BigEndian.PutUint32(r[1:], uint32(n))
	fill(r[5:], writer)
	return r
}

var notInterleaved = property{
	name:     "not_interleaved",
	sentence: "Writes of many goroutines are never interleaved, Write or Writev, however long they have to wait.",
	excluded: needsAll,
	bothWays: true,
	check: func(p *pair) error {
		const writers, each = 8, 12
		most := p.traits.scaled(40_000)
		c := p.crew()
		for _, f := range p.flows() {
			for w := range writers {
				rnd := random(uint64(w))
				c.do("sending "+f.name, func() error {
					for range each {
						r := record(byte('a'+w), rnd.IntN(most))
						var err error
						if w%2 == 0 {
							err = write(f.from, r)
						} else {
							err = writev(f.from, split(r, 20, rnd))
						}
						if err != nil {
							return err
						}
					}
					return nil
				})
			}
			c.do("receiving "+f.name, func() error { return records(f.to, writers*each, most) })
		}
		return c.wait()
	},
}

// records reads n records and sees that each is whole.
func records(c channel.Channel, n, most int) error {
	r := reader{c}
	buf := make([]byte, most)
	for i := range n {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(head[1:]))
		if size > most || head[0] < 'a' || head[0] > 'z' {
			return fmt.Errorf("record %d begins with % x: another write came between", i, head)
		}
		if _, err := io.ReadFull(r, buf[:size]); err != nil {
			return err
		}
		for k, b := range buf[:size] {
			if b != head[0] {
				return fmt.Errorf("record %d, of writer %c: byte %d is %#02x: another write came between", i, head[0], k, b)
			}
		}
	}
	return nil
}

// A reader is a channel's checked Read.
type reader struct{ c channel.Channel }

func (r reader) Read(p []byte) (int, error) { return read(r.c, p) }

var buffersReturned = property{
	name:     "buffers_returned",
	sentence: "A buffer given to Write or Writev is the caller's again on return: scribbling over it changes nothing that arrives.",
	excluded: needsAll,
	bothWays: true,
	check: func(p *pair) error {
		c := p.crew()
		for i, f := range p.flows() {
			b := data(uint64(i), p.traits.scaled(400_000))
			c.do("sending "+f.name, func() error {
				rnd := random(uint64(i))
				buf := make([]byte, 5000)
				for at := 0; at < len(b); {
					n := copy(buf[:1+rnd.IntN(len(buf))], b[at:])
					var err error
					if rnd.IntN(2) == 0 {
						err = write(f.from, buf[:n])
					} else {
						bufs := split(buf[:n], 4, rnd)
						err = writev(f.from, bufs)
						clear(bufs)
					}
					fill(buf, 0xEE)
					if err != nil {
						return err
					}
					at += n
				}
				return nil
			})
			c.do("receiving "+f.name, func() error { return receive(f.to, b, 3000, random(uint64(i))) })
		}
		return c.wait()
	},
}

var tryWrite = property{
	name:     "try_write",
	sentence: "TryWritev takes what is taken at once and never waits; what it says it took arrives, and nothing else.",
	excluded: func(tr Traits) string { return tr.NoTry + tr.Lossy },
	check: func(p *pair) error {
		tw, ok := p.a.(channel.TryWriter)
		if !ok {
			return fmt.Errorf("%T has no TryWritev", p.a)
		}
		if n, err := tw.TryWritev([][]byte{nil, {}}); n != 0 || err != nil {
			return fmt.Errorf("TryWritev of nothing returned %d, %v", n, err)
		}
		b := data(5, 8<<20)
		taken := 0
		try := func() (whole bool, err error) {
			bufs := split(b[taken:taken+50_000], 10, random(uint64(taken)))
			type result struct {
				n   int64
				err error
			}
			r, ok := ended(soon, async(func() result { n, err := tw.TryWritev(bufs); return result{n, err} }))
			if !ok {
				return false, errors.New("TryWritev waits")
			}
			if r.err != nil || r.n < 0 || r.n > 50_000 {
				return false, fmt.Errorf("TryWritev of 50000 bytes returned %d, %v", r.n, r.err)
			}
			taken += int(r.n)
			return r.n == 50_000, nil
		}
		for range 3 {
			whole, at := true, taken
			for whole && taken+50_000 < len(b) && (p.traits.NeverFull == "" || taken-at < 200_000) {
				var err error
				if whole, err = try(); err != nil {
					return err
				}
			}
			if p.b == nil { // nobody who could make room
				return nil
			}
			if err := receive(p.b, b[at:taken], 60_000, random(1)); err != nil {
				return err
			}
			if err := say(flow{"a to b", p.a, p.b}, "room again"); err != nil {
				return err
			}
		}
		return nil
	},
}
