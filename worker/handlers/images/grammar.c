/* SPDX-License-Identifier: MIT */
/* The words of a cmd; see grammar.h. */
#include "grammar.h"

struct word {
	const char	*name;
	const char	*form;		/* of its value, for messages; NULL: none */
	/* 0, or -1 when the value does not have the form. */
	int		(*take)(struct spec *, const struct word *, struct str);
	size_t		 at;		/* take_int: where in spec */
	int		 max;
};

struct grammar {
	const char	*name;
	const char	*example;
	const struct word *words;	/* ends with a NULL name */
};

/* ---- values ---------------------------------------------------------- */

/* Digits off the front of *s: 0 to max; -1 when there are none or too many. */
static int
number(struct str *s, int max, int *out)
{
	int64_t v = 0;
	size_t i = 0;

	for (; i < s->len && s->s[i] >= '0' && s->s[i] <= '9'; i++)
		if ((v = v * 10 + (s->s[i] - '0')) > max)
			return (-1);
	if (i == 0)
		return (-1);
	s->s += i;
	s->len -= i;
	*out = (int)v;
	return (0);
}

static bool
next_is(struct str *s, char c)
{
	if (s->len == 0 || s->s[0] != c)
		return (false);
	s->s++;
	s->len--;
	return (true);
}

/* <a><sep><b> and nothing behind. */
static int
pair(struct str v, char sep, int *a, int *b)
{
	if (number(&v, SIDE_MAX, a) == -1 || !next_is(&v, sep) ||
	    number(&v, SIDE_MAX, b) == -1 || v.len != 0)
		return (-1);
	return (0);
}

static int
take_int(struct spec *spec, const struct word *w, struct str v)
{
	int n;

	if (number(&v, w->max, &n) == -1 || v.len != 0 || n < 1)
		return (-1);
	memcpy((char *)spec + w->at, &n, sizeof(n));
	return (0);
}

static int
take_format(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	spec->codec = codec_by_name(v.s, v.len);
	return (spec->codec != NULL ? 0 : -1);
}

static int
take_clip(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	spec->clipped = true;
	return (pair(v, 'x', &spec->clip.w, &spec->clip.h) == -1 ||
	    spec->clip.w < 1 || spec->clip.h < 1 ? -1 : 0);
}

static int
take_at(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	spec->placed = true;
	return (pair(v, ',', &spec->clip.dx, &spec->clip.dy));
}

static int
take_thumb(struct spec *spec, const struct word *w, struct str v)
{
	struct geometry *g = &spec->thumb;

	(void)w;
	g->kind = GEOMETRY_EXACT;
	return (pair(v, 'x', &g->w, &g->h) == -1 || g->w < 1 || g->h < 1 ?
	    -1 : 0);
}

/* ---- reading --------------------------------------------------------- */

static int
unknown(const struct grammar *g, struct str name, struct ufop_err *err)
{
	char known[160];
	size_t n = 0;

	for (const struct word *w = g->words; w->name != NULL; w++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s",
		    n > 0 ? ", " : "", w->name);
	return (image_err(err, UFOP_BAD_INPUT, "%s has no word '%.*s'; its words "
	    "are %s, as in %s", g->name, name.len > 64 ? 64 : (int)name.len,
	    name.s, known, g->example));
}

static struct str
cut_segment(struct str *rest)
{
	const char *slash = rest->len > 0 ? memchr(rest->s, '/', rest->len) :
	    NULL;
	struct str seg = { rest->s,
	    slash != NULL ? (size_t)(slash - rest->s) : rest->len };

	if (slash != NULL) {
		rest->s = slash + 1;
		rest->len -= seg.len + 1;
	} else
		*rest = (struct str){ NULL, 0 };
	return (seg);
}

/* word/value pairs up to the end of args. */
static int
read_words(struct spec *spec, const struct grammar *g, struct str args,
    struct ufop_err *err)
{
	while (args.len > 0) {
		struct str name = cut_segment(&args), value = { "", 0 };
		const struct word *w = g->words;

		while (w->name != NULL && (strlen(w->name) != name.len ||
		    memcmp(w->name, name.s, name.len) != 0))
			w++;
		if (w->name == NULL)
			return (unknown(g, name, err));
		if (w->form != NULL && args.s != NULL)
			value = cut_segment(&args);
		if (w->take(spec, w, value) == -1)
			return (image_err(err, UFOP_BAD_INPUT, "%s: %s takes %s, "
			    "not '%.*s'; as in %s", g->name, w->name, w->form,
			    value.len > 64 ? 64 : (int)value.len, value.s,
			    g->example));
	}
	return (0);
}

