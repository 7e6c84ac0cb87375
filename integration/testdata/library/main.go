// Writes is a program of another module: it knows of package channel what is
// exported. On each kind of channel it writes three slices at once, between two marks
// on its standard output, for who looks at its system calls. It runs in an empty
// folder.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"chardevd/channel"
)

var slices = [][]byte{[]byte("first-"), []byte("second-"), []byte("third")}

// big is what has to be cut into records.
var big = [][]byte{make([]byte, 100<<10), []byte("between"), make([]byte, 156<<10)}

// env is a user's own: a certificate made for loopback, and trust in exactly that.
var env = &channel.Env{
	SelfSigned: func() (*tls.Certificate, error) { return channel.SelfSigned(".") },
	Credentials: func(string) (*channel.Credentials, error) {
		return channel.LoadCredentials(channel.CredentialFiles{CA: channel.SelfSignedFile})
	},
}

// boxed is env with what a server puts below the layers, so that no write waits.
var boxed = &channel.Env{
	SelfSigned: env.SelfSigned, Credentials: env.Credentials,
	Below: func(c channel.Channel) channel.Channel { return channel.NewOutbox(c) },
}

// pair is both ends of a connection.
func pair(e *channel.Env, listen, dial string) (dialled, accepted channel.Channel) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	l := must(e.Listen(ctx, channel.MustParseAddress(listen)))
	if dial == "" {
		at := channel.MustParseAddress(listen)
		at.Where = l.Addr().String()
		dial = at.String()
	}
	came := make(chan channel.Channel)
	go func() { came <- must(l.Accept(ctx)) }()
	dialled = must(env.Dial(ctx, channel.MustParseAddress(dial)))
	if _, ok := l.Addr().(*net.UDPAddr); ok { // somebody is there when he has said something
		must(dialled.Write([]byte("hello")))
	}
	accepted = <-came
	l.Close()
	return dialled, accepted
}

func dialled(listen, dial string) func() (a, b channel.Channel) {
	return func() (a, b channel.Channel) { return pair(env, listen, dial) }
}

func accepted(e *channel.Env, listen, dial string) func() (a, b channel.Channel) {
	return func() (a, b channel.Channel) { b, a = pair(e, listen, dial); return }
}

// alone is a channel whose other end is no channel.
func alone(address string) func() (a, b channel.Channel) {
	return func() (a, b channel.Channel) {
		return must(env.Dial(context.Background(), channel.MustParseAddress(address))), nil
	}
}

// joined is a connection of package net.
func joined() (a, b channel.Channel) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	came := make(chan net.Conn)
	go func() { came <- must(l.Accept()) }()
	return channel.FromConn(must(net.Dial("tcp", l.Addr().String()))), channel.FromConn(<-came)
}

// given is a descriptor that was not made by this package.
func given() (a, b channel.Channel) {
	fds := must(syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0))
	open := func(fd int) channel.Channel {
		a, _ := alone(fmt.Sprint("fd:", fd))()
		return a
	}
	return open(fds[0]), open(fds[1])
}

const loopback, trust = "127.0.0.1:0", "?credentials=own&servername=localhost"

var kinds = []struct {
	name string
	open func() (writes, other channel.Channel)
	bufs [][]byte
}{
	{"tcp dialled", dialled("tcp://"+loopback, ""), slices},
	{"tcp accepted", accepted(env, "tcp://"+loopback, ""), slices},
	{"tcp boxed", accepted(boxed, "tcp://"+loopback, ""), slices},
	{"unix dialled", dialled("unix:a", "unix:a"), slices},
	{"unix accepted", accepted(env, "unix:b", "unix:b"), slices},
	{"udp dialled", dialled("udp://"+loopback, ""), slices},
	{"pty master", accepted(env, "pty:c", "pty:c"), slices},
	{"pty slave", dialled("pty:d", "pty:d"), slices},
	{"serial", dialled("pty:e", "serial:e"), slices},
	{"pipe dialled", dialled("pipe:f", "pipe:f"), slices},
	{"pipe accepted", accepted(env, "pipe:g", "pipe:g"), slices},
	{"exec", alone("exec:exec sleep 60"), slices},
	{"command", alone("command:exec sleep 60"), slices},
	{"file", alone("file:h"), slices},
	{"fd", given, slices},
	{"net", joined, slices},
	{"ws accepted", accepted(boxed, "ws+unix:i", "ws+unix:i"), slices},
	{"ws dialled", dialled("ws+unix:j", "ws+unix:j"), slices},
	{"telnet accepted", accepted(boxed, "telnet+unix:k", "telnet+unix:k"), slices},
	{"rfc2217 accepted", accepted(boxed, "rfc2217+unix:l", "rfc2217+unix:l"), slices},
	{"tls", accepted(env, "tls+unix:m", "tls+unix:m"+trust), slices},
	{"ws on tls", accepted(env, "ws+tls+unix:n", "ws+tls+unix:n"+trust), slices},
	{"tls big", accepted(env, "tls+unix:o", "tls+unix:o"+trust), big},
}

func main() {
	time.AfterFunc(time.Minute, func() { log.Fatal("it takes too long") })
	for _, k := range kinds {
		writes, other := k.open()
		var drained sync.WaitGroup
		if other != nil {
			settle(writes, other)
			drained.Go(func() { io.Copy(io.Discard, other) })
		}
		want := channel.SizeOf(k.bufs)
		fmt.Println("begin", k.name)
		n, err := writes.Writev(k.bufs)
		fmt.Println("end", k.name)
		if n != want || err != nil {
			log.Fatalf("%s: %d of %d bytes, %v", k.name, n, want, err)
		}
		writes.Close()
		if other != nil {
			other.Close()
		}
		drained.Wait()
	}
}

// settle sees that nothing of a handshake is on its way any more: each has had
// something from the other, behind it.
func settle(a, b channel.Channel) {
	for _, way := range [][2]channel.Channel{{a, b}, {b, a}, {a, b}, {b, a}} {
		must(way[0].Write([]byte("settle")))
		must(io.ReadFull(way[1], make([]byte, len("settle"))))
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
	return v
}
