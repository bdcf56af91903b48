/* SPDX-License-Identifier: MIT */
/* Pictures laid on pictures.  "aHR0cDovL2EvbQ" is http://a/m. */
#include "images_kit.h"
#include "unit.h"

#define M	"aHR0cDovL2EvbQ"
#define N	"aHR0cDovL2Evbg"

static const unsigned char red[3] = { 255, 0, 0 };
static const unsigned char blue[3] = { 0, 0, 255 };
static const unsigned char white[3] = { 255, 255, 255 };

static struct bytes
flat(const struct codec *codec, int w, int h, const unsigned char rgb[3])
{
	struct image im;
	struct bytes b;

	kit_flat(&im, w, h, rgb);
	b = kit_encode(codec, &im, 90, 1);
	image_release(&im);
	return (b);
}

static void
run(const char *cmd, const struct bytes *b, struct image *im,
    struct picture_file *out)
{
	struct ufop_err err = { UFOP_OK, "" };

	CHECK_MSG(kit_run(cmd, b->p, b->len, im, out, &err) == 0, "%s: %s", cmd,
	    err.msg);
}

/* The rectangle around all pixels of a colour; w is 0 when there is none. */
static void
find(const struct image *im, const char *colour, int *x, int *y, int *w, int *h)
{
	int x1 = 0, y1 = 0;

	*x = *y = 99999;
	*w = *h = 0;
	for (int j = 0; j < im->plane[0].h; j++)
		for (int i = 0; i < im->plane[0].w; i++) {
			if (strcmp(kit_colour(im, i, j), colour) != 0)
				continue;
			*x = i < *x ? i : *x;
			*y = j < *y ? j : *y;
			x1 = i >= x1 ? i + 1 : x1;
			y1 = j + 1;
		}
	if (x1 == 0)
		return;
	*w = x1 - *x;
	*h = y1 - *y;
}

/* Each row: a picture, a mark, the words, and where the mark is seen. */
void
test_images_mark_sizes_and_places(void)
{
	static const struct {
		int		 w, h, mw, mh;
		const char	*args;
		int		 x, y, sw, sh;
	} rows[] = {
		{ 250, 250, 91, 61, "", 149, 179, 91, 61 },
		{ 250, 250, 91, 61, "/ws/0", 149, 179, 91, 61 },
		/* The interface's own examples. */
		{ 250, 250, 91, 61, "/ws/0.1", 203, 215, 37, 25 },
		{ 250, 250, 91, 61, "/ws/0.1/wst/0", 203, 215, 37, 25 },
		{ 250, 250, 91, 61, "/wst/1/ws/0.1", 215, 224, 25, 16 },
		/* Which sides of a landscape and of a portrait are meant. */
		{ 400, 100, 20, 10, "/ws/0.5", 290, 40, 100, 50 },
		{ 400, 100, 10, 20, "/ws/0.3", 360, 30, 30, 60 },
		{ 100, 400, 10, 20, "/ws/0.5", 40, 290, 50, 100 },
		{ 100, 400, 10, 20, "/ws/0.4/wst/1", 10, 230, 80, 160 },
		{ 400, 100, 10, 20, "/ws/0.1/wst/2", 350, 10, 40, 80 },
		{ 400, 100, 20, 10, "/ws/0.5/wst/3", 290, 40, 100, 50 },
		{ 100, 100, 50, 1, "/ws/0.01", 40, 89, 50, 1 },
		{ 100, 100, 100, 1, "/ws/0.5/wst/1/dx/0/dy/0", 50, 99, 50, 1 },
		/* Places. */
		{ 100, 60, 20, 10, "/gravity/NorthWest", 10, 10, 20, 10 },
		{ 100, 60, 20, 10, "/gravity/North/dx/5/dy/0", 45, 0, 20, 10 },
		{ 100, 60, 20, 10, "/gravity/NorthEast/dx/1/dy/2", 79, 2, 20, 10 },
		{ 100, 60, 20, 10, "/gravity/West/dx/0/dy/0", 0, 25, 20, 10 },
		{ 100, 60, 20, 10, "/gravity/Center/dx/0/dy/0", 40, 25, 20, 10 },
		{ 100, 60, 20, 10, "/gravity/East/dx/0/dy/0", 80, 25, 20, 10 },
		{ 100, 60, 20, 10, "/gravity/SouthWest/dx/0/dy/0", 0, 50, 20, 10 },
		{ 100, 60, 20, 10, "/gravity/South/dx/0/dy/0", 40, 50, 20, 10 },
		{ 100, 60, 100, 60, "/dx/0/dy/0", 0, 0, 100, 60 },
		/* What stands over is cut off. */
		{ 100, 60, 20, 10, "/dx/-5/dy/-6", 85, 56, 15, 4 },
		{ 100, 60, 95, 58, "", 0, 0, 90, 50 },
		{ 100, 60, 20, 10, "/gravity/NorthWest/dx/-3/dy/-30000", 0, 0, 0,
		    0 },
		{ 100, 60, 20, 10, "/dx/30000", 0, 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes pic = flat(&codec_png, rows[i].w, rows[i].h, white);
		struct bytes m = flat(&codec_png, rows[i].mw, rows[i].mh, red);
		int x, y, w, h;
		struct image im;
		char cmd[128];

		kit_serve('m', m.p, m.len);
		snprintf(cmd, sizeof(cmd), "watermark/1/image/" M "%s",
		    rows[i].args);
		run(cmd, &pic, &im, NULL);
		CHECK_INT(im.plane[0].w, rows[i].w);
		CHECK_INT(im.plane[0].h, rows[i].h);
		find(&im, "red", &x, &y, &w, &h);
		CHECK_MSG(w == rows[i].sw && h == rows[i].sh && (w == 0 ||
		    (x == rows[i].x && y == rows[i].y)),
		    "%dx%d on %dx%d %s: %dx%d at %d,%d", rows[i].mw, rows[i].mh,
		    rows[i].w, rows[i].h, rows[i].args, w, h, x, y);
		image_release(&im);
		free(pic.p);
		free(m.p);
	}
}

/* Too large for the picture: that comes back as it was, byte for byte. */
void
test_images_mark_that_does_not_fit(void)
{
	static const struct { int w, h; const char *args; } rows[] = {
		{ 101, 10, "" }, { 10, 61, "" }, { 91, 31, "/ws/1" },
		{ 10, 11, "/ws/1/wst/1" }, { 10, 10, "/ws/1/wst/2" },
		/* The first fits, and yet nothing of it is seen. */
		{ 10, 10, "/image/" N },
	};
	struct bytes pic = flat(&codec_png, 100, 60, white);
	struct bytes large = flat(&codec_png, 200, 200, blue);

	kit_serve('n', large.p, large.len);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes m = flat(&codec_png, rows[i].w, rows[i].h, red);
		struct picture_file out;
		char cmd[128];

		kit_serve('m', m.p, m.len);
		snprintf(cmd, sizeof(cmd), "watermark/3/image/" M "%s",
		    rows[i].args);
		run(cmd, &pic, NULL, &out);
		CHECK_MSG(out.bytes.len == pic.len &&
		    memcmp(out.bytes.p, pic.p, pic.len) == 0, "%s", cmd);
		free(out.bytes.p);
		free(m.p);
	}
	free(large.p);
	free(pic.p);
}

