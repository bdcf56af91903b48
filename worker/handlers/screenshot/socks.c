/* SPDX-License-Identifier: MIT */
/* The SOCKS5 egress filter; see socks.h. */
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "reqid.h"
#include "socks.h"

#define CONNS_MAX	512	/* a page of 256 hosts opens fewer */
#define LOOKUPS_MAX	64	/* names that clients wait for, a thread each */
#define ORPHANS_MAX	256	/* ... that nobody waits for any more */
#define LOOKUP_STACK	(256 << 10)
#define CONNECT_MS	10000	/* for one address */
#define PIPE_SIZE	32768	/* bytes on their way, each direction */
#define HELLO_MAX	512	/* a greeting or request has 262 at most */

/* RFC 1928 section 6. */
enum {
	REPLY_OK = 0,
	REPLY_FAILED = 1,
	REPLY_REFUSED = 2,
	REPLY_NO_HOST = 4,
	REPLY_NO_CONNECTION = 5,
	REPLY_NO_COMMAND = 7,
	REPLY_NO_ADDRESS = 8,
};

enum conn_state {
	CONN_GREETING,
	CONN_REQUEST,
	CONN_RESOLVING,
	CONN_CONNECTING,
	CONN_RELAYING,
};

struct conn;

struct side {
	struct conn	*conn;
	int		 fd;
	uint32_t	 events;	/* as epoll knows them */
	bool		 eof;		/* it will send no more */
	bool		 shut;		/* we will send it no more */
	/* What it sent and the other side has not taken. */
	unsigned char	*data;
	size_t		 off, len;
};

struct conn {
	TAILQ_ENTRY(conn)	 all;
	enum conn_state		 state;
	bool			 dead;	/* freed at the end of the round */
	struct side		 client, remote;
	char			 host[EGRESS_HOST_MAX + 1];
	uint16_t		 port;
	struct addrinfo		*addrs, *addr;	/* resolved; being tried */
	int64_t			 give_up_ms;	/* CONNECTING */
	int			 tried;
	struct lookup		*lookup;	/* RESOLVING */
};

struct filter {
	int				 epoll;
	int				 sock;
	int				 done[2];	/* finished lookups */
	int				 nlookups, norphans;
	int				 nconns;
	TAILQ_HEAD(, conn)		 conns;
	const struct egress_policy	*policy;
	struct socks_notes		*notes;
};

struct lookup {
	struct conn	*conn;		/* NULL: an orphan */
	int		 done_fd;
	char		 host[EGRESS_HOST_MAX + 1];
	char		 port[8];
	int		 rc;
	struct addrinfo	*addrs;
};

socks_lookup_fn	*socks_lookup = getaddrinfo;

/* ---- the protocol ---------------------------------------------------- */

int
socks_greeting(const unsigned char *p, size_t len)
{
	size_t	i, n;

	if (len >= 1 && p[0] != 5)
		return (-1);
	if (len < 2 || len < (n = (size_t)p[1] + 2))
		return (0);
	for (i = 2; i < n; i++)
		if (p[i] == 0)		/* no authentication */
			return ((int)n);
	return (-1);
}

int
socks_request(const unsigned char *p, size_t len,
    char host[EGRESS_HOST_MAX + 1], uint16_t *port, int *code)
{
	char		 text[INET6_ADDRSTRLEN];
	struct str	 name;
	size_t		 at = 4, n;

	*code = REPLY_FAILED;
	if (len < 5)
		return (len >= 1 && p[0] != 5 ? -1 : 0);
	if (p[0] != 5)
		return (-1);
	switch (p[3]) {
	case 1:
		n = 4;
		break;
	case 3:
		at = 5;
		n = p[4];
		break;
	case 4:
		n = 16;
		break;
	default:
		*code = REPLY_NO_ADDRESS;
		return (-1);
	}
	if (len < at + n + 2)
		return (0);
	if (p[1] != 1) {		/* CONNECT */
		*code = REPLY_NO_COMMAND;
		return (-1);
	}
	name = (struct str){ (const char *)p + at, n };
	if (p[3] != 3) {
		inet_ntop(p[3] == 1 ? AF_INET : AF_INET6, p + at, text,
		    sizeof(text));
		name = str_from(text);
	}
	*port = (uint16_t)(p[at + n] << 8 | p[at + n + 1]);
	if (*port == 0 || egress_host(name, host, NULL) == -1)
		return (-1);
	return ((int)(at + n + 2));
}

/* ---- one connection -------------------------------------------------- */

static void
side_watch(struct filter *f, struct side *s, uint32_t events)
{
	struct epoll_event	 ev = { .events = events, .data.ptr = s };

	if (s->fd == -1 || s->events == events)
		return;
	(void)epoll_ctl(f->epoll, s->events == 0 ? EPOLL_CTL_ADD :
	    events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD, s->fd, &ev);
	s->events = events;
}

