/* SPDX-License-Identifier: MIT */
/*
 * ufop up: everything in one place.  A private Redis unless one is configured,
 * the front and a worker, started, watched and stopped together.
 *
 *	STARTING --all answer--> RUNNING --signal--> STOPPING --all gone--> end
 *	    |                       |  ^
 *	    '-- a part ends: stop   '--' a part ends: started again, later
 *	        and say why              each time
 *
 * While RUNNING for a guest (ufop dev), worker and front can be swapped:
 *
 *	SWAP_NONE --up_swap()--> SWAP_WORKER --the new one is ready, the old is
 *	 ^     ^                  |             told to stop--> SWAP_FRONT
 *	 |     '-- it ends: the --'                                  |
 *	 |         old one goes on         the new one answers, the  |
 *	 |                                 old is told to stop       |
 *	 '----- the old takes no new connection ---- SWAP_OLD <------'
 *
 * All fronts listen on one socket, which is ours, so that nobody finds it
 * closed; each has one of its own besides, by which it is known whether that
 * very one is there.
 */
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "cli.h"
#include "front.h"
#include "instance.h"
#include "log.h"
#include "part.h"
#include "probe.h"
#include "redis.h"
#include "reqid.h"
#include "up.h"

#define READY_MS	15000	/* all parts must answer by then */
#define PROBE_MS	2	/* between two tries while starting */
#define UNWELL_MS	2000	/* for a new front to see Redis and workers */
#define BACKOFF_MIN_MS	100	/* before a part that died is started again */
#define BACKOFF_MAX_MS	5000
#define STEADY_MS	10000	/* one that ran so long starts afresh */
#define REDIS_STOP_MS	5000
#define STRAYS_MS	2000	/* for orphans of the parts to vanish */
/*
 * A terminal and a parent such as make may both pass on one Ctrl-C: a second
 * signal means "now" only when it comes this much later.
 */
#define SAME_SIGNAL_MS	300

/* Started from the first to the last, stopped from the last to the first. */
enum { REDIS, WORKER, FRONT, PARTS };
/* Behind them in the same array: what was replaced and has not ended yet. */
#define OLD_MAX		8
#define SLOTS		(PARTS + OLD_MAX)

enum state { STARTING, RUNNING, STOPPING };
enum swap { SWAP_NONE, SWAP_WORKER, SWAP_FRONT, SWAP_OLD };

struct up {
	struct cli	*cli;
	enum state	 state;
	int		 status;	/* exit status */
	struct part	 parts[SLOTS];
	bool		 own_redis;
	int64_t		 began_ms;	/* CLOCK_MONOTONIC */
	int64_t		 stop_ms;	/* first signal to stop */
	int		 drain_ms;	/* for front and worker to finish */

	struct instance	 instance;
	char		*redis_path;	/* of the program */
	bool		 others_started; /* front and worker, behind Redis */

	char		 host[256];	/* where the front is to be reached */
	int		 port;
	int		 signal_fd;
	int		 ready_fd;	/* the worker's word; -1 once given */
	struct probe	 probe;
	int64_t		 probe_ms;	/* the next one; 0: not yet */
	int		 last_status;	/* of /health; 0: nobody answered */
	char		 origin[300];	/* what callers are told */

	/* For a guest alone. */
	const struct up_guest *guest;	/* NULL: ufop up */
	enum swap	 swap;
	int64_t		 swap_ms;	/* when it began */
	struct part	*old;		/* the one that is being replaced */
	int		 listen_fd;	/* of all fronts; -1: theirs is their own */
	int		 nfronts;	/* each has a socket of its own */
	char		 front_set[112]; /* "--set=front.unix=" and that */
	char		 old_sock[96];	/* of the one that is being replaced */
	char		*flags[PART_ARGV_MAX];	/* of every part; ends with NULL */
};

static const struct cli_opt opts[] = {
	FRONT_OPTS,
	{ 0 }
};

/* ---- before the start ------------------------------------------------ */

static bool
is_set(const struct settings *settings, const char *section, const char *name)
{
	return (settings_find(settings, section, name)->is_set);
}

