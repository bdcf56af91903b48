/* SPDX-License-Identifier: MIT */
/*
 * ufop createproject, ufop makeservice and ufop dockerfile: what an author
 * begins with.
 */
#include <sys/stat.h>

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "cli.h"
#include "file.h"
#include "project.h"
#include "settings_table.h"

static int
enter(const char *dir, struct ufop_err *err)
{
	if (mkdir(dir, 0777) == -1 && errno != EEXIST)
		return (err_sys(err, "cannot make the directory '%s'", dir));
	return (cli_enter(dir, err));
}

/* Whether `ufop` on the PATH is this very command. */
static bool
on_path(const struct cli *cli)
{
	struct ufop_err	 ignored;
	char		 found[PATH_MAX], *real;
	bool		 same;

	if (paths_program(found, "ufop", "ufop", &ignored) == -1)
		return (false);
	real = realpath(found, NULL);
	same = real != NULL && strcmp(real, cli->paths.exe) == 0;
	free(real);
	return (same);
}

static int
run_createproject(struct cli *cli, int argc, char **argv)
{
	struct project_words	 words = { .ufop = cli->paths.exe };
	char			 name[PROJECT_NAME_MAX + 1];
	const char		*dir = ".";
	struct ufop_err		 err;

	if (cli_next(cli, argc, argv) != CLI_DONE)
		return (cli->status);
	if (argc - optind > 1)
		return (cli_usage(cli, "more than one DIR"));
	if (optind < argc)
		dir = argv[optind];
	if (paths_find(&cli->paths, &err) == -1 || enter(dir, &err) == -1)
		return (cli_fail(&err));
	project_name(name);
	words.name = name;
	if (project_write_all("project/", &words, &err) == -1)
		return (cli_fail(&err));
	printf("\nNext: %s%s%smake test, then make dev.\n",
	    strcmp(dir, ".") == 0 ? "" : "cd ",
	    strcmp(dir, ".") == 0 ? "" : dir,
	    strcmp(dir, ".") == 0 ? "" : ", ");
	if (!on_path(cli))
		printf("The ufop command is %s; put its directory on your PATH "
		    "to call it ufop.\n", cli->paths.exe);
	return (0);
}

/* ---- makeservice ----------------------------------------------------- */

#define INI_MAX		(1 << 20)
#define SOURCE_MAX	(16 << 20)

/* A name that is also one in C, since UFOP_SERVICE() takes it without quotes. */
static bool
is_name(const char *name)
{
	size_t	n = strlen(name);

	return (n >= 1 && n <= PROJECT_NAME_MAX && name[0] >= 'a' &&
	    name[0] <= 'z' && strspn(name,
	    "abcdefghijklmnopqrstuvwxyz0123456789_") == n);
}

/*
 * What cannot be a service's name in this project, although it is one: sections
 * of the settings are services' names too.
 */
static int
check_free(const struct cli *cli, const char *name, struct ufop_err *err)
{
	const struct settings_row	*row;
	char				 path[PATH_MAX];

	for (row = settings_table; row->section != NULL; row++) {
		if (strcmp(row->section, name) == 0)
			return (err_set(err, UFOP_USAGE, "'%s' is a section of "
			    "ufop's own settings; choose another name", name));
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/%s.so",
	    cli->paths.services, name) < sizeof(path) &&
	    access(path, F_OK) == 0)
		return (err_set(err, UFOP_USAGE, "'%s' is a service that came "
		    "with ufop; choose another name", name));
	return (0);
}

/* Whether text has a route that begins with the cmd /name. */
static bool
has_route(struct str text, const char *name)
{
	char	*begin = xasprintf("\"^/%s", name);
	size_t	 n = strlen(begin);
	bool	 hit = false;
	int	 at;

	while (!hit && (at = str_find(text, '"')) != -1) {
		text = str_slice(text, (size_t)at, text.len);
		hit = text.len > n && memcmp(text.s, begin, n) == 0 &&
		    !isalnum((unsigned char)text.s[n]) && text.s[n] != '_';
		text = str_slice(text, 1, text.len);
	}
	free(begin);
	return (hit);
}

/*
 * The new service's one route comes behind those that are there.  They are read
 * in the sources, because a service that has yet to be built counts too.
 */
static int
check_route(const char *name, struct ufop_err *err)
{
	glob_t		found = { 0 };
	struct buf	text;
	size_t		i;
	int		rc = 0;

	if (glob("*.c", 0, NULL, &found) == 0) {
		for (i = 0; i < found.gl_pathc && rc == 0; i++) {
			rc = file_read(found.gl_pathv[i], SOURCE_MAX, &text,
			    err);
			if (rc == 0 && has_route((struct str){ text.p,
			    text.len }, name))
				rc = err_set(err, UFOP_USAGE, "%s has a route "
				    "for /%s, and would take what is meant for "
				    "the new service; choose another name",
				    found.gl_pathv[i], name);
			buf_release(&text);
		}
	}
	globfree(&found);
	return (rc);
}

/* Whether the line assigns to services, whatever spaces there are. */
static bool
is_services(struct str line)
{
	struct str	name = str_trim(str_cut(&line, '='));

	return (line.s != NULL && str_eq_c(name, "services"));
}

/* Bytes of an assignment without what stands behind its value. */
static size_t
value_end(struct str line)
{
	size_t	n;

	/* As libinih has it, a ';' behind a space begins a comment. */
	for (n = 0; n < line.len; n++) {
		if (n > 0 && line.s[n] == ';' &&
		    isspace((unsigned char)line.s[n - 1]))
			break;
	}
	while (n > 0 && isspace((unsigned char)line.s[n - 1]))
		n--;
	return (n);
}

