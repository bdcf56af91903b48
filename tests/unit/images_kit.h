/* SPDX-License-Identifier: MIT */
/* What the tests of pictures share: making them, and looking at them. */
#ifndef TESTS_UNIT_IMAGES_KIT_H
#define TESTS_UNIT_IMAGES_KIT_H

#include "pipeline.h"

extern const struct limits kit_limits;		/* the settings' defaults */

/* An image of reproducible noise, soft enough for JPEG to carry. */
void	 kit_noise(struct image *, enum image_model, bool alpha, int w, int h);
/* One colour. */
void	 kit_flat(struct image *, int w, int h, const unsigned char rgb[3]);
/* Four quarters: red, green, blue, white; row by row. */
void	 kit_quarters(struct image *, int w, int h);
/* "red", "green", "blue", "white" or "?" of the pixel at x, y. */
const char *kit_colour(const struct image *, int x, int y);

/* Encode, or fail the test. */
struct bytes kit_encode(const struct codec *, const struct image *,
	    int quality, int orient);
/* Decode whole at 1:1 to RGB or GREY, or fail the test. */
void	 kit_decode(struct image *, const void *, size_t);
/* 0, or the error's code. */
int	 kit_try_decode(const void *, size_t);

/*
 * What the url of a mark answers, from now on; "http://a/<name>" is the url.
 * The bytes stay the caller's.
 */
void	 kit_serve(int name, const void *, size_t);

/* Run a cmd like "thumbnail/w/20" and decode its result; err's code or 0. */
int	 kit_run(const char *cmd, const void *, size_t, struct image *,
	    struct picture_file *, struct ufop_err *);

/*
 * PNG and GIF (its first frame) as stb reads them, a reader that the service
 * has not: n channels, row by row; free() it.  NULL when stb does not take it.
 */
unsigned char *kit_stb(const void *, size_t, int n, int *w, int *h);

/* The service's kernel in doubles, on all pixels of an interleaved image. */
void	 kit_resize(struct image *, const struct image *, int w, int h);

/* Mean squared difference to PSNR in dB; sizes and models must agree. */
double	 kit_psnr(const struct image *, const struct image *);

#endif
