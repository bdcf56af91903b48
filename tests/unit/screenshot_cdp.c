/* SPDX-License-Identifier: MIT */
/* Messages of the DevTools protocol over a pipe; the SOCKS5 grammar. */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/sockios.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "browser.h"
#include "reqid.h"
#include "socks.h"
#include "store.h"
#include "unit.h"

struct fake {
	struct cdp	 cdp;
	int		 to, from;	/* the browser's ends */
};

static void
fake_open(struct fake *f)
{
	int	 in[2], out[2];

	CHECK(pipe(in) == 0 && pipe(out) == 0);
	cdp_init(&f->cdp, in[0], out[1]);
	f->to = in[1];
	f->from = out[0];
}

static void
fake_close(struct fake *f)
{
	cdp_release(&f->cdp);
	close(f->to);
	close(f->from);
}

static void
fake_says(struct fake *f, const char *text, size_t len)
{
	CHECK(write(f->to, text, len) == (ssize_t)len);
}

static int
receive(struct fake *f, struct cdp_msg *m)
{
	return (cdp_recv(&f->cdp, clock_mono_us() + 50000, m));
}

/* The id of the one command, of this method, that the browser was sent. */
static int
sent(struct browser *b, struct fake *f, const char *method)
{
	char	 got[512], want[128];
	ssize_t	 n;
	int	 id;

	CHECK_INT(cdp_flush(&b->cdp), 0);
	n = read(f->from, got, sizeof(got));
	CHECK(n > 0 && got[n - 1] == '\0');
	CHECK_INT(strlen(got), n - 1);
	CHECK_INT(sscanf(got, "{\"id\":%d,", &id), 1);
	snprintf(want, sizeof(want), "\"method\":\"%s\"", method);
	CHECK_MSG(strstr(got, want) != NULL, "it was sent %s", got);
	return (id);
}

/* The browser answers a command about the next tab. */
static void
answered(struct browser *b, struct fake *f, int id, const char *what)
{
	struct cdp_msg	 m;
	char		 text[256];
	int		 n = snprintf(text, sizeof(text), "{\"id\":%d,%s}", id,
		    what);

	fake_says(f, text, (size_t)n + 1);
	CHECK_INT(cdp_recv(&b->cdp, clock_mono_us() + 50000, &m), 1);
	CHECK(browser_message(b, &m));
}

void
test_screenshot_browser_leaves_nothing_of_a_tab_that_fails(void)
{
	static const char	 no[] = "\"error\":{\"message\":\"no\"}";
	static const char	 gone[] = "Target.disposeBrowserContext\","
	    "\"params\":{\"browserContextId\":\"NEW\"}";
	struct browser		 b = { .up = true };
	struct fake		 f;
	int			 id;

	fake_open(&f);
	b.cdp = f.cdp;
	/* That of the job before is none to make a target in. */
	snprintf(b.next.context, sizeof(b.next.context), "OLD");
	browser_prepare(&b);
	answered(&b, &f, sent(&b, &f, "Target.createBrowserContext"), no);
	CHECK_INT(b.cdp.out.len, 0);
	CHECK_INT(b.next_state, NEXT_NONE);
	/* Of a context that there is, no page comes about. */
	browser_prepare(&b);
	id = sent(&b, &f, "Target.createBrowserContext");
	answered(&b, &f, id, "\"result\":{\"browserContextId\":\"NEW\"}");
	answered(&b, &f, id + 2, no);
	CHECK_INT(b.next_state, NEXT_NONE);
	CHECK(memmem(b.cdp.out.p, b.cdp.out.len, gone, sizeof(gone) - 1) !=
	    NULL);
	f.cdp = b.cdp;
	fake_close(&f);
}

void
test_screenshot_cdp_sends(void)
{
	static const char	 want[] = "{\"id\":1,\"method\":\"A.b\","
	    "\"params\":{}}\0"
	    "{\"id\":2,\"method\":\"C.d\",\"params\":{\"e\":1},\"sessionId\":"
	    "\"S\"}";
	struct cdp_msg		 m;
	struct fake		 f;
	char			 got[256];

	fake_open(&f);
	CHECK_INT(cdp_send(&f.cdp, "", "A.b", json_object()), 1);
	/* What cannot be put into JSON is not sent without it. */
	CHECK_INT(cdp_send(&f.cdp, "", "B.c", json_pack("{s:s}", "d",
	    "\xff\xfe")), -1);
	CHECK_INT(cdp_send(&f.cdp, "S", "C.d", json_pack("{s:i}", "e", 1)), 2);
	CHECK_INT(receive(&f, &m), 0);
	CHECK_INT(read(f.from, got, sizeof(got)), sizeof(want));
	CHECK(memcmp(got, want, sizeof(want)) == 0);
	fake_close(&f);
}

