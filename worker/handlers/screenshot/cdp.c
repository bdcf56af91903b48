/* SPDX-License-Identifier: MIT */
/* Messages of the DevTools protocol; see cdp.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "cdp.h"
#include "reqid.h"

/* A picture in base64, and a page's HTML the other way. */
#define MESSAGE_MAX	(256 << 20)
#define READ_SIZE	(256 << 10)
/* Fewer wake-ups on both sides than the 64 KB a pipe has by itself. */
#define PIPE_SIZE	(1 << 20)

void
cdp_init(struct cdp *c, int rfd, int wfd)
{
	memset(c, 0, sizeof(*c));
	c->rfd = rfd;
	c->wfd = wfd;
	(void)fcntl(rfd, F_SETFL, O_NONBLOCK);
	(void)fcntl(wfd, F_SETFL, O_NONBLOCK);
	(void)fcntl(rfd, F_SETPIPE_SZ, PIPE_SIZE);
	(void)fcntl(wfd, F_SETPIPE_SZ, PIPE_SIZE);
	buf_init(&c->in, MESSAGE_MAX);
	buf_init(&c->out, MESSAGE_MAX);
}

void
cdp_release(struct cdp *c)
{
	if (c->rfd != -1)
		close(c->rfd);
	if (c->wfd != -1)
		close(c->wfd);
	c->rfd = c->wfd = -1;
	buf_release(&c->in);
	buf_release(&c->out);
}

int
cdp_send(struct cdp *c, const char *session, const char *method,
    json_t *params)
{
	char	*text = params != NULL ? json_dumps(params, JSON_COMPACT) : NULL;

	if (text == NULL) {
		json_decref(params);
		return (-1);
	}
	buf_addf(&c->out, "{\"id\":%d,\"method\":\"%s\",\"params\":%s",
	    ++c->id, method, text);
	if (*session != '\0')
		buf_addf(&c->out, ",\"sessionId\":\"%s\"", session);
	buf_add(&c->out, "}", 2);	/* and its NUL */
	free(text);
	json_decref(params);
	return (c->id);
}

int
cdp_flush(struct cdp *c)
{
	size_t	 done = 0;
	ssize_t	 n;

	if (c->out.failed)
		return (-1);
	while (done < c->out.len) {
		n = write(c->wfd, c->out.p + done, c->out.len - done);
		if (n > 0)
			done += (size_t)n;
		else if (n == -1 && errno == EAGAIN)
			break;
		else if (n == -1 && errno != EINTR)
			return (-1);
	}
	if (done == c->out.len)
		buf_clear(&c->out);
	else if (done > 0) {
		memmove(c->out.p, c->out.p + done, c->out.len - done);
		c->out.len -= done;
	}
	return (0);
}

/* The text between a key that ends in a quote and the next quote. */
static struct str
quoted(struct str text, size_t at)
{
	struct str	 rest = str_slice(text, at, text.len);
	int		 end = str_find(rest, '"');

	return (end == -1 ? STR("") : str_slice(rest, 0, (size_t)end));
}

/*
 * The last member of the message itself.  One of the same name further in, which
 * a page can bring about, has more behind it than the message's own brace.
 */
static struct str
session_of(struct str text)
{
	static const char	 key[] = "\"sessionId\":\"";
	size_t			 end, at, len = sizeof(key) - 1;

	if (text.len < 2 || memcmp(text.s + text.len - 2, "\"}", 2) != 0)
		return (STR(""));
	end = at = text.len - 2;
	while (at > 0 && text.s[at - 1] != '"' && end - at <= CDP_NAME_MAX)
		at--;
	if (at < len || memcmp(text.s + at - len, key, len) != 0)
		return (STR(""));
	return (str_slice(text, at, end));
}

static void
message_read(struct cdp_msg *m, struct str text)
{
	static const struct str	 id = { "{\"id\":", 6 };
	static const struct str	 method = { "{\"method\":\"", 11 };

	memset(m, 0, sizeof(*m));
	m->text = text;
	m->session = session_of(text);
	if (str_prefix(text, id))
		m->id = (int)strtol(text.s + id.len, NULL, 10);
	else if (str_prefix(text, method))
		m->method = quoted(text, method.len);
}

/* A whole message out of what has been read; false when there is none. */
static bool
cdp_next(struct cdp *c, struct cdp_msg *m)
{
	char	*start, *nul;

	if (c->taken + c->scanned >= c->in.len)
		return (false);
	start = c->in.p + c->taken;
	nul = memchr(start + c->scanned, '\0', c->in.len - c->taken -
	    c->scanned);
	if (nul == NULL) {
		c->scanned = c->in.len - c->taken;
		return (false);
	}
	message_read(m, (struct str){ start, (size_t)(nul - start) });
	c->taken += (size_t)(nul - start) + 1;
	c->scanned = 0;
	return (true);
}

