/* SPDX-License-Identifier: MIT */
/* The layers that settings come from, one after the other. */
#include <sys/stat.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ini.h>

#include "cpus.h"
#include "settings_private.h"

/* Children by CPU_COUNT or FLAVOR; as many as worker.pools takes. */
#define CPUS_MAX	1024
#define DEFAULTS_VAR	"UFOP_DEFAULTS"

/* A variable of the environment or of .env. */
struct var {
	struct var	*next;
	const char	*name, *value, *origin;
};

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
		r = settings_assign(ini->p, section, ini->name,
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
	return (settings_row(ini->p, ini->section, name) != NULL);
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
int
settings_read_ini(struct settings_private *p, const char *path, bool must,
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
		listen = settings_row(p, "front", "listen");
		value = arena_printf(&p->arena, "%.*s:%d",
		    (int)(strrchr(listen->pub.value, ':') - listen->pub.value),
		    listen->pub.value, (int)n);
		if (settings_set_row(p, listen, value, v->origin, err) == -1)
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
		if ((row = settings_row_of_variable(p, v->name)) == NULL)
			settings_keep(p, NULL, v->name, v->value, v->origin);
		else if (settings_set_row(p, row, v->value, v->origin,
		    err) == -1)
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
		/* That one is no setting but tells where some are. */
		if (rest.s != NULL && concerns_us(name) &&
		    !str_eq_c(name, DEFAULTS_VAR))
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
	return (settings_assign(p, arena_str(&p->arena, str_trim(section)),
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
	const char		*defaults = getenv(DEFAULTS_VAR);
	const char *const	*flag;

	assert(!p->loaded);
	p->loaded = true;
	if (src->dir != NULL &&
	    (stat(src->dir, &st) == -1 || !S_ISDIR(st.st_mode)))
		return (err_set(err, UFOP_CONFIG, "'%s' is no directory to "
		    "read settings from", src->dir));
	if (defaults != NULL &&
	    settings_read_ini(p, defaults, false, NULL, err) == -1)
		return (-1);
	if (src->config != NULL) {
		if (settings_read_ini(p, src->config, true, NULL, err) == -1)
			return (-1);
	} else if (src->dir != NULL) {
		if (settings_read_ini(p, in_dir(p, src->dir, "ufop.ini"),
		    false, NULL, err) == -1 ||
		    settings_read_ini(p, in_dir(p, src->dir, "local.ini"),
		    false, NULL, err) == -1)
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