static void
side_close(struct side *s)
{
	if (s->fd != -1)
		close(s->fd);	/* and out of the epoll set by that */
	s->fd = -1;
	s->events = 0;
}

/* No more of it; its memory goes when no event can name it any more. */
static void
conn_end(struct conn *c)
{
	side_close(&c->client);
	side_close(&c->remote);
	c->dead = true;
}

static void
conn_free(struct filter *f, struct conn *c)
{
	TAILQ_REMOVE(&f->conns, c, all);
	f->nconns--;
	free(c->client.data);
	free(c->remote.data);
	if (c->addrs != NULL)
		freeaddrinfo(c->addrs);
	free(c);
}

static void
note(struct filter *f, const struct conn *c, enum socks_why why,
    const char *msg)
{
	uint32_t		 n = atomic_load(&f->notes->n);
	struct socks_note	*to = &f->notes->note[n % SOCKS_NOTES];

	memcpy(to->host, c->host, sizeof(to->host));
	to->port = c->port;
	to->why = why;
	snprintf(to->msg, sizeof(to->msg), "%s", msg);
	atomic_store(&f->notes->n, n + 1);
}

/* The reply is small and the first thing sent: it fits. */
static bool
conn_reply(struct conn *c, int code)
{
	const unsigned char	reply[10] = { 5, (unsigned char)code, 0, 1 };

	return (send(c->client.fd, reply, sizeof(reply), MSG_NOSIGNAL |
	    MSG_DONTWAIT) == sizeof(reply));
}

static void
conn_refuse(struct conn *c, int code)
{
	(void)conn_reply(c, code);
	conn_end(c);
}

/* Try the next address that the guard lets pass. */
static void
conn_connect(struct filter *f, struct conn *c)
{
	struct ufop_err	 err = { 0 };
	char		 msg[EGRESS_HOST_MAX + 64];
	int		 fd, one = 1, refused = 0;

	for (; c->addr != NULL; c->addr = c->addr->ai_next) {
		if (egress_check_addr(f->policy, c->addr->ai_addr, c->host,
		    &err) == -1) {
			refused++;
			continue;
		}
		c->tried++;
		fd = socket(c->addr->ai_family, SOCK_STREAM | SOCK_CLOEXEC |
		    SOCK_NONBLOCK, 0);
		if (fd == -1)
			continue;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
		if (connect(fd, c->addr->ai_addr, c->addr->ai_addrlen) == -1 &&
		    errno != EINPROGRESS) {
			close(fd);
			continue;
		}
		c->remote.fd = fd;
		c->state = CONN_CONNECTING;
		c->give_up_ms = clock_mono_ms() + CONNECT_MS;
		side_watch(f, &c->remote, EPOLLOUT);
		return;
	}
	if (c->tried == 0 && refused > 0) {
		note(f, c, SOCKS_REFUSED, err.msg);
		conn_refuse(c, REPLY_REFUSED);
		return;
	}
	snprintf(msg, sizeof(msg), "nobody answers at '%s' port %u", c->host,
	    (unsigned)c->port);
	note(f, c, SOCKS_NO_CONNECTION, msg);
	conn_refuse(c, REPLY_NO_CONNECTION);
}

static void
conn_connected(struct filter *f, struct conn *c)
{
	socklen_t	 len = sizeof(int);
	int		 why = 0;

	if (getsockopt(c->remote.fd, SOL_SOCKET, SO_ERROR, &why, &len) == -1 ||
	    why != 0) {
		side_close(&c->remote);
		c->addr = c->addr->ai_next;
		conn_connect(f, c);
		return;
	}
	if (!conn_reply(c, REPLY_OK)) {
		conn_end(c);
		return;
	}
	c->state = CONN_RELAYING;
	c->remote.data = xmalloc(PIPE_SIZE);
	c->client.data = xrealloc(c->client.data, PIPE_SIZE);
	side_watch(f, &c->client, EPOLLIN);
	side_watch(f, &c->remote, EPOLLIN);
}

static void *
lookup_main(void *arg)
{
	struct lookup	*l = arg;
	struct addrinfo	 hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG };

	l->rc = socks_lookup(l->host, l->port, &hints, &l->addrs);
	/* A pipe takes a pointer whole or not at all. */
	(void)!write(l->done_fd, &l, sizeof(l));
	return (NULL);
}

