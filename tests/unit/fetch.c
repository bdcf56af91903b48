/* SPDX-License-Identifier: MIT */
/*
 * The fetch process against real servers on loopback: one that answers as its
 * path asks, on an address that is allowed, and a canary on one that is not.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fetch.h"
#include "reqid.h"
#include "unit.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_BYTES	100000

/* Connections that the servers took, across processes. */
struct hits {
	int	served;
	int	canary;
	int	gone;		/* clients that left while /hang held them */
};

/* Where the two servers listen. */
static const char		*good_ip = "127.0.0.1", *bad_ip = "127.0.0.2";
static struct hits		*hits;
static uint16_t			 port;
static struct egress_policy	 policy;
static struct fetch_conf	 conf;
static pid_t			 fetch_pid;
static int			 sock = -1;

/* ---- the server ------------------------------------------------------ */

static void
put(int c, const char *text)
{
	if (send(c, text, strlen(text), MSG_NOSIGNAL) == -1)
		_exit(0);
}

/* Until the client leaves, or the test does. */
static void
hold(int c)
{
	struct pollfd	pfd = { .fd = c, .events = POLLIN };
	char		b[64];

	while (poll(&pfd, 1, -1) == 1 && recv(c, b, sizeof(b), 0) > 0)
		;
	__atomic_add_fetch(&hits->gone, 1, __ATOMIC_SEQ_CST);
	_exit(0);
}

