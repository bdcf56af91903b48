/* SPDX-License-Identifier: MIT */
/*
 * Taking the chunks out of a chunked body (RFC 9112, 7.1).  Pure, and
 * incremental: any cut of the input gives the same output.
 */
#ifndef APP_CHUNKED_H
#define APP_CHUNKED_H

#include "str.h"

/* Bytes of one chunk's size line, and of all trailers together. */
#define CHUNKED_LINE_MAX	256
#define CHUNKED_TRAILER_MAX	8192

enum chunked_state {
	CHUNKED_SIZE, CHUNKED_EXTENSION, CHUNKED_DATA, CHUNKED_DATA_END,
	CHUNKED_TRAILER, CHUNKED_DONE, CHUNKED_BROKEN
};

struct chunked {
	enum chunked_state state;
	uint64_t	 left;		/* of this chunk's data */
	size_t		 seen;		/* bytes of this line, of the trailers */
	bool		 digits;	/* the size has at least one */
	bool		 cr;		/* a CR was last */
	bool		 blank;		/* nothing in this trailer line yet */
};

void	 chunked_init(struct chunked *);

/*
 * Look at in and cut off its front what belongs together: returns a piece of
 * the body inside in (possibly empty) and moves *in behind it.  To be called
 * until *in is empty or state is CHUNKED_DONE (what is left in *in is the next
 * request) or CHUNKED_BROKEN (no chunked body; nothing of it can be used).
 */
struct str chunked_next(struct chunked *, struct str *in);

#endif