/* Read once; -1 at the end of the browser, and of its good behaviour. */
static int
cdp_fill(struct cdp *c)
{
	ssize_t	 n;

	if (c->taken > 0) {
		memmove(c->in.p, c->in.p + c->taken, c->in.len - c->taken);
		c->in.len -= c->taken;
		c->taken = 0;
	}
	if (buf_reserve(&c->in, READ_SIZE) == -1)
		return (-1);
	n = read(c->rfd, c->in.p + c->in.len, READ_SIZE);
	if (n > 0)
		c->in.len += (size_t)n;
	return (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR) ?
	    -1 : 0);
}

int
cdp_recv(struct cdp *c, int64_t deadline_us, struct cdp_msg *m)
{
	struct pollfd	 pfd[2];
	int64_t		 left;

	for (;;) {
		if (c->out.len > 0 && cdp_flush(c) == -1)
			return (-1);
		if (cdp_next(c, m))
			return (1);
		left = deadline_us - clock_mono_us();
		if (left <= 0)
			return (0);
		pfd[0] = (struct pollfd){ c->rfd, POLLIN, 0 };
		pfd[1] = (struct pollfd){ c->wfd, POLLOUT, 0 };
		if (poll(pfd, c->out.len > 0 ? 2 : 1,
		    (int)((left + 999) / 1000)) > 0 && pfd[0].revents != 0 &&
		    cdp_fill(c) == -1)
			return (-1);
	}
}

json_t *
cdp_parse(const struct cdp_msg *m)
{
	return (json_loadb(m->text.s, m->text.len, 0, NULL));
}

const char *
cdp_string(json_t *o, const char *key)
{
	const char	*s = json_string_value(json_object_get(o, key));

	return (s != NULL ? s : "");
}

bool
cdp_data(const struct cdp_msg *m, struct str *b64)
{
	static const struct str	 key = { "\"result\":{\"data\":\"", 18 };
	int			 comma = str_find(m->text, ',');
	struct str		 rest;
	const char		*end;

	if (comma == -1)
		return (false);
	rest = str_slice(m->text, (size_t)comma + 1, m->text.len);
	if (!str_prefix(rest, key))
		return (false);
	rest = str_slice(rest, key.len, rest.len);
	end = memchr(rest.s, '"', rest.len);
	if (end == NULL)
		return (false);
	*b64 = (struct str){ rest.s, (size_t)(end - rest.s) };
	return (true);
}

/* Each character's six bits at each of the four places of a group. */
static uint32_t	b64_table[4][256];

#define B64_BAD	0x80000000U

static const char	b64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void
b64_init(void)
{
	int	 i, k;

	for (k = 0; k < 4; k++) {
		for (i = 0; i < 256; i++)
			b64_table[k][i] = B64_BAD;
		for (i = 0; i < 64; i++)
			b64_table[k][(unsigned char)b64_digits[i]] =
			    (uint32_t)i << (18 - 6 * k);
	}
}

int64_t
cdp_b64(unsigned char *dst, struct str b64)
{
	const unsigned char	*s = (const unsigned char *)b64.s;
	unsigned char		*d = dst;
	size_t			 n, pad = 0;
	uint32_t		 v, bad = 0;

	if (b64_table[0]['B'] == 0)
		b64_init();
	if (b64.len % 4 != 0)
		return (-1);
	while (pad < 2 && pad < b64.len && s[b64.len - 1 - pad] == '=')
		pad++;
	for (n = b64.len / 4 - (pad > 0); n > 0; n--, s += 4, d += 3) {
		v = b64_table[0][s[0]] | b64_table[1][s[1]] |
		    b64_table[2][s[2]] | b64_table[3][s[3]];
		bad |= v;
		d[0] = (unsigned char)(v >> 16);
		d[1] = (unsigned char)(v >> 8);
		d[2] = (unsigned char)v;
	}
	if (pad > 0) {
		v = b64_table[0][s[0]] | b64_table[1][s[1]] |
		    (pad == 1 ? b64_table[2][s[2]] : 0);
		bad |= v;
		*d++ = (unsigned char)(v >> 16);
		if (pad == 1)
			*d++ = (unsigned char)(v >> 8);
	}
	return (bad & B64_BAD ? -1 : d - dst);
}

json_t *
cdp_b64_json(const void *data, size_t len)
{
	const unsigned char	*s = data;
	char			*text = xmalloc((len + 2) / 3 * 4 + 1), *d;
	json_t			*json;
	uint32_t		 v;
	size_t			 i;

	for (i = 0, d = text; i < len; i += 3, d += 4) {
		v = (uint32_t)s[i] << 16;
		if (i + 1 < len)
			v |= (uint32_t)s[i + 1] << 8;
		if (i + 2 < len)
			v |= s[i + 2];
		d[0] = b64_digits[v >> 18];
		d[1] = b64_digits[v >> 12 & 63];
		d[2] = i + 1 < len ? b64_digits[v >> 6 & 63] : '=';
		d[3] = i + 2 < len ? b64_digits[v & 63] : '=';
	}
	json = json_stringn_nocheck(text, (size_t)(d - text));
	free(text);
	return (json);
}
