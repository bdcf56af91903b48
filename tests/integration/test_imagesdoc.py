# SPDX-License-Identifier: MIT
"""What docs/images.md says: its examples run, its words are the code's."""

import re
import subprocess

import pictures
import test_docs
from harness import ROOT, UFOP, check, check_eq, data

PAGE = test_docs.read("docs", "images.md")
HANDLERS = ("worker", "handlers", "images")


def test_examples_run():
    ran = 0
    with test_docs.Shell() as shell:
        shell.dir = ROOT
        for language, text, line in test_docs.fences(PAGE):
            if language == "console":
                shell.console(text, "images.md:%d" % line)
                ran += 1
    check_eq(ran, 2, "blocks of examples")


def test_sizes_are_right():
    rows = re.findall(r"^\| `(\S+)` \| (\d+)x(\d+) \|$", PAGE, re.M)
    check(len(rows) >= 14, "rows: %r", rows)
    for cmd, w, h in rows:
        p = subprocess.run([UFOP, "process", cmd, "-"], capture_output=True,
                           input=data("painting-640x427.jpg"), timeout=30)
        check_eq(p.returncode, 0, cmd)
        check_eq(pictures.size_of(p.stdout)[1:], (int(w), int(h)), cmd)


def test_every_word_is_told():
    grammar = "".join(test_docs.read(*HANDLERS, name) for name in
                      ("words.h", "grammar.c", "watermark.c"))
    words = set(re.findall(r'\{ "([a-z0-9-]+)",\s+(?:"|NULL|[A-Z]+_FORM)',
                           grammar))
    check({"ws", "auto-orient", "ignore-error", "radiusx", "colors",
           "clip"} <= words, "words: %r", words)
    for word in words:
        check(re.search(r"[`/]%s[/`]" % word, PAGE),
              "images.md does not tell the word %s", word)
    names = re.findall(r'^\t\{ "(\w+)", grammar_\w+ \}', grammar, re.M)
    check_eq(len(names), 6, "grammars")
    for name in names:
        check("`" + name in PAGE, "images.md does not tell of %s", name)


def test_settings_have_these_defaults():
    service = test_docs.read(*HANDLERS, "service.c")
    there = dict(re.findall(r'\{ "(max_\w+)", UFOP_SETTING_INT, "(\d+)"',
                            service))
    told = dict(re.findall(r"^\| `images\.(\w+)` \| (\d+) \|", PAGE, re.M))
    check_eq(told, there)
