/* SPDX-License-Identifier: MIT */
/* Separable Lanczos3; see resize.h. */
#include "resize.h"

#include <math.h>

#if defined(__SSE4_1__)
#include <smmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define LOBES		3	/* RESIZE_REACH */
#define BITS		14	/* of a weight's fraction */
#define MID_BITS	6	/* of a sample's fraction between the passes */
#define MID_SHIFT	(BITS - MID_BITS)
#define OUT_SHIFT	(BITS + MID_BITS)
/* Averaging in front of the kernel leaves it at least this much to shrink. */
#define BOX_LEAVES	3
#define BOX_MAX		256	/* so many samples add up in 16 bits */
/* Taps of a row are padded with weight 0 to a multiple, for the SIMD loop. */
#define TAP_ALIGN	8

/* Which samples make up one of the result, along one axis. */
struct taps {
	int	*start;		/* [count] first sample */
	int16_t	*weight;	/* [count][size] */
	int	 count;
	int	 size;		/* even; padded with zeros */
};

/* How much a sample at distance x (at scale 1) counts. */
struct kernel {
	double	(*weight)(double x, double sigma);
	double	reach;		/* beyond it, nothing */
	double	sigma;
};

/*
 * sinc(x) sinc(x / 3), by sin 3a = sin a (3 - 4 sin^2 a): one sine for both.
 */
static double
lanczos(double x, double sigma)
{
	double a = M_PI * x / LOBES, s = sin(a), s2 = s * s;

	(void)sigma;
	if (fabs(x) >= LOBES)
		return (0);
	return (fabs(a) < 1e-8 ? 1 : s2 * (3 - 4 * s2) / (3 * a * a));
}

static double
gauss(double x, double sigma)
{
	return (exp(-x * x / (2 * sigma * sigma)));
}

static void
taps_release(struct taps *t)
{
	free(t->start);
	free(t->weight);
}

/*
 * count samples from the part [from, from + len) of an axis whose samples b0
 * to b1 - 1 may be used.
 */
static int
taps_init(struct taps *t, const struct kernel *kernel, int count, double from,
    double len, int b0, int b1, struct ufop_err *err)
{
	double scale = len / count, stretch = scale > 1 ? scale : 1;
	double reach = kernel->reach * stretch;
	int most = (int)ceil(2 * reach) + 2;
	double *w;

	if (most > b1 - b0)
		most = b1 - b0;
	t->count = count;
	t->size = (most + TAP_ALIGN - 1) / TAP_ALIGN * TAP_ALIGN;
	t->start = image_malloc((size_t)count * sizeof(*t->start), err);
	t->weight = image_malloc((size_t)count * (size_t)t->size *
	    sizeof(*t->weight), err);
	w = image_malloc((size_t)most * sizeof(*w), err);
	if (t->start == NULL || t->weight == NULL || w == NULL) {
		taps_release(t);
		free(w);
		return (-1);
	}
	memset(t->weight, 0, (size_t)count * (size_t)t->size *
	    sizeof(*t->weight));
	for (int i = 0; i < count; i++) {
		double centre = from + (i + 0.5) * scale, sum = 0;
		int lo, hi, n, left, top = 0;
		int16_t *out = t->weight + (size_t)i * (size_t)t->size;

		/* Chroma of an odd width ends past the edge by half a sample. */
		centre = centre < b0 ? b0 : centre > b1 ? b1 : centre;
		lo = (int)floor(centre - reach);
		hi = (int)ceil(centre + reach);
		lo = lo < b0 ? b0 : lo > b1 - 1 ? b1 - 1 : lo;
		hi = hi > b1 ? b1 : hi <= lo ? lo + 1 : hi;
		n = hi - lo < most ? hi - lo : most;
		for (int j = 0; j < n; j++) {
			w[j] = kernel->weight((lo + j + 0.5 - centre) / stretch,
			    kernel->sigma);
			sum += w[j];
		}
		left = 1 << BITS;
		for (int j = 0; j < n; j++) {
			out[j] = (int16_t)lrint(w[j] / sum * (1 << BITS));
			left -= out[j];
			if (out[j] > out[top])
				top = j;
		}
		/* The sum must be one, or flat areas would change colour. */
		out[top] = (int16_t)(out[top] + left);
		t->start[i] = lo;
	}
	free(w);
	return (0);
}

