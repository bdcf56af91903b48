/* SPDX-License-Identifier: MIT */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "child.h"
#include "fetch.h"
#include "process.h"
#include "reqid.h"
#include "strays.h"
#include "tree.h"

#define SCRATCH_BASE	"/dev/shm"
#define TEARDOWN_MS	2000
#define WANTS_MAX	4		/* times one job may ask for files */

/* One job and what stands around it. */
struct process {
	const struct settings		*settings;
	const struct services		*services;
	const struct router_match	*match;
	struct spool			 spool;
	int64_t				 deadline_ms;
	int				 source_fd;
	char				 source_type[FETCH_TYPE_MAX];
	struct child_files		 files;
	pid_t				 fetch_pid;	/* 0: not started */
	int				 fetch_sock;
	struct egress_policy		 egress;
	struct fetch_conf		 fetch_conf;
};

/* ---- what has to be fetched ------------------------------------------- */

static int
fetch_open(struct process *p, struct ufop_err *err)
{
	const struct settings	*s = p->settings;

	if (p->fetch_pid != 0)
		return (0);
	if (egress_policy_init(&p->egress, settings_str(s, "fetch", "allow"),
	    settings_str(s, "fetch", "deny"), err) == -1)
		return (-1);
	fetch_conf_init(&p->fetch_conf, s, &p->egress);
	if (fetch_spawn(&p->fetch_conf, &p->fetch_pid, &p->fetch_sock, err) ==
	    0)
		return (0);
	p->fetch_pid = 0;
	egress_policy_release(&p->egress);
	return (-1);
}

static void
fetch_close(struct process *p)
{
	if (p->fetch_pid == 0)
		return;
	close(p->fetch_sock);
	(void)kill(p->fetch_pid, SIGKILL);
	(void)waitpid(p->fetch_pid, NULL, 0);
	egress_policy_release(&p->egress);
	p->fetch_pid = 0;
}

/* Download url into a file of the spool; its type goes to type if not NULL. */
static int
fetch(struct process *p, const char *url, int *fd, char *type,
    struct ufop_err *err)
{
	static struct fetch_reply	 fr;
	struct pollfd			 pfd;
	uint64_t			 max;
	int64_t				 left, until;
	int				 rc;

	if (fetch_open(p, err) == -1 ||
	    (*fd = spool_tmpfile(&p->spool, err)) == -1)
		return (-1);
	fetch_bounds(p->settings, p->match->max_body, p->deadline_ms, &max,
	    &until);
	if (fetch_send(p->fetch_sock, 1, str_from(url), max, until, *fd,
	    err) == -1)
		return (-1);
	pfd = (struct pollfd){ p->fetch_sock, POLLIN, 0 };
	while ((rc = fetch_recv(p->fetch_sock, &fr, err)) == 0) {
		left = p->deadline_ms - clock_mono_ms();
		if (left <= 0)
			return (err_set(err, UFOP_TIMED_OUT, "the deadline "
			    "passed while '%.200s' was being fetched", url));
		(void)poll(&pfd, 1, (int)left);
	}
	if (rc == -1)
		return (-1);
	if (fr.code != UFOP_OK)
		return (err_set(err, fr.code, "%s", fr.msg));
	if (type != NULL)
		memcpy(type, fr.type, sizeof(fr.type));
	return (0);
}

/* What the handler asked for: urls, each with a NUL behind it. */
static int
fetch_files(struct process *p, struct str urls, struct ufop_err *err)
{
	struct child_files	*f = &p->files;
	const char		*url = urls.s, *end = urls.s + urls.len;
	int			 i;

	for (; url < end; url += strlen(url) + 1) {
		for (i = 0; i < f->n && strcmp(f->url[i], url) != 0; i++)
			;
		if (i < f->n)
			continue;
		if (f->n == UFOP_FETCH_MAX)
			return (err_set(err, UFOP_FAILED, "the handler asks "
			    "for more than %d files", UFOP_FETCH_MAX));
		f->fd[f->n] = -1;
		f->url[f->n++] = xstrdup(url);
		if (fetch(p, url, &f->fd[i], NULL, err) == -1)
			return (-1);
	}
	return (0);
}

static void
files_close(struct process *p)
{
	int	 i;

	for (i = 0; i < p->files.n; i++) {
		free((char *)(uintptr_t)p->files.url[i]);
		if (p->files.fd[i] != -1)
			close(p->files.fd[i]);
	}
}

