/* SPDX-License-Identifier: MIT */
#include <sys/stat.h>

#include <ftw.h>
#include <stdio.h>

#include "tree.h"

#define OPEN_MAX_DIRS	8	/* descriptors held while walking */

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	(void)remove(path);
	return (0);
}

void
tree_remove(const char *path)
{
	/* FTW_PHYS: a link is removed, never what it points to. */
	(void)nftw(path, remove_one, OPEN_MAX_DIRS, FTW_DEPTH | FTW_PHYS);
}
