/* SPDX-License-Identifier: MIT */
/*
 * The egress guard: what a url may be, and which addresses are let through.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <string.h>

#include "egress.h"
#include "unit.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

static int
check(const struct egress_policy *p, const char *ip, const char *host,
    struct ufop_err *err)
{
	struct sockaddr_in	in = { .sin_family = AF_INET };
	struct sockaddr_in6	in6 = { .sin6_family = AF_INET6 };

	memset(err, 0, sizeof(*err));
	if (inet_pton(AF_INET, ip, &in.sin_addr) == 1)
		return (egress_check_addr(p, (struct sockaddr *)&in, host,
		    err));
	CHECK_INT(inet_pton(AF_INET6, ip, &in6.sin6_addr), 1);
	return (egress_check_addr(p, (struct sockaddr *)&in6, host, err));
}

void
test_egress_addresses(void)
{
	static const struct {
		const char	*ip;
		const char	*why;	/* part of the sentence; NULL: passes */
	} rows[] = {
		{ "1.1.1.1", NULL },
		{ "8.8.8.8", NULL },
		{ "9.255.255.255", NULL },
		{ "11.0.0.0", NULL },
		{ "100.63.255.255", NULL },
		{ "100.128.0.0", NULL },
		{ "126.255.255.255", NULL },
		{ "128.0.0.1", NULL },
		{ "169.253.255.255", NULL },
		{ "169.255.0.0", NULL },
		{ "172.15.255.255", NULL },
		{ "172.32.0.0", NULL },
		{ "192.0.1.0", NULL },
		{ "192.167.255.255", NULL },
		{ "192.169.0.0", NULL },
		{ "198.17.255.255", NULL },
		{ "198.20.0.0", NULL },
		{ "223.255.255.255", NULL },
		{ "168.63.129.15", NULL },
		{ "2606:4700:4700::1111", NULL },
		{ "2a00:1450:4001::1", NULL },
		{ "2001:4860:4860::8888", NULL },
		{ "2001:200::1", NULL },

		{ "0.0.0.0", "this host" },
		{ "0.255.255.255", "this host" },
		{ "10.0.0.0", "private" },
		{ "10.255.255.255", "private" },
		{ "100.64.0.0", "CGNAT" },
		{ "100.127.255.255", "CGNAT" },
		{ "127.0.0.1", "loopback" },
		{ "127.255.255.255", "loopback" },
		{ "169.254.0.1", "link-local" },
		{ "172.16.0.0", "private" },
		{ "172.31.255.255", "private" },
		{ "192.0.0.8", "protocol" },
		{ "192.0.2.2", "documentation" },
		{ "192.88.99.1", "6to4" },
		{ "192.168.0.0", "private" },
		{ "192.168.255.255", "private" },
		{ "198.18.0.0", "benchmarking" },
		{ "198.19.255.255", "benchmarking" },
		{ "198.51.100.7", "documentation" },
		{ "203.0.113.7", "documentation" },
		{ "224.0.0.1", "multicast" },
		{ "239.255.255.255", "multicast" },
		{ "240.0.0.1", "reserved" },
		{ "255.255.255.254", "reserved" },
		{ "255.255.255.255", "broadcast" },
		{ "169.254.169.254", "metadata" },
		{ "169.254.170.2", "metadata" },
		{ "100.100.100.200", "metadata" },
		{ "168.63.129.16", "metadata" },
		{ "192.0.0.192", "metadata" },
		{ "fd00:ec2::254", "metadata" },

		{ "::", "this host" },
		{ "::1", "loopback" },
		{ "::2", "disguise" },
		{ "::127.0.0.1", "disguise" },
		{ "::8.8.8.8", "disguise" },
		{ "::ffff:127.0.0.1", "disguise" },
		{ "::ffff:8.8.8.8", "disguise" },
		{ "::ffff:0:127.0.0.1", "disguise" },
		{ "64:ff9b::a00:1", "NAT64" },
		{ "64:ff9b::8.8.8.8", "NAT64" },
		{ "64:ff9b:1::1", "NAT64" },
		{ "2002:7f00:1::", "6to4" },
		{ "2002:808:808::1", "6to4" },
		{ "2001::1", "Teredo" },
		{ "2001:0:ffff::1", "Teredo" },
		{ "2001:2::1", "protocol" },
		{ "2001:1ff:ffff::1", "protocol" },
		{ "2001:db8::1", "documentation" },
		{ "3fff:fff::1", "documentation" },
		{ "fc00::1", "private" },
		{ "fdff::1", "private" },
		{ "fe80::1", "link-local" },
		{ "febf::1", "link-local" },
		{ "fec0::1", "site-local" },
		{ "ff02::1", "multicast" },
		{ "100::1", "not an address of the internet" },
		{ "4000::1", "not an address of the internet" },
		{ "2606:4700::5efe:7f00:1", "ISATAP" },
		{ "2606:4700::200:5efe:7f00:1", "ISATAP" },
	};
	struct egress_policy	p;
	struct ufop_err		err;
	size_t			i;
	int			rv;

	CHECK_INT(egress_policy_init(&p, NULL, "", &err), 0);
	for (i = 0; i < NITEMS(rows); i++) {
		rv = check(&p, rows[i].ip, NULL, &err);
		if (rows[i].why == NULL) {
			CHECK_MSG(rv == 0, "%s: %s", rows[i].ip, err.msg);
			continue;
		}
		CHECK_MSG(rv == -1, "%s passed", rows[i].ip);
		CHECK_INT(err.code, UFOP_BAD_SOURCE);
		CHECK_MSG(strstr(err.msg, rows[i].why) != NULL,
		    "%s: no '%s' in: %s", rows[i].ip, rows[i].why, err.msg);
	}
	/* The sentence names the host and the address. */
	CHECK_INT(check(&p, "10.0.0.7", "intra.example", &err), -1);
	CHECK(strstr(err.msg, "'intra.example' at 10.0.0.7") != NULL);
	egress_policy_release(&p);
}

