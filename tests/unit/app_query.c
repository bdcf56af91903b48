/* SPDX-License-Identifier: MIT */
/* app/query.c: parameters and source urls. */
#include <string.h>

#include "../../app/query.h"
#include "unit.h"

void
test_app_query_finds_parameters(void)
{
	static const struct {
		const char	*query, *value;		/* of cmd */
	} rows[] = {
		{ "cmd=a", "a" },
		{ "x=1&cmd=a&y=2", "a" },
		{ "cmd=a&cmd=b", "a" },
		{ "cmd=", "" },
		{ "cmd=a=b", "a=b" },
		{ "cmd&cmd=b", "b" },
		{ "cmd", NULL },
		{ "cmdx=a", NULL },
		{ "xcmd=a", NULL },
		{ "CMD=a", NULL },
		{ "", NULL },
		{ "&&=&cmd=z", "z" },
	};
	struct str	 value;
	size_t		 i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		value = query_get(str_from(rows[i].query), "cmd");
		CHECK_MSG(rows[i].value == NULL ? value.s == NULL :
		    value.s != NULL && str_eq_c(value, rows[i].value),
		    "%s", rows[i].query);
	}
	CHECK(query_get(STR_NULL, "cmd").s == NULL);
	CHECK(query_has(STR("live"), "live"));
	CHECK(query_has(STR("a&live=1"), "live"));
	CHECK(!query_has(STR("alive"), "live"));
	CHECK(!query_has(STR_NULL, "live"));
}

void
test_app_query_decodes(void)
{
	char		 dst[100];
	struct str	 out;
	struct ufop_err	 err;

	CHECK_INT(query_decode(dst, STR("q%2Fa%7cb+c"), true, "cmd", &out,
	    &err), 0);
	CHECK(str_eq_c(out, "q/a|b c"));
	CHECK_INT(query_decode(dst, STR("a+b"), false, "cmd", &out, &err), 0);
	CHECK(str_eq_c(out, "a+b"));
	CHECK_INT(query_decode(dst, STR("a%4"), true, "cmd", &out, &err), -1);
	CHECK_INT(err.code, UFOP_BAD_INPUT);
	CHECK(strncmp(err.msg, "cmd has a %", 11) == 0);
	CHECK_INT(query_decode(dst, STR("%zz"), true, "url", &out, &err), -1);
	CHECK(strncmp(err.msg, "url has a %", 11) == 0);
}

void
test_app_query_checks_urls(void)
{
	static const struct {
		const char	*url, *word;	/* of the sentence; NULL: legal */
	} rows[] = {
		{ "http://a", NULL },
		{ "HTTPS://a.b/c?d#e", NULL },
		{ "http://[::1]:80/", NULL },
		{ "http://u:p@h/", NULL },
		{ "http://h/\xe5\x9b\xbe.jpg", NULL },
		{ "", "http://" },
		{ "ftp://a", "http://" },
		{ "file:///etc/passwd", "http://" },
		{ "//a/b", "http://" },
		{ "http://", "http://" },
		{ "http:///a", "host" },
		{ "http://?a", "host" },
		{ "http://:80/", "host" },
		{ "http://a/b c", "space" },
		{ "http://a/\r\nX: y", "space" },
		{ "http://a/\x7f", "space" },
	};
	struct ufop_err	 err;
	size_t		 i;
	int		 rc;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		err = (struct ufop_err){ 0 };
		rc = query_check_url(str_from(rows[i].url), &err);
		CHECK_MSG(rows[i].word == NULL ? rc == 0 : rc == -1 &&
		    err.code == UFOP_BAD_INPUT &&
		    strstr(err.msg, rows[i].word) != NULL, "'%s': %s",
		    rows[i].url, err.msg);
	}
}

void
test_app_query_url_has_a_limit(void)
{
	static char	 url[QUERY_URL_MAX + 1];
	struct ufop_err	 err;

	memset(url, 'a', sizeof(url));
	memcpy(url, "http://", 7);
	CHECK_INT(query_check_url((struct str){ url, QUERY_URL_MAX }, &err), 0);
	CHECK_INT(query_check_url((struct str){ url, QUERY_URL_MAX + 1 },
	    &err), -1);
}
