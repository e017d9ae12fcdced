"""The server's own responses: our error shape, and CORS headers for listed origins only."""

from __future__ import annotations

import json

import pytest
from gunicorn.http.errors import (
    ConfigurationProblem,
    InvalidResponseHeader,
    LimitRequestHeaders,
    ParseException,
)
from hypothesis import given
from hypothesis import strategies as st

from payment_service.server.error_response import error_response

SHOP = "https://shop.example"
TOO_LONG = LimitRequestHeaders("limit request headers fields size")


def response(exc: Exception, head: bytes = b"") -> tuple[int, dict[str, str], dict[str, str]]:
    status, data = error_response(exc, head, {SHOP})
    lines, _, body = data.decode().partition("\r\n\r\n")
    line, *fields = lines.split("\r\n")
    assert line.startswith(f"HTTP/1.1 {status} ")
    headers = dict(each.split(": ", 1) for each in fields)
    assert headers["Content-Length"] == str(len(body))
    assert headers["Connection"] == "close"
    return status, headers, json.loads(body)


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (ParseException(), 400, "bad_request"),
        (TOO_LONG, 400, "bad_request"),
        (ConfigurationProblem("x"), 500, "internal"),
        (InvalidResponseHeader("x"), 500, "internal"),
        (RuntimeError("x"), 500, "internal"),
    ],
)
def test_shape_and_status(exc: Exception, status: int, code: str) -> None:
    found, _, body = response(exc)
    assert (found, body["code"]) == (status, code)
    assert body.keys() == {"error", "code", "action"}


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        (b"Origin: https://shop.example", True),
        (b"oRIGIN:https://shop.example \t", True),
        (b"Origin: https://shop.example.evil", False),
        (b"Origin: https://evil.example", False),
        (b"Origin: null", False),
        (b"X-Origin: https://shop.example", False),
    ],
)
def test_listed_origin_may_read_the_response(line: bytes, allowed: bool) -> None:
    head = b"GET / HTTP/1.1\r\nCookie: " + b"x" * 9000 + b"\r\n" + line + b"\r\n\r\n"
    _, headers, _ = response(TOO_LONG, head)
    assert headers.get("Access-Control-Allow-Origin") == (SHOP if allowed else None)
    assert headers["Vary"] == "Origin"


def test_origin_in_a_body_does_not_count() -> None:
    head = b"POST / HTTP/1.1\r\nbad\r\n\r\nx\r\nOrigin: https://shop.example\r\n"
    assert "Access-Control-Allow-Origin" not in response(TOO_LONG, head)[1]


def test_service_without_origins_says_nothing_of_cors() -> None:
    head = b"GET / HTTP/1.1\r\nOrigin: https://shop.example\r\n\r\n"
    assert b"Access-Control" not in error_response(TOO_LONG, head, ())[1]


@given(st.binary(max_size=200))
def test_head_of_a_stranger_adds_no_header(data: bytes) -> None:
    _, headers, _ = response(TOO_LONG, b"GET / HTTP/1.1\r\nOrigin: " + data + b"\r\n\r\n")
    assert headers.keys() <= {
        "Connection", "Content-Type", "Cache-Control", "Content-Length", "Vary",
        "Access-Control-Allow-Origin",
    }  # fmt: skip
