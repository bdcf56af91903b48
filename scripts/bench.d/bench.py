# SPDX-License-Identifier: MIT
"""Measure ufop, side by side with what it could be at best.

Called by scripts/bench; what the rows mean is in docs/benchmarks.md.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PHOTO = "/usr/share/backgrounds/Kleiber_by_Lukas_Baubkus.jpg"
# To 12 megapixels and about 3 MB, as cameras write them.
PHOTO_CMD = "thumbnail/w/4618/q/92"
THUMBNAIL = "thumbnail/w/320"
MB = 1000 * 1000
UPLOAD = 20 << 20           # the largest body that ufop takes unless told
START_S = 15                # a server must answer by then
STOP_S = 40
PACKAGES = ("kore", "redis-server", "libhiredis0.14", "libjpeg62-turbo",
            "wrk", "gcc")


class CannotMeasure(Exception):
    """One sentence on what is missing or went wrong."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


# ---- processes -------------------------------------------------------------

def children(pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(word) for word in path.read_text().split()]
    except OSError:
        return []


def tree(pid):
    """pid and all below it."""
    found = [pid]
    for child in children(pid):
        found += tree(child)
    return found


def name_of(pid):
    """The program a process runs: "kore", "redis-server", "ufop"."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def kilobytes(path, field):
    try:
        for line in pathlib.Path(path).read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
    except OSError as error:
        raise CannotMeasure(f"{path} cannot be read ({error.strerror}): "
                            "memory of children can be seen by root only")
    raise CannotMeasure(f"{path} has no {field}")


def pss_mb(pids):
    return sum(kilobytes(f"/proc/{pid}/smaps_rollup", "Pss")
               for pid in pids) * 1024 / MB


def peak_mb(pids):
    return sum(kilobytes(f"/proc/{pid}/status", "VmHWM")
               for pid in pids) * 1024 / MB


def forget_peak(pids):
    """Let VmHWM begin anew."""
    for pid in pids:
        try:
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError as error:
            raise CannotMeasure(f"the peak memory of {name_of(pid)} cannot "
                                f"be reset: {error.strerror}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fetch(port, path, body=None):
    """Status and body of one request; OSError when nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise OSError(str(error))
    finally:
        connection.close()


class Server:
    """A server of ours on a free loopback port, until the with ends."""

    def __init__(self, argv, directory, env):
        self.argv = argv
        self.directory = directory
        self.env = env
        self.log = open(directory / "log", "w+b")
        self.process = None

    def __enter__(self):
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            self.argv, cwd=self.directory, env=self.env,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True)
        return self

    def __exit__(self, *exc):
        pids = tree(self.process.pid)
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            say(f"{self.argv[0]} does not stop and is killed")
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()

    def wait(self, path):
        """Seconds from the start to the first 200 on path."""
        why = f"does not answer {path} within {START_S} s"
        while time.monotonic() - self.began < START_S:
            with contextlib.suppress(OSError):
                if fetch(self.port, path)[0] == 200:
                    return time.monotonic() - self.began
            if self.process.poll() is not None:
                why = f"ends with status {self.process.returncode}"
                break
            time.sleep(0.001)
        self.log.seek(0)
        tail = self.log.read().decode(errors="replace").splitlines()[-5:]
        raise CannotMeasure(f"{self.argv[0]} {why}; its last words: " +
                            " / ".join(tail))


class Up(Server):
    """`ufop up`: Redis, front, worker."""

    def __init__(self, bench, directory):
        self.port = free_port()
        super().__init__([bench.ufop, "up", "--config=/dev/null",
                          f"--listen=127.0.0.1:{self.port}"],
                         directory, bench.env)

    def handler(self, cmd):
        return f"/handler?cmd=ufop/{cmd}"

    def parts(self):
        """Processes of front, worker and children, and `ufop up` itself."""
        front, worker = [], []
        for pid in children(self.process.pid):
            if name_of(pid) == "kore":
                front += tree(pid)
            elif name_of(pid) == "ufop":
                worker += tree(pid)
        if not front or len(worker) < 2:
            raise CannotMeasure("the processes of `ufop up` cannot be found")
        return front, worker[:1], worker[1:], [self.process.pid]


class Direct(Server):
    """Kore that answers by itself."""

    def __init__(self, bench, directory):
        self.port = free_port()
        conf = (HERE / "direct.conf").read_text()
        conf = conf.replace("@PORT@", str(self.port))
        conf = conf.replace("@MODULE@", str(bench.programs / "direct.so"))
        (directory / "direct.conf").write_text(conf)
        super().__init__(["kore", "-f", "-r", "-n", "-c", "direct.conf"],
                         directory, bench.env)


