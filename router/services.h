/* SPDX-License-Identifier: MIT */
/*
 * The services that are switched on, and all their tasks in one list.
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
	void				*handles[SERVICES_MAX];	/* of dlopen */
	char				*paths[SERVICES_MAX];
	int				 ntasks;
	struct services_task		*tasks;
};

/*
 * Load the services named in words (spaces or commas between), in that order.
 * A word with a slash in it, or that ends in .so, is a path; any other stands
 * for <dir>/<word>.so.  Checks the ABI, the names, and that no two services
 * share one.  -1 with err (UFOP_CONFIG) says which service, why, and what to
 * do; everything is released then.
 */
int	 services_load(struct services *, const char *words, const char *dir,
	    struct ufop_err *);
/* The same for service structs at hand (tests); words are not looked up. */
int	 services_add(struct services *, const struct ufop_service *,
	    struct ufop_err *);
void	 services_release(struct services *);

/* Index of "service.task", or -1. */
int	 services_find(const struct services *, struct str name);

#endif
