/* SPDX-License-Identifier: MIT */
/*
 * Bodies that do not come with the job: fetched from a url by the fetch
 * process (and with them the files that handlers ask for), or carried in pieces
 * over Redis where front and worker share no spool.
 */
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "log.h"
#include "parent.h"

#define PIECE		(512 * 1024)	/* docs/protocol.txt, Bodies */
#define FETCH_TRIES	2		/* fetch processes one url may kill */
#define BODY_GRACE_MS	30000
#define WANTS_MAX	4	/* times one job may ask for files */
#define BACKOFF_MIN_MS	100	/* of starting the fetch process again ... */
#define BACKOFF_MAX_MS	10000
#define FETCH_ILL_MS	800	/* ... from here on it counts as broken */
#define FETCH_WELL_MS	5000	/* it lives so long: it is well */
#define FETCH_SILENT_MAX 3		/* deadlines passed without a word */

/* ---- fetching --------------------------------------------------------- */

static void	 on_fetched(struct loop_fd *, uint32_t);
static void	 fetch_again(struct wjob *);

static void
fetch_down(struct parent *p)
{
	struct wjob	*j, *next;
	int		 fd = p->fetch_sock.fd;

	if (p->fetch_pid == -1)
		return;
	loop_del(p->loop, &p->fetch_sock);
	close(fd);
	(void)kill(p->fetch_pid, SIGKILL);
	while (waitpid(p->fetch_pid, NULL, 0) == -1 && errno == EINTR)
		;
	p->fetch_pid = -1;
	p->fetch_backoff_ms = p->fetch_backoff_ms == 0 ? BACKOFF_MIN_MS :
	    2 * p->fetch_backoff_ms;
	if (p->fetch_backoff_ms > BACKOFF_MAX_MS)
		p->fetch_backoff_ms = BACKOFF_MAX_MS;
	p->fetch_respawn_ms = clock_mono_ms() + p->fetch_backoff_ms;
	if (p->stopping)
		return;
	log_err("fetch.died msg=\"it is started again\" in_ms=%d",
	    p->fetch_backoff_ms);
	for (j = TAILQ_FIRST(&p->all); j != NULL; j = next) {
		next = TAILQ_NEXT(j, all);
		if (j->state == WJOB_FETCHING)
			fetch_again(j);
	}
}

int
fetch_start(struct parent *p, struct ufop_err *err)
{
	int	 sock;

	p->fetch_sock.fd = -1;
	p->fetch_sock.run = on_fetched;
	p->fetch_sock.arg = p;
	if (fetch_spawn(&p->fetch_conf, &p->fetch_pid, &sock, err) == -1) {
		p->fetch_pid = -1;
		return (-1);
	}
	(void)loop_add(p->loop, &p->fetch_sock, sock, EPOLLIN);
	p->fetch_started_ms = clock_mono_ms();
	return (0);
}

const char *
fetch_note(const struct parent *p)
{
	return (p->fetch_backoff_ms < FETCH_ILL_MS ? NULL : "urls cannot be "
	    "fetched, for the fetch process ends again and again; see the "
	    "worker's log");
}

void
fetch_tick(struct parent *p)
{
	struct ufop_err	 err;

	/* It answers before our own deadlines; if it does not, it hangs. */
	if (p->fetch_silent >= FETCH_SILENT_MAX) {
		p->fetch_silent = 0;
		log_err("fetch.silent msg=\"it does not answer and is "
		    "replaced\"");
		fetch_down(p);
	}
	if (p->fetch_pid != -1 &&
	    clock_mono_ms() - p->fetch_started_ms > FETCH_WELL_MS)
		p->fetch_backoff_ms = 0;
	if (p->fetch_pid != -1 || p->fetch_respawn_ms > clock_mono_ms())
		return;
	if (fetch_start(p, &err) == -1) {
		log_err("fetch.spawn why=%s", log_quote(err.msg,
		    strlen(err.msg)));
		p->fetch_respawn_ms = clock_mono_ms() + 1000;
	}
}

void
fetch_stop(struct parent *p)
{
	fetch_down(p);
}

