/* SPDX-License-Identifier: MIT */
/*
 * The fetch process: downloads sources by url, many at once.
 *
 * Children of the cpu pool have no network, and the parent never waits, so
 * sources come in through one process apart, forked by the parent.  It reaches
 * the network behind the egress guard, and apart from that nothing: files only
 * as far as TLS and the resolver need them (sandbox.h, profile fetch).
 *
 *	parent --- id, url, limit, deadline + an open file ---> fetch process
 *	       <-- id, code, length, type, times, sentence ----
 *
 * Both travel as whole messages over a SOCK_SEQPACKET pair.  The file is the
 * parent's; the fetch process empties it, writes the body to it from offset 0
 * and closes its copy before it answers.  Answers come in the order things end.
 *
 * Every connection is checked at the one moment that counts: when libcurl asks
 * for a socket it names the address it will connect to, and gets none when the
 * guard refuses.  Redirects are followed here, not by libcurl, so that each
 * target goes through the whole guard like the first url.  No proxy, no
 * cookies, no .netrc, HTTP/1.1 only.
 */
#ifndef WORKER_FETCH_H
#define WORKER_FETCH_H

#include <sys/types.h>

#include "egress.h"
#include "err.h"
#include "settings.h"
#include "str.h"

#define FETCH_TYPE_MAX		256	/* bytes of a content type, with its NUL */
/* Requests that wait for a free place; more are answered UFOP_BUSY. */
#define FETCH_QUEUE_MAX		1024
/* Bytes of a response's header, all lines; libcurl itself bounds only a line. */
#define FETCH_HEADER_MAX	(64 * 1024)

struct fetch_conf {
	const struct egress_policy	*policy;
	int		 concurrency;		/* downloads at once, 1.. */
	int		 redirects;		/* followed at most, 0.. */
	int		 connect_timeout_ms;	/* of name, TCP and TLS together */
	int		 stall_ms;		/* no byte for so long ends it */
	const char	*user;			/* as in struct sandbox_conf */
};

struct fetch_reply {
	uint64_t	 id;
	/*
	 * UFOP_OK; UFOP_BAD_INPUT (not a http or https url), UFOP_BAD_SOURCE
	 * (refused by the guard or by the source, no such name, TLS, an answer
	 * that is no success, empty or cut short), UFOP_TOO_BIG,
	 * UFOP_TIMED_OUT (the deadline), UFOP_UNAVAILABLE (no room in the
	 * file), UFOP_BUSY.  msg says it in a sentence.
	 */
	int32_t		 code;
	int32_t		 status;	/* last HTTP status, 0 if there was none */
	int32_t		 redirects;	/* followed */
	uint64_t	 len;		/* bytes in the file; meaningless on error */
	/* Microseconds; of all redirects together. */
	int64_t		 queue_us;	/* until there was a free place */
	int64_t		 dns_us;
	int64_t		 connect_us;
	int64_t		 tls_us;
	int64_t		 wait_us;	/* for the first byte of the answer */
	int64_t		 total_us;	/* from request to answer */
	char		 type[FETCH_TYPE_MAX];	/* Content-Type, "" if none */
	char		 msg[UFOP_ERR_MSG_MAX];
};

/* As the settings [fetch] and worker.child_user say; policy is the caller's. */
void	 fetch_conf_init(struct fetch_conf *, const struct settings *,
	    const struct egress_policy *);

/*
 * What one download may take: at most *max bytes (task_max if a task has a limit
 * of its own, 0 if not), until *until_ms on CLOCK_MONOTONIC, which is not behind
 * deadline_ms.
 */
void	 fetch_bounds(const struct settings *, int64_t task_max,
	    int64_t deadline_ms, uint64_t *max, int64_t *until_ms);

/*
 * Fork the fetch process.  *sock is the parent's end (non-blocking, close on
 * exec) and *pid the process, to be waited for.  It ends when the parent's end
 * is closed, and is killed when the parent dies.  Returns 0, or -1 with err.
 *
 * When it ends on its own (it does when /etc/resolv.conf was replaced, which
 * only a new one can read), the socket reads end of file: the caller spawns
 * another and asks again for what is without an answer.
 */
int	 fetch_spawn(const struct fetch_conf *, pid_t *pid, int *sock,
	    struct ufop_err *);

/*
 * The process itself: enters its sandbox, serves sock, exits 0 when the other
 * end is closed (1, and a line in the log, when it cannot start).
 */
void	 fetch_main(int sock, const struct fetch_conf *)
	    __attribute__((noreturn));

/*
 * Ask for url.  id is the caller's, fd stays the caller's and must not be
 * written to until the answer.  Returns 0, or -1 with err: UFOP_BAD_INPUT (the
 * url is longer than EGRESS_URL_MAX), UFOP_BUSY (the socket is full),
 * UFOP_UNAVAILABLE (the process is gone).
 */
int	 fetch_send(int sock, uint64_t id, struct str url, uint64_t max_bytes,
	    int64_t deadline_ms, int fd, struct ufop_err *);

/*
 * Forget a request: no answer will follow, but one may be on its way already,
 * so answers to unknown ids are to be ignored.  Returns as fetch_send().
 */
int	 fetch_cancel(int sock, uint64_t id, struct ufop_err *);

/*
 * Take one answer.  Returns 1 when there was one, 0 when there is none now, -1
 * with err (UFOP_UNAVAILABLE) when the process is gone.
 */
int	 fetch_recv(int sock, struct fetch_reply *, struct ufop_err *);

#endif
