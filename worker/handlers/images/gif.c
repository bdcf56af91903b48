/* SPDX-License-Identifier: MIT */
/*
 * GIF, still and moving, read and written here.
 *
 * Reading composes frames on a canvas as a browser would.  Writing looks at
 * what changed from one canvas to the next: a frame is only the rectangle
 * around it, and within that what stayed the same is transparent, which packs
 * well.
 */
#include "codec.h"
#include "quantize.h"

#define CODES		4096	/* 12 bits */
#define OPAQUE		128	/* alpha from here on is seen */
/* Browsers take 0 and 10 ms for 100; so shall what is made of it. */
#define DELAY_MIN_MS	20
#define DELAY_USUAL_MS	100

/*
 * Pixels that a byte can be at most: 12 bits are one code, and no code is longer
 * than all codes there are.  Smaller pictures may be mostly empty.
 */
#define PIXELS_A_BYTE	(CODES * 8 / 12)
#define SMALL		(4 << 20)	/* pixels */

enum disposal { KEEP = 1, CLEAR = 2, RESTORE = 3 };

struct area {
	int	x, y, w, h;
};

static int
bad(struct ufop_err *err, const char *why)
{
	return (image_err(err, UFOP_BAD_MEDIA, "the GIF is damaged or cut short "
	    "(%s); send a whole file", why));
}

static bool
match(const unsigned char *p, size_t len)
{
	return (len >= 13 && (memcmp(p, "GIF89a", 6) == 0 ||
	    memcmp(p, "GIF87a", 6) == 0));
}

/* Bytes of the colour table that a flag byte announces. */
static size_t
table_size(unsigned char flags)
{
	return (flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0);
}

/* Behind sub-blocks: a length byte each, 0 ends them.  0 when cut short. */
static size_t
skip_blocks(const unsigned char *p, size_t len, size_t at)
{
	while (at < len && p[at] != 0)
		at += (size_t)p[at] + 1;
	return (at < len ? at + 1 : 0);
}

static int
probe(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	size_t at = 13 + table_size(p[10]), colours = table_size(p[10]) / 3;
	int frames = 0;

	info->w = (int)le16(p + 6);
	info->h = (int)le16(p + 8);
	info->animated = true;
	info->plays = 1;
	if (info->w == 0 || info->h == 0)
		return (bad(err, "no size"));
	while (at != 0 && at + 2 < len && p[at] != 0x3b) {
		if (p[at] == 0x21) {
			if (p[at + 1] == 0xff && at + 18 < len &&
			    memcmp(p + at + 3, "NETSCAPE2.0\3\1", 13) == 0) {
				unsigned n = le16(p + at + 16);

				info->plays = n == 0 ? 0 : (int)n + 1;
			}
			at = skip_blocks(p, len, at + 2);
		} else if (p[at] == 0x2c && at + 11 <= len) {
			/* Without colours for all: those of the first frame. */
			if (frames++ == 0 && colours == 0)
				colours = table_size(p[at + 9]) / 3;
			at = skip_blocks(p, len, at + 11 +
			    table_size(p[at + 9]));
		} else
			break;
	}
	snprintf(info->color, sizeof(info->color), "palette%zu", colours);
	info->frames = frames > 0 ? frames : 1;
	return (0);
}

/* ---- LZW, reading ---------------------------------------------------- */

/* Bits of the data sub-blocks. */
struct bits {
	const unsigned char	*p;
	size_t			 len, at;
	int			 in_block;	/* bytes left of it */
	uint32_t		 have;
	int			 n;
};

/* The next code of size bits; -1 when the blocks end. */
static int
next_code(struct bits *b, int size)
{
	int code;

	while (b->n < size) {
		if (b->in_block == 0) {
			if (b->at >= b->len || b->p[b->at] == 0)
				return (-1);
			b->in_block = b->p[b->at++];
		}
		if (b->at >= b->len)
			return (-1);
		b->have |= (uint32_t)b->p[b->at++] << b->n;
		b->n += 8;
		b->in_block--;
	}
	code = (int)(b->have & ((1u << size) - 1));
	b->have >>= size;
	b->n -= size;
	return (code);
}

