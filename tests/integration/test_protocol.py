# SPDX-License-Identifier: MIT
"""
Worker and front by docs/protocol.txt alone: the tests play the other side.
So what the page says is what they do, also for cases that neither would make
by itself (a job that has died once, a deadline gone by, another version).
"""

import json
import os
import time

from harness import Background, Stack, check, check_answer, check_eq, \
    check_error, need_program, wait_until
from wire import INLINE, KEY, NOBODY_WAITS, NONE, Job, Reply, Stage

WEB = b"AAAAAAAAAAAAAAAAAAAAAA"
PIECE = 512 << 10


class Player(Stack):
    """A stack without a front: the test is the front."""

    def __init__(self, settings=None, services="faults debug", **kwargs):
        settings = dict({"queue.lease": "1s", "worker.pools": "cpu=1 net=1"},
                        **(settings or {}))
        super().__init__(settings, services, **kwargs)

    def start(self):
        self.redis.start()
        for w in self.workers:
            w.start()
        self.wait_workers(len(self.workers))
        return self

    def wait_workers(self, n):
        def beating():
            return len([k for k in self.redis("KEYS", self.key("worker", "*"))
                        ]) == n
        wait_until(beating, 5, "%d workers beat" % n)

    def now_ms(self):
        s, us = self.redis("TIME")
        return int(s) * 1000 + int(us) // 1000

    def job(self, cmd, task=None, left_ms=10000, **kwargs):
        """A Job of one stage; arguments in the cmd as faults has them."""
        word, _, rest = cmd.strip("/").partition("/")
        service = "debug" if word in ("hello", "json", "echo") else "faults"
        args = {}
        if rest:
            args[b"name" if service == "debug" else b"n"] = rest.encode()
        return Job([Stage((task or service + "." + word).encode(),
                          ("/" + cmd.strip("/")).encode(), args)], WEB,
                   self.now_ms() + left_ms,
                   queued_us=self.now_ms() * 1000, **kwargs)

    def push(self, job):
        entry = job if isinstance(job, bytes) else job.encode()
        self.redis("RPUSH", self.key("q", "cpu"), entry)
        return entry

    def reply(self, within_s=8, web=WEB):
        got = self.redis("BLPOP", self.key("reply", web.decode()), within_s)
        check(got, "no reply within %g s", within_s)
        return Reply.decode(got[1])

    def ask(self, *args, **kwargs):
        job = self.job(*args, **kwargs)
        self.push(job)
        reply = self.reply()
        check_eq(reply.tag, job.tag, "tag of the reply")
        return reply

    def check_works(self):
        check_eq(self.ask("hello/bob").ref, b"hello bob")


def stack():
    return Player()


def error_of(reply, status):
    check_eq(reply.status, status, "status of %r" % reply)
    check_eq(reply.type, b"application/json")
    what = json.loads(reply.ref)
    check_eq(what["code"], status)
    check(len(what["error"]) > 8, "no sentence: %r", what)
    return what["error"]


# ---- the worker --------------------------------------------------------


def test_worker_answers_a_job(s):
    r = s.ask("hello/bob", tag=2 ** 63 + 5)
    check_eq((r.status, r.body, r.ref, r.body_len),
             (200, INLINE, b"hello bob", 9))
    check_eq(r.type, b"text/plain; charset=utf-8")
    check(r.run_us <= r.held_us < 5000000, "times: %r", r)


def test_worker_hands_the_handler_what_the_job_says(s):
    job = s.job("json/x", body=INLINE, ref=b"12345", body_len=5,
                type=b"image/x-test", accept=b"image/webp",
                id=b"id-of-the-test")
    s.push(job)
    got = json.loads(s.reply().ref)
    # Redis' clock is known to within a round trip.
    left = got.pop("time_left_ms")
    check(0 < left <= 10100, "time left: %d ms", left)
    check_eq(got, {"cmd": "/json/x", "args": {"name": "x"},
                   "content_type": "image/x-test", "len": 5, "url": None,
                   "accept": "image/webp", "task": "debug.json",
                   "id": "id-of-the-test", "attempt": 1})


