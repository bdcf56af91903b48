/* SPDX-License-Identifier: MIT */
/* Choosing palettes; see quantize.h. */
#include "quantize.h"

#define BINS		32768	/* 5 bits a channel */
#define HASH_SIZE	1024	/* a power of two, 4 times the colours */

struct bin {
	uint64_t	 sum[3];
	uint32_t	 count;
	unsigned char	 at[3];		/* 0 to 31 */
};

struct box {
	int		 from, to;	/* bins */
	uint64_t	 count;
	int		 axis;		/* the longest, */
	int		 length;	/* and how long: 0 when it is one bin */
};

static inline int
bin_of(const unsigned char *p)
{
	return (p[0] >> 3 << 10 | p[1] >> 3 << 5 | p[2] >> 3);
}

/* ---- few colours ----------------------------------------------------- */

/* 0 when all fit, -1 when there are more than max. */
static int
exact(struct palette *pal, unsigned char *index, const unsigned char *rgba,
    const unsigned char *used, size_t n, int max)
{
	int16_t slot[HASH_SIZE];

	memset(slot, -1, sizeof(slot));
	pal->n = 0;
	for (size_t i = 0; i < n; i++) {
		const unsigned char *p = rgba + 4 * i;
		uint32_t h;

		if (!used[i])
			continue;
		h = ((uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]) *
		    2654435761u >> 22;
		while (slot[h] >= 0 && memcmp(pal->rgb[slot[h]], p, 3) != 0)
			h = (h + 1) & (HASH_SIZE - 1);
		if (slot[h] < 0) {
			if (pal->n == max)
				return (-1);
			slot[h] = (int16_t)pal->n;
			memcpy(pal->rgb[pal->n++], p, 3);
		}
		index[i] = (unsigned char)slot[h];
	}
	return (0);
}

/* ---- many colours ---------------------------------------------------- */

static int
by_red(const void *a, const void *b)
{
	return (((const struct bin *)a)->at[0] - ((const struct bin *)b)->at[0]);
}

static int
by_green(const void *a, const void *b)
{
	return (((const struct bin *)a)->at[1] - ((const struct bin *)b)->at[1]);
}

static int
by_blue(const void *a, const void *b)
{
	return (((const struct bin *)a)->at[2] - ((const struct bin *)b)->at[2]);
}

static void
measure(struct box *b, const struct bin *bins)
{
	int low[3] = { 31, 31, 31 }, high[3] = { 0, 0, 0 };

	b->count = 0;
	for (int i = b->from; i < b->to; i++) {
		b->count += bins[i].count;
		for (int c = 0; c < 3; c++) {
			if (bins[i].at[c] < low[c])
				low[c] = bins[i].at[c];
			if (bins[i].at[c] > high[c])
				high[c] = bins[i].at[c];
		}
	}
	b->length = 0;
	for (int c = 0; c < 3; c++)
		if (high[c] - low[c] > b->length) {
			b->length = high[c] - low[c];
			b->axis = c;
		}
}

/* Cut the box in two where half of its pixels lie on each side. */
static void
cut(struct box *a, struct box *b, struct bin *bins)
{
	static int (*const order[3])(const void *, const void *) = {
		by_red, by_green, by_blue
	};
	uint64_t half = 0;
	int at = a->from;

	qsort(bins + a->from, (size_t)(a->to - a->from), sizeof(*bins),
	    order[a->axis]);
	while (at < a->to - 2 && (half += bins[at].count) * 2 < a->count)
		at++;
	*b = *a;
	a->to = b->from = at + 1;
	measure(a, bins);
	measure(b, bins);
}

