//go:build ignore

// limit is the smallest program that does a console daemon's work, and so the
// limit of what one can reach: epoll, one read, N writes, nothing else. No
// history, no isolation, no config.
//
//	limit [-d] [-c CERT -k KEY] FILE
//
// Each line of FILE is one console: DEVICE FRONTEND LOG. The device is dialled
// (unix:PATH tcp:PORT pty:PATH), the frontend listens (tcp:PORT unix:PATH
// tls:PORT ws:PORT telnet:PORT), on 127.0.0.1. What is read from the device is appended to
// the file LOG, unless that is "-".
//
// A client whose socket is full holds its console up until it has taken the
// chunk; with -d (raw frontends only) it loses the rest of the chunk, untold.
// What is typed is lost if the device does not take it at once.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

enum { IAC = 255, WILL = 251, BINARY = 0 };
enum { CHUNK = 256 << 10, REQUEST_MAX = 4096, RETRY_MS = 5 };
enum type { DEVICE, LISTENER, CLIENT };
enum kind { RAW, TLS, WS, TELNET };
enum phase { HANDSHAKE, OPEN, DEAD };

struct console;

struct source { // what epoll tells of
	enum type type;
	int fd; // -1: closed
	struct console *con;
};

struct client {
	struct source src;
	enum phase phase;
	int waiting;  // its socket is full
	size_t off;   // how much of the chunk (and its frame header) it has
	SSL *ssl;
	char *request; // ws: of the handshake
	size_t got;
	unsigned char head[14]; // ws: of the frame it sends
	int nhead;
	unsigned long long left, at; // ws: payload still to come, and its place
	struct client *next;         // of the dead
};

struct console {
	struct source dev, lis;
	int log; // -1: none
	enum kind kind;
	char *addr;
	struct client **clients;
	int n, cap, waiting;
	char *chunk; // of those who wait; NULL: nobody does
	size_t len;
	unsigned char head[10]; // ws: the chunk's frame header
	size_t nhead;
	struct console *next;
};

static int ep, drop, ndown;
static char *spare; // the buffer that is read into
static SSL_CTX *ctx;
static struct client *dead; // freed when the events that may tell of them are done
static struct console *consoles;

static void die(const char *what) {
	perror(what);
	exit(1);
}

static void *must(void *p) {
	if (!p) die("malloc");
	return p;
}

static void watch(struct source *s, int op, unsigned events) {
	struct epoll_event e = {.events = events, .data.ptr = s};
	if (epoll_ctl(ep, op, s->fd, &e)) die("epoll_ctl");
}

static socklen_t address(const char *text, struct sockaddr_storage *a) {
	const char *where = strchr(text, ':') + 1;
	memset(a, 0, sizeof *a);
	if (!strncmp(text, "unix:", 5)) {
		struct sockaddr_un *u = (void *)a;
		u->sun_family = AF_UNIX;
		strncpy(u->sun_path, where, sizeof u->sun_path - 1);
		return sizeof *u;
	}
	struct sockaddr_in *i = (void *)a;
	i->sin_family = AF_INET;
	i->sin_port = htons(atoi(where));
	i->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof *i;
}

static void nodelay(int fd) { // fails on what is not TCP, and need not work there
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void dial(struct console *con) {
	struct sockaddr_storage a;
	int fd;
	if (!strncmp(con->addr, "pty:", 4)) {
		struct termios t;
		fd = open(con->addr + 4, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0) return;
		if (tcgetattr(fd, &t)) die("tcgetattr");
		cfmakeraw(&t);
		if (tcsetattr(fd, TCSANOW, &t)) die("tcsetattr");
	} else {
		socklen_t n = address(con->addr, &a);
		fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0) die("socket");
		if (connect(fd, (void *)&a, n)) {
			close(fd);
			return;
		}
		if (fcntl(fd, F_SETFL, O_NONBLOCK)) die("fcntl");
		nodelay(fd);
	}
	con->dev.fd = fd;
	watch(&con->dev, EPOLL_CTL_ADD, con->waiting ? 0 : EPOLLIN);
	ndown--;
}

static void hang_up(struct console *con) {
	close(con->dev.fd);
	con->dev.fd = -1;
	ndown++;
}