/*
 * Have ufop.ini switch the service on, behind the others.  1 when there is
 * no line to add it to, because it goes on in more lines or is not there.
 */
static int
switch_on(const char *name, struct ufop_err *err)
{
	struct buf	ini, out;
	struct str	rest, line, after;
	bool		done = false, inside = false;
	size_t		end;
	int		rc;

	if (file_read("ufop.ini", INI_MAX, &ini, err) == -1) {
		buf_release(&ini);
		return (-1);
	}
	buf_init(&out, INI_MAX + 256);
	rest = (struct str){ ini.p, ini.len };
	while (rest.s != NULL && rest.len > 0) {
		line = str_cut(&rest, '\n');
		after = str_slice(rest, 0, 1);
		if (line.len > 0 && line.s[0] == '[')
			inside = str_prefix(line, STR("[ufop]"));
		/* An indented line behind it belongs to the same list. */
		if (!done && inside && is_services(line) && (after.len == 0 ||
		    (after.s[0] != ' ' && after.s[0] != '\t'))) {
			end = value_end(line);
			buf_str(&out, str_slice(line, 0, end));
			buf_addf(&out, " ./%s.so", name);
			done = true;
			line = str_slice(line, end, line.len);
		}
		buf_str(&out, line);
		if (rest.s != NULL)
			buf_cstr(&out, "\n");
	}
	rc = !done ? 1 : file_replace("ufop.ini",
	    (struct str){ out.p, out.len }, err);
	buf_release(&out);
	buf_release(&ini);
	return (rc);
}

static const struct cli_opt makeservice_opts[] = {
	{ 'C', "directory", "DIR", "do as if started in DIR" },
	{ 0 }
};

static int
run_makeservice(struct cli *cli, int argc, char **argv)
{
	struct project_words	 words = { .ufop = "ufop" };
	struct ufop_err		 err;
	char			 source[64], cases[64];
	int			 code, rc;

	while ((code = cli_next(cli, argc, argv)) == 'C') {
		if (cli_enter(optarg, &err) == -1)
			return (cli_fail(&err));
	}
	if (code != CLI_DONE)
		return (cli->status);
	if (argc - optind != 1)
		return (cli_usage(cli, "one NAME is expected"));
	words.name = argv[optind];
	if (!is_name(words.name))
		return (cli_usage(cli, "'%s' is no name for a service: 1 to "
		    "%d characters of a-z, 0-9 and _, a letter first",
		    words.name, PROJECT_NAME_MAX));
	snprintf(source, sizeof(source), "%s.c", words.name);
	snprintf(cases, sizeof(cases), "tests/%s.cases", words.name);
	rc = 0;
	if (access("ufop.ini", F_OK) == -1)
		rc = err_set(&err, UFOP_CONFIG, "there is no ufop.ini here; "
		    "`ufop createproject` begins a project, -C goes to one");
	else if (access(source, F_OK) == 0)
		rc = err_set(&err, UFOP_USAGE, "'%s' is there already; choose "
		    "another name", source);
	if (rc == -1 || paths_find(&cli->paths, &err) == -1 ||
	    check_free(cli, words.name, &err) == -1 ||
	    check_route(words.name, &err) == -1)
		return (cli_fail(&err));
	if (project_write("service/service.c", source, &words, &err) == -1 ||
	    project_write("service/service.cases", cases, &words, &err) == -1)
		return (cli_fail(&err));
	rc = switch_on(words.name, &err);
	if (rc == -1)
		return (cli_fail(&err));
	if (rc == 0)
		printf("changed  ufop.ini: ./%s.so is on, behind the others\n",
		    words.name);
	else
		printf("Add ./%s.so to services in section [ufop] of "
		    "ufop.ini.\n", words.name);
	return (0);
}

/* ---- dockerfile ------------------------------------------------------ */

static int
run_dockerfile(struct cli *cli, int argc, char **argv)
{
	struct project_words	 words = { .ufop = "ufop" };
	char			 name[PROJECT_NAME_MAX + 1];
	struct buf		 text;

	if (cli_next(cli, argc, argv) != CLI_DONE)
		return (cli->status);
	if (cli_no_operands(cli, argc, argv) == -1)
		return (cli->status);
	project_name(name);
	words.name = name;
	buf_init(&text, INI_MAX);
	project_text("project/Dockerfile", &words, &text);
	fwrite(text.p, 1, text.len, stdout);
	buf_release(&text);
	return (0);
}

const struct cli_cmd cli_createproject = {
	.name = "createproject",
	.operands = "[DIR]",
	.summary = "begin a project: a service, its tests, its image",
	.prose = "Write the files of a project into DIR (made if need be), or "
	    "into the current directory: app.c with three handlers, Makefile, "
	    "tests, settings, Dockerfile. It builds, passes its test and runs "
	    "as it stands. A file that is there already is named and kept.",
	.run = run_createproject,
};

const struct cli_cmd cli_makeservice = {
	.name = "makeservice",
	.operands = "NAME",
	.summary = "add a service to a project",
	.prose = "Write NAME.c, a service with one task, and "
	    "tests/NAME.cases, and switch it on in ufop.ini behind the "
	    "services that are there.",
	.opts = makeservice_opts,
	.run = run_makeservice,
};

const struct cli_cmd cli_dockerfile = {
	.name = "dockerfile",
	.operands = "",
	.summary = "print a Dockerfile for the project in this directory",
	.prose = "Print the Dockerfile that createproject writes, to begin "
	    "anew: ufop dockerfile > Dockerfile. It stands on an image of ufop "
	    "itself, which `make image` makes in ufop's sources.",
	.run = run_dockerfile,
};
