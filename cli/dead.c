/* SPDX-License-Identifier: MIT */
/*
 * ufop dead: the jobs that were given up.
 */
#include <string.h>
#include <time.h>

#include "cli.h"
#include "job.h"
#include "redis.h"

#define DEAD_MAX	1000	/* as many as the stream is trimmed to */
#define RETRY_TRIES	10	/* against others who change the stream */

enum {
	OPT_JSON = CLI_LONG, OPT_ALL,
};

static const struct cli_opt opts[] = {
	{ OPT_ALL, "all", NULL, "retry: all that can be" },
	{ OPT_JSON, "json", NULL, "list and show: print JSON" },
	{ 0 }
};

/* The fields of an entry that are shown, in this order. */
static const char *const	names[] = {
	"id", "task", "cmd", "why", "deaths", "retries"
};

struct dead {
	struct redis	 redis;
	struct settings	*settings;
	char		 key[QUEUE_KEY_MAX];
	bool		 json;
};

/* A field of one stream entry; STR_NULL when it has none of that name. */
static struct str
field(const redisReply *entry, const char *name)
{
	const redisReply	*fields = entry->element[1];
	size_t			 i;

	for (i = 0; i + 1 < fields->elements; i += 2) {
		if (str_eq_c(redis_str(fields->element[i]), name))
			return (redis_str(fields->element[i + 1]));
	}
	return (STR_NULL);
}

static struct str
entry_id(const redisReply *entry)
{
	return (redis_str(entry->element[0]));
}

static bool
is_entry(const redisReply *r)
{
	return (r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
	    r->element[0]->type == REDIS_REPLY_STRING &&
	    r->element[1]->type == REDIS_REPLY_ARRAY);
}

/* A stream id begins with the milliseconds since 1970. */
static void
entry_time(const redisReply *entry, char *out, size_t size)
{
	struct str	id = entry_id(entry);
	struct tm	tm;
	int64_t		ms = 0;
	time_t		t;

	str_int(str_cut(&id, '-'), 0, INT64_MAX / 2, &ms);
	t = (time_t)(ms / 1000);
	strftime(out, size, "%F %T", localtime_r(&t, &tm));
}

static json_t *
entry_json(const redisReply *entry)
{
	json_t		*object = json_object();
	struct str	 value = entry_id(entry);
	size_t		 i;

	json_object_set_new(object, "dead", json_stringn(value.s, value.len));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		value = field(entry, names[i]);
		/* Not UTF-8: left out. */
		if (value.s != NULL)
			json_object_set_new(object, names[i],
			    json_stringn(value.s, value.len));
	}
	json_object_set_new(object, "retryable",
	    json_boolean(field(entry, "entry").len > 0));
	return (object);
}

static int
list(struct dead *dead, struct ufop_err *err)
{
	json_t		*root = json_array();
	char		 when[32];
	redisReply	*r;
	size_t		 i;

	/* The newest first, as one wants to see them. */
	r = redis_ask(&dead->redis, err, "XREVRANGE %s + - COUNT %d",
	    dead->key, DEAD_MAX);
	if (r == NULL) {
		json_decref(root);
		return (-1);
	}
	if (!dead->json && r->elements > 0)
		printf("%-20s %-19s %-24s %s\n", "ID", "WHEN", "TASK", "WHY");
	for (i = 0; i < r->elements; i++) {
		const redisReply	*entry = r->element[i];
		struct str		 task;

		if (!is_entry(entry))
			continue;
		if (dead->json) {
			json_array_append_new(root, entry_json(entry));
			continue;
		}
		entry_time(entry, when, sizeof(when));
		task = field(entry, "task");
		printf("%-20.*s %s ", STR_ARG(entry_id(entry)), when);
		cli_text(stdout, task);
		printf("%*s ", task.len < 24 ? 24 - (int)task.len : 0, "");
		cli_text(stdout, field(entry, "why"));
		putchar('\n');
	}
	freeReplyObject(r);
	if (dead->json)
		return (cli_json(root, err));
	json_decref(root);
	return (0);
}

/* The one entry with this id; freeReplyObject() the whole.  NULL with err. */
static redisReply *
fetch(struct dead *dead, const char *id, struct ufop_err *err)
{
	redisReply	*r;

	/* Only what is an id: "-" and "+" would be the first and the last. */
	if (id[strspn(id, "0123456789-")] != '\0' || id[0] == '-') {
		err_set(err, UFOP_USAGE, "'%s' is no id; `ufop dead list` "
		    "shows them in its first column", id);
		return (NULL);
	}
	r = redis_ask(&dead->redis, err, "XRANGE %s %s %s", dead->key, id, id);
	if (r == NULL)
		return (NULL);
	if (r->elements == 1 && is_entry(r->element[0]))
		return (r);
	freeReplyObject(r);
	err_set(err, UFOP_BAD_INPUT, "there is no dead job '%s'; `ufop dead "
	    "list` shows those there are", id);
	return (NULL);
}

