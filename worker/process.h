/* SPDX-License-Identifier: MIT */
/*
 * One job without Redis: the router, a child and its sandbox, and the fetch
 * process if a url is to be read, exactly as the worker uses them, for `ufop
 * process` and `ufop test`.
 */
#ifndef WORKER_PROCESS_H
#define WORKER_PROCESS_H

#include "err.h"
#include "router.h"
#include "services.h"
#include "settings.h"

struct process_request {
	struct str	 cmd;		/* without the ufop's name; pipes allowed */
	int		 fd;		/* the source, a regular file; -1: none */
	uint64_t	 len;		/* bytes in fd */
	const char	*content_type;	/* "" if not known */
	const char	*accept;	/* "" if none */
	const char	*url;		/* to be fetched when fd is -1; or NULL */
};

struct process_result {
	int		 status;	/* HTTP status of the reply */
	char		 type[256];	/* Content-Type */
	unsigned char	*data;		/* the body; process_release() */
	size_t		 len;
	char		 log[2048];	/* stage notes: "decode=3.0ms shrink=1/4" */
	uint32_t	 run_us;
	uint32_t	 peak_kb;	/* the child's peak resident memory */
	void		*map;
};

/*
 * Route cmd, run it in a fresh child and wait for the answer or the task's
 * deadline.  Returns 0 also when the handler answered an error (see status;
 * data is then the JSON); -1 with err when it did not come to that: no route,
 * bad cmd, child died or was killed at its deadline.
 */
int	 process_run(const struct settings *, const struct services *,
	    const struct router *, const struct process_request *,
	    struct process_result *, struct ufop_err *);
void	 process_release(struct process_result *);

#endif
