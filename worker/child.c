/* SPDX-License-Identifier: MIT */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asan.h"
#include "child.h"
#include "log.h"
#include "reqid.h"
#include "sandbox.h"
#include "setup.h"
#include "tree.h"

#define CHILD_SOCK	3	/* in the child */
#define SCRATCH_BUDGET	2000	/* entries removed at a child's end: about 10 ms */
/* Replies wait this long for company before the parent is woken, at most. */
#define BELL_DELAY_US	100
/* Jobs shorter than this are counted, not measured, between looks at memory. */
#define LONG_JOB_US	1000
#define LOOK_EVERY	64
/* Without a job for so long, a child gives free memory back. */
#define REST_MS		1000
/* What travels with one job: its source and its files. */
#define FDS_MAX			(1 + UFOP_FETCH_MAX)
/* An address space this close to its limit is taken for full, bytes. */
#define NEAR_LIMIT	(48u << 20)

/* ---- the child's side ------------------------------------------------ */

/* For signal handlers too; set once in child_main(). */
static int	 statm_fd = -1;
static uint64_t	 page_size;

struct self {
	struct run	 run;
	struct ring	*ring;
	const char	*pool;
	int		 recycle_jobs;
	int64_t		 recycle_bytes;
	int		 njobs;
	bool		 quit;
	bool		 untrimmed;	/* free memory may have been kept */
	int64_t		 bell_since_us;	/* 0: the parent knows everything */
};

static void
on_sigbus(int sig)
{
	(void)sig;
	/* Writing to a reply file that the file system has no page for. */
	_exit(CHILD_EXIT_SPOOL_FULL);
}

/*
 * A crash or abort close to the memory limit is most likely a refused malloc()
 * that nobody checked: tell the parent so.  Else the signal takes its course.
 */
