# SPDX-License-Identifier: MIT
"""
doraconfig and deploy, against stand-ins for docker and the platform's tools:
they note how they were called, and fail where a test wants them to.
"""

import os
import shlex
import stat

from harness import UFOP, check, check_eq
from test_project import ENV, Project

STAND_IN = """#!/bin/sh
name=$(basename "$0")
printf '%%s\\n' "$name $*" >> '%(log)s'
if [ "$name $1" = "$FAIL_AT" ]; then
	echo "$name: the sky is falling" >&2
	exit 3
fi
case "$1" in
list) printf 'NAME MODE\\n%%s\\n' "$REGISTERED" ;;
esac
"""
ARGS = ["-n", "my-ufop", "-t", "my-ufop:v1", "-v", "v1"]


class Platform(Project):
    """A project, and a PATH that has the stand-ins in front."""

    def __init__(self, tools=("docker", "qdoractl", "qappctl")):
        super().__init__()
        self.bin = os.path.join(self.top, "bin")
        self.log = os.path.join(self.top, "log")
        os.mkdir(self.bin)
        for tool in tools:
            path = os.path.join(self.bin, tool)
            with open(path, "w") as f:
                f.write(STAND_IN % {"log": self.log})
            os.chmod(path, 0o755)

    def deploy(self, *args, fail_at="", registered="other my-ufop-2"):
        if os.path.exists(self.log):
            os.unlink(self.log)
        return self.run(UFOP, "deploy", *args, env={
            "PATH": self.bin + ":" + ENV["PATH"], "FAIL_AT": fail_at,
            "REGISTERED": registered})

    def calls(self):
        if not os.path.exists(self.log):
            return []
        with open(self.log) as f:
            return f.read().splitlines()


def read_yaml(text):
    """The little of YAML that is needed: nested keys, lists of one."""
    out, stack = {}, [(-1, None)]
    stack[0] = (-1, out)
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent = len(line) - len(line.lstrip(" "))
        body = line.strip()
        while stack[-1][0] >= indent:
            stack.pop()
        top = stack[-1][1]
        if body.startswith("- "):
            top.setdefault("-", []).append(body[2:])
            continue
        key, _, value = body.partition(":")
        value = value.strip().strip('"')
        if value:
            top[key] = value
        else:
            top[key] = {}
            stack.append((indent, top[key]))
    return out


# ---- dora.yaml ---------------------------------------------------------


def test_doraconfig_says_what_the_platform_asks_for():
    with Platform() as p:
        out = p.ok(UFOP, "doraconfig", *ARGS, "--flavor", "C2M4", "--desc",
                   "thumbs")
        y = read_yaml(out)
        for key, value in (("ufopname", "my-ufop"), ("verstr", "v1"),
                           ("image", "my-ufop:v1"), ("desc", "thumbs"),
                           ("flavor", "C2M4")):
            check_eq(y[key], value, key)
        check_eq(y["health_check"], {"path": "/health", "timeout": "3"},
                 "health_check")
        check_eq(y["log_file_paths"]["-"], ["/var/log/server/",
                 "/var/log/worker/", "/var/log/supervisor/"], "logs")
        check("    - key: FLAVOR\n      value: \"C2M4\"\n" in out, "%s", out)


def test_doraconfig_for_qappctl():
    with Platform() as p:
        y = read_yaml(p.ok(UFOP, "doraconfig", "-n", "my-ufop", "-t",
                           "reg.example.com/me/my-ufop:v1", "-v", "v1",
                           "--cli", "/opt/qappctl-1.2"))
        check_eq((y["name"], y["image"], y["port"]),
                 ("v1", "my-ufop:v1", "9100"), "name, image, port")
        check("ufopname" not in y, "ufopname is qdoractl's")


