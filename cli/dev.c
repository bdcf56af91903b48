/* SPDX-License-Identifier: MIT */
/*
 * ufop dev: builds the project, serves it as `ufop up` does, and when a source
 * or a setting changes builds again and swaps the handlers:
 *
 *	IDLE --change--> BUILDING --ok--> CHECKING --ok--> DUE --> SWAPPING
 *	  ^                 | failed         | failed       (waits for those
 *	  '-----------------+----------------'               before to be gone)
 *
 * Whatever fails is shown, and what ran before goes on.
 */
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "file.h"
#include "front.h"
#include "part.h"
#include "reqid.h"
#include "tree.h"
#include "up.h"

#define WATCHES_MAX	256	/* directories */
#define DEPTH_MAX	8
#define SETTLE_MS	60	/* an editor writes more than once */
#define RETRY_MS	50	/* until a swap is possible */
#define MAKEFILE_MAX	(1 << 20)

/* Every memory error and every undefined behaviour ends the handler. */
#define SAN_FLAGS	"-fsanitize=address,undefined " \
			"-fno-sanitize-recover=all -fno-omit-frame-pointer"

enum {
	OPT_SANITIZE = FRONT_OPT_END,
};

static const struct cli_opt opts[] = {
	FRONT_OPTS,
	{ OPT_SANITIZE, "sanitize", NULL,
	    "build with ASan and UBSan, and run the handlers under them, "
	    "outside the sandbox" },
	{ 0 }
};

enum state { IDLE, BUILDING, CHECKING, DUE, SWAPPING };

struct dev {
	struct cli	*cli;
	enum state	 state;
	bool		 sanitize;
	struct part	 part;		/* make, or the check behind it */
	char		*make[10];
	int		 inotify;
	int64_t		 due_ms;	/* to build then; 0: nothing changed */
	bool		 loaded;	/* seen is known */
	uint64_t	 seen;		/* fingerprint of what was loaded last */
	char		*flags[PART_ARGV_MAX];
};

static void say(const char *fmt, ...) UFOP_PRINTF(1, 2);