void
test_screenshot_cdp_receives(void)
{
	static const char	 one[] = "{\"id\":7,\"result\":{},\"sessionId\":"
	    "\"ABC\"}";
	static const char	 two[] = "{\"method\":\"Page.x\",\"params\":{}}";
	struct cdp_msg		 m;
	struct fake		 f;
	json_t			*json;

	fake_open(&f);
	/* In pieces, two at once, and one cut in the middle. */
	fake_says(&f, one, 5);
	CHECK_INT(receive(&f, &m), 0);
	fake_says(&f, one + 5, sizeof(one) - 5);
	fake_says(&f, two, sizeof(two));
	fake_says(&f, one, 9);
	CHECK_INT(receive(&f, &m), 1);
	CHECK_INT(m.id, 7);
	CHECK(str_eq_c(m.session, "ABC"));
	json = cdp_parse(&m);
	CHECK(json_is_object(json_object_get(json, "result")));
	json_decref(json);
	CHECK_INT(receive(&f, &m), 1);
	CHECK_INT(m.id, 0);
	CHECK(str_eq_c(m.method, "Page.x"));
	CHECK_INT(m.session.len, 0);
	CHECK_INT(receive(&f, &m), 0);
	fake_says(&f, one + 9, sizeof(one) - 9);
	CHECK_INT(receive(&f, &m), 1);
	close(f.to);
	CHECK_INT(receive(&f, &m), -1);
	fake_close(&f);
}

/* A message, and whose it is. */
static const struct {
	const char	*text;
	const char	*session;
} sessions[] = {
	{ "{\"id\":7,\"result\":{},\"sessionId\":\"ABC\"}", "ABC" },
	/* A page may name a thing so, or write text like it. */
	{ "{\"id\":7,\"result\":{\"value\":{\"sessionId\":\"x\"}},"
	    "\"sessionId\":\"ABC\"}", "ABC" },
	{ "{\"id\":7,\"result\":{\"value\":\"\\\"sessionId\\\":\\\"x\"},"
	    "\"sessionId\":\"ABC\"}", "ABC" },
	{ "{\"id\":7,\"result\":{\"sessionId\":\"x\"}}", "" },
	{ "{\"id\":7,\"a\":\"\\\"sessionId\\\":\\\"x\"}", "" },
	{ "{\"id\":7,\"result\":{}}", "" },
	{ "\"}", "" },
	{ "", "" },
};

void
test_screenshot_cdp_sessions(void)
{
	struct cdp_msg	 m;
	struct fake	 f;
	size_t		 i;

	fake_open(&f);
	for (i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
		fake_says(&f, sessions[i].text, strlen(sessions[i].text) + 1);
		CHECK_INT(receive(&f, &m), 1);
		CHECK_MSG(str_eq_c(m.session, sessions[i].session), "%s: "
		    "'%.*s'", sessions[i].text, (int)m.session.len,
		    m.session.s);
	}
	fake_close(&f);
}

void
test_screenshot_cdp_picture_is_cut_out(void)
{
	struct cdp_msg	 m = { .text = STR("{\"id\":3,\"result\":{\"data\":"
	    "\"aGVsbG8=\"},\"sessionId\":\"S\"}") };
	struct str	 b64;
	unsigned char	 out[16];

	CHECK(cdp_data(&m, &b64));
	CHECK_INT(cdp_b64(out, b64), 5);
	CHECK(memcmp(out, "hello", 5) == 0);
	m.text = STR("{\"id\":3,\"result\":{\"frameId\":\"x\"}}");
	CHECK(!cdp_data(&m, &b64));
	m.text = STR("{\"id\":3,\"result\":{\"data\":\"abc");
	CHECK(!cdp_data(&m, &b64));
	m.text = STR("{}");
	CHECK(!cdp_data(&m, &b64));
}

