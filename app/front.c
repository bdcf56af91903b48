/* SPDX-License-Identifier: MIT */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kore/kore.h>
#include <kore/http.h>
#include <kore/seccomp.h>

#include "batch.h"
#include "conn.h"
#include "front.h"
#include "link.h"
#include "log.h"
#include "metrics.h"
#include "request.h"
#include "scribe.h"
#include "view.h"

#define SWEEP_MS	100
/* While Redis is away or the end is near. */
#define SWEEP_SOON_MS	20
#define SPOOL_SWEEP_MS	60000
/* For the last answers to be read. */
#define DRAIN_GRACE_MS	1000
/* For Redis to answer a front whose sockets another may serve meanwhile. */
#define BEGIN_MS	1000
/* For who has just connected to ask: a round trip or two. */
#define DRAIN_NEW_MS	500
/* A signal that comes again after so long means: at once. */
#define IMPATIENT_MS	500
/* Where sockets begin that are handed over, and how many may be. */
#define LISTEN_FDS_START	3
#define LISTEN_FDS_MAX		8
/* Descriptors beside those of connections: Redis, spool, log, Kore's own. */
#define NOFILES_EXTRA	512
/*
 * Kore's pools begin with room for so many connections and requests and grow
 * when there are more; they touch all of it at once.
 */
#define POOL_FIRST	256

struct front	front;

static pid_t			 parent;
static volatile sig_atomic_t	 stop_signal;	/* told to stop by it */
static volatile sig_atomic_t	 stop_again;
static int64_t			 begin_ms;	/* accepts nothing before; 0: does */
static int64_t			 drain_new_ms;	/* begins to be impatient */
static int64_t			 drain_end_ms;	/* waits for no answer more */
static int64_t			 drain_until_ms;
static int64_t			 swept_spool_ms;
static bool			 soon;
static bool			 resting;	/* full: accepts nothing */
/* Sockets of others who listen on them after us. */
static const struct listener	*handed_over[LISTEN_FDS_MAX];

/* ---- what a Kore worker may call ------------------------------------- */

/* Beside Kore's own list; everything else kills the process. */
KORE_SECCOMP_FILTER("ufop",
	/* hiredis connects anew. */
	KORE_SYSCALL_ALLOW_ARG(socket, 0, AF_UNIX),
	KORE_SYSCALL_ALLOW_ARG(socket, 0, AF_INET),
	KORE_SYSCALL_ALLOW_ARG(socket, 0, AF_INET6),
	KORE_SYSCALL_ALLOW(connect),
	KORE_SYSCALL_ALLOW(getsockopt),
	KORE_SYSCALL_ALLOW(shutdown),
	/* The spool. */
	KORE_SYSCALL_ALLOW(newfstatat),
	KORE_SYSCALL_ALLOW(linkat),
	KORE_SYSCALL_ALLOW(unlinkat),
	KORE_SYSCALL_ALLOW(getdents64),
	KORE_SYSCALL_ALLOW(pread64),
	/* To die with Kore's parent. */
	KORE_SYSCALL_ALLOW_ARG(prctl, 0, PR_SET_PDEATHSIG),
	KORE_SYSCALL_ALLOW(getppid),
	/* realloc() of large blocks; abort(). */
	KORE_SYSCALL_ALLOW(mremap),
	KORE_SYSCALL_ALLOW(gettid),
	KORE_SYSCALL_ALLOW(tgkill),
)

/* ---- Kore's parent: settings ----------------------------------------- */

/*
 * While Kore loads us.  It would tell the log at each start what it does not
 * do; and write its pid into a file of the working directory, to be removed at
 * the end if all goes well.  Nobody needs that: it goes to /dev/null, which
 * must not be removed, so kore_parent_configure() forgets the name.
 */
__attribute__((constructor)) static void
hush_kore(void)
{
	static char	 nowhere[] = "/dev/null";

	kore_quiet = 1;
	kore_pidfile = nowhere;
}

static void __attribute__((noreturn))
fail(const struct ufop_err *err)
{
	fprintf(stderr, "ufop: %s\n", err->msg);
	exit(err_exit_status(err->code));
}

/* Where the services that came with ufop lie: beside this module. */
static void
service_dir(char out[PATH_MAX])
{
	const char	*set = settings_str(&front.settings, "ufop",
			    "service_dir");
	Dl_info		 info;
	char		*slash;

	if (set[0] == '\0' && dladdr(&front, &info) != 0 &&
	    info.dli_fname != NULL && strlen(info.dli_fname) < PATH_MAX - 16) {
		memcpy(out, info.dli_fname, strlen(info.dli_fname) + 1);
		if ((slash = strrchr(out, '/')) != NULL) {
			memcpy(slash, "/services", sizeof("/services"));
			return;
		}
	}
	snprintf(out, PATH_MAX, "%s", set[0] != '\0' ? set : "services");
}

