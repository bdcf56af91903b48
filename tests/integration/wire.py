# SPDX-License-Identifier: MIT
"""
The two messages of docs/protocol.txt, written down a second time from that
page alone: where this and lib/job.c disagree, one of them or the page is wrong.
"""

import dataclasses
import struct

JOB_FIXED = struct.Struct("<2sBBBBBBqqQQQHHHHII")
REPLY_FIXED = struct.Struct("<2sBBHHQQIIIIII")
STAGE = struct.Struct("<HHI")
ARG = struct.Struct("<HHI")
HEADER = struct.Struct("<HH")

NONE, INLINE, SPOOL, KEY = range(4)
TAKES_URL, NOBODY_WAITS = 1, 2


class _Cursor:
    def __init__(self, data, at):
        self.data, self.at = data, at

    def take(self, n):
        if self.at + n > len(self.data):
            raise ValueError("message ends %d bytes too soon" %
                             (self.at + n - len(self.data)))
        self.at += n
        return self.data[self.at - n:self.at]

    def unpack(self, shape):
        return shape.unpack(self.take(shape.size))

    def end(self):
        if self.at != len(self.data):
            raise ValueError("%d bytes behind the message's end" %
                             (len(self.data) - self.at))


@dataclasses.dataclass
class Stage:
    task: bytes
    cmd: bytes
    args: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Job:
    stages: list
    web: bytes
    deadline_ms: int
    id: bytes = b"protocol-test"
    pool: bytes = b"cpu"
    body: int = NONE
    ref: bytes = b""
    body_len: int = 0
    deaths: int = 0
    retries: int = 0
    flags: int = 0
    queued_us: int = 0
    tag: int = 4711
    spool_id: int = 0
    type: bytes = b""
    accept: bytes = b""
    url: bytes = b""
    version: int = 1

    def encode(self):
        out = [JOB_FIXED.pack(
            b"J" + bytes([self.version]), self.deaths, self.retries,
            self.flags, self.body, len(self.pool), len(self.stages),
            self.deadline_ms, self.queued_us, self.tag, self.body_len,
            self.spool_id, len(self.id), len(self.web), len(self.type),
            len(self.accept), len(self.url), len(self.ref)),
            self.pool, self.id, self.web, self.type, self.accept, self.url]
        for s in self.stages:
            out += [STAGE.pack(len(s.task), len(s.args), len(s.cmd)), s.task,
                    s.cmd]
            for name, value in s.args.items():
                out += [ARG.pack(len(name), 0, len(value)), name, value]
        return b"".join(out + [self.ref])

    @staticmethod
    def decode(data):
        c = _Cursor(data, 0)
        (magic, deaths, retries, flags, body, pool, nstages, deadline, queued,
         tag, body_len, spool, id_, web, type_, accept, url, ref) = \
            c.unpack(JOB_FIXED)
        if magic != b"J\x01":
            raise ValueError("not a job of version 1: %r" % magic)
        job = Job([], b"", deadline, deaths=deaths, retries=retries,
                  flags=flags, body=body, body_len=body_len, spool_id=spool,
                  tag=tag, queued_us=queued)
        job.pool, job.id, job.web, job.type, job.accept, job.url = (
            c.take(n) for n in (pool, id_, web, type_, accept, url))
        for _ in range(nstages):
            task, nargs, cmd = c.unpack(STAGE)
            stage = Stage(c.take(task), c.take(cmd))
            for _ in range(nargs):
                name, zero, value = c.unpack(ARG)
                if zero:
                    raise ValueError("a reserved field is %d" % zero)
                name = c.take(name)
                stage.args[name] = c.take(value)
            job.stages.append(stage)
        job.ref = c.take(ref)
        c.end()
        return job


@dataclasses.dataclass
class Reply:
    status: int
    tag: int
    body: int
    body_len: int
    held_us: int
    run_us: int
    type: bytes
    log: bytes
    headers: list
    ref: bytes

    def encode(self):
        out = [REPLY_FIXED.pack(
            b"R\x01", self.body, len(self.headers), self.status, 0, self.tag,
            self.body_len, self.held_us, self.run_us, len(self.type),
            len(self.log), len(self.ref), 0), self.type, self.log]
        for name, value in self.headers:
            out += [HEADER.pack(len(name), len(value)), name, value]
        return b"".join(out + [self.ref])

    @staticmethod
    def decode(data):
        c = _Cursor(data, 0)
        (magic, body, nheaders, status, zero, tag, body_len, held, run,
         type_, log, ref, zero2) = c.unpack(REPLY_FIXED)
        if magic != b"R\x01":
            raise ValueError("not a reply of version 1: %r" % magic)
        if zero or zero2:
            raise ValueError("a reserved field is not 0")
        type_, log = c.take(type_), c.take(log)
        headers = []
        for _ in range(nheaders):
            name, value = c.unpack(HEADER)
            headers.append((c.take(name), c.take(value)))
        reply = Reply(status, tag, body, body_len, held, run, type_, log,
                      headers, c.take(ref))
        c.end()
        return reply
