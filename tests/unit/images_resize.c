/* SPDX-License-Identifier: MIT */
/* The resampling kernel against the same kernel in doubles, and its manners. */
#include "resize.h"

#include "images_kit.h"
#include "unit.h"

static void
resize_to(struct image *out, const struct image *in, int w, int h)
{
	const struct plane *s = &in->plane[0];
	struct resize_view v = { 0, 0, s->w, s->h, 0, 0, s->w, s->h };
	struct ufop_err err;

	CHECK(image_init(out, in->model, in->alpha, w, h, &err) == 0);
	CHECK(resize_plane(&out->plane[0], s, &v, false, &err) == 0);
}

void
test_images_resize_against_doubles(void)
{
	static const int to[][2] = {
		{ 600, 400 }, { 320, 213 }, { 200, 133 }, { 100, 67 }, { 33, 22 },
		{ 640, 427 }, { 639, 427 }, { 800, 534 }, { 150, 100 }, { 64, 43 },
		{ 7, 300 },
	};
	struct image in, want, got;
	size_t len;
	void *photo = unit_data("painting-640x427.jpg", &len);

	kit_decode(&in, photo, len);
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		double db;

		kit_resize(&want, &in, to[i][0], to[i][1]);
		resize_to(&got, &in, to[i][0], to[i][1]);
		db = kit_psnr(&want, &got);
		/* Averaging in front costs something; without it, only rounding. */
		CHECK_MSG(db > (to[i][0] < 8 ? 38 : to[i][0] < 150 ? 50 : 75), "%dx%d: %.1f dB",
		    to[i][0], to[i][1], db);
		image_release(&want);
		image_release(&got);
	}
	image_release(&in);
	free(photo);
}

void
test_images_resize_keeps_flat_colour(void)
{
	static const int sizes[] = { 1, 2, 3, 7, 16, 33, 100, 257 };
	static const unsigned char rgb[3] = { 0, 127, 255 };
	struct image in, out;

	for (size_t a = 0; a < 8; a++)
		for (size_t b = 0; b < 8; b++) {
			const unsigned char *p;

			kit_flat(&in, sizes[a], sizes[7 - a], rgb);
			resize_to(&out, &in, sizes[b], sizes[(b + 3) % 8]);
			p = out.plane[0].p;
			for (int i = 0; i < out.plane[0].w * out.plane[0].h; i++)
				CHECK_MSG(memcmp(p + 3 * i, rgb, 3) == 0,
				    "%d to %d: pixel %d is %d,%d,%d", sizes[a],
				    sizes[b], i, p[3 * i], p[3 * i + 1],
				    p[3 * i + 2]);
			image_release(&in);
			image_release(&out);
		}
}

void
test_images_resize_shrinks_a_line_to_a_point(void)
{
	/* So many taps that each alone would round to nothing. */
	struct ufop_err err;
	struct image in, out;

	CHECK(image_init(&in, IMAGE_GREY, false, 30000, 1, &err) == 0);
	for (int i = 0; i < 30000; i++)
		in.plane[0].p[i] = i % 2 ? 200 : 100;
	resize_to(&out, &in, 1, 1);
	CHECK_INT(out.plane[0].p[0], 150);
	image_release(&in);
	image_release(&out);
}

void
test_images_resize_ignores_what_is_out_of_bounds(void)
{
	struct ufop_err err;
	struct image in, out;
	struct resize_view v = { 10, 10, 20, 20, 10, 10, 30, 30 };

	/* 50 inside, 255 around: nothing of it may bleed in. */
	CHECK(image_init(&in, IMAGE_GREY, false, 40, 40, &err) == 0);
	memset(in.mem, 255, 1600);
	for (int y = 10; y < 30; y++)
		memset(in.plane[0].p + y * 40 + 10, 50, 20);
	for (int side = 1; side < 60; side += 3) {
		CHECK(image_init(&out, IMAGE_GREY, false, side, side, &err) == 0);
		CHECK(resize_plane(&out.plane[0], &in.plane[0], &v, false, &err) == 0);
		for (int i = 0; i < side * side; i++)
			CHECK_INT(out.plane[0].p[i], 50);
		image_release(&out);
	}
	image_release(&in);
}
