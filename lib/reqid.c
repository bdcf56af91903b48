/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "reqid.h"

/* At most 256 bytes come whole from getrandom(), whatever signals arrive. */
static unsigned char	pool[256];
static size_t		pool_left;

static const char	alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool
reqid_is_sane(struct str id)
{
	size_t	i;
	char	c;

	if (id.len == 0 || id.len > REQID_MAX)
		return (false);
	for (i = 0; i < id.len; i++) {
		c = id.s[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '_' && c != '.' &&
		    c != '=' && c != '-')
			return (false);
	}
	return (true);
}

uint64_t
reqid_random(void)
{
	uint64_t	r;

	if (pool_left < sizeof(r)) {
		while (getrandom(pool, sizeof(pool), 0) !=
		    (ssize_t)sizeof(pool)) {
			if (errno != EINTR) {
				perror("getrandom");
				abort();
			}
		}
		pool_left = sizeof(pool);
	}
	pool_left -= sizeof(r);
	memcpy(&r, pool + pool_left, sizeof(r));
	return (r);
}

void
reqid_forked(void)
{
	pool_left = 0;
}

void
reqid_make(char out[REQID_LEN + 1])
{
	uint64_t	high = reqid_random(), low = reqid_random();
	int		i;

	/* 11 characters hold 66 bits: each half is padded by two zero bits. */
	for (i = 0; i < 11; i++) {
		out[i] = alphabet[high & 63];
		out[i + 11] = alphabet[low & 63];
		high >>= 6;
		low >>= 6;
	}
	out[REQID_LEN] = '\0';
}

static int64_t
clock_us(clockid_t id)
{
	struct timespec	now;

	clock_gettime(id, &now);
	return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

int64_t
clock_mono_us(void)
{
	return (clock_us(CLOCK_MONOTONIC));
}

int64_t
clock_mono_ms(void)
{
	return (clock_us(CLOCK_MONOTONIC) / 1000);
}

int64_t
clock_real_ms(void)
{
	return (clock_us(CLOCK_REALTIME) / 1000);
}
