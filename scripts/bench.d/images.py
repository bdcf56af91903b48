# SPDX-License-Identifier: MIT
"""Measure ufop's pictures beside those of sharp, nginx and libvips.

Called by scripts/bench-images; what the rows mean is in docs/benchmarks.md.
"""
import collections
import functools
import os
import pwd
import struct
import subprocess
import sys

from common import (HERE, WARM_S, Bench, CannotMeasure, Server, Up, check,
                    fetch, forget_peak, free_port, goal, main, median_ratio,
                    medians, number, peak_mb, rate, run, there_and_back, wrk)

QUALITY = 75
CONNECTIONS = 16
HANDLER = 0.9               # of the handler alone, at least
CHILD_MB = 45               # the most a child may take for a thumbnail
PROGRESSIVE = 1.05          # of libvips' time, at most
PACKAGES = ("libvips42", "libnginx-mod-http-image-filter", "nodejs",
            "libdeflate0", "libwebp7")
MODULES = "/usr/lib/nginx/modules"

# The pictures, all of the one photograph; how ufop itself makes them of it.
SOURCES = {
    "12.jpg": None,
    "2.jpg": "thumbnail/w/1886/q/92",
    "4.png": "thumbnail/w/2666/format/png",
    "progressive.jpg": "imageMogr2/interlace/1/quality/92",
}

# cmd: ufop's; work: that of images/sharp.js and images/vips.c; nginx: whether
# it can do that; kind: what must come out; sharp: the goal, ufop by sharp.
Case = collections.namedtuple("Case", "what source cmd work nginx kind sharp")
CASES = {
    "thumbnail": Case(
        "12 MP JPEG to 320 wide", "12.jpg", f"thumbnail/w/320/q/{QUALITY}",
        f"jpeg/320/{QUALITY}", True, ("jpeg", 320, 180), 1.0),
    "small": Case(
        "2 MP JPEG to 320 wide", "2.jpg", f"thumbnail/w/320/q/{QUALITY}",
        f"jpeg/320/{QUALITY}", True, ("jpeg", 320, 180), 1.15),
    "png": Case(
        "4 MP PNG to PNG, 320 wide", "4.png", "thumbnail/w/320",
        "png/320", True, ("png", 320, 180), 1.25),
    "crop": Case(
        "1000x560 out of a 12 MP JPEG", "12.jpg",
        f"imageMogr2/crop/!1000x560a1809a1019/quality/{QUALITY}!",
        f"crop/1809/1019/1000/560/{QUALITY}", False, ("jpeg", 1000, 560),
        1.5),
    "webp": Case(
        "12 MP JPEG to WebP, 800 wide", "12.jpg",
        f"thumbnail/w/800/format/webp/q/{QUALITY}", f"webp/800/{QUALITY}",
        False, ("webp", 800, 450), 1.15),
    "progressive": Case(
        "progressive 12 MP JPEG to 320 wide", "progressive.jpg",
        f"thumbnail/w/320/q/{QUALITY}", f"jpeg/320/{QUALITY}", True,
        ("jpeg", 320, 180), None),
}


# ---- looking at pictures ---------------------------------------------------

def jpeg_size(data):
    at = 2
    while at + 9 < len(data) and data[at] == 0xff:
        marker = data[at + 1]
        if 0xc0 <= marker <= 0xcf and marker not in (0xc4, 0xc8, 0xcc):
            h, w = struct.unpack(">HH", data[at + 5:at + 9])
            return w, h
        at += 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
    return 0, 0


def kind_of(data):
    """Format, width and height, as the bytes have it."""
    if data[:2] == b"\xff\xd8":
        return ("jpeg", *jpeg_size(data))
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return ("png", *struct.unpack(">II", data[16:24]))
    if data[:4] == b"RIFF" and data[8:15] == b"WEBPVP8":
        # What libvips writes has another header, with a profile, in front.
        at = data.find(b"\x9d\x01\x2a") + 3
        return ("webp", *(side & 0x3fff for side in
                          struct.unpack("<HH", data[at:at + 4])))
    return ("neither JPEG nor PNG nor WebP", 0, 0)


def right(who, data, case):
    """Also its size in bytes, for the table."""
    if kind_of(data) != case.kind:
        raise CannotMeasure(f"{who} answers {kind_of(data)} in place of "
                            f"{case.kind}: {data[:200]!r}")
    return len(data)


# ---- the others ------------------------------------------------------------

class Sharp(Server):
    """
    As many processes as cores, one thread a picture.  Of what can be set, that
    was the fastest: see docs/benchmarks.md.
    """
    ready = "/"

    def __init__(self, bench, directory):
        self.port = free_port()
        modules = bench.programs.parent / "bench-images" / "node_modules"
        super().__init__(["node", str(HERE / "images" / "sharp.js"),
                          str(self.port), bench.cpus], directory,
                         dict(bench.env, NODE_PATH=str(modules)))


