/* SPDX-License-Identifier: MIT */
/*
 * TIFF by libtiff: the first page in, whatever its kind, by libtiff's own
 * conversion to RGBA; 8-bit samples packed by Deflate out.
 *
 * A page comes in pieces, strips or tiles, and a small file can say that it has
 * one piece of all its rows.  So pixels are taken band by band, and what is not
 * looked at, or would be averaged away, is not kept: beside the picture that
 * comes out there is one piece in memory.  Large strips are not even that, they
 * are read row by row, where their compression lets us; where it does not, a
 * page of too large pieces is refused before one is read.
 */
#include "codec.h"
#include "exif.h"

#include <libdeflate.h>
#include <math.h>
#include <tiffio.h>

/* No single piece of a file may ask libtiff for more. */
#define ALLOC_MAX	((tmsize_t)512 << 20)

/*
 * Bytes of a piece and of the pixels made of it: strips that need more are read
 * row by row, others at once, and where they have sums these are compared.
 */
#define WHOLE_MAX	((uint64_t)64 << 20)
/* The same of what cannot be read row by row: more is refused. */
#define PIECE_MAX	((uint64_t)256 << 20)
#define SHARED_MAX	16	/* times the file: what pieces may have together */
#define BAND_ROWS	64	/* at least so many are asked for at once */
/* Samples on a side that are averaged: sums of 255 * 255 fit 32 bits. */
#define AVERAGE_MAX	255
/* What averaging leaves for the resampling kernel, as in resize.h. */
#define AVERAGE_LEAVES	3

/* A file in memory: read from p, or written to out. */
struct file {
	const unsigned char	*p;
	size_t			 len, at;
	struct bytes		 out;
	size_t			 cap;
	char			 why[128];	/* libtiff's first complaint */
	bool			 scans;		/* it is about their number */
};

static tmsize_t
file_read(thandle_t h, void *buf, tmsize_t n)
{
	struct file *f = h;
	size_t left = f->at < f->len ? f->len - f->at : 0;
	size_t got = n < 0 ? 0 : (size_t)n < left ? (size_t)n : left;

	memcpy(buf, f->p + f->at, got);
	f->at += got;
	return ((tmsize_t)got);
}

static tmsize_t
file_write(thandle_t h, void *buf, tmsize_t n)
{
	struct file *f = h;

	if (bytes_put(&f->out, &f->cap, f->at, buf, (size_t)n) == -1)
		return (-1);
	f->at += (size_t)n;
	/* libtiff reads back what it wrote. */
	f->p = f->out.p;
	f->len = f->out.len;
	return (n);
}

static toff_t
file_seek(thandle_t h, toff_t to, int whence)
{
	struct file *f = h;
	toff_t base = whence == SEEK_CUR ? f->at : whence == SEEK_END ?
	    f->len : 0;

	/* A place that no file of ours has: every read there comes up short. */
	f->at = to > SIZE_MAX - base ? SIZE_MAX : (size_t)(base + to);
	return (f->at);
}

static toff_t
file_size(thandle_t h)
{
	return (((struct file *)h)->len);
}

static int
file_close(thandle_t h)
{
	(void)h;
	return (0);
}

static int
complain(TIFF *t, void *user, const char *module, const char *fmt, va_list ap)
{
	struct file *f = user;

	(void)t;
	(void)module;
	if (f->why[0] != '\0')
		return (1);
	f->scans = strncmp(fmt, "Scan number", 11) == 0;
	/* It says "at scanline 4294967295" of strips. */
	if (strncmp(fmt, "Read error", 10) == 0)
		snprintf(f->why, sizeof(f->why), "pixels are missing");
	else
		vsnprintf(f->why, sizeof(f->why), fmt, ap);
	return (1);
}

static int
ignore(TIFF *t, void *user, const char *module, const char *fmt, va_list ap)
{
	(void)t;
	(void)user;
	(void)module;
	(void)fmt;
	(void)ap;
	return (1);
}

static TIFF *
file_open(struct file *f, const char *mode)
{
	TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
	TIFF *t;

	if (o == NULL)
		return (NULL);
	TIFFOpenOptionsSetMaxSingleMemAlloc(o, ALLOC_MAX);
	TIFFOpenOptionsSetErrorHandlerExtR(o, complain, f);
	TIFFOpenOptionsSetWarningHandlerExtR(o, ignore, f);
	t = TIFFClientOpenExt("picture", mode, f, file_read, file_write,
	    file_seek, file_close, file_size, NULL, NULL, o);
	TIFFOpenOptionsFree(o);
	return (t);
}

