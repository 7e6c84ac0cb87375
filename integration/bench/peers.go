package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The daemons that people use today, from Debian, each as it comes and, where
// its settings matter, at the best that were found for speed.

// peers returns those that are installed, and the names of those that are not.
func peers(cert, key string) (all []target, missing []string) {
	for _, p := range []struct {
		program string
		targets func(path string) []target
	}{
		{"ser2net", func(path string) []target {
			return []target{ser2net{path, "ser2net", cert, key, false}, ser2net{path, "ser2net, best", cert, key, true}}
		}},
		{"conserver", func(path string) []target { return []target{conserver{path}} }},
		{"socat", func(path string) []target {
			return []target{socat{path, "socat", cert, key, nil}, socat{path, "socat, best", cert, key, []string{"-b", "262144"}}}
		}},
		{"websockify", func(path string) []target { return []target{websockify{path}} }},
		{"stunnel4", func(path string) []target { return []target{stunnel{path, cert, key}} }},
	} {
		path, err := find(p.program)
		if err != nil {
			missing = append(missing, p.program)
			continue
		}
		all = append(all, p.targets(path)...)
	}
	return all, missing
}

// ser2net connects to a device while somebody is there, and lets its slowest
// client hold up the others.
type ser2net struct {
	path, label, cert, key string
	best                   bool
}

func (s ser2net) name() string { return s.label }

// can leaves out a crowd on one console: its queue of connections is short, and
// 512 clients take more than half a minute to get in.
func (s ser2net) can(j job) bool {
	return j.front != "ws" && j.clients <= 64 && j.consoles <= 1000
}

func (s ser2net) start(dir string, j job, consoles []*console) (*instance, error) {
	var b strings.Builder
	fmt.Fprintln(&b, "%YAML 1.1\n---")
	// 256 KiB are read at once, and nothing waits for more to come.
	buffer, net := "", ""
	if s.best {
		buffer, net = "(readbuf=262144)", "(nodelay,readbuf=262144)"
	}
	for _, con := range consoles {
		front := "tcp" + net + ",127.0.0.1," + con.front.addr
		switch con.front.kind {
		case "unix":
			front = "unix" + buffer + "," + con.front.addr
		case "telnet":
			front = "telnet" + buffer + "," + front
		case "tls":
			opts := "key=" + s.key + ",cert=" + s.cert
			if s.best {
				opts += ",readbuf=262144,writebuf=262144"
			}
			front = "ssl(" + opts + ")," + front
		}
		dev := "unix" + buffer + "," + con.dev.addr
		switch con.dev.kind {
		case "tcp":
			dev = "tcp" + net + ",127.0.0.1," + con.dev.addr
		case "pty":
			dev = "serialdev" + buffer + "," + con.dev.addr + ",115200n81,local"
		}
		fmt.Fprintf(&b, "connection: &%s\n  accepter: %s\n  connector: %s\n  options:\n    max-connections: %d\n", con.name, front, dev, j.clients)
		if j.log != "" {
			fmt.Fprintf(&b, "    trace-read: %s\n", logOf(dir, con))
		}
		if s.best {
			fmt.Fprintf(&b, "    chardelay: false\n    dev-to-net-bufsize: 262144\n    net-to-dev-bufsize: 262144\n")
		}
	}
	config := filepath.Join(dir, "ser2net.yaml")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	return started(start(dir, s.path, "-n", "-u", "-c", config))
}

func started(p *process, err error) (*instance, error) {
	if err != nil {
		return nil, err
	}
	return &instance{procs: []*process{p}}, nil
}

// conserver serves raw clients in a protocol of its own; the first may type.
type conserver struct{ path string }

func (c conserver) name() string { return "conserver" }

// can leaves out many consoles: it opens one after the other, 1 000 in 48 s.
func (c conserver) can(j job) bool { return j.front == "tcp" && j.clients <= 512 && j.consoles <= 200 }

func (c conserver) start(dir string, j job, consoles []*console) (*instance, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "config * { sslrequired no; }\naccess * { trusted 127.0.0.1; }\n")
	port := fmt.Sprint(freePort())
	for _, con := range consoles {
		dev := "type uds; uds " + con.dev.addr + ";"
		switch con.dev.kind {
		case "tcp":
			dev = "type host; host 127.0.0.1; portbase 0; portinc 1; port " + con.dev.addr + "; protocol raw;"
		case "pty":
			dev = "type device; device " + con.dev.addr + "; baud 115200; parity none; options ;"
		}
		if j.log != "" {
			dev += " logfile " + logOf(dir, con) + ";"
		}
		fmt.Fprintf(&b, "console %s { master localhost; rw *; %s }\n", con.name, dev)
		name := con.name
		con.front.addr = port
		con.front.greet = func(fd fdConn) (fdConn, error) { return callConsole(fd, name) }
	}
	config, users := filepath.Join(dir, "conserver.cf"), filepath.Join(dir, "conserver.passwd")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(users, []byte("*any*:\n"), 0o600); err != nil {
		return nil, err
	}
	return started(start(dir, c.path, "-M", "127.0.0.1", "-p", port, "-C", config, "-P", users))
}

