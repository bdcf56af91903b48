/* SPDX-License-Identifier: MIT */
/*
 * A job's way from taken to settled.
 */
#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "log.h"
#include "parent.h"

#define SETTLE_MAX	64	/* jobs in one script */
#define REPLY_TTL_MS	"60000"	/* of a reply list whose front is gone */

static void
job_list(struct wjob *j, struct wjobs *list, bool head)
{
	if (head)
		TAILQ_INSERT_HEAD(list, j, list);
	else
		TAILQ_INSERT_TAIL(list, j, list);
	j->listed = true;
}

static void
job_unlist(struct wjob *j)
{
	if (!j->listed)
		return;
	if (j->state == WJOB_PENDING) {
		TAILQ_REMOVE(&j->pool->pending, j, list);
		j->pool->npending--;
	} else
		TAILQ_REMOVE(&j->parent->settle, j, list);
	j->listed = false;
}

static bool
is_coming(enum wjob_state state)
{
	return (state == WJOB_FETCHING || state == WJOB_LOADING);
}

void
job_state(struct wjob *j, enum wjob_state state)
{
	j->pool->ncoming += is_coming(state) - is_coming(j->state);
	j->pool->nloading += (state == WJOB_LOADING) -
	    (j->state == WJOB_LOADING);
	j->state = state;
}

void
job_pending(struct wjob *j, bool head)
{
	job_unlist(j);
	job_state(j, WJOB_PENDING);
	j->child = NULL;
	job_list(j, &j->pool->pending, head);
	j->pool->npending++;
}

static void
job_free(struct wjob *j)
{
	if (j->body_fd != -1)
		close(j->body_fd);
	if (j->out_fd != -1)
		close(j->out_fd);
	buf_release(&j->frame);
	body_files_release(j);
	free(j->body_type);
	free(j->moved);
	free(j->entry);
	free(j);
}

void
job_forget(struct wjob *j)
{
	struct parent	*p = j->parent;

	if (j->state == WJOB_RUNNING && j->child != NULL) {
		/* Taken over by another: let it run out, drop what it says. */
		j->child->owner[j->slot] = NULL;
		j->pool->nrunning--;
	}
	if (j->state == WJOB_FETCHING)
		body_fetch_cancel(j);
	job_unlist(j);
	job_state(j, WJOB_SETTLING);
	TAILQ_REMOVE(&p->all, j, all);
	p->njobs--;
	if (j->calls > 0)
		j->forgotten = true;
	else
		job_free(j);
}

bool
job_called(struct wjob *j)
{
	j->calls--;
	if (!j->forgotten)
		return (true);
	if (j->calls == 0)
		job_free(j);
	return (false);
}

static int
job_parse(struct wjob *j, struct ufop_err *err)
{
	static struct job	 job;	/* 17 KB: not for the stack of a loop */
	struct parent		*p = j->parent;

	if (job_decode(&job, (struct str){ j->entry, j->entry_len },
	    err) == -1)
		return (-1);
	j->deaths = job.deaths;
	j->retries = job.retries;
	j->flags = job.flags;
	j->body = job.body;
	j->deadline_ms = clock_mono_ms() + (job.deadline_ms - queue_now_ms());
	j->tag = job.tag;
	j->body_len = job.body_len;
	j->spool_id = job.spool_id;
	j->id = job.id;
	j->web = job.web;
	j->url = job.url;
	j->ref = job.ref;
	j->cmd = job.stages[0].cmd;
	j->task = services_find(p->services, job.stages[0].task);
	return (0);
}

