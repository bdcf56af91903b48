/* SPDX-License-Identifier: MIT */
/* A page in its tab; see page.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "page.h"
#include "reqid.h"

/* An answer that takes longer is held up by a script, most of the time. */
#define PATIENCE_US	(1500 * MS)

/* ---- events ---------------------------------------------------------- */

void
page_send(struct page *p, const char *method, json_t *params)
{
	(void)cdp_send(&p->b->cdp, p->session, method, params);
}

static void
on_lifecycle(struct page *p, json_t *params)
{
	const char	*name = cdp_string(params, "name");
	const char	*loader = cdp_string(params, "loaderId");

	if (strcmp(cdp_string(params, "frameId"), p->frame) != 0)
		return;
	if (strcmp(loader, p->living) != 0) {
		snprintf(p->living, sizeof(p->living), "%s", loader);
		p->life = 0;
	}
	if (strcmp(name, "load") == 0)
		p->life |= LIFE_LOAD;
	else if (strcmp(name, "networkIdle") == 0)
		p->life |= LIFE_IDLE;
}

/*
 * The end of loading, with or without a load event: there is none in a page that
 * went to a file, or stopped itself, before all of it was there.
 */
static void
on_stopped(struct page *p, json_t *params)
{
	if (strcmp(cdp_string(params, "frameId"), p->frame) == 0)
		p->life |= LIFE_LOAD;
}

void
page_shows(struct page *p, const char *loader)
{
	if (*loader == '\0' || strcmp(loader, p->loader) == 0)
		return;
	snprintf(p->loader, sizeof(p->loader), "%s", loader);
	p->navigations++;
	if (p->shown_us == 0)
		p->shown_us = clock_mono_us();
}

static void
on_navigated(struct page *p, json_t *params)
{
	json_t	*frame = json_object_get(params, "frame");

	if (strcmp(cdp_string(frame, "id"), p->frame) != 0)
		return;
	/* The tab's own, of before the page; a page may go to one, too. */
	if (p->navigations == 0 &&
	    strcmp(cdp_string(frame, "url"), "about:blank") == 0)
		return;
	snprintf(p->unreachable, sizeof(p->unreachable), "%s",
	    cdp_string(frame, "unreachableUrl"));
	page_shows(p, cdp_string(frame, "loaderId"));
}

static void
on_failed(struct page *p, json_t *params)
{
	/* The request for a document has the name of its loader. */
	snprintf(p->failed, sizeof(p->failed), "%s", cdp_string(params,
	    "requestId"));
	snprintf(p->error, sizeof(p->error), "%s", cdp_string(params,
	    "errorText"));
}

static void
on_dialog(struct page *p, json_t *params)
{
	(void)params;
	page_send(p, "Page.handleJavaScriptDialog",
	    json_pack("{s:b}", "accept", 1));
}

static void
on_crash(struct page *p, json_t *params)
{
	(void)params;
	p->crashed = true;
}

static void
on_download(struct page *p, json_t *params)
{
	(void)params;
	p->download = true;
}

static void
on_response(struct page *p, json_t *params)
{
	json_t	*response = json_object_get(params, "response");

	if (strcmp(cdp_string(params, "type"), "Document") != 0 ||
	    strcmp(cdp_string(params, "frameId"), p->frame) != 0)
		return;
	p->status = (int)json_integer_value(json_object_get(response,
	    "status"));
	snprintf(p->answered, sizeof(p->answered), "%s", cdp_string(params,
	    "loaderId"));
	/*
	 * What the document asks for is nobody's business, and comes to ten
	 * messages for each picture in it.  The caller's headers would go too.
	 */
	if (p->o->headers == NULL && !p->deaf) {
		page_send(p, "Network.disable", json_object());
		p->deaf = true;
	}
}

