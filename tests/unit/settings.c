/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "settings.h"
#include "unit.h"

static void
put(const char *path, const char *text)
{
	FILE	*f = fopen(path, "w");

	CHECK(f != NULL);
	CHECK(fputs(text, f) >= 0);
	CHECK(fclose(f) == 0);
}

/* ---- a service with settings ------------------------------------------ */

static const struct ufop_setting_def pics_defs[] = {
	{ "max_pixels", UFOP_SETTING_INT, "40000000", 1, 1000000000, "Limit." },
	{ "quality", UFOP_SETTING_INT, "75", 1, 100, "Of JPEG." },
	{ "api-key", UFOP_SETTING_STRING, "", 0, 0, "Secret." },
	{ "anything", UFOP_SETTING_INT, "-5", 0, 0, "Any number." },
	{ "cache", UFOP_SETTING_SIZE, "1m", 0, 0, "Any size." },
	{ "formats", UFOP_SETTING_LIST, "jpg png", 0, 0, "Words." },
	{ 0 }
};
static const struct ufop_service	pics = {
	.abi = UFOP_ABI, .name = "pics", .settings = pics_defs
};

/*
 * Everything a start does: sources from the working directory, the service
 * "pics", the strict end.
 */
static int
start(struct settings *s, const char *const *flags, struct ufop_err *err)
{
	struct settings_sources	src = { .dir = ".", .flags = flags };

	settings_init(s);
	if (settings_load(s, &src, err) == -1 ||
	    settings_add_service(s, &pics, "svc/app.so", err) == -1 ||
	    settings_finish(s, err) == -1)
		return (-1);
	return (0);
}

static void
check_origin(const struct settings *s, const char *section, const char *name,
    const char *value, const char *origin)
{
	const struct setting	*row = settings_find(s, section, name);

	CHECK(row != NULL);
	CHECK_MSG(strcmp(row->value, value) == 0 &&
	    strcmp(row->origin, origin) == 0,
	    "%s.%s is '%s' from '%s', not '%s' from '%s'", section, name,
	    row->value, row->origin, value, origin);
}

/* ---- values ----------------------------------------------------------- */

void
test_settings_defaults(void)
{
	struct settings		 s;
	const struct setting	*row, *prev = NULL;
	struct buf		 text;
	int			 n = 0;

	settings_init(&s);
	CHECK_STR(settings_str(&s, "redis", "url"),
	    "redis://127.0.0.1:6379/0");
	CHECK_INT(settings_time_ms(&s, "ufop", "timeout"), 30000);
	CHECK_INT(settings_size(&s, "ufop", "max_body"), 20 << 20);
	CHECK_INT(settings_int(&s, "queue", "max_queue"), 10000);
	CHECK_INT(settings_bool(&s, "spool", "share"), true);
	CHECK_INT(settings_bool(&s, "ufop", "debug"), false);
	CHECK_INT(settings_bool(&s, "worker", "sandbox"), true);
	for (row = NULL; (row = settings_each(&s, row)) != NULL; n++) {
		CHECK_STR(row->origin, "default");
		CHECK(!row->is_set);
		/* A whole sentence, for the man page. */
		CHECK_MSG(row->def->prose[strlen(row->def->prose) - 1] == '.',
		    "%s.%s", row->section, row->def->name);
		CHECK_MSG(settings_find(&s, row->section, row->def->name) ==
		    row, "%s.%s stands twice", row->section, row->def->name);
		/* Sections are not torn apart: config show prints in order. */
		if (prev != NULL && strcmp(prev->section, row->section) != 0) {
			for (prev = settings_each(&s, NULL);
			    prev->section != row->section &&
			    strcmp(prev->section, row->section) != 0; )
				prev = settings_each(&s, prev);
			CHECK_MSG(prev == row, "[%s] is in two pieces",
			    row->section);
		}
		buf_init(&text, UFOP_ERR_MSG_MAX);
		setting_describe(row->def, &text);
		CHECK(text.len > 0 && !text.failed);
		buf_release(&text);
		prev = row;
	}
	CHECK(n > 35);
	CHECK(settings_find(&s, "queue", "nothing") == NULL);
	CHECK(settings_find(&s, "nothing", "lease") == NULL);
	settings_release(&s);
	settings_release(&s);
}

