"""What the flow works with: everything that touches the world is given, so that tests own it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from payment_service.errors import Misconfigured
from payment_service.gateways.contract import Gateway
from payment_service.gateways.intent import Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import KeyRecord, KeyStore, Order
from payment_service.payments.observer import Happening, Observe, ignore
from payment_service.payments.record.transitions import Lease
from payment_service.payments.shop_events.catalogue import told


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds. `lock` is how long a claim holds: `lock_margin` longer than any
    request lasts (rule 5). `store` is kept back from Stripe for the last write.
    """

    lock: float
    lock_margin: float
    store: float


def new_owner() -> str:
    """Return a text that no other claim has."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Tools:
    """Shared by every request of a process; holds no state of its own."""

    store: KeyStore
    gateway: Gateway
    """The gateway of new attempts."""
    timing: Timing
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    owner: Callable[[], str] = new_owner
    observe: Observe = ignore
    listened: bool = False
    """Whether a shop listens to order events: without one, none are kept for it."""
    serves: Callable[[Order], bool] = lambda _: True
    """Whether the order is in the account that `gateway` speaks to, as far as is known here."""

    other_gateways: Mapping[str, Gateway] = field(default_factory=dict)
    """The gateways beside `gateway`, by name, for the records that name one of them."""

    def gateway_of(self, record: KeyRecord) -> Gateway:
        """Return the gateway that the record's attempt was sent to, or will be.

        Raises Misconfigured where that one is not known here: another knows nothing of the
        attempt's key, and would make a second payment.
        """
        name = SentParams.parse(record.params).gateway
        if name == self.gateway.facts.name:
            return self.gateway
        if name not in self.other_gateways:
            raise Misconfigured("This order is at a payment gateway that is not configured here.")
        return self.other_gateways[name]

    def lease(self) -> Lease:
        """Return the terms of a claim that is made now."""
        return Lease(self.owner(), self.clock(), self.timing.lock)

    def telling(self, record: KeyRecord, intent: Intent) -> KeyRecord:
        """Return the record with what its PaymentIntent gives to tell the shop, in its outbox.

        Written together with the state: what is paid is told, or the write did not happen.
        """
        return told(record, intent, self.clock()) if self.listened else record

    def saw(self, what: str, record: KeyRecord, **facts: str | int | float | bool | None) -> None:
        """Tell the observers what happened to a record's order."""
        self.observe(Happening(what, record.order, record.attempt, facts))