/* ---- the child -------------------------------------------------------- */

static int
build_entry(struct buf *out, const struct services *services,
    const struct router_match *m, const struct process_request *rq,
    struct ufop_err *err)
{
	static struct job	 job;
	static char		 id[REQID_LEN + 1];

	memset(&job, 0, sizeof(job));
	reqid_make(id);
	job.id = str_from(id);
	job.type = str_from(rq->content_type);
	job.accept = str_from(rq->accept);
	job.url = str_from(rq->url);
	job.body_len = rq->len;
	router_job(services, m, &job);
	return (job_encode(&job, out, err));
}

/* Wait for the slot to be done, the child to die, or the deadline. */
static int
wait_done(const struct process *p, struct child *c, int slot,
    struct ufop_err *err)
{
	struct pollfd	 pfd[3];
	int64_t		 left;
	char		 how[80], limit[64];
	bool		 silent = false;
	int		 status;

	for (;;) {
		pfd[0] = (struct pollfd){ c->sock, POLLIN, 0 };
		pfd[1] = (struct pollfd){ c->pidfd, POLLIN, 0 };
		/* Closed by the child, it would be ready for ever. */
		pfd[2] = (struct pollfd){ silent ? -1 : c->err_fd, POLLIN, 0 };
		left = p->deadline_ms - clock_mono_ms();
		if (left <= 0) {
			child_kill(c);
			(void)child_reap(c, how, sizeof(how));
			snprintf(limit, sizeof(limit), p->match->timeout_ms > 0 ?
			    "timeout_ms of its task, %d" :
			    "setting ufop.timeout", p->match->timeout_ms);
			return (err_set(err, UFOP_TIMED_OUT, "the deadline "
			    "passed while the handler was running; it was "
			    "stopped (%s)", limit));
		}
		if (poll(pfd, 3, (int)left) <= 0)
			continue;
		if (pfd[2].revents & POLLIN)
			silent = !child_read_stderr(c, "-");
		else if (pfd[2].revents)
			silent = true;
		if (pfd[0].revents)
			child_hear(c);
		if (child_state(c, slot) == RING_DONE)
			return (0);
		if (pfd[1].revents) {
			status = child_reap(c, how, sizeof(how));
			if (status == CHILD_EXIT_SPOOL_FULL << 8)
				return (err_set(err, UFOP_UNAVAILABLE, "there "
				    "is no room on %s for the result",
				    SCRATCH_BASE));
			return (err_set(err, UFOP_FAILED, "the handler %s%s%s",
			    how, c->last_line[0] ? "; its last words: " : "",
			    c->last_line));
		}
	}
}

static int
collect(struct child *c, int slot, int source_fd, const struct child_answer *a,
    struct process_result *res, struct ufop_err *err)
{
	struct reply		 r;
	struct stat		 st;
	int			 fd;

	if (reply_decode(&r, a->rep, err) == -1)
		return (-1);
	res->status = r.status;
	res->run_us = r.run_us;
	res->peak_kb = atomic_load(&c->ring->peak_kb);
	snprintf(res->type, sizeof(res->type), "%.*s", STR_ARG(r.type));
	snprintf(res->log, sizeof(res->log), "%.*s", STR_ARG(r.log));
	if (a->body_in == RING_BODY_SLOT) {
		res->len = r.ref.len;
		res->data = xmalloc(res->len + 1);
		if (res->len > 0)
			memcpy(res->data, r.ref.s, res->len);
		return (0);
	}
	fd = a->body_in == RING_BODY_SOURCE ? dup(source_fd) :
	    child_take_file(c, slot, a);
	if (fd == -1 || fstat(fd, &st) == -1) {
		if (fd != -1)
			close(fd);
		return (err_set(err, UFOP_FAILED,
		    "the child's result could not be read"));
	}
	res->len = st.st_size;
	res->map = mmap(NULL, res->len, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (res->map == MAP_FAILED) {
		res->map = NULL;
		return (err_sys(err, "cannot map the result"));
	}
	res->data = res->map;
	return (0);
}

/* The job in the child, as often as it asks for files and gets them. */
static int
run_child(struct process *p, struct child *c, struct str entry,
    struct process_result *res, struct ufop_err *err)
{
	struct child_answer	 a;
	char			 how[80];
	int			 i, slot;

