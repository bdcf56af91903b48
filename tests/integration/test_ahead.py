# SPDX-License-Identifier: MIT
"""
A job ahead of each child, of tasks that are known to be short: taken only from
what waits in the queue, and never left behind a job that turns out long.
"""
import contextlib
import signal
import statistics

from harness import Stack, check, check_answer, check_eq, kill_quietly, \
    wait_until
from source import Source

KNOWN = 20          # runs after which the worker believes a task's time
ROUNDS = 10         # of what the scheduler may spoil now and then
# While some wait the worker looks for more each time; else less and less often.
BACKLOG = ("q/sleep/5",) * 12


@contextlib.contextmanager
def known_task(children=1, ms=5, **settings):
    """A worker that knows `sleep` for a task of some milliseconds."""
    settings = dict({"worker.pools": "cpu=%d net=1" % children,
                     "queue.lease": "5s"}, **settings)
    with Stack(settings, services="faults debug") as s:
        for _ in range(KNOWN):
            check_answer(s.post("q/sleep/%d" % ms))
        yield s


def at_once(s, *asks):
    """
    Post them in this order; they lie in Redis before the worker goes on.  Each
    is a cmd, or a tuple of the arguments of Stack.post().
    """
    s.worker.signal(signal.SIGSTOP)
    before = s.queue_len() + s.running_len()
    asked = []
    for ask in asks:
        ask = (ask,) if isinstance(ask, str) else ask
        asked.append(s.in_background(s.post, *ask))
        # The first one Redis gives to the worker, which waits for it.
        wait_until(lambda: s.queue_len() + s.running_len() ==
                   before + len(asked), 5, "%s is queued" % ask[0])
    s.worker.signal(signal.SIGCONT)
    return asked


def long_with_one_behind(s, ask="q/sleep/5", long="q/sleep/4000"):
    """Both are in the worker: the long one runs, which it does not know."""
    *backlog, long, behind = at_once(s, *BACKLOG, long, ask)
    finish(backlog)
    wait_until(lambda: s.running_len() == 2 or behind.done, 3, "both are taken")
    return long, behind


def finish(asked):
    for a in asked:
        check_answer(a.result())


def check_overtakes(long, behind):
    check_answer(behind.result())
    check(not long.done, "it waited for the long one")
    check_answer(long.result())


def held(s, *asks):
    """
    How many entries the worker mostly has until all are answered.  For moments
    there is one more: it is being settled.
    """
    asked = at_once(s, *BACKLOG, *asks)
    seen = []
    while not all(a.done for a in asked):
        seen.append(s.running_len())
    finish(asked)
    return statistics.median_low(seen)


def test_one_job_waits_ahead():
    with known_task() as s:
        n = held(s, *["q/sleep/40"] * 12)
        check_eq(n, 2, "jobs held by a worker of one child")


def test_one_job_ahead_of_each_child():
    with known_task(children=2) as s:
        n = held(s, *["q/sleep/40"] * 20)
        check(2 < n <= 4, "a worker of two children holds %d jobs", n)


def test_no_job_ahead_of_a_child_with_a_long_one():
    with known_task(children=2) as s:
        long, = at_once(s, "q/sleep/4000")
        n = held(s, *["q/sleep/40"] * 20)
        check(n <= 3, "a worker with one free child holds %d jobs", n)
        check(not long.done, "the long one has ended")
        finish([long])


def test_nothing_ahead_without_prefetch():
    with known_task(**{"worker.prefetch": "0"}) as s:
        n = held(s, *["q/sleep/40"] * 12)
        check_eq(n, 1, "jobs held by a worker of one child")


def test_nothing_ahead_of_long_tasks():
    with known_task() as s:
        check_answer(s.post("q/sleep/300"))
        n = held(s, *["q/sleep/40"] * 12)
        check_eq(n, 1, "jobs held by a worker of one child")


def test_job_behind_a_long_one_goes_to_another_worker():
    """It was taken as the first was known to be short; and then it was not."""
    with known_task() as s:
        long, behind = long_with_one_behind(s)
        s.add_worker()
        check_overtakes(long, behind)
        s.check_works()


def test_job_with_a_fetched_source_goes_to_another_worker():
    with Source(b"content") as source, \
            known_task(**{"fetch.allow": "127.0.0.1"}) as s:
        long, behind = long_with_one_behind(
            s, ("q/sleep/5", b"", source.url("/ok")))
        s.add_worker()
        check_overtakes(long, behind)


def test_job_with_a_body_on_redis_goes_to_another_worker():
    with known_task(**{"spool.share": "no"}) as s:
        long, behind = long_with_one_behind(s, ("q/sleep/5", bytes(200000)))
        s.add_worker()
        check_overtakes(long, behind)


def test_job_behind_a_long_one_with_a_body_on_redis_is_not_held():
    """While the body of the first is read the worker takes one more."""
    body = bytes(200000)
    with known_task(**{"spool.share": "no"}) as s:
        long, behind = at_once(s, ("q/sleep/4000", body), ("q/sleep/5", body))
        s.add_worker()
        check_overtakes(long, behind)


def test_nothing_is_taken_behind_a_long_job_of_a_tiny_task():
    """Of such a task a worker holds many."""
    with known_task(ms=0) as s:
        long, behind = at_once(s, "q/sleep/4000", "q/sleep/0")
        wait_until(lambda: s.running_len() == 2, 3, "both are taken")
        s.add_worker()
        s.wait_healthy()
        asked = [s.post_in_background("q/sleep/0") for _ in range(6)]
        finish(asked)
        check_overtakes(long, behind)


def test_successor_of_a_busy_child_does_not_wait_for_it():
    with known_task() as s:
        long, = at_once(s, "q/sleep/4000")
        wait_until(lambda: s.running_len() == 1, 3, "it runs")
        s.worker.signal(signal.SIGHUP)
        check_overtakes(long, s.post_in_background("q/sleep/5"))


def test_job_behind_a_long_one_is_given_back_once():
    """With nobody else there it waits in the queue, not in the worker."""
    with known_task() as s:
        long, behind = long_with_one_behind(s, long="q/sleep/1500")
        wait_until(lambda: s.queue_len() == 1, 3, "one is given back")
        check(not long.done, "the long one has ended")
        finish([long, behind])
        check_eq(s.dead(), [], "dead jobs")


def test_idle_child_takes_what_waits_for_its_neighbour():
    """
    Of a job that is not yet overdue: otherwise it would be given back anyway.
    """
    with known_task(children=2) as s:
        for _ in range(ROUNDS):
            *before, long, one, two, three = at_once(
                s, *BACKLOG, "q/sleep/90", *["q/sleep/1"] * 3)
            finish(before + [one, two, three])
            overtaken = not long.done
            finish([long])
            if overtaken:
                return
        check(False, "a job always waited for the one before it in its child")


def test_jobs_ahead_outlive_their_child():
    with known_task() as s:
        pid = s.child_pid()
        asked = at_once(s, *BACKLOG, *["q/sleep/45"] * 3)
        wait_until(lambda: s.running_len() == 2, 3, "one is ahead")
        kill_quietly(pid)
        finish(asked)
        check_eq(s.dead(), [], "dead jobs")
        s.check_works()
