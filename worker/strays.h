/* SPDX-License-Identifier: MIT */
/*
 * Processes that a child left behind: with PR_SET_CHILD_SUBREAPER set, what
 * outlives its own parent becomes a child of ours.
 */
#ifndef WORKER_STRAYS_H
#define WORKER_STRAYS_H

#include <sys/types.h>

#include <stdbool.h>

/*
 * Kill and reap every child of this process that ours() does not know, again
 * and again while there are any (what they started comes to us in turn).
 * Returns how many there were.
 */
int	 strays_kill(bool (*ours)(pid_t, const void *), const void *arg);

#endif
