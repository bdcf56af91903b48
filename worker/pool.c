/* SPDX-License-Identifier: MIT */
/*
 * A pool: its children, what it takes from its queue, who runs what.
 */
#include <sys/epoll.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "log.h"
#include "parent.h"

#define TAKE_TIMEOUT_MS	5000	/* of BLMOVE, after which it is sent again */
#define SILENCE_MS	20000	/* Redis owes an answer and gives none */
#define FULL_MS		50	/* between two TAKEs while Redis is full */
#define FULL_RETRY_MS	1000	/* then BLMOVE is tried again */
#define FULL_LOG_MS	10000	/* that long apart is a new event */
#define TAKE_MAX	64	/* jobs by one TAKE */
#define LOOK_GAP_MAX	7	/* handed out before the next look, and one */
/* A child holds at most about this much work ahead of what it runs. */
#define AHEAD_US	2000
/* Jobs shorter than this are handed out several at a time. */
#define SHORT_US	500
/* ... and these all to one child, since waking a second costs more. */
#define TINY_US		50
/* Behind one shorter than this waits one more, so that its child can go on. */
#define SPARE_US	50000
#define KNOWN_MIN	16	/* runs after which a task's time is believed */
/* A job that runs longer than this holds nothing behind it ... */
#define STUCK_US	5000
/* ... or, behind one that was not known to be short, than this. */
#define LONG_STUCK_US	(2 * SPARE_US)
#define QUIT_MS		5000	/* a child that was asked to end must be gone by */
#define DEAF_MS		2000	/* an idle child must have begun a job by */
#define HEALTH_MS	5000	/* a health check must answer within */
#define RESPAWN_MIN_MS	50
#define RESPAWN_MAX_MS	5000

struct pool *
pool_find(struct parent *p, struct str name)
{
	int	 i;

	for (i = 0; i < p->npools; i++)
		if (str_eq_c(name, p->pools[i].name))
			return (&p->pools[i]);
	return (NULL);
}

/* ---- taking ----------------------------------------------------------- */

static void
on_take(redisAsyncContext *ac, void *r, void *arg)
{
	struct pool	*pool = arg;
	redisReply	*reply = r;
	size_t		 i;

	(void)ac;
	pool->taking = 0;
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		log_err("redis.take why=%s", log_quote(reply->str,
		    reply->len));
		queue_conn_reset(&pool->take, "a script failed");
		return;
	}
	/* An empty queue is looked into less and less often. */
	if (reply->elements > 0)
		pool->look_gap = 0;
	else if (pool->look_gap < LOOK_GAP_MAX)
		pool->look_gap = 2 * pool->look_gap + 1;
	for (i = 0; i < reply->elements; i++)
		job_taken(pool, reply->element[i]->str,
		    reply->element[i]->len);
}

static void
on_wait(redisAsyncContext *ac, void *r, void *arg)
{
	struct pool	*pool = arg;
	redisReply	*reply = r;

	(void)ac;
	pool->waiting = false;
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_STRING)
		job_taken(pool, reply->str, reply->len);
	else if (reply->type == REDIS_REPLY_ERROR &&
	    strncmp(reply->str, "OOM", 3) == 0) {
		if (clock_mono_ms() - pool->full_ms > FULL_LOG_MS ||
		    pool->full_ms == 0)
			log_err("redis.full pool=%s msg=\"at maxmemory; jobs "
			    "are still taken, new ones are refused\"",
			    pool->name);
		pool->redis_full = true;
		pool->full_ms = clock_mono_ms();
	} else if (reply->type == REDIS_REPLY_ERROR &&
	    strncmp(reply->str, "UNBLOCKED", 9) != 0) {
		log_err("redis.blmove why=%s", log_quote(reply->str,
		    reply->len));
		queue_conn_reset(&pool->take, "BLMOVE failed");
	}
}

static bool
is_serving(const struct pool_child *pc)
{
	return (pc->child.ready && !pc->child.retiring);
}

