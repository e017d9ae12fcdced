"""Start the background jobs: the delivery of order events and the search for late PaymentIntents.

`payments.shop_events.outbox` decides which events are sent and when they are retried;
`payments.recovery.late_intents` decides when to look for late PaymentIntents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.background.loop import JobLoop
from payment_service.background.shop_webhook import ShopListener
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.payments.shop_events.outbox import Outbox

if TYPE_CHECKING:
    from payment_service.payments.payments import Payments
    from payment_service.settings import Settings


# The poll interval of an idle service. A search for late PaymentIntents is never urgent.
LOOK_UP_POLL_SECONDS = 5.0


def open_delivery(settings: Settings, payments: Payments) -> JobLoop | None:
    """Return the delivery loop of this mode's events, or None if ORDER_EVENTS_URL is not set."""
    if settings.order_events_url is None or settings.order_events_secret is None:
        return None
    named = settings.order_events_secret.get_secret_value().split(",")
    context = payments.orders.context
    shop = ShopListener(settings.order_events_url, [each.strip() for each in named], context.clock)
    livemode = settings.livemode
    return JobLoop(
        Outbox(
            context.records,
            shop,
            context.clock,
            context.observe,
            ours=lambda order: order.livemode == livemode,
        )
    )


def start_late_look_ups(settings: Settings, payments: Payments) -> None:
    """Look in a thread of this process for late PaymentIntents of abandoned attempts."""
    look_ups = LateLookUps(
        payments.orders.context,
        lambda client_id: payments.orders_of(client_id).context,
        settings.request_budget_seconds,
    )
    JobLoop(look_ups, LOOK_UP_POLL_SECONDS).start()


def start_delivery(settings: Settings, payments: Payments) -> None:
    """Deliver order events in a thread of this process, if ORDER_EVENTS_URL is set."""
    loop = open_delivery(settings, payments)
    if loop is not None:
        loop.start()
