/* SPDX-License-Identifier: MIT */
/*
 * The address that `ufop dev` serves on, while the fronts behind it come and
 * go: a process that takes connections and passes their bytes on to the unix
 * socket of the front of the day.  A connection stays with the front it began
 * with; one that finds none waits until there is.
 */
#ifndef CLI_RELAY_H
#define CLI_RELAY_H

#include <sys/types.h>

#include "err.h"

struct relay {
	pid_t	pid;		/* 0: does not run */
	int	control;	/* tells it where the front is */
};

void	 relay_init(struct relay *);
/* Start it on a listening socket, which it takes over.  0 or -1 with err. */
int	 relay_start(struct relay *, int listen_fd, struct ufop_err *);
/* New connections go to the front at this socket from now on. */
void	 relay_front(struct relay *, const char *path);
/* Take no new connection; ends by itself when the last of the old has gone. */
void	 relay_finish(struct relay *);
void	 relay_kill(struct relay *);

#endif
