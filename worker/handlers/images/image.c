/* SPDX-License-Identifier: MIT */
/* Pixels in memory: making, turning and converting them. */
#include "image.h"

int
image_err(struct ufop_err *err, enum ufop_code code, const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return (-1);
}

void *
image_malloc(size_t size, struct ufop_err *err)
{
	void *p = malloc(size > 0 ? size : 1);

	if (p == NULL)
		image_err(err, UFOP_TOO_BIG, "the picture needs %zu MB more "
		    "memory than this task may use; send a smaller one",
		    (size >> 20) + 1);
	return (p);
}

int
image_channels(enum image_model model, bool alpha)
{
	static const int n[] = {
		[IMAGE_GREY] = 1, [IMAGE_RGB] = 3, [IMAGE_YCC] = 3,
		[IMAGE_CMYK] = 4
	};

	return (n[model] + alpha);
}

static void
plane_set(struct plane *pl, unsigned char *p, int w, int h, int n)
{
	*pl = (struct plane){ .p = p, .w = w, .h = h, .n = n,
	    .stride = (size_t)w * (size_t)n, .sx = 1, .sy = 1 };
}

void
image_wrap(struct image *im, enum image_model model, bool alpha, int w, int h,
    void *mem)
{
	*im = (struct image){ .model = model, .alpha = alpha, .nplanes = 1,
	    .mem = mem };
	plane_set(&im->plane[0], mem, w, h, image_channels(model, alpha));
}

int
image_init(struct image *im, enum image_model model, bool alpha, int w, int h,
    struct ufop_err *err)
{
	size_t n = (size_t)image_channels(model, alpha);
	void *p = image_malloc((size_t)w * (size_t)h * n, err);

	if (p == NULL)
		return (-1);
	image_wrap(im, model, alpha, w, h, p);
	return (0);
}

int
image_init_planar(struct image *im, int w, int h, int cw, int ch,
    struct ufop_err *err)
{
	size_t ysize = (size_t)w * (size_t)h, csize = (size_t)cw * (size_t)ch;
	unsigned char *p = image_malloc(ysize + 2 * csize, err);

	if (p == NULL)
		return (-1);
	*im = (struct image){ .model = IMAGE_YCC, .nplanes = 3, .mem = p };
	plane_set(&im->plane[0], p, w, h, 1);
	plane_set(&im->plane[1], p + ysize, cw, ch, 1);
	plane_set(&im->plane[2], p + ysize + csize, cw, ch, 1);
	return (0);
}

void
image_release(struct image *im)
{
	free(im->mem);
	*im = (struct image){ 0 };
}

/* ---- turning --------------------------------------------------------- */

/* dst(x, y) = src at base + x * dx + y * dy, in samples of n bytes. */
static void
plane_gather(struct plane *dst, const unsigned char *base, ptrdiff_t dx,
    ptrdiff_t dy)
{
	/*
	 * In squares: with rows and columns exchanged, a whole row of dst would
	 * touch a new cache line of src at every pixel.
	 */
	enum { TILE = 32 };
	int n = dst->n;

	for (int ty = 0; ty < dst->h; ty += TILE)
		for (int tx = 0; tx < dst->w; tx += TILE)
			for (int y = ty; y < dst->h && y < ty + TILE; y++) {
				int end = tx + TILE < dst->w ? tx + TILE : dst->w;
				const unsigned char *s = base + y * dy + tx * dx;
				unsigned char *d = dst->p +
				    (size_t)y * dst->stride + (size_t)tx * (size_t)n;

				for (int x = tx; x < end; x++, s += dx)
					for (int c = 0; c < n; c++)
						*d++ = s[c];
			}
}

int
image_orient(struct image *im, int o, struct ufop_err *err)
{
	/* Whether stored x, y run backwards, and whether they are exchanged. */
	static const struct { bool swap, flip_x, flip_y; } turn[9] = {
		[2] = { false, true, false }, [3] = { false, true, true },
		[4] = { false, false, true }, [5] = { true, false, false },
		[6] = { true, false, true }, [7] = { true, true, true },
		[8] = { true, true, false },
	};
	struct image out;
	size_t total = 0;
	unsigned char *p;

	if (o <= 1 || o > 8)
		return (0);
	for (int i = 0; i < im->nplanes; i++)
		total += (size_t)im->plane[i].w * (size_t)im->plane[i].h *
		    (size_t)im->plane[i].n;
	if ((p = image_malloc(total, err)) == NULL)
		return (-1);
	out = *im;
	out.mem = p;
	for (int i = 0; i < im->nplanes; i++) {
		const struct plane *s = &im->plane[i];
		struct plane *d = &out.plane[i];
		ptrdiff_t dx = s->n, dy = (ptrdiff_t)s->stride;
		const unsigned char *base = s->p;

		if (turn[o].flip_x) {
			base += (ptrdiff_t)(s->w - 1) * dx;
			dx = -dx;
		}
		if (turn[o].flip_y) {
			base += (ptrdiff_t)(s->h - 1) * dy;
			dy = -dy;
		}
		if (turn[o].swap) {
			plane_set(d, p, s->h, s->w, s->n);
			plane_gather(d, base, dy, dx);
		} else {
			plane_set(d, p, s->w, s->h, s->n);
			plane_gather(d, base, dx, dy);
		}
		p += (size_t)d->h * d->stride;
	}
	free(im->mem);
	*im = out;
	return (0);
}

