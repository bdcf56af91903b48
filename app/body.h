/* SPDX-License-Identifier: MIT */
/*
 * Where an upload goes: memory while it is small, an unnamed file in the spool
 * from then on.
 */
#ifndef APP_BODY_H
#define APP_BODY_H

#include "spool.h"
#include "str.h"

struct body {
	struct buf	 mem;		/* the bytes, while fd is -1 */
	int		 fd;
	uint64_t	 len;		/* so far */
	uint64_t	 held;		/* bytes counted against the quota */
};

void	 body_init(struct body *);
/*
 * Get ready for len bytes that were announced.  -1 with UFOP_UNAVAILABLE when
 * the spool's quota does not have them.
 */
int	 body_expect(struct body *, uint64_t len, struct ufop_err *);
/* -1 with UFOP_UNAVAILABLE (spool full) or UFOP_SYSTEM. */
int	 body_add(struct body *, struct str, struct ufop_err *);
/* Somebody else has the file now; it still counts until body_clear(). */
void	 body_leave(struct body *);
/* Free everything but the memory, which is used again if it is small. */
void	 body_clear(struct body *);

#endif
