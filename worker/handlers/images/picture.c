/* SPDX-License-Identifier: MIT */
/* One picture on its way from file to file; see picture.h. */
#include "picture.h"

#include "colour.h"
#include "ops.h"
#include "resize.h"

#include <limits.h>
#include <math.h>

#define LOBES		3	/* reach of the kernel, in target pixels */
#define WORK_MAX	6	/* see picture_work() */
#define BLUR_UNIT	16	/* such a radius costs twice as much as none */
#define AVERAGE_SIDE	128	/* more pixels do not change a mean colour */

int64_t
picture_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

int
picture_open(struct picture *p, const struct limits *limits,
    const unsigned char *data, size_t len, struct ufop_err *err)
{
	const struct image_info *in = &p->info;
	int64_t start = picture_now_us();

	*p = (struct picture){ .limits = limits, .data = data, .len = len };
	if (len == 0)
		return (image_err(err, UFOP_BAD_INPUT, "the request has no "
		    "body; send the picture as body, or name it by url="));
	if (codec_probe(&p->info, data, len, err) == -1)
		return (-1);
	if (in->w > limits->max_side || in->h > limits->max_side)
		return (image_err(err, UFOP_TOO_BIG, "the picture is %dx%d; a "
		    "side may have at most %d pixels", in->w, in->h,
		    limits->max_side));
	if ((int64_t)in->w * in->h > limits->max_pixels)
		return (image_err(err, UFOP_TOO_BIG, "the picture is %dx%d; at "
		    "most %lld pixels are taken", in->w, in->h,
		    (long long)limits->max_pixels));
	p->w = in->w;
	p->h = in->h;
	p->orient = 1;
	p->view = p->bounds = (struct rect){ 0, 0, in->w, in->h };
	p->times.probe_us = picture_now_us() - start;
	return (0);
}

void
picture_open_frame(struct picture *p, const struct picture *head,
    struct image *frame)
{
	*p = *head;
	p->image = *frame;
	p->decoded = true;
	*frame = (struct image){ 0 };
}

void
picture_release(struct picture *p)
{
	image_release(&p->image);
}

static bool
exchanges_sides(int orient)
{
	return (orient >= 5);
}

/*
 * Where on the stored picture (0 to 1 in both directions) a point of the
 * picture as seen lies.
 */
static void
to_stored(int orient, double u, double v, double *s, double *t)
{
	bool swap = orient >= 5;
	bool flip_s = orient == 2 || orient == 3 || orient == 7 || orient == 8;
	bool flip_t = orient == 3 || orient == 4 || orient == 6 || orient == 7;

	*s = swap ? v : u;
	*t = swap ? u : v;
	if (flip_s)
		*s = 1 - *s;
	if (flip_t)
		*t = 1 - *t;
}

/* The one orientation that does what first and then second does. */
static int
compose(int first, int second)
{
	for (int o = 1; o <= 8; o++) {
		double s, t, s1, t1;

		/* A point off all axes of symmetry tells the eight apart. */
		to_stored(second, 0.125, 0.25, &s, &t);
		to_stored(first, s, t, &s, &t);
		to_stored(o, 0.125, 0.25, &s1, &t1);
		if (s == s1 && t == t1)
			return (o);
	}
	return (1);
}

static void
turn(struct picture *p, int orient)
{
	p->orient = compose(p->orient, orient);
	if (exchanges_sides(orient)) {
		int w = p->w;

		p->w = p->h;
		p->h = w;
	}
}

void
picture_auto_orient(struct picture *p)
{
	turn(p, p->info.orient);
	p->info.orient = 1;
}

/* Pixels seen per stored one, the larger of both directions. */
static double
magnification(const struct picture *p)
{
	bool swap = exchanges_sides(p->orient);
	double kx = (swap ? p->h : p->w) / p->view.w;
	double ky = (swap ? p->w : p->h) / p->view.h;

	return (kx > ky ? kx : ky);
}

