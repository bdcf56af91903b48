/* SPDX-License-Identifier: MIT */
/*
 * What a sandboxed child can and cannot do.  Every check runs in a forked
 * child that has entered the sandbox; the test itself stays outside.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <linux/capability.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <seccomp.h>

#include "asan.h"
#include "sandbox.h"
#include "unit.h"

#define OTHER_USER	"65534"

static char	 top[PATH_MAX];		/* the test's own directory */
static char	 scratch[PATH_MAX + 16];

/* A scratch directory that another user can reach. */
static struct sandbox_conf
conf_make(enum sandbox_profile profile)
{
	struct sandbox_conf	conf = { .profile = profile,
				    .user = OTHER_USER };
	int			fd;

	CHECK(getcwd(top, sizeof(top)) != NULL);
	CHECK_INT(chmod(top, 0755), 0);
	snprintf(scratch, sizeof(scratch), "%s/scratch", top);
	CHECK(mkdir(scratch, 0755) == 0 || errno == EEXIST);
	fd = open("outside", O_CREAT | O_WRONLY, 0666);
	CHECK(fd != -1);
	CHECK_INT(write(fd, "secret", 6), 6);
	CHECK_INT(fchmod(fd, 0666), 0);
	close(fd);
	conf.scratch = scratch;
	return (conf);
}

/* Run fn in a sandboxed child; its wait status. */
static int
child_status(const struct sandbox_conf *conf, void (*fn)(void))
{
	struct ufop_err	err = { 0 };
	pid_t		pid;
	int		status;

	fflush(NULL);
	pid = fork();
	CHECK(pid != -1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (sandbox_enter(conf, &err) == -1)
			unit_fail(__FILE__, __LINE__, "%s", err.msg);
		fn();
		_exit(0);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	return (status);
}

static void
child(const struct sandbox_conf *conf, void (*fn)(void))
{
	int	status = child_status(conf, fn);

	CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "the child ended with status %#x", (unsigned)status);
}

static void
killed(const struct sandbox_conf *conf, void (*fn)(void))
{
	int	status = child_status(conf, fn);

	CHECK_MSG(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
	    "the child ended with status %#x, not by SIGSYS",
	    (unsigned)status);
}

#define REFUSED(call, no)						\
	do {								\
		errno = 0;						\
		CHECK_MSG((call) == -1, "%s worked", #call);		\
		CHECK_MSG(errno == (no), "%s: %s", #call,		\
		    strerror(errno));					\
	} while (0)

/* ---- cpu ------------------------------------------------------------- */

static void
cpu_network(void)
{
	int	pair[2];

	REFUSED(socket(AF_INET, SOCK_STREAM, 0), EPERM);
	REFUSED(socket(AF_INET6, SOCK_DGRAM, 0), EPERM);
	REFUSED(socket(AF_UNIX, SOCK_STREAM, 0), EPERM);
	REFUSED(socket(AF_NETLINK, SOCK_RAW, 0), EPERM);
	REFUSED(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
	REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), EPERM);
}

void
test_sandbox_cpu_network(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

	child(&conf, cpu_network);
}

static void *
thread(void *arg)
{
	*(int *)arg = 7;
	return (NULL);
}

static void
cpu_processes(void)
{
	char *const	argv[] = { (char[]){ "true" }, NULL };
	pthread_t	t;
	int		got = 0;

	REFUSED(execve("/bin/true", argv, NULL), EPERM);
	REFUSED(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, NULL, 0),
	    EPERM);
	REFUSED(fork(), EPERM);
#ifdef SYS_fork
	REFUSED(syscall(SYS_fork), EPERM);
	REFUSED(syscall(SYS_vfork), EPERM);
#endif
	REFUSED(syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0),
	    EPERM);
	REFUSED(syscall(SYS_clone3, NULL, 0), ENOSYS);
	CHECK(system("true") != 0);
	CHECK(popen("true", "r") == NULL);

	CHECK_INT(pthread_create(&t, NULL, thread, &got), 0);
	CHECK_INT(pthread_join(t, NULL), 0);
	CHECK_INT(got, 7);
}

void
test_sandbox_cpu_processes(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

	child(&conf, cpu_processes);
}

static int	open_fd;

