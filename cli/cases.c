/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "file.h"

#define FILE_MAX	(16 << 20)	/* bytes of a file of cases */
#define BODY_MAX	(256 << 20)	/* bytes of a file to compare with */
#define DIFF_LINES	8		/* of each side that are shown */
#define DIFF_BYTES	16
#define JSON_SHOWN	200		/* characters of a value */

void
cases_init(struct cases *cases)
{
	memset(cases, 0, sizeof(*cases));
	arena_init(&cases->arena);
}

void
cases_release(struct cases *cases)
{
	int	i;

	for (i = 0; i < cases->n; i++)
		json_decref(cases->all[i]->json);
	arena_release(&cases->arena);
}

/* ---- reading --------------------------------------------------------- */

/* Where the reader stands. */
struct reader {
	struct cases		*cases;
	struct arena		*arena;
	const char		*path;
	int			 line;		/* of the name or value at hand */
	struct ufop_case	*c;		/* NULL before the first */
	unsigned		 seen;		/* keys of c, by their row */
};

static int
bad(const struct reader *r, struct ufop_err *err, const char *fmt, ...)
    UFOP_PRINTF(3, 4);

static int
bad(const struct reader *r, struct ufop_err *err, const char *fmt, ...)
{
	char	msg[UFOP_ERR_MSG_MAX];
	va_list	ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	return (err_set(err, UFOP_CONFIG, "%s:%d: %s", r->path, r->line, msg));
}

static int
hex(char c)
{
	const char	*digits = "0123456789abcdef", *at;

	at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ?
	    c - 'A' + 'a' : c);
	return (at == NULL ? -1 : (int)(at - digits));
}

/* \n, \t, \r, \0, \\ and \xHH; -1 for any other. */
static int
unescape(struct reader *r, struct str s, struct str *out)
{
	char	*p = arena_alloc(r->arena, s.len + 1, 1);
	size_t	 i, n = 0;

	for (i = 0; i < s.len; i++) {
		if (s.s[i] != '\\') {
			p[n++] = s.s[i];
			continue;
		}
		if (++i == s.len)
			return (-1);
		switch (s.s[i]) {
		case 'n':
			p[n++] = '\n';
			break;
		case 't':
			p[n++] = '\t';
			break;
		case 'r':
			p[n++] = '\r';
			break;
		case '0':
			p[n++] = '\0';
			break;
		case '\\':
			p[n++] = '\\';
			break;
		case 'x':
			if (i + 2 >= s.len || hex(s.s[i + 1]) == -1 ||
			    hex(s.s[i + 2]) == -1)
				return (-1);
			p[n++] = (char)(hex(s.s[i + 1]) << 4 |
			    hex(s.s[i + 2]));
			i += 2;
			break;
		default:
			return (-1);
		}
	}
	*out = (struct str){ p, n };
	return (0);
}

/* A path as it is meant from the file's own directory. */
static const char *
beside(struct reader *r, struct str name)
{
	const char	*slash = strrchr(r->path, '/');

	if (name.len > 0 && name.s[0] == '/')
		return (arena_str(r->arena, name));
	return (arena_printf(r->arena, "%.*s%.*s", slash == NULL ? 0 :
	    (int)(slash - r->path) + 1, r->path, STR_ARG(name)));
}

/* "8", "1..100" or "1..". */
static int
size_range(struct str s, int64_t *min, int64_t *max)
{
	size_t	i;

	for (i = 0; i + 1 < s.len; i++) {
		if (s.s[i] == '.' && s.s[i + 1] == '.')
			break;
	}
	if (i + 1 >= s.len) {
		if (str_int(s, 0, INT64_MAX, min) == -1)
			return (-1);
		*max = *min;
		return (0);
	}
	*min = 0;
	*max = INT64_MAX;
	if (i > 0 && str_int(str_slice(s, 0, i), 0, INT64_MAX, min) == -1)
		return (-1);
	s = str_slice(s, i + 2, s.len);
	return (s.len == 0 ? 0 : str_int(s, 0, INT64_MAX, max));
}

enum key {
	CMD, TEXT, SOURCE, URL, CONTENT_TYPE, ACCEPT,
	STATUS, TYPE, SIZE, BODY, BODY_FILE, JSON, ERROR, KEYS
};

static const char *const	keys[KEYS] = {
	"cmd", "text", "file", "url", "content-type", "accept",
	"status", "type", "size", "body", "body-file", "json", "error",
};

