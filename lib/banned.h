/* SPDX-License-Identifier: MIT */
/*
 * Functions that cannot be used safely, or only by chance, become compile
 * errors whose text says what to use instead.
 *
 * The standard headers come first: a later #include of them is then empty and
 * does not meet the macros.
 */
#ifndef LIB_BANNED_H
#define LIB_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* No bound on what is written. */
#undef strcpy
#define strcpy(...)	strcpy_is_banned_use_memcpy_or_snprintf
#undef strcat
#define strcat(...)	strcat_is_banned_use_buf_cstr_or_snprintf
#undef sprintf
#define sprintf(...)	sprintf_is_banned_use_snprintf_or_buf_addf
#undef vsprintf
#define vsprintf(...)	vsprintf_is_banned_use_vsnprintf_or_buf_vaddf
#undef gets
#define gets(...)	gets_is_banned_use_getline

/* A result that may lack its NUL, or a bound that means something else. */
#undef strncpy
#define strncpy(...)	strncpy_is_banned_use_memcpy_or_snprintf
#undef strncat
#define strncat(...)	strncat_is_banned_use_buf_add_or_snprintf

/* Neither says whether there was a number at all. */
#undef atoi
#define atoi(...)	atoi_is_banned_use_str_int
#undef atol
#define atol(...)	atol_is_banned_use_str_int
#undef atoll
#define atoll(...)	atoll_is_banned_use_str_int
#undef atof
#define atof(...)	atof_is_banned_use_strtod

/* State hidden in a static. */
#undef strtok
#define strtok(...)	strtok_is_banned_use_str_cut
#undef gmtime
#define gmtime(...)	gmtime_is_banned_use_gmtime_r
#undef localtime
#define localtime(...)	localtime_is_banned_use_localtime_r
#undef ctime
#define ctime(...)	ctime_is_banned_use_strftime
#undef asctime
#define asctime(...)	asctime_is_banned_use_strftime

#endif
