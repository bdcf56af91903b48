/* SPDX-License-Identifier: MIT */
/*
 * One child as its parent sees it: start it, give it jobs, collect replies,
 * read what it prints, end it.
 */
#ifndef WORKER_CHILD_H
#define WORKER_CHILD_H

#include <sys/types.h>

#include "ring.h"
#include "run.h"
#include "services.h"
#include "settings.h"
#include "spool.h"

#define CHILD_LINE_MAX	480	/* bytes of one line of stderr that are kept */

struct child_conf {
	const struct settings	*settings;
	const struct services	*services;
	const struct spool	*spool;		/* where big replies are written */
	const char		*pool;
	const char		*scratch_base;	/* a directory of the parent's own */
};

struct child {
	const struct child_conf	*conf;
	pid_t			 pid;
	int			 pidfd;		/* readable once it has died */
	int			 sock;
	int			 err_fd;	/* its stdout and stderr */
	struct ring		*ring;
	char			*scratch;
	int			 file_fd[RING_SLOTS];	/* reply files lent; -1 */
	bool			 ready;		/* it said so */
	bool			 retiring;	/* gets no more jobs */
	int64_t			 quit_ms;	/* when it was asked to end; or 0 */
	int			 nused;		/* slots in use */
	uint32_t		 used;		/* ... which */
	void			*owner[RING_SLOTS];	/* the caller's */
	uint32_t		 turn[RING_SLOTS];	/* times it was filled */
	/* What we said; the ring's copies can be written by the child. */
	int64_t			 deadline_ms[RING_SLOTS];
	int64_t			 put_ms[RING_SLOTS];	/* CLOCK_MONOTONIC */
	enum ring_kind		 kind[RING_SLOTS];
	uint8_t			 bell[RING_SLOTS];	/* READY, not yet told */
	int			 nbell;

	char			 line[CHILD_LINE_MAX + 1];  /* being read */
	int			 line_len;
	char			 last_line[CHILD_LINE_MAX + 1];
	int64_t			 said;		/* bytes printed since ... */
	int64_t			 say_max;	/* ... and how many it may */
};

/*
 * Fork one.  Returns 0, or -1 with err.  It prints its reason and exits with
 * CHILD_EXIT_SETUP when it cannot start.
 */
int	 child_spawn(struct child *, const struct child_conf *,
	    struct ufop_err *);

/* Files that ufop_fetch() asked for and that are there now. */
struct child_files {
	int		 n;
	const char	*url[UFOP_FETCH_MAX];
	int		 fd[UFOP_FETCH_MAX];	/* stay the caller's */
};

/*
 * Put a job (or health check: entry empty) into a free slot.  body_fd, if not
 * -1, is closed here; files may be NULL.  The child hears of it by child_ring(),
 * or at once when there is a descriptor to be handed over.  Returns the slot, or
 * -1 when none is free or the child is gone.
 */
int	 child_put(struct child *, enum ring_kind, struct str entry,
	    int64_t deadline_ms, int body_fd, const struct child_files *files,
	    void *owner);
void	 child_ring(struct child *);

/* Read the doorbell away; then look at slots in child->used. */
void	 child_hear(struct child *);
/* The state of a slot in use, from what the child wrote. */
enum ring_state child_state(const struct child *, int slot);
/* Take a slot back that was not started; false if it was. */
bool	 child_take_back(struct child *, int slot);
/* Free a slot whose reply has been read. */
void	 child_done(struct child *, int slot);
/*
 * What a DONE slot says, each thing read once into memory of our own, since
 * the child could go on writing: the encoded reply (rep, in a static buffer
 * until the next call), where its body is, how long that is by the child's
 * word, and what came of the job.  False when it wrote nonsense.
 */
struct child_answer {
	struct str	 rep;
	enum ring_body	 body_in;
	uint64_t	 file_len;
	enum ring_outcome outcome;
};
bool	 child_reply(const struct child *, int slot, struct child_answer *);
/*
 * The file with a big reply's body is now the caller's (close it); the slot
 * gets a fresh one when it is used again.  -1 when there is none, or when it
 * is not as long as the child says.
 */
int	 child_take_file(struct child *, int slot,
	    const struct child_answer *);

/*
 * Read and log what it printed; id says of which job.  False once it has said
 * more than it may: err_fd is then to be closed, so that its writes fail, and
 * the child replaced when it is done.
 */
bool	 child_read_stderr(struct child *, const char *id);

/* Ask it to end in order when it has nothing left to do. */
void	 child_quit(struct child *);
/* SIGKILL to its whole group. */
void	 child_kill(struct child *);
/*
 * After its death: reap it, remove its scratch directory, release all.
 * Fills how with a phrase ("exited with status 3", "was killed by SIGSEGV")
 * and returns waitpid's status.
 */
int	 child_reap(struct child *, char *how, size_t size);

#endif
