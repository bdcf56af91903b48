# SPDX-License-Identifier: MIT
"""What the image is made of: Dockerfile and supervisor/."""

import configparser
import os
import re
import subprocess
import tempfile

import httpc
from harness import BUILD, GONE_S, ROOT, UFOP, Process, check, check_eq, \
    deadline, free_port, need_program, processes, remove_tree, wait_until


def read(*path):
    with open(os.path.join(ROOT, *path)) as f:
        return f.read()


def test_dockerfile_has_its_stages_and_what_it_copies_is_there():
    text = read("Dockerfile").replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines()
             if line and not line.startswith("#")]
    stages = [w for w in lines if w[0] == "FROM"]
    check_eq([w[3] if len(w) > 2 else w[1] for w in stages],
             ["build", "slim", "full", "slim"], "stages, the default last")
    check(any(w[:2] == ["EXPOSE", "9100"] for w in lines), "no EXPOSE 9100")
    check(any(w[0] == "HEALTHCHECK" for w in lines), "no HEALTHCHECK")
    check("/usr/bin/kore" in text, "Kore is not copied")
    ignored = read(".dockerignore").split()
    for w in lines:
        if w[0] not in ("COPY", "ADD") or w[1].startswith("--from"):
            continue
        for source in w[1:-1]:
            check(os.path.exists(os.path.join(ROOT, source)),
                  "COPY %s: there is no such thing", source)
            check(source not in ignored, "COPY %s: .dockerignore hides it",
                  source)
    # The second stage runs what the parts link to; the first builds them.
    packages = set(re.findall(r"\blib[a-z0-9.+-]+", text))
    for name in ("libcurl4", "libhiredis0.14", "libjansson4", "libpcre2-8-0",
                 "libseccomp2", "libpq5", "libssl3"):
        check(name in packages, "%s is not installed", name)


def test_supervisor_starts_all_three_with_rotated_logs():
    conf = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    conf.read_string(read("supervisor", "supervisord.conf"))
    programs = {s.split(":")[1]: conf[s] for s in conf.sections()
                if s.startswith("program:")}
    check({"redis", "front", "worker"} <= set(programs), "programs: %r",
          sorted(programs))
    for name, room in (("front", "server"), ("worker", "worker"),
                       ("redis", "supervisor")):
        p = programs[name]
        check("/%s/" % room in p["stdout_logfile"], "log of %s: %s", name,
              p["stdout_logfile"])
        check(p["stdout_logfile_maxbytes"] not in ("0", ""),
              "the log of %s is not rotated", name)
        check_eq(p["autorestart"], "true", "autorestart of " + name)
    check("/supervisor/" in conf["supervisord"]["logfile"], "its own log")
    check(int(programs["redis"]["priority"]) <
          int(programs["front"]["priority"]), "the front starts first")


def image_environment(directory, port):
    env = {k: v for k, v in os.environ.items() if not k.startswith("UFOP_")}
    env.update(PATH=BUILD + ":" + env["PATH"],
               RUN_DIR=os.path.join(directory, "run"),
               LOG_ROOT=os.path.join(directory, "log"),
               PROJECT_DIR=directory,
               UFOP_FRONT_LISTEN="127.0.0.1:%d" % port,
               UFOP_SPOOL_DIR=os.path.join(directory, "spool"),
               CPU_COUNT="1")
    return env


def worker_pid(image):
    """Of supervisord's own child; its children have the same command line."""
    table = processes()
    for pid in image.below():
        try:
            with open("/proc/%d/cmdline" % pid) as f:
                words = f.read().split("\0")
        except OSError:
            continue
        if "runworker" in words and pid in table and \
                table[pid][0] == image.pid:
            return pid
    return None


@deadline(60)
def test_supervisor_runs_the_parts():
    need_program("supervisord")
    directory = tempfile.mkdtemp(prefix="image-")
    os.chmod(directory, 0o755)
    port = free_port()
    image = Process("image", [os.path.join(ROOT, "supervisor", "start")],
                    directory, image_environment(directory, port))
    try:
        image.start()

        def works():
            check(image.running, "it ended: %s", image.output())
            try:
                with httpc.Conn(port, timeout_s=5) as c:
                    r = c.request("POST", "/handler?cmd=q/hello/bob", b"")
                    return r.status == 200
            except (OSError, httpc.HttpError):
                return False
        wait_until(works, 20, "it serves")
        for room in ("server", "worker", "supervisor"):
            check(os.listdir(os.path.join(directory, "log", room)),
                  "no log in %s", room)
        # A part that dies comes back.
        first = worker_pid(image)
        check(first is not None, "there is no worker")
        os.kill(first, 9)
        wait_until(lambda: worker_pid(image) not in (first, None), 25,
                   "another worker")
        wait_until(works, 25, "it serves again", every_s=0.1)
        below = image.below()
        check_eq(image.terminate(GONE_S + 5), 0, "exit status")
        left = [p for p in below if os.path.exists("/proc/%d" % p)]
        check_eq(left, [], "processes left")
    finally:
        image.kill_all()
        remove_tree(directory)


@deadline(60)
def test_image_settings_give_way_to_the_project():
    """What supervisor/start fills in holds where nobody says otherwise."""
    need_program("supervisord")
    directory = tempfile.mkdtemp(prefix="image-")
    env = image_environment(directory, free_port())
    start = [os.path.join(ROOT, "supervisor", "start")]
    ini = os.path.join(directory, "ufop.ini")

    def show(name):
        return subprocess.run(
            [UFOP, "config", "-C", directory, "show", name], text=True,
            env=dict(env, UFOP_DEFAULTS=os.path.join(directory, "run",
                                                     "defaults.ini")),
            capture_output=True).stdout.splitlines()[0]
    try:
        # A bad setting is told to whoever starts the container.
        with open(ini, "w") as f:
            f.write("[front]\ndrian = 2s\n")
        r = subprocess.run(start, cwd=directory, env=env, text=True,
                           capture_output=True, timeout=20)
        check_eq(r.returncode, 78, r.stderr)
        check("drian" in r.stderr and "drain" in r.stderr, "%s", r.stderr)
        os.unlink(ini)
        check_eq(show("front.drain"), "front.drain = 4500ms")
        check("/run/redis.sock" in show("redis.url"), "%s", show("redis.url"))
        with open(ini, "w") as f:
            f.write("[front]\ndrain = 2s\n[redis]\n"
                    "url = redis://elsewhere:1/0\n")
        check_eq(show("front.drain"), "front.drain = 2s")
        check_eq(show("redis.url"), "redis.url = redis://elsewhere:1/0")
    finally:
        remove_tree(directory)
