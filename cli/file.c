/* SPDX-License-Identifier: MIT */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "arena.h"
#include "file.h"

int
file_read(const char *path, size_t max, struct buf *out, struct ufop_err *err)
{
	char	chunk[16384];
	ssize_t	n = -1;
	int	fd;

	buf_init(out, max);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd != -1) {
		while ((n = read(fd, chunk, sizeof(chunk))) > 0)
			buf_add(out, chunk, (size_t)n);
		close(fd);
	}
	if (n == -1)
		return (err_sys(err, "cannot read '%s'", path));
	if (out->failed)
		return (err_set(err, UFOP_TOO_BIG, "cannot read '%s': it has "
		    "more than %zu bytes", path, max));
	return (0);
}

int
file_write(int fd, struct str text)
{
	ssize_t	n;

	while (text.len > 0) {
		n = write(fd, text.s, text.len);
		if (n == -1 && errno != EINTR)
			return (-1);
		if (n > 0)
			text = str_slice(text, (size_t)n, text.len);
	}
	return (0);
}

static mode_t
new_mode(void)
{
	mode_t	mask = umask(0);

	umask(mask);
	return (0666 & ~mask);
}

int
file_replace(const char *path, struct str content, struct ufop_err *err)
{
	bool		 there, special;
	struct stat	 st;
	char		*tmp = NULL;
	int		 fd, rc = -1;

	there = stat(path, &st) == 0;
	special = there && !S_ISREG(st.st_mode);
	if (!special)
		tmp = xasprintf("%s.XXXXXX", path);
	fd = special ? open(path, O_WRONLY | O_CLOEXEC) :
	    mkostemp(tmp, O_CLOEXEC);
	if (fd == -1) {
		err_sys(err, "cannot write '%s'", path);
		free(tmp);
		return (-1);
	}
	if (file_write(fd, content) == 0 && (special || fchmod(fd, there ?
	    st.st_mode & 07777 : new_mode()) == 0))
		rc = 0;
	if (close(fd) == -1 || rc == -1 ||
	    (tmp != NULL && rename(tmp, path) == -1)) {
		rc = err_sys(err, "cannot write '%s'", path);
		if (tmp != NULL)
			unlink(tmp);
	}
	free(tmp);
	return (rc);
}
