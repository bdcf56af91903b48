# SPDX-License-Identifier: MIT
"""What the documents say: examples run, options and names agree."""

import contextlib
import functools
import glob
import http.server
import os
import re
import shutil
import subprocess
import tempfile
import threading

import harness
import pictures
from harness import BUILD, ROOT, UFOP, check, check_eq, deadline, \
    need_program
from test_project import ENV

DOCS = os.path.join(ROOT, "docs")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def fences(text):
    """(language, content, line) of each fenced block."""
    for m in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        yield m.group(1), m.group(2), text.count("\n", 0, m.start()) + 1


class Shell:
    """One directory after the other, as a reader's shell would stand in them."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="docs-")
        os.chmod(self.top, 0o755)
        self.dir = self.top
        bin_dir = os.path.join(self.top, "bin")
        os.mkdir(bin_dir)
        os.symlink(UFOP, os.path.join(bin_dir, "ufop"))
        self.env = dict(ENV, PATH=bin_dir + ":" + ENV["PATH"])
        self.stands_for = {}    # words of a document: what they are here

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.remove_tree(self.top)

    def run(self, command):
        for word, here in self.stands_for.items():
            command = command.replace(word, here)
        r = subprocess.run(["bash", "-c", command + "\n{ rc=$?; pwd >&9; } "
                            "9> '%s/pwd'; exit $rc" % self.top],
                           cwd=self.dir, env=self.env, text=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=60)
        with open(os.path.join(self.top, "pwd")) as f:
            self.dir = f.read().strip()
        return r.stdout

    def console(self, text, where):
        """Lines with $ are run, the others are what they print."""
        command, wanted = None, []
        lines = text.splitlines() + ["$ "]
        while lines:
            line = lines.pop(0)
            shown = line.startswith("$ ") and not (
                command and "--dry-run" in command and line != "$ ")
            if not shown:
                wanted.append(line)
                continue
            if command is not None:
                self.compare(command, wanted, where)
            command, wanted = line[2:], []
            here = re.search(r"<<'(\w+)'", command)
            while here and not command.endswith("\n" + here.group(1)):
                command += "\n" + lines.pop(0)

    def compare(self, command, wanted, where):
        got = self.run(command).splitlines()
        want = "\n".join(wanted)
        pattern = re.escape(want).replace(re.escape("..."), "(?:.|\n)*")
        check(re.fullmatch(pattern, "\n".join(got)), "%s: $ %s\nprints\n%s\n"
              "instead of\n%s", where, command, "\n".join(got), want)


def walk(name, shell):
    """All examples of a document, in order."""
    for language, text, line in fences(read("docs", name)):
        where = "%s:%d" % (name, line)
        if language == "console":
            shell.console(text, where)
        elif language == "c":
            m = re.match(r"/\* (\w+\.c)", text)
            check(m, "%s: an example without a name", where)
            path = os.path.join(shell.dir, m.group(1))
            with open(path, "w") as f:
                f.write(text)
            r = subprocess.run(
                ["cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra",
                 "-Werror", "-fPIC", "-shared", "-I",
                 os.path.join(ROOT, "include"), "-o", "/dev/null", path],
                capture_output=True, text=True)
            check(r.returncode == 0, "%s: %s", where, r.stderr)


@contextlib.contextmanager
def web_server(directory):
    """What `python3 -m http.server` is, on a free port."""
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=directory))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@deadline(180)
def test_every_example_of_the_guide_runs():
    with Shell() as shell, \
            web_server(os.path.join(shell.top, "guide")) as port:
        shell.stands_for["127.0.0.1:8000"] = "127.0.0.1:%d" % port
        walk("guide.md", shell)


@deadline(180)
def test_every_example_for_those_from_python_runs():
    with Shell() as shell:
        walk("from-python.md", shell)


@contextlib.contextmanager
def serving(argv, directory, env, said):
    """A program of the README, once it has said that it is ready."""
    part = harness.Process("serving", argv, directory, env)
    part.start()
    try:
        def ready():
            check(part.running, "it ended: %s", part.output())
            return re.search(said, part.output(), re.M)
        harness.wait_until(ready, 30, "it says " + said)
        yield
        below = part.below()
        part.terminate(20)
        # make goes before what it has told to go.
        harness.wait_until(lambda: not any(
            os.path.exists("/proc/%d" % p) for p in below), 20,
            "all that it started is gone")
    finally:
        part.kill_all()


def blocks(section):
    """The indented blocks of a README's section, each a list of lines."""
    return [[line[4:] for line in m.group().splitlines()]
            for m in re.finditer(r"(?:^(?: {4}.*)\n)+", section, re.M)]