/* A listening socket, or -1 with err. */
static int
open_port(const char *host, int port, struct ufop_err *err)
{
	const struct addrinfo	 hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV
	};
	struct addrinfo		*ai;
	char			 service[16];
	int			 fd, rc, one = 1;

	snprintf(service, sizeof(service), "%d", port);
	rc = getaddrinfo(host, service, &hints, &ai);
	if (rc != 0)
		return (err_set(err, UFOP_CONFIG, "cannot listen on '%s': %s",
		    host, gai_strerror(rc)));
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = fd;
	if (fd != -1) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		/* Two may bind with SO_REUSEADDR while only one can listen. */
		rc = bind(fd, ai->ai_addr, ai->ai_addrlen);
		if (rc == 0)
			rc = listen(fd, SOMAXCONN);
	}
	if (rc == -1 && errno == EADDRINUSE)
		err_set(err, UFOP_UNAVAILABLE, "port %d is in use by another "
		    "program; choose another port with -p", port);
	else if (rc == -1)
		err_sys(err, "cannot listen on port %d of '%s'", port, host);
	freeaddrinfo(ai);
	if (rc == -1 && fd != -1) {
		close(fd);
		fd = -1;
	}
	return (fd);
}

/*
 * The front would find out too, but only after everything has been started,
 * and it does not know what to do about it here.
 */
static int
check_port(const char *host, int port, struct ufop_err *err)
{
	int	fd = open_port(host, port, err);

	if (fd != -1)
		close(fd);
	return (fd == -1 ? -1 : 0);
}

/* Front and worker would go on trying; here nothing else is to come. */
static int
check_redis(const struct settings *settings, struct ufop_err *err)
{
	struct redis	redis;

	if (redis_open(&redis, settings, err) == -1)
		return (-1);
	redis_close(&redis);
	return (0);
}

static void
plan_redis(struct up *up)
{
	struct part	*part = &up->parts[REDIS];
	const char	*argv[] = {
		up->redis_path,
		"--port", "0",
		"--unixsocket", up->instance.redis_sock, "--unixsocketperm", "700",
		"--dir", up->instance.dir,
		/* Jobs are answered or refused within seconds: nothing to keep. */
		"--save", "", "--appendonly", "no",
		/* Refusing is an answer, forgetting a job is none. */
		"--maxmemory", "512mb", "--maxmemory-policy", "noeviction",
		"--loglevel", up->cli->debug ? "notice" : "warning",
	};

	memcpy(part->argv, argv, sizeof(argv));
}

/*
 * Front and worker are this command again.  They find the settings, as they
 * are here, in the environment, and are told to read no files a second time;
 * with a guest they read them anew, as this command did.
 */
static void
plan_self(struct up *up, int which, const char *name, bool tell_ready)
{
	const char	**argv = up->parts[which].argv;
	int		  i;

	*argv++ = up->cli->paths.exe;
	*argv++ = name;
	if (up->guest == NULL)
		*argv++ = "--config=/dev/null";
	for (i = 0; up->flags[i] != NULL; i++)
		*argv++ = up->flags[i];
	if (up->guest != NULL && which == FRONT)
		*argv++ = up->front_set;
	if (tell_ready)
		*argv++ = "--ready-fd=3";
	*argv = NULL;
}

/* The next front has a socket of its own. */
static void
next_front(struct up *up)
{
	snprintf(up->front_set, sizeof(up->front_set),
	    "--set=front.unix=%s/front-%d.sock", up->instance.dir, ++up->nfronts);
	snprintf(up->host, sizeof(up->host), "%s",
	    up->front_set + strlen("--set=front.unix="));
}

static int
plan_swaps(struct up *up, struct ufop_err *err)
{
	static const char	*fixed[][2] = {
		{ "redis", "url" }, { "spool", "dir" }
	};
	const struct setting	*row;
	char			 env[SETTINGS_ENV_MAX];
	size_t			 i;

	/* Beside its flags a part's command has five words and a NULL. */
	if (cli_flags(up->cli, up->flags, PART_ARGV_MAX - 8, err) == -1)
		return (-1);
	/*
	 * What was settled at the start stays, whatever a file says later.  In
	 * the environment, because there may be a password in it, and a
	 * command's words are for all to see.
	 */
	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		row = settings_find(&up->cli->settings, fixed[i][0],
		    fixed[i][1]);
		setting_env_name(row, env);
		setenv(env, settings_str(&up->cli->settings, fixed[i][0],
		    fixed[i][1]), 1);
	}
	next_front(up);
	return (0);
}

