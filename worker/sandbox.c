/* SPDX-License-Identifier: MIT */
/*
 * What a child gives up; see sandbox.h for the whole of it.
 *
 * The order matters.  Paths are opened and limits set while there may be
 * rights to do so; then the user goes, for the later steps work without
 * privilege; then Landlock, which needs no-new-privileges; and seccomp last,
 * because it refuses the calls that all the others are made of.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <seccomp.h>

#include "arena.h"
#include "asan.h"
#include "sandbox.h"
#include "str.h"

/* Newer than the oldest headers we build with. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE	(1ULL << 14)	/* ABI 3 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV	(1ULL << 15)	/* ABI 5 */
#endif
#define NET_BIND_TCP			(1ULL << 0)	/* ABI 4 */
#define NET_CONNECT_TCP			(1ULL << 1)
#define SCOPE_ABSTRACT_UNIX		(1ULL << 0)	/* ABI 6 */
#define SCOPE_SIGNAL			(1ULL << 1)

/*
 * Threads of all children of one user together: far above what pools of them
 * need, far below what hurts the kernel.
 */
#define THREADS_MAX	4096

/* struct landlock_ruleset_attr as of ABI 6; older kernels take less of it. */
struct ruleset_attr {
	uint64_t	fs;
	uint64_t	net;
	uint64_t	scoped;
};

#define FS_READ		(LANDLOCK_ACCESS_FS_READ_FILE |			\
			    LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE	(LANDLOCK_ACCESS_FS_WRITE_FILE |		\
			    LANDLOCK_ACCESS_FS_TRUNCATE |		\
			    LANDLOCK_ACCESS_FS_REMOVE_DIR |		\
			    LANDLOCK_ACCESS_FS_REMOVE_FILE |		\
			    LANDLOCK_ACCESS_FS_MAKE_DIR |		\
			    LANDLOCK_ACCESS_FS_MAKE_REG |		\
			    LANDLOCK_ACCESS_FS_MAKE_FIFO |		\
			    LANDLOCK_ACCESS_FS_MAKE_SYM |		\
			    LANDLOCK_ACCESS_FS_REFER)
/* Nobody needs these but programs that a net child starts. */
#define FS_SPECIAL	(LANDLOCK_ACCESS_FS_MAKE_CHAR |			\
			    LANDLOCK_ACCESS_FS_MAKE_BLOCK |		\
			    LANDLOCK_ACCESS_FS_MAKE_SOCK)
/* What may be granted on something that is no directory. */
#define FS_OF_FILES	(LANDLOCK_ACCESS_FS_EXECUTE |			\
			    LANDLOCK_ACCESS_FS_READ_FILE |		\
			    LANDLOCK_ACCESS_FS_WRITE_FILE |		\
			    LANDLOCK_ACCESS_FS_TRUNCATE |		\
			    LANDLOCK_ACCESS_FS_IOCTL_DEV)

/* What TLS and the resolver read.  What is not there is passed over. */
static const char *const fetch_files[] = {
	"/etc/ssl", "/etc/pki", "/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates", "/usr/lib/ssl",
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
	"/etc/gai.conf", "/etc/host.conf", "/run/systemd/resolve",
	"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache",
	"/dev/null", "/dev/urandom",
};

/* Where programs of the net profile write besides the scratch directory. */
static const char *const net_files[] = {
	"/dev/shm", "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
	"/dev/urandom", "/dev/tty",
};

/* ---- seccomp: the lists ---------------------------------------------- */