void
job_taken(struct pool *pool, const char *entry, size_t len)
{
	struct parent	*p = pool->parent;
	struct wjob	*j = xcalloc(1, sizeof(*j));
	struct ufop_err	 err;

	j->parent = p;
	j->pool = pool;
	j->entry = xmalloc(len + 1);
	memcpy(j->entry, entry, len);
	j->entry[len] = '\0';
	j->entry_len = len;
	j->body_fd = j->out_fd = -1;
	j->task = -1;
	j->taken_us = clock_mono_us();
	j->deadline_ms = j->taken_us / 1000;	/* until it can be read */
	j->state = WJOB_MOVING;		/* not in any list yet */
	buf_init(&j->frame, RING_REP_MAX);
	TAILQ_INSERT_TAIL(&p->all, j, all);
	p->njobs++;
	if (job_parse(j, &err) == -1) {
		/* Whoever waits cannot be told: where is not to be read. */
		log_err("job.unreadable bytes=%zu why=%s", len,
		    log_quote(err.msg, strlen(err.msg)));
		beat_dead(p, j, "unreadable", err.msg);
		j->flags |= JOB_FLAG_NOBODY_WAITS;
		job_settle(j);
		return;
	}
	if (j->deaths >= JOB_DEATHS_MAX) {
		beat_dead(p, j, "poison", "");
		job_fail(j, 500, "the handler died %d times on this request; "
		    "it is not tried again", j->deaths);
		return;
	}
	if (clock_mono_ms() >= j->deadline_ms) {
		job_fail(j, 504, "the deadline passed while the request "
		    "waited for a worker; send fewer at once or add workers");
		return;
	}
	if (j->body == JOB_BODY_KEY)
		body_load(j);
	else if (j->body == JOB_BODY_SPOOL && j->spool_id != p->spool.id)
		job_fail(j, 500, "the request's body lies in a spool that this "
		    "worker does not see; set spool.share to no or mount one "
		    "spool.dir on front and workers");
	else if (j->url.len > 0 && !(j->flags & JOB_FLAG_TAKES_URL))
		body_fetch(j);
	else
		job_pending(j, false);
}

/* Build the frame of an error reply. */
static void
job_error_frame(struct wjob *j, int status, struct str msg)
{
	struct reply	 r = { .status = status, .tag = j->tag,
		.type = STR("application/json"), .body = JOB_BODY_INLINE };
	struct buf	 body;
	struct ufop_err	 err;

	buf_init(&body, 8192);
	job_error_json(&body, status, msg);
	r.ref = (struct str){ body.p, body.len };
	r.body_len = body.len;
	r.held_us = (uint32_t)(clock_mono_us() - j->taken_us);
	buf_clear(&j->frame);
	if (reply_encode(&r, &j->frame, &err) == -1)
		log_err("job.reply id=%.*s why=%s", STR_ARG(j->id),
		    log_quote(err.msg, strlen(err.msg)));
	buf_release(&body);
}

void
job_fail(struct wjob *j, int status, const char *fmt, ...)
{
	char	 msg[UFOP_ERR_MSG_MAX];
	va_list	 ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	job_error_frame(j, status, str_from(msg));
	if (status >= 500) {
		j->parent->failed++;
		j->pool->failed++;
		if (j->task != -1)
			j->parent->tasks[j->task].failed++;
		beat_error(j->parent, j, status, msg);
		log_warn("job.failed id=%.*s status=%d why=%s", STR_ARG(j->id),
		    status, log_quote(msg, strlen(msg)));
	}
	job_settle(j);
}

void
job_gone(struct wjob *j)
{
	/* Nobody reads this, unless somebody emptied the spool by hand. */
	log_debug("job.gone id=%.*s", STR_ARG(j->id));
	job_error_frame(j, 500, STR("the request's body has gone from the "
	    "spool"));
	job_settle(j);
}

void
job_settle(struct wjob *j)
{
	job_unlist(j);
	job_state(j, WJOB_SETTLING);
	job_list(j, &j->parent->settle, false);
}

/* ---- back to the queue, or to a later time ---------------------------- */

static void
on_moved(redisAsyncContext *ac, void *r, void *arg)
{
	struct wjob	*j = arg;
	redisReply	*reply = r;

	(void)ac;
	j->sent = false;
	/* Without an answer, the list of our run key will tell: beat.c. */
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		log_err("redis.requeue why=%s", log_quote(reply->str,
		    reply->len));
		queue_conn_reset(&j->parent->cmd, "a script failed");
		return;
	}
	job_forget(j);
}

static void
job_move_send(struct wjob *j)
{
	struct parent	*p = j->parent;
	char		 due[24];
	const char	*v[7] = { p->run_key, j->pool->q_key, p->delayed_key,
		j->entry, j->moved, due, j->move_front ? "1" : "0" };
	size_t		 len[7];
	int		 i;

	snprintf(due, sizeof(due), "%lld", (long long)j->move_due_ms);
	for (i = 0; i < 7; i++)
		len[i] = i == 3 || i == 4 ? j->entry_len : strlen(v[i]);
	j->sent = queue_script(&p->cmd, QUEUE_REQUEUE, on_moved, j, 3, 7, v,
	    len) == 0;
	if (j->sent && j->move_due_ms != 0 && (p->next_due_ms == -1 ||
	    j->move_due_ms < p->next_due_ms))
		p->next_due_ms = j->move_due_ms;
}