/*
 * One row between the passes: out[i] = sum over k of weight[k] * row k, times
 * 2^MID_BITS.  rows are k pointers, k even; the last may be paired with weight
 * zero.
 */
static void
vertical(int16_t *out, const unsigned char *const *rows, const int16_t *weight,
    int k, int len)
{
	int i = 0;

#if defined(__SSE4_1__)
	const __m128i zero = _mm_setzero_si128();
	const __m128i half = _mm_set1_epi32(1 << (MID_SHIFT - 1));

	for (; i + 16 <= len; i += 16) {
		__m128i a0 = half, a1 = half, a2 = half, a3 = half;

		for (int j = 0; j < k; j += 2) {
			__m128i w = _mm_set1_epi32((uint16_t)weight[j] |
			    (int)((uint32_t)(uint16_t)weight[j + 1] << 16));
			__m128i r = _mm_loadu_si128((const void *)(rows[j] + i));
			__m128i s = _mm_loadu_si128(
			    (const void *)(rows[j + 1] + i));
			__m128i lo = _mm_unpacklo_epi8(r, s);
			__m128i hi = _mm_unpackhi_epi8(r, s);

			a0 = _mm_add_epi32(a0, _mm_madd_epi16(
			    _mm_cvtepu8_epi16(lo), w));
			a1 = _mm_add_epi32(a1, _mm_madd_epi16(
			    _mm_unpackhi_epi8(lo, zero), w));
			a2 = _mm_add_epi32(a2, _mm_madd_epi16(
			    _mm_cvtepu8_epi16(hi), w));
			a3 = _mm_add_epi32(a3, _mm_madd_epi16(
			    _mm_unpackhi_epi8(hi, zero), w));
		}
		a0 = _mm_packs_epi32(_mm_srai_epi32(a0, MID_SHIFT),
		    _mm_srai_epi32(a1, MID_SHIFT));
		a2 = _mm_packs_epi32(_mm_srai_epi32(a2, MID_SHIFT),
		    _mm_srai_epi32(a3, MID_SHIFT));
		_mm_storeu_si128((void *)(out + i), a0);
		_mm_storeu_si128((void *)(out + i + 8), a2);
	}
#elif defined(__ARM_NEON)
	for (; i + 8 <= len; i += 8) {
		int32x4_t a0 = vdupq_n_s32(1 << (MID_SHIFT - 1)), a1 = a0;

		for (int j = 0; j < k; j++) {
			int16x8_t r = vreinterpretq_s16_u16(
			    vmovl_u8(vld1_u8(rows[j] + i)));

			a0 = vmlal_n_s16(a0, vget_low_s16(r), weight[j]);
			a1 = vmlal_n_s16(a1, vget_high_s16(r), weight[j]);
		}
		vst1q_s16(out + i, vcombine_s16(
		    vqshrn_n_s32(a0, MID_SHIFT), vqshrn_n_s32(a1, MID_SHIFT)));
	}
#endif
	for (; i < len; i++) {
		int32_t a = 1 << (MID_SHIFT - 1);

		for (int j = 0; j < k; j++)
			a += weight[j] * rows[j][i];
		out[i] = (int16_t)(a >> MID_SHIFT);
	}
}

/* Sum of n products; n is a multiple of TAP_ALIGN. */
static inline int32_t
dot(const int16_t *a, const int16_t *w, int n)
{
#if defined(__SSE4_1__)
	__m128i s = _mm_setzero_si128();

	for (int i = 0; i < n; i += 8)
		s = _mm_add_epi32(s, _mm_madd_epi16(
		    _mm_loadu_si128((const void *)(a + i)),
		    _mm_loadu_si128((const void *)(w + i))));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(1, 0, 3, 2)));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(2, 3, 0, 1)));
	return (_mm_cvtsi128_si32(s));
#elif defined(__ARM_NEON)
	int32x4_t s = vdupq_n_s32(0);

	for (int i = 0; i < n; i += 8) {
		int16x8_t x = vld1q_s16(a + i), y = vld1q_s16(w + i);

		s = vmlal_s16(s, vget_low_s16(x), vget_low_s16(y));
		s = vmlal_s16(s, vget_high_s16(x), vget_high_s16(y));
	}
	return (vgetq_lane_s32(s, 0) + vgetq_lane_s32(s, 1) +
	    vgetq_lane_s32(s, 2) + vgetq_lane_s32(s, 3));
#else
	int32_t s = 0;

	for (int i = 0; i < n; i++)
		s += a[i] * w[i];
	return (s);
