/* SPDX-License-Identifier: MIT */
/*
 * The egress guard; see egress.h for what passes.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <ctype.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "arena.h"
#include "egress.h"

/*
 * One address, or the first of a network: always 16 bytes.  An IPv4 address
 * takes the first four; family tells which.
 */
struct ip {
	int		family;		/* AF_INET or AF_INET6 */
	uint8_t		b[16];
};

struct egress_rule {
	enum {
		RULE_NET,		/* net, bits */
		RULE_NAME,		/* name */
		RULE_UNDER,		/* name, of which it is below */
	}		 kind;
	struct ip	 net;
	int		 bits;
	char		*name;
	char		*word;		/* as it was written */
};

/*
 * What is not the public internet, from the IANA special-purpose registries
 * (IPv4: RFC 6890 and followers).  The first match names the reason, so what
 * is narrow stands before what is wide.
 */
struct range {
	const char	*net;
	int		 bits;
	const char	*why;
	bool		 metadata;
};

static const struct range ranges4[] = {
	{ "169.254.169.254", 32, "a cloud's metadata service", true },
	{ "169.254.170.2", 32, "a cloud's metadata service", true },
	{ "169.254.170.23", 32, "a cloud's metadata service", true },
	{ "100.100.100.200", 32, "a cloud's metadata service", true },
	{ "168.63.129.16", 32, "a cloud's metadata service", true },
	{ "192.0.0.192", 32, "a cloud's metadata service", true },
	{ "0.0.0.0", 8, "an address of this host", false },
	{ "10.0.0.0", 8, "a private address", false },
	{ "100.64.0.0", 10, "a shared (CGNAT) address", false },
	{ "127.0.0.0", 8, "a loopback address", false },
	{ "169.254.0.0", 16, "a link-local address", false },
	{ "172.16.0.0", 12, "a private address", false },
	{ "192.0.0.0", 24, "a protocol assignment", false },
	{ "192.0.2.0", 24, "a documentation address", false },
	{ "192.88.99.0", 24, "a 6to4 relay", false },
	{ "192.168.0.0", 16, "a private address", false },
	{ "198.18.0.0", 15, "a benchmarking address", false },
	{ "198.51.100.0", 24, "a documentation address", false },
	{ "203.0.113.0", 24, "a documentation address", false },
	{ "224.0.0.0", 4, "a multicast address", false },
	{ "255.255.255.255", 32, "the broadcast address", false },
	{ "240.0.0.0", 4, "a reserved address", false },
};

/* Only 2000::/3 is given out for the internet: the rest fails anyway. */
static const struct range ranges6[] = {
	{ "fd00:ec2::254", 128, "a cloud's metadata service", true },
	{ "fd00:ec2::23", 128, "a cloud's metadata service", true },
	{ "fd20:ce::254", 128, "a cloud's metadata service", true },
	{ "::", 128, "an address of this host", false },
	{ "::1", 128, "a loopback address", false },
	{ "::ffff:0:0", 96, "an IPv4 address in disguise", false },
	{ "::ffff:0:0:0", 96, "an IPv4 address in disguise", false },
	{ "::", 96, "an IPv4 address in disguise", false },
	{ "64:ff9b::", 96, "an IPv4 address behind NAT64", false },
	{ "64:ff9b:1::", 48, "an IPv4 address behind NAT64", false },
	{ "2002::", 16, "an IPv4 address behind 6to4", false },
	{ "2001::", 32, "an IPv4 address behind Teredo", false },
	{ "2001::", 23, "a protocol assignment", false },
	{ "2001:db8::", 32, "a documentation address", false },
	{ "3fff::", 20, "a documentation address", false },
	{ "fc00::", 7, "a private address", false },
	{ "fe80::", 10, "a link-local address", false },
	{ "fec0::", 10, "a site-local address", false },
	{ "ff00::", 8, "a multicast address", false },
};

