# SPDX-License-Identifier: MIT
"""
Handlers that misbehave (faults.c): the client gets the right status and a
sentence within its deadline, and the next request works.
"""

import json
import os
import re
import subprocess
import time

from harness import ROOT, UFOP, Stack, check, check_answer, check_eq, \
    check_error, deadline, descendants, photo, processes, rss_kb, wait_until

ONE = {"worker.pools": "cpu=1 net=1"}


def stack():
    # The counters on Redis follow at each heartbeat, a third of the lease.
    return Stack({"queue.lease": "1s"}, services="images faults debug")


def took(function, *args, **kwargs):
    began = time.monotonic()
    value = function(*args, **kwargs)
    return value, time.monotonic() - began


# ---- those that die ----------------------------------------------------


def dies(s, cmd, *words):
    """500 after one more try, in the dead set, never run a third time."""
    reqid = "dies-" + cmd.replace("/", "-") + "-%d" % time.monotonic_ns()
    died = s.stat("died")
    r, t = took(s.post, "q/" + cmd, b"x", headers=[("X-Reqid", reqid)])
    sentence = check_error(r, 500, *words)
    check(t < 5, "%s took %.1f s", cmd, t)
    dead = [d for d in s.dead() if d["id"] == reqid]
    check_eq(len(dead), 1, "entries in the dead set")
    check_eq((dead[0]["deaths"], dead[0]["task"].split(".")[0]),
             ("2", "faults"), "deaths and service of the dead job")
    check(cmd in dead[0]["cmd"], "cmd of the dead job: %r", dead[0])
    check(len(dead[0]["why"]) > 5, "why it is dead: %r", dead[0])
    wait_until(lambda: s.stat("died") == died + 2, 3, "both deaths count")
    # What a handler says on stderr is for the log, not for the caller.
    check("about to" not in sentence, "stderr is told to the client: %r",
          sentence)
    s.check_works()
    return dead[0]


def test_crash_is_tried_once_more_then_500(s):
    dead = dies(s, "crash")
    check("signal" in dead["why"].lower() or "SEGV" in dead["why"],
          "why: %r", dead["why"])
    # Its last line on stderr joins the log, with the job's id.
    wait_until(lambda: any(dead["id"] in line and "about to crash" in line
                           for line in s.worker.output().splitlines()), 3,
               "the log has what the handler said")


def test_abort_is_tried_once_more_then_500(s):
    dies(s, "abort")


def test_exit_is_no_answer(s):
    for status in (0, 1, 42):
        dies(s, "exit/%d" % status)


def test_closing_all_descriptors_hurts_only_itself(s):
    for _ in range(3):
        r = s.post("q/close", b"x")
        check(r.status in (200, 500), "it gets %r", r)
        if r.status != 200:
            check_error(r, 500)
        s.check_works()
    s.check_alive()


def test_crash_in_a_pipe(s):
    r = s.post("q/hello/bob|crash|hello/eve")
    check_error(r, 500)
    s.check_works()


def test_crash_in_the_net_pool(s):
    r = s.post("q/netcrash", b"x")
    check_error(r, 500)
    check_answer(s.post("q/netsleep/1", b"x"))
    s.check_works()


def test_crash_with_a_large_body(s):
    r = s.post("q/crash", bytes(2 << 20))
    check_error(r, 500)
    wait_until(lambda: not s.spool_files(), 5, "the spool is empty")
    s.check_works()


def test_crashes_do_not_disturb_others(s):
    bad = [s.post_in_background("q/crash", b"x") for _ in range(6)]
    good = [s.post_in_background("q/hello/n%d" % i) for i in range(30)]
    for i, b in enumerate(good):
        check_eq(check_answer(b.result()).text, "hello n%d" % i)
    for b in bad:
        check_error(b.result(), 500)
    s.check_alive()
    s.check_works()


def test_crashes_leave_no_core(s):
    check_error(s.post("q/abort", b"x"), 500)
    for directory in (s.dir, s.tmp, ROOT):
        cores = [n for n in os.listdir(directory) if n.startswith("core")]
        check_eq(cores, [], "core files in %s" % directory)


