/* SPDX-License-Identifier: MIT */
/* The words of watermark: texts and pictures laid on; see grammar.h. */
#include "words.h"

#define TWIPS		20	/* in a point, which is a pixel here */
#define TYPE_MAX	1000	/* pixels */
#define MARGIN		10	/* from the edges, when not told */

/* One more; NULL when there are too many. */
static struct mark *
add_mark(struct spec *spec, enum mark_kind kind)
{
	struct mark *m;
	struct step *s;

	if (spec->nmarks == MARKS_MAX)
		return (NULL);
	s = spec_add_step(spec, STEP_MARK);
	s->mark = spec->nmarks++;
	m = &spec->marks[s->mark];
	*m = (struct mark){ .kind = kind, .gravity = GRAVITY_SOUTHEAST,
	    .dx = MARGIN, .dy = MARGIN, .dissolve = 100 };
	return (m);
}

/* Characters that move a printer's head and have no shape: C0, DEL and C1. */
static bool
has_controls(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		unsigned char next = i + 1 < len ? (unsigned char)text[i + 1] : 0;

		if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 &&
		    next < 0xa0))
			return (true);
	}
	return (false);
}

static int
take_text(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = add_mark(spec, MARK_TEXT);
	int n;

	(void)w;
	if (m == NULL || (n = words_base64(v, m->text, sizeof(m->text))) <= 0 ||
	    has_controls(m->text, (size_t)n))
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
	if (m == NULL || (n = words_base64(v, m->url, sizeof(m->url) - 1)) <= 0)
		return (-1);
	m->url[n] = '\0';
	return (strlen(m->url) == (size_t)n &&
	    (strncmp(m->url, "http://", 7) == 0 ||
	    strncmp(m->url, "https://", 8) == 0) ? 0 : -1);
}

static int
take_font(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = spec_mark(spec, MARK_TEXT);
	int n;

	(void)w;
	if (m == NULL || (n = words_base64(v, m->font, sizeof(m->font) - 1)) <= 0)
		return (-1);
	m->font[n] = '\0';
	return (0);
}

static int
take_font_size(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = spec_mark(spec, MARK_TEXT);
	int n;

	(void)w;
	if (m == NULL || words_number(&v, TYPE_MAX * TWIPS, &n) == -1 ||
	    n < TWIPS || v.len != 0)
		return (-1);
	m->px = n / TWIPS;
	return (0);
}

static int
take_scale(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = spec_mark(spec, MARK_IMAGE);

	(void)w;
	return (m == NULL || words_decimal(&v, 1, &m->scale) == -1 || v.len != 0 ||
	    m->scale > 1 ? -1 : 0);
}

static int
take_scale_by(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = spec_mark(spec, MARK_IMAGE);
	int n;

	(void)w;
	if (m == NULL || words_number(&v, MARK_HEIGHT, &n) == -1 || v.len != 0)
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
	if (words_number(&v, 100, &n) == -1 || n < 1 || v.len != 0)
		return (-1);
	latest_mark(spec)->dissolve = n;
	return (0);
}

static int
take_mark_gravity(struct spec *spec, const struct word *w, struct str v)
{
	if (words_take_gravity(spec, w, v) == -1)
		return (-1);
	latest_mark(spec)->gravity = spec->gravity;
	return (0);
}

static int
take_distance(struct spec *spec, const struct word *w, struct str v)
{
	struct mark *m = latest_mark(spec);
	bool back = words_next_is(&v, '-');
	int n;

	if (words_number(&v, SIDE_MAX, &n) == -1 || v.len != 0)
		return (-1);
	*(w->name[1] == 'x' ? &m->dx : &m->dy) = back ? -n : n;
	return (0);
}

/* What the words before the first mark may be about: the file to be written. */
#define WORDS_FILE	WORD_FORMAT, WORD_IGNORE_ERROR
#define WORDS_MARK							\
	{ "dissolve", "an opacity from 1 to 100", take_dissolve, 0, 0 },	\
	{ "gravity", GRAVITY_FORM, take_mark_gravity, 0, 0 },		\
	{ "dx", "a distance in pixels", take_distance, 0, 0 },		\
	{ "dy", "a distance in pixels", take_distance, 0, 0 }
#define WORDS_TEXT							\
	{ "text", "one line of text in URL-safe base64, at most 1024 "	\
	    "bytes without control characters, and 8 marks", take_text, 0, 0 }, \
	{ "font", "a font's name in URL-safe base64, behind a text",	\
	    take_font, 0, 0 },						\
	{ "fontsize", "a size from 20 to 20000, in twentieths of a pixel, " \
	    "behind a text", take_font_size, 0, 0 },			\
	{ "fill", COLOUR_FORM ", behind a text", words_take_colour, 0, 0 }
#define WORDS_IMAGE							\
	{ "image", "an http or https url in URL-safe base64, at most 2047 " \
	    "bytes and 8 marks", take_image, 0, 0 },			\
	{ "ws", "a part of the picture's side from 0 to 1, behind an image", \
	    take_scale, 0, 0 },						\
	{ "wst", "0 (short side), 1 (long side), 2 (width) or 3 (height), " \
	    "behind an image", take_scale_by, 0, 0 }

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
	struct str mode = words_cut(&args), rest = args, first;
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
		first = words_cut(&rest);
		if (words_is(first, "format") || words_is(first, "ignore-error")) {
			words_cut(&rest);
			first.len = 0;
		}
	} while (first.len == 0 && rest.len > 0);
	image = g != &watermarks[1] && words_is(first, "image");
	text = g != &watermarks[0] && words_is(first, "text");
	if (!image && !text)
		return (image_err(err, UFOP_BAD_INPUT, "watermark/%c needs the "
		    "word %s first; as in %s", mode.s[0],
		    g == &watermarks[0] ? "image" : g == &watermarks[1] ?
		    "text" : "text or image", g->example));
	spec_add_step(spec, STEP_ORIENT);
	return (words_read(spec, g, args, err));
}
