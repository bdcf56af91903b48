/* SPDX-License-Identifier: MIT */
/*
 * ufop config: what the settings are and where they come from.
 */
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "cli.h"
#include "setup.h"

static const struct cli_opt opts[] = {
	{ 'a', "all", NULL, "also show what stands at its default" },
	{ 0 }
};

static const char *
type_name(enum ufop_setting_type type)
{
	switch (type) {
	case UFOP_SETTING_STRING:
		return ("text");
	case UFOP_SETTING_INT:
		return ("number");
	case UFOP_SETTING_BOOL:
		return ("yes/no");
	case UFOP_SETTING_SIZE:
		return ("bytes");
	case UFOP_SETTING_TIME:
		return ("time");
	case UFOP_SETTING_LIST:
		return ("list");
	}
	return ("");
}

/* Bytes of a value as it is shown. */
#define TEXT_MAX	65536
/* Room for the names of all rows, when one is to be guessed. */
#define ROWS_MAX	512
/* For a service to say how it would run. */
#define DESCRIBE_MS	5000

static void
unknown(const struct settings *settings, const char *typed,
    struct ufop_err *err)
{
	const struct setting	*row;
	const char		*names[ROWS_MAX + 1], *near;
	bool			 full = strchr(typed, '.') != NULL;
	struct arena		 arena;
	size_t			 n = 0;

	arena_init(&arena);
	for (row = settings_each(settings, NULL); row != NULL && n < ROWS_MAX;
	    row = settings_each(settings, row))
		names[n++] = full ? arena_printf(&arena, "%s.%s",
		    row->section, row->def->name) : row->def->name;
	names[n] = NULL;
	near = cli_nearest(typed, names);
	if (near == NULL)
		err_set(err, UFOP_USAGE, "there is no setting '%s'; "
		    "`ufop config show --all` lists them", typed);
	else
		err_set(err, UFOP_USAGE, "there is no setting '%s' (did you "
		    "mean %s?)", typed, near);
	arena_release(&arena);
}

/*
 * The row of "section.name" or, where only one section has it, of "name"
 * alone.  NULL with err.
 */
static const struct setting *
find(const struct settings *settings, const char *typed, struct ufop_err *err)
{
	const struct setting	*row, *hit = NULL;
	struct str		 name, section;

	for (row = settings_each(settings, NULL); row != NULL;
	    row = settings_each(settings, row)) {
		name = str_from(typed);
		if (str_find(name, '.') != -1) {
			section = str_cut(&name, '.');
			if (!str_eq_c(section, row->section))
				continue;
		}
		if (!str_eq_c(name, row->def->name))
			continue;
		if (hit != NULL) {
			err_set(err, UFOP_USAGE, "'%s' is in more than one "
			    "section: %s.%s, %s.%s; write the section too",
			    typed, hit->section, typed, row->section, typed);
			return (NULL);
		}
		hit = row;
	}
	if (hit == NULL)
		unknown(settings, typed, err);
	return (hit);
}

static void
show_one(const struct setting *row)
{
	char		env[SETTINGS_ENV_MAX];
	struct buf	value, accepted;

	buf_init(&value, TEXT_MAX);
	buf_init(&accepted, TEXT_MAX);
	setting_show(row, &value);
	setting_describe(row->def, &accepted);
	setting_env_name(row, env);
	printf("%s.%s = %s\n", row->section, row->def->name,
	    value.len == 0 ? "" : value.p);
	printf("  from       %s\n", row->origin);
	printf("  default    %s\n", row->def->fallback);
	printf("  accepts    %s\n", accepted.len == 0 ? "" : accepted.p);
	printf("  variable   %s\n", env);
	printf("  meaning    ");
	cli_fold(stdout, row->def->prose, 13, 13);
	buf_release(&value);
	buf_release(&accepted);
}

