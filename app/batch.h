/* SPDX-License-Identifier: MIT */
/*
 * POST /screenshot: one request that is many jobs.
 *
 *	{"lists":[{"url":"http://...","cut":"<w>,<h>,<x>,<y>"},...]}
 *
 * Each item becomes a job of the task screenshot.store, all queued at once.
 * The request sleeps until every item has its answer, be that of a worker or
 * of a deadline, and then answers for all of them in the order asked.  What
 * goes wrong with one item is its answer and no concern of the others; what is
 * wrong with the request as a whole is answered like any other request's.
 *
 * The items are requests without a client (request.h), which answer here.
 */
#ifndef APP_BATCH_H
#define APP_BATCH_H

#include "request.h"

/* The task that keeps a picture, as the service screenshot has it. */
#define BATCH_TASK	"screenshot.store"
/* Bytes of the request's body. */
#define BATCH_BODY_MAX	(1024 * 1024)

/* ---- called by request.c ---------------------------------------------- */

/* The answers of an item, which is gone afterwards. */
void	 batch_replied(struct request *item, const struct reply *);
void	 batch_failed(struct request *item, const struct ufop_err *);
/* The batch is over, or its client has left: take back what is queued. */
void	 batch_drop(struct request *);

#endif
