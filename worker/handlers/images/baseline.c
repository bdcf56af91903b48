/* SPDX-License-Identifier: MIT */
/* The pixels of ordinary JPEGs; see baseline.h. */
#include "baseline.h"

#include <math.h>

#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

#define LOOK		11	/* bits looked up at once; most symbols fit */
#define CODE_MAX	16	/* bits of a code */
#define DC_MAX		11	/* bits of a difference of means */
#define AC_MAX		10	/* bits of any other coefficient */
#define BLOCK_END	128	/* the step that stands for "no more" */
/* A code and its value are at most so many bits: refilled below them. */
#define SYMBOL_MAX	(CODE_MAX + DC_MAX)

/*
 * What the next LOOK bits mean, in one word: bits to drop (DROP), how far to
 * step in the block, and the value on top.  With PART the code is longer than
 * LOOK (nothing to drop), or the value's bits are not all among them: then the
 * value says how many bits there are behind the code.
 */
#define DROP		63
#define PART		64
#define ENTRY(drop, step, value) ((uint32_t)(drop) | (uint32_t)(step) << 8 | \
			    (uint32_t)(value) << 16)
#define STEP(e)		((int)((e) >> 8 & 255))
#define VALUE(e)	((int32_t)(e) >> 16)

struct table {
	uint32_t	 fast[1 << LOOK];
	/* Longer codes, by length: below limit they are ours (left-aligned). */
	uint32_t	 limit[CODE_MAX + 1];
	int		 first[CODE_MAX + 1];	/* symbol index less code */
	const UINT8	*symbols;
	bool		 dc;
};

/* The stream: n bits at the top of acc, of which the last pad are made up. */
struct bits {
	const unsigned char	*p, *end;
	uint64_t		 acc;
	int			 n;
	int			 pad;
};

typedef float four __attribute__((vector_size(16)));

/*
 * What each coefficient adds to the samples of a block: FOURS(n) for each, one
 * coefficient behind the other.
 */
struct basis {
	four		 w[DCTSIZE2 * DCTSIZE2 / 4];
};
#define FOURS(n)	(((n) * (n) + 3) / 4)

struct component {
	const struct table	*dc, *ac;
	const struct basis	*basis;
	const struct plane	*plane;
	int			 n;		/* samples a side of a block */
	int			 h, v;		/* blocks of an MCU */
	int			 blocks_w;	/* a row of blocks that are kept */
	int			 mean;		/* of the block before */
};

/* ---- tables ---------------------------------------------------------- */

/* Values of so many bits: those whose first bit is 0 are negative. */
static inline int
extend(int v, int size)
{
	return (size == 0 || v >> (size - 1) ? v : v - (1 << size) + 1);
}

/* A symbol as an entry with its size for a value; false if there is no such. */
static inline bool
symbol(uint32_t *e, int s, bool dc)
{
	int run = s >> 4, size = s & 15;

	if (dc) {
		*e = ENTRY(0, 0, s);
		return (s <= DC_MAX);
	}
	*e = ENTRY(0, size == 0 && run < 15 ? BLOCK_END : run + 1, size);
	return (size <= AC_MAX && (size > 0 || run == 0 || run == 15));
}

static void
fill_fast(struct table *t, uint32_t code, int len, uint32_t e)
{
	int rest = LOOK - len, size = VALUE(e);

	for (int i = 0; i < 1 << rest; i++)
		t->fast[(code << rest) + (uint32_t)i] = size > rest ?
		    ENTRY(len, STEP(e), size) | PART :
		    ENTRY(len + size, STEP(e), extend(i >> (rest - size), size));
}

/* Codes as the standard deals them out: by length, in the order listed. */
static bool
table_init(struct table *t, const JHUFF_TBL *huff, bool dc)
{
	uint32_t code = 0;
	int k = 0;

	for (int i = 0; i < 1 << LOOK; i++)
		t->fast[i] = PART;
	t->symbols = huff->huffval;
	t->dc = dc;
	for (int len = 1; len <= CODE_MAX; len++, code <<= 1) {
		t->first[len] = k - (int)code;
		for (int i = 0; i < huff->bits[len]; i++, k++, code++) {
			uint32_t e;

			if (k >= 256 || code >= 1u << len ||
			    !symbol(&e, huff->huffval[k], dc))
				return (false);
			if (len <= LOOK)
				fill_fast(t, code, len, e);
		}
		t->limit[len] = code << (CODE_MAX - len);
	}
	return (true);
}

