/* SPDX-License-Identifier: MIT */
/* TIFF of every make, by each of the ways in which pixels are read. */
#include "images_kit.h"

#include <tiffio.h>

#include "unit.h"

#define W	150
#define H	130

static const struct kind {
	const char	*name;
	int		 compression, photometric, bits, samples;
	int		 rows;		/* of a strip; below 0: of a tile */
	bool		 planes;
} kinds[] = {
	{ "plain", COMPRESSION_NONE, PHOTOMETRIC_RGB, 8, 3, 7, false },
	{ "one strip", COMPRESSION_ADOBE_DEFLATE, PHOTOMETRIC_RGB, 8, 3, H,
	    false },
	{ "rows", COMPRESSION_LZW, PHOTOMETRIC_RGB, 8, 3, 1, false },
	{ "more rows", COMPRESSION_PACKBITS, PHOTOMETRIC_RGB, 8, 3, 1000,
	    false },
	{ "16 bits", COMPRESSION_ADOBE_DEFLATE, PHOTOMETRIC_RGB, 16, 3, 64,
	    false },
	{ "grey", COMPRESSION_DEFLATE, PHOTOMETRIC_MINISBLACK, 8, 1, 50, false },
	{ "white is 0", COMPRESSION_NONE, PHOTOMETRIC_MINISWHITE, 8, 1, H,
	    false },
	{ "1 bit", COMPRESSION_CCITTFAX4, PHOTOMETRIC_MINISBLACK, 1, 1, 30,
	    false },
	{ "alpha", COMPRESSION_LZW, PHOTOMETRIC_RGB, 8, 4, 40, false },
	{ "grey alpha", COMPRESSION_LZW, PHOTOMETRIC_MINISBLACK, 8, 2, H,
	    false },
	{ "ink", COMPRESSION_PACKBITS, PHOTOMETRIC_SEPARATED, 8, 4, 11, false },
	{ "jpeg", COMPRESSION_JPEG, PHOTOMETRIC_YCBCR, 8, 3, 16, false },
	{ "grey jpeg", COMPRESSION_JPEG, PHOTOMETRIC_MINISBLACK, 8, 1, 136,
	    false },
	{ "planes", COMPRESSION_ADOBE_DEFLATE, PHOTOMETRIC_RGB, 8, 3, 20, true },
	{ "alpha planes", COMPRESSION_LZW, PHOTOMETRIC_RGB, 8, 4, H, true },
	{ "tiles", COMPRESSION_ADOBE_DEFLATE, PHOTOMETRIC_RGB, 8, 3, -16, false },
	{ "a large tile", COMPRESSION_LZW, PHOTOMETRIC_RGB, 8, 3, -512, false },
	{ "tiled planes", COMPRESSION_NONE, PHOTOMETRIC_RGB, 8, 3, -32, true },
};
#define NKINDS	(sizeof(kinds) / sizeof(kinds[0]))

static int
sample_at(const struct kind *k, int x, int y, int c)
{
	if (k->bits == 1)
		return ((x / 9 + y / 7) & 1 ? 255 : 0);
	if (c == 3 && k->photometric == PHOTOMETRIC_SEPARATED)
		return (x / 4);
	/* Alpha: nothing, a half, all. */
	if (c == k->samples - 1 && (c == 1 || c == 3))
		return (x < 50 ? 0 : y < 60 ? 128 : 255);
	return (c == 0 ? x + y / 2 : c == 1 ? 200 - x : 30 + y);
}

/* size bytes of samples from the column x and the row y on. */
static void
fill(const struct kind *k, unsigned char *p, int x, int y, int w, int h, int c)
{
	int n = k->planes ? 1 : k->samples;
	size_t row = ((size_t)(w * n * k->bits) + 7) / 8;

	memset(p, 0, row * (size_t)h);
	for (int j = 0; j < h; j++)
		for (int i = 0; i < w * n; i++) {
			int v = sample_at(k, x + i / n, y + j,
			    k->planes ? c : i % n);
			unsigned char *to = p + (size_t)j * row;

			if (k->bits == 16)
				((uint16_t *)(void *)to)[i] =
				    (uint16_t)(v * 257);
			else if (k->bits == 8)
				to[i] = (unsigned char)v;
			else if (v != 0)
				to[i / 8] |= (unsigned char)(128 >> i % 8);
		}
}

