/* SPDX-License-Identifier: MIT */
/* WebP, still and moving, by libwebp. */
#include "codec.h"
#include "exif.h"

#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

/*
 * Effort of the encoder, 0 to 6: 2 takes less than half the time of the usual
 * 4 and makes files 4 % longer.
 */
#define METHOD		2
#define MARGIN		8	/* pixels around a crop: upsampling looks there */

static bool
match(const unsigned char *p, size_t len)
{
	return (len >= 16 && memcmp(p, "RIFF", 4) == 0 &&
	    memcmp(p + 8, "WEBPVP8", 7) == 0);
}

static int
bad(struct ufop_err *err, VP8StatusCode code)
{
	if (code == VP8_STATUS_OUT_OF_MEMORY)
		return (image_err(err, UFOP_TOO_BIG, "the WebP needs more "
		    "memory than this task may use; send a smaller one"));
	return (image_err(err, UFOP_BAD_MEDIA, "the WebP is damaged or cut "
	    "short; send a whole file"));
}

/* VP8X: flags of what the file holds. */
static bool
holds(const unsigned char *p, size_t len, int flag)
{
	return (len > 20 && memcmp(p + 12, "VP8X", 4) == 0 && p[20] & flag);
}

/* A copy of a chunk, or NULL. */
static unsigned char *
copy_chunk(const unsigned char *p, size_t len, const char *fourcc,
    size_t *out_len)
{
	WebPData data = { p, len };
	WebPDemuxer *demux = WebPDemux(&data);
	WebPChunkIterator it;
	unsigned char *copy = NULL;

	if (demux == NULL)
		return (NULL);
	if (WebPDemuxGetChunk(demux, fourcc, 1, &it)) {
		if ((copy = malloc(it.chunk.size + 1)) != NULL) {
			memcpy(copy, it.chunk.bytes, it.chunk.size);
			*out_len = it.chunk.size;
		}
		WebPDemuxReleaseChunkIterator(&it);
	}
	WebPDemuxDelete(demux);
	return (copy);
}

static unsigned char *
profile(const unsigned char *p, size_t len, size_t *out_len)
{
	return (copy_chunk(p, len, "ICCP", out_len));
}

static unsigned char *
exif(const unsigned char *p, size_t len, size_t *out_len)
{
	size_t n;
	unsigned char *block = copy_chunk(p, len, "EXIF", &n), *packed = NULL;

	if (block != NULL)
		packed = exif_pack(block, n, out_len);
	free(block);
	return (packed);
}

static int
probe(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	WebPBitstreamFeatures f;
	VP8StatusCode code = WebPGetFeatures(p, len, &f);
	WebPData data = { p, len };
	WebPDemuxer *demux;
	unsigned char *block;
	size_t n;

	if (code != VP8_STATUS_OK)
		return (bad(err, code));
	info->w = f.width;
	info->h = f.height;
	info->animated = f.has_animation;
	info->has_profile = holds(p, len, ICCP_FLAG);
	if (holds(p, len, EXIF_FLAG) &&
	    (block = copy_chunk(p, len, "EXIF", &n)) != NULL) {
		info->orient = exif_orientation(block, n);
		free(block);
	}
	snprintf(info->color, sizeof(info->color), "%s",
	    f.has_alpha ? "nycbcra" : f.format == 2 ? "nrgba" : "ycbcr");
	if (!f.has_animation)
		return (0);
	if ((demux = WebPDemux(&data)) == NULL)
		return (bad(err, VP8_STATUS_BITSTREAM_ERROR));
	info->frames = (int)WebPDemuxGetI(demux, WEBP_FF_FRAME_COUNT);
	info->plays = (int)WebPDemuxGetI(demux, WEBP_FF_LOOP_COUNT);
	WebPDemuxDelete(demux);
	return (0);
}

static int
decode_still(struct image *im, const struct image_info *info,
    const unsigned char *p, size_t len, const struct rect *region,
    struct ufop_err *err)
{
	WebPDecoderConfig c;
	VP8StatusCode code;
	struct plane *pl = &im->plane[0];
	int x = 0, y = 0, w = info->w, h = info->h;

