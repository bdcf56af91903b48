/* SPDX-License-Identifier: MIT */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tree.h"
#include "unit.h"

static void
touch(const char *path)
{
	int	 fd = open(path, O_CREAT | O_WRONLY, 0600);

	CHECK_MSG(fd != -1, "cannot make %s", path);
	close(fd);
}

void
test_tree_remove_leaves_what_links_point_to(void)
{
	CHECK_INT(mkdir("victim", 0700), 0);
	touch("victim/file");
	CHECK_INT(mkdir("tree", 0700), 0);
	CHECK_INT(mkdir("tree/sub", 0700), 0);
	CHECK_INT(symlink("../victim", "tree/link"), 0);
	CHECK_INT(symlink("../../victim", "tree/sub/link"), 0);
	touch("tree/sub/file");
	tree_remove("tree");
	CHECK_INT(access("tree", F_OK), -1);
	CHECK_INT(access("victim/file", F_OK), 0);
	tree_remove("tree");		/* twice is no harm */

	/* Nor is the top itself followed. */
	CHECK_INT(symlink("victim", "top"), 0);
	tree_remove("top");
	CHECK_INT(access("top", F_OK), -1);
	CHECK_INT(access("victim/file", F_OK), 0);
}

/* Deeper than any path may be long. */
void
test_tree_remove_any_depth(void)
{
	int	 i, fd, next;

	CHECK_INT(mkdir("deep", 0700), 0);
	fd = open("deep", O_RDONLY | O_DIRECTORY);
	for (i = 0; i < 3000; i++) {
		CHECK_INT(mkdirat(fd, "a", 0700), 0);
		next = openat(fd, "a", O_RDONLY | O_DIRECTORY);
		CHECK(next != -1);
		close(fd);
		fd = next;
	}
	close(fd);
	tree_remove("deep");
	CHECK_INT(access("deep", F_OK), -1);
}

void
test_tree_remove_closed_directories(void)
{
	CHECK_INT(mkdir("shut", 0700), 0);
	CHECK_INT(mkdir("shut/in", 0700), 0);
	touch("shut/in/file");
	CHECK_INT(chmod("shut/in", 0), 0);
	tree_remove("shut");
	CHECK_INT(access("shut", F_OK), -1);
}

void
test_tree_remove_some_stops_at_its_budget(void)
{
	char	 name[40];
	int	 i, rounds = 0;

	CHECK_INT(mkdir("wide", 0700), 0);
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "wide/f%d", i);
		touch(name);
	}
	CHECK(!tree_remove_some("wide", 100));
	CHECK_INT(access("wide", F_OK), 0);
	while (!tree_remove_some("wide", 100))
		CHECK(++rounds < 20);
	CHECK_INT(access("wide", F_OK), -1);
}