static void
median_cut(struct palette *pal, struct bin *bins, int n, int max)
{
	struct box boxes[256];
	int count = 1;

	boxes[0] = (struct box){ .from = 0, .to = n };
	measure(&boxes[0], bins);
	while (count < max) {
		int best = -1;
		uint64_t most = 0;

		/* The box with most to lose: many pixels, far apart. */
		for (int i = 0; i < count; i++) {
			uint64_t v = boxes[i].count *
			    (uint64_t)(boxes[i].length * boxes[i].length);

			if (v > most) {
				most = v;
				best = i;
			}
		}
		if (best == -1)
			break;
		cut(&boxes[best], &boxes[count++], bins);
	}
	for (int i = 0; i < count; i++) {
		uint64_t sum[3] = { 0 };

		for (int k = boxes[i].from; k < boxes[i].to; k++)
			for (int c = 0; c < 3; c++)
				sum[c] += bins[k].sum[c];
		for (int c = 0; c < 3; c++)
			pal->rgb[i][c] = (unsigned char)
			    ((sum[c] + boxes[i].count / 2) / boxes[i].count);
	}
	pal->n = count;
}

static int
nearest(const struct palette *pal, const unsigned char *p)
{
	int best = 0, least = INT32_MAX;

	for (int i = 0; i < pal->n; i++) {
		int r = pal->rgb[i][0] - p[0], g = pal->rgb[i][1] - p[1];
		int b = pal->rgb[i][2] - p[2], d = 2 * r * r + 4 * g * g + b * b;

		if (d < least) {
			least = d;
			best = i;
		}
	}
	return (best);
}

/* Errors go to the right and to the next row, in sixteenths. */
static void
dither(const struct palette *pal, unsigned char *index,
    const unsigned char *rgba, const unsigned char *used, int w, int h,
    int16_t *cache, int *rows)
{
	int *here = rows + 3, *below = here + 3 * (w + 2);

	memset(cache, -1, BINS * sizeof(*cache));
	memset(rows, 0, (size_t)(6 * (w + 2)) * sizeof(*rows));
	for (int y = 0; y < h; y++) {
		int *t;

		for (int x = 0; x < w; x++, rgba += 4, index++, used++) {
			unsigned char p[3];
			int *e = here + 3 * x, *d = below + 3 * x;

			if (!*used)
				continue;
			for (int c = 0; c < 3; c++) {
				int v = rgba[c] + (e[c] + 8) / 16;

				p[c] = (unsigned char)(v < 0 ? 0 : v > 255 ?
				    255 : v);
			}
			if (cache[bin_of(p)] < 0)
				cache[bin_of(p)] = (int16_t)nearest(pal, p);
			*index = (unsigned char)cache[bin_of(p)];
			for (int c = 0; c < 3; c++) {
				int v = p[c] - pal->rgb[*index][c];

				e[c + 3] += 7 * v;
				d[c - 3] += 3 * v;
				d[c] += 5 * v;
				d[c + 3] += v;
			}
		}
		t = here;
		here = below;
		below = t;
		memset(below - 3, 0, (size_t)(3 * (w + 2)) * sizeof(*below));
	}
}

int
quantize(struct palette *pal, unsigned char *index, const unsigned char *rgba,
    const unsigned char *used, int w, int h, int max, struct ufop_err *err)
{
	size_t n = (size_t)w * (size_t)h;
	struct bin *bins;
	int16_t *cache;
	int *rows, count = 0;

	if (exact(pal, index, rgba, used, n, max) == 0)
		return (0);
	bins = image_malloc(BINS * sizeof(*bins), err);
	cache = image_malloc(BINS * sizeof(*cache), err);
	rows = image_malloc((size_t)(6 * (w + 2)) * sizeof(*rows), err);
	if (bins == NULL || cache == NULL || rows == NULL) {
		free(bins);
		free(cache);
		free(rows);
		return (-1);
	}
	memset(bins, 0, BINS * sizeof(*bins));
	for (size_t i = 0; i < n; i++)
		if (used[i]) {
			const unsigned char *p = rgba + 4 * i;
			struct bin *b = &bins[bin_of(p)];

			b->count++;
			for (int c = 0; c < 3; c++) {
				b->sum[c] += p[c];
				b->at[c] = p[c] >> 3;
			}
		}
	for (int i = 0; i < BINS; i++)
		if (bins[i].count > 0)
			bins[count++] = bins[i];
	median_cut(pal, bins, count, max);
	dither(pal, index, rgba, used, w, h, cache, rows);
	free(bins);
	free(cache);
	free(rows);
	return (0);
}