static void
on_crash(int sig)
{
	char		 text[64];
	struct rlimit	 rl;
	ssize_t		 n;
	uint64_t	 size;

	n = pread(statm_fd, text, sizeof(text) - 1, 0);
	if (n > 0 && getrlimit(RLIMIT_AS, &rl) == 0 &&
	    rl.rlim_cur != RLIM_INFINITY) {
		text[n] = '\0';
		size = strtoull(text, NULL, 10) * page_size;
		if (size + NEAR_LIMIT > rl.rlim_cur)
			_exit(CHILD_EXIT_NO_MEMORY);
	}
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

static void
catch_crashes(void)
{
	static char		 stack[16384];	/* the usual one may be full */
	stack_t			 ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction	 sa;

#ifdef ASAN
	return;		/* its own report says more */
#endif
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_crash;
	sa.sa_flags = SA_ONSTACK;
	(void)sigaltstack(&ss, NULL);
	(void)sigaction(SIGSEGV, &sa, NULL);
	(void)sigaction(SIGABRT, &sa, NULL);
}

static void
on_term(int sig)
{
	(void)sig;
}

static void
self_bell(struct self *self)
{
	if (self->bell_since_us == 0)
		return;
	self->bell_since_us = 0;
	(void)send(CHILD_SOCK, "", 1, MSG_NOSIGNAL);
}

/* Resident memory in bytes; 0 when that cannot be told. */
static int64_t
self_rss(void)
{
	char	 text[64], *p;
	ssize_t	 n;

	if (statm_fd == -1 || (n = pread(statm_fd, text, sizeof(text) - 1,
	    0)) <= 0)
		return (0);
	text[n] = '\0';
	(void)strtoll(text, &p, 10);		/* size; then resident */
	return (strtoll(p, NULL, 10) * (int64_t)page_size);
}

/* Ask to be replaced when worn: many jobs, or memory that does not go back. */
static void
self_wear(struct self *self, int64_t took_us)
{
	struct rusage	 ru;

	if (++self->njobs >= self->recycle_jobs && self->recycle_jobs > 0)
		atomic_store(&self->ring->worn, 1);
	if (took_us < LONG_JOB_US && self->njobs % LOOK_EVERY != 1)
		return;
	if (getrusage(RUSAGE_SELF, &ru) == 0)
		atomic_store(&self->ring->peak_kb, (uint32_t)ru.ru_maxrss);
	self->untrimmed = true;
	if (self->recycle_bytes == 0 || self_rss() <= self->recycle_bytes)
		return;
	(void)malloc_trim(0);
	if (self_rss() > self->recycle_bytes)
		atomic_store(&self->ring->worn, 1);
}

/*
 * Wait for a message, but not for ever with memory that only a busy child has a
 * use for: run_init() lets it keep what it has freed.
 */
static void
self_rest(struct self *self)
{
	struct pollfd	 pfd = { .fd = CHILD_SOCK, .events = POLLIN };

	if (!self->untrimmed || poll(&pfd, 1, REST_MS) != 0)
		return;
	(void)malloc_trim(0);
	self->untrimmed = false;
}

/*
 * One job; with it came nfds descriptors: its source, when has_body says so, and
 * its files.
 */
static void
self_run_slot(struct self *self, int n, uint32_t turn, bool has_body,
    const int *fds, int nfds)
{
	int			 body_fd = has_body && nfds > 0 ? fds[0] : -1;
	struct ring_slot	*slot = &self->ring->slots[n];
	uint32_t		 want = RING_STATE(turn, RING_READY);
	int64_t			 t0;

	/* The parent may have taken it back meanwhile. */
	if (atomic_compare_exchange_strong(&slot->state, &want,
	    RING_STATE(turn, RING_RUNNING))) {
		/* A reply must not wait for a slow job behind it. */
		if (slot->kind == RING_LONG_JOB)
			self_bell(self);
		t0 = clock_mono_us();
		atomic_store(&slot->started_us, t0);
		if (slot->kind == RING_HEALTH)
			run_health(&self->run, slot, self->pool);
		else {
			run_files(&self->run, slot, fds + (body_fd != -1),
			    nfds - (body_fd != -1));
			run_job(&self->run, slot, n, body_fd);
		}
		t0 = clock_mono_us() - t0;
		self_wear(self, t0);
		atomic_store(&slot->state, RING_STATE(turn, RING_DONE));
		if (self->bell_since_us == 0)
			self->bell_since_us = clock_mono_us();
		if (clock_mono_us() - self->bell_since_us + t0 > BELL_DELAY_US)
			self_bell(self);
	}
	for (int i = 0; i < nfds; i++)
		close(fds[i]);
}

/* One message; false when there was none and flags said not to wait. */
static bool
self_hear(struct self *self, int flags)
{
	struct ring_msg	 msg;
	struct iovec	 iov = { &msg, sizeof(msg) };
	union {
		struct cmsghdr	 align;
		char		 room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} ctl;
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = ctl.room, .msg_controllen = sizeof(ctl.room) };
	struct cmsghdr	*cm;
	ssize_t		 n;
	int		 fds[FDS_MAX], nfds = 0, i;

	n = recvmsg(CHILD_SOCK, &mh, flags | MSG_CMSG_CLOEXEC);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return (false);
	if (n <= 0) {
		/* The parent is gone; nobody wants what we might do. */
		self->quit = true;
		return (true);
	}
	cm = CMSG_FIRSTHDR(&mh);
	if (cm != NULL && cm->cmsg_type == SCM_RIGHTS) {
		nfds = (int)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(cm), (size_t)nfds * sizeof(int));
	}
	switch (msg.kind) {
	case RING_MSG_REPLY_FILE:
		if (self->run.reply_fd[msg.slots[0]] != -1)
			close(self->run.reply_fd[msg.slots[0]]);
		self->run.reply_fd[msg.slots[0]] = nfds > 0 ? fds[0] : -1;
		break;
	case RING_MSG_JOBS:
		for (i = 0; i < msg.n; i++)
			self_run_slot(self, msg.slots[i], msg.turns[i],
			    msg.has_body, fds, i == 0 ? nfds : 0);
		break;
	default:
		self->quit = true;
		break;
	}
	return (true);
}