void
test_images_marks_lie_in_their_order(void)
{
	static const struct { const char *cmd, *middle, *corner; } rows[] = {
		{ "watermark/3/image/" M "/gravity/Center/image/" N
		    "/gravity/Center", "blue", "red" },
		{ "watermark/3/image/" N "/gravity/Center/dx/0/dy/0/image/" M
		    "/gravity/Center/dx/0/dy/0", "red", "red" },
	};
	struct bytes pic = flat(&codec_jpeg, 100, 100, white);
	struct bytes large = flat(&codec_png, 40, 40, red);
	struct bytes small = flat(&codec_bmp, 10, 10, blue);

	kit_serve('m', large.p, large.len);
	kit_serve('n', small.p, small.len);
	for (int i = 0; i < 2; i++) {
		struct image im;

		run(rows[i].cmd, &pic, &im, NULL);
		CHECK_STR(kit_colour(&im, i == 0 ? 60 : 50, i == 0 ? 60 : 50),
		    rows[i].middle);
		CHECK_STR(kit_colour(&im, i == 0 ? 45 : 35, i == 0 ? 45 : 35),
		    rows[i].corner);
		CHECK_STR(kit_colour(&im, 5, 5), "white");
		image_release(&im);
	}
	free(pic.p);
	free(large.p);
	free(small.p);
}

