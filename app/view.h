/* SPDX-License-Identifier: MIT */
/*
 * Which workers live and what they serve, as their heartbeats in Redis say.
 * Asked for every 2 s, and by whoever wants to know it now.
 */
#ifndef APP_VIEW_H
#define APP_VIEW_H

#include "job.h"

struct view_pool {
	char		 name[JOB_POOL_MAX + 1];
	int		 workers;	/* that live and serve it */
	int		 healthy;	/* of them, those whose tasks say so */
	int		 slots, busy;	/* children, and those at work */
	bool		 shares;	/* all of them see our spool */
	int64_t		 waiting;	/* jobs in the queue */
	char		 why[200];	/* of one that is not healthy */
	char		 note[200];	/* of one with something to tell */
};

/* The pools that tasks ask for, before the fork. */
void	 view_init(void);

int	 view_pools(void);
const struct view_pool *view_pool(int index);
int	 view_find(const char *name);	/* index; -1 if no task asks for it */

/* What is known is from the last few seconds. */
bool	 view_is_fresh(void);

/*
 * Ask now.  request_viewed() is called for every request that waits, when the
 * answer is there or cannot be had.  -1 when Redis is away.
 */
int	 view_ask(void);

/* To be called by the sweep. */
void	 view_tick(int64_t now_ms);

#endif
