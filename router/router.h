/* SPDX-License-Identifier: MIT */
/*
 * From the text of a cmd to the tasks that take it.  Pure: no I/O, no state
 * that one call leaves to the next.
 *
 *	cmd   = [ name ] stage *( "|" stage )		name: the ufop's own
 *	stage = "/" text				text without "|"
 *
 * `q/crop/800,600,0,0|thumbnail/w/100` is two stages, "/crop/800,600,0,0" and
 * "/thumbnail/w/100": the ufop's name stands once, in front, and a stage's
 * leading slash may be missing behind a pipe.  The cmd comes percent-decoded,
 * so %7C is a pipe too.
 *
 * Routes
 *
 * Each stage is searched by each task's route in the order of registration
 * (services, then their tasks); the first that matches takes it.  A route is
 * a PCRE2 pattern, and mostly means what it means to Python's re.search():
 *
 *	^/hello$	anchors are the route's own business: without them
 *			"/hello" also takes "/x/hello/y", and ".*" takes all
 *	(?P<w>\d+)	a named group becomes the argument w; (?<w>...) too.
 *			A group that took no part in the match gives no
 *			argument, one that took nothing gives an empty one.
 *	(?P=w)		what the group w took, once more
 *	(?i)		letters of either case, from here on
 *	(*UTF)		in front: characters instead of bytes.  Such a route
 *			takes no cmd that is not UTF-8.  \w, \d and the like
 *			stay ASCII unless (*UCP) follows.
 *
 * A route never sees the ufop's name: "name/hello/bob" is "/hello/bob" to it
 * (everything before the first slash goes), and "name" alone is the empty
 * text, which "^$" and ".*" take.  It never sees a pipe either: that always
 * ends a stage, so a "|" that a route would take literally has no way in.
 * Free text travels in URL-safe base64.
 */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include "err.h"
#include "job.h"
#include "services.h"
#include "str.h"

#define ROUTER_STAGES_MAX	16	/* stages of one cmd */
#define ROUTER_ARGS_MAX		32	/* named groups of one route */
#define ROUTER_CMD_MAX		16384	/* bytes of a cmd */

struct router;

struct router_arg {
	const char	*name;		/* the router's, NUL-terminated */
	struct str	 value;		/* a part of the stage's cmd */
};

struct router_stage {
	int			 task;	/* index into services.tasks */
	struct str		 cmd;	/* "/thumbnail/w/100", see router_match() */
	int			 nargs;	/* in the order of the route's groups */
	struct router_arg	 args[ROUTER_ARGS_MAX];
};

struct router_match {
	int			 nstages;
	struct router_stage	 stages[ROUTER_STAGES_MAX];
	/* "cpu", or the one other pool that the stages ask for. */
	const char		*pool;
	int			 timeout_ms;	/* sum of the tasks' own; 0 if none */
	int64_t			 max_body;	/* of the first stage's task; 0 if none */
	unsigned		 flags;		/* of the first stage's task */
	/* Where stages that came without a leading slash are written out. */
	char			 text[ROUTER_CMD_MAX + ROUTER_STAGES_MAX];
};

/*
 * Compile every task's route, with PCRE2's JIT where the system allows it, and
 * with limits on time and memory that end a search which gets lost: on the
 * longest cmd most are given up within 1 ms, a search without an anchor within
 * 8, and the worst that was found took 35 (without JIT, ten times as long and
 * more).
 *
 * NULL with err set (UFOP_CONFIG) on a bad route: the message names service,
 * task, offset and reason and marks the place.  The services must outlive the
 * router.  A router is for one thread: its matches share their working memory.
 */
struct router	*router_new(const struct services *, struct ufop_err *);
void		 router_free(struct router *);	/* NULL is fine */

/*
 * Find the task of each stage of cmd (already percent-decoded; the ufop's name
 * is stripped when has_name).  Without a name an empty cmd is one empty stage,
 * as a name alone would be, and any other gets its leading slash if it lacks
 * one.  Stage cmds and argument values point into match->text or cmd, so both
 * must outlive their use; match need not be initialised.
 *
 * Returns 0, or -1 with match in no useful state and err: UFOP_NO_ROUTE (no
 * task takes stage n; msg says so when the ufop's name is what is wrong), UFOP_BAD_INPUT (empty stage, too many, too long, NUL or
 * other control bytes, two different pools beside "cpu", a search given up),
 * UFOP_FAILED (PCRE2 failed otherwise: out of memory).
 */
int		 router_match(const struct router *, struct str cmd,
		    bool has_name, struct router_match *match,
		    struct ufop_err *);

/*
 * The match as the pool and the stages of a job, which point into it, into the
 * cmd and into the services; the job's other fields are left alone.
 */
void		 router_job(const struct services *,
		    const struct router_match *, struct job *);

#endif