static const struct ip global6 = { AF_INET6, { 0x20 } };	/* 2000::/3 */

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* The leading bits of two addresses of one family agree. */
static bool
ip_in(const struct ip *ip, const struct ip *net, int bits)
{
	int	whole = bits / 8, rest = bits % 8;
	uint8_t	mask;

	if (ip->family != net->family ||
	    memcmp(ip->b, net->b, (size_t)whole) != 0)
		return (false);
	if (rest == 0)
		return (true);
	mask = (uint8_t)(0xff << (8 - rest));
	return ((ip->b[whole] & mask) == (net->b[whole] & mask));
}

static bool
ip_parse(struct ip *ip, const char *text)
{
	memset(ip, 0, sizeof(*ip));
	ip->family = AF_INET;
	if (inet_pton(AF_INET, text, ip->b) == 1)
		return (true);
	ip->family = AF_INET6;
	return (inet_pton(AF_INET6, text, ip->b) == 1);
}

static void
ip_text(const struct ip *ip, char out[INET6_ADDRSTRLEN])
{
	inet_ntop(ip->family, ip->b, out, INET6_ADDRSTRLEN);
}

/*
 * The IPv4 address that an IPv6 one leads to, so that deny = 192.0.2.1 also
 * closes its other spellings.
 */
static bool
ip_embedded(const struct ip *ip, struct ip *v4)
{
	static const struct {
		uint8_t	prefix[12];
		int	prefix_len;
		int	at;
		uint8_t	flip;
	} forms[] = {
		{ { [10] = 0xff, 0xff }, 12, 12, 0 },		/* mapped */
		{ { [8] = 0xff, 0xff }, 12, 12, 0 },		/* translated */
		{ { 0 }, 12, 12, 0 },				/* compatible */
		{ { 0x00, 0x64, 0xff, 0x9b }, 12, 12, 0 },	/* NAT64 */
		{ { 0x20, 0x02 }, 2, 2, 0 },			/* 6to4 */
		{ { 0x20, 0x01, 0x00, 0x00 }, 4, 12, 0xff },	/* Teredo */
	};
	size_t	i;
	int	k;

	if (ip->family != AF_INET6)
		return (false);
	for (i = 0; i < NITEMS(forms); i++) {
		if (memcmp(ip->b, forms[i].prefix,
		    (size_t)forms[i].prefix_len) != 0)
			continue;
		memset(v4, 0, sizeof(*v4));
		v4->family = AF_INET;
		for (k = 0; k < 4; k++)
			v4->b[k] = ip->b[forms[i].at + k] ^ forms[i].flip;
		return (true);
	}
	return (false);
}

/* Why this address is none of the public internet's, or NULL when it is. */
static const char *
ip_special(const struct ip *ip, bool *metadata)
{
	const struct range	*r = ip->family == AF_INET ? ranges4 : ranges6;
	size_t			 i, n;
	struct ip		 net;

	*metadata = false;
	n = ip->family == AF_INET ? NITEMS(ranges4) : NITEMS(ranges6);
	for (i = 0; i < n; i++) {
		ip_parse(&net, r[i].net);
		if (!ip_in(ip, &net, r[i].bits))
			continue;
		*metadata = r[i].metadata;
		return (r[i].why);
	}
	if (ip->family == AF_INET)
		return (NULL);
	if (!ip_in(ip, &global6, 3))
		return ("not an address of the internet");
	/* ISATAP (RFC 5214): the interface id is [02]00:5efe, then IPv4. */
	if ((ip->b[8] & ~0x02) == 0 && ip->b[9] == 0 && ip->b[10] == 0x5e &&
	    ip->b[11] == 0xfe)
		return ("an IPv4 address behind ISATAP");
	return (NULL);
}

static bool
is_space(char c)
{
	return (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',');
}

static int
rule_parse(struct egress_rule *rule, const char *list, struct str word,
    struct ufop_err *err)
{
	struct str	 rest = word, name;
	char		 host[EGRESS_HOST_MAX + 1];
	struct ufop_err	 why = { 0 };
	int64_t		 bits = -1;
	int		 most;