def test_worker_runs_many_jobs_and_loses_none(s):
    n = 500
    for i in range(n):
        s.push(s.job("hello/n%d" % i, tag=i))
    got = {}
    while len(got) < n:
        r = s.reply()
        check(r.tag not in got, "job %d is answered twice", r.tag)
        got[r.tag] = r.ref
    for i in range(n):
        check_eq(got[i], b"hello n%d" % i)
    check_eq(s.queue_len() + s.running_len(), 0, "jobs left")


def test_worker_gives_a_reply_list_a_ttl(s):
    s.push(s.job("hello/bob"))
    key = s.key("reply", WEB.decode())
    wait_until(lambda: s.redis("LLEN", key) == 1, 5, "the reply is there")
    ttl = s.redis("PTTL", key)
    check(50000 < ttl <= 60000, "TTL is %d ms", ttl)
    s.reply()


def test_worker_does_not_run_what_is_too_late(s):
    error_of(s.ask("mark", left_ms=-5, id=b"too-late"), 504)
    check("too-late" not in "".join(
        line for line in s.worker.output().splitlines() if "mark ran" in line),
        "it was run")
    s.check_works()


def test_worker_runs_a_job_that_has_died_once(s):
    r = s.ask("json", deaths=1)
    check_eq(json.loads(r.ref)["attempt"], 2, "attempt")


def test_worker_does_not_run_poison(s):
    for deaths in (2, 3, 255):
        error_of(s.ask("mark", deaths=deaths, id=b"poison-%d" % deaths), 500)
        dead = [d for d in s.dead() if d["id"] == "poison-%d" % deaths]
        check_eq(len(dead), 1, "entries in the dead set")
    check("mark ran" not in s.worker.output(), "it was run")
    s.check_works()


def test_worker_settles_without_a_reply_when_nobody_waits(s):
    s.push(s.job("mark", flags=NOBODY_WAITS, id=b"nobody"))
    wait_until(lambda: "nobody" in s.worker.output(), 5, "it runs")
    wait_until(lambda: s.running_len() == 0, 5, "it is settled")
    check_eq(s.redis("LLEN", s.key("reply", WEB.decode())), 0, "replies")
    s.check_works()


def test_worker_refuses_a_task_it_does_not_have(s):
    r = s.ask("hello", task="other.task")
    check(r.status in (404, 500, 503), "it gets %r", r)
    error_of(r, r.status)
    s.check_works()


def test_worker_reads_a_body_in_pieces(s):
    for size in (PIECE + 1, 3 * PIECE, 10):
        body = os.urandom(size)
        key = s.key("body", "made-by-test")
        for at in range(0, size, PIECE):
            s.redis("RPUSH", key, body[at:at + PIECE])
        s.redis("PEXPIRE", key, 40000)
        s.push(s.job("echo", body=KEY, ref=b"made-by-test", body_len=size))
        r = s.reply()
        check_eq(r.status, 200)
        if r.body == KEY:
            out = s.key("out", r.ref.decode())
            check(s.redis("PTTL", out) > 0, "the reply's body has no TTL")
            got = b"".join(s.redis("LRANGE", out, 0, -1))
            s.redis("DEL", out)
        else:
            got = r.ref
        check(got == body, "%d bytes differ", size)
        wait_until(lambda: not s.redis("EXISTS", key), 3,
                   "the body's key is deleted")


def test_worker_finds_a_body_gone(s):
    r = s.ask("echo", body=KEY, ref=b"no-such-key", body_len=1000)
    check(r.status >= 500, "it gets %r", r)
    error_of(r, r.status)
    r = s.ask("echo", body=2, ref=b"0123456789ab-" + b"A" * 22 + b".in",
              body_len=1000, spool_id=spool_id(s))
    check(r.status >= 500, "it gets %r", r)
    error_of(r, r.status)
    s.check_works()


def test_worker_opens_nothing_outside_its_spool(s):
    for name in (b"../ufop.ini", b"/etc/passwd", b"..", b".", b"",
                 b"0123456789ab-" + b"A" * 22 + b".in/../../ufop.ini"):
        r = s.ask("echo", body=2, ref=name, body_len=10, spool_id=spool_id(s))
        check(r.status >= 500, "%r gets %r", name, r)
        error_of(r, r.status)
    s.check_works()


def spool_id(s):
    for key in s.redis("KEYS", s.key("worker", "*")):
        return int(json.loads(s.redis("GET", key))["spool"], 16)
    return 0


