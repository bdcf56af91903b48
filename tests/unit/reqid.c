/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reqid.h"
#include "unit.h"

void
test_reqid_is_sane(void)
{
	static const struct {
		const char	*id;
		bool		 sane;
	} cases[] = {
		{ "a", true },
		{ "AZaz09_.=-", true },
		{ "0123456789012345678901234567890123456789012345678901234567890123",
		    true },
		{ "01234567890123456789012345678901234567890123456789012345678901234",
		    false },
		{ "", false }, { "a b", false }, { "a\n", false },
		{ "a/b", false }, { "a+b", false }, { "a\"b", false },
		{ "\xc3\xa9", false }, { "a\x7f", false },
	};
	size_t	i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_MSG(reqid_is_sane(str_from(cases[i].id)) ==
		    cases[i].sane, "'%s'", cases[i].id);
	}
	CHECK(!reqid_is_sane(STR("a\0b")));
	CHECK(!reqid_is_sane(STR_NULL));
}

void
test_reqid_make(void)
{
	enum { N = 1000 };
	static char	ids[N][REQID_LEN + 1];
	int		i, k;

	for (i = 0; i < N; i++) {
		reqid_make(ids[i]);
		CHECK_INT(strlen(ids[i]), REQID_LEN);
		CHECK(reqid_is_sane(str_from(ids[i])));
		for (k = 0; k < i; k++)
			CHECK(strcmp(ids[i], ids[k]) != 0);
	}
}

void
test_reqid_random_bits(void)
{
	uint64_t	ones = 0, zeros = 0, r;
	int		i;

	for (i = 0; i < 200; i++) {
		r = reqid_random();
		ones |= r;
		zeros |= ~r;
	}
	/* Every bit was seen as 1 and as 0. */
	CHECK(ones == UINT64_MAX && zeros == UINT64_MAX);
}

void
test_reqid_forked(void)
{
	uint64_t	ours, theirs;
	int		fds[2];
	pid_t		pid;

	reqid_random();		/* fills what a fork would share */
	CHECK(pipe(fds) == 0);
	if ((pid = fork()) == 0) {
		reqid_forked();
		theirs = reqid_random();
		_exit(write(fds[1], &theirs, sizeof(theirs)) !=
		    sizeof(theirs));
	}
	ours = reqid_random();
	CHECK(read(fds[0], &theirs, sizeof(theirs)) == sizeof(theirs));
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(ours != theirs);
}

void
test_clock(void)
{
	int64_t	us = clock_mono_us(), ms = clock_mono_ms();

	CHECK(clock_mono_us() >= us);
	CHECK(ms >= us / 1000 && ms < us / 1000 + 1000);
	/* After 2024, before 2100: milliseconds since 1970. */
	CHECK(clock_real_ms() > 1704067200000);
	CHECK(clock_real_ms() < 4102444800000);
}