/* How many jobs this pool may hold: one per child, more when they are short. */
static int
pool_limit(const struct pool *pool)
{
	int	 i, n = 0, ahead = pool->parent->prefetch;

	if (pool->run_us > 0 && AHEAD_US / pool->run_us < ahead)
		ahead = (int)(AHEAD_US / pool->run_us);
	if (pool->run_us == 0)
		ahead = 0;	/* nothing is known yet */
	for (i = 0; i < pool->nchildren; i++)
		if (is_serving(pool->children[i]))
			n += pool->children[i]->longest_us == INT64_MAX ? 1 :
			    1 + ahead;
	return (n);
}

/*
 * How many it holds.  Not those whose child will take no more, and not those
 * that are being fetched, which may take long.
 */
static int
pool_held(const struct pool *pool)
{
	const struct child	*c;
	int			 i, slot, n = pool->npending + pool->nrunning +
				    pool->nloading;

	for (i = 0; i < pool->nchildren; i++) {
		c = &pool->children[i]->child;
		for (slot = 0; c->retiring && slot < RING_SLOTS; slot++)
			n -= (c->used & 1U << slot) && c->owner[slot] != NULL;
	}
	return (n);
}

/*
 * How many jobs more, while all children are busy.  They are only taken if they
 * lie in the queue: then no other worker has a child that waits for them.
 */
static int
pool_spare(const struct pool *pool)
{
	int	 i, n = 0;

	if (pool->parent->prefetch == 0 || pool->run_us == 0 ||
	    pool->run_us >= SPARE_US)
		return (0);
	for (i = 0; i < pool->nchildren; i++)
		n += is_serving(pool->children[i]) &&
		    pool->children[i]->longest_us < SPARE_US;
	return (n);
}

static bool
pool_ask_now(struct pool *pool, int n)
{
	char		 count[16];
	const char	*v[3] = { pool->q_key, pool->parent->run_key, count };
	size_t		 len[3];
	int		 i;

	if (n > TAKE_MAX)
		n = TAKE_MAX;
	snprintf(count, sizeof(count), "%d", n);
	for (i = 0; i < 3; i++)
		len[i] = strlen(v[i]);
	if (queue_script(&pool->take, QUEUE_TAKE, on_take, pool, 2, 3, v,
	    len) == -1)
		return (false);
	pool->taking = n;
	pool->asked_ms = clock_mono_ms();
	return (true);
}

void
pool_want(struct pool *pool)
{
	int64_t	 now;
	int	 n;
	bool	 spare;

	if (pool->parent->stopping || !pool->take.ready || pool->waiting ||
	    pool->taking > 0 || !beat_lives(pool->parent) ||
	    pool->told_id != pool->take_id || pool->take_id == 0)
		return;
	n = pool_limit(pool) - pool_held(pool);
	spare = n <= 0 && pool->look_in == 0;
	if (spare)
		n += pool_spare(pool);
	/*
	 * Jobs whose source is being fetched keep no child busy; but not more
	 * of them than are fetched at once, the rest is better off in the
	 * queue, where others can take it.
	 */
	if (n > pool->parent->fetch_conf.concurrency - pool->ncoming)
		n = pool->parent->fetch_conf.concurrency - pool->ncoming;
	if (n <= 0)
		return;
	if (spare) {
		pool->look_in = 1 + pool->look_gap;
		(void)pool_ask_now(pool, n);
		return;
	}
	if (pool->redis_full) {
		/*
		 * At maxmemory Redis refuses BLMOVE, but not TAKE, which
		 * begins with a removal.  pool_tick() comes here meanwhile.
		 */
		now = clock_mono_ms();
		if (now - pool->full_ms > FULL_RETRY_MS)
			pool->redis_full = false;
		else if (now - pool->asked_ms >= FULL_MS)
			(void)pool_ask_now(pool, n);
		if (pool->redis_full)
			return;
	}
	/*
	 * A TAKE for what lies there now and a BLMOVE for what comes next, in
	 * one write; the BLMOVE counts as one.
	 */
	if (n > 1 && !pool_ask_now(pool, n - 1))
		return;
	pool->asked_ms = clock_mono_ms();
	pool->waiting = queue_cmdf(&pool->take, on_wait, pool,
	    "BLMOVE %s %s LEFT RIGHT %s", pool->q_key, pool->parent->run_key,
	    pool->take_s) == 0;
}

