/* SPDX-License-Identifier: MIT */
/*
 * The fetch process and the parent's side of talking to it; see fetch.h.
 */
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <curl/curl.h>

#include "arena.h"
#include "fetch.h"
#include "log.h"
#include "reqid.h"
#include "sandbox.h"

/* What the parent sends; the url's bytes follow. */
enum request_op {
	REQUEST_GET = 1,
	REQUEST_CANCEL,
};

struct request {
	uint32_t	op;
	uint32_t	url_len;
	uint64_t	id;
	uint64_t	max_bytes;
	int64_t		deadline_ms;
};

/* A redirect's page or an error's is read over up to here, for reuse. */
#define DISCARD_MAX	(64 * 1024)
#define EVENTS_MAX	64
/* A connection is used this long at most, so that a moved name is noticed. */
#define CONN_LIFETIME_S	60L

struct job {
	TAILQ_ENTRY(job)	 entry;
	struct fetch		*fetch;
	CURL			*easy;		/* NULL while it waits */
	int			 fd;
	char			*url;		/* of the hop to do next */
	struct egress_url	 target;	/* the hop under way */
	uint64_t		 max_bytes;
	int64_t			 deadline_ms;
	int64_t			 received_us;
	uint64_t		 header_len;
	int64_t			 claimed;	/* Content-Length, or -1 */
	uint64_t		 discarded;
	struct fetch_reply	 reply;
	struct ufop_err		 err;		/* why a callback said stop */
	char			 curl_msg[CURL_ERROR_SIZE];
};

TAILQ_HEAD(jobs, job);

struct answer {
	TAILQ_ENTRY(answer)	 entry;
	struct fetch_reply	 reply;
};

struct fetch {
	const struct fetch_conf	*conf;
	int			 sock;
	int			 epfd;
	CURLM			*multi;
	struct curl_slist	*headers;
	struct stat		 resolver;	/* resolv.conf at the start */
	int64_t			 timer_ms;	/* libcurl's; -1: none */
	struct jobs		 waiting;
	struct jobs		 running;
	int			 nwaiting;
	int			 nrunning;
	/* Answers that the parent was too slow to take, oldest first. */
	TAILQ_HEAD(, answer)	 answers;
	char			 message[sizeof(struct request) + EGRESS_URL_MAX];
};

/* ---- answering ------------------------------------------------------- */

static void
watch(const struct fetch *f, int op, int fd, uint32_t events)
{
	struct epoll_event	ev = { .events = events, .data.fd = fd };

	if (epoll_ctl(f->epfd, op, fd, &ev) == -1 && op != EPOLL_CTL_DEL)
		log_err("fetch.epoll error=%s", strerror(errno));
}

