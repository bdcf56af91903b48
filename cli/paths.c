/* SPDX-License-Identifier: MIT */
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paths.h"
#include "str.h"

#define BEYOND_PATH	"/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin"

static int
join(char out[PATH_MAX], const char *dir, const char *rest)
{
	int	n = snprintf(out, PATH_MAX, "%s/%s", dir, rest);

	return (n < 0 || n >= PATH_MAX ? -1 : 0);
}

static bool
is_dir(const char *path)
{
	struct stat	st;

	return (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

int
paths_find(struct paths *paths, struct ufop_err *err)
{
	char	 lib[PATH_MAX], dir[PATH_MAX], *slash;
	ssize_t	 n;

	n = readlink("/proc/self/exe", paths->exe, sizeof(paths->exe) - 1);
	if (n == -1)
		return (err_sys(err, "cannot find out where ufop lies "
		    "(/proc/self/exe)"));
	paths->exe[n] = '\0';
	memcpy(dir, paths->exe, (size_t)n + 1);
	slash = strrchr(dir, '/');
	*slash = '\0';

	if (join(lib, dir, "services") == 0 && is_dir(lib)) {
		memcpy(lib, dir, sizeof(lib));
		if (join(paths->data, dir, "../tests/data") == -1)
			goto too_long;
	} else if (join(lib, dir, "../lib/ufop") == 0 && is_dir(lib)) {
		if (join(paths->data, dir, "../share/ufop") == -1)
			goto too_long;
	} else {
		return (err_set(err, UFOP_CONFIG, "the parts of ufop are "
		    "neither in '%s/services' nor in '%s'; build them with "
		    "`make` or install ufop again", dir, lib));
	}
	if (join(paths->services, lib, "services") == -1 ||
	    join(paths->kore_conf, lib, "kore.conf") == -1)
		goto too_long;
	return (0);

too_long:
	errno = ENAMETOOLONG;
	return (err_sys(err, "cannot use the parts of ufop beside '%s'",
	    paths->exe));
}

int
paths_program(char out[PATH_MAX], const char *name, const char *package,
    struct ufop_err *err)
{
	const char	*path = getenv("PATH");
	const char	*lists[] = { path == NULL ? "" : path, BEYOND_PATH };
	size_t		 i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct str	rest = str_from(lists[i]);

		while (rest.s != NULL) {
			struct str	dir = str_cut(&rest, ':');
			int		n;

			/* An empty entry would mean the current directory. */
			if (dir.len == 0)
				continue;
			n = snprintf(out, PATH_MAX, "%.*s/%s", STR_ARG(dir),
			    name);
			if (n > 0 && n < PATH_MAX && access(out, X_OK) == 0 &&
			    !is_dir(out))
				return (0);
		}
	}
	return (err_set(err, UFOP_CONFIG, "cannot find the program '%s'; "
	    "install the Debian package %s (scripts/setup does) or add its "
	    "directory to PATH", name, package));
}