/* Where the pixels of a frame go, one after the other. */
struct pen {
	unsigned char		*canvas;	/* RGBA */
	int			 w, h;		/* of the canvas */
	struct area		 area;
	int			 x, y;		/* in the area */
	bool			 interlaced;
	int			 pass;
	const unsigned char	*table;
	int			 colours;
	int			 clear;		/* transparent index or -1 */
};

/* The row that follows y among h interlaced ones. */
static int
next_row(int y, int h, int *pass)
{
	static const int start[4] = { 0, 4, 2, 1 }, step[4] = { 8, 8, 4, 2 };

	y += step[*pass];
	while (y >= h && *pass < 3)
		y = start[++*pass];
	return (y);
}

static void
pen_line(struct pen *pen)
{
	pen->x = 0;
	pen->y = pen->interlaced ? next_row(pen->y, pen->area.h, &pen->pass) :
	    pen->y + 1;
}

static void
pen_put(struct pen *pen, int i)
{
	int x = pen->area.x + pen->x, y = pen->area.y + pen->y;

	if (i != pen->clear && i < pen->colours && x < pen->w && y < pen->h) {
		unsigned char *d = pen->canvas +
		    ((size_t)y * (size_t)pen->w + (size_t)x) * 4;

		memcpy(d, pen->table + 3 * i, 3);
		d[3] = 255;
	}
	if (++pen->x == pen->area.w)
		pen_line(pen);
}

/* Pixels of one frame; p[at] is the code size.  -1 when some are missing. */
static int
lzw_read(struct pen *pen, const unsigned char *p, size_t len, size_t at)
{
	uint16_t prefix[CODES];
	unsigned char suffix[CODES], stack[CODES + 1];
	struct bits b = { .p = p, .len = len, .at = at + 1 };
	int64_t left = (int64_t)pen->area.w * pen->area.h;
	int min = p[at], clear, next, size, prev = -1, first = 0;

	if (min < 1 || min > 8)
		return (-1);
	clear = 1 << min;
	next = clear + 2;
	size = min + 1;
	while (left > 0) {
		int code = next_code(&b, size), c = code, n = 0;

		if (code < 0 || code == clear + 1)
			return (-1);
		if (code == clear) {
			next = clear + 2;
			size = min + 1;
			prev = -1;
			continue;
		}
		if (prev < 0 ? code >= clear : code > next)
			return (-1);
		/* A code not known yet is the one before, and its first again. */
		if (prev >= 0 && code == next) {
			if (next == CODES)
				return (-1);
			stack[n++] = (unsigned char)first;
			c = prev;
		}
		for (; c >= clear; c = prefix[c])
			stack[n++] = suffix[c];
		first = c;
		stack[n++] = (unsigned char)c;
		if (prev >= 0 && next < CODES) {
			prefix[next] = (uint16_t)prev;
			suffix[next] = (unsigned char)first;
			if (++next == 1 << size && size < 12)
				size++;
		}
		prev = code;
		while (n > 0 && left > 0) {
			pen_put(pen, stack[--n]);
			left--;
		}
	}
	return (0);
}

/* ---- frames, reading ------------------------------------------------- */

struct reader {
	struct anim_reader	 r;		/* must be first */
	const unsigned char	*p;
	size_t			 len, at;
	int			 w, h, frames;
	bool			 still;		/* the first frame is the last */
	unsigned char		*canvas;	/* RGBA */
	unsigned char		*before;	/* for RESTORE; NULL till then */
	struct area		 last;		/* the latest frame's, and */
	int			 disposal;	/* what becomes of it */
};

static void
reader_close(struct anim_reader *ar)
{
	struct reader *r = (struct reader *)ar;

	free(r->canvas);
	free(r->before);
	free(r);
}

static void
dispose(struct reader *r)
{
	size_t row = (size_t)r->w * 4;

	if (r->disposal == RESTORE && r->before != NULL)
		memcpy(r->canvas, r->before, row * (size_t)r->h);
	if (r->disposal != CLEAR)
		return;
	for (int y = r->last.y; y < r->last.y + r->last.h && y < r->h; y++)
		if (r->last.x < r->w) {
			int w = r->w - r->last.x < r->last.w ?
			    r->w - r->last.x : r->last.w;

			memset(r->canvas + (size_t)y * row +
			    (size_t)r->last.x * 4, 0, (size_t)w * 4);
		}
}

