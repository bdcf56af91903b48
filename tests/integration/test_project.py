# SPDX-License-Identifier: MIT
"""A project from nothing: createproject, makeservice, make test, ufop test."""

import os
import re
import shutil
import subprocess
import tempfile

import harness
import httpc
from harness import BUILD, DATA, ROOT, UFOP, check, check_eq, deadline

ENV = {k: v for k, v in os.environ.items()
       if not k.startswith("UFOP") and
       k not in ("CPU_COUNT", "FLAVOR", "PORT_HTTP", "MAKEFLAGS", "BUILD")}
FILES = [".dockerignore", ".env", ".gitignore", "Dockerfile", "Makefile",
         "README.md", "app.c", "script.sh", "supervisor.conf", "tests",
         "ufop.ini"]


class Project:
    """A new project in a directory called name, gone at the end."""

    def __init__(self, name="my-app", create=True):
        self.top = tempfile.mkdtemp(prefix="project-")
        os.chmod(self.top, 0o755)
        self.dir = os.path.join(self.top, name)
        if create:
            self.created = self.ok(UFOP, "createproject", self.dir, cwd="/")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.remove_tree(self.top)

    def run(self, *argv, cwd=None, env=None):
        return subprocess.run(argv, cwd=cwd or self.dir, timeout=60,
                              env=dict(ENV, **(env or {})),
                              stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)

    def ok(self, *argv, **kwargs):
        r = self.run(*argv, **kwargs)
        check(r.returncode == 0, "%s: status %d: %s%s", " ".join(argv),
              r.returncode, r.stdout, r.stderr)
        return r.stdout

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", newline="") as f:
            f.write(text)

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def share(self, greeting, whom):
        """Have app.c greet by way of lib/words.h and lib/words.c."""
        os.mkdir(self.path("lib"))
        self.write("lib/words.h", '#define GREETING "%s"\n'
                   "const char *whom(void);\n" % greeting)
        self.write("lib/words.c", '#include "words.h"\n\n'
                   'const char *\nwhom(void)\n{\n\treturn ("%s");\n}\n' % whom)
        self.write("app.c", self.read("app.c")
                   .replace("<ufop.h>", '<ufop.h>\n#include "words.h"')
                   .replace('"hello %s"', 'GREETING " %s"')
                   .replace('"world"', "whom()"))

    def cases(self, text, *args):
        """ufop test on these cases; (status, output)."""
        self.write("try.cases", text)
        r = self.run(UFOP, "test", "try.cases", *args)
        return r.returncode, r.stdout + r.stderr


# ---- createproject -----------------------------------------------------


@deadline(120)
def test_builds_tests_and_runs_as_it_stands():
    with Project() as p:
        check_eq(sorted(os.listdir(p.dir)), FILES, "the project's files")
        check("make test" in p.created, "says not what is next: %r",
              p.created)
        out = p.ok("make", "test")
        check("7 passed, 0 failed" in out, "make test says %r", out)
        check("warning" not in out, "it compiles with warnings: %r", out)
        check_eq(p.ok(UFOP, "process", "hello/eve", "/dev/null"), "hello eve")
        check("all is in order" in p.ok(UFOP, "config", "check"), "config")
        check("name = my-app" in p.read("ufop.ini"), "ufop.ini")
        for name in FILES:
            if name == "tests":
                continue
            left = re.findall(r"@[A-Z]+@", p.read(name))
            check_eq(left, [], "words left in " + name)
        check(os.access(os.path.join(p.dir, "script.sh"), os.X_OK),
              "script.sh cannot be run")


def test_existing_files_are_named_and_kept():
    with Project() as p:
        p.write("app.c", "mine")
        os.unlink(os.path.join(p.dir, "ufop.ini"))
        out = p.ok(UFOP, "createproject")
        check_eq(p.read("app.c"), "mine", "app.c")
        check(re.search(r"^kept +app\.c\b", out, re.M), "app.c: %r", out)
        check(re.search(r"^created +ufop\.ini$", out, re.M), "%r", out)


