/* SPDX-License-Identifier: MIT */
/* Text to pixels; see text.h. */
#include "text.h"

#include <strings.h>

#include <ft2build.h>
#include FT_FREETYPE_H
#include <harfbuzz/hb-ft.h>

#define FONTS_MAX	8

/* Of the process: from text_setup() to text_teardown(). */
static struct {
	FT_Library	 lib;
	FT_Face		 faces[FONTS_MAX];
	int		 n;
} fonts;

void
text_setup(const char *files)
{
	char path[512];

	if (fonts.lib != NULL || FT_Init_FreeType(&fonts.lib) != 0)
		return;
	while (fonts.n < FONTS_MAX) {
		size_t n;

		files += strspn(files, " ,");
		n = strcspn(files, " ,");
		if (n == 0)
			break;
		snprintf(path, sizeof(path), "%.*s", (int)n, files);
		files += n;
		if (FT_New_Face(fonts.lib, path, 0, &fonts.faces[fonts.n]) == 0)
			fonts.n++;
	}
}

void
text_teardown(void)
{
	while (fonts.n > 0)
		FT_Done_Face(fonts.faces[--fonts.n]);
	if (fonts.lib != NULL)
		FT_Done_FreeType(fonts.lib);
	fonts.lib = NULL;
}

/* The number of a family among the open fonts, 0 when it is not there. */
static int
font_named(const char *family)
{
	for (int i = 0; i < fonts.n && family != NULL; i++)
		if (fonts.faces[i]->family_name != NULL &&
		    strcasecmp(fonts.faces[i]->family_name, family) == 0)
			return (i);
	return (0);
}

/* The font to draw a character with: the preferred one, or one that has it. */
static int
font_for(hb_codepoint_t c, int preferred)
{
	if (FT_Get_Char_Index(fonts.faces[preferred], c) != 0)
		return (preferred);
	for (int i = 0; i < fonts.n; i++)
		if (FT_Get_Char_Index(fonts.faces[i], c) != 0)
			return (i);
	return (preferred);
}

/* ---- directions ------------------------------------------------------ */

enum kind { KIND_NEUTRAL, KIND_LEFT, KIND_RIGHT, KIND_DIGIT };

/* One character of the text. */
struct letter {
	hb_codepoint_t	 c;
	enum kind	 kind;
	int		 level;		/* odd: from right to left */
	int		 font;
};

/* Letters from to to - 1, of one level and one font. */
struct run {
	unsigned	 from, to;
};

static enum kind
kind_of(hb_codepoint_t c)
{
	hb_unicode_funcs_t *u = hb_unicode_funcs_get_default();
	hb_script_t script = hb_unicode_script(u, c);

	if (hb_unicode_general_category(u, c) ==
	    HB_UNICODE_GENERAL_CATEGORY_DECIMAL_NUMBER)
		return (KIND_DIGIT);
	if (script == HB_SCRIPT_COMMON || script == HB_SCRIPT_INHERITED ||
	    script == HB_SCRIPT_UNKNOWN)
		return (KIND_NEUTRAL);
	return (hb_script_get_horizontal_direction(script) ==
	    HB_DIRECTION_RTL ? KIND_RIGHT : KIND_LEFT);
}

/*
 * Levels as Unicode's bidirectional algorithm (UAX 9) deals them out, but for
 * its marks and isolates: the first letter says which way the whole line runs,
 * digits stay together behind right-to-left letters too, and what is neutral
 * goes with its neighbours when they agree, else with the line.
 */
