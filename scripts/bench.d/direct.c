/* SPDX-License-Identifier: MIT */
/*
 * What Kore can do when nothing stands behind it: the answers of the tasks
 * hello and echo, given by the page itself.  Kore reads the bodies in its own
 * way, into memory and with a SHA-256 of each; they are sent back from there.
 */
#include <kore/kore.h>
#include <kore/http.h>

#include "ufop.h"

UFOP_API int	direct_hello(struct http_request *);
UFOP_API int	direct_echo(struct http_request *);

int
direct_hello(struct http_request *req)
{
	static const char	 text[] = "hello world";

	http_response_header(req, "content-type", "text/plain; charset=utf-8");
	http_response(req, HTTP_STATUS_OK, text, sizeof(text) - 1);
	return (KORE_RESULT_OK);
}

static int
echo_sent(struct netbuf *nb)
{
	kore_buf_free(nb->extra);
	return (KORE_RESULT_OK);
}

int
direct_echo(struct http_request *req)
{
	struct kore_buf	*body = req->http_body;

	if (body == NULL) {
		http_response(req, HTTP_STATUS_BAD_REQUEST, NULL, 0);
		return (KORE_RESULT_OK);
	}
	/* The request would free it before it has been sent. */
	req->http_body = NULL;
	http_response_header(req, "content-type", "application/octet-stream");
	http_response_stream(req, HTTP_STATUS_OK, body->data,
	    req->http_body_length, echo_sent, body);
	return (KORE_RESULT_OK);
}
