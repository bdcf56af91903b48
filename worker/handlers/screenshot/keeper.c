/* SPDX-License-Identifier: MIT */
/* Starts, shuts in and ends the browser; see keeper.h. */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "jail.h"
#include "keeper.h"
#include "reqid.h"
#include "sandbox.h"

#define SOCKS_PORT	1080		/* in a network of its own */
#define SETUP_MS	5000		/* for the jailer to start a browser */
#define ANSWER_MS	8000		/* for the keeper to answer */
#define LOOK_MS		250		/* between looks at the memory */
#define REAP_MS		2000
#define BROWSER_FILES	8192
#define FILTER_FILES	2048
#define FILE_MAX	(1LL << 30)	/* bytes of one file of the browser's */
#define ARGS_MAX	48

enum {
	REQUEST_LAUNCH = 'L',
	REQUEST_KILL = 'K',
	REQUEST_WORDS = 'W',
};

struct request {
	uint32_t	serial;
	char		what;	/* REQUEST_... */
};

struct answer {
	uint32_t	serial;	/* of the request */
	int		ok;
	char		text[256];
};

/* The keeper's own view; the pids are 0 when there is no such process. */
struct state {
	struct keeper_conf	 conf;
	struct egress_policy	 policy;
	struct keeper_shared	*shared;
	uid_t			 uid;
	gid_t			 gid;
	int			 sock;
	pid_t			 jailer, filter;
	int			 jailer_fd, filter_fd;	/* pidfds */
	int			 life;		/* closed: the jailer ends */
	int			 words_fd;	/* the browser's stderr */
	char			 words[256];	/* its first line of interest */
	size_t			 words_len;	/* ... while it is being read */
	bool			 words_whole;
};

/* What the jailer is handed. */
struct cell {
	int	in, out;	/* the browser's ends of its pipes */
	int	words, status, life;
	int	accepted;	/* socket to the filter */
};

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/* ---- descriptors over sockets ---------------------------------------- */

static int
send_fds(int sock, const void *data, size_t len, const int *fds, int n)
{
	struct iovec	 iov = { (void *)(uintptr_t)data, len };
	union {
		struct cmsghdr	 align;
		char		 room[CMSG_SPACE(2 * sizeof(int))];
	} ctl;
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr	*cm;

	if (n > 0) {
		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = ctl.room;
		mh.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, (size_t)n * sizeof(int));
	}
	return (sendmsg(sock, &mh, MSG_NOSIGNAL) == -1 ? -1 : 0);
}

static int
recv_fds(int sock, void *data, size_t len, int fds[2])
{
	struct iovec	 iov = { data, len };
	union {
		struct cmsghdr	 align;
		char		 room[CMSG_SPACE(2 * sizeof(int))];
	} ctl;
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = ctl.room, .msg_controllen = sizeof(ctl.room) };
	struct cmsghdr	*cm;
	ssize_t		 n;

	fds[0] = fds[1] = -1;
	n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	if (n != (ssize_t)len)
		return (-1);
	cm = CMSG_FIRSTHDR(&mh);
	if (cm != NULL && cm->cmsg_type == SCM_RIGHTS &&
	    cm->cmsg_len == CMSG_LEN(2 * sizeof(int)))
		memcpy(fds, CMSG_DATA(cm), 2 * sizeof(int));
	return (0);
}

/* ---- the browser ----------------------------------------------------- */

static void
limit(int what, rlim_t value)
{
	struct rlimit	rl;

	if (getrlimit(what, &rl) == 0 && rl.rlim_max < value)
		value = rl.rlim_max;
	rl.rlim_cur = rl.rlim_max = value;
	(void)setrlimit(what, &rl);
}

