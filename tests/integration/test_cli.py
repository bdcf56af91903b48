# SPDX-License-Identifier: MIT
"""The command line: what a user types, sees, and gets as exit status."""

import contextlib
import ctypes
import glob
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import harness
import httpc
import pictures
import wire
from harness import BUILD, DATA, ROOT, UFOP, Process, Stack, check, check_answer, \
    check_eq, check_error, deadline, free_port, skip, wait_until
from resp import Resp

COMMANDS = ["up", "process", "runserver", "runworker", "routes", "config",
            "status", "dead", "health"]

ENV = {k: v for k, v in os.environ.items()
       if not k.startswith("UFOP_") and
       k not in ("CPU_COUNT", "FLAVOR", "PORT_HTTP")}


def run(*args, stdin=None, cwd="/", env=None, timeout=20):
    """One `ufop ARGS`, outside any project; stdout stays bytes."""
    r = subprocess.run([UFOP, *args], cwd=cwd, env=dict(ENV, **(env or {})),
                       input=stdin, capture_output=True, timeout=timeout)
    r.err = r.stderr.decode()
    return r


def check_fails(r, status, *words):
    """It ended with status and one line on stderr that has the words."""
    check_eq(r.returncode, status, "exit status (%s)" % r.err.strip())
    check_eq(len(r.err.splitlines()), 1, "lines on stderr: %r" % r.err)
    check(r.err.startswith("ufop: "), "does not say who speaks: %r", r.err)
    for word in words:
        check(word.lower() in r.err.lower(), "does not say %r: %r", word,
              r.err)


def check_ok(r, what=""):
    check_eq(r.returncode, 0, "exit status of %s: %r" % (what, r.err))
    return r.stdout.decode()


