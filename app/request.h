/* SPDX-License-Identifier: MIT */
/*
 * One request in hand, from its head to its answer.
 *
 *	  head			body			answer
 *	 ------>  ROUTE ---------------> PLACE ----> PUSH ----> WAIT ----> DONE
 *		    |   sleeps while      | sleeps    |  sleeps	  |  sleeps
 *		    |   it arrives	  | for a     |  while	  |  until reply
 *		    |			  | view      |  pieces	  |  or deadline
 *		    '-- 4xx		  '-- 503     '-- 503	  '-- 429, 503, 504
 *
 * Requests live in slots that are used again.  A job's tag is slot and
 * generation, so a reply that comes too late finds nobody.
 *
 * An item of a batch is a request too, from PUSH on: it has a slot, a job and
 * a deadline, and is answered to its batch instead of a connection.
 *
 * A request for a picture that is to be kept, such as each of those items, has
 * one line in the scribe log (scribe.h), whatever becomes of it.  It is written
 * where the request ends, which happens once: before the answer, or when the
 * client has left.
 */
#ifndef APP_REQUEST_H
#define APP_REQUEST_H

#include <kore/kore.h>
#include <kore/http.h>

#include "body.h"
#include "conn.h"
#include "job.h"

enum request_state {
	REQUEST_ROUTE, REQUEST_PLACE, REQUEST_PUSH, REQUEST_WAIT, REQUEST_DONE
};

enum request_kind {
	REQUEST_JOB, REQUEST_HEALTH, REQUEST_METRICS,
	REQUEST_BATCH,		/* waits for its items: batch.h */
	REQUEST_ITEM		/* one of them: has no client of its own */
};

struct request {
	uint32_t		 slot;
	uint32_t		 generation;
	bool			 used;
	struct http_request	*req;		/* Kore's; an item has none */
	/* NULL once the client has left, and in an item. */
	struct conn		*conn;
	enum request_kind	 kind;
	struct batch		*batch;		/* of a batch and its items */
	int			 item;		/* which of them */

	bool			 wants_body;	/* else it is dropped */
	bool			 waits_view;	/* for request_viewed() */
	bool			 asked_view;	/* has had one */
	bool			 gave_up;	/* give_up_ms has come */
	bool			 queued;	/* RPUSH has been sent, no reply yet */
	int64_t			 give_up_ms;	/* CLOCK_MONOTONIC; 0: no limit */

	int			 task;		/* of the first stage */
	int			 pool;		/* index in the view */
	int64_t			 max_body;	/* bytes */
	int64_t			 timeout_ms;
	int64_t			 pushed_us;	/* CLOCK_MONOTONIC; 0: not yet */
	int64_t			 run_us;	/* in the child; 0: not in any */
	char			*page;		/* url for the line to come; or NULL */

	struct body		 body;
	enum job_body		 body_kind;
	char			 body_name[SPOOL_NAME_MAX];	/* file or id */
	/* The job as it was queued; then the reply, if its body comes later. */
	struct buf		 entry;

	/* Bodies that go through Redis in pieces. */
	uint64_t		 moved;		/* bytes so far */
	uint64_t		 move_len;	/* bytes in all */
	int			 piece;		/* of the reply: next to fetch */
	int			 pieces_out;	/* sent and not yet confirmed */
	bool			 fetching;	/* one is on its way */
	char			 out_name[64];	/* {tag}:out:<out_name>; "" if none */

	struct request		*next_free;
};

/* ---- called by conn.c ------------------------------------------------- */

/* The next bytes of the body, in order. */
void	 request_body(struct request *, struct str);
/* The body is whole. */
void	 request_body_end(struct request *);
void	 request_too_slow(struct request *);
/* Everything queued for the client has been sent. */
void	 request_drained(struct request *);
/* The client has left: take the job back if nobody has it, drop the body. */
void	 request_abandon(struct request *);

/* ---- called by link.c, view.c and the sweep --------------------------- */

/*
 * A reply has come, decoded from raw; for nobody when its tag is not known any
 * more.
 */
void	 request_reply(const struct reply *, struct str raw);
/* There is a new view, or none to be had. */
void	 request_viewed(void);
void	 request_sweep(int64_t now_ms);
int	 request_count(void);
/* At the end of the process: leave nothing behind. */
void	 request_abandon_all(void);

/* ---- called by the pages ---------------------------------------------- */

/* Make one for a page that has been called for the first time. */
struct request *request_new(struct http_request *, enum request_kind,
	    const char *label);
struct request *request_of(struct http_request *);
/* For pages that are only read: answers 405 to all other methods. */
bool	 request_is_get(struct request *);
uint64_t request_tag(const struct request *);
/* NULL when that one is over. */
struct request *request_find(uint64_t tag);
/* Sleep until request_run(); returns KORE_RESULT_RETRY. */
int	 request_sleep(struct request *);
/* Wake it and let its page go on. */
void	 request_run(struct request *);
/* Answer an error and be done. */
void	 request_fail(struct request *, const struct ufop_err *);
void	 request_failf(struct request *, enum ufop_code, const char *fmt, ...)
	    UFOP_PRINTF(3, 4);
/* It has been answered: nothing more to do but to go. */
void	 request_over(struct request *);
/* Send the head of the answer that the reply in r->entry asks for. */
void	 request_answer_begin(struct request *);

/*
 * Whether a live worker serves r->pool, as a return value of a state: CONTINUE
 * if so; RETRY when it sleeps until that is known, to be asked once more;
 * COMPLETE when it has been answered that there is none.
 */
int	 request_await_pool(struct request *);
/* What the match says of the job: task, pool, limits. */
void	 request_routed(struct request *, const struct router_match *);
/*
 * Get ready for the body that the head announces, if wanted: -1 with
 * UFOP_TOO_BIG when it is longer than r->max_body.
 */
int	 request_expect_body(struct request *, bool wanted, struct ufop_err *);
/*
 * The end of the state ROUTE, and its return value: answers err when rc is -1,
 * else goes on to PLACE, now or when the body is there.
 */
int	 request_head_done(struct request *, int rc, const struct ufop_err *);
/*
 * Queue the job of the draft under the request's own tag; id is for the logs.
 * The rest of the draft's job (url, type, accept) is the caller's to fill in.
 * -1 with err: nothing has been sent.
 */
int	 request_push(struct request *, struct draft *, struct str id,
	    struct ufop_err *);
/* States that wait to be woken, and that are over. */
int	 request_state_wait(struct http_request *);
int	 request_state_done(struct http_request *);

/* ---- called by batch.c ------------------------------------------------ */

/*
 * Make one for an item, the page at url; it ends with its answer or by
 * request_item_drop().
 */
struct request *request_item(struct batch *, int item, const char *url);
/* Take the job back if nobody has it; the item is gone. */
void	 request_item_drop(struct request *);

#endif
