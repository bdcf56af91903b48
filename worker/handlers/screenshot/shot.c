/* SPDX-License-Identifier: MIT */
/* One page, one picture; see shot.h. */
#include <sys/mman.h>

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "area.h"
#include "arena.h"
#include "document.h"
#include "err.h"
#include "reqid.h"

static int
apply_css(struct page *p)
{
	char		*css = page_literal(p->o->css), *script;
	json_t		*value;
	enum outcome	 rc;

	script = xasprintf("{const s=document.createElement('style');"
	    "s.textContent=%s;document.documentElement.append(s);"
	    /* A policy of the page, or its being no HTML, may be against it. */
	    "if(!s.sheet){const c=new CSSStyleSheet();c.replaceSync("
	    "s.textContent);document.adoptedStyleSheets.push(c);s.remove()}}",
	    css);
	rc = page_look(p, script, &value);
	free(script);
	free(css);
	if (rc == THREW)
		return (ufop_fail(p->reply, 400, "screenshot: css failed in "
		    "the page: %s", p->why));
	return (rc == DONE ? 0 : page_fail(p, rc, "taking the style sheet"));
}

/*
 * The script's last value is nobody's business and may be of any size: it is
 * run inside of one that waits for it and has no value.
 */
static int
apply_js(struct page *p)
{
	char		*js = page_literal(p->o->js);
	char		*script = xasprintf("(async()=>{await(0,eval)(%s)})()",
	    js);
	json_t		*value;
	int		 n = p->navigations;
	enum outcome	 rc = page_eval(p, script, clock_mono_us() + SCRIPT_US,
	    &value);

	free(script);
	free(js);
	/* It has gone to another page, and ended with the one it was in. */
	if (rc == REFUSED || (rc == LATE && p->navigations != n))
		rc = page_settle(p, n);
	if (rc == THREW)
		return (ufop_fail(p->reply, 400, "screenshot: js failed in the "
		    "page: %s", p->why));
	if (rc == LATE)
		return (ufop_fail(p->reply, 400, "screenshot: js has not "
		    "ended within %lld ms, or a script of the page has kept "
		    "it from that", SCRIPT_US / MS));
	return (rc == DONE ? 0 : page_fail(p, rc, "running a script"));
}

static int
apply_all(struct page *p)
{
	if (p->o->css != NULL && apply_css(p) == -1)
		return (-1);
	return (p->o->js != NULL ? apply_js(p) : 0);
}

static json_t *
capture_params(const struct options *o, const struct area *a)
{
	json_t	*params;

	if (o->format == SHOT_PDF)
		return (json_pack("{s:b, s:b}", "printBackground", 1,
		    "preferCSSPageSize", 1));
	params = json_pack("{s:s}", "format", o->format == SHOT_JPG ? "jpeg" :
	    options_format_name(o->format));
	if (o->format == SHOT_PNG)
		/* Less than half the time for 30 % more bytes. */
		json_object_set_new(params, "optimizeForSpeed", json_true());
	else
		json_object_set_new(params, "quality", json_integer(
		    o->quality > 0 ? o->quality : 80));
	if (a->set)
		json_object_set_new(params, "clip", json_pack(
		    "{s:f, s:f, s:f, s:f, s:i}", "x", a->x, "y", a->y, "width",
		    a->w, "height", a->h, "scale", 1));
	if (a->beyond)
		json_object_set_new(params, "captureBeyondViewport",
		    json_true());
	return (params);
}

/* The picture is the reply. */
static int
deliver_reply(struct page *p)
{
	unsigned char	*room;
	int64_t		 len;

	room = ufop_reply_room(p->reply, p->data.len / 4 * 3);
	if (room == NULL)
		return (-1);
	len = cdp_b64(room, p->data);
	if (len == -1)
		return (ufop_fail(p->reply, 500, "the browser's picture "
		    "cannot be decoded"));
	return (ufop_reply_done(p->reply, (size_t)len,
	    options_format_type(p->o->format)));
}

