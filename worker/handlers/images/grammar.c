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

#define MOGR2_SIDE	10000	/* above it, thumbnail only shrinks */
#define MOGR2_MAX	99999999
#define BLUR_MAX	50	/* radius, pixels */
#define SIGMA_MAX	1000

struct grammar {
	const char	*name;
	const char	*example;
	const struct word *words;	/* ends with a NULL name */
};

/* What holds before any word is read. */
static void
spec_init(struct spec *spec)
{
	memset(spec, 0, sizeof(*spec));
	spec->opts.quality = QUALITY;
	memset(spec->background, 255, sizeof(spec->background));
}

/* A step more; NULL when there are too many. */
static struct step *
add_step(struct spec *spec, enum step_kind kind)
{
	struct step *s;

	if (spec->nsteps == STEPS_MAX)
		return (NULL);
	s = &spec->steps[spec->nsteps++];
	*s = (struct step){ .kind = kind };
	return (s);
}

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
take_flag(struct spec *spec, const struct word *w, struct str v)
{
	bool *flag = (bool *)((char *)spec + w->at);

	if (v.len != 1 || (v.s[0] != '0' && v.s[0] != '1'))
		return (-1);
	*flag = v.s[0] == '1';
	return (0);
}

static int
take_colours(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	return (number(&v, 256, &spec->opts.colours) == -1 || v.len != 0 ||
	    spec->opts.colours < 2 ? -1 : 0);
}

/* 1 to 100; "!" behind it insists. */
static int
take_quality(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	if (number(&v, 100, &spec->opts.quality) == -1 ||
	    spec->opts.quality < 1)
		return (-1);
	spec->forced = next_is(&v, '!');
	return (v.len == 0 ? 0 : -1);
}

static bool
is(struct str v, const char *s)
{
	return (strlen(s) == v.len && memcmp(v.s, s, v.len) == 0);
}

static int
take_format(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	spec->codec = codec_by_name(v.s, v.len);
	spec->auto_format = is(v, "auto");
	return (spec->codec != NULL || spec->auto_format ? 0 : -1);
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
	return (next_is(v, escaped ? letter : sign));
}

/*
 * The forms of thumbnail/.  A leading ! says that signs which mean something
 * in a url are written as letters: p is %, r is ^.
 */
static int
take_geometry(struct spec *spec, const struct word *w, struct str v)
{
	bool escaped = next_is(&v, '!'), has_w, has_x, has_h;
	struct geometry g = { .kind = GEOMETRY_INSIDE };
	struct step *s;

	(void)w;
	has_w = number(&v, MOGR2_MAX, &g.w) == 0;
	if (has_w && next_sign(&v, escaped, 'p', '%')) {
		/* <S>% is both sides, <S>%x the width. */
		g.kind = GEOMETRY_PERCENT;
		g.h = next_is(&v, 'x') ? 0 : g.w;
		goto done;
	}
	if (has_w && next_is(&v, '@')) {
		g.kind = GEOMETRY_AREA;
		g.area = g.w;
		goto done;
	}
	has_x = next_is(&v, 'x');
	has_h = has_x && number(&v, MOGR2_MAX, &g.h) == 0;
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
	else if (next_is(&v, '!'))
		g.kind = GEOMETRY_EXACT;
	else if (next_is(&v, '>'))
		g.when = GEOMETRY_SHRINK;
	else if (next_is(&v, '<'))
		g.when = GEOMETRY_ENLARGE;
done:
	if (v.len != 0 || (g.w == 0 && g.h == 0) ||
	    (g.kind == GEOMETRY_PERCENT && (g.w > 1000 || g.h > 1000)) ||
	    (s = add_step(spec, STEP_RESIZE)) == NULL)
		return (-1);
	s->size = g;
	return (0);
}

/* {a|-}<n>: forwards or backwards. */
static int
offset(struct str *v, int *out)
{
	bool back = v->len > 0 && v->s[0] == '-';

	if ((!next_is(v, 'a') && !next_is(v, '-')) ||
	    number(v, MOGR2_MAX, out) == -1)
		return (-1);
	if (back)
		*out = -*out;
	return (0);
}