void
test_settings_values(void)
{
	static const struct {
		const char	*flag;
		int		 ret;
		int64_t		 num;
	} cases[] = {
		{ "queue.max_queue=1", 0, 1 },
		{ "queue.max_queue=10000000", 0, 10000000 },
		{ "queue.max_queue=0", -1, 0 },
		{ "queue.max_queue=10000001", -1, 0 },
		{ "queue.max_queue=5k", -1, 0 },
		{ "queue.max_queue=", -1, 0 },
		{ "ufop.debug=yes", 0, 1 }, { "ufop.debug=No", 0, 0 },
		{ "ufop.debug=true", 0, 1 }, { "ufop.debug=FALSE", 0, 0 },
		{ "ufop.debug=on", 0, 1 }, { "ufop.debug=off", 0, 0 },
		{ "ufop.debug=1", 0, 1 }, { "ufop.debug=0", 0, 0 },
		{ "ufop.debug=2", -1, 0 }, { "ufop.debug=", -1, 0 },
		{ "spool.quota=1048576", 0, 1 << 20 },
		{ "spool.quota=1024k", 0, 1 << 20 },
		{ "spool.quota=1M", 0, 1 << 20 },
		{ "spool.quota=2g", 0, INT64_C(2) << 30 },
		{ "spool.quota=1m5", -1, 0 }, { "spool.quota=m", -1, 0 },
		{ "spool.quota=1mb", -1, 0 }, { "spool.quota=1.5m", -1, 0 },
		{ "spool.quota=-1m", -1, 0 }, { "spool.quota=1 m", -1, 0 },
		{ "spool.quota=1024k0", -1, 0 },
		{ "spool.quota=9223372036854775807g", -1, 0 },
		{ "spool.quota=99999999999999999999", -1, 0 },
		{ "spool.quota=1025g", -1, 0 }, { "spool.quota=1s", -1, 0 },
		{ "queue.lease=1500", 0, 1500 },
		{ "queue.lease=1500ms", 0, 1500 },
		{ "queue.lease=2s", 0, 2000 }, { "queue.lease=1m", 0, 60000 },
		{ "queue.lease=600S", 0, 600000 },
		{ "queue.lease=1h", -1, 0 }, { "queue.lease=999", -1, 0 },
		{ "queue.lease=15 s", -1, 0 }, { "queue.lease=15k", -1, 0 },
		{ "ufop.timeout=1h", 0, 3600000 },
		{ "queue.inline_max=0", 0, 0 },
		{ "queue.inline_max=65536", 0, 65536 },
		{ "queue.inline_max=65537", -1, 0 },
		{ "pics.quality=100", 0, 100 }, { "pics.quality=101", -1, 0 },
		{ "pics.anything=-9", 0, -9 }, { "pics.anything=x", -1, 0 },
		{ "pics.cache=0", 0, 0 }, { "pics.cache=-1", -1, 0 },
		{ "ufop.name=my-ufop_1", 0, 0 }, { "ufop.name=", -1, 0 },
		{ "ufop.name=My", -1, 0 },
		{ "ufop.name=012345678901234567890123456789012", -1, 0 },
		{ "ufop.log_level=debug", 0, 0 },
		{ "ufop.log_level=Debug", -1, 0 },
		{ "ufop.log_dir=/var/log", 0, 0 }, { "ufop.log_dir=", 0, 0 },
		{ "ufop.log_dir=log", -1, 0 },
		{ "front.unix=/tmp/s", 0, 0 }, { "front.unix=", 0, 0 },
		{ "front.unix=s", -1, 0 },
		{ "spool.dir=/tmp", 0, 0 }, { "spool.dir=", -1, 0 },
		{ "spool.dir=tmp", -1, 0 },
		{ "redis.url=redis://h", 0, 0 },
		{ "redis.url=unix:///s", 0, 0 },
		{ "redis.url=rediss://h", -1, 0 }, { "redis.url=h:1", -1, 0 },
		{ "redis.tag=a.B-1_", 0, 0 }, { "redis.tag=", -1, 0 },
		{ "redis.tag={x}", -1, 0 }, { "redis.tag=a b", -1, 0 },
		{ "worker.child_user=www", 0, 0 },
		{ "worker.child_user=", -1, 0 },
		{ "worker.child_user=a b", -1, 0 },
		{ "worker.pools=cpu", 0, 0 }, { "worker.pools=cpu=4,net", 0, 0 },
		{ "worker.pools=", -1, 0 }, { "worker.pools=cpu cpu", -1, 0 },
		{ "worker.pools=cpu=0", -1, 0 }, { "worker.pools=cpu=", -1, 0 },
		{ "worker.pools=cpu=1025", -1, 0 },
		{ "worker.pools==4", -1, 0 }, { "worker.pools=CPU", -1, 0 },
		{ "worker.pools=cpu =4", -1, 0 },
		{ "worker.pools=a b c d e f g h", 0, 0 },
		{ "worker.pools=a b c d e f g h i", -1, 0 },
		{ "worker.pools=0123456789012345678901234567890", 0, 0 },
		{ "worker.pools=01234567890123456789012345678901", -1, 0 },
		{ "front.listen=127.0.0.1:1", 0, 0 },
		{ "front.listen=localhost:65535", 0, 0 },
		{ "front.listen=[::1]:80", 0, 0 },
		{ "front.listen=::1:80", -1, 0 },
		{ "front.listen=:80", -1, 0 }, { "front.listen=[]:80", -1, 0 },
		{ "front.listen=80", -1, 0 }, { "front.listen=h:0", -1, 0 },
		{ "front.listen=h:65536", -1, 0 }, { "front.listen=h:", -1, 0 },
		{ "front.listen=a b:80", -1, 0 }, { "front.listen=", -1, 0 },
	};
	struct settings		 s;
	struct ufop_err		 err;
	const struct setting	*row;
	const char		*flags[2] = { NULL, NULL };
	char			 section[32], name[32];
	size_t			 i;
	int			 r;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		flags[0] = cases[i].flag;
		r = start(&s, flags, &err);
		/* A good value that contradicts another is another test's. */
		if (r == -1 && strstr(err.msg, "must be at least ufop.max_body"))
			r = 0;
		CHECK_MSG(r == cases[i].ret, "'%s' gave %d (%s)",
		    cases[i].flag, r, r == -1 ? err.msg : "");
		CHECK(sscanf(cases[i].flag, "%31[^.].%31[^=]", section,
		    name) == 2);
		row = settings_find(&s, section, name);
		if (r == 0) {
			CHECK_MSG(row->num == cases[i].num, "'%s' is %lld",
			    cases[i].flag, (long long)row->num);
			CHECK_STR(row->value, strchr(cases[i].flag, '=') + 1);
			CHECK(row->is_set);
		} else {
			CHECK_INT(err.code, UFOP_CONFIG);
			/* A refused value is not half there. */
			CHECK(!row->is_set);
			CHECK_MSG(strstr(err.msg, "must be") != NULL, "%s",
			    err.msg);
		}
		settings_release(&s);
	}
}

