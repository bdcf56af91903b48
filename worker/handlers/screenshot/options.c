/* SPDX-License-Identifier: MIT */
/* The words of a cmd; see options.h. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "options.h"

#define EXAMPLE	"/screenshot/viewport/1280x800/full/1/format/jpg"

struct reader {
	struct options	*o;
	struct arena	*arena;
	char		 why[160];	/* -1 of take, more closely; or "" */
};

struct word {
	const char	*name;
	const char	*form;		/* of its value, for messages */
	/* 0, or -1 when the value does not have the form. */
	int		(*take)(struct reader *, const struct word *, struct str);
	size_t		 at;		/* where in struct options */
	int		 min, max;	/* of take_int() */
};

static const struct {
	const char	*name;
	const char	*type;
} formats[] = {
	[SHOT_PNG] = { "png", "image/png" },
	[SHOT_JPG] = { "jpg", "image/jpeg" },
	[SHOT_WEBP] = { "webp", "image/webp" },
	[SHOT_PDF] = { "pdf", "application/pdf" },
};

const char *
options_format_name(enum shot_format f)
{
	return (formats[f].name);
}

const char *
options_format_type(enum shot_format f)
{
	return (formats[f].type);
}

/* ---- values ---------------------------------------------------------- */

/* Text out of base64: UTF-8, neither empty nor with a NUL; NULL otherwise. */
static const char *
b64_text(struct arena *arena, struct str v)
{
	unsigned char	*text = arena_alloc(arena, v.len + 2, 1);
	struct str	 rest;
	int		 n, len = str_b64_decode(text, v);

	if (len <= 0 || memchr(text, '\0', (size_t)len) != NULL)
		return (NULL);
	text[len] = '\0';
	for (rest = str_from((char *)text); rest.len > 0;
	    rest = str_slice(rest, (size_t)n, rest.len))
		if ((n = str_utf8(rest)) == 0)
			return (NULL);
	return ((char *)text);
}

static int
take_text(struct reader *r, const struct word *w, struct str v)
{
	const char	*text = b64_text(r->arena, v);

	if (text == NULL)
		return (-1);
	memcpy((char *)r->o + w->at, &text, sizeof(text));
	return (0);
}

static int
take_int(struct reader *r, const struct word *w, struct str v)
{
	int64_t	n;
	int	value;

	if (str_int(v, w->min, w->max, &n) == -1)
		return (-1);
	value = (int)n;
	memcpy((char *)r->o + w->at, &value, sizeof(value));
	return (0);
}

static int
take_cut(struct reader *r, const struct word *w, struct str v)
{
	int64_t		 n[4];
	struct str	 part;
	int		 i;

	(void)w;
	for (i = 0; i < 4; i++) {
		part = i < 3 ? str_cut(&v, ',') : v;
		if (v.s == NULL || str_int(part, i < 2, OPTIONS_SIDE_MAX,
		    &n[i]) == -1)
			return (-1);
	}
	r->o->has_cut = true;
	r->o->cut_w = (int)n[0];
	r->o->cut_h = (int)n[1];
	r->o->cut_x = (int)n[2];
	r->o->cut_y = (int)n[3];
	return (0);
}

static int
take_viewport(struct reader *r, const struct word *w, struct str v)
{
	struct str	 first = str_cut(&v, 'x');
	int64_t		 width, height;

	if (str_int(first, w->min, w->max, &width) == -1 ||
	    str_int(v, w->min, w->max, &height) == -1)
		return (-1);
	r->o->view_w = (int)width;
	r->o->view_h = (int)height;
	return (0);
}

/* 1 to 3 with at most two digits behind the point. */
static int
take_scale(struct reader *r, const struct word *w, struct str v)
{
	struct str	 whole = str_cut(&v, '.');
	int64_t		 n, part = 0;
	double		 scale;

	(void)w;
	if (str_int(whole, 1, 3, &n) == -1 ||
	    (v.s != NULL && (v.len > 2 || str_int(v, 0, 99, &part) == -1)))
		return (-1);
	scale = (double)n + (double)part / (v.len == 2 ? 100 : 10);
	if (scale > 3)
		return (-1);
	r->o->scale = scale;
	return (0);
}