void
test_screenshot_cdp_base64(void)
{
	unsigned char	 in[256], out[512];
	struct str	 b64;
	json_t		*json;
	size_t		 i, n;

	for (i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)(i * 37 + 11);
	for (n = 0; n < sizeof(in); n++) {
		json = cdp_b64_json(in, n);
		b64 = str_from(json_string_value(json));
		CHECK_INT(cdp_b64(out, b64), n);
		CHECK(memcmp(in, out, n) == 0);
		CHECK_INT(str_b64_decode(out, b64), n);
		json_decref(json);
	}
	CHECK_INT(cdp_b64(out, STR("abc")), -1);
	CHECK_INT(cdp_b64(out, STR("ab-_")), -1);
	CHECK_INT(cdp_b64(out, STR("a===")), -1);
	CHECK_INT(cdp_b64(out, STR("=abc")), -1);
	CHECK_INT(cdp_b64(out, STR("ab=c")), -1);
}

void
test_screenshot_socks_greeting(void)
{
	static const unsigned char	 good[] = { 5, 2, 2, 0 };
	static const unsigned char	 no_method[] = { 5, 1, 2 };
	static const unsigned char	 four[] = { 4, 1 };
	size_t				 i;

	for (i = 0; i < sizeof(good); i++)
		CHECK_INT(socks_greeting(good, i), 0);
	CHECK_INT(socks_greeting(good, sizeof(good)), 4);
	CHECK_INT(socks_greeting(no_method, 3), -1);
	CHECK_INT(socks_greeting(four, 2), -1);
}

void
test_screenshot_socks_request(void)
{
	static const struct {
		const char	*bytes;
		size_t		 len;
		int		 rc, code, port;
		const char	*host;
	} cases[] = {
		{ "\5\1\0\1\x7f\0\0\1\0\x50", 10, 10, 0, 80, "127.0.0.1" },
		{ "\5\1\0\3\4A.bc\1\xbb", 11, 11, 0, 443, "a.bc" },
		{ "\5\1\0\3\12" "2130706433\0\x50", 17, 17, 0, 80,
		    "127.0.0.1" },
		{ "\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50", 22, 22, 0,
		    80, "::1" },
		{ "\5\1\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1\0\x50", 22,
		    22, 0, 80, "::ffff:127.0.0.1" },
		{ "\5\2\0\1\x7f\0\0\1\0\x50", 10, -1, 7, 0, NULL },
		{ "\5\3\0\1\x7f\0\0\1\0\x50", 10, -1, 7, 0, NULL },
		{ "\5\1\0\2\x7f\0\0\1\0\x50", 10, -1, 8, 0, NULL },
		{ "\4\1\0\1\x7f\0\0\1\0\x50", 10, -1, 1, 0, NULL },
		{ "\5\1\0\1\x7f\0\0\1\0\0", 10, -1, 1, 0, NULL },
		{ "\5\1\0\3\0\0\x50", 7, -1, 1, 0, NULL },
		{ "\5\1\0\3\3a\0b\0\x50", 10, -1, 1, 0, NULL },
		{ "\5\1\0\3\3a b\0\x50", 10, -1, 1, 0, NULL },
	};
	char		 host[EGRESS_HOST_MAX + 1];
	uint16_t	 port;
	size_t		 i, n;
	int		 code;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const unsigned char	*p =
		    (const unsigned char *)cases[i].bytes;

		if (cases[i].rc > 0)
			for (n = 0; n < cases[i].len; n++)
				CHECK_MSG(socks_request(p, n, host, &port,
				    &code) == 0, "case %zu, %zu bytes", i, n);
		CHECK_MSG(socks_request(p, cases[i].len, host, &port, &code) ==
		    cases[i].rc, "case %zu", i);
		if (cases[i].rc == -1) {
			CHECK_INT(code, cases[i].code);
			continue;
		}
		CHECK_STR(host, cases[i].host);
		CHECK_INT(port, cases[i].port);
	}
}

/* ---- the filter at work, with names that take their time -------------- */

#define SLOW_NAMES	64	/* as many as the filter waits for at once */

static struct {
	_Atomic int	asked;		/* for slow names */
	int		never[2];	/* nothing is ever written to it */
} names;

