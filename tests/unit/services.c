/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services.h"
#include "unit.h"

static int
nothing(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	(void)reply;
	return (0);
}

static const struct ufop_task one_task[] = {
	{ .name = "t", .route = "^/t$", .run = nothing },
	{ 0 }
};

/* What services_add() says of a task or a service that is not as it should be. */
void
test_services_bad_structs(void)
{
#define LONG	"0123456789012345678901234567890123456789"	/* 40 */
#define TASK(...)	.task = { __VA_ARGS__ }
#define SERVICE(...)	.service = { .abi = UFOP_ABI, __VA_ARGS__ }
	static const struct ufop_hook	bad_point[] = { { "job.middle", nothing },
	    { 0 } };
	static const struct ufop_hook	no_run[] = { { "job.before", NULL },
	    { 0 } };
	static const struct ufop_task	no_tasks[] = { { 0 } };
	static const struct ufop_task	same[] = {
		{ .name = "t", .route = "x", .run = nothing },
		{ .name = "u", .route = "x", .run = nothing },
		{ .name = "t", .route = "x", .run = nothing },
		{ 0 }
	};
	static const struct {
		const char		*want;
		struct ufop_task	 task;
		struct ufop_service	 service;
	} rows[] = {
	{ "cannot be named 'Hello'",	TASK(.name = "Hello") },
	{ "cannot be named ''",		TASK(.name = "") },
	{ "cannot be named 'a.b'",	TASK(.name = "a.b") },
	{ "cannot be named '" LONG "'",	TASK(.name = LONG) },
	{ "'x' has no route",		TASK(.name = "x") },
	{ "'x' has no function",	TASK(.name = "x", .route = "x") },
	{ "pool that cannot be named 'GPU'",
	    TASK(.name = "x", .route = "x", .run = nothing, .pool = "GPU") },
	{ "pool that cannot be named ''",
	    TASK(.name = "x", .route = "x", .run = nothing, .pool = "") },
	{ "pool that cannot be named '01234567890123456789012345678901'",
	    TASK(.name = "x", .route = "x", .run = nothing,
	    .pool = "01234567890123456789012345678901") },
	{ "limit below 0",
	    TASK(.name = "x", .route = "x", .run = nothing, .retries = -1) },
	{ "limit below 0",
	    TASK(.name = "x", .route = "x", .run = nothing, .max_body = -1) },
	{ "flags 0x40 that",
	    TASK(.name = "x", .route = "x", .run = nothing, .flags = 0x41) },
	{ "the service has no name",	SERVICE(.tasks = one_task) },
	{ "service cannot be named 'a b'",
	    SERVICE(.name = "a b", .tasks = one_task) },
	{ "service cannot be named '" LONG "'",
	    SERVICE(.name = LONG, .tasks = one_task) },
	{ "'s' has no tasks",		SERVICE(.name = "s") },
	{ "'s' has no tasks",		SERVICE(.name = "s", .tasks = no_tasks) },
	{ "'s' has two tasks named 't'", SERVICE(.name = "s", .tasks = same) },
	{ "a hook at 'job.middle', and there are only job.before",
	    SERVICE(.name = "s", .tasks = one_task, .hooks = bad_point) },
	{ "the hook at job.before has no function",
	    SERVICE(.name = "s", .tasks = one_task, .hooks = no_run) },
	{ "built against ufop ABI 99, and this is 1: rebuild it",
	    .service = { .abi = 99 } },
	};
	struct ufop_task	tasks[2] = { { 0 } };
	struct ufop_service	with_task = {
		.abi = UFOP_ABI, .name = "s", .tasks = tasks,
	};
	const struct ufop_service	*s;
	struct services		all = { 0 };
	struct ufop_err		err;
	size_t			i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&err, 0, sizeof(err));
		tasks[0] = rows[i].task;
		s = rows[i].task.name != NULL ? &with_task : &rows[i].service;
		CHECK_MSG(services_add(&all, s, &err) == -1, "row %zu: %s", i,
		    rows[i].want);
		CHECK_INT(err.code, UFOP_CONFIG);
		CHECK_MSG(strstr(err.msg, rows[i].want) != NULL,
		    "'%s'\n    is not in '%s'", rows[i].want, err.msg);
		CHECK_INT(all.nservices, 0);
		CHECK_INT(all.ntasks, 0);
	}
	services_release(&all);
}