/* Another service may be called screenshot, and have no such setting. */
static void
load_scribe(void)
{
	const struct setting	*file = settings_find(&front.settings,
				    "screenshot", "scribe_log");
	struct ufop_err		 err;

	front.scribe_task = -1;
	if (file == NULL || file->value[0] == '\0')
		return;
	if (scribe_open(file->value) == -1) {
		settings_bad(&front.settings, "screenshot", "scribe_log", &err,
		    "the front cannot write to it: %s; name a file that its "
		    "user may make or write to", strerror(errno));
		fail(&err);
	}
	front.scribe_task = services_find(&front.services, STR(BATCH_TASK));
}

static void
load(void)
{
	struct settings_sources	 from = { 0 };
	struct settings		*s = &front.settings;
	struct ufop_err		 err = { 0 };
	enum log_level		 level = LOG_LEVEL_INFO;
	char			 dir[PATH_MAX];
	int			 i;

	settings_init(s);
	if (settings_load(s, &from, &err) == -1)
		fail(&err);
	(void)log_level_parse(settings_str(s, "ufop", "log_level"), &level);
	log_open("front", level);
	service_dir(dir);
	if (services_load(&front.services, settings_str(s, "ufop", "services"),
	    dir, &err) == -1)
		fail(&err);
	for (i = 0; i < front.services.nservices; i++)
		if (settings_add_service(s, front.services.services[i],
		    front.services.paths[i], &err) == -1)
			fail(&err);
	if (settings_finish(s, &err) == -1)
		fail(&err);
	if ((front.router = router_new(&front.services, &err)) == NULL)
		fail(&err);
	if (queue_addr_parse(&front.redis, settings_str(s, "redis", "url"),
	    &err) == -1 || queue_addr_resolve(&front.redis, &err) == -1)
		fail(&err);
	if (spool_open(&front.spool, settings_str(s, "spool", "dir"),
	    &err) == -1)
		fail(&err);
	(void)spool_sweep(&front.spool);

	front.tag = settings_str(s, "redis", "tag");
	front.timeout_ms = settings_time_ms(s, "ufop", "timeout");
	front.max_body = settings_size(s, "ufop", "max_body");
	front.inline_max = settings_size(s, "queue", "inline_max");
	front.spool_quota = settings_size(s, "spool", "quota");
	front.max_queue = settings_int(s, "queue", "max_queue");
	front.keepalive_ms = settings_time_ms(s, "front", "keepalive");
	front.header_timeout_ms = settings_time_ms(s, "front",
	    "header_timeout");
	front.body_timeout_ms = settings_time_ms(s, "front", "body_timeout");
	front.drain_ms = settings_time_ms(s, "front", "drain");
	front.max_connections = (uint32_t)settings_int(s, "front",
	    "max_connections");
	front.batch_max = (int)settings_int(s, "front", "batch_max");
	load_scribe();
	front.share = settings_bool(s, "spool", "share");
	front.debug = settings_bool(s, "ufop", "debug");
}

/* ---- Kore's parent: listening ---------------------------------------- */

static void __attribute__((noreturn))
cannot_listen(const char *what, const char *setting)
{
	struct ufop_err	 err;

	if (errno == EADDRINUSE)
		err_set(&err, UFOP_UNAVAILABLE, "cannot listen on %s: another "
		    "program does; stop it, or choose another by -p PORT or "
		    "the setting %s", what, setting);
	else
		err_sys(&err, "cannot listen on %s (setting %s)", what,
		    setting);
	fail(&err);
}

/* With a socket that is not bound yet. */
static struct listener *
listener_new(int family, const char *what, const char *setting)
{
	struct kore_server	*srv = kore_server_lookup("front");
	struct listener		*l;

	if (srv == NULL) {
		fprintf(stderr, "ufop: kore.conf has no server called front\n");
		exit(err_exit_status(UFOP_CONFIG));
	}
	l = kore_listener_create(srv);
	l->host = kore_strdup(what);
	l->port = kore_strdup("");
	if (!kore_listener_init(l, family, "conn_connect"))
		cannot_listen(what, setting);
	return (l);
}

