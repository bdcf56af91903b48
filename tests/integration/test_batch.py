# SPDX-License-Identifier: MIT
"""
POST /screenshot: many jobs by one request.  Most tests have a stand-in for the
service, which needs no browser (batch_service.c); the last has a real one.
"""

import hashlib
import json
import os
import signal
import tempfile

import httpc
import pictures
import test_screenshot
from harness import BUILD, ROOT, Background, Stack, cc, check, check_answer, \
    check_eq, check_error, kill_quietly, processes, wait_until

CHILDREN = 4
BODY_MAX = 1024 * 1024
HOST = "http://pages.test"


def service(name="batch_service"):
    return cc(os.path.join(ROOT, "tests", "integration", name + ".c"),
              os.path.join(BUILD, "tests", name + ".so"))


def own_stack(services=None, workers=1, children=CHILDREN, **settings):
    """One for tests that hurt it: settings as section__name=value."""
    more = {k.replace("__", "."): v for k, v in settings.items()}
    return Stack(dict({"worker.pools": "cpu=1 net=%d" % children}, **more),
                 services=services or service() + " debug", workers=workers)


def stack():
    return own_stack()


def item(path, cut=None):
    it = {"url": HOST + path}
    if cut is not None:
        it["cut"] = cut
    return it


def body_of(*items):
    return json.dumps({"lists": list(items)}).encode()


def send(s, body, timeout_s=20):
    return s.request("POST", "/screenshot", body, timeout_s=timeout_s)


def batch(s, *items):
    """The answer to these items, as far as it must be the same for all."""
    r = check_answer(send(s, body_of(*items)), 200, "application/json")
    got = r.json()
    check_eq(list(got), ["result", "lists"], "keys of the answer")
    check_eq([one["url"] for one in got["lists"]],
             [it["url"] for it in items], "urls in the order asked")
    for one in got["lists"]:
        check_eq(list(one), ["url", "result", "path", "bytes"]
                 if one["result"] == "ok" else
                 ["url", "result", "code", "error"], "keys of an item")
    check_eq(got["result"], "ok" if all(
        one["result"] == "ok" for one in got["lists"]) else "error", "result")
    return got["lists"]


def results(lists):
    return [one.get("code", one["result"]) for one in lists]


# ---- what is answered --------------------------------------------------


def test_each_item_is_a_job(s):
    first, second = batch(s, item("/a", "800,600,0,40"), item("/bc"))
    check_eq(first, {"url": HOST + "/a", "result": "ok", "bytes": 19,
                     "path": "/screenshot-store/cut/800,600,0,40"})
    check_eq(second["path"], "/screenshot-store")
    s.check_works()


def test_order_is_the_one_asked(s):
    paths = ["/sleep/400", "/sleep/200", "/fail", "/sleep/100", "/0"]
    got = batch(s, *[item(p) for p in paths])
    check_eq(results(got), ["ok", "ok", 502, "ok", "ok"])
    check("'%s/fail' fails" % HOST in got[2]["error"], "error: %r", got[2])


def test_jobs_run_side_by_side(s):
    r = check_answer(send(s, body_of(*[item("/sleep/500")] * CHILDREN)))
    check_eq(r.json()["result"], "ok")
    check(0.45 < r.took_s < 0.45 * CHILDREN, "it took %.2f s", r.took_s)


def test_hundred_items(s):
    got = batch(s, *[item("/%d" % i, "%d,1,0,0" % (i + 1))
                     for i in range(100)])
    check_eq([one["path"] for one in got],
             ["/screenshot-store/cut/%d,1,0,0" % (i + 1)
              for i in range(100)])


def test_same_page_twice(s):
    check_eq(results(batch(s, item("/a"), item("/a"))), ["ok", "ok"])


def test_url_comes_back_as_it_was(s):
    paths = ["/\u6c34?q=\"\\\"", "/%7C|a%20b", "/" + "x" * 5000]
    check_eq(results(batch(s, *[item(p) for p in paths])), ["ok"] * 3)


