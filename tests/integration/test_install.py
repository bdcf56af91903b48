# SPDX-License-Identifier: MIT
"""make install: what lies where, and that it works there and moves."""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile

import harness
import httpc
from harness import BUILD, ROOT, Process, check, check_eq, deadline, \
    free_port, need_program, skip, wait_until
from test_project import ENV, Project


def make(*args):
    """make ARGS in the sources; one at a time, for they build the same files."""
    with open(os.path.join(BUILD, "install.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.run(
            ["make", "-C", ROOT, "BUILD=" + os.path.relpath(BUILD, ROOT),
             *args], env=ENV, capture_output=True, text=True)


class Installation:
    """make install PREFIX=/opt/ufop DESTDIR=..., then moved to another place."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="install-")
        os.chmod(self.top, 0o755)
        dest = os.path.join(self.top, "dest")
        r = make("install", "PREFIX=" + self.top + "/ufop",
                 "DESTDIR=" + dest)
        check(r.returncode == 0, "make install: %s%s", r.stdout[-2000:],
              r.stderr[-2000:])
        shutil.move(dest + self.top + "/ufop", self.top + "/ufop")
        self.prefix = os.path.join(self.top, "ufop")
        self.ufop = os.path.join(self.prefix, "bin", "ufop")
        # What built it must not be needed any more.
        self.env = dict(ENV, PATH=os.path.join(self.prefix, "bin") + ":" +
                        ENV["PATH"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.remove_tree(self.top)

    def has(self, *names):
        for name in names:
            check(os.path.exists(os.path.join(self.prefix, name)),
                  "%s is not installed", name)


def check_serves(ufop, directory, env):
    """`ufop up` answers for the project in the directory, and goes."""
    port = free_port()
    up = Process("up", [ufop, "up", "-p", str(port)], directory, env)
    up.start()
    try:
        def answer():
            check(up.running, "it ended: %s", up.output())
            try:
                with httpc.Conn(port, timeout_s=5) as c:
                    r = c.request("POST", "/handler?cmd=q/hello/installed",
                                  b"")
                    return r if r.status == 200 else None
            except OSError:
                return None
        r = wait_until(answer, 15, "an answer")
        check_eq(r.text, "hello installed")
        check_eq(up.terminate(15), 0, "exit status")
    finally:
        up.kill_all()


@deadline(120)
def test_everything_lies_where_it_belongs():
    with Installation() as i:
        i.has("bin/ufop", "include/ufop.h", "lib/libufop.a", "lib/libufop.so",
              "lib/pkgconfig/libufop.pc", "lib/ufop/ufop-front.so",
              "lib/ufop/kore.conf", "lib/ufop/services/images.so",
              "lib/ufop/services/debug.so", "share/man/man1/ufop.1",
              "share/man/man5/ufop.ini.5", "share/man/man7/ufop-handler.7",
              "share/bash-completion/completions/ufop",
              "share/ufop/kleiber.jpg")
        for path, _, names in os.walk(i.prefix):
            for name in names:
                if name.endswith((".conf", ".pc", ".so")) or name == "ufop":
                    with open(os.path.join(path, name), "rb") as f:
                        check(b"@FRONT@" not in f.read(), "%s", name)
        with open(os.path.join(i.prefix, "lib/ufop/kore.conf")) as f:
            check(i.prefix + "/lib/ufop/ufop-front.so" in f.read(),
                  "kore.conf loads another front")


@deadline(120)
def test_handler_answers_over_http_from_an_installation():
    with Installation() as i, Project(create=False) as p:
        r = p.run(i.ufop, "createproject", p.dir, cwd="/", env=i.env)
        check_eq(r.returncode, 0, r.stderr)
        check("PATH" not in r.stdout, "it is on the PATH: %s", r.stdout)
        out = p.ok("make", "test", env=i.env)
        check(i.prefix + "/include" in out, "built against another: %s", out)
        check("7 passed, 0 failed" in out, "%s", out)
        check_serves(i.ufop, p.dir, i.env)


@deadline(60)
def test_program_links_a_handler_by_pkg_config():
    need_program("pkg-config")
    with Installation() as i, Project(create=False) as p:
        os.makedirs(p.dir)
        p.write("main.c", """\
#include <stdio.h>
#include <ufop.h>
int
main(void)
{
	void	*f[] = { (void *)ufop_arg, (void *)ufop_reply_json,
		    (void *)ufop_fail };
	printf("%d\\n", f[0] != NULL && f[1] != NULL && f[2] != NULL);
	return (0);
}
""")
        env = {"PKG_CONFIG_PATH": i.prefix + "/lib/pkgconfig",
               "LD_LIBRARY_PATH": i.prefix + "/lib"}
        flags = p.ok("pkg-config", "--cflags", "--libs", "libufop",
                     env=env).split()
        p.ok("cc", "-o", "shared", "main.c", *flags)
        check_eq(p.ok("./shared", env=env), "1\n", "linked to libufop.so")
        flags = [f for f in p.ok("pkg-config", "--static", "--cflags",
                                 "--libs", "libufop", env=env).split()
                 if f != "-lufop"]
        p.ok("cc", "-o", "static", "main.c", i.prefix + "/lib/libufop.a",
             *flags)
        check_eq(p.ok("./static"), "1\n", "linked to libufop.a")


@deadline(60)
def test_libufop_shows_only_its_own_names():
    r = subprocess.run(["nm", "-D", "--defined-only", "--format=posix",
                        os.path.join(BUILD, "libufop.so")],
                       capture_output=True, text=True)
    names = [line.split()[0] for line in r.stdout.splitlines()]
    check(len(names) > 10, "names: %r", names)
    foreign = [n for n in names if not n.startswith("ufop_")]
    check_eq(foreign, [], "names that are not ufop_")


class Shell:
    """An interactive bash, to press keys in."""

    def __init__(self, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"],
                       dict(env, TERM="dumb", PS1="$ ", INPUTRC="/dev/null"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def press(self, keys, wanted):
        """Until the terminal shows what is wanted."""
        os.write(self.fd, keys.encode())
        shown = ""
        while wanted not in shown:
            check(select.select([self.fd], [], [], 10)[0],
                  "%r shows %r, not %r", keys, shown, wanted)
            shown += os.read(self.fd, 4096).decode().replace("\a", "")


@deadline(60)
def test_completion_offers_commands_options_and_their_values():
    clear = "\x15"          # Ctrl-U
    with Installation() as i, Shell(i.env) as shell:
        shell.press(". '%s/share/bash-completion/completions/ufop'; "
                    "echo re''ady\n" % i.prefix, "ready\r\n")
        for keys, wanted in (("ufop cr\t", "ufop createproject "),
                             ("ufop deploy --fr\tpu\t", "--from=push"),
                             ("ufop deploy --cli qa\t", "--cli qappctl"),
                             ("ufop config ch\t", "ufop config check"),
                             ("ufop up --de\t", "ufop up --debug"),
                             ("ufop process /dev/nul\t", "/dev/null")):
            shell.press(clear + keys, wanted)


@deadline(120)
def test_uninstall_leaves_nothing():
    with Installation() as i:
        r = make("uninstall", "PREFIX=" + i.prefix)
        check_eq(r.returncode, 0, r.stderr)
        left = [os.path.join(d, f) for d, _, fs in os.walk(i.prefix)
                for f in fs]
        check_eq(left, [], "files left")


@deadline(60)
def test_manuals_are_sound():
    need_program("mandoc")
    with Installation() as i:
        for page in ("man1/ufop.1", "man5/ufop.ini.5", "man7/ufop-handler.7"):
            r = subprocess.run(
                ["mandoc", "-Tlint", "-Wwarning",
                 os.path.join(i.prefix, "share/man", page)],
                capture_output=True, text=True)
            check_eq(r.stdout + r.stderr, "", page)


# ---- the Debian package ------------------------------------------------


@deadline(600)
def test_package_installs_runs_and_goes():
    for program in ("dpkg-buildpackage", "dh", "fakeroot"):
        need_program(program)
    if os.geteuid() != 0:
        skip("only root can install a package")
    if subprocess.run(["dpkg-query", "-W", "ufop"],
                      capture_output=True).returncode == 0:
        skip("a package ufop is installed already")
    top = tempfile.mkdtemp(prefix="deb-")
    os.chmod(top, 0o755)
    try:
        r = subprocess.run(["make", "-C", ROOT, "deb", "DEB_DIR=" + top],
                           env=ENV, capture_output=True, text=True)
        check(r.returncode == 0, "make deb: %s%s", r.stdout[-3000:],
              r.stderr[-3000:])
        debs = sorted(n for n in os.listdir(top) if n.endswith(".deb"))
        check_eq([n.split("_")[0] for n in debs],
                 ["libufop-dev", "libufop1", "ufop"], "packages")
        paths = [os.path.join(top, n) for n in debs]
        r = subprocess.run(["dpkg", "-i", *paths], capture_output=True,
                           text=True)
        try:
            check_eq(r.returncode, 0, r.stdout + r.stderr)
            with Project(create=False) as p:
                p.ok("/usr/bin/ufop", "createproject", p.dir, cwd="/")
                check("7 passed, 0 failed" in p.ok("make", "test"), "test")
                check_serves("/usr/bin/ufop", p.dir, ENV)
            files = [f for f in subprocess.run(
                ["dpkg", "-L", "libufop-dev", "ufop", "libufop1"],
                capture_output=True, text=True).stdout.splitlines()
                if os.path.lexists(f) and not os.path.isdir(f)]
            for path in ("/usr/bin/ufop", "/usr/include/ufop.h"):
                check(path in files, "%s is not among %r", path, files)
        finally:
            r = subprocess.run(["dpkg", "--purge", "libufop-dev", "ufop",
                                "libufop1"], capture_output=True, text=True)
        check_eq(r.returncode, 0, r.stdout + r.stderr)
        check(not re.search("not empty", r.stdout + r.stderr), "%s%s",
              r.stdout, r.stderr)
        check_eq([f for f in files + ["/usr/lib/ufop", "/usr/share/ufop"]
                  if os.path.lexists(f)], [], "left")
    finally:
        harness.remove_tree(top)
