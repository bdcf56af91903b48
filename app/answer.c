/* SPDX-License-Identifier: MIT */
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <kore/kore.h>
#include <kore/http.h>

#include "answer.h"
#include "front.h"
#include "log.h"
#include "metrics.h"

/* Sixteen headers of a handler can be 64 KiB each at the most. */
#define HEAD_OUT_MAX	(2 * 1024 * 1024)
/* One sendfile() or send(), so that one fast client does not hold the loop. */
#define WRITE_MAX	(1024 * 1024)
/* Lines of the log for failed requests in one second; a flood says no more. */
#define LOG_PER_SECOND	50

static struct buf	out = { .max = HEAD_OUT_MAX };

static const char *
status_text(int status)
{
	const char	*text = http_status_text(status);

	if (text[0] != '\0')
		return (text);
	switch (status) {
	case 422: return ("Unprocessable Content");
	case 429: return ("Too Many Requests");
	case 431: return ("Request Header Fields Too Large");
	default: return (status < 400 ? "Done" : "Failed");
	}
}

static void
put_uint(uint64_t n)
{
	char	 digits[20];
	int	 i = sizeof(digits);

	do {
		digits[--i] = '0' + n % 10;
		n /= 10;
	} while (n > 0);
	buf_add(&out, digits + i, sizeof(digits) - i);
}

/* "queue=0.1ms" */
static void
put_ms(const char *name, int64_t us)
{
	char	 tail[4] = { '.', 0, 'm', 's' };

	if (us < 0)
		us = 0;
	us = (us + 50) / 100;
	tail[1] = '0' + us % 10;
	buf_cstr(&out, name);
	put_uint(us / 10);
	buf_add(&out, tail, sizeof(tail));
}

/* The date in the form of RFC 9110, made once a second. */
static struct str
date(void)
{
	static char	 text[48];
	static time_t	 made;
	static size_t	 len;
	struct tm	 tm;
	time_t		 now = time(NULL);

	if (now != made) {
		gmtime_r(&now, &tm);
		len = strftime(text, sizeof(text),
		    "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
		made = now;
	}
	return ((struct str){ text, len });
}

static bool
is_name(struct str s, const char *name)
{
	return (s.len == strlen(name) && strncasecmp(s.s, name, s.len) == 0);
}

/* Those that are ours to say, because the connection hangs on them. */
static bool
is_ours(struct str name)
{
	static const char *const names[] = {
		"connection", "content-length", "content-type", "date",
		"keep-alive", "trailer", "transfer-encoding", "upgrade",
		"x-log", "x-reqid",
	};
	size_t	 i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is_name(name, names[i]))
			return (true);
	return (false);
}

static bool
is_fit(const struct job_header *h)
{
	size_t	 i;
	char	 c;

	for (i = 0; i < h->name.len; i++) {
		c = h->name.s[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return (false);
	}
	for (i = 0; i < h->value.len; i++)
		if ((unsigned char)h->value.s[i] < ' ' || h->value.s[i] == 0x7f)
			return (false);
	return (h->name.len > 0 && !is_ours(h->name));
}

static bool
has_header(const struct answer *a, const char *name)
{
	int	 i;

	for (i = 0; i < a->nheaders; i++)
		if (is_name(a->headers[i].name, name))
			return (true);
	return (false);
}

static bool
has_control(struct str s)
{
	size_t	 i;

	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.s[i] < ' ' || s.s[i] == 0x7f)
			return (true);
	return (false);
}

static void
put_field(const char *name, struct str value)
{
	buf_cstr(&out, name);
	buf_str(&out, value);
	buf_add(&out, "\r\n", 2);
}

