# SPDX-License-Identifier: MIT
"""
The author's way: examples/hello is copied out of the tree, built against
ufop.h and run with -A by process, runserver, runworker and up.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile

import httpc
from harness import ROOT, UFOP, Process, Stack, check, check_answer, \
    check_eq, check_error, free_port, remove_tree, wait_until

HELLO = os.path.join(ROOT, "examples", "hello")


class Project:
    """A copy of the example in a directory of its own, built by its make."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="project-")
        os.chmod(self.dir, 0o755)
        for name in ("app.c", "Makefile", "ufop.ini"):
            shutil.copy(os.path.join(HELLO, name), self.dir)
        shutil.copytree(os.path.join(HELLO, "tests"),
                        os.path.join(self.dir, "tests"))
        r = self.run("make", "UFOP=" + UFOP)
        check(r.returncode == 0, "make: %s%s", r.stdout, r.stderr)
        check(os.path.exists(self.so), "make has built no app.so")
        return self

    def __exit__(self, *exc):
        remove_tree(self.dir)

    @property
    def so(self):
        return os.path.join(self.dir, "app.so")

    def run(self, *argv, stdin=None, env=None, cwd=None):
        return subprocess.run(argv, cwd=cwd or self.dir, input=stdin,
                              capture_output=True, text=True, timeout=25,
                              env=dict(os.environ, **(env or {})))


def test_its_own_test_passes():
    with Project() as p:
        r = p.run("make", "test", "UFOP=" + UFOP)
        check(r.returncode == 0, "make test: %s%s", r.stdout, r.stderr)
        check("9 passed, 0 failed" in r.stdout, "make test says %r", r.stdout)


def test_its_makefile_is_that_of_a_new_project():
    with open(os.path.join(ROOT, "scripts", "templates", "project",
                           "Makefile")) as f:
        want = f.read().replace("@UFOP@", "$(abspath ../../build/ufop)")
    with open(os.path.join(HELLO, "Makefile")) as f:
        check_eq(f.read(), want, "examples/hello/Makefile")


def test_process_takes_a_service_by_path():
    with Project() as p:
        elsewhere = tempfile.mkdtemp()
        try:
            for so, cwd in (("./app.so", None), (p.so, elsewhere)):
                r = p.run(UFOP, "process", "-A", so, "hello/bob", "-",
                          stdin="", cwd=cwd)
                check_eq((r.returncode, r.stdout), (0, "hello bob"),
                         "-A %s: %s" % (so, r.stderr))
            r = p.run(UFOP, "process", "-A", p.so, "count", "-",
                      stdin="one\ntwo\n", cwd=elsewhere)
            check_eq(json.loads(r.stdout), {"bytes": 8, "lines": 2},
                     "what count says")
        finally:
            remove_tree(elsewhere)


def test_runserver_and_runworker_take_it_by_path():
    with Project() as p:
        args = ["-A", p.so]
        with Stack(services="images debug", front_args=args,
                   worker_args=args) as s:
            check_eq(check_answer(s.post("q/half/42")).text, "21")
            check_error(s.post("q/half/41"), 400, "has no half")
            check_error(s.post("q/half/2000"), 400, "n", "1000")
            r = check_answer(s.post("q/count", b"one\ntwo\n"))
            check_eq(r.json(), {"bytes": 8, "lines": 2})
            check_eq(check_answer(s.post("q/flaky")).text,
                     "done at attempt 2")
            r = check_answer(s.post("q/hello/bob|count"))
            check_eq(r.json(), {"bytes": 9, "lines": 0})
            s.check_works()


def test_path_in_the_settings_is_of_the_project():
    """./app.so in ufop.ini is looked for beside it, not in the current one."""
    with Project() as p:
        with Stack(services="images") as s:
            shutil.copy(p.so, s.dir)
            check_eq(s.front.terminate(), 0, "exit status of the front")
            check_eq(s.worker.terminate(), 0, "exit status of the worker")
            s.write_ini(s.dir, dict(s.settings, **{
                "ufop.services": "./app.so images"}))
            for part in (s.worker, s.front):
                part.directory = "/"
                part.start()
            s.wait_healthy()
            check_eq(check_answer(s.post("q/half/42")).text, "21")


def test_up_serves_it():
    with Project() as p:
        port = free_port()
        env = {k: v for k, v in os.environ.items()
               if not k.startswith("UFOP_")}
        up = Process("up", [UFOP, "up", "-p", str(port), "-A", p.so], p.dir,
                     env)
        up.start()
        try:
            def answer():
                check(up.running, "ufop up ended: %s", up.output())
                try:
                    with httpc.Conn(port, timeout_s=5) as c:
                        return c.request("POST", "/handler?cmd=q/half/42", b"")
                except OSError:
                    return None
            r = wait_until(lambda: (lambda a: a if a and a.status == 200
                                    else None)(answer()), 15,
                           "ufop up serves")
            check_eq(r.text, "21")
            up.signal(signal.SIGTERM)
            check_eq(up.wait(15), 0, "exit status of ufop up")
        finally:
            up.kill_all()


def test_changed_abi_is_refused():
    with Project() as p:
        with open(os.path.join(p.dir, "app.c")) as f:
            text = f.read().replace("#include <ufop.h>", "#include <ufop.h>\n"
                                    "#undef UFOP_ABI\n#define UFOP_ABI 9999")
        with open(os.path.join(p.dir, "app.c"), "w") as f:
            f.write(text)
        os.unlink(p.so)
        r = p.run("make", "UFOP=" + UFOP)
        check_eq(r.returncode, 0, r.stderr)
        r = p.run(UFOP, "process", "-A", p.so, "hello", "-", stdin="")
        check(r.returncode != 0 and "9999" in r.stderr,
              "status %d, %r", r.returncode, r.stderr)
