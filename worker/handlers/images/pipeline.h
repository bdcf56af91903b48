/* SPDX-License-Identifier: MIT */
/* A picture through the steps of a cmd. */
#ifndef IMAGES_PIPELINE_H
#define IMAGES_PIPELINE_H

#include "grammar.h"

/*
 * Do what spec says with the len bytes at data.  On success out->bytes are the
 * caller's to free; times is filled in either way.
 */
int	 pipeline_run(const struct spec *, const struct limits *,
	    const unsigned char *data, size_t len, struct picture_file *out,
	    struct picture_times *, struct ufop_err *);

#endif