def test_name_of_the_directory_becomes_a_name():
    for directory, want in (
            ("Größe 4 All.2", "gr-e-4-all-2"), ("图片", "ufop"), ("-x", "x"),
            ("my_app__2_", "my_app_2"), ("a" * 31 + ".b", "a" * 31),
            ("x" * 40, "x" * 32)):
        with Project(directory) as p:
            name = re.search(r"^name = (.*)$", p.read("ufop.ini"),
                             re.M).group(1)
            check_eq(name, want, "name for %r" % directory)
            check("docker build -t %s ." % want in p.read("Dockerfile"),
                  "Dockerfile")
            check("all is in order" in p.ok("make") + p.ok(UFOP, "config",
                                                           "check"), "config")
            r = p.run(UFOP, "doraconfig", "-n", name, "-v", "v1", "-t",
                      name + ":v1")
            check_eq(r.returncode, 0, r.stderr)


def test_createproject_says_what_it_cannot_do():
    with Project(create=False) as p:
        os.makedirs(p.dir)
        p.write("file", "")
        for args, status, word in (
                (("a", "b"), 64, "more than one"),
                (("file",), 78, "'file'"),
                (("no/such/dir",), 71, "no/such/dir"),
                (("--force",), 64, "--force")):
            r = p.run(UFOP, "createproject", *args)
            check_eq(r.returncode, status, "status of %r" % (args,))
            check(word in r.stderr, "%r says %r", args, r.stderr)


@deadline(120)
def test_ufop_on_the_path_is_found_wherever_it_was_created():
    """A project moved to another machine uses the ufop of that one."""
    with Project() as p:
        bin_dir = os.path.join(p.top, "bin")
        os.mkdir(bin_dir)
        os.symlink(UFOP, os.path.join(bin_dir, "ufop"))
        p.write("Makefile", p.read("Makefile").replace(UFOP, "/nonexistent"))
        env = {"PATH": bin_dir + ":" + ENV["PATH"]}
        check("7 passed, 0 failed" in p.ok("make", "test", env=env), "test")


@deadline(120)
def test_builds_without_pkg_config():
    with Project() as p:
        bin_dir = os.path.join(p.top, "bin")
        os.mkdir(bin_dir)
        for name in ("sh", "cc", "as", "ld", "mv", "rm", "make"):
            os.symlink(shutil.which(name), os.path.join(bin_dir, name))
        p.ok("make", env={"PATH": bin_dir})
        check(os.path.exists(os.path.join(p.dir, "app.so")), "no app.so")


@deadline(120)
def test_rebuilding_leaves_a_loaded_service_alone():
    """The file that runs is not written into: it keeps its inode."""
    with Project() as p:
        p.ok("make")
        so = os.path.join(p.dir, "app.so")
        with open(so, "rb") as old:
            before = old.read()
            with open(os.path.join(p.dir, "app.c"), "a") as f:
                f.write("/* changed */\nint changed(void);\n"
                        "int changed(void) { return (1); }\n")
            p.ok("make")
            old.seek(0)
            check_eq(old.read() == before, True, "the old file is as it was")
        check(open(so, "rb").read() != before, "nothing was built")


@deadline(120)
def test_changed_header_builds_anew_what_includes_it():
    with Project() as p:
        p.ok(UFOP, "makeservice", "other")
        p.share("hello", "world")
        p.ok("make")
        check_eq(p.ok("make").count("-shared"), 0, "built for nothing")
        p.write("lib/words.h", p.read("lib/words.h").replace("hello", "ho"))
        p.ok("make")
        check_eq(p.ok(UFOP, "process", "hello", "/dev/null"), "ho world")
        # A header that is gone, and that nothing includes any more.
        p.write("app.c", p.read("app.c").replace("words.h", "new.h"))
        p.write("lib/words.c", p.read("lib/words.c").replace("words.h",
                                                             "new.h"))
        os.rename(p.path("lib/words.h"), p.path("lib/new.h"))
        p.ok("make")
        check_eq(p.ok(UFOP, "process", "hello", "/dev/null"), "ho world")


@deadline(120)
def test_clean_removes_what_make_has_built_and_nothing_else():
    with Project() as p:
        p.share("hello", "world")
        before = sorted(os.listdir(p.dir)), sorted(os.listdir(p.path("lib")))
        p.ok("make")
        shutil.copy(p.path("app.so"), p.path("vendor.so"))
        p.ok("make", "clean")
        os.unlink(p.path("vendor.so"))
        check_eq((sorted(os.listdir(p.dir)), sorted(os.listdir(
            p.path("lib")))), before, "files")