/* The page goes to another, whose status and faults are of interest again. */
static void
on_navigating(struct page *p, json_t *params)
{
	if (!p->deaf || strcmp(cdp_string(params, "frameId"), p->frame) != 0)
		return;
	(void)browser_follow_network(p->b, p->session);
	p->deaf = false;
}

/*
 * A request to the origin of the html: the html itself, each time that the page
 * is to be it, or nothing.
 */
static void
on_paused(struct page *p, json_t *params)
{
	const struct shot	*s = p->shot;
	const char		*id = cdp_string(params, "requestId");

	if (strcmp(cdp_string(params, "frameId"), p->frame) != 0 ||
	    strcmp(cdp_string(params, "resourceType"), "Document") != 0 ||
	    strcmp(cdp_string(json_object_get(params, "request"), "url"),
	    HTML_URL) != 0) {
		page_send(p, "Fetch.fulfillRequest", json_pack("{s:s, s:i}",
		    "requestId", id, "responseCode", 404));
		return;
	}
	page_send(p, "Fetch.fulfillRequest", json_pack(
	    "{s:s, s:i, s:[{s:s, s:s}], s:o}", "requestId", id, "responseCode",
	    200, "responseHeaders", "name", "Content-Type", "value",
	    s->html_type, "body", cdp_b64_json(s->html, s->html_len)));
}

static const struct {
	const char	*method;
	void		(*run)(struct page *, json_t *params);
	/* Parsed only when this is in it; NULL: always. */
	const char	*only;
} events[] = {
	{ "Page.lifecycleEvent", on_lifecycle, NULL },
	{ "Page.frameStoppedLoading", on_stopped, NULL },
	{ "Page.frameNavigated", on_navigated, NULL },
	/* The first is two milliseconds sooner, where it is told at all. */
	{ "Page.frameRequestedNavigation", on_navigating, NULL },
	{ "Page.frameStartedNavigating", on_navigating, NULL },
	{ "Page.javascriptDialogOpening", on_dialog, NULL },
	{ "Page.downloadWillBegin", on_download, NULL },
	{ "Inspector.targetCrashed", on_crash, NULL },
	{ "Network.responseReceived", on_response, "\"type\":\"Document\"" },
	{ "Network.loadingFailed", on_failed, "\"type\":\"Document\"" },
	{ "Fetch.requestPaused", on_paused, NULL },
};

static void
page_event(struct page *p, const struct cdp_msg *m)
{
	json_t	*msg;
	size_t	 i;

	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (str_eq_c(m->method, events[i].method))
			break;
	if (i == sizeof(events) / sizeof(events[0]) ||
	    (events[i].only != NULL && memmem(m->text.s, m->text.len,
	    events[i].only, strlen(events[i].only)) == NULL))
		return;
	msg = cdp_parse(m);
	events[i].run(p, json_object_get(msg, "params"));
	json_decref(msg);
}

/* Nobody waits for these, but what the browser refuses is told. */
static void
set_up_answer(struct page *p, const struct cdp_msg *m)
{
	json_t	*msg, *error;

	p->unanswered--;
	if (memmem(m->text.s, m->text.len, "\"error\":", 8) == NULL)
		return;
	msg = cdp_parse(m);
	if ((error = json_object_get(msg, "error")) != NULL)
		snprintf(p->refused, sizeof(p->refused), "%s",
		    cdp_string(error, "message"));
	json_decref(msg);
}

enum outcome
page_pump(struct page *p, int64_t until_us)
{
	struct cdp_msg	 m;
	int		 rc;

	if (until_us > p->shot->deadline_us)
		until_us = p->shot->deadline_us;
	if ((rc = cdp_recv(&p->b->cdp, until_us, &m)) != 1)
		return (rc == 0 ? LATE : GONE);
	if (m.id != 0 && m.id >= p->first && m.id <= p->last) {
		set_up_answer(p, &m);
		return (DONE);
	}
	if (browser_message(p->b, &m) || !str_eq_c(m.session, p->session))
		return (DONE);
	if (m.id == 0)
		page_event(p, &m);
	else if (m.id == p->before && cdp_data(&m, &p->data))
		p->want = p->before = 0;	/* a picture that took long */
	else if (m.id == p->want && !cdp_data(&m, &p->data))
		p->answer = cdp_parse(&m);
	if (m.id == p->want)
		p->want = 0;
	return (p->crashed ? CRASHED : DONE);
}

