/* SPDX-License-Identifier: MIT */
/*
 * The words of a cmd, and what they ask for.
 *
 * Every grammar is a table of words; each word names the form of its value and
 * the function that takes it, so that an error can name the wrong word and the
 * accepted form.  The result is a list of steps, the same for all grammars.
 */
#ifndef IMAGES_GRAMMAR_H
#define IMAGES_GRAMMAR_H

#include "picture.h"
#include "str.h"

#define STEPS_MAX	64	/* operations of one cmd */
#define SIDE_MAX	30000	/* largest number taken for a side, pixels */

enum step_kind {
	STEP_ORIENT,		/* as EXIF says */
	STEP_RESIZE,
	STEP_CROP,
};

struct step {
	enum step_kind	 kind;
	union {
		struct geometry	 size;
		struct crop	 crop;
	};
};

struct spec {
	struct step	 steps[STEPS_MAX];
	int		 nsteps;
	const struct codec *codec;	/* NULL: as the source */
	struct encode_opts opts;	/* quality 0: the default */

	/* Values of words until all have been read. */
	int		 w, h;
	bool		 clipped, placed;
	struct crop	 clip;
	struct geometry	 thumb;
};

/*
 * What stands behind "/thumbnail/" and so on, without the leading slash, into
 * spec (cleared here).  -1 with UFOP_BAD_INPUT.
 */
int	 grammar_thumbnail(struct spec *, struct str, struct ufop_err *);
int	 grammar_crop(struct spec *, struct str, struct ufop_err *);

/* All of them by the name in front of the words; ends with a NULL name. */
struct grammar_name {
	const char	*name;
	int		(*parse)(struct spec *, struct str, struct ufop_err *);
};
extern const struct grammar_name grammar_names[];

#endif
