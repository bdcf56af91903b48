/* SPDX-License-Identifier: MIT */
/*
 * JPEG by libjpeg-turbo, and what is most of them and most of their time by
 * baseline.c, doing no more work than the result can show:
 * - the IDCT shrinks by 2, 4 or 8 where that leaves twice the target;
 * - colours that will be written with half the sides are shrunk once more;
 * - when pixels will be resampled anyway, the Y, Cb and Cr planes are taken as
 *   they are in the file, without upsampling or colour conversion;
 * - of a crop only its rows and columns are decoded, and nothing below it.
 *
 * libjpeg repairs what it can and goes on with grey blocks.  We would hand
 * that out as a picture, so its warnings of lost data are errors here.
 */
#include "baseline.h"
#include "codec.h"
#include "exif.h"

#include <setjmp.h>

#include <jpeglib.h>
#include <jerror.h>

#define ICC_MARK	"ICC_PROFILE"	/* with its NUL */
#define MARGIN		16	/* pixels around a crop: upsampling looks there */
#define SHRINK_LEAVES	2	/* see DCT shrink above */
#define CHROMA_QUALITY	90	/* from here on colours keep all their pixels */

struct failure {
	struct jpeg_error_mgr	 mgr;	/* must be first: libjpeg knows only it */
	jmp_buf			 back;
	bool			 ignore, too_big;
	char			 msg[JMSG_LENGTH_MAX];
};

static void fail(j_common_ptr) __attribute__((noreturn));

static void
fail(j_common_ptr c)
{
	struct failure *f = (struct failure *)c->err;

	c->err->format_message(c, f->msg);
	longjmp(f->back, 1);
}

static void
warn(j_common_ptr c, int level)
{
	struct failure *f = (struct failure *)c->err;

	if (level >= 0 || f->ignore)
		return;
	switch (c->err->msg_code) {
	case JWRN_HIT_MARKER:
	case JWRN_JPEG_EOF:
	case JWRN_HUFF_BAD_CODE:
	case JWRN_MUST_RESYNC:
	case JWRN_ARITH_BAD_CODE:
		fail(c);
	default:
		break;	/* bytes too many between segments and the like */
	}
}

static void
keep_quiet(j_common_ptr c)
{
	(void)c;
}

static void
failure_init(struct failure *f, bool ignore)
{
	memset(f, 0, sizeof(*f));
	jpeg_std_error(&f->mgr);
	f->mgr.error_exit = fail;
	f->mgr.emit_message = warn;
	f->mgr.output_message = keep_quiet;
	f->ignore = ignore;
}

static int
bad_jpeg(struct ufop_err *err, const struct failure *f)
{
	if (f->mgr.msg_code == JERR_OUT_OF_MEMORY)
		return (image_err(err, UFOP_TOO_BIG, "the JPEG needs more "
		    "memory than this task may use; send a smaller one"));
	if (f->too_big)
		return (image_err(err, UFOP_TOO_BIG, "the JPEG has %s; write it "
		    "anew, or send a smaller one", f->msg));
	switch (f->mgr.msg_code) {
	case JERR_ARITH_NOTIMPL:
	case JERR_BAD_PRECISION:	/* 12 bits */
	case JERR_COMPONENT_COUNT:
	case JERR_CONVERSION_NOTIMPL:
	case JERR_EMPTY_IMAGE:		/* its height is said at the end */
	case JERR_SOF_UNSUPPORTED:	/* without loss */
		return (image_err(err, UFOP_BAD_MEDIA, "the JPEG is of a kind "
		    "that is not read here (%s); write it as an ordinary one, "
		    "or as PNG", f->msg));
	default:
		return (image_err(err, UFOP_BAD_MEDIA, "the JPEG is damaged or "
		    "cut short (%s); send a whole file", f->msg));
	}
}

