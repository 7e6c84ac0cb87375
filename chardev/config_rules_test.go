package chardev

import (
	"path/filepath"
	"strings"
	"testing"
)

// The chardev that a rule's example stands behind.
const good = "[[chardev]]\nname = 'good'\ndevice = 'null:'\nfrontends = ['unix:good', 'tcp://127.0.0.1:7000', 'pty:tty']\n"

// dev is a chardev to which lines can be added.
const dev = "[[chardev]]\nname = 'x'\ndevice = 'null:'\n"

// rule is an access rule for every chardev to which lines can be added.
const rule = "[[access]]\non = '*'\n"

// front is one with a frontend to which lines can be added.
const front = dev + "[[chardev.frontend]]\nlisten = 'unix:x'\n"

// Each example has one mistake, told on the line behind >>>, in these words.
func TestRules(t *testing.T) {
	clearEnvironment(t)
	files := certificates(t)
	files["server.pem"] = files["c.pem"]
	files["empty.pem"] = ""
	moreCertificates(t, files)
	files["a.toml"] = "[[chardev]]\nname = 'included'\ndevice = 'null:'\nfrontends = ['unix:included']\n[credentials.inc]\nca = 'c.pem'\n"
	for _, c := range []struct {
		why, text string
		says      []string
	}{
		// keys and types
		{"an unknown key of the file", ">>>stat = 'x'\n", []string{`"stat"`, `"state"`}},
		{"a key that is in the wrong place", ">>>frontend = []\n", []string{"[[chardev.frontend]]"}},
		{"a frontend's key in its chardev", dev + ">>>mode = 'read-only'\n", []string{"mode", "[[chardev.frontend]]"}},
		{"an unknown key of a chardev", dev + ">>>fronteds = []\n", []string{"fronteds", "frontends"}},
		{"an unknown key of a frontend", front + ">>>repaly = '1KiB'\n", []string{"repaly", "replay"}},
		{"an unknown key of log", dev + ">>>log = { max_sise = '1MiB' }\n", []string{"max_sise", "max_size"}},
		{"an unknown key of reconnect", dev + "[[chardev.frontend]]\nconnect = 'unix:y'\n>>>reconnect = { mim = '1s' }\n", []string{"mim", `"min"`}},
		{"an unknown key of credentials", withCredentials + ">>>cart = 'c.pem'\n", []string{"cart", "cert"}},
		{"an unknown key of a device", "[[chardev]]\nname = 'x'\n>>>device = { listen = 'unix:x', mod = 1 }\n", []string{"mod"}},
		{"an unknown table", ">>>[htpp]\nlisten = []\n", []string{"htpp", "http"}},
		{"a name in the defaults", "[defaults]\n>>>name = 'x'\n", []string{"name", "[[chardev]]"}},
		{"an address in the defaults", "[defaults]\n>>>listen = 'x'\n", []string{"listen"}},
		{"a name that is none", "[[chardev]]\n>>>name = 5\ndevice = 'null:'\n", []string{"name", "5"}},
		{"frontends that are no list", dev + ">>>frontends = 'unix:x'\n", []string{"frontends", "list"}},
		{"a frontend that is a number", dev + ">>>frontends = [5]\n", []string{"frontends", "5"}},
		{"a frontend that is a table", dev + ">>>frontends = [{ listen = 'unix:x' }]\n", []string{"[[chardev.frontend]]"}},
		{"a device that is a number", "[[chardev]]\nname = 'x'\n>>>device = 5\n", []string{"device", "listen"}},
		{"a flag that is text", front + ">>>half_close = 'yes'\n", []string{"half_close", "true or false"}},
		{"an unknown key of journal", "[journal]\n>>>synk = '1s'\n", []string{"synk", `"sync"`}},
		{"a key of log in its chardev", dev + ">>>max_size = '1MiB'\n", []string{"max_size", "log = {"}},
		{"a key of log in journal", "[journal]\n>>>keep = 4\n", []string{"keep", "log = {"}},
		{"a key of journal in log", dev + ">>>log = { sync = '1s' }\n", []string{"sync", "[journal]"}},
		{"a journal that is a number", ">>>journal = 5\n", []string{"journal", "table [journal]"}},
		{"a log that is text", dev + ">>>log = 'on'\n", []string{"log", "true, false"}},
		{"a reconnect that is text", dev + "[[chardev.frontend]]\nconnect = 'unix:y'\n>>>reconnect = '1s'\n", []string{"reconnect", "min"}},
		{"a list over lines, told at its key", dev + ">>>frontends = [\n  'unix:x',\n  'unix:y?mod=1',\n]\n", []string{"on line", "mod", "mode"}},
		{"state that is no folder", ">>>state = 'c.pem'\n", []string{"state", "c.pem", "folder"}},
		{"state that is no text", ">>>state = true\n", []string{"state", "true"}},

		// what must be there
		{"no name", ">>>[[chardev]]\ndevice = 'null:'\n", []string{"name"}},
		{"no device", ">>>  [[chardev]]\nname = 'x'\n", []string{"device"}},
		{"no address", dev + ">>>[[chardev.frontend]]\nmode = 'read-only'\n", []string{"listen", "connect"}},
		{"no address of a device", "[[chardev]]\nname = 'x'\n>>>device = {}\n", []string{"listen", "connect"}},
		{"no key", ">>>[credentials.x]\ncert = 'c.pem'\n", []string{"key"}},
		{"no cert", ">>>[credentials.x]\nkey = 'c.pem'\n", []string{"cert"}},
		{"no file", ">>>[credentials.x]\n", []string{"names no file"}},
		{"no listen", ">>>[http]\n", []string{"listen"}},

		// words, sizes, durations
		{"a word for input", dev + ">>>input = 'sahred'\n", []string{"sahred", "shared"}},
		{"a word for on_lag", front + ">>>on_lag = 'wait'\n", []string{"wait", `"block"`}},
		{"a key of a frontend in its address", dev + ">>>frontends = ['tcp://127.0.0.1:1?replay=1KiB']\n", []string{"replay", "belongs into [[chardev.frontend]]"}},
		{"a transport like none", dev + ">>>frontends = ['ssh://127.0.0.1:1']\n", []string{"ssh", "want one of", "tcp, telnet"}},
		{"a word for mode", front + ">>>mode = 'readonly'\n", []string{"readonly", "did you mean", "read-only"}},
		{"a size in words", dev + ">>>history = '64 kilos'\n", []string{"64 kilos", "KiB"}},
		{"a size in kB", dev + ">>>history = '64kB'\n", []string{"64kB", `"64KiB"`}},
		{"a size with a fraction", dev + ">>>history = '0.5MiB'\n", []string{"0.5MiB"}},
		{"a size that is negative", dev + ">>>history = -1\n", []string{"-1"}},
		{"a size that is too small", dev + ">>>history = '4095B'\n", []string{"4KiB", "1GiB"}},
		{"a size that is too large", dev + ">>>history = '9999999999GiB'\n", []string{"9999999999GiB"}},
		{"a size that is a list", dev + ">>>history = []\n", []string{"history", "list"}},
		{"a duration in words", dev + "[[chardev.frontend]]\nconnect = 'unix:y'\n>>>reconnect = { min = 'soon' }\n", []string{"soon", "30s"}},
		{"a duration without unit", dev + "[[chardev.frontend]]\nconnect = 'unix:y'\n>>>reconnect = { max = 5 }\n", []string{"max", "30s"}},
		{"a duration of nothing", dev + "[[chardev.frontend]]\nconnect = 'unix:y'\n>>>reconnect = { max = '0s' }\n", []string{"max", "1ms", "1d"}},
		{"a sync that is a number", "[journal]\n>>>sync = 5\n", []string{"sync", "30s"}},
		{"a sync that is long", "[journal]\n>>>sync = '2h'\n", []string{"sync", "1h"}},
		{"journals of nothing", "[journal]\n>>>max_total = '1MiB'\n", []string{"max_total", "4MiB"}},
		{"segments of no time", dev + ">>>log = { max_span = '0s' }\n", []string{"max_span", "1s"}},
		{"an idle time without unit", dev + "input = 'exclusive'\n>>>writer_idle = 600\n", []string{"writer_idle", "30s"}},
		{"a number of nothing", dev + ">>>log = { keep = 0 }\n", []string{"keep", "from 1"}},
		{"a bad name", "[[chardev]]\n>>>name = 'a b'\ndevice = 'null:'\n", []string{"a b"}},
		{"a name with a dash before it", "[[chardev]]\n>>>name = '-a'\ndevice = 'null:'\n", []string{"-a"}},
		{"a long name", "[[chardev]]\n>>>name = '" + strings.Repeat("x", 65) + "'\ndevice = 'null:'\n", []string{"64"}},
		{"an empty name", "[[chardev]]\n>>>name = ''\ndevice = 'null:'\n", []string{"name"}},

		// addresses
		{"no slashes", "[[chardev]]\nname = 'x'\n>>>device = 'tcp:127.0.0.1'\n", []string{"device", "//"}},
		{"a transport", "[[chardev]]\nname = 'x'\n>>>device = 'tpc://127.0.0.1:1'\n", []string{"tpc", "tcp"}},
		{"a layer", "[[chardev]]\nname = 'x'\n>>>device = 'tsl+unix:x'\n", []string{"tsl", "tls"}},
		{"a port", "[[chardev]]\nname = 'x'\n>>>device = 'tcp://127.0.0.1:70000'\n", []string{"70000"}},
		{"an option of a layer", "[[chardev]]\nname = 'x'\n>>>device = 'tls://127.0.0.1:1?credential=x'\n", []string{`"credential"`, "credentials"}},
		{"an option of another layer", "[[chardev]]\nname = 'x'\n>>>device = 'unix:x?servername=y'\n", []string{"servername"}},
		{"a long UNIX path", "[[chardev]]\nname = 'x'\n>>>device = 'unix:" + strings.Repeat("x", 107) + "'\n", []string{"107"}},
		{"what cannot listen", dev + "[[chardev.frontend]]\n>>>listen = 'exec:cat'\n", []string{"exec", "listened"}},
		{"no host to dial", "[[chardev]]\nname = 'x'\n>>>device = 'tls://:1'\n", []string{"host"}},
		{"no port to dial", "[[chardev]]\nname = 'x'\n>>>device = 'tls://x:0'\n", []string{"port"}},
		{"control on tcp", ">>>control = 'tcp://127.0.0.1:1'\n", []string{"control", "unix:"}},
		{"an audit that is a number", ">>>audit = 5\n", []string{"audit", "true, false", "5"}},
		{"an audit in no folder", ">>>audit = 'no/where'\n", []string{"audit", "no folder", "/no"}},
		{"an audit that is a folder", ">>>audit = '.'\n", []string{"audit", "regular"}},
		{"an audit of a chardev", dev + ">>>audit = true\n", []string{"audit", "main file"}},
		{"a file as a device that does not say how", "[[chardev]]\nname = 'x'\n>>>device = 'file:x'\n", []string{"mode=follow", "mode=append"}},
		{"typing into a file that is read", "[[chardev]]\nname = 'x'\ndevice = 'file:x?mode=follow'\n>>>input = 'shared'\n", []string{"input", `"off"`, "only read"}},
		{"an option of the other side", "[[chardev]]\nname = 'x'\n>>>device = 'unix:x?mode=0600'\n", []string{"mode", "listening"}},
		{"a client's option", dev + ">>>frontends = ['tls://127.0.0.1:1?verify=false']\n", []string{"verify", "dialling"}},
		{"networks where there are none", dev + ">>>frontends = ['unix:x?from=10.0.0.0/8']\n", []string{"from"}},

		{"http over telnet", "[http]\n>>>listen = ['telnet://127.0.0.1:1']\n", []string{"leave out telnet"}},
		{"an origin that is none", "[http]\nlisten = ['unix:x']\n>>>origin = ['ops.example']\n", []string{"origin", "https://ops.example"}},
		{"a host with a port", "[http]\nlisten = ['unix:x']\n>>>host = ['ops.example:80']\n", []string{"host", "ops.example:80"}},
		{"a base with a slash behind it", "[http]\nlisten = ['unix:x']\n>>>base = '/consoles/'\n", []string{"base", "/consoles", "none at its end"}},
		{"a base that is elsewhere", "[http]\nlisten = ['unix:x']\n>>>base = '//evil.example'\n", []string{"base", "want a path"}},
		{"a base that goes up", "[http]\nlisten = ['unix:x']\n>>>base = '/a/../b'\n", []string{"base", "want a path"}},
		{"a proxy by name", "[http]\nlisten = ['unix:x']\n>>>proxies = ['proxy.example']\n", []string{"proxies", "want an address", "proxy.example"}},
		{"proxies that are everybody", "[http]\nlisten = ['unix:x']\n>>>proxies = ['0.0.0.0/0']\n", []string{"proxies", "everybody"}},
		{"a network with an address in it", "[http]\nlisten = ['unix:x']\n>>>proxies = ['10.1.2.3/8']\n", []string{"proxies", "want 10.0.0.0/8"}},
		{"hosts that are no list", "[http]\nlisten = ['unix:x']\n>>>host = 'ops.example'\n", []string{"host", "list"}},
		{"a login of a tty", dev + "[[chardev.frontend]]\nlisten = 'pty:x'\n>>>login = true\n", []string{"login", "terminal"}},
		{"a login of ourselves", dev + "[[chardev.frontend]]\nconnect = 'unix:y'\n>>>login = true\n", []string{"login", "connects"}},
		{"a login of RFC 2217", dev + "[[chardev.frontend]]\nlogin = true\n>>>listen = 'rfc2217://127.0.0.1:1'\n", []string{"RFC 2217", "login = false"}},
		{"a login of RFC 2217 by default", "[defaults]\nlogin = true\n" + dev + ">>>frontends = ['rfc2217://127.0.0.1:1']\n", []string{"RFC 2217", "login = false"}},

		// contradictions
		{"listen and connect", dev + "[[chardev.frontend]]\nlisten = 'unix:x'\n>>>connect = 'unix:y'\n", []string{"listen", "connect"}},
		{"listen and connect of a device", "[[chardev]]\nname = 'x'\n[chardev.device]\nconnect = 'unix:y'\n>>>listen = 'unix:x'\n", []string{"listen", "connect"}},
		{"reconnect of one that listens", front + ">>>reconnect = { min = '1s' }\n", []string{"reconnect", "listens"}},
		{"an idle time of all who type", dev + ">>>writer_idle = '10m'\n", []string{"writer_idle", `input = "exclusive"`, `"shared"`}},
		{"min above max", dev + "[[chardev.frontend]]\nconnect = 'unix:y'\n[chardev.frontend.reconnect]\nmax = '1s'\n>>>min = '2s'\n", []string{"min 2s", "max 1s"}},
		{"a total below a segment", dev + "[chardev.log]\nmax_size = '2MiB'\n>>>max_total = '1MiB'\n", []string{"max_total 1MiB", "max_size 2MiB"}},
		{"a segment above the total", dev + "[chardev.log]\nmax_total = '1MiB'\n>>>max_size = '2MiB'\n", []string{"max_total 1MiB", "max_size 2MiB"}},
		{"a total below the usual segment", dev + ">>>log = { max_total = '1MiB' }\n", []string{"max_total 1MiB", "max_size 4MiB"}},
		{"a segment above the total of all", "[journal]\nmax_total = '1GiB'\n" + dev + ">>>log = { max_size = '2GiB' }\n", []string{"max_total of [journal] 1GiB", "max_size 2GiB"}},
		{"a total of all below a segment", dev + "log = { max_size = '2GiB' }\n[journal]\n>>>max_total = '1GiB'\n", []string{"max_total of [journal] 1GiB", "max_size 2GiB"}},
		{"a journal where control is", "[[chardev]]\n>>>name = 'control'\ndevice = 'null:'\n", []string{"journal", "the control socket", "log = false"}},
		{"a socket among included files", "include = ['*.inc']\n[[chardev]]\nname = 'x'\ndevice = 'null:'\n>>>frontends = ['unix:x.inc']\n", []string{"the config is read from there"}},
		{"a journal where the sessions are", "[[chardev]]\n>>>name = 'sessions.json'\ndevice = 'null:'\n", []string{"journal", "the file of the sessions", "log = false"}},
		{"a journal where the lock is", "[[chardev]]\n>>>name = 'lock'\ndevice = 'null:'\n", []string{"journal", "the lock", "log = false"}},
		{"a journal where the audit is", "[[chardev]]\n>>>name = 'audit.jsonl'\ndevice = 'null:'\n", []string{"journal", "the audit log", "log = false"}},
		{"a frontend where the audit is", dev + ">>>frontends = ['unix:state/audit.jsonl']\n", []string{"audit log"}},
		{"a journal where the tokens are", "[[chardev]]\n>>>name = 'tokens.json'\ndevice = 'null:'\n", []string{"journal", "the tokens", "log = false"}},
		{"a journal where the users are", "[[chardev]]\n>>>name = 'users.json'\ndevice = 'null:'\n", []string{"journal", "the users", "log = false"}},
		{"a journal where a frontend is", "[[chardev]]\n>>>name = 'tty'\ndevice = 'null:'\nfrontends = ['unix:state/tty']\n", []string{"journal", "a frontend of chardev tty", "log = false"}},
		{"two names", "[[chardev]]\n>>>name = 'good'\ndevice = 'null:'\n", []string{`"good"`, "chardev.toml:2:8"}},
		{"one path", dev + ">>>frontends = ['unix:./good']\n", []string{"good", "chardev.toml:4:14"}},
		{"one port", dev + ">>>frontends = ['tls://127.0.0.1:7000']\n", []string{"7000", "chardev.toml:4:27"}},
		{"one port by another name", dev + ">>>frontends = ['tcp://localhost:7000']\n", []string{"7000", "chardev.toml:4:27"}},
		{"one port on all hosts", dev + ">>>frontends = ['tcp://[::]:7000?insecure=true']\n", []string{"7000", "chardev.toml:4:27"}},
		{"one port in one list", dev + ">>>frontends = ['tcp://127.0.0.1:7001', 'tcp://127.0.0.1:7001']\n", []string{"7001", "chardev.toml:"}},
		{"a pty where a socket is", dev + ">>>frontends = ['pty:good']\n", []string{"good"}},
		{"an abstract name twice", dev + ">>>frontends = ['unix:@a', 'unix:@a']\n", []string{"@a"}},
		{"a device that listens where a frontend does", "[[chardev]]\nname = 'x'\n>>>device = { listen = 'unix:good' }\n", []string{"good"}},
		{"a frontend where control is", dev + ">>>frontends = ['unix:state/control']\n", []string{"control", "by default"}},
		{"http where a frontend is", "[http]\nlisten = ['tcp://127.0.0.1:7001']\n" + dev + ">>>frontends = ['tcp://127.0.0.1:7001']\n", []string{"http", "7001"}},
		{"its own device", "[[chardev]]\nname = 'x'\ndevice = 'unix:y'\n>>>frontends = ['unix:./y']\n", []string{"own device"}},
		{"its own device on all hosts", "[[chardev]]\nname = 'x'\ndevice = 'tcp://127.0.0.1:7001'\n>>>frontends = ['tcp://:7001?insecure=true']\n", []string{"own device"}},
		{"its own device, which comes after", "[[chardev]]\nname = 'x'\nfrontends = ['tcp://127.0.0.1:7001']\n>>>device = 'tcp://127.0.0.1:7001'\n", []string{"own device"}},

		// what would let strangers in
		{"a frontend without TLS", dev + ">>>frontends = ['tcp://192.0.2.1:1']\n", []string{"insecure=true"}},
		{"a telnet frontend without TLS", dev + ">>>frontends = ['telnet://192.0.2.1:1']\n", []string{"insecure=true"}},
		{"an RFC 2217 device without TLS", "[[chardev]]\nname = 'x'\n>>>device = 'rfc2217://192.0.2.1:1'\n", []string{"insecure=true"}},
		{"two that are stdio", dev + ">>>frontends = ['stdio:', 'stdio:?signal=false']\n", []string{"one standard input", "a frontend of chardev x has them"}},
		{"stdio as a device and elsewhere", "[[chardev]]\nname = 'y'\ndevice = 'stdio:'\n" + dev + "[[chardev.frontend]]\n>>>connect = 'stdio:'\n", []string{"one standard input", "the device of chardev y"}},
		{"one port of all context IDs", dev + ">>>frontends = ['vsock://local:7', 'vsock://any:7?insecure=true']\n", []string{"vsock://any:7", "listens there already"}},
		{"a vsock for all guests", dev + ">>>frontends = ['vsock://any:7']\n", []string{"any guest", "insecure=true", "from="}},
		{"a vsock of one context ID", dev + ">>>frontends = ['vsock://3:7']\n", []string{"insecure=true"}},
		{"a guest without TLS", "[[chardev]]\nname = 'x'\n>>>device = 'vsock://3:7'\n", []string{"insecure=true"}},
		{"a guest's certificate", "[[chardev]]\nname = 'x'\n>>>device = 'tls+vsock://3:7'\n", []string{"servername="}},
		{"a guest that is all", "[[chardev]]\nname = 'x'\n>>>device = 'vsock://any:7?insecure=true'\n", []string{"must say which host"}},
		{"a frontend without TLS on all hosts", dev + ">>>frontends = ['tcp://:1']\n", []string{"insecure=true"}},
		{"a frontend without TLS that dials", dev + "[[chardev.frontend]]\n>>>connect = 'tcp://collector:9000'\n", []string{"insecure=true"}},
		{"a device without TLS", "[[chardev]]\nname = 'x'\n>>>device = 'tcp://192.0.2.1:1'\n", []string{"insecure=true"}},
		{"a device without TLS that listens", "[[chardev]]\nname = 'x'\n>>>device = { listen = 'tcp://[2001:db8::1]:1' }\n", []string{"insecure=true"}},
		{"http without TLS", "[http]\n>>>listen = ['tcp://0.0.0.0:80']\n", []string{"insecure=true"}},
		{"TLS without a certificate", dev + "[[chardev.frontend]]\nmode = 'read-only'\n>>>listen = 'tls://0.0.0.0:1'\n", []string{"credentials=NAME"}},
		{"http over TLS without a certificate", "[http]\n>>>listen = ['tls://0.0.0.0:443']\n", []string{"credentials=NAME"}},
		{"TLS for anybody", withCredentials + dev + ">>>frontends = ['tls://0.0.0.0:1?credentials=c']\n", []string{"anonymous=true", "client_ca"}},
		{"http for anybody", withCredentials + "[http]\n>>>listen = ['tls://:1?credentials=c']\n", []string{"anyone could see", "[[access]]", "anonymous=true"}},
		{"TLS for anybody is not insecure", withCredentials + dev + ">>>frontends = ['tls://0.0.0.0:1?credentials=c&insecure=true']\n", []string{"anonymous=true"}},
		{"TLS for anybody by default", "[defaults]\nmode = 'read-write'\n" + withCredentials + dev + "[[chardev.frontend]]\n>>>listen = 'tls://0.0.0.0:1?credentials=c'\n", []string{"anonymous=true"}},
		{"TLS for anybody by a rule", withCredentials + rule + "who = 'anyone'\nmay = ['read', 'write']\n" + dev + ">>>frontends = ['tls://0.0.0.0:1?credentials=c']\n", []string{"anonymous=true", "the rule at"}},

		// access rules
		{"a kind", rule + ">>>who = 'usr:bob'\nmay = 'read'\n", []string{"usr", `did you mean "user"?`}},
		{"anyone in capitals", rule + ">>>who = ['unix:bob', 'Anyone']\nmay = 'read'\n", []string{"Anyone", `did you mean "anyone"?`}},
		{"nobody's name", rule + ">>>who = 'unix:'\nmay = 'read'\n", []string{"unix:", "*"}},
		{"no kind", rule + ">>>who = 'bob'\nmay = 'read'\n", []string{"bob", "anyone, user, group"}},
		{"a permission", rule + "who = 'anyone'\n>>>may = ['read', 'wriet']\n", []string{"wriet", `did you mean "write"?`}},
		{"a permission that is a number", rule + "who = 'anyone'\n>>>may = [1]\n", []string{"may", "1"}},
		{"nobody", rule + ">>>who = []\nmay = 'read'\n", []string{"empty"}},
		{"a rule without who", ">>>[[access]]\nmay = 'read'\non = '*'\n", []string{"who"}},
		{"a rule without may", ">>>[[access]]\nwho = 'anyone'\non = '*'\n", []string{"may"}},
		{"a rule without on", ">>>[[access]]\nwho = 'anyone'\nmay = 'read'\n", []string{`"*"`}},
		{"an unknown key of a rule", rule + "who = 'anyone'\nmay = 'read'\n>>>except = 'x'\n", []string{"except", "who, may, on"}},
		{"rules that are no list", ">>>access = 5\n", []string{"[[access]]"}},
		{"a rule's key in a chardev", dev + ">>>may = 'read'\n", []string{"[[access]]"}},

		// credentials
		{"unknown ones", withCredentials + dev + ">>>frontends = ['tls://127.0.0.1:1?credentials=d']\n", []string{"[credentials.d]", `"c"`}},
		{"unknown ones of a dialler", "[[chardev]]\nname = 'x'\n>>>device = 'tls://h:1?credentials=nobody'\n", []string{"nobody"}},
		{"ones that cannot serve", "[credentials.d]\nca = 'c.pem'\n" + dev + ">>>frontends = ['tls://127.0.0.1:1?credentials=d']\n", []string{"cert and key"}},
		{"no name to expect", "[[chardev]]\nname = 'x'\n>>>device = 'tls+unix:x'\n", []string{"servername"}},
		{"a file that is missing", "[credentials.d]\n>>>cert = 'no-such.pem'\nkey = 'c.pem'\n", []string{"cert", "no-such.pem"}},
		{"a file that is a folder", "[credentials.d]\n>>>ca = '.'\n", []string{"ca", "folder"}},
		{"a file that is a device", "[credentials.d]\n>>>ca = '/dev/zero'\n", []string{"ca", "regular"}},
		{"a file that is empty", "[credentials.d]\n>>>client_ca = 'empty.pem'\n", []string{"client_ca", "empty.pem"}},
		{"a key that is none", "[credentials.d]\ncert = 'c.pem'\n>>>key = 'a.toml'\n", []string{"key", "a.toml"}},
		{"a key without its passphrase", "[credentials.d]\ncert = 'c.pem'\n>>>key = 'enc.pem'\n", []string{"key", "passphrase_file"}},
		{"a passphrase for no key", "[credentials.d]\nca = 'c.pem'\n>>>passphrase_file = 'a.toml'\n", []string{"passphrase_file", "no key"}},
		{"a passphrase that is empty", "[credentials.d]\ncert = 'c.pem'\nkey = 'c.pem'\n>>>passphrase_file = 'empty.pem'\n", []string{"first line"}},
		{"a list that is none", "[credentials.d]\nca = 'c.pem'\n>>>crl = 'c.pem'\n", []string{"crl", "no revocation list"}},
		{"a list of nobody", withCredentials + ">>>crl = 'c.pem'\n", []string{"crl", "neither client_ca nor ca"}},
		{"an authority that is none", "[credentials.d]\n>>>client_ca = 'leaf.pem'\n", []string{"client_ca", "no authority's"}},
		{"a certificate for nothing that we do", "[credentials.d]\n>>>cert = 'code.pem'\nkey = 'code.pem'\n", []string{"cert", "neither servers nor clients"}},
		{"a certificate for clients", "[credentials.d]\ncert = 'client.pem'\nkey = 'client.pem'\n" + dev + ">>>frontends = ['tls://127.0.0.1:1?credentials=d']\n", []string{"for clients only"}},
		{"a folder and files", "[credentials.d]\nca = 'c.pem'\n>>>dir = 'pki'\n", []string{"dir", "either"}},
		{"a folder that is not there", "[credentials.d]\n>>>dir = 'no-such'\n", []string{"dir", "ca-cert.pem"}},
		{"a folder with a wrong file", "[credentials.d]\n>>>dir = 'pki'\n", []string{"server-key.pem", "does not belong"}},
		{"a folder without a server", "[credentials.d]\ndir = 'none'\n" + dev + ">>>frontends = ['tls://127.0.0.1:1?credentials=d']\n", []string{"cert and key"}},
		{"credentials that are no table", "[credentials]\n>>>x = 5\n", []string{"credentials.x", "[credentials.NAME]"}},

		// include
		{"a file that is not there", ">>>include = ['no-such.toml']\n", []string{"include", "no-such.toml"}},
		{"a pattern that is none", ">>>include = ['[a-']\n", []string{"include", "[a-"}},
		{"itself", ">>>include = ['./chardev.toml']\n", []string{"include", "already"}},
		{"twice", ">>>include = ['a.toml', 'a.toml']\n", []string{"a.toml", "already"}},
		{"a folder", ">>>include = ['.']\n", []string{"folder"}},
		{"no list", ">>>include = 'a.toml'\n", []string{"include", "list"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			text := c.text
			if after := strings.TrimLeft(strings.TrimPrefix(text, ">>>"), " "); strings.HasPrefix(after, "[") {
				text = good + text
			} else {
				text += good
			}
			line := 1 + strings.Count(text[:strings.Index(text, ">>>")], "\n")
			path := write(t, strings.Replace(text, ">>>", "", 1), files)
			m := errorsOf(t, path)
			if len(m) != 1 || m[0].Line != line || m[0].File != path {
				t.Fatalf("want one mistake on line %d of\n%s\nhave %v", line, text, m)
			}
			for _, want := range c.says {
				if !strings.Contains(m[0].Message, want) {
					t.Errorf("want %q in: %s", want, m[0].Message)
				}
			}
		})
	}
}

