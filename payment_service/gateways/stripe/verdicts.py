"""A verdict on each of Stripe's answers: whether it is final, and whether to resend.

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
| 5xx that is a replay                | failed   | no         | saved: forever          |
| any other that is a replay          | unknown  | no         | saved: forever          |
| anything else                       | unknown  | no         | not known               |

Resending the same bytes under the same key is always safe, but useful only if the next answer can
differ. A server in front of Stripe's API answers 408 to a request that did not arrive in time, 421
to one on the wrong connection, and 425 to one in TLS early data. In all three cases it did not look
at the request. Every other 4xx (405, 410, 411, 413, 414, 415, 424, 431, ...) and every 3xx judges
the request itself, so a resend would get the same answer.

`Stripe-Should-Retry: true` or `false` overrides the third column; `Retry-After` overrides the wait.
Sources: docs.stripe.com/error-low-level, /api/idempotent_requests, /rate-limits.
"""

from __future__ import annotations

from collections.abc import Mapping

from payment_service.gateways.retry_after import retry_after
from payment_service.gateways.send_report import Meaning, Verdict


def judge(status: int | None, headers: Mapping[str, str], kind: str | None) -> Verdict:
    """Classify a send that returned no object by the table above.

    `headers` has lower-case names; `kind` is the error's `type` in the body, or None if the body
    was unreadable.
    """
    replayed = headers.get("idempotent-replayed") == "true"
    meaning, again = _row(status, kind, replayed=replayed)
    asked = headers.get("stripe-should-retry")
    if asked in ("true", "false") and not (replayed and meaning is Meaning.FAILED):
        again = asked == "true"
    wait = retry_after(headers)
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
