/* SPDX-License-Identifier: MIT */
/*
 * ufop doraconfig: prints dora.yaml.
 */
#include <string.h>

#include "dora.h"

#define YAML_MAX	16384
#define NAME_MAX_LEN	32
/* What the platform's guide asks of a name. */
#define NAME_ADVISED_MIN 5
#define NAME_ADVISED_MAX 20

#define LOWER	"abcdefghijklmnopqrstuvwxyz"
#define UPPER	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"

void
dora_init(struct dora *d)
{
	*d = (struct dora){ .flavor = "C1M1", .desc = "", .tool = "qdoractl" };
}

int
dora_opt(struct dora *d, int code, struct ufop_err *err)
{
	switch (code) {
	case 'n':
		d->name = optarg;
		return (1);
	case 't':
		d->tag = optarg;
		return (1);
	case 'v':
		d->version = optarg;
		return (1);
	case 'C':
		return (cli_enter(optarg, err) == 0 ? 1 : -1);
	case DORA_FLAVOR:
		d->flavor = optarg;
		return (1);
	case DORA_DESC:
		d->desc = optarg;
		return (1);
	case DORA_CLI:
		d->tool = optarg;
		return (1);
	}
	return (0);
}

/* Of these characters alone, the first being none that begins an option. */
static bool
is_word(const char *s, const char *of, size_t max)
{
	size_t	n = strlen(s);

	return (n >= 1 && n <= max && s[0] != '-' && strspn(s, of) == n);
}

static const char *
base_name(const char *path)
{
	const char	*slash = strrchr(path, '/');

	return (slash == NULL ? path : slash + 1);
}

/* C1M1: what the platform calls a size, in cores and GB. */
static bool
is_flavor(const char *s)
{
	struct str	rest = str_from(s), cores;
	int64_t		n;

	if (s[0] != 'C')
		return (false);
	rest = str_slice(rest, 1, rest.len);
	cores = str_cut(&rest, 'M');
	return (rest.s != NULL && str_int(cores, 1, 1024, &n) == 0 &&
	    str_int(rest, 1, 1024, &n) == 0);
}

/*
 * One part of the path of an image: small letters and digits, between them
 * one '.', one or two '_', or any number of '-'.
 */
static bool
is_path_part(struct str s)
{
	size_t	i = 0, n;
	bool	ends_well = false;

	while (i < s.len) {
		n = 1;
		ends_well = strchr(LOWER DIGITS, s.s[i]) != NULL;
		if (!ends_well) {
			while (i + n < s.len && s.s[i + n] == s.s[i])
				n++;
			if (i == 0 || !(s.s[i] == '-' || (s.s[i] == '_' &&
			    n <= 2) || (s.s[i] == '.' && n == 1)))
				return (false);
			if (i + n < s.len &&
			    strchr(LOWER DIGITS, s.s[i + n]) == NULL)
				return (false);
		}
		i += n;
	}
	return (ends_well);
}

/* registry.example.com:5000: what a first part is that is none of the path. */
static bool
is_registry(struct str s)
{
	struct str	host = str_cut(&s, ':');
	int64_t		port;
	size_t		i;

	for (i = 0; i < host.len; i++) {
		if (strchr(LOWER UPPER DIGITS ".-", host.s[i]) == NULL)
			return (false);
	}
	if (s.s != NULL)
		return (host.len > 0 && str_int(s, 1, 65535, &port) == 0);
	return (str_eq_c(host, "localhost") || str_find(host, '.') > 0);
}

/* [registry/]path[/path...]:tag, as docker takes it. */
static bool
is_image(const char *image)
{
	const char	*tag = strchr(base_name(image), ':');
	struct str	 rest, part;
	bool		 first = true;

	if (tag == NULL || tag[1] == '.' || !is_word(tag + 1, LOWER UPPER DIGITS
	    "._-", 128) || tag - image > 255)
		return (false);
	rest = (struct str){ image, (size_t)(tag - image) };
	while (rest.s != NULL) {
		part = str_cut(&rest, '/');
		if (!is_path_part(part) &&
		    !(first && rest.s != NULL && is_registry(part)))
			return (false);
		first = false;
	}
	return (true);
}

bool
dora_is_region(const char *s)
{
	return (is_word(s, LOWER UPPER DIGITS "_-", 64));
}

