/* SPDX-License-Identifier: MIT */
/* Namespaces for the browser; see jail.h. */
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <net/if.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "jail.h"

/* The new root is put together here; any directory that is always there. */
#define NEW_ROOT	"/tmp"
#define TMPFS_OPTIONS	"mode=1777,size=1g"

/* Read-only views of the host.  What is not there is passed over. */
static const char *const views[] = {
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
	"/etc/fonts", "/etc/ssl", "/etc/pki", "/etc/ld.so.cache",
	"/etc/localtime", "/etc/alternatives", "/var/cache/fontconfig",
};

static const char *const devices[] = {
	"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
};

static int
write_file(const char *path, const char *text, struct ufop_err *err)
{
	int	 fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t	 n = -1;

	if (fd != -1) {
		n = write(fd, text, strlen(text));
		close(fd);
	}
	return (n == -1 ? err_sys(err, "cannot write %s", path) : 0);
}

static int
map_user(uid_t uid, gid_t gid, struct ufop_err *err)
{
	char	 map[64];

	/* Its own files in /proc are root's unless it may be dumped. */
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (write_file("/proc/self/setgroups", "deny", err) == -1)
		return (-1);
	snprintf(map, sizeof(map), "%u %u 1", (unsigned)uid, (unsigned)uid);
	if (write_file("/proc/self/uid_map", map, err) == -1)
		return (-1);
	snprintf(map, sizeof(map), "%u %u 1", (unsigned)gid, (unsigned)gid);
	return (write_file("/proc/self/gid_map", map, err));
}

static int
loopback_up(struct ufop_err *err)
{
	struct ifreq	 ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int		 fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int		 rc;

	rc = fd == -1 ? -1 : ioctl(fd, SIOCSIFFLAGS, &ifr);
	if (rc == -1)
		err_sys(err, "cannot bring the jail's loopback up");
	if (fd != -1)
		close(fd);
	return (rc);
}

/* mkdir -p of the directory that path lies in, below the new root. */
static void
make_parents(char *path)
{
	char	*p;

	for (p = path + strlen(NEW_ROOT) + 1; (p = strchr(p, '/')) != NULL;
	    p++) {
		*p = '\0';
		(void)mkdir(path, 0755);
		*p = '/';
	}
}

/* Flags that a mount has from outside and that may not be taken off. */
static unsigned long
locked_flags(const char *path)
{
	static const struct {
		unsigned long	 has, flag;
	} map[] = {
		{ ST_NOSUID, MS_NOSUID }, { ST_NODEV, MS_NODEV },
		{ ST_NOEXEC, MS_NOEXEC }, { ST_NOATIME, MS_NOATIME },
		{ ST_NODIRATIME, MS_NODIRATIME }, { ST_RELATIME, MS_RELATIME },
	};
	struct statvfs	 st;
	unsigned long	 flags = 0;
	size_t		 i;

	if (statvfs(path, &st) == 0)
		for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
			if (st.f_flag & map[i].has)
				flags |= map[i].flag;
	return (flags);
}

/* The same path inside as outside: a link as a link, all else as a mount. */
static int
view(const char *path, bool writable, struct ufop_err *err)
{
	char		 to[PATH_MAX], link[PATH_MAX];
	struct stat	 st;
	unsigned long	 flags;
	ssize_t		 n;
	int		 fd;

	if (lstat(path, &st) == -1)
		return (0);
	snprintf(to, sizeof(to), "%s%s", NEW_ROOT, path);
	make_parents(to);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, link, sizeof(link) - 1);
		if (n > 0) {
			link[n] = '\0';
			(void)!symlink(link, to);
		}
		return (0);
	}
	if (S_ISDIR(st.st_mode))
		(void)mkdir(to, 0755);
	else if ((fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)) != -1)
		close(fd);
	if (mount(path, to, NULL, MS_BIND | MS_REC, NULL) == -1)
		return (err_sys(err, "cannot show %s to the browser", path));
	if (writable)
		return (0);
	flags = locked_flags(to) | MS_NOSUID;
	if (mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | flags,
	    NULL) == -1)
		return (err_sys(err, "cannot make %s read-only for the browser",
		    path));
	return (0);
}

static int
new_tmpfs(const char *path, const char *options, struct ufop_err *err)
{
	(void)mkdir(path, 0755);
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) == -1)
		return (err_sys(err, "cannot mount a tmpfs for the browser"));
	return (0);
}

static int
new_root(const char *program, struct ufop_err *err)
{
	char	*dir;
	size_t	 i;
	int	 rc = 0;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return (err_sys(err, "cannot make the mounts private"));
	/* What lies there is hidden by it, and so must not be the program. */
	if (strncmp(program, NEW_ROOT "/", strlen(NEW_ROOT) + 1) == 0)
		return (err_set(err, UFOP_SYSTEM, "a browser below %s cannot be "
		    "shown in its jail", NEW_ROOT));
	if (new_tmpfs(NEW_ROOT, "mode=755,size=1m", err) == -1)
		return (-1);
	for (i = 0; i < sizeof(views) / sizeof(views[0]) && rc == 0; i++)
		rc = view(views[i], false, err);
	for (i = 0; i < sizeof(devices) / sizeof(devices[0]) && rc == 0; i++)
		rc = view(devices[i], true, err);
	if (rc == 0 && strncmp(program, "/usr/", 5) != 0) {
		dir = xstrdup(program);
		*strrchr(dir, '/') = '\0';
		rc = view(dir, false, err);
		free(dir);
	}
	if (rc == -1 || new_tmpfs(NEW_ROOT "/tmp", TMPFS_OPTIONS, err) == -1 ||
	    new_tmpfs(NEW_ROOT "/dev/shm", TMPFS_OPTIONS, err) == -1)
		return (-1);
	(void)mkdir(NEW_ROOT "/proc", 0555);
	if (mount("proc", NEW_ROOT "/proc", "proc", MS_NOSUID | MS_NODEV |
	    MS_NOEXEC, NULL) == -1)
		return (err_sys(err, "cannot mount a /proc for the browser"));
	/* Old and new root on one another: then the old is taken off. */
	if (chdir(NEW_ROOT) == -1 || syscall(SYS_pivot_root, ".", ".") == -1 ||
	    umount2(".", MNT_DETACH) == -1 || chdir("/") == -1)
		return (err_sys(err, "cannot change the browser's root"));
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY |
	    MS_NOSUID | MS_NODEV, NULL) == -1)
		return (err_sys(err, "cannot make the browser's root "
		    "read-only"));
	return (0);
}

int
jail_enter(uid_t uid, gid_t gid, const char *program, struct ufop_err *err)
{
	if (map_user(uid, gid, err) == -1 || loopback_up(err) == -1 ||
	    new_root(program, err) == -1)
		return (-1);
	(void)sethostname("ufop", 4);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return (0);
}
