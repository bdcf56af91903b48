/* SPDX-License-Identifier: MIT */
/* The page's document; see document.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "document.h"
#include "reqid.h"

/* networkIdle never comes on a page that polls. */
#define IDLE_MAX_US	(5000 * MS)
/* Of ending the scripts of a page, within GRACE_US. */
#define STOP_TRIES	5

/* ---- why there is none ----------------------------------------------- */

/* Does it tell of a connection for this url? */
static bool
note_is_of(const struct socks_note *note, const char *url)
{
	const char	*at = strstr(url, "://");
	bool		 six = strchr(note->host, ':') != NULL;
	char		 host[EGRESS_HOST_MAX + 16];
	size_t		 len;

	len = (size_t)snprintf(host, sizeof(host), "://%s%s%s",
	    six ? "[" : "", note->host, six ? "]" : "");
	if (at == NULL || strncasecmp(at, host, len) != 0)
		return (false);
	if (at[len] == ':')
		return (strtoul(at + len + 1, NULL, 10) == note->port);
	return (at[len] == '/' && note->port == (strncmp(url, "https:", 6) ==
	    0 ? 443 : 80));
}

/*
 * What the filter wrote down last while this page was loading; with a url, on
 * that one.  NULL: nothing.
 */
static const struct socks_note *
filter_note(const struct page *p, const char *url)
{
	const struct socks_notes	*notes = &p->b->keeper.shared->notes;
	const struct socks_note		*note;
	uint32_t			 n = atomic_load(&notes->n), i;

	/* An old one might be written over while it is read. */
	for (i = 1; i <= n - p->notes && i <= SOCKS_NOTES / 2; i++) {
		note = &notes->note[(n - i) % SOCKS_NOTES];
		if (url == NULL || note_is_of(note, url))
			return (note);
	}
	return (NULL);
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
	{ "ERR_INVALID_RESPONSE", "its answer is an error that has no page to "
	    "be shown" },
	{ "ERR_ABORTED", "its answer is nothing that can be shown, such as a "
	    "304 or a redirect to an address that is not http or https" },
};

/* note: what the filter says of it, or NULL. */
static int
reach_fail(struct page *p, const char *error, const struct socks_note *note)
{
	size_t	 i;

	if (note != NULL && strstr(error, "SOCKS") != NULL)
		return (ufop_fail(p->reply, 502, "cannot open the page: %s",
		    note->msg));
	for (i = 0; i < sizeof(net_errors) / sizeof(net_errors[0]); i++)
		if (strstr(error, net_errors[i].name) != NULL)
			return (ufop_fail(p->reply, 502, "cannot open the "
			    "page: %s (%s)", net_errors[i].why, error));
	return (ufop_fail(p->reply, 502, "cannot open the page: %s", error));
}

/* Why what the cmd names is no document. */
static int
open_fail(struct page *p, const char *error)
{
	if (p->download)
		return (ufop_fail(p->reply, 415, "the url is a download, not "
		    "a page to be shown"));
	if (p->status == 204 || p->status == 205)
		return (ufop_fail(p->reply, 502, "the page answered %d, which "
		    "has no content to be shown", p->status));
	if (strstr(error, "ERR_INVALID_ARGUMENT") != NULL &&
	    p->o->headers != NULL)
		return (ufop_fail(p->reply, 400, "screenshot: the browser does "
		    "not send one of the headers; leave out those of the "
		    "connection itself"));
	return (reach_fail(p, error, filter_note(p, NULL)));
}

/* ---- to open it ------------------------------------------------------ */

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

/* The tab has the usual window from its start. */
static void
set_metrics(struct page *p)
{
	const struct options	*o = p->o;

	if (o->view_w == OPTIONS_VIEW_W && o->view_h == OPTIONS_VIEW_H &&
	    o->scale == 1 && !o->mobile)
		return;
	page_send(p, "Emulation.setDeviceMetricsOverride", json_pack(
	    "{s:i, s:i, s:f, s:b}", "width", o->view_w, "height", o->view_h,
	    "deviceScaleFactor", o->scale, "mobile", o->mobile));
}

