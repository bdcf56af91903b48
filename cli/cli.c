/* SPDX-License-Identifier: MIT */
/*
 * What all sub-commands share: options, help, settings, and how to fail.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "cli.h"
#include "log.h"

enum {
	OPT_CONFIG = 1000, OPT_DEBUG,
};

static const struct cli_opt project_opts[] = {
	{ 'A', "app", "FILE.so",
	    "switch on the service in FILE.so, in front of the others; may be "
	    "given again" },
	{ 's', "set", "NAME=VALUE",
	    "set one setting (redis.url=..., see `ufop config show`); may be "
	    "given again" },
	{ OPT_CONFIG, "config", "FILE",
	    "read FILE in place of ufop.ini and local.ini" },
	{ 'C', "directory", "DIR", "do as if started in DIR" },
	{ OPT_DEBUG, "debug", NULL,
	    "log everything, and let a 404 name the routes there are" },
	{ 0 }
};

static const struct cli_opt help_opts[] = {
	{ 'h', "help", NULL, "show this" },
	{ 0 }
};

/* Options of one sub-command, all tables put together. */
#define OPTS_MAX	24

static size_t
all_opts(const struct cli_cmd *cmd, const struct cli_opt *out[OPTS_MAX])
{
	const struct cli_opt	*tables[] = {
		cmd->opts, cmd->project ? project_opts : NULL, help_opts
	};
	const struct cli_opt	*opt;
	size_t			 i, n = 0;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (opt = tables[i]; opt != NULL && opt->code != 0; opt++) {
			if (n == OPTS_MAX)
				abort();
			out[n++] = opt;
		}
	}
	return (n);
}

/* ---- help ------------------------------------------------------------ */

void
cli_fold(FILE *fp, const char *prose, int column, int indent)
{
	struct str	 rest = str_from(prose), word;

	while (rest.s != NULL) {
		word = str_cut(&rest, ' ');
		if (column > indent && column + 1 + (int)word.len > 79) {
			fprintf(fp, "\n%*s", indent, "");
			column = indent;
		}
		column += fprintf(fp, "%s%.*s", column > indent ? " " : "",
		    STR_ARG(word));
	}
	fputc('\n', fp);
}

#define HELP_INDENT	26

static void
print_opt(FILE *fp, const struct cli_opt *opt)
{
	int	column = 0;

	if (opt->code < CLI_LONG)
		column += fprintf(fp, "  -%c, ", opt->code);
	else
		column += fprintf(fp, "      ");
	column += fprintf(fp, "--%s%s%s", opt->name,
	    opt->arg == NULL ? "" : "=", opt->arg == NULL ? "" : opt->arg);
	if (column >= HELP_INDENT) {
		fputc('\n', fp);
		column = 0;
	}
	fprintf(fp, "%*s", HELP_INDENT - column, "");
	cli_fold(fp, opt->prose, HELP_INDENT, HELP_INDENT);
}

void
cli_cmd_help(FILE *fp, const struct cli_cmd *cmd)
{
	const struct cli_opt	*opts[OPTS_MAX];
	size_t			 i, n = all_opts(cmd, opts);

	fprintf(fp, "usage: ufop %s [option...]%s%s\n\n", cmd->name,
	    cmd->operands[0] == '\0' ? "" : " ", cmd->operands);
	cli_fold(fp, cmd->prose, 0, 0);
	fputc('\n', fp);
	for (i = 0; i < n; i++)
		print_opt(fp, opts[i]);
}

void
cli_help(FILE *fp, const struct cli_cmd *const *cmds)
{
	fprintf(fp, "usage: ufop COMMAND [option...] [operand...]\n\n");
	for (; *cmds != NULL; cmds++)
		fprintf(fp, "  %-15s%s\n", (*cmds)->name, (*cmds)->summary);
	fprintf(fp, "\n`ufop COMMAND --help` says more of one; the manual is "
	    "ufop(1).\n");
}

/* ---- failing --------------------------------------------------------- */

