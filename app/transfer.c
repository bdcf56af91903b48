/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "front.h"
#include "link.h"
#include "transfer.h"

/* Pieces on their way to Redis at once; hiredis holds two copies of each. */
#define WINDOW		2

static char	piece_buf[TRANSFER_PIECE];

void
transfer_forget(const char *what, const char *name)
{
	char		 key[QUEUE_KEY_MAX];
	const char	*argv[] = { "DEL", key };
	size_t		 len[2] = { 3, 0 };

	queue_key(key, front.tag, what, name);
	len[1] = strlen(key);
	(void)queue_cmd(&link_cmd, NULL, NULL, 2, argv, len);
}

/* ---- to the worker --------------------------------------------------- */

static void
on_piece_sent(redisAsyncContext *ac, void *reply_arg, void *arg)
{
	struct request	*r = request_find((uint64_t)(uintptr_t)arg);
	redisReply	*reply = reply_arg;

	(void)ac;
	if (r == NULL || r->conn == NULL || r->conn->answered)
		return;
	r->pieces_out--;
	if (reply == NULL)
		request_failf(r, UFOP_UNAVAILABLE, "the connection to Redis "
		    "broke while the body was on its way; try again");
	else if (reply->type == REDIS_REPLY_ERROR)
		request_failf(r, UFOP_UNAVAILABLE, "Redis does not take the "
		    "body: %s", reply->str);
	else
		transfer_send(r);
}

static int
send_piece(struct request *r, const char *key, ssize_t n)
{
	const char	*argv[] = { "RPUSH", key, piece_buf };
	const size_t	 len[] = { 5, strlen(key), (size_t)n };
	int64_t		 ttl_ms;

	if (queue_cmd(&link_cmd, on_piece_sent,
	    (void *)(uintptr_t)request_tag(r), 3, argv, len) == -1)
		return (-1);
	r->pieces_out++;
	if (r->moved > 0)
		return (0);
	/* However this ends, Redis forgets it. */
	ttl_ms = r->timeout_ms + SPOOL_GRACE_MS;
	return (queue_cmdf(&link_cmd, NULL, NULL, "PEXPIRE %s %lld", key,
	    (long long)ttl_ms));
}

void
transfer_send(struct request *r)
{
	char	 key[QUEUE_KEY_MAX];
	ssize_t	 n;

	queue_key(key, front.tag, "body", r->body_name);
	while (r->moved < r->body.len && r->pieces_out < WINDOW) {
		do {
			n = pread(r->body.fd, piece_buf, sizeof(piece_buf),
			    (off_t)r->moved);
		} while (n == -1 && errno == EINTR);
		if (n <= 0) {
			request_failf(r, UFOP_SYSTEM, "cannot read the upload "
			    "back from the spool: %s", n == 0 ?
			    "it has become shorter" : strerror(errno));
			return;
		}
		if (send_piece(r, key, n) == -1) {
			request_failf(r, UFOP_UNAVAILABLE, "%s", link_why());
			return;
		}
		r->moved += (uint64_t)n;
	}
	/* The job is queued once Redis has confirmed all of its body. */
	if (r->moved == r->body.len && r->pieces_out == 0)
		request_run(r);
}

/* ---- from the worker ------------------------------------------------- */

/* Redis may not keep us for longer than this over one piece. */
#define FETCH_MS	10000

static void
fetch_failed(struct request *r, const char *why)
{
	if (!r->conn->answered)
		request_failf(r, UFOP_FAILED, "the answer cannot be read "
		    "from Redis: %s", why);
	else
		/* Half an answer is out; the client must see it break off. */
		answer_break(r->conn);
}

static void
on_piece_fetched(redisAsyncContext *ac, void *reply_arg, void *arg)
{
	struct request	*r = request_find((uint64_t)(uintptr_t)arg);
	redisReply	*reply = reply_arg, *piece;

	(void)ac;
	if (r == NULL || r->conn == NULL || !r->fetching)
		return;
	r->fetching = false;
	r->give_up_ms = 0;
	if (reply == NULL) {
		fetch_failed(r, "the connection broke");
		return;
	}
	piece = reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 ?
	    reply->element[0] : NULL;
	if (piece == NULL || piece->len == 0 ||
	    piece->len > r->move_len - r->moved) {
		fetch_failed(r, reply->type == REDIS_REPLY_ERROR ? reply->str :
		    "it is not there any more");
		return;
	}
	if (r->moved == 0)
		request_answer_begin(r);
	r->moved += piece->len;
	r->piece++;
	answer_more(r->conn, (struct str){ piece->str, piece->len });
	if (r->moved == r->move_len)
		request_over(r);
	else if (!net_send_flush(r->conn->c))
		kore_connection_disconnect(r->conn->c);
	else {
		/* Until the client has read this one. */
		r->give_up_ms = clock_mono_ms() + front.keepalive_ms;
		transfer_more(r);
	}
}

void
transfer_fetch(struct request *r)
{
	char	 key[QUEUE_KEY_MAX];

	queue_key(key, front.tag, "out", r->out_name);
	if (queue_cmdf(&link_cmd, on_piece_fetched,
	    (void *)(uintptr_t)request_tag(r), "LRANGE %s %d %d", key,
	    r->piece, r->piece) == -1) {
		fetch_failed(r, link_why());
		return;
	}
	/* A client that reads slowly must not see it end in the middle. */
	(void)queue_cmdf(&link_cmd, NULL, NULL, "PEXPIRE %s %lld", key,
	    (long long)(front.keepalive_ms + SPOOL_GRACE_MS));
	r->fetching = true;
	r->give_up_ms = clock_mono_ms() + FETCH_MS;
}

void
transfer_more(struct request *r)
{
	if (r->out_name[0] != '\0' && !r->fetching && r->moved < r->move_len &&
	    r->conn != NULL && TAILQ_EMPTY(&r->conn->c->send_queue))
		transfer_fetch(r);
}