/* Every sentence a user can be told about one flag, variable or line. */
void
test_settings_sentences_flags(void)
{
	static const struct {
		const char	*flag, *want;
	} cases[] = {
		{ "queue.max_queue=0",
		    "command line: queue.max_queue = '0': must be a whole "
		    "number from 1 to 10000000" },
		{ "queue.lease=0s",
		    "command line: queue.lease = '0s': must be a time such as "
		    "500ms, 30s or 5m, from 1s to 10m" },
		{ "ufop.max_body=1",
		    "command line: ufop.max_body = '1': must be a size such as "
		    "64k, 20m or 1g, from 1k to 2g" },
		{ "ufop.debug=maybe",
		    "command line: ufop.debug = 'maybe': must be yes or no" },
		{ "pics.anything=many",
		    "command line: pics.anything = 'many': must be a whole "
		    "number" },
		{ "pics.cache=big",
		    "command line: pics.cache = 'big': must be a size such as "
		    "64k, 20m or 1g" },
		{ "ufop.name=No",
		    "command line: ufop.name = 'No': must be 1 to 32 "
		    "characters of a-z, 0-9, _ and -" },
		{ "ufop.log_level=loud",
		    "command line: ufop.log_level = 'loud': must be err, warn, "
		    "info or debug" },
		{ "ufop.log_dir=logs",
		    "command line: ufop.log_dir = 'logs': must be an absolute "
		    "path, or empty" },
		{ "spool.dir=",
		    "command line: spool.dir = '': must be an absolute path" },
		{ "front.unix=s",
		    "command line: front.unix = 's': must be an absolute path "
		    "of at most 107 bytes, or empty" },
		{ "front.listen=9100",
		    "command line: front.listen = '9100': must be "
		    "ADDRESS:PORT with a port from 1 to 65535, such as "
		    "0.0.0.0:9100 or [::1]:9100" },
		{ "redis.url=http://u:geheim@h",
		    "command line: redis.url = 'http://u:***@h': must be "
		    "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or "
		    "unix:///PATH[?db=DB]" },
		{ "redis.tag={",
		    "command line: redis.tag = '{': must be 1 to 64 characters "
		    "of A-Z, a-z, 0-9, _, . and -" },
		{ "worker.pools=cpu=none",
		    "command line: worker.pools = 'cpu=none': must be 1 to 8 "
		    "pool names, each once, with =CHILDREN (1 to 1024) or "
		    "without, such as: cpu=4 net" },
		{ "worker.child_user=",
		    "command line: worker.child_user = '': must be the name of "
		    "a user" },
		{ "queue.debug=a\nb",
		    "command line: [queue] has no setting 'debug'; it belongs "
		    "to [ufop]" },
		{ "ufop.debug=a\n\x7f" "b",
		    "command line: ufop.debug = 'a??b': must be yes or no" },
		{ "queue.leas=1s",
		    "command line: [queue] has no setting 'leas'; did you mean "
		    "'lease'?" },
		{ "queue.timeout=1s",
		    "command line: [queue] has no setting 'timeout'; it "
		    "belongs to [ufop]" },
		{ "queue.colour=red",
		    "command line: [queue] has no setting 'colour'; `ufop "
		    "config show` lists all there are" },
		{ "pics.qualty=9",
		    "command line: [pics] has no setting 'qualty'; did you "
		    "mean 'quality'?" },
		{ "quue.lease=1s",
		    "command line: there is no section [quue]; did you mean "
		    "[queue]?" },
		{ "screenshot.width=9",
		    "command line: there is no section [screenshot]; a service "
		    "has one while ufop.services names it (now: images "
		    "debug)" },
		{ "lease=1s",
		    "command line: 'lease=1s' sets nothing; write "
		    "SECTION.NAME=VALUE, such as queue.lease=15s" },
		{ "queue.lease",
		    "command line: 'queue.lease' sets nothing; write "
		    "SECTION.NAME=VALUE, such as queue.lease=15s" },
		{ ".lease=1s",
		    "command line: '.lease=1s' sets nothing; write "
		    "SECTION.NAME=VALUE, such as queue.lease=15s" },
		{ "spool.quota=1m",
		    "command line: spool.quota = '1m': must be at least "
		    "ufop.max_body (20m)" },
	};
	const char	*flags[2] = { NULL, NULL };
	struct settings	 s;
	struct ufop_err	 err;
	size_t		 i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		flags[0] = cases[i].flag;
		CHECK_MSG(start(&s, flags, &err) == -1, "'%s' was taken",
		    cases[i].flag);
		CHECK_INT(err.code, UFOP_CONFIG);
		CHECK_STR(err.msg, cases[i].want);
		settings_release(&s);
	}
}

void
test_settings_sentences_files(void)
{
	static const struct {
		const char	*text, *want;
	} cases[] = {
		{ "[queue]\n\n# a comment\nlease = soon\n",
		    "ufop.ini:4: queue.lease = 'soon': must be a time such as "
		    "500ms, 30s or 5m, from 1s to 10m" },
		{ "[queue]\nlaese = 5s\n",
		    "ufop.ini:2: [queue] has no setting 'laese'; did you mean "
		    "'lease'?" },
		{ "[pics]\nquality = 0\n",
		    "ufop.ini:2: pics.quality = '0': must be a whole number "
		    "from 1 to 100" },
		{ "[pics]\n\nqual = 0\n",
		    "ufop.ini:3: [pics] has no setting 'qual'; `ufop config "
		    "show` lists all there are" },
		{ "[imagse]\nquality = 5\n",
		    "ufop.ini:2: there is no section [imagse]; a service has "
		    "one while ufop.services names it (now: images debug)" },
		{ "[pisc]\nquality = 5\n",
		    "ufop.ini:2: there is no section [pisc]; did you mean "
		    "[pics]?" },
		{ "lease = 5s\n[queue]\n",
		    "ufop.ini:1: 'lease' stands before any [section]; put it "
		    "under one, such as [ufop]" },
		{ "[queue]\nlease\n",
		    "ufop.ini:2: neither [section] nor name = value; begin a "
		    "comment with ; or #" },
		{ "[queue\nlease = 5s\n",
		    "ufop.ini:1: neither [section] nor name = value; begin a "
		    "comment with ; or #" },
		{ "[queue]\nlease = 5s\nmax_queue = 7\nlease = 6s\n",
		    "ufop.ini:4: 'lease' is already set in line 2; remove one "
		    "of the two" },
		{ "[pics]\nquality = 5\n[pics]\nquality = 6\n",
		    "ufop.ini:4: 'quality' is already set in line 2; remove "
		    "one of the two" },
		{ "[fetch]\nallow = 10.0.0.0/8\n  deny = 10.1.1.1\n",
		    "ufop.ini:3: an indented line goes on with the value of "
		    "'allow' above; remove the blanks before 'deny = "
		    "10.1.1.1'" },
	};
	struct settings	s;
	struct ufop_err	err;
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put("ufop.ini", cases[i].text);
		CHECK_MSG(start(&s, NULL, &err) == -1, "row %zu was taken", i);
		CHECK_INT(err.code, UFOP_CONFIG);
		CHECK_STR(err.msg, cases[i].want);
		settings_release(&s);
	}
}

