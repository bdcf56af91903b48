/* SPDX-License-Identifier: MIT */
/*
 * PNG, read and written here around libdeflate.
 *
 * libpng with zlib inflates row by row; libdeflate inflates the whole stream at
 * once and about twice as fast, and verifies its Adler-32.  The size of the
 * inflated stream is known from the header, so a bomb has no room to grow:
 * what does not fit exactly is damaged.  All chunk CRCs are verified.
 */
#include "codec.h"
#include "exif.h"
#include "quantize.h"

#include <libdeflate.h>

#define SIGNATURE	"\x89PNG\r\n\x1a\n"
#define SIGNATURE_LEN	8
/* Around the compressed pixels: a palette, its alpha and a density at most. */
#define HEAD_MAX	(SIGNATURE_LEN + 25 + 12 + 768 + 12 + 256 + 12 + 12 + 21)
#define PROFILE_MAX	(4 << 20)	/* bytes of an ICC profile that is read */
#define LEVEL		6	/* beyond, time doubles for 1 % */

enum color_type {
	PNG_GREY = 0, PNG_RGB = 2, PNG_PALETTE = 3, PNG_GREY_ALPHA = 4,
	PNG_RGB_ALPHA = 6
};

/* One file, taken apart. */
struct png {
	uint32_t		 w, h;
	int			 depth;		/* bits of a sample */
	int			 color;		/* enum color_type */
	int			 samples;	/* of a pixel in the file */
	bool			 interlaced;
	unsigned char		 palette[256][4];
	int			 ncolors;
	bool			 trns;		/* tRNS is there */
	unsigned		 key[3];	/* its colour, not of palettes */
	int			 frames;	/* acTL */
	const unsigned char	*iccp;		/* a name, NUL, 0, and a stream */
	size_t			 iccp_len;
	/* IDAT: inside the file when it is one chunk, else joined. */
	const unsigned char	*idat;
	size_t			 idat_len;
	unsigned char		*joined;
};

static int
bad(struct ufop_err *err, const char *why)
{
	return (image_err(err, UFOP_BAD_MEDIA, "the PNG is damaged or cut short "
	    "(%s); send a whole file", why));
}

static bool
match(const unsigned char *p, size_t len)
{
	return (len >= SIGNATURE_LEN && memcmp(p, SIGNATURE, SIGNATURE_LEN) == 0);
}

/* ---- chunks ---------------------------------------------------------- */

static int
read_header(struct png *png, const unsigned char *p, struct ufop_err *err)
{
	static const unsigned char samples[7] = { 1, 0, 3, 1, 2, 0, 4 };
	int depth = p[8], color = p[9];

	png->w = be32(p);
	png->h = be32(p + 4);
	png->depth = depth;
	png->color = color;
	png->interlaced = p[12] == 1;
	if (png->w == 0 || png->h == 0 || png->w > INT32_MAX ||
	    png->h > INT32_MAX)
		return (bad(err, "no size"));
	if (color > 6 || samples[color] == 0 || p[10] != 0 || p[11] != 0 ||
	    p[12] > 1)
		return (bad(err, "unknown colour type or method"));
	png->samples = samples[color];
	if (!(depth == 8 || (depth == 16 && color != PNG_PALETTE) ||
	    ((color == PNG_GREY || color == PNG_PALETTE) &&
	    (depth == 1 || depth == 2 || depth == 4))))
		return (bad(err, "unknown bit depth"));
	return (0);
}

static void
read_trns(struct png *png, const unsigned char *p, size_t n)
{
	if (png->color == PNG_PALETTE) {
		for (size_t i = 0; i < n && i < 256; i++)
			png->palette[i][3] = p[i];
		png->trns = true;
	} else if (png->color == PNG_GREY && n >= 2) {
		png->key[0] = be16(p);
		png->trns = true;
	} else if (png->color == PNG_RGB && n >= 6) {
		for (int c = 0; c < 3; c++)
			png->key[c] = be16(p + 2 * c);
		png->trns = true;
	}
}

/*
 * Walk the chunks.  head_only stops at the first IDAT; else CRCs are verified
 * and the file must be whole.
 */
