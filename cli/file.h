/* SPDX-License-Identifier: MIT */
/*
 * Whole files: what a command reads and writes in one piece.
 */
#ifndef CLI_FILE_H
#define CLI_FILE_H

#include "err.h"
#include "str.h"

/* The whole file at path, at most max bytes; buf_release() in any case. */
int	 file_read(const char *path, size_t max, struct buf *,
	    struct ufop_err *);

/*
 * Give the file called path a new content: whole or not at all, and with the
 * mode it had, or that of any new file.  A pipe or a device is written to.
 */
int	 file_replace(const char *path, struct str content, struct ufop_err *);

/* All of it to fd: 0, or -1 with errno. */
int	 file_write(int fd, struct str);

#endif