static void
job_move(struct wjob *j, uint8_t deaths, uint8_t retries, int64_t due_ms,
    bool front)
{
	job_unlist(j);
	job_state(j, WJOB_MOVING);
	free(j->moved);
	j->moved = xmalloc(j->entry_len);
	memcpy(j->moved, j->entry, j->entry_len);
	job_set_counts(j->moved, deaths, retries);
	j->move_due_ms = due_ms;
	j->move_front = front;
	job_move_send(j);
}

void
job_hand_back(struct wjob *j)
{
	if (j->state == WJOB_FETCHING)
		body_fetch_cancel(j);
	job_move(j, j->deaths, j->retries, 0, true);
}

void
job_died(struct wjob *j, const char *how, int status, const char *last)
{
	struct parent	*p = j->parent;
	const char	*task = j->task == -1 ? "this request" :
	    p->services->tasks[j->task].name;

	j->child = NULL;
	j->pool->nrunning--;
	if (j->timed_out) {
		beat_dead(p, j, "deadline", last);
		job_fail(j, 504, "the deadline passed while the handler of %s "
		    "was running; it was stopped", task);
		return;
	}
	if (status == CHILD_EXIT_SPOOL_FULL << 8) {
		job_fail(j, 503, "the spool is full, the result could not be "
		    "stored; try again later");
		return;
	}
	p->died++;
	j->pool->died++;
	log_err("job.died id=%.*s task=%s deaths=%d how=%s last=%s",
	    STR_ARG(j->id), task, j->deaths + 1, log_quote(how, strlen(how)),
	    log_quote(last, strlen(last)));
	if (j->deaths + 1 >= JOB_DEATHS_MAX) {
		j->deaths++;
		beat_dead(p, j, how, last);
		job_fail(j, 500, "the handler of %s %s, twice; the request is "
		    "not tried again", task, how);
	} else if (clock_mono_ms() >= j->deadline_ms)
		job_fail(j, 504, "the handler of %s %s and the deadline has "
		    "passed since", task, how);
	else
		job_move(j, j->deaths + 1, j->retries, 0, true);
}

/* A handler asked for a retry: later, if the task and the deadline allow it. */
static bool
job_retry(struct wjob *j)
{
	struct parent	*p = j->parent;
	const struct ufop_task *t;
	int64_t		 wait, jitter;

	if (j->task == -1)
		return (false);
	t = p->services->tasks[j->task].task;
	if (j->retries >= t->retries || j->retries >= 30)
		return (false);
	wait = (int64_t)p->backoff_ms << j->retries;
	jitter = wait / 4;
	wait += (int64_t)(reqid_random() % (2 * (uint64_t)jitter + 1)) -
	    jitter;
	if (clock_mono_ms() + wait >= j->deadline_ms)
		return (false);
	p->retried++;
	job_move(j, j->deaths, j->retries + 1, queue_now_ms() + wait, false);
	return (true);
}

/* ---- replies ---------------------------------------------------------- */

static void
job_count(struct wjob *j, const struct reply *r)
{
	struct parent		*p = j->parent;
	struct pool		*pool = j->pool;
	struct task_stat	*ts;
	int64_t			 us = r->run_us;

	/* Up at once, down slowly: one slow job must stop the prefetching. */
	if (us > pool->run_us)
		pool->run_us = (pool->run_us + us) / 2;
	else
		pool->run_us += (us - pool->run_us) / 16;
	if (r->status >= 500) {
		p->failed++;
		pool->failed++;
	} else {
		p->done++;
		pool->done++;
	}
	if (j->task == -1)
		return;
	ts = &p->tasks[j->task];
	ts->known++;
	if (us > ts->run_us)
		ts->run_us = (ts->run_us + us) / 2;
	else
		ts->run_us += (us - ts->run_us) / 16;
	if (r->status >= 500)
		ts->failed++;
	else
		ts->done++;
}

/* The big reply in the child's file goes into the spool under a name. */
static int
job_link(struct wjob *j, int fd, char name[SPOOL_NAME_MAX])
{
	struct ufop_err	 err;
	int64_t		 left = j->deadline_ms - clock_mono_ms();

	spool_name(name, left > 0 ? left : 0, true);
	if (spool_link(&j->parent->spool, fd, name, &err) == 0)
		return (0);
	log_err("job.spool id=%.*s why=%s", STR_ARG(j->id),
	    log_quote(err.msg, strlen(err.msg)));
	return (-1);
}

