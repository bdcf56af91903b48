/* SPDX-License-Identifier: MIT */
/*
 * The formats that stb reads and writes, BMP and TGA; and PNM, which is so
 * simple that it is read here.
 *
 * stb reads zeros behind the end of its input, or leaves a row as the memory
 * was: a file cut short would become a picture.  How long it must be is therefore
 * known from its header before, and stb is fed through callbacks that notice when
 * it asks for more.  stb.c sees to it that it gets no memory of others.
 */
#include "codec.h"

#define STBI_NO_STDIO
#include <stb/stb_image.h>
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

struct feed {
	const unsigned char	*p;
	size_t			 len, at;
	bool			 short_of;	/* asked for more than there is */
};

static int
feed_read(void *user, char *data, int size)
{
	struct feed *f = user;
	size_t n = f->len - f->at < (size_t)size ? f->len - f->at :
	    (size_t)size;

	if (n == 0)
		f->short_of = true;
	memcpy(data, f->p + f->at, n);
	f->at += n;
	return ((int)n);
}

static void
feed_skip(void *user, int n)
{
	struct feed *f = user;

	if (n >= 0 && (size_t)n > f->len - f->at) {
		f->short_of = true;
		f->at = f->len;
	} else if (n >= 0 || (size_t)-n <= f->at)
		f->at = (size_t)((ptrdiff_t)f->at + n);
}

static int
feed_eof(void *user)
{
	const struct feed *f = user;

	return (f->at >= f->len);
}

static const stbi_io_callbacks feed_callbacks = {
	feed_read, feed_skip, feed_eof
};

static int
bad(struct ufop_err *err, const struct codec *codec, const char *why)
{
	if (strcmp(why, "outofmem") == 0)	/* stb's word */
		return (image_err(err, UFOP_TOO_BIG, "the %s file needs more "
		    "memory than this task may use; send a smaller one",
		    codec->name));
	return (image_err(err, UFOP_BAD_MEDIA, "the %s file is damaged, cut "
	    "short or of an unknown kind (%s); send it as PNG or JPEG",
	    codec->name, why));
}

static int
probe(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	int comp;

	if (len > INT32_MAX)
		return (image_err(err, UFOP_TOO_BIG, "the file is over 2 GB"));
	if (stbi_info_from_memory(p, (int)len, &info->w, &info->h, &comp) == 0)
		return (bad(err, info->codec, stbi_failure_reason()));
	/* A BMP whose first row is on top has a negative height. */
	if (info->h < 0 && info->h > INT32_MIN && info->codec == &codec_bmp)
		info->h = -info->h;
	if (info->w < 1 || info->h < 1)
		return (bad(err, info->codec, "no size"));
	snprintf(info->color, sizeof(info->color), "%s",
	    comp <= 2 ? "gray" : comp == 4 ? "nrgba" : "rgba");
	return (0);
}

/*
 * Bytes without which a file of that header has not all of its pixels; match()
 * has seen that the header is there.
 */
static size_t
least_bmp(const unsigned char *p, size_t len, size_t w, size_t h)
{
	size_t pixels = le32(p + 10), bits, row;

	/* The first of all headers has 12 bytes, and sizes of 16 bits. */
	if (le32(p + 14) != 12 && len < 30)
		return (30);
	bits = le16(p + (le32(p + 14) == 12 ? 24 : 28));
	row = (w * bits + 7) / 8;
	/* Nobody misses what fills up the last row to four bytes. */
	return (pixels + (h - 1) * ((row + 3) & ~(size_t)3) + row);
}

static size_t
least_tga(const unsigned char *p, size_t w, size_t h)
{
	size_t bytes = ((size_t)p[16] + 7) / 8, n = w * h;
	size_t head = (size_t)18 + p[0];

	if (p[1] == 1)
		head += le16(p + 5) * (((size_t)p[7] + 7) / 8);
	/* A run is of 128 pixels at most. */
	return (head + (p[2] & 8 ? (n + 127) / 128 * (1 + bytes) : n * bytes));
}

