# SPDX-License-Identifier: MIT
"""
A stand-in for the servers that url= names: one loopback port whose paths
behave well and badly.  Every request is noted, so that a test can also show
that somebody was never asked.
"""

import socket
import threading


class Source:
    """
    /ok            the bytes given as content, type image/png
    /text?X        the text X
    /echo-headers  the request's own header as text
    /404 /500      that status
    /hang          takes the request and never answers
    /redirect?U    302 to U
    /endless       bytes without end and without a length
    /huge          says Content-Length: 1 TB, then bytes without end
    /truncated     says more bytes than it sends
    /garbage       no HTTP at all
    """

    def __init__(self, content, host="127.0.0.1"):
        self.content = content
        self.host = host
        self.listener = socket.create_server((host, 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.hits = []              # paths asked for
        self.open = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def url(self, path):
        return "http://%s:%d%s" % (self.host, self.port, path)

    def close(self):
        self.stopping.set()
        # accept() does not wake for close(), but it does for shutdown().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in list(self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.thread.join(5)

    def _accept(self):
        while not self.stopping.is_set():
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(s)
            threading.Thread(target=self._serve, args=(s,),
                             daemon=True).start()

    def _serve(self, s):
        try:
            with s:
                self._answer(s)
        except OSError:
            pass
        finally:
            self.open.remove(s)

    def _answer(self, s):
        head = b""
        while b"\r\n\r\n" not in head:
            data = s.recv(65536)
            if not data:
                return
            head += data
        target = head.split(b" ", 2)[1].decode()
        path, _, query = target.partition("?")
        self.hits.append(path)
        if path == "/ok":
            self._send(s, 200, self.content, "image/png")
        elif path == "/text":
            self._send(s, 200, query.encode(), "text/plain")
        elif path == "/echo-headers":
            self._send(s, 200, head, "text/plain")
        elif path in ("/404", "/500"):
            self._send(s, int(path[1:]), b"no", "text/plain")
        elif path == "/hang":
            s.recv(1)               # until the client gives up
        elif path == "/redirect":
            s.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + query.encode() +
                      b"\r\nContent-Length: 0\r\n\r\n")
        elif path in ("/endless", "/huge"):
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n" +
                      (b"Content-Length: 1099511627776\r\n"
                       if path == "/huge" else b"Connection: close\r\n") +
                      b"\r\n")
            while not self.stopping.is_set():
                s.sendall(bytes(65536))
        elif path == "/truncated":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" %
                      (len(self.content) + 1000) + self.content)
        elif path == "/garbage":
            s.sendall(b"\0\1\2 this is not HTTP\r\n\r\n")
        else:
            self._send(s, 404, b"no such path", "text/plain")

    @staticmethod
    def _send(s, status, body, kind):
        s.sendall(b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d"
                  b"\r\nConnection: close\r\n\r\n" %
                  (status, kind.encode(), len(body)) + body)