/* ---- colour ---------------------------------------------------------- */

/* x / 255, rounded, for 0 <= x <= 65535. */
static inline unsigned
div255(unsigned x)
{
	x += 128;
	return ((x + (x >> 8)) >> 8);
}

/* BT.601, full range, 16 bits of fraction. */
static inline void
ycc_pixel(unsigned char *d, int y, int cb, int cr)
{
	cb -= 128;
	cr -= 128;
	y = (y << 16) + 32768;
	d[0] = clamp8((y + 91881 * cr) >> 16);
	d[1] = clamp8((y - 22554 * cb - 46802 * cr) >> 16);
	d[2] = clamp8((y + 116130 * cb) >> 16);
}

/* Without a profile, ink is what it lets through. */
static inline void
cmyk_pixel(unsigned char *d, const unsigned char *s)
{
	unsigned k = s[3];

	d[0] = (unsigned char)div255(s[0] * k);
	d[1] = (unsigned char)div255(s[1] * k);
	d[2] = (unsigned char)div255(s[2] * k);
}

static int
convert(struct image *im, bool grey_too, struct ufop_err *err)
{
	const struct plane *a = &im->plane[0];
	struct image out;

	if (im->model == IMAGE_RGB || (im->model == IMAGE_GREY && !grey_too))
		return (0);
	if (image_init(&out, IMAGE_RGB, im->alpha, a->w, a->h, err) == -1)
		return (-1);
	for (int y = 0; y < a->h; y++) {
		unsigned char *d = out.plane[0].p +
		    (size_t)y * out.plane[0].stride;
		const unsigned char *s = a->p + (size_t)y * a->stride;

		if (im->nplanes == 3) {
			const unsigned char *cb = im->plane[1].p +
			    (size_t)y * im->plane[1].stride;
			const unsigned char *cr = im->plane[2].p +
			    (size_t)y * im->plane[2].stride;

			for (int x = 0; x < a->w; x++, d += 3)
				ycc_pixel(d, s[x], cb[x], cr[x]);
			continue;
		}
		for (int x = 0; x < a->w; x++, s += a->n) {
			switch (im->model) {
			case IMAGE_GREY:
				d[0] = d[1] = d[2] = s[0];
				break;
			case IMAGE_YCC:
				ycc_pixel(d, s[0], s[1], s[2]);
				break;
			case IMAGE_CMYK:
				cmyk_pixel(d, s);
				break;
			case IMAGE_RGB:
				break;
			}
			d += 3;
			if (im->alpha)
				*d++ = s[a->n - 1];
		}
	}
	image_release(im);
	*im = out;
	return (0);
}

int
image_to_rgb(struct image *im, struct ufop_err *err)
{
	return (convert(im, false, err));
}

int
image_to_rgb3(struct image *im, struct ufop_err *err)
{
	return (convert(im, true, err));
}

/* ---- alpha ----------------------------------------------------------- */

/* In place: what is written never overtakes what is read. */
static void
drop_alpha(struct image *im, const unsigned char *over)
{
	struct plane *a = &im->plane[0];
	unsigned char grey[3], *to = im->mem;
	size_t row = (size_t)a->w * (size_t)(a->n - 1);
	int n = a->n - 1;

	if (over != NULL && n == 1) {
		grey[0] = over[1];
		over = grey;
	}
	for (int y = 0; y < a->h; y++) {
		const unsigned char *s = a->p + (size_t)y * a->stride;
		unsigned char *d = to + (size_t)y * row;

		for (int x = 0; x < a->w; x++, s += n + 1, d += n) {
			unsigned al = s[n];

			for (int c = 0; c < n; c++)
				d[c] = over == NULL ? s[c] : (unsigned char)
				    div255(s[c] * al + over[c] * (255 - al));
		}
	}
	a->p = to;
	a->n = n;
	a->stride = row;
	im->alpha = false;
}

void
image_flatten(struct image *im, const unsigned char rgb[3])
{
	if (im->alpha)
		drop_alpha(im, rgb);
}

void
image_drop_opaque(struct image *im)
{
	const struct plane *a = &im->plane[0];

	if (!im->alpha)
		return;
	for (int y = 0; y < a->h; y++) {
		const unsigned char *s = a->p + (size_t)y * a->stride +
		    (a->n - 1);
		unsigned all = 255;

		for (int x = 0; x < a->w; x++)
			all &= s[(size_t)x * (size_t)a->n];
		if (all != 255)
			return;
	}
	drop_alpha(im, NULL);
}

void
image_premultiply(struct image *im)
{
	struct plane *a = &im->plane[0];
	int n = a->n - 1;

	if (!im->alpha)
		return;
	for (int y = 0; y < a->h; y++) {
		unsigned char *p = a->p + (size_t)y * a->stride;

		for (int x = 0; x < a->w; x++, p += n + 1)
			for (int c = 0; c < n; c++)
				p[c] = (unsigned char)div255(
				    (unsigned)p[c] * p[n]);
	}
}
