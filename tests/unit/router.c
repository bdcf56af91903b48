/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reqid.h"
#include "router.h"
#include "unit.h"

static int
nothing(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	(void)reply;
	return (0);
}

#define T(task_name, task_route, ...) \
	{ .name = task_name, .route = task_route, .run = nothing, __VA_ARGS__ }

/* As wide a choice of routes as authors write, and some that nobody should. */
static const struct ufop_task tasks[] = {
	T("hello", "^/hello(?:/(?P<name>\\w+))?$", .timeout_ms = 100),
	T("thumb", "^/thumbnail(?:/w/(?P<w>\\d+))?(?:/h/(?P<h>\\d+))?"
	    "(?:/format/(?P<f>jpg|png))?$", .max_body = 1000),
	T("crop", "^/crop/(?P<w>\\d+),(?P<h>\\d+),(?P<x>-?\\d+),(?P<y>-?\\d+)$",
	    .timeout_ms = 20, .max_body = 2000, .flags = UFOP_TASK_NO_SOURCE),
	T("first", "^/order"),
	T("second", "^/order/second$"),
	T("needle", "needle"),
	T("tail", "\\.(?P<ext>jpe?g|png)$"),
	T("none", "^$"),
	T("slash", "^/$"),
	T("opt", "^/opt/(?P<a>a*)(?P<b>b)?(?P<c>c)?$"),
	T("twice", "^/twice/(?P<v>\\w+)=(?P=v)$"),
	T("either", "(?J)^/either/(?:(?P<v>a+)|(?P<v>b+))$"),
	T("case", "(?i)^/CASE/(?P<v>[a-z]+)$"),
	T("late", "^/late/(?P<z>.)(.)(?P<a>.)$"),
	T("nested", "^/nested/(?P<all>(?P<x>\\d+)x(?P<y>\\d+))$"),
	T("utf", "(*UTF)^/\xe5\xad\x97/(?P<c>.)$"),
	T("ucp", "(*UTF)(*UCP)^/ucp/(?P<c>\\w+)$"),
	T("byte", "^/byte/(?P<c>.)$"),
	T("space", "^/a b/(?P<c>.*)$"),
	T("pipe", "^/pipe/(?P<c>a|b)$"),
	T("behind", "(?<=/at/)(?P<v>\\w+)$"),
	T("lazy", "^/lazy/(?P<a>.+?)/(?P<b>.+)$"),
	T("url", "^/url/(?P<url>[A-Za-z0-9_=-]+)(?:/q/(?P<q>\\d+))?$"),
	T("shot", "^/shot$", .pool = "net", .timeout_ms = 3000),
	T("pdf", "^/pdf$", .pool = "net"),
	T("gpu", "^/gpu$", .pool = "gpu"),
	T("own", "^/own$", .pool = "cpu"),
	T("long", "^/long$", .timeout_ms = 2000000000),
	T("evil", "^/evil/(a+)+$"),
	T("quad", "(?:a|b|c)+?[12]"),
	{ 0 }
};

static const struct ufop_service service = {
	.abi = UFOP_ABI, .name = "t", .tasks = tasks,
};

static struct services		 services;
static struct router		*router;
static struct router_match	 match;		/* 40 KB: not for a stack */

static void
start(void)
{
	struct ufop_err	err = { 0 };

	CHECK_MSG(services_add(&services, &service, &err) == 0, "%s", err.msg);
	router = router_new(&services, &err);
	CHECK_MSG(router != NULL, "%s", err.msg);
}

static void
stop(void)
{
	router_free(router);
	services_release(&services);
}

/*
 * What became of a cmd, as one line: "hello name=bob | crop w=1 ...", or the
 * error's code and message.  A stage's cmd is shown in <> when it is not in
 * the cmd as it stands there.
 */
