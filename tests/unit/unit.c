/* SPDX-License-Identifier: MIT */
/*
 * Runs the unit tests: unit [PREFIX...] [-PREFIX...], those that begin with one
 * of the first and with none of the others; all when there are no first ones.
 * Each may take UNIT_TIMEOUT_S (60) seconds.
 *
 * Each test is a process with a group and an empty directory of its own, so
 * that a crash, an endless loop or a forgotten child of one says nothing about
 * the others; as many run at once as there are CPUs.  What a test prints is
 * kept and shown only when it fails.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

#define TIMEOUT_S	60
/* More at once only makes the timing of tests less certain. */
#define RUNNING_MAX	16

/* What a test says of its own end; first byte of its result. */
#define RESULT_FAIL	'F'
#define RESULT_SKIP	'S'

struct running {
	const struct unit_test	*test;		/* NULL: the slot is free */
	pid_t			 pid;		/* also its group */
	int64_t			 deadline_ms;
	int			 result;	/* memfd: a RESULT_ byte and why */
	int			 output;	/* memfd: stdout and stderr */
	bool			 timed_out;
	char			 dir[64];
};

const char		*unit_root, *unit_build;

static int		 result_fd = -1;	/* in a test: where it reports */
static struct running	 slots[RUNNING_MAX];
static int		 passed, failed, skipped;
static int64_t		 timeout_ms;	/* of each test */

static void
die(const char *what)
{
	perror(what);
	exit(2);
}