static int
slow_lookup(const char *host, const char *port, const struct addrinfo *hints,
    struct addrinfo **addrs)
{
	char	 c;

	(void)port;
	(void)hints;
	(void)addrs;
	if (strncmp(host, "slow", 4) == 0) {
		atomic_fetch_add(&names.asked, 1);
		(void)!read(names.never[0], &c, 1);
	}
	return (EAI_NONAME);
}

/* A connection that has asked the filter at sock for a name. */
static int
ask_for(int sock, const char *name)
{
	unsigned char	 rq[64] = { 5, 1, 0, 3 };
	size_t		 n = strlen(name);
	union {
		struct cmsghdr	 align;
		char		 room[CMSG_SPACE(sizeof(int))];
	} ctl = { .room = "" };
	char		 byte = 0;
	struct iovec	 iov = { &byte, 1 };
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = ctl.room, .msg_controllen = sizeof(ctl.room) };
	struct cmsghdr	*cm = CMSG_FIRSTHDR(&mh);
	int		 sp[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sp) == 0);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &sp[1], sizeof(int));
	CHECK(sendmsg(sock, &mh, 0) == 1);
	close(sp[1]);
	CHECK(write(sp[0], "\5\1\0", 3) == 3);
	CHECK(read(sp[0], rq + 8, 2) == 2);
	rq[4] = (unsigned char)n;
	memcpy(rq + 5, name, n);
	rq[5 + n] = 0;
	rq[6 + n] = 80;
	CHECK(write(sp[0], rq, n + 7) == (ssize_t)n + 7);
	return (sp[0]);
}

/* The code of the reply, which ends the connection. */
static int
reply_of(int fd)
{
	unsigned char	 reply[10];

	CHECK(read(fd, reply, sizeof(reply)) == sizeof(reply));
	close(fd);
	return (reply[1]);
}

static struct {
	int			 sock;
	struct egress_policy	 policy;
	struct socks_notes	 notes;
} filter;

static void *
filter_run(void *arg)
{
	(void)arg;
	socks_serve(filter.sock, &filter.policy, &filter.notes);
	return (NULL);
}

void
test_screenshot_socks_names_do_not_outlive_their_page(void)
{
	struct ufop_err	 err;
	pthread_t	 thread;
	char		 name[32];
	int64_t		 until = clock_mono_ms() + 10000;
	int		 sp[2], fd[SLOW_NAMES], i, code;

	CHECK(pipe(names.never) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sp) == 0);
	CHECK(egress_policy_init(&filter.policy, "", "", &err) == 0);
	filter.sock = sp[1];
	socks_lookup = slow_lookup;
	CHECK(pthread_create(&thread, NULL, filter_run, NULL) == 0);
	CHECK_INT(reply_of(ask_for(sp[0], "fast.test")), 4);
	for (i = 0; i < SLOW_NAMES; i++) {
		snprintf(name, sizeof(name), "slow%d.test", i);
		fd[i] = ask_for(sp[0], name);
	}
	while (atomic_load(&names.asked) < SLOW_NAMES &&
	    clock_mono_ms() < until)
		sched_yield();
	/* One more is refused, and that is told. */
	CHECK_INT(reply_of(ask_for(sp[0], "fast.test")), 1);
	CHECK(strstr(filter.notes.note[1].msg, "too many names") != NULL);
	for (i = 0; i < SLOW_NAMES; i++)
		close(fd[i]);
	/* The page is gone: its names are in nobody's way. */
	do
		code = reply_of(ask_for(sp[0], "fast.test"));
	while (code != 4 && clock_mono_ms() < until);
	CHECK_INT(code, 4);
	/* Those that were waiting may end now, and nobody is told. */
	close(names.never[1]);
	CHECK_INT(reply_of(ask_for(sp[0], "fast.test")), 4);
	close(sp[0]);
	CHECK(pthread_join(thread, NULL) == 0);
	egress_policy_release(&filter.policy);
}

static int
keep(struct store *st, const char *url, const char *ext, char path[256])
{
	struct ufop_err	 err = { 0 };
	int		 fd = memfd_create("picture", MFD_CLOEXEC), rc;

	CHECK(write(fd, "picture", 7) == 7);
	rc = store_put(st, str_from(url), ext, fd, 7, path, 256, &err);
	close(fd);
	return (rc);
}

