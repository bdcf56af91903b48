/* SPDX-License-Identifier: MIT */
/* app/head.c: heads that are taken, heads that are refused, and why. */
#include <string.h>

#include "../../app/head.h"
#include "unit.h"

void
test_app_head_end_is_found_at_every_cut(void)
{
	static const char	*heads[] = { "GET / HTTP/1.1\r\nHost: a\r\n\r\nBODY",
				    "GET / HTTP/1.1\nHost: a\n\nBODY",
				    "GET / HTTP/1.1\r\nHost: a\n\r\nBODY" };
	struct str		 in;
	size_t			 i, cut, want, seen;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		in = str_from(heads[i]);
		want = in.len - 4;
		CHECK_INT(head_end(in, 0), want);
		/* However the bytes arrive, the end is seen once it is there. */
		for (cut = 0, seen = 0; cut < want; cut++) {
			CHECK_INT(head_end(str_slice(in, 0, cut), seen), 0);
			seen = cut;
		}
		CHECK_INT(head_end(str_slice(in, 0, want), seen), want);
	}
	CHECK_INT(head_end(STR(""), 0), 0);
	CHECK_INT(head_end(STR("\n"), 0), 0);
}

void
test_app_head_blank_lines_in_front(void)
{
	CHECK_INT(head_blank(STR("\r\n\nGET")), 3);
	CHECK_INT(head_blank(STR("GET")), 0);
	CHECK_INT(head_blank(STR("\rGET")), 0);
	CHECK_INT(head_blank(STR("\r")), 1);
}

void
test_app_head_takes_what_matters(void)
{
	struct head	 h;
	struct ufop_err	 err;

	CHECK_INT(head_parse(&h, STR("POST /handler?cmd=q/a|b&url=x HTTP/1.1\r\n"
	    "hOST: example.com:80\r\nContent-Type:  image/jpeg \r\n"
	    "CONTENT-LENGTH: 12\r\nAccept: */*\r\nAccept: text/html\r\n"
	    "Expect: 100-Continue\r\nX-Reqid: abc\r\nX-Ufop-Cmd: q/c\r\n"
	    "X-Ufop-Url: http://a/\r\nEmpty:\r\n\r\n"), &err), 0);
	CHECK_INT(h.method, HEAD_POST);
	CHECK(str_eq_c(h.path, "/handler"));
	CHECK(str_eq_c(h.query, "cmd=q/a|b&url=x"));
	CHECK(str_eq_c(h.host, "example.com:80"));
	CHECK(str_eq_c(h.type, "image/jpeg"));
	CHECK(str_eq_c(h.accept, "*/*"));
	CHECK(str_eq_c(h.reqid, "abc"));
	CHECK(str_eq_c(h.cmd, "q/c"));
	CHECK(str_eq_c(h.url, "http://a/"));
	CHECK_INT(h.length, 12);
	CHECK(h.expect && h.keep_alive && !h.chunked && !h.is_http10);

	CHECK_INT(head_parse(&h, STR("GET /health HTTP/1.1\nHost: a\n"
	    "Transfer-Encoding: Chunked\n\n"), &err), 0);
	CHECK_INT(h.method, HEAD_GET);
	CHECK(h.query.s == NULL && h.type.s == NULL && h.chunked);
	CHECK_INT(h.length, -1);
}

void
test_app_head_targets(void)
{
	static const struct {
		const char	*target, *path, *query;
	} rows[] = {
		{ "/a/b", "/a/b", NULL },
		{ "/a?", "/a", "" },
		{ "/a?b?c", "/a", "b?c" },
		{ "http://h/a?b", "/a", "b" },
		{ "HTTPS://h:1/a", "/a", NULL },
		{ "http://h", "/", NULL },
		{ "http://h?b", "/", "b" },
		{ "/\xe5\x9b\xbe", "/\xe5\x9b\xbe", NULL },
	};
	char		 text[200];
	struct head	 h;
	struct ufop_err	 err;
	size_t		 i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n",
		    rows[i].target);
		CHECK_MSG(head_parse(&h, str_from(text), &err) == 0 &&
		    str_eq_c(h.path, rows[i].path) &&
		    (rows[i].query == NULL ? h.query.s == NULL :
		    h.query.s != NULL && str_eq_c(h.query, rows[i].query)),
		    "%s", rows[i].target);
	}
}

void
test_app_head_stays_open_or_not(void)
{
	static const struct {
		const char	*version, *connection;
		bool		 keep;
	} rows[] = {
		{ "1.1", "X: y", true },
		{ "1.1", "Connection: close", false },
		{ "1.1", "Connection: Upgrade, CLOSE", false },
		{ "1.1", "Connection: keep-alive", true },
		{ "1.0", "X: y", false },
		{ "1.0", "Connection: Keep-Alive", true },
		{ "1.0", "Connection: keep-alive, close", false },
		{ "1.9", "X: y", true },
	};
	char		 text[200];
	struct head	 h;
	struct ufop_err	 err;
	size_t		 i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/%s\r\nHost: a\r\n%s\r\n"
		    "\r\n", rows[i].version, rows[i].connection);
		CHECK_MSG(head_parse(&h, str_from(text), &err) == 0 &&
		    h.keep_alive == rows[i].keep, "%s %s", rows[i].version,
		    rows[i].connection);
	}
}