static void
count_scans(j_common_ptr c)
{
	struct jpeg_decompress_struct *d = (struct jpeg_decompress_struct *)c;

	int64_t n = d->input_scan_number;

	if (n > SCANS_MAX ||
	    n * d->image_width * d->image_height > SCANS_PIXELS_MAX) {
		struct failure *f = (struct failure *)c->err;

		snprintf(f->msg, sizeof(f->msg), "%lld scans or more of %ux%u "
		    "pixels", (long long)n, d->image_width, d->image_height);
		f->too_big = true;
		longjmp(f->back, 1);
	}
}

/* ---- header ---------------------------------------------------------- */

static bool
match(const unsigned char *p, size_t len)
{
	return (len >= 3 && p[0] == 0xff && p[1] == 0xd8 && p[2] == 0xff);
}

/*
 * The quality at which libjpeg's standard luminance table comes closest to the
 * file's, by the sum of its entries (3721 at quality 50, jcparam.c).
 */
static int
estimate_quality(const struct jpeg_decompress_struct *d)
{
	int no = d->comp_info[0].quant_tbl_no;	/* libjpeg checks it later */
	const JQUANT_TBL *q;
	double sum = 0, percent;

	if (no < 0 || no >= NUM_QUANT_TBLS || d->quant_tbl_ptrs[no] == NULL)
		return (0);
	q = d->quant_tbl_ptrs[no];
	for (int i = 0; i < DCTSIZE2; i++)
		sum += q->quantval[i];
	if (sum <= DCTSIZE2)
		return (100);
	percent = sum / 3721 * 100;
	percent = percent <= 100 ? (200 - percent) / 2 : 5000 / percent;
	return (percent < 1 ? 1 : percent > 100 ? 100 : (int)(percent + 0.5));
}

static int
orientation(const struct jpeg_decompress_struct *d)
{
	for (const struct jpeg_marker_struct *m = d->marker_list; m != NULL;
	    m = m->next)
		if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 &&
		    memcmp(m->data, "Exif\0", 6) == 0)
			return (exif_orientation(m->data + 6,
			    m->data_length - 6));
	return (1);
}

static const char *
color_model(const struct jpeg_decompress_struct *d)
{
	switch (d->jpeg_color_space) {
	case JCS_GRAYSCALE:
		return ("gray");
	case JCS_RGB:
		return ("rgb");
	case JCS_CMYK:
	case JCS_YCCK:
		return ("cmyk");
	default:
		return ("ycbcr");
	}
}

static int
probe(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	struct jpeg_decompress_struct d;
	struct failure f;

	failure_init(&f, false);
	d.err = &f.mgr;
	if (setjmp(f.back) != 0) {
		jpeg_destroy_decompress(&d);
		return (bad_jpeg(err, &f));
	}
	jpeg_create_decompress(&d);
	jpeg_mem_src(&d, p, len);
	jpeg_save_markers(&d, JPEG_APP0 + 1, 0xffff);
	jpeg_save_markers(&d, JPEG_APP0 + 2, sizeof(ICC_MARK));
	jpeg_read_header(&d, TRUE);
	for (const struct jpeg_marker_struct *m = d.marker_list; m != NULL;
	    m = m->next)
		if (m->marker == JPEG_APP0 + 2 &&
		    m->data_length >= sizeof(ICC_MARK) &&
		    memcmp(m->data, ICC_MARK, sizeof(ICC_MARK)) == 0)
			info->has_profile = true;
	info->w = (int)d.image_width;
	info->h = (int)d.image_height;
	info->orient = orientation(&d);
	info->quality = estimate_quality(&d);
	snprintf(info->color, sizeof(info->color), "%s", color_model(&d));
	jpeg_destroy_decompress(&d);
	return (0);
}

