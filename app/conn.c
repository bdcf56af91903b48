/* SPDX-License-Identifier: MIT */
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <kore/kore.h>
#include <kore/http.h>

#include "answer.h"
#include "conn.h"
#include "front.h"
#include "log.h"
#include "request.h"

/*
 * All reading goes through one buffer of the process: an idle connection has
 * none.  Twice a head, so that what is left over always fits beside a read.
 */
#define SCRATCH_MAX	(2 * HEAD_MAX)
/* Bytes one connection may bring in before the others have their turn. */
#define READ_BUDGET	(8 * SCRATCH_MAX)
/* An unread body up to this is read away after an error; else we close. */
#define SKIP_MAX	65536
/* How long a client has to notice that we have closed our side. */
#define LINGER_MS	2000
/* Answers that may lie here for a client that asks and does not read. */
#define UNREAD_MAX	32
/* Drafts at rest that are kept. */
#define DRAFTS_MAX	8

enum { TIMED_HEAD, TIMED_BODY, TIMED_LINGER, TIMED_LISTS, TIMED_NONE };

TAILQ_HEAD(conn_list, conn);

static char		 scratch[SCRATCH_MAX];
static struct conn_list	 timed[TIMED_LISTS];	/* oldest first */
static struct conn_list	 resumes;
static struct draft	*drafts;		/* at rest */
static int		 ndrafts;

void
conn_init(void)
{
	int	 i;

	for (i = 0; i < TIMED_LISTS; i++)
		TAILQ_INIT(&timed[i]);
	TAILQ_INIT(&resumes);
}

/* ---- small things ---------------------------------------------------- */

static void
time_from_now(struct conn *cn, int list)
{
	if (cn->timed != TIMED_NONE)
		TAILQ_REMOVE(&timed[cn->timed], cn, timeout);
	cn->timed = list;
	if (list == TIMED_NONE) {
		cn->c->idle_timer.length = (u_int64_t)front.keepalive_ms;
		return;
	}
	/* Kore would close without a word. */
	cn->c->idle_timer.length = UINT64_MAX;
	cn->since_ms = clock_mono_ms();
	TAILQ_INSERT_TAIL(&timed[list], cn, timeout);
}

static void
resume_later(struct conn *cn)
{
	if (cn->resuming)
		return;
	cn->resuming = true;
	TAILQ_INSERT_TAIL(&resumes, cn, resume);
	front_soon();
}

static struct draft *
draft_get(void)
{
	struct draft	*d = drafts;

	if (d != NULL) {
		drafts = d->next;
		ndrafts--;
		return (d);
	}
	d = xmalloc(sizeof(*d));
	arena_init(&d->arena);
	return (d);
}

void
conn_drop_draft(struct conn *cn)
{
	struct draft	*d = cn->draft;

	if (d == NULL)
		return;
	cn->draft = NULL;
	if (ndrafts >= DRAFTS_MAX) {
		arena_release(&d->arena);
		free(d);
		return;
	}
	arena_clear(&d->arena);
	d->next = drafts;
	drafts = d;
	ndrafts++;
}

bool
conn_reusable(const struct conn *cn)
{
	if (cn->state == CONN_WAIT)
		return (true);
	/* A client that was not told to continue may or may not send it. */
	return (cn->state == CONN_BODY && !cn->expect && !cn->chunked &&
	    cn->left <= SKIP_MAX);
}

