/* SPDX-License-Identifier: MIT */
/* The JSON that tells of a picture. */
#include "info.h"

#include <dlfcn.h>

#include <libdeflate.h>
#include <libheif/heif.h>
#include <tiffio.h>
#include <webp/mux.h>

#include "exif.h"
#include "heif.h"
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
	check_json(info_exif(&codec_jpeg, b.p, b.len, &err),
	    "{\"Orientation\":{\"type\":3,\"val\":\"Right-top\"}}");
	free(b.p);
	b = kit_encode(&codec_jpeg, &im, 75, 1);
	CHECK(info_exif(&codec_jpeg, b.p, b.len, &err) == NULL);
	CHECK_INT(err.code, UFOP_BAD_INPUT);
	CHECK(strstr(err.msg, "no EXIF") != NULL);
	free(b.p);
	image_release(&im);
}

/* ---- EXIF of other formats ------------------------------------------- */

struct maker {
	unsigned char	p[256];
	bool		big;
};

static void
set(struct maker *m, size_t at, unsigned v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		m->p[at + (size_t)(m->big ? bytes - 1 - i : i)] =
		    (unsigned char)(v >> 8 * i);
}

static void
entry(struct maker *m, size_t at, unsigned tag, unsigned type, unsigned count,
    unsigned value)
{
	set(m, at, tag, 2);
	set(m, at + 2, type, 2);
	set(m, at + 4, count, 4);
	set(m, at + 8, value, type == 3 ? 2 : 4);
}

#define BLOCK	190

/*
 * A camera's block: its directory at 8, that of Exif at 100, that of GPS at
 * 150, and one that leads nowhere.
 */
static void
make_block(struct maker *m, bool big, unsigned orient)
{
	*m = (struct maker){ .big = big };
	memcpy(m->p, big ? "MM" : "II", 2);
	set(m, 2, 42, 2);
	set(m, 4, 8, 4);
	set(m, 8, 5, 2);
	entry(m, 10, 0x010f, 2, 8, 80);
	memcpy(m->p + 80, "Zenobia", 8);
	entry(m, 22, 0x0112, 3, 1, orient);
	entry(m, 34, 0x8769, 4, 1, 100);
	entry(m, 46, 0x8825, 4, 1, 150);
	entry(m, 58, 0x0132, 2, 20, 99999);
	set(m, 100, 2, 2);
	entry(m, 102, 0x829a, 5, 1, 132);
	set(m, 132, 1, 4);
	set(m, 136, 250, 4);
	entry(m, 114, 0x8827, 3, 1, 400);
	set(m, 150, 1, 2);
	entry(m, 152, 0x0001, 2, 2, 0);
	m->p[160] = 'N';
}

#define BLOCK_JSON							\
	"{\"Make\":{\"type\":2,\"val\":\"Zenobia\"},"			\
	"\"Orientation\":{\"type\":3,\"val\":\"Right-top\"},"		\
	"\"ExposureTime\":{\"type\":5,\"val\":\"1/250 sec.\"},"		\
	"\"ISOSpeedRatings\":{\"type\":3,\"val\":\"400\"},"		\
	"\"GPSLatitudeRef\":{\"type\":2,\"val\":\"N\"}}"

static struct bytes
with_exif_png(const struct maker *m, bool behind_pixels)
{
	struct image im;
	struct bytes b, out;
	unsigned char *p;
	size_t at;
	uint32_t be = __builtin_bswap32(BLOCK);

	kit_quarters(&im, 80, 48);
	b = kit_encode(&codec_png, &im, 0, 1);
	image_release(&im);
	/* Behind the header, or before the last 12 bytes, the end. */
	at = behind_pixels ? b.len - 12 : 33;
	out = (struct bytes){ malloc(b.len + BLOCK + 12), b.len + BLOCK + 12 };
	memcpy(out.p, b.p, at);
	p = out.p + at;
	memcpy(p, &be, 4);
	memcpy(p + 4, "eXIf", 4);
	memcpy(p + 8, m->p, BLOCK);
	be = __builtin_bswap32(libdeflate_crc32(0, p + 4, BLOCK + 4));
	memcpy(p + 8 + BLOCK, &be, 4);
	memcpy(p + 12 + BLOCK, b.p + at, b.len - at);
	free(b.p);
	return (out);
}

