/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing the egress guard's text side: urls, hosts and lists.
 *
 * A url that passes must be in normal form (passing again changes nothing),
 * hold no byte that could end a request line, and name no address that the
 * guard refuses.  A host that passes is in normal form too.
 *
 *	clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude \
 *	    -Ilib -Iworker tests/fuzz/egress.c worker/egress.c lib/arena.c \
 *	    lib/str.c lib/err.c -lcurl
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdlib.h>
#include <string.h>

#include "egress.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
require(bool good)
{
	if (!good)
		abort();
}

static void
host_is_normal(const struct egress_policy *p, const char *host)
{
	char			again[EGRESS_HOST_MAX + 1];
	struct sockaddr_in	in = { .sin_family = AF_INET };
	struct sockaddr_in6	in6 = { .sin6_family = AF_INET6 };

	require(egress_host(str_from(host), again, NULL) == 0);
	require(strcmp(host, again) == 0);
	if (p == NULL)
		return;
	if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
		require(egress_check_addr(p, (struct sockaddr *)&in, host,
		    NULL) == 0);
	else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1)
		require(egress_check_addr(p, (struct sockaddr *)&in6, host,
		    NULL) == 0);
	else	/* no name that the resolver would read as a number */
		require(inet_aton(host, &in.sin_addr) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct egress_policy	none;
	struct str			text = { (const char *)data, size };
	struct egress_policy		p;
	struct egress_url		url, again;
	struct ufop_err			err = { 0 };
	char				host[EGRESS_HOST_MAX + 1], *list;
	size_t				i;

	if (egress_host(text, host, &err) == 0)
		host_is_normal(NULL, host);
	else
		require(err.code == UFOP_BAD_INPUT && err.msg[0] != '\0');

	if (egress_check_url(&none, text, &url, &err) == 0) {
		host_is_normal(&none, url.host);
		for (i = 0; url.url[i] != '\0'; i++)
			require((unsigned char)url.url[i] > ' ' &&
			    (unsigned char)url.url[i] < 0x7f);
		if (strlen(url.url) <= EGRESS_URL_MAX) {
			require(egress_check_url(&none, str_from(url.url),
			    &again, &err) == 0);
			require(strcmp(url.url, again.url) == 0);
			require(strcmp(url.host, again.host) == 0);
			require(url.port == again.port && url.tls == again.tls);
			egress_url_release(&again);
		}
		egress_url_release(&url);
	}

	list = malloc(size + 1);
	require(list != NULL);
	if (size > 0)
		memcpy(list, data, size);
	list[size] = '\0';
	if (egress_policy_init(&p, list, list, &err) == 0)
		egress_policy_release(&p);
	free(list);
	return (0);
}