static int
bad(struct ufop_err *err, const struct file *f)
{
	if (f->scans)
		return (image_err(err, UFOP_TOO_BIG, "a JPEG inside of the TIFF "
		    "has too many scans for its size; write it anew, or send a "
		    "smaller one"));
	return (image_err(err, UFOP_BAD_MEDIA, "the TIFF is damaged, cut short "
	    "or of an unknown kind (%s); send it as PNG or JPEG",
	    f->why[0] != '\0' ? f->why : "no page in it"));
}

static bool
match(const unsigned char *p, size_t len)
{
	return (len >= 8 && (memcmp(p, "II*\0", 4) == 0 ||
	    memcmp(p, "MM\0*", 4) == 0 || memcmp(p, "II+\0", 4) == 0 ||
	    memcmp(p, "MM\0+", 4) == 0));
}

static int
probe(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	struct file f = { .p = p, .len = len };
	TIFF *t = file_open(&f, "rm");
	uint16_t orient = 1, samples = 1, photometric = 0;
	uint32_t w = 0, h = 0, icc_len;
	void *icc;

	if (t == NULL)
		return (bad(err, &f));
	TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &w);
	TIFFGetField(t, TIFFTAG_IMAGELENGTH, &h);
	TIFFGetFieldDefaulted(t, TIFFTAG_ORIENTATION, &orient);
	TIFFGetFieldDefaulted(t, TIFFTAG_SAMPLESPERPIXEL, &samples);
	TIFFGetField(t, TIFFTAG_PHOTOMETRIC, &photometric);
	info->has_profile = TIFFGetField(t, TIFFTAG_ICCPROFILE, &icc_len,
	    &icc) == 1;
	TIFFClose(t);
	if (w == 0 || h == 0 || w > INT32_MAX || h > INT32_MAX)
		return (bad(err, &f));
	info->w = (int)w;
	info->h = (int)h;
	info->orient = orient >= 1 && orient <= 8 ? orient : 1;
	snprintf(info->color, sizeof(info->color), "%s",
	    photometric == PHOTOMETRIC_SEPARATED ? "cmyk" :
	    photometric == PHOTOMETRIC_PALETTE ? "palette256" :
	    samples == 1 ? "gray" : samples == 2 || samples == 4 ? "nrgba" :
	    "rgba");
	return (0);
}

static unsigned char *
profile(const unsigned char *p, size_t len, size_t *out_len)
{
	struct file f = { .p = p, .len = len };
	TIFF *t = file_open(&f, "rm");
	unsigned char *copy = NULL;
	uint32_t n;
	void *icc;

	if (t == NULL)
		return (NULL);
	if (TIFFGetField(t, TIFFTAG_ICCPROFILE, &n, &icc) == 1 &&
	    (copy = malloc(n > 0 ? n : 1)) != NULL) {
		memcpy(copy, icc, n);
		*out_len = n;
	}
	TIFFClose(t);
	return (copy);
}

/* ---- pixels ---------------------------------------------------------- */

/* A page on its way into an image. */
struct page {
	TIFF		*t;
	TIFFRGBAImage	 rgba;
	struct file	*f;
	bool		 ignore_error;
	uint32_t	 w, h;
	uint32_t	 x0, y0, x1, y1;	/* of it, what is looked at */
	bool		 multiplied;	/* alpha into colours */
	struct image	*im;
	uint32_t	 k;		/* k x k samples become one */
	uint32_t	*sums;		/* of the rows so far, r g b a; k > 1 */
};

static int
compression_of(const struct page *pg)
{
	uint16_t compression = COMPRESSION_NONE;

	TIFFGetFieldDefaulted(pg->t, TIFFTAG_COMPRESSION, &compression);
	return (compression);
}

/*
 * Whether libtiff hands out rows of its strips, each as soon as it is there.  Of
 * PackBits it does, but loses runs that some writers let go on in the next row.
 */
