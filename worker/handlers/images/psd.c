/* SPDX-License-Identifier: MIT */
/*
 * Photoshop files: the flattened picture that stands behind the layers.  Grey,
 * RGB and CMYK of 8 or 16 bits, plain or PackBits.
 */
#include "codec.h"

#define HEADER		26
#define RESOURCE_ICC	1039

enum mode { MODE_GREY = 1, MODE_RGB = 3, MODE_CMYK = 4 };

struct psd {
	int			 channels, depth, mode;
	uint32_t		 w, h;
	const unsigned char	*icc;
	size_t			 icc_len;
	size_t			 pixels;	/* where compression is said */
};

static int
bad(struct ufop_err *err, const char *why)
{
	return (image_err(err, UFOP_BAD_MEDIA, "the PSD is damaged, cut short "
	    "or of an unknown kind (%s); send it as PNG or JPEG", why));
}

static bool
match(const unsigned char *p, size_t len)
{
	return (len >= HEADER && memcmp(p, "8BPS\0\1", 6) == 0);
}

/* The ICC profile among the image resources, if it is there. */
static void
find_icc(struct psd *psd, const unsigned char *p, size_t len)
{
	/* "8BIM", id, a name (length byte; even in all), size, data (even) */
	while (len >= 12 && memcmp(p, "8BIM", 4) == 0) {
		size_t name = ((size_t)p[6] + 2) & ~(size_t)1, n;
		unsigned id = be16(p + 4);

		if (len < 6 + name + 4)
			return;
		n = be32(p + 6 + name);
		p += 10 + name;
		len -= 10 + name;
		if (n > len)
			return;
		if (id == RESOURCE_ICC) {
			psd->icc = p;
			psd->icc_len = n;
			return;
		}
		n += n & 1;
		if (n > len)
			return;
		p += n;
		len -= n;
	}
}

static int
read_header(struct psd *psd, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	size_t at = HEADER;

	*psd = (struct psd){ .channels = (int)be16(p + 12), .h = be32(p + 14),
	    .w = be32(p + 18), .depth = (int)be16(p + 22),
	    .mode = (int)be16(p + 24) };
	if (psd->w == 0 || psd->h == 0 || psd->w > 300000 || psd->h > 300000)
		return (bad(err, "no size"));
	if (psd->depth != 8 && psd->depth != 16)
		return (bad(err, "not 8 or 16 bits a sample"));
	if ((psd->mode != MODE_GREY && psd->mode != MODE_RGB &&
	    psd->mode != MODE_CMYK) ||
	    psd->channels < (psd->mode == MODE_GREY ? 1 : psd->mode))
		return (bad(err, "not grey, RGB or CMYK"));
	/* Palette, resources, layers: each with its size in front. */
	for (int i = 0; i < 3; i++) {
		size_t n;

		if (len - at < 4 || (n = be32(p + at)) > len - at - 4)
			return (bad(err, "it ends early"));
		if (i == 1)
			find_icc(psd, p + at + 4, n);
		at += 4 + n;
	}
	if (len - at < 2)
		return (bad(err, "it ends early"));
	psd->pixels = at;
	return (0);
}

static int
probe(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	struct psd psd;

	if (read_header(&psd, p, len, err) == -1)
		return (-1);
	info->w = (int)psd.w;
	info->h = (int)psd.h;
	info->has_profile = psd.icc != NULL;
	snprintf(info->color, sizeof(info->color), "%s",
	    psd.mode == MODE_GREY ? "gray" : psd.mode == MODE_CMYK ? "cmyk" :
	    psd.channels > 3 ? "nrgba" : "rgba");
	return (0);
}

static unsigned char *
profile(const unsigned char *p, size_t len, size_t *out_len)
{
	struct ufop_err err;
	struct psd psd;
	unsigned char *copy;

	if (read_header(&psd, p, len, &err) == -1 || psd.icc == NULL ||
	    (copy = malloc(psd.icc_len + 1)) == NULL)
		return (NULL);
	memcpy(copy, psd.icc, psd.icc_len);
	*out_len = psd.icc_len;
	return (copy);
}

