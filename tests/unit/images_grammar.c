/* SPDX-License-Identifier: MIT */
/* The words of cmds: what they ask for, and what errors say. */
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
