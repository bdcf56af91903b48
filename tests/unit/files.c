/* SPDX-License-Identifier: MIT */
/*
 * Files that a child keeps for later jobs.
 */
#include <sys/mman.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "reqid.h"
#include "unit.h"

static void
add(struct files *f, const char *url, size_t len)
{
	struct ufop_err	 err;
	int		 fd = memfd_create("file", MFD_CLOEXEC);

	CHECK(fd != -1 && ftruncate(fd, (off_t)len) == 0);
	CHECK_MSG(files_add(f, url, fd, &err) == 0, "%s", err.msg);
	close(fd);
}

static bool
has(const struct files *f, const char *url)
{
	int	 i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->list[i].url, url) == 0)
			return (true);
	return (false);
}

void
test_files_small_ones_stay_long_ones_go(void)
{
	struct files	 f;

	files_init(&f, 60000);
	add(&f, "small", FILES_KEPT_BYTES);
	add(&f, "long", FILES_KEPT_BYTES + 1);
	CHECK(has(&f, "small") && has(&f, "long"));	/* for this job */
	files_expire(&f);
	CHECK(has(&f, "small") && !has(&f, "long"));
	files_release(&f);
}

void
test_files_go_when_their_time_is_over(void)
{
	struct files	 f;
	int64_t		 until = clock_mono_ms() + 5000;

	files_init(&f, 20);
	add(&f, "a", 1);
	CHECK(has(&f, "a"));
	while (has(&f, "a")) {
		CHECK(clock_mono_ms() < until);
		files_expire(&f);
	}
	files_init(&f, 0);
	add(&f, "b", 1);
	files_expire(&f);
	CHECK_INT(f.n, 0);
}

void
test_files_newer_replaces_older(void)
{
	struct files	 f;
	char		 url[16];
	int		 i;

	files_init(&f, 60000);
	add(&f, "same", 1);
	add(&f, "same", 2);
	CHECK_INT(f.n, 1);
	CHECK_INT(f.list[0].len, 2);
	for (i = 0; i < FILES_MAX; i++) {
		snprintf(url, sizeof(url), "%d", i);
		add(&f, url, 1);
	}
	CHECK_INT(f.n, FILES_MAX);
	CHECK(!has(&f, "same") && has(&f, "0"));
	files_release(&f);
	CHECK_INT(f.n, 0);
}

void
test_files_empty_one_is_none(void)
{
	struct files	 f;
	struct ufop_err	 err;
	int		 fd = memfd_create("file", MFD_CLOEXEC);

	files_init(&f, 60000);
	CHECK_INT(files_add(&f, "empty", fd, &err), -1);
	CHECK_INT(f.n, 0);
	close(fd);
}
