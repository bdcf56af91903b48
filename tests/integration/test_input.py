# SPDX-License-Identifier: MIT
"""Bad input to the front: each gets its status and a sentence, soon."""

import os
import time

import httpc
from harness import Background, Stack, check, check_answer, check_eq, \
    check_error, rss_kb, wait_until


def stack():
    return Stack(services="images faults debug")


def raw(s, data, timeout_s=10):
    """Send bytes on a connection of their own; the answer, None if closed."""
    with s.conn(timeout_s) as c:
        c.send(data)
        try:
            return c.response()
        except httpc.HttpError as e:
            # Closing is fair where no request could be made out; silence not.
            check("no answer" not in str(e), "%s", e)
            return None


def no_route():
    return Stack(services="images")


# ---- the query ---------------------------------------------------------


def test_no_cmd(s):
    for target in ("/handler", "/handler?", "/handler?x=1", "/handler?cmd",
                   "/handler?cmd=", "/handler?Cmd=q/hello", "/handler?&&&"):
        check_error(s.request("POST", target, b"x"), 400, "cmd")
    s.check_works()


def test_malformed_percent_encoding(s):
    for cmd in ("%", "q/hello/%", "q/hello/%4", "q/hello/%zz", "q/%u0041",
                "%%%", "q/hello/%-1"):
        r = s.request("POST", "/handler?cmd=" + cmd, b"x")
        check_error(r, 400, ("percent", "encod", "%"))
    check_error(s.request("POST", "/handler", b"x",
                          [("X-Ufop-Cmd", "q/hello/%zz")]), 400)
    s.check_works()