static int
take_wait(struct reader *r, const struct word *w, struct str v)
{
	struct options	*o = r->o;
	int64_t		 ms;

	(void)w;
	if (str_eq_c(v, "load"))
		o->wait = SHOT_WAIT_LOAD;
	else if (str_eq_c(v, "idle"))
		o->wait = SHOT_WAIT_IDLE;
	else if (str_prefix(v, STR("selector:"))) {
		o->wait = SHOT_WAIT_SELECTOR;
		o->wait_selector = b64_text(r->arena,
		    str_slice(v, strlen("selector:"), v.len));
		return (o->wait_selector != NULL ? 0 : -1);
	} else {
		if (str_int(v, 0, OPTIONS_WAIT_MAX_MS, &ms) == -1)
			return (-1);
		o->wait = SHOT_WAIT_MS;
		o->wait_ms = (int)ms;
	}
	return (0);
}

static int
take_format(struct reader *r, const struct word *w, struct str v)
{
	size_t	i;

	(void)w;
	if (str_eq_c(v, "jpeg"))
		v = STR("jpg");
	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (str_eq_c(v, formats[i].name)) {
			r->o->format = (enum shot_format)i;
			return (0);
		}
	return (-1);
}

static int
take_status(struct reader *r, const struct word *w, struct str v)
{
	(void)w;
	r->o->status_any = true;
	return (str_eq_c(v, "any") ? 0 : -1);
}

/* A token of RFC 9110, such as the name of a header. */
static bool
is_token(const char *s)
{
	const char	*p;

	for (p = s; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f ||
		    strchr("\"(),/:;<=>?@[\\]{}", *p) != NULL)
			return (false);
	return (p > s);
}

/* No control character, which would end a header's line; nor one of stop. */
static bool
is_plain(const char *s, const char *stop)
{
	for (; *s != '\0'; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f ||
		    strchr(stop, *s) != NULL)
			return (false);
	return (true);
}

/* Why a header cannot be sent, for behind its name; NULL: it can. */
static const char *
header_bad(const char *name, json_t *value)
{
	/* Those of the connection: the browser refuses to have them set. */
	static const char *const	 own[] = { "host", "content-length",
	    "transfer-encoding", "keep-alive", "upgrade", "te", "trailer",
	    "cookie2", "set-cookie" };
	size_t				 i;

	if (!is_token(name))
		return ("is no name of a header");
	if (!json_is_string(value))
		return ("has a value that is no string");
	if (!is_plain(json_string_value(value), ""))
		return ("has a line break or control character in its value");
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strcasecmp(name, own[i]) == 0 ||
		    strncasecmp(name, "proxy-", 6) == 0)
			return ("is for the browser alone to set");
	return (NULL);
}

static int
take_ua(struct reader *r, const struct word *w, struct str v)
{
	if (take_text(r, w, v) == -1)
		return (-1);
	if (is_plain(r->o->ua, ""))
		return (0);
	snprintf(r->why, sizeof(r->why), "there is a line break or control "
	    "character");
	return (-1);
}

static int
take_headers(struct reader *r, const struct word *w, struct str v)
{
	const char	*text = b64_text(r->arena, v), *name, *bad;
	json_t		*o, *value;

	(void)w;
	o = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) :
	    NULL;
	json_decref(r->o->headers);
	r->o->headers = o;
	if (!json_is_object(o))
		return (-1);
	json_object_foreach(o, name, value)
		if ((bad = header_bad(name, value)) != NULL) {
			snprintf(r->why, sizeof(r->why), "'%.64s' %s", name,
			    bad);
			return (-1);
		}
	return (0);
}

