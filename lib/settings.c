/* SPDX-License-Identifier: MIT */
/* Rows: made, assigned, claimed by services, read; see settings_private.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpus.h"
#include "settings_private.h"

/* ---- rows ------------------------------------------------------------- */

struct row *
settings_row(const struct settings_private *p, const char *section,
    const char *name)
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

struct row *
settings_row_of_variable(const struct settings_private *p, const char *variable)
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

int
settings_set_row(struct settings_private *p, struct row *row, const char *value,
    const char *origin, struct ufop_err *err)
{
	int64_t	num;

	if (!setting_accepts(row->pub.def,
	    row->built_in == NULL ? NULL : row->built_in->check, value, &num))
		return (setting_bad_value(row, value, origin, err));
	row->pub.value = arena_str(&p->arena, str_from(value));
	row->pub.origin = arena_str(&p->arena, str_from(origin));
	row->pub.num = num;
	row->pub.is_set = true;
	return (0);
}

void
settings_keep(struct settings_private *p, const char *section, const char *name,
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
int
settings_assign(struct settings_private *p, const char *section,
    const char *name, const char *value, const char *origin, struct ufop_err *err)
{
	struct row	*row;

	if ((row = settings_row(p, section, name)) != NULL)
		return (settings_set_row(p, row, value, origin, err));
	if (has_section(p, section))
		return (settings_unknown_name(p, section, name, origin, err));
	settings_keep(p, section, name, value, origin);
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
		if (!setting_accepts(&built_in->def, built_in->check,
		    row->pub.value, &row->pub.num)) {
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

/* ---- services ---------------------------------------------------------- */

int
settings_set(struct settings *s, const char *section, const char *name,
    const char *value, const char *origin, struct ufop_err *err)
{
	return (settings_assign(s->priv, section, name, value, origin, err));
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
	if ((other = settings_row_of_variable(p, env)) != row)
		return (err_set(err, UFOP_CONFIG, "service '%s': setting '%s' "
		    "has the same variable %s as %s.%s; rename it", service,
		    def->name, env, other->pub.section, other->pub.def->name));
	if (setting_accepts(def, NULL, row->pub.value, &row->pub.num))
		return (0);
	buf_init(&what, UFOP_ERR_MSG_MAX);
	setting_describe(def, &what);
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
			row = settings_row_of_variable(p, u->name);
		} else if (strcmp(u->section, section) == 0) {
			if ((row = settings_row(p, section, u->name)) == NULL)
				return (settings_unknown_name(p, section,
				    u->name, u->origin, err));
		} else {
			row = NULL;
		}
		if (row == NULL) {
			at = &u->next;
			continue;
		}
		if (settings_set_row(p, row, u->value, u->origin, err) == -1)
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
		if (settings_read_ini(p, path, false, service->name, err) == -1)
			return (-1);
	}
	return (claim(p, service->name, err));
}

int
settings_finish(struct settings *s, struct ufop_err *err)
{
	const struct pending	*u = s->priv->pending;

	if (u != NULL)
		return (u->section == NULL ?
		    settings_unknown_variable(s, u, err) :
		    settings_unknown_section(s, u, err));
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
	const struct row	*row = settings_row(s->priv, section, name);

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
	const struct row	*row = settings_row(s->priv, section, name);

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
	return (setting_blame(row, row->pub.value, row->pub.origin, err, why));
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
