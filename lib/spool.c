/* SPDX-License-Identifier: MIT */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "reqid.h"
#include "spool.h"
#include "tree.h"

#define NAME_HEX	12
#define BOOT_ID		"/proc/sys/kernel/random/boot_id"

/* FNV-1a; the id only has to differ between spools, not to keep a secret. */
static uint64_t
hash(uint64_t h, const void *data, size_t len)
{
	const unsigned char	*p = data;

	while (len-- > 0)
		h = (h ^ *p++) * 0x100000001b3ULL;
	return (h);
}

static uint64_t
spool_identity(const struct stat *st)
{
	char		 boot[64] = "";
	uint64_t	 h = 0xcbf29ce484222325ULL, dev = st->st_dev,
			 ino = st->st_ino;
	ssize_t		 n;
	int		 fd;

	if ((fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC)) != -1) {
		n = read(fd, boot, sizeof(boot));
		h = hash(h, boot, n > 0 ? n : 0);
		close(fd);
	}
	h = hash(h, &dev, sizeof(dev));
	h = hash(h, &ino, sizeof(ino));
	return (h == 0 ? 1 : h);
}

int
spool_open(struct spool *sp, const char *dir, struct ufop_err *err)
{
	struct stat	 st;

	sp->dirfd = -1;
	sp->id = 0;
	if (strlen(dir) >= sizeof(sp->path))
		return (err_set(err, UFOP_CONFIG, "spool.dir is longer than "
		    "%zu bytes; choose a shorter path", sizeof(sp->path) - 1));
	if (mkdir(dir, 0711) == -1 && errno != EEXIST)
		return (err_sys(err, "cannot make the spool '%s' (setting "
		    "spool.dir)", dir));
	sp->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sp->dirfd == -1 || fstat(sp->dirfd, &st) == -1) {
		err_sys(err, "cannot open the spool '%s' (setting spool.dir)",
		    dir);
		spool_close(sp);
		return (-1);
	}
	if (faccessat(sp->dirfd, ".", R_OK | W_OK | X_OK, AT_EACCESS) == -1) {
		err_sys(err, "cannot write to the spool '%s' (setting "
		    "spool.dir; another user's?)", dir);
		spool_close(sp);
		return (-1);
	}
	snprintf(sp->path, sizeof(sp->path), "%s", dir);
	sp->id = spool_identity(&st);
	return (0);
}

void
spool_close(struct spool *sp)
{
	if (sp->dirfd != -1)
		close(sp->dirfd);
	sp->dirfd = -1;
	sp->id = 0;
}

void
spool_name(char out[SPOOL_NAME_MAX], int64_t left_ms, bool out_going)
{
	char	 id[REQID_LEN + 1];

	reqid_make(id);
	snprintf(out, SPOOL_NAME_MAX, "%012llx-%s.%s",
	    (unsigned long long)(clock_real_ms() + left_ms) & 0xffffffffffffULL,
	    id, out_going ? "out" : "in");
}

bool
spool_name_ok(struct str name)
{
	size_t	 i;

	if (name.len <= NAME_HEX + 1 || name.len >= SPOOL_NAME_MAX ||
	    name.s[NAME_HEX] != '-')
		return (false);
	for (i = 0; i < name.len; i++)
		if (memchr("0123456789abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.", name.s[i], 65) == NULL)
			return (false);
	return (true);
}

int
spool_tmpfile(const struct spool *sp, struct ufop_err *err)
{
	int	 fd;

	fd = openat(sp->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1) {
		err_sys(err, "cannot make a file in the spool '%s'", sp->path);
		if (err != NULL && (errno == ENOSPC || errno == EDQUOT))
			err->code = UFOP_UNAVAILABLE;
	}
	return (fd);
}

int
spool_link(const struct spool *sp, int fd, const char *name,
    struct ufop_err *err)
{
	if (tree_link(fd, sp->dirfd, name) == -1)
		return (err_sys(err, "cannot name a file in the spool '%s'",
		    sp->path));
	return (0);
}

int
spool_read(const struct spool *sp, struct str name, uint64_t *len,
    struct ufop_err *err)
{
	char		 path[SPOOL_NAME_MAX];
	struct stat	 st;
	int		 fd;

	if (sp->dirfd == -1)
		return (err_set(err, UFOP_UNAVAILABLE, "there is no spool here "
		    "to read a body from; set spool.dir on both sides"));
	if (!spool_name_ok(name))
		return (err_set(err, UFOP_BAD_INPUT,
		    "this is no name of a spool file"));
	memcpy(path, name.s, name.len);
	path[name.len] = '\0';
	fd = openat(sp->dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		err_sys(err, "cannot open the body '%s' in the spool", path);
		if (fd != -1)
			close(fd);
		return (-1);
	}
	*len = st.st_size;
	return (fd);
}

void
spool_remove(const struct spool *sp, struct str name)
{
	char	 path[SPOOL_NAME_MAX];

	if (sp->dirfd == -1 || !spool_name_ok(name))
		return;
	memcpy(path, name.s, name.len);
	path[name.len] = '\0';
	if (unlinkat(sp->dirfd, path, 0) == -1 && errno != ENOENT)
		log_warn("spool.unremoved file=%s why=%s", path,
		    strerror(errno));
}

int
spool_sweep(const struct spool *sp)
{
	struct dirent		*de;
	unsigned long long	 deadline;
	int64_t			 now = clock_real_ms();
	char			*end;
	DIR			*dir;
	int			 fd, n = 0;

	if (sp->dirfd == -1)
		return (0);
	/* A descriptor of its own: readdir moves the offset. */
	fd = openat(sp->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || (dir = fdopendir(fd)) == NULL) {
		if (fd != -1)
			close(fd);
		return (0);
	}
	while ((de = readdir(dir)) != NULL) {
		if (!spool_name_ok(str_from(de->d_name)))
			continue;
		deadline = strtoull(de->d_name, &end, 16);
		if (end != de->d_name + NAME_HEX ||
		    (int64_t)deadline + SPOOL_GRACE_MS > now)
			continue;
		if (unlinkat(sp->dirfd, de->d_name, 0) == 0)
			n++;
	}
	closedir(dir);
	if (n > 0)
		log_info("spool.sweep removed=%d", n);
	return (n);
}