static unsigned char *
profile(const unsigned char *p, size_t len, size_t *out_len)
{
	struct jpeg_decompress_struct d;
	struct failure f;
	JOCTET *icc = NULL;
	unsigned n = 0;

	failure_init(&f, true);
	d.err = &f.mgr;
	if (setjmp(f.back) != 0) {
		jpeg_destroy_decompress(&d);
		return (NULL);
	}
	jpeg_create_decompress(&d);
	jpeg_mem_src(&d, p, len);
	jpeg_save_markers(&d, JPEG_APP0 + 2, 0xffff);
	jpeg_read_header(&d, TRUE);
	if (!jpeg_read_icc_profile(&d, &icc, &n))
		icc = NULL;
	jpeg_destroy_decompress(&d);
	*out_len = n;
	return (icc);
}

/* ---- decoding -------------------------------------------------------- */

/*
 * Everything that must survive a longjmp(), out of reach of registers.  planes
 * beyond their true size take the rows and columns that fill up a block.
 */
struct decoder {
	struct jpeg_decompress_struct	 d;
	struct jpeg_progress_mgr	 progress;
	struct failure			 f;
	struct image			 out;
	int				 shrink;
	unsigned char			*mem;
	JSAMPROW			 rows[3][2 * DCTSIZE * MAX_SAMP_FACTOR];
};

static int
choose_shrink(double target)
{
	for (int k = DCTSIZE; k > 1; k /= 2)
		if (target >= k * SHRINK_LEAVES)
			return (k);
	return (1);
}

/* Planes of side[c] x side[c] samples for each block of component c. */
static int
planes_init(struct decoder *dec, const int *side, struct ufop_err *err)
{
	struct jpeg_decompress_struct *d = &dec->d;
	size_t total = 0, at[3];
	int n = d->num_components;

	for (int c = 0; c < n; c++) {
		const jpeg_component_info *ci = &d->comp_info[c];
		size_t size = (size_t)side[c];
		/* Samples of the whole picture for one of the plane. */
		int64_t sx = d->max_h_samp_factor * DCTSIZE;
		int64_t sy = d->max_v_samp_factor * DCTSIZE;
		int64_t w = d->image_width * (int64_t)ci->h_samp_factor *
		    side[c];
		int64_t h = d->image_height * (int64_t)ci->v_samp_factor *
		    side[c];

		dec->out.plane[c] = (struct plane){ .w = (int)((w + sx - 1) / sx),
		    .h = (int)((h + sy - 1) / sy), .n = 1,
		    .stride = (size_t)ci->width_in_blocks * size,
		    .sx = (double)sx / (ci->h_samp_factor * side[c]),
		    .sy = (double)sy / (ci->v_samp_factor * side[c]) };
		/* The last row of MCUs may stand over what the component has. */
		at[c] = total;
		total += dec->out.plane[c].stride * (size_t)d->total_iMCU_rows *
		    (size_t)ci->v_samp_factor * size;
	}
	free(dec->mem);
	if ((dec->mem = image_malloc(total, err)) == NULL)
		return (-1);
	for (int c = 0; c < n; c++)
		dec->out.plane[c].p = dec->mem + at[c];
	dec->out.model = n == 1 ? IMAGE_GREY : IMAGE_YCC;
	dec->out.nplanes = n;
	return (0);
}

/*
 * Half the size for colours, which will be of half the sides: they too have
 * SHRINK_LEAVES samples for each.
 */
static int
colour_side(const struct jpeg_decompress_struct *d,
    const jpeg_component_info *ci, double shrink)
{
	int side = ci->DCT_scaled_size;

	while (side > 1 && shrink * ci->h_samp_factor * side >=
	    SHRINK_LEAVES * d->max_h_samp_factor * DCTSIZE &&
	    shrink * ci->v_samp_factor * side >=
	    SHRINK_LEAVES * d->max_v_samp_factor * DCTSIZE)
		side /= 2;
	return (side);
}

/* Y, Cb, Cr (or grey) planes as the IDCT makes them. */
static int
decode_planes(struct decoder *dec, const struct decode_hints *hints,
    struct ufop_err *err)
{
	struct jpeg_decompress_struct *d = &dec->d;
	int n = d->num_components, side[3];

