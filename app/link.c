/* SPDX-License-Identifier: MIT */
#include <sys/epoll.h>

#include <string.h>

#include <kore/kore.h>

#include "front.h"
#include "link.h"
#include "log.h"
#include "request.h"
#include "view.h"

/* Replies taken at once. */
#define REPLIES_MAX	"64"
/* BLMPOP answers after so long even if there is nothing... */
#define WAIT_S		"5"
/* ... so without any answer for so long the connection is dead. */
#define WAIT_DEAD_MS	12000

/*
 * One connection as Kore's loop sees it.  Static, because events of a context
 * that has just been closed may still be in Kore's hands: they then hit the
 * next context, which has nothing to read and comes to no harm.
 */
struct watch {
	struct kore_event	 evt;		/* first: Kore casts */
	redisAsyncContext	*ac;
	bool			 connected;
	bool			 writing;	/* EPOLLOUT is asked for */
	bool			 dirty;		/* commands wait for link_flush() */
	bool			 flushing;
};

struct queue_conn	 link_cmd;

static struct queue_conn link_wait;
static struct watch	 watches[2];
static char		 reply_key[QUEUE_KEY_MAX];
static bool		 waiting;		/* a BLMPOP is out */
static int64_t		 waiting_since_ms;
static int64_t		 wait_again_ms;		/* not before, after an error */

/* ---- hiredis on Kore's loop ------------------------------------------ */

/* Level-triggered: with edges hiredis, which reads once, would hang. */
static void
watch_schedule(struct watch *w, bool writing)
{
	w->writing = writing;
	kore_platform_event_schedule(w->ac->c.fd,
	    EPOLLIN | (writing ? EPOLLOUT : 0), 0, w);
}

static void
watch_event(void *arg, int error)
{
	struct watch		*w = arg;
	int			 flags = w->evt.flags;
	redisAsyncContext	*ac = w->ac;

	/* Kore only ever adds flags. */
	w->evt.flags = 0;
	if (ac == NULL)
		return;
	if (flags & KORE_EVENT_READ || error)
		redisAsyncHandleRead(ac);
	/* Reading may have closed it. */
	if (w->ac == ac && flags & KORE_EVENT_WRITE) {
		w->connected = true;
		w->flushing = true;
		redisAsyncHandleWrite(ac);
		w->flushing = false;
	}
}

static void
watch_add_write(void *arg)
{
	struct watch	*w = arg;

	if (w->flushing || !w->connected) {
		if (!w->writing)
			watch_schedule(w, true);
	} else if (!w->dirty) {
		/* One write for all commands of this turn. */
		w->dirty = true;
		front_soon();
	}
}

static void
watch_del_write(void *arg)
{
	struct watch	*w = arg;

	if (w->writing)
		watch_schedule(w, false);
}

static void
watch_nothing(void *arg)
{
	(void)arg;
}

static void
watch_cleanup(void *arg)
{
	struct watch	*w = arg;

	/* hiredis closes the descriptor, and epoll forgets it by that. */
	w->ac = NULL;
	w->dirty = false;
}

static int
watch_attach(redisAsyncContext *ac, void *arg)
{
	struct watch	*w = arg;

	memset(w, 0, sizeof(*w));
	w->evt.handle = watch_event;
	w->ac = ac;
	ac->ev.data = w;
	ac->ev.addRead = watch_nothing;		/* always watched */
	ac->ev.delRead = watch_nothing;
	ac->ev.addWrite = watch_add_write;
	ac->ev.delWrite = watch_del_write;
	ac->ev.cleanup = watch_cleanup;
	watch_schedule(w, true);
	return (0);
}

void
link_flush(void)
{
	struct watch	*w;
	int		 i;

	for (i = 0; i < 2; i++) {
		w = &watches[i];
		if (!w->dirty || w->ac == NULL)
			continue;
		w->dirty = false;
		w->flushing = true;
		redisAsyncHandleWrite(w->ac);
		w->flushing = false;
	}
}

/* ---- replies --------------------------------------------------------- */

static void	wait_for_replies(void);

static void
on_replies(redisAsyncContext *ac, void *r, void *arg)
{
	redisReply	*reply = r, *list;
	struct reply	 msg;
	struct ufop_err	 err;
	struct str	 raw;
	size_t		 i;

	(void)ac;
	(void)arg;
	waiting = false;
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		log_err("reply.wait why=%s", log_quote(reply->str, reply->len));
		wait_again_ms = clock_mono_ms() + 1000;
		return;
	}
	/* The next wait goes out before what came is worked on. */
	wait_for_replies();
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
		return;
	list = reply->element[1];
	for (i = 0; i < list->elements; i++) {
		raw = (struct str){ list->element[i]->str,
		    list->element[i]->len };
		if (reply_decode(&msg, raw, &err) == -1)
			log_err("reply.unread why=%s",
			    log_quote(err.msg, strlen(err.msg)));
		else
			request_reply(&msg, raw);
	}
}

static void
wait_for_replies(void)
{
	const char	*argv[] = { "BLMPOP", WAIT_S, "1", reply_key, "LEFT",
			    "COUNT", REPLIES_MAX };
	const size_t	 len[] = { 6, strlen(WAIT_S), 1, strlen(reply_key), 4, 5,
			    strlen(REPLIES_MAX) };

	if (waiting || queue_cmd(&link_wait, on_replies, NULL, 7, argv,
	    len) == -1)
		return;
	waiting = true;
	waiting_since_ms = clock_mono_ms();
}

static void
on_wait_ready(struct queue_conn *qc)
{
	(void)qc;
	waiting = false;
	wait_again_ms = 0;
	wait_for_replies();
}

static void
on_cmd_ready(struct queue_conn *qc)
{
	(void)qc;
	(void)view_ask();
}

/* ---- life ------------------------------------------------------------ */

static void
link_open(struct queue_conn *qc, struct watch *w, const char *what,
    void (*on_ready)(struct queue_conn *))
{
	memset(qc, 0, sizeof(*qc));
	qc->addr = &front.redis;
	qc->attach = watch_attach;
	qc->arg = w;
	qc->what = what;
	qc->on_ready = on_ready;
	queue_conn_start(qc);
}

void
link_start(void)
{
	queue_key(reply_key, front.tag, "reply", front.web);
	link_open(&link_cmd, &watches[0], "commands", on_cmd_ready);
	link_open(&link_wait, &watches[1], "replies", on_wait_ready);
}

void
link_stop(void)
{
	const char	*argv[] = { "DEL", reply_key };
	const size_t	 len[] = { 3, strlen(reply_key) };

	(void)queue_cmd(&link_cmd, NULL, NULL, 2, argv, len);
	link_flush();
	queue_conn_stop(&link_wait);
	queue_conn_stop(&link_cmd);
}

bool
link_ready(void)
{
	return (link_cmd.ready && link_wait.ready);
}

const char *
link_why(void)
{
	const char	*why = link_cmd.ready ? link_wait.err : link_cmd.err;

	return (why[0] != '\0' ? why : "Redis has not answered yet");
}

void
link_tick(int64_t now_ms)
{
	queue_conn_tick(&link_cmd);
	queue_conn_tick(&link_wait);
	if (waiting && now_ms - waiting_since_ms > WAIT_DEAD_MS)
		queue_conn_reset(&link_wait, "no answer for 12 s");
	else if (!waiting && link_wait.ready && now_ms >= wait_again_ms)
		wait_for_replies();
}