static void
browser_exec(const struct state *st, enum keeper_level level,
    const struct cell *cell, int port)
{
	static const char *const fixed[] = {
		"--headless", "--remote-debugging-pipe", "--hide-scrollbars",
		"--disable-gpu", "--block-new-web-contents", "--mute-audio",
		"--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-default-apps",
		"--disable-extensions", "--disable-sync", "--disable-quic",
		"--disable-breakpad", "--disable-crash-reporter",
		"--password-store=basic", "--force-color-profile=srgb",
		"--log-level=3",
		/* One process less; there it has no sandbox either. */
		"--enable-features=NetworkServiceInProcess2",
		/* What a picture has no use for, for 4 MB less. */
		"--disable-features=AudioServiceOutOfProcess,BackForwardCache,"
		    "MediaRouter,OptimizationHints,PaintHolding,Translate",
		/* Names are the filter's to resolve, loopback its to refuse. */
		"--proxy-bypass-list=<-loopback>",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
	};
	const char	*argv[ARGS_MAX];
	char		*env[] = { (char *)(uintptr_t)"PATH=/usr/bin:/bin",
		(char *)(uintptr_t)"HOME=/tmp",
		(char *)(uintptr_t)"LANG=C.UTF-8", NULL };
	char		 proxy[64], heap[64];
	size_t		 i;
	int		 n = 0, null, rd, wr;

	argv[n++] = st->conf.program;
	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		argv[n++] = fixed[i];
	snprintf(proxy, sizeof(proxy),
	    "--proxy-server=socks5://127.0.0.1:%d", port);
	argv[n++] = proxy;
	snprintf(heap, sizeof(heap), "--js-flags=--max-old-space-size=%d",
	    st->conf.heap_mb);
	argv[n++] = heap;
	if (!st->conf.webgl)
		argv[n++] = "--disable-software-rasterizer";
	/*
	 * Two processes and the zygote that starts them less, for 7 MB.  Not
	 * where the jail is weak: in a process of its own the compositor, which
	 * takes what pages send it, has a sandbox.
	 */
	if (level == KEEPER_NAMESPACES && !st->conf.webgl) {
		argv[n++] = "--in-process-gpu";
		argv[n++] = "--no-unsandboxed-zygote";
	}
	if (!st->conf.sandbox)
		argv[n++] = "--no-sandbox";
	argv[n] = NULL;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setsid();
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGPIPE, SIG_DFL);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, BROWSER_FILES);
	limit(RLIMIT_FSIZE, FILE_MAX);
	null = open("/dev/null", O_RDWR);
	/* Above 4, so that one dup2() does not close what the next needs. */
	rd = fcntl(cell->in, F_DUPFD, 10);
	wr = fcntl(cell->out, F_DUPFD, 10);
	(void)dup2(null, 0);
	(void)dup2(cell->words, 1);
	(void)dup2(cell->words, 2);
	(void)dup2(rd, 3);
	(void)dup2(wr, 4);
	(void)syscall(SYS_close_range, 5, ~0U, 0);
	execve(st->conf.program, (char **)(uintptr_t)argv, env);
	dprintf(2, "cannot run %s: %s\n", st->conf.program, strerror(errno));
	_exit(127);
}

/* ---- the jailer ------------------------------------------------------ */

static int
listen_loopback(int port, int *got, struct ufop_err *err)
{
	struct sockaddr_in	 sin = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t		 len = sizeof(sin);
	int			 fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 256) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		return (err_sys(err, "cannot listen for the browser"));
	*got = ntohs(sin.sin_port);
	return (fd);
}

/* Accept for the filter, and reap, until the browser or the keeper ends. */
static void
jailer_loop(const struct cell *cell, int listener, pid_t browser)
{
	struct pollfd	 pfd[3];
	pid_t		 pid;
	int		 fd, watch;

	watch = (int)syscall(SYS_pidfd_open, browser, 0);
	for (;;) {
		pfd[0] = (struct pollfd){ listener, POLLIN, 0 };
		pfd[1] = (struct pollfd){ cell->life, POLLIN, 0 };
		pfd[2] = (struct pollfd){ watch, POLLIN, 0 };
		/* Orphans of the browser's are rare; they may wait a second. */
		(void)poll(pfd, 3, 1000);
		if (pfd[1].revents != 0)
			return;
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			if (pid == browser)
				return;
		while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) !=
		    -1) {
			if (send_fds(cell->accepted, "", 1, &fd, 1) == -1) {
				close(fd);
				return;
			}
			close(fd);
		}
	}
}