def test_items_that_fail(s):
    got = batch(s, item("/fail"), item("/retry"), item("/mute"),
                item("/text"), item("/big"), {"url": "ftp://pages.test/"},
                {"url": HOST + "/" + "x" * 9000}, item("/a b"), item("/good"))
    check_eq(results(got),
             [502, 503, 503, 500, 500, 400, 400, 400, "ok"])
    for one in got[:-1]:
        check(len(one["error"]) > 8, "no sentence: %r", one)
    check("http://" in got[5]["error"], "error: %r", got[5])
    s.check_works()


def test_crash_is_one_items_own():
    with own_stack() as s:
        got = batch(s, item("/crash"), item("/a"), item("/sleep/200"))
        check_eq(results(got), [500, "ok", "ok"])
        s.check_works()


def test_deadline_of_one_item():
    with own_stack(ufop__timeout="1s") as s:
        r = send(s, body_of(item("/sleep/9000"), item("/a")))
        got = check_answer(r).json()
        check_eq(results(got["lists"]), [504, "ok"])
        check(0.9 < r.took_s < 3, "it took %.2f s", r.took_s)
        s.check_works()


def test_full_queue_refuses_items():
    with own_stack(children=1, queue__max_queue=1) as s:
        got = results(batch(s, *[item("/sleep/200")] * 6))
        check(set(got) == {"ok", 429}, "results: %r", got)
        check_eq(s.queue_len("net"), 0, "jobs left in the queue")
        check_eq(results(batch(s, item("/a"))), ["ok"])


def test_request_keeps_its_connection(s):
    with s.conn() as c:
        for n in (1, 3):
            r = c.request("POST", "/screenshot",
                          body_of(*[item("/a")] * n))
            check_eq(len(check_answer(r).json()["lists"]), n)
        check_eq(c.request("GET", "/health?live").status, 200)


def test_pipelined_behind_it(s):
    with s.conn() as c:
        c.send(httpc.build("POST", "/screenshot",
                           body_of(item("/sleep/200"), item("/a"))) +
               httpc.build("GET", "/health?live"))
        check_eq(len(check_answer(c.response("POST")).json()["lists"]), 2)
        check_answer(c.response("GET"))


def test_reqid_and_log(s):
    r = s.request("POST", "/screenshot", body_of(item("/fail"), item("/a")),
                  [("X-Reqid", "batch-of-two")])
    check_answer(r)
    check_eq(r.header("x-reqid"), "batch-of-two")
    wait_until(lambda: "batch id=batch-of-two items=2 failed=1 status=502"
               in s.front.output(), 2, "the front tells of the failure")
    wait_until(lambda: "batch-of-two-1" in s.worker.output(), 2,
               "the worker tells which item it was")


def number(s, name):
    for line in s.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    return 0


def test_metrics_count_items(s):
    name = 'ufop_job_seconds_count{task="screenshot.store"}'
    before = number(s, name)
    batch(s, *[item("/a")] * 7)
    check_eq(number(s, name) - before, 7, "jobs counted")
    check_eq(number(s, "ufop_requests_inflight"), 1, "requests in hand")


# ---- what is refused ---------------------------------------------------