static void
cpu_files(void)
{
	char	path[PATH_MAX + 64], text[8];
	int	fd;

	/* Nothing to read outside, whatever its mode. */
	REFUSED(open("/etc/passwd", O_RDONLY), EACCES);
	REFUSED(open("/", O_RDONLY | O_DIRECTORY), EACCES);
	REFUSED(open("/proc/self/maps", O_RDONLY), EACCES);
	REFUSED(open("/dev/shm", O_RDONLY | O_DIRECTORY), EACCES);
	REFUSED(open("..", O_RDONLY | O_DIRECTORY), EACCES);
	REFUSED(open("../outside", O_RDONLY), EACCES);
	/* Nor to write, make, remove or change. */
	REFUSED(open("../outside", O_WRONLY), EACCES);
	REFUSED(open("/tmp/ufop-sandbox-test", O_CREAT | O_WRONLY, 0600),
	    EACCES);
	REFUSED(open("/dev/shm/ufop-sandbox-test", O_CREAT | O_WRONLY, 0600),
	    EACCES);
	REFUSED(mkdir("/tmp/ufop-sandbox-test", 0700), EACCES);
	CHECK(unlink("../outside") == -1);
	CHECK(rename("../outside", "mine") == -1);
	REFUSED(truncate("../outside", 0), EPERM);
	REFUSED(chmod("../outside", 0600), EPERM);
	REFUSED(utimensat(AT_FDCWD, "../outside", NULL, 0), EPERM);
	CHECK(link("../outside", "mine") == -1);

	/* The scratch directory is ours. */
	snprintf(path, sizeof(path), "%s/file", scratch);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
	CHECK_MSG(fd != -1, "%s: %s", path, strerror(errno));
	CHECK_INT(write(fd, "abcdef", 6), 6);
	CHECK_INT(ftruncate(fd, 3), 0);
	close(fd);
	CHECK_INT(mkdir("sub", 0700), 0);
	CHECK_INT(rename("file", "sub/other"), 0);
	fd = open("sub/other", O_RDONLY);
	CHECK(fd != -1);
	CHECK_INT(read(fd, text, sizeof(text)), 3);
	close(fd);
	/* A symbolic link out of it leads nowhere. */
	CHECK_INT(symlink("/etc/passwd", "link"), 0);
	REFUSED(open("link", O_RDONLY), EACCES);
	REFUSED(mknod("dev", S_IFCHR | 0600, 0x103), EPERM);
	CHECK_INT(unlink("link"), 0);
	CHECK_INT(unlink("sub/other"), 0);
	CHECK_INT(rmdir("sub"), 0);
	CHECK((fd = open("/dev/null", O_WRONLY)) != -1);
	close(fd);

	/* What was open stays open. */
	CHECK_INT(pread(open_fd, text, 6, 0), 6);
	CHECK(memcmp(text, "secret", 6) == 0);
	CHECK_INT(pwrite(open_fd, "S", 1, 0), 1);
	fd = memfd_create("x", 0);
	CHECK(fd != -1);
	CHECK_INT(ftruncate(fd, 4096), 0);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) !=
	    MAP_FAILED);
}

void
test_sandbox_cpu_files(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);
	char			text[256];

	sandbox_describe(&conf, text, sizeof(text));
	if (strstr(text, "missing: landlock") != NULL ||
	    strstr(text, ", landlock (") != NULL)
		unit_skip("no Landlock here");
	open_fd = open("outside", O_RDWR);
	CHECK(open_fd != -1);
	child(&conf, cpu_files);
}

static void
cpu_signals(void)
{
	CHECK_INT(kill(getpid(), 0), 0);
	REFUSED(kill(getppid(), 0), EPERM);
	REFUSED(kill(getppid(), SIGKILL), EPERM);
	REFUSED(kill(-1, SIGKILL), EPERM);
	REFUSED(kill(0, SIGKILL), EPERM);
	REFUSED(kill(1, 0), EPERM);
	REFUSED(syscall(SYS_tgkill, getppid(), getppid(), SIGKILL), EPERM);
	REFUSED(syscall(SYS_tkill, getppid(), SIGKILL), EPERM);
	REFUSED(syscall(SYS_pidfd_open, getppid(), 0), EPERM);
	CHECK(fcntl(0, F_SETOWN, getppid()) == -1);
	REFUSED(prlimit(getppid(), RLIMIT_NOFILE, NULL,
	    &(struct rlimit){ 0, 0 }), EPERM);
	signal(SIGUSR1, SIG_IGN);
	CHECK_INT(raise(SIGUSR1), 0);
}