static void
jailer_main(const struct state *st, enum keeper_level level,
    const struct cell *cell)
{
	struct ufop_err	 err = { 0 };
	int		 listener, port = SOCKS_PORT;
	pid_t		 browser;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "ufop-jailer");
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)setsid();
	if (level == KEEPER_NAMESPACES) {
		if (jail_enter(st->uid, st->gid, st->conf.program, &err) == -1)
			goto fail;
	} else {
		(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
		port = 0;
	}
	if ((listener = listen_loopback(port, &port, &err)) == -1)
		goto fail;
	browser = fork();
	if (browser == 0)
		browser_exec(st, level, cell, port);
	if (browser == -1) {
		err_sys(&err, "cannot fork the browser");
		goto fail;
	}
	close(cell->in);
	close(cell->out);
	close(cell->words);
	close(cell->status);		/* all is well */
	jailer_loop(cell, listener, browser);
	_exit(0);
fail:
	(void)!write(cell->status, err.msg, strlen(err.msg));
	_exit(1);
}

/* ---- the filter ------------------------------------------------------ */

static void
filter_main(const struct state *st, int sock)
{
	struct sandbox_conf	 sb = { .profile = SANDBOX_FETCH,
		.nofile = FILTER_FILES };
	struct ufop_err		 err = { 0 };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "ufop-filter");
	if (sock != 3)
		(void)dup2(sock, 3);
	(void)syscall(SYS_close_range, 4, ~0U, 0);
	if (sandbox_enter(&sb, &err) == -1) {
		fprintf(stderr, "screenshot: egress filter: %s\n", err.msg);
		_exit(1);
	}
	socks_serve(3, &st->policy, &st->shared->notes);
	_exit(0);
}

/* ---- the keeper ------------------------------------------------------ */

/* Call act for each child of pid, in whichever thread it was forked. */
static void
each_child(pid_t pid, void (*act)(pid_t, void *), void *arg)
{
	char		 path[64], text[4096], *s, *end;
	struct dirent	*de;
	ssize_t		 n;
	pid_t		 child;
	DIR		*dir;
	int		 fd;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	if ((dir = opendir(path)) == NULL)
		return;
	while ((de = readdir(dir)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children",
		    (int)pid, de->d_name);
		if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
			continue;
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n > 0 ? n : 0] = '\0';
		for (s = text; (child = (pid_t)strtol(s, &end, 10)) > 0;
		    s = end)
			act(child, arg);
	}
	closedir(dir);
}

/* Pages that are its own, and of all below it. */
static void
add_memory(pid_t pid, void *arg)
{
	int64_t	*pages = arg;
	char	 path[64], text[128], *p;
	ssize_t	 n = -1;
	int	 fd;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n > 0) {
		text[n] = '\0';
		(void)strtoll(text, &p, 10);	/* size, resident, shared */
		*pages += strtoll(p, &p, 10);
		*pages -= strtoll(p, &p, 10);
	}
	each_child(pid, add_memory, pages);
}

static void
kill_one(pid_t pid, void *arg)
{
	(void)arg;
	(void)kill(pid, SIGKILL);
}

/* End browser, jailer and filter; nothing of them is left after it. */
static void
browser_end(struct state *st)
{
	int64_t	 until = clock_mono_ms() + REAP_MS;

	close_fd(&st->life);
	/* Without namespaces what they leave behind becomes our child. */
	while (clock_mono_ms() < until) {
		each_child(getpid(), kill_one, NULL);
		if (waitpid(-1, NULL, 0) == -1 && errno == ECHILD)
			break;
	}
	close_fd(&st->jailer_fd);
	close_fd(&st->filter_fd);
	st->jailer = st->filter = 0;
}