// A client gets the rest of its console's chunk, or is counted as waiting.
static void bury(struct client *c);

static ssize_t push(struct client *c, const char *p, size_t len) {
	struct console *con = c->src.con;
	if (c->ssl) {
		size_t done = 0;
		while (done < len) {
			int n = SSL_write(c->ssl, p + done, len - done);
			if (n > 0) {
				done += n;
				continue;
			}
			int e = SSL_get_error(c->ssl, n);
			ERR_clear_error();
			if (e != SSL_ERROR_WANT_WRITE && e != SSL_ERROR_WANT_READ) return -1;
			break;
		}
		return done;
	}
	ssize_t n;
	if (c->off < con->nhead) {
		size_t h = con->nhead - c->off;
		struct iovec v[2] = {{con->head + c->off, h}, {(char *)p, len - h}};
		n = writev(c->src.fd, v, 2);
	} else {
		n = write(c->src.fd, p, len);
	}
	return n < 0 && errno == EAGAIN ? 0 : n;
}

static void give(struct client *c, const char *chunk) {
	struct console *con = c->src.con;
	size_t total = con->nhead + con->len;
	ssize_t n = push(c, c->off < con->nhead ? chunk : chunk + (c->off - con->nhead), total - c->off);
	if (n < 0) {
		bury(c);
		return;
	}
	c->off += n;
	if (c->off < total && !drop) {
		con->waiting += !c->waiting;
		c->waiting = 1;
	} else {
		con->waiting -= c->waiting;
		c->waiting = 0;
	}
}

// Nobody waits any more: on with the device.
static void proceed(struct console *con) {
	if (con->waiting || !con->chunk) return;
	if (spare)
		free(con->chunk);
	else
		spare = con->chunk;
	con->chunk = NULL;
	if (con->dev.fd >= 0) watch(&con->dev, EPOLL_CTL_MOD, EPOLLIN);
}

static void bury(struct client *c) {
	struct console *con = c->src.con;
	for (int i = 0; i < con->n; i++)
		if (con->clients[i] == c) {
			con->clients[i] = con->clients[--con->n];
			break;
		}
	close(c->src.fd);
	c->src.fd = -1;
	c->phase = DEAD;
	con->waiting -= c->waiting;
	c->waiting = 0;
	c->next = dead;
	dead = c;
}

static void frame(struct console *con) {
	unsigned char *h = con->head;
	h[0] = 0x82; // FIN, binary
	if (con->len < 126) {
		h[1] = con->len;
		con->nhead = 2;
	} else if (con->len < 1 << 16) {
		h[1] = 126, h[2] = con->len >> 8, h[3] = con->len;
		con->nhead = 4;
	} else {
		h[1] = 127;
		for (int i = 0; i < 8; i++) h[2 + i] = (unsigned long long)con->len >> (56 - 8 * i);
		con->nhead = 10;
	}
}

// Doubles each IAC of the chunk (RFC 854).
static void escape(struct console *con) {
	char *p = memchr(spare, IAC, con->len), *out;
	if (!p) return;
	char *to = out = must(malloc(2 * CHUNK));
	for (size_t i = 0; i < con->len; i++) {
		*to++ = spare[i];
		if ((unsigned char)spare[i] == IAC) *to++ = IAC;
	}
	con->len = to - out;
	free(spare);
	spare = out;
}

static void read_device(struct console *con) {
	if (con->waiting) return;
	if (!spare) spare = must(malloc(2 * CHUNK));
	ssize_t n = read(con->dev.fd, spare, CHUNK);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN) hang_up(con);
		return;
	}
	con->len = n;
	if (con->log >= 0 && write(con->log, spare, n) != n) die("log");
	if (con->kind == WS) frame(con);
	if (con->kind == TELNET) escape(con);
	for (int i = con->n - 1; i >= 0; i--) { // bury() moves the last one, which was served
		struct client *c = con->clients[i];
		if (c->phase != OPEN) continue;
		c->off = 0;
		give(c, spare);
	}
	if (con->waiting) {
		con->chunk = spare;
		spare = NULL;
		if (con->dev.fd >= 0) watch(&con->dev, EPOLL_CTL_MOD, 0);
	}
}

