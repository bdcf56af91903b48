# SPDX-License-Identifier: MIT
"""What docs/http.md says: its examples run, its numbers are the code's."""

import hashlib
import json
import re
import subprocess

import test_docs
from harness import ROOT, UFOP, Stack, check, check_eq, need_program

PAGE = test_docs.read("docs", "http.md")


def stack():
    return Stack()


def test_examples_run(s):
    need_program("curl")
    ran = 0
    with test_docs.Shell() as shell:
        shell.dir = ROOT
        for language, text, line in test_docs.fences(PAGE):
            if language == "console":
                shell.console(text.replace("localhost:9100", "localhost:%d" %
                                           s.port), "http.md:%d" % line)
                ran += 1
    check_eq(ran, 2, "blocks of examples")


def test_examples_of_json_are():
    blocks = [json.loads(text) for language, text, _ in
              test_docs.fences(PAGE) if language == "json"]
    check_eq(len(blocks), 4, "blocks of JSON")
    check_eq([it["url"] for it in blocks[0]["lists"]],
             [it["url"] for it in blocks[1]["lists"]], "urls")
    one = blocks[1]["lists"][0]
    name = hashlib.md5(one["url"].encode()).hexdigest()
    check(one["path"].endswith("/%s/%s.png" % (name[:2], name)),
          "the path is not that of the url: %r", one)


def defined(path, name):
    text = re.search(r"^#define\s+%s\s+([0-9 ()*]+)" % name,
                     test_docs.read(*path.split("/")), re.M).group(1)
    product = 1
    for factor in re.findall(r"\d+", text):
        product *= int(factor)
    return product


def test_limits_are_those_of_the_code():
    for path, name, row in (
            ("app/head.h", "HEAD_TARGET_MAX", "| request target | %d bytes"),
            ("app/head.h", "HEAD_MAX", "| head | %d bytes"),
            ("app/query.h", "QUERY_URL_MAX", "| url, decoded | %d bytes"),
            ("router/router.h", "ROUTER_CMD_MAX", "| cmd, decoded | %d by"),
            ("router/router.h", "ROUTER_STAGES_MAX", ", %d stages |"),
            ("app/batch.h", "BATCH_BODY_MAX", "| 413 | more than %d bytes")):
        want = row % defined(path, name)
        check(want in PAGE, "http.md does not say: %s", want)


def test_settings_have_these_defaults():
    r = subprocess.run([UFOP, "config", "show", "--all"], cwd="/",
                       env=test_docs.ENV, capture_output=True, text=True)
    values, section = {}, ""
    for line in r.stdout.splitlines():
        m = re.match(r"\[(\w+)\]", line)
        section = m.group(1) if m else section
        m = re.match(r"(\w+) = (\S+)", line)
        if m:
            values[section + "." + m.group(1)] = m.group(2)
    named = re.findall(r"`(\w+\.\w+)` \((\w+)\)", PAGE)
    check(len(named) >= 8, "settings: %r", named)
    for name, value in named:
        check_eq(values.get(name), value, name)


def test_metrics_are_those_there_are(s):
    there = set(re.findall(r"^# TYPE (\w+)", s.get("/metrics").text, re.M))
    check_eq(set(re.findall(r"`(ufop_\w+)[`{]", PAGE)), there, "metrics")
