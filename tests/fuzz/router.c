/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a cmd, through router_match(), against routes of all kinds.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE \
 *	    -Iinclude -Ilib -Irouter -o fuzz-router tests/fuzz/router.c \
 *	    router/router.c router/services.c lib/[!q]*.c \
 *	    -lpcre2-8 -ljansson -linih -ldl
 *	./fuzz-router -max_len=17000 -timeout=1 -dict=tests/fuzz/router.dict DIR
 *
 * The first byte says whether the cmd has the ufop's name in front and
 * whether it is repeated up to the longest cmd, which is what makes searches
 * slow; the rest is the cmd.
 */
#include <stdlib.h>
#include <string.h>

#include "router.h"

#define HAS_NAME	0x01
#define REPEAT		0x02

static int
run(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	(void)reply;
	return (0);
}

#define T(task_name, task_route, task_pool) \
	{ .name = task_name, .route = task_route, .run = run, .pool = task_pool }

static const struct ufop_task tasks[] = {
	T("hello", "^/hello(?:/(?P<name>\\w+))?$", NULL),
	T("thumb", "^/thumbnail(?:/w/(?P<w>\\d+))?(?:/h/(?P<h>\\d+))?"
	    "(?:/q/(?P<q>\\d+))?(?:/format/(?P<f>jpg|png))?$", NULL),
	T("crop", "^/crop/(?P<w>\\d+),(?P<h>\\d+),(?P<x>-?\\d+),(?P<y>-?\\d+)$",
	    NULL),
	T("mogr", "^/imageMogr2((?:/(?P<k>[a-z-]+)/(?P<v>[^/]+))+)$", NULL),
	T("lazy", "^/l/(?P<a>.+?)/(?P<b>.*)$", "net"),
	T("twice", "/(?P<v>\\w+)=(?P=v)", "net"),
	T("either", "(?J)(?:(?P<v>a+)|(?P<v>b+))!$", "gpu"),
	T("utf", "(*UTF)(*UCP)(?P<c>\\w)\xe5\xad\x97(?=(?P<d>.))", NULL),
	T("back", "(?<=/at/)(?P<v>\\w+)\\K\\.", NULL),
	T("evil", "^/e/(a+)+$", NULL),
	T("square", "(?:a|b|c)+?[12]", NULL),
	T("nested", "^(?P<p>/(?:[^()]|\\((?P>p)\\))*)\\)$", NULL),
	T("tail", "\\.(?P<ext>jpe?g|png)$", NULL),
	{ 0 }
};

static const struct ufop_service service = {
	.abi = UFOP_ABI, .name = "fuzz", .tasks = tasks,
};

/* A promise of router.h that does not hold is a crash. */
static void
must(bool holds)
{
	if (!holds)
		abort();
}

static bool
lies_in(struct str part, const char *whole, size_t len)
{
	return (part.s >= whole && part.s <= whole + len &&
	    part.len <= (size_t)(whole + len - part.s));
}

static void
check_match(const struct router_match *m, struct str cmd,
    const struct services *services)
{
	const struct router_stage	*s;
	const struct router_arg		*a;

	must(m->nstages >= 1 && m->nstages <= ROUTER_STAGES_MAX);
	must(strcmp(m->pool, "cpu") == 0 || strcmp(m->pool, "net") == 0 ||
	    strcmp(m->pool, "gpu") == 0);
	for (s = m->stages; s < m->stages + m->nstages; s++) {
		must(s->task >= 0 && s->task < services->ntasks);
		must(s->cmd.len == 0 || s->cmd.s[0] == '/');
		must(lies_in(s->cmd, cmd.s, cmd.len) ||
		    lies_in(s->cmd, m->text, sizeof(m->text)));
		must(s->nargs >= 0 && s->nargs <= ROUTER_ARGS_MAX);
		for (a = s->args; a < s->args + s->nargs; a++) {
			must(a->name[0] != '\0');
			must(lies_in(a->value, s->cmd.s, s->cmd.len));
		}
	}
}

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct services		 services;
	static struct router		*router;
	static struct router_match	 match;
	struct ufop_err			 err = { 0 };
	struct str			 cmd;
	size_t				 i;
	char				*copy;

	if (router == NULL) {
		must(services_add(&services, &service, &err) == 0);
		router = router_new(&services, &err);
		must(router != NULL);
	}
	if (size == 0)
		return (0);
	/* Of its exact length, so that a byte too far is noticed. */
	cmd.len = size - 1;
	if (data[0] & REPEAT && cmd.len > 0 && cmd.len < ROUTER_CMD_MAX)
		cmd.len = ROUTER_CMD_MAX;
	copy = malloc(cmd.len);
	for (i = 0; i < cmd.len; i++)
		copy[i] = (char)data[1 + i % (size - 1)];
	cmd.s = copy;

	if (router_match(router, cmd, data[0] & HAS_NAME, &match, &err) == 0) {
		must(err.code == UFOP_OK);
		check_match(&match, cmd, &services);
	} else {
		must(err.code == UFOP_NO_ROUTE || err.code == UFOP_BAD_INPUT);
		must(err.msg[0] != '\0' &&
		    memchr(err.msg, '\0', sizeof(err.msg)) != NULL);
	}
	free(copy);
	return (0);
}
