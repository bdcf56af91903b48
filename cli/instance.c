/* SPDX-License-Identifier: MIT */
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "instance.h"
#include "log.h"
#include "tree.h"

/* What is there although nobody holds its lock. */
static void
sweep(const char *base)
{
	char		 path[sizeof(((struct instance *)NULL)->dir)];
	struct dirent	*de;
	struct stat	 st;
	DIR		*dir;
	int		 fd;

	dir = opendir(base);
	if (dir == NULL)
		return;
	while ((de = readdir(dir)) != NULL) {
		if (strncmp(de->d_name, INSTANCE_PREFIX,
		    strlen(INSTANCE_PREFIX)) != 0 ||
		    snprintf(path, sizeof(path), "%s/%.40s", base,
		    de->d_name) >= (int)sizeof(path))
			continue;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
		    O_CLOEXEC);
		if (fd == -1)
			continue;
		if (fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
		    flock(fd, LOCK_EX | LOCK_NB) == 0)
			tree_remove(path);
		close(fd);
	}
	closedir(dir);
}

int
instance_make(struct instance *in, struct ufop_err *err)
{
	/* Memory first; a machine without /dev/shm has a slower spool. */
	const char	*base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" :
			    "/tmp";
	char		 made[sizeof(in->dir)];

	sweep(base);
	/* Swept by another that starts now, if it had its name before its lock. */
	snprintf(made, sizeof(made), "%s/." INSTANCE_PREFIX "XXXXXX", base);
	if (mkdtemp(made) == NULL)
		return (err_sys(err, "cannot make a directory in %s", base));
	in->lock_fd = open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (in->lock_fd == -1 || flock(in->lock_fd, LOCK_EX | LOCK_NB) == -1) {
		err_sys(err, "cannot lock '%s'", made);
		(void)rmdir(made);
		return (-1);
	}
	snprintf(in->dir, sizeof(in->dir), "%s/%s", base,
	    strrchr(made, '/') + 2);
	if (rename(made, in->dir) == -1) {
		err_sys(err, "cannot rename '%s'", made);
		(void)rmdir(made);
		in->dir[0] = '\0';
		return (-1);
	}
	/* Children run as another user, and pass here to their scratch. */
	if (chmod(in->dir, 0711) == -1)
		return (err_sys(err, "cannot open '%s' to the children",
		    in->dir));
	snprintf(in->redis_sock, sizeof(in->redis_sock), "%s/redis.sock",
	    in->dir);
	return (0);
}

/* As around it: an administrator may have bounded that, or forbidden to execute. */
static bool
mount_like(const char *dir, const struct statvfs *around)
{
	char	 options[96];

	/* What the host mounts is to be seen inside, but not vice versa. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == -1)
		return (false);
	snprintf(options, sizeof(options), "mode=0711,huge=within_size,"
	    "size=%llu", (unsigned long long)around->f_blocks *
	    around->f_frsize);
	return (mount("ufop", dir, "tmpfs", MS_NOSUID | MS_NODEV |
	    (around->f_flag & ST_NOEXEC ? MS_NOEXEC : 0), options) == 0);
}

/* False: we are where we were, and nothing is mounted. */
static bool
mount_spool(const char *dir)
{
	struct statfs	 fs;
	struct statvfs	 around;
	int		 home;
	bool		 mounted;

	/* In memory only if what is there is: a disk may be much larger. */
	if (statfs(dir, &fs) == -1 || fs.f_type != TMPFS_MAGIC ||
	    statvfs(dir, &around) == -1)
		return (false);
	home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	mounted = home != -1 && unshare(CLONE_NEWNS) == 0;
	if (mounted && !mount_like(dir, &around)) {
		mounted = false;
		(void)setns(home, CLONE_NEWNS);
	}
	if (home != -1)
		close(home);
	return (mounted);
}

int
instance_spool(struct instance *in, struct ufop_err *err)
{
	snprintf(in->spool, sizeof(in->spool), "%s/spool", in->dir);
	/* Whatever the umask: see instance_make(). */
	if (mkdir(in->spool, 0711) == -1 || chmod(in->spool, 0711) == -1)
		return (err_sys(err, "cannot make '%s'", in->spool));
	in->mounted = mount_spool(in->spool);
	log_debug("up.spool dir=%s mounted=%d", in->spool, in->mounted);
	return (0);
}

void
instance_remove(struct instance *in)
{
	if (in->mounted)
		(void)umount2(in->spool, MNT_DETACH);
	in->mounted = false;
	if (in->dir[0] != '\0')
		tree_remove(in->dir);
	if (in->lock_fd != -1)
		close(in->lock_fd);
	in->dir[0] = '\0';
	in->lock_fd = -1;
}