void
test_settings_sentences_environment(void)
{
	static const struct {
		const char	*name, *value, *want;
	} cases[] = {
		{ "UFOP_QUEUE_LEASE", "now",
		    "UFOP_QUEUE_LEASE: queue.lease = 'now': must be a time "
		    "such as 500ms, 30s or 5m, from 1s to 10m" },
		{ "UFOP_QUEUE_LEAS", "5s",
		    "UFOP_QUEUE_LEAS is no setting's variable; did you mean "
		    "UFOP_QUEUE_LEASE?" },
		{ "UFOP_SCREENSHOT_WIDTH", "5",
		    "UFOP_SCREENSHOT_WIDTH is no setting's variable, and names "
		    "that begin with UFOP_ are kept for those; unset it or "
		    "switch on the service it is for" },
		{ "UFOP_PICS_QUALITY", "101",
		    "UFOP_PICS_QUALITY: pics.quality = '101': must be a whole "
		    "number from 1 to 100" },
		{ "PORT_HTTP", "http",
		    "PORT_HTTP = 'http': must be a port from 1 to 65535" },
		{ "CPU_COUNT", "0",
		    "CPU_COUNT = '0': must be a whole number from 1 to 1024" },
		{ "CPU_COUNT", "1.5",
		    "CPU_COUNT = '1.5': must be a whole number from 1 to "
		    "1024" },
		{ "FLAVOR", "big",
		    "FLAVOR = 'big': must look like C2M4 (2 cores, 4 GB); "
		    "correct it or set CPU_COUNT" },
		{ "FLAVOR", "C2",
		    "FLAVOR = 'C2': must look like C2M4 (2 cores, 4 GB); "
		    "correct it or set CPU_COUNT" },
		{ "FLAVOR", "C0M4",
		    "FLAVOR = 'C0M4': must look like C2M4 (2 cores, 4 GB); "
		    "correct it or set CPU_COUNT" },
		{ "FLAVOR", "xC2M4",
		    "FLAVOR = 'xC2M4': must look like C2M4 (2 cores, 4 GB); "
		    "correct it or set CPU_COUNT" },
	};
	struct settings	s;
	struct ufop_err	err;
	char		line[200], want[UFOP_ERR_MSG_MAX];
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setenv(cases[i].name, cases[i].value, 1);
		CHECK_MSG(start(&s, NULL, &err) == -1, "%s was taken",
		    cases[i].name);
		CHECK_INT(err.code, UFOP_CONFIG);
		CHECK_STR(err.msg, cases[i].want);
		settings_release(&s);
		unsetenv(cases[i].name);

		/* The same from .env names the line. */
		snprintf(line, sizeof(line), "# x\n%s=%s\n", cases[i].name,
		    cases[i].value);
		put(".env", line);
		CHECK_MSG(start(&s, NULL, &err) == -1, "%s was taken",
		    cases[i].name);
		if (strncmp(cases[i].want, "UFOP_", 5) == 0 &&
		    strstr(cases[i].want, ": ") != NULL)
			snprintf(want, sizeof(want), ".env:2%s",
			    strchr(cases[i].want, ':'));
		else
			snprintf(want, sizeof(want), ".env:2: %s",
			    cases[i].want);
		CHECK_STR(err.msg, want);
		settings_release(&s);
		CHECK(unlink(".env") == 0);
	}

	put(".env", "UFOP_DEBUG='yes\n");
	CHECK_INT(start(&s, NULL, &err), -1);
	CHECK_STR(err.msg, ".env:1: the quotes around the value of UFOP_DEBUG "
	    "do not match");
	settings_release(&s);
}

/* ---- files ------------------------------------------------------------ */

void
test_settings_ini_forms(void)
{
	static const char	text[] =
	    "\xef\xbb\xbf; a file with everything libinih knows\r\n"
	    "[ufop]\r\n"
	    "timeout: 5s ; and a comment behind\r\n"
	    "services =\r\n"
	    "[redis]\n"
	    "url=redis://:a#b@h/1\n"
	    "[fetch]\n"
	    "  allow = 10.0.0.0/8\n"
	    "\t192.168.0.0/16\n"
	    "\n"
	    "    # not this\n"
	    "    localhost\n"
	    "[worker]\n"
	    "pools = cpu=4\n"
	    "    net=2\n"
	    "[ufop]\n"
	    "  debug = on\n"
	    "[pics]\n"
	    "quality = 9\n"
	    "[spool]\n"
	    "share = no";
	struct settings	s;
	struct ufop_err	err;

	put("ufop.ini", text);
	CHECK_MSG(start(&s, NULL, &err) == 0, "%s", err.msg);
	check_origin(&s, "ufop", "timeout", "5s", "ufop.ini:3");
	check_origin(&s, "ufop", "services", "", "ufop.ini:4");
	check_origin(&s, "redis", "url", "redis://:a#b@h/1", "ufop.ini:6");
	check_origin(&s, "fetch", "allow", "10.0.0.0/8 192.168.0.0/16 "
	    "localhost", "ufop.ini:8");
	check_origin(&s, "worker", "pools", "cpu=4 net=2", "ufop.ini:14");
	check_origin(&s, "ufop", "debug", "on", "ufop.ini:17");
	check_origin(&s, "pics", "quality", "9", "ufop.ini:19");
	check_origin(&s, "spool", "share", "no", "ufop.ini:21");
	settings_release(&s);
}