# ---- those that do not end ---------------------------------------------


def killed_at_deadline(s, cmd, *words, limit_s=1.0):
    reqid = "late-%d" % time.monotonic_ns()
    r, t = took(s.post, "q/" + cmd, b"x", headers=[("X-Reqid", reqid)])
    check_error(r, 504, *words)
    check(limit_s - 0.1 <= t < limit_s + 1, "%s took %.2f s of %.1f", cmd, t,
          limit_s)
    s.check_works()
    # Not tried again: it would take as long, and nobody waits any more.
    wait_until(lambda: s.queue_len() == 0 and s.running_len() == 0, 3,
               "the job is gone")
    check_eq(len([d for d in s.dead() if d["id"] == reqid]), 1,
             "entries in the dead set")


def slow_stack():
    return Stack(dict(ONE, **{"ufop.timeout": "1s"}), services="faults debug")


def test_endless_loop_is_killed_at_its_deadline():
    with slow_stack() as s:
        pid = s.child_pid()
        killed_at_deadline(s, "loop")
        check(pid not in processes(), "the child still loops")


def test_loop_that_blocks_all_signals_is_killed():
    with slow_stack() as s:
        killed_at_deadline(s, "deaf")


def test_sleep_is_killed_at_its_deadline():
    with slow_stack() as s:
        killed_at_deadline(s, "sleep/60000")


def test_task_may_have_a_deadline_of_its_own(s):
    killed_at_deadline(s, "late/60000", limit_s=0.3)
    check_answer(s.post("q/late/1", b"x"))


def test_job_that_ends_right_at_its_deadline():
    """Whoever wins the race, there is one answer and nothing is left over."""
    with slow_stack() as s:
        waiting = []
        for ms in (970, 985, 995, 1000, 1005, 1015, 1100, 1400):
            r = s.post("q/sleep/%d" % ms, b"x")
            waiting.append(r.status)
            check(r.status in (200, 504), "%d ms: %r", ms, r)
        check(waiting[-1] == 504, "1400 ms of 1000: %r", waiting)
        wait_until(lambda: not s.redis("KEYS", s.key("reply", "*")), 5,
                   "no reply is left")
        s.check_works()


def test_late_job_takes_its_whole_group_with_it():
    """What a net task has forked goes when its job is killed."""
    with Stack(dict(ONE, **{"ufop.timeout": "2s"}),
               services="faults debug") as s:
        r = s.post("q/netfork", b"x", timeout_s=10)
        check(r.status in (200, 500, 504), "it gets %r", r)
        before = {p for p in s.worker.below()}
        r = s.post("q/netsleep/60000", b"x")
        check_error(r, 504)
        # At the latest with the child itself nothing of the 64 is left.
        wait_until(lambda: len(descendants(s.worker.pid)) < 16, 5,
                   "the forked processes are gone (%d before)" % len(before))
        s.check_works()


# ---- those that take too much ------------------------------------------


def test_allocation_without_end(s):
    """The task's memory_mb is 256: its child ends, the parent does not."""
    r, t = took(s.post, "q/alloc", b"x")
    check_error(r, 500, "memory")
    check(t < 10, "it took %.1f s", t)
    check(rss_kb(s.worker.pid) < 64 << 10, "the parent has grown")
    s.check_works()


def test_malloc_that_is_told_no(s):
    r = check_answer(s.post("q/malloc", b"x"))
    mb = int(re.search(r"after (\d+) MB", r.text)[1])
    check(100 <= mb <= 256, "malloc gave %d MB of 256", mb)
    s.check_works()


def test_fork_is_refused(s):
    r = check_answer(s.post("q/fork", b"x"))
    check_eq(r.text, "fork: EPERM\n")
    s.check_works()


