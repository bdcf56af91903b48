/* SPDX-License-Identifier: MIT */
/*
 * In the child: from a job entry to an encoded reply, stage by stage.
 */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include "files.h"
#include "handler.h"
#include "ring.h"
#include "services.h"
#include "settings.h"

struct run {
	const struct settings	*settings;
	const struct services	*services;
	const char		*scratch_root;	/* may be NULL: no scratch */
	const char		*setup_why[SERVICES_MAX]; /* setup() failed: why */
	int			 reply_fd[RING_SLOTS];	/* for big replies; or -1 */
	size_t			 inline_max;	/* longer results go to a file */
	int			 memory_mb;	/* the limit in force, 0: none yet */

	struct arena		 arena;
	struct buf		 notes;
	struct job		 job;		/* the one being run */
	struct handler_arg	*args;
	struct files		 files;
};

/*
 * Once per child, before its sandbox closes: every service's setup().  From here
 * on the process keeps the memory it frees, up to 128 MB, for its next job.
 */
void	 run_init(struct run *, const struct settings *,
	    const struct services *, const char *scratch_root);
void	 run_release(struct run *);

/*
 * The n files that came with the slot's job, whose urls are in its rep; to be
 * called before each run_job() that may have some.  The fds stay the caller's.
 */
void	 run_files(struct run *, const struct ring_slot *, const int *fds,
	    int n);
/*
 * Run the job in slot n; body_fd is the source when it is not inline, or -1.
 * Fills in rep, rep_len, outcome, rep_in and file_len.  A reply file that
 * was used is closed: it is the parent's alone from then on.
 */
void	 run_job(struct run *, struct ring_slot *, int n, int body_fd);
/*
 * Ask the health() of each task in this pool.  rep is the sentences of those
 * that cannot serve and, when there are any, a NUL and the notes of the others.
 */
void	 run_health(struct run *, struct ring_slot *, const char *pool);

#endif
