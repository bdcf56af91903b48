# SPDX-License-Identifier: MIT
"""
Screenshots by a real Chromium: what a cmd asks for, what pages do wrong, what
pages try, and what is left when somebody is killed.
"""

import base64
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import httpc
import pictures
from harness import UFOP, Background, Stack, check, check_answer, check_eq, \
    check_error, deadline, descendants, kill_quietly, need_program, \
    processes, skip, wait_until

CHROMIUM = "/usr/lib/chromium/chromium-headless-shell"
SETTINGS = {
    "worker.pools": "cpu=1 net=1",
    "worker.child_user": "nobody",
    "fetch.allow": "127.0.0.1",
}
OURS = ("chromium", "ufop-keeper", "ufop-jailer", "ufop-filter",
        "ufop-store")


def need_chromium():
    if not os.access(CHROMIUM, os.X_OK):
        skip("there is no chromium-headless-shell")


def stack():
    need_chromium()
    return own_stack()


def own_stack(**settings):
    """One for tests that hurt it: settings as section__name=value."""
    need_chromium()
    more = {k.replace("__", "."): v for k, v in settings.items()}
    return Stack(dict(SETTINGS, **more), services="images screenshot debug")


def config_show(s):
    return subprocess.run([UFOP, "config", "show", "-C", s.dir], check=True,
                          capture_output=True, text=True).stdout


def b64(text):
    return base64.urlsafe_b64encode(text.encode()).decode()


# ---- pages -------------------------------------------------------------


class Site:
    """
    Pages on one address: {path: html, or (status, headers, body), or a
    function of the request handler}.  hits are the paths asked for.
    """

    def __init__(self, pages=None, host="127.0.0.1", tls=None, port=0):
        site = self
        self.pages = pages or {}
        self.host = host
        self.hits = []
        self.contacts = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                site.answer(self)

            do_POST = do_GET

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host \
                else socket.AF_INET

            def handle_error(self, request, address):
                pass

            def get_request(self):
                site.contacts += 1
                return super().get_request()

        self.server = Server((host, port), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket,
                                                 server_side=True)
        self.port = self.server.server_address[1]
        self.ended = threading.Event()
        threading.Thread(target=self.server.serve_forever,
                         kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, h):
        self.hits.append(h.path)
        page = self.pages.get(h.path.split("?")[0],
                              (404, {}, b"<h1>not here</h1>"))
        if callable(page):
            page(h)
            return
        if isinstance(page, str):
            page = (200, {}, page.encode())
        status, headers, body = page
        h.send_response(status)
        for name, value in dict({"Content-Type": "text/html; charset=utf-8",
                                 "Content-Length": str(len(body))},
                                **headers).items():
            h.send_header(name, value)
        h.end_headers()
        h.wfile.write(body)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def url(self, path="/"):
        host = "[%s]" % self.host if ":" in self.host else self.host
        return "http://%s:%d%s" % (host, self.port, path)


def shoot(s, words="", url=None, html=None, within_s=20):
    began = time.monotonic()
    r = s.post("q/screenshot" + words, html.encode() if html else b"",
               url=url, timeout_s=within_s + 5)
    check(time.monotonic() - began < within_s, "the answer took %.1f s",
          time.monotonic() - began)
    return r


# Pixels are decoded in Python: a small window keeps that short.
SMALL = "/viewport/100x80"


def pixels(r):
    """(width, height, function of x and y giving (r, g, b[, a]))."""
    check_answer(r, 200, "image/png")
    rows = pictures.png_pixels(r.body)
    return len(rows[0]), len(rows), lambda x, y: rows[y][x]


def colour(r, at=(50, 40)):
    """The colour of one pixel, by default in the middle of SMALL."""
    return pixels(r)[2](*at)


def check_next(s):
    """The next job is clean and served."""
    check_eq(colour(shoot(s, SMALL, html="<body style='background:#0000ff'>")),
             (0, 0, 255), "the next picture")


TALL = "<style>body{margin:0}div{height:1000px}</style>" + "".join(
    "<div style='background:rgb(%d,0,%d)'></div>" % (i * 20, 255 - i * 20)
    for i in range(6))


# ---- what a cmd asks for -----------------------------------------------


def test_screenshot_of_a_url(s):
    with Site({"/": "<body style='background:#00ff00'>"}) as site:
        for r in (shoot(s, SMALL, url=site.url()),
                  shoot(s, SMALL + "/url/" + b64(site.url())),
                  s.get("/handler?cmd=q/screenshot%s/url/%s" %
                        (SMALL, b64(site.url())))):
            check_eq(colour(r), (0, 255, 0))
        # A word of the cmd goes before url=, and either before the body.
        red = "<body style='background:#f00'>"
        for words, url in (("/url/" + b64(site.url()), None),
                           ("", site.url()),
                           ("/url/" + b64(site.url()), site.url("/none"))):
            check_eq(colour(shoot(s, SMALL + words, url=url, html=red)),
                     (0, 255, 0), words)
        r = check_answer(shoot(s, url=site.url()), 200, "image/png")
        check_eq(pictures.size_of(r.body), ("png", 1280, 800))
        check("capture=" in r.header("x-log", ""), "X-Log is %r",
              r.header("x-log"))


def test_screenshot_keeps_the_fragment(s):
    with Site({"/": "<script>document.documentElement.style.background="
                    "location.hash=='#/a'?'#0f0':'#f00'</script>"}) as site:
        check_eq(colour(shoot(s, SMALL, url=site.url("/#/a"))), (0, 255, 0))


def test_screenshot_of_html(s):
    check_eq(colour(shoot(s, SMALL, html="<body style='background:#f00'>")),
             (255, 0, 0))
    check_error(shoot(s), 400, "needs a page")


def test_screenshot_of_html_in_its_own_charset(s):
    page = "<meta charset=gbk><p id=x style='font-size:40px;width:50px;" \
        "height:50px;margin:0'>\u4e2d"

    def glyph(body, kind):
        r = s.request("POST", httpc.cmd_target("q/screenshot/selector/" +
                                               b64("#x")), body,
                      [("Content-Type", kind)])
        return check_answer(r, 200, "image/png").body

    want = glyph(page.replace("gbk", "utf-8").encode(), "text/html")
    check_eq(glyph(page.encode("gbk"), "text/html"), want, "GBK by its meta")
    check_eq(glyph(page.encode("gbk"), "text/html; charset=gbk"), want,
             "GBK by its header")
    latin = page.replace("gbk", "utf-8").replace("\u4e2d", "%s")
    check_eq(glyph((latin % "\xe4").encode(), "Text/HTML; Charset=Latin1"),
             glyph((latin % "\xc3\xa4").encode(), "text/html"),
             "a header in capitals")
    check_eq(glyph(page.replace("<meta charset=gbk>", "").encode(),
                   "text/html"), want, "UTF-8 that does not say so")
    check_eq(glyph(page.replace("gbk", "utf-8").encode(),
                   "text/html; charset=\xff\xfe"), want,
             "a header that is no text")


def test_screenshot_of_html_that_loads_itself_again(s):
    again = "<body style='background:#f00'><script>if(!sessionStorage.a){" \
        "sessionStorage.a=1;%s}else document.body.style.background='#0f0'" \
        "</script>"
    for go in ("location.reload()", "location='/'", "location='/#a'+"
               "(location.hash='b');location.reload()"):
        check_eq(colour(shoot(s, SMALL, html=again % go)), (0, 255, 0), go)
    # Nothing else is there.
    check_error(shoot(s, html="<script>location='/other'</script>"), 502,
                "404")
    check_error(shoot(s, html="<script>location.reload()</script>"), 502,
                "keeps going")
    check_next(s)


