/* SPDX-License-Identifier: MIT */
/*
 * ufop deploy: from the project to instances that run, by docker and the
 * platform's own tool.
 *
 *	config ▸ register ▸ build ▸ push ▸ release ▸ deploy
 *
 * Each step is a command that is shown before it runs and whose output is left
 * alone.  The one that fails is named, and --from goes on there.  The first two
 * change nothing when all is as it should be, and what is released is what they
 * say: they are part of whatever ends in a release, even if --from is past them.
 */
#include <sys/wait.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dora.h"
#include "file.h"

#define ARGV_MAX	16
#define YAML_MAX	16384
#define LIST_MAX	(4 << 20)	/* bytes of the list of ufops */
#define EXPECT_MAX	1000

enum step { CONFIG, REGISTER, BUILD, PUSH, RELEASE, DEPLOY, STEPS };

static const char *const	step_names[STEPS + 1] = {
	"config", "register", "build", "push", "release", "deploy", NULL
};

enum {
	OPT_REGION = DORA_OPT_END, OPT_EXPECT, OPT_FROM, OPT_DRY_RUN,
};

static const struct cli_opt opts[] = {
	DORA_OPTS,
	{ OPT_REGION, "region", "REGION", "where the instances run (z0)" },
	{ OPT_EXPECT, "expect", "N",
	    "how many instances; the last step is left out if not given" },
	{ OPT_FROM, "from", "STEP",
	    "begin with config, register, build, push, release or deploy; up to "
	    "release the first two are made sure of in any case" },
	{ OPT_DRY_RUN, "dry-run", NULL, "only show what would be run" },
	{ 0 }
};

struct deploy {
	struct dora	 dora;
	const char	*region;
	const char	*expect;	/* NULL: start no instances */
	enum step	 from;
	bool		 dry_run;
};

/* ---- running a command ----------------------------------------------- */

/* A word as a shell would take it. */
static void
show_word(const char *word)
{
	const char	*p;

	if (word[0] != '\0' && word[strcspn(word, " \t\n\"'\\$`&|;<>()*?[]#~!")]
	    == '\0') {
		printf(" %s", word);
		return;
	}
	printf(" '");
	for (p = word; *p != '\0'; p++) {
		if (*p == '\'')
			printf("'\\''");
		else
			putchar(*p);
	}
	putchar('\'');
}

static void
show_command(const char *const *argv)
{
	putchar('$');
	for (; *argv != NULL; argv++)
		show_word(*argv);
	putchar('\n');
	fflush(stdout);
}

static int
ended(enum step step, const char *const *argv, int wstatus,
    struct ufop_err *err)
{
	char	how[64];

	if (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0)
		return (0);
	if (WIFSIGNALED(wstatus))
		snprintf(how, sizeof(how), "was ended by signal %d",
		    WTERMSIG(wstatus));
	else
		snprintf(how, sizeof(how), "ended with status %d",
		    WEXITSTATUS(wstatus));
	return (err_set(err, UFOP_FAILED, "step %s: '%s %s' %s, see above; "
	    "%swhen that is mended, give the same command with --from %s",
	    step_names[step], argv[0], argv[1], how, step == BUILD ?
	    "should the image ufop:" UFOP_VERSION " be missing, `make image` "
	    "in ufop's sources makes it; " : step == REGISTER ?
	    "log in first if you have not; " : "", step_names[step]));
}

/*
 * Show argv and run it.  With list its standard output comes there in place of
 * the terminal.
 */
static int
command(const struct deploy *d, enum step step, const char *const *argv,
    struct buf *list, struct ufop_err *err)
{
	char	chunk[4096];
	int	p[2] = { -1, -1 }, wstatus;
	ssize_t	n;
	pid_t	pid;