static int
assign(struct reader *r, enum key key, struct str value, struct ufop_err *err)
{
	struct ufop_case	*c = r->c;
	json_error_t		 why;

	switch (key) {
	case CMD:
		c->cmd = value.len == 0 ? "" : arena_printf(r->arena, "%s%.*s",
		    value.s[0] == '/' ? "" : "/", STR_ARG(value));
		return (0);
	case TEXT:
	case BODY:
		if (unescape(r, value, key == TEXT ? &c->text : &c->body) == 0)
			return (0);
		return (bad(r, err, "%s: a backslash begins one of \\n \\t \\r "
		    "\\0 \\\\ \\xHH", keys[key]));
	case SOURCE:
		c->source = beside(r, value);
		return (0);
	case URL:
		c->url = arena_str(r->arena, value);
		return (0);
	case CONTENT_TYPE:
		c->content_type = arena_str(r->arena, value);
		return (0);
	case ACCEPT:
		c->accept = arena_str(r->arena, value);
		return (0);
	case STATUS:
		if (str_int(value, 200, 599, &c->status) == 0)
			return (0);
		return (bad(r, err, "status: '%.*s' is not a number from 200 "
		    "to 599", STR_ARG(value)));
	case TYPE:
		c->type = arena_str(r->arena, value);
		return (0);
	case SIZE:
		if (size_range(value, &c->size_min, &c->size_max) == 0)
			return (0);
		return (bad(r, err, "size: '%.*s' is not a number of bytes, "
		    "nor a range such as 1..100 or 1..", STR_ARG(value)));
	case BODY_FILE:
		c->body_file = beside(r, value);
		return (0);
	case JSON:
		c->json = json_loadb(value.s, value.len, JSON_DECODE_ANY, &why);
		if (c->json != NULL)
			return (0);
		return (bad(r, err, "json: %s", why.text));
	case ERROR:
		c->error = arena_str(r->arena, value);
		return (0);
	case KEYS:
		break;
	}
	abort();
}

static int
take_value(struct reader *r, struct str name, struct str value,
    struct ufop_err *err)
{
	int	k;

	if (r->c == NULL)
		return (bad(r, err, "a name in [brackets] comes first"));
	for (k = 0; k < KEYS && !str_eq_c(name, keys[k]); k++)
		continue;
	if (k == KEYS)
		return (bad(r, err, "there is no '%.*s'; there are cmd, text, "
		    "file, url, content-type, accept and status, type, size, "
		    "body, body-file, json, error", STR_ARG(name)));
	if (r->seen & 1u << k)
		return (bad(r, err, "%s is there twice", keys[k]));
	r->seen |= 1u << k;
	return (assign(r, (enum key)k, value, err));
}

/* What one key alone cannot show; called when the case has ended. */
static int
end_case(struct reader *r, struct ufop_err *err)
{
	const struct ufop_case	*c = r->c;

	if (c == NULL)
		return (0);
	r->line = c->line;
	if (c->cmd == NULL)
		return (bad(r, err, "the case '%s' has no cmd", c->name));
	if ((c->text.s != NULL) + (c->source != NULL) + (c->url != NULL) > 1)
		return (bad(r, err, "the case '%s' has more than one of text, "
		    "file and url", c->name));
	return (0);
}

static int
begin_case(struct reader *r, struct str name, struct ufop_err *err)
{
	struct ufop_case	*c;
	int			 line = r->line;

	if (end_case(r, err) == -1)
		return (-1);
	r->line = line;
	if (r->cases->n == CASES_MAX)
		return (bad(r, err, "more than %d cases", CASES_MAX));
	c = arena_alloc(r->arena, 1, sizeof(*c));
	c->file = arena_str(r->arena, str_from(r->path));
	c->line = line;
	c->name = arena_str(r->arena, name);
	c->status = c->size_min = -1;
	r->cases->all[r->cases->n++] = c;
	r->c = c;
	r->seen = 0;
	return (0);
}

static bool
is_blank(struct str line)
{
	return (str_trim(line).len == 0);
}

static bool
is_indented(struct str line)
{
	return (line.len > 0 && (line.s[0] == ' ' || line.s[0] == '\t') &&
	    !is_blank(line));
}

static struct str
next_line(struct str *rest)
{
	struct str	line = str_cut(rest, '\n');

	if (line.len > 0 && line.s[line.len - 1] == '\r')
		line.len--;
	return (line);
}