static void
listen_at(const struct sockaddr *addr, socklen_t len, const char *what,
    const char *setting)
{
	struct listener	*l = listener_new(addr->sa_family, what, setting);

	if (bind(l->fd, addr, len) == -1 ||
	    listen(l->fd, (int)kore_socket_backlog) == -1)
		cannot_listen(what, setting);
}

/* Or -1, also for what is no socket. */
static int
socket_option(int fd, int option)
{
	int		value;
	socklen_t	len = sizeof(value);

	return (getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value :
	    -1);
}

/* Listens already; whoever gave it to us goes on when we are gone. */
static void
listen_handed_over(int fd, const struct listener **out)
{
	struct listener	*l;
	struct ufop_err	 err;
	int		 family = socket_option(fd, SO_DOMAIN);

	if (socket_option(fd, SO_ACCEPTCONN) != 1 ||
	    socket_option(fd, SO_TYPE) != SOCK_STREAM) {
		err_set(&err, UFOP_CONFIG, "descriptor %d, which LISTEN_FDS "
		    "speaks of, is no socket that listens for streams; a "
		    "socket unit says ListenStream= and Accept=no", fd);
		fail(&err);
	}
	l = listener_new(family, "handed over", "LISTEN_FDS");
	/* Kore made one of its own there, with all that belongs to it. */
	if (dup3(fd, l->fd, O_CLOEXEC) == -1 ||
	    !kore_connection_nonblock(l->fd, family != AF_UNIX))
		cannot_listen("a socket handed over", "LISTEN_FDS");
	close(fd);
	*out = l;
}

/*
 * By the convention of systemd, see sd_listen_fds(3).  How many; 0 as well
 * when it speaks to another process, as one that started us by a shell.
 */
static int
listen_fds(void)
{
	const char	*pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	struct ufop_err	 err;
	int64_t		 n;
	int		 i;

	if (pid == NULL || fds == NULL ||
	    str_int(str_from(pid), 1, INT_MAX, &n) == -1 || n != getpid())
		return (0);
	if (str_int(str_from(fds), 0, LISTEN_FDS_MAX, &n) == -1) {
		err_set(&err, UFOP_CONFIG, "LISTEN_FDS is '%s'; at most %d "
		    "sockets can be handed over", fds, LISTEN_FDS_MAX);
		fail(&err);
	}
	for (i = 0; i < (int)n; i++)
		listen_handed_over(LISTEN_FDS_START + i, &handed_over[i]);
	return ((int)n);
}

/* A socket that an earlier front left is in the way; a live one is not. */
static void
listen_unix(const char *path)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };
	int			 fd;

	memcpy(sun.sun_path, path, strlen(path) + 1);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) != -1) {
		if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0) {
			errno = EADDRINUSE;
			cannot_listen(path, "front.unix");
		}
		if (errno == ECONNREFUSED)
			(void)unlink(path);
		close(fd);
	}
	listen_at((struct sockaddr *)&sun, sizeof(sun), path, "front.unix");
}

static void
listen_tcp(void)
{
	struct addrinfo	 hints = { .ai_socktype = SOCK_STREAM }, *ai;
	struct ufop_err	 err;
	char		 host[256], port_text[8], what[300];
	int		 port, rc;

	settings_listen(&front.settings, host, &port);
	snprintf(port_text, sizeof(port_text), "%d", port);
	snprintf(what, sizeof(what), "%s port %d", host, port);
	if ((rc = getaddrinfo(host, port_text, &hints, &ai)) != 0) {
		err_set(&err, UFOP_CONFIG, "cannot listen on %s: %s; correct "
		    "the setting front.listen", what, gai_strerror(rc));
		fail(&err);
	}
	listen_at(ai->ai_addr, ai->ai_addrlen, what, "front.listen");
	freeaddrinfo(ai);
}

/* The system gives us fewer descriptors than there may be connections. */
static void
limit_connections(rlim_t limit, rlim_t *files)
{
	const struct setting	*set = settings_find(&front.settings, "front",
				    "max_connections");

	/* Half of the rest is for Kore, who adds what is open already. */
	*files = limit > NOFILES_EXTRA / 2 + 16 ? limit - NOFILES_EXTRA / 2 :
	    limit;
	front.max_connections = limit > NOFILES_EXTRA + 16 ?
	    (uint32_t)(limit - NOFILES_EXTRA) : 16;
	/* The default is only a wish. */
	if (set != NULL && set->is_set)
		log_warn("front.max_connections=%u why=\"ulimit -n is %llu\"",
		    front.max_connections, (unsigned long long)limit);
}

