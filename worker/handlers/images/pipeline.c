/* SPDX-License-Identifier: MIT */
/* A picture through the steps of a cmd; see pipeline.h. */
#include "pipeline.h"

#include <math.h>

/* The source's quality is a guess above this: what was asked for is used. */
#define SOURCE_QUALITY_MAX	90

static double
length(struct length l, int side)
{
	return (l.percent ? l.v * side / 100 : l.v);
}

/* A cmd being done. */
struct run {
	const struct spec	*spec;
	struct image		 marks[MARKS_MAX];	/* of picture_mark() */
};

static void
run_release(struct run *run)
{
	for (int i = 0; i < MARKS_MAX; i++)
		image_release(&run->marks[i]);
}

static int
do_step(struct picture *p, struct run *run, const struct step *s, bool *fits,
    struct ufop_err *err)
{
	const struct spec *spec = run->spec;

	switch (s->kind) {
	case STEP_ORIENT:
		picture_auto_orient(p);
		return (0);
	case STEP_RESIZE:
		return (picture_resize(p, &s->size, err));
	case STEP_CROP:
		return (picture_crop(p, &s->crop, err));
	case STEP_ROTATE:
		return (picture_rotate(p, s->degrees, spec->background, err));
	case STEP_BLUR:
		return (picture_blur(p, s->blur.radius, s->blur.sigma, err));
	case STEP_SHARPEN:
		return (picture_sharpen(p, err));
	case STEP_MARK:
		return (picture_mark(p, &spec->marks[s->mark],
		    &run->marks[s->mark], fits, err));
	case STEP_ROUND:
		return (picture_round(p, length(s->round.x, p->w),
		    length(s->round.y, p->h), err));
	}
	return (0);
}

/*
 * imageView2's correction: a JPEG of little quality does not get better by
 * being written with more, only longer; shrinking it makes it finer.
 */
static int
quality(const struct spec *spec, const struct picture *p)
{
	int q = spec->opts.quality;
	double corrected;

	if (!spec->correct_quality || p->info.quality == 0 ||
	    p->info.quality > SOURCE_QUALITY_MAX)
		return (q);
	corrected = p->info.quality * sqrt((double)p->info.w * p->info.h /
	    ((double)p->w * p->h));
	corrected = fmin(SOURCE_QUALITY_MAX, corrected);
	return (corrected < q ? (int)fmax(1, corrected) : q);
}

/* Whether an Accept header names a media type, and not with q=0. */
static bool
accepts(const char *accept, const char *type)
{
	size_t n = strlen(type);

	for (const char *p = accept; (p = strstr(p, type)) != NULL; p += n) {
		const char *q = p + n;

		if (*q != '\0' && strchr(" \t,;", *q) == NULL)
			continue;
		q += strspn(q, " \t;");
		if (strncmp(q, "q=0", 3) != 0)
			return (true);
		q += 3 + strspn(q + 3, ".0");
		return (*q >= '1' && *q <= '9');
	}
	return (false);
}

/*
 * The best of what a caller says to take.  WebP is shorter than all but AVIF,
 * which takes six times as long to write: one has to ask for it.  What every
 * viewer knows stays as it is; the rest only for who names it.
 */
static const struct codec *
best_codec(const struct picture *p, const char *accept)
{
	const struct codec *c = picture_codec(p, NULL);

	if (p->w <= codec_webp.max_side && p->h <= codec_webp.max_side &&
	    accepts(accept, codec_webp.type))
		return (&codec_webp);
	if (c == &codec_jpeg || c == &codec_png || c == &codec_gif ||
	    accepts(accept, c->type))
		return (c);
	/* The names of models with alpha begin with n. */
	return (p->info.color[0] == 'n' ? &codec_png : &codec_jpeg);
}

/* The format of the result. */
static const struct codec *
result_codec(const struct picture *p, const struct spec *spec)
{
	return (spec->auto_format ? best_codec(p, spec->accept != NULL ?
	    spec->accept : "") : picture_codec(p, spec->codec));
}

/*
 * What one try of a quality costs, as of picture_work(), for a pixel: JPEG is
 * written in no time, AVIF takes six times as long as WebP.
 */
static double
try_work(const struct codec *codec)
{
	return (codec == &codec_jpeg ? 0.1 : codec == &codec_webp ? 1 : 6);
}

