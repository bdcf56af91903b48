/* SPDX-License-Identifier: MIT */
/*
 * A page in its tab, as the protocol shows it: what its events have told, and
 * how it is asked.
 *
 * A page does as it likes while we look: it goes to others, stands in a script
 * or in a dialogue, crashes.  Whoever asks says how long that may take, and is
 * told by an outcome; page_insist() is for what has an answer all the same.
 *
 * All times are microseconds on CLOCK_MONOTONIC.  Nothing here waits beyond the
 * shot's deadline, whatever until_us says.
 */
#ifndef SCREENSHOT_PAGE_H
#define SCREENSHOT_PAGE_H

#include "shot.h"

/* HTML that came as a body gets an origin, but no server and no file. */
#define HTML_URL	"http://page.ufop.invalid/"

#define MS		1000LL
/* What a page does after its script was ended, or it went to another. */
#define GRACE_US	(500 * MS)
/* A script of the caller's, and one that waits for the page. */
#define SCRIPT_US	(5000 * MS)
/* Of a question to a page that goes to another under it. */
#define TRIES		5
#define NAVIGATIONS_MAX	20

enum {
	LIFE_LOAD = 1,
	LIFE_IDLE = 2,
};

enum outcome {
	DONE,
	LATE,			/* the deadline passed */
	GONE,			/* the browser has ended */
	CRASHED,		/* the page's renderer has */
	REFUSED,		/* the browser answered with an error */
	THREW,			/* the script did */
};

struct page {
	struct browser		*b;
	const struct shot	*shot;
	const struct options	*o;
	struct ufop_job		*job;
	struct ufop_reply	*reply;
	const char		*session;
	const char		*frame;		/* the main one's id */
	uint32_t		 notes;		/* of the filter, when we began */
	int			 page_ms;	/* for the page to load */
	bool			 page_cut;	/* ... less than was asked for */

	char			 loader[CDP_NAME_MAX + 1];  /* of the document */
	/* Life may be told of before the answer that names the loader. */
	char			 living[CDP_NAME_MAX + 1];  /* a loader */
	int			 life;		/* ... and its LIFE_... */
	int64_t			 shown_us;	/* first document; 0: none yet */
	int			 navigations;
	int			 status;	/* of a document; 0: not known */
	char			 answered[CDP_NAME_MAX + 1]; /* ... its loader */
	char			 looked[CDP_NAME_MAX + 1]; /* see document.h */
	bool			 deaf;		/* to what goes over the network */
	/* What the document could not be had from; "": it is one. */
	char			 unreachable[2048];
	/* Of the last document that failed to load, a frame's too. */
	char			 failed[CDP_NAME_MAX + 1];	/* its loader */
	char			 error[64];	/* ... "net::ERR_..." */
	bool			 download;
	bool			 crashed;
	bool			 stopped;	/* no script of it runs any more */
	bool			 measured;	/* but for the picture all is asked */
	/* It resizes the page: two at once would spoil each other. */
	bool			 alone;
	/* A browser that ended, but not for what this page took: once more. */
	bool			 may_retry, retry;

	/* The commands with words of the caller's; how many have no answer. */
	int			 first, last, unanswered;
	char			 refused[200];	/* the browser's words to one */

	int			 want;		/* the command waited for */
	int			 before;	/* ... as it was asked before; or 0 */
	json_t			*answer;	/* ... its message */
	struct str		 data;		/* ... or the picture in it */
	char			 why[256];	/* of REFUSED and THREW */
};

/* Nobody waits for the answer.  The reference to params is taken over. */
void		 page_send(struct page *, const char *method, json_t *params);

/* The document is now this loader's; "": of none that is known. */
void		 page_shows(struct page *, const char *loader);

/* Take in one message. */
enum outcome	 page_pump(struct page *, int64_t until_us);

/*
 * Until the document has all of these LIFE_...; or LATE; or REFUSED, when it
 * has gone to NAVIGATIONS_MAX others.
 */
enum outcome	 page_wait_life(struct page *, int life, int64_t until_us);

/*
 * Ask once and wait.  DONE: *result, if asked for, is borrowed until the next
 * question.  REFUSED: page->why has the browser's words.  The reference to
 * params is taken over.
 */
enum outcome	 page_call(struct page *, const char *method, json_t *params,
		    int64_t until_us, json_t **result);

/*
 * Ask what has an answer, whatever the page does meanwhile: its scripts are
 * stopped when they hold it up, and when it goes to another page the question
 * is put anew there.  Outcomes as of page_call().  Of a picture, page->data has
 * the base64 until the next message is taken in, and *result is not set.
 */
enum outcome	 page_insist(struct page *, const char *method, json_t *params,
		    json_t **result);

/*
 * The value of a script, of a promise's too, borrowed until the next question.
 * THREW: page->why is what.
 */
enum outcome	 page_eval(struct page *, const char *script, int64_t until_us,
		    json_t **value);

/* The same of a script of ours, which waits for nothing. */
enum outcome	 page_look(struct page *, const char *script, json_t **value);

/* Text, which is UTF-8, as a literal of JavaScript.  free() it. */
char		*page_literal(const char *);

/*
 * When page->navigations was n, the page was about to go to another: until that
 * one is there and has loaded, or a moment.  DONE, GONE or CRASHED.
 */
enum outcome	 page_settle(struct page *, int n);

/* From now on no script of the page runs, whatever starts it. */
void		 page_stop_scripts(struct page *);

/*
 * Answer the job by the sentence for an outcome that no step explains better;
 * step goes behind "while".  Returns -1.
 */
int		 page_fail(struct page *, enum outcome, const char *step);

#endif
