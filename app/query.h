/* SPDX-License-Identifier: MIT */
/*
 * What stands behind the question mark.  Pure.
 */
#ifndef APP_QUERY_H
#define APP_QUERY_H

#include "err.h"
#include "str.h"

/* Bytes of a source url, decoded. */
#define QUERY_URL_MAX	8192

/*
 * The first parameter called name, still encoded.  s is NULL when there is
 * none.
 */
struct str	 query_get(struct str query, const char *name);

/* Whether there is a parameter called name, with a value or without. */
bool		 query_has(struct str query, const char *name);

/*
 * Percent-decode raw to dst (raw.len bytes), '+' as a space when plus, and
 * return 0 with *out.  -1 with UFOP_BAD_INPUT and a sentence that calls it
 * what.
 */
int		 query_decode(char *dst, struct str raw, bool plus,
		    const char *what, struct str *out, struct ufop_err *);

/*
 * Whether a source can be asked for at url: http or https, a host, no spaces
 * or control characters.  -1 with UFOP_BAD_INPUT.
 */
int		 query_check_url(struct str url, struct ufop_err *);

#endif