/* Pure work on memory, clocks, threads and descriptors already open. */
static const char *const calls_base[] = {
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv",
	"pwritev", "preadv2", "pwritev2", "lseek", "_llseek", "close",
	"close_range", "dup", "dup2", "dup3", "fstat", "fstat64", "fstatfs",
	"fstatfs64", "getdents", "getdents64", "ftruncate", "ftruncate64",
	"fallocate", "fsync", "fdatasync", "sync_file_range", "fadvise64",
	"readahead", "flock", "copy_file_range", "sendfile", "sendfile64",
	"splice", "tee", "fchmod", "pipe", "pipe2", "eventfd", "eventfd2",
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "_newselect",
	"pselect6", "timerfd_create", "timerfd_settime", "timerfd_gettime",
	"signalfd", "signalfd4", "sendmsg", "recvmsg", "sendto", "recvfrom",
	"sendmmsg", "recvmmsg", "shutdown", "getsockopt", "getsockname",
	"getpeername",

	"mmap", "mmap2", "munmap", "mprotect", "mremap", "madvise", "brk",
	"mincore", "msync", "mlock", "mlock2", "munlock", "mlockall",
	"munlockall", "memfd_create", "membarrier",

	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn",
	"rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack",
	"pause", "restart_syscall", "alarm", "setitimer", "getitimer",
	"timer_create", "timer_settime", "timer_gettime", "timer_getoverrun",
	"timer_delete",

	"futex", "futex_time64", "futex_waitv", "set_tid_address",
	"set_robust_list", "get_robust_list", "rseq", "exit", "exit_group",
	"gettid", "sched_yield", "sched_getaffinity", "sched_getparam",
	"sched_getscheduler", "sched_get_priority_max",
	"sched_get_priority_min", "wait4", "waitid", "arch_prctl",

	"clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep",
	"nanosleep", "gettimeofday", "time", "times", "getpid", "getppid",
	"getuid", "getgid", "geteuid", "getegid", "getresuid", "getresgid",
	"getgroups", "getpgid", "getpgrp", "getsid", "uname", "sysinfo",
	"getrusage", "getrlimit", "ugetrlimit", "setrlimit", "getpriority",
	"getcpu", "getrandom", "capget", "umask", "getcwd",
};

/* Looking at paths without opening: Landlock does not hear of these. */
static const char *const calls_look[] = {
	"stat", "stat64", "lstat", "lstat64", "newfstatat", "fstatat64",
	"statx", "statfs", "statfs64", "access", "faccessat", "faccessat2",
	"readlink", "readlinkat", "chdir", "fchdir",
};

/* Opening and changing by path, all of which Landlock (or the user) holds. */
static const char *const calls_files[] = {
	"open", "openat", "creat", "mkdir", "mkdirat", "rmdir", "unlink",
	"unlinkat", "rename", "renameat", "renameat2", "link", "linkat",
	"symlink", "symlinkat",
};

/* A client's; which sockets there are is rules_client()'s. */
static const char *const calls_client[] = {
	"connect", "bind", "setsockopt", "socketpair",
};

/* EPERM in cpu. */
static const char *const calls_socket[] = {
	"socket", "connect", "bind", "setsockopt", "socketpair",
};

/* EPERM in cpu and fetch. */
static const char *const calls_refused[] = {
	"listen", "accept", "accept4", "unshare", "execve", "execveat", "fork", "vfork",
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
	"setfsuid", "setfsgid", "setgroups", "capset", "setsid", "setpgid",
	"setpriority", "sched_setaffinity", "sched_setscheduler",
	"sched_setparam", "sched_setattr", "ioprio_set", "seccomp",
	"personality", "tkill", "pidfd_open", "pidfd_send_signal",
	"truncate", "truncate64", "chmod", "fchmodat", "chown", "lchown",
	"fchown", "fchownat", "utime", "utimes", "futimesat", "utimensat",
	"setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr",
	"fremovexattr", "mknod", "mknodat", "chroot", "inotify_init",
	"inotify_init1", "shmget", "shmat", "semget", "msgget",
	"mq_open", "name_to_handle_at",
};

/* EPERM in every profile: kernel surface that nothing here needs. */
static const char *const calls_surface[] = {
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	"perf_event_open", "keyctl", "add_key", "request_key", "mbind",
	"migrate_pages", "move_pages", "syslog", "acct", "quotactl",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime",
	"sethostname", "setdomainname", "vhangup", "lookup_dcookie", "kcmp",
	"nfsservctl", "modify_ldt", "fanotify_init",
};

/* Ends the process in every profile. */
static const char *const calls_hostile[] = {
	"kexec_load", "kexec_file_load", "init_module", "finit_module",
	"delete_module", "create_module", "reboot", "swapon", "swapoff",
	"open_by_handle_at", "iopl", "ioperm", "setns", "bpf", "userfaultfd",
	"process_vm_readv", "process_vm_writev", "pidfd_getfd",
};

/* Ends the process in cpu and fetch, EPERM in net, where programs may try. */
static const char *const calls_suspect[] = {
	"ptrace", "mount", "umount", "umount2", "pivot_root", "move_mount",
	"open_tree", "fsopen", "fsmount", "fsconfig", "fspick",
	"mount_setattr",
};

