/* SPDX-License-Identifier: MIT */
/*
 * The DevTools protocol over a pair of pipes: JSON messages with a NUL behind
 * each.  Commands are numbered and answered by number in any order; events
 * come between.
 *
 * Of a message only its ends are looked at when it comes in: Chromium writes
 * "id" or "method" first and "sessionId" last.  Whoever wants more parses it;
 * nobody has to for events of no interest, nor for a megabyte of picture.
 */
#ifndef SCREENSHOT_CDP_H
#define SCREENSHOT_CDP_H

#include "str.h"

#define CDP_NAME_MAX	63	/* of ids of sessions, targets, contexts */

struct cdp {
	int		 rfd, wfd;	/* non-blocking; owned; -1: none */
	struct buf	 in, out;
	size_t		 taken;		/* bytes of in that were handed out */
	size_t		 scanned;	/* ... that hold no NUL behind taken */
	int		 id;		/* of the last command */
};

/* Views into the last message received; gone with the next one. */
struct cdp_msg {
	int		 id;		/* 0: an event */
	struct str	 method;	/* of an event */
	struct str	 session;	/* empty: the browser's own */
	struct str	 text;		/* all of it */
};

/* rfd and wfd become non-blocking and the cdp's. */
void	 cdp_init(struct cdp *, int rfd, int wfd);
void	 cdp_release(struct cdp *);

/*
 * Queue a command; session "" is the browser itself.  The reference to params
 * is taken over; a command without any takes json_object().  Returns the number
 * that its answer has; or -1, with nothing queued, when params are NULL: they
 * could not be made, as of text that is not UTF-8.
 */
int	 cdp_send(struct cdp *, const char *session, const char *method,
	    json_t *params);

/* Write what is queued and fits; -1 when nobody reads any more. */
int	 cdp_flush(struct cdp *);

/*
 * Send what is queued and wait for the next message, until deadline_us on
 * CLOCK_MONOTONIC.  Returns 1 with a message, 0 at the deadline, -1 when the
 * browser is gone.
 */
int	 cdp_recv(struct cdp *, int64_t deadline_us, struct cdp_msg *);

/* The message parsed; NULL when it is no JSON.  json_decref() it. */
json_t	*cdp_parse(const struct cdp_msg *);

/* A member of an object that is a string; "" when there is none. */
const char	*cdp_string(json_t *, const char *key);

/*
 * The base64 in {"result":{"data":"..."}}, the answer of what takes pictures;
 * false when the message is another.
 */
bool	 cdp_data(const struct cdp_msg *, struct str *b64);

/*
 * Decode plain base64 (padded, no other byte) to dst, which takes at least
 * b64.len / 4 * 3 bytes and may overlap nothing.  Returns the length, or -1.
 * Twenty times as fast as str_b64_decode(), which reads every spelling of it:
 * 8 ms of a 2 MB picture.
 */
int64_t	 cdp_b64(unsigned char *dst, struct str b64);

/* The other way: bytes as a JSON string of plain base64. */
json_t	*cdp_b64_json(const void *, size_t);

#endif
