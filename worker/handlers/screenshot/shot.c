/* SPDX-License-Identifier: MIT */
/* One page, one picture; see shot.h. */
#include <sys/mman.h>

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "err.h"
#include "reqid.h"
#include "shot.h"

/* HTML that came as a body gets an origin, but no server and no file. */
#define HTML_URL	"http://page.ufop.invalid/"

#define MS		1000LL
/* An answer that takes longer is held up by a script, most of the time. */
#define PATIENCE_US	(1500 * MS)
/* What a page does after its script was ended, or it went to another. */
#define GRACE_US	(500 * MS)
/* networkIdle never comes on a page that polls. */
#define IDLE_MAX_US	(5000 * MS)
#define SCRIPT_US	(5000 * MS)
/* Of a question to a page that goes to another under it. */
#define TRIES		5
/* Of ending the scripts of a page, within GRACE_US. */
#define STOP_TRIES	5
#define NAVIGATIONS_MAX	20
/* Chromium gives no bytes, and no error, beyond it. */
#define WEBP_SIDE_MAX	16383
#define SIDE_MAX	65000

enum {
	LIFE_LOAD = 1,
	LIFE_IDLE = 2,
};

enum outcome {
	DONE,
	LATE,			/* the deadline passed */
	GONE,			/* the browser has ended */
	CRASHED,		/* the page's renderer has */
	REFUSED,		/* the browser answered with an error */
};

struct page {
	struct browser		*b;
	const struct shot	*shot;
	const struct options	*o;
	struct ufop_job		*job;
	struct ufop_reply	*reply;
	const char		*session;
	const char		*frame;		/* the main one's id */
	uint32_t		 notes;		/* of the filter, when we began */

	char			 loader[CDP_NAME_MAX + 1];  /* of the document */
	/* Life may be told of before the answer that names the loader. */
	char			 living[CDP_NAME_MAX + 1];  /* a loader */
	int			 life;		/* ... and its LIFE_... */
	int64_t			 shown_us;	/* first document; 0: none yet */
	int			 navigations;
	int			 status;	/* of a document; 0: not known */
	char			 answered[CDP_NAME_MAX + 1]; /* ... its loader */
	bool			 deaf;		/* to what goes over the network */
	/* What the document could not be had from; "": it is one. */
	char			 unreachable[256];
	/* Of the last document that failed to load, a frame's too. */
	char			 failed[CDP_NAME_MAX + 1];	/* its loader */
	char			 error[64];	/* ... "net::ERR_..." */
	bool			 download;
	bool			 crashed;
	bool			 served;	/* the html has been */
	bool			 stopped;	/* no script of it runs any more */
	bool			 measured;	/* but for the picture all is asked */
	/* It resizes the page: two at once would spoil each other. */
	bool			 alone;
	/* A browser that ended, but not for what this page took: once more. */
	bool			 may_retry, retry;

	/* The commands with words of the caller's; how many have no answer. */
	int			 first, last, unanswered;
	char			 refused[200];	/* the browser's words to one */

	int			 want;		/* the command waited for */
	int			 before;	/* ... as it was asked before; or 0 */
	json_t			*answer;	/* ... its message */
	struct str		 data;		/* ... or the picture in it */
	char			 why[256];	/* REFUSED: the browser's words */
};

/* ---- events ---------------------------------------------------------- */

static const char *
string_of(json_t *o, const char *key)
{
	const char	*s = json_string_value(json_object_get(o, key));

	return (s != NULL ? s : "");
}

static void
page_send(struct page *p, const char *method, json_t *params)
{
	(void)cdp_send(&p->b->cdp, p->session, method, params);
}

static void
on_lifecycle(struct page *p, json_t *params)
{
	const char	*name = string_of(params, "name");
	const char	*loader = string_of(params, "loaderId");

	if (strcmp(string_of(params, "frameId"), p->frame) != 0)
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

/* The document is now this loader's. */
static void
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

	if (strcmp(string_of(frame, "id"), p->frame) != 0 ||
	    strcmp(string_of(frame, "url"), "about:blank") == 0)
		return;
	snprintf(p->unreachable, sizeof(p->unreachable), "%s",
	    string_of(frame, "unreachableUrl"));
	page_shows(p, string_of(frame, "loaderId"));
}

