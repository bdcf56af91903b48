/* SPDX-License-Identifier: MIT */
/* Pictures kept in a directory; see store.h. */
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "err.h"
#include "reqid.h"
#include "store.h"
#include "tree.h"

#define NAME_LEN	32	/* md5 in hex */
#define EXT_MAX		7
#define FILE_MAX	(1LL << 30)
#define ANSWER_MS	20000	/* a mount may be slow */

struct request {
	uint32_t	serial;
	char		name[NAME_LEN + 1];
	char		ext[EXT_MAX + 1];
	int64_t		len;
};

struct answer {
	uint32_t	serial;		/* of the request */
	int		ok;
	char		text[PATH_MAX];	/* path, or what went wrong */
};

/* ---- the process that writes ----------------------------------------- */

static bool
is_made_of(const char *s, size_t len, const char *digits)
{
	return (strlen(s) == len && strspn(s, digits) == len);
}

static int
copy(int to, int from, int64_t len)
{
	off_t	 at = 0;
	ssize_t	 n;

	while (at < len) {
		n = sendfile(to, from, &at, (size_t)(len - at));
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return (-1);
	}
	return (0);
}

/*
 * The file to be written: *unnamed where it can be without its name until it is
 * whole.
 */
static int
create(int dir, const char *temp, bool *unnamed)
{
	int	 fd;

	fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
	*unnamed = fd != -1;
	if (fd == -1)
		fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL |
		    O_CLOEXEC | O_NOFOLLOW, 0644);
	return (fd);
}

/*
 * Write, fsync, rename, fsync of the directory.  A name cannot be given in
 * place of the old picture's, so there is a temporary one in any case.
 */
static int
write_picture(int dir, const struct request *rq, int from)
{
	char		 temp[64], name[64];
	uint64_t	 random;
	bool		 unnamed;
	int		 fd, rc = -1;

	/* Pids repeat: a mount may be shared by containers of many hosts. */
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return (-1);
	snprintf(name, sizeof(name), "%s.%s", rq->name, rq->ext);
	snprintf(temp, sizeof(temp), ".%s.%016" PRIx64, rq->name, random);
	if ((fd = create(dir, temp, &unnamed)) == -1)
		return (-1);
	if (copy(fd, from, rq->len) == 0 && fsync(fd) == 0 &&
	    (!unnamed || tree_link(fd, dir, temp) == 0) &&
	    renameat(dir, temp, dir, name) == 0)
		rc = fsync(dir);
	else
		(void)unlinkat(dir, temp, 0);
	close(fd);
	return (rc);
}

static void
put(const char *root, const struct request *rq, int from, struct answer *a)
{
	struct stat	 st;
	char		 path[PATH_MAX];
	int		 dir;

	if (!is_made_of(rq->name, NAME_LEN, "0123456789abcdef") ||
	    !is_made_of(rq->ext, strlen(rq->ext), "abcdefghijklmnopqrstuvwxyz")
	    || from == -1 || fstat(from, &st) == -1 || !S_ISREG(st.st_mode) ||
	    rq->len < 1 || rq->len > FILE_MAX || st.st_size < rq->len) {
		snprintf(a->text, sizeof(a->text), "a request that is none");
		return;
	}
	snprintf(path, sizeof(path), "%.3000s/%.2s", root, rq->name);
	(void)mkdir(path, 0755);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1 || write_picture(dir, rq, from) == -1)
		snprintf(a->text, sizeof(a->text), "%.3000s: %s", path,
		    strerror(errno));
	else {
		a->ok = 1;
		snprintf(a->text, sizeof(a->text), "%.3100s/%s.%s", path,
		    rq->name, rq->ext);
	}
	if (dir != -1)
		close(dir);
}

