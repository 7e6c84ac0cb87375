package channel

import (
	"strings"
	"testing"
)

func TestParseLineConfig(t *testing.T) {
	for text, want := range map[string]LineConfig{
		"115200":             {Baud: 115200},
		"8N1":                {DataBits: 8, Parity: ParityNone, StopBits: StopOne},
		"115200n81":          {115200, 8, ParityNone, StopOne, 0},
		"115200 8n1":         {115200, 8, ParityNone, StopOne, 0},
		"9600,8n1":           {9600, 8, ParityNone, StopOne, 0},
		"8n1,9600":           {9600, 8, ParityNone, StopOne, 0},
		"300E72":             {300, 7, ParityEven, StopTwo, 0},
		"50o51.5":            {50, 5, ParityOdd, StopOneHalf, 0},
		"5m1.5":              {0, 5, ParityMark, StopOneHalf, 0},
		"9600, 7s2, rtscts":  {9600, 7, ParitySpace, StopTwo, FlowRTSCTS},
		"1000000 xonxoff":    {Baud: 1000000, Flow: FlowXONXOFF},
		"none":               {Flow: FlowNone},
		"2147483647n81":      {2147483647, 8, ParityNone, StopOne, 0},
		"4n81":               {4, 8, ParityNone, StopOne, 0},
		"75n82":              {75, 8, ParityNone, StopTwo, 0},
		"250000 8n1 xonxoff": {250000, 8, ParityNone, StopOne, FlowXONXOFF},
	} {
		got, err := ParseLineConfig(text)
		if got != want || err != nil {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
		again, err := ParseLineConfig(got.String())
		if want.Flow != FlowNone && (again != want || err != nil) {
			t.Errorf("%q is printed as %q, which is %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", " ", ",", "0", "0n81", "9n1", "4n1", "8x1", "8n3", "8n1.", "8n", "115200n", "115200n8", "115200n91", "115200n8115",
		"-9600", "9600.5", "9600n81 9600", "8n1 7e1", "rtscts xonxoff", "2147483648", "99999999999999999999", "9600;8n1", "8n1x", "n81", "N",
	} {
		if got, err := ParseLineConfig(text); err == nil {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}

func TestLineConfigChecks(t *testing.T) {
	for want, c := range map[string]LineConfig{
		"baud": {Baud: -1}, "data bits": {DataBits: 9}, "parity": {Parity: 'x'}, "stop bits": {StopBits: 1}, "flow": {Flow: 9},
	} {
		if err := c.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v; want an error about %s", c, err, want)
		}
	}
	if err := (LineConfig{}).Check(); err != nil {
		t.Error(err)
	}
}

func TestLineConfigWith(t *testing.T) {
	base := LineConfig{9600, 8, ParityNone, StopOne, FlowNone}
	if got := base.With(LineConfig{}); got != base {
		t.Errorf("nothing changes it to %+v", got)
	}
	other := LineConfig{300, 5, ParityOdd, StopTwo, FlowRTSCTS}
	if got := base.With(other); got != other {
		t.Errorf("everything changes it to %+v", got)
	}
}

func TestModemLines(t *testing.T) {
	if s := (DTR | CTS | DCD).String(); s != "dtr,cts,dcd" {
		t.Errorf("printed as %q", s)
	}
	if s := ModemLines(0).String(); s != "none" {
		t.Errorf("no lines are %q", s)
	}
	for i, name := range modemNames {
		if got, err := ParseModemLine(strings.ToUpper(name)); got != 1<<i || err != nil {
			t.Errorf("%s is %v, %v", name, got, err)
		}
	}
	if _, err := ParseModemLine("cd"); err == nil {
		t.Error("cd is a line")
	}
}
