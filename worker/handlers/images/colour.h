/* SPDX-License-Identifier: MIT */
/*
 * ICC profiles, by Little CMS.  Results carry none and are sRGB, which is what
 * every viewer takes a picture without a profile for.
 */
#ifndef IMAGES_COLOUR_H
#define IMAGES_COLOUR_H

#include "image.h"

/*
 * Whether pixels of this model need converting under the profile: false when
 * it is sRGB by its own description, damaged, or made for another model.
 */
bool	 colour_matters(const unsigned char *icc, size_t len,
	    enum image_model);

/*
 * RGB, GREY or CMYK as the profile means it to RGB as sRGB means it; alpha is
 * kept.
 */
int	 colour_to_srgb(struct image *, const unsigned char *icc, size_t len,
	    struct ufop_err *);

#endif
