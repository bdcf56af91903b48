/* SPDX-License-Identifier: MIT */
/*
 * The built-in settings as data; see settings.h for how they are read.
 */
#ifndef LIB_SETTINGS_TABLE_H
#define LIB_SETTINGS_TABLE_H

#include "str.h"

struct settings_row {
	const char		*section;
	struct ufop_setting_def	 def;
	/* What the type alone does not say; NULL: the type says it all. */
	bool			(*check)(const char *value);
	const char		*accepts;	/* "must be ..."; goes with check */
	bool			 has_password;	/* a url that may */
};

/* Ends with a NULL section; rows of one section stand together. */
extern const struct settings_row settings_table[];

/*
 * ADDRESS:PORT, with an IPv6 address in brackets; they are not in host.
 * host may be NULL.  -1 when it is none.
 */
int	 settings_parse_listen(const char *value, char host[256], int *port);

/*
 * One word of worker.pools, NAME or NAME=CHILDREN: *children is 0 in the first
 * case.  -1 when it is none.
 */
int	 settings_parse_pool(struct str word, struct str *name, int *children);

#endif
