/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "str.h"

/* A longer line is cut; one write() of up to PIPE_BUF bytes is never mixed. */
#define LINE_MAX	4096
/* Characters of a value as log_quote() shows it; what follows is "...". */
#define QUOTE_MAX	512

static const char *const levels[] = {
	[LOG_LEVEL_ERR] = "err",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static const char	*process = "ufop";
static enum log_level	 threshold = LOG_LEVEL_INFO;

void
log_open(const char *proc, enum log_level level)
{
	process = proc;
	threshold = level;
}

enum log_level
log_level(void)
{
	return (threshold);
}

int
log_level_parse(const char *name, enum log_level *level)
{
	size_t	i;

	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(name, levels[i]) == 0) {
			*level = (enum log_level)i;
			return (0);
		}
	}
	return (-1);
}

/*
 * Whether the character of n bytes at p may stand in a line as it is.  C1
 * controls (U+0080 to U+009F) are kept out too: terminals obey them.
 */
static bool
is_printable(const char *p, int n)
{
	unsigned char	c = (unsigned char)p[0];

	if (n == 1)
		return (c >= 0x20 && c != 0x7f);
	return (n > 1 && !(c == 0xc2 && (unsigned char)p[1] < 0xa0));
}

/*
 * Copy src to dst (size bytes), bytes that are not printable as \xNN, and
 * return how many bytes came out.  Stops before a character that does not fit.
 */
static size_t
copy_visible(char *dst, size_t size, struct str src)
{
	size_t	out = 0;
	int	n;

	while (src.len > 0) {
		n = str_utf8(src);
		if (is_printable(src.s, n)) {
			if (size - out < (size_t)n)
				break;
			memcpy(dst + out, src.s, (size_t)n);
			out += (size_t)n;
		} else {
			n = 1;
			/* snprintf() wants room for a NUL as well. */
			if (size - out < sizeof("\\x00"))
				break;
			snprintf(dst + out, size - out, "\\x%02x",
			    (unsigned char)src.s[0]);
			out += 4;
		}
		src = str_slice(src, (size_t)n, src.len);
	}
	return (out);
}

static void
vlog(enum log_level level, const char *fmt, va_list ap)
{
	int		saved = errno, n;
	char		text[LINE_MAX], line[LINE_MAX];
	struct timespec	now;
	struct tm	tm;
	size_t		len, text_len;
	ssize_t		wrote;

	if (level > threshold)
		return;
	/* UTC, also because localtime_r() reads files that a sandbox closes. */
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	len += (size_t)snprintf(line + len, sizeof(line) - len,
	    ".%03ldZ %s %.32s ", now.tv_nsec / 1000000, levels[level], process);

	errno = saved;		/* fmt may hold %m */
	n = vsnprintf(text, sizeof(text), fmt, ap);
	text_len = n < 0 ? 0 : (size_t)n;
	if (text_len >= sizeof(text))
		text_len = sizeof(text) - 1;
	len += copy_visible(line + len, sizeof(line) - len - 1,
	    (struct str){ text, text_len });
	line[len++] = '\n';

	/* Nobody is left to be told when stderr is gone. */
	do {
		wrote = write(STDERR_FILENO, line, len);
	} while (wrote == -1 && errno == EINTR);
	errno = saved;
}

void
log_err(const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	vlog(LOG_LEVEL_ERR, fmt, ap);
	va_end(ap);
}

void
log_warn(const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	vlog(LOG_LEVEL_WARN, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	vlog(LOG_LEVEL_INFO, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list	ap;

	va_start(ap, fmt);
	vlog(LOG_LEVEL_DEBUG, fmt, ap);
	va_end(ap);
}

static bool
is_plain(const char *s, size_t len)
{
	size_t	i;

	for (i = 0; i < len; i++) {
		if (s[i] <= ' ' || s[i] >= 0x7f || s[i] == '"' ||
		    s[i] == '\\' || s[i] == '=')
			return (false);
	}
	return (len > 0);
}

const char *
log_quote(const char *s, size_t len)
{
	static char	 ring[4][2 * QUOTE_MAX + sizeof("\"\"...")];
	static unsigned	 turn;
	char		*out = ring[turn++ % 4];
	bool		 cut = len > QUOTE_MAX;
	size_t		 i, n = 0;

	if (cut)
		len = QUOTE_MAX;
	if (is_plain(s, len)) {
		memcpy(out, s, len);
		n = len;
	} else {
		out[n++] = '"';
		for (i = 0; i < len; i++) {
			if (s[i] == '"' || s[i] == '\\')
				out[n++] = '\\';
			/* The line ends at a NUL; every other byte is shown there. */
			out[n++] = s[i] == '\0' ? '?' : s[i];
		}
		out[n++] = '"';
	}
	memcpy(out + n, cut ? "..." : "", cut ? 4 : 1);
	return (out);
}