enum outcome
page_wait_life(struct page *p, int life, int64_t until_us)
{
	enum outcome	 rc;

	while ((p->life & life) != life ||
	    strcmp(p->living, p->loader) != 0) {
		if (p->navigations > NAVIGATIONS_MAX)
			return (REFUSED);
		if ((rc = page_pump(p, until_us)) != DONE)
			return (rc);
	}
	return (DONE);
}

/* ---- commands -------------------------------------------------------- */

static void
page_ask(struct page *p, const char *method, json_t *params)
{
	json_decref(p->answer);
	p->answer = NULL;
	p->data = STR_NULL;
	p->want = cdp_send(&p->b->cdp, p->session, method, params);
	if (p->want == -1) {
		p->want = 0;
		p->answer = json_pack("{s:{s:s}}", "error", "message",
		    "it holds bytes that are not UTF-8");
	}
}

/*
 * Until the answer to what was asked is there.  LATE also a moment after the
 * page went to another: with the document the answer may be gone for good.
 */
static enum outcome
page_await(struct page *p, int64_t until_us)
{
	enum outcome	 rc;
	int64_t		 moment_us;
	int		 n = p->navigations;

	while (p->want != 0) {
		if ((rc = page_pump(p, until_us)) != DONE)
			return (rc);
		moment_us = clock_mono_us() + GRACE_US;
		if (p->navigations != n && moment_us < until_us)
			until_us = moment_us;
	}
	return (DONE);
}

/* The answer's result, borrowed; REFUSED when it is an error. */
static enum outcome
page_result(struct page *p, json_t **result)
{
	json_t	*error = json_object_get(p->answer, "error");

	if (error != NULL) {
		snprintf(p->why, sizeof(p->why), "%s", cdp_string(error,
		    "message"));
		return (REFUSED);
	}
	if (result != NULL)
		*result = json_object_get(p->answer, "result");
	return (DONE);
}

enum outcome
page_call(struct page *p, const char *method, json_t *params, int64_t until_us,
    json_t **result)
{
	enum outcome	 rc;

	page_ask(p, method, params);
	while (p->want != 0)
		if ((rc = page_pump(p, until_us)) != DONE)
			return (rc);
	return (page_result(p, result));
}

void
page_stop_scripts(struct page *p)
{
	if (!p->stopped)
		ufop_note(p->job, "script", "stopped");
	p->stopped = true;
	/* One that a timer starts again is not ended by ending it once. */
	page_send(p, "Emulation.setScriptExecutionDisabled",
	    json_pack("{s:b}", "value", 1));
	page_send(p, "Runtime.terminateExecution", json_object());
}

enum outcome
page_settle(struct page *p, int n)
{
	int64_t		 until_us = clock_mono_us() + GRACE_US;
	enum outcome	 rc = DONE;

	while (p->navigations == n && rc == DONE)
		rc = page_pump(p, until_us);
	if (rc == DONE)
		rc = page_wait_life(p, LIFE_LOAD, until_us);
	return (rc == GONE || rc == CRASHED ? rc : DONE);
}

/* Was it refused because the document went away, which may be told later? */
static bool
went_away(const struct page *p)
{
	return (strstr(p->why, "Not attached") != NULL ||
	    strstr(p->why, "navigated or closed") != NULL ||
	    strstr(p->why, "context was destroyed") != NULL);
}

