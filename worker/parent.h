/* SPDX-License-Identifier: MIT */
/*
 * The state of the worker parent, shared by its files:
 *
 *	worker.c	start, loop, signals, end
 *	pool.c		children of a pool, taking from its queue, dispatch
 *	jobs.c		a job's way from taken to settled
 *	bodies.c	bodies that come and go through Redis keys, and fetches
 *	beat.c		heartbeat, takeover, delayed jobs, comparing with Redis
 */
#ifndef WORKER_PARENT_H
#define WORKER_PARENT_H

#include <sys/queue.h>

#include "child.h"
#include "egress.h"
#include "fetch.h"
#include "job.h"
#include "loop.h"
#include "queue.h"
#include "reqid.h"
#include "services.h"
#include "settings.h"
#include "spool.h"

#define ERRORS_KEPT	10	/* latest failures shown by `ufop status` */
#define CHILDREN_MAX	1024	/* of one pool: as worker.pools allows */

struct parent;
struct pool;

enum wjob_state {
	WJOB_PENDING,		/* waits for a child (in pool->pending) */
	WJOB_LOADING,		/* its body comes from a Redis key */
	WJOB_FETCHING,		/* its source or files are being downloaded */
	WJOB_RUNNING,		/* in a slot of a child */
	WJOB_STORING,		/* its big reply goes to a Redis key */
	WJOB_SETTLING,		/* the answer is on its way */
	WJOB_MOVING,		/* goes back to the queue or to delayed */
};

/* A job this worker has taken and not settled. */
struct wjob {
	TAILQ_ENTRY(wjob)	 all;
	TAILQ_ENTRY(wjob)	 list;		/* pending or to be settled */
	bool			 listed;	/* ... which it is in */
	struct parent		*parent;
	struct pool		*pool;
	enum wjob_state		 state;
	char			*entry;		/* exactly as it stands on Redis */
	size_t			 entry_len;

	/* From the entry; the strings point into it. */
	uint8_t			 deaths, retries, flags;
	enum job_body		 body;
	int64_t			 deadline_ms;	/* CLOCK_MONOTONIC */
	uint64_t		 tag, body_len, spool_id;
	struct str		 id, web, url, ref, cmd;
	int			 task;		/* of the first stage; -1: not here */

	int64_t			 taken_us;	/* CLOCK_MONOTONIC */
	int64_t			 fetch_us;	/* how long the fetch took */
	struct child		*child;
	int			 slot;
	bool			 recalled;	/* a child had it and not begun it */
	bool			 timed_out;	/* its child was killed for it */
	int			 body_fd;	/* loaded or fetched; -1 */
	char			*body_type;	/* of a fetched source, or NULL */
	int			 piece;		/* of a body on a Redis key */
	int			 out_fd;	/* big reply being stored; -1 */
	char			 out_id[REQID_LEN + 1];	/* ... behind {tag}:out: */
	char			*moved;		/* the entry as it will be queued */
	int64_t			 move_due_ms;	/* Redis' clock; 0: now */
	bool			 move_front;	/* to the head of the queue */
	struct buf		 frame;		/* the encoded reply */
	bool			 sent;		/* settle or move is under way */
	bool			 seen;		/* in the latest list from Redis */
	int			 calls;		/* answers that still come for it */
	bool			 forgotten;	/* to be freed after the last */
	uint64_t		 fetch_id;	/* of its source; 0: not under way */
	int			 fetch_tries;
	struct child_files	 files;		/* as ufop_fetch() wants them */
	uint64_t		 file_id[UFOP_FETCH_MAX];  /* 0: it is there */
	int			 wants;		/* how often it asked for some */
};

TAILQ_HEAD(wjobs, wjob);