def test_bodies_that_are_none(s):
    cases = [
        (b"", "body"),
        (b"nonsense", "not JSON"),
        (b'{"lists":[', "not JSON"),
        (b'{"lists":[{"url":"http://a\xff"}]}', "not JSON"),
        (b'["http://pages.test/"]', '"lists"'),
        (b'{"list":[]}', '"lists"'),
        (b'{"lists":{"url":"http://pages.test/"}}', "array"),
        (b'{"lists":null}', "array"),
        (b'{"lists":[]}', "empty"),
        (body_of(item("/a"), "http://pages.test/"), "lists[1]"),
        (body_of(item("/a"), item("/b"), {"cut": "1,1,0,0"}), "lists[2]"),
        (body_of({"url": 1}), "lists[0]"),
    ]
    for cut in ("", "1,2,3", "1,2,3,4,5", "0,1,0,0", "1,0,0,0", "-1,1,0,0",
                "1,1,-1,0", "30001,1,0,0", "a,b,c,d", "1,1,0,", " 1,1,0,0",
                "1,1,0,0/full/1", [1, 1, 0, 0], 1, None):
        cases.append((body_of(item("/a"), {"url": HOST, "cut": cut}),
                      ("cut of lists[1]",)))
    for body, word in cases:
        check_error(send(s, body), 400, word)
    s.check_works()


def test_too_many_items():
    with own_stack(front__batch_max=3) as s:
        check_eq(results(batch(s, *[item("/a")] * 3)), ["ok"] * 3)
        check_error(send(s, body_of(*[item("/a")] * 4)), 413, "4 items",
                    "front.batch_max")


def test_thousand_items_where_they_are_allowed():
    with own_stack(front__batch_max=1000) as s:
        got = batch(s, *[item("/%d" % i, "%d,1,0,0" % (i + 1))
                         if i % 100 else item("/fail") for i in range(1000)])
        check_eq(results(got), [502 if i % 100 == 0 else "ok"
                                for i in range(1000)])
        check_eq([one["path"] for one in got if "path" in one],
                 ["/screenshot-store/cut/%d,1,0,0" % (i + 1)
                  for i in range(1000) if i % 100])


def test_thousand_items(s):
    check_error(send(s, body_of(*[item("/a")] * 1000)), 413, "1000 items",
                "front.batch_max")
    s.check_works()


def test_large_body(s):
    """Beyond what stays in memory, and up to the limit."""
    body = body_of(item("/a"), item("/b"))
    for size in (60000, BODY_MAX):
        r = send(s, body + b" " * (size - len(body)))
        check_eq(len(check_answer(r).json()["lists"]), 2)
    check_error(send(s, body + b" " * BODY_MAX), 413, str(BODY_MAX))
    check_eq(s.spool_bytes(), 0, "bytes in the spool")


def test_large_body_in_chunks(s):
    chunks = [("Transfer-Encoding", "chunked")]
    body = body_of(item("/a")) + b" " * 50000
    r = s.request("POST", "/screenshot", httpc.chunked(body), chunks)
    check_eq(results(check_answer(r).json()["lists"]), ["ok"])
    r = s.request("POST", "/screenshot",
                  httpc.chunked(body + b" " * BODY_MAX, 65536), chunks)
    check_error(r, 413, str(BODY_MAX))


def test_deep_body(s):
    check_error(send(s, b'{"lists":' + b"[" * 200000), 400, "not JSON")


def test_other_methods(s):
    for method in ("GET", "PUT", "DELETE"):
        r = s.request(method, "/screenshot")
        check_error(r, 405, "POST")
        check_eq(r.header("allow"), "POST")
    check_eq(s.request("HEAD", "/screenshot").status, 405)


def test_service_that_is_off():
    with own_stack(services="debug") as s:
        check_error(send(s, body_of(item("/a"))), 404, "screenshot",
                    "ufop.services")
        s.check_works()


def test_service_that_comes_too_late():
    with own_stack(services="%s %s" % (service("greedy_service"),
                                       service())) as s:
        got = batch(s, item("/a"))
        check_eq(results(got), [500])
        check("ufop.services" in got[0]["error"], "error: %r", got[0])


def test_no_worker_serves_the_pool():
    with own_stack(workers=0) as s:
        wait_until(lambda: "no live worker" in s.get("/health").text, 5,
                   "the front knows that there is no worker")
        check_error(send(s, body_of(item("/a"))), 503, "net")