static void
cpu_undo(void)
{
	struct rlimit	rl;

	REFUSED(setuid(0), EPERM);
	REFUSED(setresgid(0, 0, 0), EPERM);
	REFUSED(setgroups(0, NULL), EPERM);
	CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1);
	CHECK_INT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	CHECK_INT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK(prctl(PR_SET_SECCOMP, 1, 0, 0, 0) == -1);
	REFUSED(syscall(SYS_unshare, CLONE_NEWUSER), EPERM);
	REFUSED(chroot("."), EPERM);
	REFUSED(syscall(SYS_keyctl, 0, 0), EPERM);
	REFUSED(syscall(SYS_io_uring_setup, 8, NULL), EPERM);
	REFUSED(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0), EPERM);
	/* No call that we have never heard of. */
	REFUSED(syscall(9999), ENOSYS);
	CHECK_INT(getrlimit(RLIMIT_CORE, &rl), 0);
	CHECK_INT(rl.rlim_max, 0);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &rl), 0);
	CHECK_INT(rl.rlim_max, SANDBOX_NOFILE);
	rl.rlim_max = rl.rlim_cur = SANDBOX_NOFILE + 1;
	REFUSED(setrlimit(RLIMIT_NOFILE, &rl), EPERM);
}

void
test_sandbox_cpu_signals(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

	child(&conf, cpu_signals);
}

void
test_sandbox_cpu_undo(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

	if (geteuid() != 0)
		conf.user = NULL;
	child(&conf, cpu_undo);
}

static void
do_ptrace(void)
{
	ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void
do_vm_read(void)
{
	process_vm_readv(getppid(), NULL, 0, NULL, 0, 0);
}

static void
do_setns(void)
{
	setns(0, 0);
}

static void
do_bpf(void)
{
	syscall(SYS_bpf, 0, NULL, 0);
}

static void
do_mount(void)
{
	syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL);
}

static void
do_module(void)
{
	syscall(SYS_finit_module, 0, "", 0);
}

static void
do_handle(void)
{
	syscall(SYS_open_by_handle_at, 0, NULL, 0);
}

void
test_sandbox_cpu_hostile(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

	killed(&conf, do_ptrace);
	killed(&conf, do_vm_read);
	killed(&conf, do_setns);
	killed(&conf, do_bpf);
	killed(&conf, do_mount);
	killed(&conf, do_module);
	killed(&conf, do_handle);
}

#ifdef __x86_64__
static void
do_i386(void)
{
	long	rv;

	/* getpid() by the 32-bit table, whose numbers mean other calls. */
	__asm__ volatile ("int $0x80" : "=a" (rv) : "a" (20) : "memory");
	(void)rv;
}

static void
do_x32(void)
{
	syscall(0x40000000 | SYS_getpid);
}

#endif

void
test_sandbox_cpu_other_abi(void)
{
#ifdef __x86_64__
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

	killed(&conf, do_i386);
	killed(&conf, do_x32);
#else
	unit_skip("a process of this machine has only one table of calls");
#endif
}

static void
cpu_memory(void)
{
	void	*p;

	p = mmap(NULL, 512 << 20, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p == MAP_FAILED);
	CHECK_INT(errno, ENOMEM);
	p = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	/* A hard limit does not come back. */
	CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){ RLIM_INFINITY,
	    RLIM_INFINITY }) == -1);
}

void
test_sandbox_memory(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

#ifdef ASAN
	unit_skip("AddressSanitizer maps more than any limit");
#endif
	conf.memory_mb = 256;
	child(&conf, cpu_memory);
}

static void
cpu_file_max(void)
{
	char	block[4096] = { 0 };
	int	fd = open("big", O_CREAT | O_WRONLY, 0600);

	CHECK(fd != -1);
	CHECK_INT(write(fd, block, sizeof(block)), sizeof(block));
	REFUSED(write(fd, block, sizeof(block)), EFBIG);
}

void
test_sandbox_file_max(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

	conf.file_max = 4096;
	child(&conf, cpu_file_max);
}

static void
surroundings(void)
{
	extern char	**environ;
	char		  cwd[PATH_MAX];
	struct tm	  tm;
	time_t		  zero = 0;
	int		  i, sig = 0;

	CHECK_INT(getpgrp(), getpid());
	CHECK_INT(getsid(0), getpid());
	CHECK_INT(umask(0), 077);
	CHECK(getenv("UFOP_REDIS_URL") == NULL);
	CHECK_STR(getenv("TZ"), "UTC-8");
	CHECK_STR(getenv("TMPDIR"), scratch);
	CHECK_STR(getenv("HOME"), scratch);
	for (i = 0; environ[i] != NULL; i++)
		CHECK(strstr(environ[i], "s3cret") == NULL);
	CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
	CHECK_STR(cwd, scratch);
	CHECK(localtime_r(&zero, &tm) != NULL);
	CHECK_INT(tm.tm_hour, 8);
	CHECK_INT(prctl(PR_GET_PDEATHSIG, &sig), 0);
	CHECK_INT(sig, SIGKILL);
}