static int
show(struct dead *dead, const char *id, struct ufop_err *err)
{
	redisReply	*r = fetch(dead, id, err);
	const redisReply *entry;
	char		 when[32];
	size_t		 i;
	int		 rc;

	if (r == NULL)
		return (-1);
	entry = r->element[0];
	if (dead->json) {
		rc = cli_json(entry_json(entry), err);
		freeReplyObject(r);
		return (rc);
	}
	entry_time(entry, when, sizeof(when));
	printf("%-10s %s\n", "given up", when);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		printf("%-10s ", names[i]);
		cli_text(stdout, field(entry, names[i]));
		putchar('\n');
	}
	printf("%-10s %s\n", "retryable", field(entry, "entry").len > 0 ?
	    "yes" : "no, its body is gone");
	freeReplyObject(r);
	return (0);
}

/*
 * The entry as it is to be queued again: nobody waits for it any more, it has
 * as much time as it had at first, and its deaths are forgiven.
 */
static int
renew(const struct dead *dead, struct str old, int64_t now_ms,
    struct buf *out, char pool[JOB_POOL_MAX + 1], struct ufop_err *err)
{
	static struct job	job;
	int64_t			timeout_ms;

	if (job_decode(&job, old, err) == -1)
		return (-1);
	if (job.pool.len > JOB_POOL_MAX)
		return (err_set(err, UFOP_BAD_INPUT, "its pool's name is "
		    "too long"));
	job.deaths = 0;
	job.retries = 0;
	job.flags |= JOB_FLAG_NOBODY_WAITS;
	/* As the front had it: its tasks' own time, or else ufop.timeout. */
	timeout_ms = job.deadline_ms - job.queued_us / 1000;
	if (timeout_ms <= 0)
		timeout_ms = settings_time_ms(dead->settings, "ufop",
		    "timeout");
	job.queued_us = now_ms * 1000;
	job.deadline_ms = now_ms + timeout_ms;
	memcpy(pool, job.pool.s, job.pool.len);
	pool[job.pool.len] = '\0';
	return (job_encode(&job, out, err));
}

/* Redis' own clock, in ms; -1 with err. */
static int64_t
redis_now_ms(struct redis *redis, struct ufop_err *err)
{
	redisReply	*r = redis_ask(redis, err, "TIME");
	int64_t		 s = 0, us = 0;

	if (r == NULL)
		return (-1);
	if (r->elements == 2) {
		str_int(redis_str(r->element[0]), 0, INT64_MAX / 1000000, &s);
		str_int(redis_str(r->element[1]), 0, 999999, &us);
	}
	freeReplyObject(r);
	return (s * 1000 + us / 1000);
}

static int
done(redisReply *r)
{
	if (r == NULL)
		return (-1);
	freeReplyObject(r);
	return (0);
}

/*
 * Off the stream and into the queue in one transaction, so that two who retry
 * the same job do not run it twice.  1 when it was moved, 0 when the stream
 * changed meanwhile, -1 with err.
 */
static int
retry_once(struct dead *dead, const char *id, struct ufop_err *err)
{
	struct redis	*redis = &dead->redis;
	char		 pool[JOB_POOL_MAX + 1], queue[QUEUE_KEY_MAX];
	struct buf	 entry;
	redisReply	*r;
	int64_t		 now_ms;
	int		 rc = -1;

	if (done(redis_ask(redis, err, "WATCH %s", dead->key)) == -1 ||
	    (now_ms = redis_now_ms(redis, err)) == -1 ||
	    (r = fetch(dead, id, err)) == NULL)
		return (-1);
	buf_init(&entry, JOB_ENTRY_MAX);
	if (field(r->element[0], "entry").len == 0)
		err_set(err, UFOP_BAD_INPUT, "the job '%s' cannot be tried "
		    "again, its body is gone", id);
	else
		rc = renew(dead, field(r->element[0], "entry"), now_ms,
		    &entry, pool, err);
	freeReplyObject(r);
	if (rc == 0) {
		queue_key(queue, redis->tag, "q", pool);
		rc = -1;
		if (done(redis_ask(redis, err, "MULTI")) == 0 &&
		    done(redis_ask(redis, err, "XDEL %s %s", dead->key,
		    id)) == 0 &&
		    done(redis_ask(redis, err, "RPUSH %s %b", queue, entry.p,
		    entry.len)) == 0 &&
		    (r = redis_ask(redis, err, "EXEC")) != NULL) {
			rc = r->type == REDIS_REPLY_NIL ? 0 : 1;
			freeReplyObject(r);
		}
	}
	buf_release(&entry);
	return (rc);
}