static void
set_levels(struct letter *l, unsigned n)
{
	bool right = false;
	enum kind before;

	for (unsigned i = 0; i < n; i++)
		if (l[i].kind == KIND_LEFT || l[i].kind == KIND_RIGHT) {
			right = l[i].kind == KIND_RIGHT;
			break;
		}
	/* A point or the like in a number. */
	for (unsigned i = 1; i + 1 < n; i++)
		if (l[i].kind == KIND_NEUTRAL && l[i - 1].kind == KIND_DIGIT &&
		    l[i + 1].kind == KIND_DIGIT && l[i].c < 128 &&
		    strchr(".,:/-+", (int)l[i].c) != NULL)
			l[i].kind = KIND_DIGIT;
	before = right ? KIND_RIGHT : KIND_LEFT;
	for (unsigned i = 0, end; i < n; i = end) {
		enum kind side = before, after = right ? KIND_RIGHT : KIND_LEFT;

		for (end = i; end < n && l[end].kind == KIND_NEUTRAL; end++)
			;
		if (end == i) {
			end = i + 1;
			if (l[i].kind != KIND_DIGIT)
				before = l[i].kind;
			l[i].level = l[i].kind == KIND_RIGHT ? 1 :
			    right || before == KIND_RIGHT ? 2 : 0;
			continue;
		}
		/* Digits count as what stands before them. */
		if (end < n)
			after = l[end].kind == KIND_DIGIT ? before : l[end].kind;
		if (side != after)
			side = right ? KIND_RIGHT : KIND_LEFT;
		for (unsigned k = i; k < end; k++)
			l[k].level = side == KIND_RIGHT ? 1 : right ? 2 : 0;
	}
}

/* From the order in which runs are read to that in which they stand. */
static void
reorder(struct run *runs, unsigned n, const struct letter *l)
{
	for (int level = 2; level > 0; level--)
		for (unsigned i = 0, end; i < n; i = end + 1) {
			for (end = i; end < n && l[runs[end].from].level >= level;
			    end++)
				;
			for (unsigned a = i, b = end; a + 1 < b; a++) {
				struct run r = runs[a];

				runs[a] = runs[--b];
				runs[b] = r;
			}
		}
}

/* ---- layout ---------------------------------------------------------- */

/* Spaces and accents stay with what they follow: no run ends for them. */
static bool
joins(hb_codepoint_t c)
{
	hb_unicode_funcs_t *u = hb_unicode_funcs_get_default();

	return (hb_unicode_general_category(u, c) ==
	    HB_UNICODE_GENERAL_CATEGORY_SPACE_SEPARATOR ||
	    hb_unicode_script(u, c) == HB_SCRIPT_INHERITED);
}

/* Shape a run from pen onwards; where its end is. */
static int
shape_run(struct text *t, hb_buffer_t *buf, const struct letter *l,
    const struct run *run, int pen)
{
	int font = l[run->from].font;
	hb_font_t *hb = hb_ft_font_create_referenced(fonts.faces[font]);
	hb_glyph_info_t *info;
	hb_glyph_position_t *pos;
	unsigned n;

	hb_buffer_reset(buf);
	for (unsigned i = run->from; i < run->to; i++)
		hb_buffer_add(buf, l[i].c, i);
	hb_buffer_set_content_type(buf, HB_BUFFER_CONTENT_TYPE_UNICODE);
	hb_buffer_set_direction(buf, l[run->from].level & 1 ?
	    HB_DIRECTION_RTL : HB_DIRECTION_LTR);
	hb_buffer_guess_segment_properties(buf);
	hb_shape(hb, buf, NULL, 0);
	info = hb_buffer_get_glyph_infos(buf, &n);
	pos = hb_buffer_get_glyph_positions(buf, &n);
	for (unsigned i = 0; i < n; i++) {
		if (t->n < TEXT_MAX)
			t->glyphs[t->n++] = (struct text_glyph){ font,
			    info[i].codepoint, pen + pos[i].x_offset,
			    pos[i].y_offset };
		pen += pos[i].x_advance;
	}
	hb_font_destroy(hb);
	return (pen);
}

