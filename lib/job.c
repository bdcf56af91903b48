/* SPDX-License-Identifier: MIT */
/*
 * Encoding and decoding of the two messages.  Layouts: docs/protocol.txt.
 */
#include <string.h>

#include "job.h"

#define JOB_FIXED	64
#define OFF_DEATHS	2
#define OFF_RETRIES	3

static void
put16(unsigned char *p, uint16_t v)
{
	p[0] = v & 0xff;
	p[1] = v >> 8;
}

static void
put32(unsigned char *p, uint32_t v)
{
	put16(p, v & 0xffff);
	put16(p + 2, v >> 16);
}

static void
put64(unsigned char *p, uint64_t v)
{
	put32(p, v & 0xffffffff);
	put32(p + 4, v >> 32);
}

static uint16_t
get16(const unsigned char *p)
{
	return (p[0] | p[1] << 8);
}

static uint32_t
get32(const unsigned char *p)
{
	return (get16(p) | (uint32_t)get16(p + 2) << 16);
}

static uint64_t
get64(const unsigned char *p)
{
	return (get32(p) | (uint64_t)get32(p + 4) << 32);
}

/* Cut n bytes off the front of *in; sets *bad when there are fewer. */
static struct str
take(struct str *in, size_t n, bool *bad)
{
	struct str	 out = { in->s, n };

	if (n > in->len) {
		*bad = true;
		return (STR_NULL);
	}
	in->s += n;
	in->len -= n;
	return (out);
}

int
job_encode(const struct job *j, struct buf *out, struct ufop_err *err)
{
	unsigned char		 h[JOB_FIXED], s[8];
	const struct job_stage	*st;
	int			 i, k;

	if (j->pool.len > JOB_POOL_MAX || j->id.len > UINT16_MAX ||
	    j->web.len > UINT16_MAX || j->type.len > UINT16_MAX ||
	    j->accept.len > UINT16_MAX || j->nstages > JOB_STAGES_MAX ||
	    j->ref.len > JOB_INLINE_MAX)
		return (err_set(err, UFOP_TOO_BIG,
		    "the request's headers are too long for a job"));

	memset(h, 0, sizeof(h));
	h[0] = 'J';
	h[1] = JOB_VERSION;
	h[OFF_DEATHS] = j->deaths;
	h[OFF_RETRIES] = j->retries;
	h[4] = j->flags;
	h[5] = j->body;
	h[6] = j->pool.len;
	h[7] = j->nstages;
	put64(h + 8, j->deadline_ms);
	put64(h + 16, j->queued_us);
	put64(h + 24, j->tag);
	put64(h + 32, j->body_len);
	put64(h + 40, j->spool_id);
	put16(h + 48, j->id.len);
	put16(h + 50, j->web.len);
	put16(h + 52, j->type.len);
	put16(h + 54, j->accept.len);
	put32(h + 56, j->url.len);
	put32(h + 60, j->ref.len);
	buf_add(out, h, sizeof(h));
	buf_str(out, j->pool);
	buf_str(out, j->id);
	buf_str(out, j->web);
	buf_str(out, j->type);
	buf_str(out, j->accept);
	buf_str(out, j->url);
	for (i = 0; i < j->nstages; i++) {
		st = &j->stages[i];
		put16(s, st->task.len);
		put16(s + 2, st->nargs);
		put32(s + 4, st->cmd.len);
		buf_add(out, s, 8);
		buf_str(out, st->task);
		buf_str(out, st->cmd);
		for (k = 0; k < st->nargs; k++) {
			put16(s, st->args[k].name.len);
			put16(s + 2, 0);
			put32(s + 4, st->args[k].value.len);
			buf_add(out, s, 8);
			buf_str(out, st->args[k].name);
			buf_str(out, st->args[k].value);
		}
	}
	buf_str(out, j->ref);
	if (out->failed)
		return (err_set(err, UFOP_TOO_BIG,
		    "the request's cmd, url and headers are too long for a "
		    "job of %d bytes", JOB_ENTRY_MAX));
	return (0);
}

static int
job_decode_stage(struct job_stage *st, struct str *in, bool *bad)
{
	struct str	 h;
	int		 k;
	size_t		 task_len, cmd_len, name_len;

	h = take(in, 8, bad);
	if (*bad)
		return (-1);
	task_len = get16((const unsigned char *)h.s);
	st->nargs = get16((const unsigned char *)h.s + 2);
	cmd_len = get32((const unsigned char *)h.s + 4);
	if (st->nargs > JOB_ARGS_MAX)
		return (-1);
	st->task = take(in, task_len, bad);
	st->cmd = take(in, cmd_len, bad);
	for (k = 0; k < st->nargs && !*bad; k++) {
		h = take(in, 8, bad);
		if (*bad)
			return (-1);
		name_len = get16((const unsigned char *)h.s);
		st->args[k].name = take(in, name_len, bad);
		st->args[k].value = take(in,
		    get32((const unsigned char *)h.s + 4), bad);
	}
	return (*bad ? -1 : 0);
}