@deadline(90)
def test_gigabyte_on_stderr_leaves_a_bounded_log():
    with Stack(dict(ONE, **{"worker.stderr_max": "64k"}),
               services="faults debug") as s:
        before = os.path.getsize(s.worker.log)
        # Fourteen million lines take what they take; the deadline is 30 s.
        r = s.post("q/stderr/1024", b"x", timeout_s=35)
        check(r.status in (200, 504), "it gets %r", r)
        grown = os.path.getsize(s.worker.log) - before
        check(grown < 512 << 10, "the log grew by %d bytes", grown)
        check(rss_kb(s.worker.pid) < 64 << 10, "the parent has grown")
        s.check_works()


def test_stderr_is_logged_with_the_id_of_the_job(s):
    r = check_answer(s.post("q/stderr/0", b"x",
                            headers=[("X-Reqid", "who-said-it")]))
    check("last words" not in r.text, "stderr is told to the client")
    wait_until(lambda: any("who-said-it" in line and "last words" in line
                           for line in s.worker.output().splitlines()), 3,
               "the line is in the log with the id")


def test_output_over_the_limit_is_413(s):
    check_error(s.post("q/big/65", b"x"), 413, "max_output")
    r = check_answer(s.post("q/big/20", b"x"))
    check_eq(len(r.body), 20 << 20)
    check(r.body[:26] == b"abcdefghijklmnopqrstuvwxyz", "the body differs")
    wait_until(lambda: not s.spool_files(), 5, "the spool is empty")
    s.check_works()


def test_body_over_the_limit_of_the_task_is_413(s):
    check_eq(check_answer(s.post("q/small", bytes(1000))).text, "1000 bytes")
    check_error(s.post("q/small", bytes(1001)), 413, "1000")
    s.check_works()


# ---- answers of handlers -----------------------------------------------


def test_handler_decides_status_and_sentence(s):
    for status in (400, 404, 409, 418, 422, 478, 500, 502, 503, 599):
        check_error(s.post("q/fail/%d" % status, b"x"), status,
                    "failed with %d, as asked" % status)
        # In the log it is the sentence, not the JSON around it.
        wait_until(lambda: "status=%d" % status in s.front.output() and
                   "error=\"failed with %d, as asked\"" % status in
                   s.front.output(), 3, "the log has the sentence")
    for status in (200, 201, 299):
        check_eq(check_answer(s.post("q/status/%d" % status, b"x"),
                              status).text, "status %d" % status)
    s.check_works()


def test_statuses_without_a_body_send_none(s):
    """Inline and by way of a file; the connection is good for more."""
    with s.conn() as c:
        for status in (204, 304):
            for size in (2, 300000):
                r = c.request("POST", "/handler?cmd=q/status/%d" % status,
                              b"x" * size)
                check_eq((r.status, r.body), (status, b""), "answer")
                r = c.request("POST", "/handler?cmd=q/hello/bob", b"")
                check_eq(check_answer(r).text, "hello bob")


def test_handler_that_fails_in_silence(s):
    check_error(s.post("q/silent", b"x"), 500, "silent")
    s.check_works()


def test_headers_of_a_handler(s):
    r = check_answer(s.post("q/headers/16", b"x"))
    for i in range(1, 17):
        check_eq(r.header("X-Fault-%d" % i), "value %d" % i)
    check_error(s.post("q/headers/17", b"x"), 500)
    s.check_works()


def test_header_that_would_split_the_answer(s):
    r = s.post("q/badheader", b"x")
    check_error(r, 500)
    check(r.header("X-Forged") is None, "a header was forged: %r", r.headers)
    s.check_works()


def test_attempt_counts_up(s):
    r = check_answer(s.post("q/retry/1", b"x"))
    check_eq(r.text, "attempt 2")


# ---- what the sandbox forbids -------------------------------------------


def report(s, cmd):
    """{attempt: what it gave} of a probe."""
    r = check_answer(s.post("q/" + cmd, b"x"))
    return dict(line.split(": ") for line in r.text.splitlines())


def all_refused(found, how=("EPERM", "EACCES", "ENOSYS")):
    check(found, "the probe tells nothing")
    for what, result in found.items():
        check(result in how, "%s: %s", what, result)


def test_no_socket(s):
    all_refused(report(s, "socket"))
    s.check_works()


def test_no_exec(s):
    all_refused(report(s, "exec"))
    all_refused(report(s, "spawn"))
    s.check_works()


