/* SPDX-License-Identifier: MIT */
/*
 * The one header an author of handlers reads.
 *
 * A handler is a C function.  It is given a job (the caller's bytes, the cmd
 * and the arguments that the route took out of it) and fills in a reply.
 * Tasks tie a route to a handler; a service is a list of tasks in a shared
 * object:
 *
 *	static int
 *	hello(struct ufop_job *job, struct ufop_reply *reply)
 *	{
 *		return (ufop_reply_textf(reply, "hello %s",
 *		    ufop_arg(job, "name", "world")));
 *	}
 *
 *	static const struct ufop_task tasks[] = {
 *		{ .name = "hello", .route = "^/hello(?:/(?P<name>\\w+))?$",
 *		  .run = hello, .summary = "Greets by name." },
 *		{ 0 }
 *	};
 *
 *	UFOP_SERVICE(app, tasks);
 *
 * Handlers run in a child process that serves one job at a time, so they need
 * neither threads nor locks.  The child may be killed at any moment (deadline,
 * memory) and a job may run twice: write files under a temporary name in
 * ufop_scratch() and never outside it.
 */
#ifndef UFOP_H
#define UFOP_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a struct below changes in a way old objects cannot bear. */
#define UFOP_ABI		1

#define UFOP_API		__attribute__((visibility("default")))
#define UFOP_PRINTF(f, a)	__attribute__((format(printf, f, a)))

/*
 * What a handler returns: 0 when the reply is filled in, -1 when ufop_fail()
 * was called, UFOP_RETRY when it was called for a reason that may pass (a
 * remote that is busy): the job is tried again after a while, as often as the
 * task's retries and the caller's deadline allow.
 */
#define UFOP_RETRY		(-2)

/* Longest message of an error in bytes, with its NUL; longer ones are cut. */
#define UFOP_ERR_MSG_MAX	512

/*
 * One kind of error.  HTTP status and exit status of the command are in one
 * table, lib/err.c.
 */
enum ufop_code {
	UFOP_OK = 0,
	UFOP_BAD_INPUT,		/* 400: the caller must change the request */
	UFOP_NO_ROUTE,		/* 404: no task takes this cmd */
	UFOP_BAD_METHOD,	/* 405 */
	UFOP_TOO_BIG,		/* 413: body, pixels or output over a limit */
	UFOP_BAD_MEDIA,		/* 415: bytes that no decoder takes */
	UFOP_BUSY,		/* 429: queue full, come back later */
	UFOP_FAILED,		/* 500: the handler failed or died */
	UFOP_BAD_SOURCE,	/* 502: the source url could not be fetched */
	UFOP_UNAVAILABLE,	/* 503: a part of the service is not there */
	UFOP_TIMED_OUT,		/* 504: the deadline passed */
	UFOP_USAGE,		/* command line used wrongly */
	UFOP_CONFIG,		/* a setting or a service file is wrong */
	UFOP_SYSTEM,		/* the operating system said no */
};

/*
 * An error, reported without allocating.  Passed last to functions that can
 * fail; untouched on success; msg is one sentence a user can act on.
 */
struct ufop_err {
	enum ufop_code	code;
	char		msg[UFOP_ERR_MSG_MAX];
};

/*
 * One stage of one request, as a handler sees it.  All memory belongs to the
 * job and is gone when the handler returns.  Only ufop makes these.
 */
struct ufop_job {
	const unsigned char	*data;		/* the source; never NULL */
	size_t			 len;		/* bytes in data, may be 0 */
	const char		*content_type;	/* as the caller said; "" if not */
	const char		*cmd;		/* without the ufop's name: "/hello/bob" */
	const char		*url;		/* the source's url, or NULL */
	const char		*accept;	/* caller's Accept header; "" if none */
	const char		*id;		/* request id, X-Reqid */
	const char		*task;		/* "service.task" */
	int			 attempt;	/* 1 at the first try */
	int64_t			 deadline_ms;	/* on CLOCK_MONOTONIC */
	struct ufop_job_priv	*priv;
};

struct ufop_reply;

/* ---- arguments ------------------------------------------------------- */

/*
 * The text that the route's group (?P<name>...) took, NUL-terminated, or
 * fallback when the group is not there or took no part in the match.
 */
UFOP_API const char	*ufop_arg(const struct ufop_job *, const char *name,
			    const char *fallback);

/*
 * A whole number from the argument, or fallback when it is missing.  When it
 * is there but is no number from min to max, the reply becomes a 400 that
 * names the argument and the range, *out is untouched and -1 is returned.
 */
UFOP_API int		 ufop_arg_int(const struct ufop_job *,
			    struct ufop_reply *, const char *name, int fallback,
			    int min, int max, int *out);

/*
 * The argument decoded from URL-safe base64 (RFC 4648 section 5; padding may
 * be missing).  The result lives as long as the job and has a NUL after its
 * *len bytes.  NULL when the argument is missing (reply untouched) or is not
 * base64 (reply is a 400).
 */
