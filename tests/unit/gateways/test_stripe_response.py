"""Answers are parsed per HTTP and compared with the standard library; others are rejected."""

from __future__ import annotations

import http.client
import io
import socket
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.gateways.stripe.http.response import Answer, UnreadableAnswer, read_answer

OK = b"HTTP/1.1 200 OK\r\n"


def read(data: bytes) -> Answer:
    return read_answer(io.BytesIO(data))


@pytest.mark.parametrize(
    ("data", "status", "body", "last"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", 200, b"{}", False),
        (OK + b"Content-Length: 2\r\n\r\n{}more", 200, b"{}", False),
        (OK + b"Content-Length: 2\r\nConnection: Close\r\n\r\n{}", 200, b"{}", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b"", False),
        (b"HTTP/1.1 402 Payment Required\nContent-Length: 0\n\n", 402, b"", False),
        (b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", 408, b"", True),
        (b"HTTP/1.1 421 Misdirected\r\nContent-Length: 0\r\n\r\n", 421, b"", True),
        (b"HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n", 425, b"", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\n1", 200, b"1", False),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"\r\nall", 200, b"all", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, b"{}", False),
        (OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
         200, b"{}", True),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n1;a=b\r\n{\r\n1 \r\n}\r\n0\r\nT: x\r\n\r\n",
         200, b"{}", False),
    ],
)  # fmt: skip
def test_answer_is_parsed(data: bytes, status: int, body: bytes, last: bool) -> None:
    answer = read(data)
    assert (answer.status_code, answer.content, answer.last) == (status, body, last)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK",
        b"HTTP/2 200\r\n\r\n",
        b"<html>",
        b"HTTP/1.1 999 What\r\n\r\n",
        OK,
        OK + b"no colon\r\n\r\n",
        OK + b" folded: x\r\n\r\n",
        OK + b"X: 1\r\n folded\r\n\r\n",
        OK + b"X: a\rb\r\n\r\n",
        OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
        OK + b"X: x\r\n" * 300 + b"\r\n",
        OK + b"Content-Length: 5\r\n\r\n{}",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
    ],
)
def test_malformed_answer_is_rejected(data: bytes) -> None:
    with pytest.raises(UnreadableAnswer):
        read(data)


def test_header_look_up_ignores_case() -> None:
    headers = read(OK + b"Request-Id:  req_1 \r\nX: a\r\nx: b\r\nContent-Length: 0\r\n\r\n").headers
    assert headers["request-id"] == headers.get("REQUEST-ID") == "req_1"
    assert "Request-Id" in headers
    assert headers["X"] == "a, b"
    assert headers.get("absent") is None


NAMES = st.text("abcXYZ-", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)


@given(st.integers(200, 599), st.dictionaries(NAMES, VALUES), st.binary(max_size=50))
def test_parser_agrees_with_the_standard_library(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} Said\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    data = head.encode() + body
    theirs = http.client.HTTPResponse(cast(socket.socket, _Socket(data)))
    theirs.begin()
    ours = read(data)
    assert (ours.status_code, ours.content) == (theirs.status, theirs.read())
    for name in headers:
        assert ours.headers[name] == theirs.getheader(name)


@given(st.one_of(st.binary(), st.binary().map(lambda tail: OK + tail)))
def test_random_bytes_are_an_answer_or_unreadable(data: bytes) -> None:
    try:
        read(data)
    except UnreadableAnswer:
        return


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)
