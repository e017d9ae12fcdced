"""Start the background jobs: the delivery of order events and the search for late PaymentIntents.

`payments.shop_events.outbox` decides which events are sent and when they are retried;
`payments.recovery.late_intents` decides when to look for late PaymentIntents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.background.loop import Courier, Lanes
from payment_service.background.receivers import Posts, Receivers
from payment_service.http_client.opening import network_of
from payment_service.payments.recovery.late_intents import SecondLooks
from payment_service.payments.shop_events.outbox import Outbox

if TYPE_CHECKING:
    from payment_service.payments.payments import Payments
    from payment_service.settings import Settings


# The poll interval of an idle service. A search for late PaymentIntents is never urgent.
LOOK_POLL_SECONDS = 5.0


def open_courier(settings: Settings, payments: Payments, receivers: Receivers) -> Courier | None:
    """Return the delivery loop of this mode's events, or None if no client has a receiver."""
    if not receivers:
        return None
    tools, livemode = payments.orders.tools, settings.livemode
    # A slow receiver occupies its own lane only.
    lanes = Lanes(receivers.of)
    outbox = Outbox(
        tools.store,
        Posts(receivers, tools.clock, network_of(settings)),
        tools.clock,
        tools.observe,
        ours=lambda order: (
            order.livemode == livemode and receivers.any_for(order) and lanes.is_free(order)
        ),
    )
    return Courier(outbox, lanes=lanes)


def start_second_looks(settings: Settings, payments: Payments) -> None:
    """Look in a thread of this process for late PaymentIntents of abandoned attempts."""
    looks = SecondLooks(
        payments.orders.tools,
        lambda client_id: payments.orders_of(client_id).tools,
        settings.request_budget_seconds,
    )
    Courier(looks, LOOK_POLL_SECONDS).start()


def start_courier(settings: Settings, payments: Payments, receivers: Receivers) -> None:
    """Deliver order events in a thread of this process, if any client has a receiver."""
    courier = open_courier(settings, payments, receivers)
    if courier is not None:
        courier.start()
