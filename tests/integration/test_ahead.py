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

KNOWN = 20          # runs after which the worker believes a task's time
ROUNDS = 10         # of what the scheduler may spoil now and then


@contextlib.contextmanager
def known_task(children=1, **settings):
    """A worker that knows `sleep` for a task of some milliseconds."""
    settings = dict({"worker.pools": "cpu=%d net=1" % children,
                     "queue.lease": "5s"}, **settings)
    with Stack(settings, services="faults debug") as s:
        know(s)
        yield s


def know(s):
    for _ in range(KNOWN):
        check_answer(s.post("q/sleep/5"))


def at_once(s, *cmds):
    """Post them in this order; they lie in Redis before the worker goes on."""
    s.worker.signal(signal.SIGSTOP)
    asked = []
    for cmd in cmds:
        asked.append(s.post_in_background(cmd))
        # The first one Redis gives to the worker, which waits for it.
        wait_until(lambda: s.queue_len() + s.running_len() == len(asked), 5,
                   "%s is queued" % cmd)
    s.worker.signal(signal.SIGCONT)
    return asked


def finish(asked):
    for a in asked:
        check_answer(a.result())


def held(s, *cmds):
    """
    How many entries the worker mostly has until all are answered.  For moments
    there is one more: it is being settled.
    """
    asked = at_once(s, *cmds)
    seen = []
    while not all(a.done for a in asked):
        seen.append(s.running_len())
    finish(asked)
    return statistics.median_low(seen)


def test_one_job_waits_ahead():
    with known_task() as s:
        n = held(s, *["q/sleep/40"] * 5)
        check_eq(n, 2, "jobs held by a worker of one child")


def test_one_job_ahead_of_each_child():
    with known_task(children=2) as s:
        n = held(s, *["q/sleep/40"] * 9)
        check(2 < n <= 4, "a worker of two children holds %d jobs", n)


def test_nothing_ahead_without_prefetch():
    with known_task(**{"worker.prefetch": "0"}) as s:
        n = held(s, *["q/sleep/40"] * 5)
        check_eq(n, 1, "jobs held by a worker of one child")


def test_nothing_ahead_of_long_tasks():
    with known_task() as s:
        check_answer(s.post("q/sleep/300"))
        n = held(s, *["q/sleep/40"] * 4)
        check_eq(n, 1, "jobs held by a worker of one child")


def test_job_behind_a_long_one_goes_to_another_worker():
    """It was taken as the first was known to be short; and then it was not."""
    with known_task() as s:
        long, after = at_once(s, "q/sleep/4000", "q/sleep/5")
        wait_until(lambda: s.running_len() == 2, 3, "both are taken")
        s.add_worker()
        check_answer(after.result())
        check(not long.done, "it waited for the long one")
        check_answer(long.result())
        s.check_works()


def test_job_behind_a_long_one_is_given_back_once():
    """With nobody else there it waits in the queue, not in the worker."""
    with known_task() as s:
        long, after = at_once(s, "q/sleep/1500", "q/sleep/5")
        wait_until(lambda: s.running_len() == 2, 3, "both are taken")
        wait_until(lambda: s.queue_len() == 1, 3, "one is given back")
        check(not long.done, "the long one has ended")
        finish([long, after])
        check_eq(s.dead(), [], "dead jobs")


def test_idle_child_takes_what_waits_for_its_neighbour():
    """
    Of a job that is not yet overdue: otherwise it would be given back anyway.
    """
    with known_task(children=2) as s:
        for _ in range(ROUNDS):
            asked = at_once(s, "q/sleep/90", "q/sleep/1", "q/sleep/1",
                            "q/sleep/1")
            wait_until(lambda: all(a.done for a in asked[1:]), 5,
                       "the short ones are answered")
            overtaken = not asked[0].done
            finish(asked)
            if overtaken:
                return
            know(s)
        check(False, "a job always waited for the one before it in its child")


def test_jobs_ahead_outlive_their_child():
    with known_task() as s:
        pid = s.child_pid()
        asked = at_once(s, *["q/sleep/45"] * 3)
        wait_until(lambda: s.running_len() == 2, 3, "one is ahead")
        kill_quietly(pid)
        finish(asked)
        check_eq(s.dead(), [], "dead jobs")
        s.check_works()
