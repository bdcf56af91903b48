/* SPDX-License-Identifier: MIT */
/* The words of cmds: what they ask for, and what errors say. */
#include "heif.h"
#include "images_kit.h"
#include "unit.h"

/* Each row: a cmd on the 640x427 photograph, and the size of the result. */
void
test_images_cmds_give_sizes(void)
{
	static const struct {
		const char	*cmd;
		int		 w, h;
		const char	*codec;
	} rows[] = {
		{ "thumbnail/w/200", 200, 133, "jpeg" },
		{ "thumbnail/h/200", 300, 200, "jpeg" },
		{ "thumbnail/w/300/h/300", 300, 200, "jpeg" },
		{ "thumbnail/w/9999", 640, 427, "jpeg" },
		{ "thumbnail/w/30000/h/1", 1, 1, "jpeg" },
		{ "thumbnail/w/100/q/90", 100, 67, "jpeg" },
		{ "thumbnail/w/100/format/png", 100, 67, "png" },
		{ "thumbnail/format/bmp/w/100", 100, 67, "bmp" },
		{ "thumbnail/w/100/format/tga/q/1", 100, 67, "tga" },
		{ "thumbnail/w/100/format/jpg", 100, 67, "jpeg" },
		{ "thumbnail/w/100/format/jpeg", 100, 67, "jpeg" },
		{ "crop/300,200,10,20", 300, 200, "jpeg" },
		{ "crop/300,200,600,400", 40, 27, "jpeg" },
		{ "crop/300,200,10,20/format/png", 300, 200, "png" },
		{ "crop/clip/301x201/at/11,21", 301, 201, "jpeg" },
		{ "crop/clip/300x200/at/10,20/thumb/150x100", 150, 100, "jpeg" },
		{ "crop/clip/300x200/at/10,20/thumb/30x400/q/50", 30, 400, "jpeg" },
		/* The documents of imageView2 and imageMogr2. */
		{ "imageView2/2/w/200", 200, 133, "jpeg" },
		{ "imageView2/2/h/200", 300, 200, "jpeg" },
		{ "imageView2/1/w/200/h/200", 200, 200, "jpeg" },
		{ "imageMogr2/thumbnail/!75p", 480, 320, "jpeg" },
		{ "imageMogr2/thumbnail/75%", 480, 320, "jpeg" },
		{ "imageMogr2/thumbnail/!75px", 480, 427, "jpeg" },
		{ "imageMogr2/thumbnail/!x75p", 640, 320, "jpeg" },
		{ "imageMogr2/thumbnail/700x", 700, 467, "jpeg" },
		{ "imageMogr2/thumbnail/x467", 700, 467, "jpeg" },
		{ "imageMogr2/thumbnail/300x300", 300, 200, "jpeg" },
		{ "imageMogr2/thumbnail/!200x200r", 300, 200, "jpeg" },
		{ "imageMogr2/thumbnail/200x200^", 300, 200, "jpeg" },
		{ "imageMogr2/thumbnail/200x300!", 200, 300, "jpeg" },
		{ "imageMogr2/thumbnail/200x300>", 200, 133, "jpeg" },
		{ "imageMogr2/thumbnail/700x600<", 700, 467, "jpeg" },
		{ "imageMogr2/thumbnail/700x600>", 640, 427, "jpeg" },
		{ "imageMogr2/thumbnail/200x300<", 640, 427, "jpeg" },
		{ "imageMogr2/thumbnail/10000@", 122, 81, "jpeg" },
		{ "imageMogr2/crop/300x", 300, 427, "jpeg" },
		{ "imageMogr2/crop/x200", 640, 200, "jpeg" },
		{ "imageMogr2/crop/!300x300a30a100", 300, 300, "jpeg" },
		{ "imageMogr2/crop/!300x300a30-100", 300, 200, "jpeg" },
		{ "imageMogr2/crop/!300x300-30a100", 270, 300, "jpeg" },
		{ "imageMogr2/crop/!300x300-30-100", 270, 200, "jpeg" },
		/* The order of words counts. */
		{ "imageMogr2/thumbnail/100x/crop/50x50", 50, 50, "jpeg" },
		{ "imageMogr2/crop/50x50/thumbnail/100x", 100, 100, "jpeg" },
		{ "imageMogr2/gravity/SouthEast/crop/50x50/format/png", 50, 50, "png" },
		{ "imageMogr2/auto-orient/strip/thumbnail/100x/quality/90!", 100, 67,
		    "jpeg" },
		{ "imageMogr2/rotate/90", 427, 640, "jpeg" },
		{ "imageMogr2/rotate/180/thumbnail/100x", 100, 67, "jpeg" },
		{ "imageMogr2/rotate/45", 754, 754, "jpeg" },
		{ "imageMogr2/blur/3x1.5/sharpen/1/density/72/interlace/1", 640, 427,
		    "jpeg" },
		{ "imageMogr2/thumbnail/20x/thumbnail/200x", 200, 130, "jpeg" },
		{ "imageMogr2", 640, 427, "jpeg" },
		{ "imageMogr2/strip/", 640, 427, "jpeg" },
		{ "imageView2/0", 640, 427, "jpeg" },
		{ "imageView2/0/w/300/h/100", 150, 100, "jpeg" },
		{ "imageView2/0/w/100/h/300", 100, 67, "jpeg" },
		{ "imageView2/3/w/200/h/200", 300, 200, "jpeg" },
		{ "imageView2/3/w/200", 300, 200, "jpeg" },
		{ "imageView2/4/w/200/h/200", 300, 200, "jpeg" },
		{ "imageView2/5/w/300/h/100", 300, 100, "jpeg" },
		{ "imageView2/1/w/900/h/100", 640, 100, "jpeg" },
		{ "imageView2/1/w/900/h/900", 640, 427, "jpeg" },
		{ "imageView2/2/w/100/format/png/q/85/interlace/1", 100, 67, "png" },
		{ "imageView2/2/w/100/format/png/colors/16", 100, 67, "png" },
		{ "imageView2/2/w/100/format/gif/colors/2", 100, 67, "gif" },
		{ "roundPic/radius/20", 640, 427, "png" },
		{ "roundPic/radiusx/!10p/radiusy/30", 640, 427, "png" },
	};
	size_t len;
	void *photo = unit_data("painting-640x427.jpg", &len);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct picture_file out;
		struct ufop_err err = { UFOP_OK, "" };
		struct image im;
		int code = kit_run(rows[i].cmd, photo, len, &im, &out, &err);

		CHECK_MSG(code == 0, "%s: %s", rows[i].cmd, err.msg);
		CHECK_MSG(out.w == rows[i].w && out.h == rows[i].h &&
		    im.plane[0].w == out.w && im.plane[0].h == out.h,
		    "%s: %dx%d", rows[i].cmd, im.plane[0].w, im.plane[0].h);
		CHECK_STR(out.codec->name, rows[i].codec);
		image_release(&im);
		free(out.bytes.p);
	}
	free(photo);
}