/* As the result's codec needs it: only JPEG can say how it is to be turned. */
static const struct codec *
turn_for_writing(struct picture *p, const struct spec *spec)
{
	const struct codec *codec = result_codec(p, spec);

	if (spec->keep_orient && codec != &codec_jpeg)
		picture_auto_orient(p);
	return (codec);
}

/*
 * Halve the range of qualities until the largest is found that stays below the
 * limit; the least one is taken when none does.
 */
static int
fit(struct picture *p, const struct spec *spec, struct encode_opts *opts,
    const struct codec *codec, int64_t limit, struct picture_file *out,
    struct ufop_err *err)
{
	int low = 1, high = opts->quality - 1, tries = 0;

	while (high >> tries > 0)
		tries++;
	if (picture_work(p, tries * try_work(codec) * p->w * p->h, err) == -1) {
		free(out->bytes.p);
		return (-1);
	}
	while (low <= high) {
		struct picture_file f;

		opts->quality = (low + high) / 2;
		if (picture_write(p, codec, opts, spec->background, &f, err) ==
		    -1) {
			free(out->bytes.p);
			return (-1);
		}
		if ((int64_t)f.bytes.len > limit)
			high = opts->quality - 1;
		else
			low = opts->quality + 1;
		/* The smaller one, until one fits; then the larger that fits. */
		if ((int64_t)out->bytes.len > limit ?
		    f.bytes.len < out->bytes.len :
		    (int64_t)f.bytes.len <= limit) {
			free(out->bytes.p);
			*out = f;
		} else
			free(f.bytes.p);
	}
	return (0);
}

/* The source itself as the result. */
static int
give_back(const struct picture *p, struct picture_file *out,
    struct ufop_err *err)
{
	*out = (struct picture_file){ .bytes.len = p->len,
	    .codec = p->info.codec, .w = p->info.w, .h = p->info.h };
	if ((out->bytes.p = image_malloc(p->len, err)) == NULL)
		return (-1);
	memcpy(out->bytes.p, p->data, p->len);
	return (0);
}

static int
write_result(struct picture *p, const struct spec *spec,
    struct picture_file *out, struct ufop_err *err)
{
	const struct codec *codec = turn_for_writing(p, spec);
	struct encode_opts opts = spec->opts;
	int64_t limit = spec->size_limit.source ? (int64_t)p->len :
	    spec->size_limit.bytes;

	opts.quality = quality(spec, p);
	opts.orient = spec->keep_orient ? p->info.orient : 1;
	if (picture_write(p, codec, &opts, spec->background, out, err) == -1)
		return (-1);
	if (limit > 0 && (int64_t)out->bytes.len > limit && codec->lossy &&
	    fit(p, spec, &opts, codec, limit, out, err) == -1)
		return (-1);
	if (spec->size_limit.or_source && out->bytes.len >= p->len) {
		free(out->bytes.p);
		return (give_back(p, out, err));
	}
	return (0);
}

/* *fits becomes false at a mark that is larger than the picture. */
static int
do_steps(struct picture *p, struct run *run, bool *fits, struct ufop_err *err)
{
	const struct spec *spec = run->spec;

	*fits = true;
	for (int i = 0; i < spec->nsteps && *fits; i++)
		if (do_step(p, run, &spec->steps[i], fits, err) == -1)
			return (-1);
	return (0);
}

/*
 * What will be refused for its sizes or its work is refused now: p is taken
 * through all steps without its pixels.  codec is what its frames will be
 * written as, NULL when it stands still.
 */
static int
plan(const struct picture *p, const struct spec *spec,
    const struct codec *codec, struct ufop_err *err)
{
	struct run run = { .spec = spec };
	struct picture dry = *p;
	int frames = p->info.frames;
	bool fits;

	dry.dry = true;
	if (do_steps(&dry, &run, &fits, err) == -1)
		return (-1);
	/* The source is given back. */
	if (!fits)
		return (0);
	if (codec == NULL)
		codec = turn_for_writing(&dry, spec);
	else if (picture_work(&dry, dry.work * (frames - 1) +
	    (double)dry.w * dry.h * frames, err) == -1)
		return (-1);
	return (picture_check_output(&dry, codec, err));
}

/* ---- moving pictures ------------------------------------------------- */

/*
 * One frame through all steps, into the writer, which the first one that comes
 * out makes.  *fits as of do_steps(): all frames are of one size, so what is
 * too large for one is for all, and nothing is written.
 */
static int
do_frame(struct picture *head, struct image *frame, int delay_ms,
    struct run *run, const struct codec *codec, struct anim_writer **w,
    struct picture_file *out, bool *fits, struct ufop_err *err)
{
	struct picture p;
	int64_t start;
	int ret;

