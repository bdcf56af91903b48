/* SPDX-License-Identifier: MIT */
/*
 * The worker parent's life: start, loop, signals, end.
 */
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "log.h"
#include "parent.h"
#include "sandbox.h"
#include "strays.h"
#include "worker.h"

static int
attach(redisAsyncContext *ac, void *arg)
{
	struct parent	*p = arg;

	return (loop_redis(p->loop, ac));
}

static void
on_ready(struct queue_conn *qc)
{
	beat_connected(qc->arg);
}

static bool
is_ours(pid_t pid, const void *arg)
{
	const struct parent	*p = arg;
	int			 i, k;

	if (pid == p->fetch_pid)
		return (true);
	for (i = 0; i < p->npools; i++)
		for (k = 0; k < p->pools[i].nchildren; k++)
			if (p->pools[i].children[k]->child.pid == pid)
				return (true);
	return (false);
}

void
worker_kill_strays(struct parent *p)
{
	int	 n = strays_kill(is_ours, p);

	if (n > 0)
		log_warn("worker.strays killed=%d msg=\"left behind by a "
		    "child\"", n);
}

static void
stop_begin(struct parent *p)
{
	struct wjob	*j, *next;

	if (p->stopping) {
		/* Asked twice: do not wait for what runs. */
		p->stop_by_ms = 0;
		return;
	}
	p->stopping = true;
	p->stop_by_ms = clock_mono_ms() + settings_time_ms(p->settings,
	    "worker", "drain");
	log_info("worker.stop jobs=%d msg=\"taking nothing new\"", p->njobs);
	for (j = TAILQ_FIRST(&p->all); j != NULL; j = next) {
		next = TAILQ_NEXT(j, all);
		if (j->state == WJOB_PENDING || j->state == WJOB_FETCHING ||
		    j->state == WJOB_LOADING)
			job_hand_back(j);
	}
}

static void
on_signal(struct loop_fd *lfd, uint32_t events)
{
	struct parent			*p = lfd->arg;
	struct signalfd_siginfo		 si;
	int				 i;

	(void)events;
	while (read(lfd->fd, &si, sizeof(si)) == sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGHUP:
			log_info("worker.reload msg=\"children are "
			    "replaced\"");
			for (i = 0; i < p->npools; i++)
				pool_retire(&p->pools[i]);
			break;
		case SIGCHLD:
			worker_kill_strays(p);
			break;
		default:
			stop_begin(p);
			break;
		}
	}
}

/* One step of an orderly end; true when all is done. */
static bool
stop_step(struct parent *p)
{
	struct wjob	*j, *next;
	bool		 late = clock_mono_ms() >= p->stop_by_ms, quiet = true;
	int		 i;

	for (i = 0; i < p->npools; i++)
		if (!pool_stop_taking(&p->pools[i]))
			quiet = false;
	/* What came in while the wait was being ended goes back at once. */
	for (j = TAILQ_FIRST(&p->all); j != NULL; j = next) {
		next = TAILQ_NEXT(j, all);
		if (j->state == WJOB_PENDING || j->state == WJOB_FETCHING ||
		    j->state == WJOB_LOADING ||
		    (late && j->state == WJOB_RUNNING)) {
			if (j->state == WJOB_RUNNING) {
				j->child->owner[j->slot] = NULL;
				j->pool->nrunning--;
				j->child = NULL;
			}
			job_hand_back(j);
		}
	}
	for (i = 0; i < p->npools; i++)
		if (!pool_stop_children(&p->pools[i], late))
			quiet = false;
	if (p->gone)
		return (true);
	if (!p->cmd.ready)
		return (late || (quiet && p->njobs == 0));
	if (quiet && (p->njobs == 0 || (late &&
	    clock_mono_ms() >= p->stop_by_ms + 1000)))
		beat_bye(p);
	return (false);
}

static void
say_ready(struct parent *p)
{
	int	 i;

	if (!p->beaten)
		return;
	for (i = 0; i < p->npools; i++)
		if (!pool_ready(&p->pools[i]))
			return;
	log_info("worker.ready id=%s", p->id);
	if (p->ready_fd != -1) {
		(void)!write(p->ready_fd, "ready\n", 6);
		close(p->ready_fd);
	}
	p->ready_fd = -2;
	p->next_beat_ms = 0;	/* now with pools that are ready */
}

static void
worker_loop(struct parent *p)
{
	int64_t	 due;
	int	 i, ms, wait;

	for (;;) {
		for (i = 0; i < p->npools; i++) {
			pool_dispatch(&p->pools[i]);
			pool_want(&p->pools[i]);
		}
		jobs_flush(p);
		loop_flush(p->loop);
		if (p->ready_fd != -2)
			say_ready(p);
		if (p->stopping && stop_step(p)) {
			loop_flush(p->loop);
			return;
		}
		wait = p->stopping || p->ready_fd != -2 ? 20 : 250;
		for (i = 0; i < p->npools; i++)
			if ((ms = pool_patience_ms(&p->pools[i])) < wait)
				wait = ms;
		if (p->next_due_ms != -1 && p->cmd.ready && !p->bye_sent) {
			due = p->next_due_ms - queue_now_ms();
			if (due < wait)		/* ticks come every 5 ms at most */
				wait = due < 5 ? 5 : (int)due;
		}
		loop_flush(p->loop);
		loop_once(p->loop, wait);
		/* Looking at every job each time would cost the fast path. */
		if (clock_mono_ms() >= p->next_tick_ms) {
			p->next_tick_ms = clock_mono_ms() + (wait < 5 ? 5 :
			    wait > 50 ? 50 : wait);
			for (i = 0; i < p->npools; i++)
				pool_tick(&p->pools[i]);
			jobs_tick(p);
			fetch_tick(p);
			queue_conn_tick(&p->cmd);
			beat_tick(p);
		}
	}
}

