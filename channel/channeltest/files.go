package channeltest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"chardevd/channel"
)

// keepsFiles: over a socket that could pass files the layer passes none. They would go
// beside what it protects.
func (l layer) keepsFiles() error {
	a, b, err := sockets()
	if err != nil {
		return err
	}
	client, server, cerr, serr := l.put(a, b)
	if cerr != nil || serr != nil {
		return fmt.Errorf("handshake: client: %v; server: %v", cerr, serr)
	}
	p := &pair{traits: l.traits, ends: []ends{{client, server}}, a: client, b: server}
	defer p.closeAll()
	for name, c := range map[string]channel.Channel{"client": client, "server": server} {
		if err := refusesFiles(c); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// refusesFiles says what is wrong if files can be passed by a channel.
func refusesFiles(c channel.Channel) error {
	p, ok := channel.As[channel.FDPasser](c)
	if !ok {
		return nil
	}
	n, sent := p.SendFiles([]byte("x"), os.Stdin)
	files, took := p.TakeFiles()
	for _, f := range files {
		f.Close()
	}
	for what, err := range map[string]error{"SendFiles": sent, "ReceiveFiles": p.ReceiveFiles(1), "TakeFiles": took} {
		if n != 0 || !errors.Is(err, errors.ErrUnsupported) {
			return fmt.Errorf("%s: %v; want an error that matches errors.ErrUnsupported: does it show the channel below, without NoFiles?", what, err)
		}
	}
	return nil
}

// sockets are two ends of a UNIX socket.
func sockets() (a, b channel.Channel, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshake)
	defer cancel()
	at := channel.Address{Transport: "unix", Where: "@channeltest-" + rand.Text()}
	l, err := channel.Listen(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if a, err = channel.Dial(ctx, at); err != nil {
		return nil, nil, err
	}
	if b, err = l.Accept(ctx); err != nil {
		a.Close()
		return nil, nil, err
	}
	return a, b, nil
}
