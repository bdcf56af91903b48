#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Run the integration tests.

    run.py [--list] [--jobs N] [--seconds] [NAME ...]

A test is a function test_<what> in a file test_<area>.py beside this one and
is called <area>.<what>.  NAME selects by how the name begins, or as a shell
pattern (`faults`, `faults.crash`, `*chunked*`); without one all run.

A test that takes an argument is given the stack (Redis, front and worker) that
its file's stack() makes, shared by the file's tests and run one after the
other; one without makes its own and runs beside others.  Each has a deadline,
30 s or what @harness.deadline says.  After each stack the harness looks for
processes, files and Redis keys left over.

Prints `ok NAME`, `FAIL NAME: reason` or `skip NAME: why`, and at the end
`N passed, N failed[, N skipped]`; exit status 1 when one failed.
"""

import argparse
import fnmatch
import importlib
import inspect
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import harness  # noqa: E402

# How much longer than its deadline a test may take to clean up.
GRACE_S = 20


# ---- in the child: run the tests it was told ---------------------------


class Alarm(Exception):
    pass


def on_alarm(_signo, _frame):
    raise Alarm()


def run_one(function, args, report, name):
    began = time.monotonic()
    harness.logs_forget()
    limit = getattr(function, "deadline_s", harness.DEADLINE_S)
    report(event="start", name=name, limit=limit)
    status, reason, details = "ok", "", ""
    try:
        signal.alarm(int(limit))
        try:
            function(*args)
        finally:
            signal.alarm(0)
    except harness.Skip as e:
        status, reason = "skip", str(e)
    except Alarm as e:
        status, reason = "fail", "took longer than %d s" % limit
        details = where(e)
    except Exception as e:
        status = "fail"
        reason = str(e).strip() or type(e).__name__
        if not isinstance(e, AssertionError):
            reason = type(e).__name__ + ": " + reason
        details = where(e)
    if status == "fail":
        details += harness.logs_tail()
    report(event="end", name=name, status=status, reason=reason,
           details=details, took_s=time.monotonic() - began)
    return status != "fail"


def where(e):
    """The lines of the test file, and of what it called, that led to e."""
    frames = [f for f in traceback.extract_tb(e.__traceback__)
              if f.filename != os.path.abspath(__file__)]
    return "".join("%s:%d: %s\n" % (os.path.basename(f.filename), f.lineno,
                                    f.line) for f in frames)


def child(module_name, names, fd):
    out = os.fdopen(fd, "w", buffering=1)

    def report(**what):
        out.write(json.dumps(what) + "\n")

    signal.signal(signal.SIGALRM, on_alarm)
    # SIGTERM of a run that is broken off must unwind the `with` blocks.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    harness.become_subreaper()
    module = importlib.import_module("test_" + module_name)
    shared = None
    for name in names:
        function = getattr(module, "test_" + name)
        full = module_name + "." + name
        if not inspect.signature(function).parameters:
            run_one(function, (), report, full)
            continue

        def with_shared():
            nonlocal shared
            if shared is None:
                shared = module.stack()
                shared.start()
            harness.logs_of(shared)
            function(shared)
            shared.check_alive()

        with_shared.deadline_s = getattr(function, "deadline_s",
                                         harness.DEADLINE_S)
        if not run_one(with_shared, (), report, full) and shared is not None:
            # What a failed test leaves behind must not fail the next one.
            shared.kill()
            shared = None
    if shared is not None:
        def leaves_nothing():
            harness.logs_of(shared)
            shared.stop()
        try:
            run_one(leaves_nothing, (), report, module_name + ".leaves_nothing")
        finally:
            shared.kill()


# ---- in the parent: share out, watch over, count -----------------------


def discover():
    """[(area, [(name, is_shared, deadline)])] in the order of the files."""
    found = []
    for file in sorted(os.listdir(HERE)):
        if not (file.startswith("test_") and file.endswith(".py")):
            continue
        module = importlib.import_module(file[:-3])
        tests = []
        for name, function in vars(module).items():
            if name.startswith("test_") and inspect.isfunction(function) and \
                    function.__module__ == module.__name__:
                tests.append((name[5:],
                              bool(inspect.signature(function).parameters),
                              getattr(function, "deadline_s",
                                      harness.DEADLINE_S)))
        found.append((file[5:-3], tests))
    return found


def selected(full, patterns):
    return not patterns or any(
        full.startswith(p) or fnmatch.fnmatchcase(full, p) for p in patterns)


class Job:
    """One child process with the tests it has still to do."""

    def __init__(self, area, names):
        self.area = area
        self.todo = list(names)
        self.process = None
        self.current = None
        self.kill_at = 0.0
        self.buffer = b""

    def start(self, tmp):
        r, w = os.pipe()
        env = dict(os.environ, TMPDIR=tmp)
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--child", str(w),
             self.area] + self.todo, pass_fds=(w,), env=env,
            stdin=subprocess.DEVNULL, start_new_session=True)
        os.close(w)
        os.set_blocking(r, False)
        self.pipe = r
        self.current = None
        self.kill_at = time.monotonic() + harness.DEADLINE_S + GRACE_S


class Run:
    def __init__(self, jobs, width, show_seconds):
        self.waiting = jobs
        self.width = width
        self.show_seconds = show_seconds
        self.running = []
        self.count = {"ok": 0, "fail": 0, "skip": 0}
        self.failed = []
        self.sel = selectors.DefaultSelector()
        self.tmp = tempfile.mkdtemp(prefix="ufop-test-")
        os.chmod(self.tmp, 0o755)

    def go(self):
        try:
            while self.waiting or self.running:
                while self.waiting and len(self.running) < self.width:
                    job = self.waiting.pop(0)
                    job.start(self.tmp)
                    self.sel.register(job.pipe, selectors.EVENT_READ, job)
                    self.running.append(job)
                for key, _ in self.sel.select(timeout=0.5):
                    self.read(key.data)
                now = time.monotonic()
                for job in list(self.running):
                    if now > job.kill_at:
                        harness.kill_tree(job.process.pid)
                        self.ended(job, "hung and had to be killed")
        finally:
            for job in self.running:
                harness.kill_tree(job.process.pid)
            harness.remove_tree(self.tmp)

    def read(self, job):
        try:
            data = os.read(job.pipe, 1 << 20)
        except BlockingIOError:
            return
        if not data:
            job.process.wait()
            self.ended(job, "ended its test run with status %d" %
                       job.process.returncode)
            return
        job.buffer += data
        while b"\n" in job.buffer:
            line, job.buffer = job.buffer.split(b"\n", 1)
            what = json.loads(line)
            if what["event"] == "start":
                job.current = what["name"]
                job.kill_at = time.monotonic() + what["limit"] + GRACE_S
                continue
            job.current = None
            job.kill_at = time.monotonic() + harness.DEADLINE_S + GRACE_S
            name = what["name"].split(".", 1)[1]
            if name in job.todo:
                job.todo.remove(name)
            self.result(what["name"], what["status"], what["reason"],
                        what["details"], what["took_s"])

    def ended(self, job, why):
        self.sel.unregister(job.pipe)
        os.close(job.pipe)
        self.running.remove(job)
        if job.current is None and not job.todo:
            return
        # It died in a test: that one failed, the rest get a new process.
        name = job.current or job.area + "." + job.todo[0]
        self.result(name, "fail", why, "", 0)
        rest = [n for n in job.todo if job.area + "." + n != name]
        if rest:
            self.waiting.insert(0, Job(job.area, rest))

    def result(self, name, status, reason, details, took_s):
        self.count[status] += 1
        took = "  (%.1f s)" % took_s if self.show_seconds else ""
        reason = " ".join(reason.split())
        if status == "ok":
            print("ok %s%s" % (name, took))
        elif status == "skip":
            print("skip %s: %s" % (name, reason))
        else:
            self.failed.append((name, reason))
            print("FAIL %s: %s%s" % (name, reason, took))
            for line in details.splitlines():
                print("    " + line)
        sys.stdout.flush()


def main():
    if len(sys.argv) > 3 and sys.argv[1] == "--child":
        child(sys.argv[3], sys.argv[4:], int(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(
        description="Run the integration tests.",
        epilog="NAME is the beginning of a test's name (area.what), or a "
        "shell pattern for it.")
    parser.add_argument("names", metavar="NAME", nargs="*")
    parser.add_argument("--list", action="store_true",
                        help="print the names and end")
    parser.add_argument("--jobs", type=int, metavar="N",
                        default=len(os.sched_getaffinity(0)) + 1,
                        help="how many at once (default: cores + 1)")
    parser.add_argument("--seconds", action="store_true",
                        help="print how long each took")
    args = parser.parse_args()

    harness.become_subreaper()
    shared_jobs, own_jobs, total = [], [], 0
    for area, tests in discover():
        chosen = [t for t in tests
                  if selected(area + "." + t[0], args.names)]
        total += len(chosen)
        if args.list:
            for t in chosen:
                print(area + "." + t[0])
            continue
        together = [t[0] for t in chosen if t[1]]
        if together:
            shared_jobs.append(Job(area, together))
        # Those that may take long go first, so that none is left alone.
        own_jobs += [(t[2], Job(area, [t[0]])) for t in chosen if not t[1]]
    if args.list:
        return 0
    if not total:
        print("run.py: no test is called %s; --list shows them" %
              " or ".join(args.names))
        print("0 passed, 0 failed")
        return 2
    harness.prepare()
    own_jobs.sort(key=lambda j: -j[0])
    run = Run(shared_jobs + [j for _, j in own_jobs], max(1, args.jobs),
              args.seconds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    run.go()
    line = "%d passed, %d failed" % (run.count["ok"], run.count["fail"])
    if run.count["skip"]:
        line += ", %d skipped" % run.count["skip"]
    print(line)
    return 1 if run.count["fail"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