bool
pool_stop_taking(struct pool *pool)
{
	if (!pool->take.ready || (!pool->waiting && pool->taking == 0))
		return (true);
	/*
	 * Closing the connection would leave it to chance whether Redis moves
	 * one more job to us; ask it to end the wait instead.
	 */
	if (pool->take_id != 0 && pool->parent->cmd.ready) {
		(void)queue_cmdf(&pool->parent->cmd, NULL, NULL,
		    "CLIENT UNBLOCK %lld", pool->take_id);
		pool->take_id = 0;
	}
	return (false);
}

static void
on_client_id(redisAsyncContext *ac, void *r, void *arg)
{
	struct pool	*pool = arg;
	redisReply	*reply = r;

	(void)ac;
	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
		pool->take_id = reply->integer;
	/* Nothing is taken before a heartbeat has named it: on_neighbour(). */
	pool->parent->next_beat_ms = 0;
}

static void
on_ready(struct queue_conn *qc)
{
	struct pool	*pool = qc->arg;

	pool->waiting = false;
	pool->taking = 0;
	pool->take_id = 0;
	(void)queue_cmdf(qc, on_client_id, pool, "CLIENT ID");
}

static int
attach(redisAsyncContext *ac, void *arg)
{
	struct pool	*pool = arg;

	return (loop_redis(pool->parent->loop, ac));
}

/* ---- children --------------------------------------------------------- */

/* Whose words are on stderr: the job that runs, or has just ended. */
static struct wjob *
speaking_job(const struct child *c)
{
	enum ring_state	 state;
	struct wjob	*ended = NULL;
	int		 i;

	for (i = 0; i < RING_SLOTS; i++) {
		if (!(c->used & 1U << i) || c->owner[i] == NULL)
			continue;
		state = child_state(c, i);
		if (state == RING_RUNNING)
			return (c->owner[i]);
		if (state == RING_DONE)
			ended = c->owner[i];
	}
	return (ended);
}

static void
hear_stderr(struct pool_child *pc, const char *id)
{
	struct loop	*l = pc->pool->parent->loop;

	if (pc->mute)
		return;
	pc->mute = !child_read_stderr(&pc->child, id);
	if (!pc->mute)
		return;
	loop_del(l, &pc->err);
	close(pc->child.err_fd);
	pc->child.err_fd = -1;
	if (!pc->worn) {
		pc->worn = true;
		pool_fill(pc->pool);
	}
}

static void
on_stderr(struct loop_fd *lfd, uint32_t events)
{
	struct pool_child	*pc = lfd->arg;
	struct wjob		*j = speaking_job(&pc->child);
	char			 id[REQID_MAX + 1] = "-";

	if (j != NULL)
		snprintf(id, sizeof(id), "%.*s", STR_ARG(j->id));
	hear_stderr(pc, id);
	/* The writing end may be closed while the child lives on. */
	if (!(events & EPOLLIN))
		loop_del(pc->pool->parent->loop, lfd);
}

