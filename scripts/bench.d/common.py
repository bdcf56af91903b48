# SPDX-License-Identifier: MIT
"""What scripts/bench and scripts/bench-images share: servers on loopback, wrk,
runs by turns, and the table.
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
import time

HERE = pathlib.Path(__file__).resolve().parent
PHOTO = "/usr/share/backgrounds/Kleiber_by_Lukas_Baubkus.jpg"
# To 12 megapixels and about 3 MB, as cameras write them.
PHOTO_CMD = "thumbnail/w/4618/q/92"
MB = 1000 * 1000
START_S = 15                # a server must answer by then
STOP_S = 40
WARM_S = 2                  # pictures come steadily then
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
    ready = "/health"

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


def wrk(server, path, connections, seconds, body=None, warm=0):
    """
    One run of wrk: rate in requests/s, p50 and p99 in ms.  warm: for how many
    seconds more answers come, but do not count.
    """
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{warm + seconds}s",
            "--timeout=30s", "-s", str(HERE / "report.lua"),
            f"http://127.0.0.1:{server.port}{path}"]
    if body is not None:
        argv += ["--", str(body)]
        if warm:
            argv += [str(warm), str(seconds)]
    result = last_json(run(argv), "wrk")
    if result["failed"] or not result["rate"]:
        raise CannotMeasure(f"{result['failed']} requests of {path} failed, "
                            f"{result['requests']} did not")
    return {"rate": result["rate"],
            "p50": result["p50_us"] / 1000, "p99": result["p99_us"] / 1000}


def rate(output, what):
    """Of a program that prints how many jobs it has done, and how long."""
    result = last_json(output, what)
    return {"rate": result["jobs"] / result["seconds"]}


def medians(runs):
    return {key: statistics.median(r[key] for r in runs) for key in runs[0]}


def there_and_back(measures):
    """
    The mean of what each function gives when they are called in order, and in
    the reverse order: a machine that becomes slower does so for all.
    """
    got = {name: [measures[name]()] for name in measures}
    for name in reversed(measures):
        got[name].append(measures[name]())
    return {name: {key: statistics.mean(m[key] for m in two)
                   for key in two[0]} for name, two in got.items()}


def median_ratio(runs, who, other):
    """Of the rates; that of a run, and of all runs the median."""
    return statistics.median(run[who]["rate"] / run[other]["rate"]
                             for run in runs)


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

    def row(self, *cells):
        """A line of the table; a number in it is a ratio, None is nothing."""
        self.table.append(tuple(
            "" if cell is None else
            cell if isinstance(cell, str) else f"{cell:.2f}"
            for cell in cells))

    def fresh(self, kind):
        """A server that is not running yet, with a directory of its own."""
        path = tempfile.mkdtemp(prefix=kind.__name__.lower() + ".",
                                dir=self.directory)
        return kind(self, pathlib.Path(path))

    def server(self, kind):
        """The one that is kept running for all rows."""
        if kind not in self.running:
            server = self.stack.enter_context(self.fresh(kind))
            server.wait(server.ready)
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
            self.process(PHOTO_CMD, PHOTO, path)
        return path

    def process(self, cmd, source, result):
        run([self.ufop, "process", cmd, str(source), "-o", str(result)],
            env=self.env)

    def alone(self, cmd, source, seconds):
        """The handler's rate by loop.c, as many processes as cores."""
        return rate(run([str(self.programs / "loop"), self.cpus, str(seconds),
                         str(self.services / "images.so"), cmd, str(source)],
                        env=self.env), "loop")

    def runs(self, what):
        for i in range(self.options.runs):
            say(f"{what}, run {i + 1} of {self.options.runs}")
            yield i


# ---- the report ------------------------------------------------------------

def machine(bench, packages):
    """What the numbers were measured on, a line each."""
    cpu = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    system = os.uname()
    versions = run(["dpkg-query", "-W", "-f=${Package} ${Version}, ",
                    *packages]).strip(" ,")
    lines = [f"{cpu}, {len(os.sched_getaffinity(0))} cores, "
             f"{memory / 1e9:.0f} GB; {system.sysname} {system.release} "
             f"{system.machine}",
             versions,
             f"CPU_COUNT={bench.cpus}; medians of {bench.options.runs} runs "
             f"of {bench.options.seconds} s; load before: "
             f"{os.getloadavg()[0]:.2f}"]
    with contextlib.suppress(CannotMeasure, OSError):
        commit = run(["git", "-C", str(HERE), "describe", "--always",
                      "--dirty"]).strip()
        lines.append(f"{run([bench.ufop, '--version']).strip()} ({commit}), "
                     f"{time.strftime('%Y-%m-%d')}")
    return lines


def print_markdown(lines, titles, table):
    for line in lines:
        print(f"- {line}")
    print("\n| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles))
    for row in table:
        print("| " + " | ".join(row) + " |")


def print_text(lines, titles, table):
    for line in lines:
        print(line)
    for row in table:
        print(f"\n{row[0]}")
        for title, text in zip(titles[1:], row[1:]):
            if text:
                print(f"    {title:<15}{text}")


def parse(argv, prog, rows):
    parser = argparse.ArgumentParser(
        prog=prog, description="Measure ufop; docs/benchmarks.md says what "
        "the rows mean.")
    parser.add_argument("rows", metavar="NAME", nargs="*",
                        help="what to measure: " + ", ".join(rows) +
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
        if name not in rows:
            parser.error(f"there is no {name}; there are {', '.join(rows)}")
    if options.runs < 1 or options.seconds < 1:
        parser.error("runs and seconds are numbers from 1")
    return options


def main(argv, prog, rows, titles, packages=(), bench_class=None):
    """
    The whole of a benchmark: rows are functions by their names, which add to
    bench.table lines of as many cells as there are titles.  Exits.
    """
    try:
        sys.exit(measure(parse(argv, prog, rows), rows, titles, packages,
                         bench_class or Bench))
    except KeyboardInterrupt:
        sys.exit(130)


def measure(options, rows, titles, packages, bench_class):
    failures = []
    # The servers are stopped on the way out, whatever the reason.
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda number, frame: sys.exit(128 + number))
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="ufop-bench."))
        bench = bench_class(options, stack, pathlib.Path(directory))
        lines = machine(bench, PACKAGES + tuple(packages))
        for name in options.rows or rows:
            try:
                rows[name](bench)
            except (CannotMeasure, OSError) as error:
                failures.append(f"cannot measure {name}: {error}")
    if bench.table:
        show = print_markdown if options.markdown else print_text
        show(lines, titles, bench.table)
    for failure in failures:
        say(failure)
    return 1 if failures else 0