/* The frame whose descriptor is at r->at. */
static int
read_frame(struct reader *r, int clear, int disposal, struct ufop_err *err)
{
	const unsigned char *d = r->p + r->at;
	struct pen pen = {
		.canvas = r->canvas, .w = r->w, .h = r->h,
		.area = { (int)le16(d + 1), (int)le16(d + 3), (int)le16(d + 5),
		    (int)le16(d + 7) },
		.interlaced = d[9] & 0x40, .clear = clear,
		.table = r->p + 13, .colours = (int)table_size(r->p[10]) / 3
	};
	size_t size = (size_t)r->w * (size_t)r->h * 4;
	size_t data = r->at + 10 + table_size(d[9]);

	if (d[9] & 0x80) {
		pen.table = d + 10;
		pen.colours = (int)table_size(d[9]) / 3;
	}
	if (data >= r->len || 13 + table_size(r->p[10]) > r->len)
		return (bad(err, "it ends inside a palette"));
	if (pen.area.w == 0 || pen.area.h == 0 || (int64_t)pen.area.w *
	    pen.area.h > 4 * (int64_t)r->w * r->h)
		return (bad(err, "the size of a frame"));
	if (disposal == RESTORE && !r->still) {
		if (r->before == NULL &&
		    (r->before = image_malloc(size, err)) == NULL)
			return (-1);
		memcpy(r->before, r->canvas, size);
	}
	if (lzw_read(&pen, r->p, r->len, data) == -1)
		return (bad(err, "pixels are missing"));
	r->last = pen.area;
	r->disposal = disposal;
	r->at = skip_blocks(r->p, r->len, data + 1);
	r->frames++;
	return (0);
}

/* The next frame onto the canvas; 1, 0 or -1 as of next(). */
static int
draw_next(struct reader *r, int *delay_ms, struct ufop_err *err)
{
	int clear = -1, disposal = KEEP, delay = 0;

	for (;;) {
		if (r->at == 0 || r->at >= r->len)
			return (bad(err, "it ends early"));
		if (r->p[r->at] == 0x3b)
			return (0);
		if (r->p[r->at] == 0x2c)
			break;
		if (r->p[r->at] != 0x21 || r->at + 8 > r->len)
			return (bad(err, "an unknown block"));
		if (r->p[r->at + 1] == 0xf9 && r->p[r->at + 2] >= 4) {
			const unsigned char *g = r->p + r->at + 3;

			disposal = g[0] >> 2 & 7;
			delay = (int)le16(g + 1) * 10;
			clear = g[0] & 1 ? g[3] : -1;
		}
		r->at = skip_blocks(r->p, r->len, r->at + 2);
	}
	if (r->at + 11 > r->len)
		return (bad(err, "it ends inside a frame"));
	dispose(r);
	if (read_frame(r, clear, disposal, err) == -1)
		return (-1);
	*delay_ms = delay < DELAY_MIN_MS ? DELAY_USUAL_MS : delay;
	return (1);
}

static int
reader_next(struct anim_reader *ar, struct image *im, int *delay_ms,
    struct ufop_err *err)
{
	struct reader *r = (struct reader *)ar;
	int ret = draw_next(r, delay_ms, err);

	if (ret != 1)
		return (ret);
	if (image_init(im, IMAGE_RGB, true, r->w, r->h, err) == -1)
		return (-1);
	memcpy(im->mem, r->canvas, (size_t)r->w * (size_t)r->h * 4);
	return (1);
}

static struct anim_reader *
read_frames(const struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	size_t n = (size_t)info->w * (size_t)info->h, size = n * 4;
	struct reader *r;

	if (n > SMALL && n / PIXELS_A_BYTE > len) {
		image_err(err, UFOP_TOO_BIG, "the GIF has %zu bytes for %dx%d "
		    "pixels, of which most can only be empty; send it smaller",
		    len, info->w, info->h);
		return (NULL);
	}
	if ((r = image_malloc(sizeof(*r), err)) == NULL)
		return (NULL);
	*r = (struct reader){ .r = { reader_next, reader_close }, .p = p,
	    .len = len, .at = 13 + table_size(p[10]), .w = info->w,
	    .h = info->h, .disposal = KEEP };
	if ((r->canvas = image_malloc(size, err)) == NULL) {
		free(r);
		return (NULL);
	}
	memset(r->canvas, 0, size);
	return (&r->r);
}