	show_command(argv);
	if (d->dry_run)
		return (0);
	if (list != NULL && pipe(p) == -1)
		return (err_sys(err, "cannot run '%s'", argv[0]));
	pid = fork();
	if (pid == -1)
		return (err_sys(err, "cannot run '%s'", argv[0]));
	if (pid == 0) {
		if (list != NULL) {
			dup2(p[1], STDOUT_FILENO);
			close(p[0]);
			close(p[1]);
		}
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		dprintf(STDERR_FILENO, "cannot run '%s': %s\n", argv[0],
		    strerror(errno));
		_exit(127);
	}
	if (list != NULL) {
		close(p[1]);
		while ((n = read(p[0], chunk, sizeof(chunk))) > 0)
			buf_add(list, chunk, (size_t)n);
		close(p[0]);
	}
	while (waitpid(pid, &wstatus, 0) == -1 && errno == EINTR)
		continue;
	/* What was asked for, but is no list, is for the user. */
	if (list != NULL && list->len > 0 && wstatus != 0)
		fwrite(list->p, 1, list->len, stderr);
	return (ended(step, argv, wstatus, err));
}

/* ---- the steps ------------------------------------------------------- */

/* Whether a dora.yaml is there that is the author's own. */
static bool
is_own_yaml(const struct buf *old, const struct buf *made)
{
	struct str	a = { old->p, old->len }, b = { made->p, made->len };

	return (!str_eq(str_cut(&a, '\n'), str_cut(&b, '\n')));
}

/* "key: value" or "key: "value"" on a line of its own. */
static bool
has_line(struct str text, const char *key, const char *value)
{
	struct str	line;

	while (text.s != NULL) {
		line = str_cut(&text, '\n');
		if (line.len > 0 && line.s[line.len - 1] == '\r')
			line.len--;
		if (!str_eq_c(str_cut(&line, ':'), key))
			continue;
		line = str_trim(line);
		if (line.len >= 2 && (line.s[0] == '"' || line.s[0] == '\'') &&
		    line.s[line.len - 1] == line.s[0])
			line = str_slice(line, 1, line.len - 1);
		return (str_eq_c(line, value));
	}
	return (false);
}

static int
check_own_yaml(const struct dora *d, const struct buf *old,
    struct ufop_err *err)
{
	struct str	 text = { old->p, old->len };
	const char	*image = strrchr(d->tag, '/');
	const char	*key, *value;

	image = image == NULL || d->dialect == DORA_QDORACTL ? d->tag :
	    image + 1;
	if (d->dialect == DORA_QDORACTL && !has_line(text, "ufopname",
	    d->name)) {
		key = "ufopname";
		value = d->name;
	} else if (!has_line(text, d->dialect == DORA_QDORACTL ? "verstr" :
	    "name", d->version)) {
		key = d->dialect == DORA_QDORACTL ? "verstr" : "name";
		value = d->version;
	} else if (!has_line(text, "image", image)) {
		key = "image";
		value = image;
	} else {
		printf("kept     " DORA_FILE ", which is your own\n");
		return (0);
	}
	return (err_set(err, UFOP_CONFIG, "step config: the " DORA_FILE " here "
	    "is your own and does not say '%s: %s'; correct it, or move it "
	    "away to have one made", key, value));
}

static int
step_config(const struct deploy *d, struct ufop_err *err)
{
	struct buf	old, made;
	int		rc = 0;

	buf_init(&made, YAML_MAX);
	dora_yaml(&d->dora, &made);
	buf_init(&old, YAML_MAX);
	if (access(DORA_FILE, F_OK) == 0)
		rc = file_read(DORA_FILE, YAML_MAX, &old, err);
	if (rc == 0 && old.len > 0 && is_own_yaml(&old, &made)) {
		rc = check_own_yaml(&d->dora, &old, err);
	} else if (rc == 0 && d->dry_run) {
		printf("# would write " DORA_FILE ":\n%s", made.p);
	} else if (rc == 0) {
		rc = file_replace(DORA_FILE, (struct str){ made.p,
		    made.len }, err);
		if (rc == 0)
			printf("wrote    " DORA_FILE "\n");
	}
	fflush(stdout);
	buf_release(&old);
	buf_release(&made);
	return (rc);
}

/*
 * Whether the list has it in its first column: what stands behind it are words
 * of the owners.
 */
