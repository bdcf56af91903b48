/* SPDX-License-Identifier: MIT */
/* Operations on pixels at hand.  All replace the image by the result. */
#ifndef IMAGES_OPS_H
#define IMAGES_OPS_H

#include "image.h"

/*
 * Turned clockwise around its centre into w x h (RGB or GREY in, RGB out, with
 * alpha when the image or the colour behind has it).
 */
int	 ops_rotate(struct image *, int degrees, int w, int h,
	    const unsigned char rgba[4], struct ufop_err *);

/* Every plane, or every channel.  Planes of YCC must be of one size. */
int	 ops_blur(struct image *, int radius, double sigma, struct ufop_err *);
/* Of YCC only the brightness, so that noise of colour stays as it is. */
int	 ops_sharpen(struct image *, struct ufop_err *);

/* Transparent corners, smooth at the edge.  RGB or GREY. */
int	 ops_round(struct image *, double rx, double ry, struct ufop_err *);

/*
 * Paint a colour through a mask (GREY), or lay another picture (RGB or GREY) on
 * this one, its left upper corner at x, y; what stands over is cut off.  Of
 * the mask or the other's alpha only the part opacity (0 to 1) counts.  RGB or
 * GREY in, RGB out.
 */
int	 ops_paint(struct image *, const struct image *mask, int64_t x,
	    int64_t y, const unsigned char rgba[4], double opacity,
	    struct ufop_err *);
int	 ops_blend(struct image *, const struct image *on, int64_t x, int64_t y,
	    double opacity, struct ufop_err *);

/* Mean of RGB or GREY, weighted by alpha. */
void	 ops_average(const struct image *, unsigned char rgb[3]);

#endif
