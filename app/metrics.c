/* SPDX-License-Identifier: MIT */
/*
 * Numbers in shared memory, and /metrics, which writes them in the text format
 * of Prometheus.
 */
#include <sys/mman.h>

#include <stdio.h>
#include <string.h>

#include <kore/kore.h>
#include <kore/http.h>

#include "answer.h"
#include "front.h"
#include "link.h"
#include "metrics.h"
#include "request.h"
#include "view.h"

#define STATUS_MAX	600
#define TEXT_MAX	(4 * 1024 * 1024)
/* A scrape waits no longer than this for Redis' part of the numbers. */
#define PATIENCE_MS	1000

/* Upper ends of the histogram's buckets, in microseconds. */
static const int64_t	ends_us[] = {
	500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
	1000000, 2500000, 5000000, 10000000, 30000000
};

#define NENDS		(sizeof(ends_us) / sizeof(ends_us[0]))

struct task_numbers {
	uint64_t	 bucket[NENDS + 1];	/* the last: beyond all ends */
	uint64_t	 sum_us;
};

struct numbers {
	uint64_t	 answers[STATUS_MAX];
	uint64_t	 upload_bytes;
	struct {
		int64_t	 inflight;
		int64_t	 spool;		/* bytes */
	} worker[METRICS_WORKERS + 1];
	struct task_numbers task[];
};

static struct numbers	*numbers;
static int		 self;		/* our place in numbers->worker */

#define ADD(what, n)	__atomic_fetch_add(&(what), (n), __ATOMIC_RELAXED)
#define GET(what)	__atomic_load_n(&(what), __ATOMIC_RELAXED)

void
metrics_init(void)
{
	size_t	 size;

	size = sizeof(*numbers) + (size_t)front.services.ntasks *
	    sizeof(numbers->task[0]);
	numbers = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (numbers == MAP_FAILED) {
		perror("ufop: no memory for the metrics");
		exit(err_exit_status(UFOP_SYSTEM));
	}
}

void
metrics_worker(int number)
{
	self = number > 0 && number <= METRICS_WORKERS ? number : 0;
	numbers->worker[self].inflight = 0;
	numbers->worker[self].spool = 0;
}

void
metrics_answer(int status)
{
	if (status >= 0 && status < STATUS_MAX)
		ADD(numbers->answers[status], 1);
}

void
metrics_task(int task, int64_t us)
{
	size_t	 i;

	for (i = 0; i < NENDS && us > ends_us[i]; i++)
		;
	ADD(numbers->task[task].bucket[i], 1);
	ADD(numbers->task[task].sum_us, (uint64_t)us);
}

void
metrics_inflight(int delta)
{
	ADD(numbers->worker[self].inflight, delta);
}

void
metrics_spool(int64_t delta)
{
	ADD(numbers->worker[self].spool, delta);
}

void
metrics_upload(uint64_t bytes)
{
	ADD(numbers->upload_bytes, bytes);
}

int64_t
metrics_spool_total(void)
{
	int64_t	 sum = 0;
	int	 i;

	for (i = 0; i <= METRICS_WORKERS; i++)
		sum += GET(numbers->worker[i].spool);
	return (sum);
}

/* ---- the page -------------------------------------------------------- */

static void
head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
write_task(struct buf *b, int task)
{
	const struct task_numbers	*t = &numbers->task[task];
	const char			*name = front.services.tasks[task].name;
	unsigned long long		 sum = 0;
	size_t				 i;

	for (i = 0; i < NENDS; i++) {
		sum += GET(t->bucket[i]);
		buf_addf(b, "ufop_job_seconds_bucket{task=\"%s\",le=\"%g\"} "
		    "%llu\n", name, (double)ends_us[i] / 1e6, sum);
	}
	sum += GET(t->bucket[NENDS]);
	buf_addf(b, "ufop_job_seconds_bucket{task=\"%s\",le=\"+Inf\"} %llu\n"
	    "ufop_job_seconds_sum{task=\"%s\"} %.6f\n"
	    "ufop_job_seconds_count{task=\"%s\"} %llu\n", name, sum, name,
	    (double)GET(t->sum_us) / 1e6, name, sum);
}

