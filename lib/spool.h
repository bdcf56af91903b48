/* SPDX-License-Identifier: MIT */
/*
 * The spool: a directory (on /dev/shm) where large bodies lie as files while
 * only their names travel.
 *
 * A name is  <deadline>-<random>.<in|out>  with the deadline as 12 hex digits
 * of milliseconds since 1970 on this host's clock; nobody needs the file after
 * it, so a sweep may remove what is older, whoever died.
 */
#ifndef LIB_SPOOL_H
#define LIB_SPOOL_H

#include "err.h"
#include "str.h"

#define SPOOL_NAME_MAX	48
/* How long past its deadline a file may still be needed (clocks, late reads). */
#define SPOOL_GRACE_MS	30000

struct spool {
	int		 dirfd;		/* -1: there is no spool */
	uint64_t	 id;		/* boot id, device and inode, hashed; never 0 */
	char		 path[200];
};

/*
 * Open dir, making it (mode 0711: children of another user reach their scratch
 * directories through it) if its parent is there.  Two processes that
 * see the same directory of the same running kernel get the same id.
 */
int	 spool_open(struct spool *, const char *dir, struct ufop_err *);
void	 spool_close(struct spool *);

/* A fresh name for a file nobody needs after left_ms from now. */
void	 spool_name(char out[SPOOL_NAME_MAX], int64_t left_ms, bool out_going);
/* Whether a name from outside has the form above (and so no slash). */
bool	 spool_name_ok(struct str);

/* An unnamed file in the spool, read-write; -1 with err (UFOP_UNAVAILABLE when full). */
int	 spool_tmpfile(const struct spool *, struct ufop_err *);
/* Give such a file its name. */
int	 spool_link(const struct spool *, int fd, const char *name,
	    struct ufop_err *);
/* Open for reading, *len its size. */
int	 spool_read(const struct spool *, struct str name, uint64_t *len,
	    struct ufop_err *);
/* Not being there is no error. */
void	 spool_remove(const struct spool *, struct str name);
/* Remove what is past its deadline and grace; returns how many. */
int	 spool_sweep(const struct spool *);

#endif