@deadline(120)
def test_libraries_are_linked_by_ldlibs():
    with Project() as p:
        p.write("app.c", p.read("app.c")
                .replace("<ufop.h>", "<ufop.h>\n#include <libdeflate.h>")
                .replace('"world"', 'libdeflate_crc32(0, "a", 1) == '
                         '0xe8b7be43 ? "crc" : "other"'))
        p.write("Makefile", p.read("Makefile").replace(
            "LDLIBS\t?=", "LDLIBS\t?= -ldeflate"))
        p.ok("make")
        check_eq(p.ok(UFOP, "process", "hello", "/dev/null"), "hello crc")


# ---- makeservice -------------------------------------------------------


@deadline(120)
def test_makeservice_adds_one_that_works():
    with Project() as p:
        out = p.ok(UFOP, "makeservice", "stamp")
        check("stamp.c" in out and "ufop.ini" in out, "%r", out)
        check("./app.so ./stamp.so" in p.read("ufop.ini"), "ufop.ini: %s",
              p.read("ufop.ini"))
        check("8 passed, 0 failed" in p.ok("make", "test"), "test")
        r = p.run(UFOP, "makeservice", "stamp")
        check_eq(r.returncode, 64, "a second time")
        check("stamp.c" in r.stderr, "%r", r.stderr)


def test_makeservice_refuses_what_is_no_name():
    with Project() as p:
        for name in ("", "Big", "a-b", "../x", "1a", "a" * 33):
            r = p.run(UFOP, "makeservice", name)
            check_eq(r.returncode, 64, "status of %r" % name)
        check_eq(sorted(os.listdir(p.dir)), FILES, "files")


def test_makeservice_refuses_what_could_not_work():
    with Project() as p:
        for name, word in (("ufop", "section"), ("front", "section"),
                           ("fetch", "section"), ("images", "came with"),
                           ("hello", "app.c"), ("twice", "app.c")):
            r = p.run(UFOP, "makeservice", name)
            check_eq(r.returncode, 64, "status of %r" % name)
            check(word in r.stderr and "another name" in r.stderr,
                  "%r: %s", name, r.stderr)
        check_eq(sorted(os.listdir(p.dir)), FILES, "files")
        p.ok(UFOP, "makeservice", "hell")
        r = p.run(UFOP, "makeservice", "stamp", cwd=p.top)
        check_eq(r.returncode, 78, r.stderr)
        check("createproject" in r.stderr, "%s", r.stderr)
        check_eq(os.listdir(p.top), [os.path.basename(p.dir)], "files")


def test_makeservice_finds_the_end_of_the_list():
    with Project() as p:
        for before, after in (
                ("services = ./app.so ; mine", "./app.so ./c%d.so ; mine"),
                ("services = ./app.so\t ;./x.so", "./app.so ./c%d.so\t ;"),
                ("services = ./a;b.so", "./a;b.so ./c%d.so\n"),
                ("services = ./app.so  \r", "./app.so ./c%d.so  \r"),
                ("services=", "services= ./c%d.so\n")):
            i = len(os.listdir(p.dir))
            p.write("ufop.ini", "[mine]\nservices = ./no.so\n[ufop]\n%s\n"
                    "[more]\nservices = no\n" % before)
            out = p.ok(UFOP, "makeservice", "c%d" % i)
            check("is on" in out, "%r: %s", before, out)
            with open(p.path("ufop.ini"), newline="") as f:
                text = f.read()
            check(after % i in text, "%r becomes %r", before, text)
            check_eq(text.replace(" ./c%d.so" % i, ""), "[mine]\nservices = "
                     "./no.so\n[ufop]\n%s\n[more]\nservices = no\n" % before,
                     "the rest")
        p.write("ufop.ini", "[ufop]\nname = a\n[more]\nservices = no\n")
        check("Add ./c.so" in p.ok(UFOP, "makeservice", "c"), "other section")


def test_makeservice_says_what_to_add_where_it_cannot():
    with Project() as p:
        before = "[ufop]\nservices = ./app.so\n  ./b.so\n"
        p.write("ufop.ini", before)
        out = p.ok(UFOP, "makeservice", "c")
        check("Add ./c.so to services" in out, "%r", out)
        check_eq(p.read("ufop.ini"), before, "ufop.ini")


