/* SPDX-License-Identifier: MIT */
/*
 * ufop routes: which tasks there are, and which of them takes a cmd.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "cli.h"

enum {
	OPT_JSON = CLI_LONG,
};

static const struct cli_opt opts[] = {
	{ 'n', "named", NULL,
	    "CMD begins with the ufop's name, as it stands in ?cmd=" },
	{ OPT_JSON, "json", NULL, "print JSON" },
	{ 0 }
};

static json_t *
task_json(const struct services_task *t)
{
	return (json_pack("{s:s, s:s, s:s, s:s?, s:i, s:I, s:i, s:i}",
	    "task", t->name, "pool", t->pool, "route", t->task->route,
	    "summary", t->task->summary, "timeout_ms", t->task->timeout_ms,
	    "max_body", (json_int_t)t->task->max_body, "memory_mb",
	    t->task->memory_mb, "retries", t->task->retries));
}

static int
list(const struct services *services, bool json, struct ufop_err *err)
{
	const struct services_task	*t;
	json_t				*root;
	int				 i, name_w = 4, pool_w = 4, route_w = 5;

	if (json) {
		root = json_array();
		for (i = 0; i < services->ntasks; i++)
			json_array_append_new(root,
			    task_json(&services->tasks[i]));
		return (cli_json(root, err));
	}
	for (i = 0; i < services->ntasks; i++) {
		t = &services->tasks[i];
		if ((int)strlen(t->name) > name_w)
			name_w = (int)strlen(t->name);
		if ((int)strlen(t->pool) > pool_w)
			pool_w = (int)strlen(t->pool);
		if ((int)strlen(t->task->route) > route_w)
			route_w = (int)strlen(t->task->route);
	}
	/* One long pattern should not push all summaries out of sight. */
	if (route_w > 40)
		route_w = 40;
	printf("%-*s  %-*s  %-*s  %s\n", name_w, "TASK", pool_w, "POOL",
	    route_w, "ROUTE", "SUMMARY");
	for (i = 0; i < services->ntasks; i++) {
		t = &services->tasks[i];
		printf("%-*s  %-*s  %-*s  %s\n", name_w, t->name, pool_w,
		    t->pool, route_w, t->task->route,
		    t->task->summary == NULL ? "" : t->task->summary);
	}
	return (0);
}

static json_t *
stage_json(const struct services *services, const struct router_stage *stage)
{
	const struct services_task	*t = &services->tasks[stage->task];
	json_t				*args = json_object();
	int				 i;

	for (i = 0; i < stage->nargs; i++)
		json_object_set_new(args, stage->args[i].name,
		    json_stringn(stage->args[i].value.s,
		    stage->args[i].value.len));
	return (json_pack("{s:s%, s:s, s:s, s:s, s:o}", "cmd", stage->cmd.s,
	    stage->cmd.len, "task", t->name, "pool", t->pool, "route",
	    t->task->route, "args", args));
}

static void
print_stage(const struct services *services, const struct router_stage *stage,
    int number)
{
	const struct services_task	*t = &services->tasks[stage->task];
	int				 i;

	printf("%d  %-8s ", number, "cmd");
	cli_text(stdout, stage->cmd);
	putchar('\n');
	printf("   %-8s %s, pool %s\n", "task", t->name, t->pool);
	printf("   %-8s %s\n", "route", t->task->route);
	for (i = 0; i < stage->nargs; i++) {
		printf("   %-8s %s = ", i == 0 ? "args" : "",
		    stage->args[i].name);
		cli_text(stdout, stage->args[i].value);
		putchar('\n');
	}
}

static int
explain(const struct cli *cli, const char *operand, bool named, bool json,
    struct ufop_err *err)
{
	static struct router_match	 match;
	char				*cmd;
	json_t				*root;
	int				 i, rc = 0;

	/* The leading slash may be left out, as with `ufop process`. */
	cmd = xasprintf("%s%s", named || operand[0] == '/' ||
	    operand[0] == '\0' ? "" : "/", operand);
	if (router_match(cli->router, str_from(cmd), named, &match,
	    err) == -1) {
		rc = -1;
	} else if (json) {
		root = json_array();
		for (i = 0; i < match.nstages; i++)
			json_array_append_new(root, stage_json(&cli->services,
			    &match.stages[i]));
		rc = cli_json(root, err);
	} else {
		for (i = 0; i < match.nstages; i++)
			print_stage(&cli->services, &match.stages[i], i + 1);
	}
	free(cmd);
	return (rc);
}

static int
run(struct cli *cli, int argc, char **argv)
{
	bool		 named = false, json = false;
	struct ufop_err	 err;
	int		 code, rc;

	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		switch (code) {
		case 'n':
			named = true;
			break;
		case OPT_JSON:
			json = true;
			break;
		default:
			return (cli->status);
		}
	}
	if (argc - optind > 1)
		return (cli_usage(cli, "more than one CMD; quote what the "
		    "shell would split, as '|'"));
	rc = cli_load(cli, "routes", CLI_ROUTES, &err);
	if (rc == 0 && optind < argc)
		rc = explain(cli, argv[optind], named, json, &err);
	else if (rc == 0)
		rc = list(&cli->services, json, &err);
	return (rc == 0 ? 0 : cli_fail(&err));
}

const struct cli_cmd cli_routes = {
	.name = "routes",
	.operands = "[CMD]",
	.summary = "list the tasks and their routes, or say which takes CMD",
	.prose = "Without CMD list all tasks in the order in which their "
	    "routes are tried: the first that matches takes a cmd. With CMD "
	    "say for each of its stages which task takes it and what its "
	    "arguments are.",
	.opts = opts,
	.project = true,
	.run = run,
};
