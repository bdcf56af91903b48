/* SPDX-License-Identifier: MIT */
/*
 * The functions of ufop.h.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handler.h"
#include "reqid.h"
#include "tree.h"

#define TEXT_MAX	(16 * 1024 * 1024)	/* of one ufop_reply_textf() */

static const struct handler_arg *
arg_find(const struct ufop_job *job, const char *name)
{
	int	 i;

	for (i = 0; i < job->priv->nargs; i++)
		if (strcmp(job->priv->args[i].name, name) == 0)
			return (&job->priv->args[i]);
	return (NULL);
}

const char *
ufop_arg(const struct ufop_job *job, const char *name, const char *fallback)
{
	const struct handler_arg	*a = arg_find(job, name);

	return (a == NULL ? fallback : a->value);
}

int
ufop_arg_int(const struct ufop_job *job, struct ufop_reply *reply,
    const char *name, int fallback, int min, int max, int *out)
{
	const struct handler_arg	*a = arg_find(job, name);
	int64_t				 n;

	if (a == NULL) {
		*out = fallback;
		return (0);
	}
	if (str_int((struct str){ a->value, a->value_len }, min, max,
	    &n) == -1)
		return (ufop_fail(reply, 400, "argument '%s' is '%.64s'; it "
		    "must be a whole number from %d to %d", name, a->value,
		    min, max));
	*out = (int)n;
	return (0);
}

const char *
ufop_arg_b64(const struct ufop_job *job, struct ufop_reply *reply,
    const char *name, size_t *len)
{
	const struct handler_arg	*a = arg_find(job, name);
	unsigned char			*out;
	int				 n;

	if (a == NULL)
		return (NULL);
	out = arena_alloc(job->priv->arena, a->value_len + 4, 1);
	n = str_b64_decode(out, (struct str){ a->value, a->value_len });
	if (n == -1) {
		ufop_fail(reply, 400, "argument '%s' is not URL-safe base64 "
		    "(RFC 4648 section 5)", name);
		return (NULL);
	}
	out[n] = '\0';
	*len = n;
	return ((const char *)out);
}

void *
ufop_alloc(struct ufop_job *job, size_t n, size_t size)
{
	return (arena_alloc(job->priv->arena, n, size));
}

const char *
ufop_scratch(struct ufop_job *job)
{
	struct ufop_job_priv	*p = job->priv;
	char			*path;

	if (p->scratch != NULL)
		return (p->scratch);
	if (p->scratch_root == NULL) {
		errno = ENOTSUP;
		return (NULL);
	}
	path = arena_printf(p->arena, "%s/job.XXXXXX", p->scratch_root);
	if ((p->scratch = mkdtemp(path)) == NULL)
		return (NULL);
	return (p->scratch);
}

void
handler_scratch_remove(struct ufop_job *job)
{
	if (job->priv->scratch == NULL)
		return;
	tree_remove(job->priv->scratch);
	job->priv->scratch = NULL;
}

int
ufop_fetch(struct ufop_job *job, struct ufop_reply *reply, const char *url,
    const unsigned char **data, size_t *len)
{
	struct ufop_job_priv	*p = job->priv;
	int			 i;

	for (i = 0; i < p->nfiles; i++)
		if (strcmp(p->files[i].url, url) == 0) {
			*data = p->files[i].data;
			*len = p->files[i].len;
			return (0);
		}
	if (url[0] == '\0')
		return (ufop_fail(reply, 400, "the url of a file to be fetched "
		    "is empty; it begins with http:// or https://"));
	for (i = 0; i < p->nwants; i++)
		if (strcmp(p->wants[i], url) == 0)
			return (-1);
	if (p->nwants == UFOP_FETCH_MAX)
		return (ufop_fail(reply, 400, "more than %d files would have "
		    "to be fetched beside the source; name fewer",
		    UFOP_FETCH_MAX));
	p->wants[p->nwants++] = arena_str(p->arena, str_from(url));
	return (-1);
}

int64_t
ufop_time_left_ms(const struct ufop_job *job)
{
	int64_t	 left = job->deadline_ms - clock_mono_ms();

	return (left > 0 ? left : 0);
}

const char *
ufop_setting(const struct ufop_job *job, const char *name)
{
	return (settings_str(job->priv->settings, job->priv->service->name,
	    name));
}

int64_t
ufop_setting_int(const struct ufop_job *job, const char *name)
{
	const struct setting	*s;

	s = settings_find(job->priv->settings, job->priv->service->name, name);
	if (s == NULL) {
		fprintf(stderr, "service %s asks for the setting '%s' that is "
		    "not in its table\n", job->priv->service->name, name);
		abort();
	}
	return (s->num);
}