def test_worker_takes_over_from_a_dead_one(s):
    """What a worker without a heartbeat holds goes back, with a death more."""
    s.redis("SADD", s.key("workers"), "BBBBBBBBBBBBBBBBBBBBBB")
    run = s.key("run", "BBBBBBBBBBBBBBBBBBBBBB")
    s.redis("RPUSH", run, s.job("json", tag=1).encode(),
            s.job("json", tag=2, deaths=1).encode())
    got = {r.tag: r for r in (s.reply(), s.reply())}
    check_eq(json.loads(got[1].ref)["attempt"], 2, "attempt of the first")
    error_of(got[2], 500)
    check_eq(s.redis("EXISTS", run), 0, "run list of the dead worker")
    wait_until(lambda: s.redis("SCARD", s.key("workers")) == 1, 3,
               "the dead worker is forgotten")


def test_worker_leaves_a_living_one_alone(s):
    """A heartbeat, whoever wrote it, protects its run list."""
    name = "CCCCCCCCCCCCCCCCCCCCCC"
    s.redis("SADD", s.key("workers"), name)
    s.redis("SET", s.key("worker", name), '{"v":1}', "PX", 2500)
    s.redis("RPUSH", s.key("run", name), s.job("hello/bob").encode())
    began = time.monotonic()
    r = s.reply()
    check_eq(r.ref, b"hello bob")
    check(time.monotonic() - began > 2, "it was taken after %.1f s",
          time.monotonic() - began)


def test_worker_queues_what_is_due(s):
    now = s.now_ms()
    s.redis("ZADD", s.key("delayed"), now + 1200, s.job("hello/b").encode())
    s.redis("ZADD", s.key("delayed"), now - 5, s.job("hello/a").encode())
    began = time.monotonic()
    check_eq(s.reply().ref, b"hello a")
    check(time.monotonic() - began < 1, "what was due came late")
    check_eq(s.reply().ref, b"hello b")
    took = time.monotonic() - began
    check(1.0 < took < 2.2, "it came after %.2f s instead of 1.2", took)


def test_worker_fences_its_late_answer(s):
    """The entry is gone from its run list: the result is dropped."""
    s.push(s.job("sleep/400"))
    wait_until(lambda: s.running_len() == 1, 5, "the job runs")
    for key in s.redis("KEYS", s.key("run", "*")):
        s.redis("DEL", key)
    s.check_works()                 # its answer comes first, and only it
    check_eq(s.redis("LLEN", s.key("reply", WEB.decode())), 0,
             "answers left")


def test_worker_finds_a_job_whose_move_was_not_answered(s):
    """An entry in its run list that it does not know of is run all the same."""
    name = s.redis("SMEMBERS", s.key("workers"))[0].decode()
    s.redis("RPUSH", s.key("run", name), s.job("hello/bob").encode())
    check_eq(s.reply().ref, b"hello bob")


def test_worker_ignores_other_versions(s):
    job = s.job("hello/bob")
    job.version = 2
    s.push(job)
    s.check_works()
    wait_until(lambda: s.running_len() == 0, 5, "it is dropped")
    check_eq(s.redis("LLEN", s.key("reply", WEB.decode())), 0, "answers")


def test_worker_goes_without_clocks_that_agree():
    """
    A worker whose host's clock is an hour off: deadlines are on Redis' clock.
    """
    need_program("faketime")
    s = Player()
    try:
        s.redis.start()
        s.worker.argv = ["faketime", "-f", "+1h"] + s.worker.argv
        s.worker.start()
        s.wait_workers(1)
        s.check_works()
        error_of(s.ask("hello/bob", left_ms=-5), 504)
    finally:
        pid = s.worker.pid
        s.kill()
        # Killed, faketime leaves its own behind.
        for name in ("faketime_shm_%s", "sem.faketime_sem_%s"):
            if os.path.exists("/dev/shm/" + name % pid):
                os.unlink("/dev/shm/" + name % pid)


# ---- the front ---------------------------------------------------------