static int
take_crop(struct spec *spec, const struct word *w, struct str v)
{
	bool escaped = next_is(&v, '!'), has_w, has_h;
	struct crop c = { .gravity = spec->gravity };
	struct step *s;

	(void)w;
	has_w = number(&v, MOGR2_MAX, &c.w) == 0;
	if (!next_is(&v, 'x'))
		return (-1);
	has_h = number(&v, MOGR2_MAX, &c.h) == 0;
	if ((has_w && c.w == 0) || (has_h && c.h == 0) || (!has_w && !has_h))
		return (-1);
	if (escaped && (offset(&v, &c.dx) == -1 || offset(&v, &c.dy) == -1))
		return (-1);
	if (v.len != 0 || (s = add_step(spec, STEP_CROP)) == NULL)
		return (-1);
	s->crop = c;
	return (0);
}

static int
take_gravity(struct spec *spec, const struct word *w, struct str v)
{
	static const char *const names[] = {
		"NorthWest", "North", "NorthEast", "West", "Center", "East",
		"SouthWest", "South", "SouthEast"
	};

	(void)w;
	for (int i = 0; i < 9; i++)
		if (is(v, names[i])) {
			spec->gravity = (enum gravity)i;
			return (0);
		}
	return (-1);
}

static int
take_orient(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	(void)v;
	return (add_step(spec, STEP_ORIENT) != NULL ? 0 : -1);
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
	struct step *s = add_step(spec, STEP_ROTATE);

	(void)w;
	return (s == NULL || number(&v, 360, &s->degrees) == -1 ||
	    v.len != 0 ? -1 : 0);
}

/* A number with or without a fraction, at most max. */
static int
decimal(struct str *v, int max, double *out)
{
	int whole;

	if (number(v, max, &whole) == -1)
		return (-1);
	*out = whole;
	if (next_is(v, '.'))
		for (double k = 0.1; v->len > 0 && v->s[0] >= '0' &&
		    v->s[0] <= '9'; k /= 10) {
			*out += k * (v->s[0] - '0');
			next_is(v, v->s[0]);
		}
	return (0);
}

static int
take_blur(struct spec *spec, const struct word *w, struct str v)
{
	struct step *s = add_step(spec, STEP_BLUR);

	(void)w;
	if (s == NULL || number(&v, BLUR_MAX, &s->blur.radius) == -1 ||
	    s->blur.radius < 1 || !next_is(&v, 'x') ||
	    decimal(&v, SIGMA_MAX, &s->blur.sigma) == -1 || v.len != 0)
		return (-1);
	return (s->blur.sigma > 0 ? 0 : -1);
}

static int
take_sharpen(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	if (is(v, "0"))
		return (0);
	return (is(v, "1") && add_step(spec, STEP_SHARPEN) != NULL ? 0 : -1);
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
		if (number(&v, 1 << 30, &n) == -1 || n < 1)
			return (-1);
		l->bytes = next_is(&v, 'k') ? (int64_t)n << 10 :
		    next_is(&v, 'm') ? (int64_t)n << 20 : n;
	}
	l->or_source = next_is(&v, '!');
	return (v.len == 0 ? 0 : -1);
}

static int
hex(char c)
{
	return (c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ?
	    c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1);
}

/* URL-safe base64, padded or not; -1 when it is none or longer than size. */
static int
base64(struct str v, char *out, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	size_t n = 0;
	int have = 0;

	while (v.len > 0 && v.s[v.len - 1] == '=')
		v.len--;
	for (size_t i = 0; i < v.len; i++) {
		char c = v.s[i] == '+' ? '-' : v.s[i];
		const char *d = c != '\0' ? strchr(digits, c) : NULL;

		if (d == NULL)
			return (-1);
		bits = bits << 6 | (uint32_t)(d - digits);
		if ((have += 6) < 8)
			continue;
		have -= 8;
		if (n == size)
			return (-1);
		out[n++] = (char)(bits >> have);
	}
	return ((int)n);
}