void
test_services_add(void)
{
	static const struct ufop_task	tasks[] = {
		{ .name = "b", .route = "b", .run = nothing, .pool = "net" },
		{ .name = "012345678901234567890123456789012345678",
		  .route = "a", .run = nothing },
		{ 0 }
	};
	static const struct ufop_service	s = {
		.abi = UFOP_ABI, .tasks = tasks,
		.name = "abcdefghijklmnopqrstuvwxyz0123456789_-a",
	};
	static const struct ufop_service	t = {
		.abi = UFOP_ABI, .name = "t", .tasks = one_task,
	};
	struct services	all = { 0 };
	struct ufop_err	err = { 0 };

	CHECK_INT(services_add(&all, &t, &err), 0);
	CHECK_INT(services_add(&all, &s, &err), 0);
	CHECK_INT(all.nservices, 2);
	CHECK_INT(all.ntasks, 3);
	CHECK_STR(all.tasks[0].name, "t.t");
	CHECK_STR(all.tasks[0].pool, "cpu");
	CHECK_STR(all.tasks[1].pool, "net");
	CHECK_STR(all.tasks[2].name, "abcdefghijklmnopqrstuvwxyz0123456789_-a."
	    "012345678901234567890123456789012345678");
	CHECK(all.tasks[2].task == &tasks[1] && all.tasks[2].service == &s);
	CHECK_INT(services_find(&all, STR("t.t")), 0);
	CHECK_INT(services_find(&all, str_from(all.tasks[2].name)), 2);
	CHECK_INT(services_find(&all, STR("t.")), -1);
	CHECK_INT(services_find(&all, STR("t.tt")), -1);
	CHECK_INT(services_find(&all, STR("")), -1);

	CHECK_INT(services_add(&all, &t, &err), -1);
	CHECK(strstr(err.msg, "two services named 't'") != NULL);
	CHECK_INT(all.ntasks, 3);
	services_release(&all);
	CHECK_INT(all.ntasks, 0);
}

void
test_services_too_many(void)
{
	struct ufop_service	s[SERVICES_MAX + 1];
	char			names[SERVICES_MAX + 1][16];
	struct services		all = { 0 };
	struct ufop_err		err = { 0 };
	int			i;

	for (i = 0; i <= SERVICES_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "s%d", i);
		s[i] = (struct ufop_service){ .abi = UFOP_ABI,
		    .name = names[i], .tasks = one_task };
		CHECK_INT(services_add(&all, &s[i], &err),
		    i < SERVICES_MAX ? 0 : -1);
	}
	CHECK(strstr(err.msg, "one too many") != NULL);
	services_release(&all);
}

/* ---- files ------------------------------------------------------------ */

