/* SPDX-License-Identifier: MIT */
/*
 * ufop runserver: becomes Kore with the front in it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "front.h"

enum {
	OPT_LISTEN = CLI_LONG,
};

static const struct cli_opt opts[] = {
	{ 'p', "port", "PORT", "listen on PORT (9100 unless set)" },
	{ OPT_LISTEN, "listen", "ADDRESS:PORT",
	    "listen there; the same as -s front.listen=..." },
	{ 0 }
};

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
		switch (code) {
		case 'p':
			port = optarg;
			break;
		case OPT_LISTEN:
			address = optarg;
			break;
		default:
			return (cli->status);
		}
	}
	if (optind < argc)
		return (cli_usage(cli, "'%s': no operand is expected",
		    argv[optind]));
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
