/* SPDX-License-Identifier: MIT */
/*
 * What a cmd asks of a screenshot: /screenshot/<word>/<value>/<word>/<value>...
 *
 *	url/<b64>		the page (else url= or an HTML body)
 *	cut/<w>,<h>,<x>,<y>	this part of the page, CSS pixels
 *	viewport/<w>x<h>	size of the window (1280x800; mobile 390x844)
 *	scale/<1-3>		device pixels per CSS pixel, such as 2 or 1.5
 *	full/1			the whole page, lazy images loaded by scrolling
 *	selector/<b64>		the first element that this CSS selector finds
 *	pad/<px>		... with so much around it
 *	wait/<how>		load, idle, <ms> or selector:<b64>
 *	format/<f>		png, jpg, webp or pdf
 *	q/<1-100>		quality of jpg and webp
 *	dark/1 mobile/1 nobg/1	colour scheme, a telephone, no white behind
 *	js/<b64> css/<b64>	run or applied before the picture is taken
 *	headers/<b64 JSON>	object of strings, sent with every request
 *	cookies/<b64 JSON>	array of {name, value, domain, path, ...}
 *	ua/<b64>		User-Agent
 *	timeout/<ms>		for the page to load
 *	status/any		a picture also of a page that answers 4xx or 5xx
 */
#ifndef SCREENSHOT_OPTIONS_H
#define SCREENSHOT_OPTIONS_H

#include "arena.h"
#include "str.h"

#define OPTIONS_SIDE_MAX	30000	/* CSS pixels of a cut or a viewport */
#define OPTIONS_WAIT_MAX_MS	60000
/* The window, unless the cmd says another or mobile; CSS pixels. */
#define OPTIONS_VIEW_W		1280
#define OPTIONS_VIEW_H		800

enum shot_format {
	SHOT_PNG,
	SHOT_JPG,
	SHOT_WEBP,
	SHOT_PDF,
};

enum shot_wait {
	SHOT_WAIT_LOAD,		/* the page's load event */
	SHOT_WAIT_IDLE,		/* and no request for half a second */
	SHOT_WAIT_MS,		/* so long after it began to show */
	SHOT_WAIT_SELECTOR,	/* until an element is there */
};

struct options {
	const char		*url;		/* NULL: not in the cmd */
	bool			 has_cut;
	int			 cut_w, cut_h, cut_x, cut_y;
	int			 view_w, view_h;	/* never 0 */
	double			 scale;
	int			 full;
	const char		*selector;	/* or NULL */
	int			 pad;
	enum shot_wait		 wait;
	int			 wait_ms;
	const char		*wait_selector;
	enum shot_format	 format;
	int			 quality;	/* 0: not given */
	int			 dark, mobile, nobg;
	const char		*js, *css, *ua;	/* or NULL */
	json_t			*headers;	/* object, or NULL */
	json_t			*cookies;	/* array, or NULL */
	int			 timeout_ms;	/* 0: not given */
	bool			 status_any;
};

/*
 * Read the words (what stands behind "/screenshot/").  Strings live in the
 * arena.  Returns 0, and the options are the caller's until options_release();
 * or -1 with err (UFOP_BAD_INPUT: the word, its value and what it takes) and
 * nothing to release.
 */
int	 options_parse(struct options *, struct arena *, struct str words,
	    struct ufop_err *);
void	 options_release(struct options *);

/* "png", "image/png". */
const char	*options_format_name(enum shot_format);
const char	*options_format_type(enum shot_format);

#endif
