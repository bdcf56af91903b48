# SPDX-License-Identifier: MIT
"""
HTTP/1.1 over a bare socket.

The tests have to send what a decent client library refuses to: half a header,
a body that stops, two requests in one packet.  So a request is bytes, sent
when the test says so, and a response is read strictly: whatever is malformed
in it is an error of the server.
"""

import json
import socket
import time
import urllib.parse


class HttpError(Exception):
    """The peer closed, was silent too long, or sent what is not HTTP."""


class Response:
    def __init__(self, status, reason, headers, body):
        self.status = status
        self.reason = reason
        self.headers = headers      # list of (name, value), as they came
        self.body = body
        self.took_s = 0.0           # from the request's last byte, by request()

    def header(self, name, fallback=None):
        for n, v in self.headers:
            if n.lower() == name.lower():
                return v
        return fallback

    @property
    def type(self):
        return self.header("content-type", "").split(";")[0].strip()

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "<%d %r %r>" % (self.status, self.type, self.body[:200])


def cmd_target(cmd=None, url=None, path="/handler"):
    """The request target for a cmd (and url) that is not encoded yet."""
    query = []
    if cmd is not None:
        query.append("cmd=" + urllib.parse.quote(cmd, safe="/,:@!"))
    if url is not None:
        query.append("url=" + urllib.parse.quote(url, safe=""))
    return path + ("?" + "&".join(query) if query else "")


def build(method, target, body=None, headers=(), host="127.0.0.1"):
    """The bytes of a request; Content-Length is added when body is bytes."""
    lines = ["%s %s HTTP/1.1" % (method, target)]
    names = [n.lower() for n, _ in headers]
    if "host" not in names:
        lines.append("Host: " + host)
    if body is not None and "content-length" not in names and \
            "transfer-encoding" not in names:
        lines.append("Content-Length: %d" % len(body))
    for name, value in headers:
        lines.append("%s: %s" % (name, value))
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode("latin-1") + (body or b"")


def chunked(body, size=1000):
    """body in the chunked coding, in pieces of size bytes."""
    out = []
    for at in range(0, len(body), size):
        piece = body[at:at + size]
        out.append(b"%x\r\n%s\r\n" % (len(piece), piece))
    out.append(b"0\r\n\r\n")
    return b"".join(out)


class Conn:
    """One connection; a context manager that closes it."""

    def __init__(self, port, host="127.0.0.1", timeout_s=20):
        self.timeout_s = timeout_s
        self.sock = socket.create_connection((host, port), timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.have = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def abort(self):
        """Close with a reset, as a client does that dies."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def ask(self, method, target, body=None, headers=()):
        self.send(build(method, target, body, headers))

    def request(self, method, target, body=None, headers=()):
        self.ask(method, target, body, headers)
        began = time.monotonic()
        response = self.response(method)
        response.took_s = time.monotonic() - began
        return response

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise HttpError("no answer in %g s; so far %r" %
                            (self.timeout_s, self.have[:200]))
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(262144)
        except TimeoutError:
            raise HttpError("no answer in %g s; so far %r" %
                            (self.timeout_s, self.have[:200])) from None
        except ConnectionError as e:
            raise HttpError("connection lost (%s); so far %r" %
                            (e, self.have[:200])) from None
        if not data:
            raise HttpError("closed without an answer; so far %r" %
                            self.have[:200])
        self.have += data

    def _line(self, deadline):
        while b"\r\n" not in self.have:
            self._fill(deadline)
        line, self.have = self.have.split(b"\r\n", 1)
        return line

    def _take(self, n, deadline):
        pieces, got = [], 0
        while got < n:
            if not self.have:
                self._fill(deadline)
            piece = self.have[:n - got]
            self.have = self.have[len(piece):]
            pieces.append(piece)
            got += len(piece)
        return b"".join(pieces)

    def response(self, method="GET", timeout_s=None):
        """The next response, also a 1xx; method matters only for HEAD."""
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        line = self._line(deadline)
        parts = line.split(b" ", 2)
        if len(parts) < 2 or parts[0] != b"HTTP/1.1" or len(parts[1]) != 3:
            raise HttpError("not a status line: %r" % line[:200])
        status = int(parts[1])
        reason = parts[2].decode() if len(parts) == 3 else ""
        headers = []
        while True:
            line = self._line(deadline)
            if not line:
                break
            name, sep, value = line.decode("latin-1").partition(":")
            if not sep or not name or name != name.strip():
                raise HttpError("not a header line: %r" % line[:200])
            headers.append((name, value.strip()))
        response = Response(status, reason, headers, b"")
        length = response.header("content-length")
        if method == "HEAD" or status < 200 or status in (204, 304):
            return response
        if response.header("transfer-encoding", "").lower() == "chunked":
            pieces = []
            while True:
                size = int(self._line(deadline).split(b";")[0], 16)
                pieces.append(self._take(size, deadline))
                end = self._line(deadline)
                if end:
                    raise HttpError("chunk does not end in CRLF: %r" % end)
                if size == 0:
                    break
            response.body = b"".join(pieces)
        elif length is not None:
            response.body = self._take(int(length), deadline)
        else:
            raise HttpError("response has no length: %r" % headers)
        return response

    def silent(self, for_s=0.2):
        """Whether nothing more comes for a while (closing is nothing)."""
        if self.have:
            return False
        self.sock.settimeout(for_s)
        try:
            return self.sock.recv(1) == b""
        except TimeoutError:
            return True
        except ConnectionError:
            return True

    def is_closed(self, within_s=5):
        """Whether the peer closes, having sent nothing more."""
        if self.have:
            return False
        self.sock.settimeout(within_s)
        try:
            return self.sock.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True
