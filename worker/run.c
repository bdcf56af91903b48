/* SPDX-License-Identifier: MIT */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "reqid.h"
#include "run.h"
#include "setup.h"

/*
 * Where the last stage's result is written.  Small results lie in the slot,
 * big ones in the reply file; both are in place what will be sent.
 */
struct run_sink {
	struct reply_sink	 sink;
	struct run		*run;
	struct ring_slot	*slot;
	int			*fd;		/* the slot's reply file */
	unsigned char		*map;		/* of the reply file, or NULL */
	size_t			 map_len;
	bool			 dirty;		/* the file holds something */
	bool			 in_source;	/* the result is the source */
	const void		*source;	/* mapped from a file; or NULL */
	size_t			 source_len;
};

/* Free memory kept for the next job: 36 million samples of 16 bits and more. */
#define HEAP_KEPT	(128 << 20)

/* The body stands at the end of rep, where encoding will not touch it. */
#define INLINE_AT	(RING_REP_MAX - JOB_INLINE_MAX)

static int
sink_full(size_t len, struct ufop_err *err)
{
	return (err_set(err, UFOP_UNAVAILABLE, "there is no room in the spool "
	    "for a result of up to %zu bytes; try again later", len));
}

static void *
sink_room(struct reply_sink *sink, size_t max, struct ufop_err *err)
{
	struct run_sink	*rs = (struct run_sink *)sink;
	int64_t		 limit;

	rs->in_source = false;
	if (max <= rs->run->inline_max)
		return (rs->slot->rep + INLINE_AT);
	limit = settings_size(rs->run->settings, "worker", "max_output");
	if ((int64_t)max > limit) {
		err_set(err, UFOP_TOO_BIG, "the result may take %zu bytes, "
		    "over the limit of %lld (setting worker.max_output)", max,
		    (long long)limit);
		return (NULL);
	}
	if (rs->map != NULL && max <= rs->map_len)
		return (rs->map);
	if (rs->map != NULL)
		munmap(rs->map, rs->map_len);
	rs->map = NULL;
	if (*rs->fd == -1 || ftruncate(*rs->fd, max) == -1) {
		(void)sink_full(max, err);
		return (NULL);
	}
	rs->map = mmap(NULL, max, PROT_READ | PROT_WRITE, MAP_SHARED,
	    *rs->fd, 0);
	if (rs->map == MAP_FAILED) {
		rs->map = NULL;
		err_set(err, UFOP_FAILED, "a result of up to %zu bytes is over "
		    "the task's memory limit (memory_mb)", max);
		return (NULL);
	}
	/*
	 * max may be far more than what will be written, and the file is so long
	 * already: on a spool of large pages the first byte would clear 2 MB.
	 */
	(void)madvise(rs->map, max, MADV_NOHUGEPAGE);
	rs->map_len = max;
	rs->dirty = true;
	return (rs->map);
}

static int
sink_bytes(struct reply_sink *sink, const void *data, size_t len,
    struct ufop_err *err)
{
	struct run_sink	*rs = (struct run_sink *)sink;
	size_t		 done = 0;
	ssize_t		 n;

	rs->in_source = data == rs->source && len == rs->source_len;
	if (rs->in_source)
		return (0);
	rs->dirty = true;
	while (done < len) {
		n = pwrite(*rs->fd, (const char *)data + done, len - done,
		    (off_t)done);
		if (n <= 0)
			return (sink_full(len, err));
		done += (size_t)n;
	}
	return (0);
}