	memset(rule, 0, sizeof(*rule));
	name = str_cut(&rest, '/');
	if (rest.s != NULL && str_int(rest, 0, 128, &bits) == -1)
		return (err_set(err, UFOP_CONFIG, "fetch.%s: '%.*s' has no "
		    "number of bits behind its slash; write 10.0.0.0/8", list,
		    STR_ARG(word)));
	rule->kind = RULE_NAME;
	if (str_prefix(name, STR("*."))) {
		rule->kind = RULE_UNDER;
		name = str_slice(name, 2, name.len);
	}
	if (egress_host(name, host, &why) == -1)
		return (err_set(err, UFOP_CONFIG, "fetch.%s: '%.*s': %s; write "
		    "an address, a network such as 10.0.0.0/8, a host name or "
		    "*.example.com", list, STR_ARG(word), why.msg));

	if (ip_parse(&rule->net, host)) {
		most = rule->net.family == AF_INET ? 32 : 128;
		if (rule->kind == RULE_UNDER || bits > most)
			return (err_set(err, UFOP_CONFIG, "fetch.%s: '%.*s' is "
			    "no network; write 10.0.0.0/8", list,
			    STR_ARG(word)));
		rule->kind = RULE_NET;
		rule->bits = bits == -1 ? most : (int)bits;
	} else if (bits != -1)
		return (err_set(err, UFOP_CONFIG, "fetch.%s: '%.*s' is no "
		    "network; write 10.0.0.0/8", list, STR_ARG(word)));
	else
		rule->name = xstrdup(host);
	rule->word = xasprintf("%.*s", STR_ARG(word));
	return (0);
}

static void
list_release(struct egress_list *list)
{
	size_t	i;

	for (i = 0; i < list->n; i++) {
		free(list->rules[i].name);
		free(list->rules[i].word);
	}
	free(list->rules);
	*list = (struct egress_list){ NULL, 0 };
}

static int
list_parse(struct egress_list *list, const char *name, const char *words,
    struct ufop_err *err)
{
	const char		*p = words, *end;
	struct egress_rule	 rule;

	*list = (struct egress_list){ NULL, 0 };
	while (p != NULL && *p != '\0') {
		if (is_space(*p)) {
			p++;
			continue;
		}
		for (end = p; *end != '\0' && !is_space(*end); end++)
			;
		if (rule_parse(&rule, name, (struct str){ p, (size_t)(end - p) },
		    err) == -1) {
			list_release(list);
			return (-1);
		}
		list->rules = xrealloc(list->rules,
		    (list->n + 1) * sizeof(*list->rules));
		list->rules[list->n++] = rule;
		p = end;
	}
	return (0);
}

static const struct egress_rule *
list_has_ip(const struct egress_list *list, const struct ip *ip)
{
	size_t	i;

	for (i = 0; i < list->n; i++)
		if (list->rules[i].kind == RULE_NET &&
		    ip_in(ip, &list->rules[i].net, list->rules[i].bits))
			return (&list->rules[i]);
	return (NULL);
}

static const struct egress_rule *
list_has_host(const struct egress_list *list, const char *host)
{
	const struct egress_rule	*rule;
	size_t				 i, len, tail;

	if (host == NULL)
		return (NULL);
	len = strlen(host);
	for (i = 0; i < list->n; i++) {
		rule = &list->rules[i];
		if (rule->kind == RULE_NAME && strcmp(rule->name, host) == 0)
			return (rule);
		if (rule->kind != RULE_UNDER)
			continue;
		tail = strlen(rule->name);
		if (len > tail + 1 && host[len - tail - 1] == '.' &&
		    strcmp(host + len - tail, rule->name) == 0)
			return (rule);
	}
	return (NULL);
}

int
egress_policy_init(struct egress_policy *p, const char *allow,
    const char *deny, struct ufop_err *err)
{
	if (list_parse(&p->allow, "allow", allow, err) == -1)
		return (-1);
	if (list_parse(&p->deny, "deny", deny, err) == -1) {
		list_release(&p->allow);
		return (-1);
	}
	return (0);
}

void
egress_policy_release(struct egress_policy *p)
{
	list_release(&p->allow);
	list_release(&p->deny);
}