/* Each row: a wrong cmd, and words that its message must hold. */
void
test_images_cmds_name_what_is_wrong(void)
{
	static const struct {
		const char	*cmd;
		enum ufop_code	 code;
		const char	*says[3];
	} rows[] = {
		{ "thumbnail", UFOP_BAD_INPUT, { "box", "/thumbnail/w/" } },
		{ "thumbnail/", UFOP_BAD_INPUT, { "box" } },
		{ "thumbnail/x/5", UFOP_BAD_INPUT, { "'x'", "w, h, q, format" } },
		{ "thumbnail/w", UFOP_BAD_INPUT, { "w takes", "1 to 30000", "''" } },
		{ "thumbnail/w/abc", UFOP_BAD_INPUT, { "w takes", "'abc'" } },
		{ "thumbnail/w/0", UFOP_BAD_INPUT, { "w takes", "'0'" } },
		{ "thumbnail/w/-1", UFOP_BAD_INPUT, { "w takes" } },
		{ "thumbnail/w/30001", UFOP_BAD_INPUT, { "w takes" } },
		{ "thumbnail/w/99999999999999999999", UFOP_BAD_INPUT, { "w takes" } },
		{ "thumbnail/w/10 ", UFOP_BAD_INPUT, { "w takes" } },
		{ "thumbnail/w/10/w/20", UFOP_BAD_INPUT, { "w stands twice" } },
		{ "imageView2/2/h/9/w/9/h/9", UFOP_BAD_INPUT,
		    { "h stands twice" } },
		{ "thumbnail/w/10/q/101", UFOP_BAD_INPUT, { "q takes", "1 to 100" } },
		{ "thumbnail/w/10/format/exe", UFOP_BAD_INPUT,
		    { "format takes", "jpg, png", "'exe'" } },
		{ "crop", UFOP_BAD_INPUT, { "/crop/300,200,10,20" } },
		{ "crop/10,10", UFOP_BAD_INPUT, { "'10,10'" } },
		{ "crop/10,10,0,0,0", UFOP_BAD_INPUT, { "<width>,<height>" } },
		{ "crop/0,10,0,0", UFOP_BAD_INPUT, { "<width>,<height>" } },
		{ "crop/10,10,0,0/w/5", UFOP_BAD_INPUT, { "'w'" } },
		{ "crop/clip/10x10", UFOP_BAD_INPUT, { "at/10,20" } },
		{ "crop/clip/10/at/0,0", UFOP_BAD_INPUT, { "clip takes", "300x200" } },
		{ "crop/clip/10x10/at/0x0", UFOP_BAD_INPUT, { "at takes" } },
		{ "imageView2", UFOP_BAD_INPUT, { "mode", "0 to 5" } },
		{ "imageView2/6/w/5", UFOP_BAD_INPUT, { "'6'" } },
		{ "imageView2/2/q/0", UFOP_BAD_INPUT, { "q takes" } },
		{ "imageView2/2/q/75!!", UFOP_BAD_INPUT, { "q takes", "75!!" } },
		{ "imageView2/2/colors/1", UFOP_BAD_INPUT, { "2 to 256" } },
		{ "imageView2/2/interlace/2", UFOP_BAD_INPUT, { "interlace takes" } },
		{ "imageMogr2/thumbnail/abc", UFOP_BAD_INPUT, { "thumbnail takes" } },
		{ "imageMogr2/thumbnail/x", UFOP_BAD_INPUT, { "thumbnail takes" } },
		{ "imageMogr2/thumbnail/0x0", UFOP_BAD_INPUT, { "thumbnail takes" } },
		{ "imageMogr2/thumbnail/!1001p", UFOP_BAD_INPUT, { "'!1001p'" } },
		{ "imageMogr2/thumbnail/20000x", UFOP_OK, { NULL } },
		{ "imageMogr2/crop/!30x30a5", UFOP_BAD_INPUT, { "crop takes" } },
		{ "imageMogr2/crop/!30x30a700a0", UFOP_BAD_INPUT, { "outside" } },
		{ "imageMogr2/gravity/Middle", UFOP_BAD_INPUT, { "Center" } },
		{ "imageMogr2/rotate/361", UFOP_BAD_INPUT, { "rotate takes" } },
		{ "imageMogr2/blur/51x1", UFOP_BAD_INPUT, { "blur takes" } },
		{ "imageMogr2/blur/5x0", UFOP_BAD_INPUT, { "sigma" } },
		{ "imageMogr2/background/zzz", UFOP_BAD_INPUT, { "base64" } },
		{ "imageMogr2/size-limit/0", UFOP_BAD_INPUT, { "size-limit takes" } },
		{ "imageMogr2/density/1201", UFOP_BAD_INPUT, { "1 to 1200" } },
		{ "imageMogr2/nothing", UFOP_BAD_INPUT, { "'nothing'", "auto-orient" } },
		{ "imageMogr2/thumbnail/9999x9999!", UFOP_TOO_BIG, { "25000000" } },
		{ "roundPic", UFOP_BAD_INPUT, { "radius" } },
		{ "watermark/4/text/eA", UFOP_BAD_INPUT, { "'4'" } },
		{ "watermark", UFOP_BAD_INPUT, { "1 (a picture)", "''" } },
		{ "watermark/1", UFOP_BAD_INPUT, { "image first" } },
		{ "watermark/1/", UFOP_BAD_INPUT, { "image first" } },
		{ "watermark/1/text/eA", UFOP_BAD_INPUT, { "image first" } },
		{ "watermark/2/image/eA", UFOP_BAD_INPUT, { "text first" } },
		{ "watermark/3/ws/1", UFOP_BAD_INPUT, { "text or image first" } },
		{ "watermark/1/format/png", UFOP_BAD_INPUT, { "image first" } },
		{ "watermark/1/image/eA", UFOP_BAD_INPUT,
		    { "image takes", "http", "'eA'" } },
		{ "watermark/1/image/ZnRwOi8vYS9i", UFOP_BAD_INPUT, { "http" } },
		{ "watermark/1/image/aHR0cDovL2EAYg", UFOP_BAD_INPUT, { "http" } },
		{ "watermark/1/image", UFOP_BAD_INPUT, { "image takes" } },
		{ "watermark/1/image/aHR0cDovL2EvYg/fill/cmVk", UFOP_BAD_INPUT,
		    { "'fill'", "image, ws, wst" } },
		{ "watermark/1/image/aHR0cDovL2EvYg/ws/1.01", UFOP_BAD_INPUT,
		    { "ws takes", "0 to 1", "'1.01'" } },
		{ "watermark/1/image/aHR0cDovL2EvYg/wst/4", UFOP_BAD_INPUT,
		    { "wst takes", "short side" } },
		{ "watermark/3/text/eA/ws/1", UFOP_BAD_INPUT,
		    { "ws takes", "behind an image" } },
		{ "watermark/3/image/aHR0cDovL2EvYg/font/eA", UFOP_BAD_INPUT,
		    { "font takes", "behind a text" } },
		{ "watermark/3/image/aHR0cDovL2EvYg/fill/cmVk", UFOP_BAD_INPUT,
		    { "fill takes", "behind a text" } },
		{ "watermark/2/fill/cmVk", UFOP_BAD_INPUT, { "text first" } },
		{ "watermark/2/text/!", UFOP_BAD_INPUT, { "base64" } },
		{ "watermark/2/text/eA/fill/eA", UFOP_BAD_INPUT, { "fill takes" } },
		{ "watermark/2/text/eA/dissolve/0", UFOP_BAD_INPUT, { "1 to 100" } },
		{ "watermark/2/text/eA/fontsize/1", UFOP_BAD_INPUT, { "fontsize" } },
		{ "watermark/2/text/eA/dx/x", UFOP_BAD_INPUT, { "dx takes" } },
		{ "roundPic/radius/!25", UFOP_BAD_INPUT, { "!25p" } },
		{ "crop/10,10,640,0", UFOP_BAD_INPUT, { "outside", "640x427" } },
		{ "crop/clip/9x9/at/0,0/thumb/10000x1", UFOP_TOO_BIG,
		    { "10000x1", "9999" } },
		{ "crop/clip/9x9/at/0,0/thumb/6000x6000", UFOP_TOO_BIG,
		    { "25000000" } },
	};
	size_t len;
	void *photo = unit_data("painting-640x427.jpg", &len);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ufop_err err = { UFOP_OK, "" };
		int code = kit_run(rows[i].cmd, photo, len, NULL, NULL, &err);

		CHECK_MSG(code == (int)rows[i].code, "%s: code %d (%s)",
		    rows[i].cmd, code, err.msg);
		for (int k = 0; k < 3 && rows[i].says[k] != NULL; k++)
			CHECK_MSG(strstr(err.msg, rows[i].says[k]) != NULL,
			    "%s: '%s' lacks '%s'", rows[i].cmd, err.msg,
			    rows[i].says[k]);
	}
	free(photo);
}

