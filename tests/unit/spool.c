/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "reqid.h"
#include "spool.h"
#include "unit.h"

static void
open_here(struct spool *sp)
{
	struct ufop_err	 err;
	char		 cwd[150], path[180];

	CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
	snprintf(path, sizeof(path), "%s/spool", cwd);
	CHECK_MSG(spool_open(sp, path, &err) == 0, "%s", err.msg);
}

void
test_spool_same_directory_same_id(void)
{
	struct spool	 a, b;

	open_here(&a);
	open_here(&b);
	CHECK(a.id != 0 && a.id == b.id);
	spool_close(&a);
	spool_close(&b);
	CHECK_INT(a.id, 0);
}

void
test_spool_file_gets_its_name(void)
{
	struct spool	 sp;
	struct ufop_err	 err;
	char		 name[SPOOL_NAME_MAX], text[8] = "";
	uint64_t	 len;
	int		 fd;

	open_here(&sp);
	fd = spool_tmpfile(&sp, &err);
	CHECK(fd != -1);
	CHECK_INT(write(fd, "hello", 5), 5);
	spool_name(name, 1000, true);
	CHECK(spool_name_ok(str_from(name)));
	CHECK(strcmp(name + strlen(name) - 4, ".out") == 0);
	CHECK_INT(spool_link(&sp, fd, name, &err), 0);
	close(fd);
	fd = spool_read(&sp, str_from(name), &len, &err);
	CHECK(fd != -1);
	CHECK_INT(len, 5);
	CHECK_INT(read(fd, text, sizeof(text)), 5);
	CHECK_STR(text, "hello");
	close(fd);
	spool_remove(&sp, str_from(name));
	CHECK_INT(spool_read(&sp, str_from(name), &len, &err), -1);
	spool_remove(&sp, str_from(name));	/* twice is no harm */
	spool_close(&sp);
}

void
test_spool_refuses_names_that_leave_it(void)
{
	static const char *const bad[] = { "", "a", "/etc/passwd",
		"0123456789ab-../../etc/passwd", "0123456789abcdef.in",
		"0123456789ab-x y.in",
		"0123456789ab-0123456789012345678901234567890123456789.in" };
	struct spool	 sp;
	struct ufop_err	 err;
	uint64_t	 len;
	size_t		 i;

	open_here(&sp);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_MSG(!spool_name_ok(str_from(bad[i])), "'%s' passed",
		    bad[i]);
		CHECK_INT(spool_read(&sp, str_from(bad[i]), &len, &err), -1);
		CHECK_INT(err.code, UFOP_BAD_INPUT);
	}
	/* A link in the spool is not followed either. */
	CHECK_INT(symlinkat("/etc/passwd", sp.dirfd, "0123456789ab-link.in"),
	    0);
	CHECK_INT(spool_read(&sp, STR("0123456789ab-link.in"), &len, &err),
	    -1);
	spool_close(&sp);
}

static void
touch(const struct spool *sp, const char *name)
{
	int	 fd = openat(sp->dirfd, name, O_CREAT | O_WRONLY, 0600);

	CHECK(fd != -1);
	close(fd);
}

void
test_spool_sweep_takes_only_what_is_past(void)
{
	struct spool	 sp;
	char		 old[SPOOL_NAME_MAX], grace[SPOOL_NAME_MAX],
			 young[SPOOL_NAME_MAX];

	open_here(&sp);
	spool_name(old, -SPOOL_GRACE_MS - 1000, false);
	spool_name(grace, -SPOOL_GRACE_MS + 10000, false);
	spool_name(young, 1000, true);
	touch(&sp, old);
	touch(&sp, grace);
	touch(&sp, young);
	touch(&sp, "not-ours");
	CHECK_INT(spool_sweep(&sp), 1);
	CHECK_INT(faccessat(sp.dirfd, old, F_OK, 0), -1);
	CHECK_INT(faccessat(sp.dirfd, grace, F_OK, 0), 0);
	CHECK_INT(faccessat(sp.dirfd, young, F_OK, 0), 0);
	CHECK_INT(faccessat(sp.dirfd, "not-ours", F_OK, 0), 0);
	spool_close(&sp);
}

void
test_spool_open_says_what_to_do(void)
{
	struct spool	 sp;
	struct ufop_err	 err;

	CHECK_INT(spool_open(&sp, "/nowhere/at/all", &err), -1);
	CHECK(strstr(err.msg, "spool.dir") != NULL);
	CHECK_INT(sp.dirfd, -1);
}
