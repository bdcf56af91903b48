/* SPDX-License-Identifier: MIT */
/*
 * Directories with all that is in them, also when a stranger's process may
 * still be busy inside; and files that get their name late.
 */
#ifndef LIB_TREE_H
#define LIB_TREE_H

#include <stdbool.h>

/*
 * Remove path and everything below it; what is not there is no error.  The
 * directory that path lies in must be out of the stranger's reach; below path
 * no name is followed twice: directories are opened without following links
 * and emptied by descriptor, so that one swapped for a link meanwhile leads
 * nowhere.  Any depth will do.
 */
void	 tree_remove(const char *path);

/*
 * The same, but at most budget entries of it: false when some are left.  For
 * loops that must not stand still.
 */
bool	 tree_remove_some(const char *path, long budget);

/*
 * Give a file that was opened without a name (O_TMPFILE) one in the directory
 * dir, a descriptor; it must be free.  0, or -1 with errno.
 */
int	 tree_link(int fd, int dir, const char *name);

#endif