/* The whole head in out.  Decides what becomes of the connection. */
static void
put_head(struct conn *cn, const struct answer *a, uint64_t len)
{
	const char	*text = status_text(a->status);
	int		 i;

	if (cn->keep && (front.draining || !conn_reusable(cn)))
		cn->keep = false;

	buf_clear(&out);
	buf_add(&out, "HTTP/1.1 ", 9);
	put_uint(a->status);
	buf_add(&out, " ", 1);
	buf_cstr(&out, text);
	buf_add(&out, "\r\n", 2);
	buf_str(&out, date());
	if (a->type.len > 0 && !has_control(a->type))
		put_field("Content-Type: ", a->type);
	if (a->status != 204 && a->status != 304) {
		buf_cstr(&out, "Content-Length: ");
		put_uint(len);
		buf_add(&out, "\r\n", 2);
	}
	put_field("X-Reqid: ", str_from(cn->reqid));
	buf_cstr(&out, "X-Log: ");
	if (a->is_job) {
		put_ms("queue=", a->queue_us);
		put_ms(" run=", a->run_us);
		if (a->log.len > 0 && !has_control(a->log)) {
			buf_add(&out, " ", 1);
			buf_str(&out, a->log);
		}
	} else
		put_ms("front=", clock_mono_us() - cn->began_us);
	buf_add(&out, "\r\n", 2);
	for (i = 0; i < a->nheaders; i++) {
		if (!is_fit(&a->headers[i]))
			continue;
		buf_str(&out, a->headers[i].name);
		put_field(": ", a->headers[i].value);
	}
	if (a->status >= 400 && !has_header(a, "cache-control"))
		buf_cstr(&out, "Cache-Control: no-store\r\n");
	if ((a->status == 429 || a->status == 503) &&
	    !has_header(a, "retry-after"))
		buf_cstr(&out, "Retry-After: 1\r\n");
	if (a->status == 405 && cn->allow != NULL)
		put_field("Allow: ", str_from(cn->allow));
	if (!cn->keep)
		buf_cstr(&out, "Connection: close\r\n");
	else if (cn->is_http10)
		buf_cstr(&out, "Connection: keep-alive\r\n");
	buf_add(&out, "\r\n", 2);
}

/* Of an error's JSON as job_error_json() writes it; else all of it. */
static struct str
sentence(struct str body)
{
	static const char	 begin[] = "\"error\":\"", end[] = "\"}";
	size_t			 nb = sizeof(begin) - 1, ne = sizeof(end) - 1;
	const char		*at = body.s == NULL ? NULL :
				    memmem(body.s, body.len, begin, nb);

	/* Both may meet in what a handler wrote itself. */
	if (at == NULL || body.s[0] != '{' ||
	    (size_t)(body.s + body.len - at) < nb + ne ||
	    memcmp(body.s + body.len - ne, end, ne) != 0)
		return (body);
	return (str_slice(body, (size_t)(at - body.s) + nb, body.len - ne));
}

static void
log_answer(const struct conn *cn, int status, uint64_t len, struct str why)
{
	static int64_t	 second;
	static int	 lines, dropped;
	int64_t		 now_us = clock_mono_us();

	if (status < 400) {
		if (log_level() >= LOG_LEVEL_DEBUG)
			log_debug("request id=%s page=%s status=%d bytes=%llu "
			    "ms=%.1f", cn->reqid, cn->label, status,
			    (unsigned long long)len,
			    (now_us - cn->began_us) / 1000.0);
		return;
	}
	if (second != now_us / 1000000) {
		if (dropped > 0)
			log_warn("request.failures unlogged=%d", dropped);
		second = now_us / 1000000;
		lines = dropped = 0;
	}
	if (++lines > LOG_PER_SECOND) {
		dropped++;
		return;
	}
	why = sentence(why);
	log_info("request id=%s page=%s status=%d ms=%.1f error=%s", cn->reqid,
	    cn->label, status, (now_us - cn->began_us) / 1000.0,
	    log_quote(why.s == NULL ? "" : why.s, why.len));
}

static void
begin(struct conn *cn, const struct answer *a, uint64_t len, struct str why)
{
	put_head(cn, a, len);
	cn->answered = true;
	/* A big answer must not be cut by an idle time that began long ago. */
	kore_connection_start_idletimer(cn->c);
	metrics_answer(a->status);
	if (!a->unlogged)
		log_answer(cn, a->status, len, why);
}

