/* SPDX-License-Identifier: MIT */
/*
 * The services that are switched on, and all their tasks in one list: a task's
 * place in it is the order in which routes are tried.
 */
#ifndef ROUTER_SERVICES_H
#define ROUTER_SERVICES_H

#include "err.h"
#include "str.h"

#define SERVICES_MAX	32
#define TASK_NAME_MAX	80	/* of "service.task" */

struct services_task {
	const struct ufop_service	*service;
	const struct ufop_task		*task;
	char				 name[TASK_NAME_MAX + 1]; /* "service.task" */
	const char			*pool;	/* never NULL */
};

struct services {
	int				 nservices;
	const struct ufop_service	*services[SERVICES_MAX];
	/* Of dlopen(), and its path; both NULL after services_add(). */
	void				*handles[SERVICES_MAX];
	char				*paths[SERVICES_MAX];
	int				 ntasks;
	struct services_task		*tasks;
};

/*
 * Load the services named in words (spaces or commas between), in that order.
 * A word with a slash in it, or that ends in .so, is a path; any other stands
 * for <dir>/<word>.so.  All symbols are resolved now and seen by nobody else.
 *
 * Checks what ufop.h asks for: the ABI, names ([a-z0-9_-], unique), that each
 * task has a route and a function, pools, limits, hooks.  (Routes are compiled
 * by router_new(), settings checked by settings_add_service().)
 *
 * services need not be initialised.  Returns 0, to be ended by
 * services_release(); or -1 with err (UFOP_CONFIG), which says which service,
 * why, and what to do; everything is released then.
 */
int	 services_load(struct services *, const char *words, const char *dir,
	    struct ufop_err *);

/*
 * The same for one service struct at hand (tests), which must outlive the
 * services.  services must be zeroed before the first; on -1 it is as before.
 */
int	 services_add(struct services *, const struct ufop_service *,
	    struct ufop_err *);

/* Unloads what was loaded; services is empty then, and may be used again. */
void	 services_release(struct services *);

/* Index of "service.task" in tasks, or -1. */
int	 services_find(const struct services *, struct str name);

#endif