/* 64 operations, and one more of each kind. */
void
test_images_cmds_of_many_steps(void)
{
	static const char *const words[] = {
		"auto-orient", "thumbnail/50x", "crop/9x9", "rotate/90",
		"blur/1x1", "sharpen/1"
	};
	char args[2048];
	struct ufop_err err;
	struct spec spec;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct str s = { args, 0 };

		for (int k = 0; k < 65; k++) {
			CHECK_INT(grammar_mogr2(&spec, s, &err), 0);
			CHECK_INT(spec.nsteps, k);
			s.len += (size_t)snprintf(args + s.len, sizeof(args) -
			    s.len, "%s/", words[i]);
		}
		CHECK_INT(grammar_mogr2(&spec, s, &err), -1);
		CHECK_INT(err.code, UFOP_BAD_INPUT);
		CHECK_MSG(strstr(err.msg, "at most 64 operations") != NULL,
		    "%s", err.msg);
	}
}

void
test_images_cmds_cut_the_right_pixels(void)
{
	struct picture_file out;
	struct ufop_err err;
	struct bytes png;
	struct image in, im;

	kit_noise(&in, IMAGE_RGB, true, 50, 40);
	png = kit_encode(&codec_png, &in, 0, 1);
	CHECK_INT(kit_run("crop/20,10,7,9", png.p, png.len, &im, &out, &err), 0);
	for (int y = 0; y < 10; y++)
		CHECK(memcmp(im.plane[0].p + (size_t)y * im.plane[0].stride,
		    in.plane[0].p + ((y + 9) * 50 + 7) * 4, 80) == 0);
	image_release(&im);
	free(out.bytes.p);
	free(png.p);
	image_release(&in);
}

