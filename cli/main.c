/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cli.h"

static const struct cli_cmd *const cmds[] = {
	&cli_up, &cli_process, &cli_runserver, &cli_runworker, &cli_routes,
	&cli_config, &cli_status, &cli_dead, &cli_health,
	&cli_createproject, &cli_makeservice, &cli_dev, &cli_test, &cli_dockerfile,
	&cli_doraconfig, &cli_deploy, NULL
};

static int
unknown_cmd(const struct cli *cli, const char *name)
{
	const char	*names[sizeof(cmds) / sizeof(cmds[0])], *near;
	size_t		 i;

	for (i = 0; cmds[i] != NULL; i++)
		names[i] = cmds[i]->name;
	names[i] = NULL;
	near = cli_nearest(name, names);
	if (near == NULL)
		return (cli_usage(cli, "there is no command '%s'", name));
	return (cli_usage(cli, "there is no command '%s' (did you mean "
	    "'%s'?)", name, near));
}

static int
run(struct cli *cli, int argc, char **argv)
{
	size_t	i;

	if (argc < 2)
		return (cli_usage(cli, "a command is missing"));
	for (i = 0; cmds[i] != NULL; i++) {
		if (strcmp(argv[1], cmds[i]->name) == 0) {
			cli->cmd = cmds[i];
			return (cmds[i]->run(cli, argc - 1, argv + 1));
		}
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		cli_help(stdout, cmds);
		return (0);
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("ufop %s\n", UFOP_VERSION);
		return (0);
	}
	if (argv[1][0] == '-')
		return (cli_usage(cli, "'%s': a command comes first", argv[1]));
	return (unknown_cmd(cli, argv[1]));
}

int
main(int argc, char **argv)
{
	static struct cli	 cli;
	struct ufop_err		 err;
	int			 status;

	settings_init(&cli.settings);
	status = run(&cli, argc, argv);
	cli_release(&cli);
	/* A full disk or a closed pipe is not success. */
	if (cli_flush(stdout, &err) == -1 && status == 0)
		status = cli_fail(&err);
	return (status);
}