# ---- measuring -------------------------------------------------------------

def last_json(output, what):
    lines = output.strip().splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        raise CannotMeasure(f"{what} printed no result: {output.strip()!r}")


def run(argv, **kwargs):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          **kwargs)
    if done.returncode != 0:
        raise CannotMeasure(f"{argv[0]} failed: " +
                            (done.stderr or done.stdout).strip())
    return done.stdout


def wrk(server, path, connections, seconds, body=None):
    """One run of wrk: rate in requests/s, p50 and p99 in ms."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
            "--timeout=30s", "-s", str(HERE / "report.lua"),
            f"http://127.0.0.1:{server.port}{path}"]
    if body is not None:
        argv += ["--", str(body)]
    result = last_json(run(argv), "wrk")
    if result["failed"] or not result["requests"]:
        raise CannotMeasure(f"{result['failed']} requests of {path} failed, "
                            f"{result['requests']} did not")
    return {"rate": result["requests"] / result["us"] * 1e6,
            "p50": result["p50_us"] / 1000, "p99": result["p99_us"] / 1000}


def medians(runs):
    return {key: statistics.median(r[key] for r in runs) for key in runs[0]}


def check(server, path, body, expected):
    status, answer = fetch(server.port, path, body)
    if status != 200 or not expected(answer):
        raise CannotMeasure(f"{path} answers {status} and {len(answer)} "
                            f"bytes: {answer[:200]!r}")


def number(value):
    """Three digits that matter, thousands apart."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else \
        f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def figures(m):
    return (f"{number(m['rate'])}/s, p50 {number(m['p50'])} ms, "
            f"p99 {number(m['p99'])} ms")


def goal(text, met, floor=None):
    """floor: what is still good enough, and whether it is met."""
    if met:
        return f"{text}: met"
    if floor is None:
        return f"{text}: missed"
    return f"{text}: missed; {floor[0]}: {'met' if floor[1] else 'missed'}"


class Bench:
    """What all rows need: programs, bodies, servers that run on demand."""

    def __init__(self, options, stack, directory):
        build = pathlib.Path(options.build).resolve()
        self.options = options
        self.stack = stack
        self.directory = directory
        self.ufop = str(build / "ufop")
        self.programs = build / "bench"
        self.services = build / "services"
        self.cpus = os.environ.get("CPU_COUNT") or \
            str(len(os.sched_getaffinity(0)))
        # Nobody's settings but the built-in ones.
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith("UFOP_") and
                    name not in ("FLAVOR", "PORT_HTTP")}
        self.env["CPU_COUNT"] = self.cpus
        self.running = {}
        self.table = []

    def row(self, what, ours, beside="", ratio=None, verdict=""):
        self.table.append((what, ours, beside,
                           "" if ratio is None else f"{ratio:.2f}", verdict))

    def fresh(self, kind):
        """A server that is not running yet, with a directory of its own."""
        path = tempfile.mkdtemp(prefix=kind.__name__.lower() + ".",
                                dir=self.directory)
        return kind(self, pathlib.Path(path))

    def server(self, kind):
        """The one that is kept running for all rows."""
        if kind not in self.running:
            server = self.stack.enter_context(self.fresh(kind))
            server.wait("/health" if kind is Up else "/hello")
            self.running[kind] = server
        return self.running[kind]

    def body(self, size):
        path = self.directory / f"body.{size}"
        if not path.exists():
            path.write_bytes(os.urandom(size))
        return path

    def photo(self):
        path = self.directory / "photo.jpg"
        if path.exists():
            return path
        if self.options.photo:
            path.write_bytes(pathlib.Path(self.options.photo).read_bytes())
        elif not os.path.exists(PHOTO):
            raise CannotMeasure(f"there is no {PHOTO}; install the packages "
                                "of scripts/bench.d/packages")
        else:
            run([self.ufop, "process", PHOTO_CMD, PHOTO, "-o", str(path)],
                env=self.env)
        return path

    def runs(self, what):
        for i in range(self.options.runs):
            say(f"{what}, run {i + 1} of {self.options.runs}")
            yield i


# ---- rows ------------------------------------------------------------------