void
test_settings_ini_long_line(void)
{
	char		text[SETTINGS_LINE_MAX + 100];
	struct settings	s;
	struct ufop_err	err;
	size_t		n;

	/* As long as it may be, with its newline. */
	n = (size_t)snprintf(text, sizeof(text), "[ufop]\nservices = ");
	memset(text + n, 'x', SETTINGS_LINE_MAX - 12);
	memcpy(text + 7 + SETTINGS_LINE_MAX - 1, "\ndebug = yes\n", 14);
	put("ufop.ini", text);
	CHECK_MSG(start(&s, NULL, &err) == 0, "%s", err.msg);
	CHECK_INT(strlen(settings_str(&s, "ufop", "services")),
	    SETTINGS_LINE_MAX - 12);
	CHECK(settings_bool(&s, "ufop", "debug"));
	settings_release(&s);

	memcpy(text + 7 + SETTINGS_LINE_MAX - 1, "x\ndebug = yes\n", 15);
	put("ufop.ini", text);
	CHECK_INT(start(&s, NULL, &err), -1);
	CHECK_STR(err.msg, "ufop.ini:2: the line is longer than 4096 bytes; a "
	    "value goes on in indented lines");
	settings_release(&s);
}

void
test_settings_ini_binary(void)
{
	struct settings	s;
	struct ufop_err	err;
	int		fd;

	fd = open("ufop.ini", O_WRONLY | O_CREAT, 0600);
	CHECK(fd != -1);
	CHECK(write(fd, "[ufop]\ndebug\0= yes\n", 19) == 19);
	close(fd);
	CHECK_INT(start(&s, NULL, &err), -1);
	CHECK_STR(err.msg, "ufop.ini:2: there is a NUL byte; save the file as "
	    "plain text");
	settings_release(&s);
}

void
test_settings_files_missing(void)
{
	struct settings		s;
	struct settings_sources	src = { .config = "no/such.ini" };
	struct ufop_err		err;

	settings_init(&s);
	CHECK_INT(settings_load(&s, &src, &err), -1);
	CHECK_INT(err.code, UFOP_CONFIG);
	CHECK_STR(err.msg, "cannot read settings from 'no/such.ini': No such "
	    "file or directory");
	settings_release(&s);

	src = (struct settings_sources){ .dir = "no/such" };
	settings_init(&s);
	CHECK_INT(settings_load(&s, &src, &err), -1);
	CHECK_STR(err.msg, "'no/such' is no directory to read settings from");
	settings_release(&s);

	CHECK(mkdir("ufop.ini", 0700) == 0);
	CHECK_INT(start(&s, NULL, &err), -1);
	CHECK_STR(err.msg, "cannot read settings from 'ufop.ini': Is a "
	    "directory");
	settings_release(&s);
	CHECK(rmdir("ufop.ini") == 0);

	CHECK(mkdir(".env", 0700) == 0);
	CHECK_INT(start(&s, NULL, &err), -1);
	CHECK_STR(err.msg, "cannot read settings from '.env': Is a directory");
	settings_release(&s);
}

void
test_settings_layers(void)
{
	/* Each layer sets one more than the next, so each wins once. */
	static const char *const	flags[] = { "pics.quality=7", NULL };
	struct settings			s;
	struct ufop_err			err;

	CHECK(mkdir("svc", 0700) == 0);
	put("svc/settings.ini", "quality = 2\nmax_pixels = 2\n"
	    "[pics]\ncache = 2\nanything = 2\nformats = 2\napi-key = 2\n"
	    "[other]\nwhatever = 2\n");
	put("ufop.ini", "[pics]\nquality = 3\nmax_pixels = 3\ncache = 3\n"
	    "anything = 3\nformats = 3\n");
	put("local.ini", "[pics]\nquality = 4\nmax_pixels = 4\ncache = 4\n"
	    "anything = 4\n");
	put(".env", "UFOP_PICS_QUALITY=5\nUFOP_PICS_MAX_PIXELS=5\n"
	    "UFOP_PICS_CACHE=5\n");
	setenv("UFOP_PICS_QUALITY", "6", 1);
	setenv("UFOP_PICS_MAX_PIXELS", "6", 1);
	CHECK_MSG(start(&s, flags, &err) == 0, "%s", err.msg);
	check_origin(&s, "pics", "quality", "7", "command line");
	check_origin(&s, "pics", "max_pixels", "6", "UFOP_PICS_MAX_PIXELS");
	check_origin(&s, "pics", "cache", "5", ".env:3");
	check_origin(&s, "pics", "anything", "4", "local.ini:5");
	check_origin(&s, "pics", "formats", "3", "ufop.ini:6");
	check_origin(&s, "pics", "api-key", "2", "svc/settings.ini:7");
	check_origin(&s, "ufop", "debug", "no", "default");
	CHECK_INT(settings_find(&s, "pics", "anything")->num, 4);
	settings_release(&s);

	/* A file given by name stands in for both. */
	put("mine.ini", "[pics]\nformats = 9\n");
	settings_init(&s);
	CHECK_INT(settings_load(&s, &(struct settings_sources){ .dir = ".",
	    .config = "mine.ini" }, &err), 0);
	CHECK_INT(settings_add_service(&s, &pics, NULL, &err), 0);
	CHECK_INT(settings_finish(&s, &err), 0);
	check_origin(&s, "pics", "formats", "9", "mine.ini:2");
	check_origin(&s, "pics", "anything", "-5", "default");
	check_origin(&s, "pics", "cache", "5", ".env:3");
	settings_release(&s);
}