static void typed(struct console *con, const char *p, size_t n) {
	if (con->dev.fd >= 0 && write(con->dev.fd, p, n) < 0 && errno != EAGAIN) hang_up(con);
}

// The payload of masked frames (RFC 6455 section 5.2), in pieces of any size.
static int typed_frames(struct client *c, unsigned char *p, size_t n) {
	while (n) {
		if (c->left) {
			size_t k = n < c->left ? n : c->left;
			for (size_t i = 0; i < k; i++) p[i] ^= c->head[c->nhead - 4 + (c->at + i) % 4];
			if ((c->head[0] & 15) == 8) return -1;
			typed(c->src.con, (char *)p, k);
			p += k, n -= k, c->left -= k, c->at += k;
			if (!c->left) c->nhead = 0;
			continue;
		}
		c->head[c->nhead++] = *p++;
		n--;
		if (c->nhead < 2) continue;
		int len = c->head[1] & 127, ext = len == 126 ? 2 : len == 127 ? 8 : 0;
		if (c->nhead < 2 + ext + 4) continue;
		c->left = ext ? 0 : len;
		for (int i = 0; i < ext; i++) c->left = c->left << 8 | c->head[2 + i];
		c->at = 0;
		if (!c->left) c->nhead = 0;
	}
	return 0;
}

// What is typed under telnet, without the commands of three bytes in it.
static void typed_telnet(struct client *c, char *p, size_t n) {
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		if (c->nhead || (unsigned char)p[i] == IAC)
			c->nhead = (c->nhead + 1) % 3;
		else
			p[k++] = p[i];
	if (k) typed(c->src.con, p, k);
}

