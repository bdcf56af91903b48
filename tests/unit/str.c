/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"
#include "unit.h"

void
test_str_compare(void)
{
	CHECK(str_eq(STR("abc"), STR("abc")));
	CHECK(!str_eq(STR("abc"), STR("abd")));
	CHECK(!str_eq(STR("abc"), STR("ab")));
	CHECK(str_eq(STR_NULL, STR("")));
	CHECK(str_eq(STR("a\0b"), STR("a\0b")));
	CHECK(!str_eq(STR("a\0b"), STR("a\0c")));
	CHECK(str_eq_c(STR("abc"), "abc"));
	CHECK(str_eq_c(STR_NULL, ""));
	CHECK(str_eq(str_from(NULL), STR_NULL));
	CHECK(str_prefix(STR("abc"), STR("ab")));
	CHECK(str_prefix(STR("abc"), STR_NULL));
	CHECK(!str_prefix(STR("ab"), STR("abc")));
	CHECK(!str_prefix(STR("abc"), STR("b")));
}

void
test_str_find(void)
{
	CHECK_INT(str_find(STR("a/b/c"), '/'), 1);
	CHECK_INT(str_find(STR("abc"), '/'), -1);
	CHECK_INT(str_find(STR_NULL, '/'), -1);
	CHECK_INT(str_find(STR("ab\0c"), '\0'), 2);
	/* The view ends where it ends, whatever stands behind. */
	CHECK_INT(str_find((struct str){ "abc", 2 }, 'c'), -1);
}

void
test_str_slice(void)
{
	static const struct {
		size_t		 from, to;
		const char	*want;
	} cases[] = {
		{ 0, 5, "hello" }, { 1, 3, "el" }, { 3, 99, "lo" },
		{ 5, 5, "" }, { 9, 12, "" }, { 3, 2, "" },
		{ 0, SIZE_MAX, "hello" },
	};
	size_t	i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_MSG(str_eq_c(str_slice(STR("hello"), cases[i].from,
		    cases[i].to), cases[i].want), "row %zu", i);
	}
	CHECK(str_slice(STR_NULL, 0, 3).s == NULL);
}

void
test_str_trim(void)
{
	CHECK(str_eq_c(str_trim(STR(" \t a b\t ")), "a b"));
	CHECK(str_eq_c(str_trim(STR(" \t ")), ""));
	CHECK(str_eq_c(str_trim(STR("a\n")), "a\n"));
	CHECK(str_trim(STR_NULL).len == 0);
}

void
test_str_cut(void)
{
	struct str	rest = STR("a||bc");

	CHECK(str_eq_c(str_cut(&rest, '|'), "a"));
	CHECK(rest.s != NULL);
	CHECK(str_eq_c(str_cut(&rest, '|'), ""));
	CHECK(rest.s != NULL);
	CHECK(str_eq_c(str_cut(&rest, '|'), "bc"));
	CHECK(rest.s == NULL);

	/* A separator at the end leaves an empty rest, which is not none. */
	rest = STR("a|");
	CHECK(str_eq_c(str_cut(&rest, '|'), "a"));
	CHECK(rest.s != NULL && rest.len == 0);
	CHECK(str_eq_c(str_cut(&rest, '|'), ""));
	CHECK(rest.s == NULL);
}

