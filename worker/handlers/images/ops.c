/* SPDX-License-Identifier: MIT */
/* Operations on pixels at hand; see ops.h. */
#include "ops.h"

#include <math.h>

#include "resize.h"

static unsigned char
round8(double v)
{
	return ((unsigned char)(v <= 0 ? 0 : v >= 255 ? 255 : v + 0.5));
}

/* An alpha channel for an image that has none: opaque. */
static int
add_alpha(struct image *im, struct ufop_err *err)
{
	const struct plane *s = &im->plane[0];
	struct image out;

	if (im->alpha)
		return (0);
	if (image_init(&out, im->model, true, s->w, s->h, err) == -1)
		return (-1);
	for (int y = 0; y < s->h; y++) {
		const unsigned char *from = s->p + (size_t)y * s->stride;
		unsigned char *to = out.plane[0].p +
		    (size_t)y * out.plane[0].stride;

		for (int x = 0; x < s->w; x++) {
			for (int c = 0; c < s->n; c++)
				*to++ = *from++;
			*to++ = 255;
		}
	}
	image_release(im);
	*im = out;
	return (0);
}

/* ---- rotation -------------------------------------------------------- */

/* Catmull and Rom's cubic: weights of the four samples around t (0 to 1). */
static void
cubic(float t, float w[4])
{
	float t2 = t * t, t3 = t2 * t;

	w[0] = (-t3 + 2 * t2 - t) / 2;
	w[1] = (3 * t3 - 5 * t2 + 2) / 2;
	w[2] = (-3 * t3 + 4 * t2 + t) / 2;
	w[3] = (t3 - t2) / 2;
}

/*
 * The colour at x, y of an RGBA picture whose alpha is multiplied in, over
 * nothing: what lies outside is transparent, which makes the edge smooth.
 * Returns how much of it, from 0 to 1, lies inside.
 */
static float
sample(const struct plane *pl, float x, float y, float out[4])
{
	int ix = (int)floorf(x), iy = (int)floorf(y);
	float wx[4], wy[4], inside = 0;

	out[0] = out[1] = out[2] = out[3] = 0;
	if (ix < -2 || iy < -2 || ix > pl->w || iy > pl->h)
		return (0);
	cubic(x - (float)ix, wx);
	cubic(y - (float)iy, wy);
	for (int j = 0; j < 4; j++) {
		int sy = iy - 1 + j;

		if (sy < 0 || sy >= pl->h)
			continue;
		for (int i = 0; i < 4; i++) {
			int sx = ix - 1 + i;
			const unsigned char *p;
			float w = wx[i] * wy[j];

			if (sx < 0 || sx >= pl->w)
				continue;
			p = pl->p + (size_t)sy * pl->stride + (size_t)sx * 4;
			inside += w;
			for (int c = 0; c < 4; c++)
				out[c] += w * p[c];
		}
	}
	return (inside < 0 ? 0 : inside > 1 ? 1 : inside);
}

int
ops_rotate(struct image *im, int degrees, int w, int h,
    const unsigned char rgba[4], struct ufop_err *err)
{
	double a = degrees * M_PI / 180;
	float c = (float)cos(a), s = (float)sin(a);
	bool alpha = im->alpha || rgba[3] < 255;
	const struct plane *pl = &im->plane[0];
	float back = rgba[3] / 255.0f, cx, cy;
	struct image out;

	if (image_to_rgb3(im, err) == -1 || add_alpha(im, err) == -1)
		return (-1);
	image_premultiply(im);
	if (image_init(&out, IMAGE_RGB, alpha, w, h, err) == -1)
		return (-1);
	cx = (float)(pl->w - 1) / 2;
	cy = (float)(pl->h - 1) / 2;
	for (int y = 0; y < h; y++) {
		unsigned char *d = out.plane[0].p +
		    (size_t)y * out.plane[0].stride;
		float dy = (float)y - (float)(h - 1) / 2;

		for (int x = 0; x < w; x++) {
			float dx = (float)x - (float)(w - 1) / 2, px[4], al;
			float corner;

			/* The colour behind is for what lies outside only. */
			corner = back * (1 - sample(pl, cx + c * dx + s * dy,
			    cy - s * dx + c * dy, px));
			px[3] = px[3] < 0 ? 0 : px[3] > 255 ? 255 : px[3];
			al = fminf(px[3] / 255 + corner, 1);
			for (int k = 0; k < 3; k++)
				*d++ = al <= 0 ? 0 : round8((px[k] + rgba[k] *
				    corner) / al);
			if (alpha)
				*d++ = round8(al * 255);
		}
	}
	image_release(im);
	*im = out;
	return (0);
}