static int
decode(struct image *im, const struct image_info *info, const unsigned char *p,
    size_t len, const struct decode_hints *hints, struct decode_notes *notes,
    struct ufop_err *err)
{
	struct reader *r = (struct reader *)read_frames(info, p, len, err);
	int delay_ms, ret;

	notes->shrink = 1;
	if (r == NULL)
		return (-1);
	r->still = true;
	ret = draw_next(r, &delay_ms, err);
	/* What was cut off behind the first of many frames has only one left. */
	if (ret == 1 && info->frames == 1 && !hints->ignore_error &&
	    draw_next(r, &delay_ms, err) == -1)
		ret = -1;
	if (ret == 0)
		bad(err, "no frame");
	if (ret == 1) {
		/* The canvas itself: a copy would be as large again. */
		image_wrap(im, IMAGE_RGB, true, r->w, r->h, r->canvas);
		r->canvas = NULL;
	}
	reader_close(&r->r);
	return (ret == 1 ? 0 : -1);
}

/* ---- LZW, writing ---------------------------------------------------- */

struct out {
	struct bytes	 b;
	size_t		 cap;
	bool		 failed;
	/* the sub-block being filled */
	unsigned char	 block[256];	/* [0] is its length */
	uint32_t	 bits;
	int		 nbits;
};

static void
put(struct out *o, const void *p, size_t n)
{
	if (bytes_put(&o->b, &o->cap, o->b.len, p, n) == -1)
		o->failed = true;
}

static void
put_block(struct out *o)
{
	if (o->block[0] > 0)
		put(o, o->block, (size_t)o->block[0] + 1);
	o->block[0] = 0;
}

static void
put_code(struct out *o, int code, int size)
{
	o->bits |= (uint32_t)code << o->nbits;
	for (o->nbits += size; o->nbits >= 8; o->nbits -= 8) {
		o->block[++o->block[0]] = (unsigned char)o->bits;
		o->bits >>= 8;
		if (o->block[0] == 255)
			put_block(o);
	}
}

/* The area of a w wide plane of numbers of depth bits. */
static int
lzw_write(struct out *o, const unsigned char *index, int w,
    const struct area *a, int depth, bool interlaced, struct ufop_err *err)
{
	int min = depth < 2 ? 2 : depth, clear = 1 << min, size = min + 1;
	int next = clear + 2, code = -1, y = 0, pass = 0;
	/* The code of what code and then a pixel stand for; 0: none yet. */
	uint16_t *tree = image_malloc(CODES * 256 * sizeof(*tree), err);

	if (tree == NULL)
		return (-1);
	memset(tree, 0, CODES * 256 * sizeof(*tree));
	put(o, &(unsigned char){ (unsigned char)min }, 1);
	put_code(o, clear, size);
	for (int n = 0; n < a->h; n++) {
		const unsigned char *p = index + (size_t)(a->y + y) * (size_t)w +
		    a->x;

		y = interlaced ? next_row(y, a->h, &pass) : y + 1;
		for (int x = 0; x < a->w; x++) {
			uint16_t *t;

			if (code < 0) {
				code = p[x];
				continue;
			}
			t = &tree[code * 256 + p[x]];
			if (*t != 0) {
				code = *t;
				continue;
			}
			put_code(o, code, size);
			code = p[x];
			if (next < CODES) {
				*t = (uint16_t)next;
				if (next++ == 1 << size)
					size++;
				continue;
			}
			put_code(o, clear, size);
			memset(tree, 0, CODES * 256 * sizeof(*tree));
			next = clear + 2;
			size = min + 1;
		}
	}
	put_code(o, code, size);
	/* A reader has learnt one more code by now. */
	if (next == 1 << size && size < 12)
		size++;
	put_code(o, clear + 1, size);
	put_code(o, 0, 7);
	o->bits = 0;
	o->nbits = 0;
	put_block(o);
	put(o, "", 1);
	free(tree);
	return (0);
}

