/* SPDX-License-Identifier: MIT */
/*
 * The worker parent: takes jobs from Redis, hands them to children, settles
 * them.  It never decodes a stranger's bytes.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "err.h"
#include "services.h"
#include "settings.h"

/*
 * Serve until SIGTERM or SIGINT (take nothing new, finish what runs, hand back
 * what waits) and return the exit status: 0 after an orderly end.  SIGHUP
 * replaces the children one by one.  When ready_fd is not -1, one line is
 * written to it and it is closed once every pool has its children and the
 * first heartbeat is out.
 */
int	 worker_run(const struct settings *, const struct services *,
	    int ready_fd);

#endif
