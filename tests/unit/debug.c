/* SPDX-License-Identifier: MIT */
/*
 * The service debug, routed and called as a child does it, without a child.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "handler.h"
#include "router.h"
#include "setup.h"
#include "unit.h"

/*
 * The images are linked into this program, and with them a second symbol
 * ufop_service, which every service has by design.  1: only when their sizes
 * differ.
 */
UFOP_API const char	*__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return ("detect_odr_violation=1");
}

static struct settings		 settings;
static struct services		 services;
static struct router		*router;
static struct router_match	 match;
static struct arena		 arena;
static struct buf		 notes;
static struct ufop_reply	 reply;

/* flags are settings, up to a NULL. */
static void
start(const char *const *flags)
{
	struct settings_sources	 sources = { .flags = flags };
	struct ufop_err		 err = { 0 };
	char			 dir[4096], why[256];

	snprintf(dir, sizeof(dir), "%s/services", unit_build);
	settings_init(&settings);
	CHECK_MSG(settings_load(&settings, &sources, &err) == 0, "%s", err.msg);
	CHECK_MSG(services_load(&services, "debug", dir, &err) == 0, "%s",
	    err.msg);
	CHECK_MSG(settings_add_service(&settings, services.services[0],
	    services.paths[0], &err) == 0, "%s", err.msg);
	CHECK_MSG(settings_finish(&settings, &err) == 0, "%s", err.msg);
	router = router_new(&services, &err);
	CHECK_MSG(router != NULL, "%s", err.msg);
	CHECK_INT(setup_run(services.services[0], &settings, why,
	    sizeof(why)), 0);
	arena_init(&arena);
	buf_init(&notes, 4096);
	reply_init(&reply, NULL, 0);
}

static void
stop(void)
{
	services.services[0]->teardown();
	reply_release(&reply);
	buf_release(&notes);
	arena_release(&arena);
	router_free(router);
	settings_release(&settings);
	services_release(&services);
}

/* Run the task that takes cmd; the reply's status. */
static int
call(const char *cmd, struct str body, const char *type)
{
	struct handler_arg		 args[ROUTER_ARGS_MAX];
	const struct router_stage	*st = &match.stages[0];
	struct ufop_err			 err = { 0 };
	struct ufop_job_priv		 priv = {
		.arena = &arena, .args = args,
		.service = services.services[0], .settings = &settings,
		.notes = &notes,
	};
	struct ufop_job			 job = {
		.data = (const unsigned char *)body.s, .len = body.len,
		.content_type = type, .accept = "", .id = "an-id",
		.attempt = 1, .priv = &priv,
	};
	int				 r;

	CHECK_MSG(router_match(router, str_from(cmd), false, &match,
	    &err) == 0, "%s: %s", cmd, err.msg);
	for (; priv.nargs < st->nargs; priv.nargs++)
		args[priv.nargs] = (struct handler_arg){
			st->args[priv.nargs].name,
			arena_str(&arena, st->args[priv.nargs].value),
			st->args[priv.nargs].value.len,
		};
	job.cmd = arena_str(&arena, st->cmd);
	job.task = services.tasks[st->task].name;
	reply_release(&reply);
	reply_init(&reply, NULL, 0);
	r = services.tasks[st->task].task->run(&job, &reply);
	CHECK_INT(r, reply.failed ? -1 : 0);
	return (reply.status);
}

static void
check_text(const char *want)
{
	CHECK_MSG(reply.len == strlen(want) &&
	    memcmp(reply.data, want, reply.len) == 0, "%.*s, not %s",
	    (int)reply.len, (char *)reply.data, want);
}

static void
check_failed(const char *part)
{
	CHECK(reply.failed);
	CHECK_MSG(strstr(reply.err.msg, part) != NULL, "'%s' without '%s'",
	    reply.err.msg, part);
}

void
test_debug_hello(void)
{
	start(NULL);
	CHECK_INT(call("/hello", STR(""), ""), 200);
	check_text("hello world");
	CHECK_STR(reply.type, "text/plain; charset=utf-8");
	CHECK_INT(call("/hello/bob", STR(""), ""), 200);
	check_text("hello bob");
	stop();
}