/* Allowed arguments of calls that do many things. */
static const int fcntl_cmds[] = {
	F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK,
	F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
	F_GETPIPE_SZ, F_SETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS,
};
static const int ioctl_cmds[] = {
	0x5401,		/* TCGETS: isatty() */
	0x5413,		/* TIOCGWINSZ */
	0x541b,		/* FIONREAD */
	0x5421,		/* FIONBIO */
	0x5450,		/* FIONCLEX */
	0x5451,		/* FIOCLEX */
};
static const int prctl_cmds[] = {
	PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS,
	PR_GET_SECCOMP, PR_GET_PDEATHSIG, PR_CAPBSET_READ, PR_SET_TIMERSLACK,
	PR_GET_TIMERSLACK,
	0x53564d41,	/* PR_SET_VMA: names for anonymous memory */
};

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- seccomp: the filter --------------------------------------------- */

/*
 * One action for all calls of a list.  Calls that this libseccomp or this
 * architecture does not know fall to the default action, which is right for
 * them.  No call may stand in two lists of one profile.
 */
static int
rules_add(scmp_filter_ctx ctx, uint32_t action, const char *const *names,
    size_t n)
{
	size_t	i;
	int	nr, rc;

	for (i = 0; i < n; i++) {
		nr = seccomp_syscall_resolve_name(names[i]);
		if (nr == __NR_SCMP_ERROR)
			continue;
		rc = seccomp_rule_add(ctx, action, nr, 0);
		if (rc < 0)
			return (rc);
	}
	return (0);
}

/* Allow a call when its argument arg (an int) is one of values. */
static int
rules_allow_int(scmp_filter_ctx ctx, int nr, unsigned arg, const int *values,
    size_t n)
{
	size_t	i;
	int	rc;

	for (i = 0; i < n; i++) {
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1,
		    SCMP_CMP32(arg, SCMP_CMP_EQ, (uint32_t)values[i]));
		if (rc < 0)
			return (rc);
	}
	return (0);
}

/* Allow a call on ourselves (argument 0 is a pid); EPERM on anyone else. */
static int
rules_self(scmp_filter_ctx ctx, int nr, uint32_t pid)
{
	int	rc;

	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1,
	    SCMP_A0_32(SCMP_CMP_EQ, pid));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 1,
		    SCMP_A0_32(SCMP_CMP_NE, pid));
	return (rc);
}

/* Calls that pass with some arguments only, in cpu and fetch alike. */
static int
rules_by_argument(scmp_filter_ctx ctx)
{
	static const int	 pid_calls[] = {
		SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(rt_sigqueueinfo),
		SCMP_SYS(rt_tgsigqueueinfo),
	};
	size_t			 i;
	int			 rc;

	/* clone() is where fork and threads part. */
	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
	    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
		    SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	for (i = 0; i < NITEMS(pid_calls) && rc == 0; i++)
		rc = rules_self(ctx, pid_calls[i], (uint32_t)getpid());
	/* prlimit(0, ...) is oneself; another's pid would be anyone's limits. */
	if (rc == 0)
		rc = rules_self(ctx, SCMP_SYS(prlimit64), 0);
	if (rc == 0)
		rc = rules_allow_int(ctx, SCMP_SYS(fcntl), 1, fcntl_cmds,
		    NITEMS(fcntl_cmds));
	if (rc == 0)
		rc = rules_allow_int(ctx, SCMP_SYS(ioctl), 1, ioctl_cmds,
		    NITEMS(ioctl_cmds));
	if (rc == 0)
		rc = rules_allow_int(ctx, SCMP_SYS(prctl), 0, prctl_cmds,
		    NITEMS(prctl_cmds));
	return (rc);
}

/* Sockets over the internet, and to ask the kernel for our own addresses. */
static int
rules_client(scmp_filter_ctx ctx)
{
	uint32_t	family;
	int		rc = 0;

	for (family = 0; family < AF_MAX && rc == 0; family++) {
		if (family == AF_NETLINK)
			continue;
		rc = seccomp_rule_add(ctx, family == AF_INET ||
		    family == AF_INET6 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM),
		    SCMP_SYS(socket), 1, SCMP_A0_32(SCMP_CMP_EQ, family));
	}
	/* getaddrinfo() sorts by them: NETLINK_ROUTE alone. */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
		    SCMP_A0_32(SCMP_CMP_EQ, AF_NETLINK),
		    SCMP_A2_32(SCMP_CMP_EQ, NETLINK_ROUTE));
	return (rc);
}

