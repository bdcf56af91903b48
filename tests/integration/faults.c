/* SPDX-License-Identifier: MIT */
/*
 * The service `faults`: tasks that misbehave in every way a handler can, and
 * tasks that try what the sandbox forbids and report what it said.  For tests
 * alone; it needs nothing but ufop.h:
 *
 *	cc -shared -fPIC -Iinclude -o faults.so tests/integration/faults.c
 *
 * A probe answers one line an attempt: "socket inet: EPERM" when it was
 * refused, "socket inet: allowed" when not.  The harmless form is tried where
 * there is one (signal 0), so that a hole in the sandbox hurts no machine.
 *
 * In the environment of the worker: FAULTS_SICK makes the task `sick` tell its
 * health() as bad in that word, FAULTS_NOTE has it tell a note, FAULTS_NO_SETUP
 * makes setup() fail, FAULTS_HANG makes teardown() hang.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ufop.h>

#define MB		(1024 * 1024)
#define FORKS		64	/* a fork bomb that a machine survives */
#define FORK_LIFE_S	60	/* what is left of it, if nobody ends it */
#define FDS		1024

/* ---- reports ---------------------------------------------------------- */

static char	report_text[4096];
static size_t	report_len;

static void
report_begin(void)
{
	report_text[0] = '\0';
	report_len = 0;
}

/* One attempt; it failed, with errno, when result is -1. */
static void
report(const char *what, long result)
{
	size_t	room = sizeof(report_text) - report_len;
	int	n;

	n = snprintf(report_text + report_len, room, "%s: %s\n", what,
	    result == -1 ? strerrorname_np(errno) : "allowed");
	if (n > 0 && (size_t)n < room)
		report_len += (size_t)n;
}

static int
report_send(struct ufop_reply *reply)
{
	return (ufop_reply_textf(reply, "%s", report_text));
}

/* The number in the cmd, 0 when there is none. */
static int
number(struct ufop_job *job)
{
	return ((int)strtol(ufop_arg(job, "n", "0"), NULL, 10));
}

static void
sleep_ms(int ms)
{
	struct timespec	t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		;
}

/* ---- files beside the source ------------------------------------------ */

/* The url in hexadecimal that text begins with; how much of text it took. */
static size_t
url_from(const char *text, char *url, size_t size)
{
	unsigned	byte;
	size_t		n = 0;

	while (n + 1 < size && sscanf(text + 2 * n, "%2x", &byte) == 1 &&
	    text[2 * n] != ',')
		url[n++] = (char)byte;
	url[n] = '\0';
	return (2 * n + (text[2 * n] == ','));
}

/* The source and, behind it, what lies at each of the urls. */
static int
do_fetch(struct ufop_job *job, struct ufop_reply *reply)
{
	const char		*text = ufop_arg(job, "urls", "");
	const unsigned char	*data;
	char			 url[1024];
	unsigned char		*all = ufop_alloc(job, 4 * MB, 1);
	size_t			 len, n = job->len;
	bool			 missing = false;

	memcpy(all, job->data, job->len);
	while (*text != '\0') {
		text += url_from(text, url, sizeof(url));
		if (ufop_fetch(job, reply, url, &data, &len) != 0)
			missing = true;
		else {
			memcpy(all + n, data, len);
			n += len;
		}
	}
	fprintf(stderr, "fetch runs, %s\n", missing ? "something is missing" :
	    "all is there");
	return (missing ? -1 : ufop_reply_bytes(reply, all, n, "text/plain"));
}

/* The child's end comes when all is there. */
static int
do_fetch_and_die(struct ufop_job *job, struct ufop_reply *reply)
{
	if (do_fetch(job, reply) == 0)
		abort();
	return (-1);
}

/* Never has enough. */
static int
do_insatiable(struct ufop_job *job, struct ufop_reply *reply)
{
	const unsigned char	*data;
	char			 url[1024], more[1100];
	size_t			 len;
	int			 i, rc = 0;

	(void)url_from(ufop_arg(job, "urls", ""), url, sizeof(url));
	for (i = 0; rc == 0; i++) {
		snprintf(more, sizeof(more), "%s?%d", url, i);
		rc = ufop_fetch(job, reply, more, &data, &len);
	}
	return (rc);
}

/* ---- ways to end, or not to ------------------------------------------- */

static int
do_crash(struct ufop_job *job, struct ufop_reply *reply)
{
	volatile int	*nowhere = NULL;

	(void)job;
	fprintf(stderr, "about to crash\n");
	*nowhere = 1;
	return (ufop_reply_textf(reply, "still here"));
}