/* Chromium complains of much that it can do without; not of its sandbox. */
static bool
is_noise(const char *line)
{
	if (strstr(line, "No usable sandbox") != NULL)
		return (false);
	return (line[0] == '\0' || strstr(line, ":ERROR:") != NULL ||
	    strstr(line, ":WARNING:") != NULL ||
	    strstr(line, ":INFO:") != NULL);
}

static void
words_read(struct state *st)
{
	char	 text[1024];
	ssize_t	 n, i;

	n = read(st->words_fd, text, sizeof(text));
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR)) {
		close_fd(&st->words_fd);
		return;
	}
	for (i = 0; i < n && !st->words_whole; i++) {
		if (text[i] != '\n') {
			if (st->words_len < sizeof(st->words) - 1)
				st->words[st->words_len++] = text[i];
			continue;
		}
		st->words[st->words_len] = '\0';
		st->words_whole = !is_noise(st->words);
		st->words_len = 0;
	}
}

/* Wait for the jailer to have started a browser; its complaint in why. */
static int
jailer_wait(int status_fd, char *why, size_t size)
{
	struct pollfd	 pfd = { status_fd, POLLIN, 0 };
	ssize_t		 n;

	if (poll(&pfd, 1, SETUP_MS) <= 0) {
		snprintf(why, size, "the jail was not ready in time");
		return (-1);
	}
	n = read(status_fd, why, size - 1);
	if (n == 0)
		return (0);
	why[n > 0 ? n : 0] = '\0';
	return (-1);
}

/* fork(), into namespaces or not; -1 and why. */
static pid_t
jail_clone(enum keeper_level level, char *why, size_t size)
{
	int	 flags = level == KEEPER_NAMESPACES ? JAIL_FLAGS : 0;
	pid_t	 pid = (pid_t)syscall(SYS_clone, SIGCHLD | flags, 0, 0, 0, 0);

	if (pid == -1)
		snprintf(why, size, "%s: %s", flags != 0 ? "no namespaces" :
		    "no process", strerror(errno));
	return (pid);
}

/* One try at one level: 0 and the handler's ends of the pipes, or -1, why. */
static int
launch_at(struct state *st, enum keeper_level level, int fds[2], char *why,
    size_t size)
{
	int	 in[2] = { -1, -1 }, out[2] = { -1, -1 }, words[2] = { -1, -1 };
	int	 status[2] = { -1, -1 }, life[2] = { -1, -1 };
	int	 sp[2] = { -1, -1 }, rc = -1;

	if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1 ||
	    pipe2(words, O_CLOEXEC) == -1 || pipe2(status, O_CLOEXEC) == -1 ||
	    pipe2(life, O_CLOEXEC) == -1 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp) == -1) {
		snprintf(why, size, "no pipes: %s", strerror(errno));
		goto out;
	}
	if ((st->filter = fork()) == 0) {
		close(sp[1]);
		filter_main(st, sp[0]);
	}
	st->jailer = jail_clone(level, why, size);
	if (st->jailer == 0) {
		struct cell	cell = { in[0], out[1], words[1], status[1],
		    life[0], sp[1] };

		close(st->sock);
		close(in[1]);
		close(out[0]);
		close(words[0]);
		close(status[0]);
		close(life[1]);
		close(sp[0]);
		jailer_main(st, level, &cell);
	}
	if (st->jailer == -1)
		goto out;
	if (st->filter == -1) {
		snprintf(why, size, "no process: %s", strerror(errno));
		goto out;
	}
	st->life = life[1];
	life[1] = -1;
	close_fd(&status[1]);
	if (jailer_wait(status[0], why, size) == -1)
		goto out;
	st->jailer_fd = (int)syscall(SYS_pidfd_open, st->jailer, 0);
	st->filter_fd = (int)syscall(SYS_pidfd_open, st->filter, 0);
	close_fd(&st->words_fd);
	st->words_fd = words[0];
	words[0] = -1;
	(void)fcntl(st->words_fd, F_SETFL, O_NONBLOCK);
	st->words_len = 0;
	st->words_whole = false;
	fds[0] = out[0];
	fds[1] = in[1];
	out[0] = in[1] = -1;
	rc = 0;
