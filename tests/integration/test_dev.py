# SPDX-License-Identifier: MIT
"""ufop dev: what changes is swapped in, and nobody notices but for the better."""

import os
import re
import shutil
import signal
import socket
import threading

import httpc
from harness import UFOP, Process, check, check_answer, check_eq, deadline, \
    free_port, skip, wait_until
from test_project import ENV, Project


class Dev(Project):
    """A new project, built and served by ufop dev."""

    def __init__(self, *args, change=None):
        super().__init__()
        if change is not None:
            change(self)
        self.port = free_port()
        self.part = Process("dev", [UFOP, "dev", "-p", str(self.port), *args],
                            self.dir, ENV)

    def __enter__(self):
        self.part.start()
        self.wait_for("ufop is ready on http://127.0.0.1:%d" % self.port)
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                below = self.part.below()
                self.part.signal(signal.SIGINT)
                check_eq(self.part.wait(20), 0, "exit status")
                left = [p for p in below if os.path.exists("/proc/%d" % p)]
                check_eq(left, [], "processes left")
        finally:
            self.part.kill_all()
            super().__exit__()

    def wait_for(self, words, times=1):
        def said():
            check(self.part.running, "it ended: %s", self.part.output())
            return self.part.output().count(words) >= times
        wait_until(said, 20, "it says %r; it said %s" % (
            words, self.part.output()[-2000:]))

    def port_is_free(self):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", self.port))
            except OSError:
                return False
        return True

    def swaps(self):
        return self.part.output().count("the new handlers are in")

    def edit(self, old, new, name="app.c"):
        text = self.read(name)
        check(old in text, "%r is not in %s", old, name)
        self.write(name, text.replace(old, new))

    def swap(self, old, new, name="app.c"):
        before = self.swaps()
        self.edit(old, new, name)
        self.wait_for("the new handlers are in", before + 1)

    def post(self, cmd, body=b"", timeout_s=20):
        with httpc.Conn(self.port, timeout_s=timeout_s) as c:
            return c.request("POST", "/handler?cmd=q/" + cmd, body)


@deadline(90)
def test_changed_handler_answers_anew():
    with Dev() as d:
        check_eq(check_answer(d.post("hello/bob")).text, "hello bob")
        d.swap("hello %s", "howdy %s")
        check_eq(check_answer(d.post("hello/bob")).text, "howdy bob")
        for pid in d.part.below():
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                words = f.read().split(b"\0")
            check(not any(b"redis.url" in w for w in words),
                  "a url that may hold a password is in %r", words)
        # A route is the front's matter.
        d.swap('"^/echo$"', '"^/repeat$"')
        check_eq(check_answer(d.post("repeat", b"abc")).text, "abc")
        check_eq(d.post("echo", b"abc").status, 404)


@deadline(90)
def test_changed_header_and_shared_code_come_in():
    def share(p):
        p.share("hello", "world")
    with Dev(change=share) as d:
        check_eq(check_answer(d.post("hello")).text, "hello world")
        d.swap('"hello"', '"howdy"', "lib/words.h")
        check_eq(check_answer(d.post("hello")).text, "howdy world")
        d.swap('"world"', '"moon"', "lib/words.c")
        check_eq(check_answer(d.post("hello")).text, "howdy moon")


@deadline(90)
def test_what_does_not_compile_is_shown_and_the_old_goes_on():
    with Dev() as d:
        d.edit("UFOP_SERVICE(app, tasks);", "UFOP_SERVICE(app, nothing);")
        d.wait_for("the build failed; the handlers from before go on")
        check(re.search(r"app\.c:\d+:\d+: error: .*nothing",
                        d.part.output()), "%s", d.part.output())
        check_eq(check_answer(d.post("hello/bob")).text, "hello bob")
        d.swap("UFOP_SERVICE(app, nothing);", "UFOP_SERVICE(app, tasks);")


