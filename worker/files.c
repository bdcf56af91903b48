/* SPDX-License-Identifier: MIT */
#include <sys/mman.h>
#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "files.h"
#include "reqid.h"

void
files_init(struct files *f, int64_t keep_ms)
{
	memset(f, 0, sizeof(*f));
	f->keep_ms = keep_ms;
}

static void
drop(struct files *f, int i)
{
	free((char *)(uintptr_t)f->list[i].url);
	munmap((void *)(uintptr_t)f->list[i].data, f->list[i].len);
	f->n--;
	memmove(&f->list[i], &f->list[i + 1],
	    (size_t)(f->n - i) * sizeof(f->list[0]));
	memmove(&f->until_ms[i], &f->until_ms[i + 1],
	    (size_t)(f->n - i) * sizeof(f->until_ms[0]));
}

void
files_release(struct files *f)
{
	while (f->n > 0)
		drop(f, 0);
}

int
files_add(struct files *f, const char *url, int fd, struct ufop_err *err)
{
	struct stat	 st;
	void		*map;
	bool		 keep;
	int		 i;

	if (fstat(fd, &st) == -1 || st.st_size <= 0)
		return (err_set(err, UFOP_FAILED, "the file fetched from "
		    "'%.200s' is empty", url));
	map = mmap(NULL, (size_t)st.st_size, PROT_READ,
	    MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		return (err_sys(err, "cannot map the %lld bytes fetched from "
		    "'%.200s'", (long long)st.st_size, url));
	for (i = 0; i < f->n; i++)
		if (strcmp(f->list[i].url, url) == 0)
			break;
	if (i < f->n)
		drop(f, i);
	else if (f->n == FILES_MAX)
		drop(f, 0);
	keep = st.st_size <= FILES_KEPT_BYTES && f->keep_ms > 0;
	f->list[f->n] = (struct handler_file){ xstrdup(url), map,
		(size_t)st.st_size };
	f->until_ms[f->n++] = keep ? clock_mono_ms() + f->keep_ms : 0;
	return (0);
}

void
files_expire(struct files *f)
{
	int64_t	 now;
	int	 i;

	if (f->n == 0)
		return;
	now = clock_mono_ms();
	for (i = f->n - 1; i >= 0; i--)
		if (f->until_ms[i] <= now)
			drop(f, i);
}
