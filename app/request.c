/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "batch.h"
#include "front.h"
#include "link.h"
#include "log.h"
#include "metrics.h"
#include "query.h"
#include "request.h"
#include "scribe.h"
#include "transfer.h"
#include "view.h"

/* The worker answers at the deadline; that much later nobody will. */
#define GRACE_MS	500
/* How long a request waits to hear which workers live. */
#define VIEW_MS		2000
/* Memory of an entry that is kept for the next one in its slot. */
#define KEEP_MAX	8192

/* A tag travels through hiredis as the argument of a callback. */
static_assert(sizeof(void *) >= sizeof(uint64_t), "tags do not fit a pointer");

static struct request	**slots;
static uint32_t		 nslots;
static struct request	*free_slots;
static int		 in_hand;

/* ---- slots ----------------------------------------------------------- */

uint64_t
request_tag(const struct request *r)
{
	return ((uint64_t)r->generation << 32 | r->slot);
}

struct request *
request_find(uint64_t tag)
{
	uint32_t	 slot = (uint32_t)tag;

	if (slot >= nslots || !slots[slot]->used ||
	    slots[slot]->generation != tag >> 32)
		return (NULL);
	return (slots[slot]);
}

int
request_count(void)
{
	return (in_hand);
}

static struct request *
slot_get(void)
{
	struct request	*r = free_slots;

	if (r != NULL) {
		free_slots = r->next_free;
		return (r);
	}
	slots = xrealloc(slots, (nslots + 1) * sizeof(*slots));
	r = slots[nslots] = xcalloc(1, sizeof(*r));
	r->slot = nslots++;
	body_init(&r->body);
	buf_init(&r->entry, JOB_ENTRY_MAX);
	return (r);
}

static void
slot_put(struct request *r)
{
	if (r->entry.cap > KEEP_MAX)
		buf_release(&r->entry);
	else
		buf_clear(&r->entry);
	r->used = false;
	r->next_free = free_slots;
	free_slots = r;
}

/* ---- life ------------------------------------------------------------ */

/* What the upload left in spool or Redis. */
static void
drop_body(struct request *r)
{
	if (r->body_kind == JOB_BODY_SPOOL)
		spool_remove(&front.spool, str_from(r->body_name));
	else if (r->body_kind == JOB_BODY_KEY)
		transfer_forget("body", r->body_name);
	r->body_kind = JOB_BODY_NONE;
	body_clear(&r->body);
}

static void
queue_of(const struct request *r, char key[QUEUE_KEY_MAX])
{
	queue_key(key, front.tag, "q", view_pool(r->pool)->name);
}

static int
queue_remove(struct request *r, const char *count, redisCallbackFn *cb,
    void *arg)
{
	char		 key[QUEUE_KEY_MAX];
	const char	*argv[] = { "LREM", key, count, r->entry.p };
	size_t		 len[] = { 4, 0, strlen(count), r->entry.len };

	queue_of(r, key);
	len[1] = strlen(key);
	return (queue_cmd(&link_cmd, cb, arg, 4, argv, len));
}

/* There is a line to be written for it, when it ends. */
static void
scribe_begin(struct request *r, struct str page)
{
	if (front.scribe_task != -1)
		r->page = xasprintf("%.*s", STR_ARG(page));
}

static void
scribe_end(struct request *r)
{
	int64_t	 us = r->run_us;

	if (r->page == NULL)
		return;
	if (us == 0 && r->pushed_us != 0)
		us = clock_mono_us() - r->pushed_us;
	scribe_line(str_from(r->page), us);
	free(r->page);
	r->page = NULL;
}

/* Nobody waits for the answer any more. */
static void
take_back(struct request *r)
{
	scribe_end(r);
	if (r->queued)
		(void)queue_remove(r, "1", NULL, NULL);
	r->queued = false;
	if (r->out_name[0] != '\0')
		transfer_forget("out", r->out_name);
	r->out_name[0] = '\0';
	drop_body(r);
	if (r->kind == REQUEST_BATCH)
		batch_drop(r);
}

