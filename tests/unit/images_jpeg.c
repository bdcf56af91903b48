/* SPDX-License-Identifier: MIT */
/* JPEGs of all kinds in, how they are written, and what shrinking costs. */
#include "images_kit.h"

#include <math.h>
#include <stdio.h>

#include <jpeglib.h>

#include "unit.h"

enum kind { PLAIN, YCCK, CMYK, CMYK_OF_OTHERS, ARITHMETIC, APART };

/* The quarters of kit_quarters(), 96x64, as such a file. */
static unsigned char *
jpeg_of(enum kind kind, unsigned long *len)
{
	/* One scan for each component. */
	static const jpeg_scan_info apart[3] = {
		{ 1, { 0 }, 0, 63, 0, 0 }, { 1, { 1 }, 0, 63, 0, 0 },
		{ 1, { 2 }, 0, 63, 0, 0 },
	};
	bool ink = kind == YCCK || kind == CMYK || kind == CMYK_OF_OTHERS;
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr e;
	unsigned char *p = NULL, row[96 * 4];
	JSAMPROW rows = row;
	struct image im;

	kit_quarters(&im, 96, 64);
	c.err = jpeg_std_error(&e);
	jpeg_create_compress(&c);
	*len = 0;
	jpeg_mem_dest(&c, &p, len);
	c.image_width = 96;
	c.image_height = 64;
	c.input_components = ink ? 4 : 3;
	c.in_color_space = ink ? JCS_CMYK : JCS_RGB;
	jpeg_set_defaults(&c);
	jpeg_set_quality(&c, 95, TRUE);
	if (kind == YCCK)
		jpeg_set_colorspace(&c, JCS_YCCK);
	/* What is not Adobe's has 255 for all the ink. */
	c.write_Adobe_marker = ink && kind != CMYK_OF_OTHERS;
	c.arith_code = kind == ARITHMETIC;
	if (kind == APART) {
		c.scan_info = apart;
		c.num_scans = 3;
	}
	jpeg_start_compress(&c, TRUE);
	while (c.next_scanline < c.image_height) {
		const unsigned char *s = im.plane[0].p +
		    c.next_scanline * im.plane[0].stride;

		for (int x = 0, n = c.input_components; x < 96; x++)
			for (int k = 0; k < n; k++) {
				unsigned char v = k < 3 ? s[3 * x + k] : 255;

				row[x * n + k] = kind == CMYK_OF_OTHERS ?
				    (unsigned char)(255 - v) : v;
			}
		jpeg_write_scanlines(&c, &rows, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	image_release(&im);
	return (p);
}

static void
check_quarters(const struct image *im, enum kind kind)
{
	static const char *const want[4] = { "red", "green", "blue", "white" };

	for (int i = 0; i < 4; i++) {
		int x = im->plane[0].w * (1 + i % 2 * 2) / 4;
		int y = im->plane[0].h * (1 + i / 2 * 2) / 4;

		CHECK_MSG(strcmp(kit_colour(im, x, y), want[i]) == 0,
		    "kind %d, %d wide: %s instead of %s", (int)kind,
		    im->plane[0].w, kit_colour(im, x, y), want[i]);
	}
}

/* Whole, shrunk and cut; and cut short at many places. */
void
test_images_jpeg_of_all_kinds(void)
{
	for (enum kind kind = PLAIN; kind <= APART; kind++) {
		unsigned long len;
		unsigned char *p = jpeg_of(kind, &len);
		struct ufop_err err;
		struct image im;

		kit_decode(&im, p, len);
		check_quarters(&im, kind);
		image_release(&im);
		for (int w = 80; w > 5; w /= 2) {
			char cmd[64];

			snprintf(cmd, sizeof(cmd), "thumbnail/w/%d/format/png",
			    w);
			CHECK_INT(kit_run(cmd, p, len, &im, NULL, &err), 0);
			CHECK_INT(im.plane[0].w, w);
			check_quarters(&im, kind);
			image_release(&im);
		}
		CHECK_INT(kit_run("crop/40,30,28,17/format/png", p, len, &im,
		    NULL, &err), 0);
		check_quarters(&im, kind);
		image_release(&im);
		for (size_t n = 1; n < len - 2; n += 13)
			CHECK_MSG(kit_try_decode(p, n) == UFOP_BAD_MEDIA,
			    "kind %d: %zu of %lu", (int)kind, n, len);
		free(p);
	}
}

/* Whole files that are not read are not said to be cut short. */
void
test_images_jpeg_of_kinds_that_are_not_read(void)
{
	static const struct { int at, value; } changes[] = {
		{ 4, 12 },		/* bits a sample */
		{ 1, 0xc3 },		/* without loss */
		{ 6, 0 },		/* height, said at the end */
	};

	for (int i = 0; i < 3; i++) {
		unsigned long len;
		unsigned char *p = jpeg_of(PLAIN, &len), *sof = p;
		struct picture pic;
		struct ufop_err err;
		int ret;

		while (sof[0] != 0xff || sof[1] != 0xc0)
			sof++;
		sof[changes[i].at] = (unsigned char)changes[i].value;
		ret = picture_open(&pic, &kit_limits, p, len, &err);
		if (ret == 0)
			ret = picture_pixels(&pic, false, false, &err);
		CHECK_INT(ret, -1);
		CHECK_INT(err.code, UFOP_BAD_MEDIA);
		CHECK_MSG(strstr(err.msg, "not read here") != NULL, "%s",
		    err.msg);
		picture_release(&pic);
		free(p);
	}
}

/* What the header of a result says. */
static void
read_result(const struct picture_file *out, bool *progressive, int *orient)
{
	struct jpeg_decompress_struct d;
	struct jpeg_error_mgr e;
	struct image_info info;
	struct ufop_err err;

	d.err = jpeg_std_error(&e);
	jpeg_create_decompress(&d);
	jpeg_mem_src(&d, out->bytes.p, out->bytes.len);
	jpeg_read_header(&d, TRUE);
	*progressive = d.progressive_mode;
	jpeg_destroy_decompress(&d);
	CHECK(codec_probe(&info, out->bytes.p, out->bytes.len, &err) == 0);
	*orient = info.orient;
}

/* The mark of orientation, and passes over the whole picture. */
void
test_images_jpeg_strip_and_interlace(void)
{
	static const struct {
		const char	*cmd;
		int		 w, h, orient;
		bool		 progressive;
	} rows[] = {
		{ "imageMogr2/quality/80", 60, 40, 6, false },
		{ "imageMogr2/strip", 60, 40, 1, false },
		{ "imageMogr2/auto-orient", 40, 60, 1, false },
		{ "imageMogr2/auto-orient/strip", 40, 60, 1, false },
		{ "imageMogr2/interlace/1", 60, 40, 6, true },
		{ "imageMogr2/interlace/0/strip", 60, 40, 1, false },
		{ "imageView2/2/w/20/interlace/1", 20, 30, 1, true },
		{ "imageView2/2/w/20", 20, 30, 1, false },
	};
	struct bytes b;
	struct image im;

	kit_quarters(&im, 60, 40);
	b = kit_encode(&codec_jpeg, &im, 90, 6);
	image_release(&im);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct picture_file out;
		struct ufop_err err;
		bool progressive;
		int orient;

		CHECK_INT(kit_run(rows[i].cmd, b.p, b.len, NULL, &out, &err), 0);
		read_result(&out, &progressive, &orient);
		CHECK_MSG(out.w == rows[i].w && out.h == rows[i].h &&
		    orient == rows[i].orient && progressive ==
		    rows[i].progressive, "%s: %dx%d, turned %d, %d", rows[i].cmd,
		    out.w, out.h, orient, progressive);
		free(out.bytes.p);
	}
	free(b.p);
}

/*
 * A thumbnail as the service makes it (shrunk by the IDCT or our own decoder,
 * Y, Cb and Cr apart), held against the same kernel in doubles on all pixels:
 * dB before it is encoded.
 */
static double
shrunk_db(const unsigned char *p, size_t len, const struct image *all, int w)
{
	struct geometry g = { .kind = GEOMETRY_INSIDE, .w = w,
	    .h = all->plane[0].h };
	struct image want;
	struct picture pic;
	struct ufop_err err;
	double db;

	CHECK(picture_open(&pic, &kit_limits, p, len, &err) == 0);
	CHECK(picture_resize(&pic, &g, &err) == 0);
	CHECK(picture_pixels(&pic, true, false, &err) == 0);
	CHECK(image_to_rgb(&pic.image, &err) == 0);
	kit_resize(&want, all, pic.w, pic.h);
	db = kit_psnr(&want, &pic.image);
	image_release(&want);
	picture_release(&pic);
	return (db);
}

/* Waves of 180 pixels and more, of another length in each colour. */
static void
waves(struct image *im, int w, int h)
{
	struct ufop_err err;

	CHECK(image_init(im, IMAGE_RGB, false, w, h, &err) == 0);
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++)
			for (int c = 0; c < 3; c++)
				im->plane[0].p[(y * w + x) * 3 + c] =
				    (unsigned char)(128 + 120 * sin(x / (30. + c)) *
				    cos(y / (50. - c)));
}

