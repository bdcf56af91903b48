# SPDX-License-Identifier: MIT
"""
The queue under faults: who dies, sleeps or is full, no job is lost, none is
answered twice, and what the client is told is true.
"""

import collections
import ctypes
import os
import random
import re
import signal
import struct
import threading
import time

import httpc
from harness import Background, Stack, check, check_answer, check_eq, \
    check_error, deadline, is_alive, kill_quietly, skip, state_of, \
    wait_until
from wire import Job

SHORT = {"queue.lease": "1s", "ufop.timeout": "10s"}
# One child, so that it is known who does what; faults wants a pool net too.
ONE = dict(SHORT, **{"worker.pools": "cpu=1 net=1"})


# ---- kill -9 -----------------------------------------------------------


def test_child_killed_in_mid_job():
    """One more try, which succeeds: the client never hears of it."""
    with Stack(ONE, services="faults debug") as s:
        pid = s.child_pid()
        running = s.post_in_background("q/sleep/1000", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        kill_quietly(pid)
        check_answer(running.result())
        check(running.took_s < 5, "it took %.1f s", running.took_s)
        check(s.child_pid() != pid, "the killed child lives")
        check_eq(s.dead(), [], "dead jobs")
        s.check_works()


def test_child_killed_at_every_try():
    """Two deaths make a job poison: 500, in the dead set, never a third."""
    with Stack(ONE, services="faults debug") as s:
        running = s.post_in_background("q/sleep/3000", b"x",
                                       headers=[("X-Reqid", "killed-twice")])
        killed, deaths = set(), 0
        while not running.done and deaths < 5:
            if s.running_len():
                for pid in s.worker.children():
                    if pid not in killed and is_alive(pid):
                        kill_quietly(pid)
                        killed.add(pid)
                deaths += 1
            time.sleep(0.3)
        check_error(running.result(), 500)
        dead = [d for d in s.dead() if d["id"] == "killed-twice"]
        check_eq(len(dead), 1, "entries in the dead set")
        check_eq(dead[0]["deaths"], "2", "deaths of the job")
        s.check_works()


def test_killed_parent_is_replaced_by_another_worker():
    """A second worker takes the job over when the lease is out."""
    with Stack(ONE, services="faults debug") as s:
        running = s.post_in_background("q/sleep/700", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        s.add_worker()
        wait_until(lambda: s.redis("SCARD", s.key("workers")) == 2, 5,
                   "the second worker is there")
        s.worker.kill()
        check_answer(running.result())
        check(running.took_s < 6, "it took %.1f s", running.took_s)
        s.check_works()
        wait_until(lambda: s.redis("SCARD", s.key("workers")) == 1, 5,
                   "the dead worker is forgotten")


def test_killed_parent_that_is_started_again():
    with Stack(ONE, services="faults debug") as s:
        running = s.post_in_background("q/sleep/700", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        waiting = [s.post_in_background("q/hello/n%d" % i) for i in range(5)]
        s.worker.kill()
        s.worker.start()
        check_answer(running.result())
        for i, w in enumerate(waiting):
            check_eq(check_answer(w.result()).text, "hello n%d" % i)
        s.check_works()


def test_killed_parent_is_noticed_by_health():
    with Stack(ONE, services="debug") as s:
        s.worker.kill()
        wait_until(lambda: s.get("/health").status == 503, 6,
                   "/health tells that no worker lives")
        check_error(s.get("/health"), 503, "worker")
        check_error(s.post("q/hello/bob"), 503, "worker")
        s.worker.start()
        s.wait_healthy()
        s.check_works()


def test_killed_kore_worker_is_replaced():
    with Stack(services="faults debug") as s:
        victim = serving_process(s)
        running = s.post_in_background("q/sleep/500", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        kill_quietly(victim)
        try:
            running.result()        # its connection died with the process
        except (OSError, httpc.HttpError):
            pass
        wait_until(lambda: not is_alive(victim), 5, "it is dead")
        wait_until(lambda: works(s), 8, "another one serves")
        s.wait_healthy()
        for _ in range(10):
            s.check_works()
        # The reply nobody took is gone with its list's TTL, at the latest.
        wait_until(lambda: s.running_len() == 0, 5, "the job is settled")
        for key in s.redis("KEYS", s.key("reply", "*")):
            ttl = s.redis("PTTL", key)
            check(ttl != -1, "%r stays for ever", key)
            s.redis("DEL", key)


def serving_process(s):
    """The pid that has accepted our connection."""
    with s.conn() as c:
        c.request("GET", "/health?live")
        me = c.sock.getsockname()[1]
        with open("/proc/net/tcp") as f:
            rows = [line.split() for line in f][1:]
        inode = next(r[9] for r in rows
                     if int(r[1].split(":")[1], 16) == s.port and
                     int(r[2].split(":")[1], 16) == me)
        for pid in [s.front.pid] + s.front.below():
            for fd in os.listdir("/proc/%d/fd" % pid):
                if os.readlink("/proc/%d/fd/%s" % (pid, fd)) == \
                        "socket:[%s]" % inode:
                    return pid
    raise AssertionError("nobody has the connection")


def works(s):
    try:
        r = s.post("q/hello/bob", timeout_s=3)
        return r.status == 200
    except (OSError, httpc.HttpError):
        return False


class Load:
    """Clients that ask without a pause; every answer is counted by status."""

    def __init__(self, s, clients=8):
        self.s = s
        self.count = collections.Counter()
        self.slowest_s = 0.0
        self.wrong = []
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.clients = [Background(self.client, n) for n in range(clients)]

    def client(self, n):
        i = 0
        while not self.ending.is_set():
            try:
                with self.s.conn() as c:
                    while not self.ending.is_set():
                        i += 1
                        text = "c%dn%d" % (n, i)
                        r = c.request("POST", "/handler?cmd=q/hello/" + text,
                                      b"")
                        self.note(r, text)
                        if r.status != 200:
                            time.sleep(0.02)
            except (OSError, httpc.HttpError) as e:
                self.note_lost(e)
                time.sleep(0.02)

    def note(self, r, text):
        with self.lock:
            self.count[r.status] += 1
            self.slowest_s = max(self.slowest_s, r.took_s)
            if r.status == 200 and r.text != "hello " + text:
                self.wrong.append((text, r.text))
            elif r.status != 200:
                try:
                    check_error(r, r.status)
                except AssertionError as e:
                    self.wrong.append((text, str(e)))

    def note_lost(self, e):
        with self.lock:
            self.count["lost"] += 1
            if "no answer" in str(e):
                self.wrong.append(("silence", str(e)))

    def end(self):
        self.ending.set()
        for c in self.clients:
            c.result()
        check(not self.wrong, "%d wrong answers: %r", len(self.wrong),
              self.wrong[:3])


@deadline(60)
def test_redis_killed_under_load_and_back():
    with Stack(dict(SHORT, **{"ufop.timeout": "4s"}), services="debug") as s:
        load = Load(s)
        for turn in range(2):
            seen = load.count[200]
            wait_until(lambda: load.count[200] > seen + 200, 10,
                       "answers come")
            s.redis.kill()
            began = time.monotonic()
            r = wait_until(lambda: (lambda a: a if a.status == 503 else None)(
                s.get("/health")), 3, "/health tells it")
            check_error(r, 503, "redis")
            check_answer(s.get("/health?live"))
            began = time.monotonic()
            check_error(s.post("q/hello/bob"), 503, "redis")
            check(time.monotonic() - began < 2, "the 503 took long")
            s.redis.start()
            s.wait_healthy(8)
            seen = load.count[200]
            wait_until(lambda: load.count[200] > seen + 200, 10,
                       "answers come again")
        load.end()
        check(set(load.count) <= {200, 503, 504}, "answers: %r", load.count)
        check(load.slowest_s < 5.5, "one took %.1f s, its deadline is 4",
              load.slowest_s)
        s.check_works()


@deadline(60)
def test_redis_killed_keeps_what_it_had_written():
    """With a Redis that keeps its data, jobs in the queue outlive it."""
    with Stack(ONE, services="faults debug",
               redis_options={"keep": True}) as s:
        running = s.post_in_background("q/sleep/1500", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        waiting = [s.post_in_background("q/hello/n%d" % i) for i in range(3)]
        wait_until(lambda: s.running_len() + s.queue_len() == 4, 5,
                   "the others wait")
        s.redis.kill()
        s.redis.start()
        check_answer(running.result())
        for i, w in enumerate(waiting):
            check_eq(check_answer(w.result()).text, "hello n%d" % i)
        s.wait_healthy()
        s.check_works()


@deadline(60)
def test_redis_paused_is_not_redis_lost():
    with Stack(SHORT, services="debug") as s:
        load = Load(s, 4)
        wait_until(lambda: load.count[200] > 100, 10, "answers come")
        s.redis.signal(signal.SIGSTOP)
        paused = time.monotonic()
        began = time.monotonic()
        r = s.get("/health")
        check(time.monotonic() - began < 3, "/health took %.1f s",
              time.monotonic() - began)
        check_error(r, 503, "redis")
        wait_until(lambda: time.monotonic() - paused > 1.5, 3, "a pause")
        s.redis.signal(signal.SIGCONT)
        s.wait_healthy(8)
        seen = load.count[200]
        wait_until(lambda: load.count[200] > seen + 100, 10,
                   "answers come again")
        load.end()
        check(set(load.count) <= {200, 503, 504}, "answers: %r", load.count)
        s.check_works()


def test_redis_connections_cut():
    """All connections dropped at once (a proxy restarts): nothing is lost."""
    with Stack(SHORT, services="debug") as s:
        load = Load(s, 4)
        for _ in range(3):
            seen = load.count[200]
            wait_until(lambda: load.count[200] > seen + 100, 10,
                       "answers come")
            for row in s.redis("CLIENT", "LIST").decode().splitlines():
                client = re.search(r"id=(\d+)", row)[1]
                if "cmd=client" not in row:
                    s.redis("CLIENT", "KILL", "ID", client)
        seen = load.count[200]
        wait_until(lambda: load.count[200] > seen + 100, 10,
                   "answers come again")
        load.end()
        check(set(load.count) <= {200, 503, 504}, "answers: %r", load.count)
        s.wait_healthy()
        s.check_works()


def test_redis_scripts_flushed():
    """SCRIPT FLUSH (or a failover) forgets the scripts: they come again."""
    with Stack(SHORT, services="debug") as s:
        s.check_works()
        s.redis("SCRIPT", "FLUSH")
        wait_until(lambda: works(s), 8, "it works again")
        s.wait_healthy(8)
        s.check_works()


# ---- SIGSTOP past the lease --------------------------------------------


def test_stopped_parent_is_fenced_off():
    """Its late result is dropped: exactly one answer, from the other."""
    with Stack(ONE, services="faults debug") as s:
        # The child goes on and has its result ready while the parent sleeps.
        running = s.post_in_background("q/sleep/300", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        s.worker.signal(signal.SIGSTOP)
        second = s.add_worker()
        check_answer(running.result())
        check(running.took_s > 0.8, "the lease was not out after %.1f s",
              running.took_s)
        s.worker.signal(signal.SIGCONT)
        # It learns that it was taken for dead, drops the job and goes on.
        wait_until(lambda: s.redis("SCARD", s.key("workers")) == 2, 5,
                   "the first worker is back")
        check_eq(s.redis("KEYS", s.key("reply", "*")), [],
                 "answers that nobody takes")
        wait_until(lambda: "job.fenced" in s.worker.output() or
                   "job.lost" in s.worker.output(), 5,
                   "its answer is dropped")
        check(second.running, "the second worker ended")
        for _ in range(20):
            s.check_works()
        check_eq(s.running_len(), 0, "jobs held")


def test_stopped_parent_gets_no_job_after_its_lease():
    """
    Redis still knows a blocked BLMOVE of it.  What that is given after the
    takeover must not stay where nobody looks.
    """
    with Stack(dict(ONE, **{"worker.prefetch": "0"}),
               services="faults debug") as s:
        s.check_works()
        s.worker.signal(signal.SIGSTOP)
        s.add_worker()
        wait_until(lambda: not s.redis("EXISTS", "%s:%s" % (
            s.key("worker"), first_name(s))), 5, "its lease is out")
        wait_until(lambda: s.redis("SCARD", s.key("workers")) == 1, 5,
                   "it is taken over")
        asked = [s.post_in_background("q/hello/n%d" % i) for i in range(3)]
        for i, a in enumerate(asked):
            check_eq(check_answer(a.result()).text, "hello n%d" % i)
            check(a.took_s < 4, "it took %.1f s", a.took_s)
        s.worker.kill()
        s.check_works()


def first_name(s):
    """The name of the first worker, from its log."""
    return re.search(r"worker\.start id=(\S+)", s.worker.output())[1]


def test_stopped_parent_without_another_goes_on():
    with Stack(ONE, services="faults debug") as s:
        running = s.post_in_background("q/sleep/300", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        s.worker.signal(signal.SIGSTOP)
        wait_until(lambda: not s.redis("KEYS", s.key("worker", "*")), 5,
                   "its lease is out")
        s.worker.signal(signal.SIGCONT)
        check_answer(running.result())
        s.wait_healthy()
        s.check_works()


def test_stopped_child_is_killed_at_its_deadline():
    with Stack(dict(ONE, **{"ufop.timeout": "1s"}),
               services="faults debug") as s:
        busy = s.child_pid()
        running = s.post_in_background("q/sleep/600", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        os.kill(busy, signal.SIGSTOP)
        check_error(running.result(), 504)
        check(running.took_s < 3, "it took %.1f s", running.took_s)
        wait_until(lambda: state_of(busy) is None, 5, "the child is gone")
        s.check_works()


# ---- full --------------------------------------------------------------


def test_queue_full():
    settings = dict(ONE, **{"queue.max_queue": "3", "worker.prefetch": "0"})
    with Stack(settings, services="faults debug") as s:
        running = s.post_in_background("q/sleep/1500", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        waiting = [s.post_in_background("q/hello/n%d" % i) for i in range(10)]
        wait_until(lambda: sum(w.done for w in waiting) >= 6, 5,
                   "those beyond the limit are refused")
        check(not running.done, "the job was over too soon")
        check_eq(s.queue_len(), 3, "jobs in the queue")
        check_answer(running.result())
        results = collections.Counter()
        for w in waiting:
            r = w.result()
            results[r.status] += 1
            if r.status == 429:
                check_error(r, 429, "3 jobs wait")
                check(w.took_s < 1, "the 429 took %.1f s", w.took_s)
        check_eq(results[200] + results[429], 10, "answers %r" % results)
        check(3 <= results[200] <= 4, "answers: %r", results)
        s.check_works()


def test_queue_full_removes_the_refused_body():
    settings = dict(ONE, **{"queue.max_queue": "1", "worker.prefetch": "0"})
    with Stack(settings, services="faults debug") as s:
        running = s.post_in_background("q/sleep/1000", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        first = s.post_in_background("q/echo", bytes(1 << 20))
        wait_until(lambda: s.queue_len() == 1, 5, "one waits")
        check_error(s.post("q/echo", bytes(1 << 20)), 429)
        wait_until(lambda: len(s.spool_files()) == 1, 2,
                   "the refused body is removed")
        check_answer(running.result())
        check_answer(first.result())
        wait_until(lambda: not s.spool_files(), 5, "the spool is empty")
        s.check_works()


def test_spool_quota_full():
    settings = dict(ONE, **{"spool.quota": "3m", "ufop.max_body": "3m"})
    with Stack(settings, services="faults debug") as s:
        running = s.post_in_background("q/sleep/1500", bytes(2 << 20))
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        r = s.post("q/echo", bytes(2 << 20))
        check_error(r, 503, ("spool", "full", "room"))
        s_small = s.post_in_background("q/echo", b"small")
        check_answer(running.result())
        check_answer(s_small.result())
        check_answer(s.post("q/echo", bytes(2 << 20)))
        wait_until(lambda: not s.spool_files(), 5, "the spool is empty")
        s.check_works()


def test_spool_disk_full():
    """A file system of 4 MB under the spool: refused, nothing half-written."""
    if os.getuid() != 0:
        skip("only root can mount a small file system")
    settings = dict(ONE)
    s = Stack(settings, services="faults debug")
    os.mkdir(s.spool)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", s.spool.encode(), b"tmpfs", 0,
                  b"size=4m,mode=711") != 0:
        s.kill()
        skip("cannot mount: " + os.strerror(ctypes.get_errno()))
    try:
        with s:
            for _ in range(3):
                r = s.post("q/echo", bytes(6 << 20))
                check_error(r, 503, ("spool", "full", "space"))
                wait_until(lambda: not s.spool_bytes(), 3,
                           "nothing is left half-written")
            # In comes through, but the answer finds no room beside it.
            r = s.post("q/echo", bytes(3 << 20))
            check(r.status in (200, 503), "it gets %r", r)
            if r.status == 503:
                check_error(r, 503)
            s.check_works()
            check_answer(s.post("q/echo", bytes(1 << 20)))
    finally:
        libc.umount2(s.spool.encode(), 2)
        s.kill()


def test_redis_memory_full():
    """maxmemory with noeviction: refusal is an answer, loss is not."""
    with Stack(ONE, services="debug") as s:
        s.check_works()
        s.redis("CONFIG", "SET", "maxmemory", "1")
        r = s.post("q/hello/bob")
        check_error(r, 503, ("redis", "memory"))
        s.redis("CONFIG", "SET", "maxmemory", "0")
        wait_until(lambda: works(s), 5, "it works again")
        s.wait_healthy()
        s.check_works()


# ---- deadlines and callers who leave -----------------------------------


def test_deadline_passes_in_the_queue():
    settings = dict(ONE, **{"ufop.timeout": "800ms", "worker.prefetch": "0"})
    with Stack(settings, services="faults debug") as s:
        # Two jobs of a task with a longer time of its own block the child.
        blocker = s.post_in_background("q/longsleep/2000", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        late = s.post_in_background("q/hello/late",
                                    headers=[("X-Reqid", "too-late")])
        check_error(late.result(), 504)
        check(0.7 < late.took_s < 1.8, "it took %.1f s", late.took_s)
        check_answer(blocker.result())
        s.check_works()
        check_eq(s.queue_len(), 0, "jobs in the queue")
        check("hello late" not in s.worker.output(), "it was run")


def test_client_leaves_while_its_job_waits():
    """The job is taken back, not run, and its body removed."""
    settings = dict(ONE, **{"worker.prefetch": "0"})
    with Stack(settings, services="faults debug") as s:
        running = s.post_in_background("q/sleep/1500", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        c = s.conn()
        c.ask("POST", "/handler?cmd=q/mark", bytes(1 << 20),
              [("X-Reqid", "left-early")])
        wait_until(lambda: s.queue_len() == 1, 5, "the job waits")
        check_eq(len(s.spool_files()), 1, "files in the spool")
        c.abort()
        wait_until(lambda: s.queue_len() == 0, 3, "the job is taken back")
        wait_until(lambda: not s.spool_files(), 3, "the body is removed")
        check(not running.done, "the child was free meanwhile")
        check_answer(running.result())
        s.check_works()
        check(not marked(s, "left-early"), "the job was run")


def test_client_leaves_while_its_job_runs():
    with Stack(ONE, services="faults debug") as s:
        for size in (10, 1 << 20):
            c = s.conn()
            c.ask("POST", "/handler?cmd=q/sleep/500", bytes(size))
            wait_until(lambda: s.running_len() == 1, 5, "the job runs")
            c.abort()
            wait_until(lambda: s.running_len() == 0, 5, "it is settled")
        wait_until(lambda: not s.spool_files(), 5, "the spool is empty")
        wait_until(lambda: not s.redis("KEYS", s.key("reply", "*")), 3,
                   "the answer is taken away")
        s.check_works()


def marked(s, reqid):
    """How often the mark task ran for this request, from the worker's log."""
    return sum("mark" in line and reqid in line and "ran" in line
               for w in s.workers for line in w.output().splitlines())


# ---- retries -----------------------------------------------------------


def test_retry_comes_after_a_backoff():
    settings = dict(SHORT, **{"queue.retry_backoff": "300ms"})
    with Stack(settings, services="faults debug") as s:
        # Fails twice for a reason that passes, and then does it.
        r = s.post_in_background("q/retry/2", b"x")
        wait_until(lambda: s.redis("ZCARD", s.key("delayed")) == 1, 3,
                   "the job is put off")
        check_answer(r.result())
        check(r.took_s >= 0.5, "it took only %.2f s", r.took_s)
        check_eq(s.redis("ZCARD", s.key("delayed")), 0, "jobs put off")
        check(s.stat("retried") >= 2, "retries counted: %d", s.stat("retried"))
        s.check_works()


def test_retries_are_used_up():
    settings = dict(SHORT, **{"queue.retry_backoff": "10ms"})
    with Stack(settings, services="faults debug") as s:
        r = s.post("q/retry/99", b"x", headers=[("X-Reqid", "never-works")])
        check(r.status >= 500, "it gets %r", r)
        check_error(r, r.status)
        dead = [d for d in s.dead() if d["id"] == "never-works"]
        check_eq(len(dead), 1, "entries in the dead set")
        check(int(dead[0]["retries"]) >= 1, "retries: %r", dead)
        s.check_works()


def test_retry_beyond_the_deadline_is_not_waited_for():
    settings = dict(SHORT, **{"queue.retry_backoff": "1m",
                              "ufop.timeout": "3s"})
    with Stack(settings, services="faults debug") as s:
        began = time.monotonic()
        r = s.post("q/retry/2", b"x")
        check(r.status >= 500, "it gets %r", r)
        check_error(r, r.status)
        check(time.monotonic() - began < 4, "it took long")
        check_eq(s.redis("ZCARD", s.key("delayed")), 0, "jobs put off")
        s.check_works()


# ---- spools and machines -----------------------------------------------


def large_ones_come_through(s):
    for size in (1 << 20, 3 << 20, (512 << 10) + 1, 100000):
        body = os.urandom(size)
        r = s.post("q/echo", body)
        check(check_answer(r).body == body, "%d bytes differ", size)
    for kind in ("body", "out"):
        wait_until(lambda: not s.redis("KEYS", s.key(kind, "*")), 3,
                   "no piece is left in Redis")


def test_large_bodies_without_a_shared_spool():
    with Stack({"spool.share": "no"}) as s:
        large_ones_come_through(s)
        check_eq(s.spool_files(), [], "files in the spool")
        s.check_works()


def test_large_bodies_with_a_worker_of_another_spool():
    """As between two machines: each has a spool directory of its own."""
    with Stack(workers=0) as s:
        pass_spool = os.path.join(s.dir, "elsewhere")
        s.add_worker({"spool.dir": pass_spool})
        s.wait_healthy()
        large_ones_come_through(s)
        s.check_works()


def test_large_bodies_with_workers_of_both_kinds():
    """Any of them may take the job, so the bodies go through Redis."""
    with Stack() as s:
        s.add_worker({"spool.dir": os.path.join(s.dir, "elsewhere")})
        wait_until(lambda: s.redis("SCARD", s.key("workers")) == 2, 5,
                   "the second worker is there")
        wait_until(lambda: s.get("/health").status == 200, 5, "health")
        for _ in range(5):
            large_ones_come_through(s)
        s.check_works()


def test_client_leaves_without_a_shared_spool():
    settings = dict(ONE, **{"spool.share": "no", "worker.prefetch": "0"})
    with Stack(settings, services="faults debug") as s:
        running = s.post_in_background("q/sleep/1000", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        c = s.conn()
        c.ask("POST", "/handler?cmd=q/echo", bytes(2 << 20))
        wait_until(lambda: s.queue_len() == 1, 5, "the job waits")
        c.abort()
        wait_until(lambda: not s.redis("KEYS", s.key("body", "*")), 3,
                   "the pieces are removed")
        check_answer(running.result())
        s.check_works()


def test_orphans_in_the_spool_are_swept_at_start():
    s = Stack()
    os.mkdir(s.spool, 0o711)
    past = int(time.time() * 1000) - 60000
    future = int(time.time() * 1000) + 600000
    names = {"%012x-AAAAAAAAAAAAAAAAAAAAAA.in" % past: False,
             "%012x-BBBBBBBBBBBBBBBBBBBBBB.out" % past: False,
             "%012x-CCCCCCCCCCCCCCCCCCCCCC.in" % future: True,
             "README": True}
    for name in names:
        with open(os.path.join(s.spool, name), "w") as f:
            f.write("x")
    try:
        s.start()
        wait_until(lambda: len(s.spool_files()) <= 2, 5, "they are swept")
        check_eq(s.spool_files(), sorted(n for n in names if names[n]),
                 "files that stay")
        for name in s.spool_files():
            os.unlink(os.path.join(s.spool, name))
        s.stop()
    finally:
        s.kill()


def test_two_stacks_share_one_redis():
    with Stack(services="debug") as one:
        with Stack(services="debug", redis=one.redis, tag="second") as two:
            threads = []
            for n, s in enumerate((one, two) * 2):
                def client(n=n, s=s):
                    with s.conn() as c:
                        for i in range(100):
                            r = c.request("POST", "/handler?cmd=q/hello/s%dn%d"
                                          % (n, i), b"")
                            check_eq(check_answer(r).text,
                                     "hello s%dn%d" % (n, i))
                threads.append(Background(client))
            for t in threads:
                t.result()
            # One of them without workers does not use the other's.
            two.worker.terminate()
            wait_until(lambda: two.get("/health").status == 503, 5,
                       "the second has no worker")
            check_error(two.post("q/hello/bob"), 503)
            one.check_works()


def test_two_fronts_share_one_queue():
    """Each front gets its own replies."""
    with Stack(services="debug") as one:
        with Stack(services="debug", redis=one.redis, workers=0) as two:
            def client(n, s):
                with s.conn() as c:
                    for i in range(100):
                        r = c.request("POST", "/handler?cmd=q/hello/s%dn%d" %
                                      (n, i), b"")
                        check_eq(check_answer(r).text, "hello s%dn%d" % (n, i))
            for b in [Background(client, n, s)
                      for n, s in enumerate((one, two) * 3)]:
                b.result()


# ---- everything at once ------------------------------------------------


@deadline(90)
def test_chaos():
    """
    Children, parents and connections die and sleep at random under load of
    every kind: every caller gets one answer of the few that are right, with
    its own body, within its deadline; and in the end all is well.
    """
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(10 ** 6))
    rng = random.Random(seed)
    timeout_s = 6
    settings = {"queue.lease": "1s", "ufop.timeout": "%ds" % timeout_s,
                "worker.pools": "cpu=2 net=1", "worker.recycle_jobs": "50"}
    count = collections.Counter()
    problems = []
    ending = threading.Event()
    with Stack(settings, services="images faults debug", workers=2) as s:
        def client(n):
            own = random.Random(seed + n)
            i = 0
            while not ending.is_set():
                i += 1
                text = "c%dn%d" % (n, i)
                cmd, body, want = own.choice((
                    ("hello/" + text, b"", ("hello " + text).encode()),
                    ("echo", text.encode() * 20000, text.encode() * 20000),
                    ("sleep/%d|hello/%s" % (own.randrange(60), text), b"",
                     ("hello " + text).encode()),
                    ("echo|echo", text.encode(), text.encode())))
                began = time.monotonic()
                try:
                    r = s.post("q/" + cmd, body)
                except (OSError, httpc.HttpError) as e:
                    problems.append("%s: %s" % (cmd, e))
                    continue
                took = time.monotonic() - began
                count[r.status] += 1
                if r.status == 200 and r.body != want:
                    problems.append("%s: %d other bytes" % (cmd, len(r.body)))
                elif r.status not in (200, 500, 503, 504):
                    problems.append("%s: %r" % (cmd, r))
                if took > timeout_s + 1.5:
                    problems.append("%s: %d after %.1f s" % (cmd, r.status,
                                                             took))
                if r.status != 200:
                    time.sleep(0.02)

        def kill_child():
            worker = rng.choice(s.workers)
            if worker.running and worker.children():
                kill_quietly(rng.choice(worker.children()))

        def kill_parent():
            worker = rng.choice(s.workers)
            worker.kill()
            worker.start()

        def stop_parent():
            worker = rng.choice(s.workers)
            worker.signal(signal.SIGSTOP)
            asleep_until.append((time.monotonic() + rng.uniform(0.1, 2.5),
                                 worker))

        def cut_connection():
            rows = [r for r in s.redis("CLIENT", "LIST").decode().splitlines()
                    if "cmd=client" not in r]
            s.redis("CLIENT", "KILL", "ID",
                    re.search(r"id=(\d+)", rng.choice(rows))[1])

        def restart_worker():
            worker = rng.choice(s.workers)
            if not worker.stopped:
                check_eq(worker.terminate(), 0, "exit status of a worker")
                worker.start()

        asleep_until = []
        clients = [Background(client, n) for n in range(10)]
        end = time.monotonic() + 15
        while time.monotonic() < end:
            rng.choice((kill_child, kill_child, kill_parent, stop_parent,
                        cut_connection, restart_worker))()
            pause = time.monotonic() + rng.uniform(0.05, 0.7)
            while time.monotonic() < pause:
                time.sleep(0.02)
                for at, worker in list(asleep_until):
                    if time.monotonic() > at:
                        asleep_until.remove((at, worker))
                        if worker.running and worker.stopped:
                            worker.signal(signal.SIGCONT)
        for worker in s.workers:
            if worker.stopped:
                worker.signal(signal.SIGCONT)
        s.wait_healthy(8)
        ending.set()
        for c in clients:
            c.result()
        check(not problems, "seed %d: %d problems, answers %r: %s", seed,
              len(problems), dict(count), "; ".join(problems[:3]))
        check(count[200] > 200, "seed %d: answers %r", seed, dict(count))
        try:
            wait_until(lambda: s.queue_len() + s.running_len() == 0, 8,
                       "all is settled")
        except AssertionError as e:
            raise AssertionError("seed %d: %s; left: %s" % (
                seed, e, left_jobs(s))) from None
        # What fell between two stools goes with its TTL or with the sweep.
        for kind in ("reply", "body", "out"):
            for key in s.redis("KEYS", s.key(kind, "*")):
                check(s.redis("PTTL", key) > 0, "%r stays for ever", key)
                s.redis("DEL", key)
        for name in s.spool_files():
            check(re.fullmatch(r"[0-9a-f]{12}-[\w-]{22}\.(in|out)", name),
                  "odd file %s", name)
            os.unlink(os.path.join(s.spool, name))
        s.check_works()


def left_jobs(s):
    """What waits or is held where, for a message."""
    found = ["workers: %r" % s.redis("SMEMBERS", s.key("workers"))]
    for key in s.redis("KEYS", s.key("[qr]*")):
        name = key.decode()
        if ":reply:" in name:
            continue
        for entry in s.redis("LRANGE", key, 0, -1):
            job = Job.decode(entry)
            found.append("%s has %s %s, deaths %d, left %d ms" % (
                name, job.id.decode(), job.stages[0].cmd.decode(), job.deaths,
                job.deadline_ms - time.time() * 1000))
    return ", ".join(found)


# ---- what strangers write into Redis -----------------------------------


def test_garbage_in_the_queue_is_dropped():
    """A worker takes any bytes without harm, and does not take them for ever."""
    with Stack(ONE, services="debug") as s:
        for junk in (b"", b"J", b"garbage", b"J\x01" + bytes(62),
                     b"J\xff" + bytes(100), b"J\x01" + b"\xff" * 200,
                     b"J\x01" + bytes(4) + b"\x03\x01" + bytes(56) + b"cpu",
                     os.urandom(5000), b"\x80\x04\x95pickle."):
            s.redis("RPUSH", s.key("q", "cpu"), junk)
        s.check_works()
        wait_until(lambda: s.queue_len() == 0 and s.running_len() == 0, 5,
                   "the garbage is gone")
        s.check_alive()
        for _ in range(5):
            s.check_works()


def test_garbage_in_the_reply_list_is_dropped():
    """Bad frames and tags of nobody do not disturb the front."""
    with Stack(ONE, services="faults debug") as s:
        running = s.post_in_background("q/sleep/500", b"x")
        entry = wait_until(lambda: first_running(s), 5, "the job runs")
        web = web_of(entry)
        frame = b"R\x01\x01\x00" + struct.pack("<HHQQIIIIII", 200, 0,
                                               2 ** 64 - 1, 3, 0, 0, 0, 0, 3,
                                               0) + b"abc"
        for junk in (b"", b"R", b"garbage", b"R\x01" + b"\xff" * 100, frame):
            s.redis("RPUSH", s.key("reply", web), junk)
        check_answer(running.result())
        s.check_alive()
        s.check_works()


def first_running(s):
    for key in s.redis("KEYS", s.key("run", "*")):
        entries = s.redis("LRANGE", key, 0, 0)
        if entries:
            return entries[0]
    return None


def web_of(entry):
    """The front's name in a job entry (docs/protocol.txt)."""
    id_len, web_len = struct.unpack_from("<HH", entry, 48)
    at = 64 + entry[6] + id_len
    return entry[at:at + web_len].decode()