void
test_egress_family(void)
{
	struct sockaddr		sa = { .sa_family = AF_UNIX };
	struct egress_policy	p;
	struct ufop_err		err = { 0 };

	CHECK_INT(egress_policy_init(&p, "0.0.0.0/0 ::/0", NULL, &err), 0);
	CHECK_INT(egress_check_addr(&p, &sa, "x", &err), -1);
	CHECK_INT(err.code, UFOP_BAD_SOURCE);
	egress_policy_release(&p);
}

void
test_egress_lists(void)
{
	static const struct {
		const char	*allow, *deny, *ip, *host;
		int		 rv;
	} rows[] = {
		/* allow opens, and only what it names */
		{ "127.0.0.1", "", "127.0.0.1", NULL, 0 },
		{ "127.0.0.1", "", "127.0.0.2", NULL, -1 },
		{ "10.0.0.0/8, 192.168.7.0/24", "", "10.9.8.7", NULL, 0 },
		{ "10.0.0.0/8, 192.168.7.0/24", "", "192.168.7.255", NULL, 0 },
		{ "10.0.0.0/8, 192.168.7.0/24", "", "192.168.8.0", NULL, -1 },
		{ "10.1.2.3/31", "", "10.1.2.2", NULL, 0 },
		{ "10.1.2.3/31", "", "10.1.2.4", NULL, -1 },
		{ "fd00::/9", "", "fd00::1", NULL, 0 },
		{ "fd00::/9", "", "fd80::1", NULL, -1 },
		{ "::1", "", "::1", NULL, 0 },
		{ "[::1]", "", "::1", NULL, 0 },
		{ "127.0.0.1", "", "::ffff:127.0.0.1", NULL, -1 },
		{ "127.0.0.1", "", "8.8.8.8", NULL, 0 },
		{ "0.0.0.0/0", "", "169.254.169.254", NULL, 0 },
		/* names */
		{ "store.internal", "", "10.0.0.1", "store.internal", 0 },
		{ "Store.Internal.", "", "10.0.0.1", "store.internal", 0 },
		{ "store.internal", "", "10.0.0.1", "x.store.internal", -1 },
		{ "*.internal", "", "10.0.0.1", "a.b.internal", 0 },
		{ "*.internal", "", "10.0.0.1", "internal", -1 },
		{ "*.internal", "", "10.0.0.1", "xinternal", -1 },
		{ "*.internal", "", "10.0.0.1", NULL, -1 },
		/* a name does not open metadata, an address does */
		{ "*.internal", "", "169.254.169.254", "m.internal", -1 },
		{ "*.internal", "", "fd00:ec2::254", "m.internal", -1 },
		{ "169.254.169.254", "", "169.254.169.254", "m.internal", 0 },
		/* deny wins */
		{ "10.0.0.0/8", "10.0.0.1", "10.0.0.1", NULL, -1 },
		{ "10.0.0.0/8", "10.0.0.1", "10.0.0.2", NULL, 0 },
		{ "", "8.8.8.0/24", "8.8.8.8", NULL, -1 },
		{ "", "8.8.8.0/24", "8.8.4.4", NULL, 0 },
		{ "", "evil.example", "8.8.8.8", "evil.example", -1 },
		{ "8.8.8.8", "*.example", "8.8.8.8", "evil.example", -1 },
		{ "", "*.example", "8.8.8.8", "example", 0 },
		/* deny sees through the spellings that allow has opened */
		{ "::ffff:0:0/96", "8.8.8.8", "::ffff:8.8.8.8", NULL, -1 },
		{ "::ffff:0:0/96", "8.8.8.8", "::ffff:8.8.4.4", NULL, 0 },
		{ "64:ff9b::/96", "10.0.0.0/8", "64:ff9b::10.1.1.1", NULL, -1 },
		{ "2002::/16", "10.0.0.0/8", "2002:a01:101::1", NULL, -1 },
		{ "2001::/32", "10.0.0.0/8", "2001::f5fe:fefe", NULL, -1 },
	};
	struct egress_policy	p;
	struct ufop_err		err;
	size_t			i;

	for (i = 0; i < NITEMS(rows); i++) {
		CHECK_MSG(egress_policy_init(&p, rows[i].allow, rows[i].deny,
		    &err) == 0, "row %zu: %s", i, err.msg);
		CHECK_MSG(check(&p, rows[i].ip, rows[i].host, &err) ==
		    rows[i].rv, "row %zu (%s %s): %s", i, rows[i].ip,
		    rows[i].allow, err.msg);
		egress_policy_release(&p);
	}
}