static bool
is_resized(const struct picture *p)
{
	bool swap = exchanges_sides(p->orient);

	return (fabs(p->view.w - (swap ? p->h : p->w)) > 1e-6 ||
	    fabs(p->view.h - (swap ? p->w : p->h)) > 1e-6);
}

static int
check_size(const struct picture *p, int w, int h, struct ufop_err *err)
{
	if (w <= p->limits->max_output_side &&
	    h <= p->limits->max_output_side &&
	    (int64_t)w * h <= p->limits->max_output_pixels)
		return (0);
	return (image_err(err, UFOP_TOO_BIG, "the result would be %dx%d; at "
	    "most %d pixels a side and %lld in all are made", w, h,
	    p->limits->max_output_side,
	    (long long)p->limits->max_output_pixels));
}

int
picture_work(struct picture *p, double pixels, struct ufop_err *err)
{
	double most = (double)p->limits->max_output_pixels * WORK_MAX;

	p->work += pixels;
	if (p->work <= most)
		return (0);
	return (image_err(err, UFOP_TOO_BIG, "that is too much work: steps and "
	    "frames may make %.0f pixels in all, where those of a rotation "
	    "count twice and those of a blur by its radius; ask for less", most));
}

/* What a blur of all that is seen now costs. */
static int
blur_work(struct picture *p, int radius, struct ufop_err *err)
{
	return (picture_work(p, (double)p->w * p->h *
	    (1 + (double)radius / BLUR_UNIT), err));
}

int
picture_resize(struct picture *p, const struct geometry *g,
    struct ufop_err *err)
{
	int w, h;

	geometry_apply(g, p->w, p->h, &w, &h);
	if (w == p->w && h == p->h)
		return (0);
	if (check_size(p, w, h, err) == -1)
		return (-1);
	/*
	 * Small and large again is asked for by who wants it blurred: what the
	 * first step drops must be gone.
	 */
	if (magnification(p) < 1 && (w > p->w || h > p->h) &&
	    (picture_work(p, (double)p->w * p->h + (double)w * h, err) == -1 ||
	    picture_pixels(p, true, false, err) == -1))
		return (-1);
	p->w = w;
	p->h = h;
	return (0);
}

int
picture_crop(struct picture *p, const struct crop *c, struct ufop_err *err)
{
	int x, y, w, h;
	double s0, t0, s1, t1;
	struct rect v;

	if (geometry_crop(c, p->w, p->h, &x, &y, &w, &h) == -1)
		return (image_err(err, UFOP_BAD_INPUT, "the part to be cut out "
		    "lies outside the picture, which is %dx%d here", p->w,
		    p->h));
	to_stored(p->orient, (double)x / p->w, (double)y / p->h, &s0, &t0);
	to_stored(p->orient, (double)(x + w) / p->w, (double)(y + h) / p->h,
	    &s1, &t1);
	v.x = p->view.x + p->view.w * fmin(s0, s1);
	v.y = p->view.y + p->view.h * fmin(t0, t1);
	v.w = p->view.w * fabs(s1 - s0);
	v.h = p->view.h * fabs(t1 - t0);
	if (!is_resized(p)) {
		/* Whole pixels: no trace of the divisions, nothing from outside. */
		v = (struct rect){ rint(v.x), rint(v.y), rint(v.w), rint(v.h) };
		p->bounds = v;
	}
	p->view = v;
	p->w = w;
	p->h = h;
	return (0);
}

/* ---- pixels ---------------------------------------------------------- */

static int
decode(struct picture *p, bool ycc, bool half, struct ufop_err *err)
{
	double k = magnification(p), reach = LOBES / (k < 1 ? k : 1) + 1;
	struct rect r = p->view, b = p->bounds;
	struct decode_hints hints = {
		.shrink = 1 / k, .resized = is_resized(p), .ycc = ycc,
		.half = half && !p->info.has_profile,
		.ignore_error = p->ignore_error
	};
	struct decode_notes notes = { .shrink = 1 };
	int64_t start = picture_now_us();
	double x1 = fmin(r.x + r.w + reach, b.x + b.w);
	double y1 = fmin(r.y + r.h + reach, b.y + b.h);

	r.x = fmax(floor(r.x - reach), b.x);
	r.y = fmax(floor(r.y - reach), b.y);
	r.w = fmin(ceil(x1), b.x + b.w) - r.x;
	r.h = fmin(ceil(y1), b.y + b.h) - r.y;
	hints.region = r;
	if (p->info.codec->decode(&p->image, &p->info, p->data, p->len, &hints,
	    &notes, err) == -1)
		return (-1);
	p->decoded = true;
	p->times.shrink = notes.shrink;
	p->times.decode_us += picture_now_us() - start;
	return (0);
}

