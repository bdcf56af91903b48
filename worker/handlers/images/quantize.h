/* SPDX-License-Identifier: MIT */
/* A few colours for many: palettes for GIF. */
#ifndef IMAGES_QUANTIZE_H
#define IMAGES_QUANTIZE_H

#include "image.h"

struct palette {
	int		 n;
	unsigned char	 rgb[256][3];
};

/*
 * Choose at most max (2 to 256) colours for the pixels of a w x h RGBA canvas
 * that are marked in used (one byte each), and write each one's number to index;
 * other pixels are not looked at, and their index is untouched.  Few colours
 * are kept exactly; more are cut at medians, and what is lost is spread by
 * Floyd and Steinberg's weights.  -1 with err when there is no memory.
 */
int	 quantize(struct palette *, unsigned char *index,
	    const unsigned char *rgba, const unsigned char *used, int w, int h,
	    int max, struct ufop_err *);

#endif