def measure_hello(bench):
    up, direct = bench.server(Up), bench.server(Direct)
    path = up.handler("hello")
    for server, at in ((up, path), (direct, "/hello")):
        check(server, at, None, lambda answer: answer == b"hello world")
        wrk(server, at, 16, 1)          # warm
    counts = (1, 16, 64, 256)
    ours = {count: [] for count in counts}
    theirs = {count: [] for count in counts}
    for _ in bench.runs("hello"):
        for count in counts:
            ours[count].append(wrk(up, path, count, bench.options.seconds))
            theirs[count].append(wrk(direct, "/hello", count,
                                     bench.options.seconds))
    for count in counts:
        m, d = medians(ours[count]), medians(theirs[count])
        verdict = ""
        if count == 1:
            verdict = goal("p50 at most 0.15 ms", m["p50"] <= 0.15,
                           ("0.2 ms", m["p50"] <= 0.2))
        elif count == 256:
            verdict = goal("40,000/s", m["rate"] >= 40000,
                           ("30,000/s", m["rate"] >= 30000))
        bench.row(f"hello, {count} connection{'s' if count > 1 else ''}",
                  figures(m), "Kore alone: " + figures(d),
                  m["rate"] / d["rate"], verdict)


def measure_echo(bench):
    up, direct = bench.server(Up), bench.server(Direct)
    path = up.handler("echo")
    for size, words in ((100 * 1000, "100 KB"), (MB, "1 MB")):
        body = bench.body(size)
        content = body.read_bytes()
        for server, at in ((up, path), (direct, "/echo")):
            check(server, at, content, lambda answer: answer == content)
            wrk(server, at, 16, 1, body)
        ours, theirs = [], []
        for _ in bench.runs(f"echo of {words}"):
            ours.append(wrk(up, path, 16, bench.options.seconds, body))
            theirs.append(wrk(direct, "/echo", 16, bench.options.seconds,
                              body))
        m, d = medians(ours), medians(theirs)
        ratio = m["rate"] / d["rate"]
        bench.row(f"echo of {words}, 16 connections", figures(m),
                  "Kore alone: " + figures(d), ratio,
                  goal("ratio 0.5", ratio >= 0.5))


def measure_upload(bench):
    """A body at the limit, to a task that reads none of it."""
    body = bench.body(UPLOAD)
    # One of its own: the peak must not be another row's.
    with bench.fresh(Up) as up:
        up.wait("/health")
        path = up.handler("json")
        check(up, path, body.read_bytes(),
              lambda answer: json.loads(answer)["len"] == UPLOAD)
        front = up.parts()[0]
        forget_peak(front)
        pss = [pss_mb(front)]
        done = threading.Event()

        def watch():
            while not done.wait(0.02):
                pss.append(pss_mb(front))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            runs = [wrk(up, path, 4, bench.options.seconds, body)
                    for _ in bench.runs("upload of 20 MB")]
        finally:
            done.set()
            watcher.join()
        peak = peak_mb(front)
    m = medians(runs)
    bench.row("upload of 20 MB, 4 connections", figures(m), "", None,
              goal("p50 at most 150 ms", m["p50"] <= 150))
    bench.row("the front's peak memory meanwhile",
              f"{number(peak)} MB resident, {number(max(pss))} MB PSS", "",
              None, goal("at most 40 MB", peak <= 40))


def is_thumbnail(answer):
    """A JPEG, and not the photograph itself."""
    return answer[:2] == b"\xff\xd8" and len(answer) < 200 * 1000


def measure_thumbnail(bench):
    photo = bench.photo()
    up = bench.server(Up)
    path = up.handler(THUMBNAIL)
    check(up, path, photo.read_bytes(), is_thumbnail)
    wrk(up, path, 16, 1, photo)
    # Few requests a second: longer, so that the last ones weigh less.
    seconds = 2 * bench.options.seconds
    ours, theirs = [], []
    for _ in bench.runs("thumbnail"):
        ours.append(wrk(up, path, 16, seconds, photo))
        result = last_json(run(
            [str(bench.programs / "loop"), bench.cpus, str(seconds),
             str(bench.services / "images.so"), THUMBNAIL, str(photo)],
            env=bench.env), "loop")
        theirs.append({"rate": result["jobs"] / result["seconds"]})
    m, d = medians(ours), medians(theirs)
    ratio = m["rate"] / d["rate"]
    size = photo.stat().st_size / MB
    bench.row(f"thumbnail of a photograph ({number(size)} MB), "
              "16 connections", figures(m),
              f"the handler alone, {bench.cpus} processes: "
              f"{number(d['rate'])}/s", ratio,
              goal("ratio 0.9", ratio >= 0.9) + "; " +
              goal("48/s", m["rate"] >= 48))


