/* SPDX-License-Identifier: MIT */
/*
 * Large bodies through Redis, for workers that do not see our spool: pieces of
 * TRANSFER_PIECE bytes in a list of their own, so that neither side ever holds
 * more than a few of them.
 */
#ifndef APP_TRANSFER_H
#define APP_TRANSFER_H

#include "request.h"

#define TRANSFER_PIECE	(512 * 1024)

/*
 * Send body.fd to {tag}:body:<body_name>.  The request runs on when all pieces
 * are in Redis; a failure ends it.
 */
void	 transfer_send(struct request *);

/*
 * Answer the reply in r->entry, whose body is {tag}:out:<out_name>, and delete
 * that.  Ends the request by itself.
 */
void	 transfer_fetch(struct request *);
/* The client has taken what there was; fetch on. */
void	 transfer_more(struct request *);

/* Delete {tag}:<what>:<name>. */
void	 transfer_forget(const char *what, const char *name);

#endif