static bool
has_rows(const struct page *pg)
{
	switch (compression_of(pg)) {
	case COMPRESSION_NONE:
	case COMPRESSION_CCITTRLE:
	case COMPRESSION_CCITTFAX3:
	case COMPRESSION_CCITTFAX4:
	case COMPRESSION_LZW:
	case COMPRESSION_JPEG:
	case COMPRESSION_ADOBE_DEFLATE:
	case COMPRESSION_DEFLATE:
	case COMPRESSION_LZMA:
	case COMPRESSION_ZSTD:
		/* Rows of YCbCr share samples; JPEG's are RGB by now. */
		return (!TIFFIsTiled(pg->t) && pg->rgba.isContig &&
		    pg->rgba.photometric != PHOTOMETRIC_YCBCR);
	}
	return (false);
}

/* Whether pieces end with a sum that libdeflate can compare as they lie. */
static bool
has_sums(const struct page *pg)
{
	uint16_t order = FILLORDER_MSB2LSB;
	int compression = compression_of(pg);

	TIFFGetFieldDefaulted(pg->t, TIFFTAG_FILLORDER, &order);
	return (order == FILLORDER_MSB2LSB &&
	    (compression == COMPRESSION_ADOBE_DEFLATE ||
	    compression == COMPRESSION_DEFLATE));
}

/* Straight colours of n pixels whose alpha is as libtiff leaves it. */
static void
put_row(const struct page *pg, unsigned char *d, const unsigned char *s,
    uint32_t n)
{
	for (uint32_t x = 0; x < n; x++, s += 4) {
		for (int c = 0; c < 3; c++) {
			int v = s[c];

			if (pg->multiplied && s[3] != 0 && s[3] != 255)
				v = (v * 255 + s[3] / 2) / s[3];
			*d++ = (unsigned char)(v > 255 ? 255 : v);
		}
		if (pg->im->alpha)
			*d++ = s[3];
	}
}

/* Add n pixels to the sums; a colour counts as much as it shows. */
static void
add_row(struct page *pg, const unsigned char *s, uint32_t n)
{
	uint32_t *sum = pg->sums;

	for (uint32_t x = 0; x < n; x += pg->k, sum += 4)
		for (uint32_t i = 0; i < pg->k && x + i < n; i++, s += 4) {
			uint32_t a = pg->im->alpha ? s[3] : 255;
			uint32_t m = pg->multiplied ? 255 : a;

			for (int c = 0; c < 3; c++)
				sum[c] += s[c] * m;
			sum[3] += a;
		}
}

/* The means of what was added, from so many rows, and begin anew. */
static void
put_means(struct page *pg, unsigned char *d, uint32_t rows)
{
	const struct plane *pl = &pg->im->plane[0];
	uint32_t *sum = pg->sums, n = pg->x1 - pg->x0;

	for (uint32_t x = 0; x < n; x += pg->k, sum += 4) {
		uint32_t all = rows * (n - x < pg->k ? n - x : pg->k);
		uint64_t a = sum[3];

		for (int c = 0; c < 3; c++) {
			uint64_t v = a == 0 ? 0 : (sum[c] + a / 2) / a;

			*d++ = (unsigned char)(v > 255 ? 255 : v);
		}
		if (pl->n == 4)
			*d++ = (unsigned char)((a + all / 2) / all);
	}
	memset(pg->sums, 0, (size_t)pl->w * 4 * sizeof(*pg->sums));
}

/* Row y of the page, all of its pixels; rows come from the top down. */
static void
take_row(struct page *pg, uint32_t y, const uint32_t *pixels)
{
	const unsigned char *s = (const unsigned char *)(pixels + pg->x0);
	const struct plane *pl = &pg->im->plane[0];
	uint32_t n = pg->x1 - pg->x0, i;
	unsigned char *d;

	if (y < pg->y0 || y >= pg->y1)
		return;
	i = y - pg->y0;
	d = pl->p + (size_t)(i / pg->k) * pl->stride;
	if (pg->k == 1) {
		put_row(pg, d, s, n);
		return;
	}
	add_row(pg, s, n);
	if (i % pg->k == pg->k - 1 || y == pg->y1 - 1)
		put_means(pg, d, i % pg->k + 1);
}

