"""Strict JSON: one reading for everybody, or none at all."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from payment_service.errors import BadRequest

# An order_id may be an integer and has at most 200 characters; Python itself reads 4,300 digits.
MAX_DIGITS = 200


def read_json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that `body` holds.

    UTF-8 only; a byte order mark in front is passed over, as RFC 8259 (8.1) lets a reader do,
    because files that are saved on Windows begin with one. What two readers could take for two
    things is refused: a name given twice, NaN, a number past a double's range, a lone surrogate.
    Raises BadRequest, code malformed_json.
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
        # Only an escape can bring one in: the bytes were UTF-8.
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as wrong:
        raise _malformed(f"The body is not JSON: {_place(wrong)}") from wrong
    except RecursionError as wrong:
        raise _malformed("The JSON is nested too deeply") from wrong
    except UnicodeEncodeError as wrong:
        raise _malformed("The JSON holds half of a surrogate pair (\\ud800 to \\udfff)") from wrong
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse("The JSON has the same name twice in one object: which value counts is not clear")
    return found


def _constant(name: str) -> NoReturn:
    _refuse(f"The JSON holds {name}, which is not a JSON number")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        _refuse("The JSON holds a number that is too large")
    return number


def _int(digits: str) -> int | float:
    """A longer one becomes what no field takes, so that its field is named."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


# Made once: `json.loads` would make one for each body.
_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
).decode


def _place(wrong: json.JSONDecodeError) -> str:
    return f"{wrong.msg} (line {wrong.lineno}, column {wrong.colno})"


def _refuse(message: str) -> NoReturn:
    raise _malformed(message)


def _malformed(message: str) -> BadRequest:
    return BadRequest(message, code="malformed_json")
