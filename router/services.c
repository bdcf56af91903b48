/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "banned.h"
#include "job.h"
#include "services.h"
#include "settings.h"

/* Of a service's name and of a task's, so that "service.task" always fits. */
#define NAME_MAX_LEN	((TASK_NAME_MAX - 1) / 2)

#define KNOWN_FLAGS	(UFOP_TASK_TAKES_URL | UFOP_TASK_NO_SOURCE)

/* ---- what a service must be ------------------------------------------- */

/* Whether name is 1 to max of [a-z0-9_-]. */
static bool
is_name(const char *name, size_t max)
{
	size_t	len;

	len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
	return (name[len] == '\0' && len >= 1 && len <= max);
}

static int
check_task(const struct ufop_service *s, const struct ufop_task *t,
    struct ufop_err *err)
{
	const struct ufop_task	*other;

	if (!is_name(t->name, NAME_MAX_LEN))
		return (err_set(err, UFOP_CONFIG, "service '%s': a task cannot "
		    "be named '%.80s': use 1 to %d of a-z, 0-9, _ and -",
		    s->name, t->name, NAME_MAX_LEN));
	for (other = s->tasks; other != t; other++) {
		if (strcmp(other->name, t->name) == 0)
			return (err_set(err, UFOP_CONFIG, "service '%s' has "
			    "two tasks named '%s': rename one", s->name,
			    t->name));
	}
	if (t->route == NULL)
		return (err_set(err, UFOP_CONFIG, "service '%s': the task '%s' "
		    "has no route: add .route = \"^/%s$\" or alike", s->name,
		    t->name, t->name));
	if (t->run == NULL)
		return (err_set(err, UFOP_CONFIG, "service '%s': the task '%s' "
		    "has no function to run: add .run = ...", s->name,
		    t->name));
	if (t->pool != NULL && !is_name(t->pool, JOB_POOL_MAX - 1))
		return (err_set(err, UFOP_CONFIG, "service '%s': the task '%s' "
		    "has a pool that cannot be named '%.80s': use 1 to %d of "
		    "a-z, 0-9, _ and -", s->name, t->name, t->pool,
		    JOB_POOL_MAX - 1));
	if (t->timeout_ms < 0 || t->memory_mb < 0 || t->max_body < 0 ||
	    t->retries < 0)
		return (err_set(err, UFOP_CONFIG, "service '%s': the task '%s' "
		    "has a limit below 0: leave it out for the setting's",
		    s->name, t->name));
	if ((t->flags & ~(unsigned)KNOWN_FLAGS) != 0)
		return (err_set(err, UFOP_CONFIG, "service '%s': the task '%s' "
		    "has flags 0x%x that this ufop does not know", s->name,
		    t->name, t->flags & ~(unsigned)KNOWN_FLAGS));
	return (0);
}

static int
check_hook(const struct ufop_service *s, const struct ufop_hook *h,
    struct ufop_err *err)
{
	if (strcmp(h->point, "job.before") != 0 &&
	    strcmp(h->point, "job.after") != 0)
		return (err_set(err, UFOP_CONFIG, "service '%s' has a hook at "
		    "'%.80s', and there are only job.before and job.after",
		    s->name, h->point));
	if (h->run == NULL)
		return (err_set(err, UFOP_CONFIG, "service '%s': the hook at "
		    "%s has no function to run: add .run = ...", s->name,
		    h->point));
	return (0);
}

