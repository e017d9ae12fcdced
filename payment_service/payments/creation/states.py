"""The results of a step of a creation."""

from __future__ import annotations

from dataclasses import dataclass

from payment_service.errors import PaymentError
from payment_service.gateways.intent import Intent
from payment_service.key_store.contract import KeyRecord


@dataclass(frozen=True, slots=True)
class Created:
    """The order's PaymentIntent. `replayed`: it had one before this request."""

    intent: Intent
    replayed: bool


@dataclass(frozen=True, slots=True)
class Owned:
    """An attempt that is ours to send. `inherited`: another process may have sent it before.

    `sent_until`: when the last of those sends had ended (Unix seconds); None: not long ago.
    `begun`: this request began the attempt, so that no other has sent its key on this record.
    """

    record: KeyRecord
    inherited: bool
    sent_until: float | None = None
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Over:
    """The attempt can hold no payable PaymentIntent whose secret was released (rule 3).

    `failed`: what this request was answered under its key, where that was a saved 5xx.
    """

    failed: PaymentError | None = None
