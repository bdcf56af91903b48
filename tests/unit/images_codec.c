/* SPDX-License-Identifier: MIT */
/* File formats: what goes in comes out, and damage is noticed. */
#include "codec.h"

#include <dirent.h>
#include <libdeflate.h>

#include "heif.h"
#include "images_kit.h"
#include "reqid.h"
#include "resize.h"
#include "unit.h"

void
test_images_png_is_exact(void)
{
	static const enum image_model models[] = { IMAGE_GREY, IMAGE_RGB };

	for (int m = 0; m < 2; m++)
		for (int alpha = 0; alpha < 2; alpha++)
			for (int w = 1; w < 40; w += 13) {
				struct image in, out;
				struct bytes b;

				kit_noise(&in, models[m], alpha, w, 21);
				b = kit_encode(&codec_png, &in, 0, 1);
				kit_decode(&out, b.p, b.len);
				CHECK_INT(out.alpha, alpha);
				CHECK_INT((int)kit_psnr(&in, &out), 99);
				image_release(&in);
				image_release(&out);
				free(b.p);
			}
}

/*
 * What is interlaced holds the same pixels, to our reader and to another:
 * sizes at which passes are missing, and all kinds.
 */
void
test_images_interlaced_is_the_same(void)
{
	static const struct { int w, h; } sizes[] = {
		{ 1, 1 }, { 2, 1 }, { 1, 2 }, { 3, 5 }, { 4, 4 }, { 5, 3 },
		{ 8, 8 }, { 9, 17 }, { 1, 40 }, { 40, 1 }, { 37, 23 }
	};

	for (size_t i = 0; i < 8 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct encode_opts opts = { .interlace = true,
		    .colours = i & 1 ? 16 : 0 };
		struct encode_opts plain = { .colours = opts.colours };
		int w = sizes[i / 8].w, h = sizes[i / 8].h, sw, sh;
		struct image in, want, got;
		struct ufop_err err;
		struct bytes a, b;
		unsigned char *px;

		kit_noise(&in, i & 2 ? IMAGE_RGB : IMAGE_GREY, i & 4, w, h);
		CHECK(codec_png.encode(&a, &in, &plain, &err) == 0);
		CHECK(codec_png.encode(&b, &in, &opts, &err) == 0);
		CHECK_INT(a.p[28], 0);
		CHECK_INT(b.p[28], 1);
		kit_decode(&want, a.p, a.len);
		kit_decode(&got, b.p, b.len);
		CHECK_MSG(kit_psnr(&want, &got) == 99, "%dx%d, kind %zu", w, h,
		    i & 7);
		px = kit_stb(b.p, b.len, want.plane[0].n, &sw, &sh);
		CHECK(px != NULL && sw == w && sh == h);
		for (int y = 0; y < h; y++)
			CHECK(memcmp(px + y * w * want.plane[0].n,
			    want.plane[0].p + (size_t)y * want.plane[0].stride,
			    (size_t)(w * want.plane[0].n)) == 0);
		free(px);
		image_release(&want);
		image_release(&got);
		free(a.p);
		free(b.p);
		/* GIF has no grey, and what is half transparent is not. */
		CHECK(image_to_rgb3(&in, &err) == 0);
		CHECK(codec_gif.encode(&a, &in, &plain, &err) == 0);
		CHECK(codec_gif.encode(&b, &in, &opts, &err) == 0);
		kit_decode(&want, a.p, a.len);
		kit_decode(&got, b.p, b.len);
		CHECK_MSG(kit_psnr(&want, &got) == 99, "GIF of %dx%d", w, h);
		CHECK(h == 1 || a.len != b.len || memcmp(a.p, b.p, a.len) != 0);
		px = kit_stb(b.p, b.len, 4, &sw, &sh);
		CHECK(px != NULL && sw == w && sh == h);
		for (int k = 0; k < w * h; k++) {
			const unsigned char *p = want.plane[0].p +
			    (size_t)k * (size_t)want.plane[0].n;

			if (!want.alpha || p[3] > 0)
				CHECK(memcmp(px + 4 * k, p, 3) == 0);
		}
		free(px);
		image_release(&want);
		image_release(&got);
		image_release(&in);
		free(a.p);
		free(b.p);
	}
}

/* ---- every kind of PNG, written by the simplest possible writer ------- */

static unsigned char *
chunk(unsigned char *p, const char *type, const void *data, size_t n)
{
	uint32_t be = __builtin_bswap32((uint32_t)n), crc;

	memcpy(p, &be, 4);
	memcpy(p + 4, type, 4);
	if (n > 0)
		memcpy(p + 8, data, n);
	crc = __builtin_bswap32(libdeflate_crc32(0, p + 4, n + 4));
	memcpy(p + 8 + n, &crc, 4);
	return (p + 12 + n);
}

/* Sample c of pixel x, y in a picture of this depth. */
static unsigned
sample_of(int x, int y, int c, int depth)
{
	return ((unsigned)(x * 37 + y * 101 + c * 59 + x * y) &
	    ((1u << depth) - 1));
}