static int
read_lines(struct reader *r, struct str rest, struct ufop_err *err)
{
	struct str	line, name, peek, more;
	struct buf	value;
	int		lines, rc;

	for (r->line = 1; rest.s != NULL; r->line += lines) {
		line = next_line(&rest);
		lines = 1;
		if (is_blank(line) || line.s[0] == '#' || line.s[0] == ';')
			continue;
		if (line.s[0] == '[') {
			line = str_trim(line);
			if (line.len < 3 || line.s[line.len - 1] != ']')
				return (bad(r, err, "a name is [in brackets]"));
			rc = begin_case(r, str_slice(line, 1, line.len - 1),
			    err);
			if (rc == -1)
				return (-1);
			continue;
		}
		name = str_trim(str_cut(&line, '='));
		if (line.s == NULL)
			return (bad(r, err, "neither [name] nor name = value"));
		buf_init(&value, FILE_MAX);
		buf_str(&value, str_trim(line));
		for (peek = rest; peek.s != NULL; rest = peek, lines++) {
			more = next_line(&peek);
			if (!is_indented(more))
				break;
			buf_addf(&value, "\n%.*s", STR_ARG(str_trim(more)));
		}
		rc = take_value(r, name, (struct str){ value.len == 0 ? "" :
		    value.p, value.len }, err);
		buf_release(&value);
		if (rc == -1)
			return (-1);
	}
	return (end_case(r, err));
}

int
cases_read(struct cases *cases, const char *path, struct ufop_err *err)
{
	struct reader	r = {
		.cases = cases, .arena = &cases->arena, .path = path
	};
	struct buf	text;
	int		rc;

	rc = file_read(path, FILE_MAX, &text, err);
	if (rc == 0 && text.len > 0)
		rc = read_lines(&r, (struct str){ text.p, text.len }, err);
	buf_release(&text);
	return (rc);
}

/* ---- comparing ------------------------------------------------------- */

static bool
is_text(struct str s)
{
	size_t	i;
	int	n;

	for (i = 0; i < s.len; i += (size_t)n) {
		n = str_utf8(str_slice(s, i, s.len));
		if (n == 0 || (n == 1 && (unsigned char)s.s[i] < ' ' &&
		    strchr("\n\r\t", s.s[i]) == NULL) || s.s[i] == 0x7f)
			return (false);
	}
	return (true);
}

static void
show_lines(struct buf *out, char sign, struct str s)
{
	struct str	line;
	int		n = 0;

	while (s.s != NULL && (s.len > 0 || n == 0)) {
		if (n++ == DIFF_LINES) {
			buf_addf(out, "    %c ...\n", sign);
			return;
		}
		line = str_cut(&s, '\n');
		buf_addf(out, "    %c %.*s\n", sign, STR_ARG(line));
	}
}

static void
show_bytes(struct buf *out, char sign, struct str s, size_t at)
{
	size_t	i;

	buf_addf(out, "    %c", sign);
	for (i = at; i < s.len && i < at + DIFF_BYTES; i++)
		buf_addf(out, " %02x", (unsigned char)s.s[i]);
	buf_cstr(out, i < s.len ? " ...\n" : " (end)\n");
}

/* Without the lines, or bytes, that both begin with. */
static void
diff(struct buf *out, struct str want, struct str got)
{
	size_t	at = 0, line = 0, lines = 1;

	while (at < want.len && at < got.len && want.s[at] == got.s[at]) {
		if (want.s[at] == '\n') {
			line = at + 1;
			lines++;
		}
		at++;
	}
	if (is_text(want) && is_text(got)) {
		buf_addf(out, "  body differs from line %zu on (- wanted, "
		    "+ got):\n", lines);
		show_lines(out, '-', str_slice(want, line, want.len));
		show_lines(out, '+', str_slice(got, line, got.len));
		if (str_prefix(got, want) || str_prefix(want, got))
			buf_addf(out, "    wanted %zu bytes, got %zu\n",
			    want.len, got.len);
		return;
	}
	buf_addf(out, "  body differs from byte %zu on (- wanted, + got), %zu "
	    "bytes wanted, %zu got:\n", at, want.len, got.len);
	show_bytes(out, '-', want, at);
	show_bytes(out, '+', got, at);
}

static void
show_json(struct buf *out, const json_t *value)
{
	char	*text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	buf_addf(out, text != NULL && strlen(text) > JSON_SHOWN ? "%.*s..." :
	    "%.*s", JSON_SHOWN, text == NULL ? "?" : text);
	free(text);
}

static bool
json_differs(struct buf *out, const char *path, const json_t *want,
    const json_t *got)
{
	buf_addf(out, "  json %s: wanted ", path);
	show_json(out, want);
	buf_cstr(out, ", got ");
	if (got == NULL)
		buf_cstr(out, "nothing");
	else
		show_json(out, got);
	buf_cstr(out, "\n");
	return (false);
}