static void
on_failed(struct page *p, json_t *params)
{
	/* The request for a document has the name of its loader. */
	snprintf(p->failed, sizeof(p->failed), "%s", string_of(params,
	    "requestId"));
	snprintf(p->error, sizeof(p->error), "%s", string_of(params,
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

	if (strcmp(string_of(params, "type"), "Document") != 0 ||
	    strcmp(string_of(params, "frameId"), p->frame) != 0)
		return;
	p->status = (int)json_integer_value(json_object_get(response,
	    "status"));
	snprintf(p->answered, sizeof(p->answered), "%s", string_of(params,
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
	if (!p->deaf || strcmp(string_of(params, "frameId"), p->frame) != 0)
		return;
	(void)browser_follow_network(p->b, p->session);
	p->deaf = false;
}

/* A request to the origin of the html: the html itself, or nothing. */
static void
on_paused(struct page *p, json_t *params)
{
	const struct shot	*s = p->shot;
	const char		*id = string_of(params, "requestId");

	if (p->served) {
		page_send(p, "Fetch.fulfillRequest", json_pack("{s:s, s:i}",
		    "requestId", id, "responseCode", 404));
		return;
	}
	p->served = true;
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
		    string_of(error, "message"));
	json_decref(msg);
}

/* Take in one message. */
static enum outcome
page_pump(struct page *p, int64_t until_us)
{
	struct cdp_msg	 m;
	int		 rc = cdp_recv(&p->b->cdp, until_us, &m);

	if (rc != 1)
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

/* Until the document has all of these, or LATE. */
static enum outcome
wait_life(struct page *p, int life, int64_t until_us)
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

	if (until_us > p->shot->deadline_us)
		until_us = p->shot->deadline_us;
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
		snprintf(p->why, sizeof(p->why), "%s", string_of(error,
		    "message"));
		return (REFUSED);
	}
	if (result != NULL)
		*result = json_object_get(p->answer, "result");
	return (DONE);
}

static enum outcome
page_call(struct page *p, const char *method, json_t *params, int64_t until_us,
    json_t **result)
{
	enum outcome	 rc;

	if (until_us > p->shot->deadline_us)
		until_us = p->shot->deadline_us;
	page_ask(p, method, params);
	while (p->want != 0)
		if ((rc = page_pump(p, until_us)) != DONE)
			return (rc);
	return (page_result(p, result));
}

/* From now on no script of the page runs, whatever starts it. */
static void
stop_scripts(struct page *p)
{
	if (!p->stopped)
		ufop_note(p->job, "script", "stopped");
	p->stopped = true;
	/* One that a timer starts again is not ended by ending it once. */
	page_send(p, "Emulation.setScriptExecutionDisabled",
	    json_pack("{s:b}", "value", 1));
	page_send(p, "Runtime.terminateExecution", json_object());
}

/* The page is just going to another: until that one is there, or a moment. */
static void
settle(struct page *p)
{
	int64_t		 until_us = clock_mono_us() + GRACE_US;
	int		 n = p->navigations;
	enum outcome	 rc = DONE;

	while (p->navigations == n && rc == DONE)
		rc = page_pump(p, until_us);
	if (rc == DONE)
		(void)wait_life(p, LIFE_LOAD, until_us);
}

/*
 * Ask what has an answer, whatever the page does meanwhile: its scripts are
 * stopped when they hold it up, and when it goes to another page the question
 * is put anew there.  The reference to params is taken over.
 */
static enum outcome
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
			stop_scripts(p);
			rc = page_await(p, p->alone ? p->shot->deadline_us :
			    clock_mono_us() + 2 * patience_us);
		}
		if (rc == DONE)
			rc = page_result(p, result);
		if ((rc != LATE && (rc != REFUSED || (p->navigations == n &&
		    strstr(p->why, "Not attached") == NULL))) ||
		    try == TRIES || clock_mono_us() >= p->shot->deadline_us)
			break;
		/* Of the same document the late answer will do, too. */
		before = p->navigations == n ? p->want : 0;
		if (before == 0)
			settle(p);
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
 * REFUSED when the script threw; then why is what it threw.
 */
static enum outcome
eval_value(struct page *p, json_t *result, json_t **value)
{
	json_t	*thrown = json_object_get(result, "exceptionDetails"), *what;

	if (thrown != NULL) {
		what = json_object_get(thrown, "exception");
		snprintf(p->why, sizeof(p->why), "%.200s", string_of(what,
		    "description")[0] != '\0' ? string_of(what,
		    "description") : string_of(thrown, "text"));
		p->why[strcspn(p->why, "\n")] = '\0';	/* no stack */
		return (REFUSED);
	}
	*value = json_object_get(json_object_get(result, "result"), "value");
	return (DONE);
}

/* The value of a script, of a promise's too. */
static enum outcome
page_eval(struct page *p, const char *script, int64_t until_us,
    json_t **value)
{
	json_t		*result;
	enum outcome	 rc = page_call(p, "Runtime.evaluate",
	    eval_params(script), until_us, &result);

	return (rc == DONE ? eval_value(p, result, value) : rc);
}

/* The same of a script of ours, which waits for nothing. */
static enum outcome
page_look(struct page *p, const char *script, json_t **value)
{
	json_t		*result;
	enum outcome	 rc = page_insist(p, "Runtime.evaluate",
	    eval_params(script), &result);

	return (rc == DONE ? eval_value(p, result, value) : rc);
}

/* ---- what went wrong, for the caller --------------------------------- */

/* The sentence for an outcome that no step explains better. */
static int
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
			p->retry = true;
			return (-1);
		}
		return (ufop_fail(p->reply, 500, "while %s: %s", step, why));
	case REFUSED:
		return (ufop_fail(p->reply, 500, "the browser failed while "
		    "%s: %s", step, p->why));
	default:
		return (ufop_fail(p->reply, 504, "the page did not finish "
		    "%s in time", step));
	}
}

