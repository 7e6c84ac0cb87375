package channel

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// The table of RFC 1143 section 7.
func TestTelnetQMethod(t *testing.T) {
	const no, yes, wantNo, wantNoOpp, wantYes, wantYesOpp = telnetNo, telnetYes, telnetWantNo, telnetWantNoOpposite, telnetWantYes, telnetWantYesOpposite
	type result struct {
		now telnetQ
		say telnetSay
	}
	const nothing, sayYes, sayNo = telnetSayNothing, telnetSayYes, telnetSayNo
	states := []telnetQ{no, yes, wantNo, wantNoOpp, wantYes, wantYesOpp}
	for _, c := range []struct {
		name string
		do   func(*telnetQ) telnetSay
		want []result // for each of the states
	}{
		{"WILL, agreed", func(q *telnetQ) telnetSay { return q.hear(true, true) },
			[]result{{yes, sayYes}, {yes, nothing}, {no, nothing}, {yes, nothing}, {yes, nothing}, {wantNo, sayNo}}},
		{"WILL, not agreed", func(q *telnetQ) telnetSay { return q.hear(true, false) },
			[]result{{no, sayNo}, {yes, nothing}, {no, nothing}, {yes, nothing}, {yes, nothing}, {wantNo, sayNo}}},
		{"WONT", func(q *telnetQ) telnetSay { return q.hear(false, true) },
			[]result{{no, nothing}, {no, sayNo}, {no, nothing}, {wantYes, sayYes}, {no, nothing}, {no, nothing}}},
		{"ask for it", func(q *telnetQ) telnetSay { return q.ask(true) },
			[]result{{wantYes, sayYes}, {yes, nothing}, {wantNoOpp, nothing}, {wantNoOpp, nothing}, {wantYes, nothing}, {wantYes, nothing}}},
		{"ask for its end", func(q *telnetQ) telnetSay { return q.ask(false) },
			[]result{{no, nothing}, {wantNo, sayNo}, {wantNo, nothing}, {wantNo, nothing}, {wantYesOpp, nothing}, {wantYesOpp, nothing}}},
	} {
		for i, from := range states {
			q := from
			say := c.do(&q)
			if got := (result{q, say}); got != c.want[i] {
				t.Errorf("%s in state %d: %v, want %v", c.name, from, got, c.want[i])
			}
		}
	}
}

// Two peers that ask and change their minds at random come to rest, and agree.
func TestTelnetOptionsNeverLoop(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var us, him telnetQ // one option: the side that has it, and its peer's view
		var toPeer, toUs []bool
		send := func(queue *[]bool, say telnetSay) {
			if say != telnetSayNothing {
				*queue = append(*queue, say == telnetSayYes)
			}
		}
		agree := r.IntN(2) == 0
		for step := range 400 {
			switch {
			case step < 40 && r.IntN(3) == 0:
				send(&toPeer, us.ask(r.IntN(2) == 0))
			case step < 40 && r.IntN(3) == 0:
				send(&toUs, him.ask(r.IntN(2) == 0))
			case len(toPeer) > 0 && r.IntN(2) == 0:
				send(&toUs, him.hear(toPeer[0], agree))
				toPeer = toPeer[1:]
			case len(toUs) > 0:
				send(&toPeer, us.hear(toUs[0], agree))
				toUs = toUs[1:]
			}
		}
		if len(toPeer)+len(toUs) > 0 || us.asked() || him.asked() || us != him {
			t.Fatalf("seed %d: %d messages under way, states %d and %d", seed, len(toPeer)+len(toUs), us, him)
		}
	}
}

func TestTelnetOptionsAnswer(t *testing.T) {
	o := newTelnetOptions([]byte{telnetBinary}, []byte{telnetNAWS})
	for _, c := range []struct{ hear, want []byte }{
		{[]byte{telnetDO, telnetBinary}, []byte{telnetIAC, telnetWILL, telnetBinary}},
		{[]byte{telnetDO, telnetBinary}, nil},
		{[]byte{telnetWILL, telnetBinary}, []byte{telnetIAC, telnetDONT, telnetBinary}},
		{[]byte{telnetWILL, telnetNAWS}, []byte{telnetIAC, telnetDO, telnetNAWS}},
		{[]byte{telnetDO, telnetNAWS}, []byte{telnetIAC, telnetWONT, telnetNAWS}},
		{[]byte{telnetDO, 200}, []byte{telnetIAC, telnetWONT, 200}},
		{[]byte{telnetWILL, 200}, []byte{telnetIAC, telnetDONT, 200}},
		{[]byte{telnetDONT, 200}, nil},
		{[]byte{telnetWONT, 200}, nil},
		{[]byte{telnetDONT, telnetBinary}, []byte{telnetIAC, telnetWONT, telnetBinary}},
		{[]byte{telnetDONT, telnetBinary}, nil},
	} {
		if got := o.hear(c.hear[0], c.hear[1]); !bytes.Equal(got, c.want) {
			t.Errorf("%v is answered with %v, want %v", c.hear, got, c.want)
		}
	}
}