static int
read_chunks(struct png *png, const unsigned char *p, size_t len, bool head_only,
    bool ignore_error, struct ufop_err *err)
{
	size_t at = SIGNATURE_LEN, idats = 0, total = 0, first = 0;

	memset(png, 0, sizeof(*png));
	png->frames = 1;
	for (int i = 0; i < 256; i++)
		png->palette[i][3] = 255;
	for (bool header = true;; header = false) {
		const unsigned char *type, *data;
		size_t n;

		if (len - at < 12) {
			if (ignore_error && total > 0)
				break;
			return (bad(err, "it ends early"));
		}
		n = be32(p + at);
		type = p + at + 4;
		data = p + at + 8;
		if (n > len - at - 12)
			return (bad(err, "it ends inside a chunk"));
		if (header != (memcmp(type, "IHDR", 4) == 0) ||
		    (header && n != 13))
			return (bad(err, "no header"));
		if (head_only && memcmp(type, "IDAT", 4) == 0)
			return (0);
		if (!ignore_error &&
		    libdeflate_crc32(0, type, n + 4) != be32(data + n))
			return (bad(err, "wrong checksum"));
		if (header) {
			if (read_header(png, data, err) == -1)
				return (-1);
		} else if (memcmp(type, "PLTE", 4) == 0) {
			for (size_t i = 0; i < n / 3 && i < 256; i++)
				memcpy(png->palette[i], data + 3 * i, 3);
			png->ncolors = n / 3 < 256 ? (int)(n / 3) : 256;
		} else if (memcmp(type, "tRNS", 4) == 0) {
			read_trns(png, data, n);
		} else if (memcmp(type, "acTL", 4) == 0 && n >= 8) {
			uint32_t f = be32(data);

			png->frames = f >= 1 && f <= 65535 ? (int)f : 1;
		} else if (memcmp(type, "iCCP", 4) == 0) {
			png->iccp = data;
			png->iccp_len = n;
		} else if (memcmp(type, "IDAT", 4) == 0) {
			if (idats++ == 0)
				first = at;
			total += n;
		} else if (memcmp(type, "IEND", 4) == 0)
			break;
		at += n + 12;
	}
	if (idats == 0)
		return (bad(err, "no pixels"));
	if (png->color == PNG_PALETTE && png->ncolors == 0)
		return (bad(err, "no palette"));
	png->idat = p + first + 8;
	png->idat_len = total;
	if (idats == 1)
		return (0);
	if ((png->joined = image_malloc(total, err)) == NULL)
		return (-1);
	png->idat = png->joined;
	for (size_t to = 0; to < total; first += be32(p + first) + 12)
		if (memcmp(p + first + 4, "IDAT", 4) == 0) {
			memcpy(png->joined + to, p + first + 8, be32(p + first));
			to += be32(p + first);
		}
	return (0);
}

/* The EXIF block, which may stand before or behind the pixels; or NULL. */
static const unsigned char *
find_exif(const unsigned char *p, size_t len, size_t *n)
{
	for (size_t at = SIGNATURE_LEN; len - at >= 12; at += *n + 12) {
		*n = be32(p + at);
		if (*n > len - at - 12)
			break;
		if (memcmp(p + at + 4, "eXIf", 4) == 0)
			return (p + at + 8);
	}
	return (NULL);
}

static unsigned char *
exif(const unsigned char *p, size_t len, size_t *out_len)
{
	size_t n;
	const unsigned char *block = find_exif(p, len, &n);

	return (block != NULL ? exif_pack(block, n, out_len) : NULL);
}

static int
probe(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	static const char *const color[] = {
		[PNG_GREY] = "gray", [PNG_RGB] = "rgba",
		[PNG_GREY_ALPHA] = "nrgba", [PNG_RGB_ALPHA] = "nrgba"
	};
	const unsigned char *block;
	struct png png;
	size_t n;

	if (read_chunks(&png, p, len, true, false, err) == -1)
		return (-1);
	if ((block = find_exif(p, len, &n)) != NULL)
		info->orient = exif_orientation(block, n);
	info->w = (int)png.w;
	info->h = (int)png.h;
	info->has_profile = png.iccp != NULL;
	if (png.color == PNG_PALETTE)
		snprintf(info->color, sizeof(info->color), "palette%d",
		    png.ncolors);
	else
		snprintf(info->color, sizeof(info->color), "%s%s",
		    color[png.color], png.depth == 16 ? "64" : "");
	return (0);
}

