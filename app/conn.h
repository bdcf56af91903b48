/* SPDX-License-Identifier: MIT */
/*
 * Connections.  Kore accepts them, watches them and sends what is queued; the
 * reading is done here, because Kore's own receiver refuses chunked uploads,
 * ignores Expect, loses pipelined requests and hashes every body.
 *
 * A connection serves one request at a time.  Its head is read and parsed
 * here; then Kore gets a short head of its own (method and path), makes its
 * http_request of it and runs the page.  Body bytes go to the request as they
 * come.  What lies behind the request stays where it is until the answer has
 * been queued.
 */
#ifndef APP_CONN_H
#define APP_CONN_H

#include <kore/kore.h>

#include "arena.h"
#include "chunked.h"
#include "head.h"
#include "job.h"
#include "reqid.h"
#include "router.h"

struct request;

/*
 * What is known of a request until its job is queued.  Big, so there are only
 * as many as there are uploads in progress; those at rest are kept for reuse.
 */
struct draft {
	struct arena		 arena;		/* the head, and what is decoded */
	struct head		 head;
	struct router_match	 match;
	struct job		 job;
	struct draft		*next;		/* while at rest */
};

enum conn_state {
	CONN_HEAD,	/* between requests, or in the middle of a head */
	CONN_BODY,	/* a body is arriving; it is dropped when req is NULL */
	CONN_WAIT,	/* the request is whole, its answer is not */
	CONN_LINGER,	/* answered and shut; reads on so that the client gets it */
};

struct conn {
	struct connection	*c;
	enum conn_state		 state;
	struct request		*req;		/* in hand, or NULL */
	struct draft		*draft;		/* of req, until its job is queued */

	/* Bytes that were read too early; NULL if none. */
	char			*in;
	size_t			 in_len;
	size_t			 looked_at;	/* of a head that is not whole */

	bool			 chunked;
	struct chunked		 chunks;
	uint64_t		 left;		/* of a body that is not chunked */

	/* For the answer to the request in hand. */
	char			 reqid[REQID_MAX + 1];
	int64_t			 began_us;	/* CLOCK_MONOTONIC: head was whole */
	const char		*label;		/* for the log: page or task */
	const char		*allow;		/* methods of the page, for a 405 */
	bool			 head_only;	/* HEAD */
	bool			 keep;		/* stays open after the answer */
	bool			 is_http10;
	bool			 expect;	/* client waits for 100 Continue */
	bool			 answered;

	/*
	 * A client that goes on asking without reading is not read either once
	 * UNREAD_MAX answers lie here: its state stays CONN_WAIT, without req.
	 */
	int			 unread;	/* answers since the queue was empty */
	bool			 full;
	bool			 shut;		/* our side has been closed */
	bool			 resuming;	/* on the list of conn_resume() */
	TAILQ_ENTRY(conn)	 resume;
	int			 timed;		/* which list; TIMED_NONE if none */
	int64_t			 since_ms;	/* CLOCK_MONOTONIC */
	TAILQ_ENTRY(conn)	 timeout;
};

/* Kore's connect hook: to be named when listening. */
UFOP_API void	 conn_connect(struct connection *);

void	 conn_init(void);
/* Send 100 Continue if the client waits for it. */
void	 conn_continue(struct conn *);
/*
 * Whether the connection can serve another request after an answer given now:
 * the body has come, or what is left of it is little enough to read away.
 */
bool	 conn_reusable(const struct conn *);
/* The request in hand is over and its answer queued; go on. */
void	 conn_done(struct conn *);
/* The draft is not needed any more. */
void	 conn_drop_draft(struct conn *);

/* Go on with connections that have bytes in hand. */
void	 conn_resume(void);
/* Answer 408 to those that take too long; to be called every 100 ms or so. */
void	 conn_sweep(int64_t now_ms);
/*
 * Close those without a request in hand; how many are left.  While patient, one
 * that has not asked for anything yet, or has begun to, is waited for.
 */
int	 conn_drain(bool patient);

#endif