struct pool {
	struct parent		*parent;
	char			 name[SETTINGS_POOL_NAME_MAX + 1];
	char			 q_key[QUEUE_KEY_MAX];
	struct child_conf	 conf;
	struct queue_conn	 take;		/* blocks in BLMOVE */
	long long		 take_id;	/* Redis' id of that connection */
	long long		 beat_id;	/* ... as the latest beat named it */
	long long		 told_id;	/* ... and Redis has confirmed */
	bool			 waiting;	/* BLMOVE is outstanding */
	char			 take_s[16];	/* its timeout, seconds */
	bool			 redis_full;	/* BLMOVE is refused: TAKE alone */
	int64_t			 full_ms;	/* when it was refused last */
	int64_t			 asked_ms;	/* when either was sent last */
	int			 taking;	/* jobs asked for by TAKE */
	int			 look_in;	/* jobs to hand out before more ... */
	int			 look_gap;	/* ... are looked for; and then */
	int			 slots;		/* children wanted */
	int			 nchildren;
	struct pool_child {
		struct child	 child;
		struct loop_fd	 sock, died, err;
		struct pool	*pool;
		int64_t		 longest_us; /* of its jobs, as far as known */
		bool		 health;	/* being asked */
		bool		 mute;	/* said too much: not listened to */
		bool		 worn;	/* to be replaced; works on till then */
	}			*children[2 * CHILDREN_MAX];	/* with successors */
	int64_t			 respawn_ms;	/* not before; 0: at once */
	int			 respawn_backoff_ms;
	struct wjobs		 pending;
	int			 npending;
	int			 nrunning;
	int			 ncoming;	/* fetched or loaded first */
	int			 nloading;	/* ... those that are loaded */
	int64_t			 run_us;	/* smoothed time of a job */
	bool			 ok;		/* health checks */
	bool			 cannot_start;	/* why says so, till one does */
	char			 why[512];
	char			 note[512];	/* of tasks that serve all the same */
	uint64_t		 done, failed, died;
};

struct task_stat {
	uint64_t	 done, failed;
	int64_t		 run_us;	/* smoothed */
	uint32_t	 known;		/* how many run_us is made of */
};

struct parent {
	const struct settings	*settings;
	const struct services	*services;
	struct loop		*loop;
	struct queue_addr	 addr;
	const char		*tag;
	char			 prefix[QUEUE_KEY_MAX];	/* "{ufop}" */
	char			 id[REQID_LEN + 1];
	char			 run_key[QUEUE_KEY_MAX];
	char			 worker_key[QUEUE_KEY_MAX];
	char			 workers_key[QUEUE_KEY_MAX];
	char			 delayed_key[QUEUE_KEY_MAX];
	char			 dead_key[QUEUE_KEY_MAX];
	char			 stat_key[QUEUE_KEY_MAX];
	struct queue_conn	 cmd;
	struct spool		 spool;
	bool			 share;		/* the spool may be used */
	char			*own_dir;	/* spool/w-<id>: scratch, lock */
	int			 lock_fd;
	int			 lease_ms, backoff_ms, prefetch;
	int64_t			 dead_max;
	bool			 sandbox_on;
	char			 sandbox[256];	/* what holds, in words */

	struct pool		 pools[SETTINGS_POOLS_MAX];
	int			 npools;
	struct wjobs		 all;
	struct wjobs		 settle;	/* answers to be sent */
	int			 njobs;
	struct task_stat	*tasks;		/* one per services->tasks */

	struct fetch_conf	 fetch_conf;
	pid_t			 fetch_pid;	/* -1: not running */
	struct loop_fd		 fetch_sock;	/* fd is our end */
	int64_t			 fetch_respawn_ms;
	int			 fetch_backoff_ms;	/* grows with each death */
	int64_t			 fetch_started_ms;
	int			 fetch_silent;	/* deadlines it let pass */
	uint64_t		 fetch_ids;
	struct egress_policy	 egress;

	int64_t			 next_tick_ms, next_trash_ms;
	int64_t			 next_beat_ms, next_sweep_ms, next_list_ms;
	int64_t			 last_beat_ms;	/* answered; CLOCK_MONOTONIC */
	int64_t			 next_due_ms;	/* of delayed, Redis' clock; -1 */
	bool			 beaten;	/* at least one beat was answered */
	bool			 beat_asked;	/* one is not answered yet */
	bool			 listing;	/* LRANGE is outstanding */
	int64_t			 list_asked_us, beat_asked_us;
	int			 nstrangers;	/* entries seen once, not ours */
	struct buf		 strangers;	/* ... u32 length and bytes each */

	bool			 stopping;
	int64_t			 stop_by_ms;
	bool			 bye_sent, gone;
	int			 ready_fd;
	int64_t			 started_s;
	struct {
		int64_t		 at_s;
		int		 status;
		char		 id[REQID_MAX + 1];
		char		 msg[200];
	}			 errors[ERRORS_KEPT];
	int			 nerrors;
	uint64_t		 done, failed, died, retried, given_up;
	uint64_t		 told[5];	/* of these, already added to stat */
};

/* ---- worker.c --------------------------------------------------------- */

/* What children left behind has no business any more. */
void	 worker_kill_strays(struct parent *);

/* ---- jobs.c ----------------------------------------------------------- */

