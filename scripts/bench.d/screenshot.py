# SPDX-License-Identifier: MIT
"""
ufop's screenshots beside those of the usual tools: see scripts/bench-screenshot.

Each tool is measured with one client and with two on each page, in turns, so
that a slow minute of the machine meets all of them.  A number is the median of
the runs.  Memory is PSS, of the tool with all its processes (ufop: front,
worker, children and browsers; not Redis), a second after two clients.
"""

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import http.server
import urllib.parse
import urllib.request
import zlib
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
CHROMIUM = "/usr/lib/chromium/chromium-headless-shell"
TOOLS = ("playwright", "puppeteer", "selenium", "selenium-each", "ufop")
PAGES = ("article", "pictures", "script")
SETTLE_S = 1        # for what was closed to be gone before memory is looked at


# ---- pages -------------------------------------------------------------


def words(n, seed):
    rng = random.Random(seed)
    stems = "lor em ip sum dol or sit am et con sec te tur ad ip is cing".split()
    return " ".join(rng.choice(stems) + rng.choice(stems) for _ in range(n))


def png(w, h, seed):
    rng = random.Random(seed)
    noise = rng.randbytes(4096)
    rows = b"".join(b"\0" + bytes(
        (x * 255 // w + noise[(x * 7 + y * 13 + c) % 4096] // 8) & 255
        for x in range(w) for c in range(3)) for y in range(h))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
        ">IIBBBBB", w, h, 8, 2, 0, 0, 0)) + chunk(
            b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def pages():
    head = "<!doctype html><meta charset=utf-8><style>body{font:16px/1.5 " \
        "sans-serif;margin:40px auto;width:900px}figure{float:left;margin:4px}" \
        "td,th{border:1px solid #aaa;padding:2px 9px}</style>"
    found = {
        "/article": head + "<h1>An article</h1>" + "".join(
            "<h2>%s</h2><p>%s</p><p>%s</p>" % (
                words(4, i), words(160, i + 100), words(120, i + 200))
            for i in range(30)),
        "/pictures": head + "".join(
            "<figure><img src=/p%d.png width=212 height=160></figure>" % i
            for i in range(16)),
        "/script": head + "<div id=app></div><script>const r=n=>(n*7919)%104729"
        ";const rows=[...Array(600).keys()].map(i=>({id:i,a:r(i),b:r(i*3),c:"
        "'item '+r(i*5)}));rows.sort((x,y)=>x.a-y.a);const t=document."
        "createElement('table');for(const row of rows){const tr=t.insertRow();"
        "for(const k in row)tr.insertCell().textContent=row[k]}document."
        "getElementById('app').append(t);for(let i=0;i<40;i++){const c="
        "document.createElement('canvas');c.width=c.height=60;const g="
        "c.getContext('2d');g.fillStyle=`hsl(${i*9},70%,50%)`;g.arc(30,30,25,"
        "0,7);g.fill();document.body.prepend(c)}</script>",
    }
    found = {k: ("text/html", v.encode()) for k, v in found.items()}
    for i in range(16):
        found["/p%d.png" % i] = ("image/png", png(424, 320, i))
    return found


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve():
    content = pages()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            kind, body = content.get(self.path, ("text/plain", b""))
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


# ---- looking at processes ----------------------------------------------


def below(root):
    children = {}
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                with open("/proc/%s/stat" % pid) as f:
                    text = f.read()
            except OSError:
                continue
            parent = int(text[text.rindex(")") + 2:].split()[1])
            children.setdefault(parent, []).append(int(pid))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def pss_mb(root, but=()):
    total = 0
    for pid in below(root):
        try:
            with open("/proc/%d/comm" % pid) as f:
                if f.read().strip() in but:
                    continue
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += sum(int(line.split()[1]) for line in f
                             if line.startswith("Pss:"))
        except OSError:
            pass
    return total / 1024


# ---- the tools ---------------------------------------------------------


class NodeTool:
    def __init__(self, name, build):
        self.name = name
        self.env = dict(os.environ, NODE_PATH=os.path.abspath(os.path.join(
            build, "bench-screenshot", "node_modules")))

    def run(self, url, clients, seconds):
        p = subprocess.Popen(
            ["node", os.path.join(HERE, "screenshot.js"), self.name, CHROMIUM,
             str(clients), str(seconds), url], env=self.env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = p.stdout.readline()
        time.sleep(SETTLE_S)
        memory = pss_mb(p.pid)
        p.stdin.close()
        if p.wait() != 0 or not line:
            sys.exit("bench-screenshot: %s failed" % self.name)
        result = json.loads(line)
        return result["times"], result["wall"], memory


class Ufop:
    name = "ufop"

    def __init__(self, build):
        self.ufop = os.path.join(build, "ufop")
        self.process = None

    def start(self):
        self.dir = tempfile.TemporaryDirectory()
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port = s.getsockname()[1]
        with open(os.path.join(self.dir.name, "ufop.ini"), "w") as f:
            f.write("[ufop]\nservices = screenshot\n[worker]\npools = net=2\n"
                    "[fetch]\nallow = 127.0.0.1\n[front]\n"
                    "listen = 127.0.0.1:%d\n" % self.port)
        self.log = open(os.path.join(self.dir.name, "log"), "wb")
        self.process = subprocess.Popen([self.ufop, "up", "-C", self.dir.name],
                                        stdout=self.log, stderr=self.log)
        for _ in range(500):
            try:
                urllib.request.urlopen("http://127.0.0.1:%d/health" %
                                       self.port).read()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        sys.exit("bench-screenshot: ufop does not start: %s" %
                 open(self.log.name).read())

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.dir.cleanup()

    def run(self, url, clients, seconds):
        self.start()
        try:
            return self.shoot(url, clients, seconds)
        finally:
            self.stop()

    def shoot(self, url, clients, seconds):
        target = "http://127.0.0.1:%d/handler?cmd=ufop/screenshot&url=%s" % (
            self.port, urllib.parse.quote(url, safe=""))
        times, errors = [], []
        warm = threading.Barrier(clients + 1)

        def shoot():
            png_bytes = urllib.request.urlopen(target).read()
            if len(png_bytes) < 1000:
                raise ValueError("no picture")

        def client():
            try:
                # As often as there are children, so that all are warm.
                shoot()
                shoot()
                warm.wait()
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    at = time.monotonic()
                    shoot()
                    times.append((time.monotonic() - at) * 1000)
            except (OSError, ValueError) as e:
                errors.append(e)
                warm.abort()

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for t in threads:
            t.start()
        try:
            warm.wait()
        except threading.BrokenBarrierError:
            pass
        began = time.monotonic()
        for t in threads:
            t.join()
        wall = time.monotonic() - began
        if errors:
            sys.exit("bench-screenshot: ufop failed: %s" % errors[0])
        time.sleep(SETTLE_S)
        return times, wall, pss_mb(self.process.pid, but=("redis-server",))


# ---- measuring ---------------------------------------------------------


def machine():
    with open("/proc/cpuinfo") as f:
        model = [line.split(":")[1].strip() for line in f
                 if line.startswith("model name")]
    packages = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}, ",
         "chromium-headless-shell"], capture_output=True, text=True).stdout
    return "%d x %s, Linux %s, %snode %s" % (
        os.cpu_count(), model[0] if model else "?", os.uname().release,
        packages, subprocess.run(["node", "--version"], capture_output=True,
                                 text=True).stdout.strip())


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--build", default="build")
    ap.add_argument("-n", type=int, default=3, help="runs of each (3)")
    ap.add_argument("-t", type=float, default=8, help="seconds of each (8)")
    ap.add_argument("--markdown", action="store_true")
    ap.add_argument("tools", nargs="*", metavar="TOOL", help=" ".join(TOOLS))
    args = ap.parse_args()
    names = args.tools or TOOLS
    if set(names) - set(TOOLS):
        ap.error("tools are " + ", ".join(TOOLS))
    port = serve()
    got = {}
    for _ in range(args.n):
        for name in names:
            tool = Ufop(args.build) if name == "ufop" else \
                NodeTool(name, args.build)
            for page in PAGES:
                url = "http://127.0.0.1:%d/%s" % (port, page)
                for clients in (1, 2):
                    times, wall, memory = tool.run(url, clients, args.t)
                    got.setdefault((name, page, clients), []).append(
                        (statistics.median(times), len(times) / wall, memory))
    print(machine())
    row = "| %-13s | %-8s | %9s | %9s | %9s | %7s |" if args.markdown else \
        "%-13s  %-8s  %9s  %9s  %9s  %7s"
    print(row % ("tool", "page", "p50 ms, 1", "shots/s,1", "shots/s,2",
                 "PSS MB"))
    if args.markdown:
        print(row % (("---",) * 6))
    for page in PAGES:
        for name in names:
            one, two = got[name, page, 1], got[name, page, 2]
            print(row % (
                name, page,
                "%.0f" % statistics.median(r[0] for r in one),
                "%.1f" % statistics.median(r[1] for r in one),
                "%.1f" % statistics.median(r[1] for r in two),
                "%.0f" % statistics.median(r[2] for r in two)))
    if {"ufop", "playwright", "selenium"} <= set(names):
        show_goals(got, args.markdown)