	d->raw_data_out = TRUE;
	d->do_fancy_upsampling = FALSE;
	jpeg_calc_output_dimensions(d);
	for (int c = 0; c < n; c++)
		side[c] = c > 0 && hints->half ? colour_side(d,
		    &d->comp_info[c], hints->shrink) :
		    d->comp_info[c].DCT_scaled_size;
	if (!hints->ignore_error && baseline_takes(d)) {
		if (planes_init(dec, side, err) == -1)
			return (-1);
		if (baseline_decode(d, dec->out.plane, side))
			return (0);
	}
	for (int c = 0; c < n; c++)
		side[c] = d->comp_info[c].DCT_scaled_size;
	if (planes_init(dec, side, err) == -1)
		return (-1);
	jpeg_start_decompress(d);
	for (JDIMENSION mcu = 0; d->output_scanline < d->output_height; mcu++) {
		JSAMPARRAY planes[3];

		for (int c = 0; c < n; c++) {
			const struct plane *pl = &dec->out.plane[c];
			size_t lines = (size_t)(d->comp_info[c].v_samp_factor *
			    d->comp_info[c].DCT_scaled_size);

			for (size_t y = 0; y < lines; y++)
				dec->rows[c][y] = pl->p +
				    (mcu * lines + y) * pl->stride;
			planes[c] = dec->rows[c];
		}
		jpeg_read_raw_data(d, planes, (JDIMENSION)
		    (d->max_v_samp_factor * d->min_DCT_scaled_size));
	}
	jpeg_finish_decompress(d);
	return (0);
}

/* Interleaved samples of the part of the picture that is looked at. */
static int
decode_lines(struct decoder *dec, const struct rect *region,
    struct ufop_err *err)
{
	int shrink = dec->shrink;
	struct jpeg_decompress_struct *d = &dec->d;
	struct plane *pl = &dec->out.plane[0];
	JDIMENSION x, y, w, h;
	double x1, y1;

	jpeg_start_decompress(d);
	x = region->x < MARGIN ? 0 : (JDIMENSION)((region->x - MARGIN) / shrink);
	y = region->y < MARGIN ? 0 : (JDIMENSION)((region->y - MARGIN) / shrink);
	x1 = (region->x + region->w + MARGIN) / shrink + 1;
	y1 = (region->y + region->h + MARGIN) / shrink + 1;
	w = (x1 < d->output_width ? (JDIMENSION)x1 : d->output_width) - x;
	h = (y1 < d->output_height ? (JDIMENSION)y1 : d->output_height) - y;
	if (w < d->output_width)
		jpeg_crop_scanline(d, &x, &w);	/* moves x to the left to an MCU */
	if (y > 0)
		jpeg_skip_scanlines(d, y);
	*pl = (struct plane){ .w = (int)w, .h = (int)h,
	    .n = d->output_components, .x0 = (double)x * shrink,
	    .y0 = (double)y * shrink, .sx = shrink, .sy = shrink,
	    .stride = (size_t)w * (size_t)d->output_components };
	if ((dec->mem = image_malloc(pl->stride * h, err)) == NULL)
		return (-1);
	pl->p = dec->mem;
	for (JDIMENSION done = 0; done < h; ) {
		JSAMPROW row = pl->p + (size_t)done * pl->stride;

		done += jpeg_read_scanlines(d, &row, 1);
	}
	/* What is below is not needed: no finish, which would read it. */
	jpeg_abort_decompress(d);
	dec->out.nplanes = 1;
	return (0);
}

static int
decode(struct image *im, const struct image_info *info, const unsigned char *p,
    size_t len, const struct decode_hints *hints, struct decode_notes *notes,
    struct ufop_err *err)
{
	struct decoder dec;
	struct jpeg_decompress_struct *d = &dec.d;
	bool whole, planes;
	int ret;