static int
decode(struct image *im, const struct image_info *info, const unsigned char *p,
    size_t len, const struct decode_hints *hints, struct decode_notes *notes,
    struct ufop_err *err)
{
	struct feed f = { p, len, 0, false };
	size_t least;
	int w, h, n;
	unsigned char *px;

	notes->shrink = 1;
	least = info->codec == &codec_bmp ?
	    least_bmp(p, len, (size_t)info->w, (size_t)info->h) :
	    least_tga(p, (size_t)info->w, (size_t)info->h);
	if (len < least && !hints->ignore_error)
		return (bad(err, info->codec, "it ends early"));
	px = stbi_load_from_callbacks(&feed_callbacks, &f, &w, &h, &n, 0);
	if (px == NULL)
		return (bad(err, info->codec, stbi_failure_reason()));
	/* stb's own sizes are those of the header, or it is not our picture. */
	if ((f.short_of && !hints->ignore_error) || w != info->w ||
	    h != info->h) {
		stbi_image_free(px);
		return (bad(err, info->codec, "it ends early"));
	}
	image_wrap(im, n <= 2 ? IMAGE_GREY : IMAGE_RGB, n == 2 || n == 4, w, h,
	    px);
	return (0);
}

/* ---- what is what ---------------------------------------------------- */

static bool
match_bmp(const unsigned char *p, size_t len)
{
	return (len >= 26 && p[0] == 'B' && p[1] == 'M');
}

static bool
match_pnm(const unsigned char *p, size_t len)
{
	return (len >= 8 && p[0] == 'P' && (p[1] == '5' || p[1] == '6') &&
	    (p[2] == ' ' || p[2] == '\n' || p[2] == '\r' || p[2] == '\t'));
}

/* ---- PNM ------------------------------------------------------------- */

/*
 * A number of the header, behind space and comments; -1 when there is none
 * below a million.
 */
static int
pnm_number(const unsigned char *p, size_t len, size_t *at)
{
	int v = 0;
	size_t first;

	while (*at < len && p[*at] != '\0' &&
	    strchr(" \t\r\n#", p[*at]) != NULL)
		if (p[*at] == '#')
			while (*at < len && p[*at] != '\n')
				++*at;
		else
			++*at;
	for (first = *at; *at < len && p[*at] >= '0' && p[*at] <= '9'; ++*at)
		if ((v = v * 10 + (p[*at] - '0')) >= 1000000)
			return (-1);
	return (*at > first ? v : -1);
}

/* Fill w, h, full (the sample of white) and where the samples begin. */
static int
pnm_header(const unsigned char *p, size_t len, int *w, int *h, int *full,
    size_t *at)
{
	*at = 2;
	*w = pnm_number(p, len, at);
	*h = pnm_number(p, len, at);
	*full = pnm_number(p, len, at);
	++*at;
	return (*w < 1 || *h < 1 || *full < 1 || *full > 65535 || *at > len ?
	    -1 : 0);
}

static int
probe_pnm(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	size_t at;
	int full;

	if (pnm_header(p, len, &info->w, &info->h, &full, &at) == -1)
		return (bad(err, info->codec, "no size"));
	snprintf(info->color, sizeof(info->color), "%s",
	    p[1] == '5' ? "gray" : "rgba");
	return (0);
}

static int
decode_pnm(struct image *im, const struct image_info *info,
    const unsigned char *p, size_t len, const struct decode_hints *hints,
    struct decode_notes *notes, struct ufop_err *err)
{
	int w, h, full, bytes;
	size_t at, n;