/* Row by row; what cannot be read of a strip is left empty, or an error. */
static int
read_rows(struct page *pg, uint32_t strip_rows, struct ufop_err *err)
{
	tmsize_t size = TIFFScanlineSize(pg->t);
	uint32_t *pixels = image_malloc((size_t)pg->w * 4, err);
	unsigned char *row = image_malloc((size_t)size, err);
	uint32_t y = pg->y0 - pg->y0 % strip_rows, skip = 0;
	int ret = pixels == NULL || row == NULL ? -1 : 0;

	if (ret == 0)
		memset(row, 0, (size_t)size);
	for (; ret == 0 && y < pg->y1; y++) {
		if (y % strip_rows == 0)
			skip = 0;
		if (skip == 0 && TIFFReadScanline(pg->t, row, y, 0) != 1) {
			if (!pg->ignore_error)
				ret = bad(err, pg->f);
			/* It goes on with the next strip. */
			skip = 1;
		}
		if (skip)
			memset(pixels, 0, (size_t)pg->w * 4);
		else if (y >= pg->y0)
			pg->rgba.put.contig(&pg->rgba, pixels, 0, 0, pg->w, 1,
			    0, 0, row);
		take_row(pg, y, pixels);
	}
	free(pixels);
	free(row);
	return (ret);
}

/* Some rows of pieces at a time, by libtiff's own loop over them. */
static int
read_bands(struct page *pg, uint32_t rows, struct ufop_err *err)
{
	size_t size = (size_t)pg->w * rows * 4;
	uint32_t *pixels = image_malloc(size, err);

	if (pixels == NULL)
		return (-1);
	for (uint32_t y = pg->y0 - pg->y0 % rows; y < pg->y1; y += rows) {
		uint32_t n = pg->h - y < rows ? pg->h - y : rows;

		/* libtiff leaves alone what it cannot read. */
		memset(pixels, 0, size);
		pg->rgba.row_offset = (int)y;
		if (!TIFFRGBAImageGet(&pg->rgba, pixels, pg->w, n) &&
		    !pg->ignore_error) {
			free(pixels);
			return (bad(err, pg->f));
		}
		for (uint32_t i = 0; i < n; i++)
			take_row(pg, y + i, pixels + (size_t)i * pg->w);
	}
	free(pixels);
	return (0);
}

/* Whether a strip or tile of at most size bytes is what its sum says. */
static bool
sum_agrees(const struct page *pg, uint32_t piece,
    struct libdeflate_decompressor *z, unsigned char *room, size_t size)
{
	uint64_t at = TIFFGetStrileOffset(pg->t, piece), len = pg->f->len;
	uint64_t n = TIFFGetStrileByteCount(pg->t, piece);
	size_t got;

	return (at <= len && n <= len - at && libdeflate_zlib_decompress(z,
	    pg->f->p + at, n, room, size, &got) == LIBDEFLATE_SUCCESS);
}

/*
 * Compare the sums that Deflate wrote behind the pieces, of so many rows and of
 * size bytes at most, that are looked at.  libtiff lets it be when a piece is
 * longer than it must be, as some last strips are; but a flipped bit, too, can
 * make it so.
 */
static int
check_sums(const struct page *pg, uint32_t rows, size_t size,
    struct ufop_err *err)
{
	struct libdeflate_decompressor *z = libdeflate_alloc_decompressor();
	unsigned char *room = malloc(size);
	bool tiled = TIFFIsTiled(pg->t) != 0, ok = true;
	uint16_t samples = pg->rgba.samplesperpixel;
	uint16_t planes = pg->rgba.isContig ? 1 : samples < 4 ? samples : 4;
	uint32_t step = pg->w;

	if (tiled)
		TIFFGetField(pg->t, TIFFTAG_TILEWIDTH, &step);
	for (uint16_t c = 0; c < planes && room != NULL && z != NULL; c++)
		for (uint32_t y = pg->y0 - pg->y0 % rows; y < pg->y1; y += rows)
			for (uint64_t x = 0; ok && x < pg->w; x += step)
				ok = sum_agrees(pg, tiled ? TIFFComputeTile(
				    pg->t, (uint32_t)x, y, 0, c) :
				    TIFFComputeStrip(pg->t, y, c), z, room, size);
	if (z == NULL || room == NULL)
		image_err(err, UFOP_TOO_BIG, "not enough memory");
	else if (!ok) {
		snprintf(pg->f->why, sizeof(pg->f->why),
		    "its compressed pixels");
		bad(err, pg->f);
	}
	ok = ok && z != NULL && room != NULL;
	libdeflate_free_decompressor(z);
	free(room);
	return (ok ? 0 : -1);
}

/*
 * All pieces may be the same bytes, and Deflate has blocks of nothing: a small
 * file can have as much to unpack as it likes.  Writers share only what is
 * short, and none writes much more than the pixels are.
 */
