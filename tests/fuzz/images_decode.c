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
 *	./fuzz-decode -max_len=20000 -timeout=10 -rss_limit_mb=4000 DIR
 *
 * The first byte chooses what is asked for; the rest is the file.  PNG would
 * stop at its checksums, so they are ignored here (ignore-error/1) in half of
 * the runs.  A whole file of each format is put into DIR at the start: no
 * fuzzer finds one by itself.
 */
#include <tiffio.h>
#include <unistd.h>

#include "info.h"
#include "pipeline.h"

int	LLVMFuzzerInitialize(int *, char ***);
int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char *const cmds[] = {
	"2/w/64", "2/w/64/ignore-error/1", "1/w/33/h/7/format/jpg",
	"0/format/png/ignore-error/1", "2/w/5/format/gif", "2/w/50/format/webp",
	"3/w/999/format/bmp/ignore-error/1", "2/h/9/format/tga",
};
#define NCMDS	(sizeof(cmds) / sizeof(cmds[0]))

static const struct limits limits = {
	.max_pixels = 1 << 20, .max_side = 4096,
	.max_output_pixels = 1 << 20, .max_output_side = 2048,
	.max_frames = 20
};

/* ---- seeds ----------------------------------------------------------- */

static void
seed(const char *dir, const char *name, const void *file, size_t len)
{
	static unsigned char cmd;
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/seed-%s", dir, name);
	if ((f = fopen(path, "wb")) == NULL || fputc(cmd++ % NCMDS, f) == EOF ||
	    fwrite(file, 1, len, f) != len || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void
fill(struct image *im, int model, int w, int h)
{
	struct ufop_err err;

	if (image_init(im, model, model == IMAGE_RGB, w, h, &err) == -1)
		abort();
	for (int y = 0; y < h; y++)
		for (size_t x = 0; x < im->plane[0].stride; x++)
			im->plane[0].p[(size_t)y * im->plane[0].stride + x] =
			    (unsigned char)(x * x / 7 + (size_t)(y * 5));
}

/* As the service itself writes them. */
static void
seed_stills(const char *dir)
{
	static const char *const words[] = {
		"jpg", "jpg/interlace/1", "jpg/q/100", "png", "png/interlace/1",
		"png/colors/9", "webp", "webp/q/100", "gif", "gif/interlace/1",
		"tiff", "bmp", "tga"
	};
	static const int models[] = { IMAGE_RGB, IMAGE_GREY };
	struct picture_times times;
	struct picture_file out;
	struct image im;
	struct bytes png;
	struct spec spec;
	struct ufop_err err;
	char cmd[64], name[64];

	for (int m = 0; m < 2; m++) {
		fill(&im, models[m], 61, 35);
		if (codec_png.encode(&png, &im, &(struct encode_opts){ 0 },
		    &err) == -1)
			abort();
		image_release(&im);
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			snprintf(cmd, sizeof(cmd), "0/format/%s", words[i]);
			if (grammar_view2(&spec, (struct str){ cmd,
			    strlen(cmd) }, &err) == -1 || pipeline_run(&spec,
			    &limits, png.p, png.len, &out, &times, &err) == -1) {
				fprintf(stderr, "%s: %s\n", cmd, err.msg);
				exit(1);
			}
			snprintf(name, sizeof(name), "%d-%zu", m, i);
			seed(dir, name, out.bytes.p, out.bytes.len);
			free(out.bytes.p);
		}
		free(png.p);
	}
}

static void
seed_moving(const char *dir, const struct codec *codec)
{
	struct anim_writer *w;
	struct bytes out;
	struct image im;
	struct ufop_err err;

	w = codec->write_frames(23, 17, 0, &(struct encode_opts){
	    .quality = 75 }, &err);
	for (int i = 0; w != NULL && i < 3; i++) {
		fill(&im, IMAGE_RGB, 23, 17);
		im.plane[0].p[i * 40] ^= 0x55;
		if (w->add(w, &im, 50, &err) == -1)
			abort();
		image_release(&im);
	}
	if (w == NULL || w->finish(w, &out, &err) == -1)
		abort();
	w->close(w);
	seed(dir, codec->name, out.p, out.len);
	free(out.p);
}

/*
 * TIFF as others write it: 40x40 pixels of 3 samples in strips, or in tiles when
 * tile is not 0, interleaved or plane after plane.
 */
static void
seed_tiff(const char *dir, int compression, int strip, int tile, bool planes)
{
	static unsigned char row[64 * 64 * 3], file[1 << 16];
	static int number;
	char path[4096], name[64];
	size_t n;
	TIFF *t;
	FILE *f;

	snprintf(path, sizeof(path), "%s/tiff", dir);
	if ((t = TIFFOpen(path, "w")) == NULL)
		abort();
	TIFFSetField(t, TIFFTAG_IMAGEWIDTH, 40);
	TIFFSetField(t, TIFFTAG_IMAGELENGTH, 40);
	TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, 8);
	TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, 3);
	TIFFSetField(t, TIFFTAG_PHOTOMETRIC, compression == COMPRESSION_JPEG ?
	    PHOTOMETRIC_YCBCR : PHOTOMETRIC_RGB);
	TIFFSetField(t, TIFFTAG_PLANARCONFIG, planes ?
	    PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
	TIFFSetField(t, TIFFTAG_COMPRESSION, compression);
	if (compression == COMPRESSION_JPEG)
		TIFFSetField(t, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
	if (tile > 0) {
		TIFFSetField(t, TIFFTAG_TILEWIDTH, tile);
		TIFFSetField(t, TIFFTAG_TILELENGTH, tile);
	} else
		TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, strip);
	for (uint32_t y = 0; y < 40; y += tile > 0 ? (uint32_t)tile : 1)
		for (uint16_t c = 0; c < (planes ? 3 : 1); c++) {
			for (size_t i = 0; i < sizeof(row); i++)
				row[i] = (unsigned char)(i * (y + 3) / 9 + c);
			for (uint32_t x = 0; tile > 0 && x < 40;
			    x += (uint32_t)tile)
				TIFFWriteTile(t, row, x, y, 0, c);
			if (tile == 0)
				TIFFWriteScanline(t, row, y, c);
		}
	TIFFClose(t);
	if ((f = fopen(path, "rb")) == NULL)
		abort();
	n = fread(file, 1, sizeof(file), f);
	fclose(f);
	unlink(path);
	snprintf(name, sizeof(name), "tiff-%d", number++);
	seed(dir, name, file, n);
}