static void
render(char *out, size_t size, const char *cmd, bool has_name)
{
	struct ufop_err			 err = { 0 };
	const struct router_stage	*s;
	const struct router_arg		*a;
	FILE				*f = fmemopen(out, size, "w");

	if (router_match(router, str_from(cmd), has_name, &match, &err) == -1) {
		CHECK(err.code != UFOP_OK && err.msg[0] != '\0');
		fprintf(f, "%s: %s", err_name(err.code), err.msg);
		fclose(f);
		return;
	}
	CHECK_INT(err.code, UFOP_OK);
	for (s = match.stages; s < match.stages + match.nstages; s++) {
		fprintf(f, "%s%s", s == match.stages ? "" : " | ",
		    tasks[s->task].name);
		for (a = s->args; a < s->args + s->nargs; a++)
			fprintf(f, " %s=%.*s", a->name, STR_ARG(a->value));
		if (s->cmd.s >= match.text &&
		    s->cmd.s < match.text + sizeof(match.text))
			fprintf(f, " <%.*s>", STR_ARG(s->cmd));
	}
	fclose(f);
}

struct row {
	const char	*want;	/* the whole line; of an error, its beginning */
	const char	*cmd;
};

static void
check_rows(const struct row *row, bool has_name)
{
	char	got[2048];
	bool	same;

	start();
	for (; row->want != NULL; row++) {
		render(got, sizeof(got), row->cmd, has_name);
		same = strcmp(got, row->want) == 0;
		/* BAD_INPUT, NO_ROUTE: nothing else begins with a capital. */
		if (row->want[0] >= 'A' && row->want[0] <= 'Z')
			same = strncmp(got, row->want,
			    strlen(row->want)) == 0;
		CHECK_MSG(same, "'%s' gives\n    %s\nand should give\n    %s",
		    row->cmd, got, row->want);
	}
	stop();
}