enum outcome
page_insist(struct page *p, const char *method, json_t *params,
    json_t **result)
{
	int64_t		 patience_us = PATIENCE_US;
	enum outcome	 rc;
	int		 try, n, before = 0;

	for (try = 0;; try++, patience_us *= 2) {
		n = p->navigations;
		page_ask(p, method, json_incref(params));
		p->before = before;
		if (p->measured)
			browser_prepare(p->b);
		rc = page_await(p, clock_mono_us() + patience_us);
		if (rc == LATE && p->navigations == n) {
			page_stop_scripts(p);
			rc = page_await(p, p->alone ? p->shot->deadline_us :
			    clock_mono_us() + 2 * patience_us);
		}
		if (rc == DONE)
			rc = page_result(p, result);
		if ((rc != LATE && (rc != REFUSED || (p->navigations == n &&
		    !went_away(p)))) || try == TRIES ||
		    clock_mono_us() >= p->shot->deadline_us)
			break;
		/* Of the same document the late answer will do, too. */
		before = p->navigations == n ? p->want : 0;
		if (before == 0)
			(void)page_settle(p, n);
	}
	p->before = 0;
	json_decref(params);
	return (rc);
}

static json_t *
eval_params(const char *script)
{
	return (json_pack("{s:s, s:b, s:b, s:b}", "expression", script,
	    "awaitPromise", 1, "returnByValue", 1, "userGesture", 1));
}

/*
 * The value in the result of Runtime.evaluate, borrowed until the next call.
 * THREW: why is what.
 */
static enum outcome
eval_value(struct page *p, json_t *result, json_t **value)
{
	json_t	*thrown = json_object_get(result, "exceptionDetails"), *what;

	if (thrown != NULL) {
		what = json_object_get(thrown, "exception");
		snprintf(p->why, sizeof(p->why), "%.200s", cdp_string(what,
		    "description")[0] != '\0' ? cdp_string(what,
		    "description") : cdp_string(thrown, "text"));
		p->why[strcspn(p->why, "\n")] = '\0';	/* no stack */
		return (THREW);
	}
	*value = json_object_get(json_object_get(result, "result"), "value");
	return (DONE);
}

enum outcome
page_eval(struct page *p, const char *script, int64_t until_us,
    json_t **value)
{
	json_t		*result;
	enum outcome	 rc = page_call(p, "Runtime.evaluate",
	    eval_params(script), until_us, &result);

	return (rc == DONE ? eval_value(p, result, value) : rc);
}

enum outcome
page_look(struct page *p, const char *script, json_t **value)
{
	json_t		*result;
	enum outcome	 rc = page_insist(p, "Runtime.evaluate",
	    eval_params(script), &result);

	return (rc == DONE ? eval_value(p, result, value) : rc);
}

/* ---- what went wrong, for the caller --------------------------------- */

int
page_fail(struct page *p, enum outcome rc, const char *step)
{
	char	 why[300];

	switch (rc) {
	case CRASHED:
		return (ufop_fail(p->reply, 500, "the page crashed its "
		    "renderer while %s; it may need more memory than the "
		    "setting screenshot.heap_mb allows", step));
	case GONE:
		if (atomic_load(&p->b->keeper.shared->end) != KEEPER_END_NONE)
			p->may_retry = false;
		browser_why(p->b, why, sizeof(why));
		browser_drop(p->b);
		if (p->may_retry) {
			ufop_log(p->job, "while %s: %s; trying once more",
			    step, why);
			p->retry = true;
			return (-1);
		}
		return (ufop_fail(p->reply, 500, "while %s: %s", step, why));
	case REFUSED:
	case THREW:
		return (ufop_fail(p->reply, 500, "the browser failed while "
		    "%s: %s", step, p->why));
	default:
		return (ufop_fail(p->reply, 504, "the page did not finish "
		    "%s in time", step));
	}
}

char *
page_literal(const char *text)
{
	json_t	*s = json_string(text);
	char	*out = json_dumps(s, JSON_ENCODE_ANY);

	json_decref(s);
	if (out == NULL)
		abort();	/* checked to be UTF-8 when it was read */
	return (out);
}
