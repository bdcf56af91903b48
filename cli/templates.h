/* SPDX-License-Identifier: MIT */
/*
 * The files under scripts/templates, put into the command by scripts/embed.
 */
#ifndef CLI_TEMPLATES_H
#define CLI_TEMPLATES_H

#include <stddef.h>

struct template {
	const char		*path;		/* "project/app.c" */
	const unsigned char	*data;		/* text with @WORD@s to fill in */
	size_t			 len;
	unsigned		 mode;		/* 0644 or 0755 */
};

extern const struct template	templates[];	/* ends with a NULL path */

#endif
