package imports

import (
	"strings"
	"testing"
)

// domains are devices of a domain, and what comes of them: the device of the peer, and
// the one frontend if it is as written; "" is one that is refused, with word at line:column.
var domains = []struct{ text, peer, same, word string }{
	{`<serial type='unix'><source mode='bind' path='/r/a'/></serial>`, `"unix:/r/a"`, `frontends = ["unix:/r/a"]`, ""},
	{`<serial type='unix'><source mode='connect' path='/r/a'><reconnect enabled='yes' timeout='2'/></source></serial>`, `{ listen = "unix:/r/a" }`, `reconnect = { min = "2s", max = "2s" }`, ""},
	{`<channel type='unix'><source path='/r/a'/><target type='virtio' name='org.example.0'/></channel>`, `{ listen = "unix:/r/a" }`, `connect = "unix:/r/a"`, ""},
	{`<serial type='tcp'><source mode='bind' host='127.0.0.1' service='2445'/><protocol type='raw'/></serial>`, `"tcp://127.0.0.1:2445"`, `frontends = ["tcp://127.0.0.1:2445"]`, ""},
	{`<serial type='tcp'><source mode='connect' host='0.0.0.0' service='2445'/><protocol type='raw'/></serial>`, `{ listen = "tcp://127.0.0.1:2445" }`, `connect = "tcp://127.0.0.1:2445"`, ""},
	{`<serial type='tcp'><source mode='connect' host='192.0.2.7' service='2445'/></serial>`, `{ listen = "tcp://192.0.2.7:2445?insecure=true" }`, `connect = "tcp://192.0.2.7:2445?insecure=true"`, ""},
	{`<console type='tcp'><source mode='bind' host='127.0.0.1' service='2445'/><protocol type='telnet'/></console>`, `"telnet://127.0.0.1:2445"`, `frontends = ["telnet://127.0.0.1:2445"]`, ""},
	{`<serial type='tcp'><source mode='connect' host='127.0.0.1' service='2445'/><protocol type='telnet'/></serial>`, `{ listen = "tcp://127.0.0.1:2445" }`, `connect = "tcp://127.0.0.1:2445"`, ""},
	{`<serial type='tcp'><source mode='bind' host='192.0.2.7' service='2445' tls='yes'/><protocol type='raw'/></serial>`, `"tls://192.0.2.7:2445?credentials=libvirt-chardev"`, `frontends = ["tls://192.0.2.7:2445?credentials=libvirt-chardev"]`, ""},
	{`<serial type='tcp'><source mode='bind' host='192.0.2.7' service='2445'/><protocol type='tls'/></serial>`, `"tls://192.0.2.7:2445?credentials=libvirt-chardev"`, `frontends = ["tls://192.0.2.7:2445?credentials=libvirt-chardev"]`, ""},
	{`<serial type='tcp'><source mode='bind' host='192.0.2.7' service='2445'/><protocol type='telnets'/></serial>`, `"telnet+tls://192.0.2.7:2445?credentials=libvirt-chardev"`, `frontends = ["telnet+tls://192.0.2.7:2445?credentials=libvirt-chardev"]`, ""},
	{`<serial type='udp'><source mode='bind' host='127.0.0.1' service='2445'/><source mode='connect' host='127.0.0.1' service='2446'/></serial>`, `"udp://127.0.0.1:2445?local=127.0.0.1:2446"`, `connect = "udp://127.0.0.1:2446?local=127.0.0.1:2445"`, ""},
	{`<serial type='pty'><source path='/dev/pts/3'/><target port='1'/><alias name='serial1'/></serial>`, `"pty:/dev/pts/3"`, `frontends = ["pty:vm1-serial1.pty"]`, ""},
	{`<console type='pty' tty='/dev/pts/2'/>`, `"pty:/dev/pts/2"`, `frontends = ["pty:vm1-console0.pty"]`, ""},
	{`<serial type='pty'/>`, "", `frontends = ["pty:vm1-serial0.pty"]`, "pty"},
	{`<serial type='file'><source path='/r/l' append='on'/></serial>`, `"file:/r/l?mode=follow"`, `frontends = ["file:/r/l?mode=append"]`, ""},
	{`<parallel type='pipe'><source path='/r/p'/></parallel>`, `"pipe:/r/p"`, `frontends = ["pipe:/r/p"]`, ""},
	{`<serial type='dev'><source path='/dev/ttyS0'/></serial>`, "", `frontends = ["serial:/dev/ttyS0?baud=115200"]`, "source"},
	{`<serial type='null'/>`, "", "", "null"},
	{`<serial type='vc'/>`, "", "", "vc"},
	{`<serial type='stdio'/>`, "", "", "stdio"},
	{`<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>`, "", "", "com.redhat.spice.0"},
	{`<channel type='unix'><source mode='bind' path='/r/g'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>`, "", "", "guest_agent"},
	{`<serial type='unix'><source mode='bind'/></serial>`, "", "", "path is missing"},
	{`<serial type='unix'><source mode='bnd' path='/r/a'/></serial>`, "", "", "mode: want"},
	{`<serial type='tcp'><source mode='bind' host='h'/></serial>`, "", "", "port: it is missing"},
	{`<serial type='tcp'/>`, "", "", "source is missing"},
	{`<serial type='tcp'><source mode='bind' host='h' service='1'/><protocol type='ssh'/></serial>`, "", "", "protocol: want"},
	{`<serial type='unx'><source path='/r/a'/></serial>`, "", "", `did you mean "unix"`},
	{`<serial/>`, "", "", "type is missing"},
	{`<disk/>`, "", "", "there is no domain with"},
	{`<serial type='unix'>`, "", "", "no XML"},
}

