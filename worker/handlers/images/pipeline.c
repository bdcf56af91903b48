/* SPDX-License-Identifier: MIT */
/* A picture through the steps of a cmd. */
#include "pipeline.h"

static int
do_step(struct picture *p, const struct step *s, struct ufop_err *err)
{
	switch (s->kind) {
	case STEP_ORIENT:
		picture_auto_orient(p);
		return (0);
	case STEP_RESIZE:
		return (picture_resize(p, &s->size, err));
	case STEP_CROP:
		return (picture_crop(p, &s->crop, err));
	}
	return (0);
}

int
pipeline_run(const struct spec *spec, const struct limits *limits,
    const unsigned char *data, size_t len, struct picture_file *out,
    struct picture_times *times, struct ufop_err *err)
{
	struct encode_opts opts = spec->opts;
	struct picture p;
	int ret = picture_open(&p, limits, data, len, err);

	for (int i = 0; i < spec->nsteps && ret == 0; i++)
		ret = do_step(&p, &spec->steps[i], err);
	opts.orient = p.info.orient;
	if (ret == 0)
		ret = picture_write(&p, spec->codec, &opts, out, err);
	*times = p.times;
	picture_release(&p);
	return (ret);
}