void
test_router_with_name(void)
{
	static const struct row rows[] = {
	/* the ufop's name in front */
	{ "hello",				"q/hello" },
	{ "hello name=bob",			"q/hello/bob" },
	{ "hello name=bob",			"my-ufop_2.x/hello/bob" },
	{ "hello name=bob",			"\xe5\xad\x97/hello/bob" },
	{ "hello name=bob",			"/hello/bob" },
	{ "NO_ROUTE: no route takes '//hello'",	"q//hello" },
	{ "NO_ROUTE: no route takes '/q/hello'", "/q/hello" },

	/* the name was left out */
	{ "NO_ROUTE: no route takes '/w/1'; the ufop's own name stands in front, "
	    "as in 'ufop/hello/bob'",		"thumbnail/w/1" },
	{ "NO_ROUTE: no route takes stage 1 of the cmd, '/bob'; the ufop's own "
	    "name stands in front, as",		"hello/bob|thumbnail/w/1" },
	{ "none",				"q" },
	{ "none",				"hello" },
	{ "slash",				"q/" },
	{ "slash",				"/" },
	{ "BAD_INPUT: the cmd is empty",	"" },

	/* anchors are the route's own business */
	{ "NO_ROUTE: no route takes '/hello/'",	"q/hello/" },
	{ "NO_ROUTE: ",				"q/hello/bob/x" },
	{ "NO_ROUTE: ",				"q/x/hello" },
	{ "NO_ROUTE: ",				"q/hell" },
	{ "NO_ROUTE: ",				"q/Hello" },
	{ "needle",				"q/hay/needle/hay" },
	{ "needle",				"q/needle" },
	{ "NO_ROUTE: ",				"needle/x" },
	{ "tail ext=jpg",			"q/a.jpg" },
	{ "tail ext=jpeg",			"q/a.png.jpeg" },
	{ "NO_ROUTE: ",				"q/a.jpg/" },

	/* the first that matches takes it */
	{ "first",				"q/order" },
	{ "first",				"q/order/second" },
	{ "first",				"q/order/needle.jpg" },
	{ "needle",				"q/needle.jpg" },

	/* arguments */
	{ "thumb",				"q/thumbnail" },
	{ "thumb w=100",			"q/thumbnail/w/100" },
	{ "thumb h=200",			"q/thumbnail/h/200" },
	{ "thumb w=100 h=200",			"q/thumbnail/w/100/h/200" },
	{ "thumb w=1 h=2 f=png",		"q/thumbnail/w/1/h/2/format/png" },
	{ "thumb f=jpg",			"q/thumbnail/format/jpg" },
	{ "NO_ROUTE: ",				"q/thumbnail/w/" },
	{ "NO_ROUTE: ",				"q/thumbnail/w/-1" },
	{ "NO_ROUTE: ",				"q/thumbnail/h/1/w/1" },
	{ "NO_ROUTE: ",				"q/thumbnail/w/1x" },
	{ "NO_ROUTE: ",				"q/thumbnail/format/gif" },
	{ "crop w=800 h=600 x=0 y=0",		"q/crop/800,600,0,0" },
	{ "crop w=8 h=6 x=-1 y=-20",		"q/crop/8,6,-1,-20" },
	{ "NO_ROUTE: ",				"q/crop/800,600,0" },
	{ "NO_ROUTE: ",				"q/crop/800,600,0,0,0" },
	{ "thumb w=99999999999999999999",	"q/thumbnail/w/99999999999999999999" },

	/* no part in the match: no argument; nothing taken: an empty one */
	{ "opt a=",				"q/opt/" },
	{ "opt a=aa",				"q/opt/aa" },
	{ "opt a= b=b",				"q/opt/b" },
	{ "opt a= c=c",				"q/opt/c" },
	{ "opt a=aaa b=b c=c",			"q/opt/aaabc" },
	{ "opt a=aaa c=c",			"q/opt/aaac" },
	{ "NO_ROUTE: ",				"q/opt/cb" },

	/* groups of all kinds */
	{ "twice v=ab",				"q/twice/ab=ab" },
	{ "NO_ROUTE: ",				"q/twice/ab=ac" },
	{ "either v=aa",			"q/either/aa" },
	{ "either v=bb",			"q/either/bb" },
	{ "NO_ROUTE: ",				"q/either/ab" },
	{ "case v=BoB",				"q/case/BoB" },
	{ "case v=bob",				"q/CaSe/bob" },
	{ "late z=1 a=3",			"q/late/123" },
	{ "nested all=3x4 x=3 y=4",		"q/nested/3x4" },
	{ "lazy a=x b=y",			"q/lazy/x/y" },
	{ "lazy a=x b=y/z",			"q/lazy/x/y/z" },
	{ "behind v=home",			"q/x/at/home" },
	{ "url url=aHR0cDovL2EvYg==",		"q/url/aHR0cDovL2EvYg==" },
	{ "url url=a-_b q=75",			"q/url/a-_b/q/75" },
	{ "space c=c d",			"q/a b/c d" },
	{ "space c=",				"q/a b/" },

	/* bytes, or characters where the route says so */
	{ "utf c=\xe5\xad\x97",			"q/\xe5\xad\x97/\xe5\xad\x97" },
	{ "utf c=x",				"q/\xe5\xad\x97/x" },
	{ "NO_ROUTE: ",				"q/\xe5\xad\x97/xy" },
	{ "NO_ROUTE: ",				"q/\xe5\xad\x97/\xff" },
	{ "ucp c=\xc3\xa4\xc3\xb6",		"q/ucp/\xc3\xa4\xc3\xb6" },
	{ "NO_ROUTE: ",				"q/ucp/\xc3" },
	{ "byte c=\xff",			"q/byte/\xff" },
	{ "NO_ROUTE: ",				"q/byte/\xc3\xa4" },
	{ "NO_ROUTE: ",				"q/hello/\xc3\xa4" },

	/* stages; a slash written out is shown in <> */
	{ "hello | hello",			"q/hello|/hello" },
	{ "hello | hello </hello>",		"q/hello|hello" },
	{ "hello name=a | hello name=b </hello/b>", "q/hello/a|hello/b" },
	{ "crop w=8 h=6 x=0 y=0 | thumb w=4 </thumbnail/w/4>",
						"q/crop/8,6,0,0|thumbnail/w/4" },
	{ "hello | thumb w=1 </thumbnail/w/1> | needle </needle>",
						"q/hello|thumbnail/w/1|needle" },
	{ "none | hello </hello>",		"q|hello" },
	{ "hello | slash",			"q/hello|/" },
	{ "NO_ROUTE: no route takes stage 2 of the cmd, '/q/hello'",
						"q/hello|q/hello" },
	{ "NO_ROUTE: no route takes stage 1 of the cmd, '/x'", "q/x|hello" },
	{ "NO_ROUTE: no route takes stage 3 of the cmd, '/x'",
						"q/hello|hello|x" },
	{ "BAD_INPUT: stage 1 of the cmd is empty",	"|hello" },
	{ "BAD_INPUT: stage 2 of the cmd is empty",	"q/hello|" },
	{ "BAD_INPUT: stage 2 of the cmd is empty",	"q/hello||hello" },
	{ "BAD_INPUT: stage 1 of the cmd is empty",	"|" },
	{ "pipe c=a | slash",			"q/pipe/a|/" },

	/* pools: cpu goes with any one other */
	{ "shot | hello </hello>",		"q/shot|hello" },
	{ "hello | shot </shot>",		"q/hello|shot" },
	{ "shot | pdf </pdf> | own </own>",	"q/shot|pdf|own" },
	{ "BAD_INPUT: the stages of one cmd run in one place, but t.gpu needs "
	    "the pool 'gpu' and a stage before it the pool 'net'",
						"q/shot|hello|gpu" },

	/* bytes that no cmd has */
	{ "BAD_INPUT: the cmd has a control byte, 0x0a, at offset 7",
						"q/hello\n" },
	{ "BAD_INPUT: the cmd has a control byte, 0x09", "q/a\tb" },
	{ "BAD_INPUT: the cmd has a control byte, 0x7f", "q/a\x7f" },
	{ "BAD_INPUT: the cmd has a control byte, 0x1b", "q/\x1b[2J" },
	{ "BAD_INPUT: the cmd has a control byte, 0x0d", "q\r/hello" },

	/* what a message shows of a cmd */
	{ "NO_ROUTE: no route takes '/\\xff'\"'",	"q/\xff'\"" },
	{ NULL, NULL }
	};

	check_rows(rows, true);
}