static void
seed_tiffs(const char *dir)
{
	static const int compressions[] = {
		COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_JPEG,
		COMPRESSION_PACKBITS, COMPRESSION_ADOBE_DEFLATE
	};

	for (size_t i = 0; i < 5; i++) {
		seed_tiff(dir, compressions[i], i % 2 ? 40 : 16, 0, false);
		seed_tiff(dir, compressions[i], 0, i % 2 ? 16 : 64, false);
	}
	seed_tiff(dir, COMPRESSION_LZW, 9, 0, true);
	seed_tiff(dir, COMPRESSION_NONE, 0, 32, true);
}

/* What is only read, by hand. */
static void
seed_only_read(const char *dir)
{
	static const char pnm[] = "P6\n2 2\n255\nabcdefghijkl";
	static const char psd[] = "8BPS\0\1\0\0\0\0\0\0\0\3\0\0\0\2\0\0\0\2"
	    "\0\10\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "abcdefghijkl";

	seed(dir, "pnm", pnm, sizeof(pnm) - 1);
	seed(dir, "psd", psd, sizeof(psd) - 1);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = NULL;

	for (int i = 1; i < *argc && dir == NULL; i++)
		if ((*argv)[i][0] != '-')
			dir = (*argv)[i];
	if (dir == NULL)
		return (0);
	seed_stills(dir);
	seed_moving(dir, &codec_gif);
	seed_moving(dir, &codec_webp);
	seed_tiffs(dir);
	seed_only_read(dir);
	return (0);
}

/* ---------------------------------------------------------------------- */

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
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
