"""The record of one order, as the rules read and write it."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import KeyRecord, Order, State
from payment_service.payments.record.follow_up import FollowUp

NO_FOLLOW_UP = FollowUp.parse("")


class OrderRecord(Struct, frozen=True, dict=True):
    """A KeyRecord with its texts parsed; the fields have the same meaning.

    payments.record.records is the only place that turns one into the other.
    """

    order: Order
    attempt: int
    fingerprint: str
    sent: SentParams
    """The parameters of the attempt, sent or to be sent."""
    state: State
    owner: str
    locked_until: float
    first_sent_at: float
    updated_at: float
    version: int = 1
    saved_5xx: bool = False
    payment_intent_id: str | None = None
    payment_status: str | None = None
    follow_up: FollowUp = NO_FOLLOW_UP
    # Not a field, so that a copy has none: Records sets it on the instance.
    stored: ClassVar[KeyRecord | None] = None
    """This record as the store holds it; None for one that was not read or written."""

    @property
    def amount(self) -> int | None:
        """The PaymentIntent's amount when last seen, else the one that was sent."""
        seen = self.follow_up.amount
        return self.sent.params.get("amount") if seen is None else seen

    @property
    def currency(self) -> str | None:
        """The PaymentIntent's currency when last seen, else the one that was sent."""
        return self.follow_up.currency or self.sent.params.get("currency")

    @property
    def due_at(self) -> float | None:
        """When a background job has work with the record; None if never."""
        return self.follow_up.due_at

    def with_follow_up(self, **changes: Any) -> OrderRecord:
        """Return the record with these follow-up fields changed; the caller sets the version."""
        return replace(self, follow_up=replace(self.follow_up, **changes))
