"""The owner's changes to the entry of a capture: it renews its lease, or gives it back."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from payment_service.errors import PaymentError
from payment_service.payments.after_payment.entry_lease import Extend
from payment_service.payments.record import transitions
from payment_service.payments.record.money import CaptureEntry
from payment_service.payments.record.order_record import OrderRecord


def ended_by(
    mine: CaptureEntry,
    what: str,
    error: PaymentError | None,
    now: float,
    changes: dict[str, object],
) -> Callable[[OrderRecord], OrderRecord | None]:
    def over(held: OrderRecord) -> OrderRecord | None:
        entry = held.follow_up.capture
        if entry is None or _place(entry) != _place(mine):
            return None
        capture = replace(entry, owner=transitions.NO_OWNER, until=now, **changes)
        if error is None:
            return transitions.amended(held, capture=capture)
        noted = transitions.touched(held, now, what, code=error.code)
        return noted.with_follow_up(capture=capture)

    return over


def extension_of(mine: CaptureEntry) -> Extend:
    def extended(held: OrderRecord, until: float) -> OrderRecord | None:
        entry = held.follow_up.capture
        if entry is None or _place(entry) != _place(mine):
            return None
        return transitions.amended(held, capture=replace(entry, until=until))

    return extended


def _place(entry: CaptureEntry) -> tuple[str, str, str, int]:
    """The fields that tell whether an entry is still the one that its owner wrote."""
    return entry.intent_id, entry.state, entry.owner, entry.generation
