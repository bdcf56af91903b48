/* SPDX-License-Identifier: MIT */
#include "images_kit.h"

#include <math.h>

#include "unit.h"

const struct limits kit_limits = {
	.max_pixels = 150000000, .max_side = 30000,
	.max_output_pixels = 25000000, .max_output_side = 9999, .max_frames = 200
};

void
kit_noise(struct image *im, enum image_model model, bool alpha, int w, int h)
{
	struct ufop_err err;
	uint32_t r = 12345;
	struct plane *pl = &im->plane[0];

	CHECK(image_init(im, model, alpha, w, h, &err) == 0);
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w * pl->n; x++) {
			r = r * 1664525 + 1013904223;
			pl->p[(size_t)y * pl->stride + (size_t)x] =
			    (unsigned char)((x * 3 + y * 5 + (int)(r >> 28)) & 255);
		}
}

void
kit_flat(struct image *im, int w, int h, const unsigned char rgb[3])
{
	struct ufop_err err;

	CHECK(image_init(im, IMAGE_RGB, false, w, h, &err) == 0);
	for (int i = 0; i < w * h; i++)
		memcpy(im->plane[0].p + 3 * i, rgb, 3);
}

static const struct {
	const char	*name;
	unsigned char	 rgb[3];
} quarter[4] = {
	{ "red", { 255, 0, 0 } }, { "green", { 0, 255, 0 } },
	{ "blue", { 0, 0, 255 } }, { "white", { 255, 255, 255 } }
};

void
kit_quarters(struct image *im, int w, int h)
{
	struct ufop_err err;

	CHECK(image_init(im, IMAGE_RGB, false, w, h, &err) == 0);
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++)
			memcpy(im->plane[0].p + 3 * (y * w + x),
			    quarter[2 * (y >= h / 2) + (x >= w / 2)].rgb, 3);
}

const char *
kit_colour(const struct image *im, int x, int y)
{
	const unsigned char *p = im->plane[0].p +
	    (size_t)y * im->plane[0].stride + (size_t)(x * im->plane[0].n);

	for (int i = 0; i < 4; i++)
		if (abs(p[0] - quarter[i].rgb[0]) < 40 &&
		    abs(p[1] - quarter[i].rgb[1]) < 40 &&
		    abs(p[2] - quarter[i].rgb[2]) < 40)
			return (quarter[i].name);
	return ("?");
}

struct bytes
kit_encode(const struct codec *codec, const struct image *im, int quality,
    int orient)
{
	struct encode_opts opts = { .quality = quality, .orient = orient };
	struct ufop_err err;
	struct bytes out;

	CHECK_MSG(codec->encode(&out, im, &opts, &err) == 0, "%s: %s",
	    codec->name, err.msg);
	return (out);
}

static int
try_decode(const void *p, size_t len, struct image *im, struct ufop_err *err)
{
	struct picture pic;
	int ret = picture_open(&pic, &kit_limits, p, len, err);

	if (ret == 0)
		ret = picture_pixels(&pic, false, false, err);
	if (ret == -1) {
		picture_release(&pic);
		return (-1);
	}
	*im = pic.image;
	return (0);
}

void
kit_decode(struct image *im, const void *p, size_t len)
{
	struct ufop_err err;

	CHECK_MSG(try_decode(p, len, im, &err) == 0, "%s", err.msg);
}

int
kit_try_decode(const void *p, size_t len)
{
	/* A copy of its exact size, so that a read past its end is seen. */
	unsigned char *copy = malloc(len > 0 ? len : 1);
	struct ufop_err err;
	struct image im;
	int ret;

	memcpy(copy, p, len);
	ret = try_decode(copy, len, &im, &err);
	free(copy);
	if (ret == -1)
		return (err.code);
	image_release(&im);
	return (0);
}

static struct { const void *p; size_t len; } served[128];

void
kit_serve(int name, const void *p, size_t len)
{
	served[name].p = p;
	served[name].len = len;
}

