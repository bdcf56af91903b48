/* SPDX-License-Identifier: MIT */
/*
 * Connections to Redis that keep themselves up, and Redis' clock.
 */
#include <sys/socket.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "queue.h"
#include "reqid.h"

#define BACKOFF_MIN_MS	50
#define BACKOFF_MAX_MS	2000
#define CONNECT_MS	5000	/* until connected, authenticated and loaded */
#define CLOCK_RTT_MAX_US 500000
#define CLOCK_STALE_US	10000000 /* a better round trip is older than that */

/* One clock for the process; hosts drift apart slowly, so it is kept fresh. */
static struct {
	bool	 known;
	int64_t	 offset_us;	/* Redis' time less CLOCK_MONOTONIC */
	int64_t	 rtt_us;	/* of the sample that offset_us is from */
	int64_t	 at_us;		/* when it was taken, CLOCK_MONOTONIC */
} redis_clock;

int64_t
queue_now_us(void)
{
	if (!redis_clock.known)
		return (clock_real_ms() * 1000);
	return (clock_mono_us() + redis_clock.offset_us);
}

int64_t
queue_now_ms(void)
{
	return (queue_now_us() / 1000);
}

void
queue_clock_set(int64_t asked_us, int64_t redis_us)
{
	int64_t	 now = clock_mono_us(), rtt = now - asked_us;

	/*
	 * A slow round trip says little; keep a good sample while it is fresh,
	 * and rather an old one than none worth its name (Redis stood still).
	 */
	if (redis_clock.known && (rtt > CLOCK_RTT_MAX_US ||
	    (rtt > redis_clock.rtt_us * 2 &&
	    now - redis_clock.at_us < CLOCK_STALE_US)))
		return;
	redis_clock.known = true;
	redis_clock.offset_us = redis_us - (asked_us + rtt / 2);
	redis_clock.rtt_us = rtt;
	redis_clock.at_us = now;
}

static int
addr_copy(char *dst, size_t size, struct str src, bool decode, const char *what,
    struct ufop_err *err)
{
	int	 n;

	if (src.len >= size)
		return (err_set(err, UFOP_CONFIG, "the %s in redis.url is "
		    "longer than %zu bytes", what, size - 1));
	if (!decode) {
		if (src.len > 0)
			memcpy(dst, src.s, src.len);
		n = (int)src.len;
	} else if ((n = str_pct_decode(dst, src, false)) == -1)
		return (err_set(err, UFOP_CONFIG, "the %s in redis.url has a "
		    "%% that is not followed by two hex digits; write %%25 "
		    "for a %%", what));
	dst[n] = '\0';
	return (0);
}

/* [[user]:password@] off the front of *rest. */
static int
addr_userinfo(struct queue_addr *a, struct str *rest, struct ufop_err *err)
{
	struct str	 info, user;
	int		 at = -1;
	size_t		 i;

	for (i = 0; i < rest->len; i++)
		if (rest->s[i] == '@')
			at = (int)i;
	if (at == -1)
		return (0);
	info = str_slice(*rest, 0, at);
	*rest = str_slice(*rest, at + 1, rest->len);
	user = str_cut(&info, ':');
	if (info.s == NULL)
		return (err_set(err, UFOP_CONFIG, "redis.url has a name but "
		    "no password before the @; write redis://:password@host"));
	if (addr_copy(a->user, sizeof(a->user), user, true, "user", err) == -1)
		return (-1);
	return (addr_copy(a->password, sizeof(a->password), info, true,
	    "password", err));
}

static int
addr_db(struct queue_addr *a, struct str s, struct ufop_err *err)
{
	int64_t	 db;

	if (s.len == 0)
		return (0);
	if (str_int(s, 0, 1000000, &db) == -1)
		return (err_set(err, UFOP_CONFIG, "the database '%.*s' in "
		    "redis.url is no number", STR_ARG(s)));
	a->db = (int)db;
	return (0);
}

