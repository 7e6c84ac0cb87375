package chardev

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chardevd/channel"
	"chardevd/chardev/internal/access"
)

// A typist is a client of an exclusive input, and what the model knows of it.
type typist struct {
	*client
	far  *channel.PipeEnd
	gone chan struct{}
	user string
	over bool // its input has ended

	mu  sync.Mutex
	say Message // the last "writer", or the hello
}

func (y *typist) hears(m Message) error {
	if m.Type == "writer" {
		y.mu.Lock()
		defer y.mu.Unlock()
		y.say = m
	}
	return nil
}

// A writerModel is the rules of an exclusive input in their plainest form, beside a hub
// that has to follow them.
type writerModel struct {
	b *bench

	all    []*typist
	rights map[string]access.Permissions
	holder *typist
	asked  []*typist
	typed  byte // the last key
}

var typistRights = map[string]access.Permissions{
	"1": access.Read | access.Write | access.Control, "2": access.Read | access.Write, "3": access.Read,
}

func (m *writerModel) setRights(t testing.TB) {
	text := ""
	for user, may := range m.rights {
		text += permit(user, may)
	}
	m.b.hub.gate.rules.Store(rulesOf(t, text))
}

func (m *writerModel) mayHold(y *typist) bool {
	return m.rights[y.user].Has(access.Write) && !y.readOnly.Load()
}

func (m *writerModel) forget(y *typist) {
	m.asked = slices.DeleteFunc(m.asked, func(x *typist) bool { return x == y })
}

func (m *writerModel) hand(y *typist) {
	m.holder = y
	m.forget(y)
	if y == nil {
		m.asked = nil
	}
}

// drop is what comes of one who types no more, or may not.
func (m *writerModel) drop(y *typist) {
	if m.forget(y); m.holder == y {
		m.hand(nil)
	}
}

// op does what a client asks for, and says whether that is done.
func (m *writerModel) op(y *typist, op string, to *typist) bool {
	free := m.holder == nil || m.holder == y
	switch op {
	case WriterRelease:
		if m.holder != y && !slices.Contains(m.asked, y) {
			return false
		}
		m.drop(y)
		return true
	case WriterGrant:
		if m.holder != y || !slices.Contains(m.asked, to) {
			return false
		}
		m.hand(to)
		return true
	}
	switch {
	case !m.mayHold(y):
		return false
	case free, op == WriterForce && m.rights[y.user].Has(access.Control):
		m.hand(y)
		return true
	case op == WriterRequest:
		if !slices.Contains(m.asked, y) {
			m.asked = append(m.asked, y)
		}
		return true
	}
	return false
}

// check holds the hub against the model: who has the input, who asks for it, and what
// each person was told last.
func (m *writerModel) check(t *rapid.T) {
	h := m.b.hub
	h.mu.Lock()
	holder, asked, attached := h.writer.holder, slices.Clone(h.writer.asked), slices.Clone(h.clients)
	h.mu.Unlock()
	is := func(c *client, y *typist) bool { return c == nil && y == nil || c != nil && y != nil && c == y.client }
	if !is(holder, m.holder) || !slices.EqualFunc(asked, m.asked, is) {
		t.Fatalf("%v has the input and %v ask for it, want %+v and %+v", holder, asked, m.holder, m.asked)
	}
	if holder != nil && !slices.Contains(attached, holder) {
		t.Fatalf("%v has the input and is gone", holder)
	}
	for _, y := range m.all {
		want := ""
		switch {
		case y == m.holder:
			want = WriterHas
		case slices.Contains(m.asked, y):
			want = WriterAsked
		case m.mayHold(y) && !y.over:
			want = WriterMay
		}
		told := func() bool {
			y.mu.Lock()
			defer y.mu.Unlock()
			h := y.say.Writer.Holder
			return (h == nil) == (m.holder == nil) && (h == nil || h.Name == m.holder.String()) && len(y.say.Writer.Asked) == len(m.asked) && y.say.You == want
		}
		if y.person != nil && !y.over {
			await(m.b.t, "what "+y.String()+" is told", told)
		}
	}
}

// However an exclusive input is taken, asked for, given, let go, taken by force, lost by
// idleness or new rules, or left behind: it is with whom the rules say, what that one
// types comes to the device and nothing else does, and all people are told.
func TestTheInputFollowsItsRules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { playWriter(t, rt) })
}

