/* SPDX-License-Identifier: MIT */
/*
 * The page's document: opened, waited for, and whether it is one to take a
 * picture of.
 *
 * What goes wrong answers the job, and -1 is returned.  Times are microseconds
 * on CLOCK_MONOTONIC.
 */
#ifndef SCREENSHOT_DOCUMENT_H
#define SCREENSHOT_DOCUMENT_H

#include "page.h"

/* Set the tab up for the shot and go to its page; 0: a server has answered. */
int	 document_open(struct page *, int64_t until_us);

/* Until there is what the cmd's word wait says. */
int	 document_wait(struct page *, int64_t until_us);

/* May a picture be taken of it, by what is known? */
int	 document_check(struct page *);

/*
 * The same.  What is not known the document is asked for, which takes in
 * messages.
 */
int	 document_look(struct page *);

/* It is the one that was looked at last. */
bool	 document_looked(const struct page *);

/* When it is not: it is given a moment to load, and looked at. */
int	 document_follow(struct page *);

#endif
