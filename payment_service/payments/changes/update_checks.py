"""Compare an update with the order that it is meant for, at any gateway."""

from __future__ import annotations

from msgspec import Struct

from payment_service.errors import Changed
from payment_service.gateways.intent import Intent
from payment_service.payments.record.follow_up import MAX_CHANGES, FollowUp
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.request.existing_order import UpdateRequest


class Updated(Struct, frozen=True):
    """`revision` counts the updates; `replayed`: this update had already been applied."""

    intent: Intent
    revision: int
    replayed: bool


def is_applied(request: UpdateRequest, kept: FollowUp, intent: Intent) -> bool:
    """Whether this update was the last one, and the payment has its price."""
    price = {"amount": request.amount, "currency": request.currency or intent.currency}
    return _is_last_applied(request, kept) and intent.costs(price)


def compare(request: UpdateRequest, record: OrderRecord, intent: Intent) -> None:
    """Reject an update that the caller meant for another state of the order. Raises Changed."""
    kept = record.follow_up
    if request.expected_revision is not None:
        if request.expected_revision != kept.revision:
            raise changed("This order was updated since.", record, intent)
    elif request.without_revision in kept.sent[:-1] or _is_last_applied(request, kept):
        raise changed(
            "This update came before, and the order changed after it: to apply it once more, "
            "send it with expected_revision.",
            record,
            intent,
        )
    if request.expected_amount not in (None, intent.amount):
        raise changed("The amount is not the expected one.", record, intent)


def changed(message: str, record: OrderRecord, intent: Intent | None) -> Changed:
    """Return the error, with the order's present revision and amount."""
    amount = intent.amount if intent else record.amount
    return Changed(message, revision=record.follow_up.revision, amount=amount)


def known_updates(request: UpdateRequest, kept: FollowUp) -> tuple[str, ...]:
    """Return the fingerprints of the updates sent, with this one as the newest."""
    others = [each for each in kept.sent if each != request.without_revision]
    return (*others, request.without_revision)[-MAX_CHANGES:]


def _is_last_applied(request: UpdateRequest, kept: FollowUp) -> bool:
    last = kept.sent[-1:] == (request.without_revision,)
    return last and kept.revision == kept.last_revision
