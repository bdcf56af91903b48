/* SPDX-License-Identifier: MIT */
/*
 * A warm browser: started at the first job, kept for the next ones, started
 * anew when it died, after so many jobs or over so much memory.
 *
 * Each job has a browser context of its own (no cookie, cache or storage of
 * another) with one tab in it.  Making both takes 50 ms, most of it a fresh
 * renderer process, so the next job's are made while this one's picture is
 * compressed, and what is left of that goes on in a thread between jobs.
 */
#ifndef SCREENSHOT_BROWSER_H
#define SCREENSHOT_BROWSER_H

#include <pthread.h>

#include "cdp.h"
#include "keeper.h"

struct tab {
	char	context[CDP_NAME_MAX + 1];
	char	target[CDP_NAME_MAX + 1];	/* its main frame's id as well */
	char	session[CDP_NAME_MAX + 1];
};

enum next_state {
	NEXT_NONE,
	NEXT_CONTEXT,		/* asked for */
	NEXT_TARGET,
	NEXT_SESSION,
	NEXT_SET_UP,
	NEXT_READY,
};

struct browser {
	struct keeper	 keeper;
	int		 jobs_max;	/* 0: no limit */
	int64_t		 memory_mark;	/* bytes; over it a new one after a job */
	bool		 up;
	struct cdp	 cdp;
	int		 njobs;
	struct tab	 tab;		/* the running job's */
	struct tab	 next;
	enum next_state	 next_state;
	int		 next_id;	/* of the command under way */
	bool		 preparing;	/* the thread has the cdp */
	pthread_t	 thread;
};

/*
 * A tab for a job, in browser->tab; starts the browser if need be.  Returns 0,
 * or -1 with err: UFOP_UNAVAILABLE, UFOP_TIMED_OUT, or UFOP_SYSTEM when there
 * can be no browser any more in this process.
 */
int	 browser_tab(struct browser *, int64_t deadline_us, struct ufop_err *);

/* Begin with the next job's tab. */
void	 browser_prepare(struct browser *);

/*
 * Have a tab's session tell of all that goes over the network, as it does from
 * its start.  Returns the command's id.
 */
int	 browser_follow_network(struct browser *, const char *session);

/* True when the message was about the next job's tab, and is done with. */
bool	 browser_message(struct browser *, const struct cdp_msg *);

/* The job is done: its tab goes, the next one's is got ready. */
void	 browser_done(struct browser *);

/* End the browser; the next job starts a new one. */
void	 browser_drop(struct browser *);

/* Why it ended, as a sentence's end; for a browser found dead. */
void	 browser_why(struct browser *, char *out, size_t size);

#endif
