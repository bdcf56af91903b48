/* SPDX-License-Identifier: MIT */
/* Small requests that ask for much work are refused before it is done. */
#include "images_kit.h"

#include <stdio.h>

#include <jpeglib.h>

#include "grammar.h"
#include "heif.h"
#include "unit.h"

/* Grey, progressive, its last scan there so many times. */
static unsigned char *
jpeg_of_scans(int w, int h, int times, size_t *len)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr e;
	unsigned char *p = NULL, *row = calloc(1, (size_t)w), *all;
	unsigned long n = 0;
	size_t scan;

	c.err = jpeg_std_error(&e);
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, &p, &n);
	c.image_width = (JDIMENSION)w;
	c.image_height = (JDIMENSION)h;
	c.input_components = 1;
	c.in_color_space = JCS_GRAYSCALE;
	jpeg_set_defaults(&c);
	jpeg_simple_progression(&c);
	jpeg_start_compress(&c, TRUE);
	while (c.next_scanline < c.image_height)
		jpeg_write_scanlines(&c, &row, 1);
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	free(row);
	for (scan = n - 2; p[scan] != 0xff || p[scan + 1] != 0xda; scan--)
		;
	*len = scan + (n - 2 - scan) * (size_t)times + 2;
	all = malloc(*len);
	memcpy(all, p, scan);
	for (int i = 0; i < times; i++)
		memcpy(all + scan + (n - 2 - scan) * (size_t)i, p + scan,
		    n - 2 - scan);
	memcpy(all + *len - 2, p + n - 2, 2);
	free(p);
	return (all);
}

/* The same as the only strip of a TIFF; frees p. */
static unsigned char *
tiff_of_scans(unsigned char *p, int w, int h, size_t *len)
{
	const uint32_t tags[][2] = {
		{ 256, (uint32_t)w }, { 257, (uint32_t)h }, { 258, 8 },
		{ 259, 7 }, { 262, 1 }, { 273, 8 }, { 277, 1 },
		{ 278, (uint32_t)h }, { 279, (uint32_t)*len }
	};
	const size_t n = sizeof(tags) / sizeof(tags[0]);
	unsigned char *all = calloc(1, 8 + *len + 2 + 12 * n + 4), *to;
	uint32_t at = 8 + (uint32_t)*len;

	memcpy(all, "II*\0", 4);
	memcpy(all + 4, &at, 4);
	memcpy(all + 8, p, *len);
	free(p);
	to = all + at;
	*to = (unsigned char)n;
	for (size_t i = 0; i < n; i++) {
		unsigned char *tag = to + 2 + 12 * i;

		memcpy(tag, &tags[i][0], 2);
		tag[2] = 4;		/* a number of 32 bits, and one of them */
		tag[4] = 1;
		memcpy(tag + 8, &tags[i][1], 4);
	}
	*len = at + 2 + 12 * n + 4;
	return (all);
}

void
test_images_work_of_scans(void)
{
	static const struct { int w, h, times, code; } rows[] = {
		{ 4000, 3000, 1, 0 }, { 4000, 3000, 195, UFOP_TOO_BIG },
		{ 400, 300, 180, 0 }, { 400, 300, 300, UFOP_TOO_BIG },
	};

	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		int w = rows[i / 2].w, h = rows[i / 2].h;
		struct ufop_err err;
		size_t len;
		unsigned char *p = jpeg_of_scans(w, h, rows[i / 2].times, &len);

		if (i & 1)
			p = tiff_of_scans(p, w, h, &len);
		CHECK_MSG(kit_run("imageView2/2/w/60", p, len, NULL, NULL,
		    &err) == rows[i / 2].code, "%s, %dx%d, %d times: %s",
		    i & 1 ? "TIFF" : "JPEG", w, h, rows[i / 2].times, err.msg);
		CHECK(rows[i / 2].code == 0 || strstr(err.msg, "scans"));
		free(p);
	}
}