/* What the filter wrote down last while this page was loading; or NULL. */
static const struct socks_note *
filter_note(const struct page *p)
{
	const struct socks_notes	*notes = &p->b->keeper.shared->notes;
	uint32_t			 n = atomic_load(&notes->n);

	if (n == p->notes)
		return (NULL);
	/* Retries of the browser's write alike; the last is never half-old. */
	return (&notes->note[(n - 1) % SOCKS_NOTES]);
}

/* The browser's names of what went wrong, and a sentence for each. */
static const struct {
	const char	*name;
	const char	*why;
} net_errors[] = {
	{ "ERR_CERT", "its TLS certificate or handshake is bad" },
	{ "ERR_SSL", "its TLS certificate or handshake is bad" },
	{ "ERR_UNSAFE_PORT", "its port belongs to another protocol, and "
	    "browsers do not open it; serve the page on another" },
	{ "ERR_UNSAFE_REDIRECT", "it redirects to an address that is not http "
	    "or https" },
	{ "ERR_TOO_MANY_REDIRECTS", "it redirects without an end" },
	{ "ERR_EMPTY_RESPONSE", "its server closed the connection without an "
	    "answer" },
	{ "ERR_ABORTED", "its answer is nothing that can be shown, such as a "
	    "304 or a redirect to an address that is not http or https" },
};

static int
navigate_fail(struct page *p, const char *error)
{
	const struct socks_note	*note = filter_note(p);
	size_t			 i;

	if (p->download)
		return (ufop_fail(p->reply, 415, "the url is a download, not "
		    "a page to be shown"));
	if (p->status == 204 || p->status == 205)
		return (ufop_fail(p->reply, 502, "the page answered %d, which "
		    "has no content to be shown", p->status));
	if (note != NULL && strstr(error, "SOCKS") != NULL)
		return (ufop_fail(p->reply, 502, "cannot open the page: %s",
		    note->msg));
	if (strstr(error, "ERR_INVALID_ARGUMENT") != NULL &&
	    p->o->headers != NULL)
		return (ufop_fail(p->reply, 400, "screenshot: the browser does "
		    "not send one of the headers; leave out those of the "
		    "connection itself"));
	for (i = 0; i < sizeof(net_errors) / sizeof(net_errors[0]); i++)
		if (strstr(error, net_errors[i].name) != NULL)
			return (ufop_fail(p->reply, 502, "cannot open the "
			    "page: %s (%s)", net_errors[i].why, error));
	return (ufop_fail(p->reply, 502, "cannot open the page: %s", error));
}

/* ---- the steps ------------------------------------------------------- */

static void
set_metrics(struct page *p, int h)
{
	page_send(p, "Emulation.setDeviceMetricsOverride", json_pack(
	    "{s:i, s:i, s:f, s:b}", "width", p->o->view_w, "height", h,
	    "deviceScaleFactor", p->o->scale, "mobile", p->o->mobile));
}

static void
set_cookies(struct page *p)
{
	const char	*url = p->shot->url != NULL ? p->shot->url : HTML_URL;
	json_t		*cookie;
	size_t		 i;

	json_array_foreach(p->o->cookies, i, cookie)
		if (json_object_get(cookie, "domain") == NULL)
			json_object_set_new(cookie, "url", json_string(url));
	(void)cdp_send(&p->b->cdp, "", "Storage.setCookies", json_pack(
	    "{s:O, s:s}", "cookies", p->o->cookies, "browserContextId",
	    p->b->tab.context));
}

