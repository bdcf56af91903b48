/* SPDX-License-Identifier: MIT */
/* A service whose one task takes every cmd: what stands behind it gets none. */
#include <ufop.h>

static int
take(struct ufop_job *job, struct ufop_reply *reply)
{
	return (ufop_reply_textf(reply, "%s is taken", job->cmd));
}

static const struct ufop_task tasks[] = {
	{ .name = "take", .route = ".*", .run = take, .pool = "net",
	  .flags = UFOP_TASK_NO_SOURCE | UFOP_TASK_TAKES_URL },
	{ 0 }
};

UFOP_SERVICE(greedy, tasks);
