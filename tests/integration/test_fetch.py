# SPDX-License-Identifier: MIT
"""
Files that a handler asks for beside the source: ufop_fetch().  The tasks are in
faults.c: `fetch/<url in hex>,...` answers the source and all the files.
"""

import os
import signal
import subprocess

from harness import ROOT, Stack, check, check_answer, check_eq, check_error, \
    deadline, faults_so, wait_until
from source import Source

ALLOW = {"fetch.allow": "127.0.0.1", "fetch.timeout": "2s",
         "worker.pools": "cpu=1 net=1"}


def stack():
    return Stack(ALLOW, services="faults debug")


def cmd(task, *urls):
    return "q/%s/%s" % (task, ",".join(u.encode().hex() for u in urls))


def runs(s, state):
    return s.worker.output().count("fetch runs, " + state)


def test_files_come_beside_the_source(s):
    with Source(b"") as source:
        urls = [source.url("/text?" + t) for t in ("one", "two", "three")]
        r = s.post(cmd("fetch", *urls), b"source ")
        check_eq(check_answer(r).body, b"source onetwothree")
        check("fetch=" in r.header("X-Log", ""), "X-Log: %r",
              r.header("X-Log"))
        check_eq(len(source.hits), 3, "requests to the source")


def test_handler_runs_twice_whatever_the_number_of_files(s):
    """All are asked for at once, when it calls for each before it returns."""
    with Source(b"") as source:
        before = runs(s, "something"), runs(s, "all")
        urls = [source.url("/text?%d" % i) for i in range(8)]
        check_eq(check_answer(s.post(cmd("fetch", *urls), b"")).body,
                 b"01234567")
        wait_until(lambda: (runs(s, "something"), runs(s, "all")) ==
                   (before[0] + 1, before[1] + 1), 3, "one run of each kind")


def test_one_url_twice_is_one_fetch(s):
    with Source(b"") as source:
        url = source.url("/text?same")
        check_eq(check_answer(s.post(cmd("fetch", url, url), b"")).body,
                 b"samesame")
        check_eq(source.hits, ["/text"])


def test_source_and_files_by_url(s):
    with Source(b"the source, ") as source:
        r = s.post(cmd("fetch", source.url("/text?the-file")), b"",
                   url=source.url("/ok"))
        check_eq(check_answer(r).body, b"the source, the-file")


def test_large_source_and_large_file(s):
    large = os.urandom(700000)
    with Source(large) as source:
        url = source.url("/ok")
        r = s.post(cmd("fetch", url), large)
        check(check_answer(r).body == large + large, "the bytes differ")


def test_in_a_later_stage_of_a_pipe(s):
    with Source(b"") as source:
        r = s.post("q/fetch/%s|fetch/%s" % (
            source.url("/text?b").encode().hex(),
            source.url("/text?c").encode().hex()), b"a")
        check_eq(check_answer(r).body, b"abc")


def test_small_file_is_kept_for_the_next_job(s):
    with Source(b"") as source:
        url = source.url("/text?kept")
        for _ in range(3):
            check_eq(check_answer(s.post(cmd("fetch", url), b"")).body,
                     b"kept")
        check_eq(source.hits, ["/text"])


def test_large_file_is_not_kept(s):
    with Source(b"x" * (1 << 20) + b"y") as source:
        url = source.url("/ok")
        for _ in range(2):
            check_eq(len(check_answer(s.post(cmd("fetch", url), b"")).body),
                     (1 << 20) + 1)
        check_eq(source.hits, ["/ok", "/ok"])


@deadline(60)
def test_nothing_is_kept_when_told_so():
    with Stack(dict(ALLOW, **{"fetch.keep": "0"}), services="faults debug") \
            as s, Source(b"") as source:
        url = source.url("/text?again")
        for _ in range(2):
            check_eq(check_answer(s.post(cmd("fetch", url), b"")).body,
                     b"again")
        check_eq(source.hits, ["/text", "/text"])


def test_file_that_cannot_be_had(s):
    with Source(b"x") as source:
        good = source.url("/ok")
        for path, words in (("/404", "404"), ("/truncated", "ended after"),
                            ("/garbage", "")):
            r = s.post(cmd("fetch", good, source.url(path)), b"")
            check_error(r, 502, *([words] if words else []))
    s.check_works()


def test_file_that_hangs_keeps_no_child_busy(s):
    with Source(b"x") as source:
        waiting = s.post_in_background(cmd("fetch", source.url("/hang"),
                                           source.url("/ok")), b"")
        wait_until(lambda: "/hang" in source.hits, 5, "the fetch has begun")
        for _ in range(10):
            s.check_works()         # by the one child
        check(not waiting.done, "it is answered: %r", waiting.value)
        r = waiting.result()
        check(r.status in (502, 504), "it gets %r", r)
        check_error(r, r.status)
    s.check_works()


def test_guard_holds_for_files_too(s):
    with Source(b"x", "127.0.0.2") as secret:
        for url in (secret.url("/ok"), "file:///etc/passwd",
                    "http://169.254.169.254/latest/", "no url"):
            r = s.post(cmd("fetch", url), b"")
            check(r.status in (400, 502), "%s gets %r", url, r)
            check_error(r, r.status)
        check_eq(secret.hits, [], "requests to the refused address")
    s.check_works()