/* All that holds from the first request on; navigate() has the answers. */
static void
page_set_up(struct page *p)
{
	static const char	 phone[] = "Mozilla/5.0 (Linux; Android 14; "
	    "Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/"
	    "130.0.0.0 Mobile Safari/537.36";
	const struct options	*o = p->o;
	const char		*ua = o->ua;

	set_metrics(p, o->view_h);
	if (o->mobile) {
		page_send(p, "Emulation.setTouchEmulationEnabled",
		    json_pack("{s:b}", "enabled", 1));
		if (ua == NULL)
			ua = phone;
	}
	if (o->dark)
		page_send(p, "Emulation.setEmulatedMedia", json_pack(
		    "{s:[{s:s, s:s}]}", "features", "name",
		    "prefers-color-scheme", "value", "dark"));
	if (o->nobg)
		page_send(p, "Emulation.setDefaultBackgroundColorOverride",
		    json_pack("{s:{s:i, s:i, s:i, s:i}}", "color", "r", 0, "g",
		    0, "b", 0, "a", 0));
	p->first = p->b->cdp.id + 1;
	if (ua != NULL)
		page_send(p, "Emulation.setUserAgentOverride",
		    json_pack("{s:s}", "userAgent", ua));
	if (o->headers != NULL)
		page_send(p, "Network.setExtraHTTPHeaders",
		    json_pack("{s:O}", "headers", o->headers));
	if (o->cookies != NULL)
		set_cookies(p);
	p->last = p->b->cdp.id;
	p->unanswered = p->last - p->first + 1;
	if (p->shot->url == NULL)
		page_send(p, "Fetch.enable", json_pack("{s:[{s:s}]}",
		    "patterns", "urlPattern", HTML_URL "*"));
}

static int
navigate(struct page *p, int64_t until_us)
{
	enum outcome	 rc, more;
	json_t		*result;

	rc = page_call(p, "Page.navigate", json_pack("{s:s}", "url",
	    p->shot->url != NULL ? p->shot->url : HTML_URL), until_us,
	    &result);
	/* These were sent before it, and are answered before it as a rule. */
	until_us = clock_mono_us() + GRACE_US;
	while (rc == DONE && p->unanswered > 0 &&
	    (more = page_pump(p, until_us)) != LATE)
		rc = more;
	if (p->refused[0] != '\0')
		return (ufop_fail(p->reply, 400, "screenshot: the browser "
		    "does not take a word of the cmd: %s; see that cookies, "
		    "headers and ua are as they should be", p->refused));
	if (rc == LATE)
		return (ufop_fail(p->reply, 504, "the page's server did not "
		    "answer within %d ms%s", p->shot->page_ms,
		    p->shot->page_cut ? ", which is all that was left of the "
		    "job's time (setting ufop.timeout)" : ""));
	if (rc == REFUSED)
		return (ufop_fail(p->reply, 400, "the browser does not take "
		    "the url: %s", p->why));
	if (rc != DONE)
		return (page_fail(p, rc, "opening the page"));
	if (json_is_true(json_object_get(result, "isDownload")))
		p->download = true;
	if (string_of(result, "errorText")[0] != '\0')
		return (navigate_fail(p, string_of(result, "errorText")));
	if (p->navigations == 0)
		page_shows(p, string_of(result, "loaderId"));
	return (0);
}

/*
 * The status of a document that was there before we could listen again.  One
 * that keeps it from us is taken as it is.
 */
static enum outcome
ask_status(struct page *p)
{
	json_t		*value;
	enum outcome	 rc;

	if (p->unreachable[0] != '\0' || strcmp(p->answered, p->loader) == 0)
		return (DONE);
	rc = page_eval(p, "performance.getEntriesByType('navigation')[0]"
	    ".responseStatus", clock_mono_us() + GRACE_US, &value);
	if (rc == CRASHED || rc == GONE)
		return (rc);
	p->status = rc == DONE ? (int)json_integer_value(value) : 0;
	return (DONE);
}

/* Why the document could not be had; one that the page itself went to. */
static int
unreachable_fail(struct page *p)
{
	const struct socks_note	*note = filter_note(p);

	if (strcmp(p->failed, p->loader) == 0)
		return (navigate_fail(p, p->error));
	/* It failed before we could listen again. */
	if (note != NULL && strstr(p->unreachable, note->host) != NULL)
		return (ufop_fail(p->reply, 502, "cannot open the page: %s",
		    note->msg));
	return (ufop_fail(p->reply, 502, "cannot open the page: it went to "
	    "another that cannot be reached"));
}

/* Is this document one to take a picture of, by what is known of it? */
static int
check_document(struct page *p)
{
	if (p->unreachable[0] != '\0')
		return (unreachable_fail(p));
	if (p->status < 400 || p->o->status_any)
		return (0);
	return (ufop_fail(p->reply, 502, "the page answered %d; ask with "
	    "status/any for a picture of it all the same", p->status));
}

/* The same, when there is nothing yet that a question would spoil. */
static int
look_at_document(struct page *p)
{
	enum outcome	 rc = ask_status(p);

	if (rc != DONE)
		return (page_fail(p, rc, "loading the page"));
	return (check_document(p));
}

static int
loops(struct page *p)
{
	page_send(p, "Page.stopLoading", json_object());
	return (ufop_fail(p->reply, 502, "the page keeps going to other "
	    "pages; stopped after %d", NAVIGATIONS_MAX));
}