/* Kore frees its request: the answer is queued, or the client has left. */
static void
on_free(struct http_request *req)
{
	struct request	*r = request_of(req);
	struct conn	*cn = r->conn;

	take_back(r);
	r->conn = NULL;
	slot_put(r);
	metrics_inflight(-1);
	in_hand--;
	if (cn != NULL)
		conn_done(cn);
}

struct request *
request_of(struct http_request *req)
{
	return (*(struct request **)http_state_get(req));
}

static struct request *
begin(enum request_kind kind)
{
	struct request	*r = slot_get();

	/* A tag of 0 would be a NULL pointer. */
	if (++r->generation == 0)
		r->generation = 1;
	r->used = true;
	r->req = NULL;
	r->conn = NULL;
	r->kind = kind;
	r->batch = NULL;
	r->wants_body = r->waits_view = r->asked_view = r->gave_up = false;
	r->queued = r->fetching = false;
	r->give_up_ms = 0;
	r->body_kind = JOB_BODY_NONE;
	r->body_name[0] = r->out_name[0] = '\0';
	r->moved = r->move_len = 0;
	r->piece = r->pieces_out = 0;
	r->pushed_us = r->run_us = 0;
	r->page = NULL;
	return (r);
}

struct request *
request_new(struct http_request *req, enum request_kind kind, const char *label)
{
	struct request	*r = begin(kind), **at;
	struct conn	*cn = req->owner->hdlr_extra;

	at = http_state_create(req, sizeof(*at), on_free);
	*at = r;
	r->req = req;
	r->conn = cn;
	cn->req = r;
	cn->label = label;
	cn->allow = kind == REQUEST_JOB ? "GET, HEAD, POST" :
	    kind == REQUEST_BATCH ? "POST" : "GET, HEAD";
	in_hand++;
	metrics_inflight(1);
	return (r);
}

struct request *
request_item(struct batch *b, int item, const char *url)
{
	struct request	*r = begin(REQUEST_ITEM);

	r->batch = b;
	r->item = item;
	scribe_begin(r, str_from(url));
	return (r);
}

void
request_item_drop(struct request *r)
{
	take_back(r);
	slot_put(r);
}

int
request_sleep(struct request *r)
{
	http_request_sleep(r->req);
	return (KORE_RESULT_RETRY);
}

void
request_run(struct request *r)
{
	http_request_wakeup(r->req);
}

void
request_over(struct request *r)
{
	r->req->fsm_state = REQUEST_DONE;
	request_run(r);
}

void
request_fail(struct request *r, const struct ufop_err *err)
{
	if (r->kind == REQUEST_ITEM) {
		batch_failed(r, err);
		return;
	}
	scribe_end(r);
	answer_err(r->conn, err);
	request_over(r);
}

void
request_failf(struct request *r, enum ufop_code code, const char *fmt, ...)
{
	struct ufop_err	 err = { .code = code };
	va_list		 ap;

	va_start(ap, fmt);
	vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	va_end(ap);
	request_fail(r, &err);
}

void
request_abandon(struct request *r)
{
	r->conn = NULL;
	r->give_up_ms = 0;
	take_back(r);
	/* It may be awake: its page must not run without a client. */
	r->req->flags |= HTTP_REQUEST_DELETE;
	http_request_wakeup(r->req);
}

void
request_abandon_all(void)
{
	uint32_t	 i;

	/* Items go with their batches. */
	for (i = 0; i < nslots; i++)
		if (slots[i]->used && slots[i]->kind != REQUEST_ITEM)
			request_abandon(slots[i]);
}

/* ---- the upload ------------------------------------------------------ */

static void
too_big(struct request *r)
{
	request_failf(r, UFOP_TOO_BIG, "the body is larger than the %lld bytes "
	    "that %s takes", (long long)r->max_body, r->conn->label);
}

/* The other pages answer without looking at a body. */
static bool
reads_body(const struct request *r)
{
	return (r->kind == REQUEST_JOB || r->kind == REQUEST_BATCH);
}

void
request_body(struct request *r, struct str s)
{
	struct ufop_err	 err;

	if (!r->wants_body)
		return;
	if (r->body.len + s.len > (uint64_t)r->max_body)
		too_big(r);
	else if (body_add(&r->body, s, &err) == -1)
		request_fail(r, &err);
}

