# SPDX-License-Identifier: MIT
"""
Real parts for the integration tests: a private Redis, the front, workers, and
what a test needs to hurt them, to wait for them and to see that nothing of
them is left.

    with Stack(settings={"queue.max_queue": 2}) as s:
        r = s.post("q/hello/bob")
        ...

When the block ends in order, front, worker and Redis are stopped as an
operator would (SIGTERM) and the harness checks that both exited with 0 and
left no process, no file and no Redis key.  When it ends by an exception
everything is killed, and run.py shows the end of the logs.

run.py is run with BUILD in the environment naming the build directory.
"""

import contextlib
import ctypes
import fcntl
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

import httpc
import pictures
from resp import Resp, RespError

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
UFOP = os.path.join(BUILD, "ufop")
DATA = os.path.join(ROOT, "tests", "data")
FAULTS_C = os.path.join(ROOT, "tests", "integration", "faults.c")
FAULTS_SO = os.path.join(BUILD, "tests", "faults.so")

DEADLINE_S = 30         # for one test that does not say otherwise
READY_S = 10            # for a part to become ready
GONE_S = 10             # for a part to end after SIGTERM


class Skip(Exception):
    """Raised by skip(): the reason a test cannot run here."""


def skip(why):
    raise Skip(why)


def deadline(seconds):
    """Decorator: this test may take so long."""
    def set_it(function):
        function.deadline_s = seconds
        return function
    return set_it


def need_program(name):
    path = shutil.which(name)
    if path is None:
        skip("there is no %s" % name)
    return path


def wait_until(condition, within_s, what, every_s=0.01):
    """Wait for condition() to be true; its value.  what is for the error."""
    end = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("%s: not within %g s" % (what, within_s))
        time.sleep(every_s)


def check(condition, text, *args):
    if not condition:
        raise AssertionError(text % args if args else text)


def check_eq(got, want, what="value"):
    if got != want:
        raise AssertionError("%s is %.300r instead of %.300r" %
                             (what, got, want))


# ---- building what tests need ------------------------------------------


def prepare():
    """Once, before all tests: everything is built and up to date."""
    if not os.access(UFOP, os.X_OK):
        sys.exit("run.py: %s is not there; run make first" % UFOP)
    faults_so()


def cc(source, target, flags=()):
    """Build a service as its author would, unless target is newer."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        header = os.path.join(ROOT, "include", "ufop.h")
        if os.path.exists(target) and os.path.getmtime(target) > max(
                os.path.getmtime(source), os.path.getmtime(header)):
            return target
        r = subprocess.run(
            [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-g",
             "-I", os.path.join(ROOT, "include"), *flags,
             "-o", target + ".new", source],
            capture_output=True, text=True)
        if r.returncode:
            raise AssertionError("cannot build %s: %s" % (source, r.stderr))
        os.rename(target + ".new", target)
    return target


def faults_so():
    return cc(FAULTS_C, FAULTS_SO)


def data(name):
    with open(os.path.join(DATA, name), "rb") as f:
        return f.read()


def photo():
    """The smallest JPEG photograph of tests/data."""
    names = [n for n in os.listdir(DATA) if n.endswith((".jpg", ".jpeg"))]
    check(names, "there is no JPEG in %s", DATA)
    return data(min(names, key=lambda n: os.path.getsize(
        os.path.join(DATA, n))))


# ---- processes ---------------------------------------------------------


def become_subreaper():
    """Orphans of ours come to us, so that none can hide (PR 36)."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def processes():
    """{pid: (parent, state, name)} of all processes."""
    found = {}
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % pid) as f:
                text = f.read()
        except OSError:
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        rest = text[text.rindex(")") + 2:].split()
        found[int(pid)] = (int(rest[1]), rest[0], name)
    return found


def descendants(root, table=None):
    """Pids of all processes below root, nearest first; no zombies."""
    table = table or processes()
    found, todo = [], [root]
    while todo:
        parent = todo.pop(0)
        below = [p for p, (pp, _, _) in table.items() if pp == parent]
        todo += below
        found += [p for p in below if table[p][1] != "Z"]
    return found


def is_alive(pid):
    entry = processes().get(pid)
    return entry is not None and entry[1] not in "ZX"