static int
wait_load(struct page *p, int64_t until_us)
{
	enum outcome	 rc = wait_life(p, LIFE_LOAD, until_us);
	int		 i;

	/*
	 * A script without end keeps the document from its end.  One that
	 * stands in a dialogue does not feel that it is ended: once more.
	 */
	for (i = 0; rc == LATE && i < STOP_TRIES; i++) {
		stop_scripts(p);
		rc = wait_life(p, LIFE_LOAD, clock_mono_us() + GRACE_US /
		    STOP_TRIES);
	}
	if (rc == REFUSED)
		return (loops(p));
	if (rc == LATE)
		return (ufop_fail(p->reply, 504, "the page has not finished "
		    "loading within %d ms; ask with wait/<ms> for a picture "
		    "of what there is by then", p->shot->page_ms));
	return (rc == DONE ? 0 : page_fail(p, rc, "loading the page"));
}

static int
wait_idle(struct page *p, int64_t until_us)
{
	int64_t		 idle_us;
	enum outcome	 rc;

	if (wait_load(p, until_us) == -1)
		return (-1);
	idle_us = clock_mono_us() + IDLE_MAX_US;
	rc = wait_life(p, LIFE_LOAD | LIFE_IDLE, idle_us < until_us ? idle_us :
	    until_us);
	if (rc == LATE)
		ufop_note(p->job, "idle", "never");
	else if (rc == REFUSED)
		return (loops(p));
	else if (rc != DONE)
		return (page_fail(p, rc, "loading the page"));
	return (0);
}

static int
wait_ms(struct page *p)
{
	int64_t		 until_us = p->shown_us + p->o->wait_ms * MS;
	enum outcome	 rc;

	if (until_us > p->shot->capture_us) {
		until_us = p->shot->capture_us;
		ufop_note(p->job, "wait", "cut");
	}
	while ((rc = page_pump(p, until_us)) == DONE)
		if (p->navigations > NAVIGATIONS_MAX)
			return (loops(p));
	return (rc == LATE ? 0 : page_fail(p, rc, "loading the page"));
}

/* Text as a literal of JavaScript. */
static char *
literal(const char *text)
{
	json_t	*s = json_string(text);
	char	*out = json_dumps(s, JSON_ENCODE_ANY);

	json_decref(s);
	if (out == NULL)
		abort();	/* checked to be UTF-8 when it was read */
	return (out);
}

/* It is not there yet, or a script keeps us from seeing it. */
static enum outcome
selector_late(struct page *p, const char *sel)
{
	char		*script = xasprintf("document.querySelector(%s)!==null",
	    sel);
	json_t		*value = NULL;
	enum outcome	 rc;

	stop_scripts(p);
	rc = page_look(p, script, &value);
	free(script);
	return (rc == DONE && !json_is_true(value) ? LATE : rc);
}

static int
wait_selector(struct page *p, int64_t until_us)
{
	char		*sel = literal(p->o->wait_selector);
	char		*script;
	json_t		*value;
	enum outcome	 rc;

	script = xasprintf("new Promise(r=>{const q=()=>document."
	    "querySelector(%s)?r(true):setTimeout(q,50);q()})", sel);
	for (;;) {
		rc = page_eval(p, script, until_us, &value);
		/* The document may go away under it: then again in the next. */
		if (rc != REFUSED || strstr(p->why, "SyntaxError") != NULL ||
		    clock_mono_us() >= until_us ||
		    p->navigations > NAVIGATIONS_MAX)
			break;
	}
	if (rc == LATE)
		rc = selector_late(p, sel);
	free(script);
	free(sel);
	if (rc == REFUSED && p->navigations > NAVIGATIONS_MAX)
		return (loops(p));
	if (rc == REFUSED)
		return (ufop_fail(p->reply, 400, "screenshot: wait/selector: "
		    "'%s' is no CSS selector", p->o->wait_selector));
	if (rc == LATE)
		return (ufop_fail(p->reply, 504, "no element matches '%s' "
		    "within %d ms", p->o->wait_selector, p->shot->page_ms));
	return (rc == DONE ? 0 : page_fail(p, rc, "waiting"));
}

static int
apply_css(struct page *p)
{
	char		*css = literal(p->o->css), *script;
	json_t		*value;
	enum outcome	 rc;

	script = xasprintf("{const s=document.createElement('style');"
	    "s.textContent=%s;document.documentElement.append(s)}", css);
	rc = page_look(p, script, &value);
	free(script);
	free(css);
	if (rc == REFUSED)
		return (ufop_fail(p->reply, 400, "screenshot: css failed in "
		    "the page: %s", p->why));
	return (rc == DONE ? 0 : page_fail(p, rc, "taking the style sheet"));
}

/*
 * The script's last value is nobody's business and may be of any size: it is
 * run inside of one that waits for it and has no value.
 */
