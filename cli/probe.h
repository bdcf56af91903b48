/* SPDX-License-Identifier: MIT */
/*
 * One GET /health, step by step without blocking, so that it fits into a loop.
 */
#ifndef CLI_PROBE_H
#define CLI_PROBE_H

#include "err.h"
#include "str.h"

#define PROBE_ANSWER_MAX	4096	/* more of an answer is not read */

struct probe {
	int	fd;			/* to be polled; -1 when none is under way */
	short	events;			/* for what */
	bool	connected;
	size_t	len;
	char	answer[PROBE_ANSWER_MAX + 1];
};

void	 probe_init(struct probe *);
/*
 * Connect to host:port, an IPv4 or IPv6 address, or to the unix socket that
 * host is when it begins with a slash.  -1: nobody listens there.
 */
int	 probe_start(struct probe *, const char *host, int port,
	    const char *path);
/*
 * After poll() said something: 0 when there is more to come, an HTTP status
 * when the answer is whole, -1 when the connection failed; in the last two
 * cases fd is closed and -1 again.
 */
int	 probe_step(struct probe *);
void	 probe_cancel(struct probe *);

/* The body of the answer: why the health is bad. */
struct str probe_body(const struct probe *);

/*
 * The address under which a front that listens on host is reached from here:
 * "127.0.0.1" for "0.0.0.0".
 */
const char *probe_host(const char *host);

#endif
