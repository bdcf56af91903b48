/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "body.h"
#include "front.h"
#include "metrics.h"

/* Memory of a small upload that is kept for the next one in its slot. */
#define KEEP_MAX	4096

void
body_init(struct body *b)
{
	memset(b, 0, sizeof(*b));
	buf_init(&b->mem, (size_t)front.inline_max + 1);
	b->fd = -1;
}

/* Count more bytes against spool.quota. */
static int
hold(struct body *b, uint64_t more, struct ufop_err *err)
{
	if (metrics_spool_total() + (int64_t)more > front.spool_quota)
		return (err_set(err, UFOP_UNAVAILABLE, "the spool is full: "
		    "the uploads in progress and this one are more than "
		    "spool.quota, %lld bytes; try again, or raise it",
		    (long long)front.spool_quota));
	b->held += more;
	metrics_spool((int64_t)more);
	return (0);
}

int
body_expect(struct body *b, uint64_t len, struct ufop_err *err)
{
	if (len <= (uint64_t)front.inline_max)
		return (0);
	if (hold(b, len, err) == -1)
		return (-1);
	b->fd = spool_tmpfile(&front.spool, err);
	return (b->fd == -1 ? -1 : 0);
}

static int
file_add(struct body *b, struct str s, struct ufop_err *err)
{
	ssize_t	 n;

	while (s.len > 0) {
		n = write(b->fd, s.s, s.len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			err_sys(err, "cannot keep the upload in the spool '%s'",
			    front.spool.path);
			if (errno == ENOSPC || errno == EDQUOT)
				err->code = UFOP_UNAVAILABLE;
			return (-1);
		}
		s = str_slice(s, (size_t)n, s.len);
	}
	return (0);
}

int
body_add(struct body *b, struct str s, struct ufop_err *err)
{
	struct str	 mem;

	if (b->fd == -1 && b->len + s.len > (uint64_t)front.inline_max) {
		/* Nobody said that it would become so long. */
		mem = (struct str){ b->mem.p, b->mem.len };
		if (hold(b, b->len, err) == -1 ||
		    (b->fd = spool_tmpfile(&front.spool, err)) == -1 ||
		    file_add(b, mem, err) == -1)
			return (-1);
		buf_clear(&b->mem);
	}
	b->len += s.len;
	if (b->fd == -1)
		return (buf_str(&b->mem, s));
	if (b->len > b->held && hold(b, b->len - b->held, err) == -1)
		return (-1);
	return (file_add(b, s, err));
}

void
body_leave(struct body *b)
{
	if (b->fd != -1)
		close(b->fd);
	b->fd = -1;
}

void
body_clear(struct body *b)
{
	body_leave(b);
	b->len = 0;
	if (b->held > 0)
		metrics_spool(-(int64_t)b->held);
	b->held = 0;
	if (b->mem.cap > KEEP_MAX)
		buf_release(&b->mem);
	else
		buf_clear(&b->mem);
}