/* The part that crop cuts out of 640x427, by the documents' examples. */
void
test_images_crop_places(void)
{
	static const struct { const char *cmd; int x, y, w, h; } rows[] = {
		{ "crop/!300x300a30a100", 30, 100, 300, 300 },
		{ "crop/!300x300a30-100", 30, 0, 300, 200 },
		{ "crop/!300x300-30a100", 0, 100, 270, 300 },
		{ "crop/!300x300-30-100", 0, 0, 270, 200 },
		{ "crop/50x50", 0, 0, 50, 50 }, { "crop/!50x50a0a0", 0, 0, 50, 50 },
		{ "crop/300x", 0, 0, 300, 427 }, { "crop/x200", 0, 0, 640, 200 },
		{ "gravity/North/crop/100x100", 270, 0, 100, 100 },
		{ "gravity/NorthEast/crop/100x100", 540, 0, 100, 100 },
		{ "gravity/West/crop/100x101", 0, 163, 100, 101 },
		{ "gravity/Center/crop/100x100", 270, 163, 100, 100 },
		{ "gravity/SouthEast/crop/100x100", 540, 327, 100, 100 },
		{ "gravity/SouthEast/crop/!100x100a10a20", 530, 307, 100, 100 },
		/* A gravity behind a crop is too late for it. */
		{ "crop/100x100/gravity/SouthEast", 0, 0, 100, 100 },
	};
	struct image in, im;
	struct bytes png;

	kit_noise(&in, IMAGE_RGB, false, 640, 427);
	png = kit_encode(&codec_png, &in, 0, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ufop_err err = { UFOP_OK, "" };
		char cmd[64];

		snprintf(cmd, sizeof(cmd), "imageMogr2/%s", rows[i].cmd);
		CHECK_MSG(kit_run(cmd, png.p, png.len, &im, NULL, &err) == 0,
		    "%s: %s", cmd, err.msg);
		CHECK_MSG(im.plane[0].w == rows[i].w &&
		    im.plane[0].h == rows[i].h, "%s: %dx%d", cmd,
		    im.plane[0].w, im.plane[0].h);
		for (int y = 0; y < rows[i].h; y++)
			CHECK_MSG(memcmp(im.plane[0].p + (size_t)y *
			    im.plane[0].stride, in.plane[0].p +
			    ((y + rows[i].y) * 640 + rows[i].x) * 3,
			    (size_t)rows[i].w * 3) == 0, "%s: row %d", cmd, y);
		image_release(&im);
	}
	image_release(&in);
	free(png.p);
}