def test_wrong_words_are_refused():
    with Platform() as p:
        good = {"-n": "my-ufop", "-t": "my-ufop:v1", "-v": "v1"}
        for change, word in (
                ({"-n": "Big"}, "Big"), ({"-n": None}, "-n"),
                ({"-t": None}, "-t"), ({"-v": None}, "-v"),
                ({"-t": "no-tag"}, "no-tag"), ({"-t": "-x:1"}, "-x:1"),
                ({"-t": "foo:"}, "'foo:'"), ({"-t": ":v1"}, "':v1'"),
                ({"-t": "a/:v1"}, "a/:v1"), ({"-t": "FOO:v1"}, "FOO"),
                ({"-t": "a:v1:v2"}, "a:v1:v2"), ({"-t": "a:.x"}, "a:.x"),
                ({"-t": "a..b:v1"}, "a..b"), ({"-t": "a_:v1"}, "a_:v1"),
                ({"-t": "a//b:v1"}, "a//b"), ({"-t": "h:0/a:v1"}, "h:0"),
                ({"-t": "a/reg.io:5/b:v1"}, "reg.io:5"),
                ({"-v": "v 1"}, "v 1"),
                ({"--flavor": "C1"}, "C2M4"),
                ({"--flavor": "1C1M"}, "C2M4")):
            args = [w for k, v in dict(good, **change).items()
                    if v is not None for w in (k, v)]
            for command in ("doraconfig", "deploy"):
                r = p.run(UFOP, command, *args)
                check_eq(r.returncode, 64, "%r: %s" % (args, r.stderr))
                check(word in r.stderr, "%r: %s", args, r.stderr)
        for image in ("reg.example.com:5000/Me/my-ufop:v1", "A.io/a/b:V_1",
                      "localhost/a__b.c--d:1.0-x"):
            ok = "Me" not in image
            r = p.run(UFOP, "doraconfig", "-n", "my-ufop", "-t", image, "-v",
                      "v1")
            check_eq(r.returncode, 0 if ok else 64, image)
        for region in ("", "-x", "z 0"):
            r = p.deploy(*ARGS, "--region=" + region)
            check_eq(r.returncode, 64, "region %r: %s" % (region, r.stderr))
        r = p.run(UFOP, "doraconfig", "-n", "abc", "-t", "a:1", "-v", "1")
        check_eq(r.returncode, 0, "a short name")
        check("5 to 20" in r.stderr, "a short name: %s", r.stderr)


# ---- deploy ------------------------------------------------------------

ALL = ["qdoractl list",
       "qdoractl register my-ufop -d small pictures",
       "docker build -t my-ufop:v1 .",
       "qdoractl push my-ufop:v1",
       "qdoractl release --config .",
       "qdoractl deploy my-ufop v1 --region z1 --expect 3"]
MORE = ["--desc", "small pictures", "--region", "z1", "--expect", "3"]


def test_all_steps_in_order():
    with Platform() as p:
        r = p.deploy(*ARGS, *MORE)
        check_eq(r.returncode, 0, r.stderr)
        check_eq(p.calls(), ALL, "what was run")
        check_eq(read_yaml(p.read("dora.yaml"))["verstr"], "v1", "dora.yaml")
        for call in ALL:
            check("$ " + call.split(" -d ")[0] in r.stdout,
                  "%s is not shown", call)


def test_project_is_found_by_operand_or_option():
    with Platform() as p:
        name = os.path.basename(p.dir)
        for where in ((name,), ("-C", name)):
            if os.path.exists(p.log):
                os.unlink(p.log)
            r = p.run(UFOP, "deploy", *ARGS, *where, cwd=p.top, env={
                "PATH": p.bin + ":" + ENV["PATH"]})
            check_eq(r.returncode, 0, r.stderr)
            check("docker build -t my-ufop:v1 ." in p.calls(), "%r", where)
            check(os.path.exists(os.path.join(p.dir, "dora.yaml")), "dora")
            os.unlink(os.path.join(p.dir, "dora.yaml"))


def test_what_is_registered_is_not_registered_again():
    with Platform() as p:
        r = p.deploy(*ARGS, *MORE, registered="my-ufop private")
        check_eq(r.returncode, 0, r.stderr)
        check_eq(p.calls(), [c for c in ALL if "register" not in c], "run")