static size_t
put_rows(unsigned char *out, int w, int h, int x0, int y0, int dx, int dy,
    int n, int depth)
{
	size_t at = 0, bytes = (size_t)((w - x0 + dx - 1) / dx);
	size_t bpp = (size_t)(n * depth < 8 ? 1 : n * depth / 8);
	unsigned char up[4096] = { 0 }, row[4096];

	if (x0 >= w || y0 >= h)
		return (0);
	bytes = (bytes * (size_t)(n * depth) + 7) / 8;
	for (int y = y0, i = 0; y < h; y += dy, i++) {
		int filter = i % 5, bit = 0;

		memset(row, 0, sizeof(row));
		for (int x = x0; x < w; x += dx)
			for (int c = 0; c < n; c++, bit += depth) {
				unsigned v = sample_of(x, y, c, depth);

				if (depth == 16)
					row[bit / 8] = (unsigned char)(v >> 8),
					row[bit / 8 + 1] = (unsigned char)v;
				else
					row[bit / 8] |= (unsigned char)
					    (v << (8 - depth - bit % 8));
			}
		out[at++] = (unsigned char)filter;
		for (size_t k = 0; k < bytes; k++) {
			int a = k >= bpp ? row[k - bpp] : 0, b = up[k];
			int c = k >= bpp ? up[k - bpp] : 0, p = a + b - c;
			int pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
			int pre[5] = { 0, a, b, (a + b) / 2,
			    pa <= pb && pa <= pc ? a : pb <= pc ? b : c };

			out[at++] = (unsigned char)(row[k] - pre[filter]);
		}
		memcpy(up, row, sizeof(up));
	}
	return (at);
}

static size_t
make_png(unsigned char *out, int w, int h, int color, int n, int depth,
    bool interlaced)
{
	static const int pass[7][4] = {
		{ 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 },
		{ 0, 2, 2, 4 }, { 1, 0, 2, 2 }, { 0, 1, 1, 2 }
	};
	static unsigned char raw[1 << 16], packed[1 << 17], palette[768];
	unsigned char head[13] = { 0, 0, 0, (unsigned char)w, 0, 0, 0,
	    (unsigned char)h, (unsigned char)depth, (unsigned char)color, 0, 0,
	    interlaced };
	struct libdeflate_compressor *z = libdeflate_alloc_compressor(1);
	unsigned char *p = out;
	size_t size = 0;

	for (int i = 0; i < 768; i++)
		palette[i] = (unsigned char)(i * 7);
	for (int i = 0; i < (interlaced ? 7 : 1); i++)
		size += interlaced ? put_rows(raw + size, w, h, pass[i][0],
		    pass[i][1], pass[i][2], pass[i][3], n, depth) :
		    put_rows(raw + size, w, h, 0, 0, 1, 1, n, depth);
	memcpy(p, "\x89PNG\r\n\x1a\n", 8);
	p = chunk(p + 8, "IHDR", head, 13);
	if (color == 3)
		p = chunk(p, "PLTE", palette, 3u << depth);
	size = libdeflate_zlib_compress(z, raw, size, packed, sizeof(packed));
	libdeflate_free_compressor(z);
	/* Two chunks, so that they must be joined. */
	p = chunk(p, "IDAT", packed, size / 2);
	p = chunk(p, "IDAT", packed + size / 2, size - size / 2);
	p = chunk(p, "IEND", NULL, 0);
	return ((size_t)(p - out));
}

void
test_images_png_kinds(void)
{
	static const struct { int color, n, depth; } kinds[] = {
		{ 0, 1, 1 }, { 0, 1, 2 }, { 0, 1, 4 }, { 0, 1, 8 }, { 0, 1, 16 },
		{ 2, 3, 8 }, { 2, 3, 16 }, { 3, 1, 1 }, { 3, 1, 2 }, { 3, 1, 4 },
		{ 3, 1, 8 }, { 4, 2, 8 }, { 4, 2, 16 }, { 6, 4, 8 }, { 6, 4, 16 },
	};
	static unsigned char file[1 << 18];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		for (int lace = 0; lace < 2; lace++)
			for (int w = 1; w <= 33; w += w < 9 ? 1 : 8) {
				int n = kinds[i].n, depth = kinds[i].depth;
				bool pal = kinds[i].color == 3;
				size_t len = make_png(file, w, 11,
				    kinds[i].color, n, depth, lace);
				struct image im;

				kit_decode(&im, file, len);
				for (int y = 0; y < 11; y++)
					for (int x = 0; x < w; x++)
						for (int c = 0; c < (pal ? 3 : n);
						    c++) {
							unsigned v = sample_of(x,
							    y, pal ? 0 : c,
							    depth), f =
							    (1u << depth) - 1;

							v = pal ? ((v * 3 +
							    (unsigned)c) * 7) &
							    255 : (v * 255 +
							    f / 2) / f;
							CHECK_MSG(im.plane[0].p[
							    (size_t)y *
							    im.plane[0].stride +
							    (size_t)(x *
							    im.plane[0].n + c)]
							    == v, "colour %d "
							    "depth %d lace %d "
							    "width %d at %d,%d",
							    kinds[i].color,
							    depth, lace, w, x,
							    y);
						}
				image_release(&im);
			}
}