static int
check_ip(const struct egress_policy *p, const struct ip *ip, const char *host,
    struct ufop_err *err)
{
	const struct egress_rule	*rule;
	struct ip			 v4;
	char				 text[INET6_ADDRSTRLEN];
	char				 of[EGRESS_HOST_MAX + 8] = "";
	const char			*why;
	bool				 metadata;

	ip_text(ip, text);
	if (host != NULL && strcmp(host, text) != 0)
		snprintf(of, sizeof(of), "'%s' at ", host);

	rule = list_has_ip(&p->deny, ip);
	if (rule == NULL && ip_embedded(ip, &v4))
		rule = list_has_ip(&p->deny, &v4);
	if (rule == NULL)
		rule = list_has_host(&p->deny, host);
	if (rule != NULL)
		return (err_set(err, UFOP_BAD_SOURCE, "refused to connect to "
		    "%s%s: '%s' in fetch.deny closes it", of, text, rule->word));

	if (list_has_ip(&p->allow, ip) != NULL)
		return (0);
	why = ip_special(ip, &metadata);
	if (why == NULL)
		return (0);
	if (!metadata && list_has_host(&p->allow, host) != NULL)
		return (0);
	return (err_set(err, UFOP_BAD_SOURCE, "refused to connect to %s%s: it "
	    "is %s; only public addresses and those in fetch.allow are fetched "
	    "from", of, text, why));
}

int
egress_check_addr(const struct egress_policy *p, const struct sockaddr *addr,
    const char *host, struct ufop_err *err)
{
	const struct sockaddr_in	*in;
	const struct sockaddr_in6	*in6;
	struct ip			 ip = { 0 };

	switch (addr->sa_family) {
	case AF_INET:
		in = (const struct sockaddr_in *)(const void *)addr;
		ip.family = AF_INET;
		memcpy(ip.b, &in->sin_addr, 4);
		break;
	case AF_INET6:
		in6 = (const struct sockaddr_in6 *)(const void *)addr;
		ip.family = AF_INET6;
		memcpy(ip.b, &in6->sin6_addr, 16);
		break;
	default:
		return (err_set(err, UFOP_BAD_SOURCE, "refused to connect to "
		    "'%s': address family %d is neither IPv4 nor IPv6",
		    host != NULL ? host : "?", (int)addr->sa_family));
	}
	return (check_ip(p, &ip, host, err));
}

int
egress_check_host(const struct egress_policy *p, const char *host,
    struct ufop_err *err)
{
	const struct egress_rule	*rule;
	struct ip			 ip;

	if (ip_parse(&ip, host))
		return (check_ip(p, &ip, host, err));
	rule = list_has_host(&p->deny, host);
	if (rule != NULL)
		return (err_set(err, UFOP_BAD_SOURCE, "refused to connect to "
		    "'%s': '%s' in fetch.deny closes it", host, rule->word));
	return (0);
}

/*
 * An international name as punycode.  libidn2 reads text in the locale's
 * charset, and ours is always UTF-8, whatever the process was started in.
 */
static bool
host_punycode(const char *name, char out[EGRESS_HOST_MAX + 1])
{
	CURLU		*u;
	char		*got = NULL;
	locale_t	 utf8, was;
	bool		 ok = false;

	utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (utf8 == (locale_t)0)
		return (false);
	was = uselocale(utf8);
	u = curl_url();
	if (u != NULL &&
	    curl_url_set(u, CURLUPART_SCHEME, "http", 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_HOST, name, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &got, CURLU_PUNYCODE) == CURLUE_OK &&
	    strlen(got) <= EGRESS_HOST_MAX) {
		memcpy(out, got, strlen(got) + 1);
		ok = true;
	}
	curl_free(got);
	curl_url_cleanup(u);
	uselocale(was);
	freelocale(utf8);
	return (ok);
}

/* As the URL standard has it: a host whose last label is a number is IPv4. */
static bool
ends_in_number(const char *host)
{
	const char	*last = strrchr(host, '.');

	last = last == NULL ? host : last + 1;
	if (last[0] == '0' && last[1] == 'x')
		return (last[2 + strspn(last + 2, "0123456789abcdef")] == '\0');
	return (*last != '\0' && last[strspn(last, "0123456789")] == '\0');
}