void
test_settings_defaults_file(void)
{
	struct settings	s;
	struct ufop_err	err;

	put("machine.ini", "[front]\ndrain = 3s\n[queue]\nlease = 4s\n");
	put("ufop.ini", "[queue]\nlease = 5s\n");
	setenv("UFOP_DEFAULTS", "machine.ini", 1);
	CHECK_MSG(start(&s, NULL, &err) == 0, "%s", err.msg);
	check_origin(&s, "front", "drain", "3s", "machine.ini:2");
	check_origin(&s, "queue", "lease", "5s", "ufop.ini:2");
	settings_release(&s);

	/* It need not be there yet; one with a fault is told. */
	setenv("UFOP_DEFAULTS", "nosuch.ini", 1);
	CHECK_MSG(start(&s, NULL, &err) == 0, "%s", err.msg);
	check_origin(&s, "front", "drain", "1h", "default");
	settings_release(&s);
	put("machine.ini", "[front]\ndrian = 3s\n");
	setenv("UFOP_DEFAULTS", "machine.ini", 1);
	CHECK_INT(start(&s, NULL, &err), -1);
	CHECK(strncmp(err.msg, "machine.ini:2: ", 15) == 0);
	settings_release(&s);
}

void
test_settings_dotenv(void)
{
	struct settings	s;
	struct ufop_err	err;

	put(".env",
	    "# other programs' lines are not judged\n"
	    "DATABASE_URL='unclosed\n"
	    "nonsense\n"
	    "\n"
	    "export UFOP_TIMEOUT = 5s   # why\r\n"
	    "UFOP_SERVICES=\"images # debug\" # two\n"
	    "UFOP_REDIS_URL='redis://:p#w@h'\n"
	    "UFOP_NAME=a-b#c\n"
	    "UFOP_NAME=second\n"
	    "UFOP_FETCH_ALLOW=\n"
	    "PORT_HTTP=9200\n"
	    "CPU_COUNT=3");
	CHECK_MSG(start(&s, NULL, &err) == -1, "a-b#c was taken");
	CHECK_STR(err.msg, ".env:8: ufop.name = 'a-b#c': must be 1 to 32 "
	    "characters of a-z, 0-9, _ and -");
	settings_release(&s);

	put(".env",
	    "DATABASE_URL='unclosed\n"
	    "nonsense\n"
	    "export UFOP_TIMEOUT = 5s   # why\r\n"
	    "UFOP_SERVICES=\"images # debug\" # two\n"
	    "UFOP_REDIS_URL='redis://:p#w@h'\n"
	    "UFOP_NAME=first\n"
	    "UFOP_NAME=second\n"
	    "UFOP_FETCH_ALLOW=\n"
	    "PORT_HTTP=9200\n"
	    "CPU_COUNT=3");
	CHECK_MSG(start(&s, NULL, &err) == 0, "%s", err.msg);
	check_origin(&s, "ufop", "timeout", "5s", ".env:3");
	check_origin(&s, "ufop", "services", "images # debug", ".env:4");
	check_origin(&s, "redis", "url", "redis://:p#w@h", ".env:5");
	check_origin(&s, "ufop", "name", "second", ".env:7");
	check_origin(&s, "fetch", "allow", "", ".env:8");
	check_origin(&s, "front", "listen", "0.0.0.0:9200", ".env:9");
	CHECK_INT(settings_cpu_count(&s), 3);
	settings_release(&s);
}

/* ---- the platform ----------------------------------------------------- */

void
test_settings_platform(void)
{
	struct settings	s;
	struct ufop_err	err;
	char		host[256];
	int		port;

	put("ufop.ini", "[front]\nlisten = [::1]:80\n");
	setenv("PORT_HTTP", "9300", 1);
	setenv("FLAVOR", "C6M16", 1);
	CHECK_INT(start(&s, NULL, &err), 0);
	check_origin(&s, "front", "listen", "[::1]:9300", "PORT_HTTP");
	settings_listen(&s, host, &port);
	CHECK_STR(host, "::1");
	CHECK_INT(port, 9300);
	CHECK_INT(settings_cpu_count(&s), 6);
	settings_release(&s);

	/* Our own variables say more than the platform's. */
	setenv("UFOP_FRONT_LISTEN", "127.0.0.1:9400", 1);
	setenv("CPU_COUNT", "2", 1);
	setenv("FLAVOR", "whatever it is", 1);
	CHECK_MSG(start(&s, NULL, &err) == 0, "%s", err.msg);
	settings_listen(&s, host, &port);
	CHECK_STR(host, "127.0.0.1");
	CHECK_INT(port, 9400);
	CHECK_INT(settings_cpu_count(&s), 2);
	settings_release(&s);

	/* Empty is not set. */
	setenv("CPU_COUNT", "", 1);
	setenv("FLAVOR", "C5M1", 1);
	setenv("PORT_HTTP", "", 1);
	CHECK_MSG(start(&s, NULL, &err) == 0, "%s", err.msg);
	CHECK_INT(settings_cpu_count(&s), 5);
	settings_release(&s);

	unsetenv("CPU_COUNT");
	unsetenv("FLAVOR");
	CHECK_INT(start(&s, NULL, &err), 0);
	CHECK(settings_cpu_count(&s) >= 1);
	settings_release(&s);
}

void
test_settings_kubernetes(void)
{
	struct settings	s;
	struct ufop_err	err;

	setenv("UFOP_SERVICE_HOST", "10.0.0.1", 1);
	setenv("UFOP_SERVICE_PORT", "9100", 1);
	setenv("UFOP_SERVICE_PORT_HTTP", "9100", 1);
	setenv("UFOP_PORT", "tcp://10.0.0.1:9100", 1);
	setenv("UFOP_PORT_9100_TCP", "tcp://10.0.0.1:9100", 1);
	setenv("UFOP_PORT_9100_TCP_ADDR", "10.0.0.1", 1);
	CHECK_MSG(start(&s, NULL, &err) == 0, "%s", err.msg);
	settings_release(&s);

	/* A person's UFOP_PORT is a mistake to be told of. */
	setenv("UFOP_PORT", "9100", 1);
	CHECK_INT(start(&s, NULL, &err), -1);
	CHECK(strncmp(err.msg, "UFOP_PORT is no setting's variable", 34) == 0);
	settings_release(&s);
}