/* An entry was moved to our run list: it is ours to answer now. */
void	 job_taken(struct pool *, const char *entry, size_t len);
/* Everything it needs is here: into the pool's pending list, or at its head. */
void	 job_pending(struct wjob *, bool head);
/* All changes of state go through here: it counts them by pool. */
void	 job_state(struct wjob *, enum wjob_state);
/* Settle with an error; the message goes to the caller. */
void	 job_fail(struct wjob *, int status, const char *fmt, ...)
	    UFOP_PRINTF(3, 4);
/* Its body has gone: the front removes it when the caller leaves. */
void	 job_gone(struct wjob *);
/* The child's encoded reply is in its slot; settle with it, or retry. */
void	 job_replied(struct wjob *, struct child *, int slot);
/* The child died (how) while it ran this job. */
void	 job_died(struct wjob *, const char *how, int status,
	    const char *last_line);
/* Put it back on its queue as it is, for others (or us) to take. */
void	 job_hand_back(struct wjob *);
/* frame is ready: settle in this round. */
void	 job_settle(struct wjob *);
/* Forget it: settled, moved, or taken over by another worker. */
void	 job_forget(struct wjob *);
/*
 * To be called first in every answer's callback that was counted in calls:
 * false when the job has been forgotten meanwhile.
 */
bool	 job_called(struct wjob *);
/* Send what has been collected for settling. */
void	 jobs_flush(struct parent *);
/* Deadlines of those that do not run (pool.c looks after those). */
void	 jobs_tick(struct parent *);
/* After a new connection: what was sent and not answered is sent again. */
void	 jobs_resend(struct parent *);

/* ---- pool.c ----------------------------------------------------------- */

void	 pool_init(struct pool *, struct parent *,
	    const struct settings_pool *);
/* Start what children are missing. */
void	 pool_fill(struct pool *);
/* Give pending jobs to children and ask Redis for more as there is room. */
void	 pool_dispatch(struct pool *);
void	 pool_want(struct pool *);
/* Deadlines, jobs stuck behind a slow one, worn children. */
void	 pool_tick(struct pool *);
/* How soon pool_tick() is needed, in ms. */
int	 pool_patience_ms(const struct pool *);
void	 pool_health(struct pool *);
/* Replace all children, each when its successor is ready (SIGHUP). */
void	 pool_retire(struct pool *);
/* Stop taking; true when no command to take is outstanding. */
bool	 pool_stop_taking(struct pool *);
/* No child left; quit is asked of those that are idle. */
bool	 pool_stop_children(struct pool *, bool kill_them);
void	 pool_release(struct pool *);
bool	 pool_ready(const struct pool *);
struct pool *pool_find(struct parent *, struct str name);

/* ---- bodies.c --------------------------------------------------------- */

int	 fetch_start(struct parent *, struct ufop_err *);
void	 fetch_tick(struct parent *);
void	 fetch_stop(struct parent *);
void	 body_fetch(struct wjob *);
/*
 * The files that the job waits for (urls, each with a NUL behind it) besides
 * those it has; then it is pending again.
 */
void	 body_want(struct wjob *, struct str urls);
void	 body_files_release(struct wjob *);
/* In a sentence why urls cannot be fetched; NULL: they can, as far as known. */
const char *fetch_note(const struct parent *);
/* The entry as the child shall see it, when the fetch told a content type. */
struct str body_entry(const struct wjob *);
void	 body_fetch_cancel(struct wjob *);
void	 body_load(struct wjob *);
/* The big reply in out_fd goes to a key; then job_settle(). */
void	 body_store(struct wjob *, const struct reply *);
/* The connection is back: go on with what was under way. */
void	 body_resume(struct wjob *);
/* Drop what a settled job's body took on Redis. */
void	 body_drop(struct wjob *);

/* ---- beat.c ----------------------------------------------------------- */

int	 beat_open(struct parent *, struct ufop_err *);
void	 beat_close(struct parent *);
/* The command connection is up (again). */
void	 beat_connected(struct parent *);
void	 beat_tick(struct parent *);
/* Redis lists us as alive, as far as we know: jobs may be taken. */
bool	 beat_lives(const struct parent *);
/* Go on removing what dead children left in their scratch directories. */
void	 beat_trash(struct parent *);
void	 beat_bye(struct parent *);
void	 beat_error(struct parent *, const struct wjob *, int status,
	    const char *msg);
void	 beat_dead(struct parent *, const struct wjob *, const char *why,
	    const char *last);

#endif
