/* SPDX-License-Identifier: MIT */
/*
 * Files fetched for ufop_fetch(), as a child has them: those that came with the
 * job in hand, and small ones of earlier jobs, so that the same watermark is not
 * fetched for every picture.
 */
#ifndef WORKER_FILES_H
#define WORKER_FILES_H

#include "err.h"
#include "handler.h"

/* Twice what one job can have: those that came with a job drive out others. */
#define FILES_MAX		(2 * UFOP_FETCH_MAX)
#define FILES_KEPT_BYTES	(1 << 20)	/* longer ones go with their job */

struct files {
	int64_t			 keep_ms;	/* setting fetch.keep */
	int			 n;
	struct handler_file	 list[FILES_MAX];	/* oldest first */
	int64_t			 until_ms[FILES_MAX];	/* CLOCK_MONOTONIC */
};

void	 files_init(struct files *, int64_t keep_ms);
void	 files_release(struct files *);

/*
 * Map what fd holds and know it as url from now on; fd stays the caller's.
 * Returns 0, or -1 with err (the file is empty or cannot be mapped).
 */
int	 files_add(struct files *, const char *url, int fd, struct ufop_err *);

/* Forget what is too old or too long to be kept; not while a job uses it. */
void	 files_expire(struct files *);

#endif
