/* SPDX-License-Identifier: MIT */
/*
 * From the text of a cmd to the tasks that take it.  Pure: no I/O, no clock.
 *
 *	cmd   = [ name ] "/" stage *( "|" stage )	name: the ufop's own
 *
 * `q/crop/800,600,0,0|thumbnail/w/100` is two stages, "/crop/800,600,0,0" and
 * "/thumbnail/w/100": the ufop's name stands once, in front, and a stage's
 * leading slash may be missing behind a pipe.  Each stage is searched (not
 * anchored) by each task's pattern in the order of registration; the first
 * match takes it.
 */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include "err.h"
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
	int			 nargs;
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
 * Compile every task's pattern (PCRE2 with JIT; Python's (?P<name>...) is
 * native there) with match limits that keep any pattern on any cmd under a few
 * milliseconds.  NULL with err set (UFOP_CONFIG) on a bad pattern: the
 * message names service, task, offset and reason.  The services must outlive
 * the router.
 */
struct router	*router_new(const struct services *, struct ufop_err *);
void		 router_free(struct router *);

/*
 * Find the task of each stage of cmd (already percent-decoded; the ufop's name
 * is stripped when has_name: everything before the first slash).  Stage cmds
 * and argument values point into match->text or cmd, so both must outlive
 * their use.  Returns 0, or -1 with err: UFOP_NO_ROUTE (no task takes stage
 * n), UFOP_BAD_INPUT (empty stage, too many, too long, NUL or control bytes,
 * two different pools, match limit reached).
 */
int		 router_match(const struct router *, struct str cmd,
		    bool has_name, struct router_match *match,
		    struct ufop_err *);

#endif