/* Opening, but for reading only. */
static int
rules_open_read(scmp_filter_ctx ctx)
{
	const uint64_t	 write = O_ACCMODE | O_CREAT | O_TRUNC;
	int		 rc;

	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
	    SCMP_A1(SCMP_CMP_MASKED_EQ, write, O_RDONLY));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, write, O_RDONLY));
	return (rc);
}

static int
filter_listed(scmp_filter_ctx ctx, enum sandbox_profile profile, bool files)
{
	const uint32_t	 eperm = SCMP_ACT_ERRNO(EPERM);
	int		 rc;

#define LIST(action, names)						\
	do {								\
		if (rc == 0)						\
			rc = rules_add(ctx, action, names, NITEMS(names)); \
	} while (0)

	rc = rules_by_argument(ctx);
	LIST(SCMP_ACT_ALLOW, calls_base);
	LIST(SCMP_ACT_ALLOW, calls_look);
	if (profile == SANDBOX_FETCH) {
		LIST(SCMP_ACT_ALLOW, calls_client);
		if (rc == 0)
			rc = rules_open_read(ctx);
		if (rc == 0)
			rc = rules_client(ctx);
	} else {
		LIST(files ? SCMP_ACT_ALLOW : eperm, calls_files);
		LIST(eperm, calls_socket);
	}
	LIST(eperm, calls_refused);
	LIST(eperm, calls_surface);
	LIST(SCMP_ACT_KILL_PROCESS, calls_hostile);
	LIST(SCMP_ACT_KILL_PROCESS, calls_suspect);
	return (rc);
}

static int
filter_net(scmp_filter_ctx ctx)
{
	int	rc = 0;

	LIST(SCMP_ACT_ERRNO(EPERM), calls_surface);
	LIST(SCMP_ACT_ERRNO(EPERM), calls_suspect);
	LIST(SCMP_ACT_KILL_PROCESS, calls_hostile);
#undef LIST
	return (rc);
}

static int
seccomp_enter(const struct sandbox_conf *conf, bool files,
    struct ufop_err *err)
{
	scmp_filter_ctx	ctx;
	int		rc;

	ctx = seccomp_init(conf->profile == SANDBOX_NET ? SCMP_ACT_ALLOW :
	    SCMP_ACT_ERRNO(ENOSYS));
	if (ctx == NULL)
		return (err_set(err, UFOP_SYSTEM,
		    "cannot set up the seccomp filter"));
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS);
	if (rc == 0 && conf->profile == SANDBOX_NET)
		rc = filter_net(ctx);
	else if (rc == 0)
		rc = filter_listed(ctx, conf->profile, files);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc != 0) {
		errno = -rc;
		return (err_sys(err, "cannot load the seccomp filter"));
	}
	return (0);
}

static bool
seccomp_there(void)
{
	uint32_t	action = SECCOMP_RET_KILL_PROCESS;

	return (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) ==
	    0);
}

/* ---- Landlock -------------------------------------------------------- */

/* The ABI version, or 0 when there is none. */
static int
landlock_abi(void)
{
	long	abi;

	abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	return (abi < 0 ? 0 : (int)abi);
}

/* The rights of the file system that this ABI knows. */
static uint64_t
landlock_known(int abi)
{
	uint64_t	known = (1ULL << 13) - 1;

	if (abi >= 2)
		known |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		known |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= 5)
		known |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return (known);
}

/* Grant rights on path and what is below; a path that is not there is fine. */
static int
landlock_grant(int ruleset, uint64_t rights, const char *path,
    struct ufop_err *err)
{
	struct landlock_path_beneath_attr	 rule = { 0 };
	struct stat				 st;
	int					 rv = 0;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd == -1)
		return (0);
	rule.allowed_access = rights;
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_OF_FILES;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
	    &rule, 0) == -1)
		rv = err_sys(err, "cannot grant '%s' by Landlock", path);
	close(rule.parent_fd);
	return (rv);
}

/*
 * Make the ruleset while paths can still be opened; root tells whether the
 * child will be root.  Returns its descriptor,
 * -1 when this kernel has no Landlock, -2 with err.
 */