static void
say(const char *fmt, ...)
{
	va_list	ap;

	printf("dev: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* ---- what changed ---------------------------------------------------- */

/* A file that make or the settings may depend on, by its name. */
static bool
matters(const char *name)
{
	static const char *const	patterns[] = {
		"*.[ch]", "*.cc", "*.cpp", "*.hpp", "*.ini", ".env",
		"Makefile", "*.mk",
	};
	size_t	i;

	for (i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		if (fnmatch(patterns[i], name, 0) == 0)
			return (true);
	}
	return (false);
}

/* path and the directories below it, but for hidden ones. */
static void
watch_tree(struct dev *dev, const char *path, int depth, int *left)
{
	char		 below[PATH_MAX];
	struct dirent	*de;
	struct stat	 st;
	DIR		*dir;

	if (*left == 0 || depth == DEPTH_MAX ||
	    inotify_add_watch(dev->inotify, path, IN_CLOSE_WRITE |
	    IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
	    IN_ONLYDIR) == -1)
		return;
	(*left)--;
	dir = opendir(path);
	while (dir != NULL && (de = readdir(dir)) != NULL) {
		if (de->d_name[0] == '.' ||
		    (size_t)snprintf(below, sizeof(below), "%s/%s", path,
		    de->d_name) >= sizeof(below))
			continue;
		if (lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
			watch_tree(dev, below, depth + 1, left);
	}
	if (dir != NULL)
		closedir(dir);
}

static void
watch_all(struct dev *dev)
{
	int	left = WATCHES_MAX;

	watch_tree(dev, ".", 0, &left);
}

static void
read_events(struct dev *dev)
{
	char	buf[8192]
		    __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t	n, at;
	bool	more_dirs = false;

	while ((n = read(dev->inotify, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n;) {
			const struct inotify_event *e =
			    (const struct inotify_event *)(buf + at);

			at += (ssize_t)sizeof(*e) + e->len;
			if (e->mask & IN_ISDIR)
				more_dirs = true;
			else if (!(e->mask & IN_CREATE) && e->len > 0 &&
			    matters(e->name))
				dev->due_ms = clock_mono_ms() + SETTLE_MS;
		}
	}
	/* To add one that is watched already changes nothing. */
	if (more_dirs)
		watch_all(dev);
}

static void
mix(uint64_t *sum, const char *path)
{
	struct stat	st;
	uint64_t	words[4] = { 0 };
	size_t		i;

	if (stat(path, &st) == 0) {
		words[0] = st.st_ino;
		words[1] = (uint64_t)st.st_size;
		words[2] = (uint64_t)st.st_mtim.tv_sec;
		words[3] = (uint64_t)st.st_mtim.tv_nsec;
	}
	for (i = 0; i < 4; i++)
		*sum = (*sum ^ words[i]) * UINT64_C(0x100000001b3);
}

/* Of all that front and worker read: another one, and a swap is worth it. */
static uint64_t
fingerprint(const struct dev *dev)
{
	static const char *const	files[] = {
		"ufop.ini", "local.ini", ".env"
	};
	const struct services	*services = &dev->cli->services;
	uint64_t		 sum = UINT64_C(0xcbf29ce484222325);
	glob_t			 found = { 0 };
	size_t			 i;
	int			 k;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		mix(&sum, files[i]);
	for (k = 0; k < services->nservices; k++)
		mix(&sum, services->paths[k]);
	/* Of those that were added later. */
	if (glob(dev->sanitize ? CLI_SANITIZED_DIR "/*.so" : "*.so", 0, NULL,
	    &found) == 0) {
		for (i = 0; i < found.gl_pathc; i++)
			mix(&sum, found.gl_pathv[i]);
	}
	globfree(&found);
	return (sum);
}

/* ---- building -------------------------------------------------------- */

static void
plan_make(struct dev *dev)
{
	char	**p = dev->make;

	*p++ = xstrdup("/usr/bin/env");
	*p++ = xstrdup("--unset=LD_PRELOAD");
	*p++ = xstrdup("--unset=" CLI_SANITIZED_ENV);
	*p++ = xstrdup("make");
	*p++ = xasprintf("UFOP=%s", dev->cli->paths.exe);
	if (dev->sanitize) {
		*p++ = xstrdup("CFLAGS=-O1 -g -Wall -Wextra " SAN_FLAGS);
		*p++ = xstrdup("LDFLAGS=" SAN_FLAGS);
		*p++ = xstrdup("OUT=" CLI_SANITIZED_DIR "/");
	}
	*p = NULL;
}

/* What is built by a Makefile that knows no $(OUT) would stay in the project. */
static int
check_makefile(const char *path, struct ufop_err *err)
{
	struct buf	text;
	int		rc = file_read(path, MAKEFILE_MAX, &text, err);

	if (rc == 0 && (text.p == NULL || strstr(text.p, "$(OUT)") == NULL))
		rc = err_set(err, UFOP_CONFIG, "--sanitize: the %s here does "
		    "not say $(OUT) in front of what it builds, so that it "
		    "could go into a directory of its own; see the one that "
		    "`ufop createproject` writes", path);
	buf_release(&text);
	return (rc);
}

/* Before anything runs there is nothing to go on with. */
static int
build_first(struct dev *dev, struct ufop_err *err)
{
	/* As make looks for it. */
	const char	*makefile = access("makefile", R_OK) == 0 ? "makefile" :
			    "Makefile";
	int		 wstatus;
	pid_t		 pid;

	if (access(makefile, R_OK) == -1)
		return (err_set(err, UFOP_CONFIG, "there is no Makefile here; "
		    "`ufop createproject` begins a project, -C goes to one"));
	if (dev->sanitize && check_makefile(makefile, err) == -1)
		return (-1);
	pid = fork();
	if (pid == -1)
		return (err_sys(err, "cannot run make"));
	if (pid == 0) {
		execv(dev->make[0], dev->make);
		_exit(127);
	}
	while (waitpid(pid, &wstatus, 0) == -1 && errno == EINTR)
		continue;
	if (wstatus != 0)
		return (err_set(err, UFOP_FAILED, "the build failed, see "
		    "above; mend it and start again"));
	return (0);
}

static void
begin(struct dev *dev, enum state state, bool hold)
{
	struct ufop_err	err;

	dev->state = state;
	dev->part.hold = hold;
	if (part_start(&dev->part, -1, &err) == -1) {
		say("%s", err.msg);
		dev->state = IDLE;
	}
}

static void
begin_build(struct dev *dev)
{
	int	i;

	dev->due_ms = 0;
	part_init(&dev->part, "build");
	for (i = 0; dev->make[i] != NULL; i++)
		dev->part.argv[i] = dev->make[i];
	begin(dev, BUILDING, false);
}

/* The new worker and front would find out too, but one after the other. */
static void
begin_check(struct dev *dev)
{
	const char	**argv;
	int		  i;

	part_init(&dev->part, "check");
	argv = dev->part.argv;
	*argv++ = dev->cli->paths.exe;
	*argv++ = "config";
	*argv++ = "check";
	for (i = 0; dev->flags[i] != NULL; i++)
		*argv++ = dev->flags[i];
	begin(dev, CHECKING, true);
}

static void
built(struct dev *dev, bool ok)
{
	if (!ok) {
		dev->state = IDLE;
		say("the build failed; the handlers from before go on");
	} else if (fingerprint(dev) == dev->seen) {
		dev->state = IDLE;
		say("nothing new");
	} else {
		begin_check(dev);
	}
}

static void
checked(struct dev *dev, bool ok)
{
	part_unhold(&dev->part, ok ? PART_SHOW_NONE : PART_SHOW_ALL);
	dev->state = ok ? DUE : IDLE;
	if (!ok)
		say("that cannot be loaded; the handlers from before go on");
}

/* ---- as up's guest --------------------------------------------------- */

static int
guest_fds(void *arg, struct pollfd *fds)
{
	struct dev	*dev = arg;

	fds[0] = (struct pollfd){ .fd = dev->inotify, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = dev->part.out, .events = POLLIN };
	return (2);
}

static void
guest_turn(void *arg, struct up *up, const struct pollfd *fds, int n)
{
	struct dev	*dev = arg;

	(void)n;
	if (!dev->loaded) {
		dev->loaded = true;
		dev->seen = fingerprint(dev);
	}
	if (fds[0].revents != 0)
		read_events(dev);
	if (fds[1].revents != 0)
		part_output(&dev->part);
	if (dev->state == IDLE && dev->due_ms != 0 &&
	    clock_mono_ms() >= dev->due_ms)
		begin_build(dev);
	if (dev->state == DUE && up_swap(up)) {
		dev->state = SWAPPING;
		/* What changes from here on is not in yet. */
		dev->seen = fingerprint(dev);
	}
}

static int64_t
guest_due_ms(void *arg)
{
	struct dev	*dev = arg;

	if (dev->state == DUE)
		return (clock_mono_ms() + RETRY_MS);
	return (dev->state == IDLE ? dev->due_ms : 0);
}

static void
guest_ended(void *arg, pid_t pid, int wstatus)
{
	struct dev	*dev = arg;

	/* Orphans of a handler or of make come by as well. */
	if (pid != dev->part.pid)
		return;
	part_drain(&dev->part);
	dev->part.pid = 0;
	if (dev->state == BUILDING)
		built(dev, wstatus == 0);
	else if (dev->state == CHECKING)
		checked(dev, wstatus == 0);
}

static void
guest_swapped(void *arg, bool ok, int took_ms)
{
	struct dev	*dev = arg;

	dev->state = IDLE;
	if (ok) {
		say("the new handlers are in (%d ms)", took_ms);
		return;
	}
	/* Whatever changes next is worth another try. */
	dev->seen = 0;
	say("the new ones did not start; the handlers from before go on");
}

static void
guest_stop(void *arg)
{
	struct dev	*dev = arg;

	part_kill(&dev->part);
}

/* ---- the command ----------------------------------------------------- */

/* The path of ASan's runtime, as the compiler has it. */
static int
find_asan(char path[PATH_MAX], struct ufop_err *err)
{
	FILE	*fp = popen("cc -print-file-name=libasan.so", "re");

	path[0] = '\0';
	if (fp != NULL) {
		if (fgets(path, PATH_MAX, fp) != NULL)
			path[strcspn(path, "\n")] = '\0';
		pclose(fp);
	}
	/* Not found, it is named as it was asked for. */
	if (path[0] != '/')
		return (err_set(err, UFOP_CONFIG, "--sanitize: the compiler "
		    "has no libasan.so; install the Debian package gcc"));
	return (0);
}

/*
 * A program that was built without ASan, as this one, must have loaded it
 * before anything else when it loads a service that was built with it: begin
 * again so.  Does not come back unless that has been done, or err says why not.
 */
static int
begin_with_asan(struct dev *dev, const char *address, const char *port,
    struct ufop_err *err)
{
	char		 path[PATH_MAX], *args[PART_ARGV_MAX + 8], **p = args;
	char		*cwd, *dir;
	const char	*loaded = getenv("LD_PRELOAD");

	if (find_asan(path, err) == -1)
		return (-1);
	if (loaded != NULL && strcmp(loaded, path) == 0)
		return (0);
	cwd = realpath(".", NULL);
	if (cwd == NULL)
		return (err_sys(err, "cannot find out where we are"));
	dir = xasprintf("%s/" CLI_SANITIZED_DIR, cwd);
	setenv(CLI_SANITIZED_ENV, dir, 1);
	free(dir);
	free(cwd);
	setenv("LD_PRELOAD", path, 1);
	setenv("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=1", 0);
	*p++ = dev->cli->paths.exe;
	*p++ = xstrdup("dev");
	*p++ = xstrdup("--sanitize");
	if (dev->cli->debug)
		*p++ = xstrdup("--debug");
	if (address != NULL)
		*p++ = xasprintf("--listen=%s", address);
	if (port != NULL)
		*p++ = xasprintf("--port=%s", port);
	/* It reads /proc and maps what no limit foresees. */
	*p++ = xstrdup("--set=worker.sandbox=off");
	if (cli_flags(dev->cli, p, PART_ARGV_MAX, err) == -1)
		return (-1);
	execv(args[0], args);
	return (err_sys(err, "cannot run '%s'", args[0]));
}

/* Build, then serve until told to stop; the exit status. */
static int
serve(struct dev *dev, const char *address, const char *port)
{
	const struct up_guest	guest = {
		.arg = dev, .fds = guest_fds, .turn = guest_turn,
		.due_ms = guest_due_ms, .ended = guest_ended,
		.swapped = guest_swapped, .stop = guest_stop,
	};
	struct ufop_err		err;
	int			status;

	if (build_first(dev, &err) == -1 ||
	    cli_flags(dev->cli, dev->flags, PART_ARGV_MAX - 8, &err) == -1)
		return (cli_fail(&err));
	dev->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (dev->inotify == -1) {
		err_sys(&err, "cannot watch the sources");
		return (cli_fail(&err));
	}
	watch_all(dev);
	status = up_run(dev->cli, address, port, &guest);
	close(dev->inotify);
	return (status);
}

static int
run(struct cli *cli, int argc, char **argv)
{
	static struct dev	 dev;
	const char		*address = NULL, *port = NULL;
	struct ufop_err		 err;
	int			 code, status, i;

	dev.cli = cli;
	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		if (code == OPT_SANITIZE)
			dev.sanitize = true;
		else if (!front_opt(code, &address, &port))
			return (cli->status);
	}
	if (cli_no_operands(cli, argc, argv) == -1)
		return (cli->status);
	part_init(&dev.part, "build");
	if (paths_find(&cli->paths, &err) == -1)
		return (cli_fail(&err));
	plan_make(&dev);
	if (dev.sanitize && begin_with_asan(&dev, address, port, &err) == -1)
		return (cli_fail(&err));
	status = serve(&dev, address, port);
	if (dev.sanitize)
		tree_remove(CLI_SANITIZED_DIR);
	for (i = 0; dev.make[i] != NULL; i++)
		free(dev.make[i]);
	for (i = 0; dev.flags[i] != NULL; i++)
		free(dev.flags[i]);
	return (status);
}

const struct cli_cmd cli_dev = {
	.name = "dev",
	.operands = "",
	.summary = "build and serve a project, and swap in what changes",
	.prose = "Run make, then serve as `ufop up` does. When a source or a "
	    "setting changes, run make again and replace worker and front "
	    "without dropping a request. What does not compile, or cannot be "
	    "loaded, is shown, and the handlers from before go on.",
	.opts = opts,
	.project = true,
	.run = run,
};