out:
	close_fd(&in[0]);
	close_fd(&in[1]);
	close_fd(&out[0]);
	close_fd(&out[1]);
	close_fd(&words[0]);
	close_fd(&words[1]);
	close_fd(&status[0]);
	close_fd(&status[1]);
	close_fd(&life[0]);
	close_fd(&life[1]);
	close_fd(&sp[0]);
	close_fd(&sp[1]);
	if (rc == -1)
		browser_end(st);
	return (rc);
}

/* Build a jail with nothing in it, to know what this host allows. */
static void
try_jail(struct state *st)
{
	struct keeper_shared	*shared = st->shared;
	struct ufop_err		 err = { 0 };
	int			 status[2], rc = -1;
	pid_t			 pid;

	if (!st->conf.namespaces)
		snprintf(shared->weaker, sizeof(shared->weaker),
		    "the setting screenshot.namespaces is off");
	else if (pipe2(status, O_CLOEXEC) == -1)
		snprintf(shared->weaker, sizeof(shared->weaker), "no pipe: %s",
		    strerror(errno));
	else {
		pid = jail_clone(KEEPER_NAMESPACES, shared->weaker,
		    sizeof(shared->weaker));
		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (jail_enter(st->uid, st->gid, st->conf.program,
			    &err) == -1)
				(void)!write(status[1], err.msg,
				    strlen(err.msg));
			_exit(0);
		}
		close(status[1]);
		if (pid != -1) {
			rc = jailer_wait(status[0], shared->weaker,
			    sizeof(shared->weaker));
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
		}
		close(status[0]);
	}
	atomic_store(&shared->level, rc == 0 ? KEEPER_NAMESPACES :
	    KEEPER_WEAKER);
}

static int
launch(struct state *st, int fds[2], struct answer *a)
{
	browser_end(st);
	atomic_store(&st->shared->end, KEEPER_END_NONE);
	return (launch_at(st, atomic_load(&st->shared->level), fds, a->text,
	    sizeof(a->text)));
}

static void
answer(struct state *st, const struct request *rq)
{
	struct answer	 a = { .serial = rq->serial, .ok = 1 };
	int		 fds[2] = { -1, -1 };

	switch (rq->what) {
	case REQUEST_LAUNCH:
		a.ok = launch(st, fds, &a) == 0;
		break;
	case REQUEST_KILL:
		browser_end(st);
		break;
	case REQUEST_WORDS:
		while (st->words_fd != -1 && !st->words_whole) {
			struct pollfd	pfd = { st->words_fd, POLLIN, 0 };

			if (poll(&pfd, 1, 100) <= 0)
				break;
			words_read(st);
		}
		if (st->words_whole)
			memcpy(a.text, st->words, sizeof(a.text));
		break;
	}
	(void)send_fds(st->sock, &a, sizeof(a), fds, fds[0] != -1 ? 2 : 0);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
}

static void
look_at_memory(struct state *st)
{
	int64_t	 pages = 0, bytes;

	if (st->jailer == 0)
		return;
	each_child(st->jailer, add_memory, &pages);
	bytes = pages * sysconf(_SC_PAGESIZE);
	atomic_store(&st->shared->used_mb, (uint32_t)(bytes >> 20));
	if (bytes > st->conf.memory_max) {
		atomic_store(&st->shared->end, KEEPER_END_MEMORY);
		browser_end(st);
	}
}