static int
apply_js(struct page *p)
{
	char		*js = literal(p->o->js);
	char		*script = xasprintf("(async()=>{await(0,eval)(%s)})()",
	    js);
	json_t		*value;
	enum outcome	 rc = page_eval(p, script, clock_mono_us() + SCRIPT_US,
	    &value);

	free(script);
	free(js);
	if (rc == REFUSED)
		return (ufop_fail(p->reply, 400, "screenshot: js failed in the "
		    "page: %s", p->why));
	if (rc == LATE)
		return (ufop_fail(p->reply, 400, "screenshot: js has not "
		    "ended within %lld ms, or a script of the page has kept "
		    "it from that", SCRIPT_US / MS));
	return (rc == DONE ? 0 : page_fail(p, rc, "running a script"));
}

static int
apply_all(struct page *p)
{
	if (p->o->css != NULL && apply_css(p) == -1)
		return (-1);
	return (p->o->js != NULL ? apply_js(p) : 0);
}

/*
 * Down the page and up again, so that what loads only when it is seen is
 * there; then the pictures that are still coming, for two seconds at most.
 */
static const char	scroll_through[] =
    "(async()=>{const d=ms=>new Promise(r=>setTimeout(r,ms)),"
    "e=document.scrollingElement||document.documentElement,"
    "to=y=>scrollTo({top:y,behavior:'instant'});"
    "for(let y=innerHeight,n=0;y<e.scrollHeight&&n<100;y+=innerHeight,n++)"
    "{to(y);await d(30)}to(0);"
    "await Promise.race([Promise.all([...document.images].filter(i=>"
    "!i.complete).map(i=>new Promise(r=>{i.onload=i.onerror=r}))),d(2000)])"
    "})()";

struct area {
	double	x, y, w, h;
	bool	set;		/* false: what the window shows */
	bool	beyond;		/* reaches out of the window */
};

/* The page's size in CSS pixels. */
static enum outcome
page_size(struct page *p, double *w, double *h)
{
	json_t		*result, *size;
	enum outcome	 rc;
	int		 try;

	for (try = 0;; try++) {
		rc = page_insist(p, "Page.getLayoutMetrics", json_object(),
		    &result);
		if (rc != DONE)
			return (rc);
		size = json_object_get(result, "cssContentSize");
		*w = json_number_value(json_object_get(size, "width"));
		*h = json_number_value(json_object_get(size, "height"));
		if ((*w >= 1 && *h >= 1) || try == TRIES)
			return (DONE);
		/* A document that has only just come has none yet. */
		rc = wait_life(p, LIFE_LOAD, clock_mono_us() + GRACE_US);
		if (rc == GONE || rc == CRASHED)
			return (rc);
	}
}

/*
 * A page that breaks the scrolling is shown as it is; where scripts are stopped,
 * ours has no timers.
 */
static enum outcome
scroll(struct page *p)
{
	json_t		*value;
	enum outcome	 rc;

	if (p->stopped)
		return (DONE);
	rc = page_eval(p, scroll_through, clock_mono_us() + SCRIPT_US, &value);
	return (rc == REFUSED || rc == LATE ? DONE : rc);
}

static int
area_full(struct page *p, struct area *a)
{
	enum outcome	 rc = scroll(p);

	if (rc == DONE)
		rc = page_size(p, &a->w, &a->h);
	a->x = a->y = 0;
	return (rc == DONE ? 0 : page_fail(p, rc, "measuring the page"));
}

static int
area_cut(struct page *p, struct area *a)
{
	const struct options	*o = p->o;
	enum outcome		 rc;
	double			 w, h;

	a->x = o->cut_x;
	a->y = o->cut_y;
	a->w = o->cut_w;
	a->h = o->cut_h;
	if (a->x + a->w <= o->view_w && a->y + a->h <= o->view_h)
		return (0);
	if ((rc = page_size(p, &w, &h)) != DONE)
		return (page_fail(p, rc, "measuring the page"));
	if (a->x >= w || a->y >= h)
		return (ufop_fail(p->reply, 400, "screenshot: cut begins at "
		    "%d,%d, but the page is %.0fx%.0f", o->cut_x, o->cut_y, w,
		    h));
	return (0);
}

