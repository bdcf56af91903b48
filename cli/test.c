/* SPDX-License-Identifier: MIT */
/*
 * ufop test: the project's cases, without Redis.  Each runs in a process of its
 * own, which then has a handler's child as `ufop process` has.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"
#include "cli.h"
#include "cpus.h"
#include "process.h"
#include "source.h"

#define JOBS_MAX	256
#define REPORT_MAX	65536		/* bytes of what is said about a case */
#define CASES_GLOB	"tests/*.cases"

static const struct cli_opt opts[] = {
	{ 'j', "jobs", "N", "so many cases at a time (one per processor)" },
	{ 'n', "name", "PATTERN",
	    "only cases whose name fits the shell pattern, or begins so" },
	{ 0 }
};

/* One case while it runs and until it is told. */
struct run {
	pid_t	 pid;		/* 0: ended */
	int	 report;	/* memory file with what there is to say */
	bool	 ok;
};

struct test {
	struct cli	*cli;
	struct cases	 cases;
	const char	*pattern;	/* NULL: all */
	int		 jobs;
	struct run	*runs;
};

static bool
is_wanted(const struct test *t, const char *name)
{
	return (t->pattern == NULL || fnmatch(t->pattern, name, 0) == 0 ||
	    strncmp(name, t->pattern, strlen(t->pattern)) == 0);
}

/* ---- in the case's process ------------------------------------------- */

static bool
has_source(const struct ufop_case *c)
{
	return (c->source != NULL || c->text.s != NULL);
}

/* The source as a file; text becomes one in memory. */
static int
open_source(const struct test *t, const struct ufop_case *c,
    struct source *source, struct ufop_err *err)
{
	static struct router_match	 match;
	int64_t				 max;

	if (!has_source(c))
		return (0);
	if (c->text.s != NULL) {
		source->fd = memfd_create("text", MFD_CLOEXEC);
		source->len = c->text.len;
		if (source->fd == -1 || pwrite(source->fd, c->text.s,
		    c->text.len, 0) != (ssize_t)c->text.len)
			return (err_sys(err, "cannot keep the text"));
		source->type = "text/plain";
		return (0);
	}
	max = settings_size(&t->cli->settings, "ufop", "max_body");
	/* A task may have its own; that none takes the cmd is seen later. */
	if (router_match(t->cli->router, str_from(c->cmd), false, &match,
	    NULL) == 0 && match.max_body != 0)
		max = match.max_body;
	return (source_open(source, c->source, max, err));
}

static bool
run_case(const struct test *t, const struct ufop_case *c, struct buf *out)
{
	static struct process_result	 res;
	struct source			 source = { .fd = -1, .type = "" };
	struct process_request		 req;
	struct case_answer		 answer;
	struct ufop_err			 err;
	struct buf			 json;
	bool				 ok;
	int				 rc = -1;

	/* A file that is not there is no answer of the service. */
	if (open_source(t, c, &source, &err) == -1 &&
	    err.code != UFOP_TOO_BIG) {
		buf_addf(out, "  %s\n", err.msg);
		return (false);
	}
	req = (struct process_request){
		.cmd = str_from(c->cmd),
		.fd = source.fd,
		.len = source.len,
		.content_type = c->content_type == NULL ? source.type :
		    c->content_type,
		.accept = c->accept == NULL ? "" : c->accept,
		.url = c->url,
	};
	if (source.fd != -1 || !has_source(c))
		rc = process_run(&t->cli->settings, &t->cli->services,
		    t->cli->router, &req, &res, &err);
	if (rc == 0) {
		answer = (struct case_answer){ res.status, res.type,
		    { (const char *)res.data, res.len } };
		return (case_check(c, &answer, out));
	}
	/* What the front would have answered. */
	buf_init(&json, REPORT_MAX);
	buf_addf(&json, "{\"code\":%d,\"error\":\"",
	    err_http_status(err.code));
	buf_json(&json, str_from(err.msg));
	buf_cstr(&json, "\"}");
	answer = (struct case_answer){ err_http_status(err.code),
	    "application/json", { json.p, json.len } };
	ok = case_check(c, &answer, out);
	buf_release(&json);
	return (ok);
}

static void __attribute__((noreturn))
case_process(const struct test *t, const struct ufop_case *c, int report)
{
	struct buf	out;
	bool		ok;

	/* What the handler says is of interest only when it fails. */
	dup2(report, STDERR_FILENO);
	buf_init(&out, REPORT_MAX);
	ok = run_case(t, c, &out);
	if (out.len > 0 && write(report, out.p, out.len) == -1)
		ok = false;
	_exit(ok ? 0 : 1);
}

/* ---- in the command -------------------------------------------------- */

static int
start_case(struct test *t, int i, struct ufop_err *err)
{
	struct run	*run = &t->runs[i];

	run->report = memfd_create("report", MFD_CLOEXEC);
	if (run->report == -1)
		return (err_sys(err, "cannot start a case"));
	/* Several write to it, each behind what is there. */
	fcntl(run->report, F_SETFL, O_APPEND);
	run->pid = fork();
	if (run->pid == -1)
		return (err_sys(err, "cannot start a case"));
	if (run->pid == 0)
		case_process(t, t->cases.all[i], run->report);
	return (0);
}