void
run_init(struct run *run, const struct settings *settings,
    const struct services *services, const char *scratch_root)
{
	const struct ufop_service	*s;
	char				 why[256];
	int				 i;

	/*
	 * A big buffer given back to the kernel is a page fault per page next
	 * time; decoding a 12 megapixel photograph took 40 % longer that way.
	 * So nothing is mapped on its own, and the heap stays.
	 */
	(void)mallopt(M_MMAP_MAX, 0);
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);

	memset(run, 0, sizeof(*run));
	run->settings = settings;
	run->services = services;
	run->scratch_root = scratch_root;
	run->inline_max = (size_t)settings_size(settings, "queue",
	    "inline_max");
	for (i = 0; i < RING_SLOTS; i++)
		run->reply_fd[i] = -1;
	arena_init(&run->arena);
	buf_init(&run->notes, 4096);
	run->args = xcalloc(JOB_ARGS_MAX, sizeof(*run->args));
	files_init(&run->files, settings_time_ms(settings, "fetch", "keep"));
	for (i = 0; i < services->nservices; i++) {
		s = services->services[i];
		snprintf(why, sizeof(why), "its setup failed");
		if (setup_run(s, settings, why, sizeof(why)) == 0)
			continue;
		run->setup_why[i] = xasprintf("service %s cannot serve: %s",
		    s->name, why);
		log_err("service.setup service=%s why=%s", s->name,
		    log_quote(why, strlen(why)));
	}
}

void
run_release(struct run *run)
{
	const struct ufop_service	*s;
	int				 i;

	for (i = 0; i < run->services->nservices; i++) {
		s = run->services->services[i];
		if (s->teardown != NULL && run->setup_why[i] == NULL)
			s->teardown();
		free((char *)(uintptr_t)run->setup_why[i]);
	}
	arena_release(&run->arena);
	buf_release(&run->notes);
	free(run->args);
	files_release(&run->files);
}

/*
 * The address space a task may fill.  Only the soft limit moves, so that the
 * next task can have more; the sandbox set the hard one.
 */
static void
run_limit(struct run *run, const struct ufop_task *task)
{
	struct rlimit	 rl;
	int		 mb = task->memory_mb;

	/*
	 * AddressSanitizer reserves terabytes: whether we are built with it or
	 * it was loaded for a service that is (`ufop dev --sanitize`).
	 */
	if (dlsym(RTLD_DEFAULT, "__asan_init") != NULL)
		return;
	if (mb == 0)
		mb = (int)(settings_size(run->settings, "ufop", "memory") >> 20);
	if (mb == run->memory_mb || getrlimit(RLIMIT_AS, &rl) == -1)
		return;
	rl.rlim_cur = (rlim_t)mb << 20;
	if (rl.rlim_max != RLIM_INFINITY && rl.rlim_cur > rl.rlim_max)
		rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_AS, &rl) == 0)
		run->memory_mb = mb;
}

static int
run_hooks(struct run *run, const char *point, struct ufop_job *job,
    struct ufop_reply *reply)
{
	const struct ufop_service	*own = job->priv->service;
	const struct ufop_hook		*h;
	int				 i, rc;

	for (i = 0; i < run->services->nservices; i++) {
		h = run->services->services[i]->hooks;
		for (; h != NULL && h->point != NULL; h++) {
			if (strcmp(h->point, point) != 0)
				continue;
			/* A hook reads its own service's settings. */
			job->priv->service = run->services->services[i];
			rc = h->run(job, reply);
			job->priv->service = own;
			if (rc != 0)
				return (rc);
		}
	}
	return (0);
}

static void
run_args(struct run *run, struct ufop_job_priv *p, const struct job_stage *st)
{
	int	 i;

	for (i = 0; i < st->nargs; i++) {
		run->args[i].name = arena_str(&run->arena, st->args[i].name);
		run->args[i].value = arena_str(&run->arena, st->args[i].value);
		run->args[i].value_len = st->args[i].value.len;
	}
	p->args = run->args;
	p->nargs = st->nargs;
}

/* A stage's own word beside 0, -1 and UFOP_RETRY: it waits for files. */
#define RUN_WANTS	(-3)

