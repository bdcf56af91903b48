/* SPDX-License-Identifier: MIT */
/*
 * How many CPUs this process may use, when nobody says so.
 */
#ifndef LIB_CPUS_H
#define LIB_CPUS_H

/*
 * The tightest CPU quota of this process' cgroup and those above it (version 2
 * or 1), in whole CPUs, rounded up; 0 when there is none.  root is put before
 * /proc and /sys: "" but in tests.
 */
int	 cpus_quota(const char *root);

/*
 * The quota; without one the CPUs this process may run on, or 1 in a container
 * (see cpus.c).  At least 1.
 */
int	 cpus_count(void);

#endif