static unsigned char *
profile(const unsigned char *p, size_t len, size_t *out_len)
{
	struct libdeflate_decompressor *z;
	const unsigned char *stream;
	unsigned char *icc;
	struct ufop_err err;
	struct png png;

	if (read_chunks(&png, p, len, true, false, &err) == -1 ||
	    png.iccp == NULL ||
	    (stream = memchr(png.iccp, '\0', png.iccp_len)) == NULL)
		return (NULL);
	stream += 2;
	if (stream >= png.iccp + png.iccp_len)
		return (NULL);
	z = libdeflate_alloc_decompressor();
	icc = malloc(PROFILE_MAX);
	if (z == NULL || icc == NULL || libdeflate_zlib_decompress(z, stream,
	    (size_t)(png.iccp + png.iccp_len - stream), icc, PROFILE_MAX,
	    out_len) != LIBDEFLATE_SUCCESS) {
		free(icc);
		icc = NULL;
	}
	libdeflate_free_decompressor(z);
	return (icc);
}

/* ---- rows ------------------------------------------------------------ */

static inline unsigned char
paeth(int a, int b, int c)
{
	int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);

	return ((unsigned char)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c));
}

/*
 * Undo one row's filter in place.  up is the row above or NULL; n its bytes,
 * bpp the bytes of a pixel (1 when it has less).  The pixel to the left is
 * kept in variables: through memory, each byte would wait for a store.
 */
#define UNFILTER(name, bpp)						\
static void								\
name(int filter, unsigned char *r, const unsigned char *up, size_t n)	\
{									\
	unsigned char a[bpp] = { 0 }, c[bpp] = { 0 };			\
									\
	for (size_t i = 0; i + bpp <= n; i += bpp)			\
		for (int k = 0; k < bpp; k++) {				\
			int b = up[i + (size_t)k];			\
			int add = filter == 1 ? a[k] : filter == 3 ?	\
			    (a[k] + b) / 2 : paeth(a[k], b, c[k]);	\
									\
			a[k] = r[i + (size_t)k] = (unsigned char)	\
			    (r[i + (size_t)k] + add);			\
			c[k] = (unsigned char)b;			\
		}							\
}
UNFILTER(unfilter1, 1)
UNFILTER(unfilter2, 2)
UNFILTER(unfilter3, 3)
UNFILTER(unfilter4, 4)
UNFILTER(unfilter6, 6)
UNFILTER(unfilter8, 8)

/*
 * h rows of n bytes, each behind its filter's number; zero is a row of zeros
 * above the first.
 */
static int
unfilter(unsigned char *p, size_t h, size_t n, int bpp,
    const unsigned char *zero, struct ufop_err *err)
{
	const unsigned char *up = zero;

	for (size_t y = 0; y < h; y++, p += n + 1) {
		unsigned char *r = p + 1;
		int f = p[0];

		if (f > 4)
			return (bad(err, "unknown filter"));
		if (f == 2)
			for (size_t i = 0; i < n; i++)
				r[i] = (unsigned char)(r[i] + up[i]);
		else if (f != 0)
			switch (bpp) {
			case 1: unfilter1(f, r, up, n); break;
			case 2: unfilter2(f, r, up, n); break;
			case 3: unfilter3(f, r, up, n); break;
			case 4: unfilter4(f, r, up, n); break;
			case 6: unfilter6(f, r, up, n); break;
			default: unfilter8(f, r, up, n); break;
			}
		up = r;
	}
	return (0);
}

/* Sample i of a row, as it is in the file. */
static inline unsigned
sample(const unsigned char *row, size_t i, int depth)
{
	if (depth == 8)
		return (row[i]);
	if (depth == 16)
		return (be16(row + 2 * i));
	return (row[i * (size_t)depth / 8] >>
	    (8 - depth - (int)(i * (size_t)depth % 8)) & ((1u << depth) - 1));
}