/* A whole file; free() it. */
static unsigned char *
make(const struct kind *k, size_t *len)
{
	TIFF *t = TIFFOpen("t.tiff", "w");
	static unsigned char room[1 << 20];
	int planes = k->planes ? k->samples : 1;
	unsigned char *p;
	FILE *f;

	CHECK(t != NULL);
	TIFFSetField(t, TIFFTAG_IMAGEWIDTH, W);
	TIFFSetField(t, TIFFTAG_IMAGELENGTH, H);
	TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, k->bits);
	TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, k->samples);
	TIFFSetField(t, TIFFTAG_PHOTOMETRIC, k->photometric);
	TIFFSetField(t, TIFFTAG_PLANARCONFIG, k->planes ?
	    PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
	TIFFSetField(t, TIFFTAG_COMPRESSION, k->compression);
	if (k->samples % 2 == 0 && k->photometric != PHOTOMETRIC_SEPARATED)
		TIFFSetField(t, TIFFTAG_EXTRASAMPLES, 1,
		    (uint16_t[]){ EXTRASAMPLE_UNASSALPHA });
	if (k->photometric == PHOTOMETRIC_YCBCR)
		TIFFSetField(t, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
	if (k->rows > 0) {
		TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, k->rows);
		for (int c = 0; c < planes; c++)
			for (int y = 0; y < H; y++) {
				fill(k, room, 0, y, W, 1, c);
				CHECK(TIFFWriteScanline(t, room, (uint32_t)y,
				    (uint16_t)c) == 1);
			}
	} else {
		TIFFSetField(t, TIFFTAG_TILEWIDTH, -k->rows);
		TIFFSetField(t, TIFFTAG_TILELENGTH, -k->rows);
		for (int c = 0; c < planes; c++)
			for (int y = 0; y < H; y -= k->rows)
				for (int x = 0; x < W; x -= k->rows) {
					fill(k, room, x, y, -k->rows, -k->rows,
					    c);
					CHECK(TIFFWriteTile(t, room,
					    (uint32_t)x, (uint32_t)y, 0,
					    (uint16_t)c) > 0);
				}
	}
	TIFFClose(t);
	CHECK((f = fopen("t.tiff", "rb")) != NULL);
	p = malloc(1 << 20);
	*len = fread(p, 1, 1 << 20, f);
	fclose(f);
	return (p);
}

static void
run(const char *cmd, const unsigned char *p, size_t len, struct image *im)
{
	struct ufop_err err = { UFOP_OK, "" };

	CHECK_MSG(kit_run(cmd, p, len, im, NULL, &err) == 0, "%s: %s", cmd,
	    err.msg);
}

/* What the picture's samples look like in RGB. */
static void
check_pixels(const struct kind *k, const struct image *im)
{
	const struct plane *pl = &im->plane[0];
	int most = k->compression == COMPRESSION_JPEG ? 12 : 1;

	for (int y = 3; y < H; y += 25)
		for (int x = 3; x < W; x += 31)
			for (int c = 0; c < 3; c++) {
				int v = sample_at(k, x, y, k->samples < 3 ? 0 :
				    c), ink = 255 - sample_at(k, x, y, 3);

				if (k->photometric == PHOTOMETRIC_SEPARATED)
					v = (255 - v) * ink / 255;
				if (k->photometric == PHOTOMETRIC_MINISWHITE)
					v = 255 - v;
				if (im->alpha && pl->p[(size_t)y * pl->stride +
				    (size_t)x * 4 + 3] == 0)
					continue;
				CHECK_MSG(abs(pl->p[(size_t)y * pl->stride +
				    (size_t)(x * pl->n + c)] - v) <= most,
				    "%s: %d,%d,%d: %d", k->name, x, y, c, v);
			}
}

/*
 * Whole strips, and row by row as with ignore-error: the same; and a part is a
 * part of the whole.
 */
