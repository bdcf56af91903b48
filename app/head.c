/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <strings.h>

#include "head.h"

/* Digits of a Content-Length that can still be counted. */
#define LENGTH_DIGITS	18

size_t
head_end(struct str in, size_t from)
{
	const char	*p, *nl, *end = in.s + in.len;

	/* The end may have begun in what was looked at: "\n\r" or "\n". */
	p = in.s + (from > 2 ? from - 2 : 0);
	while (p < end && (nl = memchr(p, '\n', end - p)) != NULL) {
		p = nl + 1;
		if (p < end && *p == '\n')
			return (p + 1 - in.s);
		if (p + 1 < end && p[0] == '\r' && p[1] == '\n')
			return (p + 2 - in.s);
	}
	return (0);
}

size_t
head_blank(struct str in)
{
	size_t	 n = 0;

	while (n < in.len && (in.s[n] == '\n' ||
	    (in.s[n] == '\r' && (n + 1 == in.len || in.s[n + 1] == '\n'))))
		n++;
	return (n);
}

static bool
is_token_char(unsigned char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9'))
		return (true);
	return (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_token(struct str s)
{
	size_t	 i;

	for (i = 0; i < s.len; i++)
		if (!is_token_char(s.s[i]))
			return (false);
	return (s.len > 0);
}

static bool
is_word(struct str s, const char *word)
{
	return (s.len == strlen(word) && strncasecmp(s.s, word, s.len) == 0);
}

/* The next line off the front of *rest, without its line ending. */
static struct str
next_line(struct str *rest)
{
	struct str	 line = str_cut(rest, '\n');

	if (line.len > 0 && line.s[line.len - 1] == '\r')
		line.len--;
	return (line);
}

static int
bad(int status, struct ufop_err *err, const char *what)
{
	err_set(err, UFOP_BAD_INPUT, "%s", what);
	return (status);
}

static int
parse_version(struct head *h, struct str v, struct ufop_err *err)
{
	if (!str_prefix(v, STR("HTTP/")) || v.len < 6)
		return (bad(400, err, "the request line does not end in an "
		    "HTTP version; send HTTP/1.1"));
	if (v.len != 8 || v.s[5] != '1' || v.s[6] != '.' || v.s[7] < '0' ||
	    v.s[7] > '9') {
		err_set(err, UFOP_BAD_INPUT, "'%.*s' is not spoken here; "
		    "send HTTP/1.1", (int)(v.len > 20 ? 20 : v.len), v.s);
		return (505);
	}
	h->is_http10 = v.s[7] == '0';
	return (0);
}

/* path and query, from "/path?query" or "http://host/path?query". */
static int
parse_target(struct head *h, struct str t, struct ufop_err *err)
{
	size_t	 i;
	int	 scheme;

	for (i = 0; i < t.len; i++)
		if ((unsigned char)t.s[i] < 0x21 || t.s[i] == 0x7f)
			return (bad(400, err, "the request target holds a "
			    "control character; percent-encode it"));
	scheme = t.len >= 7 && strncasecmp(t.s, "http://", 7) == 0 ? 7 :
	    t.len >= 8 && strncasecmp(t.s, "https://", 8) == 0 ? 8 : 0;
	if (scheme > 0) {
		t = str_slice(t, scheme, t.len);
		for (i = 0; i < t.len && t.s[i] != '/' && t.s[i] != '?'; i++)
			;
		if (i == t.len)
			t = STR("/");
		else
			t = str_slice(t, i, t.len);
	}
	/* OPTIONS * is legal, though there is no such path here. */
	if (!(is_word(t, "*") && h->method == HEAD_OTHER) &&
	    (t.len == 0 || (t.s[0] != '/' && t.s[0] != '?')))
		return (bad(400, err, "the request target does not start "
		    "with a slash"));
	h->query = t;
	h->path = str_cut(&h->query, '?');
	if (h->path.len == 0)
		h->path = STR("/");
	return (0);
}

static int
parse_request_line(struct head *h, struct str line, struct ufop_err *err)
{
	struct str	 target;
	int		 status;

	h->method_name = str_cut(&line, ' ');
	if (!is_token(h->method_name) || h->method_name.len > 20 ||
	    line.s == NULL)
		return (bad(400, err, "this is no HTTP request; send "
		    "'POST /handler?cmd=... HTTP/1.1'"));
	if (str_eq_c(h->method_name, "GET"))
		h->method = HEAD_GET;
	else if (str_eq_c(h->method_name, "HEAD"))
		h->method = HEAD_HEAD;
	else if (str_eq_c(h->method_name, "POST"))
		h->method = HEAD_POST;
	target = str_cut(&line, ' ');
	if (target.len > HEAD_TARGET_MAX) {
		err_set(err, UFOP_BAD_INPUT, "the request target is %zu bytes "
		    "long and %d is the limit; send cmd and url percent-"
		    "encoded in the headers X-Ufop-Cmd and X-Ufop-Url",
		    target.len, HEAD_TARGET_MAX);
		return (414);
	}
	if (line.s == NULL)
		return (bad(400, err, "the request line has no HTTP version; "
		    "send HTTP/1.1"));
	if (str_find(line, ' ') != -1)
		return (bad(400, err, "the request target holds a space; "
		    "percent-encode it as %20"));
	if ((status = parse_version(h, line, err)) != 0)
		return (status);
	return (parse_target(h, target, err));
}

static int
parse_length(struct head *h, struct str v, struct ufop_err *err)
{
	int64_t	 n;
	size_t	 i;

	for (i = 0; i < v.len; i++)
		if (v.s[i] < '0' || v.s[i] > '9')
			break;
	if (i != v.len || v.len == 0)
		return (bad(400, err, "Content-Length is no number"));
	if (v.len > LENGTH_DIGITS)
		return (bad(413, err, "Content-Length is beyond counting"));
	if (str_int(v, 0, INT64_MAX, &n) == -1 ||
	    (h->length != -1 && h->length != n))
		return (bad(400, err, "there are two Content-Length fields "
		    "that disagree"));
	h->length = n;
	return (0);
}

static void
parse_connection(struct head *h, struct str v)
{
	struct str	 word;

	while (v.s != NULL) {
		word = str_trim(str_cut(&v, ','));
		if (is_word(word, "close"))
			h->keep_alive = false;
		else if (is_word(word, "keep-alive") && h->is_http10)
			h->keep_alive = true;
	}
}

static int
parse_field(struct head *h, struct str line, struct ufop_err *err)
{
	struct str	 name, v = line;
	size_t		 i;

	if (line.s[0] == ' ' || line.s[0] == '\t')
		return (bad(400, err, "a header field is folded over two "
		    "lines; send it in one"));
	name = str_cut(&v, ':');
	if (v.s == NULL || !is_token(name))
		return (bad(400, err, "a header line is not of the form "
		    "'Name: value'"));
	v = str_trim(v);
	for (i = 0; i < v.len; i++)
		if (((unsigned char)v.s[i] < 0x20 && v.s[i] != '\t') ||
		    v.s[i] == 0x7f) {
			err_set(err, UFOP_BAD_INPUT, "the header %.*s holds a "
			    "control character", (int)(name.len > 40 ? 40 :
			    name.len), name.s);
			return (400);
		}

	switch (name.len) {
	case 4:
		if (is_word(name, "host")) {
			if (h->host.s != NULL)
				return (bad(400, err,
				    "there are two Host fields"));
			h->host = v;
		}
		break;
	case 6:
		if (is_word(name, "accept") && h->accept.s == NULL)
			h->accept = v;
		else if (is_word(name, "expect")) {
			if (!is_word(v, "100-continue"))
				return (bad(417, err, "only 100-continue can "
				    "be expected here"));
			h->expect = true;
		}
		break;
	case 7:
		if (is_word(name, "x-reqid") && h->reqid.s == NULL)
			h->reqid = v;
		break;
	case 10:
		if (is_word(name, "connection"))
			parse_connection(h, v);
		else if (is_word(name, "x-ufop-cmd") && h->cmd.s == NULL)
			h->cmd = v;
		else if (is_word(name, "x-ufop-url") && h->url.s == NULL)
			h->url = v;
		break;
	case 12:
		if (is_word(name, "content-type") && h->type.s == NULL)
			h->type = v;
		break;
	case 14:
		if (is_word(name, "content-length"))
			return (parse_length(h, v, err));
		break;
	case 17:
		if (is_word(name, "transfer-encoding")) {
			if (h->chunked || !is_word(v, "chunked"))
				return (bad(501, err, "of all transfer "
				    "encodings only chunked is known here"));
			h->chunked = true;
		}
		break;
	}
	return (0);
}

int
head_parse(struct head *h, struct str in, struct ufop_err *err)
{
	struct str	 line;
	int		 status;

	memset(h, 0, sizeof(*h));
	h->length = -1;
	h->method = HEAD_OTHER;
	if ((status = parse_request_line(h, next_line(&in), err)) != 0)
		return (status);
	h->keep_alive = !h->is_http10;
	while (in.s != NULL) {
		line = next_line(&in);
		if (line.len == 0)
			break;
		if ((status = parse_field(h, line, err)) != 0)
			goto refuse;
	}
	status = 400;
	if (h->host.s == NULL && !h->is_http10)
		(void)bad(400, err, "the request has no Host field");
	else if (h->chunked && h->length != -1)
		(void)bad(400, err, "the request has both Content-Length and "
		    "Transfer-Encoding; send one of them");
	else if (h->chunked && h->is_http10)
		(void)bad(400, err, "HTTP/1.0 knows no Transfer-Encoding");
	else
		return (0);
refuse:
	h->keep_alive = false;
	return (status);
}