bool
answer_has_body(const struct conn *cn, int status)
{
	/* RFC 9112 section 6.3: whatever a handler says. */
	return (!cn->head_only && status != 204 && status != 304);
}

void
answer_bytes(struct conn *cn, const struct answer *a, struct str body)
{
	begin(cn, a, body.len, a->status < 400 ? STR_NULL : body);
	if (answer_has_body(cn, a->status))
		buf_str(&out, body);
	net_send_queue(cn->c, out.p, out.len);
}

/* ---- files ----------------------------------------------------------- */

static int
file_sent(struct netbuf *nb)
{
	close((int)(intptr_t)nb->extra);
	return (KORE_RESULT_OK);
}

void
answer_file(struct conn *cn, const struct answer *a, int fd, uint64_t len)
{
	struct netbuf	*nb;

	begin(cn, a, len, STR_NULL);
	net_send_queue(cn->c, out.p, out.len);
	if (!answer_has_body(cn, a->status) || len == 0) {
		close(fd);
	} else {
		net_send_stream(cn->c, NULL, len, file_sent, &nb);
		nb->extra = (void *)(intptr_t)fd;
	}
}

int
answer_write(struct connection *c, size_t len, size_t *written)
{
	struct netbuf	*nb = c->snb;
	off_t		 off = (off_t)nb->s_off;
	ssize_t		 r;

	/* Kore asks for 8 KiB at a time; there is no reason to. */
	len = nb->b_len - nb->s_off;
	if (len > WRITE_MAX)
		len = WRITE_MAX;
	if (nb->cb == file_sent)
		r = sendfile(c->fd, (int)(intptr_t)nb->extra, &off, len);
	else
		r = send(c->fd, nb->buf + nb->s_off, len, MSG_NOSIGNAL |
		    (TAILQ_NEXT(nb, list) != NULL ? MSG_MORE : 0));
	if (r == -1 && errno == EINTR)
		r = 0;
	else if (r == -1 && errno == EAGAIN) {
		c->evt.flags &= ~KORE_EVENT_WRITE;
		return (KORE_RESULT_OK);
	} else if (r == -1 || (r == 0 && nb->cb == file_sent)) {
		if (r == 0)
			log_err("answer.file why=shorter-than-said");
		return (KORE_RESULT_ERROR);
	}
	*written = (size_t)r;
	return (KORE_RESULT_OK);
}

/* ---- pieces ---------------------------------------------------------- */

void
answer_begin(struct conn *cn, const struct answer *a, uint64_t len)
{
	begin(cn, a, len, STR_NULL);
	net_send_queue(cn->c, out.p, out.len);
}

void
answer_more(struct conn *cn, struct str piece)
{
	kore_connection_start_idletimer(cn->c);
	net_send_queue(cn->c, piece.s, piece.len);
}

void
answer_break(struct conn *cn)
{
	log_warn("answer.broken id=%s", cn->reqid);
	kore_connection_disconnect(cn->c);
}

/* ---- errors ---------------------------------------------------------- */

static void
error_json(struct conn *cn, struct answer *a, struct str msg)
{
	static struct buf	 json = { .max = 8 * UFOP_ERR_MSG_MAX };

	buf_clear(&json);
	job_error_json(&json, a->status, msg);
	a->type = STR("application/json");
	begin(cn, a, json.len, msg);
	if (!cn->head_only)
		buf_add(&out, json.p, json.len);
	net_send_queue(cn->c, out.p, out.len);
}

void
answer_error(struct conn *cn, int status, const char *fmt, ...)
{
	struct answer	 a = { .status = status };
	char		 msg[UFOP_ERR_MSG_MAX];
	va_list		 ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	error_json(cn, &a, str_from(msg));
}

void
answer_err(struct conn *cn, const struct ufop_err *err)
{
	answer_error(cn, err_http_status(err->code), "%s", err->msg);
}
