# SPDX-License-Identifier: MIT
"""Pictures laid on pictures, fetched by the url that the cmd has in base64."""

import base64
import os
import subprocess
import time

import pictures
from harness import ROOT, Stack, check, check_answer, check_eq, check_error
from source import Source

ALLOW = {"fetch.allow": "127.0.0.1", "fetch.timeout": "2s",
         "worker.pools": "cpu=1 net=1"}
WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)
PICTURE = pictures.png_flat(100, 80, WHITE)
MARK = pictures.png_flat(20, 10, RED)


def stack():
    return Stack(ALLOW, services="images")


def b64(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def box(r, colour):
    """(x, y, width, height) of the pixels of that colour, or None."""
    at = [(x, y) for y, row in enumerate(pictures.png_pixels(
        check_answer(r, 200, "image/png").body))
        for x, p in enumerate(row) if p[:3] == colour]
    if not at:
        return None
    x0, y0 = min(x for x, _ in at), min(y for _, y in at)
    return (x0, y0, max(x for x, _ in at) - x0 + 1,
            max(y for _, y in at) - y0 + 1)


def test_mark_is_fetched_and_laid_on(s):
    with Source(MARK) as source:
        cmd = "q/watermark/1/image/" + b64(source.url("/ok"))
        r = s.post(cmd, PICTURE)
        check_eq(box(r, RED), (70, 60, 20, 10))
        check("fetch=" in r.header("X-Log", ""), "X-Log: %r",
              r.header("X-Log"))
        check_eq(box(s.post(cmd + "/gravity/NorthWest/dx/3/dy/4", PICTURE),
                     RED), (3, 4, 20, 10))
        # Half of the short side, 80.
        check_eq(box(s.post(cmd + "/ws/0.5/dx/0/dy/0", PICTURE), RED),
                 (20, 40, 80, 40))
        # Half of white and half of red.
        check_eq(box(s.post(cmd + "/dissolve/50", PICTURE), (255, 128, 128)),
                 (70, 60, 20, 10))


def test_source_and_mark_by_url(s):
    with Source(PICTURE) as source, Source(MARK) as mark:
        r = s.post("q/watermark/1/image/" + b64(mark.url("/ok")), b"",
                   url=source.url("/ok"))
        check_eq(box(r, RED), (70, 60, 20, 10))


def test_marks_of_both_kinds_in_their_order(s):
    with Source(MARK) as red, Source(pictures.png_flat(6, 6, BLUE)) as blue:
        cmd = "q/watermark/3/image/%s/text/%s/gravity/NorthWest/image/%s" % (
            b64(red.url("/ok")), b64("W"), b64(blue.url("/ok")))
        r = s.post(cmd, PICTURE)
        check_eq(box(r, RED), (70, 60, 20, 10))
        check_eq(box(r, BLUE), (84, 64, 6, 6), "the later one lies on top")
        dark = [p for row in pictures.png_pixels(r.body)[10:30]
                for p in row[10:40] if max(p[:3]) < 100]
        check(len(dark) > 5, "the text is not there")


def test_watermark_in_a_pipe(s):
    with Source(MARK) as source:
        r = s.post("q/thumbnail/w/50|watermark/1/image/%s/dx/0/dy/0" %
                   b64(source.url("/ok")), PICTURE)
        check_eq(box(r, RED), (30, 30, 20, 10))


def test_picture_smaller_than_the_mark_comes_back(s):
    with Source(PICTURE) as source:
        r = s.post("q/watermark/1/image/" + b64(source.url("/ok")), MARK)
        check_eq(check_answer(r, 200, "image/png").body, MARK)


def test_mark_that_cannot_be_fetched(s):
    with Source(MARK) as source:
        for path, *says in (("/404", "404"), ("/truncated",),
                            ("/garbage",)):
            r = s.post("q/watermark/1/image/" + b64(source.url(path)), PICTURE)
            check_error(r, 502, *says)
        began = time.monotonic()
        r = s.post("q/watermark/1/image/" + b64(source.url("/hang")), PICTURE)
        check(r.status in (502, 504), "a mark that hangs gets %r", r)
        check_error(r, r.status)
        check(time.monotonic() - began < 5, "it took long")
    s.check_works()


def test_mark_that_is_no_picture(s):
    with Source(MARK) as source:
        r = s.post("q/watermark/1/image/" + b64(source.url("/text?hello")),
                   PICTURE)
        check_error(r, 415, "the picture of a mark")
    with Source(pictures.png_bomb(40000, 40000, 20000)) as bomb:
        r = s.post("q/watermark/1/image/" + b64(bomb.url("/ok")), PICTURE)
        check_error(r, 413, "the picture of a mark")
    s.check_works()


def test_mark_on_an_address_that_is_not_allowed(s):
    with Source(MARK, "127.0.0.2") as secret:
        r = s.post("q/watermark/1/image/" + b64(secret.url("/ok")), PICTURE)
        check_error(r, 502)
        check_eq(secret.hits, [], "requests that passed the guard")
    for url in ("kodo://bucket/key.png", "file:///etc/passwd", "x"):
        check_error(s.post("q/watermark/1/image/" + b64(url), PICTURE), 400,
                    "image takes")


def test_others_are_served_while_a_mark_hangs(s):
    with Source(MARK) as source:
        waiting = s.post_in_background(
            "q/watermark/1/image/" + b64(source.url("/hang")), PICTURE)
        began = time.monotonic()
        while not source.hits:
            check(time.monotonic() - began < 5, "the fetch does not begin")
            time.sleep(0.01)
        for _ in range(5):
            check_answer(s.post("q/thumbnail/w/10", PICTURE))
        check(time.monotonic() - began < 1.8, "they waited for it")
        check(waiting.result().status in (502, 504), "it gets %r",
              waiting.result())


def test_process_lays_marks_on_too():
    with Source(MARK) as source:
        env = dict(os.environ, UFOP_FETCH_ALLOW="127.0.0.1")
        p = subprocess.run(
            [os.path.join(ROOT, "build/ufop"), "process",
             "watermark/1/image/" + b64(source.url("/ok")), "-"],
            input=PICTURE, env=env, capture_output=True, timeout=20)
        check_eq(p.returncode, 0, p.stderr)
        check_eq(pictures.size_of(p.stdout), ("png", 100, 80))
        check(p.stdout != PICTURE and source.hits == ["/ok"],
              "it was not asked for: %r", source.hits)
