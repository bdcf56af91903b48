/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "reqid.h"
#include "scribe.h"

/* Of the fields beside the source. */
#define FIELDS_MAX	512

static const char	*path;
static char		 host[256];

void
scribe_text(struct buf *out, int64_t time_s, const char *name,
    int64_t runtime_us, struct str source)
{
	size_t	 i;
	char	 c;

	buf_addf(out, "%lld\x01%s\x01screenshot\x01%lld.%03lld\x01" "0\x01",
	    (long long)time_s, name, (long long)(runtime_us / 1000000),
	    (long long)(runtime_us / 1000 % 1000));
	for (i = 0; i < source.len; i++) {
		c = source.s[i];
		/* A byte that would begin a field or a line. */
		if ((unsigned char)c < 0x20 || c == 0x7f)
			c = '?';
		buf_add(out, &c, 1);
	}
	buf_cstr(out, "\n");
}

/* A pipe is waited for by nobody: a front must not stand still. */
static int
open_log(void)
{
	return (open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK |
	    O_CLOEXEC, 0644));
}

int
scribe_open(const char *file)
{
	int	 fd;

	path = file;
	(void)gethostname(host, sizeof(host) - 1);
	if ((fd = open_log()) == -1)
		return (-1);
	close(fd);
	return (0);
}

void
scribe_line(struct str source, int64_t runtime_us)
{
	struct buf	 line;
	ssize_t		 n = -1;
	int		 fd;

	buf_init(&line, SCRIBE_SOURCE_MAX + FIELDS_MAX);
	scribe_text(&line, clock_real_ms() / 1000, host, runtime_us,
	    str_slice(source, 0, SCRIBE_SOURCE_MAX));
	if ((fd = open_log()) != -1)
		n = write(fd, line.p, line.len);
	if (n != (ssize_t)line.len) {
		/* A part of it: the next write would have said why. */
		if (n != -1)
			errno = ENOSPC;
		log_err("scribe.lost file=%s why=%s", path,
		    log_quote(strerror(errno), strlen(strerror(errno))));
	}
	if (fd != -1)
		close(fd);
	buf_release(&line);
}
