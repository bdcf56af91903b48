/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "queue.h"
#include "reqid.h"
#include "unit.h"

void
test_queue_addr_urls(void)
{
	static const struct {
		const char	*url, *unix_path, *host, *user, *password;
		int		 port, db;
	} rows[] = {
		{ "redis://127.0.0.1:6379/0", "", "127.0.0.1", "", "", 6379, 0 },
		{ "redis://h", "", "h", "", "", 6379, 0 },
		{ "redis://", "", "127.0.0.1", "", "", 6379, 0 },
		{ "redis://h:1/7", "", "h", "", "", 1, 7 },
		{ "redis://:pw@h", "", "h", "", "pw", 6379, 0 },
		{ "redis://u:p%40w@h:2", "", "h", "u", "p@w", 2, 0 },
		{ "redis://u:p@w@h:2", "", "h", "u", "p@w", 2, 0 },
		{ "redis://[::1]:99/2", "", "::1", "", "", 99, 2 },
		{ "unix:///run/r.sock", "/run/r.sock", "", "", "", 6379, 0 },
		{ "unix:///r?db=3", "/r", "", "", "", 6379, 3 },
		{ "unix://:pw@/r", "/r", "", "", "pw", 6379, 0 },
	};
	struct queue_addr	 a;
	struct ufop_err		 err;
	size_t			 i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_MSG(queue_addr_parse(&a, rows[i].url, &err) == 0,
		    "%s: %s", rows[i].url, err.msg);
		CHECK_STR(a.unix_path, rows[i].unix_path);
		CHECK_STR(a.host, rows[i].host);
		CHECK_STR(a.user, rows[i].user);
		CHECK_STR(a.password, rows[i].password);
		CHECK_INT(a.port, rows[i].port);
		CHECK_INT(a.db, rows[i].db);
	}
}

void
test_queue_addr_mistakes_are_explained(void)
{
	static const char *const rows[][2] = {
		{ "localhost:6379", "redis://" },
		{ "redis://h:0", "port" },
		{ "redis://h:x", "port" },
		{ "redis://h/x", "database" },
		{ "redis://name@h", "password" },
		{ "redis://:%zz@h", "%25" },
		{ "unix://relative", "absolute" },
		{ "unix:///r?x=1", "db=<n>" },
	};
	struct queue_addr	 a;
	struct ufop_err		 err;
	size_t			 i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_MSG(queue_addr_parse(&a, rows[i][0], &err) == -1,
		    "'%s' passed", rows[i][0]);
		CHECK_INT(err.code, UFOP_CONFIG);
		CHECK_MSG(strstr(err.msg, rows[i][1]) != NULL, "%s", err.msg);
	}
}

void
test_queue_addr_name_hides_the_password(void)
{
	struct queue_addr	 a;
	struct ufop_err		 err;
	char			 name[300];

	CHECK_INT(queue_addr_parse(&a, "redis://u:secret@h:1", &err), 0);
	CHECK_STR(queue_addr_name(&a, name, sizeof(name)), "h:1");
}

void
test_queue_keys_share_one_hash_tag(void)
{
	char	 key[QUEUE_KEY_MAX];

	queue_key(key, "my", "q", "cpu");
	CHECK_STR(key, "{my}:q:cpu");
	queue_key(key, "my", "delayed", NULL);
	CHECK_STR(key, "{my}:delayed");
}

void
test_queue_clock_follows_redis(void)
{
	int64_t	 redis_us = 5000000000000;

	queue_clock_set(clock_mono_us(), redis_us);
	CHECK(queue_now_us() >= redis_us);
	CHECK(queue_now_us() < redis_us + 5000000);
	/* A sample that took a second to come says little: not believed. */
	queue_clock_set(clock_mono_us() - 1000000, redis_us + 60000000);
	CHECK(queue_now_us() < redis_us + 5000000);
}
