"""A verdict on each of PayPal's answers: whether it is final, and whether to resend.

| answer                              | meaning  | sent again |
|-------------------------------------|----------|------------|
| 2xx with the order                  | answer   |            |
| 2xx with anything else              | unknown  | yes        |
| none: refused, lost, cut, timed out | unknown  | yes        |
| 400, 404, 415, 422 of PayPal's API  | no       | no         |
| 401                                 | config   | no         |
| 403 of PayPal's API                 | config   | no         |
| 408, 421, 425 of a server before it | unknown  | yes        |
| 409                                 | busy     | yes        |
| 429                                 | limited  | yes        |
| 5xx                                 | failed   | yes        |
| anything else                       | unknown  | no         |

An answer is of PayPal's API if its body is PayPal's error object. A page of HTML with the same
status comes from a server before it and tells nothing. Except for 401, which the gateway answers
with a new token, a resend is always the same bytes under the same request id.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from payment_service.gateways.calls import plain_id
from payment_service.gateways.retry_after import retry_after
from payment_service.gateways.send_report import Meaning, Verdict


class Problem(Struct, frozen=True):
    """PayPal's error: its name, the first issue, and the sentence, which may change.

    `page`: where the shopper must act, if the error links to it.
    """

    name: str
    issue: str
    message: str
    debug_id: str | None = None
    page: str | None = None

    @property
    def word(self) -> str:
        """The most exact machine-readable word."""
        return self.issue or self.name


def judge(status: int, headers: Mapping[str, str], problem: Problem | None) -> Verdict:
    """Classify a send that returned no order. `headers` has lower-case names."""
    meaning, again = _row(status, from_api=problem is not None)
    in_body = problem.debug_id if problem else None
    debug_id = plain_id(headers.get("paypal-debug-id")) or in_body
    wait = retry_after(headers)
    return Verdict(meaning, again, status, retry_after_seconds=wait, request_id=debug_id)


def _row(status: int, *, from_api: bool) -> tuple[Meaning, bool]:
    match status:
        case 400 | 404 | 415 | 422 if from_api:
            return Meaning.NO, False
        case 401:
            return Meaning.CONFIG, False
        case 403 if from_api:
            return Meaning.CONFIG, False
        case 408 | 421 | 425:
            return Meaning.UNREADABLE, True
        case 409:
            return Meaning.BUSY, True
        case 429:
            return Meaning.LIMITED, True
        case status if status >= 500:
            return Meaning.FAILED, True
        case status if 200 <= status < 300:
            return Meaning.UNREADABLE, True
        case _:
            return Meaning.UNREADABLE, False
