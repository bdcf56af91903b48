/* SPDX-License-Identifier: MIT */
/*
 * ufop status: queues, workers and what went wrong lately, from Redis.
 *
 * Everything is gathered into one JSON object first; --json prints it, the
 * tables are made from it.
 */
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "redis.h"
#include "reqid.h"

#define ERRORS_SHOWN	5

enum {
	OPT_JSON = CLI_LONG,
};

static const struct cli_opt opts[] = {
	{ 'w', "watch", NULL, "show it anew every second, with rates" },
	{ OPT_JSON, "json", NULL, "print JSON" },
	{ 0 }
};

/* ---- gathering ------------------------------------------------------- */

static json_int_t
number(const json_t *object, const char *name)
{
	return (json_integer_value(json_object_get(object, name)));
}

static void
add(json_t *object, const char *name, json_int_t n)
{
	json_object_set_new(object, name,
	    json_integer(number(object, name) + n));
}

static json_t *
member(json_t *object, const char *name)
{
	json_t	*m = json_object_get(object, name);

	if (m == NULL) {
		m = json_object();
		json_object_set_new(object, name, m);
	}
	return (m);
}

/* What one worker says of its pools, added to what the others say. */
static void
add_pools(json_t *pools, json_t *beat)
{
	static const char *const counts[] = {
		"slots", "busy", "held", "done", "failed", "died"
	};
	const char	*name, *why, *note;
	json_t		*theirs, *pool;
	size_t		 i;

	json_object_foreach(json_object_get(beat, "pools"), name, theirs) {
		pool = member(pools, name);
		add(pool, "workers", 1);
		for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
			add(pool, counts[i], number(theirs, counts[i]));
		why = json_string_value(json_object_get(theirs, "why"));
		if (json_is_false(json_object_get(theirs, "ok")))
			json_object_set_new(pool, "why",
			    json_string(why == NULL ? "" : why));
		note = json_string_value(json_object_get(theirs, "note"));
		if (note != NULL && note[0] != '\0')
			json_object_set_new(pool, "note", json_string(note));
	}
}

/* Newest first, at most ERRORS_SHOWN, of all workers. */
static void
add_errors(json_t *errors, const json_t *beat)
{
	json_t	*error;
	size_t	 i, at;

	json_array_foreach(json_object_get(beat, "errors"), i, error) {
		for (at = 0; at < json_array_size(errors) &&
		    number(json_array_get(errors, at), "t") >=
		    number(error, "t"); at++)
			continue;
		json_array_insert(errors, at, error);
		json_array_remove(errors, ERRORS_SHOWN);
	}
}

static int
gather_workers(struct redis *redis, json_t *root, struct ufop_err *err)
{
	char		 key[QUEUE_KEY_MAX], prefix[QUEUE_KEY_MAX];
	redisReply	*r, *beats;
	json_t		*beat;
	size_t		 i;

	queue_key(key, redis->tag, "workers", NULL);
	snprintf(prefix, sizeof(prefix), "{%s}", redis->tag);
	r = redis_ask(redis, err, "EVAL %s 1 %s %s", queue_lua[QUEUE_VIEW],
	    key, prefix);
	if (r == NULL)
		return (-1);
	if (r->type == REDIS_REPLY_ARRAY && r->elements == 3) {
		json_object_set_new(root, "time",
		    json_integer(r->element[0]->integer));
		beats = r->element[2];
		for (i = 0; i + 1 < beats->elements; i += 2) {
			beat = json_loadb(beats->element[i + 1]->str,
			    (size_t)beats->element[i + 1]->len, 0, NULL);
			if (!json_is_object(beat)) {
				json_decref(beat);
				continue;
			}
			json_object_set_new(beat, "id",
			    json_stringn(beats->element[i]->str,
			    (size_t)beats->element[i]->len));
			add_pools(member(root, "pools"), beat);
			add_errors(json_object_get(root, "errors"), beat);
			json_array_append_new(json_object_get(root,
			    "workers"), beat);
		}
	}
	freeReplyObject(r);
	return (0);
}

/* The integer that a command on one key answers. */
static int
gather_count(struct redis *redis, json_t *object, const char *name,
    const char *command, const char *key, struct ufop_err *err)
{
	redisReply	*r = redis_ask(redis, err, "%s %s", command, key);

	if (r == NULL)
		return (-1);
	json_object_set_new(object, name, json_integer(r->integer));
	freeReplyObject(r);
	return (0);
}

static int
gather_queues(struct redis *redis, json_t *root, struct ufop_err *err)
{
	char		 key[QUEUE_KEY_MAX];
	const char	*name;
	json_t		*pool;

	json_object_foreach(json_object_get(root, "pools"), name, pool) {
		queue_key(key, redis->tag, "q", name);
		if (gather_count(redis, pool, "waiting", "LLEN", key,
		    err) == -1)
			return (-1);
	}
	queue_key(key, redis->tag, "delayed", NULL);
	if (gather_count(redis, root, "delayed", "ZCARD", key, err) == -1)
		return (-1);
	queue_key(key, redis->tag, "dead", NULL);
	return (gather_count(redis, root, "dead", "XLEN", key, err));
}