static int
prepare(struct up *up, struct ufop_err *err)
{
	struct settings	*settings = &up->cli->settings;
	char		 redis[PATH_MAX], kore[PATH_MAX], value[128];
	const char	*host;
	int		 i;

	/* What is missing is better said before anything runs. */
	if (paths_program(kore, "kore", "kore", err) == -1 ||
	    (up->own_redis && paths_program(redis, "redis-server",
	    "redis-server", err) == -1))
		return (-1);

	host = settings_str(settings, "front", "unix");
	if (host[0] != '\0' && up->guest == NULL) {
		snprintf(up->host, sizeof(up->host), "%s", host);
		snprintf(up->origin, sizeof(up->origin), "unix:%s", up->host);
	} else {
		settings_listen(settings, up->host, &up->port);
		if (up->guest != NULL)
			up->listen_fd = open_port(up->host, up->port, err);
		if (up->guest != NULL ? up->listen_fd == -1 :
		    check_port(up->host, up->port, err) == -1)
			return (-1);
		host = probe_host(up->host);
		memmove(up->host, host, strlen(host) + 1);
		snprintf(up->origin, sizeof(up->origin),
		    strchr(up->host, ':') == NULL ? "http://%s:%d" :
		    "http://[%s]:%d", up->host, up->port);
	}

	if (!up->own_redis && check_redis(settings, err) == -1)
		return (-1);
	if (instance_make(&up->instance, err) == -1)
		return (-1);
	if (up->own_redis) {
		snprintf(value, sizeof(value), "unix://%s", up->instance.redis_sock);
		if (settings_set(settings, "redis", "url", value, "ufop up",
		    err) == -1)
			return (-1);
		up->redis_path = xstrdup(redis);
		plan_redis(up);
	}
	if (!is_set(settings, "spool", "dir")) {
		if (instance_spool(&up->instance, err) == -1 ||
		    settings_set(settings, "spool", "dir", up->instance.spool,
		    "ufop up", err) == -1)
			return (-1);
	}
	if (up->guest != NULL ? plan_swaps(up, err) == -1 :
	    cli_export(up->cli, err) == -1)
		return (-1);
	for (i = 0; i < PARTS; i++)
		up->parts[i].hold = !up->cli->debug;
	up->drain_ms = (int)settings_time_ms(settings, "worker", "drain") +
	    2000;
	return (0);
}

/* ---- starting -------------------------------------------------------- */

static void
stop(struct up *up)
{
	up->state = STOPPING;
	up->stop_ms = clock_mono_ms();
	/* How Redis takes its leave is of no use to anyone either. */
	up->parts[REDIS].hold = !up->cli->debug;
	probe_cancel(&up->probe);
	/* Those who connect now are refused when the last front has gone. */
	if (up->listen_fd != -1)
		close(up->listen_fd);
	up->listen_fd = -1;
	if (up->guest != NULL)
		up->guest->stop(up->guest->arg);
}

/* culprit may be NULL; its whole output is shown. */
static void
give_up(struct up *up, struct part *culprit, const struct ufop_err *err)
{
	int	i;

	for (i = 0; i < PARTS; i++)
		part_unhold(&up->parts[i], &up->parts[i] == culprit ?
		    PART_SHOW_ALL : PART_SHOW_WARNINGS);
	up->status = cli_fail(err);
	stop(up);
}

