"""Read one HTTP/1.1 answer (RFC 9112) at a tenth of the standard library's cost.

Most of that cost is the e-mail header parser that http.client uses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\x00]*)\r?\n")
_HEADERS = re.compile(rf"(?:{_HEADER.pattern})*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_LENGTH = re.compile(r"[0-9]{1,15}")

# Above the size of any real answer, and low enough to bound the work on a bad one.
MOST_LINE_BYTES, MOST_HEADERS = 65536, 256

# RFC 9110: 408 ends a connection, and 421 asks for another one.
LAST_STATUSES = (408, 421)


class UnreadableAnswer(OSError):
    """The answer is not HTTP, or is truncated."""


class Headers(dict[str, str]):
    """Headers under lower-case names; look-ups ignore case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return the header, or `default` if it is absent."""
        return super().get(name.lower(), default)


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer; the fields have the names of requests.Response.

    `last`: the connection accepts no further request.
    """

    status_code: int
    headers: Headers
    content: bytes
    last: bool


def read_answer(incoming: BinaryIO) -> Answer:
    """Read the answer to a request other than HEAD.

    Raises UnreadableAnswer, and any exception of `incoming`.
    """
    minor, status, headers = _head(incoming)
    while 100 <= status < 200:
        minor, status, headers = _head(incoming)
    body, delimited = _body(incoming, status, headers)
    said = headers.get("connection", "") or ""
    last = minor == 0 or not delimited or "close" in said.lower() or status in LAST_STATUSES
    return Answer(status, headers, body, last)


def _head(incoming: BinaryIO) -> tuple[int, int, Headers]:
    line = incoming.readline(MOST_LINE_BYTES)
    said = _STATUS.fullmatch(line)
    if not said:
        raise UnreadableAnswer("closed without an answer" if not line else "not HTTP")
    return int(said[1]), int(said[2]), _headers(incoming)


def _headers(incoming: BinaryIO) -> Headers:
    text = b"".join(_header_lines(incoming)).decode("latin-1")
    if not _HEADERS.fullmatch(text):
        raise UnreadableAnswer("a broken header")
    found: dict[str, str] = {}
    for name, value in _HEADER.findall(text):
        said, before = value.strip(" \t"), found.get(name.lower())
        found[name.lower()] = said if before is None else f"{before}, {said}"
    return Headers(found)


def _header_lines(incoming: BinaryIO) -> list[bytes]:
    lines: list[bytes] = []
    while len(lines) < MOST_HEADERS:
        line = incoming.readline(MOST_LINE_BYTES)
        if line in (b"\r\n", b"\n"):
            return lines
        if not line.endswith(b"\n"):
            raise UnreadableAnswer("a header broke off, or is too long")
        lines.append(line)
    raise UnreadableAnswer("too many headers")


def _body(incoming: BinaryIO, status: int, headers: Headers) -> tuple[bytes, bool]:
    """Return the body, and whether its end was marked."""
    if status in (204, 304):
        return b"", True
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked":
            raise UnreadableAnswer("an unknown transfer coding")
        # With a Content-Length as well, the end is ambiguous (RFC 9112, 6.3).
        return b"".join(_chunks(incoming)), length is None
    if length is None:
        return incoming.read(), False
    if not _LENGTH.fullmatch(length):
        raise UnreadableAnswer("a broken length")
    return _exactly(incoming, int(length)), True


def _chunks(incoming: BinaryIO) -> list[bytes]:
    chunks: list[bytes] = []
    while True:
        size = _CHUNK.fullmatch(incoming.readline(MOST_LINE_BYTES))
        if not size:
            raise UnreadableAnswer("a broken chunk")
        length = int(size[1], 16)
        if not length:
            _headers(incoming)
            return chunks
        chunks.append(_exactly(incoming, length))
        if incoming.readline(3) not in (b"\r\n", b"\n"):
            raise UnreadableAnswer("a broken chunk")


def _exactly(incoming: BinaryIO, length: int) -> bytes:
    body = incoming.read(length)
    if len(body) < length:
        raise UnreadableAnswer("it broke off")
    return body
