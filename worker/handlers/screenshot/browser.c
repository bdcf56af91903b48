/* SPDX-License-Identifier: MIT */
/* The warm browser and its tabs; see browser.h. */
#include <stdio.h>
#include <string.h>

#include "browser.h"
#include "err.h"
#include "options.h"
#include "reqid.h"

/* From exec to the first answer: 70 ms here, far more on a loaded host. */
#define START_US	(10 * 1000000LL)
/* The thread between jobs gives up on a browser that does not answer. */
#define PREPARE_US	(5 * 1000000LL)

static void
forget(struct browser *b)
{
	if (b->up)
		cdp_release(&b->cdp);
	b->up = false;
	b->next_state = NEXT_NONE;
	b->njobs = 0;
	memset(&b->tab, 0, sizeof(b->tab));
}

/* Take the cdp back from the thread. */
static void
join(struct browser *b)
{
	if (b->preparing)
		(void)pthread_join(b->thread, NULL);
	b->preparing = false;
}

void
browser_drop(struct browser *b)
{
	join(b);
	if (b->up)
		keeper_kill(&b->keeper);
	forget(b);
}

void
browser_why(struct browser *b, char *out, size_t size)
{
	char	 words[200];

	if (atomic_load(&b->keeper.shared->end) == KEEPER_END_MEMORY) {
		snprintf(out, size, "the page took more memory than the "
		    "setting screenshot.memory_mb allows");
		return;
	}
	keeper_words(&b->keeper, words, sizeof(words));
	if (strstr(words, "No usable sandbox") != NULL)
		snprintf(out, size, "Chromium cannot build its sandbox here; "
		    "allow user namespaces, or set screenshot.sandbox = no");
	else
		snprintf(out, size, "the browser ended%s%s",
		    words[0] != '\0' ? ": " : " unexpectedly", words);
}

/* One answer of a browser that has just started, parsed; NULL: it has ended. */
static json_t *
first_answer(struct browser *b, const char *method, json_t *params)
{
	struct cdp_msg	 m;
	int		 id = cdp_send(&b->cdp, "", method, params);

	do {
		if (cdp_recv(&b->cdp, clock_mono_us() + START_US, &m) != 1)
			return (NULL);
	} while (m.id != id);
	return (cdp_parse(&m));
}

/* The page it opens by itself is nobody's, and has a renderer of its own. */
static int
close_first_page(struct browser *b)
{
	json_t	*answer, *targets, *t;
	size_t	 i;

	answer = first_answer(b, "Target.getTargets", json_object());
	if (answer == NULL)
		return (-1);
	targets = json_object_get(json_object_get(answer, "result"),
	    "targetInfos");
	json_array_foreach(targets, i, t)
		(void)cdp_send(&b->cdp, "", "Target.closeTarget", json_pack(
		    "{s:O}", "targetId", json_object_get(t, "targetId")));
	json_decref(answer);
	return (0);
}

static int
launch(struct browser *b, struct ufop_err *err)
{
	char	 why[300];
	int	 rfd, wfd;

	if (keeper_launch(&b->keeper, &rfd, &wfd, err) == -1)
		return (-1);
	cdp_init(&b->cdp, rfd, wfd);
	b->up = true;
	if (close_first_page(b) == 0)
		return (0);
	browser_why(b, why, sizeof(why));
	browser_drop(b);
	return (err_set(err, UFOP_UNAVAILABLE, "cannot start the browser: %s",
	    why));
}

/* ---- the next tab ---------------------------------------------------- */

void
browser_prepare(struct browser *b)
{
	if (b->next_state != NEXT_NONE)
		return;
	b->next_id = cdp_send(&b->cdp, "", "Target.createBrowserContext",
	    json_pack("{s:b}", "disposeOnDetach", 1));
	b->next_state = NEXT_CONTEXT;
}

int
browser_follow_network(struct browser *b, const char *session)
{
	/* Bodies need not be kept. */
	return (cdp_send(&b->cdp, session, "Network.enable", json_pack(
	    "{s:i, s:i}", "maxTotalBufferSize", 0, "maxResourceBufferSize",
	    0)));
}

/* What every page wants.  The last answer says that the renderer is there. */
static int
tab_set_up(struct browser *b)
{
	const char	*session = b->next.session;

	(void)cdp_send(&b->cdp, session, "Page.enable", json_object());
	(void)cdp_send(&b->cdp, session, "Page.setLifecycleEventsEnabled",
	    json_pack("{s:b}", "enabled", 1));
	(void)cdp_send(&b->cdp, session, "Inspector.enable",
	    json_object());
	(void)cdp_send(&b->cdp, session, "Emulation.setDeviceMetricsOverride",
	    json_pack("{s:i, s:i, s:i, s:b}", "width", OPTIONS_VIEW_W,
	    "height", OPTIONS_VIEW_H, "deviceScaleFactor", 1, "mobile", 0));
	/* Or pages have a pointer at 0,0, and what stands there is drawn so. */
	(void)cdp_send(&b->cdp, session, "Input.setIgnoreInputEvents",
	    json_pack("{s:b}", "ignore", 1));
	return (browser_follow_network(b, session));
}

