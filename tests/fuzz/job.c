/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a queue entry and as a reply.  What is taken for one must come
 * out the same when it is encoded and decoded again.
 */
#include <stdlib.h>
#include <string.h>

#include "job.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
require(bool good)
{
	if (!good)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct job	 a, b;
	struct reply		 r, s;
	struct buf		 out;
	struct ufop_err		 err;
	struct str		 in = { (const char *)data, len };

	buf_init(&out, JOB_ENTRY_MAX);
	if (job_decode(&a, in, &err) == 0 && job_encode(&a, &out, &err) == 0) {
		require(job_decode(&b, (struct str){ out.p, out.len },
		    &err) == 0);
		require(str_eq(a.id, b.id) && str_eq(a.ref, b.ref) &&
		    a.nstages == b.nstages && a.tag == b.tag);
		require(out.len == len);
	}
	buf_clear(&out);
	if (reply_decode(&r, in, &err) == 0 &&
	    reply_encode(&r, &out, &err) == 0) {
		require(reply_decode(&s, (struct str){ out.p, out.len },
		    &err) == 0);
		require(str_eq(r.ref, s.ref) && r.nheaders == s.nheaders &&
		    r.status == s.status);
	}
	buf_release(&out);
	return (0);
}
