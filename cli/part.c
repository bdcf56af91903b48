/* SPDX-License-Identifier: MIT */
#include <sys/prctl.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "part.h"
#include "reqid.h"
#include "str.h"

#define KEEP_FD		3

void
part_init(struct part *part, const char *name)
{
	memset(part, 0, sizeof(*part));
	part->name = name;
	part->out = -1;
}

/* In the child: never returns. */
static void
become(const struct part *part, int out, int keep_fd, pid_t parent)
{
	sigset_t	none;
	char		pid[16];
	int		null;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* Too late to be told when the parent is gone already. */
	if (getppid() != parent)
		_exit(1);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null == STDIN_FILENO)
		fcntl(null, F_SETFD, 0);
	else
		dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	/* dup2() to itself would leave it close-on-exec. */
	if (keep_fd == KEEP_FD)
		fcntl(keep_fd, F_SETFD, 0);
	else if (keep_fd != -1)
		dup2(keep_fd, KEEP_FD);
	if (part->listens) {
		snprintf(pid, sizeof(pid), "%d", (int)getpid());
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "1", 1);
	}
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(part->argv[0], (char *const *)(uintptr_t)part->argv);
	dprintf(STDERR_FILENO, "cannot run '%s': %s\n", part->argv[0],
	    strerror(errno));
	_exit(127);
}

int
part_start(struct part *part, int keep_fd, struct ufop_err *err)
{
	int	p[2];
	pid_t	parent = getpid();

	if (pipe2(p, O_CLOEXEC) == -1)
		return (err_sys(err, "cannot make a pipe for the %s",
		    part->name));
	part->pid = fork();
	if (part->pid == -1) {
		part->pid = 0;
		err_sys(err, "cannot start the %s", part->name);
		close(p[0]);
		close(p[1]);
		return (-1);
	}
	if (part->pid == 0)
		become(part, p[1], keep_fd, parent);
	/* Here as well: whoever comes first, a signal must find the group. */
	setpgid(part->pid, part->pid);
	close(p[1]);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	part->out = p[0];
	part->line_len = 0;
	part->held_len = 0;
	part->started_ms = clock_mono_ms();
	part->due_ms = 0;
	part->kill_ms = 0;
	return (0);
}

static void
print_line(const struct part *part, const char *s, size_t len)
{
	char		prefix[16];
	struct iovec	iov[3];

	snprintf(prefix, sizeof(prefix), "%-6s | ", part->name);
	iov[0] = (struct iovec){ prefix, strlen(prefix) };
	iov[1] = (struct iovec){ (char *)(uintptr_t)s, len };
	iov[2] = (struct iovec){ (char *)(uintptr_t)"\n", 1 };
	/* Nobody is left to be told when stderr is gone. */
	if (writev(STDERR_FILENO, iov, 3) == -1)
		return;
}

static void
hold_line(struct part *part, const char *s, size_t len)
{
	size_t	gone;

	/* The oldest lines give way. */
	while (part->held_len + len + 1 > sizeof(part->held)) {
		gone = (size_t)((char *)memchr(part->held, '\n',
		    part->held_len) - part->held) + 1;
		part->held_len -= gone;
		memmove(part->held, part->held + gone, part->held_len);
	}
	memcpy(part->held + part->held_len, s, len);
	part->held_len += len;
	part->held[part->held_len++] = '\n';
}

static void
take_line(struct part *part, const char *s, size_t len)
{
	if (part->hold)
		hold_line(part, s, len);
	else
		print_line(part, s, len);
}

/* Whole lines out of part->line; the rest moves to its front. */
static void
take_lines(struct part *part)
{
	size_t	 from = 0, len;
	char	*nl;

	while ((nl = memchr(part->line + from, '\n',
	    part->line_len - from)) != NULL) {
		len = (size_t)(nl - part->line) - from;
		take_line(part, part->line + from, len);
		from += len + 1;
	}
	if (from == 0 && part->line_len == sizeof(part->line)) {
		take_line(part, part->line, part->line_len);
		from = part->line_len;
	}
	part->line_len -= from;
	memmove(part->line, part->line + from, part->line_len);
}

/* One read(); false when there is nothing now or never again. */
static bool
read_some(struct part *part)
{
	ssize_t	n;

	if (part->out == -1)
		return (false);
	n = read(part->out, part->line + part->line_len,
	    sizeof(part->line) - part->line_len);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return (false);
	if (n <= 0) {
		close(part->out);
		part->out = -1;
		return (false);
	}
	part->line_len += (size_t)n;
	take_lines(part);
	return (true);
}

void
part_output(struct part *part)
{
	/* One at a time, so that one that writes a lot holds no other up. */
	read_some(part);
}

void
part_drain(struct part *part)
{
	while (read_some(part))
		continue;
	if (part->line_len > 0)
		take_line(part, part->line, part->line_len);
	part->line_len = 0;
	/* Its own children may still hold the other end: they are not heard. */
	if (part->out != -1)
		close(part->out);
	part->out = -1;
}

/* A line of ours (log.h) of level warn or err; the level is its second word. */
static bool
is_warning(struct str line)
{
	struct str	level;

	str_cut(&line, ' ');
	level = str_cut(&line, ' ');
	return (str_eq_c(level, "warn") || str_eq_c(level, "err"));
}

void
part_unhold(struct part *part, enum part_show show)
{
	struct str	rest = { part->held, part->held_len }, line;

	part->hold = false;
	part->held_len = 0;
	while (show != PART_SHOW_NONE && rest.len > 0) {
		line = str_cut(&rest, '\n');
		if (show == PART_SHOW_ALL || is_warning(line))
			print_line(part, line.s, line.len);
	}
}

void
part_stop(struct part *part, int grace_ms)
{
	if (part->pid == 0 || part->kill_ms != 0)
		return;
	kill(part->pid, SIGTERM);
	part->kill_ms = clock_mono_ms() + grace_ms;
}

void
part_kill(struct part *part)
{
	if (part->pid != 0)
		kill(-part->pid, SIGKILL);
}
