/* SPDX-License-Identifier: MIT */
/*
 * The `ufop` command: one table of sub-commands, one file a sub-command.
 *
 * What a sub-command takes is a table too; getopt_long() and --help are fed
 * from it, so they cannot disagree.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <getopt.h>	/* optarg, optind: see cli_next() */
#include <stdio.h>

#include "err.h"
#include "paths.h"
#include "router.h"
#include "services.h"
#include "settings.h"

/*
 * `ufop dev --sanitize` has make put what it builds into this directory of the
 * project, and tells the commands that it runs by this variable, whose value is
 * the directory's path: see use_sanitized() in cli.c.
 */
#define CLI_SANITIZED_DIR	".sanitized"
#define CLI_SANITIZED_ENV	"SANITIZED_BY_UFOP_DEV"

#define CLI_APPS_MAX	16	/* -A on one command line */
#define CLI_SETS_MAX	64	/* -s on one command line */

/*
 * One option.  code is its letter, or any value from CLI_LONG on when it has
 * only a long name.
 */
#define CLI_LONG	256

struct cli_opt {
	int		 code;
	const char	*name;
	const char	*arg;		/* what its value is called; NULL: none */
	const char	*prose;
};

struct cli;

struct cli_cmd {
	const char		*name;
	const char		*operands;	/* "[CMD] FILE"; "" for none */
	const char		*summary;	/* one line for `ufop --help` */
	const char		*prose;		/* for `ufop CMD --help` */
	const struct cli_opt	*opts;		/* ends with code 0; may be NULL */
	/* Whether it reads settings, and so takes -A, -s, --config, -C, --debug. */
	bool			 project;
	/* Returns the exit status. */
	int			(*run)(struct cli *, int argc, char **argv);
};

/* Everything one run of the command knows. */
struct cli {
	const struct cli_cmd	*cmd;
	struct paths		 paths;
	bool			 debug;		/* --debug */
	int			 status;	/* when cli_next() says CLI_EXIT */

	/* What cli_load() fills in, as far as it was asked to. */
	struct settings		 settings;
	struct services		 services;
	struct router		*router;

	/* Private to cli.c. */
	const char		*config;
	char			*apps[CLI_APPS_MAX];	/* absolute */
	int			 napps;
	const char		*sets[CLI_SETS_MAX + 1];
	int			 nsets;
};

extern const struct cli_cmd cli_up, cli_process, cli_runserver, cli_runworker,
    cli_routes, cli_config, cli_status, cli_dead, cli_health,
    cli_createproject, cli_makeservice, cli_test, cli_dockerfile,
    cli_doraconfig, cli_deploy, cli_dev;

/*
 * The next option of the sub-command's own: its code, with its value in
 * optarg.  Those that all share are dealt with inside.  CLI_DONE when only
 * operands are left, from argv[optind] on; CLI_EXIT when the command is to
 * end with cli->status (after --help, or a mistake that has been reported).
 */
#define CLI_DONE	(-1)
#define CLI_EXIT	(-2)

int	 cli_next(struct cli *, int argc, char **argv);

/* What `ufop --help` and `ufop CMD --help` print. */
void	 cli_help(FILE *, const struct cli_cmd *const *cmds);
void	 cli_cmd_help(FILE *, const struct cli_cmd *);

/* prose and a newline, folded at column 79, all lines but the first indented. */
void	 cli_fold(FILE *, const char *prose, int column, int indent);

/* Go to the directory of -C or of an operand; 0 or -1. */
int	 cli_enter(const char *dir, struct ufop_err *);

/* 0 when no operand is left; else -1, that is said, and cli->status is set. */
int	 cli_no_operands(struct cli *, int argc, char **argv);

/* Queue "section.name=value" as a flag; kept by reference. */
int	 cli_set(struct cli *, const char *assignment, struct ufop_err *);

enum cli_need { CLI_SETTINGS, CLI_ROUTES };

/*
 * Read the settings, load the services (their settings count too) and open
 * the log as proc; with CLI_ROUTES compile the routes as well.
 */
int	 cli_load(struct cli *, const char *proc, enum cli_need,
	    struct ufop_err *);
/*
 * Unless worker.pools is set: have the worker serve the pools that the tasks
 * ask for, so that none waits in vain.
 */
int	 cli_serve_all_pools(struct cli *, struct ufop_err *);

/*
 * Put the settings into the environment for a program that is no part of this
 * process: there it cannot be seen where ufop's own parts lie.
 */
int	 cli_export(struct cli *, struct ufop_err *);
/*
 * The options that all sub-commands share, as they were given, for another
 * run of this command: into out, at most max of them, each to be freed, and a
 * NULL behind.  There is no -C among them: our directory is that run's too.
 * Returns how many, or -1 with err.
 */
int	 cli_flags(const struct cli *, char **out, int max, struct ufop_err *);
void	 cli_release(struct cli *);

/* The error as one line on stderr; returns the exit status for it. */
int	 cli_fail(const struct ufop_err *);
/* The same for a wrong call, with a pointer to --help. */
int	 cli_usage(const struct cli *, const char *fmt, ...) UFOP_PRINTF(2, 3);

/*
 * Text from outside for a person's eyes: what a terminal would obey, and what
 * is no UTF-8, becomes '?'.
 */
void	 cli_text(FILE *, struct str);

/* JSON, indented; takes root over.  0 or -1. */
int	 cli_json(json_t *root, struct ufop_err *err);

/* Everything printed to fp has really gone out; 0 or -1. */
int	 cli_flush(FILE *fp, struct ufop_err *err);

/*
 * The word of candidates (ends with NULL) that is nearest to what was typed,
 * NULL when none is near enough to have been meant.
 */
const char *cli_nearest(const char *typed, const char *const *candidates);

#endif