func playWriter(tb testing.TB, t *rapid.T) {
	b := newBench(tb, 16<<10, "exclusive")
	b.hub.name, b.hub.writer.idle = "vm1", time.Hour
	m := &writerModel{b: b, rights: map[string]access.Permissions{}}
	for user, may := range typistRights {
		m.rights[user] = may
	}
	m.setRights(tb)
	b.plug()
	defer func() {
		b.stop()
		b.wg.Wait()
		b.hub.writer.timing.Wait()
		if b.hub.writer.holder != nil || b.hub.writer.timer != nil {
			t.Errorf("nobody is here, and %v has the input", b.hub.writer.holder)
		}
	}()
	pick := func(t *rapid.T, what string) *typist {
		if len(m.all) == 0 {
			m.all = append(m.all, m.come(t))
		}
		return m.all[rapid.IntRange(0, len(m.all)-1).Draw(t, what)]
	}
	done := func(t *rapid.T, op string, err error, want bool) {
		if (err == nil) != want {
			t.Fatalf("%s: %v, want success %v", op, err, want)
		}
	}
	do := func(t *rapid.T, y *typist, op string, to *typist) {
		if y.over {
			return
		}
		b.hub.mu.Lock()
		y.ops = 0 // it may do as much as it likes
		b.hub.mu.Unlock()
		id := ""
		if to != nil {
			id = strconv.Itoa(to.id)
		}
		want := m.op(y, op, to)
		done(t, op, b.hub.writerOp(y.client, op, id), want)
	}
	for range 4 {
		m.all = append(m.all, m.come(t))
	}
	t.Repeat(map[string]func(*rapid.T){
		"": m.check,
		"come": func(t *rapid.T) {
			if len(m.all) < 8 {
				m.all = append(m.all, m.come(t))
			}
		},
		"vanish": func(t *rapid.T) {
			y := pick(t, "who")
			y.far.Close()
			y.end(errKicked) // or half_close goes on
			<-y.gone
			m.drop(y)
			m.all = slices.DeleteFunc(m.all, func(x *typist) bool { return x == y })
		},
		"end its input": func(t *rapid.T) {
			if y := pick(t, "who"); y.halfClose && !y.over {
				y.far.CloseWrite()
				await(tb, "the end of the input", func() bool { b.hub.mu.Lock(); defer b.hub.mu.Unlock(); return y.typesNoMore })
				y.over = true
				m.drop(y)
			}
		},
		"type": func(t *rapid.T) { m.types(t, pick(t, "who")) },
		"do": func(t *rapid.T) {
			op := rapid.SampledFrom([]string{WriterTake, WriterRequest, WriterGrant, WriterRelease, WriterForce}).Draw(t, "op")
			do(t, pick(t, "who"), op, pick(t, "to"))
		},
		"ask": func(t *rapid.T) { do(t, pick(t, "who"), WriterRequest, nil) },
		"let go": func(t *rapid.T) {
			if m.holder != nil {
				do(t, m.holder, WriterRelease, nil)
			}
		},
		"grant": func(t *rapid.T) {
			if len(m.asked) > 0 {
				do(t, m.holder, WriterGrant, m.asked[rapid.IntRange(0, len(m.asked)-1).Draw(t, "to")])
			}
		},
		"operator gives": func(t *rapid.T) {
			y := pick(t, "who")
			want := m.mayHold(y) && !y.over
			if want {
				m.hand(y)
			}
			done(t, "give", b.hub.forceTo(strconv.Itoa(y.id), "the operator"), want)
		},
		"operator takes": func(t *rapid.T) {
			want := m.holder != nil
			m.hand(nil)
			done(t, "take away", b.hub.takeAway("", "the operator"), want)
		},
		"idle": func(t *rapid.T) {
			b.hub.mu.Lock()
			turn := b.hub.writer.turn
			b.hub.writer.used = thisMoment().add(-2 * b.hub.writer.idle)
			b.hub.mu.Unlock()
			if m.holder != nil {
				b.hub.expire(turn)
				m.hand(nil)
				b.hub.expire(turn) // the turn is over: it does nothing
			}
		},
		"rules": func(t *rapid.T) {
			user := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "user")
			m.rights[user] = access.Read | rapid.SampledFrom([]access.Permissions{access.None, access.Write, access.Control, access.Write | access.Control}).Draw(t, "may")
			m.setRights(tb)
			b.hub.review()
			for _, y := range m.all {
				if !m.rights[y.user].Has(access.Write) {
					m.drop(y)
				}
			}
		},
	})
}

