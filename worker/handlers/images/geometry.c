/* SPDX-License-Identifier: MIT */
/* Sizes and places; see geometry.h. */
#include "geometry.h"

#include <limits.h>
#include <math.h>

/* a * b / c, rounded half up, from 1 to INT_MAX; all above 0. */
static int
scale(int64_t a, int64_t b, int64_t c)
{
	int64_t v = (2 * a * b + c) / (2 * c);

	return (v < 1 ? 1 : v > INT_MAX ? INT_MAX : (int)v);
}

void
geometry_apply(const struct geometry *g, int w, int h, int *rw, int *rh)
{
	int64_t bw = g->w, bh = g->h;
	bool by_width;
	double area;

	*rw = w;
	*rh = h;
	if (g->long_side && h > w) {
		bw = g->h;
		bh = g->w;
	}
	switch (g->kind) {
	case GEOMETRY_PERCENT:
		*rw = bw > 0 ? scale(w, bw, 100) : w;
		*rh = bh > 0 ? scale(h, bh, 100) : h;
		break;
	case GEOMETRY_EXACT:
		*rw = bw > 0 ? (int)bw : w;
		*rh = bh > 0 ? (int)bh : h;
		break;
	case GEOMETRY_AREA:
		/* Rounded down, or there would be more than area. */
		area = sqrt((double)g->area / ((double)w * h));
		*rw = (int)fmin(INT_MAX, fmax(1, floor(w * area)));
		*rh = (int)fmin(INT_MAX, fmax(1, floor(h * area)));
		break;
	case GEOMETRY_INSIDE:
	case GEOMETRY_COVER:
		if (bw == 0 && bh == 0)
			break;
		/* Which side decides: the one that meets the box first or last. */
		by_width = bh == 0 || (bw != 0 &&
		    (g->kind == GEOMETRY_INSIDE) == (bw * h <= bh * w));
		*rw = by_width ? (int)bw : scale(w, bh, h);
		*rh = by_width ? scale(h, bw, w) : (int)bh;
		break;
	}
	if ((g->when == GEOMETRY_SHRINK && (*rw > w || *rh > h)) ||
	    (g->when == GEOMETRY_ENLARGE && (*rw < w || *rh < h))) {
		*rw = w;
		*rh = h;
	}
}

int64_t
geometry_place(enum gravity g, bool vertical, int whole, int size, int offset)
{
	int third = vertical ? (int)g / 3 : (int)g % 3;

	if (third == 0)
		return (offset);
	if (third == 1)
		/* Halves rounded one by one, as ImageMagick does. */
		return ((int64_t)(whole / 2) - size / 2 + offset);
	return ((int64_t)whole - size - offset);
}

static int
clip(int64_t from, int size, int whole, int *at, int *len)
{
	int64_t to = from + size;

	from = from < 0 ? 0 : from;
	to = to > whole ? whole : to;
	if (from >= to)
		return (-1);
	*at = (int)from;
	*len = (int)(to - from);
	return (0);
}

int
geometry_crop(const struct crop *c, int w, int h, int *x, int *y, int *cw,
    int *ch)
{
	int pw = c->w > 0 ? c->w : w, ph = c->h > 0 ? c->h : h;

	if (c->long_side && h > w) {
		int t = pw;

		pw = ph;
		ph = t;
	}
	if (clip(geometry_place(c->gravity, false, w, pw, c->dx), pw, w, x,
	    cw) == -1)
		return (-1);
	return (clip(geometry_place(c->gravity, true, h, ph, c->dy), ph, h, y,
	    ch));
}