static void
conn_resolve(struct filter *f, struct conn *c)
{
	struct lookup	*l;
	struct ufop_err	 err = { 0 };
	pthread_attr_t	 attr;
	pthread_t	 thread;
	char		 msg[EGRESS_HOST_MAX + 128];
	int		 rc;

	if (egress_check_host(f->policy, c->host, &err) == -1) {
		note(f, c, SOCKS_REFUSED, err.msg);
		conn_refuse(c, REPLY_REFUSED);
		return;
	}
	if (f->nlookups == LOOKUPS_MAX || f->norphans == ORPHANS_MAX) {
		snprintf(msg, sizeof(msg), "cannot resolve '%s': too many "
		    "names are being resolved; ask again later, or see why "
		    "the name server is slow", c->host);
		note(f, c, SOCKS_NO_NAME, msg);
		conn_refuse(c, REPLY_FAILED);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->conn = c;
	l->done_fd = f->done[1];
	memcpy(l->host, c->host, sizeof(l->host));
	snprintf(l->port, sizeof(l->port), "%u", (unsigned)c->port);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, LOOKUP_STACK);
	rc = pthread_create(&thread, &attr, lookup_main, l);
	pthread_attr_destroy(&attr);
	if (rc != 0) {
		free(l);
		conn_refuse(c, REPLY_FAILED);
		return;
	}
	f->nlookups++;
	c->lookup = l;
	c->state = CONN_RESOLVING;
	side_watch(f, &c->client, EPOLLRDHUP);
}

/*
 * The client left while its name is being resolved.  The thread cannot be
 * stopped, but takes no place of those whose clients are there.
 */
static void
conn_orphan(struct filter *f, struct conn *c)
{
	c->lookup->conn = NULL;
	f->nlookups--;
	f->norphans++;
	conn_end(c);
}

static void
lookup_done(struct filter *f)
{
	struct lookup	*l;
	struct conn	*c;
	char		 msg[EGRESS_HOST_MAX + 128];

	if (read(f->done[0], &l, sizeof(l)) != sizeof(l))
		return;
	if ((c = l->conn) == NULL) {
		f->norphans--;
		if (l->rc == 0)
			freeaddrinfo(l->addrs);
		free(l);
		return;
	}
	f->nlookups--;
	c->lookup = NULL;
	side_watch(f, &c->client, 0);
	if (l->rc != 0) {
		snprintf(msg, sizeof(msg), "cannot resolve '%s': %s", c->host,
		    gai_strerror(l->rc));
		note(f, c, SOCKS_NO_NAME, msg);
		conn_refuse(c, REPLY_NO_HOST);
	} else {
		c->addrs = c->addr = l->addrs;
		conn_connect(f, c);
	}
	free(l);
}

/* Greeting and request arrive in pieces at worst, never with more behind. */
static void
conn_hello(struct filter *f, struct conn *c)
{
	static const unsigned char	 welcome[2] = { 5, 0 };
	struct side			*s = &c->client;
	ssize_t				 n;
	int				 used, code = REPLY_FAILED;

	n = read(s->fd, s->data + s->len, HELLO_MAX - s->len);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_end(c);
		return;
	}
	s->len += (size_t)n;
	if (c->state == CONN_GREETING) {
		used = socks_greeting(s->data, s->len);
		if (used > 0) {
			if (send(s->fd, welcome, sizeof(welcome), MSG_NOSIGNAL |
			    MSG_DONTWAIT) != sizeof(welcome))
				used = -1;
			c->state = CONN_REQUEST;
		}
	} else {
		used = socks_request(s->data, s->len, c->host, &c->port,
		    &code);
	}
	if (used == -1 || (used == 0 && s->len == HELLO_MAX)) {
		conn_refuse(c, code);
		return;
	}
	if (used == 0)
		return;
	s->len -= (size_t)used;
	memmove(s->data, s->data + used, s->len);
	if (c->host[0] != '\0')
		conn_resolve(f, c);
}

static struct side *
side_other(struct side *s)
{
	return (s == &s->conn->client ? &s->conn->remote : &s->conn->client);
}

/* Move what can be moved from one side to the other; false at an error. */
static bool
side_pump(struct side *from)
{
	struct side	*to = side_other(from);
	ssize_t		 n;

	for (;;) {
		if (from->len == 0 && !from->eof) {
			n = read(from->fd, from->data, PIPE_SIZE);
			if (n == -1)
				return (errno == EAGAIN || errno == EINTR);
			from->off = 0;
			from->len = (size_t)n;
			from->eof = n == 0;
		}
		if (from->len == 0) {
			if (from->eof && !to->shut) {
				to->shut = true;
				(void)shutdown(to->fd, SHUT_WR);
			}
			return (true);
		}
		n = send(to->fd, from->data + from->off, from->len,
		    MSG_NOSIGNAL);
		if (n == -1)
			return (errno == EAGAIN || errno == EINTR);
		from->off += (size_t)n;
		from->len -= (size_t)n;
	}
}

