/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "err.h"
#include "str.h"

/* As timeout(1) has it; sysexits.h knows no deadline. */
#define EXIT_TIMED_OUT	124

static const struct {
	const char	*name;
	int		 http;
	int		 exit;
} codes[] = {
	[UFOP_OK]		= { "OK",		200,	EX_OK },
	[UFOP_BAD_INPUT]	= { "BAD_INPUT",	400,	EX_DATAERR },
	[UFOP_NO_ROUTE]		= { "NO_ROUTE",		404,	EX_USAGE },
	[UFOP_BAD_METHOD]	= { "BAD_METHOD",	405,	EX_USAGE },
	[UFOP_TOO_BIG]		= { "TOO_BIG",		413,	EX_DATAERR },
	[UFOP_BAD_MEDIA]	= { "BAD_MEDIA",	415,	EX_DATAERR },
	[UFOP_BUSY]		= { "BUSY",		429,	EX_TEMPFAIL },
	[UFOP_FAILED]		= { "FAILED",		500,	EX_SOFTWARE },
	[UFOP_BAD_SOURCE]	= { "BAD_SOURCE",	502,	EX_NOINPUT },
	[UFOP_UNAVAILABLE]	= { "UNAVAILABLE",	503,	EX_UNAVAILABLE },
	[UFOP_TIMED_OUT]	= { "TIMED_OUT",	504,	EXIT_TIMED_OUT },
	[UFOP_USAGE]		= { "USAGE",		400,	EX_USAGE },
	[UFOP_CONFIG]		= { "CONFIG",		500,	EX_CONFIG },
	[UFOP_SYSTEM]		= { "SYSTEM",		500,	EX_OSERR },
};

#define NCODES	(sizeof(codes) / sizeof(codes[0]))

/* A code that is not in the table (from a service's object) is a failure. */
static enum ufop_code
known(enum ufop_code code)
{
	return ((unsigned)code < NCODES ? code : UFOP_FAILED);
}

int
err_set(struct ufop_err *err, enum ufop_code code, const char *fmt, ...)
{
	va_list	ap;
	char	msg[UFOP_ERR_MSG_MAX], *p;

	if (err == NULL)
		return (-1);
	/* By way of a copy: what goes in may well be err->msg itself. */
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	/* It often quotes a stranger, and is printed on terminals. */
	for (p = msg; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	memcpy(err->msg, msg, strlen(msg) + 1);
	err->code = code;
	return (-1);
}

int
err_sys(struct ufop_err *err, const char *fmt, ...)
{
	int	saved = errno;
	va_list	ap;
	char	msg[UFOP_ERR_MSG_MAX];

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	err_set(err, UFOP_SYSTEM, "%s: %s", msg, strerror(saved));
	errno = saved;
	return (-1);
}

int
err_http_status(enum ufop_code code)
{
	return (codes[known(code)].http);
}

int
err_exit_status(enum ufop_code code)
{
	return (codes[known(code)].exit);
}

const char *
err_name(enum ufop_code code)
{
	return (codes[known(code)].name);
}

enum ufop_code
err_from_http(int status)
{
	enum ufop_code	code;

	if (status < 400)
		return (UFOP_OK);
	/* USAGE and what follows share a status with an earlier one. */
	for (code = UFOP_BAD_INPUT; code < UFOP_USAGE; code++) {
		if (codes[code].http == status)
			return (code);
	}
	return (status < 500 ? UFOP_BAD_INPUT : UFOP_FAILED);
}