void
ufop_log(const struct ufop_job *job, const char *fmt, ...)
{
	char	 text[1024];
	va_list	 ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* The parent reads it line by line and puts the job's id to it. */
	(void)job;
	fprintf(stderr, "%s\n", text);
}

/* Bytes of X-Log are few: a handler that notes without end is cut. */
#define NOTES_MAX	1500

static void
note_name(struct buf *notes, const char *name)
{
	if (notes->len > 0)
		buf_add(notes, " ", 1);
	buf_cstr(notes, name);
	buf_add(notes, "=", 1);
}

void
ufop_note_us(struct ufop_job *job, const char *name, int64_t us)
{
	struct buf	*notes = job->priv->notes;

	if (notes->len + strlen(name) > NOTES_MAX)
		return;
	note_name(notes, name);
	buf_addf(notes, "%lld.%03lldms", (long long)(us / 1000),
	    (long long)(us % 1000));
}

void
ufop_note(struct ufop_job *job, const char *name, const char *value)
{
	struct buf	*notes = job->priv->notes;

	if (notes->len + strlen(name) + strlen(value) > NOTES_MAX)
		return;
	note_name(notes, name);
	buf_cstr(notes, value);
}

void
reply_init(struct ufop_reply *r, struct reply_sink *sink, size_t max_output)
{
	memset(r, 0, offsetof(struct ufop_reply, headers));
	r->nheaders = 0;
	r->failed = false;
	r->err.code = UFOP_OK;
	r->err.msg[0] = '\0';
	r->status = 200;
	r->sink = sink;
	r->max_output = max_output;
}

static void
reply_drop_body(struct ufop_reply *r)
{
	if (r->where == REPLY_HEAP)
		free(r->data);
	r->data = NULL;
	r->len = r->room = 0;
	r->where = REPLY_EMPTY;
}

void
reply_release(struct ufop_reply *r)
{
	reply_drop_body(r);
	while (r->nheaders > 0) {
		r->nheaders--;
		free(r->headers[r->nheaders].name);
		free(r->headers[r->nheaders].value);
	}
}