static void
collect_health(struct pool_child *pc, int slot)
{
	struct pool		*pool = pc->pool;
	struct child_answer	 a = { .rep = STR_NULL };
	bool			 was = pool->ok, heard;
	char			 note[sizeof(pool->note)];
	struct str		 why;

	pc->health = false;
	heard = child_reply(&pc->child, slot, &a);
	why = str_cut(&a.rep, '\0');
	pool->ok = heard && why.len == 0;
	snprintf(pool->why, sizeof(pool->why), "%.*s", STR_ARG(why));
	snprintf(note, sizeof(note), "%.*s", STR_ARG(a.rep));
	if (was != pool->ok)
		log_warn("pool.health pool=%s ok=%d why=%s", pool->name,
		    pool->ok, log_quote(pool->why, strlen(pool->why)));
	if (strcmp(note, pool->note) != 0)
		log_warn("pool.note pool=%s note=%s", pool->name,
		    log_quote(note, strlen(note)));
	memcpy(pool->note, note, sizeof(note));
}

/* Look at every slot the child has finished. */
static void
collect(struct pool_child *pc)
{
	struct child	*c = &pc->child;
	struct child_answer a;
	struct wjob	*j;
	char		 id[REQID_MAX + 1];
	bool		 heard = false;
	int		 i, fd;

	for (i = 0; i < RING_SLOTS; i++) {
		if (!(c->used & 1U << i) || child_state(c, i) != RING_DONE)
			continue;
		j = c->owner[i];
		/* What it printed before its answer was of this job. */
		if (!heard && j != NULL) {
			snprintf(id, sizeof(id), "%.*s", STR_ARG(j->id));
			hear_stderr(pc, id);
			heard = true;
		}
		if (j != NULL)
			job_replied(j, c, i);
		else if (c->kind[i] == RING_HEALTH)
			collect_health(pc, i);
		else if (child_reply(c, i, &a) &&
		    a.body_in == RING_BODY_FILE &&
		    (fd = child_take_file(c, i, &a)) != -1)
			close(fd);	/* of a job that is not ours any more */
		child_done(c, i);
		c->said = 0;
	}
	if (c->nused == 0)
		pc->longest_us = 0;
	if (!pc->worn && atomic_load(&c->ring->worn) != 0) {
		pc->worn = true;
		pool_fill(pc->pool);
	}
}

/* A new child is there: one that it replaces may go. */
static void
retire_one(struct pool *pool)
{
	int	 i;

	for (i = 0; i < pool->nchildren; i++)
		if (pool->children[i]->worn &&
		    !pool->children[i]->child.retiring) {
			pool->children[i]->child.retiring = true;
			return;
		}
}

static void
on_bell(struct loop_fd *lfd, uint32_t events)
{
	struct pool_child	*pc = lfd->arg;
	bool			 was = pc->child.ready;

	(void)events;
	child_hear(&pc->child);
	if (!was && pc->child.ready) {
		pc->pool->respawn_backoff_ms = 0;
		retire_one(pc->pool);
		if (pc->pool->cannot_start) {
			pc->pool->cannot_start = false;
			pc->pool->ok = true;
			pc->pool->why[0] = '\0';
		}
	}
	if (events & (EPOLLHUP | EPOLLERR))
		loop_del(pc->pool->parent->loop, lfd);
	collect(pc);
}

static void
pool_forget_child(struct pool *pool, struct pool_child *pc)
{
	int	 i;

	for (i = 0; i < pool->nchildren; i++)
		if (pool->children[i] == pc) {
			pool->children[i] =
			    pool->children[--pool->nchildren];
			break;
		}
	free(pc);
}

