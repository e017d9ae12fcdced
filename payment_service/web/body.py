"""The bytes of a request: whole and small, or refused."""

from __future__ import annotations

import math
from collections.abc import Callable

from payment_service.errors import BadRequest

MAX_BODY_BYTES = 64 * 1024

# Stripe's event holds a PaymentIntent, and what it was before: 25 KB of metadata alone, twice.
MAX_EVENT_BYTES = 512 * 1024

# Of a body that is too large this much is read and dropped: a client that is still sending when
# the connection closes sees a broken connection and not the answer.
MAX_READ_BYTES = 4 * 1024 * 1024


def read_body(
    read: Callable[[int], bytes], said_length: int | None, limit: int = MAX_BODY_BYTES
) -> bytes:
    """Return what `read` gives until it gives nothing, `limit` bytes at most.

    `said_length` is what the client announced; None for a chunked body. Raises BadRequest:
    too_large, or malformed_json for a body that broke off, because the part of it that came may
    happen to be JSON.
    """
    try:
        body = _all_of_it(read, said_length, limit)
    except BadRequest:
        raise
    except Exception as broken:
        # Each server has its own errors for a connection that breaks or chunks that do not add up.
        raise _broke_off() from broken
    if said_length is not None and said_length != len(body):
        raise _broke_off()
    return body


def _all_of_it(read: Callable[[int], bytes], said_length: int | None, limit: int) -> bytes:
    body, dropped, whole = b"", 0, said_length or math.inf
    while len(body) != whole and dropped < MAX_READ_BYTES and (piece := read(limit)):
        if dropped or len(body) + len(piece) > limit:
            dropped += len(piece)
        else:
            body += piece
    if dropped:
        raise BadRequest(f"The body is larger than {limit} bytes", code="too_large")
    return body


def _broke_off() -> BadRequest:
    return BadRequest("The body broke off before its end", code="malformed_json")
