"""Controls that act as the Dashboard and the bank: refunds, disputes and deleted test data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox import disputes, refunds
from sandbox.answers import JsonObject
from sandbox.authentication import Account
from sandbox.core import Sandbox
from sandbox.moment import Moment

Change = Callable[[Moment, JsonObject], JsonObject]

_OF_DISPUTES: dict[str, Change] = {
    "escalate": disputes.escalate,
    "lose": disputes.lose,
    "review": disputes.review,
    "win": disputes.win,
}
_OF_REFUNDS: dict[str, Change] = {
    "cancel": refunds.cancel,
    "require_action": refunds.require_action,
    "succeed": refunds.succeed,
}


def delete_intent(sandbox: Sandbox, intent_id: str) -> JsonObject:
    """Delete a PaymentIntent, as the Dashboard deletes an account's test data."""
    account = _owner(sandbox, "records", intent_id)
    return sandbox.books[account].ledger.delete(intent_id)


def refund_intent(
    sandbox: Sandbox,
    intent_id: str,
    amount: int | None = None,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
) -> JsonObject:
    """Refund a PaymentIntent in the Dashboard: an amount, or all that is left."""
    moment, charge = _charge_of(sandbox, intent_id)
    params: dict[str, Any] = {"reason": reason, "metadata": metadata or {}}
    if amount is not None:
        params["amount"] = amount
    return refunds.create(moment, charge, params)


def dispute_intent(
    sandbox: Sandbox,
    intent_id: str,
    amount: int | None = None,
    reason: str = "fraudulent",
    *,
    inquiry: bool = False,
) -> JsonObject:
    """Dispute a PaymentIntent as the shopper's bank does: an amount, or all that was captured."""
    if reason not in disputes.REASONS:
        raise ValueError(f"reason must be one of {', '.join(disputes.REASONS)}")
    moment, charge = _charge_of(sandbox, intent_id)
    return disputes.open_dispute(moment, charge, amount, reason, inquiry=inquiry)


def change_refund(sandbox: Sandbox, refund_id: str, verb: str, reason: str) -> JsonObject:
    """Let a refund succeed, fail with a failure_reason, be canceled or require an action."""
    account = _owner(sandbox, "refunds", refund_id)
    moment = sandbox.moment(account)
    refund = moment.ledger.refunds.get(refund_id)
    if verb == "fail":
        if reason not in refunds.FAILURE_REASONS:
            raise ValueError(f"reason must be one of {', '.join(refunds.FAILURE_REASONS)}")
        return refunds.fail(moment, refund, reason)
    return _OF_REFUNDS[verb](moment, refund)


def change_dispute(sandbox: Sandbox, dispute_id: str, verb: str) -> JsonObject:
    """Let a dispute be reviewed, won, lost or (an inquiry) escalated."""
    account = _owner(sandbox, "disputes", dispute_id)
    moment = sandbox.moment(account)
    return _OF_DISPUTES[verb](moment, moment.ledger.disputes.get(dispute_id))


def _charge_of(sandbox: Sandbox, intent_id: str) -> tuple[Moment, JsonObject]:
    moment = sandbox.moment(_owner(sandbox, "records", intent_id))
    intent = moment.ledger.get(intent_id)
    if intent["latest_charge"] is None:
        raise refunds.no_charge(intent_id)
    return moment, moment.ledger.charges.get(intent["latest_charge"])


def _owner(sandbox: Sandbox, collection: str, object_id: str) -> Account:
    for account, books in sandbox.books.items():
        if object_id in getattr(books.ledger, collection):
            return account
    raise ValueError(f"no such object: {object_id}")