static void
write_pools(struct buf *b)
{
	static const struct {
		const char	*name, *help;
	} rows[] = {
		{ "ufop_queue_jobs", "Jobs that wait in the queue of a pool." },
		{ "ufop_pool_workers", "Live workers that serve a pool." },
		{ "ufop_pool_children", "Children that serve a pool." },
		{ "ufop_pool_busy", "Children of a pool that run a job." },
	};
	const struct view_pool	*p;
	long long		 value;
	size_t			 row;
	int			 i;

	for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		head(b, rows[row].name, "gauge", rows[row].help);
		for (i = 0; i < view_pools(); i++) {
			p = view_pool(i);
			value = row == 0 ? p->waiting : row == 1 ? p->workers :
			    row == 2 ? p->slots : p->busy;
			buf_addf(b, "%s{pool=\"%s\"} %lld\n", rows[row].name,
			    p->name, value);
		}
	}
}

static void
write_numbers(struct buf *b)
{
	long long	 inflight = 0;
	int		 i;

	head(b, "ufop_responses_total", "counter",
	    "Responses of the front by HTTP status.");
	for (i = 0; i < STATUS_MAX; i++)
		if (GET(numbers->answers[i]) > 0)
			buf_addf(b, "ufop_responses_total{status=\"%d\"} "
			    "%llu\n", i,
			    (unsigned long long)GET(numbers->answers[i]));
	head(b, "ufop_job_seconds", "histogram",
	    "Time from queueing a job to its answer, by first task.");
	for (i = 0; i < front.services.ntasks; i++)
		write_task(b, i);
	for (i = 0; i <= METRICS_WORKERS; i++)
		inflight += GET(numbers->worker[i].inflight);
	head(b, "ufop_requests_inflight", "gauge",
	    "Requests in hand, of all front processes.");
	buf_addf(b, "ufop_requests_inflight %lld\n", inflight);
	head(b, "ufop_upload_bytes_total", "counter",
	    "Bytes of request bodies taken.");
	buf_addf(b, "ufop_upload_bytes_total %llu\n",
	    (unsigned long long)GET(numbers->upload_bytes));
	head(b, "ufop_spool_bytes", "gauge",
	    "Bytes of uploads in the spool, of all front processes.");
	buf_addf(b, "ufop_spool_bytes %lld\n",
	    (long long)metrics_spool_total());
	head(b, "ufop_redis_up", "gauge", "Whether Redis is connected.");
	buf_addf(b, "ufop_redis_up %d\n", link_ready());
	/* What is not known is better not said than said wrongly. */
	if (link_ready() && view_is_fresh())
		write_pools(b);
}

static void
answer_metrics(struct request *r)
{
	struct answer	 a = { .status = 200,
			    .type = STR("text/plain; version=0.0.4") };
	struct buf	 text;

	buf_init(&text, TEXT_MAX);
	write_numbers(&text);
	answer_bytes(r->conn, &a, (struct str){ text.p, text.len });
	buf_release(&text);
}

int
page_metrics(struct http_request *req)
{
	struct request	*r;

	if (http_state_exists(req)) {
		r = request_of(req);
		if (!r->conn->answered)
			answer_metrics(r);
		return (KORE_RESULT_OK);
	}
	r = request_new(req, REQUEST_METRICS, "metrics");
	if (!request_is_get(r))
		return (KORE_RESULT_OK);
	if (!link_ready() || view_ask() == -1)
		answer_metrics(r);
	else {
		r->waits_view = true;
		r->give_up_ms = clock_mono_ms() + PATIENCE_MS;
		return (request_sleep(r));
	}
	return (KORE_RESULT_OK);
}