/* The resolution is written where the format has a place for it. */
void
test_images_density(void)
{
	static const struct { const char *format; const char *bytes; size_t n; }
	    rows[] = {
		{ "jpg", "JFIF\0\1\1\1\1\x2c\1\x2c", 12 },
		{ "png", "pHYs\0\0\x2e\x23\0\0\x2e\x23\1", 13 },
		{ "png/colors/4", "pHYs\0\0\x2e\x23\0\0\x2e\x23\1", 13 },
		{ "tiff", "\x1a\1\5\0\1\0\0\0", 8 },
	};
	size_t len;
	void *photo = unit_data("painting-640x427.jpg", &len);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int with = 0; with < 2; with++) {
			struct ufop_err err = { UFOP_OK, "" };
			struct picture_file out;
			struct image im;
			char cmd[80];

			snprintf(cmd, sizeof(cmd), "imageMogr2/thumbnail/20x/"
			    "%sformat/%s", with ? "density/300/" : "",
			    rows[i].format);
			CHECK_MSG(kit_run(cmd, photo, len, &im, &out, &err) == 0,
			    "%s: %s", cmd, err.msg);
			CHECK_MSG((memmem(out.bytes.p, out.bytes.len,
			    rows[i].bytes, rows[i].n) != NULL) == with, "%s",
			    cmd);
			image_release(&im);
			free(out.bytes.p);
		}
	free(photo);
}