/*
 * One row to 8 bits a sample, palettes and transparent colours resolved.
 * Pixels go to every step-th place of d.
 */
static int
expand_row(const struct png *png, unsigned char *d, size_t step,
    const unsigned char *row, size_t w, struct ufop_err *err)
{
	unsigned full = (1u << png->depth) - 1;
	int colors = png->color == PNG_PALETTE ? 3 : png->samples;
	size_t n = (size_t)png->samples;

	for (size_t x = 0; x < w; x++, d += step) {
		bool is_key = png->trns;

		if (png->color == PNG_PALETTE) {
			unsigned i = sample(row, x, png->depth);

			if ((int)i >= png->ncolors)
				return (bad(err, "a colour outside its palette"));
			memcpy(d, png->palette[i], png->trns ? 4 : 3);
			continue;
		}
		for (size_t c = 0; c < n; c++) {
			unsigned v = sample(row, x * n + c, png->depth);

			if (is_key && v != png->key[c])
				is_key = false;
			d[c] = (unsigned char)((v * 255 + full / 2) / full);
		}
		if (png->trns)
			d[colors] = is_key ? 0 : 255;
	}
	return (0);
}

/* The seven passes of Adam7: first column and row, and the steps. */
static const struct { uint32_t x, y, dx, dy; } adam7[7] = {
	{ 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 },
	{ 0, 2, 2, 4 }, { 1, 0, 2, 2 }, { 0, 1, 1, 2 }
};

static void
pass_size(uint32_t whole_w, uint32_t whole_h, int pass, size_t *w, size_t *h)
{
	*w = (whole_w + adam7[pass].dx - 1 - adam7[pass].x) / adam7[pass].dx;
	*h = (whole_h + adam7[pass].dy - 1 - adam7[pass].y) / adam7[pass].dy;
	if (*w == 0)
		*h = 0;
}

static size_t
row_bytes(const struct png *png, size_t w)
{
	return ((w * (size_t)png->samples * (size_t)png->depth + 7) / 8);
}

static int
inflate(const struct png *png, unsigned char *raw, size_t size,
    struct ufop_err *err)
{
	struct libdeflate_decompressor *z = libdeflate_alloc_decompressor();
	enum libdeflate_result r;

	if (z == NULL)
		return (image_err(err, UFOP_TOO_BIG, "not enough memory"));
	r = libdeflate_zlib_decompress(z, png->idat, png->idat_len, raw, size,
	    NULL);
	libdeflate_free_decompressor(z);
	if (r == LIBDEFLATE_SHORT_OUTPUT)
		return (bad(err, "pixels are missing"));
	if (r == LIBDEFLATE_INSUFFICIENT_SPACE)
		return (bad(err, "more pixels than the header says"));
	if (r != LIBDEFLATE_SUCCESS)
		return (bad(err, "its compressed pixels"));
	return (0);
}

static int
decode_png(struct png *png, struct image *im, unsigned char **raw,
    struct ufop_err *err)
{
	bool alpha = png->trns || png->color == PNG_GREY_ALPHA ||
	    png->color == PNG_RGB_ALPHA;
	enum image_model model = png->color == PNG_GREY ||
	    png->color == PNG_GREY_ALPHA ? IMAGE_GREY : IMAGE_RGB;
	size_t n = row_bytes(png, png->w), size = 0;
	int bpp = png->samples * png->depth < 8 ? 1 :
	    png->samples * png->depth / 8;
	/* Rows as we want them, but for the filters' bytes: no copy. */
	bool as_is = !png->interlaced && png->depth == 8 && !png->trns &&
	    png->color != PNG_PALETTE;
	unsigned char *zero, *at;