static int
area_selector(struct page *p, struct area *a)
{
	char		*sel = literal(p->o->selector), *script;
	json_t		*v;
	enum outcome	 rc;
	double		 right, below, w, h;
	int		 pad = p->o->pad;

	script = xasprintf("(()=>{const e=document.querySelector(%s);if(!e)"
	    "return null;const r=e.getBoundingClientRect();return [r.x+scrollX,"
	    "r.y+scrollY,r.width,r.height]})()", sel);
	free(sel);
	rc = page_look(p, script, &v);
	free(script);
	if (rc == REFUSED)
		return (ufop_fail(p->reply, 400, "screenshot: selector: '%s' "
		    "is no CSS selector", p->o->selector));
	if (rc != DONE)
		return (page_fail(p, rc, "looking for the element"));
	if (!json_is_array(v))
		return (ufop_fail(p->reply, 400, "screenshot: no element of "
		    "the page matches '%s'", p->o->selector));
	a->x = json_number_value(json_array_get(v, 0));
	a->y = json_number_value(json_array_get(v, 1));
	a->w = json_number_value(json_array_get(v, 2));
	a->h = json_number_value(json_array_get(v, 3));
	if (a->w <= 0 || a->h <= 0)
		return (ufop_fail(p->reply, 400, "screenshot: the element "
		    "that matches '%s' has no size; name one that is drawn",
		    p->o->selector));
	if ((rc = page_size(p, &w, &h)) != DONE)
		return (page_fail(p, rc, "measuring the page"));
	/* There is no room around it where the page ends. */
	right = fmin(ceil(a->x + a->w + pad), fmax(w, p->o->view_w));
	below = fmin(ceil(a->y + a->h + pad), fmax(h, p->o->view_h));
	a->x = fmax(0, floor(a->x - pad));
	a->y = fmax(0, floor(a->y - pad));
	a->w = right - a->x;
	a->h = below - a->y;
	if (a->w < 1 || a->h < 1)
		return (ufop_fail(p->reply, 400, "screenshot: the element "
		    "that matches '%s' lies outside the page; name one that "
		    "is drawn", p->o->selector));
	return (0);
}

/* What is to be in the picture, and whether it may become one. */
static int
area_find(struct page *p, struct area *a)
{
	const struct options	*o = p->o;
	double			 w, h;
	int			 rc = 0;

	*a = (struct area){ .w = o->view_w, .h = o->view_h };
	a->set = o->full || o->has_cut || o->selector != NULL;
	if (o->full)
		rc = area_full(p, a);
	else if (o->has_cut)
		rc = area_cut(p, a);
	else if (o->selector != NULL)
		rc = area_selector(p, a);
	if (rc == -1)
		return (-1);
	a->beyond = a->x + a->w > o->view_w || a->y + a->h > o->view_h;
	w = a->w * o->scale;
	h = a->h * o->scale;
	if (w > SIDE_MAX || h > SIDE_MAX)
		return (ufop_fail(p->reply, 413, "the picture would be "
		    "%.0fx%.0f, and a side has at most %d pixels; take a part "
		    "with cut", w, h, SIDE_MAX));
	if (w * h > (double)p->shot->max_pixels)
		return (ufop_fail(p->reply, 413, "the picture would be "
		    "%.0fx%.0f, over the limit of %lld pixels (setting "
		    "screenshot.max_pixels); take a part with cut", w, h,
		    (long long)p->shot->max_pixels));
	if (o->format == SHOT_WEBP && (w > WEBP_SIDE_MAX || h > WEBP_SIDE_MAX))
		return (ufop_fail(p->reply, 413, "the picture would be "
		    "%.0fx%.0f, and webp has at most %d pixels a side; ask "
		    "for format/png or jpg", w, h, WEBP_SIDE_MAX));
	return (0);
}

static json_t *
capture_params(const struct options *o, const struct area *a)
{
	json_t	*params;

	if (o->format == SHOT_PDF)
		return (json_pack("{s:b, s:b}", "printBackground", 1,
		    "preferCSSPageSize", 1));
	params = json_pack("{s:s}", "format", o->format == SHOT_JPG ? "jpeg" :
	    options_format_name(o->format));
	if (o->format == SHOT_PNG)
		/* Less than half the time for 30 % more bytes. */
		json_object_set_new(params, "optimizeForSpeed", json_true());
	else
		json_object_set_new(params, "quality", json_integer(
		    o->quality > 0 ? o->quality : 80));
	if (a->set)
		json_object_set_new(params, "clip", json_pack(
		    "{s:f, s:f, s:f, s:f, s:i}", "x", a->x, "y", a->y, "width",
		    a->w, "height", a->h, "scale", 1));
	if (a->beyond)
		json_object_set_new(params, "captureBeyondViewport",
		    json_true());
	return (params);
}

/* The picture is the reply. */
static int
deliver_reply(struct page *p)
{
	unsigned char	*room;
	int64_t		 len;

	room = ufop_reply_room(p->reply, p->data.len / 4 * 3);
	if (room == NULL)
		return (-1);
	len = cdp_b64(room, p->data);
	if (len == -1)
		return (ufop_fail(p->reply, 500, "the browser's picture "
		    "cannot be decoded"));
	return (ufop_reply_done(p->reply, (size_t)len,
	    options_format_type(p->o->format)));
}