static struct bytes
with_exif_webp(const struct maker *m, bool prefix)
{
	unsigned char block[6 + BLOCK] = "Exif\0";
	WebPData file, chunk = { block + (prefix ? 0 : 6),
	    BLOCK + (prefix ? 6 : 0) };
	struct image im;
	struct bytes b;
	WebPMux *mux;

	memcpy(block + 6, m->p, BLOCK);
	kit_quarters(&im, 80, 48);
	b = kit_encode(&codec_webp, &im, 90, 1);
	image_release(&im);
	file = (WebPData){ b.p, b.len };
	mux = WebPMuxCreate(&file, 1);
	CHECK(WebPMuxSetChunk(mux, "EXIF", &chunk, 1) == WEBP_MUX_OK);
	CHECK(WebPMuxAssemble(mux, &file) == WEBP_MUX_OK);
	WebPMuxDelete(mux);
	free(b.p);
	return ((struct bytes){ (unsigned char *)(uintptr_t)file.bytes,
	    file.size });
}

void
test_images_exif_of_png_and_webp(void)
{
	for (int i = 0; i < 8; i++) {
		const struct codec *codec = i & 1 ? &codec_webp : &codec_png;
		struct maker m;
		struct ufop_err err = { UFOP_OK, "" };
		struct picture_file out;
		struct image im;
		struct bytes b;
		json_t *v;

		make_block(&m, i & 2, 6);
		b = codec == &codec_png ? with_exif_png(&m, i & 4) :
		    with_exif_webp(&m, i & 4);
		v = info_exif(codec, b.p, b.len, &err);
		CHECK_MSG(v != NULL, "%d: %s", i, err.msg);
		check_json(v, BLOCK_JSON);
		/* And it is turned: what was at the bottom left is on top. */
		CHECK_INT(kit_run("thumbnail/w/48/format/png", b.p, b.len, &im,
		    &out, &err), 0);
		CHECK_INT(im.plane[0].w, 48);
		CHECK_INT(im.plane[0].h, 80);
		CHECK_STR(kit_colour(&im, 5, 5), "blue");
		CHECK_STR(kit_colour(&im, 40, 5), "red");
		image_release(&im);
		free(out.bytes.p);
		/* Not asked to be turned: the mark goes into a JPEG. */
		CHECK_INT(kit_run("imageMogr2/format/jpg", b.p, b.len, NULL, &out,
		    &err), 0);
		CHECK_INT(out.w, 80);
		CHECK(codec_jpeg.probe(&(struct image_info){ 0 }, out.bytes.p,
		    out.bytes.len, &err) == 0);
		check_json(info_exif(&codec_jpeg, out.bytes.p, out.bytes.len,
		    &err), "{\"Orientation\":{\"type\":3,\"val\":\"Right-top\"}}");
		free(out.bytes.p);
		free(b.p);
	}
}

