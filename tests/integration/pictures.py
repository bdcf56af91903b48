# SPDX-License-Identifier: MIT
"""
Pictures made for the tests, whole and broken, and a reader of sizes.

PNG and BMP are written here; photographs (JPEG) are the ones in tests/data.
"""

import random
import struct
import zlib


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + \
        struct.pack(">I", zlib.crc32(kind + data))


def png(w, h, alpha=False, seed=1):
    """w x h pixels of a gradient with some noise, so that it has a size."""
    rng = random.Random(seed)
    noise = rng.randbytes(w * h)
    rows = bytearray()
    for y in range(h):
        rows.append(0)
        for x in range(w):
            n = noise[y * w + x] & 15
            rows += bytes(((x * 240 // w) + n, (y * 240 // h) + n, 128 + n))
            if alpha:
                rows.append(0 if x < w // 2 else 255)
    head = struct.pack(">IIBBBBB", w, h, 8, 6 if alpha else 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + \
        _chunk(b"IDAT", zlib.compress(bytes(rows), 1)) + _chunk(b"IEND", b"")


def png_flat(w, h, rgb):
    """w x h pixels of one colour: cheap to make at any size."""
    row = b"\0" + bytes(rgb) * w
    z = zlib.compressobj(1)
    data = b"".join(z.compress(row) for _ in range(h)) + z.flush()
    head = struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + \
        _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def png_bomb(w, h, size):
    """About size bytes that say they unpack to w x h pixels."""
    z = zlib.compressobj(9)
    data = b""
    zeros = bytes(1 << 20)
    while len(data) < size:
        data += z.compress(zeros)
    head = struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + \
        _chunk(b"IDAT", data[:size]) + _chunk(b"IEND", b"")


def bmp(w, h, rgb=(200, 100, 50)):
    row = bytes(reversed(rgb)) * w
    row += bytes(-len(row) % 4)
    data = row * h
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54) + \
        struct.pack("<IiiHHIIiiII", 40, w, h, 1, 24, 0, len(data), 2835, 2835,
                    0, 0) + data


def size_of(data):
    """(format, width, height) from the header, or None."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return ("png",) + struct.unpack(">II", data[16:24])
    if data[:2] == b"BM":
        w, h = struct.unpack("<ii", data[18:26])
        return ("bmp", w, abs(h))
    if data[:2] == b"\xff\xd8":
        at = 2
        while at + 9 < len(data):
            if data[at] != 0xff:
                return None
            marker = data[at + 1]
            if marker == 0xff:
                at += 1
                continue
            if 0xc0 <= marker <= 0xcf and marker not in (0xc4, 0xc8, 0xcc):
                h, w = struct.unpack(">HH", data[at + 5:at + 9])
                return ("jpg", w, h)
            at += 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
    return None


def png_pixels(data):
    """Rows of (r, g, b[, a]) of an 8-bit, not interlaced RGB(A) PNG."""
    w, h, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB",
                                                        data[16:29])
    n = {2: 3, 6: 4}.get(colour)
    if depth != 8 or n is None or interlace:
        raise ValueError("depth %d colour %d interlace %d" %
                         (depth, colour, interlace))
    at, packed = 8, b""
    while at < len(data):
        length, = struct.unpack(">I", data[at:at + 4])
        if data[at + 4:at + 8] == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    raw = zlib.decompress(packed)
    stride, rows, prev = w * n, [], bytes(w * n)
    for y in range(h):
        kind = raw[y * (stride + 1)]
        line = bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            a = line[i - n] if i >= n else 0
            b = prev[i]
            c = prev[i - n] if i >= n else 0
            if kind == 1:
                line[i] = line[i] + a & 255
            elif kind == 2:
                line[i] = line[i] + b & 255
            elif kind == 3:
                line[i] = line[i] + (a + b) // 2 & 255
            elif kind == 4:
                pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
                p = a if pa <= pb and pa <= pc else b if pb <= pc else c
                line[i] = line[i] + p & 255
        rows.append([tuple(line[i:i + n]) for i in range(0, stride, n)])
        prev = bytes(line)
    return rows


def orientation_block(orientation):
    """EXIF data that says only how a picture is to be turned."""
    return b"II*\0" + struct.pack("<IH", 8, 1) + \
        struct.pack("<HHII", 0x0112, 3, 1, orientation) + struct.pack("<I", 0)


def with_orientation(jpeg, orientation):
    """The JPEG with an EXIF block in front that says how it is to be turned."""
    body = b"Exif\0\0" + orientation_block(orientation)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + \
        jpeg[2:]


def flipped(data, seed, flips=8):
    """data with some bits turned over, the same ones for the same seed."""
    rng = random.Random(seed)
    out = bytearray(data)
    for _ in range(flips):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def gif_flat(w, h, frames=1):
    """One colour, in runs that are longer by one each."""
    bits, left = "", w * h
    while left > 0:
        # Codes of 3 to 12 bits, written from the last bit on: clear, a pixel,
        # and then what is just learnt.
        codes = ["100" if not bits else "000000000100", "000"]
        codes += [format(code, "0%db" % max(3, code.bit_length()))
                  for code in range(6, 4095)]
        left -= sum(range(1, 4095 - 6 + 2))
        bits = "".join(reversed(codes)) + bits
    data = int(bits, 2).to_bytes(len(bits) // 8 + 1, "little")
    frame = b"," + struct.pack("<HHHHBB", 0, 0, w, h, 0, 2) + b"".join(
        bytes((len(data[i:i + 255]),)) + data[i:i + 255]
        for i in range(0, len(data), 255)) + b"\0"
    return b"GIF89a" + struct.pack("<HHBBB", w, h, 0x80, 0, 0) + bytes(6) + \
        frames * frame + b";"