def measure_idle(bench):
    runs = []
    for _ in bench.runs("idle memory"):
        with bench.fresh(Up) as up:
            up.wait("/health")
            check(up, up.handler("hello"), None,
                  lambda answer: answer == b"hello world")
            front, parent, below, supervisor = up.parts()
            runs.append({"front": pss_mb(front), "parent": pss_mb(parent),
                         "below": pss_mb(below), "up": pss_mb(supervisor)})
    m = medians(runs)
    whole = m["front"] + m["parent"] + m["below"]
    bench.row("memory at rest", f"{number(whole)} MB PSS: front "
              f"{number(m['front'])}, worker {number(m['parent'])}, its "
              f"children {number(m['below'])}; `ufop up` itself "
              f"{number(m['up'])}", "", None,
              goal("at most 25 MB", whole <= 25))


def measure_start(bench):
    runs = []
    for _ in bench.runs("start"):
        took = {}
        for key, path in (("health", "/health"), ("hello", None)):
            with bench.fresh(Up) as up:
                took[key] = up.wait(path or up.handler("hello")) * 1000
        runs.append(took)
    m = medians(runs)
    bench.row("start to the first 200", f"/health {number(m['health'])} ms, "
              f"hello {number(m['hello'])} ms", "", None,
              goal("at most 300 ms", max(m.values()) <= 300))


ROWS = {
    "hello": measure_hello,
    "echo": measure_echo,
    "upload": measure_upload,
    "thumbnail": measure_thumbnail,
    "idle": measure_idle,
    "start": measure_start,
}


# ---- the report ------------------------------------------------------------

def machine(bench):
    """What the numbers were measured on, a line each."""
    cpu = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    system = os.uname()
    packages = run(["dpkg-query", "-W", "-f=${Package} ${Version}, ",
                    *PACKAGES]).strip(" ,")
    lines = [f"{cpu}, {len(os.sched_getaffinity(0))} cores, "
             f"{memory / 1e9:.0f} GB; {system.sysname} {system.release} "
             f"{system.machine}",
             packages,
             f"CPU_COUNT={bench.cpus}; medians of {bench.options.runs} runs "
             f"of {bench.options.seconds} s; load before: "
             f"{os.getloadavg()[0]:.2f}"]
    with contextlib.suppress(CannotMeasure, OSError):
        commit = run(["git", "-C", str(HERE), "describe", "--always",
                      "--dirty"]).strip()
        lines.append(f"{run([bench.ufop, '--version']).strip()} ({commit}), "
                     f"{time.strftime('%Y-%m-%d')}")
    return lines


TITLES = ("what", "ufop", "beside it", "ratio", "goal")


def print_markdown(lines, table):
    for line in lines:
        print(f"- {line}")
    print("\n| " + " | ".join(TITLES) + " |")
    print("|" + "---|" * len(TITLES))
    for row in table:
        print("| " + " | ".join(row) + " |")


def print_text(lines, table):
    for line in lines:
        print(line)
    for row in table:
        print(f"\n{row[0]}")
        for title, text in zip(TITLES[1:], row[1:]):
            if text:
                print(f"    {title:<10}{text}")


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure ufop; docs/benchmarks.md "
        "says what the rows mean.")
    parser.add_argument("rows", metavar="NAME", nargs="*",
                        help="what to measure: " + ", ".join(ROWS) +
                        " (all unless given)")
    parser.add_argument("-n", "--runs", type=int, default=5,
                        help="runs of which the median counts (%(default)s)")
    parser.add_argument("-t", "--seconds", type=int, default=3,
                        help="length of one run (%(default)s)")
    parser.add_argument("--photo", metavar="FILE",
                        help="a JPEG in place of the packaged photograph")
    parser.add_argument("--markdown", action="store_true",
                        help="print a table for docs/benchmarks.md")
    parser.add_argument("--build", default="build", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    for name in options.rows:
        if name not in ROWS:
            parser.error(f"there is no {name}; there are {', '.join(ROWS)}")
    if options.runs < 1 or options.seconds < 1:
        parser.error("runs and seconds are numbers from 1")
    return options


def main(argv):
    options = parse(argv)
    failures = []
    # The servers are stopped on the way out, whatever the reason.
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda number, frame: sys.exit(128 + number))
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="ufop-bench."))
        bench = Bench(options, stack, pathlib.Path(directory))
        lines = machine(bench)
        for name in options.rows or ROWS:
            try:
                ROWS[name](bench)
            except (CannotMeasure, OSError) as error:
                failures.append(f"cannot measure {name}: {error}")
    if bench.table:
        (print_markdown if options.markdown else print_text)(lines,
                                                             bench.table)
    for failure in failures:
        say(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