/* Every pair of alphas against Porter and Duff's "over" in doubles. */
void
test_images_mark_alpha_and_dissolve(void)
{
	static const int dissolve[] = { 100, 50, 1 };

	for (int k = 0; k < 3; k++) {
		struct image pic, mark, got;
		struct bytes p, m;
		struct ufop_err err;
		char cmd[128];

		CHECK(image_init(&pic, IMAGE_RGB, true, 16, 16, &err) == 0);
		CHECK(image_init(&mark, IMAGE_RGB, true, 16, 16, &err) == 0);
		for (int i = 0; i < 256; i++) {
			memcpy(pic.plane[0].p + 4 * i, (unsigned char[]){ 200, 50,
			    0, (unsigned char)(i % 16 * 17) }, 4);
			memcpy(mark.plane[0].p + 4 * i, (unsigned char[]){ 0, 100,
			    250, (unsigned char)(i / 16 * 17) }, 4);
		}
		p = kit_encode(&codec_png, &pic, 0, 1);
		m = kit_encode(&codec_png, &mark, 0, 1);
		kit_serve('m', m.p, m.len);
		snprintf(cmd, sizeof(cmd), "watermark/1/image/" M
		    "/dx/0/dy/0/dissolve/%d", dissolve[k]);
		run(cmd, &p, &got, NULL);
		CHECK(got.alpha);
		for (int i = 0; i < 256; i++) {
			const unsigned char *d = got.plane[0].p +
			    (size_t)(i / 16) * got.plane[0].stride + i % 16 * 4;
			double a = i / 16 / 15.0 * dissolve[k] / 100;
			double b = i % 16 / 15.0 * (1 - a);
			double want[4] = { 200 * b, 50 * b + 100 * a, 250 * a, 0 };

			for (int c = 0; c < 4; c++) {
				double v = c == 3 ? (a + b) * 255 :
				    a + b > 0 ? want[c] / (a + b) : d[c];

				CHECK_MSG(v > d[c] - 1 && v < d[c] + 1,
				    "dissolve %d, pixel %d, %d: %d, not %.1f",
				    dissolve[k], i, c, d[c], v);
			}
		}
		image_release(&pic);
		image_release(&mark);
		image_release(&got);
		free(p.p);
		free(m.p);
	}
}

/* The colour of what is transparent in a mark is not mixed in by scaling. */
void
test_images_mark_scaled_does_not_bleed(void)
{
	struct image mark, got;
	struct bytes p = flat(&codec_png, 100, 100, white), m;
	struct ufop_err err;

	CHECK(image_init(&mark, IMAGE_RGB, true, 40, 40, &err) == 0);
	for (int i = 0; i < 1600; i++)
		memcpy(mark.plane[0].p + 4 * i, i % 40 < 20 ?
		    (unsigned char[]){ 255, 0, 0, 255 } :
		    (unsigned char[]){ 0, 255, 0, 0 }, 4);
	m = kit_encode(&codec_png, &mark, 0, 1);
	kit_serve('m', m.p, m.len);
	for (int ws = 1; ws <= 9; ws += 4) {
		char cmd[128];

		snprintf(cmd, sizeof(cmd), "watermark/1/image/" M
		    "/dx/0/dy/0/ws/0.%d", ws);
		run(cmd, &p, &got, NULL);
		for (int y = 0; y < 100; y++)
			for (int x = 0; x < 100; x++) {
				const unsigned char *d = got.plane[0].p +
				    (size_t)y * got.plane[0].stride +
				    x * got.plane[0].n;

				/* Between red and white, never greener. */
				CHECK_MSG(d[0] >= 254 && abs(d[1] - d[2]) <= 1,
				    "%s: %d,%d,%d at %d,%d", cmd, d[0], d[1],
				    d[2], x, y);
			}
		CHECK_STR(kit_colour(&got, 100 - ws * 10 + 1, 99), "red");
		CHECK_STR(kit_colour(&got, 99, 99), "white");
		image_release(&got);
	}
	image_release(&mark);
	free(p.p);
	free(m.p);
}

/* A mark is turned as its EXIF says, and grey ones have grey pixels. */
void
test_images_mark_is_turned(void)
{
	struct bytes p = flat(&codec_png, 200, 200, white), m;
	struct image mark, got;

	kit_quarters(&mark, 80, 48);
	m = kit_encode(&codec_jpeg, &mark, 95, 6);
	image_release(&mark);
	kit_serve('m', m.p, m.len);
	run("watermark/1/image/" M "/gravity/NorthWest/dx/0/dy/0", &p, &got,
	    NULL);
	/* 6: a quarter clockwise, and now 48x80. */
	CHECK_STR(kit_colour(&got, 4, 4), "blue");
	CHECK_STR(kit_colour(&got, 40, 4), "red");
	CHECK_STR(kit_colour(&got, 40, 70), "green");
	CHECK_STR(kit_colour(&got, 4, 84), "white");
	image_release(&got);
	free(m.p);
	kit_noise(&mark, IMAGE_GREY, true, 30, 30);
	m = kit_encode(&codec_png, &mark, 0, 1);
	image_release(&mark);
	kit_serve('m', m.p, m.len);
	run("watermark/1/image/" M, &p, &got, NULL);
	for (int y = 160; y < 190; y++) {
		const unsigned char *d = got.plane[0].p + (size_t)y *
		    got.plane[0].stride + 175 * 3;

		CHECK(d[0] == d[1] && d[1] == d[2]);
	}
	image_release(&got);
	free(m.p);
	free(p.p);
}

