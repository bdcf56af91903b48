/* SPDX-License-Identifier: MIT */
#include <sys/mman.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "answer.h"
#include "batch.h"
#include "front.h"
#include "log.h"
#include "query.h"
#include "view.h"

/* What BATCH_TASK listens to. */
#define CMD		"/screenshot-store"
#define FORM		"{\"lists\":[{\"url\":\"http://...\","		\
			"\"cut\":\"<width>,<height>,<x>,<y>\"}]}"
/* CSS pixels; the service has a say of its own. */
#define CUT_SIDE_MAX	30000
/* Bytes of "30000,30000,30000,30000" and a NUL. */
#define CUT_SIZE	24
#define ANSWER_MAX	(64 * 1024 * 1024)

struct item {
	const char	*url;
	char		 cut[CUT_SIZE];	/* "" if none is asked for */
	struct request	*request;	/* until it has its answer */
	int		 status;	/* HTTP */
	const char	*text;		/* path below 400, else the reason */
	int64_t		 bytes;		/* of the picture */
};

struct batch {
	struct request	*request;	/* the client's */
	struct arena	 arena;		/* urls and texts */
	int		 nitems;
	int		 left;		/* without an answer */
	struct item	 items[];
};

/* ---- answers --------------------------------------------------------- */

static void
put_item(struct buf *out, const struct item *it)
{
	bool	 good = it->status < 400;

	buf_cstr(out, "{\"url\":\"");
	buf_json(out, str_from(it->url));
	if (good)
		buf_cstr(out, "\",\"result\":\"ok\",\"path\":\"");
	else
		buf_addf(out, "\",\"result\":\"error\",\"code\":%d,"
		    "\"error\":\"", it->status);
	buf_json(out, str_from(it->text));
	if (good)
		buf_addf(out, "\",\"bytes\":%" PRId64 "}", it->bytes);
	else
		buf_cstr(out, "\"}");
}

/* How many have; the log tells why the first one did. */
static int
count_failed(const struct batch *b)
{
	const struct item	*first = NULL;
	int			 i, failed = 0;

	for (i = 0; i < b->nitems; i++) {
		if (b->items[i].status < 400)
			continue;
		if (failed++ == 0)
			first = &b->items[i];
	}
	if (first != NULL)
		log_info("batch id=%s items=%d failed=%d status=%d error=%s",
		    b->request->conn->reqid, b->nitems, failed, first->status,
		    log_quote(first->text, strlen(first->text)));
	return (failed);
}

static void
answer_batch(struct batch *b)
{
	struct answer	 a = { .status = 200, .type = STR("application/json") };
	struct buf	 out;
	int		 i;

	buf_init(&out, ANSWER_MAX);
	buf_addf(&out, "{\"result\":\"%s\",\"lists\":[",
	    count_failed(b) == 0 ? "ok" : "error");
	for (i = 0; i < b->nitems; i++) {
		if (i > 0)
			buf_cstr(&out, ",");
		put_item(&out, &b->items[i]);
	}
	buf_cstr(&out, "]}");
	if (out.failed) {
		request_failf(b->request, UFOP_TOO_BIG, "the answer for %d "
		    "items is larger than %d bytes; send fewer", b->nitems,
		    ANSWER_MAX);
	} else {
		answer_begin(b->request->conn, &a, out.len);
		answer_more(b->request->conn, (struct str){ out.p, out.len });
		request_over(b->request);
	}
	buf_release(&out);
}

static void
settle(struct request *r, int status, struct str text, int64_t bytes)
{
	struct batch	*b = r->batch;
	struct item	*it = &b->items[r->item];

	it->status = status;
	it->text = arena_str(&b->arena, text);
	it->bytes = bytes;
	it->request = NULL;
	request_item_drop(r);
	if (--b->left == 0)
		answer_batch(b);
}

void
batch_failed(struct request *r, const struct ufop_err *err)
{
	settle(r, err_http_status(err->code), str_from(err->msg), 0);
}

void
batch_replied(struct request *r, const struct reply *reply)
{
	struct ufop_err	 err;
	const char	*text;
	json_t		*json = NULL, *bytes;

	if (reply->body == JOB_BODY_INLINE)
		json = json_loadb(reply->ref.s, reply->ref.len, 0, NULL);
	bytes = json_object_get(json, "bytes");
	if (reply->status >= 200 && reply->status < 400) {
		text = json_string_value(json_object_get(json, "path"));
		if (text != NULL && json_is_integer(bytes))
			settle(r, 200, str_from(text),
			    json_integer_value(bytes));
		else {
			err_set(&err, UFOP_FAILED, "the answer of " BATCH_TASK
			    " does not say where the picture is");
			batch_failed(r, &err);
		}
	} else {
		text = json_string_value(json_object_get(json, "error"));
		if (text == NULL)
			text = "it failed and nothing more was said";
		settle(r, reply->status < 400 ? 500 : reply->status,
		    str_from(text), 0);
	}
	json_decref(json);
}

