/* SPDX-License-Identifier: MIT */
/*
 * Directories with all that is in them.
 */
#ifndef LIB_TREE_H
#define LIB_TREE_H

/* Remove path and everything below it; what is not there is no error. */
void	 tree_remove(const char *path);

#endif