/* due_ms is 0 from then on, until it dies. */
static void
start_part(struct up *up, int which)
{
	struct ufop_err	 err;
	int		 ready[2] = { -1, -1 };

	/* Only the first worker, and one that is swapped in, is waited for. */
	if (which == WORKER &&
	    (up->state == STARTING || up->swap == SWAP_WORKER) &&
	    pipe2(ready, O_CLOEXEC) == 0)
		up->ready_fd = ready[0];
	if (which == WORKER)
		plan_self(up, WORKER, "runworker", ready[1] != -1);
	if (which == FRONT) {
		plan_self(up, FRONT, "runserver", false);
		up->parts[FRONT].listens = up->listen_fd != -1;
	}
	if (part_start(&up->parts[which], which == FRONT ? up->listen_fd :
	    ready[1], &err) == -1)
		give_up(up, NULL, &err);
	if (ready[1] != -1)
		close(ready[1]);
}

/* Whether somebody listens on that unix socket. */
static bool
listens(const char *path)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };
	int			 fd, rc;

	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return (false);
	rc = connect(fd, (const struct sockaddr *)&sun, sizeof(sun));
	close(fd);
	return (rc == 0);
}

/*
 * Redis is up in a few milliseconds, and who finds it missing waits longer
 * before it tries again: so it goes first, and the others together.
 */
static void
start_others(struct up *up)
{
	if (up->others_started || (up->own_redis && !listens(up->instance.redis_sock)))
		return;
	up->others_started = true;
	start_part(up, WORKER);
	start_part(up, FRONT);
}

static void swap_begin_front(struct up *);

/* The worker has said that it is ready, or has closed its end. */
static void
worker_ready(struct up *up)
{
	char	word[16];
	ssize_t	n = read(up->ready_fd, word, sizeof(word));

	close(up->ready_fd);
	up->ready_fd = -1;
	up->probe_ms = clock_mono_ms();
	/* Without a word it ends, and that is met elsewhere. */
	if (up->swap == SWAP_WORKER && n > 0)
		swap_begin_front(up);
}

/*
 * A photograph that came with ufop, as one would type its name from here; false
 * when there is none.
 */
static bool
find_photo(const struct up *up, char out[PATH_MAX])
{
	char	 pattern[PATH_MAX + 8], cwd[PATH_MAX];
	glob_t	 found;
	size_t	 n;
	bool	 ok = false;

	snprintf(pattern, sizeof(pattern), "%s/*.jpg", up->cli->paths.data);
	if (glob(pattern, 0, NULL, &found) == 0 &&
	    realpath(found.gl_pathv[0], out) != NULL) {
		ok = true;
		if (getcwd(cwd, sizeof(cwd)) != NULL) {
			n = strlen(cwd);
			if (strncmp(out, cwd, n) == 0 && out[n] == '/')
				memmove(out, out + n + 1, strlen(out + n));
		}
	}
	globfree(&found);
	return (ok);
}

static void
say_ready(struct up *up)
{
	const struct services	*services = &up->cli->services;
	struct settings_pool	 pools[SETTINGS_POOLS_MAX];
	char			 photo[PATH_MAX];
	int			 i, n, children = 0;

	n = settings_pools(&up->cli->settings, pools);
	for (i = 0; i < n; i++)
		children += pools[i].children;
	printf("ufop is ready on %s (%d worker%s, %lld ms)\n", up->origin,
	    children, children == 1 ? "" : "s",
	    (long long)(clock_mono_ms() - up->began_ms));
	if (up->origin[0] == 'h' && find_photo(up, photo) &&
	    services_find(services, STR("images.thumbnail")) != -1)
		printf("curl --data-binary @%s -o thumbnail.jpg "
		    "'%s/handler?cmd=ufop/thumbnail/w/320'\n", photo,
		    up->origin);
	fflush(stdout);
}

static void
ready(struct up *up)
{
	int	i;

	up->state = RUNNING;
	for (i = 0; i < PARTS; i++)
		part_unhold(&up->parts[i], PART_SHOW_WARNINGS);
	say_ready(up);
}

static void swap_front_ready(struct up *);

static void
probed(struct up *up, int status)
{
	if (status == 200 && up->state == STARTING) {
		ready(up);
		return;
	}
	/* What is not well for so long was not well before the swap either. */
	if (up->swap == SWAP_FRONT && (status == 200 || (status != -1 &&
	    clock_mono_ms() - up->parts[FRONT].started_ms >= UNWELL_MS))) {
		swap_front_ready(up);
		return;
	}
	if (status != -1)
		up->last_status = status;
	up->probe_ms = clock_mono_ms() + PROBE_MS;
}

