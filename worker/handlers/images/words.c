/* SPDX-License-Identifier: MIT */
/* Reading words and their values; see words.h. */
#include "words.h"

void
spec_init(struct spec *spec)
{
	memset(spec, 0, sizeof(*spec));
	spec->opts.quality = QUALITY;
	memset(spec->background, 255, sizeof(spec->background));
}

struct step *
spec_add_step(struct spec *spec, enum step_kind kind)
{
	struct step *s;

	if (spec->nsteps <= STEPS_MAX)
		spec->nsteps++;
	s = &spec->steps[spec->nsteps - 1];
	*s = (struct step){ .kind = kind };
	return (s);
}

int
words_number(struct str *s, int max, int *out)
{
	int64_t v = 0;
	size_t i = 0;

	for (; i < s->len && s->s[i] >= '0' && s->s[i] <= '9'; i++)
		if ((v = v * 10 + (s->s[i] - '0')) > max)
			return (-1);
	if (i == 0)
		return (-1);
	s->s += i;
	s->len -= i;
	*out = (int)v;
	return (0);
}

bool
words_next_is(struct str *s, char c)
{
	if (s->len == 0 || s->s[0] != c)
		return (false);
	s->s++;
	s->len--;
	return (true);
}

int
words_take_int(struct spec *spec, const struct word *w, struct str v)
{
	int n;

	if (words_number(&v, w->max, &n) == -1 || v.len != 0 || n < 1)
		return (-1);
	memcpy((char *)spec + w->at, &n, sizeof(n));
	return (0);
}

int
words_take_flag(struct spec *spec, const struct word *w, struct str v)
{
	bool *flag = (bool *)((char *)spec + w->at);

	if (v.len != 1 || (v.s[0] != '0' && v.s[0] != '1'))
		return (-1);
	*flag = v.s[0] == '1';
	return (0);
}

bool
words_is(struct str v, const char *s)
{
	return (strlen(s) == v.len && memcmp(v.s, s, v.len) == 0);
}

int
words_take_format(struct spec *spec, const struct word *w, struct str v)
{
	(void)w;
	spec->codec = codec_by_name(v.s, v.len);
	spec->auto_format = words_is(v, "auto");
	return (spec->codec != NULL || spec->auto_format ? 0 : -1);
}

int
words_take_gravity(struct spec *spec, const struct word *w, struct str v)
{
	static const char *const names[] = {
		"NorthWest", "North", "NorthEast", "West", "Center", "East",
		"SouthWest", "South", "SouthEast"
	};

	(void)w;
	for (int i = 0; i < 9; i++)
		if (words_is(v, names[i])) {
			spec->gravity = (enum gravity)i;
			return (0);
		}
	return (-1);
}

int
words_decimal(struct str *v, int max, double *out)
{
	int whole;

	if (words_number(v, max, &whole) == -1)
		return (-1);
	*out = whole;
	if (words_next_is(v, '.'))
		for (double k = 0.1; v->len > 0 && v->s[0] >= '0' &&
		    v->s[0] <= '9'; k /= 10) {
			*out += k * (v->s[0] - '0');
			words_next_is(v, v->s[0]);
		}
	return (0);
}

static int
hex(char c)
{
	return (c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ?
	    c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1);
}

int
words_base64(struct str v, char *out, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	size_t n = 0;
	int have = 0;

	while (v.len > 0 && v.s[v.len - 1] == '=')
		v.len--;
	for (size_t i = 0; i < v.len; i++) {
		char c = v.s[i] == '+' ? '-' : v.s[i];
		const char *d = c != '\0' ? strchr(digits, c) : NULL;

		if (d == NULL)
			return (-1);
		bits = bits << 6 | (uint32_t)(d - digits);
		if ((have += 6) < 8)
			continue;
		have -= 8;
		if (n == size)
			return (-1);
		out[n++] = (char)(bits >> have);
	}
	return ((int)n);
}

struct mark *
spec_mark(struct spec *spec, enum mark_kind kind)
{
	struct mark *m = spec->marks + spec->nmarks;

	return (spec->nmarks > 0 && m[-1].kind == kind ? &m[-1] : NULL);
}