// callConsole is conserver's protocol: the master tells the port of the process
// that has the console; there the console is called, and attached to by ^Ec;.
func callConsole(master fdConn, name string) (fdConn, error) {
	port, err := dialogue(master, "login bench", "call "+name)
	master.Close()
	if err != nil {
		return -1, err
	}
	fd, err := connect("tcp", port, time.Now().Add(attachTime))
	if err != nil {
		return -1, err
	}
	c := fdConn(fd)
	if _, err = dialogue(c, "login bench", "call "+name); err != nil {
		return c, err
	}
	if _, err = c.Write([]byte("\x05c;")); err != nil {
		return c, err
	}
	_, err = readLine(c) // [connected]
	return c, err
}

// dialogue reads the greeting, says what is to be said line by line, and returns
// the last answer.
func dialogue(c fdConn, say ...string) (string, error) {
	answer, err := readLine(c)
	for _, line := range say {
		if err != nil {
			break
		}
		if _, err = c.Write([]byte(line + "\r\n")); err == nil {
			answer, err = readLine(c)
		}
	}
	return answer, err
}

// readLine reads a line and no byte behind it.
func readLine(c fdConn) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := c.Read(b); err != nil {
			return "", fmt.Errorf("%w after %q", err, line)
		}
		if b[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, b[0])
	}
}

// socat joins one device with one client, in a process for each.
type socat struct {
	path, label, cert, key string
	options                []string
}

func (s socat) name() string { return s.label }

func (s socat) can(j job) bool {
	return j.front != "ws" && j.front != "telnet" && j.clients == 1 && j.consoles <= 200
}

func (s socat) start(dir string, j job, consoles []*console) (*instance, error) {
	in := &instance{}
	for _, con := range consoles {
		dev := "UNIX-CONNECT:" + con.dev.addr
		switch con.dev.kind {
		case "tcp":
			dev = "TCP:127.0.0.1:" + con.dev.addr + ",nodelay"
		case "pty":
			dev = con.dev.addr + ",rawer"
		}
		front := "TCP-LISTEN:" + con.front.addr + ",bind=127.0.0.1,reuseaddr,nodelay"
		switch con.front.kind {
		case "unix":
			front = "UNIX-LISTEN:" + con.front.addr
		case "tls":
			front = "OPENSSL-LISTEN:" + con.front.addr + ",bind=127.0.0.1,reuseaddr,nodelay,verify=0,cert=" + s.cert + ",key=" + s.key
		}
		args := append([]string{}, s.options...)
		if j.log != "" {
			args = append(args, "-r", logOf(dir, con))
		}
		p, err := start(dir, s.path, append(args, dev, front)...)
		if err != nil {
			return in, err
		}
		in.procs = append(in.procs, p)
	}
	return in, nil
}

// websockify joins a websocket with a device, in a Python process for each client.
type websockify struct{ path string }

func (w websockify) name() string { return "websockify" }

func (w websockify) can(j job) bool {
	return j.front == "ws" && j.log == "" && j.device != "pty" && j.clients == 1 && j.consoles <= 2
}

func (w websockify) start(dir string, _ job, consoles []*console) (*instance, error) {
	in := &instance{}
	for _, con := range consoles {
		args := []string{"127.0.0.1:" + con.front.addr}
		if con.dev.kind == "unix" {
			args = append(args, "--unix-target="+con.dev.addr)
		} else {
			args = append(args, "127.0.0.1:"+con.dev.addr)
		}
		p, err := start(dir, w.path, args...)
		if err != nil {
			return in, err
		}
		in.procs = append(in.procs, p)
	}
	return in, nil
}

// stunnel puts TLS before a device, for one client.
type stunnel struct{ path, cert, key string }

func (s stunnel) name() string { return "stunnel" }

func (s stunnel) can(j job) bool {
	return j.front == "tls" && j.log == "" && j.device != "pty" && j.clients == 1 && j.consoles <= 200
}

func (s stunnel) start(dir string, _ job, consoles []*console) (*instance, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "foreground = yes\npid =\ncert = %s\nkey = %s\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n", s.cert, s.key)
	for _, con := range consoles {
		dev := con.dev.addr
		if con.dev.kind == "tcp" {
			dev = "127.0.0.1:" + dev
		}
		fmt.Fprintf(&b, "[%s]\naccept = 127.0.0.1:%s\nconnect = %s\n", con.name, con.front.addr, dev)
	}
	config := filepath.Join(dir, "stunnel.conf")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	return started(start(dir, s.path, config))
}