/* The text's letters with all that is known of each; their number. */
static unsigned
read_letters(struct letter *l, hb_buffer_t *buf, const char *utf8, size_t len,
    int preferred)
{
	const hb_glyph_info_t *chars;
	unsigned n;

	hb_buffer_add_utf8(buf, utf8, (int)len, 0, (int)len);
	chars = hb_buffer_get_glyph_infos(buf, &n);
	n = n < TEXT_MAX ? n : TEXT_MAX;
	for (unsigned i = 0; i < n; i++) {
		hb_codepoint_t c = chars[i].codepoint;

		l[i] = (struct letter){ .c = c, .kind = kind_of(c) };
		l[i].font = i > 0 && joins(c) && FT_Get_Char_Index(
		    fonts.faces[l[i - 1].font], c) != 0 ? l[i - 1].font :
		    font_for(c, preferred);
	}
	set_levels(l, n);
	return (n);
}

int
text_layout(struct text *t, const char *utf8, size_t len, const char *family,
    int px, struct ufop_err *err)
{
	struct letter letters[TEXT_MAX];
	struct run runs[TEXT_MAX];
	hb_buffer_t *buf;
	int pen = 0, below = 0;
	unsigned n, nruns = 0;

	if (fonts.n == 0)
		return (image_err(err, UFOP_UNAVAILABLE, "no font is installed "
		    "to write text with; install fonts-wqy-microhei"));
	*t = (struct text){ .px = px };
	buf = hb_buffer_create();
	n = read_letters(letters, buf, utf8, len, font_named(family));
	for (unsigned i = 0; i < n; i++)
		if (i > 0 && letters[i].font == letters[i - 1].font &&
		    letters[i].level == letters[i - 1].level)
			runs[nruns - 1].to = i + 1;
		else
			runs[nruns++] = (struct run){ i, i + 1 };
	reorder(runs, nruns, letters);
	for (unsigned i = 0; i < nruns; i++) {
		FT_Face face = fonts.faces[letters[runs[i].from].font];
		const FT_Size_Metrics *m;
		int up, down;

		FT_Set_Pixel_Sizes(face, 0, (FT_UInt)px);
		m = &face->size->metrics;
		up = (int)((m->ascender + 63) >> 6);
		down = (int)((63 - m->descender) >> 6);
		t->ascent = up > t->ascent ? up : t->ascent;
		below = down > below ? down : below;
		pen = shape_run(t, buf, letters, &runs[i], pen);
	}
	hb_buffer_destroy(buf);
	t->w = pen > 63 ? (pen + 63) >> 6 : 1;
	t->h = t->ascent + below > 0 ? t->ascent + below : 1;
	return (0);
}

/* What is outside of the mask (a swash, a tail) is cut off. */
static void
put_bitmap(struct image *im, const FT_Bitmap *b, int x, int y)
{
	const struct plane *pl = &im->plane[0];

	if (b->pixel_mode != FT_PIXEL_MODE_GRAY)
		return;
	for (int j = 0; j < (int)b->rows; j++)
		for (int i = 0; i < (int)b->width; i++) {
			unsigned char v = b->buffer[j * b->pitch + i], *d;

			if (x + i < 0 || x + i >= pl->w || y + j < 0 ||
			    y + j >= pl->h)
				continue;
			d = pl->p + (size_t)(y + j) * pl->stride + x + i;
			*d = v > *d ? v : *d;
		}
}

int
text_draw(const struct text *t, struct image *im, struct ufop_err *err)
{
	if (image_init(im, IMAGE_GREY, false, t->w, t->h, err) == -1)
		return (-1);
	memset(im->mem, 0, (size_t)t->w * (size_t)t->h);
	for (int i = 0; i < t->n; i++) {
		const struct text_glyph *g = &t->glyphs[i];
		FT_Face face = fonts.faces[g->font];

		FT_Set_Pixel_Sizes(face, 0, (FT_UInt)t->px);
		if (FT_Load_Glyph(face, g->id, FT_LOAD_RENDER) == 0)
			put_bitmap(im, &face->glyph->bitmap, (g->x >> 6) +
			    face->glyph->bitmap_left, t->ascent - (g->y >> 6) -
			    face->glyph->bitmap_top);
	}
	return (0);
}
