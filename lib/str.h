/* SPDX-License-Identifier: MIT */
/*
 * Bytes from outside (struct str: a view, owns nothing, may hold any byte and
 * no NUL behind) and bytes that grow (struct buf: owns, has a ceiling), with
 * the small parsers that everything else is made of.
 */
#ifndef LIB_STR_H
#define LIB_STR_H

#include <stdbool.h>

#include "ufop.h"
#include "banned.h"

struct str {
	const char	*s;
	size_t		 len;
};

#define STR(lit)	((struct str){ (lit), sizeof(lit) - 1 })
#define STR_NULL	((struct str){ NULL, 0 })
/* For printf's "%.*s". */
#define STR_ARG(x)	(int)(x).len, (x).s

struct str	 str_from(const char *cstr);		/* NULL gives STR_NULL */
bool		 str_eq(struct str, struct str);
bool		 str_eq_c(struct str, const char *);
bool		 str_prefix(struct str, struct str prefix);
int		 str_find(struct str, char);		/* index or -1 */
struct str	 str_slice(struct str, size_t from, size_t to);	/* clamped */
struct str	 str_trim(struct str);			/* spaces and tabs */

/*
 * Cut what stands before the first sep off the front of *rest and return it;
 * *rest becomes what follows, or STR_NULL when there was no sep.
 */
struct str	 str_cut(struct str *rest, char sep);

/* A whole decimal number, nothing before or after; 0, or -1 when it is none. */
int		 str_int(struct str, int64_t min, int64_t max, int64_t *out);

/*
 * Bytes (1 to 4) of the UTF-8 character at the front, 0 when there is none:
 * empty, cut short, overlong, a surrogate or beyond U+10FFFF.
 */
int		 str_utf8(struct str);

/*
 * Percent-decode src to dst (at least src.len bytes).  plus turns '+' into a
 * space.  Returns the length, or -1 on a % that is not followed by two hex
 * digits.
 */
int		 str_pct_decode(char *dst, struct str src, bool plus);

/*
 * URL-safe or ordinary base64, padded or not; dst takes at least
 * src.len * 3 / 4 + 1 bytes.  Returns the length or -1.
 */
int		 str_b64_decode(unsigned char *dst, struct str src);

/* Bytes that grow up to max, then UFOP_TOO_BIG for good. */
struct buf {
	char	*p;		/* NUL behind the last byte, once anything is in */
	size_t	 len;
	size_t	 cap;
	size_t	 max;
	bool	 failed;	/* something did not fit: the content is not whole */
};

void		 buf_init(struct buf *, size_t max);
void		 buf_release(struct buf *);	/* frees; usable again after init */
void		 buf_clear(struct buf *);	/* empty, keeps its memory */
int		 buf_reserve(struct buf *, size_t more);
int		 buf_add(struct buf *, const void *, size_t);
int		 buf_str(struct buf *, struct str);
int		 buf_cstr(struct buf *, const char *);
int		 buf_addf(struct buf *, const char *fmt, ...) UFOP_PRINTF(2, 3);
int		 buf_vaddf(struct buf *, const char *fmt, va_list)
		    UFOP_PRINTF(2, 0);
/* The text as the inside of a JSON string (quotes not added); invalid UTF-8 becomes U+FFFD. */
int		 buf_json(struct buf *, struct str);

#endif
