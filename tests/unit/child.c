/* SPDX-License-Identifier: MIT */
/*
 * One real child, as its parent sees it.
 */
#include <sys/mman.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "reqid.h"
#include "unit.h"

static int
do_slow(struct ufop_job *job, struct ufop_reply *reply)
{
	usleep(100000);
	return (ufop_reply_bytes(reply, job->data, job->len, "text/plain"));
}

static int
do_echo(struct ufop_job *job, struct ufop_reply *reply)
{
	return (ufop_reply_bytes(reply, job->data, job->len, "text/plain"));
}

static int
do_hang(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	for (;;)
		pause();
	return (ufop_reply_textf(reply, "never"));
}

static const struct ufop_task tasks[] = {
	{ .name = "slow", .route = "^/slow", .run = do_slow,
	  .flags = UFOP_TASK_NO_SOURCE },
	{ .name = "echo", .route = "^/echo", .run = do_echo,
	  .flags = UFOP_TASK_NO_SOURCE },
	{ .name = "hang", .route = "^/hang", .run = do_hang,
	  .flags = UFOP_TASK_NO_SOURCE },
	{ .name = NULL }
};

static const struct ufop_service service = {
	.abi = UFOP_ABI, .name = "unit", .tasks = tasks,
};

static struct settings	settings;
static struct services	services;
static struct spool	spool;
static struct child	child;

static void
start(void)
{
	static struct child_conf	 conf;
	static char			 base[180];
	struct settings_sources		 from = { .dir = NULL };
	struct ufop_err			 err;
	struct pollfd			 pfd;
	int64_t				 until = clock_mono_ms() + 10000;

	/* The default working directory may be closed to the child's user. */
	snprintf(base, sizeof(base), "/dev/shm/unit-child.%d", (int)getpid());
	settings_init(&settings);
	CHECK_MSG(settings_load(&settings, &from, &err) == 0, "%s", err.msg);
	CHECK_MSG(services_add(&services, &service, &err) == 0, "%s", err.msg);
	CHECK_MSG(spool_open(&spool, base, &err) == 0, "%s", err.msg);
	conf = (struct child_conf){ &settings, &services, &spool, "cpu",
		spool.path };
	CHECK_MSG(child_spawn(&child, &conf, &err) == 0, "%s", err.msg);
	while (!child.ready) {
		CHECK_MSG(clock_mono_ms() < until, "the child is not ready");
		pfd = (struct pollfd){ child.sock, POLLIN, 0 };
		(void)poll(&pfd, 1, 100);
		child_hear(&child);
	}
}

static void
end(void)
{
	char	 how[80];

	child_kill(&child);
	(void)child_reap(&child, how, sizeof(how));
	CHECK_INT(rmdir(spool.path), 0);	/* nothing of it is left */
	spool_close(&spool);
	services_release(&services);
	settings_release(&settings);
}

static int
body(const char *text)
{
	int	 fd = memfd_create("body", MFD_CLOEXEC);

	CHECK(fd != -1);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return (fd);
}

static int
put(enum ring_kind kind, const char *task, int fd)
{
	static struct job	 job;
	struct buf		 entry;
	struct ufop_err		 err;
	int			 slot;

	memset(&job, 0, sizeof(job));
	job.pool = STR("cpu");
	job.id = STR("unit");
	job.nstages = 1;
	job.stages[0].task = str_from(task);
	job.stages[0].cmd = STR("/");
	buf_init(&entry, JOB_ENTRY_MAX);
	CHECK_INT(job_encode(&job, &entry, &err), 0);
	slot = child_put(&child, kind, (struct str){ entry.p, entry.len },
	    clock_mono_ms() + 10000, fd, NULL, &child);
	buf_release(&entry);
	CHECK(slot != -1);
	return (slot);
}

static void
wait_done(int slot)
{
	int64_t		 until = clock_mono_ms() + 10000;
	struct pollfd	 pfd;

	while (child_state(&child, slot) != RING_DONE) {
		CHECK_MSG(clock_mono_ms() < until, "the job is not done");
		pfd = (struct pollfd){ child.sock, POLLIN, 0 };
		(void)poll(&pfd, 1, 20);
		child_hear(&child);
	}
}

static void
check_answer(int slot, const char *want)
{
	struct child_answer	 a;
	struct reply		 r;
	struct ufop_err		 err;

	wait_done(slot);
	CHECK(child_reply(&child, slot, &a));
	CHECK_INT(reply_decode(&r, a.rep, &err), 0);
	CHECK_MSG(str_eq_c(r.ref, want), "'%.*s' instead of '%s'",
	    STR_ARG(r.ref), want);
	child_done(&child, slot);
}

void
test_child_runs_a_job(void)
{
	start();
	check_answer(put(RING_JOB, "unit.echo", body("hello")), "hello");
	end();
}

/*
 * A bell was rung for a job that was taken back; its slot holds another by the
 * time the child hears it.  That one must get its own body.
 */
void
test_child_job_taken_back_leaves_its_body_to_nobody(void)
{
	int64_t	 until = clock_mono_ms() + 10000;
	int	 slow, first, second;

	start();
	slow = put(RING_JOB, "unit.slow", body("slow"));
	child_ring(&child);
	while (child_state(&child, slow) != RING_RUNNING)
		CHECK(clock_mono_ms() < until);
	first = put(RING_JOB, "unit.echo", body("of the first client"));
	CHECK(child_take_back(&child, first));
	second = put(RING_JOB, "unit.echo", body("of the second client"));
	CHECK_INT(second, first);
	check_answer(second, "of the second client");
	check_answer(slow, "slow");
	end();
}

void
test_child_started_job_is_not_taken_back(void)
{
	int64_t	 until = clock_mono_ms() + 10000;
	int	 slot;

	start();
	slot = put(RING_JOB, "unit.slow", -1);
	child_ring(&child);
	while (child_state(&child, slot) != RING_RUNNING)
		CHECK(clock_mono_ms() < until);
	CHECK(!child_take_back(&child, slot));
	check_answer(slot, "");
	end();
}

/*
 * It waits a moment for the reply of a second short job.  The socket is read
 * only here, so what comes is the bell for the last short one.
 */
void
test_child_tells_a_reply_before_a_long_job(void)
{
	struct pollfd	 pfd;
	int		 i, slot;

	start();
	pfd = (struct pollfd){ child.sock, POLLIN, 0 };
	for (i = 0; i < 64; i++)	/* none takes long after that */
		check_answer(put(RING_JOB, "unit.echo", body("warm")), "warm");
	while (poll(&pfd, 1, 20) == 1)
		child_hear(&child);
	slot = put(RING_JOB, "unit.echo", -1);
	(void)put(RING_LONG_JOB, "unit.hang", -1);
	child_ring(&child);
	CHECK_INT(poll(&pfd, 1, 10000), 1);
	check_answer(slot, "");
	end();
}

void
test_child_kill_ends_what_hangs(void)
{
	struct pollfd	 pfd;
	char		 how[80];

	start();
	(void)put(RING_JOB, "unit.hang", -1);
	child_ring(&child);
	child_kill(&child);
	pfd = (struct pollfd){ child.pidfd, POLLIN, 0 };
	CHECK_INT(poll(&pfd, 1, 10000), 1);
	(void)child_reap(&child, how, sizeof(how));
	CHECK_STR(how, "was killed by SIGKILL");
	CHECK_INT(rmdir(spool.path), 0);
}
