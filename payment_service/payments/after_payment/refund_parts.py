"""The values that the steps of a refund pass on, and what is known of a key's outcome."""

from __future__ import annotations

import math

from msgspec import Struct

from payment_service.errors import GatewayFailed, PaymentError
from payment_service.gateways.facts import LATEST_ARRIVAL_SECONDS
from payment_service.gateways.refund import Refund
from payment_service.payments.record import transitions
from payment_service.payments.record.money import RefundEntry
from payment_service.payments.record.order_record import OrderRecord

# How long a caller should wait before it asks again for a refund whose key is spent.
ASK_AGAIN_SECONDS = 60.0

ANOTHER_REQUEST = "Another request works on this refund right now."


class Look(Struct, frozen=True):
    """The record, and then the gateway's list of refunds: in this order, see rule 26."""

    record: OrderRecord
    refunds: list[Refund]


class Claimed(Struct, frozen=True):
    """The entry that we own. `in_doubt`: another send of its key may have made or make the refund.

    `leased_at`: before the claim was written, in seconds of the deadline's clock.
    """

    look: Look
    entry: RefundEntry
    in_doubt: bool
    leased_at: float = -math.inf


class Done(Struct, frozen=True):
    """The gateway has the refund. `replayed`: its answer was a saved one."""

    refund: Refund
    replayed: bool


class KeyOver(Struct, frozen=True):
    """The gateway saved a rejection under the key before: it made nothing, and never will."""

    cause: PaymentError


class KeySpent(Struct, frozen=True):
    """The outcome is unknown, and the key tells nothing more: not now, and not later."""

    cause: PaymentError


Sent = Done | KeyOver | KeySpent


def may_appear(entry: RefundEntry, now: float) -> bool:
    """Whether the refund of a pending entry that the list does not show may yet appear."""
    # A clock that ran ahead may have written the time; no send lasts longer than a lock.
    ended = min(entry.sent_until, now + transitions.LONGEST_LOCK_SECONDS)
    return now - ended < LATEST_ARRIVAL_SECONDS


def unknown(cause: PaymentError | None = None) -> GatewayFailed:
    """Return the error for a refund whose outcome is not known yet."""
    return GatewayFailed(
        "The outcome of this refund is not known yet. Send the same request again: it will not be "
        "refunded twice.",
        request_id=cause.request_id if cause else None,
        retry_after_seconds=ASK_AGAIN_SECONDS,
    )
