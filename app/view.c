/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "front.h"
#include "link.h"
#include "log.h"
#include "request.h"
#include "view.h"

/* The front asks that often on its own account. */
#define EVERY_MS	2000
/* What is older is not worth a decision. */
#define FRESH_MS	5000
/* Redis that has not answered for so long is asked on a new connection. */
#define PATIENCE_MS	4000

static struct view_pool	*pools;
static int		 npools;
static bool		 asking;
static int64_t		 asked_us;	/* CLOCK_MONOTONIC */
static int64_t		 known_ms;	/* CLOCK_MONOTONIC; 0: never */

/* ---- what there is --------------------------------------------------- */

int
view_find(const char *name)
{
	int	 i;

	for (i = 0; i < npools; i++)
		if (strcmp(pools[i].name, name) == 0)
			return (i);
	return (-1);
}

void
view_init(void)
{
	const char	*name;
	int		 i;

	pools = xcalloc((size_t)front.services.ntasks + 1, sizeof(*pools));
	for (i = 0; i < front.services.ntasks; i++) {
		name = front.services.tasks[i].pool;
		if (view_find(name) != -1)
			continue;
		snprintf(pools[npools].name, sizeof(pools[npools].name), "%s",
		    name);
		npools++;
	}
}

int
view_pools(void)
{
	return (npools);
}

const struct view_pool *
view_pool(int i)
{
	return (&pools[i]);
}

bool
view_is_fresh(void)
{
	return (known_ms != 0 && clock_mono_ms() - known_ms < FRESH_MS);
}

/* ---- reading heartbeats ---------------------------------------------- */

static void
read_pool(struct view_pool *pool, json_t *in, uint64_t spool)
{
	const char	*why = json_string_value(json_object_get(in, "why"));
	const char	*note = json_string_value(json_object_get(in, "note"));

	pool->workers++;
	pool->slots += json_integer_value(json_object_get(in, "slots"));
	pool->busy += json_integer_value(json_object_get(in, "busy"));
	if (spool != front.spool.id)
		pool->shares = false;
	if (json_is_false(json_object_get(in, "ok")))
		snprintf(pool->why, sizeof(pool->why), "%s",
		    why == NULL || why[0] == '\0' ? "it does not say why" : why);
	else
		pool->healthy++;
	if (note != NULL && note[0] != '\0')
		snprintf(pool->note, sizeof(pool->note), "%s", note);
}

static void
read_beat(const char *text, size_t len)
{
	json_error_t	 error;
	json_t		*beat, *in;
	const char	*spool;
	uint64_t	 id;
	int		 i;

	if ((beat = json_loadb(text, len, 0, &error)) == NULL) {
		log_warn("view.unread why=%s",
		    log_quote(error.text, strlen(error.text)));
		return;
	}
	spool = json_string_value(json_object_get(beat, "spool"));
	id = spool == NULL ? 0 : strtoull(spool, NULL, 16);
	for (i = 0; i < npools; i++) {
		in = json_object_get(json_object_get(beat, "pools"),
		    pools[i].name);
		if (in != NULL)
			read_pool(&pools[i], in, id);
	}
	json_decref(beat);
}

static void
read_beats(const redisReply *beats)
{
	size_t	 i;
	int	 p;

	for (p = 0; p < npools; p++) {
		pools[p].workers = pools[p].healthy = 0;
		pools[p].slots = pools[p].busy = 0;
		pools[p].shares = true;
		pools[p].why[0] = pools[p].note[0] = '\0';
	}
	/* Name and heartbeat by turns. */
	for (i = 1; i < beats->elements; i += 2)
		read_beat(beats->element[i]->str, beats->element[i]->len);
}

/* ---- asking ---------------------------------------------------------- */

static void
on_view(redisAsyncContext *ac, void *reply_arg, void *arg)
{
	redisReply	*reply = reply_arg;

	(void)ac;
	(void)arg;
	asking = false;
	if (reply == NULL) {
		request_viewed();
		return;
	}
	if (reply->type == REDIS_REPLY_ERROR) {
		log_err("view why=%s", log_quote(reply->str, reply->len));
		/* Scripts go when Redis was told to flush them: load anew. */
		if (strncmp(reply->str, "NOSCRIPT", 8) == 0)
			queue_conn_reset(&link_cmd, "scripts were flushed");
	} else if (reply->elements == 3 &&
	    reply->element[2]->type == REDIS_REPLY_ARRAY) {
		queue_clock_set(asked_us, reply->element[0]->integer * 1000000 +
		    reply->element[1]->integer);
		read_beats(reply->element[2]);
		known_ms = clock_mono_ms();
	}
	request_viewed();
}

static void
on_length(redisAsyncContext *ac, void *reply_arg, void *arg)
{
	redisReply	*reply = reply_arg;

	(void)ac;
	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
		pools[(uintptr_t)arg].waiting = reply->integer;
}

int
view_ask(void)
{
	char		 workers[QUEUE_KEY_MAX], prefix[QUEUE_KEY_MAX];
	char		 key[QUEUE_KEY_MAX];
	const char	*argv[] = { workers, prefix };
	size_t		 len[2];
	uintptr_t	 i;

	if (asking)
		return (0);
	/* The lengths first: they are there when the view is. */
	for (i = 0; i < (uintptr_t)npools; i++) {
		queue_key(key, front.tag, "q", pools[i].name);
		if (queue_cmdf(&link_cmd, on_length, (void *)i, "LLEN %s",
		    key) == -1)
			return (-1);
	}
	queue_key(workers, front.tag, "workers", NULL);
	snprintf(prefix, sizeof(prefix), "{%s}", front.tag);
	len[0] = strlen(workers);
	len[1] = strlen(prefix);
	asked_us = clock_mono_us();
	if (queue_script(&link_cmd, QUEUE_VIEW, on_view, NULL, 1, 2, argv,
	    len) == -1)
		return (-1);
	asking = true;
	return (0);
}

void
view_tick(int64_t now_ms)
{
	if (asking && now_ms - asked_us / 1000 > PATIENCE_MS)
		queue_conn_reset(&link_cmd, "no answer for 4 s");
	else if (!asking && now_ms - asked_us / 1000 >= EVERY_MS)
		(void)view_ask();
}
