/* SPDX-License-Identifier: MIT */
/*
 * A tree is made flat while it is removed: what is found in a directory below
 * the top is unlinked or, if it is a directory itself, moved up to the top
 * under a new name.  So two descriptors are enough for any depth, and no path
 * is ever longer than one name.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tree.h"

#define DIR_FLAGS	(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* More entries than any job leaves: somebody goes on making files. */
#define BUDGET_MAX	10000000

struct sweep {
	int	 top;
	long	 budget;
	long	 moved;		/* names given at the top */
	bool	 progress;	/* something went in this pass */
};

static bool
is_dot(const char *name)
{
	return (strcmp(name, ".") == 0 || strcmp(name, "..") == 0);
}

static bool
gone(struct sweep *sw, int fd, const char *name)
{
	if (unlinkat(fd, name, 0) == -1 &&
	    unlinkat(fd, name, AT_REMOVEDIR) == -1)
		return (false);
	sw->progress = true;
	return (true);
}

/* Empty the directory fd (closed here), moving directories to the top. */
static void
empty(struct sweep *sw, int fd)
{
	struct dirent	*de;
	char		 name[40];
	DIR		*dir;
	int		 rc;

	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return;
	}
	while (sw->budget > 0 && (de = readdir(dir)) != NULL) {
		if (is_dot(de->d_name))
			continue;
		sw->budget--;
		if (gone(sw, fd, de->d_name))
			continue;
		do
			snprintf(name, sizeof(name), ".flat.%ld", sw->moved++);
		while ((rc = renameat(fd, de->d_name, sw->top, name)) == -1 &&
		    (errno == EEXIST || errno == ENOTEMPTY));
		sw->progress |= rc == 0;
	}
	closedir(dir);
}

/* Open a directory, also one whose rights its owner has taken away. */
static int
open_closed(int top, const char *name)
{
	char	 path[40];
	int	 fd, at;

	fd = openat(top, name, DIR_FLAGS);
	if (fd != -1 || errno != EACCES)
		return (fd);
	/* By descriptor: a path could be a link by now. */
	at = openat(top, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (at == -1)
		return (-1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", at);
	(void)chmod(path, 0700);
	close(at);
	return (openat(top, name, DIR_FLAGS));
}

/* One pass over the top; true when it is empty. */
static bool
pass(struct sweep *sw)
{
	struct dirent	*de;
	bool		 clean = true;
	DIR		*dir;
	int		 fd;

	/* A descriptor of its own: closedir() takes it along. */
	if ((fd = openat(sw->top, ".", DIR_FLAGS)) == -1 ||
	    (dir = fdopendir(fd)) == NULL)
		return (true);
	while (sw->budget > 0 && (de = readdir(dir)) != NULL) {
		if (is_dot(de->d_name))
			continue;
		clean = false;
		sw->budget--;
		if (gone(sw, sw->top, de->d_name))
			continue;
		if ((fd = open_closed(sw->top, de->d_name)) == -1)
			continue;
		empty(sw, fd);
		(void)gone(sw, sw->top, de->d_name);
	}
	closedir(dir);
	return (clean && sw->budget > 0);
}

bool
tree_remove_some(const char *path, long budget)
{
	struct sweep	 sw = { .budget = budget };
	bool		 clean;

	if ((sw.top = open(path, DIR_FLAGS)) == -1)
		return (unlink(path) == 0 || errno == ENOENT);
	do {
		sw.progress = false;
		clean = pass(&sw);
	} while (!clean && sw.progress && sw.budget > 0);
	close(sw.top);
	return (rmdir(path) == 0 || errno == ENOENT);
}

void
tree_remove(const char *path)
{
	(void)tree_remove_some(path, BUDGET_MAX);
}

int
tree_link(int fd, int dir, const char *name)
{
	char	 from[40];

	/* AT_EMPTY_PATH would need a capability; /proc does not. */
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	return (linkat(AT_FDCWD, from, dir, name, AT_SYMLINK_FOLLOW));
}