void
test_settings_pools(void)
{
	static const char *const	flags[] = {
		"worker.pools=cpu=4, net\tvery-own=2", NULL
	};
	struct settings			s;
	struct settings_pool		pools[SETTINGS_POOLS_MAX];
	struct ufop_err			err;

	setenv("CPU_COUNT", "7", 1);
	CHECK_INT(start(&s, flags, &err), 0);
	CHECK_INT(settings_pools(&s, pools), 3);
	CHECK_STR(pools[0].name, "cpu");
	CHECK_INT(pools[0].children, 4);
	CHECK_STR(pools[1].name, "net");
	CHECK_INT(pools[1].children, 7);
	CHECK_STR(pools[2].name, "very-own");
	CHECK_INT(pools[2].children, 2);
	settings_release(&s);
}

/* ---- services --------------------------------------------------------- */

void
test_settings_service_tables(void)
{
	static const struct {
		const char		*service;
		struct ufop_setting_def	 defs[3];
		const char		*want;
	} cases[] = {
		{ "queue", { { "x", UFOP_SETTING_STRING, "", 0, 0, "" } },
		    "service 'queue': there is a section of this name already; "
		    "rename the service" },
		{ "pics", { { "x", UFOP_SETTING_STRING, "", 0, 0, "" } },
		    "service 'pics': there is a section of this name already; "
		    "rename the service" },
		{ "A b", { { "x", UFOP_SETTING_STRING, "", 0, 0, "" } },
		    "'A b' cannot be the name of a service; use 1 to 48 "
		    "characters of a-z, 0-9, _ and -" },
		{ "svc", { { "X", UFOP_SETTING_STRING, "", 0, 0, "" } },
		    "service 'svc': 'X' cannot be the name of a setting; use 1 "
		    "to 48 characters of a-z, 0-9, _ and -" },
		{ "svc", { { "n", UFOP_SETTING_INT, "11", 1, 10, "" } },
		    "service 'svc': the fallback '11' of setting 'n' must be a "
		    "whole number from 1 to 10" },
		{ "svc", { { "n", UFOP_SETTING_TIME, NULL, 1, 10000, "" } },
		    "service 'svc': the fallback '' of setting 'n' must be a "
		    "time such as 500ms, 30s or 5m, from 1ms to 10s" },
		{ "svc", { { "a-b", UFOP_SETTING_INT, "1", 0, 0, "" },
		    { "a_b", UFOP_SETTING_INT, "1", 0, 0, "" } },
		    "service 'svc': setting 'a_b' has the same variable "
		    "UFOP_SVC_A_B as svc.a-b; rename it" },
		{ "redis-tag", { { "x", UFOP_SETTING_STRING, "", 0, 0, "" } },
		    NULL },
		{ "front", { { NULL, UFOP_SETTING_STRING, "", 0, 0, "" } },
		    "service 'front': there is a section of this name already; "
		    "rename the service" },
	};
	struct ufop_service	service;
	struct settings		s;
	struct ufop_err		err;
	size_t			i;
	int			r;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		service = (struct ufop_service){ .abi = UFOP_ABI,
		    .name = cases[i].service, .settings = cases[i].defs };
		CHECK_INT(start(&s, NULL, &err), 0);
		r = settings_add_service(&s, &service, NULL, &err);
		CHECK_MSG(r == (cases[i].want == NULL ? 0 : -1), "row %zu", i);
		if (r == -1) {
			CHECK_INT(err.code, UFOP_CONFIG);
			CHECK_STR(err.msg, cases[i].want);
		}
		settings_release(&s);
	}
}

void
test_settings_service_file_is_bad(void)
{
	struct settings	s;
	struct ufop_err	err;

	CHECK(mkdir("svc", 0700) == 0);
	put("svc/settings.ini", "quality = high\n");
	CHECK_INT(start(&s, NULL, &err), -1);
	CHECK_STR(err.msg, "svc/settings.ini:1: pics.quality = 'high': must be "
	    "a whole number from 1 to 100");
	settings_release(&s);

	put("svc/settings.ini", "\nquolity = 5\n");
	CHECK_INT(start(&s, NULL, &err), -1);
	CHECK_STR(err.msg, "svc/settings.ini:2: [pics] has no setting "
	    "'quolity'; did you mean 'quality'?");
	settings_release(&s);
}

void
test_settings_rows_stay(void)
{
	struct settings		 s;
	const struct setting	*before;
	struct ufop_err		 err;

	settings_init(&s);
	before = settings_find(&s, "fetch", "deny");
	CHECK_INT(settings_add_service(&s, &pics, NULL, &err), 0);
	CHECK(settings_find(&s, "fetch", "deny") == before);
	CHECK_STR(settings_each(&s, before)->section, "pics");
	settings_release(&s);
}

/* ---- showing and handing on ------------------------------------------- */

void
test_settings_show_hides_passwords(void)
{
	static const struct {
		const char	*flag, *section, *name, *want;
	} cases[] = {
		{ "redis.url=redis://u:pw@h:1/2", "redis", "url",
		    "redis://u:***@h:1/2" },
		{ "redis.url=redis://:p:w@/x@h", "redis", "url",
		    "redis://:***@h" },
		{ "redis.url=unix://:pw@/tmp/s?db=1", "redis", "url",
		    "unix://:***@/tmp/s?db=1" },
		{ "redis.url=redis://h:6379/0", "redis", "url",
		    "redis://h:6379/0" },
		{ "redis.url=redis://u@h:6379/0", "redis", "url",
		    "redis://u@h:6379/0" },
		{ "pics.api-key=12345", "pics", "api-key", "***" },
		{ "pics.api-key=", "pics", "api-key", "" },
		{ "pics.formats=a:b@c", "pics", "formats", "a:b@c" },
	};
	const char	*flags[2] = { NULL, NULL };
	struct settings	 s;
	struct ufop_err	 err;
	struct buf	 text;
	size_t		 i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		flags[0] = cases[i].flag;
		CHECK_INT(start(&s, flags, &err), 0);
		buf_init(&text, 1000);
		setting_show(settings_find(&s, cases[i].section,
		    cases[i].name), &text);
		CHECK_STR(text.p == NULL ? "" : text.p, cases[i].want);
		buf_release(&text);
		settings_release(&s);
	}
}

