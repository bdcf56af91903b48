/* SPDX-License-Identifier: MIT */
/*
 * ufop process: one job without Redis, in the worker's own child.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "cli.h"
#include "file.h"
#include "process.h"
#include "reqid.h"
#include "source.h"

enum {
	OPT_TYPE = CLI_LONG, OPT_ACCEPT, OPT_URL, OPT_TIME,
};

static const struct cli_opt opts[] = {
	{ 'o', "output", "OUT",
	    "write to OUT, which appears whole or not at all" },
	{ OPT_TYPE, "content-type", "TYPE",
	    "type of FILE; guessed from its first bytes or name if not given" },
	{ OPT_ACCEPT, "accept", "TYPES", "the caller's Accept header" },
	{ OPT_URL, "url", "URL",
	    "take the source from URL in place of FILE" },
	{ OPT_TIME, "time", NULL,
	    "print how long each stage took, and peak memory, to stderr" },
	{ 0 }
};

/* What one call asks for. */
struct call {
	const char	*cmd;		/* begins with a slash unless empty */
	char		*cmd_mem;
	const char	*path;		/* NULL with --url */
	const char	*out;		/* NULL: standard output */
	const char	*type;		/* NULL: guess */
	const char	*accept;
	const char	*url;
	bool		 time;
};

static int
parse(struct cli *cli, struct call *call, int argc, char **argv)
{
	const char	*cmd = NULL;
	int		 code, n;

	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		switch (code) {
		case 'o':
			call->out = optarg;
			break;
		case OPT_TYPE:
			call->type = optarg;
			break;
		case OPT_ACCEPT:
			call->accept = optarg;
			break;
		case OPT_URL:
			call->url = optarg;
			break;
		case OPT_TIME:
			call->time = true;
			break;
		default:
			return (-1);
		}
	}
	n = argc - optind;
	/* The last operand is the file, unless a url takes its place. */
	if (n > 0 && call->url == NULL)
		call->path = argv[optind + --n];
	if (n > 0)
		cmd = argv[optind + --n];
	if (n > 0) {
		cli->status = cli_usage(cli, call->url == NULL ?
		    "more than CMD and FILE" : "more than CMD beside --url");
		return (-1);
	}
	if (call->path == NULL && call->url == NULL) {
		cli->status = cli_usage(cli, "FILE is missing (- is standard "
		    "input, /dev/null is none)");
		return (-1);
	}
	/* Forgotten more often than the cmd, which may be empty. */
	if (call->path != NULL && cmd == NULL && strcmp(call->path, "-") != 0 &&
	    access(call->path, F_OK) == -1) {
		cli->status = cli_usage(cli, "'%s' is no file: if it is CMD, "
		    "FILE is missing (- is standard input, /dev/null is none)",
		    call->path);
		return (-1);
	}
	if (call->out != NULL && strcmp(call->out, "-") == 0)
		call->out = NULL;
	if (cmd == NULL || cmd[0] == '\0') {
		call->cmd = "";
	} else {
		call->cmd_mem = xasprintf("%s%s", cmd[0] == '/' ? "" : "/",
		    cmd);
		call->cmd = call->cmd_mem;
	}
	return (0);
}

/* ---- the result ------------------------------------------------------ */

static struct str
bytes(const struct process_result *res)
{
	return ((struct str){ (const char *)res->data, res->len });
}

/* Bytes that would do something other than print on a terminal. */
static bool
is_binary(const struct process_result *res)
{
	size_t	i;

	for (i = 0; i < res->len; i++) {
		unsigned char	c = res->data[i];

		if ((c < ' ' && c != '\n' && c != '\t' && c != '\r') ||
		    c == 0x7f)
			return (true);
	}
	return (false);
}

static int
write_stdout(const struct process_result *res, struct ufop_err *err)
{
	bool	tty = isatty(STDOUT_FILENO);

	if (tty && is_binary(res))
		return (err_set(err, UFOP_USAGE, "the result is %zu bytes of "
		    "%s and standard output is a terminal; write it to a "
		    "file with -o", res->len,
		    res->type[0] == '\0' ? "no known type" : res->type));
	if (file_write(STDOUT_FILENO, bytes(res)) == -1)
		return (err_sys(err, "cannot write the result"));
	if (tty && res->len > 0 && res->data[res->len - 1] != '\n')
		return (file_write(STDOUT_FILENO, STR("\n")));
	return (0);
}

