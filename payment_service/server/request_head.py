"""Parse a plain request head in one step; gunicorn parses every other head.

A plain head is HTTP/1.1, complete after the first read, in printable ASCII, and repeats no header.
Nearly all heads are plain. The result equals gunicorn's, which a test checks with generated
requests. gunicorn still reads the body and decides when the connection closes. A head that is not
plain is pushed back unchanged.
"""

from __future__ import annotations

import re
from typing import Any

from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

# RFC 9112: method, target in origin form, version. Parsers disagree on targets that begin with //.
_LINE = re.compile(
    rb"(GET|POST|HEAD|OPTIONS) (/(?:[\w!$&'()*+,.:;=@~%-][\w!$&'()*+,.:;=@~%/-]*)?)"
    rb"(?:\?([\w!$&'()*+,./:;=@~%?-]*))? HTTP/1\.1\r\n"
)
_HEADERS = re.compile(rb"(?:[A-Za-z0-9-]+:[\x20-\x7e]*\r\n)*+\r\n")
_EACH = re.compile(r"([A-Za-z0-9-]+):([^\r]*)\r\n")

# Below gunicorn's own limits.
MOST_BYTES, MOST_HEADERS = 4000, 50


def reads_plainly(cfg: Any) -> bool:
    """Whether gunicorn, with its settings, would parse a plain head to the same result."""
    least = min(cfg.limit_request_line, cfg.limit_request_field_size)
    roomy = least >= MOST_BYTES and cfg.limit_request_fields >= MOST_HEADERS
    return roomy and not cfg.secure_scheme_headers and cfg.http_protocols == ["h1"]


class PlainRequest(Request):  # type: ignore[misc]
    """gunicorn's request, with a fast path for plain heads."""

    def parse(self, unreader: Any) -> bytes:
        """Parse the head; return the bytes that followed it."""
        data: bytes = unreader.read()
        if not data:
            raise StopIteration
        behind = self._plainly(data)
        if behind is not None:
            return behind
        unreader.unread(data)
        rest: bytes = super().parse(unreader)
        return rest

    def _plainly(self, data: bytes) -> bytes | None:
        line = _LINE.match(data)
        lines = _HEADERS.match(data, line.end()) if line else None
        if not line or not lines or lines.end() > MOST_BYTES:
            return None
        text = lines[0].decode("ascii")
        headers = [(name.upper(), value.strip(" ")) for name, value in _EACH.findall(text)]
        names = {name for name, _ in headers}
        if len(names) < len(headers) or len(headers) > MOST_HEADERS or "EXPECT" in names:
            return None
        self.method, self.path = line[1].decode("ascii"), line[2].decode("ascii")
        self.query, self.fragment = (line[3] or b"").decode("ascii"), ""
        self.uri = data[line.start(2) : line.end() - len(" HTTP/1.1\r\n")].decode("ascii")
        self.version, self.headers = (1, 1), headers
        return data[lines.end() :]


class PlainRequestParser(RequestParser):  # type: ignore[misc]
    """gunicorn's parser of a connection, with PlainRequest as its request class."""

    mesg_class = PlainRequest
