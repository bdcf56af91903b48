/* SPDX-License-Identifier: MIT */
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "instance.h"
#include "redis.h"
#include "reqid.h"

static int
greet(struct redis *redis, struct ufop_err *err)
{
	redisReply	*r;

	if (redis->addr.password[0] != '\0') {
		r = redis->addr.user[0] == '\0' ?
		    redis_ask(redis, err, "AUTH %s", redis->addr.password) :
		    redis_ask(redis, err, "AUTH %s %s", redis->addr.user,
		    redis->addr.password);
		if (r == NULL)
			return (-1);
		freeReplyObject(r);
	}
	if (redis->addr.db != 0) {
		r = redis_ask(redis, err, "SELECT %d", redis->addr.db);
		if (r == NULL)
			return (-1);
		freeReplyObject(r);
	}
	r = redis_ask(redis, err, "PING");
	if (r == NULL)
		return (-1);
	freeReplyObject(r);
	return (0);
}

/*
 * Nobody said where Redis is: then it may be the private one of an `ufop up`
 * on this host.  How many there are; of the last, its path goes to path.
 */
static int
find_up(char *path, size_t size)
{
	glob_t	 g;
	int	 n;

	if (glob(INSTANCE_REDIS_GLOB, 0, NULL, &g) != 0)
		return (0);
	n = (int)g.gl_pathc;
	snprintf(path, size, "%s", g.gl_pathv[n - 1]);
	globfree(&g);
	return (n);
}

int
redis_open(struct redis *redis, const struct settings *settings,
    struct ufop_err *err)
{
	const struct timeval	 limit = { REDIS_TIMEOUT_MS / 1000, 0 };
	struct queue_addr	*addr = &redis->addr;
	int64_t			 began = clock_mono_us();
	char			 path[sizeof(addr->unix_path)];
	int			 ups = 0;

	redis->ctx = NULL;
	if (queue_addr_parse(addr, settings_str(settings, "redis", "url"),
	    err) == -1 || queue_addr_resolve(addr, err) == -1)
		return (-1);
	redis->tag = settings_str(settings, "redis", "tag");
	for (;;) {
		queue_addr_name(addr, redis->name, sizeof(redis->name));
		redis->ctx = addr->unix_path[0] != '\0' ?
		    redisConnectUnixWithTimeout(addr->unix_path, limit) :
		    redisConnectWithTimeout(addr->ip, addr->port, limit);
		if (redis->ctx == NULL || redis->ctx->err == 0 ||
		    addr->unix_path[0] != '\0' ||
		    settings_find(settings, "redis", "url")->is_set ||
		    (ups = find_up(path, sizeof(path))) != 1)
			break;
		redis_close(redis);
		memcpy(addr->unix_path, path, sizeof(path));
	}
	if (ups > 1) {
		redis_close(redis);
		return (err_set(err, UFOP_UNAVAILABLE, "%d `ufop up` run here, "
		    "each with a Redis of its own; say which is meant, as in "
		    "-s redis.url=unix://%s", ups, path));
	}
	if (redis->ctx == NULL || redis->ctx->err != 0) {
		err_set(err, UFOP_UNAVAILABLE, "cannot connect to Redis at "
		    "%s: %s; start it, or set redis.url", redis->name,
		    redis->ctx == NULL ? "out of memory" :
		    redis->ctx->errstr);
		redis_close(redis);
		return (-1);
	}
	redisSetTimeout(redis->ctx, limit);
	if (greet(redis, err) == -1) {
		redis_close(redis);
		return (-1);
	}
	redis->connect_us = (int)(clock_mono_us() - began);
	return (0);
}

void
redis_close(struct redis *redis)
{
	if (redis->ctx != NULL)
		redisFree(redis->ctx);
	redis->ctx = NULL;
}

redisReply *
redis_ask(struct redis *redis, struct ufop_err *err, const char *fmt, ...)
{
	redisReply	*r;
	va_list		 ap;

	va_start(ap, fmt);
	r = redisvCommand(redis->ctx, fmt, ap);
	va_end(ap);
	if (r == NULL) {
		err_set(err, UFOP_UNAVAILABLE, "Redis at %s does not answer: "
		    "%s", redis->name, redis->ctx->errstr);
		return (NULL);
	}
	if (r->type == REDIS_REPLY_ERROR) {
		err_set(err, UFOP_UNAVAILABLE, "Redis at %s refuses: %s",
		    redis->name, r->str);
		freeReplyObject(r);
		return (NULL);
	}
	return (r);
}

struct str
redis_str(const redisReply *r)
{
	if (r == NULL || r->str == NULL)
		return (STR_NULL);
	return ((struct str){ r->str, (size_t)r->len });
}