/*
 * Coefficient (u, v) is a wave; a sample here is the mean of 8/n by 8/n samples
 * of it.
 */
static void
basis_init(struct basis *b, const JQUANT_TBL *quant, int n)
{
	/* Coefficients in the file's order: their places, column by 8 * row. */
	static const unsigned char place[DCTSIZE2] = {
		0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
		12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
		35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
		58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63
	};
	float wave[DCTSIZE][DCTSIZE];
	int box = DCTSIZE / n;

	for (int u = 0; u < DCTSIZE; u++)
		for (int i = 0; i < n; i++) {
			double sum = 0;

			for (int j = 0; j < box; j++)
				sum += cos((2 * (i * box + j) + 1) * u * M_PI /
				    16);
			wave[u][i] = (float)(sum / box *
			    (u == 0 ? sqrt(0.125) : 0.5));
		}
	for (int k = 0; k < DCTSIZE2; k++) {
		/* libjpeg has put its table in order of places. */
		int u = place[k] % DCTSIZE, v = place[k] / DCTSIZE;
		float q = quant->quantval[place[k]];

		for (int i = 0; i < n * n; i++)
			b->w[k * FOURS(n) + i / 4][i % 4] = q * wave[u][i % n] *
			    wave[v][i / n];
	}
}

/* ---- the stream ------------------------------------------------------ */

/*
 * Byte by byte: at 0xff, where a zero follows that is none, and at the end.
 * struct bits goes by value here and below: with an address, it would be kept in
 * memory and not in registers.
 */
static __attribute__((noinline)) struct bits
refill_slowly(struct bits b)
{
	while (b.n <= 56) {
		unsigned char c = 0;

		if (b.p >= b.end || (b.p[0] == 0xff &&
		    (b.p + 1 >= b.end || b.p[1] != 0)))
			b.pad += 8;	/* a marker: zeros as long as asked for */
		else {
			c = *b.p;
			b.p += c == 0xff ? 2 : 1;
		}
		b.acc |= (uint64_t)c << (56 - b.n);
		b.n += 8;
	}
	return (b);
}

static inline __attribute__((always_inline)) void
refill(struct bits *b)
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t x;

	if (b->end - b->p >= 8) {
		memcpy(&x, b->p, 8);
		/* No byte is 0xff: none of the inverse is 0. */
		if (((~x - ones) & x & (ones << 7)) == 0) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
			x = __builtin_bswap64(x);
#endif
			/* Bits behind the n counted ones will come again. */
			b->acc |= x >> b->n;
			b->p += (63 - b->n) >> 3;
			b->n |= 56;
			return;
		}
	}
	*b = refill_slowly(*b);
}

static inline __attribute__((always_inline)) void
drop(struct bits *b, unsigned n)
{
	b->acc <<= n;
	b->n -= (int)n;
}

/*
 * The rest of an entry that is PART: a code longer than LOOK bits, and the bits
 * of a value.  0 when the next bits begin no code.  *used is the bits to drop.
 */
static __attribute__((noinline)) uint32_t
look_longer(uint64_t acc, const struct table *t, uint32_t e, int *used)
{
	int len = 0, size;

	if ((e & DROP) == 0) {
		uint32_t bits = (uint32_t)(acc >> (64 - CODE_MAX));
		int i;

		for (len = LOOK + 1; len <= CODE_MAX; len++)
			if (bits < t->limit[len])
				break;
		if (len > CODE_MAX)
			return (0);
		i = t->first[len] + (int)(bits >> (CODE_MAX - len));
		(void)symbol(&e, t->symbols[i], t->dc);	/* table_init() did */
		acc <<= len;
	}
	size = VALUE(e);
	*used = len + size;
	return (ENTRY(1, STEP(e), size == 0 ? 0 :
	    extend((int)(acc >> (64 - size)), size)));
}

/* The next symbol, whole; 0 when there is none. */
static inline __attribute__((always_inline)) uint32_t
next(struct bits *b, const struct table *t)
{
	uint32_t e;
	int used;

	if (b->n < SYMBOL_MAX)
		refill(b);
	e = t->fast[b->acc >> (64 - LOOK)];
	drop(b, e & DROP);
	if (__builtin_expect(e & PART, 0)) {
		if ((e = look_longer(b->acc, t, e, &used)) != 0)
			drop(b, (unsigned)used);
	}
	return (e);
}