static void
conn_relay(struct filter *f, struct conn *c)
{
	struct side	*a = &c->client, *b = &c->remote;

	if (!side_pump(a) || !side_pump(b) || (a->eof && b->eof &&
	    a->len == 0 && b->len == 0)) {
		conn_end(c);
		return;
	}
	side_watch(f, a, (a->len == 0 && !a->eof ? EPOLLIN : 0) |
	    (b->len > 0 ? EPOLLOUT : 0));
	side_watch(f, b, (b->len == 0 && !b->eof ? EPOLLIN : 0) |
	    (a->len > 0 ? EPOLLOUT : 0));
}

static void
conn_event(struct filter *f, struct conn *c)
{
	switch (c->state) {
	case CONN_GREETING:
	case CONN_REQUEST:
		conn_hello(f, c);
		break;
	case CONN_RESOLVING:
		conn_orphan(f, c);
		break;
	case CONN_CONNECTING:
		conn_connected(f, c);
		break;
	case CONN_RELAYING:
		conn_relay(f, c);
		break;
	}
}

/* ---- all of them ----------------------------------------------------- */

/* The next connection from inside; -1 when there will be none any more. */
static int
filter_accept(struct filter *f)
{
	char		 byte;
	struct iovec	 iov = { &byte, 1 };
	union {
		struct cmsghdr	 align;
		char		 room[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = ctl.room, .msg_controllen = sizeof(ctl.room) };
	struct cmsghdr	*cm;
	struct conn	*c;
	ssize_t		 n;
	int		 fd = -1, one = 1;

	n = recvmsg(f->sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return (0);
	if (n <= 0)
		return (-1);
	cm = CMSG_FIRSTHDR(&mh);
	if (cm != NULL && cm->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	if (fd == -1)
		return (0);
	if (f->nconns == CONNS_MAX) {
		close(fd);
		return (0);
	}
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c = xcalloc(1, sizeof(*c));
	c->client = (struct side){ .conn = c, .fd = fd };
	c->remote = (struct side){ .conn = c, .fd = -1 };
	c->client.data = xmalloc(HELLO_MAX);
	TAILQ_INSERT_TAIL(&f->conns, c, all);
	f->nconns++;
	side_watch(f, &c->client, EPOLLIN);
	return (0);
}

static void
filter_sweep(struct filter *f)
{
	struct conn	*c, *next;
	int64_t		 now = clock_mono_ms();

	for (c = TAILQ_FIRST(&f->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, all);
		if (!c->dead && c->state == CONN_CONNECTING &&
		    now >= c->give_up_ms) {
			side_close(&c->remote);
			c->addr = c->addr->ai_next;
			conn_connect(f, c);
		}
		if (c->dead)
			conn_free(f, c);
	}
}

/*
 * Give back all there is.  A lookup's thread writes to memory and a pipe of
 * ours, so it is waited for.
 */
static void
filter_end(struct filter *f)
{
	struct conn	*c;

	TAILQ_FOREACH(c, &f->conns, all) {
		if (c->lookup != NULL && !c->dead)
			conn_orphan(f, c);
		conn_end(c);
	}
	filter_sweep(f);
	while (f->norphans > 0)
		lookup_done(f);
	close(f->epoll);
	close(f->done[0]);
	close(f->done[1]);
}

void
socks_serve(int sock, const struct egress_policy *policy,
    struct socks_notes *notes)
{
	struct filter		 f = { .sock = sock, .policy = policy,
		.notes = notes };
	struct epoll_event	 ev[64];
	struct side		*s;
	int			 i, n;

	TAILQ_INIT(&f.conns);
	f.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (f.epoll == -1 || pipe2(f.done, O_CLOEXEC) == -1)
		return;
	/* data.ptr of what is no connection: the addresses of these fields. */
	ev[0] = (struct epoll_event){ .events = EPOLLIN, .data.ptr = &f.sock };
	(void)epoll_ctl(f.epoll, EPOLL_CTL_ADD, f.sock, &ev[0]);
	ev[0] = (struct epoll_event){ .events = EPOLLIN, .data.ptr = &f.done };
	(void)epoll_ctl(f.epoll, EPOLL_CTL_ADD, f.done[0], &ev[0]);
	for (;;) {
		n = epoll_wait(f.epoll, ev, 64, TAILQ_EMPTY(&f.conns) ? -1 :
		    250);
		for (i = 0; i < n; i++) {
			if (ev[i].data.ptr == &f.sock) {
				if (filter_accept(&f) == -1) {
					filter_end(&f);
					return;
				}
			} else if (ev[i].data.ptr == &f.done)
				lookup_done(&f);
			else {
				s = ev[i].data.ptr;
				if (!s->conn->dead)
					conn_event(&f, s->conn);
			}
		}
		filter_sweep(&f);
	}
}
