/* SPDX-License-Identifier: MIT */
/*
 * What the parent does by the clock: its heartbeat, taking over from workers
 * that have died, queueing what is due, and comparing what it holds with what
 * Redis says it holds.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "log.h"
#include "parent.h"
#include "tree.h"

#define OWN_PREFIX	"w-"	/* of a worker's directory in the spool */
#define SWEEP_MS	60000
#define TRASH_BUDGET	1000	/* entries of dead scratch directories in one go */
#define TRASH_MS	20	/* ... and the pause before the next */
#define LIST_AGAIN_MS	1000	/* a stranger in the run list is looked at again */

/* ---- the worker's own directory, and those of dead neighbours --------- */

int
beat_open(struct parent *p, struct ufop_err *err)
{
	char	*lock, *young;
	int	 rc;

	p->own_dir = xasprintf("%s/" OWN_PREFIX "%s", p->spool.path, p->id);
	if (mkdir(p->own_dir, 0711) == -1 || chmod(p->own_dir, 0711) == -1)
		return (err_sys(err, "cannot make %s", p->own_dir));
	/* Locked before it is called lock: nobody finds it free in between. */
	lock = xasprintf("%s/lock", p->own_dir);
	young = xasprintf("%s.new", lock);
	p->lock_fd = open(young, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	rc = p->lock_fd == -1 || flock(p->lock_fd, LOCK_EX | LOCK_NB) == -1 ||
	    rename(young, lock) == -1 ? -1 : 0;
	free(lock);
	free(young);
	if (rc == -1)
		return (err_sys(err, "cannot lock %s", p->own_dir));
	return (0);
}

/*
 * A neighbour on this host whose lock is free is dead, though its heartbeat
 * may still stand: no need to wait for the lease.
 */
static bool
neighbour_dead(struct parent *p, const char *dir)
{
	char	*lock, *path, *trash;
	bool	 dead;
	int	 fd;

	path = xasprintf("%s/%s", p->spool.path, dir);
	lock = xasprintf("%s/lock", path);
	fd = open(lock, O_RDWR | O_CLOEXEC);
	/* No lock file yet: it is just starting, or was half removed. */
	dead = fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0;
	/* Into our own, where it is removed little by little: beat_trash(). */
	trash = xasprintf("%s/c.%s", p->own_dir, dir);
	if (dead && rename(path, trash) == 0)
		p->next_trash_ms = 0;
	free(trash);
	if (fd != -1)
		close(fd);
	free(lock);
	free(path);
	return (dead);
}

static void
on_takeover(redisAsyncContext *ac, void *r, void *arg)
{
	redisReply	*reply = r;
	size_t		 i;

	(void)ac;
	(void)arg;
	if (reply == NULL)
		return;
	if (reply->type != REDIS_REPLY_ARRAY) {
		log_err("redis.takeover why=%s", log_quote(reply->str ?
		    reply->str : "?", reply->str ? reply->len : 1));
		return;
	}
	for (i = 1; i < reply->elements; i++)
		log_warn("worker.takeover worker=%s jobs=%lld",
		    reply->element[i]->str, reply->element[0]->integer);
}

/* known: neighbours that are dead though their heartbeat may still stand. */
static void
takeover(struct parent *p, const char *known)
{
	const char	*v[3] = { p->workers_key, p->prefix, known };
	size_t		 len[3];
	int		 i, n = known == NULL ? 2 : 3;

	for (i = 0; i < n; i++)
		len[i] = strlen(v[i]);
	(void)queue_script(&p->cmd, QUEUE_TAKEOVER, on_takeover, p, 1, n, v,
	    len);
}

struct neighbour {
	struct parent	*parent;
	char		 id[REQID_LEN + 1];
};

/*
 * A dead neighbour's heartbeat names its connections.  Redis may not have
 * noticed yet that they are closed, and would go on moving jobs to it: they
 * are ended first, then its jobs are taken over, in this order on one
 * connection.
 */
static void
on_neighbour(redisAsyncContext *ac, void *r, void *arg)
{
	struct neighbour	*nb = arg;
	redisReply		*reply = r;
	json_t			*beat, *clients, *id;
	size_t			 i;

	(void)ac;
	if (reply != NULL && reply->type == REDIS_REPLY_STRING) {
		beat = json_loadb(reply->str, reply->len, 0, NULL);
		clients = json_object_get(beat, "clients");
		json_array_foreach(clients, i, id)
			(void)queue_cmdf(&nb->parent->cmd, NULL, NULL,
			    "CLIENT KILL ID %lld",
			    (long long)json_integer_value(id));
		json_decref(beat);
	}
	if (reply != NULL)
		takeover(nb->parent, nb->id);
	free(nb);
}

/* found() is called with the id of each neighbour that has died. */
static void
neighbours(struct parent *p, void (*found)(struct parent *, const char *id))
{
	struct dirent	*de;
	const char	*id;
	DIR		*dir;

	if ((dir = opendir(p->spool.path)) == NULL)
		return;
	while ((de = readdir(dir)) != NULL) {
		id = de->d_name + sizeof(OWN_PREFIX) - 1;
		if (strncmp(de->d_name, OWN_PREFIX,
		    sizeof(OWN_PREFIX) - 1) == 0 &&
		    strlen(id) == REQID_LEN && strcmp(id, p->id) != 0 &&
		    neighbour_dead(p, de->d_name) && found != NULL)
			found(p, id);
	}
	closedir(dir);
}

static void
on_dead_neighbour(struct parent *p, const char *id)
{
	struct neighbour	*nb = xcalloc(1, sizeof(*nb));
	char			 key[QUEUE_KEY_MAX];

	nb->parent = p;
	memcpy(nb->id, id, REQID_LEN);
	queue_key(key, p->tag, "worker", id);
	if (queue_cmdf(&p->cmd, on_neighbour, nb, "GET %s", key) == -1)
		free(nb);
}

void
beat_close(struct parent *p)
{
	/* The last one out leaves nothing of those that were killed. */
	if (p->own_dir != NULL) {
		neighbours(p, NULL);
		tree_remove(p->own_dir);
	}
	free(p->own_dir);
	p->own_dir = NULL;
	if (p->lock_fd != -1)
		close(p->lock_fd);
	p->lock_fd = -1;
}

/* ---- comparing with Redis --------------------------------------------- */

/* Was this entry a stranger already when the list was last read? */
static bool
seen_before(const struct parent *p, const char *entry, size_t len)
{
	const char	*s = p->strangers.p;
	size_t		 left = p->strangers.len;
	uint32_t	 n;

	while (left >= sizeof(n)) {
		memcpy(&n, s, sizeof(n));
		if (n == len && memcmp(s + sizeof(n), entry, len) == 0)
			return (true);
		s += sizeof(n) + n;
		left -= sizeof(n) + n;
	}
	return (false);
}

static struct pool *
pool_of_entry(struct parent *p, const char *entry, size_t len)
{
	size_t	 n = len > 64 ? (unsigned char)entry[6] : 0;

	if (n == 0 || 64 + n > len)
		return (NULL);
	return (pool_find(p, (struct str){ entry + 64, n }));
}

static void
on_list(redisAsyncContext *ac, void *r, void *arg)
{
	struct parent	*p = arg;
	redisReply	*reply = r, *e;
	struct buf	 strangers;
	struct wjob	*j, *next;
	struct pool	*pool;
	uint32_t	 n;
	size_t		 i;

	(void)ac;
	p->listing = false;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY)
		return;
	buf_init(&strangers, 64 << 20);
	TAILQ_FOREACH(j, &p->all, all)
		j->seen = false;
	p->nstrangers = 0;
	for (i = 0; i < reply->elements; i++) {
		e = reply->element[i];
		TAILQ_FOREACH(j, &p->all, all)
			if (!j->seen && j->entry_len == e->len &&
			    memcmp(j->entry, e->str, e->len) == 0)
				break;
		if (j != NULL) {
			j->seen = true;
			continue;
		}
		/*
		 * Not ours: either it was moved a moment ago and the answer is
		 * on its way, or that answer was lost with its connection.  If
		 * it is still there next time, it was lost.
		 */
		if (seen_before(p, e->str, e->len) &&
		    (pool = pool_of_entry(p, e->str, e->len)) != NULL) {
			log_warn("job.found msg=\"its answer was lost with "
			    "the connection\"");
			job_taken(pool, e->str, e->len);
			continue;
		}
		n = (uint32_t)e->len;
		buf_add(&strangers, &n, sizeof(n));
		buf_add(&strangers, e->str, e->len);
		p->nstrangers++;
	}
	buf_release(&p->strangers);
	p->strangers = strangers;
	/*
	 * Jobs we hold that Redis does not list have been taken over, or Redis
	 * lost its memory: nothing that we say of them counts any more.  Those
	 * taken after the list was asked for are younger than the list.
	 */
	for (j = TAILQ_FIRST(&p->all); j != NULL; j = next) {
		next = TAILQ_NEXT(j, all);
		if (j->seen || j->sent || j->calls > 0 ||
		    j->taken_us > p->list_asked_us)
			continue;
		log_warn("job.lost id=%.*s msg=\"another worker took it over, "
		    "or Redis forgot it\"", STR_ARG(j->id));
		job_forget(j);
	}
	if (p->nstrangers > 0)
		p->next_list_ms = clock_mono_ms() + LIST_AGAIN_MS;
}