/* ---- blocks ---------------------------------------------------------- */

/* Samples, still with fractions, to bytes; 0.5 has been added. */
static inline __attribute__((always_inline)) void
store(unsigned char *out, size_t stride, const four *sum, int n)
{
	unsigned char px[DCTSIZE2];

#if defined(__SSE4_1__)
	__m128i v[DCTSIZE2 / 4];
	const __m128 most = _mm_set1_ps(255);

#pragma GCC unroll 16
	for (int i = 0; i < FOURS(n); i++)
		v[i] = _mm_cvttps_epi32(_mm_min_ps(_mm_max_ps((__m128)sum[i],
		    _mm_setzero_ps()), most));
#pragma GCC unroll 4
	for (int i = 0; i < n * n / 4; i += 4) {
		__m128i z = _mm_setzero_si128();
		__m128i lo = _mm_packs_epi32(v[i], n > 2 ? v[i + 1] : z);
		__m128i hi = n > 2 ? _mm_packs_epi32(v[i + 2], v[i + 3]) : z;

		lo = _mm_packus_epi16(lo, hi);
		if (n > 2)
			_mm_storeu_si128((void *)(px + 4 * i), lo);
		else
			memcpy(px, &lo, 4);
	}
	if (n == 1)
		px[0] = (unsigned char)_mm_cvtsi128_si32(v[0]);
#else
	for (int i = 0; i < n * n; i++) {
		float x = sum[i / 4][i % 4];

		px[i] = (unsigned char)(x < 0 ? 0 : x > 255 ? 255 : x);
	}
#endif
	for (int y = 0; y < n; y++)
		memcpy(out + (size_t)y * stride, px + y * n, (size_t)n);
}

/*
 * One block, n x n samples of it to out; nowhere when that is NULL.  Inlined
 * for each n: the sums stay in registers.
 */
static inline __attribute__((always_inline)) bool
block(struct bits *stream, struct component *c, unsigned char *out, int n)
{
	const int fours = FOURS(n);
	const four *basis = c->basis->w;
	const struct table *ac = c->ac;
	four sum[DCTSIZE2 / 4];
	struct bits b = *stream;
	uint32_t e;
	int k = 0;
	float mean;

	if ((e = next(&b, c->dc)) == 0)
		return (false);
	c->mean += VALUE(e);
	if (c->mean < INT16_MIN || c->mean > INT16_MAX)
		return (false);
	mean = 128.5f + (float)c->mean * basis[0][0];
#pragma GCC unroll 16
	for (int i = 0; i < fours; i++)
		sum[i] = (four){ mean, mean, mean, mean };
	while (k < DCTSIZE2 - 1) {
		if ((e = next(&b, ac)) == 0)
			return (false);
		k += STEP(e);
		if (k >= DCTSIZE2)
			break;
		if (n > 1) {
			float f = (float)VALUE(e);
			four v = { f, f, f, f };

#pragma GCC unroll 16
			for (int i = 0; i < fours; i++)
				sum[i] += basis[k * fours + i] * v;
		}
	}
	*stream = b;
	if (k >= DCTSIZE2 && k < BLOCK_END)
		return (false);
	if (out != NULL)
		store(out, c->plane->stride, sum, n);
	return (true);
}

static bool
block_of(struct bits *b, struct component *c, unsigned char *out)
{
	switch (c->n) {
	case 1: return (block(b, c, out, 1));
	case 2: return (block(b, c, out, 2));
	case 4: return (block(b, c, out, 4));
	default: return (block(b, c, out, 8));
	}
}

/* ---- the scan -------------------------------------------------------- */

bool
baseline_takes(const struct jpeg_decompress_struct *d)
{
	if (d->progressive_mode || d->arith_code || d->data_precision != 8 ||
	    d->comps_in_scan != d->num_components ||
	    (d->num_components != 1 && d->num_components != 3))
		return (false);
	for (int i = 0; i < d->num_components; i++) {
		const jpeg_component_info *ci = &d->comp_info[i];

		/* The scan may name them in another order: it does not. */
		if (d->cur_comp_info[i] != ci ||
		    ci->quant_tbl_no < 0 || ci->quant_tbl_no >= NUM_QUANT_TBLS ||
		    ci->dc_tbl_no < 0 || ci->dc_tbl_no >= NUM_HUFF_TBLS ||
		    ci->ac_tbl_no < 0 || ci->ac_tbl_no >= NUM_HUFF_TBLS ||
		    d->quant_tbl_ptrs[ci->quant_tbl_no] == NULL ||
		    d->dc_huff_tbl_ptrs[ci->dc_tbl_no] == NULL ||
		    d->ac_huff_tbl_ptrs[ci->ac_tbl_no] == NULL)
			return (false);
	}
	return (true);
}

