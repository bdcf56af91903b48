/* SPDX-License-Identifier: MIT */
/*
 * A small epoll loop: descriptors with a callback each, and hiredis on it.
 */
#ifndef WORKER_LOOP_H
#define WORKER_LOOP_H

#include <hiredis/async.h>

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

struct loop;

/* One watched descriptor; part of its owner's struct, which outlives it. */
struct loop_fd {
	int	 fd;			/* -1: not watched */
	/* events are EPOLLIN, EPOLLOUT, EPOLLHUP... as they came. */
	void	(*run)(struct loop_fd *, uint32_t events);
	void	*arg;
};

struct loop	*loop_new(struct ufop_err *);
void		 loop_free(struct loop *);
/* Level-triggered; -1 with errno. */
int		 loop_add(struct loop *, struct loop_fd *, int fd,
		    uint32_t events);
int		 loop_mod(struct loop *, struct loop_fd *, uint32_t events);
/* Safe also for a descriptor whose event is still to be run in this round. */
void		 loop_del(struct loop *, struct loop_fd *);
/* Wait at most timeout_ms and run what is ready, once. */
void		 loop_once(struct loop *, int timeout_ms);

/*
 * Attach a connection; it detaches itself when hiredis frees it.  What hiredis
 * wants to write goes out in loop_flush(), so that the commands of one round
 * share one write.
 */
int		 loop_redis(struct loop *, redisAsyncContext *);
void		 loop_flush(struct loop *);

#endif