static void
list_ask(struct parent *p)
{
	if (p->listing)
		return;
	p->list_asked_us = clock_mono_us();
	p->listing = queue_cmdf(&p->cmd, on_list, p, "LRANGE %s 0 -1",
	    p->run_key) == 0;
	p->next_list_ms = INT64_MAX;
}

/* ---- heartbeat -------------------------------------------------------- */

/* Text from handlers and clients, which need not be UTF-8, as JSON. */
static json_t *
beat_text(const char *text)
{
	struct buf	 b;
	json_t		*v, *s;

	buf_init(&b, 8192);
	buf_add(&b, "[\"", 2);
	buf_json(&b, str_from(text));
	buf_add(&b, "\"]", 2);
	v = json_loadb(b.p, b.len, 0, NULL);
	buf_release(&b);
	if (v == NULL)
		return (json_string(""));
	s = json_incref(json_array_get(v, 0));
	json_decref(v);
	return (s);
}

static json_t *
beat_pools(struct parent *p)
{
	json_t		*pools = json_object();
	struct pool	*pool;
	const char	*note;
	int		 i;

	for (i = 0; i < p->npools; i++) {
		pool = &p->pools[i];
		note = fetch_note(p);
		if (note == NULL || i > 0)
			note = pool->note;
		json_object_set_new(pools, pool->name, json_pack(
		    "{s:i,s:i,s:i,s:I,s:I,s:I,s:b,s:o,s:o}",
		    "slots", pool->slots, "busy", pool->nrunning,
		    "held", pool->npending, "done", (json_int_t)pool->done,
		    "failed", (json_int_t)pool->failed,
		    "died", (json_int_t)pool->died,
		    "ok", (int)(pool->ok && pool_ready(pool)),
		    "why", beat_text(!pool->ok ? pool->why : pool_ready(pool) ?
		    "" : "its children are starting"),
		    "note", beat_text(note)));
	}
	return (pools);
}

