/* SPDX-License-Identifier: MIT */
/*
 * AVIF and HEIC through libheif: what it makes of any bytes, and what we make
 * of what it says.  Built and run by `make fuzz`; libheif and its decoders are
 * as the system has them, so only our side is instrumented.
 *
 * The first byte chooses a whole AVIF, made at the start, to which the rest is
 * applied as changes of three bytes each (place, place, value), or says that
 * the rest is the file.
 */
#include "heif.h"
#include "info.h"
#include "pipeline.h"

int	LLVMFuzzerInitialize(int *, char ***);
int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/*
 * dav1d 1.0.0 under libheif 1.15 loses 40 bytes for a picture without data;
 * what we lose ourselves must still be seen.
 */
const char	*__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return ("leak:libdav1d");
}

/*
 * The cap on what libheif may take is not there under AddressSanitizer: instead,
 * no single piece of memory may be larger than any of our pictures needs.
 */
const char	*__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return ("allocator_may_return_null=1:max_allocation_size_mb=128");
}

#define NFILES	4

static struct bytes files[NFILES];

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct encode_opts opts = { .quality = 50 };
	struct ufop_err err;

	(void)argc;
	(void)argv;
	heif_setup();
	for (int i = 0; i < NFILES; i++) {
		struct image im;

		if (image_init(&im, IMAGE_RGB, i & 1, i & 2 ? 70 : 8, 9,
		    &err) == -1)
			abort();
		for (size_t k = 0; k < im.plane[0].stride * 9; k++)
			im.plane[0].p[k] = (unsigned char)(k * 7);
		if (codec_check_writing(&codec_avif, &err) == -1 ||
		    codec_avif.encode(&files[i], &im, &opts, &err) == -1) {
			fprintf(stderr, "%s\n", err.msg);
			exit(1);
		}
		image_release(&im);
	}
	return (0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static const struct limits limits = {
		.max_pixels = 1 << 18, .max_side = 2048,
		.max_output_pixels = 1 << 16, .max_output_side = 500,
		.max_frames = 20
	};
	const struct bytes *base;
	struct picture_times times;
	struct picture_file out;
	struct image_info info;
	struct ufop_err err;
	struct spec spec;
	struct bytes file;

	if (len < 1)
		return (0);
	base = p[0] < NFILES ? &files[p[0]] : NULL;
	file.len = base != NULL ? base->len : len - 1;
	/* A copy, so that a read past its end is seen. */
	file.p = malloc(file.len > 0 ? file.len : 1);
	memcpy(file.p, base != NULL ? base->p : p + 1, file.len);
	for (size_t i = 1; base != NULL && i + 2 < len; i += 3)
		file.p[((size_t)p[i] << 8 | p[i + 1]) % file.len] = p[i + 2];
	if (grammar_view2(&spec, (struct str){ "2/w/20/format/png", 17 },
	    &err) == -1)
		abort();
	if (pipeline_run(&spec, &limits, file.p, file.len, &out, &times,
	    &err) == 0)
		free(out.bytes.p);
	if (codec_probe(&info, file.p, file.len, &err) == 0)
		json_decref(info_exif(info.codec, file.p, file.len, &err));
	free(file.p);
	return (0);
}