int
queue_addr_parse(struct queue_addr *a, const char *url, struct ufop_err *err)
{
	struct str	 rest = str_from(url), host, port, query;
	int64_t		 n;

	memset(a, 0, sizeof(*a));
	a->port = 6379;
	if (str_prefix(rest, STR("unix://"))) {
		rest = str_slice(rest, 7, rest.len);
		if (rest.len > 0 && rest.s[0] != '/' &&
		    addr_userinfo(a, &rest, err) == -1)
			return (-1);
		query = rest;
		rest = str_cut(&query, '?');
		if (query.s != NULL) {
			if (!str_prefix(query, STR("db=")))
				return (err_set(err, UFOP_CONFIG, "redis.url "
				    "has '?%.*s'; the only parameter is db=<n>",
				    STR_ARG(query)));
			if (addr_db(a, str_slice(query, 3, query.len),
			    err) == -1)
				return (-1);
		}
		if (rest.len == 0 || rest.s[0] != '/')
			return (err_set(err, UFOP_CONFIG, "redis.url '%s' has "
			    "no absolute path; write unix:///path/redis.sock",
			    url));
		return (addr_copy(a->unix_path, sizeof(a->unix_path), rest,
		    false, "path", err));
	}
	if (!str_prefix(rest, STR("redis://")))
		return (err_set(err, UFOP_CONFIG, "redis.url '%s' is neither "
		    "redis://[:password@]host[:port][/db] nor "
		    "unix:///path[?db=n]", url));
	rest = str_slice(rest, 8, rest.len);
	if (addr_userinfo(a, &rest, err) == -1)
		return (-1);
	host = str_cut(&rest, '/');
	if (addr_db(a, rest, err) == -1)
		return (-1);
	if (host.len > 0 && host.s[0] == '[') {
		port = str_slice(host, 1, host.len);
		host = str_cut(&port, ']');
		if (port.len > 0 && port.s[0] == ':')
			port = str_slice(port, 1, port.len);
	} else {
		port = host;
		host = str_cut(&port, ':');
	}
	if (port.len > 0) {
		if (str_int(port, 1, 65535, &n) == -1)
			return (err_set(err, UFOP_CONFIG, "the port '%.*s' in "
			    "redis.url is no number from 1 to 65535",
			    STR_ARG(port)));
		a->port = (int)n;
	}
	if (host.len == 0)
		host = STR("127.0.0.1");
	return (addr_copy(a->host, sizeof(a->host), host, false, "host", err));
}

int
queue_addr_resolve(struct queue_addr *a, struct ufop_err *err)
{
	struct addrinfo	 hints, *ai;
	int		 rc;

	if (a->unix_path[0] != '\0')
		return (0);
	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	if ((rc = getaddrinfo(a->host, NULL, &hints, &ai)) != 0)
		return (err_set(err, UFOP_CONFIG, "cannot resolve the host "
		    "'%s' of redis.url: %s", a->host, gai_strerror(rc)));
	rc = getnameinfo(ai->ai_addr, ai->ai_addrlen, a->ip, sizeof(a->ip),
	    NULL, 0, NI_NUMERICHOST);
	freeaddrinfo(ai);
	if (rc != 0)
		return (err_set(err, UFOP_CONFIG, "cannot use the address of "
		    "'%s' in redis.url: %s", a->host, gai_strerror(rc)));
	return (0);
}

const char *
queue_addr_name(const struct queue_addr *a, char *buf, size_t size)
{
	if (a->unix_path[0] != '\0')
		snprintf(buf, size, "%s", a->unix_path);
	else
		snprintf(buf, size, "%s:%d", a->host, a->port);
	return (buf);
}

void
queue_key(char out[QUEUE_KEY_MAX], const char *tag, const char *a,
    const char *b)
{
	if (b == NULL)
		snprintf(out, QUEUE_KEY_MAX, "{%s}:%s", tag, a);
	else
		snprintf(out, QUEUE_KEY_MAX, "{%s}:%s:%s", tag, a, b);
}

/*
 * The connection is gone, or was never had: note why, and let
 * queue_conn_tick() try again after the backoff.
 */