void
test_router_without_name(void)
{
	static const struct row rows[] = {
	{ "hello",				"/hello" },
	{ "hello </hello>",			"hello" },
	{ "hello name=bob </hello/bob>",	"hello/bob" },
	{ "NO_ROUTE: no route takes '/q/hello'; the ufop's own name is left out "
	    "here, as in 'hello/bob'",		"q/hello" },
	{ "NO_ROUTE: no route takes '/q/hello'; the", "/q/hello" },
	{ "NO_ROUTE: no route takes '//hello'",	"//hello" },
	{ "none",				"" },
	{ "slash",				"/" },
	{ "hello | thumb w=1",			"/hello|/thumbnail/w/1" },
	{ "hello </hello> | thumb w=1 </thumbnail/w/1>",
						"hello|thumbnail/w/1" },
	{ "BAD_INPUT: stage 1 of the cmd is empty", "|hello" },
	{ "BAD_INPUT: stage 2 of the cmd is empty", "hello|" },
	{ NULL, NULL }
	};

	check_rows(rows, false);
}

/* What the request as a whole gets from its stages. */
void
test_router_request(void)
{
	static const struct {
		const char	*pool;
		int		 timeout_ms;
		int		 max_body;
		unsigned	 flags;
		const char	*cmd;
	} rows[] = {
	{ "cpu",	0, 1000, 0,			"q/thumbnail" },
	{ "cpu",	100, 0, 0,			"q/hello" },
	{ "cpu",	200, 0, 0,			"q/hello|hello" },
	{ "cpu",	20, 2000, UFOP_TASK_NO_SOURCE,	"q/crop/1,2,3,4" },
	{ "cpu",	120, 2000, UFOP_TASK_NO_SOURCE,	"q/crop/1,2,3,4|hello" },
	{ "cpu",	120, 0, 0,			"q/hello|crop/1,2,3,4" },
	{ "cpu",	20, 1000, 0,			"q/thumbnail|crop/1,2,3,4" },
	{ "cpu",	0, 0, 0,			"q/own" },
	{ "net",	3000, 0, 0,			"q/shot" },
	{ "net",	3100, 0, 0,			"q/hello|shot" },
	{ "net",	3000, 0, 0,			"q/own|shot|pdf" },
	{ "gpu",	0, 0, 0,			"q/gpu" },
	{ "cpu",	2000000000, 0, 0,		"q/long" },
	{ "cpu",	2147483647, 0, 0,		"q/long|long" },
	};
	struct ufop_err	err = { 0 };
	size_t		i;

	start();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* Whatever was there before. */
		memset(&match, 0xa5, sizeof(match));
		CHECK_MSG(router_match(router, str_from(rows[i].cmd), true,
		    &match, &err) == 0, "%s: %s", rows[i].cmd, err.msg);
		CHECK_MSG(strcmp(match.pool, rows[i].pool) == 0,
		    "%s: pool %s", rows[i].cmd, match.pool);
		CHECK_MSG(match.timeout_ms == rows[i].timeout_ms,
		    "%s: timeout_ms %d", rows[i].cmd, match.timeout_ms);
		CHECK_MSG(match.max_body == rows[i].max_body,
		    "%s: max_body %lld", rows[i].cmd,
		    (long long)match.max_body);
		CHECK_MSG(match.flags == rows[i].flags,
		    "%s: flags %u", rows[i].cmd, match.flags);
	}
	stop();
}

