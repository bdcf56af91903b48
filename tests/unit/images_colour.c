/* SPDX-License-Identifier: MIT */
/* Colour profiles of files, and CMYK. */
#include "colour.h"

#include <jpeglib.h>
#include <lcms2.h>

#include "images_kit.h"
#include "unit.h"

/* An RGB profile whose red and green are exchanged: wrong cannot be missed. */
static cmsUInt32Number
odd_profile(unsigned char *icc, cmsUInt32Number size)
{
	cmsCIExyY white = { 0.3127, 0.3290, 1 };
	cmsCIExyYTRIPLE swapped = { { 0.30, 0.60, 1 }, { 0.64, 0.33, 1 },
	    { 0.15, 0.06, 1 } };
	cmsToneCurve *g = cmsBuildGamma(NULL, 2.2);
	cmsHPROFILE p = cmsCreateRGBProfile(&white, &swapped,
	    (cmsToneCurve *[3]){ g, g, g });

	CHECK(cmsSaveProfileToMem(p, icc, &size));
	cmsCloseProfile(p);
	cmsFreeToneCurve(g);
	return (size);
}

/* A JPEG of one colour, with the profile when there is one. */
static struct bytes
make_jpeg(J_COLOR_SPACE space, int n, const unsigned char *colour,
    const unsigned char *icc, unsigned icc_len)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr e;
	unsigned char row[64 * 4], *p = NULL, *rows[] = { row };
	unsigned long len = 0;

	c.err = jpeg_std_error(&e);
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, &p, &len);
	c.image_width = c.image_height = 64;
	c.input_components = n;
	c.in_color_space = space;
	jpeg_set_defaults(&c);
	jpeg_set_quality(&c, 95, TRUE);
	jpeg_start_compress(&c, TRUE);
	if (icc != NULL)
		jpeg_write_icc_profile(&c, icc, icc_len);
	for (int x = 0; x < 64; x++)
		memcpy(row + x * n, colour, (size_t)n);
	for (int y = 0; y < 64; y++)
		jpeg_write_scanlines(&c, rows, 1);
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	return ((struct bytes){ p, len });
}

void
test_images_colour_profiles_are_applied(void)
{
	static const char *const cmds[] = {
		"thumbnail/w/16/format/png", "thumbnail/w/64/format/png",
		"thumbnail/w/16", "crop/32,32,5,5", "thumbnail/w/16/format/webp",
	};
	static const unsigned char red[3] = { 255, 0, 0 };
	unsigned char icc[4096];
	cmsUInt32Number icc_len = odd_profile(icc, sizeof(icc));
	struct bytes b = make_jpeg(JCS_RGB, 3, red, icc, icc_len);

	for (int i = 0; i < 5; i++) {
		struct picture_file out;
		struct ufop_err err = { UFOP_OK, "" };
		struct image im;

		CHECK_MSG(kit_run(cmds[i], b.p, b.len, &im, &out, &err) == 0,
		    "%s", err.msg);
		CHECK_MSG(strcmp(kit_colour(&im, 3, 3), "green") == 0,
		    "%s: %d,%d,%d", cmds[i], im.plane[0].p[0],
		    im.plane[0].p[1], im.plane[0].p[2]);
		image_release(&im);
		free(out.bytes.p);
	}
	free(b.p);
}

/* A mark's colours are its own profile's, not the picture's. */
void
test_images_colour_of_a_mark(void)
{
	static const unsigned char red[3] = { 255, 0, 0 };
	unsigned char icc[4096];
	cmsUInt32Number icc_len = odd_profile(icc, sizeof(icc));
	struct bytes mark = make_jpeg(JCS_RGB, 3, red, icc, icc_len);
	struct bytes plain = make_jpeg(JCS_RGB, 3, red, NULL, 0);
	struct ufop_err err = { UFOP_OK, "" };
	struct image im;

	kit_serve('m', mark.p, mark.len);
	/* "http://a/m", half as large, in the right lower corner. */
	CHECK_MSG(kit_run("watermark/1/image/aHR0cDovL2EvbQ/ws/0.5/dx/0/dy/0",
	    plain.p, plain.len, &im, NULL, &err) == 0, "%s", err.msg);
	CHECK_STR(kit_colour(&im, 50, 50), "green");
	CHECK_STR(kit_colour(&im, 20, 20), "red");
	image_release(&im);
	free(mark.p);
	free(plain.p);
}

void
test_images_colour_srgb_is_left_alone(void)
{
	static const unsigned char rgb[3] = { 200, 100, 50 };
	unsigned char icc[8192];
	cmsUInt32Number len = sizeof(icc);
	cmsHPROFILE p = cmsCreate_sRGBProfile();

	CHECK(cmsSaveProfileToMem(p, icc, &len));
	cmsCloseProfile(p);
	CHECK(!colour_matters(icc, len, IMAGE_RGB));
	CHECK(!colour_matters(icc, len, IMAGE_CMYK));
	CHECK(!colour_matters(icc, len / 2, IMAGE_RGB));
	CHECK(!colour_matters(rgb, 3, IMAGE_RGB));
	len = odd_profile(icc, sizeof(icc));
	CHECK(colour_matters(icc, len, IMAGE_RGB));
}

/* libjpeg writes Adobe's marker for CMYK, and so 255 is no ink. */
void
test_images_colour_cmyk_without_profile(void)
{
	static const struct {
		unsigned char	 cmyk[4];
		const char	*name;
	} rows[] = {
		{ { 255, 255, 255, 255 }, "white" },
		{ { 255, 0, 0, 255 }, "red" },
		{ { 0, 255, 0, 255 }, "green" },
		{ { 0, 0, 255, 255 }, "blue" },
	};

	for (int i = 0; i < 4; i++) {
		struct bytes b = make_jpeg(JCS_CMYK, 4, rows[i].cmyk, NULL, 0);
		struct picture_file out;
		struct image_info info;
		struct ufop_err err;
		struct image im;

		CHECK(codec_probe(&info, b.p, b.len, &err) == 0);
		CHECK_STR(info.color, "cmyk");
		CHECK_INT(kit_run("thumbnail/w/20", b.p, b.len, &im, &out, &err),
		    0);
		CHECK_STR(kit_colour(&im, 9, 9), rows[i].name);
		image_release(&im);
		free(out.bytes.p);
		free(b.p);
	}
}