static int
do_abort(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	(void)reply;
	fprintf(stderr, "about to abort\n");
	abort();
}

static int
do_exit(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)reply;
	fprintf(stderr, "about to exit with %d\n", number(job));
	_exit(number(job));
}

static _Noreturn void
spin(void)
{
	volatile unsigned	turns = 0;

	for (;;)
		turns++;
}

static int
do_loop(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	(void)reply;
	spin();
}

/* A loop that no signal but SIGKILL ends. */
static int
do_deaf(struct ufop_job *job, struct ufop_reply *reply)
{
	sigset_t	all;

	(void)job;
	(void)reply;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	spin();
}

static int
do_sleep(struct ufop_job *job, struct ufop_reply *reply)
{
	sleep_ms(number(job));
	return (ufop_reply_textf(reply, "slept %d ms", number(job)));
}

/* Leaves a line in the worker's log, to count how often it ran. */
static int
do_mark(struct ufop_job *job, struct ufop_reply *reply)
{
	ufop_log(job, "mark ran attempt=%d", job->attempt);
	return (ufop_reply_textf(reply, "marked"));
}

static int
do_pid(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	return (ufop_reply_textf(reply, "%d", (int)getpid()));
}

/* Breaks whatever it talks to its parent by. */
static int
do_close(struct ufop_job *job, struct ufop_reply *reply)
{
	int	fd;

	(void)job;
	for (fd = 0; fd < FDS; fd++)
		close(fd);
	return (ufop_reply_textf(reply, "closed"));
}

/* ---- too much --------------------------------------------------------- */

/* Without end, from the job's arena: the child ends of it. */
static int
do_alloc(struct ufop_job *job, struct ufop_reply *reply)
{
	while (memset(ufop_alloc(job, 1, MB), 1, MB) != NULL)
		;
	return (ufop_reply_textf(reply, "memory without end"));
}

/* Without end, until malloc() says no. */
static int
do_malloc(struct ufop_job *job, struct ufop_reply *reply)
{
	void	**list = NULL, **p;
	int	  mb = 0;

	(void)job;
	while ((p = malloc(MB)) != NULL) {
		memset(p, 1, MB);
		*p = list;
		list = p;
		mb++;
	}
	while ((p = list) != NULL) {
		list = *p;
		free(p);
	}
	return (ufop_reply_textf(reply, "malloc: ENOMEM after %d MB", mb));
}

/* What a leaking handler keeps for good. */
static int
do_grow(struct ufop_job *job, struct ufop_reply *reply)
{
	static void	*kept;
	size_t		 size = (size_t)number(job) * MB;
	void		*p = malloc(size);

	if (p == NULL)
		return (ufop_fail(reply, 500, "no memory for %d MB",
		    number(job)));
	memset(p, 1, size);
	kept = p;
	return (ufop_reply_textf(reply, "grown by %d MB at %p", number(job),
	    kept));
}

/* What most handlers do with memory; answers the page faults that it took. */
static int
do_use(struct ufop_job *job, struct ufop_reply *reply)
{
	struct rusage	 before, after;
	size_t		 size = (size_t)number(job) * MB;
	void		*p;

	(void)getrusage(RUSAGE_SELF, &before);
	if ((p = malloc(size)) == NULL)
		return (ufop_fail(reply, 500, "no memory for %d MB",
		    number(job)));
	memset(p, 1, size);
	__asm__ volatile("" : : "r"(p) : "memory");	/* not for nothing */
	free(p);
	(void)getrusage(RUSAGE_SELF, &after);
	return (ufop_reply_textf(reply, "%ld", after.ru_minflt -
	    before.ru_minflt));
}

static int
do_stderr(struct ufop_job *job, struct ufop_reply *reply)
{
	static const char	line[] = "a handler that talks too much, and says "
	    "the same thing again and again\n";
	size_t			left = (size_t)number(job) * MB;

	while (left > sizeof(line)) {
		if (write(STDERR_FILENO, line, sizeof(line) - 1) == -1)
			break;
		left -= sizeof(line) - 1;
	}
	fprintf(stderr, "the last words of stderr\n");
	return (ufop_reply_textf(reply, "wrote %d MB to stderr", number(job)));
}

