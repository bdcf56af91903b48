/* SPDX-License-Identifier: MIT */
/*
 * Memory that lives as long as one job or one request and goes in one call.
 */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include "str.h"

struct arena_block;

struct arena {
	struct arena_block	*head;
};

void	 arena_init(struct arena *);
/* n * size zeroed bytes, aligned for any type.  Never NULL: running out aborts. */
void	*arena_alloc(struct arena *, size_t n, size_t size);
/* A NUL-terminated copy. */
char	*arena_str(struct arena *, struct str);
char	*arena_printf(struct arena *, const char *fmt, ...) UFOP_PRINTF(2, 3);
/* All of it gone; the first block is kept for the next round. */
void	 arena_clear(struct arena *);
void	 arena_release(struct arena *);

/* malloc() and friends that abort with a message instead of returning NULL. */
void	*xmalloc(size_t);
void	*xcalloc(size_t n, size_t size);
void	*xrealloc(void *, size_t);
char	*xstrdup(const char *);
char	*xasprintf(const char *fmt, ...) UFOP_PRINTF(1, 2);

#endif
