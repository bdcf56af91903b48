/* SPDX-License-Identifier: MIT */
/* The JSON that tells of a picture. */
#include "info.h"

#include "images_kit.h"
#include "unit.h"

static void
check_json(json_t *v, const char *want)
{
	char *got = json_dumps(v, JSON_COMPACT);

	CHECK_STR(got, want);
	free(got);
	json_decref(v);
}

void
test_images_info_json(void)
{
	static const unsigned char rgb[3] = { 0x85, 0x69, 0x4d };
	size_t len;
	void *photo = unit_data("painting-640x427.jpg", &len);
	static const char gif[] = "GIF89a\4\0\3\0\x81\0\0"
	    "abcdefghijkl" "\x2c\0\0\0\0\4\0\3\0\0\2\1x\0"
	    "\x21\xf9\4\0\0\0\0\0" "\x2c\0\0\0\0\4\0\3\0\0\2\1x\0" ";";
	struct ufop_err err;
	struct picture p;
	struct image im;
	struct bytes b;

	CHECK(picture_open(&p, &kit_limits, photo, len, &err) == 0);
	check_json(info_head(&p.info, &err), "{\"format\":\"jpeg\","
	    "\"width\":640,\"height\":427,\"colorModel\":\"ycbcr\"}");
	picture_release(&p);
	CHECK(picture_open(&p, &kit_limits, (const void *)gif, sizeof(gif) - 1,
	    &err) == 0);
	check_json(info_head(&p.info, &err), "{\"format\":\"gif\",\"width\":4,"
	    "\"height\":3,\"colorModel\":\"palette4\",\"frameNumber\":2}");
	picture_release(&p);
	kit_flat(&im, 50, 50, rgb);
	b = kit_encode(&codec_png, &im, 0, 1);
	CHECK(picture_open(&p, &kit_limits, b.p, b.len, &err) == 0);
	check_json(info_average(&p, &err), "{\"RGB\":\"0x85694d\"}");
	picture_release(&p);
	image_release(&im);
	free(b.p);
	free(photo);
}

void
test_images_info_exif(void)
{
	struct ufop_err err;
	struct image im;
	struct bytes b;

	kit_noise(&im, IMAGE_RGB, false, 16, 16);
	b = kit_encode(&codec_jpeg, &im, 75, 6);
	check_json(info_exif(b.p, b.len, &err),
	    "{\"Orientation\":{\"type\":3,\"val\":\"Right-top\"}}");
	free(b.p);
	b = kit_encode(&codec_jpeg, &im, 75, 1);
	CHECK(info_exif(b.p, b.len, &err) == NULL);
	CHECK_INT(err.code, UFOP_BAD_INPUT);
	CHECK(strstr(err.msg, "no EXIF") != NULL);
	free(b.p);
	image_release(&im);
}