/* One row of n bytes from exactly len packed ones. */
static int
unpack(unsigned char *to, size_t n, const unsigned char *p, size_t len)
{
	const unsigned char *end = p + len;

	while (n > 0) {
		size_t run;

		if (end - p < 2)
			return (-1);
		if (*p == 128) {
			p++;
			continue;
		}
		run = *p < 128 ? (size_t)*p + 1 : (size_t)257 - *p;
		if (run > n || (*p < 128 && (size_t)(end - p) < run + 1))
			return (-1);
		if (*p < 128) {
			memcpy(to, p + 1, run);
			p += run + 1;
		} else {
			memset(to, p[1], run);
			p += 2;
		}
		to += run;
		n -= run;
	}
	return (0);
}

/*
 * All rows of the channels that are wanted, one after the other, each into its
 * place among the interleaved samples; row is room for one.
 */
static int
read_rows(const struct psd *psd, struct image *im, const unsigned char *p,
    size_t len, unsigned char *row, struct ufop_err *err)
{
	struct plane *pl = &im->plane[0];
	size_t bytes = (size_t)psd->depth / 8, n = psd->w * bytes;
	size_t at = psd->pixels + 2, counts = at;
	bool packed = be16(p + psd->pixels) == 1;

	if (be16(p + psd->pixels) > 1)
		return (bad(err, "an unknown compression"));
	if (packed)
		at += 2 * (size_t)psd->channels * psd->h;
	if (at > len)
		return (bad(err, "it ends early"));
	for (size_t i = 0; i < (size_t)pl->n * psd->h; i++) {
		size_t c = i / psd->h, y = i % psd->h;
		size_t size = packed ? be16(p + counts + 2 * i) : n;
		unsigned char *d = pl->p + y * pl->stride + c;

		if (size > len - at || (packed &&
		    unpack(row, n, p + at, size) == -1))
			return (bad(err, "pixels are missing"));
		for (size_t x = 0; x < psd->w; x++)
			d[x * (size_t)pl->n] = (packed ? row : p + at)[x * bytes];
		at += size;
	}
	return (0);
}

/* Photoshop lays what is transparent over white before it writes. */
static void
take_white_out(struct image *im)
{
	struct plane *pl = &im->plane[0];
	int n = pl->n - 1;

	for (size_t i = 0; i < (size_t)pl->w * (size_t)pl->h; i++) {
		unsigned char *p = pl->p + i * (size_t)pl->n;
		int a = p[n];

		for (int c = 0; c < n && a > 0 && a < 255; c++) {
			int v = (255 * p[c] - 255 * (255 - a) + a / 2) / a;

			p[c] = (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
		}
	}
}

static int
decode(struct image *im, const struct image_info *info, const unsigned char *p,
    size_t len, const struct decode_hints *hints, struct decode_notes *notes,
    struct ufop_err *err)
{
	struct psd psd;
	unsigned char *row;
	bool alpha;
	int ret;

	(void)hints;
	notes->shrink = 1;
	if (read_header(&psd, p, len, err) == -1)
		return (-1);
	alpha = psd.mode != MODE_CMYK &&
	    psd.channels > (psd.mode == MODE_GREY ? 1 : 3);
	if (image_init(im, psd.mode == MODE_GREY ? IMAGE_GREY :
	    psd.mode == MODE_CMYK ? IMAGE_CMYK : IMAGE_RGB, alpha, info->w,
	    info->h, err) == -1)
		return (-1);
	row = image_malloc((size_t)psd.w * 2, err);
	ret = row != NULL ? read_rows(&psd, im, p, len, row, err) : -1;
	free(row);
	if (ret == -1)
		image_release(im);
	else if (alpha)
		take_white_out(im);
	return (ret);
}

const struct codec codec_psd = {
	.name = "psd", .type = "image/vnd.adobe.photoshop",
	.match = match, .probe = probe, .decode = decode, .profile = profile
};