	memset(&dec, 0, sizeof(dec));
	dec.shrink = choose_shrink(hints->shrink);
	failure_init(&dec.f, hints->ignore_error);
	d->err = &dec.f.mgr;
	if (setjmp(dec.f.back) != 0) {
		jpeg_destroy_decompress(d);
		free(dec.mem);
		return (bad_jpeg(err, &dec.f));
	}
	jpeg_create_decompress(d);
	jpeg_mem_src(d, p, len);
	jpeg_read_header(d, TRUE);
	dec.progress.progress_monitor = count_scans;
	d->progress = &dec.progress;
	d->scale_num = 1;
	d->scale_denom = (unsigned)dec.shrink;
	/* Up to a quarter left out, planes are still the shorter way. */
	whole = hints->region.w * hints->region.h * 4 >=
	    3.0 * info->w * info->h;
	planes = whole && hints->resized &&
	    (d->jpeg_color_space == JCS_YCbCr ||
	    d->jpeg_color_space == JCS_GRAYSCALE);
	switch (d->jpeg_color_space) {
	case JCS_GRAYSCALE:
		d->out_color_space = JCS_GRAYSCALE;
		dec.out.model = IMAGE_GREY;
		break;
	case JCS_CMYK:
	case JCS_YCCK:
		d->out_color_space = JCS_CMYK;
		dec.out.model = IMAGE_CMYK;
		break;
	case JCS_YCbCr:
		d->out_color_space = hints->ycc ? JCS_YCbCr : JCS_RGB;
		dec.out.model = hints->ycc ? IMAGE_YCC : IMAGE_RGB;
		break;
	default:
		d->out_color_space = JCS_RGB;
		dec.out.model = IMAGE_RGB;
		break;
	}
	if (planes)
		ret = decode_planes(&dec, hints, err);
	else
		ret = decode_lines(&dec, &hints->region, err);
	/* Adobe writes CMYK upside down, and says so; others do not. */
	if (ret == 0 && dec.out.model == IMAGE_CMYK && !d->saw_Adobe_marker)
		for (size_t i = 0; i < dec.out.plane[0].stride *
		    (size_t)dec.out.plane[0].h; i++)
			dec.mem[i] ^= 0xff;
	jpeg_destroy_decompress(d);
	if (ret == -1) {
		free(dec.mem);
		return (-1);
	}
	*im = dec.out;
	im->mem = dec.mem;
	notes->shrink = dec.shrink;
	return (0);
}

/* ---- encoding -------------------------------------------------------- */

struct encoder {
	struct jpeg_compress_struct	 c;
	struct failure			 f;
	unsigned char			*buf;	/* of jpeg_mem_dest */
	unsigned long			 len;
	unsigned char			*pad;	/* rows made as wide as blocks are */
};

/* Starts the file, with the one tag of EXIF that changes what is seen. */
static void
start(struct jpeg_compress_struct *c, const struct encode_opts *opts)
{
	unsigned char exif[EXIF_MINIMAL];

	jpeg_start_compress(c, TRUE);
	if (opts->orient > 1) {
		exif_minimal(exif, opts->orient);
		jpeg_write_marker(c, JPEG_APP0 + 1, exif, sizeof(exif));
	}
}

/*
 * Planes as they are: Cb and Cr of half the size (rounded up) in both
 * directions, or of the full one.
 */