/* The mark that words are about, the latest; NULL when it is no such one. */
static struct mark *
mark_of(struct spec *spec, enum mark_kind kind)
{
	struct mark *m = spec->marks + spec->nmarks;

	return (spec->nmarks > 0 && m[-1].kind == kind ? &m[-1] : NULL);
}

/* A colour's name or #RRGGBB, in base64. */
static int
take_colour(struct spec *spec, const struct word *w, struct str v)
{
	static const struct { const char *name; unsigned char rgba[4]; } names[] = {
		{ "transparent", { 0, 0, 0, 0 } }, { "none", { 0, 0, 0, 0 } },
		{ "white", { 255, 255, 255, 255 } }, { "black", { 0, 0, 0, 255 } },
		{ "red", { 255, 0, 0, 255 } }, { "orange", { 255, 165, 0, 255 } },
		{ "yellow", { 255, 255, 0, 255 } }, { "green", { 0, 128, 0, 255 } },
		{ "blue", { 0, 0, 255, 255 } }, { "purple", { 128, 0, 128, 255 } },
		{ "gray", { 126, 126, 126, 255 } },
		{ "pink", { 255, 192, 203, 255 } },
	};
	struct mark *m = mark_of(spec, MARK_TEXT);
	unsigned char *to = w->at != 0 ? (unsigned char *)spec + w->at :
	    m != NULL ? m->rgba : NULL;
	char text[16];
	int n = base64(v, text, sizeof(text));

	if (to == NULL)
		return (-1);
	if (n == 7 && text[0] == '#') {
		for (int i = 0; i < 3; i++) {
			int a = hex(text[1 + 2 * i]), b = hex(text[2 + 2 * i]);

			if (a == -1 || b == -1)
				return (-1);
			to[i] = (unsigned char)(a * 16 + b);
		}
		to[3] = 255;
		return (0);
	}
	for (size_t i = 0; n > 0 && i < sizeof(names) / sizeof(names[0]); i++)
		if (is((struct str){ text, (size_t)n }, names[i].name)) {
			memcpy(to, names[i].rgba, 4);
			return (0);
		}
	return (-1);
}

/* <n> pixels or !<n>p per cent. */
static int
take_length(struct spec *spec, const struct word *w, struct str v)
{
	struct length *l = (struct length *)((char *)spec + w->at);
	bool escaped = next_is(&v, '!');

	if (decimal(&v, MOGR2_MAX, &l->v) == -1 ||
	    next_is(&v, 'p') != escaped || v.len != 0 || l->v <= 0)
		return (-1);
	l->percent = escaped;
	return (0);
}

/* ---- reading --------------------------------------------------------- */

static int
unknown(const struct grammar *g, struct str name, struct ufop_err *err)
{
	char known[256];
	size_t n = 0;

	for (const struct word *w = g->words;
	    w->name != NULL && n < sizeof(known); w++)
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

		/* A slash too many, as at the end, says nothing. */
		if (name.len == 0)
			continue;
		while (w->name != NULL && (strlen(w->name) != name.len ||
		    memcmp(w->name, name.s, name.len) != 0))
			w++;
		if (w->name == NULL)
			return (unknown(g, name, err));
		if (w->form != NULL && args.s != NULL)
			value = cut_segment(&args);
		if (w->take(spec, w, value) == -1)
			return (image_err(err, UFOP_BAD_INPUT, "%s: %s takes %s, "
			    "not '%.*s'; as in %s", g->name, w->name,
			    w->form != NULL ? w->form : "no value and stands "
			    "at most 64 times",
			    value.len > 64 ? 64 : (int)value.len, value.s,
			    g->example));
	}
	return (0);
}

/* ---- the grammars ---------------------------------------------------- */

#define SIDE_FORM	"a number of pixels from 1 to 30000"
#define QUALITY_FORM	"a quality from 1 to 100"
#define FORMAT_FORM	"one of jpg, png, webp, avif, gif, "	\
	"tiff, bmp, tga, auto"
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
	spec_init(spec);
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

	spec_init(spec);
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

/* ---- imageView2 ------------------------------------------------------ */