class Front(Stack):
    """A stack without workers: the test is the worker."""

    NAME = "DDDDDDDDDDDDDDDDDDDDDD"

    def __init__(self, settings=None, services="faults debug"):
        super().__init__(settings, services, workers=0)

    def start(self):
        self.redis.start()
        self.beat()
        self.front.start()
        self.wait_healthy()
        return self

    def beat(self, **pools):
        pool = {"slots": 1, "busy": 0, "held": 0, "done": 0, "failed": 0,
                "died": 0, "ok": True, "why": ""}
        text = json.dumps({
            "v": 1, "version": "test", "host": "here", "pid": 1,
            "started": 0, "spool": "0", "pools": {
                "cpu": dict(pool, **pools.get("cpu", {})),
                "net": dict(pool, **pools.get("net", {}))},
            "services": ["faults", "debug"], "tasks": {}, "errors": [],
            "sandbox": "", "a-later-version-adds": [1, 2, {"x": None}]})
        self.redis("SET", self.key("worker", self.NAME), text, "PX", 60000)
        self.redis("SADD", self.key("workers"), self.NAME)

    def take(self, within_s=5, pool="cpu"):
        got = self.redis("BLPOP", self.key("q", pool), within_s)
        check(got, "no job within %g s", within_s)
        return Job.decode(got[1])

    def answer(self, job, status=200, ref=b"", type=b"text/plain", **kwargs):
        self.redis("RPUSH", self.key("reply", job.web.decode()), Reply(
            status, job.tag, kwargs.pop("body", INLINE),
            kwargs.pop("body_len", len(ref)), 1000, 500, type,
            kwargs.pop("log", b""), kwargs.pop("headers", []), ref).encode())

    def bye(self):
        self.redis("DEL", self.key("worker", self.NAME), self.key("workers"))

    def stop(self, *args, **kwargs):
        self.bye()
        super().stop(*args, **kwargs)

    def check_works(self):
        r = Background(self.post, "q/hello/bob")
        self.answer(self.take(), ref=b"hello bob")
        check_eq(check_answer(r.result()).text, "hello bob")


def front(test):
    """Decorator: the test with a Front of its own."""
    def run():
        with Front() as f:
            test(f)
            f.check_works()
    run.__name__ = test.__name__
    run.__module__ = test.__module__
    return run