def test_screenshot_cut_is_width_height_x_y(s):
    w, h, at = pixels(shoot(s, "/cut/60,200,10,900", html=TALL))
    check_eq((w, h), (60, 200))
    check_eq((at(0, 0), at(0, 199)), ((0, 0, 255), (20, 0, 235)))


def test_screenshot_cut_below_the_fold_is_not_blank(s):
    _, _, at = pixels(shoot(s, "/cut/100,50,0,5500", html=TALL))
    check_eq(at(50, 25), (100, 0, 155))
    check_error(shoot(s, "/cut/100,50,0,9000", html=TALL), 400, "9000",
                "1280x6000")


def test_screenshot_full_page_with_lazy_pictures(s):
    red = pictures.png_flat(40, 40, (250, 0, 0))
    page = "<style>body{margin:0}</style><div style='height:7000px'></div>" \
        "<img loading=lazy src=/red.png style='display:block'>"
    with Site({"/": page,
               "/red.png": (200, {"Content-Type": "image/png"}, red)}) as site:
        w, h, at = pixels(shoot(s, "/viewport/60x300/full/1",
                                url=site.url()))
        check_eq((w, h, at(20, 7020)), (60, 7040, (250, 0, 0)))

        def slow(h):
            site.ended.wait(0.4)
            h.send_response(200)
            h.send_header("Content-Type", "image/png")
            h.send_header("Content-Length", str(len(red)))
            h.end_headers()
            h.wfile.write(red)

        site.pages["/red.png"] = slow
        r = check_answer(shoot(s, "/viewport/60x300/full/1/format/pdf",
                               url=site.url()), 200, "application/pdf")
        check(b"/Subtype /Image" in r.body, "the document has no picture")


def test_screenshot_selector_and_pad(s):
    html = "<style>body{margin:0}</style><div style='height:2000px'></div>" \
        "<p id=x style='margin:50px;width:120px;height:40px;" \
        "background:#f00'></p>"
    w, h, at = pixels(shoot(s, "/selector/" + b64("#x"), html=html))
    check_eq((w, h, at(3, 3)), (120, 40, (255, 0, 0)))
    w, h, at = pixels(shoot(s, "/selector/%s/pad/10" % b64("#x"), html=html))
    check_eq((w, h, at(3, 3), at(12, 12)),
             (140, 60, (255, 255, 255), (255, 0, 0)))
    # Where the page ends there is no room around it.
    corners = "<style>body{margin:0}div{height:40px}</style><div id=top " \
        "style='background:#f00'></div><div></div><div id=end " \
        "style='background:#00f'></div>"
    w, h, at = pixels(shoot(s, "/viewport/100x120/selector/%s/pad/20" %
                            b64("#top"), html=corners))
    check_eq((w, h, at(0, 0), at(99, 39), at(99, 59)),
             (100, 60, (255, 0, 0), (255, 0, 0), (255, 255, 255)))
    w, h, at = pixels(shoot(s, "/viewport/100x120/selector/%s/pad/20" %
                            b64("#end"), html=corners))
    check_eq((w, h, at(0, 0), at(99, 59)),
             (100, 60, (255, 255, 255), (0, 0, 255)))
    check_error(shoot(s, "/selector/" + b64("#out"), html="<p id=out style='"
                      "position:absolute;left:-500px;width:100px'>x"), 400,
                "outside the page")
    check_error(shoot(s, "/selector/" + b64("#nope"), html=html), 400, "#nope")
    check_error(shoot(s, "/selector/" + b64("]]"), html=html), 400,
                "not a valid selector")


def test_screenshot_viewport_scale_and_mobile(s):
    for words, size in (("/viewport/500x300/scale/2", (1000, 600)),
                        ("/viewport/500x300/scale/1.5", (750, 450)),
                        ("/mobile/1", (390, 844))):
        r = check_answer(shoot(s, words, html="<p>x"), 200, "image/png")
        check_eq(pictures.size_of(r.body)[1:], size, words)
    telephone = "<body><script>document.body.style.background=navigator." \
        "maxTouchPoints>0&&'ontouchstart' in window&&/Android.*Mobile/.test(" \
        "navigator.userAgent)?'#0f0':'#f00'</script>"
    check_eq(colour(shoot(s, SMALL + "/mobile/1", html=telephone)),
             (0, 255, 0))
    check_eq(colour(shoot(s, SMALL, html=telephone)), (255, 0, 0))


def test_screenshot_is_set_up_before_the_first_script(s):
    """Many at once: that is when a page is faster than its set-up."""
    html = "<body><script>document.body.style.background=navigator." \
        "maxTouchPoints>0&&/Android/.test(navigator.userAgent)&&" \
        "screen.width==100&&matchMedia('(prefers-color-scheme:dark)').matches" \
        "?'#0f0':'#f00'</script>"

    def some():
        return [colour(shoot(s, SMALL + "/mobile/1/dark/1", html=html))
                for _ in range(10)]
    for b in [s.in_background(some) for _ in range(6)]:
        check_eq(set(b.result()), {(0, 255, 0)}, "what the first script sees")


def test_screenshot_formats(s):
    for words, kind, start in (
            ("/format/jpg/q/60", "image/jpeg", b"\xff\xd8\xff"),
            ("/format/jpeg", "image/jpeg", b"\xff\xd8\xff"),
            ("/format/webp", "image/webp", b"RIFF"),
            ("/format/pdf", "application/pdf", b"%PDF-")):
        r = check_answer(shoot(s, words, html=TALL), 200, kind)
        check(r.body.startswith(start), "%s begins with %r", kind, r.body[:9])
    large = shoot(s, "/format/jpg/q/95", html=TALL)
    small = shoot(s, "/format/jpg/q/5", html=TALL)
    check(len(small.body) < len(large.body), "q changes nothing")


def test_screenshot_dark_nobg_js_css(s):
    html = "<style>@media (prefers-color-scheme:dark){body{background:#123456}"\
        "}</style><p>x"
    check_eq(colour(shoot(s, SMALL + "/dark/1", html=html)),
             (0x12, 0x34, 0x56))
    check_eq(colour(shoot(s, SMALL, html=html)), (255, 255, 255))
    check_eq(colour(shoot(s, SMALL + "/nobg/1", html=html)), (0, 0, 0, 0))
    r = shoot(s, SMALL + "/css/" + b64("body{background:#010203}"), html=html)
    check_eq(colour(r), (1, 2, 3))
    r = shoot(s, SMALL + "/js/" + b64("document.body.style.background='#040506'"),
              html=html)
    check_eq(colour(r), (4, 5, 6))
    check_error(shoot(s, "/js/" + b64("throw new Error('ouch')"), html=html),
                400, "js", "ouch")


def test_screenshot_has_no_pointer(s):
    html = "<style>body{margin:0}p{margin:0;height:100vh;background:#0f0}" \
        "p:hover{background:#f00}</style><p>"
    for within in (html, html + "<script>onmousemove=onpointerover=()=>"
                   "document.body.innerHTML=''</script>"):
        check_eq(colour(shoot(s, SMALL, html=within)), (0, 255, 0))


def test_screenshot_js_may_have_any_value(s):
    for js in ("window.foo=window", "'x'.repeat(3e8)", "({sessionId:'x'})",
               "new Promise(r=>setTimeout(()=>r(document),20))"):
        r = shoot(s, SMALL + "/js/" + b64(
            "document.body.style.background='#0f0';" + js), html="<p>x")
        check_eq(colour(r), (0, 255, 0), js)
    # Under a policy that forbids eval, and in the scope of the page.
    r = shoot(s, SMALL + "/js/" + b64("set('#0f0')"), html="<meta http-equiv="
              "Content-Security-Policy content=\"default-src 'none';script-src "
              "'unsafe-inline';style-src 'unsafe-inline';"
              "require-trusted-types-for 'script'\"><body><script>const "
              "set=c=>document.body.style.background=c</script>")
    check_eq(colour(r), (0, 255, 0), "with a policy")
    for js, say in (("]", "SyntaxError"), ("throw 7", "7"),
                    ("Promise.reject(new Error('ouch'))", "ouch"),
                    ("await Promise.resolve(1)", "SyntaxError")):
        check_error(shoot(s, "/js/" + b64(js), html="<p>x"), 400, "js", say)