/* A cmd of len bytes: head, then fill over and over. */
static struct str
long_cmd(const char *head, const char *fill, size_t len)
{
	char	*s = malloc(len);
	size_t	 n = strlen(head), i;

	memcpy(s, head, n);
	for (i = n; i < len; i++)
		s[i] = fill[(i - n) % strlen(fill)];
	return ((struct str){ s, len });
}

static int
match_long(const char *head, const char *fill, size_t len, struct ufop_err *err)
{
	struct str	cmd = long_cmd(head, fill, len);
	int		r = router_match(router, cmd, true, &match, err);

	free((char *)(uintptr_t)cmd.s);
	return (r);
}

void
test_router_limits(void)
{
	struct ufop_err	err = { 0 };

	start();
	CHECK_INT(match_long("q/lazy/", "a/", ROUTER_CMD_MAX, &err), 0);
	CHECK_INT(match.stages[0].args[1].value.len, ROUTER_CMD_MAX - 9);
	CHECK_INT(match_long("q/lazy/", "a", ROUTER_CMD_MAX + 1, &err), -1);
	CHECK_INT(err.code, UFOP_BAD_INPUT);
	CHECK(strstr(err.msg, "16385 bytes") != NULL);

	/* Fifteen stages behind the name alone; then one too many. */
	CHECK_INT(match_long("q", "|/", 31, &err), 0);
	CHECK_INT(match.nstages, ROUTER_STAGES_MAX);
	CHECK_INT(match_long("q", "|/", 33, &err), -1);
	CHECK_INT(err.code, UFOP_BAD_INPUT);
	CHECK(strstr(err.msg, "more than 16 stages") != NULL);
	/* As many slashes as can ever be written out, on the longest cmd. */
	CHECK_INT(match_long("q|a.jpg|a.jpg|a.jpg|a.jpg|a.jpg|a.jpg|a.jpg|"
	    "a.jpg|a.jpg|a.jpg|a.jpg|a.jpg|a.jpg|a.jpg|needle", "x",
	    ROUTER_CMD_MAX, &err), 0);
	CHECK_INT(match.nstages, ROUTER_STAGES_MAX);

	CHECK_INT(router_match(router, (struct str){ "q/hello\0bob", 11 }, true,
	    &match, &err), -1);
	CHECK_INT(err.code, UFOP_BAD_INPUT);
	CHECK(strstr(err.msg, "0x00, at offset 7") != NULL);
	CHECK_INT(router_match(router, STR_NULL, true, &match, &err), -1);
	CHECK_INT(err.code, UFOP_BAD_INPUT);
	CHECK_INT(router_match(router, STR_NULL, false, &match, &err), 0);
	CHECK_INT(match.stages[0].cmd.len, 0);

	/* A message shows the first hundred bytes. */
	CHECK_INT(match_long("q/", "x", 5000, &err), -1);
	CHECK_INT(err.code, UFOP_NO_ROUTE);
	CHECK(strlen(err.msg) < 140 && strstr(err.msg, "xxx...'") != NULL);
	stop();
}

