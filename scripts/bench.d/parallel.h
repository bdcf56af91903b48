/* SPDX-License-Identifier: MIT */
/* The same job in several processes, again and again; how many a second. */
#ifndef BENCH_PARALLEL_H
#define BENCH_PARALLEL_H

#include <stdint.h>

#define PARALLEL_MAX	256

/*
 * Let n processes (1 to PARALLEL_MAX) run job(arg) for so many seconds, after
 * each has called begin(arg) (unless NULL) and done the job once, which touches
 * what it will need again.  arg is each process' own copy; it may end itself by
 * exit() with another status than 0, and then all is off.  Call it before there
 * are threads.
 *
 * Prints one line of JSON: {"jobs":N,"seconds":S}.  A job that is running when
 * the time is up is finished, and its time counts.  Returns an exit status.
 */
int	 parallel(int n, int64_t seconds, void (*begin)(void *),
	    void (*job)(void *), void *arg);

#endif