class Nginx(Server):
    ready = "/"

    def __init__(self, bench, directory):
        self.port = free_port()
        conf = (HERE / "images" / "nginx.conf").read_text()
        for name, value in (
                ("PORT", self.port), ("PROCESSES", bench.cpus),
                ("USER", pwd.getpwuid(os.getuid()).pw_name),
                ("ROOT", bench.directory), ("QUALITY", QUALITY),
                ("MODULE", f"{MODULES}/ngx_http_image_filter_module.so")):
            conf = conf.replace(f"@{name}@", str(value))
        (directory / "nginx.conf").write_text(conf)
        super().__init__(["/usr/sbin/nginx", "-p", str(directory), "-c",
                          "nginx.conf", "-e", "stderr"], directory, bench.env)


class Pictures(Bench):
    def source(self, name):
        path = self.directory / name
        if not path.exists():
            if SOURCES[name] is None:
                self.photo().rename(path)
            else:
                self.process(SOURCES[name], self.source("12.jpg"), path)
        return path

    def vips(self, processes, seconds, work, source):
        return [str(self.programs / "vips"), str(processes), str(seconds),
                work, str(source)]


def vips_answer(bench, case, source):
    return subprocess.run(bench.vips(0, 0, case.work, source), check=True,
                          stdout=subprocess.PIPE).stdout


# ---- rows ------------------------------------------------------------------

def servers(bench, case, source):
    """By name: the server, the path to ask it, and what to send."""
    up = bench.server(Up)
    found = {"ufop": (up, up.handler(case.cmd), source),
             "sharp": (bench.server(Sharp), "/" + case.work, source)}
    if case.nginx:
        found["nginx"] = (bench.server(Nginx), "/320/" + case.source, None)
    return found


def measure_case(bench, case):
    source = bench.source(case.source)
    asked = servers(bench, case, source)
    sizes = {}
    for who, (server, path, body) in asked.items():
        status, answer = fetch(server.port, path,
                               body.read_bytes() if body else None)
        if status != 200:
            raise CannotMeasure(f"{who} answers {status}: {answer[:200]!r}")
        sizes[who] = right(who, answer, case)
        # Warm; the first answer of sixteen at once can take seconds.
        wrk(server, path, CONNECTIONS, WARM_S + bench.options.seconds, body)
    sizes["libvips"] = right("libvips", vips_answer(bench, case, source), case)
    seconds = bench.options.seconds
    measures = {who: functools.partial(wrk, *asked[who][:2], CONNECTIONS,
                                       seconds, asked[who][2], warm=WARM_S)
                for who in asked}
    measures["libvips"] = lambda: rate(run(bench.vips(
        bench.cpus, seconds, case.work, source)), "vips")
    # Next to ufop, which it is compared with most closely.
    measures = {"handler": lambda: bench.alone(case.cmd, source, seconds),
                **measures}
    runs = [there_and_back(measures) for _ in bench.runs(case.what)]
    rates = {who: medians([run[who] for run in runs])["rate"]
             for who in measures}

    def cell(who):
        if who not in rates:
            return "-"
        text = f"{number(rates[who])}/s"
        return text + (f", {number(sizes[who] / 1000)} KB" if who in sizes
                       else "")

    by_sharp = median_ratio(runs, "ufop", "sharp")
    by_handler = median_ratio(runs, "ufop", "handler")
    verdicts = []
    if case.sharp is not None:
        verdicts.append(goal(f"{case.sharp} of sharp", by_sharp >= case.sharp))
    if case.kind[0] == "png":
        verdicts.append(goal("no longer than sharp's",
                             sizes["ufop"] <= sizes["sharp"]))
    if case.source == "progressive.jpg":
        took = median_ratio(runs, "libvips", "handler")
        verdicts.append(goal(f"the handler in {PROGRESSIVE} of libvips' time "
                             f"({took:.2f})", took <= PROGRESSIVE))
    verdicts.append(goal(f"{HANDLER} of the handler", by_handler >= HANDLER))
    bench.row(case.what, cell("ufop"), cell("sharp"), by_sharp,
              cell("handler"), by_handler, cell("libvips"), cell("nginx"),
              "; ".join(verdicts))


def measure_memory(bench):
    """Of the child that takes most, for the thumbnail of 12 MP."""
    case = CASES["thumbnail"]
    source = bench.source(case.source)
    # One of its own: the peak must not be another row's.
    with bench.fresh(Up) as up:
        up.wait(up.ready)
        path = up.handler(case.cmd)
        check(up, path, source.read_bytes(),
              lambda answer: kind_of(answer) == case.kind)
        below = up.parts()[2]
        forget_peak(below)
        wrk(up, path, CONNECTIONS, 2 * bench.options.seconds, source)
        peak = max(peak_mb([pid]) for pid in below)
    bench.row("peak memory of a child meanwhile, 12 MP to 320 wide",
              f"{number(peak)} MB", None, None, None, None, None, None,
              goal(f"at most {CHILD_MB} MB", peak <= CHILD_MB))


def row(name):
    return lambda bench: measure_case(bench, CASES[name])


ROWS = {name: row(name) for name in CASES}
ROWS["memory"] = measure_memory

if __name__ == "__main__":
    main(sys.argv[1:], "scripts/bench-images", ROWS,
         ("what", "ufop", "sharp", "ratio", "handler alone", "ratio",
          "libvips alone", "nginx", "goals"), PACKAGES, Pictures)