@deadline(180)
def test_readme_prints_what_it_says():
    """`make run`, its request to copy, and those with their answers."""
    need_program("curl")
    text = read("README.md")
    port = harness.free_port()
    ready, request = next(b for b in blocks(text) if "is ready" in b[0])
    said = re.sub(r"\b60 ms", "[0-9]+ ms", re.sub(
        r"\b2 workers", "[0-9]+ workers?", re.escape(ready).replace(
            r"\ ", " "))).replace("9100", str(port))
    with Shell() as shell, serving(
            [UFOP, "up", "-p", str(port)], shell.top, shell.env,
            "^%s$" % said):
        shell.stands_for = {"localhost:9100": "127.0.0.1:%d" % port,
                            "127.0.0.1:9100": "127.0.0.1:%d" % port,
                            "@tests/": "@%s/tests/" % ROOT}
        shell.run(request.replace("curl ", "curl -sS "))
        with open(os.path.join(shell.dir, "thumbnail.jpg"), "rb") as f:
            kind, width, _ = pictures.size_of(f.read())
            check_eq((kind, width), ("jpg", 320), "the thumbnail")
        seen = 0
        for b in blocks(text):
            if not b[0].startswith("$ "):
                continue
            seen += 1
            got = shell.run(b[0][2:].replace("curl ", "curl -sS "))
            check_eq(got, "\n".join(b[1:]), b[0])
        check(seen >= 2, "only %d requests with their answers", seen)


@deadline(180)
def test_readme_leads_to_a_handler():
    """Its five minutes: each command, in a home of its own."""
    need_program("curl")
    text = read("README.md")
    section = text[text.index("## A handler of your own"):]
    section = section[:section.index("\n## ", 3)]
    begin, ask, handler, alone = blocks(section)
    begin = [re.sub(r" +#.*", "", line) for line in begin]
    check_eq([begin[0].split()[0], begin[-1]], ["export", "make dev"],
             "the first and the last")
    with Shell() as shell:
        port = harness.free_port()
        shell.env.update(HOME=shell.top,
                         UFOP_FRONT_LISTEN="127.0.0.1:%d" % port)
        out = [shell.run(line) for line in begin[1:-1]]
        check("7 passed, 0 failed" in out[-1], "%s", out)
        with serving(["make", "dev"], shell.dir, shell.env, "is ready on"):
            shell.stands_for["localhost:9100"] = "127.0.0.1:%d" % port
            check_eq(shell.run(ask[0].replace("curl ", "curl -sS ")),
                     "hello bob", ask[0])
        with open(os.path.join(shell.dir, "app.c")) as f:
            check("\n".join(handler) in f.read(), "app.c has no such handler")
        check_eq(shell.run(alone[0]), "hello bob", alone[0])


def test_handler_manual_names_every_function():
    names = set(re.findall(r"^UFOP_API [^;]*?\b(ufop_\w+)\(",
                           read("include", "ufop.h"), re.M))
    check(len(names) > 20, "functions: %r", sorted(names))
    manual = read("docs", "ufop-handler.7")
    missing = [n for n in names if not re.search(r"\b%s\b" % n, manual)]
    check_eq(missing, [], "not in ufop-handler(7)")
    named = set(re.findall(r"\b(ufop_[a-z0-9_]+)\b", manual)) - {
        "ufop_job", "ufop_reply", "ufop_task", "ufop_service",
        "ufop_setting_def"}
    check_eq(sorted(named - names), [], "only in ufop-handler(7)")