static void
conn_down(struct queue_conn *qc, const char *why)
{
	char	 name[300];
	bool	 was_ready = qc->ready;
	int	 jitter;

	qc->ac = NULL;
	qc->ready = false;
	if (qc->stopped)
		return;
	if (was_ready || qc->backoff_ms == 0)
		qc->backoff_ms = BACKOFF_MIN_MS;
	jitter = qc->backoff_ms / 4;
	qc->next_try_ms = clock_mono_ms() + qc->backoff_ms - jitter +
	    (int64_t)(reqid_random() % (2 * (uint64_t)jitter + 1));
	qc->backoff_ms *= 2;
	if (qc->backoff_ms > BACKOFF_MAX_MS)
		qc->backoff_ms = BACKOFF_MAX_MS;
	queue_addr_name(qc->addr, name, sizeof(name));
	/* A sentence that AUTH or SELECT left is better than "closed". */
	if (qc->err[0] == '\0' || was_ready) {
		snprintf(qc->err, sizeof(qc->err), "Redis at %.80s: %.60s",
		    name, why);
		log_warn("redis.lost conn=%s at=%s why=%s", qc->what, name,
		    log_quote(why, strlen(why)));
	}
}

static void
on_connect(const redisAsyncContext *ac, int status)
{
	struct queue_conn	*qc = ac->data;

	if (status != REDIS_OK && qc != NULL && qc->ac == ac)
		conn_down(qc, ac->errstr[0] ? ac->errstr : "cannot connect");
}

static void
on_disconnect(const redisAsyncContext *ac, int status)
{
	struct queue_conn	*qc = ac->data;

	(void)status;
	if (qc != NULL && qc->ac == ac)
		conn_down(qc, ac->errstr[0] ? ac->errstr : "closed");
}

/* Let go of the context; its pending callbacks get NULL now or very soon. */
static void
conn_drop(struct queue_conn *qc, const char *why)
{
	redisAsyncContext	*ac = qc->ac;

	if (ac == NULL)
		return;
	ac->data = NULL;
	conn_down(qc, why);
	redisAsyncFree(ac);
}

void
queue_conn_reset(struct queue_conn *qc, const char *why)
{
	conn_drop(qc, why);
}

/* One answer of the greeting (AUTH, SELECT, TIME, SCRIPT LOAD...). */
static void
on_greeting(redisAsyncContext *ac, void *r, void *arg)
{
	struct queue_conn	*qc = ac->data;
	redisReply		*reply = r;
	uintptr_t		 what = (uintptr_t)arg;
	char			 name[300];

	if (reply == NULL || qc == NULL || qc->ac != ac)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		queue_addr_name(qc->addr, name, sizeof(name));
		snprintf(qc->err, sizeof(qc->err), "Redis at %.60s says: "
		    "%.80s", name, reply->str);
		if (strstr(reply->str, "NOAUTH") != NULL ||
		    strstr(reply->str, "WRONGPASS") != NULL)
			snprintf(qc->err, sizeof(qc->err), "Redis at %.50s "
			    "wants a password or refused it; put it into "
			    "redis.url as redis://:password@host", name);
		log_err("redis.refused conn=%s why=%s", qc->what,
		    log_quote(qc->err, strlen(qc->err)));
		conn_drop(qc, "refused");
		return;
	}
	if (what < QUEUE_SCRIPTS) {
		snprintf(qc->sha[what], sizeof(qc->sha[what]), "%s",
		    reply->str == NULL ? "" : reply->str);
	} else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
		queue_clock_set(qc->asked_us,
		    strtoll(reply->element[0]->str, NULL, 10) * 1000000 +
		    strtoll(reply->element[1]->str, NULL, 10));
	}
	if (--qc->waiting == 0) {
		qc->ready = true;
		qc->backoff_ms = 0;
		qc->err[0] = '\0';
		queue_addr_name(qc->addr, name, sizeof(name));
		log_info("redis.ready conn=%s at=%s", qc->what, name);
		if (qc->on_ready != NULL)
			qc->on_ready(qc);
	}
}