static void
child_main(const struct child_conf *conf, struct ring *ring, const char *scratch,
    pid_t parent)
{
	struct self		 self = { .ring = ring, .pool = conf->pool };
	struct sandbox_conf	 sb;
	struct ufop_err		 err;
	sigset_t		 none;
	int			 i, mb;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	for (i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			(void)signal(i, SIG_DFL);
	/*
	 * Ctrl-C and a TERM to all are for the parent, which ends us in order.
	 * A handler, not SIG_IGN, which programs we start would inherit.
	 */
	(void)signal(SIGINT, on_term);
	(void)signal(SIGTERM, on_term);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGBUS, on_sigbus);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	reqid_forked();
	log_open("child", log_level());

	page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	self.recycle_jobs = (int)settings_int(conf->settings, "worker",
	    "recycle_jobs");
	self.recycle_bytes = settings_size(conf->settings, "worker",
	    "recycle_memory");
	setup_pool(conf->pool);
	run_init(&self.run, conf->settings, conf->services, scratch);

	/* The hard limit is the largest that any task of this pool asks for. */
	mb = (int)(settings_size(conf->settings, "ufop", "memory") >> 20);
	for (i = 0; i < conf->services->ntasks; i++)
		if (conf->services->tasks[i].task->memory_mb > mb)
			mb = conf->services->tasks[i].task->memory_mb;
	memset(&sb, 0, sizeof(sb));
	sb.profile = strcmp(conf->pool, "cpu") == 0 ? SANDBOX_CPU : SANDBOX_NET;
	sb.user = settings_str(conf->settings, "worker", "child_user");
	sb.scratch = scratch;
	sb.memory_mb = sb.profile == SANDBOX_CPU ? mb : 0;
	sb.file_max = settings_size(conf->settings, "worker", "max_output");
	sb.nofile = sb.profile == SANDBOX_CPU ? 0 : 4096;
	if (!settings_bool(conf->settings, "worker", "sandbox"))
		(void)setsid();		/* a group to be killed, at least */
	else if (sandbox_enter(&sb, &err) == -1) {
		fprintf(stderr, "%s\n", err.msg);
		_exit(CHILD_EXIT_SETUP);
	}
	catch_crashes();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)send(CHILD_SOCK, "", 1, MSG_NOSIGNAL);
	while (!self.quit) {
		if (self_hear(&self, MSG_DONTWAIT))
			continue;
		self_bell(&self);
		self_rest(&self);
		(void)self_hear(&self, 0);
	}
	self_bell(&self);
	run_release(&self.run);
	exit(0);
}

/* ---- the parent's side ----------------------------------------------- */

static void
child_release(struct child *c)
{
	int	 i;

	if (c->ring != NULL)
		munmap(c->ring, sizeof(*c->ring));
	if (c->sock != -1)
		close(c->sock);
	if (c->err_fd != -1)
		close(c->err_fd);
	if (c->pidfd != -1)
		close(c->pidfd);
	for (i = 0; i < RING_SLOTS; i++) {
		if (c->file_fd[i] != -1)
			close(c->file_fd[i]);
		c->file_fd[i] = -1;
	}
	/* What is too much for one go is left for who owns the base. */
	if (c->scratch != NULL)
		(void)tree_remove_some(c->scratch, SCRATCH_BUDGET);
	free(c->scratch);
	c->ring = NULL;
	c->scratch = NULL;
	c->sock = c->err_fd = c->pidfd = -1;
}

/* Hand over nfds descriptors with a message. */
static int
child_send(struct child *c, const struct ring_msg *msg, const int *fds,
    int nfds)
{
	struct iovec	 iov = { (void *)(uintptr_t)msg, sizeof(*msg) };
	size_t		 size = (size_t)nfds * sizeof(int);
	union {
		struct cmsghdr	 align;
		char		 room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} ctl;
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr	*cm;

	if (nfds > 0) {
		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = ctl.room;
		mh.msg_controllen = CMSG_SPACE(size);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(cm), fds, size);
	}
	/*
	 * A few messages a slot are ever on their way, far below the socket's
	 * buffer: this fails only when the child is gone.
	 */
	return (sendmsg(c->sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == -1 ?
	    -1 : 0);
}

