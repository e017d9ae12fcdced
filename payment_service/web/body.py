"""Reads request bodies, with a size limit; rejects incomplete and compressed ones."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from payment_service.errors import BadRequest

MAX_BODY_BYTES = 64 * 1024

# A Stripe event holds a PaymentIntent and its previous values: 25 KB of metadata alone, twice.
MAX_EVENT_BYTES = 512 * 1024

# Read and drop this much of a body that is too large: a client that is still sending when the
# connection closes sees a broken connection instead of the answer.
MAX_READ_BYTES = 4 * 1024 * 1024


# The name of a content coding (RFC 9110, 8.4.1) that is short enough for an error message.
_CODING = re.compile(r"[A-Za-z0-9-]{1,20}")


def read_body(
    read: Callable[[int], bytes],
    content_length: int | None,
    limit: int = MAX_BODY_BYTES,
    *,
    coding: str | None = None,
) -> bytes:
    """Read the body, at most `limit` bytes.

    `content_length` is None for a chunked body; `coding` is the Content-Encoding header. Raises
    BadRequest: encoded_body; too_large; or malformed_json for an incomplete body, because its first
    part may happen to be valid JSON.
    """
    if coding is not None:
        _check_coding(coding)
    try:
        body = _read_all(read, content_length, limit)
    except BadRequest:
        raise
    except Exception as broken:
        # Each server has its own exceptions for broken connections and malformed chunks.
        raise _incomplete() from broken
    if content_length is not None and content_length != len(body):
        raise _incomplete()
    return body


def _read_all(read: Callable[[int], bytes], content_length: int | None, limit: int) -> bytes:
    body, dropped, whole = b"", 0, content_length or math.inf
    while len(body) != whole and dropped < MAX_READ_BYTES and (piece := read(limit)):
        if dropped or len(body) + len(piece) > limit:
            dropped += len(piece)
        else:
            body += piece
    if dropped:
        raise BadRequest(f"The body is larger than {limit} bytes", code="too_large")
    return body


def _check_coding(header: str) -> None:
    """Reject every coding but identity. A few bytes of gzip can expand to gigabytes."""
    codings = [each.strip() for each in header.split(",")]
    other = next((each for each in codings if each.lower() not in ("", "identity")), None)
    if other is not None:
        shown = f"Content-Encoding: {other}" if _CODING.fullmatch(other) else "a Content-Encoding"
        message = f"The body has {shown}; send it without compression or another coding"
        raise BadRequest(message, code="encoded_body")


def _incomplete() -> BadRequest:
    return BadRequest("The body is incomplete", code="malformed_json")
