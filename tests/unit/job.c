/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "job.h"
#include "unit.h"

static void
sample_job(struct job *j)
{
	memset(j, 0, sizeof(*j));
	j->deaths = 1;
	j->retries = 2;
	j->flags = JOB_FLAG_TAKES_URL;
	j->body = JOB_BODY_INLINE;
	j->deadline_ms = 1732180000123;
	j->queued_us = 1732179990123456;
	j->tag = 0x123456789abcdef0;
	j->ref = STR("body\0bytes");
	j->body_len = j->ref.len;
	j->spool_id = 77;
	j->pool = STR("cpu");
	j->id = STR("req-1");
	j->web = STR("webname");
	j->type = STR("image/png");
	j->accept = STR("image/webp");
	j->url = STR("http://example.com/");
	j->nstages = 2;
	j->stages[0].task = STR("images.crop");
	j->stages[0].cmd = STR("/crop/1,2,3,4");
	j->stages[0].nargs = 1;
	j->stages[0].args[0].name = STR("w");
	j->stages[0].args[0].value = STR("1");
	j->stages[1].task = STR("debug.echo");
	j->stages[1].cmd = STR("/");
}

void
test_job_there_and_back(void)
{
	struct job	*a = xcalloc(1, sizeof(*a)), *b = xcalloc(1, sizeof(*b));
	struct buf	 out;
	struct ufop_err	 err;

	sample_job(a);
	buf_init(&out, JOB_ENTRY_MAX);
	CHECK_INT(job_encode(a, &out, &err), 0);
	CHECK_INT(job_decode(b, (struct str){ out.p, out.len }, &err), 0);
	CHECK_INT(b->deaths, 1);
	CHECK_INT(b->retries, 2);
	CHECK_INT(b->flags, JOB_FLAG_TAKES_URL);
	CHECK_INT(b->deadline_ms, a->deadline_ms);
	CHECK_INT(b->queued_us, a->queued_us);
	CHECK(b->tag == a->tag);
	CHECK_INT(b->spool_id, 77);
	CHECK(str_eq(a->pool, b->pool) && str_eq(a->id, b->id) &&
	    str_eq(a->web, b->web) && str_eq(a->type, b->type) &&
	    str_eq(a->accept, b->accept) && str_eq(a->url, b->url) &&
	    str_eq(a->ref, b->ref));
	CHECK_INT(b->nstages, 2);
	CHECK(str_eq(b->stages[0].task, a->stages[0].task));
	CHECK(str_eq(b->stages[0].cmd, a->stages[0].cmd));
	CHECK_INT(b->stages[0].nargs, 1);
	CHECK(str_eq_c(b->stages[0].args[0].name, "w"));
	CHECK(str_eq_c(b->stages[0].args[0].value, "1"));
	CHECK_INT(b->stages[1].nargs, 0);

	/* What scripts on Redis rely on: docs/protocol.txt. */
	CHECK_INT((unsigned char)out.p[2], 1);
	CHECK_INT((unsigned char)out.p[6], 3);
	CHECK(memcmp(out.p + 64, "cpu", 3) == 0);
	job_set_counts(out.p, 9, 8);
	CHECK_INT(job_decode(b, (struct str){ out.p, out.len }, &err), 0);
	CHECK_INT(b->deaths, 9);
	CHECK_INT(b->retries, 8);
	buf_release(&out);
	free(a);
	free(b);
}

/* Every shorter piece and every changed length byte is refused or harmless. */
void
test_job_decode_of_damaged_bytes(void)
{
	struct job	*a = xcalloc(1, sizeof(*a)), *b = xcalloc(1, sizeof(*b));
	struct buf	 out;
	struct ufop_err	 err;
	char		*copy;
	size_t		 i;
	int		 v;

	sample_job(a);
	buf_init(&out, JOB_ENTRY_MAX);
	CHECK_INT(job_encode(a, &out, &err), 0);
	for (i = 0; i < out.len; i++) {
		/* An exact allocation, so that reading past it is seen. */
		copy = xmalloc(i + 1);
		memcpy(copy, out.p, i);
		CHECK_MSG(job_decode(b, (struct str){ copy, i }, &err) == -1,
		    "%zu of %zu bytes were taken for a job", i, out.len);
		free(copy);
	}
	copy = xmalloc(out.len);
	for (i = 0; i < out.len; i++)
		for (v = 0; v < 256; v += 17) {
			memcpy(copy, out.p, out.len);
			copy[i] = (char)v;
			(void)job_decode(b, (struct str){ copy, out.len },
			    &err);
		}
	memcpy(copy, out.p, out.len);
	copy[1] = JOB_VERSION + 1;
	CHECK_INT(job_decode(b, (struct str){ copy, out.len }, &err), -1);
	CHECK(strstr(err.msg, "version 2") != NULL);
	free(copy);
	buf_release(&out);
	free(a);
	free(b);
}

void
test_job_too_long_is_refused(void)
{
	struct job	*a = xcalloc(1, sizeof(*a));
	struct buf	 out;
	struct ufop_err	 err;
	char		*long_url = xcalloc(1, JOB_ENTRY_MAX);

	sample_job(a);
	memset(long_url, 'x', JOB_ENTRY_MAX - 1);
	a->url = str_from(long_url);
	buf_init(&out, JOB_ENTRY_MAX);
	CHECK_INT(job_encode(a, &out, &err), -1);
	CHECK_INT(err.code, UFOP_TOO_BIG);
	buf_release(&out);
	free(long_url);
	free(a);
}

void
test_reply_there_and_back(void)
{
	struct reply	 a = { .body = JOB_BODY_SPOOL, .status = 201,
		.tag = 0xfedcba9876543210, .body_len = 100000, .held_us = 12,
		.run_us = 10, .type = STR("image/jpeg"),
		.log = STR("decode=1.0ms"), .ref = STR("name"), .nheaders = 1,
		.headers = { { STR("X-A"), STR("b") } } }, b;
	struct buf	 out;
	struct ufop_err	 err;
	char		*copy;
	size_t		 i;

	buf_init(&out, 65536);
	CHECK_INT(reply_encode(&a, &out, &err), 0);
	CHECK_INT(reply_decode(&b, (struct str){ out.p, out.len }, &err), 0);
	CHECK_INT(b.status, 201);
	CHECK(b.tag == a.tag);
	CHECK_INT(b.body_len, 100000);
	CHECK_INT(b.held_us, 12);
	CHECK_INT(b.run_us, 10);
	CHECK(str_eq(a.type, b.type) && str_eq(a.log, b.log) &&
	    str_eq(a.ref, b.ref));
	CHECK_INT(b.nheaders, 1);
	CHECK(str_eq_c(b.headers[0].name, "X-A"));
	CHECK(str_eq_c(b.headers[0].value, "b"));
	for (i = 0; i < out.len; i++) {
		copy = xmalloc(i + 1);
		memcpy(copy, out.p, i);
		CHECK_MSG(reply_decode(&b, (struct str){ copy, i }, &err) ==
		    -1, "%zu of %zu bytes were taken for a reply", i, out.len);
		free(copy);
	}
	buf_release(&out);
}

void
test_job_error_json_escapes(void)
{
	struct buf	 out;

	buf_init(&out, 1000);
	job_error_json(&out, 415, STR("it's \"a\\b\"\n\xff"));
	CHECK_STR(out.p, "{\"code\":415,\"error\":\"it's \\\"a\\\\b\\\"\\n"
	    "\xef\xbf\xbd\"}");
	buf_release(&out);
}
