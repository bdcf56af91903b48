/* SPDX-License-Identifier: MIT */
/*
 * ufop runserver: becomes Kore with the front in it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "front.h"

static const struct cli_opt opts[] = {
	FRONT_OPTS,
	{ 0 }
};

bool
front_opt(int code, const char **address, const char **port)
{
	if (code == 'p')
		*port = optarg;
	else if (code == FRONT_LISTEN)
		*address = optarg;
	else
		return (false);
	return (true);
}

int
front_set_listen(struct settings *settings, const char *address,
    const char *port, struct ufop_err *err)
{
	char	value[300], host[256];
	int	old;

	if (address != NULL && settings_set(settings, "front", "listen",
	    address, "--listen", err) == -1)
		return (-1);
	if (port == NULL)
		return (0);
	settings_listen(settings, host, &old);
	snprintf(value, sizeof(value), strchr(host, ':') == NULL ?
	    "%s:%.16s" : "[%s]:%.16s", host, port);
	return (settings_set(settings, "front", "listen", value, "-p", err));
}

static int
become_kore(struct cli *cli, struct ufop_err *err)
{
	char	kore[PATH_MAX];

	if (paths_program(kore, "kore", "kore", err) == -1)
		return (-1);
	if (access(cli->paths.kore_conf, R_OK) == -1)
		return (err_set(err, UFOP_CONFIG, "cannot read the front's "
		    "'%s': %s; build it with `make`", cli->paths.kore_conf,
		    strerror(errno)));
	/* The front reads its settings from there, as they are here. */
	if (cli_export(cli, err) == -1)
		return (-1);
	/*
	 * In the foreground, as the user and in the directory that we have, and
	 * without a root directory of its own.
	 */
	execl(kore, "kore", "-f", "-r", "-n", "-c", cli->paths.kore_conf,
	    (char *)NULL);
	return (err_sys(err, "cannot run '%s'", kore));
}

static int
run(struct cli *cli, int argc, char **argv)
{
	const char	*address = NULL, *port = NULL;
	struct ufop_err	 err;
	int		 code;

	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		if (!front_opt(code, &address, &port))
			return (cli->status);
	}
	if (cli_no_operands(cli, argc, argv) == -1)
		return (cli->status);
	if (cli_load(cli, "front", CLI_SETTINGS, &err) == -1 ||
	    front_set_listen(&cli->settings, address, port, &err) == -1 ||
	    become_kore(cli, &err) == -1)
		return (cli_fail(&err));
	return (0);
}

const struct cli_cmd cli_runserver = {
	.name = "runserver",
	.operands = "",
	.summary = "run the HTTP front (Kore)",
	.prose = "Run the HTTP front in the foreground until SIGTERM or "
	    "SIGINT; it then finishes the requests it has. It needs Redis and "
	    "a worker to answer them, see `ufop runworker`; `ufop up` starts "
	    "all three.",
	.opts = opts,
	.project = true,
	.run = run,
};