/* Its death: whatever it held is answered, moved or given to others. */
static void
on_death(struct loop_fd *lfd, uint32_t events)
{
	struct pool_child	*pc = lfd->arg;
	struct pool		*pool = pc->pool;
	struct parent		*p = pool->parent;
	struct child		*c = &pc->child;
	struct wjob		*victims[RING_SLOTS], *j;
	char			 how[80], last[CHILD_LINE_MAX + 1];
	bool			 was_ready, expected;
	int			 i, n = 0, status;

	(void)events;
	child_hear(c);
	collect(pc);		/* what it finished before counts */
	/* Before its directory is removed: they could still be busy there. */
	child_kill(c);
	worker_kill_strays(p);
	was_ready = c->ready;
	expected = c->retiring || p->stopping;
	for (i = RING_SLOTS - 1; i >= 0; i--) {
		j = (c->used & 1U << i) ? c->owner[i] : NULL;
		if (j == NULL)
			continue;
		if (child_state(c, i) == RING_READY) {
			pool->nrunning--;
			job_pending(j, true);
		} else
			victims[n++] = j;
	}
	if (pc->health) {
		pool->ok = false;
		snprintf(pool->why, sizeof(pool->why), "a child died in its "
		    "health check or did not answer it within %d s",
		    HEALTH_MS / 1000);
	}
	loop_del(p->loop, &pc->sock);
	loop_del(p->loop, &pc->died);
	loop_del(p->loop, &pc->err);
	status = child_reap(c, how, sizeof(how));
	p->next_trash_ms = 0;
	memcpy(last, c->last_line, sizeof(last));
	if (status != 0 || !was_ready)
		log_warn("child.end pool=%s pid=%d how=%s last=%s", pool->name,
		    (int)c->pid, log_quote(how, strlen(how)),
		    log_quote(last, strlen(last)));
	else
		log_debug("child.end pool=%s pid=%d", pool->name, (int)c->pid);
	if (!was_ready && !expected) {
		/* It could not even start: say why, and do not spin. */
		pool->ok = false;
		pool->cannot_start = true;
		snprintf(pool->why, sizeof(pool->why), "its children cannot "
		    "start: %.400s", last[0] != '\0' ? last : how);
		pool->respawn_backoff_ms = pool->respawn_backoff_ms == 0 ?
		    RESPAWN_MIN_MS : pool->respawn_backoff_ms * 2;
		if (pool->respawn_backoff_ms > RESPAWN_MAX_MS)
			pool->respawn_backoff_ms = RESPAWN_MAX_MS;
		pool->respawn_ms = clock_mono_ms() + pool->respawn_backoff_ms;
	}
	pool_forget_child(pool, pc);
	for (i = 0; i < n; i++)
		job_died(victims[i], how, status, last);
	if (!p->stopping)
		pool_fill(pool);
}

static int
pool_spawn_one(struct pool *pool)
{
	struct pool_child	*pc = xcalloc(1, sizeof(*pc));
	struct loop		*l = pool->parent->loop;
	struct ufop_err		 err;

	pc->pool = pool;
	if (child_spawn(&pc->child, &pool->conf, &err) == -1) {
		log_err("child.spawn pool=%s why=%s", pool->name,
		    log_quote(err.msg, strlen(err.msg)));
		free(pc);
		pool->ok = false;
		pool->cannot_start = true;
		snprintf(pool->why, sizeof(pool->why), "%.400s", err.msg);
		pool->respawn_ms = clock_mono_ms() + 1000;
		return (-1);
	}
	pc->sock.arg = pc->died.arg = pc->err.arg = pc;
	pc->sock.run = on_bell;
	pc->died.run = on_death;
	pc->err.run = on_stderr;
	(void)loop_add(l, &pc->sock, pc->child.sock, EPOLLIN);
	(void)loop_add(l, &pc->died, pc->child.pidfd, EPOLLIN);
	(void)loop_add(l, &pc->err, pc->child.err_fd, EPOLLIN);
	pool->children[pool->nchildren++] = pc;
	return (0);
}

void
pool_fill(struct pool *pool)
{
	int	 i, n = 0;

	if (pool->respawn_ms > clock_mono_ms())
		return;
	for (i = 0; i < pool->nchildren; i++)
		n += !pool->children[i]->worn;
	for (; n < pool->slots && pool->nchildren < 2 * CHILDREN_MAX; n++)
		if (pool_spawn_one(pool) == -1)
			break;
}

/* ---- who runs what ---------------------------------------------------- */