@deadline(90)
def test_what_cannot_be_loaded_is_shown_and_the_old_goes_on():
    with Dev() as d:
        d.edit('"^/echo$"', '"^(/echo$"')
        d.wait_for("that cannot be loaded; the handlers from before go on")
        check("bad route" in d.part.output(), "%s", d.part.output())
        check_eq(check_answer(d.post("echo", b"abc")).text, "abc")
        d.edit("services = ./app.so", "servces = ./app.so", "ufop.ini")
        d.wait_for("that cannot be loaded", 2)
        check("servces" in d.part.output(), "%s", d.part.output())
        check_eq(check_answer(d.post("echo", b"abc")).text, "abc")


@deadline(90)
def test_added_service_and_setting_come_in():
    with Dev() as d:
        d.ok(UFOP, "makeservice", "stamp")
        wait_until(lambda: d.post("stamp/now").status == 200, 20,
                   "the new service answers")
        # What answers may be in before that is said: no counting of swaps.
        check_eq(d.post("echo", b"x" * 2000).status, 200)
        with open(os.path.join(d.dir, "local.ini"), "w") as f:
            f.write("[ufop]\nmax_body = 1k\n"
                    # This one is settled at the start.
                    "[redis]\nurl = redis://127.0.0.1:1/0\n")
        wait_until(lambda: d.post("echo", b"x" * 2000).status == 413, 20,
                   "the new setting is in")


@deadline(120)
def test_no_request_is_dropped_while_handlers_are_swapped():
    with Dev() as d:
        answers, stop = [], threading.Event()

        def client():
            while not stop.is_set():
                try:
                    r = d.post("hello/bob")
                    answers.append((r.status, r.text))
                except (OSError, httpc.HttpError) as e:
                    answers.append((0, repr(e)))

        clients = [threading.Thread(target=client) for _ in range(4)]
        for c in clients:
            c.start()
        try:
            word = "hello"
            for i in range(5):
                before = len(answers)
                d.swap(word + " %s", "hello%d %%s" % i)
                word = "hello%d" % i
                wait_until(lambda: (200, word + " bob") in answers[before:],
                           10, "the new one answers")
        finally:
            stop.set()
            for c in clients:
                c.join(20)
        wrong = [a for a in answers if a[0] != 200]
        check_eq(wrong[:5], [], "answers (%d in all)" % len(answers))
        check(len(answers) > 50, "only %d answers", len(answers))


@deadline(120)
def test_running_job_is_finished_by_the_old_handler():
    # Without the sandbox the handler sees a file that says when to go on.
    with Dev("-s", "worker.sandbox=off") as d:
        go = d.path("go")
        d.swap("#include <string.h>", "#include <string.h>\n"
               "#include <unistd.h>")
        d.swap('return (ufop_reply_textf(reply, "hello %s",',
               'if (ufop_arg(job, "name", NULL) != NULL) {\n'
               '\t\tufop_log(job, "has begun");\n'
               '\t\twhile (access("' + go + '", F_OK) == -1)\n'
               '\t\t\tusleep(10000);\n\t}\n'
               '\treturn (ufop_reply_textf(reply, "hello %s",')
        got = []
        slow = threading.Thread(target=lambda: got.append(
            d.post("hello/slow")))
        slow.start()
        d.wait_for("has begun")
        d.swap("hello %s", "howdy %s")
        check_eq(check_answer(d.post("hello")).text, "howdy world")
        check_eq(got, [], "answers before the job may go on")
        with open(go, "w"):
            pass
        slow.join(20)
        check_eq(got[0].text, "hello slow", "the job from before")


@deadline(60)
def test_change_that_changes_nothing_swaps_nothing():
    with Dev() as d:
        d.write("unused.h", "/* nothing includes this */\n")
        d.wait_for("nothing new")
        check_eq(d.swaps(), 0, "swaps")


@deadline(60)
def test_first_build_must_succeed():
    with Project() as p:
        p.write("app.c", "broken")
        r = p.run(UFOP, "dev", "-p", str(free_port()))
        check_eq(r.returncode, 70, r.stderr)
        check("error" in r.stderr and "the build failed" in r.stderr, "%s",
              r.stderr)
        os.unlink(os.path.join(p.dir, "Makefile"))
        r = p.run(UFOP, "dev")
        check_eq(r.returncode, 78, r.stderr)
        check("createproject" in r.stderr, "%s", r.stderr)