def test_no_file_is_read(s):
    for path in ("/etc/passwd", "/etc/shadow", "/proc/1/environ",
                 "/proc/self/environ", "/", "/root", ROOT + "/Makefile",
                 s.dir + "/ufop.ini", s.spool, s.redis.path, "/dev/mem",
                 "/tmp"):
        found = report(s, "open" + path)
        all_refused(found, ("EPERM", "EACCES", "ENOENT", "ENXIO", "ENOSYS"))
    s.check_works()


def test_no_file_is_written(s):
    for path in ("/etc/ufop-test", "/tmp/ufop-test", s.dir + "/ufop-test",
                 s.tmp + "/ufop-test", s.spool + "/ufop-test",
                 "/dev/shm/ufop-test", "/proc/self/comm",
                 "/var/tmp/ufop-test"):
        found = report(s, "write" + path)
        all_refused(found, ("EPERM", "EACCES", "ENOENT", "EROFS", "ENOSYS"))
        check(not os.path.exists(path) or "/proc" in path, "%s is there",
              path)
    s.check_works()


def test_no_signal_to_others(s):
    found = report(s, "kill")
    check_eq(found.pop("kill self"), "allowed")
    all_refused(found, ("EPERM", "EACCES", "ENOSYS", "ESRCH"))
    s.check_alive()
    s.check_works()


def test_no_ptrace(s):
    """Only an attack tries this: the child is killed for it."""
    r = s.post("q/ptrace", b"x")
    if r.status == 200:
        check("allowed" not in r.text, "%s", r.text)
    else:
        check_error(r, 500)
    s.check_alive()
    s.check_works()


def test_no_namespaces(s):
    r = s.post("q/unshare", b"x")
    if r.status == 200:
        check("allowed" not in r.text, "%s", r.text)
    else:
        check_error(r, 500)
    s.check_works()


def test_few_descriptors(s):
    found = report(s, "fds")
    check(len(found) <= 12, "open in a child: %r", found)
    s.check_works()


def test_scratch_is_there_and_gone_after_the_job(s):
    found = report(s, "scratch/3")
    check(found.pop("lock") in ("allowed", "EPERM"), "chmod: %r", found)
    for what, result in found.items():
        check_eq(result, "allowed", what)
    s.check_works()
    for root, dirs, files in os.walk(s.dir):
        check("deep" not in dirs and "renamed" not in files,
              "the job's files are still in %s", root)


def test_scratch_of_a_killed_job_is_removed():
    with slow_stack() as s:
        check_answer(s.post("q/scratch/1", b"x"))
        r = s.post("q/scratch/1|loop", b"x")
        check_error(r, 504)
        check_error(s.post("q/scratch/1|crash", b"x"), 500)
        s.check_works()

        def removed():
            return not any("deep" in dirs for _, dirs, _ in os.walk(s.dir))
        wait_until(removed, 5, "the killed jobs' files are removed")


def test_net_pool_may_what_cpu_may_not(s):
    found = report(s, "netsocket")
    check_eq(found["socket inet"], "allowed")
    check_eq(found["socket unix"], "allowed")
    r = check_answer(s.post("q/netspawn", b"x"))
    check_eq(r.text, "spawn: exit 0\n")
    for path in (s.dir + "/ufop-test", s.spool + "/ufop-test",
                 "/etc/ufop-test"):
        all_refused(report(s, "netwrite" + path),
                    ("EPERM", "EACCES", "ENOENT", "EROFS"))
    s.check_works()


# ---- health of tasks and services --------------------------------------


def test_sick_task_is_told_by_health():
    s = Stack(services="faults debug", env={"FAULTS_SICK": "sick"})
    try:
        for part in (s.redis, s.worker, s.front):
            part.start()
        wait_until(lambda: "the task sick is sick" in s.get("/health").text,
                   8, "/health says why")
        check_error(s.get("/health"), 503)
        s.check_works()             # the rest serves all the same
        s.stop()
    finally:
        s.kill()


