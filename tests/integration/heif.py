# SPDX-License-Identifier: MIT
"""
AVIF and HEIC made by libheif itself, which ufop only reads HEIC with: by ctypes,
as the library is there where the format is.
"""

import ctypes
import os
import tempfile

HEVC, AV1 = 1, 4
_RGB, _INTERLEAVED = 1, 10


class _Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("sub", ctypes.c_int),
                ("message", ctypes.c_char_p)]


def make(kind, rows, exif=None):
    """
    A file of these rows of (r, g, b), or None when libheif is not here or has
    no encoder of that kind.  exif is a TIFF block.
    """
    try:
        lib = ctypes.CDLL("libheif.so.1")
    except OSError:
        return None
    for name in ("heif_context_get_encoder_for_format", "heif_image_create",
                 "heif_image_add_plane", "heif_context_encode_image",
                 "heif_context_write_to_file",
                 "heif_context_add_exif_metadata"):
        getattr(lib, name).restype = _Error
    lib.heif_context_alloc.restype = ctypes.c_void_p
    lib.heif_image_get_plane.restype = ctypes.c_void_p

    def do(name, *args):
        error = getattr(lib, name)(*args)
        if error.code != 0:
            raise RuntimeError("%s: %s" % (name, error.message))

    w, h = len(rows[0]), len(rows)
    ctx = ctypes.c_void_p(lib.heif_context_alloc())
    encoder, image, handle = (ctypes.c_void_p() for _ in range(3))
    stride = ctypes.c_int()
    if lib.heif_context_get_encoder_for_format(
            ctx, kind, ctypes.byref(encoder)).code != 0:
        return None
    do("heif_image_create", w, h, _RGB, _INTERLEAVED, ctypes.byref(image))
    do("heif_image_add_plane", image, _INTERLEAVED, w, h, 8)
    pixels = lib.heif_image_get_plane(image, _INTERLEAVED,
                                      ctypes.byref(stride))
    last = None
    for y, row in enumerate(rows):
        if row is not last:
            data, last = b"".join(bytes(p) for p in row), row
        ctypes.memmove(pixels + y * stride.value, data, len(data))
    do("heif_context_encode_image", ctx, image, encoder, None,
       ctypes.byref(handle))
    if exif is not None:
        do("heif_context_add_exif_metadata", ctx, handle, exif, len(exif))
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "picture")
        do("heif_context_write_to_file", ctx, path.encode())
        with open(path, "rb") as f:
            return f.read()
