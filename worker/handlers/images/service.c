/* SPDX-License-Identifier: MIT */
/*
 * The service `images`: pictures cut, resized, converted and looked at.
 */
#include "heif.h"
#include "info.h"
#include "pipeline.h"

static struct limits
limits_of(const struct ufop_job *job)
{
	return ((struct limits){
		.max_pixels = ufop_setting_int(job, "max_pixels"),
		.max_side = (int)ufop_setting_int(job, "max_side"),
		.max_output_pixels = ufop_setting_int(job, "max_output_pixels"),
		.max_output_side = (int)ufop_setting_int(job,
		    "max_output_side"),
		.max_frames = (int)ufop_setting_int(job, "max_frames"),
	});
}

static void
note_times(struct ufop_job *job, const struct picture_times *t)
{
	char shrink[16];

	ufop_note_us(job, "probe", t->probe_us);
	ufop_note_us(job, "decode", t->decode_us);
	ufop_note_us(job, "resize", t->resize_us);
	if (t->operate_us > 0)
		ufop_note_us(job, "operate", t->operate_us);
	ufop_note_us(job, "encode", t->encode_us);
	if (t->shrink == 0)
		return;
	snprintf(shrink, sizeof(shrink), "1/%d", t->shrink);
	ufop_note(job, "shrink", shrink);
}

/*
 * The bytes of all pictures that are marks.  -1, which is to be returned, when
 * some must be fetched first; all are asked for, so that they come together.
 */
static int
fetch_marks(struct ufop_job *job, struct ufop_reply *reply, struct spec *spec)
{
	int ret = 0;

	for (int i = 0; i < spec->nmarks; i++) {
		struct mark *m = &spec->marks[i];

		if (m->kind == MARK_IMAGE && ufop_fetch(job, reply, m->url,
		    &m->data, &m->data_len) != 0)
			ret = -1;
	}
	return (ret);
}

/* Every task whose result is a picture: the cmd's first word is its grammar. */
static int
run_grammar(struct ufop_job *job, struct ufop_reply *reply)
{
	const char *name = job->cmd + 1, *args = strchr(name, '/');
	size_t len = args != NULL ? (size_t)(args - name) : strlen(name);
	const struct grammar_name *g = grammar_names;
	struct limits limits = limits_of(job);
	struct picture_times times;
	struct picture_file out;
	struct ufop_err err;
	struct spec spec;

	args = args != NULL ? args + 1 : "";
	while (g->name != NULL &&
	    (strlen(g->name) != len || memcmp(g->name, name, len) != 0))
		g++;
	if (g->name == NULL)
		return (ufop_fail(reply, 404, "no such operation on pictures"));
	if (g->parse(&spec, (struct str){ args, strlen(args) }, &err) == -1)
		return (ufop_fail_err(reply, &err));
	if (fetch_marks(job, reply, &spec) == -1)
		return (-1);
	spec.accept = job->accept;
	if (pipeline_run(&spec, &limits, job->data, job->len, &out, &times,
	    &err) == -1)
		return (ufop_fail_err(reply, &err));
	/* Caches must not give it to a caller who accepts less. */
	if (spec.auto_format)
		ufop_reply_header(reply, "Vary", "Accept");
	note_times(job, &times);
	return (ufop_reply_take(reply, out.bytes.p, out.bytes.len,
	    out.codec->type));
}

/* A picture opened, asked by one of info.h's, and answered as JSON. */
static int
run_json(struct ufop_job *job, struct ufop_reply *reply,
    json_t *(*ask)(struct picture *, struct ufop_err *))
{
	struct limits limits = limits_of(job);
	struct ufop_err err;
	struct picture p;
	json_t *answer = NULL;

	if (picture_open(&p, &limits, job->data, job->len, &err) == 0)
		answer = ask(&p, &err);
	note_times(job, &p.times);
	picture_release(&p);
	if (answer == NULL)
		return (ufop_fail_err(reply, &err));
	ufop_reply_header(reply, "Cache-Control", "no-store");
	return (ufop_reply_json(reply, answer));
}

static json_t *
ask_head(struct picture *p, struct ufop_err *err)
{
	return (info_head(&p->info, err));
}

static json_t *
ask_exif(struct picture *p, struct ufop_err *err)
{
	return (info_exif(p->info.codec, p->data, p->len, err));
}