int
cli_fail(const struct ufop_err *err)
{
	fprintf(stderr, "ufop: ");
	cli_text(stderr, str_from(err->msg));
	fputc('\n', stderr);
	return (err_exit_status(err->code));
}

int
cli_usage(const struct cli *cli, const char *fmt, ...)
{
	char	msg[UFOP_ERR_MSG_MAX];
	va_list	ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	fprintf(stderr, "ufop: ");
	cli_text(stderr, str_from(msg));
	fprintf(stderr, "; see `ufop %s%s--help`\n",
	    cli->cmd == NULL ? "" : cli->cmd->name,
	    cli->cmd == NULL ? "" : " ");
	return (err_exit_status(UFOP_USAGE));
}

void
cli_text(FILE *fp, struct str text)
{
	int	n;

	while (text.len > 0) {
		n = str_utf8(text);
		/* U+0080 to U+009F are controls as well. */
		if (n == 0 || (n == 1 && ((unsigned char)text.s[0] < ' ' ||
		    text.s[0] == 0x7f)) || (n == 2 && text.s[0] == '\xc2' &&
		    (unsigned char)text.s[1] < 0xa0))
			fputc('?', fp);
		else
			fwrite(text.s, 1, (size_t)n, fp);
		text = str_slice(text, n == 0 ? 1 : (size_t)n, text.len);
	}
}

