/* SPDX-License-Identifier: MIT */
/*
 * One page, one picture: navigate, wait, prepare, capture.
 */
#ifndef SCREENSHOT_SHOT_H
#define SCREENSHOT_SHOT_H

#include "browser.h"
#include "options.h"
#include "store.h"

struct shot {
	const struct options	*options;
	const char		*url;		/* http or https; or NULL: html */
	const unsigned char	*html;
	size_t			 html_len;
	const char		*html_type;	/* Content-Type of the html */
	int			 page_ms;	/* for the page to load, if left */
	int64_t			 capture_us;	/* latest to begin the picture */
	int64_t			 deadline_us;	/* for all of it */
	int64_t			 max_pixels;	/* of the picture */
	/* Keep the picture here and answer {"url", "path", "bytes"}; or NULL. */
	struct store		*store;
	const char		*source;	/* the url as it was given */
};

/*
 * Take it with a tab of the browser and fill in the reply.  Returns what a
 * handler returns.  The caller calls browser_done() after it, also on -1.
 */
int	 shot_take(struct browser *, const struct shot *, struct ufop_job *,
	    struct ufop_reply *);

#endif