int
egress_host(struct str in, char out[EGRESS_HOST_MAX + 1], struct ufop_err *err)
{
	char		 name[EGRESS_HOST_MAX + 2];	/* with the root's dot */
	struct ip	 ip = { 0 };
	bool		 ascii = true, bracket = false;
	size_t		 i;

	if (in.len >= 2 && in.s[0] == '[' && in.s[in.len - 1] == ']') {
		in = str_slice(in, 1, in.len - 1);
		bracket = true;
	}
	if (in.len == 0)
		return (err_set(err, UFOP_BAD_INPUT, "the host is empty"));
	if (in.len > EGRESS_HOST_MAX + 1 ||
	    (in.len == EGRESS_HOST_MAX + 1 && in.s[in.len - 1] != '.'))
		return (err_set(err, UFOP_BAD_INPUT, "the host is longer than "
		    "%d bytes", EGRESS_HOST_MAX));
	for (i = 0; i < in.len; i++) {
		unsigned char	c = (unsigned char)in.s[i];

		if (c <= ' ' || c == 0x7f)
			return (err_set(err, UFOP_BAD_INPUT,
			    "the host has a space or control byte in it"));
		if (c >= 0x80)
			ascii = false;
		name[i] = (char)(c < 0x80 ? tolower(c) : c);
	}
	name[in.len] = '\0';

	if (bracket || strchr(name, ':') != NULL) {
		if (strchr(name, '%') != NULL)
			return (err_set(err, UFOP_BAD_INPUT, "the host '%s' "
			    "has a zone; an address with one is never public",
			    name));
		ip.family = AF_INET6;
		if (inet_pton(AF_INET6, name, ip.b) != 1)
			return (err_set(err, UFOP_BAD_INPUT,
			    "the host '%s' is no IPv6 address", name));
		ip_text(&ip, out);
		return (0);
	}

	if (!ascii && !host_punycode(name, name))
		return (err_set(err, UFOP_BAD_INPUT,
		    "the host '%s' is no international name", name));
	/* The root's dot goes; an ideographic one became a dot only now. */
	i = strlen(name);
	if (i > 1 && name[i - 1] == '.')
		name[--i] = '\0';
	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-")] !=
	    '\0')
		return (err_set(err, UFOP_BAD_INPUT, "the host '%s' has a byte "
		    "in it that host names do not have", name));
	/* Some letters are mapped to nothing at all. */
	if (i == 0)
		return (err_set(err, UFOP_BAD_INPUT, "the host is empty"));
	if (i > EGRESS_HOST_MAX || name[0] == '.' || name[i - 1] == '.' ||
	    strstr(name, "..") != NULL)
		return (err_set(err, UFOP_BAD_INPUT,
		    "the host '%s' has an empty label", name));
	if (ends_in_number(name)) {
		struct in_addr	v4;

		if (inet_aton(name, &v4) == 0)
			return (err_set(err, UFOP_BAD_INPUT, "the host '%s' "
			    "ends in a number but is no IPv4 address", name));
		inet_ntop(AF_INET, &v4, out, EGRESS_HOST_MAX + 1);
		return (0);
	}
	memcpy(out, name, i + 1);
	return (0);
}

static bool
part_is(CURLU *u, CURLUPart part, const char *want)
{
	char	*got = NULL;
	bool	 same;

	same = curl_url_get(u, part, &got, 0) == CURLUE_OK &&
	    strcasecmp(got, want) == 0;
	curl_free(got);
	return (same);
}