UFOP_API const char	*ufop_arg_b64(const struct ufop_job *,
			    struct ufop_reply *, const char *name, size_t *len);

/* ---- what a job lends ------------------------------------------------ */

/* Memory zeroed and freed with the job; never NULL: a child out of memory ends. */
UFOP_API void		*ufop_alloc(struct ufop_job *, size_t n, size_t size);

/*
 * An empty directory for this job's files, the only place a handler may
 * write, removed after it.  Made at the first call.  NULL when it cannot be
 * made (errno says why).
 */
UFOP_API const char	*ufop_scratch(struct ufop_job *);

/*
 * Another file that the job needs, by its url (the picture of a watermark).
 * Children of the cpu pool reach no network, and one that waited for a slow
 * server could not work meanwhile; so the file is fetched outside, under the
 * same guard and limits as the source of url=, and the handler runs again.
 *
 * Returns 0 with the bytes, which live as long as the job and are never none.
 * Anything else is to be returned by the handler at once: the job is put aside,
 * the url is fetched, and the handler runs again from its start (in a pipe all
 * stages do), where the same call returns 0.  So call it first, before costly
 * work; for several files, call it for each and return when any was not 0,
 * then they are fetched side by side.  A url that cannot be fetched ends the
 * job with the status and sentence that it has as a source (502, 504, 413);
 * the handler does not run again.  At most UFOP_FETCH_MAX files a job.
 *
 * A small file may come from an earlier job of this child: setting fetch.keep.
 */
#define UFOP_FETCH_MAX		8
UFOP_API int		 ufop_fetch(struct ufop_job *, struct ufop_reply *,
			    const char *url, const unsigned char **data,
			    size_t *len);

/* Milliseconds to the deadline, 0 when it has passed. */
UFOP_API int64_t	 ufop_time_left_ms(const struct ufop_job *);

/* A setting of the job's own service; the fallback in its table if not set. */
UFOP_API const char	*ufop_setting(const struct ufop_job *, const char *name);
UFOP_API int64_t	 ufop_setting_int(const struct ufop_job *,
			    const char *name);
/*
 * The same as ufop_setting() in setup(), where there is no job yet: a setting
 * of the service that is being set up, or with a dot in it ("fetch.allow") one
 * of ufop's own.  NULL anywhere else.
 */
UFOP_API const char	*ufop_setup_setting(const char *name);
/* The pool of the child that is being set up ("cpu"); NULL outside setup(). */
UFOP_API const char	*ufop_setup_pool(void);

/* One line to the worker's log, marked with the job's id. */
UFOP_API void		 ufop_log(const struct ufop_job *, const char *fmt, ...)
			    UFOP_PRINTF(2, 3);

/*
 * Note how long a stage took (microseconds) or a fact about it, for X-Log and
 * `ufop process --time`.  name and value are short words without spaces.
 */
UFOP_API void		 ufop_note_us(struct ufop_job *, const char *name,
			    int64_t us);
UFOP_API void		 ufop_note(struct ufop_job *, const char *name,
			    const char *value);

/* ---- the reply ------------------------------------------------------- */

/*
 * A reply is empty (200, no bytes) until one of these is called; a later call
 * replaces what an earlier one set.  All return 0, so that a handler can end
 * with `return ufop_reply_...`, except where they say otherwise.
 */

/* Bytes, copied.  type is the Content-Type. */
UFOP_API int	 ufop_reply_bytes(struct ufop_reply *, const void *, size_t,
		    const char *type);

/*
 * Bytes without a copy: data was made by malloc() and belongs to the reply
 * from now on, whatever happens.
 */
UFOP_API int	 ufop_reply_take(struct ufop_reply *, void *data, size_t,
		    const char *type);

/*
 * Room for at most max bytes, written by the handler itself into what will be
 * sent, so that a big result is never copied; then ufop_reply_done() says how
 * many it became.  NULL, and the reply is a 413, when max is over the limit on
 * output.
 */
UFOP_API void	*ufop_reply_room(struct ufop_reply *, size_t max);
UFOP_API int	 ufop_reply_done(struct ufop_reply *, size_t len,
		    const char *type);

/* Text as printf() makes it, text/plain; charset=utf-8. */
UFOP_API int	 ufop_reply_textf(struct ufop_reply *, const char *fmt, ...)
		    UFOP_PRINTF(2, 3);

/* JSON; the reference to value is taken over (json_decref), NULL is a 500. */
UFOP_API int	 ufop_reply_json(struct ufop_reply *, json_t *value);

/* The content of a file, read now.  -1 and a 500 when it cannot be read. */
UFOP_API int	 ufop_reply_file(struct ufop_reply *, const char *path,
		    const char *type);

/* A status from 200 to 599 other than 200. */
UFOP_API int	 ufop_reply_status(struct ufop_reply *, int status);