static void
not_ready_in_time(struct up *up)
{
	struct ufop_err	 err;
	struct str	 why = probe_body(&up->probe);
	struct part	*culprit = NULL;

	if (up->others_started && up->ready_fd == -1 && up->last_status != 0) {
		err_set(&err, UFOP_UNAVAILABLE, "not ready after %d s, "
		    "/health says %d: %.*s", READY_MS / 1000, up->last_status,
		    STR_ARG(why));
	} else {
		culprit = &up->parts[!up->others_started ? REDIS :
		    up->ready_fd != -1 ? WORKER : FRONT];
		err_set(&err, UFOP_UNAVAILABLE, "the %s is not ready after "
		    "%d s", culprit->name, READY_MS / 1000);
	}
	give_up(up, culprit, &err);
}

static void
while_starting(struct up *up, int64_t now)
{
	start_others(up);
	if (up->probe_ms != 0 && up->probe.fd == -1 && now >= up->probe_ms &&
	    probe_start(&up->probe, up->host, up->port, "/health") == -1)
		up->probe_ms = now + PROBE_MS;
	if (up->state == STARTING && now >= up->began_ms + READY_MS)
		not_ready_in_time(up);
}

/* ---- swapping -------------------------------------------------------- */

/* Move the part to a free slot among the old; there must be one. */
static struct part *
set_aside(struct up *up, int which)
{
	struct part	*part = &up->parts[which];
	const char	*name = part->name;
	int		 i;

	for (i = PARTS; i < SLOTS; i++) {
		if (up->parts[i].pid == 0) {
			up->parts[i] = *part;
			part_init(part, name);
			return (&up->parts[i]);
		}
	}
	abort();
}

static void
swap_end(struct up *up, bool ok)
{
	up->swap = SWAP_NONE;
	up->old = NULL;
	up->guest->swapped(up->guest->arg, ok,
	    (int)(clock_mono_ms() - up->swap_ms));
}

/* The new part ended, or takes too long: the old one goes on. */
static void
swap_fail(struct up *up)
{
	int	which = up->swap == SWAP_WORKER ? WORKER : FRONT;

	part_unhold(&up->parts[which], PART_SHOW_ALL);
	if (up->parts[which].pid != 0) {
		part_stop(&up->parts[which], 0);
		set_aside(up, which);
	}
	up->parts[which] = *up->old;
	part_init(up->old, up->old->name);
	if (up->ready_fd != -1)
		close(up->ready_fd);
	up->ready_fd = -1;
	probe_cancel(&up->probe);
	swap_end(up, false);
}

static void
swap_begin_front(struct up *up)
{
	part_unhold(&up->parts[WORKER], PART_SHOW_WARNINGS);
	part_stop(up->old, up->drain_ms);
	up->swap = SWAP_FRONT;
	up->old = set_aside(up, FRONT);
	memcpy(up->old_sock, up->host, strlen(up->host) + 1);
	next_front(up);
	up->parts[FRONT].hold = !up->cli->debug;
	up->probe_ms = clock_mono_ms();
	start_part(up, FRONT);
}

static void
swap_front_ready(struct up *up)
{
	part_stop(up->old, up->drain_ms);
	part_unhold(&up->parts[FRONT], PART_SHOW_WARNINGS);
	up->swap = SWAP_OLD;
	up->probe_ms = clock_mono_ms();
}

bool
up_swap(struct up *up)
{
	int	i, room = 0;

	for (i = PARTS; i < SLOTS; i++)
		room += up->parts[i].pid == 0;
	/* Two are set aside, and one more when it comes to nothing. */
	if (up->state != RUNNING || up->swap != SWAP_NONE || room < 3 ||
	    up->parts[WORKER].pid == 0 || up->parts[FRONT].pid == 0)
		return (false);
	up->swap = SWAP_WORKER;
	up->swap_ms = clock_mono_ms();
	up->old = set_aside(up, WORKER);
	up->parts[WORKER].hold = !up->cli->debug;
	start_part(up, WORKER);
	return (true);
}

