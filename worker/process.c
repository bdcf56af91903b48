/* SPDX-License-Identifier: MIT */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "child.h"
#include "process.h"
#include "reqid.h"
#include "strays.h"
#include "tree.h"

#define SCRATCH_BASE	"/dev/shm"
#define TEARDOWN_MS	2000

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
wait_done(struct child *c, int slot, int64_t deadline_ms, struct ufop_err *err)
{
	struct pollfd	 pfd[3];
	int64_t		 left;
	char		 how[80];
	bool		 silent = false;
	int		 status;

	for (;;) {
		pfd[0] = (struct pollfd){ c->sock, POLLIN, 0 };
		pfd[1] = (struct pollfd){ c->pidfd, POLLIN, 0 };
		/* Closed by the child, it would be ready for ever. */
		pfd[2] = (struct pollfd){ silent ? -1 : c->err_fd, POLLIN, 0 };
		left = deadline_ms - clock_mono_ms();
		if (left <= 0) {
			child_kill(c);
			(void)child_reap(c, how, sizeof(how));
			return (err_set(err, UFOP_TIMED_OUT, "the deadline "
			    "passed while the handler was running; it was "
			    "stopped (setting ufop.timeout)"));
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
collect(struct child *c, int slot, int source_fd, struct process_result *res,
    struct ufop_err *err)
{
	struct child_answer	 a;
	struct reply		 r;
	struct stat		 st;
	int			 fd;

	if (!child_reply(c, slot, &a))
		return (err_set(err, UFOP_FAILED,
		    "the child's answer could not be read"));
	if (reply_decode(&r, a.rep, err) == -1)
		return (-1);
	res->status = r.status;
	res->run_us = r.run_us;
	res->peak_kb = atomic_load(&c->ring->peak_kb);
	snprintf(res->type, sizeof(res->type), "%.*s", STR_ARG(r.type));
	snprintf(res->log, sizeof(res->log), "%.*s", STR_ARG(r.log));
	if (a.body_in == RING_BODY_SLOT) {
		res->len = r.ref.len;
		res->data = xmalloc(res->len + 1);
		if (res->len > 0)
			memcpy(res->data, r.ref.s, res->len);
		return (0);
	}
	fd = a.body_in == RING_BODY_SOURCE ? dup(source_fd) :
	    child_take_file(c, slot, &a);
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

static int
run_in(const char *base, const struct settings *settings,
    const struct services *services, const struct router_match *m,
    const struct process_request *rq, struct process_result *res,
    struct ufop_err *err)
{
	struct spool		 spool;
	struct child_conf	 conf = { settings, services, &spool, m->pool,
		base };
	struct child		 c;
	struct pollfd		 pfd;
	struct buf		 entry;
	char			 how[80];
	int64_t			 deadline_ms;
	int			 slot, rc;

	if (spool_open(&spool, base, err) == -1)
		return (-1);
	buf_init(&entry, JOB_ENTRY_MAX);
	if (build_entry(&entry, services, m, rq, err) == -1 ||
	    child_spawn(&c, &conf, err) == -1) {
		buf_release(&entry);
		spool_close(&spool);
		return (-1);
	}
	deadline_ms = clock_mono_ms() + (m->timeout_ms > 0 ? m->timeout_ms :
	    settings_time_ms(settings, "ufop", "timeout"));
	slot = child_put(&c, RING_JOB, (struct str){ entry.p, entry.len },
	    deadline_ms, rq->fd == -1 ? -1 : dup(rq->fd), NULL);
	child_ring(&c);
	buf_release(&entry);
	if (slot == -1) {
		(void)child_reap(&c, how, sizeof(how));
		spool_close(&spool);
		return (err_set(err, UFOP_FAILED, "the child could not start: "
		    "%.300s", c.last_line[0] != '\0' ? c.last_line : how));
	}
	rc = wait_done(&c, slot, deadline_ms, err);
	if (rc == 0) {
		rc = collect(&c, slot, rq->fd, res, err);
		child_quit(&c);
		/* Its teardown() runs; one that hangs is not waited for. */
		pfd = (struct pollfd){ c.pidfd, POLLIN, 0 };
		(void)poll(&pfd, 1, TEARDOWN_MS);
		(void)child_reap(&c, how, sizeof(how));
	}
	spool_close(&spool);
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
	rc = run_in(base, settings, services, &match, rq, res, err);
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