static int
wait_case(struct test *t)
{
	int	i, wstatus;
	pid_t	pid;

	do
		pid = waitpid(-1, &wstatus, 0);
	while (pid == -1 && errno == EINTR);
	for (i = 0; i < t->cases.n; i++) {
		if (pid > 0 && t->runs[i].pid == pid) {
			t->runs[i].pid = 0;
			t->runs[i].ok = WIFEXITED(wstatus) &&
			    WEXITSTATUS(wstatus) == 0;
			return (i);
		}
	}
	return (-1);
}

static void
tell(const struct test *t, int i)
{
	const struct ufop_case	*c = t->cases.all[i];
	const struct run	*run = &t->runs[i];
	char			 text[4096];
	ssize_t			 n;
	off_t			 at = 0;

	if (run->ok) {
		printf("ok    %s\n", c->name);
	} else {
		printf("FAIL  %s (%s:%d, cmd %s)\n", c->name, c->file,
		    c->line, c->cmd);
		while ((n = pread(run->report, text, sizeof(text), at)) > 0) {
			fwrite(text, 1, (size_t)n, stdout);
			at += n;
		}
	}
	fflush(stdout);
	close(run->report);
}

/* In the order of the files, whichever ends first. */
static int
run_all(struct test *t, struct ufop_err *err)
{
	int	started = 0, running = 0, told = 0, failed = 0, i;

	fflush(stdout);
	while (told < t->cases.n) {
		if (started < t->cases.n && running < t->jobs) {
			if (start_case(t, started, err) == -1)
				return (-1);
			started++;
			running++;
			continue;
		}
		i = wait_case(t);
		if (i == -1)
			continue;
		running--;
		while (told < started && t->runs[told].pid == 0) {
			failed += !t->runs[told].ok;
			tell(t, told++);
		}
	}
	printf("%d passed, %d failed\n", told - failed, failed);
	return (failed);
}

static int
read_cases(struct test *t, int n, char **files, struct ufop_err *err)
{
	glob_t	found = { 0 };
	int	i, kept = 0, rc = 0;

	if (n == 0) {
		rc = glob(CASES_GLOB, 0, NULL, &found);
		if (rc != 0)
			return (err_set(err, UFOP_CONFIG, "there is no "
			    CASES_GLOB " here; name a file, or the project's "
			    "directory with -C"));
		n = (int)found.gl_pathc;
		files = found.gl_pathv;
	}
	for (i = 0; i < n && rc == 0; i++)
		rc = cases_read(&t->cases, files[i], err);
	globfree(&found);
	if (rc == -1)
		return (-1);
	for (i = 0; i < t->cases.n; i++) {
		if (is_wanted(t, t->cases.all[i]->name))
			t->cases.all[kept++] = t->cases.all[i];
		else
			json_decref(t->cases.all[i]->json);
	}
	t->cases.n = kept;
	/* That nothing failed would say nothing. */
	if (kept == 0)
		return (err_set(err, UFOP_CONFIG, "there is no case%s%s%s",
		    t->pattern == NULL ? "" : " called '",
		    t->pattern == NULL ? "" : t->pattern,
		    t->pattern == NULL ? "" : "'"));
	return (0);
}

static int
run(struct cli *cli, int argc, char **argv)
{
	static struct test	 t;
	struct ufop_err		 err;
	int64_t			 jobs = 0;
	int			 code, rc = -1;

	t.cli = cli;
	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		switch (code) {
		case 'j':
			if (str_int(str_from(optarg), 1, JOBS_MAX, &jobs) == -1)
				return (cli_usage(cli, "-j: '%s' is not a "
				    "number from 1 to %d", optarg, JOBS_MAX));
			break;
		case 'n':
			t.pattern = optarg;
			break;
		default:
			return (cli->status);
		}
	}
	cases_init(&t.cases);
	if (cli_load(cli, "test", CLI_ROUTES, &err) == 0 &&
	    read_cases(&t, argc - optind, argv + optind, &err) == 0) {
		t.jobs = jobs != 0 ? (int)jobs : cpus_count();
		t.runs = xcalloc((size_t)t.cases.n, sizeof(*t.runs));
		rc = run_all(&t, &err);
		free(t.runs);
	}
	cases_release(&t.cases);
	return (rc == -1 ? cli_fail(&err) : rc > 0);
}

const struct cli_cmd cli_test = {
	.name = "test",
	.operands = "[FILE...]",
	.summary = "try a project's cases, without Redis",
	.prose = "Run the cases in FILEs (" CASES_GLOB " if none is named), "
	    "each as `ufop process` would, several at a time, and say where an "
	    "answer is not what it should be. ufop(1) says what stands in such "
	    "a file. Ends with 1 when a case failed.",
	.opts = opts,
	.project = true,
	.run = run,
};