int
dora_check(struct dora *d, struct ufop_err *err)
{
	size_t	n;

	if (d->name == NULL || d->tag == NULL || d->version == NULL)
		return (err_set(err, UFOP_USAGE, "%s is missing; -n NAME, -t "
		    "IMAGE:TAG and -v VERSION are all needed",
		    d->name == NULL ? "the name (-n)" : d->tag == NULL ?
		    "the image's tag (-t)" : "the version (-v)"));
	if (!is_word(d->name, LOWER DIGITS "_-", NAME_MAX_LEN))
		return (err_set(err, UFOP_USAGE, "the name '%s' is not made "
		    "of a-z, 0-9, _ and -, %d at the most", d->name,
		    NAME_MAX_LEN));
	n = strlen(d->name);
	if (n < NAME_ADVISED_MIN || n > NAME_ADVISED_MAX)
		fprintf(stderr, "ufop: note: the platform's guide wants a name "
		    "of %d to %d characters, '%s' has %zu\n",
		    NAME_ADVISED_MIN, NAME_ADVISED_MAX, d->name, n);
	if (!is_image(d->tag))
		return (err_set(err, UFOP_USAGE, "'%s' is not the name of an "
		    "image, in small letters, with one tag behind it; such as "
		    "%s:%s", d->tag, d->name, d->version));
	if (!is_word(d->version, LOWER UPPER DIGITS "._-", 64))
		return (err_set(err, UFOP_USAGE, "the version '%s' is not made "
		    "of letters, digits, '.', _ and -", d->version));
	if (!is_flavor(d->flavor))
		return (err_set(err, UFOP_USAGE, "the flavor '%s' does not say "
		    "cores and GB, as C2M4 does", d->flavor));
	d->dialect = strncmp(base_name(d->tool), "qappctl",
	    strlen("qappctl")) == 0 ? DORA_QAPPCTL : DORA_QDORACTL;
	return (0);
}

static void
quoted(struct buf *out, const char *key, const char *value)
{
	/* A JSON string is a YAML string too. */
	buf_addf(out, "%s: \"", key);
	buf_json(out, str_from(value));
	buf_cstr(out, "\"\n");
}

void
dora_yaml(const struct dora *d, struct buf *out)
{
	bool	qapp = d->dialect == DORA_QAPPCTL;

	buf_addf(out, "# Made by ufop: ufop deploy writes it anew.  Without "
	    "this line it is kept.\n");
	if (!qapp)
		quoted(out, "ufopname", d->name);
	quoted(out, qapp ? "name" : "verstr", d->version);
	/* qappctl pushes without what stands before the last slash. */
	quoted(out, "image", qapp ? base_name(d->tag) : d->tag);
	quoted(out, "desc", d->desc);
	quoted(out, "flavor", d->flavor);
	if (qapp)
		buf_cstr(out, "port: 9100\n");
	buf_cstr(out, "health_check:\n  path: /health\n  timeout: 3\n");
	/*
	 * A container sees all cores of its host: this is how ufop learns how
	 * many are its own.
	 */
	buf_addf(out, qapp ? "env:\n  - key: FLAVOR\n    value: \"%s\"\n" :
	    "env:\n  global:\n    - key: FLAVOR\n      value: \"%s\"\n",
	    d->flavor);
	buf_cstr(out, "log_file_paths:\n  - /var/log/server/\n"
	    "  - /var/log/worker/\n  - /var/log/supervisor/\n");
}

static const struct cli_opt opts[] = {
	DORA_OPTS,
	{ 0 }
};

static int
run(struct cli *cli, int argc, char **argv)
{
	struct dora	dora;
	struct ufop_err	err;
	struct buf	yaml;
	int		code;

	dora_init(&dora);
	while ((code = cli_next(cli, argc, argv)) != CLI_DONE) {
		if (code == CLI_EXIT)
			return (cli->status);
		if (dora_opt(&dora, code, &err) == -1)
			return (cli_fail(&err));
	}
	if (cli_no_operands(cli, argc, argv) == -1)
		return (cli->status);
	if (dora_check(&dora, &err) == -1)
		return (cli_fail(&err));
	buf_init(&yaml, YAML_MAX);
	dora_yaml(&dora, &yaml);
	fwrite(yaml.p, 1, yaml.len, stdout);
	buf_release(&yaml);
	return (0);
}

const struct cli_cmd cli_doraconfig = {
	.name = "doraconfig",
	.operands = "",
	.summary = "print a " DORA_FILE " for the platform",
	.prose = "Print what the platform has to know of a release: image, "
	    "flavor, health check, where the logs are. `ufop deploy` writes "
	    "the same to " DORA_FILE ".",
	.opts = opts,
	.run = run,
};
