/* SPDX-License-Identifier: MIT */
/*
 * What stands behind ufop.h: the host's side of a job and a reply.
 */
#ifndef LIB_HANDLER_H
#define LIB_HANDLER_H

#include "arena.h"
#include "job.h"
#include "settings.h"
#include "str.h"

struct handler_arg {
	const char	*name;		/* both NUL-terminated, in the arena */
	const char	*value;
	size_t		 value_len;
};

/* A file that ufop_fetch() can give. */
struct handler_file {
	const char		*url;
	const unsigned char	*data;
	size_t			 len;
};

struct ufop_job_priv {
	struct arena			*arena;
	const struct handler_arg	*args;
	int				 nargs;
	const struct ufop_service	*service;
	const struct settings		*settings;
	struct buf			*notes;		/* "decode=3.0ms shrink=1/4" */
	const char			*scratch_root;	/* the child's own directory */
	char				*scratch;	/* once it was asked for */
	const struct handler_file	*files;
	int				 nfiles;
	/* Asked for and not there; in the arena, no url twice. */
	const char			*wants[UFOP_FETCH_MAX];
	int				 nwants;
};

/*
 * Where bytes that are to be sent may be written in place.  room() gives a
 * place for max bytes, the same one at every call (the reply that is being
 * built is the only one), or NULL with err set.  Without a sink the bytes are
 * on the heap.
 */
struct reply_sink {
	void	*(*room)(struct reply_sink *, size_t max, struct ufop_err *);
	/*
	 * Take len bytes at once, cheaper than room() for many: written to a
	 * file they cost no page faults, and when they are the source itself
	 * they are not copied at all.  0, or -1 with err.
	 */
	int	 (*bytes)(struct reply_sink *, const void *, size_t len,
		    struct ufop_err *);
	size_t	 bytes_from;		/* bytes() is for more than this */
};

enum reply_where {
	REPLY_EMPTY,
	REPLY_HEAP,		/* data is from malloc() and is the reply's */
	REPLY_SINK,		/* data is the sink's room */
};

struct ufop_reply {
	int			 status;
	unsigned char		*data;
	size_t			 len;
	enum reply_where	 where;
	size_t			 room;		/* promised by ufop_reply_room() */
	char			 type[256];
	int			 nheaders;
	struct {
		char		*name, *value;	/* strdup() */
	}			 headers[UFOP_HEADERS_MAX];
	bool			 failed;	/* ufop_fail() was called; then ... */
	struct ufop_err		 err;		/* ... this says why */
	struct reply_sink	*sink;
	size_t			 max_output;	/* bytes; 0: no limit */
};

void	 reply_init(struct ufop_reply *, struct reply_sink *, size_t max_output);
void	 reply_release(struct ufop_reply *);

/* Remove the job's scratch directory, if it had one, with all in it. */
void	 handler_scratch_remove(struct ufop_job *);

#endif
