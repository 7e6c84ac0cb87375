package channel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// tlsConfig is what both sides have in common. TLS 1.3 is preferred by itself.
func tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
}

// A tlsSide is one side of a handshake.
type tlsSide struct {
	config func() (*tls.Config, error) // of the next handshake
	conn   func(net.Conn, *tls.Config) *tls.Conn
	// what to do about it when the peer's authority is not known, or the peer
	// refuses our certificate
	unknown, refused string
}

// tlsClientLayer is the dialling side: it checks the server's certificate
// against servername= and ca.
func tlsClientLayer(e *Env, a Address) (Layer, error) {
	serverName, insecure := a.Get("servername"), a.Get("verify") == "false"
	if serverName == "" {
		serverName = a.ServerName()
	}
	if serverName == "" && !insecure {
		return nil, errors.New("tls: the address has no host whose certificate to expect; give servername=NAME, or verify=false")
	}
	client := tlsSide{
		conn:    tls.Client,
		unknown: "name its authority as ca of credentials=, or give verify=false",
		refused: "the server refuses this side's certificate, or wants one: give credentials= with a cert and key that it trusts",
		config: func() (*tls.Config, error) {
			config := tlsConfig()
			config.ServerName, config.InsecureSkipVerify = serverName, insecure
			name := a.Get("credentials")
			if name == "" {
				return config, nil
			}
			c, err := e.credentials(name)
			if err != nil {
				return nil, err
			}
			c.dial(config)
			return config, nil
		},
	}
	if _, err := client.config(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, under Channel) (Channel, error) {
		ch, err := client.handshake(ctx, under)
		// Told of connections only: tries can be many.
		if err == nil && insecure {
			e.log().Warn("tls: the server's certificate is not checked (verify=false)", "address", a.String())
		}
		return ch, err
	}, nil
}

// dial sets what credentials are for a client.
func (c *Credentials) dial(config *tls.Config) {
	if c.Client != nil {
		config.Certificates = []tls.Certificate{*c.Client}
	}
	config.RootCAs = c.RootCAs
	if !config.InsecureSkipVerify {
		o := x509.VerifyOptions{Roots: c.RootCAs, DNSName: config.ServerName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		config.VerifyConnection = func(cs tls.ConnectionState) error { return c.verify(cs, o) }
	}
}

// tlsServerLayer is the listening side.
func tlsServerLayer(e *Env, a Address) (Layer, error) {
	for _, o := range []string{"servername", "verify"} {
		if a.Get(o) != "" {
			return nil, fmt.Errorf("tls: %s= is for dialling; to check clients give credentials= that have a client_ca", o)
		}
	}
	server := tlsSide{
		conn:    tls.Server,
		unknown: "name its authority in client_ca of the credentials if this client may come in",
		refused: "the client does not trust this side's certificate",
	}
	if name := a.Get("credentials"); name != "" {
		server.config = func() (*tls.Config, error) {
			c, err := e.credentials(name)
			if err != nil {
				return nil, err
			}
			if c.Server == nil {
				return nil, fmt.Errorf("tls: credentials %q have no certificate to listen with: give them cert and key that are for servers", name)
			}
			config := tlsServerConfig(c.Server)
			c.listen(config)
			return config, nil
		}
	} else {
		if a.Network() && !a.Loopback() {
			return nil, errors.New("tls: listening beyond loopback wants credentials=NAME; a self-signed certificate is for loopback only")
		}
		if e.SelfSigned == nil {
			return nil, errors.New("tls: give credentials=NAME; there is no folder to keep a self-signed certificate in")
		}
		cert, err := e.SelfSigned()
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		server.config = func() (*tls.Config, error) { return tlsServerConfig(cert), nil }
	}
	if _, err := server.config(); err != nil {
		return nil, err
	}
	return server.handshake, nil
}

func tlsServerConfig(cert *tls.Certificate) *tls.Config {
	config := tlsConfig()
	config.Certificates = []tls.Certificate{*cert}
	// Of TLS 1.2 what RFC 9325 §4.2 recommends: forward secrecy and an AEAD. (The
	// suites of TLS 1.3 are all like that, and are not chosen here.)
	config.CipherSuites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	// Tickets would lie unread in the buffer of a client that only writes, and
	// make its close a reset that may cost its last bytes (RFC 1122 §4.2.2.13).
	config.SessionTicketsDisabled = true
	return config
}

// listen sets whom credentials let in to a server.
func (c *Credentials) listen(config *tls.Config) {
	if c.ClientCAs == nil {
		return
	}
	config.ClientCAs = c.ClientCAs
	config.ClientAuth = tls.RequireAndVerifyClientCert
	o := x509.VerifyOptions{Roots: c.ClientCAs, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	config.VerifyConnection = func(cs tls.ConnectionState) error { return c.verify(cs, o) }
}

// credentials are the named ones as they are now: their files may have changed
// since the last handshake.
func (e *Env) credentials(name string) (*Credentials, error) {
	if e.Credentials == nil {
		return nil, fmt.Errorf("tls: no credentials named %q: none are configured", name)
	}
	c, err := e.Credentials(name)
	if err != nil {
		return nil, fmt.Errorf("tls: credentials %q: %w", name, err)
	}
	return c, nil
}

// handshake puts TLS on a channel that it owns. When ctx ends first, the channel
// below is closed, which ends whatever the handshake waits for.
func (s tlsSide) handshake(ctx context.Context, under Channel) (Channel, error) {
	config, err := s.config()
	if err != nil {
		under.Close()
		return nil, err
	}
	wire := &tlsWire{Channel: under}
	c := &tlsChannel{layered: layered{under: under}, wire: wire, conn: s.conn(wire, config)}
	if err := c.conn.HandshakeContext(ctx); err != nil {
		// This waits, too, for the Close that the end of ctx may have begun.
		under.Close()
		if oe, ok := errors.AsType[*net.OpError](err); ok && oe.Op == "local error" && wire.alert != 0 {
			err = &net.OpError{Op: "remote error", Err: wire.alert}
		}
		return nil, fmt.Errorf("tls handshake: %w", s.explain(err))
	}
	return c, nil
}

// explain adds to the error of a handshake whose certificate it is about, and what
// to do about it.
func (s tlsSide) explain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the peer did not finish it in time: %w", err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the peer closed the connection: %w", io.ErrUnexpectedEOF)
	}
	if oe, ok := errors.AsType[*net.OpError](err); ok && oe.Op == "remote error" && strings.Contains(oe.Err.Error(), "certificate") {
		return fmt.Errorf("%w; %s", err, s.refused)
	}
	if ve, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(ve.UnverifiedCertificates) > 0 {
		err = fmt.Errorf("the peer's certificate of %q: %w", ve.UnverifiedCertificates[0].Subject, err)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w; %s", err, s.unknown)
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Errorf("%w; give the certificate's name as servername=", err)
	}
	return err
}