def state_of(pid):
    entry = processes().get(pid)
    return entry[1] if entry else None


def rss_kb(pid):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def kill_quietly(pid, signo=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signo)


def kill_tree(pid):
    """Kill pid and all below it, also what forks meanwhile; reap pid."""
    for _ in range(20):
        below = descendants(pid)
        for p in below:
            kill_quietly(p)
        if not below:
            break
        time.sleep(0.01)
    kill_quietly(pid)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    reap_orphans()


def reap_orphans(keep=()):
    """Reap zombies that were reparented to this process."""
    me = os.getpid()
    for pid, (parent, state, _) in processes().items():
        if parent == me and state == "Z" and pid not in keep:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def remove_tree(path):
    shutil.rmtree(path, ignore_errors=True)


class Process:
    """A program in a session of its own with its output in a file."""

    def __init__(self, name, argv, directory, env=None):
        self.name = name
        self.argv = argv
        self.directory = directory
        self.env = env
        self.log = os.path.join(directory, name + ".log")
        self.popen = None
        self.ended = False          # by the test's will
        self.stopped = set()        # pids that a test has stopped (SIGSTOP)

    def start(self):
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory, env=self.env, start_new_session=True)
        self.ended = False
        self.stopped.clear()
        return self

    @property
    def pid(self):
        return self.popen.pid

    @property
    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def below(self):
        """Pids of its children and their children."""
        return descendants(self.pid)

    def signal(self, signo):
        os.kill(self.pid, signo)
        if signo == signal.SIGSTOP:
            self.stopped.add(self.pid)
        elif signo == signal.SIGCONT:
            self.stopped.discard(self.pid)

    def wait(self, within_s=GONE_S):
        """Its exit status, negative for a signal."""
        try:
            return self.popen.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s has not ended within %g s" %
                                 (self.name, within_s)) from None

    def terminate(self, within_s=GONE_S):
        """SIGTERM and its exit status."""
        self.ended = True
        if self.running:
            self.signal(signal.SIGTERM)
        return self.wait(within_s)

    def kill(self):
        """kill -9 of the process itself; its children are left to it."""
        self.ended = True
        if self.running:
            self.signal(signal.SIGKILL)
        self.popen.wait()

    def kill_all(self):
        """Everything at once, for the end of a failed test."""
        if self.popen is None:
            return
        # The parent first: it would start its children again.
        below = self.below() if self.running else []
        if self.running:
            kill_quietly(self.pid)
        for pid in below:
            kill_quietly(pid)
        self.popen.wait()

    def output(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""


PORTS = random.SystemRandom()


def free_port():
    """A loopback port nobody has, outside the range for outgoing ones."""
    while True:
        port = PORTS.randrange(10000, 30000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port


class Redis(Process):
    """A private redis-server on a unix socket, or on a port with tcp=True."""

    def __init__(self, directory, tcp=False, password=None, extra=(),
                 keep=False):
        self.path = os.path.join(directory, "redis.sock")
        self.port = free_port() if tcp else 0
        self.password = password
        argv = ["redis-server", "--bind", "127.0.0.1", "--port",
                str(self.port), "--unixsocket", self.path, "--save", "",
                "--appendonly", "yes" if keep else "no",
                "--appendfsync", "always" if keep else "no",
                "--dir", directory, "--maxmemory-policy", "noeviction"]
        if password:
            argv += ["--requirepass", password]
        super().__init__("redis", argv + list(extra), directory)
        self.client = None

    @property
    def url(self):
        word = ":%s@" % self.password if self.password else ""
        if self.port:
            return "redis://%s127.0.0.1:%d" % (word, self.port)
        return "unix://%s%s" % (word, self.path)

    def start(self):
        super().start()

        def answers():
            check(self.running, "redis-server ended: %s", self.output())
            try:
                return self("PING") == b"PONG"
            except (OSError, RespError):
                self.client = None
                return False
        wait_until(answers, READY_S, "Redis answers")
        return self

    def __call__(self, *args):
        """One command, on a connection that is kept."""
        if self.client is None:
            self.client = Resp(self.path)
            if self.password:
                self.client("AUTH", self.password)
        try:
            return self.client(*args)
        except OSError:
            self.client.close()
            self.client = None
            raise

    def kill(self):
        super().kill()
        if self.client is not None:
            self.client.close()
            self.client = None

    def stop(self):
        if self.client is not None:
            self.client.close()
            self.client = None
        if self.running:
            self.terminate()


class Front(Process):
    """`ufop runserver`; its process becomes Kore."""

    def __init__(self, directory, port, env, argv=()):
        super().__init__("front", [UFOP, "runserver", "-C", directory, *argv],
                         directory, env)
        self.port = port

    def start(self):
        super().start()
        wait_until(self.is_up, READY_S, "the front listens")
        return self

    def is_up(self):
        check(self.running, "the front ended with %s:\n%s",
              self.popen.poll(), self.output()[-2000:])
        try:
            with httpc.Conn(self.port, timeout_s=2) as c:
                return c.request("GET", "/health?live").status == 200
        except (OSError, httpc.HttpError):
            return False

    def kore_workers(self):
        """Pids of the processes that serve requests."""
        listening = []
        for pid in self.below():
            with open("/proc/%d/comm" % pid) as f:
                name = f.read().strip()
            if "key" not in name and "acme" not in name:
                listening.append(pid)
        return listening


class Worker(Process):
    """`ufop runworker`."""

    def __init__(self, directory, env, number=1, argv=()):
        name = "worker" if number == 1 else "worker%d" % number
        super().__init__(name, [UFOP, "runworker", "-C", directory, *argv],
                         directory, env)

    def children(self):
        """Pids of its direct children."""
        return [p for p, (parent, state, _) in processes().items()
                if parent == self.pid and state != "Z"]


# ---- the logs of the running test, for run.py --------------------------


SEEN = []


def logs_forget():
    SEEN.clear()


def logs_of(stack):
    if stack not in SEEN:
        SEEN.append(stack)


def logs_tail(lines=25):
    out = []
    for stack in SEEN:
        for part in stack.parts():
            text = stack.saved.get(part.name, part.output()).splitlines()
            if text and part.name != "redis":
                out.append("---- %s" % part.name)
                out += [line[:400] for line in text[-lines:]]
    return "\n".join(out)


# ---- all together ------------------------------------------------------


class Stack:
    """
    Redis, one front and some workers with one set of settings.

    settings are names as "section.name" and values; what a test needs to know
    (port, spool, Redis) is set here.  services is the list of services;
    "faults" stands for the misbehaving one.  With redis=other.redis two stacks
    share one Redis.
    """

    def __init__(self, settings=None, services="images debug", workers=1,
                 redis=None, tag="ufop", redis_options=None, env=None,
                 front_args=(), worker_args=()):
        self.dir = tempfile.mkdtemp(prefix="stack-")
        os.chmod(self.dir, 0o755)
        self.tag = "{%s}" % tag
        self.services = services.split()
        self.spool = os.path.join(self.dir, "spool")
        self.tmp = os.path.join(self.dir, "tmp")
        os.mkdir(self.tmp)
        os.chmod(self.tmp, 0o1777)
        self.port = free_port()
        self.owns_redis = redis is None
        # Another stack's keys are looked at when that one ends.
        self.shares_keys = redis is not None and tag == "ufop"
        self.redis = redis or Redis(self.dir, **(redis_options or {}))
        self.settings = {
            "ufop.services": " ".join(
                FAULTS_SO if w == "faults" else w for w in self.services),
            "front.listen": "127.0.0.1:%d" % self.port,
            "redis.url": self.redis.url,
            "spool.dir": self.spool,
        }
        if tag != "ufop":
            self.settings["redis.tag"] = tag
        if "faults" in self.services:
            # Some of its tasks belong to the pool net.
            self.settings["worker.pools"] = "cpu=2 net=1"
        self.settings.update(settings or {})
        self.write_ini(self.dir, self.settings)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("UFOP_") and
                    k not in ("CPU_COUNT", "FLAVOR", "PORT_HTTP")}
        self.env.update(TMPDIR=self.tmp, **(env or {}))
        self.front = Front(self.dir, self.port, self.env, front_args)
        self.workers = [Worker(self.dir, self.env, i + 1, worker_args)
                        for i in range(workers)]
        self.saved = {}             # logs of parts whose directory is gone
        self.spools = [self.spool]
        SEEN.append(self)

    @staticmethod
    def write_ini(directory, settings):
        sections = {}
        for name, value in settings.items():
            section, _, key = name.partition(".")
            sections.setdefault(section, []).append("%s = %s" % (key, value))
        with open(os.path.join(directory, "ufop.ini"), "w") as f:
            for section, lines in sections.items():
                f.write("[%s]\n%s\n" % (section, "\n".join(lines)))

    @property
    def worker(self):
        return self.workers[0]

    def parts(self):
        return [self.front] + self.workers + \
            ([self.redis] if self.owns_redis else [])

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
        finally:
            self.kill()

    def start(self):
        if self.owns_redis:
            self.redis.start()
        for w in self.workers:
            w.start()
        self.front.start()
        if self.workers or not self.owns_redis:
            self.wait_healthy()
        return self

    def wait_healthy(self, within_s=READY_S):
        def healthy():
            for part in self.parts():
                if part.popen is not None and not part.ended:
                    check(part.running, "%s ended with %s:\n%s", part.name,
                          part.popen.returncode, part.output()[-2000:])
            try:
                return self.get("/health").status == 200
            except (OSError, httpc.HttpError):
                return False
        wait_until(healthy, within_s, "/health answers 200")

    def check_alive(self):
        """No part has died (for a test that hurt none of them)."""
        for part in self.parts():
            if part.popen is not None:
                check(part.running, "%s has died (%s):\n%s", part.name,
                      part.popen.returncode, part.output()[-2000:])

    def add_worker(self, settings=None):
        """One more worker, with other settings than the rest if given."""
        directory = self.dir
        if settings:
            directory = os.path.join(self.dir, "w%d" % (len(self.workers) + 1))
            os.mkdir(directory)
            self.write_ini(directory, dict(self.settings, **settings))
            if "spool.dir" in settings:
                self.spools.append(settings["spool.dir"])
        worker = Worker(directory, self.env, len(self.workers) + 1)
        self.workers.append(worker)
        return worker.start()

    # ---- requests

    def conn(self, timeout_s=20):
        return httpc.Conn(self.port, timeout_s=timeout_s)

    def request(self, method, target, body=None, headers=(), timeout_s=20):
        with self.conn(timeout_s) as c:
            return c.request(method, target, body, headers)

    def get(self, target, headers=()):
        return self.request("GET", target, headers=headers)

    def post(self, cmd, body=b"", url=None, headers=(), timeout_s=20):
        """POST /handler with a cmd that is still to be percent-encoded."""
        return self.request("POST", httpc.cmd_target(cmd, url), body, headers,
                            timeout_s)

    def in_background(self, function, *args):
        return Background(function, *args)

    def post_in_background(self, cmd, body=b"", **kwargs):
        return Background(lambda: self.post(cmd, body, **kwargs))

    def child_pid(self):
        """The child that has just run a job; the next one too if pools are
        of one child each (service faults)."""
        return int(check_answer(self.post("q/pid"), 200).text)

    def check_works(self):
        """The next request is served: the end of every test of a fault."""
        if "debug" in self.services:
            r = self.post("q/hello/bob")
            good = r.status == 200 and r.text == "hello bob"
        else:
            r = self.post("q/imageInfo", pictures.png_flat(3, 2, (9, 9, 9)))
            good = r.status == 200 and r.json()["width"] == 3
        check(good, "the next request gets %r", r)

    # ---- looking into Redis

    def key(self, *names):
        return ":".join((self.tag,) + names)

    def queue_len(self, pool="cpu"):
        return self.redis("LLEN", self.key("q", pool))

    def running_len(self):
        """How many entries the workers hold."""
        return sum(self.redis("LLEN", k) for k in self.redis(
            "KEYS", self.key("run", "*").replace("{", "\\{")) or [])

    def dead(self):
        """Entries of the dead stream: dicts of text (entry left as bytes)."""
        found = []
        for _, flat in self.redis("XRANGE", self.key("dead"), "-", "+") or []:
            entry = {}
            for name, value in zip(flat[::2], flat[1::2]):
                name = name.decode()
                entry[name] = value if name == "entry" else \
                    value.decode("utf-8", "replace")
            found.append(entry)
        return found

    def stat(self, name):
        return int(self.redis("HGET", self.key("stat"), name) or 0)

    def spool_files(self):
        """Names in the spool, but for the workers' own directories."""
        found = []
        for spool in self.spools:
            if os.path.isdir(spool):
                found += sorted(n for n in os.listdir(spool)
                                if not n.startswith("w-"))
        return found

    def spool_bytes(self):
        """
        Bytes in the files of the spool, also of those that have no name (yet):
        they are what the processes hold open there.
        """
        seen, total = set(), 0
        paths = [os.path.join(spool, name) for spool in self.spools
                 if os.path.isdir(spool) for name in os.listdir(spool)]
        for part in [self.front] + self.workers:
            if part.running:
                for pid in [part.pid] + part.below():
                    fds = "/proc/%d/fd" % pid
                    with contextlib.suppress(OSError):
                        paths += [os.path.join(fds, fd)
                                  for fd in os.listdir(fds)]
        for path in paths:
            with contextlib.suppress(OSError):
                if path.startswith("/proc/") and not \
                        os.readlink(path).startswith(tuple(self.spools)):
                    continue
                st = os.stat(path)
                if stat.S_ISREG(st.st_mode) and \
                        (st.st_dev, st.st_ino) not in seen:
                    seen.add((st.st_dev, st.st_ino))
                    total += st.st_size
        return total

    # ---- the end

    def stop(self, keys_left=(), tolerate=()):
        """
        End everything in order and look for leftovers.  keys_left are regular
        expressions (behind the tag) of keys that may remain; tolerate names
        parts ("front", "worker2") that need not have ended with 0.
        """
        problems = []
        try:
            # What a client has just been answered may still be settling.
            self.settle(problems)
            for part in [self.front] + self.workers:
                if part.popen is None:
                    continue
                was_running = part.running
                for pid in list(part.stopped):
                    kill_quietly(pid, signal.SIGCONT)
                status = part.terminate()
                if status != 0 and was_running and part.name not in tolerate:
                    problems.append("%s ended with status %d" %
                                    (part.name, status))
            self.find_processes(problems)
            self.find_keys(problems, keys_left)
            self.find_files(problems)
            self.find_words(problems)
        finally:
            if self.owns_redis:
                self.redis.stop()
            self.kill()
        check(not problems, "; ".join(problems))

    def settle(self, problems):
        """Wait until no request is in flight in front or worker."""
        if not (self.front.running and self.redis.running):
            return
        try:
            wait_until(lambda: self.running_len() == 0, 5,
                       "all jobs are settled")
        except AssertionError as e:
            problems.append(str(e))

    def find_processes(self, problems):
        keep = [p.pid for p in self.parts() if p.popen is not None]
        if not self.owns_redis and self.redis.popen is not None:
            keep.append(self.redis.pid)
        mine = set()

        def none_left():
            reap_orphans(keep)
            mine.clear()
            for pid in descendants(os.getpid()):
                if pid not in keep and self.is_of_stack(pid):
                    mine.add(pid)
            return not mine
        try:
            wait_until(none_left, 3, "no process is left")
        except AssertionError:
            table = processes()
            problems.append("left running: " + ", ".join(
                "%d %s" % (p, table.get(p, ("", "", "gone"))[2])
                for p in sorted(mine)))
            for pid in mine:
                kill_quietly(pid)

    def is_of_stack(self, pid):
        """Ours by its directory or, where that is another, its environment."""
        try:
            # Kore writes its title over the environment.
            if os.readlink("/proc/%d/cwd" % pid).startswith(self.dir):
                return True
            with open("/proc/%d/environ" % pid, "rb") as f:
                return ("TMPDIR=" + self.tmp).encode() in f.read().split(b"\0")
        except PermissionError:
            # Another user's: whoever it is, no stack of this test has it.
            return not any(pid in part.below() for stack in SEEN
                           for part in stack.parts() if part.running)
        except OSError:
            return False

    def find_keys(self, problems, keys_left):
        if not self.redis.running or self.shares_keys:
            return
        allowed = ["stat", "dead"] + list(keys_left)
        left = []
        for key in self.redis("KEYS", "*"):
            name = key.decode("utf-8", "replace")
            if not name.startswith(self.tag + ":"):
                # Of another stack on this Redis, which has looked already.
                if self.owns_redis and not re.fullmatch(
                        r"\{\w+\}:(stat|dead)", name):
                    left.append(name)
                continue
            short = name[len(self.tag) + 1:]
            if not any(re.fullmatch(p, short) for p in allowed):
                left.append(name)
        if left:
            problems.append("left in Redis: " + ", ".join(sorted(left)))

    def find_files(self, problems):
        for spool in self.spools:
            left = os.listdir(spool) if os.path.isdir(spool) else []
            if left:
                problems.append("left in the spool: " + ", ".join(left[:10]))
        left = os.listdir(self.tmp)
        if left:
            problems.append("left in TMPDIR: " + ", ".join(left[:10]))

    def find_words(self, problems):
        """Signs of broken memory or promises in the logs."""
        for part in [self.front] + self.workers:
            for line in part.output().splitlines():
                if re.search(r"(ERROR|SUMMARY): \w*Sanitizer|"
                             r"runtime error: |Assertion .*"
                             r"failed|stack smashing|double free|"
                             r"seccomp violation", line):
                    problems.append("%s says: %s" % (part.name, line))
                    break

    def kill(self):
        """Whatever is still there goes, and so does the directory."""
        for part in self.parts():
            for pid in list(part.stopped):
                kill_quietly(pid, signal.SIGCONT)
            part.stopped.clear()
            part.kill_all()
            if part.popen is not None:
                self.saved.setdefault(part.name, part.output())
        for pid in descendants(os.getpid()):
            if self.is_of_stack(pid) and \
                    pid not in [p.pid for p in self.others()]:
                kill_quietly(pid)
        reap_orphans()
        remove_tree(self.dir)

    def others(self):
        return [] if self.owns_redis or self.redis.popen is None \
            else [self.redis]


class Background:
    """A call in a thread; result() waits for it and passes on its error."""

    def __init__(self, function, *args):
        self.value = None
        self.error = None
        self.began = time.monotonic()
        self.took_s = None
        self.thread = threading.Thread(target=self._run,
                                       args=(function, args), daemon=True)
        self.thread.start()

    def _run(self, function, args):
        try:
            self.value = function(*args)
        except BaseException as e:      # passed on by result()
            self.error = e
        self.took_s = time.monotonic() - self.began

    @property
    def done(self):
        return not self.thread.is_alive()

    def result(self, within_s=25):
        self.thread.join(within_s)
        check(self.done, "no result within %g s", within_s)
        if self.error is not None:
            raise self.error
        return self.value


# ---- what every answer has to be ---------------------------------------


def check_answer(r, status=200, kind=None):
    check(r.status == status, "status is %d instead of %d: %r",
          r.status, status, r)
    check(r.header("x-reqid"), "the answer has no X-Reqid: %r", r.headers)
    if kind is not None:
        check_eq(r.type, kind, "Content-Type")
    return r


def check_error(r, status, *words):
    """
    The one shape of every error, with a sentence in which each of words (any
    of them when it is a tuple) occurs, whatever its case.  The sentence.
    """
    check_answer(r, status, "application/json")
    what = r.json()
    check_eq(sorted(k for k in what if k != "reasons"), ["code", "error"],
             "keys of the error")
    check_eq(what["code"], status, "code in the body")
    sentence = what["error"]
    check(isinstance(sentence, str) and len(sentence) >= 8 and
          "\n" not in sentence, "error is not a sentence: %r", sentence)
    for word in words:
        any_of = word if isinstance(word, tuple) else (word,)
        check(any(w.lower() in sentence.lower() for w in any_of),
              "the error does not say %s: %r", " or ".join(any_of), sentence)
    check_eq(r.header("cache-control"), "no-store", "Cache-Control")
    if status in (429, 503):
        check((r.header("retry-after") or "").isdigit(),
              "%d has no Retry-After: %r", status, r.headers)
    return sentence