void
test_sandbox_surroundings(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

	setenv("UFOP_REDIS_URL", "redis://:s3cret@x", 1);
	setenv("TZ", "UTC-8", 1);
	child(&conf, surroundings);
}

static void
has_files(void)
{
	struct rlimit	rl;

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &rl), 0);
	CHECK_INT(rl.rlim_cur, 300);
	CHECK_INT(rl.rlim_max, 300);
}

/* As root of a container is, which may not raise limits. */
void
test_sandbox_takes_the_files_it_can_have(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_NET);
	struct rlimit		rl = { 300, 300 };
	struct __user_cap_header_struct head = {
		_LINUX_CAPABILITY_VERSION_3, 0
	};
	struct __user_cap_data_struct	data[2];

	if (geteuid() == 0) {
		CHECK_INT(syscall(SYS_capget, &head, data), 0);
		data[0].effective &= ~(1U << CAP_SYS_RESOURCE);
		data[0].permitted &= ~(1U << CAP_SYS_RESOURCE);
		CHECK_INT(syscall(SYS_capset, &head, data), 0);
	}
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &rl), 0);
	conf.nofile = 4096;
	child(&conf, has_files);
}

static void
is_other_user(void)
{
	uid_t	r, e, s;

	CHECK_INT(getresuid(&r, &e, &s), 0);
	CHECK_INT(r, 65534);
	CHECK_INT(e, 65534);
	CHECK_INT(s, 65534);
	CHECK_INT(getegid(), 65534);
	CHECK_INT(getgroups(0, NULL), 0);
}

void
test_sandbox_user(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);
	struct ufop_err		err = { 0 };
	struct stat		st;

	if (geteuid() != 0)
		unit_skip("only root can change its user");
	child(&conf, is_other_user);
	CHECK_INT(stat(scratch, &st), 0);
	CHECK_INT(st.st_uid, 65534);
	CHECK_INT(st.st_mode & 07777, 0700);
	conf.user = "nobody";
	child(&conf, is_other_user);

	conf.user = "no-such-user";
	CHECK_INT(sandbox_enter(&conf, &err), -1);
	CHECK_INT(err.code, UFOP_CONFIG);
	CHECK(strstr(err.msg, "no-such-user") != NULL);
	conf.user = "root";
	CHECK_INT(sandbox_enter(&conf, &err), -1);
	CHECK_INT(err.code, UFOP_CONFIG);
	conf.user = "0";
	CHECK_INT(sandbox_enter(&conf, &err), -1);
}

/* Root that was told to stay root is one in name only. */
static void
powerless(void)
{
	CHECK_INT(geteuid(), 0);
	REFUSED(open("/etc/shadow", O_RDONLY), EACCES);
	REFUSED(chown("x", 1, 1), EPERM);
}

static void
powerless_net(void)
{
	CHECK_INT(geteuid(), 0);
	CHECK(open("/proc/sys/kernel/core_pattern", O_WRONLY) == -1);
	CHECK(syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL) == -1);
	CHECK(chown("../outside", 1, 1) == -1);
}

void
test_sandbox_root_stays(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

	if (geteuid() != 0)
		unit_skip("needs root");
	conf.user = NULL;
	child(&conf, powerless);
	conf.profile = SANDBOX_NET;
	child(&conf, powerless_net);
}

/* The whole of cpu again, by a user who has no privilege to begin with. */
void
test_sandbox_unprivileged(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);
	char			text[256];

	if (geteuid() == 0) {
		CHECK_INT(chown(top, 12345, 12345), 0);
		CHECK_INT(chown(scratch, 12345, 12345), 0);
		CHECK_INT(setgid(12345), 0);
		CHECK_INT(setuid(12345), 0);
		CHECK_INT(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
	}
	sandbox_describe(&conf, text, sizeof(text));
	CHECK_MSG(strstr(text, "only root can change it") != NULL, "%s", text);
	child(&conf, cpu_network);
	child(&conf, cpu_processes);
	child(&conf, cpu_signals);
	child(&conf, cpu_undo);
	killed(&conf, do_ptrace);
	if (strstr(text, ", landlock (") == NULL &&
	    strstr(text, ": landlock (") == NULL) {
		open_fd = open("outside", O_RDWR);
		CHECK(open_fd != -1);
		child(&conf, cpu_files);
	}
}