void
test_str_int(void)
{
	static const struct {
		const char	*text;
		int64_t		 min, max;
		int		 ret;
		int64_t		 want;
	} cases[] = {
		{ "0", 0, 10, 0, 0 },
		{ "10", 0, 10, 0, 10 },
		{ "007", 0, 10, 0, 7 },
		{ "-3", -5, 5, 0, -3 },
		{ "-0", 0, 5, 0, 0 },
		{ "11", 0, 10, -1, 0 },
		{ "-1", 0, 10, -1, 0 },
		{ "", 0, 10, -1, 0 },
		{ "-", -9, 10, -1, 0 },
		{ "+1", 0, 10, -1, 0 },
		{ " 1", 0, 10, -1, 0 },
		{ "1 ", 0, 10, -1, 0 },
		{ "1x", 0, 10, -1, 0 },
		{ "0x1", 0, 10, -1, 0 },
		{ "--1", -9, 10, -1, 0 },
		{ "9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX },
		{ "-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN },
		{ "9223372036854775808", INT64_MIN, INT64_MAX, -1, 0 },
		{ "-9223372036854775809", INT64_MIN, INT64_MAX, -1, 0 },
		{ "99999999999999999999999", INT64_MIN, INT64_MAX, -1, 0 },
		{ "18446744073709551617", 0, 10, -1, 0 },
	};
	int64_t	n;
	size_t	i;
	int	r;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n = 4711;
		r = str_int(str_from(cases[i].text), cases[i].min,
		    cases[i].max, &n);
		CHECK_MSG(r == cases[i].ret &&
		    n == (r == 0 ? cases[i].want : 4711),
		    "'%s' gave %d, %lld", cases[i].text, r, (long long)n);
	}
	CHECK_INT(str_int(STR("1\0"), 0, 10, &n), -1);
}

void
test_str_utf8(void)
{
	static const struct {
		const char	*text;
		int		 want;
	} cases[] = {
		{ "", 0 }, { "a", 1 }, { "\x7f", 1 },
		{ "\x80", 0 }, { "\xc1\xbf", 0 },		/* overlong */
		{ "\xc2\x80", 2 }, { "\xdf\xbf", 2 }, { "\xc3", 0 },
		{ "\xc3z", 0 }, { "\xe0\x9f\xbf", 0 }, { "\xe0\xa0\x80", 3 },
		{ "\xed\x9f\xbf", 3 }, { "\xed\xa0\x80", 0 },	/* surrogate */
		{ "\xef\xbf\xbd", 3 }, { "\xe2\x82", 0 }, { "\xe2\x82z", 0 },
		{ "\xf0\x8f\xbf\xbf", 0 }, { "\xf0\x90\x80\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 }, { "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 }, { "\xf0\x9f\x98z", 0 },
	};
	size_t	i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_MSG(str_utf8(str_from(cases[i].text)) == cases[i].want,
		    "row %zu gave %d", i, str_utf8(str_from(cases[i].text)));
	}
}

void
test_str_pct_decode(void)
{
	static const struct {
		const char	*in;
		bool		 plus;
		int		 ret;
		const char	*want;
	} cases[] = {
		{ "", false, 0, "" },
		{ "a%7Cb", false, 3, "a|b" },
		{ "a%7cb", false, 3, "a|b" },
		{ "a+b", false, 3, "a+b" },
		{ "a+b", true, 3, "a b" },
		{ "%2B", true, 1, "+" },
		{ "%25%32", false, 2, "%2" },
		{ "x%00y", false, 3, "x\0y" },
		{ "%", false, -1, NULL },
		{ "%4", false, -1, NULL },
		{ "%4g", false, -1, NULL },
		{ "%g4", false, -1, NULL },
		{ "% 4", false, -1, NULL },
		{ "ok%", false, -1, NULL },
	};
	char	*dst;
	size_t	 i, len;
	int	 r;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].in);
		/* Exactly as much as the header asks for. */
		dst = malloc(len == 0 ? 1 : len);
		r = str_pct_decode(dst, str_from(cases[i].in), cases[i].plus);
		CHECK_MSG(r == cases[i].ret, "'%s' gave %d", cases[i].in, r);
		if (r > 0)
			CHECK_MSG(memcmp(dst, cases[i].want, (size_t)r) == 0,
			    "'%s'", cases[i].in);
		free(dst);
	}
}