static int
landlock_prepare(const struct sandbox_conf *conf, int abi, bool root,
    struct ufop_err *err)
{
	struct ruleset_attr	attr = { 0 };
	uint64_t		known = landlock_known(abi), rw;
	size_t			i, size;
	int			ruleset, rv = 0;

	if (abi == 0)
		return (-1);
	attr.fs = known;
	if (conf->profile == SANDBOX_NET)
		attr.fs &= FS_WRITE | FS_SPECIAL;
	if (conf->profile == SANDBOX_CPU)
		attr.net = NET_BIND_TCP | NET_CONNECT_TCP;
	else if (conf->profile == SANDBOX_FETCH)
		attr.net = NET_BIND_TCP;
	attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	size = abi >= 6 ? sizeof(attr) : abi >= 4 ?
	    offsetof(struct ruleset_attr, scoped) :
	    offsetof(struct ruleset_attr, net);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset == -1) {
		err_sys(err, "cannot make a Landlock ruleset");
		return (-2);
	}

	rw = (FS_READ | FS_WRITE) & attr.fs;
	switch (conf->profile) {
	case SANDBOX_CPU:
		rv = landlock_grant(ruleset, rw, "/dev/null", err);
		if (rv == 0)
			rv = landlock_grant(ruleset, FS_READ, "/dev/zero", err);
		if (rv == 0)
			rv = landlock_grant(ruleset, FS_READ, "/dev/urandom",
			    err);
		break;
	case SANDBOX_FETCH:
		for (i = 0; i < NITEMS(fetch_files) && rv == 0; i++)
			rv = landlock_grant(ruleset, FS_READ, fetch_files[i],
			    err);
		break;
	case SANDBOX_NET:
		rw |= LANDLOCK_ACCESS_FS_MAKE_SOCK;
		for (i = 0; i < NITEMS(net_files) && rv == 0; i++)
			rv = landlock_grant(ruleset, rw, net_files[i], err);
		/*
		 * A user namespace is set up by writing to files there; but a
		 * root that stays root could write /proc/sys.
		 */
		if (rv == 0 && !root)
			rv = landlock_grant(ruleset, rw, "/proc", err);
		break;
	}
	if (rv == 0 && conf->scratch != NULL)
		rv = landlock_grant(ruleset, rw, conf->scratch, err);
	if (rv == -1) {
		close(ruleset);
		return (-2);
	}
	return (ruleset);
}

static int
landlock_enter(int ruleset, struct ufop_err *err)
{
	if (ruleset == -1)
		return (0);
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) == -1)
		return (err_sys(err, "cannot enter the Landlock ruleset"));
	close(ruleset);
	return (0);
}

/* ---- user, limits, surroundings -------------------------------------- */

/*
 * Whom to become: *change is false when nobody (not root, or none wanted).
 */
static int
user_find(const char *name, bool *change, uid_t *uid, gid_t *gid,
    struct ufop_err *err)
{
	struct passwd	*pw;
	int64_t		 n;

	*change = false;
	if (geteuid() != 0 || name == NULL || *name == '\0')
		return (0);
	if (str_int(str_from(name), 0, UINT32_MAX - 1, &n) == 0) {
		pw = getpwuid((uid_t)n);
		*uid = (uid_t)n;
		*gid = pw != NULL ? pw->pw_gid : (gid_t)n;
	} else {
		pw = getpwnam(name);
		if (pw == NULL)
			return (err_set(err, UFOP_CONFIG, "there is no user "
			    "'%s'; name one of /etc/passwd or give a number",
			    name));
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
	}
	if (*uid == 0 || *gid == 0)
		return (err_set(err, UFOP_CONFIG, "user '%s' is root (uid %u, "
		    "gid %u); children need another one, such as nobody", name,
		    (unsigned)*uid, (unsigned)*gid));
	*change = true;
	return (0);
}

static int
user_become(uid_t uid, gid_t gid, struct ufop_err *err)
{
	uid_t	r, e, s;
	gid_t	rg, eg, sg;

	if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		return (err_sys(err, "cannot become uid %u, gid %u",
		    (unsigned)uid, (unsigned)gid));
	if (getresuid(&r, &e, &s) == -1 || getresgid(&rg, &eg, &sg) == -1 ||
	    r != uid || e != uid || s != uid || rg != gid || eg != gid ||
	    sg != gid || getgroups(0, NULL) != 0 || setuid(0) == 0)
		return (err_set(err, UFOP_SYSTEM, "uid %u, gid %u did not hold",
		    (unsigned)uid, (unsigned)gid));
	return (0);
}

