/* SPDX-License-Identifier: MIT */
/*
 * The one place that writes responses.
 *
 * Every response has X-Reqid and X-Log.  Every one from 400 on has
 * Cache-Control: no-store, and those that a later try may better (429, 503)
 * Retry-After.  Bytes are queued on the connection; Kore sends them when the
 * page handler returns or the connection is flushed.
 */
#ifndef APP_ANSWER_H
#define APP_ANSWER_H

#include "conn.h"
#include "job.h"

struct answer {
	int			 status;
	struct str		 type;		/* Content-Type; empty: none */
	const struct job_header	*headers;	/* unfit ones are left out */
	int			 nheaders;
	bool			 is_job;	/* a worker's: the times are known */
	int64_t			 queue_us;	/* waiting, in queue and on the way */
	int64_t			 run_us;	/* in the child */
	struct str		 log;		/* more for X-Log */
	bool			 unlogged;	/* the page logs it in its own way */
};

/* Whether an answer of this status to this request has a body at all. */
bool	 answer_has_body(const struct conn *, int status);
void	 answer_bytes(struct conn *, const struct answer *, struct str body);

/* len bytes of fd, which is closed when they are sent or cannot be. */
void	 answer_file(struct conn *, const struct answer *, int fd, uint64_t len);

/* A body that comes in pieces: len bytes in all by answer_more(). */
void	 answer_begin(struct conn *, const struct answer *, uint64_t len);
void	 answer_more(struct conn *, struct str piece);
/* The rest cannot be had: the client must notice, so the connection breaks. */
void	 answer_break(struct conn *);

/* {"code":status,"error":"..."} */
void	 answer_error(struct conn *, int status, const char *fmt, ...)
	    UFOP_PRINTF(3, 4);
void	 answer_err(struct conn *, const struct ufop_err *);

/* c->write of our connections: whole buffers, and files by sendfile(). */
int	 answer_write(struct connection *, size_t, size_t *);

#endif
