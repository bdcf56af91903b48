/* SPDX-License-Identifier: MIT */
/* What part of a page is to be in the picture. */
#ifndef SCREENSHOT_AREA_H
#define SCREENSHOT_AREA_H

#include "page.h"

/* In CSS pixels from the page's upper left corner. */
struct area {
	double	x, y, w, h;
	bool	set;		/* false: what the window shows */
	bool	beyond;		/* reaches out of the window */
};

/*
 * Find what the cmd asks for, and see that its picture would be within the
 * limits.  Returns 0; or -1, and the job is answered.
 */
int		 area_find(struct page *, struct area *);

/*
 * Down the page and up again, for what loads only when it is seen.  A page that
 * breaks the scrolling is shown as it is; where scripts are stopped, ours has
 * no timers.
 */
enum outcome	 area_scroll(struct page *);

#endif
