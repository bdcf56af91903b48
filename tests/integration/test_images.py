# SPDX-License-Identifier: MIT
"""The picture handlers over HTTP, with good pictures and with broken ones."""

import os
import random
import re
import struct
import subprocess
import sys
import time
import zlib

import harness
import heif
import httpc
import pictures
from harness import Stack, check, check_answer, check_eq, check_error, data, \
    photo


def stack():
    # Without debug, whose echo would take what no picture handler takes.
    return Stack(services="images")


def size(r):
    found = pictures.size_of(check_answer(r).body)
    check(found, "not a picture: %r", r)
    return found[1:]


def test_thumbnail_fits_inside_the_box(s):
    picture = pictures.png(300, 200)
    for cmd, want in (("w/150/h/150", (150, 100)), ("w/150", (150, 100)),
                      ("h/50", (75, 50)), ("w/30/h/200", (30, 20)),
                      ("w/299/h/199", (299, 199)), ("w/1/h/1", (1, 1))):
        check_eq(size(s.post("q/thumbnail/" + cmd, picture)), want, cmd)


def test_thumbnail_never_enlarges(s):
    picture = pictures.png(30, 20)
    for cmd in ("w/60", "h/60", "w/600/h/600", "w/30/h/20"):
        check_eq(size(s.post("q/thumbnail/" + cmd, picture)), (30, 20), cmd)


def test_thumbnail_of_a_photograph(s):
    p = photo()
    _, w, h = pictures.size_of(p)
    r = s.post("q/thumbnail/w/100/h/100", p,
               headers=[("Content-Type", "image/jpeg")])
    check_eq(check_answer(r).type, "image/jpeg")
    got = size(r)
    check(max(got) == 100, "%dx%d became %r", w, h, got)
    check(abs(got[0] * h - got[1] * w) <= max(w, h),
          "%dx%d became %r: other proportions", w, h, got)


def test_thumbnail_in_each_format(s):
    picture = pictures.png(64, 48)
    for name, kind in (("jpg", "image/jpeg"), ("png", "image/png"),
                       ("bmp", "image/bmp"), ("tga", None)):
        r = check_answer(s.post("q/thumbnail/w/32/format/" + name, picture))
        if kind:
            check_eq(r.type, kind)
            check_eq(size(r), (32, 24), name)
        else:
            check_eq(r.body[12:16], b"\x20\0\x18\0", "size in the TGA")


def test_thumbnail_quality_changes_the_size(s):
    p = photo()
    sizes = [len(check_answer(s.post("q/thumbnail/w/200/q/%d/format/jpg" % q,
                                     p)).body) for q in (10, 50, 95)]
    check(sizes[0] < sizes[1] < sizes[2], "bytes by quality: %r", sizes)


def test_crop_cuts_width_height_x_y(s):
    # Left half black and right half white tell where the cut was made.
    rows = pictures.png_flat(10, 10, (0, 0, 0))
    check_eq(size(s.post("q/crop/4,3,2,5", rows)), (4, 3))
    picture = pictures.png(64, 64)
    r = check_answer(s.post("q/crop/8,4,40,20", picture))
    check_eq(pictures.size_of(r.body), ("png", 8, 4))
    want = [row[40:48] for row in pictures.png_pixels(picture)[20:24]]
    got = [[p[:3] for p in row] for row in pictures.png_pixels(r.body)]
    check_eq(got, want, "pixels of the cut")


def test_crop_with_the_six_fields_cuts_then_scales(s):
    picture = pictures.png(200, 100)
    r = s.post("q/crop/clip/100x80/at/20,10/thumb/50x40", picture)
    check_eq(size(r), (50, 40))
    r = s.post("q/crop/clip/100x80/at/20,10", picture)
    check_eq(size(r), (100, 80))