void
conn_continue(struct conn *cn)
{
	if (!cn->expect)
		return;
	cn->expect = false;
	net_send_queue(cn->c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	if (!net_send_flush(cn->c))
		kore_connection_disconnect(cn->c);
}

/* Our side is shut; what still comes is read away until the client is gone. */
static void
linger(struct conn *cn)
{
	cn->state = CONN_LINGER;
	time_from_now(cn, TIMED_NONE);
}

static void
linger_shut(struct conn *cn)
{
	if (cn->state != CONN_LINGER || cn->shut ||
	    !TAILQ_EMPTY(&cn->c->send_queue))
		return;
	cn->shut = true;
	shutdown(cn->c->fd, SHUT_WR);
	/* From now on; a big answer may have taken its time until here. */
	time_from_now(cn, TIMED_LINGER);
}

/* ---- requests -------------------------------------------------------- */

/* A head that is no head: answer and leave, Kore never hears of it. */
static void
refuse(struct conn *cn, int status, const struct ufop_err *err)
{
	cn->keep = false;
	answer_error(cn, status, "%s", err->msg);
	conn_drop_draft(cn);
	linger(cn);
	if (!net_send_flush(cn->c))
		kore_connection_disconnect(cn->c);
	linger_shut(cn);
}

/*
 * Have Kore make an http_request and run its page.  Kore is told the method
 * and the path, and that there is no body.
 */
static void
start(struct conn *cn)
{
	const struct head	*h = &cn->draft->head;
	struct connection	*c = cn->c;
	struct netbuf		 nb;
	struct str		 path = h->path;
	int			 n;

	/* A longer path is none of ours; Kore shall not stumble over it. */
	if (path.len > 64)
		path = STR("/-");
	memset(&nb, 0, sizeof(nb));
	nb.owner = c;
	nb.b_len = 128;
	nb.buf = kore_malloc(nb.b_len);
	n = snprintf((char *)nb.buf, nb.b_len,
	    "GET %.*s HTTP/1.1\r\nhost: ufop\r\n\r\n", STR_ARG(path));
	nb.s_off = (size_t)n;
	(void)http_header_recv(&nb);
	/* Kore took the buffer over, unless it had no room for a request. */
	kore_free(nb.buf);
	c->http_timeout = 0;
	if (TAILQ_EMPTY(&c->http_requests)) {
		kore_connection_disconnect(c);
		return;
	}
	http_process_request(TAILQ_FIRST(&c->http_requests));
}

/* A whole head stands at the front of *in. */
static void
take_head(struct conn *cn, struct str *in, size_t len)
{
	struct ufop_err	 err = { 0 };
	struct draft	*d;
	struct str	 raw;
	int		 status;

	cn->looked_at = 0;
	time_from_now(cn, TIMED_NONE);
	cn->began_us = clock_mono_us();
	cn->answered = false;
	cn->label = "";
	d = cn->draft = draft_get();
	/* Views into it must hold until the upload has come. */
	raw.s = arena_str(&d->arena, str_slice(*in, 0, len));
	raw.len = len;
	*in = str_slice(*in, len, in->len);
	status = head_parse(&d->head, raw, &err);

	if (status == 0 && reqid_is_sane(d->head.reqid)) {
		memcpy(cn->reqid, d->head.reqid.s, d->head.reqid.len);
		cn->reqid[d->head.reqid.len] = '\0';
	} else
		reqid_make(cn->reqid);
	cn->head_only = d->head.method == HEAD_HEAD;
	cn->keep = d->head.keep_alive;
	cn->is_http10 = d->head.is_http10;
	if (status != 0) {
		refuse(cn, status, &err);
		return;
	}
	if (http_request_count >= http_request_limit) {
		err_set(&err, UFOP_UNAVAILABLE, "the front has %u requests in "
		    "hand and can take no more now", http_request_count);
		refuse(cn, 503, &err);
		return;
	}

	cn->chunked = d->head.chunked;
	chunked_init(&cn->chunks);
	cn->left = d->head.length > 0 ? (uint64_t)d->head.length : 0;
	cn->state = cn->chunked || cn->left > 0 ? CONN_BODY : CONN_WAIT;
	/* Whoever sends the body at once waits for nothing. */
	cn->expect = d->head.expect && cn->state == CONN_BODY && in->len == 0 &&
	    !cn->is_http10;
	if (cn->state == CONN_BODY)
		time_from_now(cn, TIMED_BODY);
	start(cn);
}

static void
take_body(struct conn *cn, struct str *in)
{
	struct ufop_err	 err;
	struct str	 data;
	bool		 whole;

	if (cn->chunked) {
		data = chunked_next(&cn->chunks, in);
		whole = cn->chunks.state == CHUNKED_DONE;
		if (cn->chunks.state == CHUNKED_BROKEN) {
			if (cn->req != NULL && !cn->answered) {
				err_set(&err, UFOP_BAD_INPUT, "the chunked "
				    "body is malformed");
				cn->keep = false;
				request_fail(cn->req, &err);
			} else
				kore_connection_disconnect(cn->c);
			*in = STR_NULL;
			return;
		}
	} else {
		data = str_slice(*in, 0, cn->left);
		*in = str_slice(*in, data.len, in->len);
		cn->left -= data.len;
		whole = cn->left == 0;
	}
	if (data.len > 0)
		cn->expect = false;
	if (data.len > 0 && cn->req != NULL && !cn->answered)
		request_body(cn->req, data);
	if (!whole || cn->state != CONN_BODY)
		return;
	time_from_now(cn, TIMED_NONE);
	if (cn->req == NULL) {
		cn->state = CONN_HEAD;
		return;
	}
	cn->state = CONN_WAIT;
	if (!cn->answered)
		request_body_end(cn->req);
}

/* Use up what is in hand as far as the state allows. */
static void
take(struct conn *cn, struct str *in)
{
	struct ufop_err	 err;
	size_t		 n;

	while (cn->c->state == CONN_STATE_ESTABLISHED) {
		switch (cn->state) {
		case CONN_HEAD:
			if (cn->looked_at == 0)
				*in = str_slice(*in, head_blank(*in), in->len);
			if (in->len == 0)
				return;
			n = head_end(*in, cn->looked_at);
			if (n == 0 && in->len < HEAD_MAX) {
				if (cn->timed == TIMED_NONE)
					time_from_now(cn, TIMED_HEAD);
				cn->looked_at = in->len;
				return;
			}
			if (n > 0 && n <= HEAD_MAX) {
				take_head(cn, in, n);
				break;
			}
			reqid_make(cn->reqid);
			cn->began_us = clock_mono_us();
			cn->head_only = false;
			cn->label = "";
			if (memchr(in->s, '\n', HEAD_MAX) == NULL) {
				err_set(&err, UFOP_BAD_INPUT, "the request "
				    "target is longer than %d bytes; send cmd "
				    "and url in the headers X-Ufop-Cmd and "
				    "X-Ufop-Url", HEAD_TARGET_MAX);
				refuse(cn, 414, &err);
			} else {
				err_set(&err, UFOP_BAD_INPUT, "the request's "
				    "header is longer than %d bytes", HEAD_MAX);
				refuse(cn, 431, &err);
			}
			break;
		case CONN_BODY:
			if (in->len == 0)
				return;
			take_body(cn, in);
			break;
		case CONN_WAIT:
			return;
		case CONN_LINGER:
			*in = STR_NULL;
			return;
		}
	}
	*in = STR_NULL;
}

/* ---- reading --------------------------------------------------------- */

/*
 * Read until there is nothing more, or nothing more is wanted.  epoll is edge-
 * triggered: KORE_EVENT_READ stays set for as long as there may be something
 * in the socket.
 */
static void
conn_read(struct conn *cn)
{
	struct connection	*c = cn->c;
	struct str		 in;
	size_t			 budget = READ_BUDGET, room;
	ssize_t			 r;

	if (cn->in != NULL) {
		memcpy(scratch, cn->in, cn->in_len);
		in = (struct str){ scratch, cn->in_len };
		free(cn->in);
		cn->in = NULL;
		take(cn, &in);
	} else
		in = (struct str){ scratch, 0 };

	while (c->evt.flags & KORE_EVENT_READ && cn->state != CONN_WAIT &&
	    c->state == CONN_STATE_ESTABLISHED) {
		if (budget == 0) {
			/* MOD of an edge that stands reports it once more. */
			kore_platform_event_all(c->fd, c);
			break;
		}
		if (in.len > 0 && in.s != scratch)
			memmove(scratch, in.s, in.len);
		in.s = scratch;
		room = sizeof(scratch) - in.len;
		r = recv(c->fd, scratch + in.len, room, 0);
		if (r == -1 && errno == EINTR)
			continue;
		if (r == -1 && errno == EAGAIN) {
			c->evt.flags &= ~KORE_EVENT_READ;
			break;
		}
		if (r <= 0) {
			kore_connection_disconnect(c);
			return;
		}
		/* A short read has emptied the socket; the next is an edge. */
		if ((size_t)r < room)
			c->evt.flags &= ~KORE_EVENT_READ;
		budget -= (size_t)r < budget ? (size_t)r : budget;
		in.len += (size_t)r;
		take(cn, &in);
	}
	if (in.len > 0 && c->state == CONN_STATE_ESTABLISHED) {
		cn->in = xmalloc(in.len);
		memcpy(cn->in, in.s, in.len);
		cn->in_len = in.len;
	}
}

/* The client has read all that there was for it. */
static void
drained(struct conn *cn)
{
	cn->unread = 0;
	if (cn->req != NULL)
		request_drained(cn->req);
	else if (cn->full) {
		cn->full = false;
		cn->state = CONN_HEAD;
		resume_later(cn);
	}
}

static int
conn_handle(struct connection *c)
{
	struct conn	*cn = c->hdlr_extra;

	if (c->state != CONN_STATE_ESTABLISHED)
		return (KORE_RESULT_OK);
	kore_connection_start_idletimer(c);
	if (c->evt.flags & KORE_EVENT_READ && cn->state != CONN_WAIT)
		conn_read(cn);
	if (c->state == CONN_STATE_ESTABLISHED &&
	    c->evt.flags & KORE_EVENT_WRITE && !TAILQ_EMPTY(&c->send_queue)) {
		if (!net_send_flush(c))
			return (KORE_RESULT_ERROR);
		if (c->state == CONN_STATE_ESTABLISHED &&
		    TAILQ_EMPTY(&c->send_queue))
			drained(cn);
	}
	linger_shut(cn);
	return (KORE_RESULT_OK);
}

/* Kore's word that the client, or we, have closed; Kore frees cn later. */
static void
conn_gone(struct connection *c)
{
	struct conn	*cn = c->hdlr_extra;

	time_from_now(cn, TIMED_NONE);
	if (cn->resuming) {
		TAILQ_REMOVE(&resumes, cn, resume);
		cn->resuming = false;
	}
	free(cn->in);
	cn->in = NULL;
	if (cn->req != NULL) {
		request_abandon(cn->req);
		cn->req = NULL;
	}
	conn_drop_draft(cn);
}

void
conn_connect(struct connection *c)
{
	struct conn	*cn;

	cn = kore_calloc(1, sizeof(*cn));
	cn->c = c;
	cn->state = CONN_HEAD;
	cn->timed = TIMED_NONE;
	c->hdlr_extra = cn;
	c->proto = CONN_PROTO_HTTP;
	c->handle = conn_handle;
	c->write = answer_write;
	c->disconnect = conn_gone;
	c->http_timeout = 0;		/* conn_sweep() sees to that */
	c->idle_timer.length = (u_int64_t)front.keepalive_ms;
}

/* ---- from one request to the next ------------------------------------ */

void
conn_done(struct conn *cn)
{
	cn->req = NULL;
	conn_drop_draft(cn);
	if (cn->c->state != CONN_STATE_ESTABLISHED)
		return;
	if (cn->keep) {
		if (++cn->unread > UNREAD_MAX) {
			if (!net_send_flush(cn->c)) {
				kore_connection_disconnect(cn->c);
				return;
			}
			if (TAILQ_EMPTY(&cn->c->send_queue))
				cn->unread = 0;
		}
		cn->full = cn->state == CONN_WAIT && cn->unread > UNREAD_MAX;
		if (cn->state == CONN_WAIT && !cn->full)
			cn->state = CONN_HEAD;
	} else if (cn->state == CONN_BODY || cn->in != NULL ||
	    cn->c->evt.flags & KORE_EVENT_READ) {
		/* Closing over unread bytes would reset the answer away. */
		linger(cn);
		linger_shut(cn);
	} else {
		cn->c->flags |= CONN_CLOSE_EMPTY;
		if (!net_send_flush(cn->c))
			kore_connection_disconnect(cn->c);
		return;
	}
	if (cn->state != CONN_WAIT && (cn->in != NULL ||
	    cn->c->evt.flags & KORE_EVENT_READ))
		resume_later(cn);
}

void
conn_resume(void)
{
	struct conn	*cn;

	while ((cn = TAILQ_FIRST(&resumes)) != NULL) {
		TAILQ_REMOVE(&resumes, cn, resume);
		cn->resuming = false;
		conn_read(cn);
	}
}

static void
too_slow(struct conn *cn)
{
	struct ufop_err	 err;

	switch (cn->timed) {
	case TIMED_HEAD:
		reqid_make(cn->reqid);
		cn->began_us = cn->since_ms * 1000;
		cn->head_only = false;
		cn->label = "";
		err_set(&err, UFOP_BAD_INPUT, "the request's header has not "
		    "come within %lld s",
		    (long long)front.header_timeout_ms / 1000);
		refuse(cn, 408, &err);
		break;
	case TIMED_BODY:
		time_from_now(cn, TIMED_NONE);
		if (cn->req == NULL || cn->answered) {
			kore_connection_disconnect(cn->c);
			break;
		}
		cn->keep = false;
		request_too_slow(cn->req);
		break;
	default:
		kore_connection_disconnect(cn->c);
		break;
	}
}

void
conn_sweep(int64_t now_ms)
{
	const int64_t	 limit[TIMED_LISTS] = {
		[TIMED_HEAD] = front.header_timeout_ms,
		[TIMED_BODY] = front.body_timeout_ms,
		[TIMED_LINGER] = LINGER_MS,
	};
	struct conn	*cn;
	int		 i;

	for (i = 0; i < TIMED_LISTS; i++)
		while ((cn = TAILQ_FIRST(&timed[i])) != NULL &&
		    now_ms - cn->since_ms >= limit[i])
			too_slow(cn);
}

int
conn_drain(bool patient)
{
	struct connection	*c, *next;
	struct conn		*cn;
	int			 busy = 0;

	for (c = TAILQ_FIRST(&connections); c != NULL; c = next) {
		next = TAILQ_NEXT(c, list);
		if (c->disconnect != conn_gone)
			continue;		/* Kore's own, to its parent */
		cn = c->hdlr_extra;
		if (cn->req == NULL && cn->state == CONN_HEAD &&
		    TAILQ_EMPTY(&c->send_queue) &&
		    !(patient && (cn->began_us == 0 || cn->in_len > 0)))
			kore_connection_disconnect(c);
		else
			busy++;
	}
	return (busy);
}
