/* SPDX-License-Identifier: MIT */
/*
 * What goes wrong, in one shape: a code and a sentence.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#include "ufop.h"

/*
 * Fill err (which may be NULL) and return -1, so that `return err_set(...)`
 * ends a function.  The message is cut at UFOP_ERR_MSG_MAX, and control bytes
 * in it become '?'.
 */
int		 err_set(struct ufop_err *err, enum ufop_code, const char *fmt,
		    ...) UFOP_PRINTF(3, 4);

/* The same with ": " and strerror(errno) behind; code is UFOP_SYSTEM. */
int		 err_sys(struct ufop_err *err, const char *fmt, ...)
		    UFOP_PRINTF(2, 3);

/* What a code means to each side that has to answer for it. */
int		 err_http_status(enum ufop_code);
int		 err_exit_status(enum ufop_code);	/* see ufop(1) EXIT STATUS */
const char	*err_name(enum ufop_code);		/* "BAD_INPUT" */
/* The code that stands for an HTTP status (UFOP_OK below 400). */
enum ufop_code	 err_from_http(int status);

#endif
