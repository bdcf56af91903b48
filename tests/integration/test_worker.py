# SPDX-License-Identifier: MIT
"""The worker parent and its children: order at the end, recycling, pools."""

import json
import os
import re
import signal
import time

from harness import FAULTS_SO, Stack, check, check_answer, check_eq, \
    check_error, is_alive, kill_quietly, processes, rss_kb, skip, wait_until

# One child, so that it is known who does what; faults wants a pool net too.
ONE = {"worker.pools": "cpu=1 net=1"}


def heartbeats(s):
    """The JSON of every live worker, by name."""
    found = {}
    for name in s.redis("SMEMBERS", s.key("workers")):
        text = s.redis("GET", s.key("worker", name.decode()))
        if text:
            found[name.decode()] = json.loads(text)
    return found


def test_sigterm_finishes_what_runs():
    with Stack(dict(ONE, **{"queue.lease": "1s"}),
               services="faults debug") as s:
        running = s.post_in_background("q/sleep/1500", b"x")
        # In the run list it may still wait for its child.
        wait_until(lambda: any(b["pools"]["cpu"]["busy"] == 1
                               for b in heartbeats(s).values()), 5,
                   "the job runs")
        check_eq(s.worker.terminate(), 0, "exit status of the worker")
        check_answer(running.result())
        # It is not taken for a dead worker: it said goodbye.
        check_eq(s.redis("SMEMBERS", s.key("workers")), [], "workers left")
        s.add_worker()
        s.wait_healthy()
        s.check_works()


