/* SPDX-License-Identifier: MIT */
/*
 * Redis, front and worker together, for `ufop up`; and with them whatever
 * builds what they load, for `ufop dev`.
 */
#ifndef CLI_UP_H
#define CLI_UP_H

#include <sys/types.h>

#include <poll.h>

#include "cli.h"

struct up;

#define UP_GUEST_FDS	4

/*
 * Who shares the loop of up_run().  Front and worker then read the settings
 * themselves, at each start anew, and all fronts listen on one socket, so that
 * they can be replaced while it runs.
 */
struct up_guest {
	void	*arg;
	/* What to poll for; at most UP_GUEST_FDS.  Returns how many. */
	int	(*fds)(void *arg, struct pollfd *fds);
	/* Called once a turn, with what poll() said of them, while all runs. */
	void	(*turn)(void *arg, struct up *, const struct pollfd *fds, int n);
	/* When turn() is to be called at the latest; 0: whenever. */
	int64_t	(*due_ms)(void *arg);
	/* A child ended that is none of up's. */
	void	(*ended)(void *arg, pid_t, int wstatus);
	/* What up_swap() began has come to its end. */
	void	(*swapped)(void *arg, bool ok, int took_ms);
	/* All is about to end: stop children of one's own. */
	void	(*stop)(void *arg);
};

/*
 * Start all, watch over it until a signal comes, stop all.  address and port
 * are what --listen and -p said, or NULL; guest may be NULL.  Returns the exit
 * status.
 */
int	 up_run(struct cli *, const char *address, const char *port,
	    const struct up_guest *);

/*
 * Replace worker and front by new ones, which load what is there now.  The old
 * ones take nothing new once the new ones are ready, finish what they have and
 * end.  False, and nothing is done, while an earlier swap goes on.
 */
bool	 up_swap(struct up *);


#endif