void
test_sandbox_scratch_errors(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);
	struct ufop_err		err = { 0 };
	char			path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/nowhere", top);
	conf.scratch = path;
	CHECK_INT(sandbox_enter(&conf, &err), -1);
	CHECK_INT(err.code, UFOP_CONFIG);
	CHECK(strstr(err.msg, path) != NULL);
	/* A link is not followed: its target would be given away. */
	CHECK_INT(symlink("/etc", path), 0);
	CHECK_INT(sandbox_enter(&conf, &err), -1);
	CHECK_INT(err.code, UFOP_CONFIG);
}

static void
orderly_exit(void)
{
	exit(0);
}

/* Also with a leak checker, which would fork and trace. */
void
test_sandbox_exit(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);

	child(&conf, orderly_exit);
}

static void *
wait_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return (NULL);
}

void
test_sandbox_threads(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);
	struct ufop_err		err = { 0 };
	pthread_t		t;

	CHECK_INT(pthread_create(&t, NULL, wait_for_ever, NULL), 0);
	CHECK_INT(sandbox_enter(&conf, &err), -1);
	CHECK_INT(err.code, UFOP_CONFIG);
	CHECK(strstr(err.msg, "2 threads") != NULL);
	_exit(0);
}

/* ---- fetch ----------------------------------------------------------- */

static void
fetch_all(void)
{
	char *const	argv[] = { (char[]){ "true" }, NULL };
	char		path[PATH_MAX + 16];
	int		fd;

	CHECK((fd = socket(AF_INET, SOCK_STREAM, 0)) != -1);
	REFUSED(listen(fd, 1), EPERM);
	close(fd);
	CHECK((fd = socket(AF_INET6, SOCK_DGRAM, 0)) != -1);
	close(fd);
	REFUSED(socket(AF_UNIX, SOCK_STREAM, 0), EPERM);
	REFUSED(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
	REFUSED(execve("/bin/true", argv, NULL), EPERM);
	REFUSED(fork(), EPERM);
	REFUSED(kill(getppid(), SIGKILL), EPERM);
	REFUSED(open("/etc/passwd", O_RDONLY), EACCES);
	snprintf(path, sizeof(path), "%s/outside", top);
	REFUSED(open(path, O_RDONLY), EACCES);
	CHECK(open("/tmp/ufop-sandbox-test", O_CREAT | O_WRONLY, 0600) == -1);
	CHECK(mkdir("/tmp/ufop-sandbox-test", 0700) == -1);
	if (access("/etc/nsswitch.conf", F_OK) == 0) {
		CHECK((fd = open("/etc/nsswitch.conf", O_RDONLY)) != -1);
		close(fd);
		CHECK(open("/etc/nsswitch.conf", O_WRONLY) == -1);
	}
}

void
test_sandbox_fetch(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_FETCH);
	char			text[256];

	sandbox_describe(&conf, text, sizeof(text));
	if (strstr(text, ": landlock (") != NULL ||
	    strstr(text, ", landlock (") != NULL)
		unit_skip("no Landlock here");
	conf.scratch = NULL;
	child(&conf, fetch_all);
	killed(&conf, do_ptrace);
}

/* ---- net ------------------------------------------------------------- */

static void
net_all(void)
{
	struct sockaddr_un	un = { .sun_family = AF_UNIX };
	pid_t			pid;
	int			fd, status;

	CHECK((fd = socket(AF_INET, SOCK_STREAM, 0)) != -1);
	close(fd);
	CHECK((fd = socket(AF_UNIX, SOCK_STREAM, 0)) != -1);
	snprintf(un.sun_path, sizeof(un.sun_path), "s");
	CHECK_INT(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	CHECK((pid = fork()) != -1);
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "echo x > file && kill -0 $$",
		    (char *)NULL);
		_exit(9);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, 0);
	CHECK((fd = open("/etc/passwd", O_RDONLY)) != -1);
	close(fd);

	CHECK(open("/tmp/ufop-sandbox-test", O_CREAT | O_WRONLY, 0600) == -1);
	REFUSED(open("../outside", O_WRONLY), EACCES);
	CHECK(kill(getppid(), SIGKILL) == -1);
	REFUSED(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL), EPERM);
	REFUSED(syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL), EPERM);
	REFUSED(syscall(SYS_io_uring_setup, 8, NULL), EPERM);
	CHECK(setuid(0) == -1 || geteuid() == 0);
}