static int upgrade(struct client *c) {
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	if (!c->request) c->request = must(calloc(1, REQUEST_MAX));
	ssize_t n = read(c->src.fd, c->request + c->got, REQUEST_MAX - 1 - c->got);
	if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
	c->got += n;
	if (!strstr(c->request, "\r\n\r\n")) return 0;
	char *key = strcasestr(c->request, "Sec-WebSocket-Key:");
	if (!key) return -1;
	key += strlen("Sec-WebSocket-Key:");
	key += strspn(key, " ");
	char text[256], accept[64];
	unsigned char sum[SHA_DIGEST_LENGTH];
	int len = snprintf(text, sizeof text, "%.*s%s", (int)strcspn(key, "\r"), key, guid);
	SHA1((unsigned char *)text, len, sum);
	EVP_EncodeBlock((unsigned char *)accept, sum, sizeof sum);
	len = snprintf(text, sizeof text,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
	free(c->request);
	c->request = NULL;
	if (write(c->src.fd, text, len) != len) return -1;
	c->phase = OPEN;
	return 0;
}

static int shake(struct client *c) {
	if (!c->ssl) return upgrade(c);
	int n = SSL_accept(c->ssl);
	if (n == 1) {
		c->phase = OPEN;
		return 0;
	}
	int e = SSL_get_error(c->ssl, n);
	ERR_clear_error();
	return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int read_client(struct client *c) {
	static unsigned char buf[4096];
	for (;;) { // its events are edge-triggered
		ssize_t n;
		if (c->ssl) {
			n = SSL_read(c->ssl, buf, sizeof buf);
			if (n <= 0) {
				int e = SSL_get_error(c->ssl, n);
				ERR_clear_error();
				return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
			}
		} else {
			n = read(c->src.fd, buf, sizeof buf);
			if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
		}
		if (c->src.con->kind == TELNET)
			typed_telnet(c, (char *)buf, n);
		else if (c->src.con->kind != WS)
			typed(c->src.con, (char *)buf, n);
		else if (typed_frames(c, buf, n))
			return -1;
		if (!c->ssl && n < (ssize_t)sizeof buf) return 0;
	}
}

static void serve(struct client *c, unsigned events) {
	struct console *con = c->src.con;
	if (c->phase == DEAD) return;
	int bad = 0;
	if (c->phase == HANDSHAKE) bad = shake(c);
	if (!bad && c->phase == OPEN && events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) bad = read_client(c);
	if (bad)
		bury(c);
	else if (c->waiting && events & EPOLLOUT)
		give(c, con->chunk);
	proceed(con);
}

static void accept_clients(struct console *con) {
	int fd;
	while ((fd = accept4(con->lis.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *c = must(calloc(1, sizeof *c));
		nodelay(fd);
		c->src = (struct source){CLIENT, fd, con};
		c->phase = con->kind == RAW || con->kind == TELNET ? OPEN : HANDSHAKE;
		if (con->kind == TELNET && write(fd, (char[]){IAC, WILL, BINARY}, 3) != 3) die("greeting");
		if (con->kind == TLS) {
			c->ssl = must(SSL_new(ctx));
			SSL_set_fd(c->ssl, fd);
			SSL_set_accept_state(c->ssl);
		}
		if (con->n == con->cap) {
			con->cap = con->cap ? 2 * con->cap : 1;
			con->clients = must(realloc(con->clients, con->cap * sizeof *con->clients));
		}
		con->clients[con->n++] = c;
		watch(&c->src, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	}
	if (errno != EAGAIN) die("accept");
}

static void add(const char *dev, const char *front, const char *log) {
	struct console *con = must(calloc(1, sizeof *con));
	struct sockaddr_storage a;
	int one = 1;
	con->addr = must(strdup(dev));
	con->log = -1;
	if (strcmp(log, "-") && (con->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0) die(log);
	con->next = consoles;
	consoles = con;
	con->kind = !strncmp(front, "tls:", 4) ? TLS : !strncmp(front, "ws:", 3) ? WS : !strncmp(front, "telnet:", 7) ? TELNET : RAW;
	if (drop && con->kind != RAW) {
		fputs("limit: -d is for raw frontends\n", stderr);
		exit(2);
	}
	socklen_t n = address(front, &a);
	con->lis = (struct source){LISTENER, socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), con};
	if (con->lis.fd < 0) die("socket");
	setsockopt(con->lis.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(con->lis.fd, (void *)&a, n) || listen(con->lis.fd, 4096)) die(front);
	watch(&con->lis, EPOLL_CTL_ADD, EPOLLIN);
	con->dev = (struct source){DEVICE, -1, con};
	ndown++;
	dial(con);
}

static void tls(const char *cert, const char *key) {
	ctx = must(SSL_CTX_new(TLS_server_method()));
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 || SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
		ERR_print_errors_fp(stderr);
		exit(1);
	}
}

int main(int argc, char **argv) {
	const char *cert = NULL, *key = NULL;
	char dev[256], front[256], log[256];
	struct rlimit rl;
	int o;
	while ((o = getopt(argc, argv, "dc:k:")) != -1) switch (o) {
		case 'd': drop = 1; break;
		case 'c': cert = optarg; break;
		case 'k': key = optarg; break;
		default: return 2;
		}
	if (optind != argc - 1) {
		fputs("usage: limit [-d] [-c CERT -k KEY] FILE\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (!getrlimit(RLIMIT_NOFILE, &rl)) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	if (cert) tls(cert, key);
	if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
	FILE *f = fopen(argv[optind], "r");
	if (!f) die(argv[optind]);
	while (fscanf(f, "%255s %255s %255s", dev, front, log) == 3) add(dev, front, log);
	fclose(f);
	for (;;) {
		struct epoll_event e[256];
		int k = epoll_wait(ep, e, 256, ndown ? RETRY_MS : -1);
		if (k < 0 && errno != EINTR) die("epoll_wait");
		for (int i = 0; i < k; i++) {
			struct source *s = e[i].data.ptr;
			switch (s->type) {
			case DEVICE: if (s->fd >= 0) read_device(s->con); break;
			case LISTENER: accept_clients(s->con); break;
			case CLIENT: serve((struct client *)s, e[i].events); break;
			}
		}
		while (dead) {
			struct client *c = dead;
			dead = c->next;
			SSL_free(c->ssl);
			free(c->request);
			free(c);
		}
		if (ndown)
			for (struct console *con = consoles; con; con = con->next)
				if (con->dev.fd < 0) dial(con);
	}
}
