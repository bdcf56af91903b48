# SPDX-License-Identifier: MIT
"""Measure ufop, side by side with what it could be at best.

Called by scripts/bench; what the rows mean is in docs/benchmarks.md.
"""
import json
import sys
import threading

from common import (HERE, MB, WARM_S, Server, Up, check, figures, forget_peak,
                    free_port, goal, main, median_ratio, medians, number,
                    peak_mb, pss_mb, there_and_back, wrk)

THUMBNAIL = "thumbnail/w/320"
UPLOAD = 20 << 20           # the largest body that ufop takes unless told


class Direct(Server):
    """Kore that answers by itself."""
    ready = "/hello"

    def __init__(self, bench, directory):
        self.port = free_port()
        conf = (HERE / "direct.conf").read_text()
        conf = conf.replace("@PORT@", str(self.port))
        conf = conf.replace("@MODULE@", str(bench.programs / "direct.so"))
        (directory / "direct.conf").write_text(conf)
        super().__init__(["kore", "-f", "-r", "-n", "-c", "direct.conf"],
                         directory, bench.env)


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
    seconds = bench.options.seconds
    runs = [there_and_back({
        "ufop": lambda: wrk(up, path, 16, seconds, photo, warm=WARM_S),
        "handler": lambda: bench.alone(THUMBNAIL, photo, seconds)})
        for _ in bench.runs("thumbnail")]
    m, d = (medians([run[who] for run in runs]) for who in runs[0])
    by_handler = median_ratio(runs, "ufop", "handler")
    size = photo.stat().st_size / MB
    bench.row(f"thumbnail of a photograph ({number(size)} MB), "
              "16 connections", figures(m),
              f"the handler alone, {bench.cpus} processes: "
              f"{number(d['rate'])}/s", by_handler,
              goal("ratio 0.9", by_handler >= 0.9) + "; " +
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


if __name__ == "__main__":
    main(sys.argv[1:], "scripts/bench", ROWS,
         ("what", "ufop", "beside it", "ratio", "goal"))
