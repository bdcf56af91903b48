/* SPDX-License-Identifier: MIT */
/*
 * The service `debug`: is it there, what does it see, what does its log say.
 * Written against ufop.h alone, as any service is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ufop.h>

#define KIB		1024
#define LOG_KIB		64	/* of the log, when the cmd does not say */
#define LOG_KIB_MAX	16384

/*
 * The newest file of log_dir.  Opened in setup(), because the sandbox lets no
 * handler open files; a later file is found when the child is replaced.
 */
static struct {
	int	fd;
	int	why;		/* errno, when fd is -1 and log_dir is set */
} worker_log = { .fd = -1 };

/* ---- hello and json --------------------------------------------------- */

static int
hello(struct ufop_job *job, struct ufop_reply *reply)
{
	return (ufop_reply_textf(reply, "hello %s",
	    ufop_arg(job, "name", "world")));
}

/* Callers may write any byte into a header; JSON takes UTF-8 or null. */
static json_t *
text(const char *s)
{
	json_t	*value = s == NULL ? NULL : json_string(s);

	return (value == NULL ? json_null() : value);
}

/* What a handler gets to see of the request. */
static int
json(struct ufop_job *job, struct ufop_reply *reply)
{
	const char	*name = ufop_arg(job, "name", NULL);
	json_t		*args = json_object();

	if (name != NULL)
		json_object_set_new(args, "name", text(name));
	return (ufop_reply_json(reply, json_pack(
	    "{s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:i, s:I}",
	    "cmd", text(job->cmd), "args", args,
	    "content_type", text(job->content_type),
	    "len", (json_int_t)job->len, "url", text(job->url),
	    "accept", text(job->accept), "task", text(job->task),
	    "id", text(job->id), "attempt", job->attempt,
	    "time_left_ms", (json_int_t)ufop_time_left_ms(job))));
}

/* ---- log -------------------------------------------------------------- */

static int
open_newest(const char *dir)
{
	struct dirent	*entry;
	struct stat	 st, newest = { 0 };
	DIR		*d;
	int		 fd, best = -1;

	if ((d = opendir(dir)) == NULL)
		return (-1);
	while ((entry = readdir(d)) != NULL) {
		/* Never wait for the other end of a pipe somebody put there. */
		fd = openat(dirfd(d), entry->d_name,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd == -1)
			continue;
		if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
		    (best != -1 && st.st_mtime <= newest.st_mtime)) {
			close(fd);
			continue;
		}
		if (best != -1)
			close(best);
		best = fd;
		newest = st;
	}
	closedir(d);
	if (best == -1)
		errno = ENOENT;
	return (best);
}

/*
 * A log that cannot be had is no reason not to serve: the task says why when
 * it is asked.
 */
static int
setup(char *why, size_t why_size)
{
	const char	*dir = ufop_setup_setting("log_dir");

	(void)why;
	(void)why_size;
	worker_log.fd = -1;
	worker_log.why = 0;
	if (dir == NULL || dir[0] == '\0')
		return (0);
	worker_log.fd = open_newest(dir);
	worker_log.why = errno;
	return (0);
}

static void
teardown(void)
{
	if (worker_log.fd != -1)
		close(worker_log.fd);
	worker_log.fd = -1;
}

static int
log_tail(struct ufop_job *job, struct ufop_reply *reply)
{
	struct stat	 st;
	const char	*line;
	char		*room;
	ssize_t		 n;
	off_t		 from;
	int		 kib;

	if (!ufop_setting_int(job, "log"))
		return (ufop_fail(reply, 403, "the worker's log is not given "
		    "away: to allow it, set log = yes in the section [debug] "
		    "of ufop.ini, or UFOP_DEBUG_LOG=yes"));
	if (ufop_arg_int(job, reply, "n", LOG_KIB, 1, LOG_KIB_MAX, &kib) == -1)
		return (-1);
	if (worker_log.fd == -1 && worker_log.why == 0)
		return (ufop_fail(reply, 404, "the worker's log is not in a "
		    "file that it knows: set log_dir in the section [debug] of "
		    "ufop.ini to the directory that has it"));
	if (worker_log.fd == -1)
		return (ufop_fail(reply, 404, "no log file can be read in "
		    "'%s' (setting debug.log_dir): %s",
		    ufop_setting(job, "log_dir"), strerror(worker_log.why)));

	if (fstat(worker_log.fd, &st) == -1)
		return (ufop_fail(reply, 500, "cannot read the log: %s",
		    strerror(errno)));
	from = st.st_size > (off_t)kib * KIB ? st.st_size - (off_t)kib * KIB :
	    0;
	if ((room = ufop_reply_room(reply, (size_t)kib * KIB)) == NULL)
		return (-1);
	n = pread(worker_log.fd, room, (size_t)kib * KIB, from);
	if (n == -1)
		return (ufop_fail(reply, 500, "cannot read the log: %s",
		    strerror(errno)));
	/* From the middle of the file: begin with a whole line. */
	if (from > 0 && (line = memchr(room, '\n', (size_t)n)) != NULL) {
		n -= line + 1 - room;
		memmove(room, line + 1, (size_t)n);
	}
	return (ufop_reply_done(reply, (size_t)n, "text/plain; charset=utf-8"));
}

/* ---- echo ------------------------------------------------------------- */

static int
echo(struct ufop_job *job, struct ufop_reply *reply)
{
	const char	*type = job->content_type;

	/* One copy, from where the body came to where the reply goes. */
	return (ufop_reply_bytes(reply, job->data, job->len,
	    type[0] != '\0' ? type : "application/octet-stream"));
}

/* ----------------------------------------------------------------------- */

static const struct ufop_task tasks[] = {
	{ .name = "hello", .route = "^/hello(?:/(?P<name>\\w+))?$",
	  .run = hello, .flags = UFOP_TASK_NO_SOURCE,
	  .summary = "Greets the world, or NAME." },
	{ .name = "json", .route = "^/json(?:/(?P<name>\\w+))?$",
	  .run = json, .flags = UFOP_TASK_NO_SOURCE,
	  .summary = "Tells what a handler sees of the request." },
	{ .name = "log", .route = "^/log(?:/(?P<n>\\d+))?$",
	  .run = log_tail, .flags = UFOP_TASK_NO_SOURCE,
	  .summary = "The last N KiB (64) of the worker's log, if allowed." },
	/* Not everything: a cmd with a slip in it must not get its source back. */
	{ .name = "echo", .route = "^/echo(?:/|$)",
	  .run = echo, .flags = UFOP_TASK_NO_SOURCE,
	  .summary = "Gives the body back." },
	{ 0 }
};

static const struct ufop_setting_def settings[] = {
	{ .name = "log", .type = UFOP_SETTING_BOOL, .fallback = "no",
	  .prose = "Whether the worker's log may be downloaded with the cmd "
	    "<ufop>/log. It may name files, urls and users: not for the open "
	    "internet." },
	{ .name = "log_dir", .type = UFOP_SETTING_STRING, .fallback = "",
	  .prose = "The directory with the worker's log; its newest file is "
	    "the one that <ufop>/log gives. A child looks for it once, when it "
	    "starts." },
	{ 0 }
};

UFOP_API extern const struct ufop_service ufop_service;
UFOP_API const struct ufop_service ufop_service = {
	.abi = UFOP_ABI,
	.name = "debug",
	.tasks = tasks,
	.settings = settings,
	.setup = setup,
	.teardown = teardown,
};