/* Each mode of imageView2 on pictures of each shape. */
void
test_images_view2_modes(void)
{
	static const struct { int w, h; const char *args; int rw, rh; } rows[] = {
		/* landscape, portrait, square, a line, smaller than the box */
		{ 80, 40, "0/w/40/h/10", 20, 10 }, { 40, 80, "0/w/40/h/10", 10, 20 },
		{ 60, 60, "0/w/40/h/10", 10, 10 }, { 1, 90, "0/w/40/h/10", 1, 40 },
		{ 8, 4, "0/w/40/h/10", 8, 4 }, { 40, 80, "0/w/40", 20, 40 },
		{ 40, 80, "0/h/10", 10, 20 },
		{ 80, 40, "1/w/20/h/10", 20, 10 }, { 40, 80, "1/w/20/h/10", 20, 10 },
		{ 60, 60, "1/w/20/h/10", 20, 10 }, { 1, 90, "1/w/20/h/10", 1, 10 },
		{ 8, 4, "1/w/20/h/10", 8, 4 }, { 80, 40, "1/w/20", 20, 20 },
		{ 80, 40, "1/h/20", 20, 20 },
		{ 80, 40, "2/w/20/h/20", 20, 10 }, { 40, 80, "2/w/20/h/20", 10, 20 },
		{ 60, 60, "2/w/20/h/30", 20, 20 }, { 1, 90, "2/w/20/h/30", 1, 30 },
		{ 8, 4, "2/w/20/h/30", 8, 4 },
		{ 80, 40, "3/w/20/h/20", 40, 20 }, { 40, 80, "3/w/20/h/20", 20, 40 },
		{ 60, 60, "3/w/20/h/30", 30, 30 }, { 1, 90, "3/w/20/h/30", 1, 90 },
		{ 8, 4, "3/w/20/h/30", 8, 4 }, { 40, 80, "3/w/20", 20, 40 },
		{ 80, 40, "4/w/20/h/20", 40, 20 }, { 40, 80, "4/w/60/h/10", 30, 60 },
		{ 60, 60, "4/w/20/h/30", 30, 30 }, { 1, 90, "4/w/20/h/30", 1, 90 },
		{ 8, 4, "4/w/20/h/30", 8, 4 }, { 80, 40, "4/h/20", 40, 20 },
		{ 80, 40, "5/w/30/h/10", 30, 10 }, { 40, 80, "5/w/30/h/10", 10, 30 },
		{ 60, 60, "5/w/30/h/10", 30, 10 }, { 1, 90, "5/w/30/h/10", 1, 30 },
		{ 8, 4, "5/w/30/h/10", 8, 4 }, { 40, 80, "5/w/20", 20, 20 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct picture_file out;
		struct ufop_err err = { UFOP_OK, "" };
		struct bytes png;
		struct image im;
		char cmd[64];

		kit_noise(&im, IMAGE_RGB, false, rows[i].w, rows[i].h);
		png = kit_encode(&codec_png, &im, 0, 1);
		image_release(&im);
		snprintf(cmd, sizeof(cmd), "imageView2/%s", rows[i].args);
		CHECK_MSG(kit_run(cmd, png.p, png.len, &im, &out, &err) == 0,
		    "%s: %s", cmd, err.msg);
		CHECK_MSG(im.plane[0].w == rows[i].rw &&
		    im.plane[0].h == rows[i].rh, "%dx%d %s: %dx%d", rows[i].w,
		    rows[i].h, cmd, im.plane[0].w, im.plane[0].h);
		image_release(&im);
		free(out.bytes.p);
		free(png.p);
	}
}

/* The quality that a JPEG was written with. */
static int
quality_of(const char *cmd, const struct bytes *jpeg)
{
	struct picture_file out;
	struct image_info info;
	struct ufop_err err = { UFOP_OK, "" };

	CHECK_MSG(kit_run(cmd, jpeg->p, jpeg->len, NULL, &out, &err) == 0, "%s",
	    err.msg);
	CHECK(codec_probe(&info, out.bytes.p, out.bytes.len, &err) == 0);
	free(out.bytes.p);
	return (info.quality);
}

void
test_images_quality_is_corrected(void)
{
	struct bytes low, high;
	struct image im;

	kit_noise(&im, IMAGE_RGB, false, 64, 64);
	low = kit_encode(&codec_jpeg, &im, 40, 1);
	high = kit_encode(&codec_jpeg, &im, 95, 1);
	image_release(&im);
	CHECK_INT(quality_of("imageView2/0/q/80", &low), 40);
	CHECK_INT(quality_of("imageView2/2/w/32/q/80", &low), 80);
	CHECK_INT(quality_of("imageView2/2/w/16/q/100", &low), 90);
	CHECK_INT(quality_of("imageView2/0/q/30", &low), 30);
	CHECK_INT(quality_of("imageView2/0", &low), 40);
	CHECK_INT(quality_of("imageView2/0/q/80!", &low), 80);
	CHECK_INT(quality_of("imageView2/0/q/99", &high), 99);
	CHECK_INT(quality_of("imageMogr2/quality/80", &low), 40);
	CHECK_INT(quality_of("imageMogr2/quality/100!", &low), 100);
	CHECK_INT(quality_of("thumbnail/w/64/q/80", &low), 80);
	free(low.p);
	free(high.p);
}

void
test_images_size_limit(void)
{
	static const struct { const char *cmd; size_t most; } rows[] = {
		{ "imageMogr2/size-limit/6k", 6 << 10 },
		{ "imageMogr2/quality/95!/size-limit/9000", 9000 },
		{ "imageMogr2/quality/100!/size-limit/$(fsize)", 0 },
		{ "imageMogr2/quality/100!/format/png/size-limit/1k!", 0 },
		{ "imageMogr2/quality/95!/format/webp/size-limit/9k", 9 << 10 },
		{ "imageMogr2/thumbnail/200x/quality/90!/format/avif/size-limit/2500",
		    2500 },
	};
	size_t len;
	void *photo = unit_data("painting-640x427.jpg", &len);

	heif_setup();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t most = rows[i].most > 0 ? rows[i].most : len;
		struct picture_file out;
		struct ufop_err err = { UFOP_OK, "" };

		if (i == 5 && codec_check_writing(&codec_avif, &err) == -1)
			continue;
		CHECK_MSG(kit_run(rows[i].cmd, photo, len, NULL, &out, &err) ==
		    0, "%s", err.msg);
		CHECK_MSG(out.bytes.len <= most && out.bytes.len > most / 2,
		    "%s: %zu of %zu", rows[i].cmd, out.bytes.len, most);
		if (i == 3)
			CHECK(memcmp(out.bytes.p, photo, len) == 0);
		free(out.bytes.p);
	}
	free(photo);
}

/* No quality is low enough: that of 1 is what there is. */
void
test_images_size_limit_that_none_keeps(void)
{
	size_t len;
	void *photo = unit_data("painting-640x427.jpg", &len);

	for (int i = 0; i < 2; i++) {
		const char *format = i ? "webp" : "jpg";
		struct picture_file least, out;
		struct ufop_err err;
		char cmd[96];

		snprintf(cmd, sizeof(cmd), "imageMogr2/quality/1!/format/%s",
		    format);
		CHECK_INT(kit_run(cmd, photo, len, NULL, &least, &err), 0);
		snprintf(cmd, sizeof(cmd), "imageMogr2/size-limit/1/format/%s",
		    format);
		CHECK_INT(kit_run(cmd, photo, len, NULL, &out, &err), 0);
		CHECK(out.bytes.len > 1);
		CHECK_INT(out.bytes.len, least.bytes.len);
		free(least.bytes.p);
		free(out.bytes.p);
	}
	free(photo);
}

