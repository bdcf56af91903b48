/* SPDX-License-Identifier: MIT */
/*
 * Every built-in setting.  The prose of a row is what `ufop config show -v`
 * and the man page say: whole sentences, what it does and when to change it.
 */
#include <string.h>

#include "log.h"
#include "settings.h"
#include "settings_table.h"

#define KB	INT64_C(1024)
#define MB	(1024 * KB)
#define GB	(1024 * MB)
#define SEC	INT64_C(1000)
#define MIN	(60 * SEC)
#define HOUR	(60 * MIN)

/* Of struct sockaddr_un, without its NUL. */
#define UNIX_PATH_MAX	107
/* Children of one pool: far beyond any host, short of a typing mistake. */
#define CHILDREN_MAX	1024

#define WORD_CHARS	"abcdefghijklmnopqrstuvwxyz0123456789_-"

static bool
check_name(const char *value)
{
	size_t	len = strlen(value);

	return (len >= 1 && len <= 32 && strspn(value, WORD_CHARS) == len);
}

static bool
check_level(const char *value)
{
	enum log_level	level;

	return (log_level_parse(value, &level) == 0);
}

static bool
check_path(const char *value)
{
	return (value[0] == '/');
}

static bool
check_path_or_empty(const char *value)
{
	return (value[0] == '\0' || value[0] == '/');
}

static bool
check_unix(const char *value)
{
	return (check_path_or_empty(value) && strlen(value) <= UNIX_PATH_MAX);
}

int
settings_parse_listen(const char *value, char host[256], int *port)
{
	struct str	 h, p;
	const char	*colon = strrchr(value, ':');
	int64_t		 n;

	if (colon == NULL)
		return (-1);
	h = (struct str){ value, (size_t)(colon - value) };
	p = str_from(colon + 1);
	if (h.len >= 2 && h.s[0] == '[' && h.s[h.len - 1] == ']')
		h = str_slice(h, 1, h.len - 1);
	else if (str_find(h, ':') != -1)
		return (-1);	/* IPv6 without brackets: which part is the port? */
	if (h.len == 0 || h.len > 255 || strcspn(value, " \t") < strlen(value) ||
	    str_int(p, 1, 65535, &n) == -1)
		return (-1);
	*port = (int)n;
	if (host != NULL) {
		memcpy(host, h.s, h.len);
		host[h.len] = '\0';
	}
	return (0);
}

static bool
check_listen(const char *value)
{
	int	port;

	return (settings_parse_listen(value, NULL, &port) == 0);
}

static bool
check_redis(const char *value)
{
	/* No more than the scheme: the rest is queue_addr_parse()'s. */
	return (str_prefix(str_from(value), STR("redis://")) ||
	    str_prefix(str_from(value), STR("unix://")));
}