/* What a cookie may have beside name and value, and of what type. */
static bool
cookie_attribute_ok(const char *name, json_t *value)
{
	const char	*s = json_string_value(value);

	if (strcmp(name, "domain") == 0)
		return (s != NULL && *s != '\0' && is_plain(s, " \t;,/:"));
	if (strcmp(name, "path") == 0)
		return (s != NULL && *s == '/' && is_plain(s, ";"));
	if (strcmp(name, "sameSite") == 0)
		return (s != NULL && (strcmp(s, "Strict") == 0 ||
		    strcmp(s, "Lax") == 0 || strcmp(s, "None") == 0));
	if (strcmp(name, "secure") == 0 || strcmp(name, "httpOnly") == 0)
		return (json_is_boolean(value));
	return (strcmp(name, "expires") == 0 && json_is_number(value));
}

/* What of a cookie is bad; NULL: nothing. */
static const char *
cookie_bad(json_t *cookie)
{
	const char	*name;
	json_t		*value;

	name = json_string_value(json_object_get(cookie, "name"));
	if (name == NULL || *name == '\0' || !is_plain(name, ";=\t"))
		return ("name");
	name = json_string_value(json_object_get(cookie, "value"));
	if (name == NULL || !is_plain(name, ";\t"))
		return ("value");
	json_object_foreach(cookie, name, value)
		if (strcmp(name, "name") != 0 && strcmp(name, "value") != 0 &&
		    !cookie_attribute_ok(name, value))
			return (name);
	return (NULL);
}

static int
take_cookies(struct reader *r, const struct word *w, struct str v)
{
	const char	*text = b64_text(r->arena, v), *bad;
	json_t		*a, *cookie;
	size_t		 i;

	(void)w;
	a = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) :
	    NULL;
	json_decref(r->o->cookies);
	r->o->cookies = a;
	if (!json_is_array(a))
		return (-1);
	json_array_foreach(a, i, cookie)
		if ((bad = cookie_bad(cookie)) != NULL) {
			snprintf(r->why, sizeof(r->why), "item %zu has no "
			    "'%.64s' that a cookie may have", i, bad);
			return (-1);
		}
	return (0);
}

/* ---- the table ------------------------------------------------------- */

#define AT(field)	offsetof(struct options, field)
#define B64(what)	what " in URL-safe base64"
#define FLAG(name, field)						\
	{ name, "1 or 0", take_int, AT(field), 0, 1 }

static const struct word words[] = {
	{ "url", B64("an address such as http://example.com"), take_text,
	    AT(url), 0, 0 },
	{ "cut", "<width>,<height>,<x>,<y> in pixels, at most 30000 each, "
	    "such as 300,200,0,40", take_cut, 0, 0, 0 },
	{ "viewport", "a size from 16x16 to 8192x8192, such as 1280x800",
	    take_viewport, 0, 16, 8192 },
	{ "scale", "a number from 1 to 3, such as 2 or 1.5", take_scale, 0, 0,
	    0 },
	FLAG("full", full),
	{ "selector", B64("a CSS selector"), take_text, AT(selector), 0, 0 },
	{ "pad", "a number of pixels from 0 to 1000", take_int, AT(pad), 0,
	    1000 },
	{ "wait", "load, idle, milliseconds up to 60000, or selector: and "
	    B64("a CSS selector"), take_wait, 0, 0, 0 },
	{ "format", "one of png, jpg, webp, pdf", take_format, 0, 0, 0 },
	{ "q", "a quality from 1 to 100", take_int, AT(quality), 1, 100 },
	FLAG("dark", dark),
	FLAG("mobile", mobile),
	FLAG("nobg", nobg),
	{ "js", B64("a script"), take_text, AT(js), 0, 0 },
	{ "css", B64("a style sheet"), take_text, AT(css), 0, 0 },
	{ "headers", B64("a JSON object of strings, {\"name\":\"value\"},"),
	    take_headers, 0, 0, 0 },
	{ "cookies", B64("a JSON array, [{\"name\":\"a\",\"value\":\"b\"}],"),
	    take_cookies, 0, 0, 0 },
	{ "ua", B64("a User-Agent"), take_ua, AT(ua), 0, 0 },
	{ "timeout", "milliseconds from 100 to 300000", take_int,
	    AT(timeout_ms), 100, 300000 },
	{ "status", "any", take_status, 0, 0, 0 },
	{ 0 }
};

