/* SPDX-License-Identifier: MIT */
/*
 * Redis on Kore's event loop: one connection for commands, one that does
 * nothing but wait for replies.
 */
#ifndef APP_LINK_H
#define APP_LINK_H

#include "queue.h"

/* For commands.  Read err and ready; send by queue_cmd() and its sisters. */
extern struct queue_conn	link_cmd;

void	 link_start(void);
/* Send what there is to send, wait for nothing, close. */
void	 link_stop(void);
/* Both connections are up. */
bool	 link_ready(void);
/* Why they are not: a sentence. */
const char *link_why(void);
/* Write out the commands of this turn. */
void	 link_flush(void);
/* Reconnects; to be called every 20 to 100 ms. */
void	 link_tick(int64_t now_ms);

#endif