static int
gather_stat(struct redis *redis, json_t *root, struct ufop_err *err)
{
	char		 key[QUEUE_KEY_MAX], name[64];
	json_t		*stat = member(root, "stat");
	redisReply	*r;
	int64_t		 n;
	size_t		 i;

	queue_key(key, redis->tag, "stat", NULL);
	r = redis_ask(redis, err, "HGETALL %s", key);
	if (r == NULL)
		return (-1);
	for (i = 0; i + 1 < r->elements; i += 2) {
		if (str_int(redis_str(r->element[i + 1]), 0, INT64_MAX,
		    &n) == -1)
			continue;
		snprintf(name, sizeof(name), "%s", r->element[i]->str);
		json_object_set_new(stat, name, json_integer(n));
	}
	freeReplyObject(r);
	return (0);
}

/* All there is to show; json_decref() it.  NULL with err. */
static json_t *
gather(struct redis *redis, const struct services *services,
    struct ufop_err *err)
{
	json_t	*root;
	int	 i;

	root = json_pack("{s:{s:s, s:f}, s:{}, s:[], s:[], s:{}}", "redis",
	    "at", redis->name, "ms", redis->connect_us / 1e3, "pools",
	    "workers", "errors", "stat");
	/* Also those that no worker serves: their jobs wait in vain. */
	for (i = 0; i < services->ntasks; i++)
		add(member(json_object_get(root, "pools"),
		    services->tasks[i].pool), "workers", 0);
	if (gather_workers(redis, root, err) == -1 ||
	    gather_queues(redis, root, err) == -1 ||
	    gather_stat(redis, root, err) == -1) {
		json_decref(root);
		return (NULL);
	}
	return (root);
}

/* ---- showing --------------------------------------------------------- */

static void
text(const json_t *object, const char *name, int width)
{
	const char	*s = json_string_value(json_object_get(object, name));
	int		 len = s == NULL ? 0 : (int)strlen(s);

	cli_text(stdout, str_from(s));
	printf("%*s", len < width ? width - len : 0, "");
}

static void
show_pools(json_t *root)
{
	static const char *const told[] = { "why", "note" };
	const char	*name, *why;
	json_t		*pool;
	size_t		 i;

	printf("%-12s %8s %8s %8s %8s %10s %8s %8s\n", "POOL", "WAITING",
	    "WORKERS", "CHILDREN", "BUSY", "DONE", "FAILED", "DIED");
	json_object_foreach(json_object_get(root, "pools"), name, pool) {
		printf("%-12s %8lld %8lld %8lld %8lld %10lld %8lld %8lld\n",
		    name, (long long)number(pool, "waiting"),
		    (long long)number(pool, "workers"),
		    (long long)number(pool, "slots"),
		    (long long)number(pool, "busy"),
		    (long long)number(pool, "done"),
		    (long long)number(pool, "failed"),
		    (long long)number(pool, "died"));
		for (i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
			why = json_string_value(json_object_get(pool,
			    told[i]));
			if (why == NULL)
				continue;
			printf("%-12s %s: ", "", told[i]);
			cli_text(stdout, str_from(why));
			putchar('\n');
		}
		if (number(pool, "workers") == 0)
			printf("%-12s no live worker serves this pool\n", "");
	}
}

static void
show_workers(const json_t *root)
{
	json_t		*worker;
	json_int_t	 up_s;
	size_t		 i;

	if (json_array_size(json_object_get(root, "workers")) == 0)
		return;
	printf("\n%-24s %-20s %8s %10s  %-8s %s\n", "WORKER", "HOST", "PID",
	    "UP", "VERSION", "SANDBOX");
	json_array_foreach(json_object_get(root, "workers"), i, worker) {
		up_s = number(root, "time") - number(worker, "started");
		text(worker, "id", 24);
		putchar(' ');
		text(worker, "host", 20);
		printf(" %8lld %5lldh%02lldm%02llds  ",
		    (long long)number(worker, "pid"), (long long)up_s / 3600,
		    (long long)up_s / 60 % 60, (long long)up_s % 60);
		text(worker, "version", 8);
		putchar(' ');
		text(worker, "sandbox", 0);
		putchar('\n');
	}
}

