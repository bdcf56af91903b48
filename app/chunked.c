/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "chunked.h"

void
chunked_init(struct chunked *ch)
{
	memset(ch, 0, sizeof(*ch));
	ch->blank = true;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	c |= 0x20;
	return (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

/* One byte that is not data. */
static void
frame_byte(struct chunked *ch, char c)
{
	int	 digit;

	/* A CR counts only in front of its LF; anywhere else it is smuggling. */
	if (ch->cr && c != '\n') {
		ch->state = CHUNKED_BROKEN;
		return;
	}
	if (c == '\r') {
		ch->cr = true;
		return;
	}
	/* Nor a LF without one: RFC 9112 allows that in heads only. */
	if (c == '\n' && !ch->cr) {
		ch->state = CHUNKED_BROKEN;
		return;
	}
	switch (ch->state) {
	case CHUNKED_SIZE:
		if ((digit = hex(c)) != -1 && ch->left >> 59 == 0) {
			ch->left = ch->left << 4 | (uint64_t)digit;
			ch->digits = true;
			break;
		}
		if (!ch->digits || digit != -1) {
			ch->state = CHUNKED_BROKEN;
			return;
		}
		if (c != '\n' && c != ';' && c != ' ' && c != '\t') {
			ch->state = CHUNKED_BROKEN;
			return;
		}
		ch->state = CHUNKED_EXTENSION;
		/* FALLTHROUGH */
	case CHUNKED_EXTENSION:
		if (c == '\n') {
			ch->state = ch->left > 0 ? CHUNKED_DATA :
			    CHUNKED_TRAILER;
			ch->seen = 0;
			ch->cr = false;
			return;
		}
		break;
	case CHUNKED_DATA_END:
		if (c != '\n') {
			ch->state = CHUNKED_BROKEN;
			return;
		}
		ch->state = CHUNKED_SIZE;
		ch->digits = ch->cr = false;
		ch->seen = 0;
		return;
	case CHUNKED_TRAILER:
		if (c != '\n')
			ch->blank = false;
		else if (ch->blank) {
			ch->state = CHUNKED_DONE;
			return;
		} else
			ch->blank = true;
		break;
	default:
		break;
	}
	ch->cr = false;
	if (++ch->seen > (ch->state == CHUNKED_TRAILER ? CHUNKED_TRAILER_MAX :
	    CHUNKED_LINE_MAX))
		ch->state = CHUNKED_BROKEN;
}

struct str
chunked_next(struct chunked *ch, struct str *in)
{
	struct str	 data = STR_NULL;

	while (in->len > 0 && ch->state != CHUNKED_DONE &&
	    ch->state != CHUNKED_BROKEN) {
		if (ch->state == CHUNKED_DATA) {
			data = str_slice(*in, 0, ch->left);
			*in = str_slice(*in, data.len, in->len);
			ch->left -= data.len;
			if (ch->left == 0)
				ch->state = CHUNKED_DATA_END;
			return (data);
		}
		frame_byte(ch, in->s[0]);
		*in = str_slice(*in, 1, in->len);
	}
	return (data);
}
