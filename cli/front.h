/* SPDX-License-Identifier: MIT */
#ifndef CLI_FRONT_H
#define CLI_FRONT_H

#include "cli.h"

/* The options of the commands that listen, for a table of cli_opts. */
enum {
	FRONT_LISTEN = CLI_LONG,
	FRONT_OPT_END
};

#define FRONT_OPTS							\
	{ 'p', "port", "PORT", "listen on PORT (9100 unless set)" },	\
	{ FRONT_LISTEN, "listen", "ADDRESS:PORT",			\
	    "listen there; the same as -s front.listen=..." }

/* Whether code was one of them; its value is in address or port then. */
bool	 front_opt(int code, const char **address, const char **port);

/* What --listen and then -p do to front.listen; either may be NULL. */
int	 front_set_listen(struct settings *, const char *address,
	    const char *port, struct ufop_err *);

#endif