void
test_egress_list_errors(void)
{
	static const char *const	bad[] = {
		"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/8/9",
		"10.0.0.0/-1", "::/129", "example.com/8", "*.10.0.0.1",
		"256.1.1.1", "*", "*.", "*.*.example", "exa_mple!",
		"a..b", "http://x/", "fe80::1%eth0", "[::1", "1.2.3.4 10.0.0.0/40",
	};
	struct egress_policy		p;
	struct ufop_err			err;
	size_t				i;

	for (i = 0; i < NITEMS(bad); i++) {
		memset(&err, 0, sizeof(err));
		CHECK_MSG(egress_policy_init(&p, bad[i], "", &err) == -1,
		    "'%s' was taken", bad[i]);
		CHECK_INT(err.code, UFOP_CONFIG);
		CHECK_MSG(strstr(err.msg, "fetch.allow") != NULL, "%s",
		    err.msg);
		CHECK_INT(egress_policy_init(&p, "10.0.0.1 x.example", bad[i],
		    &err), -1);
		CHECK_MSG(strstr(err.msg, "fetch.deny") != NULL, "%s",
		    err.msg);
	}
}

void
test_egress_hosts(void)
{
	static const struct {
		const char	*in;
		const char	*out;	/* NULL: refused */
	} rows[] = {
		{ "example.com", "example.com" },
		{ "EXAMPLE.Com.", "example.com" },
		{ "a_b-c.example", "a_b-c.example" },
		{ "127.0.0.1", "127.0.0.1" },
		{ "127.0.0.1.", "127.0.0.1" },
		{ "2130706433", "127.0.0.1" },
		{ "0x7f000001", "127.0.0.1" },
		{ "0X7F.1", "127.0.0.1" },
		{ "0177.0.0.01", "127.0.0.1" },
		{ "017700000001", "127.0.0.1" },
		{ "127.1", "127.0.0.1" },
		{ "127.0.1", "127.0.0.1" },
		{ "0", "0.0.0.0" },
		{ "[::1]", "::1" },
		{ "::1", "::1" },
		{ "[0:0:0:0:0:0:0:1]", "::1" },
		{ "[::ffff:127.0.0.1]", "::ffff:127.0.0.1" },
		{ "[::FFFF:7f00:1]", "::ffff:127.0.0.1" },
		{ "b\xc3\xbc" "cher.example", "xn--bcher-kva.example" },
		{ "\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95",
		    "xn--fsqu00a.xn--0zwm56d" },
		/* full-width 127.0.0.1, circled 1, ideographic full stop */
		{ "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1", "127.0.0.1" },
		{ "127\xe3\x80\x82" "0\xe3\x80\x82" "0\xe3\x80\x82" "1",
		    "127.0.0.1" },
		{ "12\xe2\x91\xa6.0.0.1", "127.0.0.1" },

		{ "", NULL },
		{ ".", NULL },
		{ "..", NULL },
		{ "a..b", NULL },
		{ ".a", NULL },
		{ "a b", NULL },
		{ "a\tb", NULL },
		{ "a\x7f" "b", NULL },
		{ "a/b", NULL },
		{ "a@b", NULL },
		{ "a%41", NULL },
		{ "a\\b", NULL },
		{ "256.256.256.256", NULL },
		{ "1.2.3.4.5", NULL },
		{ "4294967296", NULL },
		{ "0x", NULL },
		{ "example.0x7f", NULL },
		{ "09.0.0.1", NULL },
		{ "[fe80::1%eth0]", NULL },
		{ "[fe80::1%25eth0]", NULL },
		{ "fe80::1%1", NULL },
		{ "[]", NULL },
		{ "[127.0.0.1]", NULL },
		{ "[::1", NULL },
		{ "::1.", NULL },
		{ ":::", NULL },
		{ "\xff\xfe", NULL },
		{ "a\xc3", NULL },
		{ "\xef\xb8\x8f", NULL },	/* mapped to nothing */
	};
	char		out[EGRESS_HOST_MAX + 1], longest[300];
	struct ufop_err	err;
	size_t		i;
	int		rv;

	for (i = 0; i < NITEMS(rows); i++) {
		memset(&err, 0, sizeof(err));
		rv = egress_host(str_from(rows[i].in), out, &err);
		CHECK_MSG(rv == (rows[i].out == NULL ? -1 : 0),
		    "'%s' gave %d %s %s", rows[i].in, rv, rv == 0 ? out : "",
		    err.msg);
		if (rv == 0)
			CHECK_STR(out, rows[i].out);
		else
			CHECK_INT(err.code, UFOP_BAD_INPUT);
	}
	memset(longest, 'a', sizeof(longest));
	CHECK_INT(egress_host((struct str){ longest, 253 }, out, &err), 0);
	CHECK_INT(egress_host((struct str){ longest, 254 }, out, &err), -1);
	longest[253] = '.';
	CHECK_INT(egress_host((struct str){ longest, 254 }, out, &err), 0);
	CHECK_INT(strlen(out), 253);
	CHECK_INT(egress_host((struct str){ "a\0b", 3 }, out, &err), -1);
}