static bool
level_text(const struct keeper_shared *shared, bool sandbox, char *text,
    size_t size)
{
	const char	*own = sandbox ? "on" : "off (setting "
	    "screenshot.sandbox)";

	text[0] = '\0';
	switch (atomic_load(&shared->level)) {
	case KEEPER_NAMESPACES:
		snprintf(text, size, "the browser is shut in namespaces of its "
		    "own, without a network; Chromium's sandbox is %s", own);
		return (!sandbox);
	case KEEPER_WEAKER:
		snprintf(text, size, "the browser is shut in weaker than it "
		    "could be, by proxy and flags alone: %s; Chromium's "
		    "sandbox is %s", shared->weaker, own);
		return (true);
	default:
		return (false);
	}
}

static void
keeper_main(struct state *st)
{
	struct pollfd	 pfd[4];
	int64_t		 look_ms = 0;
	struct request	 rq;
	char		 text[KEEPER_TEXT];
	ssize_t		 n;

	try_jail(st);
	if (level_text(st->shared, st->conf.sandbox, text, sizeof(text)))
		fprintf(stderr, "screenshot: %s\n", text);
	for (;;) {
		pfd[0] = (struct pollfd){ st->sock, POLLIN, 0 };
		pfd[1] = (struct pollfd){ st->words_fd, POLLIN, 0 };
		pfd[2] = (struct pollfd){ st->jailer_fd, POLLIN, 0 };
		pfd[3] = (struct pollfd){ st->filter_fd, POLLIN, 0 };
		(void)poll(pfd, 4, st->jailer != 0 ? LOOK_MS : -1);
		if (pfd[1].revents != 0)
			words_read(st);
		if (pfd[2].revents != 0 || pfd[3].revents != 0)
			browser_end(st);
		if (pfd[0].revents != 0) {
			n = recv(st->sock, &rq, sizeof(rq), 0);
			if (n == -1 && errno == EINTR)
				continue;
			if (n != sizeof(rq))
				break;
			answer(st, &rq);
		}
		if (clock_mono_ms() >= look_ms) {
			look_ms = clock_mono_ms() + LOOK_MS;
			look_at_memory(st);
		}
	}
	browser_end(st);
	_exit(0);
}

static int
become_user(struct state *st, const char *user, struct ufop_err *err)
{
	struct passwd	*pw;
	int64_t		 n;

	st->uid = geteuid();
	st->gid = getegid();
	if (st->uid != 0 || user == NULL || *user == '\0')
		return (0);
	pw = str_int(str_from(user), 1, UINT32_MAX - 1, &n) == 0 ?
	    getpwuid((uid_t)n) : getpwnam(user);
	if (pw == NULL || pw->pw_uid == 0)
		return (err_set(err, UFOP_CONFIG, "there is no user '%s' for "
		    "the browser", user));
	st->uid = pw->pw_uid;
	st->gid = pw->pw_gid;
	if (setgroups(0, NULL) == -1 ||
	    setresgid(st->gid, st->gid, st->gid) == -1 ||
	    setresuid(st->uid, st->uid, st->uid) == -1)
		return (err_sys(err, "cannot become user '%s'", user));
	return (0);
}

/* In the fork: give up what the keeper need not have. */
static int
keeper_become(struct state *st, const char *user, struct ufop_err *err)
{
	(void)syscall(SYS_close_range, 4, ~0U, 0);
	(void)setsid();
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_NAME, "ufop-keeper");
	if (become_user(st, user, err) == -1)
		return (-1);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	limit(RLIMIT_CORE, 0);
	return (0);
}

int
keeper_start(struct keeper *k, const struct keeper_conf *conf,
    struct ufop_err *err)
{
	struct state	 st = { .conf = *conf, .sock = 3, .jailer_fd = -1,
		.filter_fd = -1, .life = -1, .words_fd = -1 };
	struct ufop_err	 why = { 0 };
	int		 sp[2];

