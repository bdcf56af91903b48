/* SPDX-License-Identifier: MIT */
/*
 * TIFF by libtiff: the first page in, whatever its kind, by libtiff's own
 * conversion to RGBA; 8-bit samples packed by Deflate out.
 */
#include "codec.h"
#include "exif.h"

#include <tiffio.h>

/* No single piece of a file may ask libtiff for more. */
#define ALLOC_MAX	((tmsize_t)512 << 20)

/* A file in memory: read from p, or written to out. */
struct file {
	const unsigned char	*p;
	size_t			 len, at;
	struct bytes		 out;
	size_t			 cap;
	char			 why[128];	/* libtiff's first complaint */
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

static int
read_page(TIFF *t, struct image *im, const struct decode_hints *hints,
    struct file *f, struct ufop_err *err)
{
	struct plane *pl = &im->plane[0];
	TIFFRGBAImage page;
	char why[1024] = "";
	size_t n = (size_t)pl->w * (size_t)pl->h;
	unsigned char *p = pl->p;
	bool multiplied;
	int ok;

	if (!TIFFRGBAImageBegin(&page, t, !hints->ignore_error, why)) {
		snprintf(f->why, sizeof(f->why), "%.100s", why);
		return (bad(err, f));
	}
	/* As stored: turning is not libtiff's work. */
	page.orientation = page.req_orientation = ORIENTATION_TOPLEFT;
	ok = TIFFRGBAImageGet(&page, im->mem, (uint32_t)pl->w,
	    (uint32_t)pl->h);
	im->alpha = page.alpha != 0;
	/* libtiff multiplies alpha into colours, but leaves grey as it is. */
	multiplied = page.alpha == EXTRASAMPLE_ASSOCALPHA ||
	    page.photometric == PHOTOMETRIC_RGB;
	TIFFRGBAImageEnd(&page);
	if (!ok && !hints->ignore_error)
		return (bad(err, f));
	for (size_t i = 0; i < n && im->alpha && multiplied; i++, p += 4)
		for (int c = 0; c < 3 && p[3] != 0 && p[3] != 255; c++) {
			int v = (p[c] * 255 + p[3] / 2) / p[3];

			p[c] = (unsigned char)(v > 255 ? 255 : v);
		}
	if (im->alpha)
		return (0);
	im->alpha = true;
	return (image_drop_opaque(im, err));
}

static int
decode(struct image *im, const struct image_info *info, const unsigned char *p,
    size_t len, const struct decode_hints *hints, struct decode_notes *notes,
    struct ufop_err *err)
{
	struct file f = { .p = p, .len = len };
	TIFF *t = file_open(&f, "rm");
	int ret;

	notes->shrink = 1;
	if (t == NULL)
		return (bad(err, &f));
	ret = image_init(im, IMAGE_RGB, true, info->w, info->h, err);
	/* libtiff leaves alone what it cannot read: that must not be old memory. */
	if (ret == 0)
		memset(im->mem, 0, im->plane[0].stride * (size_t)info->h);
	if (ret == 0 && (ret = read_page(t, im, hints, &f, err)) == -1)
		image_release(im);
	TIFFClose(t);
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