/*
 * Every capability, now and to come.  A root that stays root (no user was
 * asked for) loses them as well; errors of the bounding set are its absence.
 */
static int
capabilities_drop(struct ufop_err *err)
{
	struct __user_cap_header_struct	head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct	none[_LINUX_CAPABILITY_U32S_3] = {
		{ 0, 0, 0 }
	};
	int				cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, none) == -1)
		return (err_sys(err, "cannot drop capabilities"));
	return (0);
}

static int
limit(int what, const char *name, rlim_t value, struct ufop_err *err)
{
	struct rlimit	rl;

	if (getrlimit(what, &rl) == -1)
		return (err_sys(err, "cannot read the limit %s", name));
	/*
	 * Without privilege the hard limit only goes down, and root of a
	 * container may have none.
	 */
	if (value > rl.rlim_max) {
		struct rlimit	higher = { value, value };

		if (setrlimit(what, &higher) == 0)
			return (0);
		value = rl.rlim_max;
	}
	rl.rlim_cur = rl.rlim_max = value;
	if (setrlimit(what, &rl) == -1)
		return (err_sys(err, "cannot set the limit %s to %llu", name,
		    (unsigned long long)value));
	return (0);
}

static int
limits_set(const struct sandbox_conf *conf, bool change, struct ufop_err *err)
{
	int	nofile = conf->nofile > 0 ? conf->nofile : SANDBOX_NOFILE;

	if (limit(RLIMIT_CORE, "core", 0, err) == -1 ||
	    limit(RLIMIT_NOFILE, "nofile", (rlim_t)nofile, err) == -1)
		return (-1);
	/* Of threads as well; a user shares it with others of its name. */
	if (change && conf->profile != SANDBOX_NET &&
	    limit(RLIMIT_NPROC, "nproc", THREADS_MAX, err) == -1)
		return (-1);
	if (conf->file_max > 0 && limit(RLIMIT_FSIZE, "fsize",
	    (rlim_t)conf->file_max, err) == -1)
		return (-1);
#ifndef ASAN
	if (conf->memory_mb > 0 && limit(RLIMIT_AS, "as",
	    (rlim_t)conf->memory_mb << 20, err) == -1)
		return (-1);
#endif
	return (0);
}

/* Landlock and capabilities are a thread's own: others would stay outside. */
static int
threads_none(struct ufop_err *err)
{
	struct dirent	*de;
	DIR		*dir;
	int		 n = 0;

	dir = opendir("/proc/self/task");
	if (dir == NULL)	/* no /proc: nothing to be known */
		return (0);
	while ((de = readdir(dir)) != NULL)
		if (de->d_name[0] != '.')
			n++;
	closedir(dir);
	if (n > 1)
		return (err_set(err, UFOP_CONFIG, "%d threads run before the "
		    "sandbox closes; a service's setup must start none (the "
		    "first job may)", n));
	return (0);
}

static void
environment_clean(const struct sandbox_conf *conf)
{
	static const char *const	 kept[] = { "LANG", "LC_ALL", "TZ" };
	char				*values[NITEMS(kept)];
	const char			*home;
	size_t				 i;

	for (i = 0; i < NITEMS(kept); i++) {
		home = getenv(kept[i]);
		values[i] = home != NULL ? xstrdup(home) : NULL;
	}
	clearenv();
	for (i = 0; i < NITEMS(kept); i++)
		if (values[i] != NULL) {
			setenv(kept[i], values[i], 1);
			free(values[i]);
		}
	home = conf->scratch != NULL ? conf->scratch : "/";
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
	setenv("HOME", home, 1);
	if (conf->scratch != NULL)
		setenv("TMPDIR", home, 1);
}

/* The directory becomes the user's; by descriptor, so no symlink decides. */
static int
scratch_give(const char *path, uid_t uid, gid_t gid, struct ufop_err *err)
{
	int	fd, rv = 0;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1) {
		err_sys(err, "cannot open the scratch directory '%s'", path);
		goto config;
	}
	if ((geteuid() == 0 && fchown(fd, uid, gid) == -1) || fchmod(fd, 0700) == -1)
		rv = err_sys(err, "cannot give the scratch directory '%s' away",
		    path);
	close(fd);
	if (rv == 0)
		return (0);