static bool
answer_send(const struct fetch *f, const struct fetch_reply *reply)
{
	ssize_t	n;

	do {
		n = send(f->sock, reply, sizeof(*reply),
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	/* Any other error means that the parent is gone: read() tells next. */
	return (n != -1 || (errno != EAGAIN && errno != ENOBUFS));
}

static void
answer(struct fetch *f, const struct fetch_reply *reply)
{
	struct answer	*a;

	if (TAILQ_EMPTY(&f->answers) && answer_send(f, reply))
		return;
	if (TAILQ_EMPTY(&f->answers))
		watch(f, EPOLL_CTL_MOD, f->sock, EPOLLIN | EPOLLOUT);
	a = xmalloc(sizeof(*a));
	a->reply = *reply;
	TAILQ_INSERT_TAIL(&f->answers, a, entry);
}

static void
answers_flush(struct fetch *f)
{
	struct answer	*a;

	while ((a = TAILQ_FIRST(&f->answers)) != NULL) {
		if (!answer_send(f, &a->reply))
			return;
		TAILQ_REMOVE(&f->answers, a, entry);
		free(a);
	}
	watch(f, EPOLL_CTL_MOD, f->sock, EPOLLIN);
}

/* ---- a job's life ---------------------------------------------------- */

static void
job_new(struct fetch *f, const struct request *rq, int fd)
{
	struct job	*job = xcalloc(1, sizeof(*job));

	job->fetch = f;
	job->fd = fd;
	job->url = xmalloc((size_t)rq->url_len + 1);
	memcpy(job->url, f->message + sizeof(*rq), rq->url_len);
	job->url[rq->url_len] = '\0';
	job->max_bytes = rq->max_bytes;
	job->deadline_ms = rq->deadline_ms;
	job->received_us = clock_mono_us();
	job->reply.id = rq->id;
	TAILQ_INSERT_TAIL(&f->waiting, job, entry);
	f->nwaiting++;
}

/* Take libcurl's part of a job away. */
static void
job_detach(struct fetch *f, struct job *job)
{
	if (job->easy == NULL)
		return;
	curl_multi_remove_handle(f->multi, job->easy);
	curl_easy_cleanup(job->easy);
	job->easy = NULL;
	egress_url_release(&job->target);
	TAILQ_REMOVE(&f->running, job, entry);
	f->nrunning--;
	TAILQ_INSERT_TAIL(&f->waiting, job, entry);
	f->nwaiting++;
}

static void
job_free(struct fetch *f, struct job *job)
{
	job_detach(f, job);
	TAILQ_REMOVE(&f->waiting, job, entry);
	f->nwaiting--;
	egress_url_release(&job->target);
	close(job->fd);
	free(job->url);
	free(job);
}

/* The end of a job; err is NULL when all went well. */
static void
job_end(struct fetch *f, struct job *job, const struct ufop_err *err)
{
	struct fetch_reply	reply;

	if (err != NULL) {
		job->reply.code = (int32_t)err->code;
		snprintf(job->reply.msg, sizeof(job->reply.msg), "%s",
		    err->msg);
	}
	job->reply.total_us = clock_mono_us() - job->received_us;
	reply = job->reply;
	job_free(f, job);	/* closes the file before the parent hears of it */
	answer(f, &reply);
}

/* A sentence about the source: "cannot fetch from 'host:port': ...". */
static int
job_fail(struct job *job, enum ufop_code code, const char *fmt, ...)
    UFOP_PRINTF(3, 4);

static int
job_fail(struct job *job, enum ufop_code code, const char *fmt, ...)
{
	char	why[UFOP_ERR_MSG_MAX];
	va_list	ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return (err_set(&job->err, code, strchr(job->target.host, ':') != NULL ?
	    "cannot fetch from '[%s]:%u': %s" : "cannot fetch from '%s:%u': %s",
	    job->target.host, (unsigned)job->target.port, why));
}

static int64_t
job_left_ms(const struct job *job)
{
	int64_t	left = job->deadline_ms - clock_mono_ms();

	return (left > 0 ? left : 0);
}

/* ---- what libcurl calls ---------------------------------------------- */

/*
 * libcurl wants a socket to connect to exactly address->addr: the one place
 * where guard and connection cannot see different addresses.
 */
static curl_socket_t
on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct job	*job = arg;

	if (purpose != CURLSOCKTYPE_IPCXN ||
	    egress_check_addr(job->fetch->conf->policy, &address->addr,
	    job->target.host, &job->err) == -1)
		return (CURL_SOCKET_BAD);
	return (socket(address->family, address->socktype | SOCK_CLOEXEC,
	    address->protocol));
}

static bool
is_redirect(int status)
{
	return (status == 301 || status == 302 || status == 303 ||
	    status == 307 || status == 308);
}

static int
job_status(struct job *job)
{
	long	status = 0;

	curl_easy_getinfo(job->easy, CURLINFO_RESPONSE_CODE, &status);
	return ((int)status);
}

/* The header is there: is the body worth having?  Sets err when it is not. */
static int
head_judge(struct job *job)
{
	int	status = job_status(job);

	job->reply.status = status;
	if (status < 200 || is_redirect(status))
		return (0);
	if (status > 299)
		return (job_fail(job, UFOP_BAD_SOURCE, "it answered %d",
		    status));
	if (status == 206)
		return (job_fail(job, UFOP_BAD_SOURCE,
		    "it answered 206, a part, where the whole was asked for"));
	if (job->claimed > 0 && (uint64_t)job->claimed > job->max_bytes)
		return (job_fail(job, UFOP_TOO_BIG, "the source has %lld "
		    "bytes, the limit is %llu", (long long)job->claimed,
		    (unsigned long long)job->max_bytes));
	return (0);
}

static size_t
on_header(char *data, size_t size, size_t n, void *arg)
{
	static const struct str	 name = STR("content-length:");
	struct job		*job = arg;
	struct str		 line = { data, size * n };

	job->header_len += line.len;
	if (job->header_len > FETCH_HEADER_MAX) {
		job_fail(job, UFOP_BAD_SOURCE, "its header is longer than %d "
		    "bytes", FETCH_HEADER_MAX);
		return (0);
	}
	if (str_prefix(line, STR("HTTP/")))
		job->claimed = -1;
	while (line.len > 0 && (line.s[line.len - 1] == '\n' ||
	    line.s[line.len - 1] == '\r'))
		line.len--;
	if (line.len == 0)
		return (head_judge(job) == -1 ? 0 : size * n);
	if (line.len > name.len &&
	    strncasecmp(line.s, name.s, name.len) == 0)
		(void)str_int(str_trim(str_slice(line, name.len, line.len)), 0,
		    INT64_MAX, &job->claimed);
	return (size * n);
}

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	struct job	*job = arg;
	size_t		 len = size * n, done = 0;
	ssize_t		 put;

	if (is_redirect(job->reply.status)) {
		job->discarded += len;
		if (job->discarded <= DISCARD_MAX)
			return (len);
		job_fail(job, UFOP_BAD_SOURCE, "it redirects with a page of "
		    "more than %d bytes", DISCARD_MAX);
		return (0);
	}
	if (len > job->max_bytes - job->reply.len) {
		job_fail(job, UFOP_TOO_BIG, "the source has more than %llu "
		    "bytes, which is the limit",
		    (unsigned long long)job->max_bytes);
		return (0);
	}
	while (done < len) {
		put = pwrite(job->fd, data + done, len - done,
		    (off_t)job->reply.len);
		if (put == -1 && errno == EINTR)
			continue;
		if (put <= 0) {
			err_set(&job->err, UFOP_UNAVAILABLE, "no room for the "
			    "source: %s; try again later", strerror(errno));
			return (0);
		}
		done += (size_t)put;
		job->reply.len += (uint64_t)put;
	}
	return (len);
}

