/* SPDX-License-Identifier: MIT */
/* Reading EXIF; see exif.h.  Every offset comes from the file: checked. */
#include "exif.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "banned.h"

#define TAG_ORIENTATION	0x0112
#define TYPE_SHORT	3
#define TYPE_LONG	4
#define PREFIX		6	/* bytes of "Exif\0\0" */
#define ENTRY		12	/* bytes of an entry in a directory */
#define VALUE_MAX	4096	/* bytes of a value that is copied */

struct tiff {
	const unsigned char	*p;
	size_t			 len;
	bool			 big;	/* "MM": big-endian */
};

static unsigned
get16(const struct tiff *t, size_t at)
{
	const unsigned char *p = t->p + at;

	if (at + 2 > t->len)
		return (0);
	return (t->big ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0]);
}

static uint32_t
get32(const struct tiff *t, size_t at)
{
	if (at + 4 > t->len)
		return (0);
	return (t->big ? get16(t, at) << 16 | get16(t, at + 2) :
	    get16(t, at + 2) << 16 | get16(t, at));
}

/* Where the first directory is; 0 when there is none. */
static size_t
tiff_open(struct tiff *t, const unsigned char *p, size_t len)
{
	size_t ifd;

	if (len >= PREFIX && memcmp(p, "Exif\0", PREFIX) == 0) {
		p += PREFIX;
		len -= PREFIX;
	}
	*t = (struct tiff){ p, len, false };
	if (len < 8)
		return (0);
	t->big = p[0] == 'M';
	if (memcmp(p, t->big ? "MM" : "II", 2) != 0 || get16(t, 2) != 42)
		return (0);
	ifd = get32(t, 4);
	return (ifd <= len ? ifd : 0);
}

/* Entries of the directory at ifd that are there, whatever it says. */
static size_t
entries(const struct tiff *t, size_t ifd)
{
	size_t n = get16(t, ifd), room = ifd + 2 < t->len ?
	    (t->len - ifd - 2) / ENTRY : 0;

	return (n < room ? n : room);
}

int
exif_orientation(const unsigned char *p, size_t len)
{
	struct tiff t;
	size_t ifd = tiff_open(&t, p, len);
	size_t n = ifd > 0 ? entries(&t, ifd) : 0;

	for (size_t i = 0; i < n; i++) {
		size_t at = ifd + 2 + ENTRY * i;

		if (get16(&t, at) == TAG_ORIENTATION &&
		    get16(&t, at + 2) == TYPE_SHORT) {
			unsigned o = get16(&t, at + 8);

			return (o >= 1 && o <= 8 ? (int)o : 1);
		}
	}
	return (1);
}

/* ---- copying tags ---------------------------------------------------- */

/* A block in the making; offsets are from the TIFF header, as in t. */
struct block {
	unsigned char	*p;
	size_t		 len, cap;
	bool		 big;
};

static void
set16(const struct block *b, size_t at, unsigned v)
{
	b->p[at + b->big] = (unsigned char)v;
	b->p[at + !b->big] = (unsigned char)(v >> 8);
}

static void
set32(const struct block *b, size_t at, size_t v)
{
	set16(b, at + (b->big ? 2 : 0), v & 0xffff);
	set16(b, at + (b->big ? 0 : 2), (unsigned)(v >> 16));
}

/* n bytes more, on an even place; 0 when there is no room. */
static size_t
reserve(struct block *b, size_t n)
{
	size_t at = b->len + (b->len & 1);

	if (n > b->cap || at > b->cap - n)
		return (0);
	memset(b->p + b->len, 0, at + n - b->len);
	b->len = at + n;
	return (at);
}

/* Where a TIFF's pixels lie says nothing without them. */
static bool
about_pixels(unsigned tag)
{
	return (tag == 0x0111 || tag == 0x0117 || tag == 0x0144 ||
	    tag == 0x0145);
}

/*
 * The directory at ifd and those below it; levels says how many may follow, as
 * a file can lead in a circle.  Returns its place, 0 when nothing is in it.
 */
static size_t
copy_ifd(struct block *b, const struct tiff *t, size_t ifd, int levels)
{
	static const unsigned char size[] = {
		0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8
	};
	size_t n = entries(t, ifd), to = 0;
	size_t ours = n > 0 ? reserve(b, 2 + ENTRY * n + 4) : 0;

	for (size_t i = 0; i < n && ours > 0; i++) {
		size_t at = ifd + 2 + ENTRY * i, d = ours + 2 + ENTRY * to;
		unsigned tag = get16(t, at), type = get16(t, at + 2);
		size_t count = get32(t, at + 4), value = get32(t, at + 8);
		size_t bytes = type < sizeof(size) && count <= VALUE_MAX ?
		    size[type] * count : 0;

		if (bytes == 0 || bytes > VALUE_MAX || about_pixels(tag))
			continue;
		/* Exif, GPS, interoperability: directories of their own. */
		if (tag == 0x8769 || tag == 0x8825 || tag == 0xa005) {
			value = type == TYPE_LONG && levels > 0 &&
			    value < t->len ? copy_ifd(b, t, value, levels - 1) : 0;
			if (value == 0)
				continue;
			set32(b, d + 8, value);
		} else if (bytes > 4) {
			size_t copy;

			if (value > t->len || t->len - value < bytes ||
			    (copy = reserve(b, bytes)) == 0)
				continue;
			memcpy(b->p + copy, t->p + value, bytes);
			set32(b, d + 8, copy);
		} else
			memcpy(b->p + d + 8, t->p + at + 8, 4);
		memcpy(b->p + d, t->p + at, 8);
		to++;
	}
	if (to > 0)
		set16(b, ours, (unsigned)to);
	return (to > 0 ? ours : 0);
}

unsigned char *
exif_pack(const unsigned char *p, size_t len, size_t *out_len)
{
	struct block b = { .len = 8, .cap = EXIF_MAX - PREFIX };
	unsigned char *out;
	struct tiff t;
	size_t ifd = tiff_open(&t, p, len);

	if (ifd == 0 || (out = malloc(EXIF_MAX)) == NULL)
		return (NULL);
	memcpy(out, "Exif\0", PREFIX);
	b.p = out + PREFIX;
	b.big = t.big;
	memcpy(b.p, t.p, 4);
	ifd = copy_ifd(&b, &t, ifd, 2);
	set32(&b, 4, ifd);
	*out_len = PREFIX + b.len;
	if (ifd > 0)
		return (out);
	free(out);
	return (NULL);
}

void
exif_minimal(unsigned char out[EXIF_MINIMAL], int orient)
{
	static const unsigned char block[EXIF_MINIMAL] = {
		'E', 'x', 'i', 'f', 0, 0,
		'I', 'I', 42, 0, 8, 0, 0, 0,	/* the directory is at 8 */
		1, 0,				/* of one entry: */
		0x12, 0x01, TYPE_SHORT, 0, 1, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0			/* and no other */
	};

	memcpy(out, block, sizeof(block));
	out[24] = (unsigned char)orient;
}