static int64_t
now_ms(void)
{
	struct timespec	t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

/* ---- what tests call -------------------------------------------------- */

static void
report(char result, const char *text)
{
	if (dprintf(result_fd, "%c%s", result, text) < 0)
		perror(text);
}

void
unit_fail(const char *file, int line, const char *fmt, ...)
{
	va_list	ap;
	char	why[4096];
	int	n;

	n = snprintf(why, sizeof(why), "%s:%d: ", file, line);
	va_start(ap, fmt);
	vsnprintf(why + n, sizeof(why) - (size_t)n, fmt, ap);
	va_end(ap);
	report(RESULT_FAIL, why);
	fflush(NULL);
	/* Not exit(): what a failed test leaked is not worth a report. */
	_exit(1);
}

void
unit_skip(const char *why)
{
	report(RESULT_SKIP, why);
	_exit(0);
}

void
unit_check_int(const char *file, int line, const char *what, long long got,
    long long want)
{
	if (got != want)
		unit_fail(file, line, "%s is %lld, not %lld", what, got, want);
}

void
unit_check_str(const char *file, int line, const char *what, const char *got,
    const char *want)
{
	if (got == NULL || want == NULL) {
		if (got != want)
			unit_fail(file, line, "%s is %s, not %s", what,
			    got == NULL ? "NULL" : got,
			    want == NULL ? "NULL" : want);
	} else if (strcmp(got, want) != 0) {
		unit_fail(file, line, "%s is\n    '%s', not\n    '%s'", what,
		    got, want);
	}
}

void *
unit_data(const char *name, size_t *len)
{
	char		 path[4096];
	struct stat	 st;
	FILE		*f;
	char		*data;

	snprintf(path, sizeof(path), "%s/tests/data/%s", unit_root, name);
	if ((f = fopen(path, "rb")) == NULL || fstat(fileno(f), &st) == -1)
		unit_fail(__FILE__, __LINE__, "%s: %s", path, strerror(errno));
	data = malloc((size_t)st.st_size + 1);
	if (data == NULL ||
	    fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		unit_fail(__FILE__, __LINE__, "%s: cannot read it", path);
	fclose(f);
	data[st.st_size] = '\0';
	*len = (size_t)st.st_size;
	return (data);
}

/* ---- running them ----------------------------------------------------- */

/* The caller's own settings would change what tests see. */
static void
clean_environment(void)
{
	extern char	**environ;
	char		**e = environ, *name;
	size_t		  len;

	while (*e != NULL) {
		len = strcspn(*e, "=");
		name = strndup(*e, len);
		if (name == NULL)
			die("strndup");
		if (strncmp(name, "UFOP_", 5) == 0 ||
		    strcmp(name, "CPU_COUNT") == 0 ||
		    strcmp(name, "FLAVOR") == 0 ||
		    strcmp(name, "PORT_HTTP") == 0) {
			unsetenv(name);
			e = environ;	/* the list has moved */
		} else {
			e++;
		}
		free(name);
	}
}

static void
start(struct running *r, const struct unit_test *test)
{
	const char	*tmp = getenv("TMPDIR");
	sigset_t	 none;

	*r = (struct running){ .test = test };
	snprintf(r->dir, sizeof(r->dir), "%.40s/ufop-unit.XXXXXX",
	    tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(r->dir) == NULL)
		die(r->dir);
	r->result = memfd_create("result", MFD_CLOEXEC);
	r->output = memfd_create("output", MFD_CLOEXEC);
	if (r->result == -1 || r->output == -1)
		die("memfd_create");
	r->deadline_ms = now_ms() + timeout_ms;
	fflush(NULL);
	if ((r->pid = fork()) == -1)
		die("fork");
	if (r->pid != 0) {
		setpgid(r->pid, r->pid);	/* both sides: whoever is first */
		return;
	}
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	result_fd = r->result;
	if (chdir(r->dir) == -1 || dup2(r->output, STDOUT_FILENO) == -1 ||
	    dup2(r->output, STDERR_FILENO) == -1)
		die(r->dir);
	test->run();
	/* An orderly exit, for the leak checker's sake. */
	exit(0);
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return (remove(path));
}

static void
remove_dir(const char *dir)
{
	if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == -1)
		fprintf(stderr, "cannot remove %s: %s\n", dir, strerror(errno));
}

/* The content of a memfd as a string; free() it. */
static char *
slurp(int fd)
{
	struct stat	 st;
	char		*text;
	ssize_t		 n;

	if (fstat(fd, &st) == -1 ||
	    (text = malloc((size_t)st.st_size + 1)) == NULL)
		die("slurp");
	n = pread(fd, text, (size_t)st.st_size, 0);
	text[n < 0 ? 0 : n] = '\0';
	return (text);
}

static void
finish(struct running *r, int status)
{
	char	*result, *output, *line, *next;

	/* Whatever the test has started and not stopped. */
	kill(-r->pid, SIGKILL);
	result = slurp(r->result);
	output = slurp(r->output);
	if (r->timed_out) {
		failed++;
		printf("FAIL %s: no end within %d s\n", r->test->name,
		    (int)(timeout_ms / 1000));
	} else if (result[0] == RESULT_FAIL) {
		failed++;
		printf("FAIL %s: %s\n", r->test->name, result + 1);
	} else if (WIFSIGNALED(status)) {
		failed++;
		printf("FAIL %s: killed by signal %d (%s)\n", r->test->name,
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	} else if (WEXITSTATUS(status) != 0) {
		failed++;
		printf("FAIL %s: exit status %d\n", r->test->name,
		    WEXITSTATUS(status));
	} else if (result[0] == RESULT_SKIP) {
		skipped++;
		printf("skip %s: %s\n", r->test->name, result + 1);
		output[0] = '\0';
	} else {
		passed++;
		printf("ok %s\n", r->test->name);
		output[0] = '\0';
	}
	for (line = output; *line != '\0'; line = next) {
		next = line + strcspn(line, "\n");
		printf("    %.*s\n", (int)(next - line), line);
		next += *next == '\n';
	}
	fflush(stdout);
	free(result);
	free(output);
	close(r->result);
	close(r->output);
	remove_dir(r->dir);
	r->test = NULL;
}

/* End of the whole run by a signal: leave neither process nor directory. */
static void
stop_all(int sig)
{
	int	i;

	for (i = 0; i < RUNNING_MAX; i++) {
		if (slots[i].test == NULL)
			continue;
		kill(-slots[i].pid, SIGKILL);
		waitpid(slots[i].pid, NULL, 0);
		remove_dir(slots[i].dir);
	}
	exit(128 + sig);
}

/* Wait until a test has ended or a deadline has passed, and act on it. */
static void
wait_some(void)
{
	int64_t		now = now_ms(), next = now + timeout_ms;
	struct timespec	ts;
	sigset_t	set;
	int		i, sig, status;

	for (i = 0; i < RUNNING_MAX; i++) {
		if (slots[i].test == NULL)
			continue;
		if (slots[i].deadline_ms <= now && !slots[i].timed_out) {
			slots[i].timed_out = true;
			kill(-slots[i].pid, SIGKILL);
		} else if (slots[i].deadline_ms < next &&
		    !slots[i].timed_out) {
			next = slots[i].deadline_ms;
		}
	}
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	ts.tv_sec = (next - now) / 1000;
	ts.tv_nsec = (next - now) % 1000 * 1000000;
	sig = sigtimedwait(&set, NULL, &ts);
	if (sig == SIGINT || sig == SIGTERM)
		stop_all(sig);
	for (i = 0; i < RUNNING_MAX; i++) {
		if (slots[i].test != NULL &&
		    waitpid(slots[i].pid, &status, WNOHANG) == slots[i].pid)
			finish(&slots[i], status);
	}
}

static bool
begins(const char *name, const char *prefix)
{
	return (strncmp(name, prefix, strlen(prefix)) == 0 ||
	    strncmp(name + strlen("test_"), prefix, strlen(prefix)) == 0);
}

static bool
selected(const char *name, char **prefixes)
{
	bool	found = false, any = true;

	for (; *prefixes != NULL; prefixes++) {
		if (**prefixes == '-') {
			if (begins(name, *prefixes + 1))
				return (false);
			continue;
		}
		any = false;
		found = found || begins(name, *prefixes);
	}
	return (found || any);
}

/* unit_build is where this program lies, unit_root where the sources are. */
static void
find_places(void)
{
	char	*exe, *slash, path[4096];
	char	*cwd;

	if ((exe = realpath("/proc/self/exe", NULL)) == NULL ||
	    (cwd = realpath(".", NULL)) == NULL)
		die("realpath");
	slash = strrchr(exe, '/');
	*slash = '\0';
	unit_build = exe;
	snprintf(path, sizeof(path), "%s/tests/unit/unit.h", cwd);
	if (access(path, R_OK) == 0) {
		unit_root = cwd;
		return;
	}
	free(cwd);
	snprintf(path, sizeof(path), "%s/..", exe);
	if ((unit_root = realpath(path, NULL)) == NULL)
		die(path);
}

int
main(int argc, char **argv)
{
	const struct unit_test	*test;
	cpu_set_t		 cpus;
	sigset_t		 set;
	const char		*value;
	int			 i, max = 1, busy;

	(void)argc;
	value = getenv("UNIT_TIMEOUT_S");
	if (value == NULL || (timeout_ms = strtoll(value, NULL, 10)) <= 0)
		timeout_ms = TIMEOUT_S;
	timeout_ms *= 1000;
	find_places();
	clean_environment();
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		max = CPU_COUNT(&cpus);
	if (max > RUNNING_MAX)
		max = RUNNING_MAX;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);

	test = unit_tests;
	do {
		busy = 0;
		for (i = 0; i < max; i++) {
			while (slots[i].test == NULL && test->name != NULL) {
				if (selected(test->name, argv + 1))
					start(&slots[i], test);
				test++;
			}
			busy += slots[i].test != NULL;
		}
		if (busy > 0)
			wait_some();
	} while (busy > 0);

	if (passed + failed + skipped == 0)
		fprintf(stderr, "no test has a name that begins like this\n");
	printf("%d passed, %d failed", passed, failed);
	if (skipped > 0)
		printf(", %d skipped", skipped);
	printf("\n");
	return (failed > 0 || passed + skipped == 0);
}
