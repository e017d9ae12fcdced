"""Dependencies of the payment flow, injected so that tests can replace them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping

from msgspec import Struct, field

from payment_service.errors import Misconfigured
from payment_service.gateways.contract import GatedGateway, Gateway, PaymentMoney
from payment_service.gateways.intent import Intent
from payment_service.key_store.contract import Order
from payment_service.payments.failover import Failover
from payment_service.payments.observer import Observation, Observe, What, ignore
from payment_service.payments.record.lease_keeper import LeaseKeeper
from payment_service.payments.record.lease_watch import LeaseWatch
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.records import Records
from payment_service.payments.record.transitions import LEASE_SECONDS, Lease
from payment_service.payments.shop_events.catalogue import with_event, with_gateway_named


class Timing(Struct, frozen=True):
    """Durations in seconds.

    `lock` is longer than any request works on an order. A claim that its owner does not renew
    holds for so long: an update's. `store` is the time that calls to Stripe leave for the last
    write.
    """

    lock: float
    store: float


def new_owner() -> str:
    """Return a random text that no other claim has."""
    return secrets.token_hex(16)


class Context(Struct, frozen=True):
    """The dependencies that all requests of a process share."""

    records: Records
    gateway: Gateway
    """The gateway of new attempts."""
    timing: Timing
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    owner: Callable[[], str] = new_owner
    observe: Observe = ignore
    listened: Callable[[Order], bool] = lambda _: False
    """Whether a shop listens to the order's events. If not, its record keeps none."""
    serves: Callable[[Order], bool] = lambda _: True
    """Whether the order is in the account that `gateway` uses, by this process's settings."""

    leases: LeaseKeeper = field(default_factory=LeaseKeeper)
    """Renews the leases of the attempts that this process is at."""
    watch: LeaseWatch = field(default_factory=LeaseWatch)
    """The leases that the requests of this process wait for."""

    other_gateways: Mapping[str, Gateway] = field(default_factory=dict)
    """The open gateways other than `gateway`, by name, for the records that name one of them."""
    gated: Mapping[str, GatedGateway] = field(default_factory=dict)
    """The gated gateways of this account, by name."""
    several_gateways: bool = False
    """Whether any order may be at another gateway than `gateway` (rule 14)."""
    failover: Failover | None = None
    """The terms of a switch; None: no new attempt begins at a gated gateway."""

    def is_gated(self, record: OrderRecord) -> bool:
        """Whether the attempt is at a gated gateway: then nothing given out takes money."""
        return record.sent.gateway in self.gated

    def check_configured(self, record: OrderRecord) -> None:
        """Raise Misconfigured if the record names a gateway that is not configured here."""
        self.gated_of(record)

    def gated_gateway_of(self, record: OrderRecord) -> GatedGateway:
        """Return the gated gateway that the record names. Raises Misconfigured if it names none."""
        gateway = self.gated.get(record.sent.gateway)
        if gateway is None:
            raise Misconfigured("This order is not at a gated gateway.")
        return gateway

    def gated_of(self, record: OrderRecord) -> GatedGateway | None:
        """Return the gated gateway that the record names; None if it names an open one.

        Raises Misconfigured if the record names a gateway that is not configured here.
        """
        gated = self.gated.get(record.sent.gateway)
        if gated is None:
            self.gateway_of(record)
        return gated

    def gateway_of(self, record: OrderRecord) -> Gateway:
        """Return the gateway to which the record's attempt was or will be sent.

        Raises Misconfigured if that gateway is not configured here. Another one would not know the
        attempt's key and would create a second payment.
        """
        return self.open_gateway(record.sent.gateway)

    def money_of(self, record: OrderRecord) -> PaymentMoney:
        """Return the money of the record's payment, whichever kind of gateway has it.

        Raises Misconfigured if the record names a gateway that is not configured here.
        """
        gated = self.gated_of(record)
        return self.gateway_of(record) if gated is None else gated.money(record.sent)

    def open_gateway(self, name: str) -> Gateway:
        """Return the open gateway of this name. Raises Misconfigured if it is not configured."""
        if name == self.gateway.facts.name:
            return self.gateway
        if name not in self.other_gateways:
            raise Misconfigured("This order is at a payment gateway that is not configured here.")
        return self.other_gateways[name]

    def lease(self) -> Lease:
        """Return the terms of a claim that starts now."""
        return Lease(self.owner(), self.clock(), LEASE_SECONDS)

    def with_shop_event(self, record: OrderRecord, intent: Intent) -> OrderRecord:
        """Return the record with the shop event of its PaymentIntent, if any, in its outbox.

        One write stores both the state and the event: no order is recorded as paid without its
        event.
        """
        if not self.listened(record.order):
            return record
        return self.naming_gateway(record, with_event(record, intent, self.clock()))

    def naming_gateway(self, before: OrderRecord, after: OrderRecord) -> OrderRecord:
        """Return `after`; its new shop events name the gateway, where there are several."""
        return with_gateway_named(before, after) if self.several_gateways else after

    def report(
        self, what: What, record: OrderRecord, **facts: str | int | float | bool | None
    ) -> None:
        """Tell the observers what happened to a record's order."""
        self.observe(Observation(what, record.order, record.attempt, facts))
