/* SPDX-License-Identifier: MIT */
/*
 * loop PROCESSES SECONDS SERVICE.so CMD FILE
 *
 * A handler at its best: processes that do nothing but run CMD on FILE, by the
 * code of the worker's children, with no queue, no HTTP and no sandbox around.
 * Prints what parallel.h says.
 */
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "log.h"
#include "parallel.h"
#include "reqid.h"
#include "router.h"
#include "run.h"

/* What a process needs; each has its own. */
struct loop {
	const struct settings	*settings;
	const struct services	*services;
	struct ring_slot	*slot;
	int			 file;
	struct run		 run;
};

static void __attribute__((noreturn))
fail(const struct ufop_err *err)
{
	fprintf(stderr, "loop: %s\n", err->msg);
	exit(1);
}

static void __attribute__((noreturn))
fail_sys(const char *what)
{
	struct ufop_err	 err;

	err_sys(&err, "%s", what);
	fail(&err);
}

/* The job entry for cmd, as the front would queue it. */
static void
fill_entry(struct ring_slot *slot, const struct services *services,
    const char *cmd, uint64_t len)
{
	static struct router_match	 m;
	static struct job		 job;
	struct router			*router;
	struct ufop_err			 err;
	struct buf			 out;

	if ((router = router_new(services, &err)) == NULL ||
	    router_match(router, str_from(cmd), false, &m, &err) == -1)
		fail(&err);
	job.id = STR("bench");
	job.body_len = len;
	router_job(services, &m, &job);
	buf_init(&out, JOB_ENTRY_MAX);
	if (job_encode(&job, &out, &err) == -1)
		fail(&err);
	memcpy(slot->req, out.p, out.len);
	slot->req_len = out.len;
	buf_release(&out);
	router_free(router);
}

static void
check_reply(const struct ring_slot *slot)
{
	struct ufop_err	 err;
	struct reply	 r;

	if (reply_decode(&r, (struct str){ (const char *)slot->rep,
	    slot->rep_len }, &err) == -1)
		fail(&err);
	if (r.status == 200)
		return;
	err_set(&err, UFOP_FAILED, "the handler answers %d: %.*s", r.status,
	    STR_ARG(r.ref));
	fail(&err);
}

static void
begin(void *arg)
{
	struct loop	*l = arg;

	run_init(&l->run, l->settings, l->services, NULL);
	l->slot->deadline_ms = INT64_MAX;
}

static void
once(void *arg)
{
	struct loop	*l = arg;
	struct ufop_err	 err;

	/* For a result that the slot cannot hold; used up when it was needed. */
	if (l->run.reply_fd[0] == -1 && (l->run.reply_fd[0] =
	    memfd_create("reply", MFD_CLOEXEC)) == -1) {
		err_sys(&err, "cannot make a file in memory");
		fail(&err);
	}
	run_job(&l->run, l->slot, 0, l->file);
	check_reply(l->slot);
}

int
main(int argc, char **argv)
{
	struct settings_sources	 from = { 0 };
	struct settings		 settings;
	struct services		 services;
	struct loop		 loop = { 0 };
	struct ufop_err		 err;
	int64_t			 n, seconds;
	off_t			 len;
	int			 i;

	if (argc != 6 ||
	    str_int(str_from(argv[1]), 1, PARALLEL_MAX, &n) == -1 ||
	    str_int(str_from(argv[2]), 1, 3600, &seconds) == -1) {
		fprintf(stderr,
		    "usage: loop PROCESSES SECONDS SERVICE.so CMD FILE\n");
		return (2);
	}
	settings_init(&settings);
	if (settings_load(&settings, &from, &err) == -1 ||
	    services_load(&services, argv[3], ".", &err) == -1)
		fail(&err);
	for (i = 0; i < services.nservices; i++)
		if (settings_add_service(&settings, services.services[i],
		    services.paths[i], &err) == -1)
			fail(&err);
	if (settings_finish(&settings, &err) == -1)
		fail(&err);
	log_open("loop", LOG_LEVEL_WARN);

	if ((loop.file = open(argv[5], O_RDONLY | O_CLOEXEC)) == -1 ||
	    (len = lseek(loop.file, 0, SEEK_END)) == -1)
		fail_sys(argv[5]);
	loop.settings = &settings;
	loop.services = &services;
	loop.slot = xcalloc(1, sizeof(*loop.slot));
	fill_entry(loop.slot, &services, argv[4], (uint64_t)len);
	return (parallel((int)n, seconds, begin, once, &loop));
}