# ---- ufop test ---------------------------------------------------------


@deadline(120)
def test_each_difference_is_shown():
    with Project() as p:
        p.ok("make")
        for case, words in (
                ("cmd = hello\nbody = hello World",
                 ["- hello World", "+ hello world"]),
                ("cmd = echo\ntext = a\\nb\\nc\nbody = a\\nB\\nc",
                 ["line 2", "- B", "+ b"]),
                ("cmd = hello\nbody = hello world\\n",
                 ["wanted 12 bytes, got 11"]),
                ("cmd = hello\nbody = hel\\xfflo", ["byte 3", "- ff 6c 6f",
                                                    "+ 6c 6f"]),
                ("cmd = twice/2\njson = {\"twice\": 5}",
                 ["$.twice", "wanted 5", "got 4"]),
                ("cmd = twice/2\njson = {\"a\": {\"b\": [1]}}",
                 ["$.a", "got nothing"]),
                ("cmd = hello\njson = {}", ["json", "body is none"]),
                ("cmd = hello\ntype = image/png",
                 ["wanted image/png", "got text/plain"]),
                ("cmd = hello\nsize = 1..10", ["1 to 10", "got 11"]),
                ("cmd = hello\nsize = 12..", ["12 or more", "got 11"]),
                ("cmd = hello\nstatus = 404", ["wanted 404, got 200"]),
                ("cmd = hello\nerror = x", ["wanted an error, got 200"]),
                ("cmd = twice/5000\n", ["wanted 200, got 400", "1000"]),
                ("cmd = nosuch\nstatus = 404\nerror = what",
                 ["'what'", "no route"]),
                ("cmd = echo\nfile = nosuch", ["nosuch", "No such file"]),
                ("cmd = hello\nbody-file = nosuch", ["nosuch"])):
            status, out = p.cases("[the case]\n" + case + "\n")
            check_eq(status, 1, "status of %r: %s" % (case, out))
            check("FAIL  the case (try.cases:1" in out, "%r: %s", case, out)
            check("0 passed, 1 failed" in out, "%r: %s", case, out)
            for word in words:
                check(word in out, "%r does not say %r: %s", case, word, out)


@deadline(120)
def test_what_is_as_expected_passes():
    with Project() as p:
        p.ok("make")
        shutil.copy(os.path.join(ROOT, "Makefile"), p.dir + "/source.txt")
        status, out = p.cases("""\
# A comment.
; Another.
[by file]
cmd = /echo
file = source.txt
body-file = source.txt
size = 100..
type = text/plain

[by part]
cmd = twice/2
json = {"n": 2,
    "twice": 4.0}
type = application/json
[by error]
cmd = twice/5000
error = 1000
[escapes]
cmd = echo
text = a\\tb\\\\c\\x41\\r\\n
body = a\\tb\\\\cA\\r\\n
size = 8
[none]
cmd = nosuch
status = 404
""")
        check_eq(status, 0, out)
        check(out.endswith("5 passed, 0 failed\n"), "%s", out)


@deadline(120)
def test_pictures_are_measured_by_a_pipe():
    with Project() as p:
        p.ok("make")
        shutil.copy(os.path.join(DATA, "painting-640x427.jpg"), p.dir)
        with open(os.path.join(p.dir, "ufop.ini"), "a") as f:
            f.write("  images\n")
        status, out = p.cases("""\
[thumbnail]
cmd = thumbnail/w/320|imageInfo
file = painting-640x427.jpg
json = {"width": 320, "format": "jpeg"}
[no picture]
cmd = thumbnail/w/320
text = no picture
status = 415
""")
        check_eq(status, 0, out)


