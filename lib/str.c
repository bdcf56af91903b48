/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "str.h"

/* What a buf takes at its first byte, if its ceiling lets it. */
#define BUF_FIRST	128

struct str
str_from(const char *cstr)
{
	if (cstr == NULL)
		return (STR_NULL);
	return ((struct str){ cstr, strlen(cstr) });
}

bool
str_eq(struct str a, struct str b)
{
	return (a.len == b.len &&
	    (a.len == 0 || memcmp(a.s, b.s, a.len) == 0));
}

bool
str_eq_c(struct str a, const char *cstr)
{
	return (str_eq(a, str_from(cstr)));
}

bool
str_prefix(struct str a, struct str prefix)
{
	return (a.len >= prefix.len &&
	    (prefix.len == 0 || memcmp(a.s, prefix.s, prefix.len) == 0));
}

int
str_find(struct str a, char c)
{
	const char	*hit;

	assert(a.len <= INT_MAX);
	if (a.len == 0 || (hit = memchr(a.s, c, a.len)) == NULL)
		return (-1);
	return ((int)(hit - a.s));
}

struct str
str_slice(struct str a, size_t from, size_t to)
{
	if (to > a.len)
		to = a.len;
	if (from > to)
		from = to;
	return ((struct str){ a.s == NULL ? NULL : a.s + from, to - from });
}

static bool
is_blank(char c)
{
	return (c == ' ' || c == '\t');
}

struct str
str_trim(struct str a)
{
	while (a.len > 0 && is_blank(a.s[0])) {
		a.s++;
		a.len--;
	}
	while (a.len > 0 && is_blank(a.s[a.len - 1]))
		a.len--;
	return (a);
}

struct str
str_cut(struct str *rest, char sep)
{
	struct str	 head = *rest;
	const char	*hit;

	hit = head.len == 0 ? NULL : memchr(head.s, sep, head.len);
	if (hit == NULL) {
		*rest = STR_NULL;
		return (head);
	}
	head.len = (size_t)(hit - head.s);
	rest->s += head.len + 1;
	rest->len -= head.len + 1;
	return (head);
}

int
str_int(struct str a, int64_t min, int64_t max, int64_t *out)
{
	bool	negative;
	int64_t	n = 0;
	size_t	i = 0;

	negative = a.len > 0 && a.s[0] == '-';
	if (negative)
		i = 1;
	if (i == a.len)
		return (-1);
	/* Counted downwards: INT64_MIN has no positive twin. */
	for (; i < a.len; i++) {
		if (a.s[i] < '0' || a.s[i] > '9' ||
		    __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_sub_overflow(n, a.s[i] - '0', &n))
			return (-1);
	}
	if (!negative && __builtin_sub_overflow((int64_t)0, n, &n))
		return (-1);
	if (n < min || n > max)
		return (-1);
	*out = n;
	return (0);
}

int
str_utf8(struct str a)
{
	/* The first byte decides the length and the range of the second. */
	const unsigned char	*p = (const unsigned char *)a.s;
	unsigned char		 low = 0x80, high = 0xbf;
	size_t			 n, i;

	if (a.len == 0)
		return (0);
	if (p[0] < 0x80)
		return (1);
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return (0);
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (a.len < n)
		return (0);
	switch (p[0]) {
	case 0xe0: low = 0xa0; break;	/* shorter forms exist below */
	case 0xed: high = 0x9f; break;	/* surrogates above */
	case 0xf0: low = 0x90; break;
	case 0xf4: high = 0x8f; break;	/* U+10FFFF is the last */
	}
	if (p[1] < low || p[1] > high)
		return (0);
	for (i = 2; i < n; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return (0);
	}
	return ((int)n);
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

int
str_pct_decode(char *dst, struct str src, bool plus)
{
	int	high, low, n = 0;
	size_t	i;

	assert(src.len <= INT_MAX);
	for (i = 0; i < src.len; i++) {
		if (src.s[i] == '%') {
			if (src.len - i < 3 ||
			    (high = hex_value(src.s[i + 1])) == -1 ||
			    (low = hex_value(src.s[i + 2])) == -1)
				return (-1);
			dst[n++] = (char)(high << 4 | low);
			i += 2;
		} else if (src.s[i] == '+' && plus) {
			dst[n++] = ' ';
		} else {
			dst[n++] = src.s[i];
		}
	}
	return (n);
}

static int
b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (c - 'A');
	if (c >= 'a' && c <= 'z')
		return (c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (c - '0' + 52);
	if (c == '-' || c == '+')
		return (62);
	if (c == '_' || c == '/')
		return (63);
	return (-1);
}

int
str_b64_decode(unsigned char *dst, struct str src)
{
	uint32_t	bits = 0;
	size_t		i, pad = 0;
	int		n = 0, v;

	assert(src.len <= INT_MAX);
	while (src.len > 0 && src.s[src.len - 1] == '=' && pad < 2) {
		src.len--;
		pad++;
	}
	/* One character alone holds no byte; padding fills up to four. */
	if (src.len % 4 == 1 || (pad != 0 && (src.len + pad) % 4 != 0))
		return (-1);
	for (i = 0; i < src.len; i++) {
		if ((v = b64_value(src.s[i])) == -1)
			return (-1);
		bits = bits << 6 | (uint32_t)v;
		/* The 2nd, 3rd and 4th of a group each complete a byte. */
		switch (i % 4) {
		case 1: dst[n++] = (unsigned char)(bits >> 4); break;
		case 2: dst[n++] = (unsigned char)(bits >> 2); break;
		case 3: dst[n++] = (unsigned char)bits; break;
		}
	}
	return (n);
}

void
buf_init(struct buf *b, size_t max)
{
	/* One more for the NUL must still be a size. */
	assert(max < SIZE_MAX);
	*b = (struct buf){ .max = max };
}

void
buf_release(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ .max = b->max };
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->p != NULL)
		b->p[0] = '\0';
}