def test_image_info(s):
    r = check_answer(s.post("q/imageInfo", pictures.png(31, 17)), 200,
                     "application/json")
    check_eq({k: r.json().get(k) for k in ("format", "width", "height")},
             {"format": "png", "width": 31, "height": 17})
    p = photo()
    _, w, h = pictures.size_of(p)
    r = check_answer(s.post("q/imageInfo", p))
    check_eq((r.json()["format"], r.json()["width"], r.json()["height"],
              r.json()["colorModel"]), ("jpeg", w, h, "ycbcr"))


def test_exif_orientation_is_applied(s):
    p = photo()
    _, w, h = pictures.size_of(p)
    if w == h:
        harness.skip("the photograph is square")
    for orientation in range(1, 9):
        r = s.post("q/thumbnail/w/100/h/100",
                   pictures.with_orientation(p, orientation))
        tw, th = size(r)
        turned = orientation >= 5
        check((tw > th) == ((w > h) != turned),
              "orientation %d: %dx%d became %dx%d", orientation, w, h, tw, th)


def test_alpha_is_flattened_on_white_for_jpeg(s):
    # The left half of the picture is fully transparent.
    picture = pictures.png(64, 64, alpha=True)
    r = check_answer(s.post("q/thumbnail/w/32/format/jpg", picture))
    check_eq(r.type, "image/jpeg")
    r = check_answer(s.post("q/crop/8,8,4,4|thumbnail/w/8/format/png", r.body))
    for row in pictures.png_pixels(r.body):
        for p in row:
            check(min(p[:3]) > 230, "a transparent pixel became %r", p)


def test_bad_arguments_are_named(s):
    picture = pictures.png(20, 20)
    for cmd, word in (("thumbnail/w/0", "w"), ("thumbnail/w/99999999999", "w"),
                      ("thumbnail/w/10/q/0", "q"),
                      ("thumbnail/w/10/q/101", "q"),
                      ("thumbnail/w/10/format/exe", "format"),
                      ("crop/0,5,0,0", None), ("crop/5,5,100,100", None)):
        r = s.post("q/" + cmd, picture)
        sentence = check_error(r, 400)
        check(word is None or word in sentence, "%s: %r does not name %r",
              cmd, sentence, word)
    s.check_works()


def test_text_is_no_image(s):
    for cmd in ("thumbnail/w/10", "crop/1,1,0,0", "imageInfo"):
        check_error(s.post("q/" + cmd, b"Not a picture at all.\n" * 20), 415)
        check_error(s.post("q/" + cmd, bytes(5000)), 415)
    s.check_works()


def test_zero_bytes_are_no_image(s):
    for cmd in ("thumbnail/w/10", "crop/1,1,0,0", "imageInfo"):
        r = s.post("q/" + cmd, b"")
        check(r.status in (400, 415), "%s answers %r", cmd, r)
        check_error(r, r.status)
    s.check_works()


