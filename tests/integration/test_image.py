# SPDX-License-Identifier: MIT
"""
The image and a project on top of it, really built and run, where docker or
podman works.  Without a registry the base is made by debootstrap.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time

import httpc
from harness import ROOT, check, check_answer, check_eq, data, deadline, \
    free_port, remove_tree, skip, wait_until
from test_project import Project

BASE = "debian:bookworm-slim"
SIZE_MB = 175           # of all files; a base by debootstrap is a little larger
STOP_S = 10             # what an engine gives before it kills


def run(*argv, timeout=600, **kwargs):
    return subprocess.run(argv, capture_output=True, text=True,
                          timeout=timeout, **kwargs)


class Engine:
    """docker or podman, with what it needs to be told here."""

    def __init__(self):
        self.argv = self.find()
        # A container in a container cannot raise its limits.
        self.limits = ["--ulimit", "nofile=4096:4096"]
        if self.argv[0] == "podman":
            self.limits += ["--ulimit", "nproc=4096:4096"]

    @staticmethod
    def find():
        why = []
        for name in ("docker", "podman"):
            if shutil.which(name) is None:
                why.append("there is no " + name)
                continue
            r = run(name, "info")
            if r.returncode:
                why.append((r.stderr.strip().splitlines() or [name])[-1])
                continue
            # crun wants one hierarchy of cgroups; runc does not mind two.
            if name == "podman" and shutil.which("runc"):
                return [name, "--runtime", "runc"]
            return [name]
        skip("; ".join(why))

    def __call__(self, *args, **kwargs):
        return run(*self.argv, *args, **kwargs)

    def ok(self, *args, **kwargs):
        r = self(*args, **kwargs)
        check(r.returncode == 0, "%s: %s%s", " ".join(args),
              r.stdout[-1500:], r.stderr[-1500:])
        return r.stdout

    def has(self, image):
        return self("image", "inspect", image).returncode == 0

    def need_base(self):
        if self.has(BASE):
            return
        if self("pull", "-q", BASE, timeout=120).returncode == 0:
            return
        if shutil.which("debootstrap") is None or os.geteuid() != 0:
            skip("no registry is reached for %s, and no debootstrap can make "
                 "it" % BASE)
        top = tempfile.mkdtemp(prefix="base-")
        try:
            r = run("debootstrap", "--variant=minbase", "bookworm",
                    top + "/root", "http://deb.debian.org/debian")
            if r.returncode:
                skip("debootstrap: " + r.stdout.strip().splitlines()[-1])
            for name in ("var/cache/apt/archives", "var/lib/apt/lists",
                         "usr/share/doc", "usr/share/man",
                         "usr/share/locale"):
                remove_tree(os.path.join(top, "root", name))
            # As in Debian's own slim images.
            os.makedirs(top + "/root/var/lib/apt/lists/partial")
            os.makedirs(top + "/root/var/cache/apt/archives/partial")
            with open(top + "/root/etc/dpkg/dpkg.cfg.d/slim", "w") as f:
                f.write("path-exclude /usr/share/doc/*\n"
                        "path-exclude /usr/share/man/*\n"
                        "path-exclude /usr/share/locale/*\n")
            r = run("tar", "-C", top + "/root", "-cf", top + "/root.tar", ".")
            check_eq(r.returncode, 0, "tar: " + r.stderr)
            self.ok("import", top + "/root.tar",
                    "docker.io/library/" + BASE)
        finally:
            remove_tree(top)

    def build(self, tag, directory, *args):
        self.ok("build", "--network", "host", *self.limits[:2], "-t", tag,
                *args, directory)


class Container:
    def __init__(self, engine, image, *args):
        self.engine = engine
        self.port = free_port()
        self.name = "ufop-test-%d-%d" % (os.getpid(), self.port)
        engine.ok("run", "-d", "--name", self.name, *engine.limits,
                  "--shm-size=256m", "-p", "127.0.0.1:%d:9100" % self.port,
                  *args, image)

    def __enter__(self):
        wait_until(lambda: self.get("/health") == 200, 30, "it is healthy")
        return self

    def __exit__(self, *_):
        self.engine("rm", "-f", self.name)

    def get(self, target):
        try:
            with httpc.Conn(self.port, timeout_s=5) as c:
                return c.request("GET", target).status
        except (OSError, httpc.HttpError):
            return None

    def post(self, cmd, body=b""):
        with httpc.Conn(self.port, timeout_s=20) as c:
            return c.request("POST", "/handler?cmd=q/" + cmd, body)

    def sh(self, command):
        return self.engine.ok("exec", self.name, "sh", "-c", command)

    def stop(self):
        began = time.monotonic()
        self.engine.ok("stop", "-t", str(STOP_S), self.name)
        return time.monotonic() - began


@deadline(1500)
def test_image_and_a_project_on_it_are_built_and_serve():
    engine = Engine()
    engine.need_base()
    tag = "ufop-test-%d" % os.getpid()
    with Project() as p:
        try:
            engine.build(tag + ":base", ROOT)
            with Container(engine, tag + ":base", "-e", "FLAVOR=C2M4") as c:
                serves(c)
            # What createproject wrote, on the image just made.
            engine.build(tag + ":project", p.dir, "--build-arg",
                         "UFOP_IMAGE=%s:base" % tag)
            with Container(engine, tag + ":project") as c:
                check_eq(check_answer(c.post("twice/21")).json()["twice"], 42)
                check(c.stop() < STOP_S, "the project's stop took too long")
        finally:
            engine("rmi", "-f", tag + ":project", tag + ":base")


def serves(c):
    r = check_answer(c.post("thumbnail/w/100|imageInfo",
                            data("painting-640x427.jpg")))
    check_eq(r.json()["width"], 100)
    status = c.sh("ufop status")
    check(re.search(r"^cpu +\d+ +1 +2 ", status, re.M),
          "FLAVOR=C2M4 makes two children: %s", status)
    users = c.sh("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; "
                 "sed -n 's/^Uid:[^0-9]*\\([0-9]*\\).*/ uid=\\1/p' $p/status; "
                 "done 2>/dev/null")
    workers = re.findall(r"ufop runworker *uid=(\d+)", users)
    check(workers.count("0") >= 1 and len(set(workers)) > 1,
          "children run as root: %s", users)
    size = int(c.sh("du -sxm --exclude=/proc --exclude=/sys / | cut -f1"))
    check(size <= SIZE_MB, "the image has %d MB, over %d", size, SIZE_MB)
    for room in ("server", "worker", "supervisor"):
        check(c.sh("ls /var/log/" + room).strip(), "no log in %s", room)
    check_eq(c.engine("exec", c.name, "ufop", "health").returncode, 0,
             "ufop health")
    check_eq(c.sh("find / -xdev -name '*.pyc' | head -1"), "", "compiled")
    took = c.stop()
    check(took < STOP_S, "it took %.1f s to stop", took)