// come lets a new client in.
func (m *writerModel) come(t *rapid.T) *typist {
	y := &typist{user: rapid.SampledFrom([]string{"1", "1", "2", "2", "3"}).Draw(t, "user")}
	person, readOnly, half := rapid.Bool().Draw(t, "person"), rapid.IntRange(0, 4).Draw(t, "read-only") == 0, rapid.Bool().Draw(t, "half close")
	y.far, y.client, y.gone = m.b.come(unixUser(y.user), func(c *client) {
		c.halfClose = half
		c.readOnly.Store(readOnly)
		c.hello = func(int64) Message {
			y.mu.Lock()
			defer y.mu.Unlock()
			y.say = m.b.hub.addWriter(Message{Type: "hello"}, c)
			return y.say
		}
		if person {
			c.person = func(m Message) error {
				if m.Type == "hello" {
					return nil
				}
				return y.hears(m)
			}
		}
	})
	await(m.b.t, "the client to be attached", func() bool {
		y.mu.Lock()
		defer y.mu.Unlock()
		return y.say.Type != ""
	})
	return y
}

// types has somebody type a key.
func (m *writerModel) types(t *rapid.T, y *typist) {
	if y.over {
		return
	}
	want := m.mayHold(y) && (m.holder == nil || m.holder == y)
	if want {
		m.hand(y)
	}
	m.typed++
	taken, refused := y.typed.Load(), y.refused.Load()
	y.far.Write([]byte{m.typed})
	await(m.b.t, "the key to be taken or not", func() bool { return y.typed.Load()+y.refused.Load() == taken+refused+1 })
	if got := y.typed.Load() == taken+1; got != want {
		t.Fatalf("a key of %v: taken %v, want %v", y.client, got, want)
	}
	if !want {
		return
	}
	var key [1]byte
	if _, err := io.ReadFull(m.b.guest, key[:]); err != nil || key[0] != m.typed {
		t.Fatalf("the device got %d (%v), want %d", key[0], err, m.typed)
	}
}

// A witness is a device that looks at who has the input whenever it is given something.
type witness struct {
	channel.Channel
	look func(p []byte)
}

func (w witness) Unwrap() channel.Channel { return w.Channel }

func (w witness) Write(p []byte) (int, error) {
	w.look(p)
	n, err := w.Channel.Write(p)
	runtime.Gosched() // who could take the input meanwhile would
	w.look(p)
	return n, err
}