static int
run_info(struct ufop_job *job, struct ufop_reply *reply)
{
	return (run_json(job, reply, ask_head));
}

static int
run_exif(struct ufop_job *job, struct ufop_reply *reply)
{
	return (run_json(job, reply, ask_exif));
}

static int
run_average(struct ufop_job *job, struct ufop_reply *reply)
{
	return (run_json(job, reply, info_average));
}

static int
setup(char *why, size_t why_size)
{
	const char *files = ufop_setup_setting("fonts");

	(void)why;
	(void)why_size;
	text_setup(files != NULL ? files : TEXT_FONTS);
	heif_setup();
	return (0);
}

/* Which formats there are depends on a library that may be missing. */
static void
describe(char *text, size_t size)
{
	char in[128], out[128];

	heif_setup();
	codec_list(in, sizeof(in), false);
	codec_list(out, sizeof(out), true);
	snprintf(text, size, "reads %s; writes %s", in, out);
}

static const struct ufop_task tasks[] = {
	{
		.name = "thumbnail", .run = run_grammar,
		.route = "^/thumbnail(?:/|$)",
		.summary = "Fits a picture inside a box: "
		    "/thumbnail/w/200/h/100[/q/75][/format/png]",
	}, {
		.name = "crop", .run = run_grammar,
		.route = "^/crop(?:/|$)",
		.summary = "Cuts a part out: /crop/300,200,10,20, or "
		    "/crop/clip/300x200/at/10,20/thumb/150x100",
	}, {
		.name = "imageview2", .run = run_grammar,
		.route = "^/imageView2(?:/|$)",
		.summary = "Thumbnails by mode: "
		    "/imageView2/<0-5>/w/200/h/100[/format/png][/q/75]",
	}, {
		.name = "imagemogr2", .run = run_grammar,
		.route = "^/imageMogr2(?:/|$)",
		.summary = "Operations in the order written: /imageMogr2/"
		    "auto-orient/thumbnail/300x/gravity/Center/crop/200x200",
	}, {
		.name = "roundpic", .run = run_grammar,
		.route = "^/roundPic(?:/|$)",
		.summary = "Round corners: /roundPic/radius/!25p",
	}, {
		.name = "watermark", .run = run_grammar,
		.route = "^/watermark(?:/|$)",
		.summary = "Lays a picture or text on it: /watermark/1/image/"
		    "<base64 url>/ws/0.2, or 2/text/<base64>, or 3 for both",
	}, {
		.name = "imageinfo", .run = run_info,
		.route = "^/imageInfo$",
		.summary = "Format, size and colour model as JSON.",
	}, {
		.name = "exif", .run = run_exif,
		.route = "^/exif$",
		.summary = "The tags of a photograph's EXIF data as JSON.",
	}, {
		.name = "imageave", .run = run_average,
		.route = "^/imageAve$",
		.summary = "The mean colour as JSON.",
	},
	{ 0 }
};

static const struct ufop_setting_def settings[] = {
	{ "max_pixels", UFOP_SETTING_INT, "150000000", 1, 1000000000,
	    "Most pixels a source picture may have." },
	{ "max_side", UFOP_SETTING_INT, "30000", 1, 65000,
	    "Most pixels a side of a source picture may have." },
	{ "max_output_pixels", UFOP_SETTING_INT, "25000000", 1, 1000000000,
	    "Most pixels a result may have." },
	{ "max_output_side", UFOP_SETTING_INT, "9999", 1, 65000,
	    "Most pixels a side of a result may have." },
	{ "fonts", UFOP_SETTING_LIST, TEXT_FONTS, 0, 0,
	    "Font files for watermarks, at most eight; the first is the usual "
	    "one, the others lend it characters it lacks." },
	{ "max_frames", UFOP_SETTING_INT, "200", 1, 10000,
	    "Most frames a moving source may have; all of them together may "
	    "have max_pixels." },
	{ 0 }
};

UFOP_API extern const struct ufop_service ufop_service;
UFOP_API const struct ufop_service ufop_service = {
	.abi = UFOP_ABI, .name = "images", .tasks = tasks,
	.settings = settings, .setup = setup, .teardown = text_teardown,
	.describe = describe,
};
