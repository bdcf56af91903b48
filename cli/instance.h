/* SPDX-License-Identifier: MIT */
/*
 * The directory of one `ufop up`: the socket of its Redis and its spool.
 */
#ifndef CLI_INSTANCE_H
#define CLI_INSTANCE_H

#include <stdbool.h>

#include "err.h"

#define INSTANCE_PREFIX	"ufop-up-"
/* The sockets of the private Redis servers of all that run here. */
#define INSTANCE_REDIS_GLOB	"/dev/shm/" INSTANCE_PREFIX "*/redis.sock"

struct instance {
	char	dir[64];	/* "": not made */
	int	lock_fd;	/* held for as long as we live; -1 */
	char	redis_sock[96];
	char	spool[96];	/* made by instance_spool() */
	bool	mounted;	/* on it a file system of its own */
};

/*
 * Make one, locked and open to children of another user; and remove what an
 * instance left that was killed by force.  Returns 0, or -1 with err.
 */
int	 instance_make(struct instance *, struct ufop_err *);
/*
 * Make the spool in it.  In a tmpfs and with the right to mount, it is a tmpfs
 * of its own, of the same size, that lays files on large pages where they fill
 * them; in a mount namespace that this process enters and its children share,
 * so that the kernel unmounts it however they end.  Else it is a plain
 * directory.  Returns 0, or -1 with err.
 */
int	 instance_spool(struct instance *, struct ufop_err *);
/* Remove it with all that is in it. */
void	 instance_remove(struct instance *);

#endif