/*
 * Searches that would take for ever, or a fifth of a second, end with a 400.
 * The bound is generous: sanitizers and other tests share the machine.
 */
void
test_router_evil(void)
{
	static const struct {
		const char	*head, *fill, *task;
	} rows[] = {
		{ "q/evil/!", "x", NULL },	/* no route, and soon */
		{ "q/evil/", "aaaaaaaaaaaaaaaaaaaa!", "t.evil" },
		{ "q/quad/", "a", "t.quad" },
		{ "q/quad/", "abc", "t.quad" },
	};
	struct ufop_err	err;
	int64_t		began;
	size_t		i;

	start();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&err, 0, sizeof(err));
		began = clock_mono_us();
		CHECK_INT(match_long(rows[i].head, rows[i].fill,
		    ROUTER_CMD_MAX, &err), -1);
		CHECK_MSG(clock_mono_us() - began < 500000,
		    "row %zu took %lld us", i,
		    (long long)(clock_mono_us() - began));
		CHECK_INT(err.code, rows[i].task == NULL ? UFOP_NO_ROUTE :
		    UFOP_BAD_INPUT);
		if (rows[i].task != NULL)
			CHECK_MSG(strstr(err.msg, rows[i].task) != NULL &&
			    strstr(err.msg, "took too long") != NULL, "%s",
			    err.msg);
	}
	/* And the router goes on. */
	CHECK_INT(router_match(router, STR("q/hello/bob"), true, &match, &err),
	    0);
	stop();
}

/* A long cmd is searched in pieces: no match may fall between two. */
void
test_router_pieces(void)
{
	static const struct ufop_task	some[] = {
		T("bytes", "(?<!z)(?P<v>xyz)"),
		T("chars", "(*UTF)(?P<v>y\xe5\xad\x97)"),
		{ 0 }
	};
	static const struct ufop_service small = {
		.abi = UFOP_ABI, .name = "s", .tasks = some,
	};
	struct services	all = { 0 };
	struct router	*r;
	struct ufop_err	 err = { 0 };
	struct str	 cmd;
	const char	*word;
	size_t		 at, len;
	int		 task;

	CHECK_INT(services_add(&all, &small, &err), 0);
	r = router_new(&all, &err);
	for (task = 0; task < 2; task++) {
		word = task == 0 ? "xyz" : "y\xe5\xad\x97";
		len = strlen(word);
		for (at = 2; at + len <= 4002; at += 4) {
			/* Characters of two bytes, whole on either side. */
			cmd = long_cmd("q/", "\xc3\xa4", 4002);
			memcpy((char *)(uintptr_t)cmd.s + at, word, len);
			if (len % 2 == 1)
				memcpy((char *)(uintptr_t)cmd.s + at + len,
				    "-", at + len < 4002 ? 1 : 0);
			CHECK_MSG(router_match(r, cmd, true, &match,
			    &err) == 0, "at %zu: %s", at, err.msg);
			CHECK_INT(match.stages[0].task, task);
			CHECK(match.stages[0].args[0].value.s == cmd.s + at);
			free((char *)(uintptr_t)cmd.s);
		}
	}
	router_free(r);
	services_release(&all);
}