/* All that holds from the first request on. */
static void
set_up(struct page *p)
{
	static const char	 phone[] = "Mozilla/5.0 (Linux; Android 14; "
	    "Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/"
	    "130.0.0.0 Mobile Safari/537.36";
	const struct options	*o = p->o;
	const char		*ua = o->ua;

	p->first = p->b->cdp.id + 1;
	set_metrics(p);
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
	if (ua != NULL)
		page_send(p, "Emulation.setUserAgentOverride",
		    json_pack("{s:s}", "userAgent", ua));
	if (o->headers != NULL)
		page_send(p, "Network.setExtraHTTPHeaders",
		    json_pack("{s:O}", "headers", o->headers));
	if (o->cookies != NULL)
		set_cookies(p);
	if (p->shot->url == NULL)
		page_send(p, "Fetch.enable", json_pack("{s:[{s:s}]}",
		    "patterns", "urlPattern", HTML_URL "*"));
	p->last = p->b->cdp.id;
	p->unanswered = p->last - p->first + 1;
}

int
document_open(struct page *p, int64_t until_us)
{
	enum outcome	 rc = DONE;
	json_t		*result;

	set_up(p);
	/* Or the page's first script may be faster than what it is to see. */
	while (rc == DONE && p->unanswered > 0)
		rc = page_pump(p, until_us);
	if (rc != DONE)
		return (page_fail(p, rc, "opening the page"));
	if (p->refused[0] != '\0')
		return (ufop_fail(p->reply, 400, "screenshot: the browser "
		    "does not take a word of the cmd: %s; see that cookies, "
		    "headers and ua are as they should be", p->refused));
	rc = page_call(p, "Page.navigate", json_pack("{s:s}", "url",
	    p->shot->url != NULL ? p->shot->url : HTML_URL), until_us,
	    &result);
	if (rc == LATE)
		return (ufop_fail(p->reply, 504, "the page's server did not "
		    "answer within %d ms%s", p->page_ms,
		    p->page_cut ? ", which is all that was left of the "
		    "job's time (setting ufop.timeout)" : ""));
	if (rc == REFUSED)
		return (ufop_fail(p->reply, 400, "the browser does not take "
		    "the url: %s", p->why));
	if (rc != DONE)
		return (page_fail(p, rc, "opening the page"));
	if (json_is_true(json_object_get(result, "isDownload")))
		p->download = true;
	if (cdp_string(result, "errorText")[0] != '\0')
		return (open_fail(p, cdp_string(result, "errorText")));
	if (p->navigations == 0)
		page_shows(p, cdp_string(result, "loaderId"));
	return (0);
}

/*
 * The status of a document that was there before we could listen again.  One
 * that has none to tell is taken as it is.
 */
static enum outcome
ask_status(struct page *p)
{
	json_t		*value;
	enum outcome	 rc;

	if (p->unreachable[0] != '\0' || strcmp(p->answered, p->loader) == 0)
		return (DONE);
	rc = page_look(p, "performance.getEntriesByType('navigation')[0]"
	    ".responseStatus", &value);
	if (rc != DONE && rc != REFUSED && rc != THREW)
		return (rc);
	if (rc == DONE) {
		p->status = (int)json_integer_value(value);
		snprintf(p->answered, sizeof(p->answered), "%s", p->loader);
	}
	return (DONE);
}

/* Why the document could not be had; one that the page itself went to. */
static int
unreachable_fail(struct page *p)
{
	const struct socks_note	*note = filter_note(p, p->unreachable);
	json_t			*result;
	const char		*error;

	if (strcmp(p->failed, p->loader) == 0)
		return (reach_fail(p, p->error, note));
	/* It failed before we could listen again. */
	if (note != NULL)
		return (ufop_fail(p->reply, 502, "cannot open the page: %s",
		    note->msg));
	/* Who goes there himself is told why. */
	if (page_call(p, "Page.navigate", json_pack("{s:s}", "url",
	    p->unreachable), clock_mono_us() + SCRIPT_US, &result) == DONE) {
		error = cdp_string(result, "errorText");
		if (error[0] != '\0')
			return (reach_fail(p, error, NULL));
	}
	return (ufop_fail(p->reply, 502, "cannot open the page: it went to "
	    "another that cannot be reached"));
}

