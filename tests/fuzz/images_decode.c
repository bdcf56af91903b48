/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a picture, through the real entry: probe, decode, resample,
 * encode; and its EXIF tags.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE \
 *	    -Iinclude -Ilib -Iworker/handlers/images \
 *	    -isystem /usr/include/freetype2 -o fuzz-decode \
 *	    tests/fuzz/images_decode.c \
 *	    $(ls worker/handlers/images/[!s]*.c) \
 *	    worker/handlers/images/s[!e]*.c $(LIBS_images) -ljansson
 *	./fuzz-decode -max_len=20000 -timeout=10 -rss_limit_mb=4000 DIR tests/data
 *
 * The first byte chooses what is asked for; the rest is the file.  PNG would
 * stop at its checksums, so they are ignored here (ignore-error/1) in half of
 * the runs.
 */
#include "info.h"
#include "pipeline.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char *const cmds[] = {
	"2/w/64", "2/w/64/ignore-error/1", "1/w/33/h/7/format/jpg",
	"0/format/png/ignore-error/1", "2/w/5/format/gif", "2/w/50/format/webp",
	"3/w/999/format/bmp/ignore-error/1", "2/h/9/format/tga",
};
#define NCMDS	(sizeof(cmds) / sizeof(cmds[0]))

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static const struct limits limits = {
		.max_pixels = 1 << 20, .max_side = 4096,
		.max_output_pixels = 1 << 20, .max_output_side = 2048,
		.max_frames = 20
	};
	struct picture_times times;
	struct picture_file out;
	struct image_info info;
	struct ufop_err err;
	struct spec spec;
	const char *cmd;

	if (len == 0)
		return (0);
	cmd = cmds[p[0] % NCMDS];
	if (grammar_view2(&spec, (struct str){ cmd, strlen(cmd) }, &err) == -1)
		abort();
	if (pipeline_run(&spec, &limits, p + 1, len - 1, &out, &times,
	    &err) == 0)
		free(out.bytes.p);
	if (codec_probe(&info, p + 1, len - 1, &err) == 0)
		json_decref(info_exif(info.codec, p + 1, len - 1, &err));
	return (0);
}