static int
check_lengths(const struct page *pg, uint64_t piece, struct ufop_err *err)
{
	uint32_t n = TIFFIsTiled(pg->t) ? TIFFNumberOfTiles(pg->t) :
	    TIFFNumberOfStrips(pg->t);
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += (double)TIFFGetStrileByteCount(pg->t, i);
	if (sum <= 2.0 * (double)piece * n ||
	    sum <= (double)pg->f->len * SHARED_MAX)
		return (0);
	return (image_err(err, UFOP_TOO_BIG, "the TIFF has %zu bytes, and its "
	    "strips or tiles say to have %.0f together; write it anew",
	    pg->f->len, sum));
}

/* The way that needs the least; what would need too much is refused. */
static int
read_pixels(struct page *pg, struct ufop_err *err)
{
	bool tiled = TIFFIsTiled(pg->t) != 0;
	uint64_t piece = tiled ? TIFFTileSize64(pg->t) : TIFFStripSize64(pg->t);
	uint64_t need;
	uint32_t rows = 0, band;

	TIFFGetFieldDefaulted(pg->t, tiled ? TIFFTAG_TILELENGTH :
	    TIFFTAG_ROWSPERSTRIP, &rows);
	rows = rows > pg->h ? pg->h : rows;
	if (rows == 0 || piece == 0)
		return (bad(err, pg->f));
	if (check_lengths(pg, piece, err) == -1)
		return (-1);
	band = rows < BAND_ROWS ? BAND_ROWS / rows * rows : rows;
	band = band > pg->h ? pg->h : band;
	/* Of planes, three and an alpha are read. */
	need = piece > PIECE_MAX || pg->rgba.isContig ? piece : piece * 4;
	need += (uint64_t)pg->w * band * 4;
	if (has_rows(pg) && (pg->ignore_error || need > WHOLE_MAX) &&
	    TIFFScanlineSize64(pg->t) <= WHOLE_MAX)
		return (read_rows(pg, rows, err));
	if (need > PIECE_MAX)
		return (image_err(err, UFOP_TOO_BIG, "the TIFF is in pieces of "
		    "which each needs %llu MB; save it in smaller strips or "
		    "tiles", (unsigned long long)(need >> 20)));
	if (has_sums(pg) && !pg->ignore_error && need <= WHOLE_MAX &&
	    check_sums(pg, rows, (size_t)piece, err) == -1)
		return (-1);
	return (read_bands(pg, band, err));
}

static int
read_page(struct page *pg, const struct decode_hints *hints,
    struct ufop_err *err)
{
	uint32_t w = pg->x1 - pg->x0, h = pg->y1 - pg->y0, k = 1;
	double means = floor(hints->shrink / AVERAGE_LEAVES);
	struct plane *pl = &pg->im->plane[0];
	int ret = 0;

	if (hints->resized && means > 1)
		k = means < AVERAGE_MAX ? (uint32_t)means : AVERAGE_MAX;
	/* As stored: turning is not libtiff's work. */
	pg->rgba.orientation = pg->rgba.req_orientation = ORIENTATION_TOPLEFT;
	/* libtiff multiplies alpha into colours, but leaves grey as it is. */
	pg->multiplied = pg->rgba.alpha == EXTRASAMPLE_ASSOCALPHA ||
	    pg->rgba.photometric == PHOTOMETRIC_RGB;
	pg->k = k;
	if (image_init(pg->im, IMAGE_RGB, pg->rgba.alpha != 0,
	    (int)((w + k - 1) / k), (int)((h + k - 1) / k), err) == -1)
		return (-1);
	pl->x0 = pg->x0;
	pl->y0 = pg->y0;
	pl->sx = pl->sy = k;
	if (k > 1 && (pg->sums = calloc((size_t)pl->w * 4,
	    sizeof(*pg->sums))) == NULL)
		ret = image_err(err, UFOP_TOO_BIG, "not enough memory");
	if (ret == 0)
		ret = read_pixels(pg, err);
	free(pg->sums);
	if (ret == 0)
		image_drop_opaque(pg->im);
	else
		image_release(pg->im);
	return (ret);
}

/*
 * The scans that a JPEG inside may have, as many as one of the page's size alone.
 * libtiff looks there when it opens a file.
 */