static void
while_swapping(struct up *up, int64_t now)
{
	if (up->swap == SWAP_OLD) {
		/* It closes this one when it takes from the other no more. */
		if (!listens(up->old_sock) || now >= up->swap_ms + READY_MS)
			swap_end(up, true);
		else
			up->probe_ms = now + PROBE_MS;
		return;
	}
	if (up->swap == SWAP_FRONT && up->probe.fd == -1 &&
	    now >= up->probe_ms &&
	    probe_start(&up->probe, up->host, up->port, "/health") == -1)
		up->probe_ms = now + PROBE_MS;
	if (now >= up->swap_ms + READY_MS) {
		log_err("up.swap part=%s msg=\"not ready after %d s\"",
		    up->swap == SWAP_WORKER ? "worker" : "front",
		    READY_MS / 1000);
		swap_fail(up);
	}
}

/* ---- running --------------------------------------------------------- */

static void
how_it_ended(int wstatus, char *out, size_t size)
{
	if (WIFSIGNALED(wstatus))
		snprintf(out, size, "by signal %d (%s)", WTERMSIG(wstatus),
		    strsignal(WTERMSIG(wstatus)));
	else
		snprintf(out, size, "with status %d", WEXITSTATUS(wstatus));
}

static void
part_ended(struct up *up, struct part *part, int wstatus)
{
	int64_t		now = clock_mono_ms();
	struct ufop_err	err;
	char		how[64];

	part_drain(part);
	part->pid = 0;
	how_it_ended(wstatus, how, sizeof(how));
	switch (up->state) {
	case STARTING:
		err_set(&err, UFOP_FAILED, "the %s ended %s before all was "
		    "ready", part->name, how);
		give_up(up, part, &err);
		/* What the part itself had to say is closer to the cause. */
		if (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) != 0)
			up->status = WEXITSTATUS(wstatus);
		break;
	case RUNNING:
		/* Replaced and told to go, or about to be. */
		if (part >= &up->parts[PARTS]) {
			if (part == up->old && up->swap != SWAP_OLD)
				log_warn("up.died part=%s how=\"%s\"",
				    part->name, how);
			break;
		}
		if ((up->swap == SWAP_WORKER && part == &up->parts[WORKER]) ||
		    (up->swap == SWAP_FRONT && part == &up->parts[FRONT])) {
			log_err("up.swap part=%s how=\"%s\"", part->name,
			    how);
			swap_fail(up);
			break;
		}
		if (part->backoff_ms == 0 ||
		    now - part->started_ms >= STEADY_MS)
			part->backoff_ms = BACKOFF_MIN_MS;
		log_warn("up.died part=%s how=\"%s\" again_in=%dms",
		    part->name, how, part->backoff_ms);
		part->due_ms = now + part->backoff_ms;
		part->backoff_ms *= 2;
		if (part->backoff_ms > BACKOFF_MAX_MS)
			part->backoff_ms = BACKOFF_MAX_MS;
		break;
	case STOPPING:
		break;
	}
}

static void
reap(struct up *up)
{
	siginfo_t	 info;
	pid_t		 pid;
	int		 i, wstatus;

	for (;;) {
		info.si_pid = 0;
		/*
		 * Looked at first: as long as it is not reaped its number, which
		 * is its group's too, cannot become another's.
		 */
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1 ||
		    info.si_pid == 0)
			return;
		pid = info.si_pid;
		for (i = 0; i < SLOTS && up->parts[i].pid != pid; i++)
			continue;
		/* What it leaves behind would hold on to its port and jobs. */
		if (i < SLOTS)
			part_kill(&up->parts[i]);
		if (waitpid(pid, &wstatus, 0) != pid)
			continue;
		if (i < SLOTS)
			part_ended(up, &up->parts[i], wstatus);
		else if (up->guest != NULL)
			up->guest->ended(up->guest->arg, pid, wstatus);
	}
}