static int
do_big(struct ufop_job *job, struct ufop_reply *reply)
{
	size_t	 size = (size_t)number(job) * MB, i;
	char	*room = ufop_reply_room(reply, size);

	if (room == NULL)
		return (-1);
	for (i = 0; i < size; i++)
		room[i] = (char)('a' + i % 26);
	return (ufop_reply_done(reply, size, "application/octet-stream"));
}

/* Its task takes bodies of 1000 bytes. */
static int
do_small(struct ufop_job *job, struct ufop_reply *reply)
{
	return (ufop_reply_textf(reply, "%zu bytes", job->len));
}

/* ---- answers ---------------------------------------------------------- */

/* The first n attempts fail for a reason that passes. */
static int
do_retry(struct ufop_job *job, struct ufop_reply *reply)
{
	if (job->attempt > number(job))
		return (ufop_reply_textf(reply, "attempt %d", job->attempt));
	ufop_fail(reply, 503, "attempt %d of %d that fail", job->attempt,
	    number(job));
	return (UFOP_RETRY);
}

static int
do_fail(struct ufop_job *job, struct ufop_reply *reply)
{
	return (ufop_fail(reply, number(job), "failed with %d, as asked",
	    number(job)));
}

/* Fails and does not say why. */
static int
do_silent(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	(void)reply;
	return (-1);
}

static int
do_status(struct ufop_job *job, struct ufop_reply *reply)
{
	/* With a body when the caller sent one, to see what comes of it. */
	if (job->len > 1)
		ufop_reply_bytes(reply, job->data, job->len, "text/plain");
	else
		ufop_reply_textf(reply, "status %d", number(job));
	return (ufop_reply_status(reply, number(job)));
}

static int
do_headers(struct ufop_job *job, struct ufop_reply *reply)
{
	char	name[32], value[32];
	int	i;

	for (i = 1; i <= number(job); i++) {
		snprintf(name, sizeof(name), "X-Fault-%d", i);
		snprintf(value, sizeof(value), "value %d", i);
		if (ufop_reply_header(reply, name, value) == -1)
			return (-1);
	}
	return (ufop_reply_textf(reply, "%d headers", number(job)));
}

static int
do_badheader(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	if (ufop_reply_header(reply, "X-Fault", "a\r\nX-Forged: b") == -1)
		return (-1);
	return (ufop_reply_textf(reply, "header set"));
}

/* ---- what the sandbox forbids ------------------------------------------ */

static int
do_fork(struct ufop_job *job, struct ufop_reply *reply)
{
	pid_t	pid = 0;
	int	i;

	(void)job;
	for (i = 0; i < FORKS && (pid = fork()) != -1; i++) {
		if (pid != 0)
			continue;
		/* Left behind on purpose: whoever ends the job must end it. */
		alarm(FORK_LIFE_S);
		for (;;)
			pause();
	}
	if (i > 0)
		return (ufop_reply_textf(reply, "fork: allowed %d times\n", i));
	report_begin();
	report("fork", pid);
	return (report_send(reply));
}

/* Where it is allowed, the child is gone, and the job with it. */
static int
do_exec(struct ufop_job *job, struct ufop_reply *reply)
{
	static char	 name[] = "true";
	static char	*argv[] = { name, NULL };

	(void)job;
	report_begin();
	report("exec /bin/true", execv("/bin/true", argv));
	report("exec /bin/sh", execv("/bin/sh", argv));
	return (report_send(reply));
}

/* As a task that starts programs does it. */
static int
do_spawn(struct ufop_job *job, struct ufop_reply *reply)
{
	static char	 name[] = "true";
	static char	*argv[] = { name, NULL };
	pid_t		 pid;
	int		 status = -1;

	(void)job;
	report_begin();
	errno = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL);
	if (errno == 0 && waitpid(pid, &status, 0) == pid)
		return (ufop_reply_textf(reply, "spawn: exit %d\n",
		    WEXITSTATUS(status)));
	report("spawn", -1);
	return (report_send(reply));
}

static int
do_socket(struct ufop_job *job, struct ufop_reply *reply)
{
	static const struct {
		const char	*what;
		int		 domain, type, protocol;
	} kinds[] = {
		{ "socket inet", AF_INET, SOCK_STREAM, 0 },
		{ "socket inet udp", AF_INET, SOCK_DGRAM, 0 },
		{ "socket inet raw", AF_INET, SOCK_RAW, IPPROTO_ICMP },
		{ "socket inet6", AF_INET6, SOCK_STREAM, 0 },
		{ "socket unix", AF_UNIX, SOCK_STREAM, 0 },
		{ "socket netlink", AF_NETLINK, SOCK_RAW, 0 },
		{ "socket packet", AF_PACKET, SOCK_RAW, 0 },
	};
	size_t	i;
	int	fd;

	(void)job;
	report_begin();
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		fd = socket(kinds[i].domain, kinds[i].type,
		    kinds[i].protocol);
		report(kinds[i].what, fd);
		if (fd != -1)
			close(fd);
	}
	return (report_send(reply));
}

