/* SPDX-License-Identifier: MIT */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpus.h"
#include "str.h"

/* Longest path of a control file that is tried. */
#define PATH_SIZE	4096

/* The first line of a file without its newline; false when there is none. */
static bool
first_line(const char *path, char *line, int size)
{
	FILE	*f;
	bool	 got;

	if ((f = fopen(path, "re")) == NULL)
		return (false);
	got = fgets(line, size, f) != NULL;
	fclose(f);
	if (got)
		line[strcspn(line, "\n")] = '\0';
	return (got);
}

/* Whole CPUs in quota microseconds of every period; 0 for no limit. */
static int
whole_cpus(struct str quota, struct str period)
{
	int64_t	q, p;

	/* "max" (version 2) and -1 (version 1) are no numbers from 1. */
	if (str_int(quota, 1, INT64_MAX / 2, &q) == -1 ||
	    str_int(period, 1, INT64_MAX / 2, &p) == -1)
		return (0);
	q = (q + p - 1) / p;
	return (q > CPU_SETSIZE ? CPU_SETSIZE : (int)q);
}

/* cpu.max: "<quota or max> <period>". */
static int
quota_v2(const char *dir)
{
	char		path[PATH_SIZE + 16], line[128];
	struct str	rest, quota;

	snprintf(path, sizeof(path), "%s/cpu.max", dir);
	if (!first_line(path, line, sizeof(line)))
		return (0);
	rest = str_from(line);
	quota = str_cut(&rest, ' ');
	return (whole_cpus(quota, rest));
}

static int
quota_v1(const char *dir)
{
	char	path[PATH_SIZE + 32], quota[64], period[64];

	snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
	if (!first_line(path, quota, sizeof(quota)))
		return (0);
	snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
	if (!first_line(path, period, sizeof(period)))
		return (0);
	return (whole_cpus(str_from(quota), str_from(period)));
}

/*
 * The smallest quota of the cgroup and of all above it up to the mount.  A
 * container often sees its group's path as the host names it, but has only its
 * own group mounted: what is not there is skipped, and the mount itself counts.
 */
static int
tightest(const char *mount, const char *group, int (*quota)(const char *dir))
{
	char	 dir[PATH_SIZE], *slash;
	size_t	 mount_len = strlen(mount);
	int	 n, best = 0;

	if (snprintf(dir, sizeof(dir), "%s%s", mount, group) >=
	    (int)sizeof(dir))
		return (0);
	for (;;) {
		n = quota(dir);
		if (n > 0 && (best == 0 || n < best))
			best = n;
		slash = strrchr(dir, '/');
		if (slash == NULL || slash < dir + mount_len)
			return (best);
		*slash = '\0';
	}
}

static bool
has_word(struct str list, struct str word)
{
	while (list.s != NULL) {
		if (str_eq(str_cut(&list, ','), word))
			return (true);
	}
	return (false);
}

int
cpus_quota(const char *root)
{
	char		 path[PATH_SIZE], *line = NULL, mount[PATH_SIZE];
	struct str	 rest, controllers;
	size_t		 size = 0;
	ssize_t		 len;
	FILE		*f;
	int		 n, best = 0;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	if ((f = fopen(path, "re")) == NULL)
		return (0);
	/* Lines are "0::/path" (version 2) or "4:cpu,cpuacct:/path" (1). */
	while ((len = getline(&line, &size, f)) > 0) {
		if (line[len - 1] == '\n')
			line[--len] = '\0';
		rest = (struct str){ line, (size_t)len };
		str_cut(&rest, ':');
		controllers = str_cut(&rest, ':');
		if (rest.s == NULL)
			continue;
		if (controllers.len == 0) {
			snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup",
			    root);
			n = tightest(mount, rest.s, quota_v2);
		} else if (has_word(controllers, STR("cpu"))) {
			/* Distributions link cpu to where it is mounted. */
			snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu",
			    root);
			n = tightest(mount, rest.s, quota_v1);
		} else {
			continue;
		}
		if (n > 0 && (best == 0 || n < best))
			best = n;
	}
	free(line);
	fclose(f);
	return (best);
}

static bool
in_container(void)
{
	return (access("/.dockerenv", F_OK) == 0 ||
	    access("/run/.containerenv", F_OK) == 0 ||
	    getenv("container") != NULL ||
	    getenv("KUBERNETES_SERVICE_HOST") != NULL);
}

int
cpus_count(void)
{
	cpu_set_t	set;
	int		n = cpus_quota("");

	if (n > 0)
		return (n);
	/*
	 * On a host of one's own, what the scheduler gives.  In a container
	 * the same call tells of the host's cores, which many containers
	 * share: on the platform that made 64 children in a container of one
	 * core.  Nothing is known then, and one is right in every container.
	 */
	if (in_container() || sched_getaffinity(0, sizeof(set), &set) == -1)
		return (1);
	n = CPU_COUNT(&set);
	return (n < 1 ? 1 : n);
}