static void
child_lend_file(struct child *c, int slot)
{
	struct ring_msg	 msg = { .kind = RING_MSG_REPLY_FILE, .n = 1 };
	struct ufop_err	 err;

	c->file_fd[slot] = spool_tmpfile(c->conf->spool, &err);
	if (c->file_fd[slot] == -1) {
		log_err("spool.file why=%s", log_quote(err.msg,
		    strlen(err.msg)));
		return;
	}
	msg.slots[0] = slot;
	(void)child_send(c, &msg, &c->file_fd[slot], 1);
}

int
child_spawn(struct child *c, const struct child_conf *conf,
    struct ufop_err *err)
{
	pid_t	 parent = getpid();
	int	 sv[2] = { -1, -1 }, out[2] = { -1, -1 }, null, i;

	memset(c, 0, sizeof(*c));
	c->conf = conf;
	c->sock = c->err_fd = c->pidfd = -1;
	for (i = 0; i < RING_SLOTS; i++)
		c->file_fd[i] = -1;
	c->say_max = settings_size(conf->settings, "worker", "stderr_max");
	c->scratch = xasprintf("%s/c.XXXXXX", conf->scratch_base);
	if (mkdtemp(c->scratch) == NULL) {
		free(c->scratch);
		c->scratch = NULL;
		err_sys(err, "cannot make a scratch directory in %s",
		    conf->scratch_base);
		goto fail;
	}
	c->ring = mmap(NULL, sizeof(*c->ring), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c->ring == MAP_FAILED) {
		c->ring = NULL;
		err_sys(err, "cannot map a child's ring");
		goto fail;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == -1 ||
	    pipe2(out, O_CLOEXEC) == -1) {
		err_sys(err, "cannot make a child's sockets");
		goto fail;
	}
	c->pid = fork();
	if (c->pid == -1) {
		err_sys(err, "cannot fork a child");
		goto fail;
	}
	if (c->pid == 0) {
		/*
		 * Others' memory is not mapped here (MADV_DONTFORK below), and
		 * nothing but these four descriptors stays open.
		 */
		if ((null = open("/dev/null", O_RDONLY)) != -1)
			(void)dup2(null, 0);
		(void)dup2(out[1], 1);
		(void)dup2(out[1], 2);
		/* Programs that a handler starts must not hear the bell. */
		if (sv[1] != CHILD_SOCK)
			(void)dup3(sv[1], CHILD_SOCK, O_CLOEXEC);
		(void)syscall(SYS_close_range, CHILD_SOCK + 1, ~0U, 0);
		setvbuf(stdout, NULL, _IOLBF, 0);
		child_main(conf, c->ring, c->scratch, parent);
		_exit(CHILD_EXIT_SETUP);
	}
	close(sv[1]);
	close(out[1]);
	c->sock = sv[0];
	c->err_fd = out[0];
	(void)fcntl(c->err_fd, F_SETFL, O_NONBLOCK);
	(void)madvise(c->ring, sizeof(*c->ring), MADV_DONTFORK);
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->pidfd == -1) {
		err_sys(err, "cannot watch a child (Linux 5.3 or later is "
		    "needed)");
		(void)kill(c->pid, SIGKILL);
		(void)waitpid(c->pid, NULL, 0);
		child_release(c);
		return (-1);
	}
	return (0);
fail:
	if (sv[0] != -1) {
		close(sv[0]);
		close(sv[1]);
	}
	if (out[0] != -1) {
		close(out[0]);
		close(out[1]);
	}
	child_release(c);
	return (-1);
}

