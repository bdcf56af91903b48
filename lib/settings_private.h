/* SPDX-License-Identifier: MIT */
/*
 * What the files of the settings share:
 *
 *	settings.c		rows: made, assigned, claimed by services, read
 *	settings_value.c	types, units and ranges; what of them is shown
 *	settings_unknown.c	sentences about names that nobody knows
 *	settings_load.c		the layers: ini files, .env, environment, flags
 */
#ifndef LIB_SETTINGS_PRIVATE_H
#define LIB_SETTINGS_PRIVATE_H

#include "arena.h"
#include "settings.h"
#include "settings_table.h"

/*
 * Of a service or a setting: libinih cuts sections, and names of lines that go
 * on, at 49 bytes.
 */
#define NAME_MAX_LEN	48
/*
 * A row of either kind.  Allocated one by one: callers keep pointers while
 * services add more.
 */
struct row {
	struct setting			 pub;		/* first */
	const struct settings_row	*built_in;	/* NULL: a service's */
	int				 index;
};

/* What the layers say about sections that nobody has claimed yet, in order. */
struct pending {
	struct pending	*next;
	const char	*section;	/* NULL: name is an environment variable */
	const char	*name, *value, *origin;
};

struct settings_private {
	struct arena	  arena;	/* every string and struct below */
	struct row	**rows;
	int		  nrows, cap;
	struct pending	 *pending, **pending_end;
	int		  cpu_count;	/* as the environment says; 0: it does not */
	bool		  loaded;
};

/* ---- settings.c ------------------------------------------------------- */

struct row	*settings_row(const struct settings_private *,
		    const char *section, const char *name);
/* By the name of its environment variable. */
struct row	*settings_row_of_variable(const struct settings_private *,
		    const char *variable);
/* Give it a value, if it accepts it; origin is where it stood. */
int		 settings_set_row(struct settings_private *, struct row *,
		    const char *value, const char *origin, struct ufop_err *);
/* For a service that is not there yet; section NULL: name is a variable. */
void		 settings_keep(struct settings_private *, const char *section,
		    const char *name, const char *value, const char *origin);
/* One assignment of any layer but the environment. */
int		 settings_assign(struct settings_private *, const char *section,
		    const char *name, const char *value, const char *origin,
		    struct ufop_err *);

/* ---- settings_value.c ------------------------------------------------- */

/*
 * Whether value is one of def's type and range and, if there is a check, passes
 * it; *num is then what it stands for.
 */
bool		 setting_accepts(const struct ufop_setting_def *,
		    bool (*check)(const char *), const char *value,
		    int64_t *num);
/* Both return -1 with UFOP_CONFIG; see there. */
int		 setting_blame(const struct row *, const char *value,
		    const char *origin, struct ufop_err *, const char *why);
int		 setting_bad_value(const struct row *, const char *value,
		    const char *origin, struct ufop_err *);

/* ---- settings_unknown.c ----------------------------------------------- */

/* All return -1 with UFOP_CONFIG and, where it looks like one, what was meant. */
int		 settings_unknown_name(const struct settings_private *,
		    const char *section, const char *name, const char *origin,
		    struct ufop_err *);
int		 settings_unknown_section(const struct settings *,
		    const struct pending *, struct ufop_err *);
int		 settings_unknown_variable(const struct settings *,
		    const struct pending *, struct ufop_err *);

/* ---- settings_load.c -------------------------------------------------- */

/*
 * Read one file; only is the section that counts (NULL: all).  A file that is
 * not there is an error only when it must be.
 */
int		 settings_read_ini(struct settings_private *, const char *path,
		    bool must, const char *only, struct ufop_err *);

#endif