def test_settings_manual_names_every_setting():
    services = " ".join(sorted(n[:-3] for n in os.listdir(
        os.path.join(BUILD, "services"))))
    r = subprocess.run(["sh", os.path.join(ROOT, "scripts",
                                           "manual-settings"), UFOP, services],
                       env=ENV, capture_output=True, text=True)
    check(r.returncode == 0, "%s", r.stderr)
    manual = r.stdout
    shown = subprocess.run([UFOP, "config", "show", "--all"], cwd="/",
                           env=ENV, capture_output=True, text=True).stdout
    names = re.findall(r"^(\w+) =", shown, re.M)
    check(len(names) > 30, "settings: %r", names)
    for name in names:
        check(re.search(r"^\.It Cm %s$" % name, manual, re.M),
              "%s is not in ufop.ini(5)", name)


def commands():
    text = subprocess.run([UFOP, "--help"], capture_output=True,
                          text=True).stdout
    return re.findall(r"^  (\w+) +\S", text, re.M)


def helped(command):
    text = subprocess.run([UFOP, command, "--help"], capture_output=True,
                          text=True).stdout
    return set(re.findall(r"--([a-z-]+)", "\n".join(
        line[:26] for line in text.splitlines() if line.startswith("  "))))


def test_manual_names_every_command_and_option():
    manual = read("docs", "ufop.1")
    option = re.compile(r"\bFl -([a-z-]+)|, -([a-z-]+)")

    def of_manual(text):
        return {a or b for line in text.splitlines()
                if line.startswith(".It Fl") for a, b in option.findall(line)}
    common = of_manual(manual[manual.index(".Sh COMMON OPTIONS"):
                              manual.index(".Sh COMMANDS")])
    synopsis = manual[manual.index(".Sh SYNOPSIS"):
                      manual.index(".Sh DESCRIPTION")]
    check(len(commands()) > 12, "commands: %r", commands())
    for command in commands():
        check("\n.Cm %s\n" % command in synopsis, "%s is not in the synopsis",
              command)
        section = re.search(r"^\.Ss ufop %s$(.*?)^\.S[sh] " % command, manual,
                            re.M | re.S)
        check(section, "the manual has no section on %s", command)
        own = of_manual(section.group(1))
        want = own | common if "set" in helped(command) else own
        check_eq(sorted(want), sorted(helped(command)),
                 "options of " + command)


def settings():
    """section.name of all, and the sections."""
    shown = subprocess.run(
        [UFOP, "config", "show", "--all", "-s",
         "ufop.services=images debug screenshot"], cwd="/", env=ENV,
        capture_output=True, text=True).stdout
    names, section = set(), None
    for line in shown.splitlines():
        m = re.match(r"\[(\w+)\]$|(\w+) =", line)
        if m and m.group(1):
            section = m.group(1)
        elif m:
            names.add("%s.%s" % (section, m.group(2)))
    return names, {n.split(".")[0] for n in names}


def test_documents_name_only_what_there_is():
    """ufop COMMAND --option, settings and files that a document mentions."""
    known = set(commands())
    names, sections = settings()
    check(len(names) > 50, "settings: %r", sorted(names))
    code, seen = literals(), 0
    for path in sorted(glob.glob(os.path.join(ROOT, "*.md")) +
                       glob.glob(os.path.join(DOCS, "*.md")) +
                       glob.glob(os.path.join(ROOT, "examples/*/*.md")) +
                       glob.glob(os.path.join(ROOT,
                                              "scripts/templates/*/*.md"))):
        text = read(path)
        name = os.path.basename(path)
        # As code; "ufop is ready" is what it prints.
        for command in re.findall(r"(?:`|\$ |^ {4})ufop ([a-z]+)\b(?! ready)",
                                  text, re.M):
            check(command in known, "%s: there is no ufop %s", name, command)
        for setting in re.findall(
                r"(?:`|-s )([a-z]+\.[a-z_]+)(?=[`= ])", text):
            if setting.split(".")[0] not in sections or \
                    setting in ("ufop.ini", "ufop.h"):
                continue
            seen += 1
            # What is no setting may be an event of the log.
            check(setting in names or
                  re.search(r"^%s\b" % re.escape(setting), code, re.M),
                  "%s: there is no setting %s", name, setting)
        for command, rest in re.findall(
                r"(?:^|[`$ /(])ufop ([a-z]+)((?: [^`\n]*)?)", text, re.M):
            if command not in known:
                continue
            for option in re.findall(r" --([a-z-]+)", rest.split("|")[0]):
                check(option in helped(command), "%s: ufop %s has no --%s",
                      name, command, option)
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if "://" not in target:
                check(os.path.exists(os.path.join(os.path.dirname(path),
                                                  target)),
                      "%s: there is no %s", name, target)
    check(seen > 50, "only %d settings were found", seen)