/* Routes that no router takes, and what it says of them. */
void
test_router_bad_routes(void)
{
	static const struct {
		const char	*route, *want;
	} rows[] = {
	{ "^/x/(", "service 's', task 'bad': bad route at offset 5: missing "
	    "closing parenthesis: ^/x/( <-- HERE " },
	{ "^/x)/y", "at offset 3: unmatched closing parenthesis: ^/x <-- HERE "
	    ")/y" },
	{ "[z-a]", "at offset 3: range out of order in character class" },
	{ "[abc", "missing terminating ] for character class" },
	{ "*", "at offset 0: quantifier does not follow a repeatable item:  "
	    "<-- HERE *" },
	{ "(?P<a>x)(?P<a>y)", "two named subpatterns have the same name" },
	{ "(?P<1a>x)", "subpattern name must start with a non-digit" },
	{ "(?P=missing)", "reference to non-existent subpattern" },
	{ "(?<=a+)b", "lookbehind assertion is not fixed length" },
	{ "\\", "\\ at end of pattern" },
	{ "(*UTF)\xff", "UTF-8 error" },
	{ "\x1b[2J", "at offset 4: missing terminating ] for character class: "
	    "\\x1b[2J" },
	{ "(?P<a>a)(?P<b>a)(?P<c>a)(?P<d>a)(?P<e>a)(?P<f>a)(?P<g>a)(?P<h>a)"
	  "(?P<i>a)(?P<j>a)(?P<k>a)(?P<l>a)(?P<m>a)(?P<n>a)(?P<o>a)(?P<p>a)"
	  "(?P<q>a)(?P<r>a)(?P<s>a)(?P<t>a)(?P<u>a)(?P<v>a)(?P<w>a)(?P<x>a)"
	  "(?P<y>a)(?P<z>a)(?P<A>a)(?P<B>a)(?P<C>a)(?P<D>a)(?P<E>a)(?P<F>a)"
	  "(?P<G>a)", "has 33 named groups" },
	/* Of a long one, the part around the mistake. */
	{ "^/0123456789012345678901234567890123456789012345678901234567890123"
	  "(*oops)0123456789012345678901234567890123456789",
	    "not recognized: ...0123456789" },
	};
	struct ufop_task	two[3] = {
		T("good", "^/good$"), T("bad", NULL), { 0 }
	};
	struct ufop_service	s = {
		.abi = UFOP_ABI, .name = "s", .tasks = two,
	};
	struct services		all;
	struct ufop_err		err;
	size_t			i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&all, 0, sizeof(all));
		memset(&err, 0, sizeof(err));
		two[1].route = rows[i].route;
		CHECK_INT(services_add(&all, &s, &err), 0);
		CHECK_MSG(router_new(&all, &err) == NULL, "%s", rows[i].route);
		CHECK_INT(err.code, UFOP_CONFIG);
		CHECK_MSG(strstr(err.msg, rows[i].want) != NULL,
		    "'%s' gives\n    %s\nwithout\n    %s", rows[i].route,
		    err.msg, rows[i].want);
		CHECK_MSG(strstr(err.msg, "task 'bad'") != NULL, "%s", err.msg);
		services_release(&all);
	}
}

void
test_router_no_tasks(void)
{
	struct services	 all = { 0 };
	struct ufop_err	 err = { 0 };
	struct router	*r = router_new(&all, &err);

	CHECK(r != NULL);
	CHECK_INT(router_match(r, STR("q/hello"), true, &match, &err), -1);
	CHECK_INT(err.code, UFOP_NO_ROUTE);
	router_free(r);
	router_free(NULL);
}
