/* SPDX-License-Identifier: MIT */
/*
 * What the platform is told about a ufop: dora.yaml, in the words of its two
 * command line tools.
 */
#ifndef CLI_DORA_H
#define CLI_DORA_H

#include "cli.h"

#define DORA_FILE	"dora.yaml"

/*
 * The tools differ in what a release is made of: qdoractl is for ufops,
 * qappctl for the QApps that succeed them.
 */
enum dora_dialect { DORA_QDORACTL, DORA_QAPPCTL };

struct dora {
	const char		*name;
	const char		*tag;		/* of the image, "my-ufop:v1" */
	const char		*version;
	const char		*flavor;	/* "C1M1" */
	const char		*desc;
	const char		*tool;		/* its name or path */
	enum dora_dialect	 dialect;	/* by the tool's name */
};

/* The options that doraconfig and deploy share, for a table of cli_opts. */
enum {
	DORA_FLAVOR = CLI_LONG, DORA_DESC, DORA_CLI,
	DORA_OPT_END
};

#define DORA_OPTS							\
	{ 'n', "name", "NAME", "the name the ufop is registered under" }, \
	{ 't', "tag", "IMAGE:TAG", "the image" },			\
	{ 'v', "version", "VERSION", "of the release" },		\
	{ DORA_FLAVOR, "flavor", "CnMm",				\
	    "cores and GB of an instance (C1M1)" },			\
	{ DORA_DESC, "desc", "TEXT", "what it is, in a few words" },	\
	{ DORA_CLI, "cli", "PROGRAM",					\
	    "the platform's tool: qdoractl (default) or qappctl, or a path " \
	    "of one" },							\
	{ 'C', "directory", "DIR", "do as if started in DIR" }

void	 dora_init(struct dora *);
/* 1 when code was one of the shared options, 0 when not, -1 with err. */
int	 dora_opt(struct dora *, int code, struct ufop_err *);
/* All options have been read: -1 with err for what is missing or wrong. */
int	 dora_check(struct dora *, struct ufop_err *);

/* Whether it can be the name of a region of the platform. */
bool	 dora_is_region(const char *);

/* The content of dora.yaml. */
void	 dora_yaml(const struct dora *, struct buf *out);

#endif
