/* SPDX-License-Identifier: MIT */
/*
 * ufop health: asks a front how it is, for containers that have no curl.
 */
#include <poll.h>
#include <string.h>

#include "cli.h"
#include "probe.h"
#include "reqid.h"

#define HEALTH_MS	3000	/* the platform's own patience */

enum {
	OPT_LIVE = CLI_LONG,
};

static const struct cli_opt opts[] = {
	{ OPT_LIVE, "live", NULL,
	    "ask only whether the front itself is alive" },
	{ 0 }
};

/* The HTTP status; -1 with err when there was no answer. */
static int
ask(struct probe *probe, const char *host, int port, const char *path,
    struct ufop_err *err)
{
	int64_t		until = clock_mono_ms() + HEALTH_MS, left;
	struct pollfd	pfd;
	int		status = 0;

	if (probe_start(probe, host, port, path) == -1)
		status = -1;
	while (status == 0) {
		left = until - clock_mono_ms();
		if (left <= 0) {
			probe_cancel(probe);
			return (err_set(err, UFOP_TIMED_OUT, "the front on "
			    "%s port %d does not answer within %d s", host,
			    port, HEALTH_MS / 1000));
		}
		pfd = (struct pollfd){ .fd = probe->fd,
		    .events = probe->events };
		if (poll(&pfd, 1, (int)left) > 0)
			status = probe_step(probe);
	}
	if (status == -1)
		return (err_set(err, UFOP_UNAVAILABLE, "no front answers on "
		    "%s port %d; is `ufop runserver` running?", host, port));
	return (status);
}

static int
run(struct cli *cli, int argc, char **argv)
{
	static struct probe	 probe;
	const char		*path = "/health", *unix_path;
	char			 host[256];
	struct ufop_err		 err;
	struct str		 why;
	int			 code, port, status;

	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		if (code != OPT_LIVE)
			return (cli->status);
		path = "/health?live";
	}
	if (cli_no_operands(cli, argc, argv) == -1)
		return (cli->status);
	if (cli_load(cli, "health", CLI_SETTINGS, &err) == -1)
		return (cli_fail(&err));
	settings_listen(&cli->settings, host, &port);
	unix_path = settings_str(&cli->settings, "front", "unix");
	if (unix_path[0] != '\0')
		snprintf(host, sizeof(host), "%s", unix_path);

	probe_init(&probe);
	status = ask(&probe, probe_host(host), port, path, &err);
	if (status == -1)
		return (cli_fail(&err));
	if (status == 200)
		return (0);
	why = probe_body(&probe);
	err_set(&err, UFOP_UNAVAILABLE, "/health answers %d: %.*s", status,
	    STR_ARG(why));
	return (cli_fail(&err));
}

const struct cli_cmd cli_health = {
	.name = "health",
	.operands = "",
	.summary = "ask the front whether all is well",
	.prose = "Ask the front that these settings describe for its /health. "
	    "Exit status 0 when it is good; else what is wrong is printed. "
	    "For HEALTHCHECK in containers.",
	.opts = opts,
	.project = true,
	.run = run,
};
