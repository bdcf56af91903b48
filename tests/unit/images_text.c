/* SPDX-License-Identifier: MIT */
/* Text on pictures. */
#include "text.h"

#include "images_kit.h"
#include "unit.h"

static void
need_fonts(void)
{
	static struct text t;
	struct ufop_err err;

	text_setup(TEXT_FONTS);
	if (text_layout(&t, "x", 1, NULL, 20, &err) == -1)
		unit_skip(err.msg);
}

/* Ink, in pixels' worth. */
static double
ink(const char *text, const char *family, int *w)
{
	static struct text t;
	struct ufop_err err;
	struct image im;
	double sum = 0;

	CHECK(text_layout(&t, text, strlen(text), family, 40, &err) == 0);
	CHECK(text_draw(&t, &im, &err) == 0);
	for (int i = 0; i < t.w * t.h; i++)
		sum += im.plane[0].p[i] / 255.0;
	image_release(&im);
	*w = t.w;
	return (sum);
}

void
test_images_text_is_drawn(void)
{
	int one, two, none;

	need_fonts();
	CHECK(ink("n", NULL, &one) > 50);
	CHECK(ink("nn", NULL, &two) > 100);
	CHECK(two > one + one / 2);
	CHECK(ink("   ", NULL, &none) == 0);
	/* No family of that name: the usual font. */
	CHECK(ink("nn", "No Such Font", &one) > 100);
	CHECK_INT(one, two);
	/* Bytes that are no text do no harm. */
	ink("\xff\xfe\x80", NULL, &one);
	text_teardown();
}

/* The glyph of one character alone; 0 when no font has it. */
static uint32_t
glyph(const char *c)
{
	static struct text t;
	struct ufop_err err;

	CHECK(text_layout(&t, c, strlen(c), NULL, 40, &err) == 0);
	CHECK_INT(t.n, 1);
	return (t.glyphs[0].id);
}

/* Texts as they are read, and the characters from left to right. */
void
test_images_text_directions(void)
{
#define ALEF	"\xd7\x90"
#define BET	"\xd7\x91"
#define GIMEL	"\xd7\x92"
#define DALET	"\xd7\x93"
	static const struct { const char *text, *seen[12]; } rows[] = {
		{ "abc", { "a", "b", "c" } },
		{ ALEF BET, { BET, ALEF } },
		{ ALEF BET " " GIMEL DALET,
		    { DALET, GIMEL, " ", BET, ALEF } },
		{ ALEF BET "! " GIMEL,
		    { GIMEL, " ", "!", BET, ALEF } },
		{ "a " ALEF " " BET " c",
		    { "a", " ", BET, " ", ALEF, " ", "c" } },
		{ ALEF " ab " BET,
		    { BET, " ", "a", "b", " ", ALEF } },
		{ ALEF " 1.2", { "1", ".", "2", " ", ALEF } },
		{ "a " ALEF " 12", { "a", " ", "1", "2", " ", ALEF } },
		{ "a " ALEF "!", { "a", " ", ALEF, "!" } },
	};
	static struct text t;
	struct ufop_err err;

	need_fonts();
	if (glyph(ALEF) == 0)
		unit_skip("no font here has Hebrew");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int n = 0, last = -1;

		CHECK(text_layout(&t, rows[i].text, strlen(rows[i].text), NULL,
		    40, &err) == 0);
		for (; rows[i].seen[n] != NULL; n++) {
			const struct text_glyph *g = &t.glyphs[n];

			CHECK(n < t.n);
			/* A space is its neighbour's font's. */
			CHECK_MSG(rows[i].seen[n][0] == ' ' ||
			    g->id == glyph(rows[i].seen[n]), "row %zu: "
			    "%d is not %s", i, n, rows[i].seen[n]);
			CHECK_MSG(g->x > last, "row %zu: %d at %d", i, n, g->x);
			last = g->x;
		}
		CHECK_INT(t.n, n);
	}
	text_teardown();
}

/* Characters without a shape would be boxes. */
void
test_images_text_has_no_controls(void)
{
	static const char *const rows[] = {
		"YQpi",		/* a, line break, b */
		"AA", "fw", "YcKFYg"	/* NUL; DEL; a, U+0085, b */
	};
	struct image im;
	struct bytes png;
	struct ufop_err err;
	char cmd[64];

	need_fonts();
	kit_flat(&im, 60, 20, (const unsigned char[3]){ 9, 9, 9 });
	png = kit_encode(&codec_png, &im, 0, 1);
	image_release(&im);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(cmd, sizeof(cmd), "watermark/2/text/%s", rows[i]);
		CHECK_INT(kit_run(cmd, png.p, png.len, NULL, NULL, &err),
		    UFOP_BAD_INPUT);
		CHECK_MSG(strstr(err.msg, "control characters") != NULL, "%s",
		    err.msg);
	}
	/* A with grave begins with the same byte as U+0085. */
	CHECK_INT(kit_run("watermark/2/text/w4DCoA", png.p, png.len, NULL, NULL,
	    &err), 0);
	free(png.p);
	text_teardown();
}

void
test_images_text_marks_the_picture(void)
{
	/* "MMMM", red, large, in the left upper corner of white. */
	static const char *const cmd = "watermark/2/text/TU1NTQ/fontsize/800"
	    "/fill/cmVk/gravity/NorthWest/dx/0/dy/0";
	static const unsigned char white[3] = { 255, 255, 255 };
	struct picture_file out;
	struct ufop_err err = { UFOP_OK, "" };
	struct image im;
	struct bytes png;
	int red = 0;

	need_fonts();
	kit_flat(&im, 300, 100, white);
	png = kit_encode(&codec_png, &im, 0, 1);
	image_release(&im);
	CHECK_MSG(kit_run(cmd, png.p, png.len, &im, &out, &err) == 0, "%s",
	    err.msg);
	for (int y = 0; y < 100; y++)
		for (int x = 0; x < 300; x++)
			if (strcmp(kit_colour(&im, x, y), "red") == 0) {
				CHECK(x < 200 && y < 70);
				red++;
			}
	CHECK(red > 500);
	image_release(&im);
	free(out.bytes.p);
	free(png.p);
	/* Too small for the mark: as it came. */
	kit_flat(&im, 60, 20, white);
	png = kit_encode(&codec_png, &im, 0, 1);
	image_release(&im);
	CHECK_INT(kit_run(cmd, png.p, png.len, NULL, &out, &err), 0);
	CHECK_INT(out.bytes.len, png.len);
	CHECK(memcmp(out.bytes.p, png.p, png.len) == 0);
	free(out.bytes.p);
	free(png.p);
	text_teardown();
}