static int
write_planes(struct encoder *e, const struct image *im,
    const struct encode_opts *opts, struct ufop_err *err)
{
	struct jpeg_compress_struct *c = &e->c;
	int v = im->plane[1].h < im->plane[0].h ? 2 : 1;
	int h = im->plane[1].w < im->plane[0].w ? 2 : 1;
	int lines = v * DCTSIZE;
	/* The widest row any component needs, in whole MCUs. */
	size_t stride = ((size_t)im->plane[0].w + 15) / 16 * 16;
	JSAMPROW rows[3][2 * DCTSIZE];
	JSAMPARRAY planes[3] = { rows[0], rows[1], rows[2] };

	c->raw_data_in = TRUE;
	c->comp_info[0].h_samp_factor = h;
	c->comp_info[0].v_samp_factor = v;
	e->pad = image_malloc(stride * 3 * 2 * DCTSIZE, err);
	if (e->pad == NULL)
		return (-1);
	start(c, opts);
	for (int y = 0; y < im->plane[0].h; y += lines) {
		for (int k = 0; k < 3; k++) {
			const struct plane *pl = &im->plane[k];
			int first = k == 0 ? y : y / v;
			int count = k == 0 ? lines : DCTSIZE;

			for (int j = 0; j < count; j++) {
				int from = first + j < pl->h ? first + j :
				    pl->h - 1;
				unsigned char *d = e->pad + ((size_t)k *
				    2 * DCTSIZE + (size_t)j) * stride;

				memcpy(d, pl->p + (size_t)from * pl->stride,
				    (size_t)pl->w);
				memset(d + pl->w, d[pl->w - 1],
				    stride - (size_t)pl->w);
				rows[k][j] = d;
			}
		}
		jpeg_write_raw_data(c, planes, (JDIMENSION)lines);
	}
	return (0);
}

static void
write_lines(struct encoder *e, const struct image *im,
    const struct encode_opts *opts)
{
	const struct plane *pl = &im->plane[0];

	start(&e->c, opts);
	for (int y = 0; y < pl->h; y++) {
		JSAMPROW row = pl->p + (size_t)y * pl->stride;

		jpeg_write_scanlines(&e->c, &row, 1);
	}
}

static int
encode(struct bytes *out, const struct image *im,
    const struct encode_opts *opts, struct ufop_err *err)
{
	struct encoder e;
	struct jpeg_compress_struct *c = &e.c;
	bool grey = im->model == IMAGE_GREY;

	memset(&e, 0, sizeof(e));
	failure_init(&e.f, false);
	c->err = &e.f.mgr;
	if (setjmp(e.f.back) != 0) {
		jpeg_destroy_compress(c);
		free(e.buf);
		free(e.pad);
		return (image_err(err, UFOP_FAILED, "cannot write the JPEG (%s)",
		    e.f.msg));
	}
	jpeg_create_compress(c);
	jpeg_mem_dest(c, &e.buf, &e.len);
	c->image_width = (JDIMENSION)im->plane[0].w;
	c->image_height = (JDIMENSION)im->plane[0].h;
	c->input_components = grey ? 1 : 3;
	c->in_color_space = grey ? JCS_GRAYSCALE :
	    im->model == IMAGE_YCC ? JCS_YCbCr : JCS_RGB;
	jpeg_set_defaults(c);
	jpeg_set_quality(c, opts->quality, TRUE);
	if (opts->density > 0) {
		c->density_unit = 1;	/* an inch */
		c->X_density = c->Y_density = (UINT16)opts->density;
	}
	c->optimize_coding = TRUE;	/* 3 to 6 % shorter */
	/* Colour edges show at high quality: no subsampling there. */
	if (!grey && opts->quality >= CHROMA_QUALITY)
		c->comp_info[0].h_samp_factor = c->comp_info[0].v_samp_factor = 1;
	if (opts->interlace)
		jpeg_simple_progression(c);
	if (im->nplanes == 3) {
		if (write_planes(&e, im, opts, err) == -1) {
			jpeg_destroy_compress(c);
			free(e.buf);
			return (-1);
		}
	} else
		write_lines(&e, im, opts);
	jpeg_finish_compress(c);
	jpeg_destroy_compress(c);
	free(e.pad);
	out->p = e.buf;
	out->len = e.len;
	return (0);
}

const struct codec codec_jpeg = {
	.lossy = true,
	.name = "jpeg", .alias = "jpg", .type = "image/jpeg",
	.takes_ycc = true, .takes_grey = true, .half_below = CHROMA_QUALITY,
	.max_side = 65500,
	.match = match, .probe = probe, .decode = decode, .profile = profile,
	.encode = encode
};
