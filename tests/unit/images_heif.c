/* SPDX-License-Identifier: MIT */
/* AVIF, where libheif is installed. */
#include "heif.h"

#include "images_kit.h"
#include "unit.h"

void
test_images_avif_comes_back(void)
{
	size_t len;
	void *photo = unit_data("kleiber.jpg", &len);
	struct picture_file avif, png;
	struct ufop_err err = { UFOP_OK, "" };
	struct image got, want;
	double db;

	heif_setup();
	if (codec_by_name("avif", 4) == NULL)
		unit_skip("libheif is not installed");
	CHECK_MSG(kit_run("thumbnail/w/200/q/90/format/avif", photo, len, &got,
	    &avif, &err) == 0, "%s", err.msg);
	CHECK_STR(avif.codec->name, "avif");
	CHECK_INT(kit_run("thumbnail/w/200/format/png", photo, len, &want, &png,
	    &err), 0);
	db = kit_psnr(&want, &got);
	CHECK_MSG(db > 33, "%.1f dB", db);
	for (size_t n = 1; n < avif.bytes.len; n += 97)
		CHECK_MSG(kit_try_decode(avif.bytes.p, n) == UFOP_BAD_MEDIA,
		    "%zu of %zu bytes", n, avif.bytes.len);
	image_release(&got);
	image_release(&want);
	free(avif.bytes.p);
	free(png.bytes.p);
	free(photo);
}

void
test_images_avif_without_libheif_is_said(void)
{
	static const char avif[] = "\0\0\0\x1c" "ftypavif\0\0\0\0avifmif1";
	struct ufop_err err;

	CHECK_INT(kit_run("thumbnail/w/9", avif, sizeof(avif), NULL, NULL, &err),
	    UFOP_BAD_MEDIA);
	CHECK(strstr(err.msg, "AVIF") != NULL);
	CHECK_INT(kit_run("thumbnail/w/9/format/avif", "P5 1 1 255\nx", 12, NULL,
	    NULL, &err), UFOP_BAD_INPUT);
}
