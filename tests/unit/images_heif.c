/* SPDX-License-Identifier: MIT */
/* AVIF, where libheif is installed. */
#include "heif.h"

#include "images_kit.h"
#include "unit.h"

/* What dav1d loses of a file without data (40 bytes) is not our leak. */
__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void)
{
	return ("leak:libdav1d");
}

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
	if (codec_check_writing(&codec_avif, &err) == -1)
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

/* Without heif_setup() the library is not there. */
void
test_images_avif_without_libheif_is_said(void)
{
	static const struct { const char *file, *name; } rows[] = {
		{ "\0\0\0\x1c" "ftypavif\0\0\0\0avifmif1", "avif" },
		{ "\0\0\0\x1c" "ftypmif1\0\0\0\0mif1avif", "avif" },
		{ "\0\0\0\x1c" "ftypmif1\0\0\0\0mif1heic", "heic" },
		{ "\0\0\0\x1c" "ftypheix\0\0\0\0mif1heic", "heic" },
	};
	struct ufop_err err;
	char list[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_INT(kit_run("thumbnail/w/9", rows[i].file, 28, NULL, NULL,
		    &err), UFOP_BAD_MEDIA);
		CHECK_MSG(strstr(err.msg, rows[i].name) != NULL &&
		    strstr(err.msg, "libheif") != NULL &&
		    strstr(err.msg, "one of jpeg, png, webp") != NULL, "%s",
		    err.msg);
	}
	CHECK_INT(kit_run("thumbnail/w/9/format/avif", "P5 1 1 255\nx", 12, NULL,
	    NULL, &err), UFOP_BAD_MEDIA);
	CHECK_MSG(strstr(err.msg, "libheif") != NULL, "%s", err.msg);
	codec_list(list, sizeof(list), false);
	CHECK_STR(list, "jpeg, png, webp, gif, tiff, bmp, psd, pnm, tga");
	codec_list(list, sizeof(list), true);
	CHECK_STR(list, "jpeg, png, webp, gif, tiff, bmp, tga");
	heif_setup();
	if (codec_check_writing(&codec_avif, &err) == -1)
		unit_skip("libheif is not installed");
	codec_list(list, sizeof(list), true);
	CHECK_STR(list, "jpeg, png, webp, gif, tiff, avif, bmp, tga");
}