/* One stage; job's data, len and content_type are set. */
static int
run_stage(struct run *run, const struct job_stage *st, struct ufop_job *job,
    struct ufop_reply *reply)
{
	const struct services_task	*t;
	int				 i, n, rc;

	n = services_find(run->services, st->task);
	if (n == -1)
		return (ufop_fail(reply, 500, "this worker has no task "
		    "'%.*s'; switch its service on (setting ufop.services) on "
		    "workers and front alike", STR_ARG(st->task)));
	t = &run->services->tasks[n];
	for (i = 0; i < run->services->nservices; i++)
		if (run->services->services[i] == t->service)
			break;
	if (run->setup_why[i] != NULL)
		return (ufop_fail(reply, 503, "%s", run->setup_why[i]));
	if (job->len == 0 && job->url == NULL &&
	    !(t->task->flags & UFOP_TASK_NO_SOURCE))
		return (ufop_fail(reply, 400, "the source is empty; send the "
		    "file as the request's body, or its address as url="));
	job->cmd = arena_str(&run->arena, st->cmd);
	job->task = t->name;
	job->priv->service = t->service;
	run_args(run, job->priv, st);
	run_limit(run, t->task);
	if ((rc = run_hooks(run, "job.before", job, reply)) == 0 &&
	    (rc = t->task->run(job, reply)) == 0)
		rc = run_hooks(run, "job.after", job, reply);
	if (rc == 0 && reply->failed)
		rc = -1;	/* ufop_fail() counts, whatever was returned */
	if (rc != 0 && !reply->failed && job->priv->nwants > 0)
		return (RUN_WANTS);
	if (rc != 0 && !reply->failed)
		ufop_fail(reply, 500, "the handler of %s failed without "
		    "saying why", t->name);
	return (rc == UFOP_RETRY ? UFOP_RETRY : rc == 0 ? 0 : -1);
}

/* The urls of files as they stand in a slot's rep: s behind s.  NULL: the end. */
static const char *
next_url(struct str *text)
{
	const char	*url = text->s;
	size_t		 n = strnlen(text->s, text->len);

	if (n == text->len)
		return (NULL);
	text->s += n + 1;
	text->len -= n + 1;
	return (url);
}

void
run_files(struct run *run, const struct ring_slot *slot, const int *fds, int n)
{
	struct str	 urls = { (const char *)slot->rep, slot->rep_len };
	struct ufop_err	 err;
	const char	*url;
	int		 i;

	files_expire(&run->files);
	for (i = 0; i < n && (url = next_url(&urls)) != NULL; i++)
		if (files_add(&run->files, url, fds[i], &err) == -1)
			log_err("job.file why=%s", log_quote(err.msg,
			    strlen(err.msg)));
}

/* What the job waits for into the slot, in place of a reply. */
static int
run_wants(struct ring_slot *slot, const struct ufop_job_priv *priv)
{
	size_t	 len;
	int	 i;

	slot->rep_len = 0;
	for (i = 0; i < priv->nwants; i++) {
		len = strlen(priv->wants[i]) + 1;
		if (len > RING_REP_MAX - slot->rep_len)
			return (-1);
		memcpy(slot->rep + slot->rep_len, priv->wants[i], len);
		slot->rep_len += len;
	}
	slot->rep_in = RING_BODY_SLOT;
	slot->outcome = RING_WANTS;
	return (0);
}

/* Put the finished reply into the slot as an encoded message. */
static void
run_finish(struct run *run, struct ring_slot *slot, struct ufop_reply *r,
    struct run_sink *rs, enum ring_outcome outcome, int64_t run_us)
{
	struct reply	 out = { .status = r->status };
	struct buf	 body, enc;
	struct ufop_err	 err;
	int		 i;