void
test_images_tiff_of_every_make(void)
{
	for (size_t i = 0; i < NKINDS; i++) {
		const struct kind *k = &kinds[i];
		struct image whole, rows, part;
		size_t len;
		unsigned char *p = make(k, &len);
		bool alpha = k->samples % 2 == 0 &&
		    k->photometric != PHOTOMETRIC_SEPARATED;

		run("imageMogr2/format/png", p, len, &whole);
		run("imageMogr2/format/png/ignore-error/1", p, len, &rows);
		CHECK_INT(whole.plane[0].w, W);
		CHECK_INT(whole.plane[0].h, H);
		CHECK_MSG(whole.alpha == alpha, "%s", k->name);
		CHECK_MSG(kit_psnr(&whole, &rows) == 99, "%s: %.1f dB", k->name,
		    kit_psnr(&whole, &rows));
		check_pixels(k, &whole);
		for (int e = 0; e < 2; e++) {
			run(e ? "imageMogr2/crop/!61x47a30a65/format/png/"
			    "ignore-error/1" : "imageMogr2/crop/!61x47a30a65/"
			    "format/png", p, len, &part);
			CHECK_INT(part.plane[0].n, whole.plane[0].n);
			for (int y = 0; y < 47; y++)
				CHECK_MSG(memcmp(part.plane[0].p + (size_t)y *
				    part.plane[0].stride, whole.plane[0].p +
				    (size_t)(65 + y) * whole.plane[0].stride +
				    (size_t)(30 * whole.plane[0].n), (size_t)
				    (61 * whole.plane[0].n)) == 0, "%s, row %d",
				    k->name, y);
			image_release(&part);
		}
		image_release(&whole);
		image_release(&rows);
		free(p);
	}
}

/* Means taken on the way leave what the kernel would have left. */
void
test_images_tiff_shrunk_looks_the_same(void)
{
	static const int widths[] = { 40, 20, 9, 3 };

	for (size_t i = 0; i < NKINDS; i++)
		for (size_t n = 0; n < sizeof(widths) / sizeof(widths[0]); n++) {
			size_t len;
			unsigned char *p = make(&kinds[i], &len);
			struct image full, got, want;
			struct picture_file png;
			struct ufop_err err;
			char cmd[64];

			snprintf(cmd, sizeof(cmd), "imageMogr2/thumbnail/%dx/"
			    "format/png", widths[n]);
			run(cmd, p, len, &got);
			/* As PNG, all of its pixels go through the kernel. */
			CHECK_INT(kit_run("imageMogr2/format/png", p, len, &full,
			    &png, &err), 0);
			run(cmd, png.bytes.p, png.bytes.len, &want);
			CHECK_MSG(kit_psnr(&got, &want) > 40, "%s, %d: %.1f dB",
			    kinds[i].name, widths[n], kit_psnr(&got, &want));
			image_release(&full);
			image_release(&got);
			image_release(&want);
			free(png.bytes.p);
			free(p);
		}
}

/* Flipped bits and what is cut off: an answer, and no more. */
void
test_images_tiff_damaged(void)
{
	static const char *const cmds[] = {
		"imageMogr2/format/png", "imageMogr2/ignore-error/1/thumbnail/9x"
	};

	for (size_t i = 0; i < NKINDS; i++) {
		size_t len;
		unsigned char *p = make(&kinds[i], &len), *copy;

		for (size_t bit = 0; bit < 2 * len * 8; bit += 1 + len * 8 / 150) {
			struct ufop_err err;
			size_t at = bit % (len * 8);
			int code;

			/* In turns a bit flipped, and cut off there. */
			copy = malloc(len);
			memcpy(copy, p, len);
			copy[at / 8] ^= (unsigned char)(1 << (at % 8));
			code = kit_run(cmds[bit & 1], copy, bit < len * 8 ? len :
			    at / 8, NULL, NULL, &err);
			CHECK_MSG(code == 0 || code == UFOP_BAD_MEDIA ||
			    code == UFOP_TOO_BIG || code == UFOP_BAD_INPUT,
			    "%s, bit %zu: %d", kinds[i].name, bit, code);
			free(copy);
		}
		free(p);
	}
}
