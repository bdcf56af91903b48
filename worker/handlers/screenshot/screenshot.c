/* SPDX-License-Identifier: MIT */
/*
 * The service `screenshot`: pictures of web pages by a Chromium that is kept
 * warm and shut in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "reqid.h"
#include "shot.h"

/* Of the job's time, kept for the answer to get back. */
#define MARGIN_MS	400
/* ... and for the picture, after the page has loaded. */
#define CAPTURE_MS	3000
#define PAGE_MIN_MS	100

/* One of these per child of a net pool. */
static struct {
	struct browser		 browser;
	struct egress_policy	 policy;
	struct store		 store;
	struct arena		 arena;		/* of one job */
	char			 absent[256];	/* why there is no browser */
} self;

static int
number_setting(const char *name)
{
	int64_t	 n = 0;

	(void)str_int(str_from(ufop_setup_setting(name)), INT32_MIN,
	    INT32_MAX, &n);
	return ((int)n);
}

static bool
bool_setting(const char *name)
{
	const char	*v = ufop_setup_setting(name);

	return (strcmp(v, "yes") == 0 || strcmp(v, "true") == 0 ||
	    strcmp(v, "on") == 0 || strcmp(v, "1") == 0);
}

static struct keeper_conf
keeper_settings(void)
{
	return ((struct keeper_conf){
		.program = ufop_setup_setting("chromium"),
		.user = ufop_setup_setting("worker.child_user"),
		.allow = ufop_setup_setting("fetch.allow"),
		.deny = ufop_setup_setting("fetch.deny"),
		.sandbox = bool_setting("sandbox"),
		.namespaces = bool_setting("namespaces"),
		.webgl = bool_setting("webgl"),
		.heap_mb = number_setting("heap_mb"),
		.memory_max = (int64_t)number_setting("memory_mb") << 20,
	});
}

/* false, and a sentence on it, when the browser is not installed. */
static bool
is_there(const char *program, char *text, size_t size)
{
	if (access(program, X_OK) == 0)
		return (true);
	snprintf(text, size, "there is no Chromium at %s; install the package "
	    "chromium-headless-shell, or name another by the setting "
	    "screenshot.chromium", program);
	return (false);
}

static void
describe(char *text, size_t size)
{
	struct keeper_conf	 conf = keeper_settings();

	if (is_there(conf.program, text, size))
		keeper_foresee(&conf, text, size);
}

static int
setup(char *why, size_t why_size)
{
	struct keeper_conf	 conf = keeper_settings();
	const char		*dir = ufop_setup_setting("dir");
	struct ufop_err		 err;

	/* Its tasks are of the pool net: no other child needs a keeper. */
	if (strcmp(ufop_setup_pool(), "net") != 0)
		return (0);
	if (!is_there(conf.program, self.absent, sizeof(self.absent))) {
		fprintf(stderr, "screenshot: %s\n", self.absent);
		return (0);
	}
	arena_init(&self.arena);
	self.browser.jobs_max = number_setting("recycle_jobs");
	self.browser.memory_mark =
	    (int64_t)number_setting("recycle_memory_mb") << 20;
	if (egress_policy_init(&self.policy, conf.allow, conf.deny,
	    &err) == -1 ||
	    (*dir != '\0' && store_start(&self.store, dir, &err) == -1) ||
	    keeper_start(&self.browser.keeper, &conf, &err) == -1) {
		snprintf(why, why_size, "%s", err.msg);
		return (-1);
	}
	return (0);
}

static void
teardown(void)
{
	if (self.browser.keeper.pid == 0)
		return;
	browser_drop(&self.browser);
	keeper_end(&self.browser.keeper);
	store_end(&self.store);
	egress_policy_release(&self.policy);
	arena_release(&self.arena);
}

static bool
is_utf8(struct str s)
{
	int	 n;

	while (s.len > 0 && (n = str_utf8(s)) > 0)
		s = str_slice(s, (size_t)n, s.len);
	return (s.len == 0);
}

/*
 * The Content-Type to serve a body as.  A charset in it would win over the
 * document's own word, so it is added only where it cannot be wrong.
 */