void
test_settings_bad(void)
{
	static const char *const	flags[] = {
		"redis.url=redis://:pw@nowhere", NULL
	};
	char				long_value[400];
	struct settings			s;
	struct ufop_err			err;

	CHECK_INT(start(&s, flags, &err), 0);
	CHECK_INT(settings_bad(&s, "redis", "url", &err, "no host %d", 5), -1);
	CHECK_INT(err.code, UFOP_CONFIG);
	CHECK_STR(err.msg, "command line: redis.url = 'redis://:***@nowhere': "
	    "no host 5");

	/* However long the value, the reason is still there. */
	memset(long_value, 'x', sizeof(long_value) - 1);
	long_value[sizeof(long_value) - 1] = '\0';
	CHECK_INT(settings_set(&s, "fetch", "deny", long_value, "here", &err),
	    0);
	settings_bad(&s, "fetch", "deny", &err, "is no network");
	CHECK_INT(strlen(err.msg), strlen("here: fetch.deny = ''...: "
	    "is no network") + 120);
	CHECK_STR(err.msg + strlen(err.msg) - 19, "xx...': is no network" + 2);
	settings_release(&s);
}

void
test_settings_set(void)
{
	struct settings	s;
	struct ufop_err	err;

	CHECK_INT(start(&s, NULL, &err), 0);
	CHECK_INT(settings_set(&s, "redis", "url", "unix:///tmp/r", "ufop up",
	    &err), 0);
	check_origin(&s, "redis", "url", "unix:///tmp/r", "ufop up");
	CHECK_INT(settings_set(&s, "redis", "url", "nonsense", "ufop up", &err),
	    -1);
	check_origin(&s, "redis", "url", "unix:///tmp/r", "ufop up");
	CHECK_INT(settings_set(&s, "redis", "uri", "x", "ufop up", &err), -1);
	CHECK_STR(err.msg, "ufop up: [redis] has no setting 'uri'; did you "
	    "mean 'url'?");
	settings_release(&s);
}

void
test_settings_env_names(void)
{
	char		env[SETTINGS_ENV_MAX];
	struct settings	s;
	struct ufop_err	err;

	CHECK_INT(start(&s, NULL, &err), 0);
	setting_env_name(settings_find(&s, "ufop", "max_body"), env);
	CHECK_STR(env, "UFOP_MAX_BODY");
	setting_env_name(settings_find(&s, "queue", "lease"), env);
	CHECK_STR(env, "UFOP_QUEUE_LEASE");
	setting_env_name(settings_find(&s, "pics", "api-key"), env);
	CHECK_STR(env, "UFOP_PICS_API_KEY");
	settings_release(&s);
}

void
test_settings_export_env(void)
{
	/* One of them back to its default, over a variable that says else. */
	static const char *const	flags[] = {
		"queue.lease=15s", "redis.url=unix:///r", "fetch.allow=", NULL
	};
	const struct setting		*a, *b;
	struct settings			 s, child;
	struct ufop_err			 err;

	put("ufop.ini", "[pics]\nquality = 9\n[fetch]\nallow = localhost\n");
	put(".env", "CPU_COUNT=3\n");
	setenv("UFOP_QUEUE_LEASE", "20s", 1);
	setenv("PORT_HTTP", "9300", 1);
	CHECK_INT(start(&s, flags, &err), 0);
	settings_export_env(&s);
	CHECK_STR(getenv("UFOP_QUEUE_LEASE"), "15s");
	CHECK_STR(getenv("UFOP_FETCH_ALLOW"), "");
	CHECK(getenv("UFOP_DEBUG") == NULL);

	/* From another directory, without files and flags. */
	settings_init(&child);
	CHECK_INT(settings_load(&child, &(struct settings_sources){ .dir = NULL },
	    &err), 0);
	CHECK_INT(settings_add_service(&child, &pics, NULL, &err), 0);
	CHECK_INT(settings_finish(&child, &err), 0);
	for (a = b = NULL; (a = settings_each(&s, a)) != NULL; ) {
		b = settings_each(&child, b);
		CHECK_STR(b->def->name, a->def->name);
		CHECK_MSG(strcmp(a->value, b->value) == 0 && a->num == b->num,
		    "%s.%s became '%s'", a->section, a->def->name, b->value);
	}
	CHECK_INT(settings_cpu_count(&child), 3);
	CHECK_STR(settings_str(&child, "front", "listen"), "0.0.0.0:9300");
	settings_release(&child);
	settings_release(&s);
}

/* ---- for programmers -------------------------------------------------- */

static void
ask_unknown(const struct settings *s)
{
	settings_str(s, "queue", "nothing");
}

static void
ask_other_type(const struct settings *s)
{
	settings_int(s, "queue", "lease");
}

void
test_settings_mistakes_abort(void)
{
	static void (*const	asks[])(const struct settings *) = {
		ask_unknown, ask_other_type
	};
	struct settings		s;
	size_t			i;
	pid_t			pid;
	int			status;

	settings_init(&s);
	for (i = 0; i < 2; i++) {
		if ((pid = fork()) == 0) {
			asks[i](&s);
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
	settings_release(&s);
}

void
test_settings_word(void)
{
	struct str	rest = STR(" a, b,,c\n\td ,"), word;
	const char	*want[] = { "a", "b", "c", "d" };
	int		i;

	for (i = 0; i < 4; i++) {
		CHECK(settings_word(&rest, &word));
		CHECK(str_eq_c(word, want[i]));
	}
	CHECK(!settings_word(&rest, &word));
	CHECK(!settings_word(&rest, &word));
	rest = STR_NULL;
	CHECK(!settings_word(&rest, &word));
}