static void
reply_type(struct ufop_reply *r, const char *type)
{
	const char	*p;

	snprintf(r->type, sizeof(r->type), "%s", type == NULL ? "" : type);
	/* A type that would break the header is no type. */
	for (p = r->type; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			r->type[0] = '\0';
}

static int
reply_too_big(struct ufop_reply *r, size_t size)
{
	if (r->max_output == 0 || size <= r->max_output)
		return (0);
	return (ufop_fail(r, 413, "the result of %zu bytes is over the limit "
	    "of %zu bytes (setting worker.max_output)", size, r->max_output));
}

void *
ufop_reply_room(struct ufop_reply *r, size_t max)
{
	struct ufop_err	 err;

	reply_drop_body(r);
	if (r->sink != NULL) {
		r->data = r->sink->room(r->sink, max, &err);
		if (r->data == NULL) {
			ufop_fail_err(r, &err);
			return (NULL);
		}
		r->where = REPLY_SINK;
	} else {
		if (reply_too_big(r, max) == -1)
			return (NULL);
		r->data = xmalloc(max + 1);
		r->where = REPLY_HEAP;
	}
	r->room = max;
	return (r->data);
}

int
ufop_reply_done(struct ufop_reply *r, size_t len, const char *type)
{
	size_t	 room = r->room;

	if (r->where == REPLY_EMPTY || len > room)
		return (ufop_fail(r, 500, "the handler wrote %zu bytes into a "
		    "room of %zu", len, room));
	if (reply_too_big(r, len) == -1)
		return (-1);
	r->len = len;
	reply_type(r, type);
	return (0);
}

int
ufop_reply_bytes(struct ufop_reply *r, const void *data, size_t len,
    const char *type)
{
	struct ufop_err	 err;
	void		*room;

	if (reply_too_big(r, len) == -1)
		return (-1);
	if (r->sink != NULL && len > r->sink->bytes_from) {
		reply_drop_body(r);
		if (r->sink->bytes(r->sink, data, len, &err) == -1)
			return (ufop_fail_err(r, &err));
		r->where = REPLY_SINK;
		r->room = len;
		return (ufop_reply_done(r, len, type));
	}
	room = ufop_reply_room(r, len);
	if (room == NULL)
		return (-1);
	if (len > 0)
		memcpy(room, data, len);
	return (ufop_reply_done(r, len, type));
}

int
ufop_reply_take(struct ufop_reply *r, void *data, size_t len, const char *type)
{
	reply_drop_body(r);
	r->data = data;
	r->where = REPLY_HEAP;
	r->room = len;
	return (ufop_reply_done(r, len, type));
}

int
ufop_reply_textf(struct ufop_reply *r, const char *fmt, ...)
{
	char	 text[1024], *big;
	va_list	 ap;
	int	 n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || n > TEXT_MAX)
		return (ufop_fail(r, 500, "the handler's text is too long"));
	if ((size_t)n < sizeof(text))
		return (ufop_reply_bytes(r, text, n,
		    "text/plain; charset=utf-8"));
	big = xmalloc((size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(big, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return (ufop_reply_take(r, big, n, "text/plain; charset=utf-8"));
}

int
ufop_reply_json(struct ufop_reply *r, json_t *value)
{
	char	*text;

	if (value == NULL)
		return (ufop_fail(r, 500, "the handler made no JSON"));
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(value);
	if (text == NULL)
		return (ufop_fail(r, 500,
		    "the handler's JSON cannot be written (invalid UTF-8?)"));
	return (ufop_reply_take(r, text, strlen(text), "application/json"));
}

int
ufop_reply_file(struct ufop_reply *r, const char *path, const char *type)
{
	struct stat	 st;
	unsigned char	*room;
	size_t		 done = 0;
	ssize_t		 n = 0;
	int		 fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 ||
	    fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		ufop_fail(r, 500, "cannot read the result '%s': %s", path,
		    fd == -1 ? strerror(errno) : "not a regular file");
		if (fd != -1)
			close(fd);
		return (-1);
	}
	if (reply_too_big(r, st.st_size) == -1 ||
	    (room = ufop_reply_room(r, st.st_size)) == NULL) {
		close(fd);
		return (-1);
	}
	while (done < (size_t)st.st_size) {
		n = read(fd, room + done, (size_t)st.st_size - done);
		if (n <= 0 && !(n == -1 && errno == EINTR))
			break;
		done += n > 0 ? n : 0;
	}
	close(fd);
	if (n == -1)
		return (ufop_fail(r, 500, "cannot read the result '%s'", path));
	return (ufop_reply_done(r, done, type));
}

int
ufop_reply_status(struct ufop_reply *r, int status)
{
	if (status < 200 || status > 599)
		return (ufop_fail(r, 500,
		    "the handler set the status %d", status));
	r->status = status;
	return (0);
}

/* RFC 9110 section 5.6.2. */
static bool
is_token(const char *s)
{
	if (*s == '\0')
		return (false);
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f ||
		    strchr("\"(),/:;<=>?@[\\]{}", *s) != NULL)
			return (false);
	return (true);
}

/* These the front writes itself; a second one would break the response. */
static bool
is_ours(const char *name)
{
	static const char *const names[] = { "content-length", "content-type",
	    "transfer-encoding", "connection", "keep-alive", "date", "server",
	    "x-reqid", "x-log", "upgrade", "trailer" };
	size_t	 i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return (true);
	return (false);
}

int
ufop_reply_header(struct ufop_reply *r, const char *name, const char *value)
{
	const unsigned char	*p;

	if (!is_token(name) || is_ours(name))
		return (ufop_fail(r, 500, "the handler set a header '%.64s' "
		    "that is no header's name or is ufop's own", name));
	for (p = (const unsigned char *)value; *p != '\0'; p++)
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			return (ufop_fail(r, 500, "the handler's header '%s' "
			    "has control bytes in its value", name));
	if (r->nheaders == UFOP_HEADERS_MAX || strlen(value) > 4096)
		return (ufop_fail(r, 500, "the handler set more than %d "
		    "headers or one over 4,096 bytes", UFOP_HEADERS_MAX));
	r->headers[r->nheaders].name = xstrdup(name);
	r->headers[r->nheaders].value = xstrdup(value);
	r->nheaders++;
	return (0);
}

int
ufop_fail(struct ufop_reply *r, int status, const char *fmt, ...)
{
	va_list	 ap;

	reply_release(r);
	if (status < 400 || status > 599)
		status = 500;
	r->status = status;
	r->failed = true;
	r->err.code = err_from_http(status);
	va_start(ap, fmt);
	vsnprintf(r->err.msg, sizeof(r->err.msg), fmt, ap);
	va_end(ap);
	return (-1);
}

int
ufop_fail_err(struct ufop_reply *r, const struct ufop_err *err)
{
	return (ufop_fail(r, err_http_status(err->code), "%s", err->msg));
}