	memset(k, 0, sizeof(*k));
	k->sock = -1;
	if (egress_policy_init(&st.policy, conf->allow, conf->deny, err) == -1)
		return (-1);
	k->shared = mmap(NULL, sizeof(*k->shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (k->shared == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp) == -1) {
		egress_policy_release(&st.policy);
		return (err_sys(err, "cannot set the keeper up"));
	}
	st.shared = k->shared;
	k->pid = fork();
	if (k->pid == 0) {
		(void)dup2(sp[1], 3);
		if (keeper_become(&st, conf->user, &why) == 0)
			keeper_main(&st);
		fprintf(stderr, "screenshot: %s\n", why.msg);
		_exit(1);
	}
	close(sp[1]);
	egress_policy_release(&st.policy);
	if (k->pid == -1) {
		close(sp[0]);
		return (err_sys(err, "cannot fork the keeper"));
	}
	k->sock = sp[0];
	k->sandbox = conf->sandbox;
	return (0);
}

static int
ask(struct keeper *k, char what, struct answer *a, int fds[2])
{
	struct request	 rq = { .serial = ++k->serial, .what = what };
	struct pollfd	 pfd = { k->sock, POLLIN, 0 };

	if (send(k->sock, &rq, sizeof(rq), MSG_NOSIGNAL) == -1)
		return (-1);
	for (;;) {
		if (poll(&pfd, 1, ANSWER_MS) <= 0 ||
		    recv_fds(k->sock, a, sizeof(*a), fds) == -1)
			return (-1);
		if (a->serial == rq.serial)
			break;
		/* One that came too late for its own request. */
		close_fd(&fds[0]);
		close_fd(&fds[1]);
	}
	a->text[sizeof(a->text) - 1] = '\0';
	return (0);
}

int
keeper_launch(struct keeper *k, int *rfd, int *wfd, struct ufop_err *err)
{
	struct answer	 a;
	int		 fds[2];

	if (ask(k, REQUEST_LAUNCH, &a, fds) == -1)
		return (err_set(err, UFOP_SYSTEM,
		    "the browser's keeper is gone"));
	if (!a.ok || fds[0] == -1)
		return (err_set(err, UFOP_UNAVAILABLE, "cannot start the "
		    "browser: %s", a.text));
	*rfd = fds[0];
	*wfd = fds[1];
	return (0);
}

void
keeper_kill(struct keeper *k)
{
	struct answer	 a;
	int		 fds[2];

	(void)ask(k, REQUEST_KILL, &a, fds);
}

void
keeper_words(struct keeper *k, char *out, size_t size)
{
	struct answer	 a;
	int		 fds[2];

	if (ask(k, REQUEST_WORDS, &a, fds) == 0)
		snprintf(out, size, "%s", a.text);
	else
		snprintf(out, size, "%s", "");
}

void
keeper_end(struct keeper *k)
{
	if (k->pid == 0)
		return;
	close_fd(&k->sock);
	while (waitpid(k->pid, NULL, 0) == -1 && errno == EINTR)
		;
	munmap(k->shared, sizeof(*k->shared));
	k->pid = 0;
}

bool
keeper_describe(const struct keeper *k, char *text, size_t size)
{
	return (level_text(k->shared, k->sandbox, text, size));
}

void
keeper_foresee(const struct keeper_conf *conf, char *text, size_t size)
{
	struct keeper_shared	 shared = { .level = KEEPER_UNKNOWN };
	struct state		 st = { .conf = *conf, .shared = &shared };
	struct ufop_err		 err = { 0 };

	if (become_user(&st, conf->user, &err) == -1)
		snprintf(text, size, "%s", err.msg);
	else {
		try_jail(&st);
		(void)level_text(&shared, conf->sandbox, text, size);
	}
}