static const char *
html_type(const struct ufop_job *job)
{
	const char	*type = job->content_type;
	struct str	 html = { (const char *)job->data, job->len };

	/* A type that is no text cannot be told to the browser. */
	if (is_utf8(str_from(type)) &&
	    (strncasecmp(type, "application/xhtml", 17) == 0 ||
	    strncasecmp(type, "image/svg", 9) == 0 ||
	    (strncasecmp(type, "text/html", 9) == 0 &&
	    strcasestr(type, "charset=") != NULL)))
		return (type);
	return (is_utf8(html) ? "text/html; charset=utf-8" : "text/html");
}

/* Times and the source of the page; err for a url that must not be opened. */
static int
shot_init(struct shot *shot, const struct options *o, struct ufop_job *job,
    struct egress_url *url, struct ufop_err *err)
{
	int64_t		 left = ufop_time_left_ms(job) - MARGIN_MS;
	const char	*text = o->url != NULL ? o->url : job->url, *fragment;
	int64_t		 now = clock_mono_us();

	memset(shot, 0, sizeof(*shot));
	shot->options = o;
	shot->deadline_us = now + left * 1000;
	shot->page_ms = o->timeout_ms > 0 ? o->timeout_ms :
	    (int)ufop_setting_int(job, "page_timeout");
	left = left > CAPTURE_MS + PAGE_MIN_MS ? left - CAPTURE_MS :
	    PAGE_MIN_MS;
	shot->capture_us = now + left * 1000;
	shot->max_pixels = ufop_setting_int(job, "max_pixels");
	if (text != NULL) {
		if (egress_check_url(&self.policy, str_from(text), url,
		    err) == -1)
			return (-1);
		/* Servers never see a fragment, but pages are drawn by it. */
		fragment = strchr(text, '#');
		shot->url = arena_printf(&self.arena, "%s%s", url->url,
		    fragment != NULL ? fragment : "");
		shot->source = text;
		return (0);
	}
	if (job->len == 0)
		return (err_set(err, UFOP_BAD_INPUT, "screenshot needs a page: "
		    "its address as url= or as url/<b64> in the cmd, or HTML "
		    "as the body"));
	shot->html = job->data;
	shot->html_len = job->len;
	shot->html_type = html_type(job);
	return (0);
}

/* With a store, the picture goes there. */
static int
take(struct ufop_job *job, struct ufop_reply *reply, struct store *store)
{
	const char		*words = strchr(job->cmd + 1, '/');
	struct egress_url	 url = { 0 };
	struct options		 o;
	struct shot		 shot = { .source = NULL };
	struct ufop_err		 err;
	int			 rc = -1;

	if (options_parse(&o, &self.arena, str_from(words != NULL ? words + 1 :
	    ""), &err) == -1)
		rc = ufop_fail_err(reply, &err);
	else {
		if (shot_init(&shot, &o, job, &url, &err) == -1)
			rc = ufop_fail_err(reply, &err);
		else if (store != NULL && shot.source == NULL)
			rc = ufop_fail(reply, 400, "screenshot-store names a "
			    "picture by its page's url; give one as url= or "
			    "as url/<b64> in the cmd");
		else {
			shot.store = store;
			rc = shot_take(&self.browser, &shot, job, reply);
			browser_done(&self.browser);
		}
		egress_url_release(&url);
		options_release(&o);
	}
	arena_clear(&self.arena);
	return (rc);
}

static int
screenshot(struct ufop_job *job, struct ufop_reply *reply)
{
	if (self.absent[0] != '\0')
		return (ufop_fail(reply, 503, "%s", self.absent));
	return (take(job, reply, NULL));
}

static int
screenshot_store(struct ufop_job *job, struct ufop_reply *reply)
{
	if (self.absent[0] != '\0')
		return (ufop_fail(reply, 503, "%s", self.absent));
	if (self.store.pid == 0)
		return (ufop_fail(reply, 503, "no directory is set to keep "
		    "pictures in (setting screenshot.dir)"));
	return (take(job, reply, &self.store));
}