def test_screenshot_js_that_goes_to_an_error_as_the_picture_is_taken(s):
    with Site({"/": "<body style='background:#f00'>",
               "/404": (404, {}, b"<body style='background:#00f'>")}) as site:
        js = SMALL + "/js/" + b64("location='/404'")
        for words in ("", "/full/1", "/selector/" + b64("body")) * 4:
            r = shoot(s, js + words, url=site.url())
            # The page before it, or what is wrong with it; never a picture.
            if r.status == 200:
                check_eq(colour(r, (5, 5)), (255, 0, 0), words)
            else:
                check_error(r, 502, "404")
    check_next(s)


def test_screenshot_css_where_pages_forbid_styles(s):
    green = "/css/" + b64("body,rect{background:#0f0;fill:#0f0}")
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' width='100' " \
        b"height='80'><rect width='100' height='80' fill='red'/></svg>"
    with Site({"/strict": (200, {"Content-Security-Policy": "default-src "
                                 "'none'; require-trusted-types-for 'script'"},
                           b"<body>x"),
               "/svg": (200, {"Content-Type": "image/svg+xml"}, svg)
               }) as site:
        for path in ("/strict", "/svg"):
            check_eq(colour(shoot(s, SMALL + green, url=site.url(path))),
                     (0, 255, 0), path)


def test_screenshot_js_may_go_to_another_page(s):
    """And wait there for what never comes: it ends with its page."""
    with Site({"/": "<body style='background:#f00'>",
               "/good": "<body style='background:#0f0'>"}) as site:
        for wait in ("new Promise(()=>{})",
                     "new Promise(r=>setTimeout(r,900))"):
            def js(to):
                return SMALL + "/js/" + b64("location='%s';%s" % (to, wait))
            check_eq(colour(shoot(s, js("/good"), url=site.url())),
                     (0, 255, 0), wait)
            check_error(shoot(s, js("/none"), url=site.url()), 502, "404")
        with socket.create_server(("127.0.0.1", 0)) as l:
            nobody = "http://127.0.0.1:%d/" % l.getsockname()[1]
        check_error(shoot(s, js(nobody), url=site.url()), 502,
                    "nobody answers")
    check_next(s)


def test_screenshot_headers_cookies_ua(s):
    seen = {}

    def page(h):
        seen.update({k.lower(): v for k, v in h.headers.items()})
        body = b"<p>ok"
        h.send_response(200)
        h.send_header("Content-Type", "text/html")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    with Site({"/": page}) as site:
        words = "/headers/%s/cookies/%s/ua/%s" % (
            b64(json.dumps({"X-One": "1"})),
            b64(json.dumps([{"name": "c", "value": "42"}])), b64("Agent 7"))
        check_answer(shoot(s, words, url=site.url()), 200, "image/png")
        check_eq((seen.get("x-one"), seen.get("cookie"),
                  seen.get("user-agent")), ("1", "c=42", "Agent 7"))
        # Nothing of it reaches the next job.
        seen.clear()
        check_answer(shoot(s, url=site.url()), 200)
        check("x-one" not in seen and "cookie" not in seen, "%r", seen)


