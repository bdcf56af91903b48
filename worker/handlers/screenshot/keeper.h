/* SPDX-License-Identifier: MIT */
/*
 * The keeper: a small process that starts Chromium, shuts it in, and sees to it
 * that nothing of it survives.
 *
 *	net child ---- SOCK_SEQPACKET ----> keeper
 *	 (handler)                           |-- filter	SOCKS5, sandboxed, in the
 *	     |                               |    ^	host's network namespace
 *	     |                               |    | accepted connections
 *	     |                               '-- jailer	process 1 of namespaces of
 *	     |                                    |	its own: users, network,
 *	     |                                    |	processes, mounts, IPC
 *	     '------- DevTools pipe ------------> Chromium
 *
 * It is forked in setup(), before the child's sandbox closes, and waits: no
 * browser is started before the first job.  Whoever is killed, the rest goes:
 *
 *	net child	its end of the socket closes: the keeper ends all
 *	keeper		PR_SET_PDEATHSIG kills filter and jailer
 *	jailer		being process 1, it takes the whole namespace along
 *	Chromium	the jailer ends
 *	filter		the keeper ends the browser, which cannot do without
 *
 * Where namespaces are not to be had (Docker's default), the jailer runs
 * without: the filter then is only what the browser's flags name as proxy,
 * processes are found through PR_SET_CHILD_SUBREAPER, and keeper_describe()
 * says "weaker".  The keeper tries it when it starts, so that an operator
 * learns it before the first job.
 */
#ifndef SCREENSHOT_KEEPER_H
#define SCREENSHOT_KEEPER_H

#include <sys/types.h>

#include "socks.h"

/* How the browser is shut in. */
enum keeper_level {
	KEEPER_UNKNOWN,		/* not tried yet */
	KEEPER_NAMESPACES,
	KEEPER_WEAKER,
};

/* Why the browser ended, if not by itself or by order. */
enum keeper_end {
	KEEPER_END_NONE,
	KEEPER_END_MEMORY,	/* it went over memory_max */
};

#define KEEPER_TEXT	512	/* bytes that keeper_describe() wants */

struct keeper_shared {
	struct socks_notes	notes;
	_Atomic uint32_t	level;	/* enum keeper_level */
	_Atomic uint32_t	end;	/* enum keeper_end, of the last one */
	_Atomic uint32_t	used_mb;	/* memory, when last looked at */
	char			weaker[256];	/* why, before level is set */
};

struct keeper_conf {
	const char	*program;	/* Chromium's path */
	const char	*user;		/* to become when root */
	const char	*allow, *deny;	/* of the egress guard */
	bool		 sandbox;	/* Chromium's own */
	bool		 namespaces;	/* to be tried */
	bool		 webgl;
	int		 heap_mb;	/* of one page's scripts */
	int64_t		 memory_max;	/* bytes of the whole browser */
};

struct keeper {
	pid_t			 pid;		/* 0: none */
	int			 sock;
	uint32_t		 serial;	/* of the last request */
	bool			 sandbox;
	struct keeper_shared	*shared;
};

/* Fork it.  Returns 0, or -1 with err. */
int	 keeper_start(struct keeper *, const struct keeper_conf *,
	    struct ufop_err *);

/*
 * Start a browser, ending the one before.  Returns 0, and rfd and wfd are the
 * caller's; or -1 with err (UFOP_UNAVAILABLE; UFOP_SYSTEM when the keeper
 * itself is gone).
 */
int	 keeper_launch(struct keeper *, int *rfd, int *wfd, struct ufop_err *);

/* End the browser now; returns when nothing of it is left. */
void	 keeper_kill(struct keeper *);

/* The last words of a browser that has just ended, for a message; "" if none. */
void	 keeper_words(struct keeper *, char *out, size_t size);

/* End browser and keeper. */
void	 keeper_end(struct keeper *);

/*
 * Put down in a sentence how the browser is shut in.  Returns true when that is
 * less than it could be; false also before it is known: text is empty then.
 */
bool	 keeper_describe(const struct keeper *, char *text, size_t size);

/*
 * The same of a keeper that would be started with conf, by trying.  The process
 * becomes conf's user and is good for nothing else afterwards.
 */
void	 keeper_foresee(const struct keeper_conf *, char *text, size_t size);

#endif
