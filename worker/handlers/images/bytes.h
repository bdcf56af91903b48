/* SPDX-License-Identifier: MIT */
/* Files in memory: bytes that grow, and the numbers in them. */
#ifndef IMAGES_BYTES_H
#define IMAGES_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* An encoded file: malloc()ed, free() it. */
struct bytes {
	unsigned char	*p;
	size_t		 len;
};

/*
 * Put n bytes at a place inside of b, at its end or behind it, where zeros fill
 * the gap.  *cap is what is allocated: 0 at first, then this function's own.
 * Returns 0, or -1 when there is no memory; b is then what it was.
 */
int	 bytes_put(struct bytes *b, size_t *cap, size_t at, const void *p,
	    size_t n);

static inline unsigned
le16(const unsigned char *p)
{
	return ((unsigned)p[1] << 8 | p[0]);
}

static inline uint32_t
le32(const unsigned char *p)
{
	return ((uint32_t)le16(p + 2) << 16 | le16(p));
}

static inline unsigned
be16(const unsigned char *p)
{
	return ((unsigned)p[0] << 8 | p[1]);
}

static inline uint32_t
be32(const unsigned char *p)
{
	return ((uint32_t)be16(p) << 16 | be16(p + 2));
}

#endif