static void
show(const struct settings *settings, bool all)
{
	const struct setting	*row;
	const char		*section = "";
	struct buf		 line;
	int			 shown = 0;

	buf_init(&line, TEXT_MAX);
	for (row = settings_each(settings, NULL); row != NULL;
	    row = settings_each(settings, row)) {
		if (!all && !row->is_set)
			continue;
		if (strcmp(section, row->section) != 0) {
			section = row->section;
			printf("%s[%s]\n", shown > 0 ? "\n" : "", section);
		}
		buf_clear(&line);
		buf_addf(&line, "%s = ", row->def->name);
		setting_show(row, &line);
		/* As an ini file would have it: the rest is a comment. */
		printf("%-40s ; %s%s, from %s\n", line.p,
		    row->is_set ? "* " : "", type_name(row->def->type),
		    row->origin);
		shown++;
	}
	buf_release(&line);
	if (shown == 0)
		printf("; everything stands at its default; --all shows it\n");
}

/*
 * What a service says of itself is its author's code, and may try things that
 * this process must not be changed by: a fork asks.
 */
static void
describe(const struct cli *cli, const struct ufop_service *service)
{
	char		text[512];
	struct pollfd	pfd;
	ssize_t		n = 0;
	pid_t		pid;
	int		p[2];

	if (service->describe == NULL || pipe2(p, O_CLOEXEC) == -1)
		return;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setup_describe(service, &cli->settings, text, sizeof(text));
		_exit(write(p[1], text, strlen(text)) == -1);
	}
	close(p[1]);
	pfd = (struct pollfd){ p[0], POLLIN, 0 };
	if (pid != -1 && poll(&pfd, 1, DESCRIBE_MS) > 0)
		n = read(p[0], text, sizeof(text));
	close(p[0]);
	if (pid != -1) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
			continue;
	}
	if (n <= 0)
		return;
	printf("\n; %s: ", service->name);
	cli_text(stdout, (struct str){ text, (size_t)n });
	putchar('\n');
}

static int
run(struct cli *cli, int argc, char **argv)
{
	const struct setting	*row;
	const char		*verb;
	bool			 all = false;
	struct ufop_err		 err;
	int			 code, i;

	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		if (code != 'a')
			return (cli->status);
		all = true;
	}
	verb = optind < argc ? argv[optind++] : "show";
	if (strcmp(verb, "show") != 0 && strcmp(verb, "check") != 0)
		return (cli_usage(cli, "'%s' is neither show nor check", verb));
	if (argc - optind > (strcmp(verb, "show") == 0 ? 1 : 0))
		return (cli_usage(cli, "'%s': no operand is expected",
		    argv[argc - 1]));

	/* The routes are checked too: whoever asks is about to start. */
	if (cli_load(cli, "config", strcmp(verb, "check") == 0 ? CLI_ROUTES :
	    CLI_SETTINGS, &err) == -1)
		return (cli_fail(&err));
	if (strcmp(verb, "check") == 0) {
		printf("all is in order: %d service%s, %d route%s\n",
		    cli->services.nservices,
		    cli->services.nservices == 1 ? "" : "s",
		    cli->services.ntasks,
		    cli->services.ntasks == 1 ? "" : "s");
	} else if (optind < argc) {
		row = find(&cli->settings, argv[optind], &err);
		if (row == NULL)
			return (cli_fail(&err));
		show_one(row);
	} else {
		show(&cli->settings, all);
		for (i = 0; i < cli->services.nservices; i++)
			describe(cli, cli->services.services[i]);
	}
	return (0);
}

const struct cli_cmd cli_config = {
	.name = "config",
	.operands = "show [NAME] | check",
	.summary = "show the settings and where they come from, or check them",
	.prose = "show: print what any file, variable or flag has set (with "
	    "--all also what stands at its default), as an ini file would "
	    "have it; what was set is marked by * in the comment behind; below "
	    "it what a service says of how it would run here. With "
	    "NAME say all about one setting. check: read everything as a "
	    "start would, and say what is wrong.",
	.opts = opts,
	.project = true,
	.run = run,
};
