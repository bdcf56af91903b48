/* SPDX-License-Identifier: MIT */
/* Types, units and ranges of values; see settings_private.h. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "settings_private.h"

/* Bytes of a wrong value that its error shows. */
#define SHOWN_MAX	120

struct unit {
	const char	*suffix;
	int64_t		 factor;
};

/* From small to large; a number without a suffix is the first. */
static const struct unit	size_units[] = {
	{ "", 1 }, { "k", 1 << 10 }, { "m", 1 << 20 }, { "g", 1 << 30 },
	{ NULL, 0 }
};
static const struct unit	time_units[] = {
	{ "", 1 }, { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 }, { NULL, 0 }
};
/* ---- values and their types ------------------------------------------- */

static const struct unit *
units_of(enum ufop_setting_type type)
{
	return (type == UFOP_SETTING_SIZE ? size_units : time_units);
}

static void
range_of(const struct ufop_setting_def *def, int64_t *min, int64_t *max)
{
	*min = def->min;
	*max = def->max;
	if (def->min == 0 && def->max == 0) {
		*min = def->type == UFOP_SETTING_INT ? INT64_MIN : 0;
		*max = INT64_MAX;
	}
}

/* "20m", "500ms": a number from 0 with a unit behind; -1 when it is none. */
static int
parse_amount(const struct unit *unit, const char *value, int64_t *num)
{
	size_t	digits = strspn(value, "0123456789");

	if (str_int((struct str){ value, digits }, 0, INT64_MAX, num) == -1)
		return (-1);
	for (; unit->suffix != NULL; unit++) {
		if (strcasecmp(value + digits, unit->suffix) == 0)
			return (__builtin_mul_overflow(*num, unit->factor,
			    num) ? -1 : 0);
	}
	return (-1);
}

static int
parse_bool(const char *value, int64_t *num)
{
	static const struct {
		const char	*word;
		int		 num;
	} words[] = {
		{ "yes", 1 }, { "no", 0 }, { "true", 1 }, { "false", 0 },
		{ "on", 1 }, { "off", 0 }, { "1", 1 }, { "0", 0 },
	};
	size_t	i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(value, words[i].word) == 0) {
			*num = words[i].num;
			return (0);
		}
	}
	return (-1);
}

/* Whether value is one for this row; *num is what it comes to. */
bool
setting_accepts(const struct ufop_setting_def *def, bool (*check)(const char *),
    const char *value, int64_t *num)
{
	int64_t	min, max;

	*num = 0;
	range_of(def, &min, &max);
	switch (def->type) {
	case UFOP_SETTING_INT:
		return (str_int(str_from(value), min, max, num) == 0);
	case UFOP_SETTING_BOOL:
		return (parse_bool(value, num) == 0);
	case UFOP_SETTING_SIZE:
	case UFOP_SETTING_TIME:
		return (parse_amount(units_of(def->type), value, num) == 0 &&
		    *num >= min && *num <= max);
	case UFOP_SETTING_STRING:
	case UFOP_SETTING_LIST:
		break;
	}
	return (check == NULL || check(value));
}

/* An amount in the largest unit that leaves no rest. */
static void
add_amount(struct buf *out, const struct unit *unit, int64_t n)
{
	const struct unit	*best = unit;

	for (; unit->suffix != NULL; unit++) {
		if (n != 0 && n % unit->factor == 0)
			best = unit;
	}
	buf_addf(out, "%lld%s", (long long)(n / best->factor), best->suffix);
}

static void
describe(const struct ufop_setting_def *def, const char *text, struct buf *out)
{
	int64_t	min, max;

	if (text != NULL) {
		buf_cstr(out, text);
		return;
	}
	switch (def->type) {
	case UFOP_SETTING_STRING:
		buf_cstr(out, "text");
		return;
	case UFOP_SETTING_LIST:
		buf_cstr(out, "words between spaces or commas");
		return;
	case UFOP_SETTING_BOOL:
		buf_cstr(out, "yes or no");
		return;
	case UFOP_SETTING_INT:
		buf_cstr(out, "a whole number");
		break;
	case UFOP_SETTING_SIZE:
		buf_cstr(out, "a size such as 64k, 20m or 1g");
		break;
	case UFOP_SETTING_TIME:
		buf_cstr(out, "a time such as 500ms, 30s or 5m");
		break;
	}
	if (def->min == 0 && def->max == 0)
		return;
	range_of(def, &min, &max);
	if (def->type == UFOP_SETTING_INT) {
		buf_addf(out, " from %lld to %lld", (long long)min,
		    (long long)max);
		return;
	}
	buf_cstr(out, ", from ");
	add_amount(out, units_of(def->type), min);
	buf_cstr(out, " to ");
	add_amount(out, units_of(def->type), max);
}

void
setting_describe(const struct ufop_setting_def *def, struct buf *out)
{
	const struct settings_row	*row;

	for (row = settings_table; row->section != NULL; row++) {
		if (&row->def == def) {
			describe(def, row->accepts, out);
			return;
		}
	}
	describe(def, NULL, out);
}

/* ---- what may be shown ------------------------------------------------ */

/* A service's own secrets are known by the last word of their name. */
static bool
is_secret(const char *name)
{
	static const char *const	words[] = {
		"password", "passwd", "secret", "token", "key"
	};
	size_t				i, len = strlen(name), n;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		n = strlen(words[i]);
		if (len >= n && strcmp(name + len - n, words[i]) == 0)
			return (true);
	}
	return (false);
}

/*
 * The value with *** for what is secret.  In a url that is everything from the
 * first colon behind the scheme to the last @: rather too much than a password
 * that holds an @ or a slash.
 */
static void
add_masked(struct buf *out, const struct row *row, const char *value)
{
	const char	*from, *to;

	if (row->built_in == NULL && is_secret(row->pub.def->name)) {
		buf_cstr(out, value[0] == '\0' ? "" : "***");
		return;
	}
	if (row->built_in != NULL && row->built_in->has_password) {
		from = strstr(value, "://");
		from = strchr(from == NULL ? value : from + 3, ':');
		to = strrchr(value, '@');
		if (from != NULL && to != NULL && from < to) {
			buf_addf(out, "%.*s:***%s", (int)(from - value), value,
			    to);
			return;
		}
	}
	buf_cstr(out, value);
}

void
setting_show(const struct setting *setting, struct buf *out)
{
	add_masked(out, (const struct row *)setting, setting->value);
}

/*
 * UFOP_CONFIG with "<origin>: <section>.<name> = '<value>': <why>", the value
 * cut so that the reason is still seen.
 */
int
setting_blame(const struct row *row, const char *value, const char *origin,
    struct ufop_err *err, const char *why)
{
	struct buf	shown;
	size_t		len;

	buf_init(&shown, SIZE_MAX / 2);
	add_masked(&shown, row, value);
	len = shown.len > SHOWN_MAX ? SHOWN_MAX : shown.len;
	err_set(err, UFOP_CONFIG, "%s: %s.%s = '%.*s%s': %s", origin,
	    row->pub.section, row->pub.def->name, (int)len,
	    len == 0 ? "" : shown.p, len < shown.len ? "..." : "", why);
	buf_release(&shown);
	return (-1);
}

int
setting_bad_value(const struct row *row, const char *value, const char *origin,
    struct ufop_err *err)
{
	struct buf	why;

	buf_init(&why, UFOP_ERR_MSG_MAX);
	buf_cstr(&why, "must be ");
	setting_describe(row->pub.def, &why);
	setting_blame(row, value, origin, err, why.p);
	buf_release(&why);
	return (-1);
}