/* *ntasks is raised by the number of its tasks. */
static int
check_service(const struct ufop_service *s, int *ntasks, struct ufop_err *err)
{
	const struct ufop_hook	*h;
	const struct ufop_task	*t;

	/* First of all: the rest of the struct means nothing without it. */
	if (s->abi != UFOP_ABI)
		return (err_set(err, UFOP_CONFIG, "the service was built "
		    "against ufop ABI %d, and this is %d: rebuild it with this "
		    "ufop's ufop.h", s->abi, UFOP_ABI));
	if (s->name == NULL)
		return (err_set(err, UFOP_CONFIG, "the service has no name: "
		    "end its file with UFOP_SERVICE(name, tasks)"));
	if (!is_name(s->name, NAME_MAX_LEN))
		return (err_set(err, UFOP_CONFIG, "a service cannot be named "
		    "'%.80s': use 1 to %d of a-z, 0-9, _ and -", s->name,
		    NAME_MAX_LEN));
	if (s->tasks == NULL || s->tasks[0].name == NULL)
		return (err_set(err, UFOP_CONFIG, "service '%s' has no tasks: "
		    "fill in the table that UFOP_SERVICE() is given", s->name));
	for (t = s->tasks; t->name != NULL; t++) {
		if (check_task(s, t, err) == -1)
			return (-1);
		(*ntasks)++;
	}
	for (h = s->hooks; h != NULL && h->point != NULL; h++) {
		if (check_hook(s, h, err) == -1)
			return (-1);
	}
	return (0);
}

/* ---- taking it in ----------------------------------------------------- */

int
services_add(struct services *all, const struct ufop_service *s,
    struct ufop_err *err)
{
	struct services_task	*st;
	int			 ntasks = 0, i;

	if (check_service(s, &ntasks, err) == -1)
		return (-1);
	for (i = 0; i < all->nservices; i++) {
		if (strcmp(all->services[i]->name, s->name) == 0)
			return (err_set(err, UFOP_CONFIG, "there are two "
			    "services named '%s': rename one, or switch one "
			    "off in the setting services", s->name));
	}
	if (all->nservices == SERVICES_MAX)
		return (err_set(err, UFOP_CONFIG, "service '%s' is one too "
		    "many: %d can be on at once", s->name, SERVICES_MAX));

	all->services[all->nservices] = s;
	all->handles[all->nservices] = NULL;
	all->paths[all->nservices] = NULL;
	all->nservices++;
	all->tasks = xrealloc(all->tasks,
	    (size_t)(all->ntasks + ntasks) * sizeof(*all->tasks));
	for (i = 0; i < ntasks; i++) {
		st = &all->tasks[all->ntasks++];
		st->service = s;
		st->task = &s->tasks[i];
		st->pool = s->tasks[i].pool != NULL ? s->tasks[i].pool : "cpu";
		snprintf(st->name, sizeof(st->name), "%s.%s", s->name,
		    s->tasks[i].name);
	}
	return (0);
}

static int
is_service_file(const struct dirent *entry)
{
	size_t	len = strlen(entry->d_name);

	return (len > 3 && strcmp(entry->d_name + len - 3, ".so") == 0);
}

/* There is no such file: say what there is instead. */
static int
not_there(struct str word, const char *path, const char *dir, bool is_path,
    struct ufop_err *err)
{
	struct dirent	**entries;
	struct buf	  names;
	int		  n, i;

