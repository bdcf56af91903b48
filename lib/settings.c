/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

#include "arena.h"
#include "cpus.h"
#include "settings.h"
#include "settings_table.h"

/* Children by CPU_COUNT or FLAVOR; as many as worker.pools takes. */
#define CPUS_MAX	1024
/*
 * Of a service or a setting: libinih cuts sections, and names of lines that go
 * on, at 49 bytes.
 */
#define NAME_MAX_LEN	48
/* Bytes of a wrong value that its error shows. */
#define SHOWN_MAX	120

/*
 * A row of either kind.  Allocated one by one: callers keep pointers while
 * services add more.
 */
struct row {
	struct setting			 pub;		/* first */
	const struct settings_row	*built_in;	/* NULL: a service's */
	int				 index;
};

/* What the layers say about sections that nobody has claimed yet, in order. */
struct pending {
	struct pending	*next;
	const char	*section;	/* NULL: name is an environment variable */
	const char	*name, *value, *origin;
};

/* A variable of the environment or of .env. */
struct var {
	struct var	*next;
	const char	*name, *value, *origin;
};

struct settings_private {
	struct arena	  arena;	/* every string and struct below */
	struct row	**rows;
	int		  nrows, cap;
	struct pending	 *pending, **pending_end;
	int		  cpu_count;	/* as the environment says; 0: it does not */
	bool		  loaded;
};

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
static bool
accepts(const struct ufop_setting_def *def, bool (*check)(const char *),
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
static int
blame(const struct row *row, const char *value, const char *origin,
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

static int
bad_value(const struct row *row, const char *value, const char *origin,
    struct ufop_err *err)
{
	struct buf	why;

	buf_init(&why, UFOP_ERR_MSG_MAX);
	buf_cstr(&why, "must be ");
	setting_describe(row->pub.def, &why);
	blame(row, value, origin, err, why.p);
	buf_release(&why);
	return (-1);
}

/* ---- what was meant --------------------------------------------------- */

/* The best of the names that are like the one that is wrong. */
struct guess {
	const char	*wrong;
	char		 best[SETTINGS_ENV_MAX];	/* "": none is */
	size_t		 distance;
};

/* Letters to add, drop or change to make a from b (Levenshtein). */
static size_t
distance(const char *a, const char *b)
{
	size_t	row[SETTINGS_ENV_MAX], i, j, diagonal, above, n = strlen(b);

	if (n >= SETTINGS_ENV_MAX)
		return (SIZE_MAX);
	for (j = 0; j <= n; j++)
		row[j] = j;
	for (i = 1; a[i - 1] != '\0'; i++) {
		diagonal = row[0];
		row[0] = i;
		for (j = 1; j <= n; j++) {
			above = row[j];
			row[j] = diagonal + (a[i - 1] != b[j - 1]);
			if (above + 1 < row[j])
				row[j] = above + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diagonal = above;
		}
	}
	return (row[n]);
}

static void
guess_init(struct guess *g, const char *wrong)
{
	g->wrong = wrong;
	g->best[0] = '\0';
	/* Two slips, or one in three letters of a long name. */
	g->distance = strlen(wrong) / 3;
	if (g->distance < 2)
		g->distance = 2;
	g->distance++;
}

static void
guess_try(struct guess *g, const char *name)
{
	size_t	d = distance(g->wrong, name);

	/* Nothing is left of a name of which every letter was changed. */
	if (d < g->distance && d < strlen(name)) {
		g->distance = d;
		snprintf(g->best, sizeof(g->best), "%s", name);
	}
}

static int
unknown_name(const struct settings_private *p, const char *section,
    const char *name, const char *origin, struct ufop_err *err)
{
	const struct setting	*row;
	const char		*elsewhere = NULL;
	struct guess		 g;
	int			 i;

	guess_init(&g, name);
	for (i = 0; i < p->nrows; i++) {
		row = &p->rows[i]->pub;
		if (strcmp(row->section, section) == 0)
			guess_try(&g, row->def->name);
		else if (elsewhere == NULL && strcmp(row->def->name, name) == 0)
			elsewhere = row->section;
	}
	if (elsewhere != NULL)
		return (err_set(err, UFOP_CONFIG, "%s: [%s] has no setting "
		    "'%.64s'; it belongs to [%s]", origin, section, name,
		    elsewhere));
	if (g.best[0] != '\0')
		return (err_set(err, UFOP_CONFIG, "%s: [%s] has no setting "
		    "'%.64s'; did you mean '%s'?", origin, section, name,
		    g.best));
	return (err_set(err, UFOP_CONFIG, "%s: [%s] has no setting '%.64s'; "
	    "`ufop config show` lists all there are", origin, section, name));
}

static int
unknown_section(const struct settings *s, const struct pending *u,
    struct ufop_err *err)
{
	const struct setting	*row;
	struct guess		 g;

	if (u->section[0] == '\0')
		return (err_set(err, UFOP_CONFIG, "%s: '%.64s' stands before any "
		    "[section]; put it under one, such as [ufop]", u->origin,
		    u->name));
	guess_init(&g, u->section);
	for (row = NULL; (row = settings_each(s, row)) != NULL; )
		guess_try(&g, row->section);
	if (g.best[0] != '\0')
		return (err_set(err, UFOP_CONFIG, "%s: there is no section "
		    "[%s]; did you mean [%s]?", u->origin, u->section,
		    g.best));
	return (err_set(err, UFOP_CONFIG, "%s: there is no section [%s]; a "
	    "service has one while ufop.services names it (now: %.120s)",
	    u->origin, u->section, settings_str(s, "ufop", "services")));
}

static int
unknown_variable(const struct settings *s, const struct pending *u,
    struct ufop_err *err)
{
	const struct setting	*row;
	struct guess		 g;
	char			 env[SETTINGS_ENV_MAX], where[256] = "";

	/* From .env: say the line, too. */
	if (strcmp(u->origin, u->name) != 0)
		snprintf(where, sizeof(where), "%s: ", u->origin);
	guess_init(&g, u->name);
	for (row = NULL; (row = settings_each(s, row)) != NULL; ) {
		setting_env_name(row, env);
		guess_try(&g, env);
	}
	if (g.best[0] != '\0')
		return (err_set(err, UFOP_CONFIG, "%s%.100s is no setting's "
		    "variable; did you mean %s?", where, u->name, g.best));
	return (err_set(err, UFOP_CONFIG, "%s%.100s is no setting's variable, and "
	    "names that begin with UFOP_ are kept for those; unset it or "
	    "switch on the service it is for", where, u->name));
}

/* ---- rows ------------------------------------------------------------- */

static struct row *
find(const struct settings_private *p, const char *section, const char *name)
{
	const struct setting	*row;
	int			 i;

	for (i = 0; i < p->nrows; i++) {
		row = &p->rows[i]->pub;
		if (strcmp(row->def->name, name) == 0 &&
		    strcmp(row->section, section) == 0)
			return (p->rows[i]);
	}
	return (NULL);
}

static struct row *
find_variable(const struct settings_private *p, const char *variable)
{
	char	env[SETTINGS_ENV_MAX];
	int	i;

	for (i = 0; i < p->nrows; i++) {
		setting_env_name(&p->rows[i]->pub, env);
		if (strcmp(env, variable) == 0)
			return (p->rows[i]);
	}
	return (NULL);
}

static bool
has_section(const struct settings_private *p, const char *section)
{
	int	i;

	for (i = 0; i < p->nrows; i++) {
		if (strcmp(p->rows[i]->pub.section, section) == 0)
			return (true);
	}
	return (false);
}

static struct row *
add_row(struct settings_private *p, const char *section,
    const struct ufop_setting_def *def, const struct settings_row *built_in)
{
	struct row	*row = arena_alloc(&p->arena, 1, sizeof(*row));

	if (p->nrows == p->cap) {
		p->cap = p->cap == 0 ? 64 : p->cap * 2;
		p->rows = xrealloc(p->rows,
		    (size_t)p->cap * sizeof(p->rows[0]));
	}
	row->pub.section = section;
	row->pub.def = def;
	row->pub.value = def->fallback == NULL ? "" : def->fallback;
	row->pub.origin = "default";
	row->built_in = built_in;
	row->index = p->nrows;
	p->rows[p->nrows++] = row;
	return (row);
}

static int
set_row(struct settings_private *p, struct row *row, const char *value,
    const char *origin, struct ufop_err *err)
{
	int64_t	num;

	if (!accepts(row->pub.def,
	    row->built_in == NULL ? NULL : row->built_in->check, value, &num))
		return (bad_value(row, value, origin, err));
	row->pub.value = arena_str(&p->arena, str_from(value));
	row->pub.origin = arena_str(&p->arena, str_from(origin));
	row->pub.num = num;
	row->pub.is_set = true;
	return (0);
}

static void
keep(struct settings_private *p, const char *section, const char *name,
    const char *value, const char *origin)
{
	struct pending	*u = arena_alloc(&p->arena, 1, sizeof(*u));

	if (section != NULL)
		u->section = arena_str(&p->arena, str_from(section));
	u->name = arena_str(&p->arena, str_from(name));
	u->value = arena_str(&p->arena, str_from(value));
	u->origin = arena_str(&p->arena, str_from(origin));
	*p->pending_end = u;
	p->pending_end = &u->next;
}

/* One assignment of any layer but the environment. */
static int
assign(struct settings_private *p, const char *section, const char *name,
    const char *value, const char *origin, struct ufop_err *err)
{
	struct row	*row;

	if ((row = find(p, section, name)) != NULL)
		return (set_row(p, row, value, origin, err));
	if (has_section(p, section))
		return (unknown_name(p, section, name, origin, err));
	keep(p, section, name, value, origin);
	return (0);
}

void
settings_init(struct settings *s)
{
	struct settings_private		*p = xcalloc(1, sizeof(*p));
	const struct settings_row	*built_in;
	struct row			*row;

	s->priv = p;
	arena_init(&p->arena);
	p->pending_end = &p->pending;
	for (built_in = settings_table; built_in->section != NULL; built_in++) {
		row = add_row(p, built_in->section, &built_in->def, built_in);
		if (!accepts(&built_in->def, built_in->check, row->pub.value,
		    &row->pub.num)) {
			fprintf(stderr, "default of %s.%s is not accepted\n",
			    built_in->section, built_in->def.name);
			abort();
		}
	}
}

void
settings_release(struct settings *s)
{
	if (s->priv == NULL)
		return;
	arena_release(&s->priv->arena);
	free(s->priv->rows);
	free(s->priv);
	s->priv = NULL;
}

/* ---- ini files -------------------------------------------------------- */

/* One assignment that stood in the file. */
struct seen {
	struct seen	*next;
	const char	*section, *name;
	int		 line;
};

struct ini {
	struct settings_private	*p;
	const char		*path;
	const char		*only;	/* a service's settings.ini: its section */
	struct ufop_err		*err;
	FILE			*f;
	char			*text;	/* the line as read, of text_size bytes */
	size_t			 text_size;
	int			 line;	/* its number, from 1 */
	int			 eof_errno;	/* why reading ended, 0: at the end */
	bool			 failed;	/* err is set, the rest is skipped */

	/*
	 * The assignment that indented lines may still go on; applied when
	 * the next one begins.
	 */
	bool			 open;
	char			*section, *name;
	int			 first_line;
	struct buf		 value;
	struct seen		*seen;
};

/* Gives libinih its lines, and counts them, as it tells nobody where it is. */
static char *
ini_read_line(char *out, int size, void *arg)
{
	struct ini	*ini = arg;
	ssize_t		 n;

	if (ini->failed)
		return (NULL);
	errno = 0;
	if ((n = getline(&ini->text, &ini->text_size, ini->f)) == -1) {
		ini->eof_errno = feof(ini->f) ? 0 : errno;
		return (NULL);
	}
	ini->line++;
	if (memchr(ini->text, '\0', (size_t)n) != NULL) {
		ini->failed = true;
		err_set(ini->err, UFOP_CONFIG, "%s:%d: there is a NUL byte; "
		    "save the file as plain text", ini->path, ini->line);
		return (NULL);
	}
	if (n > SETTINGS_LINE_MAX || n >= size) {
		ini->failed = true;
		err_set(ini->err, UFOP_CONFIG, "%s:%d: the line is longer than "
		    "%d bytes; a value goes on in indented lines", ini->path,
		    ini->line, SETTINGS_LINE_MAX);
		return (NULL);
	}
	memcpy(out, ini->text, (size_t)n + 1);
	return (out);
}

/* Apply the assignment that is open.  0, or -1 with ini->failed. */
static int
ini_close(struct ini *ini)
{
	const char	*section = ini->section;
	char		*origin;
	int		 r = 0;

	if (!ini->open)
		return (ini->failed ? -1 : 0);
	ini->open = false;
	/* In a service's own file its section need not be named. */
	if (ini->only != NULL && section[0] == '\0')
		section = ini->only;
	if (ini->only == NULL || strcmp(section, ini->only) == 0) {
		origin = xasprintf("%s:%d", ini->path, ini->first_line);
		r = assign(ini->p, section, ini->name,
		    ini->value.len == 0 ? "" : ini->value.p, origin, ini->err);
		free(origin);
	}
	if (r == -1)
		ini->failed = true;
	return (r);
}

/* Whether an indented line looks like an assignment by its own. */
static bool
ini_looks_like_another(const struct ini *ini, const char *text)
{
	char	name[NAME_MAX_LEN + 1];
	size_t	len = strcspn(text, "= \t");

	if (text[len + strspn(text + len, " \t")] != '=' ||
	    len > NAME_MAX_LEN)
		return (false);
	memcpy(name, text, len);
	name[len] = '\0';
	return (find(ini->p, ini->section, name) != NULL);
}

static int
ini_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct ini	*ini = arg;
	struct seen	*seen;

	if (ini->failed)
		return (0);
	/* libinih hands a continued line over under the same name again. */
	if (ini->open && (ini->text[0] == ' ' || ini->text[0] == '\t') &&
	    strcmp(name, ini->name) == 0 && strcmp(section, ini->section) == 0) {
		if (ini_looks_like_another(ini, value)) {
			ini->failed = true;
			err_set(ini->err, UFOP_CONFIG, "%s:%d: an indented "
			    "line goes on with the value of '%s' above; "
			    "remove the blanks before '%.64s'", ini->path,
			    ini->line, ini->name, value);
			return (0);
		}
		if (ini->value.len > 0)
			buf_cstr(&ini->value, " ");
		buf_cstr(&ini->value, value);
		return (1);
	}
	if (ini_close(ini) == -1)
		return (0);
	for (seen = ini->seen; seen != NULL; seen = seen->next) {
		if (strcmp(seen->name, name) == 0 &&
		    strcmp(seen->section, section) == 0) {
			ini->failed = true;
			err_set(ini->err, UFOP_CONFIG, "%s:%d: '%.64s' is already "
			    "set in line %d; remove one of the two", ini->path,
			    ini->line, name, seen->line);
			return (0);
		}
	}
	ini->open = true;
	ini->section = arena_str(&ini->p->arena, str_from(section));
	ini->name = arena_str(&ini->p->arena, str_from(name));
	ini->first_line = ini->line;
	buf_clear(&ini->value);
	buf_cstr(&ini->value, value);

	seen = arena_alloc(&ini->p->arena, 1, sizeof(*seen));
	*seen = (struct seen){ ini->seen, ini->section, ini->name, ini->line };
	ini->seen = seen;
	return (1);
}

/* Read a file that is there or, unless it must be, is not. */
static int
read_ini(struct settings_private *p, const char *path, bool must,
    const char *only, struct ufop_err *err)
{
	struct ini	ini = { .p = p, .path = path, .only = only, .err = err };
	int		bad_line;

	if ((ini.f = fopen(path, "re")) == NULL) {
		if (!must && (errno == ENOENT || errno == ENOTDIR))
			return (0);
		return (err_set(err, UFOP_CONFIG, "cannot read settings from "
		    "'%s': %s", path, strerror(errno)));
	}
	buf_init(&ini.value, SIZE_MAX / 2);
	/*
	 * Debian's libinih has these as variables, and 200 bytes on the stack
	 * for a line unless told otherwise.  Room for \r, \n and NUL.
	 */
	ini_use_stack = false;
	ini_allow_realloc = false;
	ini_max_line = SETTINGS_LINE_MAX + 3;
	ini_initial_alloc = SETTINGS_LINE_MAX + 3;
	ini_allow_multiline = true;
	ini_allow_no_value = false;
	ini_stop_on_first_error = true;
	bad_line = ini_parse_stream(ini_read_line, &ini, ini_pair, &ini);

	if (!ini.failed && bad_line == 0 && ini.eof_errno == 0)
		ini_close(&ini);
	if (!ini.failed && ini.eof_errno != 0) {
		ini.failed = true;
		err_set(err, UFOP_CONFIG, "cannot read settings from '%s': %s",
		    path, strerror(ini.eof_errno));
	} else if (!ini.failed && bad_line != 0) {
		ini.failed = true;
		err_set(err, UFOP_CONFIG, "%s:%d: neither [section] nor "
		    "name = value; begin a comment with ; or #", path,
		    ini.line);
	}
	buf_release(&ini.value);
	free(ini.text);
	fclose(ini.f);
	return (ini.failed ? -1 : 0);
}

/* ---- the environment and .env ----------------------------------------- */

static bool
concerns_us(struct str name)
{
	return (str_prefix(name, STR("UFOP_")) ||
	    str_eq_c(name, "CPU_COUNT") || str_eq_c(name, "FLAVOR") ||
	    str_eq_c(name, "PORT_HTTP"));
}

/*
 * What Kubernetes puts into every container when a Service is called "ufop":
 * UFOP_SERVICE_HOST, UFOP_PORT=tcp://..., UFOP_PORT_9100_TCP and so on.
 */
static bool
is_kubernetes(const char *name, const char *value)
{
	return (strcmp(name, "UFOP_SERVICE_HOST") == 0 ||
	    strncmp(name, "UFOP_SERVICE_PORT", 17) == 0 ||
	    (strcmp(name, "UFOP_PORT") == 0 && strstr(value, "://") != NULL) ||
	    (strncmp(name, "UFOP_PORT_", 10) == 0 && name[10] >= '0' &&
	    name[10] <= '9'));
}

static void
add_var(struct settings_private *p, struct var **list, struct str name,
    struct str value, const char *origin)
{
	struct var	*v = arena_alloc(&p->arena, 1, sizeof(*v));

	v->name = arena_str(&p->arena, name);
	v->value = arena_str(&p->arena, value);
	v->origin = origin == NULL ? v->name :
	    arena_str(&p->arena, str_from(origin));
	/* At the end: of two assignments the later one wins. */
	while (*list != NULL)
		list = &(*list)->next;
	*list = v;
}

/* NULL also when it is empty: launchers pass on what they do not know so. */
static const struct var *
last_var(const struct var *list, const char *name)
{
	const struct var	*found = NULL;

	for (; list != NULL; list = list->next) {
		if (strcmp(list->name, name) == 0)
			found = list->value[0] == '\0' ? NULL : list;
	}
	return (found);
}

/* "UFOP_X" or "/srv/.env:3: UFOP_X", for an error. */
static const char *
var_where(struct settings_private *p, const struct var *v)
{
	if (v->origin == v->name)
		return (v->name);
	return (arena_printf(&p->arena, "%s: %s", v->origin, v->name));
}

/* The platform's own variables. */
static int
apply_platform(struct settings_private *p, const struct var *vars,
    struct ufop_err *err)
{
	const struct var	*v;
	struct row		*listen;
	struct str		 rest, cores;
	const char		*value;
	int64_t			 n, gb;

	if ((v = last_var(vars, "PORT_HTTP")) != NULL) {
		if (str_int(str_from(v->value), 1, 65535, &n) == -1)
			return (err_set(err, UFOP_CONFIG, "%s = '%.40s': must "
			    "be a port from 1 to 65535", var_where(p, v),
			    v->value));
		listen = find(p, "front", "listen");
		value = arena_printf(&p->arena, "%.*s:%d",
		    (int)(strrchr(listen->pub.value, ':') - listen->pub.value),
		    listen->pub.value, (int)n);
		if (set_row(p, listen, value, v->origin, err) == -1)
			return (-1);
	}
	if ((v = last_var(vars, "CPU_COUNT")) != NULL) {
		if (str_int(str_from(v->value), 1, CPUS_MAX, &n) == -1)
			return (err_set(err, UFOP_CONFIG, "%s = '%.40s': must "
			    "be a whole number from 1 to %d", var_where(p, v),
			    v->value, CPUS_MAX));
		p->cpu_count = (int)n;
	} else if ((v = last_var(vars, "FLAVOR")) != NULL) {
		rest = str_from(v->value);
		if (rest.len == 0 || rest.s[0] != 'C')
			goto bad_flavor;
		rest = str_slice(rest, 1, rest.len);
		cores = str_cut(&rest, 'M');
		if (str_int(cores, 1, CPUS_MAX, &n) == -1 ||
		    str_int(rest, 1, INT32_MAX, &gb) == -1)
			goto bad_flavor;
		p->cpu_count = (int)n;
	}
	return (0);

bad_flavor:
	return (err_set(err, UFOP_CONFIG, "%s = '%.40s': must look like C2M4 "
	    "(2 cores, 4 GB); correct it or set CPU_COUNT", var_where(p, v),
	    v->value));
}

static int
apply_vars(struct settings_private *p, const struct var *vars,
    struct ufop_err *err)
{
	const struct var	*v;
	struct row		*row;

	/* First: UFOP_FRONT_LISTEN says more than PORT_HTTP. */
	if (apply_platform(p, vars, err) == -1)
		return (-1);
	for (v = vars; v != NULL; v = v->next) {
		if (strncmp(v->name, "UFOP_", 5) != 0 ||
		    is_kubernetes(v->name, v->value))
			continue;
		if ((row = find_variable(p, v->name)) == NULL)
			keep(p, NULL, v->name, v->value, v->origin);
		else if (set_row(p, row, v->value, v->origin, err) == -1)
			return (-1);
	}
	return (0);
}

static int
read_environment(struct settings_private *p, struct ufop_err *err)
{
	struct var	*vars = NULL;
	struct str	 name, rest;
	char		**e;

	for (e = environ; e != NULL && *e != NULL; e++) {
		rest = str_from(*e);
		name = str_cut(&rest, '=');
		if (rest.s != NULL && concerns_us(name))
			add_var(p, &vars, name, rest, NULL);
	}
	return (apply_vars(p, vars, err));
}

/*
 * The value behind NAME= in .env: in quotes as it is, else up to a comment.
 * -1 when a quote is not closed or something follows it.
 */
static int
unquote(struct str *value)
{
	struct str	v = str_trim(*value), tail;
	char		quote;
	size_t		i;
	int		end;

	if (v.len > 0 && (v.s[0] == '"' || v.s[0] == '\'')) {
		quote = v.s[0];
		v = str_slice(v, 1, v.len);
		if ((end = str_find(v, quote)) == -1)
			return (-1);
		tail = str_trim(str_slice(v, (size_t)end + 1, v.len));
		if (tail.len > 0 && tail.s[0] != '#')
			return (-1);
		*value = str_slice(v, 0, (size_t)end);
		return (0);
	}
	for (i = 0; i < v.len; i++) {
		if (v.s[i] == '#' &&
		    (i == 0 || v.s[i - 1] == ' ' || v.s[i - 1] == '\t'))
			break;
	}
	*value = str_trim(str_slice(v, 0, i));
	return (0);
}

static int
read_dotenv(struct settings_private *p, const char *path, struct ufop_err *err)
{
	struct var	*vars = NULL;
	struct str	 name, rest;
	char		*line = NULL, origin[4200];
	size_t		 size = 0;
	ssize_t		 len;
	FILE		*f;
	int		 n = 0, r = 0;

	if ((f = fopen(path, "re")) == NULL) {
		if (errno == ENOENT || errno == ENOTDIR)
			return (0);
		return (err_set(err, UFOP_CONFIG, "cannot read settings from "
		    "'%s': %s", path, strerror(errno)));
	}
	while (r == 0 && (len = getline(&line, &size, f)) > 0) {
		n++;
		while (len > 0 && (line[len - 1] == '\n' ||
		    line[len - 1] == '\r'))
			len--;
		rest = str_trim((struct str){ line, (size_t)len });
		if (str_prefix(rest, STR("export ")))
			rest = str_trim(str_slice(rest, 7, rest.len));
		name = str_trim(str_cut(&rest, '='));
		/* The file is other programs' too: theirs is not judged. */
		if (rest.s == NULL || !concerns_us(name))
			continue;
		snprintf(origin, sizeof(origin), "%s:%d", path, n);
		if (unquote(&rest) == -1)
			r = err_set(err, UFOP_CONFIG, "%s: the quotes around "
			    "the value of %.*s do not match", origin,
			    STR_ARG(name));
		else
			add_var(p, &vars, name, rest, origin);
	}
	if (r == 0 && ferror(f))
		r = err_set(err, UFOP_CONFIG, "cannot read settings from "
		    "'%s': %s", path, strerror(errno));
	free(line);
	fclose(f);
	return (r == 0 ? apply_vars(p, vars, err) : -1);
}

/* ---- loading ---------------------------------------------------------- */

static int
read_flag(struct settings_private *p, const char *flag, struct ufop_err *err)
{
	struct str	rest = str_from(flag), section, name;

	name = str_cut(&rest, '=');
	section = str_cut(&name, '.');
	if (rest.s == NULL || name.s == NULL || section.len == 0)
		return (err_set(err, UFOP_CONFIG, "command line: '%.100s' sets "
		    "nothing; write SECTION.NAME=VALUE, such as "
		    "queue.lease=15s", flag));
	return (assign(p, arena_str(&p->arena, str_trim(section)),
	    arena_str(&p->arena, str_trim(name)),
	    arena_str(&p->arena, str_trim(rest)), "command line", err));
}

static const char *
in_dir(struct settings_private *p, const char *dir, const char *file)
{
	if (strcmp(dir, ".") == 0)
		return (arena_str(&p->arena, str_from(file)));
	return (arena_printf(&p->arena, "%s/%s", dir, file));
}

int
settings_load(struct settings *s, const struct settings_sources *src,
    struct ufop_err *err)
{
	struct settings_private	*p = s->priv;
	struct stat		 st;
	const char *const	*flag;

	assert(!p->loaded);
	p->loaded = true;
	if (src->dir != NULL &&
	    (stat(src->dir, &st) == -1 || !S_ISDIR(st.st_mode)))
		return (err_set(err, UFOP_CONFIG, "'%s' is no directory to "
		    "read settings from", src->dir));
	if (src->config != NULL) {
		if (read_ini(p, src->config, true, NULL, err) == -1)
			return (-1);
	} else if (src->dir != NULL) {
		if (read_ini(p, in_dir(p, src->dir, "ufop.ini"), false, NULL,
		    err) == -1 ||
		    read_ini(p, in_dir(p, src->dir, "local.ini"), false, NULL,
		    err) == -1)
			return (-1);
	}
	if (src->dir != NULL &&
	    read_dotenv(p, in_dir(p, src->dir, ".env"), err) == -1)
		return (-1);
	if (read_environment(p, err) == -1)
		return (-1);
	for (flag = src->flags; flag != NULL && *flag != NULL; flag++) {
		if (read_flag(p, *flag, err) == -1)
			return (-1);
	}
	return (0);
}

int
settings_set(struct settings *s, const char *section, const char *name,
    const char *value, const char *origin, struct ufop_err *err)
{
	return (assign(s->priv, section, name, value, origin, err));
}

static bool
is_word(const char *name)
{
	size_t	len = strlen(name);

	return (len > 0 && len <= NAME_MAX_LEN &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len);
}

static int
add_service_row(struct settings_private *p, const char *service,
    const struct ufop_setting_def *def, struct ufop_err *err)
{
	struct row		*row;
	const struct row	*other;
	char			 env[SETTINGS_ENV_MAX];
	struct buf		 what;

	if (!is_word(def->name))
		return (err_set(err, UFOP_CONFIG, "service '%s': '%.60s' cannot "
		    "be the name of a setting; use 1 to %d characters of a-z, "
		    "0-9, _ and -", service, def->name, NAME_MAX_LEN));
	row = add_row(p, service, def, NULL);
	setting_env_name(&row->pub, env);
	if ((other = find_variable(p, env)) != row)
		return (err_set(err, UFOP_CONFIG, "service '%s': setting '%s' "
		    "has the same variable %s as %s.%s; rename it", service,
		    def->name, env, other->pub.section, other->pub.def->name));
	if (accepts(def, NULL, row->pub.value, &row->pub.num))
		return (0);
	buf_init(&what, UFOP_ERR_MSG_MAX);
	describe(def, NULL, &what);
	err_set(err, UFOP_CONFIG, "service '%s': the fallback '%.60s' of "
	    "setting '%s' must be %s", service, row->pub.value, def->name,
	    what.p);
	buf_release(&what);
	return (-1);
}

/* Give the rows of a section what was kept for them. */
static int
claim(struct settings_private *p, const char *section, struct ufop_err *err)
{
	struct pending	**at = &p->pending, *u;
	struct row	 *row;

	while ((u = *at) != NULL) {
		if (u->section == NULL) {
			row = find_variable(p, u->name);
		} else if (strcmp(u->section, section) == 0) {
			if ((row = find(p, section, u->name)) == NULL)
				return (unknown_name(p, section, u->name,
				    u->origin, err));
		} else {
			row = NULL;
		}
		if (row == NULL) {
			at = &u->next;
			continue;
		}
		if (set_row(p, row, u->value, u->origin, err) == -1)
			return (-1);
		*at = u->next;
	}
	p->pending_end = at;
	return (0);
}

int
settings_add_service(struct settings *s, const struct ufop_service *service,
    const char *so_path, struct ufop_err *err)
{
	struct settings_private		*p = s->priv;
	const struct ufop_setting_def	*def;
	const char			*slash, *path;

	if (!is_word(service->name))
		return (err_set(err, UFOP_CONFIG, "'%.60s' cannot be the name "
		    "of a service; use 1 to %d characters of a-z, 0-9, _ "
		    "and -", service->name, NAME_MAX_LEN));
	if (has_section(p, service->name))
		return (err_set(err, UFOP_CONFIG, "service '%s': there is a "
		    "section of this name already; rename the service",
		    service->name));
	if (service->settings == NULL)
		return (0);
	for (def = service->settings; def->name != NULL; def++) {
		if (add_service_row(p, service->name, def, err) == -1)
			return (-1);
	}
	if (so_path != NULL) {
		slash = strrchr(so_path, '/');
		path = slash == NULL ? "settings.ini" :
		    arena_printf(&p->arena, "%.*s/settings.ini",
		    (int)(slash - so_path), so_path);
		if (read_ini(p, path, false, service->name, err) == -1)
			return (-1);
	}
	return (claim(p, service->name, err));
}

int
settings_finish(struct settings *s, struct ufop_err *err)
{
	const struct pending	*u = s->priv->pending;

	if (u != NULL)
		return (u->section == NULL ? unknown_variable(s, u, err) :
		    unknown_section(s, u, err));
	if (settings_size(s, "spool", "quota") <
	    settings_size(s, "ufop", "max_body"))
		return (settings_bad(s, "spool", "quota", err,
		    "must be at least ufop.max_body (%s)",
		    settings_str(s, "ufop", "max_body")));
	return (0);
}

/* ---- reading ---------------------------------------------------------- */

static const struct row *
need(const struct settings *s, const char *section, const char *name)
{
	const struct row	*row = find(s->priv, section, name);

	if (row == NULL) {
		fprintf(stderr, "no row for setting %s.%s\n", section, name);
		abort();
	}
	return (row);
}

static int64_t
need_num(const struct settings *s, const char *section, const char *name,
    enum ufop_setting_type type)
{
	const struct row	*row = need(s, section, name);

	if (row->pub.def->type != type) {
		fprintf(stderr, "setting %s.%s is of another type\n", section,
		    name);
		abort();
	}
	return (row->pub.num);
}

const char *
settings_str(const struct settings *s, const char *section, const char *name)
{
	return (need(s, section, name)->pub.value);
}

int64_t
settings_int(const struct settings *s, const char *section, const char *name)
{
	return (need_num(s, section, name, UFOP_SETTING_INT));
}

bool
settings_bool(const struct settings *s, const char *section, const char *name)
{
	return (need_num(s, section, name, UFOP_SETTING_BOOL) != 0);
}

int64_t
settings_size(const struct settings *s, const char *section, const char *name)
{
	return (need_num(s, section, name, UFOP_SETTING_SIZE));
}

int64_t
settings_time_ms(const struct settings *s, const char *section,
    const char *name)
{
	return (need_num(s, section, name, UFOP_SETTING_TIME));
}

const struct setting *
settings_find(const struct settings *s, const char *section, const char *name)
{
	const struct row	*row = find(s->priv, section, name);

	return (row == NULL ? NULL : &row->pub);
}

const struct setting *
settings_each(const struct settings *s, const struct setting *prev)
{
	int	i = prev == NULL ? 0 : ((const struct row *)prev)->index + 1;

	return (i == s->priv->nrows ? NULL : &s->priv->rows[i]->pub);
}

static bool
is_between_words(char c)
{
	return (c == ' ' || c == '\t' || c == ',' || c == '\n' || c == '\r');
}

bool
settings_word(struct str *rest, struct str *word)
{
	size_t	from = 0, to;

	while (from < rest->len && is_between_words(rest->s[from]))
		from++;
	for (to = from; to < rest->len && !is_between_words(rest->s[to]); )
		to++;
	*word = str_slice(*rest, from, to);
	*rest = str_slice(*rest, to, rest->len);
	return (word->len > 0);
}

int
settings_bad(const struct settings *s, const char *section, const char *name,
    struct ufop_err *err, const char *fmt, ...)
{
	const struct row	*row = need(s, section, name);
	char			 why[UFOP_ERR_MSG_MAX];
	va_list			 ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return (blame(row, row->pub.value, row->pub.origin, err, why));
}

void
settings_listen(const struct settings *s, char host[256], int *port)
{
	int	r;

	r = settings_parse_listen(settings_str(s, "front", "listen"), host,
	    port);
	assert(r == 0);
	(void)r;
}

int
settings_pools(const struct settings *s,
    struct settings_pool pools[SETTINGS_POOLS_MAX])
{
	struct str	rest = str_from(settings_str(s, "worker", "pools"));
	struct str	word, name;
	int		n = 0;

	while (n < SETTINGS_POOLS_MAX && settings_word(&rest, &word)) {
		if (settings_parse_pool(word, &name, &pools[n].children) == -1)
			abort();	/* checked when it was set */
		memcpy(pools[n].name, name.s, name.len);
		pools[n].name[name.len] = '\0';
		if (pools[n].children == 0)
			pools[n].children = settings_cpu_count(s);
		n++;
	}
	return (n);
}

int
settings_cpu_count(const struct settings *s)
{
	return (s->priv->cpu_count > 0 ? s->priv->cpu_count : cpus_count());
}

void
setting_env_name(const struct setting *setting, char out[SETTINGS_ENV_MAX])
{
	const char	*section = setting->section;
	char		*c;

	snprintf(out, SETTINGS_ENV_MAX, "UFOP_%s%s%s",
	    strcmp(section, "ufop") == 0 ? "" : section,
	    strcmp(section, "ufop") == 0 ? "" : "_", setting->def->name);
	for (c = out; *c != '\0'; c++) {
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
		else if (*c == '-')
			*c = '_';
	}
}

void
settings_export_env(const struct settings *s)
{
	const struct setting	*row;
	char			 env[SETTINGS_ENV_MAX];
	char			 count[16];
	int			 r;

	for (row = NULL; (row = settings_each(s, row)) != NULL; ) {
		setting_env_name(row, env);
		r = row->is_set ? setenv(env, row->value, 1) : unsetenv(env);
		if (r == -1) {
			perror(env);
			abort();	/* out of memory: the names are ours */
		}
	}
	/* .env may have said it, and a child program does not read that. */
	if (s->priv->cpu_count > 0) {
		snprintf(count, sizeof(count), "%d", s->priv->cpu_count);
		if (setenv("CPU_COUNT", count, 1) == -1) {
			perror("CPU_COUNT");
			abort();
		}
	}
}
