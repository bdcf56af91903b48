/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cpus.h"
#include "unit.h"

/* Write text to path under ./root, with the directories before it. */
static void
put(const char *path, const char *text)
{
	char	 full[300], *slash;
	FILE	*f;

	snprintf(full, sizeof(full), "root%s", path);
	for (slash = strchr(full, '/'); slash != NULL;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	f = fopen(full, "w");
	CHECK(f != NULL);
	fputs(text, f);
	fclose(f);
}

void
test_cpus_quota(void)
{
	static const struct {
		const char	*what;
		struct {
			const char	*path, *text;
		}		 files[5];
		int		 want;
	} cases[] = {
		{ "no cgroups at all", { { NULL, NULL } }, 0 },
		{ "version 2, whole", {
			{ "/proc/self/cgroup", "0::/\n" },
			{ "/sys/fs/cgroup/cpu.max", "200000 100000\n" } }, 2 },
		{ "version 2, a part is rounded up", {
			{ "/proc/self/cgroup", "0::/\n" },
			{ "/sys/fs/cgroup/cpu.max", "150000 100000\n" } }, 2 },
		{ "version 2, less than one", {
			{ "/proc/self/cgroup", "0::/\n" },
			{ "/sys/fs/cgroup/cpu.max", "1000 100000\n" } }, 1 },
		{ "version 2, none", {
			{ "/proc/self/cgroup", "0::/\n" },
			{ "/sys/fs/cgroup/cpu.max", "max 100000\n" } }, 0 },
		{ "version 2, the group above is tighter", {
			{ "/proc/self/cgroup", "0::/a/b\n" },
			{ "/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n" },
			{ "/sys/fs/cgroup/a/cpu.max", "300000 100000\n" },
			{ "/sys/fs/cgroup/cpu.max", "max 100000\n" } }, 3 },
		{ "version 2, the host's path in a container", {
			{ "/proc/self/cgroup", "0::/docker/0123\n" },
			{ "/sys/fs/cgroup/cpu.max", "100000 50000\n" } }, 2 },
		{ "version 1", {
			{ "/proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/x\n" },
			{ "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "250000\n" },
			{ "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us",
			    "100000\n" } }, 3 },
		{ "version 1, none", {
			{ "/proc/self/cgroup", "4:cpuacct,cpu:/\n" },
			{ "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n" },
			{ "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
			    "100000\n" } }, 0 },
		{ "both versions mounted", {
			{ "/proc/self/cgroup", "4:cpu:/\n1:name=systemd:/\n"
			    "0::/\n" },
			{ "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "600000\n" },
			{ "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
			    "100000\n" } }, 6 },
		{ "cpuset is not cpu", {
			{ "/proc/self/cgroup", "4:cpuset:/\n" },
			{ "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "600000\n" },
			{ "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
			    "100000\n" } }, 0 },
		{ "nonsense", {
			{ "/proc/self/cgroup", "x\n0:\n0::/\n" },
			{ "/sys/fs/cgroup/cpu.max", "1e5\n" } }, 0 },
		{ "a period of nothing", {
			{ "/proc/self/cgroup", "0::/\n" },
			{ "/sys/fs/cgroup/cpu.max", "100000 0\n" } }, 0 },
	};
	size_t	i;
	int	k;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK(system("rm -rf root") == 0);
		for (k = 0; k < 5 && cases[i].files[k].path != NULL; k++)
			put(cases[i].files[k].path, cases[i].files[k].text);
		CHECK_MSG(cpus_quota("root") == cases[i].want,
		    "%s: %d, not %d", cases[i].what, cpus_quota("root"),
		    cases[i].want);
	}
}

void
test_cpus_count(void)
{
	int	quota = cpus_quota("");

	CHECK(cpus_count() >= 1);
	if (quota > 0)
		CHECK_INT(cpus_count(), quota);
}