static int
retry(struct dead *dead, const char *id, struct ufop_err *err)
{
	int	i, rc;

	for (i = 0; i < RETRY_TRIES; i++) {
		rc = retry_once(dead, id, err);
		if (rc != 0)
			return (rc == 1 ? 0 : -1);
	}
	return (err_set(err, UFOP_BUSY, "the dead jobs change too fast to "
	    "take '%s' out; try again", id));
}

static int
retry_all(struct dead *dead, struct ufop_err *err)
{
	char		 id[64];
	redisReply	*r;
	size_t		 i;
	int		 moved = 0, kept = 0, rc = 0;

	r = redis_ask(&dead->redis, err, "XRANGE %s - + COUNT %d", dead->key,
	    DEAD_MAX);
	if (r == NULL)
		return (-1);
	for (i = 0; i < r->elements && rc == 0; i++) {
		if (!is_entry(r->element[i]))
			continue;
		snprintf(id, sizeof(id), "%.*s",
		    STR_ARG(entry_id(r->element[i])));
		if (retry(dead, id, err) == 0)
			moved++;
		else if (err->code == UFOP_BAD_INPUT)
			kept++;
		else
			rc = -1;
	}
	freeReplyObject(r);
	printf("%d queued again, %d left that cannot be\n", moved, kept);
	return (rc);
}

static int
purge(struct dead *dead, struct ufop_err *err)
{
	redisReply	*r;

	r = redis_ask(&dead->redis, err, "XTRIM %s MAXLEN 0", dead->key);
	if (r == NULL)
		return (-1);
	printf("%lld forgotten\n", r->integer);
	freeReplyObject(r);
	return (0);
}

static int
run(struct cli *cli, int argc, char **argv)
{
	struct dead	 dead = { .json = false };
	const char	*verb, *id = NULL;
	bool		 all = false, wants_id;
	struct ufop_err	 err;
	int		 code, rc = -1;

	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		switch (code) {
		case OPT_ALL:
			all = true;
			break;
		case OPT_JSON:
			dead.json = true;
			break;
		default:
			return (cli->status);
		}
	}
	verb = optind < argc ? argv[optind++] : "list";
	if (strcmp(verb, "list") != 0 && strcmp(verb, "show") != 0 &&
	    strcmp(verb, "retry") != 0 && strcmp(verb, "purge") != 0)
		return (cli_usage(cli, "'%s' is none of list, show, retry, "
		    "purge", verb));
	wants_id = strcmp(verb, "show") == 0 ||
	    (strcmp(verb, "retry") == 0 && !all);
	if (wants_id && optind < argc)
		id = argv[optind++];
	if (wants_id && id == NULL)
		return (cli_usage(cli, "dead %s: ID is missing%s", verb,
		    strcmp(verb, "retry") == 0 ? " (or --all)" : ""));
	if (cli_no_operands(cli, argc, argv) == -1)
		return (cli->status);

	if (cli_load(cli, "dead", CLI_SETTINGS, &err) == -1 ||
	    redis_open(&dead.redis, &cli->settings, &err) == -1)
		return (cli_fail(&err));
	dead.settings = &cli->settings;
	queue_key(dead.key, dead.redis.tag, "dead", NULL);
	if (strcmp(verb, "list") == 0)
		rc = list(&dead, &err);
	else if (strcmp(verb, "show") == 0)
		rc = show(&dead, id, &err);
	else if (strcmp(verb, "purge") == 0)
		rc = purge(&dead, &err);
	else
		rc = all ? retry_all(&dead, &err) : retry(&dead, id, &err);
	redis_close(&dead.redis);
	return (rc == 0 ? 0 : cli_fail(&err));
}

const struct cli_cmd cli_dead = {
	.name = "dead",
	.operands = "list | show ID | retry ID | retry --all | purge",
	.summary = "list, retry or forget the jobs that were given up",
	.prose = "A job that killed two children, ran past its deadline or "
	    "used up its retries is given up and remembered. list: the "
	    "latest, newest first. show: all about one. retry: queue one, or "
	    "all, again; nobody waits for the answer then. purge: forget them "
	    "all.",
	.opts = opts,
	.project = true,
	.run = run,
};
