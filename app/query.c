/* SPDX-License-Identifier: MIT */
#include <strings.h>

#include "query.h"

static bool
next(struct str *query, const char *name, struct str *value)
{
	struct str	 pair;

	while (query->s != NULL) {
		pair = str_cut(query, '&');
		*value = pair;
		if (str_eq_c(str_cut(value, '='), name))
			return (true);
	}
	return (false);
}

struct str
query_get(struct str query, const char *name)
{
	struct str	 value;

	while (next(&query, name, &value))
		if (value.s != NULL)
			return (value);
	return (STR_NULL);
}

bool
query_has(struct str query, const char *name)
{
	struct str	 value;

	return (next(&query, name, &value));
}

int
query_decode(char *dst, struct str raw, bool plus, const char *what,
    struct str *out, struct ufop_err *err)
{
	int	 n;

	if ((n = str_pct_decode(dst, raw, plus)) == -1)
		return (err_set(err, UFOP_BAD_INPUT, "%s has a %% that is not "
		    "followed by two hex digits; write %%25 for a %%", what));
	*out = (struct str){ dst, (size_t)n };
	return (0);
}

int
query_check_url(struct str url, struct ufop_err *err)
{
	struct str	 host;
	size_t		 i, scheme;

	if (url.len > QUERY_URL_MAX)
		return (err_set(err, UFOP_BAD_INPUT, "the url is %zu bytes "
		    "long and %d is the limit", url.len, QUERY_URL_MAX));
	scheme = url.len > 7 && strncasecmp(url.s, "http://", 7) == 0 ? 7 :
	    url.len > 8 && strncasecmp(url.s, "https://", 8) == 0 ? 8 : 0;
	if (scheme == 0)
		return (err_set(err, UFOP_BAD_INPUT, "the url '%.*s' does not "
		    "start with http:// or https://",
		    (int)(url.len > 100 ? 100 : url.len), url.s));
	for (i = 0; i < url.len; i++)
		if ((unsigned char)url.s[i] <= ' ' || url.s[i] == 0x7f)
			return (err_set(err, UFOP_BAD_INPUT, "the url holds a "
			    "space or a control character; percent-encode "
			    "the url as a whole, and what is in it too"));
	host = str_slice(url, scheme, url.len);
	if (host.s[0] == '/' || host.s[0] == '?' || host.s[0] == ':' ||
	    host.s[0] == '#')
		return (err_set(err, UFOP_BAD_INPUT, "the url '%.*s' has no "
		    "host", (int)(url.len > 100 ? 100 : url.len), url.s));
	return (0);
}