#endif
}

/* One channel of a row, already apart from the others, with its fraction. */
static void
horizontal(int32_t *out, const int16_t *in, const struct taps *t)
{
	for (int i = 0; i < t->count; i++)
		out[i] = dot(in + t->start[i], t->weight +
		    (size_t)i * (size_t)t->size, t->size);
}

/* The channels of a row, w sums each, to samples. */
static void
finish(unsigned char *out, const int32_t *in, int w, int n)
{
	for (int c = 0; c < n; c++, in += w)
		for (int x = 0; x < w; x++)
			out[x * n + c] = clamp8((in[x] +
			    (1 << (OUT_SHIFT - 1))) >> OUT_SHIFT);
}

/*
 * The same, taking the alpha out of the colours while both still have their
 * fractions and what the kernel swings over: at 8 bits, edges would glow.
 */
static void
finish_alpha(unsigned char *out, const int32_t *in, int w, int n)
{
	const int32_t *alpha = in + (size_t)(n - 1) * (size_t)w;

	for (int x = 0; x < w; x++, out += n) {
		float a = (float)alpha[x];
		int32_t v = (alpha[x] + (1 << (OUT_SHIFT - 1))) >> OUT_SHIFT;

		out[n - 1] = clamp8(v);
		for (int c = 0; c < n - 1; c++)
			out[c] = v <= 0 ? 0 : clamp8((int32_t)(255 *
			    (float)in[c * w + x] / a + 0.5f));
	}
}

/*
 * Means of fx columns of sums over so many rows.  Inlined for each n: with n
 * known, the loops over channels vanish.
 */
static inline __attribute__((always_inline)) void
box_row(unsigned char *d, const uint16_t *sum, int w, int fx, int rows, int n)
{
	for (int x = 0; x < w; x += fx, sum += fx * n, d += n) {
		int cols = w - x < fx ? w - x : fx;
		uint32_t v[4] = { 0 };
		float k = 1.0f / (float)(rows * cols);

		for (int j = 0; j < cols; j++)
			for (int c = 0; c < n; c++)
				v[c] += sum[j * n + c];
		for (int c = 0; c < n; c++)
			d[c] = (unsigned char)((float)v[c] * k + 0.5f);
	}
}

/*
 * Average blocks of fx x fy samples of the part b of src (the last ones may be
 * narrower) into a new plane; free(dst->p).
 */
static int
box(struct plane *dst, const struct plane *src, const struct resize_view *b,
    int fx, int fy, struct ufop_err *err)
{
	int w = b->bx1 - b->bx0, h = b->by1 - b->by0, n = src->n;
	size_t row = (size_t)w * (size_t)n;
	uint16_t *sum;

	*dst = (struct plane){ .w = (w + fx - 1) / fx, .h = (h + fy - 1) / fy,
	    .n = n };
	dst->stride = (size_t)dst->w * (size_t)n;
	sum = image_malloc(row * sizeof(*sum), err);
	dst->p = image_malloc(dst->stride * (size_t)dst->h, err);
	if (sum == NULL || dst->p == NULL) {
		free(sum);
		free(dst->p);
		return (-1);
	}
	for (int y = 0; y < dst->h; y++) {
		int rows = h - y * fy < fy ? h - y * fy : fy;
		unsigned char *d = dst->p + (size_t)y * dst->stride;

		memset(sum, 0, row * sizeof(*sum));
		for (int j = 0; j < rows; j++) {
			const unsigned char *s = src->p + (size_t)(b->by0 +
			    y * fy + j) * src->stride +
			    (size_t)b->bx0 * (size_t)n;

			for (size_t i = 0; i < row; i++)
				sum[i] = (uint16_t)(sum[i] + s[i]);
		}
		switch (n) {
		case 1: box_row(d, sum, w, fx, rows, 1); break;
		case 2: box_row(d, sum, w, fx, rows, 2); break;
		case 3: box_row(d, sum, w, fx, rows, 3); break;
		default: box_row(d, sum, w, fx, rows, 4); break;
		}
	}
	free(sum);
	return (0);
}

static int
filter_plane(struct plane *dst, const struct plane *src,
    const struct resize_view *v, const struct kernel *kernel, bool alpha,
    struct ufop_err *err)
{
	struct taps tx = { 0 }, ty = { 0 };
	int n = src->n, w = v->bx1 - v->bx0, ret = -1;
	/* The SIMD loop may read past the end of a row, by taps of weight 0. */
	size_t pad;
	int16_t *mid = NULL, *apart = NULL;
	int32_t *sums = NULL;
	const unsigned char **rows = NULL;