static int64_t
job_us(const struct wjob *j)
{
	const struct task_stat	*ts;

	if (j->task == -1)
		return (INT64_MAX);
	ts = &j->parent->tasks[j->task];
	return (ts->known < KNOWN_MIN ? INT64_MAX : ts->run_us);
}

/* Whether a job of us microseconds may wait behind what the child runs. */
static bool
child_has_room(const struct pool_child *pc, int64_t us)
{
	int	 ahead = pc->pool->parent->prefetch;

	if (us >= SHORT_US)
		return (us < SPARE_US && pc->longest_us < SPARE_US &&
		    ahead > 0 && pc->child.nused < 2);
	if (ahead > RING_SLOTS - 1)
		ahead = RING_SLOTS - 1;
	if (us > 0 && AHEAD_US / us < ahead)
		ahead = (int)(AHEAD_US / us);
	return (pc->longest_us < SHORT_US && pc->child.nused < 1 + ahead);
}

/* The child that should have this job now; NULL: it waits. */
static struct pool_child *
pool_choose(struct pool *pool, const struct wjob *j)
{
	struct pool_child	*pc, *best = NULL;
	int64_t			 us = job_us(j);
	int			 i;

	for (i = 0; i < pool->nchildren; i++) {
		pc = pool->children[i];
		if (!is_serving(pc))
			continue;
		/* One that is about to be woken anyway takes tiny ones too. */
		if (us < TINY_US && pc->child.nbell > 0 &&
		    child_has_room(pc, us))
			return (pc);
		if ((pc->child.nused == 0 || child_has_room(pc, us)) &&
		    (best == NULL || best->child.nused > pc->child.nused))
			best = pc;
	}
	return (best);
}

static bool
pool_no_body(struct wjob *j, const char *why)
{
	log_err("job.body id=%.*s why=%s", STR_ARG(j->id), log_quote(why,
	    strlen(why)));
	job_fail(j, 503, "the worker could not open the request's body (%s); "
	    "try again later", why);
	return (true);
}

/* Hand a job to a child.  False: the child is gone or full, try another. */
static bool
pool_give(struct pool_child *pc, struct wjob *j)
{
	struct parent	*p = j->parent;
	struct ufop_err	 err;
	int64_t		 us = job_us(j);
	uint64_t	 len;
	int		 fd = -1;

	if (j->body_fd != -1) {
		if ((fd = dup(j->body_fd)) == -1)
			return (pool_no_body(j, strerror(errno)));
	} else if (j->body == JOB_BODY_SPOOL) {
		fd = spool_read(&p->spool, j->ref, &len, &err);
		if (fd == -1 && errno != ENOENT)
			return (pool_no_body(j, err.msg));
		if (fd == -1 || len != j->body_len) {
			if (fd != -1)
				close(fd);
			job_gone(j);
			return (true);
		}
	}
	j->slot = child_put(&pc->child, us < SHORT_US ? RING_JOB :
	    RING_LONG_JOB, body_entry(j), j->deadline_ms, fd, &j->files, j);
	if (j->slot == -1)
		return (false);
	pc->pool->npending--;
	TAILQ_REMOVE(&pc->pool->pending, j, list);
	j->listed = false;
	pc->pool->nrunning++;
	job_state(j, WJOB_RUNNING);
	j->child = &pc->child;
	if (us > pc->longest_us)
		pc->longest_us = us;
	if (pc->pool->look_in > 0)
		pc->pool->look_in--;
	return (true);
}

/* Take a job back that its child has not begun.  False: it has. */
static bool
pool_recall(struct pool_child *pc, int slot)
{
	struct wjob	*j = pc->child.owner[slot];

	if (!(pc->child.used & 1U << slot) || j == NULL ||
	    !child_take_back(&pc->child, slot))
		return (false);
	pc->pool->nrunning--;
	job_pending(j, true);
	j->recalled = true;
	return (true);
}

/*
 * One child is idle and another has more than it runs, and not so short that
 * sharing costs more than waiting: it gives one away.
 */