def test_no_redis():
    with own_stack() as s:
        s.redis.kill()
        wait_until(lambda: s.get("/health").status == 503, 5,
                   "the front knows that Redis is away")
        check_error(send(s, body_of(item("/a"), item("/b"))), 503, "Redis")
        s.redis.start()
        s.wait_healthy()
        check_eq(results(batch(s, item("/a"))), ["ok"])


# ---- who leaves --------------------------------------------------------


def test_client_that_leaves():
    with own_stack(children=1) as s:
        with s.conn() as c:
            c.ask("POST", "/screenshot",
                  body_of(*[item("/sleep/1500")] * 5))
            wait_until(lambda: s.queue_len("net") == 4, 5, "four jobs wait")
            c.abort()
        # Long before the one that runs is done.
        wait_until(lambda: s.queue_len("net") == 0, 1,
                   "those that waited are taken back")
        check_eq(s.running_len(), 1, "jobs that run")
        wait_until(lambda: s.running_len() == 0, 5, "the running one ends")
        check_eq(results(batch(s, item("/a"))), ["ok"])


def test_client_that_leaves_mid_upload(s):
    body = body_of(*[item("/a")] * 50)
    with s.conn() as c:
        c.send(httpc.build("POST", "/screenshot", body[:100],
                           [("Content-Length", str(len(body)))]))
        c.abort()
    wait_until(lambda: number(s, "ufop_requests_inflight") == 1, 5,
               "the request is forgotten")


def test_front_finishes_before_it_ends():
    with own_stack(children=2) as s:
        r = Background(send, s, body_of(*[item("/sleep/400")] * 4))
        wait_until(lambda: s.running_len() >= 2, 5, "jobs run")
        check_eq(s.front.terminate(), 0, "exit status of the front")
        check_eq(r.result().json()["result"], "ok")


def test_worker_that_is_killed():
    """Another takes the jobs over."""
    with own_stack(workers=2, children=1, queue__lease="1s") as s:
        r = Background(send, s, body_of(*[item("/sleep/700")] * 4))
        wait_until(lambda: s.running_len() >= 2, 5, "jobs run")
        s.worker.kill_all()
        s.worker.ended = True
        check_eq(results(check_answer(r.result()).json()["lists"]),
                 ["ok"] * 4)


# ---- the scribe log ----------------------------------------------------


class Scribe:
    """A stack whose log has a directory of its own."""

    def __init__(self, **settings):
        self.dir = tempfile.TemporaryDirectory()
        self.path = self.dir.name + "/scribe.log"
        self.stack = own_stack(screenshot__scribe_log=self.path, **settings)

    def __enter__(self):
        self.stack.__enter__()
        return self.stack, self.path

    def __exit__(self, *what):
        self.stack.__exit__(*what)
        self.dir.cleanup()


def check_scribe(path, urls):
    """Exactly one line each, in whatever order they ended."""
    lines = test_screenshot.scribe_lines(path)
    check_eq(sorted(n[5] for n in lines), sorted(urls), "urls in the log")
    return {n[5]: float(n[3]) for n in lines}


def urls_of(*items):
    return [it["url"] for it in items]


def kill_children(worker):
    """Those that run jobs."""
    table = processes()
    for pid in worker.children():
        if table[pid][2] != "ufop-fetch":
            kill_quietly(pid)


def test_scribe_has_one_line_for_each_item():
    with Scribe(ufop__timeout="2s") as (s, path):
        items = [item("/a"), item("/a"), item("/fail"), item("/crash"),
                 item("/sleep/9000"), item("/sleep/300"), item("/mute"),
                 item("/big"), {"url": "ftp://pages.test/"}, item("/a b")]
        got = batch(s, *items)
        check_eq(results(got), ["ok", "ok", 502, 500, 504, "ok", 503, 500,
                                400, 400])
        took = check_scribe(path, urls_of(*items))
        check(0.3 <= took[HOST + "/sleep/300"] < 2, "in the child: %r", took)
        check(took[HOST + "/sleep/9000"] >= 2, "in all: %r", took)
        check_eq(took["ftp://pages.test/"], 0, "seconds of what was refused")