	if (taps_init(&tx, kernel, dst->w, v->x - v->bx0, v->w, 0, w, err) ==
	    -1 || taps_init(&ty, kernel, dst->h, v->y, v->h, v->by0, v->by1,
	    err) == -1)
		goto out;
	pad = (size_t)w + (size_t)tx.size;
	mid = image_malloc((size_t)w * (size_t)n * sizeof(*mid), err);
	apart = image_malloc(pad * (size_t)n * sizeof(*apart), err);
	rows = image_malloc((size_t)ty.size * sizeof(*rows), err);
	sums = image_malloc((size_t)dst->w * (size_t)n * sizeof(*sums), err);
	if (mid == NULL || apart == NULL || rows == NULL || sums == NULL)
		goto out;
	memset(apart, 0, pad * (size_t)n * sizeof(*apart));
	for (int y = 0; y < dst->h; y++) {
		const int16_t *weight = ty.weight + (size_t)y * (size_t)ty.size;
		int k = ty.size;

		/* Padding costs nothing here: rows of weight 0 are left out. */
		while (k > 2 && weight[k - 1] == 0 && weight[k - 2] == 0)
			k -= 2;
		for (int j = 0; j < k; j++) {
			int r = ty.start[y] + j;

			rows[j] = src->p + (size_t)(r < v->by1 ? r :
			    v->by1 - 1) * src->stride +
			    (size_t)v->bx0 * (size_t)n;
		}
		vertical(n == 1 ? apart : mid, rows, weight, k, w * n);
		if (n > 1)
			for (int c = 0; c < n; c++) {
				int16_t *a = apart + (size_t)c * pad;

				for (int x = 0; x < w; x++)
					a[x] = mid[x * n + c];
			}
		for (int c = 0; c < n; c++)
			horizontal(sums + (size_t)c * (size_t)dst->w,
			    apart + (size_t)c * pad, &tx);
		(alpha ? finish_alpha : finish)(dst->p + (size_t)y * dst->stride,
		    sums, dst->w, n);
	}
	ret = 0;
out:
	taps_release(&tx);
	taps_release(&ty);
	free(mid);
	free(apart);
	free(sums);
	free(rows);
	return (ret);
}

bool
resize_is_copy(const struct resize_view *v, int w, int h)
{
	const double close = 1e-6;

	return (fabs(v->w - w) < close && fabs(v->h - h) < close &&
	    fabs(v->x - rint(v->x)) < close && fabs(v->y - rint(v->y)) < close &&
	    v->x > v->bx0 - close && v->y > v->by0 - close &&
	    v->x + w < v->bx1 + close && v->y + h < v->by1 + close);
}

int
resize_plane(struct plane *dst, const struct plane *src,
    const struct resize_view *view, bool alpha, struct ufop_err *err)
{
	static const struct kernel kernel = { lanczos, LOBES, 0 };
	struct resize_view v = *view;
	struct plane small;
	int fx = (int)(v.w / dst->w / BOX_LEAVES);
	int fy = (int)(v.h / dst->h / BOX_LEAVES), ret;

	if (fx <= 1 && fy <= 1)
		return (filter_plane(dst, src, &v, &kernel, alpha, err));
	fx = fx < 1 ? 1 : fx > BOX_MAX ? BOX_MAX : fx;
	fy = fy < 1 ? 1 : fy > BOX_MAX ? BOX_MAX : fy;
	if (box(&small, src, &v, fx, fy, err) == -1)
		return (-1);
	v.x = (v.x - v.bx0) / fx;
	v.y = (v.y - v.by0) / fy;
	v.w /= fx;
	v.h /= fy;
	v.bx0 = v.by0 = 0;
	v.bx1 = small.w;
	v.by1 = small.h;
	ret = filter_plane(dst, &small, &v, &kernel, alpha, err);
	free(small.p);
	return (ret);
}

int
resize_blur(struct plane *dst, const struct plane *src, int radius,
    double sigma, bool alpha, struct ufop_err *err)
{
	struct kernel kernel = { gauss, radius + 0.5, sigma };
	struct resize_view v = { 0, 0, src->w, src->h, 0, 0, src->w, src->h };

	return (filter_plane(dst, src, &v, &kernel, alpha, err));
}
