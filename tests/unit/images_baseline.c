/* SPDX-License-Identifier: MIT */
/* Ordinary JPEGs by our own decoder, held against libjpeg. */
#include "baseline.h"
#include "images_kit.h"
#include "unit.h"

/* A way to write a JPEG. */
struct way {
	int	 n;			/* components */
	int	 h, v;			/* sampling of the first */
	int	 quality;
	int	 restart;		/* MCUs; 0: none */
	bool	 optimize;
	bool	 progressive;
};

static unsigned char *
write_jpeg(const struct way *way, int w, int h, unsigned long *len)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr e;
	unsigned char *p = NULL;
	struct image im;

	kit_noise(&im, way->n == 1 ? IMAGE_GREY : IMAGE_RGB, false, w, h);
	/* Edges too: values of many bits. */
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w * way->n; x++)
			if ((x / 37 + y / 23) % 3 == 0)
				im.plane[0].p[(size_t)y * im.plane[0].stride +
				    (size_t)x] = (x ^ y) & 1 ? 255 : 0;
	c.err = jpeg_std_error(&e);
	jpeg_create_compress(&c);
	*len = 0;
	jpeg_mem_dest(&c, &p, len);
	c.image_width = (JDIMENSION)w;
	c.image_height = (JDIMENSION)h;
	c.input_components = way->n;
	c.in_color_space = way->n == 1 ? JCS_GRAYSCALE : JCS_RGB;
	jpeg_set_defaults(&c);
	jpeg_set_quality(&c, way->quality, TRUE);
	c.comp_info[0].h_samp_factor = way->h;
	c.comp_info[0].v_samp_factor = way->v;
	c.restart_interval = (unsigned)way->restart;
	c.optimize_coding = way->optimize;
	if (way->progressive)
		jpeg_simple_progression(&c);
	jpeg_start_compress(&c, TRUE);
	while (c.next_scanline < c.image_height) {
		JSAMPROW row = im.plane[0].p + c.next_scanline *
		    im.plane[0].stride;

		jpeg_write_scanlines(&c, &row, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	image_release(&im);
	return (p);
}

/* Planes with room for whole MCUs; free() the first one's. */
static void
make_planes(struct plane planes[3], const struct jpeg_decompress_struct *d,
    const int *side)
{
	size_t at[4] = { 0 };
	unsigned char *p;

	for (int c = 0; c < d->num_components; c++) {
		const jpeg_component_info *ci = &d->comp_info[c];

		planes[c] = (struct plane){ .stride = (size_t)
		    ci->width_in_blocks * (size_t)side[c],
		    .h = (int)d->total_iMCU_rows * ci->v_samp_factor * side[c] };
		at[c + 1] = at[c] + planes[c].stride * (size_t)planes[c].h;
	}
	p = malloc(at[d->num_components]);
	CHECK(p != NULL);
	for (int c = 0; c < d->num_components; c++)
		planes[c].p = p + at[c];
}

static void
open_jpeg(struct jpeg_decompress_struct *d, struct jpeg_error_mgr *e,
    const unsigned char *p, size_t len, int shrink)
{
	d->err = jpeg_std_error(e);
	jpeg_create_decompress(d);
	jpeg_mem_src(d, p, len);
	jpeg_read_header(d, TRUE);
	d->scale_denom = (unsigned)shrink;
	d->raw_data_out = TRUE;
	d->do_fancy_upsampling = FALSE;
	jpeg_calc_output_dimensions(d);
}

static void
read_raw(struct jpeg_decompress_struct *d, struct plane planes[3])
{
	JSAMPROW rows[3][4 * DCTSIZE];
	JSAMPARRAY all[3] = { rows[0], rows[1], rows[2] };

	jpeg_start_decompress(d);
	for (int m = 0; d->output_scanline < d->output_height; m++) {
		for (int c = 0; c < d->num_components; c++) {
			int n = d->comp_info[c].v_samp_factor *
			    d->comp_info[c].DCT_scaled_size;

			for (int y = 0; y < n; y++)
				rows[c][y] = planes[c].p + (size_t)(m * n + y) *
				    planes[c].stride;
		}
		jpeg_read_raw_data(d, all, (JDIMENSION)(d->max_v_samp_factor *
		    d->min_DCT_scaled_size));
	}
}

/* Those an encoder writes, and their opposites. */
static const struct way ways[] = {
	{ 3, 1, 1, 92, 0, true, false }, { 3, 2, 2, 75, 0, false, false },
	{ 3, 2, 1, 85, 0, true, false }, { 3, 1, 2, 85, 5, false, false },
	{ 3, 4, 1, 85, 3, true, false }, { 3, 2, 2, 100, 1, true, false },
	{ 3, 1, 1, 5, 0, true, false }, { 1, 1, 1, 90, 7, true, false },
	{ 1, 2, 2, 90, 0, false, false },
};
#define NWAYS	(sizeof(ways) / sizeof(ways[0]))

void
test_images_baseline_agrees_with_libjpeg(void)
{
	static const int sizes[][2] = { { 333, 217 }, { 64, 64 }, { 1, 9 },
	    { 250, 3 } };

	for (size_t i = 0; i < NWAYS * 4 * 4; i++) {
		const struct way *way = &ways[i / 16];
		int w = sizes[i / 4 % 4][0], h = sizes[i / 4 % 4][1];
		int shrink = 1 << i % 4, side[3];
		struct jpeg_decompress_struct d;
		struct jpeg_error_mgr e;
		struct plane got[3], want[3];
		unsigned long len;
		unsigned char *p = write_jpeg(way, w, h, &len);

		open_jpeg(&d, &e, p, len, shrink);
		for (int c = 0; c < way->n; c++)
			side[c] = d.comp_info[c].DCT_scaled_size;
		make_planes(got, &d, side);
		make_planes(want, &d, side);
		CHECK(baseline_takes(&d));
		CHECK_MSG(baseline_decode(&d, got, side), "way %zu, %dx%d, 1/%d",
		    i / 16, w, h, shrink);
		read_raw(&d, want);
		for (int c = 0; c < way->n; c++)
			for (JDIMENSION y = 0; y <
			    d.comp_info[c].downsampled_height; y++)
				for (JDIMENSION x = 0; x <
				    d.comp_info[c].downsampled_width; x++) {
					size_t at = y * got[c].stride + x;

					CHECK_MSG(abs(got[c].p[at] -
					    want[c].p[at]) <= 1, "way %zu, "
					    "%dx%d, 1/%d: plane %d at %u, %u is "
					    "%d, not %d", i / 16, w, h, shrink,
					    c, x, y, got[c].p[at],
					    want[c].p[at]);
				}
		jpeg_destroy_decompress(&d);
		free(got[0].p);
		free(want[0].p);
		free(p);
	}
}

void
test_images_baseline_leaves_the_unusual(void)
{
	static const struct way way = { 3, 2, 2, 80, 0, true, true };
	struct jpeg_decompress_struct d;
	struct jpeg_error_mgr e;
	unsigned long len;
	unsigned char *p = write_jpeg(&way, 50, 40, &len);

	open_jpeg(&d, &e, p, len, 2);
	CHECK(!baseline_takes(&d));
	jpeg_destroy_decompress(&d);
	free(p);
}

/* Decode p, whose header is whole, into planes that are thrown away. */
static bool
decodes(const unsigned char *p, size_t len)
{
	static const int side[3] = { 2, 2, 2 };
	struct jpeg_decompress_struct d;
	struct jpeg_error_mgr e;
	struct plane planes[3];
	bool ok;

	open_jpeg(&d, &e, p, len, 4);
	make_planes(planes, &d, side);
	ok = baseline_decode(&d, planes, side);
	jpeg_destroy_decompress(&d);
	free(planes[0].p);
	return (ok);
}

/* Where the pixels begin: behind the head of the scan. */
static size_t
pixels_at(const unsigned char *p)
{
	size_t at = 2;

	while (p[at + 1] != 0xda)
		at += 2 + (size_t)(p[at + 2] << 8 | p[at + 3]);
	return (at + 2 + (size_t)(p[at + 2] << 8 | p[at + 3]));
}

void
test_images_baseline_knows_what_is_damaged(void)
{
	for (size_t i = 0; i < NWAYS; i++) {
		unsigned long len;
		unsigned char *p = write_jpeg(&ways[i], 45, 33, &len);
		size_t from = pixels_at(p);

		CHECK(decodes(p, len));
		for (size_t n = from; n < len; n++) {
			/* A copy, so that a byte too far is noticed. */
			unsigned char *cut = malloc(n);

			CHECK(cut != NULL);
			memcpy(cut, p, n);
			CHECK_MSG(!decodes(cut, n), "way %zu: %zu of %lu bytes",
			    i, n, len);
			free(cut);
		}
		/* Any bytes: no harm, whatever comes of it. */
		for (unsigned seed = 1; seed < 200; seed++) {
			unsigned char *bad = malloc(len);
			unsigned x = seed * 2654435761u;

			CHECK(bad != NULL);
			memcpy(bad, p, len);
			for (size_t n = from; n < len; n++) {
				x = x * 1664525u + 1013904223u;
				if (x >> 24 < seed)
					bad[n] = (unsigned char)(x >> 16);
			}
			(void)decodes(bad, len);
			free(bad);
		}
		free(p);
	}
}