void
batch_drop(struct request *r)
{
	struct batch	*b = r->batch;
	int		 i;

	if (b == NULL)
		return;
	r->batch = NULL;
	for (i = 0; i < b->nitems; i++)
		if (b->items[i].request != NULL)
			request_item_drop(b->items[i].request);
	arena_release(&b->arena);
	free(b);
}

/* ---- ROUTE: what the head says ---------------------------------------- */

static int
route(struct request *r, struct ufop_err *err)
{
	const struct head	*h = &r->conn->draft->head;

	r->task = services_find(&front.services, STR(BATCH_TASK));
	if (r->task == -1)
		return (err_set(err, UFOP_NO_ROUTE, "no pictures of pages are "
		    "taken here; add screenshot to the setting ufop.services"));
	if (h->method != HEAD_POST)
		return (err_set(err, UFOP_BAD_METHOD, "%.*s is not done here; "
		    "send POST with " FORM, STR_ARG(h->method_name)));
	r->pool = view_find(front.services.tasks[r->task].pool);
	r->max_body = BATCH_BODY_MAX;
	return (request_expect_body(r, true, err));
}

static int
state_route(struct http_request *req)
{
	struct request	*r = request_of(req);
	struct ufop_err	 err;

	return (request_head_done(r, route(r, &err), &err));
}

/* ---- PLACE: what the body says ---------------------------------------- */

/* The same numbers, if they are a cut, without whatever else stood there. */
static int
read_cut(struct str s, char out[CUT_SIZE])
{
	int64_t		 n[4];
	struct str	 part;
	int		 i;

	for (i = 0; i < 4; i++) {
		part = i < 3 ? str_cut(&s, ',') : s;
		if (s.s == NULL || str_int(part, i < 2, CUT_SIDE_MAX,
		    &n[i]) == -1)
			return (-1);
	}
	snprintf(out, CUT_SIZE, "%d,%d,%d,%d", (int)n[0], (int)n[1],
	    (int)n[2], (int)n[3]);
	return (0);
}

static int
read_item(struct batch *b, int i, json_t *in, struct ufop_err *err)
{
	struct item	*it = &b->items[i];
	const char	*url = json_string_value(json_object_get(in, "url"));
	json_t		*cut = json_object_get(in, "cut");

	if (!json_is_object(in))
		return (err_set(err, UFOP_BAD_INPUT, "lists[%d] is not an "
		    "object; send " FORM, i));
	if (url == NULL)
		return (err_set(err, UFOP_BAD_INPUT, "lists[%d] has no url, "
		    "the address of its page, or one that is not a string", i));
	it->url = arena_str(&b->arena, str_from(url));
	if (cut != NULL && read_cut(str_from(json_string_value(cut)),
	    it->cut) == -1)
		return (err_set(err, UFOP_BAD_INPUT, "the cut of lists[%d] is "
		    "not a string of width, height, x and y in pixels up to "
		    "%d, such as \"800,600,0,0\"", i, CUT_SIDE_MAX));
	return (0);
}

static int
read_lists(struct request *r, json_t *in, struct ufop_err *err)
{
	json_t		*lists = json_object_get(in, "lists");
	size_t		 n = json_array_size(lists);
	struct batch	*b;
	int		 i;

	if (lists == NULL)
		return (err_set(err, UFOP_BAD_INPUT, "the body has no "
		    "\"lists\"; send " FORM));
	if (!json_is_array(lists))
		return (err_set(err, UFOP_BAD_INPUT, "\"lists\" is not an "
		    "array; send " FORM));
	if (n == 0)
		return (err_set(err, UFOP_BAD_INPUT, "\"lists\" is empty; "
		    "name at least one page"));
	if (n > (size_t)front.batch_max)
		return (err_set(err, UFOP_TOO_BIG, "\"lists\" has %zu items "
		    "and the limit is %d; send fewer, or raise the setting "
		    "front.batch_max", n, front.batch_max));
	b = r->batch = xcalloc(1, sizeof(*b) + n * sizeof(b->items[0]));
	b->request = r;
	b->nitems = b->left = (int)n;
	arena_init(&b->arena);
	for (i = 0; i < b->nitems; i++)
		if (read_item(b, i, json_array_get(lists, (size_t)i),
		    err) == -1)
			return (-1);
	return (0);
}

