/* SPDX-License-Identifier: MIT */
/*
 * One part of what `ufop up` runs: a program as a child in a process group of
 * its own, whose output comes here line by line.
 */
#ifndef CLI_PART_H
#define CLI_PART_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

#define PART_ARGV_MAX	96
#define PART_LINE_MAX	8192	/* a longer line is shown in pieces */
#define PART_HELD_MAX	16384	/* bytes of output kept back, the latest */

struct part {
	const char	*name;		/* "redis", "front", "worker" */
	const char	*argv[PART_ARGV_MAX];	/* argv[0] is its path */
	pid_t		 pid;		/* 0: does not run */
	int		 out;		/* its stdout and stderr; -1: closed */
	bool		 listens;	/* keep_fd is a socket, see LISTEN_FDS */
	bool		 hold;		/* keep its lines back, see part_unhold() */
	int64_t		 started_ms;	/* the times are CLOCK_MONOTONIC */
	int64_t		 due_ms;	/* to be started again then; 0: not */
	int64_t		 kill_ms;	/* told to stop, killed then; 0: not */
	int		 backoff_ms;	/* before the next start after a death */

	/* Private. */
	char		 line[PART_LINE_MAX];
	size_t		 line_len;
	char		 held[PART_HELD_MAX];
	size_t		 held_len;
};

void	 part_init(struct part *, const char *name);

/*
 * Start it.  Should this process die, the part gets a SIGTERM.  keep_fd is
 * left open in it as descriptor 3, unless it is -1; a part that listens is told
 * of it as systemd would, see sd_listen_fds(3).  -1 with err when it cannot be
 * forked; that the program cannot be run shows as exit status 127.
 */
int	 part_start(struct part *, int keep_fd, struct ufop_err *);

/* Read what it has written and print whole lines to stderr, name in front. */
void	 part_output(struct part *);
/* The end of its output, after it ended: also what no newline followed. */
void	 part_drain(struct part *);

/*
 * Keep its lines back no more, and print all or some of those there are: what
 * a start that went well has said is of no use to anyone, but for warnings.
 */
enum part_show { PART_SHOW_ALL, PART_SHOW_WARNINGS, PART_SHOW_NONE };

void	 part_unhold(struct part *, enum part_show);

/* SIGTERM to the part alone; after grace_ms it is time for part_kill(). */
void	 part_stop(struct part *, int grace_ms);
/* SIGKILL to its whole process group. */
void	 part_kill(struct part *);

#endif