// What stands near a rule and breaks none.
func TestRulesKept(t *testing.T) {
	clearEnvironment(t)
	files := certificates(t)
	files["a.toml"] = ""
	clientCA := withCredentials + "client_ca = 'c.pem'\n"
	for why, text := range map[string]string{
		"one port on two hosts":                   "[[chardev]]\nname = 'x'\ndevice = 'null:'\nfrontends = ['tcp://127.0.0.2:7000', 'tcp://[::1]:7000']\n",
		"ports that the kernel chooses":           dev + "frontends = ['tcp://127.0.0.1:0', 'tcp://127.0.0.1:0']\n",
		"two that dial the same":                  dev + "[[chardev.frontend]]\nconnect = 'unix:y'\n[[chardev.frontend]]\nconnect = 'unix:y'\n",
		"a chain":                                 "[[chardev]]\nname = 'x'\ndevice = 'unix:good'\n",
		"a path that ends in another":             dev + "frontends = ['unix:goo', 'unix:d/good', 'unix:@good']\n",
		"vsock":                                   "[[chardev]]\nname = 'x'\ndevice = 'tls+vsock://3:7?servername=x'\nfrontends = ['vsock://local:7', 'vsock://4:9?insecure=true&from=4', 'tls+vsock://1:8']\n",
		"insecure on purpose":                     "[[chardev]]\nname = 'x'\ndevice = 'tcp://h:1?insecure=true'\nfrontends = ['tcp://:1?insecure=true']\n[http]\nlisten = ['tcp://:80?insecure=true']\n",
		"a device elsewhere on a port of ours":    "[[chardev]]\nname = 'x'\nfrontends = ['tcp://:1?insecure=true']\ndevice = 'tcp://h:1?insecure=true'\n",
		"loopback by any name":                    "[[chardev]]\nname = 'x'\ndevice = 'tcp://LocalHost:1'\nfrontends = ['tcp://[::1]:1', 'tcp://127.8.9.10:1', 'tls://localhost:2']\n",
		"TLS that asks for certificates":          clientCA + dev + "frontends = ['tls://0.0.0.0:1?credentials=c']\n",
		"TLS for anybody, of whom none may write": withCredentials + rule + "who = 'cert:*'\nmay = ['read', 'write']\n" + dev + "frontends = ['tls://0.0.0.0:1?credentials=c']\n",
		"TLS for anybody, on purpose":             withCredentials + dev + "frontends = ['tls://0.0.0.0:1?credentials=c&anonymous=true']\n",
		"TLS for anybody, read-only":              withCredentials + dev + "[[chardev.frontend]]\nlisten = 'tls://0.0.0.0:1?credentials=c'\nmode = 'read-only'\n",
		"TLS for anybody, input off":              withCredentials + dev + "input = 'off'\nfrontends = ['tls://0.0.0.0:1?credentials=c']\n",
		"TLS for anybody on loopback":             withCredentials + dev + "frontends = ['tls://127.0.0.1:1?credentials=c', 'tls+unix:x']\n",
		"TLS for anybody who logs in":             withCredentials + dev + "[[chardev.frontend]]\nlisten = 'tls://0.0.0.0:1?credentials=c'\nlogin = true\n",
		"logins where there can be some":          "[defaults]\nlogin = true\n" + dev + "frontends = ['pty:x', 'unix:y', 'tls://127.0.0.1:1']\n[[chardev.frontend]]\nlisten = 'rfc2217://127.0.0.1:2'\nlogin = false\n[[chardev.frontend]]\nconnect = 'unix:z'\n",
		"http with a rule":                        withCredentials + rule + "who = 'user:*'\nmay = 'read'\n[http]\nlisten = ['tls://:1?credentials=c']\n",
		"http with certificates":                  clientCA + "[http]\nlisten = ['tls://:1?credentials=c']\n",
		"http for anybody, on purpose":            withCredentials + "[http]\nlisten = ['tls://:1?credentials=c&anonymous=true']\n",
		"http behind a proxy":                     "[http]\nlisten = ['unix:x']\nbase = '/a/b-c'\nproxies = ['127.0.0.1', '::1', '10.0.0.0/8', 'unix']\n",
		"http by names":                           "[http]\nlisten = ['tcp://127.0.0.1:1']\norigin = ['https://ops.example:8443']\nhost = ['ops.example']\n",
		"TLS outwards":                            "[credentials.c]\nca = 'c.pem'\n" + dev + "[[chardev.frontend]]\nconnect = 'tls://h:1?credentials=c&servername=x'\n[[chardev.frontend]]\nconnect = 'tls+unix:x?verify=false'\n",
		"defaults that do not fit all":            "[defaults]\nreconnect = { min = '1m' }\nlog = false\nhistory = '1GiB'\nreplay = '2KiB'\non_lag = 'block'\n" + dev + "frontends = ['unix:x']\n[[chardev.frontend]]\nconnect = 'unix:y'\n",
		"a segment as large as its total":         "[journal]\nmax_total = '1GiB'\n" + dev + "log = { max_size = '1GiB', max_total = '1GiB' }\n",
		"a segment above the usual total":         dev + "log = { max_size = '30GiB' }\n",
		"names of files, without a journal":       "[[chardev]]\nname = 'lock'\nlog = false\ndevice = 'null:'\n[[chardev]]\nname = 'control'\nlog = false\ndevice = 'null:'\n",
		"a name of every letter":                  "[[chardev]]\nname = '0aZ._-" + strings.Repeat("x", 58) + "'\ndevice = 'null:'\n",
		"includes that overlap and itself":        "include = ['*.toml', '?.toml']\n",
		"an include of nothing":                   "include = ['conf.d/*.toml']\n",
		"credentials that nobody uses":            withCredentials,
		"everything in one line each":             "chardev = [{ name = 'x', device = { connect = 'unix:y' }, frontend = [{ listen = 'unix:x' }] }]\n",
		"a UNIX path of the greatest length":      "[[chardev]]\nname = 'x'\ndevice = 'unix:/" + strings.Repeat("x", 106) + "'\n",
	} {
		t.Run(why, func(t *testing.T) {
			switch {
			case strings.HasPrefix(text, "chardev ="):
			case strings.HasPrefix(text, "["):
				text = good + text
			default:
				text += good
			}
			if _, err := Load(write(t, text, files)); err != nil {
				t.Errorf("%s\n%v", text, err)
			}
		})
	}
}

