/* SPDX-License-Identifier: MIT */
/*
 * The browser's only way out: a SOCKS5 proxy (RFC 1928, CONNECT without
 * authentication) that resolves a name once, checks every address it came to,
 * and connects to exactly the address that it checked.
 *
 * It runs in a process of its own beside the network namespace that the
 * browser is shut in, under the sandbox profile `fetch`: it opens no file for
 * writing, starts nothing, accepts nothing.  Connections are accepted inside
 * the namespace and handed over as descriptors.
 */
#ifndef SCREENSHOT_SOCKS_H
#define SCREENSHOT_SOCKS_H

#include <netdb.h>
#include <stdatomic.h>

#include "egress.h"

#define SOCKS_NOTES	16

/* Why a connection did not come about. */
enum socks_why {
	SOCKS_REFUSED = 1,	/* by the guard */
	SOCKS_NO_NAME,		/* the name does not resolve */
	SOCKS_NO_CONNECTION,	/* refused by the other side, or no answer */
};

/* In shared memory: written by the filter alone, read by the handler. */
struct socks_note {
	char		host[EGRESS_HOST_MAX + 1];
	uint16_t	port;
	enum socks_why	why;
	char		msg[EGRESS_HOST_MAX + 128];	/* a sentence */
};

struct socks_notes {
	_Atomic uint32_t	n;	/* written so far; the last is n - 1 */
	struct socks_note	note[SOCKS_NOTES];	/* n % SOCKS_NOTES */
};

/*
 * What a client has sent so far.  Returns the bytes of a whole greeting or
 * request, 0 when more must come, -1 when it is none that we serve; then
 * *code is the reply's code of RFC 1928 section 6.
 */
int	 socks_greeting(const unsigned char *, size_t len);
int	 socks_request(const unsigned char *, size_t len,
	    char host[EGRESS_HOST_MAX + 1], uint16_t *port, int *code);

/* What resolves names: getaddrinfo(), unless a test has another idea. */
typedef int	 socks_lookup_fn(const char *, const char *,
		    const struct addrinfo *, struct addrinfo **);
extern socks_lookup_fn	*socks_lookup;

/*
 * Serve the connections that come over sock (SOCK_SEQPACKET, one descriptor a
 * message) until its other end is closed.  Then connections end at once, and
 * this returns when the last name that is being resolved is done with.
 */
void	 socks_serve(int sock, const struct egress_policy *,
	    struct socks_notes *);

#endif