static struct bytes
movie(const struct codec *codec, int w, int h, int frames)
{
	struct encode_opts opts = { .quality = 100 };
	struct ufop_err err;
	struct anim_writer *out = codec->write_frames(w, h, 0, &opts, &err);
	struct bytes b;

	for (int i = 0; i < frames; i++) {
		struct image im;

		kit_flat(&im, w, h, i % 2 ? blue : white);
		CHECK(out->add(out, &im, 100, &err) == 0);
		image_release(&im);
	}
	CHECK(out->finish(out, &b, &err) == 0);
	out->close(out);
	return (b);
}

void
test_images_mark_is_on_every_frame(void)
{
	static const struct codec *const codecs[] = { &codec_gif, &codec_webp };
	struct bytes m = flat(&codec_png, 8, 8, red), still;
	struct image got;

	kit_serve('m', m.p, m.len);
	for (int i = 0; i < 2; i++) {
		struct bytes b = movie(codecs[i], 40, 30, 5);
		struct picture_file out;
		struct image_info info;
		struct anim_reader *r;
		struct ufop_err err;
		int delay, n = 0;
		struct image im;

		run("watermark/1/image/" M "/dx/2/dy/3/ws/0.2", &b, NULL, &out);
		CHECK(codec_probe(&info, out.bytes.p, out.bytes.len, &err) == 0);
		CHECK_INT(info.frames, 5);
		r = info.codec->read_frames(&info, out.bytes.p, out.bytes.len,
		    &err);
		while (r->next(r, &im, &delay, &err) == 1) {
			CHECK_STR(kit_colour(&im, 35, 24), "red");
			CHECK_STR(kit_colour(&im, 5, 5), n++ % 2 ? "blue" :
			    "white");
			image_release(&im);
		}
		CHECK_INT(n, 5);
		r->close(r);
		free(out.bytes.p);
		free(b.p);
		/* And none at all, when it is too large for them. */
		b = movie(codecs[i], 7, 30, 5);
		run("watermark/1/image/" M, &b, NULL, &out);
		CHECK_INT(out.bytes.len, b.len);
		CHECK(memcmp(out.bytes.p, b.p, b.len) == 0);
		free(out.bytes.p);
		free(b.p);
	}
	/* Of a moving mark, the first frame is laid on. */
	free(m.p);
	m = movie(&codec_gif, 10, 10, 3);
	kit_serve('m', m.p, m.len);
	still = flat(&codec_png, 40, 40, red);
	run("watermark/1/image/" M "/dx/0/dy/0", &still, &got, NULL);
	CHECK_STR(kit_colour(&got, 35, 35), "white");
	CHECK_STR(kit_colour(&got, 25, 35), "red");
	image_release(&got);
	free(still.p);
	free(m.p);
}

/* The sentence says which of the two pictures is wrong. */
void
test_images_mark_is_checked_like_a_source(void)
{
	static const char pgm[] = "P5 30001 1 255\n", text[] = "Not a picture.";
	static const char vast[] = "P5 30000 30000 255\n";
	const struct { const void *p; size_t len; int code; const char *says; }
	    rows[] = {
		{ "", 0, UFOP_BAD_MEDIA, "no bytes" },
		{ text, sizeof(text), UFOP_BAD_MEDIA, "no picture" },
		{ pgm, sizeof(pgm), UFOP_TOO_BIG, "30001x1" },
		{ vast, sizeof(vast), UFOP_TOO_BIG, "150000000" },
		{ "P5 9 9 255\n1234", 15, UFOP_BAD_MEDIA, "damaged" },
	};
	struct bytes b = flat(&codec_png, 40, 40, red);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ufop_err err = { UFOP_OK, "" };
		struct picture_file out;
		int code;

		kit_serve('m', rows[i].p, rows[i].len);
		code = kit_run("watermark/1/image/" M, b.p, b.len, NULL, NULL,
		    &err);
		CHECK_MSG(code == rows[i].code, "row %zu: %d (%s)", i, code,
		    err.msg);
		CHECK_MSG(strncmp(err.msg, "the picture of a mark", 21) == 0 &&
		    strstr(err.msg, rows[i].says) != NULL, "%s", err.msg);
		/* Asked for, the source comes instead of the error. */
		run("watermark/1/image/" M "/ignore-error/1", &b, NULL, &out);
		CHECK(out.bytes.len == b.len &&
		    memcmp(out.bytes.p, b.p, b.len) == 0);
		free(out.bytes.p);
	}
	free(b.p);
}