	if (!WebPInitDecoderConfig(&c) ||
	    (code = WebPGetFeatures(p, len, &c.input)) != VP8_STATUS_OK)
		return (bad(err, VP8_STATUS_BITSTREAM_ERROR));
	if (region->w * region->h * 4 < 3.0 * w * h) {
		int x1 = (int)(region->x + region->w) + MARGIN;
		int y1 = (int)(region->y + region->h) + MARGIN;

		/* libwebp wants even corners. */
		x = region->x > MARGIN ? ((int)region->x - MARGIN) & ~1 : 0;
		y = region->y > MARGIN ? ((int)region->y - MARGIN) & ~1 : 0;
		w = (x1 < info->w ? x1 : info->w) - x;
		h = (y1 < info->h ? y1 : info->h) - y;
		c.options.use_cropping = 1;
		c.options.crop_left = x;
		c.options.crop_top = y;
		c.options.crop_width = w;
		c.options.crop_height = h;
	}
	if (image_init(im, IMAGE_RGB, c.input.has_alpha, w, h, err) == -1)
		return (-1);
	pl->x0 = x;
	pl->y0 = y;
	c.output.colorspace = c.input.has_alpha ? MODE_RGBA : MODE_RGB;
	c.output.is_external_memory = 1;
	c.output.u.RGBA.rgba = pl->p;
	c.output.u.RGBA.stride = (int)pl->stride;
	c.output.u.RGBA.size = pl->stride * (size_t)h;
	code = WebPDecode(p, len, &c);
	WebPFreeDecBuffer(&c.output);
	if (code != VP8_STATUS_OK) {
		image_release(im);
		return (bad(err, code));
	}
	return (0);
}

/* ---- frames ---------------------------------------------------------- */

struct reader {
	struct anim_reader	 r;	/* must be first */
	WebPAnimDecoder		*dec;
	int			 w, h;
	int			 at_ms;	/* end of the latest frame */
	int			 left;	/* frames to come, by the header */
};

static void
reader_close(struct anim_reader *ar)
{
	struct reader *r = (struct reader *)ar;

	WebPAnimDecoderDelete(r->dec);
	free(r);
}

static int
reader_next(struct anim_reader *ar, struct image *im, int *delay_ms,
    struct ufop_err *err)
{
	struct reader *r = (struct reader *)ar;
	uint8_t *canvas;
	int end_ms;

	if (r->left-- == 0)
		return (0);
	if (!WebPAnimDecoderGetNext(r->dec, &canvas, &end_ms))
		return (bad(err, VP8_STATUS_BITSTREAM_ERROR));
	if (image_init(im, IMAGE_RGB, true, r->w, r->h, err) == -1)
		return (-1);
	memcpy(im->mem, canvas, (size_t)r->w * (size_t)r->h * 4);
	/* libwebp's sum may have gone round; what was added is below 1 << 24. */
	*delay_ms = (int)((unsigned)end_ms - (unsigned)r->at_ms);
	r->at_ms = end_ms;
	return (1);
}

static struct anim_reader *
read_frames(const struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	WebPData data = { p, len };
	WebPAnimDecoderOptions opts;
	struct reader *r = image_malloc(sizeof(*r), err);

	if (r == NULL)
		return (NULL);
	WebPAnimDecoderOptionsInit(&opts);
	opts.color_mode = MODE_RGBA;
	*r = (struct reader){ { reader_next, reader_close },
	    WebPAnimDecoderNew(&data, &opts), info->w, info->h, 0,
	    info->frames };
	if (r->dec == NULL) {
		bad(err, VP8_STATUS_BITSTREAM_ERROR);
		free(r);
		return (NULL);
	}
	return (&r->r);
}

static int
decode(struct image *im, const struct image_info *info, const unsigned char *p,
    size_t len, const struct decode_hints *hints, struct decode_notes *notes,
    struct ufop_err *err)
{
	struct anim_reader *r;
	int delay_ms, ret;

	notes->shrink = 1;
	if (!info->animated)
		return (decode_still(im, info, p, len, &hints->region, err));
	if ((r = read_frames(info, p, len, err)) == NULL)
		return (-1);
	ret = r->next(r, im, &delay_ms, err);
	r->close(r);
	if (ret == 0)
		return (bad(err, VP8_STATUS_BITSTREAM_ERROR));
	return (ret == 1 ? 0 : -1);
}

/* ---- writing --------------------------------------------------------- */

static int
config(WebPConfig *c, const struct encode_opts *opts, struct ufop_err *err)
{
	if (!WebPConfigPreset(c, WEBP_PRESET_DEFAULT, (float)opts->quality))
		return (image_err(err, UFOP_FAILED, "libwebp is of another "
		    "version"));
	c->method = METHOD;
	return (0);
}

/* JPEG's YCC uses all of 0 to 255; WebP's leaves room at both ends. */
static void
narrow_plane(uint8_t *to, int stride, const struct plane *from, int low,
    int high)
{
	uint8_t map[256];

	for (int i = 0; i < 256; i++)
		map[i] = (uint8_t)(low + (i * (high - low) * 2 + 255) / 510);
	for (int y = 0; y < from->h; y++) {
		const unsigned char *s = from->p + (size_t)y * from->stride;

		for (int x = 0; x < from->w; x++)
			to[(ptrdiff_t)y * stride + x] = map[s[x]];
	}
}