static int
do_open(struct ufop_job *job, struct ufop_reply *reply)
{
	char	what[300], bytes[256];
	int	fd;

	report_begin();
	snprintf(what, sizeof(what), "open %s", ufop_arg(job, "path", "/"));
	fd = open(ufop_arg(job, "path", "/"), O_RDONLY | O_NONBLOCK);
	report(what, fd);
	if (fd != -1) {
		report("read", read(fd, bytes, sizeof(bytes)));
		close(fd);
	}
	return (report_send(reply));
}

static int
do_write(struct ufop_job *job, struct ufop_reply *reply)
{
	const char	*path = ufop_arg(job, "path", "/");
	char		 what[300];
	bool		 made = false;
	int		 fd;

	report_begin();
	snprintf(what, sizeof(what), "write %s", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd != -1)
		made = true;
	else if (errno == EEXIST)
		fd = open(path, O_WRONLY);
	report(what, fd);
	if (fd != -1)
		close(fd);
	if (made)
		unlink(path);
	snprintf(what, sizeof(what), "mkdir %s.d", path);
	report(what, mkdir(what + strlen("mkdir "), 0700));
	rmdir(what + strlen("mkdir "));
	return (report_send(reply));
}

/*
 * A file of n MB in the scratch directory, and what else is awkward to remove:
 * nothing of it is cleaned up here.
 */
static int
do_scratch(struct ufop_job *job, struct ufop_reply *reply)
{
	static char	 block[MB];
	const char	*dir = ufop_scratch(job);
	int		 fd, mb;

	report_begin();
	report("scratch", dir == NULL ? -1 : 0);
	if (dir == NULL)
		return (report_send(reply));
	report("chdir", chdir(dir));
	report("mkdir", mkdir("deep", 0700));
	report("mkdir", mkdir("deep/er", 0700));
	report("symlink", symlink("/etc/passwd", "deep/link"));
	fd = open("deep/er/file", O_RDWR | O_CREAT | O_EXCL, 0600);
	report("open", fd);
	for (mb = 0; mb < number(job); mb++) {
		if (write(fd, block, sizeof(block)) !=
		    (ssize_t)sizeof(block)) {
			report("write", -1);
			break;
		}
	}
	report("rename", rename("deep/er/file", "deep/er/renamed"));
	report("lock", chmod("deep/er", 0500));
	if (fd != -1)
		close(fd);
	report("chdir /", chdir("/"));
	return (report_send(reply));
}

static int
do_kill(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	report_begin();
	report("kill self", kill(getpid(), 0));
	report("kill parent", kill(getppid(), 0));
	report("kill init", kill(1, 0));
	report("kill all", kill(-1, 0));
	return (report_send(reply));
}

static int
do_ptrace(struct ufop_job *job, struct ufop_reply *reply)
{
	pid_t	parent = getppid();

	(void)job;
	report_begin();
	report("ptrace parent", ptrace(PTRACE_SEIZE, parent, NULL, NULL));
	/* Best done at once, should it have been allowed. */
	ptrace(PTRACE_DETACH, parent, NULL, NULL);
	return (report_send(reply));
}

static int
do_unshare(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	report_begin();
	report("unshare user", unshare(CLONE_NEWUSER));
	report("unshare net", unshare(CLONE_NEWNET));
	return (report_send(reply));
}

/* The descriptors that are open, by number and kind. */
static int
do_fds(struct ufop_job *job, struct ufop_reply *reply)
{
	struct stat	st;
	char		what[32];
	int		fd;

	(void)job;
	report_begin();
	for (fd = 0; fd < FDS; fd++) {
		if (fstat(fd, &st) == -1)
			continue;
		snprintf(what, sizeof(what), "fd %d %s", fd,
		    S_ISREG(st.st_mode) ? "file" :
		    S_ISDIR(st.st_mode) ? "directory" :
		    S_ISSOCK(st.st_mode) ? "socket" :
		    S_ISFIFO(st.st_mode) ? "pipe" :
		    S_ISCHR(st.st_mode) ? "device" : "other");
		report(what, 0);
	}
	return (report_send(reply));
}