void
test_images_png_every_flipped_bit_is_noticed(void)
{
	/* As it is, in passes, and by a palette. */
	static const struct encode_opts opts[] = {
		{ 0 }, { .interlace = true }, { .colours = 9 }
	};

	for (int k = 0; k < 3; k++) {
		struct ufop_err err;
		struct image in;
		struct bytes b;

		kit_noise(&in, IMAGE_RGB, false, 9, 7);
		CHECK(codec_png.encode(&b, &in, &opts[k], &err) == 0);
		for (size_t i = 0; i < b.len * 8; i++) {
			int code;

			b.p[i / 8] ^= (unsigned char)(1 << (i % 8));
			code = kit_try_decode(b.p, b.len);
			CHECK_MSG(code == UFOP_BAD_MEDIA ||
			    code == UFOP_TOO_BIG, "%d, bit %zu of byte %zu: %d",
			    k, i % 8, i / 8, code);
			b.p[i / 8] ^= (unsigned char)(1 << (i % 8));
		}
		CHECK_INT(kit_try_decode(b.p, b.len), 0);
		for (size_t n = 1; n < b.len; n++)
			CHECK_MSG(kit_try_decode(b.p, n) == UFOP_BAD_MEDIA,
			    "%d: %zu of %zu bytes", k, n, b.len);
		free(b.p);
		image_release(&in);
	}
}

/*
 * Deflate has a sum of each strip.  It is a simple one, which bytes that go up
 * and down leave as it is, and the bits that fill up the last byte say nothing.
 */
void
test_images_tiff_flipped_bits_of_pixels_are_noticed(void)
{
	size_t all = 0, noticed = 0;
	struct image in;
	struct bytes b;

	kit_noise(&in, IMAGE_RGB, false, 90, 40);
	b = kit_encode(&codec_tiff, &in, 0, 1);
	CHECK(le32(b.p + 4) > 5000);
	/* Strips come first, and the directory behind them. */
	for (size_t i = 8 * 8; i < le32(b.p + 4) * 8; i += 3, all++) {
		b.p[i / 8] ^= (unsigned char)(1 << (i % 8));
		noticed += kit_try_decode(b.p, b.len) == UFOP_BAD_MEDIA;
		b.p[i / 8] ^= (unsigned char)(1 << (i % 8));
	}
	CHECK_MSG(noticed * 1000 > all * 995, "%zu of %zu", noticed, all);
	free(b.p);
	image_release(&in);
}

/* Its rows as they are, colours in whatever order. */
static struct bytes
tga_without_runs(const struct image *im)
{
	const struct plane *pl = &im->plane[0];
	struct bytes b = { .len = 18 + pl->stride * (size_t)pl->h };

	b.p = calloc(1, b.len);
	b.p[2] = 2;
	b.p[12] = (unsigned char)pl->w;
	b.p[14] = (unsigned char)pl->h;
	b.p[16] = 24;
	memcpy(b.p + 18, pl->p, b.len - 18);
	return (b);
}

/* Every shorter file is an error, except where only padding is lost. */
void
test_images_cut_short_is_noticed(void)
{
	static const struct codec *const codecs[] = {
		&codec_png, &codec_bmp, &codec_tga, &codec_tga
	};
	struct image in;

	/* Rows of 300 bytes: more than stb reads at once to be kept. */
	kit_noise(&in, IMAGE_RGB, false, 100, 7);
	for (int i = 0; i < 4; i++) {
		struct bytes b = i < 3 ? kit_encode(codecs[i], &in, 75, 1) :
		    tga_without_runs(&in);

		CHECK_INT(kit_try_decode(b.p, b.len), 0);
		for (size_t n = 1; n < b.len; n++)
			CHECK_MSG(kit_try_decode(b.p, n) == UFOP_BAD_MEDIA,
			    "%s: %zu of %zu bytes", codecs[i]->name, n, b.len);
		free(b.p);
	}
	image_release(&in);
}

/* Rows from the top down, as a negative height says, or from the bottom up. */
void
test_images_bmp_both_ways_up(void)
{
	struct image in, out, turned;
	struct image_info info;
	struct ufop_err err;
	struct bytes b;
	unsigned char *h, row[48];

	kit_quarters(&in, 16, 12);
	b = kit_encode(&codec_bmp, &in, 75, 1);
	h = b.p + 22;
	CHECK_INT(b.p[10], 54);
	CHECK_INT(h[0], 12);
	for (int y = 0; y < 6; y++) {
		unsigned char *top = b.p + 54 + 48 * y;
		unsigned char *bottom = b.p + 54 + 48 * (11 - y);

		memcpy(row, top, 48);
		memcpy(top, bottom, 48);
		memcpy(bottom, row, 48);
	}
	kit_decode(&turned, b.p, b.len);
	CHECK_STR(kit_colour(&turned, 0, 0), "blue");
	memcpy(h, "\xf4\xff\xff\xff", 4);
	CHECK_INT(codec_probe(&info, b.p, b.len, &err), 0);
	CHECK_INT(info.h, 12);
	kit_decode(&out, b.p, b.len);
	CHECK(kit_psnr(&in, &out) == 99);
	for (size_t n = 1; n < b.len; n++)
		CHECK_MSG(kit_try_decode(b.p, n) == UFOP_BAD_MEDIA, "%zu", n);
	/* The one height that has no magnitude, and none. */
	memcpy(h, "\0\0\0\x80", 4);
	CHECK_INT(kit_try_decode(b.p, b.len), UFOP_BAD_MEDIA);
	memcpy(h, "\0\0\0\0", 4);
	CHECK_INT(kit_try_decode(b.p, b.len), UFOP_BAD_MEDIA);
	free(b.p);
	image_release(&in);
	image_release(&out);
	image_release(&turned);
}