	if (png->interlaced)
		for (int i = 0; i < 7; i++) {
			size_t pw, ph;

			pass_size(png->w, png->h, i, &pw, &ph);
			size += ph * (row_bytes(png, pw) + 1);
		}
	else
		size = png->h * (n + 1);
	/* A row of zeros stands in front, for the first row to look up to. */
	if ((zero = *raw = image_malloc(n + size, err)) == NULL)
		return (-1);
	/* Before any of it is filled: there may not be room for both. */
	if (!as_is && image_init(im, model, alpha, (int)png->w, (int)png->h,
	    err) == -1)
		return (-1);
	memset(zero, 0, n);
	at = zero + n;
	if (inflate(png, at, size, err) == -1)
		return (-1);
	if (!png->interlaced && unfilter(at, png->h, n, bpp, zero, err) == -1)
		return (-1);
	if (as_is) {
		*im = (struct image){ .model = model, .alpha = alpha,
		    .nplanes = 1, .mem = zero };
		im->plane[0] = (struct plane){ .p = at + 1, .w = (int)png->w,
		    .h = (int)png->h, .n = png->samples, .stride = n + 1,
		    .sx = 1, .sy = 1 };
		*raw = NULL;
		return (0);
	}
	for (int i = 0; i < 7; i++) {
		size_t px = (size_t)im->plane[0].n, pw, ph, pn;
		uint32_t dx = 1, dy = 1, x0 = 0, y0 = 0;

		pw = png->w;
		ph = png->h;
		if (png->interlaced) {
			pass_size(png->w, png->h, i, &pw, &ph);
			dx = adam7[i].dx;
			dy = adam7[i].dy;
			x0 = adam7[i].x;
			y0 = adam7[i].y;
		}
		pn = row_bytes(png, pw);
		if (png->interlaced && unfilter(at, ph, pn, bpp, zero, err) == -1)
			return (-1);
		for (size_t y = 0; y < ph; y++, at += pn + 1)
			if (expand_row(png, im->plane[0].p + (y0 + y * dy) *
			    im->plane[0].stride + x0 * px, dx * px, at + 1, pw,
			    err) == -1)
				return (-1);
		if (!png->interlaced)
			break;
	}
	return (0);
}

static int
decode(struct image *im, const struct image_info *info, const unsigned char *p,
    size_t len, const struct decode_hints *hints, struct decode_notes *notes,
    struct ufop_err *err)
{
	struct png png;
	unsigned char *raw = NULL;
	int ret;

	(void)info;
	*im = (struct image){ 0 };
	notes->shrink = 1;
	ret = read_chunks(&png, p, len, false, hints->ignore_error, err);
	if (ret == 0)
		ret = decode_png(&png, im, &raw, err);
	free(png.joined);
	free(raw);
	if (ret == -1)
		image_release(im);
	return (ret);
}

/* ---- writing --------------------------------------------------------- */

static void
put32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
}

/* Close a chunk whose n data bytes lie at p + 8; returns what is behind it. */
static unsigned char *
put_chunk(unsigned char *p, const char *type, size_t n)
{
	put32(p, (uint32_t)n);
	memcpy(p + 4, type, 4);
	put32(p + 8 + n, libdeflate_crc32(0, p + 4, n + 4));
	return (p + 12 + n);
}

/* Filter f of a row into out; returns the sum of the differences' sizes. */
static unsigned long
filter_row(int f, unsigned char *restrict out,
    const unsigned char *restrict r, const unsigned char *restrict up,
    size_t n, size_t bpp)
{
	unsigned long sum = 0;

	for (size_t i = 0; i < bpp; i++)
		out[i] = (unsigned char)(r[i] - (f == 2 || f == 4 ? up[i] :
		    f == 3 ? up[i] / 2 : 0));
	switch (f) {
	case 0:
		memcpy(out + bpp, r + bpp, n - bpp);
		break;
	case 1:
		for (size_t i = bpp; i < n; i++)
			out[i] = (unsigned char)(r[i] - r[i - bpp]);
		break;
	case 2:
		for (size_t i = bpp; i < n; i++)
			out[i] = (unsigned char)(r[i] - up[i]);
		break;
	case 3:
		for (size_t i = bpp; i < n; i++)
			out[i] = (unsigned char)(r[i] -
			    (r[i - bpp] + up[i]) / 2);
		break;
	default:
		for (size_t i = bpp; i < n; i++)
			out[i] = (unsigned char)(r[i] - paeth(r[i - bpp], up[i],
			    up[i - bpp]));
		break;
	}
	for (size_t i = 0; i < n; i++)
		sum += (unsigned)abs((signed char)out[i]);
	return (sum);
}

