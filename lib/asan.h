/* SPDX-License-Identifier: MIT */
/*
 * ASAN is defined where this is built with AddressSanitizer, for which GCC and
 * clang each have a word of their own.
 */
#ifndef LIB_ASAN_H
#define LIB_ASAN_H

#if defined(__SANITIZE_ADDRESS__)
#define ASAN	1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN	1
#endif
#endif

#endif
