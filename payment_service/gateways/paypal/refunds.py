"""PayPal's refund object, converted to a Refund, and the outcome of a refund that failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from payment_service.errors import Refused
from payment_service.gateways.calls import Call
from payment_service.gateways.intent import CANCELED
from payment_service.gateways.outcome import Declined, Failed, Unclear
from payment_service.gateways.paypal import issues
from payment_service.gateways.paypal.amounts import amount_of, value_of
from payment_service.gateways.paypal.errors import error_of, problem_of
from payment_service.gateways.paypal.names import is_order_id, order_of, refund_id_of
from payment_service.gateways.paypal.orders import (
    Expected,
    UnreadableOrder,
    order_names,
    read_order,
    seconds_of,
)
from payment_service.gateways.refund import Refund
from payment_service.gateways.retry import SendFailed

_STATUSES = {
    "COMPLETED": "succeeded",
    "PENDING": "pending",
    "FAILED": "failed",
    "CANCELLED": CANCELED,
}

# The statuses of a captured payment that has refunds.
_HAS_REFUNDS = frozenset({"REFUNDED", "PARTIALLY_REFUNDED"})


class CapturedPayment(Struct, frozen=True):
    """The captured payment of an order, and its refunds, newest first.

    `id` is None if nothing was captured.
    """

    id: str | None
    refunds: list[Refund]


def body(params: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the parameters of a refund.

    A pure function that must never change: a resend under a key has to be the same bytes.
    """
    currency = params["currency"]
    value = value_of(params["amount"], currency)
    return {
        "amount": {"value": value, "currency_code": currency.upper()},
        "custom_id": params["custom_id"],
    }


def read_captured(found: Any, expected: Expected) -> CapturedPayment:
    """Read the captured payment of an order, which is checked as `read_order` does.

    Raises as `read_order`, also if the payment says that it has refunds and none is shown: an
    incomplete answer must not look as if nothing had been refunded.
    """
    read_order(found, expected)
    (unit,) = found["purchase_units"]
    payments = unit.get("payments") or {}
    captures, rows = payments.get("captures") or [], payments.get("refunds") or []
    if not rows and any(each["status"] in _HAS_REFUNDS for each in captures):
        raise UnreadableOrder("a refunded payment without its refunds")
    refunds = [read_refund(row, expected) for row in rows]
    newest_first = sorted(refunds, key=lambda each: (each.created, each.id), reverse=True)
    return CapturedPayment(_checked_id(captures[-1]) if captures else None, newest_first)


def read_refund(found: Mapping[str, Any], expected: Expected) -> Refund:
    """Convert a refund. Raises LookupError, TypeError or ValueError for anything else.

    One with an unknown status counts, so it cannot be made again.
    """
    currency, reason = (
        expected.params["currency"],
        (found.get("status_details") or {}).get("reason"),
    )
    if found["amount"]["currency_code"] != currency.upper():
        raise UnreadableOrder("a refund in another currency")
    status = _STATUSES.get(found["status"], "pending")
    return Refund(
        id=_checked_id(found),
        intent_id=str(expected.id),
        amount=amount_of(found["amount"]["value"], currency),
        currency=currency,
        status=status,
        created=seconds_of(found.get("create_time")),
        metadata=_metadata(found.get("custom_id"), expected),
        failure_reason=reason if isinstance(reason, str) and status == "failed" else None,
    )


def read_made(
    found: Any, capture_id: str, params: Mapping[str, Any], expected: Expected
) -> Refund | str:
    """Convert the refund that we asked for; return only its id if the answer shows no amount.

    An answer matched to the wrong request would confirm a refund that was never made. Raises as
    `read_refund`.
    """
    refund_id = _checked_id(found)
    links = {each["rel"]: each["href"] for each in found.get("links") or ()}
    if "up" in links and not str(links["up"]).endswith(f"/captures/{capture_id}"):
        raise UnreadableOrder("a refund of another payment")
    if "amount" not in found:
        return refund_id
    named = {**found, "custom_id": found.get("custom_id", params["custom_id"])}
    refund = read_refund(named, expected)
    if refund.amount != params["amount"] or named["custom_id"] != params["custom_id"]:
        raise UnreadableOrder("another refund than was asked for")
    return refund


def outcome_of_failure(failed: SendFailed, call: Call) -> Failed:
    """Return the outcome of the last failed send.

    A 422 whose issue is unknown tells nothing. No 500 spends the request id: PayPal keeps it for
    longer than any refund stays unknown, and a resend is how it says what became of the refund.
    """
    error, problem = error_of(failed), problem_of(failed)
    issue = problem.issue if problem else ""
    known = failed.verdict.status != 422 or issue in issues.NOT_REFUNDED
    if not isinstance(error, Refused) or not known:
        return Unclear(error, saved_5xx=False)
    if issue in issues.NOTHING_LEFT:
        error = Refused(error.message, code="amount_too_large", request_id=error.request_id)
    return Declined(error, replayed=False, after_unresolved=call.after_unresolved)


def _metadata(named: object, expected: Expected) -> dict[str, str]:
    """Return the names of a refund of ours; none of one that was made elsewhere."""
    order = order_of(expected.params["custom_id"], livemode=expected.livemode)
    refund_id = refund_id_of(named, order) if order else None
    return {} if refund_id is None else {**order_names(expected), "refund_id": refund_id}


def _checked_id(found: Any) -> str:
    object_id = found.get("id") if isinstance(found, dict) else None
    if not is_order_id(object_id):
        raise UnreadableOrder("no id")
    return object_id
