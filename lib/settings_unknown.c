/* SPDX-License-Identifier: MIT */
/* Sentences about names that nobody knows; see settings_private.h. */
#include <stdio.h>
#include <string.h>

#include "settings_private.h"

/* The best of the names that are like the one that is wrong. */
struct guess {
	const char	*wrong;
	char		 best[SETTINGS_ENV_MAX];	/* "": none is */
	size_t		 distance;
};

/* Letters to add, drop or change to make a from b (Levenshtein). */
static size_t
distance(const char *a, const char *b)
{
	size_t	row[SETTINGS_ENV_MAX], i, j, diagonal, above, n = strlen(b);

	if (n >= SETTINGS_ENV_MAX)
		return (SIZE_MAX);
	for (j = 0; j <= n; j++)
		row[j] = j;
	for (i = 1; a[i - 1] != '\0'; i++) {
		diagonal = row[0];
		row[0] = i;
		for (j = 1; j <= n; j++) {
			above = row[j];
			row[j] = diagonal + (a[i - 1] != b[j - 1]);
			if (above + 1 < row[j])
				row[j] = above + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diagonal = above;
		}
	}
	return (row[n]);
}

static void
guess_init(struct guess *g, const char *wrong)
{
	g->wrong = wrong;
	g->best[0] = '\0';
	/* Two slips, or one in three letters of a long name. */
	g->distance = strlen(wrong) / 3;
	if (g->distance < 2)
		g->distance = 2;
	g->distance++;
}

static void
guess_try(struct guess *g, const char *name)
{
	size_t	d = distance(g->wrong, name);

	/* Nothing is left of a name of which every letter was changed. */
	if (d < g->distance && d < strlen(name)) {
		g->distance = d;
		snprintf(g->best, sizeof(g->best), "%s", name);
	}
}

int
settings_unknown_name(const struct settings_private *p, const char *section,
    const char *name, const char *origin, struct ufop_err *err)
{
	const struct setting	*row;
	const char		*elsewhere = NULL;
	struct guess		 g;
	int			 i;

	guess_init(&g, name);
	for (i = 0; i < p->nrows; i++) {
		row = &p->rows[i]->pub;
		if (strcmp(row->section, section) == 0)
			guess_try(&g, row->def->name);
		else if (elsewhere == NULL && strcmp(row->def->name, name) == 0)
			elsewhere = row->section;
	}
	if (elsewhere != NULL)
		return (err_set(err, UFOP_CONFIG, "%s: [%s] has no setting "
		    "'%.64s'; it belongs to [%s]", origin, section, name,
		    elsewhere));
	if (g.best[0] != '\0')
		return (err_set(err, UFOP_CONFIG, "%s: [%s] has no setting "
		    "'%.64s'; did you mean '%s'?", origin, section, name,
		    g.best));
	return (err_set(err, UFOP_CONFIG, "%s: [%s] has no setting '%.64s'; "
	    "`ufop config show` lists all there are", origin, section, name));
}

int
settings_unknown_section(const struct settings *s, const struct pending *u,
    struct ufop_err *err)
{
	const struct setting	*row;
	struct guess		 g;

	if (u->section[0] == '\0')
		return (err_set(err, UFOP_CONFIG, "%s: '%.64s' stands before any "
		    "[section]; put it under one, such as [ufop]", u->origin,
		    u->name));
	guess_init(&g, u->section);
	for (row = NULL; (row = settings_each(s, row)) != NULL; )
		guess_try(&g, row->section);
	if (g.best[0] != '\0')
		return (err_set(err, UFOP_CONFIG, "%s: there is no section "
		    "[%s]; did you mean [%s]?", u->origin, u->section,
		    g.best));
	return (err_set(err, UFOP_CONFIG, "%s: there is no section [%s]; a "
	    "service has one while ufop.services names it (now: %.120s)",
	    u->origin, u->section, settings_str(s, "ufop", "services")));
}

int
settings_unknown_variable(const struct settings *s, const struct pending *u,
    struct ufop_err *err)
{
	const struct setting	*row;
	struct guess		 g;
	char			 env[SETTINGS_ENV_MAX], where[256] = "";

	/* From .env: say the line, too. */
	if (strcmp(u->origin, u->name) != 0)
		snprintf(where, sizeof(where), "%s: ", u->origin);
	guess_init(&g, u->name);
	for (row = NULL; (row = settings_each(s, row)) != NULL; ) {
		setting_env_name(row, env);
		guess_try(&g, env);
	}
	if (g.best[0] != '\0')
		return (err_set(err, UFOP_CONFIG, "%s%.100s is no setting's "
		    "variable; did you mean %s?", where, u->name, g.best));
	return (err_set(err, UFOP_CONFIG, "%s%.100s is no setting's variable, and "
	    "names that begin with UFOP_ are kept for those; unset it or "
	    "switch on the service it is for", where, u->name));
}