/*
 * Rows of n bytes to raw, each behind the number of the filter that makes its
 * differences smallest in sum: they compress best.  Numbers of colours have no
 * differences to speak of: no filter.
 */
static int
filter_rows(unsigned char *raw, const struct plane *pl, bool filters,
    struct ufop_err *err)
{
	size_t bpp = (size_t)pl->n, n = (size_t)pl->w * bpp;
	unsigned char *two = image_malloc(2 * (n + 1), err);
	const unsigned char *up;

	if (two == NULL)
		return (-1);
	up = memset(two + n + 1, 0, n);
	for (size_t y = 0; y < (size_t)pl->h; y++) {
		const unsigned char *row = pl->p + y * pl->stride;
		unsigned char *best = raw + y * (n + 1);
		unsigned long least = 0;

		for (int f = 0; f <= (filters ? 4 : 0); f++) {
			unsigned char *try = f == 0 ? best : two;
			unsigned long sum;

			try[0] = (unsigned char)f;
			sum = filter_row(f, try + 1, row, up, n, bpp);
			if (f > 0 && sum < least)
				memcpy(best, try, n + 1);
			if (f == 0 || sum < least)
				least = sum;
		}
		up = row;
	}
	free(two);
	return (0);
}

/* Pass i of the seven in turn: a picture of its own, with its own filters. */
static int
filter_passes(unsigned char *raw, const struct plane *pl, bool filters,
    struct ufop_err *err)
{
	size_t n = (size_t)pl->n;
	struct plane part = *pl;
	int ret = 0;

	/* None has more than half of the rows, unless there is one. */
	part.p = image_malloc((size_t)pl->w * ((size_t)pl->h / 2 + 1) * n, err);
	if (part.p == NULL)
		return (-1);
	for (int i = 0; i < 7 && ret == 0; i++) {
		size_t w, h;

		pass_size((uint32_t)pl->w, (uint32_t)pl->h, i, &w, &h);
		part.w = (int)w;
		part.h = (int)h;
		part.stride = w * n;
		for (size_t y = 0; y < h; y++) {
			const unsigned char *row = pl->p + (adam7[i].y +
			    y * adam7[i].dy) * pl->stride + adam7[i].x * n;

			for (size_t x = 0; x < w; x++)
				memcpy(part.p + (y * w + x) * n,
				    row + x * adam7[i].dx * n, n);
		}
		if (h > 0)
			ret = filter_rows(raw, &part, filters, err);
		raw += h * (w * n + 1);
	}
	free(part.p);
	return (ret);
}

/* The file around the pixels of pl; pal is NULL where they are no numbers. */
static int
write_png(struct bytes *out, const struct plane *pl, int color,
    const struct palette *pal, bool clear, const struct encode_opts *opts,
    struct ufop_err *err)
{
	/* Interlaced, rows are shorter and there are more of them. */
	size_t size = ((size_t)pl->w * (size_t)pl->n + 1) * (size_t)pl->h, room;
	struct libdeflate_compressor *z = libdeflate_alloc_compressor(LEVEL);
	unsigned char *raw, *p;