def joined(code):
    """With string literals that adjoin made one."""
    return re.sub(r'(?<!\\)"\s*\n?\s*"', "", code)


def literals():
    """All string literals of the C sources, those that adjoin as one."""
    out = []
    for path in glob.glob(os.path.join(ROOT, "*", "*.c")) + \
            glob.glob(os.path.join(ROOT, "worker", "handlers", "*", "*.c")):
        text = joined(read(path))
        out += re.findall(r'"((?:[^"\\\n]|\\.)*)"', text)
    return "\n".join(out).replace('\\"', '"')


def test_messages_of_the_operators_guide_are_the_codes_own():
    text = read("docs", "operating.md")
    code = literals()
    rows = re.findall(r"^\| `([^`]+)` \| .+ \|$",
                      text[text.index("## Messages"):], re.M)
    check(len(rows) > 30, "only %d messages", len(rows))
    for row in rows:
        for part in row.split("…"):
            part = part.strip(" :;'")
            check(len(part) < 4 or part in code, "%r of %r is not in the code",
                  part, row)


def test_each_message_says_what_to_do_or_the_operators_guide_does():
    """Those that a caller, an operator or an author of handlers may meet."""
    text = read("docs", "operating.md")
    rows = re.findall(r"^\| `([^`]+)` \| .+ \|$",
                      text[text.index("## Messages"):], re.M)
    known = [re.compile(".*".join(re.escape(part.strip())
                                  for part in row.split("…"))) for row in rows]
    seen, unknown = 0, []
    for path in glob.glob(os.path.join(ROOT, "*", "*.c")):
        if os.path.basename(os.path.dirname(path)) not in (
                "app", "lib", "router", "worker"):
            continue
        code = joined(read(path))
        for message in re.findall(
                r'\b(?:request_failf|err_set|err_sys|ufop_fail)\([^;"]*'
                r'"((?:[^"\\]|\\.)*)"', code):
            message = re.sub(r"%[-.*0-9]*[hlz]*[a-z]", "…", message)
            if not message.strip("… :"):
                continue            # it passes another's on
            seen += 1
            if "; " not in message and not any(k.search(message)
                                               for k in known):
                unknown.append(message)
    check(seen > 200, "only %d messages were found", seen)
    check_eq(unknown, [], "messages without a remedy")


def test_manuals_in_the_tree_are_sound():
    need_program("mandoc")
    for page in glob.glob(os.path.join(DOCS, "*.[1-8]")):
        r = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page],
                           capture_output=True, text=True)
        check_eq(r.stdout + r.stderr, "", os.path.basename(page))


def commands_of(text):
    """What a README has one type or read, without remarks and its picture."""
    sections = text.split("\n## ")
    lines = re.findall(r"^    (.*)$", "".join(sections[:1] + sections[2:]), re.M)
    return [re.sub(r"(?<=\S)  +\S.*", "", line) for line in lines]


def test_readmes_say_the_same_and_begin_alike():
    """Two commands, what happens, then the way to a handler."""
    english, chinese = read("README.md"), read("README.zh.md")
    for text in (english, chinese):
        at = [text.index(words) for words in (
            "    make run", "    make test", "POST /handler?cmd=",
            "ufop createproject ~")]
        check_eq(at, sorted(at), "order")
        check_eq(text[:at[2]].count("\n## "), 1, "sections before the picture")
    check_eq(chinese.count("\n## "), english.count("\n## "), "sections")
    check_eq(commands_of(chinese), commands_of(english), "commands")
    check(len(commands_of(english)) > 15, "%s", commands_of(english))
    for pattern in (r"\]\((docs/[^)]+)\)", r"^\| (`[^|]*) \|"):
        check_eq([w.replace("、", ", ") for w in
                  re.findall(pattern, chinese, re.M)],
                 re.findall(pattern, english, re.M), "what is named")
