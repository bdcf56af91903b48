/* SPDX-License-Identifier: MIT */
/*
 * What Chromium is shut in: namespaces whose only network is a loopback with
 * the way to the filter on it, and whose files are what it needs to run.
 */
#ifndef SCREENSHOT_JAIL_H
#define SCREENSHOT_JAIL_H

#include <sys/types.h>

#include "err.h"

/* The namespaces of a jail, for clone(). */
#define JAIL_FLAGS	(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID |	\
			    CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)

/*
 * In a process just cloned with JAIL_FLAGS: keep uid and gid, bring the
 * loopback up, and leave of the file system /usr, fonts, certificates, what
 * the directory of program holds, a /proc of these processes alone, a few
 * devices, and empty /tmp and /dev/shm.  Returns 0, or -1 with err.
 */
int	 jail_enter(uid_t, gid_t, const char *program, struct ufop_err *);

#endif