/*
 * Photographs, hard edges and waves.  Noise with edges everywhere (the last
 * two) is what averaging blocks of 8x8 is worst at.
 */
void
test_images_jpeg_shrunk_is_close_to_doubles(void)
{
	static const int sizes[] = { 32, 64, 100, 150, 200, 333 };
	static const char *const photos[] = { "painting-640x427.jpg",
	    "kleiber.jpg" };
	double sum = 0;
	int n = 0;

	for (int i = 0; i < 6; i++) {
		unsigned char *p;
		struct image all;
		struct bytes b;
		size_t len;

		if (i < 2) {
			p = unit_data(photos[i], &len);
		} else {
			if (i == 2)
				kit_quarters(&all, 800, 600);
			else if (i == 3)
				waves(&all, 900, 700);
			else
				kit_noise(&all, i == 4 ? IMAGE_RGB : IMAGE_GREY,
				    false, 701, 467);
			b = kit_encode(&codec_jpeg, &all, 90, 1);
			image_release(&all);
			p = b.p;
			len = b.len;
		}
		kit_decode(&all, p, len);
		for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			double db = shrunk_db(p, len, &all, sizes[k]);

			CHECK_MSG(db >= (i < 4 ? 45 : 37), "%.1f dB of picture "
			    "%d at %d", db, i, sizes[k]);
			if (i < 4) {
				sum += db;
				n++;
			}
		}
		image_release(&all);
		free(p);
	}
	CHECK_MSG(sum / n >= 50, "%.1f dB on average", sum / n);
}