/* The file that the reply's body is in; -1 when there is none. */
static int
job_body_fd(struct wjob *j, struct child *c, int slot,
    const struct child_answer *a)
{
	struct ufop_err	 err;
	uint64_t	 len;
	int		 fd;

	if (a->body_in == RING_BODY_FILE)
		return (child_take_file(c, slot, a));
	if (j->body_fd != -1) {
		fd = j->body_fd;
		j->body_fd = -1;
		return (fd);
	}
	/* Only then is ref a name of ours and not the client's own bytes. */
	if (j->body != JOB_BODY_SPOOL)
		return (-1);
	return (spool_read(&j->parent->spool, j->ref, &len, &err));
}

void
job_replied(struct wjob *j, struct child *c, int slot)
{
	struct parent	*p = j->parent;
	struct child_answer a;
	struct reply	 r;
	struct buf	 log;
	struct stat	 st;
	struct ufop_err	 err;
	char		 name[SPOOL_NAME_MAX];
	bool		 readable, in_file;

	j->pool->nrunning--;
	j->child = NULL;
	readable = child_reply(c, slot, &a);
	in_file = readable && a.body_in != RING_BODY_SLOT;
	if (in_file)
		j->out_fd = job_body_fd(j, c, slot, &a);
	if (in_file && a.body_in == RING_BODY_SOURCE && j->out_fd == -1) {
		job_gone(j);
		return;
	}
	if (readable && a.outcome == RING_WANTS) {
		body_want(j, a.rep);
		return;
	}
	if (!readable || reply_decode(&r, a.rep, &err) == -1 ||
	    (in_file && (j->out_fd == -1 || fstat(j->out_fd, &st) == -1))) {
		job_fail(j, 500, "the child's answer could not be read");
		return;
	}
	job_count(j, &r);
	if (r.status >= 500) {
		struct str	 msg = r.body == JOB_BODY_INLINE ? r.ref :
		    STR_NULL;
		char		 text[200];

		snprintf(text, sizeof(text), "%.*s", STR_ARG(msg));
		beat_error(p, j, r.status, text);
	}
	if (a.outcome == RING_RETRY && job_retry(j))
		return;
	if (a.outcome == RING_RETRY && j->retries > 0)
		beat_dead(p, j, "retries", "");
	r.tag = j->tag;
	r.held_us = (uint32_t)(clock_mono_us() - j->taken_us);
	buf_init(&log, 4096);
	if (j->fetch_us > 0) {
		buf_addf(&log, "fetch=%lld.%lldms%s",
		    (long long)(j->fetch_us / 1000),
		    (long long)(j->fetch_us / 100 % 10),
		    r.log.len > 0 ? " " : "");
		buf_str(&log, r.log);
		r.log = (struct str){ log.p, log.len };
	}
	log_debug("job.done id=%.*s status=%d bytes=%llu run_us=%u",
	    STR_ARG(j->id), r.status, (unsigned long long)(in_file ?
	    (uint64_t)st.st_size : r.body_len), r.run_us);
	if (in_file) {
		r.body_len = st.st_size;
		if (!p->share || j->spool_id != p->spool.id) {
			body_store(j, &r);
			buf_release(&log);
			return;
		}
		if (job_link(j, j->out_fd, name) == -1) {
			buf_release(&log);
			job_fail(j, 503, "the result could not be stored in "
			    "the spool; try again later");
			return;
		}
		r.body = JOB_BODY_SPOOL;
		r.ref = str_from(name);
	} else if (r.body != JOB_BODY_INLINE)
		r.body = JOB_BODY_NONE;
	buf_clear(&j->frame);
	if (reply_encode(&r, &j->frame, &err) == -1) {
		buf_release(&log);
		job_fail(j, 500, "%s", err.msg);
		return;
	}
	buf_release(&log);
	job_settle(j);
}

/* ---- settling --------------------------------------------------------- */

struct settle_batch {
	struct parent	*parent;
	int		 n;
	struct wjob	*jobs[SETTLE_MAX];
};