def show_goals(got, markdown):
    """What ufop is to reach, as ratios of medians."""
    def median(name, page, clients, what):
        return statistics.median(r[what] for r in got[name, page, clients])

    def ratio(page, clients, what, other):
        return median("ufop", page, clients, what) / \
            median(other, page, clients, what)

    row = "| %-8s | %-44s | %5s | %-13s | %-6s |" if markdown else \
        "%-8s  %-44s  %5s  %-13s  %s"
    print()
    print(row % ("page", "ufop beside", "ratio", "goal", ""))
    if markdown:
        print(row % (("---",) * 5))
    for page in PAGES:
        goals = [("p50 of playwright, 1 client", 0.75, True, 1, 0,
                  "playwright"),
                 ("shots/s of playwright, 2 clients", 1.15, False, 2, 1,
                  "playwright"),
                 ("shots/s of Selenium, 2 clients", 2, False, 2, 1,
                  "selenium"),
                 ("shots/s of Selenium, a browser each", None, False, 2, 1,
                  "selenium-each"),
                 ("PSS of playwright", 0.8, True, 2, 2, "playwright")]
        for text, goal, most, clients, what, other in goals:
            if (other, page, clients) not in got:
                continue
            value = ratio(page, clients, what, other)
            met = goal is None or (value <= goal if most else value >= goal)
            print(row % (page, text, "%.2f" % value, "" if goal is None else
                         "at %s %g" % ("most" if most else "least", goal),
                         "" if goal is None else "met" if met else "missed"))


if __name__ == "__main__":
    main()
