/* SPDX-License-Identifier: MIT */
/* Reading EXIF; see exif.h.  Every offset comes from the file: checked. */
#include "exif.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "banned.h"

#define TAG_ORIENTATION	0x0112
#define TYPE_SHORT	3

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

int
exif_orientation(const unsigned char *p, size_t len)
{
	struct tiff t = { p, len, false };
	size_t ifd;
	unsigned n;

	if (len < 8)
		return (1);
	t.big = p[0] == 'M';
	if (memcmp(p, t.big ? "MM" : "II", 2) != 0 || get16(&t, 2) != 42)
		return (1);
	ifd = get32(&t, 4);
	if (ifd > len)
		return (1);
	n = get16(&t, ifd);
	for (unsigned i = 0; i < n; i++) {
		size_t at = ifd + 2 + 12 * (size_t)i;

		if (at + 12 > len)
			break;
		if (get16(&t, at) == TAG_ORIENTATION &&
		    get16(&t, at + 2) == TYPE_SHORT) {
			unsigned o = get16(&t, at + 8);

			return (o >= 1 && o <= 8 ? (int)o : 1);
		}
	}
	return (1);
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