/* Whatever becomes of the files in harm/, it is an answer. */
void
test_images_files_that_did_harm(void)
{
	static const char *const cmds[] = {
		"thumbnail/w/1", "imageMogr2/format/png", "imageMogr2/format/gif",
		"imageMogr2/rotate/30/format/webp",
		"imageMogr2/ignore-error/1/blur/3x2/format/jpg"
	};
	char path[4096];
	struct dirent *e;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "%s/tests/data/harm", unit_root);
	CHECK((dir = opendir(path)) != NULL);
	while ((e = readdir(dir)) != NULL) {
		unsigned char *p;
		size_t len;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "harm/%s", e->d_name);
		p = unit_data(path, &len);
		for (size_t i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
			struct ufop_err err;
			int code = kit_run(cmds[i], p, len, NULL, NULL, &err);

			CHECK_MSG(code == 0 || code == UFOP_BAD_MEDIA ||
			    code == UFOP_TOO_BIG, "%s %s: %d (%s)", cmds[i],
			    e->d_name, code, err.msg);
		}
		free(p);
		n++;
	}
	closedir(dir);
	CHECK(n >= 5);
}

/* Of a strip that is missing, libtiff complains by a number of no meaning. */
void
test_images_tiff_without_pixels_says_so(void)
{
	size_t len;
	unsigned char *p = unit_data("harm/no-strip.tiff", &len);
	struct ufop_err err;

	CHECK_INT(kit_run("imageMogr2/format/png", p, len, NULL, NULL, &err),
	    UFOP_BAD_MEDIA);
	CHECK_MSG(strstr(err.msg, "pixels are missing") != NULL, "%s", err.msg);
	free(p);
}

/* What the stack below here is full of: a decoder may find it there. */
static __attribute__((noinline)) void
fill_stack(int byte)
{
	volatile unsigned char room[100000];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = (unsigned char)byte;
}

/* A colour outside the palette is always the same, and never what lay there. */
void
test_images_bmp_colours_outside_the_palette(void)
{
	/* 16x16 of 8 bits, one colour in its palette. */
	unsigned char bmp[58 + 256] = { 'B', 'M', [10] = 58, [14] = 40,
	    [18] = 16, [22] = 16, [26] = 1, [28] = 8 };
	struct image im[2];

	for (int i = 0; i < 256; i++)
		bmp[58 + i] = (unsigned char)i;
	for (int i = 0; i < 2; i++) {
		fill_stack(i ? 0xd2 : 0x35);
		kit_decode(&im[i], bmp, sizeof(bmp));
	}
	CHECK_INT(im[0].plane[0].stride, 48);
	CHECK(memcmp(im[0].plane[0].p, im[1].plane[0].p, 16 * 48) == 0);
	for (int i = 0; i < 2; i++)
		image_release(&im[i]);
}

void
test_images_jpeg_cut_short_is_noticed(void)
{
	size_t len;
	unsigned char *photo = unit_data("painting-640x427.jpg", &len);

	CHECK_INT(kit_try_decode(photo, len), 0);
	for (size_t n = 1; n < len - 2; n += 97)
		CHECK_MSG(kit_try_decode(photo, n) == UFOP_BAD_MEDIA,
		    "%zu of %zu bytes", n, len);
	free(photo);
}

/* No checksum: what is not noticed must at least do no harm. */
void
test_images_jpeg_flipped_bits_do_no_harm(void)
{
	size_t len, noticed = 0;
	unsigned char *photo = unit_data("painting-640x427.jpg", &len);

	for (size_t i = 0; i < len * 8; i += 211) {
		int code;

		photo[i / 8] ^= (unsigned char)(1 << (i % 8));
		code = kit_try_decode(photo, len);
		CHECK_MSG(code == 0 || code == UFOP_BAD_MEDIA ||
		    code == UFOP_TOO_BIG, "bit %zu: %d", i, code);
		noticed += code != 0;
		photo[i / 8] ^= (unsigned char)(1 << (i % 8));
	}
	CHECK(noticed > 0);
	free(photo);
}

/*
 * The same for the other formats; none but PNG has a checksum over all.  Where it
 * is cut off anywhere, it is noticed.
 */