static void
on_settled(redisAsyncContext *ac, void *r, void *arg)
{
	struct settle_batch	*b = arg;
	redisReply		*reply = r;
	int			 i;

	(void)ac;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != (size_t)b->n) {
		/* Unknown: they stay, and are sent again or dropped later. */
		for (i = 0; i < b->n; i++)
			b->jobs[i]->sent = false;
		if (reply != NULL) {
			log_err("redis.settle why=%s", log_quote(reply->str ?
			    reply->str : "?", reply->str ? reply->len : 1));
			queue_conn_reset(&b->parent->cmd, "a script failed");
		}
		free(b);
		return;
	}
	for (i = 0; i < b->n; i++) {
		if (reply->element[i]->integer == 0)
			log_warn("job.fenced id=%.*s msg=\"another worker took "
			    "it over, this answer is dropped\"",
			    STR_ARG(b->jobs[i]->id));
		else
			body_drop(b->jobs[i]);	/* the new owner needs it */
		job_forget(b->jobs[i]);
	}
	free(b);
}

static void
settle_send(struct parent *p, struct settle_batch *b)
{
	static char	 keys[SETTLE_MAX + 1][QUEUE_KEY_MAX];
	const char	*v[3 * SETTLE_MAX + 2];
	size_t		 len[3 * SETTLE_MAX + 2];
	struct wjob	*j;
	char		 web[QUEUE_KEY_MAX];
	int		 i, n = 0;

	v[n] = p->run_key;
	len[n++] = strlen(p->run_key);
	for (i = 0; i < b->n; i++) {
		snprintf(web, sizeof(web), "%.*s", STR_ARG(b->jobs[i]->web));
		queue_key(keys[i], p->tag, "reply", web);
		v[n] = keys[i];
		len[n++] = strlen(keys[i]);
	}
	v[n] = REPLY_TTL_MS;
	len[n++] = sizeof(REPLY_TTL_MS) - 1;
	for (i = 0; i < b->n; i++) {
		j = b->jobs[i];
		v[n] = j->entry;
		len[n++] = j->entry_len;
		if (j->flags & JOB_FLAG_NOBODY_WAITS) {
			v[n] = "";
			len[n++] = 0;
		} else {
			v[n] = j->frame.p;
			len[n++] = j->frame.len;
		}
		j->sent = true;
	}
	if (queue_script(&p->cmd, QUEUE_SETTLE, on_settled, b, b->n + 1, n, v,
	    len) == -1) {
		for (i = 0; i < b->n; i++)
			b->jobs[i]->sent = false;
		free(b);
	}
}

void
jobs_flush(struct parent *p)
{
	struct settle_batch	*b;
	struct wjob		*j;

	if (!p->cmd.ready)
		return;		/* they wait in the list */
	while (!TAILQ_EMPTY(&p->settle)) {
		b = xcalloc(1, sizeof(*b));
		b->parent = p;
		while (b->n < SETTLE_MAX &&
		    (j = TAILQ_FIRST(&p->settle)) != NULL) {
			TAILQ_REMOVE(&p->settle, j, list);
			j->listed = false;
			b->jobs[b->n++] = j;
		}
		settle_send(p, b);
	}
}

void
jobs_resend(struct parent *p)
{
	struct wjob	*j;

	TAILQ_FOREACH(j, &p->all, all) {
		if (j->sent || j->listed || j->calls > 0)
			continue;
		if (j->state == WJOB_SETTLING)
			job_list(j, &p->settle, false);
		else if (j->state == WJOB_MOVING && j->moved != NULL)
			job_move_send(j);
		else if (j->state == WJOB_LOADING || j->state == WJOB_STORING)
			body_resume(j);
	}
}

void
jobs_tick(struct parent *p)
{
	struct wjob	*j, *next;
	int64_t		 now = clock_mono_ms();

	for (j = TAILQ_FIRST(&p->all); j != NULL; j = next) {
		next = TAILQ_NEXT(j, all);
		if (now < j->deadline_ms)
			continue;
		switch (j->state) {
		case WJOB_PENDING:
			job_fail(j, 504, "the deadline passed while the "
			    "request waited for a child; send fewer at once "
			    "or add workers");
			break;
		case WJOB_FETCHING:
			body_fetch_cancel(j);
			p->fetch_silent++;
			job_fail(j, 504, "the deadline passed while the "
			    "source, or a file beside it, was being fetched");
			break;
		case WJOB_LOADING:
			job_fail(j, 504, "the deadline passed while the body "
			    "was read from Redis");
			break;
		case WJOB_SETTLING:
		case WJOB_MOVING:
		case WJOB_STORING:
			/* Redis is away and nobody waits any longer. */
			if (!j->sent && now > j->deadline_ms + 60000)
				job_forget(j);
			break;
		case WJOB_RUNNING:
			break;
		}
	}
}