	picture_open_frame(&p, head, frame);
	ret = do_steps(&p, run, fits, err);
	if (ret == 0 && !*fits) {
		picture_release(&p);
		return (0);
	}
	if (ret == 0)
		ret = picture_work(&p, (double)p.w * p.h, err);
	if (ret == 0)
		ret = picture_pixels(&p, false, false, err);
	if (ret == 0)
		ret = image_to_rgb3(&p.image, err);
	start = picture_now_us();
	if (ret == 0 && *w == NULL) {
		*w = codec->write_frames(p.w, p.h, head->info.plays,
		    &run->spec->opts, err);
		ret = *w != NULL ? 0 : -1;
		out->w = p.w;
		out->h = p.h;
	}
	if (ret == 0)
		ret = (*w)->add(*w, &p.image, delay_ms < FRAME_MAX_MS ?
		    delay_ms : FRAME_MAX_MS, err);
	p.times.encode_us += picture_now_us() - start;
	head->times = p.times;
	head->work = p.work;
	picture_release(&p);
	return (ret);
}

static int
next_frame(struct picture *head, struct anim_reader *r, struct image *frame,
    int *delay_ms, struct ufop_err *err)
{
	int64_t start = picture_now_us();
	int ret = r->next(r, frame, delay_ms, err);

	head->times.decode_us += picture_now_us() - start;
	return (ret);
}

/* Whether the result moves as the source does. */
static bool
moves(const struct picture *p, const struct spec *spec)
{
	return (p->info.codec->read_frames != NULL &&
	    result_codec(p, spec)->write_frames != NULL);
}

static int
run_frames(struct picture *head, struct run *run, const struct codec *codec,
    struct picture_file *out, struct ufop_err *err)
{
	struct image_info *in = &head->info;
	struct anim_reader *r;
	struct anim_writer *w = NULL;
	int ret, delay_ms;
	int64_t start;
	struct image frame;
	bool fits = true;

	if (in->frames > head->limits->max_frames ||
	    (int64_t)in->w * in->h * in->frames > head->limits->max_pixels)
		return (image_err(err, UFOP_TOO_BIG, "the picture has %d frames "
		    "of %dx%d; at most %d frames and %lld pixels in all are "
		    "taken", in->frames, in->w, in->h, head->limits->max_frames,
		    (long long)head->limits->max_pixels));
	if (plan(head, run->spec, codec, err) == -1)
		return (-1);
	if ((r = in->codec->read_frames(in, head->data, head->len, err)) == NULL)
		return (-1);
	*out = (struct picture_file){ .codec = codec };
	while ((ret = next_frame(head, r, &frame, &delay_ms, err)) == 1)
		if ((ret = do_frame(head, &frame, delay_ms, run, codec, &w, out,
		    &fits, err)) == -1 || !fits)
			break;
	r->close(r);
	if (!fits)
		return (give_back(head, out, err));
	if (ret == 0 && w == NULL)
		ret = image_err(err, UFOP_BAD_MEDIA, "the picture has no frames");
	start = picture_now_us();
	if (ret == 0)
		ret = w->finish(w, &out->bytes, err);
	head->times.encode_us += picture_now_us() - start;
	if (w != NULL)
		w->close(w);
	return (ret);
}

int
pipeline_run(const struct spec *spec, const struct limits *limits,
    const unsigned char *data, size_t len, struct picture_file *out,
    struct picture_times *times, struct ufop_err *err)
{
	struct run run = { .spec = spec };
	struct picture p;
	bool fits;
	int ret = picture_open(&p, limits, data, len, err);

	p.ignore_error = spec->ignore_error;
	if (ret == 0 && spec->codec != NULL)
		ret = codec_check_writing(spec->codec, err);
	if (ret == 0 && p.info.frames > 1 && moves(&p, spec)) {
		ret = run_frames(&p, &run, result_codec(&p, spec), out, err);
	} else if (ret == 0) {
		ret = plan(&p, spec, NULL, err);
		if (ret == 0)
			ret = do_steps(&p, &run, &fits, err);
		if (ret == 0)
			ret = fits ? write_result(&p, spec, out, err) :
			    give_back(&p, out, err);
	}
	if (ret == -1 && spec->ignore_error && p.info.codec != NULL)
		ret = give_back(&p, out, err);
	*times = p.times;
	picture_release(&p);
	run_release(&run);
	return (ret);
}
