# SPDX-License-Identifier: MIT
"""
Redis, front and workers apart, as compose.yaml, supervisor/kubernetes.yaml and
the systemd units start them: really run where there is what can run them.
"""

import contextlib
import glob
import os
import re
import shutil
import subprocess
import tempfile

from engine import Engine, get, post, run
from harness import ROOT, UFOP, check, check_answer, check_eq, deadline, \
    free_port, need_program, skip, wait_until

BIG = os.urandom(3 << 20)       # more than goes through Redis in one piece


def text_of(*path):
    with open(os.path.join(ROOT, *path)) as f:
        return f.read()


def replaced(text, *pairs):
    for pattern, new in pairs:
        check(re.search(pattern, text), "there is no %r", pattern)
        text = re.sub(pattern, new, text)
    return text


def serves(port):
    wait_until(lambda: get(port, "/health") == 200, 30, "all is healthy")
    check_eq(check_answer(post(port, "hello/bob")).text, "hello bob")
    check(check_answer(post(port, "echo", BIG)).body == BIG, "the body")


# ---- compose -----------------------------------------------------------


def compose_command(engine):
    if engine.name == "docker":
        if engine("compose", "version").returncode == 0:
            return ["docker", "compose"]
    elif shutil.which("podman-compose"):
        return ["podman-compose"]
    skip("%s has no compose" % engine.name)


@deadline(1500)
def test_compose_file_starts_parts_that_find_each_other():
    engine = Engine()
    compose = compose_command(engine)
    image = engine.need_image("slim")
    port = free_port()
    project = "ufop-test-%d" % port
    with tempfile.TemporaryDirectory() as top:
        file = os.path.join(top, "compose.yaml")
        with open(file, "w") as f:
            f.write(replaced(text_of("compose.yaml"),
                             (r"image: ufop:\S+", "image: " + image)))

        def do(*args):
            r = run(*compose, "-p", project, "-f", file, *args, cwd=top,
                    env=dict(os.environ, PORT="127.0.0.1:%d" % port))
            return r, "%s: %s" % (" ".join(args), r.stderr[-2000:])

        try:
            r, why = do("up", "-d", "--no-build")
            check_eq(r.returncode, 0, why)
            serves(port)
        finally:
            do("down", "-v", "-t", "1")
            # podman-compose leaves it.
            engine("network", "rm", project + "_default")


# ---- Kubernetes --------------------------------------------------------


@contextlib.contextmanager
def pods(engine, manifest):
    """What the manifest says as pods of podman, gone at the end."""
    network = "ufop-test-%d" % os.getpid()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write(manifest)
        f.flush()
        engine.ok("network", "create", network)
        try:
            engine.ok("play", "kube", "--network", network, f.name)
            yield
        finally:
            engine("play", "kube", "--down", f.name)
            engine("volume", "rm", "-f", "shm")
            engine("network", "rm", "-f", network)


@deadline(1500)
def test_manifest_of_kubernetes_starts_pods_and_its_probes_tell():
    engine = Engine()
    if engine.name != "podman":
        skip("only podman plays a manifest")
    image = engine.need_image("slim")
    port = free_port()
    manifest = text_of("supervisor", "kubernetes.yaml")
    probes = dict(re.findall(r"(\w+)Probe: \{httpGet: \{path: \"?([^,\"]+)",
                             manifest))
    check_eq(sorted(probes), ["liveness", "readiness"], "probes")
    # podman names a host after its pod, not after the service in front of it,
    # opens a port of the host for each of a container, and asks by curl.
    manifest = replaced(
        manifest, (r"image: ufop:\S+", "image: " + image),
        (r"//ufop-redis:", "//ufop-redis-pod-0:"),
        (r"(ufop-front\n.*\n  )replicas: 2", r"\1replicas: 1"),
        (r" *ports: \[\{containerPort: 6379\}\]\n", ""),
        (r"\{containerPort: 9100\}", "{containerPort: 9100, "
         "hostIP: 127.0.0.1, hostPort: %d}" % port),
        (r" *(livenessProbe|readinessProbe): .*\n", ""))
    with pods(engine, manifest):
        serves(port)
        check_eq(get(port, probes["readiness"]), 200, "readiness")
        check_eq(get(port, probes["liveness"]), 200, "liveness")
        workers = engine.ok("exec", "ufop-front-pod-0-front", "ufop", "status")
        check(re.search(r"^cpu +\d+ +2 +4 ", workers, re.M),
              "two workers of two children each: %s", workers)
        engine.ok("pod", "stop", "-t", "1", "ufop-redis-pod-0")
        wait_until(lambda: get(port, probes["readiness"]) == 503, 10,
                   "it is not ready without Redis")
        check_eq(get(port, probes["liveness"]), 200, "liveness without Redis")


# ---- systemd -----------------------------------------------------------


def test_units_are_sound():
    need_program("systemd-analyze")
    units = glob.glob(os.path.join(ROOT, "supervisor", "systemd", "*"))
    check(len(units) >= 2, "units: %s", units)
    with tempfile.TemporaryDirectory() as top:
        for unit in units:
            with open(os.path.join(top, os.path.basename(unit)), "w") as f:
                f.write(text_of(unit).replace("/usr/bin/ufop", UFOP))
        r = subprocess.run(
            ["systemd-analyze", "verify", "--man=no",
             *(os.path.join(top, os.path.basename(u)) for u in units)],
            capture_output=True, text=True)
        check_eq((r.returncode, r.stdout + r.stderr), (0, ""), "verify")
