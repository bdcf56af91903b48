# SPDX-License-Identifier: MIT
"""What the front speaks: HTTP/1.1, the cmd in it, and what stands in answers."""

import os
import re
import socket
import time

import httpc
import pictures
from harness import Background, Stack, check, check_answer, check_eq, \
    check_error, rss_kb, wait_until


def stack():
    return Stack()


# ---- the cmd -----------------------------------------------------------


def test_cmd_reaches_its_handler(s):
    r = check_answer(s.post("q/hello/bob"), 200, "text/plain")
    check_eq(r.text, "hello bob")
    r = check_answer(s.post("any-name_at.all/hello/eve"))
    check_eq(r.text, "hello eve")


def test_cmd_is_percent_decoded(s):
    for target in ("/handler?cmd=q%2Fhello%2fbob", "/handler?cmd=%71/hello/%62ob",
                   "/handler?a=1&cmd=q/hello/bob&b=%20"):
        r = check_answer(s.request("POST", target, b""))
        check_eq(r.text, "hello bob", target)


def test_cmd_may_come_in_a_header(s):
    r = s.request("POST", "/handler", b"",
                  [("X-Ufop-Cmd", "q/hello/bob")])
    check_eq(check_answer(r).text, "hello bob")
    r = s.request("POST", "/handler", b"",
                  [("x-ufop-cmd", "q%2Fhello%2Feve")])
    check_eq(check_answer(r).text, "hello eve")


def test_pipe_runs_stages_in_order_in_one_job(s):
    picture = pictures.png(120, 80)
    for pipe in ("%7C", "%7c", "|"):
        r = s.request("POST", "/handler?cmd=q/crop/100,50,10,10" + pipe +
                      "thumbnail/w/20", picture)
        check_answer(r)
        check_eq(pictures.size_of(r.body)[1:], (20, 10), "size by " + pipe)
    # The other way round the numbers differ: it is the order that counts.
    r = s.post("q/thumbnail/w/60|crop/30,20,0,0", picture)
    check_eq(pictures.size_of(check_answer(r).body)[1:], (30, 20))
    r = s.post("q/thumbnail/w/60|imageInfo", picture)
    check_answer(r, 200, "application/json")
    check_eq((r.json()["width"], r.json()["height"]), (60, 40))


def test_pipe_stops_at_the_stage_that_fails(s):
    r = s.post("q/hello/bob|thumbnail/w/20")
    check_error(r, 415)
    s.check_works()


def test_pipe_of_many_stages(s):
    r = s.post("q/" + "|".join(["echo"] * 16), b"abc")
    check_eq(check_answer(r).body, b"abc")
    check_error(s.post("q/" + "|".join(["echo"] * 17), b"abc"), 400)
    s.check_works()


def test_cmd_with_a_slip_gets_no_source_back(s):
    check_error(s.post("q/thumbnial/w/10", b"x"), 404, "/thumbnial/w/10")
    check_error(s.post("thumbnail/w/10", b"x"), 404, "name stands in front")
    check_error(s.post("q", b"x"), 404, "without arguments")
    check_error(s.post("q/hello|nope", b"x"), 404, "stage 2")


def test_empty_stage_is_refused(s):
    for cmd in ("q/hello/bob|", "q/hello||echo", "|hello", "q/echo|"):
        check_error(s.post(cmd, b"x"), 400)
    s.check_works()


# ---- HTTP --------------------------------------------------------------


def test_bodies_of_any_size_come_back_unchanged(s):
    for size in (1, 1000, 65535, 65536, 65537, 1 << 20, 20 << 20):
        body = os.urandom(size)
        r = s.post("q/echo", body, headers=[("Content-Type", "image/x-y")])
        check_answer(r, 200)
        check(r.body == body, "%d bytes came back as %d others", size,
              len(r.body))
        check_eq(r.type, "image/x-y", "Content-Type of the echo")
    wait_until(lambda: not s.spool_files(), 5, "the spool is empty")


def test_keep_alive_serves_many_requests(s):
    with s.conn() as c:
        for i in range(200):
            r = c.request("POST", "/handler?cmd=q/hello/n%d" % i, b"")
            check_eq(check_answer(r).text, "hello n%d" % i)


def test_keep_alive_survives_errors(s):
    with s.conn() as c:
        for _ in range(3):
            check_error(c.request("POST", "/handler", b"x"), 400)
            check_error(c.request("GET", "/nowhere"), 404)
            check_answer(c.request("POST", "/handler?cmd=q/echo",
                                   b"y" * 100000))
            check_eq(c.request("POST", "/handler?cmd=q/hello/bob", b"").text,
                     "hello bob")