void
test_images_flipped_bits_do_no_harm(void)
{
	static const struct {
		const struct codec *codec;
		int		 quality;
		bool		 interlace;
		size_t		 idle;	/* bytes at the end that say nothing */
	} rows[] = {
		{ &codec_jpeg, 75, true, 2 }, { &codec_webp, 75, false, 0 },
		{ &codec_webp, 100, false, 0 }, { &codec_gif, 75, false, 1 },
		{ &codec_gif, 75, true, 1 }, { &codec_tiff, 75, false, 8 },
		{ &codec_bmp, 75, false, 0 }, { &codec_tga, 75, false, 0 },
		{ &codec_avif, 75, false, 0 }, { &codec_avif, 100, false, 0 },
	};
	struct ufop_err err;

	heif_setup();
	for (size_t c = 0; c < 2 * sizeof(rows) / sizeof(rows[0]); c++) {
		const struct codec *codec = rows[c / 2].codec;
		const struct encode_opts opts = {
			.quality = rows[c / 2].quality,
			.interlace = rows[c / 2].interlace, .orient = 1
		};
		bool alpha = c & 1;
		struct image im;
		struct bytes b;
		size_t step;

		if (codec_check_writing(codec, &err) == -1 ||
		    (alpha && !codec->takes_alpha))
			continue;
		kit_noise(&im, IMAGE_RGB, alpha, 40, 30);
		CHECK_MSG(codec->encode(&b, &im, &opts, &err) == 0, "%s", err.msg);
		image_release(&im);
		step = 1 + b.len * 8 / 400;
		for (size_t i = 0; i < b.len * 8; i += step) {
			int code;

			b.p[i / 8] ^= (unsigned char)(1 << (i % 8));
			code = kit_try_decode(b.p, b.len);
			CHECK_MSG(code == 0 || code == UFOP_BAD_MEDIA ||
			    code == UFOP_TOO_BIG, "%s, row %zu, bit %zu: %d",
			    codec->name, c / 2, i, code);
			b.p[i / 8] ^= (unsigned char)(1 << (i % 8));
		}
		CHECK_INT(kit_try_decode(b.p, b.len), 0);
		for (size_t n = 1; n + rows[c / 2].idle < b.len;
		    n += 1 + b.len / 200)
			CHECK_MSG(kit_try_decode(b.p, n) == UFOP_BAD_MEDIA,
			    "%s, row %zu: %zu of %zu bytes", codec->name, c / 2,
			    n, b.len);
		free(b.p);
	}
}