void
request_body_end(struct request *r)
{
	if (!reads_body(r))
		return;
	metrics_upload(r->body.len);
	request_run(r);
	/* At once, so that the job goes out with all others of this turn. */
	http_process_request(r->req);
}

void
request_too_slow(struct request *r)
{
	if (!reads_body(r))
		return;
	answer_error(r->conn, 408, "the body has not come within %lld s; "
	    "%llu bytes of it have", (long long)front.body_timeout_ms / 1000,
	    (unsigned long long)r->body.len);
	request_over(r);
}

void
request_drained(struct request *r)
{
	transfer_more(r);
}

/* ---- ROUTE ----------------------------------------------------------- */

/* The parameter called name, decoded, from query or header; s NULL if none. */
static int
parameter(struct draft *d, const char *name, struct str header,
    struct str *out, struct ufop_err *err)
{
	struct str	 raw = query_get(d->head.query, name);
	bool		 plus = raw.s != NULL;

	*out = STR_NULL;
	if (raw.s == NULL)
		raw = header;
	if (raw.s == NULL)
		return (0);
	/* Forms write a space as '+'; in a header it is what it is. */
	return (query_decode(arena_alloc(&d->arena, raw.len + 1, 1), raw, plus,
	    name, out, err));
}

/* Under ufop.debug a 404 also says what there would have been. */
static void
add_routes(struct ufop_err *err)
{
	const struct services	*sv = &front.services;
	size_t			 len = strlen(err->msg);
	int			 i, n;

	for (i = 0; i < sv->ntasks && len < sizeof(err->msg); i++) {
		n = snprintf(err->msg + len, sizeof(err->msg) - len, "%s %s %s",
		    i == 0 ? "; routes:" : ",", sv->tasks[i].name,
		    sv->tasks[i].task->route);
		if (n < 0)
			break;
		len += (size_t)n;
	}
}

void
request_routed(struct request *r, const struct router_match *m)
{
	r->task = m->stages[0].task;
	r->pool = view_find(m->pool);
	r->max_body = m->max_body > 0 ? m->max_body : front.max_body;
	r->timeout_ms = m->timeout_ms > 0 ? m->timeout_ms : front.timeout_ms;
}

int
request_expect_body(struct request *r, bool wanted, struct ufop_err *err)
{
	int64_t	 length = r->conn->draft->head.length;

	if (length > r->max_body)
		return (err_set(err, UFOP_TOO_BIG, "the body of %lld bytes is "
		    "larger than the %lld that %s takes", (long long)length,
		    (long long)r->max_body, r->conn->label));
	r->wants_body = wanted;
	if (wanted && length > 0)
		return (body_expect(&r->body, (uint64_t)length, err));
	return (0);
}

int
request_head_done(struct request *r, int rc, const struct ufop_err *err)
{
	if (rc == -1) {
		request_fail(r, err);
		return (HTTP_STATE_COMPLETE);
	}
	r->req->fsm_state = REQUEST_PLACE;
	if (r->conn->state != CONN_BODY)
		return (HTTP_STATE_CONTINUE);
	request_sleep(r);
	conn_continue(r->conn);
	return (HTTP_STATE_RETRY);
}

/* The url of the page: a task may take it in the cmd, too, as base64. */
static struct str
page_of(struct draft *d, struct str url)
{
	const struct router_stage	*st = &d->match.stages[0];
	struct str			 value;
	char				*text;
	int				 i, len;

	for (i = 0; i < st->nargs; i++) {
		if (strcmp(st->args[i].name, "url") != 0)
			continue;
		value = st->args[i].value;
		text = arena_alloc(&d->arena, value.len + 1, 1);
		len = str_b64_decode((unsigned char *)text, value);
		return (len == -1 ? value : (struct str){ text, (size_t)len });
	}
	return (url);
}