/* The sentence in {"code":N,"error":"..."}, or else what can be said. */
static void
handler_error(const struct process_result *res, struct ufop_err *err)
{
	enum ufop_code	 code = err_from_http(res->status);
	json_t		*body;
	const char	*msg = NULL;

	body = json_loadb((const char *)res->data, res->len, 0, NULL);
	if (json_unpack(body, "{s:s}", "error", &msg) == 0)
		err_set(err, code, "%s", msg);
	else
		err_set(err, code, "the handler answered with status %d and "
		    "%zu bytes of %s", res->status, res->len,
		    res->type[0] == '\0' ? "no known type" : res->type);
	json_decref(body);
}

/*
 * The stages as the child noted them, "decode=3.0ms shrink=1/4", one a line,
 * between what only this side sees.
 */
static void
print_times(const struct process_result *res, int64_t total_us)
{
	struct str	 rest = str_from(res->log), word, name;

	while (rest.s != NULL) {
		word = str_cut(&rest, ' ');
		if (word.len == 0)
			continue;
		name = str_cut(&word, '=');
		fprintf(stderr, "%-12.*s %12.*s\n", STR_ARG(name),
		    STR_ARG(word));
	}
	fprintf(stderr, "%-12s %10.3fms\n", "run", res->run_us / 1e3);
	fprintf(stderr, "%-12s %10.3fms\n", "whole", (double)total_us / 1e3);
	fprintf(stderr, "%-12s %10.1fMB\n", "peak memory",
	    res->peak_kb / 1024.0);
}

static int
answer(const struct call *call, const struct process_result *res,
    struct ufop_err *err)
{
	if (res->status >= 400) {
		handler_error(res, err);
		return (-1);
	}
	if (call->out != NULL)
		return (file_replace(call->out, bytes(res), err));
	return (write_stdout(res, err));
}

/* ---- the job --------------------------------------------------------- */

/* What a caller over HTTP could not do. */
static void
add_remedy(struct ufop_err *err)
{
	size_t	len = strlen(err->msg);

	if (err->code == UFOP_NO_ROUTE && strstr(err->msg, "; ") == NULL)
		snprintf(err->msg + len, sizeof(err->msg) - len,
		    "; `ufop routes` lists those there are");
}

static int
run_job(struct cli *cli, const struct call *call, struct ufop_err *err)
{
	static struct router_match	 match;
	static struct process_result	 res;
	struct source			 source = { .fd = -1, .type = "" };
	struct process_request		 req;
	int64_t				 max, began = clock_mono_us();
	int				 rc;

	/* Asked here too, because how much may be read depends on the task. */
	if (router_match(cli->router, str_from(call->cmd), false, &match,
	    err) == -1) {
		add_remedy(err);
		return (-1);
	}
	max = match.max_body;
	if (max == 0)
		max = settings_size(&cli->settings, "ufop", "max_body");
	if (call->path != NULL &&
	    source_open(&source, call->path, max, err) == -1)
		return (-1);

	req = (struct process_request){
		.cmd = str_from(call->cmd),
		.fd = source.fd,
		.len = source.len,
		.content_type = call->type == NULL ? source.type : call->type,
		.accept = call->accept,
		.url = call->url,
	};
	rc = process_run(&cli->settings, &cli->services, cli->router, &req,
	    &res, err);
	source_close(&source);
	if (rc == -1)
		return (-1);
	if (call->time)
		print_times(&res, clock_mono_us() - began);
	rc = answer(call, &res, err);
	process_release(&res);
	return (rc);
}

static int
run(struct cli *cli, int argc, char **argv)
{
	struct call	 call = { .accept = "" };
	struct ufop_err	 err;
	int		 status = 0;

	if (parse(cli, &call, argc, argv) == -1)
		return (cli->status);
	if (cli_load(cli, "process", CLI_ROUTES, &err) == -1 ||
	    run_job(cli, &call, &err) == -1)
		status = cli_fail(&err);
	free(call.cmd_mem);
	return (status);
}

const struct cli_cmd cli_process = {
	.name = "process",
	.operands = "[CMD] FILE",
	.summary = "run one cmd on a file, without Redis",
	.prose = "Run CMD (as behind the ufop's name in ?cmd=; stages may be "
	    "piped by |) on FILE in a child as the worker has them, with the "
	    "same sandbox and limits, and write the result to standard "
	    "output. FILE may be - for standard input, /dev/null for none. "
	    "What a worker would try again is tried once. The exit status "
	    "tells the kind of error, see ufop(1).",
	.opts = opts,
	.project = true,
	.run = run,
};
