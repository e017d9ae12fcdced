"""A strict JSON parser: it rejects JSON that two parsers could read differently."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from payment_service.errors import BadRequest

# An order_id may be an integer of up to 200 digits; Python itself parses 4,300 digits.
MAX_DIGITS = 200


def read_json_object(body: bytes) -> dict[str, Any]:
    """Parse `body` as a JSON object in UTF-8.

    Skips a byte order mark, as RFC 8259 (8.1) permits, because files saved on Windows start with
    one. Rejects ambiguous JSON: duplicate names, NaN, numbers beyond a double's range, lone
    surrogates. Raises BadRequest, code malformed_json.
    """
    text = _decoded(body)
    if not text.strip():
        _refuse("The body is empty: send a JSON object")
    found = _parsed(text)
    if not isinstance(found, dict):
        _refuse('The body must be a JSON object, like {"amount": 100, "order_id": "A-1"}')
    return found


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise _malformed("The body is not UTF-8 text") from wrong


def _parsed(text: str) -> Any:
    try:
        found = _decode(text)
        # A lone surrogate can only come from an escape, because the bytes are valid UTF-8.
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as wrong:
        raise _malformed(f"The body is not JSON: {_place(wrong)}") from wrong
    except RecursionError as wrong:
        raise _malformed("The JSON is nested too deeply") from wrong
    except UnicodeEncodeError as wrong:
        raise _malformed(
            "The JSON contains half of a surrogate pair (\\ud800 to \\udfff)"
        ) from wrong
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse("The JSON has the same name twice in one object, so its value is ambiguous")
    return found


def _constant(name: str) -> NoReturn:
    _refuse(f"The JSON contains {name}, which is not a JSON number")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        _refuse("The JSON contains a number that is too large")
    return number


def _int(digits: str) -> int | float:
    """Convert a longer integer to a float: no field accepts it, and the error names the field."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


# One shared decoder: `json.loads` with these options makes a new one on each call.
_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
).decode


def _place(wrong: json.JSONDecodeError) -> str:
    return f"{wrong.msg} (line {wrong.lineno}, column {wrong.colno})"


def _refuse(message: str) -> NoReturn:
    raise _malformed(message)


def _malformed(message: str) -> BadRequest:
    return BadRequest(message, code="malformed_json")