/* ---- blurring -------------------------------------------------------- */

/* An image of the same shape, its pixels unset. */
static int
alike(struct image *out, const struct image *im, struct ufop_err *err)
{
	const struct plane *a = &im->plane[0];

	if (im->nplanes == 3)
		return (image_init_planar(out, a->w, a->h, a->w, a->h, err));
	return (image_init(out, im->model, im->alpha, a->w, a->h, err));
}

int
ops_blur(struct image *im, int radius, double sigma, struct ufop_err *err)
{
	struct image out;

	if (alike(&out, im, err) == -1)
		return (-1);
	image_premultiply(im);
	for (int i = 0; i < im->nplanes; i++)
		if (resize_blur(&out.plane[i], &im->plane[i], radius, sigma,
		    im->alpha, err) == -1) {
			image_release(&out);
			return (-1);
		}
	image_release(im);
	*im = out;
	return (0);
}

/* What a soft copy lacks is added once more. */
#define SHARPEN_RADIUS	2
#define SHARPEN_SIGMA	1.0
#define SHARPEN_AMOUNT	0.8

int
ops_sharpen(struct image *im, struct ufop_err *err)
{
	const struct plane *a = &im->plane[0];
	int colours = im->model == IMAGE_YCC ? 1 : a->n - im->alpha;
	struct plane soft = *a;

	soft.stride = (size_t)a->w * (size_t)a->n;
	soft.p = image_malloc(soft.stride * (size_t)a->h, err);
	if (soft.p == NULL)
		return (-1);
	if (resize_blur(&soft, a, SHARPEN_RADIUS, SHARPEN_SIGMA, false,
	    err) == -1) {
		free(soft.p);
		return (-1);
	}
	for (int y = 0; y < a->h; y++) {
		unsigned char *p = a->p + (size_t)y * a->stride;
		const unsigned char *q = soft.p + (size_t)y * soft.stride;

		for (int x = 0; x < a->w; x++, p += a->n, q += a->n)
			for (int c = 0; c < colours; c++)
				p[c] = round8(p[c] + SHARPEN_AMOUNT *
				    (p[c] - q[c]));
	}
	free(soft.p);
	return (0);
}

/* ---- corners --------------------------------------------------------- */

int
ops_round(struct image *im, double rx, double ry, struct ufop_err *err)
{
	const struct plane *pl = &im->plane[0];
	double fx, fy;

	if (add_alpha(im, err) == -1)
		return (-1);
	fx = fmin(rx, pl->w / 2.0);
	fy = fmin(ry, pl->h / 2.0);
	for (int y = 0; y < pl->h; y++) {
		unsigned char *p = pl->p + (size_t)y * pl->stride;
		double v = fmax(fy - (y + 0.5), y + 0.5 - (pl->h - fy));

		if (v <= 0)
			continue;
		for (int x = 0; x < pl->w; x++) {
			double u = fmax(fx - (x + 0.5), x + 0.5 - (pl->w - fx));
			unsigned char *al = p + (size_t)(x + 1) * (size_t)pl->n - 1;
			double f, g;

			if (u <= 0)
				continue;
			/* Distance to the ellipse, from its equation and slope. */
			f = u * u / (fx * fx) + v * v / (fy * fy) - 1;
			g = 2 * hypot(u / (fx * fx), v / (fy * fy));
			*al = round8(*al * fmin(1, fmax(0, 0.5 - f / g)));
		}
	}
	return (0);
}