/*
 * One response header beside Content-Type, at most UFOP_HEADERS_MAX of them.
 * -1 and a 500 when name or value has bytes that HTTP does not allow there.
 */
#define UFOP_HEADERS_MAX	16
UFOP_API int	 ufop_reply_header(struct ufop_reply *, const char *name,
		    const char *value);

/*
 * The reply becomes an error: {"code":status,"error":"message"}.  Always
 * returns -1.  Say what failed, why, and what the caller can do.
 */
UFOP_API int	 ufop_fail(struct ufop_reply *, int status, const char *fmt, ...)
		    UFOP_PRINTF(3, 4);
UFOP_API int	 ufop_fail_err(struct ufop_reply *, const struct ufop_err *);

/* ---- tasks and services ---------------------------------------------- */

/* The handler reads url= itself; it is not fetched before. */
#define UFOP_TASK_TAKES_URL	0x01
/* A body or a url is not needed; without it data is empty. */
#define UFOP_TASK_NO_SOURCE	0x02

struct ufop_task {
	const char	*name;		/* [a-z0-9_-]+, unique in its service */
	/*
	 * A PCRE2 pattern, searched (not anchored) in the cmd without the
	 * ufop's name; the first task that matches, in the order of services
	 * and tasks, takes the cmd.  Named groups become arguments.
	 */
	const char	*route;
	int		(*run)(struct ufop_job *, struct ufop_reply *);
	/*
	 * 0 when the task can serve; else -1 and a sentence in why: /health is
	 * then 503.  A sentence in why with 0 is a note: the task serves, but
	 * an operator should know; /health stays 200 and tells it.  why is
	 * empty at first.  Asked in a child of the task's pool every few
	 * seconds; may be NULL.
	 */
	int		(*health)(char *why, size_t why_size);
	int		 timeout_ms;	/* queue and run; 0: the setting timeout */
	int		 memory_mb;	/* address space; 0: the setting memory */
	int64_t		 max_body;	/* bytes; 0: the setting max_body */
	int		 retries;	/* after UFOP_RETRY; 0: none */
	const char	*pool;		/* "cpu" when NULL; "net"; or your own */
	unsigned	 flags;		/* UFOP_TASK_... */
	const char	*summary;	/* one line for `ufop routes` */
};

enum ufop_setting_type {
	UFOP_SETTING_STRING,
	UFOP_SETTING_INT,	/* plain number */
	UFOP_SETTING_BOOL,	/* yes/no, true/false, on/off, 1/0 */
	UFOP_SETTING_SIZE,	/* bytes; k, m, g (powers of 1024) may follow */
	UFOP_SETTING_TIME,	/* milliseconds; ms, s, m, h may follow */
	UFOP_SETTING_LIST,	/* words between spaces or commas */
};

/*
 * One row of a service's own settings: [service] name = value in ufop.ini,
 * UFOP_<SERVICE>_<NAME> in the environment.  The table ends with a NULL name.
 */
struct ufop_setting_def {
	const char		*name;
	enum ufop_setting_type	 type;
	const char		*fallback;	/* as it would stand in ufop.ini */
	int64_t			 min, max;	/* of numbers; both 0: any */
	const char		*prose;
};

/*
 * Named points at which a service may step in, in the order of services.
 * A hook returns 0 to go on, or -1 after ufop_fail() to end the job there.
 */
struct ufop_hook {
	const char	*point;		/* "job.before" or "job.after" */
	int		(*run)(struct ufop_job *, struct ufop_reply *);
};

struct ufop_service {
	int				 abi;		/* UFOP_ABI */
	const char			*name;
	const struct ufop_task		*tasks;		/* ends with a NULL name */
	const struct ufop_setting_def	*settings;	/* may be NULL */
	const struct ufop_hook		*hooks;		/* may be NULL */
	/*
	 * Run once in each child before its first job and before its sandbox
	 * closes (so files can still be read) and once at its orderly end.
	 * setup returns 0, or -1 with a sentence in why: the child then answers
	 * the service's tasks with 503 and that sentence.
	 */
	int				(*setup)(char *why, size_t why_size);
	void				(*teardown)(void);
	/*
	 * A sentence in text (empty at first) on how the service would run
	 * here, such as which of its protections this host allows; for
	 * `ufop config show`.  ufop_setup_setting() works.  Run in a process of
	 * its own, for five seconds at most; may be NULL.
	 */
	void				(*describe)(char *text, size_t text_size);
};

/* The symbol that ufop looks up in a service's shared object. */
#define UFOP_SERVICE_SYMBOL	"ufop_service"

/* A service of tasks alone; or write the struct out for what more there is. */
#define UFOP_SERVICE(service_name, task_table)				\
	UFOP_API extern const struct ufop_service ufop_service;		\
	UFOP_API const struct ufop_service ufop_service = {		\
		.abi = UFOP_ABI, .name = #service_name, .tasks = (task_table) \
	}

#ifdef __cplusplus
}
#endif

#endif /* UFOP_H */