static void
serve_one(int c, const char *rq, const char *path, const char *arg)
{
	static char	block[65536];
	int		i;
	char		text[2048];

#define IS(p)	(strcmp(path, p) == 0)
	if (IS("/ok"))
		put(c, "HTTP/1.1 200 OK\r\nContent-Type: image/x-test\r\n"
		    "Content-Length: 5\r\n\r\nhello");
	else if (IS("/echo")) {
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n"
		    "Set-Cookie: a=b\r\nContent-Length: %zu\r\n\r\n",
		    strlen(rq));
		put(c, text);
		put(c, rq);
	} else if (IS("/status")) {
		snprintf(text, sizeof(text), "HTTP/1.1 %s X\r\n"
		    "Content-Length: 4\r\n\r\npage", arg);
		put(c, text);
	} else if (IS("/to")) {
		snprintf(text, sizeof(text), "HTTP/1.1 302 Found\r\n"
		    "Location: %s\r\nContent-Length: 2\r\n\r\ngo", arg);
		put(c, text);
	} else if (IS("/loop"))
		put(c, "HTTP/1.1 301 Moved\r\nLocation: /loop\r\n"
		    "Content-Length: 0\r\n\r\n");
	else if (IS("/lost"))
		put(c, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
	else if (IS("/endless") || IS("/endless-redirect")) {
		put(c, IS("/endless") ? "HTTP/1.1 200 OK\r\n\r\n" :
		    "HTTP/1.1 302 OK\r\nLocation: /ok\r\n\r\n");
		for (;;)
			if (send(c, block, sizeof(block), MSG_NOSIGNAL) == -1)
				_exit(0);
	} else if (IS("/claims"))
		put(c, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n"
		    "\r\n");
	else if (IS("/exact")) {
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n%x\r\n",
		    (unsigned)sizeof(block));
		put(c, text);
		memset(block, 'x', sizeof(block));
		if (send(c, block, sizeof(block), MSG_NOSIGNAL) == -1)
			_exit(0);
		put(c, "\r\n0\r\n\r\n");
	} else if (IS("/short")) {
		put(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
		_exit(0);
	} else if (IS("/cut")) {
		put(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "5\r\nhello\r\n");
		_exit(0);
	} else if (IS("/nothing"))
		_exit(0);
	else if (IS("/garbage")) {
		put(c, "SSH-2.0-x\r\nno http here\r\n");
		_exit(0);
	} else if (IS("/zero"))
		put(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	else if (IS("/hang"))
		hold(c);
	else if (IS("/stall")) {
		put(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
		hold(c);
	} else if (IS("/headers")) {
		put(c, "HTTP/1.1 200 OK\r\n");
		for (i = 0; ; i++) {
			snprintf(text, sizeof(text), "X-%d: %01000d\r\n", i, i);
			put(c, text);
		}
	} else if (IS("/continues")) {
		for (;;)
			put(c, "HTTP/1.1 100 Continue\r\n\r\n");
	} else if (IS("/odd-type"))
		put(c, "HTTP/1.1 200 OK\r\nContent-Type: a\xff\x01" "b\r\n"
		    "Content-Length: 1\r\n\r\nx");
	else
		put(c, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
#undef IS
}

/* One connection, kept alive. */
static void
serve(int c, bool canary)
{
	char	 rq[4096], *path, *end;
	size_t	 len = 0;
	ssize_t	 n;

	__atomic_add_fetch(canary ? &hits->canary : &hits->served, 1,
	    __ATOMIC_SEQ_CST);
	for (;;) {
		n = recv(c, rq + len, sizeof(rq) - len - 1, 0);
		if (n <= 0)
			_exit(0);
		len += (size_t)n;
		rq[len] = '\0';
		if (rq[0] == 0x16) {	/* a TLS hello */
			put(c, "HTTP/1.1 400 No\r\n\r\n");
			_exit(0);
		}
		if (strstr(rq, "\r\n\r\n") == NULL)
			continue;
		path = strchr(rq, ' ');
		end = path == NULL ? NULL : strchr(path + 1, ' ');
		if (end == NULL)
			_exit(0);
		{
			char	copy[sizeof(rq)];
			char	*arg;

			snprintf(copy, sizeof(copy), "%.*s",
			    (int)(end - path - 1), path + 1);
			arg = strchr(copy, '?');
			if (arg != NULL)
				*arg++ = '\0';
			serve_one(c, rq, copy, arg != NULL ? arg : "");
		}
		len = 0;
	}
}

static int
listen_on(const char *ip, uint16_t *at)
{
	struct sockaddr_in	in = { .sin_family = AF_INET };
	socklen_t		len = sizeof(in);
	int			fd, one = 1;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd != -1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	in.sin_port = htons(*at);
	CHECK_INT(inet_pton(AF_INET, ip, &in.sin_addr), 1);
	CHECK_MSG(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0,
	    "bind %s:%u: %s", ip, *at, strerror(errno));
	CHECK_INT(listen(fd, 64), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*at = ntohs(in.sin_port);
	return (fd);
}

static void
server_start(int fd, bool canary)
{
	int	c;
	pid_t	pid;

	fflush(NULL);
	pid = fork();
	CHECK(pid != -1);
	if (pid > 0) {
		close(fd);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		c = accept(fd, NULL, NULL);
		if (c == -1)
			_exit(1);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(fd);
			serve(c, canary);
		}
		close(c);
	}
}

/* ---- the client ------------------------------------------------------ */

static void
start(const char *allow, const char *deny)
{
	struct ufop_err	err = { 0 };
	int		fd;

	hits = mmap(NULL, sizeof(*hits), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(hits != MAP_FAILED);
	fd = listen_on(good_ip, &port);
	server_start(fd, false);
	server_start(listen_on(bad_ip, &port), true);

	CHECK_INT(egress_policy_init(&policy, allow, deny, &err), 0);
	conf.policy = &policy;
	if (conf.concurrency == 0)
		conf.concurrency = 4;
	if (conf.redirects == 0)
		conf.redirects = 3;
	if (conf.connect_timeout_ms == 0)
		conf.connect_timeout_ms = 5000;
	if (conf.stall_ms == 0)
		conf.stall_ms = 20000;
	conf.user = "65534";
	CHECK_MSG(fetch_spawn(&conf, &fetch_pid, &sock, &err) == 0, "%s",
	    err.msg);
}

/* The process ends when its socket does, with status 0. */
static void
stop(void)
{
	int	status;

	close(sock);
	CHECK_INT(waitpid(fetch_pid, &status, 0), fetch_pid);
	CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	    "the fetch process ended with status %#x", (unsigned)status);
	egress_policy_release(&policy);
}

static bool
readable(int fd, int ms)
{
	struct pollfd	pfd = { .fd = fd, .events = POLLIN };

	return (poll(&pfd, 1, ms) == 1);
}

static void
wait_reply(struct fetch_reply *reply)
{
	struct ufop_err	err = { 0 };

	CHECK_MSG(readable(sock, 20000), "no answer within 20 s");
	CHECK_MSG(fetch_recv(sock, reply, &err) == 1, "%s", err.msg);
}

static int
file_new(void)
{
	int	fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd == -1)
		fd = memfd_create("source", MFD_CLOEXEC);
	CHECK(fd != -1);
	return (fd);
}

static void
ask(uint64_t id, const char *url, int64_t ms, int fd)
{
	struct ufop_err	err = { 0 };

	CHECK_MSG(fetch_send(sock, id, str_from(url), MAX_BYTES,
	    clock_mono_ms() + ms, fd, &err) == 0, "%s", err.msg);
}

/* %P in the url stands for the port.  Returns the file. */
static int
get(const char *url, struct fetch_reply *reply)
{
	static uint64_t	 id;
	const char	*p = strstr(url, "%P");
	char		 full[2048];
	int		 fd = file_new();

	if (p != NULL)
		snprintf(full, sizeof(full), "%.*s%u%s", (int)(p - url), url,
		    (unsigned)port, p + 2);
	else
		snprintf(full, sizeof(full), "%s", url);
	p = strstr(full, "%P");
	if (p != NULL) {
		char	twice[2048];

		snprintf(twice, sizeof(twice), "%.*s%u%s", (int)(p - full),
		    full, (unsigned)port, p + 2);
		memcpy(full, twice, sizeof(full));
	}
	ask(++id, full, 10000, fd);
	wait_reply(reply);
	CHECK_INT(reply->id, id);
	return (fd);
}

void
test_fetch_ok(void)
{
	struct fetch_reply	reply;
	char			text[64];
	int			fd, i;

	start("127.0.0.1", "");
	for (i = 0; i < 3; i++) {
		fd = get("http://127.0.0.1:%P/ok", &reply);
		CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
		CHECK_INT(reply.status, 200);
		CHECK_INT(reply.len, 5);
		CHECK_STR(reply.type, "image/x-test");
		CHECK_INT(pread(fd, text, sizeof(text), 0), 5);
		CHECK(memcmp(text, "hello", 5) == 0);
		CHECK(reply.total_us > 0 && reply.total_us < 10000000);
		close(fd);
	}
	/* One connection served all three. */
	CHECK_INT(hits->served, 1);

	fd = get("http://127.0.0.1:%P/exact", &reply);
	CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
	CHECK_INT(reply.len, 65536);
	close(fd);
	/* Every spelling of an allowed address is that address. */
	close(get("http://2130706433:%P/ok", &reply));
	CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
	close(get("http://localhost:%P/ok", &reply));
	CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
	close(get("http://127.0.0.1:%P/odd-type", &reply));
	CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
	CHECK_STR(reply.type, "");
	stop();
}

void
test_fetch_request(void)
{
	struct fetch_reply	reply;
	char			text[4096] = "";
	int			fd;

	setenv("http_proxy", "http://127.0.0.2:1/", 1);
	setenv("ALL_PROXY", "http://127.0.0.2:1/", 1);
	start("127.0.0.1", "");
	close(get("http://127.0.0.1:%P/echo", &reply));
	fd = get("http://127.0.0.1:%P/echo", &reply);
	CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
	CHECK(pread(fd, text, sizeof(text) - 1, 0) > 0);
	CHECK(strstr(text, "GET /echo HTTP/1.1\r\n") == text);
	CHECK(strstr(text, "User-Agent: ufop/" UFOP_VERSION "\r\n") != NULL);
	CHECK(strstr(text, "Accept-Encoding: identity\r\n") != NULL);
	CHECK(strstr(text, "Cookie") == NULL);
	CHECK(strstr(text, "Authorization") == NULL);
	close(fd);
	stop();
}

void
test_fetch_failures(void)
{
	static const struct {
		const char	*url;
		int		 code;
		const char	*why;		/* part of the sentence */
	} rows[] = {
		{ "http://127.0.0.1:%P/nowhere", UFOP_BAD_SOURCE,
		    "answered 404" },
		{ "http://127.0.0.1:%P/status?500", UFOP_BAD_SOURCE,
		    "answered 500" },
		{ "http://127.0.0.1:%P/status?403", UFOP_BAD_SOURCE,
		    "answered 403" },
		{ "http://127.0.0.1:%P/status?206", UFOP_BAD_SOURCE, "206" },
		{ "http://127.0.0.1:%P/status?304", UFOP_BAD_SOURCE, "304" },
		{ "http://127.0.0.1:%P/loop", UFOP_BAD_SOURCE,
		    "more than 3 redirects" },
		{ "http://127.0.0.1:%P/lost", UFOP_BAD_SOURCE,
		    "without saying where" },
		{ "http://127.0.0.1:%P/endless", UFOP_TOO_BIG,
		    "more than 100000 bytes" },
		{ "http://127.0.0.1:%P/endless-redirect", UFOP_BAD_SOURCE,
		    "redirects with a page" },
		{ "http://127.0.0.1:%P/claims", UFOP_TOO_BIG,
		    "99999999999 bytes, the limit is 100000" },
		{ "http://127.0.0.1:%P/short", UFOP_BAD_SOURCE,
		    "ended after 5 of 100 bytes" },
		{ "http://127.0.0.1:%P/cut", UFOP_BAD_SOURCE,
		    "ended" },
		{ "http://127.0.0.1:%P/nothing", UFOP_BAD_SOURCE,
		    "without an answer" },
		{ "http://127.0.0.1:%P/garbage", UFOP_BAD_SOURCE, "HTTP/0.9" },
		{ "http://127.0.0.1:%P/zero", UFOP_BAD_SOURCE, "empty body" },
		{ "http://127.0.0.1:%P/headers", UFOP_BAD_SOURCE, "header" },
		{ "http://127.0.0.1:%P/continues", UFOP_BAD_SOURCE, "header" },
		{ "https://127.0.0.1:%P/ok", UFOP_BAD_SOURCE, "TLS" },
		{ "http://127.0.0.1:1/ok", UFOP_BAD_SOURCE,
		    "Connection refused" },
		{ "http://no-such-name.invalid/", UFOP_BAD_SOURCE,
		    "does not resolve" },
		{ "file:///etc/passwd", UFOP_BAD_INPUT, "http" },
		{ "gopher://127.0.0.1:%P/_x", UFOP_BAD_INPUT, "http" },
		{ "nonsense", UFOP_BAD_INPUT, "malformed" },
	};
	struct fetch_reply	reply;
	size_t			i;

	start("127.0.0.1", "");
	for (i = 0; i < NITEMS(rows); i++) {
		close(get(rows[i].url, &reply));
		CHECK_MSG(reply.code == rows[i].code, "%s: code %d, %s",
		    rows[i].url, reply.code, reply.msg);
		CHECK_MSG(strstr(reply.msg, rows[i].why) != NULL,
		    "%s: no '%s' in: %s", rows[i].url, rows[i].why, reply.msg);
	}
	/* None of them has hurt the process. */
	close(get("http://127.0.0.1:%P/ok", &reply));
	CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
	CHECK_INT(hits->canary, 0);
	stop();
}

void
test_fetch_guard(void)
{
	static const struct {
		const char	*url;
		const char	*why;
	} rows[] = {
		{ "http://127.0.0.2:%P/ok", "127.0.0.2" },
		{ "http://2130706434:%P/ok", "127.0.0.2" },
		{ "http://0x7f.0.0.2:%P/ok", "127.0.0.2" },
		{ "http://0177.2:%P/ok", "127.0.0.2" },
		{ "http://0:%P/ok", "0.0.0.0" },
		{ "http://[::1]:%P/ok", "::1" },
		{ "http://[::]:%P/ok", "::" },
		{ "http://[::ffff:127.0.0.1]:%P/ok", "::ffff:127.0.0.1" },
		{ "http://[::ffff:127.0.0.2]:%P/ok", "::ffff:127.0.0.2" },
		{ "http://[::127.0.0.1]:%P/ok", "refused" },
		{ "http://127.0.0.1@127.0.0.2:%P/ok", "127.0.0.2" },
		{ "http://169.254.169.254/latest/", "metadata" },
		{ "http://127.0.0.1:%P/to?http://127.0.0.2:%P/ok",
		    "redirects to where it must not" },
		{ "http://127.0.0.1:%P/to?//127.0.0.2:%P/ok", "127.0.0.2" },
		{ "http://127.0.0.1:%P/to?http://2130706434:%P/ok",
		    "127.0.0.2" },
		{ "http://127.0.0.1:%P/to?http://[::ffff:127.0.0.2]:%P/ok",
		    "::ffff:127.0.0.2" },
		{ "http://127.0.0.1:%P/to?file:///etc/passwd", "http" },
		{ "http://127.0.0.1:%P/to?gopher://127.0.0.1:%P/_x", "http" },
		{ "http://127.0.0.1:%P/to?http://10.0.0.1/", "10.0.0.1" },
		{ "http://127.0.0.1:%P/to?/to?http://127.0.0.2:%P/ok",
		    "127.0.0.2" },
	};
	struct fetch_reply	reply;
	size_t			i;

	start("127.0.0.1", "");
	for (i = 0; i < NITEMS(rows); i++) {
		close(get(rows[i].url, &reply));
		CHECK_MSG(reply.code == UFOP_BAD_SOURCE, "%s: code %d, %s",
		    rows[i].url, reply.code, reply.msg);
		CHECK_MSG(strstr(reply.msg, rows[i].why) != NULL,
		    "%s: no '%s' in: %s", rows[i].url, rows[i].why, reply.msg);
	}
	CHECK_INT(hits->canary, 0);
	/* A redirect to where it may is followed. */
	close(get("http://127.0.0.1:%P/to?/ok", &reply));
	CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
	CHECK_INT(reply.redirects, 1);
	CHECK_INT(reply.len, 5);
	stop();
}

/*
 * The name is the same, the addresses are not: what counts is the address that
 * is connected to.
 */
void
test_fetch_guard_by_address(void)
{
	struct fetch_reply	reply;

	start("::1", "");
	close(get("http://localhost:%P/ok", &reply));
	CHECK_INT(reply.code, UFOP_BAD_SOURCE);
	CHECK_MSG(strstr(reply.msg, "'localhost' at 127.0.0.1") != NULL, "%s",
	    reply.msg);
	CHECK_INT(hits->served, 0);
	stop();
}

void
test_fetch_guard_by_name(void)
{
	struct fetch_reply	reply;

	start("localhost", "127.0.0.2");
	close(get("http://localhost:%P/ok", &reply));
	CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
	close(get("http://127.0.0.1:%P/ok", &reply));
	CHECK_INT(reply.code, UFOP_BAD_SOURCE);
	stop();
}

void
test_fetch_deadline(void)
{
	struct fetch_reply	reply;
	int64_t			begun;
	char			url[64];
	int			fd = file_new();

	start("127.0.0.1", "");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hang", port);
	begun = clock_mono_ms();
	ask(7, url, 300, fd);
	wait_reply(&reply);
	CHECK_INT(reply.code, UFOP_TIMED_OUT);
	CHECK_MSG(clock_mono_ms() - begun >= 300 &&
	    clock_mono_ms() - begun < 5000, "after %lld ms",
	    (long long)(clock_mono_ms() - begun));
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/stall", port);
	ask(8, url, 300, fd);
	wait_reply(&reply);
	CHECK_INT(reply.code, UFOP_TIMED_OUT);
	CHECK(strstr(reply.msg, "after 5 bytes") != NULL);
	/* Too late before it began. */
	ask(9, url, -1, fd);
	wait_reply(&reply);
	CHECK_INT(reply.id, 9);
	CHECK_INT(reply.code, UFOP_TIMED_OUT);
	stop();
}

void
test_fetch_stall(void)
{
	struct fetch_reply	reply;

	conf.stall_ms = 1000;
	start("127.0.0.1", "");
	close(get("http://127.0.0.1:%P/stall", &reply));
	CHECK_MSG(reply.code == UFOP_BAD_SOURCE, "%d %s", reply.code,
	    reply.msg);
	CHECK_MSG(strstr(reply.msg, "nothing came for 1000 ms after 5 bytes") !=
	    NULL, "%s", reply.msg);
	stop();
}

/* Slow sources hold up only as many places as there are. */
void
test_fetch_many(void)
{
	struct fetch_reply	reply;
	char			ok[64], hang[64];
	int			fd[40], i, good = 0;
	struct ufop_err		err = { 0 };

	start("127.0.0.1", "");
	snprintf(ok, sizeof(ok), "http://127.0.0.1:%u/ok", port);
	snprintf(hang, sizeof(hang), "http://127.0.0.1:%u/hang", port);
	for (i = 0; i < 3; i++)
		ask((uint64_t)i, hang, 15000, fd[i] = file_new());
	for (; i < 40; i++)
		ask((uint64_t)i, ok, 15000, fd[i] = file_new());
	for (i = 3; i < 40; i++) {
		wait_reply(&reply);
		CHECK_MSG(reply.id >= 3 && reply.id < 40, "answer to %llu",
		    (unsigned long long)reply.id);
		CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
		CHECK_INT(reply.len, 5);
		good++;
	}
	CHECK_INT(good, 37);
	/* A full house: the next one waits until its deadline passes ... */
	ask(100, hang, 15000, fd[3]);
	ask(101, ok, 200, fd[4]);
	wait_reply(&reply);
	CHECK_INT(reply.id, 101);
	CHECK_INT(reply.code, UFOP_TIMED_OUT);
	/* ... or until a place is free; who is cancelled gets no answer. */
	ask(102, ok, 15000, fd[5]);
	CHECK_INT(fetch_cancel(sock, 1, &err), 0);
	CHECK_INT(fetch_cancel(sock, 4711, &err), 0);
	wait_reply(&reply);
	CHECK_INT(reply.id, 102);
	CHECK_INT(reply.code, UFOP_OK);
	CHECK(reply.queue_us > 0);
	/* The source sees that the one cancelled has left. */
	for (i = 0; i < 2000 && __atomic_load_n(&hits->gone,
	    __ATOMIC_SEQ_CST) == 0; i++)
		poll(NULL, 0, 5);
	CHECK_INT(hits->gone, 1);
	CHECK_INT(fetch_recv(sock, &reply, &err), 0);
	stop();
}

void
test_fetch_no_room(void)
{
	struct fetch_reply	reply;
	char			url[64];
	int			fd;

	start("127.0.0.1", "");
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", port);
	ask(1, url, 10000, fd = open("/dev/full", O_RDWR));
	close(fd);
	wait_reply(&reply);
	CHECK_INT(reply.code, UFOP_UNAVAILABLE);
	CHECK_MSG(strstr(reply.msg, "No space left") != NULL, "%s", reply.msg);
	stop();
}

void
test_fetch_send_errors(void)
{
	static char		url[EGRESS_URL_MAX + 1];
	struct fetch_reply	reply;
	struct ufop_err		err = { 0 };
	int			status;

	start("127.0.0.1", "");
	memset(url, 'a', sizeof(url));
	CHECK_INT(fetch_send(sock, 1, (struct str){ url, sizeof(url) }, 1, 1,
	    0, &err), -1);
	CHECK_INT(err.code, UFOP_BAD_INPUT);
	/* A request without a file. */
	CHECK_INT(fetch_send(sock, 2, STR("http://127.0.0.1/"), 1,
	    clock_mono_ms() + 10000, -1, &err), 0);
	wait_reply(&reply);
	CHECK_INT(reply.id, 2);
	CHECK_INT(reply.code, UFOP_UNAVAILABLE);

	CHECK_INT(kill(fetch_pid, SIGKILL), 0);
	CHECK_INT(waitpid(fetch_pid, &status, 0), fetch_pid);
	CHECK_INT(fetch_recv(sock, &reply, &err), -1);
	CHECK_INT(err.code, UFOP_UNAVAILABLE);
	CHECK_INT(fetch_send(sock, 3, STR("http://127.0.0.1/"), 1, 1, 0,
	    &err), -1);
	CHECK_INT(err.code, UFOP_UNAVAILABLE);
}

/* A parent that does not read loses no answer. */
void
test_fetch_slow_parent(void)
{
	struct fetch_reply	reply;
	struct ufop_err		err = { 0 };
	int			fd = file_new(), i, n, got = 0, sent = 0;
	char			seen[600] = { 0 };

	start("127.0.0.1", "");
	for (i = 0; i < (int)sizeof(seen); i++) {
		/* Refused at once, so that answers pile up. */
		n = fetch_send(sock, (uint64_t)i, STR("ftp://x/"), 1,
		    clock_mono_ms() + 20000, fd, &err);
		if (n == -1 && err.code == UFOP_BUSY)
			break;
		CHECK_MSG(n == 0, "%s", err.msg);
		sent++;
	}
	CHECK(sent > 100);
	while (got < sent) {
		wait_reply(&reply);
		CHECK(reply.id < (uint64_t)sent && seen[reply.id] == 0);
		seen[reply.id] = 1;
		CHECK_INT(reply.code, UFOP_BAD_INPUT);
		got++;
	}
	stop();
}

/* A file that held more before is not longer than its source afterwards. */
void
test_fetch_truncates(void)
{
	struct fetch_reply	reply;
	struct stat		st;
	char			url[64];
	int			fd = file_new();

	start("127.0.0.1", "");
	CHECK_INT(pwrite(fd, "a longer text", 13, 0), 13);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", port);
	ask(1, url, 10000, fd);
	wait_reply(&reply);
	CHECK_INT(reply.code, UFOP_OK);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_size, 5);
	stop();
}

/* ---- with names and a public address --------------------------------- */

#define PUBLIC_IP	"93.184.216.34"

/* Answer a query for one name; how is in its first label. */
static size_t
dns_answer(unsigned char *q, size_t len)
{
	static const unsigned char	a[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0,
					    60, 0, 4 };
	static const unsigned char	aaaa[] = { 0xc0, 12, 0, 28, 0, 1, 0, 0,
					    0, 60, 0, 16 };
	static int			flips;
	const char			*label = (const char *)q + 13;
	const char			*ips[2] = { NULL, NULL };
	struct in6_addr			v6;
	size_t				at = 12;
	int				i, type, n = 0;

	while (at < len && q[at] != 0)
		at += q[at] + 1u;
	type = q[at + 2];
	at += 5;
	if (strncmp(label, "slow", 4) == 0)
		return (0);
	if (type == 28 && strncmp(label, "mapped", 6) == 0)
		ips[0] = "::ffff:127.0.0.1";
	else if (type == 1 && strncmp(label, "public", 6) == 0)
		ips[0] = PUBLIC_IP;
	else if (type == 1 && strncmp(label, "inside", 6) == 0)
		ips[0] = "127.0.0.1";
	else if (type == 1 && strncmp(label, "flip", 4) == 0)
		ips[0] = flips++ % 2 == 0 ? PUBLIC_IP : "127.0.0.1";
	else if (type == 1 && strncmp(label, "both", 4) == 0) {
		ips[0] = "127.0.0.1";
		ips[1] = PUBLIC_IP;
	}
	for (i = 0; i < 2 && ips[i] != NULL; i++, n++) {
		CHECK_INT(inet_pton(type == 1 ? AF_INET : AF_INET6, ips[i],
		    &v6), 1);
		memcpy(q + at, type == 1 ? a : aaaa, sizeof(a));
		memcpy(q + at + sizeof(a), &v6, type == 1 ? 4 : 16);
		at += sizeof(a) + (type == 1 ? 4 : 16);
	}
	q[2] = 0x81;		/* an answer, recursion desired */
	q[3] = 0x80;		/* and available, no error */
	q[7] = (unsigned char)n;
	q[9] = q[11] = 0;	/* no authority, no EDNS */
	return (at);
}

static void
dns_start(void)
{
	struct sockaddr_in	in = { .sin_family = AF_INET }, from;
	socklen_t		len;
	unsigned char		q[1024];
	ssize_t			n;
	size_t			size;
	int			fd;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	in.sin_port = htons(53);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_INT(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	fflush(NULL);
	if (fork() != 0) {
		close(fd);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		len = sizeof(from);
		n = recvfrom(fd, q, 512, 0, (struct sockaddr *)&from, &len);
		if (n < 18)
			continue;
		size = dns_answer(q, (size_t)n);
		if (size > 0)
			sendto(fd, q, size, 0, (struct sockaddr *)&from, len);
	}
}

static void
interface(int fd, const char *name, const char *ip)
{
	struct ifreq		ifr = { 0 };
	struct sockaddr_in	in = { .sin_family = AF_INET };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	CHECK_INT(inet_pton(AF_INET, ip, &in.sin_addr), 1);
	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	CHECK_INT(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	CHECK_INT(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
}

/* A network of our own, with a public address in it and a name server. */
static void
own_network(void)
{
	int	fd;

	if (geteuid() != 0)
		unit_skip("only root can have a network of its own");
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) == -1)
		unit_skip("no network namespaces here");
	CHECK_INT(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	fd = open("resolv.conf", O_CREAT | O_WRONLY, 0644);
	CHECK(fd != -1 && write(fd, "nameserver 127.0.0.1\n", 21) == 21);
	CHECK_INT(fchmod(fd, 0644), 0);
	close(fd);
	if (mount("resolv.conf", "/etc/resolv.conf", NULL, MS_BIND, NULL) == -1)
		unit_skip("/etc/resolv.conf cannot be mounted over");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	interface(fd, "lo", "127.0.0.1");
	interface(fd, "lo:1", PUBLIC_IP);
	close(fd);
	dns_start();
	good_ip = PUBLIC_IP;
	bad_ip = "127.0.0.1";
}

/* No list at all: what is public is fetched, whatever else a name is tried. */
void
test_fetch_names(void)
{
	static const struct {
		const char	*url;
		int		 code;
		const char	*why;
	} rows[] = {
		{ "http://public.test:%P/ok", UFOP_OK, "" },
		{ "http://PUBLIC2.test.:%P/ok", UFOP_OK, "" },
		{ "http://both.test:%P/ok", UFOP_OK, "" },
		{ "http://inside.test:%P/ok", UFOP_BAD_SOURCE,
		    "'inside.test' at 127.0.0.1" },
		{ "http://mapped.test:%P/ok", UFOP_BAD_SOURCE,
		    "at ::ffff:127.0.0.1" },
		{ "http://public.test:%P/to?http://inside.test:%P/ok",
		    UFOP_BAD_SOURCE, "127.0.0.1" },
		{ "http://public.test:%P/to?http://public.test:%P/ok",
		    UFOP_OK, "" },
		/* The same name server, another answer each time. */
		{ "http://flip1.test:%P/ok", UFOP_OK, "" },
		{ "http://flip2.test:%P/ok", UFOP_BAD_SOURCE, "127.0.0.1" },
		{ "http://flip3.test:%P/ok", UFOP_OK, "" },
		{ "http://flip4.test:%P/ok", UFOP_BAD_SOURCE, "127.0.0.1" },
		{ "http://nothing.test:%P/ok", UFOP_BAD_SOURCE,
		    "does not resolve" },
	};
	struct fetch_reply	reply;
	size_t			i;

	own_network();
	start("", "");
	for (i = 0; i < NITEMS(rows); i++) {
		close(get(rows[i].url, &reply));
		CHECK_MSG(reply.code == rows[i].code, "%s: code %d, %s",
		    rows[i].url, reply.code, reply.msg);
		CHECK_MSG(strstr(reply.msg, rows[i].why) != NULL,
		    "%s: no '%s' in: %s", rows[i].url, rows[i].why, reply.msg);
	}
	CHECK_INT(hits->canary, 0);
	stop();
}

/* A name server that says nothing holds up nobody else. */
void
test_fetch_slow_names(void)
{
	struct fetch_reply	reply;
	char			url[64];
	int64_t			begun;
	int			i, fd = file_new();

	own_network();
	start("", "");
	begun = clock_mono_ms();
	for (i = 0; i < 3; i++) {
		snprintf(url, sizeof(url), "http://slow%d.test/", i);
		ask(1000 + (uint64_t)i, url, 300, fd);
	}
	close(get("http://public.test:%P/ok", &reply));
	CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
	for (i = 0; i < 3; i++) {
		wait_reply(&reply);
		CHECK(reply.id >= 1000);
		CHECK_INT(reply.code, UFOP_TIMED_OUT);
	}
	/* Giving up did not wait for the resolver either. */
	close(get("http://public.test:%P/ok", &reply));
	CHECK_MSG(reply.code == UFOP_OK, "%s", reply.msg);
	CHECK_MSG(clock_mono_ms() - begun < 3500, "after %lld ms",
	    (long long)(clock_mono_ms() - begun));
	stop();
}

/* Another resolv.conf: the process makes way for one that can read it. */
void
test_fetch_new_resolver(void)
{
	struct fetch_reply	reply;
	struct ufop_err		err = { 0 };
	int			fd, status;

	own_network();
	start("", "");
	close(get("http://nothing.test/", &reply));
	CHECK_INT(reply.code, UFOP_BAD_SOURCE);
	fd = open("another", O_CREAT | O_WRONLY, 0644);
	CHECK(fd != -1);
	close(fd);
	CHECK_INT(mount("another", "/etc/resolv.conf", NULL, MS_BIND, NULL),
	    0);
	ask(1, "http://nothing.test/", 10000, fd = file_new());
	CHECK(readable(sock, 20000));
	CHECK_INT(fetch_recv(sock, &reply, &err), -1);
	CHECK_INT(waitpid(fetch_pid, &status, 0), fetch_pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) != 0);
}
