"""Start the background jobs: order events, late PaymentIntents, approvals, witnesses, the lists.

`payments.shop_events.outbox` decides which events are sent and when they are retried;
`payments.recovery.late_intents` decides when to look for late PaymentIntents;
`payments.gated.approvals` looks at given-out payments at the times that their records hold;
`payments.recovery.witnesses` marks paid orders at the open gateway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.background.enlisting import Enlisting
from payment_service.background.loop import JobLoop, Lanes
from payment_service.background.receivers import Posts, Receivers
from payment_service.http_client.opening import network_of
from payment_service.payments.gated.approvals import Approvals
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.payments.recovery.witnesses import Pace, Witnesses
from payment_service.payments.shop_events.outbox import Outbox
from payment_service.telemetry.tracing.none import NoTracing

if TYPE_CHECKING:
    from payment_service.payments.payments import Payments
    from payment_service.settings import Settings


# The poll interval of an idle service. A look at a gateway is never urgent.
LOOK_UP_POLL_SECONDS = 5.0

# A key store answers at once that its lists lack nothing.
ENLIST_POLL_SECONDS = 60.0

NO_TRACING = NoTracing()


def open_delivery(
    settings: Settings,
    payments: Payments,
    receivers: Receivers,
    tracing: NoTracing = NO_TRACING,
) -> JobLoop | None:
    """Return the delivery loop of this mode's events, or None if no client has a receiver."""
    if not receivers:
        return None
    context, livemode = payments.orders.context, settings.livemode
    # A slow receiver occupies its own lane only.
    lanes = Lanes(receivers.of)
    posts = Posts(receivers, context.clock, network_of(settings), tracing.outgoing_headers)
    outbox = Outbox(
        context.records,
        tracing.traced_post(posts),
        context.clock,
        context.observe,
        ours=lambda order: (
            order.livemode == livemode and receivers.any_for(order) and lanes.is_free(order)
        ),
    )
    return JobLoop(tracing.traced_job(outbox, "deliver order event"), lanes=lanes)


def start_late_look_ups(
    settings: Settings, payments: Payments, tracing: NoTracing = NO_TRACING
) -> None:
    """Look in a thread of this process for late PaymentIntents of abandoned attempts."""
    look_ups = LateLookUps(
        payments.orders.context,
        lambda client_id: payments.orders_of(client_id).context,
        settings.request_budget_seconds,
    )
    job = tracing.traced_job(look_ups, "look for late PaymentIntents")
    JobLoop(job, LOOK_UP_POLL_SECONDS).start()


def open_approvals(
    settings: Settings, payments: Payments, tracing: NoTracing = NO_TRACING
) -> JobLoop | None:
    """Return the loop that looks for approvals, or None if no account has a gated gateway."""
    if not any(context.gated for context, _ in payments.accounts()):
        return None
    approvals = Approvals(
        payments.orders.context,
        lambda client_id: payments.orders_of(client_id).context,
        settings.request_budget_seconds,
    )
    job = tracing.traced_job(approvals, "look for approvals")
    return JobLoop(job, LOOK_UP_POLL_SECONDS)


def start_approvals(
    settings: Settings, payments: Payments, tracing: NoTracing = NO_TRACING
) -> None:
    """Look for approvals in a thread of this process, if any account has a gated gateway."""
    loop = open_approvals(settings, payments, tracing)
    if loop is not None:
        loop.start()


def open_witnesses(
    settings: Settings, payments: Payments, tracing: NoTracing = NO_TRACING
) -> JobLoop | None:
    """Return the loop that makes witnesses, or None if no account has a gated gateway."""
    if not any(context.gated for context, _ in payments.accounts()):
        return None
    witnesses = Witnesses(
        payments.orders.context,
        lambda client_id: payments.orders_of(client_id).context,
        settings.request_budget_seconds,
        Pace(payments.orders.context.clock),
    )
    return JobLoop(tracing.traced_job(witnesses, "make witnesses"), LOOK_UP_POLL_SECONDS)


def start_witnesses(
    settings: Settings, payments: Payments, tracing: NoTracing = NO_TRACING
) -> None:
    """Make witnesses in a thread of this process, if any account has a gated gateway."""
    loop = open_witnesses(settings, payments, tracing)
    if loop is not None:
        loop.start()


def start_enlisting(payments: Payments) -> None:
    """Add in a thread of this process to the lists what an earlier release wrote."""
    context = payments.orders.context
    JobLoop(Enlisting(context.records, context.clock), ENLIST_POLL_SECONDS).start()


def start_delivery(
    settings: Settings,
    payments: Payments,
    receivers: Receivers,
    tracing: NoTracing = NO_TRACING,
) -> None:
    """Deliver order events in a thread of this process, if any client has a receiver."""
    loop = open_delivery(settings, payments, receivers, tracing)
    if loop is not None:
        loop.start()