/* ---- frames, writing ------------------------------------------------- */

struct writer {
	struct anim_writer	 w;		/* must be first */
	struct out		 out;
	int			 width, height, colours;
	bool			 interlaced;
	unsigned char		*shown;		/* RGBA: the canvas so far */
	unsigned char		*frame;		/* what comes next, and */
	int			 delay_ms;	/* how long; 0: nothing yet */
	unsigned char		*used, *index;
};

static bool
seen(const unsigned char *px)
{
	return (px[3] >= OPAQUE);
}

/*
 * Mark the pixels of w->frame that must be drawn over w->shown, and find the
 * rectangle around them.
 */
static struct area
changes(struct writer *w)
{
	int x0 = w->width, y0 = w->height, x1 = 0, y1 = 0;
	const unsigned char *a = w->frame, *b = w->shown;
	unsigned char *used = w->used;

	for (int y = 0; y < w->height; y++)
		for (int x = 0; x < w->width; x++, a += 4, b += 4, used++) {
			*used = seen(a) && !(seen(b) && memcmp(a, b, 3) == 0);
			if (!*used)
				continue;
			x0 = x < x0 ? x : x0;
			x1 = x >= x1 ? x + 1 : x1;
			y0 = y < y0 ? y : y0;
			y1 = y + 1;
		}
	if (x1 == 0)			/* nothing: one pixel that is not drawn */
		return ((struct area){ 0, 0, 1, 1 });
	return ((struct area){ x0, y0, x1 - x0, y1 - y0 });
}

static int
write_frame(struct writer *w, bool clear_after, struct ufop_err *err)
{
	struct area a = changes(w);
	struct palette pal;
	unsigned char head[19], table[256][3] = { 0 };
	size_t n = (size_t)w->width * (size_t)w->height;
	int bits = 1, delay = w->delay_ms / 10;

	if (clear_after)
		a = (struct area){ 0, 0, w->width, w->height };
	if (quantize(&pal, w->index, w->frame, w->used, w->width, w->height,
	    w->colours, err) == -1)
		return (-1);
	for (size_t i = 0; i < n; i++)
		if (!w->used[i])
			w->index[i] = (unsigned char)pal.n;
	while (1 << bits < pal.n + 1)
		bits++;
	memcpy(table, pal.rgb, (size_t)pal.n * 3);
	memcpy(head, "\x21\xf9\4", 3);
	head[3] = (unsigned char)((clear_after ? CLEAR : KEEP) << 2 | 1);
	head[4] = (unsigned char)delay;
	head[5] = (unsigned char)(delay >> 8);
	head[6] = (unsigned char)pal.n;
	head[7] = 0;
	head[8] = 0x2c;
	head[9] = (unsigned char)a.x;
	head[10] = (unsigned char)(a.x >> 8);
	head[11] = (unsigned char)a.y;
	head[12] = (unsigned char)(a.y >> 8);
	head[13] = (unsigned char)a.w;
	head[14] = (unsigned char)(a.w >> 8);
	head[15] = (unsigned char)a.h;
	head[16] = (unsigned char)(a.h >> 8);
	head[17] = (unsigned char)(0x80 | (w->interlaced ? 0x40 : 0) |
	    (bits - 1));
	put(&w->out, head, 18);
	put(&w->out, table, (size_t)3 << bits);
	if (lzw_write(&w->out, w->index, w->width, &a, bits, w->interlaced,
	    err) == -1)
		return (-1);
	/* What a viewer has now: drawn pixels as they were meant to be. */
	for (size_t i = 0; i < n; i++)
		if (clear_after)
			w->shown[i * 4 + 3] = 0;
		else if (w->used[i])
			memcpy(w->shown + i * 4, w->frame + i * 4, 4);
	return (0);
}

static int
writer_add(struct anim_writer *aw, const struct image *im, int delay_ms,
    struct ufop_err *err)
{
	struct writer *w = (struct writer *)aw;
	const struct plane *pl = &im->plane[0];
	bool clear = false;
	unsigned char *d = w->frame;

