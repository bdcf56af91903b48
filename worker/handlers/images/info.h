/* SPDX-License-Identifier: MIT */
/* What can be said of a picture without showing it; the tasks' JSON. */
#ifndef IMAGES_INFO_H
#define IMAGES_INFO_H

#include "picture.h"

/*
 * All return a new reference, or NULL with err.
 *
 * {"format":"jpeg","width":640,"height":427,"colorModel":"ycbcr"}, as stored;
 * and "frameNumber" where there can be more than one.
 */
json_t	*info_head(const struct image_info *, struct ufop_err *);

/*
 * {"DateTime":{"type":2,"val":"2011:11:19 17:09:23"},...}: EXIF tags by name,
 * values as libexif words them in English.  UFOP_BAD_INPUT when there are none.
 */
json_t	*info_exif(const struct codec *, const unsigned char *, size_t,
	    struct ufop_err *);

/* {"RGB":"0x85694d"}, the mean colour. */
json_t	*info_average(struct picture *, struct ufop_err *);

#endif