// Fifty clients type, take the input from each other and vanish, all at once, while an
// operator gives it to anybody, rights come and go, and the device is slow: in the
// moment in which the device is given something who typed that has the input, and who
// has it is always one who is here and may.
//
// CHARDEVD_LONG=1 makes it last a minute.
func TestFiftyFightForTheInput(t *testing.T) {
	lasting := 2 * time.Second
	if long {
		lasting = time.Minute
	}
	const seats = 50
	b := newBench(t, 16<<10, "exclusive")
	h := b.hub
	h.name, h.writer.idle = "vm1", 20*time.Millisecond
	full := permit("1", access.All)
	h.gate.rules.Store(rulesOf(t, full))
	rules := []*access.Rules{rulesOf(t, full), rulesOf(t, permit("1", access.Read))}

	// Seat i types bytes of the value i.
	var holders [seats]*client // who types on a seat now; guarded by h.mu
	var given [seats]int64     // owned by who writes to the device
	looks, wrong := 0, 0
	guest, dev := channel.Pipe(256)
	b.wg.Add(1)
	go h.session(b.ctx, witness{channel.NewOutbox(dev), func(p []byte) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if looks++; h.writer.holder == nil || h.writer.holder != holders[p[0]] || !h.writer.holder.may(access.Write) {
			wrong++
		}
		if looks%2 == 0 {
			given[p[0]] += int64(len(p))
		}
	}}, func(error) { b.wg.Done() })
	await(t, "the device to be up", func() bool { return h.device.Load() != nil })
	var heard [seats]int64
	b.wg.Go(func() {
		buf := make([]byte, 100)
		for {
			n, err := guest.Read(buf)
			for _, k := range buf[:n] {
				heard[k]++
			}
			if err != nil {
				return
			}
			runtime.Gosched()
		}
	})

	over := make(chan struct{})
	going := func() bool {
		select {
		case <-over:
			return false
		default:
			return true
		}
	}
	ids := func() []int {
		h.mu.Lock()
		defer h.mu.Unlock()
		if y := h.writer.holder; y != nil && (!slices.Contains(h.clients, y) || y.typesNoMore || !y.may(access.Write)) {
			t.Errorf("%v has the input, which is gone or may not", y)
		}
		var all []int
		for _, c := range h.clients {
			all = append(all, c.id)
		}
		return all
	}
	var typed [seats]int64
	var rowdies, operators sync.WaitGroup
	for i := range seats {
		rowdies.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for going() {
				far, c, gone := b.come(unixUser("1"), func(c *client) {
					c.person = func(Message) error { return nil }
					c.hello = func(int64) Message {
						h.mu.Lock()
						defer h.mu.Unlock()
						holders[i] = c
						return Message{}
					}
				})
				far.SetWriteDeadline(time.Now().Add(lasting + 20*time.Second))
				for n := r.IntN(60); n > 0 && going(); n-- {
					switch r.IntN(4) {
					case 0, 1:
						far.Write(bytes.Repeat([]byte{byte(i)}, 1+r.IntN(100)))
					case 2:
						ops := []string{WriterTake, WriterRequest, WriterGrant, WriterRelease, WriterForce, WriterForce}
						if h.writerOp(c, ops[r.IntN(len(ops))], "") == nil {
							far.Write(bytes.Repeat([]byte{byte(i)}, 1+r.IntN(1000)))
						}
					case 3:
						runtime.Gosched()
					}
				}
				far.Close()
				<-gone
				typed[i] += c.typed.Load()
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 2))
	operators.Go(func() {
		for n := 0; going(); n++ {
			if all := ids(); len(all) > 0 {
				h.forceTo(strconv.Itoa(all[r.IntN(len(all))]), "the operator")
			}
			if n%100 == 0 {
				for _, rule := range []int{1, 0} {
					h.gate.rules.Store(rules[rule])
					h.review()
				}
			}
			runtime.Gosched()
		}
	})
	<-time.After(lasting)
	close(over)
	operators.Wait()
	rowdies.Wait()
	h.writer.timing.Wait()
	b.stop()
	b.wg.Wait()

	turns, sum := h.writer.turn, int64(0)
	for i := range seats {
		sum += given[i]
		if given[i] != typed[i] || heard[i] > given[i] {
			t.Errorf("seat %d: typed %d bytes, the device was given %d and heard %d", i, typed[i], given[i], heard[i])
		}
	}
	t.Logf("the input changed hands %d times, %d bytes were typed, %d refused", turns, sum, h.refused[refusedNotWriter].Load())
	if wrong > 0 {
		t.Errorf("%d of %d times the device was given what somebody typed who had not the input", wrong, looks)
	}
	if y := h.writer.holder; y != nil || len(h.writer.asked) > 0 {
		t.Errorf("everybody is gone, and %v has the input, %v ask for it", y, h.writer.asked)
	}
	if turns < 10 || sum == 0 || h.refused[refusedNotWriter].Load() == 0 {
		t.Error("nothing happened")
	}
}

// The time that an idle holder has may end just when it is handed over to a successor.
func TestAHolderThatIsHandedOverIsNotIdle(t *testing.T) {
	b := newBench(t, 16<<10, "exclusive")
	b.hub.writer.idle = time.Hour
	b.plug()
	_, c := b.attach(1<<10, 0, func(c *client) { c.rights.Store(uint32(access.Read | access.Write)) })
	if why, ok := b.hub.takeWriter(c); !ok {
		t.Fatal(reasons[why])
	}
	b.hub.mu.Lock()
	turn := b.hub.writer.turn
	b.hub.writer.used = thisMoment().add(-2 * time.Hour)
	b.hub.mu.Unlock()
	if !b.hub.unhand(c) {
		t.Error("it had the input")
	}
	b.hub.expire(turn) // by the timer, which had gone off
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if w := &b.hub.writer; w.holder != nil || w.timer != nil {
		t.Errorf("the input is %s, and a timer runs: %v", w.text(), w.timer != nil)
	}
}