int
cli_json(json_t *root, struct ufop_err *err)
{
	int	rc;

	if (root == NULL)
		return (err_set(err, UFOP_SYSTEM, "out of memory for JSON"));
	rc = json_dumpf(root, stdout, JSON_INDENT(2) |
	    JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
	json_decref(root);
	putchar('\n');
	return (rc == 0 ? 0 : err_set(err, UFOP_SYSTEM, "cannot print JSON"));
}

int
cli_flush(FILE *fp, struct ufop_err *err)
{
	if (fflush(fp) == EOF || ferror(fp))
		return (err_sys(err, "cannot write the output"));
	return (0);
}

/* Edits (insert, delete, change, swap neighbours) that make a into b. */
static int
distance(const char *a, const char *b)
{
	enum { MAX = 32 };
	int	 d[MAX + 1][MAX + 1], i, j, la, lb, best;

	la = (int)strlen(a);
	lb = (int)strlen(b);
	if (la > MAX || lb > MAX)
		return (MAX);
	for (i = 0; i <= la; i++) {
		for (j = 0; j <= lb; j++) {
			if (i == 0 || j == 0) {
				d[i][j] = i + j;
				continue;
			}
			best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return (d[la][lb]);
}

const char *
cli_nearest(const char *typed, const char *const *candidates)
{
	const char	*best = NULL;
	int		 d, least = (int)strlen(typed) / 3 + 2;

	for (; *candidates != NULL; candidates++) {
		/* What was begun rightly is meant, however much is missing. */
		if (typed[0] != '\0' &&
		    strncmp(*candidates, typed, strlen(typed)) == 0)
			return (*candidates);
		d = distance(typed, *candidates);
		if (d < least) {
			least = d;
			best = *candidates;
		}
	}
	return (best);
}

/* ---- options --------------------------------------------------------- */

static int
add_app(struct cli *cli, const char *path, struct ufop_err *err)
{
	char	*real;
	int	 i;

	if (cli->napps == CLI_APPS_MAX)
		return (err_set(err, UFOP_USAGE, "more than %d times -A",
		    CLI_APPS_MAX));
	/* Absolute, because the front may stand in another directory. */
	real = realpath(path, NULL);
	if (real == NULL)
		return (err_set(err, UFOP_CONFIG, "cannot load the service "
		    "'%s': %s", path, strerror(errno)));
	if (strpbrk(real, " \t\n,") != NULL) {
		err_set(err, UFOP_CONFIG, "cannot load the service '%s': a "
		    "list of services cannot hold a path with a space or "
		    "comma in it; move or link it elsewhere", real);
		free(real);
		return (-1);
	}
	for (i = 0; i < cli->napps; i++) {
		if (strcmp(real, cli->apps[i]) == 0) {
			free(real);
			return (0);
		}
	}
	cli->apps[cli->napps++] = real;
	return (0);
}

int
cli_enter(const char *dir, struct ufop_err *err)
{
	if (chdir(dir) == -1)
		return (err_set(err, UFOP_CONFIG, "cannot go to the directory "
		    "'%s': %s", dir, strerror(errno)));
	return (0);
}

int
cli_no_operands(struct cli *cli, int argc, char **argv)
{
	if (optind == argc)
		return (0);
	cli->status = cli_usage(cli, "'%s': no operand is expected",
	    argv[optind]);
	return (-1);
}

int
cli_set(struct cli *cli, const char *assignment, struct ufop_err *err)
{
	if (cli->nsets == CLI_SETS_MAX)
		return (err_set(err, UFOP_USAGE, "more than %d settings on "
		    "the command line; put them into a file for --config",
		    CLI_SETS_MAX));
	cli->sets[cli->nsets++] = assignment;
	return (0);
}

/* 1 when opt was one of those that all sub-commands share, else 0, or -1. */
static int
shared_opt(struct cli *cli, int code, struct ufop_err *err)
{
	switch (code) {
	case 'A':
		return (add_app(cli, optarg, err) == 0 ? 1 : -1);
	case 's':
		return (cli_set(cli, optarg, err) == 0 ? 1 : -1);
	case 'C':
		return (cli_enter(optarg, err) == 0 ? 1 : -1);
	case OPT_CONFIG:
		cli->config = optarg;
		return (1);
	case OPT_DEBUG:
		cli->debug = true;
		return (1);
	}
	return (0);
}

static int
unknown_opt(const struct cli *cli, char **argv, const struct cli_opt **opts,
    size_t n)
{
	const char	*names[OPTS_MAX + 1], *typed = argv[optind - 1], *near;
	char		 word[64];
	size_t		 i;

	/* optopt is the letter or the option's code; 0 for no long name. */
	if (optopt != 0 && strncmp(typed, "--", 2) == 0)
		return (cli_usage(cli, "'%s': this option takes no value",
		    typed));
	if (optopt != 0)
		return (cli_usage(cli, "there is no option -%c", optopt));
	for (i = 0; i < n; i++)
		names[i] = opts[i]->name;
	names[n] = NULL;
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(typed + 2, "="),
	    typed + 2);
	near = cli_nearest(word, names);
	if (near == NULL)
		return (cli_usage(cli, "there is no option '%s'", typed));
	return (cli_usage(cli, "there is no option '%s' (did you mean --%s?)",
	    typed, near));
}

int
cli_next(struct cli *cli, int argc, char **argv)
{
	const struct cli_opt	*opts[OPTS_MAX];
	struct option		 longs[OPTS_MAX + 1];
	struct ufop_err		 err;
	char			 letters[2 * OPTS_MAX + 2], *p = letters;
	size_t			 i, n = all_opts(cli->cmd, opts);
	int			 code, shared;

	/* ':' in front: a missing value is told from an unknown option. */
	*p++ = ':';
	for (i = 0; i < n; i++) {
		longs[i] = (struct option){ opts[i]->name, opts[i]->arg == NULL
		    ? no_argument : required_argument, NULL, opts[i]->code };
		if (opts[i]->code < CLI_LONG) {
			*p++ = (char)opts[i]->code;
			if (opts[i]->arg != NULL)
				*p++ = ':';
		}
	}
	*p = '\0';
	longs[n] = (struct option){ 0 };

	opterr = 0;
	for (;;) {
		code = getopt_long(argc, argv, letters, longs, NULL);
		switch (code) {
		case -1:
			return (CLI_DONE);
		case ':':
			cli->status = cli_usage(cli, "'%s': this option needs "
			    "a value", argv[optind - 1]);
			return (CLI_EXIT);
		case '?':
			cli->status = unknown_opt(cli, argv, opts, n);
			return (CLI_EXIT);
		case 'h':
			cli_cmd_help(stdout, cli->cmd);
			cli->status = 0;
			return (CLI_EXIT);
		}
		shared = cli->cmd->project ? shared_opt(cli, code, &err) : 0;
		if (shared == -1) {
			cli->status = cli_fail(&err);
			return (CLI_EXIT);
		}
		if (shared == 0)
			return (code);
	}
}

/* ---- settings and services ------------------------------------------- */

/* Bytes of a list of services: the settings' own lines are shorter. */
#define LIST_MAX	(CLI_APPS_MAX * PATH_MAX + 65536)

/* Whether word is the path of a service that -A has given already. */
static bool
is_app(const struct cli *cli, struct str word)
{
	char	path[PATH_MAX], *real;
	bool	hit = false;
	int	i;

	/* As services_load() tells a path from a name. */
	if (word.len >= sizeof(path) || (str_find(word, '/') == -1 &&
	    !str_eq_c(str_slice(word, word.len < 3 ? 0 : word.len - 3,
	    word.len), ".so")))
		return (false);
	memcpy(path, word.s, word.len);
	path[word.len] = '\0';
	real = realpath(path, NULL);
	for (i = 0; real != NULL && i < cli->napps; i++)
		hit = hit || strcmp(real, cli->apps[i]) == 0;
	free(real);
	return (hit);
}

/*
 * The services of -A in front of those that the settings name.  One that is
 * named by both moves to the front.
 */
static int
prepend_apps(struct cli *cli, struct ufop_err *err)
{
	struct str	rest, word;
	struct buf	list;
	int		i, rc;

	if (cli->napps == 0)
		return (0);
	rest = str_from(settings_str(&cli->settings, "ufop", "services"));
	buf_init(&list, LIST_MAX);
	for (i = 0; i < cli->napps; i++)
		buf_addf(&list, "%s ", cli->apps[i]);
	while (settings_word(&rest, &word)) {
		if (!is_app(cli, word))
			buf_addf(&list, "%.*s ", STR_ARG(word));
	}
	/* Without the last space. */
	list.p[list.len - 1] = '\0';
	rc = settings_set(&cli->settings, "ufop", "services", list.p, "-A",
	    err);
	buf_release(&list);
	return (rc);
}

/*
 * Where dir has a file of the same name as the service that word names, and the
 * service lies in the directory that dir is in: the path of that file, to be
 * freed.  NULL otherwise.
 */
static char *
sanitized(struct str word, const char *dir)
{
	char	*path, *parent, *real, *name;
	bool	 hit;

	if (str_find(word, '/') == -1)
		return (NULL);
	path = xasprintf("%.*s", STR_ARG(word));
	name = strrchr(path, '/');
	*name++ = '\0';
	parent = xasprintf("%.*s", (int)(strrchr(dir, '/') - dir), dir);
	real = realpath(path[0] == '\0' ? "/" : path, NULL);
	hit = real != NULL && strcmp(real, parent) == 0;
	free(real);
	free(parent);
	real = hit ? xasprintf("%s/%s", dir, name) : NULL;
	free(path);
	if (real != NULL && access(real, R_OK) == -1) {
		free(real);
		return (NULL);
	}
	return (real);
}

/*
 * Below `ufop dev --sanitize`: what it has built stands for the services of the
 * same names, which are left as they are and can go on being used without.
 */
static int
use_sanitized(struct cli *cli, struct ufop_err *err)
{
	const char	*dir = getenv(CLI_SANITIZED_ENV);
	struct str	 rest, word;
	struct buf	 list;
	char		*path;
	int		 rc;

	if (dir == NULL || dir[0] != '/')
		return (0);
	rest = str_from(settings_str(&cli->settings, "ufop", "services"));
	buf_init(&list, LIST_MAX);
	while (settings_word(&rest, &word)) {
		path = sanitized(word, dir);
		if (list.len > 0)
			buf_cstr(&list, " ");
		buf_str(&list, path == NULL ? word : str_from(path));
		free(path);
	}
	rc = list.len == 0 ? 0 : settings_set(&cli->settings, "ufop",
	    "services", list.p, "--sanitize", err);
	buf_release(&list);
	return (rc);
}

int
cli_load(struct cli *cli, const char *proc, enum cli_need need,
    struct ufop_err *err)
{
	const struct settings_sources	 sources = {
		.dir = ".", .config = cli->config, .flags = cli->sets
	};
	struct services			*services = &cli->services;
	const char			*dir;
	enum log_level			 level;
	int				 i;

	if (cli->debug && (cli_set(cli, "ufop.log_level=debug", err) == -1 ||
	    cli_set(cli, "ufop.debug=yes", err) == -1))
		return (-1);
	if (paths_find(&cli->paths, err) == -1 ||
	    settings_load(&cli->settings, &sources, err) == -1)
		return (-1);
	if (log_level_parse(settings_str(&cli->settings, "ufop", "log_level"),
	    &level) == 0)
		log_open(proc, level);
	if (prepend_apps(cli, err) == -1 || use_sanitized(cli, err) == -1)
		return (-1);
	dir = settings_str(&cli->settings, "ufop", "service_dir");
	if (services_load(services, settings_str(&cli->settings, "ufop",
	    "services"), dir[0] == '\0' ? cli->paths.services : dir,
	    err) == -1)
		return (-1);
	for (i = 0; i < services->nservices; i++) {
		if (settings_add_service(&cli->settings, services->services[i],
		    services->paths[i], err) == -1)
			return (-1);
	}
	if (settings_finish(&cli->settings, err) == -1)
		return (-1);
	if (need == CLI_ROUTES) {
		cli->router = router_new(services, err);
		if (cli->router == NULL)
			return (-1);
	}
	return (0);
}

/* Whether the list of words has this one. */
static bool
has_word(struct str list, const char *name)
{
	struct str	word;

	while (settings_word(&list, &word)) {
		if (str_eq_c(word, name))
			return (true);
	}
	return (false);
}

int
cli_serve_all_pools(struct cli *cli, struct ufop_err *err)
{
	const struct services	*services = &cli->services;
	struct buf		 list;
	int			 i, rc;

	if (settings_find(&cli->settings, "worker", "pools")->is_set)
		return (0);
	buf_init(&list, LIST_MAX);
	for (i = 0; i < services->ntasks; i++) {
		const char	*pool = services->tasks[i].pool;

		if (!has_word((struct str){ list.p, list.len }, pool))
			buf_addf(&list, "%s%s", list.len == 0 ? "" : " ",
			    pool);
	}
	rc = list.len == 0 ? 0 : settings_set(&cli->settings, "worker",
	    "pools", list.p, "the tasks' pools", err);
	buf_release(&list);
	return (rc);
}

int
cli_export(struct cli *cli, struct ufop_err *err)
{
	if (settings_str(&cli->settings, "ufop", "service_dir")[0] == '\0' &&
	    settings_set(&cli->settings, "ufop", "service_dir",
	    cli->paths.services, "beside ufop", err) == -1)
		return (-1);
	settings_export_env(&cli->settings);
	return (0);
}

int
cli_flags(const struct cli *cli, char **out, int max, struct ufop_err *err)
{
	int	i, n = 0;

	if (cli->napps + cli->nsets + 2 > max)
		return (err_set(err, UFOP_USAGE, "more than %d options; put "
		    "the settings into local.ini", max - 2));
	if (cli->config != NULL)
		out[n++] = xasprintf("--config=%s", cli->config);
	for (i = 0; i < cli->napps; i++)
		out[n++] = xasprintf("--app=%s", cli->apps[i]);
	/* Those that --debug stands for are among them. */
	for (i = 0; i < cli->nsets; i++)
		out[n++] = xasprintf("--set=%s", cli->sets[i]);
	out[n] = NULL;
	return (n);
}

void
cli_release(struct cli *cli)
{
	/* Rows and routes point into the services: these go last. */
	router_free(cli->router);
	settings_release(&cli->settings);
	services_release(&cli->services);
	while (cli->napps > 0)
		free(cli->apps[--cli->napps]);
}