static int
on_watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct fetch	*f = arg;
	uint32_t	 events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		watch(f, EPOLL_CTL_DEL, fd, 0);
		curl_multi_assign(f->multi, fd, NULL);
		return (0);
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	watch(f, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, events);
	/* Any pointer will do: it only says that epoll has the socket. */
	curl_multi_assign(f->multi, fd, f);
	return (0);
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct fetch	*f = arg;

	(void)multi;
	f->timer_ms = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
	return (0);
}

/* ---- one hop --------------------------------------------------------- */

static CURLcode
easy_setup(const struct fetch *f, struct job *job)
{
	const struct fetch_conf	*conf = f->conf;
	CURL			*easy = job->easy;
	CURLcode		 rc = CURLE_OK;

#define OPT(option, value)						\
	do {								\
		if (rc == CURLE_OK)					\
			rc = curl_easy_setopt(easy, option, value);	\
	} while (0)

	OPT(CURLOPT_URL, job->target.url);
	OPT(CURLOPT_PRIVATE, job);
	OPT(CURLOPT_ERRORBUFFER, job->curl_msg);
	OPT(CURLOPT_PROTOCOLS_STR, "http,https");
	OPT(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	OPT(CURLOPT_USERAGENT, "ufop/" UFOP_VERSION);
	OPT(CURLOPT_HTTPHEADER, f->headers);
	OPT(CURLOPT_PROXY, "");
	OPT(CURLOPT_NOSIGNAL, 1L);
	/* Or a slow name server would hold up all of us at a deadline. */
	OPT(CURLOPT_QUICK_EXIT, 1L);
	OPT(CURLOPT_MAXLIFETIME_CONN, CONN_LIFETIME_S);
	OPT(CURLOPT_BUFFERSIZE, 64L * 1024);
	OPT(CURLOPT_TIMEOUT_MS, (long)job_left_ms(job) + 1);
	OPT(CURLOPT_CONNECTTIMEOUT_MS, (long)conf->connect_timeout_ms);
	OPT(CURLOPT_LOW_SPEED_LIMIT, 1L);
	OPT(CURLOPT_LOW_SPEED_TIME, ((long)conf->stall_ms + 999) / 1000);
	OPT(CURLOPT_OPENSOCKETFUNCTION, on_socket);
	OPT(CURLOPT_OPENSOCKETDATA, job);
	OPT(CURLOPT_HEADERFUNCTION, on_header);
	OPT(CURLOPT_HEADERDATA, job);
	OPT(CURLOPT_WRITEFUNCTION, on_body);
	OPT(CURLOPT_WRITEDATA, job);
#undef OPT
	return (rc);
}

/* Start what job->url asks for, or end the job. */
static void
job_start(struct fetch *f, struct job *job)
{
	struct ufop_err	err = { 0 }, why = { 0 };

	if (job->reply.redirects == 0) {
		job->reply.queue_us = clock_mono_us() - job->received_us;
		/* A file that is no regular one has nothing to cut off. */
		if (ftruncate(job->fd, 0) == -1 && errno != EINVAL)
			log_warn("fetch.truncate error=%s", strerror(errno));
	}
	if (egress_check_url(f->conf->policy, str_from(job->url),
	    &job->target, &why) == -1) {
		/* A caller's bad url is the caller's; a redirect is the source's. */
		if (job->reply.redirects == 0)
			err = why;
		else
			err_set(&err, UFOP_BAD_SOURCE, "the source redirects "
			    "to where it must not: %s", why.msg);
		job_end(f, job, &err);
		return;
	}
	memset(&job->err, 0, sizeof(job->err));
	job->curl_msg[0] = '\0';
	job->header_len = job->discarded = 0;
	job->claimed = -1;
	job->reply.status = 0;
	job->easy = curl_easy_init();
	if (job->easy == NULL || easy_setup(f, job) != CURLE_OK ||
	    curl_multi_add_handle(f->multi, job->easy) != CURLM_OK) {
		curl_easy_cleanup(job->easy);
		job->easy = NULL;
		err_set(&err, UFOP_UNAVAILABLE, "out of memory for a download");
		job_end(f, job, &err);
		return;
	}
	TAILQ_REMOVE(&f->waiting, job, entry);
	f->nwaiting--;
	TAILQ_INSERT_TAIL(&f->running, job, entry);
	f->nrunning++;
}

static int64_t
info_us(CURL *easy, CURLINFO what)
{
	curl_off_t	us = 0;

	curl_easy_getinfo(easy, what, &us);
	return ((int64_t)us);
}

/* libcurl counts each time from the start of the hop. */
static void
times_add(struct job *job)
{
	int64_t	dns, connected, tls, asked, first;

	dns = info_us(job->easy, CURLINFO_NAMELOOKUP_TIME_T);
	connected = info_us(job->easy, CURLINFO_CONNECT_TIME_T);
	tls = info_us(job->easy, CURLINFO_APPCONNECT_TIME_T);
	asked = info_us(job->easy, CURLINFO_PRETRANSFER_TIME_T);
	first = info_us(job->easy, CURLINFO_STARTTRANSFER_TIME_T);
	job->reply.dns_us += dns;
	if (connected > dns)
		job->reply.connect_us += connected - dns;
	if (tls > connected)
		job->reply.tls_us += tls - connected;
	if (first > asked)
		job->reply.wait_us += first - asked;
}

/* Put what libcurl says into words. */
static void
explain(const struct fetch *f, struct job *job, CURLcode rc)
{
	const char	*said;
	long		 os_errno = 0;
	bool		 connected;

	connected = info_us(job->easy, CURLINFO_PRETRANSFER_TIME_T) > 0;
	curl_easy_getinfo(job->easy, CURLINFO_OS_ERRNO, &os_errno);
	said = job->curl_msg[0] != '\0' ? job->curl_msg :
	    curl_easy_strerror(rc);

	switch (rc) {
	case CURLE_OPERATION_TIMEDOUT:
		if (job_left_ms(job) == 0)
			job_fail(job, UFOP_TIMED_OUT, "the deadline passed "
			    "after %llu bytes",
			    (unsigned long long)job->reply.len);
		else if (!connected)
			job_fail(job, UFOP_BAD_SOURCE, "no connection within "
			    "%d ms", f->conf->connect_timeout_ms);
		else
			job_fail(job, UFOP_BAD_SOURCE, "nothing came for %d ms "
			    "after %llu bytes", f->conf->stall_ms,
			    (unsigned long long)job->reply.len);
		break;
	case CURLE_COULDNT_RESOLVE_HOST:
		job_fail(job, UFOP_BAD_SOURCE, "the name does not resolve");
		break;
	case CURLE_COULDNT_CONNECT:
		job_fail(job, UFOP_BAD_SOURCE, "no connection (%s)",
		    os_errno != 0 ? strerror((int)os_errno) : said);
		break;
	case CURLE_GOT_NOTHING:
		job_fail(job, UFOP_BAD_SOURCE,
		    "it closed the connection without an answer");
		break;
	case CURLE_PARTIAL_FILE:
		job_fail(job, UFOP_BAD_SOURCE, "the body ended after %llu of "
		    "%lld bytes", (unsigned long long)job->reply.len,
		    (long long)job->claimed);
		break;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_PEER_FAILED_VERIFICATION:
		job_fail(job, UFOP_BAD_SOURCE, "TLS failed (%s)", said);
		break;
	case CURLE_OUT_OF_MEMORY:
		job_fail(job, UFOP_UNAVAILABLE, "out of memory");
		break;
	default:
		job_fail(job, UFOP_BAD_SOURCE, "%s", said);
		break;
	}
}

/* Printable ASCII that fits, or nothing: it becomes a header again. */
static void
type_take(struct job *job)
{
	char	*type = NULL;
	size_t	 i;

	curl_easy_getinfo(job->easy, CURLINFO_CONTENT_TYPE, &type);
	if (type == NULL || strlen(type) >= sizeof(job->reply.type))
		return;
	for (i = 0; type[i] != '\0'; i++)
		if (type[i] < 0x20 || type[i] > 0x7e)
			return;
	memcpy(job->reply.type, type, i + 1);
}

static struct stat
resolver_file(void)
{
	struct stat	st;

	if (stat("/etc/resolv.conf", &st) == -1)
		memset(&st, 0, sizeof(st));
	return (st);
}

/*
 * The sandbox lets the resolver read the resolv.conf that was there at the
 * start.  Who changes networks puts another file in its place, which is out of
 * reach: no name would resolve ever again.  A fresh process can read it, and
 * is asked again for all that is without an answer.
 */
static void
resolver_check(const struct fetch *f)
{
	struct stat	st = resolver_file();

	if (st.st_ino == f->resolver.st_ino && st.st_dev == f->resolver.st_dev)
		return;
	log_warn("fetch.restart why=\"/etc/resolv.conf was replaced\"");
	_exit(EX_TEMPFAIL);
}

/* A hop is over: the end, or the next one. */
static void
hop_done(struct fetch *f, struct job *job, CURLcode rc)
{
	struct ufop_err	 err;
	char		*next = NULL;

	if (rc == CURLE_COULDNT_RESOLVE_HOST)
		resolver_check(f);
	times_add(job);
	/* An address may have been refused and another one have worked. */
	if (rc == CURLE_OK)
		memset(&job->err, 0, sizeof(job->err));
	else if (job->err.code == UFOP_OK)
		explain(f, job, rc);

	if (job->err.code == UFOP_OK && is_redirect(job->reply.status)) {
		curl_easy_getinfo(job->easy, CURLINFO_REDIRECT_URL, &next);
		if (next == NULL)
			job_fail(job, UFOP_BAD_SOURCE, "it answered %d without "
			    "saying where to", job->reply.status);
		else if (job->reply.redirects >= f->conf->redirects)
			job_fail(job, UFOP_BAD_SOURCE, "more than %d redirects",
			    f->conf->redirects);
		else {
			free(job->url);
			job->url = xstrdup(next);
			job->reply.redirects++;
			job_detach(f, job);
			job_start(f, job);
			return;
		}
	}
	if (job->err.code == UFOP_OK && job->reply.len == 0)
		job_fail(job, UFOP_BAD_SOURCE, "it answered %d with an empty "
		    "body", job->reply.status);
	if (job->err.code == UFOP_OK)
		type_take(job);
	err = job->err;
	job_end(f, job, err.code == UFOP_OK ? NULL : &err);
}

/* ---- the process ----------------------------------------------------- */

/* Everything that can go on without waiting. */
static void
advance(struct fetch *f)
{
	struct job	*job, *next;
	struct ufop_err	 late = { UFOP_TIMED_OUT, "the deadline passed before "
			    "the source could be fetched" };
	CURLMsg		*msg;
	int		 left, active;

	if (f->timer_ms != -1 && clock_mono_ms() >= f->timer_ms) {
		f->timer_ms = -1;
		curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0,
		    &active);
	}
	while ((msg = curl_multi_info_read(f->multi, &left)) != NULL)
		if (msg->msg == CURLMSG_DONE && curl_easy_getinfo(
		    msg->easy_handle, CURLINFO_PRIVATE, &job) == CURLE_OK)
			hop_done(f, job, msg->data.result);
	for (job = TAILQ_FIRST(&f->waiting); job != NULL; job = next) {
		next = TAILQ_NEXT(job, entry);
		if (job_left_ms(job) == 0)
			job_end(f, job, &late);
		else if (f->nrunning < f->conf->concurrency)
			job_start(f, job);
	}
}