/* Whether all bits but the last byte's are used up, and this marker is next. */
static bool
at_marker(const struct bits *b, int marker)
{
	return (b->n - b->pad >= 0 && b->n - b->pad < 8 &&
	    b->end - b->p >= 2 && b->p[0] == 0xff && b->p[1] == marker);
}

static bool
restart(struct bits *b, struct component *c, int n, unsigned count)
{
	if (!at_marker(b, JPEG_RST0 + (int)(count % 8)))
		return (false);
	*b = (struct bits){ .p = b->p + 2, .end = b->end };
	for (int i = 0; i < n; i++)
		c[i].mean = 0;
	return (true);
}

static bool
mcu(struct bits *b, struct component *c, size_t x, size_t y)
{
	for (int j = 0; j < c->v; j++)
		for (int i = 0; i < c->h; i++) {
			size_t bx = x * (size_t)c->h + (size_t)i;
			size_t by = y * (size_t)c->v + (size_t)j;
			unsigned char *out = c->plane->p + by * (size_t)c->n *
			    c->plane->stride + bx * (size_t)c->n;

			/* An MCU may reach past the last block of a row. */
			if (!block_of(b, c, bx < (size_t)c->blocks_w ? out :
			    NULL))
				return (false);
		}
	return (true);
}

static bool
scan(const struct jpeg_decompress_struct *d, struct component *c, int n,
    size_t w, size_t h)
{
	struct bits b = { .p = d->src->next_input_byte,
	    .end = d->src->next_input_byte + d->src->bytes_in_buffer };
	unsigned left = d->restart_interval, restarts = 0;

	for (size_t y = 0; y < h; y++)
		for (size_t x = 0; x < w; x++) {
			if (d->restart_interval > 0 && left-- == 0) {
				if (!restart(&b, c, n, restarts++))
					return (false);
				left = d->restart_interval - 1;
			}
			for (int i = 0; i < n; i++)
				if (!mcu(&b, &c[i], x, y))
					return (false);
			/* More than there was: the rest would be grey. */
			if (b.n < b.pad)
				return (false);
		}
	return (at_marker(&b, JPEG_EOI));
}

bool
baseline_decode(const struct jpeg_decompress_struct *d,
    const struct plane *planes, const int *side)
{
	struct component c[3];
	int n = d->num_components;
	size_t w, h;
	bool ok = true;
	/* Tables of each component, though two of them mostly share theirs. */
	struct tables {
		struct table	 dc, ac;
		struct basis	 basis;
	} *t = malloc((size_t)n * sizeof(*t));

	if (t == NULL)
		return (false);
	for (int i = 0; i < n; i++) {
		const jpeg_component_info *ci = &d->comp_info[i];

		ok = ok && table_init(&t[i].dc,
		    d->dc_huff_tbl_ptrs[ci->dc_tbl_no], true) &&
		    table_init(&t[i].ac, d->ac_huff_tbl_ptrs[ci->ac_tbl_no],
		    false);
		basis_init(&t[i].basis, d->quant_tbl_ptrs[ci->quant_tbl_no],
		    side[i]);
		c[i] = (struct component){ &t[i].dc, &t[i].ac, &t[i].basis,
		    &planes[i], side[i], ci->h_samp_factor,
		    ci->v_samp_factor, (int)ci->width_in_blocks, 0 };
	}
	w = ((size_t)d->image_width + (size_t)d->max_h_samp_factor * DCTSIZE -
	    1) / ((size_t)d->max_h_samp_factor * DCTSIZE);
	h = d->total_iMCU_rows;
	if (n == 1) {
		/* Alone, a component comes block by block. */
		w = d->comp_info[0].width_in_blocks;
		h = d->comp_info[0].height_in_blocks;
		c[0].h = c[0].v = 1;
	}
	ok = ok && scan(d, c, n, w, h);
	free(t);
	return (ok);
}