#define LINE	"POST / HTTP/1.1\r\nHost: a\r\n"
#define ROW(status, text, word)	{ status, { text, sizeof(text) - 1 }, word }

void
test_app_head_refuses(void)
{
	static const struct {
		int		 status;
		struct str	 text;
		const char	*word;		/* of the sentence */
	} rows[] = {
		ROW(400, "\r\n", "no HTTP request"),
		ROW(400, "GET\r\n\r\n", "no HTTP request"),
		ROW(400, "G\x01T / HTTP/1.1\r\n\r\n", "no HTTP request"),
		ROW(400, "GET /\r\n\r\n", "version"),
		ROW(400, "GET / ICY/1.1\r\n\r\n", "version"),
		ROW(505, "GET / HTTP/2.0\r\n\r\n", "HTTP/1.1"),
		ROW(505, "GET / HTTP/1.10\r\n\r\n", "HTTP/1.1"),
		ROW(400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "space"),
		ROW(400, "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", "control"),
		ROW(400, "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", "control"),
		ROW(400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n", "slash"),
		ROW(400, "GET / HTTP/1.1\r\n\r\n", "Host"),
		ROW(400, LINE "Host: b\r\n\r\n", "Host"),
		ROW(400, LINE " folded\r\n\r\n", "folded"),
		ROW(400, LINE "No colon\r\n\r\n", "Name: value"),
		ROW(400, LINE "Space : x\r\n\r\n", "Name: value"),
		ROW(400, LINE ": x\r\n\r\n", "Name: value"),
		ROW(400, LINE "A: b\rc\r\n\r\n", "control"),
		ROW(400, LINE "A: b\0c\r\n\r\n", "control"),
		ROW(400, LINE "Content-Length: x\r\n\r\n", "Content-Length"),
		ROW(400, LINE "Content-Length: \r\n\r\n", "Content-Length"),
		ROW(400, LINE "Content-Length: +5\r\n\r\n", "Content-Length"),
		ROW(400, LINE "Content-Length: 5, 5\r\n\r\n", "Content-Length"),
		ROW(400, LINE "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
		    "disagree"),
		ROW(413, LINE "Content-Length: 9999999999999999999\r\n\r\n",
		    "counting"),
		ROW(400, LINE "Content-Length: 5\r\nTransfer-Encoding: chunked"
		    "\r\n\r\n", "both"),
		ROW(501, LINE "Transfer-Encoding: gzip, chunked\r\n\r\n",
		    "chunked"),
		ROW(501, LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: "
		    "chunked\r\n\r\n", "chunked"),
		ROW(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
		    "HTTP/1.0"),
		ROW(417, LINE "Expect: the unexpected\r\n\r\n", "100-continue"),
	};
	struct head	 h;
	struct ufop_err	 err;
	size_t		 i;
	int		 status;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		err = (struct ufop_err){ 0 };
		status = head_parse(&h, rows[i].text, &err);
		CHECK_MSG(status == rows[i].status &&
		    strstr(err.msg, rows[i].word) != NULL && !h.keep_alive,
		    "row %zu: %d '%s' for %.*s", i, status, err.msg,
		    STR_ARG(rows[i].text));
	}
}

void
test_app_head_target_has_a_limit(void)
{
	static char	 text[HEAD_TARGET_MAX + 100];
	struct head	 h;
	struct ufop_err	 err;
	int		 n;

	memset(text, 'a', sizeof(text));
	memcpy(text, "GET /", 5);
	n = 4 + HEAD_TARGET_MAX;
	snprintf(text + n, sizeof(text) - (size_t)n,
	    " HTTP/1.1\r\nHost: a\r\n\r\n");
	CHECK_INT(head_parse(&h, str_from(text), &err), 0);
	CHECK_INT(h.path.len, HEAD_TARGET_MAX);
	memset(text + n, 'a', 1);
	snprintf(text + n + 1, sizeof(text) - (size_t)n - 1,
	    " HTTP/1.1\r\nHost: a\r\n\r\n");
	CHECK_INT(head_parse(&h, str_from(text), &err), 414);
	CHECK(strstr(err.msg, "X-Ufop-Cmd") != NULL);
}

/* No cut of a head makes the parser read beyond it (the sanitizer watches). */
void
test_app_head_survives_every_prefix(void)
{
	static const char	 text[] = "POST http://h/p?q HTTP/1.1\r\nHost: a\r\n"
				    "Content-Length: 5\r\nExpect: 100-continue\r\n"
				    "Connection: close, x\r\n\r\n";
	struct head		 h;
	struct ufop_err		 err;
	char			*copy;
	size_t			 len;

	for (len = 0; len < sizeof(text); len++) {
		copy = malloc(len + 1);
		memcpy(copy, text, len);
		(void)head_parse(&h, (struct str){ copy, len }, &err);
		(void)head_end((struct str){ copy, len }, len / 2);
		(void)head_blank((struct str){ copy, len });
		free(copy);
	}
}
