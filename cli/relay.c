/* SPDX-License-Identifier: MIT */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "relay.h"
#include "reqid.h"
#include "str.h"

#define LINKS_MAX	512		/* more wait in the listener's queue */
#define CHUNK		65536
#define RETRY_MS	10		/* between two tries to reach a front */
#define PATIENCE_MS	10000		/* then the connection is closed */

/* One of the two sides of a connection. */
struct side {
	int	fd;
	char	buf[CHUNK];	/* read here, still to be written to the other */
	size_t	from, to;
	bool	eof;		/* nothing more comes from here */
	bool	told;		/* and the other side knows */
};

struct link {
	struct side	client, front;	/* front.fd is -1 until it is reached */
	int64_t		until_ms;	/* to reach it, CLOCK_MONOTONIC */
};

/* The relay's own process has one of these. */
static struct {
	int			 listen;	/* -1: takes none */
	int			 control;	/* -1: its master is gone */
	struct sockaddr_un	 front;		/* path is "" when there is none */
	struct link		*links[LINKS_MAX];
	int			 nlinks;
} self;

/* ---- one connection -------------------------------------------------- */

static void
link_close(int i)
{
	struct link	*l = self.links[i];

	close(l->client.fd);
	if (l->front.fd != -1)
		close(l->front.fd);
	free(l);
	self.links[i] = self.links[--self.nlinks];
}

/* True once there is a front at the other end. */
static bool
reach(struct link *l)
{
	int	fd;

	if (l->front.fd != -1)
		return (true);
	if (self.front.sun_path[0] == '\0')
		return (false);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return (false);
	if (connect(fd, (const struct sockaddr *)&self.front,
	    sizeof(self.front)) == -1) {
		close(fd);
		return (false);
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	l->front.fd = fd;
	return (true);
}

/* What came from one side goes to the other; -1 when that has gone. */
static int
pass(struct side *from, struct side *to)
{
	ssize_t	n;

	if (from->from == from->to && !from->eof) {
		n = read(from->fd, from->buf, sizeof(from->buf));
		if (n == 0)
			from->eof = true;
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			return (-1);
		from->from = 0;
		from->to = n > 0 ? (size_t)n : 0;
	}
	if (from->from < from->to) {
		n = send(to->fd, from->buf + from->from,
		    from->to - from->from, MSG_NOSIGNAL);
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			return (-1);
		if (n > 0)
			from->from += (size_t)n;
	}
	if (from->eof && from->from == from->to && !from->told) {
		shutdown(to->fd, SHUT_WR);
		from->told = true;
	}
	return (0);
}

/* False when it is over. */
static bool
link_step(struct link *l, int64_t now)
{
	if (!reach(l))
		return (now < l->until_ms);
	/* The front's answer first: it may have closed for lack of interest. */
	if (pass(&l->front, &l->client) == -1 ||
	    pass(&l->client, &l->front) == -1)
		return (false);
	return (!l->front.told);
}

static short
wants(const struct side *own, const struct side *other)
{
	short	events = 0;

	if (own->from == own->to && !own->eof)
		events |= POLLIN;
	if (other->from < other->to)
		events |= POLLOUT;
	return (events);
}

/* ---- the process ----------------------------------------------------- */

static void
take(int64_t now)
{
	struct link	*l;
	int		 fd;

	fd = accept4(self.listen, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd == -1)
		return;
	l = xcalloc(1, sizeof(*l));
	l->client.fd = fd;
	l->front.fd = -1;
	l->until_ms = now + PATIENCE_MS;
	self.links[self.nlinks++] = l;
}

/* A path, whole, as it was sent; none means that there will be no more. */
static void
obey(void)
{
	char	path[sizeof(self.front.sun_path)];
	ssize_t	n;

	n = recv(self.control, path, sizeof(path) - 1, 0);
	if (n > 0) {
		path[n] = '\0';
		self.front.sun_family = AF_UNIX;
		memcpy(self.front.sun_path, path, (size_t)n + 1);
		return;
	}
	close(self.control);
	close(self.listen);
	self.control = self.listen = -1;
}

static void
turn(void)
{
	static struct pollfd	fds[2 + 2 * LINKS_MAX];
	int64_t			now;
	bool			waiting = false;
	int			i;

	fds[0] = (struct pollfd){ .fd = self.control, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = self.nlinks < LINKS_MAX ?
	    self.listen : -1, .events = POLLIN };
	for (i = 0; i < self.nlinks; i++) {
		struct link	*l = self.links[i];

		if (l->front.fd == -1) {
			waiting = true;
			fds[2 + 2 * i].fd = fds[3 + 2 * i].fd = -1;
			continue;
		}
		fds[2 + 2 * i] = (struct pollfd){ .fd = l->client.fd,
		    .events = wants(&l->client, &l->front) };
		fds[3 + 2 * i] = (struct pollfd){ .fd = l->front.fd,
		    .events = wants(&l->front, &l->client) };
		/* A hang-up would be told again and again. */
		if (fds[2 + 2 * i].events == 0)
			fds[2 + 2 * i].fd = -1;
		if (fds[3 + 2 * i].events == 0)
			fds[3 + 2 * i].fd = -1;
	}
	if (poll(fds, 2 + 2 * (nfds_t)self.nlinks, waiting ? RETRY_MS :
	    -1) == -1)
		return;
	now = clock_mono_ms();
	/* From the last: closing one moves the last into its place. */
	for (i = self.nlinks - 1; i >= 0; i--) {
		if ((self.links[i]->front.fd == -1 ||
		    (fds[2 + 2 * i].fd != -1 && fds[2 + 2 * i].revents) ||
		    (fds[3 + 2 * i].fd != -1 && fds[3 + 2 * i].revents)) &&
		    !link_step(self.links[i], now))
			link_close(i);
	}
	if (fds[0].revents != 0)
		obey();
	if (fds[1].revents != 0 && self.listen != -1)
		take(now);
}

static void __attribute__((noreturn))
relay_process(int listen_fd, int control, pid_t parent)
{
	sigset_t	none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGINT, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	self.listen = listen_fd;
	self.control = control;
	while (self.listen != -1 || self.nlinks > 0)
		turn();
	_exit(0);
}

/* ---- its master ------------------------------------------------------ */

void
relay_init(struct relay *relay)
{
	*relay = (struct relay){ .control = -1 };
}

int
relay_start(struct relay *relay, int listen_fd, struct ufop_err *err)
{
	pid_t	parent = getpid();
	int	sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == -1)
		return (err_sys(err, "cannot start the relay"));
	fcntl(listen_fd, F_SETFL, O_NONBLOCK);
	relay->pid = fork();
	if (relay->pid == 0) {
		close(sv[0]);
		relay_process(listen_fd, sv[1], parent);
	}
	close(sv[1]);
	relay->control = sv[0];
	if (relay->pid == -1) {
		relay->pid = 0;
		return (err_sys(err, "cannot start the relay"));
	}
	close(listen_fd);
	return (0);
}

void
relay_front(struct relay *relay, const char *path)
{
	/* Should it be gone, that is seen by who waits for its end. */
	(void)!send(relay->control, path, strlen(path), MSG_NOSIGNAL);
}

void
relay_finish(struct relay *relay)
{
	if (relay->control != -1)
		close(relay->control);
	relay->control = -1;
}

void
relay_kill(struct relay *relay)
{
	if (relay->pid != 0)
		kill(relay->pid, SIGKILL);
}