/* The view and its bounds in the samples of one plane. */
static struct resize_view
plane_view(const struct picture *p, const struct plane *pl)
{
	const struct rect *b = &p->bounds;
	struct resize_view v = {
		.x = (p->view.x - pl->x0) / pl->sx,
		.y = (p->view.y - pl->y0) / pl->sy,
		.w = p->view.w / pl->sx, .h = p->view.h / pl->sy,
	};
	double x0 = floor((b->x - pl->x0) / pl->sx + 1e-6);
	double y0 = floor((b->y - pl->y0) / pl->sy + 1e-6);
	double x1 = ceil((b->x + b->w - pl->x0) / pl->sx - 1e-6);
	double y1 = ceil((b->y + b->h - pl->y0) / pl->sy - 1e-6);

	v.bx0 = x0 < 0 ? 0 : x0 > pl->w - 1 ? pl->w - 1 : (int)x0;
	v.by0 = y0 < 0 ? 0 : y0 > pl->h - 1 ? pl->h - 1 : (int)y0;
	v.bx1 = x1 > pl->w ? pl->w : x1 <= v.bx0 ? v.bx0 + 1 : (int)x1;
	v.by1 = y1 > pl->h ? pl->h : y1 <= v.by0 ? v.by0 + 1 : (int)y1;
	return (v);
}

/*
 * Chroma of half the size stands for two columns of the result; when their
 * number is odd, the last one reaches past the edge.
 */
static void
stretch(struct resize_view *v, int full_w, int w, int full_h, int h)
{
	if (w < full_w)
		v->w *= 2.0 * w / full_w;
	if (h < full_h)
		v->h *= 2.0 * h / full_h;
}

static int
resample(struct picture *p, bool half, struct ufop_err *err)
{
	struct image *im = &p->image, out;
	bool swap = exchanges_sides(p->orient), copy = true;
	int w = swap ? p->h : p->w, h = swap ? p->w : p->h;
	int cw = half ? (w + 1) / 2 : w, ch = half ? (h + 1) / 2 : h;
	struct resize_view v[3];

	for (int i = 0; i < im->nplanes; i++) {
		v[i] = plane_view(p, &im->plane[i]);
		if (i > 0)
			stretch(&v[i], w, cw, h, ch);
		if (!resize_is_copy(&v[i], i > 0 ? cw : w, i > 0 ? ch : h))
			copy = false;
	}
	if (copy) {
		/* The part that is seen, where it lies. */
		for (int i = 0; i < im->nplanes; i++) {
			struct plane *pl = &im->plane[i];

			pl->p += (size_t)rint(v[i].y) * pl->stride +
			    (size_t)rint(v[i].x) * (size_t)pl->n;
			pl->w = i > 0 ? cw : w;
			pl->h = i > 0 ? ch : h;
		}
		return (0);
	}
	image_drop_opaque(im);
	image_premultiply(im);
	if ((im->nplanes == 3 ? image_init_planar(&out, w, h, cw, ch, err) :
	    image_init(&out, im->model, im->alpha, w, h, err)) == -1)
		return (-1);
	for (int i = 0; i < im->nplanes; i++)
		if (resize_plane(&out.plane[i], &im->plane[i], &v[i], im->alpha,
		    err) == -1) {
			image_release(&out);
			return (-1);
		}
	image_release(im);
	*im = out;
	return (0);
}

