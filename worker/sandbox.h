/* SPDX-License-Identifier: MIT */
/*
 * What a child gives up before it touches a stranger's bytes.
 *
 * sandbox_enter() is called once in a freshly forked child that has closed
 * what it need not inherit and has only one thread.  Descriptors that are open
 * then keep working: a child is handed its input and output as descriptors,
 * and needs no path to them.  There is no way back.
 *
 *			cpu		fetch			net
 *	user		another, if root (the same in all)
 *	capabilities	none, and none to come (the same in all)
 *	reads files	scratch,	CA certificates,	what its user
 *			/dev/null	resolver's files,	may
 *					shared libraries
 *	writes files	scratch,	none			scratch,
 *			/dev/null				/dev/shm, /proc
 *								(not root)
 *	network		none		client of IPv4, IPv6	yes
 *	processes	threads only	threads only		yes
 *	signals		itself		itself			its own kind
 *
 * Files are held by Landlock (as much as the kernel has of it), the rest by
 * seccomp.  In cpu and fetch only listed system calls pass.  Of the others,
 *
 *	EPERM	what libraries try and can do without: sockets, exec, fork,
 *		another's pid in kill(), io_uring, perf, keyrings, namespaces
 *	killed	(SIGSYS, the whole process) what only an attack would try:
 *		ptrace and process_vm_*, setns, mount, bpf, userfaultfd, kexec,
 *		modules, reboot, swap, open_by_handle_at, pidfd_getfd
 *	ENOSYS	all the rest, known or not yet invented, so that the C library
 *		falls back where it can (clone3 to clone)
 *
 * In net, which starts programs that bring their own sandbox, the same two
 * lists are EPERM or fatal but for what a browser's sandbox is built of (user
 * namespaces, chroot, seccomp), and all else passes.  A net child that writes
 * its own /proc/self/uid_map sets PR_SET_DUMPABLE first: only then it may.
 *
 * Without Landlock the user alone holds the files; and where there is neither
 * Landlock nor another user, cpu children can open, make and remove no file at
 * all, their scratch directory included: a handler that needs none works on.
 */
#ifndef WORKER_SANDBOX_H
#define WORKER_SANDBOX_H

#include "err.h"

enum sandbox_profile {
	SANDBOX_CPU,
	SANDBOX_FETCH,
	SANDBOX_NET,
};

#define SANDBOX_NOFILE		64	/* open files when the conf says 0 */

struct sandbox_conf {
	enum sandbox_profile	 profile;
	/*
	 * Name or number of the user to become when root; NULL or "" keeps the
	 * user.  Root itself is refused.  Its group is that of its passwd
	 * entry, or the same number when there is none.
	 */
	const char		*user;
	/*
	 * Absolute path of an existing directory, which becomes the user's own
	 * (mode 0700), the working directory, HOME and TMPDIR.  NULL: none,
	 * and the working directory is "/".
	 */
	const char		*scratch;
	/*
	 * Address space in MB, 0: no limit.  A hard limit: the child may lower
	 * the soft one for a task and raise it again.  Left out under
	 * AddressSanitizer, and to be left out for browsers, both of which map
	 * terabytes that they never touch.
	 */
	int			 memory_mb;
	int64_t			 file_max;	/* bytes of one file; 0: no limit */
	int			 nofile;	/* open files; 0: SANDBOX_NOFILE */
};

/*
 * Give it all up.  Besides the table above: a session and process group of its
 * own (killpg(pid) reaches all of it), umask 077, no core file, not dumpable,
 * a clean environment (PATH, HOME, TMPDIR, and LANG, LC_ALL, TZ as they were),
 * and SIGXFSZ and SIGPIPE ignored so that a file over file_max is EFBIG.  The
 * signal for the parent's death (PR_SET_PDEATHSIG) is kept if it was set.
 *
 * Returns 0, or -1 with err (UFOP_CONFIG: the user or the scratch directory;
 * UFOP_SYSTEM: a step that this kernel has failed): the child is then half
 * dressed and must exit.  Parts that this kernel or this user cannot do at all
 * are left out; sandbox_describe() tells which.
 */
int	 sandbox_enter(const struct sandbox_conf *, struct ufop_err *);

/*
 * Whether the user of a conf can be become, so that a parent refuses to start
 * rather than fork children that cannot.  Returns 0, or -1 with err
 * (UFOP_CONFIG).
 */
int	 sandbox_check(const struct sandbox_conf *, struct ufop_err *);

/*
 * One line on what sandbox_enter() would hold, here and by this process:
 * "uid 65534, landlock 7, seccomp", and "; missing: ..." with what it would
 * not and why.  Changes nothing.
 */
void	 sandbox_describe(const struct sandbox_conf *, char *out, size_t size);

#endif