/* All of a context goes; "": there is none. */
static void
dispose(struct browser *b, const char *context)
{
	if (context[0] != '\0')
		(void)cdp_send(&b->cdp, "", "Target.disposeBrowserContext",
		    json_pack("{s:s}", "browserContextId", context));
}

static bool
take_name(char to[CDP_NAME_MAX + 1], json_t *result, const char *key)
{
	const char	*s = json_string_value(json_object_get(result, key));

	if (s == NULL || strlen(s) > CDP_NAME_MAX)
		return (false);
	memcpy(to, s, strlen(s) + 1);
	return (true);
}

/* The step that follows on this result; false when it is none. */
static bool
tab_advance(struct browser *b, json_t *result)
{
	struct tab	*t = &b->next;

	switch (b->next_state) {
	case NEXT_CONTEXT:
		if (!take_name(t->context, result, "browserContextId")) {
			t->context[0] = '\0';
			return (false);
		}
		(void)cdp_send(&b->cdp, "", "Browser.setDownloadBehavior",
		    json_pack("{s:s, s:s}", "behavior", "deny",
		    "browserContextId", t->context));
		b->next_id = cdp_send(&b->cdp, "", "Target.createTarget",
		    json_pack("{s:s, s:s}", "url", "about:blank",
		    "browserContextId", t->context));
		b->next_state = NEXT_TARGET;
		return (true);
	case NEXT_TARGET:
		if (!take_name(t->target, result, "targetId"))
			return (false);
		b->next_id = cdp_send(&b->cdp, "", "Target.attachToTarget",
		    json_pack("{s:s, s:b}", "targetId", t->target, "flatten",
		    1));
		b->next_state = NEXT_SESSION;
		return (true);
	case NEXT_SESSION:
		if (!take_name(t->session, result, "sessionId"))
			return (false);
		b->next_id = tab_set_up(b);
		b->next_state = NEXT_SET_UP;
		return (true);
	case NEXT_SET_UP:
		b->next_id = 0;
		b->next_state = NEXT_READY;
		return (result != NULL);
	default:
		return (false);
	}
}

bool
browser_message(struct browser *b, const struct cdp_msg *m)
{
	json_t	*msg;

	if (m->id == 0 || m->id != b->next_id)
		return (false);
	msg = cdp_parse(m);
	if (!tab_advance(b, json_object_get(msg, "result"))) {
		/* Asked for anew when needed; nothing of it is to stay. */
		b->next_id = 0;
		b->next_state = NEXT_NONE;
		dispose(b, b->next.context);
	}
	json_decref(msg);
	return (true);
}

/* Until the next tab is ready; 1, 0 at the deadline, -1 when it is dead. */
static int
prepare(struct browser *b, int64_t deadline_us)
{
	struct cdp_msg	 m;
	int		 rc;

	browser_prepare(b);
	while (b->next_state != NEXT_READY) {
		if ((rc = cdp_recv(&b->cdp, deadline_us, &m)) != 1)
			return (rc);
		(void)browser_message(b, &m);
		browser_prepare(b);
	}
	return (1);
}

static void *
prepare_main(void *arg)
{
	struct browser	*b = arg;
	struct ufop_err	 err;

	/* What fails here fails again, and is told, at the next job. */
	if (b->up || launch(b, &err) == 0)
		(void)prepare(b, clock_mono_us() + PREPARE_US);
	return (NULL);
}

int
browser_tab(struct browser *b, int64_t deadline_us, struct ufop_err *err)
{
	char	 why[300];
	int	 try, rc;

	join(b);
	for (try = 0; try < 2; try++) {
		if (!b->up && launch(b, err) == -1)
			return (-1);
		rc = prepare(b, deadline_us);
		if (rc == 1)
			break;
		browser_why(b, why, sizeof(why));
		/* It may have died of old age between two jobs: once more. */
		browser_drop(b);
		if (rc == 0)
			return (err_set(err, UFOP_TIMED_OUT, "the browser made "
			    "no tab in time"));
		if (try == 1)
			return (err_set(err, UFOP_UNAVAILABLE, "cannot start "
			    "the browser: %s", why));
	}
	b->tab = b->next;
	b->next_state = NEXT_NONE;
	b->njobs++;
	return (0);
}

void
browser_done(struct browser *b)
{
	int64_t	 used;

	if (!b->up)
		return;
	used = (int64_t)atomic_load(&b->keeper.shared->used_mb) << 20;
	if ((b->jobs_max > 0 && b->njobs >= b->jobs_max) ||
	    used > b->memory_mark)
		browser_drop(b);
	else
		dispose(b, b->tab.context);
	memset(&b->tab, 0, sizeof(b->tab));
	/* The next tab may be there already: then nothing else would send it. */
	if (b->up)
		(void)cdp_flush(&b->cdp);
	b->preparing = pthread_create(&b->thread, NULL, prepare_main, b) == 0;
}
