/* SPDX-License-Identifier: MIT */
/* app/chunked.c: any cut of the input gives the same body. */
#include <string.h>

#include "../../app/chunked.h"
#include "unit.h"

/* Feed in pieces of step bytes; the body in out, the rest behind it in *rest. */
static enum chunked_state
feed(struct str in, size_t step, struct buf *out, size_t *rest)
{
	struct chunked	 ch;
	struct str	 piece;
	size_t		 at, used;

	chunked_init(&ch);
	buf_init(out, 1 << 20);
	for (at = 0; at < in.len; at += used) {
		piece = str_slice(in, at, at + step);
		used = piece.len;
		while (piece.len > 0 && ch.state != CHUNKED_DONE &&
		    ch.state != CHUNKED_BROKEN)
			buf_str(out, chunked_next(&ch, &piece));
		if (ch.state == CHUNKED_DONE || ch.state == CHUNKED_BROKEN) {
			*rest = in.len - at - used + piece.len;
			return (ch.state);
		}
	}
	*rest = 0;
	return (ch.state);
}

void
test_app_chunked_takes_bodies_at_every_cut(void)
{
	static const struct {
		const char	*text, *body;
		size_t		 rest;
	} rows[] = {
		{ "0\r\n\r\n", "", 0 },
		{ "5\r\nhello\r\n0\r\n\r\n", "hello", 0 },
		{ "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET", "hello world", 3 },
		{ "00005 ; a=b\r\nhello\r\n000\r\n\r\n", "hello", 0 },
		{ "a;x=\"y\"\r\n0123456789\r\n0\r\nT: u\r\nV: w\r\n\r\nx",
		    "0123456789", 1 },
		{ "A\r\n0123456789\r\n0;z\r\n\r\n", "0123456789", 0 },
		{ "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0 },
	};
	struct buf	 out;
	size_t		 i, step, rest;
	enum chunked_state state;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (step = 1; step <= strlen(rows[i].text); step++) {
			state = feed(str_from(rows[i].text), step, &out, &rest);
			CHECK_MSG(state == CHUNKED_DONE &&
			    rest == rows[i].rest &&
			    str_eq_c((struct str){ out.p, out.len },
			    rows[i].body), "row %zu by %zu: %d, %zu left", i,
			    step, state, rest);
			buf_release(&out);
		}
}

void
test_app_chunked_refuses(void)
{
	static const char *const rows[] = {
		"\r\n", "x\r\n", "-5\r\n", ";a\r\n", " 5\r\n", "5x\r\nhello",
		"5\r\nhello0\r\n", "5\r\nhelloX\r\n", "5\rhello", "5\r\r\n",
		"10000000000000000\r\n", "fffffffffffffffff\r\n",
		"5\nhello\n0\n\n", "5\r\nhello\n0\r\n\r\n", "0\r\nA: b\n\r\n",
		"5\r\nhello\r0\r\n", "0\r\nA\rB\r\n\r\n",
	};
	struct buf	 out;
	size_t		 i, step, rest;
	enum chunked_state state;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (step = 1; step <= strlen(rows[i]); step++) {
			state = feed(str_from(rows[i]), step, &out, &rest);
			CHECK_MSG(state == CHUNKED_BROKEN, "row %zu by %zu: %d",
			    i, step, state);
			buf_release(&out);
		}
}

void
test_app_chunked_has_limits(void)
{
	static char	 text[CHUNKED_TRAILER_MAX + 100];
	struct buf	 out;
	size_t		 rest;

	memset(text, 'a', sizeof(text));
	memcpy(text, "5;", 2);
	CHECK_INT(feed((struct str){ text, CHUNKED_LINE_MAX + 10 }, 7, &out,
	    &rest), CHUNKED_BROKEN);
	buf_release(&out);
	memcpy(text, "0\r\n", 3);
	CHECK_INT(feed((struct str){ text, sizeof(text) }, 50, &out, &rest),
	    CHUNKED_BROKEN);
	buf_release(&out);
	CHECK_INT(feed((struct str){ text, CHUNKED_TRAILER_MAX }, 50, &out,
	    &rest), CHUNKED_TRAILER);
	buf_release(&out);
}

void
test_app_chunked_waits_for_more(void)
{
	static const char	 text[] = "5\r\nhello\r\n0\r\n\r\n";
	struct buf		 out;
	size_t			 len, rest;
	enum chunked_state	 state;

	for (len = 0; len < sizeof(text) - 1; len++) {
		state = feed((struct str){ text, len }, 4, &out, &rest);
		CHECK(state != CHUNKED_DONE && state != CHUNKED_BROKEN);
		buf_release(&out);
	}
}