/* Everything that can be said from the head alone. */
static int
route(struct request *r, struct ufop_err *err)
{
	struct draft	*d = r->conn->draft;
	struct head	*h = &d->head;
	struct str	 cmd, url;
	bool		 has_body = r->conn->state == CONN_BODY;

	if (h->method == HEAD_OTHER)
		return (err_set(err, UFOP_BAD_METHOD, "%.*s is not done here; "
		    "send POST with the source as body, or GET with url=",
		    STR_ARG(h->method_name)));
	if (parameter(d, "cmd", h->cmd, &cmd, err) == -1 ||
	    parameter(d, "url", h->url, &url, err) == -1)
		return (-1);
	if (cmd.len == 0)
		return (err_set(err, UFOP_BAD_INPUT, "there is no cmd; send "
		    "POST /handler?cmd=<ufop>/<arguments>"));
	if (router_match(front.router, cmd, true, &d->match, err) == -1) {
		if (err->code == UFOP_NO_ROUTE && front.debug)
			add_routes(err);
		return (-1);
	}
	request_routed(r, &d->match);
	r->conn->label = front.services.tasks[r->task].name;

	/* A url counts if it is legal, and else the body is the source. */
	if (url.len > 0 && query_check_url(url, err) == -1) {
		if (!has_body)
			return (-1);
		url = STR_NULL;
	}
	d->job.url = url;
	d->job.type = h->type;
	d->job.accept = h->accept;
	if (r->task == front.scribe_task)
		scribe_begin(r, page_of(d, url));
	if (h->method != HEAD_POST && url.len == 0 &&
	    !(d->match.flags & UFOP_TASK_NO_SOURCE))
		return (err_set(err, UFOP_BAD_METHOD, "%.*s needs url=, for "
		    "%s works on a source; or send POST with it as body",
		    STR_ARG(h->method_name), r->conn->label));
	if (!has_body && url.len == 0 &&
	    !(d->match.flags & UFOP_TASK_NO_SOURCE))
		return (err_set(err, UFOP_BAD_INPUT, "there is no source; send "
		    "it as the body, or name it by url="));
	return (request_expect_body(r, has_body && url.len == 0, err));
}

static int
state_route(struct http_request *req)
{
	struct request	*r = request_of(req);
	struct ufop_err	 err;

	return (request_head_done(r, route(r, &err), &err));
}

/* ---- PLACE ----------------------------------------------------------- */

/* The upload lies in a file: name it, or get ready to send it by Redis. */
static int
place_file(struct request *r, struct ufop_err *err)
{
	if (!front.share || !view_pool(r->pool)->shares) {
		reqid_make(r->body_name);
		r->body_kind = JOB_BODY_KEY;
		return (0);
	}
	spool_name(r->body_name, r->timeout_ms, false);
	if (spool_link(&front.spool, r->body.fd, r->body_name, err) == -1)
		return (-1);
	r->body_kind = JOB_BODY_SPOOL;
	return (0);
}

int
request_await_pool(struct request *r)
{
	const struct view_pool	*pool = view_pool(r->pool);

	if (!link_ready()) {
		request_failf(r, UFOP_UNAVAILABLE, "%s", link_why());
		return (HTTP_STATE_COMPLETE);
	}
	if (pool->workers == 0 || !view_is_fresh()) {
		if (!r->asked_view && !r->gave_up && view_ask() == 0) {
			r->waits_view = true;
			r->give_up_ms = clock_mono_ms() + VIEW_MS;
			request_sleep(r);
			return (HTTP_STATE_RETRY);
		}
		request_failf(r, UFOP_UNAVAILABLE, view_is_fresh() ?
		    "no live worker serves the pool '%s'; start one by "
		    "`ufop runworker`" : "Redis does not say which workers "
		    "serve the pool '%s'; try again", pool->name);
		return (HTTP_STATE_COMPLETE);
	}
	r->give_up_ms = 0;
	return (HTTP_STATE_CONTINUE);
}