/* Which of its files is being fetched under this id; -1: none. */
static int
file_of(const struct wjob *j, uint64_t id)
{
	int	 i;

	for (i = 0; i < j->files.n; i++)
		if (j->file_id[i] == id)
			return (i);
	return (-1);
}

static bool
files_missing(const struct wjob *j)
{
	int	 i;

	for (i = 0; i < j->files.n; i++)
		if (j->file_id[i] != 0)
			return (true);
	return (false);
}

static void
fetch_answer(struct parent *p, const struct fetch_reply *fr)
{
	struct wjob	*j;
	int		 i = -1;

	if (fr->id == 0)
		return;		/* no id of ours */
	TAILQ_FOREACH(j, &p->all, all)
		if (j->state == WJOB_FETCHING && (j->fetch_id == fr->id ||
		    (i = file_of(j, fr->id)) != -1))
			break;
	if (j == NULL)
		return;		/* cancelled meanwhile */
	if (i == -1)
		j->fetch_id = 0;
	else
		j->file_id[i] = 0;
	/* Files come side by side: the slowest counts. */
	if (i == -1 || fr->total_us > j->fetch_us)
		j->fetch_us = fr->total_us;
	if (fr->code != UFOP_OK) {
		body_fetch_cancel(j);
		job_fail(j, err_http_status(fr->code), "%s", fr->msg);
		return;
	}
	if (i == -1 && fr->type[0] != '\0')
		j->body_type = xstrdup(fr->type);
	if (!files_missing(j))
		job_pending(j, false);
}

static void
on_fetched(struct loop_fd *lfd, uint32_t events)
{
	static struct fetch_reply	 fr;
	struct parent			*p = lfd->arg;
	struct ufop_err			 err;
	int				 rc;

	(void)events;
	p->fetch_silent = 0;
	while ((rc = fetch_recv(lfd->fd, &fr, &err)) == 1) {
		p->fetch_backoff_ms = 0;
		/* It speaks to strangers: not even its strings are trusted. */
		fr.type[sizeof(fr.type) - 1] = '\0';
		fr.msg[sizeof(fr.msg) - 1] = '\0';
		fetch_answer(p, &fr);
	}
	if (rc == -1)
		fetch_down(p);
}

/* Ask for one url into *fd; 0 when the job has failed over it. */
static uint64_t
fetch_one(struct wjob *j, struct str url, int *fd)
{
	struct parent	*p = j->parent;
	struct ufop_err	 err;
	uint64_t	 max;
	int64_t		 until;

	if (fetch_note(p) != NULL) {
		job_fail(j, 503, "%s", fetch_note(p));
		return (0);
	}
	if (p->fetch_pid == -1) {
		p->fetch_respawn_ms = 0;
		fetch_tick(p);
	}
	if (*fd == -1 && (*fd = spool_tmpfile(&p->spool, &err)) == -1) {
		job_fail(j, 503, "there is no room in the spool for what is to "
		    "be fetched; try again later");
		return (0);
	}
	fetch_bounds(p->settings, j->task == -1 ? 0 :
	    p->services->tasks[j->task].task->max_body, j->deadline_ms, &max,
	    &until);
	if (p->fetch_pid == -1) {
		job_fail(j, 503, "the fetch process cannot be started; see "
		    "the worker's log");
		return (0);
	}
	if (fetch_send(p->fetch_sock.fd, ++p->fetch_ids, url, max, until, *fd,
	    &err) == -1) {
		job_fail(j, err_http_status(err.code), "%s", err.msg);
		return (0);
	}
	return (p->fetch_ids);
}

void
body_fetch(struct wjob *j)
{
	job_state(j, WJOB_FETCHING);
	j->fetch_id = fetch_one(j, j->url, &j->body_fd);
}

/* Of the files that are not there, all of them. */
static void
files_fetch(struct wjob *j)
{
	int	 i;

	job_state(j, WJOB_FETCHING);
	for (i = 0; i < j->files.n; i++) {
		if (j->file_id[i] == 0)
			continue;
		j->file_id[i] = fetch_one(j, str_from(j->files.url[i]),
		    &j->files.fd[i]);
		if (j->file_id[i] == 0)
			return;		/* and the job is over */
	}
}

