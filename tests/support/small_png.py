"""Convert a screenshot to 256 colours: a third of the bytes, and no visible difference."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TRUE_COLOUR, PALETTE = 2, 3
COLOURS = 256

Colour = bytes


def smaller(png: bytes) -> bytes:
    """Return a true-colour PNG of 8 bits as one with a palette."""
    chunks = list(_chunks(png))
    width, height, depth, kind = struct.unpack(">IIBB", chunks[0][1][:10])
    if (depth, kind) != (8, TRUE_COLOUR):
        raise ValueError("not a PNG of 8-bit true colour")
    packed = b"".join(data for name, data in chunks if name == b"IDAT")
    rows = list(_rows(zlib.decompress(packed), width * 3, height))
    palette, place = _palette(rows)
    lines = [bytes((0, *(place[row[i : i + 3]] for i in range(0, len(row), 3)))) for row in rows]
    header = struct.pack(">IIBBBBB", width, height, 8, PALETTE, 0, 0, 0)
    return SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", b"".join(palette)),
            _chunk(b"IDAT", zlib.compress(b"".join(lines), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _rows(raw: bytes, width: int, height: int) -> Iterator[bytes]:
    """Undo the filter of each row (PNG specification, 9.2)."""
    above = bytes(width)
    for y in range(height):
        start = y * (width + 1)
        row = bytearray(raw[start + 1 : start + 1 + width])
        kind = raw[start]
        for x, value in enumerate(row if kind else b""):
            left, up = row[x - 3] if x >= 3 else 0, above[x]
            corner = above[x - 3] if x >= 3 else 0
            guess = (0, left, up, (left + up) // 2, _paeth(left, up, corner))[kind]
            row[x] = (value + guess) & 255
        above = bytes(row)
        yield above


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda each: abs(guess - each))


def _palette(rows: list[bytes]) -> tuple[list[Colour], dict[Colour, int]]:
    """Choose a palette, and map each colour of the picture to its nearest palette index.

    Each step adds the colour with the largest error: far from the palette, and frequent.
    """
    seen = Counter(row[i : i + 3] for row in rows for i in range(0, len(row), 3))
    chosen = [seen.most_common(1)[0][0]]
    place = dict.fromkeys(seen, 0)
    misses = {colour: _distance(colour, chosen[0]) for colour in seen}
    while len(chosen) < min(COLOURS, len(seen)):
        chosen.append(max(seen, key=lambda each: seen[each] * misses[each]))
        for colour, miss in misses.items():
            if (nearer := _distance(colour, chosen[-1])) < miss:
                misses[colour], place[colour] = nearer, len(chosen) - 1
    return chosen, place


def _distance(one: Colour, other: Colour) -> int:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2
