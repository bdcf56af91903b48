/* SPDX-License-Identifier: MIT */
/*
 * Settings: one table of rows (section, name, type, default, range, prose)
 * from which come the parser, `ufop config show`, --help and the man page.
 *
 * Layers, a later one wins:
 *
 *	default
 *	settings.ini beside a service's own shared object
 *	the ini file that the variable UFOP_DEFAULTS names, if it is there: what
 *	    an image or a machine would have where a project says nothing
 *	ufop.ini, then local.ini, of the project directory (or --config FILE
 *	    in place of both)
 *	.env of the project directory (only names that concern us are read)
 *	the environment: PORT_HTTP (the port of front.listen), UFOP_<NAME> for
 *	    section ufop and UFOP_<SECTION>_<NAME> for all others; '-' is '_'
 *	flags: "section.name=value"
 *
 * Nothing is skipped in silence: an unknown name or a bad value is UFOP_CONFIG
 * and says where it stands, what would be accepted and what was meant.
 *
 * Which services are on is a setting too, and services bring rows of their
 * own, so a program starts in four steps:
 *
 *	settings_init(&s);
 *	settings_load(&s, &sources, &err);		all layers, read once
 *	services_load(&services, settings_str(&s, "ufop", "services"), dir, &err);
 *	settings_add_service(&s, services.services[i], services.paths[i], &err);
 *	settings_finish(&s, &err);		what no row claimed is an error
 *	...
 *	settings_release(&s);
 *
 * The getters below work on the built-in sections from settings_init() on.
 */
#ifndef LIB_SETTINGS_H
#define LIB_SETTINGS_H

#include "err.h"
#include "str.h"

/* Longest line of an ini file in bytes; longer values go on in indented lines. */
#define SETTINGS_LINE_MAX	4096
/* Longest name of an environment variable, with its NUL. */
#define SETTINGS_ENV_MAX	160
#define SETTINGS_POOLS_MAX	8
#define SETTINGS_POOL_NAME_MAX	31	/* JOB_POOL_MAX without its NUL */

/* One row with what it is set to.  Everything in it belongs to the settings. */
struct setting {
	const char			*section;
	const struct ufop_setting_def	*def;
	const char			*value;		/* as it was written */
	/* INT as is, BOOL 0 or 1, SIZE bytes, TIME ms; 0 for others. */
	int64_t				 num;
	/*
	 * Where the value stands: "default", "/srv/a/ufop.ini:12",
	 * "UFOP_QUEUE_LEASE", "/srv/a/.env:3", "PORT_HTTP", "command line".
	 */
	const char			*origin;
	bool				 is_set;	/* by any layer */
};

struct settings_private;

struct settings {
	struct settings_private	*priv;
};

/* What settings_load() reads.  All may be NULL: only the environment then. */
struct settings_sources {
	const char		*dir;		/* project directory */
	const char		*config;	/* must exist if given */
	const char *const	*flags;		/* ends with NULL */
};

void	 settings_init(struct settings *);
void	 settings_release(struct settings *);

/*
 * Read every layer but the services' own.  Assignments to sections that are
 * not built in are kept until a service claims them.  To be called once.
 */
int	 settings_load(struct settings *, const struct settings_sources *,
	    struct ufop_err *);

/*
 * Add a service's rows and give them what the layers say.  so_path may be NULL
 * (no settings.ini); in that file names count that stand before any section
 * or in the service's own.  The service must outlive the settings.  Its table
 * is checked too: bad names and fallbacks are UFOP_CONFIG.
 */
int	 settings_add_service(struct settings *, const struct ufop_service *,
	    const char *so_path, struct ufop_err *);

/* -1 for the first name that no row claimed, or values that contradict. */
int	 settings_finish(struct settings *, struct ufop_err *);

/*
 * One more assignment after settings_load(), as by a flag; origin is copied.
 * For the CLI's own decisions, as the private Redis of `ufop up`.
 */
int	 settings_set(struct settings *, const char *section, const char *name,
	    const char *value, const char *origin, struct ufop_err *);

/*
 * Values.  A name that is in no table, or the wrong type, is a mistake of ours
 * and aborts.  settings_str() gives any type as it was written.
 */
const char	*settings_str(const struct settings *, const char *section,
		    const char *name);
int64_t		 settings_int(const struct settings *, const char *section,
		    const char *name);
bool		 settings_bool(const struct settings *, const char *section,
		    const char *name);
int64_t		 settings_size(const struct settings *, const char *section,
		    const char *name);		/* bytes */
int64_t		 settings_time_ms(const struct settings *, const char *section,
		    const char *name);

/* The row, or NULL: for names that come from outside. */
const struct setting *settings_find(const struct settings *,
		    const char *section, const char *name);
/* The row after prev (NULL: the first), or NULL at the end. */
const struct setting *settings_each(const struct settings *,
		    const struct setting *prev);

/*
 * Cut the next word of a list (between spaces, tabs, commas or newlines) off
 * the front of *rest.  False when there is none left.
 */
bool	 settings_word(struct str *rest, struct str *word);

/*
 * Fill err with "<origin>: <section>.<name> = '<value>': <text>" and return
 * -1: for whoever finds only later that a value is no good.
 */
int	 settings_bad(const struct settings *, const char *section,
	    const char *name, struct ufop_err *, const char *fmt, ...)
	    UFOP_PRINTF(5, 6);

/* front.listen, checked while it was read. */
void	 settings_listen(const struct settings *, char host[256], int *port);

/* worker.pools, checked while it was read; counts filled in by the CPU rule. */
struct settings_pool {
	char	name[SETTINGS_POOL_NAME_MAX + 1];
	int	children;
};

int	 settings_pools(const struct settings *,
	    struct settings_pool pools[SETTINGS_POOLS_MAX]);

/*
 * How many children a pool has unless its count is given: CPU_COUNT, else the
 * C of FLAVOR (C2M4: 2 cores, 4 GB), else what lib/cpus.h finds.
 */
int	 settings_cpu_count(const struct settings *);

/*
 * Make the environment say what these settings say, so that a program started
 * from here (Kore) comes to the same values whatever directory it stands in:
 * every value that any layer set becomes its variable, all others are unset.
 */
void	 settings_export_env(const struct settings *);

/* The row's environment variable: UFOP_QUEUE_LEASE. */
void	 setting_env_name(const struct setting *, char out[SETTINGS_ENV_MAX]);
/*
 * The value as it may be shown: with *** for the password of a url, and for all
 * of a service's setting whose name ends in password, secret, token or key.
 */
void	 setting_show(const struct setting *, struct buf *out);
/* What is accepted: "a time such as 500ms, 30s or 5m, from 1s to 10m". */
void	 setting_describe(const struct ufop_setting_def *, struct buf *out);

#endif