/* The fetch process died and has been replaced. */
static void
fetch_again(struct wjob *j)
{
	if (++j->fetch_tries >= FETCH_TRIES)
		job_fail(j, 502, "a url could not be fetched: the fetch process "
		    "died of it twice; see the worker's log");
	else if (j->fetch_id != 0)
		body_fetch(j);
	else
		files_fetch(j);
}

/* One more file for the job to wait for.  False: it asks for too many. */
static bool
file_add(struct wjob *j, const char *url)
{
	struct child_files	*f = &j->files;
	size_t			 len = strlen(url) + 1;
	int			 i;

	for (i = 0; i < f->n; i++) {
		len += strlen(f->url[i]) + 1;
		if (strcmp(f->url[i], url) == 0)
			return (true);	/* its child has lost it: once more */
	}
	if (f->n == UFOP_FETCH_MAX || len > RING_REP_MAX)
		return (false);
	f->url[f->n] = xstrdup(url);
	f->fd[f->n] = -1;
	j->file_id[f->n++] = UINT64_MAX;	/* missing, not yet asked for */
	return (true);
}

void
body_want(struct wjob *j, struct str urls)
{
	const char	*url = urls.s, *end = urls.s + urls.len;
	size_t		 n;
	bool		 ok = urls.len > 0 && j->wants++ < WANTS_MAX;

	for (; ok && url < end; url += n + 1) {
		n = strnlen(url, (size_t)(end - url));
		ok = n > 0 && url + n < end && file_add(j, url);
	}
	if (!ok)
		job_fail(j, 500, "the handler asks for more files than it may "
		    "have (%d), or too often (%d times)", UFOP_FETCH_MAX,
		    WANTS_MAX);
	else if (files_missing(j))
		files_fetch(j);
	else
		job_pending(j, false);
}

void
body_files_release(struct wjob *j)
{
	int	 i;

	for (i = 0; i < j->files.n; i++) {
		free((char *)(uintptr_t)j->files.url[i]);
		if (j->files.fd[i] != -1)
			close(j->files.fd[i]);
	}
}

static void
fetch_cancel_one(struct wjob *j, uint64_t *id)
{
	struct ufop_err	 err;

	if (*id != 0 && j->parent->fetch_pid != -1)
		(void)fetch_cancel(j->parent->fetch_sock.fd, *id, &err);
	*id = 0;
}

void
body_fetch_cancel(struct wjob *j)
{
	int	 i;

	fetch_cancel_one(j, &j->fetch_id);
	for (i = 0; i < j->files.n; i++)
		fetch_cancel_one(j, &j->file_id[i]);
}

struct str
body_entry(const struct wjob *j)
{
	static struct job	 job;
	static struct buf	 out;
	struct str		 entry = { j->entry, j->entry_len };
	struct ufop_err		 err;

	if (j->body_type == NULL || job_decode(&job, entry, &err) == -1)
		return (entry);
	job.type = str_from(j->body_type);
	if (out.max == 0)
		buf_init(&out, JOB_ENTRY_MAX);
	buf_clear(&out);
	if (job_encode(&job, &out, &err) == -1)
		return (entry);
	return ((struct str){ out.p, out.len });
}

/* ---- through Redis ---------------------------------------------------- */

static void	 load_next(struct wjob *);

static void
on_loaded(redisAsyncContext *ac, void *r, void *arg)
{
	struct wjob	*j = arg;
	redisReply	*reply = r;

	(void)ac;
	if (!job_called(j) || j->state != WJOB_LOADING)
		return;
	if (reply == NULL) {
		/* Another connection will come; the deadline bounds it. */
		return;
	}
	if (reply->type != REDIS_REPLY_STRING || reply->len == 0) {
		job_fail(j, 500, "the request's body has gone from Redis");
		return;
	}
	if (pwrite(j->body_fd, reply->str, reply->len,
	    (off_t)j->piece * PIECE) != (ssize_t)reply->len) {
		job_fail(j, 503, "there is no room in the spool for the "
		    "request's body; try again later");
		return;
	}
	j->piece++;
	load_next(j);
}

