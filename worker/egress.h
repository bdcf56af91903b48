/* SPDX-License-Identifier: MIT */
/*
 * The egress guard: which urls and which addresses a stranger may send us to.
 *
 * It is asked twice.  egress_check_url() looks at the text before anything is
 * resolved and gives back the one form that is to be connected to, so that
 * guard and client cannot read the same text differently (libcurl's parser
 * serves both).  egress_check_addr() looks at the very address a socket is
 * about to connect to; only that second question makes names safe, because a
 * name may resolve to something else each time it is asked.  Every redirect
 * and every new connection goes through both.
 *
 * Without any list, addresses of the public internet pass and all others are
 * refused: loopback, private, link-local, shared (CGNAT), multicast,
 * documentation, benchmarking, reserved, IPv6 forms that carry an IPv4 address
 * inside, and the metadata services of clouds.
 *
 *	allow	opens what would be refused; it does not close the rest
 *	deny	closes, whatever allow says
 *
 * Both are words between spaces or commas: an address (10.1.2.3, fd00::7), a
 * network (10.0.0.0/8), a host name (store.internal) or all names under a
 * domain (*.example.com, which is not example.com itself).  A host name in
 * allow opens private addresses to that name, but never a metadata service:
 * that takes its address, in full, in allow.
 *
 * No function here resolves a name or opens a socket.
 */
#ifndef WORKER_EGRESS_H
#define WORKER_EGRESS_H

#include <sys/socket.h>

#include <stdbool.h>

#include "err.h"
#include "str.h"

#define EGRESS_HOST_MAX	253	/* RFC 1035: 255 on the wire */
#define EGRESS_URL_MAX	16384	/* bytes; as long as a cmd may be */

struct egress_rule;

struct egress_list {
	struct egress_rule	*rules;
	size_t			 n;
};

struct egress_policy {
	struct egress_list	 allow;
	struct egress_list	 deny;
};

/*
 * A url that passed.  url is the normal form to hand to the client: no
 * fragment, host lower-case and without trailing dot, addresses in their one
 * usual form.  It may hold a user name and password: never log it; host and
 * port are what messages may show.
 */
struct egress_url {
	char		*url;				/* malloc; owned */
	char		 host[EGRESS_HOST_MAX + 1];	/* IPv6 without brackets */
	uint16_t	 port;
	bool		 tls;
};

/*
 * Read the two lists; NULL and "" are empty lists.  Returns 0, and the policy
 * is the caller's until egress_policy_release(); or -1 with err (UFOP_CONFIG)
 * naming the list and the word, and nothing to release.
 */
int	 egress_policy_init(struct egress_policy *, const char *allow,
	    const char *deny, struct ufop_err *);
void	 egress_policy_release(struct egress_policy *);

/*
 * A host, as it stands in a url or a proxy request (an IPv6 address with or
 * without brackets), in normal form: names in lower-case ASCII (IDN as
 * punycode), without their trailing dot; every way to write an IPv4 address
 * (2130706433, 0x7f.1, 0177.0.0.1, full-width digits) as a.b.c.d.  Returns 0,
 * or -1 with err (UFOP_BAD_INPUT): empty, too long, a byte that names do not
 * have, an IPv6 zone, or a number that is no address.
 */
int	 egress_host(struct str host, char out[EGRESS_HOST_MAX + 1],
	    struct ufop_err *);

/*
 * May a connection to this normal host be tried at all?  Refuses denied names
 * and, for an address, all that egress_check_addr() refuses.  Returns 0, or -1
 * with err (UFOP_BAD_SOURCE).
 */
int	 egress_check_host(const struct egress_policy *, const char *host,
	    struct ufop_err *);

/*
 * Parse url, normalise its host and check it as egress_check_host() does.
 * Returns 0, and out is the caller's until egress_url_release(); or -1 with
 * err: UFOP_BAD_INPUT (not a url, too long, neither http nor https),
 * UFOP_BAD_SOURCE (refused), and nothing to release.
 */
int	 egress_check_url(const struct egress_policy *, struct str url,
	    struct egress_url *out, struct ufop_err *);
void	 egress_url_release(struct egress_url *);

/*
 * May a socket connect to addr?  host is the normal form of the name it was
 * resolved from, or NULL.  Returns 0, or -1 with err (UFOP_BAD_SOURCE): the
 * sentence names host, address and reason.
 */
int	 egress_check_addr(const struct egress_policy *,
	    const struct sockaddr *addr, const char *host, struct ufop_err *);

#endif