void
test_str_b64_decode(void)
{
	static const struct {
		const char	*in;
		int		 ret;
		const char	*want;
	} cases[] = {
		{ "", 0, "" },
		{ "Zg==", 1, "f" }, { "Zg", 1, "f" },
		{ "Zm8=", 2, "fo" }, { "Zm8", 2, "fo" },
		{ "Zm9v", 3, "foo" },
		{ "Zm9vYg==", 4, "foob" }, { "Zm9vYmFy", 6, "foobar" },
		{ "_-8=", 2, "\xff\xef" }, { "/+8", 2, "\xff\xef" },
		{ "AAAA", 3, "\0\0\0" },
		{ "cWluaXVwaG90b3M6Z29nb3BoZXIuanBn", 24,
		    "qiniuphotos:gogopher.jpg" },
		{ "Z", -1, NULL }, { "Zm9vZ", -1, NULL },
		{ "Z===", -1, NULL }, { "Zg=", -1, NULL },
		{ "Zm9v=", -1, NULL }, { "Zm9v====", -1, NULL },
		{ "Zg==Zg==", -1, NULL }, { "Zm 9v", -1, NULL },
		{ "Zm9v\n", -1, NULL }, { "=", -1, NULL }, { "Zm9*", -1, NULL },
	};
	unsigned char	*dst;
	size_t		 i;
	int		 r;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		dst = malloc(strlen(cases[i].in) * 3 / 4 + 1);
		r = str_b64_decode(dst, str_from(cases[i].in));
		CHECK_MSG(r == cases[i].ret, "'%s' gave %d", cases[i].in, r);
		if (r > 0)
			CHECK_MSG(memcmp(dst, cases[i].want, (size_t)r) == 0,
			    "'%s'", cases[i].in);
		free(dst);
	}
}

void
test_buf_grows_to_its_ceiling(void)
{
	struct buf	b;
	int		i;

	buf_init(&b, 1000);
	CHECK(b.p == NULL);
	for (i = 0; i < 100; i++)
		CHECK_INT(buf_cstr(&b, "0123456789"), 0);
	CHECK_INT(b.len, 1000);
	CHECK_INT(strlen(b.p), 1000);
	CHECK(b.cap <= 1001);

	/* What does not fit spoils it for good, and is not there in part. */
	CHECK_INT(buf_add(&b, "x", 1), -1);
	CHECK(b.failed);
	CHECK_INT(b.len, 1000);
	CHECK_INT(buf_add(&b, "", 0), -1);

	buf_clear(&b);
	CHECK(!b.failed);
	CHECK_STR(b.p, "");
	CHECK_INT(buf_reserve(&b, SIZE_MAX), -1);
	buf_release(&b);
	CHECK(b.p == NULL);
	CHECK_INT(b.max, 1000);
}

void
test_buf_addf(void)
{
	struct buf	b;
	char		wide[301];

	buf_init(&b, 400);
	CHECK_INT(buf_addf(&b, "%s=%d", "a", 1), 0);
	memset(wide, 'w', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	/* Longer than the first allocation: printed a second time. */
	CHECK_INT(buf_addf(&b, " %s", wide), 0);
	CHECK_INT(b.len, 304);
	CHECK_INT(strlen(b.p), 304);
	CHECK_INT(strncmp(b.p, "a=1 www", 7), 0);
	CHECK_INT(buf_addf(&b, " %s", wide), -1);
	CHECK_INT(b.len, 304);
	CHECK_INT(strlen(b.p), 304);
	buf_release(&b);
}

void
test_buf_json(void)
{
	static const struct {
		struct str	 in;
		const char	*want;
	} cases[] = {
		{ { "plain", 5 }, "plain" },
		{ { "a\"b\\c/", 6 }, "a\\\"b\\\\c/" },
		{ { "\n\r\t", 3 }, "\\n\\r\\t" },
		{ { "\0\x1f\x7f", 3 }, "\\u0000\\u001f\\u007f" },
		{ { "\xc3\xa9\xf0\x9f\x98\x80", 6 },
		    "\xc3\xa9\xf0\x9f\x98\x80" },
		{ { "\xff\xc3", 2 }, "\xef\xbf\xbd\xef\xbf\xbd" },
		/* The view ends inside a character that goes on behind it. */
		{ { "\xc3\xa9", 1 }, "\xef\xbf\xbd" },
	};
	struct buf	b;
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_init(&b, 100);
		CHECK_INT(buf_json(&b, cases[i].in), 0);
		CHECK_STR(b.p, cases[i].want);
		buf_release(&b);
	}
	buf_init(&b, 5);
	CHECK_INT(buf_json(&b, STR("\x01")), -1);
	buf_release(&b);
}
