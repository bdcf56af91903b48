# SPDX-License-Identifier: MIT
"""
docker or podman, whichever works, and the images it builds of our Dockerfile.
Without a registry the base is made by debootstrap.

The images stay, as ufop-test:slim and so on, so that the next run finds their
layers; those of the run before are removed when new ones were made.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time

import httpc
from harness import BUILD, ROOT, check, check_eq, free_port, remove_tree, \
    skip, wait_until

BASE = "debian:bookworm-slim"
NAME = "ufop-test"
LIMIT = "4096:4096"
STOP_S = 10             # what an engine gives before it kills


def run(*argv, timeout=600, **kwargs):
    return subprocess.run(argv, capture_output=True, text=True,
                          timeout=timeout, **kwargs)


def get(port, target):
    """The status of an answer; None when there is none."""
    try:
        with httpc.Conn(port, timeout_s=5) as c:
            return c.request("GET", target).status
    except (OSError, httpc.HttpError):
        return None


def post(port, cmd, body=b"", headers=()):
    with httpc.Conn(port, timeout_s=20) as c:
        return c.request("POST", "/handler?cmd=q/" + cmd, body, headers)


class Engine:
    """docker or podman, with what it needs to be told here."""

    def __init__(self):
        self.limits = []
        if self.find() == "podman":
            self.configure_podman()
        else:
            self.limits = ["--ulimit", "nofile=%s" % LIMIT]

    def configure_podman(self):
        # A container in a container cannot raise its limits.
        lines = ["[containers]",
                 'default_ulimits = ["nofile=%s", "nproc=%s"]' %
                 (LIMIT, LIMIT)]
        # crun wants one hierarchy of cgroups; runc does not mind two.
        if shutil.which("runc"):
            lines += ["[engine]", 'runtime = "runc"']
        self.conf = tempfile.NamedTemporaryFile("w", suffix=".conf")
        self.conf.write("\n".join(lines) + "\n")
        self.conf.flush()
        os.environ["CONTAINERS_CONF"] = self.conf.name

    def find(self):
        why = []
        for name in ("docker", "podman"):
            if shutil.which(name) is None:
                why.append("there is no " + name)
                continue
            r = run(name, "info")
            if r.returncode:
                why.append((r.stderr.strip().splitlines() or [name])[-1])
                continue
            self.name = name
            return name
        skip("; ".join(why))

    def __call__(self, *args, **kwargs):
        return run(self.name, *args, **kwargs)

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

    def image_id(self, image):
        r = self("image", "inspect", "--format", "{{.Id}}", image)
        return r.stdout.strip() if r.returncode == 0 else None

    def build(self, tag, directory, *args):
        before = self.image_id(tag)
        # Of its own accord podman leaves HEALTHCHECK out.
        kind = ["--format", "docker"] if self.name == "podman" else []
        self.ok("build", "--network", "host", *kind, *self.limits, "-t",
                tag, *args, directory, timeout=1200)
        if before not in (None, self.image_id(tag)):
            self("rmi", before)

    def need_image(self, target):
        """The name of that target's image, built from what is here now."""
        os.makedirs(BUILD, exist_ok=True)
        with open(os.path.join(BUILD, "image.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.need_base()
            for stage in ("build", target):
                self.build("%s:%s" % (NAME, stage), ROOT, "--target", stage)
        return "%s:%s" % (NAME, target)


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
        return get(self.port, target)

    def post(self, cmd, body=b"", headers=()):
        return post(self.port, cmd, body, headers)

    def sh(self, command):
        return self.engine.ok("exec", self.name, "sh", "-c", command)

    def inspect(self, what):
        return self.engine.ok("inspect", "--format", "{{%s}}" % what,
                              self.name).strip()

    def stop(self):
        """As an engine does, with the time it gives; how long it took."""
        began = time.monotonic()
        self.engine.ok("stop", "-t", str(STOP_S), self.name)
        took = time.monotonic() - began
        check_eq(self.inspect(".State.ExitCode"), "0", "exit status")
        return took