def test_connection_close_is_honoured(s):
    with s.conn() as c:
        r = c.request("POST", "/handler?cmd=q/hello/bob", b"",
                      [("Connection", "close")])
        check_answer(r)
        check(c.is_closed(), "the connection is not closed")


def test_pipelined_requests_are_answered_in_order(s):
    with s.conn() as c:
        c.send(b"".join(httpc.build("POST", "/handler?cmd=q/hello/n%d" % i, b"")
                        for i in range(20)))
        for i in range(20):
            check_eq(check_answer(c.response()).text, "hello n%d" % i)


def test_pipelined_bodies_are_not_mixed_up(s):
    bodies = [os.urandom(n) for n in (10, 0, 70000, 3, 300000, 1)]
    packet = b"".join(
        httpc.build("POST", "/handler?cmd=q/echo", b) if b else
        httpc.build("GET", "/health") for b in bodies)
    # Also cut at odd places: what is left of a packet is the next request's.
    for step in (len(packet), 4099, 65537):
        with s.conn() as c:
            sender = Background(lambda: [
                c.send(packet[i:i + step])
                for i in range(0, len(packet), step)])
            for b in bodies:
                r = c.response()
                check_eq(r.status, 200)
                check(r.body == b, "%d bytes came back as %d", len(b),
                      len(r.body))
            sender.result()


def test_request_byte_by_byte(s):
    with s.conn() as c:
        for b in httpc.build("POST", "/handler?cmd=q/echo", b"slow"):
            c.send(bytes([b]))
        check_eq(check_answer(c.response()).body, b"slow")


def test_head_answers_without_a_body(s):
    with s.conn() as c:
        for target in ("/health", "/metrics", "/nowhere", "/handler"):
            r = c.request("HEAD", target)
            check_eq(r.body, b"")
            check(r.status in (200, 400, 404, 405), "HEAD %s: %r", target, r)
        # Nothing of a body came behind a header, or this would read it.
        check_eq(c.request("POST", "/handler?cmd=q/hello/bob", b"").text,
                 "hello bob")


def test_expect_100_continue_is_answered_at_once(s):
    body = os.urandom(200000)
    with s.conn() as c:
        c.send(httpc.build("POST", "/handler?cmd=q/echo", None,
                           [("Content-Length", len(body)),
                            ("Expect", "100-continue")]))
        began = time.monotonic()
        r = c.response()
        check_eq(r.status, 100)
        check(time.monotonic() - began < 0.5, "100 came late")
        c.send(body)
        check(check_answer(c.response()).body == body, "the body differs")


def test_expect_100_continue_is_refused_before_the_upload(s):
    with s.conn() as c:
        c.send(httpc.build("POST", "/handler?cmd=q/echo", None,
                           [("Content-Length", 100 << 20),
                            ("Expect", "100-continue")]))
        check_error(c.response(), 413)
    with s.conn() as c:
        c.send(httpc.build("POST", "/handler", None,
                           [("Content-Length", 10),
                            ("Expect", "100-continue")]))
        r = c.response()
        if r.status == 100:         # also fair: the body is small
            c.send(b"0123456789")
            r = c.response()
        check_error(r, 400)
    s.check_works()


def test_chunked_uploads(s):
    for size, piece in ((1, 1), (5000, 7), (70000, 1000), (3 << 20, 65536)):
        body = os.urandom(size)
        r = s.request("POST", "/handler?cmd=q/echo",
                      httpc.chunked(body, piece),
                      [("Transfer-Encoding", "chunked")])
        check(check_answer(r).body == body, "%d bytes in chunks of %d",
              size, piece)
    wait_until(lambda: not s.spool_files(), 5, "the spool is empty")


def test_chunked_with_extensions_and_trailers(s):
    with s.conn() as c:
        c.ask("POST", "/handler?cmd=q/echo",
              b"5;name=value\r\nhello\r\n00A\r\n0123456789\r\n"
              b"0\r\nX-Trailer: 1\r\n\r\n",
              [("Transfer-Encoding", "chunked")])
        check_eq(check_answer(c.response()).body, b"hello0123456789")
        check_eq(c.request("POST", "/handler?cmd=q/hello/bob", b"").text,
                 "hello bob")