void
test_sandbox_net(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_NET);

	child(&conf, net_all);
	killed(&conf, do_setns);
	killed(&conf, do_module);
}

/* What a browser's launcher does: a user and network namespace of its own. */
static void
net_namespace(void)
{
	int	fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == -1)
		_exit(3);	/* this host denies them to everyone */
	CHECK_INT(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
	fd = open("/proc/self/uid_map", O_WRONLY);
	CHECK_MSG(fd != -1, "uid_map: %s", strerror(errno));
	CHECK(write(fd, "0 65534 1", 9) == 9);
}

void
test_sandbox_net_namespace(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_NET);
	int			status;

	if (geteuid() != 0)
		unit_skip("the uid to map is known for root only");
	status = child_status(&conf, net_namespace);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		unit_skip("no user namespaces here");
	CHECK_INT(status, 0);
}

/* ---- without Landlock ------------------------------------------------ */

/* As on a kernel that has none. */
static void
no_landlock(void)
{
	scmp_filter_ctx	ctx = seccomp_init(SCMP_ACT_ALLOW);

	CHECK(ctx != NULL);
	CHECK_INT(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
	    SCMP_SYS(landlock_create_ruleset), 0), 0);
	CHECK_INT(seccomp_load(ctx), 0);
	seccomp_release(ctx);
}

/* Another user holds the files: its own may be written, no one else's. */
static void
bare_other_user(void)
{
	int	fd;

	CHECK((fd = open("file", O_CREAT | O_RDWR, 0600)) != -1);
	close(fd);
	REFUSED(open("/etc/shadow", O_RDONLY), EACCES);
	REFUSED(open("../new", O_CREAT | O_WRONLY, 0600), EACCES);
	REFUSED(socket(AF_INET, SOCK_STREAM, 0), EPERM);
}

/* Nothing else does: no file at all. */
static void
bare_same_user(void)
{
	REFUSED(open("/etc/passwd", O_RDONLY), EPERM);
	REFUSED(open("file", O_CREAT | O_RDWR, 0600), EPERM);
	REFUSED(mkdir("sub", 0700), EPERM);
	REFUSED(unlink("../outside"), EPERM);
	REFUSED(rename("../outside", "x"), EPERM);
}

static void
bare_fetch(void)
{
	int	fd;

	CHECK((fd = open("/etc/passwd", O_RDONLY)) != -1);
	close(fd);
	CHECK(open("../outside", O_WRONLY) == -1);
	CHECK(open("../outside", O_RDWR) == -1);
	CHECK(open("../outside", O_RDONLY | O_TRUNC) == -1);
	CHECK(open("file", O_RDONLY | O_CREAT, 0600) == -1);
}

void
test_sandbox_without_landlock(void)
{
	struct sandbox_conf	conf = conf_make(SANDBOX_CPU);
	char			text[256];

	no_landlock();
	sandbox_describe(&conf, text, sizeof(text));
	CHECK_MSG(strstr(text, "landlock (") != NULL, "%s", text);
	if (geteuid() == 0)
		child(&conf, bare_other_user);
	conf.user = NULL;
	child(&conf, bare_same_user);
	conf.profile = SANDBOX_FETCH;
	child(&conf, bare_fetch);
	conf.profile = SANDBOX_NET;
	killed(&conf, do_setns);
}

/* ---- the description ------------------------------------------------- */

void
test_sandbox_describe(void)
{
	struct sandbox_conf	conf = { .user = OTHER_USER };
	char			text[256];

	sandbox_describe(&conf, text, sizeof(text));
	CHECK_MSG(strstr(text, geteuid() == 0 ? "uid 65534" : "uid ") == text,
	    "%s", text);
	CHECK_MSG(strstr(text, "seccomp") != NULL, "%s", text);
	conf.user = NULL;
	sandbox_describe(&conf, text, sizeof(text));
	CHECK_MSG(strstr(text, "missing: another user") != NULL, "%s", text);
	conf.user = "no-such-user";
	if (geteuid() == 0) {
		sandbox_describe(&conf, text, sizeof(text));
		CHECK_MSG(strstr(text, "no-such-user") != NULL, "%s", text);
	}
}