static bool
pool_share(struct pool *pool)
{
	struct pool_child	*pc;
	bool			 idle = false;
	int			 i, slot;

	for (i = 0; i < pool->nchildren && !idle; i++) {
		pc = pool->children[i];
		idle = is_serving(pc) && pc->child.nused == 0;
	}
	for (i = 0; i < pool->nchildren && idle; i++) {
		pc = pool->children[i];
		if (pc->child.nused < 2 || pc->longest_us < SHORT_US)
			continue;
		for (slot = 0; slot < RING_SLOTS; slot++)
			if (pool_recall(pc, slot))
				return (true);
	}
	return (false);
}

void
pool_dispatch(struct pool *pool)
{
	struct pool_child	*pc;
	struct wjob		*j;
	int			 i;

	do {
		while ((j = TAILQ_FIRST(&pool->pending)) != NULL) {
			pc = pool_choose(pool, j);
			if (pc == NULL || !pool_give(pc, j))
				break;
		}
	} while (j == NULL && pool_share(pool));
	for (i = 0; i < pool->nchildren; i++)
		child_ring(&pool->children[i]->child);
}

int
pool_patience_ms(const struct pool *pool)
{
	int	 i, ms = 250;

	if (pool->nrunning > 0 || pool->npending > 0 || pool->redis_full)
		ms = 50;
	for (i = 0; i < pool->nchildren; i++)
		if (pool->children[i]->child.nused > 1 &&
		    pool->children[i]->longest_us < SHORT_US)
			ms = STUCK_US / 1000;
	return (ms);
}

static void
child_tick(struct pool_child *pc)
{
	struct child	*c = &pc->child;
	int64_t		 now = clock_mono_us(), since;
	struct wjob	*j;
	int64_t		 most = pc->longest_us < SHORT_US ? STUCK_US :
			    LONG_STUCK_US;
	bool		 stuck = false, runs = false, waits = false;
	int		 i;

	collect(pc);
	if (c->quit_ms != 0 && now / 1000 - c->quit_ms > QUIT_MS) {
		log_warn("child.kill pid=%d why=\"its teardown does not "
		    "end\"", (int)c->pid);
		child_kill(c);
		return;
	}
	for (i = 0; i < RING_SLOTS; i++) {
		if (!(c->used & 1U << i))
			continue;
		j = c->owner[i];
		since = atomic_load(&c->ring->slots[i].started_us);
		if (child_state(c, i) == RING_RUNNING && since != 0 &&
		    now - since > most)
			stuck = true;
		runs |= child_state(c, i) == RING_RUNNING;
		waits |= child_state(c, i) == RING_READY &&
		    now / 1000 - c->put_ms[i] > DEAF_MS;
		if (now / 1000 < c->deadline_ms[i])
			continue;
		if (pool_recall(pc, i))
			continue;	/* jobs_tick() answers it */
		if (j != NULL && !j->timed_out) {
			j->timed_out = true;
			log_warn("child.kill pid=%d id=%.*s why=deadline",
			    (int)c->pid, STR_ARG(j->id));
		}
		child_kill(c);
	}
	/* Nothing keeps it busy and yet it does not start what it was given. */
	if (waits && !runs) {
		log_warn("child.kill pid=%d why=\"it takes no job\"",
		    (int)c->pid);
		child_kill(c);
		return;
	}
	if (!stuck)
		return;
	pc->longest_us = INT64_MAX;
	for (i = RING_SLOTS - 1; i >= 0; i--)
		(void)pool_recall(pc, i);
}

/*
 * What waits here for a child while another worker may have one.  Not what was
 * fetched and has not been ahead: of those more than children are wanted, and
 * another would fetch them again.
 */
static void
pool_give_back(struct pool *pool)
{
	struct wjob	*j, *before;
	int64_t		 now = clock_mono_us();

	for (j = TAILQ_LAST(&pool->pending, wjobs); j != NULL &&
	    pool_held(pool) > pool_limit(pool); j = before) {
		before = TAILQ_PREV(j, wjobs, list);
		if ((j->fetch_us == 0 || j->recalled) &&
		    now - j->taken_us > LONG_STUCK_US)
			job_hand_back(j);
	}
}