/* A canvas of any size around a frame of one pixel. */
void
test_images_work_of_an_empty_canvas(void)
{
	unsigned char gif[] = "GIF89a\0\0\0\0\x80\0\0\0\0\0\xff\xff\xff"
	    ",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0;";
	static const struct { int side, code; } rows[] = {
		{ 1, 0 }, { 1500, 0 }, { 3000, UFOP_TOO_BIG },
		{ 12000, UFOP_TOO_BIG },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ufop_err err;
		int side = rows[i].side;

		gif[6] = gif[8] = (unsigned char)side;
		gif[7] = gif[9] = (unsigned char)(side >> 8);
		CHECK_MSG(kit_run("imageView2/2/w/60", gif, sizeof(gif) - 1,
		    NULL, NULL, &err) == rows[i].code, "%d: %s", side, err.msg);
	}
}

/* So many times the steps on a picture or its frames: err's code, or 0. */
static int
repeat(const char *steps, int times, const struct bytes *b)
{
	/* 60,000 pixels of work. */
	const struct limits limits = { .max_pixels = 1000000, .max_side = 1000,
	    .max_output_pixels = 10000, .max_output_side = 1000,
	    .max_frames = 100 };
	struct picture_times t;
	struct picture_file out;
	struct ufop_err err;
	struct spec spec;
	char args[4096];
	int ret, n = snprintf(args, sizeof(args), "format/gif");

	for (int i = 0; i < times; i++)
		n += snprintf(args + n, sizeof(args) - (size_t)n, "/%s", steps);
	CHECK_MSG(grammar_mogr2(&spec, (struct str){ args, strlen(args) },
	    &err) == 0, "%s", err.msg);
	ret = pipeline_run(&spec, &limits, b->p, b->len, &out, &t, &err);
	if (ret == -1)
		return (err.code);
	free(out.bytes.p);
	return (0);
}

void
test_images_work_of_steps(void)
{
	static const struct { const char *steps; int few, many; } rows[] = {
		{ "rotate/90", 60, 0 }, { "thumbnail/99x", 60, 0 },
		{ "rotate/45", 1, 4 }, { "rotate/1", 5, 20 },
		{ "blur/1x1", 15, 40 }, { "blur/50x9", 4, 12 },
		{ "sharpen/1", 16, 40 },
		{ "thumbnail/!95p/thumbnail/!103p", 5, 30 },
	};
	struct image im;
	struct bytes b;

	kit_noise(&im, IMAGE_RGB, false, 60, 50);
	b = kit_encode(&codec_png, &im, 0, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_MSG(repeat(rows[i].steps, rows[i].few, &b) == 0, "%s",
		    rows[i].steps);
		CHECK_MSG(rows[i].many == 0 || repeat(rows[i].steps,
		    rows[i].many, &b) == UFOP_TOO_BIG, "%d times %s",
		    rows[i].many, rows[i].steps);
	}
	free(b.p);
	image_release(&im);
}

/* The frames of a moving picture count together. */
void
test_images_work_of_frames(void)
{
	const struct encode_opts opts = { .quality = 75 };

	for (int n = 5; n <= 30; n += 25) {
		struct ufop_err err;
		struct anim_writer *w = codec_gif.write_frames(10, 10, 0, &opts,
		    &err);
		struct bytes b;

		for (int i = 0; i < n; i++) {
			struct image im;

			kit_noise(&im, IMAGE_RGB, false, 10, 10);
			im.plane[0].p[i] ^= 128;
			CHECK(w->add(w, &im, 100, &err) == 0);
			image_release(&im);
		}
		CHECK(w->finish(w, &b, &err) == 0);
		w->close(w);
		CHECK_INT(repeat("thumbnail/50x", 1, &b), n == 5 ? 0 :
		    UFOP_TOO_BIG);
		free(b.p);
	}
}

/* The header of a picture whose pixels are not there. */
static size_t
only_header(char *p, size_t size, int w, int h)
{
	return ((size_t)snprintf(p, size, "P6 %d %d 255\n", w, h));
}