static void
show_tasks(const json_t *root)
{
	json_t		*worker, *task;
	const char	*name;
	json_t		*sums = json_object(), *sum;
	size_t		 i;

	json_array_foreach(json_object_get(root, "workers"), i, worker) {
		json_object_foreach(json_object_get(worker, "tasks"), name,
		    task) {
			sum = member(sums, name);
			add(sum, "done", number(task, "done"));
			add(sum, "failed", number(task, "failed"));
			/* Of several workers the slowest one's is shown. */
			if (json_number_value(json_object_get(task, "ms")) >
			    json_number_value(json_object_get(sum, "ms")))
				json_object_set(sum, "ms",
				    json_object_get(task, "ms"));
		}
	}
	if (json_object_size(sums) > 0)
		printf("\n%-32s %10s %8s %10s\n", "TASK", "DONE", "FAILED",
		    "MS");
	json_object_foreach(sums, name, sum)
		printf("%-32s %10lld %8lld %10.1f\n", name,
		    (long long)number(sum, "done"),
		    (long long)number(sum, "failed"),
		    json_number_value(json_object_get(sum, "ms")));
	json_decref(sums);
}

static void
show_errors(const json_t *root)
{
	json_t		*error;
	char		 when[32];
	struct tm	 tm;
	time_t		 t;
	size_t		 i;

	if (json_array_size(json_object_get(root, "errors")) > 0)
		printf("\nLATEST ERRORS\n");
	json_array_foreach(json_object_get(root, "errors"), i, error) {
		t = (time_t)number(error, "t");
		strftime(when, sizeof(when), "%F %T", localtime_r(&t, &tm));
		printf("%s  %lld  ", when, (long long)number(error, "status"));
		text(error, "id", REQID_LEN);
		printf("  ");
		text(error, "error", 0);
		putchar('\n');
	}
}

static double
rate(const json_t *now, const json_t *before, const char *name, double secs)
{
	return ((double)(number(json_object_get(now, "stat"), name) -
	    number(json_object_get(before, "stat"), name)) / secs);
}

/* before is the gathering of secs ago, or NULL. */
static void
show(json_t *root, const json_t *before, double secs)
{
	const json_t	*redis = json_object_get(root, "redis");
	const json_t	*stat = json_object_get(root, "stat");

	printf("Redis at ");
	text(redis, "at", 0);
	printf(", %.1f ms\n", json_number_value(json_object_get(redis, "ms")));
	printf("done %lld  failed %lld  died %lld  retried %lld  "
	    "delayed %lld  dead %lld\n", (long long)number(stat, "done"),
	    (long long)number(stat, "failed"),
	    (long long)number(stat, "died"),
	    (long long)number(stat, "retried"),
	    (long long)number(root, "delayed"),
	    (long long)number(root, "dead"));
	if (before != NULL)
		printf("%.1f done/s  %.1f failed/s\n",
		    rate(root, before, "done", secs),
		    rate(root, before, "failed", secs));
	putchar('\n');
	show_pools(root);
	show_workers(root);
	show_tasks(root);
	show_errors(root);
}

/* ---- the command ----------------------------------------------------- */

static int
watch(struct redis *redis, const struct services *services, bool json,
    struct ufop_err *err)
{
	json_t	*before = NULL, *root;
	int64_t	 then = 0, now;
	int	 rc = 0;

	for (;;) {
		now = clock_mono_ms();
		root = gather(redis, services, err);
		if (root == NULL)
			break;
		if (json) {
			rc = cli_json(json_incref(root), err);
		} else {
			/* From the top left, what was there cleared. */
			if (isatty(STDOUT_FILENO))
				printf("\033[H\033[2J");
			show(root, before, (double)(now - then) / 1e3);
		}
		json_decref(before);
		before = root;
		then = now;
		if (rc == -1 || cli_flush(stdout, err) == -1)
			break;
		poll(NULL, 0, 1000);
	}
	json_decref(before);
	return (-1);
}

static int
once(struct redis *redis, const struct services *services, bool json,
    struct ufop_err *err)
{
	json_t	*root = gather(redis, services, err);

	if (root == NULL)
		return (-1);
	if (json)
		return (cli_json(root, err));
	show(root, NULL, 0);
	json_decref(root);
	return (0);
}

static int
run(struct cli *cli, int argc, char **argv)
{
	bool		 watching = false, json = false;
	struct redis	 redis = { .ctx = NULL };
	struct ufop_err	 err;
	int		 code, rc;

	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		switch (code) {
		case 'w':
			watching = true;
			break;
		case OPT_JSON:
			json = true;
			break;
		default:
			return (cli->status);
		}
	}
	if (cli_no_operands(cli, argc, argv) == -1)
		return (cli->status);
	rc = cli_load(cli, "status", CLI_SETTINGS, &err);
	if (rc == 0)
		rc = redis_open(&redis, &cli->settings, &err);
	if (rc == 0)
		rc = watching ? watch(&redis, &cli->services, json, &err) :
		    once(&redis, &cli->services, json, &err);
	redis_close(&redis);
	return (rc == 0 ? 0 : cli_fail(&err));
}

const struct cli_cmd cli_status = {
	.name = "status",
	.operands = "",
	.summary = "show queues, workers and the latest errors",
	.prose = "Ask Redis how things are: what waits in each pool, which "
	    "workers live and how busy they are, how much was done and what "
	    "failed lately.",
	.opts = opts,
	.project = true,
	.run = run,
};
