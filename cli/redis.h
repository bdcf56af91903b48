/* SPDX-License-Identifier: MIT */
/*
 * Redis for commands that ask something and end: one connection, one command
 * at a time, each answered within seconds or given up.
 */
#ifndef CLI_REDIS_H
#define CLI_REDIS_H

#include <hiredis/hiredis.h>

#include "queue.h"
#include "settings.h"

#define REDIS_TIMEOUT_MS	3000

struct redis {
	redisContext		*ctx;
	struct queue_addr	 addr;
	char			 name[300];	/* where it is, to show */
	const char		*tag;		/* the settings' own */
	int			 connect_us;	/* until it answered a PING */
};

/*
 * Connect to redis.url or, when nobody has set that and nothing answers there,
 * to the private Redis of the one `ufop up` on this host.  -1 with err
 * (UFOP_UNAVAILABLE) that says where Redis was looked for.
 */
int	 redis_open(struct redis *, const struct settings *, struct ufop_err *);
void	 redis_close(struct redis *);

/*
 * One command, printf-like as redisCommand(): %s, %b.  freeReplyObject() the
 * reply.  NULL with err when Redis went away or answered an error.
 */
redisReply *redis_ask(struct redis *, struct ufop_err *, const char *fmt, ...);

/* The element's text; STR_NULL when it is none. */
struct str redis_str(const redisReply *);

#endif
