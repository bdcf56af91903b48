/* SPDX-License-Identifier: MIT */
/*
 * ufop's protocol on Redis (docs/protocol.txt), without an event loop of its
 * own: the front attaches it to Kore's, the worker to epoll.  All calls are
 * asynchronous and pipelined; none blocks.
 */
#ifndef LIB_QUEUE_H
#define LIB_QUEUE_H

#include <hiredis/async.h>

#include "err.h"
#include "str.h"

#define QUEUE_KEY_MAX	160

/* Where Redis is; from a url, host names resolved before any sandbox. */
struct queue_addr {
	char	unix_path[108];		/* set: a unix socket, else TCP */
	char	host[256];		/* as written */
	char	ip[64];			/* what it resolved to */
	int	port;
	int	db;
	char	user[64];
	char	password[256];		/* empty: no AUTH */
};

/*
 * redis://[[user]:password@]host[:port][/db] or unix:///path[?db=n]
 * (also unix://:password@/path).  -1 with UFOP_CONFIG.  Does not resolve.
 */
int	 queue_addr_parse(struct queue_addr *, const char *url,
	    struct ufop_err *);
int	 queue_addr_resolve(struct queue_addr *, struct ufop_err *);
/* "host:port" or the path, never the password; static buffer in addr. */
const char *queue_addr_name(const struct queue_addr *, char *buf, size_t size);

/* {tag}:<a> or {tag}:<a>:<b> when b is not NULL. */
void	 queue_key(char out[QUEUE_KEY_MAX], const char *tag, const char *a,
	    const char *b);

enum queue_script {
	QUEUE_TAKE,	/* KEYS q run; ARGV n: entries moved */
	QUEUE_SETTLE,	/* KEYS run reply...; ARGV ttl_ms (entry frame)...: 1/0 each */
	QUEUE_REQUEUE,	/* KEYS run q delayed; ARGV old new due_ms front: 1/0 */
	QUEUE_PROMOTE,	/* KEYS delayed; ARGV prefix now_ms: {moved, next due or -1} */
	QUEUE_BEAT,	/* KEYS worker workers; ARGV id json lease_ms: {was new, s, us} */
	QUEUE_BYE,	/* KEYS worker workers run; ARGV id: left in run */
	QUEUE_TAKEOVER,	/* KEYS workers; ARGV prefix [worker known dead]...: {moved, worker...} */
	QUEUE_VIEW,	/* KEYS workers; ARGV prefix: {s, us, {worker, json, ...}} */
	QUEUE_SCRIPTS
};
extern const char *const queue_lua[QUEUE_SCRIPTS];

/*
 * One connection that keeps itself up: connects, authenticates, selects the
 * db, loads the scripts, calibrates the clock, then calls on_ready; when it is
 * lost, every pending callback gets a NULL reply, and after a backoff (50 ms
 * doubling to 2 s, +-25 %) it tries again.
 */
struct queue_conn {
	const struct queue_addr	*addr;
	/* Ties a fresh context to the owner's loop; 0 or -1. */
	int			(*attach)(redisAsyncContext *, void *arg);
	void			(*on_ready)(struct queue_conn *);
	void			*arg;
	const char		*what;		/* for the log: "take", "reply" */

	/* private from here, but ready and err may be read */
	redisAsyncContext	*ac;
	bool			 ready;
	bool			 stopped;
	int			 waiting;	/* answers still to come before ready */
	int			 backoff_ms;
	int64_t			 next_try_ms;	/* CLOCK_MONOTONIC */
	int64_t			 give_up_ms;	/* connecting must be done by then */
	int64_t			 asked_us;	/* when TIME was sent */
	char			 err[160];	/* why it is not ready; for /health */
	char			 sha[QUEUE_SCRIPTS][41];
};

/* addr, attach and the callbacks are set by the caller before; starts at once. */
void	 queue_conn_start(struct queue_conn *);
/* To be called every 20 to 250 ms: reconnects and gives up when it is time. */
void	 queue_conn_tick(struct queue_conn *);
/* Close now; no callbacks but those of pending commands (NULL reply). */
void	 queue_conn_stop(struct queue_conn *);
/* Close and reconnect, as if it had broken (NOSCRIPT, no answer in time). */
void	 queue_conn_reset(struct queue_conn *, const char *why);

/*
 * Send one command; cb gets the reply, or NULL when the connection was lost.
 * argv is copied.  -1 when not ready (cb is not called then).
 */
int	 queue_cmd(struct queue_conn *, redisCallbackFn *cb, void *arg, int argc,
	    const char **argv, const size_t *argvlen);
/* printf-like as redisAsyncCommand(): %s, %b. */
int	 queue_cmdf(struct queue_conn *, redisCallbackFn *cb, void *arg,
	    const char *fmt, ...);
/* EVALSHA of a script: argv holds nkeys keys and then the arguments. */
int	 queue_script(struct queue_conn *, enum queue_script, redisCallbackFn *cb,
	    void *arg, int nkeys, int argc, const char **argv,
	    const size_t *argvlen);

/*
 * Redis' clock, by which deadlines travel between hosts whose own clocks may
 * disagree; good to about half a round trip.  Shared by all connections of the
 * process; before the first calibration it is this host's clock.
 */
int64_t	 queue_now_us(void);
int64_t	 queue_now_ms(void);
/* To be told of any answer to TIME: sent at asked_us on CLOCK_MONOTONIC. */
void	 queue_clock_set(int64_t asked_us, int64_t redis_us);

#endif