static void
request_take(struct fetch *f, const struct request *rq, size_t len, int fd)
{
	struct fetch_reply	 no = { .id = rq->id };
	struct job		*job;

	if (rq->op == REQUEST_CANCEL) {
		TAILQ_FOREACH(job, &f->running, entry)
			if (job->reply.id == rq->id)
				break;
		if (job == NULL)
			TAILQ_FOREACH(job, &f->waiting, entry)
				if (job->reply.id == rq->id)
					break;
		if (job != NULL)
			job_free(f, job);
		return;
	}
	if (rq->op != REQUEST_GET || len != sizeof(*rq) + rq->url_len) {
		log_err("fetch.request op=%u len=%zu", rq->op, len);
		return;
	}
	if (fd != -1 && f->nwaiting < FETCH_QUEUE_MAX) {
		job_new(f, rq, fd);
		return;
	}
	no.code = (int32_t)(fd == -1 ? UFOP_UNAVAILABLE : UFOP_BUSY);
	snprintf(no.msg, sizeof(no.msg), fd == -1 ?
	    "no file descriptor is free for a download; try again later" :
	    "too many downloads wait; try again later");
	if (fd != -1)
		close(fd);
	answer(f, &no);
}

/* Read all requests that are there; false at end of file. */
static bool
requests_read(struct fetch *f)
{
	union {
		struct cmsghdr	h;
		char		b[CMSG_SPACE(sizeof(int))];
	} control;
	struct request	 rq;
	struct cmsghdr	*cm;
	struct msghdr	 mh;
	struct iovec	 iov = { f->message, sizeof(f->message) };
	ssize_t		 n;
	int		 fd;

	for (;;) {
		memset(&mh, 0, sizeof(mh));
		mh.msg_iov = &iov;
		mh.msg_iovlen = 1;
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		n = recvmsg(f->sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return (true);
		if (n <= 0)
			return (false);
		fd = -1;
		cm = CMSG_FIRSTHDR(&mh);
		if (cm != NULL && cm->cmsg_level == SOL_SOCKET &&
		    cm->cmsg_type == SCM_RIGHTS &&
		    cm->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
		if ((size_t)n < sizeof(rq)) {
			log_err("fetch.request len=%zd", n);
			if (fd != -1)
				close(fd);
			continue;
		}
		memcpy(&rq, f->message, sizeof(rq));
		request_take(f, &rq, (size_t)n, fd);
	}
}

/* Milliseconds that epoll may wait; -1: for ever. */
static int
patience_ms(const struct fetch *f)
{
	const struct job	*job;
	int64_t			 at = f->timer_ms, wait;

	/* Jobs that run have their deadline with libcurl. */
	TAILQ_FOREACH(job, &f->waiting, entry)
		if (at == -1 || job->deadline_ms < at)
			at = job->deadline_ms;
	if (at == -1)
		return (-1);
	wait = at - clock_mono_ms();
	return (wait < 0 ? 0 : wait > INT_MAX ? INT_MAX : (int)wait);
}

static void
serve(struct fetch *f)
{
	struct epoll_event	events[EVENTS_MAX];
	int			i, n, mask, active;

	for (;;) {
		n = epoll_wait(f->epfd, events, EVENTS_MAX, patience_ms(f));
		if (n == -1 && errno != EINTR) {
			log_err("fetch.wait error=%s", strerror(errno));
			return;
		}
		for (i = 0; i < n; i++) {
			if (events[i].data.fd == f->sock) {
				if (events[i].events & EPOLLOUT)
					answers_flush(f);
				if (!requests_read(f))
					return;
				continue;
			}
			mask = 0;
			if (events[i].events & EPOLLIN)
				mask |= CURL_CSELECT_IN;
			if (events[i].events & EPOLLOUT)
				mask |= CURL_CSELECT_OUT;
			if (events[i].events & (EPOLLERR | EPOLLHUP))
				mask |= CURL_CSELECT_ERR;
			curl_multi_socket_action(f->multi, events[i].data.fd,
			    mask, &active);
		}
		advance(f);
	}
}

static int
setup(struct fetch *f, int sock, const struct fetch_conf *conf,
    struct ufop_err *err)
{
	struct sandbox_conf	box = {
		.profile = SANDBOX_FETCH, .user = conf->user
	};

	memset(f, 0, sizeof(*f));
	f->conf = conf;
	f->sock = sock;
	f->resolver = resolver_file();
	f->timer_ms = -1;
	TAILQ_INIT(&f->waiting);
	TAILQ_INIT(&f->running);
	TAILQ_INIT(&f->answers);

	/* A job has its file, its resolver's pair, and sockets that race. */
	box.nofile = 64 + FETCH_QUEUE_MAX + 8 * conf->concurrency;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return (err_set(err, UFOP_SYSTEM, "cannot set up libcurl"));
	if (sandbox_enter(&box, err) == -1)
		return (-1);
	/* A name server that is slow is given up, rather than its jobs. */
	setenv("RES_OPTIONS", "timeout:2 attempts:2", 1);

	f->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (f->epfd == -1)
		return (err_sys(err, "cannot make an epoll descriptor"));
	f->headers = curl_slist_append(NULL, "Accept-Encoding: identity");
	f->multi = curl_multi_init();
	if (f->headers == NULL || f->multi == NULL)
		return (err_set(err, UFOP_SYSTEM, "out of memory"));
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_watch);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS,
	    (long)conf->concurrency);
	watch(f, EPOLL_CTL_ADD, sock, EPOLLIN);
	return (0);
}

