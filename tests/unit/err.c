/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "err.h"
#include "unit.h"

void
test_err_codes(void)
{
	static const struct {
		enum ufop_code	 code;
		int		 http, exit;
		const char	*name;
	} cases[] = {
		{ UFOP_OK,		200,   0, "OK" },
		{ UFOP_BAD_INPUT,	400,  65, "BAD_INPUT" },
		{ UFOP_NO_ROUTE,	404,  64, "NO_ROUTE" },
		{ UFOP_BAD_METHOD,	405,  64, "BAD_METHOD" },
		{ UFOP_TOO_BIG,		413,  65, "TOO_BIG" },
		{ UFOP_BAD_MEDIA,	415,  65, "BAD_MEDIA" },
		{ UFOP_BUSY,		429,  75, "BUSY" },
		{ UFOP_FAILED,		500,  70, "FAILED" },
		{ UFOP_BAD_SOURCE,	502,  66, "BAD_SOURCE" },
		{ UFOP_UNAVAILABLE,	503,  69, "UNAVAILABLE" },
		{ UFOP_TIMED_OUT,	504, 124, "TIMED_OUT" },
		{ UFOP_USAGE,		400,  64, "USAGE" },
		{ UFOP_CONFIG,		500,  78, "CONFIG" },
		{ UFOP_SYSTEM,		500,  71, "SYSTEM" },
		{ (enum ufop_code)99,	500,  70, "FAILED" },
	};
	size_t	i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_INT(err_http_status(cases[i].code), cases[i].http);
		CHECK_INT(err_exit_status(cases[i].code), cases[i].exit);
		CHECK_STR(err_name(cases[i].code), cases[i].name);
	}
}

void
test_err_from_http(void)
{
	static const struct {
		int		 status;
		enum ufop_code	 code;
	} cases[] = {
		{ 200, UFOP_OK }, { 304, UFOP_OK }, { 399, UFOP_OK },
		{ 400, UFOP_BAD_INPUT }, { 404, UFOP_NO_ROUTE },
		{ 405, UFOP_BAD_METHOD }, { 413, UFOP_TOO_BIG },
		{ 415, UFOP_BAD_MEDIA }, { 422, UFOP_BAD_INPUT },
		{ 429, UFOP_BUSY }, { 500, UFOP_FAILED }, { 501, UFOP_FAILED },
		{ 502, UFOP_BAD_SOURCE }, { 503, UFOP_UNAVAILABLE },
		{ 504, UFOP_TIMED_OUT }, { 599, UFOP_FAILED },
	};
	size_t	i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_MSG(err_from_http(cases[i].status) == cases[i].code,
		    "%d became %s", cases[i].status,
		    err_name(err_from_http(cases[i].status)));
	}
}

void
test_err_set(void)
{
	struct ufop_err	err = { UFOP_OK, "" };
	char		big[2 * UFOP_ERR_MSG_MAX];

	CHECK_INT(err_set(&err, UFOP_BUSY, "%d jobs wait", 7), -1);
	CHECK_INT(err.code, UFOP_BUSY);
	CHECK_STR(err.msg, "7 jobs wait");

	/* A caller adds what it knows to the message that is there. */
	err_set(&err, err.code, "pool 'cpu': %s", err.msg);
	CHECK_STR(err.msg, "pool 'cpu': 7 jobs wait");

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&err, UFOP_FAILED, "%s", big);
	CHECK_INT(strlen(err.msg), UFOP_ERR_MSG_MAX - 1);

	err_set(&err, UFOP_FAILED, "%s", "a\nb\x1b[31m\x7f \xc3\xa9");
	CHECK_STR(err.msg, "a?b?[31m? \xc3\xa9");

	CHECK_INT(err_set(NULL, UFOP_FAILED, "nobody asked"), -1);
}

void
test_err_sys(void)
{
	struct ufop_err	err = { UFOP_OK, "" };

	errno = ENOENT;
	CHECK_INT(err_sys(&err, "cannot open '%s'", "a.png"), -1);
	CHECK_INT(err.code, UFOP_SYSTEM);
	CHECK_STR(err.msg, "cannot open 'a.png': No such file or directory");
	CHECK_INT(errno, ENOENT);
	CHECK_INT(err_sys(NULL, "x"), -1);
}
