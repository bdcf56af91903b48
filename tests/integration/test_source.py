# SPDX-License-Identifier: MIT
"""Sources that come by url=: fetched by the worker, behind the egress guard."""

import time

import httpc
import pictures
from harness import Stack, check, check_answer, check_eq, check_error, \
    deadline, free_port
from source import Source

PICTURE = pictures.png(90, 60)
ALLOW = {"fetch.allow": "127.0.0.1", "fetch.timeout": "2s"}


def stack():
    return Stack(ALLOW)


def thumbnail(s, url, method="POST", body=b""):
    began = time.monotonic()
    r = s.request(method, httpc.cmd_target("q/thumbnail/w/30", url),
                  body if method == "POST" else None)
    took = time.monotonic() - began
    check(took < 5, "%s took %.1f s", url, took)
    return r


def test_source_is_fetched(s):
    with Source(PICTURE) as source:
        for method in ("POST", "GET"):
            r = thumbnail(s, source.url("/ok"), method)
            check_eq(pictures.size_of(check_answer(r).body)[1:], (30, 20))
            check("fetch=" in r.header("X-Log", ""), "X-Log: %r",
                  r.header("X-Log"))
        check_eq(source.hits, ["/ok", "/ok"])
        r = s.request("HEAD", httpc.cmd_target("q/thumbnail/w/30",
                                               source.url("/ok")))
        check_answer(r)


def test_type_of_the_source_is_passed_on(s):
    with Source(PICTURE) as source:
        r = s.post("q/echo", url=source.url("/ok"))
        check_eq(check_answer(r, 200, "image/png").body, PICTURE)


def test_large_source_is_fetched(s):
    large = bytes(range(256)) * 4096 * 5
    with Source(large) as source:
        r = s.post("q/echo", url=source.url("/ok"))
        check(check_answer(r).body == large, "the body differs")


def test_url_may_come_in_a_header(s):
    with Source(PICTURE) as source:
        r = s.request("POST", "/handler?cmd=q/thumbnail/w/30", b"",
                      [("X-Ufop-Url", source.url("/ok"))])
        check_eq(pictures.size_of(check_answer(r).body)[1:], (30, 20))
        long = source.url("/ok") + "?" + "a" * 5000
        r = s.request("POST", "/handler?cmd=q/thumbnail/w/30", b"",
                      [("X-Ufop-Url", long)])
        check_answer(r)


def test_source_that_is_not_there(s):
    with Source(PICTURE) as source:
        for path in ("/404", "/500"):
            check_error(thumbnail(s, source.url(path)), 502, path[1:])
    s.check_works()


def test_source_that_refuses_the_connection(s):
    url = "http://127.0.0.1:%d/x" % free_port()
    check_error(thumbnail(s, url), 502, ("refused", "connect"))
    s.check_works()


def test_source_that_has_no_address(s):
    check_error(thumbnail(s, "http://no-such-host.invalid/x"), 502,
                "no-such-host.invalid")
    s.check_works()


def test_source_that_hangs(s):
    with Source(PICTURE) as source:
        r = thumbnail(s, source.url("/hang"))
        check(r.status in (502, 504), "it gets %r", r)
        check_error(r, r.status)
    s.check_works()


def test_source_that_streams_without_end(s):
    with Source(PICTURE) as source:
        for path in ("/endless", "/huge"):
            r = thumbnail(s, source.url(path))
            check(r.status in (413, 502), "%s gets %r", path, r)
            check_error(r, r.status)
    s.check_works()


def test_source_that_breaks_off(s):
    with Source(PICTURE) as source:
        check_error(thumbnail(s, source.url("/truncated")), 502)
        check_error(thumbnail(s, source.url("/garbage")), 502)
    s.check_works()


def test_redirect_is_followed(s):
    with Source(PICTURE) as source:
        r = thumbnail(s, source.url("/redirect?" + source.url("/ok")))
        check_eq(pictures.size_of(check_answer(r).body)[1:], (30, 20))


def test_redirect_in_a_circle(s):
    with Source(PICTURE) as source:
        target = source.url("/redirect?/redirect")
        check_error(thumbnail(s, target), 502)
        source.hits.clear()
    s.check_works()


def test_redirect_to_loopback_is_refused(s):
    """127.0.0.1 is allowed in this stack, 127.0.0.2 is not."""
    with Source(PICTURE) as source, Source(PICTURE, "127.0.0.2") as secret:
        for url in (secret.url("/ok"),
                    "http://localhost.:%d/ok" % secret.port,
                    "http://[::ffff:127.0.0.2]:%d/ok" % secret.port,
                    "http://0x7f000002:%d/ok" % secret.port,
                    "http://2130706434:%d/ok" % secret.port,
                    "file:///etc/passwd",
                    "gopher://127.0.0.2:%d/ok" % secret.port):
            r = thumbnail(s, source.url("/redirect?" + url))
            check_error(r, 502)
        check_eq(secret.hits, [], "requests to the refused address")
        check("/redirect" in source.hits, "the redirect was not asked for")
    s.check_works()


def test_addresses_that_are_not_public_are_refused():
    """Without an allow list loopback is closed too."""
    with Stack() as s, Source(PICTURE) as source:
        for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0",
                     "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1",
                     "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254",
                     "100.64.0.1", "224.0.0.1", "[fe80::1]", "[fd00::1]"):
            url = "http://%s:%d/ok" % (host, source.port)
            began = time.monotonic()
            r = s.post("q/echo", url=url)
            check(r.status in (400, 502), "%s gets %r", host, r)
            check_error(r, r.status)
            check(time.monotonic() - began < 2, "%s took long", host)
        check_eq(source.hits, [], "requests that passed the guard")
        s.check_works()


def test_urls_that_are_none(s):
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/",
                "javascript:alert(1)", "//127.0.0.1/x", "not a url", "http://",
                "http:///x", "http://a\x01b/", "http://127.0.0.1:99999/"):
        r = s.request("POST", httpc.cmd_target("q/echo", url), None)
        check(r.status in (400, 502), "%r gets %r", url, r)
        check_error(r, r.status)
    s.check_works()


def test_secrets_in_a_url_are_not_told(s):
    with Source(PICTURE) as source:
        url = "http://user:hush4711@127.0.0.1:%d/404" % source.port
        r = thumbnail(s, url)
        check_error(r, 502)
        check("hush4711" not in r.text, "the answer tells the password")
        for part in (s.front, s.worker):
            check("hush4711" not in part.output(), "the log of the %s tells it",
                  part.name)


def test_header_of_the_fetch_is_plain(s):
    """What the caller sent to us is not sent on to a stranger's server."""
    with Source(PICTURE) as source:
        r = s.post("q/echo", url=source.url("/echo-headers"),
                   headers=[("Cookie", "secret=1"),
                            ("Authorization", "Basic xyz")])
        text = check_answer(r).text
        check("secret" not in text and "Basic" not in text, "sent on: %r",
              text)


@deadline(60)
def test_slow_fetches_do_not_hold_up_other_jobs():
    with Stack(dict(ALLOW, **{"worker.pools": "cpu=2 net=2"})) as s, \
            Source(PICTURE) as source:
        waiting = [s.post_in_background("q/thumbnail/w/30",
                                        url=source.url("/hang"))]
        began = time.monotonic()
        while not source.hits:
            check(time.monotonic() - began < 5, "the fetch does not begin")
            time.sleep(0.01)
        for _ in range(20):
            s.check_works()
        check(time.monotonic() - began < 2, "others were held up")
        for w in waiting:
            check(w.result().status in (502, 504), "%r", w.value)