void
test_images_exif_of_tiff(void)
{
	struct ufop_err err = { UFOP_OK, "" };
	unsigned char row[80 * 3] = { 0 }, *file;
	struct picture_file out;
	char text[4096];
	json_t *v;
	FILE *f;
	long len;
	TIFF *t = TIFFOpen("a.tif", "w");

	TIFFSetField(t, TIFFTAG_IMAGEWIDTH, 80);
	TIFFSetField(t, TIFFTAG_IMAGELENGTH, 2000);
	TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, 8);
	TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, 3);
	TIFFSetField(t, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
	TIFFSetField(t, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
	TIFFSetField(t, TIFFTAG_ORIENTATION, 8);
	TIFFSetField(t, TIFFTAG_DATETIME, "2011:11:19 17:09:23");
	/* The directory comes behind the pixels, far beyond 64 kB. */
	for (int y = 0; y < 2000; y++)
		CHECK(TIFFWriteScanline(t, row, (uint32_t)y, 0) == 1);
	TIFFClose(t);
	f = fopen("a.tif", "r");
	fseek(f, 0, SEEK_END);
	len = ftell(f);
	rewind(f);
	file = malloc((size_t)len);
	CHECK(fread(file, 1, (size_t)len, f) == (size_t)len);
	fclose(f);
	v = info_exif(&codec_tiff, file, (size_t)len, &err);
	CHECK_MSG(v != NULL, "%s", err.msg);
	CHECK_STR(json_string_value(json_object_get(json_object_get(v,
	    "DateTime"), "val")), "2011:11:19 17:09:23");
	CHECK_STR(json_string_value(json_object_get(json_object_get(v,
	    "Orientation"), "val")), "Left-bottom");
	CHECK(json_object_get(v, "StripOffsets") == NULL);
	json_decref(v);
	CHECK_INT(kit_run("imageView2/2/w/500", file, (size_t)len, NULL, &out,
	    &err), 0);
	snprintf(text, sizeof(text), "%dx%d", out.w, out.h);
	CHECK_STR(text, "500x20");
	free(out.bytes.p);
	free(file);
}

static struct heif_error
keep(struct heif_context *ctx, const void *p, size_t n, void *user)
{
	struct bytes *b = user;

	(void)ctx;
	*b = (struct bytes){ malloc(n), n };
	memcpy(b->p, p, n);
	return ((struct heif_error){ heif_error_Ok,
	    heif_suberror_Unspecified, "" });
}

void
test_images_exif_of_avif(void)
{
	void *lib = dlopen("libheif.so.1", RTLD_NOW | RTLD_LOCAL);
	struct heif_writer writer = { 1, keep };
	struct heif_image_handle *handle;
	struct heif_context *ctx;
	struct ufop_err err = { UFOP_OK, "" };
	struct image im;
	struct bytes b, with;
	struct maker m;
	json_t *v;

	heif_setup();
	if (lib == NULL)
		unit_skip("libheif is not installed");
#define FIND(f)	__typeof__(f) *p_##f; *(void **)&p_##f = dlsym(lib, #f)
	FIND(heif_context_alloc);
	FIND(heif_context_free);
	FIND(heif_context_read_from_memory);
	FIND(heif_context_get_primary_image_handle);
	FIND(heif_context_add_exif_metadata);
	FIND(heif_image_handle_release);
	FIND(heif_context_write);
	kit_quarters(&im, 80, 48);
	b = kit_encode(&codec_avif, &im, 90, 1);
	image_release(&im);
	CHECK(info_exif(&codec_avif, b.p, b.len, &err) == NULL);
	make_block(&m, true, 6);
	ctx = p_heif_context_alloc();
	CHECK(p_heif_context_read_from_memory(ctx, b.p, b.len, NULL).code == 0);
	CHECK(p_heif_context_get_primary_image_handle(ctx, &handle).code == 0);
	CHECK(p_heif_context_add_exif_metadata(ctx, handle, m.p, BLOCK).code ==
	    0);
	CHECK(p_heif_context_write(ctx, &writer, &with).code == 0);
	p_heif_image_handle_release(handle);
	p_heif_context_free(ctx);
	v = info_exif(&codec_avif, with.p, with.len, &err);
	CHECK_MSG(v != NULL, "%s", err.msg);
	check_json(v, BLOCK_JSON);
	free(b.p);
	free(with.p);
	dlclose(lib);
}

/* Whatever bytes are wrong, nothing outside of them is read or written. */
void
test_images_exif_damaged_does_no_harm(void)
{
	struct maker m;
	size_t n;

	for (int big = 0; big < 2; big++)
		for (size_t bit = 0; bit < 8 * BLOCK; bit++) {
			unsigned char *copy = malloc(BLOCK), *packed;

			make_block(&m, big, 6);
			memcpy(copy, m.p, BLOCK);
			copy[bit / 8] ^= (unsigned char)(1 << bit % 8);
			packed = exif_pack(copy, BLOCK, &n);
			CHECK(packed == NULL || (n > 8 && n <= EXIF_MAX));
			exif_orientation(copy, BLOCK);
			free(packed);
			free(copy);
		}
	make_block(&m, false, 6);
	for (size_t len = 0; len < BLOCK; len++) {
		unsigned char *copy = malloc(len + 1);

		memcpy(copy, m.p, len);
		free(exif_pack(copy, len, &n));
		exif_orientation(copy, len);
		free(copy);
	}
	/* A directory that leads to itself ends. */
	entry(&m, 34, 0x8769, 4, 1, 8);
	free(exif_pack(m.p, BLOCK, &n));
}
