/* SPDX-License-Identifier: MIT */
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "source.h"
#include "str.h"

static const struct {
	struct str	 bytes;
	size_t		 at;
	const char	*type;
} magics[] = {
	{ STR("\xff\xd8\xff"),		0, "image/jpeg" },
	{ STR("\x89PNG\r\n\x1a\n"),	0, "image/png" },
	{ STR("GIF8"),			0, "image/gif" },
	{ STR("WEBP"),			8, "image/webp" },
	{ STR("ftypavif"),		4, "image/avif" },
	{ STR("ftypheic"),		4, "image/heic" },
	{ STR("II*\0"),			0, "image/tiff" },
	{ STR("MM\0*"),			0, "image/tiff" },
	{ STR("8BPS"),			0, "image/vnd.adobe.photoshop" },
	{ STR("BM"),			0, "image/bmp" },
	{ STR("%PDF-"),			0, "application/pdf" },
	{ STR("PK\3\4"),		0, "application/zip" },
	{ STR("\x1f\x8b"),		0, "application/gzip" },
};

static const struct {
	const char	*ending;
	const char	*type;
} endings[] = {
	{ "txt",	"text/plain; charset=utf-8" },
	{ "log",	"text/plain; charset=utf-8" },
	{ "md",		"text/markdown; charset=utf-8" },
	{ "html",	"text/html; charset=utf-8" },
	{ "htm",	"text/html; charset=utf-8" },
	{ "css",	"text/css; charset=utf-8" },
	{ "csv",	"text/csv; charset=utf-8" },
	{ "js",		"text/javascript; charset=utf-8" },
	{ "json",	"application/json" },
	{ "xml",	"application/xml" },
	{ "svg",	"image/svg+xml" },
	{ "tga",	"image/x-tga" },
	{ "ppm",	"image/x-portable-pixmap" },
	{ "pgm",	"image/x-portable-graymap" },
	{ "mp3",	"audio/mpeg" },
	{ "wav",	"audio/wav" },
	{ "mp4",	"video/mp4" },
	{ "webm",	"video/webm" },
};

static const char *
guess_type(struct str head, const char *path)
{
	const char	*dot;
	size_t		 i;

	for (i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if (str_prefix(str_slice(head, magics[i].at, head.len),
		    magics[i].bytes))
			return (magics[i].type);
	}
	dot = strrchr(path, '.');
	if (dot == NULL)
		return ("");
	for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		if (strcasecmp(dot + 1, endings[i].ending) == 0)
			return (endings[i].type);
	}
	return ("");
}

static int
too_big(const char *name, int64_t max, struct ufop_err *err)
{
	return (err_set(err, UFOP_TOO_BIG, "'%s' is longer than %lld bytes, "
	    "the task's limit or ufop.max_body; send less or raise it",
	    name, (long long)max));
}

/* All of fd in a memfd, which is returned; -1 with err. */
static int
slurp(int fd, const char *name, int64_t max, struct ufop_err *err)
{
	static char	 chunk[65536];
	int64_t		 len = 0;
	ssize_t		 n;
	int		 mem;

	mem = memfd_create("ufop-source", MFD_CLOEXEC);
	if (mem == -1)
		return (err_sys(err, "cannot make a place for '%s' in memory",
		    name));
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n == -1) {
			if (errno == EINTR)
				continue;
			err_sys(err, "cannot read '%s'", name);
			goto fail;
		}
		len += n;
		if (len > max) {
			too_big(name, max, err);
			goto fail;
		}
		if (write(mem, chunk, (size_t)n) != n) {
			err_sys(err, "cannot keep '%s' in memory", name);
			goto fail;
		}
	}
	return (mem);

fail:
	close(mem);
	return (-1);
}

int
source_open(struct source *source, const char *path, int64_t max,
    struct ufop_err *err)
{
	bool		 is_stdin = strcmp(path, "-") == 0;
	const char	*name = is_stdin ? "standard input" : path;
	char		 head[16];
	struct stat	 st;
	ssize_t		 n;
	int		 fd, mem;

	fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) :
	    open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1) {
		n = errno;
		if (fd != -1)
			close(fd);
		return (err_set(err, UFOP_BAD_SOURCE, "cannot open '%s': %s",
		    name, strerror((int)n)));
	}
	if (S_ISDIR(st.st_mode)) {
		close(fd);
		return (err_set(err, UFOP_BAD_SOURCE, "'%s' is a directory, "
		    "not a file", name));
	}
	/*
	 * A regular file is used where it lies, but not when standard input
	 * stands somewhere inside one: what was read before is not the source.
	 */
	if (!S_ISREG(st.st_mode) ||
	    (is_stdin && lseek(fd, 0, SEEK_CUR) != 0)) {
		mem = slurp(fd, name, max, err);
		close(fd);
		if (mem == -1)
			return (-1);
		fd = mem;
		if (fstat(fd, &st) == -1) {
			close(fd);
			return (err_sys(err, "cannot look at '%s'", name));
		}
	}
	if (st.st_size > max) {
		close(fd);
		return (too_big(name, max, err));
	}
	n = pread(fd, head, sizeof(head), 0);
	source->fd = fd;
	source->len = (uint64_t)st.st_size;
	source->type = guess_type((struct str){ head, n > 0 ? (size_t)n : 0 },
	    is_stdin ? "" : path);
	return (0);
}

void
source_close(struct source *source)
{
	if (source->fd != -1)
		close(source->fd);
	source->fd = -1;
}