def test_too_many_files(s):
    with Source(b"") as source:
        urls = [source.url("/text?%d" % i) for i in range(9)]
        check_error(s.post(cmd("fetch", *urls), b""), 400, "more than 8 files")
        check_eq(source.hits, [])


def test_handler_that_never_has_enough(s):
    with Source(b"x") as source:
        check_error(s.post(cmd("insatiable", source.url("/ok")), b""), 500,
                    "asks for more files")
        check(len(source.hits) <= 8, "%d requests", len(source.hits))
    s.check_works()


def test_child_that_dies_with_its_files(s):
    """The job begins anew, and its files are fetched anew."""
    with Source(b"x") as source:
        check_error(s.post(cmd("fetchdies", source.url("/ok")), b""), 500,
                    "SIGABRT", "twice")
        check_eq(source.hits, ["/ok", "/ok"])
    s.check_works()


def fetch_pid(s):
    """None while there is none."""
    for pid in s.worker.children():
        with open("/proc/%d/comm" % pid) as f:
            if f.read().strip() == "ufop-fetch":
                return pid
    return None


@deadline(60)
def test_fetch_process_that_dies_is_replaced_and_asked_again(s):
    with Source(b"x") as source:
        waiting = s.post_in_background(cmd("fetch", source.url("/hang"),
                                           source.url("/ok")), b"")
        wait_until(lambda: "/hang" in source.hits, 5, "the fetch has begun")
        os.kill(fetch_pid(s), 9)
        wait_until(lambda: source.hits.count("/hang") == 2, 5,
                   "it is asked for again")
        r = waiting.result()
        check(r.status in (502, 504), "it gets %r", r)
    s.check_works()


@deadline(60)
def test_fetch_process_that_goes_silent_is_replaced():
    with Stack(dict(ALLOW, **{"ufop.timeout": "700ms"}),
               services="faults debug") as s, Source(b"x") as source:
        pid = fetch_pid(s)
        os.kill(pid, signal.SIGSTOP)
        for _ in range(3):
            check_error(s.post("q/echo", url=source.url("/ok")), 504)
        wait_until(lambda: fetch_pid(s) not in (pid, None), 5,
                   "another fetch process")
        check("fetch.silent" in s.worker.output(), "the log does not say why")
        check_eq(check_answer(s.post("q/echo", url=source.url("/ok"))).body,
                 b"x")


@deadline(60)
def test_fetch_process_that_always_dies_is_told_and_gets_well():
    with Stack(dict(ALLOW, **{"queue.lease": "1s"}),
               services="faults debug") as s, Source(b"x") as source:
        seen = set()

        def ill():
            pid = fetch_pid(s)
            if pid is not None and pid not in seen:
                seen.add(pid)
                os.kill(pid, signal.SIGKILL)
            return "again and again" in s.get("/health").text
        wait_until(ill, 15, "/health tells of it")
        check_eq(s.get("/health").status, 200)
        check(len(seen) < 12, "it was started %d times", len(seen))
        check_error(s.post("q/echo", url=source.url("/ok")), 503,
                    "urls cannot be fetched")
        check_eq(source.hits, [])
        s.check_works()             # what needs no url
        wait_until(lambda: s.post("q/echo", url=source.url("/ok")).status ==
                   200, 25, "it is well again")
        wait_until(lambda: s.get("/health").text == "", 10, "no note is left")


@deadline(60)
def test_what_cannot_be_fetched_yet_stays_in_the_queue():
    """Where another worker could take it."""
    settings = dict(ALLOW, **{"fetch.concurrency": "2",
                              "worker.pools": "cpu=8 net=1"})
    with Stack(settings, services="faults debug") as s, \
            Source(b"x") as source:
        waiting = [s.post_in_background("q/echo", url=source.url("/hang"))
                   for _ in range(6)]
        wait_until(lambda: source.hits.count("/hang") == 2 and
                   s.queue_len() == 4, 5, "two are taken, four wait")
        for w in waiting:
            check(w.result().status in (502, 504), "%r", w.value)


def process(*argv, allow="127.0.0.1"):
    env = dict(os.environ, UFOP_FETCH_ALLOW=allow,
               UFOP_SERVICES="%s debug" % faults_so())
    return subprocess.run([os.path.join(ROOT, "build/ufop"), "process",
                           *argv], env=env, capture_output=True, timeout=30,
                          check=False, input=b"source ")


def test_process_fetches_files_and_source():
    with Source(b"fetched, ") as source:
        file_cmd = cmd("fetch", source.url("/text?file"))[1:]
        p = process(file_cmd, "-")
        check_eq((p.returncode, p.stdout), (0, b"source file"), p.stderr)
        p = process("--url", source.url("/ok"), file_cmd)
        check_eq((p.returncode, p.stdout), (0, b"fetched, file"), p.stderr)
        p = process("--url", source.url("/404"), "/echo")
        check(p.returncode != 0 and b"404" in p.stderr and p.stdout == b"",
              "exit %d: %r", p.returncode, p.stderr)
        source.hits.clear()
        p = process(cmd("fetch", source.url("/ok"))[1:], "-", allow="")
        check(p.returncode != 0 and b"loopback" in p.stderr, "exit %d: %r",
              p.returncode, p.stderr)
        check_eq(source.hits, [])
