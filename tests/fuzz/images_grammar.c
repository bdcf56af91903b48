/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as the words of a cmd, through every grammar; what is accepted is
 * done to a small picture.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE \
 *	    -Iinclude -Ilib -Iworker/handlers/images \
 *	    -isystem /usr/include/freetype2 -o fuzz-grammar \
 *	    tests/fuzz/images_grammar.c \
 *	    $(ls worker/handlers/images/[!s]*.c) \
 *	    worker/handlers/images/s[!e]*.c $(LIBS_images) -ljansson
 *	./fuzz-grammar -max_len=300 -timeout=10 \
 *	    -dict=tests/fuzz/images_grammar.dict DIR
 */
#include "pipeline.h"

int	LLVMFuzzerInitialize(int *, char ***);
int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* 7x5 pixels of grey; stays what it is for every run. */
static const unsigned char pgm[] = "P5 7 5 255\n"
    "abcdefghijklmnopqrstuvwxyzABCDEFGHI";

/* What every mark's url answers: 3x2. */
static const unsigned char mark[] = "P6 3 2 255\n"
    "rgbRGBcmycmyCMYwhi";

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	text_setup(TEXT_FONTS);
	return (0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static const struct limits limits = {
		.max_pixels = 1 << 20, .max_side = 4096,
		.max_output_pixels = 1 << 16, .max_output_side = 500,
		.max_frames = 20
	};

	/* A copy, so that a read past the words' end is seen. */
	char *words = malloc(len > 0 ? len : 1);

	memcpy(words, p, len);
	for (const struct grammar_name *g = grammar_names; g->name != NULL; g++) {
		struct picture_times times;
		struct picture_file out;
		struct ufop_err err = { UFOP_OK, "" };
		struct spec spec;

		if (g->parse(&spec, (struct str){ words, len }, &err) == -1) {
			/* An error has a sentence. */
			if (err.code != UFOP_BAD_INPUT || err.msg[0] == '\0')
				abort();
			continue;
		}
		for (int i = 0; i < spec.nmarks; i++)
			if (spec.marks[i].kind == MARK_IMAGE) {
				spec.marks[i].data = mark;
				spec.marks[i].data_len = sizeof(mark) - 1;
			}
		if (pipeline_run(&spec, &limits, pgm, sizeof(pgm) - 1, &out,
		    &times, &err) == 0) {
			if (out.w > limits.max_output_side ||
			    out.h > limits.max_output_side)
				abort();
			free(out.bytes.p);
		}
	}
	free(words);
	return (0);
}
