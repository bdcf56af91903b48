# SPDX-License-Identifier: MIT
"""Starting with something wrong: one clear line, or a truthful /health."""

import os
import signal
import socket
import subprocess
import time

import harness
from harness import BUILD, UFOP, Stack, cc, check, check_answer, \
    check_eq, check_error, wait_until

EVIL = r"""
#include <ufop.h>

static int
run(struct ufop_job *job, struct ufop_reply *reply)
{
	(void)job;
	return (ufop_reply_textf(reply, "matched"));
}

static const struct ufop_task tasks[] = {
	{ .name = "evil", .route = ROUTE, .run = run },
	{ 0 }
};

UFOP_SERVICE(evil, tasks);
"""


def service_with_route(directory, route):
    source = os.path.join(directory, "evil.c")
    with open(source, "w") as f:
        f.write(EVIL.replace("ROUTE", '"%s"' % route.replace("\\", "\\\\")))
    return cc(source, os.path.join(directory, "evil.so"))


def refuses(s, command, *words, within_s=3):
    """
    `ufop <command>` ends at once and says why on stderr, in one line that has
    all the words (beside it there may be warnings in the log's form).
    """
    began = time.monotonic()
    p = subprocess.Popen([UFOP, command, "-C", s.dir], env=s.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True,
                         start_new_session=True)
    try:
        _, out = p.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        harness.kill_tree(p.pid)
        raise AssertionError("%s goes on instead of ending" % command) \
            from None
    check(p.returncode > 0, "%s ends with %d: %s", command, p.returncode, out)
    check(time.monotonic() - began < within_s, "it took long")
    for word in words:
        any_of = word if isinstance(word, tuple) else (word,)
        check(any(w.lower() in out.lower() for w in any_of),
              "%s does not say %s: %r", command, " or ".join(any_of), out)
    lines = [line for line in out.splitlines() if " warn " not in line]
    check(len(lines) == 1 and lines[0].startswith("ufop: "),
          "not one clear line: %r", out)
    return out


class Unstarted:
    """A stack's directory and settings without its processes."""

    def __init__(self, *args, **kwargs):
        self.stack = Stack(*args, **kwargs)

    def __enter__(self):
        return self.stack

    def __exit__(self, *exc):
        self.stack.kill()


def test_port_in_use():
    with Unstarted() as s, socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", s.port))
        taken.listen()
        s.redis.start()
        refuses(s, "runserver", str(s.port), "another program", "-p")


def test_redis_url_that_is_none():
    for url in ("http://127.0.0.1:6379", "redis://127.0.0.1:99999",
                "127.0.0.1:6379", "unix://"):
        with Unstarted({"redis.url": url}) as s:
            refuses(s, "runserver", "redis.url")
            refuses(s, "runworker", "redis.url")


def test_unknown_setting():
    with Unstarted({"queue.leese": "1s"}) as s:
        for command in ("runserver", "runworker"):
            refuses(s, command, "ufop.ini", "leese", "lease")


def test_bad_value_of_a_setting():
    with Unstarted({"queue.lease": "yesterday"}) as s:
        for command in ("runserver", "runworker"):
            refuses(s, command, "ufop.ini", "queue.lease", "yesterday")


def test_service_that_is_not_there():
    with Unstarted(services="images nosuch") as s:
        for command in ("runserver", "runworker"):
            refuses(s, command, "nosuch")
    with Unstarted(services="images ./nosuch.so") as s:
        refuses(s, "runworker", "nosuch.so")


def test_service_that_is_no_shared_object():
    with Unstarted(services="images ./text.so") as s:
        with open(os.path.join(s.dir, "text.so"), "w") as f:
            f.write("not an object\n")
        for command in ("runserver", "runworker"):
            refuses(s, command, "text.so")


def test_bad_route_stops_the_start():
    with Unstarted() as s:
        so = service_with_route(s.dir, r"^/x(?P<n>\d+")
        s.write_ini(s.dir, dict(s.settings, **{"ufop.services": so}))
        for command in ("runserver", "routes"):
            refuses(s, command, "evil", "offset", ("parenthes", "missing"))


def test_evil_route_holds_up_nobody():
    with Unstarted() as s:
        so = service_with_route(s.dir, r"^/((a+)+)+$")
        s.write_ini(s.dir, dict(s.settings, **{
            "ufop.services": so + " images debug"}))
        with s:
            check_eq(check_answer(s.post("q/aaaa", b"x")).text, "matched")
            began = time.monotonic()
            r = s.post("q/" + "a" * 500 + "!", b"x")
            check(r.status in (200, 400, 404), "it gets %r", r)
            check(time.monotonic() - began < 1, "the match took long")
            s.check_works()


def test_redis_that_is_not_there_yet():
    """The front tells it at once, and both parts recover by themselves."""
    with Unstarted() as s:
        s.front.start()
        s.worker.start()
        began = time.monotonic()
        r = s.get("/health")
        check(time.monotonic() - began < 3, "/health took long")
        check_error(r, 503, "redis")
        check(r.json().get("reasons"), "no reasons: %r", r)
        check_answer(s.get("/health?live"))
        began = time.monotonic()
        check_error(s.post("q/hello/bob"), 503, "redis")
        check(time.monotonic() - began < 2, "the answer took long")
        s.redis.start()
        s.wait_healthy(8)
        s.check_works()
        s.stop()


