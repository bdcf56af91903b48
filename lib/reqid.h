/* SPDX-License-Identifier: MIT */
/*
 * Ids and clocks.
 */
#ifndef LIB_REQID_H
#define LIB_REQID_H

#include <stdbool.h>

#include "str.h"

#define REQID_MAX	64	/* longest id that is taken over from a caller */
#define REQID_LEN	22	/* of one made here, without NUL */

/* A caller's X-Reqid is taken over when it is 1..64 of [A-Za-z0-9_.=-]. */
bool	 reqid_is_sane(struct str);

/* 128 random bits as 22 characters of URL-safe base64, and a NUL. */
void	 reqid_make(char out[REQID_LEN + 1]);

/* 64 random bits (getrandom, buffered: no system call for most). */
uint64_t reqid_random(void);

/* After a fork: forget buffered random bytes that the parent may use too. */
void	 reqid_forked(void);

int64_t	 clock_mono_us(void);
int64_t	 clock_mono_ms(void);
int64_t	 clock_real_ms(void);

#endif
