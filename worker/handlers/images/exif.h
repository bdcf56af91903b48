/* SPDX-License-Identifier: MIT */
/* The EXIF block of a picture: a small TIFF file of tags. */
#ifndef IMAGES_EXIF_H
#define IMAGES_EXIF_H

#include <stddef.h>

/*
 * The Orientation tag, 1 to 8, of a TIFF block ("Exif\0\0" may stand in front);
 * 1 when it is missing or the block is damaged.
 */
int	 exif_orientation(const unsigned char *, size_t len);

/*
 * The tags of such a block or of a whole TIFF file in a new block, with
 * "Exif\0\0" in front, for free().  It has at most EXIF_MAX bytes: large values,
 * and where a TIFF's pixels lie, are left out.  NULL when there are no tags,
 * or no memory.
 */
#define EXIF_MAX	65535	/* what fits a segment of a JPEG */
unsigned char *exif_pack(const unsigned char *, size_t len, size_t *out_len);

/*
 * A block that says nothing but an orientation, with "Exif\0\0" in front.
 */
#define EXIF_MINIMAL	32
void	 exif_minimal(unsigned char out[EXIF_MINIMAL], int orient);

#endif
