package channel

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A virtualPort is a serial port with nothing behind it: it keeps what is set, and
// somebody seems to be there.
type virtualPort struct {
	mu    sync.Mutex
	line  LineConfig
	modem ModemLines
}

func newVirtualPort() *virtualPort {
	return &virtualPort{
		line:  LineConfig{Baud: 115200, DataBits: 8, Parity: ParityNone, StopBits: StopOne, Flow: FlowNone},
		modem: DTR | RTS | CTS | DSR | DCD,
	}
}

func (v *virtualPort) MaySet() error { return nil }

func (v *virtualPort) Line(context.Context) (LineConfig, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.line, nil
}

func (v *virtualPort) SetLine(_ context.Context, c LineConfig) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.line = v.line.With(c)
	return nil
}

func (v *virtualPort) Modem(context.Context) (ModemLines, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.modem, nil
}

func (v *virtualPort) SetModem(_ context.Context, set, clear ModemLines) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.modem = v.modem&^clear | set
	return nil
}

func (v *virtualPort) SendBreak(context.Context, time.Duration) error { return nil }
func (v *virtualPort) Purge(context.Context, Purge) error             { return nil }
func (v *virtualPort) Notify(EventKind, func(Event))                  {}

// portOver is a port, and in place of what it does not have, a virtual one.
type portOver struct {
	Port
	virtual *virtualPort
}

func (p portOver) Line(ctx context.Context) (LineConfig, error) {
	have, err := p.Port.Line(ctx)
	set, _ := p.virtual.Line(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return set.With(have), err
}

func (p portOver) SetLine(ctx context.Context, c LineConfig) error {
	err := p.Port.SetLine(ctx, c)
	if errors.Is(err, errors.ErrUnsupported) {
		return p.virtual.SetLine(ctx, c)
	}
	return err
}

func (p portOver) Modem(ctx context.Context) (ModemLines, error) {
	m, err := p.Port.Modem(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return p.virtual.Modem(ctx)
	}
	return m, err
}

func (p portOver) SetModem(ctx context.Context, set, clear ModemLines) error {
	err := p.Port.SetModem(ctx, set, clear)
	if errors.Is(err, errors.ErrUnsupported) {
		return p.virtual.SetModem(ctx, set, clear)
	}
	return err
}