static void
while_running(struct up *up, int64_t now)
{
	int	i;

	for (i = 0; i < PARTS; i++) {
		if (up->parts[i].due_ms != 0 && now >= up->parts[i].due_ms)
			start_part(up, i);
	}
	for (i = PARTS; i < SLOTS; i++) {
		if (up->parts[i].kill_ms != 0 && now >= up->parts[i].kill_ms)
			part_kill(&up->parts[i]);
	}
	if (up->swap != SWAP_NONE)
		while_swapping(up, now);
}

/* ---- stopping -------------------------------------------------------- */

static void
kill_all(struct up *up)
{
	int	i;

	for (i = 0; i < SLOTS; i++)
		part_kill(&up->parts[i]);
}

static void
signalled(struct up *up)
{
	struct signalfd_siginfo	info;

	while (read(up->signal_fd, &info, sizeof(info)) ==
	    (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(up);
		else if (up->state != STOPPING)
			stop(up);
		else if (clock_mono_ms() - up->stop_ms >= SAME_SIGNAL_MS)
			kill_all(up);
	}
}

/*
 * From the front, which still needs the others to answer what it has, to
 * Redis.  False when all are gone.
 */
static bool
while_stopping(struct up *up, int64_t now)
{
	struct part	*part;
	int		 i;

	for (i = SLOTS - 1; i >= 0; i--) {
		part = &up->parts[i];
		if (part->pid == 0)
			continue;
		part_stop(part, i == REDIS ? REDIS_STOP_MS : up->drain_ms);
		if (now >= part->kill_ms)
			part_kill(part);
		return (true);
	}
	return (false);
}

/*
 * Orphans of parts that were killed became our children (subreaper): they go
 * too.
 */
static void
end_strays(void)
{
	const struct timespec	 pause = { 0, 50 * 1000 * 1000 };
	int64_t			 until = clock_mono_ms() + STRAYS_MS;
	sigset_t		 chld;
	FILE			*fp;
	int			 pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			continue;
		if (waitpid(-1, NULL, WNOHANG) == -1 ||
		    clock_mono_ms() >= until)
			return;
		fp = fopen("/proc/thread-self/children", "re");
		while (fp != NULL && fscanf(fp, "%d", &pid) == 1)
			kill(pid, SIGKILL);
		if (fp != NULL)
			fclose(fp);
		sigtimedwait(&chld, NULL, &pause);
	}
}

/* ---- the loop -------------------------------------------------------- */

static int
timeout_ms(const struct up *up, int64_t now)
{
	int64_t	next = INT64_MAX, due;
	int	i;

	if (up->state == STARTING) {
		next = up->began_ms + READY_MS;
		/* Redis' socket cannot be waited for: it is not there yet. */
		if (!up->others_started)
			next = now + 1;
		else if (up->probe_ms != 0 && up->probe.fd == -1)
			next = up->probe_ms;
	}
	if (up->swap != SWAP_NONE)
		next = up->swap_ms + READY_MS;
	if (up->swap == SWAP_OLD ||
	    (up->swap == SWAP_FRONT && up->probe.fd == -1))
		next = up->probe_ms;
	for (i = 0; i < SLOTS; i++) {
		if (up->state == RUNNING && up->parts[i].due_ms != 0 &&
		    up->parts[i].due_ms < next)
			next = up->parts[i].due_ms;
		if (up->state != STARTING && up->parts[i].kill_ms > now &&
		    up->parts[i].kill_ms < next)
			next = up->parts[i].kill_ms;
	}
	if (up->guest != NULL && up->state == RUNNING) {
		due = up->guest->due_ms(up->guest->arg);
		if (due != 0 && due < next)
			next = due;
	}
	if (next == INT64_MAX)
		return (-1);
	return (next <= now ? 0 : (int)(next - now));
}

/* True as long as there is something to wait for. */
static bool
tick(struct up *up)
{
	int64_t	now = clock_mono_ms();

	switch (up->state) {
	case STARTING:
		while_starting(up, now);
		break;
	case RUNNING:
		while_running(up, now);
		break;
	case STOPPING:
		break;
	}
	/* Any of the above may have been the last straw. */
	return (up->state != STOPPING || while_stopping(up, now));
}