/* All of want is in got; arrays must be of one length. */
static bool
json_has(struct buf *out, const char *path, json_t *want, json_t *got)
{
	char		 below[512];
	const char	*key;
	json_t		*value;
	size_t		 i;
	bool		 ok = true;

	if (json_is_number(want) && json_is_number(got))
		return (json_number_value(want) == json_number_value(got) ||
		    json_differs(out, path, want, got));
	if (json_is_object(want) && json_is_object(got)) {
		json_object_foreach(want, key, value) {
			snprintf(below, sizeof(below), "%s.%s", path, key);
			if (!json_has(out, below, value,
			    json_object_get(got, key)))
				ok = false;
		}
		return (ok);
	}
	if (json_is_array(want) && json_is_array(got) &&
	    json_array_size(want) == json_array_size(got)) {
		json_array_foreach(want, i, value) {
			snprintf(below, sizeof(below), "%s[%zu]", path, i);
			if (!json_has(out, below, value,
			    json_array_get(got, i)))
				ok = false;
		}
		return (ok);
	}
	return (json_equal(want, got) || json_differs(out, path, want, got));
}

static bool
check_status(const struct ufop_case *c, const struct case_answer *a,
    const char *msg, struct buf *out)
{
	if (c->status == -1 && c->error != NULL) {
		if (a->status >= 400)
			return (true);
		buf_addf(out, "  status: wanted an error, got %d\n",
		    a->status);
		return (false);
	}
	if (a->status == (c->status == -1 ? 200 : c->status))
		return (true);
	buf_addf(out, "  status: wanted %d, got %d%s%s\n", c->status == -1 ?
	    200 : (int)c->status, a->status, msg == NULL ? "" : ": ",
	    msg == NULL ? "" : msg);
	return (false);
}

/* Parameters (charset) count only when the case names them. */
static bool
check_type(const struct ufop_case *c, const struct case_answer *a,
    struct buf *out)
{
	struct str	got = str_from(a->type);

	if (c->type == NULL)
		return (true);
	if (strchr(c->type, ';') == NULL)
		got = str_trim(str_cut(&got, ';'));
	if (str_eq_c(got, c->type))
		return (true);
	buf_addf(out, "  type: wanted %s, got %s\n", c->type, a->type);
	return (false);
}

static bool
check_size(const struct ufop_case *c, const struct case_answer *a,
    struct buf *out)
{
	int64_t	len = (int64_t)a->body.len;

	if (c->size_min == -1 || (len >= c->size_min && len <= c->size_max))
		return (true);
	buf_addf(out, "  size: wanted %lld", (long long)c->size_min);
	if (c->size_max == INT64_MAX)
		buf_cstr(out, " or more");
	else if (c->size_max != c->size_min)
		buf_addf(out, " to %lld", (long long)c->size_max);
	buf_addf(out, " bytes, got %lld\n", (long long)len);
	return (false);
}

static bool
check_body(const struct ufop_case *c, const struct case_answer *a,
    struct buf *out)
{
	struct ufop_err	err;
	struct buf	file;
	struct str	want;
	bool		ok = true;

	if (c->body.s != NULL && (c->body.len != a->body.len ||
	    memcmp(c->body.s, a->body.s, a->body.len) != 0)) {
		diff(out, c->body, a->body);
		ok = false;
	}
	if (c->body_file == NULL)
		return (ok);
	if (file_read(c->body_file, BODY_MAX, &file, &err) == -1) {
		buf_addf(out, "  body-file: %s\n", err.msg);
		ok = false;
	} else {
		want = (struct str){ file.len == 0 ? "" : file.p, file.len };
		if (!str_eq(want, a->body)) {
			diff(out, want, a->body);
			ok = false;
		}
	}
	buf_release(&file);
	return (ok);
}

static bool
check_json(const struct ufop_case *c, const struct case_answer *a,
    struct buf *out)
{
	json_error_t	 why;
	json_t		*got;
	bool		 ok;

	if (c->json == NULL)
		return (true);
	got = json_loadb(a->body.s, a->body.len, JSON_DECODE_ANY, &why);
	if (got == NULL) {
		buf_addf(out, "  json: the body is none: %s\n", why.text);
		return (false);
	}
	ok = json_has(out, "$", c->json, got);
	json_decref(got);
	return (ok);
}

bool
case_check(const struct ufop_case *c, const struct case_answer *a,
    struct buf *out)
{
	const char	*msg = NULL;
	json_t		*body = NULL;
	bool		 ok;

	if (a->status >= 400)
		body = json_loadb(a->body.s, a->body.len, 0, NULL);
	if (json_unpack(body, "{s:s}", "error", &msg) == -1)
		msg = NULL;
	ok = check_status(c, a, msg, out);
	/* What was answered in its place has a type and bytes of its own. */
	if (ok) {
		ok = check_type(c, a, out) & check_size(c, a, out) &
		    check_body(c, a, out) & check_json(c, a, out);
		if (c->error != NULL && (msg == NULL ||
		    strstr(msg, c->error) == NULL)) {
			buf_addf(out, "  error: wanted '%s' in the message, "
			    "got '%s'\n", c->error, msg == NULL ? "" : msg);
			ok = false;
		}
	}
	json_decref(body);
	return (ok);
}
