/* SPDX-License-Identifier: MIT */
/*
 * The HTTP front, a module of Kore: request in, job out, answer back.
 *
 *	front.c		the process: settings, listening, the sweep, the end
 *	conn.c		connections: reading heads and bodies, one after another
 *	head.c, query.c, chunked.c	what was read, in pure functions
 *	request.c	one request's states, from head to answer
 *	body.c		where an upload goes; transfer.c: bodies through Redis
 *	link.c		the two connections to Redis
 *	view.c		which workers live
 *	answer.c	the one place that writes responses
 *	batch.c		one request that is many jobs
 *	scribe.c	a log of pictures that were to be kept
 *	health.c, metrics.c	the other pages
 *
 * Nothing here blocks: whatever waits is a request that sleeps until Redis, a
 * client or the sweep wakes it.
 */
#ifndef APP_FRONT_H
#define APP_FRONT_H

#include "queue.h"
#include "reqid.h"
#include "router.h"
#include "services.h"
#include "settings.h"
#include "spool.h"

/*
 * One for the process.  Kore's parent fills it in before it forks; a worker
 * then adds its own name and connections.  Nothing in it changes after that
 * but draining.
 */
struct front {
	struct settings		 settings;
	struct services		 services;
	struct router		*router;
	struct spool		 spool;		/* dirfd is never -1 */
	struct queue_addr	 redis;
	const char		*tag;		/* redis.tag */
	char			 web[REQID_LEN + 1];	/* names our reply list */

	int64_t			 timeout_ms;
	int64_t			 max_body;	/* bytes */
	int64_t			 inline_max;	/* bytes */
	int64_t			 spool_quota;	/* bytes, all front processes */
	int64_t			 max_queue;	/* jobs of one pool */
	int			 batch_max;	/* items */
	int			 scribe_task;	/* has lines there; -1: none has */
	int64_t			 keepalive_ms;
	int64_t			 drain_ms;
	int64_t			 header_timeout_ms;
	int64_t			 body_timeout_ms;
	uint32_t		 max_connections;
	bool			 share;		/* spool.share */
	bool			 debug;		/* 404 names the routes */

	bool			 draining;	/* told to stop; takes nothing new */
	bool			 ending;	/* waits for no answer any more */
};

extern struct front	front;

/*
 * Have what is due at the end of this turn of the loop done: commands to Redis
 * are sent in one write, connections with bytes in hand go on.
 */
void	 front_soon(void);

/* Kore's hooks and pages, found by name: kore.conf says which page is where. */
struct http_request;

UFOP_API void	 kore_parent_configure(int, char **);
UFOP_API void	 kore_parent_teardown(void);
UFOP_API void	 kore_worker_configure(void);
UFOP_API void	 kore_worker_teardown(void);
UFOP_API void	 kore_seccomp_hook(void);
UFOP_API int	 page_handler(struct http_request *);
UFOP_API int	 page_health(struct http_request *);
UFOP_API int	 page_metrics(struct http_request *);
UFOP_API int	 page_screenshot(struct http_request *);
UFOP_API int	 page_missing(struct http_request *);

#endif