def need_sanitizers():
    with Project() as p:
        p.write("probe.c", "int main(void) { return (0); }")
        r = p.run("cc", "-fsanitize=address,undefined", "-o", "probe",
                  "probe.c")
        if r.returncode:
            skip("the compiler has no sanitizers")


@deadline(120)
def test_what_is_built_without_sanitizers_stays_as_it_is():
    need_sanitizers()

    def built(p):
        p.ok("make")
        shutil.copy(p.path("app.so"), p.path("vendor.so"))
    with Dev("--sanitize", change=built) as d:
        check_eq(check_answer(d.post("hello/bob")).text, "hello bob")
        check(os.path.exists(d.path(".sanitized/app.so")), "not built apart")
        d.swap("hello %s", "howdy %s")
        check_eq(check_answer(d.post("hello/bob")).text, "howdy bob")
        check_eq(d.ok(UFOP, "process", "hello/bob", "/dev/null"),
                 "hello bob", "meanwhile, without")
        d.part.signal(signal.SIGINT)
        check_eq(d.part.wait(20), 0, "exit status")
        for name in ("vendor.so", "app.so"):
            check(os.path.exists(d.path(name)), "%s is gone", name)
        check(not os.path.exists(d.path(".sanitized")), ".sanitized is left")
        d.part.start()
        d.wait_for("ufop is ready", 2)
        d.part.signal(signal.SIGKILL)
        d.part.wait(20)
        d.ok("make")
        check_eq(d.ok(UFOP, "process", "hello/bob", "/dev/null"),
                 "howdy bob", "after a dev that was killed")
        wait_until(d.port_is_free, 20, "the port to be free again")
        d.part.start()
        d.wait_for("ufop is ready", 3)


@deadline(120)
def test_first_sanitized_build_that_fails_leaves_nothing():
    need_sanitizers()
    with Project() as p:
        p.ok("make")
        p.write("later.c", "broken")
        r = p.run(UFOP, "dev", "--sanitize", "-p", str(free_port()))
        check_eq(r.returncode, 70, r.stderr)
        check(not os.path.exists(p.path(".sanitized")), ".sanitized is left")
        check_eq(p.ok(UFOP, "process", "hello/bob", "/dev/null"),
                 "hello bob")
        p.write("Makefile", p.read("Makefile").replace("$(OUT)", ""))
        r = p.run(UFOP, "dev", "--sanitize", "-p", str(free_port()))
        check_eq(r.returncode, 78, r.stderr)
        check("$(OUT)" in r.stderr, "%s", r.stderr)


@deadline(120)
def test_sanitizers_show_what_a_handler_does_wrong():
    need_sanitizers()
    with Dev("--sanitize") as d:
        check_eq(check_answer(d.post("hello/bob")).text, "hello bob")
        d.swap('return (ufop_reply_textf(reply, "hello %s",',
               'volatile char *p = ufop_alloc(job, 1, 4);\n'
               '\tvolatile int i = ufop_arg(job, "name", "")[0];\n\n'
               '\tif (i == \'x\')\n\t\ti = 2147483647 + (p[0] + 1);\n'
               '\treturn (ufop_reply_textf(reply, "hello %s",')
        check_eq(check_answer(d.post("hello/bob")).text, "hello bob")
        check_eq(d.post("hello/xaver").status, 500)
        d.wait_for("signed integer overflow")
        check_eq(check_answer(d.post("hello/bob")).text, "hello bob")
        d.swap('volatile char *p = ufop_alloc(job, 1, 4);',
               'char *volatile p = strdup("abc");')
        d.swap("i = 2147483647 + (p[0] + 1);", "i = p[i - 'x' + 5];")
        check_eq(d.post("hello/xaver").status, 500)
        wait_until(lambda: "AddressSanitizer" in d.part.output() or
                   "insufficient space" in d.part.output(), 10,
                   "the sanitizer says why")
