/* SPDX-License-Identifier: MIT */
/*
 * A service's setup(), with its settings at hand while it runs.
 */
#ifndef LIB_SETUP_H
#define LIB_SETUP_H

#include "settings.h"

/*
 * The pool of this process, for ufop_setup_pool(); to be said before any
 * setup() runs.  pool must outlive them all.
 */
void	 setup_pool(const char *pool);

/*
 * Run the service's setup() so that ufop_setup_setting() gives it what these
 * settings say.  Returns what setup() does (0, or -1 with a sentence in why),
 * and 0 when the service has none.
 */
int	 setup_run(const struct ufop_service *, const struct settings *,
	    char *why, size_t why_size);

/* The service's describe() in the same way; text is empty if it has none. */
void	 setup_describe(const struct ufop_service *, const struct settings *,
	    char *text, size_t text_size);

#endif