void
pool_tick(struct pool *pool)
{
	struct pool_child	*pc;
	int			 i;

	for (i = 0; i < pool->nchildren; i++) {
		pc = pool->children[i];
		child_tick(pc);
		if (pc->child.retiring && pc->child.nused == 0)
			child_quit(&pc->child);
	}
	pool_give_back(pool);
	if (!pool->parent->stopping)
		pool_fill(pool);
	if (pool->take.ready && (pool->waiting || pool->taking > 0) &&
	    clock_mono_ms() - pool->asked_ms > SILENCE_MS)
		queue_conn_reset(&pool->take, "no answer for 20 s");
	queue_conn_tick(&pool->take);
}

void
pool_health(struct pool *pool)
{
	struct pool_child	*pc;
	int			 i;

	for (i = 0; i < pool->nchildren; i++) {
		pc = pool->children[i];
		if (pc->health)
			return;
		if (!is_serving(pc) || pc->child.nused > 0)
			continue;
		if (child_put(&pc->child, RING_HEALTH, STR_NULL,
		    clock_mono_ms() + HEALTH_MS, -1, NULL, NULL) != -1) {
			pc->health = true;
			pc->longest_us = INT64_MAX; /* nothing behind it */
			child_ring(&pc->child);
		}
		return;
	}
}

void
pool_retire(struct pool *pool)
{
	int	 i;

	for (i = 0; i < pool->nchildren; i++)
		pool->children[i]->worn = true;
	pool_fill(pool);
}

bool
pool_stop_children(struct pool *pool, bool kill_them)
{
	int	 i;

	for (i = 0; i < pool->nchildren; i++) {
		if (kill_them)
			child_kill(&pool->children[i]->child);
		else if (pool->children[i]->child.nused == 0)
			child_quit(&pool->children[i]->child);
	}
	return (pool->nchildren == 0);
}

bool
pool_ready(const struct pool *pool)
{
	int	 i, n = 0;

	for (i = 0; i < pool->nchildren; i++)
		n += is_serving(pool->children[i]);
	return (n >= pool->slots);
}

void
pool_init(struct pool *pool, struct parent *p, const struct settings_pool *sp)
{
	pool->parent = p;
	snprintf(pool->name, sizeof(pool->name), "%s", sp->name);
	queue_key(pool->q_key, p->tag, "q", pool->name);
	pool->slots = sp->children;
	/*
	 * Shorter than what is left of the lease after the latest beat, so that
	 * Redis moves nothing to a worker that has been taken over already.
	 */
	snprintf(pool->take_s, sizeof(pool->take_s), "%.3f",
	    (p->lease_ms / 3 < TAKE_TIMEOUT_MS ? p->lease_ms / 3 :
	    TAKE_TIMEOUT_MS) / 1000.0);
	pool->ok = true;
	pool->conf = (struct child_conf){ p->settings, p->services, &p->spool,
	    pool->name, p->own_dir };
	TAILQ_INIT(&pool->pending);
	pool->take.addr = &p->addr;
	pool->take.attach = attach;
	pool->take.on_ready = on_ready;
	pool->take.arg = pool;
	pool->take.what = pool->name;
	pool_fill(pool);
}

void
pool_release(struct pool *pool)
{
	struct pool_child	*pc;
	char			 how[80];

	while (pool->nchildren > 0) {
		pc = pool->children[0];
		child_kill(&pc->child);
		loop_del(pool->parent->loop, &pc->sock);
		loop_del(pool->parent->loop, &pc->died);
		loop_del(pool->parent->loop, &pc->err);
		(void)child_reap(&pc->child, how, sizeof(how));
		pool_forget_child(pool, pc);
	}
}
