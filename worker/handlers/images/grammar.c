/* SPDX-License-Identifier: MIT */
/* The words of a cmd; see grammar.h. */
#include "words.h"

#define MOGR2_SIDE	10000	/* above it, thumbnail only shrinks */
#define MOGR2_MAX	99999999
#define BLUR_MAX	50	/* radius, pixels */
#define SIGMA_MAX	1000

/* <a><sep><b> and nothing behind. */
static int
pair(struct str v, char sep, int *a, int *b)
{
	if (words_number(&v, SIDE_MAX, a) == -1 || !words_next_is(&v, sep) ||
	    words_number(&v, SIDE_MAX, b) == -1 || v.len != 0)
		return (-1);
	return (0);
}

static int
take_colours(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	return (words_number(&v, 256, &spec->opts.colours) == -1 || v.len != 0 ||
	    spec->opts.colours < 2 ? -1 : 0);
}

/* 1 to 100; "!" behind it insists. */
static int
take_quality(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	if (words_number(&v, 100, &spec->opts.quality) == -1 ||
	    spec->opts.quality < 1)
		return (-1);
	spec->forced = words_next_is(&v, '!');
	return (v.len == 0 ? 0 : -1);
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

/* ---- values of imageMogr2 -------------------------------------------- */

/* A sign, or the letter that stands for it where signs are escaped. */
static bool
next_sign(struct str *v, bool escaped, char letter, char sign)
{
	return (words_next_is(v, escaped ? letter : sign));
}

/*
 * The forms of thumbnail/.  A leading ! says that signs which mean something
 * in a url are written as letters: p is %, r is ^.
 */
static int
take_geometry(struct spec *spec, const struct word *w, struct str v)
{
	bool escaped = words_next_is(&v, '!'), has_w, has_x, has_h;
	struct geometry g = { .kind = GEOMETRY_INSIDE };

	(void)w;
	has_w = words_number(&v, MOGR2_MAX, &g.w) == 0;
	if (has_w && next_sign(&v, escaped, 'p', '%')) {
		/* <S>% is both sides, <S>%x the width. */
		g.kind = GEOMETRY_PERCENT;
		g.h = words_next_is(&v, 'x') ? 0 : g.w;
		goto done;
	}
	if (has_w && words_next_is(&v, '@')) {
		g.kind = GEOMETRY_AREA;
		g.area = g.w;
		goto done;
	}
	has_x = words_next_is(&v, 'x');
	has_h = has_x && words_number(&v, MOGR2_MAX, &g.h) == 0;
	if (!has_x || (!has_w && !has_h))
		return (-1);
	if (!has_w && next_sign(&v, escaped, 'p', '%')) {
		g.kind = GEOMETRY_PERCENT;
		goto done;
	}
	/* Beyond what can be made, a box only shrinks. */
	if (g.w > MOGR2_SIDE || g.h > MOGR2_SIDE)
		g.when = GEOMETRY_SHRINK;
	if (next_sign(&v, escaped, 'r', '^'))
		g.kind = GEOMETRY_COVER;
	else if (words_next_is(&v, '!'))
		g.kind = GEOMETRY_EXACT;
	else if (words_next_is(&v, '>'))
		g.when = GEOMETRY_SHRINK;
	else if (words_next_is(&v, '<'))
		g.when = GEOMETRY_ENLARGE;
done:
	if (v.len != 0 || (g.w == 0 && g.h == 0) ||
	    (g.kind == GEOMETRY_PERCENT && (g.w > 1000 || g.h > 1000)))
		return (-1);
	spec_add_step(spec, STEP_RESIZE)->size = g;
	return (0);
}

/* {a|-}<n>: forwards or backwards. */
static int
offset(struct str *v, int *out)
{
	bool back = v->len > 0 && v->s[0] == '-';

	if ((!words_next_is(v, 'a') && !words_next_is(v, '-')) ||
	    words_number(v, MOGR2_MAX, out) == -1)
		return (-1);
	if (back)
		*out = -*out;
	return (0);
}

static int
take_crop(struct spec *spec, const struct word *w, struct str v)
{
	bool escaped = words_next_is(&v, '!'), has_w, has_h;
	struct crop c = { .gravity = spec->gravity };

	(void)w;
	has_w = words_number(&v, MOGR2_MAX, &c.w) == 0;
	if (!words_next_is(&v, 'x'))
		return (-1);
	has_h = words_number(&v, MOGR2_MAX, &c.h) == 0;
	if ((has_w && c.w == 0) || (has_h && c.h == 0) || (!has_w && !has_h))
		return (-1);
	if (escaped && (offset(&v, &c.dx) == -1 || offset(&v, &c.dy) == -1))
		return (-1);
	if (v.len != 0)
		return (-1);
	spec_add_step(spec, STEP_CROP)->crop = c;
	return (0);
}

static int
take_orient(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	(void)v;
	spec_add_step(spec, STEP_ORIENT);
	return (0);
}

static int
take_strip(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	(void)v;
	spec->keep_orient = false;
	return (0);
}

static int
take_rotate(struct spec *spec, const struct word *w, struct str v)
{
	struct step *s = spec_add_step(spec, STEP_ROTATE);

	(void)w;
	return (words_number(&v, 360, &s->degrees) == -1 ||
	    v.len != 0 ? -1 : 0);
}

static int
take_blur(struct spec *spec, const struct word *w, struct str v)
{
	struct step *s = spec_add_step(spec, STEP_BLUR);

	(void)w;
	if (words_number(&v, BLUR_MAX, &s->blur.radius) == -1 ||
	    s->blur.radius < 1 || !words_next_is(&v, 'x') ||
	    words_decimal(&v, SIGMA_MAX, &s->blur.sigma) == -1 || v.len != 0)
		return (-1);
	return (s->blur.sigma > 0 ? 0 : -1);
}

static int
take_sharpen(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	if (words_is(v, "0"))
		return (0);
	if (!words_is(v, "1"))
		return (-1);
	spec_add_step(spec, STEP_SHARPEN);
	return (0);
}

/* <n>[k|m][!], or $(fsize) for the source's own size. */
static int
take_size_limit(struct spec *spec, const struct word *w, struct str v)
{
	static const char fsize[] = "$(fsize)";
	struct size_limit *l = &spec->size_limit;
	int n;

	(void)w;
	*l = (struct size_limit){ 0 };
	if (v.len >= sizeof(fsize) - 1 &&
	    memcmp(v.s, fsize, sizeof(fsize) - 1) == 0) {
		l->source = true;
		v.s += sizeof(fsize) - 1;
		v.len -= sizeof(fsize) - 1;
	} else {
		if (words_number(&v, 1 << 30, &n) == -1 || n < 1)
			return (-1);
		l->bytes = words_next_is(&v, 'k') ? (int64_t)n << 10 :
		    words_next_is(&v, 'm') ? (int64_t)n << 20 : n;
	}
	l->or_source = words_next_is(&v, '!');
	return (v.len == 0 ? 0 : -1);
}

/* <n> pixels or !<n>p per cent. */
static int
take_length(struct spec *spec, const struct word *w, struct str v)
{
	struct length *l = (struct length *)((char *)spec + w->at);
	bool escaped = words_next_is(&v, '!');

	if (words_decimal(&v, MOGR2_MAX, &l->v) == -1 ||
	    words_next_is(&v, 'p') != escaped || v.len != 0 || l->v <= 0)
		return (-1);
	l->percent = escaped;
	return (0);
}

/* ---- the grammars ---------------------------------------------------- */

#define SIDE_FORM	"a number of pixels from 1 to 30000"
#define QUALITY_FORM	"a quality from 1 to 100"
#define WORD_QUALITY							\
	{ "q", QUALITY_FORM, words_take_int, offsetof(struct spec, opts.quality), 100 }

static const struct grammar thumbnail = {
	"thumbnail", "/thumbnail/w/200/h/100",
	(const struct word[]){
		{ "w", SIDE_FORM,
		    words_take_int, offsetof(struct spec, w), SIDE_MAX },
		{ "h", SIDE_FORM,
		    words_take_int, offsetof(struct spec, h), SIDE_MAX },
		WORD_QUALITY, WORD_FORMAT, { 0 }
	}
};

int
grammar_thumbnail(struct spec *spec, struct str args, struct ufop_err *err)
{
	spec_init(spec);
	if (words_read(spec, &thumbnail, args, err) == -1)
		return (-1);
	if (spec->w == 0 && spec->h == 0)
		return (image_err(err, UFOP_BAD_INPUT, "thumbnail needs a box: "
		    "w, h or both, as in %s", thumbnail.example));
	spec_add_step(spec, STEP_ORIENT);
	spec_add_step(spec, STEP_RESIZE)->size = (struct geometry){
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

	spec_init(spec);
	if (args.len > 0 && args.s[0] >= '0' && args.s[0] <= '9') {
		struct str all = words_cut(&args), v = all;

		if (words_number(&v, SIDE_MAX, &c->w) == -1 ||
		    !words_next_is(&v, ',') ||
		    words_number(&v, SIDE_MAX, &c->h) == -1 ||
		    !words_next_is(&v, ',') ||
		    words_number(&v, SIDE_MAX, &c->dx) == -1 ||
		    !words_next_is(&v, ',') ||
		    words_number(&v, SIDE_MAX, &c->dy) == -1 || v.len != 0 ||
		    c->w < 1 || c->h < 1)
			return (image_err(err, UFOP_BAD_INPUT, "crop takes "
			    "<width>,<height>,<x>,<y> in pixels, not '%.*s'; as "
			    "in %s", all.len > 64 ? 64 : (int)all.len, all.s,
			    crop_numbers.example));
		if (words_read(spec, &crop_numbers, args, err) == -1)
			return (-1);
	} else {
		if (words_read(spec, &crop, args, err) == -1)
			return (-1);
		if (!spec->clipped || !spec->placed)
			return (image_err(err, UFOP_BAD_INPUT, "crop needs what "
			    "to cut out: %s, or %s", crop_numbers.example,
			    crop.example));
	}
	spec_add_step(spec, STEP_ORIENT);
	spec_add_step(spec, STEP_CROP)->crop = *c;
	if (spec->thumb.w > 0)
		spec_add_step(spec, STEP_RESIZE)->size = spec->thumb;
	return (0);
}

/* ---- imageView2 ------------------------------------------------------ */

#define INTERLACE_FORM	"0 or 1 (JPEG, PNG and GIF that appear at once, and "	\
	"then sharpen)"
#define WORDS_WRITE							\
	WORD_FORMAT,							\
	{ "colors", "a number of colours from 2 to 256 (PNG and GIF)",	\
	    take_colours, 0, 0 },					\
	{ "interlace", INTERLACE_FORM, words_take_flag,			\
	    offsetof(struct spec, opts.interlace), 0 },			\
	{ "q", QUALITY_FORM, take_quality, 0, 0 },			\
	{ "quality", QUALITY_FORM, take_quality, 0, 0 },		\
	WORD_IGNORE_ERROR

static const struct grammar view2 = {
	"imageView2", "/imageView2/2/w/200/h/100",
	(const struct word[]){
		{ "w", SIDE_FORM,
		    words_take_int, offsetof(struct spec, w), SIDE_MAX },
		{ "h", SIDE_FORM,
		    words_take_int, offsetof(struct spec, h), SIDE_MAX },
		WORDS_WRITE, { 0 }
	}
};

int
grammar_view2(struct spec *spec, struct str args, struct ufop_err *err)
{
	static const struct { bool cover, long_side, cut; } modes[] = {
		{ false, true, false }, { true, false, true },
		{ false, false, false }, { true, false, false },
		{ true, true, false }, { true, true, true },
	};
	struct str mode = words_cut(&args);
	struct geometry g;

	spec_init(spec);
	if (mode.len != 1 || mode.s[0] < '0' || mode.s[0] > '5')
		return (image_err(err, UFOP_BAD_INPUT, "imageView2 takes a mode "
		    "from 0 to 5 first, not '%.*s'; as in %s",
		    mode.len > 64 ? 64 : (int)mode.len, mode.s, view2.example));
	spec->mode = mode.s[0] - '0';
	if (words_read(spec, &view2, args, err) == -1)
		return (-1);
	spec->correct_quality = !spec->forced;
	spec_add_step(spec, STEP_ORIENT);
	g = (struct geometry){ .when = GEOMETRY_SHRINK, .w = spec->w,
	    .h = spec->h, .long_side = modes[spec->mode].long_side,
	    .kind = modes[spec->mode].cover ? GEOMETRY_COVER : GEOMETRY_INSIDE };
	if (g.w == 0 && g.h == 0)
		return (0);
	if (modes[spec->mode].cover) {
		/* Of "at least", a missing side is as long as the other. */
		g.w = g.w == 0 ? g.h : g.w;
		g.h = g.h == 0 ? g.w : g.h;
	}
	spec_add_step(spec, STEP_RESIZE)->size = g;
	if (modes[spec->mode].cut)
		spec_add_step(spec, STEP_CROP)->crop = (struct crop){ .w = g.w,
		    .h = g.h, .gravity = GRAVITY_CENTER,
		    .long_side = g.long_side };
	return (0);
}

/* ---- imageMogr2 ------------------------------------------------------ */

#define GEOMETRY_FORM	"a size like 300x200, 300x, x200, 300x200!, "	\
	"300x200>, 300x200<, !300x200r, !50p, !50px, !x50p or 60000@"
#define CROP_FORM	"a part like 300x200, 300x, x200 or !300x200a10a20"

static const struct grammar mogr2 = {
	"imageMogr2", "/imageMogr2/auto-orient/thumbnail/300x200/quality/80",
	(const struct word[]){
		{ "auto-orient", NULL, take_orient, 0, 0 },
		{ "thumbnail", GEOMETRY_FORM, take_geometry, 0, 0 },
		{ "strip", NULL, take_strip, 0, 0 },
		{ "gravity", GRAVITY_FORM, words_take_gravity, 0, 0 },
		{ "crop", CROP_FORM, take_crop, 0, 0 },
		{ "rotate", "degrees from 0 to 360", take_rotate, 0, 0 },
		{ "blur", "a radius from 1 to 50 and a sigma above 0, like 3x5",
		    take_blur, 0, 0 },
		{ "sharpen", "0 or 1", take_sharpen, 0, 0 },
		{ "background", COLOUR_FORM, words_take_colour,
		    offsetof(struct spec, background), 0 },
		{ "size-limit", "a size like 50k, 1m! or $(fsize)!",
		    take_size_limit, 0, 0 },
		{ "density", "dots an inch, from 1 to 1200", words_take_int,
		    offsetof(struct spec, opts.density), 1200 },
		WORDS_WRITE, { 0 }
	}
};

int
grammar_mogr2(struct spec *spec, struct str args, struct ufop_err *err)
{
	spec_init(spec);
	spec->keep_orient = true;
	if (words_read(spec, &mogr2, args, err) == -1)
		return (-1);
	spec->correct_quality = !spec->forced;
	return (0);
}

/* ---- roundPic -------------------------------------------------------- */

#define LENGTH_FORM	"pixels like 20, or per cent like !25p"

static const struct grammar round_pic = {
	"roundPic", "/roundPic/radius/!25p",
	(const struct word[]){
		{ "radius", LENGTH_FORM, take_length,
		    offsetof(struct spec, rx), 0 },
		{ "radiusx", LENGTH_FORM, take_length,
		    offsetof(struct spec, rx), 0 },
		{ "radiusy", LENGTH_FORM, take_length,
		    offsetof(struct spec, ry), 0 },
		{ 0 }
	}
};

int
grammar_round(struct spec *spec, struct str args, struct ufop_err *err)
{
	struct step *s;

	spec_init(spec);
	if (words_read(spec, &round_pic, args, err) == -1)
		return (-1);
	if (spec->rx.v == 0 && spec->ry.v == 0)
		return (image_err(err, UFOP_BAD_INPUT, "roundPic needs a radius, "
		    "as in %s", round_pic.example));
	spec_add_step(spec, STEP_ORIENT);
	s = spec_add_step(spec, STEP_ROUND);
	s->round.x = spec->rx.v > 0 ? spec->rx : spec->ry;
	s->round.y = spec->ry.v > 0 ? spec->ry : spec->rx;
	spec->codec = &codec_png;
	return (0);
}

const struct grammar_name grammar_names[] = {
	{ "thumbnail", grammar_thumbnail },
	{ "crop", grammar_crop },
	{ "imageView2", grammar_view2 },
	{ "imageMogr2", grammar_mogr2 },
	{ "roundPic", grammar_round },
	{ "watermark", grammar_watermark },
	{ NULL, NULL }
};