def test_health_in_bytes_that_are_no_text():
    """What a task says is told in JSON, whatever it says."""
    word = b'\xff\xfe"\\\x01'.decode("utf-8", "surrogateescape")
    s = Stack(services="faults debug", env={"FAULTS_SICK": word})
    try:
        for part in (s.redis, s.worker, s.front):
            part.start()
        wait_until(lambda: "the task sick is" in s.get("/health").text, 8,
                   "/health says why")
        check_error(s.get("/health"), 503)      # parses it
        p = subprocess.run([UFOP, "status", "--json"], cwd=s.dir, env=s.env,
                           capture_output=True, timeout=30)
        json.loads(p.stdout)
        s.stop()
    finally:
        s.kill()


def test_a_note_is_told_while_all_is_well():
    with Stack({"queue.lease": "1s"}, services="faults debug",
               env={"FAULTS_NOTE": "1"}) as s:
        r = wait_until(lambda: (lambda r: r.body and r)(s.get("/health")), 8,
                       "/health has a body")
        check_eq((r.status, r.type), (200, "application/json"))
        check_eq(json.loads(r.body),
                 {"notes": ['faults.sick: the task sick is "well" enough']})

        def ufop(*args):
            return subprocess.run([UFOP, *args, "-C", s.dir], check=True,
                                  capture_output=True, text=True).stdout
        ufop("health")
        check('note: faults.sick: the task sick is "well" enough\n' in
              ufop("status"), "status does not tell it")
        pools = json.loads(ufop("status", "--json"))["pools"]
        check("well" in pools["cpu"]["note"] and "note" not in pools["net"],
              "pools: %r", pools)
        # A reason is not mixed up with it.
        s.worker.terminate()
        got = check_error(s.get("/health"), 503, "no live worker")
        check("well" not in got, "the note is a reason: %r", got)


def test_what_a_service_says_of_itself_is_shown_with_the_settings():
    with Stack({"ufop.name": "faulty"}, services="faults debug") as s:
        out = subprocess.run([UFOP, "config", "show", "-C", s.dir],
                             check=True, capture_output=True, text=True).stdout
        check_eq(out.splitlines()[-1],
                 "; faults: faults at faulty?in=order")


def test_setup_that_fails_is_told_to_the_caller():
    s = Stack(services="faults debug", env={"FAULTS_NO_SETUP": "1"})
    try:
        for part in (s.redis, s.worker, s.front):
            part.start()
        wait_until(lambda: s.post("q/hello/bob").status == 200, 8,
                   "the other service serves")
        check_error(s.post("q/mark", b"x"), 503, "setup fails, as asked")
        s.check_works()
        s.stop()
    finally:
        s.kill()


# ---- many at once ------------------------------------------------------


@deadline(60)
def test_everything_at_once():
    """Good and bad mixed for some seconds; every answer is what it must be."""
    picture = photo()
    settings = {"worker.pools": "cpu=2 net=1", "ufop.timeout": "20s"}
    with Stack(settings, services="images faults debug") as s:
        kinds = [("hello/bob", b"", (200,)), ("crash", b"x", (500,)),
                 ("thumbnail/w/20", picture, (200,)), ("late/9000", b"", (504,)),
                 ("echo", os.urandom(300000), (200,)),
                 ("thumbnail/w/20", b"no picture", (415,)),
                 ("alloc", b"", (500,)), ("exit/3", b"", (500,)),
                 ("fail/418", b"", (418,)), ("silent", b"", (500,)),
                 ("big/3", b"", (200,)), ("retry/1", b"", (200,))]

        def client(n):
            end = time.monotonic() + 6
            i = n
            while time.monotonic() < end:
                cmd, body, want = kinds[i % len(kinds)]
                r = s.post("q/" + cmd, body, timeout_s=25)
                check(r.status in want, "%s: %r", cmd, r)
                if r.status >= 400:
                    check_error(r, r.status)
                i += 1
        clients = [s.in_background(client, n) for n in range(12)]
        for c in clients:
            c.result(40)
        wait_until(lambda: s.running_len() == 0 and s.queue_len() == 0, 5,
                   "all is settled")
        s.check_works()