static json_t *
beat_tasks(struct parent *p)
{
	json_t			*tasks = json_object();
	struct task_stat	*ts;
	int			 i;

	for (i = 0; i < p->services->ntasks; i++) {
		ts = &p->tasks[i];
		if (ts->done + ts->failed == 0)
			continue;
		json_object_set_new(tasks, p->services->tasks[i].name,
		    json_pack("{s:I,s:I,s:f}", "done", (json_int_t)ts->done,
		    "failed", (json_int_t)ts->failed, "ms",
		    (double)ts->run_us / 1000));
	}
	return (tasks);
}

static json_t *
beat_errors(struct parent *p)
{
	json_t	*errors = json_array();
	int	 i, n = p->nerrors < ERRORS_KEPT ? p->nerrors : ERRORS_KEPT;

	for (i = 0; i < n; i++) {
		int	 k = (p->nerrors - 1 - i) % ERRORS_KEPT;

		json_array_append_new(errors, json_pack("{s:I,s:o,s:i,s:o}",
		    "t", (json_int_t)p->errors[k].at_s, "id",
		    beat_text(p->errors[k].id), "status", p->errors[k].status,
		    "error", beat_text(p->errors[k].msg)));
	}
	return (errors);
}

static char *
beat_json(struct parent *p)
{
	json_t	*o, *services = json_array(), *clients = json_array();
	char	 host[256] = "", spool[20], *text;
	int	 i;

	(void)gethostname(host, sizeof(host) - 1);
	snprintf(spool, sizeof(spool), "%016llx", p->share ?
	    (unsigned long long)p->spool.id : 0ULL);
	for (i = 0; i < p->services->nservices; i++)
		json_array_append_new(services,
		    json_string(p->services->services[i]->name));
	for (i = 0; i < p->npools; i++) {
		p->pools[i].beat_id = p->pools[i].take_id;
		json_array_append_new(clients,
		    json_integer(p->pools[i].beat_id));
	}
	o = json_pack("{s:i,s:s,s:s,s:i,s:I,s:s,s:o,s:o,s:o,s:o,s:s,s:o}",
	    "v", 1, "version", UFOP_VERSION, "host", host, "pid",
	    (int)getpid(), "started", (json_int_t)p->started_s, "spool",
	    spool, "clients", clients, "pools", beat_pools(p), "services",
	    services, "tasks", beat_tasks(p), "sandbox", p->sandbox, "errors", beat_errors(p));
	text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return (text == NULL ? xstrdup("{}") : text);
}