class Dir:
    """A directory of the test's own, gone at the end."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="cli-")
        os.chmod(self.path, 0o755)
        return self

    def __exit__(self, *_):
        harness.remove_tree(self.path)

    def file(self, name, content):
        path = os.path.join(self.path, name)
        with open(path, "wb" if isinstance(content, bytes) else "w") as f:
            f.write(content)
        return path


# ---- help and wrong calls ----------------------------------------------


def test_help_and_version():
    text = check_ok(run("--help"))
    for command in COMMANDS:
        check(re.search(r"^  %s +\S" % command, text, re.M),
              "%s is not listed", command)
        own = check_ok(run(command, "--help"))
        check(own.startswith("usage: ufop %s " % command), "%r", own[:80])
        check_eq(check_ok(run(command, "-h")), own, "-h of " + command)
    check(re.fullmatch(r"ufop \d+\.\d+\.\d+\n", check_ok(run("--version"))),
          "version")


def test_manual_and_help_agree():
    with open(os.path.join(ROOT, "docs", "ufop.1")) as f:
        manual = f.read()
    common = manual[manual.index(".Sh COMMON OPTIONS"):
                    manual.index(".Sh COMMANDS")]
    option = re.compile(r"\bFl -([a-z-]+)|, -([a-z-]+)")

    def of_manual(text):
        return {a or b for line in text.splitlines()
                if line.startswith(".It Fl") for a, b in option.findall(line)}
    shared = of_manual(common)
    for command in COMMANDS:
        section = re.search(r"^\.Ss ufop %s$(.*?)^\.S[sh] " % command, manual,
                            re.M | re.S)
        check(section, "the manual has no section on %s", command)
        helped = set(re.findall(r"--([a-z-]+)", "\n".join(
            line[:26] for line in check_ok(run(command, "--help")).splitlines()
            if line.startswith("  "))))
        check_eq(of_manual(section.group(1)) | shared, helped,
                 "options of " + command)


WRONG = [
    # arguments, exit status, words of the message
    ([], 64, "command is missing", "--help"),
    (["upp"], 64, "'upp'", "did you mean 'up'"),
    (["xyzzy"], 64, "no command 'xyzzy'"),
    (["-A", "x.so"], 64, "'-A'", "command comes first"),
    (["up", "--prot=1"], 64, "--prot", "--port"),
    (["up", "-p"], 64, "'-p'", "value"),
    (["up", "-Z"], 64, "no option -Z"),
    (["up", "--help=3"], 64, "takes no value"),
    (["up", "operand"], 64, "'operand'"),
    (["up", "-p", "99999"], 78, "0.0.0.0:99999", "1 to 65535"),
    (["up", "-s", "queue.leese=3s"], 78, "leese", "lease"),
    (["up", "-s", "queue.lease=soon"], 78, "queue.lease", "soon"),
    (["up", "-C", "/no/where"], 78, "/no/where"),
    (["up", "-A", "no.so"], 78, "no.so", "no such file"),
    (["up", "--config", "/no/file"], 78, "/no/file"),
    (["runserver", "x"], 64, "'x'"),
    (["runworker", "--ready-fd=77"], 64, "77"),
    (["runworker", "--ready-fd=x"], 64, "'x'"),
    (["process"], 64, "FILE is missing"),
    (["process", "hello/bob"], 64, "'hello/bob' is no file", "FILE is missing"),
    (["process", "a", "b", "c"], 64, "more than"),
    (["process", "--url=http://a/", "a", "b"], 64, "more than"),
    (["process", "hello", "/no/file"], 66, "/no/file"),
    (["process", "hello", "/tmp"], 66, "directory"),
    (["process", "no/such/route", "/dev/null", "-s", "ufop.services=images"],
     64, "no/such/route", "`ufop routes`"),
    (["routes", "a", "b"], 64, "more than one"),
    (["routes", "nope", "-s", "ufop.services=images"], 64, "nope"),
    (["routes", "-s", "ufop.services=imgaes"], 78, "imgaes"),
    (["config", "list"], 64, "'list'"),
    (["config", "check", "x"], 64, "'x'"),
    (["config", "show", "leas"], 64, "leas", "did you mean lease"),
    (["config", "show", "name.of.none"], 64, "--all"),
    (["dead", "bury"], 64, "'bury'"),
    (["dead", "show"], 64, "ID is missing"),
    (["dead", "retry"], 64, "--all"),
    (["status", "-s", "redis.url=redis://127.0.0.1:1"], 69, "127.0.0.1:1"),
    (["dead", "-s", "redis.url=unix:///no/sock"], 69, "/no/sock"),
    (["health", "-s", "front.listen=127.0.0.1:1"], 69, "port 1"),
]


def test_wrong_calls():
    problems = []
    for args, status, *words in WRONG:
        try:
            check_fails(run(*args), status, *words)
        except AssertionError as e:
            problems.append("ufop %s: %s" % (shlex.join(args), e))
    check(not problems, "%s", "\n".join(problems))


def test_output_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        r = subprocess.run([UFOP, "routes"], stdout=full, cwd="/", env=ENV,
                           stderr=subprocess.PIPE)
    check_eq(r.returncode, 71, "exit status")
    check(b"cannot write" in r.stderr, "%r", r.stderr)


# ---- process -----------------------------------------------------------


def test_process_cmds_and_pipes():
    with Dir() as d:
        png = d.file("a.png", pictures.png(80, 60))
        for cmd in ("hello/bob", "/hello/bob"):
            check_eq(check_ok(run("process", cmd, "/dev/null")), "hello bob")
        r = run("process", "thumbnail/w/20|imageInfo", png)
        info = json.loads(check_ok(r))
        check_eq((info["width"], info["height"]), (20, 15), "size")
        # Without a cmd: the route that takes the empty one, if there is one.
        r = run("process", png)
        check(r.returncode != 0 and b"a cmd without arguments" in r.stderr,
              "exit %d: %r", r.returncode, r.stderr)


def test_process_reads_standard_input():
    data = os.urandom(300000)
    check_eq(run("process", "echo", "-", stdin=data).stdout, data, "a pipe")
    with Dir() as d:
        path = d.file("in", data)
        for skip in (0, 100000):
            with open(path, "rb") as f:
                f.seek(skip)
                r = subprocess.run([UFOP, "process", "echo", "-"], stdin=f,
                                   stdout=subprocess.PIPE, env=ENV, cwd="/")
            check(r.stdout == data[skip:], "from %d: %d bytes", skip,
                  len(r.stdout))
    r = run("process", "echo", "-", "-s", "ufop.max_body=100k", stdin=data)
    check_fails(r, 65, "standard input", "102400")


def test_process_guesses_the_type():
    with Dir() as d:
        for name, content, want in (
                ("a", pictures.png(4, 4), "image/png"),
                ("b.png", b"\xff\xd8\xff\xe0 really a JPEG", "image/jpeg"),
                ("c.json", b"{}", "application/json"),
                ("d.TXT", b"hi", "text/plain; charset=utf-8"),
                ("e.unknown", b"hi", "")):
            r = run("process", "json", d.file(name, content))
            check_eq(json.loads(check_ok(r))["content_type"], want, name)
        r = run("process", "json", d.file("f.json", "{}"),
                "--content-type=a/b", "--accept=image/webp")
        got = json.loads(check_ok(r))
        check_eq((got["content_type"], got["accept"]), ("a/b", "image/webp"))


def test_process_output_file():
    with Dir() as d:
        out = os.path.join(d.path, "out.jpg")
        src = os.path.join(DATA, "kleiber.jpg")
        check_ok(run("process", "-o", out, "thumbnail/w/64", src))
        with open(out, "rb") as f:
            good = f.read()
        check_eq(pictures.size_of(good)[1], 64, "width")
        check_eq(os.stat(out).st_mode & 0o777, 0o666 & ~current_umask(),
                 "mode")
        # An error leaves the old file as it is, and nothing beside it.
        check_fails(run("process", "-o", out, "thumbnail/w/0", src), 65)
        with open(out, "rb") as f:
            check(f.read() == good, "the old output was touched")
        check_eq(os.listdir(d.path), ["out.jpg"], "files")
        check_fails(run("process", "-o", "/no/where", "hello", "/dev/null"),
                    71, "/no/where")
        check_ok(run("process", "-o", "/dev/null", "hello", "/dev/null"))
        check(os.path.exists("/dev/null") and
              not os.path.isfile("/dev/null"), "/dev/null was replaced")


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def on_terminal(*args):
    """(exit status, what was written to the terminal, stderr) of a call."""
    master, slave = pty.openpty()
    p = subprocess.Popen([UFOP, *args], stdout=slave, stderr=subprocess.PIPE,
                         stdin=subprocess.DEVNULL, cwd="/", env=ENV)
    os.close(slave)
    err = p.stderr.read()
    status = p.wait(20)
    out = b""
    try:
        while chunk := os.read(master, 65536):
            out += chunk
    except OSError:
        pass            # EIO: nobody has the other side any more
    os.close(master)
    return status, out, err.decode()


def test_process_keeps_bytes_off_a_terminal():
    with Dir() as d:
        png = d.file("a.png", pictures.png(30, 30))
        status, out, err = on_terminal("process", "thumbnail/w/9", png)
        check_eq((status, out), (64, b""), "status and output")
        check("-o" in err and "image/png" in err, "%r", err)
        status, out, err = on_terminal("process", "hello", "/dev/null")
        check_eq((status, out), (0, b"hello world\r\n"), "status and output")


def test_process_exit_status_tells_the_kind():
    so = harness.faults_so()
    with Dir() as d:
        text = d.file("a.jpg", "no picture at all")
        for args, status, words in (
                (["imageInfo", text], 65, ["picture"]),
                (["thumbnail/w/x", os.path.join(DATA, "kleiber.jpg")], 65,
                 ["w takes", "'x'"]),
                (["-A", so, "crash", "/dev/null"], 70, ["SIGSEGV"]),
                (["-A", so, "sleep/60000", "/dev/null", "-s",
                  "ufop.timeout=300ms"], 124, ["deadline", "ufop.timeout"]),
                (["-A", so, "late/60000", "/dev/null"], 124,
                 ["deadline", "timeout_ms of its task, 300"])):
            r = run("process", *args)
            check_eq(r.returncode, status, "%s: %r" % (args, r.err))
            last = r.err.splitlines()[-1]
            check(last.startswith("ufop: "), "%r", r.err)
            for word in words:
                check(word in last, "%s does not say %s: %r", args, word, last)


def test_process_time():
    with Dir() as d:
        moving = d.file("moving.gif", pictures.gif_flat(300, 200, frames=5))
        for path in (os.path.join(DATA, "kleiber.jpg"), moving):
            r = run("process", "--time", "thumbnail/w/64", "-o", "/dev/null",
                    path)
            check_ok(r)
            rows = dict(re.findall(r"^(\S.*?) +([0-9./]+(?:ms|MB)?)$", r.err,
                                   re.M))
            for name in ("decode", "resize", "encode", "run", "whole"):
                check(float(rows[name].removesuffix("ms")) > 0, "%s of %s: %r",
                      name, path, rows)
            check(rows["peak memory"].endswith("MB"), "%r", rows)


# ---- routes, config ----------------------------------------------------


def test_routes():
    rows = [line.split() for line in check_ok(run("routes")).splitlines()]
    check_eq(rows[0], ["TASK", "POOL", "ROUTE", "SUMMARY"], "heading")
    names = [r[0] for r in rows[1:]]
    check(names.index("images.thumbnail") < names.index("debug.hello") <
          names.index("debug.echo"), "not in order: %r", names)
    check_eq(names[-1], "debug.echo", "the last")
    asjson = json.loads(check_ok(run("routes", "--json")))
    check_eq([t["task"] for t in asjson], names, "tasks in JSON")

    for args in (["hello/bob|json"], ["/hello/bob|/json"],
                 ["-n", "q/hello/bob|json"]):
        got = json.loads(check_ok(run("routes", "--json", *args)))
        check_eq([(s["task"], s["cmd"]) for s in got],
                 [("debug.hello", "/hello/bob"), ("debug.json", "/json")])
        check_eq(got[0]["args"], {"name": "bob"}, "arguments")
    text = check_ok(run("routes", "hello/bob"))
    for word in ("debug.hello", "/hello/bob", "name = bob", "pool cpu"):
        check(word in text, "%s is not in %r", word, text)


def test_config_show():
    with Dir() as d:
        d.file("ufop.ini", "[queue]\nlease = 9s\n"
               "[redis]\nurl = redis://me:s3cret@h:1/2\n")
        text = check_ok(run("config", "show", cwd=d.path,
                            env={"UFOP_QUEUE_MAX_QUEUE": "7"}))
        check("s3cret" not in text, "shows the password: %r", text)
        check(re.search(r"^url = redis://me:\*+@h:1/2 .*ufop.ini:4$", text,
                        re.M), "%r", text)
        check(re.search(r"^lease = 9s .*\*.*ufop.ini:2$", text, re.M), "%r",
              text)
        check(re.search(r"^max_queue = 7 .*UFOP_QUEUE_MAX_QUEUE$", text,
                        re.M), "%r", text)
        check("keepalive" not in text, "shows what stands at its default")
        every = check_ok(run("config", "show", "--all", cwd=d.path))
        check(re.search(r"^keepalive = \S+ .*default$", every, re.M), "%r",
              every)
        one = check_ok(run("config", "show", "lease", "-C", d.path))
        for word in ("queue.lease = 9s", "ufop.ini:2", "UFOP_QUEUE_LEASE",
                     "15s"):
            check(word in one, "%s is not in %r", word, one)
        check("s3cret" not in check_ok(run("config", "show", "redis.url",
                                           "-C", d.path)), "the password")
        check("in order" in check_ok(run("config", "check", "-C", d.path)),
              "check")
        d.file("ufop.ini", "[queue]\n\nlease = never\n")
        check_fails(run("config", "check", "-C", d.path), 78, "ufop.ini:3",
                    "never")


# ---- status, dead, health ----------------------------------------------


def redis_of(s):
    return ["-C", s.dir]


def test_retried_job_has_the_time_it_had_at_first():
    with Stack({"ufop.timeout": "2s"}) as s:
        for timeout_ms, want in ((60000, 60000), (-1, 2000)):
            job = wire.Job([wire.Stage(b"debug.hello", b"/hello")], b"web",
                           5000000 + timeout_ms, pool=b"other",
                           queued_us=5000000000)
            dead = s.redis("XADD", s.key("dead"), "*", "id", "x", "task",
                           "debug.hello", "why", "x", "entry", job.encode())
            check_ok(run("dead", "retry", dead.decode(), *redis_of(s)))
            entry = s.redis("LPOP", s.key("q", "other"))
            job = wire.Job.decode(entry)
            check_eq(job.deadline_ms - job.queued_us // 1000, want,
                     "ms for a job that had %d" % timeout_ms)


@deadline(60)
def test_status_dead_and_health():
    with Stack(services="faults debug") as s:
        at = redis_of(s)
        check_ok(run("health", *at))
        check_ok(run("health", "--live", *at))
        check_answer(s.post("q/hello/bob"), 200)
        check_error(s.post("q/crash"), 500)
        check_error(s.post("q/abort"), 500)

        def status():
            return json.loads(check_ok(run("status", "--json", *at)))
        st = wait_until(lambda: (lambda x: x if x["errors"] else None)(
            status()), 15, "the heartbeat tells of the errors")
        check_eq(len(st["workers"]), 1, "workers")
        check_eq(st["pools"]["cpu"]["slots"], 2, "children")
        check_eq(st["pools"]["cpu"]["waiting"], 0, "waiting")
        check_eq(st["dead"], 2, "dead jobs")
        text = check_ok(run("status", *at))
        for word in ("POOL", "cpu", "WORKER", s.redis.path):
            check(word in text, "%s is not in %r", word, text)

        dead = json.loads(check_ok(run("dead", "list", "--json", *at)))
        check_eq(len(dead), 2, "dead jobs")
        check(dead[0]["dead"] > dead[1]["dead"], "the newest is not first")
        first = dead[1]["dead"]
        shown = check_ok(run("dead", "show", first, *at))
        for word in ("/crash", "faults.crash", "retryable  yes"):
            check(word in shown, "%s is not in %r", word, shown)
        check(first in check_ok(run("dead", *at)), "list")
        check_fails(run("dead", "show", "1-1", *at), 65, "1-1")
        check_fails(run("dead", "show", "-", *at), 64, "id")

        # Tried again it dies again, twice, and is given up anew.
        check_ok(run("dead", "retry", first, *at))
        wait_until(lambda: len(s.dead()) == 2 and
                   first not in check_ok(run("dead", *at)), 20,
                   "the retried job is given up again")
        # One that cannot be read is in nobody's way, and harms no terminal.
        s.redis("XADD", s.key("dead"), "*", "id", "x", "task", "a.b",
                "why", "\033[31mred\u009b", "entry", "garbage")
        text = check_ok(run("dead", *at))
        check("?[31mred" in text and "\033" not in text and
              "\u009b" not in text, "%r", text)
        check("2 queued again, 1 left" in check_ok(
            run("dead", "retry", "--all", *at)), "retry --all")
        wait_until(lambda: len(s.dead()) == 3, 20, "both are given up again")
        check("3 forgotten" in check_ok(run("dead", "purge", *at)), "purge")
        check_eq(s.dead(), [], "dead jobs")
        check_eq(check_ok(run("dead", *at)), "", "list of none")

        s.worker.terminate()
        check_fails(run("health", *at), 69, "worker")
        check("no live worker" in check_ok(run("status", *at)), "status")
        s.worker.start()
        s.wait_healthy()


ALONE = """
set -e
mount -t tmpfs none /dev/shm
redis() {
	mkdir /dev/shm/ufop-up-$1
	redis-server --port 0 --unixsocket /dev/shm/ufop-up-$1/redis.sock \\
	    --save '' --daemonize yes --dir /dev/shm --logfile $1.log \\
	    --pidfile /dev/shm/$1.pid >/dev/null
	until redis-cli -s /dev/shm/ufop-up-$1/redis.sock ping >/dev/null 2>&1
	do :; done
}
trap 'kill $(cat /dev/shm/*.pid)' EXIT
redis a
"$1" status
echo "one: $?"
redis b
"$1" status || echo "two: $?"
"$1" status -s redis.url=unix:///dev/shm/ufop-up-b/redis.sock
echo "named: $?"
"""


def test_status_finds_the_redis_of_ufop_up():
    """In a place of its own, where no other `ufop up` can be running."""
    harness.need_program("unshare")
    probe = subprocess.run(["unshare", "-mnpf", "true"], capture_output=True)
    if probe.returncode != 0:
        harness.skip("no namespaces: %s" % probe.stderr.decode())
    r = subprocess.run(["unshare", "-mnpf", "sh", "-c", ALONE, "sh", UFOP],
                       capture_output=True, text=True, timeout=25, cwd="/")
    check("one: 0" in r.stdout and "named: 0" in r.stdout, "%r", r)
    check(re.search(r"two: [1-9]", r.stdout) and
          "2 `ufop up` run here" in r.stderr and
          "-s redis.url=unix:///dev/shm/ufop-up-" in r.stderr, "%r", r)


def test_status_watch():
    with Stack() as s:
        p = subprocess.Popen([UFOP, "status", "--watch", "-C", s.dir],
                             stdout=subprocess.PIPE, env=ENV)
        try:
            os.set_blocking(p.stdout.fileno(), False)
            seen = []

            def rates():
                try:
                    seen.append(os.read(p.stdout.fileno(), 65536))
                except BlockingIOError:
                    return False
                return b"done/s" in b"".join(seen)
            wait_until(rates, 10, "rates are shown")
        finally:
            p.kill()
            p.wait()
            p.stdout.close()


# ---- up ----------------------------------------------------------------


class Up(Process):
    """`ufop up` on a free port; its stdout and stderr apart."""

    def __init__(self, directory, *args):
        self.port = free_port()
        self.preexec = None
        super().__init__("up", [UFOP, "up", "-p", str(self.port), *args],
                         directory, dict(ENV, CPU_COUNT="2"))

    def start(self):
        self.err_path = self.log + ".err"
        with open(self.log, "wb") as out, open(self.err_path, "wb") as err:
            self.popen = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                cwd=self.directory, env=self.env, start_new_session=True,
                preexec_fn=self.preexec)
        return self

    def err(self):
        with open(self.err_path, errors="replace") as f:
            return f.read()

    def wait_ready(self):
        def ready():
            check(self.running, "up ended with %s: %s", self.popen.poll(),
                  self.err())
            return "ready" in self.output() and self.output().endswith("\n")
        wait_until(ready, 20, "up is ready")
        # Other tests have instances of their own at the same time.
        line = command_line(self.part("redis-server"))
        self.instance = os.path.dirname(re.search(
            r"/(dev/shm|tmp)/ufop-up-\w+/redis.sock", line).group())
        check(os.path.isdir("/proc/%d/root%s" % (self.pid, self.instance)),
              "%s is not there", self.instance)
        return self

    def part(self, word):
        """The pid of the direct child that runs `word`, or None."""
        for pid, (parent, state, _) in harness.processes().items():
            if parent == self.pid and state != "Z" and \
                    word in command_line(pid):
                return pid
        return None

    def hello(self):
        try:
            with httpc.Conn(self.port, timeout_s=5) as c:
                r = c.request("POST", "/handler?cmd=q/hello/bob", b"")
                return r.status == 200 and r.text == "hello bob"
        except (OSError, httpc.HttpError):
            return False

    def busy(self):
        """Entries that the worker holds."""
        with contextlib.closing(Resp(self.instance + "/redis.sock")) as r:
            return sum(r("LLEN", k) for k in r("KEYS", "*:run:*"))

    def check_gone(self, below):
        """No process and no file is left of it."""
        left = [p for p in below if harness.is_alive(p)]
        check_eq(left, [], "processes left")
        check(not os.path.exists(self.instance), "%s is left", self.instance)


def command_line(pid):
    try:
        with open("/proc/%d/cmdline" % pid) as f:
            return f.read()
    except OSError:
        return ""


def with_up(body, *args):
    with Dir() as d:
        up = Up(d.path, *args).start()
        try:
            body(up)
        finally:
            up.kill_all()


@deadline(40)
def test_up_says_one_line_and_a_request():
    def body(up):
        up.wait_ready()
        lines = up.output().splitlines()
        check_eq(len(lines), 2, "lines: %r" % lines)
        check(re.fullmatch(r"ufop is ready on http://127\.0\.0\.1:%d "
                           r"\(2 workers, \d+ ms\)" % up.port, lines[0]),
              "%r", lines[0])
        check(lines[1].startswith("curl "), "%r", lines[1])
        if shutil.which("curl"):
            r = subprocess.run(lines[1], shell=True, cwd=up.directory,
                               capture_output=True, text=True, timeout=20)
            check_eq(r.returncode, 0, r.stderr)
            with open(os.path.join(up.directory, "thumbnail.jpg"), "rb") as f:
                check_eq(pictures.size_of(f.read())[1], 320, "width")
        below = up.below()
        up.signal(signal.SIGINT)
        check_eq(up.wait(20), 0, "exit status")
        up.check_gone(below)
    with_up(body)


@deadline(60)
def test_up_starts_a_dead_part_again():
    def body(up):
        up.wait_ready()
        for word in ("kore", "runworker", "redis-server"):
            pid = wait_until(lambda: up.part(word), 10, word + " runs")
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: up.part(word) not in (None, pid), 10,
                       word + " runs again")
            wait_until(up.hello, 15, "a request after the death of " + word)
        check_eq(up.err().count("up.died"), 3, "deaths told: " + up.err())
        below = up.below()
        check_eq(up.terminate(20), 0, "exit status")
        up.check_gone(below)
    with_up(body)


@deadline(40)
def test_up_finishes_what_runs():
    def body(up):
        up.wait_ready()
        with httpc.Conn(up.port) as c:
            c.ask("POST", "/handler?cmd=q/sleep/1500", b"")
            wait_until(lambda: up.busy() == 1, 5, "it runs")
            up.signal(signal.SIGTERM)
            r = c.response(timeout_s=10)
            check_eq(r.status, 200, "status of what ran at the stop")
        check_eq(up.wait(20), 0, "exit status")
    with_up(body, "-A", harness.faults_so())


@deadline(40)
def test_up_stops_at_once_at_the_second_signal():
    def body(up):
        up.wait_ready()
        job = harness.Background(lambda: ask_quietly(up.port, "q/sleep/20000"))
        wait_until(lambda: up.busy() == 1, 5, "it runs")
        below = up.below()
        up.signal(signal.SIGINT)
        time.sleep(0.5)     # sooner it counts as the same Ctrl-C
        check(up.running, "it did not wait for what runs")
        began = time.monotonic()
        up.signal(signal.SIGINT)
        up.wait(5)
        check(time.monotonic() - began < 3, "it took long")
        up.check_gone(below)
        job.result(5)
    with_up(body, "-A", harness.faults_so())


def ask_quietly(port, cmd):
    try:
        with httpc.Conn(port, timeout_s=30) as c:
            return c.request("POST", httpc.cmd_target(cmd), b"")
    except (OSError, httpc.HttpError) as e:
        return e


@deadline(40)
def test_up_port_in_use():
    def body(up):
        up.wait_ready()
        r = run("up", "-p", str(up.port))
        check_fails(r, 69, "port %d" % up.port, "in use", "-p")
        check(up.hello(), "the first one was hurt")
        # A second one beside it, with its own Redis, on another port.
        second = Up(up.directory)
        second.log += "2"
        second.start()
        try:
            second.wait_ready()
            check(second.hello() and up.hello(), "both serve")
            check_eq(second.terminate(20), 0, "exit status")
        finally:
            second.kill_all()
        check(up.hello(), "the first one was hurt")
    with_up(body)


@deadline(40)
def test_up_killed_by_force_takes_its_parts_along():
    def body(up):
        up.wait_ready()
        below = up.below()
        up.kill()
        wait_until(lambda: not any(harness.is_alive(p) for p in below), 20,
                   "its parts end")
        harness.reap_orphans()
        # What it could not remove the next one does.
        with Dir() as d:
            second = Up(d.path).start()
            try:
                second.wait_ready()
                check(not os.path.exists(up.instance),
                      "the old directory is there")
                check_eq(second.terminate(20), 0, "exit status")
            finally:
                second.kill_all()
    with_up(body)


def mounts(pid):
    """What pid sees mounted: the options by the mount point."""
    with open("/proc/%d/mounts" % pid) as f:
        return {fields[1]: fields[3].split(",")
                for fields in map(str.split, f)}


def may_mount():
    return subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "huge=within_size",
         "ufop", "/dev/shm"], stderr=subprocess.DEVNULL).returncode == 0


def echoes(up):
    """A body that is large enough for the spool comes back whole."""
    body = os.urandom(3 << 20)
    with httpc.Conn(up.port) as c:
        r = c.request("POST", httpc.cmd_target("q/echo"), body)
    check(r.status == 200 and r.body == body, "%r", r)


@deadline(60)
def test_up_has_a_spool_of_its_own():
    def body(up):
        up.wait_ready()
        spool = up.instance + "/spool"
        for word in ("kore", "runworker"):
            options = mounts(up.part(word)).get(spool)
            check(options, "%s has no %s mounted", word, spool)
            check("huge=within_size" in options and "nosuid" in options and
                  "nodev" in options, "%s has it with %r", word, options)
        check(spool not in mounts(os.getpid()), "it is mounted for all")
        echoes(up)
        # As large as what is around it: an administrator may have bounded that.
        inside = os.statvfs("/proc/%d/root%s" % (up.pid, spool))
        around = os.statvfs("/dev/shm")
        check_eq(inside.f_blocks * inside.f_frsize,
                 around.f_blocks * around.f_frsize, "its size")
        # A part that is started again sees it too.
        pid = up.part("kore")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: up.part("kore") not in (None, pid), 10,
                   "the front runs again")
        wait_until(up.hello, 15, "a request after its death")
        echoes(up)
        below = up.below()
        check_eq(up.terminate(20), 0, "exit status")
        up.check_gone(below)
    if not may_mount():
        skip("mounting is not permitted here")
    with_up(body)


@deadline(40)
def test_up_that_must_not_mount_has_a_spool_all_the_same():
    libc = ctypes.CDLL(None, use_errno=True)

    def drop():
        """CAP_SYS_ADMIN for good, as in a container."""
        if os.geteuid() == 0 and libc.prctl(24, 21, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_CAPBSET_DROP")

    with Dir() as d:
        up = Up(d.path)
        up.preexec = drop
        up.start()
        try:
            up.wait_ready()
            check(up.instance + "/spool" not in mounts(up.pid),
                  "it has mounted something")
            check(os.path.isdir(up.instance + "/spool"), "there is no spool")
            echoes(up)
            below = up.below()
            check_eq(up.terminate(20), 0, "exit status")
            up.check_gone(below)
        finally:
            up.kill_all()


def spool_mount_where_shm_is(options):
    """Those of the spool where /dev/shm is mounted with options; or None."""
    with Dir() as d:
        up = Up(d.path)
        up.argv = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o " + options +
                   ' none /dev/shm && exec "$@"', "sh"] + up.argv
        up.start()
        try:
            up.wait_ready()
            found = mounts(up.pid).get(up.instance + "/spool")
            echoes(up)
            check_eq(up.terminate(20), 0, "exit status")
            return found
        finally:
            up.kill_all()


@deadline(60)
def test_up_mounts_what_is_around_it():
    if not may_mount():
        skip("mounting is not permitted here")
    found = spool_mount_where_shm_is("noexec,size=32m")
    check("noexec" in found and "size=32768k" in found, "%r", found)
    check("noexec" not in spool_mount_where_shm_is("size=32m"), "noexec")
    # A disk may be larger than memory.
    disk = subprocess.run(["stat", "-f", "-c", "%T", "/tmp"], check=True,
                          capture_output=True).stdout.strip() != b"tmpfs"
    check_eq(spool_mount_where_shm_is("ro") is None, disk,
             "/tmp is on a disk, the spool too")


def test_up_says_why_it_cannot_start():
    with Dir() as d:
        # What the part says, then who it was; nothing stays.
        r = run("up", "-p", str(free_port()), "-s", "spool.dir=/proc/none",
                "-C", d.path)
        check(r.returncode > 0, "exit status 0")
        check("/proc/none" in r.err, "%r", r.err)
        check(re.search(r"^ufop: the (front|worker) ended with status \d+ "
                        r"before all was ready$", r.err, re.M), "%r", r.err)
        check_eq(r.stdout, b"", "standard output")
        r = run("up", "-p", str(free_port()), "-C", d.path,
                "-s", "redis.url=unix:///no/redis.sock")
        check_fails(r, 69, "/no/redis.sock", "redis.url")


# ---- setup -------------------------------------------------------------


def setup(d, have, installs, uid=0, sudo=False, words=()):
    """Run scripts/setup with stand-ins; (status, stderr, apt-get calls)."""
    bin_dir = os.path.join(d.path, "bin")
    log = os.path.join(d.path, "apt.log")
    os.makedirs(bin_dir, exist_ok=True)
    open(log, "w").close()

    def tool(name, text):
        path = os.path.join(bin_dir, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)
    for name in ("sh", "sed", "dirname", "env", "ls"):
        link = os.path.join(bin_dir, name)
        if not os.path.exists(link):
            os.symlink(shutil.which(name), link)
    tool("id", "echo %d\n" % uid)
    tool("dpkg-query", "shift 2\nfor p; do case ' %s ' in *\" $p \"*) "
         "echo \"ii  $p\";; esac; done\n" % " ".join(have))
    tool("apt-get", "echo \"$*\" >> %s\ncase \"$*\" in *install*) "
         "n=$(cat %s.n 2>/dev/null || echo 0); exit %s;; esac\n" %
         (log, log, installs))
    os.path.exists(log + ".n") and os.unlink(log + ".n")
    sudo_path = os.path.join(bin_dir, "sudo")
    if sudo:
        tool("sudo", "echo sudo >> %s\nexec \"$@\"\n" % log)
    elif os.path.exists(sudo_path):
        os.unlink(sudo_path)
    r = subprocess.run([os.path.join(ROOT, "scripts", "setup"), *words],
                       env={"PATH": bin_dir}, capture_output=True, text=True,
                       timeout=20)
    with open(log) as f:
        return r.returncode, r.stderr, f.read().splitlines()


def packages():
    names = []
    for path in glob.glob(os.path.join(ROOT, "scripts", "packages*")):
        with open(path) as f:
            for line in f:
                names += line.split("#")[0].split()[:1]
    return names


def test_setup():
    names = packages()
    check("kore" in names and "gcc" in names, "lists: %r", names)
    with Dir() as d:
        status, err, calls = setup(d, names, 0)
        check_eq((status, err, calls), (0, "", []), "nothing missing")

        rest = [n for n in names if n not in ("kore", "python3")]
        status, err, calls = setup(d, rest, 0)
        check_eq(status, 0, "exit status: " + err)
        install = [c for c in calls if " install " in c]
        check(install, "no install: %r", calls)
        check(install[-1].endswith("--no-install-recommends kore python3"),
              "%r", install)

        status, err, calls = setup(d, rest, 0, uid=1000, sudo=True)
        check_eq(status, 0, "exit status: " + err)
        check("sudo" in calls, "not by sudo: %r", calls)

        status, err, calls = setup(d, rest, 0, uid=1000)
        check_eq((status, calls), (1, []), "without sudo")
        check("apt-get install -y --no-install-recommends kore python3" in err,
              "does not say what to run: %r", err)

        # An install that fails is tried once more behind an update.
        status, err, calls = setup(d, rest, 100)
        check_eq(status, 1, "exit status")
        check(any(" update" in c for c in calls), "no update: %r", calls)
        check("kore python3" in err.splitlines()[-1], "%r", err)


def test_setup_goes_on_without_a_cross_compiler():
    names = packages()
    cross = ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]
    rest = [n for n in names if n not in cross]
    with Dir() as d:
        # The mirror does not have it: said, and neither a failure nor a reason
        # to ask the mirror for its lists once more.
        status, err, calls = setup(d, rest, 100, words=["all"])
        check_eq(status, 0, "exit status: " + err)
        check("going on without" in err, "%r", err)
        if glob.glob("/var/lib/apt/lists/*_Packages*"):
            check(not any(" update" in c for c in calls), "%r", calls)

        # What is needed is not forgotten over it, nor forgiven.
        less = [n for n in rest if n not in ("kore", "mandoc")]
        status, err, calls = setup(d, less, 0, words=["all"])
        check_eq(status, 0, "exit status: " + err)
        check_eq([c.split("--no-install-recommends ")[1] for c in calls
                  if " install " in c], ["kore mandoc", " ".join(cross)])
        status, err, calls = setup(d, less, 100, words=["all"])
        check_eq(status, 1, "exit status: " + err)

        # Only `all` is interested in it.
        check_eq(setup(d, rest, 100), (0, "", []), "without a word")


def test_image_has_every_library():
    """What the built parts link to is installed in the slim image."""
    for name in ("objdump", "dpkg"):
        harness.need_program(name)
    with open(os.path.join(ROOT, "Dockerfile")) as f:
        slim = re.search(r"^FROM \S+ AS slim$.*?(?=^FROM )", f.read(),
                         re.M | re.S).group()
    installed = set(re.findall(r"^\t([a-z0-9.+-]+) \\$", slim, re.M))
    check("packages.images" in slim, "the image's own list is not used")
    with open(os.path.join(ROOT, "scripts", "packages.images")) as f:
        installed.update(line.split()[0] for line in
                         f.read().split("# run\n")[1].splitlines() if line)
    parts = [UFOP, shutil.which("kore")] + \
        glob.glob(os.path.join(BUILD, "*.so")) + \
        glob.glob(os.path.join(BUILD, "services", "*.so"))
    needs = {}
    for part in parts:
        text = subprocess.run(["objdump", "-p", part], check=True,
                              capture_output=True, text=True).stdout
        for soname in re.findall(r"NEEDED +(\S+)", text):
            needs.setdefault(soname, os.path.basename(part))
    owners = {}
    for line in subprocess.run(["dpkg", "-S"] + ["*/" + n for n in needs],
                               capture_output=True,
                               text=True).stdout.splitlines():
        owner, _, path = line.partition(": ")
        owners.setdefault(os.path.basename(path), set()).add(
            owner.split(":")[0])
    for soname, part in needs.items():
        check(owners.get(soname, set()) & (installed | {"libc6", "libgcc-s1"}),
              "%s needs %s, of %s, which the image does not have", part,
              soname, sorted(owners.get(soname, ())))
