"""Tell the shop: sign an order event, post it, and keep at it in a thread or a process.

The only module that talks to the shop; what is told, and when again, is
payments.shop_events.outbox's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.background.loop import Courier
from payment_service.background.shop_webhook import ShopListener
from payment_service.payments.recovery.late_intents import SecondLooks
from payment_service.payments.shop_events.outbox import Outbox

if TYPE_CHECKING:
    from payment_service.payments.payments import Payments
    from payment_service.settings import Settings


# How long a look, which is never urgent, may wait in an idle service.
LOOK_POLL_SECONDS = 5.0


def open_courier(settings: Settings, payments: Payments) -> Courier | None:
    """Return a deliverer of this mode's events; None where no shop listens."""
    if settings.order_events_url is None or settings.order_events_secret is None:
        return None
    named = settings.order_events_secret.get_secret_value().split(",")
    tools = payments.orders.tools
    shop = ShopListener(settings.order_events_url, [each.strip() for each in named], tools.clock)
    livemode = settings.livemode
    return Courier(
        Outbox(
            tools.store,
            shop,
            tools.clock,
            tools.observe,
            ours=lambda order: order.livemode == livemode,
        )
    )


def start_second_looks(settings: Settings, payments: Payments) -> None:
    """Look again, in a thread of this process, for what given-up attempts made after all."""
    looks = SecondLooks(
        payments.orders.tools,
        lambda client_id: payments.orders_of(client_id).tools,
        settings.request_budget_seconds,
    )
    Courier(looks, LOOK_POLL_SECONDS).start()


def start_courier(settings: Settings, payments: Payments) -> None:
    """Deliver in a thread of this process, if a shop listens."""
    courier = open_courier(settings, payments)
    if courier is not None:
        courier.start()