static bool
check_tag(const char *value)
{
	size_t	len = strlen(value);

	return (len >= 1 && len <= 64 && strspn(value, WORD_CHARS
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ.") == len);
}

int
settings_parse_pool(struct str word, struct str *name, int *children)
{
	struct str	rest = word;
	int64_t		n = 0;
	size_t		i;

	*name = str_cut(&rest, '=');
	if (name->len == 0 || name->len > SETTINGS_POOL_NAME_MAX)
		return (-1);
	for (i = 0; i < name->len; i++) {
		if (memchr(WORD_CHARS, name->s[i], strlen(WORD_CHARS)) == NULL)
			return (-1);
	}
	if (rest.s != NULL && str_int(rest, 1, CHILDREN_MAX, &n) == -1)
		return (-1);
	*children = (int)n;
	return (0);
}

static bool
check_pools(const char *value)
{
	struct str	rest = str_from(value), word;
	struct str	names[SETTINGS_POOLS_MAX];
	int		children, i, n = 0;

	while (settings_word(&rest, &word)) {
		if (n == SETTINGS_POOLS_MAX ||
		    settings_parse_pool(word, &names[n], &children) == -1)
			return (false);
		for (i = 0; i < n; i++) {
			if (str_eq(names[i], names[n]))
				return (false);
		}
		n++;
	}
	return (n > 0);
}

static bool
check_user(const char *value)
{
	return (value[0] != '\0' && strcspn(value, " \t:") == strlen(value));
}

#define STRING(name, fallback, prose)					\
	{ name, UFOP_SETTING_STRING, fallback, 0, 0, prose }
#define LIST(name, fallback, prose)					\
	{ name, UFOP_SETTING_LIST, fallback, 0, 0, prose }
#define BOOL(name, fallback, prose)					\
	{ name, UFOP_SETTING_BOOL, fallback, 0, 0, prose }
#define INT(name, fallback, min, max, prose)				\
	{ name, UFOP_SETTING_INT, fallback, min, max, prose }
#define SIZE(name, fallback, min, max, prose)				\
	{ name, UFOP_SETTING_SIZE, fallback, min, max, prose }
#define TIME(name, fallback, min, max, prose)				\
	{ name, UFOP_SETTING_TIME, fallback, min, max, prose }

const struct settings_row settings_table[] = {

	/* ---- ufop: what front, worker and command line share ---------- */

	{ "ufop", STRING("name", "ufop",
	    "The name the ufop is registered under.  The front does not insist "
	    "on it: whatever stands before the first slash of a cmd is taken "
	    "for the name."),
	    check_name, "1 to 32 characters of a-z, 0-9, _ and -", false },
	{ "ufop", LIST("services", "images debug",
	    "The services that are on, in the order in which their routes are "
	    "tried.  A word is the name of a service that came with ufop, or "
	    "the path of a shared object, such as ./app.so."),
	    NULL, NULL, false },
	{ "ufop", STRING("service_dir", "",
	    "Where the services that came with ufop lie.  Empty: found beside "
	    "the ufop command."),
	    check_path_or_empty, "an absolute path, or empty", false },
	{ "ufop", TIME("timeout", "30s", 100, HOUR,
	    "How long a caller waits at the most, from the end of its upload "
	    "to the answer, waiting in the queue included.  A task may have a "
	    "time of its own."), NULL, NULL, false },
	{ "ufop", SIZE("max_body", "20m", KB, 2 * GB,
	    "The largest body that is taken; beyond it the answer is 413.  A "
	    "task may have a limit of its own."), NULL, NULL, false },
	{ "ufop", SIZE("memory", "1024m", 64 * MB, 64 * GB,
	    "The address space of a child.  A handler that wants more dies "
	    "of it, and only its own job with it."), NULL, NULL, false },
	{ "ufop", STRING("log_level", "info",
	    "Which lines are logged: err (someone must act), warn (someone "
	    "should look), info (one line per job), debug."),
	    check_level, "err, warn, info or debug", false },
	{ "ufop", STRING("log_dir", "",
	    "The directory of log files that the debug service offers for "
	    "download.  Empty: none."),
	    check_path_or_empty, "an absolute path, or empty", false },
	{ "ufop", BOOL("debug", "no",
	    "Tell callers more than they should know in production, such as "
	    "the routes that exist when none takes a cmd."),
	    NULL, NULL, false },

	/* ---- front ---------------------------------------------------- */

	{ "front", STRING("listen", "0.0.0.0:9100",
	    "Address and port of the HTTP front.  The platform's PORT_HTTP "
	    "replaces the port."),
	    check_listen,
	    "ADDRESS:PORT with a port from 1 to 65535, such as 0.0.0.0:9100 or "
	    "[::1]:9100", false },
	{ "front", STRING("unix", "",
	    "Listen on this unix socket instead.  Empty: on front.listen.  "
	    "Sockets that are handed over (LISTEN_FDS) come on top of it."),
	    check_unix,
	    "an absolute path of at most 107 bytes, or empty", false },
	{ "front", INT("workers", "1", 1, 64,
	    "Processes that serve HTTP.  One fills two cores with small "
	    "bodies; more help with many large ones."), NULL, NULL, false },
	{ "front", INT("max_connections", "20000", 16, 1000000,
	    "Connections of one front process, idle ones included.  An idle "
	    "one costs about 1 KB."), NULL, NULL, false },
	{ "front", TIME("keepalive", "60s", SEC, HOUR,
	    "How long a connection may stay open between two requests."),
	    NULL, NULL, false },
	{ "front", TIME("header_timeout", "65s", SEC, HOUR,
	    "How long a request's header may take to arrive, from its first "
	    "byte."), NULL, NULL, false },
	{ "front", TIME("body_timeout", "60s", SEC, HOUR,
	    "How long a request's body may take to arrive, all of it."),
	    NULL, NULL, false },
	{ "front", TIME("drain", "1h", 100, HOUR,
	    "How long a front that stops waits for answers that are still to "
	    "come, if no task's timeout ends it earlier.  Whoever has none by "
	    "then gets a 503."), NULL, NULL, false },
	{ "front", INT("batch_max", "100", 1, 10000,
	    "Items that one POST /screenshot may ask for; beyond it the answer "
	    "is 413."), NULL, NULL, false },

	/* ---- redis ---------------------------------------------------- */

	{ "redis", STRING("url", "redis://127.0.0.1:6379/0",
	    "The Redis that holds the queue, of version 7 or later."),
	    check_redis, "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or "
	    "unix:///PATH[?db=DB]", true },
	{ "redis", STRING("tag", "ufop",
	    "Every key begins with this word in braces.  Apps that share one "
	    "Redis have different ones; front and workers of one app the "
	    "same."),
	    check_tag, "1 to 64 characters of A-Z, a-z, 0-9, _, . and -",
	    false },

	/* ---- queue ---------------------------------------------------- */

	{ "queue", INT("max_queue", "10000", 1, 10000000,
	    "Jobs that may wait in one pool; beyond it the answer is 429."),
	    NULL, NULL, false },
	{ "queue", TIME("lease", "15s", SEC, 10 * MIN,
	    "A worker that has not been heard of for so long is taken for "
	    "dead, and another takes its jobs over."), NULL, NULL, false },
	{ "queue", SIZE("inline_max", "16k", 0, 64 * KB,
	    "A body up to this size travels inside its job; a larger one "
	    "through the spool."), NULL, NULL, false },
	{ "queue", TIME("retry_backoff", "500ms", 1, HOUR,
	    "The wait before the first retry of a job whose handler asked for "
	    "one; it doubles with each further retry."), NULL, NULL, false },
	{ "queue", INT("dead_max", "1000", 0, 1000000,
	    "Jobs given up that are remembered, the latest ones."),
	    NULL, NULL, false },

	/* ---- spool ---------------------------------------------------- */

	{ "spool", STRING("dir", "/dev/shm/ufop",
	    "The directory for bodies too large for the queue.  Best in "
	    "memory; made if it is not there."),
	    check_path, "an absolute path", false },
	{ "spool", SIZE("quota", "1g", MB, 1024 * GB,
	    "Bytes that may lie in the spool; beyond it the answer is 503."),
	    NULL, NULL, false },
	{ "spool", BOOL("share", "yes",
	    "Whether front and workers on one host hand each other files of "
	    "the spool.  No: all large bodies go through Redis, as they do "
	    "between hosts in any case."), NULL, NULL, false },

	/* ---- worker --------------------------------------------------- */

	{ "worker", LIST("pools", "cpu",
	    "The pools that this worker serves, each with its number of "
	    "children or without: then CPU_COUNT, the cores of FLAVOR, or "
	    "what the host allows.  cpu is for handlers that compute, net for "
	    "those that need the network or start programs."),
	    check_pools, "1 to 8 pool names, each once, with =CHILDREN (1 to "
	    "1024) or without, such as: cpu=4 net", false },
	{ "worker", INT("recycle_jobs", "100000", 0, 1000000000,
	    "Replace a child by a fresh one after so many jobs.  0: never."),
	    NULL, NULL, false },
	{ "worker", SIZE("recycle_memory", "256m", 0, 64 * GB,
	    "Replace a child that holds more memory than this between two "
	    "jobs.  0: never."), NULL, NULL, false },
	{ "worker", STRING("child_user", "nobody",
	    "The user that children run as when the worker was started by "
	    "root."), check_user, "the name of a user", false },
	{ "worker", BOOL("sandbox", "on",
	    "Keep children of the cpu pool from the network, from other "
	    "programs and from files.  Only to be switched off for debugging: "
	    "decoders of pictures have bugs that strangers know."),
	    NULL, NULL, false },
	{ "worker", INT("prefetch", "31", 0, 1024,
	    "Jobs that a worker takes ahead for each child, while its tasks "
	    "are known to be short; of tasks of up to 50 ms one, if it waits "
	    "in the queue.  0: none."), NULL, NULL, false },
	{ "worker", TIME("drain", "30s", 0, HOUR,
	    "How long a worker that was told to stop lets its children finish "
	    "what they run.  What only waits is handed back at once."),
	    NULL, NULL, false },
	{ "worker", SIZE("max_output", "64m", 64 * KB, 2 * GB,
	    "The largest body of a reply; beyond it the answer is 413."),
	    NULL, NULL, false },
	{ "worker", SIZE("stderr_max", "64k", KB, 16 * MB,
	    "How much a handler may write on stderr in one job; the rest is "
	    "dropped."), NULL, NULL, false },

	/* ---- fetch ---------------------------------------------------- */

	{ "fetch", SIZE("max_bytes", "0", 0, 2 * GB,
	    "The largest source that is fetched from a url.  0: as "
	    "ufop.max_body."), NULL, NULL, false },
	{ "fetch", TIME("timeout", "20s", 100, HOUR,
	    "How long a fetch may take, redirects included."),
	    NULL, NULL, false },
	{ "fetch", TIME("stall", "10s", 100, HOUR,
	    "A source that sends nothing for so long is given up."),
	    NULL, NULL, false },
	{ "fetch", TIME("connect_timeout", "5s", 100, 10 * MIN,
	    "How long one connection to a source may take to come up."),
	    NULL, NULL, false },
	{ "fetch", TIME("keep", "60s", 0, HOUR,
	    "How long a child keeps a file that its handler had fetched beside "
	    "the source (the picture of a watermark) for later jobs, if it is "
	    "no longer than 1 MiB.  0: every job fetches it anew."),
	    NULL, NULL, false },
	{ "fetch", INT("redirects", "5", 0, 20,
	    "Redirects that are followed; each is checked anew."),
	    NULL, NULL, false },
	{ "fetch", INT("concurrency", "64", 1, 1024,
	    "Fetches that one worker does at once."), NULL, NULL, false },
	{ "fetch", LIST("allow", "",
	    "Hosts, addresses and networks (10.1.0.0/16) that may be fetched "
	    "from although they are private, loopback or otherwise refused."),
	    NULL, NULL, false },
	{ "fetch", LIST("deny", "",
	    "Hosts, addresses and networks that may not be fetched from "
	    "although they are public.  Wins over fetch.allow."),
	    NULL, NULL, false },

	{ 0 }
};