	(void)hints;
	notes->shrink = 1;
	if (pnm_header(p, len, &w, &h, &full, &at) == -1)
		return (bad(err, info->codec, "no size"));
	bytes = full > 255 ? 2 : 1;
	n = (size_t)w * (size_t)h * (p[1] == '5' ? 1 : 3);
	if ((len - at) / (size_t)bytes < n)
		return (bad(err, info->codec, "it ends early"));
	if (image_init(im, p[1] == '5' ? IMAGE_GREY : IMAGE_RGB, false, w, h,
	    err) == -1)
		return (-1);
	p += at;
	for (size_t i = 0; i < n; i++) {
		int v = bytes == 2 ? p[2 * i] << 8 | p[2 * i + 1] : p[i];

		im->plane[0].p[i] = (unsigned char)(v >= full ? 255 :
		    (v * 255 + full / 2) / full);
	}
	return (0);
}

/*
 * No magic number: the header must make sense in every field.  Text does not
 * pass (its second byte is never 0 or 1).
 */
static bool
match_tga(const unsigned char *p, size_t len)
{
	int type;

	if (len < 18 || p[1] > 1)
		return (false);
	type = p[2] & ~8;		/* 8: run lengths */
	if (type < 1 || type > 3 || (type == 1) != (p[1] == 1))
		return (false);
	if (p[1] == 0 && (p[3] | p[4] | p[5] | p[6] | p[7]) != 0)
		return (false);
	if ((p[12] | p[13]) == 0 || (p[14] | p[15]) == 0 || p[17] > 0x3f)
		return (false);
	return (p[16] == 8 || p[16] == 15 || p[16] == 16 || p[16] == 24 ||
	    p[16] == 32);
}

/* ---- writing --------------------------------------------------------- */

struct sink {
	struct bytes	 out;
	size_t		 cap;
	bool		 failed;
};

static void
sink_write(void *user, void *data, int size)
{
	struct sink *s = user;

	if (s->failed || bytes_put(&s->out, &s->cap, s->out.len, data,
	    (size_t)size) == -1)
		s->failed = true;
}

/* stb wants rows without gaps; 0 bytes of padding are the usual case. */
static int
encode_with(struct bytes *out, const struct image *im, struct ufop_err *err,
    int (*write)(stbi_write_func *, void *, int, int, int, const void *))
{
	const struct plane *pl = &im->plane[0];
	size_t row = (size_t)pl->w * (size_t)pl->n;
	struct sink s = { 0 };
	unsigned char *tight = NULL;
	int ok;

	if (pl->stride != row) {
		if ((tight = image_malloc(row * (size_t)pl->h, err)) == NULL)
			return (-1);
		for (int y = 0; y < pl->h; y++)
			memcpy(tight + (size_t)y * row, pl->p +
			    (size_t)y * pl->stride, row);
	}
	ok = write(sink_write, &s, pl->w, pl->h, pl->n,
	    tight != NULL ? tight : pl->p);
	free(tight);
	if (!ok || s.failed) {
		free(s.out.p);
		return (image_err(err, UFOP_TOO_BIG, "not enough memory to "
		    "write the picture; ask for a smaller one"));
	}
	*out = s.out;
	return (0);
}

static int
encode_bmp(struct bytes *out, const struct image *im,
    const struct encode_opts *opts, struct ufop_err *err)
{
	(void)opts;
	return (encode_with(out, im, err, stbi_write_bmp_to_func));
}

static int
encode_tga(struct bytes *out, const struct image *im,
    const struct encode_opts *opts, struct ufop_err *err)
{
	(void)opts;
	return (encode_with(out, im, err, stbi_write_tga_to_func));
}

const struct codec codec_bmp = {
	.name = "bmp", .type = "image/bmp", .max_side = 30000,
	.match = match_bmp, .probe = probe, .decode = decode,
	.encode = encode_bmp
};

const struct codec codec_pnm = {
	.name = "pnm", .type = "image/x-portable-anymap",
	.match = match_pnm, .probe = probe_pnm, .decode = decode_pnm
};

const struct codec codec_tga = {
	.name = "tga", .type = "image/x-tga", .takes_alpha = true,
	.takes_grey = true, .max_side = 65535,
	.match = match_tga, .probe = probe, .decode = decode,
	.encode = encode_tga
};