/* The files' urls into the slot's rep, which is free until it replies. */
static int
child_put_files(struct ring_slot *slot, const struct child_files *files)
{
	size_t	 len;
	int	 i;

	if (files == NULL)
		return (0);
	for (i = 0; i < files->n; i++) {
		len = strlen(files->url[i]) + 1;
		if (len > RING_REP_MAX - slot->rep_len)
			return (-1);
		memcpy(slot->rep + slot->rep_len, files->url[i], len);
		slot->rep_len += len;
	}
	return (0);
}

int
child_put(struct child *c, enum ring_kind kind, struct str entry,
    int64_t deadline_ms, int body_fd, const struct child_files *files,
    void *owner)
{
	struct ring_msg		 msg = { .kind = RING_MSG_JOBS, .n = 1 };
	struct ring_slot	*slot;
	int			 fds[FDS_MAX], nfds = 0, n, rc;

	for (n = 0; n < RING_SLOTS && (c->used & 1U << n); n++)
		;
	if (n == RING_SLOTS || entry.len > JOB_ENTRY_MAX) {
		if (body_fd != -1)
			close(body_fd);
		return (-1);
	}
	if (c->file_fd[n] == -1 && kind != RING_HEALTH)
		child_lend_file(c, n);
	slot = &c->ring->slots[n];
	slot->kind = c->kind[n] = kind;
	slot->deadline_ms = c->deadline_ms[n] = deadline_ms;
	c->put_ms[n] = clock_mono_ms();
	slot->req_len = entry.len;
	slot->rep_len = 0;
	slot->rep_in = RING_BODY_SLOT;
	slot->outcome = RING_REPLIED;
	if (child_put_files(slot, files) == -1) {
		if (body_fd != -1)
			close(body_fd);
		return (-1);
	}
	atomic_store(&slot->started_us, 0);
	if (entry.len > 0)
		memcpy(slot->req, entry.s, entry.len);
	atomic_store(&slot->state, RING_STATE(++c->turn[n], RING_READY));
	if (c->nused == 0)
		c->said = 0;	/* what it said while idle is forgiven */
	c->used |= 1U << n;
	c->nused++;
	c->owner[n] = owner;
	msg.has_body = body_fd != -1;
	if (body_fd != -1)
		fds[nfds++] = body_fd;
	if (files != NULL && files->n > 0) {
		memcpy(fds + nfds, files->fd,
		    (size_t)files->n * sizeof(files->fd[0]));
		nfds += files->n;
	}
	if (nfds == 0) {
		c->bell[c->nbell++] = n;
		return (n);
	}
	child_ring(c);		/* keep the order in which jobs came */
	msg.slots[0] = n;
	msg.turns[0] = c->turn[n];
	rc = child_send(c, &msg, fds, nfds);
	if (body_fd != -1)
		close(body_fd);
	if (rc == -1) {
		child_done(c, n);
		return (-1);
	}
	return (n);
}

void
child_ring(struct child *c)
{
	struct ring_msg	 msg = { .kind = RING_MSG_JOBS };
	int		 i;

	if (c->nbell == 0)
		return;
	msg.n = c->nbell;
	memcpy(msg.slots, c->bell, c->nbell);
	for (i = 0; i < c->nbell; i++)
		msg.turns[i] = c->turn[c->bell[i]];
	c->nbell = 0;
	/* If it is dead its pidfd tells, and every slot is looked after then. */
	(void)child_send(c, &msg, NULL, 0);
}

void
child_hear(struct child *c)
{
	char	 bell[8];

	while (recv(c->sock, bell, sizeof(bell), MSG_DONTWAIT) > 0)
		c->ready = true;
}

enum ring_state
child_state(const struct child *c, int slot)
{
	uint32_t	 s = atomic_load(&c->ring->slots[slot].state);

	return (s >> 2 == (c->turn[slot] & (UINT32_MAX >> 2)) ? s & 3 :
	    RING_RUNNING);
}

bool
child_take_back(struct child *c, int slot)
{
	uint32_t	 want = RING_STATE(c->turn[slot], RING_READY);

	if (!atomic_compare_exchange_strong(&c->ring->slots[slot].state, &want,
	    RING_FREE))
		return (false);
	child_done(c, slot);
	return (true);
}