def test_truncated_photographs_fail_cleanly(s):
    p = photo()
    for part in (3, 20, 200, len(p) // 3, len(p) // 2):
        check_error(s.post("q/thumbnail/w/50", p[:part]), 415)
    picture = pictures.png(200, 200)
    for part in (5, 20, 40, len(picture) // 2):
        check_error(s.post("q/thumbnail/w/50", picture[:part]), 415)
    s.check_works()


@harness.deadline(60)
def test_bit_flipped_photographs_do_no_harm(s):
    for name, picture in (("jpg", photo()), ("png", pictures.png(100, 80)),
                          ("bmp", pictures.bmp(100, 80))):
        for seed in range(25):
            broken = pictures.flipped(picture, seed)
            for cmd in ("thumbnail/w/50", "imageInfo"):
                r = s.post("q/" + cmd, broken)
                check(r.status in (200, 413, 415), "%s, seed %d: %r", name,
                      seed, r)
                if r.status != 200:
                    check_error(r, r.status)
    # The header alone, flipped bit by bit.
    picture = pictures.png(20, 20)
    for bit in range(8, 33 * 8):
        broken = bytearray(picture)
        broken[bit // 8] ^= 1 << bit % 8
        r = s.post("q/thumbnail/w/10", bytes(broken))
        check(r.status in (200, 413, 415), "bit %d: %r", bit, r)
    s.check_works()


def test_bomb_is_refused_from_its_header(s):
    bomb = pictures.png_bomb(40000, 40000, 20000)
    for cmd in ("thumbnail/w/50", "crop/10,10,0,0"):
        began = time.monotonic()
        check_error(s.post("q/" + cmd, bomb), 413)
        took = time.monotonic() - began
        check(took < 1, "%s took %.1f s", cmd, took)
    s.check_works()


def test_config_show_lists_the_formats(s):
    p = subprocess.run([os.path.join(harness.ROOT, "build/ufop"), "config",
                        "show"], capture_output=True, text=True, timeout=20)
    line = [x for x in p.stdout.splitlines() if x.startswith("; images: ")]
    check(len(line) == 1, "no line on images: %r", p.stdout)
    reads, writes = line[0][len("; images: "):].split("; ")
    written = writes.removeprefix("writes ").split(", ")
    check(reads.startswith("reads jpeg, png, ") and "psd" in reads and
          "psd" not in written, "%r", line)
    # What is said to be written is written, and what it is not, is a 415.
    for name in ("jpeg", "png", "webp", "gif", "tiff", "avif", "bmp", "tga"):
        r = s.post("q/thumbnail/w/8/format/" + name, pictures.png(16, 16))
        if name in written:
            check_answer(r, 200, None)
        else:
            check_error(r, 415, name)


def test_heic_and_avif_are_read(s):
    rows = [[(255, 0, 0)] * 60 + [(0, 0, 255)] * 60 for _ in range(40)]
    exif = pictures.orientation_block(6)
    for kind, name, wanted in ((heif.HEVC, "heic", "jpg"),
                               (heif.AV1, "avif", None)):
        picture = heif.make(kind, rows, exif)
        if picture is None:
            harness.skip("libheif does not write " + name)
        r = check_answer(s.post("q/imageInfo", picture)).json()
        check_eq((r["format"], r["width"], r["height"]), (name, 120, 40))
        r = check_answer(s.post("q/exif", picture)).json()
        check_eq(r, {"Orientation": {"type": 3, "val": "Right-top"}})
        # How it is turned is in a box of its own, not in the EXIF data.
        r = check_answer(s.post("q/thumbnail/w/60/format/png", picture))
        check_eq(pictures.size_of(r.body), ("png", 60, 20))
        pixels = pictures.png_pixels(r.body)
        for x, want in ((10, (255, 0, 0)), (50, (0, 0, 255))):
            check(max(abs(a - b) for a, b in zip(pixels[10][x], want)) < 12,
                  "%s: %r at %d", name, pixels[10][x], x)
        # Without a word on it, a HEIC becomes a JPEG.
        r = check_answer(s.post("q/thumbnail/w/60", picture))
        if wanted:
            check_eq(pictures.size_of(r.body), (wanted, 60, 20))
        for n in (30, 200, len(picture) // 2, len(picture) - 9):
            check_error(s.post("q/thumbnail/w/9", picture[:n]), 415)
        r = s.post("q/imageInfo", lying(picture, 0))
        check("Success" not in check_error(r, 415), "%r", r)
        # A size in the header that is not that of the pixels.
        check_error(s.post("q/thumbnail/w/9", lying(picture, 9)), 415)
        for seed in range(30):
            r = s.post("q/thumbnail/w/9", pictures.flipped(picture, seed))
            check(r.status in (200, 413, 415), "%s, seed %d: %r", name, seed,
                  r)
    s.check_works()


def lying(picture, side):
    """The AVIF or HEIC with another size in its header."""
    return re.sub(rb"(ispe.{4}).{8}", lambda m: m.group(1) +
                  side.to_bytes(4, "big") * 2, picture, flags=re.S)


def process(cmd, picture, status=0):
    """(what it writes, what it says, its peak memory in MB)"""
    p = subprocess.run([harness.UFOP, "process", "--time", cmd, "-"],
                       input=picture, capture_output=True, timeout=60)
    check_eq(p.returncode, status, p.stderr)
    return p.stdout, p.stderr, float(re.search(
        rb"peak memory +([\d.]+)MB", p.stderr).group(1))


def test_heic_that_says_to_be_small_gets_no_memory():
    row = [(10, 120, 200)] * 4000
    for kind in (heif.HEVC, heif.AV1):
        picture = heif.make(kind, [row] * 4000)
        if picture is None:
            harness.skip("libheif does not write it")
        took = []
        for data_ in (picture, lying(picture, 16)):
            took.append(process("thumbnail/w/8", data_, 65 if took else 0)[2])
        # 16 megapixels need 100 MB and more; 256 pixels have a few to spare.
        check(took[0] > 90 and took[1] < took[0] * 0.6, "MB: %r", took)


def test_thumbnail_of_12_megapixels_needs_little_memory():
    """Its pixels would be 36 MB, and 48 MB with what stands beside them."""
    large, _, took = process("imageMogr2/thumbnail/4000x3000!/format/jpg",
                          data("kleiber.jpg"))
    check_eq(pictures.size_of(large), ("jpg", 4000, 3000))
    check(took > 15, "making it took %g MB", took)
    for cmd in ("thumbnail/w/200", "imageView2/1/w/300/h/300/format/webp"):
        _, _, took = process(cmd, large)
        check(took < 45, "%s took %g MB", cmd, took)


def zeros(n):
    """n of them as Deflate writes them."""
    z, block = zlib.compressobj(6), bytes(1 << 20)
    return b"".join(z.compress(block[:min(n - at, 1 << 20)])
                    for at in range(0, n, 1 << 20)) + z.flush()


def lzw_zeros(n):
    """At least n of them as LZW writes them: each run is longer by one."""
    text = format(256, "09b")
    cycle = "0" * 9 + "".join(
        format(code, "0%db" % (9 + (code > 510) + (code > 1022) +
                               (code > 2046)))
        for code in range(258, 4094)) + format(256, "012b")
    while n > 0:
        text += cycle
        n -= sum(range(1, 4094 - 256))
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def tiff_of(w, h, packing, data, **other):
    """A TIFF whose directory says what it is told, behind its pixels."""
    tags = {256: w, 257: h, 258: 8, 259: packing, 262: 1, 273: 8, 277: 1,
            278: h, 279: len(data)}
    for name, value in other.items():
        tags[{"bits": 258, "colours": 262, "samples": 277, "rows": 278,
              "bytes": 279, "tile_w": 322, "tile_h": 323,
              "at": 324, "size": 325}[name]] = value
    if "tile_w" in other:
        tags = {t: v for t, v in tags.items() if t not in (273, 278, 279)}
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack(
        "<H", len(tags)) + b"".join(struct.pack("<HHII", t, 4, 1, v)
                                    for t, v in sorted(tags.items())) + bytes(4)


def tiff_of_rows(w, h, packing, row):
    """A TIFF of grey whose rows are strips, and all of them the same bytes."""
    tags = ((256, 1, w), (257, 1, h), (258, 1, 8), (259, 1, packing),
            (262, 1, 1), (273, h, 8 + len(row)), (277, 1, 1), (278, 1, 1),
            (279, h, 8 + len(row) + 4 * h))
    return b"II*\0" + struct.pack("<I", 8 + len(row) + 8 * h) + row + \
        struct.pack("<%dI" % (2 * h), *[8] * h, *[len(row)] * h) + \
        struct.pack("<H", len(tags)) + b"".join(
            struct.pack("<HHII", t, 4, n, v) for t, n, v in tags) + bytes(4)


def test_tiff_whose_strips_are_shared():
    """As blank ones may be; but not to unpack a gigabyte out of little."""
    w, h = 5000, 9000
    row = zeros(w)
    picture, _, _ = process("thumbnail/w/50/format/png",
                            tiff_of_rows(w, h, 8, row))
    check_eq(pictures.size_of(picture), ("png", 50, 90))
    # The same pixels behind blocks of nothing.
    empty = row[:2] + b"\0\0\0\xff\xff" * 9000 + row[2:]
    _, said, _ = process("thumbnail/w/50", tiff_of_rows(w, h, 8, empty), 65)
    check(b"together" in said, "%r", said)


@harness.deadline(120)
def test_small_tiff_gets_little_memory():
    """
    144 megapixels, 576 MB of them, that are looked at for a thumbnail or are
    refused; and files that lie about what they need.
    """
    w = h = 12000
    grey, rgb = zeros(w * h), zeros(3 * w * h)
    deflate, lzw, runs = 8, 5, 32773
    tile = {"tile_w": w, "tile_h": h, "at": 8, "size": len(rgb)}
    ok = 0
    too_big = bad = 65
    rows = (
        ("a strip", tiff_of(w, h, deflate, grey), ok, b""),
        ("a strip of colours", tiff_of(w, h, deflate, rgb, colours=2,
                                       samples=3), ok, b""),
        ("a strip of LZW", tiff_of(w, h, lzw, lzw_zeros(w * h)), ok, b""),
        ("a strip of bits", tiff_of(w, h, deflate, zeros(w * h // 8), bits=1),
         ok, b""),
        ("a strip of runs", tiff_of(w, h, runs, b"\x81\0" * (w * h // 128)),
         too_big, b"smaller strips"),
        ("a tile", tiff_of(w, h, deflate, rgb, colours=2, samples=3, **tile),
         too_big, b"smaller strips"),
        ("a tile around a pixel", tiff_of(1, 1, deflate, rgb, colours=2,
                                          samples=3, **tile),
         too_big, b"smaller strips"),
        ("rows without end", tiff_of(99, 99, deflate, zeros(9801),
                                     rows=0xffffffff), ok, b""),
        ("bytes without end", tiff_of(w, h, deflate, b"", bytes=0xfffffff0),
         bad, b""),
        ("many samples", tiff_of(w, h, deflate, b"", samples=65535, colours=2),
         bad, b""),
        ("long samples", tiff_of(w, h, deflate, b"", bits=64), bad, b""),
        ("many rows", tiff_of(1, 0x7fffffff, deflate, b"", rows=1), bad, b""),
    )
    for name, picture, status, says in rows:
        _, said, took = process("thumbnail/w/50/format/png", picture, status)
        check(says in said, "%s: %r", name, said)
        check(took < 60, "%s took %g MB", name, took)


def test_gif_has_its_pixels_once():
    _, _, took = process("thumbnail/w/50", pictures.gif_flat(5000, 5000))
    check(90 < took < 130, "100 MB of pixels took %g MB", took)


def test_pictures_that_need_too_much_memory(s):
    """A sentence, and not the end of the child."""
    row = [(10, 120, 200)] * 2600
    picture = heif.make(heif.HEVC, [row] * 2600)
    if picture is None:
        harness.skip("libheif does not write heic")
    check_eq(size(s.post("q/thumbnail/w/26", picture)), (26, 26))
    # Runs of 128 pixels: a small file for 48 MB of them.
    tga = struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 4096, 4096, 24,
                      0) + b"\xff\1\2\3" * (4096 * 32)
    check_eq(size(s.post("q/thumbnail/w/16/format/png", tga)), (16, 16))
    with Stack({"ufop.memory": "100m"}, services="images") as small:
        check_error(small.post("q/thumbnail/w/26", picture), 413, "memory")
        check_error(small.post("q/thumbnail/w/26", tga), 413, "memory")
        small.check_works()


def tga(w, h, kind=2, body=None):
    """24 bits a pixel, kind 2; of kind 10 all pixels are in runs of 128."""
    if body is None:
        body = random.Random(1).randbytes(w * h * 3) if kind == 2 else \
            b"\xff\1\2\3" * (w * h // 128)
    return struct.pack("<BBBHHBHHHHBB", 0, 0, kind, 0, 0, 0, 0, 0, w, h, 24,
                       0) + body


def bmp_palette(w, h, bits, colours, data):
    """A BMP of so many colours; data may name others."""
    at = 54 + 4 * colours
    return b"BM" + struct.pack("<IHHI", at + len(data), 0, 0, at) + \
        struct.pack("<IiiHHIIiiII", 40, w, h, 1, bits, 0, len(data), 0, 0,
                    colours, 0) + b"\1\2\3\0" * colours + data


def tiff(w, h, packed, strips=4):
    """Grey, its directory in front: what is cut off are strips."""
    rows = h // strips
    data = [random.Random(i).randbytes(w * rows) for i in range(strips)]
    if packed:
        data = [zlib.compress(d) for d in data]
    at = 8 + 2 + 12 * 9 + 4
    offsets, counts = [], [len(d) for d in data]
    for n in counts:
        offsets.append(at + 8 * strips + sum(counts[:len(offsets)]))
    tags = ((256, 3, 1, w), (257, 3, 1, h), (258, 3, 1, 8),
            (259, 3, 1, 8 if packed else 1), (262, 3, 1, 1),
            (273, 4, strips, at), (277, 3, 1, 1), (278, 3, 1, rows),
            (279, 4, strips, at + 4 * strips))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(
        struct.pack("<HHII", *t) for t in tags) + bytes(4) + struct.pack(
            "<%dI" % (2 * strips), *offsets, *counts) + b"".join(data)


def psd(w, h):
    return b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, h, w, 8, 3) + \
        bytes(14) + random.Random(1).randbytes(w * h * 3)


def one_of_each(s):
    """{name: a picture} of all that is read."""
    source = pictures.png(160, 120)
    found = {}
    for word in ("jpg", "jpg/interlace/1", "png", "png/interlace/1",
                 "png/colors/8", "webp", "gif", "gif/interlace/1", "tiff",
                 "bmp", "tga"):
        found[word] = check_answer(s.post("q/imageMogr2/format/" + word,
                                          source), 200, None).body
    found["plain tga"] = tga(160, 120)
    found["run-length tga"] = tga(160, 128, 10)
    found["8-bit bmp"] = bmp_palette(160, 120, 8, 256, bytes(range(160)) * 120)
    found["tiff in strips"] = tiff(160, 120, False)
    found["packed tiff in strips"] = tiff(160, 120, True)
    found["psd"] = psd(160, 120)
    found["pnm"] = b"P6 160 120 255\n" + random.Random(1).randbytes(57600)
    # Of some size: a decoder of HEIC goes on behind what it cannot read.
    rows = pictures.png_pixels(pictures.png(320, 240))
    found["avif"] = heif.make(heif.AV1, rows)
    found["heic"] = heif.make(heif.HEVC, rows)
    return {name: p for name, p in found.items() if p is not None}


def broken(p, name):
    """Ways in which the picture is not whole: (what, the bytes)."""
    n = len(p)
    for cut in (1, 3, 30, 300, n // 4, n // 2, n - n // 8, n - 200):
        if 0 < cut < n:
            yield "%s less %d bytes" % (name, cut), p[:-cut]
    for seed in range(4):
        yield "%s flipped %d" % (name, seed), pictures.flipped(p, seed)
    for part in range(n // 10, n, n // 10):
        yield "%s, zeros at %d" % (name, part), \
            p[:part] + bytes(min(64, n - part)) + p[part + 64:]


WRITTEN = ("thumbnail/37x", "crop/!31x17a5a3", "rotate/33/thumbnail/91x",
           "blur/3x2/crop/37x23", "thumbnail/37x/interlace/1",
           "thumbnail/3x41!/colors/9")


@harness.deadline(120)
def test_nothing_of_what_was_in_memory_is_handed_out(s):
    """
    Two workers in whose memory lie different bytes answer the same, whatever
    of a picture is missing.
    """
    cases = [case for name, p in one_of_each(s).items()
             for case in broken(p, name)]
    # The header alone, and more pixels than there is memory to hide in.
    cases += [("tga of one pixel", tga(2000, 1500, body=b"abc")),
              ("bmp of one pixel", pictures.bmp(2000, 1)[:22] +
               struct.pack("<i", 1500) + pictures.bmp(2000, 1)[26:60]),
              ("tiff of no strip", tiff(1500, 1500, False)[:200])]
    cases += [("%d of %d colours" % (bits, n), bmp_palette(
        64, 64, bits, n, bytes(range(256)) * 16)) for bits in (4, 8)
        for n in (1, 3)]
    answers, written = [], []
    for fill in (0x35, 0xd2):
        env = {"GLIBC_TUNABLES": "glibc.malloc.perturb=%d" % fill}
        got = subprocess.run(
            [sys.executable, "-c", "import ctypes; m = ctypes.CDLL(None).malloc"
             "\nm.restype = ctypes.c_void_p"
             "\nprint(ctypes.string_at(m(3000000), 3000000)[999])"],
            env=dict(os.environ, **env), capture_output=True, text=True)
        check_eq(got.stdout.strip(), str(fill ^ 0xff), "what memory holds")
        with Stack({"worker.recycle_jobs": 1}, services="images",
                   env=env) as filled:
            with filled.conn(60) as c:
                answers.append([
                    c.request("POST", httpc.cmd_target(
                        "q/imageMogr2/%sformat/bmp" % word), p)
                    for _, p in cases for word in ("", "ignore-error/1/")])
                # Whole ones too: sides that fill no block to its end.
                written.append([
                    c.request("POST", httpc.cmd_target(
                        "q/imageMogr2/%s/format/%s" % (steps, name)), photo())
                    for steps in WRITTEN for name in
                    ("jpg", "png", "webp", "gif", "tiff", "avif", "tga")])
    for one, two in zip(*written):
        check(one.status in (200, 415) and two.body == one.body,
              "%r and %r", one, two)
    for i, (one, two) in enumerate(zip(*answers)):
        what = cases[i // 2][0] + (" with ignore-error" if i % 2 else "")
        check(one.status in (200, 413, 415), "%s: %r", what, one)
        check_eq(two.status, one.status, what)
        check(two.body == one.body, "%s: %d bytes differ", what,
              sum(a != b for a, b in zip(one.body, two.body)))
        if i % 2 == 0 and "less" in what:
            check_eq(one.status, 415, what)


def test_format_auto_is_the_callers_choice(s):
    for accept, want in (("image/avif,image/webp,*/*", "image/webp"),
                         ("*/*", "image/jpeg"),
                         ("image/webp;q=0", "image/jpeg"), (None, "image/jpeg")):
        r = s.post("q/imageView2/2/w/50/format/auto", photo(),
                   headers=[("Accept", accept)] if accept else [])
        check_eq(check_answer(r).type, want, accept)
        check_eq(r.header("Vary"), "Accept")
    check_eq(s.post("q/imageView2/2/w/50", photo()).header("Vary"), None)


def test_photographs_of_the_repository_are_licensed(s):
    names = [n for n in os.listdir(harness.DATA)
             if n.endswith((".jpg", ".jpeg", ".png"))]
    check(names, "there is no photograph")
    texts = [data(n).decode() for n in os.listdir(harness.DATA)
             if n.lower().startswith(("readme", "license", "copyright",
                                      "sources"))]
    for n in names:
        check(any(n in t for t in texts), "no text names %s and its licence",
              n)