void
test_screenshot_store_passes_a_late_answer_over(void)
{
	struct store	 st = { 0 };
	struct ufop_err	 err;
	char		 path[256], first[256];
	int64_t		 until = clock_mono_ms() + 5000;
	int		 waiting = 0;
	pid_t		 asker;

	CHECK_INT(store_start(&st, "kept", &err), 0);
	CHECK_INT(keep(&st, "http://a/", "png", first), 0);
	/* Whoever asks next is gone before the answer comes. */
	kill(st.pid, SIGSTOP);
	asker = fork();
	if (asker == 0) {
		(void)keep(&st, "http://a/", "png", path);
		_exit(0);
	}
	while (waiting == 0 && clock_mono_ms() < until)
		CHECK_INT(ioctl(st.sock, SIOCOUTQ, &waiting), 0);
	CHECK(waiting > 0);
	kill(asker, SIGKILL);
	CHECK_INT(waitpid(asker, NULL, 0), asker);
	/* The one who was asked in vain has numbered it. */
	st.serial++;
	kill(st.pid, SIGCONT);
	CHECK_INT(keep(&st, "http://b/", "jpg", path), 0);
	CHECK_MSG(strcmp(path, first) != 0, "it got the answer before: %s",
	    path);
	CHECK_STR(path + strlen(path) - 4, ".jpg");
	CHECK_INT(access(path, R_OK), 0);
	store_end(&st);
}

void
test_screenshot_store_leaves_the_file_of_another_host(void)
{
	struct store	 st = { 0 };
	struct ufop_err	 err;
	char		 path[256], other[300];
	struct stat	 sb;
	int		 fd;

	CHECK_INT(store_start(&st, "kept", &err), 0);
	CHECK_INT(keep(&st, "http://a/", "webp", path), 0);
	CHECK_STR(path + strlen(path) - 5, ".webp");
	/* Being written by a process that has the pid of ours, elsewhere. */
	snprintf(other, sizeof(other), "%.8s.%.32s.%d", path, path + 8,
	    (int)st.pid);
	fd = open(other, O_WRONLY | O_CREAT | O_EXCL, 0644);
	CHECK(fd != -1);
	CHECK_INT(keep(&st, "http://a/", "webp", path), 0);
	CHECK_INT(fstat(fd, &sb), 0);
	CHECK_INT(sb.st_nlink, 1);
	CHECK_INT(sb.st_size, 0);
	CHECK_INT(access(other, R_OK), 0);
	close(fd);
	store_end(&st);
}

static int
count_files(const char *path)
{
	DIR		*dir = opendir(path);
	struct dirent	*de;
	int		 n = 0;

	CHECK_MSG(dir != NULL, "there is no %s", path);
	while ((de = readdir(dir)) != NULL)
		n += strcmp(de->d_name, ".") != 0 &&
		    strcmp(de->d_name, "..") != 0;
	closedir(dir);
	return (n);
}

void
test_screenshot_store_leaves_nothing_when_killed(void)
{
	struct rlimit	 limit = { 4096, RLIM_INFINITY };
	struct store	 st = { 0 };
	struct ufop_err	 err;
	char		 path[256], none[256], *slash;
	int		 fd, status;

	fd = open(".", O_TMPFILE | O_WRONLY, 0600);
	if (fd == -1)
		unit_skip("files here have names from the start");
	close(fd);
	CHECK_INT(store_start(&st, "kept", &err), 0);
	CHECK_INT(keep(&st, "http://a/", "png", path), 0);
	slash = strrchr(path, '/');
	CHECK(slash != NULL);
	*slash = '\0';
	/* The kernel kills it in the middle of the file. */
	CHECK_INT(prlimit(st.pid, RLIMIT_FSIZE, &limit, NULL), 0);
	fd = memfd_create("picture", MFD_CLOEXEC);
	CHECK_INT(ftruncate(fd, 100000), 0);
	CHECK_INT(store_put(&st, STR("http://a/"), "png", fd, 100000, none,
	    sizeof(none), &err), -1);
	close(fd);
	CHECK_INT(waitpid(st.pid, &status, 0), st.pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
	CHECK_INT(count_files(path), 1);
	*slash = '/';
	CHECK_INT(access(path, R_OK), 0);
}
