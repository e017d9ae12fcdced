"""The fast parser reads every request as gunicorn's parser does."""

from __future__ import annotations

from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from payment_service.server.request_head import (
    MOST_BYTES,
    PlainRequest,
    PlainRequestParser,
    reads_plainly,
)

CLIENT = ("10.0.0.7", 40123)
PLAIN = b"POST /create-payment-intent HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


def config(**settings: Any) -> Config:
    """Return gunicorn.conf.py's settings, which trust no header."""
    cfg = Config()
    cfg.set("secure_scheme_headers", {})
    cfg.set("forwarder_headers", "")
    for name, value in settings.items():
        cfg.set(name, value)
    return cfg


CFG = config()


def read_by(parser: type[RequestParser], pieces: list[bytes]) -> object:
    """Return the parsed requests of a connection, and the error that ended it."""
    found: list[object] = []
    connection = parser(CFG, iter(pieces), CLIENT)
    try:
        found.extend((*_fields(req), req.body.read()) for req in connection)
    except (ParseException, OSError) as error:
        found.append((type(error), str(error)))
    return found


def _fields(req: Any) -> tuple[object, ...]:
    line = (req.method, req.uri, req.path, req.query, req.fragment, req.version, req.scheme)
    return (*line, req.headers, req._expected_100_continue, req.should_close())


METHODS = st.sampled_from(
    ["GET", "POST", "HEAD", "OPTIONS"] * 4 + ["PUT", "get", "CONNECT", "POST ", ""]
)
TARGETS = st.one_of(
    st.sampled_from(
        ["/", "*", "//x/y", "http://x/y", "/a?b?c", "/a#b", "/a?", "", "/%2e%zz", "x:1"]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=8).map("/".__add__),
    st.from_regex(r"\A/[a-z/;:@.]{0,9}(\?[a-z=&/?]{0,5})?\Z"),
)
VERSIONS = st.sampled_from(
    ["HTTP/1.1"] * 20 + ["HTTP/1.0", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", ""]
)
NAMES = st.one_of(
    st.sampled_from(
        ["Host", "Content-Length", "Connection", "Transfer-Encoding", "Expect", "Upgrade", "Accept"]
    ),
    st.sampled_from(["X-Forwarded-Proto", "X_Forwarded_For", "SCRIPT_NAME", " Folded", "Nö", ""]),
    *[st.from_regex(r"\A[A-Za-z0-9-]{1,6}\Z")] * 3,
)
VALUES = st.one_of(
    st.sampled_from(
        ["3", "0", "-1", "chunked", "close", "keep-alive", "100-continue", " x\t", "a,b"]
    ),
    *[st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=9)] * 4,
    st.text(st.characters(max_codepoint=0xFF), max_size=6),
)
ENDS = st.sampled_from(["\r\n"] * 60 + ["\n", "\r"])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    line = f"{draw(METHODS)} {draw(TARGETS)} {draw(VERSIONS)}{draw(ENDS)}"
    lines = draw(st.lists(st.tuples(NAMES, VALUES, ENDS), max_size=5))
    text = line + "".join(f"{name}: {value}{end}" for name, value, end in lines) + draw(ENDS)
    return text.encode("latin-1")


@given(st.lists(st.tuples(heads(), st.binary(max_size=6)), min_size=1, max_size=3))
@example([(PLAIN, b""), (PLAIN, b"")])
@example([(b"\r\n" + PLAIN, b"")])
@example([(PLAIN.replace(b"Host: x", b"Host: x\r\nHost: x"), b"")])
@example([(PLAIN.replace(b"Length: 2", b"Length: 2\r\nContent-Length: 2"), b"")])
@example([(PLAIN.replace(b"Length: 2", b"Length: 2\r\nTransfer-Encoding: chunked"), b"")])
@example([(PLAIN.replace(b"Host: x", b"X: " + b"x" * 4200), b"")])
@example([(PLAIN.replace(b"Host: x", b"\r\n".join(b"X%d: 1" % n for n in range(101))), b"")])
def test_requests_parse_as_in_gunicorn(sent: list[tuple[bytes, bytes]]) -> None:
    together = b"".join(head + body for head, body in sent)
    assert read_by(PlainRequestParser, [together]) == read_by(RequestParser, [together])


@given(st.integers(1, len(PLAIN) - 1))
def test_request_in_pieces_is_parsed(cut: int) -> None:
    pieces = [PLAIN[:cut], PLAIN[cut:]]
    assert read_by(PlainRequestParser, pieces) == read_by(RequestParser, [PLAIN])


def test_empty_input_ends_the_connection() -> None:
    assert read_by(PlainRequestParser, []) == []


@pytest.mark.parametrize("sent", [PLAIN, PLAIN.replace(b"x", b"y" * (MOST_BYTES - 500))])
def test_plain_request_takes_the_fast_path(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainRequest, "_parse_python", None)
    assert next(PlainRequestParser(CFG, iter([sent]), CLIENT)).method == "POST"


@pytest.mark.parametrize(
    ("settings", "plainly"),
    [
        ({}, True),
        ({"limit_request_line": 1000}, False),
        ({"limit_request_field_size": 1000}, False),
        ({"limit_request_fields": 10}, False),
        ({"secure_scheme_headers": {"X-FORWARDED-PROTO": "https"}}, False),
        ({"http_protocols": "h1,h2"}, False),
    ],
)
def test_other_gunicorn_settings_disable_the_fast_path(
    settings: dict[str, Any], plainly: bool
) -> None:
    assert reads_plainly(config(**settings)) is plainly