void
test_images_ignore_error(void)
{
	size_t len;
	unsigned char *photo = unit_data("painting-640x427.jpg", &len);
	struct picture_file out;
	struct ufop_err err;
	struct image im;

	/* Half a photograph is shown as far as it goes. */
	CHECK_INT(kit_run("imageView2/2/w/100", photo, len / 2, NULL, NULL, &err),
	    UFOP_BAD_MEDIA);
	CHECK_INT(kit_run("imageView2/2/w/100/ignore-error/1", photo, len / 2,
	    &im, &out, &err), 0);
	CHECK_INT(im.plane[0].w, 100);
	image_release(&im);
	free(out.bytes.p);
	/* What cannot be done at all gives the source back. */
	CHECK_INT(kit_run("imageMogr2/crop/!9x9a9999a0/ignore-error/1", photo,
	    len, NULL, &out, &err), 0);
	CHECK_INT(out.bytes.len, len);
	CHECK(memcmp(out.bytes.p, photo, len) == 0);
	free(out.bytes.p);
	free(photo);
}

/* ---- what operations do to colours ----------------------------------- */

static void
run_on_quarters(const char *cmd, struct image *im)
{
	struct picture_file out;
	struct ufop_err err = { UFOP_OK, "" };
	struct bytes png;

	kit_quarters(im, 80, 48);
	png = kit_encode(&codec_png, im, 0, 1);
	image_release(im);
	CHECK_MSG(kit_run(cmd, png.p, png.len, im, &out, &err) == 0, "%s: %s",
	    cmd, err.msg);
	free(png.p);
	free(out.bytes.p);
}

void
test_images_rotate(void)
{
	struct image im;

	run_on_quarters("imageMogr2/rotate/90", &im);
	CHECK_STR(kit_colour(&im, 2, 2), "blue");
	CHECK_STR(kit_colour(&im, 45, 2), "red");
	image_release(&im);
	run_on_quarters("imageMogr2/rotate/180", &im);
	CHECK_STR(kit_colour(&im, 2, 2), "white");
	image_release(&im);
	run_on_quarters("imageMogr2/rotate/360", &im);
	CHECK_STR(kit_colour(&im, 2, 2), "red");
	CHECK_INT(im.plane[0].w, 80);
	image_release(&im);
	/* 45 degrees clockwise: what was at the left comes to the top. */
	run_on_quarters("imageMogr2/rotate/45/background/cmVk", &im);
	CHECK_INT(im.plane[0].w, 91);
	CHECK_INT(im.plane[0].h, 91);
	CHECK_STR(kit_colour(&im, 0, 0), "red");
	CHECK_STR(kit_colour(&im, 90, 90), "red");
	CHECK_STR(kit_colour(&im, 45, 15), "red");
	CHECK_STR(kit_colour(&im, 70, 45), "green");
	CHECK_STR(kit_colour(&im, 20, 46), "blue");
	CHECK_STR(kit_colour(&im, 45, 75), "white");
	image_release(&im);
	/* none: transparent corners, an opaque middle */
	run_on_quarters("imageMogr2/background/bm9uZQ/rotate/30", &im);
	CHECK(im.alpha);
	CHECK_INT(im.plane[0].p[3], 0);
	CHECK_INT(im.plane[0].p[(size_t)(im.plane[0].h / 2) *
	    im.plane[0].stride + (size_t)(im.plane[0].w / 2) * 4 + 3], 255);
	image_release(&im);
}

/* The colour behind is for the new corners, not for what was transparent. */
void
test_images_rotate_keeps_what_is_transparent(void)
{
	struct ufop_err err = { UFOP_OK, "" };
	struct picture_file out;
	struct bytes png;
	struct image im;
	const unsigned char *p;

	run_on_quarters("imageMogr2/background/bm9uZQ/rotate/45", &im);
	png = kit_encode(&codec_png, &im, 0, 1);
	image_release(&im);
	CHECK_MSG(kit_run("imageMogr2/rotate/45", png.p, png.len, &im, &out,
	    &err) == 0, "%s", err.msg);
	free(png.p);
	free(out.bytes.p);
	CHECK(im.alpha);
	CHECK_INT(im.plane[0].w, 129);
	CHECK_STR(kit_colour(&im, 0, 0), "white");
	CHECK_INT(im.plane[0].p[3], 255);
	/* Where a corner of the first result has come to, and the middle. */
	p = im.plane[0].p + (size_t)64 * im.plane[0].stride;
	CHECK_INT(p[119 * 4 + 3], 0);
	CHECK_INT(p[64 * 4 + 3], 255);
	image_release(&im);
}

