/* SPDX-License-Identifier: MIT */
/*
 * Pictures kept in a directory: <dir>/<first two of md5>/<md5>.png, md5 being
 * that of the page's url as it was given.  A picture appears whole or not at
 * all; one that fails leaves the old one.  While it is written it has no name,
 * so that nothing is left of one whose writer is killed.  It is then called
 * .<md5>.<16 random hex digits> until that is renamed, or from the start where
 * the file system has no nameless files: no two writers share that, whatever
 * hosts mount the directory.
 *
 * A child may write nowhere but in its scratch directory, so a process that was
 * forked before its sandbox closed does it, with the rights of the worker.  It
 * takes a name of hex digits and a descriptor to copy from, nothing else.
 */
#ifndef SCREENSHOT_STORE_H
#define SCREENSHOT_STORE_H

#include <sys/types.h>

#include "str.h"

struct store {
	pid_t		 pid;		/* 0: no directory is set */
	int		 sock;
	uint32_t	 serial;	/* of the last request */
};

/*
 * dir is made if it is not there.  Returns 0, or -1 with err (UFOP_CONFIG) when
 * it cannot be written to.
 */
int	 store_start(struct store *, const char *dir, struct ufop_err *);
void	 store_end(struct store *);

/*
 * Keep the len bytes of fd, a file; ext is "png".  Returns 0 with the picture's
 * path in path; or -1 with err (UFOP_FAILED).
 */
int	 store_put(struct store *, struct str url, const char *ext, int fd,
	    size_t len, char *path, size_t path_size, struct ufop_err *);

#endif
