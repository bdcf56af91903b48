/*
 * The service @NAME@.
 */
#include <ufop.h>

/* <ufop>/@NAME@/bob */
static int
run(struct ufop_job *job, struct ufop_reply *reply)
{
	return (ufop_reply_json(reply, json_pack("{s:s, s:s}",
	    "service", "@NAME@", "what", ufop_arg(job, "what", "nothing"))));
}

static const struct ufop_task tasks[] = {
	{ .name = "run", .route = "^/@NAME@(?:/(?P<what>\\w+))?$", .run = run,
	  .flags = UFOP_TASK_NO_SOURCE, .summary = "Says what it was given." },
	{ 0 }
};

UFOP_SERVICE(@NAME@, tasks);
