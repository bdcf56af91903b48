/* SPDX-License-Identifier: MIT */
/*
 * The head of an HTTP/1 request: request line and fields, up to and with the
 * empty line.  Pure: bytes in, views into them out.
 *
 * Kore has a parser of its own, but it cuts what it does not like in silence
 * (fields beyond the 24th), has short limits and answers with empty bodies.
 * So the front reads heads itself and gives Kore a short one that holds the
 * method and the path.
 */
#ifndef APP_HEAD_H
#define APP_HEAD_H

#include "err.h"
#include "str.h"

/* Bytes of a whole head; room for a 16 KiB cmd that is percent-encoded. */
#define HEAD_MAX	65536
/*
 * Bytes of a request target.  RFC 9110, 4.1 asks for at least 8,000; what is
 * longer goes into X-Ufop-Cmd and X-Ufop-Url.
 */
#define HEAD_TARGET_MAX	8000

enum head_method { HEAD_GET, HEAD_HEAD, HEAD_POST, HEAD_OTHER };

struct head {
	enum head_method method;
	struct str	 method_name;	/* as it was sent */
	struct str	 path;		/* without the query; starts with / */
	struct str	 query;		/* behind the ?; s is NULL if none */
	bool		 keep_alive;	/* may stay open after the answer */
	bool		 is_http10;
	bool		 chunked;	/* Transfer-Encoding: chunked */
	bool		 expect;	/* waits for 100 Continue */
	int64_t		 length;	/* Content-Length, -1 if none */
	/* Fields that matter; s is NULL when the field is missing. */
	struct str	 host, type, accept, reqid, cmd, url;
};

/*
 * Length of the head at the front of in, 0 when its end has not come yet.
 * No end before from (what an earlier call has looked at) is found again.
 */
size_t	 head_end(struct str in, size_t from);

/* How many bytes of empty lines stand before the request line. */
size_t	 head_blank(struct str in);

/*
 * Parse one whole head.  Returns 0, or the HTTP status to refuse it with and a
 * sentence in err; the connection cannot be used after that, for it is unclear
 * where the next request would begin.  method, and keep_alive as false, are
 * valid even then.
 */
int	 head_parse(struct head *, struct str in, struct ufop_err *);

#endif