def test_chunked_then_pipelined(s):
    with s.conn() as c:
        c.send(httpc.build("POST", "/handler?cmd=q/echo", httpc.chunked(b"one"),
                           [("Transfer-Encoding", "chunked")]) +
               httpc.build("POST", "/handler?cmd=q/hello/two", b""))
        check_eq(check_answer(c.response()).body, b"one")
        check_eq(check_answer(c.response()).text, "hello two")


def test_slow_reader_gets_all_of_a_large_answer(s):
    body = os.urandom(8 << 20)
    with s.conn() as c:
        c.ask("POST", "/handler?cmd=q/echo", body)
        # The answer is ready and the file gone before most of it is read.
        c._fill(time.monotonic() + 10)
        wait_until(lambda: not s.spool_files(), 5, "the spool is empty")
        check(check_answer(c.response()).body == body, "the body differs")


def test_many_clients_get_their_own_answers(s):
    def client(n):
        with s.conn() as c:
            for i in range(20):
                body = b"%d-%d " % (n, i) * (1 if i % 3 else 20000)
                r = c.request("POST", "/handler?cmd=q/echo", body)
                check(check_answer(r).body == body, "client %d sent %d bytes "
                      "%r and got %d %r", n, len(body), body[:8],
                      len(r.body), r.body[:8])
    for b in [Background(client, n) for n in range(24)]:
        b.result()


# ---- what stands in answers --------------------------------------------


def test_reqid_is_made_when_there_is_none(s):
    ids = {check_answer(s.post("q/hello/bob")).header("X-Reqid")
           for _ in range(20)}
    check_eq(len(ids), 20, "number of different ids")
    for i in ids:
        check(re.fullmatch(r"[A-Za-z0-9_-]{16,64}", i), "odd id %r", i)


def test_reqid_of_the_caller_is_taken_over_when_sane(s):
    for i in ("abc", "a" * 64, "A.b_c-1=="):
        for target in ("/handler?cmd=q/hello/bob", "/handler", "/nowhere",
                       "/health"):
            r = s.request("POST" if "handler" in target else "GET", target,
                          b"" if "handler" in target else None,
                          [("X-Reqid", i)])
            check_eq(r.header("X-Reqid"), i)
    for i in ("a" * 65, "a b", "a;b", "\xe4", "<script>"):
        r = s.request("POST", "/handler?cmd=q/hello/bob", b"",
                      [("X-Reqid", i)])
        got = check_answer(r).header("X-Reqid")
        check(got != i and len(got) >= 16, "id %r is answered as %r", i, got)


def test_x_log_says_how_long_the_stages_took(s):
    r = check_answer(s.post("q/hello/bob"))
    log = r.header("X-Log", "")
    for name in ("queue", "run"):
        check(re.search(r"(^| )%s=\d+(\.\d+)?ms( |$)" % name, log),
              "X-Log has no %s: %r", name, log)
    r = check_answer(s.post("q/thumbnail/w/10", pictures.png(64, 64)))
    check("=" in r.header("X-Log", ""), "X-Log: %r", r.header("X-Log"))


def test_health_is_200_and_empty(s):
    r = check_answer(s.get("/health"))
    check_eq(r.body, b"")
    r = check_answer(s.get("/health?live"))
    check_eq(r.body, b"")
    check_answer(s.request("HEAD", "/health"))


def test_unknown_path_names_the_paths_there_are(s):
    for target in ("/", "/handlerx", "/handler/", "/health/x", "/%00",
                   "/../etc/passwd"):
        check_error(s.get(target), 404, "/handler", "/health")
    s.check_works()


def test_wrong_method_names_the_right_ones(s):
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        r = s.request(method, "/handler?cmd=q/echo", b"x")
        check_error(r, 405)
        check("POST" in r.header("Allow", ""), "Allow: %r", r.headers)
    r = s.request("POST", "/health", b"")
    check_error(r, 405)
    check("GET" in r.header("Allow", ""), "Allow: %r", r.headers)
    # A source can come with GET only by its url.
    r = s.get("/handler?cmd=q/thumbnail/w/10")
    check_error(r, 405, "url")
    check("POST" in r.header("Allow", ""), "Allow: %r", r.headers)
    s.check_works()


def test_get_serves_a_task_that_needs_no_source(s):
    r = s.get("/handler?cmd=q/hello/bob")
    check_eq(check_answer(r).text, "hello bob")
    r = s.request("HEAD", "/handler?cmd=q/hello/bob")
    check_answer(r)
    check_eq(r.body, b"")


METRIC = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)'
                    r'(\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*"'
                    r'(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*")*\})?'
                    r' (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|NaN|\+Inf)$')


