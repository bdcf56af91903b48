/* SPDX-License-Identifier: MIT */
/* What part of a page is to be in the picture; see area.h. */
#include <math.h>
#include <stdlib.h>

#include "area.h"
#include "arena.h"
#include "document.h"
#include "reqid.h"

/* Chromium gives no bytes, and no error, beyond it. */
#define WEBP_SIDE_MAX	16383
#define SIDE_MAX	65000

/*
 * Down the page and up again, so that what loads only when it is seen is
 * there; then the pictures that are still coming, for two seconds at most.
 */
static const char	scroll_through[] =
    "(async()=>{const d=ms=>new Promise(r=>setTimeout(r,ms)),"
    "e=document.scrollingElement||document.documentElement,"
    "to=y=>scrollTo({top:y,behavior:'instant'});"
    "for(let y=innerHeight,n=0;y<e.scrollHeight&&n<100;y+=innerHeight,n++)"
    "{to(y);await d(30)}to(0);"
    "await Promise.race([Promise.all([...document.images].filter(i=>"
    "!i.complete).map(i=>new Promise(r=>{i.onload=i.onerror=r}))),d(2000)])"
    "})()";

/* The page's size in CSS pixels. */
static enum outcome
page_size(struct page *p, double *w, double *h)
{
	json_t		*result, *size;
	enum outcome	 rc;
	int		 try;

	for (try = 0;; try++) {
		rc = page_insist(p, "Page.getLayoutMetrics", json_object(),
		    &result);
		if (rc != DONE)
			return (rc);
		size = json_object_get(result, "cssContentSize");
		*w = json_number_value(json_object_get(size, "width"));
		*h = json_number_value(json_object_get(size, "height"));
		if ((*w >= 1 && *h >= 1) || try == TRIES)
			return (DONE);
		/* A document that has only just come has none yet. */
		rc = page_wait_life(p, LIFE_LOAD, clock_mono_us() + GRACE_US);
		if (rc == GONE || rc == CRASHED)
			return (rc);
	}
}

enum outcome
area_scroll(struct page *p)
{
	json_t		*value;
	enum outcome	 rc;

	if (p->stopped)
		return (DONE);
	rc = page_eval(p, scroll_through, clock_mono_us() + SCRIPT_US, &value);
	return (rc == GONE || rc == CRASHED ? rc : DONE);
}

static int
area_full(struct page *p, struct area *a)
{
	enum outcome	 rc = area_scroll(p);

	if (rc == DONE)
		rc = page_size(p, &a->w, &a->h);
	a->x = a->y = 0;
	return (rc == DONE ? 0 : page_fail(p, rc, "measuring the page"));
}

static int
area_cut(struct page *p, struct area *a)
{
	const struct options	*o = p->o;
	enum outcome		 rc;
	double			 w, h;

	a->x = o->cut_x;
	a->y = o->cut_y;
	a->w = o->cut_w;
	a->h = o->cut_h;
	if (a->x + a->w <= o->view_w && a->y + a->h <= o->view_h)
		return (0);
	if ((rc = page_size(p, &w, &h)) != DONE)
		return (page_fail(p, rc, "measuring the page"));
	if (a->x >= w || a->y >= h)
		return (ufop_fail(p->reply, 400, "screenshot: cut begins at "
		    "%d,%d, but the page is %.0fx%.0f", o->cut_x, o->cut_y, w,
		    h));
	return (0);
}

static int
area_selector(struct page *p, struct area *a)
{
	char		*sel = page_literal(p->o->selector), *script;
	json_t		*v;
	enum outcome	 rc;
	double		 right, below, w, h;
	int		 pad = p->o->pad, try = 0;

	script = xasprintf("(()=>{const e=document.querySelector(%s);if(!e)"
	    "return null;const r=e.getBoundingClientRect();return [r.x+scrollX,"
	    "r.y+scrollY,r.width,r.height]})()", sel);
	free(sel);
	/* What has only just come has nothing in it, and may be an error. */
	do {
		if (document_follow(p) == -1) {
			free(script);
			return (-1);
		}
		rc = page_look(p, script, &v);
	} while (rc == DONE && !json_is_array(v) && !document_looked(p) &&
	    ++try < TRIES);
	free(script);
	if (rc == THREW)
		return (ufop_fail(p->reply, 400, "screenshot: selector: '%s' "
		    "cannot be looked for: %s", p->o->selector, p->why));
	if (rc != DONE)
		return (page_fail(p, rc, "looking for the element"));
	if (!json_is_array(v))
		return (ufop_fail(p->reply, 400, "screenshot: no element of "
		    "the page matches '%s'", p->o->selector));
	a->x = json_number_value(json_array_get(v, 0));
	a->y = json_number_value(json_array_get(v, 1));
	a->w = json_number_value(json_array_get(v, 2));
	a->h = json_number_value(json_array_get(v, 3));
	if (a->w <= 0 || a->h <= 0)
		return (ufop_fail(p->reply, 400, "screenshot: the element "
		    "that matches '%s' has no size; name one that is drawn",
		    p->o->selector));
	if ((rc = page_size(p, &w, &h)) != DONE)
		return (page_fail(p, rc, "measuring the page"));
	/* There is no room around it where the page ends. */
	right = fmin(ceil(a->x + a->w + pad), fmax(w, p->o->view_w));
	below = fmin(ceil(a->y + a->h + pad), fmax(h, p->o->view_h));
	a->x = fmax(0, floor(a->x - pad));
	a->y = fmax(0, floor(a->y - pad));
	a->w = right - a->x;
	a->h = below - a->y;
	if (a->w < 1 || a->h < 1)
		return (ufop_fail(p->reply, 400, "screenshot: the element "
		    "that matches '%s' lies outside the page; name one that "
		    "is drawn", p->o->selector));
	return (0);
}

int
area_find(struct page *p, struct area *a)
{
	const struct options	*o = p->o;
	double			 w, h;
	int			 rc = 0;

	*a = (struct area){ .w = o->view_w, .h = o->view_h };
	a->set = o->full || o->has_cut || o->selector != NULL;
	if (o->full)
		rc = area_full(p, a);
	else if (o->has_cut)
		rc = area_cut(p, a);
	else if (o->selector != NULL)
		rc = area_selector(p, a);
	if (rc == -1)
		return (-1);
	a->beyond = a->x + a->w > o->view_w || a->y + a->h > o->view_h;
	w = a->w * o->scale;
	h = a->h * o->scale;
	if (w > SIDE_MAX || h > SIDE_MAX)
		return (ufop_fail(p->reply, 413, "the picture would be "
		    "%.0fx%.0f, and a side has at most %d pixels; take a part "
		    "with cut", w, h, SIDE_MAX));
	if (w * h > (double)p->shot->max_pixels)
		return (ufop_fail(p->reply, 413, "the picture would be "
		    "%.0fx%.0f, over the limit of %lld pixels (setting "
		    "screenshot.max_pixels); take a part with cut", w, h,
		    (long long)p->shot->max_pixels));
	if (o->format == SHOT_WEBP && (w > WEBP_SIDE_MAX || h > WEBP_SIDE_MAX))
		return (ufop_fail(p->reply, 413, "the picture would be "
		    "%.0fx%.0f, and webp has at most %d pixels a side; ask "
		    "for format/png or jpg", w, h, WEBP_SIDE_MAX));
	return (0);
}