/* Colours as the file's profile means them, once. */
static int
manage_colour(struct picture *p, const unsigned char *icc, size_t len,
    struct ufop_err *err)
{
	if (p->image.model == IMAGE_YCC && image_to_rgb(&p->image, err) == -1)
		return (-1);
	return (colour_to_srgb(&p->image, icc, len, err));
}

/* The profile when colours must still be converted; else NULL. */
static unsigned char *
pending_profile(struct picture *p, size_t *len)
{
	unsigned char *icc;

	if (!p->info.has_profile)
		return (NULL);
	p->info.has_profile = false;
	icc = p->info.codec->profile(p->data, p->len, len);
	if (icc != NULL && !colour_matters(icc, *len, p->image.model)) {
		free(icc);
		icc = NULL;
	}
	return (icc);
}

/* What is seen is from now on all that there is. */
static void
settle(struct picture *p)
{
	p->orient = 1;
	p->view = p->bounds = (struct rect){ 0, 0, p->w, p->h };
}

int
picture_pixels(struct picture *p, bool ycc, bool half, struct ufop_err *err)
{
	unsigned char *icc;
	size_t icc_len;
	int64_t start;
	int ret;

	if (p->dry) {
		settle(p);
		return (0);
	}
	if (!p->decoded && decode(p, ycc, half, err) == -1)
		return (-1);
	start = picture_now_us();
	if ((icc = pending_profile(p, &icc_len)) != NULL)
		half = false;
	ret = resample(p, half, err);
	if (ret == 0)
		ret = image_orient(&p->image, p->orient, err);
	if (ret == 0 && icc != NULL)
		ret = manage_colour(p, icc, icc_len, err);
	free(icc);
	if (ret == -1)
		return (-1);
	if (!ycc && image_to_rgb(&p->image, err) == -1)
		return (-1);
	settle(p);
	for (int i = 0; i < p->image.nplanes; i++) {
		struct plane *pl = &p->image.plane[i];

		pl->x0 = pl->y0 = 0;
		pl->sx = i > 0 && half ? 2 : 1;
		pl->sy = i > 0 && half ? 2 : 1;
	}
	p->times.resize_us += picture_now_us() - start;
	return (0);
}

/* ---- what needs pixels at once --------------------------------------- */

/* What an operation that began at start returned, its time noted. */
static int
operated(struct picture *p, int64_t start, int ret)
{
	p->times.operate_us += picture_now_us() - start;
	return (ret);
}

int
picture_rotate(struct picture *p, int degrees, const unsigned char rgba[4],
    struct ufop_err *err)
{
	static const int orient[4] = { 1, 6, 3, 8 };
	double a = degrees * M_PI / 180, c = fabs(cos(a)), s = fabs(sin(a));
	int w = (int)(p->w * c + p->h * s + 0.5);
	int h = (int)(p->w * s + p->h * c + 0.5);
	int64_t start;

	if (degrees % 90 == 0) {
		turn(p, orient[degrees / 90 % 4]);
		return (0);
	}
	if (check_size(p, w, h, err) == -1 ||
	    picture_work(p, 2.0 * w * h, err) == -1 ||
	    picture_pixels(p, false, false, err) == -1)
		return (-1);
	start = picture_now_us();
	if (!p->dry && operated(p, start, ops_rotate(&p->image, degrees, w, h,
	    rgba, err)) == -1)
		return (-1);
	p->w = w;
	p->h = h;
	settle(p);
	return (0);
}

int
picture_blur(struct picture *p, int radius, double sigma,
    struct ufop_err *err)
{
	int64_t start;

	if (blur_work(p, radius, err) == -1 ||
	    picture_pixels(p, true, false, err) == -1)
		return (-1);
	if (p->dry)
		return (0);
	start = picture_now_us();
	return (operated(p, start, ops_blur(&p->image, radius, sigma, err)));
}

int
picture_sharpen(struct picture *p, struct ufop_err *err)
{
	int64_t start;

	if (blur_work(p, 0, err) == -1 ||
	    picture_pixels(p, true, false, err) == -1)
		return (-1);
	if (p->dry)
		return (0);
	start = picture_now_us();
	return (operated(p, start, ops_sharpen(&p->image, err)));
}

