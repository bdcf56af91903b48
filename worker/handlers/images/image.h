/* SPDX-License-Identifier: MIT */
/*
 * Pixels in memory.
 *
 * Samples are 8 bit, gamma-encoded sRGB (or JPEG's full-range YCbCr of it),
 * row 0 on top.  An image is either one plane of interleaved samples or three
 * planes Y, Cb, Cr of which the latter two may be smaller: most JPEG work never
 * leaves that form.
 *
 * A plane knows where it lies on the *stored* picture (as the file has it,
 * before any EXIF rotation): a decoder may have shrunk it or skipped what is
 * around it.  Column x covers stored columns x0 + x * sx to x0 + (x + 1) * sx.
 */
#ifndef IMAGES_IMAGE_H
#define IMAGES_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ufop.h"
#include "banned.h"

enum image_model {
	IMAGE_GREY,
	IMAGE_RGB,
	IMAGE_YCC,		/* full range BT.601, as in JFIF */
	IMAGE_CMYK,		/* 255 is no ink, as Adobe's JPEG has it */
};

struct plane {
	unsigned char	*p;
	int		 w, h;		/* samples, at least 1 */
	int		 n;		/* channels, interleaved: 1 to 4 */
	size_t		 stride;	/* bytes from row to row */
	double		 x0, y0;	/* stored pixels, see above */
	double		 sx, sy;
};

struct image {
	enum image_model model;
	bool		 alpha;		/* the last channel of an interleaved image */
	int		 nplanes;	/* 0 (none), 1 or 3 (YCC only) */
	struct plane	 plane[3];
	void		*mem;		/* all pixels are inside; free() */
};

static inline unsigned char
clamp8(int v)
{
	return ((unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v));
}

/* A rectangle on the stored picture; edges need not fall on pixels. */
struct rect {
	double		 x, y, w, h;
};

/*
 * Fill err, which must not be NULL, and return -1.  A code and a sentence for
 * the client: what is wrong, and what to do.
 */
int	 image_err(struct ufop_err *err, enum ufop_code, const char *fmt, ...)
	    UFOP_PRINTF(3, 4);

/* Memory for size bytes; NULL with err (UFOP_TOO_BIG) when there is none. */
void	*image_malloc(size_t size, struct ufop_err *err);

/*
 * One interleaved plane of w x h, uninitialised, at 1:1.  Sizes have been
 * checked against the limits by the caller.  image_release() frees.
 */
int	 image_init(struct image *, enum image_model, bool alpha, int w, int h,
	    struct ufop_err *);
/* The same around pixels that are there already; mem is the image's now. */
void	 image_wrap(struct image *, enum image_model, bool alpha, int w, int h,
	    void *mem);
/* Three planes; Cb and Cr are cw x ch. */
int	 image_init_planar(struct image *, int w, int h, int cw, int ch,
	    struct ufop_err *);
void	 image_release(struct image *);

/* Channels of an interleaved image of this kind, alpha included. */
int	 image_channels(enum image_model, bool alpha);

/*
 * Turn the pixels so that what EXIF orientation o (1 to 8) says is done: o = 6
 * turns by 90 degrees clockwise.  1 does nothing.
 */
int	 image_orient(struct image *, int o, struct ufop_err *);

/*
 * Any model to interleaved RGB or GREY, alpha kept.  Planes of YCC must be of
 * one size.
 */
int	 image_to_rgb(struct image *, struct ufop_err *);
/* The same, but GREY becomes three equal channels. */
int	 image_to_rgb3(struct image *, struct ufop_err *);

/* Blend over a colour (r, g, b; grey images use g) and drop the alpha. */
void	 image_flatten(struct image *, const unsigned char rgb[3]);
/* Drop the alpha when it says nothing: every pixel opaque. */
void	 image_drop_opaque(struct image *);

/*
 * Colour times alpha, in place.  Resampling mixes pixels, and a transparent
 * pixel's colour must not be mixed in.
 */
void	 image_premultiply(struct image *);

#endif