void
test_images_no_picture_is_said_to_be_none(void)
{
	static const struct { const char *bytes; const char *says; } rows[] = {
		{ "This is a text, and a fairly long one at that.", "no picture" },
		{ "x", "no picture" },
		{ "<?xml version=\"1.0\"?><svg></svg>", "no picture" },
		{ "\xff\xd8\xff", "damaged" },
		{ "%PDF-1.4 abcdefgh", "PDF" },
		{ "GIF89a\1\1\1\1 and then nothing", "GIF" },
		{ "P6 12 nothing", "pnm" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ufop_err err;

		CHECK_INT(kit_run("thumbnail/w/9", rows[i].bytes,
		    strlen(rows[i].bytes), NULL, NULL, &err), UFOP_BAD_MEDIA);
		CHECK_MSG(strstr(err.msg, rows[i].says) != NULL, "%s: %s",
		    rows[i].bytes, err.msg);
	}
}

void
test_images_no_bytes_is_a_bad_request(void)
{
	struct ufop_err err;

	CHECK_INT(kit_run("thumbnail/w/9", "", 0, NULL, NULL, &err),
	    UFOP_BAD_INPUT);
	CHECK(strstr(err.msg, "no body") != NULL);
}

void
test_images_too_large_is_refused_by_its_header(void)
{
	unsigned char png[64], head[13] = {
	    0, 0, 0x9c, 0x40, 0, 0, 0x9c, 0x40, 8, 2, 0, 0, 0 };
	unsigned char bmp[54] = { 'B', 'M', [10] = 54, [14] = 40,
	    [18] = 0x40, 0x9c, [22] = 0x40, 0x9c, [26] = 1, [28] = 24 };
	int64_t start = clock_mono_ms();
	struct ufop_err err;
	size_t n;

	memcpy(png, "\x89PNG\r\n\x1a\n", 8);
	n = (size_t)(chunk(chunk(png + 8, "IHDR", head, 13), "IDAT", "", 0) - png);
	CHECK_INT(kit_run("thumbnail/w/9", png, n, NULL, NULL, &err),
	    UFOP_TOO_BIG);
	CHECK(strstr(err.msg, "40000x40000") != NULL);
	CHECK_INT(kit_run("thumbnail/w/9", bmp, sizeof(bmp), NULL, NULL, &err),
	    UFOP_TOO_BIG);
	/* Sides that pass, pixels that do not. */
	head[2] = head[6] = 0x60;
	n = (size_t)(chunk(chunk(png + 8, "IHDR", head, 13), "IDAT", "", 0) - png);
	CHECK_INT(kit_run("thumbnail/w/9", png, n, NULL, NULL, &err),
	    UFOP_TOO_BIG);
	CHECK(strstr(err.msg, "150000000") != NULL);
	CHECK(clock_mono_ms() - start < 1000);
}

/* ---- orientation ----------------------------------------------------- */

/* The corners of the quarters as seen, from the top left clockwise. */
static const struct { int o; const char *corner[4]; } turned[] = {
	{ 1, { "red", "green", "white", "blue" } },
	{ 2, { "green", "red", "blue", "white" } },
	{ 3, { "white", "blue", "red", "green" } },
	{ 4, { "blue", "white", "green", "red" } },
	{ 5, { "red", "blue", "white", "green" } },
	{ 6, { "blue", "red", "green", "white" } },
	{ 7, { "white", "green", "red", "blue" } },
	{ 8, { "green", "white", "blue", "red" } },
};

void
test_images_orientation_is_applied(void)
{
	static const char *const cmds[] = {
		"thumbnail/w/4000", "thumbnail/w/20", "thumbnail/w/20/format/png",
		"thumbnail/w/9999/format/png",
	};

	for (int i = 0; i < 8; i++)
		for (int k = 0; k < 4; k++) {
			bool swap = turned[i].o >= 5;
			int w = swap ? 48 : 80, h = swap ? 80 : 48, rw, rh;
			struct image in, out;
			struct picture_file f;
			struct ufop_err err;
			struct bytes b;

			kit_quarters(&in, 80, 48);
			b = kit_encode(&codec_jpeg, &in, 95, turned[i].o);
			CHECK_INT(kit_run(cmds[k], b.p, b.len, &out, &f, &err),
			    0);
			rw = k == 1 || k == 2 ? 20 : w;
			rh = k == 1 || k == 2 ? (2 * h * 20 + w) / (2 * w) : h;
			CHECK_INT(out.plane[0].w, rw);
			CHECK_INT(out.plane[0].h, rh);
			CHECK_STR(kit_colour(&out, 1, 1), turned[i].corner[0]);
			CHECK_STR(kit_colour(&out, rw - 2, 1),
			    turned[i].corner[1]);
			CHECK_STR(kit_colour(&out, rw - 2, rh - 2),
			    turned[i].corner[2]);
			CHECK_STR(kit_colour(&out, 1, rh - 2),
			    turned[i].corner[3]);
			image_release(&in);
			image_release(&out);
			free(b.p);
			free(f.bytes.p);
		}
}

/* A cut is made on the picture as it is seen, not as it is stored. */
void
test_images_orientation_before_a_cut(void)
{
	for (int i = 0; i < 8; i++) {
		bool swap = turned[i].o >= 5;
		int w = swap ? 48 : 80, h = swap ? 80 : 48;
		char cmd[64];

		for (int c = 0; c < 4; c++) {
			struct image in, out;
			struct picture_file f;
			struct ufop_err err;
			struct bytes b;

			kit_quarters(&in, 80, 48);
			b = kit_encode(&codec_jpeg, &in, 95, turned[i].o);
			snprintf(cmd, sizeof(cmd), "crop/clip/%dx%d/at/%d,%d%s",
			    w / 2, h / 2, c == 1 || c == 2 ? w / 2 : 0,
			    c >= 2 ? h / 2 : 0, c % 2 ? "/thumb/9x7" : "");
			CHECK_INT(kit_run(cmd, b.p, b.len, &out, &f, &err), 0);
			CHECK_STR(kit_colour(&out, 0, 0), turned[i].corner[c]);
			CHECK_STR(kit_colour(&out, out.plane[0].w - 1,
			    out.plane[0].h - 1), turned[i].corner[c]);
			image_release(&in);
			image_release(&out);
			free(b.p);
			free(f.bytes.p);
		}
	}
}

/* ---- colour ---------------------------------------------------------- */

void
test_images_alpha_becomes_white_in_jpeg(void)
{
	struct image in, out;
	struct picture_file f;
	struct ufop_err err;
	struct bytes b;

	CHECK(image_init(&in, IMAGE_RGB, true, 32, 32, &err) == 0);
	memset(in.mem, 0, 32 * 32 * 4);		/* black, and not to be seen */
	for (int i = 0; i < 32 * 16; i++)
		in.plane[0].p[i * 4 + 3] = 255;	/* black, in the upper half */
	b = kit_encode(&codec_png, &in, 0, 1);
	CHECK_INT(kit_run("thumbnail/w/16/format/jpg", b.p, b.len, &out, &f,
	    &err), 0);
	CHECK(out.plane[0].p[0] < 10);
	CHECK_STR(kit_colour(&out, 8, 14), "white");
	image_release(&out);
	free(f.bytes.p);
	/* And stays what it is where the format has it. */
	CHECK_INT(kit_run("thumbnail/w/16", b.p, b.len, &out, &f, &err), 0);
	CHECK(out.alpha);
	CHECK_INT(out.plane[0].p[3], 255);
	CHECK_INT(out.plane[0].p[15 * out.plane[0].stride + 35], 0);
	image_release(&out);
	free(f.bytes.p);
	free(b.p);
	image_release(&in);
}

/* What cannot be seen must not colour what can. */
void
test_images_transparent_colour_does_not_bleed(void)
{
	struct image in, out;
	struct picture_file f;
	struct ufop_err err;
	struct bytes b;

	CHECK(image_init(&in, IMAGE_RGB, true, 64, 64, &err) == 0);
	for (int i = 0; i < 64 * 64; i++)
		memcpy(in.plane[0].p + i * 4, i % 64 < 31 ?
		    (unsigned char[4]){ 200, 100, 50, 255 } :
		    (unsigned char[4]){ 0, 255, 0, 0 }, 4);
	b = kit_encode(&codec_png, &in, 0, 1);
	CHECK_INT(kit_run("thumbnail/w/20", b.p, b.len, &out, &f, &err), 0);
	for (int i = 0; i < 20 * 20; i++) {
		const unsigned char *p = out.plane[0].p + (size_t)(i / 20) *
		    out.plane[0].stride + (size_t)(i % 20) * 4;

		/* In an almost transparent pixel the colour has few bits left. */
		if (p[3] > 32)
			CHECK_MSG(abs(p[0] - 200) < 6 && abs(p[1] - 100) < 6 &&
			    abs(p[2] - 50) < 6, "%d,%d,%d,%d", p[0], p[1], p[2],
			    p[3]);
	}
	image_release(&out);
	free(f.bytes.p);
	free(b.p);
	image_release(&in);
}

/*
 * A thumbnail by way of shrunken planes looks like one made of all pixels, at
 * every shrink, for even and odd sizes.
 */
void
test_images_jpeg_shrunk_looks_the_same(void)
{
	static const int widths[] = { 1599, 801, 400, 333, 200, 100, 61 };
	size_t len;
	void *photo = unit_data("kleiber.jpg", &len);
	struct image full;

	kit_decode(&full, photo, len);
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		int w = widths[i], h = (2 * 900 * w + 1600) / 3200;
		struct resize_view v = { 0, 0, 1600, 900, 0, 0, 1600, 900 };
		struct image want, got;
		struct picture_file f;
		struct ufop_err err;
		char cmd[64];
		double db;

		CHECK(image_init(&want, IMAGE_RGB, false, w, h, &err) == 0);
		CHECK(resize_plane(&want.plane[0], &full.plane[0], &v, false,
		    &err) == 0);
		snprintf(cmd, sizeof(cmd), "thumbnail/w/%d/format/png", w);
		CHECK_INT(kit_run(cmd, photo, len, &got, &f, &err), 0);
		db = kit_psnr(&want, &got);
		CHECK_MSG(db > 45, "%d: %.1f dB", w, db);
		image_release(&want);
		image_release(&got);
		free(f.bytes.p);
	}
	image_release(&full);
	free(photo);
}

