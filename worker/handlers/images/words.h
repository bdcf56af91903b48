/* SPDX-License-Identifier: MIT */
/*
 * What the grammars are made of: tables of words, the forms of their values, and
 * the one way in which all of them are read.
 */
#ifndef IMAGES_WORDS_H
#define IMAGES_WORDS_H

#include "grammar.h"

struct word {
	const char	*name;
	const char	*form;		/* of its value, for messages; NULL: none */
	/* 0, or -1 when the value does not have the form. */
	int		(*take)(struct spec *, const struct word *, struct str);
	size_t		 at;		/* words_take_int: where in spec */
	int		 max;
};

struct grammar {
	const char	*name;
	const char	*example;
	const struct word *words;	/* ends with a NULL name */
};

/* Forms of values that several grammars have, for messages. */
#define FORMAT_FORM	"one of jpg, png, webp, avif, gif, "	\
	"tiff, bmp, tga, auto"
#define GRAVITY_FORM	"one of NorthWest, North, NorthEast, West, Center, "	\
	"East, SouthWest, South, SouthEast"
#define COLOUR_FORM	"a colour's name or #RRGGBB in URL-safe base64"
#define IGNORE_FORM	"0 or 1 (the source instead of an error)"

/* Words that several grammars have. */
#define WORD_FORMAT	{ "format", FORMAT_FORM, words_take_format, 0, 0 }
#define WORD_IGNORE_ERROR						\
	{ "ignore-error", IGNORE_FORM, words_take_flag,			\
	    offsetof(struct spec, ignore_error), 0 }

/* What holds before any word is read. */
void	 spec_init(struct spec *);
/* A step more; words_read() refuses those that are too many. */
struct step *spec_add_step(struct spec *, enum step_kind);
/* The mark that words are about, the latest; NULL when it is no such one. */
struct mark *spec_mark(struct spec *, enum mark_kind);

/* Up to the next slash, off the front of *rest, without the slash. */
struct str words_cut(struct str *rest);
/*
 * word/value pairs up to the end of args.  -1 with UFOP_BAD_INPUT, which names
 * the wrong word and the form it takes; a number of which there is one stands
 * once.
 */
int	 words_read(struct spec *, const struct grammar *, struct str args,
	    struct ufop_err *);

/* ---- values: what they take goes off the front of *v ------------------ */

/* Digits: 0 to max; -1 when there are none or it is more. */
int	 words_number(struct str *v, int max, int *out);
/* A number with or without a fraction, at most max, which is whole. */
int	 words_decimal(struct str *v, int max, double *out);
bool	 words_next_is(struct str *v, char);
/* The whole of it. */
bool	 words_is(struct str v, const char *);
/* URL-safe base64, padded or not; the bytes, or -1: none, or more than size. */
int	 words_base64(struct str v, char *out, size_t size);

/* ---- take functions --------------------------------------------------- */

/* 1 to w->max into the int at w->at. */
int	 words_take_int(struct spec *, const struct word *, struct str);
/* 0 or 1 into the bool at w->at. */
int	 words_take_flag(struct spec *, const struct word *, struct str);
/* Into spec's codec or auto_format, and gravity. */
int	 words_take_format(struct spec *, const struct word *, struct str);
int	 words_take_gravity(struct spec *, const struct word *, struct str);
/* A colour's name or #RRGGBB, in base64, into w->at, or the latest text's. */
int	 words_take_colour(struct spec *, const struct word *, struct str);

#endif
