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
#define MARKS_MAX	8	/* texts and pictures laid on, of one cmd */
#define SIDE_MAX	30000	/* largest number taken for a side, pixels */
#define QUALITY		75	/* when none is given; imageView2's default */

enum step_kind {
	STEP_ORIENT,		/* as EXIF says */
	STEP_RESIZE,
	STEP_CROP,
	STEP_ROTATE,
	STEP_BLUR,
	STEP_SHARPEN,
	STEP_ROUND,
	STEP_MARK,
};

/* A length in pixels, or in per cent of a side. */
struct length {
	double		 v;
	bool		 percent;
};

struct step {
	enum step_kind	 kind;
	union {
		struct geometry	 size;
		struct crop	 crop;
		int		 degrees;
		struct { int radius; double sigma; } blur;
		struct { struct length x, y; } round;
		int		 mark;		/* which of spec.marks */
	};
};

/* When the result is larger than wanted. */
struct size_limit {
	int64_t		 bytes;		/* 0: no limit */
	bool		 source;	/* the limit is the size of the source */
	bool		 or_source;	/* larger than the source: return that */
};

struct spec {
	/* One more than are done: spec_add_step() always has room. */
	struct step	 steps[STEPS_MAX + 1];
	int		 nsteps;
	const struct codec *codec;	/* NULL: as the source */
	bool		 auto_format;	/* the best that accept allows */
	const char	*accept;	/* HTTP's Accept; NULL: none */
	struct encode_opts opts;	/* orient is not used */
	bool		 correct_quality; /* no better than the source's was */
	bool		 keep_orient;	/* what is not turned stays marked */
	bool		 ignore_error;
	unsigned char	 background[4];	/* red, green, blue, alpha */
	struct size_limit size_limit;
	/* The pictures among them have a url alone; the caller gets the bytes. */
	struct mark	 marks[MARKS_MAX];
	int		 nmarks;

	/* Values of words until all have been read. */
	int		 mode, w, h;
	bool		 forced;
	enum gravity	 gravity;
	struct length	 rx, ry;
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
int	 grammar_view2(struct spec *, struct str, struct ufop_err *);
int	 grammar_mogr2(struct spec *, struct str, struct ufop_err *);
int	 grammar_round(struct spec *, struct str, struct ufop_err *);
int	 grammar_watermark(struct spec *, struct str, struct ufop_err *);

/* All of them by the name in front of the words; ends with a NULL name. */
struct grammar_name {
	const char	*name;
	int		(*parse)(struct spec *, struct str, struct ufop_err *);
};
extern const struct grammar_name grammar_names[];

#endif