int
document_check(struct page *p)
{
	if (p->unreachable[0] != '\0')
		return (unreachable_fail(p));
	/* The last status may be that of a download, or of what comes next. */
	if (strcmp(p->answered, p->loader) != 0 || p->status < 400 ||
	    p->o->status_any)
		return (0);
	return (ufop_fail(p->reply, 502, "the page answered %d; ask with "
	    "status/any for a picture of it all the same", p->status));
}

bool
document_looked(const struct page *p)
{
	return (strcmp(p->looked, p->loader) == 0);
}

int
document_look(struct page *p)
{
	enum outcome	 rc = ask_status(p);

	if (rc != DONE)
		return (page_fail(p, rc, "loading the page"));
	snprintf(p->looked, sizeof(p->looked), "%s", p->loader);
	return (document_check(p));
}

int
document_follow(struct page *p)
{
	enum outcome	 rc;

	if (document_looked(p))
		return (0);
	rc = page_wait_life(p, LIFE_LOAD, clock_mono_us() + GRACE_US);
	if (rc == GONE || rc == CRASHED)
		return (page_fail(p, rc, "loading the page"));
	return (document_look(p));
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
	enum outcome	 rc = page_wait_life(p, LIFE_LOAD, until_us);
	int		 i;

	/*
	 * A script without end keeps the document from its end.  One that
	 * stands in a dialogue does not feel that it is ended: once more.
	 */
	for (i = 0; rc == LATE && i < STOP_TRIES; i++) {
		page_stop_scripts(p);
		rc = page_wait_life(p, LIFE_LOAD, clock_mono_us() + GRACE_US /
		    STOP_TRIES);
	}
	if (rc == REFUSED)
		return (loops(p));
	if (rc == LATE)
		return (ufop_fail(p->reply, 504, "the page has not finished "
		    "loading within %d ms; ask with wait/<ms> for a picture "
		    "of what there is by then", p->page_ms));
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
	rc = page_wait_life(p, LIFE_LOAD | LIFE_IDLE,
	    idle_us < until_us ? idle_us : until_us);
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

/* It is not there yet, or a script keeps us from seeing it. */
static enum outcome
selector_late(struct page *p, const char *sel)
{
	char		*script = xasprintf("document.querySelector(%s)!==null",
	    sel);
	json_t		*value = NULL;
	enum outcome	 rc;

	page_stop_scripts(p);
	rc = page_look(p, script, &value);
	free(script);
	return (rc == DONE && !json_is_true(value) ? LATE : rc);
}

static int
wait_selector(struct page *p, int64_t until_us)
{
	char		*sel = page_literal(p->o->wait_selector);
	char		*script;
	json_t		*value;
	enum outcome	 rc;

	script = xasprintf("new Promise(r=>{const q=()=>document."
	    "querySelector(%s)?r(true):setTimeout(q,50);q()})", sel);
	for (;;) {
		rc = page_eval(p, script, until_us, &value);
		/* The document may go away under it: then again in the next. */
		if (rc != REFUSED || clock_mono_us() >= until_us ||
		    p->navigations > NAVIGATIONS_MAX)
			break;
	}
	if (rc == LATE || (rc == REFUSED && clock_mono_us() >= until_us))
		rc = selector_late(p, sel);
	free(script);
	free(sel);
	if (rc == REFUSED && p->navigations > NAVIGATIONS_MAX)
		return (loops(p));
	if (rc == THREW)
		return (ufop_fail(p->reply, 400, "screenshot: wait/selector: "
		    "'%s' cannot be looked for: %s", p->o->wait_selector,
		    p->why));
	/* There is none in an error page either, but that is not why. */
	if (rc == LATE && document_look(p) == -1)
		return (-1);
	if (rc == LATE)
		return (ufop_fail(p->reply, 504, "no element matches '%s' "
		    "within %d ms", p->o->wait_selector, p->page_ms));
	return (rc == DONE ? 0 : page_fail(p, rc, "waiting"));
}

int
document_wait(struct page *p, int64_t until_us)
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
