/* SPDX-License-Identifier: MIT */
#define PCRE2_CODE_UNIT_WIDTH	8

#include <assert.h>
#include <limits.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arena.h"
#include "banned.h"
#include "router.h"

/*
 * Steps back that a match may take from one place in the cmd.  Three for each
 * byte of the longest cmd: enough for any route that reads it once, and for
 * `(a+)+$` the end after 0.1 ms (1 ms without JIT).
 */
#define MATCH_LIMIT		(3 * ROUTER_CMD_MAX)
/* Nesting of the same, and its memory in KiB; only where there is no JIT. */
#define DEPTH_LIMIT		MATCH_LIMIT
#define HEAP_LIMIT_KB		16384
/* `^(?:/(\w))*$` on the longest cmd takes half of it.  Mapped, not touched. */
#define JIT_STACK_FIRST		(32 * 1024)
#define JIT_STACK_MAX		(1024 * 1024)

/*
 * The limits above count for each place where a match may begin.  A route
 * without an anchor is tried at all of them, so a search costs the square of
 * the cmd's length without ever reaching one (`(?:a|b)+x`: 200 ms).  Below
 * this many bytes squared nothing can go wrong; longer cmds are searched piece
 * by piece with an eye on the CPU time that all routes together have taken.
 */
#define SEARCH_FREE		(1024 * 1024)
#define SEARCH_MAX_US		4000

/* Bytes of a cmd or a route as messages show them. */
#define SHOW_CMD		100
#define SHOW_ROUTE		60

struct group {
	uint32_t	 number;
	const char	*name;		/* in the code's own table */
};

struct route {
	pcre2_code	*code;
	bool		 anchored;	/* matches at the start or nowhere */
	bool		 utf;
	int		 ngroups;
	struct group	 groups[ROUTER_ARGS_MAX];	/* by number */
};

struct router {
	const struct services	*services;
	struct route		*routes;	/* beside services->tasks */
	int			 nroutes;	/* compiled so far */
	pcre2_match_context	*limits;
	pcre2_jit_stack		*stack;
	pcre2_match_data	*data;		/* room for the largest route */
};

/* The CPU time that one router_match() has spent on long searches. */
struct search {
	int64_t	until_us;	/* 0: none was long yet */
};

/* ---- text for messages ------------------------------------------------ */

/*
 * Append text to a message, what is not printable ASCII as \xNN, so that no
 * cmd can forge a line or clear a terminal.
 */
static void
show(struct buf *out, struct str text)
{
	size_t	i;

	for (i = 0; i < text.len; i++) {
		if (text.s[i] >= 0x20 && text.s[i] < 0x7f)
			buf_add(out, &text.s[i], 1);
		else
			buf_addf(out, "\\x%02x", (unsigned char)text.s[i]);
	}
}

static void
show_cmd(struct buf *out, struct str cmd)
{
	buf_cstr(out, "'");
	show(out, str_slice(cmd, 0, SHOW_CMD));
	buf_cstr(out, cmd.len > SHOW_CMD ? "...'" : "'");
}

/* Fill err with what was gathered in text, and free that. */
static int
fail(struct ufop_err *err, enum ufop_code code, struct buf *text)
{
	err_set(err, code, "%s", text->p);
	buf_release(text);
	return (-1);
}

/* ---- compiling -------------------------------------------------------- */

/*
 * service 'images', task 'crop': bad route at offset 7: missing closing
 * parenthesis: ^/crop/(  <-- HERE
 */
static int
bad_route(const struct services_task *st, size_t offset, int code,
    struct ufop_err *err)
{
	struct str	route = str_from(st->task->route);
	struct buf	msg;
	PCRE2_UCHAR	reason[160];
	size_t		from, to;

	pcre2_get_error_message(code, reason, sizeof(reason));
	if (offset > route.len)
		offset = route.len;
	from = offset > SHOW_ROUTE ? offset - SHOW_ROUTE : 0;
	to = offset + SHOW_ROUTE / 2;