/* Kore's own knobs, which its configuration cannot take from settings. */
static void
set_kore(void)
{
	struct rlimit	 rl, want;
	rlim_t		 files = front.max_connections + NOFILES_EXTRA;

	worker_count = (uint8_t)settings_int(&front.settings, "front",
	    "workers");
	/* The scheduler knows better than Kore which CPU is free. */
	worker_set_affinity = 0;
	worker_max_connections = POOL_FIRST;
	http_request_limit = POOL_FIRST;
	/* Never leave a request that is awake for the next turn. */
	http_request_ms = UINT32_MAX;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		rl.rlim_cur = rl.rlim_max = 1024;
	if (files > rl.rlim_max) {
		/* Root may raise it, and so may Kore then. */
		want.rlim_cur = rl.rlim_cur;
		want.rlim_max = files;
		if (setrlimit(RLIMIT_NOFILE, &want) == -1)
			limit_connections(rl.rlim_max, &files);
		else
			rl.rlim_max = files;
	}
	/* Kore looks at every descriptor below it, open or not. */
	if (rl.rlim_cur > 1024) {
		rl.rlim_cur = 1024;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	worker_rlimit_nofiles = (uint32_t)files;
}

/*
 * A worker forgets the signals that come before Kore has set its own up, and
 * would stay for good when it was told to stop so early: they wait until
 * kore_worker_configure() can take them.
 */
static void
stop_signals(int how)
{
	sigset_t	set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)sigprocmask(how, &set, NULL);
}

static void
before_fork(void)
{
	stop_signals(SIG_BLOCK);
}

static void
after_fork_in_parent(void)
{
	stop_signals(SIG_UNBLOCK);
}