@deadline(120)
def test_wrong_files_of_cases_are_named_with_their_line():
    with Project() as p:
        p.ok("make")
        for text, words in (
                ("cmd = hello\n", [":1:", "[brackets]"]),
                ("[a]\n", [":1:", "no cmd"]),
                ("[a]\ncmd = x\n\nwhat = y\n", [":4:", "'what'", "status"]),
                ("[a]\ncmd = x\ncmd = y\n", [":3:", "twice"]),
                ("[a]\ncmd = x\nfoo\n", [":3:"]),
                ("[a\ncmd = x\n", [":1:", "brackets"]),
                ("[a]\ncmd = x\nstatus = 99\n", [":3:", "'99'"]),
                ("[a]\ncmd = x\nsize = big\n", [":3:", "'big'"]),
                ("[a]\ncmd = x\ntext = \\q\n", [":3:", "\\n"]),
                ("[a]\ncmd = x\njson = {\n  \"a\"\n", [":3:", "json"]),
                ("[a]\ncmd = x\ntext = a\nfile = b\n", [":1:", "more than"]),
                ("", ["no case"])):
            status, out = p.cases(text)
            check_eq(status, 78, "status of %r: %s" % (text, out))
            for word in words:
                check(word in out, "%r does not say %r: %s", text, word, out)
        r = p.run(UFOP, "test", cwd="/")
        check_eq(r.returncode, 78, "without a project")
        check("tests/*.cases" in r.stderr, "%r", r.stderr)


@deadline(120)
def test_cases_run_side_by_side_and_are_told_in_order():
    with Project() as p:
        p.ok("make")
        status, out = p.cases("".join(
            "[case %d]\ncmd = hello/c%d\nbody = hello c%d\n" % (i, i, i)
            for i in range(40)), "-j", "8")
        check_eq(status, 0, out)
        check_eq(re.findall(r"^ok +case (\d+)$", out, re.M),
                 [str(i) for i in range(40)], "order")
        status, out = p.cases("[one]\ncmd = hello\n[two]\ncmd = hello\n",
                              "-n", "tw")
        check("1 passed" in out and "two" in out and "one" not in out, "%s",
              out)


@deadline(120)
def test_handler_that_dies_fails_its_case_alone():
    with Project() as p:
        p.write("app.c", p.read("app.c").replace(
            'return (ufop_reply_textf(reply, "hello %s",',
            'if (job->cmd[1] == \'h\' && ufop_arg(job, "name", "")[0] == '
            '\'x\')\n\t\t__builtin_trap();\n'
            '\treturn (ufop_reply_textf(reply, "hello %s",'))
        p.ok("make")
        status, out = p.cases("[dies]\ncmd = hello/x\n"
                              "[lives]\ncmd = hello/y\n"
                              "[expected]\ncmd = hello/x\nstatus = 500\n")
        check_eq(status, 1, out)
        check("2 passed, 1 failed" in out, "%s", out)
        check("got 500" in out, "%s", out)


@deadline(90)
def test_container_runs_the_script_and_the_programs_of_a_project():
    """supervisor/start in the project's directory, as the image has it."""
    harness.need_program("supervisord")
    with Project() as p:
        p.ok("make")
        with open(os.path.join(p.dir, "script.sh"), "a") as f:
            f.write("echo prepared > prepared\n")
        p.write("supervisor.conf", "[program:mine]\n"
                "command=/bin/sh -c 'cat prepared > mine; exec sleep 1000'\n")
        port = harness.free_port()
        env = dict(ENV, PATH=BUILD + ":" + ENV["PATH"],
                   RUN_DIR=os.path.join(p.top, "run"),
                   LOG_ROOT=os.path.join(p.top, "log"), PROJECT_DIR=p.dir,
                   UFOP_FRONT_LISTEN="127.0.0.1:%d" % port,
                   UFOP_SPOOL_DIR=os.path.join(p.top, "spool"), CPU_COUNT="1")
        start = os.path.join(ROOT, "supervisor", "start")
        image = harness.Process("image", [start], p.dir, env)
        try:
            image.start()

            def answers():
                check(image.running, "it ended: %s", image.output())
                try:
                    with httpc.Conn(port, timeout_s=5) as c:
                        r = c.request("POST", "/handler?cmd=q/hello/bob", b"")
                        return r.status == 200 and r.text == "hello bob"
                except (OSError, httpc.HttpError):
                    return False
            harness.wait_until(answers, 20, "the project answers")
            mine = os.path.join(p.dir, "mine")
            harness.wait_until(lambda: os.path.exists(mine) and
                               p.read("mine") == "prepared\n", 10,
                               "its program runs, after its script")
            check_eq(image.terminate(15), 0, "exit status")
        finally:
            image.kill_all()
        with open(os.path.join(p.dir, "script.sh"), "a") as f:
            f.write("exit 3\n")
        r = p.run(start, env=env)
        check_eq(r.returncode, 3, "a script that fails: %s" % r.stderr)