def test_scribe_of_items_that_no_worker_takes():
    with Scribe(workers=0) as (s, path):
        wait_until(lambda: "no live worker" in s.get("/health").text, 5,
                   "the front knows that there is no worker")
        items = [item("/a"), item("/b"), item("/b")]
        check_error(send(s, body_of(*items)), 503, "net")
        check_eq(set(check_scribe(path, urls_of(*items)).values()), {0.0})


def test_scribe_of_items_that_time_out_in_the_queue():
    with Scribe(children=1, ufop__timeout="1s") as (s, path):
        items = [item("/sleep/9000")] + [item("/%d" % i) for i in range(3)]
        check_eq(results(batch(s, *items)), [504] * 4)
        check_scribe(path, urls_of(*items))


def test_scribe_of_items_for_which_the_queue_is_full():
    with Scribe(children=1, queue__max_queue=1) as (s, path):
        items = [item("/sleep/%d" % (200 + i)) for i in range(6)]
        check(429 in results(batch(s, *items)), "no item was refused")
        check_scribe(path, urls_of(*items))


def test_scribe_of_an_item_whose_child_is_killed():
    """Once: it is run again.  Twice: it is not."""
    with Scribe(children=1, ufop__timeout="10s") as (s, path):
        for kills, want, url in ((1, "ok", "/sleep/900"),
                                 (2, 500, "/sleep/901")):
            begun = s.worker.output().count("msg=asleep")
            r = Background(batch, s, item(url))
            for n in range(kills):
                wait_until(lambda: s.worker.output().count("msg=asleep") >
                           begun + n, 5, "a child runs it")
                kill_children(s.worker)
            check_eq(results(r.result()), [want])
        check_scribe(path, [HOST + "/sleep/900", HOST + "/sleep/901"])


def test_scribe_of_an_answer_that_comes_too_late():
    """The handler is done with it, the front is told when it has given up."""
    with Scribe(children=1, ufop__timeout="1s") as (s, path):
        r = Background(batch, s, item("/sleep/300"))
        wait_until(lambda: s.running_len() == 1, 5, "the job is taken")
        s.worker.signal(signal.SIGSTOP)
        check_eq(results(r.result()), [504])
        check_scribe(path, [HOST + "/sleep/300"])
        s.worker.signal(signal.SIGCONT)
        wait_until(lambda: s.running_len() == 0, 5, "the job is settled")
        check_eq(results(batch(s, item("/a"))), ["ok"])
        check_scribe(path, [HOST + "/sleep/300", HOST + "/a"])


def test_scribe_of_a_worker_that_is_killed():
    with Scribe(workers=2, children=1, queue__lease="1s") as (s, path):
        items = [item("/sleep/%d" % (700 + i)) for i in range(4)]
        r = Background(batch, s, *items)
        wait_until(lambda: s.running_len() >= 2, 5, "jobs run")
        s.worker.kill_all()
        s.worker.ended = True
        check_eq(results(r.result()), ["ok"] * 4)
        check_scribe(path, urls_of(*items))


def test_scribe_of_a_client_that_leaves():
    with Scribe(children=1) as (s, path):
        items = [item("/sleep/%d" % (700 + i)) for i in range(3)]
        with s.conn() as c:
            c.ask("POST", "/screenshot", body_of(*items))
            wait_until(lambda: s.queue_len("net") == 2, 5, "two jobs wait")
            c.abort()
        wait_until(lambda: s.running_len() == 0, 5, "the running one ends")
        check_eq(results(batch(s, item("/a"))), ["ok"])
        check_scribe(path, urls_of(*items) + [HOST + "/a"])


