package imports

import (
	"fmt"
	"path"
	"slices"

	"chardevd/channel"
)

// The objects that a socket with TLS names: who it is, and who may come.

// useCredentials is the options of an address with the TLS of a chardev.
func (q *qemu) useCredentials(c *qemuChardev, by *item, server bool) ([]channel.Option, bool) {
	o := q.objects[by.value]
	refuse := func(why string) ([]channel.Option, bool) {
		q.mistake(q.place(by.at), "%s: tls-creds: %s", c.what, why)
		return nil, false
	}
	switch {
	case o == nil:
		return refuse(fmt.Sprintf("there is no -object tls-creds-x509,id=%s", by.value))
	case o.kind == "tls-creds-psk":
		return refuse(o.id + " is of a key that both sides have (tls-creds-psk), which is not spoken here: use tls-creds-x509")
	case o.kind == "tls-creds-anon":
		return refuse(o.id + " lets nobody know who the other side is (tls-creds-anon), which is not spoken here: use tls-creds-x509")
	case o.kind != "tls-creds-x509":
		return refuse(fmt.Sprintf("the object %s is a %s; want a tls-creds-x509", o.id, o.kind))
	}
	endpoint := o.get("endpoint")
	if want := either(server, "server", "client"); endpoint != want && !(endpoint == "" && !server) {
		return refuse(fmt.Sprintf("this is a %s, and %s is for a %s: it wants endpoint=%s", want, o.id, either(endpoint == "", "client", endpoint), want))
	}
	verify := o.is("verify-peer", true)
	if !q.credentials(o, server && !verify) || !q.authorize(c) {
		return nil, false
	}
	options := []channel.Option{{Key: "credentials", Value: o.id}}
	switch {
	case !q.asWritten && server && verify:
		c.comments = append(c.comments, "QEMU wants a certificate: client-cert.pem and client-key.pem in the folder of credentials."+o.id)
	case !q.asWritten && !server:
		c.comments = append(c.comments, "to listen it takes server-cert.pem and server-key.pem in the folder of credentials."+o.id)
	case q.asWritten && server && !verify:
		options = append(options, channel.Option{Key: "anonymous", Value: "true"})
		c.comments = append(c.comments, "anonymous=true: clients need no certificate (verify-peer=off), and may type")
	case q.asWritten && !verify:
		options = append(options, channel.Option{Key: "verify", Value: "false"})
		c.comments = append(c.comments, "verify=false: the server's certificate counts for nothing (verify-peer=off)")
	}
	return options, true
}

// credentials makes the [credentials.NAME] of an object, once. alone is set where who
// comes needs no certificate.
func (q *qemu) credentials(o *qemuObject, alone bool) bool {
	if q.made["creds "+o.id] {
		return true
	}
	what := "-object " + o.kind + " (" + o.id + ")"
	made := Credentials{Name: o.id, Comments: []string{"tls-creds-x509 " + o.id + " of QEMU"}}
	dir := o.last("dir")
	right := true
	wrong := func(key, format string, args ...any) {
		q.mistake(q.place(o.where(key)), "%s: %s: %s", what, key, fmt.Sprintf(format, args...))
		right = false
	}
	if dir == nil || dir.value == "" {
		wrong("dir", "it is missing")
		return false
	}
	if !path.IsAbs(dir.value) {
		q.notice(q.place(dir.at), "%s: dir: %s is in the folder that QEMU was started in, and here in that of the config file", what, quoted(dir.value))
	}
	if made.Dir = dir.value; alone && q.asWritten {
		made.Dir, made.Cert, made.Key = "", path.Join(dir.value, "server-cert.pem"), path.Join(dir.value, "server-key.pem")
	}
	if id := o.last("passwordid"); id != nil {
		made.PassphraseFile = q.secret(what, id)
		right = right && made.PassphraseFile != ""
	}
	for _, i := range o.items {
		switch i.key {
		case "qom-type", "id", "dir", "passwordid":
		case "endpoint":
			if !slices.Contains([]string{"server", "client"}, i.value) {
				wrong(i.key, "want server or client, have %s", quoted(i.value))
			}
		case "verify-peer", "sanity-check":
			on, ok := parseOnOff(i.value)
			if !ok {
				wrong(i.key, "want on or off, have %s", quoted(i.value))
			} else if i.key == "sanity-check" && !on {
				q.notice(q.place(i.keyAt), "%s: sanity-check: the files are always checked here", what)
			}
		case "priority":
			q.notice(q.place(i.keyAt), "%s: priority: TLS is 1.2 at least here, and 1.3 where both can", what)
		default:
			wrong(i.key, "QEMU has no such option")
		}
	}
	if right {
		q.made["creds "+o.id] = true
		q.out.Credentials = append(q.out.Credentials, made)
	}
	return right
}

// secret is the file that a secret is in, "" after a mistake.
func (q *qemu) secret(what string, by *item) string {
	o := q.objects[by.value]
	at := q.place(by.at)
	switch {
	case o == nil:
		q.mistake(at, "%s: passwordid: there is no -object secret,id=%s", what, by.value)
	case o.kind != "secret":
		q.mistake(at, "%s: passwordid: the object %s is a %s; want a secret in a file", what, o.id, o.kind)
	case o.has("data"):
		q.mistake(q.place(o.where("data")), "-object secret (%s): data: everybody could read it in the config file: put it into a file, and name that with file=", o.id)
	case o.has("keyid"):
		q.mistake(q.place(o.where("keyid")), "-object secret (%s): keyid: a secret that is encrypted can not be read here", o.id)
	case o.get("format") != "" && o.get("format") != "raw":
		q.mistake(q.place(o.where("format")), "-object secret (%s): format: want raw, have %s", o.id, quoted(o.get("format")))
	case o.get("file") == "":
		q.mistake(q.place(o.begin), "-object secret (%s): file is missing", o.id)
	default:
		return o.get("file")
	}
	return ""
}
