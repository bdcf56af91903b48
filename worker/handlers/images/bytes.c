/* SPDX-License-Identifier: MIT */
/* Files in memory; see bytes.h. */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

int
bytes_put(struct bytes *b, size_t *cap, size_t at, const void *p, size_t n)
{
	size_t end = at + n;

	if (end > *cap) {
		size_t larger = 2 * end + 4096;
		unsigned char *q = realloc(b->p, larger);

		if (q == NULL)
			return (-1);
		b->p = q;
		*cap = larger;
	}
	if (at > b->len)
		memset(b->p + b->len, 0, at - b->len);
	memcpy(b->p + at, p, n);
	if (end > b->len)
		b->len = end;
	return (0);
}