def test_without_expect_no_instance_is_started():
    with Platform() as p:
        r = p.deploy(*ARGS)
        check_eq(r.returncode, 0, r.stderr)
        check("qdoractl release --config ." in p.calls(), "no release")
        check(not any(" deploy " in c for c in p.calls()), "%r", p.calls())
        check("--from deploy" in r.stdout, "says not how: %s", r.stdout)


def test_qappctl_has_words_of_its_own():
    with Platform() as p:
        r = p.deploy(*ARGS, "--cli", "qappctl", "--expect", "2")
        check_eq(r.returncode, 0, r.stderr)
        check_eq(p.calls()[2:], [
            "docker build -t my-ufop:v1 .",
            "qappctl push my-ufop:v1",
            "qappctl release create my-ufop -c .",
            "qappctl deploy create my-ufop --release v1 --region z0 "
            "--expect_replicas 2"], "what was run")


def test_dry_run_shows_and_runs_nothing():
    with Platform(tools=()) as p:
        r = p.deploy(*ARGS, *MORE, "--dry-run")
        check_eq(r.returncode, 0, r.stderr)
        check_eq(p.calls(), [], "what was run")
        check(not os.path.exists(os.path.join(p.dir, "dora.yaml")),
              "dora.yaml was written")
        shown = [" ".join(shlex.split(line[2:]))
                 for line in r.stdout.splitlines() if line.startswith("$ ")]
        check_eq(shown, ALL, "what is shown")
        check('ufopname: "my-ufop"' in r.stdout, "no dora.yaml: %s", r.stdout)


def test_failing_step_is_named_and_can_be_gone_on_from():
    with Platform() as p:
        for fail_at, step, before in (
                ("qdoractl list", "register", 1),
                ("qdoractl register", "register", 2),
                ("docker build", "build", 3),
                ("qdoractl push", "push", 4),
                ("qdoractl release", "release", 5),
                ("qdoractl deploy", "deploy", 6)):
            r = p.deploy(*ARGS, *MORE, fail_at=fail_at)
            check_eq(r.returncode, 70, "%s: %s" % (fail_at, r.stderr))
            check_eq(p.calls(), ALL[:before], "run until " + fail_at)
            for word in ("the sky is falling", "step %s:" % step,
                         "status 3", "--from " + step):
                check(word in r.stderr, "%s: no %r in %s", fail_at, word,
                      r.stderr)
            r = p.deploy(*ARGS, *MORE, "--from", step)
            check_eq(r.returncode, 0, r.stderr)
            # What is released is made sure of by the first two.
            rest = ALL if step == "register" else \
                ALL[:2] + ALL[before - 1:] if step != "deploy" else ALL[-1:]
            check_eq(p.calls(), rest, "run from " + step)


def test_later_step_releases_what_is_asked_for_now():
    with Platform() as p:
        r = p.deploy(*ARGS, "--expect", "1")
        check_eq(r.returncode, 0, r.stderr)
        v2 = ["-n", "my-ufop", "-t", "my-ufop:v2", "-v", "v2"]
        r = p.deploy(*v2, "--expect", "1", "--from", "push",
                     registered="my-ufop")
        check_eq(r.returncode, 0, r.stderr)
        check_eq(p.calls()[1:], ["qdoractl push my-ufop:v2",
                 "qdoractl release --config .",
                 "qdoractl deploy my-ufop v2 --region z0 --expect 1"], "run")
        check_eq(read_yaml(p.read("dora.yaml"))["verstr"], "v2", "verstr")
        own = p.read("dora.yaml").split("\n", 1)[1]
        p.write("dora.yaml", own)
        r = p.deploy(*ARGS, "--from", "release")
        check_eq(r.returncode, 78, r.stderr)
        check_eq(p.calls(), [], "run with a dora.yaml of another version")
        # Nothing is released: back to what was there is one step.
        r = p.deploy(*ARGS, "--from", "deploy", "--expect", "1")
        check_eq(r.returncode, 0, r.stderr)
        check_eq(p.read("dora.yaml"), own, "dora.yaml")