static bool
is_listed(const struct buf *list, const char *name)
{
	static const char	frame[] = " \t|";	/* around a column */
	struct str		rest = { list->p, list->len }, line;
	size_t			from, to;

	while (rest.s != NULL) {
		line = str_cut(&rest, '\n');
		for (from = 0; from < line.len &&
		    strchr(frame, line.s[from]) != NULL; from++)
			continue;
		for (to = from; to < line.len && line.s[to] != '\r' &&
		    strchr(frame, line.s[to]) == NULL; to++)
			continue;
		if (str_eq_c(str_slice(line, from, to), name))
			return (true);
	}
	return (false);
}

static int
step_register(const struct deploy *d, struct ufop_err *err)
{
	const char	*list_argv[] = { d->dora.tool, "list", NULL };
	const char	*argv[ARGV_MAX] = { d->dora.tool, "register",
			    d->dora.name };
	struct buf	 list;
	bool		 there;
	int		 rc;

	if (d->dora.dialect == DORA_QDORACTL && d->dora.desc[0] != '\0') {
		argv[3] = "-d";
		argv[4] = d->dora.desc;
	}
	buf_init(&list, LIST_MAX);
	rc = command(d, REGISTER, list_argv, &list, err);
	there = rc == 0 && is_listed(&list, d->dora.name);
	buf_release(&list);
	if (rc == -1)
		return (-1);
	if (there) {
		printf("%s is registered\n", d->dora.name);
		return (0);
	}
	if (d->dry_run)
		printf("# unless that lists %s:\n", d->dora.name);
	rc = command(d, REGISTER, argv, NULL, err);
	if (rc == -1 && d->from > REGISTER) {
		/* Whoever begins later may know better than the list. */
		fprintf(stderr, "ufop: note: the list does not name %s, and it "
		    "could not be registered; going on, as --from says\n",
		    d->dora.name);
		return (0);
	}
	return (rc);
}

static int
step_release(const struct deploy *d, struct ufop_err *err)
{
	const char	*qdoractl[] = { d->dora.tool, "release", "--config",
			    ".", NULL };
	const char	*qappctl[] = { d->dora.tool, "release", "create",
			    d->dora.name, "-c", ".", NULL };

	return (command(d, RELEASE, d->dora.dialect == DORA_QDORACTL ?
	    qdoractl : qappctl, NULL, err));
}

static int
step_deploy(const struct deploy *d, struct ufop_err *err)
{
	const char	*qdoractl[] = { d->dora.tool, "deploy", d->dora.name,
			    d->dora.version, "--region", d->region,
			    "--expect", d->expect, NULL };
	const char	*qappctl[] = { d->dora.tool, "deploy", "create",
			    d->dora.name, "--release", d->dora.version,
			    "--region", d->region, "--expect_replicas",
			    d->expect, NULL };

	if (d->expect == NULL) {
		printf("The release is there, and no instance of it: --from "
		    "deploy --region %s --expect 1 starts one, or the "
		    "platform's portal.\n", d->region);
		return (0);
	}
	return (command(d, DEPLOY, d->dora.dialect == DORA_QDORACTL ?
	    qdoractl : qappctl, NULL, err));
}

static int
run_step(const struct deploy *d, enum step step, struct ufop_err *err)
{
	const char	*build[] = { "docker", "build", "-t", d->dora.tag, ".",
			    NULL };
	const char	*push[] = { d->dora.tool, "push", d->dora.tag, NULL };

	switch (step) {
	case CONFIG:
		return (step_config(d, err));
	case REGISTER:
		return (step_register(d, err));
	case BUILD:
		return (command(d, BUILD, build, NULL, err));
	case PUSH:
		return (command(d, PUSH, push, NULL, err));
	case RELEASE:
		return (step_release(d, err));
	case DEPLOY:
		return (step_deploy(d, err));
	case STEPS:
		break;
	}
	abort();
}