/* So many frames, each without its pixels. */
static size_t
only_frames(unsigned char *p, int side, int n)
{
	static const unsigned char head[] = "GIF89a\0\0\0\0\x80\0\0"
	    "\0\0\0\xff\xff\xff", frame[] = ",\0\0\0\0\1\0\1\0\0\2";

	memcpy(p, head, sizeof(head) - 1);
	p[6] = p[8] = (unsigned char)side;
	p[7] = p[9] = (unsigned char)(side >> 8);
	for (int i = 0; i < n; i++)
		memcpy(p + sizeof(head) - 1 + (size_t)i * sizeof(frame), frame,
		    sizeof(frame));
	return (sizeof(head) - 1 + (size_t)n * sizeof(frame));
}

/*
 * What is too much is refused before it is begun: whoever looked at the pixels
 * would see that there are none.
 */
void
test_images_work_is_refused_before_it_is_begun(void)
{
#define MARK	"/image/aHR0cDovL2EvbQ/dx/0/dy/0"	/* http://a/m */
	static const struct { int w, h; const char *cmd; int code; } rows[] = {
		{ 4000, 3000, "imageMogr2/rotate/1", UFOP_BAD_MEDIA },
		{ 4000, 3000, "imageMogr2/rotate/1/rotate/1/rotate/1/rotate/1/"
		    "rotate/1/rotate/1", UFOP_TOO_BIG },
		{ 3500, 3500, "imageMogr2/rotate/45/rotate/45", UFOP_TOO_BIG },
		{ 5000, 5000, "imageMogr2/blur/50x9", UFOP_BAD_MEDIA },
		{ 5000, 5000, "imageMogr2/blur/50x9/blur/50x9", UFOP_TOO_BIG },
		{ 12000, 9000, "imageMogr2/blur/1x1", UFOP_TOO_BIG },
		{ 12000, 9000, "imageMogr2/blur/1x1/thumbnail/100x",
		    UFOP_BAD_MEDIA },
		{ 12000, 12000, "imageMogr2/sharpen/1", UFOP_TOO_BIG },
		{ 12000, 12000, "roundPic/radius/100", UFOP_TOO_BIG },
		{ 5000, 5000, "roundPic/radius/100", UFOP_BAD_MEDIA },
		{ 4000, 3000, "imageMogr2/sharpen/1/crop/!10x10a9000a0",
		    UFOP_BAD_INPUT },
		{ 4000, 3000, "imageMogr2/format/avif", UFOP_TOO_BIG },
		{ 3000, 2000, "imageMogr2/format/avif", UFOP_BAD_MEDIA },
		{ 4900, 4900, "watermark/3" MARK MARK MARK, UFOP_BAD_MEDIA },
		{ 4900, 4900, "watermark/3" MARK MARK MARK MARK MARK MARK MARK,
		    UFOP_TOO_BIG },
		{ 1000, 0, "imageMogr2/thumbnail/1200x", UFOP_BAD_MEDIA },
		{ 1000, 0, "imageMogr2/thumbnail/1300x", UFOP_TOO_BIG },
		{ 1000, 0, "imageMogr2/sharpen/1", UFOP_TOO_BIG },
	};
	char head[64], mark[64];
	unsigned char frames[2048];

	heif_setup();
	kit_serve('m', mark, only_header(mark, sizeof(mark), 4900, 4900));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool still = rows[i].h > 0;
		const void *p = still ? (void *)head : frames;
		size_t len = still ? only_header(head, sizeof(head), rows[i].w,
		    rows[i].h) : only_frames(frames, rows[i].w, 100);
		struct ufop_err err;
		int code;

		if (strstr(rows[i].cmd, "avif") != NULL &&
		    codec_check_writing(&codec_avif, &err) == -1)
			continue;
		code = kit_run(rows[i].cmd, p, len, NULL, NULL, &err);
		CHECK_MSG(code == rows[i].code, "%dx%d, %s: %d (%s)", rows[i].w,
		    rows[i].h, rows[i].cmd, code, err.msg);
	}
}