static void
on_beat(redisAsyncContext *ac, void *r, void *arg)
{
	struct parent	*p = arg;
	redisReply	*reply = r;
	int64_t		 now = clock_mono_ms();
	int		 i;
	bool		 late = p->beaten && now - p->last_beat_ms > p->lease_ms;

	(void)ac;
	p->beat_asked = false;
	if (reply == NULL)
		return;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
		log_err("redis.beat why=%s", log_quote(reply->str ?
		    reply->str : "?", reply->str ? reply->len : 1));
		queue_conn_reset(&p->cmd, "a script failed");
		return;
	}
	queue_clock_set(p->beat_asked_us, reply->element[1]->integer * 1000000 +
	    reply->element[2]->integer);
	/* Taken for dead meanwhile: what we hold may be another's by now. */
	if (p->beaten && (reply->element[0]->integer == 1 || late))
		list_ask(p);
	for (i = 0; i < p->npools; i++)
		p->pools[i].told_id = p->pools[i].beat_id;
	p->last_beat_ms = now;
	p->beaten = true;
}

static void
on_promoted(redisAsyncContext *ac, void *r, void *arg)
{
	struct parent	*p = arg;
	redisReply	*reply = r;

	(void)ac;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != 2)
		return;
	p->next_due_ms = reply->element[1]->str == NULL ? -1 :
	    (int64_t)strtod(reply->element[1]->str, NULL);
}

static void
promote(struct parent *p)
{
	char		 now[24];
	const char	*v[3] = { p->delayed_key, p->prefix, now };
	size_t		 len[3];
	int		 i;

	snprintf(now, sizeof(now), "%lld", (long long)queue_now_ms());
	for (i = 0; i < 3; i++)
		len[i] = strlen(v[i]);
	/* Not asked again before the answer says when. */
	p->next_due_ms = -1;
	(void)queue_script(&p->cmd, QUEUE_PROMOTE, on_promoted, p, 1, 3, v,
	    len);
}

/* Add what was counted since last time to the counters on Redis. */
static void
beat_stat(struct parent *p)
{
	static const char *const names[] = { "done", "failed", "died",
	    "retried", "dead" };
	uint64_t	 now[5] = { p->done, p->failed, p->died, p->retried,
		p->given_up };
	int		 i;

	for (i = 0; i < 5; i++) {
		if (now[i] == p->told[i])
			continue;
		if (queue_cmdf(&p->cmd, NULL, NULL,
		    "HINCRBY %s %s %lld", p->stat_key, names[i],
		    (long long)(now[i] - p->told[i])) == 0)
			p->told[i] = now[i];
	}
}

static void
beat(struct parent *p)
{
	char		*json = beat_json(p), lease[16];
	const char	*v[5] = { p->worker_key, p->workers_key, p->id, json,
		lease };
	size_t		 len[5];
	int		 i;

	snprintf(lease, sizeof(lease), "%d", p->lease_ms);
	for (i = 0; i < 5; i++)
		len[i] = strlen(v[i]);
	p->beat_asked_us = clock_mono_us();
	p->beat_asked = queue_script(&p->cmd, QUEUE_BEAT, on_beat, p, 2, 5, v,
	    len) == 0;
	free(json);
	beat_stat(p);
}

void
beat_connected(struct parent *p)
{
	p->listing = false;
	p->next_beat_ms = p->next_list_ms = 0;
	jobs_resend(p);
}