static struct step *
add_step(struct spec *spec, enum step_kind kind)
{
	struct step *s = &spec->steps[spec->nsteps++];

	*s = (struct step){ .kind = kind };
	return (s);
}

/* ---- the grammars ---------------------------------------------------- */

#define SIDE_FORM	"a number of pixels from 1 to 30000"
#define QUALITY_FORM	"a quality from 1 to 100"
#define FORMAT_FORM	"one of jpg, png, bmp, tga"
#define WORD_QUALITY							\
	{ "q", QUALITY_FORM, take_int, offsetof(struct spec, opts.quality), 100 }
#define WORD_FORMAT	{ "format", FORMAT_FORM, take_format, 0, 0 }

static const struct grammar thumbnail = {
	"thumbnail", "/thumbnail/w/200/h/100",
	(const struct word[]){
		{ "w", SIDE_FORM, take_int, offsetof(struct spec, w), SIDE_MAX },
		{ "h", SIDE_FORM, take_int, offsetof(struct spec, h), SIDE_MAX },
		WORD_QUALITY, WORD_FORMAT, { 0 }
	}
};

int
grammar_thumbnail(struct spec *spec, struct str args, struct ufop_err *err)
{
	memset(spec, 0, sizeof(*spec));
	if (read_words(spec, &thumbnail, args, err) == -1)
		return (-1);
	if (spec->w == 0 && spec->h == 0)
		return (image_err(err, UFOP_BAD_INPUT, "thumbnail needs a box: "
		    "w, h or both, as in %s", thumbnail.example));
	add_step(spec, STEP_ORIENT);
	add_step(spec, STEP_RESIZE)->size = (struct geometry){
	    .kind = GEOMETRY_INSIDE, .when = GEOMETRY_SHRINK, .w = spec->w,
	    .h = spec->h };
	return (0);
}

static const struct grammar crop = {
	"crop", "/crop/clip/300x200/at/10,20/thumb/150x100",
	(const struct word[]){
		{ "clip", "a size like 300x200", take_clip, 0, 0 },
		{ "at", "a place like 10,20", take_at, 0, 0 },
		{ "thumb", "a size like 150x100", take_thumb, 0, 0 },
		WORD_QUALITY, WORD_FORMAT, { 0 }
	}
};
/* Behind the four numbers there is nothing left to say about the cut. */
static const struct grammar crop_numbers = {
	"crop", "/crop/300,200,10,20",
	(const struct word[]){ WORD_QUALITY, WORD_FORMAT, { 0 } }
};

int
grammar_crop(struct spec *spec, struct str args, struct ufop_err *err)
{
	struct crop *c = &spec->clip;

	memset(spec, 0, sizeof(*spec));
	if (args.len > 0 && args.s[0] >= '0' && args.s[0] <= '9') {
		struct str all = cut_segment(&args), v = all;

		if (number(&v, SIDE_MAX, &c->w) == -1 || !next_is(&v, ',') ||
		    number(&v, SIDE_MAX, &c->h) == -1 || !next_is(&v, ',') ||
		    number(&v, SIDE_MAX, &c->dx) == -1 || !next_is(&v, ',') ||
		    number(&v, SIDE_MAX, &c->dy) == -1 || v.len != 0 ||
		    c->w < 1 || c->h < 1)
			return (image_err(err, UFOP_BAD_INPUT, "crop takes "
			    "<width>,<height>,<x>,<y> in pixels, not '%.*s'; as "
			    "in %s", all.len > 64 ? 64 : (int)all.len, all.s,
			    crop_numbers.example));
		if (read_words(spec, &crop_numbers, args, err) == -1)
			return (-1);
	} else {
		if (read_words(spec, &crop, args, err) == -1)
			return (-1);
		if (!spec->clipped || !spec->placed)
			return (image_err(err, UFOP_BAD_INPUT, "crop needs what "
			    "to cut out: %s, or %s", crop_numbers.example,
			    crop.example));
	}
	add_step(spec, STEP_ORIENT);
	add_step(spec, STEP_CROP)->crop = *c;
	if (spec->thumb.w > 0)
		add_step(spec, STEP_RESIZE)->size = spec->thumb;
	return (0);
}

const struct grammar_name grammar_names[] = {
	{ "thumbnail", grammar_thumbnail },
	{ "crop", grammar_crop },
	{ NULL, NULL }
};
