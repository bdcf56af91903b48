/* SPDX-License-Identifier: MIT */
/*
 * An author's project: the files that ufop writes into it, and its name.
 */
#ifndef CLI_PROJECT_H
#define CLI_PROJECT_H

#include <limits.h>

#include "err.h"
#include "str.h"

#define PROJECT_NAME_MAX	32	/* of the setting ufop.name */

/* What the @WORD@s of a template stand for. */
struct project_words {
	const char	*name;		/* @NAME@ */
	const char	*ufop;		/* @UFOP@: the path of this command */
};

/*
 * A name for the project in the current directory, made of the letters and
 * digits of the directory's own, with one '-' or '_' for what is between them:
 * an image can have it too.  Where none is left, "ufop".
 */
void	 project_name(char out[PROJECT_NAME_MAX + 1]);

/* The template at path ("project/app.c"; it must be there), filled in. */
void	 project_text(const char *path, const struct project_words *,
	    struct buf *out);

/*
 * Write the template called from to the file called to, which is made with the
 * directory it lies in.  A file that is there is kept.  Says on standard output
 * which of the two it was.  0, or -1 with err.
 */
int	 project_write(const char *from, const char *to,
	    const struct project_words *, struct ufop_err *);

/* The same for all templates below dir ("project/"), into this directory. */
int	 project_write_all(const char *dir, const struct project_words *,
	    struct ufop_err *);

#endif