int
words_take_colour(struct spec *spec, const struct word *w, struct str v)
{
	static const struct { const char *name; unsigned char rgba[4]; } names[] = {
		{ "transparent", { 0, 0, 0, 0 } }, { "none", { 0, 0, 0, 0 } },
		{ "white", { 255, 255, 255, 255 } }, { "black", { 0, 0, 0, 255 } },
		{ "red", { 255, 0, 0, 255 } }, { "orange", { 255, 165, 0, 255 } },
		{ "yellow", { 255, 255, 0, 255 } }, { "green", { 0, 128, 0, 255 } },
		{ "blue", { 0, 0, 255, 255 } }, { "purple", { 128, 0, 128, 255 } },
		{ "gray", { 126, 126, 126, 255 } },
		{ "pink", { 255, 192, 203, 255 } },
	};
	struct mark *m = spec_mark(spec, MARK_TEXT);
	unsigned char *to = w->at != 0 ? (unsigned char *)spec + w->at :
	    m != NULL ? m->rgba : NULL;
	char text[16];
	int n = words_base64(v, text, sizeof(text));

	if (to == NULL)
		return (-1);
	if (n == 7 && text[0] == '#') {
		for (int i = 0; i < 3; i++) {
			int a = hex(text[1 + 2 * i]), b = hex(text[2 + 2 * i]);

			if (a == -1 || b == -1)
				return (-1);
			to[i] = (unsigned char)(a * 16 + b);
		}
		to[3] = 255;
		return (0);
	}
	for (size_t i = 0; n > 0 && i < sizeof(names) / sizeof(names[0]); i++)
		if (words_is((struct str){ text, (size_t)n }, names[i].name)) {
			memcpy(to, names[i].rgba, 4);
			return (0);
		}
	return (-1);
}

static int
unknown(const struct grammar *g, struct str name, struct ufop_err *err)
{
	char known[256];
	size_t n = 0;

	for (const struct word *w = g->words;
	    w->name != NULL && n < sizeof(known); w++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s",
		    n > 0 ? ", " : "", w->name);
	return (image_err(err, UFOP_BAD_INPUT, "%s has no word '%.*s'; its words "
	    "are %s, as in %s", g->name, name.len > 64 ? 64 : (int)name.len,
	    name.s, known, g->example));
}

struct str
words_cut(struct str *rest)
{
	const char *slash = rest->len > 0 ? memchr(rest->s, '/', rest->len) :
	    NULL;
	struct str seg = { rest->s,
	    slash != NULL ? (size_t)(slash - rest->s) : rest->len };

	if (slash != NULL) {
		rest->s = slash + 1;
		rest->len -= seg.len + 1;
	} else
		*rest = (struct str){ NULL, 0 };
	return (seg);
}

int
words_read(struct spec *spec, const struct grammar *g, struct str args,
    struct ufop_err *err)
{
	uint32_t seen = 0;	/* words, by their place among g's */

	while (args.len > 0) {
		struct str name = words_cut(&args), value = { "", 0 };
		const struct word *w = g->words;
		ptrdiff_t i;

		/* A slash too many, as at the end, says nothing. */
		if (name.len == 0)
			continue;
		while (w->name != NULL && (strlen(w->name) != name.len ||
		    memcmp(w->name, name.s, name.len) != 0))
			w++;
		if (w->name == NULL)
			return (unknown(g, name, err));
		if (w->form != NULL && args.s != NULL)
			value = words_cut(&args);
		if (w->take(spec, w, value) == -1)
			return (image_err(err, UFOP_BAD_INPUT, "%s: %s takes %s, "
			    "not '%.*s'; as in %s", g->name, w->name,
			    w->form != NULL ? w->form : "no value",
			    value.len > 64 ? 64 : (int)value.len, value.s,
			    g->example));
		if (spec->nsteps > STEPS_MAX)
			return (image_err(err, UFOP_BAD_INPUT, "%s: at most %d "
			    "operations are done in one; put the rest behind "
			    "a |", g->name, STEPS_MAX));
		i = w - g->words;
		if (w->take == words_take_int && seen >> i & 1)
			return (image_err(err, UFOP_BAD_INPUT, "%s: %s stands "
			    "twice; which of both is meant?  As in %s", g->name,
			    w->name, g->example));
		seen |= UINT32_C(1) << i;
	}
	return (0);
}