void
test_images_blur_and_sharpen_keep_the_mean(void)
{
	static const char *const cmds[] = {
		"imageMogr2/blur/5x3/format/png", "imageMogr2/sharpen/1/format/png"
	};
	unsigned char before[3], after[3];
	size_t len;
	void *photo = unit_data("painting-640x427.jpg", &len);
	struct ufop_err err;
	struct picture p;

	CHECK(picture_open(&p, &kit_limits, photo, len, &err) == 0);
	CHECK(picture_average(&p, before, &err) == 0);
	picture_release(&p);
	for (int i = 0; i < 2; i++) {
		struct picture_file out;

		CHECK_INT(kit_run(cmds[i], photo, len, NULL, &out, &err), 0);
		CHECK(picture_open(&p, &kit_limits, out.bytes.p, out.bytes.len,
		    &err) == 0);
		CHECK(picture_average(&p, after, &err) == 0);
		picture_release(&p);
		for (int c = 0; c < 3; c++)
			CHECK_MSG(abs(before[c] - after[c]) <= 2,
			    "%s: channel %d from %d to %d", cmds[i], c,
			    before[c], after[c]);
		free(out.bytes.p);
	}
	free(photo);
}

void
test_images_average(void)
{
	static const unsigned char rgb[3] = { 0x85, 0x69, 0x4d };
	unsigned char mean[3];
	struct ufop_err err;
	struct picture p;
	struct bytes png;
	struct image im;

	kit_flat(&im, 700, 500, rgb);
	png = kit_encode(&codec_png, &im, 0, 1);
	CHECK(picture_open(&p, &kit_limits, png.p, png.len, &err) == 0);
	CHECK(picture_average(&p, mean, &err) == 0);
	CHECK(memcmp(mean, rgb, 3) == 0);
	picture_release(&p);
	image_release(&im);
	free(png.p);
}

void
test_images_round_corners(void)
{
	struct image im;

	run_on_quarters("roundPic/radius/!50p", &im);
	CHECK(im.alpha);
	CHECK_INT(im.plane[0].p[3], 0);
	CHECK_INT(im.plane[0].p[40 * 4 + 3], 255);	/* middle of the top */
	CHECK(im.plane[0].p[24 * im.plane[0].stride + 3] > 250);
	CHECK_STR(kit_colour(&im, 30, 10), "red");
	image_release(&im);
}

void
test_images_format_auto(void)
{
	static const struct { const char *accept, *codec; } rows[] = {
		{ "image/avif,image/webp,*/*;q=0.8", "webp" },
		{ "image/webp", "webp" }, { "text/html, image/webp;q=0.9", "webp" },
		{ "image/webp;q=0.001", "webp" },
		{ "image/webp;q=0", "jpeg" }, { "image/webp;q=0;x", "jpeg" },
		{ "image/webp;q=0,*/*", "jpeg" }, { "image/webp; q=0.0", "jpeg" },
		{ "image/webpx", "jpeg" }, { "*/*", "jpeg" }, { "", "jpeg" },
		{ NULL, "jpeg" },
	};
	static const struct {
		const struct codec *codec;
		bool		 alpha;
		const char	*accept, *want;
	} others[] = {
		{ &codec_png, false, "*/*", "png" },
		{ &codec_gif, false, "*/*", "gif" },
		{ &codec_webp, false, "*/*", "jpeg" },
		{ &codec_webp, true, "*/*", "png" },
		{ &codec_webp, true, "image/webp", "webp" },
		{ &codec_tiff, false, "*/*", "jpeg" },
		{ &codec_tiff, true, "image/png,*/*", "png" },
		{ &codec_tiff, true, "image/tiff", "tiff" },
		{ &codec_bmp, false, "", "jpeg" },
		{ &codec_tga, true, "image/webp", "webp" },
	};
	size_t len;
	void *photo = unit_data("painting-640x427.jpg", &len);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct picture_times times;
		struct picture_file out;
		struct ufop_err err;
		struct spec spec;
		struct image im;
		struct bytes b;

		kit_noise(&im, IMAGE_RGB, others[i].alpha, 20, 10);
		b = kit_encode(others[i].codec, &im, 75, 1);
		image_release(&im);
		CHECK(grammar_view2(&spec, STR("2/w/9/format/auto"), &err) == 0);
		spec.accept = others[i].accept;
		CHECK(pipeline_run(&spec, &kit_limits, b.p, b.len, &out, &times,
		    &err) == 0);
		CHECK_MSG(strcmp(out.codec->name, others[i].want) == 0,
		    "%s for %s: %s", others[i].codec->name, others[i].accept,
		    out.codec->name);
		free(out.bytes.p);
		free(b.p);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct picture_times times;
		struct picture_file out;
		struct ufop_err err;
		struct spec spec;

		CHECK(grammar_view2(&spec, STR("2/w/50/format/auto"), &err) == 0);
		spec.accept = rows[i].accept;
		CHECK(pipeline_run(&spec, &kit_limits, photo, len, &out, &times,
		    &err) == 0);
		CHECK_MSG(strcmp(out.codec->name, rows[i].codec) == 0, "%s: %s",
		    rows[i].accept, out.codec->name);
		free(out.bytes.p);
	}
	free(photo);
}