def test_release_from_a_new_project_is_registered_and_described():
    with Platform(tools=("qdoractl",)) as p:
        r = p.deploy(*ARGS, "--from", "release")
        check_eq(r.returncode, 0, r.stderr)
        check_eq(p.calls(), ["qdoractl list", "qdoractl register my-ufop",
                             "qdoractl release --config ."], "run")
        check_eq(read_yaml(p.read("dora.yaml"))["verstr"], "v1", "verstr")
        # A list that cannot be read must not be the end of it.
        r = p.deploy(*ARGS, "--from", "release", fail_at="qdoractl register")
        check_eq(r.returncode, 0, r.stderr)
        check("going on" in r.stderr, "%s", r.stderr)
        check_eq(p.calls()[-1], "qdoractl release --config .", "run")


def test_only_the_first_column_of_the_list_counts():
    with Platform() as p:
        for line, there in (
                ("other my-ufop of mine", False), ("my-ufop-2", False),
                ("x.my-ufop private", False), ("my-ufop.x private", False),
                ("| my-ufop | private |", True), ("  my-ufop\tprivate", True),
                ("other x\nmy-ufop", True)):
            r = p.deploy(*ARGS, registered=line)
            check_eq(r.returncode, 0, r.stderr)
            check_eq("qdoractl register my-ufop" not in p.calls(), there,
                     "listed by %r" % line)


def test_missing_programs_are_named_before_anything_is_done():
    with Platform(tools=("docker",)) as p:
        r = p.deploy(*ARGS)
        check_eq(r.returncode, 78, r.stderr)
        for word in ("qdoractl", "--cli", "login"):
            check(word in r.stderr, "no %r in %s", word, r.stderr)
        check_eq(p.calls(), [], "what was run")
        check(not os.path.exists(os.path.join(p.dir, "dora.yaml")),
              "dora.yaml was written")
        os.rename(os.path.join(p.bin, "docker"),
                  os.path.join(p.bin, "my-tool"))
        r = p.deploy(*ARGS, "--cli", os.path.join(p.bin, "my-tool"),
                     "--from", "release")
        check_eq(r.returncode, 0, r.stderr)
        check_eq(p.calls()[-1], "my-tool release --config .", "a tool by path")
        os.unlink(os.path.join(p.dir, "Dockerfile"))
        r = p.deploy(*ARGS)
        check_eq(r.returncode, 78, r.stderr)
        check("step build" in r.stderr, "%s", r.stderr)


def test_own_dora_yaml_is_kept_when_it_agrees():
    with Platform() as p:
        own = 'ufopname: my-ufop\nverstr: "v1"\nimage: my-ufop:v1\nx: y\n'
        p.write("dora.yaml", own)
        r = p.deploy(*ARGS)
        check_eq(r.returncode, 0, r.stderr)
        check_eq(p.read("dora.yaml"), own, "dora.yaml")
        check("your own" in r.stdout, "%s", r.stdout)
        p.write("dora.yaml", own.replace("v1\"", "v0\""))
        r = p.deploy(*ARGS)
        check_eq(r.returncode, 78, r.stderr)
        check("verstr: v1" in r.stderr, "%s", r.stderr)
        check_eq(p.calls(), [], "what was run")


def test_own_made_dora_yaml_is_made_anew():
    with Platform() as p:
        check_eq(p.deploy(*ARGS).returncode, 0, "first")
        mode = stat.S_IMODE(os.stat(os.path.join(p.dir, "dora.yaml")).st_mode)
        check_eq(mode, 0o644, "mode")
        r = p.deploy("-n", "my-ufop", "-t", "my-ufop:v2", "-v", "v2")
        check_eq(r.returncode, 0, r.stderr)
        check_eq(read_yaml(p.read("dora.yaml"))["verstr"], "v2", "verstr")


def test_from_takes_only_steps():
    with Platform() as p:
        r = p.deploy(*ARGS, "--from", "psuh")
        check_eq(r.returncode, 64, r.stderr)
        check("push" in r.stderr, "%s", r.stderr)
        r = p.deploy(*ARGS, "--expect", "many")
        check_eq(r.returncode, 64, r.stderr)


def test_dockerfile_is_the_one_of_a_new_project():
    with Platform() as p:
        check_eq(p.ok(UFOP, "dockerfile"), p.read("Dockerfile"), "Dockerfile")