def test_scribe_of_a_front_that_is_stopped():
    """Twice told, it waits for nothing."""
    with Scribe(children=1) as (s, path):
        items = [item("/sleep/%d" % (2000 + i)) for i in range(3)]
        with s.conn() as c:
            c.ask("POST", "/screenshot", body_of(*items))
            wait_until(lambda: s.running_len() == 1, 5, "a job runs")
            s.front.ended = True

            def told():
                for pid in [s.front.pid] + s.front.kore_workers():
                    kill_quietly(pid, signal.SIGTERM)
                return not s.front.running
            wait_until(told, 5, "the front ends", 0.2)
            check_scribe(path, urls_of(*items))
        wait_until(lambda: s.running_len() == 0, 5, "the running one ends")
        # Nobody reads that answer; it would go by itself.
        for key in s.redis("KEYS", "*:reply:*"):
            s.redis("DEL", key)


def test_scribe_has_no_line_for_a_list_that_is_refused():
    with Scribe(front__batch_max=2) as (s, path):
        check_error(send(s, body_of(item("/a"), {"cut": "1,1,0,0"})), 400)
        check_error(send(s, body_of(*[item("/a")] * 3)), 413)
        check_error(send(s, b"nonsense"), 400)
        check_eq(results(batch(s, item("/b"))), ["ok"])
        check_scribe(path, [HOST + "/b"])


def test_scribe_log_may_be_renamed():
    with Scribe() as (s, path):
        batch(s, item("/a"))
        os.rename(path, path + ".1")
        batch(s, item("/b"))
        check_scribe(path, [HOST + "/b"])
        check_scribe(path + ".1", [HOST + "/a"])


def test_scribe_log_of_several_processes():
    with Scribe(front__workers=2) as (s, path):
        items = [item("/%d" % i) for i in range(50)]
        asked = [Background(batch, s, *items) for _ in range(4)]
        for r in asked:
            r.result()
        check_scribe(path, urls_of(*items) * 4)


def test_scribe_log_that_cannot_be_written():
    s = own_stack(screenshot__scribe_log="/nowhere/scribe.log")
    try:
        s.front.start()
    except AssertionError as e:
        check("ended with 78" in str(e) and
              "screenshot.scribe_log = '/nowhere/scribe.log': the front "
              "cannot write to it: No such file" in str(e), "it says: %s", e)
    else:
        raise AssertionError("the front has started")
    finally:
        s.kill()


# ---- a real browser ----------------------------------------------------


def test_pictures_by_chromium():
    test_screenshot.need_chromium()
    with tempfile.TemporaryDirectory() as d, test_screenshot.Site({
            "/red": "<body style='background:#f00'>",
            "/blue": "<body style='background:#00f'>",
            "/broken": (500, {}, b"broken")}) as site, own_stack(
                services="images screenshot debug", children=2,
                worker__child_user="nobody", fetch__allow="127.0.0.1",
                screenshot__dir=d + "/pictures",
                screenshot__scribe_log=d + "/scribe.log") as s:
        urls = [site.url(p) for p in ("/red", "/broken", "/blue")]
        r = send(s, body_of({"url": urls[0], "cut": "30,20,0,0"},
                            {"url": urls[1], "cut": "30,20,0,0"},
                            {"url": urls[2], "cut": "40,50,10,0"}))
        got = check_answer(r, 200, "application/json").json()
        check_eq(got["result"], "error")
        check_eq(results(got["lists"]), ["ok", 502, "ok"])
        for url, one, size in zip(urls, got["lists"],
                                  [(30, 20), None, (40, 50)]):
            name = hashlib.md5(url.encode()).hexdigest()
            path = "%s/pictures/%s/%s.png" % (d, name[:2], name)
            check_eq(one["url"], url)
            check_eq(os.path.exists(path), size is not None, path)
            if size is None:
                continue
            check_eq(one["path"], path)
            with open(path, "rb") as f:
                data = f.read()
            check_eq(one["bytes"], len(data))
            check_eq(pictures.size_of(data), ("png",) + size)
        check_scribe(d + "/scribe.log", urls)