int
picture_round(struct picture *p, double rx, double ry, struct ufop_err *err)
{
	int64_t start;

	if (picture_work(p, (double)p->w * p->h, err) == -1 ||
	    picture_pixels(p, false, false, err) == -1)
		return (-1);
	if (p->dry)
		return (0);
	start = picture_now_us();
	return (operated(p, start, ops_round(&p->image, rx, ry, err)));
}

/* ---- marks ----------------------------------------------------------- */

/*
 * The size that a mark's picture of w x h gets on p.  The side that is not
 * measured is rounded down, as the interface's own example has it: 91x61 at the
 * full short side of 250x250 is 372x250.
 */
static struct geometry
mark_size(const struct mark *m, const struct picture *p, int w, int h)
{
	struct geometry g = { .kind = GEOMETRY_EXACT, .w = w, .h = h };
	bool by_width = m->by == MARK_WIDTH ||
	    (m->by == MARK_SHORT_SIDE && w < h) ||
	    (m->by == MARK_LONG_SIDE && w >= h);
	int side = m->by == MARK_WIDTH ? p->w : m->by == MARK_HEIGHT ? p->h :
	    (m->by == MARK_SHORT_SIDE) == (p->w < p->h) ? p->w : p->h;
	double to = fmax(1, floor(side * m->scale + 0.5));
	double other = by_width ? h * to / w : w * to / h;

	if (m->scale > 0) {
		g.w = (int)fmin(INT_MAX, by_width ? to : fmax(1, other));
		g.h = (int)fmin(INT_MAX, by_width ? fmax(1, other) : to);
	}
	return (g);
}

/* Whose fault it is belongs into the message: there are two pictures here. */
static int
mark_err(struct ufop_err *err)
{
	struct ufop_err of_mark = *err;

	return (image_err(err, of_mark.code, "the picture of a mark: %s",
	    of_mark.msg));
}

/*
 * made gets the mark's pixels as p needs them, *w x *h, unless they do not fit
 * or p is dry.
 */
static int
make_mark(struct image *made, int *w, int *h, const struct mark *m,
    const struct picture *p, bool *fits, struct ufop_err *err)
{
	struct geometry size;
	struct picture mark;
	int ret;

	if (m->data_len == 0)
		return (image_err(err, UFOP_BAD_MEDIA, "the picture of a mark "
		    "has no bytes; check what '%.200s' answers", m->url));
	ret = picture_open(&mark, p->limits, m->data, m->data_len, err);
	if (ret == 0) {
		mark.dry = p->dry;
		picture_auto_orient(&mark);
		size = mark_size(m, p, mark.w, mark.h);
		*fits = size.w <= p->w && size.h <= p->h;
		if (*fits)
			ret = picture_resize(&mark, &size, err);
		if (*fits && ret == 0)
			ret = picture_pixels(&mark, false, false, err);
	}
	if (ret == 0 && *fits) {
		*made = mark.image;
		mark.image = (struct image){ 0 };
		*w = mark.w;
		*h = mark.h;
	}
	picture_release(&mark);
	return (ret == -1 ? mark_err(err) : 0);
}

static int
mark_image(struct picture *p, const struct mark *m, struct image *made,
    bool *fits, struct ufop_err *err)
{
	int64_t start = picture_now_us();
	int w = made->plane[0].w, h = made->plane[0].h;

	if (made->nplanes == 0 && operated(p, start, make_mark(made, &w, &h, m,
	    p, fits, err)) == -1)
		return (-1);
	if (!*fits)
		return (0);
	if (picture_work(p, (double)w * h, err) == -1 ||
	    picture_pixels(p, false, false, err) == -1)
		return (-1);
	if (p->dry)
		return (0);
	start = picture_now_us();
	return (operated(p, start, ops_blend(&p->image, made,
	    geometry_place(m->gravity, false, p->w, w, m->dx),
	    geometry_place(m->gravity, true, p->h, h, m->dy),
	    m->dissolve / 100.0, err)));
}