static int
read_text(struct request *r, struct str text, struct ufop_err *err)
{
	json_error_t	 error;
	json_t		*in;
	int		 rc;

	if (text.len == 0)
		return (err_set(err, UFOP_BAD_INPUT, "there is no body; send "
		    FORM));
	in = json_loadb(text.s, text.len, 0, &error);
	if (in == NULL)
		return (err_set(err, UFOP_BAD_INPUT, "the body is not JSON: "
		    "%s, in line %d", error.text, error.line));
	rc = read_lists(r, in, err);
	json_decref(in);
	return (rc);
}

static int
read_body(struct request *r, struct ufop_err *err)
{
	struct str	 text = { r->body.mem.p, r->body.mem.len };
	void		*map;
	int		 rc;

	if (r->body.fd == -1)
		return (read_text(r, text, err));
	map = mmap(NULL, r->body.len, PROT_READ, MAP_PRIVATE, r->body.fd, 0);
	if (map == MAP_FAILED)
		return (err_sys(err, "cannot read the body back"));
	text = (struct str){ map, r->body.len };
	rc = read_text(r, text, err);
	munmap(map, r->body.len);
	return (rc);
}

static int
state_place(struct http_request *req)
{
	struct request	*r = request_of(req);
	struct batch	*b;
	struct ufop_err	 err;
	int		 i;

	if (read_body(r, &err) == -1) {
		request_fail(r, &err);
		return (HTTP_STATE_COMPLETE);
	}
	body_clear(&r->body);
	b = r->batch;
	/* Before it is known whether they can be queued: each gets its line. */
	for (i = 0; i < b->nitems; i++)
		b->items[i].request = request_item(b, i, b->items[i].url);
	req->fsm_state = REQUEST_PUSH;
	return (HTTP_STATE_CONTINUE);
}

/* ---- PUSH: the jobs --------------------------------------------------- */

static int
push_item(struct batch *b, int i, struct draft *d, struct ufop_err *err)
{
	const struct item	*it = &b->items[i];
	struct str		 url = str_from(it->url);
	char			 cmd[sizeof(CMD "/cut/") + CUT_SIZE];
	char			 id[REQID_MAX + 16];

	if (query_check_url(url, err) == -1)
		return (-1);
	snprintf(cmd, sizeof(cmd), CMD "%s%s", it->cut[0] != '\0' ? "/cut/" :
	    "", it->cut);
	if (router_match(front.router, str_from(cmd), false, &d->match,
	    err) == -1)
		return (-1);
	request_routed(it->request, &d->match);
	if (it->request->task != b->request->task)
		return (err_set(err, UFOP_CONFIG, "the task %s takes '%s', "
		    "which is for " BATCH_TASK "; name screenshot before its "
		    "service in the setting ufop.services",
		    front.services.tasks[it->request->task].name, cmd));
	d->job.url = url;
	d->job.type = d->job.accept = STR_NULL;
	snprintf(id, sizeof(id), "%s-%d", b->request->conn->reqid, i + 1);
	return (request_push(it->request, d, str_from(id), err));
}

static int
state_push(struct http_request *req)
{
	struct request	*r = request_of(req);
	struct batch	*b = r->batch;
	struct ufop_err	 err;
	int		 i, rc;

	rc = request_await_pool(r);
	if (rc == HTTP_STATE_COMPLETE)
		batch_drop(r);	/* lines before the answer goes out */
	if (rc != HTTP_STATE_CONTINUE)
		return (rc);
	for (i = 0; i < b->nitems; i++)
		if (push_item(b, i, r->conn->draft, &err) == -1)
			request_fail(b->items[i].request, &err);
	if (r->conn->answered)
		return (HTTP_STATE_COMPLETE);
	conn_drop_draft(r->conn);
	req->fsm_state = REQUEST_WAIT;
	request_sleep(r);
	return (HTTP_STATE_RETRY);
}

/* ---- the page --------------------------------------------------------- */

static struct http_state	 states[] = {
	[REQUEST_ROUTE] = KORE_HTTP_STATE(state_route),
	[REQUEST_PLACE] = KORE_HTTP_STATE(state_place),
	[REQUEST_PUSH] = KORE_HTTP_STATE(state_push),
	[REQUEST_WAIT] = KORE_HTTP_STATE(request_state_wait),
	[REQUEST_DONE] = KORE_HTTP_STATE(request_state_done),
};

int
page_screenshot(struct http_request *req)
{
	if (!http_state_exists(req))
		(void)request_new(req, REQUEST_BATCH, "screenshot");
	return (http_state_run(states, sizeof(states) / sizeof(states[0]),
	    req));
}
