/* SPDX-License-Identifier: MIT */
/*
 * loop PROCESSES SECONDS SERVICE.so CMD FILE
 *
 * A handler at its best: processes that do nothing but run CMD on FILE, by the
 * code of the worker's children, with no queue, no HTTP and no sandbox around.
 * Prints one line of JSON: {"jobs":N,"seconds":S}.  A job that is running when
 * the time is up is finished, and its time counts.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "log.h"
#include "reqid.h"
#include "router.h"
#include "run.h"

#define PROCESSES_MAX	256

/* What all processes see. */
struct tally {
	pthread_barrier_t start;	/* all have run the job once */
	_Atomic int64_t	 jobs;
	_Atomic int64_t	 busy_us;	/* of all processes together */
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
work(const struct settings *settings, const struct services *services,
    struct ring_slot *slot, int file, int64_t us, struct tally *tally)
{
	struct run	 run;
	int64_t		 began, now, jobs = 0;

	/* Who waits for one that has failed shall not wait for ever. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* As the worker's children set them. */
	(void)mallopt(M_MMAP_THRESHOLD, 256 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
	run_init(&run, settings, services, NULL);
	slot->deadline_ms = INT64_MAX;
	run_job(&run, slot, 0, file);	/* touches what it will need again */
	check_reply(slot);
	(void)pthread_barrier_wait(&tally->start);
	began = clock_mono_us();
	do {
		run_job(&run, slot, 0, file);
		check_reply(slot);
		jobs++;
		now = clock_mono_us();
	} while (now - began < us);
	tally->jobs += jobs;
	tally->busy_us += now - began;
	run_release(&run);
	exit(0);
}

int
main(int argc, char **argv)
{
	struct settings_sources	 from = { 0 };
	struct settings		 settings;
	struct services		 services;
	struct ring_slot	*slot;
	struct tally		*tally;
	pthread_barrierattr_t	 attr;
	struct ufop_err		 err;
	int64_t			 n, seconds;
	off_t			 len;
	int			 file, i, status;

	if (argc != 6 ||
	    str_int(str_from(argv[1]), 1, PROCESSES_MAX, &n) == -1 ||
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

	if ((file = open(argv[5], O_RDONLY | O_CLOEXEC)) == -1 ||
	    (len = lseek(file, 0, SEEK_END)) == -1)
		fail_sys(argv[5]);
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED)
		fail_sys("cannot share a page");
	(void)pthread_barrierattr_init(&attr);
	(void)pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	(void)pthread_barrier_init(&tally->start, &attr, (unsigned)n);
	slot = xcalloc(1, sizeof(*slot));
	fill_entry(slot, &services, argv[4], (uint64_t)len);

	for (i = 0; i < n; i++) {
		switch (fork()) {
		case -1:
			fail_sys("cannot fork");
		case 0:
			work(&settings, &services, slot, file,
			    seconds * 1000000, tally);
		}
	}
	for (i = 0; i < n; i++)
		if (wait(&status) == -1 || status != 0)
			return (1);
	printf("{\"jobs\":%lld,\"seconds\":%.6f}\n", (long long)tally->jobs,
	    (double)tally->busy_us / (double)n / 1e6);
	return (0);
}
