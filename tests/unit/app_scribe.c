/* SPDX-License-Identifier: MIT */
/* app/scribe.c: lines for whoever reads them by machine. */
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../app/scribe.h"
#include "unit.h"

/* How many lines file has, with the latest in line. */
static int
lines_of(const char *file, char *line, int size)
{
	FILE	*f = fopen(file, "r");
	int	 n = 0;

	CHECK_MSG(f != NULL, "there is no %s", file);
	while (fgets(line, size, f) != NULL)
		n++;
	fclose(f);
	return (n);
}

void
test_app_scribe_text(void)
{
	struct buf	 line;

	buf_init(&line, 1024);
	scribe_text(&line, 1732180000, "host", 1234567,
	    STR("http://a/\1b\nc\x7f"));
	CHECK_STR(line.p, "1732180000\1host\1screenshot\1" "1.234\1" "0\1"
	    "http://a/?b?c?\n");
	buf_release(&line);
}

void
test_app_scribe_adds_lines(void)
{
	char	 line[4096], url[3 * SCRIBE_SOURCE_MAX];
	FILE	*f = fopen("log", "w");

	fputs("what stood there\n", f);
	fclose(f);
	CHECK_INT(scribe_open("log"), 0);
	CHECK_INT(lines_of("log", line, sizeof(line)), 1);
	scribe_line(STR("http://a/"), 0);
	CHECK_INT(lines_of("log", line, sizeof(line)), 2);
	CHECK(strstr(line, "\1" "0.000\1" "0\1http://a/\n") != NULL);
	/* One line, however long. */
	memset(url, 'x', sizeof(url));
	scribe_line((struct str){ url, sizeof(url) }, 60 * 1000000);
	CHECK_INT(lines_of("log", line, sizeof(line)), 3);
	CHECK_INT(strspn(strstr(line, "\1" "60.000\1") + 10, "x"),
	    SCRIBE_SOURCE_MAX);
	/* Renamed, and then it cannot be made: that is no one's end. */
	CHECK_INT(rename("log", "log.1"), 0);
	scribe_line(STR("http://b/"), 0);
	CHECK_INT(lines_of("log", line, sizeof(line)), 1);
	CHECK_INT(rename("log", "log.2"), 0);
	CHECK_INT(mkdir("log", 0700), 0);
	scribe_line(STR("http://c/"), 0);
	CHECK_INT(lines_of("log.2", line, sizeof(line)), 1);
	CHECK_INT(lines_of("log.1", line, sizeof(line)), 3);
}

void
test_app_scribe_needs_a_file(void)
{
	errno = 0;
	CHECK_INT(scribe_open("none/log"), -1);
	CHECK_INT(errno, ENOENT);
	CHECK_INT(scribe_open("."), -1);
	CHECK_INT(errno, EISDIR);
	/* Nobody reads: no reason to wait until somebody does. */
	CHECK_INT(mkfifo("pipe", 0600), 0);
	CHECK_INT(scribe_open("pipe"), -1);
	CHECK_INT(errno, ENXIO);
}
