/* SPDX-License-Identifier: MIT */
/*
 * The cases of `ufop test`: what is sent and what must come back, in a file of
 * this shape:
 *
 *	# a comment
 *	[name of the case]
 *	cmd = hello/bob
 *	text = one\ntwo\n
 *	status = 200
 *	json = {"greeted": "bob",
 *	    "lines": 2}
 *
 * A line that is indented goes on with the value above it.
 */
#ifndef CLI_CASES_H
#define CLI_CASES_H

#include <jansson.h>

#include "arena.h"
#include "err.h"
#include "str.h"

#define CASES_MAX	10000		/* in all files of one run */

/* One case; NULL or -1 is what the file does not say.  All is the cases' own. */
struct ufop_case {
	const char	*file;
	int		 line;		/* of its name */
	const char	*name;

	/* What is sent. */
	const char	*cmd;		/* begins with a slash unless empty */
	struct str	 text;		/* the source itself, or */
	const char	*source;	/* the path of a file that has it, or */
	const char	*url;
	const char	*content_type;
	const char	*accept;

	/* What must come back. */
	int64_t		 status;
	const char	*type;
	int64_t		 size_min, size_max;	/* bytes of the body */
	struct str	 body;
	const char	*body_file;
	json_t		*json;		/* must be in the answer */
	const char	*error;		/* must be in the message */
};

struct cases {
	struct arena		 arena;
	int			 n;
	struct ufop_case	*all[CASES_MAX];
};

/* cases need not be initialised. */
void	 cases_init(struct cases *);
void	 cases_release(struct cases *);

/*
 * Add the cases of the file at path; paths in it are relative to it.  -1 with
 * err (UFOP_CONFIG), which names the line.
 */
int	 cases_read(struct cases *, const char *path, struct ufop_err *);

/* What came back. */
struct case_answer {
	int		 status;
	const char	*type;
	struct str	 body;
};

/*
 * Hold the answer against the case: true when all is as it must be, else
 * false, with one indented line or more in out for each difference.
 */
bool	 case_check(const struct ufop_case *, const struct case_answer *,
	    struct buf *out);

#endif
