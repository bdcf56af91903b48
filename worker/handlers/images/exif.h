/* SPDX-License-Identifier: MIT */
/* The EXIF block of a picture: a small TIFF file of tags. */
#ifndef IMAGES_EXIF_H
#define IMAGES_EXIF_H

#include <stddef.h>

/*
 * The Orientation tag, 1 to 8, of a TIFF block (without "Exif\0\0" in front);
 * 1 when it is missing or the block is damaged.
 */
int	 exif_orientation(const unsigned char *, size_t len);

/*
 * A block that says nothing but an orientation, with "Exif\0\0" in front.
 */
#define EXIF_MINIMAL	32
void	 exif_minimal(unsigned char out[EXIF_MINIMAL], int orient);

#endif