static int
fill(WebPPicture *pic, const struct image *im)
{
	const struct plane *a = &im->plane[0];

	if (im->nplanes == 3) {
		if (!WebPPictureAlloc(pic))
			return (0);
		narrow_plane(pic->y, pic->y_stride, a, 16, 235);
		narrow_plane(pic->u, pic->uv_stride, &im->plane[1], 16, 240);
		narrow_plane(pic->v, pic->uv_stride, &im->plane[2], 16, 240);
		return (1);
	}
	return (im->alpha ? WebPPictureImportRGBA(pic, a->p, (int)a->stride) :
	    WebPPictureImportRGB(pic, a->p, (int)a->stride));
}

/* An empty picture of im's size. */
static int
init(WebPPicture *pic, const struct image *im, struct ufop_err *err)
{
	if (!WebPPictureInit(pic))
		return (image_err(err, UFOP_FAILED, "libwebp is of another "
		    "version"));
	pic->width = im->plane[0].w;
	pic->height = im->plane[0].h;
	return (0);
}

static int
encode(struct bytes *out, const struct image *im,
    const struct encode_opts *opts, struct ufop_err *err)
{
	WebPMemoryWriter mem;
	WebPPicture pic;
	WebPConfig c;
	int ok;

	if (config(&c, opts, err) == -1 || init(&pic, im, err) == -1)
		return (-1);
	WebPMemoryWriterInit(&mem);
	pic.writer = WebPMemoryWrite;
	pic.custom_ptr = &mem;
	ok = fill(&pic, im) && WebPEncode(&c, &pic);
	WebPPictureFree(&pic);
	if (!ok) {
		WebPMemoryWriterClear(&mem);
		return (image_err(err, UFOP_TOO_BIG, "cannot write the WebP: "
		    "too large, or not enough memory; ask for a smaller one"));
	}
	/* libwebp's memory is malloc()'s. */
	out->p = mem.mem;
	out->len = mem.size;
	return (0);
}

struct writer {
	struct anim_writer	 w;	/* must be first */
	WebPAnimEncoder		*enc;
	WebPConfig		 config;
	int			 at_ms;
};

static int
writer_add(struct anim_writer *aw, const struct image *im, int delay_ms,
    struct ufop_err *err)
{
	struct writer *w = (struct writer *)aw;
	WebPPicture pic;
	int ok;

	if (init(&pic, im, err) == -1)
		return (-1);
	pic.use_argb = 1;
	ok = fill(&pic, im) &&
	    WebPAnimEncoderAdd(w->enc, &pic, w->at_ms, &w->config);
	WebPPictureFree(&pic);
	w->at_ms += delay_ms;
	return (ok ? 0 : bad(err, VP8_STATUS_OUT_OF_MEMORY));
}

static int
writer_finish(struct anim_writer *aw, struct bytes *out, struct ufop_err *err)
{
	struct writer *w = (struct writer *)aw;
	WebPData data;

	if (!WebPAnimEncoderAdd(w->enc, NULL, w->at_ms, NULL) ||
	    !WebPAnimEncoderAssemble(w->enc, &data))
		return (bad(err, VP8_STATUS_OUT_OF_MEMORY));
	out->p = (unsigned char *)(uintptr_t)data.bytes;
	out->len = data.size;
	return (0);
}

static void
writer_close(struct anim_writer *aw)
{
	struct writer *w = (struct writer *)aw;

	WebPAnimEncoderDelete(w->enc);
	free(w);
}

static struct anim_writer *
write_frames(int width, int height, int plays, const struct encode_opts *opts,
    struct ufop_err *err)
{
	WebPAnimEncoderOptions o;
	struct writer *w = image_malloc(sizeof(*w), err);

	if (w == NULL)
		return (NULL);
	WebPAnimEncoderOptionsInit(&o);
	o.anim_params.loop_count = plays;
	*w = (struct writer){ .w = { writer_add, writer_finish, writer_close } };
	if (config(&w->config, opts, err) == -1 ||
	    (w->enc = WebPAnimEncoderNew(width, height, &o)) == NULL) {
		free(w);
		bad(err, VP8_STATUS_OUT_OF_MEMORY);
		return (NULL);
	}
	return (&w->w);
}

const struct codec codec_webp = {
	.name = "webp", .type = "image/webp", .max_side = WEBP_MAX_DIMENSION,
	.takes_alpha = true, .takes_ycc = true, .only_planes = true,
	.half_below = 101, .lossy = true,
	.match = match, .probe = probe, .decode = decode, .profile = profile,
	.exif = exif, .encode = encode,
	.read_frames = read_frames, .write_frames = write_frames
};