static void
limit_scans(const struct image_info *info)
{
	int64_t n = SCANS_PIXELS_MAX / ((int64_t)info->w * info->h);
	char text[16];

	snprintf(text, sizeof(text), "%d", n < SCANS_MAX ? (int)n : SCANS_MAX);
	setenv("LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER", text, 1);
}

static int
decode(struct image *im, const struct image_info *info, const unsigned char *p,
    size_t len, const struct decode_hints *hints, struct decode_notes *notes,
    struct ufop_err *err)
{
	const struct rect *r = &hints->region;
	struct file f = { .p = p, .len = len };
	struct page pg = { .f = &f, .im = im,
	    .ignore_error = hints->ignore_error, .w = (uint32_t)info->w,
	    .h = (uint32_t)info->h, .x0 = (uint32_t)r->x, .y0 = (uint32_t)r->y,
	    .x1 = (uint32_t)(r->x + r->w), .y1 = (uint32_t)(r->y + r->h) };
	char why[1024] = "";
	int ret = -1;

	notes->shrink = 1;
	limit_scans(info);
	if ((pg.t = file_open(&f, "rm")) == NULL)
		return (bad(err, &f));
	if (TIFFRGBAImageBegin(&pg.rgba, pg.t, !hints->ignore_error, why)) {
		ret = read_page(&pg, hints, err);
		notes->shrink = (int)pg.k;
		TIFFRGBAImageEnd(&pg.rgba);
	} else {
		snprintf(f.why, sizeof(f.why), "%.100s", why);
		bad(err, &f);
	}
	TIFFClose(pg.t);
	return (ret);
}

static int
write_page(TIFF *t, const struct plane *pl, bool alpha, int density)
{
	static const uint16_t straight[] = { EXTRASAMPLE_UNASSALPHA };

	TIFFSetField(t, TIFFTAG_IMAGEWIDTH, (uint32_t)pl->w);
	TIFFSetField(t, TIFFTAG_IMAGELENGTH, (uint32_t)pl->h);
	TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, 8);
	TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, pl->n);
	TIFFSetField(t, TIFFTAG_PHOTOMETRIC, pl->n <= 2 ?
	    PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB);
	if (alpha)
		TIFFSetField(t, TIFFTAG_EXTRASAMPLES, 1, straight);
	if (density > 0) {
		TIFFSetField(t, TIFFTAG_XRESOLUTION, (double)density);
		TIFFSetField(t, TIFFTAG_YRESOLUTION, (double)density);
		TIFFSetField(t, TIFFTAG_RESOLUTIONUNIT, RESUNIT_INCH);
	}
	TIFFSetField(t, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
	TIFFSetField(t, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
	TIFFSetField(t, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
	TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, TIFFDefaultStripSize(t, 0));
	for (int y = 0; y < pl->h; y++)
		if (TIFFWriteScanline(t, pl->p + (size_t)y * pl->stride,
		    (uint32_t)y, 0) != 1)
			return (-1);
	return (0);
}

/* libtiff works on the row it is given: hence a copy where rows are ours. */
static int
encode(struct bytes *out, const struct image *im,
    const struct encode_opts *opts, struct ufop_err *err)
{
	struct plane copy = im->plane[0];
	struct file f = { .p = (const unsigned char *)"" };
	TIFF *t;
	int ret;

	copy.stride = (size_t)copy.w * (size_t)copy.n;
	copy.p = image_malloc(copy.stride * (size_t)copy.h, err);
	if (copy.p == NULL)
		return (-1);
	for (int y = 0; y < copy.h; y++)
		memcpy(copy.p + (size_t)y * copy.stride, im->plane[0].p +
		    (size_t)y * im->plane[0].stride, copy.stride);
	t = file_open(&f, "wm");
	ret = t != NULL ? write_page(t, &copy, im->alpha, opts->density) : -1;
	if (t != NULL)
		TIFFClose(t);
	free(copy.p);
	if (ret == -1) {
		free(f.out.p);
		return (image_err(err, UFOP_TOO_BIG, "not enough memory to "
		    "write the TIFF; ask for a smaller one"));
	}
	*out = f.out;
	return (0);
}

const struct codec codec_tiff = {
	.name = "tiff", .alias = "tif", .type = "image/tiff",
	.takes_alpha = true, .takes_grey = true, .max_side = 65535,
	.match = match, .probe = probe, .decode = decode, .profile = profile,
	.exif = exif_pack,	/* the file is such a block itself */
	.encode = encode
};