static int
unknown(struct str name, struct ufop_err *err)
{
	const struct word	*w;
	char			 known[256];
	size_t			 n = 0;

	for (w = words; w->name != NULL; w++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s",
		    n > 0 ? ", " : "", w->name);
	return (err_set(err, UFOP_BAD_INPUT, "screenshot has no word '%.*s'; "
	    "its words are %s, as in " EXAMPLE, (int)(name.len > 64 ? 64 :
	    name.len), name.s, known));
}

static int
contradiction(const char *a, const char *b, struct ufop_err *err)
{
	return (err_set(err, UFOP_BAD_INPUT, "screenshot cannot do %s and %s "
	    "at once; leave one out", a, b));
}

/* Words that make no sense together. */
static int
check_together(const struct options *o, struct ufop_err *err)
{
	if (o->has_cut && o->full)
		return (contradiction("cut", "full", err));
	if (o->has_cut && o->selector != NULL)
		return (contradiction("cut", "selector", err));
	if (o->full && o->selector != NULL)
		return (contradiction("full", "selector", err));
	if (o->pad > 0 && o->selector == NULL)
		return (err_set(err, UFOP_BAD_INPUT, "screenshot: pad is room "
		    "around an element; name one with selector/<b64>"));
	if (o->quality > 0 && o->format != SHOT_JPG && o->format != SHOT_WEBP)
		return (err_set(err, UFOP_BAD_INPUT, "screenshot: q is for jpg "
		    "and webp, not for %s", options_format_name(o->format)));
	if (o->nobg && o->format == SHOT_JPG)
		return (contradiction("nobg", "format/jpg, which has no "
		    "transparency,", err));
	if (o->format == SHOT_PDF && (o->has_cut || o->selector != NULL))
		return (contradiction("format/pdf", "cut or selector", err));
	return (0);
}

static int
read_words(struct reader *r, struct str rest, struct ufop_err *err)
{
	const struct word	*w;
	struct str		 name, value;
	uint32_t		 seen = 0;

	while (rest.len > 0) {
		name = str_cut(&rest, '/');
		value = rest.s != NULL ? str_cut(&rest, '/') : STR("");
		for (w = words; w->name != NULL; w++)
			if (str_eq_c(name, w->name))
				break;
		if (w->name == NULL)
			return (unknown(name, err));
		if (seen & 1U << (w - words))
			return (err_set(err, UFOP_BAD_INPUT,
			    "screenshot: %s is given twice", w->name));
		seen |= 1U << (w - words);
		if (w->take(r, w, value) == 0)
			continue;
		if (r->why[0] != '\0')
			return (err_set(err, UFOP_BAD_INPUT, "screenshot: in "
			    "%s, %s; it takes %s", w->name, r->why, w->form));
		return (err_set(err, UFOP_BAD_INPUT, "screenshot: %s "
			    "takes %s, not '%.*s'; as in " EXAMPLE, w->name,
			    w->form, (int)(value.len > 64 ? 64 : value.len),
			    value.s));
	}
	return (check_together(r->o, err));
}

int
options_parse(struct options *o, struct arena *arena, struct str text,
    struct ufop_err *err)
{
	struct reader	 r = { .o = o, .arena = arena };

	memset(o, 0, sizeof(*o));
	o->scale = 1;
	if (read_words(&r, text, err) == -1) {
		options_release(o);
		return (-1);
	}
	if (o->view_w == 0) {
		o->view_w = o->mobile ? 390 : OPTIONS_VIEW_W;
		o->view_h = o->mobile ? 844 : OPTIONS_VIEW_H;
	}
	return (0);
}

void
options_release(struct options *o)
{
	json_decref(o->headers);
	json_decref(o->cookies);
	o->headers = o->cookies = NULL;
}
