# SPDX-License-Identifier: MIT
"""
Listening sockets that are handed over to the front (LISTEN_FDS): fronts come
and go on one socket, and who connects does not notice.
"""

import contextlib
import os
import socket
import subprocess
import threading

import httpc
from harness import UFOP, Front, Stack, check, check_answer, check_eq, \
    deadline, need_program, wait_until

# Takes LISTEN_PID's value from the shell that it becomes the front from.
SHELL = 'export LISTEN_PID=${LISTEN_PID:-$$} LISTEN_FDS=1; exec "$@"'


class HandedOver(Front):
    """A front that gets fd as its descriptor 3."""

    def __init__(self, stack, fd, name):
        super().__init__(stack.dir, stack.port, stack.env)
        self.log = os.path.join(stack.dir, name + ".log")
        self.argv = ["sh", "-c", SHELL, "sh"] + self.argv
        self.fd = fd

    def start(self):
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory, env=self.env, start_new_session=True,
                preexec_fn=lambda: os.dup2(self.fd, 3), pass_fds=(3,))
        wait_until(lambda: "redis.ready conn=replies" in self.output(), 10,
                   "the front is connected")
        return self


def listening(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.listen(512)
    return s


class Callers:
    """Threads that ask again and again, some of them after a moment."""

    def __init__(self, port, n=4):
        self.port = port
        self.wrong = []
        self.right = 0
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.call, args=(i % 2,))
                        for i in range(n)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for t in self.threads:
            t.join(20)

    def call(self, hesitates):
        while not self.ended.is_set():
            try:
                with httpc.Conn(self.port, timeout_s=10) as c:
                    if hesitates:
                        self.ended.wait(0.05)
                    r = c.request("POST", "/handler?cmd=q/hello/bob", b"")
                if (r.status, r.text) == (200, "hello bob"):
                    self.right += 1
                else:
                    self.wrong.append((r.status, r.text))
            except (OSError, httpc.HttpError) as e:
                self.wrong.append((0, repr(e)))


def replaced_under_load(settings):
    with Stack(settings) as s:
        s.front.terminate()
        with listening(s.port) as shared, contextlib.ExitStack() as fronts:
            front = HandedOver(s, shared.fileno(), "front-0")
            fronts.callback(front.kill_all)
            front.start()
            with Callers(s.port) as callers:
                for i in range(1, 5):
                    wait_until(lambda: callers.right > 50 * i, 20, "answers")
                    old = front
                    front = HandedOver(s, shared.fileno(), "front-%d" % i)
                    fronts.callback(front.kill_all)
                    front.start()
                    check_eq(old.terminate(), 0, "exit status")
                    right = callers.right
                    wait_until(lambda: callers.right > right + 20, 10,
                               "the new one answers")
            check_eq(callers.wrong[:3], [], "answers beside %d right ones" %
                     callers.right)
            check_eq(front.terminate(), 0, "exit status")
        s.front.start()


@deadline(90)
def test_front_is_replaced_and_nobody_notices():
    replaced_under_load({})


@deadline(90)
def test_front_of_two_processes_is_replaced_and_nobody_notices():
    replaced_under_load({"front.workers": 2})


@deadline(60)
def test_who_connects_while_no_front_is_there_waits():
    with Stack() as s:
        s.front.terminate()
        with listening(s.port) as shared, contextlib.ExitStack() as fronts:
            front = HandedOver(s, shared.fileno(), "front-0").start()
            check_eq(front.terminate(), 0, "exit status")
            got = []
            caller = threading.Thread(target=lambda: got.append(
                s.post("q/hello/bob")))
            caller.start()
            front = HandedOver(s, shared.fileno(), "front-1")
            fronts.callback(front.kill_all)
            front.start()
            caller.join(20)
            check_eq(check_answer(got[0]).text, "hello bob")
            check_eq(front.terminate(), 0, "exit status")
        s.front.start()


@deadline(60)
def test_systemd_hands_a_socket_over():
    program = need_program("systemd-socket-activate")
    with Stack() as s:
        s.front.terminate()
        front = Front(s.dir, s.port, s.env)
        front.argv = [program, "-l", "127.0.0.1:%d" % s.port] + front.argv
        front.env = dict(s.env, PATH=os.environ["PATH"])
        try:
            # It starts the front when somebody connects: start() does.
            front.start()
            check_eq(check_answer(s.post("q/hello/bob")).text, "hello bob")
            check("Execing" in front.output(), "%s", front.output())
            check_eq(front.terminate(), 0, "exit status")
        finally:
            front.kill_all()
        s.front.start()


def refused(stack, fd, pid=""):
    r = subprocess.run(
        ["sh", "-c", SHELL, "sh", UFOP, "runserver", "-C", stack.dir],
        env=dict(stack.env, **({"LISTEN_PID": pid} if pid else {})),
        preexec_fn=lambda: os.dup2(fd, 3), pass_fds=(3,), timeout=20,
        stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return r.returncode, r.stderr


def test_what_is_no_listening_socket_is_told():
    with Stack() as s, socket.socket() as idle, \
            socket.socket(type=socket.SOCK_DGRAM) as datagrams, \
            open("/dev/null") as null:
        for fd in (idle, datagrams, null):
            status, words = refused(s, fd.fileno())
            check_eq(status, 78, words)
            check("descriptor 3" in words and "ListenStream=" in words, "%s",
                  words)
        # Meant for another process: it would listen by itself.
        status, words = refused(s, null.fileno(), pid="1")
        check_eq(status, 69, words)
        check("another program" in words, "%s", words)


@deadline(60)
def test_front_that_is_told_to_stop_at_its_start_ends():
    """Its processes may not have begun to listen for signals."""
    with Stack({"front.workers": 2}) as s:
        s.front.terminate()
        for i in range(30):
            front = Front(s.dir, s.port, s.env).start()
            try:
                check_eq(front.terminate(), 0, "exit status, try %d" % i)
            finally:
                front.kill_all()
        s.front.start()
