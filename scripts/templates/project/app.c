/*
 * The service @NAME@.  All there is to know about handlers stands in ufop.h.
 */
#include <string.h>

#include <ufop.h>

/* @NAME@/hello/bob: an argument. */
static int
hello(struct ufop_job *job, struct ufop_reply *reply)
{
	return (ufop_reply_textf(reply, "hello %s",
	    ufop_arg(job, "name", "world")));
}

/* @NAME@/twice/21: JSON. */
static int
twice(struct ufop_job *job, struct ufop_reply *reply)
{
	int	n;

	if (ufop_arg_int(job, reply, "n", 0, 0, 1000, &n) == -1)
		return (-1);	/* the reply is a 400 that names n and its range */
	return (ufop_reply_json(reply, json_pack("{s:i, s:i}", "n", n,
	    "twice", 2 * n)));
}

/* @NAME@/echo: the source, and an error that tells the caller what to do. */
static int
echo(struct ufop_job *job, struct ufop_reply *reply)
{
	if (memchr(job->data, '\0', job->len) != NULL)
		return (ufop_fail(reply, 415, "this is no text: there is a "
		    "NUL byte in it; send text"));
	return (ufop_reply_bytes(reply, job->data, job->len, "text/plain"));
}

/* The first task whose route matches takes the cmd. */
static const struct ufop_task tasks[] = {
	{ .name = "hello", .route = "^/hello(?:/(?P<name>\\w+))?$",
	  .run = hello, .flags = UFOP_TASK_NO_SOURCE,
	  .summary = "Greets the world, or NAME." },
	{ .name = "twice", .route = "^/twice/(?P<n>\\d+)$", .run = twice,
	  .flags = UFOP_TASK_NO_SOURCE, .summary = "Doubles a number." },
	{ .name = "echo", .route = "^/echo$", .run = echo,
	  .summary = "Gives text back." },
	{ 0 }
};

UFOP_SERVICE(app, tasks);