static int
url_normal(CURLU *u, struct egress_url *out, struct ufop_err *err)
{
	char	 literal[EGRESS_HOST_MAX + 3];
	char	*host = NULL, *port = NULL, *zone = NULL, *url = NULL;
	int64_t	 n = 0;
	size_t	 i;
	int	 rv = -1;

	out->tls = part_is(u, CURLUPART_SCHEME, "https");
	if (!out->tls && !part_is(u, CURLUPART_SCHEME, "http"))
		return (err_set(err, UFOP_BAD_INPUT, "the url's scheme is "
		    "neither http nor https; only these are fetched"));

	if (curl_url_get(u, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK) {
		err_set(err, UFOP_BAD_INPUT, "the url's host has an IPv6 zone; "
		    "an address with one is never public");
		goto out;
	}
	if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
		err_set(err, UFOP_BAD_INPUT, "the url has no host");
		goto out;
	}
	if (egress_host(str_from(host), out->host, err) == -1)
		goto out;
	if (curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) !=
	    CURLUE_OK || str_int(str_from(port), 1, 65535, &n) == -1) {
		err_set(err, UFOP_BAD_INPUT, "the url's port is none from 1 to "
		    "65535");
		goto out;
	}
	out->port = (uint16_t)n;

	snprintf(literal, sizeof(literal),
	    strchr(out->host, ':') != NULL ? "[%s]" : "%s", out->host);
	if (curl_url_set(u, CURLUPART_HOST, literal, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_URL, &url, 0) != CURLUE_OK) {
		err_set(err, UFOP_BAD_INPUT, "the url's host '%s' cannot be "
		    "used", out->host);
		goto out;
	}
	/* Path and query are encoded by now: what is left is a user's name. */
	for (i = 0; url[i] != '\0'; i++)
		if ((unsigned char)url[i] <= ' ' ||
		    (unsigned char)url[i] >= 0x7f) {
			err_set(err, UFOP_BAD_INPUT, "the url has a byte in "
			    "its user name or password that must be "
			    "percent-encoded");
			goto out;
		}
	out->url = xstrdup(url);
	rv = 0;
out:
	curl_free(host);
	curl_free(port);
	curl_free(zone);
	curl_free(url);
	return (rv);
}

/*
 * A backslash where the host is looked for: browsers take it for a slash, and
 * so end the host there; others do not.  Nobody means well with it.
 */
static bool
authority_odd(struct str url)
{
	size_t	i;

	(void)str_cut(&url, ':');
	for (i = 0; i < url.len && url.s[i] == '/'; i++)
		;
	for (; i < url.len && strchr("/?#", url.s[i]) == NULL; i++)
		if (url.s[i] == '\\')
			return (true);
	return (false);
}

int
egress_check_url(const struct egress_policy *p, struct str text,
    struct egress_url *out, struct ufop_err *err)
{
	CURLU		*u;
	CURLUcode	 uc;
	char		*copy;
	int		 rv;

	memset(out, 0, sizeof(*out));
	if (text.len > EGRESS_URL_MAX)
		return (err_set(err, UFOP_BAD_INPUT, "the url is longer than "
		    "%d bytes", EGRESS_URL_MAX));
	if (str_find(text, '\0') != -1)
		return (err_set(err, UFOP_BAD_INPUT, "the url has a NUL byte"));
	if (authority_odd(text))
		return (err_set(err, UFOP_BAD_INPUT, "the url has a backslash "
		    "before its path; write http://host/path"));
	u = curl_url();
	if (u == NULL)
		return (err_set(err, UFOP_UNAVAILABLE, "out of memory"));
	copy = xasprintf("%.*s", STR_ARG(text));
	/*
	 * Callers percent-decode the url parameter once, so spaces and UTF-8
	 * may stand in path and query: they are encoded again.
	 */
	uc = curl_url_set(u, CURLUPART_URL, copy, CURLU_NON_SUPPORT_SCHEME |
	    CURLU_ALLOW_SPACE | CURLU_URLENCODE);
	free(copy);
	if (uc != CURLUE_OK)
		rv = err_set(err, UFOP_BAD_INPUT, "the url is malformed (%s); "
		    "write http://host/path", curl_url_strerror(uc));
	else
		rv = url_normal(u, out, err);
	curl_url_cleanup(u);
	if (rv == 0 && egress_check_host(p, out->host, err) == -1) {
		egress_url_release(out);
		rv = -1;
	}
	return (rv);
}

void
egress_url_release(struct egress_url *u)
{
	free(u->url);
	u->url = NULL;
}
