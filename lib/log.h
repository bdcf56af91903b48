/* SPDX-License-Identifier: MIT */
/*
 * One line per event: time level process event key=value ...
 *
 * err: someone must act.  warn: someone should look.  info: one line per job
 * or change of state.  debug: for us.  errno survives every call.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "ufop.h"

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* proc is "front", "worker", ...; kept by reference.  Lines go to stderr. */
void		 log_open(const char *proc, enum log_level);
enum log_level	 log_level(void);
int		 log_level_parse(const char *, enum log_level *);

/*
 * The text is the event's name and then key=value pairs:
 * log_info("job.done id=%s status=%d", ...).  Newlines and control bytes in it
 * are written as \xNN so that one event stays one line.
 */
void		 log_err(const char *fmt, ...) UFOP_PRINTF(1, 2);
void		 log_warn(const char *fmt, ...) UFOP_PRINTF(1, 2);
void		 log_info(const char *fmt, ...) UFOP_PRINTF(1, 2);
void		 log_debug(const char *fmt, ...) UFOP_PRINTF(1, 2);

/*
 * A value as it may stand behind key=: as it is when it is plain, else in
 * double quotes with \ before \ and ".  Static, good for the four latest calls.
 */
const char	*log_quote(const char *, size_t len);

#endif
