/* SPDX-License-Identifier: MIT */
/*
 * /health: whether a job sent now would be served; /health?live: whether this
 * process is.  A task that serves, but has something to tell, is a note.
 */
#include <string.h>

#include <kore/kore.h>
#include <kore/http.h>

#include "answer.h"
#include "front.h"
#include "link.h"
#include "log.h"
#include "query.h"
#include "request.h"
#include "view.h"

/* The platform waits 3 s; so the answer must be there before. */
#define PATIENCE_MS	2000
#define REASONS_MAX	8192

struct reasons {
	struct buf	 list;			/* JSON strings with commas */
	struct buf	 notes;			/* the same */
	char		 first[UFOP_ERR_MSG_MAX];	/* stands for all */
};

static void
add_text(struct buf *list, const char *text)
{
	buf_cstr(list, list->len > 0 ? ",\"" : "\"");
	buf_json(list, str_from(text));
	buf_cstr(list, "\"");
}

static void
add(struct reasons *rs, const char *fmt, ...)
{
	char	 text[UFOP_ERR_MSG_MAX];
	va_list	 ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (rs->list.len == 0)
		memcpy(rs->first, text, sizeof(text));
	add_text(&rs->list, text);
}

static void
find_reasons(const struct request *r, struct reasons *rs)
{
	const struct view_pool	*pool;
	int			 i;

	if (front.draining)
		add(rs, "the front is stopping");
	if (!link_ready()) {
		add(rs, "%s", link_why());
		return;
	}
	if (r->gave_up || !view_is_fresh()) {
		add(rs, "Redis has not answered within %d ms",
		    PATIENCE_MS);
		return;
	}
	for (i = 0; i < view_pools(); i++) {
		pool = view_pool(i);
		if (pool->workers == 0)
			add(rs, "no live worker serves the pool '%s'; "
			    "start one by `ufop runworker`", pool->name);
		else if (pool->healthy == 0)
			add(rs, "the pool '%s' is not well: %s",
			    pool->name, pool->why);
		if (pool->note[0] != '\0')
			add_text(&rs->notes, pool->note);
	}
}

/*
 * Asked every few seconds by whoever watches us: only a change is news.  At
 * the start, when the parts find each other, nobody is told that all is not
 * well yet.
 */
static void
log_change(const struct reasons *rs)
{
	static bool	 was_well;
	bool		 is_well = rs->list.len == 0;

	if (is_well == was_well)
		return;
	was_well = is_well;
	if (is_well)
		log_info("health.good");
	else
		log_warn("health.bad why=%s",
		    log_quote(rs->first, strlen(rs->first)));
}

static void
answer_health(struct request *r)
{
	struct answer	 a = { .status = 200, .unlogged = true };
	struct reasons	 rs;
	struct buf	 json;

	buf_init(&rs.list, REASONS_MAX);
	buf_init(&rs.notes, REASONS_MAX);
	buf_init(&json, 3 * REASONS_MAX);
	find_reasons(r, &rs);
	log_change(&rs);
	if (rs.list.len > 0) {
		a.status = 503;
		buf_cstr(&json, "{\"code\":503,\"error\":\"");
		buf_json(&json, str_from(rs.first));
		buf_cstr(&json, "\",\"reasons\":[");
		buf_add(&json, rs.list.p, rs.list.len);
		buf_cstr(&json, "]");
	}
	if (rs.notes.len > 0) {
		buf_cstr(&json, json.len > 0 ? ",\"notes\":[" :
		    "{\"notes\":[");
		buf_add(&json, rs.notes.p, rs.notes.len);
		buf_cstr(&json, "]");
	}
	/* All is well and there is nothing to tell: no body. */
	if (json.len > 0) {
		a.type = STR("application/json");
		buf_cstr(&json, "}");
	}
	answer_bytes(r->conn, &a, (struct str){ json.p, json.len });
	buf_release(&json);
	buf_release(&rs.notes);
	buf_release(&rs.list);
}

int
page_health(struct http_request *req)
{
	struct request	*r;
	struct answer	 a = { .status = 200 };

	if (http_state_exists(req)) {
		r = request_of(req);
		if (!r->conn->answered)
			answer_health(r);
		return (KORE_RESULT_OK);
	}
	r = request_new(req, REQUEST_HEALTH, "health");
	if (!request_is_get(r))
		return (KORE_RESULT_OK);
	if (query_has(r->conn->draft->head.query, "live"))
		answer_bytes(r->conn, &a, STR_NULL);
	else if (!link_ready() || view_ask() == -1)
		answer_health(r);
	else {
		r->waits_view = true;
		r->give_up_ms = clock_mono_ms() + PATIENCE_MS;
		return (request_sleep(r));
	}
	return (KORE_RESULT_OK);
}