// Rules that hold across files tell the second place, and name the first.
func TestIncluded(t *testing.T) {
	clearEnvironment(t)
	files := certificates(t)
	files["b[1]/x.toml"] = "chardev = 5\n"
	files["in/a.toml"] = good
	files["in/b.toml"] = "[credentials.c]\nca = '../c.pem'\n[credentials.d]\nca = 'c.pem'\n[credentials.e]\ncert = 'd.pem'\nkey = 5\n"
	files["in/c.toml"] = dev + "log = true\nfrontends = ['tls://127.0.0.1:1?credentials=c']\n"
	odd := write(t, "", map[string]string{"[x]*/chardev.toml": "include = ['?.toml']\n", "[x]*/a.toml": good})
	if cfg, err := Load(filepath.Join(filepath.Dir(odd), "[x]*", "chardev.toml")); err != nil || len(cfg.Chardevs) != 1 {
		t.Errorf("in a folder whose name looks like a pattern: %v", err)
	}
	path := write(t, "include = ['in/*.toml', 'b?1]/*.toml']\n"+withCredentials+good, files)
	dir := filepath.Dir(path)
	want := []struct{ place, says string }{
		{"in/a.toml:2:8", `"good" is there already, at ` + path + ":6:8"},
		{"in/a.toml:4:27", "listens there already (" + path + ":8:27)"},
		{"in/b.toml:1:14", path + ":2:14"},
		{"in/b.toml:4:6", "in/c.pem: no such file"},
		{"in/b.toml:6:8", "in/d.pem: no such file"},
		{"in/b.toml:7:7", "key: want a PEM file"},
		{"b[1]/x.toml:1:11", "chardev"},
	}
	m := errorsOf(t, path)
	if len(m) != len(want) {
		t.Fatalf("%d mistakes, want %d: %v", len(m), len(want), m)
	}
	for i, w := range want {
		if s := m[i].String(); !strings.HasPrefix(s, filepath.Join(dir, w.place)+": ") || !strings.Contains(s, w.says) {
			t.Errorf("have %s\nwant %s: … %s", s, w.place, w.says)
		}
	}
}
