# SPDX-License-Identifier: MIT
"""From JPEG to a NumPy array: by libturbojpeg if it is there, else by OpenCV, else by Pillow."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib
import io
from typing import Any, Optional, Tuple

# TurboJPEG's numbers for the order of a pixel's bytes, and how many there are.
_ORDERS = {"rgb": (0, 3), "bgr": (1, 3), "grey": (6, 1), "rgba": (7, 4), "bgra": (8, 4)}
_ACCURATE_DCT = 4096


@functools.lru_cache(maxsize=None)
def _turbojpeg() -> Optional[ctypes.CDLL]:
    for name in ("libturbojpeg.so.0", ctypes.util.find_library("turbojpeg")):
        try:
            library = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if library is None:
            continue
        library.tjInitDecompress.restype = ctypes.c_void_p
        library.tjDestroy.argtypes = [ctypes.c_void_p]
        library.tjGetErrorStr.restype = ctypes.c_char_p
        number = ctypes.POINTER(ctypes.c_int)
        library.tjDecompressHeader3.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_ulong,
                                                number, number, number, number]
        library.tjDecompress2.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_ulong,
                                          ctypes.c_void_p] + [ctypes.c_int] * 5
        return library
    return None


def _by_turbojpeg(library: ctypes.CDLL, numpy: Any, jpeg: bytes, pixels: str,
                  scale: Tuple[int, int]) -> Any:
    order, channels = _ORDERS[pixels]
    width, height, sampling, colours = (ctypes.c_int() for _ in range(4))
    decoder = library.tjInitDecompress()
    if not decoder:
        raise MemoryError("libturbojpeg cannot make a decoder")
    try:
        if library.tjDecompressHeader3(decoder, jpeg, len(jpeg), width, height, sampling, colours):
            raise ValueError("not a JPEG: " + library.tjGetErrorStr().decode())
        columns, rows = (-(-size.value * scale[0] // scale[1]) for size in (width, height))
        shape = (rows, columns) if channels == 1 else (rows, columns, channels)
        array = numpy.empty(shape, numpy.uint8)
        if library.tjDecompress2(decoder, jpeg, len(jpeg), array.ctypes.data, columns,
                                 columns * channels, rows, order, _ACCURATE_DCT):
            raise ValueError("a damaged JPEG: " + library.tjGetErrorStr().decode())
        return array
    finally:
        library.tjDestroy(decoder)


def _by_opencv(cv2: Any, numpy: Any, jpeg: bytes, pixels: str) -> Any:
    flag = cv2.IMREAD_GRAYSCALE if pixels == "grey" else cv2.IMREAD_COLOR
    array = cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), flag)
    if array is None:
        raise ValueError("not a JPEG")
    if pixels in ("grey", "bgr"):
        return array
    return cv2.cvtColor(array, getattr(cv2, "COLOR_BGR2" + pixels.upper()))


def _by_pillow(image: Any, numpy: Any, jpeg: bytes, pixels: str) -> Any:
    mode = {"grey": "L", "rgb": "RGB", "bgr": "RGB", "rgba": "RGBA", "bgra": "RGBA"}[pixels]
    picture = image.open(io.BytesIO(jpeg))
    if mode == "L":
        picture.draft(mode, picture.size)  # the luma as it is, not made from the colours again
    array = numpy.array(picture.convert(mode))
    if pixels == "bgr":
        return array[:, :, ::-1].copy()
    return array[:, :, [2, 1, 0, 3]] if pixels == "bgra" else array


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def decode(jpeg: bytes, pixels: str, scale: Tuple[int, int]) -> Any:
    """See Frame.decode()."""
    if pixels not in _ORDERS:
        raise ValueError(f"pixels must be one of {', '.join(_ORDERS)}, not {pixels!r}")
    numerator, denominator = scale
    if denominator <= 0 or not 1 <= 8 * numerator / denominator <= 16 or 8 * numerator % denominator:
        raise ValueError("scale must be n/8 with n from 1 to 16")
    numpy = _module("numpy")
    if numpy is None:
        raise ImportError("arrays need NumPy (Debian: python3-numpy)")
    library = _turbojpeg()
    if library is not None:
        return _by_turbojpeg(library, numpy, jpeg, pixels, scale)
    if numerator != denominator:
        raise ImportError("scaling needs libturbojpeg (Debian: libturbojpeg0)")
    for name, function in (("cv2", _by_opencv), ("PIL.Image", _by_pillow)):
        module = _module(name)
        if module is not None:
            return function(module, numpy, jpeg, pixels)
    raise ImportError("decoding needs libturbojpeg, OpenCV or Pillow (Debian: libturbojpeg0)")