void
test_debug_json(void)
{
	json_t	*root;

	start(NULL);
	CHECK_INT(call("/json/bob", STR("abc"), "text/x"), 200);
	CHECK_STR(reply.type, "application/json");
	root = json_loadb((char *)reply.data, reply.len, 0, NULL);
	CHECK(root != NULL);
	CHECK_STR(json_string_value(json_object_get(root, "cmd")),
	    "/json/bob");
	CHECK_STR(json_string_value(json_object_get(json_object_get(root,
	    "args"), "name")), "bob");
	CHECK_STR(json_string_value(json_object_get(root, "content_type")),
	    "text/x");
	CHECK_STR(json_string_value(json_object_get(root, "id")), "an-id");
	CHECK_STR(json_string_value(json_object_get(root, "task")),
	    "debug.json");
	CHECK(json_is_null(json_object_get(root, "url")));
	CHECK_INT(json_integer_value(json_object_get(root, "len")), 3);
	CHECK_INT(json_integer_value(json_object_get(root, "attempt")), 1);
	json_decref(root);

	/* A header may hold what is not UTF-8; JSON may not. */
	CHECK_INT(call("/json", STR(""), "\xff/\xfe"), 200);
	root = json_loadb((char *)reply.data, reply.len, 0, NULL);
	CHECK(json_is_null(json_object_get(root, "content_type")));
	CHECK_INT(json_object_size(json_object_get(root, "args")), 0);
	json_decref(root);
	stop();
}

void
test_debug_echo(void)
{
	start(NULL);
	CHECK_INT(call("/echo/anything/at all", ((struct str){ "a\0b", 3 }),
	    "image/x"), 200);
	CHECK_INT(reply.len, 3);
	CHECK(memcmp(reply.data, "a\0b", 3) == 0);
	CHECK_STR(reply.type, "image/x");
	CHECK_INT(call("/echo", STR(""), ""), 200);
	CHECK_INT(reply.len, 0);
	CHECK_STR(reply.type, "application/octet-stream");
	stop();
}

/* ---- log -------------------------------------------------------------- */

void
test_debug_log_is_off(void)
{
	static const char *const	flags[] = {
		"debug.log_dir=/tmp", NULL
	};

	start(flags);
	CHECK_INT(call("/log", STR(""), ""), 403);
	check_failed("set log = yes in the section [debug]");
	stop();
}

void
test_debug_log_is_nowhere(void)
{
	static const char *const	none[] = { "debug.log=yes", NULL };
	static const char *const	gone[] = {
		"debug.log=yes", "debug.log_dir=gone", NULL
	};
	static const char *const	empty[] = {
		"debug.log=yes", "debug.log_dir=empty", NULL
	};

	start(none);
	CHECK_INT(call("/log", STR(""), ""), 404);
	check_failed("set log_dir");
	stop();
	start(gone);
	CHECK_INT(call("/log", STR(""), ""), 404);
	check_failed("'gone'");
	check_failed("No such file");
	stop();
	CHECK(mkdir("empty", 0700) == 0);
	start(empty);
	CHECK_INT(call("/log", STR(""), ""), 404);
	check_failed("'empty'");
	stop();
}

/* Lines of 16 bytes, "line      00000\n" and on, last modified at time. */
static void
write_log(const char *path, int lines, time_t mtime)
{
	struct timespec	times[2] = { { .tv_sec = mtime }, { .tv_sec = mtime } };
	FILE		*f = fopen(path, "w");
	int		 i;

	CHECK(f != NULL);
	for (i = 0; i < lines; i++)
		fprintf(f, "line      %05d\n", i);
	CHECK(fclose(f) == 0);
	CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
}

void
test_debug_log_gives_the_end_of_the_newest_file(void)
{
	static const char *const	flags[] = {
		"debug.log=yes", "debug.log_dir=logs", NULL
	};
	FILE	*f;

	CHECK(mkdir("logs", 0700) == 0);
	write_log("logs/a", 1, 1000);
	write_log("logs/b", 200, 3000);
	write_log("logs/c", 2, 2000);
	/* Newer, but no file of a log. */
	CHECK(mkdir("logs/d", 0700) == 0);
	CHECK(mkfifo("logs/e", 0600) == 0);
	start(flags);

	CHECK_INT(call("/log", STR(""), ""), 200);
	CHECK_INT(reply.len, 200 * 16);
	CHECK_STR(reply.type, "text/plain; charset=utf-8");
	/* One KiB would be 64 lines; what is before the first break goes. */
	CHECK_INT(call("/log/1", STR(""), ""), 200);
	CHECK_INT(reply.len, 63 * 16);
	CHECK(memcmp(reply.data, "line      00137\n", 16) == 0);

	/* It is the log as it is now. */
	f = fopen("logs/b", "a");
	CHECK(f != NULL && fputs("the last line\n", f) >= 0 && fclose(f) == 0);
	CHECK_INT(call("/log/1", STR(""), ""), 200);
	CHECK(memcmp(reply.data + reply.len - 14, "the last line\n", 14) == 0);
	CHECK(memcmp(reply.data, "line      00137\n", 16) == 0);

	CHECK_INT(call("/log/0", STR(""), ""), 400);
	check_failed("from 1 to 16384");
	CHECK_INT(call("/log/99999999999", STR(""), ""), 400);
	stop();
}
