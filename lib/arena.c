/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "asan.h"

/*
 * Under AddressSanitizer what is not handed out is poisoned, and a gap stands
 * between neighbours, so that running over the end of one is seen at once.
 */
#ifdef ASAN
#include <sanitizer/asan_interface.h>
#define GAP	16
#else
#define ASAN_POISON_MEMORY_REGION(p, n)		((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n)	((void)(p), (void)(n))
#define GAP	0
#endif

/* Bytes of an ordinary block: args, names and paths of most jobs fit in one. */
#define BLOCK_SIZE	16384
#define ALIGN		_Alignof(max_align_t)

struct arena_block {
	struct arena_block	*next;
	size_t			 used, size;	/* bytes of data */
	_Alignas(max_align_t) char data[];
};

static void	die(size_t) __attribute__((noreturn));

static void
die(size_t size)
{
	/* A child that runs out ends here; its job is tried again. */
	fprintf(stderr, "out of memory: %zu bytes refused\n", size);
	abort();
}

void
arena_init(struct arena *a)
{
	a->head = NULL;
}

static struct arena_block *
block_new(size_t size)
{
	struct arena_block	*b;

	if (size > SIZE_MAX - sizeof(*b))
		die(size);
	b = xmalloc(sizeof(*b) + size);
	b->next = NULL;
	b->used = 0;
	b->size = size;
	ASAN_POISON_MEMORY_REGION(b->data, size);
	return (b);
}

static void
block_free(struct arena_block *b)
{
	ASAN_UNPOISON_MEMORY_REGION(b->data, b->size);
	free(b);
}

void *
arena_alloc(struct arena *a, size_t n, size_t size)
{
	struct arena_block	*b;
	size_t			 want, room;
	char			*p;

	if (__builtin_mul_overflow(n, size, &want) ||
	    want > SIZE_MAX - GAP - ALIGN)
		die(SIZE_MAX);
	room = (want + GAP + ALIGN - 1) & ~(ALIGN - 1);

	/* The head is always an ordinary block: it is what arena_clear() keeps. */
	if (a->head == NULL)
		a->head = block_new(BLOCK_SIZE);
	b = a->head;
	if (room > b->size - b->used) {
		if (room > BLOCK_SIZE / 4) {
			/* Too big to share: behind the head, which goes on. */
			b = block_new(room);
			b->next = a->head->next;
			a->head->next = b;
		} else {
			b = block_new(BLOCK_SIZE);
			b->next = a->head;
			a->head = b;
		}
	}
	p = b->data + b->used;
	b->used += room;
	ASAN_UNPOISON_MEMORY_REGION(p, want);
	memset(p, 0, want);
	return (p);
}

char *
arena_str(struct arena *a, struct str s)
{
	char	*p = arena_alloc(a, s.len + 1, 1);

	if (s.len > 0)
		memcpy(p, s.s, s.len);
	return (p);
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list	 ap;
	char	*p;
	int	 n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		die(0);
	p = arena_alloc(a, (size_t)n + 1, 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return (p);
}

void
arena_clear(struct arena *a)
{
	struct arena_block	*b;

	if (a->head == NULL)
		return;
	while ((b = a->head->next) != NULL) {
		a->head->next = b->next;
		block_free(b);
	}
	a->head->used = 0;
	ASAN_POISON_MEMORY_REGION(a->head->data, a->head->size);
}

void
arena_release(struct arena *a)
{
	arena_clear(a);
	if (a->head != NULL)
		block_free(a->head);
	a->head = NULL;
}

void *
xmalloc(size_t size)
{
	void	*p = malloc(size == 0 ? 1 : size);

	if (p == NULL)
		die(size);
	return (p);
}

void *
xcalloc(size_t n, size_t size)
{
	void	*p = calloc(n == 0 ? 1 : n, size == 0 ? 1 : size);

	if (p == NULL)
		die(size);
	return (p);
}

void *
xrealloc(void *old, size_t size)
{
	void	*p = realloc(old, size == 0 ? 1 : size);

	if (p == NULL)
		die(size);
	return (p);
}

char *
xstrdup(const char *s)
{
	size_t	 size = strlen(s) + 1;

	return (memcpy(xmalloc(size), s, size));
}

char *
xasprintf(const char *fmt, ...)
{
	va_list	 ap;
	char	*p;
	int	 n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (n < 0)
		die(0);
	return (p);
}
