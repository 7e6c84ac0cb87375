package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"

	"chardevd/channel"
	"chardevd/chardev"
)

// AddDevice has the daemon have a descriptor as the device of a chardev.
func (c *Client) AddDevice(ctx context.Context, want chardev.ChardevRequest, f *os.File) (chardev.Changes, error) {
	return c.pass(ctx, want, f, "device")
}

// AddFrontend has the daemon have a descriptor as a frontend of a chardev.
func (c *Client) AddFrontend(ctx context.Context, want chardev.ChardevRequest, f *os.File) (chardev.Changes, error) {
	return c.pass(ctx, want, f, "frontends")
}

func (c *Client) pass(ctx context.Context, want chardev.ChardevRequest, f *os.File, what string) (chardev.Changes, error) {
	return c.withFile(f).change(ctx, http.MethodPost, want, "chardevs", want.Name, what)
}

// Open returns a descriptor of a client of a chardev: a socket, of which the daemon has
// the other end.
func (c *Client) Open(ctx context.Context, name string, query url.Values) (*os.File, error) {
	var conn *passing
	with := c.over(func(ch channel.Channel) (net.Conn, error) {
		p, err := passer(ch)
		if err == nil {
			err = p.ReceiveFiles(1)
		}
		conn = &passing{Channel: ch, passer: p}
		return conn, err
	})
	with.query = query
	if _, err := with.call(ctx, http.MethodPost, "chardevs", name, "open"); err != nil {
		if conn != nil {
			conn.drop()
		}
		return nil, err
	}
	f, err := conn.take()
	if err == nil && f == nil {
		err = errors.New("the daemon answered without a descriptor")
	}
	return f, err
}

// withFile is a client whose next request has a descriptor with it.
func (c *Client) withFile(f *os.File) *Client {
	return c.over(func(ch channel.Channel) (net.Conn, error) {
		p, err := passer(ch)
		return &passing{Channel: ch, passer: p, file: f}, err
	})
}

// over is a client whose connections are what wrap makes of them.
func (c *Client) over(wrap func(channel.Channel) (net.Conn, error)) *Client {
	with := New(c.Place)
	t := with.http.Transport.(*http.Transport)
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		ch := conn.(channel.Channel)
		wrapped, err := wrap(ch)
		if err != nil {
			ch.Close()
			return nil, fmt.Errorf("a descriptor goes over a UNIX socket without layers, like the control socket: %w", err)
		}
		return wrapped, nil
	}
	return with
}

func passer(ch channel.Channel) (channel.FDPasser, error) {
	p, ok := channel.As[channel.FDPasser](ch)
	if !ok {
		return nil, fmt.Errorf("this is %s", ch.RemoteAddr().Network())
	}
	return p, p.ReceiveFiles(0) // which a layer refuses
}

// A passing is a connection with a descriptor each way, beside the first bytes.
type passing struct {
	channel.Channel
	passer channel.FDPasser
	file   *os.File // to be sent; nil: none, or it is

	mu       sync.Mutex
	came     *os.File // not taken yet
	unwanted bool     // what comes is closed
	failed   error
}

// take returns the descriptor that came, which the caller owns; nil: none came.
func (p *passing) take() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return nil, p.failed
	}
	f := p.came
	p.came = nil
	return f, nil
}

// drop closes what came and what will come.
func (p *passing) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unwanted = true
	p.keep(nil)
}

// keep keeps f for take. Called with mu held.
func (p *passing) keep(f *os.File) {
	if p.came != nil {
		p.came.Close()
	}
	if p.unwanted && f != nil {
		f.Close()
		f = nil
	}
	p.came = f
}

func (p *passing) Write(b []byte) (int, error) {
	if f := p.file; f != nil {
		p.file = nil
		return p.passer.SendFiles(b, f)
	}
	return p.Channel.Write(b)
}

func (p *passing) Read(b []byte) (int, error) {
	n, err := p.Channel.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	files, lost := p.passer.TakeFiles()
	if lost != nil {
		p.failed = lost
	}
	for _, f := range files {
		p.keep(f)
	}
	return n, err
}
