/* SPDX-License-Identifier: MIT */
/*
 * ufop runworker: takes jobs from Redis and runs them in children.
 */
#include <fcntl.h>

#include "cli.h"
#include "worker.h"

enum {
	OPT_READY_FD = CLI_LONG,
};

static const struct cli_opt opts[] = {
	{ OPT_READY_FD, "ready-fd", "N",
	    "write a line to descriptor N once jobs can be served" },
	{ 0 }
};

static int
run(struct cli *cli, int argc, char **argv)
{
	int64_t		 ready_fd = -1;
	struct ufop_err	 err;
	int		 code;

	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		if (code != OPT_READY_FD)
			return (cli->status);
		if (str_int(str_from(optarg), 0, 1 << 20, &ready_fd) == -1 ||
		    fcntl((int)ready_fd, F_SETFD, FD_CLOEXEC) == -1)
			return (cli_usage(cli, "--ready-fd: '%s' is not an "
			    "open descriptor", optarg));
	}
	if (cli_no_operands(cli, argc, argv) == -1)
		return (cli->status);
	if (cli_load(cli, "worker", CLI_SETTINGS, &err) == -1 ||
	    cli_serve_all_pools(cli, &err) == -1)
		return (cli_fail(&err));
	return (worker_run(&cli->settings, &cli->services, (int)ready_fd));
}

const struct cli_cmd cli_runworker = {
	.name = "runworker",
	.operands = "",
	.summary = "run a worker: take jobs from Redis, run the handlers",
	.prose = "Run one worker in the foreground until SIGTERM or SIGINT; it "
	    "then finishes what runs, hands back what waits, and ends with 0. "
	    "A host needs one: it has as many children as there are "
	    "processors.",
	.opts = opts,
	.project = true,
	.run = run,
};
