/* SPDX-License-Identifier: MIT */
/*
 * The source of `ufop process`: a file, or standard input.
 */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "err.h"

struct source {
	int		 fd;		/* a regular file or a memfd */
	uint64_t	 len;		/* bytes in it */
	const char	*type;		/* guessed; "" when nothing fits */
};

/*
 * Open path for reading; "-" is standard input.  What is not a regular file
 * (a pipe, a device) is read to its end into memory.  More than max bytes are
 * refused (UFOP_TOO_BIG).  The content type is told from the first bytes, else
 * from the name's ending.
 * 0, and source_close() is due, or -1 with err.
 */
int	 source_open(struct source *, const char *path, int64_t max,
	    struct ufop_err *);
void	 source_close(struct source *);

#endif