static void
watch(struct up *up)
{
	struct pollfd	fds[3 + SLOTS + UP_GUEST_FDS], *theirs;
	int		i, n;

	while (tick(up)) {
		theirs = fds + 3 + SLOTS;
		n = up->guest == NULL ? 0 : up->guest->fds(up->guest->arg,
		    theirs);
		fds[0] = (struct pollfd){ .fd = up->signal_fd,
		    .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = up->ready_fd,
		    .events = POLLIN };
		fds[2] = (struct pollfd){ .fd = up->probe.fd,
		    .events = up->probe.events };
		for (i = 0; i < SLOTS; i++)
			fds[3 + i] = (struct pollfd){ .fd = up->parts[i].out,
			    .events = POLLIN };
		if (poll(fds, 3 + SLOTS + (nfds_t)n, timeout_ms(up,
		    clock_mono_ms())) == -1)
			continue;
		for (i = 0; i < SLOTS; i++) {
			if (fds[3 + i].revents != 0)
				part_output(&up->parts[i]);
		}
		if (fds[1].revents != 0)
			worker_ready(up);
		if (fds[2].revents != 0 && up->probe.fd != -1 &&
		    (i = probe_step(&up->probe)) != 0)
			probed(up, i);
		if (up->guest != NULL && up->state == RUNNING)
			up->guest->turn(up->guest->arg, up, theirs, n);
		if (fds[0].revents != 0)
			signalled(up);
	}
}

static int
open_signals(struct ufop_err *err)
{
	sigset_t	set;
	int		fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd == -1)
		err_sys(err, "cannot wait for signals");
	return (fd);
}

int
up_run(struct cli *cli, const char *address, const char *port,
    const struct up_guest *guest)
{
	static struct up	 up;
	struct ufop_err		 err;
	int			 i;

	up.cli = cli;
	up.guest = guest;
	up.began_ms = clock_mono_ms();
	up.signal_fd = up.ready_fd = up.instance.lock_fd = up.listen_fd = -1;
	probe_init(&up.probe);
	for (i = PARTS; i < SLOTS; i++)
		part_init(&up.parts[i], "old");
	part_init(&up.parts[REDIS], "redis");
	part_init(&up.parts[WORKER], "worker");
	part_init(&up.parts[FRONT], "front");
	/* The routes are compiled too: a bad one is reported once, not thrice. */
	if (cli_load(cli, "up", CLI_ROUTES, &err) == -1 ||
	    cli_serve_all_pools(cli, &err) == -1 ||
	    front_set_listen(&cli->settings, address, port, &err) == -1)
		return (cli_fail(&err));

	up.own_redis = !is_set(&cli->settings, "redis", "url");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	up.signal_fd = open_signals(&err);
	if (up.signal_fd == -1 || prepare(&up, &err) == -1) {
		up.status = cli_fail(&err);
	} else {
		if (up.own_redis)
			start_part(&up, REDIS);
		watch(&up);
		end_strays();
	}
	instance_remove(&up.instance);
	for (i = 0; up.flags[i] != NULL; i++)
		free(up.flags[i]);
	free(up.redis_path);
	return (up.status);
}

static int
run(struct cli *cli, int argc, char **argv)
{
	const char	*address = NULL, *port = NULL;
	int		 code;

	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		if (!front_opt(code, &address, &port))
			return (cli->status);
	}
	if (cli_no_operands(cli, argc, argv) == -1)
		return (cli->status);
	return (up_run(cli, address, port, NULL));
}

const struct cli_cmd cli_up = {
	.name = "up",
	.operands = "",
	.summary = "start Redis, front and worker together",
	.prose = "Start a private Redis (unless redis.url is set), the front "
	    "and a worker, print one line when all are ready, and show what "
	    "they log. A part that dies is started again. Ctrl-C or SIGTERM "
	    "stops them in order, the front first; a second Ctrl-C stops them "
	    "at once. Nothing is left behind.",
	.opts = opts,
	.project = true,
	.run = run,
};