/* The bytes of all marks, as the service would have fetched them. */
static void
fetch_marks(struct spec *spec)
{
	for (int i = 0; i < spec->nmarks; i++) {
		struct mark *m = &spec->marks[i];

		if (m->kind != MARK_IMAGE)
			continue;
		CHECK(strncmp(m->url, "http://a/", 9) == 0);
		m->data = served[(int)m->url[9]].p;
		m->data_len = served[(int)m->url[9]].len;
	}
}

int
kit_run(const char *cmd, const void *p, size_t len, struct image *im,
    struct picture_file *out, struct ufop_err *err)
{
	const char *slash = strchr(cmd, '/');
	size_t n = slash != NULL ? (size_t)(slash - cmd) : strlen(cmd);
	struct str args = { cmd + n + (slash != NULL), 0 };
	struct picture_times times;
	struct picture_file file;
	struct spec spec;
	int ret = -1;

	args.len = strlen(args.s);
	for (const struct grammar_name *g = grammar_names; g->name != NULL; g++)
		if (strlen(g->name) == n && memcmp(g->name, cmd, n) == 0)
			ret = g->parse(&spec, args, err);
	if (ret == 0)
		fetch_marks(&spec);
	if (ret == -1 || pipeline_run(&spec, &kit_limits, p, len, &file, &times,
	    err) == -1)
		return (err->code);
	if (im != NULL)
		kit_decode(im, file.bytes.p, file.bytes.len);
	if (out != NULL)
		*out = file;
	else
		free(file.bytes.p);
	return (0);
}

double
kit_psnr(const struct image *a, const struct image *b)
{
	const struct plane *p = &a->plane[0], *q = &b->plane[0];
	double sum = 0;

	CHECK(p->w == q->w && p->h == q->h && p->n == q->n);
	for (int y = 0; y < p->h; y++)
		for (int x = 0; x < p->w * p->n; x++) {
			double d = (double)p->p[(size_t)y * p->stride +
			    (size_t)x] - q->p[(size_t)y * q->stride + (size_t)x];

			sum += d * d;
		}
	sum /= (double)p->w * p->h * p->n;
	return (sum == 0 ? 99 : 10 * log10(255 * 255 / sum));
}

static double
lanczos3(double x)
{
	if (x == 0)
		return (1);
	if (fabs(x) >= 3)
		return (0);
	x *= M_PI;
	return (3 * sin(x) * sin(x / 3) / (x * x));
}

/* One axis at a time, every sum in doubles, edges by leaving out. */
void
kit_resize(struct image *out, const struct image *in, int w, int h)
{
	const struct plane *s = &in->plane[0];
	int n = s->n;
	double *mid = malloc(sizeof(double) * (size_t)(s->w * h * n));
	struct ufop_err err;

	CHECK(image_init(out, in->model, in->alpha, w, h, &err) == 0);
	for (int y = 0; y < h; y++) {
		double k = (double)s->h / h, m = k > 1 ? k : 1;
		double c = (y + 0.5) * k;

		for (int i = 0; i < s->w * n; i++) {
			double sum = 0, all = 0;

			for (int j = (int)(c - 3 * m); j <= (int)(c + 3 * m); j++)
				if (j >= 0 && j < s->h) {
					double f = lanczos3((j + 0.5 - c) / m);

					all += f;
					sum += f * s->p[(size_t)j * s->stride +
					    (size_t)i];
				}
			mid[y * s->w * n + i] = sum / all;
		}
	}
	for (int x = 0; x < w; x++) {
		double k = (double)s->w / w, m = k > 1 ? k : 1;
		double c = (x + 0.5) * k;

		for (int i = 0; i < h * n; i++) {
			double sum = 0, all = 0, v;

			for (int j = (int)(c - 3 * m); j <= (int)(c + 3 * m); j++)
				if (j >= 0 && j < s->w) {
					double f = lanczos3((j + 0.5 - c) / m);

					all += f;
					sum += f * mid[(i / n) * s->w * n +
					    j * n + i % n];
				}
			v = rint(sum / all);
			out->plane[0].p[(size_t)(i / n) * out->plane[0].stride +
			    (size_t)(x * n + i % n)] = (unsigned char)
			    (v < 0 ? 0 : v > 255 ? 255 : v);
		}
	}
	free(mid);
}