static void
write_file(const char *path, const char *text)
{
	FILE	*f = fopen(path, "w");

	CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* A shared object of its own, as an author would build it. */
static void
build(const char *so, const char *code)
{
	char	command[4096];

	write_file("code.c", code);
	snprintf(command, sizeof(command), "${CC:-cc} -shared -fPIC "
	    "-I%s/include -o %s code.c", unit_root, so);
	if (system("set -- ${CC:-cc}; command -v $1 >/dev/null") != 0)
		unit_skip("there is no C compiler");
	CHECK_MSG(system(command) == 0, "%s", command);
}

#define HEAD	"#include <ufop.h>\n"
#define RUN	"static int run(struct ufop_job *j, struct ufop_reply *r)\n" \
		"{ (void)j; return (ufop_reply_textf(r, \"x\")); }\n"
#define TASKS	"static const struct ufop_task tasks[] = {\n" \
		"{ .name = \"x\", .route = \"^/x$\", .run = run }, { 0 } };\n"

static void
check_load(const char *words, const char *want)
{
	struct services	all;
	struct ufop_err	err = { 0 };

	memset(&all, 0xa5, sizeof(all));
	CHECK_MSG(services_load(&all, words, "dir", &err) == -1, "%s", words);
	CHECK_INT(err.code, UFOP_CONFIG);
	CHECK_MSG(strstr(err.msg, want) != NULL, "'%s'\n    is not in '%s'",
	    want, err.msg);
	CHECK_INT(all.nservices, 0);
	CHECK(all.tasks == NULL);
}

void
test_services_load(void)
{
	struct services	all;
	struct ufop_err	err = { 0 };

	CHECK(mkdir("dir", 0700) == 0);
	check_load("images", "there is no service 'images' in dir, where there "
	    "is none");
	check_load("./gone.so", "there is no file './gone.so'");
	check_load("gone.so", "there is no file './gone.so'");

	build("dir/zero.so", HEAD RUN TASKS "UFOP_SERVICE(zero, tasks);\n");
	build("one.so", HEAD RUN TASKS "UFOP_SERVICE(one, tasks);\n");
	CHECK_MSG(services_load(&all, " zero,\tone.so ", "dir", &err) == 0,
	    "%s", err.msg);
	CHECK_INT(all.nservices, 2);
	CHECK_STR(all.tasks[0].name, "zero.x");
	CHECK_STR(all.tasks[1].name, "one.x");
	CHECK_STR(all.paths[0], "dir/zero.so");
	CHECK_STR(all.paths[1], "./one.so");
	CHECK(all.handles[0] != NULL && all.handles[1] != NULL);
	services_release(&all);
	services_release(&all);

	CHECK_INT(services_load(&all, "", "dir", &err), 0);
	CHECK_INT(all.nservices, 0);
	services_release(&all);

	CHECK(symlink("one.so", "alias.so") == 0);
	check_load("one.so ./one.so", "'./one.so' is named twice");
	check_load("one.so alias.so", "'./alias.so' is named twice");
	check_load("zero imges", "there is no service 'imges' in dir, where "
	    "there are: zero; a file of your own");
	CHECK(rename("dir", "other") == 0);
	check_load("zero", "in dir, which cannot be read");
}

void
test_services_load_bad(void)
{
	write_file("text.so", "not a shared object\n");
	check_load("text.so", "'./text.so' is no shared object");
	write_file("short.so", "\177E");
	check_load("short.so", "'./short.so' is no shared object");
	write_file("cut.so", "\177ELF and then nothing");
	check_load("cut.so", "cannot load the service './cut.so': ");
	CHECK(mkdir("d.so", 0700) == 0);
	check_load("d.so", "cannot read the service './d.so': Is a directory");

	build("empty.so", "int x;\n");
	check_load("empty.so", "'./empty.so' has no symbol ufop_service: end "
	    "its file with UFOP_SERVICE(name, tasks)");
	build("missing.so", HEAD "int nowhere(struct ufop_job *,"
	    " struct ufop_reply *);\n"
	    "static const struct ufop_task tasks[] = {\n"
	    "{ .name = \"x\", .route = \"^/x$\", .run = nowhere }, { 0 } };\n"
	    "UFOP_SERVICE(missing, tasks);\n");
	check_load("missing.so", "undefined symbol: nowhere");
	build("old.so", HEAD "#undef UFOP_ABI\n#define UFOP_ABI 99\n"
	    "UFOP_SERVICE(old, 0);\n");
	check_load("old.so", "cannot use './old.so': the service was built "
	    "against ufop ABI 99");
	build("bare.so", HEAD "UFOP_SERVICE(bare, 0);\n");
	check_load("bare.so", "cannot use './bare.so': service 'bare' has no "
	    "tasks");
	build("same.so", HEAD RUN TASKS "UFOP_SERVICE(same, tasks);\n");
	build("copy.so", HEAD RUN TASKS "UFOP_SERVICE(same, tasks);\n");
	check_load("same.so copy.so", "cannot use './copy.so': there are two "
	    "services named 'same'");
}