void
test_images_info_reads_headers(void)
{
	static const struct {
		const struct codec *codec;
		enum image_model model;
		bool		 alpha;
		const char	*name, *color;
	} rows[] = {
		{ &codec_jpeg, IMAGE_RGB, false, "jpeg", "ycbcr" },
		{ &codec_jpeg, IMAGE_GREY, false, "jpeg", "gray" },
		{ &codec_png, IMAGE_RGB, false, "png", "rgba" },
		{ &codec_png, IMAGE_RGB, true, "png", "nrgba" },
		{ &codec_png, IMAGE_GREY, false, "png", "gray" },
		{ &codec_bmp, IMAGE_RGB, false, "bmp", "rgba" },
		{ &codec_tga, IMAGE_RGB, true, "tga", "nrgba" },
		{ &codec_gif, IMAGE_RGB, false, "gif", "palette256" },
		{ &codec_webp, IMAGE_RGB, false, "webp", "ycbcr" },
		{ &codec_webp, IMAGE_RGB, true, "webp", "nycbcra" },
		{ &codec_tiff, IMAGE_RGB, true, "tiff", "nrgba" },
		{ &codec_tiff, IMAGE_GREY, true, "tiff", "nrgba" },
		{ &codec_tiff, IMAGE_GREY, false, "tiff", "gray" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct image_info info;
		struct ufop_err err;
		struct image im;
		struct bytes b;

		kit_noise(&im, rows[i].model, rows[i].alpha, 37, 23);
		b = kit_encode(rows[i].codec, &im, 75, 1);
		CHECK(codec_probe(&info, b.p, b.len, &err) == 0);
		CHECK_STR(info.codec->name, rows[i].name);
		CHECK_STR(info.color, rows[i].color);
		CHECK_INT(info.w, 37);
		CHECK_INT(info.h, 23);
		if (rows[i].codec == &codec_jpeg)
			CHECK_INT(info.quality, 75);
		free(b.p);
		image_release(&im);
	}
}

void
test_images_pnm(void)
{
	static const struct { const char *bytes; size_t len; int code, first; }
	    rows[] = {
		{ "P5 2 1 255\n\x10\x20", 13, 0, 0x10 },
		{ "P5\n# a comment 7\n2 1\n255\n\x10\x20", 27, 0, 0x10 },
		{ "P5 2 1 15\n\x0f\x01", 12, 0, 255 },
		{ "P5 2 1 65535\n\x80\x00\x01\x00", 17, 0, 128 },
		{ "P6 1 1 255\n\x10\x20\x30", 14, 0, 0x10 },
		{ "P5 2 1 255\n\x10", 12, UFOP_BAD_MEDIA, 0 },
		{ "P5 2 788888888888 255\n\x10", 23, UFOP_BAD_MEDIA, 0 },
		{ "P5 0 1 255\n\x10", 12, UFOP_BAD_MEDIA, 0 },
		{ "P5 2 1 0\n\x10\x20", 11, UFOP_BAD_MEDIA, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code = kit_try_decode(rows[i].bytes, rows[i].len);
		struct image im;

		CHECK_MSG(code == rows[i].code, "row %zu: %d", i, code);
		if (code != 0)
			continue;
		kit_decode(&im, rows[i].bytes, rows[i].len);
		CHECK_INT(im.plane[0].p[0], rows[i].first);
		image_release(&im);
	}
}

/* 4x2, a channel after the other; packed: rows of one run each. */
static size_t
make_psd(unsigned char *out, int mode, int channels, int depth, bool packed)
{
	static const unsigned char value[4] = { 255, 0, 0, 255 };
	unsigned char head[26] = "8BPS\0\1";
	size_t n = 26, rows = (size_t)channels * 2;

	head[13] = (unsigned char)channels;
	head[17] = 2;
	head[21] = 4;
	head[23] = (unsigned char)depth;
	head[25] = (unsigned char)mode;
	memcpy(out, head, 26);
	memset(out + n, 0, 12);		/* no palette, resources, layers */
	n += 12;
	out[n++] = 0;
	out[n++] = packed;
	for (size_t i = 0; packed && i < rows; i++) {
		out[n++] = 0;
		out[n++] = 2;
	}
	for (size_t i = 0; i < rows; i++)
		if (packed) {
			out[n++] = (unsigned char)(257 - 4 * depth / 8);
			out[n++] = value[i / 2];
		} else
			for (int k = 0; k < 4 * depth / 8; k++)
				out[n++] = value[i / 2];
	return (n);
}

void
test_images_psd(void)
{
	static const struct { int mode, channels; const char *name; } rows[] = {
		{ 3, 3, "red" }, { 3, 4, "red" }, { 4, 4, "red" }, { 1, 1, "" },
	};
	unsigned char psd[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int k = 0; k < 4; k++) {
			size_t len = make_psd(psd, rows[i].mode,
			    rows[i].channels, k & 1 ? 16 : 8, k & 2);
			struct image im;

			kit_decode(&im, psd, len);
			CHECK_INT(im.plane[0].w, 4);
			CHECK_INT(im.plane[0].h, 2);
			if (rows[i].mode == 1)
				CHECK_INT(im.plane[0].p[5], 255);
			else
				CHECK_STR(kit_colour(&im, 3, 1), rows[i].name);
			image_release(&im);
			for (size_t n = 1; n < len; n++)
				CHECK_MSG(kit_try_decode(psd, n) ==
				    UFOP_BAD_MEDIA, "%zu of %zu", n, len);
		}
	make_psd(psd, 9, 3, 8, false);
	CHECK_INT(kit_try_decode(psd, 100), UFOP_BAD_MEDIA);
}

/* Neither has a checksum: what is not noticed does no harm. */
void
test_images_psd_and_pnm_flipped_bits_do_no_harm(void)
{
	unsigned char file[256] = "P6 4 2 255\n";
	size_t len = 11 + 24;

	for (int k = 0; k < 6; k++) {
		if (k > 0)
			len = make_psd(file, k < 5 ? 3 : 4, 4, k & 1 ? 16 : 8,
			    k & 2);
		CHECK_INT(kit_try_decode(file, len), 0);
		for (size_t i = 0; i < len * 8; i++) {
			int code;

			file[i / 8] ^= (unsigned char)(1 << (i % 8));
			code = kit_try_decode(file, len);
			CHECK_MSG(code == 0 || code == UFOP_BAD_MEDIA ||
			    code == UFOP_TOO_BIG, "%d, bit %zu: %d", k, i, code);
			file[i / 8] ^= (unsigned char)(1 << (i % 8));
		}
	}
}

void
test_images_tiff(void)
{
	for (int m = 0; m < 2; m++)
		for (int alpha = 0; alpha < 2; alpha++) {
			struct image in, out;
			struct ufop_err err;
			struct bytes b;

			kit_noise(&in, m ? IMAGE_RGB : IMAGE_GREY, alpha, 33, 21);
			for (int i = 0; alpha && i < 33 * 21; i++)
				in.plane[0].p[(i + 1) * in.plane[0].n - 1] =
				    i % 3 ? 255 : 0;
			b = kit_encode(&codec_tiff, &in, 0, 1);
			kit_decode(&out, b.p, b.len);
			CHECK_INT(out.alpha, alpha);
			/* libtiff shows all as RGB, nothing where alpha is 0. */
			CHECK(image_to_rgb3(&in, &err) == 0);
			for (int i = 0; alpha && i < 33 * 21; i += 3) {
				memset(in.plane[0].p + i * 4, 0, 3);
				memset(out.plane[0].p + (size_t)i * 4, 0, 3);
			}
			CHECK_MSG(kit_psnr(&in, &out) == 99, "%d %d: %.1f", m,
			    alpha, kit_psnr(&in, &out));
			for (size_t n = 1; n + 8 < b.len; n += 7)
				CHECK_MSG(kit_try_decode(b.p, n) ==
				    UFOP_BAD_MEDIA, "%zu of %zu", n, b.len);
			image_release(&in);
			image_release(&out);
			free(b.p);
		}
}