static int
state_place(struct http_request *req)
{
	struct request	*r = request_of(req);
	struct ufop_err	 err;
	int		 rc;

	if ((rc = request_await_pool(r)) != HTTP_STATE_CONTINUE)
		return (rc);
	if (r->wants_body && r->body.len == 0 &&
	    !(r->conn->draft->match.flags & UFOP_TASK_NO_SOURCE)) {
		request_failf(r, UFOP_BAD_INPUT, "the body is empty; send the "
		    "source as the body, or name it by url=");
		return (HTTP_STATE_COMPLETE);
	}
	if (r->body.fd != -1) {
		if (place_file(r, &err) == -1) {
			request_fail(r, &err);
			return (HTTP_STATE_COMPLETE);
		}
	} else if (r->body.len > 0)
		r->body_kind = JOB_BODY_INLINE;
	req->fsm_state = REQUEST_PUSH;
	return (HTTP_STATE_CONTINUE);
}

/* ---- PUSH ------------------------------------------------------------ */

/* The job in r->entry. */
static int
encode(struct request *r, struct draft *d, struct str id, struct ufop_err *err)
{
	struct job	*j = &d->job;

	j->deaths = j->retries = 0;
	j->flags = d->match.flags & UFOP_TASK_TAKES_URL ?
	    JOB_FLAG_TAKES_URL : 0;
	j->body = r->body_kind;
	j->queued_us = queue_now_us();
	j->deadline_ms = j->queued_us / 1000 + r->timeout_ms;
	j->tag = request_tag(r);
	j->body_len = r->body.len;
	j->spool_id = front.share ? front.spool.id : 0;
	j->id = id;
	j->web = (struct str){ front.web, REQID_LEN };
	if (r->body_kind == JOB_BODY_INLINE)
		j->ref = (struct str){ r->body.mem.p, r->body.mem.len };
	else
		j->ref = str_from(r->body_name);
	router_job(&front.services, &d->match, j);
	return (job_encode(j, &r->entry, err));
}

static void
on_taken_back(redisAsyncContext *ac, void *reply_arg, void *arg)
{
	struct request	*r = request_find((uint64_t)(uintptr_t)arg);
	redisReply	*reply = reply_arg;

	(void)ac;
	if (r == NULL || !r->queued)
		return;
	/* A worker was faster: then it may as well be done. */
	if (reply == NULL || reply->type != REDIS_REPLY_INTEGER ||
	    reply->integer == 0)
		return;
	r->queued = false;
	request_failf(r, UFOP_BUSY, "%lld jobs wait in the pool '%s' already; "
	    "try again later", (long long)front.max_queue,
	    view_pool(r->pool)->name);
}

static void
on_pushed(redisAsyncContext *ac, void *reply_arg, void *arg)
{
	struct request	*r = request_find((uint64_t)(uintptr_t)arg);
	redisReply	*reply = reply_arg;

	(void)ac;
	if (r == NULL || !r->queued)
		return;
	if (reply == NULL) {
		/* It may have been queued; its reply will find nobody. */
		r->queued = false;
		request_failf(r, UFOP_UNAVAILABLE, "the connection to Redis "
		    "broke while the job was on its way; try again");
	} else if (reply->type == REDIS_REPLY_ERROR) {
		r->queued = false;
		request_failf(r, UFOP_UNAVAILABLE, "Redis does not take the "
		    "job: %s", reply->str);
	} else if (reply->integer > front.max_queue)
		(void)queue_remove(r, "-1", on_taken_back, arg);
}

int
request_push(struct request *r, struct draft *d, struct str id,
    struct ufop_err *err)
{
	char		 key[QUEUE_KEY_MAX];
	const char	*argv[] = { "RPUSH", key, NULL };
	size_t		 len[] = { 5, 0, 0 };

	if (encode(r, d, id, err) == -1)
		return (-1);
	queue_of(r, key);
	len[1] = strlen(key);
	argv[2] = r->entry.p;
	len[2] = r->entry.len;
	if (queue_cmd(&link_cmd, on_pushed, (void *)(uintptr_t)request_tag(r),
	    3, argv, len) == -1)
		return (err_set(err, UFOP_UNAVAILABLE, "%s", link_why()));
	r->queued = true;
	r->pushed_us = clock_mono_us();
	r->give_up_ms = r->pushed_us / 1000 + r->timeout_ms + GRACE_MS;
	return (0);
}