void
child_done(struct child *c, int slot)
{
	int	 i;

	atomic_store(&c->ring->slots[slot].state, RING_FREE);
	c->used &= ~(1U << slot);
	c->nused--;
	c->owner[slot] = NULL;
	for (i = 0; i < c->nbell; i++)
		if (c->bell[i] == slot) {
			c->bell[i] = c->bell[--c->nbell];
			break;
		}
}

bool
child_reply(const struct child *c, int slot, struct child_answer *a)
{
	static char			 rep[RING_REP_MAX];
	const volatile struct ring_slot	*s = &c->ring->slots[slot];
	uint32_t			 len = s->rep_len, in = s->rep_in;
	uint32_t			 outcome = s->outcome;

	if (len > RING_REP_MAX || in > RING_BODY_SOURCE || outcome > RING_WANTS)
		return (false);
	memcpy(rep, c->ring->slots[slot].rep, len);
	a->rep = (struct str){ rep, len };
	a->body_in = in;
	a->file_len = s->file_len;
	a->outcome = outcome;
	return (true);
}

int
child_take_file(struct child *c, int slot, const struct child_answer *a)
{
	struct stat	 st;
	int		 fd = c->file_fd[slot];

	c->file_fd[slot] = -1;
	if (fd != -1 && (fstat(fd, &st) == -1 ||
	    (uint64_t)st.st_size != a->file_len)) {
		close(fd);
		return (-1);
	}
	return (fd);
}

static void
child_say(struct child *c, const char *id)
{
	c->line[c->line_len] = '\0';
	if (c->line_len == 0)
		return;
	memcpy(c->last_line, c->line, c->line_len + 1);
	log_info("child.says pid=%d id=%s msg=%s", (int)c->pid, id,
	    log_quote(c->line, c->line_len));
	c->line_len = 0;
}

bool
child_read_stderr(struct child *c, const char *id)
{
	char	 text[65536];
	ssize_t	 n;
	int	 i;

	while (c->err_fd != -1 && c->said <= c->say_max) {
		n = read(c->err_fd, text, sizeof(text));
		if (n <= 0)
			return (true);
		c->said += n;
		for (i = 0; i < n; i++) {
			if (text[i] == '\n')
				child_say(c, id);
			else if (c->line_len < CHILD_LINE_MAX)
				c->line[c->line_len++] = text[i];
		}
	}
	if (c->err_fd != -1) {
		child_say(c, id);
		log_warn("child.floods pid=%d id=%s msg=\"more than %lld bytes "
		    "on stderr for one job; the rest is not read\"",
		    (int)c->pid, id, (long long)c->say_max);
	}
	return (false);
}

void
child_quit(struct child *c)
{
	struct ring_msg	 msg = { .kind = RING_MSG_QUIT };

	c->retiring = true;
	if (c->quit_ms != 0)
		return;
	c->quit_ms = clock_mono_ms();
	child_ring(c);
	(void)child_send(c, &msg, NULL, 0);
}

void
child_kill(struct child *c)
{
	/* Before the sandbox it has no group of its own yet. */
	(void)kill(c->pid, SIGKILL);
	(void)killpg(c->pid, SIGKILL);
}

int
child_reap(struct child *c, char *how, size_t size)
{
	int	 status = 0;

	(void)killpg(c->pid, SIGKILL);
	while (waitpid(c->pid, &status, 0) == -1 && errno == EINTR)
		;
	(void)child_read_stderr(c, "-");
	if (WIFSIGNALED(status))
		snprintf(how, size, "was killed by SIG%s",
		    sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == CHILD_EXIT_SPOOL_FULL)
		snprintf(how, size, "had no room in the spool for its result");
	else if (WEXITSTATUS(status) == CHILD_EXIT_NO_MEMORY)
		snprintf(how, size, "ran out of memory (its limit is "
		    "memory_mb of the task, or the setting ufop.memory)");
	else
		snprintf(how, size, "exited with status %d",
		    WEXITSTATUS(status));
	child_release(c);
	return (status);
}