def test_nul_and_control_bytes(s):
    for byte in [0, 1, 7, 9, 10, 13, 27, 31, 127]:
        r = s.request("POST", "/handler?cmd=q/hello/a%%%02xb" % byte, b"x")
        check_error(r, 400)
    # As raw bytes they are not even HTTP.
    for byte in (0, 1, 10, 13, 127):
        r = raw(s, b"POST /handler?cmd=q/hello/a" + bytes([byte]) +
                b"b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        check(r is None or r.status == 400, "byte %d gets %r", byte, r)
    s.check_works()


def test_bytes_that_are_no_utf8(s):
    for cmd in ("q/hello/%ff%fe", "q/echo/%c0%80", "q/%ed%a0%80"):
        r = s.request("POST", "/handler?cmd=" + cmd, b"x")
        check(r.status in (200, 400, 404), "%s gets %r", cmd, r)
        if r.status != 200:
            check_error(r, r.status)    # is JSON all the same
    s.check_works()


def test_cmd_of_10000_bytes_in_the_target(s):
    began = time.monotonic()
    r = s.request("POST", "/handler?cmd=q/hello/" + "a" * 10000, b"x")
    check_error(r, 414, "X-Ufop-Cmd")
    check(time.monotonic() - began < 2, "it took long")
    s.check_works()


def test_cmd_of_10000_bytes_in_a_header(s):
    r = s.request("POST", "/handler", b"x",
                  [("X-Ufop-Cmd", "q/echo/" + "a" * 10000)])
    check_eq(check_answer(r).body, b"x")
    s.check_works()


def test_cmd_beyond_every_limit_in_a_header(s):
    r = raw(s, httpc.build("POST", "/handler", b"x",
                           [("X-Ufop-Cmd", "q/echo/" + "a" * 40000)]))
    if r is not None:
        check(r.status in (400, 413, 431), "it gets %r", r)
        check_error(r, r.status)
    s.check_works()


def test_cmd_twice(s):
    r = s.request("POST", "/handler?cmd=q/hello/a&cmd=q/hello/b", b"x")
    check(r.status in (200, 400), "it gets %r", r)
    s.check_works()


def test_unknown_route():
    with no_route() as s:
        for cmd in ("q/nothing", "q", "q/", "nothing", "/", "q/thumbnail",
                    "q/thumbnail/w/abc"):
            r = s.post(cmd, b"x")
            check(r.status in (400, 404), "%s gets %r", cmd, r)
            check_error(r, r.status)
        check_error(s.post("q/nothing", b"x"), 404, "nothing")
        # The routes are nobody's business unless --debug says so.
        check("thumbnail" not in s.post("q/nothing", b"x").text,
              "the routes are told")
        # Nothing was queued for it.
        check_eq(s.queue_len(), 0)
        s.check_works()


def test_unknown_route_lists_the_routes_under_debug():
    with Stack(services="images", front_args=["--debug"]) as s:
        check_error(s.post("q/nothing", b"x"), 404, "nothing", "thumbnail")
        s.check_works()


def test_no_source(s):
    check_error(s.request("POST", "/handler?cmd=q/thumbnail/w/10"), 400,
                ("body", "source"))
    s.check_works()


# ---- HTTP that is none -------------------------------------------------


def test_garbage_instead_of_http(s):
    for data in (b"\r\n\r\n\r\n\r\n", b"hello\r\n\r\n", b"\0" * 100,
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
                 b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                 b"GET  /health  HTTP/1.1\r\n\r\n",
                 b"POST /handler?cmd=q/echo HTTP/1.1\r\nno colon\r\n\r\n",
                 b"POST /handler?cmd=q/echo HTTP/1.1\r\n: no name\r\n\r\n",
                 b"BREW /handler HTTP/1.1\r\nHost: x\r\n\r\n"):
        with s.conn(10) as c:
            c.send(data)
            c.sock.shutdown(1)
            try:
                r = c.response()
                check(400 <= r.status < 600, "%r gets %r", data[:40], r)
            except httpc.HttpError as e:
                check("no answer" not in str(e), "%r: %s", data[:40], e)
        s.check_works()


def test_unknown_method_has_the_json_shape(s):
    r = raw(s, b"BREW /handler HTTP/1.1\r\nHost: x\r\n\r\n")
    if r is not None:
        check(r.status in (400, 405, 501), "it gets %r", r)
        check_error(r, r.status)
    s.check_works()


def test_bad_content_length(s):
    for value in ("-1", "abc", "1x", "0x10", "", "99999999999999999999",
                  "1, 2", "18446744073709551617"):
        r = raw(s, b"POST /handler?cmd=q/echo HTTP/1.1\r\nHost: x\r\n"
                b"Content-Length: " + value.encode() + b"\r\n\r\nx")
        check(r is None or r.status in (400, 411, 413), "%r gets %r", value, r)
        if r is not None:
            check_error(r, r.status)
    s.check_works()


def test_requests_that_could_be_smuggled_are_refused(s):
    """Two readings of where a request ends must not reach a second handler."""
    hidden = b"POST /handler?cmd=q/hello/hidden HTTP/1.1\r\nHost: x\r\n" \
             b"Content-Length: 0\r\n\r\n"
    for head, body in (
            (b"Content-Length: 5\r\nContent-Length: 0\r\n", b"abcde"),
            (b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(hidden),
             b""),
            (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
             b"0\r\n\r\n"),
            (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
            (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n")):
        with s.conn(10) as c:
            c.send(b"POST /handler?cmd=q/echo HTTP/1.1\r\nHost: x\r\n" + head +
                   b"\r\n" + body + hidden)
            try:
                r = c.response()
                check(400 <= r.status < 600, "%r gets %r", head, r)
                more = c.response(timeout_s=2)
                check(False, "%r: a second answer %r", head, more)
            except httpc.HttpError as e:
                check("no answer" not in str(e), "%r: left open", head)
    s.check_works()


def test_malformed_chunks(s):
    for body in (b"zz\r\nhello\r\n0\r\n\r\n", b"-1\r\nx\r\n0\r\n\r\n",
                 b"5\r\nhelloXX\r\n0\r\n\r\n",
                 b"ffffffffffffffff1\r\nx\r\n0\r\n\r\n",
                 b"5" * 5000 + b"\r\n"):
        r = raw(s, httpc.build("POST", "/handler?cmd=q/echo", body,
                               [("Transfer-Encoding", "chunked")]))
        check(r is None or r.status in (400, 413), "%r gets %r", body[:20], r)
        if r is not None:
            check_error(r, r.status)
    wait_until(lambda: not s.spool_files(), 5, "the spool is empty")
    s.check_works()


def test_many_header_lines(s):
    """A length behind many other lines is no less a length."""
    lines = [("X-Filler-%d" % i, "v") for i in range(40)]
    for extra in ([("Content-Length", "5")], ):
        with s.conn(10) as c:
            c.send(httpc.build("POST", "/handler?cmd=q/echo", None,
                               lines + extra) + b"hello")
            r = c.response()
            check(r.status in (200, 400, 431), "it gets %r", r)
            if r.status == 200:
                check_eq(r.body, b"hello")
            else:
                check_error(r, r.status)
    s.check_works()


def test_header_without_end(s):
    with s.conn(10) as c:
        try:
            c.send(b"GET /health HTTP/1.1\r\n")
            for i in range(200):
                c.send(b"X-%d: " % i + b"v" * 1000 + b"\r\n")
            r = c.response()
            check(r.status in (400, 413, 431), "it gets %r", r)
        except (OSError, httpc.HttpError) as e:
            check("no answer" not in str(e), "left waiting: %s", e)
    s.check_works()


# ---- too much ----------------------------------------------------------


def test_body_over_the_limit_is_refused_before_the_upload(s):
    with s.conn(5) as c:
        c.ask("POST", "/handler?cmd=q/echo",
              headers=[("Content-Length", (20 << 20) + 1)])
        began = time.monotonic()
        r = c.response()
        check(time.monotonic() - began < 1, "it took long")
        check_error(r, 413, "20971520")
        check_eq(r.header("Connection", "").lower(), "close", "Connection")
        check(c.is_closed(), "the connection stays open")
    s.check_works()


def test_body_over_the_limit_though_the_client_sends_on(s):
    """A client that does not listen while it sends still gets the answer."""
    with s.conn(10) as c:
        body = bytes(21 << 20)
        sender = Background(c.ask, "POST", "/handler?cmd=q/echo", body)
        r = c.response()
        check_error(r, 413)
        try:
            sender.result()
        except OSError:
            pass                    # closed on it: fair
    s.check_works()


def test_chunked_body_over_the_limit_is_refused(s):
    with s.conn(10) as c:
        c.send(httpc.build("POST", "/handler?cmd=q/echo", None,
                           [("Transfer-Encoding", "chunked")]))
        piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"

        def upload():
            try:
                for _ in range(40):
                    c.send(piece)
            except OSError:
                pass
        sender = Background(upload)
        check_error(c.response(), 413)
        sender.result()
    wait_until(lambda: not s.spool_files(), 5, "the spool is empty")
    s.check_works()


def test_large_uploads_do_not_grow_the_front(s):
    """Four of 20 MB at once; the front's memory stays under 40 MB."""
    body = os.urandom(20 << 20)
    peak = 0
    uploads = [s.post_in_background("q/echo", body) for _ in range(4)]
    while not all(u.done for u in uploads):
        total = 0
        for pid in [s.front.pid] + s.front.below():
            try:
                with open("/proc/%d/smaps_rollup" % pid) as f:
                    total += sum(int(line.split()[1]) for line in f
                                 if line.startswith("Pss_Anon:"))
            except OSError:
                pass
        peak = max(peak, total)
        time.sleep(0.005)
    for u in uploads:
        check(check_answer(u.result()).body == body, "the body differs")
    check(peak < 40 * 1024, "the front took %d KiB", peak)
    check(rss_kb(s.front.pid) > 0, "no front")


# ---- clients that leave ------------------------------------------------


def test_client_leaves_in_mid_header(s):
    for part in (b"P", b"POST /handler", b"POST /handler?cmd=q/echo HTTP/1.1\r\n"
                 b"Content-Length: 10\r\n"):
        with s.conn() as c:
            c.send(part)
    s.check_works()


def test_client_leaves_in_mid_upload(s):
    for how in ("close", "abort"):
        for size in (1000, 1 << 20):
            c = s.conn()
            c.send(httpc.build("POST", "/handler?cmd=q/echo", None,
                               [("Content-Length", 10 << 20)]) + bytes(size))
            if size > 100000:
                # It must be the front that takes the file away again.
                wait_until(lambda: s.spool_bytes() > 0, 5,
                           "the upload is on its way to the spool")
            getattr(c, how)()
    wait_until(lambda: not s.spool_bytes(), 5, "the upload is removed")
    check_eq(s.queue_len(), 0)
    s.check_works()


def test_client_leaves_in_mid_chunked_upload(s):
    c = s.conn()
    c.send(httpc.build("POST", "/handler?cmd=q/echo", None,
                       [("Transfer-Encoding", "chunked")]) +
           b"100000\r\n" + bytes(1 << 20) + b"\r\n")
    wait_until(lambda: s.spool_bytes() > 0, 5,
               "the upload is on its way to the spool")
    c.abort()
    wait_until(lambda: not s.spool_bytes(), 5, "the upload is removed")
    s.check_works()


def test_client_leaves_in_mid_answer(s):
    for _ in range(5):
        with s.conn() as c:
            c.ask("POST", "/handler?cmd=q/echo", bytes(8 << 20))
            c._fill(time.monotonic() + 10)
            c.abort()
    wait_until(lambda: not s.spool_bytes(), 5, "the spool is empty")
    s.check_works()


def test_slow_client_holds_up_nobody(s):
    """Half a header, half a body: others are served meanwhile."""
    idle = []
    for data in (b"POST /hand", httpc.build(
            "POST", "/handler?cmd=q/echo", None,
            [("Content-Length", 100)]) + b"half"):
        for _ in range(20):
            c = s.conn()
            c.send(data)
            idle.append(c)
    began = time.monotonic()
    for _ in range(20):
        s.check_works()
    check(time.monotonic() - began < 5, "others were held up")
    for c in idle:
        c.close()