	buf_init(&body, 16384);
	buf_init(&enc, RING_REP_MAX);
	if (r->failed) {
		job_error_json(&body, r->status, str_from(r->err.msg));
		out.type = STR("application/json");
		out.ref = (struct str){ body.p, body.len };
	} else {
		out.type = str_from(r->type);
		for (i = 0; i < r->nheaders; i++)
			out.headers[out.nheaders++] = (struct job_header){
			    str_from(r->headers[i].name),
			    str_from(r->headers[i].value) };
		out.ref = (struct str){ (char *)r->data, r->len };
	}
	slot->outcome = outcome;
	slot->rep_in = RING_BODY_SLOT;
	slot->file_len = 0;
	if (out.ref.len > run->inline_max) {
		if (r->where == REPLY_HEAP &&
		    sink_bytes(&rs->sink, r->data, r->len, &err) == -1) {
			ufop_fail_err(r, &err);
			buf_release(&body);
			run_finish(run, slot, r, rs, RING_REPLIED, run_us);
			return;
		}
		slot->rep_in = rs->in_source ? RING_BODY_SOURCE :
		    RING_BODY_FILE;
		slot->file_len = out.ref.len;
		out.body = JOB_BODY_SPOOL;
		out.body_len = out.ref.len;
		out.ref = STR_NULL;
		/* It was as long as the room; shrinking cannot fail for space. */
		if (slot->rep_in == RING_BODY_FILE)
			(void)!ftruncate(*rs->fd, slot->file_len);
	} else {
		out.body = out.ref.len > 0 ? JOB_BODY_INLINE : JOB_BODY_NONE;
		out.body_len = out.ref.len;
	}
	out.tag = run->job.tag;
	out.run_us = run_us > UINT32_MAX ? UINT32_MAX : (uint32_t)run_us;
	out.log = (struct str){ run->notes.p, run->notes.len };
	if (reply_encode(&out, &enc, &err) == -1) {
		ufop_fail_err(r, &err);
		buf_clear(&run->notes);
		buf_release(&body);
		buf_release(&enc);
		run_finish(run, slot, r, rs, RING_REPLIED, run_us);
		return;
	}
	memmove(slot->rep, enc.p, enc.len);
	slot->rep_len = enc.len;
	buf_release(&body);
	buf_release(&enc);
}