	for (int i = 0; i < 7 && opts->interlace; i++) {
		size_t w, h;

		pass_size((uint32_t)pl->w, (uint32_t)pl->h, i, &w, &h);
		size = (i == 0 ? 0 : size) + h * (w * (size_t)pl->n + 1);
	}
	raw = image_malloc(size, err);
	if (z == NULL || raw == NULL || (opts->interlace ? filter_passes :
	    filter_rows)(raw, pl, pal == NULL, err) == -1) {
		libdeflate_free_compressor(z);
		free(raw);
		return (image_err(err, UFOP_TOO_BIG, "not enough memory to "
		    "write the PNG; ask for a smaller one"));
	}
	room = libdeflate_zlib_compress_bound(z, size);
	out->p = image_malloc(HEAD_MAX + room, err);
	if (out->p == NULL) {
		libdeflate_free_compressor(z);
		free(raw);
		return (-1);
	}
	memcpy(out->p, SIGNATURE, SIGNATURE_LEN);
	p = out->p + SIGNATURE_LEN;
	put32(p + 8, (uint32_t)pl->w);
	put32(p + 12, (uint32_t)pl->h);
	memcpy(p + 16, (unsigned char[]){ 8, (unsigned char)color, 0, 0,
	    opts->interlace }, 5);
	p = put_chunk(p, "IHDR", 13);
	if (opts->density > 0) {
		/* Dots a metre, which is 10000 / 254 inches. */
		put32(p + 8, ((uint32_t)opts->density * 10000 + 127) / 254);
		memcpy(p + 12, p + 8, 4);
		p[16] = 1;
		p = put_chunk(p, "pHYs", 9);
	}
	if (pal != NULL) {
		size_t n = (size_t)pal->n;

		memcpy(p + 8, pal->rgb, 3 * n);
		p = put_chunk(p, "PLTE", 3 * n);
		/* The last colour is none at all. */
		memset(p + 8, 255, n);
		p[8 + n - 1] = 0;
		if (clear)
			p = put_chunk(p, "tRNS", n);
	}
	size = libdeflate_zlib_compress(z, raw, size, p + 8, room);
	libdeflate_free_compressor(z);
	free(raw);
	p = put_chunk(p, "IDAT", size);
	p = put_chunk(p, "IEND", 0);
	out->len = (size_t)(p - out->p);
	return (0);
}

/* At most so many colours, of which one is kept for what is transparent. */
static int
encode_palette(struct bytes *out, const struct image *im,
    const struct encode_opts *opts, struct ufop_err *err)
{
	const struct plane *pl = &im->plane[0];
	size_t n = (size_t)pl->w * (size_t)pl->h;
	unsigned char *rgba = image_malloc(n * 6, err), *used, *index;
	struct plane numbers = *pl;
	struct palette pal;
	bool clear = false;
	int ret;

	if (rgba == NULL)
		return (-1);
	used = rgba + 4 * n;
	index = rgba + 5 * n;
	for (size_t i = 0; i < n; i++) {
		const unsigned char *s = pl->p + i / (size_t)pl->w * pl->stride +
		    i % (size_t)pl->w * (size_t)pl->n;

		for (int c = 0; c < 3; c++)
			rgba[4 * i + (size_t)c] = s[pl->n <= 2 ? 0 : c];
		used[i] = !im->alpha || s[pl->n - 1] >= 128;
		clear = clear || !used[i];
	}
	ret = quantize(&pal, index, rgba, used, pl->w, pl->h,
	    opts->colours - clear, err);
	for (size_t i = 0; i < n && clear; i++)
		if (!used[i])
			index[i] = (unsigned char)pal.n;
	if (ret == 0 && clear)
		memset(pal.rgb[pal.n++], 0, 3);
	numbers.p = index;
	numbers.n = 1;
	numbers.stride = (size_t)pl->w;
	if (ret == 0)
		ret = write_png(out, &numbers, PNG_PALETTE, &pal, clear,
		    opts, err);
	free(rgba);
	return (ret);
}

static int
encode(struct bytes *out, const struct image *im,
    const struct encode_opts *opts, struct ufop_err *err)
{
	static const unsigned char color[5] = {
		0, PNG_GREY, PNG_GREY_ALPHA, PNG_RGB, PNG_RGB_ALPHA
	};

	if (opts->colours > 0)
		return (encode_palette(out, im, opts, err));
	return (write_png(out, &im->plane[0], color[im->plane[0].n], NULL,
	    false, opts, err));
}

const struct codec codec_png = {
	.name = "png", .type = "image/png",
	.takes_alpha = true, .takes_grey = true, .max_side = 30000,
	.match = match, .probe = probe, .decode = decode, .profile = profile,
	.exif = exif, .encode = encode
};
