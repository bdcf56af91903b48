/* SPDX-License-Identifier: MIT */
#include <sys/stat.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "file.h"
#include "project.h"
#include "templates.h"

#define TEXT_MAX	(1 << 20)	/* bytes of a template, filled in */

void
project_name(char out[PROJECT_NAME_MAX + 1])
{
	char		 cwd[PATH_MAX];
	const char	*base;
	size_t		 n = 0;
	char		 c;

	base = getcwd(cwd, sizeof(cwd)) == NULL ? NULL : strrchr(cwd, '/');
	for (; base != NULL && *base != '\0' && n < PROJECT_NAME_MAX; base++) {
		c = (char)tolower((unsigned char)*base);
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789", c) != NULL)
			out[n++] = c;
		else if (n > 0 && out[n - 1] != '-' && out[n - 1] != '_')
			out[n++] = c == '_' ? '_' : '-';
	}
	if (n > 0 && (out[n - 1] == '-' || out[n - 1] == '_'))
		n--;
	out[n] = '\0';
	if (n == 0)
		snprintf(out, PROJECT_NAME_MAX + 1, "ufop");
}

static struct str
word(struct str name, const struct project_words *words)
{
	if (str_eq_c(name, "NAME"))
		return (str_from(words->name));
	if (str_eq_c(name, "UFOP"))
		return (str_from(words->ufop));
	if (str_eq_c(name, "VERSION"))
		return (str_from(UFOP_VERSION));
	return (STR_NULL);
}

static void
fill_in(const struct template *t, const struct project_words *words,
    struct buf *out)
{
	struct str	rest = { (const char *)t->data, t->len }, name, value;
	int		end;

	/* A '@' that begins no word of ours stays what it is, as make's $@. */
	while (rest.s != NULL) {
		buf_str(out, str_cut(&rest, '@'));
		if (rest.s == NULL)
			return;
		end = str_find(rest, '@');
		name = str_slice(rest, 0, end == -1 ? 0 : (size_t)end);
		value = word(name, words);
		if (value.s == NULL) {
			buf_cstr(out, "@");
			continue;
		}
		buf_str(out, value);
		rest = str_slice(rest, (size_t)end + 1, rest.len);
	}
}

void
project_text(const char *path, const struct project_words *words,
    struct buf *out)
{
	const struct template	*t;

	for (t = templates; t->path != NULL; t++) {
		if (strcmp(t->path, path) == 0) {
			fill_in(t, words, out);
			return;
		}
	}
	abort();
}

static int
make_parents(const char *path, struct ufop_err *err)
{
	char	dir[PATH_MAX], *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	for (slash = strchr(dir, '/'); slash != NULL;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (dir[0] != '\0' && mkdir(dir, 0777) == -1 &&
		    errno != EEXIST)
			return (err_sys(err, "cannot make the directory '%s'",
			    dir));
		*slash = '/';
	}
	return (0);
}

static int
write_template(const struct template *t, const char *to,
    const struct project_words *words, struct ufop_err *err)
{
	struct buf	text;
	int		fd, rc;

	if (make_parents(to, err) == -1)
		return (-1);
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    t->mode | 0222);
	if (fd == -1 && errno == EEXIST) {
		printf("kept     %s, which was there\n", to);
		return (0);
	}
	if (fd == -1)
		return (err_sys(err, "cannot make '%s'", to));
	buf_init(&text, TEXT_MAX);
	fill_in(t, words, &text);
	rc = file_write(fd, (struct str){ text.p, text.len });
	buf_release(&text);
	if (close(fd) == -1 || rc == -1) {
		err_sys(err, "cannot write '%s'", to);
		/* Half a file would be kept the next time. */
		unlink(to);
		return (-1);
	}
	printf("created  %s\n", to);
	return (0);
}

int
project_write(const char *from, const char *to,
    const struct project_words *words, struct ufop_err *err)
{
	const struct template	*t;

	for (t = templates; t->path != NULL; t++) {
		if (strcmp(t->path, from) == 0)
			return (write_template(t, to, words, err));
	}
	abort();
}

int
project_write_all(const char *dir, const struct project_words *words,
    struct ufop_err *err)
{
	const struct template	*t;
	size_t			 n = strlen(dir);

	for (t = templates; t->path != NULL; t++) {
		if (strncmp(t->path, dir, n) == 0 &&
		    write_template(t, t->path + n, words, err) == -1)
			return (-1);
	}
	return (0);
}
