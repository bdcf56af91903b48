/* SPDX-License-Identifier: MIT */
/*
 * Where ufop's own parts lie, found from where the command itself lies, so
 * that a build tree and an installation both work wherever they are moved.
 */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

#include <limits.h>

#include "err.h"

struct paths {
	char	exe[PATH_MAX];		/* this command */
	char	services[PATH_MAX];	/* directory of the built-in services */
	char	kore_conf[PATH_MAX];	/* Kore's configuration of the front */
	char	data[PATH_MAX];		/* the photographs; may not be there */
};

/*
 *		build tree		installed
 *	exe	build/ufop		PREFIX/bin/ufop
 *	rest	build/...		PREFIX/lib/ufop/...
 *	data	tests/data		PREFIX/share/ufop
 *
 * -1 with err when there are no parts at either place.
 */
int	 paths_find(struct paths *, struct ufop_err *);

/*
 * The program name along PATH, and behind it in the directories that a normal
 * user's PATH lacks (/usr/sbin and the like).  -1 with err: the message names
 * the Debian package to install.
 */
int	 paths_program(char out[PATH_MAX], const char *name,
	    const char *package, struct ufop_err *);

#endif