/* ---- marks ----------------------------------------------------------- */

/*
 * A colour over a pixel, a (0 to 1) of it.  Colours are weighted by what shows
 * of each, so that those of transparent pixels do not come through.
 */
static inline void
over(unsigned char *d, bool alpha, const unsigned char rgb[3], double a)
{
	double under = alpha ? d[3] / 255.0 * (1 - a) : 1 - a;

	if (a == 0)
		return;
	for (int c = 0; c < 3; c++)
		d[c] = round8((rgb[c] * a + d[c] * under) / (a + under));
	if (alpha)
		d[3] = round8(255 * (a + under));
}

/* From where to where in a part of size at from it meets the whole. */
static void
meeting(int64_t from, int size, int whole, int *first, int *end)
{
	int64_t a = from < 0 ? -from : 0, b = whole - from;

	*first = a > size ? size : (int)a;
	*end = b > size ? size : b < *first ? *first : (int)b;
}

int
ops_paint(struct image *im, const struct image *mask, int64_t x, int64_t y,
    const unsigned char rgba[4], double opacity, struct ufop_err *err)
{
	const struct plane *pl = &im->plane[0], *m = &mask->plane[0];
	int x0, x1, y0, y1;

	if (image_to_rgb3(im, err) == -1)
		return (-1);
	meeting(x, m->w, pl->w, &x0, &x1);
	meeting(y, m->h, pl->h, &y0, &y1);
	for (int j = y0; j < y1; j++) {
		const unsigned char *s = m->p + (size_t)j * m->stride;
		unsigned char *d = pl->p + (size_t)(y + j) * pl->stride +
		    (size_t)(x + x0) * (size_t)pl->n;

		for (int i = x0; i < x1; i++, d += pl->n)
			over(d, im->alpha, rgba,
			    s[i] * rgba[3] / (255.0 * 255) * opacity);
	}
	return (0);
}

int
ops_blend(struct image *im, const struct image *on, int64_t x, int64_t y,
    double opacity, struct ufop_err *err)
{
	const struct plane *pl = &im->plane[0], *o = &on->plane[0];
	bool grey = on->model == IMAGE_GREY;
	int x0, x1, y0, y1;

	if (image_to_rgb3(im, err) == -1)
		return (-1);
	meeting(x, o->w, pl->w, &x0, &x1);
	meeting(y, o->h, pl->h, &y0, &y1);
	for (int j = y0; j < y1; j++) {
		const unsigned char *s = o->p + (size_t)j * o->stride +
		    (size_t)x0 * (size_t)o->n;
		unsigned char *d = pl->p + (size_t)(y + j) * pl->stride +
		    (size_t)(x + x0) * (size_t)pl->n;

		for (int i = x0; i < x1; i++, d += pl->n, s += o->n) {
			const unsigned char rgb[3] = { s[0], s[grey ? 0 : 1],
			    s[grey ? 0 : 2] };

			over(d, im->alpha, rgb, opacity *
			    (on->alpha ? s[o->n - 1] / 255.0 : 1));
		}
	}
	return (0);
}

void
ops_average(const struct image *im, unsigned char rgb[3])
{
	const struct plane *pl = &im->plane[0];
	double sum[3] = { 0 }, weight = 0;
	int grey = im->model == IMAGE_GREY;

	for (int y = 0; y < pl->h; y++) {
		const unsigned char *p = pl->p + (size_t)y * pl->stride;

		for (int x = 0; x < pl->w; x++, p += pl->n) {
			int al = im->alpha ? p[pl->n - 1] : 255;

			for (int c = 0; c < 3; c++)
				sum[c] += al * p[grey ? 0 : c];
			weight += al;
		}
	}
	for (int c = 0; c < 3; c++)
		rgb[c] = weight == 0 ? 0 : round8(sum[c] / weight);
}
