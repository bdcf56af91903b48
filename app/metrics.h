/* SPDX-License-Identifier: MIT */
/*
 * Numbers for /metrics, in memory that all front processes share.  Counting
 * costs one atomic addition and no lock.
 */
#ifndef APP_METRICS_H
#define APP_METRICS_H

#include <stdint.h>

/* Front processes at the most; front.workers has a lower limit. */
#define METRICS_WORKERS		64

/* Before the fork, once the tasks are known. */
void	 metrics_init(void);
/* In a front process: what a dead one of the same number left is forgotten. */
void	 metrics_worker(int number);

void	 metrics_answer(int status);
/* A job of services.tasks[task] has been answered after us microseconds. */
void	 metrics_task(int task, int64_t us);
/* Requests in hand and bytes in the spool of this process, relative. */
void	 metrics_inflight(int delta);
void	 metrics_spool(int64_t delta);
void	 metrics_upload(uint64_t bytes);

/* Bytes of uploads in the spool, of all front processes. */
int64_t	 metrics_spool_total(void);

#endif