void
fetch_main(int sock, const struct fetch_conf *conf)
{
	static struct fetch	fetch;
	struct ufop_err		err = { 0 };

	log_open("fetch", log_level());
	(void)prctl(PR_SET_NAME, "ufop-fetch", 0, 0, 0);
	if (setup(&fetch, sock, conf, &err) == -1) {
		log_err("fetch.start error=%s",
		    log_quote(err.msg, strlen(err.msg)));
		_exit(1);
	}
	serve(&fetch);
	/* Not exit(): the parent's handlers and buffers are not ours to run. */
	_exit(0);
}

/* ---- the parent's side ----------------------------------------------- */

int
fetch_spawn(const struct fetch_conf *conf, pid_t *pid, int *sock,
    struct ufop_err *err)
{
	sigset_t	none;
	pid_t		parent = getpid();
	int		pair[2], null, sig;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0, pair) == -1)
		return (err_sys(err, "cannot make the fetch process's socket"));
	*pid = fork();
	if (*pid == -1) {
		err_sys(err, "cannot fork the fetch process");
		close(pair[0]);
		close(pair[1]);
		return (-1);
	}
	if (*pid > 0) {
		close(pair[1]);
		*sock = pair[0];
		return (0);
	}

	for (sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* The parent ends us by closing the socket; Ctrl-C is for the parent. */
	signal(SIGINT, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	null = open("/dev/null", O_RDWR);
	if (null == -1 || dup2(null, 0) == -1 || dup2(null, 1) == -1 ||
	    dup2(pair[1], 3) == -1 || close_range(4, ~0U, 0) == -1)
		_exit(1);
	reqid_forked();
	fetch_main(3, conf);
}

static int
send_message(int sock, const struct request *rq, struct str url, int fd,
    struct ufop_err *err)
{
	union {
		struct cmsghdr	h;
		char		b[CMSG_SPACE(sizeof(int))];
	} control;
	union {
		const void	*in;
		void		*out;
	} rq_p = { rq }, url_p = { url.s };
	struct iovec	 iov[2] = {
		{ rq_p.out, sizeof(*rq) }, { url_p.out, url.len }
	};
	struct msghdr	 mh = { .msg_iov = iov, .msg_iovlen = 2 };
	struct cmsghdr	*cm;
	ssize_t		 n;

	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	if (n != -1)
		return (0);
	if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
		return (err_set(err, UFOP_BUSY,
		    "too many downloads wait; try again later"));
	return (err_set(err, UFOP_UNAVAILABLE, "the fetch process is gone "
	    "(%s); try again", strerror(errno)));
}

void
fetch_conf_init(struct fetch_conf *conf, const struct settings *s,
    const struct egress_policy *policy)
{
	*conf = (struct fetch_conf){
		.policy = policy,
		.concurrency = (int)settings_int(s, "fetch", "concurrency"),
		.redirects = (int)settings_int(s, "fetch", "redirects"),
		.connect_timeout_ms = (int)settings_time_ms(s, "fetch",
		    "connect_timeout"),
		.stall_ms = (int)settings_time_ms(s, "fetch", "stall"),
		.user = settings_str(s, "worker", "child_user"),
	};
}

void
fetch_bounds(const struct settings *s, int64_t task_max, int64_t deadline_ms,
    uint64_t *max, int64_t *until_ms)
{
	int64_t	bytes = task_max > 0 ? task_max :
		    settings_size(s, "fetch", "max_bytes");
	int64_t	until = clock_mono_ms() + settings_time_ms(s, "fetch",
		    "timeout");

	if (bytes == 0)
		bytes = settings_size(s, "ufop", "max_body");
	*max = (uint64_t)bytes;
	*until_ms = until < deadline_ms ? until : deadline_ms;
}

int
fetch_send(int sock, uint64_t id, struct str url, uint64_t max_bytes,
    int64_t deadline_ms, int fd, struct ufop_err *err)
{
	struct request	rq = {
		.op = REQUEST_GET, .id = id, .max_bytes = max_bytes,
		.deadline_ms = deadline_ms
	};

	if (url.len > EGRESS_URL_MAX)
		return (err_set(err, UFOP_BAD_INPUT, "the url is longer than "
		    "%d bytes", EGRESS_URL_MAX));
	rq.url_len = (uint32_t)url.len;
	return (send_message(sock, &rq, url, fd, err));
}

int
fetch_cancel(int sock, uint64_t id, struct ufop_err *err)
{
	struct request	rq = { .op = REQUEST_CANCEL, .id = id };

	return (send_message(sock, &rq, STR_NULL, -1, err));
}

int
fetch_recv(int sock, struct fetch_reply *reply, struct ufop_err *err)
{
	ssize_t	n;

	do {
		n = recv(sock, reply, sizeof(*reply), MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	if (n == (ssize_t)sizeof(*reply))
		return (1);
	if (n == -1 && errno == EAGAIN)
		return (0);
	return (err_set(err, UFOP_UNAVAILABLE, "the fetch process is gone; "
	    "try again"));
}
