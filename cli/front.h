/* SPDX-License-Identifier: MIT */
#ifndef CLI_FRONT_H
#define CLI_FRONT_H

#include "settings.h"

/* What --listen and then -p do to front.listen; either may be NULL. */
int	 front_set_listen(struct settings *, const char *address,
	    const char *port, struct ufop_err *);

#endif