def metrics(s):
    """{name with labels: value}, every line checked."""
    r = check_answer(s.get("/metrics"), 200, "text/plain")
    found, typed = {}, set()
    for line in r.text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            check(name not in typed, "TYPE of %s stands twice", name)
            typed.add(name)
        elif line and not line.startswith("#"):
            m = METRIC.match(line)
            check(m, "not a metric: %r", line)
            check(m[1] + (m[2] or "") not in found, "twice: %r", line)
            found[m[1] + (m[2] or "")] = float(m[3])
            base = re.sub(r"_(bucket|sum|count)$", "", m[1])
            check(m[1] in typed or base in typed, "no TYPE for %r", line)
    return found


def test_metrics_count_requests(s):
    before = metrics(s)
    for _ in range(7):
        check_answer(s.post("q/hello/bob"))
    check_error(s.request("POST", "/handler", b""), 400)
    after = metrics(s)

    def grown(status):
        return sum(v - before.get(k, 0) for k, v in after.items()
                   if re.search(r'="%d"' % status, k) and
                   not re.search(r"_bucket|_sum", k))
    check(grown(200) >= 7, "200s grew by %g: %r", grown(200), after)
    check(grown(400) >= 1, "400s grew by %g: %r", grown(400), after)
    check(any("hello" in k and "bucket" in k for k in after),
          "no latency histogram of hello")
    for part in ("queue", "busy", "spool", "redis"):
        check(any(part in k for k in after), "no metric of %s", part)


def test_metrics_histograms_add_up(s):
    check_answer(s.post("q/hello/bob"))
    m = metrics(s)
    rows = {}
    for k, v in m.items():
        hit = re.fullmatch(r"(\w+)_bucket\{(.*)\}", k)
        if hit:
            le = re.search(r'le="([^"]+)"', hit[2])[1]
            labels = re.sub(r',?le="[^"]+",?', "", hit[2])
            rows.setdefault((hit[1], labels), []).append(
                (float(le.replace("+Inf", "inf")), v))
    check(rows, "no histogram")
    for (name, labels), buckets in rows.items():
        buckets.sort()
        counts = [v for _, v in buckets]
        check(counts == sorted(counts), "%s{%s} is not cumulative", name,
              labels)
        check(buckets[-1][0] == float("inf"), "%s has no +Inf", name)
        count = m[name + "_count" + ("{%s}" % labels if labels else "")]
        check_eq(buckets[-1][1], count, name + "_count")


# ---- clients that read slowly, or not at all ------------------------------


def test_client_that_asks_and_never_reads(s):
    """Its answers must not pile up in the front; all of them come at last."""
    request = httpc.build("GET", "/nothing") * 100
    pids = s.front.kore_workers()
    before = sum(rss_kb(pid) for pid in pids)
    with s.conn() as c:
        c.sock.setblocking(False)
        sent, stuck_since = 0, time.monotonic()
        while time.monotonic() - stuck_since < 1 and sent < 100 << 20:
            try:
                sent += c.sock.send(request[sent % len(request):])
                stuck_since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        grown = sum(rss_kb(pid) for pid in pids) - before
        check(grown < 16 << 10, "the front has grown by %d KB", grown)
        c.sock.setblocking(True)
        c.sock.settimeout(10)
        whole = sent // len(httpc.build("GET", "/nothing"))
        got, rest = 0, b""
        while got < whole:
            data = c.sock.recv(1 << 20)
            check(data, "closed after %d of %d answers", got, whole)
            rest += data
            got += rest.count(b"HTTP/1.1 404")
            rest = rest[-11:] if rest[-12:] != b"HTTP/1.1 404" else b""
    s.check_works()


def test_slow_reader_of_a_last_answer_gets_all_of_it(s):
    """One line break too many behind the request must not cost the answer."""
    body = os.urandom(6 << 20)
    with s.conn() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.send(httpc.build("POST", "/handler?cmd=q/echo", body,
                           [("Connection", "close")]) + b"\r\n")
        got = b""
        until = time.monotonic() + 15
        began = time.monotonic()
        while time.monotonic() < until:
            data = c.sock.recv(65536)
            if not data:
                break
            got += data
            # 2 MB/s, so that it takes longer than the front lingers.
            while len(got) / (2 << 20) > time.monotonic() - began:
                time.sleep(0.005)
        head, _, answer = got.partition(b"\r\n\r\n")
        check(head.startswith(b"HTTP/1.1 200"), "head: %r", head[:100])
        check(answer == body, "%d of %d bytes came", len(answer), len(body))
