package channel

// A telnetQ is where one side of one option stands: the Q method of RFC 1143,
// which answers nothing that needs no answer, so that no two peers ever answer
// each other for ever.
type telnetQ uint8

const (
	telnetNo              telnetQ = iota
	telnetYes                     //
	telnetWantNo                  // asked to end it
	telnetWantNoOpposite          // and then want it back
	telnetWantYes                 // asked for it
	telnetWantYesOpposite         // and then want it ended
)

// A telnetSay is what is to be sent about an option.
type telnetSay uint8

const (
	telnetSayNothing telnetSay = iota
	telnetSayYes
	telnetSayNo
)

// ask makes the option wanted or not, and returns what to send.
func (q *telnetQ) ask(on bool) telnetSay {
	switch {
	case on && *q == telnetNo:
		*q = telnetWantYes
		return telnetSayYes
	case on && *q == telnetWantNo:
		*q = telnetWantNoOpposite
	case on && *q == telnetWantYesOpposite:
		*q = telnetWantYes
	case !on && *q == telnetYes:
		*q = telnetWantNo
		return telnetSayNo
	case !on && *q == telnetWantYes:
		*q = telnetWantYesOpposite
	case !on && *q == telnetWantNoOpposite:
		*q = telnetWantNo
	}
	return telnetSayNothing
}

// hear takes what the peer says (on: WILL or DO) and returns what to answer. agree
// says whether a request would be granted.
func (q *telnetQ) hear(on, agree bool) telnetSay {
	was := *q
	switch {
	case on && was == telnetNo && agree:
		*q = telnetYes
		return telnetSayYes
	case on && was == telnetNo:
		return telnetSayNo
	case on && was == telnetWantNo: // no answer to what was asked
		*q = telnetNo
	case on && (was == telnetWantNoOpposite || was == telnetWantYes):
		*q = telnetYes
	case on && was == telnetWantYesOpposite:
		*q = telnetWantNo
		return telnetSayNo
	case !on && was == telnetYes:
		*q = telnetNo
		return telnetSayNo
	case !on && was == telnetWantNoOpposite:
		*q = telnetWantYes
		return telnetSayYes
	case !on:
		*q = telnetNo
	}
	return telnetSayNothing
}

// asked says whether the peer's answer is still to come.
func (q telnetQ) asked() bool { return q >= telnetWantNo }

// telnetOptions is where all options stand that a side speaks. Others are refused
// without being kept.
type telnetOptions struct {
	us, him map[byte]*telnetQ
}

// newTelnetOptions makes the options that this side is willing to have on itself
// and on the peer.
func newTelnetOptions(us, him []byte) telnetOptions {
	table := func(options []byte) map[byte]*telnetQ {
		m := make(map[byte]*telnetQ, len(options))
		for _, o := range options {
			m[o] = new(telnetQ)
		}
		return m
	}
	return telnetOptions{table(us), table(him)}
}

// ask asks for options, to be had by the peer (DO) or by this side (WILL), and
// returns the commands.
func (t telnetOptions) ask(command byte, options ...byte) []byte {
	side := t.us
	if command == telnetDO {
		side = t.him
	}
	var out []byte
	for _, o := range options {
		if side[o].ask(true) == telnetSayYes {
			out = append(out, telnetIAC, command, o)
		}
	}
	return out
}

// hear takes a WILL, WONT, DO or DONT and returns the answer, nil if there is none.
func (t telnetOptions) hear(command, option byte) []byte {
	side, yes, no := t.him, byte(telnetDO), byte(telnetDONT)
	if command == telnetDO || command == telnetDONT {
		side, yes, no = t.us, telnetWILL, telnetWONT
	}
	q, agree := side[option]
	if !agree {
		q = new(telnetQ)
	}
	switch q.hear(command == telnetWILL || command == telnetDO, agree) {
	case telnetSayYes:
		return []byte{telnetIAC, yes, option}
	case telnetSayNo:
		return []byte{telnetIAC, no, option}
	}
	return nil
}

// isOn says whether an option is agreed on, on the one side or the other.
func (t telnetOptions) isOn(side map[byte]*telnetQ, option byte) bool {
	q, ok := side[option]
	return ok && *q == telnetYes
}

// settled says whether the peer has answered all that it was asked.
func (t telnetOptions) settled() bool {
	for _, side := range []map[byte]*telnetQ{t.us, t.him} {
		for _, q := range side {
			if q.asked() {
				return false
			}
		}
	}
	return true
}
