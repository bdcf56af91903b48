/* SPDX-License-Identifier: MIT */
/*
 * The scribe log: a file with a line for each picture of a page that was to be
 * kept, beside ufop's own log, for whoever reads it by machine.
 *
 * The front writes it, not the workers, for it is the front alone that hears
 * how each request ends, also those that no handler ever saw or whose answer
 * came too late: one request, one end, one line (request.c).
 *
 * The file is opened for each line, so that it can be renamed at any time and
 * nobody has to be told; a line is one write() behind the end, so that several
 * processes may add theirs.
 */
#ifndef APP_SCRIBE_H
#define APP_SCRIBE_H

#include <stdint.h>

#include "str.h"

#define SCRIBE_SOURCE_MAX	2048	/* bytes of a url that are kept */

/*
 * Lines go to file, which is kept by reference.  It is made now if it is not
 * there.  Returns 0, or -1 with errno when nothing can be added to it.  Until
 * then scribe_line() is not to be called.
 */
int	 scribe_open(const char *file);

/* Add a line; one that cannot be written is told to the log. */
void	 scribe_line(struct str source, int64_t runtime_us);

/*
 * The line: time (seconds since 1970), host, "screenshot", runtime in seconds,
 * "0" and source, with a byte 0x01 between and a newline behind.  A control
 * byte of source becomes a '?'.
 */
void	 scribe_text(struct buf *, int64_t time_s, const char *host,
	    int64_t runtime_us, struct str source);

#endif