def test_redis_that_wants_a_password():
    with Unstarted(redis_options={"tcp": True, "password": "s3cret/word"}) \
            as s:
        s.redis.start()
        url = "redis://127.0.0.1:%d" % s.redis.port
        s.write_ini(s.dir, dict(s.settings, **{"redis.url": url}))
        s.front.start()
        s.worker.start()
        r = wait_until(
            lambda: (lambda a: a if "password" in a.text.lower() or
                     "auth" in a.text.lower() else None)(s.get("/health")),
            5, "/health says that a password is needed")
        check_error(r, 503)
        check_error(s.post("q/hello/bob"), 503, ("password", "auth"))
        for part in (s.front, s.worker):
            wait_until(lambda: "auth" in part.output().lower() or
                       "password" in part.output().lower(), 5,
                       "the log of the %s says so" % part.name)
            check_eq(part.terminate(), 0, "exit status of the " + part.name)
        # A wrong one is told likewise, and is not shown.
        s.write_ini(s.dir, dict(s.settings, **{
            "redis.url": "redis://:wr0ngw0rd@127.0.0.1:%d" % s.redis.port}))
        s.front.start()
        # In its first moments it can only say that Redis has not answered.
        wait_until(lambda: "password" in s.post("q/hello/bob").text.lower(),
                   5, "the front says so")
        check_error(s.post("q/hello/bob"), 503, ("password", "auth"))
        check_eq(s.front.terminate(), 0, "exit status")
        check("wr0ngw0rd" not in s.front.output(), "the log tells a password")


def test_redis_with_its_password_over_tcp():
    with Stack(redis_options={"tcp": True, "password": "s3cretword"}) as s:
        s.check_works()
        r = s.post("q/echo", bytes(200000))
        check_eq(len(check_answer(r).body), 200000)
        for part in (s.front, s.worker):
            check("s3cretword" not in part.output(), "%s logs the password",
                  part.name)


def test_redis_database_and_tag():
    with Stack() as first:
        url = first.redis.url + "?db=3"
        first.check_works()
        with Stack({"redis.url": url}, redis=first.redis, tag="other") as s:
            s.check_works()
        keys = first.redis("KEYS", "*other*")
        check_eq(keys, [], "keys of db 3 in db 0")


def test_no_worker_is_told():
    with Unstarted(workers=0) as s:
        s.redis.start()
        s.front.start()
        r = wait_until(lambda: (lambda a: a if "edis" not in a.text else None)(
            s.get("/health")), 3, "Redis is connected")
        check_error(r, 503, "worker")
        began = time.monotonic()
        r = s.post("q/hello/bob")
        check_error(r, 503, "worker")
        check(time.monotonic() - began < 3, "it took long")
        check_eq(s.queue_len(), 0, "jobs left in the queue")
        # As soon as there is one it serves.
        s.add_worker()
        s.wait_healthy()
        s.check_works()
        s.stop()


def test_settings_by_environment_and_flag():
    """The file says one body limit, the environment a second, a flag a third."""
    with Stack({"ufop.max_body": "1k"}, env={"UFOP_MAX_BODY": "2k"},
               front_args=["-s", "ufop.max_body=3k"]) as s:
        check_answer(s.post("q/echo", bytes(2500)))
        check_error(s.post("q/echo", bytes(3073)), 413, "3072")
        s.check_works()


def test_front_starts_fast():
    """Start to the first 200 with workers ready: at most 0.3 s (times two,
    for a machine that runs other tests beside)."""
    best = 99.0
    for _ in range(3):
        with Unstarted() as s:
            s.redis.start()
            began = time.monotonic()
            s.worker.start()
            harness.Process.start(s.front)

            def first_200():
                try:
                    return s.post("q/hello/bob").status == 200
                except OSError:
                    return False
            wait_until(first_200, 10, "the first 200", every_s=0.002)
            best = min(best, time.monotonic() - began)
            s.stop()
    check(best < 0.6, "it took %.2f s", best)


def test_front_and_worker_run_as_an_ordinary_user():
    if os.getuid() != 0:
        harness.skip("runs as an ordinary user anyway")
    with Unstarted(workers=1) as s:
        for path in (s.dir, s.tmp):
            os.chown(path, 65534, 65534)
        drop = ["setpriv", "--reuid=65534", "--regid=65534",
                "--clear-groups"]
        harness.need_program("setpriv")
        if not os.access(BUILD, os.X_OK) or subprocess.run(
                drop + ["test", "-x", UFOP]).returncode:
            harness.skip("another user cannot reach %s" % UFOP)
        for part in s.parts():
            part.argv = drop + part.argv
            if part.name != "redis":
                open(part.log, "w").close()
        with s:
            s.check_works()
            r = s.post("q/echo", bytes(200000))
            check_eq(len(check_answer(r).body), 200000)


def test_sigint_is_an_orderly_end_too():
    with Stack() as s:
        for part in (s.front, s.worker):
            part.signal(signal.SIGINT)
            check_eq(part.wait(), 0, "exit status of the " + part.name)