static int
state_push(struct http_request *req)
{
	struct request	*r = request_of(req);
	struct ufop_err	 err;

	if (r->body_kind == JOB_BODY_KEY && r->moved < r->body.len) {
		request_sleep(r);
		transfer_send(r);
		return (HTTP_STATE_RETRY);
	}
	if (request_push(r, r->conn->draft, str_from(r->conn->reqid),
	    &err) == -1) {
		request_fail(r, &err);
		return (HTTP_STATE_COMPLETE);
	}
	conn_drop_draft(r->conn);
	if (r->body_kind == JOB_BODY_SPOOL)
		body_leave(&r->body);
	else
		body_clear(&r->body);
	req->fsm_state = REQUEST_WAIT;
	request_sleep(r);
	return (HTTP_STATE_RETRY);
}

/* ---- WAIT, DONE ------------------------------------------------------ */

/* Woken before there is an answer: only the end of patience does that. */
int
request_state_wait(struct http_request *req)
{
	struct request	*r = request_of(req);

	request_sleep(r);
	return (HTTP_STATE_RETRY);
}

int
request_state_done(struct http_request *req)
{
	(void)req;
	return (HTTP_STATE_COMPLETE);
}

static struct http_state	 states[] = {
	[REQUEST_ROUTE] = KORE_HTTP_STATE(state_route),
	[REQUEST_PLACE] = KORE_HTTP_STATE(state_place),
	[REQUEST_PUSH] = KORE_HTTP_STATE(state_push),
	[REQUEST_WAIT] = KORE_HTTP_STATE(request_state_wait),
	[REQUEST_DONE] = KORE_HTTP_STATE(request_state_done),
};

int
page_handler(struct http_request *req)
{
	if (!http_state_exists(req))
		(void)request_new(req, REQUEST_JOB, "handler");
	return (http_state_run(states, sizeof(states) / sizeof(states[0]),
	    req));
}

bool
request_is_get(struct request *r)
{
	const struct head	*h = &r->conn->draft->head;

	if (h->method == HEAD_GET || h->method == HEAD_HEAD)
		return (true);
	request_failf(r, UFOP_BAD_METHOD, "%.*s is not done here; send GET",
	    STR_ARG(h->method_name));
	return (false);
}

int
page_missing(struct http_request *req)
{
	struct request	*r = request_new(req, REQUEST_JOB, "none");
	struct str	 path = r->conn->draft->head.path;

	request_failf(r, UFOP_NO_ROUTE, "there is nothing at '%.*s'; there "
	    "are /handler?cmd=, /screenshot, /health and /metrics",
	    (int)(path.len > 100 ? 100 : path.len), path.s);
	return (KORE_RESULT_OK);
}

/* ---- replies --------------------------------------------------------- */

static void
answer_of(const struct request *r, const struct reply *reply, struct answer *a)
{
	memset(a, 0, sizeof(*a));
	a->status = reply->status < 200 ? 500 : reply->status;
	a->type = reply->type;
	if (a->type.len == 0 && reply->body_len > 0)
		a->type = STR("application/octet-stream");
	a->headers = reply->headers;
	a->nheaders = reply->nheaders;
	a->is_job = true;
	a->queue_us = clock_mono_us() - r->pushed_us - reply->held_us;
	a->run_us = reply->run_us;
	a->log = reply->log;
}

void
request_answer_begin(struct request *r)
{
	struct reply	 reply;
	struct answer	 a;
	int		 rc;

	rc = reply_decode(&reply, (struct str){ r->entry.p, r->entry.len },
	    NULL);
	assert(rc == 0);	/* it went through once already */
	(void)rc;
	answer_of(r, &reply, &a);
	answer_begin(r->conn, &a, reply.body_len);
}

/* The body of a reply that nobody waits for. */
static void
drop_reply(const struct reply *reply)
{
	char	 name[64];

	if (reply->body == JOB_BODY_SPOOL)
		spool_remove(&front.spool, reply->ref);
	else if (reply->body == JOB_BODY_KEY && reply->ref.len < sizeof(name)) {
		memcpy(name, reply->ref.s, reply->ref.len);
		name[reply->ref.len] = '\0';
		transfer_forget("out", name);
	}
}

