/* SPDX-License-Identifier: MIT */
/*
 * A unit test is a function `void test_<area>_<what>(void)` in any file of
 * this directory; nothing to register.  Each runs in a process, a process
 * group and an empty working directory of its own; a failed check ends it.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <stdbool.h>
#include <stddef.h>

#define CHECK(cond)							\
	do {								\
		if (!(cond))						\
			unit_fail(__FILE__, __LINE__, "%s", #cond);	\
	} while (0)
/* CHECK with an explanation, printf-style, for tables of cases. */
#define CHECK_MSG(cond, ...)						\
	do {								\
		if (!(cond))						\
			unit_fail(__FILE__, __LINE__, __VA_ARGS__);	\
	} while (0)
#define CHECK_INT(got, want)						\
	unit_check_int(__FILE__, __LINE__, #got, (long long)(got), (long long)(want))
#define CHECK_STR(got, want)						\
	unit_check_str(__FILE__, __LINE__, #got, (got), (want))

void	 unit_fail(const char *file, int line, const char *fmt, ...)
	    __attribute__((noreturn, format(printf, 3, 4)));
void	 unit_check_int(const char *file, int line, const char *what,
	    long long got, long long want);
void	 unit_check_str(const char *file, int line, const char *what,
	    const char *got, const char *want);
/* End this test as skipped, with the reason. */
void	 unit_skip(const char *why) __attribute__((noreturn));

/* A file of tests/data, read whole; free() it. */
void	*unit_data(const char *name, size_t *len);
/* The repository's root and the build directory, absolute. */
extern const char *unit_root, *unit_build;

struct unit_test {
	const char	*name;
	void		(*run)(void);
};
extern const struct unit_test unit_tests[];

#endif
