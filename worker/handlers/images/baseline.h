/* SPDX-License-Identifier: MIT */
/*
 * The pixels of ordinary JPEGs: Huffman-coded, one scan, as cameras write them.
 *
 * libjpeg-turbo takes most of its time for one symbol after another, in code
 * that is not made for 64-bit registers, and makes of each block an array of
 * coefficients to be looked at once more.  Here one look-up takes a symbol and
 * its value from the stream, and the value is added to the block's pixels at
 * once, weighted by what its coefficient looks like on the block: for pixels
 * that are means of 2x2, 4x4 or 8x8 that is a handful of products, done while
 * the next symbol is looked up.  That saves a quarter of the whole time of a
 * thumbnail.
 *
 * The bytes are a stranger's.  What is unusual or wrong in any way is left to
 * libjpeg, which knows what to say.
 */
#ifndef IMAGES_BASELINE_H
#define IMAGES_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jpeglib.h>

#include "image.h"

/*
 * Whether d is such a file.  Its header has been read, and perhaps the size of
 * its result calculated; decompression has not been started.
 */
bool	 baseline_takes(const struct jpeg_decompress_struct *d);

/*
 * Fill the planes (p and stride), one for each component, each with the rows and
 * columns that make its blocks whole, side x side samples of each: 1, 2, 4 or 8.
 * Samples are means of 8/side x 8/side of the file's, clamped to 0 to 255.  They
 * differ from libjpeg's by its rounding, at most 1.
 *
 * Returns whether all went well, to the last byte.  If not, d is as it was, and
 * planes hold nothing of use.
 */
bool	 baseline_decode(const struct jpeg_decompress_struct *d,
	    const struct plane *planes, const int *side);

#endif