void
test_egress_urls(void)
{
	static const struct {
		const char	*in;
		int		 code;		/* UFOP_OK: passes */
		const char	*out;
	} rows[] = {
		{ "http://example.com", UFOP_OK, "http://example.com/" },
		{ "HTTP://EXAMPLE.com./a?b#c", UFOP_OK,
		    "http://example.com/a?b" },
		{ "https://example.com:8443/x%20y", UFOP_OK,
		    "https://example.com:8443/x%20y" },
		{ "http://example.com/a b/\xc3\xbc?q=\xc3\xbc", UFOP_OK,
		    "http://example.com/a%20b/%c3%bc?q=%c3%bc" },
		{ "http://b\xc3\xbc" "cher.example/", UFOP_OK,
		    "http://xn--bcher-kva.example/" },
		{ "http://134744072/", UFOP_OK, "http://8.8.8.8/" },
		{ "http://[2606:4700:4700:0:0:0:0:1111]:80/", UFOP_OK,
		    "http://[2606:4700:4700::1111]:80/" },
		{ "http://u:p@example.com/", UFOP_OK,
		    "http://u:p@example.com/" },
		{ "http://localhost/", UFOP_OK, "http://localhost/" },

		{ "", UFOP_BAD_INPUT, NULL },
		{ "example.com", UFOP_BAD_INPUT, NULL },
		{ "//example.com/", UFOP_BAD_INPUT, NULL },
		{ "file:///etc/passwd", UFOP_BAD_INPUT, NULL },
		{ "gopher://example.com/_x", UFOP_BAD_INPUT, NULL },
		{ "ftp://example.com/", UFOP_BAD_INPUT, NULL },
		{ "dict://example.com/", UFOP_BAD_INPUT, NULL },
		{ "data:text/plain,x", UFOP_BAD_INPUT, NULL },
		{ "javascript:alert(1)", UFOP_BAD_INPUT, NULL },
		{ "foo://example.com/", UFOP_BAD_INPUT, NULL },
		{ "http://", UFOP_BAD_INPUT, NULL },
		{ "http://example.com:0/", UFOP_BAD_INPUT, NULL },
		{ "http://example.com:99999/", UFOP_BAD_INPUT, NULL },
		{ "http://example.com:x/", UFOP_BAD_INPUT, NULL },
		{ "http://exa mple.com/", UFOP_BAD_INPUT, NULL },
		{ "http://example.com/\r\nX: y", UFOP_BAD_INPUT, NULL },
		{ "http://example.com/\x01", UFOP_BAD_INPUT, NULL },
		{ "http://[fe80::1%25eth0]/", UFOP_BAD_INPUT, NULL },
		{ "http://[fe80::1%eth0]/", UFOP_BAD_INPUT, NULL },
		{ "http://1.2.3.4.5/", UFOP_BAD_INPUT, NULL },
		{ "http://a..b/", UFOP_BAD_INPUT, NULL },
		{ "http://a b@example.com/", UFOP_BAD_INPUT, NULL },
		{ "http://\xc3\xbc@example.com/", UFOP_BAD_INPUT, NULL },

		{ "http://127.0.0.1/", UFOP_BAD_SOURCE, NULL },
		{ "http://127.0.0.1./", UFOP_BAD_SOURCE, NULL },
		{ "http://2130706433/", UFOP_BAD_SOURCE, NULL },
		{ "http://0x7f.1/", UFOP_BAD_SOURCE, NULL },
		{ "http://0177.1/", UFOP_BAD_SOURCE, NULL },
		{ "http://%31%32%37.0.0.1/", UFOP_BAD_SOURCE, NULL },
		{ "http://0/", UFOP_BAD_SOURCE, NULL },
		{ "http://[::1]/", UFOP_BAD_SOURCE, NULL },
		{ "http://[::ffff:127.0.0.1]/", UFOP_BAD_SOURCE, NULL },
		{ "http://[::ffff:8.8.8.8]/", UFOP_BAD_SOURCE, NULL },
		{ "http://example.com@127.0.0.1/", UFOP_BAD_SOURCE, NULL },
		{ "http://127.0.0.1:80\\@example.com/", UFOP_BAD_INPUT, NULL },
		{ "http://example.com\\.127.0.0.1/", UFOP_BAD_INPUT, NULL },
		{ "http:\\\\127.0.0.1/", UFOP_BAD_INPUT, NULL },
		{ "http://169.254.169.254/latest/meta-data/", UFOP_BAD_SOURCE,
		    NULL },
		{ "http://sub.denied.example/", UFOP_BAD_SOURCE, NULL },
		{ "http://SUB.Denied.example./", UFOP_BAD_SOURCE, NULL },
		{ "http://8.8.4.4/", UFOP_BAD_SOURCE, NULL },
	};
	struct egress_policy	p;
	struct egress_url	url;
	struct ufop_err		err;
	size_t			i;
	int			rv;

	CHECK_INT(egress_policy_init(&p, "", "*.denied.example 8.8.4.4", &err),
	    0);
	for (i = 0; i < NITEMS(rows); i++) {
		memset(&err, 0, sizeof(err));
		rv = egress_check_url(&p, str_from(rows[i].in), &url, &err);
		CHECK_MSG((int)err.code == rows[i].code &&
		    rv == (rows[i].code == UFOP_OK ? 0 : -1),
		    "'%s' gave %d, %d %s", rows[i].in, rv, (int)err.code,
		    rv == 0 ? url.url : err.msg);
		if (rv == 0) {
			CHECK_STR(url.url, rows[i].out);
			egress_url_release(&url);
		}
	}
	CHECK_INT(egress_check_url(&p, str_from("https://[2606::7]:444/"),
	    &url, &err), 0);
	CHECK_STR(url.host, "2606::7");
	CHECK_INT(url.port, 444);
	CHECK(url.tls);
	egress_url_release(&url);
	CHECK_INT(egress_check_url(&p, STR("http://x.example/a\0b"), &url,
	    &err), -1);
	egress_policy_release(&p);
}

void
test_egress_url_length(void)
{
	static char		text[EGRESS_URL_MAX + 2];
	struct egress_policy	p;
	struct egress_url	url;
	struct ufop_err		err;

	CHECK_INT(egress_policy_init(&p, NULL, NULL, &err), 0);
	memset(text, 'a', sizeof(text));
	memcpy(text, "http://x.example/", 17);
	CHECK_INT(egress_check_url(&p, (struct str){ text, EGRESS_URL_MAX },
	    &url, &err), 0);
	CHECK_INT(strlen(url.url), EGRESS_URL_MAX);
	egress_url_release(&url);
	CHECK_INT(egress_check_url(&p, (struct str){ text, EGRESS_URL_MAX + 1 },
	    &url, &err), -1);
	CHECK_INT(err.code, UFOP_BAD_INPUT);
	/* The sentence does not repeat a password. */
	CHECK_INT(egress_check_url(&p, STR("http://joe:s3cret@10.0.0.1/"),
	    &url, &err), -1);
	CHECK(strstr(err.msg, "s3cret") == NULL);
	egress_policy_release(&p);
}