@front
def test_front_says_all_of_a_job(f):
    r = Background(lambda: f.post(
        "q/sleep/5|hello/bob", b"abc", headers=[
            ("Content-Type", "image/x-y"), ("Accept", "image/webp"),
            ("X-Reqid", "known-id")]))
    job = f.take()
    check_eq((job.pool, job.id, job.type, job.accept, job.url),
             (b"cpu", b"known-id", b"image/x-y", b"image/webp", b""))
    check_eq((job.body, job.ref, job.body_len), (INLINE, b"abc", 3))
    check_eq((job.deaths, job.retries, job.flags), (0, 0, 0))
    check_eq([(s.task, s.cmd, s.args) for s in job.stages],
             [(b"faults.sleep", b"/sleep/5", {b"n": b"5"}),
              (b"debug.hello", b"/hello/bob", {b"name": b"bob"})])
    check_eq(len(job.web), 22, "length of the front's name")
    s, us = f.redis("TIME")
    now = int(s) * 1000 + int(us) // 1000
    check(25000 < job.deadline_ms - now <= 30000, "deadline in %d ms",
          job.deadline_ms - now)
    check(0 <= now - job.queued_us // 1000 < 2000, "queued %d ms ago",
          now - job.queued_us // 1000)
    f.answer(job, ref=b"fine", log=b"decode=1.5ms",
             headers=[(b"X-More", b"yes")])
    a = check_answer(r.result(), 200, "text/plain")
    check_eq((a.text, a.header("X-More")), ("fine", "yes"))
    check("decode=1.5ms" in a.header("X-Log"), "X-Log: %r", a.header("X-Log"))


@front
def test_front_sends_urls_on(f):
    url = "http://example.com/a?b=c&d=%20e"
    r = Background(lambda: f.post("q/echo", None, url=url))
    job = f.take()
    check_eq((job.url, job.body, job.ref), (url.encode(), NONE, b""))
    f.answer(job, ref=b"fine")
    check_answer(r.result())


@front
def test_front_tells_its_answers_apart(f):
    asked = [Background(f.post, "q/hello/n%d" % i) for i in range(50)]
    jobs = [f.take() for _ in asked]
    check_eq(len({j.tag for j in jobs}), 50, "different tags")
    for job in reversed(jobs):
        f.answer(job, ref=job.stages[0].cmd)
    for i, a in enumerate(asked):
        check_eq(check_answer(a.result()).text, "/hello/n%d" % i)


@front
def test_front_drops_second_and_foreign_answers(f):
    r = Background(f.post, "q/hello/one")
    job = f.take()
    stranger = Job.decode(job.encode())
    stranger.tag = job.tag ^ (1 << 40)
    f.answer(stranger, ref=b"foreign")
    f.answer(job, ref=b"first")
    f.answer(job, ref=b"second")
    check_eq(check_answer(r.result()).text, "first")
    # The slot's next holder does not get it either.
    for _ in range(3):
        f.check_works()


@front
def test_front_answers_when_nobody_does(f):
    """The deadline passes and no reply comes: 504 shortly after it."""
    r = Background(f.post, "q/late/1")      # its task's timeout is 300 ms
    job = f.take()
    answer = r.result(5)
    check_error(answer, 504)
    check(0.25 < r.took_s < 1.5, "it took %.2f s", r.took_s)
    f.answer(job, ref=b"too late")          # of no consequence any more


@front
def test_front_takes_answers_of_any_form(f):
    for status, kind, ref in ((200, b"", b""), (204, b"text/plain", b""),
                              (418, b"application/json", b'{"code":418,'
                               b'"error":"I am a teapot"}'),
                              (302, b"text/plain", b"elsewhere")):
        r = Background(f.post, "q/hello/x")
        f.answer(f.take(), status, ref, kind)
        a = r.result()
        check_eq((a.status, a.body), (status, ref if status != 204 else b""))


@front
def test_front_does_not_believe_a_reply(f):
    """Frames that lie about their spool file or their headers."""
    for kwargs in ({"body": 2, "ref": b"../../etc/passwd"},
                   {"body": 2, "ref": b"0123456789ab-" + b"A" * 22 + b".out",
                    "body_len": 5},
                   {"body": KEY, "ref": b"no-such-id", "body_len": 5},
                   {"body": 9, "ref": b"abc"},
                   {"headers": [(b"X-A", b"a\r\nX-Forged: b")]},
                   {"headers": [(b"X A\r\n\r\n", b"a")]},
                   {"type": b"text/plain\r\nX-Forged: b"},
                   {"status": 0}, {"status": 99}, {"status": 1000}):
        r = Background(f.post, "q/late/1")
        f.answer(f.take(), **kwargs)
        a = r.result(5)
        check(a.header("X-Forged") is None, "a header was forged by %r",
              kwargs)
        check(a.status in (200, 500, 502, 503, 504), "%r gives %r", kwargs, a)
        if "headers" not in kwargs and "type" not in kwargs:
            check(a.status >= 500, "%r gives %r", kwargs, a)
            check_error(a, a.status)


@front
def test_front_asks_for_pools_that_are_not_well(f):
    f.beat(cpu={"ok": False, "why": "no scratch directory"})
    r = wait_until(lambda: (lambda a: a if a.status == 503 else None)(
        f.get("/health")), 5, "/health tells it")
    check("no scratch directory" in r.text, "reasons: %r", r.text)
    f.beat()
    f.wait_healthy()


@front
def test_front_takes_any_heartbeat_without_harm(f):
    for text in ("", "{", "[]", "null", '{"v":2}', '{"v":1,"pools":[]}',
                 '{"v":1,"pools":{"cpu":7}}', "x" * 100000,
                 '{"v":1,"pools":{"cpu":{"slots":-1,"ok":1e999}}}',
                 "[" * 5000):
        f.redis("SET", f.key("worker", "E" * 22), text, "PX", 60000)
        f.redis("SADD", f.key("workers"), "E" * 22)
        check_answer(f.get("/health"))
        f.check_works()
    f.redis("DEL", f.key("worker", "E" * 22))
    f.redis("SREM", f.key("workers"), "E" * 22)


@front
def test_front_takes_its_job_back_when_the_caller_leaves(f):
    c = f.conn()
    c.ask("POST", "/handler?cmd=q/hello/bob", b"")
    wait_until(lambda: f.queue_len() == 1, 5, "the job waits")
    c.abort()
    wait_until(lambda: f.queue_len() == 0, 3, "it is taken back")
