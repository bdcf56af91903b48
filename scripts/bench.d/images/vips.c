/* SPDX-License-Identifier: MIT */
/*
 * vips PROCESSES SECONDS WORK FILE
 *
 * libvips at its best: processes that do nothing but WORK on FILE by its API,
 * with no HTTP around.  Prints what parallel.h says; with 0 processes it works
 * once and writes the result to its output, for a look at it.
 *
 * WORK is jpeg/W/Q, png/W or webp/W/Q (W pixels wide, of quality Q), or
 * crop/X/Y/W/H/Q, a part as JPEG.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vips/vips.h>

#include "parallel.h"

/* Of the WebP encoder, as the other programs are told to use it. */
#define EFFORT	2

struct work {
	char	 kind;			/* j, p, w or c */
	int	 x, y, w, h, q;
	char	*data;
	size_t	 len;
	void	*result;		/* g_free() */
	size_t	 result_len;
};

static void __attribute__((noreturn))
fail(const char *what)
{
	fprintf(stderr, "vips: %s: %s\n", what, vips_error_buffer());
	exit(1);
}

static int
parse(struct work *k, const char *text)
{
	int	 end = -1;

	*k = (struct work){ .kind = text[0] };
	if (sscanf(text, "jpeg/%d/%d%n", &k->w, &k->q, &end) < 2 &&
	    sscanf(text, "webp/%d/%d%n", &k->w, &k->q, &end) < 2 &&
	    sscanf(text, "png/%d%n", &k->w, &end) < 1)
		(void)sscanf(text, "crop/%d/%d/%d/%d/%d%n", &k->x, &k->y, &k->w,
		    &k->h, &k->q, &end);
	return (end == (int)strlen(text) ? 0 : -1);
}

/* The cores are busy with other pictures, and no picture comes twice. */
static void
begin(void *arg)
{
	(void)arg;
	if (VIPS_INIT("vips") != 0)
		fail("cannot start");
	vips_concurrency_set(1);
	vips_cache_set_max(0);
}

static VipsImage *
load(const struct work *k)
{
	VipsImage	*whole, *part;

	if (k->kind != 'c') {
		if (vips_thumbnail_buffer(k->data, k->len, &part, k->w,
		    "height", VIPS_MAX_COORD, "size", VIPS_SIZE_DOWN,
		    NULL) != 0)
			fail("cannot shrink it");
		return (part);
	}
	whole = vips_image_new_from_buffer(k->data, k->len, "", "access",
	    VIPS_ACCESS_SEQUENTIAL, NULL);
	if (whole == NULL ||
	    vips_extract_area(whole, &part, k->x, k->y, k->w, k->h, NULL) != 0)
		fail("cannot cut it");
	g_object_unref(whole);
	return (part);
}

static void
once(void *arg)
{
	struct work	*k = arg;
	VipsImage	*image = load(k);
	int		 ret;

	g_free(k->result);
	k->result = NULL;
	switch (k->kind) {
	case 'p':
		ret = vips_pngsave_buffer(image, &k->result, &k->result_len,
		    "strip", TRUE, NULL);
		break;
	case 'w':
		ret = vips_webpsave_buffer(image, &k->result, &k->result_len,
		    "Q", k->q, "effort", EFFORT, "strip", TRUE, NULL);
		break;
	default:
		ret = vips_jpegsave_buffer(image, &k->result, &k->result_len,
		    "Q", k->q, "optimize_coding", TRUE, "strip", TRUE, NULL);
		break;
	}
	if (ret != 0)
		fail("cannot write it");
	g_object_unref(image);
}

int
main(int argc, char **argv)
{
	struct work	 work;
	int		 n, seconds;

	if (argc != 5 || sscanf(argv[1], "%d", &n) != 1 || n < 0 ||
	    n > PARALLEL_MAX || sscanf(argv[2], "%d", &seconds) != 1 ||
	    seconds < 0 || parse(&work, argv[3]) == -1) {
		fprintf(stderr, "usage: vips PROCESSES SECONDS WORK FILE\n");
		return (2);
	}
	if (!g_file_get_contents(argv[4], &work.data, &work.len, NULL)) {
		fprintf(stderr, "vips: cannot read %s\n", argv[4]);
		return (1);
	}
	if (n > 0)
		return (parallel(n, seconds, begin, once, &work));
	begin(NULL);
	once(&work);
	return (fwrite(work.result, work.result_len, 1, stdout) == 1 ? 0 : 1);
}