/* What is missing is better said before half of it is done. */
static int
check_programs(const struct deploy *d, struct ufop_err *err)
{
	struct ufop_err	ignored;
	char		path[PATH_MAX];

	if (d->from <= BUILD && paths_program(path, "docker", "docker.io",
	    &ignored) == -1)
		return (err_set(err, UFOP_CONFIG, "step build: cannot find the "
		    "program 'docker'; install the Debian package docker.io, "
		    "or build and push the image elsewhere and give --from "
		    "release"));
	if (access("Dockerfile", R_OK) == -1 && d->from <= BUILD)
		return (err_set(err, UFOP_CONFIG, "step build: there is no "
		    "Dockerfile here; `ufop dockerfile > Dockerfile` makes "
		    "one, -C goes to the project"));
	if ((strchr(d->dora.tool, '/') != NULL ? access(d->dora.tool, X_OK) :
	    paths_program(path, d->dora.tool, "", &ignored)) == -1)
		return (err_set(err, UFOP_CONFIG, "step %s: cannot find the "
		    "program '%s'; download it from the platform "
		    "(developer.qiniu.com/dora), put it on your PATH or name it "
		    "by --cli, and log in: %s login", step_names[d->from ==
		    DEPLOY ? DEPLOY : REGISTER], d->dora.tool, d->dora.tool));
	return (0);
}

/* ---- the command ----------------------------------------------------- */

static int
parse(struct cli *cli, struct deploy *d, int argc, char **argv)
{
	struct ufop_err	 err;
	const char	*near;
	int64_t		 n;
	int		 code, rc, i;

	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		switch (code) {
		case CLI_EXIT:
			return (-1);
		case OPT_REGION:
			if (!dora_is_region(optarg)) {
				cli->status = cli_usage(cli, "--region: '%s' "
				    "is not the name of a region, as z0 is",
				    optarg);
				return (-1);
			}
			d->region = optarg;
			break;
		case OPT_EXPECT:
			if (str_int(str_from(optarg), 0, EXPECT_MAX, &n) == -1) {
				cli->status = cli_usage(cli, "--expect: '%s' "
				    "is not a number from 0 to %d", optarg,
				    EXPECT_MAX);
				return (-1);
			}
			d->expect = optarg;
			break;
		case OPT_FROM:
			for (i = 0; i < STEPS; i++) {
				if (strcmp(optarg, step_names[i]) == 0)
					break;
			}
			if (i == STEPS) {
				near = cli_nearest(optarg, step_names);
				cli->status = cli_usage(cli, "--from: there is "
				    "no step '%s'%s%s%s", optarg, near == NULL ?
				    "" : " (did you mean ", near == NULL ? "" :
				    near, near == NULL ? "" : "?)");
				return (-1);
			}
			d->from = (enum step)i;
			break;
		case OPT_DRY_RUN:
			d->dry_run = true;
			break;
		default:
			rc = dora_opt(&d->dora, code, &err);
			if (rc == -1) {
				cli->status = cli_fail(&err);
				return (-1);
			}
		}
	}
	if (argc - optind > 1) {
		cli->status = cli_usage(cli, "more than one DIR");
		return (-1);
	}
	if (optind < argc && cli_enter(argv[optind], &err) == -1) {
		cli->status = cli_fail(&err);
		return (-1);
	}
	return (0);
}

static int
run(struct cli *cli, int argc, char **argv)
{
	struct deploy	d = { .region = "z0" };
	struct ufop_err	err;
	int		step;

	dora_init(&d.dora);
	if (parse(cli, &d, argc, argv) == -1)
		return (cli->status);
	if (dora_check(&d.dora, &err) == -1 ||
	    (!d.dry_run && check_programs(&d, &err) == -1))
		return (cli_fail(&err));
	for (step = d.from == DEPLOY ? DEPLOY : CONFIG; step < STEPS; step++) {
		if (step > REGISTER && step < (int)d.from)
			continue;
		if (run_step(&d, (enum step)step, &err) == -1)
			return (cli_fail(&err));
	}
	return (0);
}

const struct cli_cmd cli_deploy = {
	.name = "deploy",
	.operands = "[DIR]",
	.summary = "build the image, push it, release and start it",
	.prose = "In DIR, or here: write " DORA_FILE ", register the ufop unless it is, build "
	    "its image by docker, push it, make a release and start instances, "
	    "by the platform's tool, which must be logged in. Each command is "
	    "shown first. When a step fails, what it says stands above, and "
	    "--from STEP goes on there.",
	.opts = opts,
	.run = run,
};
