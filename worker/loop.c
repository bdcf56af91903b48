/* SPDX-License-Identifier: MIT */
#include <sys/epoll.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "loop.h"

#define EVENTS_MAX	64

struct redis_fd {
	struct loop_fd		 lfd;		/* first: cast back from it */
	struct redis_fd		*next;
	struct loop		*loop;
	redisAsyncContext	*ac;
	uint32_t		 watched;	/* what epoll was told */
	bool			 want_write;	/* hiredis has bytes to send */
};

struct loop {
	int			 epfd;
	int			 nready;	/* of the round being run */
	struct epoll_event	 ready[EVENTS_MAX];
	struct redis_fd		*redis;
	struct redis_fd		*dead;		/* freed when nothing holds them */
};

struct loop *
loop_new(struct ufop_err *err)
{
	struct loop	*l = xcalloc(1, sizeof(*l));

	if ((l->epfd = epoll_create1(EPOLL_CLOEXEC)) == -1) {
		err_sys(err, "cannot make an epoll descriptor");
		free(l);
		return (NULL);
	}
	return (l);
}

/* A connection may die inside its own callback: its struct goes afterwards. */
static void
loop_bury(struct loop *l)
{
	struct redis_fd	*r;

	while ((r = l->dead) != NULL) {
		l->dead = r->next;
		free(r);
	}
}

void
loop_free(struct loop *l)
{
	loop_bury(l);
	close(l->epfd);
	free(l);
}

int
loop_add(struct loop *l, struct loop_fd *lfd, int fd, uint32_t events)
{
	struct epoll_event	 ev = { .events = events, .data.ptr = lfd };

	lfd->fd = fd;
	return (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev));
}

int
loop_mod(struct loop *l, struct loop_fd *lfd, uint32_t events)
{
	struct epoll_event	 ev = { .events = events, .data.ptr = lfd };

	return (epoll_ctl(l->epfd, EPOLL_CTL_MOD, lfd->fd, &ev));
}

void
loop_del(struct loop *l, struct loop_fd *lfd)
{
	int	 i;

	if (lfd->fd == -1)
		return;
	(void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, lfd->fd, NULL);
	lfd->fd = -1;
	for (i = 0; i < l->nready; i++)
		if (l->ready[i].data.ptr == lfd)
			l->ready[i].data.ptr = NULL;
}

void
loop_once(struct loop *l, int timeout_ms)
{
	struct loop_fd	*lfd;
	int		 i;

	l->nready = epoll_wait(l->epfd, l->ready, EVENTS_MAX, timeout_ms);
	for (i = 0; i < l->nready; i++) {
		lfd = l->ready[i].data.ptr;
		if (lfd != NULL)
			lfd->run(lfd, l->ready[i].events);
	}
	l->nready = 0;
	loop_bury(l);
}

static void
redis_watch(struct redis_fd *r, uint32_t events)
{
	if (r->watched == events)
		return;
	r->watched = events;
	(void)loop_mod(r->loop, &r->lfd, events);
}

static void
redis_run(struct loop_fd *lfd, uint32_t events)
{
	struct redis_fd	*r = (struct redis_fd *)lfd;

	/*
	 * The first event tells hiredis that it is connected, or why not: by
	 * its write handler, as hiredis 0.14 does it.
	 */
	if (events & EPOLLOUT) {
		redisAsyncHandleWrite(r->ac);
		if (r->ac == NULL)
			return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		redisAsyncHandleRead(r->ac);
}

static void
on_add_read(void *privdata)
{
	(void)privdata;		/* always watched for reading */
}

static void
on_add_write(void *privdata)
{
	struct redis_fd	*r = privdata;

	r->want_write = true;
}

static void
on_del_write(void *privdata)
{
	struct redis_fd	*r = privdata;

	r->want_write = false;
	redis_watch(r, EPOLLIN);
}

static void
on_cleanup(void *privdata)
{
	struct redis_fd	*r = privdata, **p;

	for (p = &r->loop->redis; *p != NULL; p = &(*p)->next)
		if (*p == r) {
			*p = r->next;
			break;
		}
	loop_del(r->loop, &r->lfd);
	r->ac = NULL;
	r->next = r->loop->dead;
	r->loop->dead = r;
}

int
loop_redis(struct loop *l, redisAsyncContext *ac)
{
	struct redis_fd	*r = xcalloc(1, sizeof(*r));

	r->loop = l;
	r->ac = ac;
	r->lfd.run = redis_run;
	/* Writable means connected; until then that is all to wait for. */
	r->watched = EPOLLIN | EPOLLOUT;
	if (loop_add(l, &r->lfd, ac->c.fd, r->watched) == -1) {
		free(r);
		return (-1);
	}
	ac->ev.data = r;
	ac->ev.addRead = on_add_read;
	ac->ev.delRead = on_add_read;
	ac->ev.addWrite = on_add_write;
	ac->ev.delWrite = on_del_write;
	ac->ev.cleanup = on_cleanup;
	r->next = l->redis;
	l->redis = r;
	return (0);
}

void
loop_flush(struct loop *l)
{
	struct redis_fd	*r;
	bool		 again;

	/* A write that fails runs callbacks, which change the list. */
	do {
		again = false;
		for (r = l->redis; r != NULL && !again; r = r->next) {
			if (!r->want_write || (r->watched & EPOLLOUT) ||
			    !(r->ac->c.flags & REDIS_CONNECTED))
				continue;
			redisAsyncHandleWrite(r->ac);
			if (r->ac == NULL)
				again = true;
			else if (r->want_write)
				redis_watch(r, EPOLLIN | EPOLLOUT);
		}
	} while (again);
	loop_bury(l);
}
