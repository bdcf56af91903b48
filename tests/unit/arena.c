/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "asan.h"
#include "unit.h"

#ifdef ASAN
#include <sanitizer/asan_interface.h>
#endif

void
test_arena_alloc(void)
{
	static const size_t	sizes[] = { 0, 1, 7, 16, 100, 4095, 4097,
				    16384, 100000 };
	struct arena		a;
	char			*p[9];
	size_t			i, round, k;

	arena_init(&a);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 9; i++) {
			p[i] = arena_alloc(&a, 1, sizes[i]);
			CHECK((uintptr_t)p[i] % _Alignof(max_align_t) == 0);
			for (k = 0; k < sizes[i]; k++)
				CHECK(p[i][k] == 0);
			memset(p[i], (int)i + 1, sizes[i]);
		}
		/* None of them lies over another. */
		for (i = 0; i < 9; i++) {
			for (k = 0; k < sizes[i]; k++)
				CHECK(p[i][k] == (char)(i + 1));
		}
		if (round % 5 == 4)
			arena_clear(&a);
	}
	arena_release(&a);
	arena_release(&a);
	/* As good as new. */
	CHECK_STR(arena_str(&a, STR("again")), "again");
	arena_release(&a);
}

void
test_arena_keeps_small_after_big(void)
{
	struct arena	a;
	char		*first, *big, *second;

	arena_init(&a);
	first = arena_alloc(&a, 1, 16);
	big = arena_alloc(&a, 1, 1 << 20);
	second = arena_alloc(&a, 1, 16);
	/* A big one has a block of its own and does not end the shared one. */
	CHECK(second > first && second - first < 64);
	CHECK(big != NULL);
	arena_clear(&a);
	CHECK(arena_alloc(&a, 1, 16) == first);
	arena_release(&a);
}

void
test_arena_text(void)
{
	struct arena	a;

	arena_init(&a);
	CHECK_STR(arena_str(&a, (struct str){ "abcdef", 3 }), "abc");
	CHECK_STR(arena_str(&a, STR_NULL), "");
	CHECK_STR(arena_printf(&a, "%s-%d", "x", 42), "x-42");
	CHECK_STR(arena_printf(&a, "%s", ""), "");
	arena_release(&a);
}

static int
status_of(void (*fn)(void))
{
	int	status;
	pid_t	pid;

	if ((pid = fork()) == 0) {
		fn();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return (status);
}

static void
overflow(void)
{
	struct arena	a;

	arena_init(&a);
	arena_alloc(&a, SIZE_MAX / 2, 3);
}

static void
too_much(void)
{
	struct arena	a;

	arena_init(&a);
	arena_alloc(&a, 1, SIZE_MAX);
}

void
test_arena_refuses_by_abort(void)
{
	CHECK(WIFSIGNALED(status_of(overflow)));
	CHECK(WIFSIGNALED(status_of(too_much)));
}

void
test_arena_poison(void)
{
#ifdef ASAN
	struct arena	a;
	char		*p;

	arena_init(&a);
	p = arena_alloc(&a, 1, 20);
	CHECK(!__asan_address_is_poisoned(p + 19));
	CHECK(__asan_address_is_poisoned(p + 20));
	arena_alloc(&a, 1, 20);
	CHECK(__asan_address_is_poisoned(p + 20));
	arena_clear(&a);
	CHECK(__asan_address_is_poisoned(p));
	arena_release(&a);
#else
	unit_skip("built without AddressSanitizer");
#endif
}

void
test_arena_xalloc(void)
{
	char	*s, *zeros;

	s = xasprintf("%d-%s", 7, "seven");
	CHECK_STR(s, "7-seven");
	s = xrealloc(s, 100);
	CHECK_STR(s, "7-seven");
	free(s);
	s = xstrdup("");
	CHECK_STR(s, "");
	free(s);
	zeros = xcalloc(3, 5);
	CHECK(memcmp(zeros, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15) == 0);
	free(zeros);
	s = xmalloc(0);
	CHECK(s != NULL);
	free(s);
}