	buf_init(&msg, UFOP_ERR_MSG_MAX * 2);
	buf_addf(&msg, "service '%s', task '%s': bad route at offset %zu: %s: ",
	    st->service->name, st->task->name, offset, (char *)reason);
	buf_cstr(&msg, from > 0 ? "..." : "");
	show(&msg, str_slice(route, from, offset));
	buf_cstr(&msg, " <-- HERE ");
	show(&msg, str_slice(route, offset, to));
	buf_cstr(&msg, route.len > to ? "..." : "");
	return (fail(err, UFOP_CONFIG, &msg));
}

/* The named groups, which PCRE2 keeps by name, in the order of their numbers. */
static int
find_groups(struct route *route, const struct services_task *st,
    struct ufop_err *err)
{
	PCRE2_SPTR	entry;
	uint32_t	count, size, number, i;
	int		at;

	pcre2_pattern_info(route->code, PCRE2_INFO_NAMECOUNT, &count);
	if (count == 0)
		return (0);
	if (count > ROUTER_ARGS_MAX)
		return (err_set(err, UFOP_CONFIG, "service '%s', task '%s': "
		    "the route has %u named groups, and no more than %d can "
		    "become arguments", st->service->name, st->task->name,
		    count, ROUTER_ARGS_MAX));
	pcre2_pattern_info(route->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	pcre2_pattern_info(route->code, PCRE2_INFO_NAMETABLE, &entry);
	for (i = 0; i < count; i++, entry += size) {
		number = (uint32_t)entry[0] << 8 | entry[1];
		for (at = route->ngroups; at > 0 &&
		    route->groups[at - 1].number > number; at--)
			route->groups[at] = route->groups[at - 1];
		route->groups[at].number = number;
		route->groups[at].name = (const char *)entry + 2;
		route->ngroups++;
	}
	return (0);
}

/*
 * A cmd has no newline, so DOTALL and DOLLAR_ENDONLY do not change what a
 * route takes; but `.*` in front is an anchor then, and `$` is one test.
 */
#define COMPILE_OPTIONS							\
	(PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_USE_OFFSET_LIMIT)

static int
route_compile(struct route *route, const struct services_task *st,
    struct ufop_err *err)
{
	PCRE2_SIZE	offset;
	uint32_t	options;
	int		code;

	assert(st->task->route != NULL);
	route->code = pcre2_compile((PCRE2_SPTR)st->task->route,
	    PCRE2_ZERO_TERMINATED, COMPILE_OPTIONS, &code, &offset, NULL);
	if (route->code == NULL)
		return (bad_route(st, offset, code, err));
	/*
	 * A system that allows no memory to be both written and executed has
	 * no JIT: its routes are interpreted, under the same limits.
	 */
	(void)pcre2_jit_compile(route->code, PCRE2_JIT_COMPLETE);