int
buf_reserve(struct buf *b, size_t more)
{
	size_t	cap, need;

	if (b->failed)
		return (-1);
	if (more > b->max - b->len) {
		b->failed = true;
		return (-1);
	}
	need = b->len + more + 1;
	if (need <= b->cap)
		return (0);
	cap = b->cap > SIZE_MAX / 2 ? SIZE_MAX : b->cap * 2;
	if (cap < BUF_FIRST)
		cap = BUF_FIRST;
	if (cap < need)
		cap = need;
	if (cap > b->max + 1)
		cap = b->max + 1;
	b->p = xrealloc(b->p, cap);
	b->cap = cap;
	b->p[b->len] = '\0';
	return (0);
}

int
buf_add(struct buf *b, const void *data, size_t len)
{
	if (buf_reserve(b, len) == -1)
		return (-1);
	if (len > 0)
		memcpy(b->p + b->len, data, len);
	b->len += len;
	b->p[b->len] = '\0';
	return (0);
}

int
buf_str(struct buf *b, struct str s)
{
	return (buf_add(b, s.s, s.len));
}

int
buf_cstr(struct buf *b, const char *s)
{
	return (buf_add(b, s, strlen(s)));
}

int
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list	ap;
	int	r;

	va_start(ap, fmt);
	r = buf_vaddf(b, fmt, ap);
	va_end(ap);
	return (r);
}

int
buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
	va_list	again;
	int	n;

	if (buf_reserve(b, 0) == -1)
		return (-1);
	va_copy(again, ap);
	n = vsnprintf(b->p + b->len, b->cap - b->len, fmt, ap);
	if (n >= 0 && (size_t)n >= b->cap - b->len) {
		/* Cut: take back what is there, grow and print once more. */
		b->p[b->len] = '\0';
		if (buf_reserve(b, (size_t)n) == 0)
			n = vsnprintf(b->p + b->len, b->cap - b->len, fmt,
			    again);
	}
	va_end(again);
	if (n < 0)
		b->failed = true;
	if (b->failed)
		return (-1);
	b->len += (size_t)n;
	return (0);
}

int
buf_json(struct buf *b, struct str s)
{
	static const char	hex[] = "0123456789abcdef";
	char			esc[] = "\\u0000";
	struct str		out;
	unsigned char		c;
	int			n;

	while (s.len > 0) {
		c = (unsigned char)s.s[0];
		n = str_utf8(s);
		out = (struct str){ s.s, (size_t)n };
		if (n == 0) {
			n = 1;
			out = STR("\xef\xbf\xbd");
		} else if (c == '"') {
			out = STR("\\\"");
		} else if (c == '\\') {
			out = STR("\\\\");
		} else if (c == '\n') {
			out = STR("\\n");
		} else if (c == '\r') {
			out = STR("\\r");
		} else if (c == '\t') {
			out = STR("\\t");
		} else if (c < 0x20 || c == 0x7f) {
			esc[4] = hex[c >> 4];
			esc[5] = hex[c & 15];
			out = (struct str){ esc, 6 };
		}
		if (buf_str(b, out) == -1)
			return (-1);
		s = str_slice(s, (size_t)n, s.len);
	}
	return (0);
}