static int
worker_init(struct parent *p, struct ufop_err *err)
{
	const struct settings	*s = p->settings;
	struct settings_pool	 sp[SETTINGS_POOLS_MAX];
	struct sandbox_conf	 sb = { .profile = SANDBOX_CPU };
	struct ufop_err		 why;
	int			 i;

	p->tag = settings_str(s, "redis", "tag");
	reqid_make(p->id);
	snprintf(p->prefix, sizeof(p->prefix), "{%s}", p->tag);
	queue_key(p->run_key, p->tag, "run", p->id);
	queue_key(p->worker_key, p->tag, "worker", p->id);
	queue_key(p->workers_key, p->tag, "workers", NULL);
	queue_key(p->delayed_key, p->tag, "delayed", NULL);
	queue_key(p->dead_key, p->tag, "dead", NULL);
	queue_key(p->stat_key, p->tag, "stat", NULL);
	p->lease_ms = (int)settings_time_ms(s, "queue", "lease");
	p->backoff_ms = (int)settings_time_ms(s, "queue", "retry_backoff");
	p->dead_max = settings_int(s, "queue", "dead_max");
	p->prefetch = (int)settings_int(s, "worker", "prefetch");
	p->share = settings_bool(s, "spool", "share");
	p->sandbox_on = settings_bool(s, "worker", "sandbox");
	p->started_s = clock_real_ms() / 1000;
	sb.user = settings_str(s, "worker", "child_user");
	if (sandbox_check(&sb, &why) == -1)
		return (settings_bad(s, "worker", "child_user", err, "%s",
		    why.msg));
	if (p->sandbox_on)
		sandbox_describe(&sb, p->sandbox, sizeof(p->sandbox));
	else
		snprintf(p->sandbox, sizeof(p->sandbox), "off");

	if (queue_addr_parse(&p->addr, settings_str(s, "redis", "url"),
	    err) == -1 || queue_addr_resolve(&p->addr, err) == -1 ||
	    spool_open(&p->spool, settings_str(s, "spool", "dir"), err) == -1 ||
	    beat_open(p, err) == -1 ||
	    egress_policy_init(&p->egress, settings_str(s, "fetch", "allow"),
	    settings_str(s, "fetch", "deny"), err) == -1 ||
	    (p->loop = loop_new(err)) == NULL)
		return (-1);
	fetch_conf_init(&p->fetch_conf, s, &p->egress);
	p->npools = settings_pools(s, sp);
	for (i = 0; i < p->npools; i++)
		pool_init(&p->pools[i], p, &sp[i]);
	return (fetch_start(p, err));
}

/* Tasks in a pool that nobody here serves would wait for ever elsewhere. */
static void
warn_pools(struct parent *p)
{
	const struct services_task	*t;
	int				 i;

	for (i = 0; i < p->services->ntasks; i++) {
		t = &p->services->tasks[i];
		if (pool_find(p, str_from(t->pool)) == NULL)
			log_warn("worker.pool task=%s pool=%s msg=\"this worker "
			    "does not serve it (setting worker.pools)\"",
			    t->name, t->pool);
	}
}

int
worker_run(const struct settings *settings, const struct services *services,
    int ready_fd)
{
	static struct parent	 parent;
	struct parent		*p = &parent;
	struct loop_fd		 sig = { .run = on_signal, .arg = p };
	struct ufop_err		 err;
	struct rlimit		 rl;
	sigset_t		 set;
	int			 i, rc = 0, fd;

	p->settings = settings;
	p->services = services;
	p->ready_fd = ready_fd;
	p->lock_fd = -1;
	p->spool.dirfd = -1;
	p->fetch_pid = -1;
	p->next_due_ms = -1;
	TAILQ_INIT(&p->all);
	TAILQ_INIT(&p->settle);
	p->tasks = xcalloc(services->ntasks + 1, sizeof(*p->tasks));
	/* A descriptor or two a job in hand, seventeen a child. */
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);

	if (worker_init(p, &err) == -1) {
		fprintf(stderr, "ufop: %s\n", err.msg);
		rc = err_exit_status(err.code);
		goto end;
	}
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	(void)loop_add(p->loop, &sig, fd, EPOLLIN);
	log_info("worker.start id=%s pid=%d spool=%s sandbox=%s", p->id,
	    (int)getpid(), p->spool.path, log_quote(p->sandbox,
	    strlen(p->sandbox)));
	warn_pools(p);
	p->cmd.addr = &p->addr;
	p->cmd.attach = attach;
	p->cmd.on_ready = on_ready;
	p->cmd.arg = p;
	p->cmd.what = "cmd";
	queue_conn_start(&p->cmd);
	for (i = 0; i < p->npools; i++)
		queue_conn_start(&p->pools[i].take);
	worker_loop(p);
	log_info("worker.end done=%llu failed=%llu died=%llu",
	    (unsigned long long)p->done, (unsigned long long)p->failed,
	    (unsigned long long)p->died);
	for (i = 0; i < p->npools; i++)
		queue_conn_stop(&p->pools[i].take);
	queue_conn_stop(&p->cmd);
	loop_del(p->loop, &sig);
	close(fd);
end:
	p->stopping = true;
	for (i = 0; i < p->npools; i++)
		pool_release(&p->pools[i]);
	fetch_stop(p);
	while (!TAILQ_EMPTY(&p->all))
		job_forget(TAILQ_FIRST(&p->all));
	beat_close(p);
	spool_close(&p->spool);
	egress_policy_release(&p->egress);
	buf_release(&p->strangers);
	if (p->loop != NULL)
		loop_free(p->loop);
	free(p->tasks);
	return (rc);
}