static void
load_next(struct wjob *j)
{
	char	 key[QUEUE_KEY_MAX], ref[REQID_MAX + 1];

	if ((uint64_t)j->piece * PIECE >= j->body_len) {
		job_pending(j, false);
		return;
	}
	snprintf(ref, sizeof(ref), "%.*s", STR_ARG(j->ref));
	queue_key(key, j->parent->tag, "body", ref);
	if (queue_cmdf(&j->parent->cmd, on_loaded, j, "LINDEX %s %d", key,
	    j->piece) == 0)
		j->calls++;
}

void
body_load(struct wjob *j)
{
	struct ufop_err	 err;

	job_state(j, WJOB_LOADING);
	if (j->body_fd == -1)
		j->body_fd = spool_tmpfile(&j->parent->spool, &err);
	if (j->body_fd == -1) {
		job_fail(j, 503, "there is no room in the spool for the "
		    "request's body; try again later");
		return;
	}
	load_next(j);
}

static void	 store_next(struct wjob *);

static void
out_expire(struct wjob *j)
{
	char	 key[QUEUE_KEY_MAX];
	int64_t	 left = j->deadline_ms - clock_mono_ms();

	queue_key(key, j->parent->tag, "out", j->out_id);
	(void)queue_cmdf(&j->parent->cmd, NULL, NULL, "PEXPIRE %s %lld", key,
	    (long long)((left > 0 ? left : 0) + BODY_GRACE_MS));
}

static void
out_drop(struct wjob *j)
{
	char	 key[QUEUE_KEY_MAX];

	queue_key(key, j->parent->tag, "out", j->out_id);
	(void)queue_cmdf(&j->parent->cmd, NULL, NULL, "UNLINK %s", key);
}

static void
on_stored(redisAsyncContext *ac, void *r, void *arg)
{
	struct wjob	*j = arg;
	redisReply	*reply = r;

	(void)ac;
	if (!job_called(j) || j->state != WJOB_STORING || reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		out_drop(j);
		job_fail(j, 503, "Redis has no room for the result; try again "
		    "later");
		return;
	}
	/* At once, so that a worker that dies now leaves nothing for good. */
	if (j->piece++ == 0)
		out_expire(j);
	store_next(j);
}

static void
store_next(struct wjob *j)
{
	static char	 piece[PIECE];
	struct parent	*p = j->parent;
	char		 key[QUEUE_KEY_MAX];
	ssize_t		 n;

	queue_key(key, p->tag, "out", j->out_id);
	n = pread(j->out_fd, piece, sizeof(piece), (off_t)j->piece * PIECE);
	if (n == -1) {
		out_drop(j);
		job_fail(j, 500, "the result could not be read back");
		return;
	}
	if (n > 0) {
		if (queue_cmdf(&p->cmd, on_stored, j, "RPUSH %s %b", key,
		    piece, (size_t)n) == 0)
			j->calls++;
		return;
	}
	job_settle(j);
}

void
body_store(struct wjob *j, const struct reply *reply)
{
	struct reply	 r = *reply;
	struct ufop_err	 err;

	reqid_make(j->out_id);
	r.body = JOB_BODY_KEY;
	r.ref = str_from(j->out_id);
	buf_clear(&j->frame);
	if (reply_encode(&r, &j->frame, &err) == -1) {
		job_fail(j, 500, "%s", err.msg);
		return;
	}
	job_state(j, WJOB_STORING);
	j->piece = 0;
	store_next(j);
}

void
body_resume(struct wjob *j)
{
	struct reply	 r;
	struct buf	 frame;
	struct ufop_err	 err;

	if (j->state == WJOB_LOADING) {
		load_next(j);
		return;
	}
	/* A piece may have arrived twice: store it anew under another name. */
	out_drop(j);
	frame = j->frame;
	buf_init(&j->frame, frame.max);
	if (reply_decode(&r, (struct str){ frame.p, frame.len }, &err) == 0)
		body_store(j, &r);
	buf_release(&frame);
}

void
body_drop(struct wjob *j)
{
	char	 key[QUEUE_KEY_MAX], ref[REQID_MAX + 1];

	if (j->body != JOB_BODY_KEY)
		return;
	snprintf(ref, sizeof(ref), "%.*s", STR_ARG(j->ref));
	queue_key(key, j->parent->tag, "body", ref);
	(void)queue_cmdf(&j->parent->cmd, NULL, NULL, "UNLINK %s", key);
}