int
job_decode(struct job *j, struct str in, struct ufop_err *err)
{
	const unsigned char	*h = (const unsigned char *)in.s;
	bool			 bad = false;
	size_t			 ref_len, url_len;
	int			 i;

	if (in.len < JOB_FIXED || h[0] != 'J')
		return (err_set(err, UFOP_BAD_INPUT,
		    "this queue entry of %zu bytes is no ufop job", in.len));
	if (h[1] != JOB_VERSION)
		return (err_set(err, UFOP_BAD_INPUT, "this job is of version "
		    "%d and this worker reads version %d; run the same ufop "
		    "on both sides", h[1], JOB_VERSION));
	j->deaths = h[OFF_DEATHS];
	j->retries = h[OFF_RETRIES];
	j->flags = h[4];
	j->body = h[5];
	j->nstages = h[7];
	j->deadline_ms = get64(h + 8);
	j->queued_us = get64(h + 16);
	j->tag = get64(h + 24);
	j->body_len = get64(h + 32);
	j->spool_id = get64(h + 40);
	url_len = get32(h + 56);
	ref_len = get32(h + 60);
	(void)take(&in, JOB_FIXED, &bad);
	j->pool = take(&in, h[6], &bad);
	j->id = take(&in, get16(h + 48), &bad);
	j->web = take(&in, get16(h + 50), &bad);
	j->type = take(&in, get16(h + 52), &bad);
	j->accept = take(&in, get16(h + 54), &bad);
	j->url = take(&in, url_len, &bad);
	if (!bad && j->nstages >= 1 && j->nstages <= JOB_STAGES_MAX &&
	    j->body <= JOB_BODY_KEY && j->pool.len <= JOB_POOL_MAX) {
		for (i = 0; i < j->nstages; i++)
			if (job_decode_stage(&j->stages[i], &in, &bad) == -1)
				break;
		if (i == j->nstages) {
			j->ref = take(&in, ref_len, &bad);
			if (!bad && in.len == 0 &&
			    (j->body != JOB_BODY_INLINE ||
			    j->ref.len == j->body_len))
				return (0);
		}
	}
	return (err_set(err, UFOP_BAD_INPUT,
	    "the lengths in this job do not add up"));
}

void
job_set_counts(char *entry, uint8_t deaths, uint8_t retries)
{
	entry[OFF_DEATHS] = deaths;
	entry[OFF_RETRIES] = retries;
}

int
reply_encode(const struct reply *r, struct buf *out, struct ufop_err *err)
{
	unsigned char	 h[REPLY_FIXED], s[4];
	int		 i;

	if (r->type.len > UINT16_MAX || r->log.len > UINT16_MAX ||
	    r->nheaders > JOB_HEADERS_MAX || r->ref.len > JOB_INLINE_MAX)
		return (err_set(err, UFOP_TOO_BIG,
		    "the reply's headers are too long"));
	memset(h, 0, sizeof(h));
	h[0] = 'R';
	h[1] = JOB_VERSION;
	h[2] = r->body;
	h[3] = r->nheaders;
	put16(h + 4, r->status);
	put64(h + 8, r->tag);
	put64(h + 16, r->body_len);
	put32(h + 24, r->held_us);
	put32(h + 28, r->run_us);
	put32(h + 32, r->type.len);
	put32(h + 36, r->log.len);
	put32(h + 40, r->ref.len);
	buf_add(out, h, sizeof(h));
	buf_str(out, r->type);
	buf_str(out, r->log);
	for (i = 0; i < r->nheaders; i++) {
		put16(s, r->headers[i].name.len);
		put16(s + 2, r->headers[i].value.len);
		buf_add(out, s, 4);
		buf_str(out, r->headers[i].name);
		buf_str(out, r->headers[i].value);
	}
	buf_str(out, r->ref);
	if (out->failed)
		return (err_set(err, UFOP_TOO_BIG,
		    "the reply's headers are too long"));
	return (0);
}

int
reply_decode(struct reply *r, struct str in, struct ufop_err *err)
{
	const unsigned char	*h = (const unsigned char *)in.s;
	bool			 bad = false;
	struct str		 s;
	size_t			 ref_len;
	int			 i;

	if (in.len < REPLY_FIXED || h[0] != 'R' || h[1] != JOB_VERSION)
		return (err_set(err, UFOP_BAD_INPUT,
		    "this is no reply of protocol version %d", JOB_VERSION));
	r->body = h[2];
	r->nheaders = h[3];
	r->status = get16(h + 4);
	r->tag = get64(h + 8);
	r->body_len = get64(h + 16);
	r->held_us = get32(h + 24);
	r->run_us = get32(h + 28);
	ref_len = get32(h + 40);
	(void)take(&in, REPLY_FIXED, &bad);
	r->type = take(&in, get32(h + 32), &bad);
	r->log = take(&in, get32(h + 36), &bad);
	if (r->nheaders > JOB_HEADERS_MAX)
		bad = true;
	for (i = 0; i < r->nheaders && !bad; i++) {
		s = take(&in, 4, &bad);
		if (bad)
			break;
		r->headers[i].name = take(&in,
		    get16((const unsigned char *)s.s), &bad);
		r->headers[i].value = take(&in,
		    get16((const unsigned char *)s.s + 2), &bad);
	}
	if (!bad)
		r->ref = take(&in, ref_len, &bad);
	if (bad || in.len != 0 || r->status < 100 || r->status > 599 ||
	    r->body > JOB_BODY_KEY ||
	    (r->body == JOB_BODY_INLINE && r->ref.len != r->body_len))
		return (err_set(err, UFOP_BAD_INPUT,
		    "the lengths in this reply do not add up"));
	return (0);
}

void
job_error_json(struct buf *out, int status, struct str msg)
{
	buf_addf(out, "{\"code\":%d,\"error\":\"", status);
	buf_json(out, msg);
	buf_cstr(out, "\"}");
}