void
run_job(struct run *run, struct ring_slot *slot, int n, int body_fd)
{
	struct ufop_job_priv	 priv = { .arena = &run->arena,
		.settings = run->settings, .notes = &run->notes,
		.scratch_root = run->scratch_root,
		.files = run->files.list, .nfiles = run->files.n };
	struct ufop_job		 job = { .priv = &priv };
	struct ufop_reply	 in, out;
	struct run_sink		 rs = { .run = run, .sink = { sink_room,
		sink_bytes, run->inline_max },
		.slot = slot, .fd = &run->reply_fd[n] };
	struct stat		 st;
	struct ufop_err		 err;
	void			*map = NULL, *held = NULL;
	size_t			 max_output;
	int64_t			 started = clock_mono_us();
	int			 i, rc = -1;

	buf_clear(&run->notes);
	max_output = settings_size(run->settings, "worker", "max_output");
	reply_init(&in, NULL, max_output);
	reply_init(&out, &rs.sink, max_output);
	if (slot->req_len > JOB_ENTRY_MAX || job_decode(&run->job,
	    (struct str){ (char *)slot->req, slot->req_len }, &err) == -1) {
		ufop_fail(&out, 500, "the job could not be read");
		goto done;
	}
	job.id = arena_str(&run->arena, run->job.id);
	job.attempt = run->job.retries + run->job.deaths + 1;
	job.deadline_ms = slot->deadline_ms;
	job.accept = arena_str(&run->arena, run->job.accept);
	job.content_type = arena_str(&run->arena, run->job.type);
	job.url = run->job.url.len > 0 ?
	    arena_str(&run->arena, run->job.url) : NULL;
	job.data = (const unsigned char *)"";
	if (run->job.body == JOB_BODY_INLINE && run->job.ref.len > 0) {
		job.data = (const unsigned char *)run->job.ref.s;
		job.len = run->job.ref.len;
	} else if (body_fd != -1 && fstat(body_fd, &st) == 0 &&
	    st.st_size > 0) {
		map = mmap(NULL, st.st_size, PROT_READ,
		    MAP_PRIVATE | MAP_POPULATE, body_fd, 0);
		if (map == MAP_FAILED) {
			map = NULL;
			ufop_fail(&out, 500, "the source of %lld bytes cannot "
			    "be mapped: %s", (long long)st.st_size,
			    strerror(errno));
			goto done;
		}
		job.data = rs.source = map;
		job.len = rs.source_len = st.st_size;
	}
	for (i = 0; i < run->job.nstages; i++) {
		rc = run_stage(run, &run->job.stages[i], &job,
		    i == run->job.nstages - 1 ? &out : &in);
		if (i == run->job.nstages - 1 || rc == RUN_WANTS)
			break;
		if (rc != 0 || in.status >= 400) {
			/* This stage's answer is the answer. */
			reply_release(&out);
			out = in;
			out.sink = NULL;
			reply_init(&in, NULL, max_output);
			break;
		}
		/* What came out goes in; what went in before is done with. */
		free(held);
		held = in.data;
		in.where = REPLY_EMPTY;
		job.data = held == NULL ? (const unsigned char *)"" : held;
		job.len = in.len;
		job.content_type = arena_str(&run->arena, str_from(in.type));
		job.url = NULL;
		reply_release(&in);
		reply_init(&in, NULL, max_output);
	}
	if (rc == RUN_WANTS && run_wants(slot, &priv) == -1)
		rc = ufop_fail(&out, 400, "the urls of the files to be fetched "
		    "are longer than %d bytes together", RING_REP_MAX);
done:
	if (rc != RUN_WANTS)
		run_finish(run, slot, &out, &rs, rc == UFOP_RETRY ?
		    RING_RETRY : RING_REPLIED, clock_mono_us() - started);
	handler_scratch_remove(&job);
	reply_release(&in);
	reply_release(&out);
	free(held);
	if (rs.map != NULL)
		munmap(rs.map, rs.map_len);
	if (slot->rep_in == RING_BODY_FILE) {
		close(*rs.fd);
		*rs.fd = -1;
	} else if (rs.dirty)
		/* Unused after all: the next job must not find this one's. */
		(void)!ftruncate(*rs.fd, 0);
	if (map != NULL)
		munmap(map, st.st_size);
	files_expire(&run->files);
	arena_clear(&run->arena);
}

void
run_health(struct run *run, struct ring_slot *slot, const char *pool)
{
	const struct services_task	*t;
	struct buf			 text, notes, *to;
	char				 why[256];
	int				 i, rc;

	buf_init(&text, RING_REP_MAX / 2);
	buf_init(&notes, RING_REP_MAX / 2 - 1);
	for (i = 0; i < run->services->nservices; i++)
		if (run->setup_why[i] != NULL)
			buf_addf(&text, "%s%s", text.len ? "; " : "",
			    run->setup_why[i]);
	for (i = 0; i < run->services->ntasks; i++) {
		t = &run->services->tasks[i];
		if (t->task->health == NULL || strcmp(t->pool, pool) != 0)
			continue;
		why[0] = '\0';
		rc = t->task->health(why, sizeof(why));
		if (rc == 0 && why[0] == '\0')
			continue;
		to = rc == 0 ? &notes : &text;
		buf_addf(to, "%s%s: %s", to->len ? "; " : "", t->name,
		    why[0] != '\0' ? why : "its health check failed");
	}
	if (notes.len > 0) {
		buf_add(&text, "", 1);
		buf_add(&text, notes.p, notes.len);
	}
	memcpy(slot->rep, text.len ? text.p : "", text.len);
	slot->rep_len = text.len;
	buf_release(&notes);
	buf_release(&text);
}