def test_screenshot_waits(s):
    later = "<body style='background:#f00'><script>setTimeout(()=>{" \
        "document.body.style.background='#0f0';document.body.innerHTML=" \
        "'<p id=here>x'},400)</script>"
    r = shoot(s, SMALL + "/wait/selector:" + b64("#here"), html=later)
    check_eq(colour(r), (0, 255, 0))
    r = shoot(s, SMALL + "/wait/900", html=later)
    check_eq(colour(r), (0, 255, 0))
    # What is asked for after the page has loaded.
    fetches = "<body style='background:#f00'><script>onload=()=>setTimeout(" \
        "()=>fetch('/more').then(()=>{document.body.style.background='#0f0'" \
        "}),100)</script>"
    with Site({"/": fetches,
               "/more": lambda h: (site.ended.wait(0.3), h.wfile.write(
                   b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
               }) as site:
        r = shoot(s, SMALL + "/wait/idle", url=site.url())
        check_eq(colour(r), (0, 255, 0), "after all requests")
        r = shoot(s, SMALL + "/wait/load", url=site.url())
        check_eq(colour(r), (255, 0, 0), "at its load")
    polls = "<body style='background:#0f0'><script>setInterval(()=>fetch(" \
        "'/poll').catch(()=>{}),100)</script>"
    r = shoot(s, SMALL + "/wait/idle", html=polls)
    check_eq(colour(r), (0, 255, 0), "of a page that polls")
    check("idle=never" in r.header("x-log", ""), "X-Log is %r",
          r.header("x-log"))
    check_error(shoot(s, "/timeout/1000/wait/selector:" + b64("#never"),
                      html=later), 504, "#never")


def test_screenshot_waits_no_longer_than_the_job_may_take():
    with own_stack(ufop__timeout="6s") as s:
        child = s.worker.children()
        r = shoot(s, SMALL + "/wait/60000",
                  html="<body style='background:#0f0'>", within_s=6)
        check_eq(colour(r), (0, 255, 0))
        check("wait=cut" in r.header("x-log", ""), "X-Log is %r",
              r.header("x-log"))
        check_next(s)
        check_eq(s.worker.children(), child, "children of the worker")
        with Site({"/": hang}) as site:
            check_error(shoot(s, url=site.url(), within_s=6), 504,
                        "did not answer within", "ufop.timeout")


def test_screenshot_words_are_checked(s):
    for words, *say in (
            ("/cut/1,2,3", "cut", "300,200,0,40"), ("/cut/0,2,3,4", "cut"),
            ("/cut/100,100,0,99999", "30000"),
            ("/viewport/9x9", "viewport", "16x16"), ("/scale/4", "scale"),
            ("/q/0", "q takes"), ("/q/50", "jpg and webp"),
            ("/format/gif", "png, jpg, webp, pdf"), ("/dark/2", "dark"),
            ("/wait/soon", "wait", "idle"), ("/selector/!!", "selector"),
            ("/headers/" + b64("[1]"), "headers", "object"),
            ("/headers/" + b64('{"a b":"c"}'), "headers"),
            ("/headers/" + b64('{"a":"b\\r\\nc"}'), "headers"),
            ("/cookies/" + b64('{"a":"b"}'), "cookies", "array"),
            ("/headers/" + b64('{"Host":"a"}'), "'Host'"),
            ("/headers/" + b64('{"Proxy-X":"a"}'), "'Proxy-X'"),
            ("/cookies/" + b64('[{"name":"good","value":"1"},'
                               '{"name":"bad","value":"x;y"}]'), "item 1"),
            # What only the browser knows.
            ("/cookies/" + b64('[{"name":"__Host-a","value":"1"}]'),
             "cookie"),
            ("/ua/" + b64("a\nb"), "ua", "line break"),
            ("/status/all", "status takes any"), ("/pad/3", "selector"),
            ("/cut/1,1,1,1/full/1", "cut and full"), ("/full", "full takes"),
            ("/dark/1/dark/1", "twice"), ("/nonsense/1", "nonsense", "wait"),
            ("/url/" + b64("file:///etc/passwd"), "http"),
            ("/url/" + b64("view-source:http://127.0.0.1/"), ""),
            ("/url/" + b64("chrome://version"), "http"),
            ("/url/" + b64("javascript:alert(1)"), ""),
            ("/url/" + b64("data:text/html,x"), "")):
        check_error(shoot(s, words, html="<p>x"), 400, *say)


def test_screenshot_pipes_into_thumbnail(s):
    w, h, at = pixels(shoot(s, "|thumbnail/w/80",
                            html="<body style='background:#0f0'>"))
    check_eq((w, h, at(9, 9)), (80, 50, (0, 255, 0)))


def test_screenshot_cjk_is_no_box(s):
    if subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True,
                      text=True).stdout.strip() == "":
        skip("there is no Chinese font (fonts-wqy-microhei)")

    def glyph(c):
        html = "<meta charset=utf-8><p id=x style='font-size:60px;width:80px;" \
            "height:80px;margin:0'>" + c
        r = check_answer(shoot(s, "/selector/" + b64("#x"), html=html), 200)
        return str(pictures.png_pixels(r.body))
    box = glyph("\U000e0fff\ufdd0")
    seen = [glyph(c) for c in "中文日本한국"]
    check_eq(len(set(seen)), 6, "different glyphs")
    check(box not in seen, "a character is drawn as the missing-glyph box")


def test_screenshots_share_nothing(s):
    with Site({"/set": "<script>document.cookie='a=1';localStorage.b='2'"
                       "</script>",
               "/get": "<body><script>document.body.style.background="
                       "document.cookie||localStorage.b?'#f00':'#0f0'"
                       "</script>"}) as site:
        check_answer(shoot(s, url=site.url("/set")), 200)
        check_eq(colour(shoot(s, SMALL, url=site.url("/get"))), (0, 255, 0))


# ---- kept pictures -----------------------------------------------------


def test_screenshot_store_keeps_pictures():
    need_chromium()
    with tempfile.TemporaryDirectory() as d, Site(
            {"/": "<body style='background:#f00'>"}) as site, own_stack(
                screenshot__dir=d + "/pictures",
                screenshot__scribe_log=d + "/scribe.log") as s:
        url = site.url()
        name = hashlib.md5(url.encode()).hexdigest()
        path = "%s/pictures/%s/%s.png" % (d, name[:2], name)

        def store(words=""):
            return s.post("q/screenshot-store" + SMALL + words, url=url)

        r = check_answer(store(), 200, "application/json").json()
        with open(path, "rb") as f:
            first = f.read()
        check_eq(r, {"url": url, "path": path, "bytes": len(first)})
        check_eq(pictures.size_of(first), ("png", 100, 80))
        # The old picture stays when the new one fails.
        site.pages["/"] = (500, {}, b"broken")
        check_error(store(), 502, "500")
        with open(path, "rb") as f:
            check(f.read() == first, "the old picture is gone")
        site.pages["/"] = "<body style='background:#0f0'>"
        r = s.post("q/screenshot-store/cut/30,20,0,0/url/" + b64(url))
        check_eq(check_answer(r).json()["path"], path)
        with open(path, "rb") as f:
            check_eq(pictures.size_of(f.read()), ("png", 30, 20))
        r = check_answer(store("/format/webp"))
        check_eq(r.json()["path"], path[:-3] + "webp")
        check_eq(sorted(os.listdir(os.path.dirname(path))),
                 [name + ".png", name + ".webp"])
        check_error(shoot_store(s, html="<p>x"), 400, "url")
        check_error(store("/nonsense/1"), 400, "nonsense")
        # One each, also where the url stands in the cmd, or nowhere.
        check_eq([n[5] for n in scribe_lines(d + "/scribe.log")],
                 [url] * 4 + ["", url])


def scribe_lines(path):
    """Fields of each line; what is the same in all is looked at here."""
    with open(path) as f:
        text = f.read()
    check(text.endswith("\n"), "the last line has no end: %r", text[-80:])
    lines = [line.split("\x01") for line in text[:-1].split("\n")]
    for n in lines:
        check_eq(n[1:3] + n[4:5], [socket.gethostname(), "screenshot", "0"],
                 "host, category and the 0 of %r" % n)
        check_eq(len(n), 6, "fields of %r" % n)
        check(abs(int(n[0]) - time.time()) < 60 and
              re.fullmatch(r"\d+\.\d{3}", n[3]), "time and runtime: %r", n)
    return lines


def shoot_store(s, html):
    return s.post("q/screenshot-store", html.encode())


def test_screenshot_store_needs_a_directory():
    with own_stack() as s:
        check_error(shoot_store(s, html="<p>x"), 503, "screenshot.dir")


# ---- faults ------------------------------------------------------------


def hang(h):
    time.sleep(8)


def half_body(h):
    h.send_response(200)
    h.send_header("Content-Type", "text/html")
    h.send_header("Content-Length", "100000")
    h.end_headers()
    h.wfile.write(b"<body style='background:#f00'><p>half" + b" " * 2048)
    h.wfile.flush()
    time.sleep(8)


def test_screenshot_of_a_server_that_never_answers(s):
    with Site({"/": hang}) as site:
        check_error(shoot(s, "/timeout/1000", url=site.url(), within_s=4), 504,
                    "did not answer")
    check_next(s)


def test_screenshot_of_a_body_that_hangs(s):
    with Site({"/": half_body}) as site:
        check_error(shoot(s, "/timeout/1000", url=site.url(), within_s=5), 504,
                    "wait/<ms>")
        check_eq(colour(shoot(s, SMALL + "/wait/700", url=site.url(),
                              within_s=5)), (255, 0, 0))
    check_next(s)


def test_screenshot_of_an_endless_script(s):
    for when in ("for(;;);", "addEventListener('load',()=>{for(;;);})",
                 "setTimeout(()=>{for(;;);},0)"):
        check_eq(colour(shoot(
            s, SMALL + "/timeout/1500", html="<body style='background:#f00'>"
            "<p>a<script>%s</script><p>b" % when, within_s=10)), (255, 0, 0))
    check_next(s)


@deadline(60)
def test_screenshot_of_a_script_that_starts_again(s):
    again = "<body style='background:#f00;margin:0'><h1>b</h1><script>" \
        "setInterval(()=>{for(;;);},0)</script>"
    once = "<body style='background:#f00;margin:0'><h1>b</h1><script>" \
        "addEventListener('load',()=>setTimeout(()=>{for(;;);},0))</script>"
    for html, words in (
            (again, ""), (again, "/wait/500"), (again, "/full/1"),
            (again, "/css/" + b64("h1{color:#0f0}")),
            (again, "/wait/selector:" + b64("h1")),
            (again, "/cut/100,100,0,0"), (once, "/selector/" + b64("body")),
            (once, "/cut/100,900,0,0")):
        r = shoot(s, SMALL + "/timeout/1500" + words, html=html, within_s=10)
        check_eq(colour(r, (50, 5)), (255, 0, 0), words)
        check("script=stopped" in r.header("x-log", ""), "X-Log of %s is %r",
              words, r.header("x-log"))
    check_error(shoot(s, "/timeout/1500/wait/selector:" + b64("#never"),
                      html=again, within_s=10), 504, "#never")
    check_next(s)


@deadline(60)
def test_screenshot_of_a_page_that_leaves_at_its_load(s):
    with Site({"/": "<h1>x</h1><script>onload=()=>{location.href='/there'}"
                    "</script>",
               "/there": "<body style='background:#0f0'>"}) as site, \
            Site({"/": "<h1>x</h1><script>onload=()=>{location.href='%s'}"
                       "</script>" % site.url("/there").replace(
                           "127.0.0.1", "localhost")}) as other:
        s_words = SMALL + "/timeout/4000"
        js = "/js/" + b64("location.href='%s'" % site.url("/there"))
        for i in range(3):
            for words, url in (("", site.url()), ("", other.url()),
                               ("/cut/100,900,0,0", other.url()),
                               (js, site.url("/there")), (js, other.url())):
                # Of the page before or of the one behind it.
                check(colour(shoot(s, s_words + words, url=url, within_s=7))
                      in ((0, 255, 0), (255, 255, 255)), "the picture")
    check_next(s)


def test_screenshot_of_an_alert_storm(s):
    r = shoot(s, SMALL + "/timeout/2000", html="<body style='background:#f00'><script>"
              "for(let i=0;i<50;i++)alert(i);confirm('x');prompt('y')"
              "</script>", within_s=10)
    check_eq(colour(r), (255, 0, 0))
    r = shoot(s, "/timeout/2000", html="<script>for(;;)alert(1)</script>",
              within_s=12)
    # It is ended, or stands in an alert each time that somebody tries.
    if r.status == 200:
        check_answer(r, 200, "image/png")
    else:
        check_error(r, 504, "has not finished loading")
    check_next(s)


def test_screenshot_of_a_page_too_large(s):
    html = "<style>body{margin:0}</style><div style='height:50000px'></div>"
    check_error(shoot(s, "/full/1", html=html), 413, "1280x50000",
                "max_pixels")
    check_error(shoot(s, "/viewport/100x80/full/1",
                      html=html.replace("50000", "66000")), 413, "100x66000",
                "65000 pixels")
    html = "<style>body{margin:0}</style><div style='height:20000px'></div>"
    check_error(shoot(s, "/full/1/format/webp", html=html), 413, "16383")
    html = "<style>body{margin:0}</style><div style='height:29990px'></div>" \
        "<div style='height:10px;background:#f00'></div>"
    w, h, at = pixels(shoot(s, "/viewport/20x400/full/1", html=html))
    check_eq((w, h, at(5, 29995)), (20, 30000, (255, 0, 0)))
    check_next(s)


def test_screenshot_of_what_is_no_page(s):
    with Site({"/204": (204, {}, b""),
               "/file": (200, {"Content-Type": "application/octet-stream",
                               "Content-Disposition": "attachment"}, b"x" * 9),
               "/500": (500, {}, b"<h1>broken"),
               "/304": (304, {}, b""),
               "/source": (302, {"Location": "view-source:http://127.0.0.1/"},
                           b""),
               "/file-redirect": (302, {"Location": "file:///etc/passwd"},
                                  b""),
               "/round": (302, {"Location": "/round"}, b""),
               "/empty": lambda h: h.connection.shutdown(socket.SHUT_RDWR),
               "/garbage": lambda h: h.wfile.write(b"garbage\r\n\r\n"),
               }) as site:
        check_error(shoot(s, url=site.url("/204")), 502, "204")
        check_error(shoot(s, url=site.url("/file")), 415, "download")
        check_error(shoot(s, url=site.url("/500")), 502, "500", "status/any")
        check_error(shoot(s, url=site.url("/none")), 502, "404", "status/any")
        check_error(shoot(s, url=site.url("/304")), 502, "304")
        check_error(shoot(s, url=site.url("/source")), 502,
                    "not http or https")
        check_error(shoot(s, url=site.url("/file-redirect")), 502,
                    "not http or https")
        check_error(shoot(s, url=site.url("/round")), 502, "without an end")
        check_error(shoot(s, url=site.url("/empty")), 502,
                    "without an answer")
        check_error(shoot(s, url="http://127.0.0.1:6667/"), 502,
                    "another protocol")
        check_answer(shoot(s, "/status/any", url=site.url("/none")), 200,
                     "image/png")
    check_next(s)


def test_screenshot_of_a_page_that_goes_to_an_error(s):
    going = "<body style='background:#f00'><script>location='%s'</script>"
    green = "<body style='background:#0f0'>"
    with Site({"/to-none": going % "/none", "/to-500": going % "/500",
               "/to-good": going % "/good", "/good": green,
               "/500": (500, {}, green.encode()),
               "/frame": green + "<iframe src=/none hidden></iframe>"}) as site:
        for words in ("", "/headers/" + b64('{"x-a": "b"}')):
            check_error(shoot(s, words, url=site.url("/to-none")), 502, "404",
                        "status/any")
            check_error(shoot(s, words, url=site.url("/to-500")), 502, "500")
            for path in ("/to-good", "/frame"):
                check_eq(colour(shoot(s, SMALL + words, url=site.url(path))),
                         (0, 255, 0), path + words)
        check_eq(colour(shoot(s, SMALL + "/status/any",
                              url=site.url("/to-500"))), (0, 255, 0))
        # Nor is it the selector's fault.
        with socket.create_server(("127.0.0.1", 0)) as l:
            port = l.getsockname()[1]
        site.pages["/to-nobody"] = going % ("http://127.0.0.1:%d/" % port)
        for path, why in (("/to-none", "404"),
                          ("/to-nobody", "nobody answers")):
            check_error(shoot(s, "/timeout/900/wait/selector:" + b64("#x"),
                              url=site.url(path)), 502, why)
    check_next(s)


def site_with_worker(answer):
    """A page that goes to /made, which its service worker answers so."""
    worker = "oninstall=()=>skipWaiting();onactivate=e=>e.waitUntil(" \
        "clients.claim());onfetch=e=>{if(e.request.url.endsWith('/made'))" \
        "e.respondWith(%s)}" % answer
    return Site({"/": "<script>navigator.serviceWorker.register('/sw.js').then("
                      "()=>navigator.serviceWorker.ready).then(()=>setTimeout("
                      "()=>{location='/made'},100))</script>",
                 "/sw.js": (200, {"Content-Type": "text/javascript"},
                            worker.encode())})


def test_screenshot_of_an_error_that_a_service_worker_makes(s):
    """There is nothing of it on the network, and it is busy."""
    with site_with_worker(
            "new Response('<script>setInterval(()=>{const t=Date.now();"
            "while(Date.now()-t<3000);},0)</script>',{status:404,headers:"
            "{'Content-Type':'text/html'}})") as site:
        for _ in range(5):
            check_error(shoot(s, "/wait/1000", url=site.url()), 502, "404")
        check("/made" not in site.hits, "the worker did not answer")
    check_next(s)


def test_screenshot_gives_the_reason_also_of_what_fails_at_once(s):
    """Before the browser has been asked to tell of the network again."""
    with site_with_worker("Response.error()") as site:
        for _ in range(5):
            check_error(shoot(s, "/wait/900", url=site.url()), 502,
                        "net::ERR_FAILED")
    check_next(s)


def test_screenshot_of_nobody(s):
    with socket.create_server(("127.0.0.1", 0)) as l:
        port = l.getsockname()[1]
    check_error(shoot(s, url="http://127.0.0.1:%d/" % port), 502,
                "nobody answers")
    check_error(shoot(s, url="http://no.such.name.invalid/"), 502,
                "cannot resolve")
    check_next(s)


def test_screenshot_of_a_page_that_goes_where_nobody_is(s):
    with socket.create_server(("127.0.0.1", 0)) as l:
        nobody = "http://127.0.0.1:%d/" % l.getsockname()[1]
    with Site({"/meta": "<meta http-equiv=refresh content='0;url=%s'>" % nobody,
               "/js": "<script>location='%s'</script>" % nobody,
               "/late": "<p>x<script>setTimeout(()=>{location='%s'},300)"
                        "</script>" % nobody,
               "/frame": "<body style='background:#0f0'><iframe src='%s'>" %
                         nobody,
               "/missing": "<script>setTimeout(()=>{location='/none'},200)"
                           "</script>"}) as site:
        for path in ("/meta", "/js", "/late"):
            check_error(shoot(s, "/wait/1500", url=site.url(path)), 502,
                        "nobody answers")
        check_error(shoot(s, "/wait/1500", url=nobody), 502, "nobody answers")
        check_error(shoot(s, "/wait/900", url=site.url("/missing")), 502,
                    "404")
        check_eq(colour(shoot(s, SMALL + "/wait/600", url=site.url("/frame")),
                        (1, 1)), (0, 255, 0))
    check_next(s)


def test_screenshot_of_a_page_that_never_has_a_load_event(s):
    red = "<body style='background:#f00'><script>%s</script>"
    with Site({"/204": (204, {}, b""),
               "/file": (200, {"Content-Type": "application/octet-stream"},
                         b"x")}) as site:
        for i, go in enumerate(("location='/204'", "location='/file'",
                                "location='mailto:a@b'", "stop()")):
            site.pages["/%d" % i] = red % go
            for words in ("", "/wait/idle"):
                r = shoot(s, SMALL + "/timeout/9000" + words,
                          url=site.url("/%d" % i), within_s=8)
                check_eq(colour(r), (255, 0, 0), go + words)
        # That of the page it goes to, on another site, is waited for.
        green = pictures.png_flat(100, 80, (0, 255, 0))

        def late(h):
            site.ended.wait(0.7)
            h.send_response(200)
            h.send_header("Content-Type", "image/png")
            h.send_header("Content-Length", str(len(green)))
            h.end_headers()
            h.wfile.write(green)

        there = site.url("/there").replace("127.0.0.1", "localhost")
        site.pages.update({
            "/": red % "document.write('<img src=/late.png>');location='%s'" %
            there,
            "/there": "<body style='margin:0'><img src=/late.png>",
            "/late.png": late})
        check_eq(colour(shoot(s, SMALL, url=site.url("/"))), (0, 255, 0))
    check_next(s)


def test_screenshot_of_a_page_that_goes_to_an_empty_one(s):
    red = "<body style='background:#f00'>"
    blank = red + "<script>location='about:blank'</script>"
    for words in ("", "/wait/idle", "/wait/400"):
        check_eq(colour(shoot(s, SMALL + "/timeout/3000" + words, html=blank)),
                 (255, 255, 255), words)
    check_next(s)


def test_screenshot_gives_the_reason_of_the_page_itself(s):
    """Not that of something else that the page has tried."""
    with socket.create_server(("127.0.0.1", 0)) as l:
        nobody = "http://127.0.0.1:%d/" % l.getsockname()[1]
    red = "<body style='background:#f00'>"
    later = "<script>setTimeout(()=>{location='%s'},300)</script>"
    file = {"Content-Type": "application/octet-stream",
            "Content-Disposition": "attachment"}
    with Site({"/204": (204, {}, b""), "/file": (200, file, b"x"),
               "/lost": (404, file, b"x"),
               "/a": red + later % nobody +
                     "<script>location='/204'</script>",
               "/b": red + later % nobody +
                     "<script>location='/file'</script>",
               "/c": red + "<iframe src=/file></iframe>" + later % nobody,
               "/d": red + "<script>setInterval(()=>{new Image().src="
                     "'http://127.0.0.2:9/'+Math.random()},2)</script>" +
                     later % nobody,
               "/e": red + later % "/lost"}) as site:
        for path in ("/a", "/b", "/c", "/d"):
            check_error(shoot(s, "/wait/900", url=site.url(path)), 502,
                        "nobody answers", nobody.split(":")[2].strip("/"))
        # A file that is not there is no document: status/any is no remedy.
        check_error(shoot(s, "/wait/900", url=site.url("/e")), 502,
                    "ERR_INVALID_RESPONSE", "has no page")
    check_next(s)


def test_screenshot_of_a_bad_certificate(s):
    openssl = shutil.which("openssl") or skip("there is no openssl")
    with tempfile.TemporaryDirectory() as d:
        key, cert = d + "/key.pem", d + "/cert.pem"
        subprocess.run([openssl, "req", "-x509", "-newkey", "rsa:2048",
                        "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                        "-subj", "/CN=127.0.0.1"], check=True,
                       capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert, key)
        with Site({"/": "<p>x"}, tls=tls) as site:
            check_error(shoot(s, url=site.url().replace("http", "https")),
                        502, "certificate")
    check_next(s)


def test_screenshot_of_a_page_that_breaks_what_we_ask(s):
    broken = "<p id=x>x<script>document.querySelector=()=>{throw Error(" \
        "'mine')}</script>"
    for word in ("/selector/", "/wait/selector:"):
        check_error(shoot(s, word + b64("#x"), html=broken, within_s=6), 400,
                    "Error: mine")
        check_error(shoot(s, word + b64("]"), html="<p>x"), 400,
                    "not a valid selector")
    check_next(s)


def test_screenshot_of_endless_navigation(s):
    def page(h):
        n = int(h.path.partition("?")[2] or "0") + 1
        body = ("<body style='background:#f00'><script>location='/?%d'"
                "</script>" % n).encode()
        h.send_response(200)
        h.send_header("Content-Type", "text/html")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    with Site({"/": page}) as site:
        r = shoot(s, "/timeout/3000/wait/2500", url=site.url(), within_s=8)
        check_error(r, 502, "keeps going")
        r = shoot(s, "/timeout/3000", url=site.url(), within_s=8)
        check_error(r, 502, "keeps going")
    check_next(s)


def test_screenshot_of_a_page_that_would_crash_the_browser(s):
    for url in ("chrome://crash", "chrome://kill", "file:///etc/passwd"):
        check_error(shoot(s, "/url/" + b64(url)), 400, "http")
        go = "location.href='%s'" % url
        red = "<body style='background:#f00'>"
        check_eq(colour(shoot(s, SMALL + "/js/" + b64(go), html=red)),
                 (255, 0, 0), url)
        check_eq(colour(shoot(s, SMALL + "/wait/300", html=red +
                              "<script>%s</script>" % go)), (255, 0, 0), url)
    check_next(s)


def test_screenshot_of_popups(s):
    r = shoot(s, SMALL, html="<body style='background:#f00'><script>for(let i=0;i<99;"
              "i++)window.open('about:blank')</script>")
    check_eq(colour(r), (255, 0, 0))
    check_next(s)


@deadline(60)
def test_screenshot_of_a_memory_bomb():
    with own_stack(screenshot__memory_mb="400",
                   screenshot__heap_mb="64") as s:
        check_next(s)
        # Beyond the heap of scripts, which has a limit of its own.
        bomb = "<script>const a=[];for(;;){const b=new Uint8Array(8<<20);" \
            "for(let i=0;i<b.length;i+=4096)b[i]=1;a.push(b)}</script>"
        check_error(shoot(s, html=bomb, within_s=20), 500,
                    "screenshot.memory_mb")
        check_next(s)
        heap = "<script>const a=[];for(;;)a.push({x:Math.random()+''})" \
            "</script>"
        r = shoot(s, html=heap, within_s=20)
        check_error(r, 500, "memory")
        check_next(s)


def chromium_of(s, kind=None):
    """Pids below the worker: of this --type=, None for the browser itself."""
    found = []
    for pid in descendants(s.worker.pid):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                words = f.read().replace(b"\0", b" ").split()
        except OSError:
            continue
        if not words or not words[0].endswith(b"chromium-headless-shell"):
            continue
        types = [w for w in words if w.startswith(b"--type=")]
        if (types[0][7:].decode() if types else None) == kind:
            found.append(pid)
    return found


def named(s, name):
    table = processes()
    return [p for p in descendants(s.worker.pid, table)
            if table[p][2].startswith(name)]


def ours():
    """Every process of a browser's, with its pid, below this test."""
    table = processes()
    return {p for p in table if table[p][2].startswith(OURS) and
            table[p][0] != 0 and p in descendants(os.getpid(), table)}


@deadline(60)
def test_screenshot_survives_a_killed_renderer_and_browser():
    def killed(kind, times):
        site.hits.clear()
        r = Background(lambda: shoot(s, "/wait/2000", url=site.url()))
        gone = set()
        for _ in range(times):
            wait_until(lambda: "/shown" in site.hits and
                       set(chromium_of(s, kind)) - gone, 9, "a page is shown")
            gone |= set(chromium_of(s, kind))
            site.hits.clear()
            for pid in gone:
                kill_quietly(pid)
        return r.result()

    with own_stack() as s, Site({"/": "<img src=/shown>"}) as site:
        check_next(s)
        check_error(killed("renderer", 1), 500, "renderer")
        check_next(s)
        # A browser that ends is no fault of the page's, if it is once.
        check_answer(killed(None, 1), 200, "image/png")
        check("while loading the page: the browser ended" in
              s.worker.output(), "the log does not say what has happened")
        check_next(s)
        check_error(killed(None, 2), 500, "browser")
        check_next(s)


@deadline(60)
def test_screenshot_of_a_browser_that_ends_late():
    """The second try has what is left of the time, not all of it again."""
    with own_stack(ufop__timeout="9s") as s, Site(
            {"/": "<img src=/never><script>setTimeout(()=>fetch('/late'),"
                  "3500)</script>",
             "/never": lambda h: site.ended.wait(20)}) as site:
        check_next(s)
        child = child_with_keeper(s)
        r = Background(lambda: shoot(s, url=site.url(), within_s=9))
        wait_until(lambda: "/late" in site.hits, 9, "the page is old")
        for pid in chromium_of(s):
            kill_quietly(pid)
        check_error(r.result(), 504, "has not finished loading")
        check_eq(child_with_keeper(s), child, "the child")
        check_next(s)


def child_with_keeper(s):
    return [p for p in s.worker.children() if set(descendants(p)) &
            set(named(s, "ufop-keeper"))][0]


def holdings(s):
    """Descriptors and sockets of worker and child; zombies of all of it."""
    def links(pid):
        found = []
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                found.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
            except OSError:
                pass
        return len(found), sum(n.startswith("socket:") for n in found)

    table = processes()
    below = [s.worker.pid] + descendants(s.worker.pid, table)
    zombies = [n for parent, state, n in table.values() if state == "Z" and
               parent in below]
    return links(s.worker.pid), links(child_with_keeper(s)), zombies


@deadline(90)
def test_nothing_is_left_whoever_is_killed():
    for namespaces in ("yes", "no"):
        with own_stack(screenshot__namespaces=namespaces,
                       queue__lease="1s") as s:
            files = set(os.listdir("/tmp")) | set(os.listdir("/dev/shm"))
            for name in ("chromium", "ufop-jailer", "ufop-filter",
                         "ufop-keeper"):
                check_next(s)
                before = ours()
                # A renderer that has just ended is one for a moment.
                held = wait_until(lambda: (lambda h: not h[2] and h)(
                    holdings(s)), 5, "no zombie is there")
                victims = named(s, name)
                check(victims, "there is no %s", name)
                kill_quietly(victims[0])
                wait_until(lambda: victims[0] not in ours(), 5,
                           "%s is gone" % name)
                check_next(s)
                wait_until(lambda: not (ours() & before - set(
                    named(s, "ufop-keeper"))), 5,
                    "those of the old browser are gone")
                wait_until(lambda: holdings(s) == held, 5,
                           "no zombie, socket or descriptor more than %s" %
                           (held,))
            # The child, with its process group, as at a deadline.
            check_next(s)
            before = ours()
            os.killpg(child_with_keeper(s), signal.SIGKILL)
            wait_until(lambda: not ours() & before, 5, "all of it is gone")
            check_next(s)
            # The parent of all.
            s.worker.kill()
            wait_until(lambda: not ours(), 5, "no process is left")
            left = (set(os.listdir("/tmp")) | set(os.listdir("/dev/shm"))) - \
                files
            left = [n for n in left if "chrom" in n.lower()]
            check(not left, "left behind: %s", left)
            old = s.redis("SMEMBERS", s.key("workers"))
            s.add_worker()
            wait_until(lambda: len(s.redis("SMEMBERS", s.key("workers"))) == 1
                       and s.redis("SMEMBERS", s.key("workers")) != old, 10,
                       "a new worker has taken over")


@deadline(60)
def test_screenshot_recycles_the_browser():
    with own_stack(screenshot__recycle_jobs="2") as s:
        seen = set()
        for _ in range(5):
            check_next(s)
            seen |= set(chromium_of(s))
        check(len(seen) >= 2, "one browser did all")
        check(len(chromium_of(s)) <= 2, "browsers pile up")


def test_screenshot_without_a_chromium():
    with own_stack(screenshot__chromium="/nowhere/chromium") as s:
        check_error(shoot(s, html="<p>x"), 503, "chromium-headless-shell")
        r = wait_until(lambda: (lambda r: r.body and r)(s.get("/health")), 8,
                       "/health has a note")
        check_eq(r.status, 200)
        check("install the package" in r.text, "the note: %s", r.text)
        check("install the package" in config_show(s), "config show: no word")
        check("install the package" in s.worker.output(),
              "the service does not say so at its start")
        s.check_works()


@deadline(60)
def test_screenshot_where_user_namespaces_are_refused():
    """As under Docker's default seccomp profile."""
    if os.geteuid() != 0:
        skip("only root can make a namespace with all users in it")
    need_chromium()
    program = os.path.join(os.path.dirname(__file__), "no_userns.py")

    def process(*settings):
        with tempfile.TemporaryDirectory() as d:
            with open(d + "/a.html", "w") as f:
                f.write("<body style='background:#f00'>")
            os.chmod(d, 0o755)
            words = [w for s in ("ufop.services=screenshot",) + settings
                     for w in ("-s", s)]
            r = subprocess.run(
                [sys.executable, program, UFOP, "process", "-C", d, *words,
                 "/screenshot", d + "/a.html", "-o", d + "/a.png"],
                capture_output=True, text=True, timeout=25)
            check("weaker" in r.stderr, "it does not say weaker: %s",
                  r.stderr)
            if not os.path.exists(d + "/a.png"):
                return r.stderr, None
            with open(d + "/a.png", "rb") as f:
                return r.stderr, pictures.size_of(f.read())

    said, size = process("screenshot.sandbox=no")
    check_eq(size, ("png", 1280, 800), said)
    said, size = process()
    check(size is None and "screenshot.sandbox = no" in said,
          "no sandbox can be built, but it says: %s", said)


@deadline(60)
def test_screenshot_in_parallel():
    with own_stack(worker__pools="cpu=1 net=2") as s:
        many = [Background(lambda i=i: shoot(
            s, SMALL, html="<body style='background:rgb(%d,0,0)'>" % (i * 40),
            within_s=40)) for i in range(6)]
        for i, b in enumerate(many):
            check_eq(colour(b.result(50)), (i * 40, 0, 0))


# ---- attacks -----------------------------------------------------------


ATTACK = """<body>
<iframe src="%(c)s/iframe"></iframe><img src="%(c)s/img">
<link rel=prefetch href="%(c)s/prefetch"><link rel=preconnect href="%(c)s">
<link rel=preload as=script href="%(c)s/preload">
<link rel=stylesheet href="%(c)s/css"><script src="%(c)s/script"></script>
<link rel=dns-prefetch href="//localhost">
<object data="%(c)s/object"></object><embed src="%(c)s/embed">
<video src="%(c)s/video"></video><audio src="%(c)s/audio"></audio>
<iframe src="/redirect"></iframe><img src="/redirect">
<iframe src="file:///etc/passwd"></iframe>
<iframe src="view-source:%(c)s/vs"></iframe>
<iframe srcdoc="<meta http-equiv=refresh content='0;url=%(c)s/meta'>"></iframe>
<form id=f method=post action="%(c)s/form" target=t></form>
<iframe name=t></iframe>
<script>
const go = f => { try { const r = f(); if (r && r.catch) r.catch(() => {}) }
                  catch (e) {} };
go(() => fetch('/control'));
const port = %(port)d;
for (const h of ['127.0.0.2', '2130706434', '0x7f.2', '0177.0.0.2',
                 '127.2', '[::1]', '[::ffff:127.0.0.2]', '[::127.0.0.2]',
                 '[64:ff9b::7f00:2]', '[::ffff:0:127.0.0.2]', '0.0.0.0',
                 '169.254.169.254', '127.0.0.2.nip.invalid',
                 'ip6-localhost']) {
  go(() => fetch('http://' + h + ':' + port + '/fetch', {mode: 'no-cors'}));
  go(() => new WebSocket('ws://' + h + ':' + port + '/ws'));
  go(() => new EventSource('http://' + h + ':' + port + '/es'));
  go(() => navigator.sendBeacon('http://' + h + ':' + port + '/beacon', 'x'));
  go(() => new WebTransport('https://' + h + ':' + port + '/wt'));
  go(() => new Worker('http://' + h + ':' + port + '/worker'));
  go(() => window.open('http://' + h + ':' + port + '/popup'));
}
go(() => { for (const s of ['stun:127.0.0.2:' + port,
    'turn:127.0.0.2:' + port + '?transport=tcp',
    'turn:127.0.0.2:' + port + '?transport=udp']) {
  const p = new RTCPeerConnection({iceServers: [{urls: s, username: 'a',
                                                 credential: 'b'}]});
  p.createDataChannel('x');
  p.createOffer().then(o => p.setLocalDescription(o));
}});
go(() => navigator.serviceWorker.register('/sw.js'));
go(() => fetch('file:///etc/passwd').then(r => r.text()).then(
    t => fetch('/leak')));
go(() => document.getElementById('f').submit());
</script>"""


def attack(s):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with Site(host="127.0.0.2") as canary, Site() as home:
        udp.bind(("127.0.0.2", canary.port))
        udp.setblocking(False)
        six = None
        try:
            six = socket.create_server(("::1", canary.port),
                                       family=socket.AF_INET6)
            six.setblocking(False)
        except OSError:
            pass                    # no IPv6 here
        base = "http://127.0.0.2:%d" % canary.port
        home.pages.update({
            "/": ATTACK % {"c": base, "port": canary.port},
            "/control": "x",
            "/redirect": (302, {"Location": base + "/redirected"}, b""),
            "/sw.js": (200, {"Content-Type": "text/javascript"},
                       ("fetch('%s/sw');self.addEventListener('install',()=>"
                        "fetch('%s/sw2'))" % (base, base)).encode()),
            "/meta": "<meta http-equiv=refresh content='0;url=%s/m'>" % base,
            "/js": "<script>location='%s/js'</script>" % base,
        })
        check_answer(shoot(s, "/wait/2500", url=home.url()), 200)
        check("/control" in home.hits, "the page's scripts have not run")
        check("/sw.js" in home.hits, "no service worker was tried")
        check("/redirect" in home.hits, "no redirect was tried")
        check("/leak" not in home.hits, "a page read a file")
        for path in ("/redirect", "/meta", "/js"):
            check_error(shoot(s, "/wait/900", url=home.url(path)), 502,
                        "refused to connect")
        # What is refused is refused at once, wherever it is met.
        home.pages["/six"] = (302, {"Location": "http://[::1]:%d/" %
                                    canary.port}, b"")
        check_error(shoot(s, url=home.url("/six"), within_s=6), 502,
                    "refused to connect")
        for url in (base + "/", "http://2130706434:%d/" % canary.port,
                    "http://[::1]:%d/" % canary.port,
                    "http://[::ffff:127.0.0.2]:%d/" % canary.port,
                    "http://169.254.169.254/latest/meta-data/"):
            check_error(shoot(s, url=url), 502, "refused to connect")
        check_eq(canary.hits, [], "requests that the canary has seen")
        check_eq(canary.contacts, 0, "connections that the canary has seen")
        try:
            check(False, "WebRTC reached the canary: %r", udp.recv(99))
        except BlockingIOError:
            pass
        if six is not None:
            try:
                six.accept()
                check(False, "the canary on ::1 was reached")
            except BlockingIOError:
                pass
            six.close()
    udp.close()


@deadline(60)
def test_attacks_from_inside_namespaces():
    with own_stack() as s:
        attack(s)
        check("weaker" not in s.worker.output(), "there are no namespaces")
        check_eq(s.get("/health").body, b"", "the body of /health")
        shown = config_show(s)
        check("namespaces of its own" in shown and "sandbox is on" in shown,
              "config show: %s", shown)


@deadline(60)
def test_attacks_with_the_filter_alone():
    with own_stack(screenshot__namespaces="no") as s:
        attack(s)
        r = wait_until(lambda: (lambda r: r.body and r)(s.get("/health")), 8,
                       "/health has a note")
        check_eq(r.status, 200)
        check("weaker" in r.text and "screenshot.namespaces is off" in r.text,
              "the note: %s", r.text)
        check("weaker" in config_show(s), "config show does not say weaker")


@deadline(60)
def test_attacks_by_names_that_change_their_address():
    need_chromium()
    if os.geteuid() != 0:
        skip("only root can put another name server in place")
    need_program("unshare")
    program = os.path.join(os.path.dirname(__file__), "fake_dns.py")
    with Site() as home, tempfile.TemporaryDirectory() as d:
        # Both on one port, so that only the address makes the difference.
        with Site(host="127.0.0.2", port=home.port) as canary:
            home.pages["/"] = "<script>for(let i=0;i<60;i++)setTimeout(()=>" \
                "fetch('/r'+i,{cache:'no-store'}).catch(()=>{}),i*20);" \
                "fetch('http://inside.test:%d/i').catch(()=>{})</script>" % \
                home.port
            for i in range(60):
                # No connection is used twice.
                home.pages["/r%d" % i] = (200, {"Connection": "close"}, b"x")
            os.chmod(d, 0o755)
            r = subprocess.run(
                [sys.executable, program, "rebind.test=127.0.0.1,127.0.0.2;"
                 "inside.test=127.0.0.2", UFOP, "process", "-C", d, "-s",
                 "ufop.services=screenshot", "-s", "fetch.allow=127.0.0.1",
                 "/screenshot/wait/2500/url/" +
                 b64("http://rebind.test:%d/" % home.port), "-",
                 "-o", d + "/a.png"], stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=30)
            check(os.path.exists(d + "/a.png"), "no picture: %s", r.stderr)
            again = [h for h in home.hits if h.startswith("/r")]
            check(len(again) > 5, "the page asked %d times: %s", len(again),
                  home.hits)
            check_eq(canary.hits, [], "requests that the canary has seen")
            check_eq(canary.contacts, 0, "connections to the canary")


def test_browser_sees_no_file_and_no_process_of_the_host():
    with own_stack() as s:
        check_next(s)
        pid = chromium_of(s)[0]
        root = "/proc/%d/root" % pid
        if os.geteuid() != 0:
            skip("only root may look into another's root")
        names = set(os.listdir(root))
        check(names <= {"bin", "dev", "etc", "lib", "lib32", "lib64",
                        "libx32", "proc", "sbin", "tmp", "usr", "var"},
              "the browser sees %s", sorted(names))
        check_eq(os.listdir(root + "/var"), ["cache"], "what is in /var")
        check_eq(os.path.exists(root + "/etc/passwd"), False, "/etc/passwd")
        seen = [p for p in os.listdir(root + "/proc") if p.isdigit()]
        check(len(seen) < 20, "the browser sees %d processes", len(seen))
        with open("/proc/%d/status" % pid) as f:
            status = f.read()
        check("\nCapEff:\t0000000000000000" in status, "it has capabilities")
        check("\nNoNewPrivs:\t1" in status, "it may gain privileges")
        check("\nUid:\t0" not in status, "it runs as root")
