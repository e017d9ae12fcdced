"""The commands that work on the orders: deliver and orders."""

from __future__ import annotations

import json
import signal
import time

import click

from payment_service.background.enlisting import Enlisting
from payment_service.background.loop import JobLoop
from payment_service.background.start import open_delivery
from payment_service.cli import order_list
from payment_service.cli.opening import OpenService, instant, name, opened, plain_errors
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.key_store.contract import Order
from payment_service.payments.changes.free import check_missing, free_order
from payment_service.payments.changes.listing import OrderFilter
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.request.existing_order import OrderRequest
from payment_service.payments.request.order_list import UNKNOWN
from payment_service.payments.shop_events.outbox import unparked

# A screenful or two; the newest ones.
DEFAULT_LIMIT = 100


def deliver_command(open_service: OpenService) -> click.Command:
    """Return the command, which calls `open_service` when it runs."""

    @click.command("deliver")
    @click.option("--once", is_flag=True, help="Deliver what is due now, and end.")
    @click.option("--parked", is_flag=True, help="Try what was given up once more, for three days.")
    def deliver(once: bool, parked: bool) -> None:
        """Deliver order events to their receivers until told to stop."""
        parts = opened(open_service)
        loop = open_delivery(parts.settings, parts.payments, parts.receivers, parts.tracing)
        if loop is None:
            raise click.ClickException(
                "Order events have no receiver: set ORDER_EVENTS_URL, or order_events_url in the "
                "clients file"
            )
        parts.metrics.serve()
        with plain_errors():
            if parked:
                records, livemode = parts.payments.orders.context.records, parts.settings.livemode
                click.echo(f"{unparked(records, time.time(), livemode=livemode)} to try again")
            if once:
                click.echo(f"{loop.run_once()} delivered")
                return
        _run_until_told(loop)

    return deliver


def orders_group(open_service: OpenService) -> click.Group:
    """Return the commands of `orders`, which call `open_service` when they run."""

    @click.group("orders")
    def orders() -> None:
        """Look at orders, and free one whose payment is gone or was taken before."""

    orders.add_command(_show(open_service))
    orders.add_command(_list(open_service))
    orders.add_command(_free(open_service))
    orders.add_command(_enlist(open_service))
    return orders


def _show(open_service: OpenService) -> click.Command:
    @click.command("show")
    @click.argument("order_id", callback=name)
    @click.option("--client", "client_id", callback=name, help="Whose order it is.")
    @click.option("--refresh", is_flag=True, help="Ask the gateway first.")
    def show(order_id: str, client_id: str | None, refresh: bool) -> None:
        """Print an order's record and its history."""
        payments = opened(open_service).payments
        request = OrderRequest(order_id=order_id, client_id=client_id)
        with plain_errors():
            status = payments.orders_of(client_id).status(request, refresh=refresh)
        click.echo(json.dumps(order_list.as_json(status), indent=2, ensure_ascii=False))

    return show


def _free(open_service: OpenService) -> click.Command:
    @click.command("free")
    @click.argument("order_id", callback=name)
    @click.option("--client", "client_id", callback=name, help="Whose order it is.")
    @click.option("--reason", default="freed by hand", help="A note for the order's history.")
    @click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
    def free(order_id: str, client_id: str | None, reason: str, yes: bool) -> None:
        """Free an order whose payment its gateway does not know, or that was paid before.

        The next request for the order creates another PaymentIntent, after it has looked for one at
        Stripe. In live mode first make sure that the key is the right account's: Stripe deletes no
        live PaymentIntent. Nothing is freed while Stripe shows the PaymentIntent.

        PayPal may say that the order was paid before, with a payment that no record has. First
        find that payment in PayPal's dashboard, and refund it or keep it: freeing lets the order be
        paid again.
        """
        parts = opened(open_service)
        context = parts.payments.orders_of(client_id).context
        order = Order(parts.settings.livemode, client_id, order_id)
        deadline = Deadline.after(parts.settings.request_budget_seconds)
        with plain_errors():
            record = check_missing(context, order, deadline)
            click.echo(_why(record))
            if not yes:
                click.confirm("Let the order be created, and paid, again?", abort=True)
            free_order(context, record, reason)
        click.echo("Freed: the next request for the order creates another PaymentIntent.")

    return free


def _why(record: OrderRecord) -> str:
    known = f"Recorded status: {record.payment_status}."
    if record.follow_up.paid_before:
        gateway = record.sent.gateway
        return f"The order was paid at {gateway} before, and no record has that payment. {known}"
    if record.sent.gateway == DEFAULT_GATEWAY:
        return f"Stripe does not know {record.payment_intent_id}. {known}"
    return f"{record.sent.gateway} does not know {record.payment_intent_id}. {known}"


def _list(open_service: OpenService) -> click.Command:
    @click.command("list")
    @click.option(
        "--status",
        "statuses",
        multiple=True,
        type=click.Choice(order_list.STATUSES),
        help="Only these; repeat it for several.",
    )
    @click.option("--unknown", is_flag=True, help="The same as --status unknown.")
    @click.option("--alarms", is_flag=True, help="Only those that a person must look at.")
    @click.option("--client", "client_id", callback=name, help="Only this client's.")
    @click.option(
        "--since", callback=instant, help="Changed since: 30m, 12h, 7d, or a day: 2026-11-01."
    )
    @click.option("--until", callback=instant, help="Changed before; as --since.")
    @click.option(
        "--limit",
        type=click.IntRange(1, 1_000_000),
        default=DEFAULT_LIMIT,
        show_default=True,
        help="Show at most this many, newest first.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
    def list_(
        statuses: tuple[str, ...],
        unknown: bool,
        alarms: bool,
        client_id: str | None,
        since: float | None,
        until: float | None,
        limit: int,
        as_json: bool,
    ) -> None:
        """Print orders, the one that changed last first. Times are UTC.

        An alarm is a second payment (two_paid, stray_paid), a refund that was made twice
        (refunded_twice), an order event that was given up (event_parked), an open dispute
        (disputed), a payment that no record has (paid_before), or a refund or capture whose outcome
        is unknown for a quarter of an hour (refund_unknown, capture_unknown).
        """
        orders = opened(open_service).payments.orders
        chosen = frozenset(statuses) | ({UNKNOWN} if unknown else set())
        wanted = OrderFilter(orders.livemode, chosen, client_id, since, until, alarms)
        with plain_errors():
            found, more = order_list.newest(orders, wanted, limit)
        for each in found if as_json else ():
            click.echo(order_list.json_line(each))
        if not as_json:
            click.echo(order_list.table(found))
        if more:
            click.echo("older ones are not shown: see --limit", err=True)

    return list_


def _enlist(open_service: OpenService) -> click.Command:
    @click.command("enlist")
    def enlist() -> None:
        """Add to the lists the orders that an earlier release wrote last.

        The service does so in the background after an upgrade. With Redis, run this when the last
        process of the earlier release has ended.
        """
        records = opened(open_service).payments.orders.context.records
        with plain_errors():
            count = JobLoop(Enlisting(records, time.time, again=True)).run_once()
        click.echo(f"{count} added to the lists")

    return enlist


def _run_until_told(loop: JobLoop) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    loop.run()