static void
conn_greet(struct queue_conn *qc)
{
	const struct queue_addr	*a = qc->addr;
	void			*other = (void *)(uintptr_t)QUEUE_SCRIPTS;
	uintptr_t		 i;
	int			 n = 0;

	if (a->password[0] != '\0' && a->user[0] != '\0')
		n += redisAsyncCommand(qc->ac, on_greeting, other,
		    "AUTH %s %s", a->user, a->password) == REDIS_OK;
	else if (a->password[0] != '\0')
		n += redisAsyncCommand(qc->ac, on_greeting, other,
		    "AUTH %s", a->password) == REDIS_OK;
	if (a->db != 0)
		n += redisAsyncCommand(qc->ac, on_greeting, other,
		    "SELECT %d", a->db) == REDIS_OK;
	qc->asked_us = clock_mono_us();
	n += redisAsyncCommand(qc->ac, on_greeting, other, "TIME") == REDIS_OK;
	for (i = 0; i < QUEUE_SCRIPTS; i++)
		n += redisAsyncCommand(qc->ac, on_greeting, (void *)i,
		    "SCRIPT LOAD %s", queue_lua[i]) == REDIS_OK;
	qc->waiting = n;
}

static void
conn_open(struct queue_conn *qc)
{
	const struct queue_addr	*a = qc->addr;
	redisAsyncContext	*ac;
	char			 why[160];

	if (a->unix_path[0] != '\0')
		ac = redisAsyncConnectUnix(a->unix_path);
	else
		ac = redisAsyncConnect(a->ip, a->port);
	if (ac == NULL || ac->err) {
		snprintf(why, sizeof(why), "%s",
		    ac == NULL ? "out of memory" : ac->errstr);
		if (ac != NULL)
			redisAsyncFree(ac);
		conn_down(qc, why);
		return;
	}
	ac->data = qc;
	qc->ac = ac;
	qc->give_up_ms = clock_mono_ms() + CONNECT_MS;
	redisAsyncSetConnectCallback(ac, on_connect);
	redisAsyncSetDisconnectCallback(ac, on_disconnect);
	if (qc->attach(ac, qc->arg) == -1) {
		conn_drop(qc, "cannot watch the socket");
		return;
	}
	conn_greet(qc);
}

void
queue_conn_start(struct queue_conn *qc)
{
	qc->ac = NULL;
	qc->ready = qc->stopped = false;
	qc->backoff_ms = 0;
	qc->next_try_ms = 0;
	qc->err[0] = '\0';
	conn_open(qc);
}

void
queue_conn_tick(struct queue_conn *qc)
{
	int64_t	 now;

	if (qc->ready || qc->stopped)
		return;
	now = clock_mono_ms();
	if (qc->ac != NULL) {
		if (now > qc->give_up_ms)
			conn_drop(qc, "no answer within 5 s");
	} else if (now >= qc->next_try_ms)
		conn_open(qc);
}

void
queue_conn_stop(struct queue_conn *qc)
{
	qc->stopped = true;
	conn_drop(qc, "stopped");
}

int
queue_cmd(struct queue_conn *qc, redisCallbackFn *cb, void *arg, int argc,
    const char **argv, const size_t *argvlen)
{
	if (!qc->ready)
		return (-1);
	return (redisAsyncCommandArgv(qc->ac, cb, arg, argc, argv,
	    argvlen) == REDIS_OK ? 0 : -1);
}

int
queue_cmdf(struct queue_conn *qc, redisCallbackFn *cb, void *arg,
    const char *fmt, ...)
{
	va_list	 ap;
	int	 rc;

	if (!qc->ready)
		return (-1);
	va_start(ap, fmt);
	rc = redisvAsyncCommand(qc->ac, cb, arg, fmt, ap);
	va_end(ap);
	return (rc == REDIS_OK ? 0 : -1);
}

#define SCRIPT_ARGS_MAX	520

int
queue_script(struct queue_conn *qc, enum queue_script script,
    redisCallbackFn *cb, void *arg, int nkeys, int argc, const char **argv,
    const size_t *argvlen)
{
	const char	*v[SCRIPT_ARGS_MAX];
	size_t		 len[SCRIPT_ARGS_MAX];
	char		 n[16];

	if (argc + 3 > SCRIPT_ARGS_MAX)
		return (-1);
	snprintf(n, sizeof(n), "%d", nkeys);
	v[0] = "EVALSHA";
	len[0] = 7;
	v[1] = qc->sha[script];
	len[1] = 40;
	v[2] = n;
	len[2] = strlen(n);
	memcpy(v + 3, argv, argc * sizeof(*argv));
	memcpy(len + 3, argvlen, argc * sizeof(*argvlen));
	return (queue_cmd(qc, cb, arg, argc + 3, v, len));
}