void
beat_tick(struct parent *p)
{
	int64_t	 now = clock_mono_ms();
	int	 i;

	if (now >= p->next_sweep_ms) {
		p->next_sweep_ms = now + SWEEP_MS;
		(void)spool_sweep(&p->spool);
	}
	if (now >= p->next_trash_ms) {
		p->next_trash_ms = now + SWEEP_MS;
		beat_trash(p);
	}
	if (!p->cmd.ready || p->bye_sent)
		return;
	if (p->next_due_ms != -1 && queue_now_ms() >= p->next_due_ms)
		promote(p);
	if (now >= p->next_list_ms)
		list_ask(p);
	if (now < p->next_beat_ms)
		return;
	if (p->beat_asked && now - p->beat_asked_us / 1000 > p->lease_ms) {
		queue_conn_reset(&p->cmd, "no answer for a lease");
		return;
	}
	if (p->beat_asked)
		return;
	p->next_beat_ms = now + p->lease_ms / 3;
	beat(p);
	neighbours(p, on_dead_neighbour);
	takeover(p, NULL);
	promote(p);
	list_ask(p);
	for (i = 0; i < p->npools; i++)
		pool_health(&p->pools[i]);
}

static void
on_bye(redisAsyncContext *ac, void *r, void *arg)
{
	struct parent	*p = arg;
	redisReply	*reply = r;

	(void)ac;
	p->gone = true;
	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER &&
	    reply->integer > 0)
		log_warn("worker.bye left=%lld msg=\"jobs are left for others "
		    "to take over\"", reply->integer);
}

void
beat_trash(struct parent *p)
{
	struct dirent	*de;
	char		*path, *name;
	DIR		*dir;
	int		 i, k;
	bool		 lives;

	if ((dir = opendir(p->own_dir)) == NULL)
		return;
	while ((de = readdir(dir)) != NULL) {
		if (strncmp(de->d_name, "c.", 2) != 0)
			continue;
		path = xasprintf("%s/%s", p->own_dir, de->d_name);
		lives = false;
		for (i = 0; i < p->npools; i++)
			for (k = 0; k < p->pools[i].nchildren; k++) {
				name = p->pools[i].children[k]->child.scratch;
				lives |= name != NULL &&
				    strcmp(name, path) == 0;
			}
		if (!lives && !tree_remove_some(path, TRASH_BUDGET))
			p->next_trash_ms = clock_mono_ms() + TRASH_MS;
		free(path);
	}
	closedir(dir);
}

bool
beat_lives(const struct parent *p)
{
	return (p->beaten && clock_mono_ms() - p->last_beat_ms < p->lease_ms);
}

void
beat_bye(struct parent *p)
{
	const char	*v[4] = { p->worker_key, p->workers_key, p->run_key,
		p->id };
	size_t		 len[4];
	int		 i;

	if (p->bye_sent)
		return;
	beat_stat(p);
	for (i = 0; i < 4; i++)
		len[i] = strlen(v[i]);
	p->bye_sent = true;
	if (queue_script(&p->cmd, QUEUE_BYE, on_bye, p, 3, 4, v, len) == -1)
		p->gone = true;
}

/* ---- what went wrong -------------------------------------------------- */

void
beat_error(struct parent *p, const struct wjob *j, int status, const char *msg)
{
	int	 k = p->nerrors % ERRORS_KEPT;

	p->errors[k].at_s = clock_real_ms() / 1000;
	p->errors[k].status = status;
	snprintf(p->errors[k].id, sizeof(p->errors[k].id), "%.*s",
	    STR_ARG(j->id));
	snprintf(p->errors[k].msg, sizeof(p->errors[k].msg), "%s", msg);
	p->nerrors++;
}

void
beat_dead(struct parent *p, const struct wjob *j, const char *why,
    const char *last)
{
	const char	*task = j->task == -1 ? "" :
	    p->services->tasks[j->task].name;
	bool		 keep;

	p->given_up++;
	if (p->dead_max == 0)
		return;
	/* Bodies in the spool or in a key are gone by the time one looks. */
	keep = j->body == JOB_BODY_NONE || j->body == JOB_BODY_INLINE;
	(void)queue_cmdf(&p->cmd, NULL, NULL, "XADD %s MAXLEN ~ %lld * "
	    "id %b task %s cmd %b why %s last %s deaths %d retries %d "
	    "entry %b", p->dead_key, (long long)p->dead_max,
	    j->id.s == NULL ? "" : j->id.s, j->id.len, task,
	    j->cmd.s == NULL ? "" : j->cmd.s, j->cmd.len, why, last,
	    j->deaths, j->retries, keep ? j->entry : "",
	    keep ? j->entry_len : (size_t)0);
}
