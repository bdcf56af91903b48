/* SPDX-License-Identifier: MIT */
/*
 * PNG behind its checksums: any header and palette around any rows, packed as
 * they must be, so that filters, depths and Adam7 see every kind of byte.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE \
 *	    -Iinclude -Ilib -Iworker/handlers/images \
 *	    -isystem /usr/include/freetype2 -o fuzz-png \
 *	    tests/fuzz/images_png.c \
 *	    $(ls worker/handlers/images/[!s]*.c) \
 *	    worker/handlers/images/s[!e]*.c $(LIBS_images) -ljansson
 *	./fuzz-png -max_len=4000 -timeout=10 DIR
 *
 * Bytes: width, height, depth, colour type, interlaced, colours of the palette,
 * bytes of tRNS; then rows, repeated until there are enough.
 */
#include <libdeflate.h>

#include "pipeline.h"

#define HEAD	7
#define SIDE	40

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static unsigned char *
chunk(unsigned char *p, const char *type, const void *data, size_t n)
{
	uint32_t be = __builtin_bswap32((uint32_t)n), crc;

	memcpy(p, &be, 4);
	memcpy(p + 4, type, 4);
	if (n > 0)
		memcpy(p + 8, data, n);
	crc = __builtin_bswap32(libdeflate_crc32(0, p + 4, n + 4));
	memcpy(p + 8 + n, &crc, 4);
	return (p + 12 + n);
}

/* Bytes of all rows with their filters. */
static size_t
rows_size(unsigned w, unsigned h, unsigned bits, bool interlaced)
{
	static const unsigned pass[7][4] = {
		{ 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 },
		{ 0, 2, 2, 4 }, { 1, 0, 2, 2 }, { 0, 1, 1, 2 }
	};
	size_t size = 0;

	if (!interlaced)
		return (h * (1 + (size_t)(w * bits + 7) / 8));
	for (int i = 0; i < 7; i++) {
		unsigned pw = (w + pass[i][2] - 1 - pass[i][0]) / pass[i][2];
		unsigned ph = (h + pass[i][3] - 1 - pass[i][1]) / pass[i][3];

		if (pw > 0)
			size += ph * (1 + (size_t)(pw * bits + 7) / 8);
	}
	return (size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	static const struct limits limits = {
		.max_pixels = 1 << 20, .max_side = 4096,
		.max_output_pixels = 1 << 20, .max_output_side = 2048,
		.max_frames = 20
	};
	static const unsigned char depths[] = { 1, 2, 4, 8, 16 };
	static const unsigned char kinds[][2] = {	/* colour type, samples */
		{ 0, 1 }, { 2, 3 }, { 3, 1 }, { 4, 2 }, { 6, 4 }
	};
	static unsigned char raw[SIDE * SIDE * 8 * 2 + 4096], packed[1 << 16];
	static unsigned char file[1 << 17], palette[768];
	unsigned char head[13] = { 0 }, *p = file;
	struct libdeflate_compressor *z;
	struct picture_times times;
	struct picture_file out;
	struct ufop_err err;
	struct spec spec;
	size_t size, n;

	if (len <= HEAD)
		return (0);
	head[3] = (unsigned char)(1 + in[0] % SIDE);
	head[7] = (unsigned char)(1 + in[1] % SIDE);
	head[8] = depths[in[2] % 5];
	head[9] = kinds[in[3] % 5][0];
	head[12] = in[4] & 1;
	size = rows_size(head[3], head[7],
	    (unsigned)head[8] * kinds[in[3] % 5][1], head[12]);
	for (size_t i = 0; i < size; i++)
		raw[i] = in[HEAD + i % (len - HEAD)];
	z = libdeflate_alloc_compressor(1);
	n = libdeflate_zlib_compress(z, raw, size, packed, sizeof(packed));
	libdeflate_free_compressor(z);
	memcpy(p, "\x89PNG\r\n\x1a\n", 8);
	p = chunk(p + 8, "IHDR", head, 13);
	p = chunk(p, "PLTE", palette, 3 * (size_t)in[5]);
	p = chunk(p, "tRNS", raw, in[6] < size ? in[6] : size);
	p = chunk(p, "IDAT", packed, n);
	p = chunk(p, "IEND", NULL, 0);
	if (grammar_view2(&spec, (struct str){ "2/w/20", 6 }, &err) == -1)
		abort();
	if (pipeline_run(&spec, &limits, file, (size_t)(p - file), &out, &times,
	    &err) == 0)
		free(out.bytes.p);
	return (0);
}
