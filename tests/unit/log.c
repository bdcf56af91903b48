/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "str.h"
#include "unit.h"

static char	captured[16384];

static int
capture_begin(void)
{
	int	fd = open("log", O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK(fd != -1);
	CHECK(dup2(fd, STDERR_FILENO) != -1);
	return (fd);
}

/* What was logged since, in captured. */
static void
capture_end(int fd)
{
	ssize_t	n = pread(fd, captured, sizeof(captured) - 1, 0);

	CHECK(n >= 0);
	captured[n] = '\0';
	close(fd);
}

/* "2026-01-02T03:04:05.678Z " stands in front of each line. */
#define STAMP	25

void
test_log_line(void)
{
	int	fd = capture_begin();

	log_open("worker", LOG_LEVEL_INFO);
	errno = EAGAIN;
	log_info("job.done id=%s status=%d", "abc", 200);
	CHECK_INT(errno, EAGAIN);
	log_debug("not.seen");
	log_err("two\nlines\r\x1b[31m \x7f");
	capture_end(fd);
	CHECK_INT(captured[10], 'T');
	CHECK_INT(captured[STAMP - 2], 'Z');
	CHECK_INT(strncmp(captured + STAMP,
	    "info worker job.done id=abc status=200\n", 39), 0);
	CHECK_STR(captured + STAMP + 39 + STAMP,
	    "err worker two\\x0alines\\x0d\\x1b[31m \\x7f\n");
}

void
test_log_bytes(void)
{
	int	fd = capture_begin();

	log_open("front", LOG_LEVEL_DEBUG);
	/* UTF-8 stays; a stray byte and the C1 control U+009B do not. */
	log_debug("a=\xc3\xa9 b=\xff c=\xc2\x9b[2J d=\xe5\xbe\x8b");
	capture_end(fd);
	CHECK_STR(captured + STAMP,
	    "debug front a=\xc3\xa9 b=\\xff c=\\xc2\\x9b[2J d=\xe5\xbe\x8b\n");
}

void
test_log_long_line_is_cut(void)
{
	char	big[10000];
	int	fd = capture_begin();

	memset(big, '\x01', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_open("front", LOG_LEVEL_INFO);
	log_warn("%s", big);
	capture_end(fd);
	CHECK(strlen(captured) <= 4096 && strlen(captured) > 4000);
	CHECK_STR(captured + strlen(captured) - 5, "\\x01\n");
}

void
test_log_levels(void)
{
	static const struct {
		const char	*name;
		int		 ret;
		enum log_level	 level;
	} cases[] = {
		{ "err", 0, LOG_LEVEL_ERR }, { "warn", 0, LOG_LEVEL_WARN },
		{ "info", 0, LOG_LEVEL_INFO }, { "debug", 0, LOG_LEVEL_DEBUG },
		{ "Info", -1, LOG_LEVEL_ERR }, { "", -1, LOG_LEVEL_ERR },
	};
	enum log_level	level;
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		level = LOG_LEVEL_ERR;
		CHECK_INT(log_level_parse(cases[i].name, &level),
		    cases[i].ret);
		CHECK_INT(level, cases[i].level);
	}
	log_open("x", LOG_LEVEL_WARN);
	CHECK_INT(log_level(), LOG_LEVEL_WARN);
}

void
test_log_quote(void)
{
	static const struct {
		const char	*in, *want;
	} cases[] = {
		{ "plain", "plain" },
		{ "/q/crop/800,600", "/q/crop/800,600" },
		{ "", "\"\"" },
		{ "two words", "\"two words\"" },
		{ "a=b", "\"a=b\"" },
		{ "say \"hi\"", "\"say \\\"hi\\\"\"" },
		{ "back\\slash", "\"back\\\\slash\"" },
		{ "new\nline", "\"new\nline\"" },
		{ "\xc3\xa9", "\"\xc3\xa9\"" },
	};
	const char	*four[4];
	char		 big[2000];
	size_t		 i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_STR(log_quote(cases[i].in, strlen(cases[i].in)),
		    cases[i].want);
	}
	CHECK_STR(log_quote("a\0b", 3), "\"a?b\"");

	for (i = 0; i < 4; i++)
		four[i] = log_quote(&"abcd"[i], 1);
	CHECK_STR(four[0], "a");
	CHECK_STR(four[3], "d");

	memset(big, '"', sizeof(big));
	CHECK_INT(strlen(log_quote(big, sizeof(big))), 2 * 512 + 2 + 3);
	memset(big, 'x', sizeof(big));
	CHECK_INT(strlen(log_quote(big, sizeof(big))), 512 + 3);
	CHECK_INT(strlen(log_quote(big, 512)), 512);
}
