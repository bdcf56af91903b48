# SPDX-License-Identifier: MIT
"""
The images and a project on top of one, really built and run, where docker or
podman works.
"""

import json
import os
import re
import tempfile
import threading

import pictures
from engine import NAME, STOP_S, Container, Engine
from harness import ROOT, check, check_answer, check_eq, check_error, data, \
    deadline, wait_until
from test_project import Project

SLIM_BYTES = 170 * 1000 * 1000      # of all files, as engines count
PROFILE = os.path.join(ROOT, "supervisor", "seccomp.json")
# What Docker's own profile withholds from Chromium.
NO_NAMESPACES = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["unshare", "setns", "mount", "umount2", "pivot_root"],
         "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
         "args": [{"index": 0, "value": 0x10000000, "valueTwo": 0x10000000,
                   "op": "SCMP_CMP_MASKED_EQ"}]},
    ],
}
SLOW_C = """
#include <unistd.h>

#include <ufop.h>

static int
slow(struct ufop_job *job, struct ufop_reply *reply)
{
	ufop_log(job, "has begun");
	usleep(1500000);
	return (ufop_reply_textf(reply, "slow"));
}

static const struct ufop_task tasks[] = {
	{ .name = "slow", .route = "^/slow$", .run = slow,
	  .flags = UFOP_TASK_NO_SOURCE, .summary = "Takes its time." },
	{ 0 }
};

UFOP_SERVICE(slow, tasks);
"""


@deadline(1500)
def test_slim_image_is_small_and_serves():
    engine = Engine()
    image = engine.need_image("slim")
    size = int(engine.ok("image", "inspect", "--format", "{{.Size}}", image))
    check(size <= SLIM_BYTES, "the image has %d bytes, over %d", size,
          SLIM_BYTES)
    with Container(engine, image, "-e", "FLAVOR=C2M4") as c:
        r = check_answer(c.post("thumbnail/w/100|imageInfo",
                                data("painting-640x427.jpg")))
        check_eq(r.json()["width"], 100)
        check_eq(children(c), 2, "children by FLAVOR=C2M4")
        none_as_root(c)
        for room in ("server", "worker", "supervisor"):
            check(c.sh("ls /var/log/" + room).strip(), "no log in %s", room)
        for name, want in (("save", ""), ("appendonly", "no")):
            got = c.sh("redis-cli -s /run/ufop/redis.sock config get " + name)
            check_eq(got.split("\n")[1], want, "Redis keeps by " + name)
        check_eq(c.sh("find / -xdev -name '*.pyc' | head -1"), "", "compiled")
        is_healthy(engine, c)
        took = c.stop()
        check(took < STOP_S, "it took %.1f s to stop", took)


def children(c):
    row = re.search(r"^cpu +\d+ +1 +(\d+) ", c.sh("ufop status"), re.M)
    return int(row.group(1)) if row else None


def none_as_root(c):
    users = c.sh("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; "
                 "sed -n 's/^Uid:[^0-9]*\\([0-9]*\\).*/ uid=\\1/p' $p/status; "
                 "done 2>/dev/null")
    workers = re.findall(r"ufop runworker *uid=(\d+)", users)
    # The parent alone is root.
    check_eq(workers.count("0"), 1, "workers of root in " + users)
    check(len(workers) > 1, "no children: %s", users)


def is_healthy(engine, c):
    """By the HEALTHCHECK of the image, as the engine runs it."""
    if engine.name == "podman":
        # It has a timer of systemd do it; there need not be one here.
        r = engine("healthcheck", "run", c.name)
        check_eq(r.returncode, 0, "healthcheck: " + r.stdout + r.stderr)
    else:
        wait_until(lambda: c.inspect(".State.Health.Status") == "healthy", 30,
                   "the engine finds it healthy")


@deadline(1500)
def test_project_on_the_image_loses_nothing_when_it_is_stopped():
    engine = Engine()
    image = engine.need_image("slim")
    tag = NAME + ":project"
    argument = ["--build-arg", "UFOP_IMAGE=" + image]
    with Project() as p:
        p.write("slow.c", SLOW_C)
        p.write("ufop.ini", p.read("ufop.ini").replace(
            "./app.so", "./app.so ./slow.so"))
        # It runs before all else; the worker's log is full when it starts.
        p.write("script.sh", p.read("script.sh") +
                "head -c 10485700 /dev/zero > /var/log/worker/worker.log\n")
        # Under a name too, or each run would leave that stage behind.
        engine.build(tag + "-build", p.dir, "--target", "build", *argument)
        engine.build(tag, p.dir, *argument)
        with Container(engine, tag, "-e", "CPU_COUNT=1") as c:
            check_eq(check_answer(c.post("twice/21")).json()["twice"], 42)
            check_eq(children(c), 1, "children by CPU_COUNT=1")
            check("worker.log.1" in c.sh("ls /var/log/worker"),
                  "the log was not rotated")
            is_stopped_with_jobs_in_hand(c)


def is_stopped_with_jobs_in_hand(c):
    """One runs, one waits in the queue."""
    answers = []
    callers = [threading.Thread(target=lambda: answers.append(
        c.post("slow"))) for _ in range(2)]
    for caller in callers:
        caller.start()
    wait_until(lambda: "has begun" in c.sh("cat /var/log/worker/worker.log"),
               10, "a job runs")
    took = c.stop()
    for caller in callers:
        caller.join(10)
    check_eq([check_answer(r).text for r in answers], ["slow", "slow"],
             "answers")
    check(took < STOP_S, "it took %.1f s to stop", took)


@deadline(1500)
def test_full_image_takes_screenshots():
    engine = Engine()
    image = engine.need_image("full")
    unmask = "unmask=ALL" if engine.name == "podman" else \
        "systempaths=unconfined"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(NO_NAMESPACES, f)
        f.flush()
        with Container(engine, image, "--security-opt",
                       "seccomp=" + f.name) as c:
            check_error(shoot(c), 503, "user namespaces")
    for options, words in (
            ((), "weaker than it could be"),
            (("--security-opt", unmask), "namespaces of its own, without a "
             "network; Chromium's sandbox is on")):
        with Container(engine, image, "--security-opt", "seccomp=" + PROFILE,
                       *options) as c:
            pictures_of_glyphs(c)
            said = c.sh("cd /app && ufop config show")
            check(words in said, "not %r: %s", words, said)
            # A note is there at the next heartbeat.
            wait_until(lambda: ("weaker" in c.sh("cd /app && ufop status")) ==
                       ("weaker" in words), 15, "status tells it")
            took = c.stop()
            check(took < STOP_S, "it took %.1f s to stop", took)


def shoot(c, text="x"):
    page = "<meta charset=utf-8><body style='font:90px serif'>" + text
    return c.post("screenshot/viewport/240x160", page.encode(),
                  [("Content-Type", "text/html")])


def pictures_of_glyphs(c):
    """Without a font for them two characters are the same box."""
    one, other = (check_answer(shoot(c, text)).body for text in "中文")
    check_eq(pictures.size_of(one), ("png", 240, 160), "size")
    check(one != other, "there is no font for Chinese")
