/* SPDX-License-Identifier: MIT */
/*
 * A service that calls itself `screenshot` and has its task `store`, but no
 * browser: what becomes of an item of POST /screenshot hangs on its url alone.
 *
 *	.../fail	502, and a line on stderr
 *	.../retry	asks to be tried again, and has no retries
 *	.../sleep/<ms>	takes so long, and says on stderr that it is asleep
 *	.../crash	dies
 *	.../mute	fails with a status and no body
 *	.../text	answers, but not with JSON
 *	.../big		answers with more than travels inside a message
 *
 * Any other is a success, with the cmd as the path and the url's length as the
 * bytes.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ufop.h>

#define BIG	(300 * 1024)

static void
sleep_ms(long ms)
{
	struct timespec	 ts = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) == -1)
		;
}

static int
answer_big(struct ufop_reply *reply)
{
	char	*text = malloc(BIG);
	int	 rc;

	if (text == NULL)
		return (ufop_fail(reply, 500, "no memory"));
	memset(text, 'x', BIG);
	rc = ufop_reply_bytes(reply, text, BIG, "application/json");
	free(text);
	return (rc);
}

static int
store(struct ufop_job *job, struct ufop_reply *reply)
{
	const char	*how;

	if (job->url == NULL || job->len != 0 || job->content_type[0] != '\0')
		return (ufop_fail(reply, 400, "a url alone was to be sent"));
	if (strstr(job->url, "/fail") != NULL) {
		fprintf(stderr, "the page fails\n");
		return (ufop_fail(reply, 502, "the page '%s' fails", job->url));
	}
	if (strstr(job->url, "/retry") != NULL) {
		ufop_fail(reply, 503, "the page is busy");
		return (UFOP_RETRY);
	}
	if (strstr(job->url, "/crash") != NULL)
		raise(SIGSEGV);
	if (strstr(job->url, "/mute") != NULL)
		return (ufop_reply_status(reply, 503));
	if (strstr(job->url, "/text") != NULL)
		return (ufop_reply_textf(reply, "stored"));
	if (strstr(job->url, "/big") != NULL)
		return (answer_big(reply));
	if ((how = strstr(job->url, "/sleep/")) != NULL) {
		fprintf(stderr, "asleep\n");
		sleep_ms(strtol(how + strlen("/sleep/"), NULL, 10));
	}
	return (ufop_reply_json(reply, json_pack("{s:s, s:s, s:I}", "url",
	    job->url, "path", job->cmd, "bytes",
	    (json_int_t)strlen(job->url))));
}

static const struct ufop_task tasks[] = {
	{ .name = "store", .run = store, .pool = "net",
	  .route = "^/screenshot-store(?:/|$)",
	  .flags = UFOP_TASK_TAKES_URL | UFOP_TASK_NO_SOURCE },
	{ 0 }
};

static const struct ufop_setting_def settings[] = {
	{ "scribe_log", UFOP_SETTING_STRING, "", 0, 0,
	    "What the front writes, as the real service has it." },
	{ 0 }
};

UFOP_API extern const struct ufop_service ufop_service;
UFOP_API const struct ufop_service ufop_service = {
	.abi = UFOP_ABI, .name = "screenshot", .tasks = tasks,
	.settings = settings,
};