	pcre2_pattern_info(route->code, PCRE2_INFO_ALLOPTIONS, &options);
	route->anchored = (options & PCRE2_ANCHORED) != 0;
	route->utf = (options & PCRE2_UTF) != 0;
	return (find_groups(route, st, err));
}

struct router *
router_new(const struct services *services, struct ufop_err *err)
{
	struct router	*r;
	uint32_t	 count, most = 0;
	int		 i;

	r = xcalloc(1, sizeof(*r));
	r->services = services;
	r->routes = xcalloc((size_t)services->ntasks + 1, sizeof(*r->routes));
	for (i = 0; i < services->ntasks; i++) {
		r->nroutes++;
		if (route_compile(&r->routes[i], &services->tasks[i],
		    err) == -1) {
			router_free(r);
			return (NULL);
		}
		pcre2_pattern_info(r->routes[i].code, PCRE2_INFO_CAPTURECOUNT,
		    &count);
		if (count > most)
			most = count;
	}

	r->limits = pcre2_match_context_create(NULL);
	r->data = pcre2_match_data_create(most + 1, NULL);
	if (r->limits == NULL || r->data == NULL) {
		err_set(err, UFOP_SYSTEM, "no memory for the routes");
		router_free(r);
		return (NULL);
	}
	pcre2_set_match_limit(r->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(r->limits, DEPTH_LIMIT);
	pcre2_set_heap_limit(r->limits, HEAP_LIMIT_KB);
	/* Without one (no JIT) routes make do with 32 KB of the C stack. */
	r->stack = pcre2_jit_stack_create(JIT_STACK_FIRST, JIT_STACK_MAX, NULL);
	pcre2_jit_stack_assign(r->limits, NULL, r->stack);
	return (r);
}

void
router_free(struct router *r)
{
	int	i;

	if (r == NULL)
		return;
	for (i = 0; i < r->nroutes; i++)
		pcre2_code_free(r->routes[i].code);
	pcre2_jit_stack_free(r->stack);
	pcre2_match_data_free(r->data);
	pcre2_match_context_free(r->limits);
	free(r->routes);
	free(r);
}

/* ---- matching --------------------------------------------------------- */

/* CPU time and not the clock's: a busy machine must not refuse a good cmd. */
static int64_t
cpu_us(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return ((int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

/*
 * Search route in cmd.  Returns what pcre2_match() does, and
 * PCRE2_ERROR_MATCHLIMIT also when the time is up.
 */
static int
route_search(const struct router *r, const struct route *route, struct str cmd,
    struct search *search)
{
	PCRE2_SPTR	subject = (PCRE2_SPTR)cmd.s;
	size_t		from = 0, piece, last;
	int		rc;

	if (route->anchored || cmd.len * cmd.len <= SEARCH_FREE) {
		pcre2_set_offset_limit(r->limits, PCRE2_UNSET);
		return (pcre2_match(route->code, subject, cmd.len, 0, 0,
		    r->data, r->limits));
	}

	if (search->until_us == 0)
		search->until_us = cpu_us() + SEARCH_MAX_US;
	/*
	 * Each piece is twice the one before: the last, in which the time runs
	 * out, costs no more than about all before it.
	 */
	for (piece = SEARCH_FREE / cmd.len; ; piece *= 2) {
		last = from + piece - 1;
		pcre2_set_offset_limit(r->limits, last);
		rc = pcre2_match(route->code, subject, cmd.len, from, 0,
		    r->data, r->limits);
		if (rc != PCRE2_ERROR_NOMATCH || last >= cmd.len)
			return (rc);
		if (cpu_us() > search->until_us)
			return (PCRE2_ERROR_MATCHLIMIT);
		from = last + 1;
		/* Not into the middle of a character. */
		while (route->utf && from < cmd.len &&
		    (subject[from] & 0xc0) == 0x80)
			from++;
	}
}

/* Whether an error of pcre2_match() says that cmd is not UTF-8. */
static bool
is_bad_utf(int rc)
{
	return (rc <= PCRE2_ERROR_UTF8_ERR1 && rc >= PCRE2_ERROR_UTF8_ERR21);
}

/* 1: the task takes the cmd, and stage has the arguments.  0: it does not. */
static int
route_match(const struct router *r, int task, struct router_stage *stage,
    struct search *search, struct ufop_err *err)
{
	const struct route	*route = &r->routes[task];
	struct router_arg	*arg;
	struct buf		 msg;
	PCRE2_UCHAR		 reason[160];
	PCRE2_SIZE		*ends;
	uint32_t		 number;
	int			 rc, i;

	rc = route_search(r, route, stage->cmd, search);
	if (rc == PCRE2_ERROR_NOMATCH || is_bad_utf(rc))
		return (0);
	if (rc < 0) {
		buf_init(&msg, UFOP_ERR_MSG_MAX * 2);
		buf_addf(&msg, "the route of %s ",
		    r->services->tasks[task].name);
		switch (rc) {
		case PCRE2_ERROR_MATCHLIMIT:
		case PCRE2_ERROR_DEPTHLIMIT:
		case PCRE2_ERROR_HEAPLIMIT:
		case PCRE2_ERROR_JIT_STACKLIMIT:
			buf_cstr(&msg, "took too long to match ");
			show_cmd(&msg, stage->cmd);
			return (fail(err, UFOP_BAD_INPUT, &msg));
		default:
			pcre2_get_error_message(rc, reason, sizeof(reason));
			buf_addf(&msg, "cannot be searched in ");
			show_cmd(&msg, stage->cmd);
			buf_addf(&msg, ": %s", (char *)reason);
			return (fail(err, UFOP_FAILED, &msg));
		}
	}

	ends = pcre2_get_ovector_pointer(r->data);
	stage->task = task;
	stage->nargs = 0;
	for (i = 0; i < route->ngroups; i++) {
		number = route->groups[i].number;
		/* Groups behind the last that took part are not written. */
		if (number >= (uint32_t)rc ||
		    ends[2 * number] == PCRE2_UNSET)
			continue;
		arg = &stage->args[stage->nargs++];
		arg->name = route->groups[i].name;
		arg->value = str_slice(stage->cmd, ends[2 * number],
		    ends[2 * number + 1]);
	}
	return (1);
}

/* What can be said about a cmd before it is taken apart. */
static int
check_cmd(struct str cmd, bool has_name, struct ufop_err *err)
{
	size_t	i;

	if (cmd.len == 0 && has_name)
		return (err_set(err, UFOP_BAD_INPUT, "the cmd is empty: "
		    "it is <ufop>/<arguments>, as in 'q/hello/bob'"));
	if (cmd.len > ROUTER_CMD_MAX)
		return (err_set(err, UFOP_BAD_INPUT, "the cmd has %zu bytes, "
		    "and no more than %d are taken", cmd.len, ROUTER_CMD_MAX));
	for (i = 0; i < cmd.len; i++) {
		if ((unsigned char)cmd.s[i] < 0x20 || cmd.s[i] == 0x7f)
			return (err_set(err, UFOP_BAD_INPUT, "the cmd has a "
			    "control byte, 0x%02x, at offset %zu: send such "
			    "text in URL-safe base64",
			    (unsigned char)cmd.s[i], i));
	}
	return (0);
}

static int
no_route(struct str cmd, int number, bool piped, struct ufop_err *err)
{
	struct buf	msg;

	buf_init(&msg, UFOP_ERR_MSG_MAX * 2);
	buf_cstr(&msg, "no route takes ");
	if (piped)
		buf_addf(&msg, "stage %d of the cmd, ", number);
	show_cmd(&msg, cmd);
	if (cmd.len == 0)
		buf_cstr(&msg, ", a cmd without arguments");
	return (fail(err, UFOP_NO_ROUTE, &msg));
}

/* Find the task of the stage numbered number (from 1), whose cmd is set. */
static int
stage_match(const struct router *r, struct router_stage *stage, int number,
    bool piped, struct search *search, struct ufop_err *err)
{
	int	i, rc;

	for (i = 0; i < r->nroutes; i++) {
		rc = route_match(r, i, stage, search, err);
		if (rc != 0)
			return (rc == 1 ? 0 : -1);
	}
	return (no_route(stage->cmd, number, piped, err));
}

/*
 * No route takes the first stage, text as it was sent: the mistake of most who
 * begin is to leave the ufop's name out where it belongs, or to write it where
 * it does not.  When that would help, err says so.
 */
static void
hint_name(const struct router *r, struct str text, bool has_name,
    struct router_match *match, struct search *search, struct ufop_err *err)
{
	struct router_stage	*stage = &match->stages[0];
	struct ufop_err		 unused;
	size_t			 len = strlen(err->msg);
	int			 slash;

	if (has_name) {
		if (text.len == 0 || text.s[0] == '/')
			return;
		match->text[0] = '/';
		memcpy(match->text + 1, text.s, text.len);
		stage->cmd = (struct str){ match->text, text.len + 1 };
	} else {
		text = str_slice(text, text.len > 0 && text.s[0] == '/',
		    text.len);
		if ((slash = str_find(text, '/')) == -1)
			return;
		stage->cmd = str_slice(text, (size_t)slash, text.len);
	}
	if (stage_match(r, stage, 1, false, search, &unused) == 0)
		snprintf(err->msg + len, sizeof(err->msg) - len, "%s", has_name ?
		    "; the ufop's own name stands in front, as in "
		    "'ufop/hello/bob'" :
		    "; the ufop's own name is left out here, as in "
		    "'hello/bob'");
}

/* Add what the stage's task asks of the whole request. */
static int
add_stage(const struct router *r, struct router_match *match,
    const struct router_stage *stage, struct ufop_err *err)
{
	const struct services_task	*st = &r->services->tasks[stage->task];

	if (stage == &match->stages[0]) {
		match->max_body = st->task->max_body;
		match->flags = st->task->flags;
	}
	if (match->timeout_ms > INT_MAX - st->task->timeout_ms)
		match->timeout_ms = INT_MAX;
	else
		match->timeout_ms += st->task->timeout_ms;
	if (strcmp(st->pool, "cpu") == 0)
		return (0);
	if (strcmp(match->pool, "cpu") != 0 &&
	    strcmp(match->pool, st->pool) != 0)
		return (err_set(err, UFOP_BAD_INPUT, "the stages of one cmd "
		    "run in one place, but %s needs the pool '%s' and a stage "
		    "before it the pool '%s': send them one after the other",
		    st->name, st->pool, match->pool));
	match->pool = st->pool;
	return (0);
}

int
router_match(const struct router *r, struct str cmd, bool has_name,
    struct router_match *match, struct ufop_err *err)
{
	struct router_stage	*stage;
	struct search		 search = { 0 };
	struct str		 rest = cmd, sent, text;
	size_t			 used = 0;
	int			 slash, number = 0;
	bool			 piped;

	if (check_cmd(cmd, has_name, err) == -1)
		return (-1);
	piped = str_find(cmd, '|') != -1;
	match->nstages = 0;
	match->pool = "cpu";
	match->timeout_ms = 0;
	do {
		text = sent = str_cut(&rest, '|');
		if (number++ == ROUTER_STAGES_MAX)
			return (err_set(err, UFOP_BAD_INPUT, "the cmd has more "
			    "than %d stages", ROUTER_STAGES_MAX));
		if (text.len == 0 && piped)
			return (err_set(err, UFOP_BAD_INPUT, "stage %d of the "
			    "cmd is empty: stages stand between single '|', "
			    "as in 'q/crop/80,60,0,0|thumbnail/w/40'", number));
		if (number == 1 && has_name) {
			slash = str_find(text, '/');
			text = str_slice(text, slash == -1 ? text.len :
			    (size_t)slash, text.len);
		} else if (text.len > 0 && text.s[0] != '/') {
			match->text[used] = '/';
			memcpy(match->text + used + 1, text.s, text.len);
			text = (struct str){ match->text + used, text.len + 1 };
			used += text.len;
		}
		stage = &match->stages[match->nstages];
		stage->cmd = text;
		if (stage_match(r, stage, number, piped, &search, err) == -1) {
			if (number == 1 && err->code == UFOP_NO_ROUTE)
				hint_name(r, sent, has_name, match, &search,
				    err);
			return (-1);
		}
		if (add_stage(r, match, stage, err) == -1)
			return (-1);
		match->nstages++;
	} while (rest.s != NULL);
	return (0);
}

void
router_job(const struct services *services, const struct router_match *match,
    struct job *job)
{
	const struct router_stage	*from;
	struct job_stage		*to;
	int				 i, k;

	job->pool = str_from(match->pool);
	job->nstages = match->nstages;
	for (i = 0; i < match->nstages; i++) {
		from = &match->stages[i];
		to = &job->stages[i];
		to->task = str_from(services->tasks[from->task].name);
		to->cmd = from->cmd;
		to->nargs = from->nargs;
		for (k = 0; k < from->nargs; k++) {
			to->args[k].name = str_from(from->args[k].name);
			to->args[k].value = from->args[k].value;
		}
	}
}
