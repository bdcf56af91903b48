/* SPDX-License-Identifier: MIT */
/* The words of a screenshot's cmd. */
#include <string.h>

#include "err.h"
#include "options.h"
#include "unit.h"

/* Read words with an arena that lives as long as the test. */
static int
parse(struct options *o, const char *words, struct ufop_err *err)
{
	static struct arena	 arena;

	return (options_parse(o, &arena, str_from(words), err));
}

void
test_screenshot_options_defaults(void)
{
	struct options	 o;
	struct ufop_err	 err;

	CHECK_INT(parse(&o, "", &err), 0);
	CHECK(o.url == NULL && !o.has_cut && !o.status_any);
	CHECK_INT(o.view_w, 1280);
	CHECK_INT(o.view_h, 800);
	CHECK_INT(o.format, SHOT_PNG);
	CHECK_INT(o.wait, SHOT_WAIT_LOAD);
	CHECK(o.scale == 1);
	options_release(&o);
}

void
test_screenshot_options_all(void)
{
	struct options	 o;
	struct ufop_err	 err;

	CHECK_INT(parse(&o, "url/aHR0cDovL2EuYg/cut/300,200,10,40/viewport/"
	    "640x480/scale/2.5/wait/selector:I3g=/format/jpeg/q/70/dark/1/"
	    "js/YQ/css/Yg/headers/eyJhIjoiYiJ9/cookies/"
	    "W3sibmFtZSI6ImEiLCJ2YWx1ZSI6ImIifV0/ua/dWE/timeout/900/"
	    "status/any", &err), 0);
	CHECK_STR(o.url, "http://a.b");
	CHECK(o.has_cut);
	CHECK_INT(o.cut_w, 300);
	CHECK_INT(o.cut_h, 200);
	CHECK_INT(o.cut_x, 10);
	CHECK_INT(o.cut_y, 40);
	CHECK_INT(o.view_w, 640);
	CHECK_INT(o.view_h, 480);
	CHECK(o.scale == 2.5);
	CHECK_INT(o.wait, SHOT_WAIT_SELECTOR);
	CHECK_STR(o.wait_selector, "#x");
	CHECK_INT(o.format, SHOT_JPG);
	CHECK_INT(o.quality, 70);
	CHECK_INT(o.dark, 1);
	CHECK_STR(o.js, "a");
	CHECK_STR(o.css, "b");
	CHECK_STR(o.ua, "ua");
	CHECK_STR(json_string_value(json_object_get(o.headers, "a")), "b");
	CHECK_INT(json_array_size(o.cookies), 1);
	CHECK_INT(o.timeout_ms, 900);
	CHECK(o.status_any);
	options_release(&o);
}

/* Each wrong word, and what the message must say. */
static const struct {
	const char	*words;
	const char	*says;
} wrong[] = {
	{ "cut/1,2,3", "cut takes" },
	{ "cut/1,2,3,4,5", "cut takes" },
	{ "cut/0,2,3,4", "cut takes" },
	{ "cut/1,2,-3,4", "cut takes" },
	{ "cut/40000,2,3,4", "cut takes" },
	{ "cut/", "cut takes" },
	{ "cut", "cut takes" },
	{ "viewport/15x100", "viewport takes" },
	{ "viewport/100x9000", "viewport takes" },
	{ "viewport/100", "viewport takes" },
	{ "scale/0", "scale takes" },
	{ "scale/3.1", "scale takes" },
	{ "scale/1.", "scale takes" },
	{ "scale/1.234", "scale takes" },
	{ "scale/x", "scale takes" },
	{ "full/yes", "full takes 1 or 0" },
	{ "pad/5", "selector" },
	{ "wait/60001", "wait takes" },
	{ "wait/selector:", "wait takes" },
	{ "wait/", "wait takes" },
	{ "format/bmp", "png, jpg, webp, pdf" },
	{ "q/0/format/jpg", "q takes" },
	{ "q/101/format/jpg", "q takes" },
	{ "q/50", "q is for jpg" },
	{ "js/AA==", "js takes" },		/* a NUL */
	{ "js/gA==", "js takes" },		/* no UTF-8 */
	{ "js/", "js takes" },
	{ "js/a", "js takes" },
	{ "headers/e30x", "headers takes" },	/* {}1 */
	{ "headers/eyJhIjoxfQ", "'a' has a value" },	/* {"a":1} */
	{ "headers/eyJIb3N0IjoiYiJ9", "'Host' is for" },	/* Host */
	{ "headers/eyJhIGIiOiJjIn0", "'a b' is no name" },	/* a b */
	{ "headers/eyJhIjoiYlxyXG5jIn0",
	    "'a' has a line break" },	/* CR LF */
	{ "ua/YQpi", "in ua, there is a line break" },	/* LF */
	{ "headers/eyJhIjoiYSIsImEiOiJiIn0", "headers takes" },	/* twice a */
	{ "cookies/e30", "cookies takes" },
	{ "cookies/W3sibmFtZSI6ImEifV0", "item 0 has no 'value'" },
	{ "cookies/W3sibmFtZSI6ImEiLCJ2YWx1ZSI6IjEifSx7Im5hbWUiOiJiIiwidmFsdWUiOiJ4O3kifV0",
	    "item 1 has no 'value'" },	/* x;y */
	{ "cookies/W3sibmFtZSI6IiIsInZhbHVlIjoiMSJ9XQ", "no 'name'" },	/* "" */
	{ "cookies/W3sibmFtZSI6ImEiLCJ2YWx1ZSI6IjEiLCJzYW1lU2l0ZSI6Ik5vIn1d",
	    "no 'sameSite'" },
	{ "cookies/W3sibmFtZSI6ImEiLCJ2YWx1ZSI6IjEiLCJkb21haW4iOiJhIGIifV0",
	    "no 'domain'" },
	{ "cookies/W3sibmFtZSI6ImEiLCJ2YWx1ZSI6IjEiLCJ4IjoxfV0", "no 'x'" },
	{ "timeout/99", "timeout takes" },
	{ "status/200", "status takes any" },
	{ "selector/I3g/full/1", "full and selector" },
	{ "cut/1,1,1,1/selector/I3g", "cut and selector" },
	{ "format/pdf/cut/1,1,1,1", "format/pdf and cut" },
	{ "format/jpg/nobg/1", "nobg" },
	{ "dark/1/dark/0", "twice" },
	{ "Full/1", "no word 'Full'" },
	{ "/full/1", "no word ''" },
	{ "nonsense", "its words are url, cut" },
};

void
test_screenshot_options_wrong(void)
{
	struct options	 o;
	struct ufop_err	 err;
	size_t		 i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		memset(&err, 0, sizeof(err));
		CHECK_MSG(parse(&o, wrong[i].words, &err) == -1,
		    "'%s' is taken", wrong[i].words);
		CHECK_INT(err.code, UFOP_BAD_INPUT);
		CHECK_MSG(strstr(err.msg, wrong[i].says) != NULL,
		    "'%s' says: %s", wrong[i].words, err.msg);
	}
}