func TestLibvirt(t *testing.T) {
	l := newLoader(t)
	for _, d := range domains {
		for _, asWritten := range []bool{false, true} {
			text := "<domain>\n<name>vm1</name><devices>" + d.text + "</devices></domain>"
			want := d.same
			if !asWritten && d.peer == "" {
				want = ""
			} else if !asWritten {
				want = "device = " + d.peer
			}
			c, err := Libvirt("vm.xml", text, asWritten)
			if want == "" {
				if err == nil || d.word != "" && !strings.Contains(err.Error(), d.word) || !strings.HasPrefix(err.Error(), "vm.xml:") {
					t.Errorf("%s: want %q told, have %v", d.text, d.word, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", d.text, err)
				continue
			}
			made := l.text(t, c)
			if !strings.Contains(made, want+"\n") || !strings.Contains(made, `name = "vm1-`) {
				t.Errorf("%s: want %s, have\n%s", d.text, want, made)
			}
			if wrong := l.load(t, made); wrong != "" {
				t.Errorf("%s: %s\n%s", d.text, wrong, made)
			}
		}
	}
}

func TestLibvirtConsoleIsTheFirstSerialOnceMore(t *testing.T) {
	c, err := Libvirt("vm.xml", `<domstatus><domain><name>vm 1</name><devices>
<serial type='pty'><source path='/dev/pts/7'/><log file='/l'/><target port='0'/></serial>
<console type='pty' tty='/dev/pts/7'><source path='/dev/pts/7'/><target type='serial' port='0'/></console>
<console type='unix'><source mode='bind' path='/r/b'/><target type='virtio' port='1'/></console>
</devices></domain></domstatus>`, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Chardevs) != 2 || c.Chardevs[0].Name != "vm_1-serial0" || c.Chardevs[0].Log != true || c.Chardevs[1].Name != "vm_1-console1" {
		t.Errorf("want the serial with a log, and the second console, have %+v", c.Chardevs)
	}
	if len(c.Notices) != 3 || c.Notices[2].Line != 3 || !strings.Contains(c.Notices[2].Text, "first serial") {
		t.Errorf("want a word about the console, have %v", c.Notices)
	}
}