def test_sigterm_hands_back_what_waits():
    settings = dict(ONE, **{"ufop.timeout": "15s"})
    with Stack(settings, services="faults debug") as s:
        running = s.post_in_background("q/sleep/1500", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        waiting = [s.post_in_background("q/hello/n%d" % i) for i in range(5)]
        wait_until(lambda: s.queue_len() + s.running_len() == 6, 5,
                   "the others wait")
        s.worker.signal(signal.SIGTERM)
        check_eq(s.worker.wait(), 0, "exit status of the worker")
        check_answer(running.result())
        check(not any(w.done for w in waiting), "one that waited was run")
        check_eq(s.queue_len(), 5, "jobs handed back")
        s.add_worker()
        for i, w in enumerate(waiting):
            check_eq(check_answer(w.result()).text, "hello n%d" % i)
        check_eq(s.dead(), [], "dead jobs")
        s.check_works()


def test_sigterm_waits_no_longer_than_the_drain_time():
    settings = dict(ONE, **{"worker.drain": "500ms"})
    with Stack(settings, services="faults debug") as s:
        running = s.post_in_background("q/sleep/8000", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        began = time.monotonic()
        check_eq(s.worker.terminate(), 0, "exit status of the worker")
        check(time.monotonic() - began < 4, "it took long to end")
        # Another worker does it anew, or the caller is told.
        s.add_worker()
        r = running.result()
        check(r.status in (200, 500, 503), "it gets %r", r)
        s.wait_healthy()
        s.check_works()


def test_front_finishes_requests_on_sigterm():
    with Stack(ONE, services="faults debug") as s:
        running = s.post_in_background("q/sleep/1500", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        check_eq(s.front.terminate(), 0, "exit status of the front")
        check_answer(running.result())


def test_front_that_may_wait_no_longer_says_so():
    settings = dict(ONE, **{"front.drain": "300ms"})
    with Stack(settings, services="faults debug") as s:
        running = s.post_in_background("q/sleep/4000", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        check_eq(s.front.terminate(), 0, "exit status of the front")
        check_error(running.result(), 503, "the front was stopped")
        s.front.start()
        # The reply comes all the same; nobody takes it, and it goes.
        left = wait_until(lambda: s.redis("KEYS", "*:reply:*"), 10, "a reply")
        check(s.redis("TTL", left[0]) > 0, "it stays for good")
        s.redis("DEL", left[0])
        s.wait_healthy()
        s.check_works()


def test_front_takes_nothing_new_on_sigterm():
    with Stack(ONE, services="faults debug") as s:
        running = s.post_in_background("q/sleep/1000", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        s.front.signal(signal.SIGTERM)

        def refuses():
            try:
                s.conn(1).close()
                return False
            except OSError:
                return True
        wait_until(refuses, 3, "new connections are refused")
        check_answer(running.result())
        check_eq(s.front.wait(), 0, "exit status of the front")


def test_children_are_replaced_after_n_jobs():
    settings = dict(ONE, **{"worker.recycle_jobs": "10"})
    with Stack(settings, services="faults debug") as s:
        pids = []
        # A worn child works on until its successor is ready; health checks
        # count as jobs too.
        wait_until(lambda: pids.append(s.child_pid()) or
                   len(set(pids)) >= 4, 20, "a fourth child")
        check(len(pids) >= 20, "%d jobs wore out three children", len(pids))
        wait_until(lambda: sum(is_alive(p) for p in set(pids)) <= 1, 5,
                   "the worn children are gone")
        check("job.died" not in s.worker.output(), "a death was logged")


def test_recycling_loses_no_job_under_load():
    settings = {"worker.recycle_jobs": "5"}
    with Stack(settings, services="debug") as s:
        def client(n):
            with s.conn() as c:
                for i in range(50):
                    r = c.request("POST", "/handler?cmd=q/hello/c%dn%d" %
                                  (n, i), b"")
                    check_eq(check_answer(r).text, "hello c%dn%d" % (n, i))
        for b in [s.in_background(client, n) for n in range(8)]:
            b.result()
        check_eq(s.dead(), [], "dead jobs")


def test_children_are_replaced_when_they_have_grown():
    settings = dict(ONE, **{"worker.recycle_memory": "64m"})
    with Stack(settings, services="faults debug") as s:
        check_answer(s.post("q/grow/200", b"x"))

        def small():
            return all(rss_kb(p) < 64 << 10 for p in s.worker.children()
                       if is_alive(p))
        wait_until(small, 5, "the grown child is replaced")
        s.check_works()


def test_busy_child_keeps_its_memory_and_an_idle_one_does_not():
    with Stack(ONE, services="faults debug") as s:
        pid = s.child_pid()

        def faults():
            return int(check_answer(s.post("q/use/64", b"x")).text)
        # 16,384 where it was not kept, which may happen to a job that comes
        # after a rest.
        faults()
        wait_until(lambda: faults() < 1000, 20, "a job finds its memory there")
        wait_until(lambda: rss_kb(pid) < 32 << 10, 10,
                   "the idle child gives it back")
        check(is_alive(pid), "the child was replaced instead")


def test_kept_memory_is_no_reason_to_replace_a_child():
    settings = dict(ONE, **{"worker.recycle_memory": "64m"})
    with Stack(settings, services="faults debug") as s:
        pid = s.child_pid()
        for _ in range(3):
            check_answer(s.post("q/use/100", b"x"))
        check_eq(s.child_pid(), pid, "the child that freed its memory")


def test_child_that_takes_no_job_is_replaced():
    with Stack(ONE, services="faults debug") as s:
        pid = s.child_pid()
        os.kill(pid, signal.SIGSTOP)
        check_eq(check_answer(s.post("q/hello/bob")).text, "hello bob")
        check(not is_alive(pid), "the child that took nothing is still there")
        check("it takes no job" in s.worker.output(), "the log does not say "
              "why it was ended")
        check("job.died" not in s.worker.output(), "its job counts as a death")


def test_teardown_that_does_not_end_is_ended():
    settings = dict(ONE, **{"worker.recycle_jobs": "1"})
    with Stack(settings, services="faults debug",
               env={"FAULTS_HANG": "1"}) as s:
        pid = s.child_pid()
        s.check_works()             # by its successor, meanwhile
        wait_until(lambda: not is_alive(pid), 15, "the worn child is gone")
        check("its teardown does not end" in s.worker.output(),
              "the log does not say why")


def test_sighup_replaces_the_children_one_by_one():
    with Stack(services="faults debug") as s:
        before = {s.child_pid() for _ in range(50)}
        running = s.post_in_background("q/sleep/1000", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        s.worker.signal(signal.SIGHUP)
        s.check_works()
        check_answer(running.result())
        wait_until(lambda: not any(is_alive(p) for p in before), 5,
                   "the old children are gone")
        check(s.child_pid() not in before, "an old child still serves")
        s.check_works()


def test_children_of_a_killed_parent_do_not_live_on():
    with Stack({"queue.lease": "1s"}, services="faults debug") as s:
        children = s.worker.children()
        check(children, "no children")
        s.worker.kill()
        wait_until(lambda: not any(is_alive(p) for p in children), 5,
                   "the children are gone")
        s.workers[0].start()
        s.wait_healthy()
        s.check_works()


def test_pools_are_served_apart():
    """A busy cpu pool leaves the net pool free, and the other way round."""
    with Stack(ONE, services="faults debug") as s:
        for busy, other in (("netsleep", "sleep"), ("sleep", "netsleep")):
            running = s.post_in_background("q/%s/1500" % busy, b"x")
            wait_until(lambda: s.running_len() == 1, 5, "the job runs")
            began = time.monotonic()
            check_answer(s.post("q/%s/1" % other, b"x"))
            check(time.monotonic() - began < 1, "%s was held up by %s", other,
                  busy)
            check_answer(running.result())
        s.check_works()


def test_pool_without_worker_is_named():
    s = Stack({"worker.pools": "cpu=1"}, services="faults debug")
    try:
        for part in (s.redis, s.worker, s.front):
            part.start()
        wait_until(lambda: s.redis("SCARD", s.key("workers")) == 1, 5,
                   "the worker is there")
        check_error(s.get("/health"), 503, "net")
        began = time.monotonic()
        check_error(s.post("q/netsleep/10", b"x"), 503, "net")
        check(time.monotonic() - began < 3, "it took long")
        check_eq(s.queue_len("net"), 0, "jobs left in the queue")
        # The other pool is served all the same.
        s.check_works()
        s.stop()
    finally:
        s.kill()


def test_slow_job_does_not_hold_up_short_ones():
    """Short jobs come through while one child is busy with a long one."""
    with Stack(services="faults debug") as s:
        for _ in range(20):
            s.check_works()         # the worker learns that hello is short
        slow = s.post_in_background("q/sleep/2500", b"x")
        wait_until(lambda: s.running_len() == 1, 5, "the job runs")
        began = time.monotonic()
        for _ in range(50):
            s.check_works()
        check(time.monotonic() - began < 2, "they waited for the slow job")
        check(not slow.done, "the slow job was over too soon")
        check_answer(slow.result())


def test_heartbeat_says_who_and_what():
    with Stack({"worker.pools": "cpu=2"}, services="images debug") as s:
        s.check_works()
        beats = heartbeats(s)
        check_eq(len(beats), 1, "number of workers")
        beat = next(iter(beats.values()))
        check_eq(beat["v"], 1)
        check_eq(beat["pid"], s.worker.pid)
        check_eq(beat["host"], os.uname().nodename)
        check_eq(beat["pools"]["cpu"]["slots"], 2)
        check_eq(beat["services"], ["images", "debug"])
        check(re.fullmatch("[0-9a-f]{1,16}", beat["spool"]), "spool: %r",
              beat["spool"])
        check("seccomp" in beat["sandbox"], "sandbox: %r", beat["sandbox"])


def test_children_are_another_user_without_a_way_back():
    if os.getuid() != 0:
        skip("only root can become another user")
    with Stack(ONE, services="debug") as s:
        s.check_works()
        children = s.worker.children()
        found = 0
        for pid in children:
            with open("/proc/%d/status" % pid) as f:
                status = dict(line.split(":\t", 1) for line in f
                              if ":\t" in line)
            uid = status["Uid"].split()[0]
            if uid == "0":
                continue            # a helper of the parent itself
            found += 1
            check_eq(status["NoNewPrivs"].strip(), "1", "NoNewPrivs")
            check_eq(status["Seccomp"].strip(), "2", "Seccomp")
            check_eq(int(status["CapEff"], 16), 0, "capabilities")
            check_eq(int(status["CapPrm"], 16), 0, "capabilities")
        check(found >= 1, "no child runs as another user: %r", children)


def test_children_hold_nothing_of_the_parent():
    """No socket to Redis, no log but stderr, no listening socket."""
    if os.getuid() != 0:
        skip("only root can look into another user's descriptors")
    with Stack(ONE, services="debug") as s:
        s.check_works()
        redis_peers = unix_inodes(s.redis.path)
        for pid in s.worker.children():
            for fd in os.listdir("/proc/%d/fd" % pid):
                target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
                check(target not in redis_peers, "child %d holds %s", pid,
                      target)
                check(not target.startswith(s.spool + "/") or
                      "deleted" in target or "/#" in target,
                      "child %d holds %s", pid, target)


def unix_inodes(path):
    with open("/proc/net/unix") as f:
        return {"socket:[%s]" % line.split()[6] for line in f
                if line.rstrip().endswith(path)}


def test_idle_memory_of_front_worker_and_children():
    with Stack({"worker.pools": "cpu=2"}, services="images debug") as s:
        s.check_works()
        total = 0
        for part in (s.front, s.worker):
            for pid in [part.pid] + part.below():
                with open("/proc/%d/smaps_rollup" % pid) as f:
                    total += sum(int(line.split()[1]) for line in f
                                 if line.startswith("Pss:"))
        check(total <= 25 * 1024, "idle they take %d KiB", total)


def test_idle_stack_does_not_poll():
    """Nobody asks Redis more than the heartbeats and views have to."""
    with Stack({"worker.pools": "cpu=2"}, services="debug") as s:
        s.check_works()

        def commands():
            info = s.redis("INFO", "stats").decode()
            return int(re.search(r"total_commands_processed:(\d+)", info)[1])
        before, began = commands(), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 3, 5, "three seconds")
        rate = (commands() - before) / (time.monotonic() - began)
        check(rate < 12, "%.1f commands a second when idle", rate)


def test_services_of_the_settings_are_loaded_by_path():
    with Stack(ONE, services="debug") as s:
        check_eq(s.front.terminate(), 0, "exit status of the front")
        check_eq(s.worker.terminate(), 0, "exit status of the worker")
        s.front.argv += ["-A", FAULTS_SO]
        s.worker.argv += ["-A", FAULTS_SO]
        s.worker.start()
        s.front.start()
        s.wait_healthy()
        check_answer(s.post("q/sleep/1", b"x"))
        s.check_works()


def test_child_killed_while_idle_is_replaced():
    with Stack({"worker.pools": "cpu=2"}, services="debug") as s:
        for _ in range(3):
            children = [p for p, (parent, state, _) in processes().items()
                        if parent == s.worker.pid and state != "Z"]
            for pid in children:
                kill_quietly(pid)
            wait_until(lambda: not any(is_alive(p) for p in children), 5,
                       "the children are dead")
            s.check_works()
        s.check_alive()