/* The picture goes into the store, the reply says where. */
static int
deliver_store(struct page *p)
{
	const struct shot	*s = p->shot;
	size_t			 room = p->data.len / 4 * 3;
	struct ufop_err		 err;
	char			 path[PATH_MAX];
	unsigned char		*map;
	int64_t			 len;
	int			 fd, rc;

	fd = memfd_create("picture", MFD_CLOEXEC);
	if (fd == -1 || ftruncate(fd, (off_t)room) == -1 ||
	    (map = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0)) == MAP_FAILED) {
		if (fd != -1)
			close(fd);
		return (ufop_fail(p->reply, 500, "no memory for the picture"));
	}
	len = cdp_b64(map, p->data);
	munmap(map, room);
	if (len == -1)
		rc = err_set(&err, UFOP_FAILED, "the browser's picture cannot "
		    "be decoded");
	else
		rc = store_put(s->store, str_from(s->source),
		    options_format_name(p->o->format), fd, (size_t)len,
		    path, sizeof(path), &err);
	close(fd);
	if (rc == -1)
		return (ufop_fail_err(p->reply, &err));
	return (ufop_reply_json(p->reply, json_pack("{s:s, s:s, s:I}", "url",
	    s->source, "path", path, "bytes", (json_int_t)len)));
}

static int
take_picture(struct page *p)
{
	struct area	 a = { 0 };
	enum outcome	 rc = DONE;

	if (p->o->format == SHOT_PDF)
		rc = p->o->full ? area_scroll(p) : DONE;
	else if (area_find(p, &a) == -1)
		return (-1);
	if (rc != DONE)
		return (page_fail(p, rc, "scrolling through the page"));
	p->measured = true;
	p->alone = a.beyond;
	rc = page_insist(p, p->o->format == SHOT_PDF ? "Page.printToPDF" :
	    "Page.captureScreenshot", capture_params(p->o, &a), NULL);
	if (rc != DONE)
		return (page_fail(p, rc, "taking the picture"));
	if (p->data.len == 0)
		return (ufop_fail(p->reply, 500, "the browser made an empty "
		    "picture"));
	return (0);
}

/*
 * When the page goes to another only now, that one is looked at, and another
 * picture taken of it: a look costs the picture that there is.
 */
static int
capture(struct page *p)
{
	int	 try = 0;

	do {
		if (document_follow(p) == -1 || take_picture(p) == -1)
			return (-1);
	} while (!document_looked(p) && ++try < TRIES);
	if (document_check(p) == -1)
		return (-1);
	return (p->shot->store != NULL ? deliver_store(p) : deliver_reply(p));
}

static int
page_run(struct page *p)
{
	int64_t	 start = clock_mono_us(), until_us, at;

	/* A browser's start, or a first try, may have taken of the time. */
	until_us = start + p->shot->page_ms * MS;
	p->page_cut = until_us > p->shot->capture_us;
	if (p->page_cut)
		until_us = p->shot->capture_us;
	p->page_ms = until_us > start ? (int)((until_us - start) / MS) : 0;
	if (document_open(p, until_us) == -1)
		return (-1);
	at = clock_mono_us();
	ufop_note_us(p->job, "open", at - start);
	if (document_check(p) == -1 || document_wait(p, until_us) == -1 ||
	    document_look(p) == -1 || apply_all(p) == -1)
		return (-1);
	ufop_note_us(p->job, "load", clock_mono_us() - at);
	at = clock_mono_us();
	if (capture(p) == -1)
		return (-1);
	ufop_note_us(p->job, "capture", clock_mono_us() - at);
	return (0);
}

/* One try; *retry says whether another makes sense. */
static int
take(struct browser *b, const struct shot *shot, struct ufop_job *job,
    struct ufop_reply *reply, bool *retry)
{
	struct page	 p = { .b = b, .shot = shot, .o = shot->options,
		.job = job, .reply = reply, .may_retry = *retry };
	struct ufop_err	 err;
	int64_t		 start = clock_mono_us();
	int		 rc;

	*retry = false;
	if (browser_tab(b, shot->deadline_us, &err) == -1) {
		/* A child that cannot serve makes room for one that can. */
		if (err.code == UFOP_SYSTEM) {
			ufop_log(job, "%s", err.msg);
			_exit(1);
		}
		return (ufop_fail_err(reply, &err));
	}
	ufop_note_us(job, "tab", clock_mono_us() - start);
	p.session = b->tab.session;
	p.frame = b->tab.target;
	p.notes = atomic_load(&b->keeper.shared->notes.n);
	rc = page_run(&p);
	json_decref(p.answer);
	*retry = p.retry;
	return (rc);
}

int
shot_take(struct browser *b, const struct shot *shot, struct ufop_job *job,
    struct ufop_reply *reply)
{
	bool	 retry = true;
	int	 rc = take(b, shot, job, reply, &retry);

	if (retry) {
		/* Killed from outside, or by this page: the second try tells. */
		retry = false;
		rc = take(b, shot, job, reply, &retry);
	}
	return (rc);
}
