"""The WSGI environ and the bytes of a response are the same as gunicorn's own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import Response, create
from hypothesis import given, reject
from hypothesis import strategies as st

from payment_service.server.exchange import Answer, common_environ, environ_of, is_read

CFG = Config()
CLIENT, SERVER = ("10.0.0.7", 40123), ("127.0.0.1", 4242)

# Optional in PEP 3333, and unused by this service.
LEFT_OUT = {"wsgi.file_wrapper", "wsgi.early_hints", "gunicorn.socket"}

NAMES = st.one_of(
    st.sampled_from(["Content-Type", "X-Request-ID", "Accept", "Cookie", "Content-Typ"]),
    st.from_regex(r"\A[A-Za-z][A-Za-z0-9-]{0,11}\Z").filter(
        lambda name: name.lower() not in ("content-length", "transfer-encoding", "expect")
    ),
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=12).filter(
    lambda text: not re.search(r"[\x7f-\x9f]", text)
)
PATHS = st.from_regex(r"\A/([a-z/.~-]|%[0-9A-F]{2}){0,12}(\?[a-z=&%]{0,8})?\Z")
METHODS = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT"])


class Wire:
    """A socket that records the bytes sent."""

    def __init__(self) -> None:
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        self.sent += data


def read(data: bytes) -> Any:
    return next(RequestParser(CFG, iter([data]), CLIENT))


@given(
    METHODS,
    PATHS,
    st.sampled_from(["1.0", "1.1"]),
    st.lists(st.tuples(NAMES, VALUES), max_size=6),
    st.binary(max_size=4),
)
def test_environ_equals_gunicorns(
    method: str, path: str, version: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    headers = [("Host", "x"), ("Content-Length", str(len(body))), *headers]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"{method} {path} HTTP/{version}\r\n{lines}\r\n"
    try:
        req = read(head.encode("latin-1") + body)
    except ParseException:
        reject()
    common = common_environ(CFG, CLIENT, SERVER)
    assert common is not None
    ours = environ_of(req, common)
    _, theirs = create(req, Wire(), CLIENT, SERVER, CFG)
    theirs["wsgi.multithread"] = True
    assert ours.keys() == theirs.keys() - LEFT_OUT
    same = ours.keys() - {"wsgi.errors"}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert ours["wsgi.input"].read() == body
    assert is_read(req)


STATUSES = ["200 OK", "204 NO CONTENT", "304 NOT MODIFIED", "404 NOT FOUND", "500 x"]


@given(
    METHODS,
    st.sampled_from(["1.0", "1.1"]),
    st.sampled_from(["", "Connection: close\r\n", "Connection: keep-alive\r\n"]),
    st.sampled_from(STATUSES),
    st.lists(st.binary(max_size=5), max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_response_equals_gunicorns(
    method: str,
    version: str,
    connection: str,
    status: str,
    pieces: list[bytes],
    says_length: bool,
    last: bool,
) -> None:
    head = f"{method} / HTTP/{version}\r\nHost: x\r\n{connection}\r\n".encode()
    length = [("Content-Length", str(sum(map(len, pieces))))] if says_length else []
    said = [("Content-Type", "application/json"), ("X-Odd", " \xe9 "), *length]

    def answered(kind: type[Response]) -> tuple[bytes, bool]:
        wire, req = Wire(), read(head)
        answer = kind(req, wire, CFG)
        if last:
            answer.force_close()
        write = answer.start_response(status, said)
        for piece in pieces:
            write(piece)
        answer.close()
        return re.sub(rb"Date: [^\r]+", b"Date", wire.sent), answer.should_close()

    assert answered(Answer) == answered(Response)


def test_date_header_has_the_http_format() -> None:
    wire, req = Wire(), read(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = Answer(req, wire, CFG)
    answer.start_response("200 OK", [("Content-Length", "0")])
    answer.close()
    day = rb"Date: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT\r\n"
    assert re.search(day, wire.sent)


@pytest.mark.parametrize(
    ("settings", "client"),
    [
        ({}, ""),
        ({"accesslog": "-"}, CLIENT),
        ({"proxy_protocol": "v1"}, CLIENT),
        ({"certfile": "x"}, CLIENT),
        ({"statsd_host": "x:1"}, CLIENT),
    ],
)
def test_unusual_settings_use_gunicorns_own_environ(settings: dict[str, str], client: Any) -> None:
    cfg = Config()
    for name, value in settings.items():
        cfg.set(name, value)
    assert common_environ(cfg, client, SERVER) is None


@pytest.mark.parametrize(
    ("framing", "body", "read_first", "last"),
    [
        ("Content-Length: 65536", b"a" * 65536, 0, b"keep-alive"),
        ("Content-Length: 65537", b"a" * 65537, 0, b"close"),
        ("Content-Length: 65537", b"a" * 65537, 65537, b"keep-alive"),
        ("Transfer-Encoding: chunked", b"1\r\na\r\n0\r\n\r\n", 0, b"close"),
        ("Transfer-Encoding: chunked", b"1\r\na\r\n0\r\n\r\n", 2, b"keep-alive"),
    ],
)
def test_long_unread_body_closes_the_connection(
    framing: str, body: bytes, read_first: int, last: bytes
) -> None:
    wire = Wire()
    req = read(f"POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode() + body)
    req.body.read(read_first)
    answer = Answer(req, wire, CFG)
    answer.start_response("401 UNAUTHORIZED", [("Content-Length", "0")])
    answer.close()
    assert b"Connection: " + last in wire.sent
    assert answer.should_close() == (last == b"close")


def test_unread_body_is_detected() -> None:
    req = read(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    assert not is_read(req)
    assert req.body.read() == b"abc"
    assert is_read(req)
    chunked = read(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert not is_read(chunked)