static int
mark_text(struct picture *p, const struct mark *m, bool *fits,
    struct ufop_err *err)
{
	struct text text;
	struct image mask;
	int64_t start;
	int ret;

	if (text_layout(&text, m->text, m->len, m->font[0] != '\0' ? m->font :
	    NULL, m->px, err) == -1)
		return (-1);
	*fits = text.w <= p->w && text.h <= p->h;
	if (!*fits)
		return (0);
	if (picture_work(p, (double)text.w * text.h, err) == -1 ||
	    picture_pixels(p, false, false, err) == -1)
		return (-1);
	if (p->dry)
		return (0);
	start = picture_now_us();
	if (text_draw(&text, &mask, err) == -1)
		return (-1);
	ret = ops_paint(&p->image, &mask,
	    geometry_place(m->gravity, false, p->w, text.w, m->dx),
	    geometry_place(m->gravity, true, p->h, text.h, m->dy), m->rgba,
	    m->dissolve / 100.0, err);
	image_release(&mask);
	return (operated(p, start, ret));
}

int
picture_mark(struct picture *p, const struct mark *m, struct image *made,
    bool *fits, struct ufop_err *err)
{
	return (m->kind == MARK_TEXT ? mark_text(p, m, fits, err) :
	    mark_image(p, m, made, fits, err));
}

int
picture_average(struct picture *p, unsigned char rgb[3], struct ufop_err *err)
{
	static const struct geometry small = { .kind = GEOMETRY_INSIDE,
	    .when = GEOMETRY_SHRINK, .w = AVERAGE_SIDE, .h = AVERAGE_SIDE };

	if (picture_resize(p, &small, err) == -1 ||
	    picture_pixels(p, false, false, err) == -1)
		return (-1);
	ops_average(&p->image, rgb);
	return (0);
}

/* ---- writing --------------------------------------------------------- */

const struct codec *
picture_codec(const struct picture *p, const struct codec *codec)
{
	return (codec != NULL ? codec : codec_for_writing(p->info.codec));
}

int
picture_check_output(const struct picture *p, const struct codec *codec,
    struct ufop_err *err)
{
	if (check_size(p, p->w, p->h, err) == -1)
		return (-1);
	if (p->w > codec->max_side || p->h > codec->max_side)
		return (image_err(err, UFOP_TOO_BIG, "the result would be "
		    "%dx%d; a side of a %s has at most %d pixels", p->w, p->h,
		    codec->name, codec->max_side));
	if (codec->max_pixels > 0 && (int64_t)p->w * p->h > codec->max_pixels)
		return (image_err(err, UFOP_TOO_BIG, "the result would be "
		    "%dx%d; at most %lld pixels of a %s are written; ask for a "
		    "smaller one", p->w, p->h, (long long)codec->max_pixels,
		    codec->name));
	return (0);
}

int
picture_write(struct picture *p, const struct codec *codec,
    const struct encode_opts *opts, const unsigned char *rgb,
    struct picture_file *out, struct ufop_err *err)
{
	static const unsigned char white[3] = { 255, 255, 255 };
	struct image *im = &p->image;
	int64_t start;
	bool ycc;

	codec = picture_codec(p, codec);
	if (picture_check_output(p, codec, err) == -1)
		return (-1);
	ycc = codec->takes_ycc;
	if (picture_pixels(p, ycc, ycc && opts->quality < codec->half_below,
	    err) == -1)
		return (-1);
	start = picture_now_us();
	if (!codec->takes_alpha)
		image_flatten(im, rgb != NULL ? rgb : white);
	if ((!ycc || im->model == IMAGE_CMYK ||
	    (codec->only_planes && im->nplanes == 1)) &&
	    image_to_rgb(im, err) == -1)
		return (-1);
	if (!codec->takes_grey && im->model == IMAGE_GREY &&
	    image_to_rgb3(im, err) == -1)
		return (-1);
	if (codec->encode(&out->bytes, im, opts, err) == -1)
		return (-1);
	out->codec = codec;
	out->w = p->w;
	out->h = p->h;
	p->times.encode_us += picture_now_us() - start;
	return (0);
}
