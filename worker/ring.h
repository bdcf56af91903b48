/* SPDX-License-Identifier: MIT */
/*
 * What a worker parent and one of its children share: memory with slots, each
 * holding one job and then its reply, and a SOCK_SEQPACKET socketpair whose
 * messages wake the other side and carry file descriptors.
 *
 *	parent: fill req, FREE > READY ........ doorbell: "slots 0, 3"
 *	child:				READY > RUNNING, runs, fills rep,
 *					RUNNING > DONE ... doorbell: ""
 *	parent: reads rep, DONE > FREE
 *
 * READY > FREE by the parent takes a job back that has not been started.  The
 * state is the only thing both sides write, always by compare-and-swap; the
 * parent believes nothing else in here without checking it.
 */
#ifndef WORKER_RING_H
#define WORKER_RING_H

#include <stdatomic.h>
#include <stdint.h>

#include "job.h"

#define RING_SLOTS	16
#define RING_REP_MAX	(JOB_INLINE_MAX + 16384)	/* body and headers */

enum ring_state {
	RING_FREE,
	RING_READY,
	RING_RUNNING,
	RING_DONE,
};

enum ring_kind {
	RING_JOB,		/* req is a job entry, rep an encoded reply */
	RING_LONG_JOB,		/* ... before which finished replies are told */
	RING_HEALTH,		/* no req; rep: why not well, NUL, notes; or "" */
};

/* What a finished job came to. */
enum ring_outcome {
	RING_REPLIED,		/* rep is the reply */
	RING_RETRY,		/* UFOP_RETRY: rep is the failure */
	/*
	 * ufop_fetch(): rep holds urls, each with a NUL behind it.  The same
	 * job comes again with what is there: then rep holds the urls of the
	 * files that travel with the bell, in their order.
	 */
	RING_WANTS,
};

/* Where the reply's body is. */
enum ring_body {
	RING_BODY_SLOT,		/* inside rep */
	RING_BODY_FILE,		/* in the slot's reply file */
	RING_BODY_SOURCE,	/* it is the source, byte for byte */
};

/*
 * A slot's state and, above it, how often the slot has been filled: a bell that
 * was rung for a job taken back meanwhile must not start the next one in there.
 */
#define RING_STATE(turn, state)	((uint32_t)(turn) << 2 | (state))

struct ring_slot {
	_Atomic uint32_t	state;		/* RING_STATE() */
	uint32_t		kind;
	int64_t			deadline_ms;	/* CLOCK_MONOTONIC */
	uint32_t		req_len;
	uint32_t		rep_len;
	uint32_t		outcome;	/* enum ring_outcome */
	uint32_t		rep_in;		/* enum ring_body */
	uint64_t		file_len;	/* bytes, unless RING_BODY_SLOT */
	_Atomic int64_t		started_us;	/* CLOCK_MONOTONIC */
	unsigned char		req[JOB_ENTRY_MAX] __attribute__((aligned(64)));
	unsigned char		rep[RING_REP_MAX] __attribute__((aligned(64)));
};

struct ring {
	_Atomic uint32_t	worn;		/* child asks to be replaced */
	_Atomic uint32_t	peak_kb;	/* resident memory at most */
	struct ring_slot	slots[RING_SLOTS];
};

/* Parent to child. */
enum ring_msg_kind {
	/* n slots are READY; fds, of slots[0]: its body if it has one, files */
	RING_MSG_JOBS,
	RING_MSG_REPLY_FILE,	/* fd: an empty file for big replies of slots[0] */
	RING_MSG_QUIT,		/* finish and exit 0 */
};

struct ring_msg {
	uint8_t	 kind;
	uint8_t	 n;
	uint8_t	 has_body;
	uint8_t	 slots[RING_SLOTS];
	uint32_t turns[RING_SLOTS];	/* of each of them, when it was filled */
};

/* A child's exit status that says why; above what handlers use by habit. */
#define CHILD_EXIT_SPOOL_FULL	240	/* the reply did not fit on the disk */
#define CHILD_EXIT_NO_MEMORY	241	/* over the task's memory_mb */
#define CHILD_EXIT_SETUP	242	/* could not start at all */

#endif
