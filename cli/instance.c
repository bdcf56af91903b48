/* SPDX-License-Identifier: MIT */
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "instance.h"
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

/* What is mounted outside from now on shall be seen inside, but not vice versa. */
static bool
mount_spool(const char *dir)
{
	char		 options[96];
	struct statvfs	 around;

	if (statvfs(dir, &around) == -1 || unshare(CLONE_NEWNS) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == -1)
		return (false);
	snprintf(options, sizeof(options), "mode=0711,huge=within_size,"
	    "size=%llu", (unsigned long long)around.f_blocks * around.f_frsize);
	return (mount("ufop", dir, "tmpfs", MS_NOSUID | MS_NODEV,
	    options) == 0);
}

int
instance_spool(struct instance *in, struct ufop_err *err)
{
	snprintf(in->spool, sizeof(in->spool), "%s/spool", in->dir);
	if (mkdir(in->spool, 0711) == -1)
		return (err_sys(err, "cannot make '%s'", in->spool));
	in->mounted = mount_spool(in->spool);
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