static void
store_main(const char *root, int sock)
{
	struct request	 rq;
	struct answer	 a;
	struct iovec	 iov = { &rq, sizeof(rq) };
	union {
		struct cmsghdr	 align;
		char		 room[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct msghdr	 mh;
	struct cmsghdr	*cm;
	ssize_t		 n;
	int		 fd;

	for (;;) {
		mh = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = ctl.room,
			.msg_controllen = sizeof(ctl.room) };
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
		if (n == -1 && errno == EINTR)
			continue;
		if (n != sizeof(rq))
			break;
		fd = -1;
		cm = CMSG_FIRSTHDR(&mh);
		if (cm != NULL && cm->cmsg_type == SCM_RIGHTS &&
		    cm->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
		memset(&a, 0, sizeof(a));
		rq.name[NAME_LEN] = rq.ext[EXT_MAX] = '\0';
		a.serial = rq.serial;
		put(root, &rq, fd, &a);
		if (fd != -1)
			close(fd);
		(void)send(sock, &a, sizeof(a), MSG_NOSIGNAL);
	}
	_exit(0);
}

int
store_start(struct store *st, const char *dir, struct ufop_err *err)
{
	int	 sp[2];

	st->pid = 0;
	st->sock = -1;
	if (mkdir(dir, 0755) == -1 && errno != EEXIST)
		err_sys(err, "cannot make screenshot.dir = '%s'", dir);
	else if (access(dir, W_OK | X_OK) == -1)
		err_sys(err, "cannot write into screenshot.dir = '%s'", dir);
	else if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    sp) == -1)
		err_sys(err, "cannot set up the store");
	else
		goto ready;
	if (err != NULL)
		err->code = UFOP_CONFIG;
	return (-1);
ready:
	st->pid = fork();
	if (st->pid == 0) {
		(void)dup2(sp[1], 3);
		(void)syscall(SYS_close_range, 4, ~0U, 0);
		(void)setsid();
		(void)signal(SIGINT, SIG_IGN);
		(void)signal(SIGTERM, SIG_IGN);
		(void)prctl(PR_SET_NAME, "ufop-store");
		(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		umask(022);
		store_main(dir, 3);
	}
	close(sp[1]);
	st->sock = sp[0];
	if (st->pid == -1) {
		st->pid = 0;
		close(sp[0]);
		return (err_sys(err, "cannot fork the store"));
	}
	return (0);
}

void
store_end(struct store *st)
{
	if (st->pid == 0)
		return;
	close(st->sock);
	while (waitpid(st->pid, NULL, 0) == -1 && errno == EINTR)
		;
	st->pid = 0;
}

/* ---- the handler's side ---------------------------------------------- */

static int
ask(struct store *st, struct request *rq, int fd, struct answer *a)
{
	struct iovec	 iov = { rq, sizeof(*rq) };
	struct pollfd	 pfd = { st->sock, POLLIN, 0 };
	union {
		struct cmsghdr	 align;
		char		 room[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr	*cm;

	if (fd != -1) {
		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = ctl.room;
		mh.msg_controllen = sizeof(ctl.room);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	}
	rq->serial = ++st->serial;
	if (sendmsg(st->sock, &mh, MSG_NOSIGNAL) == -1)
		return (-1);
	/* An answer that came too late for its own request is passed over. */
	do {
		if (poll(&pfd, 1, ANSWER_MS) != 1 ||
		    recv(st->sock, a, sizeof(*a), 0) != sizeof(*a))
			return (-1);
	} while (a->serial != rq->serial);
	return (0);
}

int
store_put(struct store *st, struct str url, const char *ext, int fd,
    size_t len, char *path, size_t path_size, struct ufop_err *err)
{
	unsigned char	 md5[EVP_MAX_MD_SIZE];
	struct request	 rq;
	struct answer	 a;
	int		 i;

	memset(&rq, 0, sizeof(rq));
	rq.len = (int64_t)len;
	if (EVP_Digest(url.s, url.len, md5, NULL, EVP_md5(), NULL) != 1)
		return (err_set(err, UFOP_FAILED, "there is no MD5 here"));
	for (i = 0; i < NAME_LEN / 2; i++)
		snprintf(rq.name + 2 * i, 3, "%02x", md5[i]);
	snprintf(rq.ext, sizeof(rq.ext), "%s", ext);
	if (ask(st, &rq, fd, &a) == -1)
		return (err_set(err, UFOP_FAILED, "the process that keeps "
		    "pictures is gone or too slow"));
	a.text[sizeof(a.text) - 1] = '\0';
	if (!a.ok)
		return (err_set(err, UFOP_FAILED, "cannot keep the picture: "
		    "%s", a.text));
	snprintf(path, path_size, "%s", a.text);
	return (0);
}
