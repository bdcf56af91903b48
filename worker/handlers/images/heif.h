/* SPDX-License-Identifier: MIT */
/*
 * libheif is opened at run time: it brings three codecs of video with it (20
 * MB), and a machine that has no use for AVIF and HEIC does without.
 */
#ifndef IMAGES_HEIF_H
#define IMAGES_HEIF_H

/* Open it if it is installed, before the sandbox closes. */
void	 heif_setup(void);

#endif