config:
	if (err != NULL)
		err->code = UFOP_CONFIG;
	return (-1);
}

#ifdef ASAN
/*
 * The leak checker forks and traces its own process at exit(), which is just
 * what the filter kills for; it asks this function whether to.
 */
static bool	 entered;

UFOP_API int	 __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
	return (entered);
}
#endif

int
sandbox_enter(const struct sandbox_conf *conf, struct ufop_err *err)
{
	uid_t	 uid = geteuid();
	gid_t	 gid = getegid();
	bool	 change;
	int	 pdeathsig = 0, abi, ruleset;

	if (threads_none(err) == -1 ||
	    user_find(conf->user, &change, &uid, &gid, err) == -1)
		return (-1);
	if (conf->scratch != NULL &&
	    scratch_give(conf->scratch, uid, gid, err) == -1)
		return (-1);
	abi = landlock_abi();
	ruleset = landlock_prepare(conf, abi, geteuid() == 0 && !change, err);
	if (ruleset == -2)
		return (-1);

	umask(077);
	(void)setsid();		/* fails for a leader, which has what we want */
	if (getpgrp() != getpid() && setpgid(0, 0) == -1)
		return (err_sys(err, "cannot make a process group"));
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	environment_clean(conf);
	tzset();		/* the zone's file is out of reach later */
	if (limits_set(conf, change, err) == -1)
		return (-1);

	/* A change of user forgets these two, so they come after it. */
	(void)prctl(PR_GET_PDEATHSIG, &pdeathsig);
	if (change && user_become(uid, gid, err) == -1)
		return (-1);
	if (capabilities_drop(err) == -1)
		return (-1);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_SET_PDEATHSIG, pdeathsig, 0, 0, 0) == -1)
		return (err_sys(err, "cannot close the process to others"));

	if (chdir(conf->scratch != NULL ? conf->scratch : "/") == -1) {
		err_sys(err, "cannot enter the scratch directory '%s' as uid "
		    "%u", conf->scratch != NULL ? conf->scratch : "/",
		    (unsigned)geteuid());
		if (err != NULL)
			err->code = UFOP_CONFIG;
		return (-1);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return (err_sys(err, "cannot renounce new privileges"));
	if (landlock_enter(ruleset, err) == -1)
		return (-1);
#ifdef ASAN
	entered = true;
#endif
	if (!seccomp_there())
		return (0);
	return (seccomp_enter(conf, abi > 0 || change, err));
}

int
sandbox_check(const struct sandbox_conf *conf, struct ufop_err *err)
{
	uid_t	 uid;
	gid_t	 gid;
	bool	 change;

	return (user_find(conf->user, &change, &uid, &gid, err));
}

void
sandbox_describe(const struct sandbox_conf *conf, char *out, size_t size)
{
	struct buf	 has, lacks;
	struct ufop_err	 err = { 0 };
	uid_t		 uid = geteuid();
	gid_t		 gid;
	bool		 change;
	int		 abi = landlock_abi();

	buf_init(&has, 512);
	buf_init(&lacks, 512);
	if (user_find(conf->user, &change, &uid, &gid, &err) == -1)
		buf_addf(&lacks, ", another user (%s)", err.msg);
	else if (!change && geteuid() == 0)
		buf_cstr(&lacks, ", another user (none is set)");
	else if (!change)
		buf_cstr(&lacks, ", another user (only root can change it)");
	buf_addf(&has, "uid %u", (unsigned)uid);

	if (abi == 0)
		buf_cstr(&lacks, ", landlock (this kernel or container has "
		    "none)");
	else
		buf_addf(&has, ", landlock %d", abi);
	if (abi > 0 && abi < 6)
		buf_cstr(&lacks, ", landlock for signals (since version 6)");
	if (seccomp_there())
		buf_cstr(&has, ", seccomp");
	else
		buf_cstr(&lacks, ", seccomp (this kernel has none)");
#ifdef ASAN
	buf_cstr(&lacks, ", memory limit (built with AddressSanitizer)");
#endif
	if (lacks.len > 0)
		snprintf(out, size, "%s; missing: %s", has.p, lacks.p + 2);
	else
		snprintf(out, size, "%s", has.p);
	buf_release(&has);
	buf_release(&lacks);
}
