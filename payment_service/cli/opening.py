"""Helpers of the commands: open the service, parse options, and print errors in one line."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from payment_service.errors import PaymentError
from payment_service.key_store.contract import StoreUnavailable
from payment_service.schema.names import order_name

if TYPE_CHECKING:
    from payment_service.wiring import Parts

# Loads the settings and opens the service.
OpenService = Callable[[], "Parts"]

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}


def opened(open_service: OpenService) -> Parts:
    """Open the service; refuse a store in memory, whose orders no other process can see.

    The store of `make run` is in memory too, but in a file that its commands can open.
    """
    parts = open_service()
    if parts.settings.key_store_url.get_secret_value() == "memory://":
        raise click.ClickException(
            "KEY_STORE_URL is memory://, which only the service itself can see: give it another "
            "store, like sqlite:///keys.db"
        )
    return parts


def name(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    """Check the name of an order or of a client; a click callback."""
    try:
        return None if given is None else order_name(given)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from None


def instant(_: click.Context, __: click.Parameter, given: str | None) -> float | None:
    """Parse 30m, 12h, 7d (ago) or an ISO date or time to Unix seconds; a click callback."""
    if given is None:
        return None
    ago = re.fullmatch(r"(\d{1,6})([mhd])", given)
    if ago:
        return time.time() - int(ago[1]) * _UNITS[ago[2]]
    try:
        day = datetime.fromisoformat(given)
    except ValueError:
        raise click.BadParameter("must be like 30m, 12h, 7d or 2026-11-01") from None
    return (day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp()


def iso(at: float, precision: str = "milliseconds") -> str:
    """Return an instant in Unix seconds as ISO 8601 in UTC: 2026-11-29T10:08:29.123Z."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn payment and store errors into one-line messages without a traceback."""
    try:
        yield
    except PaymentError as error:
        raise click.ClickException(error.message) from error
    except StoreUnavailable as error:
        raise click.ClickException(f"the key store failed ({error.cause})") from error
