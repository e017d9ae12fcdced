"""Reads request bodies, with a size limit; rejects incomplete ones."""

from __future__ import annotations

import math
from collections.abc import Callable

from payment_service.errors import BadRequest

MAX_BODY_BYTES = 64 * 1024

# A Stripe event holds a PaymentIntent and its previous values: 25 KB of metadata alone, twice.
MAX_EVENT_BYTES = 512 * 1024

# Read and drop this much of a body that is too large: a client that is still sending when the
# connection closes sees a broken connection instead of the answer.
MAX_READ_BYTES = 4 * 1024 * 1024


def read_body(
    read: Callable[[int], bytes], content_length: int | None, limit: int = MAX_BODY_BYTES
) -> bytes:
    """Read the body, at most `limit` bytes.

    `content_length` is None for a chunked body. Raises BadRequest: too_large, or malformed_json for
    an incomplete body, because its first part may happen to be valid JSON.
    """
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


def _incomplete() -> BadRequest:
    return BadRequest("The body is incomplete", code="malformed_json")
