"""The commands that work on the orders: reconcile, deliver, orders."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from payment_service.background.loop import JobLoop
from payment_service.background.start import open_delivery
from payment_service.errors import PaymentError
from payment_service.key_store.contract import StoreError
from payment_service.payments.request.existing_order import OrderRequest
from payment_service.payments.shop_events.outbox import unparked
from payment_service.schema.names import order_name

if TYPE_CHECKING:
    from payment_service.payments.payments import Payments
    from payment_service.payments.recovery.reconcile import Tally
    from payment_service.settings import Settings

# Stripe retries a webhook for three days. The operator may then return only after a weekend.
DEFAULT_SINCE = "7d"

TWO_PAID_EXIT, UNRESOLVED_EXIT = 2, 1

# Loads the settings and opens the service.
OpenService = Callable[[], "tuple[Settings, Payments]"]

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}


def order_commands(open_service: OpenService) -> list[click.Command]:
    """Return the commands. Each calls `open_service` when it runs, so --help needs no settings."""
    return [_reconcile(open_service), _deliver(open_service), _orders(open_service)]


def _reconcile(open_service: OpenService) -> click.Command:
    @click.command("reconcile")
    @click.option("--since", default=DEFAULT_SINCE, help="30m, 12h, 7d, or a day: 2026-11-01.")
    @click.option("--dry-run", is_flag=True, help="Change nothing.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    @click.option(
        "--restored",
        is_flag=True,
        help="After a backup: record lost orders that are not paid, too.",
    )
    def reconcile(since: str, dry_run: bool, as_json: bool, restored: bool) -> None:
        """Put right what a crash or a lost webhook left behind.

        Exit code 2: an order was paid twice. 1: an order could not be resolved.
        """
        from payment_service.payments.recovery.reconcile import Reconciler, Tally

        settings, payments = _opened(open_service)
        works = [
            Reconciler(
                context,
                livemode=settings.livemode,
                budget_seconds=settings.request_budget_seconds,
                dry_run=dry_run,
                restored=restored,
                of_client=of_client,
            )
            for context, of_client in payments.accounts()
        ]
        with _plain_errors():
            _walk(chain.from_iterable(work.steps(_instant(since)) for work in works))
        tally = sum((work.tally for work in works), Tally())
        click.echo(json.dumps(tally.shown()) if as_json else _table(tally))
        sys.exit(_exit_code(tally))

    return reconcile


def _deliver(open_service: OpenService) -> click.Command:
    @click.command("deliver")
    @click.option("--once", is_flag=True, help="Deliver what is due now, and end.")
    @click.option("--parked", is_flag=True, help="Try what was given up once more, for three days.")
    def deliver(once: bool, parked: bool) -> None:
        """Deliver order events to ORDER_EVENTS_URL until told to stop."""
        settings, payments = _opened(open_service)
        loop = open_delivery(settings, payments)
        if loop is None:
            raise click.ClickException("ORDER_EVENTS_URL is not set: nobody listens")
        with _plain_errors():
            if parked:
                records, livemode = payments.orders.context.records, settings.livemode
                click.echo(f"{unparked(records, time.time(), livemode=livemode)} to try again")
            if once:
                click.echo(f"{loop.run_once()} delivered")
                return
        _run_until_stopped(loop)

    return deliver


def _orders(open_service: OpenService) -> click.Group:
    @click.group("orders")
    def orders() -> None:
        """Look at orders."""

    @orders.command("show")
    @click.argument("order_id", callback=_name)
    @click.option("--client", "client_id", callback=_name, help="Whose order it is.")
    @click.option("--refresh", is_flag=True, help="Ask Stripe first.")
    def show(order_id: str, client_id: str | None, refresh: bool) -> None:
        """Print what is known of an order, and what happened to it."""
        _, payments = _opened(open_service)
        request = OrderRequest(order_id=order_id, client_id=client_id)
        with _plain_errors():
            status = payments.orders_of(client_id).status(request, refresh=refresh)
        click.echo(json.dumps(asdict(status), indent=2, ensure_ascii=False))

    @orders.command("list")
    @click.option("--unknown", is_flag=True, required=True, help="Those with an unknown outcome.")
    def list_(unknown: bool) -> None:  # noqa: ARG001
        """Print orders, one JSON object a line."""
        _, payments = _opened(open_service)
        with _plain_errors():
            for status in payments.orders.unknown():
                shown: dict[str, Any] = asdict(status)
                del shown["history"]
                click.echo(json.dumps(shown, ensure_ascii=False))

    return orders


def _opened(open_service: OpenService) -> tuple[Settings, Payments]:
    """Open the service; refuse a store in memory, whose orders no other process can see."""
    settings, payments = open_service()
    if settings.key_store_url.get_secret_value().startswith("memory:"):
        raise click.ClickException(
            "KEY_STORE_URL is memory://, which only the service itself can see: give it another "
            "store, like sqlite:///keys.db"
        )
    return settings, payments


def _run_until_stopped(loop: JobLoop) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    loop.run()


def _walk(steps: Iterable[object]) -> None:
    """Consume all steps, with a progress bar if stderr is a terminal."""
    if not sys.stderr.isatty():
        for _ in steps:
            pass
        return
    with click.progressbar(steps, label="orders", show_pos=True, file=sys.stderr) as bar:
        for _ in bar:
            pass


def _name(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    try:
        return None if given is None else order_name(given)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from None


def _instant(since: str) -> float:
    """Return the instant in Unix seconds."""
    ago = re.fullmatch(r"(\d{1,6})([mhd])", since)
    if ago:
        return time.time() - int(ago[1]) * _UNITS[ago[2]]
    try:
        day = datetime.fromisoformat(since)
    except ValueError:
        raise click.BadParameter("must be like 30m, 12h, 7d or 2026-11-01") from None
    return (day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp()


def _table(tally: Tally) -> str:
    counts = {name: count for name, count in tally.shown().items() if name != "alarms"}
    rows = [f"{name.replace('_', ' '):<12}{count:>8}" for name, count in counts.items()]
    return "\n".join([*rows, *(f"ALARM {each}" for each in tally.alarms)])


def _exit_code(tally: Tally) -> int:
    if tally.two_paid:
        return TWO_PAID_EXIT
    return UNRESOLVED_EXIT if tally.unresolved else 0


class _plain_errors:  # noqa: N801
    """Turns payment and store errors into one-line messages without a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, PaymentError):
            raise click.ClickException(error.message) from error
        if isinstance(error, StoreError):
            raise click.ClickException("the key store does not answer") from error
