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

/* Shape the characters from to to - 1 of all, from pen onwards. */
static int
shape_run(struct text *t, hb_buffer_t *run, const hb_glyph_info_t *all,
    unsigned from, unsigned to, int font, int pen)
{
	hb_font_t *hb = hb_ft_font_create_referenced(fonts.faces[font]);
	hb_glyph_info_t *info;
	hb_glyph_position_t *pos;
	unsigned n;

	hb_buffer_reset(run);
	for (unsigned i = from; i < to; i++)
		hb_buffer_add(run, all[i].codepoint, i);
	hb_buffer_set_content_type(run, HB_BUFFER_CONTENT_TYPE_UNICODE);
	hb_buffer_guess_segment_properties(run);
	hb_shape(hb, run, NULL, 0);
	info = hb_buffer_get_glyph_infos(run, &n);
	pos = hb_buffer_get_glyph_positions(run, &n);
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

int
text_layout(struct text *t, const char *utf8, size_t len, const char *family,
    int px, struct ufop_err *err)
{
	hb_buffer_t *all, *run;
	const hb_glyph_info_t *chars;
	int preferred = font_named(family), pen = 0, below = 0;
	unsigned n;

	if (fonts.n == 0)
		return (image_err(err, UFOP_UNAVAILABLE, "no font is installed "
		    "to write text with; install fonts-wqy-microhei"));
	*t = (struct text){ .px = px };
	all = hb_buffer_create();
	run = hb_buffer_create();
	hb_buffer_add_utf8(all, utf8, (int)len, 0, (int)len);
	chars = hb_buffer_get_glyph_infos(all, &n);
	for (unsigned i = 0, end; i < n; i = end) {
		int font = font_for(chars[i].codepoint, preferred);
		const FT_Size_Metrics *m;
		int up, down;

		for (end = i + 1; end < n; end++)
			if (font_for(chars[end].codepoint, preferred) != font)
				break;
		FT_Set_Pixel_Sizes(fonts.faces[font], 0, (FT_UInt)px);
		m = &fonts.faces[font]->size->metrics;
		up = (int)((m->ascender + 63) >> 6);
		down = (int)((63 - m->descender) >> 6);
		t->ascent = up > t->ascent ? up : t->ascent;
		below = down > below ? down : below;
		pen = shape_run(t, run, chars, i, end, font, pen);
	}
	hb_buffer_destroy(all);
	hb_buffer_destroy(run);
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