	for (i = 0; i <= WANTS_MAX; i++) {
		slot = child_put(c, RING_JOB, entry, p->deadline_ms,
		    p->source_fd == -1 ? -1 : dup(p->source_fd), &p->files,
		    NULL);
		child_ring(c);
		if (slot == -1) {
			(void)child_reap(c, how, sizeof(how));
			return (err_set(err, UFOP_FAILED, "the child could not "
			    "start: %.300s", c->last_line[0] != '\0' ?
			    c->last_line : how));
		}
		if (wait_done(p, c, slot, err) == -1)
			return (-1);
		if (!child_reply(c, slot, &a))
			return (err_set(err, UFOP_FAILED,
			    "the child's answer could not be read"));
		if (a.outcome != RING_WANTS)
			return (collect(c, slot, p->source_fd, &a, res, err));
		child_done(c, slot);
		if (fetch_files(p, a.rep, err) == -1)
			return (-1);
	}
	return (err_set(err, UFOP_FAILED, "the handler asks for files more than "
	    "%d times", WANTS_MAX));
}

/* Its teardown() runs; one that hangs is not waited for. */
static void
end_child(struct child *c)
{
	struct pollfd	 pfd = { c->pidfd, POLLIN, 0 };
	char		 how[80];

	if (c->pidfd == -1)
		return;		/* it has died and is reaped */
	child_quit(c);
	(void)poll(&pfd, 1, TEARDOWN_MS);
	(void)child_reap(c, how, sizeof(how));
}

static int
run_in(struct process *p, const char *base, const struct process_request *rq,
    struct process_result *res, struct ufop_err *err)
{
	struct child_conf	 conf = { p->settings, p->services, &p->spool,
		p->match->pool, base };
	struct process_request	 fetched = *rq;
	struct child		 c;
	struct buf		 entry;
	struct stat		 st;
	int			 rc;

	p->source_fd = rq->fd;
	if (rq->fd == -1 && rq->url != NULL &&
	    !(p->match->flags & UFOP_TASK_TAKES_URL)) {
		if (fetch(p, rq->url, &p->source_fd, p->source_type, err) ==
		    -1 || fstat(p->source_fd, &st) == -1)
			return (-1);
		fetched.len = (uint64_t)st.st_size;
		if (rq->content_type[0] == '\0')
			fetched.content_type = p->source_type;
	}
	buf_init(&entry, JOB_ENTRY_MAX);
	rc = build_entry(&entry, p->services, p->match, &fetched, err);
	if (rc == 0)
		rc = child_spawn(&c, &conf, err);
	if (rc == 0) {
		rc = run_child(p, &c, (struct str){ entry.p, entry.len }, res,
		    err);
		end_child(&c);
	}
	buf_release(&entry);
	return (rc);
}

static bool
is_ours(pid_t pid, const void *arg)
{
	(void)pid;
	(void)arg;
	return (false);		/* the one child has been reaped */
}

int
process_run(const struct settings *settings, const struct services *services,
    const struct router *router, const struct process_request *rq,
    struct process_result *res, struct ufop_err *err)
{
	static struct router_match	 match;
	struct process			 p = { settings, services, &match,
		.source_fd = -1 };
	char				 base[] = SCRATCH_BASE "/ufop.XXXXXX";
	int				 rc;

	memset(res, 0, sizeof(*res));
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (router_match(router, rq->cmd, false, &match, err) == -1)
		return (-1);
	if (mkdtemp(base) == NULL)
		return (err_sys(err, "cannot make a directory in %s",
		    SCRATCH_BASE));
	/* A child of another user reaches its scratch directory through it. */
	(void)chmod(base, 0711);
	p.deadline_ms = clock_mono_ms() + (match.timeout_ms > 0 ?
	    match.timeout_ms : settings_time_ms(settings, "ufop", "timeout"));
	rc = spool_open(&p.spool, base, err);
	if (rc == 0) {
		rc = run_in(&p, base, rq, res, err);
		if (p.source_fd != -1 && p.source_fd != rq->fd)
			close(p.source_fd);
		files_close(&p);
		fetch_close(&p);
		spool_close(&p.spool);
	}
	(void)strays_kill(is_ours, NULL);
	tree_remove(base);
	return (rc);
}

void
process_release(struct process_result *res)
{
	if (res->map != NULL)
		munmap(res->map, res->len);
	else
		free(res->data);
	res->map = NULL;
	res->data = NULL;
}
