/* SPDX-License-Identifier: MIT */
/*
 * The two messages of ufop, as they travel: a job (front to worker) and a
 * reply (worker to front).  Layouts, byte by byte: docs/protocol.txt.
 *
 * Everything is length-framed and little-endian, nothing is evaluated, and a
 * decoder takes any bytes without harm.  Decoded structs are views into the
 * bytes they were decoded from.
 */
#ifndef LIB_JOB_H
#define LIB_JOB_H

#include "err.h"
#include "str.h"

/*
 * Bump when a field moves or changes its meaning, not when one is added at the
 * end of what is skipped by length.  A reader refuses any other version.
 */
#define JOB_VERSION		1

#define JOB_STAGES_MAX		16
#define JOB_ARGS_MAX		32
#define JOB_HEADERS_MAX		16	/* UFOP_HEADERS_MAX */
#define JOB_INLINE_MAX		65536	/* bytes of a body inside a message */
#define JOB_ENTRY_MAX		(JOB_INLINE_MAX + 65536)
#define JOB_POOL_MAX		32
/* Deaths after which a job is poison: it is never run again. */
#define JOB_DEATHS_MAX		2

enum job_body {
	JOB_BODY_NONE,
	JOB_BODY_INLINE,	/* ref is the bytes */
	JOB_BODY_SPOOL,		/* ref is a file's name in the spool */
	JOB_BODY_KEY,		/* ref is the id behind {tag}:body: */
};

#define JOB_FLAG_TAKES_URL	0x01	/* do not fetch url, the task reads it */
#define JOB_FLAG_NOBODY_WAITS	0x02	/* settle without a reply */

struct job_arg {
	struct str	name, value;
};

struct job_stage {
	struct str	task;		/* "service.task" */
	struct str	cmd;		/* "/thumbnail/w/100" */
	int		nargs;
	struct job_arg	args[JOB_ARGS_MAX];
};

struct job {
	uint8_t		 deaths;	/* children or workers that died of it */
	uint8_t		 retries;	/* UFOP_RETRY so far */
	uint8_t		 flags;		/* JOB_FLAG_... */
	enum job_body	 body;
	int64_t		 deadline_ms;	/* on Redis' clock, since 1970 */
	int64_t		 queued_us;	/* on Redis' clock, since 1970 */
	uint64_t	 tag;		/* the front's own; comes back in the reply */
	uint64_t	 body_len;	/* bytes */
	uint64_t	 spool_id;	/* the front's spool, 0 if it has none */
	struct str	 pool;
	struct str	 id;		/* X-Reqid */
	struct str	 web;		/* whose reply list: {tag}:reply:<web> */
	struct str	 type;		/* Content-Type of the body */
	struct str	 accept;	/* caller's Accept */
	struct str	 url;
	struct str	 ref;		/* see enum job_body */
	int		 nstages;
	struct job_stage stages[JOB_STAGES_MAX];
};

/* Append the job's bytes to out.  0, or -1 (UFOP_TOO_BIG). */
int	 job_encode(const struct job *, struct buf *out, struct ufop_err *);
/* -1 with UFOP_BAD_INPUT: other version, or lengths that do not add up. */
int	 job_decode(struct job *, struct str in, struct ufop_err *);
/*
 * The parts of an encoded job that change while it lives, without decoding:
 * in must have passed job_decode().
 */
void	 job_set_counts(char *entry, uint8_t deaths, uint8_t retries);

struct job_header {
	struct str	 name, value;
};

struct reply {
	enum job_body	 body;		/* KEY: the id behind {tag}:out: */
	int		 status;	/* HTTP */
	uint64_t	 tag;		/* the job's */
	uint64_t	 body_len;
	uint32_t	 held_us;	/* from taken off the queue to settled */
	uint32_t	 run_us;	/* in the child */
	struct str	 type;		/* Content-Type, may be empty */
	struct str	 log;		/* more for X-Log: "fetch=1.2ms decode=3.0ms" */
	struct str	 ref;		/* see enum job_body */
	int		 nheaders;
	struct job_header headers[JOB_HEADERS_MAX];
};

/* Bytes in front of the type in an encoded reply. */
#define REPLY_FIXED	48

int	 reply_encode(const struct reply *, struct buf *out, struct ufop_err *);
int	 reply_decode(struct reply *, struct str in, struct ufop_err *);

/* {"code":status,"error":"msg"}, the one shape of every error. */
void	 job_error_json(struct buf *out, int status, struct str msg);

#endif
