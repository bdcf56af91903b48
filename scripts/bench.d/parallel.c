/* SPDX-License-Identifier: MIT */
/* The same job in several processes; see parallel.h. */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "parallel.h"

/* What all processes see. */
struct tally {
	pthread_barrier_t start;	/* all have run the job once */
	_Atomic int64_t	 jobs;
	_Atomic int64_t	 busy_us;	/* of all processes together */
};

static int64_t
now_us(void)
{
	struct timespec	 ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

static void __attribute__((noreturn))
work(struct tally *tally, int64_t us, void (*begin)(void *),
    void (*job)(void *), void *arg)
{
	int64_t	 began, now, jobs = 0;

	/* Who waits for one that has failed shall not wait for ever. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* As the worker's children set them. */
	(void)mallopt(M_MMAP_MAX, 0);
	(void)mallopt(M_TRIM_THRESHOLD, 128 << 20);
	if (begin != NULL)
		begin(arg);
	job(arg);
	(void)pthread_barrier_wait(&tally->start);
	began = now_us();
	do {
		job(arg);
		jobs++;
		now = now_us();
	} while (now - began < us);
	tally->jobs += jobs;
	tally->busy_us += now - began;
	exit(0);
}

int
parallel(int n, int64_t seconds, void (*begin)(void *), void (*job)(void *),
    void *arg)
{
	pthread_barrierattr_t	 attr;
	struct tally		*tally;
	int			 i, status;

	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED) {
		perror("cannot share a page");
		return (1);
	}
	(void)pthread_barrierattr_init(&attr);
	(void)pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	(void)pthread_barrier_init(&tally->start, &attr, (unsigned)n);
	for (i = 0; i < n; i++) {
		switch (fork()) {
		case -1:
			perror("cannot fork");
			return (1);
		case 0:
			work(tally, seconds * 1000000, begin, job, arg);
		}
	}
	for (i = 0; i < n; i++)
		if (wait(&status) == -1 || status != 0)
			return (1);
	printf("{\"jobs\":%lld,\"seconds\":%.6f}\n", (long long)tally->jobs,
	    (double)tally->busy_us / (double)n / 1e6);
	return (0);
}
