"""A verdict on each answer of Stripe's: whether it is final, and whether to send again.

| answer                              | meaning  | sent again | under the key           |
|-------------------------------------|----------|------------|-------------------------|
| 200 with a PaymentIntent            | answer   |            | saved                   |
| 200 with anything else              | unknown  | yes        | perhaps saved           |
| none: refused, lost, cut, timed out | unknown  | yes        | perhaps saved           |
| 400 idempotency_error               | misused  | no         | saved: something else   |
| 400, 402, 404                       | no       | no         | saved, but validation   |
| 401, 403                            | config   | no         | not saved               |
| 408, 421, 425 of Stripe's edge      | unknown  | yes        | not saved: not executed |
| 409 idempotency_key_in_use          | busy     | yes        | not yet saved           |
| 429, lock_timeout                   | limited  | yes        | not saved               |
| 5xx                                 | failed   | yes        | 500 saved, 503 not      |
| 5xx that is a replay                | failed   | no         | saved: for ever         |
| any other that is a replay          | unknown  | no         | saved: for ever         |
| anything else                       | unknown  | no         | not known               |

To send the same bytes again under the same key is always safe; it is worth its time only where the
next answer can be another one. A server in front of Stripe's API answers 408 to a request that did
not arrive in time, 421 to one on the wrong connection, 425 to one in TLS early data: none of them
looked at the request. Every other 4xx (405, 410, 411, 413, 414, 415, 424, 431, ...) and every 3xx
judges the request itself, and would judge it the same again.

`Stripe-Should-Retry: true` or `false` overrides the third column, `Retry-After` the wait.
Sources: docs.stripe.com/error-low-level, /api/idempotent_requests, /rate-limits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from payment_service.gateways.sends import Meaning, Verdict

# The longest wait that is believed: a rate is free again within seconds, an outage over in a day.
MOST_RETRY_AFTER_SECONDS = 86_400.0


def judge(status: int | None, headers: Mapping[str, str], kind: str | None) -> Verdict:
    """Understand a send that brought no object: the table above.

    `headers` with names in lower case; `kind` is the error's `type` in the body, or None where
    the body could not be read.
    """
    replayed = headers.get("idempotent-replayed") == "true"
    meaning, again = _row(status, kind, replayed=replayed)
    asked = headers.get("stripe-should-retry")
    if asked in ("true", "false") and not (replayed and meaning is Meaning.FAILED):
        again = asked == "true"
    wait = _seconds(headers.get("retry-after"))
    ids = headers.get("request-id"), headers.get("original-request")
    return Verdict(meaning, again, status, replayed, wait, *ids)


def _row(status: int | None, kind: str | None, *, replayed: bool) -> tuple[Meaning, bool]:
    match status:
        case None:
            return Meaning.NO_ANSWER, True
        case 400 if kind == "idempotency_error":
            return Meaning.MISUSED, False
        case 400 | 402 | 404 if kind is not None:
            return Meaning.NO, False
        case 401 | 403:
            return Meaning.CONFIG, False
        case 408 | 421 | 425:
            return Meaning.UNREADABLE, not replayed
        case 409:
            return Meaning.BUSY, True
        case 429:
            return Meaning.LIMITED, True
        case status if status >= 500:
            return Meaning.FAILED, not replayed
        case status if 200 <= status < 300:
            return Meaning.UNREADABLE, True
        case _:
            return Meaning.UNREADABLE, False


def _seconds(text: str | None) -> float | None:
    """Read Retry-After (RFC 9110): seconds, or a date."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text)
    return min(max(0.0, seconds), MOST_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def _seconds_until(text: str) -> float:
    """Return NaN for what is no date; a number in it may be too large for one."""
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return math.nan