/* Nothing here keeps the other tasks from serving: all of it is notes. */
static int
health(char *why, size_t why_size)
{
	char	 text[KEEPER_TEXT];

	if (self.absent[0] != '\0')
		snprintf(why, why_size, "%s", self.absent);
	else if (self.browser.keeper.pid != 0 &&
	    keeper_describe(&self.browser.keeper, text, sizeof(text)))
		snprintf(why, why_size, "%s", text);
	return (0);
}

static const struct ufop_task tasks[] = {
	{
		.name = "screenshot", .run = screenshot, .pool = "net",
		.health = health,
		.route = "^/screenshot(?:/|$)",
		.flags = UFOP_TASK_TAKES_URL | UFOP_TASK_NO_SOURCE,
		.summary = "A picture of a web page: "
		    "/screenshot/viewport/1280x800/full/1[/cut/w,h,x,y]"
		    "[/format/png|jpg|webp|pdf]",
	}, {
		.name = "store", .run = screenshot_store, .pool = "net",
		/* The url, behind other words, is for the scribe log alone. */
		.route = "^/screenshot-store(?:/|$)"
		    "(?:(?:[^/]*/[^/]*/)*?url/(?P<url>[^/]*))?",
		.flags = UFOP_TASK_TAKES_URL | UFOP_TASK_NO_SOURCE,
		.summary = "The same, kept in screenshot.dir as "
		    "<md5 of the url>.png; answers {\"url\",\"path\",\"bytes\"}.",
	},
	{ 0 }
};

static const struct ufop_setting_def settings[] = {
	{ "chromium", UFOP_SETTING_STRING,
	    "/usr/lib/chromium/chromium-headless-shell", 0, 0,
	    "The browser: headless_shell or another Chromium, the program "
	    "itself rather than a script that starts it." },
	{ "sandbox", UFOP_SETTING_BOOL, "yes", 0, 0,
	    "Chromium's own sandbox around each page.  It needs user "
	    "namespaces; where a container does not allow them, allow them "
	    "rather than switch this off." },
	{ "namespaces", UFOP_SETTING_BOOL, "yes", 0, 0,
	    "Shut the browser in namespaces without a network but the egress "
	    "filter.  Where that cannot be done it is left out, egress is held by "
	    "the filter and the browser's flags alone, and /health has a note "
	    "that says so." },
	{ "webgl", UFOP_SETTING_BOOL, "no", 0, 0,
	    "Draw WebGL by software: maps and 3D show, for more memory." },
	{ "heap_mb", UFOP_SETTING_INT, "256", 16, 4096,
	    "Megabytes that the scripts of one page may fill." },
	{ "memory_mb", UFOP_SETTING_INT, "1500", 128, 65536,
	    "Megabytes at which a browser is killed, with the job it runs." },
	{ "recycle_jobs", UFOP_SETTING_INT, "200", 0, 1000000,
	    "Replace the browser by a fresh one after so many jobs.  0: "
	    "never." },
	{ "recycle_memory_mb", UFOP_SETTING_INT, "600", 64, 65536,
	    "Replace the browser after a job that left it with more "
	    "megabytes than this." },
	{ "max_pixels", UFOP_SETTING_INT, "40000000", 1, 1000000000,
	    "Most pixels a picture may have." },
	{ "page_timeout", UFOP_SETTING_TIME, "15s", 100, 3600000,
	    "How long a page may take to load, unless timeout/<ms> says "
	    "otherwise." },
	{ "dir", UFOP_SETTING_STRING, "", 0, 0,
	    "Where POST /screenshot keeps its pictures, as <first two of "
	    "md5(url)>/<md5(url)>.png.  Empty: nowhere." },
	{ "scribe_log", UFOP_SETTING_STRING, "", 0, 0,
	    "A file to which the front adds one line for each of these "
	    "pictures, taken or not: time, host, screenshot, seconds, 0, url, "
	    "with a byte 0x01 between.  Its user must be able to write to it; "
	    "it may be renamed at any time.  Empty: none." },
	{ 0 }
};

UFOP_API extern const struct ufop_service ufop_service;
UFOP_API const struct ufop_service ufop_service = {
	.abi = UFOP_ABI, .name = "screenshot", .tasks = tasks,
	.settings = settings, .setup = setup, .teardown = teardown,
	.describe = describe,
};
