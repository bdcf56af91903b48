/* SPDX-License-Identifier: MIT */
/*
 * Four handlers: text, JSON, an error the caller can act on, and a reason that
 * passes.  All there is to know stands in ufop.h.
 */
#include <ufop.h>

/* <ufop>/hello/bob */
static int
hello(struct ufop_job *job, struct ufop_reply *reply)
{
	return (ufop_reply_textf(reply, "hello %s",
	    ufop_arg(job, "name", "world")));
}

/* <ufop>/count: of the bytes that were sent, and how many are newlines. */
static int
count(struct ufop_job *job, struct ufop_reply *reply)
{
	json_int_t	lines = 0;
	size_t		i;

	for (i = 0; i < job->len; i++)
		lines += job->data[i] == '\n';
	return (ufop_reply_json(reply, json_pack("{s:I, s:I}",
	    "bytes", (json_int_t)job->len, "lines", lines)));
}

/* <ufop>/half/<even number>: a wrong argument is the caller's to mend. */
static int
half(struct ufop_job *job, struct ufop_reply *reply)
{
	int	n;

	if (ufop_arg_int(job, reply, "n", 0, 0, 1000, &n) == -1)
		return (-1);	/* the 400 names n and its range */
	if (n % 2 != 0)
		return (ufop_fail(reply, 400, "%d has no half: send an even "
		    "number", n));
	return (ufop_reply_textf(reply, "%d", n / 2));
}

/* <ufop>/flaky: fails once; ufop tries again by itself. */
static int
flaky(struct ufop_job *job, struct ufop_reply *reply)
{
	if (job->attempt == 1) {
		ufop_fail(reply, 503, "the remote is busy");
		return (UFOP_RETRY);
	}
	return (ufop_reply_textf(reply, "done at attempt %d", job->attempt));
}

static const struct ufop_task tasks[] = {
	{ .name = "hello", .route = "^/hello(?:/(?P<name>\\w+))?$",
	  .run = hello, .flags = UFOP_TASK_NO_SOURCE,
	  .summary = "Greets the world, or NAME." },
	{ .name = "count", .route = "^/count$", .run = count,
	  .summary = "Counts bytes and lines." },
	{ .name = "half", .route = "^/half/(?P<n>\\d+)$", .run = half,
	  .flags = UFOP_TASK_NO_SOURCE, .summary = "Half of an even number." },
	{ .name = "flaky", .route = "^/flaky$", .run = flaky, .retries = 3,
	  .flags = UFOP_TASK_NO_SOURCE, .summary = "Works the second time." },
	{ 0 }
};

UFOP_SERVICE(hello, tasks);