	/* A pixel can be taken away only by clearing the frame before. */
	for (int y = 0; y < pl->h && w->delay_ms > 0 && im->alpha && !clear;
	    y++)
		for (int x = 0; x < pl->w && !clear; x++) {
			size_t i = (size_t)y * (size_t)pl->w + (size_t)x;

			clear = pl->p[(size_t)y * pl->stride + (size_t)x * 4 +
			    3] < OPAQUE && (seen(w->frame + 4 * i) ||
			    seen(w->shown + 4 * i));
		}
	if (w->delay_ms > 0 && write_frame(w, clear, err) == -1)
		return (-1);
	for (int y = 0; y < pl->h; y++) {
		const unsigned char *s = pl->p + (size_t)y * pl->stride;

		for (int x = 0; x < pl->w; x++, s += pl->n, d += 4) {
			memcpy(d, s, 3);
			d[3] = im->alpha ? s[3] : 255;
		}
	}
	w->delay_ms = delay_ms > 10 ? delay_ms : 10;
	return (0);
}

static int
writer_finish(struct anim_writer *aw, struct bytes *out, struct ufop_err *err)
{
	struct writer *w = (struct writer *)aw;

	if (write_frame(w, false, err) == -1)
		return (-1);
	put(&w->out, ";", 1);
	if (w->out.failed)
		return (image_err(err, UFOP_TOO_BIG, "not enough memory to write "
		    "the GIF; ask for a smaller one"));
	*out = w->out.b;
	w->out.b.p = NULL;
	return (0);
}

static void
writer_close(struct anim_writer *aw)
{
	struct writer *w = (struct writer *)aw;

	free(w->out.b.p);
	free(w->shown);
	free(w->frame);
	free(w->used);
	free(w->index);
	free(w);
}

static struct anim_writer *
write_frames(int width, int height, int plays, const struct encode_opts *opts,
    struct ufop_err *err)
{
	size_t n = (size_t)width * (size_t)height;
	struct writer *w = image_malloc(sizeof(*w), err);
	unsigned char head[13] = "GIF89a", loop[] = "\x21\xff\x0bNETSCAPE2.0"
	    "\3\1\0\0";

	if (w == NULL)
		return (NULL);
	*w = (struct writer){ .w = { writer_add, writer_finish, writer_close },
	    .width = width, .height = height };
	/* One of 256 numbers is kept for what is not drawn. */
	w->colours = opts->colours > 0 && opts->colours < 255 ?
	    opts->colours : 255;
	w->shown = image_malloc(n * 4, err);
	w->frame = image_malloc(n * 4, err);
	w->used = image_malloc(n, err);
	w->index = image_malloc(n, err);
	if (w->shown == NULL || w->frame == NULL || w->used == NULL ||
	    w->index == NULL) {
		writer_close(&w->w);
		return (NULL);
	}
	memset(w->shown, 0, n * 4);
	head[6] = (unsigned char)width;
	head[7] = (unsigned char)(width >> 8);
	head[8] = (unsigned char)height;
	head[9] = (unsigned char)(height >> 8);
	put(&w->out, head, sizeof(head));
	if (plays != 1) {
		int n_more = plays == 0 ? 0 : plays - 1;

		loop[16] = (unsigned char)n_more;
		loop[17] = (unsigned char)(n_more >> 8);
		put(&w->out, loop, sizeof(loop));
	}
	return (&w->w);
}

static int
encode(struct bytes *out, const struct image *im,
    const struct encode_opts *opts, struct ufop_err *err)
{
	struct anim_writer *w = write_frames(im->plane[0].w, im->plane[0].h, 1,
	    opts, err);
	int ret;

	if (w == NULL)
		return (-1);
	/* Frames that move are over before they are half there: only here. */
	((struct writer *)w)->interlaced = opts->interlace;
	ret = w->add(w, im, DELAY_USUAL_MS, err);
	if (ret == 0)
		ret = w->finish(w, out, err);
	w->close(w);
	return (ret);
}

const struct codec codec_gif = {
	.name = "gif", .type = "image/gif", .max_side = 65535,
	.takes_alpha = true,
	.match = match, .probe = probe, .decode = decode, .encode = encode,
	.read_frames = read_frames, .write_frames = write_frames
};