/* The picture goes into the store, the reply says where. */
static int
deliver_store(struct page *p)
{
	const struct shot	*s = p->shot;
	size_t			 room = p->data.len / 4 * 3;
	struct ufop_err		 err;
	char			 path[PATH_MAX];
	unsigned char		*map;
	int64_t			 len;
	int			 fd, rc;

	fd = memfd_create("picture", MFD_CLOEXEC);
	if (fd == -1 || ftruncate(fd, (off_t)room) == -1 ||
	    (map = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0)) == MAP_FAILED) {
		if (fd != -1)
			close(fd);
		return (ufop_fail(p->reply, 500, "no memory for the picture"));
	}
	len = cdp_b64(map, p->data);
	munmap(map, room);
	if (len == -1)
		rc = err_set(&err, UFOP_FAILED, "the browser's picture cannot "
		    "be decoded");
	else
		rc = store_put(s->store, str_from(s->source),
		    options_format_name(p->o->format), fd, (size_t)len,
		    path, sizeof(path), &err);
	close(fd);
	if (rc == -1)
		return (ufop_fail_err(p->reply, &err));
	return (ufop_reply_json(p->reply, json_pack("{s:s, s:s, s:I}", "url",
	    s->source, "path", path, "bytes", (json_int_t)len)));
}

static int
capture(struct page *p)
{
	struct area	 a = { 0 };
	enum outcome	 rc = DONE;

	if (p->o->format == SHOT_PDF)
		rc = p->o->full ? scroll(p) : DONE;
	else if (area_find(p, &a) == -1)
		return (-1);
	if (rc != DONE)
		return (page_fail(p, rc, "scrolling through the page"));
	p->measured = true;
	p->alone = a.beyond;
	rc = page_insist(p, p->o->format == SHOT_PDF ? "Page.printToPDF" :
	    "Page.captureScreenshot", capture_params(p->o, &a), NULL);
	if (rc != DONE)
		return (page_fail(p, rc, "taking the picture"));
	if (p->data.len == 0)
		return (ufop_fail(p->reply, 500, "the browser made an empty "
		    "picture"));
	/* It may have gone to another only now. */
	if (check_document(p) == -1)
		return (-1);
	return (p->shot->store != NULL ? deliver_store(p) : deliver_reply(p));
}

static int
wait_page(struct page *p, int64_t until_us)
{
	switch (p->o->wait) {
	case SHOT_WAIT_IDLE:
		return (wait_idle(p, until_us));
	case SHOT_WAIT_MS:
		return (wait_ms(p));
	case SHOT_WAIT_SELECTOR:
		return (wait_selector(p, until_us));
	default:
		return (wait_load(p, until_us));
	}
}

static int
page_run(struct page *p)
{
	int64_t	 start = clock_mono_us(), until_us, at;

	until_us = start + p->shot->page_ms * MS;
	page_set_up(p);
	if (navigate(p, until_us) == -1)
		return (-1);
	at = clock_mono_us();
	ufop_note_us(p->job, "open", at - start);
	if (check_document(p) == -1 || wait_page(p, until_us) == -1 ||
	    look_at_document(p) == -1 || apply_all(p) == -1)
		return (-1);
	ufop_note_us(p->job, "load", clock_mono_us() - at);
	at = clock_mono_us();
	if (capture(p) == -1)
		return (-1);
	ufop_note_us(p->job, "capture", clock_mono_us() - at);
	return (0);
}

/* One try; *retry says whether another makes sense. */
static int
take(struct browser *b, const struct shot *shot, struct ufop_job *job,
    struct ufop_reply *reply, bool *retry)
{
	struct page	 p = { .b = b, .shot = shot, .o = shot->options,
		.job = job, .reply = reply, .may_retry = *retry };
	struct ufop_err	 err;
	int64_t		 start = clock_mono_us();
	int		 rc;

	*retry = false;
	if (browser_tab(b, shot->deadline_us, &err) == -1) {
		/* A child that cannot serve makes room for one that can. */
		if (err.code == UFOP_SYSTEM) {
			ufop_log(job, "%s", err.msg);
			_exit(1);
		}
		return (ufop_fail_err(reply, &err));
	}
	ufop_note_us(job, "tab", clock_mono_us() - start);
	p.session = b->tab.session;
	p.frame = b->tab.target;
	p.notes = atomic_load(&b->keeper.shared->notes.n);
	rc = page_run(&p);
	json_decref(p.answer);
	*retry = p.retry;
	return (rc);
}

int
shot_take(struct browser *b, const struct shot *shot, struct ufop_job *job,
    struct ufop_reply *reply)
{
	bool	 retry = true;
	int	 rc = take(b, shot, job, reply, &retry);

	if (retry) {
		/* Killed from outside, or by this page: the second try tells. */
		ufop_log(job, "the browser ended; trying once more");
		retry = false;
		rc = take(b, shot, job, reply, &retry);
	}
	return (rc);
}