#define INTERLACE_FORM	"0 or 1 (JPEG, PNG and GIF that appear at once, and then sharpen)"
#define IGNORE_FORM	"0 or 1 (the source instead of an error)"
#define WORDS_WRITE							\
	WORD_FORMAT,							\
	{ "colors", "a number of colours from 2 to 256 (PNG and GIF)",	\
	    take_colours, 0, 0 },					\
	{ "interlace", INTERLACE_FORM, take_flag,			\
	    offsetof(struct spec, opts.interlace), 0 },			\
	{ "q", QUALITY_FORM, take_quality, 0, 0 },			\
	{ "quality", QUALITY_FORM, take_quality, 0, 0 },		\
	{ "ignore-error", IGNORE_FORM, take_flag,			\
	    offsetof(struct spec, ignore_error), 0 }

static const struct grammar view2 = {
	"imageView2", "/imageView2/2/w/200/h/100",
	(const struct word[]){
		{ "w", SIDE_FORM, take_int, offsetof(struct spec, w), SIDE_MAX },
		{ "h", SIDE_FORM, take_int, offsetof(struct spec, h), SIDE_MAX },
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
	struct str mode = cut_segment(&args);
	struct geometry g;

	spec_init(spec);
	if (mode.len != 1 || mode.s[0] < '0' || mode.s[0] > '5')
		return (image_err(err, UFOP_BAD_INPUT, "imageView2 takes a mode "
		    "from 0 to 5 first, not '%.*s'; as in %s",
		    mode.len > 64 ? 64 : (int)mode.len, mode.s, view2.example));
	spec->mode = mode.s[0] - '0';
	if (read_words(spec, &view2, args, err) == -1)
		return (-1);
	spec->correct_quality = !spec->forced;
	add_step(spec, STEP_ORIENT);
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
	add_step(spec, STEP_RESIZE)->size = g;
	if (modes[spec->mode].cut)
		add_step(spec, STEP_CROP)->crop = (struct crop){ .w = g.w,
		    .h = g.h, .gravity = GRAVITY_CENTER,
		    .long_side = g.long_side };
	return (0);
}

/* ---- imageMogr2 ------------------------------------------------------ */

#define GEOMETRY_FORM	"a size like 300x200, 300x, x200, 300x200!, "	\
	"300x200>, 300x200<, !300x200r, !50p, !50px, !x50p or 60000@"
#define CROP_FORM	"a part like 300x200, 300x, x200 or !300x200a10a20"
#define GRAVITY_FORM	"one of NorthWest, North, NorthEast, West, Center, "	\
	"East, SouthWest, South, SouthEast"
#define COLOUR_FORM	"a colour's name or #RRGGBB in URL-safe base64"

static const struct grammar mogr2 = {
	"imageMogr2", "/imageMogr2/auto-orient/thumbnail/300x200/quality/80",
	(const struct word[]){
		{ "auto-orient", NULL, take_orient, 0, 0 },
		{ "thumbnail", GEOMETRY_FORM, take_geometry, 0, 0 },
		{ "strip", NULL, take_strip, 0, 0 },
		{ "gravity", GRAVITY_FORM, take_gravity, 0, 0 },
		{ "crop", CROP_FORM, take_crop, 0, 0 },
		{ "rotate", "degrees from 0 to 360", take_rotate, 0, 0 },
		{ "blur", "a radius from 1 to 50 and a sigma above 0, like 3x5",
		    take_blur, 0, 0 },
		{ "sharpen", "0 or 1", take_sharpen, 0, 0 },
		{ "background", COLOUR_FORM, take_colour,
		    offsetof(struct spec, background), 0 },
		{ "size-limit", "a size like 50k, 1m! or $(fsize)!",
		    take_size_limit, 0, 0 },
		{ "density", "dots an inch, from 1 to 1200", take_int,
		    offsetof(struct spec, opts.density), 1200 },
		WORDS_WRITE, { 0 }
	}
};

int
grammar_mogr2(struct spec *spec, struct str args, struct ufop_err *err)
{
	spec_init(spec);
	spec->keep_orient = true;
	if (read_words(spec, &mogr2, args, err) == -1)
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
	if (read_words(spec, &round_pic, args, err) == -1)
		return (-1);
	if (spec->rx.v == 0 && spec->ry.v == 0)
		return (image_err(err, UFOP_BAD_INPUT, "roundPic needs a radius, "
		    "as in %s", round_pic.example));
	add_step(spec, STEP_ORIENT);
	s = add_step(spec, STEP_ROUND);
	s->round.x = spec->rx.v > 0 ? spec->rx : spec->ry;
	s->round.y = spec->ry.v > 0 ? spec->ry : spec->rx;
	spec->codec = &codec_png;
	return (0);
}

/* ---- watermark ------------------------------------------------------- */

#define TWIPS		20	/* in a point, which is a pixel here */
#define TYPE_MAX	1000	/* pixels */
#define MARGIN		10	/* from the edges, when not told */

/* One more; NULL when there are too many. */
static struct mark *
add_mark(struct spec *spec, enum mark_kind kind)
{
	struct mark *m;
	struct step *s;

	if (spec->nmarks == MARKS_MAX ||
	    (s = add_step(spec, STEP_MARK)) == NULL)
		return (NULL);
	s->mark = spec->nmarks++;
	m = &spec->marks[s->mark];
	*m = (struct mark){ .kind = kind, .gravity = GRAVITY_SOUTHEAST,
	    .dx = MARGIN, .dy = MARGIN, .dissolve = 100 };
	return (m);
}

static int
take_text(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = add_mark(spec, MARK_TEXT);
	int n;

	(void)w;
	if (m == NULL || (n = base64(v, m->text, sizeof(m->text))) <= 0)
		return (-1);
	m->len = (size_t)n;
	m->px = 240 / TWIPS;
	m->rgba[3] = 255;
	return (0);
}

/* A NUL inside would make it another url than the one that was checked. */
static int
take_image(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = add_mark(spec, MARK_IMAGE);
	int n;

	(void)w;
	if (m == NULL || (n = base64(v, m->url, sizeof(m->url) - 1)) <= 0)
		return (-1);
	m->url[n] = '\0';
	return (strlen(m->url) == (size_t)n &&
	    (strncmp(m->url, "http://", 7) == 0 ||
	    strncmp(m->url, "https://", 8) == 0) ? 0 : -1);
}

static int
take_font(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = mark_of(spec, MARK_TEXT);
	int n;

	(void)w;
	if (m == NULL || (n = base64(v, m->font, sizeof(m->font) - 1)) <= 0)
		return (-1);
	m->font[n] = '\0';
	return (0);
}

static int
take_font_size(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = mark_of(spec, MARK_TEXT);
	int n;

	(void)w;
	if (m == NULL || number(&v, TYPE_MAX * TWIPS, &n) == -1 || n < TWIPS ||
	    v.len != 0)
		return (-1);
	m->px = n / TWIPS;
	return (0);
}

static int
take_scale(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = mark_of(spec, MARK_IMAGE);

	(void)w;
	return (m == NULL || decimal(&v, 1, &m->scale) == -1 || v.len != 0 ||
	    m->scale > 1 ? -1 : 0);
}

static int
take_scale_by(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = mark_of(spec, MARK_IMAGE);
	int n;

	(void)w;
	if (m == NULL || number(&v, MARK_HEIGHT, &n) == -1 || v.len != 0)
		return (-1);
	m->by = (enum mark_by)n;
	return (0);
}

/* Words of both kinds; the grammar has seen to it that there is a mark. */
static struct mark *
latest_mark(struct spec *spec)
{
	return (&spec->marks[spec->nmarks - 1]);
}

static int
take_dissolve(struct spec *spec, const struct word *w, struct str v)
{
	int n;

	(void)w;
	if (number(&v, 100, &n) == -1 || n < 1 || v.len != 0)
		return (-1);
	latest_mark(spec)->dissolve = n;
	return (0);
}

static int
take_mark_gravity(struct spec *spec, const struct word *w, struct str v)
{
	if (take_gravity(spec, w, v) == -1)
		return (-1);
	latest_mark(spec)->gravity = spec->gravity;
	return (0);
}

static int
take_distance(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = latest_mark(spec);
	bool back = next_is(&v, '-');
	int n;

	if (number(&v, SIDE_MAX, &n) == -1 || v.len != 0)
		return (-1);
	*(w->name[1] == 'x' ? &m->dx : &m->dy) = back ? -n : n;
	return (0);
}

/* What the words before the first mark may be about: the file to be written. */
#define WORDS_FILE								WORD_FORMAT,								{ "ignore-error", IGNORE_FORM, take_flag,				    offsetof(struct spec, ignore_error), 0 }
#define WORDS_MARK								{ "dissolve", "an opacity from 1 to 100", take_dissolve, 0, 0 }, 	{ "gravity", GRAVITY_FORM, take_mark_gravity, 0, 0 },			{ "dx", "a distance in pixels", take_distance, 0, 0 },			{ "dy", "a distance in pixels", take_distance, 0, 0 }
#define WORDS_TEXT								{ "text", "text in URL-safe base64, at most 1024 bytes and 8 "		    "marks", take_text, 0, 0 },						{ "font", "a font's name in URL-safe base64, behind a text",		    take_font, 0, 0 },							{ "fontsize", "a size from 20 to 20000, in twentieths of a pixel, " 	    "behind a text", take_font_size, 0, 0 },				{ "fill", COLOUR_FORM ", behind a text", take_colour, 0, 0 }
#define WORDS_IMAGE								{ "image", "an http or https url in URL-safe base64, at most 2047 " 	    "bytes and 8 marks", take_image, 0, 0 },				{ "ws", "a part of the picture's side from 0 to 1, behind an image", 	    take_scale, 0, 0 },							{ "wst", "0 (short side), 1 (long side), 2 (width) or 3 (height), " 	    "behind an image", take_scale_by, 0, 0 }

static const struct grammar watermarks[] = {
	{ "watermark", "/watermark/1/image/aHR0cDovL2EvYi5wbmc/ws/0.2",
	    (const struct word[]){ WORDS_IMAGE, WORDS_MARK, WORDS_FILE, { 0 } } },
	{ "watermark", "/watermark/2/text/aGVsbG8/fontsize/500/fill/cmVk",
	    (const struct word[]){ WORDS_TEXT, WORDS_MARK, WORDS_FILE, { 0 } } },
	{ "watermark", "/watermark/3/text/aGVsbG8/image/aHR0cDovL2EvYi5wbmc",
	    (const struct word[]){ WORDS_TEXT, WORDS_IMAGE, WORDS_MARK,
	    WORDS_FILE, { 0 } } },
};

/* 1 is a picture, 2 a text, 3 any number of both, laid on in their order. */
int
grammar_watermark(struct spec *spec, struct str args, struct ufop_err *err)
{
	struct str mode = cut_segment(&args), rest = args, first;
	const struct grammar *g;
	bool image, text;

	spec_init(spec);
	if (mode.len != 1 || mode.s[0] < '1' || mode.s[0] > '3')
		return (image_err(err, UFOP_BAD_INPUT, "watermark takes 1 (a "
		    "picture), 2 (a text) or 3 (any of both) first, not "
		    "'%.*s'; as in %s", mode.len > 64 ? 64 : (int)mode.len,
		    mode.s, watermarks[2].example));
	g = &watermarks[mode.s[0] - '1'];
	/* Only what is about the file makes sense before there is a mark. */
	do {
		first = cut_segment(&rest);
		if (is(first, "format") || is(first, "ignore-error")) {
			cut_segment(&rest);
			first.len = 0;
		}
	} while (first.len == 0 && rest.len > 0);
	image = g != &watermarks[1] && is(first, "image");
	text = g != &watermarks[0] && is(first, "text");
	if (!image && !text)
		return (image_err(err, UFOP_BAD_INPUT, "watermark/%c needs the "
		    "word %s first; as in %s", mode.s[0],
		    g == &watermarks[0] ? "image" : g == &watermarks[1] ?
		    "text" : "text or image", g->example));
	add_step(spec, STEP_ORIENT);
	return (read_words(spec, g, args, err));
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