static void
reply_file(struct request *r, const struct reply *reply, const struct answer *a)
{
	struct ufop_err	 err;
	uint64_t	 len;
	int		 fd;

	fd = spool_read(&front.spool, reply->ref, &len, &err);
	spool_remove(&front.spool, reply->ref);
	if (fd == -1) {
		err.code = UFOP_FAILED;
		request_fail(r, &err);
		return;
	}
	answer_file(r->conn, a, fd, len);
	request_over(r);
}

static void
reply_key(struct request *r, const struct reply *reply, const struct answer *a,
    struct str raw)
{
	if (reply->ref.len >= sizeof(r->out_name)) {
		request_failf(r, UFOP_FAILED, "the worker's answer names no "
		    "body");
		return;
	}
	if (!answer_has_body(r->conn, a->status) || reply->body_len == 0) {
		drop_reply(reply);
		answer_begin(r->conn, a, reply->body_len);
		request_over(r);
		return;
	}
	memcpy(r->out_name, reply->ref.s, reply->ref.len);
	r->out_name[reply->ref.len] = '\0';
	buf_clear(&r->entry);
	buf_str(&r->entry, raw);
	r->moved = 0;
	r->move_len = reply->body_len;
	transfer_fetch(r);
}

void
request_reply(const struct reply *reply, struct str raw)
{
	struct request	*r = request_find(reply->tag);
	struct answer	 a;

	if (r == NULL || !r->queued) {
		drop_reply(reply);
		return;
	}
	r->queued = false;
	r->give_up_ms = 0;
	drop_body(r);
	metrics_task(r->task, clock_mono_us() - r->pushed_us);
	r->run_us = reply->run_us;
	scribe_end(r);
	if (r->kind == REQUEST_ITEM) {
		if (reply->body != JOB_BODY_INLINE)
			drop_reply(reply);
		batch_replied(r, reply);
		return;
	}
	answer_of(r, reply, &a);
	switch (reply->body) {
	case JOB_BODY_NONE:
		if (a.status >= 400) {
			answer_error(r->conn, a.status, "%s failed with "
			    "status %d and said nothing more", r->conn->label,
			    a.status);
			request_over(r);
			break;
		}
		/* FALLTHROUGH */
	case JOB_BODY_INLINE:
		answer_bytes(r->conn, &a, reply->body == JOB_BODY_INLINE ?
		    reply->ref : STR_NULL);
		request_over(r);
		break;
	case JOB_BODY_SPOOL:
		reply_file(r, reply, &a);
		break;
	case JOB_BODY_KEY:
		reply_key(r, reply, &a, raw);
		break;
	}
}

/* ---- views and patience ---------------------------------------------- */

void
request_viewed(void)
{
	struct request	*r;
	uint32_t	 i;

	for (i = 0; i < nslots; i++) {
		r = slots[i];
		if (!r->used || !r->waits_view || r->conn == NULL)
			continue;
		r->waits_view = false;
		r->asked_view = true;
		r->give_up_ms = 0;
		request_run(r);
	}
}

static void
give_up(struct request *r)
{
	r->give_up_ms = 0;
	r->gave_up = true;
	if (r->waits_view) {
		r->waits_view = false;
		request_run(r);
	} else if (r->conn != NULL && r->conn->answered) {
		answer_break(r->conn);
	} else {
		take_back(r);
		if (front.ending)
			request_failf(r, UFOP_UNAVAILABLE, "the front was "
			    "stopped before %s had ended; try again",
			    front.services.tasks[r->task].name);
		else
			request_failf(r, UFOP_TIMED_OUT, "no answer within "
			    "%lld ms, waiting in the queue included; the queue "
			    "is too long, or %s took too long",
			    (long long)r->timeout_ms,
			    front.services.tasks[r->task].name);
	}
}

void
request_sweep(int64_t now_ms)
{
	struct request	*r;
	uint32_t	 i;

	for (i = 0; i < nslots; i++) {
		r = slots[i];
		if (r->used && r->give_up_ms != 0 && (front.ending ||
		    now_ms >= r->give_up_ms))
			give_up(r);
	}
}