void
kore_parent_configure(int argc, char **argv)
{
	static char	 none[] = "";
	const char	*path;

	(void)argc;
	(void)argv;
	kore_pidfile = none;
	parent = getpid();
	/* Kore's log, which is a pipe or a file, line by line too. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	load();
	metrics_init();
	view_init();
	set_kore();
	(void)pthread_atfork(before_fork, after_fork_in_parent, NULL);
	path = settings_str(&front.settings, "front", "unix");
	if (listen_fds() == 0 && path[0] == '\0')
		listen_tcp();
	if (path[0] != '\0')
		listen_unix(path);
}

void
kore_parent_teardown(void)
{
	const char	*path = settings_str(&front.settings, "front", "unix");

	if (path[0] != '\0')
		(void)unlink(path);
}

/* ---- a Kore worker: the loop ----------------------------------------- */

static void
do_soon(void *arg, u_int64_t now)
{
	(void)arg;
	(void)now;
	soon = false;
	/* Answers first: Redis may wait, clients should not. */
	http_process();
	conn_resume();
	link_flush();
}

void
front_soon(void)
{
	if (soon)
		return;
	soon = true;
	kore_timer_add(do_soon, 0, NULL, KORE_TIMER_ONESHOT);
}

/* ---- a Kore worker: at the limit of connections ----------------------- */

/*
 * Kore leaves a listener on watch that it cannot accept from, and spins.  With
 * several workers it hands its lock on instead; only one that is alone has to
 * be told to look away.
 */
static void
accept_or_rest(void *arg, int error)
{
	if (worker_active_connections < worker_max_connections) {
		kore_listener_accept(arg, error);
		return;
	}
	log_warn("front.full connections=%u", worker_active_connections);
	kore_platform_disable_accept();
	resting = true;
}

static void
accept_again(void)
{
	if (!resting || front.draining ||
	    worker_active_connections >= worker_max_connections)
		return;
	resting = false;
	kore_platform_enable_accept();
}

/*
 * Connections that come by a socket handed over could only be told that Redis
 * has not answered yet, while an earlier front still serves them well.
 */
static void
begin_later(void)
{
	if (handed_over[0] == NULL)
		return;
	begin_ms = clock_mono_ms() + BEGIN_MS;
	/* Kore's loop leaves the listeners alone as long as it says so. */
	worker->has_lock = 1;
}

static void
begin(int64_t now_ms)
{
	if (begin_ms == 0 || (!link_ready() && now_ms < begin_ms))
		return;
	begin_ms = 0;
	worker->has_lock = 0;
}

static void
watch_listeners(void)
{
	struct kore_server	*srv;
	struct listener		*l;

	if (settings_int(&front.settings, "front", "workers") > 1)
		return;
	LIST_FOREACH(srv, &kore_servers, list)
		LIST_FOREACH(l, &srv->listeners, list)
			l->evt.handle = accept_or_rest;
}

/* ---- a Kore worker: the end ------------------------------------------ */

static void
on_stop(int sig)
{
	static int64_t	 since_ms;

	/* The terminal and Kore's parent both tell us: that is one order. */
	if (stop_signal == 0) {
		since_ms = clock_mono_ms();
		stop_signal = sig;
	} else if (clock_mono_ms() - since_ms > IMPATIENT_MS)
		stop_again = 1;
}

static bool
is_handed_over(const struct listener *l)
{
	int	i;

	for (i = 0; i < LISTEN_FDS_MAX; i++)
		if (handed_over[i] == l)
			return (true);
	return (false);
}

/*
 * Take no new connection.  Those in the backlog are refused, but where another
 * front is to come, or is there: they wait for that one.
 */
static void
stop_listening(void)
{
	struct kore_server	*srv;
	struct listener		*l;

	if (!worker->has_lock) {
		/* Whoever has the lock does it; never take it ourselves. */
		worker->has_lock = 1;
		return;
	}
	if (!resting && begin_ms == 0)
		kore_platform_disable_accept();
	LIST_FOREACH(srv, &kore_servers, list)
		LIST_FOREACH(l, &srv->listeners, list)
			if (!is_handed_over(l))
				(void)shutdown(l->fd, SHUT_RDWR);
}

static void
drain_begin(int64_t now_ms)
{
	int64_t	 longest = front.timeout_ms;
	int	 i;

	for (i = 0; i < front.services.ntasks; i++)
		if (front.services.tasks[i].task->timeout_ms > longest)
			longest = front.services.tasks[i].task->timeout_ms;
	drain_new_ms = now_ms + DRAIN_NEW_MS;
	if (longest > front.drain_ms)
		longest = front.drain_ms;
	drain_end_ms = now_ms + longest;
	drain_until_ms = drain_end_ms + DRAIN_GRACE_MS;
	front.draining = true;
	log_info("front.stop signal=%d requests=%d", (int)stop_signal,
	    request_count());
	stop_listening();
}

static void
drain(int64_t now_ms)
{
	if (!front.draining)
		drain_begin(now_ms);
	front.ending = now_ms >= drain_end_ms;
	if (conn_drain(now_ms < drain_new_ms) > 0 &&
	    now_ms < drain_until_ms && !stop_again)
		return;
	/* Kore's loop ends when it sees its signal; have it look at once. */
	sig_recv = SIGTERM;
	front_soon();
}

static void
sweep(void *arg, u_int64_t kore_now)
{
	int64_t	 now_ms = clock_mono_ms();
	bool	 hurry;

	(void)arg;
	(void)kore_now;
	link_tick(now_ms);
	view_tick(now_ms);
	request_sweep(now_ms);
	conn_sweep(now_ms);
	if (worker->id == 1 && now_ms - swept_spool_ms > SPOOL_SWEEP_MS) {
		swept_spool_ms = now_ms;
		(void)spool_sweep(&front.spool);
	}
	accept_again();
	if (stop_signal != 0)
		drain(now_ms);
	else
		begin(now_ms);
	hurry = front.draining || !link_ready();
	kore_timer_add(sweep, hurry ? SWEEP_SOON_MS : SWEEP_MS, NULL,
	    KORE_TIMER_ONESHOT);
}

void
kore_worker_configure(void)
{
	struct sigaction	 sa = { .sa_handler = on_stop };

	/* Kore's own would drop what is in hand. */
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	(void)sigaction(SIGHUP, &sa, NULL);
	stop_signals(SIG_UNBLOCK);
	/*
	 * Kore waits for the end of a pipe, which never comes as it holds both
	 * sides: without its parent a worker would keep the port for good.
	 */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		on_stop(SIGTERM);

	reqid_forked();
	reqid_make(front.web);
	metrics_worker(worker->id);
	worker_max_connections = front.max_connections;
	http_request_limit = front.max_connections;
	swept_spool_ms = clock_mono_ms();
	watch_listeners();
	begin_later();
	conn_init();
	link_start();
	sweep(NULL, 0);
}

void
kore_worker_teardown(void)
{
	request_abandon_all();
	link_stop();
	/*
	 * exit(3) would run the destructors of every library a service brought
	 * along, in a process that was forked while another thread may have
	 * held their locks: one that waits there keeps the port for good.
	 */
	(void)fflush(NULL);
	_exit(0);
}