/* ---- the service ------------------------------------------------------ */

static const char	*is_sick;	/* the word for it */
static bool	has_note, hangs_at_end;

static int
sick_health(char *why, size_t why_size)
{
	if (is_sick != NULL || has_note)
		snprintf(why, why_size, "the task sick is %s", is_sick ?
		    is_sick : "\"well\" enough");
	return (is_sick != NULL ? -1 : 0);
}

/* The second line shows that nothing of it is taken for output of ours. */
static void
describe(char *text, size_t text_size)
{
	snprintf(text, text_size, "faults at %s\nin=order",
	    ufop_setup_setting("ufop.name"));
}

/* The environment is another behind the sandbox. */
static int
setup(char *why, size_t why_size)
{
	is_sick = getenv("FAULTS_SICK");
	hangs_at_end = getenv("FAULTS_HANG") != NULL;
	has_note = getenv("FAULTS_NOTE") != NULL;
	if (getenv("FAULTS_NO_SETUP") == NULL)
		return (0);
	snprintf(why, why_size, "setup fails, as asked");
	return (-1);
}

static void
teardown(void)
{
	while (hangs_at_end)
		(void)pause();
}

#define TASK(word, arg, function, ...)					\
	{ .name = word, .route = "^/" word arg "$", .run = function,	\
	  .flags = UFOP_TASK_NO_SOURCE, __VA_ARGS__ }
#define N	"/(?P<n>\\d+)"		/* sleep/100 */
#define MAYBE_N	"(?:/(?P<n>\\d+))?"
#define PATH	"(?P<path>/.*)"		/* open/etc/passwd */

static const struct ufop_task tasks[] = {
	TASK("crash", "", do_crash),
	TASK("abort", "", do_abort),
	TASK("exit", N, do_exit),
	TASK("loop", "", do_loop),
	TASK("deaf", "", do_deaf),
	TASK("sleep", N, do_sleep),
	/* Longer than the tests' setting timeout; shorter than all of them. */
	TASK("longsleep", N, do_sleep, .timeout_ms = 20000),
	TASK("late", N, do_sleep, .timeout_ms = 300),
	TASK("mark", "", do_mark),
	TASK("pid", "", do_pid),
	TASK("close", "", do_close),

	TASK("alloc", "", do_alloc, .memory_mb = 256),
	TASK("malloc", "", do_malloc, .memory_mb = 256),
	TASK("grow", N, do_grow),
	TASK("use", N, do_use),
	TASK("stderr", N, do_stderr),
	TASK("big", N, do_big),
	TASK("small", "", do_small, .max_body = 1000),

	TASK("retry", N, do_retry, .retries = 5),
	TASK("fail", N, do_fail),
	TASK("silent", "", do_silent),
	TASK("status", N, do_status),
	TASK("headers", N, do_headers),
	TASK("badheader", "", do_badheader),

	TASK("fetch", "/(?P<urls>[^|]+)", do_fetch),
	TASK("fetchdies", "/(?P<urls>[^|]+)", do_fetch_and_die),
	TASK("insatiable", "/(?P<urls>[^|]+)", do_insatiable),

	TASK("fork", "", do_fork),
	TASK("exec", "", do_exec),
	TASK("spawn", "", do_spawn),
	TASK("socket", "", do_socket),
	TASK("open", PATH, do_open),
	TASK("write", PATH, do_write),
	TASK("scratch", MAYBE_N, do_scratch),
	TASK("kill", "", do_kill),
	TASK("ptrace", "", do_ptrace),
	TASK("unshare", "", do_unshare),
	TASK("fds", "", do_fds),
	TASK("sick", "", do_pid, .health = sick_health),

	/* The same where more is allowed. */
	TASK("netsleep", N, do_sleep, .pool = "net"),
	TASK("netcrash", "", do_crash, .pool = "net"),
	TASK("netfork", "", do_fork, .pool = "net"),
	TASK("netspawn", "", do_spawn, .pool = "net"),
	TASK("netsocket", "", do_socket, .pool = "net"),
	TASK("netopen", PATH, do_open, .pool = "net"),
	TASK("netwrite", PATH, do_write, .pool = "net"),
	{ 0 }
};

UFOP_API extern const struct ufop_service ufop_service;
UFOP_API const struct ufop_service ufop_service = {
	.abi = UFOP_ABI,
	.name = "faults",
	.tasks = tasks,
	.setup = setup,
	.teardown = teardown,
	.describe = describe,
};