	if (is_path)
		return (err_set(err, UFOP_CONFIG, "there is no file '%s' to "
		    "load as a service: build it, or take it out of the "
		    "setting services", path));
	buf_init(&names, UFOP_ERR_MSG_MAX);
	n = scandir(dir, &entries, is_service_file, alphasort);
	for (i = 0; i < n; i++) {
		buf_addf(&names, "%s%.*s", i == 0 ? "" : ", ",
		    (int)strlen(entries[i]->d_name) - 3, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	err_set(err, UFOP_CONFIG, "there is no service '%.*s' in %s, %s%s; a "
	    "file of your own is written with a slash, as in ./%.*s.so",
	    STR_ARG(word), dir, n == -1 ? "which cannot be read" :
	    n == 0 ? "where there is none" : "where there are: ",
	    n > 0 ? names.p : "", STR_ARG(word));
	buf_release(&names);
	return (-1);
}

/*
 * Look at the file before dlopen() does, whose messages about what is no
 * shared object at all help nobody.
 */
static int
check_file(struct str word, const char *path, const char *dir, bool is_path,
    struct ufop_err *err)
{
	char	magic[4];
	ssize_t	n;
	int	fd, failure;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1) {
		if (errno == ENOENT || errno == ENOTDIR)
			return (not_there(word, path, dir, is_path, err));
		return (err_set(err, UFOP_CONFIG, "cannot read the service "
		    "'%s': %s", path, strerror(errno)));
	}
	n = read(fd, magic, sizeof(magic));
	failure = errno;
	close(fd);
	if (n == -1)
		return (err_set(err, UFOP_CONFIG, "cannot read the service "
		    "'%s': %s", path, strerror(failure)));
	if (n < (ssize_t)sizeof(magic) || memcmp(magic, "\177ELF", 4) != 0)
		return (err_set(err, UFOP_CONFIG, "the service '%s' is no "
		    "shared object: build it with cc -shared -fPIC", path));
	return (0);
}

/* Load the file and add its service; path is ours from now on. */
static int
load_file(struct services *all, char *path, struct ufop_err *err)
{
	const struct ufop_service	*s;
	struct ufop_err			 why;
	void				*handle;
	int				 i;

	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		err_set(err, UFOP_CONFIG, "cannot load the service '%s': %s",
		    path, dlerror());
		goto fail;
	}
	/* The same file by any of its names gives the same handle. */
	for (i = 0; i < all->nservices; i++) {
		if (all->handles[i] == handle) {
			err_set(err, UFOP_CONFIG, "the service '%s' is named "
			    "twice in the setting services: take one out",
			    path);
			goto fail;
		}
	}
	s = dlsym(handle, UFOP_SERVICE_SYMBOL);
	if (s == NULL) {
		err_set(err, UFOP_CONFIG, "'%s' has no symbol %s: end its file "
		    "with UFOP_SERVICE(name, tasks)", path,
		    UFOP_SERVICE_SYMBOL);
		goto fail;
	}
	if (services_add(all, s, &why) == -1) {
		err_set(err, why.code, "cannot use '%s': %s", path, why.msg);
		goto fail;
	}
	all->handles[all->nservices - 1] = handle;
	all->paths[all->nservices - 1] = path;
	return (0);

fail:
	if (handle != NULL)
		dlclose(handle);
	free(path);
	return (-1);
}

static int
load_word(struct services *all, struct str word, const char *dir,
    struct ufop_err *err)
{
	char	*path;
	bool	 is_path;

	is_path = str_find(word, '/') != -1 ||
	    str_eq(str_slice(word, word.len < 3 ? 0 : word.len - 3, word.len),
	    STR(".so"));
	/* Without a slash dlopen() would search the system's libraries. */
	if (!is_path)
		path = xasprintf("%s/%.*s.so", dir, STR_ARG(word));
	else
		path = xasprintf("%s%.*s", str_find(word, '/') == -1 ? "./" :
		    "", STR_ARG(word));
	if (check_file(word, path, dir, is_path, err) == -1) {
		free(path);
		return (-1);
	}
	return (load_file(all, path, err));
}

int
services_load(struct services *all, const char *words, const char *dir,
    struct ufop_err *err)
{
	struct str	rest = str_from(words), word;

	memset(all, 0, sizeof(*all));
	while (settings_word(&rest, &word)) {
		if (load_word(all, word, dir, err) == -1) {
			services_release(all);
			return (-1);
		}
	}
	return (0);
}

void
services_release(struct services *all)
{
	int	i;

	/* The tasks point into the objects that are unloaded below. */
	free(all->tasks);
	for (i = all->nservices - 1; i >= 0; i--) {
		if (all->handles[i] != NULL)
			dlclose(all->handles[i]);
		free(all->paths[i]);
	}
	memset(all, 0, sizeof(*all));
}

int
services_find(const struct services *all, struct str name)
{
	int	i;

	for (i = 0; i < all->ntasks; i++) {
		if (str_eq_c(name, all->tasks[i].name))
			return (i);
	}
	return (-1);
}
